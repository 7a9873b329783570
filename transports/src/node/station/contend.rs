//! When a station takes the free channel: after everybody who was asked, in a slot drawn by lot.

use skywave_protocols::random::Random as _;
use skywave_protocols::time::{Duration, Instant, Now};

use super::super::limits::{
    DOUBLINGS_MAX, SLOT_GUARD, SLOTS_CLOSER, SLOTS_POLITE, SLOTS_QUIET, SLOTS_ROUTINE, SLOTS_URGENT,
};
use super::{Station, Timer};
use crate::modem::{Modem, Waveform};

impl Station {
    /// Before this instant nobody but who was asked begins to transmit.
    pub(super) fn contention_free(&self, waveform: &Waveform) -> Instant {
        // Who was answered and goes on owes nothing, and is ready after the turnaround.
        let delay = if self.answer_due { self.config.answer_delay } else { Duration::ZERO };
        self.idle_since + self.config.turnaround + delay + waveform.key_up + self.config.idle_guard
    }

    //= s5066/NODE-017
    pub(super) fn contend(&mut self, now: Now, modem: &dyn Modem) {
        let busy = self.emcon || self.flight.is_some() || self.awaiting.is_some() || modem.carrier();
        if busy || self.timers.is_set(Timer::Answer) {
            return self.timers.clear(Timer::Contend);
        }
        let Some(waiting) = self.stack.waiting(now) else { return self.timers.clear(Timer::Contend) };
        let (at, urgent) = (waiting.at.max(now.mono), waiting.urgent);
        let planned = self.timers.next().filter(|(timer, _)| *timer == Timer::Contend).map(|(_, planned)| planned);
        if planned.is_some_and(|planned| planned >= at) && (self.contending_urgently || !urgent) {
            return;
        }
        let waveform = modem.waveform();
        let slot = waveform.key_up + SLOT_GUARD;
        let free = self.contention_free(&waveform);
        // On a channel that nobody took for as long as somebody waits who waits, nobody waits.
        let is_quiet = at >= free + slot * SLOTS_QUIET;
        let slots = u32::try_from(self.draw_slots(now, urgent, is_quiet, at > free)).unwrap_or(u32::MAX);
        let slot_at = at.max(free) + slot * slots;
        self.contending_urgently = urgent;
        self.timers.set(Timer::Contend, planned.map_or(slot_at, |planned| planned.min(slot_at).max(at)));
    }

    /// `is_late`: what waits came when the channel was free already.
    fn draw_slots(&mut self, now: Now, urgent: bool, is_quiet: bool, is_late: bool) -> u64 {
        // Who ended the turns of two that are alone leaves the first slots to a partner that has more to say.
        let (partner, talks) = match self.heard.first_key_value() {
            Some((partner, heard)) => (Some(*partner), Self::talks(now, heard)),
            None => (None, false),
        };
        let alone = self.is_alone(now, partner);
        // Each of the two could have gone on when the last transmission ended, and had nothing to say: who has something
        // now meets the other by chance, if at all, and the same of them begins first.
        let is_calm = self.collisions == 0 && !self.closed_last && !self.answer_due;
        if let Some(partner) = partner.filter(|_| alone && is_calm && (is_late || !self.opened_last)) {
            return u64::from(self.address() > partner);
        }
        let window = if urgent { SLOTS_URGENT } else { SLOTS_ROUTINE } << self.collisions.min(DOUBLINGS_MAX);
        let leaves = if self.closed_last && talks && alone { SLOTS_CLOSER } else { 0 };
        let opened = match (alone, self.opened_last, self.took_part) {
            // Who had its turns leaves all that others may draw to those who had none.
            (false, _, true) => SLOTS_ROUTINE,
            (_, true, _) => SLOTS_POLITE,
            (_, false, _) => 0,
        };
        let polite = if urgent || is_quiet { 0 } else { SLOTS_POLITE + opened + leaves };
        polite + self.random.below(window)
    }
}
