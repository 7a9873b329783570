//! The result of a demonstration: the object that `demo --once --json` prints.

use serde::Serialize;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::WallTime;

use super::chat::LineFate;
use super::ledger::{Fate, Ledger};
use super::samples::Start;

/// Everything that happened.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Outcome {
    /// Whether everything came as it should: see [`Outcome::faults`].
    pub ok: bool,
    /// What did not, in words; empty when all is well.
    pub faults: Vec<String>,
    /// The messages, in the order of submission.
    pub messages: Vec<Message>,
    /// The links.
    pub links: Vec<Link>,
    /// How many times as fast time ran.
    pub speed: u32,
    /// Rate of the radio in bit/s.
    pub bits_per_second: u32,
    /// The seed of the weather and of the samples.
    pub seed: u64,
}

/// A message.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Message {
    /// Its Message-ID.
    pub id: String,
    /// Its ticket at the site it entered.
    pub ticket: Option<String>,
    /// `mail` or `chat`.
    pub kind: &'static str,
    /// Its subject; of a line of chat the text.
    pub subject: String,
    /// Reverse path.
    pub from: String,
    /// Forward paths.
    pub to: Vec<String>,
    /// Its precedence.
    pub precedence: Precedence,
    /// Octets of its text.
    pub bytes: usize,
    /// Octets handed to the medium for it, headers and repeats included.
    pub bytes_on_air: u64,
    /// When the site had it on its disk, on the demonstration's clock.
    pub accepted_at: Option<String>,
    /// When the last mailbox had it.
    pub delivered_at: Option<String>,
    /// When the site it entered had every confirmation.
    pub confirmed_at: Option<String>,
    /// From acceptance to delivery.
    pub seconds: Option<f64>,
}

/// A site's link.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Link {
    /// `site/link`.
    pub name: String,
    /// How it carries.
    pub transport: String,
    /// Units it began to send.
    pub units_sent: u64,
    /// Octets that its station put on the air: every frame, repeat and acknowledgement, of all links of the station.
    pub bytes_on_air: u64,
    /// How long its station was on the air.
    pub seconds_on_air: f64,
    /// Transmissions of its station.
    pub transmissions: u64,
    /// Transmissions in EMCON: none.
    pub emissions_in_emcon: u64,
}

/// Judges what happened.
pub fn faults(ledger: &Ledger) -> Vec<String> {
    let mut faults = Vec::new();
    for fate in &ledger.fates {
        let id = &fate.sample.draft.message_id;
        if let Some(reply) = &fate.refused {
            faults.push(format!("{id} was refused: {reply}"));
            continue;
        }
        for to in &fate.sample.draft.to {
            match fate.delivered.get(to).map_or(0, Vec::len) {
                0 => faults.push(format!("{id} did not reach {to}")),
                1 => {}
                times => faults.push(format!("{id} reached {to} {times} times")),
            }
        }
    }
    let long = ledger.long();
    for flash in ledger.fates.iter().filter(|fate| fate.sample.precedence == Precedence::Flash) {
        let id = &flash.sample.draft.message_id;
        if !long.is_some_and(|long| overtook(flash, long)) {
            faults.push(format!("{id} did not overtake the long message"));
        }
    }
    faults
}

/// Whether `flash` was submitted after `long` and arrived before it.
fn overtook(flash: &Fate, long: &Fate) -> bool {
    let times = (long.accepted_at, flash.submitted_at, flash.delivered_at(), long.delivered_at());
    let (Some(long_in), Some(flash_in), Some(flash_out), Some(long_out)) = times else { return false };
    flash.sample.start == Start::WhileLong && long_in < flash_in && flash_in < flash_out && flash_out < long_out
}

