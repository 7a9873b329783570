//! Stanzas that wait for one far site.
//!
//! Promises: at most so many and so many octets; a stanza reaches a session only after its row is on the disk, or in the
//! batch that is being made (if its kind is kept there), and after everything that came before it in its conversation; it takes no other link than what
//! came before it in its conversation, at its precedence, until that is gone, nor goes beside what has a label of
//! another group, whose blocks it could overtake; what is replaced by something newer, or
//! late, is named once. The order between conversations is the session's, by precedence.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skywave_protocols::message::precedence::MtPriority;
use skywave_protocols::time::{Instant, WallTime};
use skywave_protocols::xmpp::fate::{Fate, is_directed};
use skywave_protocols::xmpp::{Kind, Stanza};

use crate::chat::Way;

/// A stanza on its way to a link.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The stanza.
    pub stanza: Stanza,
    /// Its size in octets.
    pub octets: usize,
    /// When it was taken over.
    pub since: WallTime,
    /// When it is given up, unless it is on its way by then.
    pub until: Option<Instant>,
    /// What becomes of its kind.
    pub fate: Fate,
    /// Its precedence on the link.
    pub priority: MtPriority,
    /// Newer ones with the same key take its place.
    pub replace: Option<Vec<u8>>,
    /// A rule lets it wait at least so long.
    pub hold: Option<Instant>,
    /// A rule has it take this link.
    pub route: Option<Way>,
    /// A rule lets it wait for a link that is at least so fast, in bit/s.
    pub bits_per_second_min: Option<u32>,
    /// Labels of another group share no compression with it.
    pub label_group: u8,
    /// The operator keeps it back, and with it what follows it in its conversation.
    pub kept: bool,
    /// It took the place of one that left a room, which has not left this site.
    pub stands_for_leave: bool,
    /// What the door calls it, until it was told that we have it.
    pub arrival: Option<u64>,
}

impl Waiting {
    /// Whether with it the far site would not learn that a user has left a room.
    pub fn is_leave(&self) -> bool {
        self.stands_for_leave || self.stanza.kind() == Kind::Presence && self.stanza.typ() == Some("unavailable")
    }
}

/// Who talks to whom: bare addresses.
type Conversation = (String, String);

#[derive(Debug)]
struct Entry {
    waiting: Waiting,
    /// Its row is on the disk, or it needs none.
    stored: bool,
    /// A rule holds it back.
    held: bool,
    /// It is its turn: it is with a session, or waits for a link.
    released: bool,
    /// The link whose session has it.
    way: Option<Way>,
}

/// A conversation's stanzas by number.
#[derive(Debug, Default)]
struct Talk {
    /// Whose turn has not come, in order.
    held: VecDeque<u64>,
    /// Whose turn has come.
    released: BTreeSet<u64>,
}

/// Why a stanza cannot wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Full {
    /// Too many wait.
    #[error("{0} stanzas wait for the link already")]
    Stanzas(usize),
    /// Too many octets wait.
    #[error("{0} octets wait for the link already")]
    Octets(usize),
}

/// The queue. See the module.
#[derive(Debug, Default)]
pub struct OutQueue {
    entries: BTreeMap<u64, Entry>,
    octets: usize,
    until: BTreeSet<(Instant, u64)>,
    holds: BTreeSet<(Instant, u64)>,
    replaceable: BTreeMap<Vec<u8>, u64>,
    talks: BTreeMap<Conversation, Talk>,
    /// Whose turn has come and that no session has.
    parked: usize,
    /// How many a rule has take a link.
    routed: BTreeMap<Way, usize>,
}

