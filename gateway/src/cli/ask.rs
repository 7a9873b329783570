//! Commands to a running site over its control socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::Value;

use super::args::{AtSite, Link, LinkVerb, Queue, QueueVerb, Track};
use super::exit::{self, Fault};
use super::{files, out, show};
use crate::node::command::{Command, Reply};
use crate::shell::control::SOCKET_NAME;

/// `skywave status`.
pub(super) fn status(site: &AtSite) -> Result<(), Fault> {
    let facts = ask(site, &Command::Status)?;
    print(site, &facts, show::status)
}

/// `skywave queue …`.
pub(super) fn queue(queue: &Queue) -> Result<(), Fault> {
    let site = &queue.site;
    let facts = ask(site, &queue_command(&queue.verb))?;
    match &queue.verb {
        QueueVerb::List { mailq: true, .. } => print(site, &facts, show::mailq),
        QueueVerb::List { mailq: false, .. } => print(site, &facts, show::mails),
        QueueVerb::Show { .. } => print(site, &facts, show::mail),
        QueueVerb::Hold { .. }
        | QueueVerb::Release { .. }
        | QueueVerb::Retry { .. }
        | QueueVerb::Reroute { .. }
        | QueueVerb::Precedence { .. }
        | QueueVerb::Quarantine { .. }
        | QueueVerb::Delete { .. } => print(site, &facts, show::facts),
    }
}

fn queue_command(verb: &QueueVerb) -> Command {
    match verb.clone() {
        QueueVerb::List { limit, link, .. } => Command::QueueList { limit, link },
        QueueVerb::Show { ticket } => Command::QueueShow { ticket },
        QueueVerb::Hold { ticket } => Command::QueueHold { ticket },
        QueueVerb::Release { ticket } => Command::QueueRelease { ticket },
        QueueVerb::Retry { ticket } => Command::QueueRetry { ticket },
        QueueVerb::Reroute { ticket, link } => Command::QueueReroute { ticket, link },
        QueueVerb::Precedence { ticket, precedence } => Command::QueuePrecedence { ticket, precedence },
        QueueVerb::Quarantine { number } => Command::QueueQuarantine { number },
        QueueVerb::Delete { ticket, report } => Command::QueueDelete { ticket, report },
    }
}

/// `skywave link …`.
pub(super) fn link(link: &Link) -> Result<(), Fault> {
    let facts = ask(&link.site, &link_command(&link.verb))?;
    match &link.verb {
        LinkVerb::List => print(&link.site, &facts, show::links),
        LinkVerb::Show { .. }
        | LinkVerb::Up { .. }
        | LinkVerb::Down { .. }
        | LinkVerb::Ping { .. }
        | LinkVerb::Emcon { .. }
        | LinkVerb::Silence { .. } => print(&link.site, &facts, show::facts),
    }
}

fn link_command(verb: &LinkVerb) -> Command {
    match verb.clone() {
        LinkVerb::List => Command::LinkList,
        LinkVerb::Show { link } => Command::LinkShow { link },
        LinkVerb::Up { link } => Command::LinkUp { link },
        LinkVerb::Down { link } => Command::LinkDown { link },
        LinkVerb::Ping { link, site, timeout_seconds } => Command::LinkPing { link, site, timeout_seconds },
        LinkVerb::Emcon { state, link } => Command::Emcon { link, on: state == "on" },
        LinkVerb::Silence { link, site, state, until } => Command::Silence { link, site, on: state == "on", until },
    }
}

/// `skywave track`.
pub(super) fn track(track: &Track) -> Result<(), Fault> {
    let facts = ask(&track.site, &Command::Track { id: track.id.clone() })?;
    print(&track.site, &facts, show::mail)
}

/// Prints facts as they are, or in words.
pub(super) fn print(site: &AtSite, facts: &Value, words: fn(&Value) -> String) -> Result<(), Fault> {
    let text = if site.json { format!("{facts}\n") } else { words(facts) };
    out::text(&text)
}

/// Asks the running site.
///
/// # Errors
/// 69 when no site runs there, else what the site says.
pub(super) fn ask(site: &AtSite, command: &Command) -> Result<Value, Fault> {
    let unavailable = |why: String| Fault::new(exit::UNAVAILABLE, why);
    let socket = run_directory(site)?.join(SOCKET_NAME);
    let mut stream = UnixStream::connect(&socket)
        .map_err(|error| unavailable(format!("no site runs at {}: {error}", socket.display())))?;
    let mut line = serde_json::to_vec(command).map_err(|error| Fault::new(exit::SOFTWARE, error.to_string()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(|error| unavailable(error.to_string()))?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).map_err(|error| unavailable(error.to_string()))?;
    match serde_json::from_str(&reply) {
        Ok(Reply::Ok(facts)) => Ok(facts),
        Ok(Reply::Error { why, code }) => Err(Fault::new(code, why)),
        Err(_) => Err(unavailable("the site ended before it answered".to_owned())),
    }
}

fn run_directory(site: &AtSite) -> Result<PathBuf, Fault> {
    if let Some(directory) = &site.run_directory {
        return Ok(directory.clone());
    }
    let loaded = files::load_or_tell(&site.config)?;
    loaded.shell.run.ok_or_else(|| Fault::new(exit::CONFIGURATION, "the site has no control socket"))
}
