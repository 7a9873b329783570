mod rooms;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;

use super::limits::PER_WAKEUP_MAX;
use super::*;
use crate::time::{Duration, Instant, Now, WallTime};
use crate::xmpp::stanza::Stanza;

fn stanza(text: &str) -> Stanza {
    Stanza::parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{fault}: {text}"))
}

fn written(stanza: &Stanza) -> String {
    String::from_utf8(stanza.octets()).unwrap()
}

/// A cache with a clock, and its rows.
struct Site {
    cache: PresenceCache,
    config: PresenceConfig,
    now: Now,
    rows: BTreeMap<Vec<u8>, Bytes>,
}

impl Site {
    fn new(config: PresenceConfig) -> Self {
        let now = Now { mono: Instant::from_micros(9_000_000_000), wall: WallTime::from_unix_seconds(1_767_330_000) };
        let mut site = Self { cache: PresenceCache::new(config.clone()), config, now, rows: BTreeMap::new() };
        site.link(true);
        site
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now.after(Duration::from_secs(seconds));
        self
    }

    /// What crosses, then what goes back, then what goes on.
    fn outbound(&mut self, text: &str) -> Vec<String> {
        let presence = self.cache.outbound(self.now, stanza(text));
        lines(&presence)
    }

    fn inbound(&mut self, text: &str) -> Vec<String> {
        let presence = self.cache.inbound(self.now, stanza(text));
        lines(&presence)
    }

    fn link(&mut self, up: bool) -> Vec<String> {
        let presence = self.cache.link(self.now, up);
        lines(&presence)
    }

    fn wake(&mut self) -> Vec<String> {
        let presence = self.cache.handle_wakeup(self.now);
        lines(&presence)
    }

