//! What the file of `skywave node` says about a station's layers: `[station.NAME.link]`, `.arq` and `.sis`.
//!
//! These are the values that the standard names and leaves to configuration. A key that is not given leaves the layer's
//! own default, which is written where the layer is.

use std::ops::RangeInclusive;

use serde::Deserialize;
use skywave_protocols::s5066::node::cas::CasConfig;
use skywave_protocols::s5066::node::dts::DtsConfig;
use skywave_protocols::s5066::node::dts::limits::WINDOW_MAX;
use skywave_protocols::s5066::sis::fields::Rank;
use skywave_protocols::s5066::sis::limits::{KEEP_ALIVE_INTERVAL, MTU_OCTETS, MTU_OCTETS_MAX};
use skywave_protocols::time::Duration;
use skywave_transports::node::StationConfig;

use super::mistake::{Found, Key};

/// Waits for another node: none is worth more than an hour.
const WAIT_SECONDS: RangeInclusive<u64> = 1..=3_600;
/// Waits that may last a day.
const LONG_SECONDS: RangeInclusive<u64> = 1..=86_400;
/// How often something is said again.
const RETRIES: RangeInclusive<u64> = 0..=100;
/// Silences in a row after which a connection is lost: the first may have been a collision.
const SILENCES: RangeInclusive<u64> = 2..=1_000;
/// Frames of a window: a C_PDU has at most half of them, and the largest has three segments.
const WINDOW: RangeInclusive<u64> = 8..=WINDOW_MAX as u64;
/// Octets of a segment: no C_PDU of the largest MTU has more than 128.
const SEGMENT_OCTETS: RangeInclusive<u64> = 33..=1_023;
/// Octets that a C_PDU has besides its U_PDU.
const C_PDU_HEAD_OCTETS: u64 = 6;
/// How much later than turnaround and key-up an answer may be.
const ANSWER_GUARD_SECONDS: RangeInclusive<f64> = 0.1..=60.0;
/// Leading octets in a confirmation: with fewer, clients could not tell U_PDUs by them.
const RESPONSE_OCTETS: RangeInclusive<u64> = 8..=2_048;
/// Shortest interval of keep-alives, which is the standard's, and the longest.
const KEEP_ALIVE_SECONDS: RangeInclusive<u64> = KEEP_ALIVE_INTERVAL.as_secs()..=86_400;
/// Smallest MTU in octets: what UDOP, ACP 142 and a few recipients need.
const MTU_OCTETS_LEAST: u64 = 128;
/// Octets of one client that may wait: at least two U_PDUs of the largest size.
const QUEUE_OCTETS: RangeInclusive<u64> = 8_192..=16_777_216;
/// Expedited requests within the window.
const EXPEDITED: RangeInclusive<u64> = 1..=1_000_000;
/// Ranks.
const RANKS: RangeInclusive<u64> = 0..=15;

/// Making and ending links.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLink {
    /// An answer to a link request may take so long.
    request_wait_seconds: Option<u64>,
    /// So often the request is repeated.
    request_retries: Option<u64>,
    /// An answer to a break may take so long.
    break_wait_seconds: Option<u64>,
    /// So often the break is repeated.
    break_retries: Option<u64>,
    /// A link that the other node asked for ends when no data comes for so long.
    first_data_wait_seconds: Option<u64>,
    /// While others wait for a link, a soft link lasts so long at most.
    max_when_others_wait_seconds: Option<u64>,
    /// The side that was asked waits so long more before it ends a link.
    called_min_seconds: Option<u64>,
}

/// ARQ of D_PDUs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawArq {
    /// Frames in the air or unacknowledged.
    window: Option<u64>,
    /// Octets of a segment at most.
    segment_octets_max: Option<u64>,
    /// Octets of a segment at least where much is lost.
    segment_octets_min: Option<u64>,
    /// Missing answers in a row after which the connection is lost; never without.
    retries: Option<u64>,
    /// Missing answers to a reset after which the connection is lost.
    reset_retries: Option<u64>,
    /// Repetitions of a management message.
    management_retries: Option<u64>,
    /// An answer may be so much later than turnaround and key-up.
    answer_guard_seconds: Option<f64>,
}

