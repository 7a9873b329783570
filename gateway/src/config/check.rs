//! From raw to checked: the site, its mail door, its local MTAs and its queue.

use std::net::SocketAddr;
use std::sync::Arc;

use skywave_protocols::message::address::Mailbox;
use skywave_protocols::message::precedence::{MtPriority, Precedence};
use skywave_protocols::mule::RECIPIENTS_MAX as MULE_RECIPIENTS_MAX;
use skywave_protocols::smtp::headers::{MmhsUnknown, Stand};
use skywave_protocols::time::Duration;

use super::links::{batch_mail, engines, links, radios, routes};
use super::mistake::{Found, Key};
use super::raw::{Raw, RawLocal, RawMail, RawQueue};
use super::values::{SYSTEM_AUTHORITY, domain_name, host_and_port, listen, networks, overlap, positive};
use super::xmpp_links;
use crate::node::config::{LocalConfig, MailConfig, QueueConfig, SiteConfig};
use crate::shell::ShellConfig;
use crate::shell::tls::CertificateFiles;

/// Checks everything; `None` only when something is wrong that was noted.
pub(super) fn check(raw: &Raw, found: &mut Found<'_>) -> Option<(SiteConfig, ShellConfig)> {
    let site = found.required(&Key::new("site"), raw.site.as_ref());
    if let Some(site) = &site {
        domain_name(&Key::new("site"), site, found);
    }
    // What is checked below is checked with any name, so that a missing one does not hide the rest.
    let name: Arc<str> = site.as_deref().unwrap_or("unnamed").into();
    let mail = mail(raw, &name, found);
    let local = raw.local.iter().filter_map(|(name, local)| check_local(name, local, found)).collect::<Vec<_>>();
    if raw.local.is_empty() && raw.route.is_empty() && raw.chat.is_none() {
        found.wrong(&Key::new("local"), "neither a local MTA nor a route nor chat: nothing could go anywhere");
    }
    let radios = radios(raw, found);
    let links = links(raw, &name, found);
    xmpp_links::check_shared(&links, found);
    engines(&links, &radios, found);
    let batch_mail = batch_mail(raw, found);
    let routes = routes(raw, &name, found);
    domains(raw, found);
    let queue = queue(&raw.queue, found);
    let chat = super::chat::chat(raw, &name, &links, found);
    let shell = shell(raw, found);
    let local = last_if(local, |local: &LocalConfig| local.domains.iter().any(|domain| domain == "*"));
    let routes = last_if(routes, |route: &crate::node::config::Route| route.domains.iter().any(|d| d == "*"));
    // Whether packets are captured is said on the command line.
    let site =
        SiteConfig { site: name, mail: mail?, local, radios, links, batch_mail, routes, queue, chat, capture: false };
    Some((site, shell))
}

/// Those for which `last` holds go behind the others: the first match wins.
fn last_if<T>(all: Vec<T>, last: impl Fn(&T) -> bool) -> Vec<T> {
    let (behind, mut front): (Vec<T>, Vec<T>) = all.into_iter().partition(last);
    front.extend(behind);
    front
}

fn mail(raw: &Raw, site: &str, found: &mut Found<'_>) -> Option<MailConfig> {
    let (key, mail) = (Key::new("mail"), &raw.mail);
    let (listen, submission) = listeners(&key, mail, found);
    let hostname = mail.hostname.clone().unwrap_or_else(|| site.to_owned());
    domain_name(&key.at("hostname"), &hostname, found);
    let relay_networks = networks(&key.at("relay_networks"), &mail.relay_networks, found);
    let at_least_one = [
        ("size_octets_max", mail.size_octets_max),
        ("recipients_max", mail.recipients_max as u64),
        ("connections_max", mail.connections_max as u64),
        ("hops_max", mail.hops_max as u64),
    ];
    for (name, value) in at_least_one {
        positive(&key.at(name), value, found);
    }
    if mail.recipients_max > MULE_RECIPIENTS_MAX {
        // Nobody could open the unit of a mail with more.
        let what = format!("{} recipients, a unit has at most {MULE_RECIPIENTS_MAX}", mail.recipients_max);
        found.wrong(&key.at("recipients_max"), what);
    }
    let auth = auth(raw, &key, found);
    if let Some(name) = &mail.certificate
        && !raw.certificate.contains_key(name)
    {
        found.wrong(&key.at("certificate"), format!("there is no [certificate.{name}]"));
    }
    let (precedence_default, precedence_ceiling) = precedences(mail, &key, found);
    let mmhs_unknown = mmhs_unknown(mail, &key, found);
    let postmaster = mail.postmaster.clone().unwrap_or_else(|| format!("postmaster@{site}"));
    found.take(&key.at("postmaster"), Mailbox::parse(&postmaster));
    let batch_address = mail.batch_address.as_deref();
    let batch_address = batch_address.and_then(|text| found.take(&key.at("batch_address"), Mailbox::parse(text)));
    Some(MailConfig {
        listen,
        submission,
        hostname,
        size_octets_max: mail.size_octets_max,
        recipients_max: mail.recipients_max,
        connections_max: mail.connections_max,
        relay_networks,
        certificate: mail.certificate.clone(),
        auth,
        auth_without_tls: mail.auth_without_tls,
        precedence_default: precedence_default?,
        precedence_ceiling: precedence_ceiling?,
        mmhs_unknown,
        hops_max: mail.hops_max,
        batch_address,
        postmaster,
    })
}

