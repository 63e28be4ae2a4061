//! Reads single values of a request, whatever its dialect, and says what is wrong with them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::api::fields::{self, Fields};
use crate::api::surrogates;
use crate::dialect::json::Json;
use crate::error::Error;

/// A 400 that names the field.
pub fn refused(param: &str, wanted: &str) -> Error {
    Error::bad_request(format!("`{param}` must be {wanted}.")).param(param).code("invalid_value")
}

pub fn text<'a>(param: &str, json: &'a str) -> Result<Cow<'a, str>, Error> {
    surrogates::text(json).ok_or_else(|| refused(param, "a string"))
}

pub fn number(param: &str, json: &str) -> Result<Json, Error> {
    let is_number = json.starts_with(|it: char| it == '-' || it.is_ascii_digit());
    is_number.then(|| raw(json)).ok_or_else(|| refused(param, "a number"))
}

/// Also a count with a fraction of nothing, such as `4096.0`.
pub fn count(param: &str, json: &str) -> Result<u64, Error> {
    let whole = json.parse().ok();
    let float = || json.parse().ok().filter(|it: &f64| it.fract() == 0.0 && (0.0..=9e15).contains(it));
    whole.or_else(|| float().map(|it| it as u64)).ok_or_else(|| refused(param, "a whole number"))
}

pub fn flag(param: &str, json: &str) -> Result<bool, Error> {
    match json {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(refused(param, "true or false")),
    }
}

pub fn list<'a>(param: &str, json: &'a str) -> Result<Vec<&'a RawValue>, Error> {
    fields::elements(json).ok_or_else(|| refused(param, "a list"))
}

pub fn object<'a>(param: &str, json: &'a str) -> Result<Fields<'a>, Error> {
    Fields::read(json).ok_or_else(|| refused(param, "an object"))
}

/// A value that is a part of JSON which was read.
pub fn raw(json: &str) -> Json {
    Json::part(json)
}

/// The text of a field, mended.
pub fn text_of(fields: &Fields, name: &str) -> Option<String> {
    fields.value(name).and_then(surrogates::text).map(Cow::into_owned)
}

/// The value of a field, where it is an object.
pub fn object_of<'a>(fields: &Fields<'a>, name: &str) -> Option<Fields<'a>> {
    fields.value(name).and_then(Fields::read)
}

pub fn raw_of(fields: &Fields, name: &str) -> Option<Json> {
    fields.value(name).map(raw)
}

pub fn flag_of(fields: &Fields, name: &str) -> Option<bool> {
    fields.value(name).and_then(|it| it.parse().ok())
}

pub fn count_of(fields: &Fields, name: &str) -> Option<u64> {
    fields.value(name).and_then(|it| it.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Aside, Dialect};

    #[test]
    fn a_count_may_be_written_as_a_fraction_of_nothing() {
        let check = |json: &str, expected: Option<u64>| assert_eq!(count("n", json).ok(), expected, "{json}");
        check("4096", Some(4096));
        check("4096.0", Some(4096));
        check("4e3", Some(4000));
        for none in ["-1", "1.5", "\"7\"", "true", "1e99"] {
            check(none, None);
        }
    }

    #[test]
    fn every_dialect_of_clients_reads_such_a_count() {
        let messages = r#""messages":[{"role":"user","content":"Hi"}]"#;
        for (dialect, body) in [
            (Dialect::Chat, format!(r#"{{"model":"m","max_tokens":4096.0,{messages}}}"#)),
            (Dialect::Completions, r#"{"model":"m","max_tokens":4096.0,"prompt":"Hi"}"#.into()),
            (Dialect::Anthropic, format!(r#"{{"model":"m","max_tokens":4096.0,{messages}}}"#)),
            (Dialect::Responses, r#"{"model":"m","max_output_tokens":4096.0,"input":"Hi"}"#.into()),
            (
                Dialect::Gemini,
                r#"{"model":"m","generationConfig":{"maxOutputTokens":4096.0},"contents":[{"parts":[{"text":"Hi"}]}]}"#.into(),
            ),
        ] {
            let reader = dialect.of_clients().unwrap();
            let prompt = reader.read_prompt(body.as_bytes(), &Aside::default()).unwrap();
            assert_eq!(prompt.output_max, Some(4096), "{body}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = number("top_p", "\"1\"").unwrap_err();
        assert_eq!((error.param.as_deref(), error.code.as_deref()), (Some("top_p"), Some("invalid_value")));
    }
}