impl OutQueue {
    /// Whether one more of this size may wait, in the place of the one that it replaces, if any.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn room(&self, octets: usize, old: Option<u64>, stanzas_max: usize, octets_max: usize) -> Result<(), Full> {
        let old = old.and_then(|old| self.get(old)).map(|waiting| waiting.octets);
        if self.entries.len() - usize::from(old.is_some()) >= stanzas_max {
            return Err(Full::Stanzas(self.entries.len()));
        }
        if self.octets - old.unwrap_or_default() + octets > octets_max {
            return Err(Full::Octets(self.octets));
        }
        Ok(())
    }

    /// Takes a stanza; `stored` says that nothing is to be written first. What can go to the session now is yielded.
    pub fn push(&mut self, number: u64, waiting: Waiting, stored: bool) -> Vec<u64> {
        self.octets += waiting.octets;
        if let Some(until) = waiting.until {
            self.until.insert((until, number));
        }
        if let Some(key) = &waiting.replace {
            self.replaceable.insert(key.clone(), number);
        }
        if let Some(hold) = waiting.hold {
            self.holds.insert((hold, number));
        }
        if let Some(way) = waiting.route {
            *self.routed.entry(way).or_default() += 1;
        }
        let conversation = conversation(&waiting.stanza);
        self.talks.entry(conversation.clone()).or_default().held.push_back(number);
        let held = waiting.hold.is_some();
        self.entries.insert(number, Entry { waiting, stored, held, released: false, way: None });
        self.release(&conversation)
    }

    /// Its row is on the disk, or will be with what is made of it now. What can go to the session now is yielded, in order.
    pub fn stored(&mut self, number: u64) -> Vec<u64> {
        let Some(entry) = self.entries.get_mut(&number) else { return Vec::new() };
        entry.stored = true;
        let conversation = conversation(&entry.waiting.stanza);
        self.release(&conversation)
    }

    //= xmpp/CHAT-005
    fn release(&mut self, conversation: &Conversation) -> Vec<u64> {
        let mut released = Vec::new();
        let Some(talk) = self.talks.get_mut(conversation) else { return released };
        while let Some(&number) = talk.held.front() {
            match self.entries.get_mut(&number) {
                Some(entry) if !entry.stored || entry.held || entry.waiting.kept => break,
                Some(entry) => {
                    entry.released = true;
                    self.parked += 1;
                    talk.released.insert(number);
                    released.push(number);
                }
                None => {}
            }
            talk.held.pop_front();
        }
        if talk.held.is_empty() && talk.released.is_empty() {
            self.talks.remove(conversation);
        }
        released
    }

    /// Notes that the session of a link gets it; false while something before it in its conversation, of its precedence,
    /// waits for a link, is with another one's session, or has a label of another group and so another context: then it
    /// waits too.
    //= xmpp/CHAT-005
    pub fn place(&mut self, number: u64, way: Way) -> bool {
        let Some(entry) = self.entries.get(&number).filter(|entry| entry.released && entry.way.is_none()) else {
            return false;
        };
        let (priority, group) = (entry.waiting.priority, entry.waiting.label_group);
        let talk = self.talks.get(&conversation(&entry.waiting.stanza));
        let before = talk.into_iter().flat_map(|talk| talk.released.range(..number).rev());
        let mut before =
            before.filter_map(|other| self.entries.get(other)).filter(|it| it.waiting.priority == priority);
        // What came before the last one went where that went. A single unit shares nothing with others.
        let apart = |last: &Entry| way != Way::Units && last.waiting.label_group != group;
        if before.next().is_some_and(|last| last.way != Some(way) || apart(last)) {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.way = Some(way);
            self.parked -= 1;
        }
        true
    }

    /// Its session has given it back: it waits for a link.
    pub fn unplace(&mut self, number: u64) {
        if let Some(entry) = self.entries.get_mut(&number)
            && entry.way.take().is_some()
        {
            self.parked += 1;
        }
    }

    /// The link whose session has it.
    pub fn way(&self, number: u64) -> Option<Way> {
        self.entries.get(&number)?.way
    }

    /// Whether some have their turn and no session.
    pub const fn has_parked(&self) -> bool {
        self.parked > 0
    }

    /// Whether a rule has some take this link.
    pub fn is_routed(&self, way: Way) -> bool {
        self.routed.contains_key(&way)
    }

    /// All whose turn has come, the oldest first.
    pub fn released(&self) -> Vec<u64> {
        self.entries.iter().filter(|(_, entry)| entry.released).map(|(&number, _)| number).collect()
    }

    /// The presence of the same client to the same room, or to another of its seats, the oldest first.
    pub fn same_seat(&self, stanza: &Stanza) -> Vec<u64> {
        let Some(talk) = self.talks.get(&conversation(stanza)) else { return Vec::new() };
        let same = |number: &u64| {
            self.get(*number).is_some_and(|waiting| {
                let other = &waiting.stanza;
                let says = matches!(other.typ(), None | Some("unavailable"));
                other.kind() == Kind::Presence && says && is_directed(other) && other.from() == stanza.from()
            })
        };
        talk.released.iter().chain(&talk.held).copied().filter(same).collect()
    }

    /// Lets go what no rule holds back any more. What can go to the session now is yielded.
    pub fn unhold(&mut self, now: Instant) -> Vec<u64> {
        let mut released = Vec::new();
        while let Some(&(hold, number)) = self.holds.first().filter(|(hold, _)| *hold <= now) {
            self.holds.remove(&(hold, number));
            let Some(entry) = self.entries.get_mut(&number) else { continue };
            entry.held = false;
            let conversation = conversation(&entry.waiting.stanza);
            released.extend(self.release(&conversation));
        }
        released
    }

    /// What has had its turn in its conversation after this one, the newest first.
    pub fn behind(&self, number: u64) -> Vec<u64> {
        let talk = self.entries.get(&number).and_then(|entry| self.talks.get(&conversation(&entry.waiting.stanza)));
        talk.map_or_else(Vec::new, |talk| talk.released.range(number + 1..).rev().copied().collect())
    }

    /// Keeps one back that no session has, and what follows it in its conversation and no session has.
    //= xmpp/CHAT-020
    pub fn keep_back(&mut self, number: u64) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        entry.waiting.kept = true;
        let Some(talk) = self.talks.get_mut(&conversation(&entry.waiting.stanza)) else { return };
        let ours = |number: &u64| self.entries.get(number).is_some_and(|entry| entry.way.is_none());
        let back: Vec<u64> = talk.released.range(number..).copied().filter(ours).collect();
        for number in back.iter().rev() {
            talk.released.remove(number);
            // Whatever waits for its turn came after it.
            talk.held.push_front(*number);
            if let Some(entry) = self.entries.get_mut(number) {
                entry.released = false;
                self.parked -= 1;
            }
        }
    }

    /// Keeps one back no more. What can go to the session now is yielded.
    pub fn let_go(&mut self, number: u64) -> Vec<u64> {
        let Some(entry) = self.entries.get_mut(&number) else { return Vec::new() };
        entry.waiting.kept = false;
        let conversation = conversation(&entry.waiting.stanza);
        self.release(&conversation)
    }

    /// When the next one is let go.
    pub fn next_hold(&self) -> Option<Instant> {
        self.holds.first().map(|(hold, _)| *hold)
    }

    /// What waits with this key and could be replaced, if the session gives it back.
    pub fn replaceable(&self, key: &[u8]) -> Option<u64> {
        self.replaceable.get(key).copied()
    }

    /// Whether its row is on the disk, or it needs none.
    pub fn is_stored(&self, number: u64) -> bool {
        self.entries.get(&number).is_some_and(|entry| entry.stored)
    }

    /// Whether the session has it.
    pub fn is_released(&self, number: u64) -> bool {
        self.entries.get(&number).is_some_and(|entry| entry.released)
    }

    /// One of them.
    pub fn get(&self, number: u64) -> Option<&Waiting> {
        self.entries.get(&number).map(|entry| &entry.waiting)
    }

    /// One of them, to change anything but its stanza, time and key.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut Waiting> {
        self.entries.get_mut(&number).map(|entry| &mut entry.waiting)
    }

    /// Takes one out; what waited behind it and can go to the session now is yielded too.
    pub fn remove(&mut self, number: u64) -> Option<(Waiting, Vec<u64>)> {
        let entry = self.entries.remove(&number)?;
        self.octets = self.octets.saturating_sub(entry.waiting.octets);
        if let Some(until) = entry.waiting.until {
            self.until.remove(&(until, number));
        }
        if let Some(hold) = entry.waiting.hold {
            self.holds.remove(&(hold, number));
        }
        if let Some(key) = &entry.waiting.replace
            && self.replaceable.get(key) == Some(&number)
        {
            self.replaceable.remove(key);
        }
        if let Some(way) = entry.waiting.route
            && let Some(count) = self.routed.get_mut(&way)
        {
            *count -= 1;
            if *count == 0 {
                self.routed.remove(&way);
            }
        }
        let freed = self.leave(number, &entry);
        Some((entry.waiting, freed))
    }

    /// Takes one out of its conversation; what it held back is yielded.
    fn leave(&mut self, number: u64, entry: &Entry) -> Vec<u64> {
        let conversation = conversation(&entry.waiting.stanza);
        if !entry.released {
            return self.release(&conversation);
        }
        if entry.way.is_none() {
            self.parked -= 1;
        }
        let Some(talk) = self.talks.get_mut(&conversation) else { return Vec::new() };
        talk.released.remove(&number);
        let entries = &self.entries;
        let parked = |number: &&u64| entries.get(number).is_some_and(|entry| entry.way.is_none());
        // Mostly nothing is parked: a long conversation is then not looked through for each of its stanzas.
        let freed = if self.parked == 0 { Vec::new() } else { talk.released.iter().filter(parked).copied().collect() };
        if talk.held.is_empty() && talk.released.is_empty() {
            self.talks.remove(&conversation);
        }
        freed
    }

    /// Those whose time has passed; each is named once.
    pub fn late(&mut self, now: Instant) -> Vec<u64> {
        let mut late = Vec::new();
        while let Some(&(until, number)) = self.until.first().filter(|(until, _)| *until <= now) {
            self.until.remove(&(until, number));
            late.push(number);
        }
        late
    }

    /// When the next one is late.
    pub fn next_late(&self) -> Option<Instant> {
        self.until.first().map(|(until, _)| *until)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Octets that wait.
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// All, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Waiting)> {
        self.entries.iter().map(|(&number, entry)| (number, &entry.waiting))
    }
}

