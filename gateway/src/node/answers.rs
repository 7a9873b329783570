//! Answers to operators that wait for the disk: what a command changed is said to be done when a crash cannot undo it.
//!
//! A change takes effect at once (EMCON must not wait for a disk); the answer follows when every batch of the command is
//! stored. Where the disk fails the answer says that too, and that the change is stored as soon as the disk works.
//! A deletion with a report is done when the report is stored, for it goes with the report.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::seam::{Number, ReplyTo};
use super::{Node, Output};
use crate::node::command::Reply;
use crate::queue::record::Ticket;

/// Answers that wait at once; the control socket has fewer connections, and each asks one thing at a time.
pub const WAITING_MAX: usize = 256;
/// Exit code of sysexits for what may be tried again.
pub const TRY_LATER: u8 = 75;
const DISK_FAILS: &str = "the disk fails";

/// What a command has asked of the disk so far.
#[derive(Debug, Default)]
struct Saving {
    batches: BTreeSet<Number>,
    /// Some of it waits until the disk works again.
    late: bool,
}

#[derive(Debug)]
struct Answer {
    reply_to: ReplyTo,
    facts: Value,
    awaits: BTreeSet<Number>,
}

/// One answer for many mails, some of which are still to be fetched.
#[derive(Debug, Default)]
struct Gathering {
    /// Mails that nothing was heard of yet.
    left: usize,
    /// Mails that were changed.
    changed: usize,
    awaits: BTreeSet<Number>,
    /// What keeps some of it from the disk.
    trouble: Option<String>,
    /// Why not all mails were looked at.
    broke_off: Option<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Answers {
    /// What the command that is being carried out has asked of the disk.
    saving: Option<Saving>,
    waiting: Vec<Answer>,
    /// Deletions whose reports are not stored yet.
    deletions: BTreeMap<Ticket, (ReplyTo, Value)>,
    gatherings: BTreeMap<ReplyTo, Gathering>,
}

impl Answers {
    /// A batch goes to the store under this number; none: it waits until the disk works.
    pub fn saving(&mut self, number: Option<Number>) {
        if let Some(saving) = &mut self.saving {
            saving.batches.extend(number);
            saving.late |= number.is_none();
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.deletions.len() + self.gatherings.len()
    }

    /// Whether answers to this asker are parts of one.
    pub fn is_gathering(&self, reply_to: ReplyTo) -> bool {
        self.gatherings.contains_key(&reply_to)
    }
}

impl Node {
    /// From here on it is noted what a command asks of the disk.
    pub(super) fn begin_command(&mut self) {
        self.answers.saving = Some(Saving::default());
    }

    /// The command has been carried out, or waits for something.
    pub(super) fn end_command(&mut self) {
        self.answers.saving = None;
    }

    /// Answers when all that the command asked of the disk is there.
    pub(super) fn reply_stored(&mut self, reply_to: ReplyTo, facts: Value) {
        let Saving { batches, late } = self.answers.saving.take().unwrap_or_default();
        if let Some(gathering) = self.answers.gatherings.get_mut(&reply_to) {
            gathering.changed += 1;
            gathering.awaits.extend(batches);
            return self.gathered(reply_to, late.then(|| DISK_FAILS.to_owned()));
        }
        if late || self.answers.len() >= WAITING_MAX {
            return self.reply_not_stored(reply_to, DISK_FAILS);
        }
        if batches.is_empty() {
            return self.reply_ok(reply_to, facts);
        }
        self.answers.waiting.push(Answer { reply_to, facts, awaits: batches });
    }

    /// Answers when a mail that is reported on is gone from the disk.
    pub(super) fn reply_deleted(&mut self, reply_to: ReplyTo, ticket: Ticket, facts: Value) {
        if !self.reports.is_reporting(ticket) || self.answers.len() >= WAITING_MAX {
            return self.reply_stored(reply_to, facts);
        }
        self.answers.deletions.insert(ticket, (reply_to, facts));
    }

