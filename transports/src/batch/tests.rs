//! Two batch links, and an air between them that the test decides about.

use std::collections::BTreeMap;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::Seeded;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::time::{Duration, WallTime};

use super::*;
use crate::radio::Arrival;
use crate::transport::Delivery;

const HQ: NodeAddress = NodeAddress::individual(1);
const FIELD: NodeAddress = NodeAddress::individual(2);
const SHIP: NodeAddress = NodeAddress::individual(3);
const GROUP: NodeAddress = NodeAddress::group(7);

fn sites() -> BTreeMap<SiteName, NodeAddress> {
    [("hq", HQ), ("field", FIELD), ("ship", SHIP)].map(|(name, address)| (name.into(), address)).into()
}

fn link(config: BatchConfig) -> BatchLink {
    let mut link = BatchLink::new(config, &mut Seeded::new(1));
    link.air(Now::default(), AirEvent::Ready { mtu: 10 });
    assert_eq!(events(&mut link), [TransportEvent::Up]);
    link
}

fn unit(ticket: u64, to: &[&str], precedence: Precedence, content: &str) -> Unit {
    Unit {
        ticket: UnitTicket(ticket),
        to: to.iter().map(|&site| site.into()).collect(),
        priority: precedence.mt_priority(),
        expiry: WallTime::from_unix_seconds(3600),
        delivery: Delivery::Unconfirmed,
        context: 0,
        content: Bytes::copy_from_slice(content.as_bytes()),
    }
}

fn events(link: &mut BatchLink) -> Vec<TransportEvent> {
    let event = |output| match output {
        TransportOutput::Event(event) => Some(event),
        TransportOutput::Store(..) => None,
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| link.poll())
        .filter_map(event)
        .filter(|event| !matches!(event, TransportEvent::Progress(_)))
        .collect()
}

fn arrival(pdu: &AirPdu) -> AirEvent {
    AirEvent::Arrived(Arrival {
        source: HQ,
        source_sap: pdu.port.sap,
        destination: pdu.to,
        port: pdu.port,
        segment: pdu.segment.unwrap(),
        precedence: pdu.priority.precedence(),
        octets: pdu.octets.clone(),
    })
}

fn at(seconds: u64) -> Now {
    Now::default().after(Duration::from_secs(seconds))
}

/// Releases all that is offered, and says that it left.
fn send_all(link: &mut BatchLink, now: Now) -> Vec<AirPdu> {
    let mut pdus = Vec::new();
    while let Some(offer) = link.offer() {
        let pdu = link.release(now).unwrap();
        assert_eq!((offer.octets, offer.priority), (pdu.octets.len(), pdu.priority.p_mul()));
        let token = pdu.token;
        link.air(now, if pdu.confirm { AirEvent::Confirmed { token } } else { AirEvent::Sent { token } });
        pdus.push(pdu);
    }
    pdus
}

fn delivered(ticket: u64, sites: &[&str]) -> Vec<TransportEvent> {
    sites.iter().map(|&by| TransportEvent::Delivered { ticket: UnitTicket(ticket), by: by.into() }).collect()
}

#[test]
fn rounds_are_planned_and_a_receiver_fills_gaps_from_the_next() {
    let mut hq = link(BatchConfig::udop(sites(), Some(GROUP)));
    let mut field = link(BatchConfig::udop(sites(), Some(GROUP)));
    hq.submit(at(0), unit(1, &["field", "ship"], Precedence::Flash, "MAIL FROM:<a@hq>"));
    let mut lost = [0, 1, 0].into_iter();
    for (round, seconds) in [0, 300, 600].into_iter().enumerate() {
        hq.handle_wakeup(at(seconds));
        let pdus = send_all(&mut hq, at(seconds));
        assert_eq!(pdus.len(), 2, "round {round}");
        let lost = lost.next();
        for (number, pdu) in pdus.iter().enumerate() {
            assert_eq!((pdu.to, pdu.confirm, pdu.segment.unwrap().number), (GROUP, false, number as u16));
            if Some(number) != lost {
                field.air(at(seconds), arrival(pdu));
            }
        }
        let expected = if round == 2 { delivered(1, &["field", "ship"]) } else { vec![] };
        assert_eq!(events(&mut hq), expected);
    }
    let arrived = events(&mut field);
    let [TransportEvent::Arrived { from, source, priority, confirmed: false, content, .. }] = &arrived[..] else {
        panic!("{arrived:?}")
    };
    assert_eq!((from.as_deref(), source.as_str(), &content[..]), (Some("hq"), "0.0.0.1", &b"MAIL FROM:<a@hq>"[..]));
    assert_eq!(*priority, Precedence::Flash.mt_priority());
    assert_eq!(hq.room(), link(BatchConfig::udop(sites(), None)).room());
}

