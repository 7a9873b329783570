//! Single values that many sections hold: numbers, names, addresses.

use std::net::{IpAddr, SocketAddr};

use skywave_protocols::message::address::Mailbox;
use skywave_protocols::message::domain::covers;
use skywave_protocols::s5066::address::NodeAddress;

use super::mistake::{Found, Key};

/// The name of the system's roots where an authority is named.
pub(super) const SYSTEM_AUTHORITY: &str = "system";

pub(super) fn positive(key: &Key, value: u64, found: &mut Found<'_>) {
    if value == 0 {
        found.wrong(key, "cannot be 0");
    }
}

pub(super) fn domain_name(key: &Key, text: &str, found: &mut Found<'_>) {
    // A domain is what can stand behind the @ of an address.
    if Mailbox::parse(&format!("x@{text}")).is_err() || text.contains('@') {
        found.wrong(key, format!("{text:?} is no domain name"));
    }
}

pub(super) fn host_and_port(key: &Key, text: &str, found: &mut Found<'_>) {
    let split = text.rsplit_once(':');
    let fits = split.is_some_and(|(host, port)| {
        let literal = host.starts_with('[') && host.ends_with(']');
        !host.is_empty() && (literal || !host.contains(':')) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if !fits {
        found.wrong(key, format!("{text:?} is no host with port, as 127.0.0.1:25"));
    }
}

pub(super) fn listen(key: &Key, texts: &[String], found: &mut Found<'_>) -> Vec<SocketAddr> {
    let mut all: Vec<SocketAddr> = Vec::new();
    for text in texts {
        match text.parse::<SocketAddr>() {
            Ok(address) if all.contains(&address) && address.port() != 0 => {
                found.wrong(key, format!("{address} is named twice"));
            }
            Ok(address) => all.push(address),
            Err(_) => found.wrong(key, format!("{text:?} is no address with port, as 127.0.0.1:2525 or [::1]:2525")),
        }
    }
    all
}

pub(super) fn networks(key: &Key, texts: &[String], found: &mut Found<'_>) -> Vec<(IpAddr, u8)> {
    let mut all = Vec::new();
    for text in texts {
        match network(text) {
            Some(network) => all.push(network),
            None => found.wrong(key, format!("{text:?} is no network, as 10.0.0.0/8")),
        }
    }
    all
}

/// An address and the length of its prefix, the whole of it where none is written.
pub(super) fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let address = address.parse::<IpAddr>().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(longest), |length| length.parse().ok())?;
    (length <= longest).then_some((address, length))
}

pub(super) fn overlap(a: &str, b: &str) -> bool {
    // `.x.test` does not take `x.test`, but all that `.y.x.test` takes.
    let within = |outer: &str, inner: &str| covers(outer, inner) || covers(outer, &format!("x{inner}"));
    a == b || within(a, b) || within(b, a)
}

pub(super) fn node_address(key: &Key, text: &str, group: bool, found: &mut Found<'_>) {
    match text.parse::<NodeAddress>() {
        Ok(address) if address.is_group() == group => {}
        Ok(_) if group => found.wrong(key, format!("{text:?} is no group: its first number is below 16")),
        Ok(_) => found.wrong(key, format!("{text:?} is a group: its first number is above 15")),
        Err(error) => found.wrong(key, error.to_string()),
    }
}
