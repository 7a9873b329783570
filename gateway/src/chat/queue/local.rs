//! Stanzas that wait for local servers, in lanes: one for each local domain, in the order in which they came.
//!
//! Promises: a server has at most [`GIVEN_MAX`] stanzas that it has not confirmed; what has a row is given only once the
//! row says so; what comes back because a connection broke waits in its old place and is given again after a pause that
//! grows, and before anything that came later. A lane that is full takes nothing more that is kept on disk: the far site is
//! held back, and what is not kept gets no place.

use std::collections::{BTreeMap, BTreeSet};

use skywave_protocols::time::{Duration, Instant, WallTime};
use skywave_protocols::xmpp::fate::Meaning;
use skywave_protocols::xmpp::{Kind, Stanza};

use crate::chat::limits::{
    GIVE_AGAIN_FIRST, GIVE_AGAIN_LONGEST, GIVEN_MAX, LANE_STANZAS_MAX, LOCAL_OCTETS_MAX, LOCAL_STANZAS_MAX,
};

/// A stanza for a local server.
#[derive(Clone, Debug)]
pub struct Handing {
    /// The far site it belongs to; its index.
    pub peer: usize,
    /// The stanza.
    pub stanza: Stanza,
    /// Its size in octets.
    pub octets: usize,
    /// When it came.
    pub since: WallTime,
    /// Whether it has a row on disk.
    pub durable: bool,
    /// Whether it was made here.
    pub own: bool,
    /// Its row says that the server may have it.
    pub given: bool,
    /// Whether the server may have it already.
    pub repeated: bool,
    /// It tells a sender that the stanza in this row towards the link was given up: the row ends with it.
    pub settles: Option<u64>,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: BTreeSet<u64>,
    given: BTreeSet<u64>,
    /// Rows that are being written to say that the server may have these.
    marking: BTreeSet<u64>,
    /// Nothing is given before; the last wait.
    pause: Option<(Instant, Duration)>,
}

impl Lane {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.given.is_empty() && self.pause.is_none()
    }

    /// Whether something can be given now.
    fn is_ready(&self, now: Instant) -> bool {
        self.given.len() < GIVEN_MAX && self.pause.is_none_or(|(until, _)| until <= now)
    }

    /// Waits longer than the last time.
    fn wait(&mut self, now: Instant) {
        let wait = match self.pause {
            // All that a broken connection gives back comes at one moment.
            Some((until, wait)) if until > now => wait,
            Some((_, wait)) => (wait * 2).min(GIVE_AGAIN_LONGEST),
            None => GIVE_AGAIN_FIRST,
        };
        self.pause = Some((now + wait, wait));
    }
}

impl Handing {
    /// Whether its row has to say that the server may have it before it goes there.
    const fn needs_mark(&self) -> bool {
        self.durable && !self.given
    }

    /// Whose state for whom it tells, if it is nothing but that: newer presence makes it worthless.
    pub fn state(&self) -> Option<(String, String)> {
        let is_presence = || matches!(Meaning::of(&self.stanza), Meaning::Presence | Meaning::DirectedPresence);
        let is_state = !self.durable && self.stanza.kind() == Kind::Presence && is_presence();
        is_state.then(|| (self.stanza.from().to_string(), self.stanza.to().to_string()))
    }
}

/// All lanes. See the module.
#[derive(Debug)]
pub struct LocalQueue {
    handings: BTreeMap<u64, Handing>,
    lanes: BTreeMap<String, Lane>,
    octets: usize,
    lane_stanzas_max: usize,
    /// The newest presence of each sender for each recipient that waits here.
    shown: BTreeMap<(String, String), u64>,
}

impl LocalQueue {
    /// An empty one, with so many places for each domain.
    pub fn new(lane_stanzas_max: usize) -> Self {
        let lane_stanzas_max = lane_stanzas_max.min(LANE_STANZAS_MAX);
        Self { handings: BTreeMap::new(), lanes: BTreeMap::new(), octets: 0, lane_stanzas_max, shown: BTreeMap::new() }
    }

