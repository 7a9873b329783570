//! What works and may surprise: nothing here keeps a site from running, so it is told beside the mistakes and changes no
//! exit code.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use skywave_protocols::message::address::Mailbox;
use skywave_protocols::message::domain::covers;
use skywave_protocols::message::precedence::Precedence;

use super::mistake::{Found, Key};
use super::{Loaded, Mistake};
use crate::node::config::{Carriage, LinkConfig, SiteConfig, TransportConfig};

/// Keys of a link, and the transports on which they do something. Those of chat are mistakes elsewhere.
const USED_BY: [(&str, &[&str]); 17] = [
    ("radio", &["acp142_radio", "batch_radio", "xmpp_rcop"]),
    ("id", &["acp142_radio", "acp142_udp"]),
    ("group", &["acp142_radio", "acp142_udp", "batch_radio"]),
    ("pdu_octets_max", &["acp142_radio", "acp142_udp"]),
    ("ack_wait_seconds", &["acp142_radio", "acp142_udp"]),
    ("back_off_hundredths", &["acp142_radio", "acp142_udp"]),
    ("emcon_repeats", &["acp142_radio", "acp142_udp"]),
    ("emcon_interval_seconds", &["acp142_radio", "acp142_udp"]),
    ("emcon_by_precedence", &["acp142_radio", "acp142_udp"]),
    ("acp142", &["acp142_radio", "acp142_udp"]),
    ("bind", &["acp142_udp"]),
    ("ports", &["acp142_udp"]),
    ("bits_per_second", &["acp142_udp", "xmpp_tcp"]),
    ("repeats", &["batch_radio"]),
    ("repeat_gap_seconds", &["batch_radio"]),
    ("extensions", &["batch_radio"]),
    ("batch_octets_max", &["batch_radio"]),
];
/// Keys of `acp142` that are about the radio.
const RADIO_ONLY: [&str; 7] =
    ["arq", "udop_sap", "rcop_sap", "rcop_connection_id", "application_id", "acks_by_arq", "node_repeats"];

/// Everything about a configuration without mistakes that its owner may not expect, with its place.
pub fn warnings(loaded: &Loaded) -> Vec<Mistake> {
    let mut found = Found::new(&loaded.places);
    let Loaded { site, .. } = loaded;
    door(site, &mut found);
    sizes(site, &mut found);
    unused_keys(loaded, &mut found);
    for link in &site.links {
        silence(site, link, &mut found);
    }
    ways(site, &mut found);
    let longest = site.queue.lifetimes.iter().max().copied().unwrap_or_default();
    if site.queue.dedupe < longest {
        let reason =
            format!("is shorter than the longest life of a mail, {} s: a late repeat is new here", longest.as_secs());
        found.wrong(&Key::new("queue").at("dedupe_seconds"), reason);
    }
    found.finish()
}

/// Who may do what at the mail door.
fn door(site: &SiteConfig, found: &mut Found<'_>) {
    let (key, mail) = (Key::new("mail"), &site.mail);
    let outside = |listen: &[SocketAddr]| listen.iter().any(|address| !address.ip().is_loopback());
    let reached = outside(&mail.listen) || outside(&mail.submission);
    if mail.auth && mail.auth_without_tls && reached {
        found.wrong(&key.at("auth_without_tls"), "passwords cross the network in clear");
    }
    let everybody = |&&(network, prefix): &&(IpAddr, u8)| prefix == 0 && network.is_unspecified();
    if outside(&mail.listen)
        && let Some((network, _)) = mail.relay_networks.iter().find(everybody)
    {
        found.wrong(&key.at("relay_networks"), format!("{network}/0: whoever reaches the listener may send by radio"));
    }
    if !site.routes.is_empty() && mail.relay_networks.is_empty() && !mail.auth {
        found.wrong(
            &key.at("relay_networks"),
            "is empty, and nobody can authenticate: nobody here can send to other sites",
        );
    }
    if mail.listen.is_empty() && mail.submission.is_empty() {
        found.wrong(&key.at("listen"), "is empty: no mail can be handed in");
    }
}

/// Mail that is taken here and carried by nothing.
fn sizes(site: &SiteConfig, found: &mut Found<'_>) {
    let taken = site.mail.size_octets_max;
    for route in &site.routes {
        let by_mail = route.links.iter().any(|name| site.batch_mail.iter().any(|way| way.name == *name));
        let carried = route.links.iter().filter_map(|name| site.links.iter().find(|link| link.name == *name));
        let Some(most) = carried.map(|link| unit_octets_max(link) as u64).max().filter(|_| !by_mail) else { continue };
        if taken > most {
            let reason = format!(
                "mail of {taken} octets is taken, and a unit to {} has {most} at most, compressed: larger ones go back",
                route.site
            );
            found.wrong(&Key::new("mail").at("size_octets_max"), reason);
        }
    }
}

