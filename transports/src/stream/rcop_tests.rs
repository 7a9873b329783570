//! RCOP links, and an air between them that the test decides about.

use std::collections::BTreeMap;

use proptest::prelude::*;
use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::Seeded;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::sis::reason::{Availability, DataRejection};
use skywave_protocols::time::{Duration, Now, WallTime};

use super::config::{APPLICATION, CONNECTION_URGENT, RcopConfig};
use super::limits::UNITS_MAX;
use super::rcop::RcopLink;
use crate::radio::{AirEvent, AirLink, AirPdu, Arrival, Port, Segment};
use crate::transport::{
    Delivery, Emission, Room, Sent, SiteName, Transport, TransportEvent, TransportFault, TransportOutput, Unit,
    UnitTicket,
};

const HQ: NodeAddress = NodeAddress::individual(1);
const FIELD: NodeAddress = NodeAddress::individual(2);
const STRANGER: NodeAddress = NodeAddress::individual(9);
const MTU: usize = 20;
const NONE: [i64; 0] = [];

fn sites() -> BTreeMap<SiteName, NodeAddress> {
    [("hq", HQ), ("field", FIELD)].map(|(name, address)| (name.into(), address)).into()
}

fn link(config: RcopConfig) -> RcopLink {
    let mut link = RcopLink::new(config, &mut Seeded::new(1));
    assert_eq!(link.room().units, 0, "no room without a session");
    link.air(Now::default(), AirEvent::Ready { mtu: MTU });
    let events = events(&mut link);
    assert!(matches!(&events[..], [TransportEvent::Profile(_), TransportEvent::Up, TransportEvent::RoomChanged]));
    link
}

fn unit(ticket: u64, context: u16, precedence: Precedence) -> Unit {
    Unit {
        ticket: UnitTicket(ticket),
        to: vec!["field".into()],
        priority: precedence.mt_priority(),
        expiry: WallTime::from_unix_seconds(3600),
        delivery: Delivery::Committed,
        context,
        content: Bytes::from(format!("unit {ticket}")),
    }
}

fn routine(ticket: u64) -> Unit {
    unit(ticket, 0, Precedence::Routine)
}

fn events(link: &mut RcopLink) -> Vec<TransportEvent> {
    let event = |output| match output {
        TransportOutput::Event(event) => event,
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| link.poll())
        .map(event)
        .filter(|event| !matches!(event, TransportEvent::Progress(_)))
        .collect()
}

/// What was told of units: `+1` delivered, `-1` failed.
fn fates(link: &mut RcopLink) -> Vec<i64> {
    let fate = |event| match event {
        TransportEvent::Delivered { ticket, .. } => Some(ticket.0.cast_signed()),
        TransportEvent::Failed { ticket, .. } => Some(-ticket.0.cast_signed()),
        _ => None,
    };
    events(link).into_iter().filter_map(fate).collect()
}

fn contents(link: &mut RcopLink) -> Vec<String> {
    let content = |event| match event {
        TransportEvent::Arrived { content, .. } => Some(String::from_utf8(content.to_vec()).unwrap()),
        _ => None,
    };
    events(link).into_iter().filter_map(content).collect()
}

fn release_all(link: &mut RcopLink, now: Now) -> Vec<AirPdu> {
    std::iter::from_fn(|| link.release(now)).collect()
}

fn words(pdus: &[AirPdu]) -> Vec<String> {
    pdus.iter().map(|pdu| String::from_utf8(pdu.octets.to_vec()).unwrap()).collect()
}

fn arrival(source: NodeAddress, port: Port, segment: (u8, u16), octets: &[u8]) -> AirEvent {
    AirEvent::Arrived(Arrival {
        source,
        source_sap: port.sap,
        destination: FIELD,
        port,
        segment: Segment { u_pdu_id: segment.0, number: segment.1 },
        precedence: Precedence::Flash,
        octets: Bytes::copy_from_slice(octets),
    })
}

