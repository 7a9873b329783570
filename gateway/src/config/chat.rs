//! Chat from raw to checked: the door, the far sites, and their filters.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::xmpp::door::{ComponentConfig, DoorConfig, LocalServer, ServerAuth, ServerRoute};
use skywave_protocols::xmpp::precedence::PrecedenceTable;
use skywave_protocols::xmpp::rules::{Filter, FilterConfig, LabelGroups, builtin};
use skywave_protocols::xmpp::slow::SlowConfig;
use skywave_transports::io::Authority;

use super::mistake::{Found, Key};
use super::raw::Raw;
use super::raw_chat::{RawChat, RawComponent, RawPeer, RawServer};
use super::slow;
use super::values::{SYSTEM_AUTHORITY, domain_name, host_and_port, listen, overlap, positive};
use crate::chat::config::{AlternateLink, ChatConfig, EmconRule, PeerConfig, PeerQueue};
use crate::chat::limits::{ALTERNATES_MAX, LANE_STANZAS_MAX, PEERS_MAX, QUEUE_STANZAS_MAX};
use crate::node::config::{Carriage, LinkConfig, XmppProfile};

/// Checks everything about chat; `None` where there is none, or where something is wrong that was noted.
pub(super) fn chat(raw: &Raw, site: &str, links: &[LinkConfig], found: &mut Found<'_>) -> Option<ChatConfig> {
    filters(raw, found);
    let chat = raw.chat.as_ref()?;
    let key = Key::new("chat");
    let domain = chat.domain.clone().unwrap_or_else(|| site.to_owned());
    domain_name(&key.at("domain"), &domain, found);
    if chat.peer.is_empty() {
        found.wrong(&key.at("peer"), "there is none: chat could go nowhere");
    }
    if chat.local.is_empty() && chat.component.is_empty() {
        found.wrong(&key.at("local"), "neither a local server nor a component: nobody could chat");
    }
    if chat.peer.len() > PEERS_MAX {
        found.wrong(&key.at("peer"), format!("{} are more than {PEERS_MAX}", chat.peer.len()));
    }
    let peers: Vec<PeerConfig> =
        chat.peer.iter().filter_map(|(name, peer)| Check { raw, chat, site, links }.peer(name, peer, found)).collect();
    claims(chat, found);
    let door = door(raw, chat, found);
    let secret_files =
        chat.component.iter().filter_map(|(name, c)| Some((name.to_lowercase(), c.secret_file.clone()?)));
    let mut config = ChatConfig {
        domain: domain.to_lowercase(),
        listen: listen(&key.at("listen"), &chat.listen, found),
        listen_direct_tls: listen(&key.at("listen_direct_tls"), &chat.listen_direct_tls, found),
        authority: authority(raw, chat, found),
        door,
        secret_files: secret_files.collect(),
        dialback_secret_file: chat.dialback_secret_file.clone(),
        local_stanzas_max: places(chat, found),
        peers,
    };
    if config.fronts_itself() {
        config.door.fronted.push(config.domain.clone());
    }
    Some(config)
}

fn places(chat: &RawChat, found: &mut Found<'_>) -> usize {
    let places = chat.local_stanzas_max.unwrap_or(LANE_STANZAS_MAX);
    if places == 0 || places > LANE_STANZAS_MAX {
        let why = format!("cannot be {places}: 1 to {LANE_STANZAS_MAX}");
        found.wrong(&Key::new("chat").at("local_stanzas_max"), why);
    }
    places
}

fn authority(raw: &Raw, chat: &RawChat, found: &mut Found<'_>) -> Authority {
    match chat.authority.as_deref() {
        None | Some(SYSTEM_AUTHORITY) => Authority::System,
        Some(name) => {
            if !raw.authority.contains_key(name) {
                found.wrong(&Key::new("chat").at("authority"), format!("there is no [authority.{name}]"));
            }
            Authority::Named(name.to_owned())
        }
    }
}

/// Every filter is checked, be it used or not.
fn filters(raw: &Raw, found: &mut Found<'_>) {
    for (name, filter) in &raw.filter {
        let key = Key::new("filter").at(name);
        if builtin(name).is_some() {
            found.wrong(&key, "is the name of a built-in filter");
        }
        if let Err(mistakes) = Filter::new(filter) {
            for mistake in mistakes {
                found.wrong(&mistake.key.split('.').fold(key.clone(), |key, part| key.at(part)), mistake.reason);
            }
        }
    }
}

