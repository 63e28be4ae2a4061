//! Puts a streamed chat completion together as the whole answer that it would have been, for those who asked that it be
//! stored (`store: true`). The message itself is [`crate::session::heard`]'s business.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::api::usage::Usage;

/// A chat completion as far as its chunks told.
#[derive(Debug, Default)]
pub struct Draft {
    /// What every chunk repeats: id, created, model and the like, as the first one says it.
    head: Map<String, Value>,
    finish_reason: Option<String>,
    /// As the vendor stated it, in JSON.
    usage: Option<String>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Choice {
    index: u64,
    finish_reason: Option<String>,
}

/// Fields of the head: whatever else chunks hold belongs to their choices.
const HEAD: [&str; 5] = ["id", "created", "model", "service_tier", "system_fingerprint"];

impl Draft {
    /// Takes in the data of one event.
    pub fn event(&mut self, data: &[u8]) {
        let Ok(chunk) = serde_json::from_slice::<Chunk>(data) else { return };
        if self.head.is_empty()
            && let Ok(Value::Object(whole)) = serde_json::from_slice(data)
        {
            self.head = whole.into_iter().filter(|(name, _)| HEAD.contains(&name.as_str())).collect();
        }
        let first = chunk.choices.into_iter().find(|it| it.index == 0);
        if let Some(reason) = first.and_then(|it| it.finish_reason) {
            self.finish_reason = Some(reason);
        }
        if let Some(usage) = chunk.usage.filter(|it| it.get().starts_with('{')) {
            self.usage = Some(usage.get().to_owned());
        }
    }

    /// The completion with this message, as JSON. `counted`: the usage where the client was not told it.
    pub fn answer(&self, message: &str, counted: Option<Usage>) -> Option<String> {
        let message: Value = serde_json::from_str(message).ok()?;
        let mut answer = self.head.clone();
        answer.insert("object".into(), "chat.completion".into());
        let choice =
            json!({"index": 0, "message": message, "finish_reason": self.finish_reason, "logprobs": null});
        answer.insert("choices".into(), json!([choice]));
        let stated = self.usage.as_ref().and_then(|it| serde_json::from_str(it).ok());
        let usage = stated.or_else(|| counted.map(stated_as));
        answer.insert("usage".into(), usage.unwrap_or(Value::Null));
        Some(Value::Object(answer).to_string())
    }
}

fn stated_as(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_become_the_answer_they_would_have_been() {
        let mut draft = Draft::default();
        for data in [
            r#"{"id":"c-1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"role":"assistant"}}]}"#,
            r#"{"id":"c-1","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}"#,
            r#"{"id":"c-1","choices":[{"index":1,"finish_reason":"length"},{"index":0,"finish_reason":"stop"}]}"#,
            r#"{"id":"c-1","choices":[],"usage":{"prompt_tokens":3}}"#,
            "[DONE]",
        ] {
            draft.event(data.as_bytes());
        }
        let answer: Value =
            serde_json::from_str(&draft.answer(r#"{"role":"assistant","content":"hi"}"#, None).unwrap())
                .unwrap();
        assert_eq!(
            answer,
            json!({
                "id": "c-1", "object": "chat.completion", "created": 7, "model": "m",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop", "logprobs": null}],
                "usage": {"prompt_tokens": 3},
            })
        );
    }

    #[test]
    fn usage_that_the_client_was_not_told_is_counted_by_the_gateway() {
        let usage = Usage { input: 2, output: 3, ..Usage::default() };
        let answer = Draft::default().answer("{}", Some(usage)).unwrap();
        assert!(answer.contains(r#""total_tokens":5"#), "{answer}");
    }
}
