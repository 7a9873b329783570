//! Both ends of the ARQ windows, walked through exhaustively at modulus 8 and window 4.
//!
//! First one direction over a channel that loses, repeats and delays; then two nodes that take turns. In each turn any set
//! of its messages is lost, either end begins a reset of any kind at any time, once each, and data or an
//! acknowledgement of it may be heard once more a turn later. Data goes from one end around the modulus, or from both. Checked in every state: no frame is taken
//! twice, none is acknowledged that was not taken, and once nothing is lost any more everything arrives. As the windows are
//! values without payload, what was taken is kept beside them, bit by bit. Not in the model: the queues of C_PDUs above the
//! windows, times, the limit of resets, and doubtful numbers that start a reset when there are three in a row.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

use super::window::{Acknowledged, Arrival, ReceiveWindow, SendWindow};
use crate::s5066::node::dpdu::ResetPart;
use crate::s5066::node::dts::resets::{Pending, ResetOrder, Resets};
use crate::time::Instant;

const MODULUS: u16 = 8;
const WINDOW: u16 = 4;

/// Visits every state that can be reached; how many there are.
fn walk<S: Clone + Eq + Hash>(first: S, next: impl Fn(&S) -> Vec<S>, mut check: impl FnMut(&S)) -> usize {
    let mut known = HashSet::from([first.clone()]);
    let mut open = VecDeque::from([first]);
    while let Some(state) = open.pop_front() {
        check(&state);
        for state in next(&state) {
            if known.insert(state.clone()) {
                open.push_back(state);
            }
        }
    }
    known.len()
}

/// A frame in the channel: its number and flags, and its place in the sender's window, negative once it has left it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Frame {
    fsn: u8,
    upper: bool,
    lower: bool,
    place: i8,
}

/// An acknowledgement in the channel, and how far the sender's window must move by it, negative once it is old.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Ack {
    lwe: u8,
    above: u8,
    place: i8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct OneWay {
    tx: SendWindow<MODULUS>,
    rx: ReceiveWindow<MODULUS>,
    /// Frames in the sender's window that the receiver has taken.
    taken: u8,
    frames: Vec<Frame>,
    acks: Vec<Ack>,
}

const FRAMES_IN_CHANNEL: usize = 2;
const ACKS_IN_CHANNEL: usize = 1;

impl OneWay {
    fn send(&self, place: u16) -> Self {
        let mut next = self.clone();
        next.tx.mark_sent(place);
        let upper = next.tx.upper_edge() == Some(place);
        next.frames.push(Frame { fsn: next.tx.fsn(place), upper, lower: place == 0, place: place as i8 });
        next
    }

    /// The first frame arrives; it may come once more.
    fn arrive(&self, repeat: bool) -> Self {
        let mut next = self.clone();
        let frame = next.frames[0];
        if !repeat {
            next.frames.remove(0);
        }
        let known = frame.place < 0 || next.taken >> frame.place & 1 != 0;
        match next.rx.judge(frame.fsn, frame.upper, frame.lower) {
            Arrival::New(place) => {
                assert!(!known, "taken twice: {self:?}");
                next.taken |= 1 << frame.place;
                next.rx.take(place);
            }
            Arrival::Repeat | Arrival::Doubtful => assert!(known, "refused: {self:?}"),
            Arrival::OutOfSync => panic!("out of sync: {self:?}"),
        }
        if next.acks.len() < ACKS_IN_CHANNEL {
            let above = next.rx.above().fold(0_u8, |bits, step| bits | 1 << step);
            let place = (next.taken.trailing_ones()) as i8;
            next.acks.push(Ack { lwe: next.rx.lwe(), above, place });
        }
        next
    }

