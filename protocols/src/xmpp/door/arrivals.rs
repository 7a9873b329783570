//! Stanzas that arrive: numbered, counted until they are taken, and no more read than can be held.

use super::Door;
use super::conn::Untaken;
use super::event::{ConnId, DoorEvent, DoorOutput};
use super::limits::{UNTAKEN_OCTETS_MAX, UNTAKEN_STANZAS_MAX, UNTAKEN_STANZAS_RESUME};
use crate::time::Now;
use crate::xmpp::fault::XmppFault;
use crate::xmpp::local::{Complaint, Condition, bounce};
use crate::xmpp::stanza::Stanza;
use crate::xmpp::stream::end::shortened;
use crate::xmpp::stream::stanzas::pong;

impl Door {
    pub(super) fn arrived(&mut self, now: Now, id: ConnId, stanza: Stanza) {
        //= xmpp/PING-001
        if let Some(pong) = pong(&stanza) {
            self.passed_over(id);
            return self.dispatch(now, None, &pong);
        }
        let Some(conn) = self.conns.get_mut(&id) else { return };
        self.next_number += 1;
        let arrival = self.next_number;
        let octets = stanza.size_octets();
        conn.untaken.push_back(Untaken { arrival, octets, taken: false });
        conn.untaken_octets += octets;
        let full = conn.untaken.len() >= UNTAKEN_STANZAS_MAX || conn.untaken_octets >= UNTAKEN_OCTETS_MAX;
        if full && !conn.paused {
            conn.paused = true;
            self.outputs.push_back(DoorOutput::Pause(id));
        }
        self.arrivals.insert(arrival, id);
        self.tell(DoorEvent::Arrived { arrival, stanza });
    }

    /// Something in the place of a stanza that nobody will take: it counts when what came before it does.
    pub(super) fn passed_over(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        self.next_number += 1;
        let arrival = self.next_number;
        conn.untaken.push_back(Untaken { arrival, octets: 0, taken: false });
        self.arrivals.insert(arrival, id);
        self.take(arrival);
    }

    /// A stanza that broke a limit: its sender is told, and the stream goes on.
    //= xmpp/STREAM-012
    pub(super) fn skipped(&mut self, now: Now, id: ConnId, head: &Stanza, fault: &XmppFault) {
        self.passed_over(id);
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.skipped += 1;
        // Whoever sends them on purpose is noticed at the first of each power of two.
        if conn.skipped.is_power_of_two() {
            let detail =
                format!("{} of {}, {} on this stream: {fault}", head.kind().name(), head.from().domain(), conn.skipped);
            self.notice("chat.stanza_skipped", false, shortened(&detail));
        }
        let complaint = Complaint {
            text: Some("it is built in a way that is not taken here"),
            ..Complaint::new(Condition::PolicyViolation)
        };
        if let Some(error) = bounce(head, &complaint) {
            self.dispatch(now, None, &error);
        }
    }

    //= xmpp/SM-002
    pub(super) fn take(&mut self, arrival: u64) {
        let Some(id) = self.arrivals.remove(&arrival) else { return };
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let taken = conn.take(arrival);
        let left = conn.untaken.len();
        if let Some(stream) = conn.stream.server() {
            stream.taken(taken, left);
        }
        if conn.paused && left <= UNTAKEN_STANZAS_RESUME && conn.untaken_octets < UNTAKEN_OCTETS_MAX / 2 {
            conn.paused = false;
            self.outputs.push_back(DoorOutput::Resume(id));
        }
        self.stirred.push_back(id);
    }

    //= xmpp/SM-006
    pub(super) fn begin_counting(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let left = conn.untaken.len();
        if let Some(stream) = conn.stream.server() {
            stream.begin_counting(left);
        }
    }

    pub(super) fn tell_handled(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let left = conn.untaken.len();
        if let Some(stream) = conn.stream.server() {
            stream.tell_handled(left);
        }
    }
}
