//! One value or a list of them, as people write configurations.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// One or several: `a` or `["a", "b"]`. An enum's table may be left out where all in it has a default: `"reject"`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(transparent)]
pub struct Many<T>(pub Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Many<T> {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ManyVisitor(PhantomData))
    }
}

struct ManyVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for ManyVisitor<T> {
    type Value = Many<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word, a table or a list of these")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Many<T>, E> {
        one(text).map(|one| Many(vec![one]))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Many<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| Many(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Many<T>, A::Error> {
        let items = Vec::<One<T>>::deserialize(SeqAccessDeserializer::new(list))?;
        Ok(Many(items.into_iter().map(|item| item.0).collect()))
    }
}

/// A word, as itself or as a table without keys.
fn one<T: DeserializeOwned, E: Error>(text: &str) -> Result<T, E> {
    T::deserialize(StrDeserializer::<E>::new(text)).or_else(|error| {
        let empty: BTreeMap<&str, &str> = BTreeMap::new();
        let table = [(text, Empty(empty))].into_iter();
        T::deserialize(MapAccessDeserializer::new(MapDeserializer::<_, E>::new(table))).map_err(|_| error)
    })
}

struct Empty<'a>(BTreeMap<&'a str, &'a str>);

impl<'de, 'a: 'de, E: Error> IntoDeserializer<'de, E> for Empty<'a> {
    type Deserializer = MapDeserializer<'de, std::collections::btree_map::IntoIter<&'a str, &'a str>, E>;

    fn into_deserializer(self) -> Self::Deserializer {
        MapDeserializer::new(self.0.into_iter())
    }
}

struct One<T>(T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for One<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneVisitor<T>(PhantomData<T>);
        impl<'de, T: DeserializeOwned> Visitor<'de> for OneVisitor<T> {
            type Value = One<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word or a table")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<One<T>, E> {
                one(text).map(One)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<One<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(One)
            }
        }
        deserializer.deserialize_any(OneVisitor(PhantomData))
    }
}
