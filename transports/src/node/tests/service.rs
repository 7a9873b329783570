//! What clients get: delivery and confirmation, broadcasts, U_PDUs with errors, rejections; and what weather files may say.

use super::*;

#[test]
fn a_u_pdu_arrives_and_is_confirmed() {
    let mut bench = Bench::new("", 2);
    let sent = unit(1, 2000);
    bench.arq(0, 1, 6, 600, sent.clone());
    bench.run(600.0);
    let Primitive::UnidataIndication(indication) = &bench.told[0].primitive else { panic!() };
    assert_eq!((&indication.u_pdu, indication.source, indication.priority), (&sent, address(0), 6));
    assert_eq!(indication.transmission, TransmissionMode::Arq);
    assert_eq!(bench.answered(0), (vec![1], vec![]));
    // 2000 octets are 13.3 s of air at 1200 bit/s: two transmissions and two answers.
    assert!(bench.told[0].seconds < 30.0, "{}", bench.told[0].seconds);
    assert_eq!(bench.told.len(), 2);
    assert!(bench.simulator.next_wakeup().is_none(), "{:?}", bench.simulator.next_wakeup());
}

/// More C_PDUs are open at once than a transmission asks about in eight: parts of dozens are lost and repeated at a time.
#[test]
fn dozens_of_open_c_pdus_arrive_once_and_in_order() {
    let weather = "seed = 4\nbits_per_second = 2400\n[burst]\nloss_percent = 20.0\nmean_blocks = 3";
    let mut bench = Bench::new(weather, 2);
    for number in 0..100 {
        bench.arq(0, 1, 6, 7200, unit(number, 300 + 7 * number as usize));
        bench.arq(1, 0, 6, 7200, unit(1000 + number, 60));
    }
    let open = |bench: &Bench, from: u16| bench.number(from, &format!("/peers/{}/unacknowledged", address(1 - from)));
    let mut most = [0, 0];
    while bench.answered(0).0.len() + bench.answered(1).0.len() < 200 && bench.seconds() < 3600.0 {
        bench.run(bench.seconds() + 1.0);
        most = [most[0].max(open(&bench, 0)), most[1].max(open(&bench, 1))];
    }
    assert!(most[0] > 24 && most[1] > 24, "{most:?} segments were open");
    assert!(bench.number(0, "/dts/segments_repeated") > 5 && bench.number(1, "/dts/segments_repeated") > 5);
    for (from, base) in [(0, 0), (1, 1000)] {
        let tags: Vec<u32> = (base..base + 100).collect();
        let arrived: Vec<u32> = bench.arrived(1 - from, RCOP).iter().map(|(tag, _)| *tag).collect();
        assert_eq!((arrived, bench.answered(from).1), (tags, vec![]), "from {from}");
    }
}

/// Where a time for it is configured, a client hears that nothing was confirmed before its U_PDU has died.
#[test]
fn what_is_not_confirmed_in_time_is_rejected() {
    for (wait, reason, seconds) in
        [(Some(60), DataRejection::NotResponding, 60.0), (None, DataRejection::TtlExpired, 600.0)]
    {
        let mut bench = Bench::configured("[[outage]]\nat_seconds = 0.0\nfor_seconds = 9000.0", 2, |config| {
            config.server.confirm_wait = wait.map(Duration::from_secs);
        });
        bench.arq(0, 1, 6, 600, unit(1, 40));
        bench.run(900.0);
        let told: Vec<_> = bench.told.iter().map(|told| (told.seconds.round(), &told.primitive)).collect();
        let [(at, Primitive::UnidataRequestRejected(found, _))] = told[..] else { panic!("{told:?}") };
        assert_eq!((*found, at), (reason, seconds), "{wait:?}");
        assert_eq!(bench.simulator.view(StationId(0)).unwrap().queued(), 0, "{wait:?}");
    }
}

