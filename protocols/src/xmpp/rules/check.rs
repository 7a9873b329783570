//! From what is written to what is carried out; all mistakes at once, each with its key and the reason.

use std::fmt;

use super::super::local::Answer;
use super::super::stanza::Kind;
use super::action::{Action, ElementRule, Rule};
use super::bucket::Buckets;
use super::config::{
    ActionConfig, AttributeConfig, Direction, DirectionConfig, ElementActionConfig, ElementRuleConfig, FilterConfig,
    FoldMode, FoldPresenceConfig, IqAnswers, IqConfig, IqDefault, LabelConfig, Many, MatchConfig, MessageConfig,
    PresenceConfig, RateConfig, RuleConfig,
};
use super::fold::{ElementAction, List, ListMode, REFER_TO_IDS};
use super::iq::{Layer, Policy};
use super::label::LabelTest;
use super::limits::{
    LIST_MAX, MARK_CHARACTERS_MAX, NAME_OCTETS_MAX, REPLACEMENT_CHARACTERS_MAX, RULES_MAX, SPAN_SECONDS_MAX,
    TRUNCATE_CHARACTERS_MAX,
};
use super::matching::{AttributeTest, Condition};
use super::name::{AddressPattern, BadPattern, Glob, Name};
use super::report::Ledger;
use super::side::{AllPresence, PresenceFold, Side};
use super::window::Window;
use crate::time::Duration;

/// Something wrong in a filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterMistake {
    /// The key below the filter: `to_link.rule.2.match.child.0`.
    pub key: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for FilterMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.reason)
    }
}

/// Room services are usually called so.
const ROOM_DOMAINS: [&str; 5] = ["chat.*", "conference.*", "conf.*", "muc.*", "rooms.*"];
const CACHE_SECONDS_DEFAULT: u64 = 24 * 3600;

/// Checks one configuration.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    pub(crate) mistakes: Vec<FilterMistake>,
    pub(crate) ledger: Ledger,
}

impl Checker {
    pub(crate) fn wrong(&mut self, key: &str, reason: impl Into<String>) {
        self.mistakes.push(FilterMistake { key: key.to_owned(), reason: reason.into() });
    }

    fn read<T>(&mut self, key: &str, result: Result<T, BadPattern>) -> Option<T> {
        result.map_err(|bad| self.wrong(key, bad.to_string())).ok()
    }

    fn list<T, U>(&mut self, key: &str, list: &[T], mut one: impl FnMut(&mut Self, &str, &T) -> Option<U>) -> Vec<U> {
        if list.len() > LIST_MAX {
            self.wrong(key, format!("has {} entries, at most {LIST_MAX} are taken", list.len()));
            return Vec::new();
        }
        list.iter().enumerate().filter_map(|(index, entry)| one(self, &format!("{key}.{index}"), entry)).collect()
    }

    pub(crate) fn globs(&mut self, key: &str, list: &[String]) -> Vec<Glob> {
        self.list(key, list, |checker, key, text| match text.as_str() {
            "" => {
                checker.wrong(key, "is empty");
                None
            }
            text => checker.read(key, Glob::new(text)),
        })
    }

    fn names(&mut self, key: &str, list: &[String]) -> Vec<Name> {
        self.list(key, list, |checker, key, text| checker.read(key, Name::new(text)))
    }

    fn addresses(&mut self, key: &str, list: &[String]) -> Vec<AddressPattern> {
        self.list(key, list, |checker, key, text| checker.read(key, AddressPattern::new(text)))
    }

    fn span(&mut self, key: &str, seconds: u64) -> Duration {
        if seconds > SPAN_SECONDS_MAX {
            self.wrong(key, format!("{seconds} s is more than a year"));
        }
        Duration::from_secs(seconds.min(SPAN_SECONDS_MAX))
    }

    pub(crate) fn rooms(&mut self, config: &FilterConfig) -> Vec<Glob> {
        match &config.room_domains {
            Some(domains) => self.globs("room_domains", domains),
            None => ROOM_DOMAINS.iter().filter_map(|domain| Glob::new(domain).ok()).collect(),
        }
    }

