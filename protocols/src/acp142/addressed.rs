//! What Address_PDUs do at the receiver: they make a message known, ask for what is missing, and tell that our
//! acknowledgement has arrived.

use super::address::Address;
use super::config::EngineConfig;
use super::event::Effects;
use super::limits::ADDRESS_SETS_MAX;
use super::pdu::{Map, MessageId};
use super::receiver::{Receiver, quiet_at};
use super::reception::{AckPlan, Reception, Stage};
use super::record::{self, Key};
use crate::time::{Now, WallTime};

impl Receiver {
    //= acp142/PMUL-050
    pub(super) fn address(&mut self, now: Now, address: &Address, config: &EngineConfig, effects: &mut Effects) {
        let id = address.message;
        let place = address.destinations.iter().position(|destination| destination.node == config.id);
        let listed = place.is_some();
        let named = self.sets.get(&id).copied().unwrap_or(0);
        let before_us = place.map(|place| named.saturating_add(u16::try_from(place).unwrap_or(u16::MAX)));
        let left_out = self.left_out(address, listed);
        if self.done.contains_key(&id) {
            return self.address_of_done(now, id, before_us, left_out, config, effects);
        }
        match self.receptions.get(&id).map(|r| r.stage) {
            Some(Stage::Orphan) | None if listed => self.adopt(now, address, before_us, config, effects),
            Some(Stage::Orphan) if left_out => self.drop_reception(id, effects),
            Some(Stage::Orphan) | None => {}
            Some(Stage::Collecting) => self.address_again(now, address, before_us, config, effects),
            Some(Stage::Offered(_) | Stage::Refused(_) | Stage::TooLarge) => {}
        }
    }

    /// Whether a whole set of Address_PDUs has passed that does not name us. One PDU of a split set says nothing.
    //= acp142/PMUL-014
    fn left_out(&mut self, address: &Address, listed: bool) -> bool {
        let id = address.message;
        let count = u16::try_from(address.destinations.len()).unwrap_or(u16::MAX);
        match (address.map, listed) {
            (Map::Only, _) => !listed,
            (_, true) => {
                self.sets.remove(&id);
                false
            }
            (Map::First, false) => {
                if self.sets.len() < ADDRESS_SETS_MAX {
                    self.sets.insert(id, count);
                }
                false
            }
            (Map::Middle, false) => {
                self.sets.entry(id).and_modify(|named| *named = named.saturating_add(count));
                false
            }
            (Map::Last, false) => self.sets.remove(&id).is_some(),
        }
    }

    fn address_of_done(
        &mut self,
        now: Now,
        id: MessageId,
        before_us: Option<u16>,
        left_out: bool,
        config: &EngineConfig,
        effects: &mut Effects,
    ) {
        let Some(done) = self.done.get_mut(&id) else { return };
        if let Some(before_us) = before_us {
            // It was asked for again: the first one is lost, or late.
            (done.before_us, done.told, done.first_of_many) = (before_us, false, false);
            self.plan_ack(now, id, true, config, effects);
        } else if left_out {
            // Our acknowledgement has arrived.
            let owed = done.ack.owed;
            (done.told, done.ack) = (true, AckPlan { sent_at: Some(now.mono), ..AckPlan::default() });
            if owed {
                effects.put(Key::Done(id).octets(), record::write_done(done));
            }
        }
    }

    fn address_again(
        &mut self,
        now: Now,
        address: &Address,
        before_us: Option<u16>,
        config: &EngineConfig,
        effects: &mut Effects,
    ) {
        let Some(r) = self.receptions.get_mut(&address.message) else { return };
        r.ack.answered();
        r.acked_in_round = false;
        let Some(before_us) = before_us else { return };
        r.before_us = before_us;
        r.among_others = names_several(address);
        r.priority = r.priority.min(address.priority);
        // A total already learnt is never lowered.
        //= acp142/PMUL-022
        if address.total > r.total {
            effects.notice("total_raised", format!("{}: {} to {}", r.id, r.total, address.total));
            r.round_end = if r.round_end == r.total { address.total } else { r.round_end };
            r.total = address.total;
            effects.put(Key::Reception(r.id).octets(), record::write_reception(r));
        }
        // A repeated Address_PDU asks; if no Data_PDU follows we tell what is missing.
        r.quiet = quiet_at(now, config);
    }

    fn adopt(
        &mut self,
        now: Now,
        address: &Address,
        before_us: Option<u16>,
        config: &EngineConfig,
        effects: &mut Effects,
    ) {
        let id = address.message;
        let said = WallTime::from_unix_seconds(u64::from(address.expiry));
        if said + config.clock_grace <= now.wall || address.total == 0 {
            let name = if address.total == 0 { "address_without_data" } else { "address_of_expired_message" };
            return effects.notice(name, id);
        }
        if !self.receptions.contains_key(&id) && !self.begin(now, id, address.priority, config, effects) {
            return;
        }
        let Some(r) = self.receptions.get_mut(&id) else { return };
        self.room.no_orphan(r);
        r.stage = Stage::Collecting;
        r.priority = address.priority;
        r.expiry = said.min(now.wall + config.lifetime_max);
        r.total = address.total;
        r.before_us = before_us.unwrap_or(0);
        r.among_others = names_several(address);
        self.fit_to_total(id, config, effects);
        let Some(r) = self.receptions.get_mut(&id) else { return };
        let highest = r.highest;
        r.round_end = r.total;
        r.quiet = quiet_at(now, config);
        effects.put(Key::Reception(id).octets(), record::write_reception(r));
        for (&sequence, fragment) in &r.fragments {
            effects.put(Key::Fragment(id, sequence).octets(), fragment.clone());
        }
        self.test_for_ack(now, id, highest, true, config, effects);
    }

    /// What an orphan holds beyond the total learnt now: dropped, or by the peer's quirk the total is raised.
    fn fit_to_total(&mut self, id: MessageId, config: &EngineConfig, effects: &mut Effects) {
        let Some(r) = self.receptions.get_mut(&id) else { return };
        if config.quirks_of(id.source).shrinking_totals {
            r.total = r.total.max(r.highest);
        }
        while let Some((_, fragment)) = r.fragments.last_key_value().filter(|(n, _)| **n > r.total) {
            effects.notice("data_beyond_total", format!("{id}: more than {}", r.total));
            self.room.shrink(r.id.source, false, Reception::cost_of(fragment));
            r.cost -= Reception::cost_of(fragment);
            r.fragments.pop_last();
        }
        r.highest = r.fragments.last_key_value().map_or(0, |(&n, _)| n);
    }
}

/// Whether the message is for others too.
fn names_several(address: &Address) -> bool {
    address.map != Map::Only || address.destinations.len() > 1
}