/// The clients' side.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSis {
    /// Leading octets of a U_PDU in its confirmation.
    response_octets: Option<u64>,
    /// A client that was silent for so long is asked whether it lives; 0 never.
    keep_alive_seconds: Option<u64>,
    /// Largest U_PDU.
    mtu_octets: Option<u64>,
    /// Octets of one client that may wait before it is told to stop.
    queue_octets_max: Option<u64>,
    /// Expedited requests of one client within the window before it is unbound.
    expedited_max: Option<u64>,
    /// The window.
    expedited_window_seconds: Option<u64>,
    /// Highest rank that a client may bind with.
    rank_max: Option<u64>,
    /// Another node or a client may take so long to answer about a hard link.
    hard_link_wait_seconds: Option<u64>,
}

impl RawLink {
    pub(super) fn apply(&self, config: &mut CasConfig, key: &Key, found: &mut Found<'_>) {
        let mut table = Table { key, found };
        table.seconds("request_wait_seconds", self.request_wait_seconds, WAIT_SECONDS, &mut config.request_wait);
        table.number("request_retries", self.request_retries, RETRIES, &mut config.request_retries);
        table.seconds("break_wait_seconds", self.break_wait_seconds, WAIT_SECONDS, &mut config.break_wait);
        table.number("break_retries", self.break_retries, RETRIES, &mut config.break_retries);
        let (first, most) = (self.first_data_wait_seconds, self.max_when_others_wait_seconds);
        table.seconds("first_data_wait_seconds", first, LONG_SECONDS, &mut config.first_data_wait);
        table.seconds("max_when_others_wait_seconds", most, LONG_SECONDS, &mut config.soft_max_when_others_wait);
        table.seconds("called_min_seconds", self.called_min_seconds, LONG_SECONDS, &mut config.called_min);
    }
}

impl RawArq {
    /// After [`RawSis::apply`]: how large segments must be follows from the MTU.
    pub(super) fn apply(&self, config: &mut StationConfig, key: &Key, found: &mut Found<'_>) {
        let mtu = u64::from(config.server.mtu);
        let DtsConfig { window, segment_octets_max, segment_octets_min, .. } = &mut config.arq;
        let mut table = Table { key, found };
        table.number("window", self.window, WINDOW, window);
        let least = (mtu + C_PDU_HEAD_OCTETS).div_ceil(u64::from(*window / 2));
        let sizes = least.max(*SEGMENT_OCTETS.start())..=*SEGMENT_OCTETS.end();
        table.number("segment_octets_max", self.segment_octets_max, sizes, segment_octets_max);
        *segment_octets_min = (*segment_octets_min).min(*segment_octets_max);
        let sizes = *SEGMENT_OCTETS.start()..=*segment_octets_max as u64;
        table.number("segment_octets_min", self.segment_octets_min, sizes, segment_octets_min);
        let mut retries = 0;
        if table.number("retries", self.retries, SILENCES, &mut retries) {
            config.arq.retries = Some(retries);
        }
        table.number("reset_retries", self.reset_retries, RETRIES, &mut config.arq.reset_retries);
        table.number("management_retries", self.management_retries, RETRIES, &mut config.arq.management_retries);
        table.span("answer_guard_seconds", self.answer_guard_seconds, ANSWER_GUARD_SECONDS, &mut config.answer_guard);
    }
}

