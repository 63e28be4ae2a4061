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

/// Every system message becomes part of one that comes first. What cannot be joined parts those before it from those
/// behind it, which stay where the first of them stood; the vendor says what it thinks of it.
pub(super) fn system_first(messages: &mut Vec<Cow<'_, str>>) {
    let is_system: Vec<bool> = messages.iter().map(|it| instructs(it)).collect();
    let count = is_system.iter().filter(|it| **it).count();
    if count == 0 || (count == 1 && is_system[0]) {
        return;
    }
    let mut runs: Vec<Vec<Cow<'_, str>>> = Vec::new();
    // Where each message is put: another's own place, or that of a run.
    let mut ordered: Vec<Result<Cow<'_, str>, usize>> = Vec::with_capacity(messages.len());
    let mut goes_on = false;
    for (message, is_system) in std::mem::take(messages).into_iter().zip(is_system) {
        if !is_system {
            ordered.push(Ok(message));
            continue;
        }
        let is_plain = is_joinable(&message);
        match runs.last_mut().filter(|_| goes_on && is_plain) {
            Some(run) => run.push(message),
            None => {
                ordered.push(Err(runs.len()));
                runs.push(vec![message]);
            }
        }
        goes_on = is_plain;
    }
    let mut runs: Vec<_> = runs.into_iter().map(|it| Some(joined(it))).collect();
    messages.extend(runs[0].take());
    messages.extend(ordered.into_iter().filter_map(|it| it.map_or_else(|run| runs[run].take(), Some)));
}

/// What an assistant says that said nothing.
const DONE: &str = r#"{"role":"assistant","content":"Done."}"#;

/// Between a tool and a user comes an assistant.
pub(super) fn answer_tools(messages: &mut Vec<Cow<'_, str>>) {
    let mut is_tools = false;
    let told = std::mem::take(messages).into_iter().flat_map(|it| {
        let role = role(&it);
        let needs_answer = is_tools && role == "user";
        is_tools = role == "tool";
        needs_answer.then_some(Cow::Borrowed(DONE)).into_iter().chain([it])
    });
    *messages = told.collect();
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
    let mut runs: Vec<Vec<Cow<'_, str>>> = Vec::with_capacity(messages.len());
    let mut open = None;
    for message in messages.drain(..) {
        let role = Some(role(&message))
            .filter(|it| matches!(it.as_str(), "user" | "assistant") && is_joinable(&message));
        match runs.last_mut().filter(|_| role.is_some() && role == open) {
            Some(run) => run.push(message),
            None => runs.push(vec![message]),
        }
        open = role;
    }
    messages.extend(runs.into_iter().map(joined));
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

/// Whether a message can become one with others: it has content that is more than nothing, and no calls.
fn is_joinable(message: &str) -> bool {
    Fields::read(message).is_some_and(|it| {
        let is_plain = it.value("tool_calls").is_none() && it.value("function_call").is_none();
        is_plain && it.value("content").is_some_and(|it| parts(it).is_some())
    })
}

/// Messages as one, with the fields of the first. Each but a lone one is joinable.
fn joined(mut run: Vec<Cow<'_, str>>) -> Cow<'_, str> {
    if run.len() == 1 {
        return run.remove(0);
    }
    let contents: Vec<&str> =
        run.iter().filter_map(|it| Fields::read(it).and_then(|it| it.value("content"))).collect();
    // Texts become one text, until one of parts comes: then the rest is parts too.
    let texts: Vec<&str> = contents.iter().map_while(|it| inner(it)).collect();
    let text = format!("\"{}\"", texts.join(BETWEEN));
    let content = match texts.len() {
        0 => list(contents),
        it if it == contents.len() => text,
        it => list(std::iter::once(text.as_str()).chain(contents[it..].iter().copied())),
    };
    let first = Fields::read(&run[0]).map(|it| it.with("content", Some(&content)));
    first.map_or_else(|| run[0].clone(), Cow::Owned)
}

/// Contents as one list of parts.
fn list<'a>(contents: impl IntoIterator<Item = &'a str>) -> String {
    let parts: Vec<String> = contents.into_iter().filter_map(parts).collect();
    format!("[{}]", parts.join(","))
}

/// Content as parts, without the brackets around them; None where there are none.
fn parts(content: &str) -> Option<String> {
    if content.starts_with('"') {
        return Some(format!(r#"{{"type":{},"text":{content}}}"#, quoted("text")));
    }
    let parts = content.strip_prefix('[')?.strip_suffix(']')?.trim_ascii();
    (!parts.is_empty()).then(|| parts.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Order = fn(&mut Vec<Cow<'_, str>>);

    fn system(content: &str) -> String {
        format!(r#"{{"role":"system","content":{content}}}"#)
    }

    #[test]
    fn what_cannot_be_joined_stays_where_it_is() {
        let check = |order: Order, given: &[String], expected: &[String]| {
            let mut messages = given.iter().map(|it| Cow::Borrowed(it.as_str())).collect();
            order(&mut messages);
            assert_eq!(messages, expected);
        };
        let [a, b, none, part] = ["\"a\"", "\"b\"", "[]", r#"[{"type":"text","text":"p"}]"#].map(system);
        let (both, user) = (system(r#""a\n\nb""#), r#"{"role":"user","content":"q"}"#.to_owned());
        let all = |it: &[&String]| it.iter().map(|it| (*it).clone()).collect::<Vec<_>>();
        check(system_first, &all(&[&user, &a, &user, &b]), &all(&[&both, &user, &user]));
        let given = all(&[&user, &a, &none, &user, &a, &b]);
        check(system_first, &given, &all(&[&a, &user, &none, &user, &both]));
        let mixed = system(
            r#"[{"type":"text","text":"a\n\nb"},{"type":"text","text":"p"},{"type":"text","text":"a"}]"#,
        );
        check(system_first, &all(&[&a, &b, &part, &user, &a]), &all(&[&mixed, &user]));
        let users = |it: &String| it.replace("system", "user");
        let given = all(&[&a, &b, &part, &a, &none, &a]).iter().map(users).collect::<Vec<_>>();
        check(alternate, &given, &all(&[&mixed, &none, &a]).iter().map(users).collect::<Vec<_>>());
    }

    #[test]
    fn many_neighbours_are_joined_once() {
        let many = |role: &str, order: Order| {
            let one =
                format!(r#"{{"role":"{role}","content":"A text of some forty bytes, or a few more."}}"#);
            let mut messages = vec![Cow::Borrowed(one.as_str()); 50_000];
            order(&mut messages);
            assert!(messages.len() == 1 && messages[0].len() > 2_000_000, "{role}");
        };
        many("user", alternate);
        many("system", system_first);
    }
}
