//! What two consoles send each other: probes, in the octets of a U_PDU (ours; ADR 0042).
//!
//! ```text
//! 53 57  KIND8  RUN32  SEQUENCE32  rest
//! ```
//!
//! Integers have the highest octet first. `RUN` is a random number of the one who asks, the same in all probes of a
//! run. The rest of a ping, its answer and a load is padding of any length; that of a count is
//! `PDUS32 DUPLICATES32 OCTETS64 MICROSECONDS64`. In front stands the header of RCOP and UDOP, unless the probes go to
//! a SAP without one.

use crate::bytes::{BufMut, Bytes, BytesMut, Reader};
use crate::s5066::rcop::Header;

/// The first two octets of every probe.
pub const MAGIC: [u8; 2] = *b"SW";
/// Octets of a probe without its rest.
pub const PROBE_OCTETS: usize = 11;
/// The application id of probes over RCOP and UDOP, from the range for users (F table F-4).
pub const APPLICATION: u16 = 0x8066;

/// One probe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// Which run of the asking console.
    pub run: u32,
    /// Its number in the run, from 0.
    pub sequence: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a probe is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// To be answered, with the same length.
    Ping,
    /// The answer.
    Answer,
    /// To be counted.
    Load,
    /// Asks how much of a run was counted.
    AskCount,
    /// What was counted of a run.
    Count(Count),
}

/// What of a run's load arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Probes, each counted once.
    pub pdus: u32,
    /// Probes that came again.
    pub duplicates: u32,
    /// Octets of the U_PDUs counted.
    pub octets: u64,
    /// From the first to the last, in microseconds.
    pub micros: u64,
}

impl Probe {
    /// Reads a probe; `None` when it is none of ours.
    pub fn decode(octets: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(octets);
        if reader.take(2).ok()? != MAGIC {
            return None;
        }
        let (kind, run, sequence) = (reader.u8().ok()?, reader.u32().ok()?, reader.u32().ok()?);
        let kind = match kind {
            1 => Kind::Ping,
            2 => Kind::Answer,
            3 => Kind::Load,
            4 => Kind::AskCount,
            5 => Kind::Count(Count {
                pdus: reader.u32().ok()?,
                duplicates: reader.u32().ok()?,
                octets: reader.u64().ok()?,
                micros: reader.u64().ok()?,
            }),
            _ => return None,
        };
        Some(Self { run, sequence, kind })
    }

    /// The octets, padded to `octets` where the kind allows it. The padding is no constant, so that what compresses
    /// gains nothing.
    pub fn encode(&self, octets: usize) -> Bytes {
        let mut out = BytesMut::with_capacity(octets.max(PROBE_OCTETS));
        out.put_slice(&MAGIC);
        out.put_u8(match self.kind {
            Kind::Ping => 1,
            Kind::Answer => 2,
            Kind::Load => 3,
            Kind::AskCount => 4,
            Kind::Count(_) => 5,
        });
        out.put_u32(self.run);
        out.put_u32(self.sequence);
        match self.kind {
            Kind::Count(count) => {
                out.put_u32(count.pdus);
                out.put_u32(count.duplicates);
                out.put_u64(count.octets);
                out.put_u64(count.micros);
            }
            Kind::Ping | Kind::Answer | Kind::Load | Kind::AskCount => {
                let mut state = self.run ^ self.sequence.rotate_left(16);
                while out.len() < octets {
                    // A linear congruential generator (Numerical Recipes): good enough to be incompressible.
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    out.put_u8((state >> 24) as u8);
                }
            }
        }
        out.freeze()
    }
}

/// The U_PDU around a probe: with the header of RCOP and UDOP where an application id is given. `octets` counts all.
pub fn u_pdu(application: Option<u16>, probe: &Probe, octets: usize) -> Bytes {
    match application {
        Some(application) => {
            let header = Header { connection: 0, u_pdu_id: probe.sequence as u8, segment: 0, application };
            header.encode(&probe.encode(octets.saturating_sub(crate::s5066::rcop::HEADER_OCTETS)))
        }
        None => probe.encode(octets),
    }
}

/// The probe in a U_PDU; `None` when there is none.
pub fn probe_of(application: Option<u16>, u_pdu: &Bytes) -> Option<Probe> {
    match application {
        Some(application) => {
            let (header, data) = Header::decode(u_pdu).ok()?;
            if header.application == application { Probe::decode(&data) } else { None }
        }
        None => Probe::decode(u_pdu),
    }
}

/// The fewest octets of a U_PDU with a probe.
pub const fn octets_min(application: Option<u16>) -> usize {
    match application {
        Some(_) => crate::s5066::rcop::HEADER_OCTETS + PROBE_OCTETS,
        None => PROBE_OCTETS,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_comes_back() {
        let count = Count { pdus: 7, duplicates: 1, octets: 9_000, micros: 12_345_678 };
        for kind in [Kind::Ping, Kind::Answer, Kind::Load, Kind::AskCount, Kind::Count(count)] {
            for application in [None, Some(APPLICATION)] {
                let probe = Probe { run: 0xdead_beef, sequence: 0x0102_0304, kind };
                let octets = u_pdu(application, &probe, 100);
                assert_eq!(probe_of(application, &octets), Some(probe));
                assert!(matches!(kind, Kind::Count(_)) || octets.len() == 100, "{kind:?}");
            }
        }
        let short = Probe { run: 1, sequence: 2, kind: Kind::Ping };
        assert_eq!(u_pdu(Some(APPLICATION), &short, 0).len(), octets_min(Some(APPLICATION)));
        assert_eq!(&short.encode(0)[..], b"SW\x01\0\0\0\x01\0\0\0\x02");
    }

    proptest! {
        #[test]
        fn foreign_octets_are_no_probe_and_no_panic(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            let octets = Bytes::from(octets);
            if let Some(probe) = probe_of(Some(APPLICATION), &octets) {
                prop_assert_eq!(&octets[6..8], &MAGIC);
                prop_assert!(octets.len() >= octets_min(Some(APPLICATION)), "{:?}", probe);
            }
        }
    }
}