    fn acknowledge(&self) -> Self {
        let mut next = self.clone();
        let ack = next.acks.remove(0);
        let above = (1..8_u8).filter(|step| ack.above >> step & 1 != 0);
        match next.tx.acknowledge(ack.lwe, above) {
            Acknowledged::Advanced(count) => {
                assert_eq!(i32::from(ack.place), i32::from(count), "{self:?}");
                assert!(u16::from(next.taken.trailing_ones() as u8) >= count, "lost: {self:?}");
                next.taken >>= count;
                for place in 0..next.tx.assigned() {
                    assert!(!next.tx.is_acked(place) || next.taken >> place & 1 != 0, "lost: {self:?}");
                }
                let moved = |place: &mut i8| *place = (*place - count as i8).max(-9);
                next.frames.iter_mut().for_each(|frame| moved(&mut frame.place));
                next.acks.iter_mut().for_each(|ack| moved(&mut ack.place));
            }
            Acknowledged::Stale => assert!(ack.place < 0, "{self:?}"),
            Acknowledged::OutOfSync => panic!("out of sync: {self:?}"),
        }
        next
    }

    fn next(&self) -> Vec<Self> {
        let mut all = Vec::new();
        if self.frames.len() < FRAMES_IN_CHANNEL {
            let mut next = self.clone();
            if let Some(place) = next.tx.assign() {
                all.push(next.send(place));
            }
            let unacked = (0..self.tx.assigned()).filter(|&place| !self.tx.is_acked(place));
            all.extend(unacked.map(|place| self.send(place)));
        }
        if !self.frames.is_empty() {
            all.extend([self.arrive(false), self.arrive(true)]);
            let mut lost = self.clone();
            lost.frames.remove(0);
            all.push(lost);
        }
        if !self.acks.is_empty() {
            let mut lost = self.clone();
            lost.acks.remove(0);
            all.extend([self.acknowledge(), lost]);
        }
        all
    }
}

#[test]
fn one_direction_never_takes_twice_nor_loses() {
    let first = OneWay {
        tx: SendWindow::new(WINDOW, 0),
        rx: ReceiveWindow::new(WINDOW, 0),
        taken: 0,
        frames: Vec::new(),
        acks: Vec::new(),
    };
    let states = walk(first, OneWay::next, |_| {});
    assert!(states > 10_000, "{states} states");
}