#[test]
fn a_short_u_pdu_takes_a_few_seconds_at_every_rate() {
    for (rate, seconds) in [(75, 25.0), (300, 6.0), (1200, 4.0), (9600, 4.0), (1_000_000, 2.5)] {
        let mut bench = Bench::new(&format!("bits_per_second = {rate}"), 2);
        bench.arq(0, 1, 6, 600, unit(1, 40));
        bench.run(600.0);
        let arrived = bench.arrived(1, RCOP);
        assert!(arrived.len() == 1 && arrived[0].1 < seconds, "{rate}: {arrived:?}");
        assert_eq!(bench.answered(0).0, [1], "{rate}");
    }
}

#[test]
fn who_drives_it_late_gets_the_same_radio() {
    let run = |step: f64| {
        let mut bench = Bench::new("loss_percent = 10.0", 4);
        for number in 0..20 {
            bench.arq((number % 4) as u16, ((number + 1) % 4) as u16, 6, 3600, unit(number, 1000));
        }
        while bench.seconds() < 600.0 {
            bench.now = bench.now.after(Duration::from_secs_f64(step));
            bench.simulator.handle_wakeup(bench.now);
            bench.drain();
        }
        (0..4).map(|station| bench.simulator.counters(StationId(station))).collect::<Vec<_>>()
    };
    assert_eq!(run(0.01), run(30.0));
}

#[test]
fn bulk_uses_the_channel_well() {
    // Share of the line rate that reaches the clients, one way and both ways.
    let rows = [(75, 0.3, 0.3), (300, 0.45, 0.4), (1200, 0.55, 0.6), (9600, 0.65, 0.75)];
    for (rate, one, both) in rows {
        for (ways, share) in [(1, one), (2, both)] {
            let mut bench = Bench::new(&format!("bits_per_second = {rate}"), 2);
            for number in 0..700 {
                for way in 0..ways {
                    bench.arq(way, 1 - way, 6, 100_000, unit(number, 2000));
                }
            }
            bench.run(1200.0);
            let octets = (bench.arrived(1, RCOP).len() + bench.arrived(0, RCOP).len()) * 2000;
            let is = octets as f64 * 8.0 / 1200.0 / f64::from(rate);
            assert!(is > share, "{rate} bit/s, {ways} ways: {is}");
        }
    }
}

#[test]
fn broadcasts_reach_the_group_once_and_nobody_answers() {
    let mut bench = Bench::new("loss_percent = 20.0\nseed = 5", 4);
    for number in 0..10 {
        bench.broadcast(0, 7, TransmissionMode::NonArq, unit(number, 300));
    }
    bench.run(3600.0);
    for station in 1..4 {
        let mut arrived: Vec<u32> = bench.arrived(station, UDOP).iter().map(|(tag, _)| *tag).collect();
        arrived.sort_unstable();
        assert_eq!(arrived, (0..10).collect::<Vec<_>>(), "station {station}");
        assert_eq!(bench.simulator.counters(StationId(station)).transmissions, 0);
    }
    assert_eq!(bench.simulator.view(StationId(0)).unwrap().queued(), 0);
}

#[test]
fn a_u_pdu_with_errors_says_what_is_missing() {
    // One whose first segment is lost is nobody's: it would say for whom it is.
    let mut bench = Bench::new("loss_percent = 6.0\nseed = 2", 2);
    for number in 0..20 {
        bench.broadcast(0, 0, TransmissionMode::NonArqWithErrors, unit(number, 2000));
    }
    bench.run(1500.0);
    let mut gaps = 0;
    for told in &bench.told {
        let Primitive::UnidataIndication(indication) = &told.primitive else { continue };
        let sent = unit(tag(&indication.u_pdu), 2000);
        gaps += indication.missing.len();
        for (i, octet) in indication.u_pdu.iter().enumerate() {
            let gap = indication
                .missing
                .iter()
                .any(|gap| (usize::from(gap.offset)..usize::from(gap.offset) + usize::from(gap.octets)).contains(&i));
            assert!(gap || indication.missing.iter().any(|gap| gap.offset == 0) || *octet == sent[i]);
        }
    }
    assert!(bench.told.len() >= 10 && gaps > 3, "{} U_PDUs, {gaps} gaps", bench.told.len());
}

