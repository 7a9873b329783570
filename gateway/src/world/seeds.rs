//! Seeded worlds: random mail and random troubles for a while, then calm, then everything must come to its end.
//!
//! The same seed makes the same world. What a world must hold is what the [`super::checkers`] look for, and at the end
//! that no mail is still owed and every duty is met.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::{Random, Seeded};
use skywave_protocols::time::Duration;
use skywave_transports::modem::weather::Weather;

use super::account::failure;
use super::chat_seeds::{Chatting, described};
use super::disk::{Ailment, Disk};
use super::heap::Happening;
use super::local_mta::Mood;
use super::plan::{LinkKind, Plan};
use super::story::step::body;
use super::{MailOrder, Trouble, World};

/// How long the calm may take to bring everything to its end.
const CALM_MAX: Duration = Duration::from_secs(8 * 86_400);

/// Plays a seed to its end; the world as it then is.
///
/// # Errors
/// What went wrong, and how to see it again.
pub fn play(seed: u64) -> Result<World, String> {
    play_on(seed, Disk::default, "cargo test -p skywave-tests --test it one_seed")
}

/// The same, on disks of the caller's, who says by which command a single seed is seen again.
///
/// # Errors
/// What went wrong, and how to see it again.
pub fn play_on(seed: u64, disk: impl FnMut() -> Disk, command: &str) -> Result<World, String> {
    let (world, end) = play_through(seed, disk, command);
    end.map(|()| world)
}

/// The same, good or bad: the world as it then is, and what went wrong.
pub fn play_through(seed: u64, mut disk: impl FnMut() -> Disk, command: &str) -> (World, Result<(), String>) {
    let mut random = Seeded::new(seed).fork("plan");
    let mut plan = plan(&mut random);
    let mut chatting = Chatting::drawn(seed, &mut plan);
    let weather = weather(&mut random);
    let mut world = World::new(seed, &weather);
    for (index, name) in plan.names.iter().enumerate() {
        world.add_on(disk(), name, plan.site(index), false);
    }
    let rough = Duration::from_secs(1800 + random.below(7200));
    let mails = 4 + random.below(16);
    for _ in 0..mails {
        let (after, site) = (within(&mut random, rough), pick(&mut random, plan.names.len()));
        let order = mail(&mut random, &plan, site);
        let errand = world.errands.add(site, order, world.at);
        world.heap.push(world.at + after, Happening::ClientConnects(errand));
    }
    for _ in 0..2 + random.below(10) {
        let after = within(&mut random, rough);
        let (trouble, end) = trouble(&mut random, &plan);
        if let Some((span, end)) = end {
            world.trouble(after + span, end);
        }
        world.trouble(after, trouble);
    }
    chatting.befall(&mut world, &plan, rough);
    world.run_for(rough);
    calm(&mut world);
    chatting.calm(&mut world);
    let settled = world.run_until_settled(CALM_MAX);
    world.checkers.at_the_end();
    let with_chat = described(&plan);
    let place = format!("seed {seed} ({} sites, {:?}{with_chat})", plan.names.len(), plan.links);
    let again = format!("see it again: SKYWAVE_SEED={seed} {command}");
    if !settled {
        let why = failure(&world, &place, &format!("not everything came to its end; {again}"));
        return (world, Err(why));
    }
    let end = if world.violations().is_empty() { Ok(()) } else { Err(failure(&world, &place, &again)) };
    (world, end)
}

fn plan(random: &mut Seeded) -> Plan {
    let names: &[&str] = if random.chance(350_000) { &["hq", "field", "ship"] } else { &["hq", "field"] };
    let mut plan = Plan::new(names);
    plan.links = match random.below(10) {
        0..=5 => vec![LinkKind::Hf],
        6 | 7 => vec![LinkKind::Udp],
        8 => vec![LinkKind::Hf, LinkKind::Udp],
        _ => vec![LinkKind::Batch],
    };
    plan.queue.retry_first = Duration::from_secs(30);
    plan.queue.retry_longest = Duration::from_secs(600);
    if random.chance(200_000) {
        plan.queue.lifetimes = [Duration::from_secs(3600); 6];
    }
    if random.chance(300_000) {
        plan.queue.delay_notice = Some(Duration::from_secs(900));
    }
    plan
}

