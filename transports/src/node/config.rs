//! What a station is configured with: the defaults of all layers in one place.

use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::cas::CasConfig;
use skywave_protocols::s5066::node::dts::DtsConfig;
use skywave_protocols::s5066::node::dts::rate::Rate;
use skywave_protocols::s5066::node::sis_server::SisServerConfig;
use skywave_protocols::time::Duration;

use super::limits::{
    ANSWER_GUARD, CONTENTION_GUARD, DOUBLINGS_MAX, LINK_PDU_OCTETS, OPENING_SLOTS, OPENINGS_ALONE, SLOT_GUARD,
    SLOTS_URGENT, TURNS_FOR,
};
use crate::modem::Waveform;
use crate::modem::limits::TRANSMISSION_SECONDS_MAX;

/// Transmissions while others have data too: long against turns and preambles, and still what they can wait for.
const TRANSMISSION_SHARED_MAX: Duration = Duration::from_secs(30);

/// What a station is configured with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StationConfig {
    /// The clients' side, with the station's address.
    pub server: SisServerConfig,
    /// Groups it belongs to; all stations always belong to 31.255.255.255.
    pub groups: Vec<NodeAddress>,
    /// How links with other nodes are made.
    pub cas: CasConfig,
    /// The ARQ of D_PDUs; address, groups and rates are the station's own.
    pub arq: DtsConfig,
    /// Rates in bit/s that it may change to by what gets through to a node, slowest first; the modem's usual one should
    /// be among them. Empty: it keeps to that. Only with modems that find the rate of what they receive by themselves.
    pub rates: Vec<u32>,
    /// The place in `rates` to begin with.
    pub rate_first: usize,
    /// From the end of a reception to the start of an answer: 0.15 to 10 s.
    pub turnaround: Duration,
    /// An answer to data with ARQ is not ready before this has passed since the first of that data was heard.
    pub answer_delay: Duration,
    /// So long after the end of a transmission, turn and key-up, it leaves the channel free unless it was asked.
    pub idle_guard: Duration,
    /// An answer may be so much later than turnaround, answer delay and key-up before it counts as missing.
    pub answer_guard: Duration,
    /// Longest transmission, at most 127.5 s; at low rates one segment may take longer than a shorter one.
    pub transmission_max: Duration,
    /// Longest transmission while another station has data to send, and not mere acknowledgements.
    pub transmission_shared_max: Duration,
    /// It keeps radio silence from the start.
    pub emcon: bool,
    /// No more than two stations use the channel: they keep their turns for longer, until a third is heard. `None`: a
    /// simulator knows how many it has.
    pub two_only: Option<bool>,
    /// Clients may have as much waiting as two transmissions carry, where that is more than the server's own limit.
    pub queue_fits_rate: bool,
}

impl StationConfig {
    /// The usual values.
    pub fn new(address: NodeAddress) -> Self {
        Self {
            server: SisServerConfig::new(address),
            groups: Vec::new(),
            cas: CasConfig::new(address),
            arq: DtsConfig::new(address),
            rates: Vec::new(),
            rate_first: 0,
            turnaround: Duration::from_millis(200),
            answer_delay: Duration::ZERO,
            idle_guard: CONTENTION_GUARD,
            answer_guard: ANSWER_GUARD,
            transmission_max: TRANSMISSION_SECONDS_MAX,
            transmission_shared_max: TRANSMISSION_SHARED_MAX,
            emcon: false,
            two_only: None,
            queue_fits_rate: true,
        }
    }

    /// For how long two stations that are alone keep their turns.
    pub(super) fn turns_alone(&self) -> Duration {
        let opening = self.turnaround * 2 + self.answer_delay + OPENING_SLOTS;
        TURNS_FOR.max(opening * OPENINGS_ALONE)
    }

    /// From when a message about a link has left until its answer is there at the latest: somebody else has the channel
    /// first for as long as one may, and the answer goes at the slowest rate in the last slot of what is urgent.
    //= s5066/CAS-005
    pub(super) fn link_answer_longest(&self, usual: &Waveform) -> Duration {
        let slowest = self.rates.first().and_then(|&rate| usual.at_rate(rate).ok()).unwrap_or(*usual);
        let slots = u32::try_from(SLOTS_URGENT << DOUBLINGS_MAX).unwrap_or(u32::MAX);
        let before = TRANSMISSION_SECONDS_MAX + (slowest.key_up + SLOT_GUARD) * slots;
        before
            + self.idle_guard
            + self.turnaround * 2
            + self.answer_delay
            + slowest.airtime(LINK_PDU_OCTETS)
            + self.answer_guard
    }

    /// What the data transfer sublayer is configured with.
    pub(super) fn dts(&self) -> DtsConfig {
        DtsConfig {
            address: self.server.address,
            groups: self.groups.clone(),
            rates: self.rates.iter().copied().map(Rate).collect(),
            rate_first: self.rate_first,
            ..self.arq.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_arq_is_configured_with_reaches_it() {
        let address = NodeAddress::individual(7);
        let mut config = StationConfig::new(address);
        config.rates = vec![300, 600];
        (config.arq.window, config.arq.segment_octets_max, config.arq.retries) = (16, 200, Some(9));
        let dts = config.dts();
        assert_eq!((dts.window, dts.segment_octets_max, dts.retries), (16, 200, Some(9)));
        assert_eq!((dts.address, dts.rates), (address, vec![Rate(300), Rate(600)]));
    }
}
