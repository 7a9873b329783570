use std::collections::BTreeMap;

use super::super::block::{Stored, Unit, ack_digest, low};
use super::super::config::{Medium, Profile, SlowConfig};
use super::super::dictionary::Dictionaries;
use super::super::limits::{ACK_DELAY, LEVEL_AGAIN_AFTER, SAVE_AGAIN_AFTER, UNTOLD_STANZAS_MAX, WINDOW_BLOCKS_MAX};
use super::super::record::{Key, number_octets};
use super::super::sender::Change;
use super::super::session::{Outgoing, Session, SlowOutput};
use super::world::{CALM, Troubles, run};
use crate::bytes::Bytes;
use crate::message::precedence::MtPriority;
use crate::random::Seeded;
use crate::time::{Duration, Now, WallTime};
use crate::xmpp::Stanza;

const BAD: Troubles = Troubles {
    lose: 150_000,
    double: 100_000,
    late: 150_000,
    cut: 50_000,
    flip: 50_000,
    lie: 500_000,
    down: 10_000,
    crash: 10_000,
    refuse: 20_000,
    full: 0,
};

#[test]
fn all_arrives_once_and_in_order_on_a_calm_medium() {
    let arrived: usize = (0..20).map(|seed| run(seed, CALM, 200, 40)).sum();
    assert!(arrived > 1_000, "{arrived}");
}

#[test]
fn all_arrives_once_and_in_order_whatever_happens() {
    let arrived: usize = (0..60).map(|seed| run(seed, BAD, 300, 40)).sum();
    assert!(arrived > 3_000, "{arrived}");
}

/// What these were stuck in for ever: a block that the peer had from an earlier epoch, and acknowledged, was missing in the
/// next one; and both ends had the stream begin anew before the other would have begun another epoch.
#[test]
//= xmpp/SLOW-025
fn what_an_epoch_lacks_is_asked_for() {
    for seed in [32, 211, 1_216, 2_172] {
        run(seed, BAD, 300, 40);
    }
}

/// Crashes alone, far more often.
#[test]
fn restarts_lose_and_repeat_nothing() {
    let troubles = Troubles { crash: 100_000, ..CALM };
    (1_000..1_030).for_each(|seed| {
        run(seed, troubles, 200, 30);
    });
}

/// No place for what comes, alone and with all the rest.
#[test]
//= xmpp/SLOW-026
fn what_is_held_back_is_neither_lost_nor_doubled() {
    for others in [CALM, BAD] {
        let troubles = Troubles { full: 300_000, crash: others.crash.max(1), ..others };
        (3_000..3_030).for_each(|seed| {
            run(seed, troubles, 300, 40);
        });
    }
}

/// Who has no place for what comes says nothing of it, and goes on with what it has to say itself.
#[test]
//= xmpp/SLOW-026
fn a_side_that_is_full_still_speaks_and_still_hears_what_is_confirmed() {
    for boundaries in [true, false] {
        let end = |seed| {
            let config = SlowConfig { linger: Some(Duration::ZERO), ..SlowConfig::new(Profile::Skywave) };
            Session::new(config, Box::new(Seeded::new(seed)))
        };
        let (mut here, mut full) = (end(1), end(2));
        let mut now = Now::default().after(Duration::from_secs(10));
        let medium = Medium { boundaries, unit_octets_max: 2_048, bits_per_second: 9_600 };
        for session in [&mut here, &mut full] {
            session.medium_up(now, medium);
            session.set_room(now, 64, 1 << 20);
        }
        here.submit(now, outgoing(1));
        units(&mut here, now).iter().for_each(|octets| full.arrived(now, octets));
        let Some(SlowOutput::Save { save, arrived, .. }) = full.poll() else { panic!("a batch") };
        assert_eq!(arrived.len(), 1);
        full.hold_back(now, save);
        assert!(!full.has_unsaved(), "what the other confirms comes behind it");
        full.submit(now, outgoing(7));
        let said = units(&mut full, now);
        assert!(!said.is_empty());
        said.iter().for_each(|octets| here.arrived(now, octets));
        assert!(units(&mut here, now).is_empty());
        now = now.after(Duration::from_secs(100));
        here.handle_wakeup(now);
        here.set_room(now, 64, 1 << 20);
        units(&mut here, now).iter().for_each(|octets| full.arrived(now, octets));
        let done = |session: &mut Session| {
            let outputs: Vec<SlowOutput> = std::iter::from_fn(|| session.poll()).collect();
            outputs.iter().filter(|output| matches!(output, SlowOutput::Done { .. })).count()
        };
        assert_eq!(done(&mut full), 1, "boundaries {boundaries}: it is told that its own line is there");
        full.resume(now);
        let Some(SlowOutput::Save { save, arrived, .. }) = full.poll() else { panic!("the batch again") };
        assert_eq!(arrived.len(), 1);
        full.stored(now, save);
        now = now.after(Duration::from_secs(100));
        full.handle_wakeup(now);
        full.set_room(now, 64, 1 << 20);
        units(&mut full, now).iter().for_each(|octets| here.arrived(now, octets));
        assert_eq!(done(&mut here), 1, "boundaries {boundaries}");
    }
}

