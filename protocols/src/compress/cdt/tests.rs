use super::*;
use crate::bytes::unhex;
use crate::random::{Random as _, Seeded};

macro_rules! vector {
    ($name:literal) => {
        ($name, unhex(include_str!(concat!("../../../../conformance/vectors/acp142/", $name, ".hex"))).unwrap())
    };
}

fn payload() -> Vec<u8> {
    vector!("mule_payload").1
}

#[test]
fn vectors_decode() {
    let arcs = vec![1, 3, 26, 0, 4406, 0, 4, 1];
    for ((name, octets), content_type, plain) in [
        (vector!("cdt_mule"), ContentType::Mule, payload()),
        (vector!("cdt_mule_indefinite"), ContentType::Mule, payload()),
        (vector!("cdt_mule_constructed_os"), ContentType::Mule, payload()),
        (vector!("cdt_mule_explicit_tags"), ContentType::Mule, payload()),
        (vector!("cdt_mule_dsn_binary"), ContentType::Mule, vector!("mule_payload_dsn_binary").1),
        (vector!("cdt_unidentified"), ContentType::Unidentified, b"plain octets".to_vec()),
        (vector!("cdt_external_ia5"), ContentType::External, [&b"\x16\x0a"[..], b"ia5 in BER"].concat()),
        (vector!("cdt_p1_stub"), ContentType::P1, vec![0xa0, 0]),
        (vector!("cdt_ct_oid"), ContentType::Oid(arcs), b"content by oid".to_vec()),
    ] {
        assert_eq!(unwrap(&octets, 1 << 20), Ok((content_type, plain)), "{name}");
    }
}

#[test]
fn vectors_encode_around_the_same_stream() {
    for (name, octets) in [
        vector!("cdt_mule"),
        vector!("cdt_mule_dsn_binary"),
        vector!("cdt_unidentified"),
        vector!("cdt_external_ia5"),
        vector!("cdt_p1_stub"),
        vector!("cdt_ct_oid"),
    ] {
        let (content_type, stream) = decode(&octets).unwrap();
        assert_eq!(encode(&content_type, stream.to_vec()), Ok(octets), "{name}");
    }
}

#[test]
fn vectors_that_are_refused() {
    assert_eq!(
        unwrap(&vector!("neg_cdt_not_zlib").1, 1 << 20),
        Err(CdtFault::Content(CompressFault::Damaged { offset: 0 }))
    );
    assert!(matches!(decode(&vector!("cdt_algo_oid").1), Err(CdtFault::Algorithm(_))));
    let (_, mut octets) = vector!("cdt_mule");
    assert!(matches!(unwrap(&octets, 428), Err(CdtFault::Content(CompressFault::TooLarge { cap: 428 }))));
    octets.push(0);
    assert_eq!(decode(&octets), Err(CdtFault::Trailing(1)));
}

/// Hostile 43 and 45, as far as this type goes.
#[test]
fn hostile_ber() {
    let nested = [[0x30, 0x80].repeat(10_000), vec![0; 20_000]].concat();
    let constructed = [&b"\x30\x80\x80\x01\x00\x30\x80\x80\x01\x19\xa0\x80"[..], &[0x24, 0x80].repeat(10_000)].concat();
    let long = b"\x30\x88\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec();
    let integer = [&b"\x30\x82\x10\x10\x80\x82\x10\x00"[..], &[1; 4096]].concat();
    let bomb = encode(&ContentType::Mule, deflate(&deflate(&vec![0; 8 << 20]))).unwrap();
    for octets in [nested, constructed, long, integer, vec![], vec![0x30], b"\x30\x80\x80\x01\x00".to_vec()] {
        assert!(matches!(decode(&octets), Err(CdtFault::Syntax(_))), "{octets:02x?}");
    }
    assert!(unwrap(&bomb, 1 << 20).is_ok_and(|(_, inner)| inner.len() < 20_000));
}

#[test]
fn a_thousand_mutations_of_each_vector_do_no_harm() {
    let mut random = Seeded::new(7);
    for (_, octets) in [
        vector!("cdt_mule"),
        vector!("cdt_mule_indefinite"),
        vector!("cdt_mule_constructed_os"),
        vector!("cdt_mule_explicit_tags"),
        vector!("cdt_ct_oid"),
        vector!("cdt_algo_oid"),
        vector!("neg_cdt_not_zlib"),
    ] {
        for _ in 0..1000 {
            let mutated = mutated(&octets, &mut random);
            if let Ok((_, plain)) = unwrap(&mutated, 4096) {
                assert!(plain.len() <= 4096);
            }
        }
    }
}

/// `octets` with one to four changes: flipped bits, cuts, repetitions.
pub(crate) fn mutated(octets: &[u8], random: &mut Seeded) -> Vec<u8> {
    let mut octets = octets.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(octets.len() as u64) as usize;
        match random.below(4) {
            _ if octets.is_empty() => {}
            0 => octets[at] ^= 1 << random.below(8),
            1 => octets[at] = random.number() as u8,
            2 => octets.truncate(at),
            _ => octets.extend_from_within(at..),
        }
    }
    octets
}
