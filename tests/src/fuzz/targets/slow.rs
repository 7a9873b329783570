//! The slow side of chat: units of the profile `skywave`, streams of the profile `standard`; both also over a medium
//! without boundaries, as TCP is.

use std::collections::BTreeSet;

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Duration, Now, WallTime};
use skywave_protocols::xmpp::Stanza;
use skywave_protocols::xmpp::slow::{Management, Medium, Outgoing, Profile, Session, SlowConfig, SlowOutput};

use super::{BEGIN, drain, later, steps};

const MEDIUM: Medium = Medium { boundaries: true, unit_octets_max: 512, bits_per_second: 1_200 };
const STREAM: Medium = Medium { boundaries: false, unit_octets_max: 1 << 16, bits_per_second: 64_000 };

struct End {
    session: Session,
    medium: Medium,
    /// The connection cannot go on.
    restart: bool,
    units: Vec<Vec<u8>>,
    arrived: Vec<String>,
}

fn end(profile: Profile, medium: Medium, seed: u64, now: Now) -> End {
    let compress = profile == Profile::Standard;
    with(SlowConfig { compress, ..SlowConfig::new(profile) }, medium, seed, now)
}

fn with(config: SlowConfig, medium: Medium, seed: u64, now: Now) -> End {
    let config = SlowConfig { linger: Some(Duration::ZERO), ..config };
    let mut session = Session::new(config, Box::new(Seeded::new(seed)));
    session.medium_up(now, medium);
    session.set_room(now, 100, 1 << 20);
    End { session, medium, restart: false, units: Vec::new(), arrived: Vec::new() }
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
                SlowOutput::Restart => self.restart = true,
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

    /// The connection begins anew; what was on the old one is gone.
    fn begin_anew(&mut self, now: Now) {
        self.restart = false;
        self.units.clear();
        self.session.medium_down(now);
        self.settle(now);
        self.session.medium_up(now, self.medium);
        self.settle(now);
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
    conversation(octets, MEDIUM)
}

/// The same over TCP: octets arrive in order, cut anywhere, and a connection that cannot go on begins anew.
pub(super) fn stream(octets: &[u8]) -> usize {
    conversation(octets, STREAM)
}

fn conversation(octets: &[u8], medium: Medium) -> usize {
    let mut now = BEGIN;
    let mut here = end(Profile::Skywave, medium, 1, now);
    let mut there = end(Profile::Skywave, medium, 2, now);
    let (mut said, mut arrived) = (BTreeSet::new(), 0);
    for (number, (span, piece)) in (1..).zip(steps(octets)) {
        now = later(now, span);
        here.session.handle_wakeup(now);
        match span.as_secs() % 4 {
            0 => there.hear(now, piece),
            3 => {
                there = end(Profile::Skywave, medium, number + 2, now);
                here.restart |= !medium.boundaries;
            }
            _ => submit(&mut here, now, number, piece, &mut said),
        }
        here.settle(now);
        for mut unit in std::mem::take(&mut here.units) {
            if let (2, &[value, at, ..]) = (span.as_secs() % 4, piece) {
                let at = usize::from(at) % unit.len();
                unit[at] ^= value;
            }
            // A stream is cut anywhere.
            let cut = if medium.boundaries { unit.len() } else { usize::from(span.as_secs() as u8) % (unit.len() + 1) };
            let (front, back) = unit.split_at(cut);
            [front, back].into_iter().filter(|part| !part.is_empty()).for_each(|part| there.hear(now, part));
        }
        for unit in std::mem::take(&mut there.units) {
            here.hear(now, &unit);
        }
        if here.restart || there.restart {
            here.begin_anew(now);
            there.begin_anew(now);
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
    listen(end(Profile::Standard, MEDIUM, 1, BEGIN), octets)
}

/// The same over TCP with stream management (XEP-0198), which the first octet chooses, and with stanzas of our own to be
/// counted.
pub(super) fn managed(octets: &[u8]) -> usize {
    let Some((&choice, octets)) = octets.split_first() else { return 0 };
    let management = [Management::Implicit, Management::Explicit][usize::from(choice & 1)];
    let compress = choice & 2 != 0;
    let mut here = with(SlowConfig { management, compress, ..SlowConfig::new(Profile::Standard) }, STREAM, 1, BEGIN);
    let mut said = BTreeSet::new();
    for number in 1..=u64::from(choice >> 2) {
        submit(&mut here, BEGIN, number, format!("line {number}").as_bytes(), &mut said);
    }
    here.settle(BEGIN);
    listen(here, octets)
}

fn listen(mut end: End, octets: &[u8]) -> usize {
    let mut now = BEGIN;
    for (span, piece) in steps(octets) {
        now = later(now, span);
        end.session.handle_wakeup(now);
        end.hear(now, piece);
        if end.restart {
            end.begin_anew(now);
        }
    }
    end.arrived.len()
}