/// Alterations alone: each is dropped, none is taken.
#[test]
fn nothing_altered_is_taken() {
    let troubles = Troubles { flip: 400_000, cut: 200_000, ..CALM };
    (2_000..2_030).for_each(|seed| {
        run(seed, troubles, 200, 30);
    });
}

/// A writer can tell as well that its stream is not read as it was written: what it wrote is not acknowledged. A medium
/// with boundaries has no steps to be out of.
#[test]
fn a_stream_on_which_nothing_is_acknowledged_begins_anew() {
    for (boundaries, expected) in [(false, 7), (true, 0)] {
        let mut session = Session::new(SlowConfig::new(Profile::Skywave), Box::new(Seeded::new(1)));
        let mut now = Now::default();
        session.medium_up(now, Medium { boundaries, unit_octets_max: 2_048, bits_per_second: 1_200 });
        let (mut units, mut restarts) = (0, 0);
        session.submit(now, outgoing(1));
        while units < 8 {
            session.set_room(now, 4, 1 << 20);
            while let Some(output) = session.poll() {
                match output {
                    SlowOutput::Unit { unit, .. } => {
                        units += 1;
                        session.unit_delivered(now, unit);
                    }
                    SlowOutput::Save { save, .. } => session.stored(now, save),
                    SlowOutput::Restart => restarts += 1,
                    SlowOutput::Beside { .. }
                    | SlowOutput::Early { .. }
                    | SlowOutput::Done { .. }
                    | SlowOutput::Refused { .. }
                    | SlowOutput::Notice { .. }
                    | SlowOutput::Counted { .. } => {}
                }
            }
            let at = session.next_wakeup().unwrap().at;
            now = now.after(at.since(now.mono));
            session.handle_wakeup(now);
        }
        assert_eq!(restarts, expected, "boundaries {boundaries}");
    }
}

/// A length altered on the way: the reader finds out at the next unit, or when nothing more comes.
#[test]
fn a_stream_cut_elsewhere_than_by_its_writer_begins_anew_soon() {
    for (bits_per_second, seconds) in [(1_200, 150), (9_600, 125), (10_000_000, 121)] {
        for flip in 0..8 {
            let mut config = SlowConfig::new(Profile::Skywave);
            config.linger = Some(Duration::ZERO);
            let end = |seed| Session::new(config.clone(), Box::new(Seeded::new(seed)));
            let (mut here, mut there) = (end(1), end(2));
            let mut now = Now::default().after(Duration::from_secs(10));
            let medium = Medium { boundaries: false, unit_octets_max: 2_048, bits_per_second };
            here.medium_up(now, medium);
            there.medium_up(now, medium);
            for number in 1..=3 {
                here.set_room(now, 8, 1 << 20);
                here.submit(now, outgoing(number));
                for octets in units(&mut here, now) {
                    let mut octets = octets.to_vec();
                    octets[0] ^= u8::from(number == 2) << flip;
                    there.arrived(now, &octets);
                }
            }
            let begun = now;
            let mut restarts = restarts(&mut there, now);
            while restarts == 0 {
                let at = there.next_wakeup().unwrap().at;
                now = now.after(at.since(now.mono));
                there.handle_wakeup(now);
                restarts += self::restarts(&mut there, now);
            }
            let took = now.mono.since(begun.mono);
            assert!(took <= Duration::from_secs(seconds), "bit {flip} at {bits_per_second}: {took:?}");
        }
    }
}

