//! What senders and the postmaster are told, to the octet.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// The text of the first mail whose subject begins so.
fn text(world: &World, site: usize, subject: &str) -> String {
    let all = world.sites[site].mta.received();
    let found = all.iter().find(|mail| mail.subject.starts_with(subject));
    String::from_utf8_lossy(&found.unwrap_or_else(|| panic!("{all:?}")).text).into_owned()
}

/// RFC 2045 section 6.4 and RFC 6533: wide parts only in a wide whole, and under the name that fits them.
#[test]
fn a_report_shows_what_was_meant_in_parts_that_are_well_formed() {
    const MIME: &str = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                        Content-Transfer-Encoding: 8bit\r\n";
    let utf8 = format!("X-Name: gr\u{fc}n\r\n{MIME}");
    for (parameters, headers, body, kind, wide) in [
        ("", "", "a line\r\n", "text/rfc822-headers", 0),
        ("RET=FULL", "", "a line\r\n", "message/rfc822", 0),
        ("SMTPUTF8 BODY=8BITMIME", &*utf8, "gr\u{fc}n\r\n", "message/global-headers", 2),
        ("SMTPUTF8 BODY=8BITMIME RET=FULL", &utf8, "gr\u{fc}n\r\n", "message/global", 2),
        ("BODY=8BITMIME", MIME, "gr\u{fc}n\r\n", "text/rfc822-headers", 0),
        ("BODY=8BITMIME RET=FULL", MIME, "gr\u{fc}n\r\n", "message/rfc822", 2),
    ] {
        let mut world = one_site();
        world.sites[0].mta.answer_with("never@hq.test", 550);
        world.mail(
            0,
            MailOrder {
                mail_parameters: format!("{parameters} ENVID=QQ+2B1"),
                rcpt_parameters: "ORCPT=rfc822;Bob+2Bx+0D+0A@a.test".into(),
                headers: headers.into(),
                body: body.to_owned().into(),
                ..order("a@hq.test", &["never@hq.test"])
            },
        );
        world.run_for(Duration::from_secs(60));
        let text = text(&world, 0, "Undeliverable");
        for line in [
            "Original-Envelope-Id: QQ+1\r\n".to_owned(),
            "Original-Recipient: rfc822; Bob+x\\r\\n@a.test\r\n".to_owned(),
            format!("\r\nContent-Type: {kind}\r\n"),
        ] {
            assert!(text.contains(&line), "{parameters}: {line}\n{text}");
        }
        let (header, parts) = text.split_once("\r\n\r\n").unwrap();
        let (own, _) = parts.rsplit_once(&format!("Content-Type: {kind}\r\n")).unwrap();
        let encodings = header.matches("Transfer-Encoding: 8bit").count() + own.matches("-Encoding: 8bit").count();
        let of_part = parts[own.len()..].split("\r\n\r\n").next().unwrap().matches("Encoding: 8bit").count();
        assert_eq!(encodings + of_part, wide, "{parameters}: {text}");
        assert_eq!(header.contains("8bit"), wide > 0, "{parameters}: {text}");
    }
}

fn two_by_batch() -> World {
    let plan = Plan { links: vec![LinkKind::Batch], ..Plan::new(&["hq", "field"]) };
    let mut world = World::new(9, &Weather::default());
    for (index, name) in plan.names.iter().enumerate() {
        world.add(name, plan.site(index), false);
    }
    world.run_for(Duration::from_secs(5));
    world
}

/// What a batch for anybody cannot say goes back to the sender, or crosses in another form.
#[test]
fn a_batch_by_radio_loses_nothing_without_a_word() {
    let mut world = two_by_batch();
    for (from, parameters) in
        [("a@hq.test", "MT-PRIORITY=4"), ("gr\u{fc}n@hq.test", "SMTPUTF8"), ("late@hq.test", "BY=7200;R")]
    {
        world.mail(0, MailOrder { mail_parameters: parameters.into(), ..order(from, &["b@field.test"]) });
        world.run_for(Duration::from_secs(300));
    }
    let there: Vec<_> = world.sites[1].mta.received().iter().map(|mail| (&*mail.from, mail.mt_priority)).collect();
    let value = if world.sites[1].mta.offers_mt_priority { Some(4) } else { None };
    assert_eq!(there, [("a@hq.test", value)]);
    assert!(text(&world, 1, "hello").contains("MT-Priority: 4\r\n"));
    let told: Vec<_> = world.sites[0].mta.received().iter().map(|mail| mail.to.concat()).collect();
    assert_eq!(told, ["gr\u{fc}n@hq.test", "late@hq.test"]);
    let back = String::from_utf8_lossy(&world.sites[0].mta.received()[0].text).into_owned();
    assert!(back.contains("Status: 5.6.7"), "{back}");
    assert!(text(&world, 0, "Undeliverable").contains("Status: 5"), "{told:?}");
}

