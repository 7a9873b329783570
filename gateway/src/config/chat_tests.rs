//! Chat: every mistake has its place and reason, and the two ends of the samples fit each other.

use std::collections::BTreeMap;

use skywave_protocols::xmpp::presence::PresenceSync;

use super::compare::compare;
use super::{Loaded, Text, load};
use crate::chat::Way;
use crate::chat::config::EmconRule;

fn loaded(file: &str, text: &str) -> Loaded {
    let texts = [Text { file: file.to_owned(), text: text.to_owned() }];
    load(&texts, &BTreeMap::new()).unwrap_or_else(|mistakes| panic!("{file}: {mistakes:#?}"))
}

fn mistakes(text: &str) -> Vec<String> {
    let texts = [Text { file: "a.toml".to_owned(), text: text.to_owned() }];
    load(&texts, &BTreeMap::new()).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

const HQ: &str = include_str!("../../examples/chat-hq.toml");
const FIELD: &str = include_str!("../../examples/chat-field.toml");

#[test]
fn the_samples_are_two_ends_of_the_same_links() {
    let satcom =
        (include_str!("../../examples/chat-satcom-hq.toml"), include_str!("../../examples/chat-satcom-field.toml"));
    for (hq, field) in [(HQ, FIELD), satcom] {
        let (hq, field) = (loaded("hq.toml", hq), loaded("field.toml", field));
        assert_eq!(compare(&hq, &field), []);
        let session = |loaded: &Loaded| loaded.site.chat.as_ref().unwrap().peers[0].session.names.clone();
        assert_eq!(session(&hq), session(&field), "both ends have the same dictionary");
    }
}

/// What nobody wrote follows the link: what a plain profile lost is asked for, and requests live shorter on TCP.
#[test]
fn presence_and_lives_follow_the_link() {
    let satcom = include_str!("../../examples/chat-satcom-hq.toml");
    let standard = satcom.replace("carriage = \"xmpp\"", "carriage = \"xmpp\"\nprofile = \"standard\"");
    assert_ne!(standard, satcom);
    let mut said = standard.clone();
    let at = said.find("[chat.peer.").unwrap();
    let name = said[at..].lines().next().unwrap().trim_end_matches(']').to_owned();
    said.push_str(&format!("\n{name}.presence]\nsync = \"push\"\n{name}.life]\nrequest_seconds = 7\n"));
    for (text, sync, seconds) in [
        (HQ, PresenceSync::Push, 3_600),
        (satcom, PresenceSync::Push, 600),
        (&standard, PresenceSync::Probe, 600),
        (&said, PresenceSync::Push, 7),
    ] {
        let site = loaded("hq.toml", text).site;
        let peer = &site.chat.as_ref().unwrap().peers[0];
        assert_eq!((peer.presence.sync, peer.lives.request_seconds), (Some(sync), Some(seconds)));
    }
}

#[test]
fn ends_that_do_not_fit_are_told() {
    let hq = loaded("hq.toml", HQ);
    let rows = [
        ("names = [\"watch@hq.test\", ", "names = [", "names"),
        ("domains = [\"hq.test\", \"chat.hq.test\"]\nlink", "domains = [\"hq.test\", \"other.test\"]\nlink", "domains"),
        ("site = \"hq.test\"\ndomains", "site = \"other.test\"\ndomains", "site"),
    ];
    for (from, to, key) in rows {
        // A component must be a domain of some far site.
        let text = FIELD.replace(from, to);
        let text = if key == "domains" {
            text.replace("component.\"chat.hq.test\"", "component.\"other.test\"")
        } else {
            text
        };
        let text = if key == "site" { text.replace("site.\"hq.test\"]", "site.\"other.test\"]") } else { text };
        assert_ne!(text, FIELD, "{key}");
        let found = compare(&hq, &loaded("field.toml", &text));
        assert!(found.iter().any(|mistake| mistake.key.ends_with(key)), "{key}: {found:?}");
    }
}

#[test]
fn all_mistakes_at_once_each_with_its_line() {
    let text = HQ
        .replace("link = \"chat\"", "link = \"chant\"")
        .replace("filter = \"hf-fast\"", "filter = \"hf-faster\"")
        .replace("emcon = \"hold\"", "emcon = \"units\"")
        .replace("target = \"127.0.0.1:5347\"", "target = \"127.0.0.1\"")
        .replace("secret_file = \"/etc/skywave/component.secret\"\n", "")
        + "\n[filter.own]\nbase = \"hf-fastest\"\n[chat.peer.again]\nsite = \"hq.test\"\ndomains = [\"field.test\"]\n";
    let found = mistakes(&text);
    for part in [
        "chat.peer.field.link: there is no [link.chant]",
        "chat.peer.field.filter: there is no [filter.hf-faster]",
        "chat.peer.field.emcon: units need a units_link",
        "chat.component.\"field.test\".target: ",
        "chat.component.\"field.test\".secret: either secret or secret_file is needed",
        "filter.own.base: ",
        "chat.peer.again.site: is this site itself",
        "chat.peer.again.link: is missing",
    ] {
        assert!(found.iter().any(|mistake| mistake.contains(part)), "{part}\n{found:#?}");
    }
    assert!(found.iter().any(|mistake| mistake.contains("overlaps")), "{found:#?}");
    assert!(found.iter().all(|mistake| mistake.starts_with("a.toml:")), "{found:#?}");
}

#[test]
fn further_links_of_a_far_site_and_rules_that_route_by_them_are_checked() {
    let more = "\n[link.sat]\ncarriage = \"xmpp\"\ntransport = \"xmpp_tcp\"\nconnect = \"192.0.2.2:5270\"\n\
                [link.sat.site.\"field.test\"]\n[filter.own]\nbase = \"hf-fast\"\n[[filter.own.to_link.rule]]\n\
                match = { size_octets_over = 500 }\naction = { route = \"sat\" }\n";
    let text = |links: &str| {
        let own = HQ.replace("filter = \"hf-fast\"", "filter = \"own\"");
        own.replace("link = \"chat\"\n", &format!("link = \"chat\"\nalternate_links = {links}\n")) + more
    };
    let hq = loaded("hq.toml", &text("[\"sat\"]"));
    let peer = &hq.site.chat.as_ref().unwrap().peers[0];
    assert_eq!((peer.way_to("sat"), peer.way_to("chat")), (Some(Way::Alternate(0)), Some(Way::Stream)));
    assert_eq!(peer.link_of(Way::Alternate(0)).map(|link| &**link), Some("sat"));
    for (links, expected) in [
        ("[]", "a rule that routes by \"sat\", no link of field"),
        ("[\"sat\", \"chat\"]", "alternate_links: chat is named twice"),
        ("[\"sat\", \"none\"]", "alternate_links: there is no [link.none]"),
        ("[\"sat\", \"a\", \"b\", \"c\", \"d\"]", "5 are more than 4"),
    ] {
        let found = mistakes(&text(links));
        assert!(found.iter().any(|mistake| mistake.contains(expected)), "{expected}\n{found:#?}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let text = HQ.replace("secret_file = \"/etc/skywave/component.secret\"", "secret = \"tops3cret\"");
    let loaded = loaded("hq.toml", &text);
    assert_eq!(loaded.site.chat.as_ref().unwrap().door.components[0].secret, "tops3cret");
    let shown = toml::to_string(&loaded.raw).unwrap();
    assert!(!shown.contains("tops3cret") && shown.contains("(hidden)"), "{shown}");
    assert!(!format!("{:?}", loaded.site).contains("tops3cret"));
    assert_eq!(loaded.site.chat.unwrap().peers[0].emcon, EmconRule::Hold);
}

/// A far site over a stream that is written like this, with more keys of its own and a filter.
fn over(stream: &str, peer: &str, filter: &str) -> String {
    let link = format!(
        "\n[link.sat]\ncarriage = \"xmpp\"\ntransport = \"xmpp_tcp\"\nconnect = \"192.0.2.2:5270\"\n{stream}\n\
         [link.sat.site.\"field.test\"]\n[filter.own]\nbase = \"hf-fast\"\n{filter}\n"
    );
    let own = HQ.replace("filter = \"hf-fast\"", &format!("filter = \"own\"\n{peer}"));
    own.replace("link = \"chat\"\n", "link = \"sat\"\n") + &link
}

#[test]
fn labels_that_may_not_mix_need_contexts() {
    let groups = "label_groups = [{ policy = \"1.2.3\", classification_max = 2 }, { marking = \"SECRET*\" }]";
    for (stream, expected) in [
        ("", None),
        ("profile = \"standard\"", None),
        ("profile = \"standard\"\ncompression = true", Some("label_groups: sat has one compressed stream for all")),
        ("profile = \"m-link-r17\"", Some("label_groups: sat has one compressed stream for all (m-link-r17)")),
    ] {
        let found = mistakes(&over(stream, groups, ""));
        let told = expected.is_none_or(|part| found.iter().any(|mistake| mistake.contains(part)));
        assert!(told && found.len() == usize::from(expected.is_some()), "{stream}: {found:#?}");
    }
    let found = mistakes(&over("", "label_groups = [{ classification_min = 3, classification_max = 2 }]", ""));
    assert!(found[0].contains("chat.peer.field.label_groups.0.classification_max: "), "{found:#?}");
}

#[test]
fn short_ids_are_what_the_filter_says() {
    let short = |stream: &str, filter: &str| {
        let loaded = loaded("hq.toml", &over(stream, "", filter));
        loaded.site.chat.unwrap().peers[0].session.short_ids
    };
    assert!(short("", "") && short("", "[filter.own.to_link]\nshort_id = true"));
    assert!(!short("", "[filter.own.to_link]\nshort_id = false"));
    let found = mistakes(&over("profile = \"standard\"", "", "[filter.own.to_link]\nshort_id = true"));
    assert!(found[0].contains("own wants short ids, which sat cannot have"), "{found:#?}");
}
