//! The targets, one row each; the name is also that of the corpus.

mod chat;
mod kept;
mod mail;
mod node;
mod radio;
mod rules;
mod slow;

use skywave_protocols::time::{Duration, Instant, Now, WallTime};

use super::Target;

/// All targets.
pub fn all() -> &'static [Target] {
    &[
        Target { name: "address", run: mail::address },
        Target { name: "bsmtp", run: mail::bsmtp },
        Target { name: "c_pdu", run: node::c_pdu },
        Target { name: "cas", run: node::cas },
        Target { name: "configuration", run: kept::configuration },
        Target { name: "d_pdu", run: node::d_pdu },
        Target { name: "dts", run: node::dts },
        Target { name: "mule", run: mail::mule },
        Target { name: "p_mul", run: radio::p_mul },
        Target { name: "p_mul_pdu", run: radio::p_mul_pdu },
        Target { name: "rcop", run: radio::rcop },
        Target { name: "record", run: kept::record },
        Target { name: "rules", run: rules::rules },
        Target { name: "s_pdu", run: node::s_pdu },
        Target { name: "shared_radio", run: radio::shared_radio },
        Target { name: "sis_client", run: radio::sis_client },
        Target { name: "sis_server", run: radio::sis_server },
        Target { name: "slow_managed", run: slow::managed },
        Target { name: "slow_skywave", run: slow::skywave },
        Target { name: "slow_standard", run: slow::standard },
        Target { name: "slow_stream", run: slow::stream },
        Target { name: "smtp", run: mail::smtp },
        Target { name: "stanza", run: chat::stanza },
        Target { name: "weather", run: kept::weather },
        Target { name: "xmpp_component", run: chat::xmpp_component },
        Target { name: "xmpp_stream", run: chat::xmpp_stream },
    ]
}

/// A time from which a target counts on.
const BEGIN: Now = Now { mono: Instant::from_micros(1_000_000_000), wall: WallTime::from_unix_seconds(1_694_500_000) };

fn later(now: Now, span: Duration) -> Now {
    Now { mono: now.mono + span, wall: now.wall + span }
}

/// Cuts an input into steps: one octet of seconds, two of length, so many octets.
fn steps(octets: &[u8]) -> impl Iterator<Item = (Duration, &[u8])> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let &[seconds, high, low, ref tail @ ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([high, low])).min(tail.len());
        let (piece, left) = tail.split_at(length);
        rest = left;
        Some((Duration::from_secs(u64::from(seconds)), piece))
    })
}

/// Turns that a machine may take for one input before it must rest.
const TURNS_MAX: usize = 10_000;

/// Drains until nothing comes; a machine that never rests is a finding.
fn drain(mut next: impl FnMut() -> bool) {
    let mut turns = 0;
    while next() {
        turns += 1;
        assert!(turns < TURNS_MAX, "the machine never rests");
    }
}