#[test]
fn repeats_are_told_once_unless_the_gateway_wants_another() {
    for (answer, told_again) in [(None, false), (Some(true), true), (Some(false), false)] {
        let mut hq = link(BatchConfig::udop(sites(), None));
        let mut field = link(BatchConfig::udop(sites(), None));
        hq.submit(at(0), unit(1, &["field"], Precedence::Routine, "x"));
        let pdus = send_all(&mut hq, at(0));
        field.air(at(0), arrival(&pdus[0]));
        let first = events(&mut field);
        let [TransportEvent::Arrived { arrival: number, .. }] = first[..] else { panic!("{first:?}") };
        match answer {
            None => field.accept(at(1), number),
            Some(retry) => field.refuse(at(1), number, retry),
        }
        field.air(at(2), arrival(&pdus[0]));
        assert_eq!(events(&mut field).len(), usize::from(told_again), "{answer:?}");
    }
}

/// Nobody sends again what the node has confirmed: it is told until the gateway has it on its disk.
#[test]
fn what_the_gateway_could_not_take_is_told_again() {
    let mut hq = link(BatchConfig::rcop(sites()));
    hq.submit(at(0), unit(1, &["field"], Precedence::Routine, "x"));
    let pdu = send_all(&mut hq, at(0)).remove(0);
    let mut field = link(BatchConfig::rcop(sites()));
    field.air(at(0), arrival(&pdu));
    for minute in 0..3 {
        let told = events(&mut field);
        let [TransportEvent::Arrived { arrival: number, .. }] = told[..] else { panic!("{told:?}") };
        field.refuse(at(60 * minute), number, true);
        assert_eq!(events(&mut field), []);
        assert_eq!(field.next_wakeup().map(|wakeup| wakeup.at), Some(at(60 * (minute + 1)).mono));
        field.handle_wakeup(at(60 * (minute + 1)));
    }
    let told = events(&mut field);
    let [TransportEvent::Arrived { arrival: number, .. }] = told[..] else { panic!("{told:?}") };
    field.accept(at(200), number);
    field.air(at(201), arrival(&pdu));
    field.handle_wakeup(at(1000));
    assert_eq!(events(&mut field), []);
}

#[test]
fn a_repeat_after_a_restart_is_not_told_again_until_it_is_forgotten() {
    let mut hq = link(BatchConfig::udop(sites(), None));
    hq.submit(at(0), unit(1, &["field"], Precedence::Routine, "x"));
    let pdu = send_all(&mut hq, at(0)).remove(0);
    let mut field = link(BatchConfig::udop(sites(), None));
    field.air(at(0), arrival(&pdu));
    let told = events(&mut field);
    let [TransportEvent::Arrived { arrival: number, .. }] = told[..] else { panic!("{told:?}") };
    // The disk fails at first.
    field.accept(at(1), number);
    let Some(TransportOutput::Store(batch, first)) = field.poll() else { panic!("a record") };
    field.handle(at(1), TransportInput::StoreFailed(batch, "full".to_owned()));
    assert_eq!(field.next_wakeup().map(|wakeup| wakeup.why), Some("store again"));
    field.handle_wakeup(at(6));
    assert_eq!(field.poll(), Some(TransportOutput::Store(batch, first.clone())));
    field.handle(at(6), TransportInput::Stored(batch));
    let rows: BTreeMap<Vec<u8>, Bytes> = first.into_iter().map(|(key, value)| (key, value.unwrap())).collect();
    let day = 24 * 3600;
    for (seconds, told_again) in [(60, false), (day - 60, false), (day + 60, true)] {
        let mut rows: Vec<_> =
            rows.iter().map(|(key, value)| crate::io::Row { key: key.clone(), value: value.clone() }).collect();
        rows.push(crate::io::Row { key: b"Sbroken".to_vec(), value: Bytes::from_static(&[1, 2]) });
        // The machine's clock begins anew, the calendar goes on.
        let begun = Now { wall: at(seconds).wall, ..Now::default() };
        let mut field = BatchLink::new(BatchConfig::udop(sites(), None), &mut Seeded::new(2));
        field.handle(begun, TransportInput::Restored(rows));
        field.air(begun, AirEvent::Ready { mtu: 10 });
        field.air(begun, arrival(&pdu));
        let told = events(&mut field).iter().filter(|event| matches!(event, TransportEvent::Arrived { .. })).count();
        assert_eq!(told == 1, told_again, "{seconds}");
    }
    // What is forgotten leaves the disk.
    field.handle_wakeup(at(day + 60));
    assert!(matches!(&field.poll(), Some(TransportOutput::Store(_, records)) if records[0].1.is_none()));
}

