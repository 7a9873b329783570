//! What is going to happen, in one order: by time, then by the sequence in which it was arranged.

use std::collections::BTreeMap;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::time::Instant;
use skywave_transports::io::PipeId;

use crate::node::Input;
use crate::node::seam::{Answer, HandOver, HandOverOutcome, Job, Number};

/// Something arranged.
#[derive(Debug)]
pub enum Happening {
    /// An input reaches a node, if that life of it still lasts.
    ToNode(Addressee, Input),
    /// The store of a site does its next work.
    StoreWorks(Addressee),
    /// A computation ends.
    ComputeEnds(Addressee, Number, Job),
    /// A converted or computed answer reaches the node.
    Computed(Addressee, Number, Answer),
    /// The local MTA reads a mail.
    MtaReads(Addressee, Number, Box<HandOver>),
    /// The local MTA's answer reaches the node.
    MtaAnswers(Addressee, Number, HandOverOutcome),
    /// Octets of a node reach the far end of a pipe.
    ToFarEnd(FarEnd, Bytes),
    /// A node closed a pipe.
    FarEndCloses(FarEnd),
    /// Octets of a far end reach a node.
    ToPipe(Addressee, PipeId, Bytes),
    /// A far end closed a pipe.
    PipeEnds(Addressee, PipeId, Option<String>),
    /// A client connects.
    ClientConnects(usize),
    /// A connection that a site opens reaches whoever listens at the target.
    PeerConnects(Addressee, PipeId, String),
    /// A site starts (again).
    SiteStarts(usize),
    /// Trouble of a site ends.
    Trouble(super::Trouble),
}

/// One life of a site.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Addressee {
    /// The site's index.
    pub site: usize,
    /// Which life.
    pub life: u32,
}

/// The far end of a pipe.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FarEnd {
    /// A session of the site's STANAG 5066 node.
    Radio(u64),
    /// A client of the world.
    Client(usize),
    /// A pipe of another site.
    Site(Addressee, PipeId),
    /// Nobody yet: it is being opened.
    Nobody,
    /// A connection to the site's XMPP server.
    Xmpp(u64),
}

/// The heap. See the module's page.
#[derive(Debug, Default)]
pub struct Heap {
    waiting: BTreeMap<(Instant, u64), Happening>,
    sequence: u64,
}

impl Heap {
    /// Arranges something.
    pub fn push(&mut self, at: Instant, happening: Happening) {
        self.sequence += 1;
        self.waiting.insert((at, self.sequence), happening);
    }

    /// When the next thing happens.
    pub fn next_at(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next thing.
    pub fn pop(&mut self) -> Option<Happening> {
        self.waiting.pop_first().map(|(_, happening)| happening)
    }

    /// Whether something waits that `wanted` says yes to.
    pub fn any(&self, wanted: impl Fn(&Happening) -> bool) -> bool {
        self.waiting.values().any(wanted)
    }
}
