//! Names of STANAG 5066 nodes and groups, so that people need not know addresses (ADR 0091).
//!
//! They come from files that there are: `[nodes]` and the stations of a file of `skywave node`, the sites behind the
//! radios of a site's configuration. Promises: a name has one address; a line of a console keeps its addresses and gets
//! their names beside them. Nothing of it goes on the air.

use std::collections::BTreeMap;

use skywave_protocols::s5066::address::NodeAddress;

use super::Text;
use super::mistake::{Found, Key, Mistake, Places};

/// Names of one file.
#[derive(Clone, Debug, Default)]
pub struct NodeNames(BTreeMap<String, NodeAddress>);

impl NodeNames {
    /// All names in the text of a file of either kind.
    ///
    /// # Errors
    /// What is no TOML, each address that is none, each name that has two or is an address itself.
    pub fn load(text: &Text) -> Result<Self, Vec<Mistake>> {
        let syntax = super::syntax_mistakes(std::slice::from_ref(text));
        if !syntax.is_empty() {
            return Err(syntax);
        }
        let places = Places::of(text);
        let mut found = Found::new(&places);
        let table: toml::Table = toml::from_str(&text.text).unwrap_or_default();
        let mut names = Self::default();
        for (key, name, address) in entries(&table) {
            names.add(&key, name, address, &mut found);
        }
        let mistakes = found.finish();
        if mistakes.is_empty() { Ok(names) } else { Err(mistakes) }
    }

    /// Adds a name; `key` is where it stands.
    pub(super) fn add(&mut self, key: &Key, name: &str, address: &str, found: &mut Found<'_>) {
        let address = match address.parse::<NodeAddress>() {
            Ok(_) if name.parse::<NodeAddress>().is_ok() => return found.wrong(key, "is an address, no name"),
            Ok(address) => address,
            Err(error) => return found.wrong(key, error.to_string()),
        };
        let known = self.0.get(name).filter(|known| **known != address);
        if let Some(known) = known {
            return found.wrong(key, format!("{name} is {known} already"));
        }
        self.0.insert(name.to_owned(), address);
    }

    /// The address of a node by its name, or written as one.
    ///
    /// # Errors
    /// That it is neither.
    pub fn address(&self, text: &str) -> Result<NodeAddress, String> {
        let named = self.0.get(text).copied();
        named.map_or_else(
            || text.parse().map_err(|_| format!("{text:?} is no address w.x.y.z, nor a name that is known")),
            Ok,
        )
    }

    /// A line with the names of nodes behind their addresses.
    pub fn told(&self, line: &str) -> String {
        if self.0.is_empty() {
            return line.to_owned();
        }
        let is_part = |c: char| c.is_ascii_digit() || c == '.';
        let (mut told, mut rest) = (String::new(), line);
        while let Some(begin) = rest.find(is_part) {
            let (before, from) = rest.split_at(begin);
            let (token, after) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
            let address = token.trim_end_matches('.');
            told += before;
            told += address;
            // With a port behind it it is a host.
            let is_host = after.strip_prefix(':').is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit()));
            let name = if is_host { None } else { self.name(address.trim_start_matches('.')) };
            told.extend(name.map(|name| format!(" ({name})")));
            told.extend(std::iter::repeat_n('.', token.len() - address.len()));
            rest = after;
        }
        told + rest
    }

    fn name(&self, address: &str) -> Option<&str> {
        let address: NodeAddress = address.parse().ok()?;
        self.0.iter().find(|(_, known)| **known == address).map(|(name, _)| name.as_str())
    }
}

/// Where names stand, they themselves, and their addresses.
fn entries(table: &toml::Table) -> Vec<(Key, &str, &str)> {
    let mut all = Vec::new();
    for (name, address) in below(table, "nodes") {
        all.extend(address.as_str().map(|address| (Key::new("nodes").at(name), name, address)));
    }
    for (name, station) in below(table, "station") {
        all.extend(with_address(&Key::new("station"), name, station));
    }
    // Other links have IP addresses.
    let by_radio = below(table, "link").filter(|(_, link)| link.get("radio").is_some());
    for (link, value) in by_radio {
        let key = Key::new("link").at(link).at("site");
        let sites = value.as_table().into_iter().flat_map(|link| below(link, "site"));
        all.extend(sites.filter_map(|(name, site)| with_address(&key, name, site)));
    }
    all
}

fn below<'a>(table: &'a toml::Table, name: &str) -> impl Iterator<Item = (&'a str, &'a toml::Value)> + use<'a> {
    let inner = table.get(name).and_then(toml::Value::as_table).into_iter().flatten();
    inner.map(|(name, value)| (name.as_str(), value))
}

fn with_address<'a>(key: &Key, name: &'a str, value: &'a toml::Value) -> Option<(Key, &'a str, &'a str)> {
    Some((key.at(name).at("address"), name, value.get("address")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<NodeNames, Vec<String>> {
        let text = Text { file: "names.toml".to_owned(), text: text.to_owned() };
        NodeNames::load(&text).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn names_come_from_files_of_nodes_and_of_sites() {
        let node = load(include_str!("../../examples/node.toml")).unwrap();
        assert_eq!(node.address("ship.test").unwrap().to_string(), "1.1.0.3");
        let site = load(include_str!("../../examples/hq.toml")).unwrap();
        assert_eq!(site.address("field.test").unwrap().to_string(), "1.1.0.2");
        assert_eq!(site.address("1.2.3.4").unwrap().to_string(), "1.2.3.4");
        assert!(site.address("nobody").unwrap_err().contains("nor a name"));
        let others = load("[nodes]\nfleet = \"17.0.0.1\"\n[link.lan.site.x]\naddress = \"192.0.2.7\"\n").unwrap();
        assert!(others.address("fleet").unwrap().is_group() && others.address("x").is_err());
    }

    #[test]
    fn all_mistakes_are_told() {
        let found = load(
            "[nodes]\na = \"1.2\"\n\"1.1.0.1\" = \"1.1.0.2\"\nb = \"1.1.0.3\"\n[station.b]\naddress = \"1.1.0.4\"\n",
        );
        let found = found.unwrap_err();
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(found[0].starts_with("names.toml:2: nodes.a: "), "{found:#?}");
        assert!(found[1].starts_with("names.toml:3: nodes.\"1.1.0.1\": is an address"), "{found:#?}");
        assert_eq!(found[2], "names.toml:6: station.b.address: b is 1.1.0.3 already");
        assert!(load("[nodes").is_err());
    }

    #[test]
    fn lines_keep_their_addresses() {
        let names = load("[nodes]\nship = \"1.1.0.3\"\n").unwrap();
        for (line, told) in [
            ("64 octets from 1.1.0.3: number 1, 2.50 s", "64 octets from 1.1.0.3 (ship): number 1, 2.50 s"),
            ("peers.1.1.0.3.failures=0", "peers.1.1.0.3 (ship).failures=0"),
            ("1.1.0.3:5066 and 11.1.0.3", "1.1.0.3:5066 and 11.1.0.3"),
            ("ünknown 1.1.0.3", "ünknown 1.1.0.3 (ship)"),
        ] {
            assert_eq!(names.told(line), told);
        }
        assert_eq!(NodeNames::default().told("from 1.1.0.3"), "from 1.1.0.3");
    }
}
