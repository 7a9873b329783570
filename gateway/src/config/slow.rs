//! What the session of a far site does, from its link and the names that both ends know.

use skywave_protocols::message::domain;
use skywave_protocols::xmpp::fate::Lives;
use skywave_protocols::xmpp::presence::{PresenceConfig, PresenceSync};
use skywave_protocols::xmpp::slow::{Management, Profile, SlowConfig};

use super::raw_chat::{RawChat, RawPeer};
use crate::node::config::{LinkConfig, StreamManagement, TransportConfig, XmppLinkConfig, XmppProfile};

/// The session on a link.
pub(super) fn session(chat: &RawChat, peer: &RawPeer, link: &LinkConfig) -> SlowConfig {
    match &link.xmpp {
        Some(xmpp) => of_link(xmpp, names(chat, peer)),
        // Said as a mistake of the link's carriage.
        None => SlowConfig::new(Profile::Skywave),
    }
}

/// The session on a link that is written like this, with these names in its dictionary.
pub fn of_link(link: &XmppLinkConfig, names: Vec<String>) -> SlowConfig {
    let profile = match link.profile {
        XmppProfile::Skywave => Profile::Skywave,
        XmppProfile::Standard => Profile::Standard,
        XmppProfile::MLinkR17 => Profile::MLinkR17,
        XmppProfile::Units => Profile::Units,
    };
    let usual = SlowConfig::new(profile);
    SlowConfig {
        names,
        compress: link.compression,
        dictionary: link.dictionary.is_some(),
        management: match link.stream_management {
            StreamManagement::Off => Management::Off,
            StreamManagement::Implicit => Management::Implicit,
            StreamManagement::Explicit => Management::Explicit,
        },
        linger: link.linger,
        one_stanza_per_unit: link.one_stanza_per_unit.unwrap_or(usual.one_stanza_per_unit),
        block_octets_max: link.block_octets_max,
        stanza_octets_max: link.stanza_octets_max,
        ..usual
    }
}

/// The presence cache of a far site: one that is no Skywave does not send by itself what was lost, so it is asked.
pub(super) fn presence(peer: &RawPeer, link: Option<&LinkConfig>) -> PresenceConfig {
    let profile = link.and_then(|link| link.xmpp.as_ref()).map(|xmpp| xmpp.profile);
    let usual = match profile {
        Some(XmppProfile::Standard | XmppProfile::MLinkR17) => PresenceSync::Probe,
        Some(XmppProfile::Skywave | XmppProfile::Units) | None => PresenceSync::Push,
    };
    PresenceConfig { sync: peer.presence.sync.or(Some(usual)), ..peer.presence.clone() }
}

/// How long stanzas to a far site live: requests live shorter on TCP.
pub(super) fn lives(peer: &RawPeer, link: Option<&LinkConfig>) -> Lives {
    let is_tcp = link.is_some_and(|link| matches!(link.transport, TransportConfig::XmppTcp { .. }));
    let usual = if is_tcp { Lives::TCP } else { Lives::HF };
    Lives { request_seconds: peer.life.request_seconds.or(usual.request_seconds), ..peer.life.clone() }
}

/// Domains of both sites and whatever else both ends name, in one order at both ends.
fn names(chat: &RawChat, peer: &RawPeer) -> Vec<String> {
    let servers = chat.local.values().flat_map(|local| &local.domains);
    let components = chat.component.values().flat_map(|component| &component.domains);
    let served = |domain: &&String| {
        let covers = |pattern: &String| domain::covers(&pattern.to_lowercase(), &domain.to_lowercase());
        peer.local_domains.is_empty() || peer.local_domains.iter().any(covers)
    };
    let own = servers.chain(components).filter(served);
    let all = own.chain(&peer.domains).chain(&peer.names).map(|name| name.to_lowercase());
    let mut names: Vec<String> = all.filter(|name| !name.starts_with('.') && name != "*").collect();
    names.sort();
    names.dedup();
    names
}
