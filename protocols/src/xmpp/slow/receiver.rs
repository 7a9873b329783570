//! What one context receives: blocks read in the order of their numbers, stanzas yielded once.

use std::collections::BTreeMap;

use super::block::{Covered, Stored, Unit, whole, whole_far};
use super::dictionary::Dictionary;
use super::envelope::Envelopes;
use super::fault::SlowFault;
use super::limits::{
    BLOCK_CODED_OCTETS_MAX, BLOCK_TEXT_OCTETS_MAX, NEAR_BLOCKS_MAX, RETIRED_INSTANCES_MAX, WINDOW_BLOCKS_MAX,
};
use super::record::Received;
use super::short_id::{Ids, Place};
use super::symbols::{self, Decoded};
use super::window::Window;
use crate::time::Instant;
use crate::xmpp::limits::ReaderLimits;
use crate::xmpp::{Item, Stanza, StreamReader};

/// One context, inwards.
#[derive(Clone, Debug, Default)]
pub(super) struct Receiver {
    /// What is read; on disk after the next batch.
    pub(super) received: Option<Received>,
    /// What is on disk: this is acknowledged.
    pub(super) stored: Option<Stored>,
    /// Whether `received` is to be saved.
    pub(super) changed: bool,
    /// When an acknowledgement leaves on its own.
    pub(super) ack_due: Option<Instant>,
    /// Since when something is stored that was not acknowledged.
    pub(super) untold_since: Option<Instant>,
    /// Octets of the unit that was read last.
    pub(super) unit_octets: usize,
    /// The number that was acknowledged last.
    pub(super) told: u32,
    /// Stanzas that came since.
    pub(super) untold_stanzas: usize,
    context: u8,
    decoder: Option<Decoder>,
    /// Units that came before their turn.
    early: BTreeMap<u32, Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Decoder {
    window: Window,
    envelopes: Envelopes,
    /// The number that is read next.
    at: u32,
}

/// What a number on the air means now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// It is next.
    Now,
    /// It is kept until its turn.
    Early(u32),
    /// It was read before: the peer lacks an acknowledgement.
    Old,
    /// Nothing is known to read it with.
    NoEpoch,
}

/// What a block yielded.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Yield {
    /// What the peer acknowledges with it.
    pub(super) ack: Option<Stored>,
    /// The stanzas that end in it, if it was not stored before.
    pub(super) stanzas: Vec<Stanza>,
    /// What was no stanza.
    pub(super) faults: Vec<SlowFault>,
}

/// The first block of an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Start {
    pub(super) epoch: u16,
    pub(super) instance: u32,
    pub(super) number: u32,
}

impl Receiver {
    /// A context of which nothing is known, or what the records say.
    pub(super) fn new(context: u8, received: Option<Received>) -> Self {
        let stored = received.as_ref().map(|received| Stored { instance: received.instance, next: received.next });
        Self { context, stored, told: stored.map_or(0, |stored| stored.next), received, ..Self::default() }
    }

    /// When the block with these low bits is read: four of them, or eight where it is far ahead.
    pub(super) fn turn(&self, number_low: u8, is_far: bool) -> Turn {
        let Some(decoder) = &self.decoder else { return Turn::NoEpoch };
        let (number, window) = match is_far {
            false => (whole(decoder.at, number_low), NEAR_BLOCKS_MAX),
            true => (whole_far(decoder.at, number_low), WINDOW_BLOCKS_MAX),
        };
        match usize::try_from(number - decoder.at) {
            Ok(0) => Turn::Now,
            Ok(ahead) if ahead < window => Turn::Early(number),
            _ => Turn::Old,
        }
    }

    /// Keeps a unit until its turn.
    pub(super) fn keep(&mut self, number: u32, octets: &[u8]) {
        self.early.insert(number, octets.to_vec());
    }

    /// The unit kept for now.
    pub(super) fn take_early(&mut self) -> Option<Vec<u8>> {
        let at = self.decoder.as_ref()?.at;
        self.early.remove(&at)
    }

