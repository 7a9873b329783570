//! What one context sends: blocks with numbers that never change their text, kept until the peer has stored them.

use std::collections::VecDeque;

use super::block::{Covered, Stored, Unit, low};
use super::dictionary::Dictionaries;
use super::envelope::Envelopes;
use super::limits::{
    LEVEL_AGAIN_AFTER, NEAR_BLOCKS_MAX, RECENT_BLOCKS_MAX, REPEAT_DOUBLINGS_MAX, RESERVE_AGAIN_BLOCKS, TAGS_MAX,
    WINDOW_BLOCKS_MAX,
};
use super::record::{Composition, Fragment, Key, number_octets};
use super::symbols;
use super::window::Window;
use crate::bytes::Bytes;
use crate::time::{Duration, Instant};

/// Octets of the longest header of a block: that of the first of an epoch.
const HEADER_OCTETS: usize = 18;
/// What is no longer is not deflated a second time without what was sent before.
const ALONE_OCTETS_MIN: usize = 192;

/// A change of the store.
pub(super) type Change = (Vec<u8>, Option<Bytes>);

/// Where a block stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// It waits for a batch to be saved with.
    Unsaved,
    /// Its batch is being saved.
    Saving,
    /// It may leave.
    Ready,
    /// It is on the medium, as this unit.
    Sent(u64),
    /// The medium delivered it; the peer has not acknowledged it.
    Delivered,
}

/// A block that the peer has not acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Its number.
    pub(super) number: u32,
    /// What it is made of.
    pub(super) composition: Composition,
    /// Where it stands.
    pub(super) state: State,
    /// Its deflate stream in the running epoch.
    body: Vec<u8>,
}

/// The running epoch.
#[derive(Clone, Debug)]
struct Running {
    window: Window,
    envelopes: Envelopes,
    /// The number of its first block.
    first: u32,
    /// The dictionary that it began with.
    dictionary: u32,
    /// Blocks with numbers below it have left in it.
    told: u32,
}

/// One context, outwards.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    /// Its number.
    pub(super) context: u8,
    /// The number of the next block.
    pub(super) next: u32,
    /// All numbers below it are acknowledged.
    pub(super) base: u32,
    /// The disk says that blocks with numbers below it may have left unsaved.
    pub(super) reserved: u32,
    /// What was last asked for of that.
    reserving: u32,
    /// The last epoch begun.
    pub(super) epoch: u16,
    /// Blocks from `base` on.
    pub(super) blocks: VecDeque<Block>,
    /// The rows of acknowledged blocks, so that rows submitted again are known.
    pub(super) recent: VecDeque<(u32, Vec<u64>)>,
    /// The highest row that was ever in a block: a newer one need not be looked for.
    row_max: u64,
    /// The rest of a stanza whose beginning is in blocks.
    pub(super) fragment: Option<Fragment>,
    /// When the oldest block is repeated.
    pub(super) repeat_at: Option<Instant>,
    /// Repeats without an acknowledgement.
    pub(super) repeats: u32,
    level: usize,
    /// When the peer last said that it lacks a dictionary.
    level_at: Instant,
    running: Option<Running>,
    tags: VecDeque<u32>,
}

impl Sender {
    /// A context that has sent nothing.
    pub(super) fn new(context: u8) -> Self {
        Self {
            context,
            next: 0,
            base: 0,
            reserved: 0,
            reserving: 0,
            epoch: 0,
            blocks: VecDeque::new(),
            recent: VecDeque::new(),
            row_max: 0,
            fragment: None,
            repeat_at: None,
            repeats: 0,
            level: 0,
            level_at: Instant::ZERO,
            running: None,
            tags: VecDeque::new(),
        }
    }

    /// Takes a block back that an earlier run of this side made.
    pub(super) fn restore_block(&mut self, number: u32, composition: Composition) {
        self.note_rows(&composition);
        self.blocks.push_back(Block { number, composition, state: State::Unsaved, body: Vec::new() });
        self.next = number + 1;
    }

    fn note_rows(&mut self, composition: &Composition) {
        self.row_max = composition.rows.iter().copied().fold(self.row_max, u64::max);
    }

