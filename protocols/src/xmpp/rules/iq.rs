//! Requests by namespace, and results that answer equal requests again.

use std::collections::BTreeMap;

use minidom::Element;
use rxml::xml_ncname;
use sha2::{Digest as _, Sha256};

use super::super::local::Answer;
use super::super::ns;
use super::super::stanza::{Kind, Stanza};
use super::super::writer::{Scope, set_attribute, write_element};
use super::caps;
use super::config::IqDefault;
use super::limits::{CACHE_OCTETS_MAX, CACHE_RESULT_OCTETS_MAX, CACHE_RESULTS_MAX, CACHE_WAITING_MAX};
use super::matching::payload_namespace;
use super::name::Glob;
use crate::time::{Duration, Instant};

/// The lists of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub(crate) pass: Vec<Glob>,
    pub(crate) answer: Vec<Answer>,
    pub(crate) cache: Vec<Glob>,
    pub(crate) reject: Vec<Glob>,
}

/// What is done with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Choice {
    /// It crosses, and waits at most so long if that is said.
    Pass(Option<Duration>),
    /// It is answered here.
    Answer(Answer),
    /// It crosses unless an equal one did.
    Cache(Duration),
    /// It is refused.
    Reject,
}

/// The policy of one direction.
#[derive(Debug)]
pub(crate) struct Policy {
    /// Lists, those that count first in front.
    pub(crate) layers: Vec<Layer>,
    pub(crate) default: IqDefault,
    pub(crate) pass_life: Option<Duration>,
    /// Whether answers cross that answer nothing.
    pub(crate) all_answers: bool,
    pub(crate) cache_life: Duration,
}

impl Policy {
    /// What is done with requests of a namespace. Within one configuration the more cautious list counts.
    //= xmpp/RULE-005
    pub(crate) fn choose(&self, namespace: &str) -> Choice {
        let listed = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(namespace));
        for layer in &self.layers {
            if listed(&layer.reject) {
                return Choice::Reject;
            }
            if let Some(answer) = layer.answer.iter().find(|answer| answer.namespace() == Some(namespace)) {
                return Choice::Answer(*answer);
            }
            if listed(&layer.cache) {
                return Choice::Cache(self.cache_life);
            }
            if listed(&layer.pass) {
                return Choice::Pass(self.pass_life);
            }
        }
        match self.default {
            IqDefault::Pass => Choice::Pass(None),
            IqDefault::Reject => Choice::Reject,
        }
    }
}

/// Namespaces whose results are the same for whoever asks. What is told of others may be meant for one asker only: a
/// roster decides, or an affiliation.
const FOR_ALL: [&str; 3] = [ns::DISCO_INFO, ns::DISCO_ITEMS, "vcard-temp"];

/// Who is asked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Whom {
    /// This address.
    Address(String),
    /// Anybody at this domain: what a hash of capabilities stands for is the same for all (XEP-0115).
    Domain(String),
}

/// What makes two requests equal: who asks, if that may matter, whom, and what, to the last word.
//= xmpp/RULE-005
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Question {
    whom: Whom,
    asker: Option<String>,
    /// Digest of the canonical form.
    payload: [u8; 32],
}

impl Question {
    fn of(request: &Stanza) -> Option<Self> {
        let payload = request.element().children().next().filter(|_| request.typ() == Some("get"))?;
        let is_for_all = FOR_ALL.iter().any(|namespace| payload.has_ns(*namespace));
        Some(Self {
            whom: Whom::Address(request.to().to_string()),
            asker: (!is_for_all).then(|| request.from().to_bare().to_string()),
            payload: Sha256::digest(write_element(payload, Scope::LINK)).into(),
        })
    }

    /// The same to anybody at the domain.
    fn of_domain(&self, domain: &str) -> Self {
        Self { whom: Whom::Domain(domain.to_owned()), ..self.clone() }
    }
}

/// The node of a request for capabilities by their hash.
fn hash_node(request: &Stanza) -> Option<&str> {
    let payload = request.element().children().next().filter(|payload| payload.has_ns(ns::DISCO_INFO))?;
    payload.attr("node").filter(|node| node.contains('#'))
}

