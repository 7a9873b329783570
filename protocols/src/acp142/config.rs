//! The parameters of one link's engine, with the starting values for HF and their permitted ranges.

use std::collections::BTreeMap;

use super::checksum::Checksum;
use super::dynamic_group::GroupConfig;
use super::limits::{PDU_OCTETS_MAX, PDU_OCTETS_MIN};
use super::pdu::NodeId;
use super::quirks::Quirks;
use crate::message::precedence::Precedence;
use crate::time::Duration;

/// Octets of an acknowledgement with a short list.
const ACK_OCTETS_USUAL: usize = 64;
/// Time on air of a PDU whose size follows from the rate.
const PDU_SECONDS: usize = 6;
/// Smallest and largest such PDU in octets: headers must not eat the air; and with those of RCOP, S_PDU and C_PDU (12)
/// it fills five segments of a D_PDU of 200 octets at the lowest rates, and two of 1023 at the highest.
const PDU_OCTETS_BY_RATE: (usize, usize) = (988, 2_034);

/// Largest message, in octets.
pub const MESSAGE_OCTETS_USUAL: usize = 16 << 20;

/// The plans by precedence, from Deferred to Override: how soon, and how often, a site in EMCON is worth the air again.
pub const SILENT_USUAL: [SilentPlan; 6] =
    [plan(3600, 2), plan(3600, 2), plan(1800, 3), plan(1200, 3), plan(600, 4), plan(600, 4)];

const fn plan(seconds: u64, repeats: u32) -> SilentPlan {
    SilentPlan { interval: Duration::from_secs(seconds), repeats }
}

/// Plan of repetition towards receivers in EMCON, by precedence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SilentPlan {
    /// EMCON_RTI: time between full repeats.
    pub interval: Duration,
    /// EMCON_RTC: full repeats after the first sending.
    pub repeats: u32,
}

/// What carries the PDUs, as far as waiting times depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Medium {
    /// Its rate in bit/s, 1 or more.
    pub bits_per_second: u32,
    /// From the end of a transmission to the start of the answer.
    pub turnaround: Duration,
    /// What a short transmission takes besides its octets: contention, keying, preamble, padding. Zero on IP networks.
    pub burst: Duration,
    /// How long one station may keep the others from it. Zero on IP networks.
    pub transmission_max: Duration,
}

/// Parameters of an engine. Names in capitals are those of ACP 142.
#[derive(Clone, PartialEq, Debug)]
pub struct EngineConfig {
    /// Our own id.
    pub id: NodeId,
    /// MPDU_SIZE: largest PDU sent, 64 to 65,535 octets.
    pub pdu_octets_max: usize,
    /// The same for messages to one receiver that may answer, where the bearer carries those by ARQ: nothing is lost
    /// there, so that only headers count. `None`: as for all others.
    pub pdu_octets_arq: Option<usize>,
    /// Largest message taken from the gateway or assembled, in octets.
    pub message_octets_max: usize,
    /// Checksum sent.
    pub checksum: Checksum,
    /// The priority on the wire of each precedence, from Deferred to Override, descending; the same at all sites of a
    /// link. `None`: 6 − MT-PRIORITY (RFC 8494), which has numbers between those of the precedences too.
    pub priorities: Option<[u8; 6]>,
    /// ACK_RE-TRANSMISSION_TIME, 1 s to 1 day: from the moment the last PDU has left.
    pub ack_wait: Duration,
    /// Longest ACK_RE-TRANSMISSION_TIME after back-off.
    pub ack_wait_max: Duration,
    /// BACK-OFF_FACTOR in percent, 100 to 1,000.
    pub back_off_percent: u32,
    /// Repair rounds of one message; then only acknowledgement or expiry are waited for. 1 to 1,000.
    pub rounds_max: u32,
    /// Repeats towards receivers in EMCON, from Deferred to Override.
    pub silent: [SilentPlan; 6],
    /// MM: missing numbers at which an early acknowledgement goes, and values in one entry. 1 to 16,000.
    pub missing_max: usize,
    /// Whether acknowledgements go before the last PDU of a round (MM).
    pub early_acks: bool,
    /// ACK_PDU_TIME: repeat of acknowledgements after leaving EMCON.
    pub ack_pdu_time: Duration,
    /// How often they are repeated at most.
    pub ack_pdu_repeats: u32,
    /// Time for the acknowledgement of one receiver: each waits for those that stand before it in the Address_PDU, and a
    /// little more at random; the sender waits for all.
    pub ack_delay_per_receiver: Duration,
    /// The longest such delay.
    pub ack_delay_max: Duration,
    /// Acknowledgements are gathered so long before one updated Address_PDU answers them.
    pub address_window: Duration,
    /// An incomplete message of which nothing was heard so long is reported to its sender; zero never.
    pub quiet: Duration,
    /// "Delete Data_PDUs": how long Data_PDUs without Address_PDU are kept.
    pub orphan_validity: Duration,
    /// After a refusal with retry the message is offered again after so long.
    pub refuse_wait: Duration,
    /// Clocks may differ by so much.
    pub clock_grace: Duration,
    /// Longest life believed of a message.
    pub lifetime_max: Duration,
    /// Discard_Message_PDUs are obeyed. They are not authenticated.
    pub obey_discards: bool,
    /// PDUs are only taken when the bearer names the sender (see `Engine::handle_pdu`).
    pub known_senders_only: bool,
    /// The procedure that gives messages groups of their own, if it is used; its id is ours.
    pub groups: Option<GroupConfig>,
    /// Peers with quirks.
    pub quirks: BTreeMap<NodeId, Quirks>,
}

