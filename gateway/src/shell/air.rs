//! Where the stations of a process have their channel: in this process, or in another one that they joined.

use std::collections::BTreeMap;
use std::time::Duration as RealTime;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::{Random as _, Seeded};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::ClientId;
use skywave_protocols::time::{Duration, Now, Wakeup};
use skywave_transports::io::{PipeId, PipeOutput};
use skywave_transports::modem::channel::{OnAir, StationId};
use skywave_transports::modem::shared::guest::{GuestModem, Joining};
use skywave_transports::modem::shared::host::{GuestId, GuestOutput, Guests};
use skywave_transports::modem::shared::listening::Passed;
use skywave_transports::modem::shared::wire::Welcome;
use skywave_transports::node::Joined;
use skywave_transports::node::simulator::{Simulator, SimulatorStation};
use skywave_transports::node::{ClientInput, ClientOutput};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::random::OsRandom;

/// How long a host may take to say welcome.
const WELCOME_SECONDS_MAX: u64 = 30;
const READ_OCTETS: usize = 64 << 10;

/// The stations of this process and their way to the channel.
#[derive(Debug)]
pub(super) enum Air {
    /// The channel is here; stations of other processes are guests.
    Hosted {
        /// Our stations and the channel.
        simulator: Box<Simulator>,
        /// The others.
        guests: Guests,
    },
    /// The channel is in another process; each station has a pipe to it.
    Joined {
        /// Our stations.
        stations: Joined,
        /// Their pipes.
        pipes: BTreeMap<PipeId, StationId>,
    },
}

/// A frame for a capture.
#[derive(Debug)]
pub(super) struct Captured {
    /// When its first octet left; of one that was heard at a station that joined, when it was heard.
    pub at: Now,
    /// Whose it is, or who heard it.
    pub about: String,
    /// It.
    pub octets: Bytes,
}

/// Something for a pipe.
#[derive(Debug)]
pub(super) enum AirOutput {
    /// Of a client.
    Client(PipeId, ClientOutput),
    /// Of the other process.
    Peer(PipeId, PipeOutput),
}

impl Air {
    /// The channel is ours.
    pub(super) fn hosted(simulator: Simulator, speed: u32) -> Self {
        let welcome = Welcome { speed: speed.max(1), ..simulator.welcome() };
        let guests = Guests::new(welcome, simulator.stations().map(|(.., address)| address).collect());
        Self::Hosted { simulator: Box::new(simulator), guests }
    }

    /// The channel is at the other end of these pipes.
    pub(super) fn joined(stations: Vec<(SimulatorStation, GuestModem)>, pipes: BTreeMap<PipeId, StationId>) -> Self {
        Self::Joined { stations: Joined::new(stations, &Seeded::new(OsRandom.number())), pipes }
    }

    /// The number of the station of a site of this process.
    pub(super) fn station(&self, site: &str) -> Option<StationId> {
        match self {
            Self::Hosted { simulator, .. } => simulator.station(site),
            Self::Joined { stations, .. } => stations.station(site),
        }
    }

    pub(super) fn client_input(&mut self, now: Now, station: StationId, pipe: PipeId, input: ClientInput) {
        let client = ClientId(pipe.0);
        match self {
            Self::Hosted { simulator, .. } => simulator.client_input(now, station, client, input),
            Self::Joined { stations, .. } => stations.client_input(now, station, client, input),
        }
    }

    /// Another process connected to share the channel.
    pub(super) fn peer_accepted(&mut self, pipe: PipeId) {
        if let Self::Hosted { guests, .. } = self {
            guests.accepted(GuestId(pipe.0));
        }
    }

    /// Octets of the other process.
    ///
    /// # Errors
    /// In words: the host of the channel is of no more use.
    pub(super) fn peer_read(&mut self, now: Now, pipe: PipeId, octets: &Bytes) -> Result<(), String> {
        match self {
            Self::Hosted { simulator, guests } => {
                simulator.with_channel(now, |channel| guests.handle_read(now, GuestId(pipe.0), octets, channel));
                Ok(())
            }
            Self::Joined { stations, pipes } => match pipes.get(&pipe) {
                Some(&station) => stations.host_read(now, station, octets).map_err(|fault| fault.to_string()),
                None => Ok(()),
            },
        }
    }

    /// The connection to the other process is gone.
    ///
    /// # Errors
    /// In words: it was the host of the channel.
    pub(super) fn peer_closed(&mut self, now: Now, pipe: PipeId) -> Result<(), String> {
        match self {
            Self::Hosted { simulator, guests } => {
                simulator.with_channel(now, |channel| guests.closed(now, GuestId(pipe.0), channel));
                Ok(())
            }
            Self::Joined { .. } => Err("the process that hosts the radio is gone".to_owned()),
        }
    }

    pub(super) fn handle_wakeup(&mut self, now: Now) {
        match self {
            Self::Hosted { simulator, .. } => simulator.handle_wakeup(now),
            Self::Joined { stations, .. } => stations.handle_wakeup(now),
        }
    }

    pub(super) fn next_wakeup(&self) -> Option<Wakeup> {
        match self {
            Self::Hosted { simulator, .. } => simulator.next_wakeup(),
            Self::Joined { stations, .. } => stations.next_wakeup(),
        }
    }

    /// From now on nobody hears anybody for so long; only the host of the channel can order that.
    pub(super) fn add_outage(&mut self, now: Now, span: Duration) {
        match self {
            Self::Hosted { simulator, .. } => simulator.add_outage(now, span),
            Self::Joined { .. } => {}
        }
    }