    /// One direction: what is written, and the profile behind it.
    pub(crate) fn side(&mut self, way: Direction, config: &FilterConfig, base: Option<(&str, &FilterConfig)>) -> Side {
        let of = |config: &FilterConfig| match way {
            Direction::FromLink => config.from_link.clone(),
            Direction::ToLink | Direction::Both => config.to_link.clone(),
        };
        let key = if way == Direction::FromLink { "from_link" } else { "to_link" };
        let own = of(config);
        let behind = base.map(|(name, base)| (name, of(base)));
        let empty = DirectionConfig::default();
        let (base_name, base) = behind.as_ref().map_or(("none", &empty), |(name, base)| (*name, base));

        let mut rules = self.rules("rule", &config.rule, way);
        rules.extend(self.rules(&format!("{key}.rule"), &own.rule, way));
        rules.extend(self.rules(base_name, &base.rule, way));
        let iq_row = self.ledger.row(&format!("{key}.iq"));
        let answers_row = self.ledger.row(&format!("{key}.iq.answers"));
        let all_row = self.ledger.row(&format!("{key}.presence.all"));
        let (message, message_keep) = self.message(&format!("{key}.message"), &own.message, &base.message);
        let message_row = self.ledger.row(&format!("{key}.message"));
        let (presence, presence_keep) = self.presence(&format!("{key}.presence"), &own.presence, &base.presence);
        let presence_row = self.ledger.row(&format!("{key}.presence"));
        let mut elements = self.elements(&format!("{key}.element"), &own.element);
        elements.extend(self.elements(base_name, &base.element));
        let side = Side {
            rules,
            iq: self.iq(&format!("{key}.iq"), &own.iq, &base.iq),
            all: all_presence(&own.presence, &base.presence),
            message,
            message_keep,
            presence,
            presence_keep,
            elements,
            releasable: self.releasable(key, &own, base),
            short_id: own.short_id.or(base.short_id),
            iq_row,
            answers_row,
            all_row,
            message_row,
            presence_row,
            empty_row: self.ledger.row(&format!("{key}.empty")),
        };
        self.ids(key, &side);
        if way == Direction::FromLink && side.short_id.is_some() {
            self.wrong("from_link.short_id", "is of no use: the far site chooses the ids of what it sends");
        }
        side
    }

    /// The labels that are taken away, if any are.
    //= xmpp/FOLD-007
    fn releasable(&mut self, key: &str, own: &DirectionConfig, base: &DirectionConfig) -> Vec<LabelTest> {
        let at = format!("{key}.releasable_labels");
        let mut labels = self.list(&at, &own.releasable_labels, |checker, key, label| Some(checker.label(key, label)));
        labels.extend(self.list(&at, &base.releasable_labels, |checker, key, label| Some(checker.label(key, label))));
        let strips = own.strip_labels.or(base.strip_labels).unwrap_or(false);
        if strips && labels.is_empty() {
            let why = "takes no label away: say which may go in releasable_labels, as there is no label policy yet";
            self.wrong(&format!("{key}.strip_labels"), why);
        }
        if strips { labels } else { Vec::new() }
    }

    fn name(&mut self, key: &str, name: Option<&String>) -> String {
        match name {
            Some(name) if name.is_empty() || name.len() > NAME_OCTETS_MAX => {
                self.wrong(&format!("{key}.name"), format!("must have 1 to {NAME_OCTETS_MAX} octets"));
                key.to_owned()
            }
            Some(name) => name.clone(),
            None => key.to_owned(),
        }
    }

    fn rules(&mut self, key: &str, rules: &[RuleConfig], way: Direction) -> Vec<Rule> {
        if rules.len() > RULES_MAX {
            self.wrong(key, format!("{} rules, at most {RULES_MAX} are taken", rules.len()));
            return Vec::new();
        }
        rules.iter().enumerate().map(|(index, rule)| self.rule(&format!("{key}.{index}"), rule, way)).collect()
    }

    fn rule(&mut self, key: &str, rule: &RuleConfig, way: Direction) -> Rule {
        let condition = self.condition(&format!("{key}.match"), &rule.condition);
        if rule.condition.direction.is_some_and(|written| written != Direction::Both && written != way)
            && !key.starts_with("rule")
        {
            self.wrong(&format!("{key}.match.direction"), "never holds in this list");
        }
        if rule.action.is_empty() {
            self.wrong(&format!("{key}.action"), "is missing");
        }
        let may_be_request = may_fit_requests(&rule.condition);
        let only_requests = fits_only_requests(&rule.condition);
        let actions = self.list(&format!("{key}.action"), &rule.action.0, |checker, key, action| {
            checker.request_safe(key, action, may_be_request, only_requests);
            checker.queue_is_there(key, action, way, rule.condition.direction);
            Some(checker.action(key, action))
        });
        let name = self.name(key, rule.name.as_ref());
        Rule { condition, actions, row: self.ledger.row(&name) }
    }

