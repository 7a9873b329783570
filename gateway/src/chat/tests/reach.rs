//! A far site that cannot be reached: by the radio, by order, or for want of room.

use skywave_protocols::xmpp::rules::FilterConfig;

use super::super::config::EmconRule;
use super::pair::{FIELD, HQ, Pair, config, message};
use crate::telemetry::StanzaFate;

const ANN: &str = "ann@hq.test/a";
const BOB: &str = "bob@field.test/b";

fn pair() -> Pair {
    Pair::new(config("hq.test", &["field.test"]), config("field.test", &["hq.test"]))
}

fn ids(pair: &Pair, site: usize, fate: StanzaFate) -> Vec<&str> {
    pair.lines(site, fate).iter().map(|line| line.id.as_str()).collect()
}

/// The node works and the radio does not: after some minutes without a sign of the far site its link is down, until
/// there is one.
//= xmpp/CHAT-014
#[test]
fn a_radio_that_is_out_is_a_link_that_is_down() {
    let mut hq = config("hq.test", &["field.test"]);
    let rule = "[[to_link.rule]]\nmatch = { link_state = \"down\", has_body = true }\naction = \"reject\"";
    hq.peers[0].filter = toml::from_str::<FilterConfig>(rule).unwrap();
    let mut pair = Pair::new(hq, config("field.test", &["hq.test"]));
    let is_up = |pair: &Pair| pair.chats[HQ].show_line(super::pair::LINE)["up"] == true;
    pair.bring(HQ, &message("1", ANN, BOB, ""));
    pair.run(600);
    assert!(is_up(&pair), "nothing waits for an answer");
    pair.out = true;
    pair.run(7_200);
    assert!(is_up(&pair), "who says nothing does not know");
    pair.bring(HQ, &message("2", ANN, BOB, ""));
    pair.run(280);
    assert!(is_up(&pair), "others may have the air");
    pair.run(60);
    assert!(!is_up(&pair));
    pair.bring(HQ, &message("3", ANN, BOB, ""));
    assert_eq!(ids(&pair, HQ, StanzaFate::Answered), ["3"], "as the rule says");
    pair.out = false;
    pair.bring(FIELD, &message("4", BOB, ANN, ""));
    pair.run(10);
    assert!(is_up(&pair), "the far site was heard");
    pair.bring(HQ, &message("5", ANN, BOB, ""));
    pair.link(false);
    pair.link(true);
    pair.run(600);
    assert_eq!((pair.arrived(FIELD), pair.arrived(HQ)), (vec!["1", "2", "5"], vec!["4"]));
}

/// Of what is said once and never again nothing is refused: a contact would stay asked for, or shown, for good.
//= xmpp/CHAT-015
#[test]
fn subscriptions_wait_where_words_are_refused() {
    let mut hq = config("hq.test", &["field.test"]);
    hq.peers[0].emcon = EmconRule::Refuse;
    hq.peers[0].queue.stanzas_max = 20;
    let mut pair = Pair::new(hq, config("field.test", &["hq.test"]));
    pair.allow(HQ, false);
    pair.bring(HQ, &message("1", ANN, BOB, ""));
    for (id, typ) in [("2", "subscribed"), ("3", "unsubscribed")] {
        pair.bring(HQ, &format!("<presence id='{id}' type='{typ}' from='ann@hq.test' to='bob@field.test'/>"));
    }
    assert_eq!(ids(&pair, HQ, StanzaFate::Returned), ["1"]);
    pair.allow(HQ, true);
    pair.run(600);
    assert_eq!(pair.arrived(FIELD), ["2", "3"]);
}

/// Presence for which the local server has no room is dropped: for an error the far site would say no more of its user
/// for an hour.
#[test]
fn presence_without_room_is_no_error_on_the_air() {
    let mut pair = pair();
    pair.bring(HQ, "<presence id='p0' type='subscribed' from='ann@hq.test' to='bob@field.test'/>");
    pair.run(600);
    let place = pair.chats[FIELD].config.local_stanzas_max;
    for index in 0..place {
        pair.come(FIELD, super::pair::LINE, &message(&format!("m{index}"), "eve@hq.test/e", BOB, ""));
    }
    let units = pair.units[FIELD].len();
    pair.bring(HQ, "<presence id='p1' from='ann@hq.test/a' to='bob@field.test'/>");
    pair.run(600);
    assert_eq!(ids(&pair, FIELD, StanzaFate::Discarded), ["p1"]);
    assert!(ids(&pair, HQ, StanzaFate::Arrived).is_empty(), "no error came back");
    assert!(pair.units[FIELD].len() <= units + 1, "but for an acknowledgement nothing was sent");
}
