//! Engineering orderwire messages: 12 bits in every header (C.5, fact sheet 4.5).

use crate::bytes::{BufMut as _, Bytes, BytesMut, Reader, WireError};

/// The rates of a data rate change, in bit/s, by their code.
pub const RATES: [u32; 12] = [75, 150, 300, 600, 1200, 2400, 3200, 3600, 4800, 6400, 8000, 9600];

/// An orderwire message as it stands in a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Eow {
    /// Its type: 0 to 15.
    pub kind: u8,
    /// Its data.
    pub data: u8,
}

/// What an orderwire message means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EowMessage {
    /// 0: none.
    None,
    /// 1: a data rate change is asked for, or advised.
    RateChange(RateChange),
    /// 2: the answer to it.
    RateResponse {
        /// What the answer is.
        response: RateResponse,
        /// Why: 0 to 31; 0 none, 1 both directions must be the same, 2 the rate cannot change, 3 nor the interleaver,
        /// 4 neither, 5 not consistent with local conditions.
        reason: u8,
    },
    /// 3: a message of this type (0 to 15) was not understood.
    Unrecognised(u8),
    /// 4: what the sender can do.
    Capability(Capability),
    /// 5 and 6: a change of frequency is asked for or answered; Annex I, which is not known here.
    Frequency {
        /// It is the answer.
        response: bool,
        /// The data.
        data: u8,
    },
    /// 7: a change of waveform, with an extended message; only in management D_PDUs.
    WaveformChange {
        /// The waveform: 0 to 31; 3 is STANAG 4539.
        waveform: u8,
        /// Channels: 1 to 8.
        channels: u8,
    },
    /// 8 to 15: agreed among users.
    User(Eow),
    /// A value that the standard reserves.
    Reserved(Eow),
}

/// A data rate that is asked for or advised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateChange {
    /// The place in [`RATES`]: 0 to 11.
    pub rate: u8,
    /// The interleaver.
    pub interleaver: Interleaver,
    /// It is advice and no request: nothing is negotiated.
    pub advisory: bool,
    /// Both directions have the same rate.
    pub same_both_ways: bool,
}

/// The interleaver of a data rate change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interleaver {
    /// 0.
    None,
    /// 1.
    Short,
    /// 2.
    Long,
}

/// The answer to a data rate change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RateResponse {
    /// 0: it is accepted.
    Accept,
    /// 1: it is refused.
    Refuse,
    /// 2: it is called off.
    Cancel,
    /// 3: it has been done.
    Confirm,
}

/// What a node can do, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capability(pub u8);

impl Capability {
    /// Bit 7: data rate change.
    pub const RATE_CHANGE: u8 = 0x80;
    /// Bit 6: STANAG 4529.
    pub const STANAG_4529: u8 = 0x40;
    /// Bit 5: MIL-STD-188-110 at 75 to 2400 bit/s.
    pub const MIL_STD_188_110: u8 = 0x20;
    /// Bit 4: extended rates.
    pub const EXTENDED_RATES: u8 = 0x10;
    /// Bit 3: full duplex.
    pub const FULL_DUPLEX: u8 = 0x08;
    /// Bit 2: split frequency.
    pub const SPLIT_FREQUENCY: u8 = 0x04;
}

/// The extended message of a change of waveform.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaveformDetail {
    /// bit/s.
    pub rate: u32,
    /// Length of the interleaver in hundredths of a second.
    pub interleaver_centiseconds: u16,
}

impl WaveformDetail {
    /// Its six octets.
    pub fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(6);
        out.put_u32(self.rate);
        out.put_u16(self.interleaver_centiseconds);
        out.freeze()
    }

    /// Reads its six octets.
    ///
    /// # Errors
    /// There are more or fewer.
    pub fn decode(octets: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(octets);
        let detail = Self { rate: reader.u32()?, interleaver_centiseconds: reader.u16()? };
        reader.finish()?;
        Ok(detail)
    }
}

impl Eow {
    /// No message.
    pub const NONE: Self = Self { kind: 0, data: 0 };

