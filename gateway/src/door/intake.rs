//! The text of a mail on its way into the store: its header is held back until it is complete, read once, and led by
//! our own Received field; everything behind it passes through in pieces.

use skywave_protocols::bytes::{Bytes, BytesMut};
use skywave_protocols::message::mail::MailParameters;
use skywave_protocols::message::precedence::MtPriority;
use skywave_protocols::smtp::headers::{Decision, Header, Policy, Received, precedence};
use skywave_protocols::smtp::limits::HEADER_OCTETS_MAX;

use crate::queue::record::Origin;

/// What the header said.
#[derive(Clone, PartialEq, Debug)]
pub struct Heading {
    /// Our Received field and the header as it came: what goes into the store first.
    pub octets: Bytes,
    /// Octets of the header, our field and the empty line included.
    pub header_octets: u64,
    /// The value that rules the order.
    pub priority: MtPriority,
    /// The value of MT-PRIORITY to hand on, if there is one.
    pub value: Option<MtPriority>,
    /// What an operator may want to know about the decision.
    pub decision: Decision,
    /// The Message-ID, or nothing.
    pub message_id: String,
    /// Where a Skywave took it in before us.
    pub origin: Option<Origin>,
    /// How often it was received before.
    pub received: usize,
    /// Octet ranges of MT-Priority fields, in the stored text.
    pub mt_priority_fields: Vec<(u64, u64)>,
    /// Whether the header has octets above 127.
    pub utf8: bool,
}

/// Collects a header.
#[derive(Debug, Default)]
pub struct Intake {
    held: BytesMut,
    searched: usize,
    passed: bool,
    octets: u64,
}

impl Intake {
    /// Takes a piece of the text. Before the header is complete it is held and `None` comes back; the piece that
    /// completes it yields everything held; later ones come back as they are.
    pub fn take(&mut self, piece: Bytes) -> Option<Bytes> {
        self.octets += piece.len() as u64;
        if self.passed {
            return Some(piece);
        }
        self.held.extend_from_slice(&piece);
        let from = self.searched.saturating_sub(3);
        let ended = self.held.starts_with(b"\r\n") || self.held[from..].windows(4).any(|window| window == b"\r\n\r\n");
        self.searched = self.held.len();
        (ended || self.held.len() > HEADER_OCTETS_MAX).then(|| self.rest())
    }

    /// Everything still held, at the end of the text.
    pub fn rest(&mut self) -> Bytes {
        self.passed = true;
        self.held.split().freeze()
    }

    /// Whether the header has been yielded.
    pub const fn passed(&self) -> bool {
        self.passed
    }

    /// Octets of the text so far.
    pub const fn octets(&self) -> u64 {
        self.octets
    }
}

/// Reads the beginning of a text and leads it with our Received field.
pub fn heading(beginning: &Bytes, mail: &MailParameters, policy: Policy, received: &Received<'_>) -> Heading {
    let header = Header::scan(beginning);
    let decision = precedence(mail, &header, beginning, policy);
    let value = decision.value;
    let own = decision.precedence.mt_priority();
    let priority = value.filter(|value| value.precedence() == decision.precedence).unwrap_or(own);
    let field = Received { priority: value, ..received.clone() }.to_string();
    let lead = field.len() as u64;
    let mut octets = BytesMut::with_capacity(field.len() + beginning.len());
    octets.extend_from_slice(field.as_bytes());
    octets.extend_from_slice(beginning);
    let fields = header.named(beginning, "MT-Priority");
    Heading {
        octets: octets.freeze(),
        header_octets: lead + header.body as u64,
        priority,
        value,
        message_id: header
            .named(beginning, "Message-ID")
            .next()
            .map_or_else(String::new, |field| field.text(beginning)),
        origin: header.trace(beginning).map(|trace| Origin { site: trace.site, ticket: trace.ticket }),
        received: header.received_count(beginning),
        mt_priority_fields: fields.map(|f| (lead + f.whole.start as u64, lead + f.whole.end as u64)).collect(),
        utf8: !beginning[..header.body.min(beginning.len())].is_ascii(),
        decision,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skywave_protocols::message::precedence::Precedence;
    use skywave_protocols::time::WallTime;

    #[test]
    fn the_header_is_held_until_it_is_complete_wherever_it_is_cut() {
        let text = b"Subject: x\r\nMT-Priority: 4\r\n\r\nbody\r\n";
        for cut in 0..text.len() {
            let mut intake = Intake::default();
            let mut out = BytesMut::new();
            for piece in [&text[..cut], &text[cut..]] {
                out.extend(intake.take(Bytes::copy_from_slice(piece)));
            }
            out.extend(intake.rest());
            assert_eq!((&out[..], intake.octets()), (&text[..], text.len() as u64), "{cut}");
        }
    }

    #[test]
    fn our_received_field_leads_and_the_precedence_is_read() {
        let text = Bytes::from_static(b"MT-Priority: 4\r\nMessage-ID: <1@x>\r\n\r\n");
        let received = Received {
            client: "c",
            peer: "127.0.0.1",
            site: "hq.test",
            protocol: "ESMTP",
            ticket: "T",
            priority: None,
            at: WallTime::default(),
        };
        let policy = Policy::default();
        let heading = heading(&text, &MailParameters::default(), policy, &received);
        assert_eq!((heading.priority.precedence(), heading.message_id.as_str()), (Precedence::Flash, "<1@x>"));
        let (from, to) = heading.mt_priority_fields[0];
        assert_eq!(&heading.octets[from as usize..to as usize], b"MT-Priority: 4\r\n");
        assert_eq!(heading.header_octets, heading.octets.len() as u64);
        let again = super::heading(&heading.octets, &MailParameters::default(), policy, &received);
        assert_eq!(again.origin, Some(Origin { site: "hq.test".into(), ticket: "T".into() }));
    }
}
