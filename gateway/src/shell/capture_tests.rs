//! Reads back what the capture writer made.

use super::*;
use skywave_protocols::bytes::Bytes;

/// Blocks of a file: type and body; checks the framing.
fn blocks(mut octets: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let number = |octets: &[u8]| u32::from_le_bytes(octets[..4].try_into().unwrap());
    let mut found = Vec::new();
    while !octets.is_empty() {
        let length = number(&octets[4..]) as usize;
        assert_eq!(length % 4, 0);
        assert_eq!(number(&octets[length - 4..]) as usize, length);
        found.push((number(octets), octets[8..length - 4].to_vec()));
        octets = &octets[length..];
    }
    found
}

fn packets(captures: &[(CaptureMedium, bool, &[u8])]) -> Vec<Vec<u8>> {
    let mut file = PcapNg::header();
    let mut writer = PcapNg::default();
    for (medium, sent, octets) in captures {
        let capture = Capture { medium: *medium, sent: *sent, octets: Bytes::copy_from_slice(octets) };
        file.extend(writer.packet(WallTime::from_unix_micros(0x1_0000_0002), &capture));
    }
    let blocks = blocks(&file);
    assert_eq!(blocks[0].0, 0x0a0d_0d0a);
    blocks
        .into_iter()
        .filter(|(kind, _)| *kind == 6)
        .map(|(_, body)| {
            assert_eq!(body[4..12], [1, 0, 0, 0, 2, 0, 0, 0], "time");
            let length = u32::from_le_bytes(body[12..16].try_into().unwrap()) as usize;
            body[20..20 + length].to_vec()
        })
        .collect()
}

/// A header with its checksum in place sums up to zero.
fn is_sound(ip: &[u8]) -> bool {
    let content = &ip[20..];
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let pseudo = [&ip[12..20], &[0, ip[9]], &length].concat();
    checksum(&[&ip[..20]]) == 0 && checksum(&[&pseudo, content]) == 0
}

#[test]
fn primitives_are_a_sound_tcp_connection() {
    let all = packets(&[
        (CaptureMedium::Sis, true, b"\x90\xeb\x00odd"),
        (CaptureMedium::Sis, false, b"answer!"),
        (CaptureMedium::Sis, true, b"more"),
    ]);
    assert_eq!(all.len(), 6, "three of the handshake, three of ours");
    assert!(all.iter().all(|ip| is_sound(ip)));
    let numbers = |ip: &[u8]| {
        let at = |offset: usize| u32::from_be_bytes(ip[offset..offset + 4].try_into().unwrap());
        (u16::from_be_bytes([ip[22], ip[23]]), at(24), at(28))
    };
    assert_eq!(numbers(&all[0]), (5066, 0, 0));
    assert_eq!(numbers(&all[3]), (5066, 1, 1));
    assert_eq!(numbers(&all[4]), (50_066, 1, 7));
    assert_eq!(numbers(&all[5]), (5066, 7, 8));
    assert_eq!(&all[5][40..], b"more");
}

#[test]
fn each_client_has_a_connection_of_its_own_that_ends() {
    let mut writer = PcapNg::default();
    let at = WallTime::from_unix_micros(5);
    let mut file = writer.sis(at, 3, true, b"one");
    file.extend(writer.sis(at, 4, true, b"two"));
    file.extend(writer.sis_ended(at, 3));
    assert!(writer.sis_ended(at, 3).is_empty(), "it has ended");
    file.extend(writer.sis(at, 3, false, b"three"));
    let ports: Vec<(u16, u8)> = blocks(&file)
        .into_iter()
        .filter(|(kind, _)| *kind == 6)
        .map(|(_, body)| {
            let ip = &body[20..];
            let [from, to] = [20, 22].map(|at| u16::from_be_bytes([ip[at], ip[at + 1]]));
            (from.max(to), ip[33])
        })
        .collect();
    let begin = |port| [(port, 2), (port, 0x12), (port, 0x10)];
    let expected = [
        &begin(50_069)[..],
        &[(50_069, 0x18)],
        &begin(50_070),
        &[(50_070, 0x18), (50_069, 0x11), (50_069, 0x11), (50_069, 0x10)],
        &begin(50_069),
        &[(50_069, 0x18)],
    ];
    assert_eq!(ports, expected.concat());
}

#[test]
fn d_pdus_have_an_interface_and_a_comment() {
    let mut writer = PcapNg::default();
    let at = WallTime::from_unix_micros(0x1_0000_0002);
    let octets = [writer.air(at, "hq.test, 1200 bit/s", b"\x90\xebxyz"), writer.air(at, "", b"\x90\xeb")].concat();
    let found = blocks(&octets);
    assert_eq!(found.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [1, 6, 6], "described once");
    assert_eq!(found[0].1[..2], 237_u16.to_le_bytes());
    assert_eq!(found[0].1[8..], *b"\x02\0\x03\0air\0\0\0\0\0");
    assert_eq!(found[1].1[20..], *b"\x90\xebxyz\0\0\0\x01\0\x13\0hq.test, 1200 bit/s\0\0\0\0\0");
    assert_eq!(found[2].1[20..], *b"\x90\xeb\0\0");
}

#[test]
fn datagrams_are_sound_and_go_the_right_way() {
    let peer: IpAddr = "192.0.2.7".parse().unwrap();
    let all = packets(&[(CaptureMedium::Udp(peer), true, b"abc"), (CaptureMedium::Udp(peer), false, b"abcd")]);
    assert!(all.iter().all(|ip| is_sound(ip)));
    assert_eq!(all[0][16..20], [192, 0, 2, 7]);
    assert_eq!(all[1][12..16], [192, 0, 2, 7]);
    assert_eq!(&all[1][28..], b"abcd");
    let six = packets(&[(CaptureMedium::Udp("ff02::1".parse().unwrap()), true, b"abc")]);
    assert_eq!((six[0][0], six[0].len()), (0x60, 40 + 8 + 3));
}
