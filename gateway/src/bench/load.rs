//! A load of our own, as `smtp-source` can neither say MT-PRIORITY nor keep to a timetable: numbered mails, sent on
//! kept connections either as fast as they are taken or at moments fixed beforehand (open loop: a slow server does
//! not slow the arrivals down).

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, park_timeout};
use std::time::Duration;

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::{Random as _, Seeded};

use super::BenchFault;
use super::sink::{Moments, NUMBER_FIELD};
use super::site::SINK_DOMAIN;
use crate::shell::clock::Clock;

/// How long a reply may take.
const REPLY_SECONDS_MAX: u64 = 60;

/// A load.
#[derive(Clone, Debug)]
pub struct Load {
    /// Each mail: when it is to be sent, in microseconds from the start, and its precedence.
    pub mails: Vec<(u64, Precedence)>,
    /// Octets of each text.
    pub octets: usize,
    /// Connections.
    pub sessions: usize,
}

/// What the source saw.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When the sending began.
    pub started: u64,
    /// When the end of each mail's data was sent.
    pub ended: Moments,
    /// When each mail's sending began: later than its timetable when no session was free.
    pub begun: Moments,
    /// When each mail was accepted.
    pub accepted: Moments,
}

/// Of a hundred mails so many of each precedence.
const MIX: [(u64, Precedence); 4] =
    [(5, Precedence::Flash), (10, Precedence::Immediate), (15, Precedence::Priority), (70, Precedence::Routine)];

/// A timetable of `mails` arrivals at `per_second` (independent of each other), the precedences mixed.
pub fn timetable(seed: u64, mails: usize, per_second: f64) -> Vec<(u64, Precedence)> {
    let mut random = Seeded::new(seed);
    let mut at = 0.0;
    let mut arrival = || {
        let share = (random.below(1 << 32) + 1) as f64 / (1u64 << 32) as f64;
        at += -share.ln() / per_second * 1e6;
        (at as u64, mixed(random.below(100)))
    };
    (0..mails).map(|_| arrival()).collect()
}

fn mixed(mut draw: u64) -> Precedence {
    for (share, precedence) in MIX {
        if draw < share {
            return precedence;
        }
        draw -= share;
    }
    Precedence::Routine
}

impl Load {
    /// Sends everything; returns when the last mail is accepted.
    ///
    /// # Errors
    /// When the server refuses a mail or does not answer.
    pub fn send(&self, to: SocketAddr, clock: Clock) -> Result<Sent, BenchFault> {
        let (jobs, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let count = self.mails.len();
        let mut sent =
            Sent { started: 0, ended: Moments::new(count), begun: Moments::new(count), accepted: Moments::new(count) };
        let session = |_| {
            let session = Session::open(to, self.octets, clock, sent.clone());
            let waiting = Arc::clone(&waiting);
            session.map(|session| std::thread::spawn(move || session.work(&waiting)))
        };
        let sessions: Vec<JoinHandle<Result<(), String>>> =
            (0..self.sessions).map(session).collect::<Result<_, _>>()?;
        sent.started = clock.now().mono.as_micros();
        for (number, &(at, precedence)) in self.mails.iter().enumerate() {
            wait_until(sent.started + at, &clock);
            if jobs.send((number, precedence)).is_err() {
                break;
            }
        }
        drop(jobs);
        drop(waiting);
        for session in sessions {
            let ended = session.join().unwrap_or_else(|_| Err("a session of the load broke".to_owned()));
            ended.map_err(BenchFault::Process)?;
        }
        Ok(sent)
    }
}

fn wait_until(moment: u64, clock: &Clock) {
    loop {
        let now = clock.now().mono.as_micros();
        if now >= moment {
            return;
        }
        park_timeout(Duration::from_micros(moment - now));
    }
}

type Job = (usize, Precedence);

struct Session {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    octets: usize,
    clock: Clock,
    sent: Sent,
}

impl Session {
    fn open(to: SocketAddr, octets: usize, clock: Clock, sent: Sent) -> Result<Self, BenchFault> {
        let failed = |error| BenchFault::local("a session of the load", error);
        let stream = TcpStream::connect(to).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(REPLY_SECONDS_MAX))).map_err(failed)?;
        let reader = BufReader::new(stream.try_clone().map_err(failed)?);
        let mut session = Self { reader, writer: stream, octets, clock, sent };
        session.reply().map_err(BenchFault::Process)?;
        session.say(b"EHLO source.test\r\n", 1).map_err(BenchFault::Process)?;
        Ok(session)
    }

    fn work(mut self, jobs: &Mutex<Receiver<Job>>) -> Result<(), String> {
        loop {
            // The lock is held while waiting: whoever has it takes the next mail.
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            match job {
                Ok((number, precedence)) => self.mail(number, precedence)?,
                Err(_) => return self.say(b"QUIT\r\n", 1),
            }
        }
    }

    fn mail(&mut self, number: usize, precedence: Precedence) -> Result<(), String> {
        self.sent.begun.note(number, &self.clock);
        let envelope = format!(
            "MAIL FROM:<ops@hq.test> MT-PRIORITY={}\r\nRCPT TO:<bridge@{SINK_DOMAIN}>\r\nDATA\r\n",
            precedence.mt_priority().value()
        );
        self.say(envelope.as_bytes(), 3)?;
        let text = text(number, self.octets);
        self.sent.ended.note(number, &self.clock);
        self.say(&text, 1)?;
        self.sent.accepted.note(number, &self.clock);
        Ok(())
    }

    fn say(&mut self, octets: &[u8], replies: usize) -> Result<(), String> {
        self.writer.write_all(octets).map_err(|error| error.to_string())?;
        (0..replies).try_for_each(|_| self.reply())
    }

    fn reply(&mut self) -> Result<(), String> {
        let mut line = String::new();
        loop {
            line.clear();
            match self.reader.read_line(&mut line) {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
            if !line.starts_with(['2', '3']) {
                return Err(format!("the server said {}", line.trim_end()));
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}

/// A mail of about so many octets, with the dot at its end.
fn text(number: usize, octets: usize) -> Vec<u8> {
    let mut text = format!(
        "From: ops@hq.test\r\nTo: bridge@{SINK_DOMAIN}\r\nSubject: load\r\nMessage-ID: <{number}@bench.hq.test>\r\n\
         {NUMBER_FIELD}: {number}\r\n\r\n"
    )
    .into_bytes();
    while text.len() < octets {
        text.extend_from_slice(b"The wind has gone round to the west and the sea is going down.\r\n");
    }
    text.extend_from_slice(b".\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timetable_keeps_its_rate_and_its_mix() {
        let table = timetable(7, 10_000, 500.0);
        let seconds = table.last().unwrap().0 as f64 / 1e6;
        assert!((19.0..21.0).contains(&seconds), "{seconds}");
        assert!(table.is_sorted_by_key(|(at, _)| *at));
        for (share, precedence) in MIX {
            let count = table.iter().filter(|mail| mail.1 == precedence).count() as u64;
            assert!(count.abs_diff(share * 100) < 150, "{precedence:?}: {count}");
        }
        assert_eq!(table, timetable(7, 10_000, 500.0));
    }

    #[test]
    fn shares_make_a_hundred() {
        assert_eq!(MIX.iter().map(|(share, _)| share).sum::<u64>(), 100);
        assert_eq!((mixed(0), mixed(4), mixed(5), mixed(99)), {
            use Precedence::{Flash, Immediate, Routine};
            (Flash, Flash, Immediate, Routine)
        });
    }
}
