//! Commands at the wrong moment: mails that are held, moved and changed while they are under way must go all the same.

use skywave::node::command::{Command, Reply};
use skywave::node::config::{LocalConfig, SiteConfig};
use skywave::queue::agenda::{Due, Entry};
use skywave::queue::record::{MailRecord, Ticket};
use skywave::store::{Batch, Query, Store as _};
use skywave::telemetry::Event;
use skywave::world::chat::Deed;
use skywave::world::local_mta::Mood;
use skywave::world::plan::{CHAT_LINK, ChatPlan, LinkKind, Plan};
use skywave::world::{Trouble, World};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::Duration;
use skywave_transports::io::Space;

use super::lone::{BEGIN, Lone};
use super::{DAY, HOUR, MINUTE, ask, count, order, plan, settles, ticket, world};

/// A unit that its link has seen cancelled goes when the mail is released: over ACP 142 and as a batch, also when the
/// site restarts in between.
#[test]
fn a_mail_held_on_the_air_and_released_is_delivered() {
    for kind in [LinkKind::Udp, LinkKind::Hf, LinkKind::Batch] {
        for restarts in [false, true] {
            let mut world = world(12, &plan(&["hq", "field"], &[kind]));
            world.trouble(Duration::ZERO, Trouble::Crash(1, 10 * MINUTE));
            world.mail(0, order("a@hq.test", &["b@field.test"], "held"));
            world.run_for(Duration::from_secs(if kind == LinkKind::Batch { 1 } else { 30 }));
            let ticket = ticket(&mut world, 0);
            let held = ask(&mut world, 0, Command::QueueHold { ticket: ticket.clone() });
            assert_eq!(held["held"], true, "{kind:?}");
            world.run_for(Duration::from_secs(1));
            if restarts {
                world.trouble(Duration::ZERO, Trouble::Crash(0, Duration::from_secs(5)));
                world.run_for(MINUTE);
            }
            world.run_for(15 * MINUTE);
            assert_eq!(count(&world, 1, "held"), 0, "{kind:?}: it is held");
            ask(&mut world, 0, Command::QueueRelease { ticket });
            settles(&mut world, 6 * HOUR);
            assert_eq!(count(&world, 1, "held"), 1, "{kind:?} restarts: {restarts}");
        }
    }
}

/// Chat that waits for the radio is held, and with it what follows it in its conversation; the rest goes. The hold
/// outlives a crash. What is deleted never goes, and goes back to its sender if so ordered.
#[test]
fn chat_is_held_released_and_deleted_while_it_waits() {
    let plan = Plan { chat: Some(ChatPlan::default()), ..plan(&["hq", "field"], &[LinkKind::Hf]) };
    let mut world = world(14, &plan);
    ask(&mut world, 0, Command::LinkDown { link: CHAT_LINK.to_owned() });
    let lines = [("ann", "wait"), ("ann", "behind"), ("carl", "go"), ("dora", "gone"), ("eve", "back")];
    for (user, text) in lines {
        world.chat(0, user, &Deed::Say { to: "bob@field.test".to_owned(), text: text.to_owned() });
    }
    world.run_for(Duration::from_secs(5));
    let listed = ask(&mut world, 0, Command::QueueList { limit: 10, link: Some(CHAT_LINK.to_owned()) });
    let numbers: Vec<String> =
        (0..lines.len()).map(|place| listed["stanzas"][place]["number"].as_str().unwrap().to_owned()).collect();
    ask(&mut world, 0, Command::QueueHold { ticket: numbers[0].clone() });
    for (place, report) in [(3, false), (4, true)] {
        ask(&mut world, 0, Command::QueueDelete { ticket: numbers[place].clone(), report });
    }
    world.trouble(Duration::ZERO, Trouble::Crash(0, Duration::from_secs(5)));
    world.run_for(MINUTE);
    ask(&mut world, 0, Command::LinkUp { link: CHAT_LINK.to_owned() });
    world.run_for(20 * MINUTE);
    let heard = |world: &World| world.sites[1].xmpp.heard().map(|(_, text)| text).collect::<Vec<String>>();
    assert_eq!(heard(&world), ["go"]);
    let reply = world.ask(0, Command::QueueHold { ticket: numbers[3].clone() }, MINUTE);
    assert!(matches!(reply, Some(Reply::Error { code: 69, .. })), "{reply:?}");
    ask(&mut world, 0, Command::QueueRelease { ticket: numbers[0].clone() });
    settles(&mut world, HOUR);
    assert_eq!(heard(&world), ["go", "wait", "behind"]);
    let (returned, given_up): (Vec<bool>, Vec<bool>) =
        world.checkers.chat.duties.iter().map(|duty| (duty.returned, duty.given_up)).unzip();
    assert_eq!(returned, [false, false, false, false, true]);
    assert_eq!(given_up, [false, false, false, true, false]);
}

