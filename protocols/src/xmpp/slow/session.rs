//! One session for each far peer and link: the four profiles behind one face.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::config::{Medium, Profile, SlowConfig};
use super::skywave::Skywave;
use super::standard::Standard;
use super::units::Units;
use crate::bytes::Bytes;
use crate::message::precedence::MtPriority;
use crate::random::Random;
use crate::time::{Now, Wakeup, WallTime};
use crate::xmpp::Stanza;

/// A stanza for the peer.
#[derive(Clone, PartialEq, Debug)]
pub struct Outgoing {
    /// The gateway's row: unique for ever. Submitted again after a restart, it is known.
    pub number: u64,
    /// Decides the order, and whether it waits at all.
    pub priority: MtPriority,
    /// Stanzas with different numbers never share a compression context; 0 for no label, at most 127.
    pub label_context: u8,
    /// When the sender gave it to the gateway.
    pub since: WallTime,
    /// The stanza.
    pub stanza: Stanza,
}

/// How certain it is that the peer has a stanza.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirmation {
    /// The medium took it.
    Written,
    /// The peer's node, or its transport, has it: not its disk.
    NodeConfirmed,
    /// The peer has taken responsibility: it is on its disk (`skywave`, `units`), or counted (XEP-0198).
    PeerStored,
}

/// What a session wants done.
#[derive(Clone, PartialEq, Debug)]
pub enum SlowOutput {
    /// To the transport; answered by [`Session::unit_delivered`] or [`Session::unit_failed`].
    Unit {
        /// Its number.
        unit: u64,
        /// The highest of what it carries.
        priority: MtPriority,
        /// Units of different contexts may overtake each other.
        context: u16,
        /// The octets.
        content: Bytes,
    },
    /// One batch for the store: records of the session and stanzas that arrived with them; answered by
    /// [`Session::stored`], [`Session::store_failed`] or [`Session::hold_back`]. At most one is open at a time.
    Save {
        /// Its number.
        save: u64,
        /// Keys and values; nothing to delete a key.
        changes: Vec<(Vec<u8>, Option<Bytes>)>,
        /// In the order in which they are to be handed on.
        arrived: Vec<Stanza>,
    },
    /// Records for the very batch in which the rows of [`Session::submit_joined`] are saved: the block that they make has
    /// left already. Not answered, but by [`Session::save_again`] if that batch is not stored.
    Beside {
        /// Keys and values.
        changes: Vec<(Vec<u8>, Option<Bytes>)>,
    },
    /// Stanzas that do no harm when they come twice, before they are on the disk: a crash repeats them. They come after
    /// everything that was yielded before, and nothing that waits for the disk is before them.
    Early {
        /// In the order in which they are to be handed on.
        arrived: Vec<Stanza>,
    },
    /// The gateway may delete its row.
    Done {
        /// The row.
        number: u64,
        /// How certain it is.
        how: Confirmation,
    },
    /// The row can never cross here: to be bounced.
    Refused {
        /// The row.
        number: u64,
        /// Why.
        why: super::SlowFault,
    },
    /// The medium must begin anew (TCP: close and open).
    Restart,
    /// For the operator.
    Notice {
        /// Which.
        name: &'static str,
        /// Whether somebody must look.
        alarm: bool,
        /// In words; never the text of a stanza.
        detail: String,
    },
    /// What a unit carried, for the console.
    Counted {
        /// Stanzas.
        stanzas: usize,
        /// Their octets before anything was done.
        octets_raw: usize,
        /// Octets handed to the transport.
        octets_sent: usize,
    },
}

/// A session. Every input may be followed by outputs: call [`Session::poll`] until it yields nothing, then ask for
/// [`Session::next_wakeup`].
pub struct Session {
    profile: Inner,
    /// How often each notice was to be told.
    noticed: BTreeMap<&'static str, u64>,
}

/// Notices about ourselves: no peer can cause them, and each counts.
const OURS: [&str; 2] = ["chat-records-unreadable", "chat-batch-not-saved"];

enum Inner {
    Skywave(Box<Skywave>),
    Standard(Box<Standard>),
    Units(Box<Units>),
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

macro_rules! each {
    ($session:expr, $inner:ident => $call:expr) => {
        match &mut $session.profile {
            Inner::Skywave($inner) => $call,
            Inner::Standard($inner) => $call,
            Inner::Units($inner) => $call,
        }
    };
}

impl Session {
    /// A session that knows nothing of earlier ones; [`Session::restore`] comes next where there are records.
    pub fn new(config: SlowConfig, random: Box<dyn Random>) -> Self {
        let profile = match config.profile {
            Profile::Skywave => Inner::Skywave(Box::new(Skywave::new(config, random))),
            Profile::Standard | Profile::MLinkR17 => Inner::Standard(Box::new(Standard::new(config))),
            Profile::Units => Inner::Units(Box::new(Units::new(config))),
        };
        Self { profile, noticed: BTreeMap::new() }
    }

