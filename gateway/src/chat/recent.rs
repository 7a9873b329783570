//! What became of stanzas lately, for `skywave track`: in memory only, the one longest unheard of goes first.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};
use skywave_protocols::time::WallTime;

use super::limits::{RECENT_EVENTS_MAX, RECENT_STANZAS_MAX};
use super::lines::meant;
use crate::telemetry::StanzaLine;

/// The lives of stanzas. See the module.
#[derive(Debug, Default)]
pub(super) struct Recent {
    lives: BTreeMap<u64, Life>,
    /// The life of a number.
    numbers: BTreeMap<u64, u64>,
    next: u64,
}

#[derive(Debug)]
struct Life {
    last: StanzaLine,
    history: VecDeque<(WallTime, String)>,
}

impl Recent {
    /// Something became of a stanza. Presence is left out: there is much of it, and nobody looks for it by number.
    pub(super) fn note(&mut self, at: WallTime, line: &StanzaLine) {
        if line.kind == "presence" {
            return;
        }
        // What never waited has no number of the gateway.
        let number = meant(&line.number);
        let known = number.and_then(|number| self.numbers.get(&number).copied());
        let history = known.and_then(|at| self.lives.remove(&at)).map(|life| life.history);
        let mut life = Life { last: line.clone(), history: history.unwrap_or_default() };
        if life.history.len() >= RECENT_EVENTS_MAX {
            life.history.pop_front();
        }
        life.history.push_back((at, format!("{}: {}", line.status.name(), line.text)));
        self.next += 1;
        if let Some(number) = number {
            self.numbers.insert(number, self.next);
        }
        self.lives.insert(self.next, life);
        if self.lives.len() > RECENT_STANZAS_MAX
            && let Some((_, gone)) = self.lives.pop_first()
            && let Some(number) = meant(&gone.last.number)
        {
            self.numbers.remove(&number);
        }
    }

    /// The one with this number, or the last one with this id.
    pub(super) fn find(&self, id: &str) -> Option<Value> {
        let by_number = self.numbered(id);
        let by_id = || self.lives.values().rev().find(|life| life.last.id == id);
        let life = by_number.or_else(by_id)?;
        let line = &life.last;
        Some(json!({
            "number": line.number,
            "kind": line.kind,
            "id": line.id,
            "from": line.from,
            "to": line.to,
            "peer": line.peer,
            "bytes": line.bytes,
            "precedence": line.precedence,
            "status": line.status.name(),
            "history": life.history(),
        }))
    }

    /// What became of the one with this number so far.
    pub(super) fn history(&self, number: &str) -> Option<Value> {
        Some(self.numbered(number)?.history())
    }

    fn numbered(&self, number: &str) -> Option<&Life> {
        self.lives.get(self.numbers.get(&meant(number)?)?)
    }
}

impl Life {
    fn history(&self) -> Value {
        let entry =
            |(at, what): &(WallTime, String)| json!({ "at_unix_seconds": at.unix_micros() as f64 / 1e6, "what": what });
        self.history.iter().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use skywave_protocols::message::precedence::Precedence;

    use super::*;
    use crate::telemetry::StanzaFate;

    fn line(number: &str, id: &str, status: StanzaFate) -> StanzaLine {
        StanzaLine {
            number: number.to_owned(),
            kind: "message",
            id: id.to_owned(),
            from: "a@hq.test".to_owned(),
            to: "b@field.test".to_owned(),
            peer: "field".to_owned(),
            bytes: 100,
            delay_seconds: 0.0,
            precedence: Precedence::Routine,
            status,
            text: "so".to_owned(),
        }
    }

    #[test]
    fn lives_are_found_by_number_and_id_until_too_many_came_after() {
        let mut recent = Recent::default();
        let at = WallTime::from_unix_seconds;
        recent.note(at(1), &line("c1", "x", StanzaFate::Accepted));
        recent.note(at(9), &line("c1", "x", StanzaFate::Sent));
        recent.note(at(9), &line("NOQUEUE", "y", StanzaFate::Returned));
        recent.note(at(9), &StanzaLine { kind: "presence", ..line("c2", "z", StanzaFate::Sent) });
        let found = recent.find("c1").unwrap();
        assert_eq!(found["status"], "sent");
        assert_eq!(found["history"][0]["what"], "accepted: so");
        assert_eq!(recent.find("x"), Some(found.clone()));
        assert_eq!(recent.history("c1").unwrap(), found["history"]);
        assert_eq!((recent.find("y").unwrap()["status"].clone(), recent.find("z")), (json!("returned"), None));
        for number in 10..10 + RECENT_STANZAS_MAX {
            recent.note(at(10), &line(&format!("c{number:x}"), "n", StanzaFate::Accepted));
        }
        assert_eq!((recent.find("c1"), recent.find("y")), (None, None));
        assert_eq!((recent.lives.len(), recent.numbers.len()), (RECENT_STANZAS_MAX, RECENT_STANZAS_MAX));
        for _ in 0..2 * RECENT_EVENTS_MAX {
            recent.note(at(11), &line("ca", "n", StanzaFate::Deferred));
        }
        assert_eq!(recent.find("ca").unwrap()["history"].as_array().unwrap().len(), RECENT_EVENTS_MAX);
    }
}