impl RawSis {
    pub(super) fn apply(&self, config: &mut StationConfig, key: &Key, found: &mut Found<'_>) {
        let server = &mut config.server;
        let mut table = Table { key, found };
        table.number("response_octets", self.response_octets, RESPONSE_OCTETS, &mut server.response_octets);
        let mut keep_alive = Duration::ZERO;
        if self.keep_alive_seconds == Some(0) {
            server.keep_alive = None;
        } else if table.seconds("keep_alive_seconds", self.keep_alive_seconds, KEEP_ALIVE_SECONDS, &mut keep_alive) {
            server.keep_alive = Some(keep_alive);
        }
        let mtu_most = if server.broadcast_only { MTU_OCTETS_MAX } else { MTU_OCTETS };
        table.number("mtu_octets", self.mtu_octets, MTU_OCTETS_LEAST..=mtu_most.into(), &mut server.mtu);
        if table.number("queue_octets_max", self.queue_octets_max, QUEUE_OCTETS, &mut server.queue_octets_max) {
            config.queue_fits_rate = false;
        }
        table.number("expedited_max", self.expedited_max, EXPEDITED, &mut server.expedited_max);
        let window = self.expedited_window_seconds;
        table.seconds("expedited_window_seconds", window, LONG_SECONDS, &mut server.expedited_window);
        let mut rank = 0;
        if table.number("rank_max", self.rank_max, RANKS, &mut rank) {
            server.rank_max = Rank::from_low_bits(rank);
        }
        let wait = self.hard_link_wait_seconds;
        table.seconds("hard_link_wait_seconds", wait, WAIT_SECONDS, &mut server.hard_link_wait);
    }
}

/// A sub-table whose values are checked one by one.
struct Table<'a, 'b> {
    key: &'a Key,
    found: &'a mut Found<'b>,
}

impl Table<'_, '_> {
    /// Puts a number that was given where it belongs; says whether it did.
    fn number<T>(&mut self, name: &str, given: Option<u64>, bounds: RangeInclusive<u64>, to: &mut T) -> bool
    where
        T: TryFrom<u64>,
    {
        let Some(given) = given else { return false };
        match T::try_from(given) {
            Ok(value) if bounds.contains(&given) => *to = value,
            Ok(_) | Err(_) => {
                let reason = format!("cannot be {given}: {} to {}", bounds.start(), bounds.end());
                self.found.wrong(&self.key.at(name), reason);
                return false;
            }
        }
        true
    }

    fn seconds(&mut self, name: &str, given: Option<u64>, bounds: RangeInclusive<u64>, to: &mut Duration) -> bool {
        let mut seconds = 0;
        let is_given = self.number(name, given, bounds, &mut seconds);
        if is_given {
            *to = Duration::from_secs(seconds);
        }
        is_given
    }

