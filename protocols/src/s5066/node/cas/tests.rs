use proptest::prelude::*;

use super::*;
use crate::time::Duration;

const A: NodeAddress = NodeAddress::individual(0x0102_0304);
const B: NodeAddress = NodeAddress::individual(0x0102_0305);
const C: NodeAddress = NodeAddress::individual(0x0102_0306);
const A3: NodeAddress = NodeAddress::individual(0x0102_0307);

/// One node, its clock, and what it said.
struct Rig {
    cas: Cas,
    now: Now,
}

fn config(setup: LinkSetup) -> CasConfig {
    CasConfig { setup, ..CasConfig::new(A) }
}

/// Whether a link with a peer is made, and no request with which data rides waits for its acceptance.
fn hears(cas: &Cas, peer: NodeAddress) -> bool {
    cas.peers.get(&peer).is_some_and(|known| known.state == State::Linked)
}

fn request(number: u16) -> LinkMessage {
    LinkMessage::Request { exclusive: false, number }
}

fn accepted(number: u16) -> LinkMessage {
    LinkMessage::Accepted { number }
}

const HARD_REQUEST: LinkMessage = LinkMessage::Request { exclusive: true, number: 0 };

fn send(peer: NodeAddress, message: LinkMessage) -> CasOutput {
    CasOutput::Send { peer, message }
}

fn up(peer: NodeAddress, by_us: bool) -> CasOutput {
    CasOutput::Connected { peer, exclusive: false, by_us }
}

fn hard_up(peer: NodeAddress, by_us: bool) -> CasOutput {
    CasOutput::Connected { peer, exclusive: true, by_us }
}

fn down(peer: NodeAddress, reason: LinkEnd) -> CasOutput {
    CasOutput::Disconnected { peer, reason }
}

fn refused(peer: NodeAddress, reason: LinkRefusal) -> CasOutput {
    CasOutput::Refused { peer, reason }
}

impl Rig {
    fn new(config: CasConfig) -> Self {
        let now = Now { mono: Instant::from_micros(1_000_000_000), ..Now::default() };
        Self { cas: Cas::new(config, Seeded::new(1)), now }
    }

    fn said(&mut self) -> Vec<CasOutput> {
        std::iter::from_fn(|| self.cas.poll_output()).collect()
    }

    fn want(&mut self, peer: NodeAddress) -> Vec<CasOutput> {
        self.cas.want(self.now, peer, false);
        self.said()
    }

    fn want_hard(&mut self, peer: NodeAddress) -> Vec<CasOutput> {
        self.cas.want(self.now, peer, true);
        self.said()
    }

    /// What was handed down before has left.
    fn hear(&mut self, peer: NodeAddress, message: LinkMessage) -> Vec<CasOutput> {
        self.cas.sent(self.now, peer);
        self.cas.heard(self.now, peer, message);
        self.said()
    }

    fn release(&mut self, peer: NodeAddress) -> Vec<CasOutput> {
        self.cas.release(self.now, peer, LinkBreak::HigherLayer);
        self.said()
    }

    fn move_data(&mut self, peer: NodeAddress) {
        assert!(self.cas.data_heard(self.now, peer, None, false));
    }

    fn silent(&mut self, silent: bool) -> Vec<CasOutput> {
        self.cas.set_silent(self.now, silent);
        self.said()
    }

