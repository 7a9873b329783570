//! The latency and throughput test of the paper "XMPP over HF" at two SIS servers that are there: for owners of radios.
//!
//! One console answers at the far server, another one asks at the near one; both run in this process, so that one clock
//! times everything. The messages of the paper were hex dumps of random data in XMPP, which DEFLATE made 51 % of, and
//! about 30 octets around them: so many octets are sent here, by RCOP with ARQ. A pause before each row lets the soft
//! link go, so that the first round trip of a row makes it. How long an answer is waited for, and how long U_PDUs live,
//! follows the rate. A row that cannot be measured has empty cells and a reason; the others are measured all the same.

use std::cell::RefCell;

use skywave_protocols::random::Random as _;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::console::answer::{Answer, AnswerConfig};
use skywave_protocols::s5066::console::ping::{Ping, PingConfig, PingReport};
use skywave_protocols::s5066::console::probe::{APPLICATION, octets_min};
use skywave_protocols::s5066::console::session::Way;
use skywave_protocols::s5066::console::traffic::{Traffic, TrafficConfig, TrafficReport};
use skywave_protocols::s5066::console::{Over, Tool};
use skywave_protocols::s5066::sis::event::SisConfig;
use skywave_protocols::s5066::sis::fields::{Confirmation, DeliveryMode, Order, SapId, TransmissionMode, Ttl};
use skywave_protocols::s5066::sis::limits::MTU_OCTETS;
use skywave_protocols::time::Duration;

use super::BenchFault;
use super::hf::paper;
use super::table::{Cell, Report, Table};
use crate::shell::clock::Clock;
use crate::shell::console;
use crate::shell::random::OsRandom;

/// U_PDUs of a throughput row.
const PDUS: std::ops::RangeInclusive<u32> = 4..=65_536;
/// U_PDUs under way at a time.
const WINDOW: u32 = 32;
/// So many times as long as the rate alone takes is waited for: turns, headers, other people's transmissions,
const TIMES_OF_AIRTIME: u64 = 4;
/// and so long more, in seconds: a transmission that has begun goes first.
const SECONDS_BESIDES: u64 = 120;

/// Options of `skywave bench live-hf`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The SIS server from which is asked
    #[arg(long, value_name = "HOST:PORT")]
    pub near: String,
    /// The SIS server at which is answered
    #[arg(long, value_name = "HOST:PORT")]
    pub far: String,
    /// The STANAG 5066 address of the far node
    #[arg(long, value_name = "W.X.Y.Z")]
    pub far_address: NodeAddress,
    /// The rate of the radios, for the share of it that is used
    #[arg(long, default_value_t = paper::RATE)]
    pub bits_per_second: u32,
    /// Bind both at this SAP; default that of RCOP
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(0..=15))]
    pub sap: u8,
    /// Round trips of a row
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,
    /// Payloads of round trips, in octets of hex
    #[arg(long, value_delimiter = ',', default_value = "0,10,50,100,200,512,1024,2048")]
    pub payloads: Vec<usize>,
    /// Typing delays in seconds, without payload
    #[arg(long, value_delimiter = ',', default_value = "0,1,2,3,5,10")]
    pub delays: Vec<u32>,
    /// Payloads of throughput, in octets of hex; none leaves it out
    #[arg(long, value_delimiter = ',', default_value = "10,100,1024,10240", num_args = 0..)]
    pub loads: Vec<usize>,
    /// Seconds of load at the rate, for each payload
    #[arg(long, default_value_t = 300)]
    pub load_seconds: u32,
    /// Rest before each row
    #[arg(long, default_value_t = 60)]
    pub rest_seconds: u32,
    /// How long an answer is waited for at least; longer where the rate needs it
    #[arg(long, default_value_t = 300)]
    pub timeout_seconds: u32,
    /// The servers' time runs so many times as fast (embedded nodes)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub speed: u32,
}

/// Measures, and prints a row to standard error when it is done.
///
/// # Errors
/// When nothing was measured: a server that is not there or refuses, a far end that answers nothing.
pub fn run(options: &Options) -> Result<Report, BenchFault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| BenchFault::local("runtime", error))?;
    runtime.block_on(async {
        let bench = Bench::new(options)?;
        let mut answer = bench.answer();
        // The far console never ends by itself: when it does, its server has gone.
        tokio::select! {
            over = console::run(bench.clock, &options.far, &mut answer, std::future::pending(), |_| {}) => {
                bench.not_measured("what was to follow", &failed(&options.far, over))?;
            }
            done = bench.measure() => done?,
        }
        bench.into_report()
    })
}

