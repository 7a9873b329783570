//! What host and guests of a shared radio say to each other: a length of four octets, a kind, a body.

use skywave_protocols::bytes::{Buf as _, BufMut as _, Bytes, BytesMut, Reader, WireError};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::time::{Duration, WallTime};

use super::super::limits::{
    FRAMES_PER_TRANSMISSION_MAX, GUEST_MESSAGE_OCTETS_MAX, GUEST_NAME_OCTETS_MAX, TRANSMISSION_SECONDS_MAX,
};
use super::super::waveform::Family;
use super::super::{Interleaver, Waveform};

/// The version of the protocol: both ends must have the same.
pub const VERSION: u8 = 3;
/// The octet of a waveform's family: its bandwidth in kHz where it is of wide band, else one of these.
const SERIAL: u8 = 0;
const STANAG_4285: u8 = 1;
/// In the place of a preamble: the table's.
const PREAMBLE_USUAL: u32 = u32::MAX;
const INTERLEAVERS: [Interleaver; 7] = [
    Interleaver::Zero,
    Interleaver::UltraShort,
    Interleaver::VeryShort,
    Interleaver::Short,
    Interleaver::Medium,
    Interleaver::Long,
    Interleaver::VeryLong,
];

/// How the radio of the host is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Welcome {
    /// The number of the guest's station on the channel.
    pub station: u16,
    /// How many times as fast as real time the host runs; at least 1.
    pub speed: u32,
    /// What the host's clock shows: a guest's own, begun later and as fast, would be behind it by ever more.
    pub wall: WallTime,
    /// The usual mode.
    pub waveform: Waveform,
    /// From the end of a reception to the answer.
    pub turnaround: Duration,
    /// From the first ARQ data heard until it can be answered.
    pub answer_delay: Duration,
    /// So long after the end of a transmission, turn and key-up, who was not asked leaves the channel free.
    pub idle_guard: Duration,
    /// Longest transmission of a station; `None` leaves it to the station.
    pub transmission_max: Option<Duration>,
}

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Guest: the first.
    Hello {
        /// The name of its site.
        site: String,
        /// The station's STANAG 5066 address, which nobody else on the radio may have.
        address: NodeAddress,
    },
    /// Host: the answer.
    Welcome(Welcome),
    /// Host: why not; the connection ends.
    Goodbye(String),
    /// Guest: key up and send.
    Transmit {
        /// The guest's own number for it.
        number: u32,
        /// Its mode.
        waveform: Waveform,
        /// Its frames.
        frames: Vec<Bytes>,
    },
    /// Guest: other frames from the one with this index on.
    Replace {
        /// Of which transmission.
        number: u32,
        /// The first that is replaced.
        from: u16,
        /// What comes instead.
        frames: Vec<Bytes>,
    },
    /// Guest: stop in mid-air.
    Abort,
    /// Guest: its station is silent from now on, or no more.
    Emcon(bool),
    /// Host: a transmission has left.
    Sent {
        /// Its number.
        number: u32,
        /// So many replacements came in time, the first ones; it went out as they left it.
        replaced: u16,
    },
    /// Host: a frame was heard.
    Received(Bytes),
    /// Host: a carrier is heard, or no more.
    Carrier(bool),
}

/// Why the other end of a shared radio cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SharedFault {
    /// It is none of ours, or of another version.
    #[error("the other end is not a shared radio of version {VERSION}")]
    Version,
    /// A message is longer than any can be.
    #[error("a message of {0} octets, at most {GUEST_MESSAGE_OCTETS_MAX}")]
    TooLong(usize),
    /// Octets that mean nothing.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A message that does not belong here.
    #[error("a message out of turn")]
    OutOfTurn,
    /// The host does not want us.
    #[error("the host says: {0}")]
    Refused(String),
}

