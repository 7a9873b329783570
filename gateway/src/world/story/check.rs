//! What must follow in a story.
//!
//! - `SITE has N mail(s) [from SITE]`, `SITE has "SUBJECT"`, `SITE has "A" before "B"`: what its local MTA took.
//! - `SITE has report ACTION [for ADDRESS]`: a delivery report reached a sender there.
//! - `SITE shows "WORDS"`: an operator sees these words in its queue, its links or its log, in what they say and not in
//!   what their fields are called.
//! - `SITE sent N unit(s)`: it handed so many units of mail to its links.
//! - `SITE refused CODE`: a client there was answered with this code. `SITE owes N mail(s)`: that many wait.
//! - `SITE is on the air`: its station has transmitted something since the world began.
//! - `everything is delivered`: nothing is owed by any site.

use super::Story;
use super::chat::Heard;
use crate::telemetry::Event;
use crate::world::World;
use crate::world::site::Told;

/// Something that must be true.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Check {
    /// So many mails, of a site or of all.
    HasCount(usize, usize, Option<usize>),
    /// A mail with this subject.
    Has(usize, String),
    /// One before another.
    HasBefore(usize, String, String),
    /// A report with this action, for this address or any.
    HasReport(usize, String, Option<String>),
    /// These words are shown to the operator.
    Shows(usize, String),
    /// So many units of mail went to its links.
    Sent(usize, usize),
    /// A client was answered with this code.
    Refused(usize, u16),
    /// So many mails wait.
    Owes(usize, usize),
    /// Its station transmitted.
    OnAir(usize),
    /// Something about chat at a site.
    Heard(usize, Heard),
    /// Nothing is owed.
    AllDelivered,
}

impl Check {
    /// Reads the words behind `then`.
    pub(super) fn parse(story: &Story, words: &[&str]) -> Result<Self, String> {
        let number = |word: &str| word.parse::<usize>().map_err(|_| format!("{word} is no number"));
        if let [site, rest @ ..] = words
            && let Some(heard) = Heard::parse(story, rest)?
        {
            return Ok(Self::Heard(story.site(site)?, heard));
        }
        match words {
            ["everything", "is", "delivered"] => Ok(Self::AllDelivered),
            [site, "has", "report", action] => Ok(Self::HasReport(story.site(site)?, (*action).to_owned(), None)),
            [site, "has", "report", action, "for", address] => {
                Ok(Self::HasReport(story.site(site)?, (*action).to_owned(), Some((*address).to_owned())))
            }
            [site, "has", count, "mail" | "mails"] => Ok(Self::HasCount(story.site(site)?, number(count)?, None)),
            [site, "has", count, "mail" | "mails", "from", other] => {
                Ok(Self::HasCount(story.site(site)?, number(count)?, Some(story.site(other)?)))
            }
            [site, "has", first, "before", second] => {
                Ok(Self::HasBefore(story.site(site)?, (*first).to_owned(), (*second).to_owned()))
            }
            [site, "has", subject] => Ok(Self::Has(story.site(site)?, (*subject).to_owned())),
            [site, "shows", text] => Ok(Self::Shows(story.site(site)?, (*text).to_owned())),
            [site, "sent", count, "unit" | "units"] => Ok(Self::Sent(story.site(site)?, number(count)?)),
            [site, "refused", code] => {
                Ok(Self::Refused(story.site(site)?, code.parse().map_err(|_| "a reply code is a number")?))
            }
            [site, "is", "on", "the", "air"] => Ok(Self::OnAir(story.site(site)?)),
            [site, "owes", count, "mail" | "mails"] => Ok(Self::Owes(story.site(site)?, number(count)?)),
            _ => Err(format!("nobody can see whether {}", words.join(" "))),
        }
    }

    /// Whether it is true. `shown` is what operators see at each site.
    pub(super) fn holds(&self, world: &World, shown: &[String]) -> bool {
        let mails = |site: usize| {
            let received = world.sites[site].mta.received().iter();
            received.filter(|mail| !mail.from.is_empty())
        };
        let time = |site: usize, subject: &str| mails(site).find(|mail| mail.subject == subject).map(|mail| mail.at);
        match self {
            Self::HasCount(site, count, from) => {
                let end = from.map(|from| format!("@{}", world.sites[from].config.site));
                mails(*site).filter(|mail| end.as_ref().is_none_or(|end| mail.from.ends_with(end))).count() == *count
            }
            Self::Has(site, subject) => time(*site, subject).is_some(),
            Self::HasBefore(site, first, second) => match (time(*site, first), time(*site, second)) {
                (Some(first), Some(second)) => first < second,
                (Some(_), None) => true,
                (None, _) => false,
            },
            Self::HasReport(site, action, address) => {
                let end = format!("@{}", world.sites[*site].config.site);
                let of_site =
                    world.checkers.reports.iter().filter(|report| report.to.iter().any(|to| to.ends_with(&end)));
                of_site.flat_map(|report| &report.actions).any(|(recipient, found)| {
                    found == action && address.as_ref().is_none_or(|address| address == recipient)
                })
            }
            Self::Shows(site, text) => shown.get(*site).is_some_and(|shown| shown.contains(text)),
            Self::Sent(site, count) => {
                let started = |told: &&Told| matches!(told.event, Event::HopStarted { .. });
                world.sites[*site].told.iter().filter(started).count() == *count
            }
            Self::Refused(site, code) => world.errands().iter().filter(|errand| errand.site == *site).any(|errand| {
                let answer = errand.answer.as_ref();
                answer.is_some_and(|answer| {
                    answer.end.as_ref().is_some_and(|reply| reply.code == *code)
                        || answer.refused.iter().any(|(_, reply)| reply.code == *code)
                })
            }),
            Self::Owes(site, count) => world.sites[*site].disk.owes() == *count,
            Self::OnAir(site) => world.air.transmissions(*site) > 0,
            Self::Heard(site, heard) => heard.holds(world, *site),
            Self::AllDelivered => world.is_settled(),
        }
    }

    /// Whether it needs to know what an operator sees, and where.
    pub(super) const fn shown_at(&self) -> Option<usize> {
        match self {
            Self::Shows(site, _) => Some(*site),
            Self::HasCount(..)
            | Self::Has(..)
            | Self::HasBefore(..)
            | Self::HasReport(..)
            | Self::Sent(..)
            | Self::Refused(..)
            | Self::Owes(..)
            | Self::OnAir(..)
            | Self::Heard(..)
            | Self::AllDelivered => None,
        }
    }
}
