//! A client's session at its node: bind, data, flow, keep-alive, hard links, and starting over.
//!
//! The caller opens and closes the pipe when told ([`SisEvent::WantOpen`], [`SisEvent::WantClose`]). Promises: each
//! request that was taken ends with `Confirmed` or `Rejected` (if a confirmation was asked for), with `Handed` (if
//! not), or with `Returned`; when a session ends, all others come back as `Returned` and the session is tried again
//! with a growing back-off. Refuses: U_PDUs above the MTU, ARQ to a group, more than `limits.rs` says. What is not
//! for us is dropped and counted; a broken stream, or one that is silent, is closed.

use std::collections::VecDeque;

use super::event::{SessionEnd, SisConfig, SisCounters, SisEvent, SisRequest, SubmitFault};
use super::fields::{Confirmation, DeliveryMode, HardLink, TransmissionMode};
use super::frame::{Frame, FrameReader};
use super::limits::{
    BIND_ANSWER, FRAME_WHOLE, KEEP_ALIVE_ANSWER, KEEP_ALIVE_ANSWER_GAP, KEEP_ALIVE_INTERVAL,
    KEEP_ALIVES_UNANSWERED_MAX, SESSION_GOOD, STRANGE_PRIMITIVES_MAX,
};
use super::outgoing::Outgoing;
use super::pdu::{Management, Primitive};
use super::reason::{Availability, AvailabilityReason, DataRejection};
use super::state::{On, State};
use super::unidata::{Returned, UnidataIndication, UnidataRequest};
use crate::bytes::Bytes;
use crate::random::Seeded;
use crate::s5066::address::NodeAddress;
use crate::time::{Duration, Instant, Now, Timers, Wakeup};

/// The timers of a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// The session may be tried again.
    BackOff,
    /// The bind was not answered.
    BindAnswer,
    /// A frame did not become whole.
    FrameWhole,
    /// Nothing was heard for long.
    Quiet,
    /// Our keep-alive was not answered.
    KeepAliveAnswer,
}

impl Timer {
    const fn why(self) -> &'static str {
        match self {
            Self::BackOff => "try node again",
            Self::BindAnswer => "bind answer missing",
            Self::FrameWhole => "primitive unfinished",
            Self::Quiet => "node quiet",
            Self::KeepAliveAnswer => "keep-alive answer missing",
        }
    }
}

/// A client's session at its node.
#[derive(Debug)]
pub struct SisClient {
    config: SisConfig,
    random: Seeded,
    state: State,
    timers: Timers<Timer>,
    frames: FrameReader,
    outgoing: Outgoing,
    writes: VecDeque<Bytes>,
    events: VecDeque<SisEvent>,
    counters: SisCounters,
    /// Octets of a U_PDU that the node takes.
    mtu: u16,
    flowing: bool,
    availability: (Availability, AvailabilityReason),
    tries: u32,
    bound_at: Option<Instant>,
    last_keep_alive_answer: Option<Instant>,
    keep_alives_unanswered: u32,
    strange_in_session: u32,
}

impl SisClient {
    /// A session that is not wanted yet. `seed` spreads the back-off so that clients do not come all at once.
    pub fn new(config: SisConfig, seed: u64) -> Self {
        Self {
            config,
            random: Seeded::new(seed),
            state: State::Idle,
            timers: Timers::new(),
            frames: FrameReader::new(),
            outgoing: Outgoing::default(),
            writes: VecDeque::new(),
            events: VecDeque::new(),
            counters: SisCounters::default(),
            mtu: 0,
            flowing: true,
            availability: (Availability::On, AvailabilityReason::Unspecified),
            tries: 0,
            bound_at: None,
            last_keep_alive_answer: None,
            keep_alives_unanswered: 0,
            strange_in_session: 0,
        }
    }

    /// The session is wanted from now on.
    pub fn start(&mut self) {
        if self.step(On::Start) && self.state == State::Opening {
            self.events.push_back(SisEvent::WantOpen);
        }
    }

