//! Memory of one gateway with 1,000 domains on its fast side, 8 links and 10,000 cached presences.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::super::BenchFault;
use super::super::folder::Folder;
use super::super::process::free_address;
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
    let gateway = folder.sub("gateway")?;
    let config = gateway.join("skywave.toml");
    let text = configuration(&gateway, &host.address.to_string())?;
    std::fs::write(&config, text).map_err(|error| BenchFault::local("a gateway's configuration", error))?;
    let (running, _) = site::start(&gateway, &config)?;
    let resident = || running.resident().unwrap_or_default() as f64 / 1e6;
    let mut components = Vec::new();
    for link in 0..LINKS {
        components.push(host.component(&format!("site{link}.test"), PATIENCE)?);
    }
    let before = resident();
    for number in 0..PRESENCES {
        let (domain, link) = (number % DOMAINS, number % LINKS);
        let text = format!(
            "<presence from='user{number}@domain{domain}.test/desk' to='bob@site{link}.test'><show>away</show>\
             <status>At the bridge</status></presence>"
        );
        components[link].write_all(text.as_bytes()).map_err(|error| BenchFault::local("a host", error))?;
    }
    // What the gateway answers itself comes back when it has taken everything before it.
    for (link, component) in components.iter_mut().enumerate() {
        let ping = format!(
            "<iq type='get' id='n{link}' from='user@domain{link}.test/desk' to='site{link}.test'>\
             <ping xmlns='urn:xmpp:ping'/></iq>"
        );
        component.write_all(ping.as_bytes()).map_err(|error| BenchFault::local("a host", error))?;
    }
    for _ in 0..LINKS {
        answers.recv_timeout(PATIENCE).map_err(|_| BenchFault::Process("a ping was not answered".to_owned()))?;
    }
    let full = resident();
    Ok(Report { facts: Vec::new(), tables: vec![table(before, full)] })
}

fn configuration(folder: &Path, host: &str) -> Result<String, BenchFault> {
    let place = folder.display();
    let domains: Vec<String> = (0..DOMAINS).map(|number| format!("\"domain{number}.test\"")).collect();
    let mut text = format!(
        "site = \"hq.test\"\nspool_directory = \"{place}/spool\"\nrun_directory = \"{place}/run\"\n\
         [mail]\nlisten = [\"127.0.0.1:0\"]\nhostname = \"gateway.hq.test\"\n[chat]\n"
    );
    for link in 0..LINKS {
        let name = format!("site{link}.test");
        // Nobody listens at the far end: nothing leaves, everything is kept.
        let far = free_address()?;
        let _ = write!(
            text,
            "[chat.component.\"{name}\"]\ntarget = \"{host}\"\nsecret = \"bench\"\ndomains = [{}]\n\
             [chat.peer.peer{link}]\nsite = \"{name}\"\ndomains = [\"{name}\"]\nlink = \"link{link}\"\nfilter = \"none\"\n\
             [link.link{link}]\ncarriage = \"xmpp\"\ntransport = \"xmpp_tcp\"\nconnect = \"{far}\"\n\
             [link.link{link}.site.\"{name}\"]\n",
            domains.join(", ")
        );
    }
    Ok(text)
}

fn table(before: f64, full: f64) -> Table {
    let row = |state: &str, megabytes: f64, bar| vec![Cell::text(state), Cell::Real(megabytes, 1), bar];
    Table {
        name: "chat_memory",
        title: format!(
            "Resident memory (VmRSS) of one gateway with {DOMAINS} domains on its fast side, {LINKS} links that are \
             down, and users' presence for all of them."
        ),
        columns: vec![("state", "state"), ("resident_megabytes", "memory MB"), ("bar", "bar")],
        rows: vec![
            row("connected", before, Cell::Empty),
            row(
                &format!("{PRESENCES} presences cached"),
                full,
                Cell::Bar(format!("at most {MEGABYTES_MAX}"), full <= MEGABYTES_MAX),
            ),
        ],
    }
}
