//! Reads along on a connection between a client and its server, both ways, and shows the frames.
//!
//! Promises: it never holds back or changes an octet, because it only gets copies. Octets that are no frames end the
//! showing of that direction, not the connection.

use std::fmt;

use serde::Serialize;

use super::note::Note;
use crate::s5066::sis::frame::FrameReader;

/// Where octets go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Toward {
    /// From the client to its server.
    Server,
    /// From the server to its client.
    Client,
}

impl fmt::Display for Toward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "client > server",
            Self::Client => "client < server",
        })
    }
}

/// Both directions of a connection.
#[derive(Debug, Default)]
pub struct Tap {
    to_server: FrameReader,
    to_client: FrameReader,
}

impl Tap {
    /// A tap on a connection that has just begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes octets that pass, and shows the frames that are whole with them.
    pub fn pass(&mut self, toward: Toward, octets: &[u8]) -> Vec<Note> {
        let reader = match toward {
            Toward::Server => &mut self.to_server,
            Toward::Client => &mut self.to_client,
        };
        reader.push(octets);
        let note = |frame| match frame {
            Ok(crate::s5066::sis::frame::Frame { octets }) => Note::Primitive { toward, octets },
            Err(fault) => Note::Broken { toward, why: crate::s5066::sis::fault::SisFault::to_string(&fault) },
        };
        std::iter::from_fn(|| reader.next_frame()).map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Bytes;

    #[test]
    fn both_ways_are_cut_by_themselves_and_break_by_themselves() {
        let frame = [0x90, 0xeb, 0, 0, 1, 17];
        let shown = |toward| vec![Note::Primitive { toward, octets: Bytes::copy_from_slice(&frame) }];
        let mut tap = Tap::new();
        assert_eq!(tap.pass(Toward::Server, &frame[..3]), []);
        assert_eq!(tap.pass(Toward::Client, &frame), shown(Toward::Client));
        assert_eq!(tap.pass(Toward::Server, &frame[3..]), shown(Toward::Server));
        let broken = tap.pass(Toward::Server, b"GET / HTTP/1.1\r\n");
        assert!(matches!(&broken[..], [Note::Broken { toward: Toward::Server, .. }]), "{broken:?}");
        assert_eq!(tap.pass(Toward::Server, &frame), [], "nothing tells where the next frame begins");
        assert_eq!(tap.pass(Toward::Client, &frame), shown(Toward::Client));
    }
}
