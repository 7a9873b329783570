//! Requests that were handed on: an answer that fits none is nobody's.

use std::collections::{BTreeMap, VecDeque};

use jid::Jid;
use sha2::{Digest as _, Sha256};

use super::super::stanza::{Kind, Stanza};
use super::config::Direction;
use super::limits::{ASKED_LIFE, ASKED_MAX, ASKED_SWEEP};
use crate::time::Instant;

/// Addresses and ids may be long, and thousands of them are remembered.
type Mark = [u8; 32];

fn mark(parts: &[&str]) -> Mark {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
        digest.update([0]);
    }
    digest.finalize().into()
}

/// One request.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Request {
    /// Where it went.
    way: Direction,
    /// Its id and who asked, to the resource.
    what: Mark,
    /// Who was asked: the bare address, and the domain.
    bare: Mark,
    domain: Mark,
    until: Instant,
}

impl Request {
    /// Servers answer in the name that was asked, of an account for its clients, and of a domain for all in it.
    fn fits(&self, answer: &Stanza, what: &Mark) -> bool {
        let from = answer.from().to_bare();
        let is_domain = from.node().is_none() && !answer.from().is_full();
        self.what == *what
            && (self.bare == mark(&[from.as_str()]) || is_domain && self.domain == mark(&[from.domain().as_str()]))
    }
}

/// Requests whose answers may come, by the bare address of who asked. Of many, whoever has most loses the oldest: a flood
/// costs only its maker's answers.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    by: BTreeMap<Mark, VecDeque<Request>>,
    count: usize,
    /// When those that are too old go next.
    sweep_at: Option<Instant>,
}

impl Asked {
    /// A request goes this way.
    pub(crate) fn hand_on(&mut self, now: Instant, way: Direction, request: &Stanza) {
        let Some(id) = request.id() else { return };
        if self.sweep_at.is_none_or(|at| at <= now) {
            self.sweep(now);
        }
        if self.count >= ASKED_MAX {
            self.make_room();
        }
        let (from, to) = (request.from(), request.to().to_bare());
        let remembered = Request {
            way,
            what: mark(&[id, from.as_str()]),
            bare: mark(&[to.as_str()]),
            domain: mark(&[to.domain().as_str()]),
            until: now + ASKED_LIFE,
        };
        self.by.entry(asker(from)).or_default().push_back(remembered);
        self.count += 1;
    }

    /// Whether an answer that goes this way is one: to a request that went the other, and that had none yet.
    pub(crate) fn is_answer(&mut self, now: Instant, way: Direction, answer: &Stanza) -> bool {
        let (Some(id), who) = (answer.id(), asker(answer.to())) else { return false };
        let Some(requests) = self.by.get_mut(&who) else { return false };
        let what = mark(&[id, answer.to().as_str()]);
        let fits = |request: &Request| request.way != way && request.until > now && request.fits(answer, &what);
        let Some(at) = requests.iter().position(fits) else { return false };
        requests.remove(at);
        self.count -= 1;
        if requests.is_empty() {
            self.by.remove(&who);
        }
        true
    }

    fn make_room(&mut self) {
        let most = self.by.iter().max_by_key(|(_, requests)| requests.len()).map(|(who, _)| *who);
        let Some(who) = most else { return };
        let Some(requests) = self.by.get_mut(&who) else { return };
        self.count -= usize::from(requests.pop_front().is_some());
        if requests.is_empty() {
            self.by.remove(&who);
        }
    }

    fn sweep(&mut self, now: Instant) {
        self.by.retain(|_, requests| {
            requests.retain(|request| request.until > now);
            !requests.is_empty()
        });
        self.count = self.by.values().map(VecDeque::len).sum();
        self.sweep_at = Some(now + ASKED_SWEEP);
    }

    #[cfg(test)]
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.count, self.by.len())
    }
}

fn asker(address: &Jid) -> Mark {
    mark(&[address.to_bare().as_str()])
}

/// Whether a stanza is an answer to a request.
pub(crate) fn is_response(stanza: &Stanza) -> bool {
    stanza.kind() == Kind::Iq && matches!(stanza.typ(), Some("result" | "error"))
}
