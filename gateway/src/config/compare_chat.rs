//! Compares the chat of two sites: what one says of the other must be what the other says of itself. Nothing is
//! negotiated on a link, so what does not fit shows only in chat that never arrives.

use super::Loaded;
use super::mistake::{Key, Mistake};
use crate::chat::config::{ChatConfig, PeerConfig};
use crate::node::config::LinkConfig;

/// The far sites of `from` that are `to`, against what `to` says.
pub(super) fn one_way(from: &Loaded, to: &Loaded, pairs: &[(&LinkConfig, &LinkConfig)], mistakes: &mut Vec<Mistake>) {
    let Some(ours) = &from.site.chat else { return };
    for peer in ours.peers.iter().filter(|peer| peer.site == to.site.site) {
        let key = Key::new("chat").at("peer").at(&peer.name);
        let mut wrong = |part: &str, reason: String| mistakes.push(from.places.mistake(&key.at(part), reason));
        let theirs = to.site.chat.as_ref();
        let back = theirs.and_then(|chat| Some((chat, chat.peers.iter().find(|it| it.site == from.site.site)?)));
        let Some((theirs, back)) = back else {
            wrong("site", format!("{} has no chat peer with site {}", to.site.site, from.site.site));
            continue;
        };
        domains(peer, theirs, &to.site.site, &mut wrong);
        known(ours, peer, back, &to.site.site, &mut wrong);
        let other_end = pairs.iter().find(|(link, _)| link.name == peer.link).map(|(_, other)| &other.name);
        if other_end.is_some_and(|other| *other != back.link) {
            let reason = format!("{} here, {} at {}: the two do not meet", peer.link, back.link, to.site.site);
            wrong("link", reason);
        }
        let meets = |name: &str| pairs.iter().find(|(link, _)| &*link.name == name).map(|(_, other)| &*other.name);
        for it in &peer.alternates {
            let theirs = std::iter::once(&*back.link).chain(back.alternates.iter().map(|other| &*other.link));
            if meets(&it.link).is_some_and(|other| !theirs.clone().any(|known| known == other)) {
                let reason = format!("{} is no link of {} at {}", it.link, back.name, to.site.site);
                wrong("alternate_links", reason);
            }
        }
        let (here, there) = (names(from, &peer.name), names(to, &back.name));
        if here != there {
            wrong("names", format!("{here:?} here, {there:?} at {}: the dictionaries would differ", to.site.site));
        }
    }
}

/// What we send there must have a server there.
fn domains(peer: &PeerConfig, theirs: &ChatConfig, site: &str, wrong: &mut impl FnMut(&str, String)) {
    for domain in peer.domains.iter().filter(|domain| !domain.starts_with('.') && *domain != "*") {
        if !theirs.is_local(domain) {
            wrong("domains", format!("{domain:?} is no local domain of {site}"));
        }
    }
}

/// What our users are called must be known there as ours, or nobody could answer.
fn known(ours: &ChatConfig, peer: &PeerConfig, back: &PeerConfig, site: &str, wrong: &mut impl FnMut(&str, String)) {
    let servers = ours.door.locals.iter().flat_map(|server| &server.domains);
    let components = ours.door.components.iter().flat_map(|component| &component.locals);
    let mut missing: Vec<&String> = servers
        .chain(components)
        .filter(|domain| !domain.starts_with('.') && *domain != "*")
        .filter(|domain| peer.serves(domain) && !back.has_domain(domain))
        .collect();
    missing.sort();
    missing.dedup();
    for domain in missing {
        wrong("local_domains", format!("{site} does not know {domain:?} as a domain of this site"));
    }
}

/// What both ends put into the dictionary besides their domains; its order does not matter.
fn names(loaded: &Loaded, peer: &str) -> Vec<String> {
    let raw = loaded.raw.chat.as_ref().and_then(|chat| chat.peer.get(peer));
    let mut names: Vec<String> = raw.map_or_else(Vec::new, |peer| peer.names.clone());
    names.sort();
    names
}