    fn save(&mut self) {
        for (key, value) in self.cache.changes() {
            match value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }

    /// Power off, power on.
    fn restart(&mut self) {
        self.save();
        self.cache = PresenceCache::new(self.config.clone());
        self.cache.restore(self.rows.clone().into_iter().collect());
        self.link(true);
    }
}

fn lines(presence: &Presence) -> Vec<String> {
    let cross = presence.cross.iter().map(|stanza| format!("cross {}", written(stanza)));
    let back = presence.back.iter().map(|stanza| format!("back {}", written(stanza)));
    let on = presence.on.iter().map(|stanza| format!("on {}", written(stanza)));
    cross.chain(back).chain(on).collect()
}

const NOTHING: [&str; 0] = [];
const PROBE: &str = "<presence to='bob@field.test' from='ann@hq.test/a' type='probe'/>";
const PROBE_CROSSES: &str = "cross <presence to='bob@field.test' from='ann@hq.test' type='probe'/>";
const BOB_HERE: &str = "<presence to='ann@hq.test' from='bob@field.test/x'><show>away</show></presence>";
const BOB_GONE: &str = "<presence to='ann@hq.test' from='bob@field.test/x' type='unavailable'/>";
const ANN_HERE: &str = "<presence to='bob@field.test' from='ann@hq.test/a' id='1'><status>in</status></presence>";
const ANN_GONE: &str = "<presence to='bob@field.test' from='ann@hq.test/a' type='unavailable'/>";

fn bare(text: &str, who: &str, resource: &str) -> String {
    text.replace(&format!("{who}/{resource}"), who)
}

#[test]
fn a_first_question_crosses_once_from_the_bare_address_and_then_never() {
    let mut site = Site::new(PresenceConfig::default());
    assert_eq!(site.outbound(PROBE), [PROBE_CROSSES]);
    assert_eq!(site.outbound(&PROBE.replace("/a'", "/b'")), NOTHING, "one question is under way");
    assert_eq!(site.wait(3599).outbound(PROBE), NOTHING, "no answer is a normal answer");
    assert_eq!(site.wait(1).outbound(PROBE), [PROBE_CROSSES]);
    assert_eq!(site.inbound(BOB_HERE), [format!("cross {BOB_HERE}")]);
    let answer = BOB_HERE.replace("to='ann@hq.test'", "to='ann@hq.test/a'");
    assert_eq!(site.wait(60).outbound(PROBE), [format!("back {answer}")]);
    let delayed = answer
        .replace("</show>", "</show><delay xmlns='urn:xmpp:delay' from='field.test' stamp='2026-01-02T06:00:00Z'/>");
    assert_eq!(site.wait(1).outbound(PROBE), [format!("back {delayed}")]);
    site.inbound(BOB_GONE);
    assert_eq!(site.outbound(PROBE), ["back <presence to='ann@hq.test/a' from='bob@field.test' type='unavailable'/>"]);
}

#[test]
fn each_client_of_a_contact_answers_and_the_bare_address_takes_all_away() {
    let mut site = Site::new(PresenceConfig::default());
    site.inbound(BOB_HERE);
    site.inbound(&BOB_HERE.replace("/x", "/y"));
    assert_eq!(site.outbound(PROBE).len(), 2);
    site.inbound(BOB_GONE);
    assert_eq!(site.outbound(PROBE).len(), 1);
    site.inbound(&bare(BOB_GONE, "bob@field.test", "x"));
    assert!(site.outbound(PROBE)[0].contains("from='bob@field.test' type='unavailable'"));
}

#[test]
fn a_refused_subscriber_asks_at_most_hourly_and_hears_no_invented_word() {
    let mut site = Site::new(PresenceConfig::default());
    site.inbound(BOB_HERE);
    let no = "<presence to='ann@hq.test' from='bob@field.test' type='unsubscribed'/>";
    assert_eq!(site.inbound(no), [format!("cross {no}")]);
    assert_eq!(site.outbound(PROBE), [PROBE_CROSSES]);
    assert_eq!(site.wait(3000).outbound(PROBE), NOTHING);
    assert_eq!(site.wait(600).outbound(PROBE), [PROBE_CROSSES]);
    let yes = "<presence to='ann@hq.test' from='bob@field.test' type='subscribed'/>";
    assert_eq!(site.inbound(yes), [format!("cross {yes}")]);
    assert_eq!(site.outbound(PROBE), [PROBE_CROSSES], "allowed now, and nothing known");
}

#[test]
fn questions_while_the_link_is_down() {
    for (on_link_down, expected) in
        [(OnLinkDown::Offline, "type='unavailable'"), (OnLinkDown::Keep, "<show>away</show>")]
    {
        let mut site = Site::new(PresenceConfig { on_link_down, ..PresenceConfig::default() });
        site.inbound(BOB_HERE);
        site.link(false);
        let said = site.wait(10).outbound(PROBE);
        assert!(said.len() == 1 && said[0].starts_with("back") && said[0].contains(expected), "{said:?}");
        let stranger = PROBE.replace("bob@", "eve@");
        assert_eq!(site.outbound(&stranger), [PROBE_CROSSES.replace("bob@", "eve@")], "waits in the queue");
        assert_eq!(site.outbound(&stranger), NOTHING);
    }
}

#[test]
fn a_question_to_a_domain_is_about_the_link() {
    let mut site = Site::new(PresenceConfig::default());
    let probe = "<presence to='field.test' from='ann@hq.test/a' type='probe'/>";
    assert_eq!(site.outbound(probe), ["back <presence to='ann@hq.test/a' from='field.test'/>"]);
    site.link(false);
    assert_eq!(site.outbound(probe), ["back <presence to='ann@hq.test/a' from='field.test' type='unavailable'/>"]);
}

#[test]
fn what_was_shown_is_not_shown_again() {
    let mut site = Site::new(PresenceConfig::default());
    assert_eq!(site.outbound(ANN_GONE), NOTHING, "never available, never unavailable");
    assert_eq!(site.outbound(ANN_HERE), [format!("cross {ANN_HERE}")]);
    assert_eq!(site.outbound(&ANN_HERE.replace("id='1'", "id='2'")), NOTHING, "the same with another id");
    let repeated =
        ANN_HERE.replace("</status>", "</status><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>");
    assert_eq!(site.outbound(&repeated), NOTHING, "the same, repeated by the server");
    let lunch = ANN_HERE.replace(">in<", ">lunch<");
    assert_eq!(site.outbound(&lunch), [format!("cross {lunch}")]);
    assert_eq!(site.outbound(&lunch.replace("bob@", "eve@")).len(), 1, "another subscriber");
    assert_eq!(site.outbound(ANN_GONE), [format!("cross {ANN_GONE}")]);
    assert_eq!(site.outbound(ANN_GONE), NOTHING);
    assert_eq!(site.outbound(&bare(ANN_GONE, "ann@hq.test", "a")), NOTHING, "an acknowledgement of nothing");
}

#[test]
fn folded_presence_is_compared_folded() {
    for (mode, first, second) in [
        (PresenceMode::Folded, "<presence to='bob@field.test' from='ann@hq.test/a'/>", 0),
        (
            PresenceMode::FoldedShow,
            "<presence to='bob@field.test' from='ann@hq.test/a'><show>away</show></presence>",
            1,
        ),
        (PresenceMode::Cached, "", 1),
    ] {
        let mut site = Site::new(PresenceConfig { to_link: mode, ..PresenceConfig::default() });
        let away = ANN_HERE.replace("<status>", "<show>away</show><status>");
        let crossed = site.outbound(&away);
        assert!(first.is_empty() || crossed == [format!("cross {first}")], "{mode:?}: {crossed:?}");
        assert_eq!(site.outbound(&away.replace("away", "dnd")).len(), second, "{mode:?}");
    }
}

#[test]
fn modes_full_and_none() {
    let mode = |to_link, from_link| PresenceConfig { to_link, from_link, ..PresenceConfig::default() };
    let mut full = Site::new(mode(PresenceMode::Full, PresenceMode::Full));
    for _ in 0..2 {
        assert_eq!(full.outbound(ANN_HERE), [format!("cross {ANN_HERE}")]);
        assert_eq!(full.outbound(PROBE), [format!("cross {PROBE}")]);
        assert_eq!(full.inbound(BOB_HERE), [format!("cross {BOB_HERE}")]);
    }
    let mut none = Site::new(mode(PresenceMode::None, PresenceMode::None));
    let asks = "<presence to='bob@field.test' from='ann@hq.test' type='subscribe'/>";
    let join = "<presence to='ops@chat.field.test/ann' from='ann@hq.test/a'><x xmlns='http://jabber.org/protocol/muc'/></presence>";
    for (text, count) in [(ANN_HERE, 0), (ANN_GONE, 0), (PROBE, 0), (asks, 1), (join, 0)] {
        assert_eq!(none.outbound(text).len(), count, "{text}");
    }
    assert_eq!(none.inbound(BOB_HERE), NOTHING);
    let config = PresenceConfig {
        allow_rooms: true,
        allow_subscriptions: false,
        ..mode(PresenceMode::None, PresenceMode::None)
    };
    let mut other = Site::new(config);
    assert_eq!((other.outbound(asks).len(), other.outbound(join).len()), (0, 1));
}

#[test]
fn of_what_changes_within_the_hold_down_only_the_last_crosses() {
    let mut site = Site::new(PresenceConfig { to_link: PresenceMode::OnChangeOnly, ..PresenceConfig::default() });
    assert_eq!(site.outbound(ANN_HERE).len(), 1, "the first is news at once");
    assert_eq!(site.wait(100).outbound(ANN_GONE), NOTHING);
    let back_again = ANN_HERE.replace(">in<", ">back<");
    assert_eq!(site.wait(29).outbound(&back_again), NOTHING);
    assert_eq!(site.wait(29).wake(), NOTHING);
    let wakeup = site.cache.next_wakeup().unwrap().at;
    assert_eq!(wakeup.since(site.now.mono), Duration::from_secs(1));
    assert_eq!(site.wait(1).wake(), [format!("on {}", back_again.replace(" id='1'", ""))]);
    assert_eq!(site.cache.next_wakeup(), None);
    site.outbound(ANN_GONE);
    site.outbound(&back_again);
    assert_eq!((site.wait(31).wake(), site.cache.next_wakeup()), (Vec::new(), None), "there and back is nothing");
}

#[test]
fn subscriptions_always_cross() {
    let mut site = Site::new(PresenceConfig::default());
    for typ in ["subscribe", "subscribed", "unsubscribe", "unsubscribed"] {
        let out = format!("<presence to='bob@field.test' from='ann@hq.test' type='{typ}'/>");
        let arrives = format!("<presence to='ann@hq.test' from='bob@field.test' type='{typ}'/>");
        for _ in 0..3 {
            let presence = site.cache.outbound(site.now, stanza(&out));
            assert_eq!((lines(&presence), presence.replace), (vec![format!("cross {out}")], None));
            assert_eq!(site.inbound(&arrives), [format!("cross {arrives}")]);
        }
    }
    site.outbound(ANN_HERE);
    site.outbound("<presence to='bob@field.test' from='ann@hq.test' type='subscribed'/>");
    assert_eq!(site.outbound(ANN_HERE).len(), 1, "a new subscriber has seen nothing");
    site.outbound("<presence to='bob@field.test' from='ann@hq.test' type='subscribed'/>");
    assert_eq!(site.outbound(ANN_GONE).len(), 1, "but perhaps it has");
}

#[test]
fn what_the_far_site_asks_for_crosses_even_if_it_is_no_news() {
    let mut site = Site::new(PresenceConfig::default());
    site.outbound(ANN_HERE);
    let probe = "<presence to='ann@hq.test' from='bob@field.test' type='probe'/>";
    assert_eq!(site.inbound(probe), [format!("cross {probe}")]);
    assert_eq!(site.outbound(ANN_HERE), [format!("cross {ANN_HERE}")]);
    assert_eq!(site.outbound(ANN_HERE), NOTHING, "once");
    let nobody = "<presence to='bob@field.test' from='carol@hq.test' type='unavailable'/>";
    assert_eq!(site.outbound(nobody), NOTHING);
    site.inbound(&probe.replace("ann@", "carol@"));
    assert_eq!(site.outbound(nobody), [format!("cross {nobody}")]);
    assert_eq!(site.outbound(nobody), NOTHING);
}

#[test]
fn an_error_ends_what_caused_it_for_a_while() {
    let mut site = Site::new(PresenceConfig::default());
    site.outbound(ANN_HERE);
    let error = "<presence to='ann@hq.test/a' from='bob@field.test' type='error'/>";
    assert_eq!(site.inbound(error), [format!("cross {error}")]);
    assert_eq!(site.outbound(ANN_HERE), NOTHING);
    assert_eq!(site.wait(3600).outbound(ANN_HERE).len(), 1);
    // About what the gateway made up, the far contact wants no error.
    site.inbound(BOB_HERE);
    site.link(false);
    site.wait(1800).wake();
    let own = "<presence to='bob@field.test/x' from='ann@hq.test' type='error'/>";
    assert_eq!(site.outbound(own), NOTHING);
}

#[test]
fn a_long_outage_shows_contacts_as_unavailable_once_and_brings_them_back() {
    let mut site = Site::new(PresenceConfig::default());
    site.inbound(BOB_HERE);
    site.link(false);
    assert_eq!(site.wait(1799).wake(), NOTHING);
    assert_eq!(site.wait(1).wake(), [format!("back {BOB_GONE}")]);
    assert_eq!((site.wait(9999).wake(), site.cache.next_wakeup()), (Vec::new(), None));
    assert_eq!(site.link(true), [format!("back {BOB_HERE}")]);
    assert_eq!(site.outbound(PROBE).len(), 1);
    site.link(false);
    site.wait(60);
    assert_eq!(site.link(true), NOTHING, "a short one is nobody's business");
}

/// More than a local server is given at once would not all reach it.
//= xmpp/PRES-006
#[test]
fn many_contacts_go_and_come_back_in_parts() {
    let mut site = Site::new(PresenceConfig::default());
    let bob = |number: usize| BOB_HERE.replace("bob@", &format!("bob{number}@"));
    let count = 2 * PER_WAKEUP_MAX + 500;
    (0..count).for_each(|number| _ = site.inbound(&bob(number)));
    site.link(false);
    site.wait(1800);
    let parts = |site: &mut Site, first: Vec<String>| {
        let mut parts = vec![first];
        while let Some(wakeup) = site.cache.next_wakeup() {
            site.now = site.now.after(wakeup.at.since(site.now.mono));
            parts.push(site.wake());
        }
        parts
    };
    let gone = parts(&mut site, Vec::new());
    let sizes = |parts: &[Vec<String>]| parts.iter().map(Vec::len).filter(|size| *size > 0).collect::<Vec<_>>();
    assert_eq!(sizes(&gone), [PER_WAKEUP_MAX, PER_WAKEUP_MAX, 500]);
    assert!(gone.concat().iter().all(|line| line.contains("type='unavailable'")));
    let first = site.link(true);
    // One that shows himself meanwhile is not shown as he was before.
    site.inbound(&bob(999));
    site.inbound(&bob(9));
    let back = parts(&mut site, first);
    assert_eq!(back.concat().iter().collect::<BTreeSet<_>>().len(), back.concat().len());
    assert!(back.iter().all(|part| part.len() <= PER_WAKEUP_MAX));
    assert!(back.concat().len() >= count - 2 && back.concat().len() <= count, "{}", back.concat().len());
    assert!(site.now.mono.since(Instant::ZERO) > Duration::from_secs(1800));
}

/// The link returns while they are being shown as gone: who was shown so is shown again, and nobody is left behind.
#[test]
fn a_link_that_returns_meanwhile_leaves_nobody_behind() {
    let mut site = Site::new(PresenceConfig::default());
    let bob = |number: usize| BOB_HERE.replace("bob@", &format!("bob{number}@"));
    (0..PER_WAKEUP_MAX + 500).for_each(|number| _ = site.inbound(&bob(number)));
    site.link(false);
    assert_eq!(site.wait(1800).wake().len(), PER_WAKEUP_MAX);
    let mut shown = site.link(true).len();
    while let Some(wakeup) = site.cache.next_wakeup() {
        site.now = site.now.after(wakeup.at.since(site.now.mono));
        shown += site.wake().len();
    }
    assert_eq!(shown, PER_WAKEUP_MAX);
}

#[test]
fn what_may_be_out_of_date_is_an_answer_for_a_while_and_asked_again_slowly() {
    let sync = Some(PresenceSync::Probe);
    let mut site =
        Site::new(PresenceConfig { sync, stale_seconds: 100, offline_after_seconds: 0, ..PresenceConfig::default() });
    for name in ["bob", "carol", "dave"] {
        site.inbound(&BOB_HERE.replace("bob@", &format!("{name}@")));
    }
    site.link(false);
    site.wait(50).link(true);
    assert!(site.outbound(PROBE)[0].starts_with("back"));
    let mut asked = site.wake();
    assert_eq!(asked.len(), 1, "four a minute");
    for _ in 0..4 {
        asked.extend(site.wait(15).wake());
    }
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|line| line.starts_with("on <presence") && line.contains("type='probe'")), "{asked:?}");
    assert_eq!(site.wait(100).outbound(PROBE), NOTHING, "too old to answer, and asked already");
    site.inbound(BOB_HERE);
    assert!(site.outbound(PROBE)[0].starts_with("back"));
}

