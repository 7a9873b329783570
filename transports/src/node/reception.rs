//! The transmission that a station is hearing.

use std::collections::BTreeMap;

use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::time::Instant;

use super::asks::Kinds;
use crate::modem::Waveform;

/// What was made of the transmission that is being heard.
#[derive(Debug, Default)]
pub(super) struct Reception {
    pub(super) source: Option<NodeAddress>,
    /// It asks us for an answer.
    pub(super) asks_us: bool,
    /// It asks somebody else, whose turn is next.
    pub(super) asks_others: bool,
    /// What it answers of what we asked.
    pub(super) answers: Kinds,
    /// When the first D_PDU that asks us was heard.
    pub(super) asked_at: Option<Instant>,
    /// Octets of data in it, for whomever.
    pub(super) data_octets: usize,
    /// The next D_PDU began at this instant or later.
    pub(super) begun: Instant,
    /// Its mode, if the modem told it when its carrier came.
    pub(super) mode: Option<Waveform>,
    /// At which rate it goes, if it says so.
    pub(super) rate: Option<u32>,
    /// When it ends by what was heard last of each who transmits: not before, and for certain.
    pub(super) ends: BTreeMap<NodeAddress, (Instant, Instant)>,
}
