//! Nodes that come back and take less than before, or more.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::Duration;

use super::tests::{HOUR, Radios, content, name, unit};
use crate::radio::AirLink as _;
use crate::transport::{Emission, Transport as _, TransportEvent};

/// As between Skywave sites at 300 bit/s: smaller PDUs to several, the largest to one.
const PDU_OCTETS: (usize, Option<usize>) = (988, Some(2034));

fn largest(radios: &Radios) -> usize {
    radios.air.iter().filter(|(from, _)| *from == 1).map(|(_, pdu)| pdu.octets.len()).max().unwrap_or(0)
}

fn renewed(radios: &Radios) -> usize {
    let renewed =
        |event: &&TransportEvent| matches!(event, TransportEvent::Notice(notice) if notice.name == "message_renewed");
    radios.gateway(1).events.iter().filter(renewed).count()
}

/// What had begun arrives, once, in PDUs that the node takes; later ones are as large as they can be again.
#[test]
fn what_has_begun_goes_on_in_smaller_pdus_and_later_ones_grow_again() {
    for (to, silent, mtu) in [(&[2][..], &[][..], 1500), (&[2, 3], &[], 600), (&[2], &[2], 600), (&[2, 3], &[3], 600)] {
        let mut radios = Radios::with(1, 3, silent, PDU_OCTETS);
        let now = radios.now;
        silent.iter().for_each(|&id| radios.link(id).set_emission(now, Emission::Silent));
        radios.submit(1, unit(5, to, Precedence::Routine, 20_000));
        radios.run(Duration::from_secs(30));
        let before = largest(&radios);
        assert!(before > mtu, "{to:?}: the largest had {before}");
        assert!(radios.gateway(1).delivered().is_empty());
        radios.air.clear();
        radios.reconnect(1, mtu);
        radios.run(HOUR);
        assert_eq!(renewed(&radios), 1);
        for &site in to {
            assert_eq!(radios.gateway(site).mails, [content(5, 20_000)], "{to:?} at {site}");
        }
        assert_eq!(largest(&radios), mtu, "{to:?}: and as large as that");
        let now = radios.now;
        for &id in silent {
            radios.link(id).set_emission(now, Emission::Free);
            radios.start(id, &[]);
        }
        radios.run(HOUR);
        let mut delivered = radios.gateway(1).delivered();
        delivered.sort();
        assert_eq!(delivered, to.iter().map(|&id| (5, name(id))).collect::<Vec<_>>(), "{silent:?}");
        assert_eq!(radios.gateway(1).failed(), []);
        radios.air.clear();
        radios.reconnect(1, 2042);
        radios.submit(1, unit(6, to, Precedence::Routine, 20_000));
        radios.run(HOUR);
        assert_eq!(largest(&radios), if to.len() == 1 { 2034 } else { 988 }, "{to:?}");
        assert_eq!(renewed(&radios), 1, "nothing begins anew because more is taken");
    }
}

/// A receiver that has the message keeps it; a new number is on the disk before its PDUs go, and survives a restart.
#[test]
fn who_has_it_keeps_it_and_a_restart_forgets_nothing() {
    let mut radios = Radios::with(2, 3, &[], PDU_OCTETS);
    radios.submit(1, unit(5, &[2, 3], Precedence::Routine, 20_000));
    radios.run(Duration::from_secs(30));
    radios.break_disk(1, true);
    radios.reconnect(1, 600);
    assert_eq!(radios.link(1).offer(), None, "it is not on the disk");
    radios.run(Duration::from_secs(4));
    assert_eq!(renewed(&radios), 1);
    radios.break_disk(1, false);
    radios.run(Duration::from_secs(20));
    radios.start(1, &[]);
    radios.submit(1, unit(5, &[2, 3], Precedence::Routine, 20_000));
    radios.run(HOUR);
    let mut delivered = radios.gateway(1).delivered();
    delivered.sort();
    assert_eq!(delivered, [(5, name(2)), (5, name(3))]);
    assert_eq!(renewed(&radios), 1);
    assert_eq!((radios.gateway(2).mails.len(), radios.gateway(3).mails.len()), (1, 1));
}

/// A message that only waits for its acknowledgement has nothing that the node could refuse.
#[test]
fn what_has_left_is_not_sent_anew() {
    let mut radios = Radios::with(3, 2, &[], PDU_OCTETS);
    radios.submit(1, unit(5, &[2], Precedence::Routine, 3_000));
    while radios.gateway(2).mails.is_empty() {
        radios.run(Duration::from_millis(20));
    }
    assert!(radios.gateway(1).delivered().is_empty());
    radios.reconnect(1, 600);
    radios.run(HOUR);
    assert_eq!(radios.gateway(1).delivered(), [(5, name(2))]);
    assert_eq!(renewed(&radios), 0);
}
