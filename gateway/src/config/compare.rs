//! The two ends of a link side by side: what one says of the other must be what the other says of itself.

use std::net::IpAddr;

use skywave_protocols::message::domain::covers;

use super::mistake::{Key, Mistake};
use super::xmpp_links::differences as chat_differences;
use super::{Loaded, raw::RawLink};
use crate::node::build;
use crate::node::config::{Acp142LinkConfig, Carriage, LinkConfig, LinkSite, RadioConfig, Route, TransportConfig};

/// Compares two sites in both directions; empty when they fit.
pub fn compare(a: &Loaded, b: &Loaded) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    if a.site.site == b.site.site {
        mistakes.push(b.places.mistake(&Key::new("site"), format!("{} is the other site's name too", a.site.site)));
        return mistakes;
    }
    one_way(a, b, &mut mistakes);
    one_way(b, a, &mut mistakes);
    let pairs = pairs(a, b);
    for (ours, theirs) in &pairs {
        Ends { a, b, ours, theirs }.compare(&mut mistakes);
    }
    super::compare_chat::one_way(a, b, &pairs, &mut mistakes);
    let turned: Vec<_> = pairs.iter().map(|&(ours, theirs)| (theirs, ours)).collect();
    super::compare_chat::one_way(b, a, &turned, &mut mistakes);
    mistakes
}

/// Routes of `from` that lead to `to`, and links that have no other end.
fn one_way(from: &Loaded, to: &Loaded, mistakes: &mut Vec<Mistake>) {
    let leads = |route: &Route| route.site == to.site.site;
    for (name, route) in from.raw.route.iter().zip(routes_by_name(from)).map(|((name, _), route)| (name, route)) {
        let Some(route) = route.filter(|route| leads(route)) else { continue };
        let key = Key::new("route").at(name).at("domains");
        for domain in &route.domains {
            let example = domain.strip_prefix('.').map_or_else(|| domain.clone(), |rest| format!("x.{rest}"));
            match way(to, &example) {
                Way::Local => {}
                Way::To(site) if site == &*from.site.site => {
                    let reason = format!("{domain:?} comes back: {} routes it here", to.site.site);
                    mistakes.push(from.places.mistake(&key, reason));
                }
                Way::To(_) => {}
                Way::Nowhere => {
                    let reason = format!("{} has no way for {domain:?}", to.site.site);
                    mistakes.push(from.places.mistake(&key, reason));
                }
            }
        }
    }
    let counterpart = to.site.links.iter().any(|link| site_of(link, &from.site.site).is_some());
    for link in from.site.links.iter().filter(|link| site_of(link, &to.site.site).is_some()) {
        if !counterpart {
            let reason = format!("no link of {} reaches {}", to.site.site, from.site.site);
            mistakes.push(from.places.mistake(&Key::new("link").at(&link.name), reason));
        }
    }
}

/// The checked routes in the order of the raw ones.
fn routes_by_name(loaded: &Loaded) -> impl Iterator<Item = Option<&Route>> {
    loaded.raw.route.values().map(|raw| {
        loaded.site.routes.iter().find(|route| {
            route.domains.len() == raw.domains.len()
                && route.domains.iter().zip(&raw.domains).all(|(a, b)| *a == b.to_lowercase())
        })
    })
}

enum Way<'a> {
    Local,
    To(&'a str),
    Nowhere,
}

fn way<'a>(site: &'a Loaded, domain: &str) -> Way<'a> {
    let takes = |domains: &[String]| domains.iter().any(|pattern| covers(pattern, domain));
    if site.site.local.iter().any(|local| takes(&local.domains)) {
        return Way::Local;
    }
    match site.site.routes.iter().find(|route| takes(&route.domains)) {
        Some(route) => Way::To(&route.site),
        None => Way::Nowhere,
    }
}