fn unit_octets_max(link: &LinkConfig) -> usize {
    match &link.transport {
        TransportConfig::Acp142Radio { acp142, .. } | TransportConfig::Acp142Udp { acp142, .. } => {
            acp142.unit_octets_max()
        }
        TransportConfig::BatchRadio { .. } | TransportConfig::XmppTcp { .. } | TransportConfig::XmppRcop { .. } => {
            link.mail_octets_max()
        }
    }
}

/// Keys that were written and that the transport of their link does not look at.
fn unused_keys(loaded: &Loaded, found: &mut Found<'_>) {
    for (name, raw) in &loaded.raw.link {
        let (key, transport) = (Key::new("link").at(name), raw.transport.as_deref().unwrap_or_default());
        let unused = USED_BY.iter().filter(|(_, used)| !used.contains(&transport)).map(|(name, _)| key.at(name));
        let of_radio = RADIO_ONLY.iter().filter(|_| transport == "acp142_udp").map(|name| key.at("acp142").at(name));
        let of_udp = (transport == "acp142_radio").then(|| key.at("acp142").at("dscps"));
        for key in unused.chain(of_radio).chain(of_udp).filter(|key| loaded.places.has(key)) {
            found.wrong(&key, format!("has no effect with transport {transport}"));
        }
        if transport == "batch_radio" && raw.group.is_none() && loaded.places.has(&key.at("repeats")) {
            found.wrong(&key.at("repeats"), "has no effect without a group: ARQ repeats by itself");
        }
    }
}

/// Sites that keep silence, and what a link can do for them.
fn silence(site: &SiteConfig, link: &LinkConfig, found: &mut Found<'_>) {
    let key = Key::new("link").at(&link.name);
    for silent in link.transport.sites().iter().filter(|site| site.silent) {
        let key = key.at("site").at(&silent.site).at("silent");
        let group = matches!(&link.transport, TransportConfig::BatchRadio { group: Some(_), .. });
        match link.transport.acp142() {
            Some(acp142) if link.carriage == Carriage::Mule => {
                let unrepeated = Precedence::ALL.iter().zip(&acp142.emcon).filter(|(_, plan)| plan.repeats == 0);
                let names: Vec<&str> = unrepeated.map(|(precedence, _)| precedence.name()).collect();
                if !names.is_empty() {
                    found.wrong(
                        &key,
                        format!("and {} is sent once: what a fade takes is lost until it answers", names.join(", ")),
                    );
                }
                let lives = site.queue.lifetimes.iter().zip(&acp142.emcon).zip(Precedence::ALL);
                for ((life, _), precedence) in
                    lives.filter(|((life, plan), _)| plan.repeats > 0 && plan.interval >= **life)
                {
                    let name = precedence.name();
                    found.wrong(
                        &key,
                        format!("and mail of {name} lives {} s, less than to its first repeat", life.as_secs()),
                    );
                }
            }
            None if link.carriage == Carriage::Batch && !group => {
                found.wrong(&key, "batches without a group go by ARQ: they wait until it is heard");
            }
            Some(_) | None => {}
        }
    }
}

