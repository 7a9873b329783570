//! What the demonstration consists of: sites, sample messages, and what became of them. Pure; `cli::demo` runs it.
//!
//! Two sites, `hq.test` and `field.test`, and `ship.test` where the weather names it, send each other mail over one
//! simulated radio. While a routine message of 200 KB that no compression makes smaller is on the air, a FLASH is
//! submitted; it must arrive first. Meanwhile people at both sites chat through their XMPP servers.

pub mod chat;
pub mod ledger;
pub mod outcome;
pub mod samples;

use skywave_protocols::time::Duration;
use skywave_transports::modem::weather::Weather;

use crate::world::plan::{ChatPlan, Plan};

/// Rate of the radio when nobody says another, in bit/s.
pub const BITS_PER_SECOND: u32 = 1200;
/// How many times as fast time runs when nobody says otherwise.
pub const SPEED: u32 = 100;
/// After this time of the demonstration's clock what has not been delivered has failed.
pub const PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// The sites for a weather: those two, and those it adds.
pub fn plan(weather: &Weather) -> Plan {
    let mut names = vec!["hq".to_owned(), "field".to_owned()];
    names.extend(
        weather.stations.iter().map(|station| short(&station.name)).filter(|name| name != "hq" && name != "field"),
    );
    let silent = weather.emcon.iter().filter(|period| period.from.is_zero()).map(|period| short(&period.station));
    let addresses =
        weather.stations.iter().filter_map(|station| Some((short(&station.name), station.address.clone()?)));
    Plan {
        addresses: addresses.collect(),
        silent: silent.collect(),
        bits_per_second: weather.waveform.bits_per_second,
        turnaround: weather.turnaround,
        names,
        chat: Some(ChatPlan::default()),
        ..Plan::new(&[])
    }
}

/// `ship.test` → `ship`.
fn short(name: &str) -> String {
    name.strip_suffix(".test").unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weather_can_add_a_silent_ship() {
        let weather = Weather::parse(include_str!("../../examples/weather/silent-ship.toml")).unwrap();
        let plan = plan(&weather);
        assert_eq!(plan.names, ["hq", "field", "ship"]);
        assert_eq!(plan.silent, ["ship"]);
        assert_eq!(plan.bits_per_second, 1200);
    }
}
