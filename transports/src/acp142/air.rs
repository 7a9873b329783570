//! P_MUL over the radio: PDUs wait in the engine until the air scheduler asks for one.
//!
//! One destination that may answer is reached by RCOP (ARQ, confirmed by its node); several, or any in EMCON, by UDOP
//! to the group. Acknowledgements go to the sender alone: by RCOP, or by UDOP when it is silent, when they
//! are the first of a message to several, or so configured.

use std::collections::{BTreeMap, BTreeSet};

use skywave_protocols::acp142::event::{To, Token};
use skywave_protocols::acp142::pdu::NodeId;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::time::{Duration, Now, Wakeup};

use super::core::{Core, mt_priority};
use super::limits::{REJECTED_WAIT, TTL_MAX};
use super::link::{Acp142Link, Bearer};
use crate::radio::{AirEvent, AirLink, AirPdu, Offer, Port, Service};
use crate::transport::{Emission, TransportInput};

/// The application id of ACP 142 (STANAG 4406 Annex E, TMI-1).
const APPLICATION: u16 = 0x2000;

/// What is configured of the radio form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AirConfig {
    /// The port for non-ARQ traffic; default SAP 7, application 0x2000.
    pub udop: Port,
    /// The port for ARQ traffic; default SAP 6, connection 1, application 0x2000.
    pub rcop: Port,
    /// Whether the port for ARQ is used at all: nodes that only broadcast have none.
    pub arq: bool,
    /// Addresses of the sites' nodes.
    pub addresses: BTreeMap<NodeId, NodeAddress>,
    /// Address of the group.
    pub group: Option<NodeAddress>,
    /// Whether acknowledgements go by RCOP to senders that are not silent. `None`: all but the first complete one of a
    /// message to several (ADR 0060), for which a link would have to be made that nothing else uses.
    pub acks_by_arq: Option<bool>,
    /// How often the node repeats a non-ARQ PDU, 0 to 15.
    pub repeats: u8,
}

impl AirConfig {
    /// The ports of `defaults.md`, without addresses.
    pub fn new() -> Self {
        Self {
            udop: Port::udop(0, APPLICATION),
            rcop: Port::rcop(1, APPLICATION),
            arq: true,
            addresses: BTreeMap::new(),
            group: None,
            acks_by_arq: None,
            repeats: 0,
        }
    }
}

impl Default for AirConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// The radio form of the bearer.
#[derive(Debug)]
pub struct Air {
    config: AirConfig,
    nodes: BTreeMap<NodeAddress, NodeId>,
    ready: bool,
    released: BTreeSet<u64>,
}

impl Air {
    /// A bearer that waits for the radio.
    pub fn new(config: AirConfig) -> Self {
        let nodes = config.addresses.iter().map(|(&node, &address)| (address, node)).collect();
        Self { config, nodes, ready: false, released: BTreeSet::new() }
    }

    /// By which port, and to which address; `None` when an address is missing.
    fn route(&self, to: &To) -> Option<(Port, NodeAddress)> {
        let address = |node: &NodeId| self.config.addresses.get(node).copied();
        let by_arq = |to: &To| to.group.is_some() || self.config.acks_by_arq.unwrap_or(!to.may_be_lost);
        match to.nodes.as_slice() {
            [node] if self.config.arq && !to.silent && by_arq(to) => Some((self.config.rcop, address(node)?)),
            // An acknowledgement concerns its sender alone.
            [node] if to.group.is_none() => Some((self.config.udop, address(node)?)),
            [node] => Some((self.config.udop, self.config.group.or_else(|| address(node))?)),
            _ => Some((self.config.udop, self.config.group?)),
        }
    }
}

impl Bearer for Air {
    fn start(&mut self, _now: Now, core: &mut Core) {
        if self.ready {
            core.set_up(Ok(()));
        }
    }

    fn handle(&mut self, _now: Now, _core: &mut Core, _input: TransportInput) {}

