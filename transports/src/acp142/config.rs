//! What is configured of such a link, whatever carries it.

use skywave_protocols::acp142::config::EngineConfig;
use skywave_protocols::acp142::pdu::NodeId;
use skywave_protocols::time::Duration;

use crate::transport::SiteName;

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
