//! The compressed stream of a link in the profiles of the XEPs: units of one direction, each with its length in two octets
//! before it (that is of the vectors alone; on the air a U_PDU says it), and the stanzas that each of them holds.
//!
//! It is the session itself that reads and writes them, over a medium with boundaries.

use serde_json::{Value, json};
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Duration, Now};
use skywave_protocols::xmpp::Stanza;
use skywave_protocols::xmpp::slow::{Medium, Outgoing, Profile, Session, SlowConfig, SlowOutput};

use super::fields::Fields;
use crate::subject::Refusal;

const RCOP: Medium = Medium { boundaries: true, unit_octets_max: 2_048, bits_per_second: 1_200 };
/// What the session says of a unit that it cannot read.
const BROKEN: &str = "chat-stream-broken";

/// What units mean.
pub fn decode(octets: &[u8]) -> Result<Value, Refusal> {
    let mut session = session();
    let mut units = Vec::new();
    let mut rest = octets;
    while let [high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let unit = tail.get(..length).ok_or_else(|| Refusal::new("truncated", "a unit is not complete"))?;
        rest = tail.get(length..).unwrap_or_default();
        session.arrived(Now::default(), unit);
        let told = drain(&mut session);
        if told.broken {
            return Err(Refusal::new("broken", format!("unit {} cannot be read", units.len() + 1)));
        }
        if told.stanzas.is_empty() {
            return Err(Refusal::new("no_stanza", format!("unit {} ends no stanza", units.len() + 1)));
        }
        units.push(json!({ "stanzas": told.stanzas, "new_stream": begins(unit) }));
    }
    if rest.is_empty() { Ok(json!({ "units": units })) } else { Err(Refusal::new("truncated", "half a length")) }
}

/// The octets of a meaning.
pub fn encode(tree: &Value) -> Result<Vec<u8>, Refusal> {
    let mut session = session();
    let (mut octets, mut number) = (Vec::new(), 0);
    for (index, unit) in Fields::of(tree).list("units")?.iter().enumerate() {
        let unit = Fields::of(unit);
        if unit.flag("new_stream")? && index > 0 {
            session.medium_up(Now::default(), RCOP);
        }
        session.set_room(Now::default(), 0, 0);
        for stanza in unit.texts("stanzas")? {
            number += 1;
            let stanza = Stanza::parse(stanza.as_bytes()).map_err(|fault| Refusal::new("field", fault.to_string()))?;
            let priority = Precedence::Routine.mt_priority();
            let since = Now::default().wall;
            session.submit(Now::default(), Outgoing { number, priority, label_context: 0, since, stanza });
        }
        session.set_room(Now::default(), 1, 1 << 20);
        for content in drain(&mut session).units {
            octets.extend(u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes());
            octets.extend(content);
        }
    }
    Ok(octets)
}

fn session() -> Session {
    let config = SlowConfig { linger: Some(Duration::ZERO), ..SlowConfig::new(Profile::MLinkR17) };
    let mut session = Session::new(config, Box::new(Seeded::new(1)));
    session.medium_up(Now::default(), RCOP);
    session
}

/// Whether a unit begins with the header of a zlib stream (RFC 1950 section 2.2).
const fn begins(unit: &[u8]) -> bool {
    match unit {
        [first, second, ..] => *first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31),
        _ => false,
    }
}

/// What a session said.
#[derive(Default)]
struct Told {
    stanzas: Vec<String>,
    units: Vec<Vec<u8>>,
    broken: bool,
}

fn drain(session: &mut Session) -> Told {
    let mut told = Told::default();
    while let Some(output) = session.poll() {
        match output {
            SlowOutput::Save { save, arrived, .. } => {
                let written = arrived.iter().map(|stanza| String::from_utf8_lossy(&stanza.octets()).into_owned());
                told.stanzas.extend(written);
                session.stored(Now::default(), save);
            }
            SlowOutput::Unit { unit, content, .. } => {
                told.units.push(content.to_vec());
                session.unit_delivered(Now::default(), unit);
            }
            SlowOutput::Notice { name, .. } => told.broken |= name == BROKEN,
            SlowOutput::Beside { .. }
            | SlowOutput::Early { .. }
            | SlowOutput::Done { .. }
            | SlowOutput::Refused { .. }
            | SlowOutput::Restart
            | SlowOutput::Counted { .. } => {}
        }
    }
    told
}
