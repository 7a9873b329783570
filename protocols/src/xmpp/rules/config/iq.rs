//! What a configuration says about requests.

use serde::{Deserialize, Serialize};

/// What becomes of a request whose namespace no list names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IqDefault {
    /// It crosses.
    Pass,
    /// service-unavailable.
    Reject,
}

/// Which answers (results and errors of iq) cross.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IqAnswers {
    /// Those to a request that was handed on the other way, one each.
    #[default]
    Asked,
    /// All, whoever makes them up.
    All,
}

/// Requests by the namespace of their content; patterns.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IqConfig {
    /// What no list names; the base's without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<IqDefault>,
    /// These cross.
    pub pass: Vec<String>,
    /// How long those wait at most; as other requests without.
    #[serde(alias = "pass-seconds", skip_serializing_if = "Option::is_none")]
    pub pass_seconds: Option<u64>,
    /// These are answered here; each must be a namespace that the gateway can answer.
    pub answer: Vec<String>,
    /// These cross once; equal ones are answered from the result.
    pub cache: Vec<String>,
    /// How long a result is good for.
    #[serde(alias = "cache-seconds", skip_serializing_if = "Option::is_none")]
    pub cache_seconds: Option<u64>,
    /// These are refused with service-unavailable.
    pub reject: Vec<String>,
    /// Which answers cross; the base's without, and `asked` where that says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<IqAnswers>,
}