/// RFC 2442 section 3: what is wrong with a recipient is for the sender; what is wrong with the batch for the postmaster.
#[test]
fn what_is_wrong_with_a_batch_in_a_mail_is_told_once() {
    const M: &str = "MAIL FROM:<s@hq.test>\r\n";
    let good = "RCPT TO:<b@hq.test>\r\nDATA\r\nSubject: good\r\n\r\n.\r\n";
    let trace = "Received: from x by far.test (Skywave) with BSMTP id 4GTSTC4; 1 Jan 2030 00:00:00 +0000\r\n";
    let refused = format!("{M}RCPT TO:<no address>\r\nDATA\r\n{trace}Subject: bad\r\n\r\n.\r\nQUIT\r\n");
    for (batch, kind, told) in [
        (format!("{M}{good}QUIT\r\n"), "", &[("b@hq.test", "good")][..]),
        (refused, "", &[("s@hq.test", "Undeliverable mail")]),
        (
            format!("{M}RCPT TO:<no address>\r\n{good}QUIT\r\n"),
            "",
            &[("b@hq.test", "good"), ("s@hq.test", "Undeliverable mail")],
        ),
        (
            format!("{M}{good}{M}DATA\r\nlost"),
            "",
            &[("b@hq.test", "good"), ("postmaster@hq.test", "Undeliverable mail")],
        ),
        ("garbage\r\n".to_owned(), "", &[("postmaster@hq.test", "Undeliverable mail")]),
        (format!("{M}{good}"), "; required-extensions=X-NEW", &[("postmaster@hq.test", "Undeliverable mail")]),
    ] {
        let mut config = Plan::new(&["hq"]).site(0);
        config.mail.batch_address = Some("batch@hq.test".to_owned().try_into().unwrap());
        let mut world = World::new(8, &Weather::default());
        world.add("hq", config, false);
        world.run_for(Duration::from_secs(5));
        let headers = format!(
            "MIME-Version: 1.0\r\nContent-Type: application/batch-SMTP{kind}\r\nContent-Transfer-Encoding: base64\r\n"
        );
        let body = STANDARD.encode(&batch) + "\r\n";
        let carrier = MailOrder { headers, body: body.into(), ..order("c@hq.test", &["batch@hq.test"]) };
        world.mail(0, carrier);
        world.run_for(Duration::from_secs(60));
        let mut found = received(&world);
        found.sort();
        let told: Vec<_> = told.iter().map(|&(to, subject)| (vec![to.to_owned()], subject.to_owned())).collect();
        assert_eq!(found, told, "{batch} {:#?}", world.sites[0].told);
        if batch.contains("no address") {
            let report = text(&world, 0, "Undeliverable");
            assert!(report.contains("RCPT TO:<no address>") && report.contains("Status: 5.1.3"), "{report}");
        }
    }
}

/// Sites whose local servers are not the last.
fn relaying(names: &[&str]) -> World {
    let plan = Plan::new(names);
    let mut world = World::new(9, &Weather::default());
    for (index, name) in names.iter().enumerate() {
        let mut config = plan.site(index);
        config.local[0].final_delivery = false;
        world.add(name, config, false);
    }
    world.run_for(Duration::from_secs(5));
    world
}

