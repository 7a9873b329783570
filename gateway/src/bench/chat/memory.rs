//! Memory of one gateway with 1,000 domains on its fast side, 8 links and 10,000 cached presences, for each profile.
//!
//! The far sites are a second gateway, a process of its own whose memory does not count: contexts and acknowledgements of
//! `skywave` are as they are in use. Contacts there push their presence to users of all local domains. Then the far gateway
//! ends, so that the links go down, and as many local users show themselves: that waits, and is told beside it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread::park_timeout;
use std::time::Duration;

use super::super::BenchFault;
use super::super::folder::Folder;
use super::super::process::{Running, free_address};
use super::super::site;
use super::super::table::{Cell, Report, Table};
use super::super::xmpp::Host;
use super::super::xmpp::host::Numbers;

/// A multiple of [`LINKS`], so that each domain has one link on which the far gateway finds it.
const DOMAINS: usize = 1_000;
const LINKS: usize = 8;
const PRESENCES: usize = 10_000;
const PROFILES: [&str; 2] = ["skywave", "standard"];
/// The bar of the issue, in megabytes.
const MEGABYTES_MAX: f64 = 64.0;
/// How long the gateways may take to connect and to take everything.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long after the last stanza memory is looked at: what was only under way is given back by then.
const REST: Duration = Duration::from_secs(2);
/// What everybody shows.
const SHOWN: &str = "<show>away</show><status>At the bridge</status>";

/// Runs it.
///
/// # Errors
/// When a gateway fails.
pub fn run(place: &Path) -> Result<Report, BenchFault> {
    let mut rows = Vec::new();
    for profile in PROFILES {
        rows.extend(Sites::start(profile, Folder::new(place)?)?.measure(profile)?);
    }
    Ok(Report { facts: Vec::new(), tables: vec![table(rows)] })
}

/// Both gateways between their hosts.
struct Sites {
    /// Where headquarters writes, by link.
    at_hq: Vec<TcpStream>,
    /// Where the far sites write, by link.
    at_far: Vec<TcpStream>,
    /// The number of each user whose presence came out at headquarters.
    shown: Receiver<usize>,
    /// The number of each answer that came out there.
    answers: Receiver<usize>,
    gateway: Running,
    far: Running,
    // What is dropped last: everything above lies in it or is connected to it.
    _hosts: [Host; 2],
    _folder: Folder,
}

impl Sites {
    /// Starts everything, and lets one presence through each link.
    fn start(profile: &str, folder: Folder) -> Result<Self, BenchFault> {
        let ((to_shown, shown), (to_answers, answers)) = (mpsc::channel(), mpsc::channel());
        let at_hq = Host::start(move || {
            let tells = [("from='user", to_shown.clone()), ("id='n", to_answers.clone())]
                .map(|(before, sender)| (Mutex::new(Numbers::new(before)), sender));
            Box::new(move |octets: &[u8]| {
                for (numbers, sender) in &tells {
                    numbers.lock().unwrap_or_else(PoisonError::into_inner).read(octets, |number| {
                        // Nobody waits any more when the bench has failed.
                        let _ = sender.send(number);
                    });
                }
            })
        })?;
        let at_far = Host::start(|| Box::new(|_: &[u8]| ()))?;
        let links: Vec<SocketAddr> = (0..LINKS).map(|_| free_address()).collect::<Result<_, _>>()?;
        let start = |name: &str, text: String| {
            let place = folder.sub(name)?;
            let config = place.join("skywave.toml");
            let text = head(&place) + &text;
            std::fs::write(&config, text).map_err(|error| BenchFault::local("a gateway's configuration", error))?;
            site::start(&place, &config).map(|(running, _)| running)
        };
        let far = start("far", of_far(profile, at_far.address, &links))?;
        let gateway = start("gateway", of_hq(profile, at_hq.address, &links))?;
        let connections = |host: &Host, name: fn(usize) -> String| -> Result<Vec<TcpStream>, BenchFault> {
            (0..LINKS).map(|link| host.component(&name(link), PATIENCE)).collect()
        };
        let mut sites = Self {
            at_hq: connections(&at_hq, site_name)?,
            at_far: connections(&at_far, domain_name)?,
            shown,
            answers,
            gateway,
            far,
            _hosts: [at_hq, at_far],
            _folder: folder,
        };
        sites.come(PRESENCES..PRESENCES + LINKS)?;
        Ok(sites)
    }

