//! Chat completions that their client asked to store (`store: true`), as records of [`Kind::Completion`].

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::session::items::{describe, joined};
use crate::session::key::{Kind, Owner, SessionId, SessionKey};
use crate::session::metadata;
use crate::session::record::Meta;
use crate::session::turn::Turn;

/// What is shown of the request beside its answer, as OpenAI does.
const ECHOED: [&str; 8] = [
    "tools",
    "tool_choice",
    "seed",
    "top_p",
    "temperature",
    "presence_penalty",
    "frequency_penalty",
    "response_format",
];

#[derive(Deserialize)]
struct Answered {
    id: String,
    #[serde(default)]
    model: Option<String>,
}

/// An object whose values stay as they were written.
type Object = IndexMap<String, Box<RawValue>>;

/// The record, made at `now_ms`, of the completion `answer` to the request `body`. Its one turn holds the request's messages.
/// None where the answer is no completion, or has an id that nobody could ask for.
pub fn record(owner: Owner, body: &[u8], answer: &[u8], ttl_ms: u64, now_ms: u64) -> Option<(Meta, Turn)> {
    let mut asked: Object = serde_json::from_slice(body).ok()?;
    let mut object: Object = serde_json::from_slice(answer).ok()?;
    let answered: Answered = serde_json::from_slice(answer).ok()?;
    let key = SessionKey { kind: Kind::Completion, owner, id: SessionId::parse(&answered.id)? };
    let messages = asked.get("messages").and_then(|it| serde_json::from_str(it.get()).ok());
    let messages: Vec<Box<RawValue>> = messages.unwrap_or_default();
    let mut turn = Turn { id: answered.id, at: now_ms, messages: joined(&messages), ..Turn::default() };
    describe(&mut turn);
    // Checked before the call was made ([`metadata::of_request`]).
    let metadata = metadata::of_request(body).unwrap_or_default();
    for name in ECHOED {
        if let Some(value) = asked.swap_remove(name) {
            object.entry(name.to_owned()).or_insert(value);
        }
    }
    let object = serde_json::to_string(&object).ok()?;
    let meta = Meta {
        metadata,
        model: answered.model,
        object: Some(object.into()),
        ..Meta::new(key, ttl_ms, now_ms)
    };
    Some((meta, turn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_as_it_was_written_with_what_was_asked_beside_it() {
        let body = br#"{"model":"m","messages":[{ "role":"user","content":"a" }],"temperature":0.50,"top_p":1,"store":true,
            "metadata":{"k":"v"}}"#;
        let record = |answer: &str| record(Owner::tenant("a"), body, answer.as_bytes(), 1, 2);
        let (meta, turn) = record(r#"{"id":"c-1","created":9,"top_p":0.1,"x": 1.50 }"#).unwrap();
        let object = r#"{"id":"c-1","created":9,"top_p":0.1,"x":1.50,"temperature":0.50}"#;
        assert_eq!(meta.object.as_deref(), Some(object));
        assert_eq!(meta.metadata, [("k".to_owned(), "v".to_owned())].into());
        assert_eq!((meta.created_at, meta.model), (2, None));
        assert_eq!(&turn.messages[..], br#"{ "role":"user","content":"a" }"#);
        for answer in ["", "[]", "{}", r#"{"id":7}"#, r#"{"id":"a b"}"#] {
            assert_eq!(record(answer), None, "{answer}");
        }
    }
}
