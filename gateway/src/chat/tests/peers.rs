//! What a far site may say, and what becomes of it: through two whole gateways.

use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Duration, Now};
use skywave_protocols::xmpp::door::{ConnInput, DoorOutput};
use skywave_protocols::xmpp::fate::Lives;
use skywave_protocols::xmpp::rules::config::LabelConfig;
use skywave_protocols::xmpp::slow::{Profile, SlowConfig};

use super::super::config::{AlternateLink, ErrorPolicy, MixedScripts};
use super::super::restore::Rows;
use super::super::{Chat, ChatOutput, Line, Way};
use super::pair::{FIELD, HQ, LINE, Pair, config, message};
use crate::telemetry::StanzaFate;

const ANN: &str = "ann@hq.test/a";
const BOB: &str = "bob@field.test/b";

fn label(marking: &str) -> String {
    format!("<securitylabel xmlns='urn:xmpp:sec-label:0'><displaymarking>{marking}</displaymarking></securitylabel>")
}

/// The conversation ann to bob with labels secret, open, secret; another one with a secret, a third without.
fn labelled(groups: &[&str]) -> Pair {
    let mut hq = config("hq.test", &["field.test"]);
    hq.peers[0].label_groups = groups
        .iter()
        .map(|marking| LabelConfig { marking: Some((*marking).to_owned()), ..LabelConfig::default() })
        .collect();
    let mut pair = Pair::new(hq, config("field.test", &["hq.test"]));
    for (id, marking) in [("1", "SECRET"), ("2", "OPEN"), ("3", "SECRET")] {
        pair.bring(HQ, &message(id, ANN, BOB, &label(marking)));
    }
    pair.bring(HQ, &message("4", "carl@hq.test/c", BOB, &label("SECRET")));
    pair.bring(HQ, &message("5", "dora@hq.test/c", BOB, ""));
    pair.run(600);
    pair
}

#[test]
//= xmpp/SLOW-015
fn labels_that_may_not_mix_have_contexts_of_their_own_on_the_wire() {
    let contexts = |pair: &Pair| {
        let mut contexts: Vec<u16> = pair.units[HQ].iter().map(|(context, _)| *context).collect();
        contexts.sort_unstable();
        contexts.dedup();
        contexts
    };
    let mixed = labelled(&[]);
    assert_eq!((contexts(&mixed), mixed.arrived(FIELD)), (vec![0], vec!["1", "2", "3", "4", "5"]));
    let apart = labelled(&["SECRET", "OPEN"]);
    assert_eq!(contexts(&apart), [0, 2, 4]);
    let arrived = apart.arrived(FIELD);
    let place = |id: &str| arrived.iter().position(|other| *other == id).unwrap();
    assert_eq!(arrived.len(), 5, "{arrived:?}");
    assert!(place("1") < place("2") && place("2") < place("3"), "a conversation keeps its order: {arrived:?}");
}

#[test]
//= xmpp/LINK-003
fn a_far_site_speaks_for_itself_and_to_those_it_may_reach() {
    let mut hq = config("hq.test", &["field.test"]);
    hq.peers[0].local_domains = vec!["hq.test".to_owned()];
    // The far gateway lets through whatever its users make up.
    let mut field = config("field.test", &["hq.test", "closed.hq.test", "third.test"]);
    field.door.components[0].locals = vec!["*".to_owned()];
    let mut pair = Pair::new(hq, field);
    let strangers = [
        ("eve@third.test/x", ANN, "another domain"),
        ("boss@hq.test/x", ANN, "one of ours"),
        ("field.test.evil/x", ANN, "a domain that only begins like its own"),
        (BOB, "ann@third.test", "no domain of ours"),
        (BOB, "ann@closed.hq.test", "a domain that it may not reach"),
    ];
    for (index, (from, to, why)) in strangers.iter().enumerate() {
        pair.bring(FIELD, &message("bad", from, to, ""));
        let id = format!("good-{index}");
        pair.bring(FIELD, &message(&id, BOB, ANN, ""));
        pair.run(5);
        let told = (index + 1).ilog2() as usize + 1;
        assert_eq!(pair.notices(HQ, "stanza_misaddressed").len(), told, "{why}: the first of each power of two");
        assert_eq!(pair.arrived(HQ).last(), Some(&id.as_str()), "the link goes on after {why}");
    }
    assert_eq!(pair.arrived(HQ).len(), strangers.len());
    let shown = &pair.chats[HQ].show_line(LINE)["counters"];
    assert_eq!(shown["stanzas_misaddressed"], strangers.len(), "{shown}");
    pair.run(600);
    assert_eq!(pair.lines(FIELD, StanzaFate::Sent).len(), 2 * strangers.len(), "all were taken over");
}