struct Bench<'a> {
    options: &'a Options,
    clock: Clock,
    sap: SapId,
    /// What was measured so far, whatever becomes of the rest.
    so_far: RefCell<SoFar>,
}

#[derive(Default)]
struct SoFar {
    tables: Vec<Table>,
    /// Rows with figures.
    measured: usize,
    /// Rows without, and why.
    missing: Vec<String>,
}

/// Octets of the U_PDUs of a message with so much payload.
fn octets(payload: usize) -> usize {
    paper::MESSAGE_OCTETS + (payload as f64 * paper::HEX_COMPRESSES_TO).round() as usize
}

/// U_PDUs of a message, and the octets of each: equal parts that fit.
fn parts(payload: usize) -> (u32, usize) {
    let (octets, most) = (octets(payload), usize::from(MTU_OCTETS));
    let parts = octets.div_ceil(most);
    (u32::try_from(parts).unwrap_or(u32::MAX), octets.div_ceil(parts).max(octets_min(Some(APPLICATION))))
}

impl<'a> Bench<'a> {
    fn new(options: &'a Options) -> Result<Self, BenchFault> {
        let sap = SapId::try_from(options.sap).map_err(|error| BenchFault::local("--sap", error))?;
        if let Some(payload) = options.payloads.iter().find(|&&payload| parts(payload).0 > 1) {
            return Err(BenchFault::local("--payloads", format!("{payload} octets do not fit one U_PDU")));
        }
        Ok(Self { options, clock: Clock::at_speed(options.speed), sap, so_far: RefCell::default() })
    }

    fn session(&self) -> SisConfig {
        SisConfig::new(self.sap, Self::mode())
    }

    /// As RCOP says.
    fn mode() -> DeliveryMode {
        DeliveryMode::new(TransmissionMode::Arq, Confirmation::Node, Order::InOrder)
    }

    /// How long the answer to so many octets may take: at 75 bit/s a round trip of a large payload is four transmissions.
    fn patience(&self, octets: usize) -> Duration {
        let seconds = TIMES_OF_AIRTIME * self.airtime_seconds(octets as u64) + SECONDS_BESIDES;
        Duration::from_secs(seconds.max(self.options.timeout_seconds.into()))
    }

    /// Time to live of U_PDUs of which so many octets are under way at a time.
    fn ttl(&self, octets: u64) -> Ttl {
        let seconds = TIMES_OF_AIRTIME * self.airtime_seconds(octets) + SECONDS_BESIDES;
        Ttl::from_span(Duration::from_secs(seconds.max(self.options.timeout_seconds.into())))
    }

    fn airtime_seconds(&self, octets: u64) -> u64 {
        octets.saturating_mul(8).div_ceil(u64::from(self.options.bits_per_second.max(1)))
    }

    fn answer(&self) -> Answer {
        let most = self.options.payloads.iter().map(|&payload| octets(payload)).max().unwrap_or_default();
        let config = AnswerConfig { application: Some(APPLICATION), ttl: self.ttl(most as u64), span: None };
        Answer::new(self.session(), config, OsRandom.number(), false)
    }

    fn way(&self, octets: u64) -> Way {
        Way {
            destination: self.options.far_address,
            sap: self.sap,
            mode: Self::mode(),
            retransmissions: 0,
            priority: 4,
            ttl: self.ttl(octets),
            expedited: false,
            application: Some(APPLICATION),
        }
    }

    async fn measure(&self) -> Result<(), BenchFault> {
        self.by_payload().await?;
        self.by_delay().await?;
        if !self.options.loads.is_empty() {
            self.throughput().await?;
        }
        Ok(())
    }

    /// All that was measured, and what was not.
    fn into_report(self) -> Result<Report, BenchFault> {
        let Options { near, far, far_address, bits_per_second, rounds, speed, .. } = self.options;
        let SoFar { tables, measured, missing } = self.so_far.into_inner();
        if measured == 0 {
            return Err(BenchFault::Process(missing.join("; ")));
        }
        let mut facts = vec![
            ("near server", near.clone()),
            ("far server", format!("{far} ({far_address})")),
            ("bits per second", bits_per_second.to_string()),
            ("rounds a row", rounds.to_string()),
            ("speed", speed.to_string()),
        ];
        if !missing.is_empty() {
            facts.push(("not measured", missing.join("; ")));
        }
        Ok(Report { facts, tables })
    }

