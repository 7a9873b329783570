//! Lines for a fast stream leave while their rows are being saved.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::Duration;
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

impl Pair {
    /// Time for what is gathered.
    fn wait(&mut self) {
        self.now = self.now.after(Duration::from_millis(1));
        self.chats[HQ].handle_wakeup(self.now);
        self.drain();
    }

    /// The batches on their way: number and how many writes of each space.
    fn batches(&self) -> Vec<(u64, usize, usize)> {
        let batches = self.on_the_way[HQ].as_deref().unwrap_or_default();
        let of = |writes: &[Write], space| writes.iter().filter(|it| it.space == space).count();
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
    pair.now = pair.now.after(Duration::from_secs(60));
    pair.chats[HQ].handle_wakeup(pair.now);
    pair.drain();
    let again = pair.batches();
    assert_eq!(again.iter().map(|(_, rows, block)| (*rows, *block > 0)).collect::<Vec<_>>(), [(1, true)]);
    pair.answer(HQ, again[0].0, true);
    assert_eq!(pair.lines(HQ, StanzaFate::Accepted).len(), 2);
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