#[test]
fn a_rule_for_what_comes_sees_the_link_that_it_came_by() {
    let mut hq = config("hq.test", &["field.test"]);
    let alternate = AlternateLink { link: "sat".into(), session: SlowConfig::new(Profile::Skywave), silent: false };
    hq.peers[0].alternates = vec![alternate];
    hq.peers[0].filter = toml::from_str("[[from_link.rule]]\nmatch = { link = \"sat\" }\naction = \"reject\"").unwrap();
    let mut pair = Pair::new(hq, config("field.test", &["hq.test"]));
    pair.come(HQ, LINE, &message("1", BOB, ANN, ""));
    pair.come(HQ, Line { way: Way::Alternate(0), ..LINE }, &message("2", BOB, ANN, ""));
    pair.come(HQ, LINE, &message("3", BOB, ANN, ""));
    assert_eq!(pair.arrived(HQ), ["1", "3"]);
    assert_eq!(pair.lines(HQ, StanzaFate::Answered).len(), 1);
}

#[test]
fn addresses_that_mix_scripts_are_told_once_and_refused_where_wanted() {
    // The first letter of the local part is Cyrillic.
    let other = "\u{430}dmiral@field.test/x";
    for (mixed_scripts, passes) in [(MixedScripts::Tell, true), (MixedScripts::Refuse, false)] {
        let mut hq = config("hq.test", &["field.test"]);
        hq.peers[0].mixed_scripts = mixed_scripts;
        let mut pair = Pair::new(hq, config("field.test", &["hq.test"]));
        for id in ["1", "2"] {
            pair.bring(FIELD, &message(id, other, ANN, ""));
        }
        pair.bring(FIELD, &message("3", "\u{431}\u{43e}\u{431}@field.test/x", ANN, ""));
        pair.bring(HQ, &message("4", ANN, other, ""));
        pair.run(600);
        let arrived = if passes { vec!["1", "2", "3"] } else { vec!["3"] };
        assert_eq!(pair.arrived(HQ), arrived);
        assert_eq!(pair.notices(HQ, "address_mixes_scripts"), ["\u{430}dmiral@field.test"]);
        assert_eq!(pair.chats[HQ].show_line(LINE)["counters"]["stanzas_confusable"], 3);
        let told = pair.lines(FIELD, StanzaFate::Arrived).iter().filter(|line| line.id != "4").count();
        assert_eq!(told, if passes { 0 } else { 2 }, "its senders are told");
        assert_eq!(pair.lines(HQ, StanzaFate::Returned).len(), if passes { 0 } else { 3 });
    }
}

#[test]
//= xmpp/LOCAL-008
fn the_gateway_answers_at_a_name_of_its_own() {
    for (domain, own) in [("gateway.test", true), ("hq.test", false)] {
        let hq = super::super::config::ChatConfig { domain: domain.to_owned(), ..config("hq.test", &["field.test"]) };
        let mut pair = Pair::new(hq, config("field.test", &["hq.test"]));
        let ping = format!("<iq id='p' type='get' from='{ANN}' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>");
        pair.bring(HQ, &ping);
        pair.bring(HQ, &message("m", ANN, domain, ""));
        pair.bring(HQ, &message("u", ANN, &format!("x@{domain}"), ""));
        let fates = |fate| pair.lines(HQ, fate).iter().map(|line| line.id.as_str()).collect::<Vec<_>>();
        assert_eq!(fates(StanzaFate::Answered), if own { vec!["p"] } else { vec![] }, "{domain}");
        assert_eq!(fates(StanzaFate::Returned), if own { vec!["m", "u"] } else { vec!["p", "m", "u"] }, "{domain}");
        assert!(pair.units[HQ].is_empty(), "nothing of it crosses");
    }
}

#[test]
fn senders_are_told_of_what_is_given_up_only_where_they_are_to_be() {
    for (errors, fate) in [(ErrorPolicy::Return, StanzaFate::Returned), (ErrorPolicy::Silent, StanzaFate::Discarded)] {
        let mut hq = config("hq.test", &["field.test"]);
        hq.peers[0].errors = errors;
        hq.peers[0].lives = Lives { chat_seconds: 10, ..Lives::HF };
        let mut pair = Pair::new(hq, config("field.test", &["hq.test"]));
        pair.link(false);
        pair.bring(HQ, &message("1", ANN, BOB, ""));
        pair.run(11);
        let lines: Vec<&str> = pair.lines(HQ, fate).iter().map(|line| line.text.as_str()).collect();
        assert_eq!(lines, ["its life is over"], "{errors:?}");
        // What is refused at once is told all the same.
        pair.bring(HQ, &message("2", ANN, "x@nowhere.test", ""));
        assert_eq!(pair.lines(HQ, StanzaFate::Returned).last().map(|line| line.id.as_str()), Some("2"));
    }
}

