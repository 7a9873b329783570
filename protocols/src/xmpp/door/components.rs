//! Components: connected at the start and for good, one connection for each name.

use minidom::Element;

use super::conn::{Conn, Stream};
use super::event::{ConnId, DoorEvent, DoorOutput};
use super::limits::STREAM_GOOD;
use super::outlet::{Outlet, Place};
use super::{Door, Timer};
use crate::time::Now;
use crate::xmpp::component::Component;
use crate::xmpp::fault::XmppFault;
use crate::xmpp::local::{Complaint, Condition, bounce};
use crate::xmpp::reader::Skipped;
use crate::xmpp::stanza::Stanza;
use crate::xmpp::stream::Pair;
use crate::xmpp::stream::end::{StreamEnd, shortened};
use crate::xmpp::writer::Scope;

impl Door {
    pub(super) fn start_components(&mut self, now: Now) {
        for index in 0..self.components.len() {
            self.open_component(now, index);
        }
    }

    //= xmpp/COMP-004
    pub(super) fn open_component(&mut self, now: Now, index: usize) {
        let Some(config) = self.config.components.get(index) else { return };
        if self.stopping || self.components.get(index).is_none_or(|it| it.conn.is_some()) {
            return;
        }
        let (component, target) = (Component::new(&config.name, &config.secret), config.target.clone());
        let id = self.new_conn();
        self.conns.insert(id, Conn::new(Stream::Component(index, Box::new(component)), None));
        if let Some(state) = self.components.get_mut(index) {
            state.conn = Some(id);
        }
        self.timers.set(Timer::SetUp(id), now.mono + self.config.times.set_up);
        self.outputs.push_back(DoorOutput::Open(id, target));
    }

    pub(super) fn component_up(&mut self, now: Now, id: ConnId, index: usize) {
        if let Some(state) = self.components.get_mut(index) {
            state.up_since = Some(now.mono);
        }
        let name = self.component_name(index);
        let mut reached = self.reached_by(index);
        for (pair, outlet) in &mut self.outlets {
            if pair.ours == name && outlet.place == Place::Component {
                outlet.place = Place::Attached(id);
                outlet.since = Some(now.mono);
                self.ripe.push_back(pair.clone());
                if !reached.contains(&pair.theirs) {
                    reached.push(pair.theirs.clone());
                }
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.pairs.push(pair.clone());
                }
            }
        }
        for local in reached {
            self.tell(DoorEvent::Up { local, ours: name.clone() });
        }
    }

    /// The domains that a component's configuration names one by one.
    fn reached_by(&self, index: usize) -> Vec<String> {
        let locals = self.config.components.get(index).map(|it| it.locals.as_slice()).unwrap_or_default();
        locals.iter().filter(|local| *local != "*" && !local.starts_with('.')).cloned().collect()
    }

    fn component_name(&self, index: usize) -> String {
        self.config.components.get(index).map(|it| it.name.clone()).unwrap_or_default()
    }

    /// The connection of the component for a pair, if it is up.
    pub(super) fn component_conn(&self, pair: &Pair) -> Option<ConnId> {
        let index = self.config.components.iter().position(|it| it.name == pair.ours)?;
        let state = self.components.get(index)?;
        state.up_since.and(state.conn)
    }

    //= xmpp/COMP-005
    pub(super) fn component_element(
        &mut self,
        now: Now,
        id: ConnId,
        index: usize,
        element: Element,
        broken: Option<XmppFault>,
    ) {
        let name = self.component_name(index);
        match Stanza::from_element(element) {
            Ok(stanza) if !self.is_of_same_server(index, stanza.to().domain().as_str()) => {
                let detail = format!("the server of {name} sends something for {}", stanza.to().domain());
                self.notice("chat.host_unknown", false, shortened(&detail));
            }
            // What we front comes from us alone; from a local server it would go in circles.
            Ok(stanza) if self.config.fronts(stanza.from().domain().as_str()) => {
                let detail = format!("the server of {name} sends something from {}", stanza.from().domain());
                self.notice("chat.invalid_from", true, shortened(&detail));
            }
            // A server that knows others sends on what strangers say.
            Ok(stanza) if self.config.component_for(&name, stanza.from().domain().as_str()).is_none() => {
                let detail = format!("the server of {name} sends something from {}", stanza.from().domain());
                self.notice("chat.stranger", false, shortened(&detail));
                self.send_stranger_back(id, &stanza);
            }
            Ok(stanza) => match broken {
                None => self.arrived(now, id, stanza),
                Some(fault) => self.skipped(now, id, &stanza, &fault),
            },
            Err(fault) => self.notice("chat.bad_stanza", false, shortened(&fault.to_string())),
        }
    }

    /// Of an element that broke a limit only the start is known.
    pub(super) fn component_skipped(&mut self, now: Now, id: ConnId, index: usize, skipped: Skipped) {
        match skipped.head {
            Some(head) => self.component_element(now, id, index, head, Some(skipped.fault)),
            None => self.notice("chat.bad_stanza", false, shortened(&skipped.fault.to_string())),
        }
    }

    /// Whether a name is that of a component, or of another one at the same server: ejabberd lets each connection to a
    /// listener stand for all names that share the listener.
    fn is_of_same_server(&self, index: usize, name: &str) -> bool {
        let target = self.config.components.get(index).map(|it| &it.target);
        self.config.components.iter().any(|it| it.name == name && Some(&it.target) == target)
    }

    /// Tells a stranger, on the connection it came by, that the links are not for it.
    fn send_stranger_back(&mut self, id: ConnId, stanza: &Stanza) {
        let complaint =
            Complaint { text: Some("the links are for local users"), ..Complaint::new(Condition::NotAllowed) };
        if let (Some(conn), Some(error)) = (self.conns.get_mut(&id), bounce(stanza, &complaint)) {
            conn.stream.send(&error.octets_for(Scope::COMPONENT));
        }
    }

    //= xmpp/COMP-004
    pub(super) fn component_ended(&mut self, now: Now, index: usize, why: &StreamEnd) {
        let Some(state) = self.components.get_mut(index) else { return };
        state.conn = None;
        if state.up_since.take().is_some_and(|since| now.mono.since(since) >= STREAM_GOOD) {
            state.failures = 0;
        }
        let failures = state.failures;
        state.failures = failures.saturating_add(1);
        if self.stopping {
            return;
        }
        let wait = self.back_off(failures);
        self.timers.set(Timer::Component(index), now.mono + wait);
        let name = self.component_name(index);
        let waits = |(pair, outlet): (&Pair, &Outlet)| {
            (pair.ours == name && outlet.place == Place::Component).then(|| pair.clone())
        };
        let waiting: Vec<Pair> = self.outlets.iter().filter_map(waits).collect();
        let mut reached = self.reached_by(index);
        for pair in waiting {
            self.empty(&pair, &why.to_string());
            if !reached.contains(&pair.theirs) {
                reached.push(pair.theirs);
            }
        }
        for local in reached {
            self.tell(DoorEvent::Down { local, ours: name.clone(), why: why.to_string() });
        }
    }
}
