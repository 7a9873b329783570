//! Mail on the radio: bulk to one site, and a FLASH behind it.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::Duration;
use skywave_transports::modem::channel::{OnAir, StationId};

use super::super::table::{Cell, Table};
use super::ledger::Ledger;
use super::project::Sites;
use super::radio::Radio;
use super::svg::{Axis, Plot, Series};
use super::{Found, paper};

/// Rate, octets of the mail, the bar.
const BULK: [(u32, usize, f64); 3] = [(75, 40_000, 0.80), (1200, 300_000, 0.88), (9600, 2_000_000, 0.88)];
const MEGABYTE: usize = 1_000_000;
/// Octets of the FLASH's text: with headers and PDUs 500 on air (issue: "of 500 octets on air"), as the table shows.
const FLASH_OCTETS: usize = 150;
/// A FLASH waits for the D_PDU in the air, the modem's block and its side's next transmission at most.
const EXTRA_MAX: f64 = 0.02;

/// Bulk mail to one site.
pub fn bulk() -> Found {
    let mut rows = Vec::new();
    for radio in [Radio::PAPER, Radio::MODERN] {
        for (rate, octets, bar) in BULK {
            let found = one_mail(radio, rate, octets);
            let share = found.map(|(seconds, octets)| octets as f64 * 8.0 / f64::from(rate) / seconds);
            rows.push(vec![
                Cell::text(radio.name),
                Cell::Whole(rate.into()),
                found.map_or(Cell::text("none"), |(_, octets)| Cell::Whole(octets)),
                found.map_or(Cell::text("none"), |(seconds, _)| Cell::Real(seconds, 0)),
                share.map_or(Cell::text("none"), |share| Cell::Real(share * 100.0, 1)),
                Cell::Bar(format!("{:.0} %", bar * 100.0), share.is_some_and(|share| share >= bar)),
            ]);
        }
    }
    let table = Table {
        name: "bulk",
        title: "One mail to one site: octets to transport × 8 / rate / time from the door to the other site's MTA."
            .to_owned(),
        columns: vec![
            ("radio", "radio"),
            ("bits_per_second", "bit/s"),
            ("octets", "octets to transport"),
            ("seconds", "s"),
            ("percent", "% of the rate"),
            ("bar", "bar"),
        ],
        rows,
    };
    Found { tables: vec![table], plots: Vec::new() }
}

fn one_mail(radio: Radio, rate: u32, octets: usize) -> Option<(f64, u64)> {
    let mut sites = Sites::new(radio, rate, 2)?;
    let began = sites.at();
    let subject = sites.mail(0, 1, octets, Precedence::Routine);
    let seconds = sites.delivered(1, &subject)?.since(began).as_secs_f64();
    Some((seconds, sites.mail_octets()))
}

/// A FLASH behind a routine mail of 1 MB that has begun.
pub fn flash() -> Found {
    let mut rows = Vec::new();
    let mut points: [Vec<(f64, f64)>; 4] = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for radio in [Radio::PAPER, Radio::MODERN] {
        for (rate, fifo, floor) in paper::FLASH {
            let (alone, flash) = (behind(radio, rate, MEGABYTE, None), flash_alone(radio, rate));
            if radio.is_paper() {
                points[0].push((rate.into(), fifo));
                points[3].push((rate.into(), floor));
            }
            for (direction, from) in [("same", 0), ("opposite", 1)] {
                let found = behind(radio, rate, MEGABYTE, Some(from));
                if radio.is_paper() {
                    points[2 - from].extend(found.map(|(seconds, _)| (f64::from(rate), seconds)));
                }
                let extra = found.zip(alone).map(|(with, without)| with.1 as f64 / without.1 as f64 - 1.0);
                rows.push(vec![
                    Cell::text(radio.name),
                    Cell::Whole(rate.into()),
                    Cell::text(direction),
                    Cell::Real(fifo, 0),
                    Cell::Real(floor, 1),
                    flash.map_or(Cell::text("none"), Cell::Whole),
                    found.map_or(Cell::text("none"), |(seconds, _)| Cell::Real(seconds, 1)),
                    extra.map_or(Cell::text("none"), |extra| Cell::Real(extra * 100.0, 2)),
                    Cell::Bar("2 %".to_owned(), extra.is_some_and(|extra| extra <= EXTRA_MAX)),
                ]);
            }
        }
    }
    let table = Table {
        name: "flash",
        title:
            "A FLASH behind a routine mail of 1 MB that is being sent: seconds from the door to the other site's MTA, \
                and the octets on air that the routine mail and the FLASH took more than the routine mail alone. Octets of \
                the FLASH: its D_PDUs on air when it goes alone."
                .to_owned(),
        columns: vec![
            ("radio", "radio"),
            ("bits_per_second", "bit/s"),
            ("direction", "direction"),
            ("fifo_seconds", "whole-message FIFO, s"),
            ("floor_seconds", "floor, s"),
            ("flash_octets", "octets of the FLASH"),
            ("seconds", "ours, s"),
            ("extra_percent", "extra octets, %"),
            ("bar", "bar"),
        ],
        rows,
    };
    Found { tables: vec![table], plots: vec![flash_plot(points)] }
}

