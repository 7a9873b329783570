//! One site with its local MTA in a world of its own: what clients, operators and senders see.

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::smtp::grammar::Extensions;
use skywave_protocols::time::Duration;
use skywave_transports::modem::weather::Weather;

use crate::node::command::{Command, Reply};
use crate::node::config::{BatchMailConfig, Route, TransportConfig};
use crate::node::seam::Needs;
use crate::world::disk::Ailment;
use crate::world::local_mta::Mood;
use crate::world::plan::{LinkKind, Plan};
use crate::world::{MailOrder, Trouble, World};

mod marks;
mod reports;

fn one_site() -> World {
    let mut world = World::new(7, &Weather::default());
    world.add("hq", Plan::new(&["hq"]).site(0), false);
    world.run_for(Duration::from_secs(5));
    world
}

fn order(from: &str, to: &[&str]) -> MailOrder {
    MailOrder {
        from: from.into(),
        to: to.iter().map(ToString::to_string).collect(),
        subject: "hello".into(),
        body: Bytes::from_static(b"a line\r\n"),
        ..MailOrder::default()
    }
}

fn received(world: &World) -> Vec<(Vec<String>, String)> {
    world.sites[0].mta.received().iter().map(|mail| (mail.to.clone(), mail.subject.clone())).collect()
}