    /// The session is not wanted any more: unbinds, and closes after what was written has left.
    pub fn stop(&mut self, now: Now) {
        let attached = matches!(self.state, State::Binding | State::Bound);
        let had_pipe = matches!(self.state, State::Opening | State::Binding | State::Bound);
        if !self.step(On::Stop) {
            return;
        }
        if attached {
            //= s5066/SIS-010
            self.write(&Primitive::UnbindRequest);
        }
        if had_pipe {
            self.events.push_back(SisEvent::WantClose);
        }
        self.end_session(now, SessionEnd::Stopped);
    }

    /// The pipe asked for is open.
    pub fn opened(&mut self, now: Now) {
        if !self.step(On::PipeOpened) {
            return;
        }
        // What was meant for the pipe before must not go in front of the bind.
        self.writes.clear();
        self.frames = FrameReader::new();
        self.strange_in_session = 0;
        self.flowing = true;
        self.availability = (Availability::On, AvailabilityReason::Unspecified);
        self.keep_alives_unanswered = 0;
        let SisConfig { sap, rank, service, .. } = self.config;
        //= s5066/SIS-010
        self.write(&Primitive::BindRequest { sap, rank, service });
        self.timers.set(Timer::BindAnswer, now.mono + BIND_ANSWER);
    }

    /// The pipe was refused or ended; the reason in words, if there is one.
    pub fn closed(&mut self, now: Now, reason: Option<String>) {
        let announced = matches!(self.state, State::Closing | State::Leaving);
        if !self.step(On::PipeClosed) {
            return;
        }
        if announced {
            // The end was told when we asked for the close; what is left is to wait for the next try.
            if self.state == State::Waiting && !self.timers.is_set(Timer::BackOff) {
                self.back_off(now);
            }
        } else {
            let reason = reason.unwrap_or_else(|| "closed by the node".to_owned());
            self.end_session(now, SessionEnd::Pipe(reason));
        }
    }

    /// Takes octets of the pipe.
    pub fn handle_read(&mut self, now: Now, octets: &[u8]) {
        if !matches!(self.state, State::Binding | State::Bound) {
            return;
        }
        self.frames.push(octets);
        let mut any_whole = false;
        while let Some(frame) = self.frames.next_frame() {
            any_whole = true;
            match frame.and_then(|frame: Frame| Primitive::decode(&frame, self.config.quirks)) {
                Ok(primitive) => self.on_primitive(now, primitive),
                Err(fault) => self.give_up(now, On::Broken, SessionEnd::Broken(fault)),
            }
            if !matches!(self.state, State::Binding | State::Bound) {
                return;
            }
        }
        if !self.frames.is_inside_frame() {
            self.timers.clear(Timer::FrameWhole);
        } else if any_whole || !self.timers.is_set(Timer::FrameWhole) {
            self.timers.set(Timer::FrameWhole, now.mono + FRAME_WHOLE);
        }
    }

    /// Takes a wakeup.
    pub fn handle_wakeup(&mut self, now: Now) {
        while let Some(timer) = self.timers.pop_expired(now.mono) {
            match timer {
                Timer::BackOff => {
                    if self.step(On::BackoffOver) {
                        self.events.push_back(SisEvent::WantOpen);
                    }
                }
                Timer::BindAnswer => self.give_up(now, On::Broken, SessionEnd::BindUnanswered),
                Timer::FrameWhole => self.give_up(now, On::Broken, SessionEnd::FrameUnfinished),
                Timer::Quiet => self.probe(now),
                Timer::KeepAliveAnswer => self.on_keep_alive_unanswered(now),
            }
        }
        while let Some(token) = self.outgoing.end_unanswered(now.mono) {
            self.counters.unanswered += 1;
            self.events.push_back(SisEvent::Returned { token });
        }
    }

    /// Octets for the pipe.
    pub fn poll_write(&mut self) -> Option<Bytes> {
        self.writes.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<SisEvent> {
        self.events.pop_front()
    }

    /// When it wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        let timer = self.timers.next().map(|(timer, at)| Wakeup { at, why: timer.why() });
        let deadline = self.outgoing.next_deadline().map(|at| Wakeup { at, why: "confirmation missing" });
        Wakeup::earlier(timer, deadline)
    }

