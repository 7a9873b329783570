//! What is configured of such a link, whatever carries it.

use skywave_protocols::acp142::config::{EngineConfig, Medium};
use skywave_protocols::acp142::pdu::NodeId;
use skywave_protocols::time::Duration;

use crate::modem::{Interleaver, Waveform};
use crate::transport::SiteName;

/// The shortest transmission of a waveform that is not known.
const SHORT_TRANSMISSION: Duration = Duration::from_millis(1500);
/// How long stations transmit in one go while others have data too; our own node does.
pub const TRANSMISSION_USUAL: Duration = Duration::from_secs(30);

/// A radio, as far as the engine's waiting times depend on it: at a rate in bit/s, with the short interleaver.
pub fn radio_medium(bits_per_second: u32, turnaround: Duration) -> Medium {
    let waveform = Waveform::new(bits_per_second, Interleaver::Short);
    let short = waveform.map_or(SHORT_TRANSMISSION, |waveform| waveform.airtime(0));
    // Who contends for the channel waits for the answer to somebody else, and for slots.
    Medium { bits_per_second, turnaround, burst: short + turnaround * 2, transmission_max: TRANSMISSION_USUAL }
}

/// An IP network at a rate in bit/s.
pub fn ip_medium(bits_per_second: u32, turnaround: Duration) -> Medium {
    Medium { bits_per_second, turnaround, burst: Duration::ZERO, transmission_max: Duration::ZERO }
}

/// A site on the link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    /// Its name.
    pub name: SiteName,
    /// Its P_MUL id.
    pub id: NodeId,
    /// In EMCON by plan: it receives and does not answer.
    pub silent: bool,
}

/// A fixed multicast group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Group {
    /// Its members; units to several sites go to members only.
    pub members: Vec<SiteName>,
}

/// The core's configuration. Quirks of sites stand in `engine.quirks`, by id.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// Engine parameters, our own id among them.
    pub engine: EngineConfig,
    /// The other sites.
    pub sites: Vec<Site>,
    /// The group, if there is one; its address is the bearer's.
    pub group: Option<Group>,
    /// Rate of the medium in bit/s, 1 or more.
    pub bits_per_second: u32,
    /// Time to turn it around.
    pub turnaround: Duration,
}

impl Config {
    /// What is wrong: key and why. Empty when all is well.
    pub fn mistakes(&self) -> Vec<(String, String)> {
        let engine = self.engine.mistakes().into_iter().map(|(key, why)| (format!("engine.{key}"), why));
        let mut mistakes: Vec<(String, String)> = engine.collect();
        let mut wrong = |key: &str, why: String| mistakes.push((key.to_owned(), why));
        for (index, site) in self.sites.iter().enumerate() {
            let before = &self.sites[..index];
            if site.id == self.engine.id {
                wrong("sites", format!("{} has our own id {}", site.name, site.id));
            }
            if before.iter().any(|other| other.id == site.id || other.name == site.name) {
                wrong("sites", format!("{} {} stands there twice", site.name, site.id));
            }
        }
        for member in self.group.iter().flat_map(|group| &group.members) {
            if !self.sites.iter().any(|site| site.name == *member) {
                wrong("group.members", format!("{member} is no site of this link"));
            }
        }
        if self.bits_per_second == 0 {
            wrong("bits_per_second", "must be 1 or more".to_owned());
        }
        mistakes
    }
}
