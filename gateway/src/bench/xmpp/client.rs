//! A client that says exactly what it is told and keeps the text of everything it hears, with the time.
//!
//! It does not parse XML: a bench waits for words of its own that stand in no other stanza.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine as _;

use super::super::BenchFault;
use crate::shell::clock::Clock;

/// How long the server near by may take for one step of the login.
const LOGIN: Duration = Duration::from_secs(20);

/// All that was heard, and what came when.
#[derive(Debug, Default)]
struct Heard {
    text: String,
    /// The length of the text after each reading, and its time.
    times: Vec<(usize, u64)>,
    closed: bool,
}

/// A client that is logged in.
#[derive(Debug)]
pub struct Client {
    /// Its full address.
    pub address: String,
    stream: TcpStream,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    read_so_far: usize,
}

impl Client {
    /// Logs `user` in at `domain` as `resource`, by PLAIN in clear; says no presence yet. All times are of `clock`.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub fn login(
        clock: Clock,
        server: SocketAddr,
        [user, domain, resource]: [&str; 3],
        password: &str,
    ) -> Result<Self, BenchFault> {
        let stream = TcpStream::connect(server).map_err(|error| BenchFault::local("a client", error))?;
        let heard: Arc<(Mutex<Heard>, Condvar)> = Arc::default();
        let (keeping, from) = (Arc::clone(&heard), stream.try_clone());
        let from = from.map_err(|error| BenchFault::local("a client", error))?;
        let _ = stream.set_nodelay(true);
        thread::spawn(move || listen(clock, from, &keeping));
        let mut client = Self { address: format!("{user}@{domain}/{resource}"), stream, heard, read_so_far: 0 };
        let begin = format!(
            "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        );
        client.step(&begin, "</stream:features>")?;
        let secret = base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{password}"));
        client.step(
            &format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>"),
            "<success",
        )?;
        client.step(&begin, "</stream:features>")?;
        client.step(
            &format!(
                "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
                 <resource>{resource}</resource></bind></iq>"
            ),
            "</bind>",
        )?;
        Ok(client)
    }

    /// Sends this text.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn say(&mut self, text: &str) -> Result<(), BenchFault> {
        self.stream.write_all(text.as_bytes()).map_err(|error| BenchFault::local(&self.address, error))
    }

    /// A second handle to write with, while this one waits.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn speaker(&self) -> Result<TcpStream, BenchFault> {
        self.stream.try_clone().map_err(|error| BenchFault::local(&self.address, error))
    }

    /// Waits until `words` were heard behind everything waited for before; the microsecond at which they were.
    pub fn wait(&mut self, words: &str, patience: Duration) -> Option<u64> {
        let clock = Clock::start();
        let patience = u64::try_from(patience.as_micros()).unwrap_or(u64::MAX);
        let (heard, changed) = &*self.heard;
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(at) = heard.text.get(self.read_so_far..).and_then(|text| text.find(words)) {
                self.read_so_far += at + words.len();
                let end = self.read_so_far;
                return heard.times.iter().find(|(length, _)| *length >= end).map(|(_, at)| *at);
            }
            let left = patience.checked_sub(clock.now().mono.as_micros()).filter(|_| !heard.closed)?;
            heard = changed.wait_timeout(heard, Duration::from_micros(left)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything heard so far.
    pub fn heard(&self) -> String {
        self.heard.0.lock().unwrap_or_else(PoisonError::into_inner).text.clone()
    }

    fn step(&mut self, say: &str, hear: &str) -> Result<(), BenchFault> {
        self.say(say)?;
        match self.wait(hear, LOGIN) {
            Some(_) => Ok(()),
            None => Err(BenchFault::Process(format!("{} did not hear {hear}: {}", self.address, self.heard()))),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

fn listen(clock: Clock, mut stream: TcpStream, kept: &(Mutex<Heard>, Condvar)) {
    let mut octets = [0; 16 << 10];
    loop {
        let count = stream.read(&mut octets).unwrap_or(0);
        let mut heard = kept.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.closed = count == 0;
        heard.text.push_str(&String::from_utf8_lossy(&octets[..count]));
        let length = heard.text.len();
        heard.times.push((length, clock.now().mono.as_micros()));
        kept.1.notify_all();
        if count == 0 {
            return;
        }
    }
}