/// RFC 2852 sections 4.1.3 and 4.1.4: a trace is a report by each relay; mode N is told where nobody will tell that it is late.
#[test]
fn by_is_traced_and_told_where_it_ends() {
    for (parameters, notify, mood, relayed) in [
        ("BY=7200;NT", "", Mood::Takes, 1),
        ("BY=7200;RT", "", Mood::Takes, 1),
        ("BY=7200;N", "", Mood::LacksDeliverBy, 1),
        ("BY=7200;N", "", Mood::Takes, 0),
        ("BY=7200;NT", "NOTIFY=NEVER", Mood::Takes, 0),
        ("BY=7200;N", "NOTIFY=FAILURE", Mood::LacksDeliverBy, 1),
        ("", "", Mood::LacksDeliverBy, 0),
    ] {
        let mut world = relaying(&["hq"]);
        world.sites[0].mta.mood = mood;
        world.mail(
            0,
            MailOrder {
                mail_parameters: parameters.into(),
                rcpt_parameters: notify.into(),
                ..order("a@hq.test", &["b@hq.test"])
            },
        );
        world.run_for(Duration::from_secs(60));
        let reports = received(&world).iter().filter(|(_, subject)| subject.starts_with("Mail relayed")).count();
        assert_eq!(reports, relayed, "{parameters} {notify} {mood:?}: {:?}", received(&world));
    }
    let mut world = relaying(&["hq", "field"]);
    world.mail(0, MailOrder { mail_parameters: "BY=7200;NT".into(), ..order("a@hq.test", &["b@field.test"]) });
    world.run_for(Duration::from_secs(600));
    let reports = received(&world);
    assert_eq!(reports.len(), 2, "one by each site: {reports:?}");
}

/// Hostile 7 and 11: nothing is refused for them, and the operator is told.
#[test]
fn doubtful_precedence_and_look_alike_addresses_are_told() {
    let mut world = one_site();
    let notices = |world: &World, name: &str| {
        let told = world.sites[0].told.iter().filter_map(|told| match &told.event {
            crate::telemetry::Event::Notice { name: found, detail, .. } if found == name => Some(detail.clone()),
            _other => None,
        });
        told.collect::<Vec<_>>()
    };
    world.mail(
        0,
        MailOrder {
            mail_parameters: "MT-PRIORITY=4".into(),
            headers: "MMHS-Primary-Precedence: 1\r\nMT-Priority: 2\r\nMT-Priority: 2\r\n".into(),
            ..order("a@hq.test", &["b@hq.test"])
        },
    );
    let mixed = "p\u{430}yp\u{430}l@hq.test";
    world.mail(0, MailOrder { mail_parameters: "SMTPUTF8".into(), ..order("a@hq.test", &[mixed]) });
    world.mail(0, order("a@hq.test", &["b@hq.test"]));
    world.run_for(Duration::from_secs(60));
    let told = notices(&world, "precedence_notes").join("\n");
    assert!(told.contains("an MMHS field says") && told.contains("more than once"), "{told}");
    assert_eq!(notices(&world, "precedence_notes").len(), 1, "{told}");
    assert_eq!(notices(&world, "address_mixes_scripts").len(), 1);
    assert_eq!(received(&world).len(), 3);
    let utf8 = text(&world, 0, "hello");
    assert!(
        world.sites[0].mta.received().iter().any(|mail| String::from_utf8_lossy(&mail.text).contains("with UTF8SMTP")),
        "{utf8}"
    );
}

/// A peer is given at most its ceiling.
#[test]
fn a_site_on_a_link_has_a_ceiling_of_its_own() {
    for (ceiling, expected) in [(None, 4), (Some(Precedence::Priority), 0)] {
        let plan = Plan { links: vec![LinkKind::Hf], ..Plan::new(&["hq", "field"]) };
        let mut world = World::new(9, &Weather::default());
        world.add("hq", plan.site(0), false);
        let mut config = plan.site(1);
        if let TransportConfig::Acp142Radio { acp142, .. } = &mut config.links[0].transport {
            acp142.sites[0].precedence_ceiling = ceiling.map(Precedence::mt_priority);
        }
        world.add("field", config, false);
        world.run_for(Duration::from_secs(5));
        let mail_parameters = "MT-PRIORITY=4".into();
        world.mail(0, MailOrder { mail_parameters, ..order("a@hq.test", &["b@field.test"]) });
        world.run_for(Duration::from_secs(300));
        let there: Vec<_> = world.sites[1].mta.received().iter().map(|mail| mail.mt_priority).collect();
        assert_eq!(there, [Some(expected)], "{ceiling:?}");
    }
}
