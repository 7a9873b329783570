use super::super::config::Profile;
use super::super::limits::{ARRIVED_STANZAS_MAX, READ_AHEAD_STANZAS};
use super::*;
use crate::random::{Random as _, Seeded};
use crate::time::{Duration, WallTime};

const TCP: Medium = Medium { boundaries: false, unit_octets_max: 1 << 20, bits_per_second: 9_600 };
const RCOP: Medium = Medium { boundaries: true, unit_octets_max: 2_048, bits_per_second: 1_200 };

/// One end, and what came out of it.
struct End {
    session: Standard,
    now: Now,
    units: Vec<(u64, Vec<u8>)>,
    arrived: Vec<String>,
    done: Vec<(u64, Confirmation)>,
    notices: Vec<&'static str>,
    restarts: usize,
}

fn end(profile: Profile, change: impl FnOnce(&mut SlowConfig), medium: Medium) -> End {
    let mut config = SlowConfig::new(profile);
    config.linger = Some(Duration::ZERO);
    change(&mut config);
    let mut end = End {
        session: Standard::new(config),
        now: Now::default(),
        units: Vec::new(),
        arrived: Vec::new(),
        done: Vec::new(),
        notices: Vec::new(),
        restarts: 0,
    };
    end.up(medium);
    end
}

fn text(number: u64) -> String {
    format!(
        "<message to='b@field.example' from='a@hq.example' id='{number}' type='chat'><body>number {number}</body></message>"
    )
}

impl End {
    fn up(&mut self, medium: Medium) {
        self.session.medium_up(self.now, medium);
        self.session.set_room(self.now, 100, 1 << 20);
        self.drain();
    }

    fn submit(&mut self, number: u64) {
        let outgoing = Outgoing {
            number,
            priority: Precedence::Routine.mt_priority(),
            label_context: 0,
            since: WallTime::default(),
            stanza: Stanza::parse(text(number).as_bytes()).unwrap(),
        };
        self.session.submit(self.now, outgoing);
        self.drain();
    }

    fn hear(&mut self, octets: &[u8]) {
        self.session.arrived(self.now, octets);
        self.drain();
    }

    fn delivered(&mut self, unit: u64) {
        self.session.unit_delivered(self.now, unit);
        self.drain();
    }

