//! What a station hears: parts put together, repeats suppressed, U_PDUs in order, acknowledgements owed.
//!
//! Promises: a U_PDU comes out once, whole (or, in the mode with errors, as much as arrived), and in order where asked.
//! What was given out stays known for a while, so that a repeat is acknowledged again and not given out again. Memory is
//! bounded per source and in sources; the source unheard longest, and the oldest half U_PDU, go first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skywave_protocols::bytes::{Bytes, BytesMut};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::Incoming;
use skywave_protocols::s5066::sis::fields::TransmissionMode;
use skywave_protocols::time::Instant;

use super::frame::{ACK_OVERHEAD_OCTETS, AckFrame, AckRecord, AckStatus, AirFrame, DataFrame};
use super::limits::{
    ACKS_PER_TRANSMISSION_MAX, OWED_PER_SOURCE_MAX, PARTIAL_AGE_MAX, PARTIALS_PER_SOURCE_MAX,
    REASSEMBLY_OCTETS_PER_SOURCE_MAX, RECORDS_PER_ACK_MAX, REMEMBERED_PER_SOURCE_MAX, SOURCES_MAX, WITH_ERRORS_WAIT,
};

/// Something whole that came from another node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Arrival {
    pub(super) source: NodeAddress,
    pub(super) unit: u16,
    pub(super) hard_link: bool,
    pub(super) incoming: Incoming,
}

#[derive(Debug)]
struct Partial {
    head: DataFrame,
    parts: Vec<Option<Bytes>>,
    octets: usize,
    heard: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Done {
    Delivered,
    NotBound,
}

#[derive(Debug, Default)]
struct Source {
    partials: BTreeMap<u16, Partial>,
    done: BTreeMap<u16, Done>,
    done_order: VecDeque<u16>,
    owed: BTreeSet<u16>,
    octets: usize,
    heard: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    sources: BTreeMap<NodeAddress, Source>,
}

impl Inbox {
    /// Takes a part. What is whole by it comes back, in the order in which it is to be given out; each is answered by
    /// [`Inbox::settle`] before the next frame.
    pub(super) fn data(&mut self, now: Instant, frame: DataFrame) -> Vec<Arrival> {
        let address = frame.source;
        self.make_room(address);
        let source = self.sources.entry(address).or_default();
        source.heard = now;
        let unit = frame.unit;
        if frame.arq && source.owed.len() < OWED_PER_SOURCE_MAX {
            source.owed.insert(unit);
        }
        if source.done.contains_key(&unit) {
            return Vec::new();
        }
        source.add(now, frame);
        source.release(address, unit)
    }

    /// An arrival was given to its client, or dropped because none is bound. What waited for it comes back.
    pub(super) fn settle(&mut self, address: NodeAddress, unit: u16, bound: bool) -> Vec<Arrival> {
        let Some(source) = self.sources.get_mut(&address) else { return Vec::new() };
        source.remember(unit, if bound { Done::Delivered } else { Done::NotBound });
        let waiting: Vec<u16> = source
            .partials
            .iter()
            .filter(|(_, partial)| partial.head.after == Some(unit) && partial.is_whole())
            .map(|(&unit, _)| unit)
            .collect();
        waiting
            .into_iter()
            .flat_map(|unit| {
                // The sender learns that it is no longer held.
                if source.owed.len() < OWED_PER_SOURCE_MAX {
                    source.owed.insert(unit);
                }
                source.release(address, unit)
            })
            .collect()
    }

    /// Whether anybody is owed an acknowledgement.
    pub(super) fn owes(&self) -> bool {
        self.sources.values().any(|source| !source.owed.is_empty())
    }

    /// Whether this source is owed an acknowledgement.
    pub(super) fn owes_to(&self, source: NodeAddress) -> bool {
        self.sources.get(&source).is_some_and(|source| !source.owed.is_empty())
    }

