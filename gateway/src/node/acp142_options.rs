//! Parameters of ACP 142 for which the standard's own values are not known to us, or that a peer may want otherwise:
//! `[link.NAME.acp142]`. What is not said keeps the value of the engine, which goes by the rate where it is a time.

use serde::{Deserialize, Serialize};
use skywave_protocols::acp142::checksum::Checksum;
use skywave_protocols::acp142::config::EngineConfig;
use skywave_protocols::s5066::sis::fields::SapId;
use skywave_protocols::time::Duration;
use skywave_transports::acp142::{AirConfig, UdpConfig};

/// Connection ids of RCOP and UDOP have four bits.
pub(super) const CONNECTION_MAX: u8 = 15;
const NODE_REPEATS_MAX: u8 = 15;
const DSCP_MAX: u8 = 63;

/// The keys. Ranges of what the engine has are those of [`EngineConfig::mistakes`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Acp142Options {
    /// Checksum sent; both are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<ChecksumName>,
    /// Priority on the wire, from DEFERRED to OVERRIDE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priorities: Option<[u8; 6]>,
    /// MM: whether acknowledgements go before the last PDU of a round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_acks: Option<bool>,
    /// MM: missing numbers at which an early acknowledgement goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_max: Option<usize>,
    /// Each receiver waits for those that stand before it in the Address_PDU, so long for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_delay_seconds: Option<u64>,
    /// The longest such wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_delay_seconds_max: Option<u64>,
    /// Acknowledgements are gathered so long before one updated Address_PDU answers them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_window_seconds: Option<u64>,
    /// ACK_PDU_TIME: repeat of acknowledgements after leaving EMCON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_pdu_seconds: Option<u64>,
    /// How often they are repeated at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_pdu_repeats: Option<u32>,
    /// Repair rounds of one message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounds_max: Option<u32>,
    /// An incomplete message of which nothing was heard so long is reported to its sender; 0 never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_seconds: Option<u64>,
    /// How long Data_PDUs without Address_PDU are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orphan_validity_seconds: Option<u64>,
    /// Longest life believed of a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_seconds_max: Option<u64>,
    /// Clocks of sites may differ by so much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_grace_seconds: Option<u64>,
    /// Largest unit, both ways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_octets_max: Option<usize>,
    /// Whether Discard_Message_PDUs are obeyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obey_discards: Option<bool>,
    /// Whether PDUs are only taken when the medium names a site of the link as their sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_senders_only: Option<bool>,
    /// Code points of IP packets, from DEFERRED to OVERRIDE (`acp142_udp`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dscps: Option<[u8; 6]>,
    /// Whether anything goes by ARQ (`acp142_radio`, as all below).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arq: Option<bool>,
    /// SAP of what goes without ARQ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udop_sap: Option<u8>,
    /// SAP of what goes by ARQ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rcop_sap: Option<u8>,
    /// Connection id of what goes by ARQ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rcop_connection_id: Option<u8>,
    /// Application id of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_id: Option<u16>,
    /// Whether acknowledgements go by ARQ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acks_by_arq: Option<bool>,
    /// How often the node repeats what goes without ARQ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_repeats: Option<u8>,
}

/// A checksum by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChecksumName {
    /// ISO 8073.
    Fletcher,
    /// RFC 1071.
    Internet,
}

impl Acp142Options {
    /// Puts what is said in the place of what is usual.
    pub fn apply(&self, engine: &mut EngineConfig) {
        let checksum = self.checksum.map(|name| match name {
            ChecksumName::Fletcher => Checksum::Fletcher,
            ChecksumName::Internet => Checksum::Internet,
        });
        let seconds = Duration::from_secs;
        set(&mut engine.checksum, checksum);
        engine.priorities = self.priorities.or(engine.priorities);
        set(&mut engine.early_acks, self.early_acks);
        set(&mut engine.missing_max, self.missing_max);
        set(&mut engine.ack_delay_per_receiver, self.ack_delay_seconds.map(seconds));
        set(&mut engine.ack_delay_max, self.ack_delay_seconds_max.map(seconds));
        set(&mut engine.address_window, self.address_window_seconds.map(seconds));
        set(&mut engine.ack_pdu_time, self.ack_pdu_seconds.map(seconds));
        set(&mut engine.ack_pdu_repeats, self.ack_pdu_repeats);
        set(&mut engine.rounds_max, self.rounds_max);
        set(&mut engine.quiet, self.quiet_seconds.map(seconds));
        set(&mut engine.orphan_validity, self.orphan_validity_seconds.map(seconds));
        set(&mut engine.lifetime_max, self.lifetime_seconds_max.map(seconds));
        set(&mut engine.clock_grace, self.clock_grace_seconds.map(seconds));
        set(&mut engine.message_octets_max, self.unit_octets_max);
        set(&mut engine.obey_discards, self.obey_discards);
        set(&mut engine.known_senders_only, self.known_senders_only);
    }