/// Moved to another link and back while it is under way, made more urgent, held and released: delivered once.
#[test]
fn a_mail_moved_there_and_back_is_delivered_once() {
    let mut world = world(13, &plan(&["hq", "field"], &[LinkKind::Hf, LinkKind::Udp]));
    world.trouble(Duration::ZERO, Trouble::Crash(1, HOUR));
    world.mail(0, order("a@hq.test", &["b@field.test"], "moved"));
    world.run_for(MINUTE);
    let ticket = ticket(&mut world, 0);
    for link in ["udp", "hf", "udp", "hf"] {
        ask(&mut world, 0, Command::QueueReroute { ticket: ticket.clone(), link: link.to_owned() });
        world.run_for(Duration::from_secs(20));
    }
    for precedence in [Precedence::Flash, Precedence::Deferred, Precedence::Immediate] {
        ask(&mut world, 0, Command::QueuePrecedence { ticket: ticket.clone(), precedence });
        ask(&mut world, 0, Command::QueueHold { ticket: ticket.clone() });
        ask(&mut world, 0, Command::QueueRelease { ticket: ticket.clone() });
        world.run_for(Duration::from_millis(3));
    }
    settles(&mut world, DAY);
    assert_eq!(count(&world, 1, "moved"), 1);
}

/// Held and released while its unit is being made: one unit goes.
#[test]
fn a_mail_released_while_its_unit_is_being_made_goes_once() {
    let mut lone = Lone::new(plan(&["hq", "field"], &[LinkKind::Udp]).site(0));
    lone.withheld = Some(Vec::new());
    let pipe = lone.connect(1);
    lone.say(pipe, b"EHLO c\r\n");
    lone.say(pipe, b"MAIL FROM:<a@hq.test>\r\nRCPT TO:<b@field.test>\r\nDATA\r\n");
    lone.say(pipe, b"Subject: x\r\n\r\n.\r\n");
    lone.release();
    let started = |lone: &Lone| lone.told.iter().filter(|event| matches!(event, Event::HopStarted { .. })).count();
    assert_eq!(started(&lone), 1);
    let queued = lone.heard(pipe);
    let ticket = queued.trim_end().rsplit(' ').next().unwrap().to_owned();
    lone.withheld = Some(Vec::new());
    for _ in 0..3 {
        // Answered when it is on the disk, which is only later.
        assert_eq!(lone.ask(Command::QueueHold { ticket: ticket.clone() }), None);
        assert_eq!(lone.ask(Command::QueueRelease { ticket: ticket.clone() }), None);
    }
    lone.release();
    assert_eq!(started(&lone), 2, "one more, not three");
}

/// The precedence changes while the mark of a hand-over is on its way to a disk that fails.
#[test]
fn a_precedence_changed_in_the_middle_of_a_hand_over_strands_nothing() {
    use skywave::store::model::Trouble;
    let mut config = plan(&["hq"], &[]).site(0);
    (config.local[0].connections_max, config.local[0].connections_urgent) = (1, 0);
    let mut lone = Lone::new(config);
    lone.mail(1, "", &["b@hq.test"], "Subject: first\r\n");
    let reply = lone.mail(2, "", &["b@hq.test"], "Subject: second\r\n");
    let ticket = reply.trim_end().rsplit(' ').next().unwrap().to_owned();
    // The first ends; the second is to be marked open, which fails, and is made more urgent before that is known.
    lone.withheld = Some(Vec::new());
    lone.store.set_trouble(Some(Trouble::CommitsFail));
    lone.answer(250);
    assert_eq!(lone.ask(Command::QueuePrecedence { ticket, precedence: Precedence::Flash }), None);
    lone.release();
    lone.store.set_trouble(None);
    lone.pass(MINUTE);
    assert_eq!(lone.hand_overs.len(), 1, "the second goes");
    lone.answer(250);
    assert_eq!(lone.status()["mails_queued"], 0);
}