    /// Whether one more may wait for the server of a domain.
    pub fn has_room(&self, domain: &str) -> bool {
        let in_lane = self.in_lane(domain);
        self.handings.len() < LOCAL_STANZAS_MAX && in_lane < self.lane_stanzas_max && self.octets < LOCAL_OCTETS_MAX
    }

    /// Whether one more may wait that is not kept on disk: such ones leave half of the places to those that are.
    pub fn has_room_in_memory(&self, domain: &str) -> bool {
        self.has_room(domain) && self.in_lane(domain) < self.lane_stanzas_max.div_ceil(2)
    }

    /// Whether so much of a lane is free again that who was held back can go on for a while.
    pub fn is_half_free(&self, domain: &str) -> bool {
        self.has_room(domain) && self.in_lane(domain) <= self.lane_stanzas_max / 2
    }

    fn in_lane(&self, domain: &str) -> usize {
        self.lanes.get(domain).map_or(0, |lane| lane.waiting.len() + lane.given.len())
    }

    /// Takes a stanza. Presence takes the place of older presence of the same sender for the same recipient that waits:
    /// that is yielded.
    pub fn push(&mut self, number: u64, handing: Handing) -> Option<(u64, Handing)> {
        let older = handing.state().and_then(|state| self.shown.insert(state, number));
        let older = older.filter(|older| self.is_waiting(*older)).and_then(|older| Some((older, self.remove(older)?)));
        self.octets += handing.octets;
        let lane = self.lanes.entry(handing.stanza.to().domain().to_string()).or_default();
        lane.waiting.insert(number);
        self.handings.insert(number, handing);
        older
    }

    fn is_waiting(&self, number: u64) -> bool {
        let lane = self.get(number).and_then(|handing| self.lanes.get(handing.stanza.to().domain().as_str()));
        lane.is_some_and(|lane| lane.waiting.contains(&number))
    }

    /// Whether newer presence of the same sender for the same recipient waits, or has gone out.
    pub fn is_outdated(&self, number: u64) -> bool {
        let state = self.get(number).and_then(Handing::state);
        state.is_some_and(|state| self.shown.get(&state).is_some_and(|newest| *newest != number))
    }

    /// The next stanza that can be given to its server now.
    pub fn next(&mut self, now: Instant) -> Option<(u64, Stanza)> {
        let handings = &self.handings;
        let first = |lane: &Lane| {
            lane.waiting.first().is_some_and(|number| !handings.get(number).is_some_and(Handing::needs_mark))
        };
        let lane = self.lanes.values_mut().find(|lane| lane.is_ready(now) && first(lane))?;
        let number = lane.waiting.pop_first()?;
        lane.given.insert(number);
        self.handings.get(&number).map(|handing| (number, handing.stanza.clone()))
    }

    /// Whether a stanza that came now would go to its server at once.
    pub fn is_free(&self, now: Instant, stanza: &Stanza) -> bool {
        let lane = self.lanes.get(stanza.to().domain().as_str());
        lane.is_none_or(|lane| lane.waiting.is_empty() && lane.is_ready(now))
    }

    /// Those that could be given now but for their rows, which are to say so first; each is named once.
    pub fn unmarked(&mut self, now: Instant) -> Vec<u64> {
        let mut unmarked = Vec::new();
        for lane in self.lanes.values_mut().filter(|lane| lane.is_ready(now)) {
            let room = GIVEN_MAX - lane.given.len();
            for number in lane.waiting.iter().take(room) {
                let needs = self.handings.get(number).is_some_and(Handing::needs_mark);
                if needs && lane.marking.insert(*number) {
                    unmarked.push(*number);
                }
            }
        }
        unmarked
    }

    /// A row says by now that the server may have it.
    pub fn mark(&mut self, number: u64) {
        let Some(handing) = self.handings.get_mut(&number) else { return };
        handing.given = true;
        if let Some(lane) = self.lanes.get_mut(handing.stanza.to().domain().as_str()) {
            lane.marking.remove(&number);
        }
    }

    /// The row could not be written: it is tried again after a pause.
    pub fn not_marked(&mut self, now: Instant, number: u64) {
        let Some(handing) = self.handings.get(&number) else { return };
        if let Some(lane) = self.lanes.get_mut(handing.stanza.to().domain().as_str())
            && lane.marking.remove(&number)
        {
            lane.wait(now);
        }
    }