/// Links of the two that reach each other: those of one name first, then those of one kind.
fn pairs<'a>(a: &'a Loaded, b: &'a Loaded) -> Vec<(&'a LinkConfig, &'a LinkConfig)> {
    let towards = |from: &'a Loaded, to: &Loaded| -> Vec<&'a LinkConfig> {
        from.site.links.iter().filter(|link| site_of(link, &to.site.site).is_some()).collect()
    };
    let mut theirs = towards(b, a);
    let mut pairs = Vec::new();
    for ours in towards(a, b) {
        let same = theirs
            .iter()
            .position(|link| link.name == ours.name)
            .or_else(|| theirs.iter().position(|link| kind(link) == kind(ours)));
        if let Some(index) = same {
            pairs.push((ours, theirs.remove(index)));
        }
    }
    pairs
}

const fn kind(link: &LinkConfig) -> &'static str {
    match &link.transport {
        TransportConfig::Acp142Radio { .. } => "acp142_radio",
        TransportConfig::Acp142Udp { .. } => "acp142_udp",
        TransportConfig::BatchRadio { .. } => "batch_radio",
        TransportConfig::XmppTcp { .. } => "xmpp_tcp",
        TransportConfig::XmppRcop { .. } => "xmpp_rcop",
    }
}

const fn carriage(link: &LinkConfig) -> &'static str {
    match link.carriage {
        Carriage::Mule => "mule",
        Carriage::Batch => "batch",
        Carriage::Xmpp => "xmpp",
    }
}

const fn acp142(link: &LinkConfig) -> Option<&Acp142LinkConfig> {
    match &link.transport {
        TransportConfig::Acp142Radio { acp142, .. } | TransportConfig::Acp142Udp { acp142, .. } => Some(acp142),
        TransportConfig::BatchRadio { .. } | TransportConfig::XmppTcp { .. } | TransportConfig::XmppRcop { .. } => None,
    }
}

fn site_of<'a>(link: &'a LinkConfig, site: &str) -> Option<&'a LinkSite> {
    link.transport.sites().iter().find(|known| &*known.site == site)
}

/// The radio that a link is on.
fn radio<'a>(site: &'a Loaded, link: &LinkConfig) -> Option<&'a RadioConfig> {
    let name = link.transport.radio()?;
    site.site.radios.iter().find(|known| known.name == *name)
}

/// The address that a site has on a link by its own words.
fn own_address(site: &Loaded, link: &LinkConfig) -> Option<String> {
    match &link.transport {
        TransportConfig::Acp142Udp { bind, .. } => {
            Some(*bind).filter(|bind: &IpAddr| !bind.is_unspecified()).map(|bind| bind.to_string())
        }
        // Where it listens need not be where the peer finds it.
        TransportConfig::XmppTcp { .. } => None,
        TransportConfig::Acp142Radio { .. } | TransportConfig::BatchRadio { .. } | TransportConfig::XmppRcop { .. } => {
            radio(site, link).map(|radio| radio.address.clone())
        }
    }
}

fn rate(site: &Loaded, link: &LinkConfig) -> Option<u32> {
    match &link.transport {
        TransportConfig::Acp142Udp { bits_per_second, .. } => Some(*bits_per_second),
        TransportConfig::XmppTcp { tcp, .. } => Some(tcp.bits_per_second),
        TransportConfig::Acp142Radio { .. } | TransportConfig::BatchRadio { .. } | TransportConfig::XmppRcop { .. } => {
            radio(site, link).map(|radio| radio.bits_per_second)
        }
    }
}

struct Ends<'a> {
    a: &'a Loaded,
    b: &'a Loaded,
    ours: &'a LinkConfig,
    theirs: &'a LinkConfig,
}