    /// Settles what the records say: blocks below `base` are only known, numbers go on where they ended. Where a block may
    /// have left unsaved its number is not used for anything else: the peer may have it. It is left out before and behind
    /// all others, as an epoch may begin with any number, and empty between them.
    /// False when a number is missing that was saved.
    //= xmpp/SLOW-030
    pub(super) fn settle(&mut self) -> bool {
        while let Some(block) = self.blocks.pop_front_if(|block| block.number < self.base) {
            self.recent.push_back((block.number, block.composition.rows));
        }
        self.reserving = self.reserved;
        // What is left of a stanza is in the very next block: none has left unsaved behind its beginning.
        let end = if self.fragment.is_some() { 0 } else { self.reserved };
        let first = self.blocks.front().map_or(end, |block| block.number.min(self.reserved));
        self.base = self.base.max(first);
        self.next = self.base;
        for block in std::mem::take(&mut self.blocks) {
            while self.next < block.number.min(self.reserved) {
                self.restore_block(self.next, Composition::default());
            }
            if self.next != block.number {
                return false;
            }
            self.next = block.number + 1;
            self.blocks.push_back(block);
        }
        while !self.blocks.is_empty() && self.next < end {
            self.restore_block(self.next, Composition::default());
        }
        self.blocks.len() <= WINDOW_BLOCKS_MAX
    }

    /// Whether an epoch must begin before anything can be sent again.
    pub(super) fn needs_epoch(&self) -> bool {
        self.running.is_none() && !self.blocks.is_empty()
    }

    /// Ends the epoch. What is not acknowledged begins the next one, once that is saved; where nothing is, the next
    /// block does.
    pub(super) fn renew(&mut self, dictionaries: &Dictionaries) -> Vec<Change> {
        self.running = None;
        self.tags.clear();
        self.repeats = 0;
        let Some(first) = self.blocks.front().map(|block| block.number) else { return Vec::new() };
        let changes = self.begin(dictionaries, first);
        let Some(running) = &mut self.running else { return changes };
        for block in &mut self.blocks {
            block.body = encode(running, &block.composition);
            block.state = State::Unsaved;
        }
        changes
    }

    /// Takes another dictionary from the next epoch on: the peer lacks better ones.
    pub(super) fn set_level(&mut self, now: Instant, level: usize) {
        self.level = level;
        self.level_at = now;
    }

    /// The peer may have the best dictionary by now: an epoch that begins for another reason tries it, though not again
    /// and again.
    //= xmpp/SLOW-028
    pub(super) fn hope(&mut self, now: Instant) {
        if now.since(self.level_at) >= LEVEL_AGAIN_AFTER {
            self.level = 0;
        }
    }

    /// The medium begins anew, as it does with a peer that was restarted.
    //= xmpp/SLOW-028
    pub(super) fn hope_again(&mut self) {
        self.level = 0;
    }

    fn begin(&mut self, dictionaries: &Dictionaries, first: u32) -> Vec<Change> {
        self.epoch = self.epoch.wrapping_add(1);
        let dictionary = dictionaries.level(self.level);
        self.running = Some(Running {
            window: Window::new(&dictionary.octets),
            envelopes: Envelopes::default(),
            first,
            dictionary: dictionary.digest,
            told: first,
        });
        vec![(Key::Epoch(self.context).octets(), Some(number_octets(self.epoch.into())))]
    }

    /// Makes the next block.
    pub(super) fn form(&mut self, dictionaries: &Dictionaries, composition: Composition) -> Formed {
        let number = self.next;
        self.note_rows(&composition);
        let changes = if self.running.is_none() { self.begin(dictionaries, number) } else { Vec::new() };
        let mut formed = Formed { changes, beside: Vec::new() };
        let Some(running) = &mut self.running else { return formed };
        let body = encode(running, &composition);
        let leaves = composition.joins && formed.changes.is_empty() && number < self.reserved;
        let passes = composition.passes && leaves;
        let state = if leaves { State::Ready } else { State::Unsaved };
        if !passes {
            let saved = if leaves { &mut formed.beside } else { &mut formed.changes };
            saved.push((Key::Block(self.context, number).octets(), Some(composition.octets())));
        }
        self.blocks.push_back(Block { number, composition: Composition { passes, ..composition }, state, body });
        self.next += 1;
        formed
    }

