//! What may cross a chat link.

use std::cell::RefCell;

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::Duration;
use skywave_protocols::xmpp::limits::ReaderLimits;
use skywave_protocols::xmpp::local::{Complaint, Condition, bounce};
use skywave_protocols::xmpp::presence::{PresenceCache, PresenceConfig, PresenceMode};
use skywave_protocols::xmpp::rules::{Direction, Facts, Filter, FilterConfig, PROFILES, Verdict};
use skywave_protocols::xmpp::stanza::{Kind, Stanza};
use skywave_protocols::xmpp::{Item, StreamReader};

use super::BEGIN;

/// One stanza, any octets; the octet in front of it chooses profile, direction and mode of presence. Two if it was a
/// stanza and passed, one if it was a stanza.
pub fn rules(octets: &[u8]) -> usize {
    let Some((&choice, octets)) = octets.split_first() else { return 0 };
    let Ok(stanza) = Stanza::parse(octets) else { return 0 };
    if stanza.fits(ReaderLimits::LAN) {
        assert_eq!(Stanza::parse(&stanza.octets()).as_ref(), Ok(&stanza), "canonical octets must be read back");
    }
    let verdict = FILTERS.with_borrow_mut(|filters| {
        let count = filters.len();
        let filter = &mut filters[usize::from(choice) % count];
        judged(filter, choice, &stanza)
    });
    no_error_for_an_error(&stanza);
    presence(choice, &stanza);
    verdict
}

thread_local! {
    static FILTERS: RefCell<Vec<Filter>> = RefCell::new(filters());
}

fn filters() -> Vec<Filter> {
    let named = PROFILES.map(|name| FilterConfig { base: Some(name.to_owned()), ..FilterConfig::default() });
    let deep = "[[to_link.element]]\nelements = [\"{urn:*}*\", \"{}body\"]\ndepth = \"any\"\naction = \"strip\"\n\
        [[to_link.element]]\nelements = [\"{*}*\"]\naction = [{ truncate = { characters_max = 3 } }, \"normalise\", { strip-attr = { name = \"xml:lang\" } }]\n\
        [[to_link.rule]]\nmatch = { child = \"{urn:*}x\", rate = { count = 2, seconds = 9 } }\naction = [\"log\", \"reject\"]";
    let deep: Option<FilterConfig> = toml::from_str(deep).ok();
    let filters: Vec<Filter> = named.into_iter().chain(deep).filter_map(|config| Filter::new(&config).ok()).collect();
    assert_eq!(filters.len(), PROFILES.len() + 1, "the rules of this target are in order");
    filters
}

fn judged(filter: &mut Filter, choice: u8, stanza: &Stanza) -> usize {
    let facts = Facts {
        direction: if choice & 0x80 == 0 { Direction::ToLink } else { Direction::FromLink },
        peer: "field",
        link: "hf",
        link_up: choice & 0x40 == 0,
        bits_per_second: 75,
        precedence: Precedence::Routine,
        queue_age: Duration::ZERO,
        online: None,
        now: BEGIN,
    };
    let request = stanza.kind() == Kind::Iq && matches!(stanza.typ(), Some("get" | "set"));
    match filter.apply(&facts, stanza.clone()) {
        Verdict::Drop => assert!(!request, "a request needs an answer"),
        Verdict::Reply(reply) => {
            let answer = stanza.kind() == Kind::Iq && !request;
            assert!(!answer && stanza.typ() != Some("error"), "an answer got an answer");
            assert_eq!((reply.to(), reply.from(), reply.id()), (stanza.from(), stanza.to(), stanza.id()));
        }
        Verdict::Pass { stanza: folded, .. } => {
            assert!(folded.octets().len() <= stanza.octets().len(), "folding must not make it larger");
            assert_eq!((folded.to(), folded.from(), folded.kind()), (stanza.to(), stanza.from(), stanza.kind()));
            if let Verdict::Pass { stanza: twice, .. } = filter.apply(&facts, folded.clone()) {
                assert_eq!(twice, folded, "folding twice is folding once");
            }
            fits_or_is_refused(stanza, &folded);
            return 2;
        }
    }
    1
}

/// What does not fit after the rules is refused, so what fits must be taken by the far site's reader; and no rule makes of
/// what fitted something that does not.
fn fits_or_is_refused(before: &Stanza, after: &Stanza) {
    let fits =
        |stanza: &Stanza| stanza.fits(ReaderLimits::HF) && stanza.size_octets() <= ReaderLimits::HF.stanza_octets;
    assert!(fits(after) || !fits(before), "a rule made a stanza that is refused");
    if fits(after) {
        let mut reader = StreamReader::headless(ReaderLimits::HF);
        reader.read(&after.octets());
        let read = match reader.next() {
            Ok(Some(Item::Element(element))) => Stanza::from_element(element).ok(),
            _other => None,
        };
        assert_eq!(read.as_ref(), Some(after), "the far site takes no such stanza, and nobody is told");
    }
}

fn no_error_for_an_error(stanza: &Stanza) {
    if let Some(error) = bounce(stanza, &Complaint::new(Condition::ItemNotFound)) {
        assert!(stanza.typ() != Some("error"));
        assert_eq!(bounce(&error, &Complaint::new(Condition::ItemNotFound)), None);
    }
}

fn presence(choice: u8, stanza: &Stanza) {
    let modes = [PresenceMode::Cached, PresenceMode::Folded, PresenceMode::OnChangeOnly, PresenceMode::None];
    let to_link = modes[usize::from(choice >> 2) % modes.len()];
    let mut cache = PresenceCache::new(PresenceConfig { to_link, ..PresenceConfig::default() });
    cache.link(BEGIN, true);
    let mut said = Vec::new();
    for outbound in [true, false, true] {
        let presence = match outbound {
            true => cache.outbound(BEGIN, stanza.clone()),
            false => cache.inbound(BEGIN, stanza.clone()),
        };
        presence.cross.iter().for_each(|crosses| fits_or_is_refused(stanza, crosses));
        said.extend(presence.back);
        said.extend(presence.on);
    }
    let rows: Vec<_> = cache.changes().into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let count = rows.len();
    let mut again = PresenceCache::new(PresenceConfig::default());
    again.restore(rows);
    assert!(again.changes().len() <= count);
    let invented = said.iter().any(|stanza| matches!(stanza.typ(), Some("subscribe" | "subscribed" | "unsubscribed")));
    assert!(!invented, "a subscription was invented");
}
