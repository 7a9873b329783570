//! A vector: octets of a protocol and what they mean, as written in `vectors/PROTOCOL/NAME.toml`.

use serde::Deserialize;
use serde_json::Value;
use skywave_protocols::bytes::unhex;

/// One vector.
#[derive(Clone, PartialEq, Debug)]
pub struct Vector {
    /// `protocol/name`.
    pub id: String,
    /// The protocol.
    pub protocol: String,
    /// What it shows.
    pub description: String,
    /// Document and section, and how the octets were made.
    pub source: String,
    /// Ids of the requirements it shows, as `spec/ID`.
    pub requirements: Vec<String>,
    /// The octets.
    pub octets: Vec<u8>,
    /// What they must mean.
    pub meaning: Meaning,
    /// Why encoding the meaning need not give the same octets.
    pub not_canonical: Option<String>,
    /// Why it is not run.
    pub exception: Option<String>,
}

/// What octets must mean.
#[derive(Clone, PartialEq, Debug)]
pub enum Meaning {
    /// This decoded PDU.
    Tree(Value),
    /// Nothing: they are refused with this fault.
    Refused(String),
    /// Not written down yet: only with an exception.
    Unwritten,
}

/// Why a file is no vector.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("vector {id}: {why}")]
pub struct VectorError {
    /// The vector.
    pub id: String,
    /// What is wrong.
    pub why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    protocol: String,
    description: String,
    source: String,
    requirements: Vec<String>,
    hex: String,
    #[serde(default = "yes")]
    canonical: bool,
    reason: Option<String>,
    exception: Option<String>,
    expect: Option<Value>,
    error: Option<String>,
}

const fn yes() -> bool {
    true
}

impl Vector {
    /// Reads the text of a vector file; `id` is its path without folder and ending.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn parse(id: &str, text: &str) -> std::result::Result<Self, VectorError> {
        let wrong = |why: &str| VectorError { id: id.to_owned(), why: why.to_owned() };
        let raw: Raw = toml::from_str(text).map_err(|error| wrong(error.message()))?;
        let meaning = match (raw.expect, raw.error, &raw.exception) {
            (Some(tree), None, _) => Meaning::Tree(tree),
            (None, Some(fault), _) => Meaning::Refused(fault),
            (None, None, Some(_)) => Meaning::Unwritten,
            (None, None, None) => return Err(wrong("neither [expect] nor error")),
            (Some(_), Some(_), _) => return Err(wrong("both [expect] and error")),
        };
        let not_canonical = match (raw.canonical, raw.reason) {
            (true, None) => None,
            (false, Some(reason)) if !reason.is_empty() => Some(reason),
            (false, _) => return Err(wrong("canonical = false without a reason")),
            (true, Some(_)) => return Err(wrong("a reason without canonical = false")),
        };
        if raw.exception.as_ref().is_some_and(String::is_empty) {
            return Err(wrong("an exception without a reason"));
        }
        if id.split_once('/').is_none_or(|(folder, _)| folder != raw.protocol) {
            return Err(wrong("the folder is not the protocol"));
        }
        Ok(Self {
            id: id.to_owned(),
            protocol: raw.protocol,
            description: raw.description,
            source: raw.source,
            requirements: raw.requirements,
            octets: unhex(&raw.hex).ok_or_else(|| wrong("hex is not hex"))?,
            meaning,
            not_canonical,
            exception: raw.exception,
        })
    }
}

static EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/vectors.rs"));

/// The vectors of this project, in the order of their ids.
///
/// # Errors
/// The first file that is no vector.
pub fn vectors() -> std::result::Result<Vec<Vector>, VectorError> {
    EMBEDDED.iter().map(|(id, text)| Vector::parse(id, text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "protocol = 'x'\ndescription = ''\nsource = ''\nrequirements = []\nhex = '00 ff'\n";

    #[test]
    fn what_is_no_vector_is_refused() {
        let table = [
            ("[expect]\na = 1", true),
            ("error = 'checksum'", true),
            ("exception = 'later'", true),
            ("", false),
            ("error = 'a'\n[expect]\na = 1", false),
            ("canonical = false\n[expect]\na = 1", false),
            ("reason = 'none needed'\n[expect]\na = 1", false),
            ("exception = ''\n[expect]\na = 1", false),
            ("wrong = 1\n[expect]\na = 1", false),
        ];
        for (tail, good) in table {
            let vector = Vector::parse("x/y", &format!("{HEAD}{tail}"));
            assert_eq!(vector.is_ok(), good, "{tail}: {vector:?}");
        }
        assert!(Vector::parse("z/y", &format!("{HEAD}error = 'a'")).is_err(), "wrong folder");
        assert_eq!(Vector::parse("x/y", &format!("{HEAD}error = 'a'")).unwrap().octets, [0, 255]);
    }

    #[test]
    fn all_of_ours_are_vectors() {
        assert!(vectors().unwrap().len() > 100);
    }
}