#[derive(Debug)]
struct Held {
    payload: Element,
    octets: usize,
    until: Instant,
}

/// A request whose result is awaited.
#[derive(Debug)]
struct Waiting {
    question: Question,
    namespace: String,
    /// The node, if it holds a hash of what is asked for.
    node: Option<String>,
    life: Duration,
    until: Instant,
}

/// Results that answer equal requests.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// By id, asker and asked.
    waiting: BTreeMap<(String, String, String), Waiting>,
    held: BTreeMap<Question, Held>,
    octets: usize,
}

impl Results {
    /// The answer to a request, if an equal one has been answered; otherwise its result is awaited.
    pub(crate) fn ask(&mut self, now: Instant, request: &Stanza, life: Duration) -> Option<Stanza> {
        let question = Question::of(request)?;
        let node = hash_node(request);
        let of_domain = node.map(|_| question.of_domain(request.to().domain().as_str()));
        let good = |question: &Question| self.held.get(question).filter(|held| held.until > now);
        if let Some(held) = of_domain.as_ref().and_then(good).or_else(|| good(&question)) {
            let mut result = Element::bare("iq", ns::SERVER);
            set_attribute(&mut result, xml_ncname!("to"), request.from().as_str());
            set_attribute(&mut result, xml_ncname!("from"), request.to().as_str());
            set_attribute(&mut result, xml_ncname!("id"), request.id()?);
            set_attribute(&mut result, xml_ncname!("type"), "result");
            result.append_child(held.payload.clone());
            return Stanza::from_element(result).ok();
        }
        self.waiting.retain(|_, waiting| waiting.until > now);
        if self.waiting.len() < CACHE_WAITING_MAX
            && let Some(id) = request.id()
        {
            let key = (id.to_owned(), request.from().to_string(), request.to().to_string());
            let namespace = payload_namespace(request).unwrap_or_default();
            let node = node.map(str::to_owned);
            self.waiting.insert(key, Waiting { question, namespace, node, life, until: now + life });
        }
        None
    }

    /// Keeps the result of an awaited request; anything else is nobody's answer and not kept.
    pub(crate) fn learn(&mut self, now: Instant, response: &Stanza) {
        if self.waiting.is_empty() || response.kind() != Kind::Iq || !matches!(response.typ(), Some("result" | "error"))
        {
            return;
        }
        let Some(id) = response.id() else { return };
        let key = (id.to_owned(), response.to().to_string(), response.from().to_string());
        let Some(waiting) = self.waiting.remove(&key) else { return };
        let payload = response
            .element()
            .children()
            .next()
            .filter(|payload| response.typ() == Some("result") && payload.has_ns(waiting.namespace.as_str()));
        let octets = response.size_octets();
        if let Some(payload) = payload
            && octets <= CACHE_RESULT_OCTETS_MAX
        {
            self.make_room(now, octets);
            let held = Held { payload: payload.clone(), octets, until: now + waiting.life };
            self.octets += octets;
            //= xmpp/RULE-011
            let proven = waiting.node.is_some_and(|node| caps::proves(payload, &node));
            let domain = response.from().domain();
            let question = if proven { waiting.question.of_domain(domain.as_str()) } else { waiting.question };
            if let Some(old) = self.held.insert(question, held) {
                self.octets -= old.octets;
            }
        }
    }

    /// Forgets what is too old, then what will be soonest, until there is room.
    fn make_room(&mut self, now: Instant, octets: usize) {
        self.held.retain(|_, held| held.until > now);
        self.octets = self.held.values().map(|held| held.octets).sum();
        while self.held.len() >= CACHE_RESULTS_MAX || self.octets + octets > CACHE_OCTETS_MAX {
            let Some(soonest) = self.held.iter().min_by_key(|(_, held)| held.until).map(|(key, _)| key.clone()) else {
                return;
            };
            if let Some(gone) = self.held.remove(&soonest) {
                self.octets -= gone.octets;
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        (self.waiting.len(), self.held.len(), self.octets)
    }
}
