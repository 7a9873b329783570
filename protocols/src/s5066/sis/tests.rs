//! Vectors both ways, mutations, and round trips of made-up primitives.

use proptest::prelude::*;

use super::fault::SisFault;
use super::fields::{DeliveryMode, HardLink, Rank, SapId, ServiceType, TransmissionMode, Ttl};
use super::frame::{Frame, FrameReader};
use super::pdu::{Management, Primitive};
use super::reason::{Availability, AvailabilityReason, BindRejection, DataRejection};
use super::unidata::{Block, Quirks, Returned, UnidataIndication, UnidataRequest};
use crate::bytes::{Bytes, WireError, unhex};
use crate::random::{Random, Seeded};
use crate::s5066::address::NodeAddress;

/// Name, description and octets of every vector whose name begins with `prefix`.
fn vectors(prefix: &str) -> Vec<(String, String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../conformance/vectors/stanag-5066");
    let mut vectors: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_stem()?.to_str()?.to_owned();
            let wanted = name.starts_with(prefix) && path.extension()? == "hex";
            let text = wanted.then(|| std::fs::read_to_string(&path).unwrap())?;
            let (description, digits) = text.split_once('\n').unwrap();
            Some((name, description.to_owned(), unhex(digits).unwrap()))
        })
        .collect();
    vectors.sort();
    vectors
}

fn decode(octets: &[u8], quirks: Quirks) -> Option<Result<Primitive, SisFault>> {
    let mut reader = FrameReader::new();
    reader.push(octets);
    let frame = reader.next_frame()?;
    Some(frame.and_then(|frame| Primitive::decode(&frame, quirks)))
}

#[test]
fn all_vectors_both_ways() {
    let vectors = vectors("sis-");
    assert_eq!(vectors.len(), 43);
    for (name, _, octets) in vectors {
        let primitive = decode(&octets, Quirks::default()).unwrap().unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(primitive.encode().unwrap(), octets, "{name}");
        assert_eq!(primitive.kind().to_string(), name[4..6].trim_start_matches('0'), "{name}");
        assert!(!matches!(primitive, Primitive::Unknown { .. }), "{name}");
    }
}

fn vector(name: &str) -> Primitive {
    let found = vectors(name).into_iter().find(|(found, ..)| found == name);
    decode(&found.unwrap().2, Quirks::default()).unwrap().unwrap()
}

const NODE_A: NodeAddress = NodeAddress::individual(0x0102_0304);
const NODE_B: NodeAddress = NodeAddress::individual(0x0102_0305);

#[test]
fn vectors_mean_what_their_description_says() {
    let link = HardLink::from_octets(0x96, [0xe1, 2, 3, 5]);
    let hello = Bytes::from_static(b"\x00\x01\x00\x00\x80\x01HELLO");
    let returned = Returned { sap: SapId::RCOP, destination: NODE_B, leading: hello.slice(..8) };
    let rank = Rank::try_from(5).unwrap();
    let table = [
        (
            "sis-01-bind-request-rcop",
            Primitive::BindRequest {
                sap: SapId::RCOP,
                rank,
                service: ServiceType { mode: DeliveryMode::ARQ_NODE, retransmissions: 0 },
            },
        ),
        (
            "sis-01-bind-request-udop",
            Primitive::BindRequest {
                sap: SapId::UDOP,
                rank: Rank::default(),
                service: ServiceType { mode: DeliveryMode::NON_ARQ, retransmissions: 2 },
            },
        ),
        ("sis-03-bind-accepted", Primitive::BindAccepted { sap: SapId::RCOP, mtu: 2048 }),
        ("sis-04-bind-rejected", Primitive::BindRejected(BindRejection::SapAllocated)),
        ("sis-06-hard-link-establish", Primitive::HardLinkEstablish(link)),
        (
            "sis-14-subnet-availability-emcon",
            Primitive::SubnetAvailability(Availability::ReceiveOnly, AvailabilityReason::Emcon),
        ),
        (
            "sis-18-management-request",
            Primitive::ManagementRequest(Management { kind: 1, body: Bytes::from_static(&[1, 2, 3]) }),
        ),
        ("sis-22-unidata-request-confirm", Primitive::UnidataRequestConfirm(returned.clone())),
        ("sis-23-unidata-request-rejected", Primitive::UnidataRequestRejected(DataRejection::TtlExpired, returned)),
        (
            "sis-20-unidata-request-udop-group",
            Primitive::UnidataRequest(UnidataRequest {
                priority: 8,
                sap: SapId::UDOP,
                destination: NodeAddress::ALL_STATIONS,
                mode: DeliveryMode::NON_ARQ,
                retransmissions: 3,
                ttl: Ttl::from_units(648_000),
                u_pdu: Bytes::from_static(&[0, 7, 0, 0, 0x80, 2, 0xde, 0xad, 0xbe, 0xef]),
            }),
        ),
        (
            "sis-21-unidata-indication-errors",
            Primitive::UnidataIndication(UnidataIndication {
                priority: 0,
                sap: SapId::from_low_bits(13),
                destination: NODE_B,
                transmission: TransmissionMode::NonArqWithErrors,
                source_sap: SapId::from_low_bits(13),
                source: NODE_A,
                errored: vec![Block { offset: 6, octets: 2 }],
                missing: vec![Block { offset: 10, octets: 6 }],
                u_pdu: Bytes::from_static(b"0123456789\0\0\0\0\0\0"),
            }),
        ),
    ];
    for (name, primitive) in table {
        assert_eq!(vector(name), primitive, "{name}");
    }
}

