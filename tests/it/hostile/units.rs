//! Units that arrive by radio and are not what they should be: inputs 9 to 14 behind the carrier.

use skywave::node::command::Command;
use skywave_protocols::compress::cdt::{self, ContentType};
use skywave_protocols::time::Duration;

use super::forged::{FIELD, HQ, STRANGER, forge_unit, pair};
use super::{MINUTE, ask, count, notices, order, settles};

fn payload(from: &str, to: &[&str], text: &str) -> Vec<u8> {
    format!("{from}\r\n{}\r\n\r\n{text}", to.join("\r\n")).into_bytes()
}

/// A MULE unit of this FROM-line, these RCPT-lines and this text.
pub fn mule(from: &str, to: &[&str], text: &str) -> Vec<u8> {
    cdt::wrap(&ContentType::Mule, &payload(from, to, text)).unwrap()
}

/// Input 10: what cannot be read is answered by nobody; it is counted, kept and shown.
#[test]
fn an_unreadable_unit_is_counted_kept_and_shown() {
    let mut world = pair();
    let units = [
        b"no CompressedData at all".to_vec(),
        cdt::wrap(&ContentType::Mule, b"").unwrap(),
        mule("<x@far.test>", &[], "no recipient\r\n"),
        mule("x y z", &["<b@field.test>"], "no sender\r\n"),
        cdt::wrap(&ContentType::Mule, b"<x@far.test>\r\n<b@field.test>").unwrap(),
        cdt::wrap(&ContentType::P1, &payload("<x@far.test>", &["<b@field.test>"], "x")).unwrap(),
    ];
    for (number, unit) in (1..).zip(&units) {
        forge_unit(&mut world, STRANGER, 9, number, FIELD, unit);
        world.run_for(Duration::from_secs(10));
    }
    assert_eq!(notices(&world, FIELD, "unit_unreadable"), units.len());
    let status = ask(&mut world, FIELD, Command::Status);
    let shown = status["notices"].as_array().unwrap().iter().find(|notice| notice["name"] == "unit_unreadable");
    assert_eq!(shown.unwrap()["count"], units.len(), "{status}");
    let kept = ask(&mut world, FIELD, Command::QueueQuarantine { number: None });
    assert_eq!(kept["units"].as_array().map(Vec::len), Some(units.len()), "{kept}");
    let first = ask(&mut world, FIELD, Command::QueueQuarantine { number: Some(0) });
    assert_eq!((first["unit"]["octets"].as_u64(), &first["kept_octets"]), (Some(24), &24.into()), "{first}");
    assert!(first["hex"].as_str().is_some_and(|hex| hex.starts_with("6e6f20436f6d70")), "{first}");
    // A restart goes on behind the newest and writes over none of them.
    world.trouble(Duration::ZERO, skywave::world::Trouble::Crash(FIELD, Duration::from_secs(1)));
    world.run_for(Duration::from_secs(10));
    forge_unit(&mut world, STRANGER, 9, 77, FIELD, b"after the restart");
    world.run_for(Duration::from_secs(10));
    let kept = ask(&mut world, FIELD, Command::QueueQuarantine { number: None });
    assert_eq!(kept["units"][units.len()]["number"], units.len(), "{kept}");
    assert_eq!(world.sites[FIELD].mta.received().len() + world.sites[HQ].mta.received().len(), 0, "nobody is told");
    settles(&mut world, MINUTE);
}

/// Inputs 11 and 12: addresses that would say more than an address stay one address or cost only their recipient.
#[test]
fn hostile_addresses_in_a_unit_cost_nobody_else_the_mail() {
    let mut world = pair();
    let long = format!("<b@{}.field.test>", "x".repeat(4_000));
    let to = [
        "<b@field.test>",
        "<\"c\r\nRCPT TO:<d@field.test>\"@field.test>",
        "<e@field.test> ORCPT=rfc822;e+0D+0ARCPT+20TO:<f@field.test>",
        "<@relay.test,@other.test:g@field.test>",
        "<h%elsewhere.test@field.test>",
        "<i@field.test> NOTIFY=NEVER,SUCCESS",
        &long,
    ];
    forge_unit(&mut world, STRANGER, 9, 5, FIELD, &mule("<x@far.test>", &to, "Subject: all\r\n\r\nx\r\n"));
    world.run_for(MINUTE);
    let reached: Vec<String> = world.sites[FIELD].mta.received().iter().flat_map(|mail| mail.to.clone()).collect();
    assert!(reached.contains(&"b@field.test".to_owned()), "{reached:?}");
    for smuggled in ["d@field.test", "f@field.test"] {
        assert!(!reached.iter().any(|to| to == smuggled), "{smuggled}: {reached:?}");
    }
    assert!(reached.contains(&"g@field.test".to_owned()), "a source route is ignored: {reached:?}");
    assert!(reached.contains(&"h%elsewhere.test@field.test".to_owned()), "% is opaque: {reached:?}");
    assert!(reached.iter().all(|to| !to.contains(['\r', '\n']) && to.len() < 300), "{reached:?}");
    let elsewhere = world.sites[HQ].mta.received();
    assert!(elsewhere.is_empty(), "nothing leaves by it: {elsewhere:?}");
    // The group has the unit too: no site alone answers for who cannot be read.
    assert_eq!(notices(&world, FIELD, "recipients_refused"), 1, "what cannot be read is shown");
    settles(&mut world, MINUTE);
}

/// Inputs 13 and 14: bombs, cut and altered streams arrive whole as units: each is set aside, and the next mail passes.
#[test]
fn bombs_and_damaged_streams_are_set_aside_and_the_link_is_kept() {
    let mut world = pair();
    let bomb = cdt::wrap(
        &ContentType::Mule,
        &[&payload("<x@far.test>", &["<b@field.test>"], "")[..], &vec![b'0'; 80 << 20]].concat(),
    );
    let good = mule("<x@far.test>", &["<b@field.test>"], &"Subject: bent\r\n\r\nwords and words\r\n".repeat(40));
    let mut units = vec![bomb.unwrap(), good[..good.len() / 2].to_vec(), [good.clone(), good.clone()].concat()];
    for at in [good.len() / 3, good.len() - 3] {
        let mut bent = good.clone();
        bent[at] ^= 0x10;
        units.push(bent);
    }
    assert!(units[0].len() < 200_000, "80 MiB in {} octets", units[0].len());
    for (number, unit) in (1..).zip(&units) {
        forge_unit(&mut world, STRANGER, 9, number, FIELD, unit);
        world.run_for(MINUTE);
    }
    assert_eq!(notices(&world, FIELD, "unit_unreadable"), units.len());
    world.mail(HQ, order("a@hq.test", &["b@field.test"], "after"));
    settles(&mut world, 10 * MINUTE);
    assert_eq!((count(&world, FIELD, "after"), count(&world, FIELD, "bent")), (1, 0));
}

/// A mail that went round in a circle is not taken once more, and the carrier is told that it did its part.
#[test]
fn a_mail_that_loops_by_radio_ends() {
    let mut world = pair();
    let text = format!("{}Subject: round\r\n\r\nx\r\n", "Received: from a by b; 1 Jan 2030\r\n".repeat(60));
    forge_unit(&mut world, STRANGER, 9, 5, FIELD, &mule("<x@far.test>", &["<b@field.test>"], &text));
    world.run_for(MINUTE);
    assert_eq!((count(&world, FIELD, "round"), notices(&world, FIELD, "mail_loops")), (0, 1));
}
