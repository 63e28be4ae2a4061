//! Tool calls in messages: their ids, and the reasoning that must come back with them.

use std::borrow::Cow;

use crate::api::fields::{Fields, elements, quoted};

/// What Gemini takes instead of a signature from those who have none: `skip_thought_signature_validator` in base64.
const NO_SIGNATURE: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";
/// How long Mistral's ids are.
const ID_CHARS: usize = 9;

/// The calls in an assistant's message, if there are any.
fn calls<'a>(message: &Fields<'a>) -> Option<Vec<&'a serde_json::value::RawValue>> {
    let calls = message.value("tool_calls").and_then(elements).filter(|it| !it.is_empty())?;
    (message.text("role")? == "assistant").then_some(calls)
}

/// A message with calls gets reasoning, if it has none: DeepSeek and Kimi refuse it otherwise while they think.
pub(super) fn echo_reasoning(message: &Fields<'_>) -> Option<String> {
    calls(message)?;
    let is_said = |it: &str| it.starts_with('"') && it != "\"\"";
    if message.value("reasoning_content").is_some_and(is_said) {
        return None;
    }
    let other = message.value("reasoning").filter(|it| is_said(it));
    Some(message.with("reasoning_content", Some(other.unwrap_or("\" \""))))
}

/// The first of a message's calls gets a signature, if none has one: Gemini refuses the turn otherwise.
pub(super) fn sign(message: &Fields<'_>) -> Option<String> {
    let calls = calls(message)?;
    if calls.iter().any(|it| it.get().contains("thought_signature")) {
        return None;
    }
    let mut written: Vec<Cow<'_, str>> = calls.iter().map(|it| Cow::Borrowed(it.get())).collect();
    let content = format!(r#"{{"google":{{"thought_signature":"{NO_SIGNATURE}"}}}}"#);
    written[0] = Cow::Owned(Fields::read(calls[0].get())?.with("extra_content", Some(&content)));
    Some(message.with("tool_calls", Some(&format!("[{}]", written.join(",")))))
}

/// Ids of calls, and of what they gave, as Mistral takes them.
pub(super) fn short_ids(message: &Fields<'_>) -> Option<String> {
    let answered = message.text("tool_call_id").and_then(|it| short(&it));
    if let Some(id) = answered {
        return Some(message.with("tool_call_id", Some(&quoted(&id))));
    }
    let mut is_changed = false;
    let mut written = Vec::new();
    for call in calls(message)? {
        let fields = Fields::read(call.get())?;
        let id = fields.text("id").and_then(|it| short(&it));
        is_changed |= id.is_some();
        written.push(match id {
            Some(id) => Cow::Owned(fields.with("id", Some(&quoted(&id)))),
            None => Cow::Borrowed(call.get()),
        });
    }
    is_changed.then(|| message.with("tool_calls", Some(&format!("[{}]", written.join(",")))))
}

/// An id of the right look, always the same for the same one; None where it has that look.
fn short(id: &str) -> Option<String> {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if id.len() == ID_CHARS && id.bytes().all(|it| it.is_ascii_alphanumeric()) {
        return None;
    }
    // FNV-1a, mixed once more, for ids often differ in their last letter only.
    let mut hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, it| (hash ^ u64::from(it)).wrapping_mul(0x100_0000_01b3));
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^= hash >> 32;
    let digit = |_| {
        let digit = DIGITS[(hash % 62) as usize];
        hash /= 62;
        char::from(digit)
    };
    Some((0..ID_CHARS).map(digit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_short_form() {
        let form = short("call_aBcDeFgHiJkLmNoPqRsTuVwX").unwrap();
        assert_eq!(short("call_aBcDeFgHiJkLmNoPqRsTuVwX"), Some(form.clone()));
        assert!(form.len() == 9 && form.bytes().all(|it| it.is_ascii_alphanumeric()), "{form}");
        assert_ne!(short("call_aBcDeFgHiJkLmNoPqRsTuVwY"), Some(form));
        assert_eq!(short("aB3dE6gH9"), None);
        assert!(short("").is_some() && short("äääää").is_some());
        let many: std::collections::HashSet<_> = (0..10_000).map(|it| short(&format!("call_{it}"))).collect();
        assert_eq!(many.len(), 10_000);
    }
}
