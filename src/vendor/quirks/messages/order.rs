//! In what order messages come, for vendors that are particular about it.

use std::borrow::Cow;

use crate::api::fields::{Fields, inner, quoted};

/// What stands between two messages that become one.
const BETWEEN: &str = "\\n\\n";

fn role(message: &str) -> String {
    Fields::read(message).and_then(|it| it.text("role").map(Cow::into_owned)).unwrap_or_default()
}

fn instructs(message: &str) -> bool {
    matches!(role(message).as_str(), "system" | "developer")
}

/// Every system message becomes part of one that comes first.
pub(super) fn system_first(messages: &mut Vec<Cow<'_, str>>) {
    let places: Vec<usize> = (0..messages.len()).filter(|it| instructs(&messages[*it])).collect();
    if places.is_empty() || places == [0] {
        return;
    }
    let mut first: Option<Cow<'_, str>> = None;
    for place in places.into_iter().rev() {
        let message = messages.remove(place);
        first = Some(match first {
            Some(later) => match joined(&message, &later) {
                Some(both) => Cow::Owned(both),
                // What cannot be joined stays in its order; the vendor says what it thinks of it.
                None => {
                    messages.insert(place, later);
                    message
                }
            },
            None => message,
        });
    }
    messages.splice(0..0, first);
}

/// Where no user said anything, the last system message is what one said.
pub(super) fn user_needed(messages: &mut [Cow<'_, str>]) {
    if messages.iter().any(|it| role(it) == "user") {
        return;
    }
    let Some(last) = messages.iter_mut().rev().find(|it| instructs(it)) else { return };
    if let Some(changed) = Fields::read(last).map(|it| it.with("role", Some("\"user\""))) {
        *last = Cow::Owned(changed);
    }
}

/// Neighbours of one role become one message.
pub(super) fn alternate(messages: &mut Vec<Cow<'_, str>>) {
    let mut index = 1;
    while index < messages.len() {
        let (before, this) = (&messages[index - 1], &messages[index]);
        let role = role(this);
        let is_same = matches!(role.as_str(), "user" | "assistant") && self::role(before) == role;
        match is_same.then(|| joined(before, this)).flatten() {
            Some(both) => {
                messages[index - 1] = Cow::Owned(both);
                messages.remove(index);
            }
            None => index += 1,
        }
    }
}

/// The last message, if it is the beginning of an answer, says so.
pub(super) fn prefix_last(messages: &mut [Cow<'_, str>]) {
    let Some(last) = messages.last_mut() else { return };
    let prefixed = Fields::read(last).and_then(|it| {
        let is_answer = it.text("role")? == "assistant" && it.value("tool_calls").is_none();
        (is_answer && it.value("prefix").is_none()).then(|| it.with("prefix", Some("true")))
    });
    if let Some(prefixed) = prefixed {
        *last = Cow::Owned(prefixed);
    }
}

/// Two messages as one, with the fields of the first; None where one has more than content, or none that can be joined.
fn joined(first: &str, second: &str) -> Option<String> {
    let (first, second) = (Fields::read(first)?, Fields::read(second)?);
    let is_plain = |it: &Fields<'_>| it.value("tool_calls").is_none() && it.value("function_call").is_none();
    if !is_plain(&first) || !is_plain(&second) {
        return None;
    }
    let (one, two) = (first.value("content")?, second.value("content")?);
    let both = match (inner(one), inner(two)) {
        (Some(one), Some(two)) => format!("\"{one}{BETWEEN}{two}\""),
        _ => format!("[{},{}]", parts(one)?, parts(two)?),
    };
    Some(first.with("content", Some(&both)))
}

/// Content as parts, without the brackets around them; None where there are none.
fn parts(content: &str) -> Option<String> {
    if content.starts_with('"') {
        return Some(format!(r#"{{"type":{},"text":{content}}}"#, quoted("text")));
    }
    let parts = content.strip_prefix('[')?.strip_suffix(']')?.trim_ascii();
    (!parts.is_empty()).then(|| parts.to_owned())
}
