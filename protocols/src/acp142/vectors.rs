//! The vectors of `conformance/vectors/acp142`, both ways, and what a thousand mutations of each do.

use super::ack::AckEntry;
use super::checksum::Checksum;
use super::fault::Acp142Fault;
use super::numbers::Span;
use super::pdu::{Map, NodeId, Pdu};
use crate::bytes::{hex, unhex};
use crate::random::{Random as _, Seeded};

fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/../conformance/vectors/acp142/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    unhex(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))).unwrap()
}

/// Vectors that decode and encode to the same octets.
const BOTH_WAYS: &[&str] = &[
    "data_seq1",
    "data_seq2_odd",
    "data_seq65535",
    "ack_complete",
    "ack_missing_list",
    "ack_missing_range",
    "ack_two_entries",
    "ack_timestamp",
    "address_two_dest",
    "address_split_first",
    "address_split_middle",
    "address_split_last",
    "address_empty_ackack",
    "address_reserved8",
    "discard",
    "announce_two",
    "announce_split_first",
    "announce_split_last",
    "request",
    "reject",
    "release",
    "fec_address_noparam",
    "fec_address_param4",
    "extra_address",
    "extra_fec_address",
    "libjpmul_data_last_first_send",
    "libjpmul_ack_missing",
    "libjpmul_ack_complete",
    "mule_address",
    "mule_data_1",
    "mule_data_2",
    "mule_data_3",
];

#[test]
fn vectors_both_ways() {
    for name in BOTH_WAYS {
        let octets = vector(name);
        let pdu = Pdu::decode(&octets).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert!(!matches!(pdu, Pdu::Unknown { .. }), "{name}");
        assert_eq!(hex(&pdu.encode(Checksum::Fletcher)), hex(&octets), "{name}");
    }
    let internet = vector("data_seq1_inetcksum");
    assert_eq!(Pdu::decode(&internet), Pdu::decode(&vector("data_seq1")));
    assert_eq!(Pdu::decode(&internet).unwrap().encode(Checksum::Internet), internet);
}

#[test]
fn every_p_mul_vector_is_in_a_test() {
    let one_way = ["data_seq1_inetcksum", "ack_missing_terminated", "libjpmul_data_last_resend_trailing"];
    let directory = format!("{}/../conformance/vectors/acp142", env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".hex") else { continue };
        // CDT, MULE payloads and SIS primitives belong to other modules.
        let foreign = ["cdt_", "mule_payload", "sis_", "neg_cdt_"].iter().any(|prefix| name.starts_with(prefix));
        let known = BOTH_WAYS.contains(&name) || one_way.contains(&name) || NEGATIVE.iter().any(|row| row.0 == name);
        assert!(foreign || known, "{name} is not tested");
    }
}

const NEGATIVE: [(&str, &str); 5] = [
    ("neg_data_bad_checksum", "checksum is wrong"),
    ("neg_data_bad_length", "length of PDU says 32, 28 octets arrived"),
    ("neg_data_seq0", "sequence number cannot be 0"),
    ("neg_ack_bad_entry_len", "length of ack entry cannot be 8"),
    ("neg_ack_range_reversed", ""),
];

#[test]
fn negative_vectors() {
    for (name, words) in NEGATIVE {
        let octets = vector(name);
        let said = Pdu::decode(&octets).err().map_or(String::new(), |fault: Acp142Fault| fault.to_string());
        assert_eq!(said, words, "{name}");
    }
    assert_eq!(missing("neg_ack_range_reversed"), [Span::one(9)]);
    // Excepted from the way back: the 1999 terminator is accepted and not sent.
    assert_eq!(missing("ack_missing_terminated"), [Span::one(2), Span::one(5)]);
}

fn missing(name: &str) -> Vec<Span> {
    let octets = vector(name);
    let Ok(Pdu::Ack(ack)) = Pdu::decode(&octets) else { panic!("{name} is an ack") };
    ack.entries.into_iter().flat_map(|entry| entry.missing).collect()
}

