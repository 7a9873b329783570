//! S_PDUs: what the SIS of two nodes say to each other (A.3.1, fact sheet section 2).
//!
//! ```text
//! 0 DATA     [0|PRIO4] [SRC SAP4|DST SAP4] [CLIENTCONF1|TTDVALID1|00|DAY4] (TTD16) U_PDU
//! 1 CONFIRM  [1|0]      [SRC SAP4|DST SAP4] leading octets of the U_PDU
//! 2 FAIL     [2|REASON4] [SRC SAP4|DST SAP4] leading octets of the U_PDU
//! 3..7       messages about the hard link, one or two octets
//! ```
//! Promises: no octets make the reader panic; reserved bits are sent as 0 and ignored. Refuses: the types 8 to 15,
//! octets left over behind the types 3 to 7.

use crate::bytes::{BufMut as _, Bytes, BytesMut, Reader, WireError};
use crate::s5066::sis::fields::{HardLinkType, SapId};
use crate::s5066::sis::reason::{HardLinkRejection, codes};
use crate::time::{Duration, Instant, Now, WallTime};

/// Octets in front of the U_PDU of a DATA S_PDU without a time to die.
pub const DATA_HEADER_OCTETS: usize = 3;
/// Octets of the time to die.
pub const TTD_OCTETS: usize = 2;
/// A time to die lies at most so many days before the receiver's day, or it lies ahead.
const DAYS_BEHIND_MAX: u64 = 8;
/// A time to die lies at most so many days ahead of the receiver's day.
const DAYS_AHEAD_MAX: u64 = 7;
const DAY_SECONDS: u64 = 86_400;

const CLIENT_CONFIRM: u8 = 0x80;
const TTD_VALID: u8 = 0x40;

/// An S_PDU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SPdu {
    /// 0: a U_PDU.
    Data(Data),
    /// 1: the U_PDU was given to the client at the destination SAP.
    DeliveryConfirm(Delivery),
    /// 2: it was not.
    DeliveryFail(DeliveryFailure, Delivery),
    /// 3 to 7: about the hard link.
    HardLink(HardLinkMessage),
}

/// A U_PDU on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Data {
    /// 0 lowest to 15; 0 for the expedited service.
    pub priority: u8,
    /// The client that sends.
    pub source: SapId,
    /// The client that receives.
    pub destination: SapId,
    /// The SIS that receives answers with a CONFIRM or a FAIL.
    pub client_confirm: bool,
    /// When it is worth nothing any more.
    pub ttd: Option<TimeToDie>,
    /// The octets.
    pub u_pdu: Bytes,
}

/// Which U_PDU a CONFIRM or a FAIL is about. The SAPs are those of the DATA S_PDU, not swapped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// The client that sent the U_PDU.
    pub source: SapId,
    /// The client it was for.
    pub destination: SapId,
    /// The leading octets of the U_PDU, as many as the node is configured to return.
    pub leading: Bytes,
}

codes! {
    /// Why a U_PDU was not given to a client; 4 bits.
    DeliveryFailure {
        /// No client at the destination SAP.
        NotBound = 1, "destination SAP not bound";
    }
}

codes! {
    /// Why a hard link is to end; 4 bits.
    HardLinkTermination {
        /// The client asks for it.
        ClientRequest = 1, "client request";
        /// A link of higher priority was asked for.
        HigherPriority = 2, "link of higher priority requested";
        /// No client at the SAP any more.
        NotBound = 4, "destination SAP not bound";
    }
}

/// What the SIS of two nodes say to each other about a hard link: S_PDUs 3 to 7.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HardLinkMessage {
    /// 3: make it.
    Request {
        /// Its type.
        kind: HardLinkType,
        /// Its priority, 0 to 3.
        priority: u8,
        /// The client that asks.
        requesting: SapId,
        /// The client asked; significant for type 2.
        remote: SapId,
    },
    /// 4: it is made.
    Confirm,
    /// 5: it is refused.
    Rejected(HardLinkRejection),
    /// 6: it ends.
    Terminate(HardLinkTermination),
    /// 7: it has ended.
    TerminateConfirm,
}

