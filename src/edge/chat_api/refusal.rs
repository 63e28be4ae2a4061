//! Errors as the earlier service's front-ends read them too: beside OpenAI's error object stand the fields they look for.

use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value};

use crate::edge::chat_api::path::{self, ChatPath};

/// What the front-ends of a path look for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manner {
    /// The sentence as `detail`.
    Detail,
    /// `success: false` and the sentence as `message` besides.
    Success,
}

impl Manner {
    /// None: `path` is not one of the earlier service's.
    pub fn of(path: &str) -> Option<Self> {
        Some(match path::find(&Method::POST, path)? {
            Ok(ChatPath::Generate) => Self::Success,
            _ => Self::Detail,
        })
    }

    /// An error `body` with these fields; one without an error object stays as it is.
    pub fn told(self, body: Bytes) -> Bytes {
        let Ok(mut object) = serde_json::from_slice::<Map<String, Value>>(&body) else { return body };
        let error = object.get("error").unwrap_or(&Value::Null);
        let Some(sentence) = error["message"].as_str().or(error.as_str()).map(Value::from) else {
            return body;
        };
        if self == Self::Success {
            object.insert("success".into(), false.into());
            object.insert("message".into(), sentence.clone());
        }
        object.insert("detail".into(), sentence);
        Value::Object(object).to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_both_forms() {
        let check = |path: &str, body: &'static str, expected: &str| {
            let told = Manner::of(path).unwrap().told(Bytes::from_static(body.as_bytes()));
            let read = |it: &[u8]| serde_json::from_slice::<Value>(it).ok();
            assert_eq!(read(&told), read(expected.as_bytes()), "{path}");
        };
        let error = r#"{"error":{"message":"no","code":"c"}}"#;
        check("/chat/history", error, r#"{"error":{"message":"no","code":"c"},"detail":"no"}"#);
        check("/chat/session/a", error, r#"{"error":{"message":"no","code":"c"},"detail":"no"}"#);
        check(
            "/generate/image/",
            error,
            r#"{"error":{"message":"no","code":"c"},"success":false,"message":"no","detail":"no"}"#,
        );
        check("/upload/image", r#"{"error":"no"}"#, r#"{"error":"no","detail":"no"}"#);
        check("/upload/image", r#"{"a":1}"#, r#"{"a":1}"#);
        check("/upload/image", "no", "no");
        assert_eq!(Manner::of("/chat/completions"), None);
    }
}
