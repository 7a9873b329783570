//! The two windows of selective-repeat ARQ: arithmetic of frame numbers and nothing else (C.6.2, C.6.3).
//!
//! Frame numbers count modulo `MODULUS`; a window is at most half of it, so that a repeat is never taken for a new frame.
//! Both windows are plain values without payload, so that a model of both ends can be walked through exhaustively at a
//! small modulus (`model.rs`). On the air the modulus is 256 and the window 128.

/// Frame numbers on the air.
pub const FSN_MODULUS: u16 = 256;

/// How far it is from one number forward to another: 0 to `MODULUS` − 1.
const fn distance<const MODULUS: u16>(from: u8, to: u8) -> u16 {
    (to as u16 + MODULUS - from as u16) % MODULUS
}

const fn plus<const MODULUS: u16>(number: u8, steps: u16) -> u8 {
    ((number as u16 + steps % MODULUS) % MODULUS) as u8
}

/// Bits from 0 to `count` − 1.
const fn ones(count: u16) -> u128 {
    if count >= 128 { u128::MAX } else { (1 << count) - 1 }
}

/// The number of the highest bit, or none.
const fn highest(bits: u128) -> Option<u16> {
    if bits == 0 { None } else { Some(127 - bits.leading_zeros() as u16) }
}

/// The sender's window: frames from the oldest unacknowledged one on, which has place 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SendWindow<const MODULUS: u16> {
    size: u16,
    lwe: u8,
    /// Frames that have a number.
    assigned: u16,
    /// Those that have been on the air.
    sent: u128,
    /// Those that the receiver has.
    acked: u128,
}

/// What an acknowledgement was good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acknowledged {
    /// So many frames left the window at its lower edge.
    Advanced(u16),
    /// It is older than one that came before; nothing was learnt.
    Stale,
    /// It cannot be about this window.
    OutOfSync,
}

impl<const MODULUS: u16> SendWindow<MODULUS> {
    /// An empty window of at most `size` frames (1 to half the modulus) that begins at `first`.
    //= s5066/DTS-007
    pub const fn new(size: u16, first: u8) -> Self {
        let most = MODULUS / 2;
        let size = if size == 0 { 1 } else { size };
        Self { size: if size > most { most } else { size }, lwe: first, assigned: 0, sent: 0, acked: 0 }
    }

    /// Frames that may still be given a number.
    pub const fn room(&self) -> u16 {
        self.size - self.assigned
    }

    /// Frames that have one.
    pub const fn assigned(&self) -> u16 {
        self.assigned
    }

    /// Frames it takes at most.
    pub const fn size(&self) -> u16 {
        self.size
    }

    /// Gives a number to a frame; its place in the window.
    pub const fn assign(&mut self) -> Option<u16> {
        if self.assigned >= self.size {
            return None;
        }
        self.assigned += 1;
        Some(self.assigned - 1)
    }

    /// Takes back the newest numbers that have never been on the air, down to `keep` frames.
    pub fn take_back(&mut self, keep: u16) {
        let floor = highest(self.sent | self.acked).map_or(0, |bit| bit + 1);
        self.assigned = self.assigned.min(keep.max(floor));
    }

    /// The number of the frame at a place.
    pub const fn fsn(&self, place: u16) -> u8 {
        plus::<MODULUS>(self.lwe, place)
    }

    /// The frame at this place has been on the air.
    pub const fn mark_sent(&mut self, place: u16) {
        if place < self.assigned {
            self.sent |= 1 << place;
        }
    }

    /// Whether the frame at this place has been on the air.
    pub const fn is_sent(&self, place: u16) -> bool {
        place < 128 && self.sent >> place & 1 != 0
    }

    /// Whether the receiver has the frame at this place.
    pub const fn is_acked(&self, place: u16) -> bool {
        place < 128 && self.acked >> place & 1 != 0
    }