fn heard(pdu: &AirPdu) -> AirEvent {
    let segment = pdu.segment.unwrap();
    arrival(HQ, pdu.port, (segment.u_pdu_id, segment.number), &pdu.octets)
}

fn at(seconds: u64) -> Now {
    Now::default().after(Duration::from_secs(seconds))
}

const NOT_RESPONDING: fn(u64) -> AirEvent = |token| AirEvent::Rejected { token, reason: DataRejection::NotResponding };

#[test]
fn profiles_use_the_ports_of_the_table_of_defaults() {
    let ports = |config: RcopConfig| -> Vec<_> {
        RcopLink::new(config, &mut Seeded::new(1))
            .ports()
            .iter()
            .map(|port| (port.sap.number(), port.connection, port.application))
            .collect()
    };
    assert_eq!(ports(RcopConfig::skywave(sites())), [(6, 0, APPLICATION), (6, CONNECTION_URGENT, APPLICATION)]);
    assert_eq!(ports(RcopConfig::standard(sites())), [(2, 0, 0x8001)]);
    assert_eq!(ports(RcopConfig::m_link_r17(sites(), 0x8abc)), [(6, 0, 0x8abc)]);
}

#[test]
fn a_window_is_unconfirmed_and_delivered_is_told_in_order() {
    let four = RcopConfig { window: 4, ..RcopConfig::skywave(sites()) };
    for (config, window) in [(four, 4), (RcopConfig::standard(sites()), 1)] {
        let mut hq = link(config);
        (1..=6).for_each(|ticket| hq.submit(at(0), routine(ticket)));
        let pdus = release_all(&mut hq, at(0));
        assert_eq!(pdus.len(), window);
        assert!(pdus.iter().all(|pdu| (pdu.to, pdu.confirm, pdu.repeats, pdu.ttl.as_secs()) == (FIELD, true, 0, 3600)));
        assert_eq!(hq.offer(), None);
        for pdu in pdus.iter().rev() {
            assert_eq!(fates(&mut hq), NONE);
            hq.air(at(1), AirEvent::Confirmed { token: pdu.token });
        }
        assert_eq!(fates(&mut hq), (1..=window as i64).collect::<Vec<_>>());
    }
}

/// Each row: what becomes of units 1 to 4 in the air, in this order of news; what is sent again; how much of it before
/// the last news, which is as soon as nothing behind it is in the air.
#[test]
fn what_got_lost_comes_again_in_its_order_with_all_that_followed_it() {
    let yes: fn(u64) -> AirEvent = |token| AirEvent::Confirmed { token };
    let lost: fn(u64) -> AirEvent = |token| AirEvent::Returned { token };
    for (news, again, soon) in [
        (vec![(1, yes), (2, yes), (3, yes), (4, yes)], vec![], 0),
        (vec![(1, yes), (2, yes), (3, yes), (4, lost)], vec![4], 0),
        (vec![(1, yes), (2, lost), (3, yes), (4, yes)], vec![2, 3, 4], 0),
        (vec![(3, yes), (4, yes), (2, lost), (1, yes)], vec![2, 3, 4], 3),
        (vec![(1, lost), (2, lost), (3, lost), (4, lost)], vec![1, 2, 3, 4], 0),
        (vec![(1, NOT_RESPONDING), (2, NOT_RESPONDING), (3, yes), (4, lost)], vec![1, 2, 3, 4], 0),
    ] {
        let mut hq = link(RcopConfig::skywave(sites()));
        (1..=4).for_each(|ticket| hq.submit(at(0), routine(ticket)));
        let pdus = release_all(&mut hq, at(0));
        let ids: Vec<_> = pdus.iter().map(|pdu| pdu.segment).collect();
        let (last, first) = news.split_last().unwrap();
        for (unit, what) in first {
            hq.air(at(1), what(pdus[unit - 1].token));
        }
        let mut repeats = release_all(&mut hq, at(1));
        assert_eq!(repeats.len(), soon, "{again:?}");
        hq.air(at(1), last.1(pdus[last.0 - 1].token));
        hq.handle_wakeup(at(60));
        repeats.extend(release_all(&mut hq, at(60)));
        let expected: Vec<_> = again.iter().map(|unit| (format!("unit {unit}"), ids[unit - 1])).collect();
        let found: Vec<_> = words(&repeats).into_iter().zip(repeats.iter().map(|pdu| pdu.segment)).collect();
        assert_eq!(found, expected, "repeats keep their U_PDU id");
        repeats.iter().for_each(|pdu| hq.air(at(61), AirEvent::Confirmed { token: pdu.token }));
        assert_eq!(fates(&mut hq), [1, 2, 3, 4]);
    }
}