    /// Takes a request; it is handed down at once, or held while the node takes no data.
    ///
    /// # Errors
    /// A [`SubmitFault`]; then no event will name the token.
    pub fn submit(&mut self, now: Now, request: SisRequest) -> Result<(), SubmitFault> {
        if self.state != State::Bound {
            return Err(SubmitFault::NotBound);
        }
        //= s5066/SIS-012
        if request.u_pdu.len() > usize::from(self.mtu) {
            return Err(SubmitFault::TooLarge { octets: request.u_pdu.len(), mtu: self.mtu });
        }
        //= s5066/SIS-013
        if request.destination.is_group() && self.mode_of(&request).transmission == TransmissionMode::Arq {
            return Err(SubmitFault::GroupByArq);
        }
        self.outgoing.push(request)?;
        self.flush(now);
        Ok(())
    }

    /// Asks for a hard link; the answer is an event. Nothing happens without a session.
    pub fn establish_hard_link(&mut self, link: HardLink) {
        self.write_bound(&Primitive::HardLinkEstablish(link));
    }

    /// Ends the hard link with a node.
    pub fn terminate_hard_link(&mut self, node: NodeAddress) {
        self.write_bound(&Primitive::HardLinkTerminate(node));
    }

    /// Takes an offered hard link.
    pub fn accept_hard_link(&mut self, link: HardLink) {
        self.write_bound(&Primitive::HardLinkAccept(link));
    }

    /// Refuses an offered hard link. Reasons are not standardised.
    pub fn reject_hard_link(&mut self, link: HardLink, reason: u8) {
        self.write_bound(&Primitive::HardLinkReject(reason, link));
    }