    /// Begins a table.
    fn table(&self, name: &'static str, title: &str, columns: Vec<(&'static str, &'static str)>) {
        self.so_far.borrow_mut().tables.push(Table { name, title: title.to_owned(), columns, rows: Vec::new() });
    }

    /// Adds a row to the table that was begun last: what stands in front of each row, then its figures or empty cells.
    fn row(&self, front: Vec<Cell>, figures: Option<Vec<Cell>>) {
        let mut so_far = self.so_far.borrow_mut();
        so_far.measured += usize::from(figures.is_some());
        let Some(table) = so_far.tables.last_mut() else { return };
        let mut row = front;
        row.extend(figures.unwrap_or_default());
        row.resize(table.columns.len(), Cell::Empty);
        table.rows.push(row);
    }

    /// Notes why a row has no figures. Before anything was measured a server that is not there ends the run at once.
    fn not_measured(&self, what: &str, why: &BenchFault) -> Result<(), BenchFault> {
        eprintln!("{what}: {why}");
        let mut so_far = self.so_far.borrow_mut();
        so_far.missing.push(format!("{what}: {why}"));
        if so_far.measured == 0 { Err(BenchFault::Process(so_far.missing.join("; "))) } else { Ok(()) }
    }

    async fn by_payload(&self) -> Result<(), BenchFault> {
        let mut columns = vec![("payload_octets", "payload, octets of hex"), ("u_pdu_octets", "U_PDU, octets")];
        columns.extend(TRIP_COLUMNS);
        self.table("round_trips_by_payload", "Round trips by payload, in seconds.", columns);
        for &payload in &self.options.payloads {
            let what = format!("payload {payload}");
            let trips = self.pings(&what, octets(payload), 0).await?;
            let paper = paper::BY_PAYLOAD.iter().find(|row| row.0 == payload).filter(|_| self.is_paper_rate());
            let figures = trips.map(|trips| {
                eprintln!("{what}: first {}, later {}", words(trips.first_seconds), words(later(&trips)));
                let mut figures = trip_cells(&trips, 0.0).to_vec();
                figures.extend([real(paper.map(|row| row.1)), real(paper.map(|row| row.2))]);
                figures
            });
            self.row(vec![Cell::Whole(payload as u64), Cell::Whole(octets(payload) as u64)], figures);
        }
        Ok(())
    }

    async fn by_delay(&self) -> Result<(), BenchFault> {
        let mut columns = vec![("typing_delay_seconds", "typing delay")];
        columns.extend(TRIP_COLUMNS);
        columns.push(("corrected_mean_seconds", "mean of the others without the delay"));
        let title = "Round trips by typing delay, the delay included as in the paper, in seconds.";
        self.table("round_trips_by_typing_delay", title, columns);
        for &delay in &self.options.delays {
            let what = format!("typing delay {delay} s");
            let trips = self.pings(&what, octets(0), delay).await?;
            let paper = paper::BY_DELAY.iter().find(|row| row.0 == u64::from(delay)).filter(|_| self.is_paper_rate());
            let figures = trips.map(|trips| {
                eprintln!("{what}: later, without the delay, {}", words(later(&trips)));
                let mut figures = trip_cells(&trips, delay.into()).to_vec();
                figures.extend([real(paper.map(|row| row.1)), real(paper.map(|row| row.2)), real(later(&trips))]);
                figures
            });
            self.row(vec![Cell::Whole(delay.into())], figures);
        }
        Ok(())
    }

    async fn throughput(&self) -> Result<(), BenchFault> {
        let title = "Throughput of user data; its share of the rate counts 51 % of it, as the paper does.";
        self.table("throughput", title, LOAD_COLUMNS.to_vec());
        let rate = f64::from(self.options.bits_per_second.max(1));
        for &payload in &self.options.loads {
            let what = format!("load of {payload}");
            let (parts, octets) = parts(payload);
            let traffic = self.load(&what, parts, octets).await?;
            let published = paper::under_backlog(self.options.bits_per_second, payload);
            let used = |user: f64| user * paper::HEX_COMPRESSES_TO * 100.0 / rate;
            let figures = traffic.map(|traffic| {
                let messages = f64::from(traffic.confirmed) / f64::from(parts);
                let user = messages * payload as f64 * 8.0 / traffic.seconds;
                eprintln!("{what}: {user:.0} bit/s");
                vec![
                    Cell::Whole(traffic.confirmed.into()),
                    Cell::Whole(u64::from(traffic.pdus) - u64::from(traffic.confirmed)),
                    Cell::Real(traffic.seconds, 1),
                    Cell::Real(user, 0),
                    Cell::Real(used(user), 0),
                    real(published),
                    real(published.map(used)),
                ]
            });
            self.row(vec![Cell::Whole(payload as u64)], figures);
        }
        Ok(())
    }

