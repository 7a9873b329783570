//! Two sessions of the slow side and a medium between them, in virtual time; every octet to transport is counted.

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Duration, Instant, Now, WallTime};
use skywave_protocols::xmpp::Stanza;
use skywave_protocols::xmpp::slow::{Medium, Outgoing, Session, SlowConfig, SlowOutput};

/// How the medium gives room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turns {
    /// Whenever nothing is being sent.
    Idle,
    /// One unit for each side in so many seconds: others use the channel meanwhile.
    Every(u64),
}

/// Both ends. Batches are stored at once.
pub struct Pair {
    sessions: [Session; 2],
    medium: Medium,
    turns: Turns,
    now: Now,
    begun: Now,
    /// What is on the medium, by side: unit, octets, when it is there.
    air: [Option<(u64, Bytes, Instant)>; 2],
    last_turn: [u64; 2],
    rows: u64,
    /// Octets to transport by side.
    pub octets: [usize; 2],
    /// Units by side.
    pub units: [usize; 2],
    /// Stanzas that arrived, both sides.
    pub arrived: usize,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("octets", &self.octets).field("arrived", &self.arrived).finish_non_exhaustive()
    }
}

impl Pair {
    /// Two ends with the same configuration.
    pub fn new(config: &SlowConfig, medium: Medium, turns: Turns) -> Self {
        let session = |seed| Session::new(config.clone(), Box::new(Seeded::new(seed)));
        let now = Now { mono: Instant::from_micros(1_000_000), wall: WallTime::from_unix_seconds(1_700_000_000) };
        let mut pair = Self {
            sessions: [session(1), session(2)],
            medium,
            turns,
            now,
            begun: now,
            air: [None, None],
            last_turn: [0, 0],
            rows: 0,
            octets: [0, 0],
            units: [0, 0],
            arrived: 0,
        };
        pair.reconnect();
        pair
    }

    /// The medium is lost and comes back.
    pub fn reconnect(&mut self) {
        for side in 0..2 {
            self.air[side] = None;
            self.sessions[side].medium_down(self.now);
            self.sessions[side].medium_up(self.now, self.medium);
        }
        self.settle();
    }

    /// Gives a stanza to a side.
    pub fn submit(&mut self, side: usize, stanza: Stanza) {
        self.rows += 1;
        let outgoing = Outgoing {
            number: self.rows,
            priority: Precedence::Routine.mt_priority(),
            label_context: 0,
            since: self.now.wall,
            stanza,
        };
        self.sessions[side].submit(self.now, outgoing);
        self.settle();
    }

    /// Lets time pass.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now.mono + span;
        loop {
            let turn = match self.turns {
                Turns::Idle => None,
                Turns::Every(seconds) => {
                    let turn = self.turn(seconds) + 1;
                    Some(self.begun.mono + Duration::from_secs(turn * seconds))
                }
            };
            let wakeups = self.sessions.iter().filter_map(|session| session.next_wakeup().map(|wakeup| wakeup.at));
            let air = self.air.iter().flatten().map(|(.., at)| *at);
            let next = wakeups.chain(air).chain(turn).min().filter(|at| *at <= end);
            let Some(at) = next else { break };
            self.now = self.now.after(at.since(self.now.mono));
            self.step();
        }
        self.now = self.now.after(end.since(self.now.mono));
    }

    /// Octets of both sides.
    pub const fn total(&self) -> usize {
        self.octets[0] + self.octets[1]
    }

    fn turn(&self, seconds: u64) -> u64 {
        self.now.mono.since(self.begun.mono).as_secs() / seconds.max(1)
    }

    fn step(&mut self) {
        let now = self.now;
        for side in 0..2 {
            if let Some((unit, octets, _)) = self.air[side].take_if(|(.., at)| *at <= now.mono) {
                self.sessions[1 - side].arrived(now, &octets);
                self.sessions[side].unit_delivered(now, unit);
            }
            self.sessions[side].handle_wakeup(now);
        }
        self.settle();
    }

    fn settle(&mut self) {
        for _ in 0..2 {
            for side in 0..2 {
                self.give_room(side);
                self.drain(side);
            }
        }
    }

    fn give_room(&mut self, side: usize) {
        let has_turn = match self.turns {
            Turns::Idle => true,
            Turns::Every(seconds) => self.turn(seconds) > self.last_turn[side],
        };
        let is_free = self.air[side].is_none() && has_turn;
        self.sessions[side].set_room(self.now, usize::from(is_free), 1 << 20);
    }

    fn drain(&mut self, side: usize) {
        while let Some(output) = self.sessions[side].poll() {
            match output {
                SlowOutput::Unit { unit, content, .. } => {
                    let bits = content.len() as u64 * 8;
                    let micros = bits * 1_000_000 / u64::from(self.medium.bits_per_second.max(1));
                    let at = self.now.mono + Duration::from_micros(micros);
                    self.octets[side] += content.len();
                    self.units[side] += 1;
                    self.air[side] = Some((unit, content, at));
                    if let Turns::Every(seconds) = self.turns {
                        self.last_turn[side] = self.turn(seconds);
                    }
                }
                SlowOutput::Save { save, arrived, .. } => {
                    self.arrived += arrived.len();
                    self.sessions[side].stored(self.now, save);
                }
                SlowOutput::Early { arrived } => self.arrived += arrived.len(),
                SlowOutput::Done { .. }
                | SlowOutput::Refused { .. }
                | SlowOutput::Restart
                | SlowOutput::Beside { .. }
                | SlowOutput::Notice { .. }
                | SlowOutput::Counted { .. } => {}
            }
        }
    }
}
