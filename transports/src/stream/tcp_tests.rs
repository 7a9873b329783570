//! TCP links, and a network between them that the test decides about.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proptest::prelude::*;
use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Duration, Now, WallTime};

use super::config::{AcceptFrom, Opener, TcpConfig, TcpTls};
use super::limits::{TCP_PENDING_MAX, TCP_UNIT_OCTETS_MAX, UNANSWERED_OCTETS_MAX};
use super::tcp::TcpLink;
use crate::io::{PipeId, PipeInput, PipeOutput, Secured, TlsRole, Trust};
use crate::transport::{
    ArrivalId, Delivery, Emission, Sent, Transport, TransportEvent, TransportFault, TransportInput, TransportOutput,
    Unit, UnitTicket,
};

const PEER: &str = "192.0.2.7:40000";
/// The first pipe that the link opens, and two that the node accepted for it.
const OURS: PipeId = PipeId(1);
const THEIRS: PipeId = PipeId((1 << 63) | 1);
const THEIRS_TOO: PipeId = PipeId((1 << 63) | 2);

fn config(opener: Opener) -> TcpConfig {
    let mut config = TcpConfig::new("field".into(), opener.connects().then(|| "field.test:5270".to_owned()));
    config.opener = opener;
    let network = [192, 0, 2, 0].into();
    config.accept_from = vec![AcceptFrom { network, prefix: 24, port: None }];
    config
}

fn tls(mutual: bool) -> TcpTls {
    TcpTls {
        certificate: Some("own".to_owned()),
        server_name: "field.test".to_owned(),
        trust: Trust::Pins(vec!["ab".repeat(32)]),
        mutual,
        peer_names: vec!["field.test".to_owned()],
    }
}

/// A link that has begun, and what it asked for and told.
struct Rig {
    link: TcpLink,
    now: Now,
}

impl Rig {
    fn new(config: TcpConfig) -> Self {
        let mut rig = Self { link: TcpLink::new(config, Seeded::new(1)), now: Now::default() };
        assert_eq!(rig.said(), Vec::<String>::new(), "nothing happens before the marks of silence are known");
        rig.link.handle(rig.now, TransportInput::Restored(Vec::new()));
        rig
    }

    fn pipe(&mut self, pipe: PipeId, input: PipeInput) -> &mut Self {
        self.link.handle(self.now, TransportInput::Pipe(pipe, input));
        self
    }

    fn accepted(&mut self, pipe: PipeId, peer: &str) -> &mut Self {
        self.link.handle(self.now, TransportInput::Accepted(pipe, peer.parse().unwrap()));
        self
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now.after(Duration::from_secs(seconds));
        self.link.handle_wakeup(self.now);
        self
    }

    fn submit(&mut self, ticket: u64) -> &mut Self {
        self.link.submit(self.now, unit(ticket));
        self
    }

    /// Everything it asked for and told, in short words.
    fn said(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.link.poll()).filter_map(word).collect()
    }
}

fn unit(ticket: u64) -> Unit {
    Unit {
        ticket: UnitTicket(ticket),
        to: vec!["field".into()],
        priority: Precedence::Routine.mt_priority(),
        expiry: WallTime::from_unix_seconds(1_000_000),
        delivery: Delivery::Unconfirmed,
        context: 0,
        content: Bytes::from(format!("unit {ticket}")),
    }
}

