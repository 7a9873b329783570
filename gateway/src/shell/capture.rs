//! Capture files (pcapng) that Wireshark dissects: S_PRIMITIVEs as TCP port 5066, P_MUL PDUs as UDP, each in a packet
//! of its own with right sequence numbers and checksums. Addresses are made up where the medium has none.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use skywave_protocols::time::WallTime;
use skywave_transports::transport::{Capture, CaptureMedium};

/// LINKTYPE_RAW: packets begin with their IP header.
const LINK_TYPE_RAW: u16 = 101;
/// The made-up ends of the connection to the STANAG 5066 node.
const SIS_CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 50, 66, 1), 50_066);
const SIS_SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 50, 66, 2), 5_066);
/// Our own made-up addresses towards datagram peers, and the port of P_MUL data (fact sheet section 1.12).
const OWN_V4: Ipv4Addr = Ipv4Addr::new(10, 50, 66, 1);
const OWN_V6: Ipv6Addr = Ipv6Addr::new(0xfd50, 0x66, 0, 0, 0, 0, 0, 1);
const P_MUL_PORT: u16 = 2_753;
/// Octets of one packet; longer ones are cut into several.
const SEGMENT_OCTETS_MAX: usize = 60_000;
const TCP: u8 = 6;
const UDP: u8 = 17;
const FLAG_SYN: u8 = 0x02;
const FLAG_PUSH_ACK: u8 = 0x18;
const FLAG_ACK: u8 = 0x10;

/// Makes the octets of a capture file.
#[derive(Debug, Default)]
pub struct PcapNg {
    interfaces: BTreeMap<&'static str, u32>,
    /// Next sequence numbers of client and server; `None` before the handshake.
    sequence: Option<[u32; 2]>,
}

impl PcapNg {
    /// The octets that open a file.
    pub fn header() -> Vec<u8> {
        let mut body = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
        body.extend([1, 0, 0, 0]);
        body.extend(u64::MAX.to_le_bytes());
        block(0x0a0d_0d0a, &body)
    }

    /// The octets to append for a packet.
    pub fn packet(&mut self, at: WallTime, packet: &Capture) -> Vec<u8> {
        let mut octets = Vec::new();
        match packet.medium {
            CaptureMedium::Sis => {
                let interface = self.interface("sis", &mut octets);
                if self.sequence.is_none() {
                    self.handshake(interface, at, &mut octets);
                }
                for segment in packet.octets.chunks(SEGMENT_OCTETS_MAX) {
                    let ip = self.tcp(packet.sent, FLAG_PUSH_ACK, segment);
                    octets.extend(enhanced_packet(interface, at, &ip));
                }
            }
            CaptureMedium::Udp(peer) => {
                let interface = self.interface("udp", &mut octets);
                octets.extend(enhanced_packet(interface, at, &udp(peer, packet.sent, &packet.octets)));
            }
        }
        octets
    }

    /// The number of an interface; described when first used.
    fn interface(&mut self, name: &'static str, octets: &mut Vec<u8>) -> u32 {
        let next = u32::try_from(self.interfaces.len()).unwrap_or_default();
        *self.interfaces.entry(name).or_insert_with(|| {
            let mut body = LINK_TYPE_RAW.to_le_bytes().to_vec();
            body.extend([0; 6]);
            // Option 2: the interface's name; option 0 ends the list.
            body.extend([2, 0, name.len() as u8, 0]);
            body.extend(name.as_bytes());
            body.resize(body.len().next_multiple_of(4), 0);
            body.extend([0; 4]);
            octets.extend(block(1, &body));
            next
        })
    }

    fn handshake(&mut self, interface: u32, at: WallTime, octets: &mut Vec<u8>) {
        self.sequence = Some([0, 0]);
        for (sent, flags) in [(true, FLAG_SYN), (false, FLAG_SYN | FLAG_ACK), (true, FLAG_ACK)] {
            let ip = self.tcp(sent, flags, &[]);
            octets.extend(enhanced_packet(interface, at, &ip));
        }
    }

    fn tcp(&mut self, sent: bool, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut sequence = self.sequence.unwrap_or_default();
        let (own, other) = if sent { (0, 1) } else { (1, 0) };
        let (from, to) = if sent { (SIS_CLIENT, SIS_SERVER) } else { (SIS_SERVER, SIS_CLIENT) };
        let mut segment = Vec::with_capacity(20 + payload.len());
        segment.extend(from.1.to_be_bytes());
        segment.extend(to.1.to_be_bytes());
        segment.extend(sequence[own].to_be_bytes());
        let acknowledged = if flags & FLAG_ACK == 0 { 0 } else { sequence[other] };
        segment.extend(acknowledged.to_be_bytes());
        segment.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(payload);
        let takes = u32::try_from(payload.len()).unwrap_or_default() + u32::from(flags & FLAG_SYN != 0);
        sequence[own] = sequence[own].wrapping_add(takes);
        self.sequence = Some(sequence);
        ip(from.0.into(), to.0.into(), TCP, segment, 16)
    }
}