/// No domain belongs to two.
fn claims(chat: &RawChat, found: &mut Found<'_>) {
    let local = chat.local.iter().map(|(name, local)| (Key::new("chat").at("local").at(name), &local.domains));
    let peers = chat.peer.iter().map(|(name, peer)| (Key::new("chat").at("peer").at(name), &peer.domains));
    let mut claimed: Vec<(String, Key)> = Vec::new();
    for (key, domains) in local.chain(peers) {
        let key = key.at("domains");
        for domain in domains.iter().map(|domain| domain.to_lowercase()) {
            if domain != "*" {
                domain_name(&key, domain.trim_start_matches('.'), found);
            }
            let clash = claimed
                .iter()
                .find(|(other, by)| by != &key && other != "*" && domain != "*" && overlap(other, &domain));
            if let Some((other, by)) = clash {
                found.wrong(&key, format!("{domain:?} overlaps {other:?} of {by}"));
            }
            claimed.push((domain, key.clone()));
        }
    }
}

fn door(raw: &Raw, chat: &RawChat, found: &mut Found<'_>) -> DoorConfig {
    let key = Key::new("chat");
    if let Some(name) = chat.certificate.as_ref().filter(|name| !raw.certificate.contains_key(*name)) {
        found.wrong(&key.at("certificate"), format!("there is no [certificate.{name}]"));
    }
    if chat.tls_required == Some(true) && chat.certificate.is_none() && !chat.listen.is_empty() {
        found.wrong(&key.at("tls_required"), "needs a certificate");
    }
    if !chat.listen_direct_tls.is_empty() && chat.certificate.is_none() {
        found.wrong(&key.at("listen_direct_tls"), "needs a certificate");
    }
    let fronted = chat.peer.values().flat_map(|peer| peer.domains.iter().map(|domain| domain.to_lowercase())).collect();
    let locals = chat.local.iter().filter_map(|(name, local)| server(name, local, found)).collect();
    let components = chat.component.iter().filter_map(|(name, it)| component(chat, name, it, found)).collect();
    DoorConfig {
        locals,
        components,
        dialback_secret: chat.dialback_secret.clone().unwrap_or_default(),
        certificate: chat.certificate.clone(),
        tls_required: chat.tls_required.unwrap_or(chat.certificate.is_some()),
        fronted,
        ..DoorConfig::default()
    }
}

fn server(name: &str, raw: &RawServer, found: &mut Found<'_>) -> Option<LocalServer> {
    let key = Key::new("chat").at("local").at(name);
    if raw.domains.is_empty() {
        found.wrong(&key.at("domains"), "is missing: nobody could be reached at it");
    }
    if let Some(target) = &raw.target {
        host_and_port(&key.at("target"), target, found);
    }
    let authentication = match raw.authentication.as_str() {
        "dialback" => Some(ServerAuth::Dialback),
        "external" => Some(ServerAuth::External),
        "both" => Some(ServerAuth::Both),
        other => {
            found.wrong(&key.at("authentication"), format!("{other:?} is none: dialback, external, both"));
            None
        }
    };
    let route = match &raw.target {
        Some(target) => ServerRoute::Static { target: target.clone(), direct_tls: raw.direct_tls },
        None => ServerRoute::Srv,
    };
    Some(LocalServer {
        domains: raw.domains.iter().map(|domain| domain.to_lowercase()).collect(),
        route,
        auth: authentication?,
        bidi: raw.bidi,
        authzid: raw.authzid,
        sm: raw.stream_management,
        certificate_required: raw.certificate_required,
    })
}

fn component(chat: &RawChat, name: &str, raw: &RawComponent, found: &mut Found<'_>) -> Option<ComponentConfig> {
    let key = Key::new("chat").at("component").at(name);
    let fronted = |peer: &RawPeer| peer.domains.iter().any(|domain| domain.eq_ignore_ascii_case(name));
    let own = chat.domain.as_ref().is_some_and(|domain| domain.eq_ignore_ascii_case(name));
    if !own && !chat.peer.values().any(fronted) {
        found.wrong(&key, "is no domain of any far site, nor the gateway's own");
    }
    let target = found.required(&key.at("target"), raw.target.as_ref());
    if let Some(target) = &target {
        host_and_port(&key.at("target"), target, found);
    }
    if raw.secret.is_some() == raw.secret_file.is_some() {
        found.wrong(&key.at("secret"), "either secret or secret_file is needed");
    }
    if raw.domains.is_empty() {
        found.wrong(&key.at("domains"), "is missing: nobody could be reached through it");
    }
    Some(ComponentConfig {
        name: name.to_lowercase(),
        target: target?,
        secret: raw.secret.clone().unwrap_or_default(),
        locals: raw.domains.iter().map(|domain| domain.to_lowercase()).collect(),
    })
}

