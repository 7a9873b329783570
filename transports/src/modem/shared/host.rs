//! The stations of other processes on the channel of this one.

use std::collections::{BTreeMap, VecDeque};

use skywave_protocols::bytes::Bytes;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::time::Now;

use super::super::channel::{Channel, StationId};
use super::super::limits::STATIONS_MAX;
use super::super::{Modem as _, ModemEvent};
use super::wire::{Message, SharedFault, Stream, Welcome};

/// The number of a guest's connection, from whoever moves its octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct GuestId(pub u64);

/// What a guest's connection is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GuestOutput {
    /// Write octets.
    Write(Bytes),
    /// Close after what was written has left; why, in words.
    Close(String),
}

/// A transmission of a guest.
#[derive(Clone, Copy, Debug)]
struct Sending {
    number: u32,
    /// Replacements that came in time.
    replaced: u16,
    /// One came too late: those after it count on it.
    is_kept: bool,
}

#[derive(Debug, Default)]
struct Guest {
    stream: Stream,
    /// From its hello on.
    station: Option<StationId>,
    site: String,
    address: Option<NodeAddress>,
    /// The transmission it believes to be in the air.
    sending: Option<Sending>,
    closing: bool,
}

/// All guests of a channel. After each input, and after anything happened on the channel, call [`Guests::pump`].
#[derive(Debug)]
pub struct Guests {
    /// What each is told, but for the number of its station and the time.
    welcome: Welcome,
    /// Addresses of the host's own stations.
    taken: Vec<NodeAddress>,
    guests: BTreeMap<GuestId, Guest>,
    outputs: VecDeque<(GuestId, GuestOutput)>,
}

impl Guests {
    /// Nobody yet. Guests get station numbers from that of `welcome` on, and may have no address of `taken`.
    pub const fn new(welcome: Welcome, taken: Vec<NodeAddress>) -> Self {
        Self { welcome, taken, guests: BTreeMap::new(), outputs: VecDeque::new() }
    }

    /// Somebody connected. Who says nothing takes a place too, so beyond [`STATIONS_MAX`] nobody is listened to.
    pub fn accepted(&mut self, guest: GuestId) {
        if self.guests.len() < STATIONS_MAX {
            self.guests.insert(guest, Guest::default());
        } else {
            self.turn_away(guest, &format!("{STATIONS_MAX} processes share the radio already"));
        }
    }

    /// Takes octets of a guest. A mistake of its ends its connection and its transmission.
    pub fn handle_read(&mut self, now: Now, id: GuestId, octets: &[u8], channel: &mut Channel) {
        let Some(guest) = self.guests.get_mut(&id).filter(|guest| !guest.closing) else { return };
        guest.stream.add(octets);
        loop {
            let next = self.guests.get_mut(&id).map_or(Ok(None), |guest| guest.stream.next_message());
            let done = match next {
                Ok(Some(message)) => self.take(now, id, message, channel),
                Ok(None) => return,
                Err(fault) => Err(fault),
            };
            if let Err(fault) = done {
                return self.dismiss(now, id, &fault.to_string(), channel);
            }
        }
    }

    /// A connection is gone, and its station with it.
    pub fn closed(&mut self, now: Now, id: GuestId, channel: &mut Channel) {
        if let Some(station) = self.guests.remove(&id).and_then(|guest| guest.station) {
            channel.detach(now, station);
        }
    }

    /// Tells every guest what its station heard.
    pub fn pump(&mut self, channel: &mut Channel) {
        for (&id, guest) in &mut self.guests {
            let Some(station) = guest.station else { continue };
            while let Some(event) = channel.poll_event(station) {
                let message = match event {
                    ModemEvent::Received(frame) => Message::Received(frame),
                    ModemEvent::CarrierOn => Message::Carrier(true),
                    ModemEvent::CarrierOff => Message::Carrier(false),
                    // Only said by a modem whose channel is elsewhere.
                    ModemEvent::Kept(_) => continue,
                    ModemEvent::Sent => match guest.sending.take() {
                        Some(Sending { number, replaced, .. }) => Message::Sent { number, replaced },
                        None => continue,
                    },
                };
                self.outputs.push_back((id, GuestOutput::Write(message.encode())));
            }
        }
    }