impl Ends<'_> {
    fn compare(&self, mistakes: &mut Vec<Mistake>) {
        let key = Key::new("link").at(&self.ours.name);
        let differ = |what: &str, ours: &str, theirs: &str| {
            let reason = format!("{ours} here, {theirs} at {} (link {})", self.b.site.site, self.theirs.name);
            self.a.places.mistake(&what.split('.').fold(key.clone(), |key, part| key.at(part)), reason)
        };
        if carriage(self.ours) != carriage(self.theirs) {
            mistakes.push(differ("carriage", carriage(self.ours), carriage(self.theirs)));
        }
        if kind(self.ours) != kind(self.theirs) {
            mistakes.push(differ("transport", kind(self.ours), kind(self.theirs)));
            return;
        }
        let (ours, theirs) = (rate(self.a, self.ours), rate(self.b, self.theirs));
        if ours != theirs {
            let words = |rate: Option<u32>| rate.map_or_else(|| "unknown".to_owned(), |rate| rate.to_string());
            mistakes.push(differ("bits_per_second", &words(ours), &words(theirs)));
        }
        for (what, ours, theirs) in chat_differences(self.ours, self.theirs) {
            mistakes.push(differ(what, &ours, &theirs));
        }
        let says_delay = |link: &LinkConfig| acp142(link).is_some_and(|acp142| acp142.options.says_ack_delay());
        let said = says_delay(self.ours) || says_delay(self.theirs);
        let rows = build::agreed(self.ours, radio(self.a, self.ours)).into_iter();
        for ((what, ours), (_, theirs)) in rows.zip(build::agreed(self.theirs, radio(self.b, self.theirs))) {
            // By the rate they differ by turnarounds, which does no harm.
            if ours != theirs && (said || !what.starts_with("acp142.ack_delay")) {
                mistakes.push(differ(what, &ours, &theirs));
            }
        }
        let raw = |site: &Loaded, link: &LinkConfig| site.raw.link.get(&*link.name).cloned().unwrap_or_default();
        let (ours, theirs): (RawLink, RawLink) = (raw(self.a, self.ours), raw(self.b, self.theirs));
        if let (Some(ours), Some(theirs)) = (&ours.group, &theirs.group)
            && ours != theirs
        {
            mistakes.push(differ("group", ours, theirs));
        }
        if kind(self.ours) == "acp142_udp" && ours.ports != theirs.ports {
            mistakes.push(differ("ports", &format!("{:?}", ours.ports), &format!("{:?}", theirs.ports)));
        }
        let global = |link: &RawLink| {
            link.dynamic_groups.as_ref().map_or_else(|| "none".to_owned(), |groups| groups.global_group.to_string())
        };
        if global(&ours) != global(&theirs) {
            // Who is not in the global group hears of no other.
            mistakes.push(differ("dynamic_groups.global_group", &global(&ours), &global(&theirs)));
        }
        known_as(self.a, self.ours, self.b, self.theirs, mistakes);
        known_as(self.b, self.theirs, self.a, self.ours, mistakes);
        if self.ours.carriage.takes_mail() {
            takes_all(self.a, self.b, self.theirs, mistakes);
            takes_all(self.b, self.a, self.ours, mistakes);
        }
    }
}

/// Whether `who` knows `whom` by the address and id that `whom` has by its own words.
fn known_as(who: &Loaded, link: &LinkConfig, whom: &Loaded, other: &LinkConfig, mistakes: &mut Vec<Mistake>) {
    let Some(known) = site_of(link, &whom.site.site) else { return };
    let key = Key::new("link").at(&link.name).at("site").at(&whom.site.site);
    if let Some(own) = own_address(whom, other)
        && own != known.address
    {
        let reason = format!("{} here, {} has {own}", known.address, whom.site.site);
        mistakes.push(who.places.mistake(&key.at("address"), reason));
    }
    if let Some(own) = acp142(other).map(|acp142| acp142.id)
        && own != known.id
    {
        let reason = format!("{} here, {} has {own}", known.id, whom.site.site);
        mistakes.push(who.places.mistake(&key.at("id"), reason));
    }
}

/// What one site takes from its users the other must be able to inflate.
fn takes_all(from: &Loaded, to: &Loaded, link: &LinkConfig, mistakes: &mut Vec<Mistake>) {
    let largest = from.site.mail.size_octets_max;
    if (link.inflated_octets_max as u64) < largest {
        let reason = format!("{} takes mail of {largest} octets: more than this", from.site.site);
        mistakes.push(to.places.mistake(&Key::new("link").at(&link.name).at("inflated_octets_max"), reason));
    }
}
