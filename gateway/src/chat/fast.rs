//! The door: what local servers bring, and what becomes of what they are given.

use skywave_protocols::time::Now;
use skywave_protocols::xmpp::door::{DoorEvent, DoorOutput};
use skywave_protocols::xmpp::local::{Complaint, Condition, ErrorType, bounce};
use skywave_transports::io::Space;

use super::queue::local::Handing;
use super::{Chat, ChatOutput, record};
use crate::telemetry::{Event, StanzaFate};

impl Chat {
    /// Takes everything the door has to say.
    pub(super) fn drain_door(&mut self, now: Now) -> bool {
        let mut moved = false;
        while let Some(output) = self.door.poll() {
            moved = true;
            match output {
                DoorOutput::Event(event) => self.door_event(now, event),
                other => self.out.push_back(ChatOutput::Door(other)),
            }
        }
        moved
    }

    fn door_event(&mut self, now: Now, event: DoorEvent) {
        match event {
            DoorEvent::Arrived { arrival, stanza } => self.outward(now, arrival, stanza),
            DoorEvent::HandedOver { token, confirmed } => self.handed_over(now, token, confirmed),
            DoorEvent::Returned { token, why } => self.returned(now, token, &why),
            DoorEvent::Refused { token, condition, why } => self.never_taken(now, token, condition, &why),
            DoorEvent::Up { local, ours } => self.server_up(local, &ours),
            DoorEvent::Down { local, ours, why } => self.server_down(local, &ours, why),
            DoorEvent::Notice { name, alarm, detail } => self.notice("chat door", alarm, name, detail),
        }
    }

    fn server_up(&mut self, server: String, ours: &str) {
        self.local.resume(&server);
        if self.reached.up(&server, ours) {
            self.tell(Event::ChatServerUp { server });
        }
    }

    fn server_down(&mut self, server: String, ours: &str, why: String) {
        if self.reached.down(&server, ours) {
            self.tell(Event::ChatServerDown { server, why });
        }
    }

    /// Gives local servers what they can take.
    pub(super) fn give(&mut self, now: Now) -> bool {
        let mut moved = false;
        while self.ready && !self.stopping {
            let Some((number, stanza)) = self.local.next(now.mono) else { break };
            moved = true;
            let stanza = self.with_delay(now, number, stanza);
            self.door.deliver(now, number, stanza);
        }
        if self.ready && !self.stopping {
            self.mark_given(now);
        }
        moved
    }

    fn handed_over(&mut self, now: Now, token: u64, confirmed: bool) {
        let Some(handing) = self.local.remove(token) else { return };
        self.settle_rows(token, &handing);
        self.count(handing.peer, |counters| counters.stanzas_delivered += 1);
        let words = if confirmed { "confirmed by the local server" } else { "written to the local server" };
        self.line_in(now, token, &handing, StanzaFate::Delivered, words);
    }

    /// Ends the rows of a stanza that needs no more care.
    fn settle_rows(&mut self, token: u64, handing: &Handing) {
        if handing.durable {
            self.work.note(record::forget(Space::ChatIn, token));
        }
        if let Some(row) = handing.settles {
            self.work.note(record::forget(Space::ChatOut, row));
        }
    }

    /// The connection broke before the server confirmed: it gets the same stanza again.
    fn returned(&mut self, now: Now, token: u64, why: &str) {
        let Some(handing) = self.local.get(token) else { return };
        if self.is_kept(token, handing) {
            let Some(handing) = self.local.returned(now.mono, token) else { return };
            handing.repeated = true;
            let handing = handing.clone();
            return self.line_in(now, token, &handing, StanzaFate::Deferred, why);
        }
        let Some(handing) = self.local.remove(token) else { return };
        self.line_in(now, token, &handing, StanzaFate::Discarded, why);
    }

    /// The local server will never take it.
    fn never_taken(&mut self, now: Now, token: u64, condition: &str, why: &str) {
        let Some(handing) = self.local.remove(token) else { return };
        self.settle_rows(token, &handing);
        self.count(handing.peer, |counters| counters.stanzas_returned += 1);
        let condition = Condition::parse(condition).unwrap_or(Condition::ServiceUnavailable);
        let complaint =
            Complaint { error_type: ErrorType::Cancel, by: Some(&self.config.domain), ..Complaint::new(condition) };
        let error = if handing.own { None } else { bounce(&handing.stanza, &complaint) };
        let fate = if error.is_some() { StanzaFate::Returned } else { StanzaFate::Discarded };
        self.line_in(now, token, &handing, fate, why);
        if let Some(error) = error {
            self.send_own(now, handing.peer, error);
        }
    }
}
