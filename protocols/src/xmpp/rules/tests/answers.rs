//! Answers to requests: which are believed, which are kept, and for whom.

use super::*;

const TO_LINK: Facts<'static> = facts();
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

/// Asks, has it answered if it crosses, and gives the answer that the filter had.
fn ask(filter: &mut Filter, to: &str, from: &str, asked: &str, told: &str) -> Option<String> {
    match filter.apply(&TO_LINK, iq("get", to, from, "1", asked)) {
        Verdict::Reply(reply) => Some(written(&reply)),
        _ => {
            filter.apply(&FROM_LINK, iq("result", from, to, "1", told));
            None
        }
    }
}

/// The items of one node are not those of another, nor a list of members that of those kept out.
//= xmpp/RULE-005
#[test]
fn a_result_answers_only_what_was_asked_in_the_same_words() {
    let mut filter = filter("[to_link]\niq.cache = [\"*\"]");
    let items =
        |node: &str| format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}'/></pubsub>");
    let list = |which: &str| {
        format!("<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='{which}'/></query>")
    };
    let disco = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let ann = "ann@hq.test/a";
    for (to, one, other) in
        [("pubsub.one.test", items("A"), items("B")), ("ops@chat.one.test", list("member"), list("outcast"))]
    {
        assert_eq!(ask(&mut filter, to, ann, &one, &one), None);
        assert_eq!(ask(&mut filter, to, ann, &other, &other), None, "{other}");
        assert!(ask(&mut filter, to, "ann@hq.test/b", &one, "").unwrap().contains(&one), "{one}");
    }
    // Nor is what one client can do what another can.
    assert_eq!(ask(&mut filter, "bob@one.test/phone", ann, disco, disco), None);
    assert_eq!(ask(&mut filter, "bob@one.test/desk", ann, disco, disco), None);
    // What the far side may tell one person only, another person asks for herself; what all may know is told once.
    assert_eq!(ask(&mut filter, "pubsub.one.test", "eve@hq.test/a", &items("A"), "<x xmlns='urn:x'/>"), None);
    assert!(ask(&mut filter, "bob@one.test/desk", "eve@hq.test/a", disco, "").is_some());
}

/// The example of XEP-0115, 5.2.
const NODE: &str = "http://code.google.com/p/exodus#QgayPKawpkPSDYmwT/WM94uAlu0=";

fn capabilities(more: &str) -> String {
    let features = [
        "http://jabber.org/protocol/caps",
        "http://jabber.org/protocol/disco#info",
        "http://jabber.org/protocol/disco#items",
        "http://jabber.org/protocol/muc",
    ];
    let features: String = features.iter().map(|feature| format!("<feature var='{feature}'/>")).collect();
    format!(
        "<query xmlns='http://jabber.org/protocol/disco#info' node='{NODE}'>\
         <identity category='client' name='Exodus 0.9.1' type='pc'/>{features}{more}</query>"
    )
}

/// What is told by a hash is believed for a whole domain if the hash says so, and else of its teller alone.
//= xmpp/RULE-011
#[test]
fn capabilities_are_believed_by_their_hash() {
    let asked = format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{NODE}'/>");
    for (more, for_all) in
        [("", true), ("<feature var='urn:evil'/>", false), ("<identity category='client' type='bot'/>", false)]
    {
        let mut filter = filter("base = \"sat\"");
        let told = capabilities(more);
        assert_eq!(ask(&mut filter, "mallory@one.test/x", "ann@hq.test/a", &asked, &told), None);
        let of_other = ask(&mut filter, "bob@one.test/x", "ann@hq.test/a", &asked, &capabilities(""));
        assert_eq!(of_other.is_some(), for_all, "{more}");
        let of_same = ask(&mut filter, "mallory@one.test/x", "eve@hq.test/a", &asked, "");
        assert!(of_same.is_some(), "{more}");
        // What bob told is true: now it is known of all.
        assert!(ask(&mut filter, "carol@one.test/x", "ann@hq.test/a", &asked, "").is_some());
    }
}
