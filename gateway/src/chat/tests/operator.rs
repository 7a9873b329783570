//! What an operator does to stanzas that wait for a link.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::Seeded;
use skywave_transports::io::{Row, Space, Write};

use super::super::lines::meant;
use super::super::operator::{Denied, Order};
use super::super::restore::Rows;
use super::super::{Chat, ChatOutput};
use super::pair::{FIELD, HQ, Pair, config, message};
use crate::telemetry::StanzaFate;

const ANN: &str = "ann@hq.test/a";
const CARL: &str = "carl@hq.test/c";
const BOB: &str = "bob@field.test/b";

fn pair() -> Pair {
    pair_at(Precedence::Routine)
}

fn pair_at(precedence: Precedence) -> Pair {
    let mut hq = config("hq.test", &["field.test"]);
    hq.peers[0].precedence.default = precedence;
    Pair::new(hq, config("field.test", &["hq.test"]))
}

/// Two lines of ann and one of carl, which wait.
fn waiting() -> Pair {
    waiting_at(Precedence::Routine)
}

fn waiting_at(precedence: Precedence) -> Pair {
    let mut pair = pair_at(precedence);
    pair.allow(HQ, false);
    for (id, from) in [("1", ANN), ("2", ANN), ("3", CARL)] {
        pair.bring(HQ, &message(id, from, BOB, ""));
    }
    pair
}

/// The number of the stanza with this id, and what operators read of why it waits.
fn shown(pair: &Pair, site: usize, id: &str) -> Option<(u64, String)> {
    let listed = pair.chats[site].list(pair.now, 10, None);
    let line = listed.iter().find(|line| line["id"] == id)?;
    Some((meant(line["number"].as_str()?)?, line["why"].as_str()?.to_owned()))
}

/// Gives an order; what is written of stanzas for links.
fn order(pair: &mut Pair, id: &str, order: Order) -> Result<Vec<Write>, Denied> {
    let (number, _) = shown(pair, HQ, id).unwrap_or_default();
    pair.chats[HQ].order(pair.now, number, order)?;
    let mut writes = Vec::new();
    while let Some(output) = pair.chats[HQ].poll() {
        match output {
            ChatOutput::Store { number, writes: stored, .. } => {
                writes.extend(stored.into_iter().filter(|write| write.space == Space::ChatOut));
                pair.chats[HQ].stored(pair.now, number);
            }
            ChatOutput::Tell(event) => pair.told[HQ].push(event),
            _other => {}
        }
    }
    Ok(writes)
}

/// A gateway that begins with these rows.
fn restarted(pair: &mut Pair, writes: Vec<Write>) {
    let row = |write: Write| Row { key: write.key, value: write.value.unwrap() };
    let rows = Rows { out: writes.into_iter().map(row).collect(), ..Rows::default() };
    let mut chat = Chat::new(config("hq.test", &["field.test"]), pair.now, &mut Seeded::new(2));
    chat.start(pair.now, rows);
    pair.chats[HQ] = chat;
}

#[test]
//= xmpp/CHAT-020
fn what_is_held_waits_with_what_follows_it() {
    let mut pair = waiting();
    order(&mut pair, "1", Order::Hold).unwrap();
    pair.allow(HQ, true);
    pair.run(600);
    assert_eq!(pair.arrived(FIELD), ["3"], "another conversation");
    assert_eq!(shown(&pair, HQ, "1").unwrap().1, "held by the operator");
    assert!(shown(&pair, HQ, "2").unwrap().1.contains("what was said before, which is held"));
    pair.bring(HQ, &message("4", ANN, BOB, ""));
    pair.run(600);
    order(&mut pair, "2", Order::Hold).unwrap();
    order(&mut pair, "1", Order::Release).unwrap();
    pair.run(600);
    assert_eq!(pair.arrived(FIELD), ["3", "1"], "the second is held for itself");
    order(&mut pair, "2", Order::Release).unwrap();
    pair.run(600);
    assert_eq!(pair.arrived(FIELD), ["3", "1", "2", "4"]);
    let told: Vec<_> = pair.lines(HQ, StanzaFate::Held).iter().map(|line| (&*line.id, &*line.text)).collect();
    let (held, released) = ("held by the operator", "released by the operator");
    assert_eq!(told, [("1", held), ("2", held), ("1", released), ("2", released)]);
}

#[test]
//= xmpp/CHAT-020
fn what_is_held_is_held_after_a_restart() {
    let mut pair = waiting();
    let writes = order(&mut pair, "1", Order::Hold).unwrap();
    restarted(&mut pair, writes);
    pair.link(true);
    pair.run(600);
    assert_eq!((pair.arrived(FIELD), shown(&pair, HQ, "1").unwrap().1), (vec![], "held by the operator".to_owned()));
    let writes = order(&mut pair, "1", Order::Release).unwrap();
    restarted(&mut pair, writes);
    pair.link(true);
    pair.run(600);
    assert_eq!(pair.arrived(FIELD), ["1"]);
}

#[test]
//= xmpp/CHAT-021
fn what_is_deleted_never_goes_and_its_sender_is_told_if_so_ordered() {
    let mut pair = waiting();
    let forgotten = order(&mut pair, "1", Order::Delete { report: false }).unwrap();
    assert!(forgotten.iter().all(|write| write.value.is_none()) && forgotten.len() == 1, "{forgotten:?}");
    // Until the error has been handed over its row says that it is late: a crash has it given up again.
    let ended = order(&mut pair, "3", Order::Delete { report: true }).unwrap();
    pair.allow(HQ, true);
    pair.run(600);
    assert_eq!(pair.arrived(FIELD), ["2"]);
    for (fate, id) in [(StanzaFate::Discarded, "1"), (StanzaFate::Returned, "3")] {
        let lines = pair.lines(HQ, fate);
        let told: Vec<_> = lines.iter().map(|line| (&*line.id, &*line.text)).collect();
        assert_eq!(told, [(id, "deleted by the operator")]);
    }
    restarted(&mut pair, ended);
    pair.link(true);
    pair.run(600);
    assert_eq!(pair.arrived(FIELD), ["2"], "it does not go after a crash");
    // What is urgent would go as soon as there is a link.
    let mut pair = waiting_at(Precedence::Immediate);
    let ended = order(&mut pair, "3", Order::Delete { report: true }).unwrap();
    restarted(&mut pair, ended);
    pair.link(true);
    pair.run(600);
    assert!(pair.arrived(FIELD).is_empty());
}

#[test]
//= xmpp/CHAT-021
fn what_is_in_a_block_is_left_alone() {
    let mut pair = pair();
    pair.out = true;
    pair.bring(HQ, &message("1", ANN, BOB, ""));
    pair.run(10);
    assert_eq!(pair.units[HQ].len(), 1, "it is in a block");
    for what in [Order::Hold, Order::Delete { report: false }, Order::Delete { report: true }] {
        assert_eq!(order(&mut pair, "1", what), Err(Denied::OnItsWay), "{what:?}");
    }
    assert_eq!(order(&mut pair, "no such", Order::Hold), Err(Denied::Unknown));
    pair.come(HQ, super::pair::LINE, &message("5", BOB, ANN, ""));
    let (number, _) = shown(&pair, HQ, "5").unwrap();
    assert_eq!(pair.chats[HQ].order(pair.now, number, Order::Hold), Err(Denied::NotForLink));
}
