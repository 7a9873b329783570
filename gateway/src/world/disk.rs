//! A site's disk in the world: a store, how it fares in a crash, and what a checker reads from it.
//!
//! The store is the model ([`ModelStore`]) unless a world is given another: tests give it SQLite on a file system that
//! tears, reorders and loses what was not synced.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Random;
use skywave_protocols::xmpp::Stanza;
use skywave_transports::io::{Row, Space, Write};

use super::message_key::{MessageKey, key_of};
use crate::chat::record::Record;
use crate::node::seam::Number;
use crate::queue::record::{HopState, MailRecord};
use crate::store::model::{ModelStore, Trouble};
use crate::store::{Batch, BodyId, Query, Store, StoreFault};

/// One thing asked of the store, done in the order of asking.
#[derive(Clone, Debug)]
pub enum StoreWork {
    /// A batch.
    Commit(Number, Batch),
    /// Octets of a body.
    Append(BodyId, Bytes),
    /// A body is given up.
    Abandon(BodyId),
    /// Rows.
    Fetch(Number, Query),
    /// A range of a body.
    Load(Number, BodyId, u64, usize),
}

/// What ails a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ailment {
    /// No room.
    Full,
    /// Nothing can be made durable.
    Fails,
}

/// A store that a world can treat badly.
pub trait Mortal: Store {
    /// Sets or ends an ailment.
    fn ail(&mut self, ailment: Option<Ailment>);

    /// The machine stops and comes back: of what was asked for and not answered, some may have reached the disk. An
    /// ailment stays.
    fn crash(&mut self, unfinished: VecDeque<StoreWork>, random: &mut dyn Random);

    /// All rows of a space as they lie on the disk.
    fn rows(&mut self, space: Space) -> Vec<Row>;
}

impl Mortal for ModelStore {
    fn ail(&mut self, ailment: Option<Ailment>) {
        self.set_trouble(ailment.map(|ailment| match ailment {
            Ailment::Full => Trouble::Full,
            Ailment::Fails => Trouble::CommitsFail,
        }));
    }

    fn crash(&mut self, unfinished: VecDeque<StoreWork>, random: &mut dyn Random) {
        for work in unfinished {
            match work {
                StoreWork::Commit(number, batch) => self.submit(number, batch),
                StoreWork::Append(body, octets) => {
                    if self.append_body(body, &octets).is_err() {
                        break;
                    }
                }
                StoreWork::Abandon(_) | StoreWork::Fetch(..) | StoreWork::Load(..) => {}
            }
        }
        self.crash(random);
    }

    fn rows(&mut self, space: Space) -> Vec<Row> {
        let row = |(key, value): (&[u8], &Bytes)| Row { key: key.to_vec(), value: value.clone() };
        Self::rows(self, space).map(row).collect()
    }
}

/// The disk. See the module's page.
pub struct Disk {
    store: Box<dyn Mortal>,
    version: u64,
    commits: u64,
    failures: u64,
    /// The last commit failed: whether it reached the disk shows only when the machine stops.
    in_doubt: bool,
    owed: Vec<Owed>,
    chat_out: BTreeSet<MessageKey>,
    chat_in: BTreeSet<MessageKey>,
    chat_given: BTreeSet<MessageKey>,
    stanzas: usize,
    /// Converted texts: never on the disk, as in the shell.
    converted: BTreeMap<BodyId, Bytes>,
}

impl Default for Disk {
    fn default() -> Self {
        Self::new(Box::new(ModelStore::new()))
    }
}

/// What a durable record says.
#[derive(Debug)]
struct Owed {
    ticket: String,
    message_id: String,
    is_report: bool,
    /// To whom something is owed.
    recipients: Vec<String>,
}

impl Owed {
    fn of(mail: &MailRecord) -> Self {
        let indexes =
            mail.hops.iter().filter(|hop| hop.state != HopState::Done).flat_map(crate::queue::record::Hop::owed);
        let recipients = indexes.filter_map(|index| mail.envelope.recipients.get(index as usize));
        Self {
            ticket: mail.ticket.to_string(),
            message_id: mail.message_id.clone(),
            is_report: mail.envelope.sender.is_none(),
            recipients: recipients.map(|recipient| recipient.to.to_string()).collect(),
        }
    }
}

impl Disk {
    /// An empty disk.
    pub fn new(store: Box<dyn Mortal>) -> Self {
        Self {
            store,
            version: 0,
            commits: 0,
            failures: 0,
            in_doubt: false,
            owed: Vec::new(),
            chat_out: BTreeSet::new(),
            chat_in: BTreeSet::new(),
            chat_given: BTreeSet::new(),
            stanzas: 0,
            converted: BTreeMap::new(),
        }
    }

    /// Sets or ends an ailment.
    pub fn ail(&mut self, ailment: Option<Ailment>) {
        self.store.ail(ailment);
    }

    /// The machine stops: of what was asked for and not answered, some may have reached the disk.
    pub fn crash(&mut self, unfinished: VecDeque<StoreWork>, random: &mut dyn Random) {
        self.store.crash(unfinished, random);
        self.in_doubt = false;
        self.converted.clear();
        self.changed();
        self.chat_changed();
    }

