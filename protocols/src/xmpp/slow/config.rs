//! What both ends of a link agree on beforehand, and what a session is told of its medium.

use serde::{Deserialize, Serialize};

use super::limits::{
    ACK_DELAY, BLOCK_OCTETS_FAST, BLOCK_OCTETS_SLOW, BLOCK_TEXT_OCTETS_MAX, BLOCK_TEXT_OCTETS_MIN,
    FAST_BITS_PER_SECOND, LINGER, LINGER_OCTETS, LINGER_WRITTEN, RADIO_UNIT_OCTETS_MAX, REPEAT_AFTER, REQUEST_AFTER,
    REQUEST_STANZAS, SLOW_BITS_PER_SECOND, STANZA_OCTETS_MAX, UNIT_OCTETS_FULL, UNIT_OCTETS_MAX, WINDOW_BLOCKS_MAX,
};
use crate::time::Duration;

/// What is on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Exactly the XEPs: XEP-0361 on TCP, XEP-0365 0.2.1 on RCOP; zlib, stream management and dictionary as configured.
    Standard,
    /// The same as the guide of M-Link R17 configures it: one zlib stream, several stanzas to a unit.
    MLinkR17,
    /// Between two gateways of this house: `docs/adr/0022`.
    #[default]
    Skywave,
    /// Each stanza alone in a unit that needs no other, for ACP 142 to peers that cannot answer.
    Units,
}

/// How stream management (XEP-0198) begins on a link where nothing is negotiated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Management {
    /// Not used.
    #[default]
    Off,
    /// Both ends count from the first octet.
    Implicit,
    /// `<enable/>` is sent first, and not waited for.
    Explicit,
}

/// The configuration of one session.
#[derive(Clone, PartialEq, Debug)]
pub struct SlowConfig {
    /// What is on the wire.
    pub profile: Profile,
    /// Domains, users and rooms of both sites, for the dictionary; the same list at both ends.
    pub names: Vec<String>,
    /// `standard`: one zlib stream for each direction, from the first octet on.
    pub compress: bool,
    /// `standard`: the zlib stream begins with the common dictionary; only where both ends name it.
    pub dictionary: bool,
    /// `standard` on a medium without boundaries: stream management. Never on RCOP.
    pub management: Management,
    /// `standard`: one stanza to a unit.
    pub one_stanza_per_unit: bool,
    /// `skywave`: Flash and above in a context of their own, so that they never wait behind a block being repeated.
    pub two_contexts: bool,
    /// `skywave`: ids stay on their side; short references cross.
    pub short_ids: bool,
    /// How long an idle link waits for more stanzas before it sends a block; where nothing is said by the rate of the
    /// medium, and at most 20 ms once somebody wrote something. Not for Immediate and above.
    pub linger: Option<Duration>,
    /// Octets of text in a block; by the rate of the medium where nothing is said.
    pub block_octets_max: Option<usize>,
    /// Blocks of a context that may wait for an acknowledgement.
    pub window_blocks: usize,
    /// `skywave`: how long an acknowledgement waits for a block to ride on.
    pub ack_delay: Duration,
    /// `skywave`: when a block that was delivered and not acknowledged is repeated; doubles with each repeat.
    pub repeat_after: Duration,
    /// `standard`: stanzas after which the peer is asked for its count.
    pub request_stanzas: u32,
    /// `standard`: time after which the peer is asked for its count.
    pub request_after: Duration,
    /// Octets of one stanza.
    pub stanza_octets_max: usize,
}

