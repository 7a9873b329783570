//! Hostile inputs and crashes against a whole gateway: a [`lone`] node with its store, or sites in a world. Which
//! test stands for which input is written in `docs/src/hostile-inputs.md`.

mod batches;
mod disk;
mod door;
mod ends;
mod forged;
mod lone;
mod operator;
mod units;

use skywave::node::command::{Command, Reply};
use skywave::world::plan::{LinkKind, Plan};
use skywave::world::{MailOrder, World};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::time::Duration;
use skywave_transports::modem::weather::Weather;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Sites joined by ACP 142 over IP multicast, or by these links.
fn plan(names: &[&str], links: &[LinkKind]) -> Plan {
    Plan { links: links.to_vec(), ..Plan::new(names) }
}

fn world(seed: u64, plan: &Plan) -> World {
    let mut world = World::new(seed, &Weather::default());
    for (index, name) in plan.names.iter().enumerate() {
        world.add(name, plan.site(index), false);
    }
    world.run_for(Duration::from_secs(5));
    world
}

fn order(from: &str, to: &[&str], subject: &str) -> MailOrder {
    MailOrder {
        from: from.to_owned(),
        to: to.iter().map(|&to| to.to_owned()).collect(),
        subject: subject.to_owned(),
        body: Bytes::from_static(b"a line\r\n"),
        pipelining: true,
        ..MailOrder::default()
    }
}

fn subjects(world: &World, site: usize) -> Vec<String> {
    world.sites[site].mta.received().iter().map(|mail| mail.subject.clone()).collect()
}

fn count(world: &World, site: usize, subject: &str) -> usize {
    subjects(world, site).iter().filter(|found| found.contains(subject)).count()
}

fn ask(world: &mut World, site: usize, command: Command) -> serde_json::Value {
    match world.ask(site, command, MINUTE) {
        Some(Reply::Ok(facts)) => facts,
        other => panic!("{other:?}"),
    }
}

/// The ticket of the only mail in a site's queue.
fn ticket(world: &mut World, site: usize) -> String {
    let queue = ask(world, site, Command::QueueList { limit: 10, link: None });
    queue["mails"][0]["ticket"].as_str().unwrap().to_owned()
}

/// How often a site told a notice of this name.
fn notices(world: &World, site: usize, name: &str) -> usize {
    use skywave::telemetry::Event;
    let told = world.sites[site].told.iter();
    told.filter(|told| matches!(&told.event, Event::Notice { name: found, .. } if found == name)).count()
}

/// Everything ended well.
fn settles(world: &mut World, at_most: Duration) {
    let settled = world.run_until_settled(at_most);
    world.checkers.at_the_end();
    assert_eq!(world.violations(), [""; 0]);
    assert!(settled, "mails are still under way");
}
