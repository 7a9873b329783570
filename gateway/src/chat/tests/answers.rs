//! Requests and their answers across two gateways.

use skywave_protocols::xmpp::rules::FilterConfig;

use super::pair::{FIELD, HQ, Pair, config};
use crate::telemetry::StanzaFate;

const ANN: &str = "ann@hq.test/a";
const BOB: &str = "bob@field.test/b";

fn filter(toml: &str) -> FilterConfig {
    toml::from_str(toml).unwrap()
}

fn iq(typ: &str, from: &str, to: &str, id: &str) -> String {
    format!("<iq type='{typ}' from='{from}' to='{to}' id='{id}'><query xmlns='urn:ok'/></iq>")
}

/// Where the ids are short on the link too: each gateway knows the request under the id that its own side does.
#[test]
//= xmpp/RULE-010
fn an_answer_finds_its_request_at_both_gateways() {
    for short_ids in [true, false] {
        let mut sites = [config("hq.test", &["field.test"]), config("field.test", &["hq.test"])];
        for site in &mut sites {
            site.peers[0].session.short_ids = short_ids;
            site.peers[0].filter = filter("base = \"hf-fast\"\n[to_link]\niq.pass = [\"urn:ok\"]");
        }
        let [hq, field] = sites;
        let mut pair = Pair::new(hq, field);
        pair.bring(HQ, &iq("get", ANN, BOB, "ask-me-7"));
        pair.run(5);
        let id = pair.arrived(FIELD)[0].to_owned();
        assert_eq!(id == "ask-me-7", !short_ids);
        pair.bring(FIELD, &iq("result", BOB, ANN, "made-up"));
        for _ in 0..2 {
            pair.bring(FIELD, &iq("result", BOB, ANN, &id));
        }
        pair.run(60);
        assert_eq!(pair.arrived(HQ), ["ask-me-7"], "once, under its own id");
        assert_eq!(pair.lines(FIELD, StanzaFate::Dropped).len(), 2);
    }
}

/// What one gateway lets pass the other need not.
#[test]
//= xmpp/RULE-010
fn what_nobody_asked_for_ends_at_this_gateway_too() {
    let mut field = config("field.test", &["hq.test"]);
    field.peers[0].filter = filter("base = \"none\"");
    let mut pair = Pair::new(config("hq.test", &["field.test"]), field);
    pair.bring(FIELD, &iq("result", BOB, ANN, "1"));
    pair.bring(FIELD, &iq("error", BOB, ANN, "2"));
    pair.run(60);
    assert_eq!(pair.arrived(HQ), [""; 0]);
    assert_eq!(pair.lines(HQ, StanzaFate::Dropped).len(), 2);
}

/// New rules do not forget what was asked under the old ones.
#[test]
//= xmpp/RULE-010
fn answers_are_expected_through_a_change_of_rules() {
    let mut pair = Pair::new(config("hq.test", &["field.test"]), config("field.test", &["hq.test"]));
    pair.bring(HQ, &iq("get", ANN, BOB, "1"));
    pair.run(5);
    let mut after = pair.chats[HQ].config().clone();
    after.peers[0].filter = filter("base = \"hf-slow\"");
    let now = pair.now;
    pair.chats[HQ].reconfigure(now, &after.peers);
    pair.bring(FIELD, &iq("result", BOB, ANN, "1"));
    pair.run(60);
    assert_eq!(pair.arrived(HQ), ["1"]);
}
