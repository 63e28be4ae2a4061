//! Recognises a 200 that says nothing: every choice ended before its first word, for `content_filter`, as moderation emptied
//! it, or for a failure of the vendor's.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::Value;

use crate::dialect::chat::finish::FAILED;

static FILTERED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"content_filter\""));

static BROKEN: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| FAILED.map(|it| Finder::new(&format!("\"{it}\"")).into_owned()));

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
    FILTERED.find(answer).is_some() && says_nothing(answer, |it| it == "content_filter")
}

/// Whether the vendor failed before its first word.
pub fn is_broken_off(answer: &[u8]) -> bool {
    let suspicious = BROKEN.iter().any(|it| it.find(answer).is_some());
    suspicious && says_nothing(answer, |it| FAILED.contains(&it))
}

/// Whether no choice says anything, and each ended for a reason of that kind.
fn says_nothing(answer: &[u8], ended: impl Fn(&str) -> bool) -> bool {
    let Ok(answer) = serde_json::from_slice::<Answer>(answer) else { return false };
    let is_silent = |it: &Choice| {
        let said = [&it.message.content, &it.message.tool_calls, &it.text];
        it.finish_reason.as_deref().is_some_and(&ended) && said.into_iter().all(is_empty)
    };
    !answer.choices.is_empty() && answer.choices.iter().all(is_silent)
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

    #[test]
    fn an_answer_that_broke_off_before_its_first_word_is_a_failure() {
        let check = |end: &str, content: &str, expected: bool| {
            let choice = format!(r#"{{"finish_reason":"{end}","message":{{"content":{content}}}}}"#);
            assert_eq!(
                is_broken_off(format!(r#"{{"choices":[{choice}]}}"#).as_bytes()),
                expected,
                "{choice}"
            );
        };
        check("network_error", "null", true);
        check("insufficient_system_resource", r#""""#, true);
        check("error", "null", true);
        check("error", r#""half a""#, false);
        check("stop", r#""an error""#, false);
        check("stop", r#""""#, false);
    }
}