    /// What it means.
    //= s5066/DTS-005
    pub const fn meaning(self) -> EowMessage {
        let Self { kind, data } = self;
        match kind {
            0 => EowMessage::None,
            1 => {
                let interleaver = match data >> 2 & 3 {
                    0 => Interleaver::None,
                    1 => Interleaver::Short,
                    2 => Interleaver::Long,
                    _ => return EowMessage::Reserved(self),
                };
                let rate = data >> 4;
                if rate as usize >= RATES.len() {
                    return EowMessage::Reserved(self);
                }
                let (advisory, same_both_ways) = (data & 2 != 0, data & 1 != 0);
                EowMessage::RateChange(RateChange { rate, interleaver, advisory, same_both_ways })
            }
            2 => {
                let response = match data >> 5 {
                    0 => RateResponse::Accept,
                    1 => RateResponse::Refuse,
                    2 => RateResponse::Cancel,
                    3 => RateResponse::Confirm,
                    _ => return EowMessage::Reserved(self),
                };
                EowMessage::RateResponse { response, reason: data & 0x1f }
            }
            3 => EowMessage::Unrecognised(data & 0x0f),
            4 => EowMessage::Capability(Capability(data)),
            5 | 6 => EowMessage::Frequency { response: kind == 6, data },
            7 => {
                let channels = if data & 7 == 0 { 8 } else { data & 7 };
                EowMessage::WaveformChange { waveform: data >> 3, channels }
            }
            8..=15 => EowMessage::User(self),
            _ => EowMessage::Reserved(self),
        }
    }
}

impl From<EowMessage> for Eow {
    fn from(message: EowMessage) -> Self {
        let (kind, data) = match message {
            EowMessage::None => (0, 0),
            EowMessage::RateChange(change) => {
                let other = u8::from(change.advisory) << 1 | u8::from(change.same_both_ways);
                (1, change.rate << 4 | (change.interleaver as u8) << 2 | other)
            }
            EowMessage::RateResponse { response, reason } => (2, (response as u8) << 5 | reason & 0x1f),
            EowMessage::Unrecognised(kind) => (3, kind & 0x0f),
            EowMessage::Capability(Capability(bits)) => (4, bits),
            EowMessage::Frequency { response, data } => (if response { 6 } else { 5 }, data),
            EowMessage::WaveformChange { waveform, channels } => (7, waveform << 3 | channels & 7),
            EowMessage::User(eow) | EowMessage::Reserved(eow) => (eow.kind & 0x0f, eow.data),
        };
        Self { kind, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_both_ways() {
        for kind in 0..16 {
            for data in 0..=255 {
                let eow = Eow { kind, data };
                let back = Eow::from(eow.meaning());
                // Without a meaning for it, data is not sent: types 0 and 3 have unused bits.
                let used = match kind {
                    0 => 0,
                    3 => data & 0x0f,
                    _ => data,
                };
                assert_eq!(back, Eow { kind, data: used }, "{eow:?}");
            }
        }
    }

    #[test]
    fn the_vectors_say_what_their_descriptions_say() {
        let advice = RateChange { rate: 4, interleaver: Interleaver::Short, advisory: true, same_both_ways: false };
        assert_eq!(RATES[usize::from(advice.rate)], 1200);
        assert_eq!(Eow::from(EowMessage::RateChange(advice)), Eow { kind: 1, data: 0x46 });
        let request = RateChange { rate: 5, interleaver: Interleaver::Long, advisory: false, same_both_ways: true };
        assert_eq!(Eow { kind: 1, data: 0x59 }.meaning(), EowMessage::RateChange(request));
        assert_eq!(Eow { kind: 7, data: 0x19 }.meaning(), EowMessage::WaveformChange { waveform: 3, channels: 1 });
        let detail = WaveformDetail { rate: 9600, interleaver_centiseconds: 432 };
        assert_eq!(WaveformDetail::decode(&detail.encode()), Ok(detail));
        assert_eq!(detail.encode()[..], [0, 0, 0x25, 0x80, 0x01, 0xb0]);
        assert!(WaveformDetail::decode(&[0; 5]).is_err() && WaveformDetail::decode(&[0; 7]).is_err());
    }
}
