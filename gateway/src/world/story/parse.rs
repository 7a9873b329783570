//! Reads a story's text.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::Duration;
use skywave_protocols::xmpp::precedence::AddressPrecedence;
use skywave_protocols::xmpp::rules::builtin;
use skywave_transports::modem::weather::Weather;

use super::check::Check;
use super::step::Step;
use super::{Does, Line, Story, StoryFault};
use crate::chat::config::EmconRule;
use crate::node::config::{StreamManagement, XmppProfile};
use crate::world::limits::STORY_LINES_MAX;
use crate::world::plan::{ChatPlan, LinkKind, Plan, Servers};

/// The weather files that a story can name.
const WEATHERS: [(&str, &str); 3] = [
    ("calm", include_str!("../../../examples/weather/calm.toml")),
    ("burst-10", include_str!("../../../examples/weather/burst-10.toml")),
    ("silent-ship", include_str!("../../../examples/weather/silent-ship.toml")),
];

impl Story {
    /// Reads a story.
    ///
    /// # Errors
    /// All lines that could not be read.
    pub fn parse(text: &str) -> Result<Self, Vec<StoryFault>> {
        let mut story = Self {
            plan: Plan::new(&["hq", "field"]),
            weather: Weather::default(),
            seed: 1,
            absent: Vec::new(),
            open: false,
            lines: Vec::new(),
        };
        let mut faults = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let outcome =
                if index < STORY_LINES_MAX { story.line(index + 1, line) } else { Err("too many lines".into()) };
            if let Err(reason) = outcome {
                faults.push(StoryFault { line: index + 1, reason });
            }
        }
        story.plan.bits_per_second = story.weather.waveform.bits_per_second;
        story.plan.turnaround = story.weather.turnaround;
        if faults.is_empty() { Ok(story) } else { Err(faults) }
    }

    fn line(&mut self, number: usize, text: &str) -> Result<(), String> {
        let words = words(text)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let does = match words.as_slice() {
            [] => return Ok(()),
            [key, values @ ..] if self.header(key, values)? => return Ok(()),
            ["wait", span] => Does::Wait(duration(span)?),
            ["open"] => {
                self.open = true;
                return Ok(());
            }
            ["then", "within", span, rest @ ..] => Does::Then(duration(span)?, Check::parse(self, rest)?),
            ["then", rest @ ..] => Does::Then(Duration::ZERO, Check::parse(self, rest)?),
            ["never", "within", span, rest @ ..] => Does::Never(duration(span)?, Check::parse(self, rest)?),
            rest => Does::Step(Step::parse(self, rest)?),
        };
        self.lines.push(Line { number, text: text.trim().to_owned(), does });
        Ok(())
    }

    /// Takes a header line; `false` when it is none.
    fn header(&mut self, key: &str, values: &[&str]) -> Result<bool, String> {
        let owned = || values.iter().map(|&value| value.to_owned()).collect::<Vec<_>>();
        let one = || values.first().copied().filter(|_| values.len() == 1).ok_or("one value is needed");
        match key {
            "sites" => self.plan.names = owned(),
            "links" => {
                let kind = |name: &&str| LinkKind::parse(name).ok_or(format!("there is no link {name}"));
                self.plan.links = values.iter().map(kind).collect::<Result<_, _>>()?;
            }
            "chat" => self.plan.chat = Some(chat(values)?),
            "weather" => self.weather = weather(values)?,
            "seed" => self.seed = one()?.parse().map_err(|_| "a seed is a number")?,
            "manage-nodes" => self.plan.manage_sap = Some(one()?.parse().map_err(|_| "a SAP is a number")?),
            "silent" => self.plan.silent = owned(),
            "absent" => self.absent = owned(),
            "lifetime" => self.plan.queue.lifetimes = [duration(one()?)?; 6],
            "delay-notice" => self.plan.queue.delay_notice = Some(duration(one()?)?),
            "retry" => {
                self.plan.queue.retry_first = duration(one()?)?;
                self.plan.queue.retry_longest = self.plan.queue.retry_first * 8;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The index of a site.
    pub(super) fn site(&self, name: &str) -> Result<usize, String> {
        let found = self.plan.names.iter().position(|site| site == name);
        found.ok_or_else(|| format!("{name} is no site and no word of a story"))
    }
}

/// `chat` alone, or with what differs: `over=tcp servers=dialback filter=none emcon=units life=10m delay-after=30s
/// profile=standard delivery=client sm=explicit queue=5 local-queue=5`, who is urgent: `flash=captain@*`, `alternate=tcp`
/// for a second link, and what takes it: `route-over=500` (octets), or waits for it: `hold-over=500`.
fn chat(values: &[&str]) -> Result<ChatPlan, String> {
    let mut plan = ChatPlan::default();
    for value in values {
        let (key, value) = value.split_once('=').ok_or_else(|| format!("chat knows no {value}"))?;
        match key {
            "over" => {
                plan.over_tcp = match value {
                    "tcp" => true,
                    "rcop" => false,
                    other => return Err(format!("chat goes over rcop or tcp, not {other}")),
                }
            }
            "alternate" if value == "tcp" => plan.alternate = true,
            "route-over" => plan.route_over = Some(octets(value)?),
            "hold-over" => plan.hold_over = Some(octets(value)?),
            "servers" => {
                plan.servers = match value {
                    "components" => Servers::Components,
                    "dialback" => Servers::Dialback,
                    "external" => Servers::External,
                    other => return Err(format!("servers are components, dialback or external, not {other}")),
                }
            }
            "filter" => plan.filter = builtin(value).ok_or_else(|| format!("there is no filter {value}"))?,
            "emcon" => {
                plan.emcon = match value {
                    "hold" => EmconRule::Hold,
                    "refuse" => EmconRule::Refuse,
                    "units" => EmconRule::Units,
                    other => return Err(format!("emcon is hold, refuse or units, not {other}")),
                }
            }
            "profile" => {
                let known = XmppProfile::ALL.into_iter().find(|profile| profile.name() == value);
                plan.profile = known.ok_or_else(|| format!("there is no profile {value}"))?;
            }
            "sm" => {
                let known = StreamManagement::ALL.into_iter().find(|management| management.name() == value);
                plan.stream_management = known.ok_or_else(|| format!("there is no stream management {value}"))?;
            }
            "delivery" => {
                plan.to_client = match value {
                    "node" => false,
                    "client" => true,
                    other => return Err(format!("delivery is to the node or the client, not to {other}")),
                }
            }
            "life" => plan.lives.chat_seconds = duration(value)?.as_secs(),
            "request-life" => plan.lives.request_seconds = Some(duration(value)?.as_secs()),
            "delay-after" => plan.lives.delay_after_seconds = duration(value)?.as_secs(),
            "linger" => plan.linger = Some(duration(value)?),
            "queue" => plan.queue.stanzas_max = value.parse().map_err(|_| "a queue is counted in numbers")?,
            "local-queue" => {
                plan.local_stanzas_max = value.parse().map_err(|_| "a queue is counted in numbers")?;
            }
            "flash" => plan.precedence.address.push(AddressPrecedence {
                from: Some(value.to_owned()),
                to: None,
                precedence: Precedence::Flash,
            }),
            other => return Err(format!("chat knows no {other}")),
        }
    }
    Ok(plan)
}

fn weather(values: &[&str]) -> Result<Weather, String> {
    let text = match values {
        [name] if !name.contains('=') => {
            let named = WEATHERS.iter().find(|(known, _)| known == name);
            named.map(|(_, text)| (*text).to_owned()).ok_or(format!("there is no weather {name}"))?
        }
        keys => keys.join("\n"),
    };
    Weather::parse(&text).map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// The words of a line; what stands in double quotes is one word, what follows `#` is a comment.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted.split_once('"').ok_or("a quote is not closed")?
        } else {
            rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()))
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

/// `300ms`, `30s`, `10m`, `2h`, `3d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let count: u64 = digits.parse().map_err(|_| format!("{text} is no time"))?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("{text} is no time: ms, s, m, h, d")),
    };
    Ok(Duration::from_millis(count.saturating_mul(millis)))
}