    /// Keeps a converted text in memory.
    pub fn keep_converted(&mut self, body: BodyId, octets: Bytes) {
        self.converted.insert(body, octets);
    }

    /// Commits that succeeded so far.
    pub const fn commits(&self) -> u64 {
        self.commits
    }

    /// Whether what failed to be stored may be found after a crash all the same: nothing was stored since.
    pub const fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Changes with every commit and crash.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Commits that failed so far.
    pub const fn failures(&self) -> u64 {
        self.failures
    }

    /// How many mails have something owed.
    pub fn owes(&self) -> usize {
        self.owed.iter().filter(|mail| !mail.recipients.is_empty()).count()
    }

    /// How many stanzas wait here.
    pub const fn owes_stanzas(&self) -> usize {
        self.stanzas
    }

    /// Whether some row holds this message.
    pub fn owes_chat(&self, key: &MessageKey) -> bool {
        self.chat_out.contains(key) || self.chat_in.contains(key)
    }

    /// Messages in rows towards a link.
    pub fn chat_sent(&self) -> impl Iterator<Item = &MessageKey> {
        self.chat_out.iter()
    }

    /// Whether a row towards the local server holds this message.
    pub fn hands_chat(&self, key: &MessageKey) -> bool {
        self.chat_in.contains(key)
    }

    /// Messages that the local server may have been given.
    pub fn chat_given(&self) -> impl Iterator<Item = &MessageKey> {
        self.chat_given.iter()
    }

    fn chat_changed(&mut self) {
        self.version += 1;
        let (out, local) = (self.store.rows(Space::ChatOut), self.store.rows(Space::ChatIn));
        let keys = |rows: &[Row]| rows.iter().filter_map(|row| message_key(&row.value)).collect();
        (self.chat_out, self.chat_in) = (keys(&out), keys(&local));
        let given = local.iter().filter(|row| Record::decode(&row.value).is_ok_and(|record| record.given));
        self.chat_given = given.filter_map(|row| message_key(&row.value)).collect();
        self.stanzas = out.len() + local.len();
    }

    /// Whether there is a record of this mail.
    pub fn has_mail(&self, message_id: &str) -> bool {
        self.owed.iter().any(|mail| mail.message_id == message_id)
    }

    /// Whether some record owes this mail to this recipient.
    pub fn owes_recipient(&self, message_id: &str, to: &str) -> bool {
        self.owed.iter().any(|mail| mail.message_id == message_id && mail.recipients.iter().any(|owed| owed == to))
    }

    /// Whether some record owes a report to this sender.
    pub fn owes_report(&self, to: &str) -> bool {
        self.owed.iter().any(|mail| mail.is_report && mail.recipients.iter().any(|owed| owed == to))
    }

    /// The ticket of the mail with this Message-ID.
    pub fn ticket(&self, message_id: &str) -> Option<String> {
        self.owed.iter().find(|mail| mail.message_id == message_id).map(|mail| mail.ticket.clone())
    }

    fn changed(&mut self) {
        self.version += 1;
        let mails = self.store.rows(Space::Mail);
        let mails = mails.iter().filter_map(|row| MailRecord::decode(&row.value).ok());
        self.owed = mails.map(|mail| Owed::of(&mail)).collect();
    }
}

impl Store for Disk {
    fn append_body(&mut self, body: BodyId, octets: &[u8]) -> Result<(), StoreFault> {
        self.store.append_body(body, octets)
    }

    fn abandon_body(&mut self, body: BodyId) {
        if self.converted.remove(&body).is_none() {
            self.store.abandon_body(body);
        }
    }

    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreFault> {
        let outcome = self.store.commit(batches);
        self.in_doubt = outcome.is_err();
        self.commits += u64::from(outcome.is_ok());
        self.failures += u64::from(outcome.is_err());
        if batches.iter().flat_map(|batch| &batch.writes).any(|write| write.space == Space::Mail) {
            self.changed();
        }
        let is_chat = |write: &Write| matches!(write.space, Space::ChatOut | Space::ChatIn);
        if batches.iter().flat_map(|batch| &batch.writes).any(is_chat) {
            self.chat_changed();
        }
        outcome
    }

    fn fetch(&mut self, query: &Query) -> Result<Vec<Row>, StoreFault> {
        self.store.fetch(query)
    }

    fn load_body(&mut self, body: BodyId, offset: u64, octets: usize) -> Result<Bytes, StoreFault> {
        if let Some(text) = self.converted.get(&body) {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
            return Ok(text.slice(from..from.saturating_add(octets).min(text.len())));
        }
        self.store.load_body(body, offset, octets)
    }

    fn damaged(&mut self) -> Vec<String> {
        self.store.damaged()
    }
}

/// Sender, addressee and text of the stanza in a row.
fn message_key(value: &Bytes) -> Option<MessageKey> {
    let record = Record::decode(value).ok()?;
    key_of(&Stanza::parse(&record.stanza).ok()?)
}