/// Rules change while both sites run: for what comes from then on.
#[test]
//= xmpp/CHAT-010
fn rules_change_without_a_restart_and_links_do_not() {
    let mut pair = Pair::new(config("hq.test", &["field.test"]), config("field.test", &["hq.test"]));
    let before = pair.chats[HQ].config().clone();
    pair.bring(HQ, &message("1", ANN, BOB, ""));
    let mut after = before.clone();
    after.peers[0].filter =
        toml::from_str("[[to_link.rule]]\nmatch = { type = \"chat\" }\naction = \"reject\"").unwrap();
    after.peers[0].errors = ErrorPolicy::Silent;
    after.peers[0].lives.chat_seconds = 60;
    assert!(before.can_become(&after));
    let now = pair.now;
    pair.chats[HQ].reconfigure(now, &after.peers);
    pair.bring(HQ, &message("2", ANN, BOB, ""));
    pair.run(600);
    assert_eq!(pair.arrived(FIELD), ["1"]);
    assert_eq!(pair.lines(HQ, StanzaFate::Sent).len(), 1, "what was taken before is confirmed all the same");
    assert_eq!(*pair.chats[HQ].config(), after);
    let mut elsewhere = before.clone();
    elsewhere.peers[0].link = "sat".into();
    let mut more = before.clone();
    more.peers.push(before.peers[0].clone());
    assert!(!before.can_become(&elsewhere) && !before.can_become(&more));
}

/// Ann's lines for a server that takes none fill its places; the rest stays hers. The other way chat goes on.
#[test]
//= xmpp/CHAT-011
fn what_finds_no_place_here_stays_with_the_far_gateway() {
    for profile in [Profile::Skywave, Profile::Standard] {
        let hq = config("hq.test", &["field.test"]);
        let mut field = config("field.test", &["hq.test"]);
        field.local_stanzas_max = 2;
        let session = SlowConfig { short_ids: false, ..SlowConfig::new(profile) };
        let [hq, field] = [hq, field].map(|mut config| {
            config.peers[0].session = session.clone();
            config
        });
        let mut pair = Pair::new(hq, field);
        for id in ["1", "2", "3", "4"] {
            pair.bring(HQ, &message(id, ANN, BOB, ""));
            pair.run(10);
        }
        assert_eq!(pair.arrived(FIELD), ["1", "2"], "{profile:?}");
        assert_eq!(pair.notices(FIELD, "far_site_held_back").len(), 1);
        assert_eq!(pair.chats[FIELD].show_line(LINE)["held_back_for"], "field.test");
        pair.bring(FIELD, &message("5", BOB, ANN, ""));
        pair.run(200);
        assert_eq!((pair.arrived(HQ), pair.lines(FIELD, StanzaFate::Sent).len()), (vec!["5"], 1), "{profile:?}");
        if profile == Profile::Skywave {
            assert_eq!(pair.lines(HQ, StanzaFate::Sent).len(), 2, "what has no place is not confirmed");
        }
        // Bob's server takes what waits.
        let number = pair.chats[FIELD].local.iter().next().map(|(number, _)| number).unwrap();
        pair.chats[FIELD].local.remove(number);
        pair.run(200);
        assert_eq!(pair.arrived(FIELD), ["1", "2", "3", "4"], "{profile:?}: a batch is taken whole");
        assert_eq!(pair.lines(HQ, StanzaFate::Sent).len(), 4);
        assert!(pair.lines(FIELD, StanzaFate::Returned).is_empty());
    }
}

/// What gives way to newer words while its row is on the way to the disk is done with: its server would wait for ever.
#[test]
fn words_that_a_rule_replaces_are_confirmed_to_their_server() {
    let mut hq = config("hq.test", &["field.test"]);
    let rule = "[[to_link.rule]]\nmatch = { type = \"groupchat\" }\naction = { coalesce = { key = \"subject\" } }";
    hq.peers[0].filter = toml::from_str(rule).unwrap();
    let now = Now::default().after(Duration::from_secs(1));
    let mut chat = Chat::new(hq, now, &mut Seeded::new(1));
    chat.start(now, Rows::default());
    chat.handle_wakeup(now);
    let opened = |chat: &mut Chat| {
        std::iter::from_fn(|| chat.poll()).find_map(|output| match output {
            ChatOutput::Door(DoorOutput::Open(conn, _)) => Some(conn),
            _other => None,
        })
    };
    let conn = opened(&mut chat).unwrap();
    chat.handle_connection(now, conn, ConnInput::Opened);
    let subject = |id: &str| {
        format!(
            "<message id='{id}' from='{ANN}' to='ops@field.test' type='groupchat'><subject>{id}</subject></message>"
        )
    };
    let header = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:component:accept' \
                  id='77' from='field.test'>";
    for octets in [header.to_owned(), "<handshake/>".to_owned(), subject("1") + &subject("2")] {
        chat.handle_connection(now, conn, ConnInput::Read(octets.into()));
    }
    let untaken = |chat: &Chat| chat.show_door()["streams"][0]["untaken"].clone();
    assert_eq!(untaken(&chat), 1, "the newer one's row is not on the disk");
    while let Some(output) = chat.poll() {
        if let ChatOutput::Store { number, .. } = output {
            chat.stored(now, number);
        }
    }
    assert_eq!(untaken(&chat), 0);
}

