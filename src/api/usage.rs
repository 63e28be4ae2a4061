//! Token counts of one call, in one meaning whoever counted them.

use serde::Deserialize;

use crate::api::money::Money;

/// Tokens of one call. `input` includes `cached_input`, `cache_write` and `audio_input`; `output` includes `reasoning`
/// and `audio_output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub cached_input: u64,
    /// All that was written to the cache.
    pub cache_write: u64,
    /// The part of `cache_write` that is kept for an hour.
    pub cache_write_1h: u64,
    pub output: u64,
    pub reasoning: u64,
    pub audio_input: u64,
    pub audio_output: u64,
    /// What the vendor itself says the call cost.
    pub stated_cost: Option<Money>,
    /// Nobody counted: these are our own estimates.
    pub estimated: bool,
}

/// The `usage` object as vendors of the OpenAI dialect spell it: chat completions (`prompt_tokens`),
/// responses and audio (`input_tokens`), DeepSeek's and Kimi's own words for cache hits.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct UsageBody {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    total_tokens: Option<u64>,
    #[serde(alias = "input_tokens_details")]
    prompt_tokens_details: Option<InputDetails>,
    #[serde(alias = "output_tokens_details")]
    completion_tokens_details: Option<OutputDetails>,
    prompt_cache_hit_tokens: Option<u64>,
    cached_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Option<u64>,
    #[serde(alias = "cache_creation_input_tokens")]
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

impl UsageBody {
    /// The one meaning. Embeddings name no output: it is what the total leaves.
    pub fn usage(&self) -> Usage {
        let input = self.prompt_tokens.or(self.input_tokens).unwrap_or(0);
        let output = self
            .completion_tokens
            .or(self.output_tokens)
            .or_else(|| self.total_tokens.map(|total| total.saturating_sub(input)))
            .unwrap_or(0);
        let details = self.prompt_tokens_details.as_ref();
        Usage {
            input,
            cached_input: details
                .and_then(|it| it.cached_tokens)
                .or(self.prompt_cache_hit_tokens)
                .or(self.cached_tokens)
                .unwrap_or(0),
            cache_write: details.and_then(|it| it.cache_write_tokens).unwrap_or(0),
            output,
            reasoning: self
                .completion_tokens_details
                .as_ref()
                .and_then(|it| it.reasoning_tokens)
                .unwrap_or(0),
            ..Usage::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: [u64; 5]) {
        let body: UsageBody = serde_json::from_str(json).unwrap();
        let it = body.usage();
        assert_eq!([it.input, it.cached_input, it.cache_write, it.output, it.reasoning], expected, "{json}");
    }

    #[test]
    fn every_spelling_of_usage_has_one_meaning() {
        check(r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}"#, [9, 0, 0, 4, 0]);
        check(
            r#"{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":5,"cache_write_tokens":2},
                "completion_tokens_details":{"reasoning_tokens":3,"extra":1}}"#,
            [9, 5, 2, 4, 3],
        );
        check(r#"{"prompt_tokens":9,"completion_tokens":4,"prompt_cache_hit_tokens":6}"#, [9, 6, 0, 4, 0]);
        check(r#"{"prompt_tokens":9,"completion_tokens":4,"cached_tokens":7}"#, [9, 7, 0, 4, 0]);
        check(
            r#"{"input_tokens":9,"output_tokens":4,"input_tokens_details":{"cached_tokens":1},"output_tokens_details":{"reasoning_tokens":2}}"#,
            [9, 1, 0, 4, 2],
        );
        check(r#"{"prompt_tokens":8,"total_tokens":8}"#, [8, 0, 0, 0, 0]);
    }
}
