//! What the streams of the door tell, and what is written to them.

use super::conn::{Conn, Flown, Stream};
use super::event::{ConnId, DoorEvent, DoorOutput};
use super::limits::UNCONFIRMED_OCTETS_MAX;
use super::outlet::Place;
use super::{Door, Timer};
use crate::fault::{Blame, Fault};
use crate::time::{Duration, Now};
use crate::xmpp::component::ComponentEvent;
use crate::xmpp::stream::end::StreamEnd;
use crate::xmpp::stream::{Pair, StreamEvent};

impl Door {
    /// Takes all that a stream tells, writes what it has to say, and sets its timers.
    pub(super) fn settle(&mut self, now: Now, id: ConnId) {
        loop {
            let Some(conn) = self.conns.get_mut(&id) else { return };
            match &mut conn.stream {
                Stream::Component(index, component) => match component.poll_event() {
                    Some(event) => {
                        let index = *index;
                        self.on_component(now, id, index, event);
                    }
                    None => break,
                },
                Stream::Server(stream) => match stream.poll_event() {
                    Some(event) => self.on_stream(now, id, event),
                    None => break,
                },
            }
        }
        self.flush(now, id);
        self.watch(now, id);
    }

    fn on_component(&mut self, now: Now, id: ConnId, index: usize, event: ComponentEvent) {
        match event {
            ComponentEvent::Up => self.component_up(now, id, index),
            ComponentEvent::Element(element) => self.component_element(now, id, index, element, None),
            ComponentEvent::Skipped(skipped) => self.component_skipped(now, id, index, skipped),
            ComponentEvent::Ended(why) => self.ended(now, id, &why),
        }
    }

    fn on_stream(&mut self, now: Now, id: ConnId, event: StreamEvent) {
        match event {
            StreamEvent::Secure(secure) => {
                // What is said before TLS must leave first.
                self.flush(now, id);
                self.outputs.push_back(DoorOutput::Secure(id, secure));
            }
            StreamEvent::PairReady(pair) => self.pair_ready(now, id, pair),
            StreamEvent::PairRefused { pair, verdict } => self.pair_refused(now, id, &pair, &verdict),
            StreamEvent::Authenticated { .. } => {}
            StreamEvent::WantVerdict(question) => self.want_verdict(now, id, question),
            StreamEvent::Verdict(question, verdict) => self.have_verdict(&question, verdict),
            StreamEvent::Stanza(stanza) => self.arrived(now, id, stanza),
            StreamEvent::PassedOver => self.passed_over(id),
            StreamEvent::Skipped(stanza, fault) => self.skipped(now, id, &stanza, &fault),
            StreamEvent::Confirmed(stanzas) => self.confirmed(id, stanzas as usize),
            StreamEvent::Unmanaged => self.unmanaged(id),
            StreamEvent::CountingBegins => self.begin_counting(id),
            StreamEvent::Asked => self.tell_handled(id),
            StreamEvent::Notice(name, alarm, detail) => self.notice(name, alarm, detail),
            StreamEvent::Ended(why) => self.ended(now, id, &why),
        }
    }

    /// Writes what a stream has to say.
    pub(super) fn flush(&mut self, now: Now, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let mut wrote = false;
        while let Some(octets) = conn.stream.poll_write() {
            wrote = true;
            if !conn.gone {
                conn.writes += 1;
                self.outputs.push_back(DoorOutput::Write(id, octets));
            }
        }
        if wrote {
            let idle = conn.stream.server().and_then(|stream| stream.idle_seconds());
            let announced = idle.map(|seconds| Duration::from_secs(seconds / 2).max(Duration::from_secs(1)));
            let wait = announced.map_or(self.config.times.keep_alive, |it| it.min(self.config.times.keep_alive));
            self.timers.set(Timer::KeepAlive(id), now.mono + wait);
        }
    }

