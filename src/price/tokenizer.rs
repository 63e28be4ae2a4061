//! Real token counts where the operator wants them. The tables of OpenAI's tokenizers add 50 MB to the binary and 100 MB
//! to the memory of a process that uses them, so they are part of builds with the feature `tokenizer` only.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::price::estimate;

/// Whether this build has the tables.
pub const IS_BUILT_IN: bool = cfg!(feature = "tokenizer");

/// Longer texts are estimated, for they would keep a thread from other calls: some 10 ms at this size. In bytes.
const EXACT_BYTES_MAX: usize = 128 << 10;

/// How tokens that no vendor counted are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenCounts {
    /// By the look of the text: within a quarter as a rule.
    #[default]
    Estimate,
    /// By the model's own tokenizer where it is known, which is OpenAI's; else estimated.
    Tokenizer,
}

impl TokenCounts {
    /// Tokens of a text that `model` wrote or read.
    pub fn text_tokens(self, model: &str, text: &[u8]) -> u64 {
        let exact = match self {
            Self::Estimate => None,
            Self::Tokenizer => str::from_utf8(text)
                .ok()
                .filter(|it| it.len() <= EXACT_BYTES_MAX)
                .and_then(|it| text_tokens_exact(model, it)),
        };
        exact.unwrap_or_else(|| estimate::text_tokens(text))
    }

    /// Loads the tables if they will be needed, so that no call waits for them: some 0.2 s.
    pub fn prepare(self) {
        if self == Self::Tokenizer {
            let _ = (text_tokens_exact("gpt-4o", ""), text_tokens_exact("gpt-4", ""));
        }
    }
}

/// Tokens of `text` as `model` counts them. None: its tokenizer is not known, or not part of this build.
#[cfg(not(feature = "tokenizer"))]
pub fn text_tokens_exact(_model: &str, _text: &str) -> Option<u64> {
    None
}

/// Tokens of `text` as `model` counts them. None: its tokenizer is not known, or not part of this build.
#[cfg(feature = "tokenizer")]
pub fn text_tokens_exact(model: &str, text: &str) -> Option<u64> {
    let tokens = encoding(model)?.count(text);
    u64::try_from(tokens).ok()
}

/// The tables of a model, by its name as the vendor is asked for it, with or without a relay's `openai/` before it.
#[cfg(feature = "tokenizer")]
fn encoding(model: &str) -> Option<&'static bpe_openai::Tokenizer> {
    let name = model.rsplit('/').next().unwrap_or(model);
    let begins = |beginnings: &[&str]| beginnings.iter().any(|it| name.starts_with(it));
    if begins(&["gpt-4o", "gpt-4.", "chatgpt-4o", "o1", "o3", "o4-"]) {
        return Some(bpe_openai::o200k_base());
    }
    if begins(&["gpt-4", "gpt-3.5", "text-embedding-3", "text-embedding-ada"]) {
        return Some(bpe_openai::cl100k_base());
    }
    begins(&["gpt-"]).then(bpe_openai::o200k_base)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Утром в посёлке отключили воду, и жители собрались у колонки возле школы.";

    #[test]
    fn what_no_tokenizer_knows_is_estimated() {
        let estimated = estimate::text_tokens(TEXT.as_bytes());
        TokenCounts::Tokenizer.prepare();
        assert_eq!(TokenCounts::Estimate.text_tokens("gpt-4o", TEXT.as_bytes()), estimated);
        assert_eq!(TokenCounts::Tokenizer.text_tokens("qwen-plus", TEXT.as_bytes()), estimated);
        let (long, broken) = (TEXT.repeat(2_000), b"\xFF half");
        for text in [long.as_bytes(), broken] {
            assert_eq!(TokenCounts::Tokenizer.text_tokens("gpt-4o", text), estimate::text_tokens(text));
        }
    }

    #[cfg(feature = "tokenizer")]
    #[test]
    fn openai_models_are_counted_by_their_own_tokenizer() {
        let check = |model, tokens| assert_eq!(text_tokens_exact(model, TEXT), tokens, "{model}");
        for model in ["gpt-4o-mini", "openai/gpt-4.1", "gpt-5.6-luna", "o3-mini", "gpt-oss-120b"] {
            check(model, Some(21));
        }
        for model in ["gpt-4", "gpt-4-turbo", "gpt-3.5-turbo", "text-embedding-3-small"] {
            check(model, Some(40));
        }
        check("claude-opus-5", None);
        assert_eq!(TokenCounts::Tokenizer.text_tokens("gpt-4o", TEXT.as_bytes()), 21);
    }
}
