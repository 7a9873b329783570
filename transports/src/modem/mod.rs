//! The seam to a radio: [`Modem`], one station's half-duplex modem, and the simulated channel behind it.
//!
//! A modem takes a *transmission*, a run of frames that leaves in one piece after key-up and preamble, and yields the
//! frames it hears, whole or not at all. It says whether a carrier is heard, when its own transmission has ended, and
//! how long a transmission of so many octets takes ([`Waveform`]). It knows nothing of what is in a frame.
//!
//! Promises: pure like every machine here; frames of one transmission arrive in their order. Refuses: a transmission
//! while one is in the air, or longer than a node may send. [`channel::Channel`] is the simulated radio, [`shared`] lets
//! several processes use one; a driver for a real modem (MIL-STD-188-110D Appendix A over TCP) implements the same trait
//! beside them. Limits: `limits.rs`.

pub mod channel;
pub mod limits;
pub mod loss;
mod reading;
pub mod shared;
pub mod waveform;
pub mod weather;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::fault::{Blame, Fault, Next};
use skywave_protocols::time::{Instant, Now, Wakeup};

pub use waveform::{Interleaver, Waveform};

/// What a modem reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ModemEvent {
    /// A frame of another station was received without loss.
    Received(Bytes),
    /// Only so many replacements of frames of our transmission came in time, the first ones: what the others were to take
    /// out has left, and what they brought has not. `Sent` follows.
    Kept(u16),
    /// Our own transmission has left the air.
    Sent,
    /// Somebody else's carrier is heard.
    CarrierOn,
    /// No carrier is heard any more.
    CarrierOff,
}

/// Why a modem did not take a transmission.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ModemFault {
    /// The last one is still in the air.
    #[error("the modem is transmitting")]
    Transmitting,
    /// The frames that were to be replaced are in the air already, or nothing is.
    #[error("the frames are in the air")]
    Begun,
    /// There is nothing in it.
    #[error("a transmission needs at least one frame that is not empty")]
    Empty,
    /// It would take too long or has too many frames.
    #[error("{octets} octets in {frames} frames are more than one transmission may carry")]
    TooLong {
        /// Its octets.
        octets: usize,
        /// Its frames.
        frames: usize,
    },
    /// The channel does not know the station.
    #[error("the station is not attached")]
    Unattached,
}

impl Fault for ModemFault {
    fn blame(&self) -> Blame {
        Blame::Local
    }

    fn next(&self) -> Next {
        match self {
            Self::Transmitting => Next::Retry,
            Self::Empty | Self::TooLong { .. } | Self::Begun => Next::GiveUp,
            Self::Unattached => Next::CloseLink,
        }
    }
}

/// One station's half-duplex modem.
pub trait Modem {
    /// How it modulates unless a transmission says otherwise, and therefore how long one takes.
    fn waveform(&self) -> Waveform;
    /// Whether somebody else's carrier is heard.
    fn carrier(&self) -> bool;
    /// The mode of the carrier that is heard, as its preamble says; `None` while there is none, or where the modem does not
    /// tell.
    fn heard(&self) -> Option<Waveform>;
    /// Whether our own transmission is in the air (from key-up on).
    fn transmitting(&self) -> bool;
    /// Starts a transmission in a mode of the sender's choice; `Sent` follows at the instant returned. Receivers learn
    /// the mode from the preamble.
    ///
    /// # Errors
    /// [`ModemFault`], and nothing was transmitted.
    fn transmit(&mut self, now: Now, waveform: &Waveform, frames: Vec<Bytes>) -> Result<Instant, ModemFault>;
    /// How many frames of our transmission have begun, and so can no longer be taken back: all of them at a modem that
    /// cannot take any back. `None` when nothing of ours is in the air.
    fn begun(&self, now: Now) -> Option<usize>;
    /// Puts other frames in the place of those of our transmission from the one with this index on; none of them may
    /// have begun. `Sent` follows at the instant returned.
    ///
    /// # Errors
    /// [`ModemFault`], and the transmission goes on as it was.
    fn replace(&mut self, now: Now, from: usize, frames: Vec<Bytes>) -> Result<Instant, ModemFault>;
    /// The station keeps radio silence, or no longer: where emissions are counted, those in silence are counted apart.
    fn set_emcon(&mut self, now: Now, emcon: bool);
    /// Stops our transmission in mid-air: nothing more is emitted. No `Sent` follows.
    fn abort(&mut self, now: Now);
    /// Takes a wakeup.
    fn handle_wakeup(&mut self, now: Now);
    /// The next event of this station.
    fn poll_event(&mut self) -> Option<ModemEvent>;
    /// When it wants to be woken.
    fn next_wakeup(&self) -> Option<Wakeup>;
}

/// Octets of the frames of a transmission.
///
/// # Errors
/// Why no modem takes it.
fn weigh(waveform: &Waveform, frames: &[Bytes]) -> Result<usize, ModemFault> {
    let octets: usize = frames.iter().map(Bytes::len).sum();
    if frames.iter().any(Bytes::is_empty) || octets == 0 {
        return Err(ModemFault::Empty);
    }
    fits(waveform, octets, frames.len())?;
    Ok(octets)
}

/// Whether a transmission is neither too long nor of too many frames.
///
/// # Errors
/// It is.
fn fits(waveform: &Waveform, octets: usize, frames: usize) -> Result<(), ModemFault> {
    if waveform.airtime(octets) > limits::TRANSMISSION_SECONDS_MAX || frames > limits::FRAMES_PER_TRANSMISSION_MAX {
        return Err(ModemFault::TooLong { octets, frames });
    }
    Ok(())
}
