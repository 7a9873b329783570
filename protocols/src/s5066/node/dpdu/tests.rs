//! The vectors both ways, round trips, and octets that are none.

use proptest::prelude::*;

use super::split::Splitter;
use super::*;
use crate::bytes::{hex, unhex};
use crate::random::{Random as _, Seeded};

fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/../conformance/vectors/stanag-5066/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let octets: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    unhex(&octets.join(" ")).unwrap()
}

fn node(bits: u32) -> NodeAddress {
    NodeAddress::individual(bits)
}

fn data(flags: &str, fsn: u8, segment: &[u8]) -> DataPart {
    let has = |flag| flags.contains(flag);
    let segment = Bytes::copy_from_slice(segment);
    DataPart {
        start: has('s'),
        end: has('e'),
        in_order: has('o'),
        drop: has('d'),
        uwe: has('u'),
        lwe: has('l'),
        fsn,
        segment,
    }
}

fn ack(rx_lwe: u8, selective: &[u8]) -> AckPart {
    AckPart { rx_lwe, selective: Bytes::copy_from_slice(selective) }
}

fn reset(flags: &str, new_rx_lwe: u8, frame_id: u8) -> Body {
    let has = |flag| flags.contains(flag);
    Body::Reset(ResetPart {
        full_command: has('f'),
        tx_window_request: has('t'),
        rx_window_command: has('r'),
        ack: has('a'),
        new_rx_lwe,
        frame_id,
    })
}

fn management(flags: &str, frame_id: u8, extended: Option<&'static [u8]>) -> Body {
    let (valid, ack) = (flags.contains('v'), flags.contains('a'));
    Body::Management(ManagementPart { valid, ack, frame_id, extended: extended.map(Bytes::from_static) })
}

fn non_arq(id: u16, size: u16, offset: u16, window: u16, segment: &[u8]) -> NonArqPart {
    let segment = Bytes::copy_from_slice(segment);
    NonArqPart { in_order: id == 0x123, c_pdu_id: id, c_pdu_size: size, offset, window, segment }
}

