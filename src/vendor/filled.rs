//! Measures how much a JSON value says without keeping it: what tells content from the empty fields that vendors send along.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// How much a value says: the bytes of the strings in it, and one for any other value but null, false and the empty.
#[derive(Default)]
pub(super) struct Filled(pub(super) usize);

impl Filled {
    pub(super) fn says_something(&self) -> bool {
        self.0 > 0
    }
}

impl<'de> Deserialize<'de> for Filled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FilledVisitor;
        impl<'de> Visitor<'de> for FilledVisitor {
            type Value = Filled;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Filled, E> {
                Ok(Filled(text.len()))
            }
            fn visit_unit<E>(self) -> Result<Filled, E> {
                Ok(Filled(0))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Filled, E> {
                Ok(Filled(usize::from(value)))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Filled, E> {
                Ok(Filled(1))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Filled, E> {
                Ok(Filled(1))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Filled, E> {
                Ok(Filled(1))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Filled, A::Error> {
                let mut sum = 0;
                while let Some(Filled(bytes)) = items.next_element()? {
                    sum += bytes.max(1);
                }
                Ok(Filled(sum))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Filled, A::Error> {
                let mut sum = 0;
                while let Some((_, Filled(bytes))) = fields.next_entry::<IgnoredAny, _>()? {
                    sum += bytes.max(1);
                }
                Ok(Filled(sum))
            }
        }
        deserializer.deserialize_any(FilledVisitor)
    }
}
