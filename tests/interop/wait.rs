//! Waiting for processes and ports: the one place with a clock.

use std::net::{SocketAddr, TcpListener, TcpStream};
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
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
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
