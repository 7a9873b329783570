//! Every mistake has its file, line, key and reason; every sample is without one.

use super::compare::compare;
use super::*;
use crate::node::config::TransportConfig;

const HQ: &str = include_str!("../../examples/hq.toml");
const FIELD: &str = include_str!("../../examples/field.toml");
const SHIP: &str = include_str!("../../examples/ship-emcon.toml");
const RELAY: &str = include_str!("../../examples/relay-udp.toml");

fn texts(all: &[(&str, &str)]) -> Vec<Text> {
    all.iter().map(|(file, text)| Text { file: (*file).to_owned(), text: (*text).to_owned() }).collect()
}

fn loaded(file: &str, text: &str) -> Loaded {
    load(&texts(&[(file, text)]), &BTreeMap::new()).unwrap_or_else(|mistakes| panic!("{file}: {mistakes:#?}"))
}

fn mistakes(text: &str) -> Vec<String> {
    match load(&texts(&[("a.toml", text)]), &BTreeMap::new()) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_samples_have_no_mistake_and_fit_each_other() {
    let (hq, field, ship) = (loaded("hq.toml", HQ), loaded("field.toml", FIELD), loaded("ship-emcon.toml", SHIP));
    loaded("relay-udp.toml", RELAY);
    for (a, b) in [(&hq, &field), (&hq, &ship)] {
        assert_eq!(compare(a, b), Vec::new(), "{} {}", a.site.site, b.site.site);
    }
    let TransportConfig::Acp142Radio { acp142, .. } = &hq.site.links[0].transport else { panic!() };
    assert_eq!((acp142.id, &*acp142.sites[0].site, acp142.sites[0].id), (0x0101_0001, "field.test", 0x0101_0002));
    assert_eq!(ship.site.queue.lifetimes[1].as_secs(), 864_000);
    assert_eq!(ship.site.queue.lifetimes[2].as_secs(), 259_200, "a table merges key by key");
    assert_eq!(ship.site.local[0].keep_open, None);
}

#[test]
fn the_effective_configuration_reads_back() {
    let hq = loaded("hq.toml", HQ);
    let printed = toml::to_string(&hq.raw).unwrap();
    assert_eq!(loaded("printed.toml", &printed).site, hq.site);
}

/// The hq sample with one line replaced (or added at the end), and the mistake that follows.
#[test]
fn every_mistake_has_its_place_and_reason() {
    for (line, by, expected) in [
        ("site = \"hq.test\"", "", "a.toml: site: is missing"),
        ("site = \"hq.test\"", "site = \"h q\"", "a.toml:4: site: \"h q\" is no domain name"),
        ("site = \"hq.test\"", "site = 5", "a.toml:4: site: invalid type: integer `5`, expected a string"),
        ("[mail]", "[mail]\nlisen = []", "a.toml:9: mail.lisen: unknown field `lisen`"),
        ("[mail]", "[mail]\nhops_max = 0", "a.toml:9: mail.hops_max: cannot be 0"),
        ("[mail]", "[mail]\nauth = true", "a.toml:9: mail.auth: needs a password_file"),
        ("[mail]", "[mail]\ncertificate = \"x\"", "a.toml:9: mail.certificate: there is no [certificate.x]"),
        ("[mail]", "[mail]\nprecedence_ceiling = \"12\"", "a.toml:9: mail.precedence_ceiling: \"12\" is no precedence"),
        ("[mail]", "[mail]\nprecedence_ceiling = \"-4\"", "a.toml:8: mail.precedence_default: is higher than"),
        ("listen = [\"127.0.0.1:2525\"]", "listen = [\"here\"]", "a.toml:9: mail.listen: \"here\" is no address"),
        ("[\"127.0.0.0/8\", \"::1/128\"]", "[\"10.0.0.0/33\"]", "a.toml:11: mail.relay_networks: \"10.0.0.0/33\""),
        (
            "target = \"127.0.0.1:2526\"",
            "target = \"mta\"",
            "a.toml:16: local.mta.target: \"mta\" is no host with port",
        ),
        ("target = \"127.0.0.1:2526\"", "", "a.toml:14: local.mta.target: is missing"),
        (
            "domains = [\"hq.test\"]",
            "domains = [\"*\"]",
            "route.field.domains: \"field.test\" overlaps \"*\" of local.mta",
        ),
        ("domains = [\"hq.test\"]", "domains = [\"ship.test\"]", "route.ship.domains: \"ship.test\" overlaps"),
        (
            "domains = [\"ship.test\"]",
            "domains = [\".x.field.test\"]",
            "overlaps \".field.test\" of route.field.domains",
        ),
        ("node = \"127.0.0.1:5066\"", "", "radio.hf.node: is missing"),
        ("address = \"1.1.0.1\"", "address = \"40.1.0.1\"", "radio.hf.address: \"40.1.0.1\" is no STANAG 5066 address"),
        ("address = \"1.1.0.1\"", "address = \"17.1.0.1\"", "radio.hf.address: \"17.1.0.1\" is a group"),
        ("group = \"17.0.0.1\"", "group = \"1.0.0.1\"", "link.hf.group: \"1.0.0.1\" is no group"),
        ("group = \"17.0.0.1\"", "", "link.hf.group: is missing: the link reaches several sites"),
        ("carriage = \"mule\"", "carriage = \"batch\"", "link.hf.transport: does not fit the carriage"),
        ("carriage = \"mule\"", "carriage = \"pigeon\"", "link.hf.carriage: \"pigeon\" is none"),
        ("transport = \"acp142_radio\"", "transport = \"acp142_udp\"", "link.hf.bind: is missing"),
        ("radio = \"hf\"", "radio = \"vhf\"", "link.hf.radio: there is no [radio.vhf]"),
        (
            "radio = \"hf\"",
            "radio = \"hf\"\npdu_octets_max = 9000",
            "link.hf.pdu_octets_max: cannot be 9000: 64 to 2042",
        ),
        (
            "address = \"1.1.0.3\"",
            "address = \"1.1.0.2\"",
            "link.hf.site.\"ship.test\".address: field.test has it already",
        ),
        ("address = \"1.1.0.3\"", "address = \"1.1.0.1\"", "link.hf.site.\"ship.test\".id: is our own id"),
        ("address = \"1.1.0.3\"", "address = \"1.1.0.3\"\nquirks = \"odd\"", "quirks: \"odd\" is none"),
        ("site = \"ship.test\"", "site = \"hq.test\"", "route.ship.site: is this site itself"),
        ("site = \"ship.test\"", "site = \"moon.test\"", "route.ship.links: link hf does not reach moon.test"),
        ("", "[queue]\nmails_max = 5\nmails_reserved = 5", "queue.mails_reserved: leaves no room"),
        ("", "[queue]\nlifetime_seconds.flash = 0", "queue.lifetime_seconds.flash: cannot be 0"),
        ("", "[certificate.x]\nkey_file = \"k\"", "certificate.x.chain_file: is missing"),
        ("", "hand_over_tls = ", "a.toml:48: string values must be quoted"),
    ] {
        let text = if line.is_empty() { format!("{HQ}\n{by}\n") } else { HQ.replacen(line, by, 1) };
        let found = mistakes(&text);
        assert!(found.iter().any(|mistake| mistake.contains(expected)), "{by}: {expected}\nfound: {found:#?}");
        assert!(found.iter().all(|mistake| mistake.starts_with("a.toml")), "{found:#?}");
    }
}

/// What would leave a link out when the site starts, and what no unit could carry.
#[test]
fn what_an_engine_refuses_is_a_mistake() {
    for (line, by, expected) in [
        ("radio = \"hf\"", "radio = \"hf\"\nack_wait_seconds = 0", "link.hf.ack_wait_seconds: must be 1 s to 1 day"),
        ("radio = \"hf\"", "radio = \"hf\"\nack_wait_seconds = 86401", "link.hf.ack_wait_seconds: must be 1 s to"),
        ("radio = \"hf\"", "radio = \"hf\"\nback_off_hundredths = 1001", "link.hf.back_off_hundredths: must be 100 to"),
        ("radio = \"hf\"", "radio = \"hf\"\nid = 4294967295", "link.hf.id: must be neither 0 nor all ones"),
        (
            "radio = \"hf\"",
            "radio = \"hf\"\nacp142.rounds_max = 0",
            "a.toml:30: link.hf.acp142.rounds_max: must be 1 to",
        ),
        ("radio = \"hf\"", "radio = \"hf\"\nacp142.missing_max = 0", "link.hf.acp142.missing_max: must be 1 to 16000"),
        ("radio = \"hf\"", "radio = \"hf\"\nacp142.ack_pdu_seconds = 0", "link.hf.acp142.ack_pdu_seconds: must be 1 s"),
        ("radio = \"hf\"", "radio = \"hf\"\nacp142.quiet_seconds = 604801", "acp142.quiet_seconds: must be at most"),
        ("radio = \"hf\"", "radio = \"hf\"\nacp142.unit_octets_max = 0", "acp142.unit_octets_max: must be 1 octet to"),
        ("radio = \"hf\"", "radio = \"hf\"\nacp142.udop_sap = 16", "link.hf.acp142.udop_sap: cannot be 16: 1 to 15"),
        ("radio = \"hf\"", "radio = \"hf\"\nacp142.checksum = \"crc\"", "acp142.checksum: unknown variant `crc`"),
        ("radio = \"hf\"", "radio = \"hf\"\nacp142.rounds = 3", "link.hf.acp142.rounds: unknown field `rounds`"),
        ("radio = \"hf\"", "radio = \"hf\"\nemcon_repeats = 1001", "link.hf.emcon_repeats: cannot be 1001: at most"),
        ("radio = \"hf\"", "radio = \"hf\"\nemcon_interval_seconds = 0", "link.hf.emcon_interval_seconds: cannot be 0"),
        (
            "radio = \"hf\"",
            "radio = \"hf\"\nemcon_by_precedence.flush.repeats = 3",
            "link.hf.emcon_by_precedence.flush: \"flush\" is no precedence",
        ),
        (
            "radio = \"hf\"",
            "radio = \"hf\"\nemcon_by_precedence.flash.interval_seconds = 0",
            "link.hf.emcon_by_precedence.flash.interval_seconds: cannot be 0",
        ),
        ("[radio.hf]", "[radio.hf]\nkeep_alive_seconds = 119", "radio.hf.keep_alive_seconds: cannot be 119: 0, or 120"),
        ("[radio.hf]", "[radio.hf]\nreconnect_first_seconds = 0", "radio.hf.reconnect_first_seconds: cannot be 0"),
        ("[radio.hf]", "[radio.hf]\nreconnect_first_seconds = 61", "reconnect_longest_seconds: must be"),
        (
            "",
            "[link.x]\ncarriage = \"mule\"\ntransport = \"acp142_radio\"\nradio = \"hf\"\n\
             site.\"x.test\".address = \"1.1.0.9\"",
            "link.x.radio: link hf has the same SAP, connection id and application id",
        ),
        ("[mail]", "[mail]\nrecipients_max = 10001", "mail.recipients_max: 10001 recipients, a unit has at most 10000"),
        (
            "",
            "[batch_mail.x]\nto = \"b@far.test\"\nextensions = [\"mt-priority\", \"CHUNKING\"]",
            "batch_mail.x.extensions: \"CHUNKING\" is none: MT-PRIORITY, DELIVERBY, SMTPUTF8",
        ),
    ] {
        let text = if line.is_empty() { format!("{HQ}\n{by}\n") } else { HQ.replacen(line, by, 1) };
        let found = mistakes(&text);
        assert!(found.iter().any(|mistake| mistake.contains(expected)), "{by}: {expected}\nfound: {found:#?}");
        assert!(found.iter().all(|mistake| mistake.starts_with("a.toml")), "{found:#?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = HQ
        .replace("address = \"1.1.0.2\"", "adress = \"1.1.0.2\"")
        .replace("bits_per_second = 1200", "bits_per_second = \"fast\"")
        .replace("links = [\"hf\"]", "links = [\"hg\"]");
    let found = mistakes(&text);
    for expected in ["adress: unknown field", "bits_per_second: invalid type", "route.ship.links", "route.field.links"]
    {
        assert!(found.iter().any(|mistake| mistake.contains(expected)), "{expected}: {found:#?}");
    }
}

#[test]
fn later_texts_and_the_environment_override_key_by_key() {
    let conf_d = "[mail]\nhostname = \"mx.hq.test\"\n[link.hf.site.\"field.test\"]\nsilent = true\n";
    let environment = BTreeMap::from([
        ("SKYWAVE_MAIL__LISTEN".to_owned(), "127.0.0.1:25,[::1]:25".to_owned()),
        ("SKYWAVE_MAIL__HOPS_MAX".to_owned(), "7".to_owned()),
        ("OTHER".to_owned(), "x".to_owned()),
    ]);
    let loaded = load(&texts(&[("hq.toml", HQ), ("conf.d/a.toml", conf_d)]), &environment).unwrap();
    assert_eq!(loaded.site.mail.hostname, "mx.hq.test");
    assert_eq!(loaded.site.mail.listen.len(), 2);
    assert_eq!(loaded.site.mail.hops_max, 7);
    let TransportConfig::Acp142Radio { acp142, .. } = &loaded.site.links[0].transport else { panic!() };
    assert!(acp142.sites[0].silent, "merged into the site of the first file");
    assert_eq!(acp142.sites[0].address, "1.1.0.2");

    let wrong = BTreeMap::from([("SKYWAVE_MAIL__HOPS".to_owned(), "7".to_owned())]);
    let mistakes = load(&texts(&[("hq.toml", HQ)]), &wrong).unwrap_err();
    assert!(
        mistakes[0].to_string().starts_with("environment SKYWAVE_MAIL__HOPS: mail.hops: unknown field"),
        "{mistakes:?}"
    );
}

#[test]
fn the_two_ends_of_a_link_are_compared() {
    let hq = loaded("hq.toml", HQ);
    for (line, by, expected) in [
        ("bits_per_second = 1200", "bits_per_second = 2400", "link.hf.bits_per_second: 1200 here, 2400 at field.test"),
        (
            "address = \"1.1.0.2\"",
            "address = \"1.1.0.9\"",
            "link.hf.site.\"field.test\".address: 1.1.0.2 here, field.test has 1.1.0.9",
        ),
        ("radio = \"hf\"", "radio = \"hf\"\nid = 7", "link.hf.site.\"field.test\".id: 16842754 here, field.test has 7"),
        (
            "radio = \"hf\"",
            "radio = \"hf\"\ngroup = \"17.0.0.2\"",
            "link.hf.group: 17.0.0.1 here, 17.0.0.2 at field.test",
        ),
        ("radio = \"hf\"", "radio = \"hf\"\nacp142.rcop_sap = 2", "link.hf.acp142.rcop_sap: 6 here, 2 at field.test"),
        ("radio = \"hf\"", "radio = \"hf\"\ninflated_octets_max = 1000", "link.hf.inflated_octets_max: hq.test takes"),
        ("site = \"field.test\"", "site = \"hq.test\"", "site: hq.test is the other site's name too"),
        (
            "\"field.test\", \".field.test\"",
            "\"x.test\"",
            "route.field.domains: field.test has no way for \"field.test\"",
        ),
    ] {
        let text = FIELD.replacen(line, by, 1);
        let text = if by == "site = \"hq.test\"" {
            text.replace("\"hq.test\"", "\"hq2.test\"").replacen("hq2", "hq", 1)
        } else {
            text
        };
        let field = loaded("field.toml", &text);
        let found: Vec<String> = compare(&hq, &field).iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|mistake| mistake.contains(expected)), "{expected}\nfound: {found:#?}");
    }
    let circle = FIELD
        .replace("domains = [\"field.test\", \".field.test\"]", "domains = [\"other.test\"]")
        .replace("domains = [\"hq.test\"]", "domains = [\"hq.test\", \"field.test\", \".field.test\"]");
    let found = compare(&hq, &loaded("field.toml", &circle));
    assert!(found.iter().any(|mistake| mistake.reason.contains("comes back")), "{found:#?}");
}

/// Keys of ACP 142 and of the session reach what runs; what is not said keeps the engine's own value.
#[test]
fn what_is_said_of_acp_142_is_what_runs() {
    let acp142 = |text: &str| {
        let site = loaded("a.toml", text).site;
        let TransportConfig::Acp142Radio { acp142, .. } = &site.links[0].transport else { panic!() };
        (acp142.clone(), site.radios[0].clone())
    };
    let (usual, radio) = acp142(HQ);
    assert_eq!(usual.emcon, skywave_protocols::acp142::config::SILENT_USUAL);
    assert_eq!((radio.zero_counters, radio.keep_alive.map(|at| at.as_secs())), (false, Some(120)));
    let keys = "radio = \"hf\"\nemcon_interval_seconds = 300\nemcon_by_precedence.flash = { repeats = 9 }\n\
                emcon_by_precedence.routine = { repeats = 1, interval_seconds = 7200 }\nacp142.obey_discards = false\n";
    let session = "[radio.hf]\nzero_counters = true\nkeep_alive_seconds = 0\nreconnect_first_seconds = 5\n";
    let (said, radio) = acp142(&HQ.replacen("radio = \"hf\"", keys, 1).replacen("[radio.hf]", session, 1));
    let plans = said.emcon.map(|plan| (plan.interval.as_secs(), plan.repeats));
    assert_eq!(plans, [(300, 2), (7200, 1), (300, 3), (300, 3), (300, 9), (300, 4)]);
    assert_eq!(said.options.obey_discards, Some(false));
    assert!(radio.zero_counters && radio.keep_alive.is_none());
    assert_eq!((radio.back_off.first.as_secs(), radio.back_off.longest.as_secs()), (5, 60));
}

/// What this house has chosen where the standards leave it open is a key each, and reaches what runs.
#[test]
fn what_was_chosen_can_be_configured() {
    use skywave_protocols::acp142::quirks::Quirks;
    use skywave_protocols::smtp::headers::{MmhsUnknown, Stand};
    let usual = loaded("a.toml", HQ).site;
    let said = HQ
        .replacen("[mail]", "[mail]\nmmhs_6_to_15 = \"flash\"\nmmhs_16_to_31 = \"ceiling\"", 1)
        .replacen(
            "[radio.hf]",
            "[radio.hf]\nconfirm_ahead_seconds = 30\ndscp = 46\npriorities = [0, 1, 2, 3, 4, 5]\n\
             address_half_octets = 3",
            1,
        )
        .replacen("address = \"1.1.0.3\"", "address = \"1.1.0.3\"\nquirks = [\"no_ranges\", \"shrinking_totals\"]", 1);
    let site = loaded("a.toml", &said).site;
    assert_eq!(usual.mail.mmhs_unknown, MmhsUnknown::default());
    let mmhs = MmhsUnknown {
        low: Stand::For(skywave_protocols::message::precedence::Precedence::Flash),
        high: Stand::Ceiling,
    };
    assert_eq!(site.mail.mmhs_unknown, mmhs);
    let radio = |site: &SiteConfig| {
        let radio = &site.radios[0];
        (radio.confirm_ahead.as_secs(), radio.dscp, radio.priorities, radio.address_half_octets)
    };
    assert_eq!(radio(&usual), (255, 0, [1, 3, 6, 9, 12, 15], 7));
    assert_eq!(radio(&site), (30, 46, [0, 1, 2, 3, 4, 5], 3));
    let quirks = site.links[0].transport.sites().iter().map(|site| site.quirks).collect::<Vec<_>>();
    let both = Quirks { no_ranges: true, shrinking_totals: true, ..Quirks::default() };
    assert!(quirks.contains(&both) && quirks.contains(&Quirks::default()), "{quirks:?}");
    let batch = HQ.replacen("\"mule\"", "\"batch\"", 1).replacen("\"acp142_radio\"", "\"batch_radio\"", 1);
    let batch = loaded("a.toml", &batch.replacen("radio = \"hf\"", "radio = \"hf\"\nbatch_octets_max = 9000", 1)).site;
    assert_eq!(batch.links[0].mail_octets_max(), 9000);
    let link = |key: &str| HQ.replacen("radio = \"hf\"", &format!("radio = \"hf\"\n{key}"), 1);
    for (text, expected) in [
        (HQ.replacen("[mail]", "[mail]\nmmhs_6_to_15 = \"high\"", 1), "mail.mmhs_6_to_15: \"high\" is neither"),
        (
            HQ.replacen("[radio.hf]", "[radio.hf]\npriorities = [1, 3, 3, 9, 12, 15]", 1),
            "radio.hf.priorities: rises not",
        ),
        (HQ.replacen("[radio.hf]", "[radio.hf]\ndscp = 64", 1), "radio.hf.dscp: 64 is above 63"),
        (HQ.replacen("[radio.hf]", "[radio.hf]\naddress_half_octets = 8", 1), "radio.hf.address_half_octets: 8 is not"),
        (HQ.replacen("[radio.hf]", "[radio.hf]\nconfirm_ahead_seconds = 0", 1), "radio.hf.confirm_ahead_seconds: 0 s"),
        (link("acp142.priorities = [0, 1, 2, 3, 4, 5]"), "link.hf.acp142.priorities: must be lower"),
        (link("acp142.dscps = [0, 0, 0, 0, 0, 99]"), "link.hf.acp142.dscps: cannot be 99"),
    ] {
        let found = mistakes(&text);
        assert!(found.iter().any(|mistake| mistake.contains(expected)), "{expected}: {found:?}");
    }
}

/// Who writes down what is usual says nothing else than who leaves it out. The ports of batches are compared too.
#[test]
fn ends_are_compared_by_what_holds_and_not_by_what_is_written() {
    let hq = loaded("hq.toml", HQ);
    let same = "radio = \"hf\"\nacp142 = { rcop_sap = 6, application_id = 8192, unit_octets_max = 16777216 }";
    assert_eq!(compare(&hq, &loaded("field.toml", &FIELD.replacen("radio = \"hf\"", same, 1))), Vec::new());
    let batch = |text: &str, more: &str| {
        let text = text.replacen("\"mule\"", "\"batch\"", 1).replacen("\"acp142_radio\"", "\"batch_radio\"", 1);
        text.replacen("radio = \"hf\"", &format!("radio = \"hf\"\n{more}"), 1)
    };
    let group = "group = \"17.0.0.1\"\n";
    let [hq, same, other, alone] = [
        (HQ, String::new()),
        (FIELD, format!("{group}connection_id = 2")),
        (FIELD, format!("{group}application_id = 33000\nsap = 9")),
        (FIELD, String::new()),
    ]
    .map(|(text, more)| loaded("a.toml", &batch(text, &more)));
    let found = |field: &Loaded| compare(&hq, field).iter().map(ToString::to_string).collect::<Vec<_>>();
    let port = |field: &Loaded| found(field).iter().filter(|one| one.contains("sap:") || one.contains("_id:")).count();
    assert_eq!((port(&same), port(&other)), (0, 2), "{:?}", found(&other));
    // Who has a group listens for broadcasts, who has none for what is confirmed: they do not hear each other.
    assert_eq!(port(&alone), 1, "{:?}", found(&alone));
    for (more, expected) in [
        ("sap = 16", "link.hf.sap: cannot be 16: 1 to 15"),
        ("connection_id = 16", "link.hf.connection_id: cannot be 16: 0 to 15"),
        ("repeats = 17", "link.hf.repeats: cannot be 17: 1 to 16"),
        ("repeat_gap_seconds = 90000", "link.hf.repeat_gap_seconds: cannot be 90000: at most"),
        ("window = 3", "link.hf.window: is of no use"),
    ] {
        let found = mistakes(&batch(HQ, more));
        assert!(found.iter().any(|mistake| mistake.contains(expected)), "{more}: {found:?}");
    }
}