impl SPdu {
    /// The octets. A priority above 15 is cut to four bits.
    //= s5066/SPDU-001
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Data(data) => data.encode(),
            Self::DeliveryConfirm(delivery) => delivery.encode(0x10),
            Self::DeliveryFail(reason, delivery) => delivery.encode(0x20 | reason.code() & 0x0f),
            Self::HardLink(message) => message.encode().into(),
        }
    }

    /// Reads an S_PDU.
    ///
    /// # Errors
    /// Its type is none of Edition 3, or it is too short or too long for it.
    //= s5066/SPDU-001
    pub fn decode(octets: &Bytes) -> Result<Self, WireError> {
        let mut reader = Reader::new(octets);
        let first = reader.u8()?;
        Ok(match first >> 4 {
            0 => Self::Data(Data::decode(first & 0x0f, reader, octets)?),
            1 => Self::DeliveryConfirm(Delivery::decode(reader, octets)?),
            2 => {
                let reason = DeliveryFailure::from_code(first & 0x0f);
                Self::DeliveryFail(reason, Delivery::decode(reader, octets)?)
            }
            _ => Self::HardLink(HardLinkMessage::decode(octets)?),
        })
    }
}

impl Data {
    /// Octets of the S_PDU.
    pub fn octets(&self) -> usize {
        DATA_HEADER_OCTETS + if self.ttd.is_some() { TTD_OCTETS } else { 0 } + self.u_pdu.len()
    }

    //= s5066/SPDU-002
    fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.octets());
        let confirm = if self.client_confirm { CLIENT_CONFIRM } else { 0 };
        let ttd = self.ttd.map_or(0, |ttd| TTD_VALID | ttd.day & 0x0f);
        out.put_slice(&[self.priority & 0x0f, saps(self.source, self.destination), confirm | ttd]);
        if let Some(ttd) = self.ttd {
            out.put_u16(ttd.units);
        }
        out.put_slice(&self.u_pdu);
        out.freeze()
    }

    //= s5066/SPDU-002
    fn decode(priority: u8, mut reader: Reader<'_>, octets: &Bytes) -> Result<Self, WireError> {
        let (source, destination) = read_saps(&mut reader)?;
        let flags = reader.u8()?;
        let ttd =
            if flags & TTD_VALID == 0 { None } else { Some(TimeToDie { day: flags & 0x0f, units: reader.u16()? }) };
        let client_confirm = flags & CLIENT_CONFIRM != 0;
        let u_pdu = octets.slice(reader.offset()..);
        Ok(Self { priority, source, destination, client_confirm, ttd, u_pdu })
    }
}

impl Delivery {
    //= s5066/SPDU-004
    fn encode(&self, first: u8) -> Bytes {
        let mut out = BytesMut::with_capacity(2 + self.leading.len());
        out.put_slice(&[first, saps(self.source, self.destination)]);
        out.put_slice(&self.leading);
        out.freeze()
    }

    //= s5066/SPDU-004
    fn decode(mut reader: Reader<'_>, octets: &Bytes) -> Result<Self, WireError> {
        let (source, destination) = read_saps(&mut reader)?;
        Ok(Self { source, destination, leading: octets.slice(reader.offset()..) })
    }
}

impl HardLinkMessage {
    /// The S_PDU.
    //= s5066/NODE-014
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Request { kind, priority, requesting, remote } => {
                vec![0x30 | (kind as u8) << 2 | priority & 3, saps(requesting, remote)]
            }
            Self::Confirm => vec![0x40],
            Self::Rejected(reason) => vec![0x50 | reason.code() & 0x0f],
            Self::Terminate(reason) => vec![0x60 | reason.code() & 0x0f],
            Self::TerminateConfirm => vec![0x70],
        }
    }

    /// Reads an S_PDU of type 3 to 7.
    ///
    /// # Errors
    /// It is of another type, too short or too long.
    //= s5066/NODE-014
    pub fn decode(octets: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(octets);
        let first = reader.u8()?;
        let message = match first >> 4 {
            3 => {
                let (requesting, remote) = read_saps(&mut reader)?;
                Self::Request { kind: kind_of(first >> 2), priority: first & 3, requesting, remote }
            }
            4 => Self::Confirm,
            5 => Self::Rejected(HardLinkRejection::from_code(first & 0x0f)),
            6 => Self::Terminate(HardLinkTermination::from_code(first & 0x0f)),
            7 => Self::TerminateConfirm,
            other => return Err(WireError::OutOfRange { field: "type of S_PDU", value: other.into() }),
        };
        reader.finish()?;
        Ok(message)
    }
}