impl EngineConfig {
    /// The starting values for HF.
    pub fn new(id: NodeId) -> Self {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        Self {
            id,
            pdu_octets_max: 512,
            pdu_octets_arq: None,
            message_octets_max: MESSAGE_OCTETS_USUAL,
            checksum: Checksum::Fletcher,
            priorities: None,
            ack_wait: Duration::from_secs(120),
            ack_wait_max: Duration::from_secs(1800),
            back_off_percent: 150,
            rounds_max: 32,
            silent: SILENT_USUAL,
            missing_max: 64,
            early_acks: true,
            ack_pdu_time: Duration::from_secs(120),
            ack_pdu_repeats: 5,
            ack_delay_per_receiver: Duration::from_secs(5),
            ack_delay_max: Duration::from_secs(900),
            address_window: Duration::from_secs(15),
            quiet: Duration::from_secs(60),
            orphan_validity: hours(3),
            refuse_wait: Duration::from_secs(60),
            clock_grace: Duration::from_secs(300),
            lifetime_max: hours(24 * 30),
            obey_discards: true,
            known_senders_only: false,
            groups: None,
            quirks: BTreeMap::new(),
        }
    }

    /// A size of PDUs for a rate in bit/s: about [`PDU_SECONDS`] on air, so that an urgent one need not wait long for
    /// the one in front of it, and no larger than a STANAG 5066 node takes.
    pub fn pdu_octets_by_rate(bits_per_second: u32) -> usize {
        let octets = (bits_per_second as usize / 8).saturating_mul(PDU_SECONDS);
        octets.clamp(PDU_OCTETS_BY_RATE.0, PDU_OCTETS_BY_RATE.1)
    }

    /// A size of PDUs that go by ARQ: a STANAG 5066 node cuts them itself, and puts what is urgent between the parts. So
    /// it is the largest, whatever the rate; with the headers below (12) it fills two segments of a D_PDU of 1023 octets,
    /// or ten of 205 at the lowest rates.
    pub const fn pdu_octets_by_arq() -> usize {
        PDU_OCTETS_BY_RATE.1
    }

    /// Sets the waiting times from the medium.
    //= acp142/PMUL-063
    pub fn pace(&mut self, medium: &Medium) {
        let Medium { bits_per_second, turnaround, burst, transmission_max } = *medium;
        let air = |octets: usize| Duration::from_micros(octets as u64 * 8_000_000 / u64::from(bits_per_second.max(1)));
        let (pdu, ack) = (air(self.pdu_octets_max.max(self.pdu_octets_arq.unwrap_or(0))), air(ACK_OCTETS_USUAL));
        // Three PDUs may be lost in a row, or another station may have its turn, before silence means the end of a round.
        self.quiet = turnaround * 2 + burst * 2 + pdu * 3 + transmission_max;
        // The acknowledgement, and that of the node below for it.
        self.ack_delay_per_receiver = (burst + ack) * 2 + turnaround;
        let answer = turnaround * 4 + self.quiet + (burst + ack) * 2;
        // Fast media answer sooner than a busy machine does.
        self.ack_wait = answer.max(Duration::from_secs(1));
        self.ack_wait_max = self.ack_wait_max.max(self.ack_wait * 8);
        self.ack_pdu_time = self.ack_wait;
        self.address_window = turnaround + burst + ack * 2;
    }