fn name(pipe: PipeId) -> &'static str {
    match pipe {
        OURS => "ours",
        THEIRS => "theirs",
        THEIRS_TOO => "theirs too",
        _ => "another",
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn word(output: TransportOutput) -> Option<String> {
    Some(match output {
        TransportOutput::Pipe(pipe, output) => match output {
            PipeOutput::Open { target, .. } => format!("open {target}"),
            PipeOutput::Write(octets) => format!("write {}: {}", name(pipe), text(&octets)),
            PipeOutput::Close => format!("close {}", name(pipe)),
            PipeOutput::Secure(secure) => format!("secure {}: {:?}", name(pipe), secure.role),
            PipeOutput::TellDrained | PipeOutput::LimitSending(_) => return None,
            PipeOutput::Pause => format!("pause {}", name(pipe)),
            PipeOutput::Resume => format!("resume {}", name(pipe)),
            PipeOutput::Abandon => format!("abandon {}", name(pipe)),
        },
        TransportOutput::Event(event) => match event {
            TransportEvent::Up => "up".to_owned(),
            TransportEvent::Down(why) => format!("down: {why}"),
            TransportEvent::RoomChanged => return None,
            TransportEvent::Delivered { ticket, .. } => format!("delivered {}", ticket.0),
            TransportEvent::Failed { ticket, fault, .. } => format!("failed {}: {fault}", ticket.0),
            TransportEvent::Arrived { source, content, .. } => format!("from {source}: {}", text(&content)),
            TransportEvent::Notice(notice) => notice.name.to_owned(),
            other @ (TransportEvent::Profile(_) | TransportEvent::Progress(_) | TransportEvent::SilenceEnded(_)) => {
                panic!("{other:?}")
            }
        },
        other => panic!("{other:?}"),
    })
}

fn read(octets: &str) -> PipeInput {
    PipeInput::Read(Bytes::copy_from_slice(octets.as_bytes()))
}

fn secured(names: &[&str]) -> PipeInput {
    PipeInput::Secured(Secured { peer_names: names.iter().map(|&name| name.to_owned()).collect(), alpn: None })
}

#[test]
fn the_side_that_opens_sends_and_reads_on_one_connection() {
    let mut rig = Rig::new(config(Opener::We));
    assert_eq!(rig.said(), ["open field.test:5270"]);
    assert_eq!(rig.link.room().units, 0);
    assert_eq!(rig.pipe(OURS, PipeInput::Opened).said(), ["up"]);
    assert_eq!(rig.submit(1).submit(2).said(), ["write ours: unit 1", "write ours: unit 2"]);
    assert_eq!(
        rig.pipe(OURS, PipeInput::Drained(1)).said(),
        ["delivered 1"],
        "it was said before the second was written"
    );
    assert_eq!(rig.pipe(OURS, PipeInput::Drained(2)).said(), ["delivered 2"]);
    assert_eq!(rig.pipe(OURS, read("hello")).said(), ["from field.test:5270: hello"]);
    assert_eq!(rig.link.next_wakeup(), None, "an idle connection costs nothing");
    assert_eq!(rig.accepted(THEIRS, PEER).said(), ["close theirs", "stream_refused"], "only we open");
    let profile = rig.link.profile();
    assert_eq!((profile.boundaries, profile.ordered, profile.reliable, profile.fan_out), (false, true, true, false));
}

#[test]
fn what_is_not_on_the_disk_yet_holds_the_peer_back() {
    let mut rig = Rig::new(config(Opener::Either));
    rig.pipe(OURS, PipeInput::Opened).accepted(THEIRS, PEER).said();
    let much = "x".repeat(UNANSWERED_OCTETS_MAX / 2);
    let paused = |said: Vec<String>| said.into_iter().filter(|word| !word.starts_with("from")).collect::<Vec<_>>();
    assert_eq!(paused(rig.pipe(OURS, read(&much)).pipe(THEIRS, read(&much)).said()), Vec::<String>::new());
    assert_eq!(paused(rig.pipe(OURS, read("y")).said()), ["pause ours", "pause theirs"]);
    // What was under way already is taken.
    assert_eq!(paused(rig.pipe(OURS, read(&much)).said()), Vec::<String>::new());
    for (arrival, words) in [(1, vec![]), (4, vec![]), (2, vec!["resume ours", "resume theirs"]), (3, vec![])] {
        rig.link.accept(rig.now, ArrivalId(arrival));
        assert_eq!(rig.said(), words, "{arrival}");
    }
}

#[test]
fn the_side_that_is_called_sends_on_the_connection_of_the_other() {
    let mut rig = Rig::new(config(Opener::They));
    assert_eq!(rig.said(), Vec::<String>::new());
    assert_eq!(rig.accepted(THEIRS, PEER).said(), ["up"]);
    assert_eq!(rig.submit(1).said(), ["write theirs: unit 1"]);
    assert_eq!(rig.pipe(THEIRS, PipeInput::Drained(1)).said(), ["delivered 1"]);
    let lost = "192.0.2.7:40000: closed by the peer";
    let expected = [format!("failed 2: connection lost: {lost}"), format!("down: {lost}")];
    rig.submit(2).said();
    assert_eq!(rig.pipe(THEIRS, PipeInput::Closed(None)).said(), expected);
    assert_eq!(rig.wait(10_000).said(), Vec::<String>::new(), "the peer opens");
    assert_eq!(rig.submit(3).said(), [format!("failed 3: connection lost: {lost}")]);
}

/// Each row: what happens after both have opened, and what is said.
//= xmpp/X2X-005
#[test]
fn when_both_open_at_once_each_sends_on_its_own_and_reads_both() {
    type Row = (&'static str, fn(&mut Rig), &'static [&'static str]);
    let rows: [Row; 6] = [
        (
            "theirs first, ours then",
            |rig| _ = rig.accepted(THEIRS, PEER).pipe(OURS, PipeInput::Opened),
            &["pause theirs", "up", "resume theirs"],
        ),
        ("ours first, theirs then", |rig| _ = rig.pipe(OURS, PipeInput::Opened).accepted(THEIRS, PEER), &["up"]),
        (
            "data on both is taken",
            |rig| {
                rig.accepted(THEIRS, PEER).pipe(THEIRS, read("early")).pipe(OURS, PipeInput::Opened);
                rig.submit(1).pipe(OURS, read("answer")).pipe(THEIRS, read("late"));
            },
            &[
                "pause theirs",
                "up",
                "from 192.0.2.7:40000: early",
                "resume theirs",
                "write ours: unit 1",
                "from field.test:5270: answer",
                "from 192.0.2.7:40000: late",
            ],
        ),
        (
            "ours is refused, theirs does",
            |rig| {
                rig.accepted(THEIRS, PEER).pipe(OURS, PipeInput::Refused("busy".to_owned())).submit(1);
            },
            &["pause theirs", "up", "resume theirs", "write theirs: unit 1"],
        ),
        (
            "theirs ends, and all begins anew: half a stanza may have been read from it",
            |rig| {
                rig.accepted(THEIRS, PEER).pipe(OURS, PipeInput::Opened).said();
                rig.submit(1).pipe(THEIRS, PipeInput::Closed(None));
            },
            &[
                "write ours: unit 1",
                "close ours",
                "failed 1: connection lost: 192.0.2.7:40000: closed by the peer",
                "down: 192.0.2.7:40000: closed by the peer",
            ],
        ),
        (
            "ours ends, and all begins anew",
            |rig| {
                rig.accepted(THEIRS, PEER).pipe(OURS, PipeInput::Opened).said();
                rig.pipe(OURS, PipeInput::Closed(None));
            },
            &["close theirs", "down: field.test:5270: closed by the peer"],
        ),
    ];
    for (what, happens, expected) in rows {
        let mut rig = Rig::new(config(Opener::Either));
        assert_eq!(rig.said(), ["open field.test:5270"]);
        happens(&mut rig);
        assert_eq!(rig.said(), expected, "{what}");
    }
}

#[test]
fn a_peer_that_connects_anew_takes_the_place_of_what_he_lost() {
    let mut rig = Rig::new(config(Opener::Either));
    rig.pipe(OURS, PipeInput::Refused("no route".to_owned())).accepted(THEIRS, PEER).submit(1).said();
    let expected =
        ["close theirs", "failed 1: connection lost: the peer connected anew", "down: the peer connected anew", "up"];
    assert_eq!(rig.accepted(THEIRS_TOO, PEER).said(), expected);
    assert_eq!(rig.pipe(THEIRS, PipeInput::Closed(None)).said(), Vec::<String>::new(), "it is gone already");
    assert_eq!(rig.submit(2).said(), ["write theirs too: unit 2"]);
    // Where we send on our own that begins anew as well: who lost one of two has closed both.
    let mut rig = Rig::new(config(Opener::Either));
    rig.accepted(THEIRS, PEER).pipe(OURS, PipeInput::Opened).said();
    let expected = ["close theirs", "close ours", "down: the peer connected anew", "up"];
    assert_eq!(rig.accepted(THEIRS_TOO, PEER).said(), expected);
    assert_eq!(rig.pipe(THEIRS_TOO, read("new")).said(), ["from 192.0.2.7:40000: new"]);
}

#[test]
fn tries_grow_apart_and_a_connection_that_was_good_begins_them_anew() {
    let mut rig = Rig::new(config(Opener::We));
    let mut waits = Vec::new();
    for number in 1..=10 {
        assert_eq!(rig.said(), ["open field.test:5270"], "try {number}");
        rig.pipe(PipeId(number), PipeInput::Refused("no route".to_owned()));
        let said = rig.said();
        assert_eq!(said.len(), usize::from(number == 1), "the same reason is told once: {said:?}");
        let at = rig.link.next_wakeup().unwrap().at;
        waits.push(at.since(rig.now.mono).as_secs());
        assert_eq!(rig.wait(waits[waits.len() - 1]).said(), Vec::<String>::new());
        rig.wait(1);
    }
    assert!(waits[0] <= 5 && waits[9] <= 600 && waits[9] >= 450, "{waits:?}");
    assert!(waits.windows(2).take(6).all(|pair| pair[0] < pair[1]), "{waits:?}");
    rig.said();
    // Each row: what happens to the connection, and whether the next try comes soon.
    for (seconds, octets, soon) in [(1, None, false), (70, None, true), (1, Some("x"), true)] {
        let pipe = PipeId(11 + rig.link.describe()["counters"]["opened"].as_u64().unwrap());
        rig.pipe(pipe, PipeInput::Opened).wait(seconds);
        octets.into_iter().for_each(|octets| _ = rig.pipe(pipe, read(octets)));
        rig.pipe(pipe, PipeInput::Closed(None));
        let wait = rig.link.next_wakeup().unwrap().at.since(rig.now.mono).as_secs();
        assert_eq!(wait <= 5, soon, "{seconds} s: {wait}");
        rig.wait(wait + 1).said();
    }
}

/// The session cannot read on: what it sent on that connection is in doubt, and both begin with a new one.
#[test]
fn a_reset_ends_the_connection_and_what_is_on_it_and_begins_anew() {
    let lost = ["failed 1: connection lost: the stream begins anew", "down: the stream begins anew"];
    let mut rig = Rig::new(config(Opener::Either));
    rig.accepted(THEIRS, PEER).pipe(OURS, PipeInput::Opened).submit(1).said();
    rig.link.reset(rig.now);
    assert_eq!(rig.said(), ["close ours", "close theirs", lost[0], lost[1]]);
    assert_eq!(rig.pipe(OURS, read("late")).pipe(OURS, PipeInput::Closed(None)).said(), Vec::<String>::new());
    let (units, again) = (rig.link.room().units, rig.link.next_wakeup().unwrap().at.since(rig.now.mono));
    assert!(units == 0 && again > Duration::ZERO && again <= Duration::from_secs(5), "{units} {again:?}");
    assert_eq!(rig.wait(6).said(), ["open field.test:5270"]);
    assert_eq!(rig.pipe(PipeId(2), PipeInput::Opened).submit(2).said(), ["up", "write another: unit 2"]);
    // Who is called waits to be called again.
    let mut rig = Rig::new(config(Opener::They));
    rig.accepted(THEIRS, PEER).submit(1).said();
    rig.link.reset(rig.now);
    assert_eq!(rig.said(), ["close theirs", lost[0], lost[1]]);
    assert_eq!(rig.wait(10_000).said(), Vec::<String>::new());
    assert_eq!(rig.accepted(THEIRS_TOO, PEER).submit(2).said(), ["up", "write theirs too: unit 2"]);
    // Without a stream there is nothing to begin anew, and no try is put off.
    let mut rig = Rig::new(config(Opener::We));
    rig.said();
    rig.link.reset(rig.now);
    assert_eq!(rig.said(), Vec::<String>::new());
    assert_eq!(rig.pipe(OURS, PipeInput::Opened).said(), ["up"]);
}

#[test]
fn a_link_on_demand_opens_when_there_is_something_to_send() {
    let mut rig = Rig::new(TcpConfig { permanent: false, ..config(Opener::We) });
    assert_eq!((rig.said(), rig.link.next_wakeup()), (vec![], None));
    rig.link.set_wanted(rig.now, true);
    assert_eq!(rig.said(), ["open field.test:5270"]);
    rig.pipe(OURS, PipeInput::Opened).said();
    rig.link.set_wanted(rig.now, false);
    assert_eq!(rig.said(), Vec::<String>::new(), "what is open stays: the stream on it is warm");
}

//= xmpp/X2X-006
#[test]
fn strangers_are_closed_on_and_counted() {
    let mut rig = Rig::new(TcpConfig { tls: Some(tls(true)), ..config(Opener::They) });
    for number in 0..100 {
        rig.accepted(PipeId((1 << 63) | (100 + number)), "198.51.100.1:5270");
    }
    let said = rig.said();
    assert_eq!(said.iter().filter(|word| *word == "close another").count(), 100);
    assert_eq!(said.iter().filter(|word| *word == "stream_refused").count(), 7, "1, 2, 4 … 64");
    for number in 0..=TCP_PENDING_MAX as u64 {
        rig.accepted(PipeId((1 << 63) | (300 + number)), PEER);
    }
    let said = rig.said();
    assert_eq!(said.iter().filter(|word| *word == "secure another: Server").count(), TCP_PENDING_MAX);
    assert_eq!(said.iter().filter(|word| *word == "close another").count(), 1);
    assert_eq!(rig.submit(1).said().len(), 1, "nobody is known yet");
    let exact = AcceptFrom { network: [192, 0, 2, 7].into(), prefix: 32, port: Some(5270) };
    let mut rig = Rig::new(TcpConfig { accept_from: vec![exact], ..config(Opener::They) });
    assert_eq!(rig.accepted(THEIRS, PEER).said(), ["close theirs", "stream_refused"], "another source port");
    assert_eq!(rig.accepted(THEIRS, "192.0.2.7:5270").said(), ["up"]);
}

#[test]
fn networks_take_what_is_inside() {
    for (network, prefix, peer, expected) in [
        ("192.0.2.0", 24, "192.0.2.255:1", true),
        ("192.0.2.0", 24, "192.0.3.0:1", false),
        ("192.0.2.1", 32, "192.0.2.1:1", true),
        ("192.0.2.1", 32, "192.0.2.2:1", false),
        ("0.0.0.0", 0, "198.51.100.1:1", true),
        ("0.0.0.0", 0, "[2001:db8::1]:1", false),
        ("2001:db8::", 32, "[2001:db8::1]:1", true),
        ("2001:db8::", 32, "[2001:db9::1]:1", false),
        ("192.0.2.1", 32, "[::ffff:192.0.2.1]:1", true),
        ("::", 0, "[2001:db9::1]:1", true),
    ] {
        let from = AcceptFrom { network: network.parse().unwrap(), prefix, port: None };
        assert_eq!(from.takes(peer.parse::<SocketAddr>().unwrap()), expected, "{network}/{prefix} {peer}");
    }
}

/// Each row: who opens, mutual, what the certificate names, and whether the stream begins.
#[test]
fn tls_comes_before_the_stream_and_names_are_checked() {
    for (ours, mutual, names, expected) in [
        (true, true, vec!["field.test"], true),
        (true, false, vec!["*.test", "field.test"], true),
        (true, true, vec!["other.test"], false),
        (true, true, vec![], false),
        (false, true, vec!["field.test"], true),
        (false, true, vec!["other.test"], false),
        (false, false, vec![], true),
    ] {
        let opener = if ours { Opener::We } else { Opener::They };
        let mut rig = Rig::new(TcpConfig { tls: Some(tls(mutual)), ..config(opener) });
        let (pipe, role) = if ours { (OURS, TlsRole::Client) } else { (THEIRS, TlsRole::Server) };
        rig.said();
        if ours {
            rig.pipe(OURS, PipeInput::Opened)
        } else {
            rig.accepted(THEIRS, PEER)
        };
        assert_eq!(rig.said(), [format!("secure {}: {role:?}", name(pipe))]);
        assert_eq!(rig.pipe(pipe, read("too early")).said(), Vec::<String>::new());
        let said = rig.pipe(pipe, secured(&names)).said();
        assert_eq!(said == ["up"], expected, "{ours} {mutual} {names:?}: {said:?}");
        assert_eq!(said.contains(&format!("close {}", name(pipe))), !expected);
    }
    let mut rig = Rig::new(TcpConfig { tls: Some(tls(true)), ..config(Opener::We) });
    rig.pipe(OURS, PipeInput::Opened).said();
    let said = rig.pipe(OURS, PipeInput::SecureFailed("unknown authority".to_owned())).said();
    assert_eq!(said, ["down: field.test:5270: unknown authority"]);
}

#[test]
fn in_silence_nothing_is_opened_secured_or_written() {
    let mut rig = Rig::new(TcpConfig { tls: Some(tls(true)), ..config(Opener::Either) });
    rig.said();
    rig.link.set_emission(rig.now, Emission::Silent);
    assert_eq!(rig.said(), ["close ours"], "what is being opened would go on knocking");
    rig.pipe(OURS, PipeInput::Closed(None)).wait(3600);
    assert_eq!(rig.accepted(THEIRS, PEER).said(), Vec::<String>::new(), "held until we may answer");
    rig.link.set_emission(rig.now, Emission::Free);
    assert_eq!(rig.said(), ["secure theirs: Server"]);
    assert_eq!(rig.pipe(THEIRS, secured(&["field.test"])).said(), ["up"]);
    for (silent, free) in [
        (
            (|rig: &mut Rig| rig.link.set_emission(rig.now, Emission::Silent)) as fn(&mut Rig),
            (|rig: &mut Rig| rig.link.set_emission(rig.now, Emission::Free)) as fn(&mut Rig),
        ),
        (
            |rig| rig.link.set_silence(rig.now, &"field".into(), true),
            |rig| rig.link.set_silence(rig.now, &"field".into(), false),
        ),
    ] {
        silent(&mut rig);
        rig.submit(1).submit(2);
        assert_eq!((rig.said(), rig.link.room().units), (vec![], 0));
        assert_eq!(rig.pipe(THEIRS, read("x")).said(), ["from 192.0.2.7:40000: x"], "hearing is no emission");
        assert_eq!(rig.link.cancel(rig.now, UnitTicket(2)), Sent::default());
        assert_eq!(rig.said(), ["failed 2: cancelled"]);
        free(&mut rig);
        assert_eq!(rig.said(), ["write theirs: unit 1"]);
        // The second time it is the second write of the connection.
        assert_eq!(rig.pipe(THEIRS, PipeInput::Drained(2)).said(), ["delivered 1"]);
    }
    rig.link.set_emission(rig.now, Emission::Silent);
    let late = Unit { expiry: rig.now.wall + Duration::from_secs(60), ..unit(3) };
    rig.link.submit(rig.now, late);
    let fault = TransportFault::Expired;
    assert_eq!(rig.wait(60).said(), [format!("failed 3: {fault}")], "it is not written any more");
    rig.link.set_emission(rig.now, Emission::Free);
    assert_eq!(rig.said(), Vec::<String>::new());
}

#[test]
fn white_space_only_where_it_is_wanted() {
    let mut rig = Rig::new(TcpConfig { white_space: Some(Duration::from_secs(60)), ..config(Opener::We) });
    rig.pipe(OURS, PipeInput::Opened).said();
    assert_eq!(rig.wait(59).said(), Vec::<String>::new());
    assert_eq!(rig.wait(1).said(), ["write ours:  "]);
    rig.wait(30).submit(1).said();
    assert_eq!(rig.wait(59).said(), Vec::<String>::new(), "counted from the last octets");
    assert_eq!(rig.wait(1).said(), ["write ours:  "]);
    rig.link.set_emission(rig.now, Emission::Silent);
    assert_eq!((rig.wait(3600).said(), rig.link.next_wakeup()), (vec![], None));
}

#[test]
fn what_cannot_be_sent_fails_at_once_and_room_is_what_has_not_left() {
    let mut rig = Rig::new(TcpConfig { buffer_octets: 10, ..config(Opener::We) });
    rig.pipe(OURS, PipeInput::Opened).said();
    let large = Unit { content: Bytes::from(vec![0; TCP_UNIT_OCTETS_MAX + 1]), ..unit(1) };
    rig.link.submit(rig.now, large);
    assert_eq!(rig.said(), [format!("failed 1: {} octets, the link takes 1048576", TCP_UNIT_OCTETS_MAX + 1)]);
    rig.link.submit(rig.now, Unit { to: vec!["moon".into()], ..unit(2) });
    assert_eq!(rig.said(), ["failed 2: site moon is not on this link"]);
    rig.submit(3);
    assert_eq!(rig.link.room().octets, 4);
    rig.submit(4).said();
    assert_eq!((rig.link.room().units, rig.link.room().octets), (0, 0));
    assert_eq!(rig.link.cancel(rig.now, UnitTicket(3)), Sent { octets: 6 });
    rig.pipe(OURS, PipeInput::Drained(2)).said();
    assert_eq!(rig.link.room().octets, 10);
}

#[test]
fn configurations_that_cannot_be() {
    let keys = |config: &TcpConfig| -> Vec<_> { config.faults().into_iter().map(|(key, _)| key).collect() };
    assert_eq!(keys(&config(Opener::Either)), [""; 0]);
    let open = TcpConfig { accept_from: vec![], ..config(Opener::They) };
    assert_eq!(keys(&open), ["accept_from"]);
    assert_eq!(keys(&TcpConfig { tls: Some(tls(true)), ..open.clone() }), [""; 0]);
    assert_eq!(keys(&TcpConfig { tls: Some(tls(false)), ..open.clone() }), ["accept_from"]);
    let nameless = TcpTls { certificate: None, trust: Trust::Anybody, ..tls(true) };
    assert_eq!(keys(&TcpConfig { tls: Some(nameless), ..open.clone() }), ["certificate", "certificate", "pins"]);
    let bad = TcpConfig {
        target: Some("field".to_owned()),
        accept_from: vec![AcceptFrom { network: [1, 2, 3, 4].into(), prefix: 33, port: None }; 65],
        dscp: 64,
        buffer_octets: 0,
        white_space: Some(Duration::ZERO),
        ..config(Opener::They)
    };
    assert_eq!(
        keys(&bad),
        ["connect", "connect", "accept_from", "accept_from", "dscp", "buffer_octets", "whitespace_interval_seconds"]
    );
    assert_eq!(keys(&TcpConfig { target: None, ..config(Opener::We) }), ["connect"]);
}

/// Something that the network does to two links.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// One of them writes.
    Write(usize),
    /// One direction of one connection moves its octets.
    Move(usize),
    /// A connection breaks; what is on its way is lost.
    Break(usize),
    /// Time passes.
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0_usize..2).prop_map(Act::Write),
        4 => (0_usize..8).prop_map(Act::Move),
        1 => (0_usize..4).prop_map(Act::Break),
        2 => (1_u64..20).prop_map(Act::Wait),
    ]
}

