//! The envelope of a mail: what SMTP, MULE and batch SMTP all say about a message besides its text.
//!
//! Everything a relay need not understand is kept as it was written and handed on (RFC 8494 section 3).

use serde::{Deserialize, Serialize};

use super::address::Mailbox;
use super::is_usual;
use super::precedence::MtPriority;

/// The envelope: one sender, one or more recipients, and their parameters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// The reverse path; `None` is the null path `<>` of notifications.
    pub sender: Option<Mailbox>,
    /// Parameters of the whole mail.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub mail: MailParameters,
    /// The forward paths with their parameters.
    pub recipients: Vec<Recipient>,
}

/// Parameters of MAIL FROM.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MailParameters {
    /// SIZE in octets, as declared (RFC 1870).
    #[serde(skip_serializing_if = "is_usual")]
    pub size: Option<u64>,
    /// BODY (RFC 6152, RFC 3030); absent means 7 bit.
    #[serde(skip_serializing_if = "is_usual")]
    pub body: Option<BodyType>,
    /// SMTPUTF8 (RFC 6531).
    #[serde(skip_serializing_if = "is_usual")]
    pub smtputf8: bool,
    /// RET (RFC 3461).
    #[serde(skip_serializing_if = "is_usual")]
    pub ret: Option<Ret>,
    /// ENVID as written, in xtext (RFC 3461).
    #[serde(skip_serializing_if = "is_usual")]
    pub envid: Option<String>,
    /// MT-PRIORITY (RFC 6710); absent is not the same as 0.
    #[serde(skip_serializing_if = "is_usual")]
    pub mt_priority: Option<MtPriority>,
    /// BY (RFC 2852).
    #[serde(skip_serializing_if = "is_usual")]
    pub by: Option<DeliverBy>,
    /// AUTH as written, in xtext (RFC 4954).
    #[serde(skip_serializing_if = "is_usual")]
    pub auth: Option<String>,
    /// Parameters that this version does not know, as written; only ever filled by MULE and batches.
    #[serde(skip_serializing_if = "is_usual")]
    pub other: Vec<String>,
}

/// BODY= of RFC 6152 and RFC 3030.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyType {
    /// 7BIT.
    SevenBit,
    /// 8BITMIME.
    EightBitMime,
    /// BINARYMIME.
    BinaryMime,
}

/// RET= of RFC 3461: what a failure report returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its header.
    Hdrs,
}

/// BY= of RFC 2852.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeliverBy {
    /// Seconds from the moment the command was received; negative once passed.
    pub seconds: i64,
    /// What happens when the time has passed.
    pub mode: ByMode,
    /// Whether each relay reports.
    pub trace: bool,
}

impl DeliverBy {
    /// What is left after `elapsed` in this site, for the next hop (RFC 2852 section 4.1.4).
    #[must_use]
    pub fn after(self, elapsed: std::time::Duration) -> Self {
        let elapsed = i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX);
        // Nine digits are all that the parameter has.
        Self { seconds: self.seconds.saturating_sub(elapsed).max(-999_999_999), ..self }
    }
}

/// The mode of BY.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ByMode {
    /// N: notify that it is late, and go on.
    Notify,
    /// R: return it.
    Return,
}

/// One forward path and its parameters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recipient {
    /// The address.
    pub to: Mailbox,
    /// NOTIFY (RFC 3461); absent means failure, and delay where the site reports delays.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub notify: Option<Notify>,
    /// ORCPT as written, `address-type;xtext` (RFC 3461).
    #[serde(default, skip_serializing_if = "is_usual")]
    pub orcpt: Option<String>,
    /// Parameters that this version does not know, as written.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub other: Vec<String>,
}

impl Recipient {
    /// A recipient without parameters.
    pub const fn plain(to: Mailbox) -> Self {
        Self { to, notify: None, orcpt: None, other: Vec::new() }
    }
}

/// NOTIFY= of RFC 3461. All false is NEVER.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Notify {
    /// Report delivery.
    pub success: bool,
    /// Report failure.
    pub failure: bool,
    /// Report delay.
    pub delay: bool,
}

impl Notify {
    /// NOTIFY=NEVER.
    pub const NEVER: Self = Self { success: false, failure: false, delay: false };
    /// What holds when the parameter is absent.
    pub const ABSENT: Self = Self { success: false, failure: true, delay: true };
}
