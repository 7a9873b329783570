//! One direction of a filter, ready to be applied.

use super::super::stanza::{Kind, Stanza};
use super::action::{ElementRule, Rule};
use super::config::{FoldPresenceConfig, NegativePriority};
use super::fold::{Folding, List, is_room_presence};
use super::iq::Policy;
use super::label::LabelTest;
use super::matching::{Facts, Subject};
use super::name::{Glob, Name};
use super::report::{Ledger, Row};

/// What still crosses where all presence is taken away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AllPresence {
    pub(crate) subscriptions: bool,
    pub(crate) rooms: bool,
}

impl AllPresence {
    pub(crate) fn takes(self, stanza: &Stanza) -> bool {
        let subscription = matches!(stanza.typ(), Some("subscribe" | "subscribed" | "unsubscribe" | "unsubscribed"));
        let room = stanza.to().is_full() || is_room_presence(stanza);
        stanza.kind() == Kind::Presence && !(subscription && self.subscriptions) && !(room && self.rooms)
    }
}

/// How presence is folded.
#[derive(Debug)]
pub(crate) enum PresenceFold {
    Plain(FoldPresenceConfig),
    List(List, FoldPresenceConfig),
    None,
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) rules: Vec<Rule>,
    pub(crate) iq: Policy,
    pub(crate) all: Option<AllPresence>,
    pub(crate) message: Option<List>,
    pub(crate) message_keep: Vec<Name>,
    pub(crate) presence: PresenceFold,
    pub(crate) presence_keep: Vec<Name>,
    pub(crate) elements: Vec<ElementRule>,
    /// Labels that are taken away.
    pub(crate) releasable: Vec<LabelTest>,
    pub(crate) short_id: Option<bool>,
    pub(crate) iq_row: Row,
    pub(crate) answers_row: Row,
    pub(crate) all_row: Row,
    pub(crate) message_row: Row,
    pub(crate) presence_row: Row,
    pub(crate) empty_row: Row,
}

/// What folding made of a stanza.
pub(crate) enum Folded {
    /// It is as before.
    Same,
    /// It became this.
    Changed(Stanza),
    /// Nothing is left that would say anything.
    Nothing,
}

impl Side {
    /// All element rules, in order: lists, then rules one by one; then the empty-stanza test.
    pub(crate) fn fold(&mut self, ledger: &mut Ledger, facts: &Facts<'_>, stanza: &Stanza, rooms: &[Glob]) -> Folded {
        let release = self.releasable.iter().any(|label| label.holds(stanza));
        let keep = match stanza.kind() {
            Kind::Message => self.message_keep.as_slice(),
            Kind::Presence => self.presence_keep.as_slice(),
            Kind::Iq => &[],
        };
        let mut now = None;
        let mut says_nothing = false;
        let mut step = |row: Row, ledger: &mut Ledger, now: &mut Option<Stanza>, change: &dyn Fn(&mut Folding)| {
            let before = now.as_ref().unwrap_or(stanza);
            let mut folding = Folding::new(before, release, keep);
            change(&mut folding);
            says_nothing |= folding.says_nothing();
            if let Some(after) = folding.finish() {
                ledger.matched(row);
                ledger.saved(row, 0, before.size_octets().saturating_sub(after.size_octets()));
                *now = Some(after);
            }
        };
        match stanza.kind() {
            Kind::Message => {
                if let Some(list) = &self.message {
                    step(self.message_row, ledger, &mut now, &|folding| folding.list(list));
                }
            }
            Kind::Presence => step(self.presence_row, ledger, &mut now, &|folding| self.presence.apply(folding)),
            Kind::Iq => {}
        }
        for rule in &mut self.elements {
            let held = rule.condition.holds(facts, &Subject::new(now.as_ref().unwrap_or(stanza), rooms));
            if held {
                let act = |folding: &mut Folding| {
                    rule.actions.iter().for_each(|action| folding.act(action, &rule.names, rule.depth));
                };
                step(rule.row, ledger, &mut now, &act);
            }
        }
        match now {
            Some(left) if says_nothing => {
                ledger.matched(self.empty_row);
                ledger.saved(self.empty_row, 1, left.size_octets());
                Folded::Nothing
            }
            Some(left) => Folded::Changed(left),
            None => Folded::Same,
        }
    }

    /// Whether some element of this namespace stays in messages.
    pub(crate) fn passes_in_messages(&self, namespace: &str) -> bool {
        self.message_keep.iter().any(|name| name.touches(namespace))
            || self.message.as_ref().is_none_or(|list| list.passes(namespace))
    }
}

impl PresenceFold {
    fn apply(&self, folding: &mut Folding) {
        match self {
            Self::Plain(options) => folding.fold_presence(options),
            Self::List(list, options) => {
                folding.list(list);
                if options.map_xa {
                    folding.map_xa();
                }
                if options.negative_priority == NegativePriority::Unavailable {
                    folding.hide_negative(options.negative_priority);
                }
            }
            Self::None => {}
        }
    }
}
