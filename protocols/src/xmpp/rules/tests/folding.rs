//! What is taken away, and what is not.

use super::*;

fn folded(toml: &str, text: &str) -> String {
    outcome(&mut filter(toml), text)
}

const STRIP: &str = "[to_link]\nmessage.mode = \"strip\"\nmessage.elements = [\"{urn:a}*\", \"{}subject\", \"{}error\", \"{http://jabber.org/protocol/chatstates}*\", \"{urn:xmpp:delay}*\", \"{urn:xmpp:sec-label:0}*\", \"{jabber:x:conference}*\", \"{http://jabber.org/protocol/muc#user}*\", \"{urn:xmpp:omemo:2}*\", \"{eu.siacs.conversations.axolotl}*\"]";
const KEEP: &str = "[to_link]\nmessage.mode = \"keep-only\"\nmessage.elements = [\"{urn:a}a\"]";

/// Hostile input 21: the same element, written in every way a stream allows.
#[test]
fn no_namespace_trick_passes() {
    let states = "http://jabber.org/protocol/chatstates";
    for trick in [
        format!("<active xmlns='{states}'/>"),
        format!("<c:active xmlns:c='{states}'/>"),
        format!("<body:active xmlns:body='{states}'/>"),
        format!("<c:active xmlns:c='{states}' xmlns='jabber:server'/>"),
        format!("<active xmlns='{states}' id='x'>text</active>"),
    ] {
        let text = message(&format!("<body>x</body>{trick}"));
        for toml in [STRIP, KEEP, "base = \"sat\"", "base = \"hf-fast\"", "base = \"hf-slow\""] {
            assert_eq!(folded(toml, &text), message("<body>x</body>"), "{trick} {toml}");
        }
    }
    // A foreign body is no body; a body in a client's or component's namespace is one.
    let foreign = message("<body xmlns='urn:foreign'>hidden</body><subject>s</subject>");
    assert_eq!(folded(KEEP, &foreign), message("<subject>s</subject>"));
    for namespace in ["jabber:client", "jabber:component:accept", "jabber:server"] {
        let text = message(&format!("<x:subject xmlns:x='{namespace}'>s</x:subject><body>x</body>"));
        assert_eq!(folded(STRIP, &text), message("<body>x</body>"), "{namespace}");
    }
    let prefixed_root = format!(
        "<s:message xmlns:s='jabber:client' xmlns='urn:a' {PAIR} id='1' type='chat'><s:body>x</s:body><a/></s:message>"
    );
    assert_eq!(folded(STRIP, &prefixed_root), message("<body>x</body>"));
}

#[test]
fn lists_as_allow_and_as_strip() {
    let all = "<body>x</body><subject>s</subject><thread>t</thread><a xmlns='urn:a'/><b xmlns='urn:b'/>";
    assert_eq!(folded(STRIP, &message(all)), message("<body>x</body><thread>t</thread><b xmlns='urn:b'/>"));
    let kept = "<body>x</body><subject>s</subject><thread>t</thread><a xmlns='urn:a'/>";
    assert_eq!(folded(KEEP, &message(all)), message(kept));
    assert_eq!(folded(&format!("{KEEP}\nmessage.strict = true"), &message(all)), message("<a xmlns='urn:a'/>"));
    assert_eq!(folded(&format!("{KEEP}\nmessage.keep = [\"{{urn:b}}*\"]"), &message(all)), message(all));
    assert_eq!(folded(KEEP, &message("hidden<body>x</body>here")), message("<body>x</body>"), "text between elements");
    let fmuc = "<body>x</body><fmuc xmlns='http://isode.com/protocol/fmuc' from='a@b'/>";
    let room = message(fmuc).replace("type='chat'", "type='groupchat'");
    assert_eq!(folded(KEEP, &room), room);
    assert_eq!(folded(KEEP, &message(fmuc)), message("<body>x</body>"));
}

#[test]
fn what_must_stay_stays() {
    for inside in [
        "<x xmlns='jabber:x:conference' jid='room@chat.field.test'/>",
        "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='bob@field.test'/></x>",
        "<encrypted xmlns='eu.siacs.conversations.axolotl'><payload>AA==</payload></encrypted>",
        "<encrypted xmlns='urn:xmpp:omemo:2'/>",
        "<body>x</body><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>",
        "<body>x</body><securitylabel xmlns='urn:xmpp:sec-label:0'><label/></securitylabel>",
    ] {
        for toml in [STRIP, KEEP, "base = \"hf-slow\""] {
            assert_eq!(folded(toml, &message(inside)), message(inside), "{toml}");
        }
    }
    let error = message("<error type='wait'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")
        .replace("type='chat'", "type='error'");
    for toml in [STRIP, KEEP, "base = \"hf-slow\""] {
        assert_eq!(folded(toml, &error), error, "{toml}");
    }
}

