//! Waiting for processes and ports: the one place with a clock.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Time now, for deadlines.
#[expect(clippy::disallowed_methods, reason = "real servers live in real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Asks every 50 ms until `done` yields something; panics with `what` after `seconds`.
#[expect(clippy::disallowed_methods, reason = "real servers live in real time")]
pub fn until<T>(what: &str, seconds: u64, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(now() < deadline, "{what}: not within {seconds} s");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until somebody listens at `address`.
pub fn listening(address: SocketAddr, seconds: u64) {
    until(&format!("a listener at {address}"), seconds, || TcpStream::connect(address).ok());
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> u16 {
    free_port_of(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// A port of this address that nobody listens at, and that was given to no other test.
pub fn free_port_of(address: IpAddr) -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
        if GIVEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}

/// As [`until`], without a panic.
#[expect(clippy::disallowed_methods, reason = "real servers live in real time")]
pub fn within<T>(seconds: u64, mut done: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = now() + Duration::from_secs(seconds);
    while now() < deadline {
        if let Some(found) = done() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Lets time pass.
#[expect(clippy::disallowed_methods, reason = "real servers live in real time")]
pub fn pass(span: Duration) {
    std::thread::sleep(span);
}
