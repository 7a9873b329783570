//! A next hop of our own: offers MT-PRIORITY and notes when it answers 250 to each mail.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::BenchFault;
use crate::shell::clock::Clock;

/// The header field that numbers the mails of a load.
pub const NUMBER_FIELD: &str = "X-Bench-Number";

/// When each mail of a load did something, in microseconds of one clock; zero is never.
#[derive(Clone, Debug)]
pub struct Moments(Arc<[AtomicU64]>);

impl Moments {
    /// For so many mails.
    pub fn new(mails: usize) -> Self {
        Self((0..mails).map(|_| AtomicU64::new(0)).collect())
    }

    /// Notes the moment of a mail; numbers beyond the load are nobody's.
    pub fn note(&self, number: usize, clock: &Clock) {
        if let Some(moment) = self.0.get(number) {
            moment.store(clock.now().mono.as_micros().max(1), Ordering::Release);
        }
    }

    /// The moment of a mail.
    pub fn of(&self, number: usize) -> Option<u64> {
        self.0.get(number).map(|moment| moment.load(Ordering::Acquire)).filter(|&moment| moment > 0)
    }

    /// Mails of the load.
    pub fn expected(&self) -> usize {
        self.0.len()
    }

    /// Mails whose moment has come.
    pub fn count(&self) -> usize {
        self.0.iter().filter(|moment| moment.load(Ordering::Acquire) > 0).count()
    }

    /// The latest moment.
    pub fn last(&self) -> u64 {
        self.0.iter().map(|moment| moment.load(Ordering::Acquire)).max().unwrap_or(0)
    }
}

/// A running sink; its threads end with the process.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    answered: Arc<std::sync::Mutex<Moments>>,
}

impl Sink {
    /// Starts one.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(clock: Clock) -> Result<Self, BenchFault> {
        let failed = |error| BenchFault::local("the sink", error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let sink = Self { address, answered: Arc::new(std::sync::Mutex::new(Moments::new(0))) };
        let shared = sink.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sink = shared.clone();
                // A connection that breaks is the client's business; it tries again.
                std::thread::spawn(move || drop(sink.serve(&stream, clock)));
            }
        });
        Ok(sink)
    }

    /// From now on the moments of another load are noted.
    pub fn expect(&self, moments: &Moments) {
        *self.answered.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = moments.clone();
    }

    fn note(&self, number: usize, clock: &Clock) {
        self.answered.lock().unwrap_or_else(std::sync::PoisonError::into_inner).note(number, clock);
    }

    fn serve(&self, stream: &TcpStream, clock: Clock) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let (mut reader, mut writer) = (BufReader::new(stream), stream);
        writer.write_all(b"220 sink.test ESMTP\r\n")?;
        let (mut line, mut replies) = (Vec::new(), Vec::new());
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let verb: Vec<u8> = line.iter().take(4).map(u8::to_ascii_uppercase).collect();
            replies.extend_from_slice(reply(&verb));
            // What was sent together is answered together, as servers do.
            if reader.buffer().is_empty() {
                writer.write_all(&replies)?;
                replies.clear();
            }
            match verb.as_slice() {
                b"DATA" => {
                    let number = read_text(&mut reader)?;
                    writer.write_all(b"250 2.0.0 taken\r\n")?;
                    self.note(number, &clock);
                }
                b"QUIT" => return Ok(()),
                _ => {}
            }
        }
    }
}

fn reply(verb: &[u8]) -> &'static [u8] {
    match verb {
        b"EHLO" => {
            b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n\
              250-ENHANCEDSTATUSCODES\r\n250 MT-PRIORITY\r\n"
        }
        b"MAIL" | b"RCPT" | b"RSET" | b"NOOP" | b"HELO" => b"250 2.1.0 so be it\r\n",
        b"DATA" => b"354 go on\r\n",
        b"QUIT" => b"221 2.0.0 bye\r\n",
        _ => b"502 5.5.2 unknown\r\n",
    }
}

/// Reads to the dot; the mail's number.
fn read_text(reader: &mut BufReader<&TcpStream>) -> std::io::Result<usize> {
    let (mut line, mut number) = (Vec::new(), usize::MAX);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(number);
        }
        let text = String::from_utf8_lossy(&line);
        if let Some(value) = text.strip_prefix(NUMBER_FIELD).and_then(|rest| rest.strip_prefix(':')) {
            number = value.trim().parse().unwrap_or(number);
        }
    }
}
