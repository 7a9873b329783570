//! The filter of a peer: rules, requests, folding, in this order, and the report.

use super::super::local::{Complaint, Condition, Disco, Gateway, Reach, answer, bounce};
use super::super::ns;
use super::super::stanza::{Kind, Stanza};
use super::action::Action;
use super::asked::{Asked, is_response};
use super::check::{Checker, FilterMistake};
use super::config::{CoalesceKey, Direction, DiscoConfig, FilterConfig, RejectConfig};
use super::iq::{Choice, Results};
use super::matching::{Facts, Subject, payload_namespace};
use super::name::Glob;
use super::profiles::{PROFILES, builtin};
use super::report::{Ledger, Notice, Report, Row};
use super::side::{Folded, Side};
use crate::message::precedence::Precedence;
use crate::time::Duration;

/// What a rule ordered for a stanza that passes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Orders {
    /// Its precedence; the caller keeps it below the peer's ceiling.
    pub precedence: Option<Precedence>,
    /// How long it waits at most.
    pub life: Option<Duration>,
    /// The link it takes.
    pub route: Option<String>,
    /// What older stanza it replaces while that one waits.
    pub coalesce: Option<Vec<u8>>,
    /// How long it waits at least, for newer ones or by rule.
    pub hold: Option<Duration>,
    /// How fast the link must be before it may cross, in bit/s.
    pub hold_until_bits_per_second: Option<u32>,
}

/// What becomes of a stanza.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// It crosses, in this form.
    Pass {
        /// The stanza, folded.
        stanza: Stanza,
        /// What rules ordered.
        orders: Orders,
    },
    /// It goes without a word.
    Drop,
    /// It does not cross; the sender gets this: an answer or an error.
    Reply(Stanza),
}

/// A filter, checked.
#[derive(Debug)]
pub struct Filter {
    to_link: Side,
    from_link: Side,
    desk: Desk,
    dry_run: bool,
}

/// What both directions share.
#[derive(Debug)]
struct Desk {
    ledger: Ledger,
    results: Results,
    /// Requests that were handed on.
    asked: Asked,
    rooms: Vec<Glob>,
    disco: Vec<(Glob, DiscoConfig)>,
    /// Features that survive, offered in local answers to disco#info of clients and of servers.
    client_features: Vec<String>,
    server_features: Vec<String>,
    gateway: Gateway,
}

/// How the stanza rules ended.
enum End {
    /// No rule decided.
    Undecided,
    /// It passes rules and requests.
    Pass,
    Drop,
    Reply(Stanza),
}

impl Filter {
    /// Checks a configuration.
    ///
    /// # Errors
    /// All mistakes.
    pub fn new(config: &FilterConfig) -> Result<Self, Vec<FilterMistake>> {
        let mut checker = Checker::default();
        let name = config.base.as_deref();
        let base = name.and_then(|name| Some((name, builtin(name)?)));
        if name.is_some() && base.is_none() {
            checker.wrong("base", format!("is none of the profiles {}", PROFILES.join(", ")));
        }
        let base = base.as_ref().map(|(name, base)| (*name, base));
        let rooms = checker.rooms(config);
        let to_link = checker.side(Direction::ToLink, config, base);
        let from_link = checker.side(Direction::FromLink, config, base);
        let domains: Vec<String> = config.disco.keys().cloned().collect();
        let disco = checker.globs("disco", &domains).into_iter().zip(config.disco.values().cloned()).collect();
        if !checker.mistakes.is_empty() {
            // What both directions read twice is wrong once.
            checker.mistakes.dedup();
            let mut mistakes: Vec<FilterMistake> = Vec::new();
            for mistake in checker.mistakes {
                if !mistakes.contains(&mistake) {
                    mistakes.push(mistake);
                }
            }
            return Err(mistakes);
        }
        let desk = Desk {
            ledger: checker.ledger,
            results: Results::default(),
            asked: Asked::default(),
            rooms,
            disco,
            client_features: Vec::new(),
            server_features: Vec::new(),
            gateway: Gateway::default(),
        };
        let mut filter = Self { to_link, from_link, desk, dry_run: config.dry_run };
        let survivors = |list: &[&str], filter: &Self| -> Vec<String> {
            list.iter().filter(|feature| filter.passes_feature(feature)).map(|feature| (*feature).to_owned()).collect()
        };
        filter.desk.client_features = survivors(&[ns::PING, ns::RECEIPTS], &filter);
        filter.desk.server_features = survivors(&[ns::PING, ns::VERSION, ns::LAST, ns::TIME], &filter);
        filter.desk.ledger.report.dry_run = config.dry_run;
        Ok(filter)
    }