/// A time to die as S_PDUs carry it: a day of the year modulo 16 and the time of that day, both GMT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeToDie {
    /// The day of the year (1 to 366) modulo 16.
    pub day: u8,
    /// Seconds since midnight in units of two.
    pub units: u16,
}

impl TimeToDie {
    /// The time to die of a U_PDU whose deadline is `deadline`. `None` for one so far ahead that the receiver would take
    /// it for one long past: that U_PDU travels without.
    //= s5066/SPDU-003
    pub fn of_deadline(now: Now, deadline: Instant) -> Option<Self> {
        let left = deadline.since(now.mono);
        (left < Duration::from_secs(DAYS_AHEAD_MAX * DAY_SECONDS)).then(|| Self::at(now.wall + left))
    }

    /// This moment, cut to two seconds.
    //= s5066/SPDU-003
    pub fn at(moment: WallTime) -> Self {
        let seconds = moment.unix_seconds();
        let units = u16::try_from((seconds % DAY_SECONDS) >> 1).unwrap_or(u16::MAX);
        Self { day: day_modulo_16(seconds / DAY_SECONDS), units }
    }

    /// The moment meant, for somebody whose clock shows `now`: the one from 8 days before to 7 days after this day.
    /// Around the turn of the year, where the days of the year jump, a number may be that of two days, and the later
    /// is meant, or of none.
    //= s5066/SPDU-003
    pub fn moment(self, now: WallTime) -> Option<WallTime> {
        let today = now.unix_seconds() / DAY_SECONDS;
        let days = today.saturating_sub(DAYS_BEHIND_MAX)..=today.saturating_add(DAYS_AHEAD_MAX);
        let day = days.rev().find(|&day| day_modulo_16(day) == self.day & 0x0f)?;
        Some(WallTime::from_unix_seconds(day * DAY_SECONDS + 2 * u64::from(self.units)))
    }

    /// Whether it has passed for somebody whose clock shows `now`: the two seconds that it names are over. A time that
    /// means no day never passes.
    pub fn has_passed(self, now: WallTime) -> bool {
        self.moment(now).is_some_and(|moment| moment + Duration::from_secs(2) <= now)
    }
}

/// The day of the year modulo 16, `days` after 1970-01-01. Beyond the calendar, in the year 10000, it is that of the
/// first day of a year.
fn day_modulo_16(days: u64) -> u8 {
    let seconds = i64::try_from(days.saturating_mul(DAY_SECONDS)).unwrap_or(i64::MAX);
    let day = ::time::OffsetDateTime::from_unix_timestamp(seconds).map_or(1, ::time::OffsetDateTime::ordinal);
    u8::try_from(day % 16).unwrap_or(0)
}

const fn kind_of(bits: u8) -> HardLinkType {
    match bits & 3 {
        0 => HardLinkType::Reservation,
        1 => HardLinkType::Partial,
        2 => HardLinkType::Full,
        _ => HardLinkType::Undefined,
    }
}

const fn saps(source: SapId, destination: SapId) -> u8 {
    source.number() << 4 | destination.number()
}

