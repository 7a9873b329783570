//! The precedence of a mail: from its parameter, its header fields, or the site's default, in the order of
//! `defaults.md` "Precedence of mail"; never above what the peer may ask for.

use crate::message::mail::MailParameters;
use crate::message::precedence::{MtPriority, Precedence};

use super::{Header, without_comments};

/// What a site says about a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The precedence of a mail that says nothing.
    pub default: Precedence,
    /// The highest precedence the peer may ask for; what is higher is lowered to it.
    pub ceiling: Precedence,
    /// What numbers of MMHS fields mean that no table knows.
    pub mmhs: MmhsUnknown,
}

impl Default for Policy {
    fn default() -> Self {
        Self { default: Precedence::Routine, ceiling: Precedence::Override, mmhs: MmhsUnknown::default() }
    }
}

/// What numbers of MMHS fields mean that no table knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MmhsUnknown {
    /// 6 to 15.
    pub low: Stand,
    /// 16 to 31, for nations.
    pub high: Stand,
}

impl Default for MmhsUnknown {
    fn default() -> Self {
        Self { low: Stand::Ceiling, high: Stand::Default }
    }
}

/// What an unknown number stands for; never more than the ceiling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stand {
    /// The highest that the peer may ask for.
    Ceiling,
    /// What a mail has that says nothing.
    Default,
    /// This one.
    For(Precedence),
}

impl Stand {
    /// Reads `ceiling`, `default`, or a precedence.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "ceiling" => Some(Self::Ceiling),
            "default" => Some(Self::Default),
            name => Precedence::parse(name).map(Self::For),
        }
    }

    fn precedence(self, policy: Policy) -> Precedence {
        match self {
            Self::Ceiling => policy.ceiling,
            Self::Default => policy.default.min(policy.ceiling),
            Self::For(precedence) => precedence.min(policy.ceiling),
        }
    }
}

/// Where a precedence comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// MT-PRIORITY of MAIL (RFC 6710).
    Parameter,
    /// The MT-Priority field (RFC 6758).
    MtPriorityField,
    /// MMHS-Primary-Precedence or MMHS-Copy-Precedence (RFC 6477).
    MmhsField,
    /// Nothing said anything.
    SiteDefault,
}

/// Something an operator may want to know about the decision.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// Another source says something else.
    Disagreement {
        /// That source.
        with: Source,
        /// What it says.
        says: Precedence,
    },
    /// A field stands there more than once: none of them counts.
    Repeated(&'static str),
    /// A field has a value outside its range: it does not count.
    Malformed(&'static str),
    /// An MMHS number that no table knows.
    UnknownNumber(u8),
    /// The peer asked for more than it may.
    Lowered {
        /// What it asked for.
        from: Precedence,
    },
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Self::Parameter => "MT-PRIORITY",
            Self::MtPriorityField => "the MT-Priority field",
            Self::MmhsField => "an MMHS field",
            Self::SiteDefault => "the site's default",
        }
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Disagreement { with, says } => write!(f, "{} says {}", with.name(), says.name()),
            Self::Repeated(field) => write!(f, "{field} stands there more than once"),
            Self::Malformed(field) => write!(f, "{field} has no value of its range"),
            Self::UnknownNumber(number) => write!(f, "the MMHS precedence {number} is unknown"),
            Self::Lowered { from } => write!(f, "{} was asked for and lowered", from.name()),
        }
    }
}

/// The outcome.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// What governs queueing and transfer.
    pub precedence: Precedence,
    /// The MT-PRIORITY to hand on. Absent when neither the parameter nor a valid MT-Priority field was there.
    pub value: Option<MtPriority>,
    /// Who decided.
    pub source: Source,
    /// For the log.
    pub notes: Vec<Note>,
}

impl Decision {
    /// Whether the sources contradict each other.
    pub fn disagreement(&self) -> bool {
        self.notes.iter().any(|note| matches!(note, Note::Disagreement { .. }))
    }
}

/// Decides the precedence of a mail from its parameters, its header (`octets` is what `header` was scanned from) and
/// the policy for its peer.
pub fn precedence(mail: &MailParameters, header: &Header, octets: &[u8], policy: Policy) -> Decision {
    let mut notes = Vec::new();
    //= smtp/PRIO-005
    let field = mt_priority_field(header, octets, &mut notes);
    let mmhs = mmhs_fields(header, octets, policy, &mut notes);
    let said = [
        (Source::Parameter, mail.mt_priority.map(MtPriority::precedence)),
        (Source::MtPriorityField, field.map(MtPriority::precedence)),
        (Source::MmhsField, mmhs),
    ];
    let mut sources = said.into_iter().filter_map(|(source, says)| says.map(|says| (source, says)));
    let Some((source, asked)) = sources.next() else {
        // What a carrier says in its place is not above the ceiling either.
        let precedence = policy.default.min(policy.ceiling);
        return Decision { precedence, value: None, source: Source::SiteDefault, notes };
    };
    let others = sources.filter(|(_, says)| *says != asked);
    notes.extend(others.map(|(with, says)| Note::Disagreement { with, says }));
    let value = mail.mt_priority.or(field);
    if asked <= policy.ceiling {
        return Decision { precedence: asked, value, source, notes };
    }
    notes.push(Note::Lowered { from: asked });
    let value = value.map(|value| value.min(policy.ceiling.mt_priority()));
    Decision { precedence: policy.ceiling, value, source, notes }
}

/// The value of the one MT-Priority field.
fn mt_priority_field(header: &Header, octets: &[u8], notes: &mut Vec<Note>) -> Option<MtPriority> {
    const NAME: &str = "MT-Priority";
    let text = single(header, octets, NAME, notes)?;
    let value = without_comments(&text).and_then(|text| MtPriority::parse(&text));
    if value.is_none() {
        notes.push(Note::Malformed(NAME));
    }
    value
}

/// The higher of primary and copy precedence.
fn mmhs_fields(header: &Header, octets: &[u8], policy: Policy, notes: &mut Vec<Note>) -> Option<Precedence> {
    let mut read = |name| {
        let text = single(header, octets, name, notes)?;
        let precedence = without_comments(&text).and_then(|text| mmhs_value(&text, policy, notes));
        if precedence.is_none() {
            notes.push(Note::Malformed(name));
        }
        precedence
    };
    let primary = read("MMHS-Primary-Precedence");
    primary.max(read("MMHS-Copy-Precedence"))
}

/// A name, a number of the table, or one that no table knows, which stands for what the policy says.
fn mmhs_value(text: &str, policy: Policy, notes: &mut Vec<Note>) -> Option<Precedence> {
    if let Some(precedence) = Precedence::parse(text) {
        return Some(precedence);
    }
    let number: u8 = text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse().ok())??;
    let precedence = match number {
        6..=15 => policy.mmhs.low.precedence(policy),
        16..=31 => policy.mmhs.high.precedence(policy),
        _ => return None,
    };
    notes.push(Note::UnknownNumber(number));
    Some(precedence)
}

/// The text of the field called `name` if it stands there once.
fn single(header: &Header, octets: &[u8], name: &'static str, notes: &mut Vec<Note>) -> Option<String> {
    let mut fields = header.named(octets, name);
    let field = fields.next()?;
    if fields.next().is_some() {
        notes.push(Note::Repeated(name));
        return None;
    }
    Some(field.text(octets))
}
