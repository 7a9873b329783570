//! `kill -9` in the middle of a stream of mails, twenty times a site by itself and ten times one of two with a radio between
//! them: what was answered with 250 arrives; what arrives twice was announced, and was open at a crash: nothing arrives
//! twice for the radio's sake. Which moments are hit differs from run to run; the seed of the waits is printed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use skywave_protocols::random::{Random as _, Seeded};

use crate::sink::Sink;
use crate::site::{Medium, Pair, program};
use crate::wait;

const KILLS: u64 = 20;
const CLIENTS: usize = 3;
/// Connections to a local MTA, unless a file says otherwise: as many hand-overs can be open.
const CONNECTIONS_MAX: usize = 20;
/// Kills of two sites in turn, and how long they live at most in between.
const RADIO_KILLS: u64 = 10;
const RADIO_LIFE_MILLISECONDS_MAX: u64 = 2500;
/// Between two mails for the radio, which is slower than a client.
const RADIO_PAUSE: Duration = Duration::from_millis(150);
/// Time for the last mail to cross the radio, acknowledgements that a crash cost included.
const RADIO_WAIT_SECONDS: u64 = 180;
/// Longest life before a kill, from the moment the door is open.
const LIFE_MILLISECONDS_MAX: u64 = 700;
/// `EX_TEMPFAIL`: what a second instance ends with.
const TRY_LATER: i32 = 75;
/// Time for a life to begin, and for the last one to deliver everything.
const WAIT_SECONDS: u64 = 60;

/// A site whose whole mail is for its own local MTA.
struct Killed {
    folder: tempfile::TempDir,
    door: SocketAddr,
    lives: u64,
}

impl Killed {
    fn new(sink: SocketAddr) -> Self {
        let folder = tempfile::Builder::new().prefix("skywave-kill-").tempdir().unwrap();
        let door = SocketAddr::from((Ipv4Addr::LOCALHOST, wait::free_port()));
        let place = folder.path().display();
        let config = format!(
            "site = \"hq.test\"\nspool_directory = \"{place}/spool\"\nrun_directory = \"{place}/run\"\n\
             [mail]\nlisten = [\"{door}\"]\nhostname = \"gateway.hq.test\"\n\
             [local.mta]\ndomains = [\"hq.test\"]\ntarget = \"{sink}\"\n\
             [queue]\nretry_first_seconds = 1\nretry_longest_seconds = 2\n"
        );
        fs::write(folder.path().join("hq.toml"), config).unwrap();
        Self { folder, door, lives: 0 }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("hq.toml")
    }

    fn start(&mut self) -> Child {
        self.lives += 1;
        let log = fs::File::create(self.folder.path().join(format!("life-{}.log", self.lives))).unwrap();
        let child = run(&self.config()).stderr(log).spawn().unwrap();
        wait::listening(self.door, WAIT_SECONDS);
        child
    }

    fn logs(&self) -> String {
        let log = |life| fs::read_to_string(self.folder.path().join(format!("life-{life}.log"))).unwrap_or_default();
        (1..=self.lives).map(log).collect()
    }
}

fn run(config: &Path) -> Command {
    let mut command = Command::new(program());
    command.args(["run", "-c"]).arg(config).env("RUST_LOG", "info").stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// What the clients share.
#[derive(Default)]
struct Stream {
    over: AtomicBool,
    number: AtomicU32,
    answered: Mutex<Vec<String>>,
}

/// Sends mail after mail on one connection until it breaks.
fn send(door: SocketAddr, stream: &Stream, to: &str, pause: Duration) -> Option<()> {
    let writer = TcpStream::connect(door).ok()?;
    writer.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let (mut reader, mut writer) = (BufReader::new(writer.try_clone().ok()?), writer);
    let mut say = |text: &str, expected: u16| {
        writer.write_all(text.as_bytes()).ok()?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|&octets| octets > 0)?;
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.starts_with(&expected.to_string()).then_some(());
            }
        }
    };
    say("", 220)?;
    say("EHLO client.test\r\n", 250)?;
    while !stream.over.load(Ordering::Relaxed) {
        let id = format!("{}.kill@client.test", stream.number.fetch_add(1, Ordering::Relaxed));
        say("MAIL FROM:<a@hq.test>\r\n", 250)?;
        say(&format!("RCPT TO:<{to}>\r\n"), 250)?;
        say("DATA\r\n", 354)?;
        say(&format!("Message-ID: <{id}>\r\nSubject: {id}\r\n\r\n{}.\r\n", "a line of text\r\n".repeat(40)), 250)?;
        stream.answered.lock().unwrap().push(id);
        wait::pass(pause);
    }
    Some(())
}

