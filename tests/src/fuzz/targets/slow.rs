//! The slow side of chat: units of the profile `skywave`, streams of the profile `standard`.

use std::collections::BTreeSet;

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Duration, Now, WallTime};
use skywave_protocols::xmpp::Stanza;
use skywave_protocols::xmpp::slow::{Medium, Outgoing, Profile, Session, SlowConfig, SlowOutput};

use super::{BEGIN, drain, later, steps};

const MEDIUM: Medium = Medium { boundaries: true, unit_octets_max: 512, bits_per_second: 1_200 };

struct End {
    session: Session,
    units: Vec<Vec<u8>>,
    arrived: Vec<String>,
}

fn end(profile: Profile, seed: u64, now: Now) -> End {
    let mut config = SlowConfig::new(profile);
    config.linger = Some(Duration::ZERO);
    config.compress = profile == Profile::Standard;
    let mut session = Session::new(config, Box::new(Seeded::new(seed)));
    session.medium_up(now, MEDIUM);
    session.set_room(now, 100, 1 << 20);
    End { session, units: Vec::new(), arrived: Vec::new() }
}

impl End {
    fn settle(&mut self, now: Now) {
        let mut units = Vec::new();
        drain(|| {
            let Some(output) = self.session.poll() else { return false };
            match output {
                SlowOutput::Unit { unit, content, .. } => units.push((unit, content.to_vec())),
                SlowOutput::Save { save, arrived, .. } => {
                    self.arrived.extend(arrived.iter().map(body));
                    self.session.stored(now, save);
                }
                SlowOutput::Early { arrived } => self.arrived.extend(arrived.iter().map(body)),
                _ => {}
            }
            true
        });
        for (unit, content) in units {
            self.units.push(content);
            self.session.unit_delivered(now, unit);
        }
        self.session.set_room(now, 100, 1 << 20);
    }

    fn hear(&mut self, now: Now, octets: &[u8]) {
        self.session.arrived(now, octets);
        self.settle(now);
    }
}

fn body(stanza: &Stanza) -> String {
    stanza.element().get_child("body", "jabber:server").map_or_else(String::new, |body| body.text())
}

/// Steps of a receiver: rubbish arrives, a stanza arrives, one arrives altered, it begins anew without its records.
/// What it hands on is what was said.
pub(super) fn skywave(octets: &[u8]) -> usize {
    let mut now = BEGIN;
    let mut here = end(Profile::Skywave, 1, now);
    let mut there = end(Profile::Skywave, 2, now);
    let (mut said, mut arrived) = (BTreeSet::new(), 0);
    for (number, (span, piece)) in (1..).zip(steps(octets)) {
        now = later(now, span);
        here.session.handle_wakeup(now);
        match span.as_secs() % 4 {
            0 => there.hear(now, piece),
            3 => there = end(Profile::Skywave, number + 2, now),
            _ => submit(&mut here, now, number, piece, &mut said),
        }
        here.settle(now);
        for mut unit in std::mem::take(&mut here.units) {
            if let (2, &[value, at, ..]) = (span.as_secs() % 4, piece) {
                let at = usize::from(at) % unit.len();
                unit[at] ^= value;
            }
            there.hear(now, &unit);
        }
        for unit in std::mem::take(&mut there.units) {
            here.hear(now, &unit);
        }
        for text in std::mem::take(&mut there.arrived) {
            assert!(said.contains(&text), "never said: {text}");
            arrived += 1;
        }
    }
    arrived
}

fn submit(here: &mut End, now: Now, number: u64, piece: &[u8], said: &mut BTreeSet<String>) {
    let text: String =
        String::from_utf8_lossy(piece).chars().filter(|sign| sign.is_alphanumeric() || *sign == ' ').collect();
    let written =
        format!("<message to='bob@field.example' from='anna@hq.example/desk' id='x'><body>{text}</body></message>");
    let Ok(stanza) = Stanza::parse(written.as_bytes()) else { return };
    said.insert(body(&stanza));
    let priority =
        if piece.first().is_some_and(|first| first % 5 == 0) { Precedence::Flash } else { Precedence::Routine };
    let outgoing =
        Outgoing { number, priority: priority.mt_priority(), label_context: 0, since: WallTime::default(), stanza };
    here.session.submit(now, outgoing);
}

/// Pieces of a compressed stream, whole or not, and what answers them.
pub(super) fn standard(octets: &[u8]) -> usize {
    let mut now = BEGIN;
    let mut end = end(Profile::Standard, 1, now);
    for (span, piece) in steps(octets) {
        now = later(now, span);
        end.session.handle_wakeup(now);
        end.hear(now, piece);
    }
    end.arrived.len()
}
