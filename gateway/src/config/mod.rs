//! The configuration of a site: defaults ← file ← `conf.d` ← `SKYWAVE_…` environment → raw types → checked types.
//!
//! Promises: all mistakes at once, each with file, line, key and reason; nothing in a checked configuration can be
//! wrong for itself. Refuses: unknown keys, routes that lead back, domains claimed twice, carriages that do not fit
//! their transport. Reads no file itself: the command line does.

mod chat;
#[cfg(test)]
mod chat_tests;
mod check;
pub mod compare;
mod compare_chat;
mod links;
pub mod mistake;
pub mod node_names;
pub mod raw;
mod raw_chat;
mod raw_site;
pub(crate) mod slow;
mod station_layers;
pub mod stations;
mod values;
pub mod warnings;
mod xmpp_links;
#[cfg(test)]
mod xmpp_tests;

use std::collections::BTreeMap;

use config::{Config, Environment, File, FileFormat};
use toml::de::DeTable;

pub use mistake::Mistake;
use mistake::{Found, Key, Places, line_of};
use raw::Raw;

use crate::node::config::SiteConfig;
use crate::shell::ShellConfig;

/// Unknown keys and wrong types reported before the rest is given up.
const MISTAKES_MAX: usize = 100;
/// What variables of the environment begin with; `__` stands between the parts of a key.
const PREFIX: &str = "SKYWAVE_";

/// A configuration file that was read.
#[derive(Clone, Debug)]
pub struct Text {
    /// Its name.
    pub file: String,
    /// Its content.
    pub text: String,
}

/// A configuration without mistakes.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// For the node.
    pub site: SiteConfig,
    /// For the shell.
    pub shell: ShellConfig,
    /// As written, with defaults filled in.
    pub raw: Raw,
    /// Where its keys were written.
    pub places: Places,
}

/// Reads a configuration; later texts override earlier ones, key by key, and the environment overrides all.
///
/// # Errors
/// All mistakes.
pub fn load(texts: &[Text], environment: &BTreeMap<String, String>) -> Result<Loaded, Vec<Mistake>> {
    let syntax = syntax_mistakes(texts);
    if !syntax.is_empty() {
        // What a file means that cannot be read would be guesswork.
        return Err(syntax);
    }
    let (raw, places, mut mistakes) = read(texts, environment);
    let mut found = Found::new(&places);
    let checked = check::check(&raw, &mut found);
    without_echoes(&mut mistakes, found.finish());
    match checked {
        Some((site, shell)) if mistakes.is_empty() => Ok(Loaded { site, shell, raw, places }),
        Some(_) | None => Err(mistakes),
    }
}

fn syntax_mistakes(texts: &[Text]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for Text { file, text } in texts {
        for error in DeTable::parse_recoverable(text).1 {
            let line = error.span().map_or(0, |span| line_of(text, span.start));
            let reason = error.message().to_owned();
            mistakes.push(Mistake { file: file.clone(), line, key: String::new(), reason });
        }
    }
    mistakes
}

/// The raw configuration, as far as it can be read, and what cannot be.
fn read(texts: &[Text], environment: &BTreeMap<String, String>) -> (Raw, Places, Vec<Mistake>) {
    let (mut places, mut mistakes) = (Places::default(), Vec::new());
    let mut builder = Config::builder();
    for Text { file, text } in texts {
        let (table, _) = DeTable::parse_recoverable(text);
        places.note(file, text, table.get_ref());
        builder = builder.add_source(File::from_str(text, FileFormat::Toml));
    }
    builder = builder.add_source(overrides(environment, &mut places));
    let merged = builder.build().and_then(Config::try_deserialize::<toml::Value>);
    let mut value = match merged {
        Ok(value) => value,
        Err(error) => {
            mistakes.push(places.mistake(&Key::default(), error.to_string()));
            toml::Value::Table(toml::Table::new())
        }
    };
    let raw = deserialize(&mut value, &places, &mut mistakes);
    (raw, places, mistakes)
}

/// The part of the environment that sets keys.
fn overrides(environment: &BTreeMap<String, String>, places: &mut Places) -> Environment {
    let ours = environment.iter().filter(|(name, _)| name.starts_with(PREFIX));
    let mut map = config::Map::new();
    for (name, value) in ours {
        let parts = name[PREFIX.len()..].to_lowercase();
        let key = parts.split("__").fold(Key::default(), |key, part| key.at(part));
        places.note_environment(name, key);
        map.insert(name.clone(), value.clone());
    }
    Environment::with_prefix(PREFIX.trim_end_matches('_'))
        .prefix_separator("_")
        .separator("__")
        .try_parsing(true)
        .list_separator(",")
        .with_list_parse_key("mail.listen")
        .with_list_parse_key("mail.submission")
        .with_list_parse_key("mail.relay_networks")
        .source(Some(map))
}

/// Takes out what does not fit, notes it, and tries again: one mistake does not hide the next.
fn deserialize<T: serde::de::DeserializeOwned + Default>(
    value: &mut toml::Value,
    places: &Places,
    mistakes: &mut Vec<Mistake>,
) -> T {
    for _ in 0..MISTAKES_MAX {
        let error = match serde_path_to_error::deserialize::<_, T>(value.clone()) {
            Ok(raw) => return raw,
            Err(error) => error,
        };
        let key = key_of(error.path());
        let inner = error.into_inner();
        let reason = inner.message().lines().next().unwrap_or_default().to_owned();
        mistakes.push(places.mistake(&key, reason));
        if !remove(value, key.parts()) {
            break;
        }
    }
    T::default()
}

/// Adds what was found later; what was taken out because it does not fit is not told again as missing.
fn without_echoes(mistakes: &mut Vec<Mistake>, found: Vec<Mistake>) {
    let told: Vec<String> = mistakes.iter().map(|mistake| mistake.key.clone()).collect();
    mistakes.extend(found.into_iter().filter(|mistake| !told.contains(&mistake.key)));
}

fn key_of(path: &serde_path_to_error::Path) -> Key {
    use serde_path_to_error::Segment;
    path.iter().fold(Key::default(), |key, segment| match segment {
        Segment::Seq { index } => key.at(index),
        Segment::Map { key: name } | Segment::Enum { variant: name } => key.at(name),
        Segment::Unknown => key,
    })
}

/// Removes the value at a key, or the list it stands in.
fn remove(value: &mut toml::Value, parts: &[String]) -> bool {
    let Some((first, rest)) = parts.split_first() else { return false };
    let Some(table) = value.as_table_mut() else { return false };
    let inside = table.get_mut(first).is_some_and(|inner| inner.is_table() && !rest.is_empty() && remove(inner, rest));
    inside || table.remove(first).is_some()
}

#[cfg(test)]
mod tests;
