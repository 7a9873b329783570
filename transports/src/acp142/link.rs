//! [`Acp142Link`]: the [`Transport`] made of the core and a [`Bearer`].

use skywave_protocols::message::precedence::MtPriority;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Now, Wakeup, WallTime};

use super::config::Config;
use super::core::Core;
use crate::transport::{
    ArrivalId, Emission, Profile, Room, Sent, SiteName, Transport, TransportInput, TransportOutput, Unit, UnitTicket,
};

/// What moves PDUs for a link.
pub trait Bearer: Send {
    /// The link has started: its records are back.
    fn start(&mut self, now: Now, core: &mut Core);
    /// An input that is not about records.
    fn handle(&mut self, now: Now, core: &mut Core, input: TransportInput);
    /// After every input: PDUs may have become ready, or time has passed.
    fn pump(&mut self, now: Now, core: &mut Core);
    /// When it wants to be woken.
    fn next_wakeup(&self, core: &Core) -> Option<Wakeup>;
    /// Its state for the console.
    fn describe(&self) -> serde_json::Value;
}

/// A link that carries units by ACP 142 over the bearer `B`.
#[derive(Debug)]
pub struct Acp142Link<B> {
    pub(super) core: Core,
    pub(super) bearer: B,
}

impl<B: Bearer> Acp142Link<B> {
    /// A link that starts when its records are handed to it. `config` should be free of mistakes.
    pub fn new(config: Config, bearer: B, now: Now, random: Seeded) -> Self {
        Self { core: Core::new(config, now, random), bearer }
    }

    pub(super) fn pump(&mut self, now: Now) {
        self.bearer.pump(now, &mut self.core);
        self.core.drain();
    }
}

impl<B: Bearer> Transport for Acp142Link<B> {
    fn profile(&self) -> Profile {
        self.core.profile()
    }

    /// Advice for the scheduler: a unit of Flash or Override may be submitted beyond it.
    fn room(&self) -> Room {
        self.core.room()
    }

    fn submit(&mut self, now: Now, unit: Unit) {
        self.core.submit(now, unit);
        self.pump(now);
    }

    fn raise(&mut self, now: Now, ticket: UnitTicket, priority: MtPriority) {
        self.core.raise(now, ticket, priority);
        self.pump(now);
    }

    fn cancel(&mut self, now: Now, ticket: UnitTicket) -> Sent {
        let sent = self.core.cancel(now, ticket);
        self.pump(now);
        sent
    }

    fn set_emission(&mut self, now: Now, emission: Emission) {
        self.core.set_emission(now, emission);
        self.pump(now);
    }

    fn set_silence(&mut self, now: Now, site: &SiteName, silent: bool) {
        self.core.set_silence(now, site, silent);
        self.pump(now);
    }

    fn plan_silence(&mut self, site: &SiteName, until: Option<WallTime>) {
        self.core.plan_silence(site, until);
    }

    fn accept(&mut self, now: Now, arrival: ArrivalId) {
        self.core.accept(now, arrival);
        self.pump(now);
    }

    fn refuse(&mut self, now: Now, arrival: ArrivalId, retry: bool) {
        self.core.refuse(now, arrival, retry);
        self.pump(now);
    }

    fn handle(&mut self, now: Now, input: TransportInput) {
        match input {
            TransportInput::Stored(batch) => self.core.stored(batch),
            TransportInput::StoreFailed(batch, why) => self.core.store_failed(now, batch, &why),
            TransportInput::Restored(rows) => {
                self.core.restore(now, rows);
                self.bearer.start(now, &mut self.core);
            }
            TransportInput::Pipe(..) | TransportInput::Accepted(..) | TransportInput::Socket(..) => {
                self.bearer.handle(now, &mut self.core, input);
            }
        }
        self.pump(now);
    }

    fn handle_wakeup(&mut self, now: Now) {
        self.core.handle_wakeup(now);
        self.pump(now);
    }

    fn poll(&mut self) -> Option<TransportOutput> {
        self.core.poll()
    }

    fn next_wakeup(&self) -> Option<Wakeup> {
        Wakeup::earlier(self.core.next_wakeup(), self.bearer.next_wakeup(&self.core))
    }

    fn describe(&self) -> serde_json::Value {
        let mut state = self.core.describe();
        state["bearer"] = self.bearer.describe();
        state
    }

    fn over_limit(&self) -> Option<String> {
        self.core.over_limit()
    }
}
