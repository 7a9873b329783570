//! The conversation through two gateways: in every set-up, over TCP and over HF, and through a link outage.

use std::time::Duration;

use skywave_protocols::xmpp::slow::limits::ACK_DELAY;

use super::client::Clients;
use super::talk::Talk;
use super::way::{Medium, SPEED, Setup, Way};
use crate::tshark::fields;
use crate::wait;

/// Beyond what acknowledgements wait for something to ride on: what they themselves take.
const ACKNOWLEDGED: Duration = Duration::from_secs(2);
/// How long an idle link is watched.
const QUIET: Duration = Duration::from_secs(3);

/// Everything that people do.
fn converse(way: &Way) {
    converse_and(way, |_| ());
}

/// Everything that people do, and more.
fn converse_and(way: &Way, more: impl FnOnce(&Talk<'_>)) {
    let clients = Clients::start();
    let talk = Talk::begin(&clients, way.ends);
    talk.whole();
    more(&talk);
    talk.nothing_repeated();
}

/// Once everything is confirmed nothing goes over the link, though servers and clients are there. Over the radio, where
/// time runs fast: acknowledgements wait long.
fn idle_costs_nothing(way: &Way) {
    wait::pass(ACK_DELAY / SPEED + ACKNOWLEDGED);
    let before = way.octets();
    assert!(before > 0, "nothing went over the link at all");
    wait::pass(QUIET);
    assert_eq!(way.octets(), before, "an idle link was used");
}

/// The link goes away in the middle of a conversation, in private and in a room. Nobody loses a word, nobody is thrown
/// out, the servers notice nothing.
fn outage(way: &Way, talk: &Talk<'_>, seconds: u64) {
    talk.enter();
    talk.room_words("before the outage");
    let logged = way.logs().map(|log| log.len());
    way.cut(Duration::from_secs(seconds * u64::from(SPEED)));
    talk.while_away();
    wait::pass(Duration::from_secs(seconds));
    way.mend();
    talk.after_return();
    talk.room_words("after the outage");
    for (log, before) in way.logs().iter().zip(logged) {
        for word in ["connection-timeout", "Disconnected", "s2s disconnected", "kick"] {
            assert!(!log[before..].contains(word), "a server saw the outage: {word}\n{}", &log[before..]);
        }
    }
}

#[test]
fn components_over_tcp() {
    converse(&Way::open(Setup::Components, Medium::Tcp));
}

#[test]
fn dialback_over_tcp() {
    let way = Way::open(Setup::Dialback, Medium::Tcp);
    converse_and(&way, |talk| outage(&way, talk, 3));
    assert!(way.server_logs().contains("sent dialback key"));
}

#[test]
fn certificates_over_tcp() {
    let way = Way::open(Setup::External, Medium::Tcp);
    converse_and(&way, |talk| outage(&way, talk, 3));
    let log = way.server_logs();
    assert!(log.contains("mechanism='EXTERNAL'") && !log.contains("sent dialback key"));
    // What a server sent before it asked for confirmations is not counted towards it.
    //= xmpp/SM-006
    assert!(log.contains("<enabled") && !log.contains("says it handled"), "{log}");
}

/// Gateways and servers find each other by DNS, which offers TLS from the first octet and nothing else.
//= xmpp/SRV-001
#[test]
fn direct_tls_by_srv_over_tcp() {
    let way = Way::open(Setup::Srv, Medium::Tcp);
    converse(&way);
    for (dns, who) in way.dns.as_ref().unwrap().iter().zip(["gateways", "servers"]) {
        for domain in ["hq.test", "field.test", "rooms.field.test"] {
            assert!(dns.was_asked_for(domain), "none of the {who} asked where {domain} is");
        }
    }
    assert!(way.server_logs().contains("mechanism='EXTERNAL'"));
}

/// Both ask for streams that carry both directions, and for confirmations on them.
//= xmpp/BIDI-002
#[test]
fn one_managed_stream_for_both_directions_over_tcp() {
    let way = Way::open(Setup::OneStream, Medium::Tcp);
    converse_and(&way, |talk| outage(&way, talk, 3));
    let log = way.server_logs();
    for said in ["Requested bidirectional stream", "<bidi", "<enabled", "urn:xmpp:sm:3", "mechanism='EXTERNAL'"] {
        assert!(log.contains(said), "{said} was never said");
    }
}

/// As XEP-0361 has it, as to a gateway of another make.
#[test]
fn a_managed_stream_of_the_xeps_over_tcp() {
    converse(&Way::standard(Setup::Components, Medium::Tcp));
}

#[test]
fn components_over_hf() {
    let mut way = Way::open(Setup::Components, Medium::Hf);
    converse_and(&way, |talk| outage(&way, talk, 10));
    idle_costs_nothing(&way);
    sis_is_good(&mut way);
}

#[test]
fn dialback_over_hf() {
    converse(&Way::open(Setup::Dialback, Medium::Hf));
}

#[test]
fn certificates_over_hf() {
    let way = Way::open(Setup::External, Medium::Hf);
    converse_and(&way, |talk| outage(&way, talk, 10));
}

#[test]
fn ejabberd_over_tcp() {
    converse(&Way::to_ejabberd(Setup::Dialback, Medium::Tcp));
}

/// As XEP-0365 has it, as to a gateway of another make.
#[test]
fn one_stanza_a_pdu_of_the_xeps_over_hf() {
    converse(&Way::standard(Setup::OneStream, Medium::Hf));
}

/// The program as it is installed, with the names of its servers from DNS.
#[test]
fn direct_tls_by_srv_over_hf() {
    converse(&Way::open(Setup::Srv, Medium::HfApart));
}

/// What tshark says of the S_PRIMITIVEs of headquarters and of the RCOP in them. The dissector errs for the types 22, 23,
/// 26 and 27 at the SAPs 2, 6 and 7: it looks for a header behind the returned part.
fn sis_is_good(way: &mut Way) {
    let capture = way.capture();
    let wanted = ["s5066sis.type", "s5066sis.ctl.app_id", "_ws.malformed"];
    let rows = fields(&capture, &[], "s5066sis", &wanted);
    let chat = rows.iter().filter(|row| row[1].split(',').any(|id| id == "0x8001" || id == "32769")).count();
    assert!(rows.len() > 20 && chat > 10, "{} primitives, {chat} of them with chat: {rows:?}", rows.len());
    let errs = ["22", "23", "26", "27"];
    let wrong: Vec<&Vec<String>> =
        rows.iter().filter(|row| !row[2].is_empty() && !row[0].split(',').any(|kind| errs.contains(&kind))).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