#[test]
fn what_is_remembered_on_disk_is_bounded() {
    let mut field = link(BatchConfig::udop(sites(), None));
    let mut on_disk = BTreeMap::new();
    for number in 0..limits::SEEN_MAX as u64 + 10 {
        let mut hq = link(BatchConfig::udop(sites(), None));
        hq.submit(at(0), unit(1, &["field"], Precedence::Routine, &format!("{number:05}")));
        let pdu = send_all(&mut hq, at(0)).remove(0);
        field.air(at(number), arrival(&pdu));
        let told = events(&mut field);
        let [TransportEvent::Arrived { arrival: number_of, .. }] = told[..] else { panic!("{told:?}") };
        field.accept(at(number), number_of);
        while let Some(output) = field.poll() {
            let TransportOutput::Store(batch, records) = output else { continue };
            field.handle(at(number), TransportInput::Stored(batch));
            for (key, value) in records {
                match value {
                    Some(value) => on_disk.insert(key, value),
                    None => on_disk.remove(&key),
                };
            }
        }
    }
    assert_eq!(on_disk.len(), limits::SEEN_MAX);
}

#[test]
fn rcop_sends_to_each_site_and_waits_for_its_node() {
    let mut hq = link(BatchConfig::rcop(sites()));
    hq.submit(at(0), unit(1, &["field", "ship"], Precedence::Routine, "0123456789"));
    let pdus: Vec<_> = std::iter::from_fn(|| hq.release(at(0))).collect();
    assert_eq!(pdus.iter().map(|pdu| pdu.to).collect::<Vec<_>>(), [FIELD, FIELD, SHIP, SHIP]);
    hq.air(at(1), AirEvent::Confirmed { token: pdus[0].token });
    hq.air(at(1), AirEvent::Returned { token: pdus[1].token });
    hq.air(at(1), AirEvent::Rejected { token: pdus[2].token, reason: DataRejection::NotResponding });
    hq.air(at(1), AirEvent::Confirmed { token: pdus[3].token });
    let again = hq.release(at(1)).unwrap();
    assert_eq!((again.to, again.segment), (FIELD, pdus[1].segment));
    assert_eq!(hq.offer(), None);
    hq.air(at(2), AirEvent::Confirmed { token: again.token });
    assert_eq!(events(&mut hq), delivered(1, &["field"]));
    hq.handle_wakeup(at(61));
    assert_eq!(send_all(&mut hq, at(61)).len(), 1);
    assert_eq!(events(&mut hq), delivered(1, &["ship"]));
}

#[test]
fn what_cannot_be_sent_fails_at_once_and_once() {
    let mut config = BatchConfig::udop(sites(), None);
    config.unit_octets_max = 20;
    let mut hq = link(config);
    let failed = |site: &str, fault| TransportEvent::Failed { ticket: UnitTicket(1), to: site.into(), fault };
    let late = Unit { expiry: WallTime::default(), ..unit(1, &["field"], Precedence::Routine, "x") };
    let rows = [
        (
            unit(1, &["nowhere"], Precedence::Routine, "x"),
            failed("nowhere", TransportFault::UnknownSite("nowhere".into())),
        ),
        (
            unit(1, &["field"], Precedence::Routine, "123456789012345678901"),
            failed("field", TransportFault::TooLarge { octets: 21, limit: 20 }),
        ),
        (late, failed("field", TransportFault::Expired)),
    ];
    for (unit, event) in rows {
        hq.submit(at(0), unit);
        assert_eq!(events(&mut hq), [event]);
        assert_eq!((hq.offer(), hq.room().units), (None, UNITS_MAX));
    }
    hq.submit(at(0), unit(1, &["field", "ship"], Precedence::Routine, "x"));
    let pdu = hq.release(at(0)).unwrap();
    assert_eq!(pdu.ttl, Duration::from_secs(3600));
    hq.air(at(0), AirEvent::Rejected { token: pdu.token, reason: DataRejection::TooLarge });
    assert!(matches!(&events(&mut hq)[..], [TransportEvent::Failed { to, .. }] if &**to == "field"));
    assert_eq!(hq.cancel(at(0), UnitTicket(1)), Sent { octets: 5 });
    assert_eq!(events(&mut hq), [failed("ship", TransportFault::Cancelled)]);
    hq.submit(at(0), unit(1, &["field"], Precedence::Routine, "x"));
    hq.handle_wakeup(at(3600));
    assert_eq!(events(&mut hq), [failed("field", TransportFault::Expired)]);
    hq.air(at(3601), AirEvent::Sent { token: 99 });
    assert_eq!((events(&mut hq), hq.next_wakeup()), (vec![], None));
}

