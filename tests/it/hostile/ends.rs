//! How mails end when ends race or get lost (inputs 56a and 56c), with many hops and without senders.

use skywave::node::Input;
use skywave::node::seam::{HandOverOutcome, SmtpReply};
use skywave::telemetry::Event;
use skywave::world::Trouble;
use skywave::world::local_mta::Mood;
use skywave::world::plan::LinkKind;
use skywave_protocols::time::Duration;

use super::lone::Lone;
use super::{DAY, HOUR, MINUTE, count, order, plan, settles, world};

/// Input 56a: the acknowledgements of the last unit never come back: the mail is delivered, repeats change nothing,
/// and the sender's side ends by its expiry, with one report.
#[test]
fn a_lost_last_report_ends_by_expiry() {
    let mut world = world(5, &plan(&["hq", "field"], &[LinkKind::Udp]));
    world.mail(0, order("a@hq.test", &["b@field.test"], "heard"));
    world.run_until(world.at() + MINUTE, |world| !world.sites[1].mta.received().is_empty());
    world.net.loss_per_million = 1_000_000;
    world.run_for(Duration::from_secs(1));
    world.net.loss_per_million = 0;
    settles(&mut world, DAY);
    assert_eq!(count(&world, 1, "heard"), 1);

    let mut world = self::world(6, &plan(&["hq", "field"], &[LinkKind::Udp]));
    world.mail(0, order("a@hq.test", &["b@field.test"], "unheard"));
    world.net.loss_per_million = 1_000_000;
    settles(&mut world, 6 * DAY);
    assert_eq!(count(&world, 0, "expired"), 1, "{:?}", super::subjects(&world, 0));
}

/// Input 56c: expiry and the MTA's refusal or acceptance at nearly the same moment: exactly one end.
#[test]
fn expiry_and_delivery_that_race_give_one_end() {
    for (code, reports) in [(250, 0), (550, 1), (451, 1)] {
        for early in 0..3u64 {
            let mut lone = Lone::new(plan(&["hq"], &[]).site(0));
            lone.mail(1, " BY=60;R", &["b@hq.test"], "Subject: x\r\n");
            lone.pass(Duration::from_micros(59_999_999 + early));
            lone.answer(code);
            lone.pass(2 * HOUR);
            let mut sent = 0;
            while let Some((_, hand_over)) = lone.hand_overs.front() {
                sent += usize::from(hand_over.envelope.sender.is_none());
                let report = hand_over.envelope.sender.is_none();
                lone.answer(if report { 250 } else { code });
                lone.pass(2 * HOUR);
            }
            assert_eq!(sent, reports, "{code} {early}");
            assert_eq!(lone.status()["mails_queued"], 0, "{code} {early}");
        }
    }
}

/// Both hops of a mail expire at the same moment: each recipient is reported, once.
#[test]
fn all_hops_of_an_expired_mail_are_reported() {
    let mut world = world(7, &plan(&["hq", "field", "ship"], &[LinkKind::Hf]));
    world.sites[0].mta.answer_with("x@hq.test", 450);
    for site in [1, 2] {
        world.trouble(Duration::ZERO, Trouble::Crash(site, 30 * DAY));
    }
    world.mail(0, order("a@hq.test", &["x@hq.test", "b@field.test", "c@ship.test"], "nobody"));
    world.run_for(8 * DAY);
    let reported: Vec<&str> = world
        .checkers
        .reports
        .iter()
        .flat_map(|report| &report.actions)
        .filter(|(_, action)| action == "failed")
        .map(|(to, _)| to.as_str())
        .collect();
    let mut sorted = reported.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["b@field.test", "c@ship.test", "x@hq.test"]);
    assert_eq!((world.sites[0].disk.owes(), world.violations()), (0, &[][..]));
}

/// A crash between the agenda's entry and the report: the mail still ends.
#[test]
fn a_crash_while_mail_expires_does_not_keep_it_for_ever() {
    for outputs in 0..14 {
        let mut world = world(30 + u64::from(outputs), &plan(&["hq"], &[]));
        world.sites[0].mta.answer_with("b@hq.test", 450);
        let mail = skywave::world::MailOrder {
            mail_parameters: "BY=600;R".to_owned(),
            ..order("a@hq.test", &["b@hq.test"], "late")
        };
        world.mail(0, mail);
        world.run_for(Duration::from_secs(595));
        // Just before the entry comes due.
        world.trouble(Duration::from_secs(4), Trouble::CrashAfter(0, outputs, Duration::from_secs(2)));
        settles(&mut world, 6 * HOUR);
        // A report in hand-over at the crash may come again, as itself.
        let received = world.sites[0].mta.received().iter().filter(|mail| mail.subject.contains("expired"));
        let reports: std::collections::BTreeSet<&str> = received.map(|mail| mail.message_id.as_str()).collect();
        assert_eq!(reports.len(), 1, "crash after {outputs} outputs");
    }
}