    /// Has numbers reserved on the disk for blocks that leave unsaved: all that the window has room for.
    //= xmpp/SLOW-030
    pub(super) fn reserve(&mut self) -> Vec<Change> {
        let wanted = self.base.saturating_add(WINDOW_BLOCKS_MAX as u32);
        if wanted < self.reserving.saturating_add(RESERVE_AGAIN_BLOCKS) {
            return Vec::new();
        }
        self.reserving = wanted;
        vec![
            (Key::Acknowledged(self.context).octets(), Some(number_octets(self.base))),
            (Key::Reserved(self.context).octets(), Some(number_octets(wanted))),
        ]
    }

    /// Whether a block has not left yet: what comes meanwhile waits for the next one.
    pub(super) fn has_unsent(&self) -> bool {
        self.unsent() > 0
    }

    /// Blocks that have not left yet.
    pub(super) fn unsent(&self) -> usize {
        self.blocks.iter().filter(|block| matches!(block.state, State::Unsaved | State::Saving | State::Ready)).count()
    }

    /// The oldest block that may leave.
    pub(super) fn ready(&self) -> Option<u32> {
        self.blocks.iter().find(|block| block.state == State::Ready).map(|block| block.number)
    }

    /// The octets of a block, with this acknowledgement.
    pub(super) fn unit(&mut self, number: u32, instance: u32, ack: Option<Stored>) -> Option<Vec<u8>> {
        let running = self.running.as_mut()?;
        let block = self.blocks.iter().find(|block| block.number == number)?;
        running.told = running.told.max(number + 1);
        let text = &block.composition.text;
        let more = block.composition.cuts.last().is_some_and(|cut| !cut.ends);
        let (context, epoch) = (self.context, self.epoch);
        let (octets, tag) = if number == running.first {
            let dictionary = running.dictionary;
            let covered = Covered { instance, epoch, context, number, ack: None };
            let digest = covered.start(dictionary, text, more);
            let unit = Unit::Start { context, epoch, instance, number, dictionary, digest, body: &block.body };
            (unit.octets(), digest)
        } else {
            let covered = Covered { instance, epoch, context, number, ack };
            let ack_low = ack.map_or(0, |ack| low(ack.next));
            // The peer may stand anywhere between what it acknowledged and what comes next.
            if usize::try_from(self.next - self.base).is_ok_and(|open| open <= NEAR_BLOCKS_MAX) {
                let digest = covered.data(text, more);
                let unit = Unit::Data { context, number_low: low(number), ack_low, digest, body: &block.body };
                (unit.octets(), digest)
            } else {
                let (digest, number_low) = (covered.far(text, more), (number & 0xff) as u8);
                (Unit::Far { context, number_low, ack_low, digest, body: &block.body }.octets(), digest)
            }
        };
        self.tags.push_back(tag);
        if self.tags.len() > TAGS_MAX {
            self.tags.pop_front();
        }
        Some(octets)
    }

    /// Whether a block carries the peer's acknowledgement with it: the first of an epoch does not.
    pub(super) fn carries_ack(&self, number: u32) -> bool {
        self.running.as_ref().is_some_and(|running| running.first != number)
    }

