//! Both ends of the ARQ windows, walked through exhaustively at modulus 8 and window 4.
//!
//! One direction over a channel that loses, repeats and delays. Checked in every state: no frame is taken twice, none is
//! acknowledged that was not taken. As the windows are values without payload, what was taken is kept beside them, bit
//! by bit.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

use super::window::{Acknowledged, Arrival, ReceiveWindow, SendWindow};

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