    /// The session's own records, as [`SlowOutput::Save`] gave them, before anything else.
    pub fn restore(&mut self, now: Now, rows: Vec<(Vec<u8>, Bytes)>) {
        match &mut self.profile {
            Inner::Skywave(session) => session.restore(now, rows),
            Inner::Units(session) => session.restore(rows),
            // It keeps nothing: the gateway submits its rows again.
            Inner::Standard(_) => {}
        }
    }

    /// Behind [`Session::restore`] and the first submissions: forgets what it remembers of stanzas that are gone.
    pub fn forget(&mut self, now: Now, is_gone: impl Fn(u64) -> bool) {
        match &mut self.profile {
            Inner::Units(session) => session.forget(now, is_gone),
            // Its records are those of the stream; that one has none.
            Inner::Skywave(_) | Inner::Standard(_) => {}
        }
    }

    /// Takes a stanza for the peer.
    pub fn submit(&mut self, now: Now, outgoing: Outgoing) {
        each!(self, session => session.submit(now, outgoing));
    }

    /// Whether stanzas may leave while their rows are being saved: over a fast stream, in blocks of our own.
    pub fn takes_joined(&self) -> bool {
        match &self.profile {
            Inner::Skywave(session) => session.takes_joined(),
            Inner::Standard(_) | Inner::Units(_) => false,
        }
    }

    /// Takes stanzas whose rows are saved with everything that this brings about, as one batch: where
    /// [`Session::takes_joined`] they may leave at once.
    //= xmpp/SLOW-034
    pub fn submit_joined(&mut self, now: Now, joined: Vec<Outgoing>) {
        match &mut self.profile {
            Inner::Skywave(session) => session.submit_joined(now, joined),
            Inner::Standard(_) | Inner::Units(_) => joined.into_iter().for_each(|outgoing| self.submit(now, outgoing)),
        }
    }

    /// The batch with records that were yielded as [`SlowOutput::Beside`] is not stored: they are saved with the next one.
    pub fn save_again(&mut self, now: Now, changes: Vec<(Vec<u8>, Option<Bytes>)>) {
        match &mut self.profile {
            Inner::Skywave(session) => session.save_again(now, changes),
            // They yield none.
            Inner::Standard(_) | Inner::Units(_) => {}
        }
    }

    /// Whether a [`SlowOutput::Save`] is open, or will come by itself: what leaves is not all on the disk.
    pub fn has_to_save(&self) -> bool {
        match &self.profile {
            Inner::Skywave(session) => session.has_to_save(),
            Inner::Standard(_) | Inner::Units(_) => false,
        }
    }

    /// Takes a stanza back; false when it is in a unit already, or unknown.
    pub fn withdraw(&mut self, number: u64) -> bool {
        each!(self, session => session.withdraw(number))
    }

    /// Whether a stanza is in one of its units, or was lately.
    pub fn knows(&self, number: u64) -> bool {
        match &self.profile {
            Inner::Skywave(session) => session.knows(number),
            Inner::Units(session) => session.knows(number),
            // It remembers nothing of an earlier run, and gives back what is in no unit.
            Inner::Standard(_) => false,
        }
    }

    /// The medium can be used, from its beginning.
    pub fn medium_up(&mut self, now: Now, medium: Medium) {
        each!(self, session => session.medium_up(now, medium));
    }

    /// The medium is lost, and what was on it may be.
    pub fn medium_down(&mut self, now: Now) {
        each!(self, session => session.medium_down(now));
    }

    /// How much the medium takes now: units are formed only for this.
    pub fn set_room(&mut self, now: Now, units: usize, octets: usize) {
        each!(self, session => session.set_room(now, units, octets));
    }

    /// A unit is with the peer's node; on a medium without boundaries: it was written.
    pub fn unit_delivered(&mut self, now: Now, unit: u64) {
        each!(self, session => session.unit_delivered(now, unit));
    }

    /// A unit is lost for good.
    pub fn unit_failed(&mut self, now: Now, unit: u64) {
        each!(self, session => session.unit_failed(now, unit));
    }

    /// A unit from the peer, or some octets of its stream.
    pub fn arrived(&mut self, now: Now, octets: &[u8]) {
        self.unit_arrived(now, &[], octets);
    }

    /// The same of a transport that names each unit, over restarts too: one that it offers again is taken once.
    pub fn unit_arrived(&mut self, now: Now, name: &[u8], octets: &[u8]) {
        match &mut self.profile {
            Inner::Skywave(session) => session.arrived(now, octets),
            Inner::Standard(session) => session.arrived(now, octets),
            Inner::Units(session) => session.arrived(now, name, octets),
        }
    }