impl Message {
    /// The message with its length.
    pub fn encode(&self) -> Bytes {
        let mut octets = BytesMut::new();
        octets.put_u32(0);
        match self {
            Self::Hello { site, address } => {
                octets.put_slice(&[1, VERSION]);
                octets.put_u32(address.bits());
                octets.put_slice(site.as_bytes());
            }
            Self::Welcome(welcome) => {
                octets.put_slice(&[2, VERSION]);
                octets.put_u16(welcome.station);
                octets.put_u32(welcome.speed);
                octets.put_u64(welcome.wall.unix_micros());
                put_waveform(&mut octets, &welcome.waveform);
                octets.put_u64(micros(welcome.turnaround));
                octets.put_u64(micros(welcome.answer_delay));
                octets.put_u64(micros(welcome.idle_guard));
                octets.put_u64(welcome.transmission_max.map_or(0, micros));
            }
            Self::Goodbye(why) => {
                octets.put_u8(3);
                octets.put_slice(why.as_bytes());
            }
            Self::Transmit { number, waveform, frames } => {
                octets.put_u8(4);
                octets.put_u32(*number);
                put_waveform(&mut octets, waveform);
                put_frames(&mut octets, frames);
            }
            Self::Replace { number, from, frames } => {
                octets.put_u8(5);
                octets.put_u32(*number);
                octets.put_u16(*from);
                put_frames(&mut octets, frames);
            }
            Self::Abort => octets.put_u8(6),
            Self::Emcon(emcon) => octets.put_slice(&[7, u8::from(*emcon)]),
            Self::Sent { number, replaced } => {
                octets.put_u8(8);
                octets.put_u32(*number);
                octets.put_u16(*replaced);
            }
            Self::Received(frame) => {
                octets.put_u8(9);
                octets.put_slice(frame);
            }
            Self::Carrier(on) => octets.put_slice(&[10, u8::from(*on)]),
        }
        let length = u32::try_from(octets.len() - 4).unwrap_or(u32::MAX);
        octets[..4].copy_from_slice(&length.to_be_bytes());
        octets.freeze()
    }

    /// Reads a message without its length.
    ///
    /// # Errors
    /// [`SharedFault`].
    pub fn decode(octets: &Bytes) -> Result<Self, SharedFault> {
        let mut reader = Reader::new(octets);
        let message = match reader.u8()? {
            1 => {
                version(&mut reader)?;
                let address = NodeAddress::individual(reader.u32()?);
                Self::Hello { site: text(&mut reader)?, address }
            }
            2 => {
                version(&mut reader)?;
                Self::Welcome(welcome(&mut reader)?)
            }
            3 => Self::Goodbye(text(&mut reader)?),
            4 => Self::Transmit {
                number: reader.u32()?,
                waveform: waveform(&mut reader)?,
                frames: frames(&mut reader, octets)?,
            },
            5 => Self::Replace { number: reader.u32()?, from: reader.u16()?, frames: frames(&mut reader, octets)? },
            6 => Self::Abort,
            7 => Self::Emcon(reader.u8()? != 0),
            8 => Self::Sent { number: reader.u32()?, replaced: reader.u16()? },
            9 => {
                let from = reader.offset();
                reader.rest();
                Self::Received(octets.slice(from..))
            }
            10 => Self::Carrier(reader.u8()? != 0),
            kind => return Err(WireError::OutOfRange { field: "kind of message", value: kind.into() }.into()),
        };
        match reader.left() {
            0 => Ok(message),
            left => Err(WireError::Trailing { offset: reader.offset(), left }.into()),
        }
    }
}

/// Cuts what a connection brings into messages.
#[derive(Debug, Default)]
pub struct Stream {
    octets: BytesMut,
}

