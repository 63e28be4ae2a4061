//! The fields of a request's body, each checked as it is taken.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::edge::sessions::reply::shown;
use crate::error::Error;
use crate::session::items::Misgiven;
use crate::session::metadata::metadata;

/// The object that a body is.
pub struct Fields(BTreeMap<String, Box<RawValue>>);

impl Fields {
    /// `known`: the fields there may be. An empty body has none.
    pub fn read(body: &[u8], known: &[&str]) -> Result<Self, Error> {
        let fields: BTreeMap<String, Box<RawValue>> = match body.trim_ascii().is_empty() {
            true => BTreeMap::new(),
            false => serde_json::from_slice(body).map_err(|fault| {
                Error::bad_request(format!("The request body is not a valid JSON object: {fault}."))
                    .code("invalid_json")
            })?,
        };
        if let Some(name) = fields.keys().find(|it| !known.contains(&it.as_str())) {
            let name = shown(name);
            let takes = match known {
                [] => "it takes none".to_owned(),
                names => format!("it takes `{}`", names.join("`, `")),
            };
            let message = format!("`{name}` is no field of this call; {takes}.");
            return Err(Error::bad_request(message).param(name).code("unknown_parameter"));
        }
        Ok(Self(fields))
    }

    /// What is valid JSON is a value but for half a character, or a number that is none.
    fn value(&self, name: &str) -> Result<Option<Value>, Error> {
        let read = self.0.get(name).map(|it| serde_json::from_str(it.get())).transpose();
        read.map_err(|_| wrong(name, "without half characters and within what numbers can be"))
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A text; None where it is absent or null.
    pub fn text(&self, name: &str, characters_max: usize) -> Result<Option<String>, Error> {
        match self.value(name)? {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.chars().count() <= characters_max => Ok(Some(text)),
            Some(_) => Err(wrong(name, &format!("a text of at most {characters_max} characters"))),
        }
    }

    /// A whole number; None where it is absent or null.
    pub fn number(&self, name: &str, max: u64) -> Result<Option<u64>, Error> {
        match self.value(name)? {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64().filter(|it| *it <= max) {
                Some(number) => Ok(Some(number)),
                None => Err(wrong(name, &format!("a whole number from 0 to {max}"))),
            },
        }
    }

    /// A list, each entry as it was written; None where it is absent or null.
    pub fn list(&self, name: &str) -> Result<Option<Vec<Box<RawValue>>>, Error> {
        match self.0.get(name).map(|it| it.get()) {
            None | Some("null") => Ok(None),
            Some(text) => serde_json::from_str(text).map(Some).map_err(|_| wrong(name, "a list")),
        }
    }

    /// None where it is absent; empty where it is null.
    pub fn metadata(&self) -> Result<Option<BTreeMap<String, String>>, Error> {
        self.0.get("metadata").map(|it| metadata(it.get())).transpose().map_err(misgiven)
    }
}

/// 400 for what a client gave.
pub fn misgiven(it: Misgiven) -> Error {
    Error::bad_request(it.message).param(it.param).code("invalid_value")
}

/// 400 that says what `name` must be.
pub fn wrong(name: &str, wanted: &str) -> Error {
    Error::bad_request(format!("`{name}` must be {wanted}.")).param(name).code("invalid_value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::read(body.as_bytes(), &["metadata", "title", "ttl_s", "messages"]).ok().unwrap()
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let body = fields(r#"{"title":7,"ttl_s":-1,"messages":{}}"#);
        let param = |error: Error| error.param.clone().unwrap();
        assert_eq!(param(body.text("title", 3).unwrap_err()), "title");
        assert_eq!(param(body.number("ttl_s", 3).unwrap_err()), "ttl_s");
        assert_eq!(param(body.list("messages").unwrap_err()), "messages");
        assert_eq!(param(Fields::read(b"{\"x\":1}", &["title"]).err().unwrap()), "x");
        let half = fields(r#"{"title":"\ud83d","metadata":{"k":"\ud83d"},"ttl_s":1e999}"#);
        assert_eq!(param(half.text("title", 3).unwrap_err()), "title");
        assert_eq!(param(half.number("ttl_s", 3).unwrap_err()), "ttl_s");
        assert_eq!(param(half.metadata().unwrap_err()), "metadata");
        assert!(Fields::read(b"[]", &[]).is_err());
        let refused = Fields::read(b"{\"x\":1}", &[]).err().unwrap();
        assert_eq!(refused.message, "`x` is no field of this call; it takes none.");
    }
}
