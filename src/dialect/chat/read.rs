//! Reads single values of a request, and says what is wrong with them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::api::fields::{self, Fields};
use crate::api::surrogates;
use crate::dialect::json::Json;
use crate::error::Error;

/// A 400 that names the field.
pub fn refused(param: &str, wanted: &str) -> Error {
    Error::bad_request(format!("`{param}` must be {wanted}.")).param(param)
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
