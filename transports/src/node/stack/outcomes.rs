//! How U_PDUs end: what the layers below say of them, and what time does.

use skywave_protocols::s5066::node::dts::SendFault;
use skywave_protocols::s5066::node::{Carriage, Outcome, RequestId};
use skywave_protocols::time::Now;

use super::{Stack, confirming_key};

impl Stack {
    pub(super) fn on_failed(&mut self, now: Now, id: RequestId, why: SendFault, begun: bool) {
        let Some(unit) = self.units.get_mut(&id) else { return };
        unit.number = None;
        match why {
            //= s5066/NODE-024
            SendFault::Disconnected | SendFault::Reset if begun && unit.is_data() => {
                // Perhaps the peer has it: sent again it might arrive twice, or behind others. What its client said may be
                // of another that begins alike, as long as its node has not said that it has this one.
                self.counters.doubtful += 1;
                self.finish(id, Outcome::NotResponding);
            }
            SendFault::NotConnected | SendFault::Disconnected => self.wait_again(now, id),
            SendFault::Reset => {
                self.take_back(id);
                self.wait_again(now, id);
            }
            SendFault::Expired => self.end_late(id, begun),
            SendFault::TooLarge | SendFault::Group | SendFault::Full => self.finish(id, Outcome::NotResponding),
        }
    }

    /// The peer's node has a U_PDU.
    pub(super) fn at_node(&mut self, id: RequestId) {
        let Some(unit) = self.units.get_mut(&id) else { return };
        (unit.number, unit.at_node) = (None, true);
        match unit.at_client {
            Some(outcome) => self.finish(id, outcome),
            None if unit.outgoing.client_confirm => {}
            None => self.finish(id, Outcome::Delivered),
        }
    }

    pub(super) fn finish(&mut self, id: RequestId, outcome: Outcome) {
        let Some(unit) = self.units.remove(&id) else { return };
        self.deadlines.remove(&(unit.outgoing.deadline, id));
        unit.outgoing.confirm_by.map(|at| self.confirms.remove(&(at, id)));
        if unit.outgoing.client_confirm {
            let key = confirming_key(&unit.outgoing);
            if let Some(ids) = self.confirming.get_mut(&key) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.confirming.remove(&key);
                }
            }
        }
        let peer = unit.outgoing.destination;
        if let Some(waiters) = self.waiters.get_mut(&peer) {
            waiters.units.remove(&id);
            if waiters.units.is_empty() {
                self.waiters.remove(&peer);
            }
        }
        self.server.finish(id, outcome);
    }

    /// Gives up what was not confirmed in time, and what is worth nothing any more and is not below; what is below ends
    /// there.
    pub(super) fn expire(&mut self, now: Now) {
        //= s5066/NODE-025
        while let Some(&(_, id)) = self.confirms.first().filter(|(at, _)| *at <= now.mono) {
            self.confirms.pop_first();
            self.give_up(id);
        }
        while let Some(&(at, id)) = self.deadlines.first().filter(|(at, _)| *at <= now.mono) {
            self.deadlines.remove(&(at, id));
            if self.units.get(&id).is_some_and(|unit| unit.number.is_none()) {
                self.end_late(id, false);
            }
        }
    }

    /// All that needs a link ends: there are none any more.
    pub(super) fn end_with_arq(&mut self) {
        let with_arq = self.units.iter().filter(|(_, unit)| unit.outgoing.carriage == Carriage::Arq);
        let ids: Vec<RequestId> = with_arq.map(|(&id, _)| id).collect();
        ids.into_iter().for_each(|id| self.give_up(id));
    }

    /// Nobody is to know of a U_PDU any more but its client.
    fn give_up(&mut self, id: RequestId) {
        if let Some(number) = self.units.get(&id).and_then(|unit| unit.number) {
            self.dts.cancel(number);
            self.loads.remove(&number);
        }
        self.finish(id, Outcome::NotResponding);
    }

    pub(super) fn end_late(&mut self, id: RequestId, begun: bool) {
        let Some(unit) = self.units.get(&id) else { return };
        // A non-ARQ U_PDU that left at least once was sent.
        let sent = begun && unit.outgoing.carriage != Carriage::Arq;
        let outcome = if sent { Outcome::Sent } else { Outcome::Expired };
        self.counters.expired += u64::from(outcome == Outcome::Expired);
        self.finish(id, outcome);
    }
}
