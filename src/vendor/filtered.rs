//! Recognises an answer that a vendor's moderation emptied: a 200 in which every choice ended for `content_filter` and
//! says nothing.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::Value;

static FILTERED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"content_filter\""));

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    message: Message,
    #[serde(default)]
    text: Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Message {
    content: Value,
    tool_calls: Value,
}

/// Whether the whole answer is nothing but a refusal by moderation.
pub fn is_filtered(answer: &[u8]) -> bool {
    if FILTERED.find(answer).is_none() {
        return false;
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(answer) else { return false };
    let is_filtered = |it: &Choice| {
        let said = [&it.message.content, &it.message.tool_calls, &it.text];
        it.finish_reason.as_deref() == Some("content_filter") && said.into_iter().all(is_empty)
    };
    !answer.choices.is_empty() && answer.choices.iter().all(is_filtered)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_that_is_empty_throughout_is_filtered() {
        let check = |choices: &str, expected: bool| {
            let answer = format!(r#"{{"choices":[{choices}]}}"#);
            assert_eq!(is_filtered(answer.as_bytes()), expected, "{choices}");
        };
        let empty = r#"{"finish_reason":"content_filter","message":{"role":"assistant","content":null}}"#;
        check(empty, true);
        check(r#"{"finish_reason":"content_filter","text":""}"#, true);
        check(&format!(r#"{empty},{{"finish_reason":"stop","message":{{"content":"hi"}}}}"#), false);
        check(r#"{"finish_reason":"content_filter","message":{"content":"half a"}}"#, false);
        check(r#"{"finish_reason":"content_filter","message":{"tool_calls":[{"id":"t"}]}}"#, false);
        check(r#"{"finish_reason":"stop","message":{"content":"\"content_filter\""}}"#, false);
        check("", false);
    }
}
