//! Reads the fields of a tree; what is absent or of the wrong kind is refused by name.

use std::net::Ipv4Addr;
use std::str::FromStr;

use serde_json::Value;
use skywave_protocols::bytes::{WireError, unhex};

use crate::subject::Refusal;

/// A table and what it is called in complaints.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    tree: &'a Value,
}

type Read<T> = Result<T, Refusal>;

impl<'a> Fields<'a> {
    /// The fields of `tree`.
    pub const fn of(tree: &'a Value) -> Self {
        Self { tree }
    }

    /// The value of `key`, if it is there.
    pub fn get(self, key: &str) -> Option<&'a Value> {
        self.tree.get(key)
    }

    /// The table under `key`.
    pub fn table(self, key: &str) -> Read<Self> {
        Ok(Self { tree: self.get(key).filter(|value| value.is_object()).ok_or_else(|| missing(key, "table"))? })
    }

    /// The list under `key`.
    pub fn list(self, key: &str) -> Read<&'a [Value]> {
        Ok(self.get(key).and_then(Value::as_array).ok_or_else(|| missing(key, "list"))?)
    }

    /// The text under `key`.
    pub fn text(self, key: &str) -> Read<&'a str> {
        self.get(key).and_then(Value::as_str).ok_or_else(|| missing(key, "text"))
    }

    /// What `read` makes of `key`, if it is there.
    pub fn optional<T>(self, key: &str, read: impl FnOnce(Self, &str) -> Read<T>) -> Read<Option<T>> {
        self.get(key).map(|_| read(self, key)).transpose()
    }

    /// The texts listed under `key`; none when it is not there.
    pub fn texts(self, key: &str) -> Read<Vec<String>> {
        let Some(list) = self.get(key) else { return Ok(Vec::new()) };
        let texts = list.as_array().and_then(|list| list.iter().map(|text| text.as_str().map(str::to_owned)).collect());
        texts.ok_or_else(|| missing(key, "list of texts"))
    }

    /// The number under `key`, in the range of `T`.
    pub fn number<T: TryFrom<u64>>(self, key: &str) -> Read<T> {
        let number = self.get(key).and_then(Value::as_u64).ok_or_else(|| missing(key, "number"))?;
        T::try_from(number).map_err(|_| missing(key, "number in range"))
    }

    /// The truth value under `key`.
    pub fn flag(self, key: &str) -> Read<bool> {
        self.get(key).and_then(Value::as_bool).ok_or_else(|| missing(key, "truth value"))
    }

    /// The octets under `key`.
    pub fn octets(self, key: &str) -> Read<Vec<u8>> {
        unhex(self.text(key)?).ok_or_else(|| missing(key, "hex"))
    }

    /// What the text under `key` says.
    pub fn parsed<T: FromStr>(self, key: &str) -> Read<T> {
        self.text(key)?.parse().map_err(|_| missing(key, "well-formed text"))
    }

    /// The dotted id under `key`.
    pub fn id(self, key: &str) -> Read<u32> {
        self.parsed::<Ipv4Addr>(key).map(Ipv4Addr::to_bits)
    }

    /// The one of `words` that stands under `key`.
    pub fn word<T: Copy>(self, key: &str, words: &[(&str, T)]) -> Read<T> {
        let text = self.text(key)?;
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| missing(key, "known word"))
    }
}

/// The word for `value`.
pub fn word<T: PartialEq>(value: &T, words: &[(&'static str, T)]) -> Value {
    words.iter().find(|(_, known)| known == value).map_or(Value::Null, |(word, _)| Value::from(*word))
}

/// A dotted id.
pub fn id(number: u32) -> Value {
    Value::from(Ipv4Addr::from_bits(number).to_string())
}

/// The name in vectors of what is wrong with octets.
pub fn wire(error: &WireError) -> Refusal {
    let name = match error {
        WireError::Truncated { .. } => "truncated",
        WireError::OutOfRange { .. } => "out_of_range",
        WireError::Trailing { .. } => "trailing",
    };
    Refusal::new(name, error)
}

fn missing(key: &str, what: &str) -> Refusal {
    Refusal::new("field", format!("{key} is no {what}"))
}
