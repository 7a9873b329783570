//! A fading week: four sites, mail and chat, hours of outages, every message and octet accounted for.
//!
//! Traffic and weather come from a seed. The world's checkers look on after every step: nothing accepted may be lost,
//! nothing delivered twice, no limit exceeded.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::{Random as _, Seeded};
use skywave_protocols::time::Duration;
use skywave_transports::modem::loss::{Burst, Loss};
use skywave_transports::modem::weather::{OutagePeriod, Weather};

use super::super::table::{Cell, Table};
use super::Found;
use super::ledger::Ledger;
use super::project::{Ground, Sites};
use super::radio::Radio;

const SEED: u64 = 7;
const DAY: u64 = 86_400;
const DAYS: u64 = 7;
/// After the week everything must come to its end.
const AFTERWARDS: Duration = Duration::from_secs(2 * DAY);
/// Mean seconds between two chat lines, two mails, two Flashes, of all sites together.
const EVERY: [(Traffic, u64); 3] = [(Traffic::Line, 240), (Traffic::Mail, 1_800), (Traffic::Flash, 20_000)];
const MAIL_OCTETS: (u64, u64) = (300, 6_000);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Traffic {
    Line,
    Mail,
    Flash,
}

/// Bursts all week, a night without propagation each day, fades in which only 300 bit/s get through, and hours in which
/// one station is cut off.
fn weather(random: &mut Seeded, days: u64) -> Option<Weather> {
    let mut weather = Radio::MODERN.weather(1200)?;
    weather.seed = SEED;
    weather.loss = Loss { single_per_million: 5_000, burst: Some(Burst { loss_per_million: 50_000, mean_blocks: 4 }) };
    let period = |station: Option<&str>, from: u64, length: u64, times: u32, bits_per_second_max: u32| OutagePeriod {
        station: station.map(str::to_owned),
        from: Duration::from_secs(from),
        until: Duration::from_secs(from + length),
        every: Duration::from_secs(DAY),
        times,
        bits_per_second_max,
    };
    weather.outages.push(period(None, 3 * 3600, 4 * 3600, days as u32, 0));
    for _ in 0..20 {
        let station = ["hq.test", "field.test", "north.test", "south.test"][random.below(4) as usize];
        let (from, length) = (random.below(days * DAY), 300 + random.below(3 * 3600));
        weather.outages.push(period(Some(station), from, length, 1, 0));
    }
    for _ in 0..30 {
        weather.fades.push(period(None, random.below(days * DAY), 60 + random.below(1800), 1, 300));
    }
    Some(weather)
}

/// Rates that stations may change to by what gets through.
const RATES: [u32; 5] = [75, 300, 600, 1200, 2400];

/// The table: at one rate, and with rates that follow the fades.
pub fn run() -> Found {
    let (fixed, adapting) = (week(DAYS, &[]), week(DAYS, &RATES));
    let rows = fixed.into_iter().flatten().zip(adapting.into_iter().flatten());
    let rows = rows.map(|((what, fixed), (_, adapting))| vec![Cell::text(what), fixed, adapting]).collect();
    let table = Table {
        name: "week",
        title: "A fading week: four sites; bursts (5 % of the blocks), every night four hours without propagation, \
                twenty cut-offs of single stations up to three hours, thirty fades that let 300 bit/s through; then two \
                calm days. At 1200 bit/s, and with stations that may change between 75, 300, 600, 1200 and 2400. Every \
                octet on the air stands in one line."
            .to_owned(),
        columns: vec![("what", "what"), ("fixed", "1200 bit/s"), ("adapting", "75 to 2400 bit/s")],
        rows,
    };
    Found { tables: vec![table], plots: Vec::new() }
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    lines: u64,
    mails: u64,
}

fn week(days: u64, rates: &[u32]) -> Option<Vec<(&'static str, Cell)>> {
    let mut random = Seeded::new(SEED);
    let weather = Weather { rates: rates.to_vec(), ..weather(&mut random, days)? };
    let mut sites = Sites::on(&Ground { weather, ..Ground::new(Radio::MODERN, 1200, 4)? });
    let began = sites.at();
    let asked = live(&mut sites, &mut random, days);
    let settled = sites.settle(AFTERWARDS);
    let seconds = sites.at().since(began).as_secs_f64();
    Some(rows(&sites, asked, settled, seconds))
}

