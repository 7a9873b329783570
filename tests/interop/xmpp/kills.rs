//! `kill -9` of a gateway in mid-conversation, with a room open, and its start on the same spool. Nothing is lost or
//! repeated for the link's sake, and nobody is thrown out of the room.
//!
//! Towards a local server what was not confirmed at the crash may come again with the same id; towards one that confirms
//! nothing (no XEP-0198) what it wrote last may be gone with the connection. Both are allowed for by name; all else is not.

use std::collections::BTreeSet;
use std::time::Duration;

use super::client::{Client, Clients, PATIENCE_SECONDS};
use super::talk::{Talk, id_of};
use super::way::{Medium, Setup, Way};
use crate::wait;

/// Lines that are under way when the gateway dies.
const BURST: usize = 3;
/// The local server confirms at once what it is asked to confirm: long enough for the gateway to have that on its disk, and
/// far less than acknowledgements over the link wait.
const CONFIRMED: Duration = Duration::from_secs(1);

/// Who is at each site, by its number.
const ADDRESSES: [&str; 2] = ["alice@hq.test/desk", "bob@field.test/tent"];

/// A kill.
struct Kill {
    /// Whose gateway: 0 headquarters, 1 the field.
    killed: usize,
    /// Who spoke last, so that nothing has acknowledged it over the link.
    last: usize,
}

impl Kill {
    /// The text of a line of this kill.
    fn line(&self, what: &str) -> String {
        let site = ["headquarters", "field"];
        format!("{what}, {} killed, {} last", site[self.killed], site[self.last])
    }

    /// Has somebody say a line to the other.
    fn say(&self, talk: &Talk<'_>, who: usize, what: &str) {
        let line = self.line(what);
        person(talk, who).send(ADDRESSES[1 - who], &id_of(&line), &line);
    }

    /// The same; the other hears it.
    fn tell(&self, talk: &Talk<'_>, who: usize, what: &str) {
        self.say(talk, who, what);
        person(talk, 1 - who).message(&self.line(what));
    }

    /// Kills and starts again; the lines that may have come twice.
    fn done(&self, way: &mut Way, talk: &Talk<'_>, is_managed: bool) -> Vec<String> {
        let (killed, living, last) = (self.killed, 1 - self.killed, self.last);
        talk.room_words(&self.line("before"));
        self.tell(talk, 1 - last, "first");
        self.tell(talk, last, "settled");
        wait::pass(CONFIRMED);
        let burst: Vec<String> = (0..BURST).map(|number| format!("burst {number}")).collect();
        burst.iter().for_each(|what| self.say(talk, last, what));
        // The server of who speaks has them all; where else they are differs.
        let last_id = id_of(&self.line(&burst[BURST - 1]));
        wait::until("a burst", PATIENCE_SECONDS, || way.logs()[last].contains(&last_id).then_some(()));
        way.kill(killed);
        self.say(talk, living, "meanwhile");
        talk.say_in_room(living, &self.line("meanwhile in the room"));
        way.start_again(killed);
        person(talk, killed).message(&self.line("meanwhile"));
        talk.all_hear(&self.line("meanwhile in the room"));
        for who in [killed, living] {
            self.tell(talk, who, "afterwards");
        }
        talk.room_words(&self.line("afterwards"));

        let burst: Vec<String> = burst.iter().map(|what| self.line(what)).collect();
        let heard = person(talk, 1 - last).first_heard(|body| burst.iter().any(|line| line == body));
        if last == killed {
            let returned = |line: &String| person(talk, last).was_returned(&id_of(line));
            let lost: Vec<_> = burst.iter().filter(|line| !heard.contains(line) && !returned(line)).collect();
            assert!(!is_managed || lost.is_empty(), "neither heard nor returned: {lost:?}");
            assert!(heard.is_sorted(), "{heard:?}");
            return Vec::new();
        }
        assert_eq!(heard, burst);
        burst
    }
}

fn person<'a>(talk: &Talk<'a>, number: usize) -> Client<'a> {
    [talk.alice, talk.bob][number]
}

/// Kills each gateway twice: when its own people spoke last, and when the others did.
fn kills(mut way: Way, is_managed: bool) {
    let clients = Clients::start();
    let talk = Talk::begin(&clients, way.ends);
    talk.enter();
    let mut may_repeat = BTreeSet::new();
    // In turn: headquarters waits longer each time before it connects again to a field that was there for seconds only.
    for (killed, last) in [(1, 0), (0, 0), (1, 1), (0, 1)] {
        may_repeat.extend(Kill { killed, last }.done(&mut way, &talk, is_managed));
    }
    talk.nobody_left();
    for who in [talk.alice, talk.bob] {
        for (line, ids) in who.heard_more_than_once() {
            assert!(may_repeat.contains(&line), "{} heard {line:?} {} times", who.who, ids.len());
            assert!(ids.len() == 2 && ids[0] == ids[1], "{line:?} was repeated with other ids: {ids:?}");
        }
    }
}

#[test]
fn gateways_are_killed_in_mid_conversation_over_tcp() {
    kills(Way::open(Setup::Dialback, Medium::Tcp), false);
}

#[test]
fn gateways_are_killed_in_mid_conversation_over_hf() {
    kills(Way::open(Setup::External, Medium::HfApart), true);
}
