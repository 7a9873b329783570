//! What an operator can ask of a running node. The names are those of the command line.

use serde::{Deserialize, Serialize};
use skywave_protocols::message::precedence::Precedence;

/// A command, as it comes over the control socket (JSON, one object a line).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command", deny_unknown_fields)]
pub enum Command {
    /// Who and how this node is: version, site, uptime, counters.
    Status,
    /// The queue, most urgent first.
    QueueList {
        /// At most so many.
        #[serde(default = "default_limit")]
        limit: usize,
        /// Only hops of this link or door.
        #[serde(default)]
        link: Option<String>,
    },
    /// One mail: envelope, hops, history.
    QueueShow {
        /// Its ticket.
        ticket: String,
    },
    /// Keep a mail from being sent, or a stanza that waits for a link.
    QueueHold {
        /// Its ticket, or the number of the stanza.
        ticket: String,
    },
    /// Let it go again.
    QueueRelease {
        /// Its ticket, or the number of the stanza.
        ticket: String,
    },
    /// Try it now.
    QueueRetry {
        /// Its ticket; all waiting ones without.
        #[serde(default)]
        ticket: Option<String>,
    },
    /// Send it by another link.
    QueueReroute {
        /// Its ticket.
        ticket: String,
        /// The link's name.
        link: String,
    },
    /// Change its precedence.
    QueuePrecedence {
        /// Its ticket.
        ticket: String,
        /// The new precedence.
        precedence: Precedence,
    },
    /// Delete it, with or without a report to its sender.
    QueueDelete {
        /// Its ticket, or the number of a stanza that waits for a link.
        ticket: String,
        /// Whether a failure report is sent.
        #[serde(default)]
        report: bool,
    },
    /// Units that could not be read, or not wholly.
    QueueQuarantine {
        /// One of them, with its octets; all without.
        #[serde(default)]
        number: Option<u64>,
    },
    /// All links.
    LinkList,
    /// One link.
    LinkShow {
        /// Its name.
        link: String,
    },
    /// Use a link again.
    LinkUp {
        /// Its name.
        link: String,
    },
    /// Do not use a link.
    LinkDown {
        /// Its name.
        link: String,
    },
    /// Our own emission control, on one link or on all.
    Emcon {
        /// The link; all without.
        #[serde(default)]
        link: Option<String>,
        /// True: nothing is emitted.
        on: bool,
    },
    /// Says that a site on a link is silent, or is no more.
    Silence {
        /// The link.
        link: String,
        /// The site.
        site: String,
        /// True: it will not answer.
        on: bool,
        /// Until when by plan, in seconds of Unix time: an answer before is told as an alarm.
        #[serde(default)]
        until: Option<u64>,
    },
    /// Send a small probe to a site and wait for the acknowledgement; answered when it came or expired.
    LinkPing {
        /// The link.
        link: String,
        /// The site.
        site: String,
        /// Seconds until it is given up.
        timeout_seconds: u32,
    },
    /// The life of one mail, by ticket or by the Message-ID of its header.
    Track {
        /// Ticket or Message-ID.
        id: String,
    },
    /// Take a new configuration over.
    Reload {
        /// The checked configuration.
        #[serde(skip)]
        config: Option<Box<crate::node::config::SiteConfig>>,
    },
}

const fn default_limit() -> usize {
    100
}

/// The reply to a command.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Facts with stable field names.
    Ok(serde_json::Value),
    /// Why not, and the exit code of sysexits that fits.
    Error {
        /// Why, in words.
        why: String,
        /// An exit code of sysexits.
        code: u8,
    },
}