    /// Far contacts with these numbers show themselves, all at once; waits until the local host has heard of them all.
    fn come(&mut self, numbers: std::ops::Range<usize>) -> Result<(), BenchFault> {
        let count = numbers.len();
        write_each(&mut self.at_far, numbers, |number| {
            let (site, domain) = (site_name(number % LINKS), domain_name(number % DOMAINS));
            format!("<presence from='user{number}@{site}/desk' to='bob@{domain}'>{SHOWN}</presence>")
        })?;
        await_numbers(&self.shown, count, "presence did not come through")
    }

    /// The rows of a profile.
    fn measure(mut self, profile: &str) -> Result<Vec<Vec<Cell>>, BenchFault> {
        park_timeout(REST);
        let connected = megabytes(self.gateway.resident());
        self.come(0..PRESENCES)?;
        park_timeout(REST);
        let (cached, peak) = (megabytes(self.gateway.resident()), megabytes(self.gateway.resident_peak()));
        self.far.stop();
        write_each(&mut self.at_hq, 0..PRESENCES, |number| {
            let (site, domain) = (site_name(number % LINKS), domain_name(number % DOMAINS));
            format!("<presence from='user{number}@{domain}/desk' to='bob@{site}'>{SHOWN}</presence>")
        })?;
        // What the gateway answers itself comes back when it has taken everything before it.
        write_each(&mut self.at_hq, 0..LINKS, |link| {
            let (site, domain) = (site_name(link), domain_name(link));
            format!(
                "<iq type='get' id='n{link}' from='user@{domain}/desk' to='{site}'><ping xmlns='urn:xmpp:ping'/></iq>"
            )
        })?;
        await_numbers(&self.answers, LINKS, "a ping was not answered")?;
        park_timeout(REST);
        let waiting = megabytes(self.gateway.resident());
        let bar = Cell::Bar(format!("at most {MEGABYTES_MAX}"), cached <= MEGABYTES_MAX);
        let row =
            |state: String, megabytes, bar| vec![Cell::text(profile), Cell::text(state), Cell::Real(megabytes, 1), bar];
        Ok(vec![
            row("connected".to_owned(), connected, Cell::Empty),
            row(format!("at rest, {PRESENCES} presences of far contacts cached"), cached, bar),
            row("the most until then, while they came all at once".to_owned(), peak, Cell::Empty),
            row(
                format!("at rest, links down, {PRESENCES} presences of local users cached and waiting"),
                waiting,
                Cell::Empty,
            ),
        ])
    }
}

fn megabytes(octets: Option<u64>) -> f64 {
    octets.unwrap_or_default() as f64 / 1e6
}

/// The far site of a link.
fn site_name(link: usize) -> String {
    format!("site{link}.test")
}

/// A local domain; that with the number of a link is also the name of the connection by which its far site writes.
fn domain_name(number: usize) -> String {
    format!("domain{number}.test")
}

/// Writes a stanza for each number, to the streams in turn.
fn write_each(
    streams: &mut [TcpStream],
    numbers: std::ops::Range<usize>,
    stanza: impl Fn(usize) -> String,
) -> Result<(), BenchFault> {
    for number in numbers {
        let written = streams[number % LINKS].write_all(stanza(number).as_bytes());
        written.map_err(|error| BenchFault::local("a host", error))?;
    }
    Ok(())
}