    /// The same, answering as this gateway.
    #[must_use]
    pub fn with_gateway(mut self, gateway: Gateway) -> Self {
        self.desk.gateway = gateway;
        self
    }

    /// The same, expecting the answers that another filter of the same peer did.
    #[must_use]
    pub fn expecting(mut self, other: &mut Self) -> Self {
        self.desk.asked = std::mem::take(&mut other.desk.asked);
        self
    }

    /// Whether ids are to be short on the link, if the filter says it.
    pub const fn short_id(&self) -> Option<bool> {
        self.to_link.short_id
    }

    /// What becomes of a stanza.
    //= xmpp/RULE-001
    pub fn apply(&mut self, facts: &Facts<'_>, stanza: Stanza) -> Verdict {
        let report = &mut self.desk.ledger.report;
        report.stanzas += 1;
        report.octets += stanza.size_octets() as u64;
        self.desk.results.learn(facts.now.mono, &stanza);
        let side = if facts.direction == Direction::FromLink { &mut self.from_link } else { &mut self.to_link };
        let judged = judge(side, &mut self.desk, facts, &stanza);
        if is_request(&stanza) && (self.dry_run || matches!(judged, Judged::Pass(..))) {
            self.desk.asked.hand_on(facts.now.mono, facts.direction, &stanza);
        }
        //= xmpp/RULE-006
        if self.dry_run {
            return Verdict::Pass { stanza, orders: Orders::default() };
        }
        match judged {
            Judged::Pass(folded, orders) => Verdict::Pass { stanza: folded.unwrap_or(stanza), orders },
            Judged::Drop => Verdict::Drop,
            Judged::Reply(reply) => Verdict::Reply(reply),
        }
    }

    /// What the rules did so far, or would have done.
    pub const fn report(&self) -> &Report {
        &self.desk.ledger.report
    }

    /// What `log` and `alarm` said since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.desk.ledger.take_notices()
    }

    /// Whether what a feature of disco#info announces can cross: only then may a local answer name it.
    //= xmpp/LOCAL-006
    pub fn passes_feature(&self, feature: &str) -> bool {
        let side = &self.to_link;
        let dropped = side.rules.iter().any(|rule| {
            let ends = rule.actions.iter().any(|action| matches!(action, Action::Drop | Action::Reject(_)));
            let names = rule.condition.child.iter().any(|name| name.touches(feature));
            ends && (names || rule.condition.payload.iter().any(|payload| payload.matches(feature)))
        });
        if dropped {
            return false;
        }
        if IN_MESSAGES.iter().any(|begin| feature.starts_with(begin)) {
            return side.passes_in_messages(feature);
        }
        side.iq.choose(feature) != Choice::Reject
    }

    #[cfg(test)]
    pub(crate) fn asked(&self) -> (usize, usize) {
        self.desk.asked.sizes()
    }

    #[cfg(test)]
    pub(crate) fn cache_sizes(&self) -> (usize, usize, usize) {
        self.desk.results.sizes()
    }
}

/// Features that announce elements of messages and not requests.
const IN_MESSAGES: [&str; 16] = [
    "http://jabber.org/protocol/chatstates",
    "http://jabber.org/protocol/xhtml-im",
    "urn:xmpp:receipts",
    "urn:xmpp:chat-markers:",
    "urn:xmpp:message-correct:",
    "urn:xmpp:message-retract:",
    "urn:xmpp:reactions:",
    "urn:xmpp:reply:",
    "urn:xmpp:reference:",
    "urn:xmpp:styling:",
    "urn:xmpp:spoiler:",
    "urn:xmpp:jingle-message:",
    "urn:xmpp:sec-label:0",
    "jabber:x:oob",
    "jabber:x:conference",
    "urn:xmpp:sid:",
];

enum Judged {
    /// With what folding made of it, if it changed.
    Pass(Option<Stanza>, Orders),
    Drop,
    Reply(Stanza),
}