fn ask(world: &mut World, command: Command) -> serde_json::Value {
    match world.ask(0, command, Duration::from_secs(60)) {
        Some(Reply::Ok(facts)) => facts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn mail_for_the_local_mta_is_handed_over_once() {
    let mut world = one_site();
    world.mail(0, order("a@hq.test", &["b@hq.test", "c@hq.test"]));
    assert!(world.run_until_settled(Duration::from_secs(60)));
    assert_eq!(received(&world), [(vec!["b@hq.test".into(), "c@hq.test".into()], "hello".into())]);
    assert_eq!(world.violations(), [""; 0]);
    let text = &world.sites[0].mta.received()[0].text;
    assert!(text.starts_with(b"Received: from "), "{:?}", String::from_utf8_lossy(text));
    assert_eq!(ask(&mut world, Command::Status)["mails_queued"], 0);
}

#[test]
fn a_temporary_refusal_is_tried_again_and_a_permanent_one_is_reported() {
    let mut world = one_site();
    world.sites[0].mta.answer_with("later@hq.test", 450);
    world.sites[0].mta.answer_with("never@hq.test", 550);
    world.mail(0, order("a@hq.test", &["now@hq.test", "later@hq.test", "never@hq.test"]));
    world.run_for(Duration::from_secs(20));
    let queue = ask(&mut world, Command::QueueList { limit: 10, link: None });
    assert_eq!(queue["mails"][0]["hops"][0]["recipients_waiting"], 1, "{queue}");
    assert_eq!(queue["mails"][0]["hops"][0]["attempts"], 1, "{queue}");
    world.sites[0].mta.answer_with("later@hq.test", 250);
    assert!(world.run_until_settled(Duration::from_secs(600)));
    let all = received(&world);
    assert!(all.contains(&(vec!["now@hq.test".into()], "hello".into())), "{all:?}");
    assert!(all.contains(&(vec!["a@hq.test".into()], "Undeliverable mail".into())), "{all:?}");
    assert!(all.contains(&(vec!["later@hq.test".into()], "hello".into())), "{all:?}");
    assert_eq!((all.len(), world.violations()), (3, &[][..]));
}

#[test]
fn a_mail_whose_time_passes_is_reported_once() {
    let mut world = one_site();
    world.sites[0].mta.answer_with("b@hq.test", 450);
    world.mail(0, order("a@hq.test", &["b@hq.test"]));
    assert!(world.run_until_settled(Duration::from_secs(3600 * 24 * 7)));
    let all = received(&world);
    let expired = all.iter().filter(|(_, subject)| subject.contains("expired")).count();
    assert_eq!((expired, world.violations()), (1, &[][..]), "{all:?}");
}

#[test]
fn the_operator_holds_releases_and_deletes() {
    let mut world = one_site();
    world.sites[0].mta.mood = Mood::Down;
    world.mail(0, order("a@hq.test", &["b@hq.test"]));
    world.mail(0, order("a@hq.test", &["c@hq.test"]));
    world.run_for(Duration::from_secs(10));
    let queue = ask(&mut world, Command::QueueList { limit: 10, link: None });
    let ticket = |index: usize| queue["mails"][index]["ticket"].as_str().unwrap_or_default().to_owned();
    ask(&mut world, Command::QueueHold { ticket: ticket(0) });
    ask(&mut world, Command::QueueDelete { ticket: ticket(1), report: true });
    world.sites[0].mta.mood = Mood::Takes;
    ask(&mut world, Command::QueueRetry { ticket: None });
    world.run_for(Duration::from_secs(600));
    assert_eq!(received(&world), [(vec!["a@hq.test".into()], "Undeliverable mail".into())], "one is held, one deleted");
    ask(&mut world, Command::QueueRelease { ticket: ticket(0) });
    ask(&mut world, Command::QueueRetry { ticket: Some(ticket(0)) });
    world.run_for(Duration::from_secs(60));
    assert_eq!(received(&world).len(), 2);
    let life = ask(&mut world, Command::Track { id: ticket(0) });
    let what: Vec<&str> =
        life["history"].as_array().unwrap().iter().filter_map(|entry| entry["what"].as_str()).collect();
    assert!(what.contains(&"held by the operator") && what.contains(&"finished"), "{what:?}");
}

/// What an operator was told is done holds after a crash in the same instant.
#[test]
fn what_an_operator_is_told_outlives_a_crash() {
    for seed in 0..8 {
        let mut world = World::new(seed, &Weather::default());
        world.add("hq", Plan::new(&["hq", "field"]).site(0), false);
        world.run_for(Duration::from_secs(5));
        world.sites[0].mta.mood = Mood::Down;
        world.mail(0, order("a@hq.test", &["b@hq.test"]));
        world.mail(0, order("a@hq.test", &["c@hq.test"]));
        world.run_for(Duration::from_secs(10));
        let queue = ask(&mut world, Command::QueueList { limit: 10, link: None });
        let ticket = |index: usize| queue["mails"][index]["ticket"].as_str().unwrap_or_default().to_owned();
        let mut done = |command: Command, shows: Command, key: &str, value: serde_json::Value| {
            ask(&mut world, command.clone());
            world.trouble(Duration::ZERO, Trouble::Crash(0, Duration::from_secs(1)));
            world.run_for(Duration::from_secs(5));
            assert_eq!(ask(&mut world, shows).pointer(key), Some(&value), "seed {seed}: {command:?}");
        };
        let show = |index: usize| Command::QueueShow { ticket: ticket(index) };
        let link = || Command::LinkShow { link: "hf".into() };
        let flash = Command::QueuePrecedence { ticket: ticket(0), precedence: Precedence::Flash };
        done(Command::QueueHold { ticket: ticket(0) }, show(0), "/held", true.into());
        done(flash, show(0), "/precedence", "flash".into());
        done(Command::QueueRelease { ticket: ticket(0) }, show(0), "/held", false.into());
        done(Command::LinkDown { link: "hf".into() }, link(), "/in_use", false.into());
        done(Command::Emcon { link: None, on: true }, link(), "/emission", "silent".into());
        for index in 0..2 {
            let delete = Command::QueueDelete { ticket: ticket(index), report: true };
            done(delete, show(index), "/hops/0/state", "done".into());
        }
    }
}

/// A disk that fails: what was asked for holds, the answer says that it is not safe, and it is safe when the disk works.
#[test]
fn an_operator_is_told_that_the_disk_fails() {
    let mut world = one_site();
    world.sites[0].mta.mood = Mood::Down;
    world.mail(0, order("a@hq.test", &["b@hq.test"]));
    world.mail(0, order("a@hq.test", &["c@hq.test"]));
    world.run_for(Duration::from_secs(10));
    let queue = ask(&mut world, Command::QueueList { limit: 10, link: None });
    let ticket = |index: usize| queue["mails"][index]["ticket"].as_str().unwrap_or_default().to_owned();
    world.sites[0].disk.ail(Some(Ailment::Fails));
    // The first finds out that the disk fails, the others know it already.
    for command in [
        Command::QueueHold { ticket: ticket(0) },
        Command::QueuePrecedence { ticket: ticket(0), precedence: Precedence::Flash },
        Command::QueueRetry { ticket: None },
        Command::QueueDelete { ticket: ticket(1), report: true },
    ] {
        match world.ask(0, command.clone(), Duration::from_secs(60)) {
            Some(Reply::Error { why, code: 75 }) => assert!(why.contains("not on the disk yet"), "{command:?}: {why}"),
            other => panic!("{command:?}: {other:?}"),
        }
    }
    assert_eq!(ask(&mut world, Command::QueueShow { ticket: ticket(0) })["held"], true);
    world.sites[0].disk.ail(None);
    world.run_for(Duration::from_secs(10));
    world.trouble(Duration::ZERO, Trouble::Crash(0, Duration::from_secs(1)));
    world.run_for(Duration::from_secs(5));
    let shown = ask(&mut world, Command::QueueShow { ticket: ticket(0) });
    assert_eq!((&shown["held"], &shown["precedence"]), (&true.into(), &"flash".into()));
    assert_eq!(ask(&mut world, Command::QueueShow { ticket: ticket(1) })["hops"][0]["state"], "done");
    assert_eq!(world.violations(), [""; 0]);
}

/// `queue retry` of everything is answered when all of it is on the disk, also of mails that had left the memory.
#[test]
fn a_retry_of_everything_is_told_when_it_is_stored() {
    for seed in 0..8 {
        let mut world = World::new(seed, &Weather::default());
        world.add("hq", Plan::new(&["hq"]).site(0), false);
        world.run_for(Duration::from_secs(5));
        world.sites[0].mta.mood = Mood::Down;
        for _ in 0..5 {
            world.mail(0, order("a@hq.test", &["b@hq.test"]));
        }
        world.run_for(Duration::from_secs(10));
        assert_eq!(ask(&mut world, Command::QueueRetry { ticket: None }), serde_json::json!({ "mails": 5 }));
        world.trouble(Duration::ZERO, Trouble::Crash(0, Duration::from_secs(1)));
        world.run_for(Duration::from_secs(5));
        let queue = ask(&mut world, Command::QueueList { limit: 10, link: None });
        for mail in queue["mails"].as_array().unwrap() {
            let ticket = mail["ticket"].as_str().unwrap().to_owned();
            let shown = ask(&mut world, Command::QueueShow { ticket });
            assert!(shown["history"].to_string().contains("retried by the operator"), "seed {seed}: {shown}");
        }
        assert_eq!(queue["mails"].as_array().map(Vec::len), Some(5), "{queue}");
    }
    let mut world = one_site();
    assert_eq!(ask(&mut world, Command::QueueRetry { ticket: None })["mails"], 0);
}

/// Why a mail is still here, and when it will go.
#[test]
fn a_mail_that_waits_says_what_for() {
    let mut world = World::new(7, &Weather::default());
    world.add("hq", Plan::new(&["hq", "field"]).site(0), false);
    world.run_for(Duration::from_secs(5));
    let body = Bytes::from(format!("{}\r\n", "x".repeat(68)).repeat(70));
    for _ in 0..20 {
        world.mail(0, MailOrder { body: body.clone(), ..order("a@hq.test", &["b@field.test"]) });
    }
    world.run_for(Duration::from_secs(30));
    let mut last = |command: Option<Command>| {
        command.into_iter().for_each(|command| drop(ask(&mut world, command)));
        let queue = ask(&mut world, Command::QueueList { limit: 100, link: None });
        queue["mails"].as_array().unwrap().last().unwrap()["hops"][0].clone()
    };
    let hop = last(None);
    let why = hop["why"].as_str().unwrap();
    assert!(why.starts_with("waits for its turn, behind 19 (9") && why.contains("before compression"), "{hop}");
    assert_eq!(hop["mails_ahead"], 19);
    assert!(hop["estimated_wait_seconds"].as_f64().unwrap() > 600.0, "{hop}");
    assert_eq!(last(Some(Command::Emcon { link: None, on: true }))["why"], "we keep silence on the link (EMCON)");
    assert_eq!(last(Some(Command::LinkDown { link: "hf".into() }))["why"], "the link is taken out of use");
}

#[test]
fn the_local_mta_is_told_what_is_left_of_the_time() {
    let mut world = one_site();
    world.sites[0].mta.mood = Mood::Down;
    let by = |parameters: &str| MailOrder { mail_parameters: parameters.into(), ..order("a@hq.test", &["b@hq.test"]) };
    world.mail(0, by("BY=7200;N"));
    world.run_for(Duration::from_secs(900));
    world.sites[0].mta.mood = Mood::Takes;
    assert!(world.run_until_settled(Duration::from_secs(3600)));
    let by = world.sites[0].mta.received()[0].by_seconds;
    assert!(by.is_some_and(|seconds| (3600..=6300).contains(&seconds)), "{by:?}");
}

/// RFC 2852: mode R comes back rather than going where nobody keeps to its time; mode N goes on.
#[test]
fn a_mail_to_be_returned_in_time_is_not_relayed_to_a_server_without_deliverby() {
    for (parameter, final_delivery, mood, expected) in [
        ("BY=7200;R", false, Mood::LacksDeliverBy, &[("a@hq.test", "Undeliverable mail")][..]),
        (
            "BY=7200;N",
            false,
            Mood::LacksDeliverBy,
            &[("b@hq.test", "hello"), ("a@hq.test", "Mail relayed (no further report will come)")],
        ),
        ("BY=7200;R", false, Mood::Takes, &[("b@hq.test", "hello")]),
        ("BY=7200;R", true, Mood::LacksDeliverBy, &[("b@hq.test", "hello")]),
    ] {
        let mut config = Plan::new(&["hq"]).site(0);
        config.local[0].final_delivery = final_delivery;
        let mut world = World::new(7, &Weather::default());
        world.add("hq", config, false);
        world.run_for(Duration::from_secs(5));
        world.sites[0].mta.mood = mood;
        world.mail(0, MailOrder { mail_parameters: parameter.into(), ..order("a@hq.test", &["b@hq.test"]) });
        world.run_for(Duration::from_secs(60));
        let expected: Vec<_> =
            expected.iter().map(|&(to, subject)| (vec![to.to_owned()], subject.to_owned())).collect();
        assert_eq!(received(&world), expected, "{parameter} {final_delivery} {mood:?}");
    }
}

#[test]
fn a_converted_mail_keeps_its_precedence_towards_a_server_without_the_parameter() {
    let mut world = one_site();
    world.sites[0].mta.mood = Mood::Lacks(Needs { eight_bit: true, ..Needs::default() });
    world.sites[0].mta.offers_mt_priority = false;
    let mime = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n";
    world.mail(
        0,
        MailOrder {
            mail_parameters: "BODY=8BITMIME MT-PRIORITY=4".into(),
            headers: mime.into(),
            body: "gr\u{fc}\u{df}e\r\n".into(),
            ..order("a@hq.test", &["b@hq.test"])
        },
    );
    assert!(world.run_until_settled(Duration::from_secs(600)));
    let text = String::from_utf8_lossy(&world.sites[0].mta.received()[0].text).into_owned();
    assert!(text.starts_with("MT-Priority: 4\r\n") && text.is_ascii(), "{text}");
}

/// RFC 2442: out as a mail to the peer's batch address, in through the site's own.
#[test]
fn a_batch_crosses_inside_a_mail() {
    let mut config = Plan::new(&["hq"]).site(0);
    config.local[0].domains.push("gate.test".into());
    config.batch_mail = vec![BatchMailConfig {
        name: "by-mail".into(),
        to: "batch@gate.test".to_owned().try_into().unwrap(),
        extensions: Extensions::BATCH,
    }];
    config.routes =
        vec![Route { domains: vec!["far.test".into()], site: "far.test".into(), links: vec!["by-mail".into()] }];
    let mut out = World::new(7, &Weather::default());
    out.add("hq", config, false);
    out.run_for(Duration::from_secs(5));
    out.mail(0, MailOrder { rcpt_parameters: "NOTIFY=SUCCESS".into(), ..order("a@hq.test", &["b@far.test"]) });
    out.run_for(Duration::from_secs(60));
    let all = received(&out);
    assert!(all.contains(&(vec!["batch@gate.test".into()], "Batch of mail".into())), "{all:?}");
    assert!(all.iter().any(|(to, subject)| to == &["a@hq.test"] && subject.starts_with("Mail relayed")), "{all:?}");
    let batch = out.sites[0].mta.received().iter().find(|mail| mail.subject == "Batch of mail").unwrap();
    let text = String::from_utf8(batch.text.to_vec()).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();

    let mut config = Plan::new(&["far"]).site(0);
    config.mail.batch_address = Some("batch@far.test".to_owned().try_into().unwrap());
    let mut into = World::new(8, &Weather::default());
    into.add("far", config, false);
    into.run_for(Duration::from_secs(5));
    let headers = "MIME-Version: 1.0\r\nContent-Type: application/batch-SMTP\r\nContent-Transfer-Encoding: base64\r\n";
    let carried =
        MailOrder { headers: headers.into(), body: body.to_owned().into(), ..order("c@hq.test", &["batch@far.test"]) };
    for _ in 0..2 {
        into.mail(0, carried.clone());
        into.run_for(Duration::from_secs(60));
    }
    assert_eq!(received(&into), [(vec!["b@far.test".into()], "hello".into())], "once, though the batch came twice");
    into.mail(0, order("c@far.test", &["batch@far.test"]));
    into.run_for(Duration::from_secs(60));
    let postmaster = (vec!["postmaster@far.test".into()], "Undeliverable mail".into());
    assert!(received(&into).contains(&postmaster), "no batch: {:?}", received(&into));
}

/// RFC 1870: who says beforehand how large a mail is hears before sending it that no link carries it.
#[test]
fn a_recipient_is_refused_whose_links_carry_less_than_the_declared_size() {
    for (links, unit_octets_max, size, taken) in [
        (&[LinkKind::Batch][..], None, 4 << 20, true),
        (&[LinkKind::Batch], None, (4 << 20) + 1, false),
        (&[LinkKind::Batch, LinkKind::Hf], None, (4 << 20) + 1, true),
        // What compresses uncommonly well may still fit, and what cannot is refused.
        (&[LinkKind::Hf], Some(50_000), 1_000_000, true),
        (&[LinkKind::Hf], Some(50_000), 1_000_001, false),
    ] {
        let plan = Plan { links: links.to_vec(), ..Plan::new(&["hq", "field"]) };
        let mut world = World::new(7, &Weather::default());
        let mut config = plan.site(0);
        for link in &mut config.links {
            if let TransportConfig::Acp142Radio { acp142, .. } = &mut link.transport {
                acp142.options.unit_octets_max = unit_octets_max;
            }
        }
        world.add("hq", config, false);
        world.run_for(Duration::from_secs(5));
        let mail_parameters = format!("SIZE={size}");
        world.mail(0, MailOrder { mail_parameters, ..order("a@hq.test", &["b@field.test"]) });
        world.run_for(Duration::from_secs(10));
        assert_eq!(ask(&mut world, Command::Status)["mails_queued"], usize::from(taken), "{links:?} {size}");
    }
}

/// A site that is configured as silent is believed so from the start, whatever the link carries: batches by ARQ wait.
#[test]
fn a_site_configured_as_silent_is_silent_from_the_start() {
    for kind in [LinkKind::Hf, LinkKind::Udp, LinkKind::Batch] {
        let plan = Plan { links: vec![kind], silent: vec!["ship".to_owned()], ..Plan::new(&["hq", "ship"]) };
        let mut world = World::new(9, &Weather::default());
        world.add("hq", plan.site(0), false);
        world.add("ship", plan.site(1), false);
        world.run_for(Duration::from_secs(5));
        let shown = ask(&mut world, Command::LinkShow { link: plan.site(0).links[0].name.to_string() });
        assert_eq!(shown["transport"]["silent_sites"], serde_json::json!(["ship.test"]), "{kind:?}: {shown}");
        world.mail(0, order("a@hq.test", &["b@ship.test"]));
        world.run_for(Duration::from_secs(600));
        let arrived = world.sites[1].mta.received().len();
        assert_eq!(arrived, usize::from(kind != LinkKind::Batch), "{kind:?}");
        world.mail(1, order("b@ship.test", &["a@hq.test"]));
        assert!(world.run_until_settled(Duration::from_secs(86_400)), "{kind:?}");
        assert_eq!(world.sites[1].mta.received().len(), 1, "{kind:?}: it was heard");
    }
}
