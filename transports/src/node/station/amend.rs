//! What a transmission takes in while it is in the air: what is urgent, and before its first D_PDU all that has come.

use skywave_protocols::s5066::node::dpdu::DPdu;
use skywave_protocols::s5066::node::dts::Plan;
use skywave_protocols::time::Now;

use super::super::limits::REPLACEMENTS_MAX;
use super::super::{eot, segments};
use super::{Flight, Station, whom_they_ask};
use crate::modem::Modem;

impl Station {
    /// Something urgent waits while we transmit: what has not begun gives way to it, within the announced end.
    //= s5066/NODE-019
    pub(super) fn amend(&mut self, now: Now, modem: &mut dyn Modem) {
        // What was the last turn when it began stays so; the others take what is urgent to their end.
        let may = |flight: &&mut Flight| !flight.plan.acks_only && flight.asked_before.len() < REPLACEMENTS_MAX;
        let Some(flight) = self.flight.as_mut().filter(may) else { return };
        if modem.begun(now) == Some(0) {
            return self.begin_anew(now, modem);
        }
        if !self.stack.waiting(now).is_some_and(|waiting| waiting.urgent) {
            return;
        }
        let Some(from) = modem.begun(now).filter(|&from| from < flight.octets.len()) else { return };
        let waveform = flight.waveform;
        let before: usize = flight.octets.iter().take(from).sum();
        let plan = Plan {
            octets: waveform.octets_within(flight.airtime).saturating_sub(before),
            octets_most: waveform.octets_within(flight.airtime).saturating_sub(before),
            segment_octets: segments::octets(&waveform),
            block_octets: segments::block_octets(&waveform),
            repeated_segment_octets: segments::repeated_octets(&waveform),
            lead_octets: usize::MAX,
            lead_unless_octets: usize::MAX,
            partner: flight.asked.map(|(partner, _)| partner),
            arq_allowed: true,
            acks_only: false,
        };
        let Some(mut pdus) = self.stack.amend(now, from, &plan) else { return };
        flight.asked_before.push(flight.asked);
        flight.octets.truncate(from);
        flight.octets.extend(pdus.iter().map(DPdu::octets));
        flight.asked = match (flight.asked, whom_they_ask(&pdus)) {
            (Some((partner, kinds)), Some((other, more))) if partner == other => Some((partner, kinds.and(more))),
            // What asked the former partner has not begun, or the new end asks nobody.
            (former, new) => new.or(former),
        };
        let airtime = waveform.airtime(flight.octets.iter().sum());
        eot::announce(&waveform, airtime, before, &mut pdus);
        if modem.replace(now, from, pdus.iter().map(DPdu::encode).collect()).is_err() {
            // Not for a modem that has just said what has begun: the old frames go on, and count as not sent.
            self.stack.cut_off(now, from);
        }
    }

    /// What comes during key-up and preamble goes with the transmission: nothing was announced yet, so that it is put
    /// together anew.
    fn begin_anew(&mut self, now: Now, modem: &mut dyn Modem) {
        let handed_down = self.stack.handed_down();
        let Some(flight) = self.flight.as_mut().filter(|flight| flight.handed_down != handed_down) else { return };
        flight.handed_down = handed_down;
        flight.asked_before.push(flight.asked);
        let mut pdus = self.stack.compose_anew(now, &flight.plan);
        flight.octets = pdus.iter().map(DPdu::octets).collect();
        flight.airtime = flight.waveform.airtime(flight.octets.iter().sum());
        flight.asked = whom_they_ask(&pdus);
        eot::announce(&flight.waveform, flight.airtime, 0, &mut pdus);
        if modem.replace(now, 0, pdus.iter().map(DPdu::encode).collect()).is_err() {
            // Not for a modem that has just said that nothing has begun.
            modem.abort(now);
            self.flight = None;
            self.stack.cut_off(now, 0);
        }
    }

    /// The modem took only so many of the replacements: what they left is what has been on the air.
    pub(super) fn on_kept(&mut self, replaced: usize) {
        let Some(flight) = &mut self.flight else { return };
        if let Some(&asked) = flight.asked_before.get(replaced) {
            flight.asked = asked;
            self.stack.kept(replaced);
        }
    }
}