/// Vector, EOW, EOT, destination, source, body.
type Row = (&'static str, u16, u8, NodeAddress, NodeAddress, Body);

fn arq_rows() -> Vec<Row> {
    let (four, five) = (node(4), node(5));
    let (east, west) = (node(0x1_02_03_04), node(0x1_02_03_05));
    let first = unhex("00 04 66 cd 58 78 00 01 00 00 80 01 48 45 4c 4c 4f").unwrap();
    let full: Vec<u8> = [[0xff; 15].as_slice(), &[0x7f]].concat();
    vec![
        ("dpdu-00-data-only", 0, 20, west, east, Body::Data(data("seoul", 0, &first))),
        ("dpdu-00-data-only-first", 0, 255, five, four, Body::Data(data("sol", 254, &[0x55; 200]))),
        ("dpdu-00-data-only-last", 0, 254, five, four, Body::Data(data("eou", 255, &[1, 2, 3]))),
        ("dpdu-00-data-only-max", 0, 60, five, four, Body::Data(data("se", 7, &[0; 1023]))),
        ("dpdu-00-data-only-drop", 0, 2, five, four, Body::Data(data("od", 9, &[]))),
        ("dpdu-00-data-only-eow-drc-advisory", 0x146, 8, five, four, Body::Data(data("seoul", 0, b"abc"))),
        ("dpdu-01-ack-only-none", 0, 2, four, five, Body::Ack(ack(1, &[]))),
        ("dpdu-01-ack-only-selective", 0, 2, four, five, Body::Ack(ack(10, &[0x16, 0x02]))),
        ("dpdu-01-ack-only-full", 0, 3, east, west, Body::Ack(ack(200, &full))),
        ("dpdu-02-data-ack", 0, 6, five, four, Body::DataAck(data("seoul", 3, b"data"), ack(9, &[5]))),
        ("dpdu-03-full-reset-cmd", 0, 2, five, four, reset("f", 0, 1)),
        ("dpdu-03-full-reset-ack", 0, 2, four, five, reset("a", 0, 0)),
        ("dpdu-03-rx-win-cmnd", 0, 2, five, four, reset("r", 33, 2)),
        ("dpdu-03-tx-win-rqst", 0, 2, five, four, reset("t", 0, 3)),
        (
            "dpdu-04-expedited-data",
            0,
            4,
            five,
            four,
            Body::ExpeditedData(ExpeditedPart {
                start: true,
                end: true,
                c_pdu_id: 5,
                fsn: 0,
                segment: Bytes::from_static(&[0x00, 0x39, 0x66]),
            }),
        ),
        ("dpdu-05-expedited-ack", 0, 2, four, five, Body::ExpeditedAck(ack(1, &[]))),
    ]
}

fn other_rows() -> Vec<Row> {
    let (four, five) = (node(4), node(5));
    let (east, west) = (node(0x1_02_03_04), node(0x1_02_03_05));
    let all = NodeAddress::ALL_STATIONS;
    let group: Vec<u8> = unhex("00 08 77 00 00 07 00 00 20 00").unwrap().into_iter().chain(0..100).collect();
    let single = unhex("00 04 66 00 00 01 00 00 80 01 48 45 4c 4c 4f").unwrap();
    let warning = |received, reason| Body::Warning { received, reason };
    let expedited = |id, octet| Body::ExpeditedNonArq(non_arq(id, 1, 0, 10, &[octet]));
    vec![
        ("dpdu-06-mgmt-capability", 0x4b0, 2, five, four, management("v", 5, None)),
        ("dpdu-06-mgmt-drc-request", 0x159, 4, five, four, management("v", 0, None)),
        ("dpdu-06-mgmt-drc-response", 0x200, 4, four, five, management("va", 0, None)),
        ("dpdu-06-mgmt-dt-ack", 0, 2, five, four, management("a", 1, None)),
        ("dpdu-06-mgmt-hdr-request", 0x719, 4, five, four, management("v", 4, Some(&[0, 0, 0x25, 0x80, 0x01, 0xb0]))),
        ("dpdu-07-nonarq-single", 0, 10, five, four, Body::NonArq(non_arq(0x123, 15, 0, 60, &single))),
        ("dpdu-07-nonarq-group-seg1", 0, 12, all, east, Body::NonArq(non_arq(0xfff, 110, 0, 100, &group[..64]))),
        ("dpdu-07-nonarq-group-seg2", 0, 11, all, east, Body::NonArq(non_arq(0xfff, 110, 64, 99, &group[64..]))),
        ("dpdu-08-link-request", 0, 4, five, four, expedited(1, 0x10)),
        ("dpdu-08-link-accepted", 0, 4, four, five, expedited(1, 0x20)),
        ("dpdu-08-link-break", 0, 4, five, four, expedited(2, 0x44)),
        ("dpdu-15-warning-notconnected", 0, 1, east, west, warning(0, 1)),
        ("dpdu-15-warning-official", 0, 0, five, node(0x64), warning(0, 2)),
    ]
}

#[test]
fn vectors_both_ways() {
    for (name, eow, eot, destination, source, body) in arq_rows().into_iter().chain(other_rows()) {
        let octets = vector(name);
        let received = decode(&octets).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let eow = Eow { kind: (eow >> 8) as u8, data: (eow & 0xff) as u8 };
        let pdu = DPdu { eow, eot, destination, source, body };
        assert_eq!(received.pdu, pdu, "{name}");
        assert!(received.segment_intact && received.octets == octets.len(), "{name}");
        assert_eq!(hex(&pdu.encode_with_addresses(received.address_octets)), hex(&octets), "{name}");
        assert_eq!(pdu.encode().len(), pdu.octets(), "{name}");
    }
}

#[test]
fn every_vector_has_its_row() {
    let rows: Vec<&str> = arq_rows().iter().chain(&other_rows()).map(|row| row.0).collect();
    let directory = format!("{}/../conformance/vectors/stanag-5066", env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.strip_suffix(".hex").unwrap_or_default();
        assert!(!name.starts_with("dpdu-") || rows.contains(&name), "{name}");
    }
}

#[test]
fn selective_acknowledgements_count_from_behind_the_lower_edge() {
    let part = AckPart::new(10, [2, 3, 5, 10]);
    assert_eq!(part, ack(10, &[0x16, 0x02]));
    assert_eq!(part.above().collect::<Vec<_>>(), [2, 3, 5, 10]);
    assert_eq!(AckPart::new(1, []), ack(1, &[]));
    assert_eq!(AckPart::new(1, [0, 129, 255]), ack(1, &[]));
    assert_eq!(AckPart::new(200, 1..=128).selective[..], [0xff; 16]);
}

#[test]
fn what_its_type_cannot_have_is_unknown_and_can_be_warned_of() {
    let table: [(u8, &[u8]); 8] = [
        (0, &[0xc0, 3]),
        (0, &[0, 0, 0, 0]),
        (1, &[]),
        (1, &[0; 18]),
        (3, &[0]),
        (6, &[0, 0, 0]),
        (15, &[]),
        (9, &[1]),
    ];
    for (kind, part) in table {
        let part = Bytes::copy_from_slice(part);
        let body = Body::Unknown { kind, part };
        let pdu = DPdu { eow: Eow::NONE, eot: 1, destination: node(2), source: node(1), body };
        assert_eq!(decode(&pdu.encode()).map(|received| received.pdu), Ok(pdu));
    }
}

#[test]
fn a_damaged_or_cut_segment_leaves_its_header() {
    let octets = vector("dpdu-02-data-ack");
    let header = octets.len() - 8;
    let whole = decode(&octets).unwrap();
    for end in header..octets.len() {
        let cut = decode(&octets[..end]).unwrap();
        assert!(!cut.segment_intact, "{end}");
        assert_eq!((cut.pdu.eot, cut.pdu.body.kind()), (whole.pdu.eot, 2));
    }
    for bit in header * 8..octets.len() * 8 {
        let mut damaged = octets.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(!decode(&damaged).unwrap().segment_intact);
    }
    for end in 0..header {
        assert!(decode(&octets[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_stream_comes_apart_at_any_cut_and_behind_any_damage() {
    let names = ["dpdu-15-warning-official", "dpdu-02-data-ack", "dpdu-00-data-only-first", "dpdu-01-ack-only-full"];
    let mut stream = vec![0x90, 0x90, 0xeb, 0x90];
    for name in names {
        stream.extend(vector(name));
        stream.extend([0xeb, 0x90, 0xeb]);
    }
    let whole: Vec<_> = names.iter().map(|name| decode(&vector(name)).unwrap().pdu).collect();
    for step in 1..40 {
        let mut splitter = Splitter::new();
        let mut found = Vec::new();
        for octets in stream.chunks(step) {
            splitter.push(octets);
            found.extend(std::iter::from_fn(|| splitter.poll()).map(|received| received.pdu));
        }
        splitter.end();
        assert!(splitter.poll().is_none());
        assert_eq!(found, whole, "{step}");
        assert_eq!(splitter.skipped(), 4 + 3 * 4);
    }
    // A cut-off segment comes out at the end, as such.
    let mut splitter = Splitter::new();
    splitter.push(&vector("dpdu-00-data-only-first")[..100]);
    assert!(splitter.poll().is_none());
    splitter.end();
    assert!(splitter.poll().is_some_and(|received| !received.segment_intact));
    assert!(splitter.poll().is_none());
}

#[test]
fn a_thousand_mutations_of_each_vector_do_no_harm() {
    let mut random = Seeded::new(5066);
    for (name, ..) in arq_rows().into_iter().chain(other_rows()) {
        let octets = vector(name);
        for _ in 0..1000 {
            let mut mutant = octets.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(mutant.len() as u64) as usize;
                match random.below(4) {
                    0 => mutant[at] = random.number() as u8,
                    1 => mutant[at] ^= 1 << random.below(8),
                    2 => drop(mutant.remove(at)),
                    _ => mutant.insert(at, random.number() as u8),
                }
            }
            // Half of them get past the CRC of the header.
            if random.chance(500_000) && mutant.len() > 6 {
                let header = 2 + usize::from(mutant[5] >> 5) + usize::from(mutant[5] & 0x1f);
                if (8..=mutant.len()).contains(&header) {
                    let crc = crc::header(&mutant[2..header - 2]);
                    mutant[header - 2..header].copy_from_slice(&crc);
                }
            }
            if let Ok(received) = decode(&mutant) {
                let again = decode(&received.pdu.encode()).unwrap();
                assert!(!received.segment_intact || again.pdu == received.pdu, "{name}: {}", hex(&mutant));
            }
            let mut splitter = Splitter::new();
            splitter.push(&mutant);
            splitter.end();
            while splitter.poll().is_some() {}
        }
    }
}

fn bodies() -> impl Strategy<Value = Body> {
    let segment = || prop::collection::vec(any::<u8>(), 0..1024).prop_map(Bytes::from);
    let flags = any::<[bool; 6]>();
    let data = (flags, any::<u8>(), segment()).prop_map(|(flags, fsn, segment)| DataPart {
        start: flags[0],
        end: flags[1],
        in_order: flags[2],
        drop: flags[3],
        uwe: flags[4],
        lwe: flags[5],
        fsn,
        segment,
    });
    let acks =
        (any::<u8>(), prop::collection::btree_set(1_u8..=128, 0..40)).prop_map(|(lwe, above)| AckPart::new(lwe, above));
    let non_arq = (any::<bool>(), 0_u16..4096, any::<[u16; 3]>(), segment()).prop_map(|(in_order, id, n, segment)| {
        NonArqPart { in_order, c_pdu_id: id, c_pdu_size: n[0], offset: n[1], window: n[2], segment }
    });
    prop_oneof![
        data.clone().prop_map(Body::Data),
        acks.clone().prop_map(Body::Ack),
        acks.clone().prop_map(Body::ExpeditedAck),
        (data, acks).prop_map(|(data, ack)| Body::DataAck(data, ack)),
        non_arq.clone().prop_map(Body::NonArq),
        non_arq.prop_map(Body::ExpeditedNonArq),
        (0_u8..16, 0_u8..16).prop_map(|(received, reason)| Body::Warning { received, reason }),
        (9_u8..15, prop::collection::vec(any::<u8>(), 0..=25))
            .prop_map(|(kind, part)| Body::Unknown { kind, part: part.into() }),
    ]
}

proptest! {
    #[test]
    fn both_ways(body in bodies(), bits in any::<[u32; 2]>(), group: bool, eot: u8, eow in (0_u8..16, any::<u8>())) {
        let group = group && matches!(body, Body::NonArq(_) | Body::ExpeditedNonArq(_));
        let destination = if group { NodeAddress::group(bits[0]) } else { node(bits[0]) };
        let eow = Eow { kind: eow.0, data: eow.1 };
        let pdu = DPdu { eow, eot, destination, source: node(bits[1]), body };
        let octets = pdu.encode();
        prop_assert_eq!(octets.len(), pdu.octets());
        let received = decode(&octets).unwrap();
        prop_assert!(received.segment_intact);
        prop_assert_eq!(received.pdu, pdu);
    }

    #[test]
    fn any_octets_do_no_harm(octets in prop::collection::vec(prop_oneof![Just(0x90), Just(0xeb), any::<u8>()], 0..400)) {
        let mut splitter = Splitter::new();
        splitter.push(&octets);
        splitter.end();
        while splitter.poll().is_some() {}
    }
}
