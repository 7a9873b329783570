//! What goes as single units, and what does not.

use std::collections::BTreeMap;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Duration, Now};
use skywave_protocols::xmpp::Stanza;
use skywave_protocols::xmpp::slow::{Medium, Profile, SlowConfig};
use skywave_transports::io::{Row, Space};

use super::super::config::EmconRule;
use super::super::restore::Rows;
use super::super::{Chat, ChatOutput, Line, LinkState, Way};
use super::pair::{config, message};

const ANN: &str = "ann@hq.test/a";
const BOB: &str = "bob@field.test/b";

/// The file says that the far site is silent, and it spoke before the restart: what is in a block of the stream stays there.
#[test]
fn what_is_in_a_block_of_the_stream_does_not_go_as_a_unit_after_a_restart() {
    let now = Now::default();
    let mut hq = config("hq.test", &["field.test"]);
    hq.peers[0].emcon = EmconRule::Units;
    hq.peers[0].units = Some(("broadcast".into(), SlowConfig::new(Profile::Units)));
    let medium = Medium { boundaries: true, unit_octets_max: 2_034, bits_per_second: 1_200 };
    let state = LinkState { up: true, allowed: true, medium, units: 64, octets: 1 << 20 };
    let mut rows: BTreeMap<(Space, Vec<u8>), Bytes> = BTreeMap::new();
    let mut run = |silent: bool, says: Option<&str>| {
        hq.peers[0].silent = silent;
        let of = |space| {
            let of_space = rows.iter().filter(|((at, _), _)| *at == space);
            of_space.map(|((_, key), value)| Row { key: key.clone(), value: value.clone() }).collect()
        };
        let left = Rows {
            site: of(Space::Site),
            out: of(Space::ChatOut),
            local: of(Space::ChatIn),
            sessions: of(Space::ChatLink),
            presence: of(Space::Presence),
        };
        let mut chat = Chat::new(hq.clone(), now, &mut Seeded::new(1));
        chat.start(now, left);
        for way in [Way::Stream, Way::Units] {
            chat.link_state(now, Line { peer: 0, way }, &state);
        }
        if let Some(text) = says {
            chat.outward(now, 1, Stanza::parse(text.as_bytes()).unwrap());
        }
        let mut ways = Vec::new();
        for second in 0..5 {
            let now = now.after(Duration::from_secs(second));
            chat.handle_wakeup(now);
            while let Some(output) = chat.poll() {
                match output {
                    ChatOutput::Store { number, writes, .. } => {
                        for write in writes {
                            match write.value {
                                Some(value) => rows.insert((write.space, write.key), value),
                                None => rows.remove(&(write.space, write.key)),
                            };
                        }
                        chat.stored(now, number);
                    }
                    ChatOutput::Unit(line, _) => ways.push(line.way),
                    _other => {}
                }
            }
        }
        ways
    };
    assert_eq!(run(false, Some(&message("1", ANN, BOB, ""))), [Way::Stream]);
    assert_eq!(run(true, None), [], "the far site may have it");
    assert_eq!(run(true, Some(&message("2", ANN, BOB, ""))), [], "nor does what follows overtake it");
    assert_eq!(run(true, Some(&message("3", "eve@hq.test/e", BOB, ""))), [Way::Units]);
    // The silence has ended. What the carrier of units may have handed over goes by no stream as well.
    let all = [Way::Units, Way::Stream, Way::Stream];
    assert_eq!(run(false, None), all, "the first two by the stream, the third as the unit that it was");
    assert_eq!(run(false, Some(&message("4", "eve@hq.test/e", BOB, ""))), all, "what follows a unit waits for it");
}
