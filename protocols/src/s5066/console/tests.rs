//! The tools against two nodes of a few lines, in virtual time.

mod net;

use net::Net;
use proptest::prelude::*;

use super::answer::{Answer, AnswerConfig};
use super::limits::{OUTPUTS_MAX, RUNS_MAX};
use super::note::Note;
use super::ping::{Ping, PingConfig};
use super::probe::APPLICATION;
use super::session::Way;
use super::status::{SAPS, Status};
use super::tap::Toward;
use super::traffic::{Traffic, TrafficConfig};
use super::watch::Watch;
use super::{Over, Tool};
use crate::bytes::Bytes;
use crate::s5066::address::NodeAddress;
use crate::s5066::sis::event::{SessionEnd, SisConfig};
use crate::s5066::sis::fields::{DeliveryMode, Rank, SapId, TransmissionMode, Ttl};
use crate::s5066::sis::pdu::Primitive;
use crate::s5066::sis::reason::{Availability, AvailabilityReason, BindRejection};
use crate::s5066::sis::unidata::UnidataIndication;
use crate::time::{Duration, Now};

const FAR: NodeAddress = NodeAddress::individual(0x0102_0305);
const MINUTE: Duration = Duration::from_secs(60);

fn sap(number: u8) -> SapId {
    SapId::try_from(number).unwrap()
}

fn arq() -> SisConfig {
    SisConfig::new(SapId::RCOP, DeliveryMode::ARQ_NODE)
}

fn way(mode: DeliveryMode) -> Way {
    Way {
        destination: FAR,
        sap: SapId::RCOP,
        mode,
        retransmissions: 0,
        priority: 4,
        ttl: Ttl::from_span(MINUTE),
        expedited: false,
        application: Some(APPLICATION),
    }
}

fn pings(count: u32) -> PingConfig {
    let (pause, patience) = (Duration::from_secs(1), MINUTE);
    PingConfig { way: way(DeliveryMode::ARQ_NODE), count, octets: 64, pause, patience }
}

fn answering() -> Answer {
    let config = AnswerConfig { application: Some(APPLICATION), ttl: Ttl::from_span(MINUTE), span: None };
    Answer::new(arq(), config, 2, false)
}

#[test]
fn pings_are_answered_and_timed() {
    let (mut ping, mut answer) = (Ping::new(arq(), pings(3), 7, false), answering());
    let notes = Net::new().run(&mut ping, Some(&mut answer));
    assert_eq!(ping.over(), Some(&Over::Done));
    let report = ping.report();
    // Two seconds there, two seconds back; the confirmation takes one more than one way.
    assert_eq!((report.sent, report.answered, report.duplicates, report.rejected), (3, 3, 0, 0));
    assert_eq!((report.first_seconds, report.later_mean_seconds), (Some(4.0), Some(4.0)));
    assert_eq!(report.answers[2].confirmed_after_seconds, Some(3.0));
    assert_eq!(report.answers[0].octets, 64, "an answer is as long as the question");
    assert_eq!(answer.report().pings_answered, 3);
    assert!(notes.iter().any(|note| matches!(note, Note::Bound { sap: 6, mtu_octets: 2048, .. })));
    let text = report.to_string();
    assert!(text.contains("3 sent, 3 answered, 0 % lost"), "{text}");
    assert!(text.contains("seconds: least 4.00, mean 4.00, most 4.00, deviation 0.00"), "{text}");
}

#[test]
fn what_nobody_answers_is_lost_and_what_comes_late_or_twice_says_so() {
    let mut answer = answering();
    let mut net = Net::new();
    net.lose_octets_with = vec![1];
    net.repeat = vec![2];
    // Given up after 60 s; the next, at 61 s, is answered at 65 s.
    net.delay_by = vec![(3, MINUTE)];
    let mut ping = Ping::new(arq(), pings(5), 8, false);
    net.run(&mut ping, Some(&mut answer));
    let report = ping.report();
    assert_eq!((report.sent, report.answered, report.late, report.duplicates), (5, 4, 1, 1), "{report:?}");
    assert_eq!(report.lost_percent, 20.0);

    let mut ping = Ping::new(arq(), pings(4), 7, false);
    let notes = Net::new().run(&mut ping, None::<&mut Answer>);
    assert_eq!(ping.report().answered, 0);
    assert_eq!(notes.iter().filter(|note| matches!(note, Note::Unanswered { .. })).count(), 4);
    assert_eq!(ping.report().mean_seconds, None);
}