fn second_door(mut config: SiteConfig) -> SiteConfig {
    let other = LocalConfig { name: "other".into(), domains: vec!["other.test".into()], ..config.local[0].clone() };
    config.local.push(other);
    config
}

/// The configuration loses a door and a link while mail waits for them: it is routed anew, or reported.
#[test]
fn mail_of_a_lane_that_is_configured_no_more_is_routed_anew_or_reported() {
    let before = second_door(plan(&["hq"], &[]).site(0));
    let mut lone = Lone::new(before);
    lone.mail(1, "", &["b@other.test", "c@hq.test", "d@sub.other.test"], "Subject: x\r\n");
    lone.mail(2, "", &["b@other.test"], "Subject: y\r\n");
    while !lone.hand_overs.is_empty() {
        lone.answer(451);
    }
    // Now `other.test` lies behind a link.
    let mut after = plan(&["hq", "field"], &[LinkKind::Udp]).site(0);
    after.routes[0].domains.push("other.test".to_owned());
    let mut moved = Lone::over(after, lone.store.clone(), BEGIN + 60);
    moved.pass(HOUR);
    let links: Vec<&String> = moved
        .told
        .iter()
        .filter_map(|event| match event {
            Event::HopStarted { link, .. } => Some(link),
            _ => None,
        })
        .collect();
    assert_eq!(links, ["udp", "udp"], "both mails go by the link now");
    // Now nobody knows `other.test`.
    let mut lost = Lone::over(plan(&["hq"], &[]).site(0), lone.store, BEGIN + 60);
    let mut reports = 0;
    for _ in 0..20 {
        lost.pass(HOUR);
        while let Some((_, hand_over)) = lost.hand_overs.front() {
            reports += usize::from(hand_over.envelope.sender.is_none());
            lost.answer(250);
        }
    }
    assert_eq!((reports, lost.status()["mails_queued"].clone()), (2, 0.into()));
}

#[test]
fn an_operator_cannot_send_mail_where_its_site_is_not() {
    let mut config = plan(&["hq", "field"], &[LinkKind::Udp]).site(0);
    let mut other = plan(&["hq", "ship"], &[LinkKind::Udp]).site(0).links.remove(0);
    other.name = "elsewhere".into();
    config.links.push(other);
    let mut lone = Lone::new(config);
    lone.ask(Command::LinkDown { link: "udp".into() }).unwrap();
    let reply = lone.mail(1, "", &["b@field.test"], "Subject: x\r\n");
    let ticket = reply.trim_end().rsplit(' ').next().unwrap().to_owned();
    let reply = lone.ask(Command::QueueReroute { ticket, link: "elsewhere".into() }).unwrap();
    assert!(matches!(&reply, Reply::Error { why, .. } if why == "elsewhere does not reach field.test"), "{reply:?}");
    assert_eq!(lone.status()["mails_queued"], 1);
}

/// More mails than fit into memory wait for their time, all of them copies of one; the last has another precedence.
fn a_long_queue(config: &SiteConfig, copies: u64) -> (Lone, MailRecord) {
    let mut lone = Lone::new(config.clone());
    lone.mail(1, "", &["b@hq.test"], "Message-ID: <first@hq.test>\r\n");
    lone.answer(451);
    let all = Query::Range { space: Space::Mail, from: Vec::new(), to: Vec::new(), limit: 1, reverse: false };
    let first = MailRecord::decode(&lone.store.fetch(&all).unwrap()[0].value).unwrap();
    let mut last = first.clone();
    for number in 1..=copies {
        last.ticket = Ticket(first.ticket.0 + number);
        last.accepted_at = first.accepted_at + number;
        last.message_id = format!("<{number}@hq.test>");
        if number == copies {
            last.priority = Precedence::Flash.mt_priority();
        }
        let due = Due::Retry(0);
        let retry = Entry { at: last.hops[0].not_before.unwrap(), ticket: last.ticket, due };
        let batch = Batch { writes: vec![last.put(), retry.write(true)], ..Batch::default() };
        lone.store.commit(&[batch]).unwrap();
    }
    (Lone::over(config.clone(), lone.store, BEGIN + 1), last)
}

