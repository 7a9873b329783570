//! Through whole sites: what must cross as it is, and what is said of what nobody confirms.

use skywave::node::command::{Command, Reply};
use skywave::node::config::TransportConfig;
use skywave::node::seam::Needs;
use skywave::telemetry::{Event, Status};
use skywave::world::Trouble;
use skywave::world::local_mta::Mood;
use skywave::world::plan::{GROUP_ADDRESS, LinkKind, Plan};
use skywave::world::{MailOrder, World};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::time::Duration;
use skywave_transports::modem::weather::Weather;

const MINUTE: Duration = Duration::from_secs(60);
const HQ: usize = 0;
const FIELD: usize = 1;

/// Label fields as somebody may write them: folded, repeated, in odd case, with blanks at ends, of several formats.
const LABELS: &str = "SIO-Label: marking=\"NATO RESTRICTED\" ;fgcolor=black; bgcolor=#00ff00;\r\n\ttype=\":ess\";\r\n  \
    label*0=\"MQYGASkBAQ==\" ; label*1=\"AAAA\"  \r\n\
    SIO-Label-History: marking=\"OLD\"; change=replace; changed-by=\"a@hq.test\";\r\n changed-at=\"2030-01-01T00:00:00Z\"\r\n\
    sio-LABEL-history: change=add;changed-by=x;\tchanged-at=\"2029-01-01T00:00:00Z\"\r\n\
    Security-Label:UNMARKED\r\n\
    X-Security-Label:   \t SECRET // ONLY \r\n\
    X-X411: MQYGASkBAQ==\r\n";

fn sites(names: &[&str], links: &[LinkKind]) -> World {
    let plan = Plan { links: links.to_vec(), ..Plan::new(names) };
    let mut weather = Weather::default();
    plan.fit(&mut weather);
    let mut world = World::new(11, &weather);
    for (index, name) in names.iter().enumerate() {
        let mut config = plan.site(index);
        for link in &mut config.links {
            if let TransportConfig::BatchRadio { group, repeats, .. } = &mut link.transport {
                let many = names.len() > 2;
                *group = many.then(|| GROUP_ADDRESS.to_owned());
                *repeats = if many { 2 } else { 1 };
            }
        }
        world.add(name, config, false);
    }
    world.run_for(Duration::from_secs(5));
    world
}