struct Check<'a> {
    raw: &'a Raw,
    chat: &'a RawChat,
    site: &'a str,
    links: &'a [LinkConfig],
}

impl Check<'_> {
    fn peer(&self, name: &str, raw: &RawPeer, found: &mut Found<'_>) -> Option<PeerConfig> {
        let key = Key::new("chat").at("peer").at(name);
        let site = found.required(&key.at("site"), raw.site.as_ref());
        if site.as_deref() == Some(self.site) {
            found.wrong(&key.at("site"), "is this site itself: chat would go round in a circle");
        }
        if raw.domains.is_empty() {
            found.wrong(&key.at("domains"), "is missing: it would never get chat");
        }
        let link = found.required(&key.at("link"), raw.link.as_ref());
        let stream = link.as_ref().and_then(|link| self.link(&key.at("link"), link, site.as_deref(), found));
        let units = raw.units_link.as_ref();
        let units_link = units.and_then(|link| self.link(&key.at("units_link"), link, site.as_deref(), found));
        if raw.emcon == EmconRule::Units && raw.units_link.is_none() {
            found.wrong(&key.at("emcon"), "units need a units_link");
        }
        let alternates = self.alternates(&key, raw, site.as_deref(), found);
        let filter = self.filter(&key, &raw.filter, found);
        if let Some(filter) = &filter {
            routes(&key, name, raw, filter, found);
        }
        let streams: Vec<&LinkConfig> = stream.into_iter().chain(alternates.iter().copied()).collect();
        label_groups(&key, raw, &streams, found);
        let short_ids = filter.as_ref().and_then(|filter| short_ids(&key, raw, filter, &streams, found));
        let presence_precedence = Precedence::parse(&raw.presence_precedence);
        if presence_precedence.is_none() {
            found.wrong(&key.at("presence_precedence"), format!("{:?} is no precedence", raw.presence_precedence));
        }
        if let Err(mistakes) = PrecedenceTable::new(&raw.precedence) {
            for (at, reason) in mistakes {
                found.wrong(&at.split('.').fold(key.at("precedence"), |key, part| key.at(part)), reason);
            }
        }
        for (at, reason) in raw.presence.mistakes() {
            found.wrong(&key.at("presence").at(at), reason);
        }
        limits(&key, raw, found);
        let session = stream.map(|link| self.session(raw, link, short_ids));
        let units = units_link.map(|link| (link.name.clone(), slow::session(self.chat, raw, link)));
        Some(PeerConfig {
            name: name.into(),
            site: site?.into(),
            domains: raw.domains.iter().map(|domain| domain.to_lowercase()).collect(),
            local_domains: match raw.local_domains.as_slice() {
                [] => vec!["*".to_owned()],
                domains => domains.iter().map(|domain| domain.to_lowercase()).collect(),
            },
            link: link?.into(),
            session: session?,
            units,
            alternates: alternates
                .iter()
                .map(|link| AlternateLink {
                    link: link.name.clone(),
                    session: self.session(raw, link, short_ids),
                    silent: silent(link, &raw.site),
                })
                .collect(),
            filter: filter?,
            label_groups: raw.label_groups.clone(),
            presence: slow::presence(raw, stream),
            precedence: raw.precedence.clone(),
            presence_precedence: presence_precedence?,
            queue: PeerQueue { stanzas_max: raw.queue_stanzas_max, octets_max: raw.queue_octets_max },
            lives: slow::lives(raw, stream),
            mixed_scripts: raw.mixed_scripts,
            errors: raw.errors,
            emcon: raw.emcon,
            silent: raw.silent || stream.is_some_and(|link| silent(link, &raw.site)),
            stanza_octets_max: streams.iter().filter_map(|link| Some(link.xmpp.as_ref()?.stanza_octets_max)).min()?,
        })
    }

    /// Further links for the stream of a far site.
    fn alternates(&self, key: &Key, raw: &RawPeer, site: Option<&str>, found: &mut Found<'_>) -> Vec<&LinkConfig> {
        let key = key.at("alternate_links");
        if raw.alternate_links.len() > ALTERNATES_MAX {
            found.wrong(&key, format!("{} are more than {ALTERNATES_MAX}", raw.alternate_links.len()));
        }
        let mut before: Vec<&String> = raw.link.iter().chain(&raw.units_link).collect();
        let mut links = Vec::new();
        for name in &raw.alternate_links {
            if before.contains(&name) {
                found.wrong(&key, format!("{name} is named twice"));
            }
            before.push(name);
            let link = self.link(&key, name, site, found);
            if link.and_then(|link| link.xmpp.as_ref()).is_some_and(|xmpp| xmpp.profile == XmppProfile::Units) {
                found.wrong(&key, format!("{name} carries single units, no stream"));
            }
            links.extend(link);
        }
        links
    }

    /// The session of a stream; the filter may say whether its ids are short.
    fn session(&self, raw: &RawPeer, link: &LinkConfig, short_ids: Option<bool>) -> SlowConfig {
        let usual = slow::session(self.chat, raw, link);
        SlowConfig { short_ids: short_ids.unwrap_or(usual.short_ids), ..usual }
    }

    /// The link, if it carries chat and reaches the site.
    fn link(&self, key: &Key, name: &str, site: Option<&str>, found: &mut Found<'_>) -> Option<&LinkConfig> {
        let Some(raw) = self.raw.link.get(name) else {
            found.wrong(key, format!("there is no [link.{name}]"));
            return None;
        };
        if let Some(site) = site.filter(|site| !raw.site.contains_key(*site)) {
            found.wrong(key, format!("{name} does not reach {site}"));
        }
        let link = self.links.iter().find(|link| &*link.name == name)?;
        if link.carriage != Carriage::Xmpp {
            found.wrong(key, format!("{name} does not carry chat: its carriage is not xmpp"));
        }
        Some(link)
    }

    fn filter(&self, key: &Key, name: &str, found: &mut Found<'_>) -> Option<FilterConfig> {
        let filter = self.raw.filter.get(name).cloned().or_else(|| builtin(name));
        if filter.is_none() {
            found.wrong(&key.at("filter"), format!("there is no [filter.{name}], nor is it built in"));
        }
        filter
    }
}

