//! A site's disk in the world: the model store, how it fares in a crash, and what a checker reads from it.

use std::collections::{BTreeSet, VecDeque};

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Random;
use skywave_protocols::xmpp::Stanza;
use skywave_transports::io::{Row, Space, Write};

use super::chat_duties::{MessageKey, key_of};
use super::site::StoreWork;
use crate::chat::record::Record;
use crate::queue::record::{HopState, MailRecord};
use crate::store::model::{ModelStore, Trouble};
use crate::store::{Batch, BodyId, Query, Store, StoreFault};

/// What ails a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ailment {
    /// No room.
    Full,
    /// Nothing can be made durable.
    Fails,
}

/// The disk. See the module's page.
#[derive(Debug, Default)]
pub struct Disk {
    store: ModelStore,
    version: u64,
    failures: u64,
    owed: Vec<Owed>,
    chat_out: BTreeSet<MessageKey>,
    chat_in: BTreeSet<MessageKey>,
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
    /// Sets or ends an ailment.
    pub fn ail(&mut self, ailment: Option<Ailment>) {
        self.store.set_trouble(ailment.map(|ailment| match ailment {
            Ailment::Full => Trouble::Full,
            Ailment::Fails => Trouble::CommitsFail,
        }));
    }

    /// The machine stops: of what was asked for and not answered, some may have reached the disk.
    pub fn crash(&mut self, unfinished: VecDeque<StoreWork>, random: &mut dyn Random) {
        for work in unfinished {
            match work {
                StoreWork::Commit(number, batch) => self.store.submit(number, batch),
                StoreWork::Append(body, octets) => {
                    if self.store.append_body(body, &octets).is_err() {
                        break;
                    }
                }
                StoreWork::Abandon(_) | StoreWork::Fetch(..) | StoreWork::Load(..) => {}
            }
        }
        self.store.crash(random);
        self.changed();
        self.chat_changed();
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
    pub fn owes_stanzas(&self) -> usize {
        self.store.rows(Space::ChatOut).count() + self.store.rows(Space::ChatIn).count()
    }

    /// Whether some row holds this message.
    pub fn owes_chat(&self, key: &MessageKey) -> bool {
        self.chat_out.contains(key) || self.chat_in.contains(key)
    }

    /// Messages that wait for the local server.
    pub fn chat_in(&self) -> impl Iterator<Item = &MessageKey> {
        self.chat_in.iter()
    }

    fn chat_changed(&mut self) {
        self.version += 1;
        let keys = |space| self.store.rows(space).filter_map(|(_, value)| message_key(value)).collect();
        let (out, local) = (keys(Space::ChatOut), keys(Space::ChatIn));
        (self.chat_out, self.chat_in) = (out, local);
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

    /// Bodies kept.
    pub fn bodies(&self) -> usize {
        self.store.bodies().count()
    }

    fn changed(&mut self) {
        self.version += 1;
        let mails = self.store.rows(Space::Mail).filter_map(|(_, value)| MailRecord::decode(value).ok());
        self.owed = mails.map(|mail| Owed::of(&mail)).collect();
    }
}

impl Store for Disk {
    fn append_body(&mut self, body: BodyId, octets: &[u8]) -> Result<(), StoreFault> {
        self.store.append_body(body, octets)
    }

    fn abandon_body(&mut self, body: BodyId) {
        self.store.abandon_body(body);
    }

    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreFault> {
        let outcome = self.store.commit(batches);
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
