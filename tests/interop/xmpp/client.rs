//! Clients and components: slixmpp in a process of its own (`client.py`), driven by JSON lines.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use skywave_tests::verify::python;

use crate::wait;

/// Longest time for an event, with two debug builds on a busy machine.
pub const PATIENCE_SECONDS: u64 = 60;

type Heard = Arc<(Mutex<Vec<Value>>, Condvar)>;

/// All clients of a test; they go with it.
pub struct Clients {
    child: Child,
    orders: Mutex<ChildStdin>,
    heard: Heard,
}

/// One of them.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    clients: &'a Clients,
    /// Its bare address.
    pub who: &'a str,
}

impl Clients {
    /// Starts the process that holds them.
    pub fn start() -> Self {
        let program = skywave_tests::root().join("tests/interop/xmpp/client.py");
        let mut child = Command::new(python::interpreter())
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the virtual environment that `cargo verify` makes");
        let heard: Heard = Arc::default();
        let (lines, keeping) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&heard));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let Ok(event) = serde_json::from_str(&line) else { continue };
                keeping.0.lock().unwrap().push(event);
                keeping.1.notify_all();
            }
        });
        let orders = Mutex::new(child.stdin.take().unwrap());
        Self { child, orders, heard }
    }

    /// Logs a user in, with the password `secret`, and waits until that is done. It agrees to every subscription.
    pub fn login<'a>(&'a self, who: &'a str, server: SocketAddr) -> Client<'a> {
        self.start_one(who, "login", server)
    }

    /// Connects as the component `who`, whose secret is `secret`.
    pub fn component<'a>(&'a self, who: &'a str, server: SocketAddr) -> Client<'a> {
        self.start_one(who, "component", server)
    }

    fn start_one<'a>(&'a self, who: &'a str, kind: &str, server: SocketAddr) -> Client<'a> {
        let (host, port) = (server.ip().to_string(), server.port());
        let secret = "secret";
        self.order(&json!({
            "do": kind, "who": who, "password": secret, "secret": secret, "host": host, "port": port,
        }));
        let client = Client { clients: self, who: who.split('/').next().unwrap_or(who) };
        client.event("online", |_| true);
        client
    }

    fn order(&self, order: &Value) {
        writeln!(self.orders.lock().unwrap(), "{order}").unwrap();
    }

    /// Everything any of them heard.
    pub fn heard(&self) -> Vec<Value> {
        self.heard.0.lock().unwrap().clone()
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.heard().iter().for_each(|event| eprintln!("heard {event}"));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Client<'_> {
    /// Gives an order of `client.py`.
    pub fn order(&self, mut order: Value) {
        order["who"] = json!(self.who);
        self.clients.order(&order);
    }

    /// Says something to somebody; `id` is also in the text.
    pub fn send(&self, to: &str, id: &str, body: &str) {
        self.order(json!({ "do": "send", "to": to, "id": id, "body": body }));
    }

    /// Says something in a room.
    pub fn say(&self, room: &str, id: &str, body: &str) {
        self.order(json!({ "do": "send", "to": room, "id": id, "body": body, "kind": "groupchat" }));
    }

    /// Says that it is there.
    pub fn available(&self, show: &str, status: &str) {
        let show = if show.is_empty() { Value::Null } else { json!(show) };
        self.order(json!({ "do": "presence", "show": show, "status": status }));
    }

    /// Says presence of a kind to somebody: `subscribe`, `unavailable`…
    pub fn presence(&self, to: &str, kind: &str) {
        self.order(json!({ "do": "presence", "to": to, "kind": kind }));
    }

    /// Enters a room and waits until it is in.
    pub fn join(&self, room: &str, nick: &str) {
        self.order(json!({ "do": "join", "room": room, "nick": nick }));
        let own = format!("{room}/{nick}");
        self.event("presence", |event| event["from"] == own && has_code(event, "110"));
    }

    /// Waits for an event of a kind that `wanted` takes, past or future; each event is found again every time.
    pub fn event(&self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let (heard, changed) = &*self.clients.heard;
        let find = |heard: &Vec<Value>| {
            heard.iter().find(|event| event["who"] == self.who && event["event"] == kind && wanted(event)).cloned()
        };
        let mut heard = heard.lock().unwrap();
        let deadline = wait::now() + Duration::from_secs(PATIENCE_SECONDS);
        loop {
            if let Some(event) = find(&heard) {
                return event;
            }
            let left = deadline.saturating_duration_since(wait::now());
            if left.is_zero() {
                drop(heard);
                panic!("{} waited {PATIENCE_SECONDS} s for a {kind}", self.who);
            }
            heard = changed.wait_timeout(heard, left).unwrap().0;
        }
    }

    /// Waits for the message with this text.
    pub fn message(&self, body: &str) -> Value {
        self.event("message", |event| event["body"] == body)
    }

    /// Waits for presence of a kind (`available`, `unavailable`, …) from an address that begins so.
    pub fn presence_from(&self, from: &str, kind: &str) -> Value {
        self.event("presence", |event| starts(event, from) && event["kind"] == kind)
    }

    /// The texts it heard that `wanted` takes, each where it came first; not those that came back.
    pub fn first_heard(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for (body, _) in self.texts() {
            if wanted(&body) && !found.contains(&body) {
                found.push(body);
            }
        }
        found
    }

    /// The texts it heard more than once, with their ids.
    pub fn heard_more_than_once(&self) -> BTreeMap<String, Vec<String>> {
        let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (body, id) in self.texts() {
            ids.entry(body).or_default().push(id);
        }
        ids.retain(|_, ids| ids.len() > 1);
        ids
    }

    /// Text and id of every message that did not come back.
    fn texts(&self) -> Vec<(String, String)> {
        let text = |event: &Value, name: &str| event[name].as_str().map(str::to_owned);
        let heard = self.all("message").into_iter().filter(|event| event["kind"] != "error");
        heard.filter_map(|event| Some((text(&event, "body")?, text(&event, "id").unwrap_or_default()))).collect()
    }

    /// Whether what it said with this id came back.
    pub fn was_returned(&self, id: &str) -> bool {
        self.all("message").iter().any(|event| event["kind"] == "error" && event["id"] == id)
    }

    /// All events of a kind that it heard so far.
    pub fn all(&self, kind: &str) -> Vec<Value> {
        self.clients.heard().into_iter().filter(|event| event["who"] == self.who && event["event"] == kind).collect()
    }
}

fn starts(event: &Value, from: &str) -> bool {
    event["from"].as_str().is_some_and(|found| found.starts_with(from))
}

/// Whether presence from a room has this status code.
pub fn has_code(event: &Value, code: &str) -> bool {
    event["codes"].as_array().is_some_and(|codes| codes.iter().any(|found| found == code))
}
