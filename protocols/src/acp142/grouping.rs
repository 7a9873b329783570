//! Messages that go to groups of their own: the procedure of [`DynamicGroups`] beside the engine's messages.
//!
//! Promises: a message that is to have a group of its own waits until that is announced, and gives it back when its end
//! has been told; one for which no group is free, that is to go at once, or that still waited at a restart goes to the
//! fixed group (number 0) instead; a group that was announced is announced again after a restart of ours, and before a
//! repeat that receivers of whom nothing was heard may have missed. What we joined is left when the message ends.

use std::collections::VecDeque;

use super::config::EngineConfig;
use super::dynamic_group::{Channel, DynamicGroups, GroupEvent};
use super::engine::Engine;
use super::event::{Emission, Event, Outgoing};
use super::fault::Acp142Fault;
use super::pdu::{MessageId, NodeId, Pdu};
use crate::bytes::Bytes;
use crate::random::Seeded;
use crate::time::{Now, Wakeup};

/// A message waits until its group is announced.
pub const WAITS_FOR_GROUP: &str = "waiting for a group of its own";

/// What the bearer is to do with a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Membership {
    /// Join it.
    Join(u32),
    /// Leave it.
    Leave(u32),
}

/// The procedure, if it is used, and what it asks of the bearer.
#[derive(Debug)]
pub(super) struct Grouping {
    groups: Option<DynamicGroups>,
    memberships: VecDeque<Membership>,
}

impl Grouping {
    pub(super) fn new(config: &EngineConfig, now: Now, random: Seeded) -> Self {
        let groups = config.groups.clone().map(|config| DynamicGroups::new(config, now, random));
        Self { groups, memberships: VecDeque::new() }
    }

    pub(super) fn is_used(&self) -> bool {
        self.groups.is_some()
    }

    pub(super) fn set_emission(&mut self, now: Now, emission: Emission) {
        if let Some(groups) = &mut self.groups {
            groups.set_own_emission(now, emission);
        }
    }

    pub(super) fn handle_pdu(&mut self, now: Now, pdu: &Pdu<'_>) {
        if let Some(groups) = &mut self.groups {
            groups.handle_pdu(now, pdu);
        }
    }

    /// A message that we may have been announced for is complete and its sender knows, or it was given up.
    pub(super) fn reception_ended(&mut self, message: MessageId) {
        if let Some(groups) = &mut self.groups {
            groups.message_ended(message);
        }
    }

    pub(super) fn next_wakeup(&self) -> Option<Wakeup> {
        self.groups.as_ref()?.next_wakeup()
    }
}

impl Engine {
    /// Takes a message as [`Engine::submit`] does; it goes to a group of its own once that is announced. Without the
    /// procedure it goes to the fixed group at once.
    ///
    /// # Errors
    /// [`Acp142Fault`] when the message cannot be sent; nothing is kept of it then.
    //= acp142/PMUL-075
    pub fn submit_to_own_group(&mut self, now: Now, outgoing: Outgoing) -> Result<(), Acp142Fault> {
        let (handle, expiry, known) = (outgoing.handle, outgoing.expiry, self.knows(outgoing.handle));
        let nodes: Vec<NodeId> = outgoing.destinations.iter().map(|(node, _)| *node).collect();
        self.submit(now, outgoing)?;
        let number = self.transmitter.number(handle).filter(|_| !known);
        if let (Some(groups), Some(number)) = (&mut self.grouping.groups, number) {
            self.transmitter.set_group(number, None, &mut self.effects);
            let waits = self.transmitter.messages.get(&number).map(|t| t.advance(WAITS_FOR_GROUP));
            waits.into_iter().for_each(|advance| self.effects.event(Event::Progress(advance)));
            groups.open(now, number, nodes, expiry);
            self.turn(now);
        }
        Ok(())
    }

    /// A message does not wait for a group of its own any longer.
    pub fn hurry(&mut self, now: Now, handle: u64) {
        if let Some(number) = self.transmitter.number(handle) {
            self.take_fixed_group(now, number);
            self.turn(now);
        }
    }

    /// Only while it waits: what was announced stays.
    fn take_fixed_group(&mut self, now: Now, number: u32) {
        let waits = self.transmitter.messages.get(&number).is_some_and(|t| t.held);
        if let Some(groups) = self.grouping.groups.as_mut().filter(|_| waits) {
            groups.close(now, number);
            self.transmitter.set_group(number, Some(0), &mut self.effects);
        }
    }

    /// What time, events and ended messages bring for groups.
    pub(super) fn attend_groups(&mut self, now: Now) {
        let Some(groups) = &mut self.grouping.groups else { return self.transmitter.unheard.clear() };
        if groups.next_wakeup().is_some_and(|wakeup| wakeup.at <= now.mono) {
            groups.handle_wakeup(now);
        }
        while let Some(event) = groups.poll_event() {
            match event {
                GroupEvent::Ready { number, group } => {
                    self.transmitter.set_group(number, Some(group), &mut self.effects);
                }
                GroupEvent::NoneFree { number } => {
                    self.effects.notice("no_group_free", format!("message {number} goes to the fixed group"));
                    self.transmitter.set_group(number, Some(0), &mut self.effects);
                }
                GroupEvent::Join(group) => self.grouping.memberships.push_back(Membership::Join(group)),
                GroupEvent::Leave(group) => self.grouping.memberships.push_back(Membership::Leave(group)),
            }
        }
        for number in std::mem::take(&mut self.transmitter.unheard) {
            let open = self.transmitter.messages.get(&number).map(|t| t.open().map(|(node, _)| node).collect());
            groups.announce_again(now, number, open.unwrap_or_default());
        }
        let ended: Vec<u32> = groups.numbers().filter(|number| !self.transmitter.is_at(*number)).collect();
        ended.into_iter().for_each(|number| groups.close(now, number));
    }

    /// After a restart: messages that had a group of their own keep it.
    pub(super) fn resume_groups(&mut self, now: Now) {
        let Some(groups) = &mut self.grouping.groups else { return };
        for (&number, t) in self.transmitter.messages.iter_mut().filter(|(_, t)| t.group != 0) {
            t.held = true;
            groups.resume(now, number, t.group, t.open().map(|(node, _)| node).collect(), t.expiry);
        }
    }

    /// The next PDU of the procedure; none while we are silent.
    pub fn poll_group_pdu(&mut self) -> Option<(Channel, Bytes)> {
        self.grouping.groups.as_mut()?.poll_pdu()
    }

    /// Whether a PDU of the procedure waits that may go.
    pub fn has_group_pdus(&self) -> bool {
        self.grouping.groups.as_ref().is_some_and(DynamicGroups::has_pdus)
    }

    /// The next group to join or to leave.
    pub fn poll_membership(&mut self) -> Option<Membership> {
        self.grouping.memberships.pop_front()
    }

    /// Groups of our own messages, and groups joined.
    pub fn group_load(&self) -> (usize, usize) {
        self.grouping.groups.as_ref().map_or((0, 0), DynamicGroups::load)
    }
}