#[test]
fn without_a_client_there_a_u_pdu_is_rejected_when_asked() {
    let mut bench = Bench::new("", 2);
    let mode = DeliveryMode::new(TransmissionMode::Arq, Confirmation::Client, Order::InOrder);
    let request = UnidataRequest {
        priority: 6,
        sap: SapId::T_MMHS,
        destination: address(1),
        mode,
        retransmissions: 0,
        ttl: Ttl::INFINITE,
        u_pdu: unit(1, 4),
    };
    bench.say(0, RCOP, &Primitive::UnidataRequest(request));
    bench.run(60.0);
    assert!(matches!(
        bench.told.last().map(|told| &told.primitive),
        Some(Primitive::UnidataRequestRejected(DataRejection::NotBound, _))
    ));
}

#[test]
fn weather_files_with_wrong_names_are_refused() {
    let rows = [
        ("[[emcon]]\nstation = \"x.test\"", "emcon[0].station"),
        ("[[station]]\nname = \"ship.test\"\naddress = \"1.2.3.1\"", "station[0].address"),
        ("[[station]]\nname = \"ship.test\"\naddress = \"16.2.3.1\"", "station[0].address"),
        ("[[station]]\nname = \"ship.test\"\naddress = \"ship\"", "station[0].address"),
        ("[[group]]\naddress = \"1.2.3.4\"\nmembers = []", "group[0].address"),
    ];
    for (text, key) in rows {
        let weather = Weather::parse(text).unwrap();
        let stations = vec![SimulatorStation { name: "hq.test".to_owned(), config: StationConfig::new(address(0)) }];
        let faults = Simulator::new(Now::default(), &weather, stations).unwrap_err();
        assert_eq!(faults[0].key, key, "{faults:?}");
    }
    let weather = Weather::parse("[[station]]\nname = \"ship.test\"").unwrap();
    let stations = vec![SimulatorStation { name: "hq.test".to_owned(), config: StationConfig::new(address(0)) }];
    let simulator = Simulator::new(Now::default(), &weather, stations).unwrap();
    assert_eq!(simulator.stations().last(), Some((StationId(1), "ship.test", address(1))));
}

#[test]
fn the_sample_weathers_carry_traffic() {
    for name in ["calm", "burst-10", "silent-ship"] {
        let weather = match name {
            "calm" => include_str!("../../../../gateway/examples/weather/calm.toml"),
            "burst-10" => include_str!("../../../../gateway/examples/weather/burst-10.toml"),
            _ => include_str!("../../../../gateway/examples/weather/silent-ship.toml"),
        };
        let mut bench = Bench::new(weather, 2);
        let stations = bench.simulator.stations().count() as u16;
        for to in 1..stations {
            let (_, _, to) = bench.simulator.stations().nth(usize::from(to)).unwrap();
            let mode = DeliveryMode::new(TransmissionMode::Arq, Confirmation::Client, Order::InOrder);
            let mut request = UnidataRequest {
                priority: 6,
                sap: SapId::RCOP,
                destination: to,
                mode,
                retransmissions: 0,
                ttl: Ttl::from_span(Duration::from_secs(900)),
                u_pdu: Bytes::new(),
            };
            for number in 0..3 {
                request.u_pdu = unit(number, 1500);
                bench.say(0, RCOP, &Primitive::UnidataRequest(request.clone()));
            }
        }
        bench.broadcast(0, 3, TransmissionMode::NonArq, unit(99, 500));
        bench.run(900.0);
        assert_eq!(bench.answered(0).0.len(), 3 * (usize::from(stations) - 1), "{name}");
        assert_eq!(bench.simulator.emissions_in_emcon(), 0, "{name}");
        if name == "silent-ship" {
            assert_eq!((bench.arrived(1, UDOP).len(), bench.arrived(2, UDOP).len()), (1, 1));
            let late = bench.told.iter().filter(|told| told.station == 0 && told.seconds > 240.0).count();
            assert!(late >= 3, "the ship acknowledges when its silence ends");
        }
    }
}

#[test]
fn the_simulator_takes_every_waveform() {
    for interleaver in ["short", "long"] {
        let waveform = Waveform::new(2400, Interleaver::Long).unwrap();
        assert!(waveform.block > Duration::from_secs(4));
        let mut bench = Bench::new(&format!("bits_per_second = 2400\ninterleaver = \"{interleaver}\""), 2);
        bench.arq(0, 1, 6, 600, unit(1, 1000));
        bench.run(600.0);
        assert_eq!(bench.answered(0).0, [1], "{interleaver}");
    }
}

