//! A transmission in the air: its frames in interleaver blocks, and what each receiver has of it.

use std::collections::BTreeMap;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::time::Instant;

use super::{Receiver, StationId};
use crate::modem::{ModemEvent, Waveform};

/// From the key until nobody hears it any more.
#[derive(Debug)]
pub(super) struct Transmission {
    pub(super) station: StationId,
    pub(super) waveform: Waveform,
    pub(super) frames: Vec<Frame>,
    pub(super) keyed: Instant,
    pub(super) data: Instant,
    pub(super) end: Instant,
    pub(super) block: u64,
    pub(super) blocks: u64,
    pub(super) octets: u64,
    pub(super) in_emcon: bool,
    pub(super) aborted: bool,
    pub(super) receptions: BTreeMap<StationId, Reception>,
}

/// A frame and the interleaver blocks it lies in.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) octets: Bytes,
    pub(super) first_block: u64,
    pub(super) last_block: u64,
}

/// How one receiver hears it.
#[derive(Debug, Default)]
pub(super) struct Reception {
    pub(super) synchronised: bool,
    pub(super) collided: bool,
    pub(super) next_frame: usize,
    /// The first block after the last one lost.
    pub(super) clean_from: u64,
}

impl Transmission {
    /// When its signal begins.
    pub(super) fn carrier(&self) -> Instant {
        self.keyed + self.waveform.key_up
    }

    /// Hands a receiver the frames that end in the block just heard.
    pub(super) fn receive(&mut self, receiver: &mut Receiver, id: StationId, lost: bool, collided: bool) {
        let Some(reception) = self.receptions.get_mut(&id) else { return };
        reception.collided |= collided;
        if lost || !reception.synchronised {
            reception.clean_from = self.block + 1;
        }
        while let Some(frame) = self.frames.get(reception.next_frame).filter(|frame| frame.last_block <= self.block) {
            reception.next_frame += 1;
            if frame.first_block >= reception.clean_from {
                receiver.counters.frames_received += 1;
                let blocks = u32::try_from(frame.first_block).unwrap_or(u32::MAX);
                let begun = self.data + self.waveform.block.saturating_mul(blocks) - self.waveform.block;
                receiver.last_received.insert(self.station, (begun, frame.octets.clone()));
                receiver.event(ModemEvent::Received(frame.octets.clone()));
            } else {
                receiver.counters.frames_lost += 1;
            }
        }
    }
}

/// Lays frames into interleaver blocks one after the other.
pub(super) fn place(waveform: &Waveform, frames: Vec<Bytes>) -> Vec<Frame> {
    let block_bits = waveform.block_bits();
    let mut bit = 0_u64;
    frames
        .into_iter()
        .map(|octets| {
            let first_block = bit / block_bits;
            bit += octets.len() as u64 * 8;
            Frame { first_block, last_block: bit.saturating_sub(1) / block_bits, octets }
        })
        .collect()
}
