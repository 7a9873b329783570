//! Links for chat: every mistake has its place and reason, and the two ends are compared.

use std::collections::BTreeMap;

use super::compare::compare;
use super::{Loaded, Text, load};
use crate::node::config::{Carriage, StreamManagement, TransportConfig, XmppProfile};

const HQ: &str = r#"
site = "hq.test"
[certificate.own]
chain_file = "own.pem"
key_file = "own.key"
[authority.fleet]
file = "fleet.pem"
[local.mta]
domains = ["hq.test"]
target = "127.0.0.1:2526"
[radio.hf]
node = "127.0.0.1:5066"
address = "1.1.0.1"
[link.sat]
carriage = "xmpp"
transport = "xmpp_tcp"
listen = "192.0.2.1:5270"
connect = "192.0.2.2:5270"
accept_from = ["192.0.2.2", "198.51.100.0/24", "192.0.2.3:5270"]
tls = "mutual"
certificate = "own"
authority = "fleet"
[link.sat.site."field.test"]
[link.chat]
carriage = "xmpp"
transport = "xmpp_rcop"
radio = "hf"
[link.chat.site."field.test"]
address = "1.1.0.2"
[link.quiet]
carriage = "xmpp"
transport = "acp142_radio"
radio = "hf"
[link.quiet.site."field.test"]
address = "1.1.0.2"
"#;

fn field() -> String {
    HQ.replace("field.test", "FIELD")
        .replace("hq.test", "field.test")
        .replace("FIELD", "hq.test")
        .replace("1.1.0.1", "ADDRESS")
        .replace("1.1.0.2", "1.1.0.1")
        .replace("ADDRESS", "1.1.0.2")
}

fn loaded(file: &str, text: &str) -> Loaded {
    let texts = [Text { file: file.to_owned(), text: text.to_owned() }];
    load(&texts, &BTreeMap::new()).unwrap_or_else(|mistakes| panic!("{file}: {mistakes:#?}"))
}