impl Stream {
    /// Adds what arrived.
    pub fn add(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// The next whole message; `None` until more arrives.
    ///
    /// # Errors
    /// [`SharedFault`]; the connection is of no more use.
    pub fn next_message(&mut self) -> Result<Option<Message>, SharedFault> {
        let Some(&[a, b, c, d]) = self.octets.get(..4).and_then(|head| head.first_chunk()) else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > GUEST_MESSAGE_OCTETS_MAX {
            return Err(SharedFault::TooLong(length));
        }
        if self.octets.len() < 4 + length {
            return Ok(None);
        }
        self.octets.advance(4);
        Message::decode(&self.octets.split_to(length).freeze()).map(Some)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn put_waveform(octets: &mut BytesMut, waveform: &Waveform) {
    let interleaver = INTERLEAVERS.iter().position(|one| *one == waveform.interleaver).unwrap_or(0);
    octets.put_u32(waveform.bits_per_second);
    let family = match waveform.family {
        Family::Serial => SERIAL,
        Family::Stanag4285 => STANAG_4285,
        Family::WideBand(bandwidth) => bandwidth,
    };
    octets.put_slice(&[u8::try_from(interleaver).unwrap_or(0), family]);
    let micros = |span: Duration| u32::try_from(micros(span)).unwrap_or(u32::MAX);
    octets.put_u32(micros(waveform.key_up));
    octets.put_u32(if waveform.preamble_is_set { micros(waveform.preamble) } else { PREAMBLE_USUAL });
    octets.put_u32(micros(waveform.crypto));
}

fn put_frames(octets: &mut BytesMut, frames: &[Bytes]) {
    octets.put_u16(u16::try_from(frames.len()).unwrap_or(u16::MAX));
    for frame in frames {
        octets.put_u32(u32::try_from(frame.len()).unwrap_or(u32::MAX));
        octets.put_slice(frame);
    }
}

fn version(reader: &mut Reader<'_>) -> Result<(), SharedFault> {
    if reader.u8()? == VERSION { Ok(()) } else { Err(SharedFault::Version) }
}

fn text(reader: &mut Reader<'_>) -> Result<String, SharedFault> {
    let octets = reader.rest();
    match std::str::from_utf8(octets) {
        Ok(text) if octets.len() <= GUEST_NAME_OCTETS_MAX => Ok(text.to_owned()),
        _ => Err(WireError::OutOfRange { field: "octets of a name", value: octets.len() as u64 }.into()),
    }
}

fn span(reader: &mut Reader<'_>, field: &'static str) -> Result<Duration, SharedFault> {
    match reader.u64()? {
        micros if micros <= 3_600_000_000 => Ok(Duration::from_micros(micros)),
        value => Err(WireError::OutOfRange { field, value }.into()),
    }
}

fn welcome(reader: &mut Reader<'_>) -> Result<Welcome, SharedFault> {
    Ok(Welcome {
        station: reader.u16()?,
        speed: reader.u32()?.max(1),
        wall: WallTime::from_unix_micros(reader.u64()?),
        waveform: waveform(reader)?,
        turnaround: span(reader, "turnaround")?,
        answer_delay: span(reader, "answer delay")?,
        idle_guard: span(reader, "idle guard")?,
        transmission_max: Some(span(reader, "longest transmission")?).filter(|max| !max.is_zero()),
    })
}

fn waveform(reader: &mut Reader<'_>) -> Result<Waveform, SharedFault> {
    let bits_per_second = reader.u32()?;
    let index = reader.u8()?;
    let interleaver = INTERLEAVERS.get(usize::from(index)).copied();
    let interleaver = interleaver.ok_or(WireError::OutOfRange { field: "interleaver", value: index.into() })?;
    let family = match reader.u8()? {
        SERIAL => Family::Serial,
        STANAG_4285 => Family::Stanag4285,
        bandwidth => Family::WideBand(bandwidth),
    };
    let waveform = Waveform::of_family(family, bits_per_second, interleaver);
    let waveform = waveform.map_err(|_| WireError::OutOfRange { field: "waveform", value: bits_per_second.into() })?;
    let key_up = short_span(reader.u32()?, "key-up")?;
    let waveform = match reader.u32()? {
        PREAMBLE_USUAL => waveform,
        micros => waveform.with_preamble(short_span(micros, "preamble")?),
    };
    let crypto = short_span(reader.u32()?, "crypto preamble")?;
    Ok(Waveform { key_up, crypto, ..waveform })
}

/// A part of a transmission.
fn short_span(micros: u32, field: &'static str) -> Result<Duration, SharedFault> {
    let span = Duration::from_micros(micros.into());
    if span > TRANSMISSION_SECONDS_MAX {
        return Err(WireError::OutOfRange { field, value: micros.into() }.into());
    }
    Ok(span)
}

fn frames(reader: &mut Reader<'_>, octets: &Bytes) -> Result<Vec<Bytes>, SharedFault> {
    let count = usize::from(reader.u16()?);
    if count > FRAMES_PER_TRANSMISSION_MAX {
        return Err(WireError::OutOfRange { field: "frames", value: count as u64 }.into());
    }
    let mut frames = Vec::new();
    for _ in 0..count {
        let length = reader.u32()? as usize;
        let from = reader.offset();
        reader.take(length)?;
        frames.push(octets.slice(from..from + length));
    }
    Ok(frames)
}
