//! Metadata of a record: the client's own notes, within the bounds that OpenAI has.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::session::items::Misgiven;

/// Pairs, and characters of a key and of a value.
const PAIRS_MAX: usize = 16;
const KEY_CHARACTERS_MAX: usize = 64;
const VALUE_CHARACTERS_MAX: usize = 512;

/// Characters of a key that an error repeats.
const SHOWN_CHARACTERS_MAX: usize = 64;

/// The pairs within their bounds; none where it is null.
pub fn metadata(json: &str) -> Result<BTreeMap<String, String>, Misgiven> {
    let pairs: Option<BTreeMap<String, Value>> =
        serde_json::from_str(json).map_err(|_| wrong("metadata".into(), "an object of texts"))?;
    let pairs = pairs.unwrap_or_default();
    if pairs.len() > PAIRS_MAX {
        return Err(wrong("metadata".into(), &format!("at most {PAIRS_MAX} pairs")));
    }
    pairs.into_iter().map(|(key, value)| pair(key, value)).collect()
}

fn pair(key: String, value: Value) -> Result<(String, String), Misgiven> {
    let param = || format!("metadata.{}", key.chars().take(SHOWN_CHARACTERS_MAX).collect::<String>());
    if key.chars().count() > KEY_CHARACTERS_MAX {
        return Err(wrong(param(), &format!("a key of at most {KEY_CHARACTERS_MAX} characters")));
    }
    match value {
        Value::String(text) if text.chars().count() <= VALUE_CHARACTERS_MAX => Ok((key, text)),
        _ => Err(wrong(param(), &format!("a text of at most {VALUE_CHARACTERS_MAX} characters"))),
    }
}

/// The metadata of a chat completion's request; none where it brings none.
pub fn of_request(body: &[u8]) -> Result<BTreeMap<String, String>, Misgiven> {
    #[derive(Deserialize)]
    struct Noted<'a> {
        #[serde(borrow)]
        metadata: Option<&'a RawValue>,
    }
    let noted: Option<Noted> = serde_json::from_slice(body).ok();
    noted.and_then(|it| it.metadata).map_or_else(|| Ok(BTreeMap::new()), |it| metadata(it.get()))
}

fn wrong(param: String, wanted: &str) -> Misgiven {
    Misgiven { message: format!("`{param}` must be {wanted}."), param }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_bounded_as_at_openai() {
        let check = |json: String, fits: bool| {
            assert_eq!(metadata(&json).is_ok(), fits, "{json}");
            let body = format!(r#"{{"store":true,"metadata":{json}}}"#);
            assert_eq!(of_request(body.as_bytes()), metadata(&json));
        };
        let pairs = |count: usize| {
            let pairs: Vec<String> = (0..count).map(|it| format!(r#""k{it}":"v""#)).collect();
            format!("{{{}}}", pairs.join(","))
        };
        check(pairs(16), true);
        check(pairs(17), false);
        check(format!(r#"{{"{}":"v"}}"#, "k".repeat(64)), true);
        check(format!(r#"{{"{}":"v"}}"#, "k".repeat(65)), false);
        check(format!(r#"{{"k":"{}"}}"#, "ä".repeat(512)), true);
        check(format!(r#"{{"k":"{}"}}"#, "v".repeat(513)), false);
        check("null".into(), true);
        for json in [r#"{"k":1}"#, r#"{"k":null}"#, "[]", "\"k\"", r#"{"k":"\ud83d"}"#] {
            check(json.into(), false);
        }
        assert_eq!(of_request(b"{}"), Ok(BTreeMap::new()));
    }
}
