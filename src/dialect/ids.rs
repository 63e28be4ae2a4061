//! Ids of calls for those who take few characters in them (Anthropic's API: `^[a-zA-Z0-9_-]+$`; Bedrock: 64 of these). Other
//! vendors' ids, such as Kimi's `functions.get:0`, hold others. Clients get them as they are: who made them wants them back.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Longest id, in characters.
const CHARS_MAX: usize = 64;

/// Letters of a hash, with the one that parts it from what is before.
const HASH_CHARS: usize = 17;

fn fits(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Mostly the id itself. The same id becomes the same each time, so that calls and results still find each other, and
/// different ones stay different.
pub fn mended(id: &str) -> Cow<'_, str> {
    if (1..=CHARS_MAX).contains(&id.len()) && id.bytes().all(fits) {
        return Cow::Borrowed(id);
    }
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    let begin = id.chars().map(|it| if u8::try_from(it).is_ok_and(fits) { it } else { '_' });
    let begin: String = begin.take(CHARS_MAX - HASH_CHARS).collect();
    Cow::Owned(format!("{begin}_{:016x}", hasher.finish()))
}

/// Whether results in a request in Anthropic's dialect answer calls whose ids Anthropic refuses.
pub fn are_strange_in(body: &[u8]) -> bool {
    const NAME: &[u8] = b"\"tool_use_id\"";
    memchr::memmem::find_iter(body, NAME).any(|at| {
        let value = body[at + NAME.len()..].trim_ascii_start().strip_prefix(b":");
        let id = value.and_then(|it| it.trim_ascii_start().strip_prefix(b"\""));
        id.is_some_and(|id| {
            let length = id.iter().take_while(|it| fits(**it)).count();
            length == 0 || id.get(length) != Some(&b'"')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_fit_stay_and_others_are_made_to() {
        assert_eq!(mended("call_abc-1"), "call_abc-1");
        for odd in ["functions.f:0", "", &"é".repeat(80), &"a".repeat(65)] {
            let made = mended(odd);
            assert!((1..=CHARS_MAX).contains(&made.len()), "{made}");
            assert_eq!(mended(&made), made, "{odd}");
            assert_eq!(mended(odd), made);
        }
        assert_ne!(mended("a.b"), mended("a:b"));
    }

    #[test]
    fn a_request_with_ids_that_anthropic_refuses_is_known() {
        for strange in ["functions.Bash:0", "a\\u002eb", "", "é"] {
            for space in ["", " ", "\n"] {
                let body = format!(r#"{{"tool_use_id"{space}:{space}"{strange}"}}"#);
                assert!(are_strange_in(body.as_bytes()), "{body}");
            }
        }
        for usual in [
            r#"{"tool_use_id": "toolu_01-A"}"#,
            r#"{"text":"{\"tool_use_id\":\"a.b\"}"}"#,
            r#"{"required":["tool_use_id"],"tool_use_id":{"type":"string"}}"#,
            r#"{"id":"a.b""#,
        ] {
            assert!(!are_strange_in(usual.as_bytes()), "{usual}");
        }
    }
}