#[test]
fn a_server_that_refuses_is_quoted() {
    let mut net = Net::new();
    net.rejects = true;
    let mut ping = Ping::new(arq(), pings(2), 7, false);
    let notes = net.run(&mut ping, None::<&mut Answer>);
    assert_eq!((ping.report().rejected, ping.report().answered), (2, 0));
    let quoted = |note: &Note| matches!(note, Note::Rejected { why, .. } if why == "destination node not responding");
    assert_eq!(notes.iter().filter(|note| quoted(note)).count(), 2, "{notes:?}");
}

#[test]
fn a_refused_bind_ends_the_tool_with_its_reason() {
    let mut net = Net::new();
    net.taken = vec![6];
    let mut ping = Ping::new(arq(), pings(2), 7, false);
    net.run(&mut ping, None::<&mut Answer>);
    let over = ping.over().unwrap();
    assert_eq!(over, &Over::Failed(SessionEnd::BindRejected(BindRejection::SapAllocated)));
    assert_eq!(ping.next_wakeup(), None, "it is not tried again");

    let mut gone = Ping::new(arq(), pings(2), 7, false);
    let mut net = Net::new();
    net.nobody_listens = true;
    net.run(&mut gone, None::<&mut Answer>);
    assert!(matches!(gone.over(), Some(Over::Failed(SessionEnd::Pipe(why))) if why == "refused"), "{:?}", gone.over());

    let mut large = Ping::new(arq(), PingConfig { octets: 2049, ..pings(1) }, 7, false);
    Net::new().run(&mut large, None::<&mut Answer>);
    assert_eq!(large.over(), Some(&Over::Unfit("2049 octets, the node takes 2048".to_owned())));
}

#[test]
fn status_takes_the_first_free_sap() {
    let mut net = Net::new();
    net.taken = vec![SAPS[0], SAPS[1]];
    net.availability = Some(Primitive::SubnetAvailability(Availability::ReceiveOnly, AvailabilityReason::Emcon));
    let mut status = Status::new(&SAPS.map(sap), Rank::default(), Duration::from_secs(1), 1, false);
    net.run(&mut status, None::<&mut Answer>);
    assert_eq!(status.over(), Some(&Over::Done));
    let report = status.report();
    assert_eq!((report.sap, report.mtu_octets), (Some(SAPS[2]), Some(2048)));
    assert_eq!(report.saps_taken, SAPS[..2]);
    assert_eq!(report.availability, Availability::ReceiveOnly);
    let text = report.to_string();
    assert!(text.contains("subnetwork receive only (local node in EMCON)"), "{text}");
    assert_eq!(net.unbinds, 1, "it leaves in good order");

    let mut net = Net::new();
    net.taken = vec![3];
    let mut status = Status::new(&[sap(3)], Rank::default(), Duration::from_secs(1), 1, false);
    net.run(&mut status, None::<&mut Answer>);
    let taken = SessionEnd::BindRejected(BindRejection::SapAllocated);
    assert_eq!((status.over(), status.report().bound), (Some(&Over::Failed(taken)), false));
}

#[test]
fn traffic_is_confirmed_and_counted() {
    let config = TrafficConfig {
        way: way(DeliveryMode::ARQ_NODE),
        pdus: 50,
        octets: 1000,
        window: 8,
        patience: MINUTE,
        asks_count: true,
    };
    let (mut traffic, mut answer) = (Traffic::new(arq(), config, 7, false), answering());
    let notes = Net::new().run(&mut traffic, Some(&mut answer));
    let report = traffic.report();
    assert_eq!((report.sent, report.confirmed, report.unknown), (50, 50, 0));
    // Eight under way, each three seconds until its confirmation: 7 rounds.
    assert_eq!(report.seconds, 21.0);
    assert_eq!(report.bits_per_second.round(), (50.0 * 8000.0_f64 / 21.0).round());
    let counted = report.counted.clone().unwrap();
    assert_eq!((counted.pdus, counted.octets, counted.seconds), (50, 50_000, 18.0));
    assert!(report.is_complete());
    assert!(notes.contains(&Note::Progress { pdus: 50, of: 50, seconds: 21.0 }), "{notes:?}");
    assert!(report.to_string().contains("counted there: 50 U_PDUs, 0 % lost"), "{report}");
}

