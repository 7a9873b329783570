//! A name server for one network: it knows where the XMPP servers of some domains are, with TLS from the first octet.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// Where resolvers ask that know no other port than the usual one.
pub const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 13, 53)), 53);
/// Where others ask: they are told the port.
pub const OTHER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 13, 54)), 0);
/// Octets of a question.
const QUESTION_OCTETS_MAX: usize = 512;
const A: u16 = 1;
const SRV: u16 = 33;
const SERVICE: &str = "_xmpps-server._tcp.";

/// What was asked, by name and type. Its port is free again when it is dropped.
pub struct Dns {
    /// Where it answers.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, u16)>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Dns {
    /// Answers for these domains.
    pub fn start(address: SocketAddr, domains: BTreeMap<String, SocketAddr>) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let (noted, ends) = (Arc::clone(&asked), Arc::clone(&over));
        let thread = thread::spawn(move || {
            let mut question = [0; QUESTION_OCTETS_MAX];
            while let Ok((octets, from)) = socket.recv_from(&mut question) {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let Some((name, kind, end)) = read(&question[..octets]) else { continue };
                let _ = socket.send_to(&answer(&question[..end], &domains, &name, kind), from);
                noted.lock().unwrap().push((name, kind));
            }
        });
        Self { address, asked, over, thread: Some(thread) }
    }

    /// Writes what resolvers of this network are told; where.
    pub fn resolv_conf(&self, place: &Path) -> std::path::PathBuf {
        let path = place.join("resolv.conf");
        fs::write(&path, format!("nameserver {}\n", self.address.ip())).unwrap();
        path
    }

    /// Whether somebody asked for the service of a domain.
    pub fn was_asked_for(&self, domain: &str) -> bool {
        let wanted = (format!("{SERVICE}{domain}"), SRV);
        self.asked.lock().unwrap().contains(&wanted)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // A last datagram, so that it looks.
        let woken = UdpSocket::bind((self.address.ip(), 0)).and_then(|socket| socket.send_to(&[], self.address));
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// Name and type of a question, and where it ends.
fn read(question: &[u8]) -> Option<(String, u16, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(question.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*question.get(at)?, *question.get(at + 1)?]);
    Some((labels.join("."), kind, at + 4)).filter(|(.., end)| *end <= question.len())
}

fn answer(question: &[u8], domains: &BTreeMap<String, SocketAddr>, name: &str, kind: u16) -> Vec<u8> {
    let of_service = name.strip_prefix(SERVICE).and_then(|domain| Some((domain, domains.get(domain)?)));
    let of_host = name.strip_prefix("xmpp.").and_then(|domain| domains.get(domain));
    let data = match (kind, of_service, of_host) {
        (SRV, Some((domain, address)), _) => {
            let mut data = vec![0, 0, 0, 0];
            data.extend(address.port().to_be_bytes());
            for label in format!("xmpp.{domain}").split('.') {
                data.push(u8::try_from(label.len()).unwrap());
                data.extend(label.as_bytes());
            }
            data.push(0);
            Some(data)
        }
        (A, _, Some(address)) => match address.ip() {
            IpAddr::V4(address) => Some(address.octets().to_vec()),
            IpAddr::V6(_) => None,
        },
        _ => None,
    };
    let known = of_service.is_some() || of_host.is_some();
    // An authoritative answer; an unknown name does not exist.
    let mut text =
        [&question[..2], &[0x84, if known { 0 } else { 3 }, 0, 1, 0, u8::from(data.is_some()), 0, 0, 0, 0]].concat();
    text.extend(&question[12..]);
    if let Some(data) = data {
        text.extend([0xc0, 12]);
        text.extend(kind.to_be_bytes());
        text.extend([0, 1, 0, 0, 0, 60]);
        text.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        text.extend(data);
    }
    text
}
