//! The fields of a JSON object as they stand in it: raw, in order, nothing copied. What reads and mends messages stands
//! on this instead of a tree, so that what is not understood stays byte for byte what it was.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::ink::Ink;

/// The fields of one object, in the order they stand in.
#[derive(Debug, Default)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// None where `json` is no object.
    pub fn read(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// None where `json` is no object, or no UTF-8.
    pub fn of_bytes(json: &'a [u8]) -> Option<Self> {
        std::str::from_utf8(json).ok().and_then(Self::read)
    }

    /// The value of a field as JSON text; None where it is missing or null. Of two of that name the last, as most
    /// readers take it.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().rev().find(|(it, _)| it == name);
        found.map(|(_, value)| value.get()).filter(|it| *it != "null")
    }

    /// The text of a field that holds a string.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.value(name).and_then(text)
    }

    pub fn each(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.get()))
    }

    /// The object with another value for a field, at its place if it has one, or without it.
    pub fn with(&self, name: &str, mut value: Option<&str>) -> String {
        let mut object = String::from("{");
        for (field, old) in self.each() {
            match field == name {
                true => value.take().into_iter().for_each(|it| _ = object.member(name, it)),
                false => _ = object.member(field, old),
            }
        }
        value.into_iter().for_each(|it| _ = object.member(name, it));
        object.push('}');
        object
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(4);
                while let Some((Name(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of a JSON string; None where `json` is none.
pub fn text(json: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Name>(json).ok().map(|it| it.0)
}

/// What stands between the quotes of a JSON string, escapes and all: such texts may be put one behind the other.
pub fn inner(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"')
}

/// The elements of a JSON list; None where `json` is none.
pub fn elements(json: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(json).ok()
}

/// Values joined by commas; None where they are not.
pub fn joined(json: &str) -> Option<Vec<&str>> {
    let mut values = Vec::new();
    let mut rest = json.trim_ascii_start();
    while !rest.is_empty() {
        let mut reader = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        values.push(reader.next()?.ok()?.get());
        rest = rest[reader.byte_offset()..].trim_ascii_start();
        rest = match rest.strip_prefix(',') {
            Some(next) if !next.trim_ascii_start().is_empty() => next.trim_ascii_start(),
            None if rest.is_empty() => rest,
            _ => return None,
        };
    }
    Some(values)
}

/// Text as a JSON string.
pub fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.text(text);
    json
}

/// An object of these fields, whose values are JSON already.
pub fn object<N: AsRef<str>, V: AsRef<str>>(fields: impl IntoIterator<Item = (N, V)>) -> String {
    let mut object = String::from("{");
    fields.into_iter().for_each(|(name, value)| _ = object.member(name.as_ref(), value.as_ref()));
    object.push('}');
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_stand() {
        let fields = Fields::read(r#"{"a" : {"b":[1, 2]},"c":null,"\u0064":"x\n","a":2}"#).unwrap();
        assert_eq!((fields.value("a"), fields.value("c"), fields.value("e")), (Some("2"), None, None));
        assert_eq!(fields.text("d").as_deref(), Some("x\n"));
        assert_eq!(fields.text("a"), None);
        assert_eq!(fields.with("a", Some("1")), r#"{"a":1,"c":null,"d":"x\n"}"#);
        assert_eq!(fields.with("b", Some("1")), r#"{"a":{"b":[1, 2]},"c":null,"d":"x\n","a":2,"b":1}"#);
        assert_eq!(fields.with("a", None), r#"{"c":null,"d":"x\n"}"#);
        for no_object in ["[]", "1", "", "{", r#"{"a"}"#] {
            assert!(Fields::read(no_object).is_none(), "{no_object}");
        }
        assert_eq!(object([("", ""); 0]), "{}");
    }

    #[test]
    fn joined_values_are_taken_apart() {
        let check =
            |json: &str, values: Option<&[&str]>| assert_eq!(joined(json).as_deref(), values, "{json}");
        check("", Some(&[]));
        check(r#"{"a":","}"#, Some(&[r#"{"a":","}"#]));
        check("\n{} ,\n{\"b\":[{}]}\t", Some(&["{}", "{\"b\":[{}]}"]));
        for broken in ["{},", ",{}", "{}{}", "{", "{},,{}"] {
            check(broken, None);
        }
    }
}
