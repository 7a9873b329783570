//! Requests answered without the far end.

use jid::Jid;
use minidom::Element;
use rxml::xml_ncname;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::ns;
use super::super::stanza::{Kind, Stanza};
use super::super::writer::set_attribute;
use super::{Complaint, Condition, bounce, reply};
use crate::time::WallTime;

/// How a request is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// XEP-0199: the addressee is reachable, or it is not.
    Ping,
    /// XEP-0092: name and version of the gateway, for domains.
    Version,
    /// XEP-0012: how long the gateway runs, for domains.
    Last,
    /// XEP-0202: the gateway's clock, for domains.
    Time,
    /// XEP-0030: what can be used over the link.
    DiscoInfo,
    /// XEP-0030: no items.
    DiscoItems,
    /// A result without content.
    EmptyResult,
    /// XEP-0054: a card without content.
    VcardEmpty,
    /// A roster without content.
    RosterNone,
}

impl Answer {
    /// The answer that fits requests in this namespace, if there is one.
    pub fn for_namespace(namespace: &str) -> Option<Self> {
        Some(match namespace {
            ns::PING => Self::Ping,
            ns::VERSION => Self::Version,
            ns::LAST => Self::Last,
            ns::TIME => Self::Time,
            ns::DISCO_INFO => Self::DiscoInfo,
            ns::DISCO_ITEMS => Self::DiscoItems,
            VCARD => Self::VcardEmpty,
            ROSTER => Self::RosterNone,
            _ => return None,
        })
    }

    /// The namespace of the requests that it fits; none where it fits all.
    pub const fn namespace(self) -> Option<&'static str> {
        match self {
            Self::Ping => Some(ns::PING),
            Self::Version => Some(ns::VERSION),
            Self::Last => Some(ns::LAST),
            Self::Time => Some(ns::TIME),
            Self::DiscoInfo => Some(ns::DISCO_INFO),
            Self::DiscoItems => Some(ns::DISCO_ITEMS),
            Self::VcardEmpty => Some(VCARD),
            Self::RosterNone => Some(ROSTER),
            Self::EmptyResult => None,
        }
    }
}

const VCARD: &str = "vcard-temp";
const ROSTER: &str = "jabber:iq:roster";

/// Who answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gateway {
    /// The domain named in errors.
    pub domain: Option<String>,
    /// The name of the software.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it was started.
    pub started: WallTime,
}

impl Default for Gateway {
    fn default() -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { domain: None, name: "Skywave".to_owned(), version, started: WallTime::default() }
    }
}

/// What is known of the addressee when a ping is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reach {
    /// Whether the link is up.
    pub link_up: bool,
    /// For a full address: whether the presence cache says that it is online; `None` when it does not know.
    pub online: Option<bool>,
    /// Whether the addressee is a room or somebody in it.
    pub room: bool,
}

/// An identity of XEP-0030.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The category: `conference`.
    pub category: String,
    /// The type: `text`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Identity {
    fn new(category: &str, kind: &str) -> Self {
        Self { category: category.to_owned(), kind: kind.to_owned(), name: None }
    }
}

/// What disco#info says about one addressee.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Disco {
    /// What it is.
    pub identities: Vec<Identity>,
    /// What can be used with it over the link. Nothing that a filter takes away stands here: that is what makes
    /// clients behave.
    pub features: Vec<String>,
}

impl Disco {
    /// What stands for an address without a configured answer: a room service, a room, a server, an account or a
    /// client; `features` are those that survive the filters.
    pub fn usual(address: &Jid, is_room: bool, features: Vec<String>) -> Self {
        let identity = match (address.node(), is_room) {
            (_, true) => Identity::new("conference", "text"),
            (None, false) => Identity::new("server", "im"),
            (Some(_), false) if address.is_full() => Identity::new("client", "pc"),
            (Some(_), false) => Identity::new("account", "registered"),
        };
        let mut features = features;
        if is_room {
            features.push(ns::MUC.to_owned());
        }
        Self { identities: vec![identity], features }
    }
}

/// The answer to a request; `None` when it is none, or not one of this kind.
pub fn answer(
    how: Answer,
    request: &Stanza,
    disco: &Disco,
    gateway: &Gateway,
    reach: Reach,
    now: WallTime,
) -> Option<Stanza> {
    if request.kind() != Kind::Iq || !matches!(request.typ(), Some("get" | "set")) {
        return None;
    }
    let payload = request.element().children().next();
    if how.namespace().is_some_and(|namespace| payload.is_none_or(|payload| !payload.has_ns(namespace))) {
        return None;
    }
    //= xmpp/LOCAL-005
    let content = match how {
        Answer::Ping => return ping(request, gateway, reach),
        Answer::EmptyResult => None,
        // These ask about a client; the gateway knows only itself.
        Answer::Version | Answer::Last | Answer::Time if request.to().node().is_some() => {
            return refuse(request, gateway, Condition::ServiceUnavailable);
        }
        Answer::Version => Some(version(gateway)),
        Answer::Last => Some(last(gateway, now)),
        Answer::Time => Some(clock(now)),
        Answer::DiscoInfo => Some(disco_info(disco, payload)),
        Answer::DiscoItems => Some(with_node(Element::bare("query", ns::DISCO_ITEMS), payload)),
        Answer::VcardEmpty => Some(Element::bare("vCard", VCARD)),
        Answer::RosterNone => Some(Element::bare("query", ROSTER)),
    };
    let mut result = reply(request, "result");
    if let Some(content) = content {
        result.append_child(content);
    }
    Stanza::from_element(result).ok()
}