/// What arrives of a unit when its connection breaks.
const HALF: &str = "uni";

/// A connection of the small network: its pipe at each end, and what is on its way from there.
struct Wire {
    ends: [PipeId; 2],
    flights: [Vec<Bytes>; 2],
}

/// Two links that may both open, a network between them, and what each submitted, ended and read.
struct Two {
    rigs: [Rig; 2],
    wires: Vec<Wire>,
    accepted: u64,
    writes: BTreeMap<(usize, PipeId), u64>,
    submitted: [u64; 2],
    ended: [Vec<u64>; 2],
    read: [Vec<String>; 2],
    /// Half a unit that each has read.
    half: [String; 2],
}

impl Two {
    fn new() -> Self {
        let rigs = [Rig::new(config(Opener::Either)), Rig::new(config(Opener::Either))];
        let mut two = Self {
            rigs,
            wires: Vec::new(),
            accepted: 0,
            writes: BTreeMap::new(),
            submitted: [0; 2],
            ended: Default::default(),
            read: Default::default(),
            half: Default::default(),
        };
        two.drain();
        two
    }

    fn drain(&mut self) {
        for side in 0..2 {
            while let Some(output) = self.rigs[side].link.poll() {
                self.carry(side, output);
            }
        }
    }

    fn carry(&mut self, side: usize, output: TransportOutput) {
        match output {
            TransportOutput::Pipe(pipe, PipeOutput::Open { .. }) => {
                self.accepted += 1;
                let mut ends = [pipe; 2];
                ends[1 - side] = PipeId((1 << 63) | self.accepted);
                self.wires.push(Wire { ends, flights: Default::default() });
                self.rigs[1 - side].accepted(ends[1 - side], PEER);
                self.rigs[side].pipe(pipe, PipeInput::Opened);
            }
            TransportOutput::Pipe(pipe, PipeOutput::Write(octets)) => {
                let wire = self.wires.iter_mut().find(|wire| wire.ends[side] == pipe);
                wire.unwrap().flights[side].push(octets);
                *self.writes.entry((side, pipe)).or_default() += 1;
                let writes = self.writes[&(side, pipe)];
                self.rigs[side].pipe(pipe, PipeInput::Drained(writes));
            }
            TransportOutput::Pipe(pipe, PipeOutput::Close) => {
                if let Some(at) = self.wires.iter().position(|wire| wire.ends[side] == pipe) {
                    self.end(at);
                }
            }
            TransportOutput::Event(TransportEvent::Arrived { content, .. }) => {
                let read = std::mem::take(&mut self.half[side]) + &text(&content);
                if read == HALF { self.half[side] = read } else { self.read[side].push(read) }
            }
            // What follows is read anew.
            TransportOutput::Event(TransportEvent::Up) => self.half[side].clear(),
            TransportOutput::Event(
                TransportEvent::Delivered { ticket, .. } | TransportEvent::Failed { ticket, .. },
            ) => self.ended[side].push(ticket.0),
            _ => {}
        }
    }