fn weather(random: &mut Seeded) -> Weather {
    let rates = [600, 1200, 2400, 9600];
    let rate = rates[pick(random, rates.len())];
    let mut text = format!("bits_per_second = {rate}\nloss_percent = {}.0\n", random.below(4));
    if random.chance(400_000) {
        text += &format!("[burst]\nloss_percent = {}.0\nmean_blocks = {}\n", 1 + random.below(10), 1 + random.below(4));
    }
    Weather::parse(&text).unwrap_or_default()
}

pub(super) fn pick(random: &mut Seeded, count: usize) -> usize {
    random.below(count as u64) as usize
}

pub(super) fn within(random: &mut Seeded, span: Duration) -> Duration {
    Duration::from_millis(random.below(span.as_millis() as u64))
}

fn mail(random: &mut Seeded, plan: &Plan, site: usize) -> MailOrder {
    let own = &plan.names[site];
    let recipients = 1 + random.below(3);
    let to = (0..recipients).map(|number| {
        let other = &plan.names[pick(random, plan.names.len())];
        format!("user{number}@{other}.test")
    });
    let to: Vec<String> = to.collect();
    let precedence = Precedence::ALL[pick(random, Precedence::ALL.len())];
    let size = if random.chance(100_000) { 5_000 + random.below(15_000) } else { 100 + random.below(3_000) };
    let priority =
        if random.chance(700_000) { format!("MT-PRIORITY={}", precedence.mt_priority()) } else { String::new() };
    let notify = ["", "", "NOTIFY=SUCCESS,FAILURE", "NOTIFY=NEVER", "NOTIFY=SUCCESS,FAILURE,DELAY"];
    MailOrder {
        from: format!("sender{}@{own}.test", random.below(4)),
        to,
        mail_parameters: priority,
        rcpt_parameters: notify[pick(random, notify.len())].to_owned(),
        subject: format!("{} {size}", precedence.name()),
        headers: String::new(),
        body: body(size as usize, random.chance(300_000), random.number()),
        pipelining: random.chance(700_000),
    }
}

/// A trouble and, where it does not end by itself, its end after a time.
fn trouble(random: &mut Seeded, plan: &Plan) -> (Trouble, Option<(Duration, Trouble)>) {
    let site = pick(random, plan.names.len());
    let span = Duration::from_secs(5 + random.below(900));
    let down = Duration::from_secs(1 + random.below(300));
    let then = |trouble, end| (trouble, Some((span, end)));
    match random.below(14) {
        0 | 1 => (Trouble::Crash(site, down), None),
        2..=4 => (Trouble::CrashAfter(site, random.below(120) as u32, down), None),
        5 => (Trouble::Restart(site, down), None),
        6 => then(Trouble::Disk(site, Some(Ailment::Full)), Trouble::Disk(site, None)),
        7 => then(Trouble::Disk(site, Some(Ailment::Fails)), Trouble::Disk(site, None)),
        8 => then(Trouble::Emcon(site, true), Trouble::Emcon(site, false)),
        9 => (Trouble::Outage(span), None),
        10 => then(Trouble::StationPower(site, false), Trouble::StationPower(site, true)),
        11 => then(Trouble::DatagramLoss(300_000), Trouble::DatagramLoss(0)),
        12 => {
            let jump = random.below(1_200_000_000) as i64 - 600_000_000;
            (Trouble::ClockJump(site, jump), None)
        }
        _ => {
            let moods = [Mood::Down, Mood::Defers, Mood::BreaksAfterTaking, Mood::BreaksBeforeTaking];
            then(Trouble::Mta(site, moods[pick(random, moods.len())]), Trouble::Mta(site, Mood::Takes))
        }
    }
}

/// Ends all troubles.
fn calm(world: &mut World) {
    world.trouble(Duration::ZERO, Trouble::DatagramLoss(0));
    for site in 0..world.sites.len() {
        world.sites[site].outputs_until_crash = None;
        for end in [
            Trouble::Disk(site, None),
            Trouble::Mta(site, Mood::Takes),
            Trouble::Xmpp(site, true),
            Trouble::StationPower(site, true),
            Trouble::Start(site),
            Trouble::Emcon(site, false),
        ] {
            world.trouble(Duration::ZERO, end);
        }
    }
}