    fn is_paper_rate(&self) -> bool {
        self.options.bits_per_second == paper::RATE
    }

    /// Round trips; `None` when there was no answer.
    async fn pings(&self, what: &str, octets: usize, delay: u32) -> Result<Option<PingReport>, BenchFault> {
        let patience = self.patience(octets);
        let config = PingConfig {
            way: self.way(octets as u64),
            count: self.options.rounds,
            octets,
            pause: Duration::from_secs(delay.into()),
            patience,
        };
        let measured = self.tool(Ping::new(self.session(), config, OsRandom.number() as u32, false)).await;
        let measured = measured.and_then(|report| {
            let why = || format!("{} did not answer one ping in {} s", self.options.far, patience.as_secs());
            if report.answered > 0 { Ok(report) } else { Err(BenchFault::Process(why())) }
        });
        self.or_missing(what, measured)
    }

    /// Load; `None` when nothing was confirmed.
    async fn load(&self, what: &str, parts: u32, octets: usize) -> Result<Option<TrafficReport>, BenchFault> {
        let bits = u64::from(self.options.bits_per_second) * u64::from(self.options.load_seconds);
        let pdus = u32::try_from(bits / (octets as u64 * 8)).unwrap_or(u32::MAX);
        let config = TrafficConfig {
            way: self.way(octets as u64 * u64::from(WINDOW)),
            pdus: pdus.clamp(*PDUS.start(), *PDUS.end()).next_multiple_of(parts).min(*PDUS.end()),
            octets,
            window: WINDOW,
            patience: self.patience(octets),
            asks_count: false,
        };
        let measured = self.tool(Traffic::new(self.session(), config, OsRandom.number() as u32, false)).await;
        let measured = measured.and_then(|report| {
            let why = || format!("of {} U_PDUs none was confirmed", report.sent);
            let is_some = report.confirmed > 0 && report.seconds > 0.0;
            if is_some { Ok(report) } else { Err(BenchFault::Process(why())) }
        });
        self.or_missing(what, measured)
    }

    fn or_missing<T>(&self, what: &str, measured: Result<T, BenchFault>) -> Result<Option<T>, BenchFault> {
        match measured {
            Ok(report) => Ok(Some(report)),
            Err(why) => self.not_measured(what, &why).map(|()| None),
        }
    }

    /// Rests, then runs a tool at the near server.
    async fn tool<T: Tool>(&self, mut tool: T) -> Result<T::Report, BenchFault> {
        let rest = Duration::from_secs(self.options.rest_seconds.into());
        tokio::time::sleep_until(self.clock.deadline(self.clock.now().mono + rest)).await;
        let over = console::run(self.clock, &self.options.near, &mut tool, std::future::pending(), |_| {}).await;
        match over {
            Ok(Over::Done) => Ok(tool.report()),
            over => Err(failed(&self.options.near, over)),
        }
    }
}

const LOAD_COLUMNS: [(&str, &str); 8] = [
    ("payload_octets", "payload, octets of hex"),
    ("u_pdus_confirmed", "U_PDUs confirmed"),
    ("u_pdus_not_confirmed", "not confirmed"),
    ("seconds", "seconds"),
    ("bits_per_second", "bit/s"),
    ("used_percent", "% of the rate"),
    ("paper_bits_per_second", "paper, bit/s"),
    ("paper_used_percent", "paper, %"),
];

const TRIP_COLUMNS: [(&str, &str); 7] = [
    ("answered", "answered"),
    ("not_answered", "not answered"),
    ("first_seconds", "first"),
    ("later_mean_seconds", "mean of the others"),
    ("most_seconds", "longest"),
    ("paper_first_seconds", "paper, first"),
    ("paper_mean_seconds", "paper, average"),
];