    /// A request must get an answer (RFC 6120 section 8.2.3).
    //= xmpp/RULE-004
    fn request_safe(&mut self, key: &str, action: &ActionConfig, may_be_request: bool, only_requests: bool) {
        match action {
            ActionConfig::Drop | ActionConfig::Coalesce(_) if may_be_request => self.wrong(
                key,
                "may fit requests (iq get or set), which need an answer: use reject or answer, or name other stanzas in match",
            ),
            ActionConfig::Answer(_) | ActionConfig::Cache(_) if !only_requests => {
                self.wrong(key, "is for requests: match needs stanza = \"iq\" and type = [\"get\", \"set\"] or one of them");
            }
            _ => {}
        }
    }

    /// What comes from the link goes to its local server at once: nothing waits there that could be told how.
    //= xmpp/RULE-008
    fn queue_is_there(&mut self, key: &str, action: &ActionConfig, way: Direction, written: Option<Direction>) {
        let name = match action {
            ActionConfig::Delay(_) => "delay",
            ActionConfig::HoldUntil(_) => "hold-until",
            ActionConfig::Coalesce(_) => "coalesce",
            ActionConfig::SetPrecedence(_) => "set-precedence",
            ActionConfig::SetTtl(_) => "set-ttl",
            ActionConfig::Route(_) => "route",
            ActionConfig::Pass
            | ActionConfig::Drop
            | ActionConfig::Reject(_)
            | ActionConfig::Answer(_)
            | ActionConfig::Cache(_)
            | ActionConfig::Log
            | ActionConfig::Count(_)
            | ActionConfig::Alarm => return,
        };
        if way == Direction::FromLink && written != Some(Direction::ToLink) {
            let why =
                "is for the queue towards a link: match needs direction = \"to-link\", or the rule stands in to_link";
            self.wrong(key, format!("{name} {why}"));
        }
    }

    fn action(&mut self, key: &str, action: &ActionConfig) -> Action {
        match action {
            ActionConfig::Pass => Action::Pass,
            ActionConfig::Drop => Action::Drop,
            ActionConfig::Reject(reject) => Action::Reject(*reject),
            ActionConfig::Answer(answer) => Action::Answer(*answer),
            ActionConfig::Cache(span) => Action::Cache(self.span(key, span.seconds)),
            ActionConfig::Coalesce(coalesce) => Action::Coalesce(coalesce.key, self.span(key, coalesce.hold_seconds)),
            ActionConfig::Delay(span) => Action::Delay(self.span(key, span.seconds)),
            ActionConfig::HoldUntil(hold) => Action::HoldUntil(hold.bits_per_second_min),
            ActionConfig::SetPrecedence(precedence) => Action::SetPrecedence(*precedence),
            ActionConfig::SetTtl(span) => Action::SetLife(self.span(key, span.seconds)),
            ActionConfig::Route(link) => {
                if link.is_empty() || link.len() > NAME_OCTETS_MAX {
                    self.wrong(key, "is no name of a link");
                }
                Action::Route(link.clone())
            }
            ActionConfig::Log => Action::Log,
            ActionConfig::Alarm => Action::Alarm,
            ActionConfig::Count(name) => Action::Count(self.name(key, Some(name))),
        }
    }