/// Commands about all mails are about all of them, however many there are.
#[test]
fn a_command_about_every_mail_reaches_the_last_one() {
    let config = plan(&["hq"], &[]).site(0);
    let (mut lone, last) = a_long_queue(&config, 10_100);
    let list = lone.ask(Command::QueueList { limit: 3, link: None });
    let Some(Reply::Ok(list)) = list else { panic!("{list:?}") };
    assert_eq!(list["mails"].as_array().map(Vec::len), Some(3));
    assert_eq!(list["mails"][0]["ticket"], last.ticket.to_string(), "the most urgent, though it came last");
    let life = lone.ask(Command::Track { id: last.message_id });
    assert!(matches!(&life, Some(Reply::Ok(life)) if life["ticket"] == last.ticket.to_string()), "{life:?}");
    let unknown = lone.ask(Command::Track { id: "<nobody@hq.test>".to_owned() });
    assert!(matches!(unknown, Some(Reply::Error { code: 69, .. })), "{unknown:?}");

    // Each step changes a bounded number of mails, and nothing is answered before the last is stored.
    lone.withheld = Some(Vec::new());
    assert_eq!(lone.ask(Command::QueueRetry { ticket: None }), None);
    let (mut most, mut steps) = (0, 0);
    while let Some(withheld) = lone.withheld.take().filter(|withheld| !withheld.is_empty()) {
        (most, steps) = (most.max(withheld.len()), steps + 1);
        assert!(!lone.replies.iter().any(|reply| matches!(reply, Reply::Ok(facts) if facts["mails"] == 10_101)));
        lone.withheld = Some(Vec::new());
        withheld.into_iter().for_each(|input| lone.feed(input));
    }
    assert_eq!(lone.replies.last(), Some(&Reply::Ok(serde_json::json!({ "mails": 10_101 }))));
    assert!(steps > 30 && most < 1000, "{steps} steps, {most} answers of the disk in one");
    let rows = |lone: &Lone, space| lone.store.rows(space).map(|(_, value)| value.clone()).collect::<Vec<_>>();
    let delayed = |value: &Bytes| MailRecord::decode(value).unwrap().is_delayed();
    assert!(!rows(&lone, Space::Mail).iter().any(delayed));
    let retries = |key: &[u8]| matches!(Entry::decode(key), Some(Entry { due: Due::Retry(_), .. }));
    assert!(!lone.store.rows(Space::Delayed).any(|(key, _)| retries(key)), "nothing is left on the agenda");
}

/// A queue that cannot be read to its end says so, and how far it was read.
#[test]
fn a_retry_of_everything_that_breaks_off_says_so() {
    let (mut lone, _) = a_long_queue(&plan(&["hq"], &[]).site(0), 600);
    lone.withheld = Some(Vec::new());
    assert_eq!(lone.ask(Command::QueueRetry { ticket: None }), None);
    lone.store.set_trouble(Some(skywave::store::model::Trouble::ReadsFail));
    lone.release();
    let reply = lone.replies.last();
    assert!(
        matches!(reply, Some(Reply::Error { why, code: 75 }) if why.starts_with("256 mails were changed, then")),
        "{reply:?}"
    );
}

/// Emission control that was ordered holds through a crash, from the first moment on.
#[test]
fn emission_control_outlives_a_crash() {
    let mut world = world(14, &plan(&["hq", "field"], &[LinkKind::Udp]));
    world.mail(1, order("b@field.test", &["a@hq.test"], "to be acknowledged"));
    world.run_for(Duration::from_millis(300));
    ask(&mut world, 0, Command::Emcon { link: None, on: true });
    world.mail(0, order("a@hq.test", &["b@field.test"], "silent"));
    for _ in 0..5 {
        world.trouble(Duration::ZERO, Trouble::Crash(0, Duration::from_secs(2)));
        world.run_for(10 * MINUTE);
    }
    let links = ask(&mut world, 0, Command::LinkList);
    assert_eq!(links["links"][0]["emission"], "silent", "{links}");
    // The checkers see every datagram of a site whose links are all silent.
    assert_eq!((world.violations(), count(&world, 1, "silent")), (&[][..], 0));
    ask(&mut world, 0, Command::Emcon { link: None, on: false });
    settles(&mut world, DAY);
    assert_eq!(count(&world, 1, "silent"), 1);
}

/// A stop and start in the middle of a long transfer: what has arrived counts, the mail arrives once.
#[test]
fn a_restart_during_a_transfer_resumes_it() {
    let mut world = world(15, &plan(&["hq", "field"], &[LinkKind::Hf]));
    let body = skywave::world::story::step::body(20_000, true, 4);
    world.mail(0, skywave::world::MailOrder { body, ..order("a@hq.test", &["b@field.test"], "long") });
    for (site, seconds) in [(0, 40), (1, 60), (0, 50)] {
        world.run_for(Duration::from_secs(seconds));
        world.trouble(Duration::ZERO, Trouble::Restart(site, Duration::from_secs(5)));
    }
    settles(&mut world, DAY);
    assert_eq!(count(&world, 1, "long"), 1);
}