fn conversation(stanza: &Stanza) -> Conversation {
    (stanza.from().to_bare().to_string(), stanza.to().to_bare().to_string())
}

#[cfg(test)]
mod tests {
    use skywave_protocols::message::precedence::Precedence;
    use skywave_protocols::xmpp::fate::Lives;

    use super::*;

    fn waiting(from: &str, until: u64) -> Waiting {
        let text = format!("<message from='{from}' to='b@field.test' type='chat'><body>x</body></message>");
        let stanza = Stanza::parse(text.as_bytes()).unwrap();
        let fate = Lives::HF.fate(&stanza, Precedence::Routine);
        Waiting {
            octets: 10,
            stanza,
            fate,
            since: WallTime::default(),
            until: Some(Instant::from_micros(until)),
            priority: Precedence::Routine.mt_priority(),
            replace: None,
            hold: None,
            route: None,
            bits_per_second_min: None,
            label_group: 0,
            kept: false,
            stands_for_leave: false,
            arrival: None,
        }
    }

    #[test]
    fn a_conversation_keeps_its_order_whatever_the_disk_does() {
        let mut queue = OutQueue::default();
        assert!(queue.push(1, waiting("a@hq.test/x", 1), false).is_empty());
        assert!(queue.push(2, waiting("a@hq.test/y", 1), true).is_empty(), "behind the first");
        assert_eq!(queue.push(3, waiting("c@hq.test", 1), true), [3], "another conversation");
        assert!(queue.push(4, waiting("a@hq.test/x", 1), false).is_empty());
        assert!(queue.stored(4).is_empty());
        assert_eq!(queue.stored(1), [1, 2, 4]);
        assert!(queue.is_released(2) && queue.len() == 4);
    }

