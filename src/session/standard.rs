//! Reduces an assistant's message to what every vendor understands: what one vendor adds to the standard, another one
//! refuses.

use std::borrow::Cow;

use crate::api::fields::{self, Fields};
use crate::api::ink::Ink;

/// What an OpenAI-compatible vendor takes in a call of a tool.
const CALL_FIELDS: &[&str] = &["id", "type", "function", "custom"];

/// What it takes in the function called.
const FUNCTION_FIELDS: &[&str] = &["name", "arguments"];

/// The message without the fields only its vendor understands, or as it is where it has none. None: nothing of it is
/// left, for it said nothing but such fields.
///
/// Content in parts becomes the text in them, which not every vendor would take in parts. A refusal, or what was spoken,
/// becomes the content of a message that has no other.
pub(super) fn standard(json: &str) -> Option<Cow<'_, str>> {
    let Some(fields) = Fields::read(json) else { return Some(Cow::Borrowed(json)) };
    if fields.text("role").as_deref() != Some("assistant") {
        return Some(Cow::Borrowed(json));
    }
    let content = content(&fields);
    let calls = fields.value("tool_calls").map(calls).filter(|it| it != "[]");
    let function_call = fields.value("function_call").map(Cow::Borrowed);
    let has_calls = calls.is_some() || function_call.is_some();
    if content.is_none() && !has_calls {
        return None;
    }
    let mut kept = String::new();
    kept.open(b'{').text_field("role", "assistant");
    kept.raw_field("content", content.as_deref().unwrap_or("null"));
    let mut changed = content.as_deref() != fields.value("content");
    let refusal = fields.value("refusal").filter(|it| Some(*it) != content.as_deref()).map(Cow::Borrowed);
    let name = fields.value("name").map(Cow::Borrowed);
    for (field, value) in
        [("name", name), ("refusal", refusal), ("tool_calls", calls), ("function_call", function_call)]
    {
        changed |= value.as_deref() != fields.value(field);
        kept.raw_if(field, value);
    }
    kept.close(b'}');
    changed |= fields.each().any(|(name, value)| !is_standard(name, value));
    Some(if changed { Cow::Owned(kept) } else { Cow::Borrowed(json) })
}

/// The message for its own vendor: as it is, but that of sound heard before vendors take the id alone, or what was said
/// where it has none. Never None.
pub(super) fn own(json: &str) -> Option<Cow<'_, str>> {
    let Some(fields) = Fields::read(json) else { return Some(Cow::Borrowed(json)) };
    let Some(audio) = fields.value("audio").and_then(Fields::read) else { return Some(Cow::Borrowed(json)) };
    if fields.text("role").as_deref() != Some("assistant") || audio.each().all(|(name, _)| name == "id") {
        return Some(Cow::Borrowed(json));
    }
    let Some(id) = audio.value("id") else {
        let content = content(&fields);
        let message = fields.with("audio", None);
        let fields = Fields::read(&message)?;
        return Some(Cow::Owned(fields.with("content", content.as_deref())));
    };
    Some(Cow::Owned(fields.with("audio", Some(&format!(r#"{{"id":{id}}}"#)))))
}

/// Whether a vendor other than its own might not understand an assistant's message as it is.
pub(super) fn is_private(json: &str) -> bool {
    !matches!(standard(json), Some(Cow::Borrowed(_)))
}

/// A null where nothing is said is what some vendors trip over, but for content, where all expect it.
fn is_standard(name: &str, value: &str) -> bool {
    match name {
        "role" | "content" => true,
        "name" | "refusal" | "tool_calls" | "function_call" => value != "null",
        _ => false,
    }
}

/// What was said, as a JSON string; None: nothing.
fn content<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    let said = fields.value("content").and_then(flat).filter(|it| it != "\"\"");
    let spoken = || Fields::read(fields.value("audio")?)?.value("transcript").map(Cow::Borrowed);
    let refusal = || fields.value("refusal").map(Cow::Borrowed);
    said.or_else(refusal).or_else(spoken).filter(|it| fields::inner(it).is_some_and(|it| !it.is_empty()))
}

/// A string as it is, and of a list of parts the texts in it.
fn flat(content: &str) -> Option<Cow<'_, str>> {
    if !content.starts_with('[') {
        return Some(Cow::Borrowed(content));
    }
    let mut text = String::from("\"");
    for part in fields::elements(content)? {
        let part = Fields::read(part.get())?;
        let said = part.value("text").or_else(|| part.value("refusal")).and_then(fields::inner);
        text.push_str(said.unwrap_or_default());
    }
    text.push('"');
    Some(Cow::Owned(text))
}

/// A list of calls, each with what is standard.
fn calls(json: &str) -> Cow<'_, str> {
    let Some(list) = fields::elements(json) else { return Cow::Borrowed(json) };
    let calls: Vec<_> = list.iter().map(|it| call(it.get())).collect();
    match calls.iter().all(|it| matches!(it, Cow::Borrowed(_))) {
        true => Cow::Borrowed(json),
        false => Cow::Owned(format!("[{}]", calls.join(","))),
    }
}

fn call(json: &str) -> Cow<'_, str> {
    only(json, CALL_FIELDS, |name, value| match name {
        "function" => only(value, FUNCTION_FIELDS, |name, value| match name {
            // Some send the arguments themselves and not their text.
            "arguments" if value.starts_with('{') => Cow::Owned(fields::quoted(value)),
            _ => Cow::Borrowed(value),
        }),
        _ => Cow::Borrowed(value),
    })
}