/// The message of a fate.
pub fn message(fate: &Fate) -> Message {
    let subject = crate::world::local_mta::header(&fate.sample.draft.text, "subject");
    let seconds =
        fate.accepted_at.zip(fate.delivered_at()).map(|(from, to)| milliseconds(to.since(from).as_secs_f64()));
    Message {
        id: fate.sample.draft.message_id.trim_matches(['<', '>']).to_owned(),
        ticket: fate.ticket.clone(),
        kind: "mail",
        subject: subject.unwrap_or_default(),
        from: fate.sample.draft.from.clone(),
        to: fate.sample.draft.to.clone(),
        precedence: fate.sample.precedence,
        bytes: fate.sample.draft.text.len(),
        bytes_on_air: fate.bytes_on_air(),
        accepted_at: fate.accepted_at.map(rfc3339),
        delivered_at: fate.delivered_at().map(rfc3339),
        confirmed_at: fate.confirmed_at.map(rfc3339),
        seconds,
    }
}

/// The message of a line of chat.
pub fn chat_message(fate: &LineFate) -> Message {
    let (from, to) = fate.line.ends();
    let delivered_at = fate.heard_at.first().copied();
    Message {
        id: fate.id.clone(),
        ticket: None,
        kind: "chat",
        subject: fate.line.text.clone(),
        from,
        to: vec![to.to_owned()],
        precedence: fate.precedence.unwrap_or(Precedence::Routine),
        bytes: fate.bytes,
        bytes_on_air: fate.bytes_on_air,
        accepted_at: fate.accepted_at.map(rfc3339),
        delivered_at: delivered_at.map(rfc3339),
        confirmed_at: fate.confirmed_at.map(rfc3339),
        seconds: fate.accepted_at.zip(delivered_at).map(|(from, to)| milliseconds(to.since(from).as_secs_f64())),
    }
}

fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// `2030-03-17T17:46:40.123Z`.
pub fn rfc3339(at: WallTime) -> String {
    let format =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let nanos = i128::from(at.unix_micros()) * 1000;
    let moment = time::OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    moment.and_then(|moment| moment.format(&format).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::samples::samples;

    fn played(flash_at: u64, long_at: u64) -> Ledger {
        let mut ledger = Ledger::new(samples(&["hq".to_owned(), "field".to_owned()], 1));
        let at = WallTime::from_unix_seconds;
        let all: Vec<_> = ledger.fates.iter().map(|fate| fate.sample.clone()).collect();
        for (index, sample) in all.iter().enumerate() {
            let (submitted, delivered) = match (sample.long, sample.precedence) {
                (true, _) => (50, long_at),
                (false, Precedence::Flash) => (100, flash_at),
                _ => (10, 40),
            };
            ledger.fates[index].submitted_at = Some(at(submitted));
            ledger.fates[index].accepted_at = Some(at(submitted + 1));
            ledger.taken(at(delivered), &sample.draft.message_id, &sample.draft.to);
        }
        ledger
    }

    #[test]
    fn a_flash_that_overtakes_is_good_and_others_are_not() {
        for (flash, long, good) in [(120, 900, true), (950, 900, false), (99, 900, false)] {
            assert_eq!(faults(&played(flash, long)).is_empty(), good, "{flash} {long}");
        }
    }

    #[test]
    fn what_is_missing_or_doubled_is_named() {
        let mut ledger = played(120, 900);
        let first = ledger.fates[0].sample.draft.clone();
        ledger.taken(WallTime::from_unix_seconds(60), &first.message_id, &first.to);
        ledger.fates[2].delivered.remove("bravo@field.test");
        assert_eq!(faults(&ledger).len(), 2, "{:?}", faults(&ledger));
        assert!(!ledger.is_complete());
    }

    #[test]
    fn times_are_printed() {
        assert_eq!(rfc3339(WallTime::from_unix_micros(1_900_000_000_123_456)), "2030-03-17T17:46:40.123Z");
        let message = message(&played(120, 900).fates[0]);
        assert_eq!((message.seconds, message.subject.as_str()), (Some(29.0), "Good morning"));
    }
}