/// Where it listens, and where users submit.
fn listeners(key: &Key, mail: &RawMail, found: &mut Found<'_>) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
    let all = listen(&key.at("listen"), &mail.listen, found);
    let submission = listen(&key.at("submission"), &mail.submission, found);
    for address in submission.iter().filter(|address| all.contains(address) && address.port() != 0) {
        found.wrong(&key.at("submission"), format!("{address} is one of listen too"));
    }
    (all, submission)
}

fn auth(raw: &Raw, key: &Key, found: &mut Found<'_>) -> bool {
    let auth = raw.mail.auth.unwrap_or(raw.password_file.is_some());
    if auth && raw.password_file.is_none() {
        found.wrong(&key.at("auth"), "needs a password_file");
    }
    if auth && raw.mail.certificate.is_none() && !raw.mail.auth_without_tls {
        found.wrong(&key.at("auth"), "needs a certificate, or auth_without_tls = true");
    }
    if !auth && !raw.mail.submission.is_empty() {
        found.wrong(&key.at("submission"), "nobody could use it: needs auth, and a password_file");
    }
    auth
}

fn precedences(mail: &RawMail, key: &Key, found: &mut Found<'_>) -> (Option<Precedence>, Option<MtPriority>) {
    let default = Precedence::parse(&mail.precedence_default);
    let default = found.take(&key.at("precedence_default"), default.ok_or(no_precedence(&mail.precedence_default)));
    let ceiling = ceiling(&key.at("precedence_ceiling"), &mail.precedence_ceiling, found);
    if let (Some(default), Some(ceiling)) = (default, ceiling)
        && default.mt_priority() > ceiling
    {
        found.wrong(&key.at("precedence_default"), "is higher than precedence_ceiling");
    }
    (default, ceiling)
}

/// What numbers stand for that no table knows.
fn mmhs_unknown(mail: &RawMail, key: &Key, found: &mut Found<'_>) -> MmhsUnknown {
    let mut stand = |name, text: &str| {
        let why = format!("{text:?} is neither ceiling nor default, and no precedence");
        found.take(&key.at(name), Stand::parse(text).ok_or(why))
    };
    let usual = MmhsUnknown::default();
    MmhsUnknown {
        low: stand("mmhs_6_to_15", &mail.mmhs_6_to_15).unwrap_or(usual.low),
        high: stand("mmhs_16_to_31", &mail.mmhs_16_to_31).unwrap_or(usual.high),
    }
}

pub(super) fn no_precedence(text: &str) -> String {
    format!("{text:?} is no precedence: deferred, routine, priority, immediate, flash, override")
}

/// The highest precedence taken: a name, or a number.
pub(super) fn ceiling(key: &Key, text: &str, found: &mut Found<'_>) -> Option<MtPriority> {
    let ceiling = Precedence::parse(text)
        .filter(|_| text.parse::<i8>().is_err())
        .map(Precedence::mt_priority)
        .or_else(|| MtPriority::parse(text));
    found.take(key, ceiling.ok_or(no_precedence(text)))
}

fn check_local(name: &str, raw: &RawLocal, found: &mut Found<'_>) -> Option<LocalConfig> {
    let key = Key::new("local").at(name);
    if raw.domains.is_empty() {
        found.wrong(&key.at("domains"), "is missing: it would never get mail");
    }
    let target = found.required(&key.at("target"), raw.target.as_ref());
    if let Some(target) = &target {
        host_and_port(&key.at("target"), target, found);
    }
    positive(&key.at("connections_max"), raw.connections_max as u64, found);
    if raw.connections_urgent >= raw.connections_max.max(1) {
        let reason = format!("{} of {} leaves none for other mail", raw.connections_urgent, raw.connections_max);
        found.wrong(&key.at("connections_urgent"), reason);
    }
    positive(&key.at("octets_in_flight_max"), raw.octets_in_flight_max, found);
    Some(LocalConfig {
        name: name.into(),
        domains: raw.domains.iter().map(|domain| domain.to_lowercase()).collect(),
        target: target?,
        final_delivery: raw.final_delivery,
        connections_max: raw.connections_max,
        connections_urgent: raw.connections_urgent,
        keep_open: (!raw.keep_open_forever).then(|| Duration::from_secs(raw.keep_open_seconds.into())),
        octets_in_flight_max: raw.octets_in_flight_max,
    })
}