    /// Lets time pass; everything handed down leaves at once.
    fn pass(&mut self, span: Duration) -> Vec<CasOutput> {
        let end = self.now.after(span);
        let mut said = Vec::new();
        loop {
            for peer in [A, B, C] {
                self.cas.sent(self.now, peer);
            }
            let Some(wakeup) = self.cas.next_wakeup().filter(|wakeup| wakeup.at <= end.mono) else { break };
            self.now = self.now.after(wakeup.at.since(self.now.mono));
            self.cas.handle_wakeup(self.now);
            said.extend(self.said());
        }
        self.now = end;
        said
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_call_is_accepted_and_broken() {
    let mut rig = Rig::new(config(LinkSetup::Handshake));
    assert_eq!(rig.want(B), [send(B, request(0))]);
    assert_eq!(rig.want(B), [], "it is on its way");
    assert!(!hears(&rig.cas, B) && rig.cas.ride(B, true).is_none());
    assert_eq!(rig.hear(B, accepted(0)), [up(B, true)]);
    assert!(hears(&rig.cas, B));
    assert_eq!(rig.hear(B, accepted(0)), [], "once is enough");
    assert_eq!(rig.want(B), []);
    let gone = down(B, LinkEnd::Released(LinkBreak::HigherLayer));
    assert_eq!(rig.release(B), [gone, send(B, LinkMessage::Break(LinkBreak::HigherLayer))]);
    assert_eq!(rig.hear(B, LinkMessage::BreakConfirm), []);
    assert_eq!(rig.cas.links().count(), 0);
    assert_eq!(rig.pass(HOUR), []);
}

#[test]
fn a_call_without_an_answer_is_repeated_and_given_up() {
    let mut rig = Rig::new(config(LinkSetup::Handshake));
    rig.want(B);
    let tries = usize::try_from(rig.cas.config.request_retries).unwrap();
    let mut wanted = vec![send(B, request(0)); tries];
    wanted.push(refused(B, LinkRefusal::NotResponding));
    assert_eq!(rig.pass(HOUR), wanted);
    assert_eq!(rig.want(B), [send(B, request(0))], "it may be wanted again");
    rig.cas.missed(rig.now, B);
    assert_eq!(rig.said(), [], "it has not left");
    rig.cas.sent(rig.now, B);
    rig.cas.missed(rig.now, B);
    assert_eq!(rig.said(), [send(B, request(0))], "nobody needs to wait for the timer");
    assert_eq!(
        rig.hear(B, LinkMessage::Rejected(LinkRejection::Exclusive)),
        [refused(B, LinkRefusal::Rejected(LinkRejection::Exclusive))]
    );
    assert_eq!(rig.want(NodeAddress::ALL_STATIONS), [refused(NodeAddress::ALL_STATIONS, LinkRefusal::Address)]);
    assert_eq!(rig.want(A), [refused(A, LinkRefusal::Address)]);
}

#[test]
fn what_was_handed_down_and_never_left_is_handed_down_again() {
    let mut rig = Rig::new(config(LinkSetup::Handshake));
    assert_eq!(rig.want(B), [send(B, request(0))]);
    let wakeup = rig.cas.next_wakeup().unwrap();
    assert_eq!(wakeup.at, rig.now.mono + LINK_MESSAGE_AGE_MAX);
    rig.now = rig.now.after(LINK_MESSAGE_AGE_MAX);
    rig.cas.handle_wakeup(rig.now);
    assert_eq!(rig.said(), [send(B, request(0))]);
}

#[test]
fn a_repeated_request_is_accepted_again_and_a_new_one_begins_anew() {
    // What comes after a first request: (number of it, data moved, number of the second) and whether the link is new.
    let rows = [
        (0, false, 0, false),
        (0, true, 0, true),
        (3, false, 3, false),
        (3, true, 4, true),
        (3, false, 4, true),
        (3, true, 0, true),
        (0, false, 1, true),
    ];
    for (first, moved, second, is_new) in rows {
        let mut rig = Rig::new(config(LinkSetup::Handshake));
        assert_eq!(rig.hear(B, request(first)), [up(B, false), send(B, accepted(first))]);
        assert!(hears(&rig.cas, B));
        rig.cas.sent(rig.now, B);
        if moved {
            rig.move_data(B);
        }
        let again = send(B, accepted(second));
        let wanted = if is_new { vec![down(B, LinkEnd::Replaced), up(B, false), again] } else { vec![again] };
        assert_eq!(rig.hear(B, request(second)), wanted, "{first} {moved} {second}");
    }
}

#[test]
fn data_rides_until_the_request_is_accepted_under_its_number() {
    let mut rig = Rig::new(config(LinkSetup::Ride));
    assert_eq!(rig.want(B), [up(B, true)]);
    let Some(LinkMessage::Request { exclusive: false, number }) = rig.cas.ride(B, true) else { panic!("it rides") };
    assert!((1..=LINK_NUMBER_MAX).contains(&number) && !hears(&rig.cas, B));
    assert_eq!(rig.pass(100 * HOUR), [], "silence is no refusal");
    assert_eq!(rig.hear(B, accepted(number % LINK_NUMBER_MAX + 1)), []);
    assert!(!hears(&rig.cas, B), "that was another link");
    assert_eq!(rig.hear(B, accepted(number)), []);
    assert!(hears(&rig.cas, B) && rig.cas.ride(B, true).is_none());
    assert_eq!(rig.pass(100 * HOUR), [], "an idle link costs nothing");
    // The other node restarted: the next request has the next number.
    rig.cas.peer_unconnected(rig.now, B);
    assert_eq!(rig.said(), [down(B, LinkEnd::Unconnected), up(B, true)]);
    assert_eq!(rig.cas.ride(B, true), Some(request(number % LINK_NUMBER_MAX + 1)));
    rig.cas.peer_unconnected(rig.now, B);
    assert_eq!(rig.said(), [], "it missed the request, which is repeated");
    assert_eq!(rig.hear(B, accepted(0)), [], "a node that knows no numbers");
    assert!(hears(&rig.cas, B));
    let rejected = LinkRejection::Unknown;
    assert_eq!(rig.hear(B, LinkMessage::Rejected(rejected)), [], "it is made");
    assert_eq!(rig.want(C), [up(C, true)]);
    assert_eq!(
        rig.hear(C, LinkMessage::Rejected(rejected)),
        [down(C, LinkEnd::Rejected { reason: rejected, late: false })]
    );
}

#[test]
fn what_data_says_of_its_link_asks_and_answers() {
    let mut rig = Rig::new(config(LinkSetup::Ride));
    rig.want(B);
    let Some(Mark::Asks(number)) = rig.cas.mark(B) else { panic!("it asks") };
    let (plain, numbered) = (Some(request(0)), Some(request(number)));
    assert_eq!((rig.cas.ride(B, false), rig.cas.ride(B, true)), (None, numbered));
    for wanted in [plain, numbered, plain] {
        rig.cas.missed(rig.now, B);
        assert_eq!((rig.cas.ride(B, false), rig.cas.ride(B, true)), (plain, wanted));
    }
    let other = number % LINK_NUMBER_MAX + 1;
    assert!(
        !rig.cas.data_heard(rig.now, B, None, false)
            && !rig.cas.data_heard(rig.now, B, Some(Mark::Answers(other)), false)
    );
    assert!(rig.cas.data_heard(rig.now, B, Some(Mark::Answers(number)), false) && hears(&rig.cas, B));
    assert_eq!((rig.cas.mark(B), rig.said()), (None, vec![]));
    assert!(rig.cas.data_heard(rig.now, B, Some(Mark::Answers(number)), false), "it does not know yet that we know");
    assert!(!rig.cas.data_heard(rig.now, B, Some(Mark::Answers(other)), false));
    // The called side answers until it hears that the caller knows.
    for moved in [false, true] {
        assert!(rig.cas.data_heard(rig.now, C, Some(Mark::Asks(7)), false));
        assert_eq!(rig.cas.mark(C), Some(Mark::Answers(7)));
        assert_eq!(rig.said().contains(&up(C, false)), !moved, "the same link, and no word of its own");
    }
    assert!(rig.cas.data_heard(rig.now, C, None, false) && rig.cas.mark(C).is_none());
    assert!(rig.cas.data_heard(rig.now, C, Some(Mark::Asks(8)), false));
    assert_eq!(rig.said()[..2], [down(C, LinkEnd::Replaced), up(C, false)], "it began anew");
    // Both asked: what rides with ours stays good.
    rig.cas.want(rig.now, A3, false);
    assert!(rig.cas.data_heard(rig.now, A3, Some(Mark::Asks(9)), false));
    let connected = rig.said().iter().filter(|output| matches!(output, CasOutput::Connected { .. })).count();
    assert_eq!((connected, rig.cas.mark(A3)), (1, Some(Mark::Answers(9))));
}

#[test]
fn data_that_rides_is_refused_while_a_link_is_exclusive() {
    let mut rig = Rig::new(config(LinkSetup::Ride));
    rig.hear(C, HARD_REQUEST);
    assert!(!rig.cas.data_heard(rig.now, B, Some(Mark::Asks(5)), false));
    assert_eq!(rig.said(), [send(B, LinkMessage::Rejected(LinkRejection::Exclusive))]);
}

#[test]
fn two_that_ask_at_once_have_one_link() {
    for (setup, theirs) in [(LinkSetup::Handshake, 0), (LinkSetup::Ride, 5)] {
        let mut rig = Rig::new(config(setup));
        let mut said = rig.want(B);
        said.extend(rig.hear(B, request(theirs)));
        let connected = said.iter().filter(|output| matches!(output, CasOutput::Connected { .. })).count();
        assert_eq!(connected, 1, "{said:?}");
        assert_eq!(said.last(), Some(&send(B, accepted(theirs))), "ours was in the air");
        assert!(hears(&rig.cas, B));
        assert_eq!(rig.hear(B, accepted(0)), []);
    }
}

#[test]
fn a_link_that_is_agreed_asks_nothing() {
    let mut rig = Rig::new(config(LinkSetup::Reset));
    assert_eq!(rig.want(B), [up(B, true)]);
    assert!(rig.cas.is_agreed(B) && rig.cas.mark(B).is_none());
    assert_eq!(rig.pass(100 * HOUR), []);
    rig.move_data(C);
    assert_eq!(rig.said(), [up(C, false)], "what it sends is on the link");
    rig.move_data(NodeAddress::ALL_STATIONS);
    assert_eq!(rig.said(), []);
    // The other node disagrees: then it is asked.
    rig.now = rig.now.after(HOUR);
    rig.cas.peer_unconnected(rig.now, B);
    assert_eq!(rig.said(), [down(B, LinkEnd::Unconnected), send(B, request(0))]);
    assert_eq!(rig.release(C), [down(C, LinkEnd::Released(LinkBreak::HigherLayer))]);
}

#[test]
fn data_of_an_agreed_link_says_which_one_it_is() {
    let mut rig = Rig::new(config(LinkSetup::Skip));
    assert_eq!(rig.want(B), [up(B, true)]);
    let Some(Mark::Asks(number)) = rig.cas.mark(B) else { panic!("it says so") };
    rig.cas.missed(rig.now, B);
    assert!(rig.cas.ride(B, false).is_none() && !rig.cas.is_agreed(B), "nothing is asked, however often");
    assert!(rig.cas.data_heard(rig.now, B, Some(Mark::Answers(number)), true) && hears(&rig.cas, B));
    assert_eq!(rig.pass(100 * HOUR), []);
    // The other node began anew: so does data.
    rig.cas.peer_unconnected(rig.now, B);
    assert_eq!(rig.said(), [down(B, LinkEnd::Unconnected), up(B, true)]);
    assert_eq!(rig.cas.mark(B), Some(Mark::Asks(number % LINK_NUMBER_MAX + 1)));
    // It is exclusive from now on, and stays so where the other node asks too.
    assert_eq!(rig.want_hard(B), [down(B, LinkEnd::Released(LinkBreak::Unknown)), hard_up(B, true)]);
    assert!(rig.cas.data_heard(rig.now, B, Some(Mark::Asks(5)), false));
    assert!(rig.cas.links().any(|link| link.peer == B && link.exclusive));
    rig.said();
    assert_eq!(rig.release(B), [down(B, LinkEnd::Released(LinkBreak::HigherLayer))], "without a word");
    // The called side of one.
    assert!(rig.cas.data_heard(rig.now, A3, Some(Mark::Asks(7)), false) && !rig.cas.is_agreed(A3));
    assert!(rig.said().contains(&up(A3, false)));
    assert_eq!(rig.pass(100 * HOUR), []);
    assert_eq!(rig.release(A3), [down(A3, LinkEnd::Released(LinkBreak::HigherLayer))]);
}

/// A foreign node answers and says nothing of links: nobody knows what it took, and a reset goes first.
#[test]
fn a_foreign_node_behind_an_agreed_link_is_reset() {
    let mut rig = Rig::new(config(LinkSetup::Skip));
    rig.want(B);
    assert!(!rig.cas.data_heard(rig.now, B, None, false), "data of a link that a node of ours remembers");
    assert!(rig.said().is_empty() && !rig.cas.is_foreign(B));
    assert!(rig.cas.data_heard(rig.now, B, None, true));
    assert_eq!(rig.said(), [down(B, LinkEnd::Unconnected), up(B, true)]);
    assert!(rig.cas.is_agreed(B) && rig.cas.mark(B).is_none() && hears(&rig.cas, B));
    assert!(rig.cas.is_foreign(B), "so what it says to be expedited is");
    assert!(rig.cas.data_heard(rig.now, B, None, true));
    assert_eq!(rig.said(), [], "once");
    // One that begins itself.
    rig.move_data(C);
    assert!(rig.said() == [up(C, false)] && rig.cas.is_agreed(C));
    assert!(!rig.cas.is_foreign(C), "it may be ours and remember a link");
    let mut known = Rig::new(config(LinkSetup::Reset));
    known.move_data(C);
    assert!(known.cas.is_foreign(C), "as is said of it");
    // One that wants to be asked after all.
    rig.want(A3);
    rig.cas.peer_unconnected(rig.now, A3);
    assert_eq!(rig.cas.ride(A3, false), Some(request(0)));
    rig.now = rig.now.after(HOUR);
    rig.said();
    rig.cas.peer_unconnected(rig.now, B);
    assert_eq!(rig.said(), [down(B, LinkEnd::Unconnected), send(B, request(0))]);
}

#[test]
fn a_rejection_behind_a_missing_answer_comes_late() {
    for setup in [LinkSetup::Ride, LinkSetup::Skip] {
        let mut rig = Rig::new(config(setup));
        rig.want(B);
        rig.cas.missed(rig.now, B);
        let reason = LinkRejection::Exclusive;
        assert_eq!(rig.hear(B, LinkMessage::Rejected(reason)), [down(B, LinkEnd::Rejected { reason, late: true })]);
    }
}

/// A link ends here before its caller has heard that it was made, so that its data still asks for it.
#[test]
fn what_asks_for_a_link_that_has_ended_is_told_so() {
    let mut rig = Rig::new(config(LinkSetup::Ride));
    let asks = |rig: &mut Rig, number| rig.cas.data_heard(rig.now, B, Some(Mark::Asks(number)), false);
    assert!(asks(&mut rig, 7));
    rig.said();
    // In the middle of a transmission of its caller it is wanted for clients alone.
    assert_eq!(rig.want_hard(B), [down(B, LinkEnd::Replaced), send(B, HARD_REQUEST)]);
    assert!(!asks(&mut rig, 7));
    assert_eq!(rig.said(), [send(B, LinkMessage::Break(LinkBreak::HigherLayer))], "and not that it is rejected");
    assert_eq!(rig.hear(B, request(7)), [send(B, LinkMessage::Rejected(LinkRejection::Unknown))]);
    assert!(!asks(&mut rig, 8));
    assert_eq!(
        rig.said(),
        [send(B, LinkMessage::Rejected(LinkRejection::HigherPriority))],
        "of this nothing was taken"
    );
    rig.release(B);
    rig.hear(B, LinkMessage::BreakConfirm);
    assert!(!asks(&mut rig, 7) && asks(&mut rig, 8) && asks(&mut rig, 8) && asks(&mut rig, 7), "another one");
    // What rides hears it.
    rig.want(C);
    let broken = LinkBreak::HigherLayer;
    let said = rig.hear(C, LinkMessage::Break(broken));
    assert_eq!(said, [down(C, LinkEnd::Broken(broken)), send(C, LinkMessage::BreakConfirm)]);
}

/// Both ask, and what the other node sends now it may have sent before, on a link that it never heard was made.
#[test]
fn a_link_with_who_was_never_told_of_an_earlier_one_begins_behind_that() {
    for (setup, tells) in [(LinkSetup::Ride, false), (LinkSetup::Ride, true), (LinkSetup::Handshake, false)] {
        let mut rig = Rig::new(config(setup));
        rig.cas.data_heard(rig.now, B, Some(Mark::Asks(7)), false);
        if tells {
            rig.move_data(B);
        }
        rig.want_hard(B);
        rig.hear(B, LinkMessage::Rejected(LinkRejection::Unknown));
        rig.want(B);
        let Some(Mark::Asks(number)) = rig.cas.mark(B) else { panic!("it asks") };
        assert_eq!(rig.cas.data_heard(rig.now, B, Some(Mark::Answers(number)), true), tells, "{setup:?}");
        assert_eq!(hears(&rig.cas, B), tells);
        if !tells {
            assert_eq!(rig.cas.mark(B), Some(Mark::Asks(number % LINK_NUMBER_MAX + 1)), "of that it kept nothing");
            assert!(rig.cas.data_heard(rig.now, B, Some(Mark::Answers(number % LINK_NUMBER_MAX + 1)), true));
        }
    }
}

#[test]
fn an_exclusive_link_keeps_others_away() {
    let mut rig = Rig::new(config(LinkSetup::Handshake));
    rig.want(B);
    rig.hear(B, accepted(0));
    assert_eq!(rig.want_hard(C), [send(C, HARD_REQUEST)]);
    let pending = LinkMessage::Rejected(LinkRejection::HigherPriority);
    let stranger = NodeAddress::individual(9);
    assert_eq!(rig.hear(stranger, request(0)), [send(stranger, pending)]);
    let broken = LinkBreak::HigherPriority;
    assert_eq!(
        rig.hear(C, accepted(0)),
        [down(B, LinkEnd::Released(broken)), send(B, LinkMessage::Break(broken)), hard_up(C, true)]
    );
    let held = LinkMessage::Rejected(LinkRejection::Exclusive);
    assert_eq!(rig.hear(stranger, request(3)), [send(stranger, held)]);
    assert_eq!(rig.hear(C, request(0)), [down(C, LinkEnd::Replaced), up(C, false), send(C, accepted(0))]);
    rig.cas.sent(rig.now, C);
    assert_eq!(rig.want_hard(C), [down(C, LinkEnd::Replaced), send(C, HARD_REQUEST)]);
    rig.hear(C, accepted(0));
    // A second exclusive one is taken, so that the SIS can compare; a third is not.
    assert_eq!(rig.hear(stranger, HARD_REQUEST), [hard_up(stranger, false), send(stranger, accepted(0))]);
    let third = NodeAddress::individual(10);
    assert_eq!(rig.hear(third, HARD_REQUEST), [send(third, held)]);
    // What is wanted waits for the end of both.
    assert_eq!(rig.want(third), []);
    assert_eq!(rig.hear(stranger, LinkMessage::Break(broken))[0], down(stranger, LinkEnd::Broken(broken)));
    let said = rig.release(C);
    assert_eq!(said.last(), Some(&send(third, request(0))));
    assert_eq!(rig.pass(HOUR).iter().filter(|output| matches!(output, CasOutput::Connected { .. })).count(), 0);
}

#[test]
fn a_broadcast_only_node_has_no_links() {
    let mut rig = Rig::new(CasConfig { broadcast_only: true, ..config(LinkSetup::Handshake) });
    let reason = LinkRejection::BroadcastOnly;
    assert_eq!(rig.want(B), [refused(B, LinkRefusal::Rejected(reason))]);
    assert_eq!(rig.hear(B, request(0)), [send(B, LinkMessage::Rejected(reason))]);
    assert_eq!(rig.cas.counters().rejected, 1);
    for setup in [LinkSetup::Skip, LinkSetup::Reset] {
        let mut rig = Rig::new(CasConfig { broadcast_only: true, ..config(setup) });
        assert!(rig.cas.data_heard(rig.now, B, None, false), "its sender is warned");
        assert_eq!((rig.said(), rig.cas.links().count()), (vec![], 0));
        assert!(!rig.cas.data_heard(rig.now, B, Some(Mark::Asks(3)), false));
        assert_eq!(rig.said(), [send(B, LinkMessage::Rejected(reason))]);
    }
}

#[test]
fn a_node_that_begins_to_broadcast_ends_its_links() {
    let mut rig = Rig::new(config(LinkSetup::Handshake));
    rig.want(B);
    rig.hear(B, accepted(0));
    rig.want(C);
    rig.cas.sent(rig.now, C);
    rig.cas.set_broadcast_only(rig.now, true);
    let broken = |peer| send(peer, LinkMessage::Break(LinkBreak::Broadcast));
    let refusal = LinkRefusal::Rejected(LinkRejection::BroadcastOnly);
    let ended = down(B, LinkEnd::Released(LinkBreak::Broadcast));
    assert_eq!(rig.said(), [ended, broken(B), broken(C), refused(C, refusal)]);
    assert_eq!(rig.hear(B, request(3)), [send(B, LinkMessage::Rejected(LinkRejection::BroadcastOnly))]);
    rig.cas.set_broadcast_only(rig.now, false);
    assert!(rig.hear(B, request(4)).contains(&up(B, false)));
}

#[test]
fn a_break_is_repeated_until_confirmed_and_always_confirmed() {
    let mut rig = Rig::new(config(LinkSetup::Handshake));
    rig.hear(B, request(0));
    rig.release(B);
    let again = send(B, LinkMessage::Break(LinkBreak::HigherLayer));
    assert_eq!(rig.pass(HOUR), vec![again; usize::try_from(rig.cas.config.break_retries).unwrap()]);
    assert_eq!(rig.cas.links().count(), 0, "broken anyway");
    for _ in 0..2 {
        let said = rig.hear(B, LinkMessage::Break(LinkBreak::NoMoreData));
        assert_eq!(said, [send(B, LinkMessage::BreakConfirm)], "our confirmation may have been lost");
        rig.cas.sent(rig.now, B);
    }
    // Asked for while it breaks, it is made anew, and what has not left is not sent.
    rig.hear(B, request(0));
    rig.release(B);
    assert_eq!(rig.want(B), [CasOutput::Withdraw { peer: B }, send(B, request(0))]);
    assert_eq!(rig.hear(B, accepted(0)), [up(B, true)]);
    let stranger = NodeAddress::individual(9);
    rig.want(stranger);
    assert_eq!(rig.release(stranger), [CasOutput::Withdraw { peer: stranger }], "it never knew of it");
}

#[test]
fn soft_links_end_by_time() {
    let base = config(LinkSetup::Handshake);
    let idle = LinkBreak::NoMoreData;
    // Who asked, whether data moved; the seconds after which it ends.
    let rows = [
        (true, true, base.soft_idle),
        (true, false, base.soft_idle),
        (false, true, base.soft_idle + base.called_min),
        (false, false, base.first_data_wait),
    ];
    for (by_us, moved, span) in rows {
        let mut rig = Rig::new(base.clone());
        if by_us {
            rig.want(B);
            rig.hear(B, accepted(0));
        } else {
            rig.hear(B, request(0));
        }
        if moved {
            rig.move_data(B);
        }
        assert_eq!(rig.pass(span - Duration::from_micros(1)), [], "{by_us} {moved}");
        let said = rig.pass(Duration::from_micros(1));
        assert_eq!(said, [down(B, LinkEnd::Released(idle)), send(B, LinkMessage::Break(idle))]);
    }
    // Data holds a link; a second link shortens its idle time.
    let mut rig = Rig::new(base.clone());
    rig.want(B);
    rig.hear(B, accepted(0));
    for _ in 0..10 {
        assert_eq!(rig.pass(base.soft_idle / 2), []);
        rig.move_data(B);
    }
    rig.hear(C, request(0));
    rig.move_data(C);
    assert_eq!(rig.pass(base.soft_idle_shared)[0], down(B, LinkEnd::Released(idle)));
}

#[test]
fn room_is_made_for_those_who_wait() {
    let mut rig = Rig::new(CasConfig { links_max: 1, ..config(LinkSetup::Handshake) });
    rig.want(B);
    rig.hear(B, accepted(0));
    rig.move_data(B);
    assert_eq!(rig.want(C), []);
    assert_eq!(rig.hear(NodeAddress::individual(9), request(0)).len(), 1, "refused: the link is in use");
    let said = rig.pass(rig.cas.config.soft_max_when_others_wait);
    let released = LinkBreak::HigherLayer;
    assert_eq!(
        said,
        [down(B, LinkEnd::Released(released)), send(B, LinkMessage::Break(released)), send(C, request(0))]
    );
    // A link of others on which nothing ever came yields at once.
    let mut rig = Rig::new(CasConfig { links_max: 1, ..config(LinkSetup::Ride) });
    rig.hear(B, request(2));
    rig.cas.sent(rig.now, B);
    assert_eq!(rig.hear(C, request(0)), [down(B, LinkEnd::Crowded), up(C, false), send(C, accepted(0))]);
}

#[test]
fn a_hard_link_that_is_not_wanted_any_more_leaves_a_soft_one_alone() {
    let mut rig = Rig::new(config(LinkSetup::Handshake));
    rig.want(B);
    rig.hear(B, accepted(0));
    assert_eq!(rig.hear(C, HARD_REQUEST), [hard_up(C, false), send(C, accepted(0))]);
    // It waits for the end of that one.
    assert_eq!(rig.want_hard(B), []);
    rig.cas.release_exclusive(rig.now, B, LinkBreak::HigherLayer);
    assert_eq!(rig.said(), []);
    rig.release(C);
    assert_eq!(rig.hear(C, LinkMessage::BreakConfirm), [], "nor is it made now");
    assert!(hears(&rig.cas, B));
}

/// The ARQ speaks of the link before.
#[test]
fn an_arq_that_gave_up_does_not_end_a_link_that_is_only_asked_for() {
    let mut rig = Rig::new(config(LinkSetup::Handshake));
    rig.want(B);
    rig.hear(B, accepted(0));
    assert_eq!(rig.want_hard(B), [down(B, LinkEnd::Replaced), send(B, HARD_REQUEST)]);
    rig.cas.connection_lost(rig.now, B);
    assert_eq!(rig.said(), []);
    assert_eq!(rig.hear(B, accepted(0)), [hard_up(B, true)]);
    rig.cas.connection_lost(rig.now, B);
    let end = LinkBreak::Unknown;
    assert_eq!(rig.said(), [down(B, LinkEnd::Released(end)), send(B, LinkMessage::Break(end))]);
}

/// A caller that has shown that it knows of the link does not ask for it again: it began anew and drew the same number. Its
/// windows are others.
#[test]
fn a_number_that_is_drawn_again_is_not_taken_for_a_repetition() {
    for rides in [false, true] {
        let mut rig = Rig::new(config(LinkSetup::Ride));
        assert_eq!(rig.hear(B, request(4)), [up(B, false), send(B, accepted(4))]);
        assert_eq!(rig.hear(B, request(4)), [send(B, accepted(4))], "our answer was lost");
        rig.move_data(B);
        if rides {
            assert!(!rig.cas.data_heard(rig.now, B, Some(Mark::Asks(4)), false));
            assert_eq!(rig.said(), [send(B, LinkMessage::Break(LinkBreak::HigherLayer))]);
        } else {
            assert_eq!(rig.hear(B, request(4)), [send(B, LinkMessage::Rejected(LinkRejection::Unknown))]);
        }
        let fresh = [down(B, LinkEnd::Replaced), up(B, false), send(B, accepted(5))];
        assert_eq!(rig.hear(B, request(5)), fresh);
    }
}

#[test]
fn a_silent_node_says_nothing() {
    let mut rig = Rig::new(config(LinkSetup::Handshake));
    rig.want(B);
    assert_eq!(rig.silent(true), [CasOutput::Withdraw { peer: B }]);
    assert_eq!(rig.want(C), []);
    assert_eq!(rig.hear(NodeAddress::individual(9), request(0)), [], "that caller will not wait for hours");
    assert_eq!(rig.hear(B, LinkMessage::Break(LinkBreak::Unknown)), []);
    let rider = NodeAddress::individual(10);
    assert_eq!(rig.hear(rider, request(4)), [], "nor that one");
    assert!(rig.cas.data_heard(rig.now, rider, Some(Mark::Asks(4)), false));
    assert_eq!(rig.said(), [up(rider, false)], "what rides is heard");
    assert_eq!(rig.pass(100 * HOUR), [], "no time runs");
    assert!(rig.cas.next_wakeup().is_none());
    let said = rig.silent(false);
    assert_eq!(said, [send(B, request(0)), send(C, request(0))]);
    assert_eq!(rig.cas.mark(rider), Some(Mark::Answers(4)), "what is owed to it says so");
    // A link that breaks in silence breaks without a word.
    rig.hear(B, accepted(0));
    rig.silent(true);
    assert_eq!(rig.release(B), [down(B, LinkEnd::Released(LinkBreak::HigherLayer))]);
    let mut rig = Rig::new(config(LinkSetup::Ride));
    rig.silent(true);
    assert_eq!(rig.want(B), [up(B, true)], "it rides when the silence ends");
}

#[test]
fn floods_are_bounded() {
    let mut rig = Rig::new(config(LinkSetup::Ride));
    for number in 0..10_000_u32 {
        let peer = NodeAddress::individual(100 + number);
        rig.cas.heard(rig.now, peer, request((number % 8) as u16));
        rig.cas.heard(rig.now, peer, LinkMessage::Break(LinkBreak::Unknown));
        rig.cas.heard(rig.now, peer, request((number % 7) as u16));
    }
    assert!(rig.cas.peers.len() <= LINK_PEERS_MAX && rig.cas.unsent.len() <= LINK_MESSAGES_UNSENT_MAX);
    let mut waiting = Vec::new();
    for output in rig.said() {
        match output {
            CasOutput::Send { peer, .. } => waiting.push(peer),
            CasOutput::Withdraw { peer } => waiting.retain(|known| *known != peer),
            CasOutput::Connected { .. } | CasOutput::Refused { .. } | CasOutput::Disconnected { .. } => {}
        }
        assert!(waiting.len() <= LINK_MESSAGES_UNSENT_MAX);
    }
    assert!(rig.cas.count_links() <= rig.cas.config.links_max);
    // Warnings do not make a link restart for ever.
    let mut rig = Rig::new(config(LinkSetup::Handshake));
    rig.want(B);
    rig.hear(B, accepted(0));
    for _ in 0..1000 {
        rig.cas.peer_unconnected(rig.now, B);
    }
    assert_eq!(rig.said(), []);
    // Nor does one every quarter of a minute keep it from ever carrying anything.
    for setup in [LinkSetup::Ride, LinkSetup::Skip] {
        let mut rig = Rig::new(config(setup));
        rig.want(B);
        let mut made = 0;
        for _ in 0..240 {
            rig.now = rig.now.after(Duration::from_secs(15));
            if let Some(Mark::Asks(number)) = rig.cas.mark(B) {
                rig.cas.data_heard(rig.now, B, Some(Mark::Answers(number)), true);
            }
            rig.cas.peer_unconnected(rig.now, B);
            made += rig.said().iter().filter(|output| matches!(output, CasOutput::Connected { .. })).count();
        }
        assert!((20..=35).contains(&made), "{made}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Want(bool),
    Release,
    Deliver { lost: bool },
    Restart,
    Wait(u16),
    Silent(bool),
}

fn step() -> impl Strategy<Value = (bool, Step)> {
    let step = prop_oneof![
        any::<bool>().prop_map(Step::Want),
        Just(Step::Release),
        any::<bool>().prop_map(|lost| Step::Deliver { lost }),
        Just(Step::Deliver { lost: false }),
        Just(Step::Restart),
        (0..2000_u16).prop_map(Step::Wait),
        any::<bool>().prop_map(Step::Silent),
    ];
    (any::<bool>(), step)
}

/// Two nodes, and the links each believes in: a new number for each `Connected`.
struct Pair {
    sides: [Rig; 2],
    links: [Option<u64>; 2],
    next: u64,
    /// What each side handed down and has not sent.
    waiting: [Vec<LinkMessage>; 2],
    /// A link of a side that took data, and the other side's link that the data was of.
    matched: BTreeMap<(usize, u64), u64>,
}

impl Pair {
    fn new(setup: LinkSetup) -> Self {
        let rig = |address| Rig::new(CasConfig { setup, ..CasConfig::new(address) });
        Self { sides: [rig(A), rig(B)], links: [None; 2], next: 0, waiting: [vec![], vec![]], matched: BTreeMap::new() }
    }

    /// One transmission of `side`: what it has to say, then data if it has a link.
    fn transmit(&mut self, side: usize, lost: bool) {
        let (own, other) = ([A, B][side], [A, B][1 - side]);
        self.collect(side);
        let messages = std::mem::take(&mut self.waiting[side]);
        let mark = self.sides[side].cas.mark(other);
        if self.sides[side].cas.silent {
            return;
        }
        let now = self.sides[side].now;
        self.sides[side].cas.sent(now, other);
        let link = self.links[side];
        if lost {
            return;
        }
        for message in messages {
            let message = match (message, mark) {
                (LinkMessage::Request { exclusive: false, number: 0 }, Some(Mark::Asks(number))) => request(number),
                (message, _) => message,
            };
            let now = self.sides[1 - side].now;
            self.sides[1 - side].cas.heard(now, own, message);
            self.collect(1 - side);
        }
        let takes = link.is_some() && self.sides[1 - side].cas.data_heard(self.sides[1 - side].now, own, mark, false);
        self.collect(1 - side);
        // Data of a link by agreement alone waits for the answer to a reset: what it is of is not for links to say.
        let by_reset = self.sides[side].cas.is_agreed(other) || self.sides[1 - side].cas.is_agreed(own);
        if let (Some(from), Some(to)) = (link, self.links[1 - side])
            && takes
            && !by_reset
        {
            // What nobody answered may be said to one that restarted; what one link takes is of one other link.
            let known = *self.matched.entry((1 - side, to)).or_insert(from);
            assert_eq!(known, from, "data of one link was taken for that of another");
        } else if link.is_some() && self.links[1 - side].is_none() && !self.sides[1 - side].cas.silent {
            // The warning comes back.
            let now = self.sides[side].now;
            self.sides[side].cas.peer_unconnected(now, other);
            self.collect(side);
        }
    }

    /// Notes what a side says.
    fn collect(&mut self, side: usize) {
        for output in self.sides[side].said() {
            match output {
                CasOutput::Send { message, .. } => self.waiting[side].push(message),
                CasOutput::Connected { .. } => {
                    assert!(self.links[side].is_none(), "connected twice");
                    self.next += 1;
                    self.links[side] = Some(self.next);
                }
                CasOutput::Disconnected { .. } => {
                    assert!(self.links[side].take().is_some(), "disconnected without a link");
                }
                CasOutput::Withdraw { .. } => self.waiting[side].clear(),
                CasOutput::Refused { .. } => {}
            }
        }
    }

    fn step(&mut self, side: usize, step: Step) {
        let other = [B, A][side];
        let rig = &mut self.sides[side];
        match step {
            Step::Want(exclusive) => rig.cas.want(rig.now, other, exclusive),
            Step::Release => rig.cas.release(rig.now, other, LinkBreak::HigherLayer),
            Step::Deliver { lost } => return self.transmit(side, lost),
            Step::Silent(silent) => rig.cas.set_silent(rig.now, silent),
            Step::Wait(seconds) => {
                for rig in &mut self.sides {
                    rig.now = rig.now.after(Duration::from_secs(seconds.into()));
                    rig.cas.handle_wakeup(rig.now);
                }
            }
            Step::Restart => {
                // A node that restarts draws the next number, so that the one case in seven is left out.
                let (now, next) = (rig.now, rig.cas.peers.get(&other).map_or(0, |known| known.number));
                *rig = Rig::new(rig.cas.config.clone());
                rig.now = now;
                rig.cas.peers.insert(other, Peer::new(next));
                (self.links[side], self.waiting[side]) = (None, Vec::new());
            }
        }
        self.collect(side);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is lost and whoever restarts: no data of one link is taken for that of another, links begin and end in
    /// turn, and when the weather clears a link that is wanted is made.
    #[test]
    fn links_match(setup in 0..3_usize, steps in prop::collection::vec(step(), 0..60)) {
        let setup = [LinkSetup::Ride, LinkSetup::Handshake, LinkSetup::Skip][setup];
        let mut pair = Pair::new(setup);
        for (side, step) in steps {
            pair.step(usize::from(side), step);
        }
        for side in 0..2 {
            pair.step(side, Step::Silent(false));
        }
        for _ in 0..20 {
            for side in 0..2 {
                pair.transmit(side, false);
            }
            pair.step(0, Step::Wait(120));
        }
        pair.step(0, Step::Want(false));
        for _ in 0..10 {
            for side in 0..2 {
                pair.transmit(side, false);
            }
            pair.step(0, Step::Wait(15));
        }
        let is_made = hears(&pair.sides[0].cas, B) && hears(&pair.sides[1].cas, A);
        prop_assert!(is_made, "{:?} {:?}", pair.sides[0].cas.peers, pair.sides[1].cas.peers);
    }
}
