//! What is kept of a mail, and under which keys.
//!
//! Records are JSON: an operator can read a copy of the queue with plain `sqlite3`, and a newer version can read an
//! older one's. Keys are octets that sort as the queue is worked off.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::is_usual;
use skywave_protocols::message::mail::Envelope;
use skywave_protocols::message::precedence::{MtPriority, Precedence};
use skywave_protocols::time::WallTime;
use skywave_transports::io::{Space, Write};
use skywave_transports::transport::{SiteName, UnitTicket};

use super::limits::{HISTORY_ENTRIES_MAX, REASON_OCTETS_MAX};
use crate::node::seam::Needs;
use crate::store::BodyId;

/// The number of a mail at this site: unique for ever, greater for later ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Ticket(pub u64);

/// Octets of most records: room for them is made at once.
const RECORD_OCTETS_USUAL: usize = 1536;

/// Consonants and digits only, so that no ticket spells a word.
const ALPHABET: &[u8; 32] = b"0123456789BCDFGHJKLMNPQRSTVWXYZ_";

impl Ticket {
    /// Digits of a ticket in base 32; 55 bits last until the year 3111.
    const DIGITS: usize = 11;

    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.bytes().try_fold(0u64, |number, octet| {
            let digit = ALPHABET.iter().position(|&letter| letter == octet.to_ascii_uppercase())?;
            number.checked_mul(32)?.checked_add(digit as u64)
        })?;
        (text.len() == Self::DIGITS).then_some(Self(number))
    }

    /// The unit that carries hop `hop` of this mail.
    pub const fn unit(self, hop: usize) -> UnitTicket {
        UnitTicket(self.0 << 12 | hop as u64)
    }

    /// The mail and hop that a unit carries.
    pub const fn of_unit(unit: UnitTicket) -> (Self, usize) {
        (Self(unit.0 >> 12), (unit.0 & 0xfff) as usize)
    }

    /// The key of its records.
    pub fn key(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }
}

impl std::fmt::Display for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digit = |place: usize| char::from(ALPHABET[(self.0 >> (5 * place) & 31) as usize]);
        (0..Self::DIGITS).rev().try_for_each(|place| write!(f, "{}", digit(place)))
    }
}

/// The name of a link or of a local MTA: what has a queue of its own.
pub type Lane = Arc<str>;

/// Everything that is kept of a mail besides its text.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MailRecord {
    /// Its number here.
    pub ticket: Ticket,
    /// When it was accepted, in microseconds since 1970.
    pub accepted_at: u64,
    /// When it is given up, in microseconds since 1970.
    pub expires_at: u64,
    /// When a delay is reported, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub notice_at: Option<u64>,
    /// Where it came from, in words for logs.
    pub source: String,
    /// The site and number under which it entered the first gateway: the same over every way.
    pub origin: Origin,
    /// Its envelope, as it came.
    pub envelope: Envelope,
    /// The value that rules its order here; what is handed on is in the envelope.
    pub priority: MtPriority,
    /// Its text.
    pub body: BodyId,
    /// Octets of its text.
    pub octets: u64,
    /// Octets of its header, the empty line included.
    pub header_octets: u64,
    /// The Message-ID of its header, or nothing.
    pub message_id: String,
    /// Octet ranges of MT-Priority fields in its text: left out where an RFC 6758 field of our own is written.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub mt_priority_fields: Vec<(u64, u64)>,
    /// What its text demands of a server.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub needs: Needs,
    /// What is owed.
    pub hops: Vec<Hop>,
    /// Held by the operator.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub held: bool,
    /// What happened, oldest first.
    pub history: Vec<HistoryEntry>,
}

/// Where a mail entered the first gateway.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Origin {
    /// That gateway's site.
    pub site: String,
    /// Its number there.
    pub ticket: String,
}

/// One lane's duty towards one mail.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Hop {
    /// Whose duty.
    pub lane: Lane,
    /// For links: a part for each site; for local MTAs: one part.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub parts: Vec<Part>,
    /// How far it is.
    pub state: HopState,
    /// Tries so far.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub attempts: u32,
    /// Not before this time, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub not_before: Option<u64>,
    /// The last thing heard, for operators and reports.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub last: String,
    /// Octets handed to the medium so far.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub octets_sent: u64,
}

/// The recipients behind one site.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// The site; `None` for a local MTA.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub site: Option<SiteName>,
    /// Indexes into the envelope's recipients that are still owed.
    pub recipients: Vec<u32>,
}

/// How far a hop is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HopState {
    /// Nothing has been done, or it is to be done again.
    Waiting,
    /// Handed to the link, or the dialogue with the MTA may have begun.
    Open,
    /// Nothing is owed any more.
    Done,
}