    /// Sets the timers that follow from where a stream stands. While we do not read it, nothing is awaited of it.
    fn watch(&mut self, now: Now, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let times = self.config.times;
        if std::mem::replace(&mut conn.items, conn.stream.items()) != conn.stream.items() {
            // Another element has begun since.
            self.timers.clear(&Timer::Element(id));
        }
        let inside = conn.stream.is_inside() && !conn.paused;
        let unconfirmed = conn.flown.iter().any(|flown| !flown.managed);
        let managed = conn.flown.iter().any(|flown| flown.managed);
        let (established, wanted, awaits) = match &conn.stream {
            Stream::Component(_, component) => (component.is_up(), true, false),
            Stream::Server(stream) => {
                (stream.is_established(), stream.is_established() || stream.is_wanted(), managed && !conn.paused)
            }
        };
        let idle = conn.accepted.is_none() && !wanted;
        // A stream on which only keys are judged has done its set-up when it can be used for that.
        if established || idle {
            self.timers.clear(&Timer::SetUp(id));
        }
        let running = [
            (Timer::Element(id), inside, times.element),
            (Timer::Write(id), unconfirmed, times.write),
            (Timer::Confirmation(id), awaits, times.confirmation),
            (Timer::Unwanted(id), idle, times.verify_idle),
        ];
        for (timer, runs, wait) in running {
            if !runs {
                self.timers.clear(&timer);
            } else if !self.timers.is_set(&timer) {
                self.timers.set(timer, now.mono + wait);
            }
        }
    }

