//! Recipients → sites → hops: who is responsible for which address, and by which lane.
//!
//! Two recipients behind one multicast link are one hop; behind a link without a group each site is a hop of its own.
//! Domains are compared in lower case. A local MTA wins over a route; `postmaster` without a domain is local.

use std::collections::{BTreeMap, BTreeSet};

use skywave_protocols::message::address::Mailbox;
use skywave_protocols::message::domain::covers;
use skywave_protocols::message::mail::Envelope;
use skywave_transports::transport::SiteName;

use crate::node::config::{LinkConfig, Route, SiteConfig, TransportConfig};
use crate::queue::lanes::BATCH_LANE;
use crate::queue::record::{Hop, Lane, Part};

/// Which way an address goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// To a local MTA.
    Local(Lane),
    /// To a site by a link.
    Site(SiteName, Lane),
    /// Nobody takes it.
    Nowhere,
}

/// Envelope split into what each lane owes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Routed {
    /// The hops, most recipients' order kept.
    pub hops: Vec<Hop>,
    /// Recipients that nobody takes.
    pub nowhere: Vec<u32>,
}

/// The way of one address. Links in `down` are passed over while another reaches the site.
pub fn way(config: &SiteConfig, down: &BTreeSet<Lane>, to: &Mailbox) -> Way {
    let domain = to.domain_key();
    let takes = |patterns: &[String]| patterns.iter().any(|pattern| covers(pattern, &domain));
    if config.mail.batch_address.as_ref().is_some_and(|batch| same(batch, to)) {
        return Way::Local(BATCH_LANE.into());
    }
    if let Some(local) = config.local.iter().find(|local| takes(&local.domains)) {
        return Way::Local(local.name.clone());
    }
    let Some(route) = config.routes.iter().find(|route| takes(&route.domains)) else { return Way::Nowhere };
    let link = route.links.iter().find(|link| !down.contains(*link)).or_else(|| route.links.first());
    link.map_or(Way::Nowhere, |link| Way::Site(route.site.clone(), link.clone()))
}

/// Octets of the largest mail that can go to an address, by any of its links.
pub fn largest(config: &SiteConfig, to: &Mailbox) -> u64 {
    let domain = to.domain_key();
    let takes = |route: &&Route| route.domains.iter().any(|pattern| covers(pattern, &domain));
    let carries = |lane: &Lane| link(config, lane).map_or(u64::MAX, |link| link.mail_octets_max() as u64);
    config.routes.iter().find(takes).and_then(|route| route.links.iter().map(carries).max()).unwrap_or(u64::MAX)
}

/// Splits an envelope. Recipients whose way is back over `arrived_by` are left out: on a multicast link the other
/// sites have the same unit and are responsible themselves (RFC 8494 section 3, step 3).
pub fn route(config: &SiteConfig, down: &BTreeSet<Lane>, envelope: &Envelope, arrived_by: Option<&str>) -> Routed {
    let mut routed = Routed::default();
    let mut doors: BTreeMap<Lane, Vec<u32>> = BTreeMap::new();
    let mut sites: BTreeMap<(Lane, SiteName), Vec<u32>> = BTreeMap::new();
    for (index, recipient) in (0..).zip(&envelope.recipients) {
        match way(config, down, &recipient.to) {
            Way::Local(door) => doors.entry(door).or_default().push(index),
            Way::Site(_, link) if arrived_by == Some(&*link) => {}
            Way::Site(site, link) => sites.entry((link, site)).or_default().push(index),
            Way::Nowhere => routed.nowhere.push(index),
        }
    }
    let local = doors.into_iter().map(|(door, recipients)| Hop::new(door, vec![Part { site: None, recipients }]));
    routed.hops.extend(local);
    let mut shared: BTreeMap<Lane, Vec<Part>> = BTreeMap::new();
    for ((lane, site), recipients) in sites {
        let part = Part { site: Some(site), recipients };
        if link(config, &lane).is_some_and(has_group) {
            shared.entry(lane).or_default().push(part);
        } else {
            routed.hops.push(Hop::new(lane, vec![part]));
        }
    }
    routed.hops.extend(shared.into_iter().map(|(lane, parts)| Hop::new(lane, parts)));
    routed
}

/// Domains without regard to case, local parts to the octet.
fn same(one: &Mailbox, other: &Mailbox) -> bool {
    one.local_part() == other.local_part() && one.domain_key() == other.domain_key()
}

/// The configuration of a link.
pub fn link<'a>(config: &'a SiteConfig, name: &str) -> Option<&'a LinkConfig> {
    config.links.iter().find(|link| &*link.name == name)
}

/// Whether mail for a site can go by a link.
pub fn reaches(link: &LinkConfig, site: &SiteName) -> bool {
    link.carriage.takes_mail() && link.transport.sites().iter().any(|known| known.site == *site)
}

/// Whether one transmission on the link reaches several sites.
pub const fn has_group(link: &LinkConfig) -> bool {
    match &link.transport {
        TransportConfig::Acp142Radio { acp142, .. } | TransportConfig::Acp142Udp { acp142, .. } => {
            acp142.group.is_some()
        }
        TransportConfig::BatchRadio { group, .. } => group.is_some(),
        TransportConfig::XmppTcp { .. } | TransportConfig::XmppRcop { .. } => false,
    }
}
