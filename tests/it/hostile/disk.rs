//! Disks and clocks that fail under a site: inputs 54 and 56.

use skywave::node::Input;
use skywave::node::config::SiteConfig;
use skywave::store::model::{ModelStore, Trouble};
use skywave::telemetry::Event;
use skywave::world::disk::Ailment;
use skywave::world::plan::LinkKind;
use skywave::world::{self, World};
use skywave_protocols::random::Seeded;
use skywave_protocols::time::Duration;

use super::lone::{BEGIN, Lone};
use super::{DAY, HOUR, MINUTE, count, order, plan, settles, world as sites};

const YEAR_SECONDS: u64 = 365 * 86_400;

fn site() -> SiteConfig {
    plan(&["hq"], &[]).site(0)
}

/// Input 54: whatever the disk refuses, clients are told to come again, and when it works again so does the site.
#[test]
fn a_disk_that_is_full_or_read_only_defers_mail_and_is_left_behind() {
    for trouble in [Trouble::Full, Trouble::CommitsFail, Trouble::BodiesFail] {
        let mut lone = Lone::new(site());
        lone.store.set_trouble(Some(trouble));
        for number in 0..20 {
            let reply = lone.mail(number, "", &["b@hq.test"], "Subject: x\r\n");
            assert!(reply.starts_with('4') || reply.starts_with('5'), "{trouble:?}: {reply}");
            let pipe = lone.connect(100 + number);
            lone.say(pipe, b"EHLO c\r\n");
            lone.say(pipe, b"MAIL FROM:<a@hq.test>\r\n");
            lone.heard(pipe);
        }
        let woken = lone.pass(HOUR);
        assert!(woken < 20_000, "{trouble:?}: woken {woken} times in an hour");
        lone.store.set_trouble(None);
        lone.pass(Duration::from_secs(10));
        let reply = lone.mail(99, "", &["b@hq.test"], "Subject: x\r\n");
        assert!(reply.starts_with("250 "), "{trouble:?}: {reply}");
        lone.answer(250);
        assert!(lone.hand_overs.is_empty(), "what was refused is not delivered");
        assert_eq!(lone.status()["mails_queued"], 0, "{trouble:?}");
    }
}

/// The disk fails while a hop is to be marked open: no turning on the spot, and the mail goes when it works again.
#[test]
fn a_hand_over_waits_for_a_failing_disk_without_turning_on_the_spot() {
    let mut config = site();
    config.local[0].connections_max = 2;
    config.local[0].connections_urgent = 0;
    let mut lone = Lone::new(config);
    (0..11).for_each(|number| assert!(lone.mail(number, "", &["b@hq.test"], "Subject: x\r\n").starts_with("250 ")));
    assert_eq!(lone.hand_overs.len(), 2);
    (0..2).for_each(|_| drop(lone.answer(250)));
    assert_eq!(lone.hand_overs.len(), 2, "two more were born with their marks");
    lone.store.set_trouble(Some(Trouble::CommitsFail));
    // With the first it becomes known that the disk fails.
    (0..2).for_each(|_| drop(lone.answer(250)));
    assert!(lone.pass(HOUR) < 10_000);
    assert_eq!(lone.hand_overs.len(), 1, "nothing begins while the disk fails");
    lone.store.set_trouble(None);
    lone.pass(Duration::from_secs(10));
    while !lone.hand_overs.is_empty() {
        lone.answer(250);
    }
    assert_eq!(lone.status()["mails_queued"], 0);
}

/// One connection, and ten mails: the first is being handed over, four were born with the mark, five wait without.
fn ten_for_one_connection() -> (SiteConfig, Lone) {
    let mut config = site();
    (config.local[0].connections_max, config.local[0].connections_urgent) = (1, 0);
    let mut lone = Lone::new(config.clone());
    (0..10).for_each(|number| drop(lone.mail(number, "", &["b@hq.test"], "Subject: x\r\n")));
    (config, lone)
}