    pub(super) fn keep_alive(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.stream.keep_alive();
            self.stirred.push_back(id);
        }
    }

    pub(super) fn close_unwanted(&mut self, id: ConnId) {
        self.end(id, StreamEnd::Idle);
    }

    /// So many writes have left: what nobody confirms of them is with the server now.
    //= xmpp/SM-005
    pub(super) fn drained(&mut self, id: ConnId, writes: u64) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        // It reads: what follows has its time from now on.
        self.timers.clear(&Timer::Write(id));
        let written = conn.left(writes);
        let pairs = conn.pairs.clone();
        self.handed_over(written, false);
        self.ripe.extend(pairs);
    }

    fn confirmed(&mut self, id: ConnId, stanzas: usize) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        self.timers.clear(&Timer::Confirmation(id));
        let confirmed = conn.confirm(stanzas);
        let pairs = conn.pairs.clone();
        if let Some(stream) = conn.stream.server() {
            stream.ask_confirmation();
        }
        self.handed_over(confirmed, true);
        self.ripe.extend(pairs);
    }

    /// Nothing was confirmed for long. A server that answers and has not taken it is asked again; one that does not answer
    /// is left.
    //= xmpp/SM-003
    pub(super) fn unconfirmed(&mut self, id: ConnId) {
        let Some(stream) = self.conns.get_mut(&id).and_then(|conn| conn.stream.server()) else { return };
        if stream.awaits_confirmation() {
            return self.end(id, StreamEnd::TooSlow("a confirmation"));
        }
        stream.ask_confirmation();
        self.stirred.push_back(id);
    }

    /// The server will confirm nothing: what was written counts as any other.
    fn unmanaged(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let written = conn.confirm(usize::MAX);
        self.handed_over(written, false);
    }

    fn handed_over(&mut self, tokens: Vec<u64>, confirmed: bool) {
        for token in tokens {
            self.tell(DoorEvent::HandedOver { token, confirmed });
        }
    }

    /// Writes what waits for a pair, as far as the stream takes it.
    pub(super) fn send_waiting(&mut self, now: Now, pair: &Pair, id: ConnId) {
        let (Some(conn), Some(outlet)) = (self.conns.get_mut(&id), self.outlets.get_mut(pair)) else { return };
        let mut too_large = Vec::new();
        while conn.flown_octets < UNCONFIRMED_OCTETS_MAX {
            let Some(waiting) = outlet.pop() else { break };
            let octets = waiting.octets.len();
            self.waiting_octets -= octets;
            if octets > conn.stream.stanza_octets_max() {
                too_large.push((waiting.token, octets));
                continue;
            }
            let managed = conn.stream.send(&waiting.octets);
            conn.flown_octets += octets;
            // It leaves with the write that follows.
            conn.flown.push_back(Flown { token: waiting.token, octets, managed, write: conn.writes + 1 });
        }
        if let Some(stream) = conn.stream.server() {
            stream.ask_confirmation();
        }
        for (token, octets) in too_large {
            self.refuse(token, "policy-violation", format!("{octets} octets are more than the server takes"));
        }
        self.forget_idle(pair, id);
        self.flush(now, id);
        self.watch(now, id);
    }

    /// For what a component's configuration names nothing need be remembered while nothing waits: that may be a thousand
    /// domains.
    fn forget_idle(&mut self, pair: &Pair, id: ConnId) {
        let is_idle = |outlet: &super::Outlet| !outlet.is_wanted() && outlet.failures == 0 && !outlet.alone;
        if !self.outlets.get(pair).is_some_and(is_idle) {
            return;
        }
        let component = self.config.component_for(&pair.ours, &pair.theirs);
        if !component.is_some_and(|component| component.locals.contains(&pair.theirs)) {
            return;
        }
        self.outlets.remove(pair);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.pairs.retain(|known| known != pair);
        }
    }

    /// A stream is over: closes the connection, gives back what it leaves behind, and sees to the next try.
    fn ended(&mut self, now: Now, id: ConnId, why: &StreamEnd) {
        self.flush(now, id);
        let Some(mut conn) = self.conns.remove(&id) else { return };
        if !conn.gone {
            self.outputs.push_back(DoorOutput::Close(id));
        }
        let timers = [
            Timer::SetUp(id),
            Timer::Element(id),
            Timer::Write(id),
            Timer::Confirmation(id),
            Timer::KeepAlive(id),
            Timer::Unwanted(id),
        ];
        for timer in &timers {
            self.timers.clear(timer);
        }
        for untaken in conn.untaken.drain(..) {
            self.arrivals.remove(&untaken.arrival);
        }
        let words = why.to_string();
        for flown in conn.flown.drain(..) {
            self.give_back(flown.token, &words);
        }
        self.log_end(&conn, why);
        let questions = conn.stream.server().map(|stream| stream.take_questions()).unwrap_or_default();
        self.questions_lost(id, questions);
        self.release(now, id, why);
        if let Stream::Component(index, _) = conn.stream {
            self.component_ended(now, index, why);
        }
    }

    /// A server's errors and our own limits are for the log; ordinary ends are not.
    fn log_end(&mut self, conn: &Conn, why: &StreamEnd) {
        let ordinary = matches!(
            why,
            StreamEnd::PeerClosed
                | StreamEnd::Connection(_)
                | StreamEnd::Idle
                | StreamEnd::GivesWay
                | StreamEnd::Stopping
        );
        if ordinary {
            return;
        }
        let with = match &conn.stream {
            Stream::Component(index, _) => self.config.components.get(*index).map(|it| it.name.clone()),
            Stream::Server(stream) => Some(format!("{} with {}", stream.pair().ours, stream.pair().theirs)),
        };
        // A server that is restarted, or tired of an idle stream, holds nothing against us.
        let harmless = |condition: &str| matches!(condition, "system-shutdown" | "reset" | "connection-timeout");
        let accused = matches!(why, StreamEnd::PeerError { condition, .. } if !harmless(condition));
        let alarm = why.blame() == Blame::Operator || accused;
        let detail = format!("{}: {why}", with.unwrap_or_default());
        self.notice("chat.stream_ended", alarm, detail);
    }

    /// Takes the pairs off a stream that is over.
    fn release(&mut self, now: Now, id: ConnId, why: &StreamEnd) {
        let on_it = |(pair, outlet): (&Pair, &super::Outlet)| {
            let here = outlet.place == Place::Opening(id) || outlet.place == Place::Attached(id);
            here.then(|| (pair.clone(), outlet.place == Place::Attached(id)))
        };
        let pairs: Vec<(Pair, bool)> = self.outlets.iter().filter_map(on_it).collect();
        for (pair, attached) in pairs {
            self.timers.clear(&Timer::Judgement(id, pair.clone()));
            self.outlet_failed(now, &pair, attached, why);
        }
    }
}