#[test]
fn a_site_that_does_not_respond_is_left_alone_for_longer_each_time() {
    let mut hq = link(RcopConfig::standard(sites()));
    hq.submit(at(0), routine(1));
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..4 {
        let pdu = hq.release(at(now)).unwrap();
        hq.air(at(now), NOT_RESPONDING(pdu.token));
        assert_eq!(hq.offer(), None);
        let next = hq.next_wakeup().unwrap().at;
        waits.push(next.since(at(now).mono).as_secs());
        now = next.since(Now::default().mono).as_secs() + 1;
        hq.handle_wakeup(at(now));
    }
    assert!(waits.windows(2).all(|pair| pair[1] > pair[0]) && waits[0] >= 22 && waits[0] <= 30, "{waits:?}");
    let pdu = hq.release(at(now)).unwrap();
    hq.air(at(now), NOT_RESPONDING(pdu.token));
    hq.air(at(now), arrival(FIELD, pdu.port, (7, 0), b"x"));
    assert!(hq.offer().is_some(), "whoever sends can be reached");
}

#[test]
fn a_second_context_overtakes_and_priority_never_rises_inside_one() {
    let mut hq = link(RcopConfig::skywave(sites()));
    hq.submit(at(0), routine(1));
    let first = hq.release(at(0)).unwrap();
    hq.submit(at(0), routine(2));
    hq.submit(at(0), unit(3, 0, Precedence::Immediate));
    hq.submit(at(0), unit(4, 1, Precedence::Flash));
    let pdus = release_all(&mut hq, at(0));
    assert_eq!(words(&pdus), ["unit 4", "unit 2", "unit 3"]);
    let told: Vec<_> = pdus.iter().map(|pdu| (pdu.priority.precedence(), pdu.expedited, pdu.port.connection)).collect();
    // Unit 2 is as urgent as unit 3 behind it, but in the node nothing may pass unit 1.
    assert_eq!(told, [(Precedence::Flash, true, 3), (Precedence::Routine, false, 0), (Precedence::Routine, false, 0)]);
    assert_eq!(first.priority.precedence(), Precedence::Routine);
    for pdu in [&first, &pdus[1], &pdus[2], &pdus[0]] {
        hq.air(at(1), AirEvent::Confirmed { token: pdu.token });
    }
    assert_eq!(fates(&mut hq), [1, 2, 3, 4]);
    hq.submit(at(2), routine(5));
    hq.submit(at(2), unit(6, 0, Precedence::Immediate));
    let before_mail = Precedence::Immediate.mt_priority().p_mul() - 1;
    assert_eq!(hq.offer().unwrap().priority, before_mail);
    assert_eq!(
        hq.release(at(2)).unwrap().priority.precedence(),
        Precedence::Immediate,
        "with all that waits behind it"
    );
    hq.submit(at(2), routine(7));
    hq.raise(at(2), UnitTicket(7), Precedence::Override.mt_priority());
    assert_eq!(hq.offer().unwrap().priority, Precedence::Override.mt_priority().p_mul());
}

#[test]
fn only_few_units_go_expedited_and_never_behind_others() {
    let mut hq = link(RcopConfig::skywave(sites()));
    (1..=4).for_each(|ticket| hq.submit(at(0), unit(ticket, 1, Precedence::Flash)));
    let expedited: Vec<_> = release_all(&mut hq, at(0)).iter().map(|pdu| pdu.expedited).collect();
    assert_eq!(expedited, [true, true, false, false]);
    let mut hq = link(RcopConfig::standard(sites()));
    hq.submit(at(0), unit(1, 7, Precedence::Override));
    assert!(!hq.release(at(0)).unwrap().expedited, "only where it is configured");
}