    /// Says something to the node's management, which hears clients of rank 15. Nothing happens without a session.
    pub fn manage(&mut self, message: Management) {
        self.write_bound(&Primitive::ManagementRequest(message));
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Octets of a U_PDU that the node takes; `None` without a session.
    pub fn mtu(&self) -> Option<u16> {
        (self.state == State::Bound).then_some(self.mtu)
    }

    /// Whether the node takes data.
    pub fn is_flowing(&self) -> bool {
        self.state == State::Bound && self.flowing
    }

    /// What the subnetwork can do, as last told.
    pub fn availability(&self) -> (Availability, AvailabilityReason) {
        self.availability
    }

    /// What was counted.
    pub fn counters(&self) -> SisCounters {
        self.counters
    }

    /// Requests held, and requests whose confirmation is awaited.
    pub fn depth(&self) -> (usize, usize) {
        (self.outgoing.waiting(), self.outgoing.outstanding())
    }

    fn on_primitive(&mut self, now: Now, primitive: Primitive) {
        self.heard(now);
        match primitive {
            Primitive::BindAccepted { sap, mtu } if sap == self.config.sap => self.on_bind_accepted(now, mtu),
            Primitive::BindRejected(reason) => self.give_up(now, On::BindRejected, SessionEnd::BindRejected(reason)),
            Primitive::UnbindIndication(reason) => self.give_up(now, On::UnbindIndicated, SessionEnd::Unbound(reason)),
            Primitive::KeepAlive => self.on_keep_alive(now),
            Primitive::SubnetAvailability(status, reason) => self.on_availability(status, reason),
            Primitive::DataFlowOn => self.on_flow(now, true),
            Primitive::DataFlowOff => self.on_flow(now, false),
            Primitive::UnidataIndication(indication) => self.on_indication(false, indication),
            Primitive::ExpeditedUnidataIndication(indication) => self.on_indication(true, indication),
            Primitive::UnidataRequestConfirm(returned) => self.on_confirm(false, &returned),
            Primitive::ExpeditedUnidataRequestConfirm(returned) => self.on_confirm(true, &returned),
            Primitive::UnidataRequestRejected(reason, returned) => self.on_rejected(false, reason, &returned),
            Primitive::ExpeditedUnidataRequestRejected(reason, returned) => self.on_rejected(true, reason, &returned),
            Primitive::HardLinkEstablished(status, link) => self.tell(SisEvent::HardLinkEstablished(status, link)),
            Primitive::HardLinkRejected(reason, link) => self.tell(SisEvent::HardLinkRejected(reason, link)),
            Primitive::HardLinkTerminated(reason, link) => self.tell(SisEvent::HardLinkTerminated(reason, link)),
            Primitive::HardLinkIndication(status, link) => self.tell(SisEvent::HardLinkOffered(status, link)),
            Primitive::ManagementIndication(message) => self.tell(SisEvent::Managed(message)),
            Primitive::BindAccepted { .. }
            | Primitive::BindRequest { .. }
            | Primitive::UnbindRequest
            | Primitive::HardLinkEstablish(_)
            | Primitive::HardLinkTerminate(_)
            | Primitive::HardLinkAccept(_)
            | Primitive::HardLinkReject(..)
            | Primitive::ManagementRequest(_)
            | Primitive::UnidataRequest(_)
            | Primitive::ExpeditedUnidataRequest(_)
            | Primitive::Unknown { .. } => self.on_strange(now),
        }
    }

    fn on_bind_accepted(&mut self, now: Now, mtu: u16) {
        if !self.step(On::BindAccepted) {
            self.counters.out_of_place += 1;
            return;
        }
        self.timers.clear(Timer::BindAnswer);
        self.mtu = mtu;
        self.bound_at = Some(now.mono);
        self.counters.bound += 1;
        self.heard(now);
        self.events.push_back(SisEvent::Bound { mtu });
    }

    /// A node may tell it before it accepts the bind.
    fn on_availability(&mut self, status: Availability, reason: AvailabilityReason) {
        if self.availability != (status, reason) {
            self.availability = (status, reason);
            self.events.push_back(SisEvent::Availability(status, reason));
        }
    }

    fn on_flow(&mut self, now: Now, flowing: bool) {
        if self.flowing != flowing {
            self.flowing = flowing;
            self.events.push_back(SisEvent::Flow(flowing));
            self.flush(now);
        }
    }

    //= s5066/SIS-015
    fn on_indication(&mut self, expedited: bool, indication: UnidataIndication) {
        let SisConfig { sap, own_address, .. } = self.config;
        let another = |own| !indication.destination.is_group() && indication.destination != own;
        if self.state != State::Bound || indication.sap != sap || own_address.is_some_and(another) {
            self.counters.not_for_us += 1;
        } else if own_address == Some(indication.source) || indication.source.is_group() {
            self.counters.from_own_address += 1;
        } else {
            self.events.push_back(SisEvent::Arrived { expedited, indication });
        }
    }

    fn on_confirm(&mut self, expedited: bool, returned: &Returned) {
        match self.outgoing.end(expedited, returned) {
            Some(token) => self.events.push_back(SisEvent::Confirmed { token }),
            None => self.counters.unmatched += 1,
        }
    }

    fn on_rejected(&mut self, expedited: bool, reason: DataRejection, returned: &Returned) {
        match self.outgoing.end(expedited, returned) {
            Some(token) => self.events.push_back(SisEvent::Rejected { token, reason }),
            None => self.counters.unmatched += 1,
        }
    }

    /// A new product may send what we do not know; one that sends much of it is no node, or not in step.
    fn on_strange(&mut self, now: Now) {
        self.counters.strange += 1;
        self.strange_in_session += 1;
        if self.strange_in_session > STRANGE_PRIMITIVES_MAX {
            self.give_up(now, On::Broken, SessionEnd::Strange);
        }
    }

    /// Answers, unless it is itself the answer to ours: two sides that answer every one would never end.
    //= s5066/SIS-011
    fn on_keep_alive(&mut self, now: Now) {
        if self.timers.is_set(Timer::KeepAliveAnswer) {
            self.timers.clear(Timer::KeepAliveAnswer);
            self.keep_alives_unanswered = 0;
            return;
        }
        if self.last_keep_alive_answer.is_some_and(|last| now.mono < last + KEEP_ALIVE_ANSWER_GAP) {
            self.counters.keep_alives_ignored += 1;
            return;
        }
        self.last_keep_alive_answer = Some(now.mono);
        self.write(&Primitive::KeepAlive);
    }

    fn probe(&mut self, now: Now) {
        if self.state == State::Bound {
            self.write(&Primitive::KeepAlive);
            self.timers.set(Timer::KeepAliveAnswer, now.mono + KEEP_ALIVE_ANSWER);
            self.wait_for_quiet(now);
        }
    }

    fn on_keep_alive_unanswered(&mut self, now: Now) {
        self.keep_alives_unanswered += 1;
        if self.keep_alives_unanswered >= KEEP_ALIVES_UNANSWERED_MAX {
            self.give_up(now, On::Broken, SessionEnd::Silent);
        }
    }

    fn heard(&mut self, now: Now) {
        self.keep_alives_unanswered = 0;
        self.wait_for_quiet(now);
    }

    //= s5066/SIS-011
    fn wait_for_quiet(&mut self, now: Now) {
        if let (State::Bound, Some(interval)) = (self.state, self.config.keep_alive) {
            self.timers.set(Timer::Quiet, now.mono + interval.max(KEEP_ALIVE_INTERVAL));
        }
    }

    /// Hands down what waits, the most urgent first, if the node takes data.
    //= s5066/SIS-016
    fn flush(&mut self, now: Now) {
        while self.is_flowing() {
            let Some(request) = self.outgoing.pop() else { return };
            let mode = self.mode_of(&request);
            let token = request.token;
            if self.write(&primitive_of(&request)) {
                if mode.confirmation == Confirmation::None {
                    self.events.push_back(SisEvent::Handed { token });
                } else {
                    self.outgoing.await_confirmation(now.mono, &request);
                }
            } else {
                self.events.push_back(SisEvent::Returned { token });
            }
        }
    }

    fn mode_of(&self, request: &SisRequest) -> DeliveryMode {
        if request.mode.transmission == TransmissionMode::Default { self.config.service.mode } else { request.mode }
    }

    /// Ends a session that has a pipe: the caller is to close it.
    fn give_up(&mut self, now: Now, on: On, why: SessionEnd) {
        if self.step(on) {
            self.events.push_back(SisEvent::WantClose);
            self.end_session(now, why);
        } else {
            self.counters.out_of_place += 1;
        }
    }

    /// Gives all requests back and tells why; sets the back-off if the session is still wanted.
    //= s5066/SIS-017
    fn end_session(&mut self, now: Now, why: SessionEnd) {
        self.timers = Timers::new();
        self.frames = FrameReader::new();
        for token in self.outgoing.drain() {
            self.events.push_back(SisEvent::Returned { token });
        }
        if self.bound_at.take().is_some_and(|since| now.mono.since(since) >= SESSION_GOOD) {
            self.tries = 0;
        }
        let wanted = matches!(self.state, State::Waiting | State::Closing);
        let retry_in = wanted.then(|| self.back_off(now));
        self.events.push_back(SisEvent::Ended { why, retry_in });
    }

    /// Sets the timer for the next try: doubling, with up to a quarter less so that clients spread.
    fn back_off(&mut self, now: Now) -> Duration {
        let wait = self.config.back_off.wait(self.tries, &mut self.random);
        self.tries = self.tries.saturating_add(1);
        self.timers.set(Timer::BackOff, now.mono + wait);
        wait
    }

    fn tell(&mut self, event: SisEvent) {
        if self.state == State::Bound {
            self.events.push_back(event);
        } else {
            self.counters.out_of_place += 1;
        }
    }

    fn write_bound(&mut self, primitive: &Primitive) {
        if self.state == State::Bound {
            self.write(primitive);
        }
    }

    /// Whether the primitive could be encoded.
    fn write(&mut self, primitive: &Primitive) -> bool {
        primitive.encode().map(|octets| self.writes.push_back(octets)).is_ok()
    }

    fn step(&mut self, on: On) -> bool {
        let after = self.state.after(on);
        self.state = after.unwrap_or(self.state);
        after.is_some()
    }
}

fn primitive_of(request: &SisRequest) -> Primitive {
    let unidata = UnidataRequest {
        priority: if request.expedited { 0 } else { request.priority.min(15) },
        sap: request.sap,
        destination: request.destination,
        mode: request.mode,
        retransmissions: request.retransmissions.min(15),
        ttl: request.ttl,
        u_pdu: request.u_pdu.clone(),
    };
    if request.expedited { Primitive::ExpeditedUnidataRequest(unidata) } else { Primitive::UnidataRequest(unidata) }
}

#[cfg(test)]
mod tests;