impl SlowConfig {
    /// The defaults of a profile.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            names: Vec::new(),
            compress: matches!(profile, Profile::MLinkR17),
            dictionary: false,
            management: Management::Off,
            one_stanza_per_unit: matches!(profile, Profile::Standard),
            two_contexts: true,
            short_ids: true,
            linger: None,
            block_octets_max: None,
            window_blocks: WINDOW_BLOCKS_MAX,
            ack_delay: ACK_DELAY,
            repeat_after: REPEAT_AFTER,
            request_stanzas: REQUEST_STANZAS,
            request_after: REQUEST_AFTER,
            stanza_octets_max: STANZA_OCTETS_MAX,
        }
    }

    /// Octets of text for a block on this medium that surely fit into a unit: the smaller of what is wanted and what a
    /// unit takes.
    pub(super) fn block_octets(&self, medium: Medium) -> usize {
        // A unit that DEFLATE cannot make smaller grows by its header and a few octets for stored blocks.
        let by_unit = unit_octets(medium).saturating_sub(BLOCK_TEXT_OCTETS_MIN);
        self.block_octets_most(medium).min(by_unit.max(BLOCK_TEXT_OCTETS_MIN))
    }

    /// Octets of text for a block of which it is tried whether its unit is small enough.
    pub(super) fn block_octets_most(&self, medium: Medium) -> usize {
        let by_rate =
            if medium.bits_per_second <= SLOW_BITS_PER_SECOND { BLOCK_OCTETS_SLOW } else { BLOCK_OCTETS_FAST };
        self.block_octets_max.unwrap_or(by_rate).clamp(BLOCK_TEXT_OCTETS_MIN, BLOCK_TEXT_OCTETS_MAX)
    }

    /// How long an idle medium waits for more behind a stanza: as long as it would send [`LINGER_OCTETS`], so that a fast
    /// one hardly waits; and hardly where a person waits for what another wrote.
    pub(super) fn linger_on(&self, medium: Medium, is_written: bool) -> Duration {
        let most = if is_written { LINGER_WRITTEN } else { LINGER };
        let sending = LINGER_OCTETS * 8 * 1_000_000 / u64::from(medium.bits_per_second.max(1));
        self.linger.unwrap_or(Duration::from_micros(sending).min(most))
    }

    /// The largest stanza taken.
    pub(super) fn stanza_octets(&self) -> usize {
        self.stanza_octets_max.min(STANZA_OCTETS_MAX)
    }
}

/// Octets of a unit on this medium.
pub(super) fn unit_octets(medium: Medium) -> usize {
    let is_radio = medium.boundaries && medium.unit_octets_max <= RADIO_UNIT_OCTETS_MAX;
    medium.unit_octets_max.min(if is_radio { UNIT_OCTETS_FULL } else { UNIT_OCTETS_MAX })
}

/// What carries the units of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Medium {
    /// Whether a unit arrives as it was submitted; else octets arrive in order, cut anywhere.
    pub boundaries: bool,
    /// Octets of the largest unit.
    pub unit_octets_max: usize,
    /// The rate, for the size of blocks.
    pub bits_per_second: u32,
}

impl Medium {
    /// Whether it is so fast that octets cost less than the disk: what may be lost with a side does not wait for it there.
    pub(super) const fn is_fast(self) -> bool {
        !self.boundaries && self.bits_per_second >= FAST_BITS_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::is_written;
    use super::*;
    use crate::xmpp::Stanza;

    #[test]
    fn a_slow_medium_waits_for_more_and_a_fast_one_hardly() {
        let mut config = SlowConfig::new(Profile::Skywave);
        let medium = |bits_per_second| Medium { boundaries: false, unit_octets_max: 1_000, bits_per_second };
        let stanza = |text: &str| Stanza::parse(text.as_bytes()).unwrap();
        let presence = stanza("<presence from='anna@hq.test/a' to='bob@field.test'/>");
        let line =
            stanza("<message from='anna@hq.test/a' to='bob@field.test' type='chat'><body>hello</body></message>");
        let receipt = stanza(
            "<message from='anna@hq.test/a' to='bob@field.test/b'><received xmlns='urn:xmpp:receipts' id='1'/></message>",
        );
        for (bits_per_second, milliseconds, written) in
            [(0, 2_000, 20), (75, 2_000, 20), (1_200, 2_000, 20), (9_600, 250, 20), (1_000_000, 2, 2)]
        {
            let found =
                |stanza: &Stanza| config.linger_on(medium(bits_per_second), is_written(stanza)).as_micros() / 1_000;
            let all = [found(&presence), found(&receipt), found(&line)];
            assert_eq!(all, [milliseconds, milliseconds, written], "{bits_per_second}");
        }
        // What was configured holds for all of them.
        config.linger = Some(Duration::from_secs(5));
        for stanza in [&presence, &line] {
            assert_eq!(config.linger_on(medium(1_000_000), is_written(stanza)), Duration::from_secs(5));
        }
    }

    #[test]
    fn the_size_of_blocks_follows_rate_and_unit() {
        let mut config = SlowConfig::new(Profile::Skywave);
        let medium = |bits_per_second, unit_octets_max| Medium { boundaries: true, unit_octets_max, bits_per_second };
        assert_eq!(config.block_octets(medium(75, 100_000)), 2_048);
        assert_eq!(config.block_octets(medium(1_200, 100_000)), 8_192);
        assert_eq!(config.block_octets(medium(1_200, 1_064)), 1_000);
        assert_eq!(config.block_octets(medium(1_200, 0)), BLOCK_TEXT_OCTETS_MIN);
        config.block_octets_max = Some(1 << 20);
        assert_eq!(config.block_octets(medium(75, 1 << 20)), BLOCK_TEXT_OCTETS_MAX);
    }
}