/// Marks for those that wait are made ahead and many at once; none begins before its mark is on the disk.
#[test]
fn no_hand_over_begins_before_its_mark_is_on_the_disk() {
    let (_, mut lone) = ten_for_one_connection();
    lone.withheld = Some(Vec::new());
    (0..5).for_each(|_| drop(lone.answer(250)));
    assert!(lone.hand_overs.is_empty(), "the other five wait for their marks");
    lone.release();
    for left in (1..=5).rev() {
        assert_eq!(lone.hand_overs.len(), 1, "{left} are left");
        lone.answer(250);
    }
    assert_eq!(lone.status()["mails_queued"], 0);
}

/// After a crash those are announced whose hand-over may have been open, and not those that were marked since.
#[test]
fn what_was_marked_after_a_crash_is_not_announced() {
    let (config, lone) = ten_for_one_connection();
    let announced =
        |lone: &Lone| lone.told.iter().filter(|event| matches!(event, Event::PossibleDuplicate { .. })).count();
    let mut lone = Lone::over(config.clone(), lone.store, BEGIN + 60);
    (0..6).for_each(|_| drop(lone.answer(250)));
    assert_eq!(announced(&lone), 5);
    // The other four wait with marks of this run; a site that ends in good order takes them back.
    lone.feed(Input::Stop);
    lone.answer(250);
    lone.pass(MINUTE);
    let mut lone = Lone::over(config, lone.store, BEGIN + 120);
    (0..3).for_each(|_| drop(lone.answer(250)));
    assert_eq!((announced(&lone), lone.status()["mails_queued"].clone()), (0, 0.into()));
}

/// A site that ends in good order takes the marks back that were made ahead: nothing is announced that was never begun.
#[test]
fn marks_made_ahead_are_taken_back_at_the_end() {
    let mut config = site();
    (config.local[0].connections_max, config.local[0].connections_urgent) = (2, 0);
    let mut lone = Lone::new(config.clone());
    (0..5).for_each(|number| assert!(lone.mail(number, "", &["b@hq.test"], "Subject: x\r\n").starts_with("250 ")));
    lone.feed(Input::Stop);
    (0..2).for_each(|_| drop(lone.answer(250)));
    lone.pass(MINUTE);
    let mut lone = Lone::over(config, lone.store, BEGIN + 60);
    lone.pass(MINUTE);
    while !lone.hand_overs.is_empty() {
        lone.answer(250);
    }
    assert_eq!(lone.status()["mails_queued"], 0);
    let announced = lone.told.iter().filter(|event| matches!(event, Event::PossibleDuplicate { .. })).count();
    assert_eq!(announced, 0);
}

/// What cannot be read at the start is asked for again: no site begins without its marks and numbers.
#[test]
fn a_site_that_cannot_read_its_disk_takes_nothing_until_it_can() {
    let mut store = ModelStore::new();
    store.set_trouble(Some(Trouble::ReadsFail));
    let mut lone = Lone::over(site(), store, BEGIN);
    let ready = |lone: &Lone| lone.told.iter().any(|event| matches!(event, Event::Ready { .. }));
    assert!(lone.pass(HOUR) < 10_000 && !ready(&lone));
    lone.store.set_trouble(None);
    lone.pass(Duration::from_secs(5));
    assert!(ready(&lone));
    assert!(lone.mail(1, "", &["b@hq.test"], "Subject: x\r\n").starts_with("250 "));
}

