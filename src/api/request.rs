//! Reads the handful of top-level fields the gateway decides by, and where they stand in the body.
//! One pass, no tree: everything else is skipped by the JSON grammar itself, so a 20 MB prompt costs a scan.

use std::fmt;
use std::ops::Range;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::api::wants::{Wants, Wish};
use crate::error::Error;

/// What a request body says at its top level.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestScan {
    /// The model's name, unescaped, and the place of its JSON string, quotes included.
    pub model: Option<(String, Range<usize>)>,
    /// Where a `null` stands in the model's place.
    pub null_model: Option<Range<usize>>,
    pub stream: bool,
    /// Where the value of `stream_options` stands.
    pub stream_options: Option<Range<usize>>,
    /// Where `true` stands as the value of `store`; to be forgotten where it is the vendor's business.
    pub store: Option<Range<usize>>,
    /// Just behind the opening brace, where a field can be inserted.
    pub first_field: usize,
    /// The object has no field: one that is inserted needs no comma behind it.
    pub is_empty: bool,
    pub wants: Wants,
}

/// A top-level field that is read.
enum Field {
    Model,
    Stream,
    StreamOptions,
    Store,
    Wish(Wish),
}

impl Field {
    fn named(name: &str) -> Option<Self> {
        match name {
            "model" => Some(Self::Model),
            "stream" => Some(Self::Stream),
            "stream_options" => Some(Self::StreamOptions),
            "store" => Some(Self::Store),
            _ => Wish::of_field(name).map(Self::Wish),
        }
    }
}

/// Reads `body`, which must be one JSON object no deeper than `depth_max`.
/// A field that decides policy and stands there twice is refused: gateway and vendor could read different ones.
pub fn scan(body: &[u8], depth_max: usize) -> Result<RequestScan, Error> {
    check_depth(body, depth_max)?;
    let mut scan = RequestScan::default();
    let mut stream_seen = false;
    let fields = each_field(body, |field, value| match field {
        Field::Model => {
            once(scan.model.is_some() || scan.null_model.is_some(), "model")?;
            match value.get() {
                "null" => scan.null_model = Some(place(body, value)),
                _ => scan.model = Some(text(body, value, "model")?),
            }
            Ok(())
        }
        Field::Stream => {
            let seen = std::mem::replace(&mut stream_seen, true);
            once(seen, "stream").and_then(|()| flag(value, "stream")).map(|it| scan.stream = it)
        }
        Field::StreamOptions => once(scan.stream_options.is_some(), "stream_options")
            .map(|()| scan.stream_options = Some(place(body, value))),
        // Whatever else stands there is the vendor's to refuse.
        Field::Store => {
            scan.store = (value.get() == "true").then(|| place(body, value));
            Ok(())
        }
        Field::Wish(wish) => {
            scan.wants.note(wish, value.get());
            Ok(())
        }
    })?;
    scan.is_empty = fields == 0;
    scan.first_field = 1 + body.iter().position(|it| *it == b'{').unwrap_or(0);
    Ok(scan)
}

/// Where the value of the top-level field `name` stands, if the body has it.
pub fn field_place(body: &[u8], name: &str) -> Option<Range<usize>> {
    let mut found = None;
    let visit = FieldVisitor {
        wanted: |key: &str| (key == name).then_some(()),
        each: |(), value: &RawValue| {
            found = Some(place(body, value));
            Ok(())
        },
    };
    serde_json::Deserializer::from_slice(body).deserialize_map(visit).ok()?;
    found
}

/// Returns how many fields there are.
fn each_field(body: &[u8], each: impl FnMut(Field, &RawValue) -> Result<(), String>) -> Result<usize, Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    json.deserialize_map(FieldVisitor { wanted: Field::named, each })
        .and_then(|fields| json.end().map(|()| fields))
        .map_err(|fault| {
            let text = fault.to_string();
            match text.split_once(REFUSAL) {
                Some((param, message)) => Error::bad_request(strip_place(message)).param(param),
                None => Error::bad_request(format!("The request body is not a valid JSON object: {text}."))
                    .code("invalid_json"),
            }
        })
}

/// Stands between a field's name and what is wrong with it while both travel through serde's error.
const REFUSAL: &str = "\u{1}";

/// serde_json adds ` at line … column …` to every message; a refusal names the field instead.
fn strip_place(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(text, _)| text)
}

fn refuse(name: &str, message: &str) -> String {
    format!("{name}{REFUSAL}{message}")
}

fn once(seen: bool, name: &str) -> Result<(), String> {
    match seen {
        true => Err(refuse(name, &format!("`{name}` stands in the request body twice; send it once."))),
        false => Ok(()),
    }
}

fn flag(value: &RawValue, name: &str) -> Result<bool, String> {
    match value.get() {
        "true" => Ok(true),
        "false" | "null" => Ok(false),
        _ => Err(refuse(name, &format!("`{name}` must be true or false."))),
    }
}

fn text(body: &[u8], value: &RawValue, name: &str) -> Result<(String, Range<usize>), String> {
    let name_text: String = serde_json::from_str(value.get())
        .map_err(|_| refuse(name, &format!("`{name}` must be a string.")))?;
    Ok((name_text, place(body, value)))
}