    /// Reads the block whose turn it is.
    ///
    /// # Errors
    /// It is not what it should be: nothing changed.
    pub(super) fn read(&mut self, unit: &Unit<'_>, acks: &[Option<Stored>], ids: &Ids) -> Result<Yield, SlowFault> {
        let no_epoch = SlowFault::NoEpoch { context: self.context };
        let (digest, body, is_far) = match *unit {
            Unit::Data { digest, body, .. } => (digest, body, false),
            Unit::Far { digest, body, .. } => (digest, body, true),
            Unit::Start { .. } | Unit::Request(_) | Unit::Ack { .. } | Unit::Alone { .. } => return Err(no_epoch),
        };
        let (Some(decoder), Some(received)) = (&mut self.decoder, &self.received) else { return Err(no_epoch) };
        let covered = Covered {
            instance: received.instance,
            epoch: received.epoch,
            context: self.context,
            number: decoder.at,
            ack: None,
        };
        let (content, envelopes, decoded) = decoder.open(body)?;
        let fits = |ack: &&Option<Stored>| {
            let covered = Covered { ack: **ack, ..covered };
            let (text, more) = (&decoded.text, decoded.more);
            digest == if is_far { covered.far(text, more) } else { covered.data(text, more) }
        };
        let ack = *acks.iter().find(fits).ok_or(SlowFault::Digest)?;
        decoder.take(&content, envelopes);
        Ok(Yield { ack, ..self.deliver(covered.number, decoded, ids) })
    }

    /// Whether the first block of an epoch is worth reading: not that of one that was left.
    pub(super) fn is_newer(&self, start: &Start) -> bool {
        let Some(received) = &self.received else { return true };
        if received.instance != start.instance {
            return !received.retired.contains(&start.instance);
        }
        let ahead = start.epoch.wrapping_sub(received.epoch);
        let is_newer = (1..0x8000).contains(&ahead);
        is_newer || (ahead == 0 && self.decoder.is_none())
    }

    /// Reads the first block of an epoch.
    ///
    /// # Errors
    /// It is not what it should be: nothing changed.
    pub(super) fn begin(
        &mut self,
        start: Start,
        dictionary: &Dictionary,
        unit: &Unit<'_>,
        ids: &Ids,
    ) -> Result<Yield, SlowFault> {
        let Unit::Start { digest, body, .. } = *unit else { return Err(SlowFault::Digest) };
        let Start { epoch, instance, number } = start;
        let mut decoder =
            Decoder { window: Window::new(&dictionary.octets), envelopes: Envelopes::default(), at: number };
        let (content, envelopes, decoded) = decoder.open(body)?;
        let covered = Covered { instance, epoch, context: self.context, number, ack: None };
        if covered.start(dictionary.digest, &decoded.text, decoded.more) != digest {
            return Err(SlowFault::Digest);
        }
        decoder.take(&content, envelopes);
        self.decoder = Some(decoder);
        self.early.clear();
        self.enter(start);
        Ok(self.deliver(number, decoded, ids))
    }

    /// Notes the epoch. An instance that is new begins its numbers anew; one that is known has had an acknowledgement
    /// for all numbers below the one it begins with.
    fn enter(&mut self, start: Start) {
        let mut received = self.received.take().unwrap_or_default();
        if received.instance != start.instance {
            if self.stored.is_some() {
                received.retired.push(received.instance);
            }
            let excess = received.retired.len().saturating_sub(RETIRED_INSTANCES_MAX);
            received.retired.drain(..excess);
            received = Received {
                instance: start.instance,
                next: start.number,
                retired: received.retired,
                ..Received::default()
            };
            self.stored = Some(Stored { instance: start.instance, next: start.number });
            self.told = start.number;
        } else if received.next < start.number {
            received.next = start.number;
            received.partial = None;
        }
        received.epoch = start.epoch;
        self.received = Some(received);
        self.changed = true;
    }

