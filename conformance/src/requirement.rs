//! Requirement lists: what a standard demands, in our words, and whether we do it.

use serde::Deserialize;

/// One requirement of `requirements/SPEC.toml`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirement {
    /// `spec/ID`, as cited.
    pub id: String,
    /// The file it stands in, without ending.
    pub spec: String,
    /// Where in the document.
    pub section: String,
    /// How strong.
    pub level: Level,
    /// What is demanded, in our words.
    pub text: String,
    /// Whether we do it.
    pub status: Status,
    /// Why not, for an exception.
    pub reason: Option<String>,
}

/// How strong a demand is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// No choice.
    Must,
    /// With a good reason not.
    Should,
    /// As we like.
    May,
}

/// Whether a requirement is met.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is; the code that does it cites it.
    Done,
    /// Not yet.
    Todo,
    /// It is not and will not be, for a reason.
    Exception,
}

/// Why a file is no requirement list.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("requirements/{spec}.toml: {why}")]
pub struct RequirementError {
    /// The file, without ending.
    pub spec: String,
    /// What is wrong.
    pub why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    requirement: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: String,
    section: String,
    level: Level,
    text: String,
    status: Status,
    reason: Option<String>,
}

/// Reads the text of a list.
///
/// # Errors
/// What is wrong with it: its form, an id twice, an exception without a reason.
pub fn parse(spec: &str, text: &str) -> Result<Vec<Requirement>, RequirementError> {
    let wrong = |why: String| RequirementError { spec: spec.to_owned(), why };
    let file: RawFile = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let mut list: Vec<Requirement> = Vec::new();
    for Raw { id, section, level, text, status, reason } in file.requirement {
        let id = format!("{spec}/{id}");
        if list.iter().any(|known| known.id == id) {
            return Err(wrong(format!("{id} stands there twice")));
        }
        if status == Status::Exception && reason.as_ref().is_none_or(String::is_empty) {
            return Err(wrong(format!("{id} is an exception without a reason")));
        }
        list.push(Requirement { id, spec: spec.to_owned(), section, level, text, status, reason });
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(tail: &str) -> String {
        format!("[[requirement]]\nid = 'A-1'\nsection = '1'\nlevel = 'must'\ntext = 'x'\n{tail}\n")
    }

    #[test]
    fn lists_are_checked() {
        assert_eq!(parse("s", &one("status = 'done'")).unwrap()[0].id, "s/A-1");
        assert!(parse("s", &one("status = 'exception'")).is_err());
        assert!(parse("s", &one("status = 'exception'\nreason = 'nobody has it'")).is_ok());
        assert!(parse("s", &one("status = 'perhaps'")).is_err());
        assert!(parse("s", &(one("status = 'done'") + &one("status = 'done'"))).is_err());
    }
}
