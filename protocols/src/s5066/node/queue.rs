//! What waits for the air, in the order in which it goes: expedited, then priority, then age (A.2.1).
//!
//! Promises: a more urgent U_PDU is always found before a less urgent one. Each entry carries the state `T` of the
//! layer below. Bounded by the SIS server, which counts the octets it hands down.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Outgoing, RequestId};
use crate::time::Instant;

type Place = (Reverse<bool>, Reverse<u8>, RequestId);

/// The queue.
#[derive(Debug)]
pub struct TransmitQueue<T> {
    entries: BTreeMap<Place, Entry<T>>,
    places: BTreeMap<RequestId, Place>,
    deadlines: BTreeMap<(Instant, RequestId), ()>,
}

/// A U_PDU and how far it is.
#[derive(Debug)]
pub struct Entry<T> {
    /// The U_PDU.
    pub unit: Outgoing,
    /// How far the layer below is with it.
    pub state: T,
}

impl<T> Default for TransmitQueue<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), places: BTreeMap::new(), deadlines: BTreeMap::new() }
    }
}

impl<T> TransmitQueue<T> {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a U_PDU at its place.
    //= s5066/NODE-009
    pub fn insert(&mut self, unit: Outgoing, state: T) {
        let place = (Reverse(unit.expedited), Reverse(unit.priority), unit.id);
        self.places.insert(unit.id, place);
        self.deadlines.insert((unit.deadline, unit.id), ());
        self.entries.insert(place, Entry { unit, state });
    }

    /// Takes a U_PDU out.
    pub fn remove(&mut self, id: RequestId) -> Option<Entry<T>> {
        let place = self.places.remove(&id)?;
        let entry = self.entries.remove(&place)?;
        self.deadlines.remove(&(entry.unit.deadline, id));
        Some(entry)
    }

    /// One entry.
    pub fn entry_mut(&mut self, id: RequestId) -> Option<&mut Entry<T>> {
        self.entries.get_mut(self.places.get(&id)?)
    }

    /// One entry.
    pub fn entry(&self, id: RequestId) -> Option<&Entry<T>> {
        self.entries.get(self.places.get(&id)?)
    }

    /// All entries, the most urgent first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.values()
    }

    /// All entries, the most urgent first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<T>> {
        self.entries.values_mut()
    }

    /// Takes out one U_PDU whose deadline has passed.
    pub fn pop_expired(&mut self, now: Instant) -> Option<Entry<T>> {
        let (&(_, id), ()) = self.deadlines.first_key_value().filter(|((deadline, _), ())| *deadline <= now)?;
        self.remove(id)
    }

    /// The first deadline.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first_key_value().map(|(&(deadline, _), ())| deadline)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Carriage, Content};
    use super::*;
    use crate::bytes::Bytes;
    use crate::s5066::address::NodeAddress;
    use crate::s5066::sis::fields::SapId;

    fn unit(id: u64, priority: u8, expedited: bool, deadline: u64) -> Outgoing {
        Outgoing {
            id: RequestId(id),
            destination: NodeAddress::individual(2),
            sap: SapId::RCOP,
            source_sap: SapId::RCOP,
            priority,
            expedited,
            carriage: Carriage::Arq,
            in_order: false,
            client_confirm: false,
            deadline: Instant::from_micros(deadline),
            confirm_by: None,
            content: Content::Data(Bytes::new()),
        }
    }

    #[test]
    fn expedited_then_priority_then_age() {
        let mut queue = TransmitQueue::new();
        for (id, priority, expedited) in [(1, 3, false), (2, 12, false), (3, 0, true), (4, 12, false), (5, 3, false)] {
            queue.insert(unit(id, priority, expedited, 100 - id), ());
        }
        let order: Vec<u64> = queue.iter().map(|entry| entry.unit.id.0).collect();
        assert_eq!(order, [3, 2, 4, 1, 5]);
        assert_eq!(queue.next_deadline(), Some(Instant::from_micros(95)));
        let expired =
            |queue: &mut TransmitQueue<()>, now| queue.pop_expired(Instant::from_micros(now)).map(|e| e.unit.id.0);
        assert_eq!(expired(&mut queue, 96), Some(5));
        assert_eq!(expired(&mut queue, 96), Some(4));
        assert_eq!(expired(&mut queue, 96), None);
        assert!(queue.remove(RequestId(3)).is_some() && queue.remove(RequestId(3)).is_none());
        assert_eq!((queue.len(), queue.is_empty()), (2, false));
    }
}