    /// A mail is finished; the batch that says so goes to the store under this number, or waits until the disk works.
    pub(super) fn finish_saved(&mut self, ticket: Ticket, number: Option<Number>) {
        let Some((reply_to, facts)) = self.answers.deletions.remove(&ticket) else { return };
        match number {
            Some(number) => {
                self.answers.waiting.push(Answer { reply_to, facts, awaits: BTreeSet::from([number]) });
            }
            None => self.reply_not_stored(reply_to, DISK_FAILS),
        }
    }

    /// The next so many answers to this asker are parts of one: how many mails were changed, when all of that is stored.
    pub(super) fn gather(&mut self, reply_to: ReplyTo, mails: usize) {
        self.answers.gatherings.insert(reply_to, Gathering { left: mails, ..Gathering::default() });
    }

    /// One answer more is a part of those gathered.
    pub(super) fn gather_more(&mut self, reply_to: ReplyTo) {
        if let Some(gathering) = self.answers.gatherings.get_mut(&reply_to) {
            gathering.left += 1;
        }
    }

    /// No further mail can be looked at for a gathering.
    pub(super) fn gathering_broke_off(&mut self, reply_to: ReplyTo, why: String) {
        if let Some(gathering) = self.answers.gatherings.get_mut(&reply_to) {
            gathering.broke_off = Some(why);
        }
        self.gathered(reply_to, None);
    }

    /// One mail of a gathering is through, whether it was changed or not.
    pub(super) fn gathered(&mut self, reply_to: ReplyTo, trouble: Option<String>) {
        let Some(gathering) = self.answers.gatherings.get_mut(&reply_to) else { return };
        gathering.left = gathering.left.saturating_sub(1);
        gathering.trouble = gathering.trouble.take().or(trouble);
        if gathering.left > 0 {
            return;
        }
        let Some(Gathering { changed, awaits, trouble, broke_off, .. }) = self.answers.gatherings.remove(&reply_to)
        else {
            return;
        };
        if let Some(why) = broke_off {
            let words = format!("{changed} mails were changed, then the queue could not be read ({why}); try again");
            return self.reply_error(reply_to, &words, TRY_LATER);
        }
        let facts = json!({ "mails": changed });
        match trouble {
            Some(why) => self.reply_not_stored(reply_to, &why),
            None if self.answers.len() >= WAITING_MAX => self.reply_not_stored(reply_to, DISK_FAILS),
            None if awaits.is_empty() => self.reply_ok(reply_to, facts),
            None => self.answers.waiting.push(Answer { reply_to, facts, awaits }),
        }
    }

    /// The report about a mail could not be stored yet.
    pub(super) fn deletion_delayed(&mut self, ticket: Ticket) {
        if let Some((reply_to, _)) = self.answers.deletions.remove(&ticket) {
            self.reply_not_stored(reply_to, "its report could not be stored");
        }
    }

    /// A batch is on the disk.
    pub(super) fn answer_stored(&mut self, number: Number) {
        for answer in &mut self.answers.waiting {
            answer.awaits.remove(&number);
        }
        for gathering in self.answers.gatherings.values_mut() {
            gathering.awaits.remove(&number);
        }
        for answer in self.answers.waiting.extract_if(.., |answer| answer.awaits.is_empty()) {
            self.out.push_back(Output::Reply(answer.reply_to, Reply::Ok(answer.facts)));
        }
    }

    /// A batch is not on the disk: it is kept and stored later, and nobody waits for that.
    pub(super) fn answer_not_stored(&mut self, number: Number, why: &str) {
        for gathering in self.answers.gatherings.values_mut().filter(|all| all.awaits.contains(&number)) {
            gathering.trouble.get_or_insert_with(|| why.to_owned());
        }
        let failed: Vec<Answer> =
            self.answers.waiting.extract_if(.., |answer| answer.awaits.contains(&number)).collect();
        failed.into_iter().for_each(|answer| self.reply_not_stored(answer.reply_to, why));
    }

    fn reply_not_stored(&mut self, reply_to: ReplyTo, why: &str) {
        let words =
            format!("done, but not on the disk yet ({why}): a crash would undo it; it is stored when the disk works");
        self.reply_error(reply_to, &words, TRY_LATER);
    }
}