/// The local server is down and as much waits for it as may: who is owed an error gets it all the same, and an answer that
/// goes nowhere is told of.
#[test]
fn an_error_that_ends_a_row_waits_however_full_it_is() {
    let mut hq = config("hq.test", &["field.test"]);
    hq.local_stanzas_max = 1;
    hq.peers[0].lives = Lives { chat_seconds: 10, ..Lives::HF };
    let mut pair = Pair::new(hq, config("field.test", &["hq.test"]));
    pair.link(false);
    for id in ["1", "2", "3"] {
        pair.bring(HQ, &message(id, ANN, BOB, ""));
    }
    pair.run(11);
    assert_eq!(pair.chats[HQ].local.len(), 3);
    let ping = format!("<iq id='4' type='get' from='{ANN}' to='gateway.hq.test'><ping xmlns='urn:xmpp:ping'/></iq>");
    pair.bring(HQ, &ping);
    assert_eq!(pair.chats[HQ].local.len(), 3);
    let lines = pair.lines(HQ, StanzaFate::Discarded);
    assert!(lines.iter().any(|line| line.id == "4" && line.text.contains("too many")), "{lines:?}");
}

/// What the far end would not take is sent back before it leaves, and the lines before and behind it arrive.
//= xmpp/LINK-024
#[test]
fn a_stanza_that_the_far_end_does_not_take_comes_back_and_takes_nobody_along() {
    let declared: String = (0..33).map(|n| format!(" xmlns:q{n}='urn:{n}'")).collect();
    let used: String = (0..33).map(|n| format!(" q{n}:a='1'")).collect();
    let open: String = (0..62).map(|n| format!("<n xmlns='urn:{}'>", n % 2)).collect();
    for (what, inside) in [
        ("elements", "<e/>".repeat(1_025)),
        ("attributes", format!("<y xmlns='urn:y'{declared}><w{used}/></y>")),
        ("namespaces", format!("{open}{}", "</n>".repeat(62))),
        ("octets", format!("<e>{}</e>", "x".repeat((1 << 16) - 300))),
    ] {
        let mut pair = Pair::new(config("hq.test", &["field.test"]), config("field.test", &["hq.test"]));
        pair.bring(HQ, &message("1", ANN, BOB, ""));
        pair.bring(HQ, &message("2", "eve@hq.test/e", BOB, &inside));
        pair.bring(HQ, &message("3", ANN, BOB, ""));
        pair.run(600);
        assert_eq!(pair.arrived(FIELD), ["1", "3"], "{what}");
        let returned: Vec<&str> = pair.lines(HQ, StanzaFate::Returned).iter().map(|line| line.id.as_str()).collect();
        assert_eq!(returned, ["2"], "{what}");
        assert_eq!(pair.notices(FIELD, "chat-stanza-dropped"), [""; 0], "{what}");
    }
}

/// Two clients of one user in one far room: each hears of an occupant that comes.
//= xmpp/PRES-009
#[test]
fn both_clients_of_a_user_hear_of_who_enters_a_far_room() {
    let mut pair = Pair::new(config("hq.test", &["field.test"]), config("field.test", &["hq.test"]));
    for client in ["desk", "phone"] {
        pair.bring(
            HQ,
            &format!(
                "<presence id='{client}' from='ops@hq.test/alice' to='bob@field.test/{client}'>\
                 <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/></x></presence>"
            ),
        );
    }
    pair.run(600);
    assert_eq!(pair.arrived(FIELD), ["desk", "phone"]);
}

/// A server that knows others sends on what strangers say: the link is not for them.
//= xmpp/CHAT-012
#[test]
fn who_is_no_local_user_may_not_use_the_link() {
    let mut pair = Pair::new(config("hq.test", &["field.test"]), config("field.test", &["hq.test"]));
    pair.bring(HQ, &message("1", "evil@elsewhere.test/e", BOB, ""));
    pair.bring(HQ, &message("2", ANN, BOB, ""));
    pair.run(600);
    assert_eq!(pair.arrived(FIELD), ["2"]);
    let returned: Vec<&str> = pair.lines(HQ, StanzaFate::Returned).iter().map(|line| line.id.as_str()).collect();
    assert_eq!(returned, ["1"]);
}
