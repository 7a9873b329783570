//! `skywave bench exchange`: what two ordinary mail servers say to each other for one mail, recorded on a slow wire.
//!
//! One Postfix relays a mail to another, which relays it to a sink; between the two is a wire that delays each octet, so
//! that what belongs together travels together. `bench hf` replays such exchanges over its radios.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::thread::park_timeout;
use std::time::Duration;

use super::BenchFault;
use super::folder::Folder;
use super::postfix::{self, Postfix};
use super::table::{Cell, Report, Table};
use super::tools::{Load, Sink};
use super::xmpp::Wire;

/// What is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Octets of the mail's text.
    pub octets: u32,
    /// One-way delay of the wire in seconds.
    pub delay_seconds: u32,
    /// Below which folder the servers lie.
    pub place: PathBuf,
}

/// Sends the mail; the flights of its connection.
///
/// # Errors
/// When Postfix is missing or does not start; it needs root.
pub fn run(options: &Options) -> Result<Report, BenchFault> {
    postfix::present()?;
    let folder = Folder::new(&options.place)?;
    let delay = Duration::from_secs(options.delay_seconds.into());
    let sink = Sink::start()?;
    let far = Postfix::relaying(&folder.sub("far")?, sink.address)?;
    let wire = Wire::start(IpAddr::V4(Ipv4Addr::LOCALHOST), far.address, delay)?;
    let near = Postfix::relaying(&folder.sub("near")?, wire.address)?;
    let mail = Load { sessions: 1, mails: 1, octets: options.octets, keeps_connections: false };
    mail.send(near.address)?;
    sink.wait_for(1)?;
    // The last replies and the end of the connection are still on their way.
    park_timeout(delay * 4 + Duration::from_secs(1));
    let flights = wire.flights();
    let spoken = flights.iter().filter(|flights| !flights.is_empty());
    let rows = spoken.map(|flights| {
        let words = flights.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        vec![
            Cell::text(format!("Postfix {}", postfix::version())),
            Cell::text(words),
            Cell::Whole(flights.iter().sum()),
        ]
    });
    let table = Table {
        name: "exchanges",
        title: format!(
            "One mail with a text of {} octets between two Postfix over a wire of {} s each way: octets of TCP payload of \
             the one that opened the connection and of the other in turn.",
            options.octets, options.delay_seconds
        ),
        columns: vec![("servers", "servers"), ("flights", "octets in turn"), ("octets", "in all")],
        rows: rows.collect(),
    };
    Ok(Report { facts: vec![("octets of the text", options.octets.to_string())], tables: vec![table] })
}
