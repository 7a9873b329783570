//! The modem of a station whose channel is in another process.

use std::collections::VecDeque;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::time::{Duration, Instant, Now, Wakeup};

use super::super::limits::EVENTS_WAITING_MAX;
use super::super::{Modem, ModemEvent, ModemFault, Waveform, fits, weigh};
use super::listening::{Listening, Passed};
use super::wire::{Message, SharedFault, Stream, Welcome};

/// A frame counts as begun so much earlier than by our own clock, times the speed: the host may have keyed later than we
/// said, never earlier.
const BEGUN_GUARD: Duration = Duration::from_millis(50);

/// One station's modem at a channel of another process. What [`GuestModem::poll_write`] gives goes to the host; what
/// comes from there goes to [`GuestModem::handle_read`].
#[derive(Debug)]
pub struct GuestModem {
    welcome: Welcome,
    stream: Stream,
    carrier: bool,
    last_number: u32,
    sending: Option<Sending>,
    listening: Listening,
    events: VecDeque<ModemEvent>,
    writes: VecDeque<Bytes>,
}

#[derive(Debug)]
struct Sending {
    number: u32,
    keyed: Instant,
    waveform: Waveform,
    /// Octets of each frame.
    frames: Vec<usize>,
    /// How often frames of it were replaced.
    replaced: u16,
}

impl Sending {
    fn end(&self) -> Instant {
        self.keyed + self.waveform.airtime(self.frames.iter().sum())
    }
}

/// A connection to a host that has not said welcome yet.
#[derive(Debug, Default)]
pub struct Joining {
    stream: Stream,
}

impl Joining {
    /// What to write first, in the name of a site whose station has this address.
    pub fn hello(site: &str, address: NodeAddress) -> Bytes {
        Message::Hello { site: site.to_owned(), address }.encode()
    }

    /// Takes octets of the host; the modem when it says welcome.
    ///
    /// # Errors
    /// [`SharedFault`]: it refuses, or is no host.
    pub fn handle_read(&mut self, octets: &[u8]) -> Result<Option<GuestModem>, SharedFault> {
        self.stream.add(octets);
        match self.stream.next_message()? {
            None => Ok(None),
            Some(Message::Welcome(welcome)) => {
                let stream = std::mem::take(&mut self.stream);
                let mut modem = GuestModem {
                    welcome,
                    stream,
                    carrier: false,
                    last_number: 0,
                    sending: None,
                    listening: Listening::default(),
                    events: VecDeque::new(),
                    writes: VecDeque::new(),
                };
                modem.handle_read(&[])?;
                Ok(Some(modem))
            }
            Some(Message::Goodbye(why)) => Err(SharedFault::Refused(why)),
            Some(_) => Err(SharedFault::OutOfTurn),
        }
    }
}

impl GuestModem {
    /// How the host's radio is.
    pub const fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Takes octets of the host. Its events are then at [`Modem::poll_event`].
    ///
    /// # Errors
    /// [`SharedFault`]: the connection is of no more use.
    pub fn handle_read(&mut self, octets: &[u8]) -> Result<(), SharedFault> {
        self.stream.add(octets);
        while let Some(message) = self.stream.next_message()? {
            match message {
                Message::Sent { number, replaced } => {
                    // Of one that we have stopped meanwhile nobody wants to know.
                    if let Some(sending) = self.sending.take_if(|sending| sending.number == number) {
                        if replaced < sending.replaced {
                            self.listening.kept(replaced);
                            self.event(ModemEvent::Kept(replaced));
                        }
                        self.listening.ended(None);
                        self.event(ModemEvent::Sent);
                    }
                }
                Message::Received(frame) => {
                    self.listening.heard(&frame);
                    self.event(ModemEvent::Received(frame));
                }
                Message::Carrier(on) if on != self.carrier => {
                    self.carrier = on;
                    self.event(if on { ModemEvent::CarrierOn } else { ModemEvent::CarrierOff });
                }
                Message::Carrier(_) => {}
                Message::Goodbye(why) => return Err(SharedFault::Refused(why)),
                Message::Hello { .. }
                | Message::Welcome(_)
                | Message::Transmit { .. }
                | Message::Replace { .. }
                | Message::Abort
                | Message::Emcon(_) => return Err(SharedFault::OutOfTurn),
            }
        }
        Ok(())
    }

