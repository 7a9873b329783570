//! A stand-in for a local XMPP server, as fast as a bench needs it: gateways connect to it as components (XEP-0114).
//!
//! It takes every secret and parses no XML: stanzas are cut at the words that a gateway's canonical form has.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::super::BenchFault;

/// Longest stream header.
const HEADER_OCTETS_MAX: usize = 4 << 10;

/// Takes what a component sent, in pieces as they come.
type Hear = dyn Fn(&[u8]) + Send + Sync;
type Components = (Mutex<BTreeMap<String, TcpStream>>, Condvar);

/// See the module. Its threads end with their connections.
pub struct Host {
    /// Where components connect.
    pub address: SocketAddr,
    components: Arc<Components>,
}

impl Host {
    /// Starts one that gives everything components send to what `hear` makes for each connection.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(hear: impl Fn() -> Box<Hear> + Send + 'static) -> Result<Self, BenchFault> {
        let failed = |error| BenchFault::local("a host for components", error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let components: Arc<Components> = Arc::default();
        let shared = Arc::clone(&components);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, hear) = (Arc::clone(&shared), hear());
                // A component that goes away ends only its own thread.
                thread::spawn(move || serve(stream, &shared, &*hear));
            }
        });
        Ok(Self { address, components })
    }

    /// Where to write for a component, once it is connected.
    ///
    /// # Errors
    /// When it does not connect in time.
    pub fn component(&self, name: &str, patience: Duration) -> Result<TcpStream, BenchFault> {
        let (components, changed) = &*self.components;
        let components = components.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(components, patience, |found| !found.contains_key(name));
        let (components, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let stream = components.get(name).ok_or_else(|| BenchFault::Process(format!("{name} did not connect")))?;
        stream.try_clone().map_err(|error| BenchFault::local(name, error))
    }
}

fn serve(mut stream: TcpStream, components: &Components, hear: &Hear) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut heard = Vec::new();
    // The header ends with the first `>` behind its name.
    let header = read_to(&mut stream, &mut heard, |text| {
        text.find("<stream:stream").is_some_and(|at| text[at..].contains('>'))
    })?;
    let name = attribute(&header, " to=").unwrap_or_default();
    write!(
        stream,
        "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
         xmlns:stream='http://etherx.jabber.org/streams' from='{name}' id='bench'>"
    )?;
    read_to(&mut stream, &mut heard, |text| text.contains("</handshake>") || text.contains("<handshake/>"))?;
    stream.write_all(b"<handshake/>")?;
    let (named, changed) = components;
    named.lock().unwrap_or_else(PoisonError::into_inner).insert(name, stream.try_clone()?);
    changed.notify_all();
    let mut octets = vec![0; 64 << 10];
    while let count @ 1.. = stream.read(&mut octets)? {
        hear(&octets[..count]);
    }
    Ok(())
}

/// Reads until what came is `complete`; all of it.
fn read_to(stream: &mut TcpStream, heard: &mut Vec<u8>, complete: impl Fn(&str) -> bool) -> std::io::Result<String> {
    let mut octets = [0; 1024];
    loop {
        let text = String::from_utf8_lossy(heard).into_owned();
        if complete(&text) {
            return Ok(text);
        }
        let count = stream.read(&mut octets)?;
        if count == 0 || heard.len() > HEADER_OCTETS_MAX {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        heard.extend_from_slice(&octets[..count]);
    }
}

/// What stands in quotes behind `name`.
fn attribute(text: &str, name: &str) -> Option<String> {
    let behind = text.split_once(name)?.1;
    let quote = behind.chars().next()?;
    behind.get(1..)?.split(quote).next().map(str::to_owned)
}

/// Finds numbers between `before` and the next quote in octets that come in pieces.
#[derive(Debug)]
pub struct Numbers {
    before: &'static [u8],
    rest: Vec<u8>,
}

impl Numbers {
    /// Looks for numbers behind these words.
    pub fn new(before: &'static str) -> Self {
        Self { before: before.as_bytes(), rest: Vec::new() }
    }

    /// The numbers in what has come, in order.
    pub fn read(&mut self, octets: &[u8], mut each: impl FnMut(usize)) {
        self.rest.extend_from_slice(octets);
        let mut done = 0;
        while let Some(at) = find(&self.rest[done..], self.before) {
            let begin = done + at + self.before.len();
            let Some(length) = self.rest[begin..].iter().position(|octet| !octet.is_ascii_digit()) else { break };
            let text = std::str::from_utf8(&self.rest[begin..begin + length]).unwrap_or_default();
            if let Ok(number) = text.parse() {
                each(number);
            }
            done = begin + length;
        }
        // Words that were cut in two are found with the next piece.
        let kept = find(&self.rest[done..], self.before)
            .map_or_else(|| self.rest.len().saturating_sub(self.before.len()).max(done), |at| done + at);
        self.rest.drain(..kept);
    }
}

fn find(octets: &[u8], words: &[u8]) -> Option<usize> {
    octets.windows(words.len()).position(|window| window == words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_however_the_octets_are_cut() {
        let text = b"<message id='n7'/><x id='other'/><message id='n12'/> id='n345'";
        for size in 1..text.len() {
            let (mut numbers, mut found) = (Numbers::new("id='n"), Vec::new());
            for piece in text.chunks(size) {
                numbers.read(piece, |number| found.push(number));
            }
            assert_eq!(found, [7, 12, 345], "pieces of {size}");
        }
    }

    #[test]
    fn a_component_is_taken_and_heard() {
        let (sender, heard) = std::sync::mpsc::channel();
        let host = Host::start(move || {
            let sender = sender.clone();
            Box::new(move |octets: &[u8]| sender.send(octets.to_vec()).unwrap())
        })
        .unwrap();
        let mut stream = TcpStream::connect(host.address).unwrap();
        stream.write_all(b"<stream:stream xmlns='jabber:component:accept' to=\"b.test\">").unwrap();
        stream.write_all(b"<handshake>x</handshake>").unwrap();
        let mut server = host.component("b.test", Duration::from_secs(5)).unwrap();
        stream.write_all(b"<message/>").unwrap();
        assert_eq!(heard.recv().unwrap(), b"<message/>");
        server.write_all(b"<iq/>").unwrap();
        let mut text = String::new();
        while !text.ends_with("<handshake/><iq/>") {
            let mut octets = [0; 256];
            let count = stream.read(&mut octets).unwrap();
            text.push_str(std::str::from_utf8(&octets[..count]).unwrap());
        }
    }
}
