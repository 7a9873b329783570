//! Stanzas that wait for a block: by precedence, then by arrival. Priority decides before compression, never after.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::fault::SlowFault;
use super::limits::WAITING_STANZAS_MAX;
use super::session::Outgoing;
use crate::message::precedence::{MtPriority, Precedence};
use crate::time::Instant;
use crate::xmpp::Stanza;
use crate::xmpp::fate::Meaning;

/// Where a stanza stands.
pub(super) type Rank = (Reverse<MtPriority>, u64);

/// A stanza that waits.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Waiting {
    /// What was submitted.
    pub(super) outgoing: Outgoing,
    /// When.
    pub(super) since: Instant,
    /// Whether somebody wrote it: told once, as a stanza that waits is looked at often.
    pub(super) is_written: bool,
    /// Whether it says how things are, and may come twice or be lost with this side.
    pub(super) passes: bool,
    /// Its row is being saved with what this very input brings about, and not before.
    pub(super) joins: bool,
}

/// All that wait, of all contexts.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Rank, Waiting>,
    rows: BTreeMap<u64, Rank>,
    /// How many of each context, where there are two for each label.
    contexts: BTreeMap<u8, usize>,
    arrivals: u64,
}

//= xmpp/SLOW-015
/// The context of a stanza: two for each label, as Flash and above may not wait behind others.
pub(super) fn context_of(label: u8, priority: MtPriority, two_contexts: bool) -> u8 {
    let urgent = two_contexts && priority.precedence() >= Precedence::Flash;
    (label << 1) | u8::from(urgent)
}

/// Whether a stanza is what a person wrote to others.
pub(super) fn is_written(stanza: &Stanza) -> bool {
    matches!(Meaning::of(stanza), Meaning::Chat | Meaning::ToRoom | Meaning::FromRoom)
}

impl Waiting {
    fn context(&self) -> u8 {
        context_of(self.outgoing.label_context, self.outgoing.priority, true)
    }
}

impl Queue {
    /// Takes a stanza; one whose row waits already is the same.
    ///
    /// # Errors
    /// [`SlowFault::Full`].
    pub(super) fn push(&mut self, since: Instant, outgoing: Outgoing) -> Result<(), SlowFault> {
        if self.rows.contains_key(&outgoing.number) {
            return Ok(());
        }
        if self.waiting.len() >= WAITING_STANZAS_MAX {
            return Err(SlowFault::Full { waiting: self.waiting.len() });
        }
        self.arrivals += 1;
        let rank = (Reverse(outgoing.priority), self.arrivals);
        let is_written = is_written(&outgoing.stanza);
        let passes = Meaning::of(&outgoing.stanza).may_repeat();
        self.put_back(rank, Waiting { outgoing, since, is_written, passes, joins: false });
        Ok(())
    }

    /// Notes of rows whether they are being saved with what is done now.
    pub(super) fn join(&mut self, numbers: &[u64], joins: bool) {
        for number in numbers {
            if let Some(waiting) = self.rows.get(number).and_then(|rank| self.waiting.get_mut(rank)) {
                waiting.joins = joins;
            }
        }
    }

    /// Takes a row out again.
    pub(super) fn remove(&mut self, number: u64) -> Option<(Rank, Waiting)> {
        let rank = self.rows.remove(&number)?;
        let waiting = self.waiting.remove(&rank)?;
        let context = waiting.context();
        if let Some(count) = self.contexts.get_mut(&context) {
            *count -= 1;
            if *count == 0 {
                self.contexts.remove(&context);
            }
        }
        Some((rank, waiting))
    }

    /// Puts one back that was taken out to look at, at its old place.
    pub(super) fn put_back(&mut self, rank: Rank, waiting: Waiting) {
        self.rows.insert(waiting.outgoing.number, rank);
        *self.contexts.entry(waiting.context()).or_default() += 1;
        self.waiting.insert(rank, waiting);
    }

    /// Whether a row waits.
    #[cfg(test)]
    pub(super) fn contains(&self, number: u64) -> bool {
        self.rows.contains_key(&number)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.values()
    }

    /// The contexts that have something waiting, the most urgent first.
    pub(super) fn contexts(&self, two_contexts: bool) -> Vec<u8> {
        // The usual case, for which nobody need look at all that wait.
        if let (1, Some((&context, _))) = (self.contexts.len(), self.contexts.first_key_value()) {
            return vec![if two_contexts { context } else { context & !1 }];
        }
        let mut seen = BTreeSet::new();
        self.iter()
            .map(|waiting| context_of(waiting.outgoing.label_context, waiting.outgoing.priority, two_contexts))
            .filter(|context| seen.insert(*context))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::WallTime;

    fn outgoing(number: u64, priority: i8, label_context: u8) -> Outgoing {
        Outgoing {
            number,
            priority: MtPriority::try_from(priority).unwrap(),
            label_context,
            since: WallTime::default(),
            stanza: Stanza::parse(b"<message to='a@b' from='c@d'/>").unwrap(),
        }
    }

    #[test]
    fn precedence_then_arrival() {
        let mut queue = Queue::default();
        for (number, priority, label) in [(5, -2, 0), (4, -2, 1), (3, 4, 0), (2, 2, 0), (1, 4, 0)] {
            queue.push(Instant::ZERO, outgoing(number, priority, label)).unwrap();
        }
        queue.push(Instant::ZERO, outgoing(5, 6, 0)).unwrap();
        let order: Vec<u64> = queue.iter().map(|waiting| waiting.outgoing.number).collect();
        assert_eq!(order, [3, 1, 2, 5, 4]);
        assert_eq!(queue.contexts(true), [1, 0, 2]);
        assert_eq!(queue.contexts(false), [0, 2]);
        let mut urgent = Queue::default();
        urgent.push(Instant::ZERO, outgoing(1, 6, 1)).unwrap();
        assert_eq!((urgent.contexts(true), urgent.contexts(false)), (vec![3], vec![2]));
        urgent.remove(1).unwrap();
        assert!(urgent.contexts(true).is_empty());
        assert_eq!(queue.remove(1).unwrap().1.outgoing.number, 1);
        assert_eq!((queue.remove(1), queue.len(), queue.contains(5), queue.contains(1)), (None, 4, true, false));
        let (rank, waiting) = queue.remove(3).unwrap();
        queue.put_back(rank, waiting);
        assert_eq!(queue.iter().next().unwrap().outgoing.number, 3);
    }

    #[test]
    fn no_more_wait_than_are_kept() {
        let mut queue = Queue::default();
        for number in 0..WAITING_STANZAS_MAX as u64 {
            queue.push(Instant::ZERO, outgoing(number, 0, 0)).unwrap();
        }
        assert_eq!(
            queue.push(Instant::ZERO, outgoing(u64::MAX, 0, 0)),
            Err(SlowFault::Full { waiting: WAITING_STANZAS_MAX })
        );
    }
}