/// Something that happened to a mail.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When, in microseconds since 1970.
    pub at: u64,
    /// What, in words.
    pub what: String,
}

impl MailRecord {
    /// The precedence by which it is handled.
    pub const fn precedence(&self) -> Precedence {
        self.priority.precedence()
    }

    /// Whether nothing is owed any more.
    pub fn is_done(&self) -> bool {
        self.hops.iter().all(|hop| hop.state == HopState::Done)
    }

    /// Whether a hop waits for a time before it is tried again.
    pub fn is_delayed(&self) -> bool {
        self.hops.iter().any(|hop| hop.not_before.is_some())
    }

    /// Notes what happened; the oldest middle entry makes room.
    pub fn note(&mut self, wall: WallTime, what: impl Into<String>) {
        if self.history.len() >= HISTORY_ENTRIES_MAX {
            self.history.remove(HISTORY_ENTRIES_MAX / 2);
        }
        self.history.push(HistoryEntry { at: wall.unix_micros(), what: shortened(what.into()) });
    }

    /// The key under which a hop waits in its lane: precedence, then age.
    pub fn hop_key(&self, hop: usize) -> HopKey {
        HopKey {
            lane: self.hops[hop].lane.clone(),
            p_mul: self.priority.p_mul(),
            accepted_at: self.accepted_at,
            ticket: self.ticket,
            hop: hop as u16,
        }
    }

    /// The envelope with only the recipients that a hop still owes.
    pub fn hop_envelope(&self, hop: usize) -> Envelope {
        let owed = self.hops[hop].parts.iter().flat_map(|part| &part.recipients);
        let recipients = owed.filter_map(|&index| self.envelope.recipients.get(index as usize).cloned()).collect();
        Envelope { recipients, ..self.envelope.clone() }
    }

    /// Leaves an envelope what is left of the time that DELIVERBY gives this mail: whoever gets it next counts from when
    /// it comes.
    //= smtp/BY-002
    pub fn shorten_by(&self, envelope: &mut Envelope, wall: WallTime) {
        if let Some(by) = &mut envelope.mail.by {
            let passed = wall.unix_micros().saturating_sub(self.accepted_at) / 1_000_000;
            by.seconds = by.seconds.saturating_sub_unsigned(passed);
        }
    }

    /// The write that keeps it.
    pub fn put(&self) -> Write {
        let mut value = Vec::with_capacity(RECORD_OCTETS_USUAL);
        let written = serde_json::to_writer(&mut value, self);
        Write { space: Space::Mail, key: self.ticket.key(), value: written.ok().map(|()| value.into()) }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When the octets are no record of this kind.
    pub fn decode(value: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(value)
    }
}

impl Hop {
    /// A new duty.
    pub const fn new(lane: Lane, parts: Vec<Part>) -> Self {
        Self {
            lane,
            parts,
            state: HopState::Waiting,
            attempts: 0,
            not_before: None,
            last: String::new(),
            octets_sent: 0,
        }
    }

    /// Notes the last thing heard.
    pub fn heard(&mut self, words: impl Into<String>) {
        self.last = shortened(words.into());
    }

    /// Takes recipients off what is owed; the hop is done when none is left.
    pub fn settle(&mut self, recipients: &[u32]) {
        for part in &mut self.parts {
            part.recipients.retain(|index| !recipients.contains(index));
        }
        self.parts.retain(|part| !part.recipients.is_empty());
        if self.parts.is_empty() {
            self.state = HopState::Done;
        }
    }

    /// All recipients still owed.
    pub fn owed(&self) -> Vec<u32> {
        self.parts.iter().flat_map(|part| part.recipients.iter().copied()).collect()
    }
}

fn shortened(mut words: String) -> String {
    if let Some((cut, _)) = words.char_indices().find(|&(offset, c)| offset + c.len_utf8() > REASON_OCTETS_MAX) {
        words.truncate(cut);
    }
    words
}

/// Where a hop stands in its lane: lanes are worked off in the order of this key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HopKey {
    /// The lane.
    pub lane: Lane,
    /// P_MUL priority, 0 most urgent.
    pub p_mul: u8,
    /// Microseconds since 1970.
    pub accepted_at: u64,
    /// The mail.
    pub ticket: Ticket,
    /// The hop's index in the mail.
    pub hop: u16,
}

impl HopKey {
    /// The key in the store.
    pub fn encode(&self) -> Vec<u8> {
        let mut key = lane_start(&self.lane);
        key.push(self.p_mul);
        key.extend(self.accepted_at.to_be_bytes());
        key.extend(self.ticket.0.to_be_bytes());
        key.extend(self.hop.to_be_bytes());
        key
    }