#[test]
fn what_cannot_be_sent_fails_at_once_and_once() {
    let mut hq = link(RcopConfig::skywave(sites()));
    let failed = |site: &str, fault| TransportEvent::Failed { ticket: UnitTicket(1), to: site.into(), fault };
    let large = Unit { content: Bytes::from(vec![0; MTU + 1]), ..routine(1) };
    let late = Unit { expiry: WallTime::default(), ..routine(1) };
    let astray = Unit { to: vec!["moon".into()], ..routine(1) };
    for (unit, event) in [
        (large, failed("field", TransportFault::TooLarge { octets: MTU + 1, limit: MTU })),
        (late, failed("field", TransportFault::Expired)),
        (astray, failed("moon", TransportFault::UnknownSite("moon".into()))),
    ] {
        hq.submit(at(0), unit);
        assert_eq!((events(&mut hq), hq.offer()), (vec![event], None));
    }
    hq.submit(at(0), routine(1));
    let pdu = hq.release(at(0)).unwrap();
    hq.air(at(0), AirEvent::Rejected { token: pdu.token, reason: DataRejection::NoMode });
    assert!(matches!(&events(&mut hq)[..], [TransportEvent::Failed { fault: TransportFault::Refused(_), .. }]));
    (1..=UNITS_MAX as u64 + 1).for_each(|ticket| hq.submit(at(0), unit(ticket, 1, Precedence::Flash)));
    assert_eq!(fates(&mut hq), [-(UNITS_MAX as i64) - 1], "a limit on what is held");
}

/// The delivery mode: asked for the client's confirmation, a node whose client is away gives the unit back.
//= xmpp/RCOP-005
#[test]
fn a_unit_for_a_gateway_that_is_away_comes_again_where_its_confirmation_is_asked_for() {
    for to_client in [false, true] {
        let mut hq = link(RcopConfig { to_client, ..RcopConfig::standard(sites()) });
        hq.submit(at(0), routine(1));
        let pdu = hq.release(at(0)).unwrap();
        assert_eq!((pdu.confirm, pdu.to_client), (true, to_client));
        hq.air(at(1), AirEvent::Rejected { token: pdu.token, reason: DataRejection::NotBound });
        assert_eq!((fates(&mut hq), hq.release(at(1))), (NONE.to_vec(), None), "not at once");
        let wakeup = hq.next_wakeup().unwrap().at;
        let later = Now::default().after(wakeup.since(Now::default().mono));
        hq.handle_wakeup(later);
        let again = hq.release(later).unwrap();
        assert_eq!((again.octets, again.segment), (pdu.octets, pdu.segment));
        hq.air(later, AirEvent::Confirmed { token: again.token });
        assert_eq!(fates(&mut hq), [1]);
    }
}

#[test]
fn units_expire_and_are_cancelled_where_they_are() {
    let mut hq = link(RcopConfig::skywave(sites()));
    (1..=3).for_each(|ticket| hq.submit(at(0), routine(ticket)));
    let (first, second) = (hq.release(at(0)).unwrap(), hq.release(at(0)).unwrap());
    hq.air(at(1), AirEvent::Confirmed { token: second.token });
    assert_eq!(hq.cancel(at(1), UnitTicket(1)), Sent { octets: 6 });
    assert_eq!(fates(&mut hq), [-1, 2], "the second had only waited for the first");
    hq.air(at(2), AirEvent::Confirmed { token: first.token });
    assert_eq!(fates(&mut hq), NONE);
    hq.handle_wakeup(at(3600));
    assert_eq!((fates(&mut hq), hq.next_wakeup()), (vec![-3], None));
    hq.submit(at(0), routine(4));
    let pdu = hq.release(at(3599)).unwrap();
    assert_eq!(pdu.ttl.as_secs(), 2, "the shortest life that a node can be told");
    hq.handle_wakeup(at(3601));
    assert_eq!(fates(&mut hq), NONE, "it may still get there");
    hq.air(at(3602), AirEvent::Rejected { token: pdu.token, reason: DataRejection::TtlExpired });
    assert_eq!(fates(&mut hq), [-4]);
}

