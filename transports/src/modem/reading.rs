//! Reads a TOML text into a value and names every mistake of form, not only the first.
//!
//! serde ends at its first error. Here what it refuses is taken out and the rest is read again, until all that is left
//! can be read. An entry of a list that lacks something is taken out whole; then the value is not for judging its lists.
//! Limits: [`MISTAKES_MAX`].

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer, Error};

use super::limits::MISTAKES_MAX;

/// What could be read of a text.
pub(super) struct Reading<T> {
    /// The value without what was wrong in it; `None` when a list lacks an entry for that.
    pub(super) value: Option<T>,
    /// The mistakes, in the order of the text.
    pub(super) mistakes: Vec<Error>,
}

/// What was taken out.
enum Struck {
    /// A key, of the table with this place.
    Key(Range<usize>),
    /// An entry of a list.
    Entry,
}

/// Reads a text. `T` has a default for each of its own keys.
pub(super) fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Reading<T> {
    let (mut table, mut mistakes) = DeTable::parse_recoverable(text);
    if !mistakes.is_empty() {
        mistakes.truncate(MISTAKES_MAX);
        return Reading { value: None, mistakes: in_order(mistakes) };
    }
    let (mut maimed, mut whole) = (Vec::new(), true);
    let value = loop {
        let error = match T::deserialize(Deserializer::from(table.clone())) {
            Ok(value) => break Some(value).filter(|_| whole),
            Err(error) => error,
        };
        let Some(at) = error.span().filter(|_| mistakes.len() < MISTAKES_MAX) else {
            mistakes.push(error);
            break None;
        };
        // A table that lacks what was taken out of it has been told of.
        if !maimed.contains(&at) {
            mistakes.push(error);
        }
        let span = table.span();
        match strike(table.get_mut(), span, &at) {
            Some(Struck::Key(of)) => maimed.push(of),
            Some(Struck::Entry) => whole = false,
            None => break None,
        }
    };
    Reading { value, mistakes: in_order(mistakes) }
}

fn in_order(mut mistakes: Vec<Error>) -> Vec<Error> {
    mistakes.sort_by_key(|error| error.span().map_or(0, |at| at.start));
    mistakes
}

/// Takes out the innermost value or key that stands at a place.
fn strike(table: &mut DeTable<'_>, span: Range<usize>, at: &Range<usize>) -> Option<Struck> {
    for (_, value) in table.iter_mut() {
        let span = value.span();
        let struck = match value.get_mut() {
            DeValue::Table(inner) => strike(inner, span, at),
            DeValue::Array(all) => {
                let inside = all.iter_mut().find_map(|one| {
                    let span = one.span();
                    let DeValue::Table(inner) = one.get_mut() else { return None };
                    strike(inner, span, at)
                });
                let count = all.len();
                if inside.is_none() {
                    *all = std::mem::replace(all, DeArray::new()).into_iter().filter(|one| one.span() != *at).collect();
                }
                inside.or((all.len() < count).then_some(Struck::Entry))
            }
            _scalar => None,
        };
        if struck.is_some() {
            return struck;
        }
    }
    let stands_there = |(key, value): &(&Spanned<_>, &Spanned<_>)| key.span() == *at || value.span() == *at;
    let key: String = table.iter().find(stands_there).map(|(key, _)| key.get_ref().to_string())?;
    table.remove(key.as_str())?;
    Some(Struck::Key(span))
}
