//! Somebody's STANAG 5066 node at a port.
//!
//! A node cannot be asked what octets mean, so a vector passes here when the node takes it: on a connection of its
//! own, bound first, the vector's octets are sent, then an S_KEEP_ALIVE; the node must answer what it has to answer,
//! and everything it sends must decode. Vectors that only a node sends are skipped, and so are those of protocols that
//! have no port of their own. Nothing is said about what the node does on the air.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::{Value, json};

use crate::report::{Outcome, Report, Result};
use crate::tree;
use crate::vector::{Meaning, Vector};

/// An S_KEEP_ALIVE must be answered within 10 s (A.3); so much for everything that must be answered.
const ANSWER_SECONDS_MAX: u64 = 12;
/// Frames that a node may send before its answer.
const FRAMES_BEFORE_ANSWER_MAX: usize = 200;
/// A node that holds a SAP that we used before answers so; the next one is tried.
const SAPS: [u8; 8] = [4, 5, 9, 10, 11, 13, 14, 15];
/// Primitives that a client sends.
const CLIENT_TYPES: [u8; 10] = [1, 2, 6, 7, 12, 13, 17, 18, 20, 24];

/// Runs the vectors of protocol `sis` against the node at `address` (`HOST:PORT`).
///
/// # Errors
/// When nobody listens there.
pub fn against(address: &str, vectors: &[Vector]) -> io::Result<Report> {
    TcpStream::connect(address)?;
    let mut report = Report { subject: address.to_owned(), ..Report::default() };
    for (turn, vector) in vectors.iter().enumerate() {
        let outcome = match why_not(vector) {
            Some(why) => Outcome::Skipped { why },
            None => match taken(address, SAPS[turn % SAPS.len()], vector) {
                Ok(()) => Outcome::Passed { directions: vec!["taken"] },
                Err(why) => Outcome::Failed { why },
            },
        };
        report.add(Result { vector: vector.id.clone(), description: vector.description.clone(), outcome });
    }
    Ok(report)
}

fn why_not(vector: &Vector) -> Option<String> {
    if let Some(reason) = &vector.exception {
        return Some(reason.clone());
    }
    if vector.protocol != "sis" {
        return Some(format!("{} has no port of its own to ask", vector.protocol));
    }
    let kind = vector.octets.get(5).copied().unwrap_or_default();
    (!CLIENT_TYPES.contains(&kind) && matches!(vector.meaning, Meaning::Tree(_)))
        .then(|| "only a node sends it".to_owned())
}

fn taken(address: &str, sap: u8, vector: &Vector) -> std::result::Result<(), String> {
    let mut node = Connection::open(address).map_err(|error| format!("no connection: {error}"))?;
    let kind = vector.octets.get(5).copied().unwrap_or_default();
    if kind != 1 {
        node.send(&frame(&bind(sap))?)?;
        node.answer(&["S_BIND_ACCEPTED", "S_BIND_REJECTED"])?;
    }
    node.send(&vector.octets)?;
    match kind {
        1 => node.answer(&["S_BIND_ACCEPTED", "S_BIND_REJECTED"]).map(drop),
        2 => Ok(()),
        17 => node.answer(&["S_KEEP_ALIVE"]).map(drop),
        _ => {
            node.send(&frame(&json!({ "primitive": "S_KEEP_ALIVE" }))?)?;
            node.answer(&["S_KEEP_ALIVE", "S_UNBIND_INDICATION"]).map(drop)
        }
    }
}

fn bind(sap: u8) -> Value {
    json!({
        "primitive": "S_BIND_REQUEST", "sap": sap, "rank": 0, "retransmissions": 0,
        "service_type": { "transmission": "arq", "confirmation": "node", "order": "in_order" },
    })
}

fn frame(tree: &Value) -> std::result::Result<Vec<u8>, String> {
    let codec = tree::of("sis").ok_or("no codec for sis")?;
    (codec.encode)(tree).map_err(|refusal| refusal.to_string())
}

struct Connection {
    stream: TcpStream,
}

impl Connection {
    fn open(address: &str) -> io::Result<Self> {
        let wait = Duration::from_secs(ANSWER_SECONDS_MAX);
        let address = address.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("no such host"))?;
        let stream = TcpStream::connect_timeout(&address, wait)?;
        stream.set_read_timeout(Some(wait))?;
        stream.set_write_timeout(Some(wait))?;
        Ok(Self { stream })
    }

    fn send(&mut self, octets: &[u8]) -> std::result::Result<(), String> {
        self.stream.write_all(octets).map_err(|error| format!("not taken: {error}"))
    }

    /// Reads frames until one of `wanted` comes; all must decode.
    fn answer(&mut self, wanted: &[&str]) -> std::result::Result<Value, String> {
        for _ in 0..FRAMES_BEFORE_ANSWER_MAX {
            let octets = self.frame().map_err(|error| format!("{} did not come: {error}", wanted.join(" or ")))?;
            let codec = tree::of("sis").ok_or("no codec for sis")?;
            let tree = (codec.decode)(&octets).map_err(|refusal| format!("the node sent {refusal}"))?;
            if tree["primitive"].as_str().is_some_and(|name| wanted.contains(&name)) {
                return Ok(tree);
            }
        }
        Err(format!("{FRAMES_BEFORE_ANSWER_MAX} frames and no {}", wanted.join(" or ")))
    }

    fn frame(&mut self) -> io::Result<Vec<u8>> {
        let mut octets = vec![0; 5];
        self.stream.read_exact(&mut octets)?;
        let size = usize::from(u16::from_be_bytes([octets[3], octets[4]]));
        octets.resize(5 + size, 0);
        self.stream.read_exact(&mut octets[5..])?;
        Ok(octets)
    }
}