    /// A batch is on the disk.
    pub fn stored(&mut self, now: Now, save: u64) {
        each!(self, session => session.stored(now, save));
    }

    /// A batch could not be written; it is tried again.
    pub fn store_failed(&mut self, now: Now, save: u64) {
        each!(self, session => session.store_failed(now, save));
    }

    /// A batch finds no place for the stanzas in it: nothing of it was written. They stay here unconfirmed until
    /// [`Session::resume`]; the rest is saved without them.
    //= xmpp/SLOW-026
    pub fn hold_back(&mut self, now: Now, save: u64) {
        each!(self, session => session.hold_back(now, save));
    }

    /// There is a place again for what was held back.
    pub fn resume(&mut self, now: Now) {
        each!(self, session => session.resume(now));
    }

    /// Does what is due.
    pub fn handle_wakeup(&mut self, now: Now) {
        each!(self, session => session.handle_wakeup(now));
    }

    /// When to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        match &self.profile {
            Inner::Skywave(session) => session.next_wakeup(),
            Inner::Standard(session) => session.next_wakeup(),
            Inner::Units(session) => session.next_wakeup(),
        }
    }

    /// Ends the stream of a connection in good order, where one can be ended: the profiles of the XEPs on TCP.
    pub fn close(&mut self) {
        match &mut self.profile {
            Inner::Standard(session) => session.close(None),
            // Blocks and units say by themselves that they are whole.
            Inner::Skywave(_) | Inner::Units(_) => {}
        }
    }

    /// Whether that end is on its way out.
    pub fn is_closing(&self) -> bool {
        match &self.profile {
            Inner::Standard(session) => session.is_closing(),
            Inner::Skywave(_) | Inner::Units(_) => false,
        }
    }

    /// Whether something of what arrived has not been yielded yet: it waits for the disk behind other stanzas, or for a
    /// place. Whoever brought it is to hold back.
    pub fn has_unsaved(&self) -> bool {
        match &self.profile {
            Inner::Skywave(session) => session.holds_back(),
            Inner::Standard(session) => session.has_unsaved(),
            Inner::Units(session) => session.has_unsaved(),
        }
    }

    /// The next output.
    pub fn poll(&mut self) -> Option<SlowOutput> {
        while let Some(output) = each!(self, session => session.poll()) {
            match self.seldom(output) {
                None => {}
                told => return told,
            }
        }
        None
    }

    /// What a peer causes as often as it likes is told at the first of each power of two.
    //= xmpp/SLOW-029
    fn seldom(&mut self, output: SlowOutput) -> Option<SlowOutput> {
        let SlowOutput::Notice { name, alarm, mut detail } = output else { return Some(output) };
        let count = self.noticed.entry(name).or_default();
        *count += 1;
        if OURS.contains(&name) || *count == 1 {
            return Some(SlowOutput::Notice { name, alarm, detail });
        }
        // Writing to a string cannot fail.
        let _ = write!(detail, ", {count} so far");
        count.is_power_of_two().then_some(SlowOutput::Notice { name, alarm, detail })
    }

    /// Stanzas that are in no unit yet.
    pub fn waiting(&self) -> usize {
        match &self.profile {
            Inner::Skywave(session) => session.waiting(),
            Inner::Standard(session) => session.waiting(),
            Inner::Units(session) => session.waiting(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seeded;

    const MEDIUM: Medium = Medium { boundaries: true, unit_octets_max: 2000, bits_per_second: 1200 };

    /// One line of the log for each bad unit is a way to fill a disk.
    //= xmpp/SLOW-029
    #[test]
    fn what_a_peer_sends_wrong_without_end_is_told_seldom() {
        for profile in [Profile::Skywave, Profile::Standard, Profile::MLinkR17, Profile::Units] {
            let mut session = Session::new(SlowConfig::new(profile), Box::new(Seeded::new(1)));
            session.medium_up(Now::default(), MEDIUM);
            let mut told = Vec::new();
            for _ in 0..100 {
                session.arrived(Now::default(), b"<garbage/></garbage>");
                while let Some(output) = session.poll() {
                    if let SlowOutput::Notice { name, detail, .. } = output {
                        told.push((name, detail));
                    }
                }
            }
            for (name, _) in &told {
                let count = told.iter().filter(|(other, _)| other == name).count();
                assert!(count <= 8, "{profile:?} {name}: {count}");
            }
            assert!(told.iter().any(|(_, detail)| detail.ends_with(", 64 so far")), "{profile:?} {told:?}");
        }
    }
}