    /// The same for what is the radio's alone.
    ///
    /// # Errors
    /// A key, and what is wrong with it.
    pub fn apply_to_air(&self, air: &mut AirConfig) -> Result<(), (&'static str, String)> {
        set(&mut air.arq, self.arq);
        let sap = |key, number: Option<u8>| match number.map(|number| (number, SapId::try_from(number))) {
            None => Ok(None),
            Some((1.., Ok(sap))) => Ok(Some(sap)),
            Some((other, _)) => Err((key, format!("cannot be {other}: 1 to 15"))),
        };
        set(&mut air.udop.sap, sap("udop_sap", self.udop_sap)?);
        set(&mut air.rcop.sap, sap("rcop_sap", self.rcop_sap)?);
        let at_most = |key, value: Option<u8>, most| match value {
            Some(value) if value > most => Err((key, format!("cannot be {value}: 0 to {most}"))),
            said => Ok(said),
        };
        let connection = at_most("rcop_connection_id", self.rcop_connection_id, CONNECTION_MAX)?;
        set(&mut air.rcop.connection, connection);
        set(&mut air.udop.application, self.application_id);
        set(&mut air.rcop.application, self.application_id);
        air.acks_by_arq = self.acks_by_arq.or(air.acks_by_arq);
        set(&mut air.repeats, at_most("node_repeats", self.node_repeats, NODE_REPEATS_MAX)?);
        Ok(())
    }

    /// The same for what is the IP network's alone.
    ///
    /// # Errors
    /// A key, and what is wrong with it.
    pub fn apply_to_udp(&self, udp: &mut UdpConfig) -> Result<(), (&'static str, String)> {
        if let Some(wrong) = self.dscps.iter().flatten().find(|&&point| point > DSCP_MAX) {
            return Err(("dscps", format!("cannot be {wrong}: 0 to {DSCP_MAX}")));
        }
        set(&mut udp.dscps, self.dscps);
        Ok(())
    }

    /// Whether anything goes by ARQ.
    pub fn uses_arq(&self) -> bool {
        self.arq != Some(false)
    }

    /// Whether it says how acknowledgements wait for each other; without they do by the rate.
    pub const fn says_ack_delay(&self) -> bool {
        self.ack_delay_seconds.is_some() || self.ack_delay_seconds_max.is_some()
    }
}

fn set<T>(place: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *place = said;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skywave_protocols::acp142::pdu::NodeId;

    /// Every key of the struct is in the table, and has its effect on the engine or on the use of the radio.
    #[test]
    fn each_key_has_its_effect() {
        let usual = (EngineConfig::new(NodeId(1)), AirConfig::new(), UdpConfig::new());
        let mut said = serde_json::Map::new();
        for line in [
            "checksum = \"internet\"",
            "priorities = [5, 4, 3, 2, 1, 0]",
            "early_acks = false",
            "missing_max = 9",
            "ack_delay_seconds = 9",
            "ack_delay_seconds_max = 9",
            "address_window_seconds = 9",
            "ack_pdu_seconds = 9",
            "ack_pdu_repeats = 9",
            "rounds_max = 9",
            "quiet_seconds = 9",
            "orphan_validity_seconds = 9",
            "lifetime_seconds_max = 9",
            "clock_grace_seconds = 9",
            "unit_octets_max = 900",
            "obey_discards = false",
            "known_senders_only = true",
            "dscps = [0, 0, 10, 18, 26, 46]",
            "arq = false",
            "udop_sap = 2",
            "rcop_sap = 2",
            "rcop_connection_id = 9",
            "application_id = 9",
            "acks_by_arq = false",
            "node_repeats = 2",
        ] {
            let options: Acp142Options = toml::from_str(line).unwrap();
            let (mut engine, mut air, mut udp) = usual.clone();
            options.apply(&mut engine);
            assert_eq!(options.apply_to_air(&mut air), Ok(()), "{line}");
            assert_eq!(options.apply_to_udp(&mut udp), Ok(()), "{line}");
            assert_eq!(engine.mistakes(), [], "{line}");
            assert!((engine, air, udp) != usual, "{line}");
            let written = serde_json::to_value(&options).unwrap();
            said.append(&mut written.as_object().unwrap().clone());
        }
        let error = toml::from_str::<Acp142Options>("x = 1").unwrap_err().to_string();
        let known = error.split('`').skip(3).step_by(2).map(str::to_owned);
        assert_eq!(said.keys().cloned().collect::<std::collections::BTreeSet<_>>(), known.collect(), "{error}");
    }

    #[test]
    fn what_a_radio_does_not_have_is_refused_with_its_key() {
        for (line, key) in [
            ("udop_sap = 0", "udop_sap"),
            ("rcop_sap = 16", "rcop_sap"),
            ("rcop_connection_id = 16", "rcop_connection_id"),
            ("node_repeats = 16", "node_repeats"),
        ] {
            let options: Acp142Options = toml::from_str(line).unwrap();
            assert_eq!(options.apply_to_air(&mut AirConfig::new()).unwrap_err().0, key, "{line}");
        }
        let options: Acp142Options = toml::from_str("dscps = [0, 0, 0, 0, 0, 64]").unwrap();
        assert_eq!(options.apply_to_udp(&mut UdpConfig::new()).unwrap_err().0, "dscps");
    }
}