    pub(super) fn describe(&self) -> serde_json::Value {
        match self {
            Self::Hosted { simulator, guests } => {
                let mut shown = simulator.describe();
                let guest = |(station, site): (StationId, &str)| serde_json::json!({ "site": site, "air": simulator.counters(station) });
                shown["guests"] = guests.stations().map(guest).collect();
                shown
            }
            Self::Joined { stations, .. } => stations.describe(),
        }
    }

    /// Frames are kept for captures from now on.
    pub(super) fn listen_in(&mut self) {
        match self {
            Self::Hosted { simulator, .. } => simulator.listen_in(),
            Self::Joined { stations, .. } => stations.listen_in(),
        }
    }

    /// The next frame that went on the air: the host of the channel tells all of them, who joined what its stations sent
    /// and heard.
    pub(super) fn poll_on_air(&mut self, now: Now) -> Option<Captured> {
        match self {
            Self::Hosted { simulator, guests } => {
                let (site, at, OnAir { station, bits_per_second, octets, .. }) = simulator.poll_on_air(now)?;
                let guest = || guests.stations().find(|(of, _)| *of == station).map(|(_, site)| site);
                let site = site.or_else(guest).unwrap_or("a process that has left");
                Some(Captured { at, about: format!("{site}, {bits_per_second} bit/s"), octets })
            }
            Self::Joined { stations, .. } => {
                let (site, at, passed) = stations.poll_passed(now)?;
                let (about, octets) = match passed {
                    Passed::Sent { bits_per_second, octets, .. } => {
                        (format!("{site}, {bits_per_second} bit/s"), octets)
                    }
                    Passed::Heard(octets) => (format!("heard by {site}"), octets),
                };
                Some(Captured { at, about, octets })
            }
        }
    }

    /// Takes along what happened on the channel; before [`Air::poll`].
    pub(super) fn settle(&mut self, now: Now) {
        if let Self::Hosted { simulator, guests } = self {
            simulator.with_channel(now, |channel| guests.pump(channel));
        }
    }

    /// The next output.
    pub(super) fn poll(&mut self) -> Option<AirOutput> {
        match self {
            Self::Hosted { simulator, guests } => {
                if let Some((_, client, output)) = simulator.poll() {
                    return Some(AirOutput::Client(PipeId(client.0), output));
                }
                let (guest, output) = guests.poll()?;
                let output = match output {
                    GuestOutput::Write(octets) => PipeOutput::Write(octets),
                    GuestOutput::Close(why) => {
                        tracing::info!("a process left the radio: {why}");
                        PipeOutput::Close
                    }
                };
                Some(AirOutput::Peer(PipeId(guest.0), output))
            }
            Self::Joined { stations, pipes } => {
                if let Some((_, client, output)) = stations.poll() {
                    return Some(AirOutput::Client(PipeId(client.0), output));
                }
                let (station, octets) = stations.poll_host()?;
                let pipe = pipes.iter().find(|(_, of)| **of == station).map(|(pipe, _)| *pipe)?;
                Some(AirOutput::Peer(pipe, PipeOutput::Write(octets)))
            }
        }
    }
}

/// Joins a channel in the name of a site whose station has this address.
///
/// # Errors
/// In words: nobody is there, or it does not want us.
pub(super) async fn join(host: &str, site: &str, address: NodeAddress) -> Result<(TcpStream, GuestModem), String> {
    let joining = async {
        let mut stream = TcpStream::connect(host).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        stream.write_all(&Joining::hello(site, address)).await.map_err(|error| error.to_string())?;
        let (mut joining, mut octets) = (Joining::default(), vec![0; READ_OCTETS]);
        loop {
            let read = stream.read(&mut octets).await.map_err(|error| error.to_string())?;
            if read == 0 {
                return Err("it hung up".to_owned());
            }
            let welcomed = joining.handle_read(octets.get(..read).unwrap_or_default());
            if let Some(modem) = welcomed.map_err(|fault| fault.to_string())? {
                return Ok((stream, modem));
            }
        }
    };
    let joined = tokio::time::timeout(RealTime::from_secs(WELCOME_SECONDS_MAX), joining).await;
    joined.unwrap_or_else(|_| Err("no welcome".to_owned())).map_err(|why| format!("{host}: {why}"))
}

#[cfg(test)]
mod tests {
    use skywave_transports::modem::Modem as _;
    use skywave_transports::modem::weather::Weather;
    use skywave_transports::node::StationConfig;

    use super::*;

    const PIPE: PipeId = PipeId(9);

    fn written(air: &mut Air) -> Vec<u8> {
        let octets = |output| match output {
            AirOutput::Peer(PIPE, PipeOutput::Write(octets)) => Some(octets.to_vec()),
            _other => None,
        };
        std::iter::from_fn(|| air.poll()).filter_map(octets).flatten().collect()
    }

    #[test]
    fn the_host_names_those_who_joined() {
        let station = |number: u32| SimulatorStation {
            name: format!("site-{number}.test"),
            config: StationConfig::new(NodeAddress::individual(number)),
        };
        let now = Now::default();
        let mut air = Air::hosted(Simulator::new(now, &Weather::default(), vec![station(1)]).unwrap(), 1);
        air.listen_in();
        air.peer_accepted(PIPE);
        air.peer_read(now, PIPE, &Joining::hello("guest.test", NodeAddress::individual(2))).unwrap();
        let mut guest = Joining::default().handle_read(&written(&mut air)).unwrap().unwrap();
        let waveform = guest.waveform();
        guest.transmit(now, &waveform, vec![Bytes::from_static(&[0x90, 0xeb, 0])]).unwrap();
        air.peer_read(now, PIPE, &guest.poll_write().unwrap()).unwrap();
        let later = now.after(Duration::from_secs(10));
        air.handle_wakeup(later);
        let told = air.poll_on_air(later).map(|captured| captured.about);
        assert_eq!(told.as_deref(), Some("guest.test, 1200 bit/s"));
    }
}