#[test]
fn contacts_may_appear_available_where_no_presence_crosses() {
    let config = PresenceConfig {
        from_link: PresenceMode::None,
        synthetic: SyntheticPresence::LinkUp,
        ..PresenceConfig::default()
    };
    let mut site = Site::new(config);
    assert_eq!(site.outbound(PROBE), NOTHING);
    site.inbound("<presence to='ann@hq.test' from='bob@field.test' type='subscribed'/>");
    assert_eq!(site.outbound(PROBE), ["back <presence to='ann@hq.test/a' from='bob@field.test/radio'/>"]);
    site.link(false);
    let gone = site.wait(1800).wake();
    assert_eq!(gone, ["back <presence to='ann@hq.test' from='bob@field.test/radio' type='unavailable'/>"]);
    assert_eq!(site.link(true), ["back <presence to='ann@hq.test' from='bob@field.test/radio'/>"]);
}

const JOIN: &str = "<presence to='ops@chat.field.test/ann' from='ann@hq.test/a'><x xmlns='http://jabber.org/protocol/muc'/></presence>";
const SEATED: &str = "<presence to='ann@hq.test/a' from='ops@chat.field.test/ann'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/><status code='110'/></x></presence>";
const PING: &str =
    "<iq to='ops@chat.field.test/ann' from='ann@hq.test/a' id='7' type='get'><ping xmlns='urn:xmpp:ping'/></iq>";