    /// The next output for a guest.
    pub fn poll(&mut self) -> Option<(GuestId, GuestOutput)> {
        self.outputs.pop_front()
    }

    /// The guests that have said hello: station and site.
    pub fn stations(&self) -> impl Iterator<Item = (StationId, &str)> + '_ {
        self.guests.values().filter_map(|guest| Some((guest.station?, guest.site.as_str())))
    }

    fn take(&mut self, now: Now, id: GuestId, message: Message, channel: &mut Channel) -> Result<(), SharedFault> {
        let Some(guest) = self.guests.get_mut(&id) else { return Ok(()) };
        match (message, guest.station) {
            (Message::Hello { site, address }, None) => self.on_hello(now, id, site, address, channel),
            (Message::Transmit { number, waveform, frames }, Some(station)) => {
                guest.sending = Some(Sending { number, replaced: 0, is_kept: false });
                if channel.transmit(now, station, &waveform, frames).is_err() {
                    guest.sending = None;
                    let sent = Message::Sent { number, replaced: 0 };
                    self.outputs.push_back((id, GuestOutput::Write(sent.encode())));
                }
                Ok(())
            }
            (Message::Replace { number, from, frames }, Some(station)) => {
                let sending = guest.sending.as_mut().filter(|sending| sending.number == number && !sending.is_kept);
                if let Some(sending) = sending {
                    // What cannot be replaced any more goes out as it was, and the guest is told when it has left.
                    match channel.replace(now, station, from.into(), frames) {
                        Ok(_) => sending.replaced = sending.replaced.saturating_add(1),
                        Err(_) => sending.is_kept = true,
                    }
                }
                Ok(())
            }
            (Message::Abort, Some(station)) => {
                guest.sending = None;
                channel.abort(now, station);
                Ok(())
            }
            (Message::Emcon(emcon), Some(station)) => {
                channel.set_emcon(now, station, emcon);
                Ok(())
            }
            (
                Message::Hello { .. }
                | Message::Welcome(_)
                | Message::Goodbye(_)
                | Message::Transmit { .. }
                | Message::Replace { .. }
                | Message::Abort
                | Message::Emcon(_)
                | Message::Sent { .. }
                | Message::Received(_)
                | Message::Carrier(_),
                _,
            ) => Err(SharedFault::OutOfTurn),
        }
    }

    fn on_hello(
        &mut self,
        now: Now,
        id: GuestId,
        site: String,
        address: NodeAddress,
        channel: &mut Channel,
    ) -> Result<(), SharedFault> {
        // Both would take what the other sends for forged.
        let has_it = |guest: &Guest| guest.station.is_some() && guest.address == Some(address);
        if self.taken.contains(&address) || self.guests.values().any(has_it) {
            return Err(SharedFault::Refused(format!("another station on this radio has the address {address}")));
        }
        let numbers = (self.welcome.station..).take(STATIONS_MAX);
        let station = numbers.map(StationId).find(|&station| channel.attach(station));
        let Some(station) = station else {
            return Err(SharedFault::Refused(format!("{STATIONS_MAX} stations are on the channel already")));
        };
        if let Some(guest) = self.guests.get_mut(&id) {
            (guest.station, guest.site, guest.address) = (Some(station), site, Some(address));
        }
        let welcome = Message::Welcome(Welcome { station: station.0, wall: now.wall, ..self.welcome.clone() });
        self.outputs.push_back((id, GuestOutput::Write(welcome.encode())));
        if channel.port(station).carrier() {
            self.outputs.push_back((id, GuestOutput::Write(Message::Carrier(true).encode())));
        }
        Ok(())
    }

    fn dismiss(&mut self, now: Now, id: GuestId, why: &str, channel: &mut Channel) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        guest.closing = true;
        if let Some(station) = guest.station.take() {
            channel.detach(now, station);
        }
        self.turn_away(id, why);
    }

    fn turn_away(&mut self, id: GuestId, why: &str) {
        self.outputs.push_back((id, GuestOutput::Write(Message::Goodbye(why.to_owned()).encode())));
        self.outputs.push_back((id, GuestOutput::Close(why.to_owned())));
    }
}