fn judge(side: &mut Side, desk: &mut Desk, facts: &Facts<'_>, stanza: &Stanza) -> Judged {
    if is_no_iq(stanza) {
        let complaint = Complaint { by: desk.gateway.domain.as_deref(), ..Complaint::new(Condition::BadRequest) };
        return bounce(stanza, &complaint).filter(|_| is_request(stanza)).map_or(Judged::Drop, Judged::Reply);
    }
    if answers_nothing(side, desk, facts, stanza) {
        return Judged::Drop;
    }
    let subject = Subject::new(stanza, &desk.rooms);
    let to_room = subject.to_room();
    let mut orders = Orders::default();
    let end = stanza_rules(side, desk, facts, &subject, &mut orders);
    let end = match end {
        End::Undecided => defaults(side, desk, facts, stanza, to_room, &mut orders),
        decided => decided,
    };
    match end {
        End::Undecided | End::Pass => {}
        End::Reply(reply) => return Judged::Reply(reply),
        // Configuration forbids it; a request must get an answer all the same.
        End::Drop if is_request(stanza) => {
            return refuse(desk, stanza, &RejectConfig::default()).map_or(Judged::Drop, Judged::Reply);
        }
        End::Drop => return Judged::Drop,
    }
    match side.fold(&mut desk.ledger, facts, stanza, &desk.rooms) {
        Folded::Same => Judged::Pass(None, orders),
        Folded::Changed(folded) => Judged::Pass(Some(folded), orders),
        Folded::Nothing => Judged::Drop,
    }
}

/// Whether it is an answer to no request that crossed the other way: the policy for requests would be none for who sends
/// everything as a result.
//= xmpp/RULE-010
fn answers_nothing(side: &Side, desk: &mut Desk, facts: &Facts<'_>, stanza: &Stanza) -> bool {
    if !is_response(stanza) || desk.asked.is_answer(facts.now.mono, facts.direction, stanza) || side.iq.all_answers {
        return false;
    }
    desk.ledger.matched(side.answers_row);
    desk.ledger.saved(side.answers_row, 1, stanza.size_octets());
    true
}

/// An iq that is none: of no known type, or a request that holds not exactly one thing. The policy goes by the first, and
/// whoever is asked may find the second.
//= xmpp/RULE-009
fn is_no_iq(stanza: &Stanza) -> bool {
    let known = matches!(stanza.typ(), Some("get" | "set" | "result" | "error"));
    stanza.kind() == Kind::Iq && (!known || is_request(stanza) && stanza.element().children().take(2).count() != 1)
}

fn is_request(stanza: &Stanza) -> bool {
    stanza.kind() == Kind::Iq && matches!(stanza.typ(), Some("get" | "set"))
}

fn stanza_rules(
    side: &mut Side,
    desk: &mut Desk,
    facts: &Facts<'_>,
    subject: &Subject<'_>,
    orders: &mut Orders,
) -> End {
    for rule in &mut side.rules {
        if !rule.condition.holds(facts, subject) {
            continue;
        }
        desk.ledger.matched(rule.row);
        for action in &rule.actions {
            let end = carry_out(action, rule.row, desk, facts, subject, orders);
            match &end {
                End::Undecided => {}
                End::Pass => return end,
                End::Drop | End::Reply(_) => {
                    desk.ledger.saved(rule.row, 1, subject.octets());
                    return end;
                }
            }
        }
    }
    End::Undecided
}

/// One action; `End::Undecided` where the next one counts.
fn carry_out(
    action: &Action,
    row: Row,
    desk: &mut Desk,
    facts: &Facts<'_>,
    subject: &Subject<'_>,
    orders: &mut Orders,
) -> End {
    let stanza = subject.stanza;
    match action {
        Action::Pass => return End::Pass,
        Action::Drop => return End::Drop,
        Action::Reject(reject) => return rejected(desk, stanza, reject),
        Action::Answer(how) => {
            let reply = local(desk, *how, facts, stanza, subject.to_room());
            return reply.map_or(End::Undecided, End::Reply);
        }
        Action::Cache(life) => return cached(desk, facts, stanza, *life),
        Action::Coalesce(key, hold) => {
            if let Some(key) = coalesce_key(*key, stanza) {
                orders.coalesce = Some(key);
                orders.hold = orders.hold.max(Some(*hold).filter(|hold| !hold.is_zero()));
            }
        }
        Action::Delay(span) => orders.hold = orders.hold.max(Some(*span)),
        Action::HoldUntil(rate) => orders.hold_until_bits_per_second = Some(*rate),
        Action::SetPrecedence(precedence) => orders.precedence = Some(*precedence),
        Action::SetLife(life) => orders.life = Some(*life),
        Action::Route(link) => orders.route = Some(link.clone()),
        Action::Log | Action::Alarm => {
            let alarm = matches!(action, Action::Alarm);
            let rule = desk.ledger.name(row).to_owned();
            desk.ledger.notice(Notice { rule, alarm, kind: stanza.kind(), octets: subject.octets() });
        }
        Action::Count(name) => desk.ledger.count(name),
    }
    End::Undecided
}