/// Lanes whose rows cannot be read for a while are not forgotten.
#[test]
fn waiting_mail_is_found_again_when_the_disk_can_be_read_again() {
    let mut config = site();
    (config.local[0].connections_max, config.local[0].connections_urgent) = (1, 0);
    let mut lone = Lone::new(config.clone());
    (0..400).for_each(|number| drop(lone.mail(number, "", &["b@hq.test"], "Subject: x\r\n")));
    let mut lone = Lone::over(config, lone.store, BEGIN + 60);
    let mut delivered = 0;
    let mut rounds = 0;
    while lone.status()["mails_queued"] != 0 {
        rounds += 1;
        assert!(rounds < 5_000, "{delivered} of 400");
        lone.store.set_trouble((rounds % 7 == 0).then_some(Trouble::ReadsFail));
        if lone.hand_overs.is_empty() {
            lone.store.set_trouble(None);
            lone.pass(Duration::from_secs(3));
        } else {
            lone.answer(250);
            delivered += 1;
        }
    }
    assert_eq!(delivered, 400);
}

/// Input 54: the clock of a site jumps by ten years, either way, while mail is deferred and while none is: nothing
/// waits for ten years, nothing is lost without a report, and new mail passes.
#[test]
fn a_clock_that_jumps_ten_years_stops_nothing() {
    for (years, waits) in [(10, false), (-10, true)] {
        let mut world = sites(4, &plan(&["hq"], &[]));
        world.sites[0].mta.mood = world::local_mta::Mood::Defers;
        world.mail(0, order("a@hq.test", &["b@hq.test"], "deferred"));
        world.run_for(10 * MINUTE);
        let jump = years * YEAR_SECONDS as i64 * 1_000_000;
        world.trouble(Duration::ZERO, world::Trouble::ClockJump(0, jump));
        world.run_for(MINUTE);
        world.sites[0].mta.mood = world::local_mta::Mood::Takes;
        world.mail(0, order("a@hq.test", &["b@hq.test"], "new"));
        settles(&mut world, 3 * HOUR);
        assert_eq!(count(&world, 0, "new"), 1, "{years} years");
        // The last try may come before the expiry; either is an end, and there is one.
        let (sent, expired) = (count(&world, 0, "deferred"), count(&world, 0, "expired"));
        assert!((sent, expired) == (1, 0) || (!waits && (sent, expired) == (0, 1)), "{years} years: {sent} {expired}");
        assert!(super::notices(&world, 0, "clock_jumped") >= 1);
    }
}

/// The clock is set back while the site is down: dates on its disk lie ten years ahead.
#[test]
fn dates_of_the_future_on_the_disk_are_brought_near() {
    let mut lone = Lone::over(site(), ModelStore::new(), BEGIN + 10 * YEAR_SECONDS);
    lone.mail(1, "", &["b@hq.test"], "Subject: x\r\n");
    lone.answer(451);
    let mut lone = Lone::over(site(), lone.store, BEGIN);
    lone.pass(2 * HOUR);
    lone.answer(451);
    for _ in 0..6 * 24 {
        lone.pass(HOUR);
        while let Some((_, hand_over)) = lone.hand_overs.front() {
            let report = hand_over.envelope.sender.is_none();
            lone.answer(if report { 250 } else { 451 });
        }
    }
    let tried = lone.told.iter().filter(|event| matches!(event, Event::MailTried { dsn, .. } if dsn == "5.4.7"));
    assert_eq!(tried.count(), 1, "its time passes after five days, not after ten years");
    assert_eq!(lone.status()["mails_queued"], 0);
}

/// Tickets never repeat, whatever the clock and the restarts do: a ticket that came again would be taken for a
/// repeat at the next site.
#[test]
fn tickets_rise_through_clock_jumps_and_restarts() {
    let mut tickets: Vec<String> = Vec::new();
    let mut store = ModelStore::new();
    for wall in [BEGIN, BEGIN + 10 * YEAR_SECONDS, BEGIN - 10 * YEAR_SECONDS, BEGIN] {
        let mut lone = Lone::over(site(), store, wall);
        for number in 0..3 {
            let reply = lone.mail(number, "", &["b@hq.test"], "Subject: x\r\n");
            let ticket = reply.trim_end().rsplit(' ').next().unwrap().to_owned();
            assert!(tickets.last().is_none_or(|last| *last < ticket), "{ticket} after {tickets:?}");
            tickets.push(ticket);
            lone.answer(250);
        }
        // Nothing is left in the queue: only the history knows how far the numbers went.
        assert_eq!(lone.status()["mails_queued"], 0);
        store = lone.store;
    }
}

