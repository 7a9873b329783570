//! What is done in a story: `SITE mail …`, `SITE crash`, `SITE disk full 30s`, `radio outage 10m`, …

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::{Random, Seeded};
use skywave_protocols::time::Duration;

use super::Story;
use super::parse::{duration, octets};
use crate::node::seam::Needs;
use crate::world::chat::Deed;
use crate::world::disk::Ailment;
use crate::world::limits::STORY_MAIL_OCTETS_MAX;
use crate::world::local_mta::Mood;
use crate::world::{MailOrder, Trouble};

/// Something that is done.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// A client sends a mail, so many times.
    Mail(usize, MailOrder, usize),
    /// Trouble, and its end after a time.
    Trouble(Trouble, Option<(Duration, Trouble)>),
    /// The local MTA answers mail for an address with a code.
    Answer(usize, String, u16),
    /// An operator does something to the mail with this subject.
    Operator(usize, Operation, String),
    /// An operator uses or does not use a link, or says that a site is silent.
    Say(usize, Word),
    /// A user of the site's XMPP server does something.
    Chat(usize, String, Deed),
}

/// What an operator does to a mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// `hold`
    Hold,
    /// `release`
    Release,
    /// `retry`
    Retry,
    /// `delete`, `delete-with-report`
    Delete(bool),
    /// `reroute LINK`
    Reroute(String),
    /// `precedence NAME`
    Precedence(Precedence),
}

/// What an operator says to a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Word {
    /// `link NAME up`, `link NAME down`
    Link(String, bool),
    /// `says SITE silent`, `says SITE heard`
    Silence(usize, bool),
    /// `gateway emcon on`: only the gateway, not its station.
    Emcon(bool),
}

impl Step {
    /// Reads the words of a line.
    pub(super) fn parse(story: &Story, words: &[&str]) -> Result<Self, String> {
        match words {
            ["radio", "outage", span] => Ok(Self::Trouble(Trouble::Outage(duration(span)?), None)),
            ["network", "outage", span] => Ok(Self::Trouble(Trouble::NetworkOutage(duration(span)?), None)),
            ["network", "loss", percent] => {
                let percent: u32 = percent.parse().map_err(|_| "loss is given in whole percent")?;
                Ok(Self::Trouble(Trouble::DatagramLoss(percent * 10_000), None))
            }
            [site, "mail", rest @ ..] => mail(story, story.site(site)?, rest),
            [site, rest @ ..] => Self::of_site(story, story.site(site)?, rest),
            [] => Err("an empty line".to_owned()),
        }
    }

    fn of_site(story: &Story, site: usize, words: &[&str]) -> Result<Self, String> {
        if let Some(step) = super::chat::step(site, words)? {
            return Ok(step);
        }
        let trouble = |trouble| Ok(Self::Trouble(trouble, None));
        let spell = |trouble, span: &str, end| Ok(Self::Trouble(trouble, Some((duration(span)?, end))));
        match words {
            ["starts"] => trouble(Trouble::Start(site)),
            ["restart"] => trouble(Trouble::Restart(site, DOWN)),
            ["crash"] => trouble(Trouble::Crash(site, DOWN)),
            ["crash", "for", span] => trouble(Trouble::Crash(site, duration(span)?)),
            ["crash", "after", count, "outputs"] => {
                let count = count.parse().map_err(|_| "outputs are counted in numbers")?;
                trouble(Trouble::CrashAfter(site, count, DOWN))
            }
            ["emcon", on] => trouble(Trouble::Emcon(site, switch(on)?)),
            ["station", "emcon", on] => trouble(Trouble::StationEmcon(site, switch(on)?)),
            ["station", "off", span] => {
                spell(Trouble::StationPower(site, false), span, Trouble::StationPower(site, true))
            }
            ["disk", ailment, span] => {
                let ailment = match *ailment {
                    "full" => Ailment::Full,
                    "fails" => Ailment::Fails,
                    other => return Err(format!("a disk is full or fails, not {other}")),
                };
                spell(Trouble::Disk(site, Some(ailment)), span, Trouble::Disk(site, None))
            }
            ["mta", mood] => trouble(Trouble::Mta(site, self::mood(mood)?)),
            ["mta", mood, span] => spell(Trouble::Mta(site, self::mood(mood)?), span, Trouble::Mta(site, Mood::Takes)),
            ["answers", code, "for", address] => {
                let code = code.parse().map_err(|_| "a reply code is a number")?;
                Ok(Self::Answer(site, (*address).to_owned(), code))
            }
            ["clock", jump] => trouble(Trouble::ClockJump(site, self::jump(jump)?)),
            _ => Self::operator(story, site, words),
        }
    }

