//! Conditions of stanza errors, and which one says what happened here.

use serde::{Deserialize, Serialize};

/// What the sender of a stanza may do about an error (RFC 6120 section 8.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorType {
    /// Give proof of who it is, then try again.
    Auth,
    /// Nothing.
    Cancel,
    /// Go on: it was only a warning.
    Continue,
    /// Change the stanza and try again.
    Modify,
    /// Try again later.
    Wait,
}

impl ErrorType {
    /// The value of the attribute `type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancel => "cancel",
            Self::Continue => "continue",
            Self::Modify => "modify",
            Self::Wait => "wait",
        }
    }
}

/// A condition of a stanza error (RFC 6120 section 8.3.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are those of the standard and mean what it says")]
pub enum Condition {
    BadRequest,
    Conflict,
    FeatureNotImplemented,
    Forbidden,
    Gone,
    InternalServerError,
    ItemNotFound,
    JidMalformed,
    NotAcceptable,
    NotAllowed,
    NotAuthorized,
    PolicyViolation,
    RecipientUnavailable,
    Redirect,
    RegistrationRequired,
    RemoteServerNotFound,
    RemoteServerTimeout,
    ResourceConstraint,
    ServiceUnavailable,
    SubscriptionRequired,
    UndefinedCondition,
    UnexpectedRequest,
}

impl Condition {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::BadRequest,
        Self::Conflict,
        Self::FeatureNotImplemented,
        Self::Forbidden,
        Self::Gone,
        Self::InternalServerError,
        Self::ItemNotFound,
        Self::JidMalformed,
        Self::NotAcceptable,
        Self::NotAllowed,
        Self::NotAuthorized,
        Self::PolicyViolation,
        Self::RecipientUnavailable,
        Self::Redirect,
        Self::RegistrationRequired,
        Self::RemoteServerNotFound,
        Self::RemoteServerTimeout,
        Self::ResourceConstraint,
        Self::ServiceUnavailable,
        Self::SubscriptionRequired,
        Self::UndefinedCondition,
        Self::UnexpectedRequest,
    ];

    /// The name of its element.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Conflict => "conflict",
            Self::FeatureNotImplemented => "feature-not-implemented",
            Self::Forbidden => "forbidden",
            Self::Gone => "gone",
            Self::InternalServerError => "internal-server-error",
            Self::ItemNotFound => "item-not-found",
            Self::JidMalformed => "jid-malformed",
            Self::NotAcceptable => "not-acceptable",
            Self::NotAllowed => "not-allowed",
            Self::NotAuthorized => "not-authorized",
            Self::PolicyViolation => "policy-violation",
            Self::RecipientUnavailable => "recipient-unavailable",
            Self::Redirect => "redirect",
            Self::RegistrationRequired => "registration-required",
            Self::RemoteServerNotFound => "remote-server-not-found",
            Self::RemoteServerTimeout => "remote-server-timeout",
            Self::ResourceConstraint => "resource-constraint",
            Self::ServiceUnavailable => "service-unavailable",
            Self::SubscriptionRequired => "subscription-required",
            Self::UndefinedCondition => "undefined-condition",
            Self::UnexpectedRequest => "unexpected-request",
        }
    }

    /// The condition of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|condition| condition.name() == name)
    }

    /// The type that the standard pairs it with; where it leaves a choice, the one servers use.
    pub const fn usual_type(self) -> ErrorType {
        match self {
            Self::BadRequest | Self::JidMalformed | Self::NotAcceptable | Self::PolicyViolation | Self::Redirect => {
                ErrorType::Modify
            }
            Self::Forbidden | Self::NotAuthorized | Self::RegistrationRequired | Self::SubscriptionRequired => {
                ErrorType::Auth
            }
            Self::RecipientUnavailable
            | Self::RemoteServerTimeout
            | Self::ResourceConstraint
            | Self::UnexpectedRequest => ErrorType::Wait,
            Self::Conflict
            | Self::FeatureNotImplemented
            | Self::Gone
            | Self::InternalServerError
            | Self::ItemNotFound
            | Self::NotAllowed
            | Self::RemoteServerNotFound
            | Self::ServiceUnavailable
            | Self::UndefinedCondition => ErrorType::Cancel,
        }
    }

    /// Whether a room takes it as proof that the occupant is gone, and throws it out before everybody's eyes: the
    /// lists of Prosody and ejabberd agree.
    pub const fn empties_a_seat(self) -> bool {
        matches!(
            self,
            Self::Gone
                | Self::InternalServerError
                | Self::ItemNotFound
                | Self::JidMalformed
                | Self::RecipientUnavailable
                | Self::Redirect
                | Self::RemoteServerNotFound
                | Self::RemoteServerTimeout
                | Self::ServiceUnavailable
        )
    }
}

/// Why a stanza comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// No link leads to its domain.
    UnknownDomain,
    /// The operator has switched the link off.
    LinkDisabled,
    /// It waited until its life was over.
    Expired,
    /// The queue of its peer is full.
    QueueFull,
    /// A rule does not let it pass.
    Filtered,
    /// Its security label may not go there.
    LabelRefused,
    /// It is larger than the link takes.
    TooLarge,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::UnknownDomain,
        Self::LinkDisabled,
        Self::Expired,
        Self::QueueFull,
        Self::Filtered,
        Self::LabelRefused,
        Self::TooLarge,
    ];

    /// The condition that says it.
    //= xmpp/LOCAL-003
    pub const fn condition(self) -> Condition {
        match self {
            Self::UnknownDomain | Self::LinkDisabled => Condition::RemoteServerNotFound,
            Self::Expired => Condition::RemoteServerTimeout,
            Self::QueueFull => Condition::ResourceConstraint,
            Self::Filtered => Condition::ServiceUnavailable,
            Self::LabelRefused => Condition::Forbidden,
            Self::TooLarge => Condition::PolicyViolation,
        }
    }

    /// The text for a person; none where it could tell what the stanza held.
    pub const fn text(self) -> Option<&'static str> {
        match self {
            Self::UnknownDomain => Some("no link leads to this domain"),
            Self::LinkDisabled => Some("the link to this domain is switched off"),
            Self::Expired => Some("the link did not carry it in time"),
            Self::QueueFull => Some("too much is waiting for this domain"),
            Self::Filtered => Some("not carried over this link"),
            Self::LabelRefused => None,
            Self::TooLarge => Some("too large for this link"),
        }
    }
}