#[test]
fn a_label_goes_only_where_it_may_be_released() {
    let marked = |marking: &str| {
        let label = format!("<displaymarking>{marking}</displaymarking>");
        message(&format!("<body>x</body><securitylabel xmlns='urn:xmpp:sec-label:0'>{label}</securitylabel>"))
    };
    let releasable = "releasable_labels = [{ marking = \"UNCLASSIFIED\" }, { marking = \"OPEN*\" }]";
    for (more, marking, goes) in [
        ("", "UNCLASSIFIED", false),
        (releasable, "UNCLASSIFIED", false),
        ("strip_labels = true", "SECRET", false),
        ("strip_labels = true", "UNCLASSIFIED", true),
        ("strip_labels = true", "OPEN FOR ALL", true),
        ("strip_labels = true", "", false),
    ] {
        let more = if more.starts_with("strip_labels") { format!("{more}\n{releasable}") } else { more.to_owned() };
        let mut filter = filter(&format!("{STRIP}\n{more}"));
        let Verdict::Pass { stanza, .. } = filter.apply(&facts(), stanza(&marked(marking))) else { panic!() };
        assert_eq!(stanza.child("urn:xmpp:sec-label:0", "securitylabel").is_none(), goes, "{more} {marking}");
    }
}

#[test]
fn a_message_of_which_nothing_is_left_goes() {
    for (inside, expected) in [
        ("<active xmlns='http://jabber.org/protocol/chatstates'/>", "drop"),
        ("<active xmlns='http://jabber.org/protocol/chatstates'/><thread>t</thread>", "drop"),
        ("<a xmlns='urn:a'/>", "drop"),
        ("<thread>t</thread>", "same"),
        ("", "same"),
        ("<b xmlns='urn:b'/>", "same"),
    ] {
        let text = stanza(&message(inside));
        let expected = if expected == "same" { written(&text) } else { expected.to_owned() };
        assert_eq!(folded(STRIP, &message(inside)), expected, "{inside}");
    }
    let subject =
        message("<subject/><active xmlns='http://jabber.org/protocol/chatstates'/>").replace("'chat'", "'groupchat'");
    let keep = "[to_link]\nmessage.mode = \"keep-only\"";
    assert_eq!(folded(keep, &subject), message("<subject/>").replace("'chat'", "'groupchat'"));
    let error = message("<a xmlns='urn:a'/>").replace("'chat'", "'error'");
    assert_eq!(folded(STRIP, &error), message("").replace("'chat'", "'error'").replace("></message>", "/>"));
}

const FULL: &str =
    "<show>xa</show><status>lunch</status><priority>5</priority><c xmlns='http://jabber.org/protocol/caps'/>";

fn presence(attributes: &str, inside: &str) -> String {
    written(&stanza(&format!("<presence {PAIR}{attributes}>{inside}</presence>")))
}

#[test]
fn presence_down_to_available_and_unavailable() {
    let fold = "[to_link]\npresence.mode = \"fold\"";
    let show = "[to_link]\npresence.mode = \"fold\"\npresence.keep_show = true";
    let away = "[to_link]\npresence.mode = \"fold\"\npresence.keep_show = true\npresence.map_xa = true";
    let named = " id='p' xml:lang='en'";
    assert_eq!(folded(fold, &presence(named, FULL)), presence("", ""));
    assert_eq!(folded(show, &presence(named, FULL)), presence("", "<show>xa</show>"));
    assert_eq!(folded(away, &presence(named, FULL)), presence("", "<show>away</show>"));
    let gone = " type='unavailable'";
    assert_eq!(folded(show, &presence(&format!("{named}{gone}"), FULL)), presence(gone, "<show>xa</show>"));
    let hidden = "<show>dnd<secret xmlns='urn:a'/></show><show id='x'>away</show>";
    assert_eq!(folded(show, &presence("", hidden)), presence("", "<show>dnd</show>"));
    assert_eq!(folded(show, &presence("", "<show>long hidden text</show>")), presence("", ""));
}