/// Whatever is wrong with a block at its turn: the reader may lack what came before it, so it asks for another epoch.
#[test]
fn a_block_that_cannot_be_read_at_its_turn_has_another_epoch_asked_for() {
    let mut config = SlowConfig::new(Profile::Skywave);
    config.linger = Some(Duration::ZERO);
    let now = Now::default().after(Duration::from_secs(10));
    let medium = Medium { boundaries: true, unit_octets_max: 2_048, bits_per_second: 1_200 };
    let mut here = Session::new(config.clone(), Box::new(Seeded::new(1)));
    here.medium_up(now, medium);
    let blocks: Vec<Bytes> = (1..=2)
        .flat_map(|number| {
            here.set_room(now, 8, 1 << 20);
            here.submit(now, outgoing(number));
            units(&mut here, now)
        })
        .collect();
    let [first, second] = blocks.as_slice() else { panic!("{} blocks", blocks.len()) };
    // The body stands behind four octets of header.
    for bit in 32..8 * second.len() {
        let mut there = Session::new(config.clone(), Box::new(Seeded::new(2)));
        there.medium_up(now, medium);
        there.set_room(now, 8, 1 << 20);
        there.arrived(now, first);
        units(&mut there, now);
        let mut altered = second.to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        there.set_room(now, 8, 1 << 20);
        there.arrived(now, &altered);
        let asks = units(&mut there, now).iter().any(|unit| unit[0] & 0xfc == 0x90);
        assert!(asks, "bit {bit}");
    }
}

/// Who types is told over a fast stream before any disk knows, once numbers are reserved there; after a crash such a number
/// is never used again. Over a slow one the block waits for the disk, as does a line over both.
//= xmpp/SLOW-030
#[test]
fn what_passes_leaves_by_a_fast_stream_before_the_disk_has_it() {
    for (bits_per_second, leaves) in [(10_000_000, 1), (9_600, 0)] {
        let mut config = SlowConfig::new(Profile::Skywave);
        config.linger = Some(Duration::ZERO);
        let medium = Medium { boundaries: false, unit_octets_max: 1 << 20, bits_per_second };
        let mut disk = BTreeMap::new();
        let mut now = Now::default().after(Duration::from_secs(10));
        let mut session = Session::new(config.clone(), Box::new(Seeded::new(1)));
        session.medium_up(now, medium);
        session.set_room(now, 8, 1 << 20);
        session.submit(now, typing(1));
        let (saves, sent) = outputs(&mut session);
        assert!(sent.is_empty(), "no number is reserved yet");
        for (save, changes) in saves {
            disk.extend(changes);
            session.stored(now, save);
        }
        assert_eq!(outputs(&mut session).1.len(), 1);
        now = now.after(Duration::from_secs(1));
        session.submit(now, typing(2));
        assert_eq!(outputs(&mut session).1.len(), leaves, "{bits_per_second} bit/s");
        if leaves == 0 {
            continue;
        }
        now = now.after(Duration::from_secs(1));
        session.submit(now, outgoing(3));
        assert!(outputs(&mut session).1.is_empty(), "a line waits for the disk");

        let rows = disk.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let mut again = Session::new(config, Box::new(Seeded::new(3)));
        again.restore(now, rows.collect());
        again.medium_up(now, medium);
        again.set_room(now, 80, 1 << 20);
        again.submit(now, outgoing(3));
        let mut numbers = Vec::new();
        for _ in 0..4 {
            let (saves, sent) = outputs(&mut again);
            saves.into_iter().for_each(|(save, _)| again.stored(now, save));
            numbers.extend(sent);
        }
        // The saved block, empty ones for all that may have left unsaved, and the line behind them.
        assert_eq!(numbers.len(), WINDOW_BLOCKS_MAX, "the window is full of them");
    }
}