    fn condition(&mut self, key: &str, config: &MatchConfig) -> Condition {
        let at = |name: &str| format!("{key}.{name}");
        self.types(&at("type"), config);
        if config.precedence_min.zip(config.precedence_max).is_some_and(|(min, max)| min > max) {
            self.wrong(&at("precedence_max"), "is below precedence_min");
        }
        Condition {
            direction: config.direction,
            peer: self.globs(&at("peer"), &config.peer.0),
            link: self.globs(&at("link"), &config.link.0),
            stanza: config.stanza.0.clone(),
            types: config.types.0.clone(),
            from: self.addresses(&at("from"), &config.from.0),
            from_kind: config.from_kind.0.clone(),
            to: self.addresses(&at("to"), &config.to.0),
            to_kind: config.to_kind.0.clone(),
            child: self.names(&at("child"), &config.child.0),
            payload: self.globs(&at("payload_ns"), &config.payload_ns.0),
            only_children: self.names(&at("only_children"), &config.only_children.0),
            has_body: config.has_body,
            has_subject: config.has_subject,
            attributes: self.list(&at("attr"), &config.attr.0, Self::attribute),
            octets_over: config.size_octets_over,
            label: config.label.as_ref().map(|label| self.label(&at("label"), label)),
            precedence_min: config.precedence_min,
            precedence_max: config.precedence_max,
            link_state: config.link_state,
            queue_age_over: config.queue_age_seconds_over.map(|s| self.span(&at("queue_age_seconds_over"), s)),
            rate_under: config.link_rate_bits_per_second_under,
            windows: self.list(&at("time"), &config.time.0, |checker, key, text| {
                Window::parse(text).map_err(|why| checker.wrong(key, why)).ok()
            }),
            buckets: config.rate.map(|rate| self.rate(&at("rate"), rate)),
        }
    }

    fn types(&mut self, key: &str, config: &MatchConfig) {
        const MESSAGE: [&str; 6] = ["chat", "normal", "none", "groupchat", "headline", "error"];
        const PRESENCE: [&str; 8] =
            ["none", "unavailable", "probe", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "error"];
        const IQ: [&str; 4] = ["get", "set", "result", "error"];
        let fits = |kind: Kind, typ: &str| match kind {
            Kind::Message => MESSAGE.contains(&typ),
            Kind::Presence => PRESENCE.contains(&typ),
            Kind::Iq => IQ.contains(&typ),
        };
        let all = [Kind::Message, Kind::Presence, Kind::Iq];
        let kinds: &[Kind] = if config.stanza.is_empty() { &all } else { &config.stanza.0 };
        for (index, typ) in config.types.0.iter().enumerate() {
            if !kinds.iter().any(|kind| fits(*kind, typ)) {
                self.wrong(&format!("{key}.{index}"), format!("{typ:?} is no type of these stanzas"));
            }
        }
    }

    fn attribute(&mut self, key: &str, config: &AttributeConfig) -> Option<AttributeTest> {
        if config.name.is_empty() || (config.name.contains(':') && config.name != "xml:lang") {
            self.wrong(&format!("{key}.name"), "is no attribute without namespace, nor xml:lang");
        }
        let value = config.value.as_ref().map(|value| self.read(&format!("{key}.value"), Glob::new(value)));
        let child = config.child.as_ref().map(|child| self.read(&format!("{key}.child"), Name::new(child)));
        Some(AttributeTest { name: config.name.clone(), value: value.flatten(), child: child.flatten() })
    }

    pub(crate) fn label(&mut self, key: &str, config: &LabelConfig) -> LabelTest {
        if config.classification_min.zip(config.classification_max).is_some_and(|(min, max)| min > max) {
            self.wrong(&format!("{key}.classification_max"), "is below classification_min");
        }
        let mut glob = |name: &str, text: &Option<String>| {
            text.as_ref().and_then(|text| self.read(&format!("{key}.{name}"), Glob::new(text)))
        };
        LabelTest {
            present: config.present,
            policy: glob("policy", &config.policy),
            classification_min: config.classification_min,
            classification_max: config.classification_max,
            category: config.category.clone(),
            marking: glob("marking", &config.marking),
        }
    }

    fn rate(&mut self, key: &str, rate: RateConfig) -> Buckets {
        if rate.seconds == 0 || u64::from(rate.seconds) > SPAN_SECONDS_MAX {
            self.wrong(&format!("{key}.seconds"), "must be from 1 to a year");
        }
        Buckets::new(rate)
    }

