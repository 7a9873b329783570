//! The latency and throughput test of the paper "XMPP over HF" at two SIS servers that are there: for owners of radios.
//!
//! One console answers at the far server, another one asks at the near one; both run in this process, so that one clock
//! times everything. The messages of the paper were hex dumps of random data in XMPP, which DEFLATE made 51 % of, and
//! about 30 octets around them: so many octets are sent here, by RCOP with ARQ. A pause before each row lets the soft
//! link go, so that the first round trip of a row makes it.

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
    /// How long an answer is waited for
    #[arg(long, default_value_t = 300)]
    pub timeout_seconds: u32,
    /// The servers' time runs so many times as fast (embedded nodes)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub speed: u32,
}

/// Measures, and prints a row to standard error when it is done.
///
/// # Errors
/// A server that is not there or refuses; a far end that answers nothing.
pub fn run(options: &Options) -> Result<Report, BenchFault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| BenchFault::local("runtime", error))?;
    runtime.block_on(async {
        let bench = Bench::new(options)?;
        let mut answer = bench.answer();
        // The far console never ends by itself: when it does, its server has gone.
        tokio::select! {
            over = console::run(bench.clock, &options.far, &mut answer, std::future::pending(), |_| {}) => {
                Err(failed(&options.far, over))
            }
            report = bench.measure() => report,
        }
    })
}