/// An error to the sender where one may be; another message or presence goes; an answer to a request passes, as somebody
/// waits for it.
fn rejected(desk: &Desk, stanza: &Stanza, reject: &RejectConfig) -> End {
    match refuse(desk, stanza, reject) {
        Some(error) => End::Reply(error),
        None if stanza.kind() == Kind::Iq => End::Undecided,
        None => End::Drop,
    }
}

fn refuse(desk: &Desk, stanza: &Stanza, reject: &RejectConfig) -> Option<Stanza> {
    let mut complaint = Complaint::new(reject.condition.unwrap_or(Condition::ServiceUnavailable));
    complaint.error_type = reject.error_type.unwrap_or(complaint.error_type);
    complaint.by = desk.gateway.domain.as_deref();
    bounce(stanza, &complaint)
}

fn cached(desk: &mut Desk, facts: &Facts<'_>, stanza: &Stanza, life: Duration) -> End {
    if !is_request(stanza) {
        return End::Undecided;
    }
    desk.results.ask(facts.now.mono, stanza, life).map_or(End::Pass, End::Reply)
}

/// What stands where no rule decides: the policy for requests, and `presence.all`.
fn defaults(
    side: &Side,
    desk: &mut Desk,
    facts: &Facts<'_>,
    stanza: &Stanza,
    to_room: bool,
    orders: &mut Orders,
) -> End {
    if side.all.is_some_and(|all| all.takes(stanza)) {
        desk.ledger.matched(side.all_row);
        desk.ledger.saved(side.all_row, 1, stanza.size_octets());
        return End::Drop;
    }
    if !is_request(stanza) {
        return End::Undecided;
    }
    let namespace = payload_namespace(stanza).unwrap_or_default();
    let end = match side.iq.choose(&namespace) {
        Choice::Pass(life) => {
            orders.life = orders.life.or(life);
            return End::Pass;
        }
        Choice::Answer(how) => {
            let reply = local(desk, how, facts, stanza, to_room);
            reply.or_else(|| refuse(desk, stanza, &RejectConfig::default())).map_or(End::Undecided, End::Reply)
        }
        Choice::Cache(life) => cached(desk, facts, stanza, life),
        Choice::Reject => rejected(desk, stanza, &RejectConfig::default()),
    };
    if matches!(end, End::Reply(_)) {
        desk.ledger.matched(side.iq_row);
        desk.ledger.saved(side.iq_row, 1, stanza.size_octets());
    }
    end
}

fn local(
    desk: &Desk,
    how: super::super::local::Answer,
    facts: &Facts<'_>,
    stanza: &Stanza,
    to_room: bool,
) -> Option<Stanza> {
    let reach = Reach { link_up: facts.link_up, online: facts.online, room: to_room };
    answer(how, stanza, &desk.disco(stanza, to_room), &desk.gateway, reach, facts.now.wall)
}

impl Desk {
    fn disco(&self, request: &Stanza, to_room: bool) -> Disco {
        let to = request.to();
        let domain = to.domain().as_str();
        let is_room = to_room || self.rooms.iter().any(|rooms| rooms.matches(domain));
        let written = self.disco.iter().find(|(pattern, _)| to.node().is_none() && pattern.matches(domain));
        if let Some((_, written)) = written {
            return Disco { identities: written.identity.clone(), features: written.features.clone() };
        }
        let features = if to.node().is_none() {
            self.server_features.clone()
        } else if to.is_full() && !is_room {
            self.client_features.clone()
        } else {
            Vec::new()
        };
        Disco::usual(to, is_room, features)
    }
}

/// What two stanzas that are the same news have in common.
fn coalesce_key(key: CoalesceKey, stanza: &Stanza) -> Option<Vec<u8>> {
    let (mark, to) = match key {
        CoalesceKey::Presence if stanza.kind() == Kind::Presence => ('p', stanza.to().to_string()),
        CoalesceKey::ChatState if super::super::fate::is_aside(stanza) => ('c', stanza.to().to_string()),
        CoalesceKey::Subject if stanza.child(ns::SERVER, "subject").is_some() && !stanza.has_body() => {
            ('s', stanza.to().to_string())
        }
        CoalesceKey::Presence | CoalesceKey::ChatState | CoalesceKey::Subject => return None,
    };
    // Subscriptions are decisions and not news: each counts.
    let news =
        !matches!(stanza.typ(), Some("subscribe" | "subscribed" | "unsubscribe" | "unsubscribed" | "probe" | "error"));
    news.then(|| format!("{mark}\0{}\0{to}", stanza.from()).into_bytes())
}