#[test]
fn rooms_work_and_a_user_who_asks_hears_where_it_sits() {
    let mut site = Site::new(PresenceConfig {
        to_link: PresenceMode::Folded,
        from_link: PresenceMode::Folded,
        ..PresenceConfig::default()
    });
    let seat: jid::Jid = "ops@chat.field.test/ann".parse().unwrap();
    assert_eq!(site.outbound(PING), [format!("cross {PING}")], "no seat is known");
    assert_eq!(site.outbound(JOIN), [format!("cross {JOIN}")]);
    assert!(site.outbound(PING)[0].starts_with("back <iq to='ann@hq.test/a'") && site.cache.is_online(&seat).is_none());
    assert_eq!(site.inbound(SEATED), [format!("cross {SEATED}")]);
    assert_eq!(site.cache.is_online(&seat), Some(true));
    assert!(site.outbound(PING)[0].ends_with("type='result'/>"));
    assert!(site.outbound(&PING.replace("/ann'", "/bob'"))[0].contains("item-not-found"));
    let renamed = SEATED
        .replace("<presence ", "<presence type='unavailable' ")
        .replace("role='participant'", "role='none' nick='anna'")
        .replace("<status", "<status code='303'/><status");
    site.inbound(&renamed);
    assert!(site.outbound(&PING.replace("/ann'", "/anna'"))[0].ends_with("type='result'/>"));
    let change = "<presence to='ops@chat.field.test/anna' from='ann@hq.test/a'><show>away</show></presence>";
    assert_eq!(site.outbound(change), [format!("cross {change}")], "never folded, never suppressed");
    assert_eq!(site.outbound(change), [format!("cross {change}")]);
    let kicked = SEATED
        .replace("/ann'", "/anna'")
        .replace("<presence ", "<presence type='unavailable' ")
        .replace("'110'/>", "'307'/>");
    site.inbound(&kicked);
    assert_eq!(site.outbound(&PING.replace("/ann'", "/anna'")).len(), 1);
    assert_eq!(site.cache.describe().seats, 0);
}