#[test]
fn what_the_readme_says_of_each() {
    let octets = vector("address_two_dest");
    let Ok(Pdu::Address(address)) = Pdu::decode(&octets) else { panic!("an address") };
    assert_eq!((address.map, address.total, address.expiry), (Map::Only, 3, 0x6500_e100));
    let listed: Vec<_> = address.destinations.iter().map(|d| (d.node, d.sequence)).collect();
    assert_eq!(listed, [(NodeId(0x0a00_0002), 100), (NodeId(0x0a00_0003), 78)]);
    assert_eq!(missing("ack_missing_range"), [Span { first: 3, last: 9 }, Span::one(12)]);
    // The trailing zeros of a padded repeat are cut at Length_of_PDU.
    let (first, resent) = (vector("libjpmul_data_last_first_send"), vector("libjpmul_data_last_resend_trailing"));
    assert_eq!(resent.len(), 200);
    assert_eq!(Pdu::decode(&first), Pdu::decode(&resent));
    let quirk = vector("libjpmul_ack_missing");
    let Ok(Pdu::Ack(ack)) = Pdu::decode(&quirk) else { panic!("an ack") };
    let [AckEntry { message, .. }] = ack.entries.as_slice() else { panic!("one entry") };
    assert_eq!(message.source, ack.acker);
    let splits = ["address_split_first", "address_split_middle", "address_split_last"].map(|name| {
        let octets = vector(name);
        let Ok(Pdu::Address(address)) = Pdu::decode(&octets) else { panic!("{name}") };
        address.map
    });
    assert_eq!(splits, [Map::First, Map::Middle, Map::Last]);
}

/// The UDP payloads of a capture: raw IPv4 or Ethernet, little-endian, microseconds.
fn captured(name: &str) -> Vec<Vec<u8>> {
    let path = format!("{}/../conformance/vectors/acp142/{name}.pcap", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read(path).unwrap();
    let link_header = if file[20] == 1 { 14 } else { 0 };
    let mut payloads = Vec::new();
    let mut at = 24;
    while at < file.len() {
        let length = u32::from_le_bytes(file[at + 8..at + 12].try_into().unwrap()) as usize;
        let packet = &file[at + 16 + link_header..at + 16 + length];
        let end = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        if packet[0] >> 4 == 4 && packet[9] == 17 {
            payloads.push(packet[usize::from(packet[0] & 15) * 4 + 8..end].to_vec());
        }
        at += 16 + length;
    }
    payloads
}

#[test]
fn captures_both_ways() {
    let scenario: &[u8] = &[2, 0, 0, 0, 1, 1, 2, 0, 1, 2];
    let live: &[u8] = &[2, 0, 0, 0, 0, 0, 1];
    for (name, kinds) in [("scenario_mule_two_receivers", scenario), ("live_libjpmul_900_octets", live)] {
        let payloads = captured(name);
        assert_eq!(payloads.iter().map(|octets| octets[3] & 0x3f).collect::<Vec<_>>(), kinds, "{name}");
        for octets in payloads {
            let pdu = Pdu::decode(&octets).unwrap_or_else(|fault| panic!("{name}: {fault}"));
            let length = usize::from(u16::from_be_bytes([octets[0], octets[1]]));
            assert_eq!(hex(&pdu.encode(Checksum::Fletcher)), hex(&octets[..length]), "{name}");
        }
    }
}

#[test]
fn a_thousand_mutations_of_each_neither_panic_nor_change_meaning_on_the_way_back() {
    let mut random = Seeded::new(142);
    for name in BOTH_WAYS {
        let original = vector(name);
        for _ in 0..1000 {
            let mut octets = original.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(octets.len() as u64) as usize;
                match random.below(4) {
                    0 => octets[at] ^= 1 << random.below(8),
                    1 => octets[at] = random.number() as u8,
                    2 => octets.truncate(at.max(1)),
                    _ => octets.insert(at, random.number() as u8),
                }
            }
            // Half of them with length and checksum put right, so that the bodies are reached.
            if random.below(2) == 0 && octets.len() >= 8 {
                let length = u16::try_from(octets.len()).unwrap();
                octets[0..2].copy_from_slice(&length.to_be_bytes());
                Checksum::Fletcher.seal(&mut octets);
            }
            if let Ok(pdu) = Pdu::decode(&octets) {
                let again = pdu.encode(Checksum::Fletcher);
                assert_eq!(Pdu::decode(&again).as_ref(), Ok(&pdu), "{name} {}", hex(&octets));
            }
        }
    }
}