    /// The server has it, or nobody wants it any more.
    pub fn remove(&mut self, number: u64) -> Option<Handing> {
        let handing = self.handings.remove(&number)?;
        if let Some(state) = handing.state()
            && self.shown.get(&state) == Some(&number)
        {
            self.shown.remove(&state);
        }
        self.octets = self.octets.saturating_sub(handing.octets);
        let domain = handing.stanza.to().domain().to_string();
        if let Some(lane) = self.lanes.get_mut(&domain) {
            lane.waiting.remove(&number);
            lane.marking.remove(&number);
            // What a server takes shows that it works.
            if lane.given.remove(&number) {
                lane.pause = None;
            }
            if lane.is_idle() {
                self.lanes.remove(&domain);
            }
        }
        Some(handing)
    }

    /// The connection broke under it: it waits in its old place, and its lane pauses.
    pub fn returned(&mut self, now: Instant, number: u64) -> Option<&mut Handing> {
        let handing = self.handings.get_mut(&number)?;
        let lane = self.lanes.get_mut(handing.stanza.to().domain().as_str())?;
        if lane.given.remove(&number) {
            lane.waiting.insert(number);
            lane.wait(now);
        }
        Some(handing)
    }

    /// A server can be reached again: what waits for its domain may go.
    pub fn resume(&mut self, domain: &str) {
        if let Some(lane) = self.lanes.get_mut(domain) {
            lane.pause = None;
        }
    }

    /// When a pause ends behind which something waits that nothing else holds: what is being marked goes on when the
    /// disk has answered.
    pub fn next_wakeup(&self) -> Option<Instant> {
        let is_held = |lane: &&Lane| !lane.marking.is_empty() || lane.given.len() >= GIVEN_MAX;
        let paused = self.lanes.values().filter(|lane| !lane.waiting.is_empty() && !is_held(lane));
        paused.filter_map(|lane| lane.pause).map(|(until, _)| until).min()
    }

    /// One of them.
    pub fn get(&self, number: u64) -> Option<&Handing> {
        self.handings.get(&number)
    }

    /// How many wait, those included that are given and not confirmed.
    pub fn len(&self) -> usize {
        self.handings.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.handings.is_empty()
    }