/// What is not acknowledged takes places in the queue of the peer, which on a fast link is soon full.
#[test]
fn many_stanzas_on_a_stream_are_acknowledged_at_once() {
    for (boundaries, expected) in [(false, true), (true, false)] {
        let mut config = SlowConfig::new(Profile::Skywave);
        config.linger = Some(Duration::ZERO);
        let end = |seed| Session::new(config.clone(), Box::new(Seeded::new(seed)));
        let (mut here, mut there) = (end(1), end(2));
        let now = Now::default().after(Duration::from_secs(10));
        let medium = Medium { boundaries, unit_octets_max: 1 << 20, bits_per_second: 10_000_000 };
        here.medium_up(now, medium);
        there.medium_up(now, medium);
        there.set_room(now, 8, 1 << 20);
        (0..=UNTOLD_STANZAS_MAX as u64).for_each(|number| here.submit(now, outgoing(number)));
        for _ in 0..8 {
            here.set_room(now, 8, 1 << 20);
            units(&mut here, now).iter().for_each(|octets| there.arrived(now, octets));
        }
        assert_eq!(here.waiting(), 0);
        assert_eq!(!units(&mut there, now).is_empty(), expected, "boundaries {boundaries}");
    }
}

/// A line that is written just when the acknowledgement of the one before is due takes it along, whether it lingers or is
/// being saved by then.
#[test]
fn an_acknowledgement_waits_for_the_block_that_is_about_to_leave() {
    for milliseconds_before in [0, 10] {
        let mut ends = [1, 2].map(|seed| Session::new(SlowConfig::new(Profile::Skywave), Box::new(Seeded::new(seed))));
        let mut now = Now::default().after(Duration::from_secs(10));
        ends.iter_mut().for_each(|end| {
            end.medium_up(now, Medium { boundaries: true, unit_octets_max: 2_048, bits_per_second: 1_200 });
        });
        // The first of an epoch carries none, so both have said something before; number 0 hears the last of it.
        for number in 1..=4_usize {
            let from = (number + 1) % 2;
            ends[from].set_room(now, 8, 1 << 20);
            ends[from].submit(now, outgoing(number as u64));
            now = now.after(Duration::from_secs(1));
            ends[from].handle_wakeup(now);
            units(&mut ends[from], now).iter().for_each(|octets| ends[1 - from].arrived(now, octets));
            assert!(units(&mut ends[1 - from], now).is_empty());
        }
        let here = &mut ends[0];
        here.set_room(now, 8, 1 << 20);
        let due = here.next_wakeup().filter(|wakeup| wakeup.why == "acknowledgement").unwrap().at;
        let written = due.since(now.mono).saturating_sub(Duration::from_millis(milliseconds_before));
        now = now.after(written);
        here.submit(now, outgoing(5));
        let mut sent = Vec::new();
        for _ in 0..40 {
            here.handle_wakeup(now);
            sent.extend(units(here, now));
            now = now.after(Duration::from_millis(1));
        }
        let read: Vec<Unit<'_>> = sent.iter().map(|unit| Unit::read(unit).unwrap()).collect();
        assert!(matches!(read.as_slice(), [Unit::Data { .. }]), "{read:?}");
        assert_ne!(here.next_wakeup().map(|wakeup| wakeup.why), Some("acknowledgement"));
    }
}