    /// Reads a key of the store.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let end = key.iter().position(|&octet| octet == 0)?;
        let lane = std::str::from_utf8(&key[..end]).ok()?.into();
        let mut rest = skywave_protocols::bytes::Reader::new(&key[end + 1..]);
        let p_mul = rest.u8().ok()?;
        let (accepted_at, ticket, hop) = (rest.u64().ok()?, Ticket(rest.u64().ok()?), rest.u16().ok()?);
        rest.finish().ok()?;
        Some(Self { lane, p_mul, accepted_at, ticket, hop })
    }

    /// The write that puts it into its lane, or takes it out.
    pub fn write(&self, present: bool) -> Write {
        Write { space: Space::Hop, key: self.encode(), value: present.then(Bytes::new) }
    }
}

/// First key of a lane in [`Space::Hop`].
pub fn lane_start(lane: &str) -> Vec<u8> {
    let mut key = lane.as_bytes().to_vec();
    key.push(0);
    key
}

/// First key beyond a lane in [`Space::Hop`].
pub fn lane_end(lane: &str) -> Vec<u8> {
    let mut key = lane.as_bytes().to_vec();
    key.push(1);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_read_back_and_sort_as_numbers() {
        let tickets = [Ticket(0), Ticket(31), Ticket(32), Ticket(1_795_300_000_000_000)];
        for ticket in tickets {
            assert_eq!(Ticket::parse(&ticket.to_string()), Some(ticket));
            assert_eq!(Ticket::of_unit(ticket.unit(7)), (ticket, 7));
        }
        for bad in ["", "0", "AAAAAAAAAAA", "0000000000000", "ZZZZZZZZZZ\n"] {
            assert_eq!(Ticket::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn hop_keys_sort_by_precedence_then_age() {
        let key =
            |p_mul, accepted_at| HopKey { lane: "hf".into(), p_mul, accepted_at, ticket: Ticket(accepted_at), hop: 1 };
        let rows = [key(2, 900), key(8, 100), key(8, 200), key(10, 50)];
        let encoded: Vec<_> = rows.iter().map(HopKey::encode).collect();
        assert!(encoded.is_sorted());
        assert!(encoded.iter().all(|k| *k >= lane_start("hf") && *k < lane_end("hf")));
        assert!(rows.iter().zip(&encoded).all(|(row, octets)| HopKey::decode(octets).as_ref() == Some(row)));
        assert_eq!(HopKey::decode(b"hf\0\x02"), None);
    }

    #[test]
    fn a_hop_is_done_when_nobody_is_owed() {
        let part = |site: &str, recipients: &[u32]| Part { site: Some(site.into()), recipients: recipients.to_vec() };
        let mut hop = Hop::new("hf".into(), vec![part("a", &[0, 2]), part("b", &[1])]);
        hop.settle(&[0, 2]);
        assert_eq!((hop.state, hop.owed()), (HopState::Waiting, vec![1]));
        hop.settle(&[1]);
        assert_eq!(hop.state, HopState::Done);
    }

    /// What is as usual was written out once: such records are read as before, and lose a third when they are written anew.
    #[test]
    fn what_is_as_usual_is_left_out_and_read_back() {
        let whole = r#"{"ticket":7,"accepted_at":1,"expires_at":9,"notice_at":null,"source":"smtp 127.0.0.1",
            "origin":{"site":"hq.test","ticket":"1M0XD2FCBL_"},"envelope":{"sender":"ops@hq.test","mail":{"size":null,
            "body":null,"smtputf8":false,"ret":null,"envid":null,"mt_priority":null,"by":null,"auth":null,"other":[]},
            "recipients":[{"to":"bridge@sink.test","notify":null,"orcpt":null,"other":[]}]},"priority":-2,"body":7,
            "octets":1241,"header_octets":239,"message_id":"<1@vm>","mt_priority_fields":[],
            "needs":{"eight_bit":false,"binary":false,"utf8":false},"hops":[{"lane":"mta","parts":[{"site":null,
            "recipients":[0]}],"state":"waiting","attempts":0,"not_before":null,"last":"","octets_sent":0}],
            "held":false,"history":[]}"#;
        let record = MailRecord::decode(whole.as_bytes()).unwrap();
        let written = record.put().value.unwrap();
        assert_eq!(MailRecord::decode(&written).unwrap(), record);
        let words = String::from_utf8(written.to_vec()).unwrap();
        assert!(!words.contains("null") && !words.contains("false"), "{words}");
        let unusual = MailRecord { held: true, notice_at: Some(5), ..record };
        assert_eq!(MailRecord::decode(&unusual.put().value.unwrap()).unwrap(), unusual);
    }
}