    /// The place of the newest frame that has been on the air: the upper window edge.
    pub const fn upper_edge(&self) -> Option<u16> {
        highest(self.sent)
    }

    /// Takes an acknowledgement: the receiver's lower edge, and how far above it frames were received.
    //= s5066/DTS-008
    pub fn acknowledge(&mut self, rx_lwe: u8, above: impl Iterator<Item = u8>) -> Acknowledged {
        let advanced = distance::<MODULUS>(self.lwe, rx_lwe);
        let edge = self.upper_edge().map_or(0, |place| place + 1);
        if advanced > edge {
            // Behind the lower edge an old acknowledgement may stand that was held up; ahead of the upper edge none.
            let behind = distance::<MODULUS>(rx_lwe, self.lwe) <= self.size;
            return if behind { Acknowledged::Stale } else { Acknowledged::OutOfSync };
        }
        let mut acked = ones(advanced);
        for step in above {
            let place = advanced + u16::from(step);
            if place >= edge {
                return Acknowledged::OutOfSync;
            }
            acked |= 1 << place;
        }
        // The receiver lacks its lower edge; what it had before cannot be gone, nor can it have what was never sent.
        if acked & !self.sent != 0 || self.is_acked(advanced) {
            return Acknowledged::OutOfSync;
        }
        self.acked |= acked;
        let drop = |bits: u128| if advanced >= 128 { 0 } else { bits >> advanced };
        (self.sent, self.acked) = (drop(self.sent), drop(self.acked));
        self.lwe = plus::<MODULUS>(self.lwe, advanced);
        self.assigned -= advanced;
        Acknowledged::Advanced(advanced)
    }
}

/// The receiver's window: frames from the oldest one that was not received, which has place 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReceiveWindow<const MODULUS: u16> {
    size: u16,
    lwe: u8,
    /// Which frames from the lower edge on were received; never the first.
    received: u128,
}

/// What a frame is to a receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// It is new, at this place; may be taken.
    New(u16),
    /// It was received before.
    Repeat,
    /// Its number or flags do not fit, which a frame that was held up can explain.
    Doubtful,
    /// Its flags say that the sender has given up frames that were never received.
    OutOfSync,
}

impl<const MODULUS: u16> ReceiveWindow<MODULUS> {
    /// A window in which the next frame is `first`.
    //= s5066/DTS-007
    pub const fn new(size: u16, first: u8) -> Self {
        let most = MODULUS / 2;
        let size = if size == 0 { 1 } else { size };
        Self { size: if size > most { most } else { size }, lwe: first, received: 0 }
    }

    /// The oldest frame number that was not received.
    pub const fn lwe(&self) -> u8 {
        self.lwe
    }

    /// How far above the lower edge frames were received.
    pub fn above(&self) -> impl Iterator<Item = u8> + use<MODULUS> {
        let received = self.received;
        (1..128_u8).filter(move |place| received >> place & 1 != 0)
    }

    /// Whether the frame at this place was received.
    pub const fn has(&self, place: u16) -> bool {
        place < 128 && self.received >> place & 1 != 0
    }

    /// What a frame is, by its number and its flags for the sender's upper and lower edge.
    //= s5066/DTS-009
    pub fn judge(&self, fsn: u8, upper_edge: bool, lower_edge: bool) -> Arrival {
        let ahead = distance::<MODULUS>(self.lwe, fsn);
        let newest = highest(self.received).unwrap_or(0);
        if ahead < self.size {
            if lower_edge && ahead > 0 {
                return Arrival::OutOfSync;
            }
            if self.has(ahead) {
                return if upper_edge && ahead < newest { Arrival::Doubtful } else { Arrival::Repeat };
            }
            return Arrival::New(ahead);
        }
        // Behind the lower edge. The sender's window reached up to the newest frame received, so it cannot begin further
        // below; and its upper edge cannot lie below that frame.
        let newest = if self.received == 0 { -1 } else { i32::from(newest) };
        let place = i32::from(ahead) - i32::from(MODULUS);
        let fits = newest - place < i32::from(self.size) && !(upper_edge && place < newest);
        if fits { Arrival::Repeat } else { Arrival::Doubtful }
    }

