//! The turns that a list of chat messages is: a session may begin with what was said elsewhere.

use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::edge::sessions::fields::wrong;
use crate::error::Error;
use crate::session::incoming::title;
use crate::session::items::{describe, joined, readable};
use crate::session::key::random_text;
use crate::session::turn::Turn;

/// What a session begins with.
#[derive(Default)]
pub struct Beginning {
    /// The leading system and developer messages.
    pub system: Arc<str>,
    pub turns: Vec<Turn>,
    pub title: Option<String>,
}

const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

/// Each turn ends with an assistant's message, as those of calls do; the bytes stay as they were written.
pub fn beginning(messages: Vec<Box<RawValue>>, at: u64) -> Result<Beginning, Error> {
    let (mut system, mut turns, mut open, mut called) = (Vec::new(), Vec::new(), Vec::new(), None);
    for (index, raw) in messages.into_iter().enumerate() {
        let message = Value::from(readable(raw.get()).unwrap_or_default());
        let role = message["role"].as_str().unwrap_or_default();
        if !ROLES.contains(&role) {
            let wanted = "a chat message with a `role`, such as `user`";
            return Err(wrong(&format!("messages[{index}]"), wanted));
        }
        if !says(&message, role) {
            let wanted = "a text or a list of parts, each with a `type`";
            return Err(wrong(&format!("messages[{index}].content"), wanted));
        }
        called = called.or_else(|| title_of(&message));
        if turns.is_empty() && open.is_empty() && matches!(role, "system" | "developer") {
            system.push(raw);
            continue;
        }
        open.push(raw);
        if role == "assistant" {
            turns.push(turn(&open, at));
            open.clear();
        }
    }
    if !open.is_empty() {
        turns.push(turn(&open, at));
    }
    let system = String::from_utf8_lossy(&joined(&system)).into();
    Ok(Beginning { system, turns, title: called })
}

/// Whether the content is some: none is needed where a message says something else.
fn says(message: &Value, role: &str) -> bool {
    let others = ["tool_calls", "function_call", "refusal", "audio"];
    match &message["content"] {
        Value::String(_) => true,
        Value::Array(parts) => !parts.is_empty() && parts.iter().all(|it| it["type"].is_string()),
        Value::Null if role == "assistant" => others.iter().any(|it| !message[*it].is_null()),
        content => content.is_null() && role == "function",
    }
}

fn turn(messages: &[Box<RawValue>], at: u64) -> Turn {
    let mut turn = Turn { id: new_turn_id(), at, messages: joined(messages), ..Turn::default() };
    describe(&mut turn);
    turn
}

/// An id for a turn that no call made.
pub fn new_turn_id() -> String {
    format!("turn_{}", random_text())
}

/// The beginning of what a user said, in a chat message or an item.
pub fn title_of(message: &Value) -> Option<String> {
    let said = (message["role"] == "user").then(|| &message["content"])?;
    let in_parts = said.as_array().into_iter().flatten().filter_map(|it| it["text"].as_str());
    said.as_str().into_iter().chain(in_parts).find_map(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(messages: &str) -> Result<Beginning, Error> {
        beginning(serde_json::from_str(messages).unwrap(), 1)
    }

    #[test]
    fn a_turn_ends_with_an_answer_and_keeps_its_bytes() {
        let it = begun(
            r#"[{"role":"system","content":"s"},{ "role":"user","content":" a\n b "},{"role":"assistant","content":null,
                "tool_calls":[]},{"role":"tool","content":"4"},{"role":"assistant","content":"four"},
                {"role":"system","content":"late"},{"role":"user","content":[{"type":"image_url","image_url":{}}]}]"#,
        );
        let it = it.ok().unwrap();
        assert_eq!(&*it.system, r#"{"role":"system","content":"s"}"#);
        assert_eq!(it.title.as_deref(), Some("a b"));
        let flags: Vec<_> =
            it.turns.iter().map(|it| (it.answers_tools, it.instructs, it.images, it.tokens > 0)).collect();
        let expected = [(false, false, false, true), (true, false, false, true), (false, true, true, true)];
        assert_eq!(flags, expected);
        assert!(
            it.turns[0].messages.starts_with(br#"{ "role":"user","content":" a\n b "},{"role":"assistant""#)
        );
    }

    #[test]
    fn what_is_no_message_is_named() {
        let check = |message: &str, param: Option<&str>| {
            let refused = begun(&format!(r#"[{{"role":"user","content":"a"}},{message}]"#)).err();
            assert_eq!(refused.and_then(|it| it.param.clone()).as_deref(), param, "{message}");
        };
        for message in ["{}", "7", r#"{"role":"me"}"#] {
            check(message, Some("messages[1]"));
        }
        for content in ["5", "null", "[]", "[5]", "[{}]", "{}"] {
            check(&format!(r#"{{"role":"user","content":{content}}}"#), Some("messages[1].content"));
        }
        check(r#"{"role":"assistant"}"#, Some("messages[1].content"));
        check(r#"{"role":"assistant","refusal":"no"}"#, None);
        check(r#"{"role":"user","content":"\ud83d"}"#, None);
        assert!(begun("[]").ok().unwrap().turns.is_empty());
    }
}
