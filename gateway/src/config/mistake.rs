//! Mistakes in a configuration, each with its file, line, key and reason.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::{DeTable, DeValue};

/// The way to a value: `link`, `hf`, `radio`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Key(Vec<String>);

impl Key {
    /// The key of one part.
    pub fn new(part: &str) -> Self {
        Self(vec![part.to_owned()])
    }

    /// The key of these parts.
    pub const fn of(parts: Vec<String>) -> Self {
        Self(parts)
    }

    /// The key below this one.
    #[must_use]
    pub fn at(&self, part: impl fmt::Display) -> Self {
        let mut parts = self.0.clone();
        parts.push(part.to_string());
        Self(parts)
    }

    /// The key above this one.
    fn above(&self) -> Option<Self> {
        let (_, front) = self.0.split_last()?;
        Some(Self(front.to_vec()))
    }

    /// Its parts.
    pub fn parts(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            if part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
                f.write_str(part)?;
            } else {
                write!(f, "{part:?}")?;
            }
        }
        Ok(())
    }
}

/// Something that is wrong.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Mistake {
    /// The file, or `environment`.
    pub file: String,
    /// The line from 1; 0 where no line says it.
    pub line: usize,
    /// The key.
    pub key: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Where each key was written last.
#[derive(Clone, Debug, Default)]
pub struct Places {
    places: BTreeMap<Key, (String, usize)>,
    /// The file named where a key was never written.
    pub first_file: String,
}

impl Places {
    /// Notes all keys of a table of a file.
    pub fn note(&mut self, file: &str, text: &str, table: &DeTable<'_>) {
        if self.first_file.is_empty() {
            file.clone_into(&mut self.first_file);
        }
        self.note_table(file, text, &Key::default(), table);
    }

    fn note_table(&mut self, file: &str, text: &str, above: &Key, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = above.at(name.get_ref());
            self.places.insert(key.clone(), (file.to_owned(), line_of(text, name.span().start)));
            match value.get_ref() {
                DeValue::Table(inner) => self.note_table(file, text, &key, inner),
                DeValue::Array(all) => {
                    for (index, one) in all.iter().enumerate() {
                        if let DeValue::Table(inner) = one.get_ref() {
                            self.note_table(file, text, &key.at(index), inner);
                        }
                    }
                }
                _scalar => {}
            }
        }
    }

    /// Notes a key that the environment sets.
    pub fn note_environment(&mut self, variable: &str, key: Key) {
        self.places.insert(key, (format!("environment {variable}"), 0));
    }

    /// Whether the key was written.
    pub fn has(&self, key: &Key) -> bool {
        self.places.contains_key(key)
    }

    /// A mistake at a key; where the key was never written, at the nearest one above it.
    pub fn mistake(&self, key: &Key, reason: String) -> Mistake {
        let mut place = Some(key.clone());
        while let Some(at) = place {
            if let Some((file, line)) = self.places.get(&at) {
                return Mistake { file: file.clone(), line: *line, key: key.to_string(), reason };
            }
            place = at.above();
        }
        let file = if self.first_file.is_empty() { "configuration".to_owned() } else { self.first_file.clone() };
        Mistake { file, line: 0, key: key.to_string(), reason }
    }
}

/// The line, from 1, of an offset.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|octet| **octet == b'\n').count() + 1
}

/// The mistakes found so far.
#[derive(Debug)]
pub struct Found<'a> {
    places: &'a Places,
    mistakes: Vec<Mistake>,
}

impl<'a> Found<'a> {
    /// None yet.
    pub const fn new(places: &'a Places) -> Self {
        Self { places, mistakes: Vec::new() }
    }

    /// Notes a mistake.
    pub fn wrong(&mut self, key: &Key, reason: impl Into<String>) {
        self.mistakes.push(self.places.mistake(key, reason.into()));
    }

    /// The value, or a mistake.
    pub fn take<T, E: fmt::Display>(&mut self, key: &Key, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.wrong(key, error.to_string())).ok()
    }

    /// The value of a key that must be there.
    pub fn required<T: Clone>(&mut self, key: &Key, value: Option<&T>) -> Option<T> {
        if value.is_none() {
            self.wrong(key, "is missing");
        }
        value.cloned()
    }

    /// All mistakes in the order of files and lines.
    pub fn finish(mut self) -> Vec<Mistake> {
        self.mistakes.sort_by(|a, b| (&a.file, a.line, &a.key).cmp(&(&b.file, b.line, &b.key)));
        self.mistakes
    }
}