/// Domains of local MTAs and routes: each well written, none claimed twice.
fn domains(raw: &Raw, found: &mut Found<'_>) {
    let locals = raw.local.iter().map(|(name, local)| (Key::new("local").at(name), &local.domains));
    let routes = raw.route.iter().map(|(name, route)| (Key::new("route").at(name), &route.domains));
    let mut claimed: Vec<(String, Key)> = Vec::new();
    for (key, domains) in locals.chain(routes) {
        for domain in domains {
            let domain = domain.to_lowercase();
            let key = key.at("domains");
            if domain != "*" {
                domain_name(&key, domain.trim_start_matches('.'), found);
            }
            let clash =
                claimed.iter().find(|(other, by)| overlap(other, &domain) && is_unclear(&key, by, other, &domain));
            if let Some((other, by)) = clash {
                found.wrong(&key, format!("{domain:?} overlaps {other:?} of {by}"));
            }
            claimed.push((domain, key));
        }
    }
}

/// `*` is for the rest: it overlaps nothing but another `*`, except that a local MTA that takes everything leaves
/// nothing to routes.
fn is_unclear(key: &Key, by: &Key, a: &str, b: &str) -> bool {
    let star_of_local = |domain: &str, key: &Key| domain == "*" && key.parts()[0] == "local";
    let one_is_star = a == "*" || b == "*";
    let different_kinds = key.parts()[0] != by.parts()[0];
    !one_is_star || a == b || (different_kinds && (star_of_local(a, by) || star_of_local(b, key)))
}

fn queue(raw: &RawQueue, found: &mut Found<'_>) -> QueueConfig {
    let key = Key::new("queue");
    for (precedence, seconds) in Precedence::ALL.iter().zip(raw.lifetime_seconds.all()) {
        positive(&key.at("lifetime_seconds").at(precedence.name()), seconds, found);
    }
    positive(&key.at("retry_first_seconds"), raw.retry_first_seconds, found);
    if raw.retry_longest_seconds < raw.retry_first_seconds {
        found.wrong(&key.at("retry_longest_seconds"), "is shorter than retry_first_seconds");
    }
    positive(&key.at("mails_max"), raw.mails_max, found);
    if raw.mails_reserved >= raw.mails_max.max(1) {
        found.wrong(&key.at("mails_reserved"), "leaves no room for other mail");
    }
    let seconds = Duration::from_secs;
    QueueConfig {
        lifetimes: raw.lifetime_seconds.all().map(seconds),
        delay_notice: (raw.delay_notice_seconds > 0).then(|| seconds(raw.delay_notice_seconds)),
        retry_first: seconds(raw.retry_first_seconds),
        retry_longest: seconds(raw.retry_longest_seconds),
        history: seconds(raw.history_seconds),
        dedupe: seconds(raw.dedupe_seconds),
        mails_max: raw.mails_max,
        mails_reserved: raw.mails_reserved,
    }
}

fn shell(raw: &Raw, found: &mut Found<'_>) -> ShellConfig {
    let mut shell = ShellConfig::new(raw.spool_directory.clone());
    for (name, certificate) in &raw.certificate {
        let key = Key::new("certificate").at(name);
        let chain = found.required(&key.at("chain_file"), certificate.chain_file.as_ref());
        let private = found.required(&key.at("key_file"), certificate.key_file.as_ref());
        if let (Some(chain), Some(key)) = (chain, private) {
            shell.certificates.insert(name.clone(), CertificateFiles { chain, key });
        }
    }
    for (name, authority) in &raw.authority {
        let key = Key::new("authority").at(name);
        if name == SYSTEM_AUTHORITY {
            found.wrong(&key, "is the name of the system's own");
        }
        if let Some(file) = found.required(&key.at("file"), authority.file.as_ref()) {
            shell.authorities.insert(name.clone(), file);
        }
    }
    for (host, addresses) in &raw.hosts {
        if addresses.is_empty() {
            found.wrong(&Key::new("hosts").at(host), "has no address");
        }
        shell.hosts.insert(host.to_lowercase(), addresses.clone());
    }
    shell.run = Some(raw.run_directory.clone());
    shell.passwords.clone_from(&raw.password_file);
    shell.hand_over_tls = raw.hand_over_tls;
    shell.log = raw.log_format;
    shell
}