    fn message(&mut self, key: &str, own: &MessageConfig, base: &MessageConfig) -> (Option<List>, Vec<Name>) {
        if own.mode.is_none() && (!own.elements.is_empty() || own.strict) {
            self.wrong(&format!("{key}.mode"), "is missing: keep-only, strip or none");
        }
        let mut keep = self.names(&format!("{key}.keep"), &own.keep);
        keep.extend(self.names(key, &base.keep));
        let chosen = if own.mode.is_some() { own } else { base };
        let names = self.names(&format!("{key}.elements"), &chosen.elements);
        let list = match chosen.mode {
            Some(FoldMode::KeepOnly) => Some(List { mode: ListMode::Keep { strict: chosen.strict }, names }),
            Some(FoldMode::Strip) => Some(List { mode: ListMode::Strip, names }),
            Some(FoldMode::Fold) => {
                self.wrong(&format!("{key}.mode"), "fold is for presence; messages have keep-only, strip and none");
                None
            }
            Some(FoldMode::None) | None => None,
        };
        (list, keep)
    }

    fn presence(&mut self, key: &str, own: &PresenceConfig, base: &PresenceConfig) -> (PresenceFold, Vec<Name>) {
        if own.mode.is_none() && (!own.elements.is_empty() || own.keep_show || own.map_xa) {
            self.wrong(&format!("{key}.mode"), "is missing: fold, keep-only, strip or none");
        }
        if own.mode == Some(FoldMode::Fold) && !own.elements.is_empty() {
            self.wrong(&format!("{key}.elements"), "fold takes no list; use keep-only");
        }
        let mut keep = self.names(&format!("{key}.keep"), &own.keep);
        keep.extend(self.names(key, &base.keep));
        let chosen = if own.mode.is_some() { own } else { base };
        let names = self.names(&format!("{key}.elements"), &chosen.elements);
        let options = FoldPresenceConfig {
            keep_show: chosen.keep_show,
            map_xa: chosen.map_xa,
            negative_priority: chosen.negative_priority,
        };
        let fold = match chosen.mode {
            Some(FoldMode::Fold) => PresenceFold::Plain(options),
            // Presence has nothing that a list must name to be understood.
            Some(FoldMode::KeepOnly) => {
                PresenceFold::List(List { mode: ListMode::Keep { strict: true }, names }, options)
            }
            Some(FoldMode::Strip) => PresenceFold::List(List { mode: ListMode::Strip, names }, options),
            Some(FoldMode::None) | None => PresenceFold::None,
        };
        (fold, keep)
    }

    fn iq(&mut self, key: &str, own: &IqConfig, base: &IqConfig) -> Policy {
        let layers = vec![self.layer(key, own), self.layer(key, base)];
        let pass = own.pass_seconds.or(base.pass_seconds);
        let cache = own.cache_seconds.or(base.cache_seconds).unwrap_or(CACHE_SECONDS_DEFAULT);
        Policy {
            layers,
            default: own.default.or(base.default).unwrap_or(IqDefault::Pass),
            pass_life: pass.map(|seconds| self.span(&format!("{key}.pass_seconds"), seconds)),
            all_answers: own.answers.or(base.answers).unwrap_or_default() == IqAnswers::All,
            cache_life: self.span(&format!("{key}.cache_seconds"), cache),
        }
    }

    fn layer(&mut self, key: &str, config: &IqConfig) -> Layer {
        Layer {
            pass: self.globs(&format!("{key}.pass"), &config.pass),
            answer: self.list(&format!("{key}.answer"), &config.answer, |checker, key, namespace| {
                let answer = Answer::for_namespace(namespace);
                if answer.is_none() {
                    checker.wrong(key, format!("the gateway has no answer to {namespace}"));
                }
                answer
            }),
            cache: self.globs(&format!("{key}.cache"), &config.cache),
            reject: self.globs(&format!("{key}.reject"), &config.reject),
        }
    }

    fn elements(&mut self, key: &str, rules: &[ElementRuleConfig]) -> Vec<ElementRule> {
        if rules.len() > RULES_MAX {
            self.wrong(key, format!("{} rules, at most {RULES_MAX} are taken", rules.len()));
            return Vec::new();
        }
        rules.iter().enumerate().map(|(index, rule)| self.element(&format!("{key}.{index}"), rule)).collect()
    }