    #[test]
    fn what_a_rule_holds_waits_and_with_it_its_conversation() {
        let mut queue = OutQueue::default();
        let hold = Some(Instant::from_micros(7));
        assert!(queue.push(1, Waiting { hold, ..waiting("a@hq.test", 9) }, true).is_empty());
        assert!(queue.push(2, waiting("a@hq.test", 9), true).is_empty());
        assert_eq!(queue.next_hold(), hold);
        assert!(queue.unhold(Instant::from_micros(6)).is_empty());
        assert_eq!(queue.unhold(Instant::from_micros(7)), [1, 2]);
        assert_eq!(queue.next_hold(), None);
    }

    #[test]
    fn what_is_kept_back_takes_along_what_no_session_has() {
        let mut queue = OutQueue::default();
        for number in 1..=4 {
            queue.push(number, waiting("a@hq.test", 9), true);
        }
        assert!(queue.place(1, Way::Stream) && queue.place(2, Way::Stream));
        assert_eq!(queue.behind(2), [4, 3]);
        queue.unplace(1);
        queue.keep_back(1);
        assert_eq!((queue.released(), queue.has_parked()), (vec![2], false), "the second is in a block");
        assert!(queue.push(5, waiting("a@hq.test", 9), true).is_empty());
        let (_, freed) = queue.remove(2).unwrap();
        assert_eq!(freed, [0; 0]);
        assert_eq!(queue.let_go(1), [1, 3, 4, 5]);
        assert!(queue.has_parked() && queue.let_go(9).is_empty());
    }