fn udp(peer: IpAddr, sent: bool, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(SEGMENT_OCTETS_MAX)];
    let own = if peer.is_ipv4() { IpAddr::V4(OWN_V4) } else { IpAddr::V6(OWN_V6) };
    let (from, to) = if sent || peer.is_multicast() { (own, peer) } else { (peer, own) };
    let mut datagram = Vec::with_capacity(8 + payload.len());
    datagram.extend(P_MUL_PORT.to_be_bytes());
    datagram.extend(P_MUL_PORT.to_be_bytes());
    datagram.extend(u16::try_from(8 + payload.len()).unwrap_or_default().to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    ip(from, to, UDP, datagram, 6)
}

/// Puts an IP header in front and the checksum at `checksum_at` of the content.
fn ip(from: IpAddr, to: IpAddr, protocol: u8, mut content: Vec<u8>, checksum_at: usize) -> Vec<u8> {
    let octets = u16::try_from(content.len()).unwrap_or_default();
    let addresses = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => [from.octets(), to.octets()].concat(),
        (IpAddr::V6(from), IpAddr::V6(to)) => [from.octets(), to.octets()].concat(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Vec::new(),
    };
    let [high, low] = octets.to_be_bytes();
    let pseudo = [&addresses[..], &[0, protocol, high, low]].concat();
    let sum = match checksum(&[&pseudo, &content]) {
        // In UDP zero means "no checksum".
        0 => 0xffff,
        sum => sum,
    };
    content[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
    let mut packet = Vec::with_capacity(40 + content.len());
    if from.is_ipv4() {
        packet.extend([0x45, 0]);
        packet.extend((octets + 20).to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
        packet.extend(&addresses);
        let sum = checksum(&[&packet]).to_be_bytes();
        packet[10..12].copy_from_slice(&sum);
    } else {
        packet.extend([0x60, 0, 0, 0, high, low, protocol, 64]);
        packet.extend(&addresses);
    }
    packet.extend(content);
    packet
}

/// The Internet checksum (RFC 1071); parts but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn enhanced_packet(interface: u32, at: WallTime, ip: &[u8]) -> Vec<u8> {
    let octets = u32::try_from(ip.len()).unwrap_or_default().to_le_bytes();
    let micros = at.unix_micros();
    let mut body = interface.to_le_bytes().to_vec();
    body.extend(((micros >> 32) as u32).to_le_bytes());
    body.extend((micros as u32).to_le_bytes());
    body.extend(octets);
    body.extend(octets);
    body.extend(ip);
    body.resize(body.len().next_multiple_of(4), 0);
    block(6, &body)
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let octets = u32::try_from(body.len() + 12).unwrap_or_default().to_le_bytes();
    [&kind.to_le_bytes()[..], &octets, body, &octets].concat()
}

/// A capture file on disk. A write that fails ends the capture, not the site.
#[derive(Debug)]
pub struct CaptureFile {
    file: Option<std::io::BufWriter<std::fs::File>>,
    packets: PcapNg,
}

impl CaptureFile {
    /// Creates the file, readable by its owner only: it holds mail.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        const OWNER_ONLY: u32 = 0o600;
        let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(OWNER_ONLY).open(path)?;
        let mut file = std::io::BufWriter::new(file);
        file.write_all(&PcapNg::header())?;
        Ok(Self { file: Some(file), packets: PcapNg::default() })
    }

    /// Appends a packet.
    pub fn packet(&mut self, at: WallTime, packet: &Capture) {
        let octets = self.packets.packet(at, packet);
        self.attempt(|file| file.write_all(&octets));
    }

    /// Hands what is buffered to the operating system.
    pub fn flush(&mut self) {
        self.attempt(Write::flush);
    }

    fn attempt(&mut self, work: impl FnOnce(&mut std::io::BufWriter<std::fs::File>) -> std::io::Result<()>) {
        if let Some(file) = &mut self.file
            && let Err(error) = work(file)
        {
            tracing::error!("the capture ends: {error}");
            self.file = None;
        }
    }
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;
