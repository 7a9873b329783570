//! Lines for a fast stream leave while their rows are being saved.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::Duration;
use skywave_protocols::xmpp::rules::{Filter, FilterConfig};
use skywave_protocols::xmpp::slow::limits::SAVE_AGAIN_AFTER;
use skywave_transports::io::{Space, Write};

use super::pair::{FIELD, HQ, Pair, config, message};
use crate::telemetry::StanzaFate;

const ANN: &str = "ann@hq.test/a";
const BOB: &str = "bob@field.test/b";

/// A fast stream on which something was said before: numbers are reserved. The disk of hq takes its time from now on.
fn pair(precedence: Precedence) -> Pair {
    let mut hq = config("hq.test", &["field.test"]);
    hq.peers[0].precedence.default = precedence;
    let mut pair = Pair::new(hq, config("field.test", &["hq.test"]));
    pair.stream();
    pair.bring(HQ, &message("0", ANN, BOB, ""));
    pair.run(2);
    assert_eq!(pair.arrived(FIELD), ["0"]);
    pair.on_the_way[HQ] = Some(Vec::new());
    pair
}

fn has_words(write: &Write) -> bool {
    write.value.as_ref().is_some_and(|value| value.windows(5).any(|piece| piece == b"hello"))
}

impl Pair {
    /// Time for what is gathered.
    fn wait(&mut self) {
        self.now = self.now.after(Duration::from_millis(1));
        self.chats[HQ].handle_wakeup(self.now);
        self.drain();
    }

    /// The batches on their way that have rows: number, rows, and records of blocks with words.
    fn batches(&self) -> Vec<(u64, usize, usize)> {
        let batches = self.on_the_way[HQ].as_deref().unwrap_or_default();
        let of = |writes: &[Write], space| writes.iter().filter(|it| it.space == space && has_words(it)).count();
        batches
            .iter()
            .map(|(number, writes)| (*number, of(writes, Space::ChatOut), of(writes, Space::ChatLink)))
            .filter(|(_, rows, _)| *rows > 0)
            .collect()
    }
}

//= xmpp/SLOW-034
//= xmpp/CHAT-016
#[test]
fn rows_and_their_block_are_one_batch_and_leave_meanwhile() {
    let mut pair = pair(Precedence::Routine);
    pair.bring(HQ, &message("1", ANN, BOB, ""));
    pair.bring(HQ, &message("2", ANN, BOB, ""));
    assert!(pair.batches().is_empty(), "more may come");
    pair.wait();
    let batches = pair.batches();
    assert_eq!(batches.iter().map(|(_, rows, block)| (*rows, *block)).collect::<Vec<_>>(), [(2, 1)]);
    assert_eq!(pair.arrived(FIELD), ["0", "1", "2"], "they have left");
    assert_eq!(pair.lines(HQ, StanzaFate::Accepted).len(), 1, "nobody was told that they are on the disk");
    pair.answer(HQ, batches[0].0, true);
    assert_eq!(pair.lines(HQ, StanzaFate::Accepted).len(), 3);
}

#[test]
fn what_is_urgent_waits_for_no_company() {
    let mut pair = pair(Precedence::Flash);
    pair.bring(HQ, &message("f", ANN, BOB, ""));
    assert_eq!(pair.arrived(FIELD), ["0", "f"]);
}

/// What has left cannot be refused any more: its row goes with the next batch of the session.
#[test]
fn a_row_that_the_disk_refuses_is_written_again_if_its_stanza_has_left() {
    let mut pair = pair(Precedence::Routine);
    pair.bring(HQ, &message("1", ANN, BOB, ""));
    pair.out = true;
    pair.wait();
    let batches = pair.batches();
    pair.on_the_way[HQ] = Some(Vec::new());
    pair.answer(HQ, batches[0].0, false);
    assert!(pair.lines(HQ, StanzaFate::Returned).is_empty());
    pair.now = pair.now.after(SAVE_AGAIN_AFTER);
    pair.chats[HQ].handle_wakeup(pair.now);
    pair.drain();
    let again = pair.batches();
    assert_eq!(again.iter().map(|(_, rows, block)| (*rows, *block)).collect::<Vec<_>>(), [(1, 1)]);
    pair.answer(HQ, again[0].0, true);
    assert_eq!(pair.lines(HQ, StanzaFate::Accepted).len(), 2);
}

/// A block that is saved apart from the row in it may be there when the row is not: nobody else asks for the row again.
#[test]
fn a_row_alone_is_written_again() {
    let mut pair = pair(Precedence::Routine);
    pair.bring(HQ, &message("1", ANN, BOB, ""));
    pair.out = true;
    pair.wait();
    let (number, ..) = pair.batches()[0];
    pair.chats[HQ].pending.get_mut(&number).unwrap().beside.clear();
    pair.answer(HQ, number, false);
    pair.on_the_way[HQ] = Some(Vec::new());
    pair.now = pair.now.after(SAVE_AGAIN_AFTER);
    pair.chats[HQ].handle_wakeup(pair.now);
    pair.drain();
    let again = pair.batches();
    assert_eq!(again.len(), 1, "its server waits for it");
    pair.answer(HQ, again[0].0, true);
    assert_eq!(pair.lines(HQ, StanzaFate::Accepted).len(), 2);
}

/// What is made of a stanza that came by the link is in the batch that acknowledges it.
#[test]
fn an_error_for_what_came_is_one_batch_with_its_end() {
    let mut pair = pair(Precedence::Routine);
    let rule = "[[from_link.rule]]\nmatch = { has_body = true }\naction = \"reject\"";
    pair.chats[HQ].peers[0].filter = Filter::new(&toml::from_str::<FilterConfig>(rule).unwrap()).unwrap();
    pair.bring(FIELD, &message("r", BOB, ANN, ""));
    pair.run(2);
    let batches = pair.on_the_way[HQ].take().unwrap();
    let of = |writes: &[Write], space| writes.iter().any(|it| it.space == space);
    let rows: Vec<_> = batches.iter().filter(|(_, writes)| of(writes, Space::ChatOut)).collect();
    assert_eq!(rows.len(), 1, "{batches:?}");
    assert!(of(&rows[0].1, Space::ChatLink), "{rows:?}");
}

/// Over a radio the row comes first.
#[test]
fn on_slow_media_the_row_comes_first() {
    let mut pair = Pair::new(config("hq.test", &["field.test"]), config("field.test", &["hq.test"]));
    pair.on_the_way[HQ] = Some(Vec::new());
    pair.bring(HQ, &message("1", ANN, BOB, ""));
    assert_eq!(pair.batches().len(), 1, "it waits for no company");
    pair.run(60);
    assert!(pair.arrived(FIELD).is_empty());
}