fn flash_plot(points: [Vec<(f64, f64)>; 4]) -> Plot {
    let names = ["whole-message FIFO", "ours, opposite direction", "ours, same direction", "floor"];
    let series = names.into_iter().zip(points);
    Plot {
        name: "flash",
        title: "A FLASH of 500 octets behind 1 MB of routine, calibrated radio".to_owned(),
        x: Axis { label: "bit/s", range: (75.0, 9_600.0), log: true, ticks: vec![75.0, 300.0, 1_200.0, 9_600.0] },
        y: Axis {
            label: "seconds until it is there",
            range: (0.1, 1_000_000.0),
            log: true,
            ticks: vec![0.1, 1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0],
        },
        series: series.map(|(name, points)| Series { name: name.to_owned(), points, line: true }).collect(),
    }
}

/// Octets on air of a FLASH in an idle network: what its sender sent but for links and acknowledgements.
fn flash_alone(radio: Radio, rate: u32) -> Option<u64> {
    let mut sites = Sites::new(radio, rate, 2)?;
    let flash = sites.mail(0, 1, FLASH_OCTETS, Precedence::Flash);
    let there = sites.delivered(1, &flash)?;
    // What is on the air is told when its transmission ends.
    sites.run_for(Duration::from_secs(120));
    let before: Vec<OnAir> = sites.on_air().iter().filter(|frame| frame.at < there).cloned().collect();
    Some(Ledger::data_of(&before, StationId(0)))
}

/// Seconds of the FLASH (0 without one), and octets on air until both are there.
fn behind(radio: Radio, rate: u32, routine: usize, from: Option<usize>) -> Option<(f64, u64)> {
    let mut sites = Sites::new(radio, rate, 2)?;
    let routine = sites.mail(0, 1, routine, Precedence::Routine);
    // Well into the mail, in the middle of a transmission.
    sites.run_for(Duration::from_secs(100));
    let mut seconds = 0.0;
    if let Some(from) = from {
        let began = sites.at();
        let flash = sites.mail(from, 1 - from, FLASH_OCTETS, Precedence::Flash);
        seconds = sites.delivered(1 - from, &flash)?.since(began).as_secs_f64();
    }
    sites.delivered(1, &routine)?;
    Some((seconds, sites.octets_on_air()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cheap cells of the tables; the others take longer without optimisation.
    #[test]
    fn bulk_fills_the_line() {
        for (radio, (rate, octets, bar)) in [(Radio::PAPER, BULK[0]), (Radio::MODERN, BULK[0]), (Radio::PAPER, BULK[1])]
        {
            let (seconds, octets) = one_mail(radio, rate, octets).unwrap();
            let share = octets as f64 * 8.0 / f64::from(rate) / seconds;
            assert!(share >= bar, "{} {rate}: {share}", radio.name);
        }
    }

    /// Still being sent when the FLASH comes, and sooner at its end than a megabyte.
    const ROUTINE: usize = 300_000;

    /// As docs/performance.md has it, with some room: a FLASH waits for blocks and turns.
    #[test]
    fn a_flash_goes_before_a_megabyte_and_costs_it_little() {
        let (rate, _, floor) = paper::FLASH[2];
        let octets = flash_alone(Radio::PAPER, rate).unwrap();
        assert!((490..=540).contains(&octets), "{octets} octets on air");
        let (_, alone) = behind(Radio::PAPER, rate, ROUTINE, None).unwrap();
        for (from, most) in [(0, floor + 5.0), (1, floor + 130.0)] {
            let (seconds, octets) = behind(Radio::PAPER, rate, ROUTINE, Some(from)).unwrap();
            assert!(seconds <= most, "from {from}: {seconds} s");
            assert!(octets as f64 / alone as f64 <= 1.0 + EXTRA_MAX, "from {from}: {octets}, alone {alone}");
        }
    }
}