#[test]
fn newer_presence_takes_the_place_of_older_but_never_loses_a_join() {
    let mut site = Site::new(PresenceConfig::default());
    let mut key = |text: &str| site.cache.outbound(site.now, stanza(text)).replace;
    let (here, gone) = (key(ANN_HERE), key(ANN_GONE));
    assert!(here.is_some() && here == gone);
    assert_ne!(key(&ANN_HERE.replace("bob@", "eve@")), here);
    let join = key(JOIN);
    assert!(join.is_some() && join != here);
    let change = "<presence to='ops@chat.field.test/ann' from='ann@hq.test/a'><show>away</show></presence>";
    assert_eq!(key(change), None, "the room has not answered: the join must stay in front");
    site.cache.inbound(site.now, stanza(SEATED));
    let mut key = |text: &str| site.cache.outbound(site.now, stanza(text)).replace;
    assert_eq!(key(change), join);
    assert_eq!(key("<presence to='ops@chat.field.test/ann' from='ann@hq.test/a' type='unavailable'/>"), join);
}

#[test]
fn a_restart_forgets_nothing_and_repeats_only_what_was_under_way() {
    let mut site = Site::new(PresenceConfig::default());
    site.inbound(BOB_HERE);
    site.inbound("<presence to='ann@hq.test' from='eve@field.test' type='unsubscribed'/>");
    site.outbound(ANN_HERE);
    site.outbound(JOIN);
    site.inbound(SEATED);
    let carol = ANN_HERE.replace("ann@", "carol@");
    site.outbound(&carol);
    site.cache.delivered(&stanza(ANN_HERE));
    site.restart();
    assert_eq!(site.wake(), [format!("on {}", carol.replace(" id='1'", ""))]);
    assert_eq!((site.outbound(ANN_HERE), site.outbound(&carol)), (Vec::new(), Vec::new()));
    assert!(site.outbound(PROBE)[0].starts_with("back"));
    assert!(site.outbound(PING)[0].ends_with("type='result'/>"));
    site.cache.delivered(&stanza(&carol));
    site.restart();
    assert_eq!(site.wake(), NOTHING);
    site.outbound(ANN_GONE);
    site.cache.delivered(&stanza(ANN_GONE));
    site.save();
    assert_eq!(site.rows.keys().filter(|key| key[0] == b's').count(), 1, "who is gone needs no row");
}

