//! The account of what half messages cost, per sender and in all, and who makes room for whom.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::limits::{
    ORPHAN_OCTETS_MAX, RECEPTION_OCTETS_MAX, RECEPTION_OCTETS_PER_SENDER_MAX, RECEPTIONS_MAX, RECEPTIONS_PER_SENDER_MAX,
};
use super::pdu::{MessageId, NodeId};
use super::reception::{Reception, Stage};

/// What is lacking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lack {
    Sender,
    Orphans,
    All,
}

impl std::fmt::Display for Lack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sender => "the sender's share is used up",
            Self::Orphans => "the share of orphans is used up",
            Self::All => "all room is used up",
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct Room {
    messages: usize,
    octets: usize,
    orphan_octets: usize,
    senders: BTreeMap<NodeId, (usize, usize)>,
}

impl Room {
    /// Half messages, their octets, and the octets of those that nobody has announced.
    pub(super) const fn load(&self) -> (usize, usize, usize) {
        (self.messages, self.octets, self.orphan_octets)
    }

    pub(super) fn enter(&mut self, r: &Reception) {
        self.messages += 1;
        self.senders.entry(r.id.source).or_default().0 += 1;
        self.grow(r.id.source, r.stage == Stage::Orphan, r.cost);
    }

    pub(super) fn leave(&mut self, r: &Reception) {
        self.messages = self.messages.saturating_sub(1);
        self.shrink(r.id.source, r.stage == Stage::Orphan, r.cost);
        if let Some(sender) = self.senders.get_mut(&r.id.source) {
            sender.0 = sender.0.saturating_sub(1);
            if sender.0 == 0 {
                self.senders.remove(&r.id.source);
            }
        }
    }

    pub(super) fn grow(&mut self, source: NodeId, orphan: bool, cost: usize) {
        self.octets += cost;
        self.senders.entry(source).or_default().1 += cost;
        self.orphan_octets += if orphan { cost } else { 0 };
    }

    pub(super) fn shrink(&mut self, source: NodeId, orphan: bool, cost: usize) {
        self.octets = self.octets.saturating_sub(cost);
        if let Some(sender) = self.senders.get_mut(&source) {
            sender.1 = sender.1.saturating_sub(cost);
        }
        self.orphan_octets = self.orphan_octets.saturating_sub(if orphan { cost } else { 0 });
    }

    /// The message is about to be no orphan any more.
    pub(super) fn no_orphan(&mut self, r: &Reception) {
        if r.stage == Stage::Orphan {
            self.orphan_octets = self.orphan_octets.saturating_sub(r.cost);
        }
    }

    /// Which bound `cost` more octets (of one more message, if `new`) would break.
    pub(super) fn lack(&self, source: NodeId, orphan: bool, cost: usize, new: bool) -> Option<Lack> {
        let (messages, octets) = self.senders.get(&source).copied().unwrap_or_default();
        let new = usize::from(new);
        if messages + new > RECEPTIONS_PER_SENDER_MAX || octets + cost > RECEPTION_OCTETS_PER_SENDER_MAX {
            Some(Lack::Sender)
        } else if orphan && self.orphan_octets + cost > ORPHAN_OCTETS_MAX {
            Some(Lack::Orphans)
        } else if self.messages + new > RECEPTIONS_MAX || self.octets + cost > RECEPTION_OCTETS_MAX {
            Some(Lack::All)
        } else {
            None
        }
    }

    /// Who gives way to a message: of those that may, the least urgent, orphans first, of the sender that holds most,
    /// the oldest. A message gives way only to a more urgent one, or to one as urgent of a sender that holds less;
    /// within one sender's share the oldest of the same urgency gives way.
    pub(super) fn victim<'a>(
        &self,
        receptions: impl Iterator<Item = &'a Reception>,
        lack: Lack,
        id: MessageId,
        priority: u8,
    ) -> Option<MessageId> {
        let own = self.messages_of(id.source);
        let may = |r: &&Reception| {
            let sender = r.id.source;
            let held = matches!(r.stage, Stage::Orphan | Stage::Collecting | Stage::TooLarge) && r.id != id;
            let lacking = match lack {
                Lack::Sender => sender == id.source,
                Lack::Orphans => r.stage == Stage::Orphan,
                Lack::All => true,
            };
            let fair = sender == id.source || self.messages_of(sender) > own;
            held && lacking && (r.priority > priority || r.priority == priority && fair)
        };
        let rank =
            |r: &&Reception| (r.priority, r.stage == Stage::Orphan, self.messages_of(r.id.source), Reverse(r.order));
        receptions.filter(may).max_by_key(rank).map(|r| r.id)
    }

    pub(super) fn messages_of(&self, source: NodeId) -> usize {
        self.senders.get(&source).map_or(0, |(messages, _)| *messages)
    }
}