/// A domain or a user is reachable when the link is; a client when the presence cache knows it (XEP-0199 section 4).
//= xmpp/LOCAL-004
fn ping(request: &Stanza, gateway: &Gateway, reach: Reach) -> Option<Stanza> {
    if !reach.link_up {
        return refuse(request, gateway, Condition::RemoteServerTimeout);
    }
    if request.to().is_full() && request.to().node().is_some() && reach.online != Some(true) {
        // From a room service-unavailable would mean: you are in, but cannot be pinged (XEP-0410 section 3.3).
        let condition = if reach.room { Condition::NotAcceptable } else { Condition::ServiceUnavailable };
        return refuse(request, gateway, condition);
    }
    Stanza::from_element(reply(request, "result")).ok()
}

fn refuse(request: &Stanza, gateway: &Gateway, condition: Condition) -> Option<Stanza> {
    bounce(request, &Complaint { by: gateway.domain.as_deref(), ..Complaint::new(condition) })
}

fn version(gateway: &Gateway) -> Element {
    let mut query = Element::bare("query", ns::VERSION);
    for (name, value) in [("name", &gateway.name), ("version", &gateway.version)] {
        let mut part = Element::bare(name, ns::VERSION);
        part.append_text(value.as_str());
        query.append_child(part);
    }
    query
}

fn last(gateway: &Gateway, now: WallTime) -> Element {
    let mut query = Element::bare("query", ns::LAST);
    let seconds = now.since(gateway.started).as_secs().to_string();
    set_attribute(&mut query, xml_ncname!("seconds"), &seconds);
    query
}

fn clock(now: WallTime) -> Element {
    let mut element = Element::bare("time", ns::TIME);
    for (name, value) in [("tzo", "+00:00".to_owned()), ("utc", stamp(now))] {
        let mut part = Element::bare(name, ns::TIME);
        part.append_text(value);
        element.append_child(part);
    }
    element
}

/// A time as XEP-0082 writes it: UTC, whole seconds.
pub fn stamp(at: WallTime) -> String {
    let seconds = i64::try_from(at.unix_seconds()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

fn disco_info(disco: &Disco, payload: Option<&Element>) -> Element {
    let mut query = with_node(Element::bare("query", ns::DISCO_INFO), payload);
    for identity in &disco.identities {
        let mut element = Element::bare("identity", ns::DISCO_INFO);
        set_attribute(&mut element, xml_ncname!("category"), &identity.category);
        set_attribute(&mut element, xml_ncname!("type"), &identity.kind);
        if let Some(name) = &identity.name {
            set_attribute(&mut element, xml_ncname!("name"), name);
        }
        query.append_child(element);
    }
    let always = [ns::DISCO_INFO, ns::DISCO_ITEMS];
    let further = disco.features.iter().map(String::as_str).filter(|feature| !always.contains(feature));
    for feature in always.into_iter().chain(further) {
        let mut element = Element::bare("feature", ns::DISCO_INFO);
        set_attribute(&mut element, xml_ncname!("var"), feature);
        query.append_child(element);
    }
    query
}

/// XEP-0030 wants the node of the request back.
fn with_node(mut query: Element, payload: Option<&Element>) -> Element {
    if let Some(node) = payload.and_then(|payload| payload.attr("node")) {
        set_attribute(&mut query, xml_ncname!("node"), node);
    }
    query
}

/// The answer to a request that is for the gateway itself; one that it does not know is refused. `None` when it is no
/// request.
pub fn answer_for_gateway(request: &Stanza, gateway: &Gateway, now: WallTime) -> Option<Stanza> {
    let features = [ns::PING, ns::VERSION, ns::LAST, ns::TIME].map(str::to_owned).to_vec();
    let disco = Disco { identities: vec![Identity::new("gateway", "xmpp")], features };
    let reach = Reach { link_up: true, online: Some(true), room: false };
    let namespace = request.element().children().next().map(Element::ns).unwrap_or_default();
    let known = Answer::for_namespace(&namespace).filter(|how| !matches!(how, Answer::VcardEmpty | Answer::RosterNone));
    known.and_then(|how| answer(how, request, &disco, gateway, reach, now)).or_else(|| {
        (request.kind() == Kind::Iq).then(|| refuse(request, gateway, Condition::ServiceUnavailable)).flatten()
    })
}
