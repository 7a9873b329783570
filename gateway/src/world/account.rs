//! The account of a failed world: what was broken, what is still owed, and the last lines of all logs in order.

use std::fmt::Write as _;

use super::World;

/// Lines of the log that a failure shows.
const LOG_LINES_SHOWN: usize = 60;

/// Where and why a world failed, with everything that helps to see what went wrong.
pub fn failure(world: &World, place: &str, why: &str) -> String {
    let mut text = format!("{place}: {why}\nat {:.3} s", world.at().as_micros() as f64 / 1e6);
    for violation in world.violations() {
        let _ = write!(text, "\nVIOLATION {violation}");
    }
    for duty in world.checkers.duties.iter().filter(|duty| !duty.is_met()) {
        let _ = write!(text, "\nopen: {} to {}", duty.message_id, duty.to);
    }
    for duty in world.checkers.chat.duties.iter().filter(|duty| !duty.is_met()) {
        let _ = write!(text, "\nopen: {:?}", duty.key);
    }
    for errand in world.errands() {
        let _ = write!(text, "\nerrand {} {:?}: {:?}", errand.message_id, errand.order.subject, errand.answer);
    }
    for site in &world.sites {
        let _ = write!(
            text,
            "\n{}: owes {} mails and {} stanzas, took {} mails",
            site.name,
            site.disk.owes(),
            site.disk.owes_stanzas(),
            site.mta.received().len()
        );
    }
    let log = log(world);
    for line in log.iter().skip(log.len().saturating_sub(LOG_LINES_SHOWN)) {
        let _ = write!(text, "\n{line}");
    }
    text
}

/// The lines of all logs that are still known, in order.
pub fn log(world: &World) -> Vec<String> {
    let mut log: Vec<(u64, &str, String)> = Vec::new();
    for site in &world.sites {
        let line = |told: &super::site::Told| {
            (told.at.as_micros(), site.name.as_str(), serde_json::to_string(&told.event).unwrap_or_default())
        };
        log.extend(site.told.iter().map(line));
    }
    log.sort();
    log.iter().map(|(at, site, line)| format!("{:>12.3} {site:<6} {line}", *at as f64 / 1e6)).collect()
}
