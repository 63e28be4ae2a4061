//! Remembers what a streamed chat completion said, so that another target can go on with it when it breaks off.
//! Filled by `upstream::relay` for routes that want it; knows chunks, not streams.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::vendor::filled::Filled;
use crate::vendor::stream::TOKEN_BYTES;

/// Text that is remembered, in bytes: an answer that is longer is not continued.
pub const SAID_BYTES_MAX: usize = 1 << 20;

/// The answer so far.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    /// The stream's id as JSON text.
    pub id: Option<String>,
    pub content: String,
    pub reasoning: String,
    /// The last usage the vendor stated, as JSON text.
    pub usage: Option<String>,
    /// It said something that cannot be taken up in the middle, or everything.
    barred: bool,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Choice {
    index: u64,
    delta: Option<Delta>,
    message: Filled,
    text: Filled,
    finish_reason: Filled,
    logprobs: Filled,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Delta {
    /// Text; content in parts does not parse, and bars.
    content: Option<String>,
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    refusal: Filled,
    tool_calls: Filled,
    function_call: Filled,
    audio: Filled,
}

impl Said {
    /// Takes in the data of one event.
    pub fn hear(&mut self, data: &[u8]) {
        if self.barred {
            return;
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk>(data) else { return self.bar() };
        if self.id.is_none() {
            // Azure's first event has none yet: `""`.
            self.id = chunk.id.map(RawValue::get).filter(|it| *it != "\"\"").map(str::to_owned);
        }
        if let Some(usage) = chunk.usage.filter(|it| it.get().starts_with('{')) {
            self.usage = Some(usage.get().to_owned());
        }
        for choice in chunk.choices.unwrap_or_default() {
            self.hear_choice(choice);
        }
        if self.content.len() + self.reasoning.len() > SAID_BYTES_MAX {
            self.bar();
        }
    }

    fn hear_choice(&mut self, choice: Choice) {
        let delta = choice.delta.unwrap_or_default();
        let whole = [
            &choice.message,
            &choice.text,
            &choice.finish_reason,
            &choice.logprobs,
            &delta.refusal,
            &delta.tool_calls,
            &delta.function_call,
            &delta.audio,
        ];
        if choice.index > 0 || whole.iter().any(|it| it.says_something()) {
            return self.bar();
        }
        self.content.push_str(&delta.content.unwrap_or_default());
        let reasoning = delta.reasoning_content.or(delta.reasoning);
        self.reasoning.push_str(&reasoning.unwrap_or_default());
    }

    /// What was said is let go, for it will not be needed.
    fn bar(&mut self) {
        *self = Self { barred: true, ..Self::default() };
    }

    /// Whether it is plain text that somebody else can go on with.
    pub fn can_go_on(&self) -> bool {
        let is_silent = self.content.is_empty() && self.reasoning.is_empty();
        !self.barred && !is_silent
    }

    /// Tokens that it took to say, estimated.
    pub fn tokens(&self) -> u64 {
        ((self.content.len() + self.reasoning.len()) / TOKEN_BYTES) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(deltas: &[&str]) -> Said {
        let mut said = Said::default();
        for delta in deltas {
            said.hear(format!(r#"{{"id":"s-1","choices":[{{"index":0,{delta}}}]}}"#).as_bytes());
        }
        said
    }

    #[test]
    fn text_and_reasoning_are_remembered_as_they_were_said() {
        let said = heard(&[
            r#""delta":{"role":"assistant","content":""},"finish_reason":null,"logprobs":null"#,
            r#""delta":{"reasoning_content":"hm","reasoning":"hm"}"#,
            r#""delta":{"content":"caf\u00e9 ","tool_calls":[],"refusal":null}"#,
            r#""delta":{"content":"\"noir\""}"#,
        ]);
        assert!(said.can_go_on());
        assert_eq!((said.content.as_str(), said.reasoning.as_str()), ("café \"noir\"", "hm"));
        assert_eq!(said.id.as_deref(), Some(r#""s-1""#));
        assert_eq!(said.tokens(), 3);
    }

    #[test]
    fn what_has_no_middle_is_not_continued() {
        let check = |delta: &str| {
            assert!(!heard(&[r#""delta":{"content":"a"}"#, delta]).can_go_on(), "{delta}");
        };
        check(r#""delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a"}}]}"#);
        check(r#""delta":{"function_call":{"name":"f"}}"#);
        check(r#""delta":{"refusal":"I"}"#);
        check(r#""delta":{"audio":{"id":"a"}}"#);
        check(r#""delta":{"content":[{"type":"text","text":"a"}]}"#);
        check(r#""delta":{"content":"b"},"logprobs":{"content":[]}"#);
        check(r#""delta":{},"finish_reason":"stop""#);
        check(r#""index":1,"delta":{"content":"b"}"#);
        check(r#""delta":{"content":"\ud83d"}"#);
        assert!(!heard(&[r#""delta":{"role":"assistant"}"#]).can_go_on(), "nothing was said");
        let long = format!(r#""delta":{{"content":"{}"}}"#, "x".repeat(SAID_BYTES_MAX));
        check(&long);
    }

    #[test]
    fn an_id_that_says_nothing_is_none() {
        let mut said = Said::default();
        said.hear(br#"{"id":"","choices":[],"prompt_filter_results":[]}"#);
        said.hear(br#"{"id":null,"choices":[]}"#);
        said.hear(br#"{"id":"s-1","choices":[{"delta":{"content":"a"}}]}"#);
        assert_eq!(said.id.as_deref(), Some(r#""s-1""#));
    }

    #[test]
    fn the_last_usage_stated_is_kept() {
        let mut said = heard(&[r#""delta":{"content":"a"}"#]);
        said.hear(br#"{"choices":[],"usage":{"prompt_tokens":1}}"#);
        said.hear(br#"{"choices":[],"usage":{"prompt_tokens":2}}"#);
        said.hear(br#"{"choices":[],"usage":null}"#);
        assert_eq!(said.usage.as_deref(), Some(r#"{"prompt_tokens":2}"#));
    }
}
