//! One station's end of a simulated channel.

use skywave_protocols::bytes::Bytes;
use skywave_protocols::time::{Instant, Now, Wakeup};

use super::{Channel, StationId};
use crate::modem::{Modem, ModemEvent, ModemFault, Waveform};

/// The modem of one station of a simulated channel.
#[derive(Debug)]
pub struct Port<'a> {
    pub(super) channel: &'a mut Channel,
    pub(super) station: StationId,
}

impl Modem for Port<'_> {
    fn waveform(&self) -> Waveform {
        self.channel.config.waveform
    }

    fn carrier(&self) -> bool {
        self.channel.stations.get(&self.station).is_some_and(|receiver| !receiver.heard.is_empty())
    }

    fn heard(&self) -> Option<Waveform> {
        self.channel.heard(self.station)
    }

    fn transmitting(&self) -> bool {
        self.channel.stations.get(&self.station).is_some_and(|receiver| receiver.sending.is_some())
    }

    fn transmit(&mut self, now: Now, waveform: &Waveform, frames: Vec<Bytes>) -> Result<Instant, ModemFault> {
        self.channel.transmit(now, self.station, waveform, frames)
    }

    fn begun(&self, now: Now) -> Option<usize> {
        self.channel.begun(now, self.station)
    }

    fn replace(&mut self, now: Now, from: usize, frames: Vec<Bytes>) -> Result<Instant, ModemFault> {
        self.channel.replace(now, self.station, from, frames)
    }

    fn set_emcon(&mut self, now: Now, emcon: bool) {
        self.channel.set_emcon(now, self.station, emcon);
    }

    fn abort(&mut self, now: Now) {
        self.channel.abort(now, self.station);
    }

    fn handle_wakeup(&mut self, now: Now) {
        self.channel.handle_wakeup(now);
    }

    fn poll_event(&mut self) -> Option<ModemEvent> {
        self.channel.poll_event(self.station)
    }

    fn next_wakeup(&self) -> Option<Wakeup> {
        self.channel.next_wakeup()
    }
}