    /// The acknowledgements owed, those of `first` first, in at most `budget` octets; what is taken is owed no more.
    pub(super) fn acknowledge(
        &mut self,
        own: NodeAddress,
        first: Option<NodeAddress>,
        turn: u8,
        budget: &mut usize,
    ) -> Vec<Bytes> {
        let mut order: Vec<NodeAddress> = first.into_iter().filter(|first| self.owes_to(*first)).collect();
        order.extend(self.sources.iter().filter(|(a, s)| Some(**a) != first && !s.owed.is_empty()).map(|(&a, _)| a));
        let mut frames = Vec::new();
        for address in order {
            let Some(source) = self.sources.get_mut(&address) else { continue };
            while frames.len() < ACKS_PER_TRANSMISSION_MAX && !source.owed.is_empty() {
                let records = source.take_records(budget);
                if records.is_empty() {
                    return frames;
                }
                let ack = AckFrame { source: own, destination: address, turn, records };
                frames.push(AirFrame::Ack(ack).encode());
            }
        }
        frames
    }

    /// Gives out what is in the mode with errors and gets no more parts, and forgets what is too old.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        for (&address, source) in &mut self.sources {
            let old: Vec<u16> = source.partials.iter().filter(|(_, p)| p.due() <= now).map(|(&unit, _)| unit).collect();
            for unit in old {
                let Some(partial) = source.drop_partial(unit) else { continue };
                arrivals.extend(partial.incoming().filter(|_| partial.head.with_errors).map(|incoming| Arrival {
                    source: address,
                    unit,
                    hard_link: false,
                    incoming,
                }));
            }
        }
        arrivals
    }

    /// When [`Inbox::expire`] has something to do.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.sources.values().flat_map(|source| source.partials.values().map(Partial::due)).min()
    }

    /// U_PDUs that are not whole or wait for earlier ones, and their octets.
    pub(super) fn waiting(&self) -> (usize, usize) {
        self.sources.values().fold((0, 0), |(units, octets), s| (units + s.partials.len(), octets + s.octets))
    }

    /// What exceeds its limit, in words; `None` when all is well.
    pub(super) fn over_limit(&self) -> Option<String> {
        let counted = |s: &Source| {
            [
                (s.partials.len(), PARTIALS_PER_SOURCE_MAX),
                (s.octets, REASSEMBLY_OCTETS_PER_SOURCE_MAX),
                (s.owed.len(), OWED_PER_SOURCE_MAX + PARTIALS_PER_SOURCE_MAX),
                (s.done_order.len(), REMEMBERED_PER_SOURCE_MAX),
                (s.done.len(), REMEMBERED_PER_SOURCE_MAX),
            ]
        };
        let sources = [(self.sources.len(), SOURCES_MAX)];
        let counts = self.sources.values().flat_map(counted).chain(sources);
        counts.into_iter().find(|(is, most)| is > most).map(|(is, most)| format!("{is} held, {most} are allowed"))
    }

    fn make_room(&mut self, address: NodeAddress) {
        if self.sources.contains_key(&address) || self.sources.len() < SOURCES_MAX {
            return;
        }
        let oldest = self.sources.iter().min_by_key(|(_, source)| source.heard).map(|(&address, _)| address);
        if let Some(oldest) = oldest {
            self.sources.remove(&oldest);
        }
    }
}

impl Source {
    fn add(&mut self, now: Instant, frame: DataFrame) {
        let unit = frame.unit;
        // A number used anew: what was half received under it is worth nothing.
        if self.partials.get(&unit).is_some_and(|old| !old.head.is_same_unit(&frame)) {
            self.drop_partial(unit);
        }
        let octets = frame.part.len();
        while !self.partials.contains_key(&unit) && self.partials.len() >= PARTIALS_PER_SOURCE_MAX
            || self.octets + octets > REASSEMBLY_OCTETS_PER_SOURCE_MAX
        {
            let oldest = self.partials.iter().min_by_key(|(_, partial)| partial.heard).map(|(&unit, _)| unit);
            let Some(oldest) = oldest else { return };
            self.drop_partial(oldest);
        }
        let index = usize::from(frame.index);
        let partial = self.partials.entry(unit).or_insert_with(|| Partial {
            parts: vec![None; usize::from(frame.count)],
            octets: 0,
            heard: now,
            head: DataFrame { part: Bytes::new(), ..frame.clone() },
        });
        partial.heard = now;
        partial.head.after = frame.after;
        if let Some(part) = partial.parts.get_mut(index)
            && part.is_none()
        {
            partial.octets += octets;
            self.octets += octets;
            *part = Some(frame.part);
        }
    }