    fn element(&mut self, key: &str, rule: &ElementRuleConfig) -> ElementRule {
        use super::config::Depth;
        let mut names = self.names(&format!("{key}.elements"), &rule.elements);
        let actions = self.list(&format!("{key}.action"), &rule.action.0, |checker, key, action| {
            if rule.depth == Depth::Any && !matches!(action, ElementActionConfig::Strip) {
                checker.wrong(key, "looks at direct children only; depth = \"any\" is for strip");
            }
            let needs = matches!(
                action,
                ElementActionConfig::Strip | ElementActionConfig::KeepOnly(_) | ElementActionConfig::Replace(_)
            );
            if needs && rule.elements.is_empty() {
                checker.wrong(key, "needs elements");
            }
            Some(checker.element_action(key, action))
        });
        if rule.action.is_empty() {
            self.wrong(&format!("{key}.action"), "is missing");
        }
        if names.is_empty() {
            names.push(Name::of_stanza("body"));
        }
        let condition = self.condition(&format!("{key}.match"), &rule.condition);
        let name = self.name(key, rule.name.as_ref());
        ElementRule { condition, names, depth: rule.depth, actions, row: self.ledger.row(&name) }
    }

    fn element_action(&mut self, key: &str, action: &ElementActionConfig) -> ElementAction {
        match action {
            ElementActionConfig::Strip => ElementAction::Strip,
            ElementActionConfig::KeepOnly(options) => ElementAction::KeepOnly { strict: options.strict },
            ElementActionConfig::FoldPresence(options) => ElementAction::FoldPresence(*options),
            ElementActionConfig::Truncate(truncate) => {
                if !(1..=TRUNCATE_CHARACTERS_MAX).contains(&truncate.characters_max) {
                    self.wrong(key, format!("characters_max must be from 1 to {TRUNCATE_CHARACTERS_MAX}"));
                }
                self.text(key, &truncate.mark, MARK_CHARACTERS_MAX);
                ElementAction::Truncate { characters_max: truncate.characters_max, mark: truncate.mark.clone() }
            }
            ElementActionConfig::Replace(replace) => {
                self.text(key, &replace.text, REPLACEMENT_CHARACTERS_MAX);
                ElementAction::Replace { text: replace.text.clone() }
            }
            ElementActionConfig::StripAttr(strip) => {
                if matches!(strip.name.as_str(), "" | "to" | "from" | "type") {
                    self.wrong(key, format!("{:?} cannot be taken away", strip.name));
                }
                ElementAction::StripAttribute(strip.name.clone())
            }
            ElementActionConfig::Normalise => ElementAction::Normalise,
        }
    }

    fn text(&mut self, key: &str, text: &str, characters_max: usize) {
        if text.chars().count() > characters_max {
            self.wrong(key, format!("the text has more than {characters_max} characters"));
        }
        if text.chars().any(|c| c.is_control() || "<>&'\"\u{fffe}\u{ffff}".contains(c)) {
            self.wrong(key, "the text holds control characters or markup");
        }
    }

    /// Ids of messages may go only where nothing can refer to them.
    fn ids(&mut self, key: &str, side: &Side) {
        let strips = side.elements.iter().any(|rule| {
            let messages = rule.condition.stanza.is_empty() || rule.condition.stanza.contains(&Kind::Message);
            messages
                && rule
                    .actions
                    .iter()
                    .any(|action| matches!(action, ElementAction::StripAttribute(name) if name == "id"))
        });
        let passes = |namespace: &&&str| side.message.as_ref().is_none_or(|list| list.passes(namespace));
        let refers: Vec<&str> = REFER_TO_IDS.iter().filter(passes).copied().collect();
        if strips && !refers.is_empty() {
            let reason = format!("ids of messages cannot go while these cross: {}", refers.join(", "));
            self.wrong(&format!("{key}.element"), reason);
        }
    }
}

fn all_presence(own: &PresenceConfig, base: &PresenceConfig) -> Option<AllPresence> {
    own.all.or(base.all).unwrap_or(false).then(|| AllPresence {
        subscriptions: own.allow_subscriptions.or(base.allow_subscriptions).unwrap_or(true),
        rooms: own.allow_rooms || base.allow_rooms,
    })
}

fn may_fit_requests(condition: &MatchConfig) -> bool {
    let request = |types: &Many<String>| types.is_empty() || types.0.iter().any(|typ| typ == "get" || typ == "set");
    (condition.stanza.is_empty() || condition.stanza.0.contains(&Kind::Iq)) && request(&condition.types)
}

fn fits_only_requests(condition: &MatchConfig) -> bool {
    condition.stanza.0 == [Kind::Iq]
        && !condition.types.is_empty()
        && condition.types.0.iter().all(|typ| typ == "get" || typ == "set")
}