#[test]
fn counters_of_old_products_only_where_configured_and_only_when_zero() {
    let (_, _, mut octets) = vectors("sis-21-unidata-indication-arq").remove(0);
    octets.splice(18..18, [0; 4]);
    octets[4] += 4;
    let quirks = Quirks { counters_in_every_indication: true };
    assert_eq!(decode(&octets, quirks).unwrap().unwrap(), vector("sis-21-unidata-indication-arq"));
    assert!(matches!(
        decode(&octets, Quirks::default()),
        Some(Err(SisFault::Primitive { kind: 21, error: WireError::Trailing { .. } }))
    ));
    octets[18] = 1;
    assert!(matches!(decode(&octets, quirks), Some(Err(SisFault::Primitive { kind: 21, .. }))));
    // Whoever follows the standard is understood with the quirk too.
    let (_, _, plain) = vectors("sis-21-unidata-indication-arq").remove(0);
    assert_eq!(decode(&plain, quirks).unwrap().unwrap(), vector("sis-21-unidata-indication-arq"));
}

#[test]
fn lists_with_counts_beyond_the_frame() {
    let (_, _, octets) = vectors("sis-21-unidata-indication-errors").remove(0);
    for (offset, value) in [(18, 0xff), (19, 2), (24, 0x80), (25, 9), (16, 0xff), (17, 0)] {
        let mut octets = octets.clone();
        octets[offset] = value;
        assert!(matches!(decode(&octets, Quirks::default()), Some(Err(_))), "{offset}");
    }
}

#[test]
fn mutations_never_panic_and_what_is_read_can_be_written_and_read_again() {
    let mut random = Seeded::new(5066);
    for (name, _, octets) in vectors("sis-") {
        for _ in 0..1000 {
            let mut octets = octets.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(octets.len() as u64) as usize;
                match random.below(4) {
                    0 => octets[at] = random.number() as u8,
                    1 => octets[at] ^= 1 << random.below(8),
                    2 => octets.truncate(at.max(1)),
                    _ => octets.insert(at, random.number() as u8),
                }
            }
            let quirks = Quirks { counters_in_every_indication: random.chance(500_000) };
            if let Some(Ok(primitive)) = decode(&octets, quirks) {
                let again = primitive.encode().unwrap();
                assert_eq!(decode(&again, Quirks::default()), Some(Ok(primitive)), "{name}");
            }
        }
    }
}

#[test]
fn u_pdus_that_do_not_fit_are_refused() {
    let Primitive::UnidataRequest(mut request) = vector("sis-20-unidata-request-empty") else { panic!() };
    for (octets, fits) in [(65_523, true), (65_524, false), (70_000, false)] {
        request.u_pdu = vec![0; octets].into();
        assert_eq!(Primitive::UnidataRequest(request.clone()).encode().is_ok(), fits, "{octets}");
    }
}

proptest! {
    #[test]
    fn requests_round_trip(
        nibbles in any::<[u8; 3]>(), address in any::<[u8; 4]>(), mode in any::<u8>(), ttl in any::<u32>(),
        u_pdu in proptest::collection::vec(any::<u8>(), 0..5000), expedited in any::<bool>(),
    ) {
        let request = UnidataRequest {
            priority: nibbles[0] & 0x0f,
            sap: SapId::from_low_bits(nibbles[1]),
            destination: NodeAddress::from_octets(address),
            mode: DeliveryMode::from_octet(mode),
            retransmissions: nibbles[2] & 0x0f,
            ttl: Ttl::from_units(ttl),
            u_pdu: u_pdu.into(),
        };
        let primitive =
            if expedited { Primitive::ExpeditedUnidataRequest(request) } else { Primitive::UnidataRequest(request) };
        prop_assert_eq!(decode(&primitive.encode().unwrap(), Quirks::default()), Some(Ok(primitive)));
    }

    #[test]
    fn any_octets_are_read_or_refused(kind in 0_u8..40, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let octets = [vec![0x90, 0xeb, 0, 0, 0, kind], body].concat();
        let frame = Frame { octets: octets.into() };
        if let Ok(primitive) = Primitive::decode(&frame, Quirks::default()) {
            let again = primitive.encode().unwrap();
            prop_assert_eq!(decode(&again, Quirks::default()), Some(Ok(primitive)));
        }
    }
}