fn read_saps(reader: &mut Reader<'_>) -> Result<(SapId, SapId), WireError> {
    let saps = reader.u8()?;
    Ok((SapId::from_low_bits(saps >> 4), SapId::from_low_bits(saps)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(DAY_SECONDS);
    /// 2026-02-14, the 45th day of its year, 12:34:56.
    const WORKED: WallTime = WallTime::from_unix_seconds(1_771_072_496);
    /// 2026-12-31, the 365th day, 23:00.
    const NEW_YEARS_EVE: WallTime = WallTime::from_unix_seconds(1_798_758_000);

    fn sap(number: u8) -> SapId {
        SapId::from_low_bits(number)
    }

    fn delivery() -> Delivery {
        Delivery { source: sap(6), destination: sap(7), leading: Bytes::from_static(b"ab") }
    }

    #[test]
    fn octets_of_the_figures_both_ways() {
        let data = |client_confirm, ttd| {
            let u_pdu = Bytes::from_static(b"ab");
            SPdu::Data(Data { priority: 4, source: sap(6), destination: sap(7), client_confirm, ttd, u_pdu })
        };
        let request =
            HardLinkMessage::Request { kind: HardLinkType::Full, priority: 3, requesting: sap(6), remote: sap(7) };
        let rows: [(SPdu, &[u8]); 9] = [
            (data(false, None), &[0x04, 0x67, 0x00, b'a', b'b']),
            (data(true, Some(TimeToDie::at(WORKED))), &[0x04, 0x67, 0xcd, 0x58, 0x78, b'a', b'b']),
            (SPdu::DeliveryConfirm(delivery()), &[0x10, 0x67, b'a', b'b']),
            (SPdu::DeliveryFail(DeliveryFailure::NotBound, delivery()), &[0x21, 0x67, b'a', b'b']),
            (SPdu::HardLink(request), &[0x3b, 0x67]),
            (SPdu::HardLink(HardLinkMessage::Confirm), &[0x40]),
            (SPdu::HardLink(HardLinkMessage::Rejected(HardLinkRejection::NotBound)), &[0x54]),
            (SPdu::HardLink(HardLinkMessage::Terminate(HardLinkTermination::HigherPriority)), &[0x62]),
            (SPdu::HardLink(HardLinkMessage::TerminateConfirm), &[0x70]),
        ];
        for (s_pdu, octets) in rows {
            assert_eq!(s_pdu.encode(), octets);
            assert_eq!(SPdu::decode(&Bytes::from_static(octets)), Ok(s_pdu));
        }
        for wrong in [&[][..], &[0x00, 0], &[0x00, 0, 0x40, 1], &[0x10], &[0x30], &[0x40, 0], &[0x80]] {
            assert!(SPdu::decode(&Bytes::copy_from_slice(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_time_to_die_is_read_in_its_window() {
        assert_eq!(TimeToDie::at(WORKED), TimeToDie { day: 13, units: 22_648 });
        let now = Now { mono: Instant::ZERO + 9 * DAY, wall: WORKED };
        for (days_ahead, is_sent) in [(0, true), (1, true), (6, true), (7, false), (15, false)] {
            assert_eq!(TimeToDie::of_deadline(now, now.mono + days_ahead * DAY).is_some(), is_sent, "{days_ahead}");
        }
        let ago = |days: u64| WallTime::from_unix_seconds(WORKED.unix_seconds() - days * DAY_SECONDS);
        for (moment, has_passed) in
            [(WORKED, false), (WORKED + 7 * DAY, false), (WORKED + 8 * DAY, true), (ago(1), true), (ago(8), true)]
        {
            assert_eq!(TimeToDie::at(moment).has_passed(WORKED), has_passed, "{moment:?}");
        }
        let ttd = TimeToDie::at(WORKED);
        assert!(!ttd.has_passed(WORKED + Duration::from_millis(1_999)) && ttd.has_passed(WORKED + DAY));
        assert!(ttd.has_passed(WORKED + Duration::from_secs(2)));
    }

    #[test]
    fn a_time_to_die_crosses_the_turn_of_the_year() {
        for days in 0..=7 {
            let moment = NEW_YEARS_EVE + days * DAY;
            assert_eq!(TimeToDie::at(moment).moment(NEW_YEARS_EVE), Some(moment), "{days} days ahead");
        }
        // 25 December has the number of 7 January; the later is meant. 0 is the number of no day around.
        let dead = WallTime::from_unix_seconds(NEW_YEARS_EVE.unix_seconds() - 6 * DAY_SECONDS);
        assert_eq!(TimeToDie::at(dead).moment(NEW_YEARS_EVE), Some(NEW_YEARS_EVE + 7 * DAY));
        assert!(!TimeToDie { day: 0, units: 0 }.has_passed(NEW_YEARS_EVE));
    }

    proptest! {
        #[test]
        fn what_can_be_read_can_be_written(octets: Vec<u8>) {
            let octets = Bytes::from(octets);
            if let Ok(s_pdu) = SPdu::decode(&octets) {
                let written = s_pdu.encode();
                prop_assert_eq!(written.len(), octets.len());
                prop_assert_eq!(SPdu::decode(&written), Ok(s_pdu));
            }
        }

        #[test]
        fn no_moment_makes_time_to_die_panic(now: u64, day: u8, units: u16) {
            let now = WallTime::from_unix_micros(now);
            TimeToDie { day, units }.has_passed(now);
            prop_assert!(!TimeToDie::at(now).has_passed(now));
        }
    }
}
