//! Answers to requests: which are believed, which are kept, and for whom.

use super::*;

const TO_LINK: Facts<'static> = Facts {
    direction: Direction::ToLink,
    peer: "field",
    link: "hf-1",
    link_up: true,
    bits_per_second: 1200,
    precedence: Precedence::Routine,
    queue_age: Duration::ZERO,
    online: None,
    now: NOW,
};
const FROM_LINK: Facts<'static> = Facts { direction: Direction::FromLink, ..TO_LINK };

fn iq(typ: &str, to: &str, from: &str, id: &str, inside: &str) -> Stanza {
    stanza(&format!("<iq to='{to}' from='{from}' id='{id}' type='{typ}'>{inside}</iq>"))
}

fn passes(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Pass { .. })
}

const DATA: &str = "<data xmlns='http://jabber.org/protocol/ibb'>x</data>";
const ASK: &str = "<query xmlns='urn:ok'/>";

/// 24: whoever sends results in a loop sends them nowhere, in either direction.
//= xmpp/RULE-010
#[test]
fn an_answer_crosses_if_its_request_did_and_once() {
    for (there, back) in [(TO_LINK, FROM_LINK), (FROM_LINK, TO_LINK)] {
        for typ in ["result", "error"] {
            let mut filter = filter("base = \"hf-fast\"\n[to_link]\niq.pass = [\"urn:ok\"]");
            let answer = |id: &str, from: &str, to: &str| iq(typ, to, from, id, DATA);
            let usual = answer("1", "bob@one.test/x", "ann@two.test/a");
            assert!(!passes(&filter.apply(&back, usual.clone())), "nothing was asked");
            assert!(passes(&filter.apply(&there, iq("set", "bob@one.test/x", "ann@two.test/a", "1", ASK))));
            for wrong in [
                answer("2", "bob@one.test/x", "ann@two.test/a"),
                answer("1", "eve@one.test/x", "ann@two.test/a"),
                answer("1", "bob@one.test/x", "ann@two.test/b"),
                answer("1", "one.evil.test", "ann@two.test/a"),
            ] {
                assert_eq!(filter.apply(&back, wrong.clone()), Verdict::Drop, "{}", written(&wrong));
            }
            assert!(!passes(&filter.apply(&there, usual.clone())), "the wrong way round");
            assert!(passes(&filter.apply(&back, usual.clone())), "{typ}");
            assert_eq!(filter.apply(&back, usual), Verdict::Drop, "a second one answers nothing");
            let dropped: u64 = filter
                .report()
                .rules
                .iter()
                .filter(|row| row.rule.ends_with("iq.answers"))
                .map(|row| row.stanzas)
                .sum();
            assert_eq!(dropped, 7);
        }
    }
}

/// Servers answer in the name that was asked, of an account for its clients, and of the domain for what it hosts.
//= xmpp/RULE-010
#[test]
fn the_answer_may_come_from_what_the_address_belongs_to() {
    for (asked, answers, good) in [
        ("bob@one.test/x", "bob@one.test", true),
        ("bob@one.test/x", "one.test", true),
        ("bob@one.test", "bob@one.test/x", true),
        ("one.test", "one.test", true),
        ("ops@chat.one.test/ann", "ops@chat.one.test/ann", true),
        ("ops@chat.one.test/ann", "ops@chat.one.test", true),
        ("one.test", "bob@one.test", false),
        ("bob@one.test", "eve@one.test", false),
        ("bob@one.test", "two.test", false),
    ] {
        let mut filter = filter("");
        assert!(passes(&filter.apply(&TO_LINK, iq("get", asked, "ann@hq.test/a", "1", ASK))));
        let answer = iq("result", "ann@hq.test/a", answers, "1", "");
        assert_eq!(passes(&filter.apply(&FROM_LINK, answer)), good, "{asked} {answers}");
    }
}

/// What was refused or answered here was not asked there.
//= xmpp/RULE-010
#[test]
fn a_request_that_did_not_cross_has_no_answer() {
    let mut filter = filter("base = \"hf-fast\"");
    for namespace in ["urn:xmpp:ping", "vcard-temp"] {
        let ask = format!("<query xmlns='{namespace}'/>");
        let Verdict::Reply(_) = filter.apply(&TO_LINK, iq("get", "one.test", "ann@hq.test/a", "1", &ask)) else {
            panic!()
        };
        assert_eq!(filter.apply(&FROM_LINK, iq("result", "ann@hq.test/a", "one.test", "1", &ask)), Verdict::Drop);
    }
}

#[test]
fn a_site_may_let_all_answers_pass() {
    for toml in
        ["[to_link]\niq.answers = \"all\"\n[from_link]\niq.answers = \"all\"", "base = \"none\"", "dry_run = true"]
    {
        let mut filter = filter(toml);
        for facts in [TO_LINK, FROM_LINK] {
            assert!(passes(&filter.apply(&facts, iq("result", "a@b.test", "c@d.test", "1", DATA))), "{toml}");
        }
    }
}

/// A flood of requests by one takes nobody else's answer away, and no more room than there is.
#[test]
fn requests_that_are_remembered_are_bounded() {
    let mut filter = filter("");
    filter.apply(&TO_LINK, iq("get", "one.test", "ann@hq.test/a", "1", ASK));
    for number in 0..2 * limits::ASKED_MAX {
        filter.apply(&TO_LINK, iq("get", "one.test", &format!("eve@hq.test/{number}"), "1", ASK));
    }
    assert_eq!(filter.asked(), (limits::ASKED_MAX, 2));
    assert!(passes(&filter.apply(&FROM_LINK, iq("result", "ann@hq.test/a", "one.test", "1", ""))));
    let late = Facts { now: NOW.after(limits::ASKED_LIFE + Duration::from_secs(1)), ..TO_LINK };
    filter.apply(&late, iq("get", "one.test", "eve@hq.test/x", "1", ASK));
    assert_eq!(filter.asked(), (1, 1), "the others are too old to be answered");
    for number in 0..2 * limits::ASKED_MAX {
        filter.apply(&late, iq("get", "one.test", &format!("eve{number}@hq.test/x"), "1", ASK));
    }
    assert_eq!(filter.asked(), (limits::ASKED_MAX, limits::ASKED_MAX), "nor is there more room for many");
}