#[test]
fn a_restart_in_an_outage_does_not_make_it_shorter_than_it_seems() {
    let mut site = Site::new(PresenceConfig::default());
    site.inbound(BOB_HERE);
    site.save();
    site.cache = PresenceCache::new(PresenceConfig::default());
    site.cache.restore(site.rows.clone().into_iter().collect());
    assert_eq!(site.cache.next_wakeup().map(|wakeup| wakeup.at), Some(Instant::ZERO));
    assert_eq!(site.wake(), NOTHING);
    assert_eq!(site.wait(1800).wake(), [format!("back {BOB_GONE}")]);
    assert_eq!(site.link(true), [format!("back {BOB_HERE}")]);
}

#[test]
fn given_up_presence_is_news_again() {
    let mut site = Site::new(PresenceConfig::default());
    site.outbound(ANN_HERE);
    site.cache.lost(&stanza(ANN_HERE));
    assert_eq!(site.outbound(ANN_HERE).len(), 1);
}

#[test]
fn rows_that_cannot_be_read_are_deleted() {
    let mut site = Site::new(PresenceConfig::default());
    site.inbound(BOB_HERE);
    site.outbound(ANN_HERE);
    site.inbound(SEATED);
    site.save();
    for (key, value) in &site.rows {
        for length in 0..value.len() {
            let mut cache = PresenceCache::new(PresenceConfig::default());
            cache.restore(vec![(key.clone(), value.slice(..length))]);
        }
    }
    let bad = [b"".to_vec(), b"c".to_vec(), b"x\0y".to_vec(), b"c\xff\0y".to_vec(), b"ca@b".to_vec()];
    let mut cache = PresenceCache::new(PresenceConfig::default());
    cache.restore(bad.iter().map(|key| (key.clone(), Bytes::new())).collect());
    let deleted: Vec<Vec<u8>> = cache.changes().into_iter().filter(|row| row.1.is_none()).map(|row| row.0).collect();
    assert_eq!(deleted.len(), bad.len());
}