/// `BY=` in the past, at once, and with trace: no panic, one defined end.
#[test]
fn deliver_by_in_the_past_is_refused_or_reported_at_once() {
    for by in [
        "BY=0;R",
        "BY=-5;R",
        "BY=-999999999;R",
        "BY=999999999;R",
        "BY=-5;N",
        "BY=1;R",
        "BY=1;RT",
        "BY=5;NT",
        "BY=-5;NT",
    ] {
        let mut lone = Lone::new(plan(&["hq", "field"], &[LinkKind::Udp]).site(0));
        let reply = lone.mail(1, &format!(" {by}"), &["b@field.test"], "Subject: x\r\n");
        lone.pass(MINUTE);
        let queued = lone.status()["mails_queued"].clone();
        let tried = lone.told.iter().filter(|event| matches!(event, Event::MailTried { .. })).count();
        if reply.starts_with("250 ") {
            assert!(queued != 0 || tried == 1, "{by}: {reply}");
        } else {
            assert_eq!((queued, tried), (0.into(), 0), "{by}: {reply}");
        }
    }
}

/// A thousand recipients behind three links and the own MTA: each gets it once, and nothing is left.
#[test]
fn a_thousand_recipients_over_three_links() {
    let kinds = [LinkKind::Udp, LinkKind::Hf, LinkKind::Batch];
    let plan = plan(&["hq", "field", "ship", "post"], &kinds);
    let mut world = skywave::world::World::new(9, &skywave_transports::modem::weather::Weather::default());
    for (index, name) in plan.names.iter().enumerate() {
        let mut config = plan.site(index);
        for (route, kind) in config.routes.iter_mut().zip(kinds) {
            route.links = vec![kind.name().into()];
        }
        world.add(name, config, false);
    }
    world.run_for(Duration::from_secs(5));
    let all: Vec<String> =
        (0..1_000).map(|n| format!("u{n}@{}.test", ["hq", "field", "ship", "post"][n % 4])).collect();
    let to: Vec<&str> = all.iter().map(String::as_str).collect();
    world.mail(0, order("a@hq.test", &to, "all hands"));
    settles(&mut world, DAY);
    let answer = world.errands()[0].answer.as_ref().unwrap();
    assert_eq!((answer.accepted.len(), answer.refused.first()), (1_000, None), "{:?}", answer.end);
    for site in 0..4 {
        let reached: usize = world.sites[site].mta.received().iter().map(|mail| mail.to.len()).sum();
        assert_eq!(reached, 250, "{site}");
    }
}

/// A null sender is never reported to, and its mail ends all the same.
#[test]
fn mail_of_nobody_that_cannot_be_delivered_ends_without_a_report() {
    for mood in [Mood::Refuses, Mood::Defers] {
        let mut world = world(10, &plan(&["hq", "field"], &[LinkKind::Udp]));
        world.sites[1].mta.mood = mood;
        world.mail(0, order("", &["b@field.test"], "from nobody"));
        settles(&mut world, 7 * DAY);
        assert_eq!(world.sites[0].mta.received().len() + world.sites[1].mta.received().len(), 0);
    }
}

/// Reports that nobody takes do not breed reports.
#[test]
fn a_report_that_cannot_be_delivered_ends() {
    let mut world = world(11, &plan(&["hq"], &[]));
    world.sites[0].mta.mood = Mood::Refuses;
    world.mail(0, order("a@hq.test", &["b@hq.test"], "refused"));
    world.run_for(DAY);
    assert_eq!((world.sites[0].disk.owes(), world.sites[0].mta.received().len()), (0, 0));
}

/// A server that answers for fewer recipients than it was given leaves nobody hanging.
#[test]
fn too_few_replies_leave_no_recipient_behind() {
    let mut lone = Lone::new(plan(&["hq"], &[]).site(0));
    lone.mail(1, "", &["b@hq.test", "c@hq.test"], "Subject: x\r\n");
    let (number, _) = lone.hand_overs.pop_front().unwrap();
    let replies = vec![SmtpReply { code: 250, enhanced: None, text: "one for all".to_owned() }];
    lone.feed(Input::HandedOver(
        number,
        HandOverOutcome::Replies { server: "mta".into(), dsn: true, deliver_by: true, replies },
    ));
    lone.pass(HOUR);
    let again = lone.answer(250);
    assert_eq!(again.envelope.recipients.len(), 1, "only who was not answered");
    assert_eq!(lone.status()["mails_queued"], 0);
}

/// Every mail that ended leaves memory and disk as if it had not been, but for its history.
#[test]
fn nothing_of_a_finished_mail_stays_in_memory_or_on_disk() {
    let mut lone = Lone::new(plan(&["hq"], &[]).site(0));
    for number in 0..300 {
        lone.mail(number, "", &["b@hq.test", "c@hq.test"], "Subject: x\r\n");
        match number % 3 {
            0 => drop(lone.answer(250)),
            1 => drop(lone.answer(550)),
            _ => drop(lone.answer(451)),
        }
    }
    for _ in 0..40 {
        lone.pass(HOUR);
        while !lone.hand_overs.is_empty() {
            lone.answer(250);
        }
    }
    let status = lone.status();
    assert_eq!((&status["mails_queued"], &status["mails_in_memory"]), (&0.into(), &0.into()), "{status}");
    use skywave_transports::io::Space;
    for space in [Space::Mail, Space::Hop, Space::Delayed] {
        assert_eq!(lone.store.rows(space).count(), 0, "{space:?}");
    }
    assert_eq!(lone.store.bodies().count(), 0);
}