    fn operator(story: &Story, site: usize, words: &[&str]) -> Result<Self, String> {
        let on_mail = |operation, subject: &str| Ok(Self::Operator(site, operation, subject.to_owned()));
        match words {
            ["hold", subject] => on_mail(Operation::Hold, subject),
            ["release", subject] => on_mail(Operation::Release, subject),
            ["retry", subject] => on_mail(Operation::Retry, subject),
            ["delete", subject] => on_mail(Operation::Delete(false), subject),
            ["delete-with-report", subject] => on_mail(Operation::Delete(true), subject),
            ["reroute", subject, link] => on_mail(Operation::Reroute((*link).to_owned()), subject),
            ["precedence", subject, name] => {
                let precedence = Precedence::parse(name).ok_or_else(|| format!("{name} is no precedence"))?;
                on_mail(Operation::Precedence(precedence), subject)
            }
            ["link", name, "up"] => Ok(Self::Say(site, Word::Link((*name).to_owned(), true))),
            ["link", name, "down"] => Ok(Self::Say(site, Word::Link((*name).to_owned(), false))),
            ["says", other, "silent"] => Ok(Self::Say(site, Word::Silence(story.site(other)?, true))),
            ["says", other, "heard"] => Ok(Self::Say(site, Word::Silence(story.site(other)?, false))),
            ["gateway", "emcon", on] => Ok(Self::Say(site, Word::Emcon(switch(on)?))),
            _ => Err(format!("nobody can {}", words.join(" "))),
        }
    }
}

/// How long a site stays down after a crash when the story does not say.
const DOWN: Duration = Duration::from_secs(5);

fn switch(word: &str) -> Result<bool, String> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("on or off, not {other}")),
    }
}

fn mood(word: &str) -> Result<Mood, String> {
    let lacking = |needs| Ok(Mood::Lacks(needs));
    match word {
        "up" => Ok(Mood::Takes),
        "down" => Ok(Mood::Down),
        "defers" => Ok(Mood::Defers),
        "refuses" => Ok(Mood::Refuses),
        "breaks-after-taking" => Ok(Mood::BreaksAfterTaking),
        "breaks-before-taking" => Ok(Mood::BreaksBeforeTaking),
        "lacks-8bitmime" => lacking(Needs { eight_bit: true, ..Needs::default() }),
        "lacks-binarymime" => lacking(Needs { binary: true, ..Needs::default() }),
        "lacks-deliverby" => Ok(Mood::LacksDeliverBy),
        "lacks-smtputf8" => lacking(Needs { utf8: true, ..Needs::default() }),
        other => Err(format!("an MTA cannot be {other}")),
    }
}

/// `+1h`, `-10m` in microseconds.
fn jump(word: &str) -> Result<i64, String> {
    let (sign, span) = match word.split_at_checked(1) {
        Some(("+", span)) => (1, span),
        Some(("-", span)) => (-1, span),
        _ => return Err(format!("{word} is no jump of a clock: +1h, -10m")),
    };
    Ok(sign * i64::try_from(duration(span)?.as_micros()).unwrap_or(i64::MAX))
}