fn mistakes(text: &str) -> Vec<String> {
    let texts = [Text { file: "a.toml".to_owned(), text: text.to_owned() }];
    load(&texts, &BTreeMap::new()).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn profiles_have_their_defaults() {
    let hq = loaded("hq.toml", HQ);
    for link in &hq.site.links {
        assert_eq!(link.carriage, Carriage::Xmpp);
        let xmpp = link.xmpp.as_ref().unwrap();
        let units = matches!(link.transport, TransportConfig::Acp142Radio { .. });
        assert_eq!(xmpp.profile, if units { XmppProfile::Units } else { XmppProfile::Skywave });
        assert!(xmpp.compression && xmpp.stream_management == StreamManagement::Off);
        assert_eq!((xmpp.block_octets_max, xmpp.linger, xmpp.stanza_octets_max), (None, None, 64 << 10));
    }
    let rcop = |text: &str| {
        let loaded = loaded("hq.toml", text);
        let found = loaded.site.links.iter().find_map(|link| match &link.transport {
            TransportConfig::XmppRcop { rcop, .. } => Some((rcop.clone(), link.xmpp.clone().unwrap())),
            _ => None,
        });
        found.unwrap()
    };
    let with = |more: &str| HQ.replace("\"xmpp_rcop\"", &format!("\"xmpp_rcop\"\n{more}"));
    for (more, ports, window, compression) in [
        ("", (6, 0, Some(3), 0x8001), 64, true),
        ("profile = \"standard\"", (2, 0, None, 0x8001), 1, false),
        ("profile = \"m-link-r17\"\napplication_id = 0x9000", (6, 0, None, 0x9000), 1, true),
        ("sap = 9\nconnection_id = 5\nurgent_connection_id = 6\nwindow = 2", (9, 5, Some(6), 0x8001), 2, true),
    ] {
        let (rcop, xmpp) = rcop(&with(more));
        let found = (rcop.sap, rcop.connection_id, rcop.urgent_connection_id, rcop.application_id);
        assert_eq!((found, rcop.window, xmpp.compression), (ports, window, compression), "{more}");
    }
}

/// The sample with a line replaced by another, and the mistake that has to follow.
fn check(rows: &[(&str, &str, &str)]) {
    let missing = rows.iter().filter_map(|(line, by, expected)| {
        assert!(HQ.contains(line), "{line}");
        let found = mistakes(&HQ.replacen(line, by, 1));
        let is_told = found.iter().any(|mistake| mistake.contains(expected));
        (!is_told).then(|| format!("{by}: {expected}\nfound: {found:#?}"))
    });
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn mistakes_over_tcp_have_their_place_and_reason() {
    let tcp = "transport = \"xmpp_tcp\"";
    let acp = "transport = \"acp142_radio\"";
    check(&[
        (acp, "transport = \"batch_radio\"", "link.quiet.transport: does not fit the carriage"),
        (tcp, "transport = \"pigeon\"", "xmpp_tcp, xmpp_rcop"),
        (tcp, "transport = \"xmpp_tcp\"\nprofile = \"units\"", "link.sat.profile: cannot be units: units goes over"),
        (tcp, "transport = \"xmpp_tcp\"\nprofile = \"odd\"", "\"odd\" is none: skywave, standard, m-link-r17, units"),
        (tcp, "transport = \"xmpp_tcp\"\ncompression = false", "link.sat.compression: skywave always compresses"),
        (tcp, "transport = \"xmpp_tcp\"\ndictionary = \"d\"", "link.sat.dictionary: skywave has its own"),
        (tcp, "transport = \"xmpp_tcp\"\nstream_management = \"implicit\"", "skywave confirms by itself"),
        (tcp, "transport = \"xmpp_tcp\"\nwhitespace_interval_seconds = 60", "needs a stream in plain text"),
        (tcp, "transport = \"xmpp_tcp\"\nmax_block_octets = 1", "link.sat.max_block_octets: cannot be 1: 256 to"),
        (tcp, "transport = \"xmpp_tcp\"\nmax_block_octets = 16385", "cannot be 16385: 256 to 16384"),
        (tcp, "transport = \"xmpp_tcp\"\nlinger_milliseconds = 600001", "cannot be 600001: 0 to 600000"),
        (tcp, "transport = \"xmpp_tcp\"\nstanza_octets_max = 10", "stanza_octets_max: cannot be 10: 1024 to"),
        (tcp, "transport = \"xmpp_tcp\"\nstanza_octets_max = 65537", "cannot be 65537: 1024 to 65536"),
        (
            tcp,
            "transport = \"xmpp_tcp\"\nprofile = \"standard\"\ncompression = true\ndictionary = \"d\"",
            "link.sat.dictionary: \"d\" is none: only skywave-1",
        ),
        (tcp, "transport = \"xmpp_tcp\"\nsap = 6", "link.sat.sap: is of no use: the link is no xmpp_rcop"),
        (tcp, "transport = \"xmpp_tcp\"\nopener = \"nobody\"", "link.sat.opener: \"nobody\" is none: either, we, they"),
        (tcp, "transport = \"xmpp_tcp\"\nopener = \"we\"", "link.sat.listen: is of no use: we are to open"),
        (tcp, "transport = \"xmpp_tcp\"\nopener = \"they\"", "link.sat.connect: is of no use: the peer opens"),
        (tcp, "transport = \"xmpp_tcp\"\ndscp = 64", "link.sat.dscp: is above 63"),
        ("connect = \"192.0.2.2:5270\"", "opener = \"we\"", "link.sat.connect: is missing: we are to open"),
        ("connect = \"192.0.2.2:5270\"", "connect = \"there\"", "link.sat.connect: \"there\" is no host with port"),
        ("listen = \"192.0.2.1:5270\"", "opener = \"either\"", "link.sat.listen: is missing: opener is either"),
        ("listen = \"192.0.2.1:5270\"", "listen = \"here\"", "link.sat.listen: \"here\" is no address with port"),
        ("\"198.51.100.0/24\"", "\"198.51.100.0/33\"", "link.sat.accept_from: \"198.51.100.0/33\" is none"),
        ("tls = \"mutual\"", "tls = \"maybe\"", "link.sat.tls: \"maybe\" is none: none, server, mutual"),
        ("tls = \"mutual\"", "", "link.sat.certificate: is of no use: tls is none"),
        ("certificate = \"own\"", "", "link.sat.certificate: is missing"),
        ("certificate = \"own\"", "certificate = \"other\"", "there is no [certificate.other]"),
        ("authority = \"fleet\"", "authority = \"army\"", "link.sat.authority: there is no [authority.army]"),
        ("authority = \"fleet\"", "pins = []", "link.sat.pins: names no certificate"),
        ("authority = \"fleet\"", "pins = [\"ab:cd\"]", "\"ab:cd\" is no SHA-256 digest"),
        ("authority = \"fleet\"", "authority = \"fleet\"\npins = []", "there is an authority too"),
        ("authority = \"fleet\"", "peer_names = [\"a b\"]", "link.sat.peer_names: \"a b\" is no domain name"),
        ("[authority.fleet]\nfile = \"fleet.pem\"", "[authority.fleet]", "authority.fleet.file: is missing"),
        ("[authority.fleet]", "[authority.system]", "authority.system: is the name of the system's own"),
        (
            "[link.sat.site.\"field.test\"]",
            "[link.sat.site.\"a.test\"]\n[link.sat.site.\"b.test\"]",
            "reaches one site",
        ),
        ("[link.sat.site.\"field.test\"]", "[link.sat.site.\"a.test\"]\naddress = \"x\"", "`connect` says where"),
    ]);
}

#[test]
fn mistakes_over_a_radio_have_their_place_and_reason() {
    let rcop = "transport = \"xmpp_rcop\"";
    let acp = "transport = \"acp142_radio\"";
    check(&[
        (rcop, "transport = \"xmpp_rcop\"\nprofile = \"units\"", "link.chat.profile: cannot be units"),
        (rcop, "transport = \"xmpp_rcop\"\nprofile = \"m-link-r17\"", "link.chat.application_id: is missing"),
        (rcop, "transport = \"xmpp_rcop\"\napplication_id = 0x2000", "link.chat.application_id: cannot be 0x2000"),
        (rcop, "transport = \"xmpp_rcop\"\nsap = 16", "link.chat.sap: cannot be 16: 1 to 15"),
        (rcop, "transport = \"xmpp_rcop\"\nwindow = 0", "link.chat.window: 0 is not between 1 and 64"),
        (rcop, "transport = \"xmpp_rcop\"\nconnection_id = 3", "link.chat.connection_id: two contexts have 3"),
        (rcop, "transport = \"xmpp_rcop\"\nlisten = \"x\"", "link.chat.listen: is of no use: the link is no xmpp_tcp"),
        (
            rcop,
            "transport = \"xmpp_rcop\"\nprofile = \"standard\"\nurgent_connection_id = 1",
            "link.chat.urgent_connection_id: standard knows one context",
        ),
        (
            rcop,
            "transport = \"xmpp_rcop\"\nprofile = \"standard\"\nstream_management = \"explicit\"",
            "link.chat.stream_management: cannot be explicit: there is none over RCOP",
        ),
        (acp, "transport = \"acp142_radio\"\nprofile = \"skywave\"", "link.quiet.profile: cannot be skywave"),
        (
            "address = \"1.1.0.1\"",
            "address = \"1.1.0.1\"\nbits_per_second = 1000001",
            "cannot be 1000001: 1 to 1000000",
        ),
        (
            "[link.chat]",
            "[route.x]\ndomains = [\"field.test\"]\nsite = \"field.test\"\nlinks = [\"chat\"]\n[link.chat]",
            "route.x.links: link chat carries chat and no mail",
        ),
        (
            "[link.chat]",
            "[link.again]\ncarriage = \"xmpp\"\ntransport = \"xmpp_rcop\"\nradio = \"hf\"\nconnection_id = 4\n\
             [link.again.site.\"field.test\"]\naddress = \"1.1.0.2\"\n[link.chat]",
            "link.chat.connection_id: link again has the same SAP, connection id and application id",
        ),
        (
            "carriage = \"xmpp\"\ntransport = \"acp142_radio\"",
            "carriage = \"mule\"\nprofile = \"units\"\ntransport = \"acp142_radio\"",
            "link.quiet.profile: is of no use: the link carries no chat",
        ),
    ]);
}

#[test]
fn a_listener_that_could_know_nobody_is_refused() {
    let open = HQ.replace("accept_from = [", "#").replace("tls = \"mutual\"", "tls = \"server\"");
    assert!(mistakes(&open).iter().any(|mistake| mistake.contains("link.sat.accept_from: is missing")));
    let known = HQ.replace("accept_from = [", "#");
    assert_eq!(mistakes(&known), Vec::<String>::new(), "a certificate is enough");
}

/// Each row: what one end changes, and what the comparison says.
#[test]
fn the_two_ends_of_a_link_are_compared() {
    let hq = loaded("hq.toml", HQ);
    let found = |text: &str| -> Vec<String> {
        compare(&hq, &loaded("field.toml", text)).iter().map(ToString::to_string).collect()
    };
    assert_eq!(found(&field()), Vec::<String>::new());
    let (tcp, rcop) = ("transport = \"xmpp_tcp\"", "transport = \"xmpp_rcop\"");
    let both = "listen = \"192.0.2.1:5270\"\nconnect = \"192.0.2.2:5270\"";
    for (line, by, expected) in [
        (tcp, "transport = \"xmpp_tcp\"\nprofile = \"standard\"", "link.sat.profile: skywave here, standard at field"),
        (tcp, "transport = \"xmpp_tcp\"\nprofile = \"standard\"", "link.sat.compression: true here, false at"),
        (
            tcp,
            "transport = \"xmpp_tcp\"\nprofile = \"standard\"\ncompression = true\ndictionary = \"skywave-1\"",
            "link.sat.dictionary: none here, skywave-1 at",
        ),
        (
            tcp,
            "transport = \"xmpp_tcp\"\nprofile = \"standard\"\nstream_management = \"implicit\"",
            "link.sat.stream_management: off here, implicit at",
        ),
        (tcp, "transport = \"xmpp_tcp\"\nstanza_octets_max = 2000", "link.sat.stanza_octets_max: 65536 here, 2000 at"),
        (tcp, "transport = \"xmpp_tcp\"\nbits_per_second = 9600", "link.sat.bits_per_second: 64000 here, 9600 at"),
        ("tls = \"mutual\"", "tls = \"server\"", "link.sat.tls: mutual here, server at"),
        (rcop, "transport = \"xmpp_rcop\"\nsap = 2", "link.chat.sap: 6 here, 2 at"),
        (rcop, "transport = \"xmpp_rcop\"\nconnection_id = 1", "link.chat.connection_id: 0 here, 1 at"),
        (rcop, "transport = \"xmpp_rcop\"\nurgent_connection_id = 1", "link.chat.urgent_connection_id: 3 here, 1 at"),
        (rcop, "transport = \"xmpp_rcop\"\napplication_id = 0x9001", "application_id: 0x8001 here, 0x9001 at"),
        (
            "address = \"1.1.0.2\"",
            "address = \"1.1.0.9\"",
            "link.chat.site.\"field.test\".address: 1.1.0.2 here, field.test has 1.1.0.9",
        ),
    ] {
        let found = found(&field().replacen(line, by, 1));
        assert!(found.iter().any(|mistake| mistake.contains(expected)), "{by}: {expected}\nfound: {found:#?}");
    }
    for (ours, theirs, fits) in [("we", "we", false), ("they", "they", false), ("we", "they", true)] {
        let with = |text: &str, opener: &str| {
            let lines = match opener {
                "we" => "connect = \"192.0.2.2:5270\"\nopener = \"we\"",
                _ => "listen = \"192.0.2.1:5270\"\nopener = \"they\"",
            };
            text.replace(both, lines)
        };
        let mistakes = compare(&loaded("hq.toml", &with(HQ, ours)), &loaded("field.toml", &with(&field(), theirs)));
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let expected = format!("link.sat.opener: {ours} here, {theirs} too at field.test");
        assert_eq!(told.iter().any(|mistake| mistake.contains(&expected)), !fits, "{told:?}");
        assert!(fits || told.len() == 1, "{told:?}");
    }
}
