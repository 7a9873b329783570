//! What operators are shown of chat: facts with stable field names, units in the name.

use serde_json::{Value, json};
use skywave_protocols::time::Now;
use skywave_protocols::xmpp::Stanza;
use skywave_protocols::xmpp::slow::limits::WAITING_STANZAS_MAX;
use skywave_transports::transport::over;

use super::config::EmconRule;
use super::limits::{BATCH_OCTETS_MAX, BATCH_STANZAS_MAX, LISTED_MAX, LOCAL_OCTETS_MAX, LOCAL_STANZAS_MAX, UNITS_MAX};
use super::lines::{meant, shown};
use super::peers::Peer;
use super::queue::local::Handing;
use super::queue::out::Waiting;
use super::{Chat, Line, Way};

impl Chat {
    /// All of chat, in short.
    pub fn status(&self) -> Value {
        let peers: Vec<Value> = self.peers.iter().map(line_of_peer).collect();
        json!({
            "ready": self.ready,
            "peers": peers,
            "stanzas_waiting_for_links": self.peers.iter().map(|peer| peer.queue.len()).sum::<usize>(),
            "stanzas_waiting_for_servers": self.local.len(),
            "bytes_waiting_for_servers": self.local.octets(),
        })
    }

    /// What a link shows of the chat on it: the peer, what waits, and its session.
    pub fn show_line(&self, line: Line) -> Value {
        let Some(peer) = self.peers.get(line.peer) else { return Value::Null };
        let mut value = line_of_peer(peer);
        value["stanzas_in_no_unit_yet"] = json!(peer.side(line.way).map(|side| side.session.waiting()));
        value["presence"] = describe(&peer.presence.describe());
        value["filter"] = describe(&peer.filter.report());
        value
    }

    /// The first thing that is held more of than the limits allow, in words.
    pub fn over_limit(&self) -> Option<String> {
        let own = [
            ("units on links", self.units.len(), UNITS_MAX),
            ("stanzas for local servers", self.local.len(), LOCAL_STANZAS_MAX + self.peers.len() * BATCH_STANZAS_MAX),
            ("octets for local servers", self.local.octets(), LOCAL_OCTETS_MAX + self.peers.len() * BATCH_OCTETS_MAX),
        ];
        let peer = |peer: &Peer| {
            let queue = &peer.config.queue;
            let held = [
                ("stanzas for a link", peer.queue.len(), queue.stanzas_max),
                ("octets for a link", peer.queue.octets(), queue.octets_max),
                ("stanzas of a session", peer.stream.session.waiting(), WAITING_STANZAS_MAX),
            ];
            over(held).map(|words| format!("{}: {words}", peer.name()))
        };
        over(own).or_else(|| over(self.door.held())).or_else(|| self.peers.iter().find_map(peer))
    }

    /// The door: its streams.
    pub fn show_door(&self) -> Value {
        describe(&self.door.describe())
    }

    /// Stanzas that wait for links and for local servers, the oldest first.
    pub fn list(&self, now: Now, limit: usize, peer: Option<&str>) -> Vec<Value> {
        let wanted = |name: &str| peer.is_none_or(|peer| peer == name);
        let peers = self.peers.iter().filter(|it| wanted(it.name()) || it.config.ways().any(|(_, link)| wanted(link)));
        let out = peers
            .flat_map(|peer| peer.queue.iter().map(move |(number, waiting)| self.out_line(now, peer, number, waiting)));
        let local =
            self.local.iter().filter(|_| peer.is_none()).map(|(number, handing)| self.local_line(now, number, handing));
        out.chain(local).take(limit.min(LISTED_MAX)).collect()
    }

    /// One stanza that waits, or was here lately, by the gateway's number or its own id.
    pub fn find(&self, now: Now, id: &str) -> Option<Value> {
        let number = meant(id);
        let is_it = |at: u64, stanza: &Stanza| number == Some(at) || stanza.id() == Some(id);
        let out = self.peers.iter().flat_map(|peer| peer.queue.iter().map(move |(at, waiting)| (peer, at, waiting)));
        let found =
            out.filter(|(_, at, waiting)| is_it(*at, &waiting.stanza)).map(|(p, at, w)| self.out_line(now, p, at, w));
        let local = self.local.iter().filter(|(at, handing)| is_it(*at, &handing.stanza));
        let waits = found.chain(local.map(|(at, handing)| self.local_line(now, at, handing))).next();
        let waits = waits.map(|mut line| {
            let history = line["number"].as_str().and_then(|number| self.recent.history(number));
            line["history"] = json!(history);
            line
        });
        waits.or_else(|| self.recent.find(id))
    }

