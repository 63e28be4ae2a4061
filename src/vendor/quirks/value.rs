//! Single values of request fields: what they are called in quirks, and how they are bounded.

use std::borrow::Cow;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::options::ClampOptions;
use crate::api::fields::{elements, quoted, text};

/// What a value of a quirk is called where one of a request is by [`crate::dialect::loss::word_of`].
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

/// The first `max` elements of a list; none where it has no more, or is no list.
pub(super) fn cut(value: &str, max: usize) -> Option<String> {
    let list = Some(value).filter(|it| it.starts_with('[')).and_then(elements)?;
    let kept: Vec<&str> = list.get(..max)?.iter().map(|it| it.get()).collect();
    (list.len() > max).then(|| format!("[{}]", kept.join(",")))
}

/// The hash that stands for a text of more than `max` characters; none where it is short enough, or no text. It is always
/// the same, so that what the vendor keeps by it (caches, limits) stays together.
pub(super) fn shortened(value: &str, max: usize) -> Option<String> {
    // Bytes are at least as many as characters, and to count them costs nothing.
    let long = Some(value).filter(|it| it.len() > max).and_then(text)?;
    if long.chars().count() <= max {
        return None;
    }
    let hash = Sha256::digest(long.as_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).take(max.div_ceil(2)).collect();
    Some(quoted(&hex[..hex.len().min(max)]))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_text_beyond_its_bound_becomes_a_hash_of_it() {
        let long = |it: &str| format!("\"{}\"", it.repeat(65));
        let check = |value: &str, max: usize, length: Option<usize>| {
            let short = shortened(value, max);
            assert_eq!(short.as_ref().map(String::len), length.map(|it| it + 2), "{value}");
            assert_eq!(short, shortened(value, max), "{value}");
        };
        check(&long("a"), 64, Some(64));
        check(&long("a"), 65, None);
        check(&long("ü"), 65, None);
        check(&long("ü"), 64, Some(64));
        check(&long("a"), 11, Some(11));
        check(&"7".repeat(65), 64, None);
        assert_ne!(shortened(&long("a"), 64), shortened(&long("b"), 64));
    }
}
