//! Capture files (pcapng) that Wireshark dissects: S_PRIMITIVEs as TCP port 5066, P_MUL PDUs as UDP, each in a packet
//! of its own with right sequence numbers and checksums, and D_PDUs as they go on the air (link type 237). Addresses
//! are made up where the medium has none. Each medium has an interface of its own, described when it is first used.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use skywave_protocols::time::WallTime;
use skywave_transports::transport::{Capture, CaptureMedium};

/// LINKTYPE_RAW: packets begin with their IP header.
const LINK_TYPE_RAW: u16 = 101;
/// LINKTYPE_STANAG_5066_D_PDU: packets are D_PDUs, from the synchronisation to the last CRC.
const LINK_TYPE_D_PDU: u16 = 237;
/// The made-up ends of the connections to STANAG 5066 nodes; the port of the first client, the others follow.
const SIS_CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 50, 66, 1), 50_066);
/// Clients that have a port of their own; the ports of earlier ones are then used again.
const SIS_CLIENTS: u64 = 10_000;
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
const FLAG_FIN_ACK: u8 = 0x11;
/// Octets of a packet's comment at most.
const COMMENT_OCTETS_MAX: usize = 200;

/// Makes the octets of a capture file.
#[derive(Debug, Default)]
pub struct PcapNg {
    interfaces: BTreeMap<&'static str, u32>,
    /// Next sequence numbers of client and server, for each connection that is open.
    sequences: BTreeMap<u16, [u32; 2]>,
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
        match packet.medium {
            CaptureMedium::Sis => self.sis(at, 0, packet.sent, &packet.octets),
            CaptureMedium::Udp(peer) => {
                let mut octets = Vec::new();
                let interface = self.interface("udp", LINK_TYPE_RAW, &mut octets);
                octets.extend(enhanced_packet(interface, at, &udp(peer, packet.sent, &packet.octets), ""));
                octets
            }
        }
    }

    /// The octets to append for what a client sent to its node, or was sent.
    pub fn sis(&mut self, at: WallTime, client: u64, sent: bool, primitives: &[u8]) -> Vec<u8> {
        let mut octets = Vec::new();
        let (interface, port) = (self.interface("sis", LINK_TYPE_RAW, &mut octets), port_of(client));
        if !self.sequences.contains_key(&port) {
            let handshake = [(true, FLAG_SYN), (false, FLAG_SYN | FLAG_ACK), (true, FLAG_ACK)];
            self.empty(interface, at, port, &handshake, &mut octets);
        }
        for segment in primitives.chunks(SEGMENT_OCTETS_MAX) {
            let ip = self.tcp(port, sent, FLAG_PUSH_ACK, segment);
            octets.extend(enhanced_packet(interface, at, &ip, ""));
        }
        octets
    }

    /// The octets to append when a client's connection has ended; none when nothing of it was captured.
    pub fn sis_ended(&mut self, at: WallTime, client: u64) -> Vec<u8> {
        let (mut octets, port) = (Vec::new(), port_of(client));
        if self.sequences.contains_key(&port) {
            let interface = self.interface("sis", LINK_TYPE_RAW, &mut octets);
            let end = [(true, FLAG_FIN_ACK), (false, FLAG_FIN_ACK), (true, FLAG_ACK)];
            self.empty(interface, at, port, &end, &mut octets);
            self.sequences.remove(&port);
        }
        octets
    }

    /// The octets to append for a D_PDU on the air; its first octet left at `at`. `about` becomes the packet's comment.
    pub fn air(&mut self, at: WallTime, about: &str, d_pdu: &[u8]) -> Vec<u8> {
        let mut octets = Vec::new();
        let interface = self.interface("air", LINK_TYPE_D_PDU, &mut octets);
        octets.extend(enhanced_packet(interface, at, d_pdu, about));
        octets
    }

    /// The number of an interface; described when first used.
    fn interface(&mut self, name: &'static str, link_type: u16, octets: &mut Vec<u8>) -> u32 {
        let next = u32::try_from(self.interfaces.len()).unwrap_or_default();
        *self.interfaces.entry(name).or_insert_with(|| {
            let mut body = link_type.to_le_bytes().to_vec();
            body.extend([0; 6]);
            // Option 2: the interface's name.
            body.extend(options(2, name));
            octets.extend(block(1, &body));
            next
        })
    }

    /// Segments without content.
    fn empty(&mut self, interface: u32, at: WallTime, port: u16, flags: &[(bool, u8)], octets: &mut Vec<u8>) {
        for &(sent, flags) in flags {
            let ip = self.tcp(port, sent, flags, &[]);
            octets.extend(enhanced_packet(interface, at, &ip, ""));
        }
    }

    fn tcp(&mut self, port: u16, sent: bool, flags: u8, payload: &[u8]) -> Vec<u8> {
        let sequence = self.sequences.entry(port).or_default();
        let (own, other) = if sent { (0, 1) } else { (1, 0) };
        let client = (SIS_CLIENT.0, port);
        let (from, to) = if sent { (client, SIS_SERVER) } else { (SIS_SERVER, client) };
        let mut segment = Vec::with_capacity(20 + payload.len());
        segment.extend(from.1.to_be_bytes());
        segment.extend(to.1.to_be_bytes());
        segment.extend(sequence[own].to_be_bytes());
        let acknowledged = if flags & FLAG_ACK == 0 { 0 } else { sequence[other] };
        segment.extend(acknowledged.to_be_bytes());
        segment.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(payload);
        // A beginning and an end count as an octet each.
        let turn = u32::from(flags & (FLAG_SYN | FLAG_FIN_ACK & !FLAG_ACK) != 0);
        let takes = u32::try_from(payload.len()).unwrap_or_default() + turn;
        sequence[own] = sequence[own].wrapping_add(takes);
        ip(from.0.into(), to.0.into(), TCP, segment, 16)
    }
}