    /// Takes a unit out if it is whole and nothing has to come out before it.
    fn release(&mut self, address: NodeAddress, unit: u16) -> Vec<Arrival> {
        let done = &self.done;
        let ready =
            |partial: &Partial| partial.is_whole() && partial.head.after.is_none_or(|after| done.contains_key(&after));
        if !self.partials.get(&unit).is_some_and(ready) {
            return Vec::new();
        }
        let Some(partial) = self.drop_partial(unit) else { return Vec::new() };
        let hard_link = partial.head.hard_link;
        partial.incoming().map(|incoming| Arrival { source: address, unit, hard_link, incoming }).into_iter().collect()
    }

    fn drop_partial(&mut self, unit: u16) -> Option<Partial> {
        let partial = self.partials.remove(&unit)?;
        self.octets = self.octets.saturating_sub(partial.octets);
        Some(partial)
    }

    fn remember(&mut self, unit: u16, done: Done) {
        if self.done.insert(unit, done).is_none() {
            self.done_order.push_back(unit);
        }
        if self.done_order.len() > REMEMBERED_PER_SOURCE_MAX
            && let Some(oldest) = self.done_order.pop_front()
        {
            self.done.remove(&oldest);
        }
    }

    fn take_records(&mut self, budget: &mut usize) -> Vec<AckRecord> {
        let mut records = Vec::new();
        let mut cost = ACK_OVERHEAD_OCTETS;
        while records.len() < RECORDS_PER_ACK_MAX
            && let Some(&unit) = self.owed.first()
        {
            let record = AckRecord { unit, status: self.status(unit) };
            if cost + record.octets() > *budget {
                break;
            }
            cost += record.octets();
            self.owed.remove(&unit);
            records.push(record);
        }
        if !records.is_empty() {
            *budget -= cost;
        }
        records
    }

    fn status(&self, unit: u16) -> AckStatus {
        match (self.done.get(&unit), self.partials.get(&unit)) {
            (Some(Done::Delivered), _) => AckStatus::Delivered,
            (Some(Done::NotBound), _) => AckStatus::NotBound,
            (None, Some(partial)) if partial.is_whole() => AckStatus::Held,
            (None, Some(partial)) => AckStatus::Partial(partial.parts.iter().map(Option::is_some).collect()),
            // Dropped for want of room: the sender begins anew.
            (None, None) => AckStatus::Partial(Vec::new()),
        }
    }
}

impl Partial {
    fn is_whole(&self) -> bool {
        self.parts.iter().all(Option::is_some)
    }

    fn due(&self) -> Instant {
        self.heard + if self.head.with_errors { WITH_ERRORS_WAIT } else { PARTIAL_AGE_MAX }
    }

    /// The U_PDU, gaps filled with zeroes and listed. `None` when the size of a gap is not known.
    fn incoming(&self) -> Option<Incoming> {
        let known = self.parts.iter().rev().skip(1).flatten().next().map(Bytes::len);
        let mut octets = BytesMut::new();
        let mut missing = Vec::new();
        let last = self.parts.len() - 1;
        for (index, part) in self.parts.iter().enumerate() {
            match part {
                Some(part) => octets.extend_from_slice(part),
                // How long the last part would be is not known: it is left out.
                None if index == last => {}
                None => {
                    let gap = known?;
                    missing.push((u16::try_from(octets.len()).ok()?, u16::try_from(gap).ok()?));
                    octets.resize(octets.len() + gap, 0);
                }
            }
        }
        u16::try_from(octets.len()).ok()?;
        let head = &self.head;
        let transmission = match (head.arq, head.with_errors) {
            (true, _) => TransmissionMode::Arq,
            (false, true) => TransmissionMode::NonArqWithErrors,
            (false, false) => TransmissionMode::NonArq,
        };
        Some(Incoming {
            source: head.source,
            destination: head.destination,
            source_sap: head.source_sap,
            sap: head.sap,
            priority: head.priority,
            expedited: head.expedited,
            transmission,
            missing,
            u_pdu: octets.freeze(),
        })
    }
}

impl DataFrame {
    fn is_same_unit(&self, other: &Self) -> bool {
        let key =
            |frame: &Self| (frame.destination, frame.source_sap, frame.sap, frame.arq, frame.hard_link, frame.count);
        key(self) == key(other)
    }
}