    fn out_line(&self, now: Now, peer: &Peer, number: u64, waiting: &Waiting) -> Value {
        let mut line = stanza_line(number, &waiting.stanza);
        line["peer"] = json!(peer.name());
        let way = peer.queue.way(number).or_else(|| peer.way_of(waiting));
        line["link"] = json!(way.and_then(|way| peer.config.link_of(way)).map(|link| &**link));
        line["bytes"] = json!(waiting.octets);
        line["precedence"] = json!(waiting.priority.precedence());
        line["age_seconds"] = json!(now.wall.since(waiting.since).as_secs_f64());
        line["expires_in_seconds"] = json!(waiting.until.map(|until| until.since(now.mono).as_secs_f64()));
        line["on_disk"] = json!(waiting.fate.durable);
        line["held"] = json!(waiting.kept);
        line["why"] = json!(why_out(peer, number, waiting, way));
        line
    }

    fn local_line(&self, now: Now, number: u64, handing: &Handing) -> Value {
        let mut line = stanza_line(number, &handing.stanza);
        line["peer"] = json!(self.peers.get(handing.peer).map(Peer::name));
        line["link"] = Value::Null;
        line["bytes"] = json!(handing.octets);
        line["age_seconds"] = json!(now.wall.since(handing.since).as_secs_f64());
        line["on_disk"] = json!(handing.durable);
        line["why"] = json!(format!("waits for the local server of {}", handing.stanza.to().domain()));
        line
    }
}

/// Why a stanza is still here.
fn why_out(peer: &Peer, number: u64, waiting: &Waiting, way: Option<Way>) -> String {
    let Some(side) = way.and_then(|way| peer.side(way)) else {
        let rate = waiting.bits_per_second_min.unwrap_or_default();
        return format!("held: a rule lets it wait for a link of {rate} bit/s");
    };
    let (link, silent) = (&side.link, way == Some(Way::Stream) && peer.silent || side.silent);
    let words = match (peer.queue.is_released(number), silent) {
        (false, _) if waiting.kept => "held by the operator",
        (false, _) if !peer.queue.is_stored(number) => "being written to the disk",
        (false, _) if waiting.hold.is_some() => "held by a rule",
        (false, _) => "waits for what was said before, which is held or being written to the disk",
        (true, _) if peer.queue.way(number).is_none() => {
            "waits for what was said before, which goes by another link or has another label"
        }
        (true, _) if way == Some(Way::Units) => "goes as a unit of its own: the far site keeps silence",
        (true, true) if peer.config.emcon == EmconRule::Hold => "held: the far site keeps silence",
        (true, _) if !link.allowed => "held: the link is not to be used, or we keep silence",
        (true, _) if !link.up => "the link is down",
        (true, _) if !side.is_up() => "the far site has shown no sign of life for minutes: the radio may be out",
        (true, _) => "waits for its turn, or for the far site to confirm it",
    };
    words.to_owned()
}

fn stanza_line(number: u64, stanza: &Stanza) -> Value {
    json!({
        "number": shown(number),
        "kind": stanza.kind(),
        "type": stanza.typ(),
        "id": stanza.id(),
        "from": stanza.from().to_string(),
        "to": stanza.to().to_string(),
    })
}

fn line_of_peer(peer: &Peer) -> Value {
    let oldest = peer.queue.iter().next().map(|(_, waiting)| waiting.since.unix_micros() as f64 / 1e6);
    let held_for = peer.ways().find_map(|way| peer.side(way)?.held_for.as_deref());
    json!({
        "peer": peer.name(),
        "site": &*peer.config.site,
        "domains": peer.config.domains,
        "link": &*peer.config.link,
        "units_link": peer.config.units.as_ref().map(|(link, _)| &**link),
        "alternate_links": peer.config.alternates.iter().map(|it| &*it.link).collect::<Vec<_>>(),
        "up": peer.is_reached(),
        "held_back_for": held_for,
        "silent": peer.silent,
        "emcon_rule": peer.config.emcon,
        "stanzas_waiting": peer.queue.len(),
        "bytes_waiting": peer.queue.octets(),
        "oldest_at_unix_seconds": oldest,
        "counters": peer.counters,
    })
}

fn describe(facts: &impl serde::Serialize) -> Value {
    serde_json::to_value(facts).unwrap_or_default()
}

/// Which of a peer's links a name is.
impl Chat {
    /// All peers and their links by name.
    pub fn lines(&self) -> Vec<(Line, String, String)> {
        let mut lines = Vec::new();
        for (index, peer) in self.peers.iter().enumerate() {
            for (way, link) in peer.config.ways() {
                lines.push((Line { peer: index, way }, link.to_string(), peer.config.site.to_string()));
            }
        }
        lines
    }
}