fn await_numbers(numbers: &Receiver<usize>, count: usize, why: &str) -> Result<(), BenchFault> {
    for _ in 0..count {
        numbers.recv_timeout(PATIENCE).map_err(|_| BenchFault::Process(why.to_owned()))?;
    }
    Ok(())
}

/// What both configurations begin with.
fn head(place: &Path) -> String {
    let place = place.display();
    format!(
        "site = \"here.test\"\nspool_directory = \"{place}/spool\"\nrun_directory = \"{place}/run\"\n\
         [mail]\nlisten = [\"127.0.0.1:0\"]\nhostname = \"gateway.here.test\"\n[chat]\n"
    )
}

/// The measured gateway: 8 far sites, each one component for all local domains.
fn of_hq(profile: &str, host: SocketAddr, links: &[SocketAddr]) -> String {
    let domains: Vec<String> = (0..DOMAINS).map(domain_name).collect();
    let mut text = String::new();
    for (link, address) in links.iter().enumerate() {
        let site = site_name(link);
        component(&mut text, &site, host, &domains);
        peer(&mut text, link, &site, std::slice::from_ref(&site), profile, &format!("connect = \"{address}\""));
    }
    text
}

/// The far sites' gateway: the other's domains are spread over 8 peers, one for each link.
fn of_far(profile: &str, host: SocketAddr, links: &[SocketAddr]) -> String {
    let mut text = String::new();
    for (link, address) in links.iter().enumerate() {
        let domains: Vec<String> = (link..DOMAINS).step_by(LINKS).map(domain_name).collect();
        domains.iter().for_each(|domain| component(&mut text, domain, host, &[site_name(link)]));
        let place = format!("listen = \"{address}\"\naccept_from = [\"127.0.0.0/8\"]");
        peer(&mut text, link, &format!("hq{link}.test"), &domains, profile, &place);
    }
    text
}

fn component(text: &mut String, name: &str, host: SocketAddr, domains: &[String]) {
    let _ = write!(
        text,
        "[chat.component.\"{name}\"]\ntarget = \"{host}\"\nsecret = \"bench\"\ndomains = {}\n",
        list(domains)
    );
}

fn peer(text: &mut String, link: usize, site: &str, domains: &[String], profile: &str, place: &str) {
    let _ = write!(
        text,
        "[chat.peer.peer{link}]\nsite = \"{site}\"\ndomains = {}\nlink = \"link{link}\"\nfilter = \"sat\"\n\
         [link.link{link}]\ncarriage = \"xmpp\"\ntransport = \"xmpp_tcp\"\nprofile = \"{profile}\"\n\
         {place}\nbits_per_second = 10000000\n[link.link{link}.site.\"{site}\"]\n",
        list(domains)
    );
}

/// A list as TOML has it.
fn list(names: &[String]) -> String {
    format!("{names:?}")
}

fn table(rows: Vec<Vec<Cell>>) -> Table {
    Table {
        name: "chat_memory",
        title: format!(
            "Resident memory (VmRSS; the most: VmHWM) of one gateway with {DOMAINS} domains on its fast side and {LINKS} links \
             by TCP. The bar is for a gateway at rest with its cache full: {} s after the last stanza.",
            REST.as_secs()
        ),
        columns: vec![("profile", "profile"), ("state", "state"), ("resident_megabytes", "memory MB"), ("bar", "bar")],
        rows,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{self, Text};

    #[test]
    fn the_configurations_are_in_order() {
        let links: Vec<SocketAddr> = (1..=8).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
        for profile in PROFILES {
            for text in [of_hq(profile, links[0], &links), of_far(profile, links[0], &links)] {
                let file = Text { file: "x.toml".to_owned(), text: head(Path::new("/x")) + &text };
                let loaded = config::load(&[file], &BTreeMap::new()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
                assert_eq!(loaded.site.chat.map(|chat| chat.peers.len()), Some(LINKS));
            }
        }
    }
}