#[test]
fn what_of_a_broadcast_is_lost_only_the_other_end_knows() {
    let config = TrafficConfig {
        way: way(DeliveryMode::NON_ARQ),
        pdus: 10,
        octets: 100,
        window: 4,
        patience: MINUTE,
        asks_count: true,
    };
    let mut net = Net::new();
    net.lose_octets_with = vec![3, 5];
    net.repeat = vec![4];
    let (mut traffic, mut answer) = (Traffic::new(arq(), config, 7, false), answering());
    net.run(&mut traffic, Some(&mut answer));
    let report = traffic.report();
    assert_eq!((report.handed, report.confirmed), (10, 0));
    let counted = report.counted.clone().unwrap();
    assert_eq!((counted.pdus, counted.duplicates, counted.lost_percent), (8, 1, 20.0));
    assert!(!report.is_complete());

    let mut alone = Traffic::new(arq(), config, 7, false);
    Net::new().run(&mut alone, None::<&mut Answer>);
    assert_eq!((alone.over(), alone.report().counted), (Some(&Over::Done), None));
    assert!(alone.report().to_string().contains("nobody counted there"));
}

#[test]
fn a_watch_shows_every_primitive() {
    let mut watch = Watch::new(arq(), Some(Duration::from_secs(30)), 1);
    let (mut net, mut ping) = (Net::new(), Ping::new(arq(), pings(1), 7, false));
    let notes = net.run_both(&mut ping, &mut watch, true);
    assert_eq!((watch.report().u_pdus, watch.report().octets), (1, 64));
    let shown: Vec<(Toward, u8)> = notes
        .iter()
        .filter_map(|note| match note {
            Note::Primitive { toward, octets } => Some((*toward, octets[5])),
            _ => None,
        })
        .collect();
    let expected =
        [(Toward::Server, 1), (Toward::Client, 3), (Toward::Client, 14), (Toward::Client, 21), (Toward::Server, 2)];
    assert_eq!(shown, expected);
}

#[test]
fn a_stop_unbinds_first() {
    let mut answer = answering();
    let mut net = Net::new();
    net.stop_after = Some(Duration::from_secs(10));
    net.run(&mut answer, None::<&mut Answer>);
    assert_eq!((answer.over(), net.unbinds), (Some(&Over::Stopped), 1));
}

/// A probe that anybody may have made up, or no probe.
fn forged() -> impl Strategy<Value = Vec<u8>> {
    let probe = (0_u8..8, any::<u32>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 0..40)).prop_map(
        |(kind, run, sequence, rest)| {
            let header = [&[0, 1, 0, 0][..], &APPLICATION.to_be_bytes(), b"SW", &[kind]].concat();
            [&header[..], &run.to_be_bytes(), &(sequence % 70_000).to_be_bytes(), &rest].concat()
        },
    );
    prop_oneof![4 => probe, 1 => proptest::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn forged_probes_neither_harm_nor_grow_a_console(
        probes in proptest::collection::vec((0_u32..200, forged()), 1..200)
    ) {
        let now = Now::default().after(MINUTE);
        let traffic = TrafficConfig {
            way: way(DeliveryMode::ARQ_NODE), pdus: 4, octets: 64, window: 2, patience: MINUTE, asks_count: true,
        };
        let (mut answer, mut load) = (answering(), Traffic::new(arq(), traffic, 7, false));
        let mut ping = Ping::new(arq(), pings(0), 7, false);
        bound(&mut answer, now);
        bound(&mut load, now);
        bound(&mut ping, now);
        for (source, u_pdu) in probes {
            let indication = UnidataIndication {
                priority: 4,
                sap: SapId::RCOP,
                destination: FAR,
                transmission: TransmissionMode::Arq,
                source_sap: SapId::RCOP,
                source: NodeAddress::individual(source),
                errored: Vec::new(),
                missing: Vec::new(),
                u_pdu: Bytes::from(u_pdu),
            };
            let octets = Primitive::UnidataIndication(indication).encode().unwrap();
            answer.handle_read(now, &octets);
            load.handle_read(now, &octets);
            ping.handle_read(now, &octets);
        }
        prop_assert!(answer.runs() <= RUNS_MAX);
        prop_assert!(answer.over().is_none());
        prop_assert_eq!((ping.report().sent, load.report().sent), (1, 2));
        let mut outputs = 0;
        while answer.poll().is_some() {
            outputs += 1;
        }
        prop_assert!(outputs <= OUTPUTS_MAX);
    }
}

fn bound(tool: &mut impl Tool, now: Now) {
    tool.start(now);
    tool.opened(now);
    tool.handle_read(now, &Primitive::BindAccepted { sap: SapId::RCOP, mtu: 2048 }.encode().unwrap());
}
