//! Requests by namespace, and results that answer equal requests again.

use std::collections::BTreeMap;

use minidom::Element;
use rxml::xml_ncname;

use super::super::local::Answer;
use super::super::ns;
use super::super::stanza::{Kind, Stanza};
use super::super::writer::set_attribute;
use super::config::IqDefault;
use super::limits::{CACHE_OCTETS_MAX, CACHE_RESULT_OCTETS_MAX, CACHE_RESULTS_MAX, CACHE_WAITING_MAX};
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

/// What makes two requests equal: what is asked of whom. What is asked by a hash of capabilities is the same at all
/// addresses of a domain (XEP-0115).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Question {
    whom: String,
    namespace: String,
    name: String,
    node: Option<String>,
}

impl Question {
    fn of(request: &Stanza) -> Option<Self> {
        let payload = request.element().children().next().filter(|_| request.typ() == Some("get"))?;
        let node = payload.attr("node").map(str::to_owned);
        let by_hash = payload.has_ns(ns::DISCO_INFO) && node.as_ref().is_some_and(|node| node.contains('#'));
        let to = request.to();
        let whom = if by_hash { to.domain().as_str().to_owned() } else { to.to_bare().to_string() };
        Some(Self { whom, namespace: payload.ns(), name: payload.name().to_owned(), node })
    }
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
        if let Some(held) = self.held.get(&question).filter(|held| held.until > now) {
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
            self.waiting.insert(key, Waiting { question, life, until: now + life });
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
        let payload =
            response.element().children().next().filter(|payload| {
                response.typ() == Some("result") && payload.has_ns(waiting.question.namespace.as_str())
            });
        let octets = response.size_octets();
        if let Some(payload) = payload
            && octets <= CACHE_RESULT_OCTETS_MAX
        {
            self.make_room(now, octets);
            let held = Held { payload: payload.clone(), octets, until: now + waiting.life };
            self.octets += octets;
            if let Some(old) = self.held.insert(waiting.question, held) {
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