struct Bench<'a> {
    options: &'a Options,
    clock: Clock,
    sap: SapId,
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
        Ok(Self { options, clock: Clock::at_speed(options.speed), sap })
    }

    fn session(&self) -> SisConfig {
        SisConfig::new(self.sap, Self::mode())
    }

    /// As RCOP says.
    fn mode() -> DeliveryMode {
        DeliveryMode::new(TransmissionMode::Arq, Confirmation::Node, Order::InOrder)
    }

    fn ttl(&self) -> Ttl {
        Ttl::from_span(Duration::from_secs(self.options.timeout_seconds.into()))
    }

    fn answer(&self) -> Answer {
        let config = AnswerConfig { application: Some(APPLICATION), ttl: self.ttl(), span: None };
        Answer::new(self.session(), config, OsRandom.number(), false)
    }

    fn way(&self) -> Way {
        Way {
            destination: self.options.far_address,
            sap: self.sap,
            mode: Self::mode(),
            retransmissions: 0,
            priority: 4,
            ttl: self.ttl(),
            expedited: false,
            application: Some(APPLICATION),
        }
    }

    async fn measure(&self) -> Result<Report, BenchFault> {
        let Options { near, far, far_address, bits_per_second, rounds, speed, .. } = self.options;
        let mut report = Report {
            facts: vec![
                ("near server", near.clone()),
                ("far server", format!("{far} ({far_address})")),
                ("bits per second", bits_per_second.to_string()),
                ("rounds a row", rounds.to_string()),
                ("speed", speed.to_string()),
            ],
            tables: Vec::new(),
        };
        report.tables.push(self.by_payload().await?);
        report.tables.push(self.by_delay().await?);
        if !self.options.loads.is_empty() {
            report.tables.push(self.throughput().await?);
        }
        Ok(report)
    }

    async fn by_payload(&self) -> Result<Table, BenchFault> {
        let mut rows = Vec::new();
        for &payload in &self.options.payloads {
            let trips = self.pings(octets(payload), 0).await?;
            let paper = paper::BY_PAYLOAD.iter().find(|row| row.0 == payload).filter(|_| self.is_paper_rate());
            let mut row = vec![Cell::Whole(payload as u64), Cell::Whole(octets(payload) as u64)];
            row.extend(trip_cells(&trips, 0.0));
            row.extend([real(paper.map(|row| row.1)), real(paper.map(|row| row.2))]);
            eprintln!("payload {payload}: first {}, later {}", words(trips.first_seconds), words(later(&trips)));
            rows.push(row);
        }
        let mut columns = vec![("payload_octets", "payload, octets of hex"), ("u_pdu_octets", "U_PDU, octets")];
        columns.extend(TRIP_COLUMNS);
        Ok(Table {
            name: "round_trips_by_payload",
            title: "Round trips by payload, in seconds.".to_owned(),
            columns,
            rows,
        })
    }

    async fn by_delay(&self) -> Result<Table, BenchFault> {
        let mut rows = Vec::new();
        for &delay in &self.options.delays {
            let trips = self.pings(octets(0), delay).await?;
            let paper = paper::BY_DELAY.iter().find(|row| row.0 == u64::from(delay)).filter(|_| self.is_paper_rate());
            let mut row = vec![Cell::Whole(delay.into())];
            row.extend(trip_cells(&trips, delay.into()));
            row.extend([real(paper.map(|row| row.1)), real(paper.map(|row| row.2)), real(later(&trips))]);
            eprintln!("typing delay {delay} s: later, without the delay, {}", words(later(&trips)));
            rows.push(row);
        }
        let mut columns = vec![("typing_delay_seconds", "typing delay")];
        columns.extend(TRIP_COLUMNS);
        columns.push(("corrected_mean_seconds", "mean of the others without the delay"));
        Ok(Table {
            name: "round_trips_by_typing_delay",
            title: "Round trips by typing delay, the delay included as in the paper, in seconds.".to_owned(),
            columns,
            rows,
        })
    }

    async fn throughput(&self) -> Result<Table, BenchFault> {
        let rate = f64::from(self.options.bits_per_second.max(1));
        let mut rows = Vec::new();
        for &payload in &self.options.loads {
            let (parts, octets) = parts(payload);
            let traffic = self.load(parts, octets).await?;
            let messages = f64::from(traffic.confirmed) / f64::from(parts);
            let user = if traffic.seconds > 0.0 { messages * payload as f64 * 8.0 / traffic.seconds } else { 0.0 };
            let published = paper::under_backlog(self.options.bits_per_second, payload);
            let used = |user: f64| user * paper::HEX_COMPRESSES_TO * 100.0 / rate;
            eprintln!("load of {payload}: {user:.0} bit/s");
            rows.push(vec![
                Cell::Whole(payload as u64),
                Cell::Whole(traffic.confirmed.into()),
                Cell::Whole(u64::from(traffic.pdus) - u64::from(traffic.confirmed)),
                Cell::Real(traffic.seconds, 1),
                Cell::Real(user, 0),
                Cell::Real(used(user), 0),
                real(published),
                real(published.map(used)),
            ]);
        }
        Ok(Table {
            name: "throughput",
            title: "Throughput of user data; its share of the rate counts 51 % of it, as the paper does.".to_owned(),
            columns: vec![
                ("payload_octets", "payload, octets of hex"),
                ("u_pdus_confirmed", "U_PDUs confirmed"),
                ("u_pdus_not_confirmed", "not confirmed"),
                ("seconds", "seconds"),
                ("bits_per_second", "bit/s"),
                ("used_percent", "% of the rate"),
                ("paper_bits_per_second", "paper, bit/s"),
                ("paper_used_percent", "paper, %"),
            ],
            rows,
        })
    }

    fn is_paper_rate(&self) -> bool {
        self.options.bits_per_second == paper::RATE
    }

    async fn pings(&self, octets: usize, delay: u32) -> Result<PingReport, BenchFault> {
        let config = PingConfig {
            way: self.way(),
            count: self.options.rounds,
            octets,
            pause: Duration::from_secs(delay.into()),
            patience: Duration::from_secs(self.options.timeout_seconds.into()),
        };
        let report = self.tool(Ping::new(self.session(), config, OsRandom.number() as u32, false)).await?;
        if report.answered == 0 {
            let why = format!("{} did not answer one ping in {} s", self.options.far, self.options.timeout_seconds);
            return Err(BenchFault::Process(why));
        }
        Ok(report)
    }

    async fn load(&self, parts: u32, octets: usize) -> Result<TrafficReport, BenchFault> {
        let bits = u64::from(self.options.bits_per_second) * u64::from(self.options.load_seconds);
        let pdus = u32::try_from(bits / (octets as u64 * 8)).unwrap_or(u32::MAX);
        let config = TrafficConfig {
            way: self.way(),
            pdus: pdus.clamp(*PDUS.start(), *PDUS.end()).next_multiple_of(parts).min(*PDUS.end()),
            octets,
            window: WINDOW,
            patience: Duration::from_secs(self.options.timeout_seconds.into()),
            asks_count: false,
        };
        self.tool(Traffic::new(self.session(), config, OsRandom.number() as u32, false)).await
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
    use super::*;

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