/// New names are rolled out at one end first. The dictionary that both ends lack meanwhile is taken again when they agree.
//= xmpp/SLOW-028
#[test]
fn a_dictionary_that_both_ends_have_again_is_used_again() {
    let named = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        SlowConfig { names, linger: Some(Duration::ZERO), ..SlowConfig::new(Profile::Skywave) }
    };
    let (old, new) = (named(&["hq.example"]), named(&["hq.example", "anna@hq.example"]));
    let best = Dictionaries::new(&new.names).level(0).digest;
    for medium_returns in [true, false] {
        let mut now = Now::default().after(Duration::from_secs(10));
        let up = |end: &mut Session, now: Now| {
            end.medium_up(now, Medium { boundaries: true, unit_octets_max: 2_048, bits_per_second: 1_200 });
            end.set_room(now, 8, 1 << 20);
        };
        let end = |config: &SlowConfig, seed| Session::new(config.clone(), Box::new(Seeded::new(seed)));
        let mut here = end(&new, 1);
        let mut there = end(&old, 2);
        [&mut here, &mut there].into_iter().for_each(|end| up(end, now));
        // The dictionaries of the epochs that begin while both say all they have to say.
        let converse = |here: &mut Session, there: &mut Session, now: Now| {
            let mut begun = Vec::new();
            for _ in 0..8 {
                [&mut *here, &mut *there].into_iter().for_each(|end| end.set_room(now, 8, 1 << 20));
                for octets in units(here, now) {
                    if let Unit::Start { dictionary, .. } = Unit::read(&octets).unwrap() {
                        begun.push(dictionary);
                    }
                    there.arrived(now, &octets);
                }
                units(there, now).iter().for_each(|octets| here.arrived(now, octets));
            }
            begun
        };
        here.submit(now, outgoing(1));
        let begun = converse(&mut here, &mut there, now);
        assert!(begun.len() == 2 && begun[0] == best && begun[1] != best, "{begun:?}");
        now = now.after(ACK_DELAY);
        there.handle_wakeup(now);
        converse(&mut here, &mut there, now);
        // The other end is restarted with the new names too, and knows of no epoch.
        there = end(&new, 3);
        if medium_returns {
            here.medium_down(now);
            up(&mut here, now);
        } else {
            now = now.after(LEVEL_AGAIN_AFTER);
        }
        up(&mut there, now);
        here.submit(now, outgoing(2));
        let begun = converse(&mut here, &mut there, now);
        assert_eq!(begun, [best], "{medium_returns}");
    }
}

/// What a session sends; its batches are stored at once.
fn units(session: &mut Session, now: Now) -> Vec<Bytes> {
    let mut units = Vec::new();
    while let Some(output) = session.poll() {
        match output {
            SlowOutput::Unit { unit, content, .. } => {
                units.push(content);
                session.unit_delivered(now, unit);
            }
            SlowOutput::Save { save, .. } => session.stored(now, save),
            _other => {}
        }
    }
    units
}

fn restarts(session: &mut Session, now: Now) -> usize {
    let mut restarts = 0;
    while let Some(output) = session.poll() {
        match output {
            SlowOutput::Save { save, .. } => session.stored(now, save),
            SlowOutput::Restart => restarts += 1,
            _other => {}
        }
    }
    restarts
}

type Saved = (u64, Vec<Change>);

/// The batches a session wants saved, and its units.
fn outputs(session: &mut Session) -> (Vec<Saved>, Vec<Bytes>) {
    let (mut saves, mut units) = (Vec::new(), Vec::new());
    while let Some(output) = session.poll() {
        match output {
            SlowOutput::Save { save, changes, .. } => saves.push((save, changes)),
            SlowOutput::Unit { content, .. } => units.push(content),
            SlowOutput::Restart
            | SlowOutput::Beside { .. }
            | SlowOutput::Early { .. }
            | SlowOutput::Done { .. }
            | SlowOutput::Refused { .. }
            | SlowOutput::Notice { .. }
            | SlowOutput::Counted { .. } => {}
        }
    }
    (saves, units)
}

