//! Single values of request fields: what they are called, whether they say anything, and how they are bounded.

use std::borrow::Cow;

use serde_json::Value;

use super::options::ClampOptions;
use crate::api::fields::{self, Fields};

/// Fields that do not change an answer: hints, and what concerns the client's books alone.
const HINTS: &[&str] = &[
    "cache_control",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "store",
    "stream_options",
    "user",
];

/// Whether a client that sent this field and value loses nothing when it is not sent on.
pub(super) fn is_harmless(name: &str, value: &str) -> bool {
    if value == "null" || HINTS.contains(&name) {
        return true;
    }
    let word = word(value);
    match name {
        "n" | "temperature" | "top_p" => word.parse() == Ok(1.0),
        "frequency_penalty" | "presence_penalty" | "top_logprobs" => word.parse() == Ok(0.0),
        "logprobs" | "strict" => word == "false",
        "parallel_tool_calls" => word == "true",
        "tool_choice" => word == "auto",
        "response_format" => word == "text",
        "service_tier" => word == "auto" || word == "default",
        "logit_bias" | "stop" | "tools" => {
            value.len() > 1 && value[1..value.len() - 1].trim_ascii().is_empty()
        }
        _ => false,
    }
}

/// What a value is called in `map`, `respell` and `is`: its text, or the `type` of an object.
pub(super) fn word(value: &str) -> Cow<'_, str> {
    match value.as_bytes().first() {
        Some(b'"') => fields::text(value).unwrap_or_default(),
        Some(b'{') => Fields::read(value).and_then(|it| it.text("type")).unwrap_or_default(),
        _ => Cow::Borrowed(value),
    }
}

/// The same of a value in a quirk.
pub(super) fn word_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// The bound that a number is beyond; none where it keeps to both, or is no number.
pub(super) fn clamped(value: &str, bounds: &ClampOptions) -> Option<String> {
    let number: f64 = value.parse().ok()?;
    let bound = match (bounds.min, bounds.max) {
        (Some(min), _) if number < min => min,
        (_, Some(max)) if number > max => max,
        _ => return None,
    };
    // Without `.0`, for some bounds are of whole numbers.
    Some(bound.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_nothing_is_no_loss() {
        let check = |name: &str, value: &str, expected: bool| {
            assert_eq!(is_harmless(name, value), expected, "{name} {value}")
        };
        check("seed", "null", true);
        check("seed", "0", false);
        check("user", "\"x\"", true);
        check("n", "1", true);
        check("n", "2", false);
        check("temperature", "1.0", true);
        check("presence_penalty", "0.0", true);
        check("presence_penalty", "0.1", false);
        check("tool_choice", "\"auto\"", true);
        check("tool_choice", "\"none\"", false);
        check("response_format", r#"{"type":"text"}"#, true);
        check("stop", "[ ]", true);
        check("stop", "[\"a\"]", false);
        check("stop", "7", false);
        check("logit_bias", "{}", true);
    }

    #[test]
    fn numbers_are_bounded_and_other_values_left_alone() {
        let bounds = ClampOptions { min: Some(0.0), max: Some(1.0) };
        for (value, expected) in [
            ("1.7", Some("1")),
            ("-1", Some("0")),
            ("0.50", None),
            ("1e0", None),
            ("\"2\"", None),
            ("null", None),
        ] {
            assert_eq!(clamped(value, &bounds).as_deref(), expected, "{value}");
        }
    }
}