    /// Whether the peer can never read the running epoch: it acknowledged a block, which it had from an earlier epoch,
    /// before that left in this one.
    pub(super) fn is_untold(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.told < self.base)
    }

    /// Whether a unit with this digest was sent in the running epoch.
    pub(super) fn knows_tag(&self, tag: u32) -> bool {
        self.tags.contains(&tag)
    }

    /// Sets the state of a block.
    pub(super) fn set_state(&mut self, number: u32, state: State) {
        if let Some(block) = self.blocks.iter_mut().find(|block| block.number == number) {
            block.state = state;
        }
    }

    /// The whole numbers that four bits of an acknowledgement may mean, the likeliest first.
    pub(super) fn meanings(&self, next_low: u8) -> impl Iterator<Item = u32> + use<> {
        let newest = self.next.checked_sub(self.next.wrapping_sub(u32::from(next_low)) & 0x0f);
        let open = self.next.saturating_sub(self.base);
        // One lap further back than what is open: what is acknowledged twice.
        newest
            .into_iter()
            .flat_map(move |newest| (0..=open.div_ceil(16)).filter_map(move |lap| newest.checked_sub(16 * lap)))
    }

    /// The peer has stored all below `next`; gives the rows that are done.
    pub(super) fn acknowledge(&mut self, next: u32) -> Vec<u64> {
        let mut done = Vec::new();
        if next <= self.base || next > self.next {
            return done;
        }
        while let Some(block) = self.blocks.pop_front_if(|block| block.number < next) {
            done.extend_from_slice(&block.composition.rows);
            // What left unsaved has no row, and is not submitted again.
            if !block.composition.passes {
                self.recent.push_back((block.number, block.composition.rows));
            }
        }
        self.base = next;
        self.repeats = 0;
        self.repeat_at = None;
        done
    }

    /// What need not be kept any longer, and what is acknowledged: saved when something else is.
    pub(super) fn tidy(&mut self) -> Vec<Change> {
        let mut changes = vec![(Key::Acknowledged(self.context).octets(), Some(number_octets(self.base)))];
        while self.recent.len() > RECENT_BLOCKS_MAX {
            let Some((number, _)) = self.recent.pop_front() else { break };
            changes.push((Key::Block(self.context, number).octets(), None));
        }
        changes
    }

    /// Whether a row is in a block that is not acknowledged, or in one being made; or was acknowledged lately.
    pub(super) fn knows_row(&self, row: u64) -> Option<Known> {
        let may_be = row <= self.row_max;
        if may_be && self.recent.iter().any(|(_, rows)| rows.contains(&row)) {
            return Some(Known::Done);
        }
        let on_the_way = may_be && self.blocks.iter().any(|block| block.composition.rows.contains(&row))
            || self.fragment.as_ref().is_some_and(|fragment| fragment.row == row);
        on_the_way.then_some(Known::OnTheWay)
    }

    /// The medium began anew: all that is not acknowledged leaves again.
    pub(super) fn resend_all(&mut self) {
        for block in &mut self.blocks {
            if matches!(block.state, State::Sent(_) | State::Delivered) {
                block.state = State::Ready;
            }
        }
        self.repeat_at = None;
    }

    /// How long the oldest block waits for its acknowledgement.
    pub(super) fn patience(&self, repeat_after: Duration) -> Duration {
        repeat_after * (1 << self.repeats.min(REPEAT_DOUBLINGS_MAX))
    }
}

/// What must be saved of a new block.
pub(super) struct Formed {
    /// Before it leaves.
    pub(super) changes: Vec<Change>,
    /// With the rows in it: it may leave now.
    pub(super) beside: Vec<Change>,
}

/// What is known of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    /// The peer has stored it.
    Done,
    /// It is in a block.
    OnTheWay,
}

/// Octets at most of the unit that this is as a block, whatever is known of what was sent before it: a block that waits
/// for its acknowledgement may have to be sent again in another epoch. A little more, for envelopes tell differently then.
pub(super) fn unit_octets(composition: &Composition) -> usize {
    let content = symbols::encode(&mut Envelopes::default(), &composition.parts());
    let body = Window::deflate_alone(&content);
    HEADER_OCTETS + body.len() + body.len() / 32
}

/// The body of the next block: no longer than it is without what was sent before.
fn encode(running: &mut Running, composition: &Composition) -> Vec<u8> {
    let content = symbols::encode(&mut running.envelopes, &composition.parts());
    let mut body = running.window.deflate(&content);
    if body.len() > ALONE_OCTETS_MIN {
        let alone = Window::deflate_alone(&content);
        if alone.len() < body.len() {
            // Short matches cost more than they save: then only long ones may count.
            let filtered = running.window.deflate_filtered(&content);
            body = filtered.filter(|filtered| filtered.len() < alone.len()).unwrap_or(alone);
        }
    }
    running.window.push(&content);
    body
}
