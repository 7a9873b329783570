//! Plays a story.

use skywave_protocols::time::Duration;

use super::check::Check;
use super::step::{Operation, Step, Word};
use super::{Does, Line, Story};
use crate::node::command::{Command, Reply};
use crate::world::account::failure;
use crate::world::{Trouble, World};

/// How often a check is repeated while it may still come true.
const LOOK: Duration = Duration::from_secs(1);
/// How long an operator waits for a reply.
const REPLY: Duration = Duration::from_secs(30);
/// How long a story may take to end after its last line.
const END: Duration = Duration::from_secs(30 * 86_400);

/// Plays a story to its end; the world as it then is.
///
/// # Errors
/// The line that failed, with what was to be seen then.
pub fn run(story: &Story) -> Result<World, String> {
    let mut world = World::new(story.seed, &story.weather);
    for (index, name) in story.plan.names.iter().enumerate() {
        world.add(name, story.plan.site(index), story.absent.contains(name));
    }
    world.run_for(LOOK);
    for line in &story.lines {
        play(&mut world, line).map_err(|why| failure(&world, &format!("line {}: {}", line.number, line.text), &why))?;
    }
    if !story.open {
        let settled = world.run_until_settled(END);
        world.checkers.at_the_end();
        if !settled {
            return Err(failure(&world, "the end", "mails are still under way"));
        }
    }
    if world.violations().is_empty() { Ok(world) } else { Err(failure(&world, "the checkers", "")) }
}

fn play(world: &mut World, line: &Line) -> Result<(), String> {
    match &line.does {
        Does::Wait(span) => world.run_for(*span),
        Does::Step(step) => take(world, step)?,
        Does::Then(span, check) => {
            if !becomes_true(world, *span, check) {
                return Err("did not come true in time".to_owned());
            }
        }
        Does::Never(span, check) => {
            if becomes_true(world, *span, check) {
                return Err("came true".to_owned());
            }
        }
    }
    if world.violations().is_empty() { Ok(()) } else { Err("an invariant was broken".to_owned()) }
}

fn becomes_true(world: &mut World, span: Duration, check: &Check) -> bool {
    let until = world.at() + span;
    loop {
        let mut shown = vec![String::new(); world.sites.len()];
        if let Some(site) = check.shown_at() {
            shown[site] = operator_sees(world, site);
        }
        if check.holds(world, &shown) {
            return true;
        }
        if world.at() >= until || !world.violations().is_empty() {
            return false;
        }
        let next = (world.at() + LOOK).min(until);
        world.run_until(next, |_| false);
    }
}

/// Everything an operator is told who looks at queue, links and log: a line for each value, without the fields' names.
fn operator_sees(world: &mut World, site: usize) -> String {
    let mut seen = String::new();
    let mut tickets = Vec::new();
    for command in [Command::Status, Command::QueueList { limit: 100, link: None }, Command::LinkList] {
        if let Some(Reply::Ok(value)) = world.ask(site, command, REPLY) {
            collect_tickets(&value, &mut tickets);
            collect_words(&value, &mut seen);
        }
    }
    for ticket in tickets {
        if let Some(Reply::Ok(value)) = world.ask(site, Command::QueueShow { ticket }, REPLY) {
            collect_words(&value, &mut seen);
        }
    }
    for told in &world.sites[site].told {
        collect_words(&serde_json::to_value(&told.event).unwrap_or_default(), &mut seen);
    }
    seen
}

fn collect_words(value: &serde_json::Value, seen: &mut String) {
    match value {
        serde_json::Value::Object(fields) => fields.values().for_each(|value| collect_words(value, seen)),
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect_words(value, seen)),
        serde_json::Value::String(text) => {
            seen.push_str(text);
            seen.push('\n');
        }
        _ => {}
    }
}

fn collect_tickets(value: &serde_json::Value, tickets: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            let ticket = fields.get("ticket").and_then(serde_json::Value::as_str);
            tickets.extend(ticket.map(str::to_owned));
            fields.values().for_each(|value| collect_tickets(value, tickets));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect_tickets(value, tickets)),
        _ => {}
    }
}

fn take(world: &mut World, step: &Step) -> Result<(), String> {
    match step {
        Step::Mail(site, order, times) => {
            for _ in 0..*times {
                world.mail(*site, order.clone());
            }
            Ok(())
        }
        Step::Trouble(trouble, end) => {
            world.trouble(Duration::ZERO, trouble.clone());
            if let Some((span, end)) = end {
                world.trouble(*span, end.clone());
            }
            Ok(())
        }
        Step::Answer(site, address, code) => {
            world.sites[*site].mta.answer_with(address, *code);
            Ok(())
        }
        Step::Operator(site, operation, subject) => {
            let ticket = ticket(world, *site, subject)?;
            obey(world, *site, command(operation, ticket))
        }
        Step::Chat(site, user, deed) => {
            world.chat(*site, user, deed);
            Ok(())
        }
        Step::Say(site, word) => {
            let command = say(world, word);
            if let Word::Emcon(on) = word {
                world
                    .trouble(Duration::ZERO, Trouble::Command(*site, Box::new(Command::Emcon { link: None, on: *on })));
                return Ok(());
            }
            let links: Vec<String> = match word {
                Word::Silence(..) => world.sites[*site].config.links.iter().map(|link| link.name.to_string()).collect(),
                Word::Link(..) | Word::Emcon(_) => vec![String::new()],
            };
            links.into_iter().try_for_each(|link| obey(world, *site, command(&link)))
        }
    }
}

fn command(operation: &Operation, ticket: String) -> Command {
    match operation {
        Operation::Hold => Command::QueueHold { ticket },
        Operation::Release => Command::QueueRelease { ticket },
        Operation::Retry => Command::QueueRetry { ticket: Some(ticket) },
        Operation::Delete(report) => Command::QueueDelete { ticket, report: *report },
        Operation::Reroute(link) => Command::QueueReroute { ticket, link: link.clone() },
        Operation::Precedence(precedence) => Command::QueuePrecedence { ticket, precedence: *precedence },
    }
}

fn say(world: &World, word: &Word) -> impl Fn(&str) -> Command + use<> {
    let word = word.clone();
    let names: Vec<String> = world.sites.iter().map(|site| site.config.site.to_string()).collect();
    move |link| match &word {
        Word::Link(link, true) => Command::LinkUp { link: link.clone() },
        Word::Link(link, false) => Command::LinkDown { link: link.clone() },
        Word::Silence(other, on) => {
            Command::Silence { link: link.to_owned(), site: names[*other].clone(), on: *on, until: None }
        }
        Word::Emcon(on) => Command::Emcon { link: None, on: *on },
    }
}

fn obey(world: &mut World, site: usize, command: Command) -> Result<(), String> {
    match world.ask(site, command, REPLY) {
        Some(Reply::Ok(_)) => Ok(()),
        Some(Reply::Error { why, .. }) => Err(format!("the node says: {why}")),
        None => Err("the node does not reply".to_owned()),
    }
}

/// The ticket of the mail with this subject, which must have been accepted or be so soon.
fn ticket(world: &mut World, site: usize, subject: &str) -> Result<String, String> {
    let errand = world.errands().iter().rposition(|errand| errand.order.subject == subject);
    let message_id =
        errand.map(|errand| world.errands()[errand].message_id.clone()).ok_or("nobody sent such a mail")?;
    let until = world.at() + REPLY;
    world.run_until(until, |world| world.sites[site].disk.ticket(&message_id).is_some());
    world.sites[site].disk.ticket(&message_id).ok_or_else(|| "the site does not have this mail".to_owned())
}