/// A reload in the middle of everything changes what may change and nothing else.
#[test]
fn a_reload_under_load_loses_nothing() {
    let plan = plan(&["hq", "field"], &[LinkKind::Udp]);
    let mut world = world(16, &plan);
    world.sites[0].mta.mood = Mood::Defers;
    for number in 0..5 {
        world.mail(0, order("a@hq.test", &["b@field.test", "c@hq.test"], &format!("m{number}")));
        let mut config = plan.site(0);
        config.mail.size_octets_max += number;
        let config = Some(Box::new(config));
        ask(&mut world, 0, Command::Reload { config });
    }
    let other = self::plan(&["hq", "ship"], &[LinkKind::Udp]).site(0);
    let refused = world.ask(0, Command::Reload { config: Some(Box::new(other)) }, MINUTE);
    assert!(matches!(refused, Some(Reply::Error { code: 78, .. })), "{refused:?}");
    world.sites[0].mta.mood = Mood::Takes;
    settles(&mut world, DAY);
    assert_eq!((count(&world, 0, "m"), count(&world, 1, "m")), (5, 5));
}

/// Who is heard keeps silence no more, after a restart neither; and nobody is believed silent whom the link does not know.
#[test]
fn a_silence_that_has_ended_does_not_come_back_with_a_restart() {
    let mut world = world(17, &plan(&["hq", "field"], &[LinkKind::Udp]));
    let silence = |site: &str| Command::Silence { link: "udp".into(), site: site.into(), on: true, until: None };
    let silent = |world: &mut skywave::world::World| {
        world.trouble(Duration::ZERO, Trouble::Crash(0, Duration::from_secs(1)));
        world.run_for(MINUTE);
        let shown = ask(world, 0, Command::LinkShow { link: "udp".into() });
        shown["transport"]["silent_sites"].clone()
    };
    let refused = world.ask(0, silence("fild.test"), MINUTE);
    assert!(
        matches!(&refused, Some(Reply::Error { why, code: 64 }) if why == "udp does not reach fild.test"),
        "{refused:?}"
    );
    ask(&mut world, 0, silence("field.test"));
    assert_eq!(silent(&mut world), serde_json::json!(["field.test"]), "said, and kept over a restart");
    world.mail(0, order("a@hq.test", &["b@field.test"], "heard"));
    settles(&mut world, DAY);
    assert_eq!(silent(&mut world), serde_json::json!([]), "it has acknowledged since");
}

/// A full queue takes no mail from a link: it waits there, is not acknowledged, and comes when there is room.
#[test]
fn mail_by_radio_waits_at_the_link_while_the_queue_is_full() {
    for kind in [LinkKind::Udp, LinkKind::Hf] {
        let plan = plan(&["hq", "field"], &[kind]);
        let mut world = skywave::world::World::new(18, &skywave_transports::modem::weather::Weather::default());
        world.add("hq", plan.site(0), false);
        let mut config = plan.site(1);
        (config.queue.mails_max, config.queue.mails_reserved) = (2, 1);
        world.add("field", config, false);
        world.run_for(Duration::from_secs(5));
        world.sites[1].mta.mood = Mood::Defers;
        for number in 0..5 {
            world.mail(0, order("a@hq.test", &["b@field.test"], &format!("m{number}")));
            world.run_for(MINUTE);
        }
        world.run_for(20 * MINUTE);
        let queued =
            |world: &mut skywave::world::World, site| ask(world, site, Command::Status)["mails_queued"].clone();
        assert_eq!((queued(&mut world, 0), queued(&mut world, 1)), (3.into(), 2.into()), "{kind:?}");
        assert_eq!(super::notices(&world, 1, "arrivals_held_back"), 1, "{kind:?}: told once");
        world.trouble(Duration::ZERO, Trouble::Crash(1, Duration::from_secs(1)));
        world.run_for(20 * MINUTE);
        assert_eq!(queued(&mut world, 0), 3, "{kind:?}: after a restart it is full as well");
        world.sites[1].mta.mood = Mood::Takes;
        settles(&mut world, DAY);
        assert_eq!(count(&world, 1, "m"), 5, "{kind:?}");
    }
}