#[test]
fn silence_stops_what_would_transmit() {
    let none = Room { units: 0, octets: 0 };
    let mut hq = link(RcopConfig { sites: [("field".into(), FIELD)].into(), ..RcopConfig::skywave(sites()) });
    hq.submit(at(0), routine(1));
    for (begin, end) in [
        (
            (|hq: &mut RcopLink| hq.set_emission(at(0), Emission::Silent)) as fn(&mut RcopLink),
            (|hq: &mut RcopLink| hq.set_emission(at(0), Emission::Free)) as fn(&mut RcopLink),
        ),
        (|hq| hq.set_silence(at(0), &"field".into(), true), |hq| hq.set_silence(at(0), &"field".into(), false)),
        (
            |hq| hq.air(at(0), AirEvent::Emission(Availability::ReceiveOnly)),
            |hq| hq.air(at(0), AirEvent::Emission(Availability::On)),
        ),
        (|hq| hq.air(at(0), AirEvent::Lost("away".into())), |hq| hq.air(at(0), AirEvent::Ready { mtu: MTU })),
    ] {
        events(&mut hq);
        begin(&mut hq);
        assert_eq!((hq.offer(), hq.release(at(0)), hq.room()), (None, None, none));
        end(&mut hq);
        assert_eq!(hq.offer().map(|offer| (offer.octets, offer.confirm)), Some((6, true)));
        assert!(events(&mut hq).contains(&TransportEvent::RoomChanged));
    }
}

#[test]
fn a_new_session_goes_on_where_the_old_one_ended() {
    let mut hq = link(RcopConfig::skywave(sites()));
    (1..=2).for_each(|ticket| hq.submit(at(0), routine(ticket)));
    hq.submit(at(0), Unit { content: Bytes::from(vec![b'x'; MTU]), ..routine(3) });
    let pdus = release_all(&mut hq, at(0));
    pdus.iter().for_each(|pdu| hq.air(at(1), AirEvent::Returned { token: pdu.token }));
    hq.air(at(1), AirEvent::Lost("closed".into()));
    hq.air(at(2), AirEvent::Ready { mtu: MTU - 1 });
    assert_eq!(fates(&mut hq), [-3], "larger than the new session takes");
    assert_eq!(hq.profile().unit_octets_max, MTU - 1);
    let again = release_all(&mut hq, at(2));
    assert_eq!(again.iter().map(|pdu| pdu.segment).collect::<Vec<_>>(), [pdus[0].segment, pdus[1].segment]);
}