    /// Yields the stanzas of a block that was not stored before.
    //= xmpp/SLOW-014
    fn deliver(&mut self, number: u32, decoded: Decoded, ids: &Ids) -> Yield {
        let mut found = Yield::default();
        let Some(received) = &mut self.received else { return found };
        if number != received.next {
            return found;
        }
        received.next = number + 1;
        self.changed = true;
        let (begun, mut text) = match received.partial.take() {
            Some((begun, text)) => (Some(begun), text),
            None => (None, Vec::new()),
        };
        let begins_here = begun.is_none();
        text.extend_from_slice(&decoded.text);
        if decoded.more {
            // A stanza that goes on is alone in its blocks up to its last one.
            if text.len() <= ReaderLimits::HF.stanza_octets {
                received.partial = Some((begun.unwrap_or(number), text));
            } else {
                found.faults.push(SlowFault::TooLarge { cap: ReaderLimits::HF.stanza_octets });
            }
            return found;
        }
        let (context, peer) = (self.context, received.instance);
        let places = (0..).map(|index: u16| match (begun, index) {
            (Some(begun), 0) => Place { context, number: begun, index: 0 },
            _ => Place { context, number, index: index - u16::from(!begins_here) },
        });
        read_stanzas(&text, places, ids, peer, &mut found);
        found
    }
}

impl Decoder {
    fn open(&self, body: &[u8]) -> Result<(Vec<u8>, Envelopes, Decoded), SlowFault> {
        let content = self.window.inflate(body, BLOCK_CODED_OCTETS_MAX)?;
        let mut envelopes = self.envelopes.clone();
        let decoded = symbols::decode(&mut envelopes, &content, BLOCK_TEXT_OCTETS_MAX)?;
        Ok((content, envelopes, decoded))
    }

    fn take(&mut self, content: &[u8], envelopes: Envelopes) {
        self.window.push(content);
        self.envelopes = envelopes;
        self.at += 1;
    }
}

/// Cuts text into stanzas and gives them back their ids; what is none is a fault, and the rest is read on where possible.
fn read_stanzas(text: &[u8], places: impl Iterator<Item = Place>, ids: &Ids, peer: u32, found: &mut Yield) {
    let mut reader = StreamReader::headless(ReaderLimits::HF);
    reader.read(text);
    let broken = |why: String| SlowFault::Stanza { why };
    for place in places {
        match reader.next() {
            Ok(Some(Item::Element(element))) => match Stanza::from_element(ids.restore(element, peer, place)) {
                Ok(stanza) => found.stanzas.push(stanza),
                Err(fault) => found.faults.push(broken(fault.to_string())),
            },
            // Those before and behind it are other people's.
            Ok(Some(Item::Skipped(skipped))) => found.faults.push(broken(skipped.fault.to_string())),
            Ok(Some(Item::Header(_) | Item::End)) => found.faults.push(broken("a stream in a block".to_owned())),
            Ok(None) if reader.is_inside() => return found.faults.push(broken("it does not end".to_owned())),
            Ok(None) => return,
            Err(fault) => return found.faults.push(broken(fault.to_string())),
        }
    }
}