    /// Octets that wait.
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// All, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Handing)> {
        self.handings.iter().map(|(&number, handing)| (number, handing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handing(to: &str) -> Handing {
        let text = format!("<message from='b@field.test' to='{to}'><body>x</body></message>");
        let stanza = Stanza::parse(text.as_bytes()).unwrap();
        Handing {
            peer: 0,
            stanza,
            octets: 10,
            since: WallTime::default(),
            durable: true,
            own: false,
            given: true,
            repeated: false,
            settles: None,
        }
    }

    #[test]
    fn a_row_says_that_the_server_may_have_it_before_it_goes_there() {
        let mut queue = LocalQueue::new(LANE_STANZAS_MAX);
        let now = Instant::ZERO;
        let row = |to| Handing { given: false, ..handing(to) };
        assert!(queue.is_free(now, &handing("a@hq.test").stanza));
        (1..=2).for_each(|number| _ = queue.push(number, row("a@hq.test")));
        queue.push(3, Handing { durable: false, ..row("a@hq.test") });
        queue.push(4, handing("a@other.test"));
        assert!(!queue.is_free(now, &handing("a@hq.test").stanza), "something waits there");
        assert_eq!(given(&mut queue, now), [4]);
        assert_eq!((queue.unmarked(now), queue.unmarked(now)), (vec![1, 2], vec![]));
        queue.mark(1);
        assert_eq!(given(&mut queue, now), [1]);
        queue.not_marked(now, 2);
        assert!(queue.unmarked(now).is_empty(), "the disk is tried again after a pause");
        let later = now + GIVE_AGAIN_FIRST;
        assert_eq!(queue.next_wakeup(), Some(later));
        assert_eq!(queue.unmarked(later), [2]);
        assert_eq!(queue.next_wakeup(), None, "the disk answers, whenever it does: no time is waited for");
        queue.mark(2);
        assert_eq!(given(&mut queue, later), [2, 3]);
        queue.returned(later, 1).unwrap();
        assert!(queue.unmarked(later + GIVE_AGAIN_LONGEST).is_empty(), "its row says so already");
    }

    fn given(queue: &mut LocalQueue, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| queue.next(now).map(|(number, _)| number)).collect()
    }

    #[test]
    fn what_comes_back_goes_first_after_a_growing_pause() {
        let mut queue = LocalQueue::new(LANE_STANZAS_MAX);
        let mut now = Instant::ZERO;
        (1..=3).for_each(|number| _ = queue.push(number, handing("a@hq.test")));
        queue.push(4, handing("a@other.test"));
        assert_eq!(given(&mut queue, now), [1, 2, 3, 4]);
        queue.remove(1).unwrap();
        for wait in [2, 4, 8, 16, 32, 60, 60] {
            queue.returned(now, 3).unwrap();
            queue.returned(now, 2).unwrap();
            assert!(given(&mut queue, now).is_empty(), "the lane pauses");
            assert_eq!(queue.next_wakeup(), Some(now + Duration::from_secs(wait)));
            now = now + Duration::from_secs(wait);
            if wait == 2 {
                queue.push(5, handing("a@hq.test"));
                assert_eq!(given(&mut queue, now), [2, 3, 5]);
                queue.returned(now, 5).unwrap();
            } else {
                let again = given(&mut queue, now);
                assert_eq!(again, [2, 3, 5]);
                queue.returned(now, 5).unwrap();
            }
        }
        queue.resume("hq.test");
        assert_eq!(given(&mut queue, now), [5]);
        for number in 2..=5 {
            queue.remove(number).unwrap();
        }
        assert!(queue.is_empty() && queue.lanes.is_empty() && queue.octets() == 0);
    }

    #[test]
    fn a_server_that_is_down_leaves_room_for_the_others() {
        let mut queue = LocalQueue::new(LANE_STANZAS_MAX);
        (0..LANE_STANZAS_MAX as u64).for_each(|number| _ = queue.push(number, handing("a@hq.test")));
        assert!(!queue.has_room("hq.test"));
        assert!(queue.has_room("other.test"));
    }

    #[test]
    fn a_server_is_given_a_bounded_number() {
        let mut queue = LocalQueue::new(LANE_STANZAS_MAX);
        (0..2 * GIVEN_MAX as u64).for_each(|number| _ = queue.push(number, handing("a@hq.test")));
        assert_eq!(given(&mut queue, Instant::ZERO).len(), GIVEN_MAX);
        queue.remove(0).unwrap();
        assert_eq!(given(&mut queue, Instant::ZERO), [GIVEN_MAX as u64]);
    }

    #[test]
    fn newer_presence_takes_the_place_of_older_and_leaves_room_for_words() {
        let mut queue = LocalQueue::new(4);
        let now = Instant::ZERO;
        let presence = |from: &str, kind: &str| {
            let text = format!("<presence from='{from}' to='a@hq.test'{kind}/>");
            Handing { durable: false, stanza: Stanza::parse(text.as_bytes()).unwrap(), ..handing("a@hq.test") }
        };
        assert!(queue.push(1, presence("b@field.test/x", "")).is_none());
        assert!(queue.push(2, presence("c@field.test/x", "")).is_none());
        let older = queue.push(3, presence("b@field.test/x", " type='unavailable'"));
        assert_eq!(older.map(|(number, _)| number), Some(1));
        assert!(!queue.has_room_in_memory("hq.test") && queue.has_room("hq.test"));
        assert_eq!(given(&mut queue, now), [2, 3]);
        // What the server may have already is not taken back, but not given twice either.
        assert!(queue.push(4, presence("c@field.test/x", " type='unavailable'")).is_none());
        assert!(queue.is_outdated(2) && !queue.is_outdated(3) && !queue.is_outdated(4));
        (2..=4).for_each(|number| _ = queue.remove(number));
        assert!(queue.is_empty() && queue.shown.is_empty());
    }
}