    /// The same with parts of seconds.
    fn span(&mut self, name: &str, given: Option<f64>, bounds: RangeInclusive<f64>, to: &mut Duration) {
        let Some(given) = given else { return };
        match Duration::try_from_secs_f64(given) {
            Ok(span) if bounds.contains(&given) => *to = span,
            Ok(_) | Err(_) => {
                let reason = format!("cannot be {given}: {} to {} s", bounds.start(), bounds.end());
                self.found.wrong(&self.key.at(name), reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Text;
    use super::super::mistake::Mistake;
    use super::super::stations::{self, Stations};
    use super::*;

    const LINK: &str = "[station.\"a.test\".link]\nrequest_wait_seconds = 150\nrequest_retries = 2\n\
                        break_wait_seconds = 140\nbreak_retries = 1\nfirst_data_wait_seconds = 130\n\
                        max_when_others_wait_seconds = 125\ncalled_min_seconds = 61\n";
    const ARQ: &str = "[station.\"a.test\".arq]\nwindow = 64\nsegment_octets_max = 200\nsegment_octets_min = 50\n\
                       retries = 12\nreset_retries = 4\nmanagement_retries = 5\nanswer_guard_seconds = 0.75\n";
    const SIS: &str = "[station.\"a.test\".sis]\nresponse_octets = 16\nkeep_alive_seconds = 180\nmtu_octets = 1500\n\
                       queue_octets_max = 10000\nexpedited_max = 9\nexpedited_window_seconds = 30\nrank_max = 14\n\
                       hard_link_wait_seconds = 45\n";

    fn loaded(tables: &str) -> Result<StationConfig, Vec<String>> {
        let text = format!("[station.\"a.test\"]\nlisten = \"127.0.0.1:1\"\naddress = \"1.1.0.1\"\n{tables}");
        let text = Text { file: "node.toml".to_owned(), text };
        let one = |mut all: Stations| all.stations.remove(0).station.config;
        let told = |all: Vec<Mistake>| all.iter().map(ToString::to_string).collect();
        stations::load(&text, |_| Err(Vec::new())).map(one).map_err(told)
    }

    #[test]
    fn what_the_standard_leaves_to_configuration_is_taken_from_the_file() {
        let config = loaded(&format!("{LINK}{ARQ}{SIS}")).unwrap();
        let mut wanted = StationConfig::new("1.1.0.1".parse().unwrap());
        let secs = Duration::from_secs;
        wanted.cas.request_wait = secs(150);
        wanted.cas.request_retries = 2;
        wanted.cas.break_wait = secs(140);
        wanted.cas.break_retries = 1;
        wanted.cas.first_data_wait = secs(130);
        wanted.cas.soft_max_when_others_wait = secs(125);
        wanted.cas.called_min = secs(61);
        (wanted.arq.window, wanted.arq.segment_octets_max, wanted.arq.segment_octets_min) = (64, 200, 50);
        (wanted.arq.retries, wanted.arq.reset_retries, wanted.arq.management_retries) = (Some(12), 4, 5);
        wanted.answer_guard = Duration::from_millis(750);
        (wanted.server.response_octets, wanted.server.keep_alive) = (16, Some(secs(180)));
        (wanted.server.mtu, wanted.server.queue_octets_max, wanted.queue_fits_rate) = (1500, 10_000, false);
        (wanted.server.expedited_max, wanted.server.expedited_window) = (9, secs(30));
        (wanted.server.rank_max, wanted.server.hard_link_wait) = (Rank::from_low_bits(14), secs(45));
        assert_eq!(config, wanted);
        let silent = loaded("[station.\"a.test\".sis]\nkeep_alive_seconds = 0\n").unwrap();
        assert_eq!(silent.server.keep_alive, None);
    }

    #[test]
    fn each_value_has_bounds_that_its_mistake_says() {
        let mut wrong = 0;
        for (table, text) in [("link", LINK), ("arq", ARQ), ("sis", SIS)] {
            for line in text.lines().skip(1) {
                let (name, _) = line.split_once(" = ").unwrap();
                for value in if name == "answer_guard_seconds" { ["61.5", "0.01"] } else { ["99999999", "7777777777"] }
                {
                    let found = loaded(&text.replace(line, &format!("{name} = {value}"))).unwrap_err();
                    let said = format!("station.\"a.test\".{table}.{name}: cannot be {value}: ");
                    assert!(found.len() == 1 && found[0].contains(&said) && found[0].contains(" to "), "{found:#?}");
                    wrong += 1;
                }
            }
        }
        assert_eq!(wrong, 2 * 22);
        let unknown = loaded("[station.\"a.test\".link]\nretries = 3\n").unwrap_err();
        assert!(unknown[0].contains("unknown field `retries`"), "{unknown:#?}");
    }

    #[test]
    fn a_segment_is_as_large_as_window_and_mtu_need() {
        let arq = |window: u16, octets: usize| {
            loaded(&format!("[station.\"a.test\".arq]\nwindow = {window}\nsegment_octets_max = {octets}\n"))
        };
        assert_eq!(arq(128, 33).unwrap().arq.segment_octets_min, 33);
        // 2048 octets of a U_PDU and 6 in four segments.
        assert_eq!(arq(8, 514).unwrap().arq.window, 8);
        assert!(arq(8, 513).unwrap_err()[0].ends_with("segment_octets_max: cannot be 513: 514 to 1023"));
        let general = loaded("[station.\"a.test\".sis]\nmtu_octets = 4096\n").unwrap_err();
        assert!(general[0].ends_with("mtu_octets: cannot be 4096: 128 to 2048"), "{general:#?}");
        assert!(loaded("broadcast_only = true\n[station.\"a.test\".sis]\nmtu_octets = 4000\n").is_ok());
    }
}