/// Drives the sites through the days.
fn live(sites: &mut Sites, random: &mut Seeded, days: u64) -> Asked {
    let mut due: Vec<(u64, Traffic)> = Vec::new();
    for (traffic, every) in EVERY {
        due.extend((0..days * DAY / every).map(|_| (random.below(days * DAY), traffic)));
    }
    due.sort_unstable();
    let (began, mut asked) = (sites.at(), Asked::default());
    for (second, traffic) in due {
        let at = began + Duration::from_secs(second);
        sites.run_for(at.since(sites.at()));
        let from = random.below(4) as usize;
        let to = (from + 1 + random.below(3) as usize) % 4;
        let (least, most) = MAIL_OCTETS;
        match traffic {
            Traffic::Line => {
                asked.lines += 1;
                sites.line(from, to, 20 + random.below(100) as usize);
            }
            Traffic::Mail => {
                asked.mails += 1;
                sites.mail(from, to, (least + random.below(most - least)) as usize, Precedence::Routine);
            }
            Traffic::Flash => {
                asked.mails += 1;
                sites.mail(from, to, 300, Precedence::Flash);
            }
        }
    }
    asked
}

fn rows(sites: &Sites, asked: Asked, settled: bool, seconds: f64) -> Vec<(&'static str, Cell)> {
    let account = sites.account();
    let all = |is: u64, of: u64| Cell::Bar(format!("{is} of {of}"), is == of);
    let (air, octets) = (sites.octets_on_air(), Ledger::of(sites.on_air()));
    vec![
        ("days until all was settled", Cell::Real(seconds / DAY as f64, 2)),
        ("mails delivered or reported", all(account.mails_ended, asked.mails)),
        ("mails delivered", Cell::Whole(account.mails_delivered)),
        ("chat lines that reached their user or came back as an error", all(account.lines_ended, asked.lines)),
        ("chat lines that reached their user", Cell::Whole(account.lines_delivered)),
        ("octets on air", Cell::Whole(air)),
        ("– segments of data", Cell::Whole(octets.data)),
        ("– headers and checksums of their D_PDUs", Cell::Whole(octets.headers)),
        ("– D_PDUs with segments sent again", Cell::Whole(octets.repeats)),
        ("– acknowledgements", Cell::Whole(octets.acknowledgements)),
        ("– links and resets", Cell::Whole(octets.links)),
        ("– warnings and management", Cell::Whole(octets.other)),
        ("octets accounted for", all(octets.sum(), air)),
        ("hours on air, all stations", Cell::Real(sites.seconds_on_air() / 3600.0, 1)),
        ("violations of the invariants", Cell::Bar(account.violations.to_string(), account.violations == 0)),
        ("settled", Cell::Bar("nothing owed".to_owned(), settled)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets sent again at most, of a hundred.
    const AGAIN_PERCENT: u64 = 58;

    /// A day of it, in which everything of the table can go wrong, with all cut-offs and fades of the week: much less of
    /// the day than of the week is calm. Seen: 43 and 54 % sent again, 1.7 and 6.1 hours on air.
    #[test]
    fn of_a_fading_day_everything_is_accounted_for() {
        let days = [&[][..], &RATES].map(|rates| {
            let rows = week(1, rates).unwrap();
            let missed: Vec<_> = rows.iter().filter(|(_, cell)| matches!(cell, Cell::Bar(_, false))).collect();
            assert!(missed.is_empty(), "{missed:?}");
            let cell = |what: &str| rows.iter().find(|row| row.0.contains(what)).map(|row| &row.1);
            match (cell("sent again"), cell("octets on air"), cell("hours on air")) {
                (Some(Cell::Whole(again)), Some(Cell::Whole(all)), Some(Cell::Real(hours, _))) => {
                    (*again, *all, *hours)
                }
                other => panic!("{other:?}"),
            }
        });
        let few = |&(again, all, _): &(u64, u64, f64)| again > 0 && again * 100 < all * AGAIN_PERCENT;
        assert!(days.iter().all(few) && days[1].2 < days[0].2 * 4.0, "{days:?}");
    }
}