    fn later(&mut self, span: Duration) {
        self.now = self.now.after(span);
        self.session.handle_wakeup(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll() {
            match output {
                SlowOutput::Unit { unit, content, .. } => self.units.push((unit, content.to_vec())),
                SlowOutput::Save { save, arrived, .. } => {
                    self.arrived.extend(arrived.iter().map(|stanza| String::from_utf8(stanza.octets()).unwrap()));
                    self.session.stored(self.now, save);
                }
                SlowOutput::Done { number, how } => self.done.push((number, how)),
                SlowOutput::Notice { name, .. } => self.notices.push(name),
                SlowOutput::Early { .. } | SlowOutput::Beside { .. } => {
                    panic!("these have no block that could come again")
                }
                SlowOutput::Restart => self.restarts += 1,
                SlowOutput::Refused { .. } | SlowOutput::Counted { .. } => {}
            }
        }
    }

    fn said(&mut self) -> String {
        let octets: Vec<u8> = std::mem::take(&mut self.units).into_iter().flat_map(|(_, octets)| octets).collect();
        String::from_utf8(octets).unwrap()
    }
}

fn nothing(_: &mut SlowConfig) {}

#[test]
fn plain_stanzas_and_nothing_else_cross_tcp() {
    let (mut here, mut there) = (end(Profile::Standard, nothing, TCP), end(Profile::Standard, nothing, TCP));
    (1..=3).for_each(|number| here.submit(number));
    let said = here.said();
    assert_eq!(said, [text(1), text(2), text(3)].concat());
    for octet in said.as_bytes() {
        there.hear(&[*octet]);
    }
    assert_eq!(there.arrived, [text(1), text(2), text(3)]);
    here.delivered(1);
    assert_eq!(here.done, [(1, Confirmation::Written)]);
}

#[test]
fn zlib_streams_survive_any_cut() {
    for dictionary in [false, true] {
        let compress = |config: &mut SlowConfig| {
            config.compress = true;
            config.dictionary = dictionary;
        };
        let (mut here, mut there) = (end(Profile::Standard, compress, TCP), end(Profile::Standard, compress, TCP));
        let mut random = Seeded::new(1);
        for number in 1..100 {
            here.submit(number);
            let octets: Vec<u8> = std::mem::take(&mut here.units).into_iter().flat_map(|(_, octets)| octets).collect();
            let at = random.below(octets.len() as u64) as usize;
            there.hear(&octets[..at]);
            there.hear(&octets[at..]);
        }
        assert_eq!(there.arrived, (1..100).map(text).collect::<Vec<_>>());
    }
}

#[test]
fn one_stanza_to_a_unit_or_several() {
    for (profile, units) in [(Profile::Standard, 5), (Profile::MLinkR17, 1)] {
        let mut here = end(profile, nothing, RCOP);
        here.session.set_room(here.now, 0, 0);
        (1..=5).for_each(|number| here.submit(number));
        here.session.set_room(here.now, 10, 10_000);
        here.drain();
        assert_eq!(here.units.len(), units, "{profile:?}");
        let mut there = end(profile, nothing, RCOP);
        std::mem::take(&mut here.units).iter().for_each(|(_, octets)| there.hear(octets));
        assert_eq!(there.arrived, (1..=5).map(text).collect::<Vec<_>>());
        here.delivered(1);
        assert_eq!(here.done[0], (1, Confirmation::NodeConfirmed));
    }
}

/// A reader takes parts of stanzas and several in one unit, whatever it writes itself.
#[test]
fn parts_and_several_are_read() {
    let mut there = end(Profile::Standard, nothing, RCOP);
    let both = [text(1), text(2)].concat();
    there.hear(&both.as_bytes()[..50]);
    there.hear(&both.as_bytes()[50..150]);
    there.hear(&both.as_bytes()[150..]);
    assert_eq!(there.arrived, [text(1), text(2)]);
}

#[test]
fn a_lost_unit_costs_a_new_stream_and_no_stanza() {
    let (mut here, mut there) = (end(Profile::MLinkR17, nothing, RCOP), end(Profile::MLinkR17, nothing, RCOP));
    (1..=4).for_each(|number| here.submit(number));
    let units = std::mem::take(&mut here.units);
    there.hear(&units[0].1);
    here.delivered(units[0].0);
    there.hear(&units[2].1);
    here.session.unit_failed(here.now, units[1].0);
    here.drain();
    let again = std::mem::take(&mut here.units);
    again.iter().for_each(|(_, octets)| there.hear(octets));
    assert_eq!(there.arrived, (1..=4).map(text).collect::<Vec<_>>());
    again.iter().for_each(|(unit, _)| here.delivered(*unit));
    assert_eq!(here.done.len(), 4);
}

/// A reader that began anew cannot read on: it ends its own stream, and the writer begins another.
#[test]
fn a_restarted_reader_is_understood() {
    let (mut here, mut there) = (end(Profile::MLinkR17, nothing, RCOP), end(Profile::MLinkR17, nothing, RCOP));
    here.submit(1);
    std::mem::take(&mut here.units).iter().for_each(|(_, octets)| there.hear(octets));
    let mut there = end(Profile::MLinkR17, nothing, RCOP);
    here.submit(2);
    std::mem::take(&mut here.units).iter().for_each(|(_, octets)| there.hear(octets));
    assert_eq!(there.notices, ["chat-stream-broken"]);
    std::mem::take(&mut there.units).iter().for_each(|(_, octets)| here.hear(octets));
    assert_eq!(here.notices, ["chat-stream-ended"]);
    std::mem::take(&mut here.units).iter().for_each(|(_, octets)| there.hear(octets));
    here.submit(3);
    std::mem::take(&mut here.units).iter().for_each(|(_, octets)| there.hear(octets));
    assert_eq!(there.arrived, [text(1), text(2), text(3)]);
}

fn implicit(config: &mut SlowConfig) {
    config.management = Management::Implicit;
    config.request_stanzas = 2;
}

#[test]
fn stream_management_counts_from_the_first_octet() {
    let (mut here, mut there) = (end(Profile::Standard, implicit, TCP), end(Profile::Standard, implicit, TCP));
    here.submit(1);
    here.submit(2);
    let said = here.said();
    assert_eq!(said, [&text(1), &text(2), "<r xmlns='urn:xmpp:sm:3'/>"].concat());
    there.hear(said.as_bytes());
    let answer = there.said();
    assert_eq!(answer, "<a xmlns='urn:xmpp:sm:3' h='2'/>");
    here.hear(answer.as_bytes());
    assert_eq!(here.done, [(1, Confirmation::PeerStored), (2, Confirmation::PeerStored)]);
    here.submit(3);
    assert_eq!(here.said(), text(3));
    here.later(Duration::from_secs(60));
    assert_eq!(here.said(), "<r xmlns='urn:xmpp:sm:3'/>");
    here.later(Duration::from_secs(6_000));
    assert_eq!(here.said(), "", "one question at a time");
}

#[test]
fn an_explicit_beginning_is_sent_and_answered() {
    let explicit = |config: &mut SlowConfig| config.management = Management::Explicit;
    let mut here = end(Profile::Standard, explicit, TCP);
    assert_eq!(here.said(), "<enable xmlns='urn:xmpp:sm:3'/>");
    here.hear(b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    assert_eq!(here.said(), "<enabled xmlns='urn:xmpp:sm:3'/>");
    here.hear(b"<enabled xmlns='urn:xmpp:sm:3'/><r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(here.said(), "<a xmlns='urn:xmpp:sm:3' h='0'/>");
    let mut there = end(Profile::Standard, explicit, RCOP);
    there.hear(b"<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!((there.said().as_str(), &there.notices[..]), ("", &["chat-element-ignored"][..]));
}

/// Hostile 26.
#[test]
fn counts_beyond_what_was_sent_are_errors() {
    for (count, good) in [("3", false), ("4294967295", false), ("-1", false), ("x", false), ("2", true), ("0", true)] {
        let mut here = end(Profile::Standard, implicit, TCP);
        here.submit(1);
        here.submit(2);
        here.hear(format!("<a xmlns='urn:xmpp:sm:3' h='{count}'/>").as_bytes());
        assert_eq!(here.restarts, usize::from(!good), "{count}");
        here.units.clear();
        here.session.medium_down(here.now);
        here.up(TCP);
        let again = if count == "2" { 0 } else { 2 };
        assert_eq!(here.said().matches("<message").count(), again, "{count}: no replay storm");
    }
    let mut here = end(Profile::Standard, implicit, TCP);
    here.session.counts.set_counted(u32::MAX);
    here.submit(1);
    here.submit(2);
    here.hear(b"<a xmlns='urn:xmpp:sm:3' h='1'/>");
    assert_eq!((here.restarts, here.done.len()), (0, 2), "counts wrap");
    here.hear(b"<a xmlns='urn:xmpp:sm:3' h='0'/>");
    assert_eq!(here.restarts, 1, "and do not go back");
}

/// Hostile 25.
#[test]
fn what_is_no_stanza_does_no_harm() {
    for (octets, notice, restarts) in [
        ("<stream:features/>", "chat-element-ignored", 0),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>", "chat-element-ignored", 0),
        ("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "chat-element-ignored", 0),
        ("<message from='a@b'/>", "chat-stanza-dropped", 0),
        ("<iq to='not @n address' from='a@b' type='get'/>", "chat-stanza-dropped", 0),
        ("</stream:stream>", "chat-stream-ended", 0),
        ("<stream:stream xmlns='jabber:server' version='1.0'>", "chat-stream-broken", 1),
        ("<db:result/>", "chat-stream-broken", 1),
        ("<!-- -->", "chat-stream-broken", 1),
        ("garbage", "chat-stream-broken", 1),
    ] {
        let mut here = end(Profile::Standard, nothing, TCP);
        here.hear(octets.as_bytes());
        assert_eq!((&here.notices[..], here.restarts), (&[notice][..], restarts), "{octets}");
        if restarts > 0 {
            here.up(TCP);
        }
        here.hear(text(1).as_bytes());
        assert_eq!(here.arrived, [text(1)], "{octets}");
    }
}

/// The end in good order: what is stored is counted, the stream ends, and then the connection.
//= xmpp/LINK-022
#[test]
fn a_stream_ends_with_the_last_count_and_its_end() {
    let managed = |config: &mut SlowConfig| config.management = Management::Implicit;
    let mut here = end(Profile::Standard, managed, TCP);
    here.hear([text(1), text(2)].concat().as_bytes());
    here.session.close(None);
    here.drain();
    let last = here.units.last().unwrap().0;
    assert_eq!(here.said(), "<a xmlns='urn:xmpp:sm:3' h='2'/></stream:stream>");
    here.submit(3);
    here.session.close(None);
    here.drain();
    assert_eq!((here.said().as_str(), here.session.is_closing(), here.restarts), ("", true, 0));
    here.delivered(last);
    assert_eq!((here.session.is_closing(), here.restarts), (false, 1));
    here.up(TCP);
    assert_eq!(here.said(), text(3), "a new connection carries what waited");
    let mut plain = end(Profile::MLinkR17, nothing, RCOP);
    plain.session.close(None);
    plain.drain();
    assert!(plain.units.is_empty() && !plain.session.is_closing(), "over RCOP nothing ends");
}

/// A stream that cannot be read: the peer is told why before the connection goes.
//= xmpp/LINK-023
#[test]
fn the_peer_is_told_why_a_connection_begins_anew() {
    for (octets, condition) in
        [("<!-- -->", "not-well-formed"), ("<a xmlns='urn:xmpp:sm:3' h='7'/>", "undefined-condition")]
    {
        let managed = |config: &mut SlowConfig| config.management = Management::Implicit;
        let mut here = end(Profile::Standard, managed, TCP);
        here.hear(octets.as_bytes());
        let error = format!("<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
        assert_eq!(here.said(), format!("<stream:error>{error}</stream:error></stream:stream>"));
        assert_eq!(here.restarts, 1, "{octets}");
    }
}

/// Hostile 18 and 25: what only looks like a header is text, and a header is seen however its octets come.
#[test]
fn a_header_in_mid_stream_is_told_from_words_about_one() {
    for words in
        ["<![CDATA[<stream:stream>]]>", "&lt;stream:stream&gt;", "<x xmlns='urn:x'><stream xmlns='urn:y'/></x>"]
    {
        let mut here = end(Profile::Standard, nothing, TCP);
        here.hear(format!("<message to='a@b' from='c@d'><body>{words}</body></message>").as_bytes());
        assert_eq!((here.arrived.len(), here.restarts), (1, 0), "{words}");
    }
    let header = b"<stream:stream xmlns='jabber:server' version='1.0'>";
    for cut in 1..header.len() {
        let mut here = end(Profile::Standard, nothing, TCP);
        here.hear(&header[..cut]);
        here.hear(&header[cut..]);
        assert_eq!(here.restarts, 1, "{cut}");
    }
}

/// Hostile 13 and 14: whatever stands in a stream, it stays bounded, and the next stream is read.
#[test]
fn bombs_and_rubbish_end_a_stream_only() {
    let compress = |config: &mut SlowConfig| config.compress = true;
    let bomb = Deflater::new(None).write(&vec![b' '; 10 << 20]);
    let mut random = Seeded::new(2);
    for medium in [TCP, RCOP] {
        for round in 0..50 {
            let mut here = end(Profile::Standard, compress, medium);
            let mut octets = bomb.clone();
            if round > 0 {
                octets = Deflater::new(None).write(text(1).as_bytes());
                let at = random.below(octets.len() as u64) as usize;
                octets[at] ^= 1 << random.below(8);
                octets.truncate(at.max(2) + random.below(50) as usize);
            }
            here.hear(&octets);
            here.arrived.clear();
            here.session.medium_down(here.now);
            here.up(medium);
            here.hear(&Deflater::new(None).write(text(2).as_bytes()));
            assert_eq!(here.arrived, [text(2)]);
        }
    }
}

#[test]
fn a_lost_connection_sends_again_what_is_not_confirmed() {
    let mut here = end(Profile::Standard, nothing, TCP);
    (1..=3).for_each(|number| here.submit(number));
    let first = here.units[0].0;
    here.units.clear();
    here.delivered(first);
    here.session.medium_down(here.now);
    here.submit(2);
    assert!(here.session.withdraw(3) && !here.session.withdraw(1));
    here.up(TCP);
    assert_eq!(here.said(), text(2));
}

#[test]
fn stanzas_that_no_unit_takes_are_refused() {
    let mut here = end(Profile::Standard, nothing, Medium { unit_octets_max: 150, ..RCOP });
    here.submit(1);
    assert!(here.units.is_empty());
    assert_eq!(here.session.waiting(), 0);
}

/// However fast a peer is, it is held back and never thrown out: nothing is read on while much waits for the disk.
#[test]
fn a_fast_peer_is_held_back() {
    for compress in [false, true] {
        let change = |config: &mut SlowConfig| config.compress = compress;
        let mut there = end(Profile::Standard, change, TCP);
        let stanzas = 2 * ARRIVED_STANZAS_MAX as u64;
        let all: String = (0..stanzas).map(text).collect();
        let octets = if compress { Deflater::new(None).write(all.as_bytes()) } else { all.into_bytes() };
        let (mut expected, mut saves) = (0, 0);
        for octets in octets.chunks(64 << 10) {
            there.session.arrived(there.now, octets);
            while there.session.has_unsaved() || saves == 0 {
                let Some(SlowOutput::Save { save, arrived, .. }) = there.session.poll() else { panic!("a batch") };
                assert!(arrived.len() < READ_AHEAD_STANZAS + 200, "{} at once", arrived.len());
                assert!(there.session.poll().is_none(), "one batch at a time, and nothing breaks");
                for stanza in arrived {
                    assert_eq!(String::from_utf8(stanza.octets()).unwrap(), text(expected));
                    expected += 1;
                }
                saves += 1;
                there.session.stored(there.now, save);
            }
            saves = 0;
        }
        there.drain();
        assert_eq!((expected + there.arrived.len() as u64, there.restarts), (stanzas, 0), "compressed: {compress}");
    }
}

/// What is still to be read of a connection that was lost is read before what the next one brings.
#[test]
fn what_was_held_back_outlives_its_connection() {
    let mut there = end(Profile::Standard, implicit, TCP);
    let all: String = (0..1_000).map(text).collect();
    there.session.arrived(there.now, all.as_bytes());
    there.session.medium_down(there.now);
    there.session.medium_up(there.now, TCP);
    there.session.set_room(there.now, 100, 1 << 20);
    there.session.arrived(there.now, format!("{}<r xmlns='urn:xmpp:sm:3'/>", text(1_000)).as_bytes());
    there.drain();
    assert_eq!(there.arrived, (0..=1_000).map(text).collect::<Vec<_>>());
    assert_eq!(there.said(), "<a xmlns='urn:xmpp:sm:3' h='1'/>", "only what this connection brought is counted");
}

#[test]
//= xmpp/SLOW-026
fn what_finds_no_place_is_held_back_and_not_counted() {
    let mut there = end(Profile::Standard, |config| config.management = Management::Implicit, TCP);
    there.session.arrived(there.now, text(1).as_bytes());
    let Some(SlowOutput::Save { save, .. }) = there.session.poll() else { panic!("a batch") };
    there.session.hold_back(there.now, save);
    for number in 2..=READ_AHEAD_STANZAS as u64 + 5 {
        there.hear(text(number).as_bytes());
    }
    there.hear(b"<r xmlns='urn:xmpp:sm:3'/>");
    there.later(SAVE_AGAIN_AFTER * 2);
    assert!(there.session.has_unsaved(), "the connection is read no further");
    assert!(there.arrived.is_empty() && there.said().is_empty(), "nothing of it is confirmed");
    there.session.resume(there.now);
    there.drain();
    assert_eq!(there.arrived.len(), READ_AHEAD_STANZAS + 5);
    assert!(there.said().contains(&format!("h='{}'", READ_AHEAD_STANZAS + 5)));
    assert!(!there.session.has_unsaved());
}
