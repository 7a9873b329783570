//! A hard link held while data moves, for nodes that give up their soft links after a few seconds.
//!
//! Only towards one node at a time, as a node has one hard link at the most (fact sheet 1.10): with a second node in
//! the traffic the soft links of the node serve better, and nothing is asked for until that is over. The link is a
//! reservation (type 0), which all clients of both nodes share; it is let go when nothing moved for the idle time.

use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::sis::fields::{HardLink, HardLinkType, SapId};
use skywave_protocols::time::{Duration, Instant};

use super::limits::HOLD_AGAIN_WAIT;
use super::session::Session;

/// What the session with this number is to ask of the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    Establish { session: usize, node: NodeAddress },
    Terminate { session: usize, node: NodeAddress },
}

impl Order {
    /// Asks.
    //= s5066/HL-004
    pub(super) fn put(self, sessions: &mut [Session]) {
        let (Self::Establish { session, .. } | Self::Terminate { session, .. }) = self;
        let Some(session) = sessions.get_mut(session) else { return };
        match self {
            Self::Establish { node, .. } => {
                let remote_sap = SapId::from_low_bits(0);
                let link = HardLink { kind: HardLinkType::Reservation, priority: 0, remote_sap, node };
                session.client.establish_hard_link(link);
            }
            Self::Terminate { node, .. } => session.client.terminate_hard_link(node),
        }
    }
}

/// The machine.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    idle: Duration,
    /// With whom data moved last, and when.
    moved: Option<(NodeAddress, Instant)>,
    /// The session that has asked for a link, until it is let go.
    asked: Option<usize>,
    established: bool,
    /// Nothing is asked for before: it was refused or lost, or a second node was in the traffic.
    not_before: Instant,
}

impl Hold {
    /// Lets go after `idle` without data.
    pub(super) fn new(idle: Duration) -> Self {
        Self { idle, moved: None, asked: None, established: false, not_before: Instant::ZERO }
    }

    /// ARQ data is about to be handed down for a node. The order must reach the node before it.
    pub(super) fn sending(&mut self, now: Instant, session: usize, node: NodeAddress) -> Option<Order> {
        let let_go = self.heard(now, node);
        if let_go.is_some() || self.asked.is_some() || now < self.not_before {
            return let_go;
        }
        self.asked = Some(session);
        Some(Order::Establish { session, node })
    }

    /// ARQ data has come from a node.
    pub(super) fn heard(&mut self, now: Instant, node: NodeAddress) -> Option<Order> {
        let before = self.moved.replace((node, now)).filter(|&(other, _)| other != node);
        let (_, at) = before?;
        if at + self.idle > now {
            self.not_before = self.not_before.max(now + self.idle);
        }
        self.let_go(before.map(|(other, _)| other))
    }

    /// What is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<Order> {
        self.next().filter(|&at| at <= now)?;
        self.let_go(self.moved.map(|(node, _)| node))
    }

    /// When something is.
    pub(super) fn next(&self) -> Option<Instant> {
        self.asked.and(self.moved).map(|(_, at)| at + self.idle)
    }

    /// The node has made the link.
    pub(super) fn established(&mut self, node: NodeAddress) -> Option<Order> {
        self.established |= self.is_for(node);
        None
    }

    /// The node has refused it, or it has ended.
    pub(super) fn ended(&mut self, now: Instant, node: NodeAddress) -> Option<Order> {
        if self.is_for(node) {
            (self.asked, self.established) = (None, false);
            self.not_before = now + HOLD_AGAIN_WAIT;
        }
        None
    }

    /// A session ended, and with it whatever it had asked for.
    pub(super) fn session_ended(&mut self, session: usize) -> Option<Order> {
        if self.asked == Some(session) {
            (self.asked, self.established) = (None, false);
        }
        None
    }

    /// The node with which a link is held.
    pub(super) fn held(&self) -> Option<NodeAddress> {
        self.moved.filter(|_| self.established).map(|(node, _)| node)
    }

    fn is_for(&self, node: NodeAddress) -> bool {
        self.asked.is_some() && self.moved.is_some_and(|(other, _)| other == node)
    }

    fn let_go(&mut self, node: Option<NodeAddress>) -> Option<Order> {
        self.established = false;
        Some(Order::Terminate { session: self.asked.take()?, node: node? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(30);
    const NEAR: NodeAddress = NodeAddress::individual(2);
    const FAR: NodeAddress = NodeAddress::individual(3);

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn establish(node: NodeAddress) -> Option<Order> {
        Some(Order::Establish { session: 1, node })
    }

    fn terminate(node: NodeAddress) -> Option<Order> {
        Some(Order::Terminate { session: 1, node })
    }

    #[test]
    fn it_is_asked_for_once_held_while_data_moves_and_let_go() {
        let mut hold = Hold::new(IDLE);
        assert_eq!((hold.heard(at(0), NEAR), hold.next()), (None, None), "who only listens asks for nothing");
        assert_eq!(hold.sending(at(1), 1, NEAR), establish(NEAR));
        assert_eq!(hold.sending(at(2), 1, NEAR), None);
        assert_eq!(hold.held(), None);
        hold.established(NEAR);
        assert_eq!(hold.held(), Some(NEAR));
        assert_eq!(hold.heard(at(20), NEAR), None);
        assert_eq!((hold.due(at(49)), hold.next()), (None, Some(at(50))));
        assert_eq!((hold.due(at(50)), hold.next(), hold.held()), (terminate(NEAR), None, None));
        assert_eq!(hold.sending(at(51), 1, NEAR), establish(NEAR));
    }

    #[test]
    fn a_second_node_ends_it_and_none_is_asked_for_while_both_are_in_the_traffic() {
        let mut hold = Hold::new(IDLE);
        hold.sending(at(0), 1, NEAR);
        hold.established(NEAR);
        assert_eq!(hold.sending(at(1), 1, FAR), terminate(NEAR));
        assert_eq!(hold.sending(at(2), 1, NEAR), None);
        assert_eq!(hold.sending(at(20), 1, FAR), None);
        assert_eq!(hold.sending(at(49), 1, FAR), None);
        assert_eq!(hold.sending(at(50), 1, FAR), establish(FAR), "alone for the idle time");
    }

    #[test]
    fn a_refusal_is_not_answered_by_another_request_at_once() {
        let mut hold = Hold::new(IDLE);
        hold.sending(at(0), 1, NEAR);
        hold.ended(at(1), FAR);
        assert_eq!(hold.next(), Some(at(30)), "not ours");
        hold.ended(at(1), NEAR);
        assert_eq!((hold.next(), hold.sending(at(2), 1, NEAR)), (None, None));
        let again = at(1) + HOLD_AGAIN_WAIT;
        assert_eq!(hold.sending(again, 1, NEAR), establish(NEAR));
        hold.session_ended(0);
        assert!(hold.next().is_some(), "not its session");
        hold.session_ended(1);
        assert_eq!((hold.next(), hold.sending(again, 1, NEAR)), (None, establish(NEAR)));
    }
}