#[test]
fn online_as_far_as_known() {
    let mut site = Site::new(PresenceConfig::default());
    let online = |site: &Site, address: &str| site.cache.is_online(&address.parse().unwrap());
    assert_eq!(online(&site, "bob@field.test/x"), None);
    site.inbound(BOB_HERE);
    assert_eq!(online(&site, "bob@field.test/x"), Some(true));
    assert_eq!((online(&site, "bob@field.test/y"), online(&site, "bob@field.test")), (Some(false), Some(true)));
    site.inbound(BOB_GONE);
    assert_eq!((online(&site, "bob@field.test/x"), online(&site, "bobby@field.test")), (Some(false), None));
}

/// Hostile input 24, and the promise of memory.
#[test]
fn floods_are_bounded_and_ten_thousand_presences_are_small() {
    let mut site = Site::new(PresenceConfig::default());
    for number in 0..10_000u32 {
        let (user, domain) = (number % 10, number % 1000);
        site.inbound(&format!("<presence to='ann{user}@hq.test' from='bob{number}@d{domain}.field.test/x'/>"));
    }
    let facts = site.cache.describe();
    assert_eq!((facts.pairs, facts.clients), (10_000, 10_000));
    assert!(facts.octets < 100, "equal presence is kept once: {facts:?}");
    for number in 0..20_500u32 {
        site.inbound(&format!(
            "<presence to='ann@hq.test' from='u{number}@field.test/x'><status>{number}</status></presence>"
        ));
        site.outbound(&format!(
            "<presence to='u{number}@field.test' from='ann@hq.test/{number}'><status>{number}</status></presence>"
        ));
        site.inbound(&format!("<presence to='u{number}@hq.test' from='u{number}@field.test' type='probe'/>"));
    }
    for number in 0..100 {
        site.inbound(&format!(
            "<presence to='ann@hq.test' from='bob@field.test/{number}'><status>{}</status></presence>",
            "x".repeat(9_000)
        ));
        site.inbound(&format!("<presence to='ann@hq.test' from='carol@field.test/{number}'/>"));
    }
    let facts = site.cache.describe();
    assert!(facts.pairs <= limits::PAIRS_MAX && facts.shown <= limits::SENT_MAX, "{facts:?}");
    assert!(
        facts.octets <= limits::BODIES_OCTETS_MAX && facts.clients <= limits::PAIRS_MAX * limits::RESOURCES_MAX,
        "{facts:?}"
    );
    site.save();
    assert!(site.rows.len() <= limits::PAIRS_MAX + limits::SENT_MAX, "rows go with what is forgotten");
}

