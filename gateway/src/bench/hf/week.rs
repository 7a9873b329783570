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
use super::project::Sites;
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
fn weather(random: &mut Seeded) -> Option<Weather> {
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
    weather.outages.push(period(None, 3 * 3600, 4 * 3600, DAYS as u32, 0));
    for _ in 0..20 {
        let station = ["hq.test", "field.test", "north.test", "south.test"][random.below(4) as usize];
        let (from, length) = (random.below(DAYS * DAY), 300 + random.below(3 * 3600));
        weather.outages.push(period(Some(station), from, length, 1, 0));
    }
    for _ in 0..30 {
        weather.fades.push(period(None, random.below(DAYS * DAY), 60 + random.below(1800), 1, 300));
    }
    Some(weather)
}

/// The table.
pub fn run() -> Found {
    let mut random = Seeded::new(SEED);
    let rows = weather(&mut random).and_then(|weather| week(&weather, &mut random)).unwrap_or_default();
    let table = Table {
        name: "week",
        title: "A fading week at 1200 bit/s: four sites; bursts (5 % of the blocks), every night four hours without \
                propagation, twenty cut-offs of single stations up to three hours, thirty fades; then two calm days."
            .to_owned(),
        columns: vec![("what", "what"), ("count", "count")],
        rows,
    };
    Found { tables: vec![table], plots: Vec::new() }
}

fn week(weather: &Weather, random: &mut Seeded) -> Option<Vec<Vec<Cell>>> {
    let mut sites = Sites::under(weather, 1200, Radio::MODERN.turn, 4);
    let mut due: Vec<(u64, Traffic)> = Vec::new();
    for (traffic, every) in EVERY {
        let count = DAYS * DAY / every;
        due.extend((0..count).map(|_| (random.below(DAYS * DAY), traffic)));
    }
    due.sort_unstable();
    let began = sites.at();
    let (mut lines, mut mails) = (0_u64, 0_u64);
    for (second, traffic) in due {
        let at = began + Duration::from_secs(second);
        sites.run_for(at.since(sites.at()));
        let from = random.below(4) as usize;
        let to = (from + 1 + random.below(3) as usize) % 4;
        let (least, most) = MAIL_OCTETS;
        match traffic {
            Traffic::Line => {
                lines += 1;
                sites.line(from, to, 20 + random.below(100) as usize);
            }
            Traffic::Mail => {
                mails += 1;
                sites.mail(from, to, (least + random.below(most - least)) as usize, Precedence::Routine);
            }
            Traffic::Flash => {
                mails += 1;
                sites.mail(from, to, 300, Precedence::Flash);
            }
        }
    }
    let settled = sites.settle(AFTERWARDS);
    let seconds = sites.at().since(began).as_secs_f64();
    let account = sites.account();
    let row = |what: &str, cell: Cell| vec![Cell::text(what), cell];
    let all = |what: &str, is: u64, of: u64| row(what, Cell::Bar(format!("{is} of {of}"), is == of));
    Some(vec![
        row("days until all was settled", Cell::Real(seconds / DAY as f64, 2)),
        all("mails delivered or reported", account.mails_ended, mails),
        row("mails delivered", Cell::Whole(account.mails_delivered)),
        all("chat lines that reached their user or came back as an error", account.lines_ended, lines),
        row("chat lines that reached their user", Cell::Whole(account.lines_delivered)),
        row("octets on air", Cell::Whole(sites.octets_on_air())),
        row("hours on air, all stations", Cell::Real(sites.seconds_on_air() / 3600.0, 1)),
        row("violations of the invariants", Cell::Bar(account.violations.to_string(), account.violations == 0)),
        row("settled", Cell::Bar("nothing owed".to_owned(), settled)),
    ])
}
