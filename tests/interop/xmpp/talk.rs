//! What people say to each other across two sites, and what must come of it.

use std::net::SocketAddr;

use serde_json::json;

use super::client::{Client, Clients, PATIENCE_SECONDS, has_code};
use crate::wait;

/// Where the users of both sites find their servers.
#[derive(Clone, Copy)]
pub struct Ends {
    /// `hq.test`.
    pub hq: SocketAddr,
    /// `field.test`.
    pub field: SocketAddr,
}

/// Users at each site.
pub const HQ_USERS: [&str; 2] = ["alice", "anna"];
/// See [`HQ_USERS`].
pub const FIELD_USERS: [&str; 2] = ["bob", "ben"];
const ROOM: &str = "ops@rooms.field.test";
/// The room in which they are while links break and gateways die.
const WATCH: &str = "watch@rooms.field.test";

/// The id of a line that is said once.
pub fn id_of(line: &str) -> String {
    line.replace([' ', ','], "-")
}

/// Alice at headquarters and Bob in the field.
pub struct Talk<'a> {
    /// Knows nothing of radios.
    pub alice: Client<'a>,
    /// Neither does he.
    pub bob: Client<'a>,
}

impl<'a> Talk<'a> {
    /// Both log in and say that they are there.
    pub fn begin(clients: &'a Clients, ends: Ends) -> Self {
        let alice = clients.login("alice@hq.test/desk", ends.hq);
        let bob = clients.login("bob@field.test/tent", ends.field);
        alice.available("", "");
        bob.available("", "");
        Self { alice, bob }
    }

    /// Everything: words, presence, a room.
    pub fn whole(&self) {
        self.words("first");
        self.presence();
        self.room();
    }

    /// A line each way, to the bare and to the full address; texts stay what they were. Ids need not: a link may have
    /// short ones of its own.
    pub fn words(&self, tag: &str) {
        let (there, back) = (format!("{tag}: over? <&> \u{fc}\u{1f4e1}"), format!("{tag}: over and out"));
        self.alice.send("bob@field.test", &format!("{tag}-1"), &there);
        let heard = self.bob.message(&there);
        assert_eq!(heard["from"], "alice@hq.test/desk");
        assert!(heard["id"].is_string(), "{heard}");
        self.bob.send("alice@hq.test/desk", &format!("{tag}-2"), &back);
        let heard = self.alice.message(&back);
        assert_eq!(heard["from"], "bob@field.test/tent");
        assert!(heard["id"].is_string(), "{heard}");
    }

    /// Each subscribes to the other and sees that the other is there, away and back.
    pub fn presence(&self) {
        self.alice.presence("bob@field.test", "subscribe");
        self.bob.presence_from("alice@hq.test", "subscribe");
        // Bob's client agrees and asks back; Alice's agrees.
        self.alice.presence_from("bob@field.test/tent", "available");
        self.bob.presence_from("alice@hq.test/desk", "available");
        self.bob.order(json!({ "do": "presence", "kind": "unavailable" }));
        self.alice.presence_from("bob@field.test/tent", "unavailable");
        self.alice.order(json!({ "do": "presence", "kind": "unavailable" }));
        self.alice.available("", "");
        self.bob.available("", "");
        self.words("after presence");
    }

    /// Bob opens a room in the field; Alice enters, reads what was said before, and they talk, rename and leave.
    pub fn room(&self) {
        let (alice, bob) = (self.alice, self.bob);
        bob.join(ROOM, "bob");
        bob.order(
            json!({ "do": "send", "to": ROOM, "id": "topic-1", "kind": "groupchat", "subject": "Evening report" }),
        );
        bob.event("message", |event| event["subject"] == "Evening report");
        bob.say(ROOM, "room-1", "said before Alice came");
        bob.message("said before Alice came");
        alice.join(ROOM, "alice");
        bob.presence_from(&format!("{ROOM}/alice"), "available");
        let history = alice.message("said before Alice came");
        assert_eq!(history["from"], format!("{ROOM}/bob"));
        alice.event("message", |event| event["subject"] == "Evening report");
        alice.presence_from(&format!("{ROOM}/bob"), "available");
        self.say_both(ROOM, "in the room");
        alice.order(json!({ "do": "presence", "to": format!("{ROOM}/alpha") }));
        bob.presence_from(&format!("{ROOM}/alpha"), "available");
        alice.event("presence", |event| event["from"] == format!("{ROOM}/alpha") && has_code(event, "110"));
        // Her client asks the room if she is still in (XEP-0410): by her new name she is, and nobody by the old one.
        for (name, answer) in [("alpha", None), ("alice", Some("item-not-found"))] {
            let occupant = format!("{ROOM}/{name}");
            alice.order(json!({ "do": "ping", "to": occupant }));
            let pong = alice.event("pong", |event| event["from"] == occupant);
            assert_eq!(pong["condition"].as_str(), answer, "{occupant}");
        }
        alice.presence(&format!("{ROOM}/alpha"), "unavailable");
        bob.presence_from(&format!("{ROOM}/alpha"), "unavailable");
    }