/// The cells of the first five of these columns.
fn trip_cells(trips: &PingReport, delay: f64) -> [Cell; 5] {
    [
        Cell::Whole(trips.answered.into()),
        Cell::Whole((trips.sent - trips.answered.min(trips.sent)).into()),
        real(trips.first_seconds.map(|seconds| seconds + delay)),
        real(later(trips).map(|seconds| seconds + delay)),
        real(trips.most_seconds.map(|seconds| seconds + delay)),
    ]
}

/// The mean of all but the first; of the first where it is the only one.
fn later(trips: &PingReport) -> Option<f64> {
    trips.later_mean_seconds.or(trips.mean_seconds)
}

fn real(figure: Option<f64>) -> Cell {
    figure.map_or(Cell::Empty, |figure| Cell::Real(figure, 1))
}

fn words(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1} s"))
}

fn failed(server: &str, over: Result<Over, String>) -> BenchFault {
    BenchFault::Process(match over {
        Ok(Over::Failed(end)) => format!("{server}: {end}"),
        Ok(Over::Unfit(why)) | Err(why) => format!("{server}: {why}"),
        Ok(Over::Done | Over::Stopped) => format!("{server}: the console ended"),
    })
}

#[cfg(test)]
mod tests {
    use skywave_transports::modem::weather::Weather;
    use skywave_transports::node::StationConfig;
    use skywave_transports::node::simulator::SimulatorStation;

    use super::*;
    use crate::shell::radio::{Radio, RadioStation};

    fn options(more: &str) -> Options {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            options: Options,
        }
        let line = format!("live-hf --near 127.0.0.1:1 --far 127.0.0.1:2 --far-address 1.1.0.2 {more}");
        <Line as clap::Parser>::parse_from(line.split_whitespace()).options
    }

    #[test]
    fn a_slow_rate_is_waited_for() {
        let options = options("--bits-per-second 75");
        let bench = Bench::new(&options).unwrap();
        // Both ways of the largest payload, and two turns of two transmissions.
        assert!(bench.patience(octets(2_048)).as_secs() > 2 * 129 + 2 * 60);
        let window = WINDOW as usize * parts(10_240).1;
        let ttl = bench.way(window as u64).ttl.span().unwrap();
        assert!(ttl.as_secs() > 2 * window as u64 * 8 / 75, "{ttl:?}");
        let fast = super::tests::options("--bits-per-second 9600");
        assert_eq!(Bench::new(&fast).unwrap().patience(octets(0)).as_secs(), 300);
    }

    /// Two nodes on a radio in this process, one of them with a small MTU.
    #[test]
    fn a_row_that_cannot_be_measured_takes_no_other_with_it() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let station = |number: u32| {
            let mut config = StationConfig::new(NodeAddress::individual(number));
            config.server.mtu = 512;
            let station = SimulatorStation { name: format!("site-{number}.test"), config };
            RadioStation { station, listen: "127.0.0.1:0".parse().unwrap() }
        };
        let radio = runtime.block_on(async {
            Radio::start(Clock::at_speed(100), &Weather::default(), vec![station(1), station(2)], None).unwrap()
        });
        let small = "--payloads 0,2048,10 --delays 0 --rounds 1 --rest-seconds 1 --speed 100 --loads";
        let mut options = options(small);
        (options.near, options.far) = (radio.addresses[0].to_string(), radio.addresses[1].to_string());
        options.far_address = NodeAddress::individual(2);
        let report = run(&options).unwrap();
        let answered: Vec<Cell> = report.tables[0].rows.iter().map(|row| row[2].clone()).collect();
        assert_eq!(answered, [Cell::Whole(1), Cell::Empty, Cell::Whole(1)]);
        assert!(report.facts.iter().any(|(name, why)| *name == "not measured" && why.starts_with("payload 2048: ")));
        options.payloads = vec![2_048];
        assert!(run(&options).is_err());
    }

    #[test]
    fn payloads_become_u_pdus() {
        for (payload, all, cut) in
            [(0, 30, (1, 30)), (10, 35, (1, 35)), (2_048, 1_074, (1, 1_074)), (10_240, 5_252, (3, 1_751))]
        {
            assert_eq!((octets(payload), parts(payload)), (all, cut), "{payload}");
        }
        assert!(octets(0) >= octets_min(Some(APPLICATION)));
    }
}
