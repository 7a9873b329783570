//! What became of the samples, put together from what sites told and mailboxes took.

use std::collections::BTreeMap;

use skywave_protocols::time::WallTime;

use super::samples::Sample;
use crate::telemetry::Event;

/// The fate of one sample.
#[derive(Clone, PartialEq, Debug)]
pub struct Fate {
    /// What was submitted.
    pub sample: Sample,
    /// Its ticket at the site it entered.
    pub ticket: Option<String>,
    /// When it was submitted.
    pub submitted_at: Option<WallTime>,
    /// When the site answered 250.
    pub accepted_at: Option<WallTime>,
    /// The answer when it was not 250.
    pub refused: Option<String>,
    /// For each recipient, when mailboxes took it.
    pub delivered: BTreeMap<String, Vec<WallTime>>,
    /// When the site it entered had every confirmation.
    pub confirmed_at: Option<WallTime>,
    /// Octets that links handed to their medium for it.
    pub bytes_on_link: BTreeMap<String, u64>,
    /// Octets of the unit that carries it.
    pub unit_bytes: u64,
    /// Why it waits, as its link says.
    pub why: String,
}

impl Fate {
    /// Whether every recipient has it.
    pub fn is_delivered(&self) -> bool {
        self.sample.draft.to.iter().all(|to| self.delivered.contains_key(to))
    }

    /// When the last recipient got it.
    pub fn delivered_at(&self) -> Option<WallTime> {
        let firsts = self.delivered.values().filter_map(|times| times.first());
        firsts.max().copied().filter(|_| self.is_delivered())
    }

    /// Octets handed to the medium for it: at least its unit when it has arrived, whatever the link has told so far.
    pub fn bytes_on_air(&self) -> u64 {
        let told: u64 = self.bytes_on_link.values().sum();
        if self.is_delivered() { told.max(self.unit_bytes) } else { told }
    }
}

/// All fates. See the module's page.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Ledger {
    /// In the order of the samples.
    pub fates: Vec<Fate>,
    /// Units started on each site's link.
    pub units_sent: BTreeMap<(usize, String), u64>,
}

impl Ledger {
    /// Nothing has happened yet.
    pub fn new(samples: Vec<Sample>) -> Self {
        let fate = |sample| Fate {
            sample,
            ticket: None,
            submitted_at: None,
            accepted_at: None,
            refused: None,
            delivered: BTreeMap::new(),
            confirmed_at: None,
            bytes_on_link: BTreeMap::new(),
            unit_bytes: 0,
            why: String::new(),
        };
        Self { fates: samples.into_iter().map(fate).collect(), units_sent: BTreeMap::new() }
    }

    /// A site told something.
    pub fn told(&mut self, at: WallTime, site: usize, event: &Event) {
        match event {
            Event::MailAccepted { ticket, message_id, .. } => {
                if let Some(fate) = self.of_message(message_id).filter(|fate| fate.sample.site == site) {
                    fate.ticket = Some(ticket.clone());
                }
            }
            Event::HopStarted { ticket, link, unit_bytes, .. } => {
                *self.units_sent.entry((site, link.clone())).or_default() += 1;
                if let Some(fate) = self.of_ticket(site, ticket) {
                    fate.unit_bytes = *unit_bytes as u64;
                }
            }
            Event::HopProgress { ticket, link, bytes_on_link, why } => {
                if let Some(fate) = self.of_ticket(site, ticket) {
                    fate.on_link(link, *bytes_on_link);
                    fate.why.clone_from(why);
                }
            }
            Event::MailTried { ticket, relay, bytes_on_link, .. } => {
                let link = relay.split([' ', '/']).next().unwrap_or_default().to_owned();
                if let Some(fate) = self.of_ticket(site, ticket).filter(|_| *bytes_on_link > 0) {
                    fate.on_link(&link, *bytes_on_link);
                }
            }
            Event::MailFinished { ticket } => {
                if let Some(fate) = self.of_ticket(site, ticket) {
                    fate.confirmed_at = Some(at);
                }
            }
            Event::Ready { .. }
            | Event::MailRefused { .. }
            | Event::Duplicate { .. }
            | Event::PossibleDuplicate { .. }
            | Event::LinkUp { .. }
            | Event::LinkDown { .. }
            | Event::Emission { .. }
            | Event::Stanza(_)
            | Event::ChatBlock { .. }
            | Event::ChatServerUp { .. }
            | Event::ChatServerDown { .. }
            | Event::Notice { .. }
            | Event::StoreFailing { .. }
            | Event::StoreRecovered
            | Event::Damaged { .. } => {}
        }
    }

    /// A mailbox took a mail; the fate it belongs to.
    pub fn taken(&mut self, at: WallTime, message_id: &str, to: &[String]) -> Option<&Fate> {
        let fate = self.of_message(message_id)?;
        for recipient in to {
            fate.delivered.entry(recipient.clone()).or_default().push(at);
        }
        Some(fate)
    }

    /// The fate of the long message.
    pub fn long(&self) -> Option<&Fate> {
        self.fates.iter().find(|fate| fate.sample.long)
    }

    /// Whether nothing is awaited any more.
    pub fn is_complete(&self) -> bool {
        self.fates.iter().all(|fate| (fate.is_delivered() && fate.confirmed_at.is_some()) || fate.refused.is_some())
    }

    fn of_message(&mut self, message_id: &str) -> Option<&mut Fate> {
        let bare = |id: &str| id.trim_matches(['<', '>', ' ']).to_owned();
        self.fates.iter_mut().find(|fate| bare(&fate.sample.draft.message_id) == bare(message_id))
    }

    fn of_ticket(&mut self, site: usize, ticket: &str) -> Option<&mut Fate> {
        self.fates.iter_mut().find(|fate| fate.sample.site == site && fate.ticket.as_deref() == Some(ticket))
    }
}

impl Fate {
    fn on_link(&mut self, link: &str, octets: u64) {
        let so_far = self.bytes_on_link.entry(link.to_owned()).or_default();
        *so_far = octets.max(*so_far);
    }
}