fn arbitrary_step() -> impl Strategy<Value = (bool, String)> {
    let typ = prop::sample::select(vec![
        "",
        "unavailable",
        "probe",
        "subscribe",
        "subscribed",
        "unsubscribe",
        "unsubscribed",
        "error",
        "odd",
    ]);
    let far = prop::sample::select(vec!["bob@field.test", "bob@field.test/x", "field.test", "ops@chat.field.test/ann"]);
    let own = prop::sample::select(vec!["ann@hq.test", "ann@hq.test/a", "ann@hq.test/b"]);
    let inside = prop::sample::select(vec![
        "",
        "<show>away</show>",
        "<x xmlns='http://jabber.org/protocol/muc'/>",
        "<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x>",
    ]);
    (any::<bool>(), typ, far, own, inside).prop_map(|(outbound, typ, far, own, inside)| {
        let typ = if typ.is_empty() { String::new() } else { format!(" type='{typ}'") };
        let (to, from) = if outbound { (far, own) } else { (own, far) };
        (outbound, format!("<presence to='{to}' from='{from}'{typ}>{inside}</presence>"))
    })
}

proptest! {
    /// Whatever comes, in whatever order, with outages and restarts: no subscription is ever ended or made by the gateway,
    /// every subscription crosses, and no error is made up but for presence of a type that is none.
    #[test]
    fn no_subscription_is_invented(
        steps in prop::collection::vec((arbitrary_step(), 0u64..4000, 0u8..8), 1..40),
        sync in prop::sample::select(vec![None, Some(PresenceSync::Probe), Some(PresenceSync::None)]),
        synthetic in prop::sample::select(vec![SyntheticPresence::Never, SyntheticPresence::Always, SyntheticPresence::LinkUp]),
    ) {
        let mut site = Site::new(PresenceConfig { sync, synthetic, ..PresenceConfig::default() });
        for ((outbound, text), seconds, event) in steps {
            site.wait(seconds);
            let mut said = Vec::new();
            match event {
                0 => said.extend(site.link(false)),
                1 => said.extend(site.link(true)),
                2 => site.restart(),
                _ => {}
            }
            said.extend(site.wake());
            let input = stanza(&text);
            let presence = if outbound { site.cache.outbound(site.now, input.clone()) } else { site.cache.inbound(site.now, input.clone()) };
            let subscription = matches!(input.typ(), Some("subscribe" | "subscribed" | "unsubscribe" | "unsubscribed"));
            if subscription {
                prop_assert_eq!(presence.cross.as_ref(), Some(&input));
            }
            let own = Presence { cross: None, ..presence };
            said.extend(lines(&own));
            for line in said {
                let made_up = line.contains("type='error'") && input.typ() != Some("odd");
                prop_assert!(!line.contains("subscribe") && !made_up, "{} after {}", line, text);
            }
        }
    }
}