/// A raw value borrows from the body it was read from, so its place is a difference of addresses.
fn place(body: &[u8], value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr() as usize - body.as_ptr() as usize;
    start..start + value.get().len()
}

struct FieldVisitor<W, F> {
    /// What a name is read as; None: skipped.
    wanted: W,
    each: F,
}

impl<'de, W, K, F> Visitor<'de> for FieldVisitor<W, F>
where
    W: Fn(&str) -> Option<K>,
    F: FnMut(K, &RawValue) -> Result<(), String>,
{
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<usize, A::Error> {
        let mut fields = 0;
        while let Some(key) = map.next_key_seed(KeySeed(&self.wanted))? {
            fields += 1;
            match key {
                Some(field) => {
                    let value: &RawValue = map.next_value()?;
                    (self.each)(field, value).map_err(A::Error::custom)?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

/// Reads a key without keeping it unless it is wanted.
struct KeySeed<'a, W>(&'a W);

impl<'de, W: Fn(&str) -> Option<K>, K> DeserializeSeed<'de> for KeySeed<'_, W> {
    type Value = Option<K>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, W: Fn(&str) -> Option<K>, K> Visitor<'de> for KeySeed<'_, W> {
    type Value = Option<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok((self.0)(key))
    }
}

/// Refuses nesting beyond `max`, which could exhaust the stack of whoever parses it into a tree.
/// Counts brackets outside strings; whether the text is JSON at all is the parser's business.
pub fn check_depth(body: &[u8], max: usize) -> Result<(), Error> {
    let (mut depth, mut at) = (0_usize, 0_usize);
    while let Some(byte) = body.get(at) {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return Err(Error::bad_request(format!(
                        "The request body is nested deeper than {max} levels (`limits.json_depth_max`)."
                    ))
                    .code("json_too_deep"));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at = string_end(body, at + 1),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// The index of the quote that closes the string whose first character stands at `at`.
fn string_end(body: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr::memchr2(b'"', b'\\', body.get(at..).unwrap_or_default()) {
        at += found;
        if body[at] == b'"' {
            return at;
        }
        at += 2;
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, model: Option<&str>, stream: bool) {
        let scan = scan(body.as_bytes(), 16).unwrap();
        assert_eq!(scan.model.as_ref().map(|(name, _)| name.as_str()), model, "{body}");
        assert_eq!(scan.stream, stream, "{body}");
        assert_eq!(&body[scan.first_field - 1..scan.first_field], "{");
        if let Some((name, place)) = scan.model {
            assert_eq!(serde_json::from_str::<String>(&body[place]).unwrap(), name);
        }
    }

    #[test]
    fn the_model_is_the_one_at_the_top_level() {
        check(r#"{"model":"a"}"#, Some("a"), false);
        check(
            " \n{ \"messages\":[{\"model\":\"x\"}], \"stream\" : true,\t\"model\" : \"a\" }",
            Some("a"),
            true,
        );
        check(
            r#"{"tools":[{"schema":{"model":1}}],"text":"\"model\":\"z\"","model":"b\u002dc"}"#,
            Some("b-c"),
            false,
        );
        check(r#"{"mod\u0065l":"escaped"}"#, Some("escaped"), false);
        check(r#"{"model":null,"stream":null}"#, None, false);
        check(r#"{"messages":[]}"#, None, false);
    }

    fn refused(body: &str, param: Option<&str>, words: &str) {
        let error = scan(body.as_bytes(), 16).unwrap_err();
        assert_eq!(error.param.as_deref(), param, "{body}: {error}");
        assert!(error.message.contains(words), "{body}: {error}");
        assert_eq!(error.status, http::StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_body_that_two_readers_could_read_differently_is_refused() {
        refused(r#"{"model":"a","model":"b"}"#, Some("model"), "twice");
        refused(r#"{"model":"a","mod\u0065l":"b"}"#, Some("model"), "twice");
        refused(r#"{"model":null,"model":"b"}"#, Some("model"), "twice");
        refused(r#"{"stream":false,"stream":true}"#, Some("stream"), "twice");
        refused(r#"{"stream":"true"}"#, Some("stream"), "true or false");
        refused(r#"{"model":7}"#, Some("model"), "string");
        refused(r#"{"model":"a"} x"#, None, "trailing");
        refused(r#"{"model":"a""#, None, "EOF");
        refused(r#"["model"]"#, None, "object");
        refused("", None, "EOF");
        refused(&format!("{{\"a\":{}{}}}", "[".repeat(16), "]".repeat(16)), None, "16 levels");
    }

    #[test]
    fn brackets_inside_strings_are_not_depth() {
        check(
            &format!("{{\"a\":\"{}\\\"{}\",\"model\":\"m\"}}", "[".repeat(99), "{".repeat(99)),
            Some("m"),
            false,
        );
    }

    #[test]
    fn any_top_level_field_is_found_by_name() {
        let body = br#"{"a":{"messages":1}, "messages" : [ 1 ] }"#;
        assert_eq!(&body[field_place(body, "messages").unwrap()], b"[ 1 ]");
        assert_eq!(field_place(body, "temperature"), None);
    }
}