    #[test]
    fn what_is_taken_out_holds_nothing_back() {
        let mut queue = OutQueue::default();
        queue.push(1, waiting("a@hq.test", 1), false);
        queue.push(2, waiting("a@hq.test", 1), true);
        let (_, freed) = queue.remove(1).unwrap();
        assert_eq!(freed, [2]);
        assert_eq!((queue.len(), queue.octets()), (1, 10));
        assert!(queue.remove(1).is_none());
        queue.remove(2).unwrap();
        assert!(queue.is_empty() && queue.talks.is_empty() && queue.next_late().is_none());
    }

    #[test]
    fn a_conversation_takes_one_link_at_a_time_but_for_what_is_more_urgent() {
        let mut queue = OutQueue::default();
        let (first, second) = (Way::Stream, Way::Alternate(0));
        for number in 1..=3 {
            assert_eq!(queue.push(number, waiting("a@hq.test/x", 1), true), [number]);
        }
        let priority = Precedence::Flash.mt_priority();
        queue.push(4, Waiting { priority, route: Some(second), ..waiting("a@hq.test/x", 1) }, true);
        queue.push(5, waiting("c@hq.test", 1), true);
        assert!(queue.place(1, first) && !queue.place(2, second), "the first is on its way by another link");
        assert!(!queue.place(3, first), "the second waits");
        assert!(queue.place(4, second) && queue.place(5, second) && queue.is_routed(second));
        assert_eq!((queue.way(1), queue.way(2), queue.has_parked()), (Some(first), None, true));
        let (_, freed) = queue.remove(1).unwrap();
        assert_eq!(freed, [2, 3]);
        assert!(queue.place(2, second) && queue.place(3, second) && !queue.has_parked());
        queue.unplace(3);
        assert!(queue.has_parked() && queue.place(3, second) && !queue.place(3, second));
        for number in 2..=5 {
            queue.remove(number).unwrap();
        }
        assert!(queue.talks.is_empty() && !queue.has_parked() && !queue.is_routed(second));
    }

    #[test]
    fn labels_that_may_not_mix_keep_the_order_of_their_conversation() {
        let mut queue = OutQueue::default();
        for (number, label_group) in [(1, 1), (2, 1), (3, 2), (4, 1)] {
            queue.push(number, Waiting { label_group, ..waiting("a@hq.test/x", 1) }, true);
        }
        queue.push(5, Waiting { label_group: 2, ..waiting("c@hq.test", 1) }, true);
        let way = Way::Stream;
        assert!(queue.place(1, way) && queue.place(2, way), "one group is one context");
        assert!(!queue.place(3, way) && !queue.place(4, way), "another one could overtake");
        assert!(queue.place(5, way), "another conversation");
        assert_eq!(queue.remove(1).unwrap().1, [3, 4]);
        assert!(!queue.place(3, way), "the second is still out");
        assert_eq!(queue.remove(2).unwrap().1, [3, 4]);
        assert!(queue.place(3, way) && !queue.place(4, way));
        queue.remove(3).unwrap();
        assert!(queue.place(4, way) && !queue.has_parked());
        let mut units = OutQueue::default();
        for label_group in 1..3 {
            let number = u64::from(label_group);
            units.push(number, Waiting { label_group, ..waiting("a@hq.test/x", 1) }, true);
            assert!(units.place(number, Way::Units), "a unit shares no history");
        }
    }

    #[test]
    fn lateness_is_told_once_and_newer_ones_replace() {
        let mut queue = OutQueue::default();
        queue.push(1, Waiting { replace: Some(b"k".to_vec()), ..waiting("a@hq.test", 5) }, true);
        queue.push(2, Waiting { until: None, ..waiting("a@hq.test", 0) }, true);
        assert_eq!(queue.replaceable(b"k"), Some(1));
        assert!(queue.late(Instant::from_micros(4)).is_empty());
        assert_eq!(queue.late(Instant::from_micros(5)), [1]);
        assert!(queue.late(Instant::from_micros(9)).is_empty());
        queue.remove(1);
        assert_eq!(queue.replaceable(b"k"), None);
        for (octets, old, stanzas_max, expected) in [
            (90, None, 2, Ok(())),
            (91, None, 2, Err(Full::Octets(10))),
            (1, None, 1, Err(Full::Stanzas(1))),
            (100, Some(2), 1, Ok(())),
            (101, Some(2), 1, Err(Full::Octets(10))),
            (1, Some(1), 1, Err(Full::Stanzas(1))),
        ] {
            assert_eq!(queue.room(octets, old, stanzas_max, 100), expected, "{octets} for {old:?}");
        }
    }
}