    /// Takes the frame at a place; by how many frames the lower edge moves.
    pub fn take(&mut self, place: u16) -> u16 {
        if place >= self.size {
            return 0;
        }
        self.received |= 1 << place;
        let advanced = self.received.trailing_ones() as u16;
        self.received = if advanced >= 128 { 0 } else { self.received >> advanced };
        self.lwe = plus::<MODULUS>(self.lwe, advanced);
        advanced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_of_the_fact_sheet_and_the_wrap() {
        let mut window = SendWindow::<256>::new(128, 0);
        assert_eq!((window.fsn(0), window.upper_edge(), window.room()), (0, None, 128));
        for place in 0..128 {
            assert_eq!(window.assign(), Some(place));
            window.mark_sent(place);
        }
        assert_eq!((window.assign(), window.upper_edge()), (None, Some(127)));
        assert_eq!(window.acknowledge(128, [].into_iter()), Acknowledged::Advanced(128));
        for _ in 0..127 {
            window.assign();
        }
        (0..127).for_each(|place| window.mark_sent(place));
        assert_eq!(window.acknowledge(250, [1, 4].into_iter()), Acknowledged::Advanced(122));
        assert_eq!((window.fsn(0), window.fsn(6), window.assigned()), (250, 0, 5));
        assert!(window.is_acked(1) && window.is_acked(4) && !window.is_acked(0));
    }

    #[test]
    fn acknowledgements_that_do_not_fit() {
        let mut window = SendWindow::<256>::new(128, 10);
        (0..6).for_each(|place| assert_eq!(window.assign(), Some(place)));
        // The frame at place 3 was never sent.
        [0, 1, 2, 4].into_iter().for_each(|place| window.mark_sent(place));
        for (lwe, above) in [(16, vec![]), (10, vec![6]), (10, vec![3]), (14, vec![]), (100, vec![])] {
            let mut tried = window;
            assert_eq!(tried.acknowledge(lwe, above.into_iter()), Acknowledged::OutOfSync, "{lwe}");
            assert_eq!(tried, window);
        }
        assert_eq!(window.acknowledge(5, [].into_iter()), Acknowledged::Stale);
        assert_eq!(window.acknowledge(12, [2].into_iter()), Acknowledged::Advanced(2));
        // The receiver cannot lack what it had.
        assert_eq!(window.acknowledge(14, [].into_iter()), Acknowledged::OutOfSync);
    }

    #[test]
    fn the_tests_of_a_receiver() {
        let mut window = ReceiveWindow::<256>::new(128, 250);
        assert_eq!(window.take(0), 1);
        // Lower edge 251; 254 and 1 are there.
        assert_eq!((window.take(3), window.take(6)), (0, 0));
        let table = [
            // number, upper, lower, what it is
            (251, false, true, Arrival::New(0)),
            (252, false, true, Arrival::OutOfSync),
            (2, true, false, Arrival::New(7)),
            (253, true, false, Arrival::New(2)),
            (254, true, false, Arrival::Doubtful),
            (254, false, false, Arrival::Repeat),
            (1, true, false, Arrival::Repeat),
            (250, false, false, Arrival::Repeat),
            (250, true, false, Arrival::Doubtful),
            (130, false, false, Arrival::Repeat),
            (129, false, false, Arrival::Doubtful),
            (122, false, false, Arrival::New(127)),
            (123, false, false, Arrival::Doubtful),
        ];
        for (fsn, upper, lower, arrival) in table {
            assert_eq!(window.judge(fsn, upper, lower), arrival, "{fsn} {upper} {lower}");
        }
        assert_eq!(window.above().collect::<Vec<_>>(), [3, 6]);
        assert_eq!(window.take(0), 1);
    }
}
