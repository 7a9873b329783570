//! Memory of one gateway with 1,000 domains on its fast side, 8 links and 10,000 cached presences.
//!
//! The links speak `standard` over TCP, so that a plain reader and writer stands for each far site: contacts there push
//! their presence to users of all local domains. Then the links go down, and as many local users show themselves: that
//! waits, and is told beside it.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, park_timeout};
use std::time::Duration;

use super::super::BenchFault;
use super::super::folder::Folder;
use super::super::site;
use super::super::table::{Cell, Report, Table};
use super::super::xmpp::Host;
use super::super::xmpp::host::Numbers;

const DOMAINS: usize = 1_000;
const LINKS: usize = 8;
const PRESENCES: usize = 10_000;
/// The bar of the issue, in megabytes.
const MEGABYTES_MAX: f64 = 64.0;
/// How long the gateway may take to connect and to take everything.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long after the last stanza memory is looked at: what was only under way is given back by then.
const REST: Duration = Duration::from_secs(2);

/// A far site that reads what comes and says what it is told.
struct Far {
    address: SocketAddr,
    connected: Receiver<TcpStream>,
}

impl Far {
    fn listen() -> Result<Self, BenchFault> {
        let failed = |error| BenchFault::local("a far site", error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (sender, connected) = mpsc::channel();
        thread::spawn(move || {
            // One connection: afterwards nobody listens.
            let Ok((mut stream, _)) = listener.accept() else { return };
            drop(listener);
            let Ok(writer) = stream.try_clone() else { return };
            let mut octets = vec![0; 64 << 10];
            if sender.send(writer).is_ok() {
                while let Ok(1..) = stream.read(&mut octets) {}
            }
        });
        Ok(Self { address, connected })
    }

    fn connection(&self) -> Result<TcpStream, BenchFault> {
        let nobody = |_| BenchFault::Process("a link did not connect".to_owned());
        self.connected.recv_timeout(PATIENCE).map_err(nobody)
    }
}

/// Runs it.
///
/// # Errors
/// When the gateway fails.
pub fn run(place: &Path) -> Result<Report, BenchFault> {
    let folder = Folder::new(place)?;
    let (sender, answers) = mpsc::channel();
    let host = Host::start(move || {
        let (sender, numbers) = (sender.clone(), Mutex::new(Numbers::new("id='n")));
        Box::new(move |octets: &[u8]| {
            numbers.lock().unwrap_or_else(PoisonError::into_inner).read(octets, |number| {
                let _ = sender.send(number);
            });
        })
    })?;
    let far: Vec<Far> = (0..LINKS).map(|_| Far::listen()).collect::<Result<_, _>>()?;
    let gateway = folder.sub("gateway")?;
    let config = gateway.join("skywave.toml");
    let text = configuration(&gateway, &host.address.to_string(), &far);
    std::fs::write(&config, text).map_err(|error| BenchFault::local("a gateway's configuration", error))?;
    let (running, _) = site::start(&gateway, &config)?;
    let resident = || running.resident().unwrap_or_default() as f64 / 1e6;
    let name = |link: usize| format!("site{link}.test");
    let mut components: Vec<TcpStream> =
        (0..LINKS).map(|link| host.component(&name(link), PATIENCE)).collect::<Result<_, _>>()?;
    let mut links: Vec<TcpStream> = far.iter().map(Far::connection).collect::<Result<_, _>>()?;
    park_timeout(REST);
    let connected = resident();
    say(&mut links, |number, link, domain| {
        format!(
            "<presence id='n{number}' from='user{number}@site{link}.test/desk' to='bob@domain{domain}.test'>{SHOWN}</presence>"
        )
    })?;
    await_numbers(&answers, PRESENCES, "presence did not come through")?;
    let passing = resident();
    park_timeout(REST);
    let cached = resident();
    for link in &links {
        link.shutdown(Shutdown::Both).map_err(|error| BenchFault::local("a far site", error))?;
    }
    say(&mut components, |number, link, domain| {
        format!("<presence from='user{number}@domain{domain}.test/desk' to='bob@site{link}.test'>{SHOWN}</presence>")
    })?;
    // What the gateway answers itself comes back when it has taken everything before it.
    for (link, component) in components.iter_mut().enumerate() {
        let ping = format!(
            "<iq type='get' id='n{link}' from='user@domain{link}.test/desk' to='site{link}.test'>\
             <ping xmlns='urn:xmpp:ping'/></iq>"
        );
        component.write_all(ping.as_bytes()).map_err(|error| BenchFault::local("a host", error))?;
    }
    await_numbers(&answers, LINKS, "a ping was not answered")?;
    park_timeout(REST);
    let waiting = resident();
    Ok(Report {
        facts: vec![("profile", "standard".to_owned())],
        tables: vec![table(connected, passing, cached, waiting)],
    })
}

/// What everybody shows.
const SHOWN: &str = "<show>away</show><status>At the bridge</status>";

/// Writes a presence for each number: by link, to or from all domains in turn.
fn say(streams: &mut [TcpStream], presence: impl Fn(usize, usize, usize) -> String) -> Result<(), BenchFault> {
    for number in 0..PRESENCES {
        let (link, domain) = (number % LINKS, number / LINKS % DOMAINS);
        let text = presence(number, link, domain);
        streams[link].write_all(text.as_bytes()).map_err(|error| BenchFault::local("a presence", error))?;
    }
    Ok(())
}

fn await_numbers(answers: &Receiver<usize>, count: usize, why: &str) -> Result<(), BenchFault> {
    for _ in 0..count {
        answers.recv_timeout(PATIENCE).map_err(|_| BenchFault::Process(why.to_owned()))?;
    }
    Ok(())
}

fn configuration(folder: &Path, host: &str, far: &[Far]) -> String {
    let place = folder.display();
    let domains: Vec<String> = (0..DOMAINS).map(|number| format!("\"domain{number}.test\"")).collect();
    let mut text = format!(
        "site = \"hq.test\"\nspool_directory = \"{place}/spool\"\nrun_directory = \"{place}/run\"\n\
         [mail]\nlisten = [\"127.0.0.1:0\"]\nhostname = \"gateway.hq.test\"\n[chat]\n"
    );
    for (link, Far { address, .. }) in far.iter().enumerate() {
        let name = format!("site{link}.test");
        let _ = write!(
            text,
            "[chat.component.\"{name}\"]\ntarget = \"{host}\"\nsecret = \"bench\"\ndomains = [{}]\n\
             [chat.peer.peer{link}]\nsite = \"{name}\"\ndomains = [\"{name}\"]\nlink = \"link{link}\"\nfilter = \"sat\"\n\
             [link.link{link}]\ncarriage = \"xmpp\"\ntransport = \"xmpp_tcp\"\nprofile = \"standard\"\n\
             connect = \"{address}\"\nbits_per_second = 10000000\n[link.link{link}.site.\"{name}\"]\n",
            domains.join(", ")
        );
    }
    text
}

fn table(connected: f64, passing: f64, cached: f64, waiting: f64) -> Table {
    let row = |state: &str, megabytes: f64, bar| vec![Cell::text(state), Cell::Real(megabytes, 1), bar];
    Table {
        name: "chat_memory",
        title: format!(
            "Resident memory (VmRSS) of one gateway with {DOMAINS} domains on its fast side and {LINKS} links by TCP."
        ),
        columns: vec![("state", "state"), ("resident_megabytes", "memory MB"), ("bar", "bar")],
        rows: vec![
            row("connected", connected, Cell::Empty),
            row(&format!("{PRESENCES} presences just passed, all written to it at once"), passing, Cell::Empty),
            row(
                &format!("{PRESENCES} presences of far contacts cached"),
                cached,
                Cell::Bar(format!("at most {MEGABYTES_MAX}"), cached <= MEGABYTES_MAX),
            ),
            row(
                &format!("links down, and {PRESENCES} presences of local users cached and waiting"),
                waiting,
                Cell::Empty,
            ),
        ],
    }
}