/// U_PDUs may begin alike: what a peer's client confirms is one that arrived, and not the oldest.
#[test]
fn a_confirmation_is_put_to_a_u_pdu_that_arrived() {
    let mut bench = Bench::new("bits_per_second = 300", 2);
    let routine = unit(1, 2000);
    bench.arq(0, 1, 6, 3600, routine.clone());
    bench.run(5.0);
    bench.arq(0, 1, 12, 3600, routine.slice(..200));
    while bench.answered(0).0.is_empty() {
        bench.run(bench.seconds() + 1.0);
    }
    assert_eq!(bench.arrived(1, RCOP).len(), 1, "the rest of routine is still on its way");
    assert_eq!(bench.answered(0), (vec![1], vec![]), "what was urgent is confirmed");
    bench.restart(1);
    bench.run(3600.0);
    assert_eq!(bench.answered(0), (vec![1], vec![1]), "what was lost is not");
}

/// No request is repeated while its answer may still come.
#[test]
fn an_answer_about_a_link_has_the_time_that_it_may_take() {
    for (weather, rates, least) in [
        ("", &[][..], 128.0),
        ("bits_per_second = 75\ninterleaver = \"long\"\nturnaround_seconds = 2.0", &[], 135.0),
        ("turnaround_seconds = 10.0", &[75, 1200], 150.0),
    ] {
        let bench = Bench::with(weather, 2, rates);
        let cas = &bench.simulator.view(StationId(0)).unwrap().config().cas;
        for wait in [cas.request_wait, cas.break_wait] {
            assert!(wait.as_secs_f64() > least && wait.as_secs_f64() < least + 60.0, "{weather:?}: {wait:?}");
        }
    }
}

/// Its links and its clients with ARQ end; the other node hears why, and is refused. Then it has links again.
#[test]
fn a_node_begins_to_broadcast_while_it_runs() {
    let mut bench = Bench::new("", 2);
    bench.closed = Some(Vec::new());
    for tag in 0..20 {
        bench.arq(0, 1, 6, 7200, unit(tag, 2000));
        bench.arq(1, 0, 6, 7200, unit(100 + tag, 1500));
    }
    bench.run(20.0);
    let manager = 9;
    let manage = |bench: &mut Bench, ask: Ask| bench.say(0, manager, &Primitive::ManagementRequest(ask.message()));
    bench.input(0, manager, ClientInput::Accepted);
    let (sap, rank) = (SapId::try_from(9).unwrap(), Rank::MANAGER);
    let service = ServiceType { mode: DeliveryMode::NON_ARQ, retransmissions: 0 };
    bench.say(0, manager, &Primitive::BindRequest { sap, rank, service });
    manage(&mut bench, Ask::Broadcast(true));
    let unbound = Primitive::UnbindIndication(UnbindReason::BroadcastSession);
    assert!(bench.told.iter().any(|told| (told.station, told.sap) == (0, RCOP) && told.primitive == unbound));
    assert_eq!(bench.closed, Some(vec![(0, RCOP)]));
    let state = |bench: &Bench, station| bench.simulator.view(StationId(station)).unwrap().describe();
    assert_eq!(
        (state(&bench, 0)["queued_units"].as_u64(), state(&bench, 0)["broadcast_only"].as_bool()),
        (Some(0), Some(true))
    );
    bench.run(300.0);
    assert_eq!(state(&bench, 1)["links"].as_array().map(Vec::len), Some(0), "the other was told");
    bench.broadcast(0, 0, TransmissionMode::NonArq, unit(500, 100));
    bench.run(400.0);
    assert_eq!(bench.arrived(1, UDOP).iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), [500]);
    manage(&mut bench, Ask::Broadcast(false));
    bench.bind(0, RCOP);
    bench.run(2000.0);
    let (confirmed, rejected) = bench.answered(1);
    assert_eq!(confirmed.len() + rejected.len(), 20, "what waited there went");
    assert!(bench.arrived(0, RCOP).iter().any(|(_, at)| *at > 400.0));
}