#[test]
fn a_client_with_negative_priority_is_not_offered_messages() {
    let minus = presence("", "<status>s</status><priority>-1</priority>");
    let gone = presence(" type='unavailable'", "");
    assert_eq!(folded("[to_link]\npresence.mode = \"fold\"", &minus), gone);
    assert_eq!(folded("[to_link]\npresence.mode = \"keep-only\"\npresence.elements = [\"{}status\"]", &minus), gone);
    let ignored = "[to_link]\npresence.mode = \"fold\"\npresence.negative_priority = \"ignore\"";
    assert_eq!(folded(ignored, &minus), presence("", ""));
    let kept = "[to_link]\npresence.mode = \"keep-only\"\npresence.elements = [\"{}priority\"]";
    assert_eq!(folded(kept, &minus), presence("", "<priority>-1</priority>"));
}

#[test]
fn subscriptions_errors_and_rooms_keep_what_they_need() {
    let asked = presence(" id='s' type='subscribe'", "<status>it is me</status>");
    let crowded = presence(
        " id='s' type='subscribe'",
        "<status>it is me</status><nick xmlns='http://jabber.org/protocol/nick'>Ann</nick>",
    );
    assert_eq!(folded("base = \"hf-slow\"", &crowded), asked);
    let error = presence(" type='error'", "<error type='cancel'/>");
    assert_eq!(folded("base = \"hf-slow\"", &error), error);
    let seat = "to='ops@chat.field.test/ann' from='ann@hq.test/a'";
    let join = format!(
        "<presence {seat} id='j'><show>away</show><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='5'/></x></presence>"
    );
    assert_eq!(folded("base = \"hf-slow\"", &join), join);
    let told = "<presence to='ann@hq.test/a' from='ops@chat.field.test/bob' id='j'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/><status code='110'/></x></presence>";
    assert_eq!(folded("base = \"hf-slow\"", told), told);
    // The element of a join in presence to a person hides nothing.
    let trick = presence("", "<status>long</status><x xmlns='http://jabber.org/protocol/muc'/>");
    assert_eq!(folded("base = \"hf-slow\"", &trick), presence("", ""));
}

#[test]
fn all_presence_may_go_but_for_subscriptions_and_rooms_as_said() {
    let all = "[to_link]\npresence.all = true";
    let asked = presence(" type='subscribe'", "");
    let join = "<presence to='ops@chat.field.test/ann' from='ann@hq.test/a'><x xmlns='http://jabber.org/protocol/muc'/></presence>";
    for (toml, presence_goes, asked_goes, join_goes) in [
        (all.to_owned(), true, false, true),
        (format!("{all}\npresence.allow_subscriptions = false"), true, true, true),
        (format!("{all}\npresence.allow_rooms = true"), true, false, false),
    ] {
        assert_eq!(folded(&toml, &presence("", "")) == "drop", presence_goes, "{toml}");
        assert_eq!(folded(&toml, &asked) == "drop", asked_goes, "{toml}");
        assert_eq!(folded(&toml, join) == "drop", join_goes, "{toml}");
        assert_eq!(folded(&toml, &message("<body>x</body>")), message("<body>x</body>"));
    }
}

fn element(action: &str) -> String {
    format!("[[to_link.element]]\nelements = [\"{{}}body\", \"{{urn:a}}a\"]\naction = {action}")
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let cut = element("{ truncate = { characters_max = 4 } }");
    for (text, expected) in [
        ("abcd", "abcd"),
        ("abcde", "abcd"),
        ("abcdef", "abc…"),
        ("ééééé", "ééé…"),
        ("&lt;&lt;&lt;&lt;&lt;&lt;", "&lt;&lt;&lt;…"),
    ] {
        let once = folded(&cut, &message(&format!("<body>{text}</body>")));
        assert_eq!(once, message(&format!("<body>{expected}</body>")), "{text}");
        assert_eq!(folded(&cut, &once), once, "{text}");
    }
}

#[test]
fn replacing_normalising_and_attributes() {
    let replace = element("{ replace = { text = \"(left out)\" } }");
    let text = message("<body>long</body><a xmlns='urn:a'/><thread>t</thread>");
    assert_eq!(folded(&replace, &text), message("<thread>t</thread><body>(left out)</body>"));
    let untouched = message("<b xmlns='urn:b'/>");
    assert_eq!(folded(&replace, &untouched), untouched);

    let normal = element("\"normalise\"");
    let text = message(" <body> x\ny </body>\n<thread/><active xmlns='http://jabber.org/protocol/chatstates'/>");
    assert_eq!(
        folded(&normal, &text),
        message("<body>x\ny</body><active xmlns='http://jabber.org/protocol/chatstates'/>")
    );
    assert_eq!(folded(&normal, &message("<body>  </body>")), "drop");

    let language = element("{ strip-attr = { name = \"xml:lang\" } }");
    let text = message("<body>x</body>").replace("type='chat'", "type='chat' xml:lang='en'");
    assert_eq!(folded(&language, &text), message("<body>x</body>"));
    let id =
        "[to_link]\nmessage.mode = \"keep-only\"\n[[to_link.element]]\naction = { strip-attr = { name = \"id\" } }";
    assert_eq!(folded(id, &message("<body>x</body>")), message("<body>x</body>").replace(" id='1'", ""));
    let room = message("<body>x</body>").replace("'chat'", "'groupchat'");
    assert_eq!(folded(id, &room), room, "the speaker knows its words by the id");
    let iq = request("urn:x");
    assert_eq!(folded(id, &iq), iq);
}

