//! An SMTP sender of our own: says MAIL and RCPT parameters that no packaged tool can say.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest time for one reply.
const REPLY_SECONDS_MAX: u64 = 60;

/// A dialogue.
pub struct Sender {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    /// What EHLO was answered, line by line.
    pub extensions: Vec<String>,
}

impl Sender {
    /// Connects and says EHLO.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(REPLY_SECONDS_MAX))).unwrap();
        let mut sender =
            Self { reader: BufReader::new(stream.try_clone().unwrap()), writer: stream, extensions: Vec::new() };
        assert_eq!(sender.reply().0, 220);
        let (code, lines) = sender.command("EHLO sender.test");
        assert_eq!(code, 250, "{lines:?}");
        sender.extensions = lines;
        sender
    }

    /// Sends a line and reads the reply: its code and its lines without code.
    pub fn command(&mut self, line: &str) -> (u16, Vec<String>) {
        self.writer.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.reply()
    }

    fn reply(&mut self) -> (u16, Vec<String>) {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.reader.read_line(&mut line).unwrap() > 0, "closed after {lines:?}");
            let code = line.get(..3).and_then(|code| code.parse().ok()).unwrap_or_default();
            lines.push(line.get(4..).unwrap_or_default().trim_end().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return (code, lines);
            }
        }
    }

    /// Sends one mail: `mail` and `recipients` are what follows `MAIL FROM:` and `RCPT TO:`. The reply to the end.
    pub fn send(&mut self, mail: &str, recipients: &[String], octets: &[u8]) -> (u16, Vec<String>) {
        let (code, lines) = self.command(&format!("MAIL FROM:{mail}"));
        if code != 250 {
            return (code, lines);
        }
        for recipient in recipients {
            let (code, lines) = self.command(&format!("RCPT TO:{recipient}"));
            assert_eq!(code, 250, "{recipient}: {lines:?}");
        }
        assert_eq!(self.command("DATA").0, 354);
        let mut stuffed = Vec::with_capacity(octets.len() + 1024);
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b".") {
                stuffed.push(b'.');
            }
            stuffed.extend_from_slice(line);
        }
        stuffed.extend_from_slice(b".\r\n");
        self.writer.write_all(&stuffed).unwrap();
        self.reply()
    }
}