/// Input 56: crashes at every output of both sites, and again during the recovery: no loss, no second delivery that
/// was not announced, also between the commit of a unit and its acknowledgement on the radio.
#[test]
fn double_crashes_anywhere_lose_and_repeat_nothing() {
    for seed in 0..24u64 {
        let mut world: World = sites(100 + seed, &plan(&["hq", "field"], &[LinkKind::Udp]));
        let mut random = Seeded::new(seed);
        for number in 0..4 {
            world.mail(0, order("a@hq.test", &["b@field.test", "c@field.test"], &format!("mail {number}")));
        }
        for site in [0, 1] {
            use skywave_protocols::random::Random as _;
            let first = random.below(120) as u32;
            let again = random.below(40) as u32;
            world.trouble(Duration::ZERO, world::Trouble::CrashAfter(site, first, Duration::from_secs(3)));
            world.trouble(Duration::from_secs(20), world::Trouble::CrashAfter(site, again, Duration::from_secs(1)));
        }
        settles(&mut world, DAY);
        settles(&mut world, DAY);
        // A client whose connection broke sends again under a Message-ID of its own.
        assert!(count(&world, 1, "mail") >= 4, "seed {seed}");
    }
}

/// A stop in the middle of everything is no crash: what is answered is true, and no dialogue is repeated.
#[test]
fn a_stop_answers_truly_and_repeats_no_dialogue() {
    let mut lone = Lone::new(site());
    assert!(lone.mail(1, "", &["b@hq.test"], "Subject: open\r\n").starts_with("250 "));
    lone.withheld = Some(Vec::new());
    let pipe = lone.connect(2);
    lone.say(pipe, b"EHLO c\r\n");
    lone.say(pipe, b"MAIL FROM:<a@hq.test>\r\nRCPT TO:<b@hq.test>\r\nDATA\r\n");
    lone.say(pipe, b"Subject: late\r\n\r\n.\r\n");
    lone.heard(pipe);
    lone.feed(Input::Stop);
    assert!(!lone.stopped && lone.heard(pipe).is_empty(), "its mail is on the way to the disk");
    lone.release();
    let said = lone.heard(pipe);
    assert!(said.starts_with("250 "), "{said}");
    assert!(!lone.stopped, "a dialogue is running");
    while !lone.hand_overs.is_empty() {
        lone.answer(250);
    }
    assert!(lone.stopped && lone.heard(pipe).starts_with("421 "));
    assert_eq!(lone.store.rows(skywave_transports::io::Space::Mail).count(), 0);
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let mut lone = Lone::new(site());
    lone.mail(1, "", &["b@hq.test"], "Subject: open\r\n");
    lone.feed(Input::Stop);
    assert!(!lone.stopped);
    lone.pass(MINUTE);
    assert!(lone.stopped, "the MTA never answered");
}

#[test]
fn a_full_disk_at_the_receiver_delays_radio_mail_and_loses_none() {
    let mut world = sites(8, &plan(&["hq", "field"], &[LinkKind::Udp]));
    world.trouble(Duration::ZERO, world::Trouble::Disk(1, Some(Ailment::Full)));
    for number in 0..6 {
        world.mail(0, order("a@hq.test", &["b@field.test"], &format!("m{number}")));
    }
    world.run_for(20 * MINUTE);
    assert_eq!(count(&world, 1, "m"), 0);
    world.trouble(Duration::ZERO, world::Trouble::Disk(1, None));
    settles(&mut world, DAY);
    assert_eq!(count(&world, 1, "m"), 6);
}