    /// What is out of range: name of the parameter and why. Empty when all is well.
    pub fn mistakes(&self) -> Vec<(&'static str, String)> {
        let mut mistakes = Vec::new();
        let mut check = |name, good: bool, range: &str| {
            if !good {
                mistakes.push((name, format!("must be {range}")));
            }
        };
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        check("id", self.id != NodeId(0) && self.id != NodeId(u32::MAX), "neither 0 nor all ones");
        let sizes = PDU_OCTETS_MIN..=PDU_OCTETS_MAX;
        check("pdu_octets_max", sizes.contains(&self.pdu_octets_max), "64 to 65535 octets");
        check("pdu_octets_arq", self.pdu_octets_arq.is_none_or(|octets| sizes.contains(&octets)), "64 to 65535 octets");
        check("message_octets_max", (1..=32 << 20).contains(&self.message_octets_max), "1 octet to 32 MiB");
        let descends = |table: [u8; 6]| table.windows(2).all(|pair| pair[0] > pair[1]);
        check(
            "priorities",
            self.priorities.is_none_or(descends),
            "lower from each precedence to the next, OVERRIDE last",
        );
        check("ack_wait", (second..=day).contains(&self.ack_wait), "1 s to 1 day");
        check("ack_wait_max", self.ack_wait_max >= self.ack_wait, "at least ack_wait");
        check("back_off_percent", (100..=1000).contains(&self.back_off_percent), "100 to 1000");
        check("rounds_max", (1..=1000).contains(&self.rounds_max), "1 to 1000");
        check("missing_max", (1..=16_000).contains(&self.missing_max), "1 to 16000");
        check("ack_pdu_time", (second..=day).contains(&self.ack_pdu_time), "1 s to 1 day");
        let (week, year) = (day * 7, day * 365);
        let intervals = |plan: &SilentPlan| (second..=day * 30).contains(&plan.interval);
        check("silent", self.silent.iter().all(intervals), "1 s to 30 days");
        check("ack_pdu_repeats", self.ack_pdu_repeats <= 1000, "at most 1000");
        check("ack_delay_per_receiver", self.ack_delay_per_receiver <= day, "at most 1 day");
        check("ack_delay_max", self.ack_delay_max <= week, "at most 7 days");
        check("address_window", self.address_window <= day, "at most 1 day");
        check("quiet", self.quiet <= week, "at most 7 days");
        check("orphan_validity", (second..=year).contains(&self.orphan_validity), "1 s to 365 days");
        check("lifetime_max", (second..=year).contains(&self.lifetime_max), "1 s to 365 days");
        check("clock_grace", self.clock_grace <= day, "at most 1 day");
        check("refuse_wait", self.refuse_wait >= second, "1 s or more");
        mistakes
    }

    /// Octets of a fragment that fills a PDU, by whether the message goes to one receiver that may answer.
    pub fn fragment_octets(&self, by_arq: bool) -> usize {
        let octets = self.pdu_octets_arq.filter(|_| by_arq).unwrap_or(self.pdu_octets_max);
        octets.clamp(PDU_OCTETS_MIN, PDU_OCTETS_MAX) - super::limits::DATA_HEADER_OCTETS
    }

    /// The plan for receivers in EMCON at a P_MUL priority.
    pub fn silent_plan(&self, priority: u8) -> SilentPlan {
        self.silent[Precedence::from_p_mul(priority) as usize]
    }

    /// ACK_RE-TRANSMISSION_TIME × BACK-OFF_FACTOR^`round`.
    pub fn ack_wait_in(&self, round: u32) -> Duration {
        let factor = u64::from(self.back_off_percent);
        let start = u64::try_from(self.ack_wait.as_micros()).unwrap_or(u64::MAX);
        let wait = (0..round.min(64)).fold(start, |wait, _| (wait / 100).saturating_mul(factor));
        Duration::from_micros(wait).min(self.ack_wait_max)
    }

    /// The same, with time for the acknowledgements of so many receivers one after the other.
    pub fn ack_wait_for(&self, round: u32, receivers: usize) -> Duration {
        let others = u32::try_from(receivers.saturating_sub(1)).unwrap_or(u32::MAX);
        self.ack_wait_in(round) + self.ack_delay(others)
    }

    /// How long the acknowledgement waits of who has so many receivers before it.
    pub fn ack_delay(&self, before: u32) -> Duration {
        self.ack_delay_per_receiver.saturating_mul(before).min(self.ack_delay_max)
    }

    /// The quirks of a peer.
    pub fn quirks_of(&self, node: NodeId) -> Quirks {
        self.quirks.get(&node).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starting_values_are_in_range_and_mistakes_are_all_named() {
        let mut config = EngineConfig::new(NodeId(1));
        assert_eq!(config.mistakes(), []);
        let seconds = Duration::from_secs;
        let medium = |rate, burst| Medium {
            bits_per_second: rate,
            turnaround: seconds(10),
            burst: seconds(burst),
            transmission_max: seconds(120),
        };
        config.pace(&medium(75, 10));
        assert_eq!(config.mistakes(), []);
        config.pace(&medium(75, 0));
        config.id = NodeId(0);
        config.pdu_octets_max = 63;
        config.back_off_percent = 99;
        let names: Vec<_> = config.mistakes().iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["id", "pdu_octets_max", "back_off_percent"]);
    }

    #[test]
    fn waiting_grows_to_its_bound() {
        let config = EngineConfig::new(NodeId(1));
        let waits: Vec<u64> = [0, 1, 2, 60, 1000].iter().map(|&r| config.ack_wait_in(r).as_secs()).collect();
        assert_eq!(waits, [120, 180, 270, 1800, 1800]);
    }

    #[test]
    fn the_sender_waits_for_all_acknowledgements_one_after_the_other() {
        let config = EngineConfig::new(NodeId(1));
        let waits: Vec<u64> = [0, 1, 2, 11, 1000].iter().map(|&n| config.ack_wait_for(0, n).as_secs()).collect();
        assert_eq!(waits, [120, 120, 125, 170, 120 + 900]);
    }

    #[test]
    fn pdus_grow_with_the_rate_within_what_a_node_takes() {
        let sizes = [75, 300, 1200, 2400, 9600, u32::MAX].map(EngineConfig::pdu_octets_by_rate);
        assert_eq!(sizes, [988, 988, 988, 1800, 2034, 2034]);
    }
}
