//! A recording SMTP server: takes every mail to the octet and keeps what MAIL and RCPT said.
//!
//! Offers PIPELINING, SIZE, 8BITMIME, SMTPUTF8, DSN, CHUNKING, BINARYMIME, ENHANCEDSTATUSCODES and MT-PRIORITY, or
//! fewer. Recipients whose local part begins with `refuse` get 550, with `later` 451.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// What the sink offers by default.
pub const EXTENSIONS: [&str; 9] = [
    "PIPELINING",
    "SIZE 50000000",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "CHUNKING",
    "BINARYMIME",
    "ENHANCEDSTATUSCODES",
    "MT-PRIORITY MIXER",
];

/// A mail that was taken.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// What followed `MAIL FROM:`.
    pub mail: String,
    /// What followed each `RCPT TO:`.
    pub recipients: Vec<String>,
    /// The mail, without dot-stuffing.
    pub octets: Vec<u8>,
}

impl Taken {
    /// The value of a header, unfolded, if the mail has it.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.octets).replace("\r\n ", " ").replace("\r\n\t", " ");
        let head = text.split("\r\n\r\n").next()?.to_owned();
        let wanted = format!("{}:", name.to_lowercase());
        head.lines()
            .find(|line| line.to_lowercase().starts_with(&wanted))
            .map(|line| line[wanted.len()..].trim().into())
    }

    /// What follows the header.
    pub fn body(&self) -> &[u8] {
        let end = self.octets.windows(4).position(|four| four == b"\r\n\r\n").map_or(self.octets.len(), |at| at + 4);
        &self.octets[end..]
    }
}

type Shared = Arc<(Mutex<Vec<Taken>>, Condvar)>;

/// The server; its threads end with the process.
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    taken: Shared,
}

impl Sink {
    /// Starts a sink that offers all of [`EXTENSIONS`].
    pub fn start() -> Self {
        Self::offering(&EXTENSIONS)
    }

    /// Starts a sink that offers these.
    pub fn offering(extensions: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let taken: Shared = Arc::default();
        let (shared, extensions) = (taken.clone(), extensions.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, extensions) = (shared.clone(), extensions.clone());
                // A client that goes away in mid-dialogue ends only its own thread.
                thread::spawn(move || Dialogue::new(stream, &extensions, &shared).map(|mut dialogue| dialogue.run()));
            }
        });
        Self { address, taken }
    }

    /// Waits until at least `count` mails have come; panics after `seconds`.
    pub fn mails(&self, count: usize, seconds: u64) -> Vec<Taken> {
        let (mails, changed) = &*self.taken;
        let (mails, wait) = changed
            .wait_timeout_while(mails.lock().unwrap(), Duration::from_secs(seconds), |mails| mails.len() < count)
            .unwrap();
        assert!(!wait.timed_out(), "{} mails of {count} within {seconds} s", mails.len());
        mails.clone()
    }
}

struct Dialogue<'a> {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    extensions: &'a [String],
    shared: &'a Shared,
    mail: Taken,
}

impl<'a> Dialogue<'a> {
    fn new(stream: TcpStream, extensions: &'a [String], shared: &'a Shared) -> std::io::Result<Self> {
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Self { reader, writer: stream, extensions, shared, mail: Taken::default() })
    }

    fn run(&mut self) -> std::io::Result<()> {
        self.reply("220 sink.test ESMTP")?;
        loop {
            let mut line = Vec::new();
            if self.reader.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let (verb, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
            match verb.to_uppercase().as_str() {
                "EHLO" => self.greet()?,
                "HELO" | "NOOP" => self.reply("250 2.0.0 ok")?,
                "RSET" => {
                    self.mail = Taken::default();
                    self.reply("250 2.0.0 ok")?;
                }
                "MAIL" => {
                    self.mail = Taken { mail: after_colon(&line), ..Taken::default() };
                    self.reply("250 2.1.0 ok")?;
                }
                "RCPT" => self.recipient(after_colon(&line))?,
                "DATA" => self.data()?,
                "BDAT" => self.chunk(rest)?,
                "QUIT" => return self.reply("221 2.0.0 bye"),
                _ => self.reply("500 5.5.1 what?")?,
            }
        }
    }

    fn greet(&mut self) -> std::io::Result<()> {
        let mut text = "250-sink.test\r\n".to_owned();
        self.extensions.iter().for_each(|word| text.push_str(&format!("250-{word}\r\n")));
        self.writer.write_all(format!("{text}250 HELP\r\n").as_bytes())
    }

    fn recipient(&mut self, path: String) -> std::io::Result<()> {
        if path.starts_with("<refuse") {
            return self.reply("550 5.1.1 nobody of that name");
        }
        if path.starts_with("<later") {
            return self.reply("451 4.2.1 come again");
        }
        self.mail.recipients.push(path);
        self.reply("250 2.1.5 ok")
    }

    fn data(&mut self) -> std::io::Result<()> {
        if self.mail.recipients.is_empty() {
            return self.reply("554 5.5.1 no recipients");
        }
        self.reply("354 go ahead")?;
        loop {
            let mut line = Vec::new();
            if self.reader.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            if line == b".\r\n" {
                return self.keep();
            }
            self.mail.octets.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    fn chunk(&mut self, rest: &str) -> std::io::Result<()> {
        let mut words = rest.split(' ');
        let size = words.next().and_then(|size| size.parse::<u64>().ok()).unwrap_or_default();
        let last = words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        (&mut self.reader).take(size).read_to_end(&mut self.mail.octets)?;
        if last { self.keep() } else { self.reply("250 2.0.0 chunk") }
    }

    fn keep(&mut self) -> std::io::Result<()> {
        let mail = std::mem::take(&mut self.mail);
        let (mails, changed) = &**self.shared;
        mails.lock().unwrap().push(mail);
        changed.notify_all();
        self.reply("250 2.0.0 taken")
    }

    fn reply(&mut self, text: &str) -> std::io::Result<()> {
        self.writer.write_all(format!("{text}\r\n").as_bytes())
    }
}

fn after_colon(line: &str) -> String {
    line.split_once(':').map_or("", |(_, rest)| rest).trim().to_owned()
}