    fn pump(&mut self, _now: Now, _core: &mut Core) {}

    fn next_wakeup(&self, _core: &Core) -> Option<Wakeup> {
        None
    }

    fn describe(&self) -> serde_json::Value {
        serde_json::json!({ "kind": "radio", "ready": self.ready, "pdus_in_node": self.released.len() })
    }
}

impl AirLink for Acp142Link<Air> {
    fn ports(&self) -> Vec<Port> {
        let AirConfig { udop, rcop, arq, .. } = self.bearer.config;
        std::iter::once(udop).chain(arq.then_some(rcop)).collect()
    }

    fn emission(&self) -> Emission {
        self.core.emission()
    }

    fn offer(&self) -> Option<Offer> {
        if !self.bearer.ready || !self.core.may_send() {
            return None;
        }
        let priority = self.core.engine.next_priority()?;
        let route = self.bearer.route(&self.core.engine.next_to()?);
        let confirm = route.is_some_and(|(port, _)| port.service == Service::Rcop);
        let config = self.core.engine.config();
        let octets = config.pdu_octets_arq.filter(|_| confirm).unwrap_or(config.pdu_octets_max);
        Some(Offer { priority, octets, confirm })
    }

    fn release(&mut self, now: Now) -> Option<AirPdu> {
        if !self.bearer.ready || !self.core.may_send() {
            return None;
        }
        loop {
            let out = self.core.engine.poll_pdu(now)?;
            let Some((port, to)) = self.bearer.route(&out.to) else {
                let detail = format!("no address for {:?}", out.to.nodes);
                self.core.notice(true, "address_missing", detail);
                self.core.engine.pdu_left(now, out.token);
                self.core.drain();
                continue;
            };
            self.bearer.released.insert(out.token.0);
            let confirm = port.service == Service::Rcop;
            return Some(AirPdu {
                token: out.token.0,
                port,
                to,
                priority: mt_priority(out.priority),
                ttl: out.expiry.since(now.wall).clamp(Duration::from_secs(1), TTL_MAX),
                octets: out.octets,
                repeats: if confirm { 0 } else { self.bearer.config.repeats.min(15) },
                confirm,
                to_client: false,
                expedited: false,
                conversation: false,
                // P_MUL numbers its PDUs itself: one that is lost holds up no other.
                ordered: false,
                segment: None,
            });
        }
    }

    fn air(&mut self, now: Now, event: AirEvent) {
        match event {
            AirEvent::Ready { mtu } => {
                self.bearer.ready = true;
                // What the node may do is said after this, when it may not.
                self.core.set_node_silent(now, false);
                self.core.engine.limit_pdus(now, mtu);
                self.core.set_up(Ok(()));
            }
            AirEvent::Lost(why) => {
                self.bearer.ready = false;
                self.core.set_up(Err(why));
            }
            AirEvent::Sent { token } => {
                if self.bearer.released.remove(&token) {
                    self.core.engine.pdu_left(now, Token(token));
                }
            }
            AirEvent::Confirmed { token } => {
                if self.bearer.released.remove(&token) {
                    self.core.engine.pdu_confirmed(now, Token(token));
                }
            }
            AirEvent::Rejected { token, reason } => {
                if self.bearer.released.remove(&token) {
                    self.core.notice(false, "pdu_rejected_by_node", format!("{reason}"));
                    self.core.engine.pdu_returned(now, Token(token), REJECTED_WAIT);
                }
            }
            AirEvent::Returned { token } => {
                if self.bearer.released.remove(&token) {
                    self.core.engine.pdu_returned(now, Token(token), Duration::ZERO);
                }
            }
            AirEvent::Arrived(arrival) => {
                let from = self.bearer.nodes.get(&arrival.source).copied();
                self.core.engine.handle_pdu(now, from, &arrival.octets);
            }
            AirEvent::Emission(status) => self.core.set_node_silent(now, !status.can_transmit()),
        }
        self.core.drain();
    }
}
