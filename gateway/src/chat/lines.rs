//! One line about each stanza and each thing that becomes of it: what an operator greps for.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::{Duration, Now};
use skywave_protocols::xmpp::Stanza;

use super::Chat;
use super::peers::Counters;
use super::queue::local::Handing;
use super::queue::out::Waiting;
use crate::telemetry::{Event, StanzaFate, StanzaLine};

impl Chat {
    /// About a stanza that waits, or waited, for a link.
    pub(super) fn line_out(
        &mut self,
        now: Now,
        peer: usize,
        number: u64,
        waiting: &Waiting,
        status: StanzaFate,
        text: &str,
    ) {
        let line = StanzaLine {
            number: shown(number),
            bytes: waiting.octets,
            delay_seconds: now.wall.since(waiting.since).as_secs_f64(),
            precedence: waiting.priority.precedence(),
            status,
            text: text.to_owned(),
            ..self.line(peer, &waiting.stanza)
        };
        self.tell_line(now, line);
    }

    /// About a stanza that waits, or waited, for a local server.
    pub(super) fn line_in(&mut self, now: Now, number: u64, handing: &Handing, status: StanzaFate, text: &str) {
        let line = StanzaLine {
            number: shown(number),
            bytes: handing.octets,
            delay_seconds: now.wall.since(handing.since).as_secs_f64(),
            status,
            text: text.to_owned(),
            ..self.line(handing.peer, &handing.stanza)
        };
        self.tell_line(now, line);
    }

    /// About a stanza that never waited.
    pub(super) fn line_of(&mut self, now: Now, peer: usize, stanza: &Stanza, status: StanzaFate, text: &str) {
        let line = StanzaLine { status, text: text.to_owned(), ..self.line(peer, stanza) };
        self.tell_line(now, line);
    }

    fn tell_line(&mut self, now: Now, line: StanzaLine) {
        self.recent.note(now.wall, &line);
        self.tell(Event::Stanza(Box::new(line)));
    }

    fn line(&self, peer: usize, stanza: &Stanza) -> StanzaLine {
        StanzaLine {
            number: "NOQUEUE".to_owned(),
            kind: stanza.kind().name(),
            id: stanza.id().unwrap_or_default().to_owned(),
            from: stanza.from().to_string(),
            to: stanza.to().to_string(),
            peer: self.peers.get(peer).map_or_else(String::new, |peer| peer.name().to_owned()),
            bytes: 0,
            delay_seconds: Duration::ZERO.as_secs_f64(),
            precedence: Precedence::Routine,
            status: StanzaFate::Dropped,
            text: String::new(),
        }
    }

    /// Counts something of a peer, if it is one.
    pub(super) fn count(&mut self, peer: usize, count: impl FnOnce(&mut Counters)) {
        if let Some(peer) = self.peers.get_mut(peer) {
            count(&mut peer.counters);
        }
    }
}

/// A stanza's number as operators see it; no ticket of a mail looks like it.
pub fn shown(number: u64) -> String {
    format!("c{number:x}")
}

/// The number that an operator means.
pub fn meant(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix('c')?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back() {
        assert_eq!(meant(&shown(0xbeef)), Some(0xbeef));
        assert_eq!(meant("beef"), None);
        assert_eq!(meant("cxyz"), None);
    }
}
