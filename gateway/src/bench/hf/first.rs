//! The first round trip by how the link is made, and what it may take.
//!
//! Where the handshake is skipped or data rides with the request, the first round trip may take 1.3 times the later ones.
//! By the standard's handshake it may take a later one, one handshake and the airtime of the octets that only the first
//! messages have: both are taken from what was seen, the handshake from the first octet of the request to the first of
//! the data behind it.

use skywave_protocols::s5066::node::cas::LinkSetup;
use skywave_protocols::time::Duration;

use super::super::table::{Cell, Table};
use super::chat::real;
use super::ledger::Ledger;
use super::paper;
use super::project::{Ground, Sites};
use super::radio::Radio;
use super::vendor::RoundTrips;

/// Round trips after the first.
const LATER: u32 = 10;
/// What the first may take where nothing is asked before data goes.
pub const WITHOUT_HANDSHAKE: f64 = 1.3;

/// A conversation whose link was made in a way.
struct Begun {
    trips: RoundTrips,
    /// From the request to the data behind it.
    handshake: f64,
    /// Octets to transport that the first messages, to and fro, had more than later ones.
    start_octets: f64,
}

impl Begun {
    fn new(radio: Radio, rate: u32, setup: LinkSetup) -> Option<Self> {
        let mut sites = Sites::on(&Ground { setup: Some(setup), ..Ground::new(radio, rate, 2)? });
        let before = sites.octets_to_transport();
        let first = sites.round_trip(0, Duration::ZERO)?;
        let with_first = sites.octets_to_transport() - before;
        let later: Option<Vec<f64>> = (0..LATER).map(|_| sites.round_trip(0, Duration::ZERO)).collect();
        let all = sites.octets_to_transport() - before;
        let each = (all - with_first) as f64 / f64::from(LATER);
        Some(Self {
            trips: RoundTrips { first, average: later?.iter().sum::<f64>() / f64::from(LATER) },
            handshake: Ledger::until_data(sites.on_air())?.as_secs_f64(),
            start_octets: with_first as f64 - each,
        })
    }

    /// What the first may take, in words and seconds.
    fn bar(&self, rate: u32, setup: LinkSetup) -> (&'static str, f64) {
        match setup {
            LinkSetup::Ride | LinkSetup::Skip => ("1.3 × average", WITHOUT_HANDSHAKE * self.trips.average),
            LinkSetup::Handshake | LinkSetup::Reset => {
                let start = self.start_octets.max(0.0) * 8.0 / f64::from(rate);
                ("average + handshake + start-up octets", self.trips.average + self.handshake + start)
            }
        }
    }
}

const SETUPS: [(LinkSetup, &str); 3] =
    [(LinkSetup::Ride, "data rides"), (LinkSetup::Handshake, "handshake"), (LinkSetup::Skip, "none")];

/// The table.
pub fn by_setup() -> Table {
    let mut rows = Vec::new();
    for radio in [Radio::PAPER, Radio::MODERN] {
        for (rate, ..) in paper::BY_RATE {
            for (setup, name) in SETUPS {
                let begun = Begun::new(radio, rate, setup);
                let (words, most) = begun.as_ref().map_or(("none", 0.0), |begun| begun.bar(rate, setup));
                let begun = begun.as_ref();
                rows.push(vec![
                    Cell::text(radio.name),
                    Cell::Whole(rate.into()),
                    Cell::text(name),
                    real(begun.map(|begun| begun.trips.average), 1),
                    real(begun.map(|begun| begun.handshake), 1),
                    real(begun.map(|begun| begun.start_octets), 0),
                    real(begun.map(|begun| begun.trips.first), 1),
                    real(begun.map(|_| most), 1),
                    Cell::Bar(words.to_owned(), begun.is_some_and(|begun| begun.trips.first <= most)),
                ]);
            }
        }
    }
    Table {
        name: "first_round_trip_by_setup",
        title:
            "The first round trip by how the link is made, messages without payload, seconds. Before data: from the \
                first octet of the request to the first of the data. Start-up octets: what the first messages had \
                more than later ones, to transport."
                .to_owned(),
        columns: vec![
            ("radio", "radio"),
            ("bits_per_second", "bit/s"),
            ("setup", "link set-up"),
            ("average", "average of later ones"),
            ("before_data", "before data"),
            ("start_octets", "start-up octets"),
            ("first", "first"),
            ("first_most", "may take"),
            ("bar", "bar"),
        ],
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cells that are reached, as docs/performance.md has them.
    #[test]
    fn the_first_round_trip_costs_no_more_than_its_link() {
        for (radio, rate, setup) in [
            (Radio::PAPER, 75, LinkSetup::Handshake),
            (Radio::PAPER, 1200, LinkSetup::Handshake),
            (Radio::PAPER, 9600, LinkSetup::Handshake),
            (Radio::MODERN, 75, LinkSetup::Handshake),
            (Radio::MODERN, 1200, LinkSetup::Handshake),
            (Radio::MODERN, 9600, LinkSetup::Handshake),
            (Radio::PAPER, 75, LinkSetup::Ride),
            (Radio::PAPER, 1200, LinkSetup::Ride),
            (Radio::PAPER, 9600, LinkSetup::Ride),
            (Radio::MODERN, 75, LinkSetup::Ride),
            (Radio::MODERN, 1200, LinkSetup::Ride),
            (Radio::MODERN, 9600, LinkSetup::Ride),
            (Radio::PAPER, 75, LinkSetup::Skip),
            (Radio::PAPER, 1200, LinkSetup::Skip),
            (Radio::PAPER, 9600, LinkSetup::Skip),
            (Radio::MODERN, 75, LinkSetup::Skip),
            (Radio::MODERN, 1200, LinkSetup::Skip),
            (Radio::MODERN, 9600, LinkSetup::Skip),
        ] {
            let begun = Begun::new(radio, rate, setup).unwrap();
            let (words, most) = begun.bar(rate, setup);
            let first = begun.trips.first;
            assert!(first <= most, "{} {rate} {setup:?}: {first} of {most}, {words}", radio.name);
        }
    }
}