    /// The next octets for the host.
    pub fn poll_write(&mut self) -> Option<Bytes> {
        self.writes.pop_front()
    }

    /// From now on what is sent and heard is kept for [`GuestModem::poll_passed`].
    pub fn listen_in(&mut self) {
        self.listening.begin();
    }

    /// The next frame that was sent or heard.
    pub fn poll_passed(&mut self) -> Option<Passed> {
        self.listening.poll()
    }

    /// Whether something was heard or sent that nobody has fetched.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    fn event(&mut self, event: ModemEvent) {
        if self.events.len() >= EVENTS_WAITING_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

impl Modem for GuestModem {
    fn waveform(&self) -> Waveform {
        self.welcome.waveform
    }

    fn carrier(&self) -> bool {
        self.carrier
    }

    fn heard(&self) -> Option<Waveform> {
        // The host says no more than that there is a carrier.
        None
    }

    fn transmitting(&self) -> bool {
        self.sending.is_some()
    }

    fn transmit(&mut self, now: Now, waveform: &Waveform, frames: Vec<Bytes>) -> Result<Instant, ModemFault> {
        if self.sending.is_some() {
            return Err(ModemFault::Transmitting);
        }
        weigh(waveform, &frames)?;
        self.last_number = self.last_number.wrapping_add(1);
        let (number, octets) = (self.last_number, frames.iter().map(Bytes::len).collect());
        let sending = Sending { number, keyed: now.mono, waveform: *waveform, frames: octets, replaced: 0 };
        let end = sending.end();
        self.sending = Some(sending);
        self.listening.keyed(now.mono, waveform, &frames);
        self.writes.push_back(Message::Transmit { number, waveform: *waveform, frames }.encode());
        Ok(end)
    }

    fn begun(&self, now: Now) -> Option<usize> {
        let sending = self.sending.as_ref()?;
        let on_air = now.mono.since(sending.keyed) + BEGUN_GUARD * self.welcome.speed;
        let mut before = 0;
        let begun = sending.frames.iter().take_while(|octets| {
            let begins = sending.waveform.begins(before);
            before += **octets;
            begins <= on_air
        });
        Some(begun.count())
    }

    fn replace(&mut self, now: Now, from: usize, frames: Vec<Bytes>) -> Result<Instant, ModemFault> {
        let begun = self.begun(now).ok_or(ModemFault::Begun)?;
        let sending = self.sending.as_mut().ok_or(ModemFault::Begun)?;
        let index = u16::try_from(from).map_err(|_| ModemFault::Begun)?;
        if from < begun || from >= sending.frames.len() || frames.iter().any(Bytes::is_empty) {
            return Err(ModemFault::Begun);
        }
        let octets = sending.frames.iter().take(from).copied().chain(frames.iter().map(Bytes::len)).collect();
        let changed = Sending { frames: octets, replaced: sending.replaced.saturating_add(1), ..*sending };
        let total: usize = changed.frames.iter().sum();
        if total == 0 {
            return Err(ModemFault::Empty);
        }
        fits(&changed.waveform, total, changed.frames.len())?;
        let (number, end) = (changed.number, changed.end());
        *sending = changed;
        self.listening.replaced(from, &frames);
        self.writes.push_back(Message::Replace { number, from: index, frames }.encode());
        Ok(end)
    }

    fn set_emcon(&mut self, _now: Now, emcon: bool) {
        self.writes.push_back(Message::Emcon(emcon).encode());
    }

    fn abort(&mut self, now: Now) {
        if self.sending.take().is_some() {
            self.listening.ended(Some(now.mono));
            self.writes.push_back(Message::Abort.encode());
        }
    }

    fn handle_wakeup(&mut self, _now: Now) {}

    fn poll_event(&mut self) -> Option<ModemEvent> {
        self.events.pop_front()
    }

    fn next_wakeup(&self) -> Option<Wakeup> {
        None
    }
}