#[test]
fn stripping_at_any_depth_leaves_frames_and_what_must_stay() {
    let deep = "[[to_link.element]]\nelements = [\"{urn:a}a\"]\ndepth = \"any\"\naction = \"strip\"";
    let text =
        message("<body>x</body><b xmlns='urn:b'>1<a xmlns='urn:a'/>2<c><a xmlns='urn:a'/></c></b><a xmlns='urn:a'/>");
    assert_eq!(folded(deep, &text), message("<body>x</body><b xmlns='urn:b'>12<c/></b>"));
    let iq = format!("<iq {PAIR} id='1' type='set'><a xmlns='urn:a'><a/><b/></a></iq>");
    assert_eq!(folded(deep, &iq), format!("<iq {PAIR} id='1' type='set'><a xmlns='urn:a'><b/></a></iq>"));
    let kept = message("<encrypted xmlns='urn:xmpp:omemo:2'><a xmlns='urn:a'/></encrypted>");
    assert_eq!(folded(deep, &kept), kept);
}

/// The element of a join lets through what rooms are made of, and nothing else: neither what clients add to each presence
/// nor what somebody hides beside it or in it.
//= xmpp/FOLD-008
#[test]
fn a_room_gets_what_rooms_are_made_of() {
    let join = |inside: &str| {
        format!(
            "<presence to='bob@field.test/desk' from='ann@hq.test/a'><x xmlns='http://jabber.org/protocol/muc'>{inside}</x>"
        )
    };
    let extra = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>\
                 <x xmlns='vcard-temp:x:update'><photo>00ff</photo></x><occupant-id xmlns='urn:xmpp:occupant-id:0' id='1'/>";
    let full = format!(
        "{}<show>away</show><status>s</status><priority>1</priority>{extra}</presence>",
        join("<history maxstanzas='5'/><big xmlns='urn:a'>x</big>")
    );
    let expected = format!(
        "{}<show>away</show><status>s</status><priority>1</priority></presence>",
        join("<history maxstanzas='5'/>")
    );
    for toml in ["base = \"hf-slow\"", "base = \"hf-fast\"", "[to_link]\npresence.mode = \"keep-only\""] {
        assert_eq!(folded(toml, &full), expected, "{toml}");
        assert_eq!(folded(toml, &expected), expected, "{toml}");
    }
    let listed = "[to_link]\npresence.mode = \"strip\"\npresence.elements = [\"{http://jabber.org/protocol/caps}*\"]";
    assert!(!folded(listed, &full).contains("caps") && folded(listed, &full).contains("photo"), "a strip list strips");
    let told = "<presence to='ann@hq.test/a' from='ops@chat.field.test/bob'><x xmlns='http://jabber.org/protocol/muc#user'>\
                <item affiliation='none' role='participant'/><status code='110'/></x>";
    assert_eq!(folded("base = \"hf-slow\"", &format!("{told}{extra}</presence>")), format!("{told}</presence>"));
    // Messages: what must stay hides nothing where all else has to be named.
    let hidden =
        |inside: &str| message(&format!("<body>x</body><x xmlns='jabber:x:conference' jid='r@h'>{inside}</x>"));
    let stays = message("<body>x</body><x xmlns='jabber:x:conference' jid='r@h'/>");
    assert_eq!(folded(KEEP, &hidden("<a xmlns='urn:b'>60 KB</a>")), stays);
    let secret =
        message("<encrypted xmlns='urn:xmpp:omemo:2'><header><keys/></header><payload>AA</payload></encrypted>");
    assert_eq!(folded(KEEP, &secret), secret);
    let label = message(
        "<body>x</body><securitylabel xmlns='urn:xmpp:sec-label:0'><label><esssecuritylabel xmlns='urn:xmpp:sec-label:ess:0'>A</esssecuritylabel></label></securitylabel>",
    );
    assert_eq!(folded(KEEP, &label), label);
}
