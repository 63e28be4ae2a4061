//! What a request of the earlier service says, in its query or in a JSON object. Empty and null count as left out.

use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::session::key::SessionId;

/// Parameters by name.
#[derive(Debug, Default)]
pub struct Fields(Vec<(String, String)>);

/// Length of a `user_id`, in bytes.
const USER_BYTES_MAX: usize = 256;

/// Parameters that one query may hold.
const PARAMETERS_MAX: usize = 64;

impl Fields {
    /// Of a query, in the form that browsers write. Of two of a name the last counts.
    pub fn of_query(query: Option<&str>) -> Result<Self, Error> {
        let pairs = query.unwrap_or_default().split('&').filter(|it| !it.is_empty());
        let mut fields = Vec::new();
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if fields.len() == PARAMETERS_MAX {
                return Err(invalid("", &format!("The query has more than {PARAMETERS_MAX} parameters.")));
            }
            fields.push((decoded(name)?, decoded(value)?));
        }
        Ok(Self(fields))
    }

    /// Of a JSON object.
    pub fn of_json(body: &[u8]) -> Result<Self, Error> {
        let object: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|fault| invalid("", &format!("The request body is no JSON object: {fault}.")))?;
        let mut fields = Vec::new();
        for (name, value) in object {
            match value {
                Value::String(text) => fields.push((name, text)),
                Value::Null => {}
                _ if KNOWN.contains(&name.as_str()) => {
                    return Err(invalid(&name, &format!("`{name}` must be text.")));
                }
                _ => {}
            }
        }
        Ok(Self(fields))
    }

    pub fn optional(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(it, _)| it == name);
        found.map(|(_, value)| value.as_str()).filter(|it| !it.is_empty())
    }

    pub fn required(&self, name: &str) -> Result<&str, Error> {
        self.optional(name).ok_or_else(|| {
            Error::bad_request(format!("`{name}` is missing."))
                .status(StatusCode::UNPROCESSABLE_ENTITY)
                .param(name)
                .code("missing_parameter")
        })
    }

    /// The namespace that the caller speaks for.
    pub fn user(&self) -> Result<&str, Error> {
        let user = self.required("user_id")?;
        match user.len() <= USER_BYTES_MAX {
            true => Ok(user),
            false => Err(invalid("user_id", &format!("`user_id` may have at most {USER_BYTES_MAX} bytes."))),
        }
    }

    pub fn session(&self) -> Result<SessionId, Error> {
        session(self.required("session_id")?)
    }
}

/// Fields that are read, and must be text.
const KNOWN: [&str; 11] = [
    "user_id",
    "session_id",
    "message",
    "role",
    "provider",
    "model",
    "image_data",
    "image_type",
    "prompt",
    "size",
    "quality",
];

/// A session's id.
pub fn session(text: &str) -> Result<SessionId, Error> {
    SessionId::parse(text).ok_or_else(|| {
        invalid("session_id", "`session_id` must be 1 to 128 letters, digits, `-`, `_`, `.` or `:`.")
    })
}

fn decoded(text: &str) -> Result<String, Error> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map(String::from);
    decoded.map_err(|_| invalid("", "The query is not UTF-8 text."))
}

fn invalid(param: &str, message: &str) -> Error {
    let error =
        Error::bad_request(message).status(StatusCode::UNPROCESSABLE_ENTITY).code("invalid_parameter");
    if param.is_empty() { error } else { error.param(param) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_browsers_write_it() {
        let fields = Fields::of_query(Some("message=a+b%2Bc%20%E4%BD%A0&role=&x&model=m1&model=m2")).unwrap();
        assert_eq!(fields.required("message").unwrap(), "a b+c 你");
        assert_eq!((fields.optional("role"), fields.optional("x")), (None, None));
        assert_eq!(fields.optional("model"), Some("m2"));
    }

    #[test]
    fn what_is_missing_or_no_text_is_422() {
        let check = |error: Error, param: Option<&str>, code: &str| {
            assert_eq!((error.status.as_u16(), error.param.as_deref()), (422, param));
            assert_eq!(error.code.as_deref(), Some(code));
        };
        let fields = Fields::of_json(br#"{"user_id":null,"n":[1],"session_id":"a/b"}"#).unwrap();
        check(fields.user().unwrap_err(), Some("user_id"), "missing_parameter");
        check(fields.session().unwrap_err(), Some("session_id"), "invalid_parameter");
        check(Fields::of_json(br#"{"message":7}"#).unwrap_err(), Some("message"), "invalid_parameter");
        check(Fields::of_json(b"[]").unwrap_err(), None, "invalid_parameter");
        check(Fields::of_query(Some("a=%ff")).unwrap_err(), None, "invalid_parameter");
        let many = "a=1&".repeat(PARAMETERS_MAX + 1);
        check(Fields::of_query(Some(&many)).unwrap_err(), None, "invalid_parameter");
        let long = format!("user_id={}", "u".repeat(USER_BYTES_MAX + 1));
        check(
            Fields::of_query(Some(&long)).unwrap().user().unwrap_err(),
            Some("user_id"),
            "invalid_parameter",
        );
    }
}