fn mail(story: &Story, site: usize, words: &[&str]) -> Result<Step, String> {
    let own = &story.plan.names[site];
    let mut order = MailOrder { from: format!("{own}@{own}.test"), pipelining: true, ..MailOrder::default() };
    let (mut size, mut kind, mut times) = (300, "text", 1);
    let (mut mail_parameters, mut rcpt_parameters) = (Vec::new(), Vec::new());
    for word in words {
        let Some((key, value)) = word.split_once('=').filter(|_| !word.contains(' ')) else {
            (*word).clone_into(&mut order.subject);
            continue;
        };
        match key {
            "to" => order.to = recipients(value),
            "from" => value.clone_into(&mut order.from),
            "precedence" => {
                let precedence = Precedence::parse(value).ok_or_else(|| format!("{value} is no precedence"))?;
                mail_parameters.push(format!("MT-PRIORITY={}", precedence.mt_priority()));
            }
            "notify" => rcpt_parameters.push(format!("NOTIFY={}", value.to_ascii_uppercase())),
            "ret" => mail_parameters.push(format!("RET={}", value.to_ascii_uppercase())),
            "envid" => mail_parameters.push(format!("ENVID={value}")),
            "by" => mail_parameters.push(format!("BY={value}")),
            "body" => mail_parameters.push(format!("BODY={}", value.to_ascii_uppercase())),
            "size" => size = octets(value)?,
            "kind" => kind = if value == "random" { "random" } else { "text" },
            "times" => times = value.parse().map_err(|_| "times is a number")?,
            "pipelining" => order.pipelining = switch(value)?,
            "header" => order.headers += &format!("{}\r\n", value.replacen(':', ": ", 1)),
            other => return Err(format!("a mail has no {other}")),
        }
    }
    if order.to.is_empty() || size > STORY_MAIL_OCTETS_MAX {
        return Err("a mail needs to=… and at most 10M octets".to_owned());
    }
    order.mail_parameters = mail_parameters.join(" ");
    order.rcpt_parameters = rcpt_parameters.join(" ");
    order.body = body(size, kind == "random", story.seed ^ story.lines.len() as u64);
    Ok(Step::Mail(site, order, times))
}

/// `a@x,b@x`, or `user{1..50}@x`.
fn recipients(value: &str) -> Vec<String> {
    let Some((start, rest)) = value.split_once('{') else {
        return value.split(',').map(str::to_owned).collect();
    };
    let numbers = rest.split_once('}').and_then(|(range, end)| {
        let (from, to) = range.split_once("..")?;
        Some((from.parse::<u32>().ok()?, to.parse::<u32>().ok()?, end))
    });
    numbers.map_or(Vec::new(), |(from, to, end)| (from..=to).map(|number| format!("{start}{number}{end}")).collect())
}

/// A body of so many octets: words, or base64 of random octets that no compression makes smaller than three quarters.
pub fn body(octets: usize, incompressible: bool, seed: u64) -> Bytes {
    const WORDS: [&str; 16] = [
        "wind", "north", "station", "report", "fuel", "convoy", "harbour", "weather", "at", "the", "position", "and",
        "request", "arrival", "engine", "watch",
    ];
    const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = Seeded::new(seed);
    let mut text = Vec::with_capacity(octets + 80);
    let mut line = 0;
    while text.len() < octets {
        let start = text.len();
        if incompressible {
            text.push(BASE64[random.below(64) as usize]);
        } else {
            text.extend_from_slice(WORDS[random.below(16) as usize].as_bytes());
            text.push(b' ');
        }
        line += text.len() - start;
        if line >= 70 {
            text.extend_from_slice(b"\r\n");
            line = 0;
        }
    }
    text.extend_from_slice(b"\r\n");
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_recipients() {
        assert_eq!(recipients("u{1..3}@x"), ["u1@x", "u2@x", "u3@x"]);
        assert_eq!(recipients("a@x,b@y"), ["a@x", "b@y"]);
    }

    #[test]
    fn bodies_have_short_lines() {
        for incompressible in [true, false] {
            let body = body(5_000, incompressible, 3);
            assert!((5_000..5_100).contains(&body.len()));
            assert!(body.split(|&octet| octet == b'\n').all(|line| line.len() < 100));
        }
    }
}