impl Receiver {
    /// What is acknowledged now.
    pub(super) fn ack(&self) -> Option<Stored> {
        self.stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_that_were_left_do_not_come_back() {
        let start = |instance, epoch| Start { epoch, instance, number: 0 };
        let mut receiver = Receiver::new(0, None);
        receiver.enter(start(1, 5));
        assert!(receiver.is_newer(&start(1, 6)) && !receiver.is_newer(&start(1, 4)));
        assert!(receiver.is_newer(&start(1, 5)), "nothing to read with yet");
        receiver.decoder = Some(Decoder { window: Window::default(), envelopes: Envelopes::default(), at: 0 });
        assert!(!receiver.is_newer(&start(1, 5)));
        receiver.enter(start(2, 1));
        assert!(receiver.is_newer(&start(2, 2)) && !receiver.is_newer(&start(1, 9)));
        (3..20).for_each(|instance| receiver.enter(start(instance, 1)));
        assert_eq!(receiver.received.as_ref().unwrap().retired.len(), RETIRED_INSTANCES_MAX);
    }

    #[test]
    fn turns() {
        let mut receiver = Receiver::new(0, None);
        assert_eq!(receiver.turn(0, false), Turn::NoEpoch);
        receiver.decoder = Some(Decoder { window: Window::default(), envelopes: Envelopes::default(), at: 30 });
        for (low, expected) in
            [(14, Turn::Now), (15, Turn::Early(31)), (5, Turn::Early(37)), (6, Turn::Old), (13, Turn::Old)]
        {
            assert_eq!(receiver.turn(low, false), expected, "{low}");
        }
        for (low, expected) in [
            (30, Turn::Now),
            (31, Turn::Early(31)),
            (93, Turn::Early(93)),
            (94, Turn::Old),
            (29, Turn::Old),
            (222, Turn::Old),
        ] {
            assert_eq!(receiver.turn(low, true), expected, "{low}");
        }
    }

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// What another program wrote (conformance/vectors/slow): a first block, the next one, and that one again as the
    /// first of another epoch, for a reader that was restarted.
    #[test]
    fn units_of_another_program_are_read_and_a_restart_repeats_nothing() {
        let [first, second, again] = [
            "800000010102030400000000e3b0c43c0cb2fb6b939b5a5c9c989eaa50926fab9ee49096999a93a2975a91985b9093aaae9056949f6bab9ee890510817b3b349ca4fa9b4bbb0e5c2061b7d30d3461f6a861d",
            "05ce04eefb4bb6697b2f6cbdd884611e",
            "800000020102030400000001e3b0c447aaf2fb6b939b5a5c9c989eaa50926fab9ee49096999a93a2975a91985b9093aaae9056949f6bab9ee890510817b3b349ca4fa9b4bbb0f7c2d68b4d36fa608e8d3ed4143b",
        ]
        .map(octets);
        let dictionaries = super::super::dictionary::Dictionaries::new(&[]);
        let ids = Ids::new(9);
        let begin = |receiver: &mut Receiver, octets: &[u8]| {
            let unit = Unit::read(octets).unwrap();
            let Unit::Start { epoch, instance, number, dictionary, .. } = unit else { panic!("{unit:?}") };
            let start = Start { epoch, instance, number };
            assert!(receiver.is_newer(&start));
            receiver.begin(start, dictionaries.find(dictionary).unwrap(), &unit, &ids)
        };
        let mut receiver = Receiver::new(0, None);
        let found = begin(&mut receiver, &first).unwrap();
        assert_eq!(found.stanzas[0].element().get_child("body", "jabber:server").unwrap().text(), "\u{434}\u{430}");
        let unit = Unit::read(&second).unwrap();
        let acks = |next| [None, Some(Stored { instance: 0x0a0b_0c0d, next })];
        assert_eq!(receiver.read(&unit, &acks(23), &ids), Err(SlowFault::Digest));
        let found = receiver.read(&unit, &acks(7), &ids).unwrap();
        assert_eq!(
            found.stanzas[0].element().get_child("body", "jabber:server").unwrap().text(),
            "\u{43d}\u{435}\u{442}"
        );
        assert_eq!(found.ack, Some(Stored { instance: 0x0a0b_0c0d, next: 7 }));
        let mut restarted = Receiver::new(0, receiver.received.clone());
        assert_eq!(restarted.turn(1, false), Turn::NoEpoch);
        assert_eq!(begin(&mut restarted, &again).unwrap().stanzas, []);
        assert_eq!((restarted.turn(2, false), restarted.turn(1, false)), (Turn::Now, Turn::Old));
        let mut new = Receiver::new(0, None);
        assert_eq!(begin(&mut new, &again).unwrap().stanzas.len(), 1);
    }
}