#[test]
fn a_flash_goes_before_the_rest_of_a_routine_unit_and_a_raise_counts() {
    let mut hq = link(BatchConfig::udop(sites(), None));
    hq.submit(at(0), unit(1, &["field"], Precedence::Routine, "a long routine unit of several segments"));
    let first = hq.release(at(0)).unwrap();
    hq.submit(at(0), unit(2, &["ship"], Precedence::Flash, "flash"));
    hq.submit(at(0), unit(3, &["ship"], Precedence::Deferred, "raised"));
    hq.raise(at(0), UnitTicket(3), Precedence::Override.mt_priority());
    let order: Vec<_> = std::iter::from_fn(|| hq.release(at(0))).map(|pdu| pdu.to).collect();
    assert_eq!((first.to, order[0], order[1], order[2]), (FIELD, SHIP, SHIP, FIELD));
}

#[test]
fn silence_of_ours_stops_all_and_silence_of_a_site_stops_arq_to_it() {
    for (config, offers) in [(BatchConfig::udop(sites(), None), true), (BatchConfig::rcop(sites()), false)] {
        let mut hq = link(config);
        hq.submit(at(0), unit(1, &["ship"], Precedence::Flash, "x"));
        hq.set_silence(at(0), &"ship".into(), true);
        assert_eq!(hq.offer().is_some(), offers);
        hq.set_silence(at(0), &"ship".into(), false);
        hq.set_emission(at(0), Emission::Silent);
        assert_eq!((hq.offer(), hq.release(at(0))), (None, None));
        hq.set_emission(at(0), Emission::Free);
        assert!(hq.offer().is_some());
    }
}

/// What waits for a site that is believed silent goes when the site is heard.
#[test]
fn who_transmits_keeps_silence_no_more() {
    let mut hq = link(BatchConfig::rcop(sites()));
    hq.submit(at(0), unit(1, &["field"], Precedence::Routine, "x"));
    let pdu = send_all(&mut hq, at(0)).remove(0);
    let mut field = link(BatchConfig::rcop(sites()));
    for site in ["hq", "ship"] {
        field.set_silence(at(0), &site.into(), true);
    }
    field.submit(at(0), unit(2, &["hq", "ship"], Precedence::Routine, "y"));
    assert_eq!(field.offer(), None);
    field.air(at(1), arrival(&pdu));
    let told = events(&mut field);
    assert!(told.contains(&TransportEvent::SilenceEnded("hq".into())), "{told:?}");
    assert_eq!(field.release(at(1)).map(|pdu| pdu.to), Some(HQ));
    assert_eq!(field.offer(), None, "the ship is silent");
    field.air(at(2), arrival(&pdu));
    assert_eq!(events(&mut field), []);
}

#[test]
fn a_new_session_with_a_smaller_mtu_cuts_anew_and_one_with_the_same_goes_on() {
    let mut hq = link(BatchConfig::udop(sites(), None));
    hq.submit(at(0), unit(1, &["field"], Precedence::Flash, "0123456789"));
    let first = hq.release(at(0)).unwrap();
    hq.air(at(1), AirEvent::Returned { token: first.token });
    hq.air(at(1), AirEvent::Lost("closed".into()));
    assert_eq!(hq.offer(), None);
    hq.air(at(2), AirEvent::Ready { mtu: 10 });
    let again = hq.release(at(2)).unwrap();
    assert_eq!((again.segment, &again.octets), (first.segment, &first.octets));
    hq.air(at(3), AirEvent::Ready { mtu: 7 });
    let cut = hq.release(at(3)).unwrap();
    assert_ne!(cut.segment.unwrap().u_pdu_id, first.segment.unwrap().u_pdu_id);
    assert_eq!(cut.octets.len(), 7);
}

#[test]
fn room_comes_back() {
    let mut hq = link(BatchConfig { rounds: 1, ..BatchConfig::udop(sites(), None) });
    for ticket in 0..UNITS_MAX as u64 {
        hq.submit(at(0), unit(ticket, &["ship"], Precedence::Routine, "x"));
    }
    assert_eq!((hq.room().units, events(&mut hq)), (0, vec![]));
    send_all(&mut hq, at(0));
    assert!(events(&mut hq).contains(&TransportEvent::RoomChanged));
    assert_eq!(hq.describe()["units"], serde_json::json!([]));
}

#[test]
fn configurations_that_cannot_be() {
    let good = BatchConfig::udop(sites(), Some(GROUP));
    assert_eq!(good.faults(), []);
    let bad = BatchConfig { rounds: 0, node_repeats: 16, unit_octets_max: 0, group: Some(HQ), ..good };
    let keys: Vec<_> = bad.faults().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["rounds", "node_repeats", "unit_octets_max", "group"]);
}
