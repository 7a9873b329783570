//! The receiving end of ARQ: segments to C_PDUs, once, and in order where asked.
//!
//! A C_PDU that is to be in order comes out when nothing before it is missing; any other as soon as it is whole. What is
//! whole and waits for earlier ones comes out, in order, when the window is reset: its sender was told that it arrived.
//! Limits: one window of segments, and one C_PDU of at most [`C_PDU_OCTETS_MAX`] octets that reaches below it.

use std::collections::BTreeMap;

use super::window::{Arrival, FSN_MODULUS, ReceiveWindow};
use crate::bytes::{BufMut as _, Bytes, BytesMut};
use crate::s5066::node::dpdu::{AckPart, DataPart};
use crate::s5066::node::dts::limits::{C_PDU_OCTETS_MAX, DOUBTS_MAX, WINDOW_MAX};

/// What a segment did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Taken {
    /// It was new.
    New,
    /// It had been received before.
    Repeat,
    /// It does not fit the window.
    Doubtful,
    /// It shows that both ends no longer speak of the same window.
    OutOfSync,
}

#[derive(Clone, Debug)]
struct Held {
    data: DataPart,
    /// Its C_PDU has come out already.
    done: bool,
}

#[derive(Clone, Debug)]
pub(in super::super) struct ArqReceiver {
    window: ReceiveWindow<FSN_MODULUS>,
    /// The absolute number of the lower edge: counts frames since the window began.
    base: u64,
    /// Segments above the lower edge, by absolute number.
    held: BTreeMap<u64, Held>,
    /// The C_PDU that reaches below the lower edge.
    assembly: Option<Assembly>,
    doubts: u8,
    /// Segments that belonged to no C_PDU.
    pub(in super::super) unassembled: u64,
}

#[derive(Clone, Debug, Default)]
struct Assembly {
    octets: BytesMut,
    /// It is dropped by its sender, too large, or has come out.
    void: bool,
}

impl ArqReceiver {
    pub(in super::super) fn new(first: u8) -> Self {
        Self {
            window: ReceiveWindow::new(WINDOW_MAX, first),
            base: 0,
            held: BTreeMap::new(),
            assembly: None,
            doubts: 0,
            unassembled: 0,
        }
    }

    /// Takes a segment that arrived intact; C_PDUs that became whole are added to `out`.
    //= s5066/DTS-010
    pub(in super::super) fn take(&mut self, data: &DataPart, out: &mut Vec<Bytes>) -> Taken {
        let place = match self.window.judge(data.fsn, data.uwe, data.lwe) {
            Arrival::New(place) => place,
            Arrival::Repeat => return Taken::Repeat,
            Arrival::OutOfSync => return Taken::OutOfSync,
            Arrival::Doubtful => {
                self.doubts += 1;
                return if self.doubts >= DOUBTS_MAX { Taken::OutOfSync } else { Taken::Doubtful };
            }
        };
        self.doubts = 0;
        let at = self.base + u64::from(place);
        self.held.insert(at, Held { data: data.clone(), done: false });
        let edge = self.base + u64::from(self.window.take(place));
        while self.base < edge {
            if let Some(held) = self.held.remove(&self.base) {
                self.append(held, out);
            }
            self.base += 1;
        }
        if !data.in_order {
            self.take_out_whole(at, out);
        }
        Taken::New
    }

    /// What is to be told to the sender.
    pub(in super::super) fn ack(&self) -> AckPart {
        AckPart::new(self.window.lwe(), self.window.above())
    }

    /// Begins a new window; what is whole comes out.
    pub(in super::super) fn restart(&mut self, first: u8, out: &mut Vec<Bytes>) {
        let held = std::mem::take(&mut self.held);
        self.assembly = None;
        let mut expected = None;
        for (at, held) in held {
            // Behind a hole a C_PDU lacks segments unless it begins anew.
            if expected != Some(at) {
                self.assembly = None;
            }
            expected = Some(at + 1);
            if self.assembly.is_some() || held.data.start {
                self.append(held, out);
            }
        }
        let unassembled = self.unassembled;
        *self = Self::new(first);
        self.unassembled = unassembled;
    }

    /// Octets held.
    pub(in super::super) fn octets(&self) -> usize {
        let held: usize = self.held.values().map(|held| held.data.segment.len()).sum();
        held + self.assembly.as_ref().map_or(0, |assembly| assembly.octets.len())
    }

    /// Puts the next segment in order to its C_PDU.
    fn append(&mut self, held: Held, out: &mut Vec<Bytes>) {
        let Held { data, done } = held;
        if data.start {
            self.unassembled += u64::from(self.assembly.is_some());
            self.assembly = Some(Assembly::default());
        }
        let Some(assembly) = self.assembly.as_mut() else {
            self.unassembled += 1;
            return;
        };
        assembly.void |= data.drop || done || assembly.octets.len() + data.segment.len() > C_PDU_OCTETS_MAX;
        if assembly.void {
            assembly.octets.clear();
        } else {
            assembly.octets.put_slice(&data.segment);
        }
        if data.end
            && let Some(assembly) = self.assembly.take().filter(|assembly| !assembly.void)
        {
            out.push(assembly.octets.freeze());
        }
    }

    /// Gives out the C_PDU around a segment above the lower edge, if all of it is there.
    //= s5066/DTS-010
    fn take_out_whole(&mut self, at: u64, out: &mut Vec<Bytes>) {
        let Some((first, last)) = self.around(at) else { return };
        let mut octets = BytesMut::new();
        let mut void = false;
        for (_, held) in self.held.range_mut(first..=last) {
            void |= held.done || held.data.drop || octets.len() + held.data.segment.len() > C_PDU_OCTETS_MAX;
            octets.put_slice(&held.data.segment);
            held.done = true;
            held.data.segment = Bytes::new();
        }
        if !void {
            out.push(octets.freeze());
        }
    }

    /// First and last segment of the C_PDU around a segment, if nothing between them is missing.
    fn around(&self, at: u64) -> Option<(u64, u64)> {
        let (mut first, mut last) = (at, at);
        while !self.held.get(&first)?.data.start {
            first = first.checked_sub(1)?;
            if self.held.get(&first)?.data.end {
                return None;
            }
        }
        while !self.held.get(&last)?.data.end {
            last += 1;
            if self.held.get(&last)?.data.start {
                return None;
            }
        }
        Some((first, last))
    }
}