/// An object with the named fields only, none of them null, each as `each` has it.
fn only<'a>(json: &'a str, names: &[&str], each: impl Fn(&str, &'a str) -> Cow<'a, str>) -> Cow<'a, str> {
    let Some(fields) = Fields::read(json) else { return Cow::Borrowed(json) };
    let mut kept = String::from("{");
    let mut changed = false;
    for (name, value) in fields.each() {
        if value == "null" || !names.contains(&name) {
            changed = true;
            continue;
        }
        let value = each(name, value);
        changed |= matches!(value, Cow::Owned(_));
        kept.member(name, &value);
    }
    kept.close(b'}');
    if changed { Cow::Owned(kept) } else { Cow::Borrowed(json) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        assert_eq!(standard(json).as_deref(), Some(expected), "{json}");
        assert!(is_private(json), "{json}");
        assert!(!is_private(expected), "{expected}");
    }

    #[test]
    fn only_what_is_standard_is_kept() {
        check(
            r#"{"role":"assistant","content":"Hi","refusal":null,"annotations":[]}"#,
            r#"{"role":"assistant","content":"Hi"}"#,
        );
        check(
            r#"{"reasoning_content":"hm","role":"assistant","content":"a\u00e9","name":"bo"}"#,
            r#"{"role":"assistant","content":"a\u00e9","name":"bo"}"#,
        );
        check(
            r#"{"role":"assistant","content":"","tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}","x":1},"extra_content":{"google":{}}}]}"#,
            r#"{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}"#,
        );
        check(
            r#"{"role":"assistant","content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":{"b":1}}}]}"#,
            r#"{"role":"assistant","content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"b\":1}"}}]}"#,
        );
        check(
            r#"{"role":"assistant","content":"x","tool_calls":[]}"#,
            r#"{"role":"assistant","content":"x"}"#,
        );
    }

    #[test]
    fn text_in_other_forms_becomes_content() {
        let plain = r#"{"role":"assistant","content":"Hi you"}"#;
        check(
            r#"{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"Hi "},{"type":"refusal","refusal":"you"}]}"#,
            plain,
        );
        check(r#"{"role":"assistant","content":null,"refusal":"Hi you"}"#, plain);
        check(r#"{"role":"assistant","content":"","refusal":"Hi you"}"#, plain);
        check(
            r#"{"role":"assistant","content":null,"audio":{"id":"a","transcript":"Hi you","data":"AA"}}"#,
            plain,
        );
    }

    #[test]
    fn what_is_standard_stays_byte_for_byte() {
        for json in [
            r#"{ "role":"assistant", "content" : "a" }"#,
            r#"{"role":"assistant","content":"a","refusal":"b"}"#,
            r#"{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"custom","custom":{"name":"f","input":"x"}}]}"#,
            r#"{"role":"assistant","content":null,"function_call":{"name":"f","arguments":""}}"#,
            r#"{"role":"user","content":[{"type":"odd"}],"x":1}"#,
        ] {
            assert_eq!(standard(json).as_deref(), Some(json));
            assert!(!is_private(json), "{json}");
        }
    }

    #[test]
    fn a_message_without_anything_standard_goes() {
        for json in [
            r#"{"role":"assistant","content":"","reasoning_content":"hm"}"#,
            r#"{"role":"assistant","content":[{"type":"thinking","thinking":[]}]}"#,
            r#"{"role":"assistant","content":null,"audio":{"id":"a"}}"#,
        ] {
            assert_eq!(standard(json), None, "{json}");
            assert!(is_private(json), "{json}");
        }
    }

    #[test]
    fn of_sound_its_own_vendor_gets_the_id() {
        let check = |json: &str, expected: &str| assert_eq!(own(json).as_deref(), Some(expected), "{json}");
        check(
            r#"{"role":"assistant","content":null,"audio":{"id":"a","data":"AA","transcript":"Hi"},"x":1}"#,
            r#"{"role":"assistant","content":null,"audio":{"id":"a"},"x":1}"#,
        );
        check(
            r#"{"role":"assistant","audio":{"data":"AA","transcript":"Hi"}}"#,
            r#"{"role":"assistant","content":"Hi"}"#,
        );
        for same in [
            r#"{"role":"assistant","content":null,"audio":{"id":"a"}}"#,
            r#"{"role":"assistant","content":"a","reasoning":"b"}"#,
            r#"{"role":"user","audio":{"data":"x"}}"#,
        ] {
            check(same, same);
        }
    }
}