/// A rule sends nothing where the far site has no link.
fn routes(key: &Key, name: &str, raw: &RawPeer, filter: &FilterConfig, found: &mut Found<'_>) {
    let own: Vec<&String> = raw.link.iter().chain(&raw.units_link).chain(&raw.alternate_links).collect();
    for link in filter.routes(name).into_iter().filter(|link| !own.iter().any(|known| known == link)) {
        found.wrong(&key.at("filter"), format!("{} has a rule that routes by {link:?}, no link of {name}", raw.filter));
    }
}

/// Labels that share no compression need contexts, which only streams of `skywave` have.
fn label_groups(key: &Key, raw: &RawPeer, streams: &[&LinkConfig], found: &mut Found<'_>) {
    let key = key.at("label_groups");
    for mistake in LabelGroups::new(&raw.label_groups).err().unwrap_or_default() {
        let at = mistake.key.split('.').filter(|part| !part.is_empty()).fold(key.clone(), |key, part| key.at(part));
        found.wrong(&at, mistake.reason);
    }
    for (link, xmpp) in streams.iter().filter_map(|link| Some((link, link.xmpp.as_ref()?))) {
        if !raw.label_groups.is_empty() && xmpp.compression && xmpp.profile != XmppProfile::Skywave {
            let (link, profile) = (&link.name, xmpp.profile.name());
            let why = format!("{link} has one compressed stream for all ({profile}): skywave, or compression = false");
            found.wrong(&key, why);
        }
    }
}

/// What the filter says of ids, which only streams of `skywave` can make short.
fn short_ids(
    key: &Key,
    raw: &RawPeer,
    filter: &FilterConfig,
    streams: &[&LinkConfig],
    found: &mut Found<'_>,
) -> Option<bool> {
    let short_ids = Filter::new(filter).ok()?.short_id();
    let cannot = |link: &&&LinkConfig| link.xmpp.as_ref().is_some_and(|xmpp| xmpp.profile != XmppProfile::Skywave);
    if let Some(link) = streams.iter().find(cannot).filter(|_| short_ids == Some(true)) {
        let why =
            format!("{} wants short ids, which {} cannot have: its profile is not skywave", raw.filter, link.name);
        found.wrong(&key.at("filter"), why);
    }
    short_ids
}

/// Whether a link says of a site that it keeps silence from the start.
fn silent(link: &LinkConfig, site: &Option<String>) -> bool {
    let of = |known: &&crate::node::config::LinkSite| site.as_deref() == Some(&*known.site);
    link.transport.sites().iter().find(of).is_some_and(|known| known.silent)
}

fn limits(key: &Key, raw: &RawPeer, found: &mut Found<'_>) {
    positive(&key.at("queue_octets_max"), raw.queue_octets_max as u64, found);
    let stanzas = raw.queue_stanzas_max;
    if stanzas == 0 || stanzas > QUEUE_STANZAS_MAX {
        found.wrong(&key.at("queue_stanzas_max"), format!("cannot be {stanzas}: 1 to {QUEUE_STANZAS_MAX}"));
    }
}