/// `500`, `200K`, `10M`.
pub(super) fn octets(text: &str) -> Result<usize, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let count: usize = digits.parse().map_err(|_| format!("{text} is no size"))?;
    match unit {
        "" => Ok(count),
        "K" => Ok(count * 1_000),
        "M" => Ok(count * 1_000_000),
        _ => Err(format!("{text} is no size: K, M")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        for (text, expected) in [("30s", Some(30_000)), ("2h", Some(7_200_000)), ("5", None), ("x", None), ("1y", None)]
        {
            let expected = expected.map(Duration::from_millis);
            assert_eq!(duration(text).ok(), expected, "{text}");
        }
        assert_eq!(octets("200K"), Ok(200_000));
        assert!(octets("2G").is_err());
    }

    #[test]
    fn the_example_of_the_page_is_read() {
        let page = include_str!("mod.rs");
        let example: String = page
            .lines()
            .skip_while(|line| !line.contains("```text"))
            .skip(1)
            .take_while(|line| !line.contains("```"))
            .map(|line| line.trim_start_matches("//!").split("   (").next().unwrap_or_default().to_owned() + "\n")
            .collect();
        let story = Story::parse(&example).unwrap_or_else(|faults| panic!("{faults:?}"));
        assert_eq!(story.lines.len(), 7);
        assert_eq!((story.seed, story.plan.names.len()), (7, 2));
    }

    #[test]
    fn every_bad_line_is_named() {
        let text = "sites hq field\nhq dances\nwait soon\nthen hq has\nnobody emcon on\nhq mail \"x\nlinks wire\n";
        let faults = Story::parse(text).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
    }
}