fn clients(
    door: SocketAddr,
    stream: &Arc<Stream>,
    count: usize,
    to: &'static str,
    pause: Duration,
) -> Vec<thread::JoinHandle<()>> {
    let client = |_| {
        let stream = Arc::clone(stream);
        thread::spawn(move || {
            while !stream.over.load(Ordering::Relaxed) {
                let _ = send(door, &stream, to, pause);
                wait::within(1, || TcpStream::connect(door).ok());
            }
        })
    };
    (0..count).map(client).collect()
}

/// How often each mail has arrived, by Message-ID.
fn arrived(sink: &Sink) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for mail in sink.mails(0, 1) {
        let id = mail.header("message-id").unwrap_or_default();
        *times.entry(id.trim_matches(['<', '>']).to_owned()).or_default() += 1;
    }
    times
}

#[test]
fn what_was_answered_survives_twenty_kills() {
    let sink = Sink::start();
    let mut site = Killed::new(sink.address);
    let stream = Arc::new(Stream::default());
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = Seeded::new(seed);
    let senders = clients(site.door, &stream, CLIENTS, "b@hq.test", Duration::ZERO);
    for _ in 0..KILLS {
        let mut child = site.start();
        let life = Duration::from_millis(random.below(LIFE_MILLISECONDS_MAX));
        wait::pass(life);
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }
    let mut last = site.start();
    refuses_a_second(&site);
    stream.over.store(true, Ordering::Relaxed);
    senders.into_iter().for_each(|sender| sender.join().unwrap());

    let answered = stream.answered.lock().unwrap().clone();
    assert!(answered.len() > 50, "{} mails are no stream", answered.len());
    let missing = || {
        let arrived = arrived(&sink);
        answered.iter().filter(|id| !arrived.contains_key(*id)).cloned().collect::<Vec<_>>()
    };
    if wait::within(WAIT_SECONDS, || missing().is_empty().then_some(())).is_none() {
        panic!("{} of {} never arrived: {:?}\n{}", missing().len(), answered.len(), missing(), site.logs());
    }
    last.kill().unwrap();
    last.wait().unwrap();

    let repeats = all_announced(&sink, &site.logs(), KILLS);
    println!("{} mails answered, {repeats} repeats, all announced", answered.len());
}

/// Whatever arrived more than once was announced as a possible duplicate, and no more of it than hand-overs can have been
/// open at so many crashes; returns how much.
fn all_announced(sink: &Sink, logs: &str, kills: u64) -> usize {
    let mut repeats = 0;
    for (id, times) in arrived(sink).into_iter().filter(|(_, times)| *times > 1) {
        repeats += times - 1;
        let lines = logs.lines().filter(|line| line.contains("possible duplicate") && line.contains(&id)).count();
        assert!(lines >= times - 1, "{id} arrived {times} times and was announced {lines} times");
    }
    assert!(repeats <= usize::try_from(kills).unwrap() * CONNECTIONS_MAX, "{repeats} repeats after {kills} kills");
    repeats
}

/// Two sites and a radio between them, killed in turn.
#[test]
fn nothing_is_lost_or_doubled_on_the_radio_by_kills() {
    let (hq, field) = (Sink::start(), Sink::start());
    let mut pair = Pair::new(Medium::Radio);
    pair.start(hq.address, field.address);
    let stream = Arc::new(Stream::default());
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = Seeded::new(seed);
    let senders = clients(pair.hq, &stream, 1, "b@field.test", RADIO_PAUSE);
    for kill in 0..RADIO_KILLS {
        wait::pass(Duration::from_millis(random.below(RADIO_LIFE_MILLISECONDS_MAX)));
        pair.kill_and_start(usize::try_from(kill % 2).unwrap());
    }
    stream.over.store(true, Ordering::Relaxed);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    let answered = stream.answered.lock().unwrap().clone();
    assert!(answered.len() > 20, "{} mails are no stream", answered.len());
    let missing = || {
        let arrived = arrived(&field);
        answered.iter().filter(|id| !arrived.contains_key(*id)).cloned().collect::<Vec<_>>()
    };
    if wait::within(RADIO_WAIT_SECONDS, || missing().is_empty().then_some(())).is_none() {
        panic!("{} of {} never arrived: {:?}", missing().len(), answered.len(), missing());
    }
    let repeats = all_announced(&field, &pair.log(1), RADIO_KILLS.div_ceil(2));
    println!("{} mails answered, {repeats} repeats at the local server, all announced", answered.len());
}

/// The spool belongs to the running instance: a second one ends at once, says why, and harms nothing.
fn refuses_a_second(site: &Killed) {
    let second = run(&site.config()).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(TRY_LATER), "{said}");
    assert!(said.contains("in use by another instance"), "{said}");
}