/// What a refused batch said of acknowledgements is old by the time it is tried again.
#[test]
fn a_batch_tried_again_says_what_is_newest() {
    for ack_first in [true, false] {
        let mut session = Session::new(SlowConfig::new(Profile::Skywave), Box::new(Seeded::new(1)));
        let mut now = Now::default().after(Duration::from_secs(10));
        session.medium_up(now, Medium { boundaries: true, unit_octets_max: 2_048, bits_per_second: 1_200 });
        session.set_room(now, 8, 1 << 20);
        let mut instance = 0;
        for number in 1..=2 {
            session.submit(now, outgoing(number));
            now = now.after(Duration::from_secs(5));
            session.handle_wakeup(now);
            let (saves, _) = outputs(&mut session);
            session.stored(now, saves[0].0);
            let (_, units) = outputs(&mut session);
            if let Unit::Start { instance: told, .. } = Unit::read(&units[0]).unwrap() {
                instance = told;
            }
        }
        let ack = |next: u32| {
            let digest = ack_digest(0, Stored { instance, next });
            Unit::Ack { context: 0, next_low: low(next), digest }.octets()
        };
        let mark = |next| (Key::Acknowledged(0).octets(), Some(number_octets(next)));
        session.arrived(now, &ack(1));
        session.submit(now, outgoing(3));
        let (saves, _) = outputs(&mut session);
        assert!(saves[0].1.contains(&mark(1)), "{:?}", saves[0]);
        if ack_first {
            session.arrived(now, &ack(2));
            session.store_failed(now, saves[0].0);
        } else {
            session.store_failed(now, saves[0].0);
            session.arrived(now, &ack(2));
        }
        session.handle_wakeup(now.after(SAVE_AGAIN_AFTER));
        let (again, _) = outputs(&mut session);
        assert!(again[0].1.contains(&mark(2)) && !again[0].1.contains(&mark(1)), "{ack_first}: {:?}", again[0]);
        assert_eq!(again[0].1.len(), saves[0].1.len(), "nothing else is forgotten");
    }
}

fn typing(number: u64) -> Outgoing {
    let stanza = "<message to='a@b' from='c@d'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>";
    Outgoing { stanza: Stanza::parse(stanza.as_bytes()).unwrap(), ..outgoing(number) }
}

fn outgoing(number: u64) -> Outgoing {
    Outgoing {
        number,
        priority: MtPriority::try_from(0).unwrap(),
        label_context: 0,
        since: WallTime::default(),
        stanza: Stanza::parse(b"<message to='a@b' from='c@d'><body>x</body></message>").unwrap(),
    }
}

/// The long run, a thousand seeds to a test: `cargo test -p skywave-protocols --lib -- --ignored skywave::tests::long_run`;
/// `SKYWAVE_FROM=5000` begins behind the first five thousand.
mod long_run {
    use super::*;

    fn thousand(number: u64) {
        let from: u64 = std::env::var("SKYWAVE_FROM").map_or(0, |from| from.parse().unwrap());
        (1_000 * number..1_000 * (number + 1)).for_each(|seed| {
            run(from + seed, BAD, 300, 40);
        });
    }

    #[test]
    #[ignore = "takes minutes; the others are its beginning"]
    fn of_the_first_thousand() {
        thousand(0);
    }

    #[test]
    #[ignore = "takes minutes; the others are its beginning"]
    fn of_the_second_thousand() {
        thousand(1);
    }

    #[test]
    #[ignore = "takes minutes; the others are its beginning"]
    fn of_the_third_thousand() {
        thousand(2);
    }

    #[test]
    #[ignore = "takes minutes; the others are its beginning"]
    fn of_the_fourth_thousand() {
        thousand(3);
    }

    #[test]
    #[ignore = "takes minutes; the others are its beginning"]
    fn of_the_fifth_thousand() {
        thousand(4);
    }
}