/// Sites, links and radios that nothing leads to, and addresses of our own that lead nowhere.
fn ways(site: &SiteConfig, found: &mut Found<'_>) {
    let routed: BTreeSet<&str> = site.routes.iter().flat_map(|route| &route.links).map(|link| &**link).collect();
    let led_to: BTreeSet<&str> = site.routes.iter().map(|route| &*route.site).collect();
    for link in site.links.iter().filter(|link| link.carriage.takes_mail()) {
        let key = Key::new("link").at(&link.name);
        if !routed.contains(&*link.name) {
            found.wrong(&key, "no route names it: nothing is sent by it");
        }
        for other in link.transport.sites().iter().filter(|other| !led_to.contains(&*other.site)) {
            found.wrong(&key.at("site").at(&other.site), "no route leads to this site: it is heard, and gets no mail");
        }
    }
    for radio in &site.radios {
        if !site.links.iter().any(|link| link.transport.radio().is_some_and(|name| *name == radio.name)) {
            found.wrong(&Key::new("radio").at(&radio.name), "no link uses it");
        }
    }
    let local = |domain: &str| site.local.iter().any(|local| local.domains.iter().any(|own| covers(own, domain)));
    let far = |domain: &str| site.routes.iter().any(|route| route.domains.iter().any(|far| covers(far, domain)));
    if let Ok(postmaster) = Mailbox::parse(&site.mail.postmaster)
        && !site.routes.is_empty()
        && !local(&postmaster.domain_key())
        && !far(&postmaster.domain_key())
    {
        let reason = format!("{} leads nowhere: what is for the operator is lost", site.mail.postmaster);
        found.wrong(&Key::new("mail").at("postmaster"), reason);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Text, load};
    use super::*;

    const HQ: &str = include_str!("../../examples/hq.toml");

    fn told(text: &str) -> Vec<String> {
        let texts = [Text { file: "a.toml".to_owned(), text: text.to_owned() }];
        let loaded = load(&texts, &BTreeMap::new()).unwrap_or_else(|mistakes| panic!("{mistakes:#?}\n{text}"));
        warnings(&loaded).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_samples_surprise_nobody() {
        for (name, text) in [
            ("hq", HQ),
            ("field", include_str!("../../examples/field.toml")),
            ("ship", include_str!("../../examples/ship-emcon.toml")),
            ("relay", include_str!("../../examples/relay-udp.toml")),
            ("batch-mail", include_str!("../../examples/batch-mail.toml")),
            ("chat-hq", include_str!("../../examples/chat-hq.toml")),
            ("chat-field", include_str!("../../examples/chat-field.toml")),
        ] {
            assert_eq!(told(text), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn what_may_surprise_is_told_with_its_place() {
        let batch = "[link.b]\ncarriage = \"batch\"\ntransport = \"batch_radio\"\nradio = \"hf\"\n";
        let batch = |more: &str| format!("{batch}{more}\n[link.b.site.\"field.test\"]\naddress = \"1.1.0.2\"\n");
        let auth = "listen = [\"0.0.0.0:25\"]\nauth_without_tls = true\n";
        for (line, by, expected) in [
            (
                "[mail]",
                "[mail]\nsize_octets_max = 20000000",
                "a.toml:9: mail.size_octets_max: mail of 20000000 octets is",
            ),
            ("listen = [\"127.0.0.1:2525\"]", auth, "mail.auth_without_tls: passwords cross the network in clear"),
            ("[\"127.0.0.0/8\", \"::1/128\"]", "[\"0.0.0.0/0\"]", ""),
            (
                "listen = [\"127.0.0.1:2525\"]\nhostname = \"gateway.hq.test\"\nrelay_networks = [\"127.0.0.0/8\", \"::1/128\"]",
                "listen = [\"0.0.0.0:25\"]\nrelay_networks = [\"0.0.0.0/0\"]",
                "a.toml:10: mail.relay_networks: 0.0.0.0/0: whoever reaches the listener may send by radio",
            ),
            ("[\"127.0.0.0/8\", \"::1/128\"]", "[]", "mail.relay_networks: is empty, and nobody can authenticate"),
            ("listen = [\"127.0.0.1:2525\"]", "listen = []", "a.toml:9: mail.listen: is empty"),
            (
                "radio = \"hf\"",
                "radio = \"hf\"\nrepeats = 5",
                "link.hf.repeats: has no effect with transport acp142_radio",
            ),
            (
                "radio = \"hf\"",
                "radio = \"hf\"\nbind = \"127.0.0.1\"",
                "link.hf.bind: has no effect with transport acp",
            ),
            (
                "address = \"1.1.0.3\"",
                "address = \"1.1.0.3\"\nsilent = true\n[link.hf.emcon_by_precedence.flash]\nrepeats = 0",
                "link.hf.site.\"ship.test\".silent: and flash is sent once",
            ),
            (
                "address = \"1.1.0.3\"",
                "address = \"1.1.0.3\"\nsilent = true\n[queue]\nlifetime_seconds.flash = 600",
                "silent: and mail of flash lives 600 s, less than to its first repeat",
            ),
            ("domains = [\"hq.test\"]", "domains = [\"x.test\"]", "mail.postmaster: postmaster@hq.test leads nowhere"),
            ("", "[queue]\ndedupe_seconds = 3600", "queue.dedupe_seconds: is shorter than the longest life of a mail"),
            ("", "[radio.spare]\nnode = \"127.0.0.1:1\"\naddress = \"1.1.0.8\"", "radio.spare: no link uses it"),
            ("", &batch(""), "link.b: no route names it: nothing is sent by it"),
            ("", &batch("repeats = 4"), "link.b.repeats: has no effect without a group"),
            (
                "",
                &(batch("") + "silent = true"),
                "link.b.site.\"field.test\".silent: batches without a group go by ARQ",
            ),
            (
                "",
                &batch("").replace("field.test", "moon.test"),
                "link.b.site.\"moon.test\": no route leads to this site",
            ),
        ] {
            let text = if line.is_empty() { format!("{HQ}\n{by}\n") } else { HQ.replacen(line, by, 1) };
            let text = if by == auth { format!("password_file = \"users\"\n{text}") } else { text };
            let found = told(&text);
            match expected {
                "" => assert_eq!(found, Vec::<String>::new(), "{by}"),
                expected => assert!(found.iter().any(|one| one.contains(expected)), "{by}: {expected}\n{found:#?}"),
            }
        }
    }
}