fn order(to: &[&str], headers: &str, body: &str) -> MailOrder {
    MailOrder {
        from: "a@hq.test".to_owned(),
        to: to.iter().map(|&to| to.to_owned()).collect(),
        subject: "labelled".to_owned(),
        headers: headers.to_owned(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        pipelining: true,
        ..MailOrder::default()
    }
}

/// The texts that a site's server has.
fn texts(world: &World, site: usize) -> Vec<String> {
    world.sites[site].mta.received().iter().map(|mail| String::from_utf8_lossy(&mail.text).into_owned()).collect()
}

/// Labels are evidence: no octet of them changes, whatever carries the mail and whatever its text is converted to.
#[test]
fn labels_cross_untouched_by_every_carriage_and_conversion() {
    let mime = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n";
    let eight_bit = Needs { eight_bit: true, ..Needs::default() };
    let utf8 = Needs { utf8: true, ..Needs::default() };
    let binary = Needs { binary: true, ..Needs::default() };
    for link in [LinkKind::Hf, LinkKind::Udp, LinkKind::Batch] {
        for (parameters, subject, body, lacks, converted) in [
            ("", "", "plain\r\n", None, "\r\n\r\nplain\r\n"),
            ("BODY=8BITMIME MT-PRIORITY=4", "", "gr\u{fc}n\r\n", Some(eight_bit), "gr=C3=BCn"),
            (
                "BODY=8BITMIME SMTPUTF8",
                "Comments: \u{fc}\r\n",
                "gr\u{fc}n\r\n",
                Some(utf8),
                "Comments: =?utf-8?B?w7w=?=",
            ),
            ("", "", &format!("{}\r\n", "x".repeat(1_500)), Some(binary), "x"),
        ] {
            let mut world = sites(&["hq", "field"], &[link]);
            world.sites[FIELD].mta.offers_mt_priority = false;
            if let Some(lacks) = lacks {
                world.sites[FIELD].mta.mood = Mood::Lacks(lacks);
            }
            let order = order(&["b@field.test"], &format!("{LABELS}{subject}{mime}"), body);
            world.mail(HQ, MailOrder { mail_parameters: parameters.to_owned(), ..order });
            assert!(world.run_until_settled(30 * MINUTE), "{link:?} {parameters}");
            let texts = texts(&world, FIELD);
            let [text] = &texts[..] else { panic!("{link:?} {parameters}: {texts:?}") };
            assert!(text.contains(&format!("\r\n{LABELS}")), "{link:?} {parameters}: {text}");
            assert!(text.contains(converted), "{link:?} {parameters}: {text}");
            assert_eq!(world.violations(), [""; 0]);
        }
    }
}

/// A label that a server without SMTPUTF8 cannot take is not spelled in another way: the mail goes back.
#[test]
fn a_label_that_cannot_be_said_goes_back_instead_of_being_changed() {
    for label in ["SIO-Label: marking=\"GEHEIM \u{dc}\"\r\n", "X-Security-Label: GEHEIM \u{dc}\r\n"] {
        let mut world = sites(&["hq", "field"], &[LinkKind::Udp]);
        world.sites[FIELD].mta.mood = Mood::Lacks(Needs { utf8: true, ..Needs::default() });
        let order = order(&["b@field.test"], label, "x\r\n");
        world.mail(HQ, MailOrder { mail_parameters: "SMTPUTF8".to_owned(), ..order });
        assert!(world.run_until_settled(30 * MINUTE));
        assert!(texts(&world, FIELD).is_empty(), "{:?}", texts(&world, FIELD));
        let reports = texts(&world, HQ);
        assert!(reports.iter().any(|text| text.contains("Status: 5.6.7")), "{label}: {reports:?}");
    }
}

/// A batch to a group is confirmed by nobody: log and report say so, and nothing says that it was delivered.
#[test]
fn a_batch_to_a_group_is_relayed_and_never_called_delivered() {
    let mut world = sites(&["hq", "field", "ship"], &[LinkKind::Batch]);
    let order = order(&["b@field.test", "c@ship.test"], "", "x\r\n");
    world.mail(HQ, MailOrder { rcpt_parameters: "NOTIFY=SUCCESS,FAILURE".to_owned(), ..order });
    assert!(world.run_until_settled(60 * MINUTE));
    for site in [FIELD, 2] {
        let subjects: Vec<&str> = world.sites[site].mta.received().iter().map(|mail| &*mail.subject).collect();
        assert_eq!(subjects, ["labelled"], "once, though it was sent twice");
    }
    let tried = |event: &Event| match event {
        Event::MailTried { to, relay, status, .. } => Some((to.clone(), relay.clone(), *status)),
        _ => None,
    };
    let mut logged: Vec<_> = world.sites[HQ].told.iter().filter_map(|told| tried(&told.event)).collect();
    logged.retain(|(to, ..)| !to.contains("a@hq.test"));
    logged.sort_by(|a, b| a.0.cmp(&b.0));
    let logged: Vec<_> = logged.iter().map(|(to, _, status)| (to.trim_matches(['<', '>']), *status)).collect();
    assert_eq!(logged, [("b@field.test", Status::Relayed), ("c@ship.test", Status::Relayed)]);
    // Each far site may say for itself that its server has the mail; ours knows no more than that it was sent.
    let mut reports = texts(&world, HQ);
    reports.retain(|report| report.contains("This is the Skywave gateway at hq.test"));
    assert!(!reports.is_empty());
    for report in &reports {
        assert!(report.contains("Action: relayed") && !report.contains("Action: delivered"), "{report}");
    }
    let named = |name: &str| reports.iter().any(|report| report.contains(&format!("Final-Recipient: rfc822; {name}")));
    assert!(named("b@field.test") && named("c@ship.test"), "{reports:?}");
    assert_eq!(world.violations(), [""; 0]);
}

/// A node that only broadcasts rejects every bind for ARQ: a link that uses none serves it all the same. Ships in EMCON
/// get their mail, and acknowledge, and answer, without ARQ too.
#[test]
fn a_broadcast_only_node_carries_mail_to_silent_ships() {
    for arq in [None, Some(false)] {
        let names = ["shore", "ship", "boat"];
        let plan = Plan { silent: vec!["ship".to_owned(), "boat".to_owned()], ..Plan::new(&names) };
        let mut weather = Weather::default();
        plan.fit(&mut weather);
        let mut world = World::new(12, &weather);
        world.air.tune = Some(|site, station| {
            (station.cas.broadcast_only, station.server.broadcast_only) = (site == 0, site == 0);
        });
        for (index, name) in names.iter().enumerate() {
            let mut config = plan.site(index);
            for link in &mut config.links {
                if let TransportConfig::Acp142Radio { acp142, .. } = &mut link.transport {
                    acp142.options.arq = arq;
                }
            }
            world.add(name, config, false);
        }
        world.run_for(Duration::from_secs(5));
        let mut ask = |site, command| match world.ask(site, command, MINUTE) {
            Some(Reply::Ok(facts)) => facts,
            other => panic!("{other:?}"),
        };
        let shown = ask(0, Command::LinkShow { link: "hf".into() });
        assert_eq!(shown["up"], arq.is_some(), "{shown}");
        if arq.is_none() {
            continue;
        }
        for ship in [1, 2] {
            ask(ship, Command::Emcon { link: None, on: true });
        }
        let order = |from: &str, to: &[&str]| MailOrder { from: from.to_owned(), ..order(to, "", "x\r\n") };
        world.mail(0, order("a@shore.test", &["b@ship.test", "c@boat.test"]));
        world.mail(0, order("a@shore.test", &["c@boat.test"]));
        world.run_for(60 * MINUTE);
        assert_eq!((texts(&world, 1).len(), texts(&world, 2).len()), (1, 2));
        assert_eq!(world.sites[0].disk.owes(), 2, "nobody has acknowledged");
        for ship in [1, 2] {
            world.ask(ship, Command::Emcon { link: None, on: false }, MINUTE);
        }
        world.mail(1, order("b@ship.test", &["a@shore.test"]));
        assert!(world.run_until_settled(24 * 60 * MINUTE));
        assert_eq!((texts(&world, 0).len(), texts(&world, 1).len(), texts(&world, 2).len()), (1, 1, 2));
        assert_eq!(world.violations(), [""; 0]);
    }
}

/// The node of a site comes back and takes less than before, while what was heard of its mail cannot be said: at any moment of
/// the transfer, nothing is lost and nothing comes twice, though the mail goes on under another number.
#[test]
fn a_node_that_takes_less_after_its_return_doubles_nothing() {
    let mut renewed = 0;
    for names in [&["hq", "field"][..], &["hq", "field", "ship"]] {
        // Before the first PDU, on the way, and when all had arrived somewhere and no acknowledgement has come.
        for seconds in [5, 40, 70, 100, 0] {
            let mut world = sites(names, &[LinkKind::Hf]);
            let body = skywave::world::story::step::body(8_000, true, 4);
            let to: Vec<String> = names[1..].iter().map(|name| format!("b@{name}.test")).collect();
            let to: Vec<&str> = to.iter().map(String::as_str).collect();
            world.mail(HQ, MailOrder { body, ..order(&to, "", "") });
            let arrived = |world: &World| !texts(world, FIELD).is_empty();
            let mut waits = 0;
            while waits < if seconds > 0 { seconds } else { 600 } && !arrived(&world) {
                world.run_for(Duration::from_secs(1));
                waits += 1;
            }
            world.trouble(Duration::ZERO, Trouble::Outage(4 * MINUTE));
            world.trouble(Duration::from_secs(20), Trouble::StationRenewed(HQ, 600));
            assert!(world.run_until_settled(24 * 60 * MINUTE), "{names:?} {seconds}");
            world.checkers.at_the_end();
            assert_eq!(world.violations(), [""; 0], "{names:?} {seconds}");
            for site in 1..names.len() {
                assert_eq!(texts(&world, site).len(), 1, "{names:?} {seconds}: at {site}");
            }
            let told = world.sites[HQ].told.iter();
            let is_it = |event: &Event| matches!(event, Event::Notice { name, .. } if name == "message_renewed");
            renewed += told.filter(|told| is_it(&told.event)).count();
        }
    }
    assert!(renewed > 4, "{renewed} messages began anew");
}