    fn end(&mut self, at: usize) {
        let wire = self.wires.remove(at);
        for side in 0..2 {
            self.rigs[side].pipe(wire.ends[side], PipeInput::Closed(None));
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Write(side) if self.rigs[side].link.room().units > 0 => {
                self.submitted[side] += 1;
                let ticket = self.submitted[side];
                self.rigs[side].submit(ticket);
            }
            Act::Move(choice) if !self.wires.is_empty() => {
                let at = choice / 2 % self.wires.len();
                let (from, to) = (choice % 2, 1 - choice % 2);
                if !self.wires[at].flights[from].is_empty() {
                    let octets = self.wires[at].flights[from].remove(0);
                    let pipe = self.wires[at].ends[to];
                    self.rigs[to].pipe(pipe, PipeInput::Read(octets));
                }
            }
            Act::Break(choice) if !self.wires.is_empty() => {
                let at = choice % self.wires.len();
                for from in 0..2 {
                    if !self.wires[at].flights[from].is_empty() {
                        let pipe = self.wires[at].ends[1 - from];
                        self.rigs[1 - from].pipe(pipe, read(HALF));
                    }
                }
                self.drain();
                if at < self.wires.len() {
                    self.end(at);
                }
            }
            Act::Wait(seconds) => self.rigs.iter_mut().for_each(|rig| _ = rig.wait(seconds)),
            Act::Write(_) | Act::Move(_) | Act::Break(_) => {}
        }
        self.drain();
    }
}

proptest! {
    /// Two links that may both open, over connections that break: what is submitted ends exactly once, in order; what
    /// is read was sent, in order, without repeats; and they find each other again.
    #[test]
    fn two_links_find_each_other_again_and_again(acts in proptest::collection::vec(act(), 1..120)) {
        let mut two = Two::new();
        acts.into_iter().for_each(|act| two.act(act));
        for _ in 0..200 {
            two.act(Act::Wait(19));
            (0..8).for_each(|choice| two.act(Act::Move(choice)));
        }
        for side in 0..2 {
            prop_assert!(two.rigs[side].link.room().units > 0, "they are connected");
            let all: Vec<u64> = (1..=two.submitted[side]).collect();
            prop_assert_eq!(&two.ended[side], &all);
            let read: Vec<u64> = two.read[1 - side].iter().map(|word| word[5..].parse().unwrap()).collect();
            prop_assert!(read.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", read);
        }
    }
}