//= xmpp/RCOP-003
#[test]
fn hostile_31_segments_that_lie_cost_no_memory_and_are_counted() {
    let port = RcopConfig::skywave(sites()).ports[0];
    // Each row: where it comes from, U_PDU id, segment, octets; and what is told of it between two Skywave sites, and
    // where the peer may cut its units.
    type Row = (NodeAddress, (u8, u16), &'static [u8], bool, bool);
    let rows: [Row; 10] = [
        (STRANGER, (1, 0), b"x", false, false),
        (HQ, (1, 0), b"", false, false),
        (HQ, (1, 0), b"a", true, true),
        (HQ, (1, 0), b"a", false, false),
        (HQ, (1, 1), b"b", false, true),
        (HQ, (1, 1), b"b", false, false),
        (HQ, (1, 1), b"other", false, true),
        (HQ, (1, 7), b"after a gap", false, true),
        (HQ, (2, 65_535), b"the last there is", false, true),
        (HQ, (1, 0), b"id used again", true, true),
    ];
    for segments in [false, true] {
        let mut field = link(RcopConfig { segments, ..RcopConfig::skywave(sites()) });
        for (source, segment, octets, whole, cut) in rows {
            field.air(at(0), arrival(source, port, segment, octets));
            let expected: Vec<_> =
                [octets].iter().filter(|_| if segments { cut } else { whole }).map(|o| o.to_vec()).collect();
            let told: Vec<_> = contents(&mut field).into_iter().map(String::into_bytes).collect();
            assert_eq!(told, expected, "{segment:?} {segments}");
        }
        for number in 0..=u16::MAX {
            field.air(at(1), arrival(HQ, port, (9, number), b"1"));
        }
        let arrived = contents(&mut field).len();
        assert_eq!(arrived, if segments { 65_536 } else { 1 }, "each is handed on and none is held");
        let notices = events(&mut field).len();
        assert!(notices < 40, "a flood is counted, not told: {notices}");
        let counters = field.describe()["counters"].clone();
        assert_eq!(counters["strangers"], 1);
        assert_eq!(field.next_wakeup(), None);
    }
}

#[test]
fn who_it_came_from_and_how_urgent_is_told() {
    let mut field = link(RcopConfig::standard(sites()));
    field.air(at(0), arrival(HQ, RcopConfig::standard(sites()).ports[0], (1, 0), b"x"));
    let told = events(&mut field);
    let [TransportEvent::Arrived { arrival, from, source, priority, confirmed: false, .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((from.as_deref(), source.as_str(), priority.precedence()), (Some("hq"), "0.0.0.1", Precedence::Flash));
    field.accept(at(0), *arrival);
    field.refuse(at(0), *arrival, true);
    assert_eq!((events(&mut field), field.offer()), (vec![], None), "nothing is left to be said");
}

/// What the air does with a U_PDU: nothing arrives, it arrives but the confirmation is lost, or all goes well.
#[derive(Clone, Copy, Debug)]
enum Luck {
    Lost,
    Unconfirmed,
    Good,
}

fn luck() -> impl Strategy<Value = Luck> {
    prop_oneof![1 => Just(Luck::Lost), 1 => Just(Luck::Unconfirmed), 3 => Just(Luck::Good)]
}

proptest! {
    /// Two links back to back: with a window of one, whatever is lost, all arrives once and in order; with more, the
    /// first time that each number comes is in order once repeats of what is known are dropped, as numbered blocks do.
    #[test]
    fn everything_arrives_in_order(fortunes in proptest::collection::vec(luck(), 1..60), window in 1_usize..5) {
        let config = RcopConfig { window, ..RcopConfig::skywave(sites()) };
        let (mut hq, mut field) = (link(config.clone()), link(config));
        (1..=12).for_each(|ticket| hq.submit(at(0), routine(ticket)));
        let mut fortunes = fortunes.into_iter();
        let (mut seconds, mut told, mut arrived) = (0, Vec::new(), Vec::new());
        while told.len() < 12 {
            seconds += 1;
            hq.handle_wakeup(at(seconds));
            // An ARQ in order: what follows a loss is lost with it, until all is told.
            let mut broken = false;
            for pdu in release_all(&mut hq, at(seconds)) {
                let luck = if broken { Luck::Lost } else { fortunes.next().unwrap_or(Luck::Good) };
                broken |= matches!(luck, Luck::Lost);
                if !matches!(luck, Luck::Lost) {
                    field.air(at(seconds), heard(&pdu));
                }
                let token = pdu.token;
                hq.air(at(seconds), match luck {
                    Luck::Good => AirEvent::Confirmed { token },
                    Luck::Lost | Luck::Unconfirmed => AirEvent::Returned { token },
                });
            }
            told.extend(fates(&mut hq));
            arrived.extend(contents(&mut field));
            prop_assert!(seconds < 1000);
        }
        prop_assert_eq!(told, (1..=12).collect::<Vec<i64>>());
        let expected: Vec<_> = (1..=12).map(|number| format!("unit {number}")).collect();
        if window == 1 {
            prop_assert_eq!(arrived, expected);
        } else {
            let mut first = Vec::new();
            arrived.into_iter().for_each(|word| if !first.contains(&word) { first.push(word) });
            prop_assert_eq!(first, expected);
        }
    }
}