    /// Both enter the room of the watch, without more.
    pub fn enter(&self) {
        self.bob.join(WATCH, "bob");
        self.alice.join(WATCH, "alice");
        self.bob.presence_from(&format!("{WATCH}/alice"), "available");
    }

    /// What is said while the link is away: it waits. Of presence the newest does.
    pub fn while_away(&self) {
        for number in 0..3 {
            self.alice.send("bob@field.test/tent", &format!("away-{number}"), &format!("away {number}"));
        }
        self.bob.send("alice@hq.test/desk", "away-back", "away, and back");
        self.alice.say(WATCH, "away-room", "away, in the room");
        self.bob.say(WATCH, "away-room-bob", "away, from the room");
        self.bob.available("away", "");
        self.bob.available("dnd", "");
    }

    /// All of that is heard, in the order in which it was said, and both are still in the room.
    pub fn after_return(&self) {
        assert_eq!(self.lines_of_alice("away ", 3), ["away 0", "away 1", "away 2"]);
        self.alice.message("away, and back");
        self.bob.message("away, in the room");
        self.alice.message("away, from the room");
        self.alice.event("presence", |event| event["from"] == "bob@field.test/tent" && event["show"] == "dnd");
        self.nobody_left();
    }

    /// Nobody was thrown out of the room of the watch.
    pub fn nobody_left(&self) {
        for who in [self.alice, self.bob] {
            let gone = who.all("presence").into_iter().find(|event| {
                event["from"].as_str().is_some_and(|from| from.starts_with(WATCH)) && event["kind"] != "available"
            });
            assert!(gone.is_none(), "{} saw somebody leave the room: {gone:?}", who.who);
        }
    }

    /// The lines that Bob heard from Alice and that begin so, once `count` have come; the first time each was heard.
    pub fn lines_of_alice(&self, begin: &str, count: usize) -> Vec<String> {
        let lines = || self.bob.first_heard(|body| body.starts_with(begin));
        wait::until("all lines", PATIENCE_SECONDS, || (lines().len() >= count).then_some(()));
        lines()
    }

    /// Somebody (0: Alice, 1: Bob) says something in the room of the watch.
    pub fn say_in_room(&self, who: usize, line: &str) {
        [self.alice, self.bob][who].say(WATCH, &id_of(line), line);
    }

    /// Both hear it.
    pub fn all_hear(&self, line: &str) {
        self.alice.message(line);
        self.bob.message(line);
    }

    /// One line each way in the room of the watch; both hear both.
    pub fn room_words(&self, tag: &str) {
        self.say_both(WATCH, tag);
    }

    fn say_both(&self, room: &str, tag: &str) {
        let lines = [(self.bob, "bob"), (self.alice, "alice")].map(|(who, name)| (who, format!("{name} {tag}")));
        for (who, line) in &lines {
            who.say(room, &id_of(line), line);
            self.all_hear(line);
        }
    }

    /// Nobody heard a word twice. Rooms repeat what was said before somebody came; that is delayed, and so is what waited.
    pub fn nothing_repeated(&self) {
        for who in [self.alice, self.bob] {
            let mut ids: Vec<String> = who
                .all("message")
                .iter()
                .filter(|event| event["kind"] != "groupchat" || event["delay"].is_null())
                .filter_map(|event| Some(format!("{} {}", event["from"], event["id"].as_str()?)))
                .collect();
            let count = ids.len();
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), count, "{} heard a message twice", who.who);
        }
    }
}
