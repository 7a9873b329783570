//! Names to addresses: literal addresses, the hosts of the configuration, then DNS by hickory.
//!
//! A field gateway may have no DNS at all: hosts named in the configuration never ask for it, and the resolver is made
//! only when the first name needs it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::OnceLock;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RData;

use crate::node::seam::{Lookup, Resolved, ResolvedHost};

/// Hosts of one MX or SRV answer that are used.
const HOSTS_MAX: usize = 32;
/// Addresses of one host that are used.
const ADDRESSES_MAX: usize = 8;

/// Where names are looked up.
pub struct Names {
    hosts: BTreeMap<String, Vec<IpAddr>>,
    resolver: OnceLock<Result<TokioResolver, String>>,
}

impl Names {
    /// Names with the hosts of the configuration.
    pub fn new(hosts: BTreeMap<String, Vec<IpAddr>>) -> Self {
        Self { hosts, resolver: OnceLock::new() }
    }

    /// The addresses of `host:port`, `address:port` or `[address]:port`.
    pub(super) async fn targets(&self, target: &str) -> Result<Vec<SocketAddr>, String> {
        if let Ok(address) = target.parse() {
            return Ok(vec![address]);
        }
        let (host, port) = target.rsplit_once(':').ok_or_else(|| format!("{target} has no port"))?;
        let port = port.parse().map_err(|_| format!("{target} has no valid port"))?;
        match self.addresses(host).await {
            Resolved::Addresses(addresses) => Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()),
            Resolved::Failed(why) => Err(why),
            Resolved::Nothing | Resolved::NotOffered | Resolved::Hosts(_) => Err(format!("host {host} has no address")),
        }
    }

    /// Answers a look-up.
    pub(super) async fn look_up(&self, lookup: Lookup) -> Resolved {
        match lookup {
            Lookup::Addresses(host) => self.addresses(&host).await,
            Lookup::Mx(domain) => self.hosts(self.ask(|dns| async move { dns.mx_lookup(domain).await }).await, mx),
            Lookup::Srv(name) => self.hosts(self.ask(|dns| async move { dns.srv_lookup(name).await }).await, srv),
        }
    }

    async fn addresses(&self, host: &str) -> Resolved {
        let host = host.trim_end_matches('.').to_lowercase();
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Resolved::Addresses(vec![address]);
        }
        if let Some(addresses) = self.hosts.get(&host) {
            return Resolved::Addresses(addresses.clone());
        }
        if host == "localhost" {
            return Resolved::Addresses(vec![Ipv4Addr::LOCALHOST.into()]);
        }
        match self.ask(|dns| async move { dns.lookup_ip(host).await }).await {
            Ok(found) => match found.iter().take(ADDRESSES_MAX).collect::<Vec<_>>() {
                empty if empty.is_empty() => Resolved::Nothing,
                addresses => Resolved::Addresses(addresses),
            },
            Err(negative) => negative,
        }
    }

    /// Asks DNS; a negative answer is told apart from none.
    async fn ask<T, F: Future<Output = Result<T, NetError>>>(
        &self,
        question: impl FnOnce(TokioResolver) -> F,
    ) -> Result<T, Resolved> {
        let resolver = self.resolver.get_or_init(|| {
            TokioResolver::builder_tokio().and_then(|builder| builder.build()).map_err(|error| error.to_string())
        });
        let resolver = resolver.clone().map_err(|why| Resolved::Failed(format!("no DNS: {why}")))?;
        question(resolver).await.map_err(|error| {
            if error.is_no_records_found() { Resolved::Nothing } else { Resolved::Failed(error.to_string()) }
        })
    }

    #[expect(clippy::unused_self, reason = "reads as part of look_up")]
    fn hosts(
        &self,
        answer: Result<hickory_resolver::lookup::Lookup, Resolved>,
        read: fn(&RData) -> Option<ResolvedHost>,
    ) -> Resolved {
        let found = match answer {
            Ok(found) => found,
            Err(negative) => return negative,
        };
        resolved(found.answers().iter().filter_map(|record| read(&record.data)).collect())
    }
}

/// The hosts of an answer, best first.
fn resolved(mut hosts: Vec<ResolvedHost>) -> Resolved {
    if hosts.is_empty() {
        return Resolved::Nothing;
    }
    hosts.sort_by(|a, b| (a.priority, b.weight).cmp(&(b.priority, a.weight)));
    hosts.truncate(HOSTS_MAX);
    // The target "." says that the domain takes no mail (RFC 7505) or has no such service (RFC 2782).
    //= xmpp/X2X-008
    hosts.retain(|host| !host.host.is_empty());
    if hosts.is_empty() { Resolved::NotOffered } else { Resolved::Hosts(hosts) }
}

fn mx(data: &RData) -> Option<ResolvedHost> {
    let RData::MX(mx) = data else { return None };
    Some(ResolvedHost { host: name(&mx.exchange), port: 0, priority: mx.preference, weight: 0 })
}

fn srv(data: &RData) -> Option<ResolvedHost> {
    let RData::SRV(srv) = data else { return None };
    Some(ResolvedHost { host: name(&srv.target), port: srv.port, priority: srv.priority, weight: srv.weight })
}

fn name(name: &hickory_resolver::proto::rr::Name) -> String {
    name.to_utf8().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_sorted_and_a_dot_is_no_host() {
        let host = |host: &str, priority, weight| ResolvedHost { host: host.to_owned(), port: 5269, priority, weight };
        let names = |resolved| match resolved {
            Resolved::Hosts(hosts) => hosts.into_iter().map(|host| host.host).collect::<Vec<_>>().join(" "),
            other => format!("{other:?}"),
        };
        for (hosts, expected) in [
            (vec![], "Nothing"),
            (vec![host("", 0, 0)], "NotOffered"),
            (vec![host("b", 20, 0), host("a", 10, 0)], "a b"),
            (vec![host("light", 10, 1), host("heavy", 10, 9)], "heavy light"),
            (vec![host("", 0, 0), host("a", 10, 0)], "a"),
        ] {
            assert_eq!(names(resolved(hosts.clone())), expected, "{hosts:?}");
        }
        let many = (0..100).map(|number| host("a", number, 0)).collect();
        assert_eq!(names(resolved(many)).split(' ').count(), HOSTS_MAX);
    }

    #[tokio::test]
    async fn hosts_of_the_configuration_and_literals_need_no_dns() {
        let address = |text: &str| vec![text.parse().unwrap()];
        let names = Names::new(BTreeMap::from([("xmpp.hq.test".to_owned(), address("192.0.2.1"))]));
        for (host, expected) in [
            ("xmpp.hq.test", address("192.0.2.1")),
            ("XMPP.HQ.test.", address("192.0.2.1")),
            ("192.0.2.9", address("192.0.2.9")),
            ("[2001:db8::1]", address("2001:db8::1")),
            ("localhost", address("127.0.0.1")),
        ] {
            assert_eq!(
                names.look_up(Lookup::Addresses(host.to_owned())).await,
                Resolved::Addresses(expected),
                "{host}"
            );
        }
        assert_eq!(names.targets("xmpp.hq.test:5269").await, Ok(vec!["192.0.2.1:5269".parse().unwrap()]));
        assert!(names.targets("xmpp.hq.test").await.is_err() && names.targets("xmpp.hq.test:x").await.is_err());
    }
}