/// One of two nodes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct End {
    tx: SendWindow<MODULUS>,
    rx: ReceiveWindow<MODULUS>,
    resets: Resets,
    owes: bool,
    /// Frames in our window that the other has taken.
    taken: u8,
    /// Resets that it may still begin.
    whims: u8,
    /// New frames that it may still send: enough to come around the modulus.
    fresh: u16,
    /// What of its last turn will be heard once more, before anything of its next.
    late: Option<Message>,
    /// Its connection counts as lost: the walk ends.
    lost: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Message {
    Reset(ResetPart),
    Ack {
        lwe: u8,
        above: Vec<u8>,
    },
    /// Its place in the sender's window, negative once it has left it.
    Data {
        fsn: u8,
        upper: bool,
        lower: bool,
        place: i16,
    },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct TwoWay {
    ends: [End; 2],
    turn: usize,
    /// How many messages may still be heard once more.
    lates: u8,
}

const RESET_RETRIES: u32 = 0;
/// Both windows begin here, so that they soon come around.
const FIRST: u8 = 6;
/// Messages of a turn at most: an acknowledgement of a reset, one of frames, and a window.
const MESSAGES_MAX: usize = 2 + WINDOW as usize;

impl End {
    fn new(fresh: u16, whims: u8) -> Self {
        Self {
            tx: SendWindow::new(WINDOW, FIRST),
            rx: ReceiveWindow::new(WINDOW, FIRST),
            resets: Resets::new(0),
            owes: false,
            taken: 0,
            whims,
            fresh,
            late: None,
            lost: false,
        }
    }

    fn restart_tx(&mut self, first: u8) {
        (self.tx, self.taken) = (SendWindow::new(WINDOW, first), 0);
        self.age_late(MODULUS);
    }

    /// The window has moved on below what will be heard once more.
    fn age_late(&mut self, count: u16) {
        if let Some(Message::Data { place, .. }) = &mut self.late {
            *place = (*place - count as i16).max(-9);
        }
    }

    fn resync_tx(&mut self) {
        let first = self.tx.fsn(self.tx.assigned());
        self.restart_tx(first);
        self.resets.begin(Pending::TheirReceive(first));
    }

    fn begin(&mut self, whim: u8) {
        self.whims -= u8::from(whim > 0);
        match whim {
            1 => self.resets.begin(Pending::Full),
            2 => self.resets.begin(Pending::TheirTransmit),
            3 => self.resync_tx(),
            _ => {}
        }
    }

    /// What a turn puts on the air.
    fn compose(&mut self, new: u16) -> Vec<Message> {
        let mut messages: Vec<Message> = self.resets.ack().map(Message::Reset).into_iter().collect();
        if self.owes && self.resets.pending().is_none() {
            messages.push(Message::Ack { lwe: self.rx.lwe(), above: self.rx.above().collect() });
            self.owes = false;
        }
        messages.extend(self.resets.choose().map(Message::Reset));
        for message in &messages {
            if let Message::Reset(part) = message {
                self.resets.sent(part);
            }
        }
        if self.resets.pending().is_some() {
            return messages;
        }
        let new = new.min(self.fresh);
        self.fresh -= (0..new).filter_map(|_| self.tx.assign()).count() as u16;
        let due: Vec<u16> = (0..self.tx.assigned()).filter(|&place| !self.tx.is_acked(place)).collect();
        due.iter().for_each(|&place| self.tx.mark_sent(place));
        messages.extend(due.into_iter().map(|place| Message::Data {
            fsn: self.tx.fsn(place),
            upper: self.tx.upper_edge() == Some(place),
            lower: place == 0,
            place: place as i16,
        }));
        messages
    }

    fn hear(&mut self, other: &mut Self, message: &Message) {
        if matches!(message, Message::Data { .. } | Message::Ack { .. }) {
            self.resets.data_heard();
        }
        match message {
            Message::Reset(part) => match self.resets.heard(Instant::ZERO, part) {
                None => self.lost = true,
                Some(ResetOrder::None) => {}
                Some(ResetOrder::Transmit) => self.resync_tx(),
                Some(ResetOrder::Receive(first)) => (self.rx, self.owes) = (ReceiveWindow::new(WINDOW, first), false),
                Some(ResetOrder::Both) => {
                    self.restart_tx(0);
                    (self.rx, self.owes) = (ReceiveWindow::new(WINDOW, 0), false);
                }
            },
            _ if self.resets.pending().is_some() => {}
            Message::Ack { lwe, above } => match self.tx.acknowledge(*lwe, above.iter().copied()) {
                Acknowledged::Advanced(count) => {
                    assert!(u16::from(self.taken.trailing_ones() as u8) >= count, "lost {self:?} {other:?}");
                    self.taken >>= count;
                    self.age_late(count);
                    let lie = (0..self.tx.assigned()).find(|&at| self.tx.is_acked(at) && self.taken >> at & 1 == 0);
                    assert_eq!(lie, None, "lost {self:?} {other:?}");
                }
                Acknowledged::Stale => {}
                Acknowledged::OutOfSync => self.resync_tx(),
            },
            Message::Data { fsn, upper, lower, place } => {
                self.owes = true;
                match self.rx.judge(*fsn, *upper, *lower) {
                    Arrival::New(at) => {
                        assert!(*place >= 0 && other.taken >> place & 1 == 0, "taken twice {self:?} {other:?}");
                        other.taken |= 1 << place;
                        self.rx.take(at);
                    }
                    Arrival::Repeat | Arrival::Doubtful => {}
                    Arrival::OutOfSync => self.resets.begin(Pending::TheirTransmit),
                }
            }
        }
    }
}

impl TwoWay {
    /// Two ends that may send so many frames each, with so many resets begun by either and so many messages heard late.
    fn new(fresh: [u16; 2], whims: u8, lates: u8) -> Self {
        Self { ends: fresh.map(|fresh| End::new(fresh, whims)), turn: 0, lates }
    }

    /// A turn: so many new frames, a reset begun or not, which messages are lost, and which is heard once more later.
    /// How many messages there were.
    fn turn(&self, new: u16, whim: u8, lost: usize, again: Option<usize>) -> (Self, usize) {
        let mut next = self.clone();
        let [first, second] = &mut next.ends;
        let (here, there) = if self.turn == 0 { (first, second) } else { (second, first) };
        if let Some(message) = here.late.take() {
            there.hear(here, &message);
        }
        here.begin(whim);
        let messages = here.compose(new);
        for (at, message) in messages.iter().enumerate() {
            if lost >> at & 1 == 0 {
                there.hear(here, message);
            }
        }
        // The other one's turn begins: what it asked before and did not hear answered counts as missed.
        there.lost |= there.resets.unanswered(RESET_RETRIES);
        here.late = again.map(|at| messages[at].clone());
        next.lates -= u8::from(again.is_some());
        next.turn = 1 - self.turn;
        (next, messages.len())
    }

    /// The same with a message heard again: data or an acknowledgement of it. Of a reset nothing may come late: its
    /// acknowledgement names no number, by the standard, so that one which is late, or which a late command called forth,
    /// counts for a reset begun since, and then a frame is taken twice. On a channel whose transmissions follow one
    /// another nothing is late by a turn.
    fn turn_again(&self, new: u16, whim: u8, lost: usize, at: usize) -> Option<Self> {
        let (next, _) = self.turn(new, whim, lost, Some(at));
        (!matches!(next.ends[self.turn].late, Some(Message::Reset(_)))).then_some(next)
    }

    fn is_over(&self) -> bool {
        self.ends.iter().any(|end| end.lost)
    }

    /// Everything that a turn can be: all numbers of new frames, all resets, all sets of messages lost, and any of them
    /// heard again.
    fn next(&self) -> Vec<Self> {
        if self.is_over() {
            return Vec::new();
        }
        let mut all = Vec::new();
        let whims = if self.ends[self.turn].whims > 0 { 0..4 } else { 0..1 };
        for whim in whims {
            for new in 0..=self.ends[self.turn].fresh.min(2) {
                let (_, messages) = self.turn(new, whim, 0, None);
                assert!(messages <= MESSAGES_MAX, "{messages} messages: {self:?}");
                for lost in 0..1 << messages {
                    all.push(self.turn(new, whim, lost, None).0);
                    let again = (0..messages).filter(|_| self.lates > 0);
                    all.extend(again.filter_map(|at| self.turn_again(new, whim, lost, at)));
                }
            }
        }
        all
    }

    /// Nothing is lost from here on and nobody begins a reset: everything arrives.
    fn check_calm(&self) {
        let mut state = self.clone();
        for _ in 0..10 {
            if state.is_over() {
                return;
            }
            state = state.turn(0, 0, 0, None).0;
        }
        for end in &state.ends {
            assert!(end.tx.assigned() == 0 && end.resets.pending().is_none(), "{self:?} ends as {state:?}");
        }
    }

    /// Walks through everything; how many states there are, and whether frames of either end came around the modulus.
    fn walk_all(self) -> (usize, [bool; 2]) {
        let mut around = [false; 2];
        let states = walk(self, Self::next, |state| {
            state.check_calm();
            for (around, end) in around.iter_mut().zip(&state.ends) {
                *around |= end.tx.fsn(end.tx.assigned()) < FIRST && end.resets == Resets::new(0);
            }
        });
        (states, around)
    }
}

/// Resets begun by either at any time, and all losses: data of one end that comes around the modulus, a window of it and
/// more; data of both ends at once; and one message of any turn heard again a turn later.
#[test]
fn resets_from_both_ends_at_any_time_lose_and_repeat_nothing() {
    for (fresh, whims, lates, expected, comes_around) in [
        ([5, 0], 1, 0, 100_000, [true, false]),
        ([2, 1], 1, 0, 10_000, [true, false]),
        ([1, 1], 1, 1, 10_000, [false, false]),
    ] {
        let (states, around) = TwoWay::new(fresh, whims, lates).walk_all();
        assert!(states > expected, "{fresh:?} {whims} {lates}: {states} states");
        assert_eq!(around, comes_around, "{fresh:?}");
    }
}