/// The made-up port of a client.
fn port_of(client: u64) -> u16 {
    SIS_CLIENT.1 + u16::try_from(client % SIS_CLIENTS).unwrap_or_default()
}

/// A list of options with one in it; empty without a text.
fn options(code: u16, text: &str) -> Vec<u8> {
    if text.is_empty() {
        return Vec::new();
    }
    let text = text.as_bytes();
    let text = &text[..text.len().min(COMMENT_OCTETS_MAX)];
    let length = u16::try_from(text.len()).unwrap_or_default();
    let mut octets = [code.to_le_bytes(), length.to_le_bytes()].concat();
    octets.extend(text);
    octets.resize(octets.len().next_multiple_of(4), 0);
    octets.extend([0; 4]);
    octets
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

fn enhanced_packet(interface: u32, at: WallTime, packet: &[u8], comment: &str) -> Vec<u8> {
    let octets = u32::try_from(packet.len()).unwrap_or_default().to_le_bytes();
    let micros = at.unix_micros();
    let mut body = interface.to_le_bytes().to_vec();
    body.extend(((micros >> 32) as u32).to_le_bytes());
    body.extend((micros as u32).to_le_bytes());
    body.extend(octets);
    body.extend(octets);
    body.extend(packet);
    body.resize(body.len().next_multiple_of(4), 0);
    // Option 1: a comment.
    body.extend(options(1, comment));
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
        self.append(&octets);
    }

    /// Appends what a client sent to its node, or was sent.
    pub fn sis(&mut self, at: WallTime, client: u64, sent: bool, primitives: &[u8]) {
        let octets = self.packets.sis(at, client, sent, primitives);
        self.append(&octets);
    }

    /// Appends the end of a client's connection.
    pub fn sis_ended(&mut self, at: WallTime, client: u64) {
        let octets = self.packets.sis_ended(at, client);
        self.append(&octets);
    }

    /// Appends a D_PDU that went on the air.
    pub fn air(&mut self, at: WallTime, about: &str, d_pdu: &[u8]) {
        let octets = self.packets.air(at, about, d_pdu);
        self.append(&octets);
    }

    fn append(&mut self, octets: &[u8]) {
        self.attempt(|file| file.write_all(octets));
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
