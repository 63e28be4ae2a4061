//! JSON that is carried along as it was written: key order, spaces and the spelling of numbers survive.

use serde_json::value::RawValue;

/// One JSON value, as text that is known to be JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(Box<str>);

impl Json {
    /// None where `text` is no JSON value.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str::<&RawValue>(text).ok().map(Self::from)
    }

    /// A value that stands in JSON which was read: it is not read once more.
    pub(in crate::dialect) fn part(text: &str) -> Self {
        Self(text.into())
    }

    pub fn text(text: &str) -> Self {
        Self(crate::api::fields::quoted(text).into())
    }

    pub fn get(&self) -> &str {
        &self.0
    }

    pub fn as_f64(&self) -> Option<f64> {
        serde_json::from_str(&self.0).ok()
    }

    pub fn as_u64(&self) -> Option<u64> {
        serde_json::from_str(&self.0).ok()
    }
}

impl AsRef<str> for Json {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&RawValue> for Json {
    fn from(value: &RawValue) -> Self {
        Self(value.get().into())
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        Self(value.to_string().into())
    }
}
