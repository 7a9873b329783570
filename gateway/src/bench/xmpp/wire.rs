//! A slow wire: takes connections, passes octets on after a delay, counts them, and can be cut.
//!
//! What waits for its time is not bounded: a bench sends kilobytes. A connection costs the delay of the handshake that a
//! real wire would have had: its first octets come one round trip later.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use super::super::BenchFault;
use crate::shell::clock::Clock;

/// What all connections of a wire share.
#[derive(Debug)]
struct Shared {
    clock: Clock,
    delay_micros: u64,
    target: SocketAddr,
    /// Towards the target, and back.
    octets: [AtomicU64; 2],
    connections: AtomicU64,
    /// Of each connection: who spoke (0 towards the target) and how many octets, until the other did.
    flights: Mutex<Vec<Vec<(usize, u64)>>>,
    cut: AtomicBool,
    over: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// See the module. Ends with its last handle.
#[derive(Debug)]
pub struct Wire {
    /// Where its near end takes connections.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Wire {
    /// A wire from a port of `near` to `target`; octets take `delay` each way.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(near: IpAddr, target: SocketAddr, delay: Duration) -> Result<Self, BenchFault> {
        let listener = TcpListener::bind((near, 0)).map_err(|error| BenchFault::local("a wire", error))?;
        let address = listener.local_addr().map_err(|error| BenchFault::local("a wire", error))?;
        let shared = Arc::new(Shared {
            clock: Clock::start(),
            delay_micros: u64::try_from(delay.as_micros()).unwrap_or(u64::MAX),
            target,
            octets: [AtomicU64::new(0), AtomicU64::new(0)],
            connections: AtomicU64::new(0),
            flights: Mutex::new(Vec::new()),
            cut: AtomicBool::new(false),
            over: AtomicBool::new(false),
            open: Mutex::new(Vec::new()),
        });
        let sharing = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if sharing.over.load(Ordering::Relaxed) {
                    return;
                }
                if !sharing.cut.load(Ordering::Relaxed) {
                    // A target that does not take the connection is seen by its peer as one that was closed.
                    let _ = connect(&sharing, stream);
                }
            }
        });
        Ok(Self { address, shared })
    }

    /// Octets that went to the target and back.
    pub fn octets(&self) -> (u64, u64) {
        let [there, back] = &self.shared.octets;
        (there.load(Ordering::Relaxed), back.load(Ordering::Relaxed))
    }

    /// Connections taken so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// The flights of each connection so far: octets of the one that opened it and of the other in turn; none of the
    /// first where the other spoke first.
    pub fn flights(&self) -> Vec<Vec<u64>> {
        let flights = self.shared.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = |connection: &Vec<(usize, u64)>| {
            let silent = connection.first().is_some_and(|(direction, _)| *direction == 1).then_some(0);
            silent.into_iter().chain(connection.iter().map(|(_, octets)| *octets)).collect()
        };
        flights.iter().map(turns).collect()
    }

    /// Breaks every connection and takes no new one.
    pub fn cut(&self) {
        self.shared.cut.store(true, Ordering::Relaxed);
        self.break_all();
    }

    /// Takes connections again.
    pub fn mend(&self) {
        self.shared.cut.store(false, Ordering::Relaxed);
    }

    fn break_all(&self) {
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        self.break_all();
        // Wakes the thread that accepts, so that it sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn connect(shared: &Arc<Shared>, near: TcpStream) -> std::io::Result<()> {
    shared.connections.fetch_add(1, Ordering::Relaxed);
    let far = TcpStream::connect(shared.target)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ready = shared.now().saturating_add(2 * shared.delay_micros);
    let number = shared.begin();
    shared.open.lock().unwrap_or_else(PoisonError::into_inner).extend([near.try_clone()?, far.try_clone()?]);
    for (direction, from, to) in [(0, near.try_clone()?, far.try_clone()?), (1, far, near)] {
        let (sender, receiver) = mpsc::channel();
        let (reading, writing) = (Arc::clone(shared), Arc::clone(shared));
        thread::spawn(move || read(&reading, (number, direction), ready, from, &sender));
        thread::spawn(move || write(&writing, to, &receiver));
    }
    Ok(())
}

/// What goes over a wire: octets and when they arrive; none when the sender closed.
type Parcel = (u64, Vec<u8>);

fn read(
    shared: &Shared,
    (connection, direction): (usize, usize),
    ready: u64,
    mut from: TcpStream,
    parcels: &mpsc::Sender<Parcel>,
) {
    let mut octets = [0; 16 << 10];
    loop {
        let count = from.read(&mut octets).unwrap_or(0);
        shared.octets[direction].fetch_add(count as u64, Ordering::Relaxed);
        shared.speak(connection, direction, count as u64);
        let due = shared.now().max(ready).saturating_add(shared.delay_micros);
        if parcels.send((due, octets[..count].to_vec())).is_err() || count == 0 {
            return;
        }
    }
}

fn write(shared: &Shared, mut to: TcpStream, parcels: &mpsc::Receiver<Parcel>) {
    for (due, octets) in parcels {
        while let Some(wait) = due.checked_sub(shared.now()).filter(|&wait| wait > 0) {
            thread::park_timeout(Duration::from_micros(wait));
        }
        if octets.is_empty() || to.write_all(&octets).is_err() {
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
    }
}

impl Shared {
    /// A connection begins; its number.
    fn begin(&self) -> usize {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.push(Vec::new());
        flights.len() - 1
    }

    fn speak(&self, connection: usize, direction: usize, octets: u64) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(flights) = flights.get_mut(connection).filter(|_| octets > 0) else { return };
        match flights.last_mut() {
            Some((last, sum)) if *last == direction => *sum += octets,
            _other => flights.push((direction, octets)),
        }
    }

    fn now(&self) -> u64 {
        self.clock.now().mono.as_micros()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends everything back.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut octets = [0; 64];
                    while let Ok(count @ 1..) = stream.read(&mut octets) {
                        stream.write_all(&octets[..count]).unwrap();
                    }
                });
            }
        });
        address
    }

    #[test]
    fn octets_pass_late_and_are_counted_until_the_wire_is_cut() {
        let wire = Wire::start(IpAddr::from([127, 0, 0, 1]), echo(), Duration::from_millis(10)).unwrap();
        let clock = Clock::start();
        let mut stream = TcpStream::connect(wire.address).unwrap();
        stream.write_all(b"hello").unwrap();
        let mut back = [0; 5];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"hello");
        assert!(clock.now().mono.as_micros() >= 40_000, "the handshake, there and back");
        assert_eq!((wire.octets(), wire.connections()), ((5, 5), 1));
        assert_eq!(wire.flights(), [[5, 5]]);
        wire.cut();
        assert_eq!(stream.read(&mut back).unwrap_or(0), 0);
        let mut refused = TcpStream::connect(wire.address).unwrap();
        assert_eq!(refused.read(&mut back).unwrap_or(0), 0);
        wire.mend();
        let mut again = TcpStream::connect(wire.address).unwrap();
        again.write_all(b"again").unwrap();
        again.read_exact(&mut back).unwrap();
        assert_eq!(wire.connections(), 2);
    }
}
