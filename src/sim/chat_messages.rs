//! The messages of a chat: what of them matters to the answer, and whether OpenAI would take them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    call::Refusal,
    talk::{Ask, Seen},
};

const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow)]
    tool_call_id: Option<Cow<'a, str>>,
    is_error: Option<bool>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

/// The text of the last user and what there was besides, from there on; refuses what OpenAI refuses.
pub(super) fn hear(messages: &[&RawValue]) -> Result<Ask, Refusal> {
    let mut ask = Ask::default();
    // Calls that no tool has answered yet.
    let mut open: Vec<Cow<str>> = Vec::new();
    for (index, raw) in messages.iter().enumerate() {
        let message: Message = serde_json::from_str(raw.get())?;
        check_role(index, &message.role)?;
        check_tools(index, &message, &mut open)?;
        ask.after_tools = matches!(&*message.role, "tool" | "function");
        match &*message.role {
            "user" => {
                ask.seen = Seen::default();
                ask.echo = text(index, message.content, &mut ask.seen)?;
            }
            "tool" | "function" => {
                text(index, message.content, &mut ask.seen)?;
                ask.seen.results += 1;
                ask.seen.failed_results += usize::from(message.is_error == Some(true));
            }
            // Looked through for what is not allowed.
            _ => drop(text(index, message.content, &mut Seen::default())?),
        }
    }
    if !open.is_empty() {
        return Err(unanswered(messages.len(), &open));
    }
    Ok(ask)
}

fn check_role(index: usize, role: &str) -> Result<(), Refusal> {
    if ROLES.contains(&role) {
        return Ok(());
    }
    let message =
        format!("Invalid value: '{role}' at `messages[{index}].role`. Supported: {}.", ROLES.join(", "));
    Err(Refusal::invalid(Some("messages"), message))
}

fn check_tools<'a>(index: usize, message: &Message<'a>, open: &mut Vec<Cow<'a, str>>) -> Result<(), Refusal> {
    if message.role == "tool" {
        let id = message.tool_call_id.as_ref();
        let Some(at) = id.and_then(|id| open.iter().position(|it| it == id)) else {
            let message = format!(
                "messages[{index}]: messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
            );
            return Err(Refusal::invalid(Some("messages"), message));
        };
        open.swap_remove(at);
        return Ok(());
    }
    if !open.is_empty() {
        return Err(unanswered(index, open));
    }
    let calls = message.tool_calls.iter().flatten();
    open.extend(calls.map(|it| it.id.clone()));
    Ok(())
}

fn unanswered(index: usize, open: &[Cow<'_, str>]) -> Refusal {
    let message = format!(
        "messages[{index}]: an assistant message with 'tool_calls' must be followed by tool messages responding to \
         each 'tool_call_id'; missing: {}.",
        open.join(", ")
    );
    Refusal::invalid(Some("messages"), message)
}

/// The text of a string, or of the parts that have one; the other parts are counted.
fn text(index: usize, content: Option<&RawValue>, seen: &mut Seen) -> Result<String, Refusal> {
    let Some(content) = content.map(RawValue::get).filter(|it| *it != "null") else {
        return Ok(String::new());
    };
    if content.starts_with('"') {
        return Ok(serde_json::from_str(content)?);
    }
    let parts: Vec<Part> = serde_json::from_str(content)?;
    let mut texts = Vec::with_capacity(parts.len());
    for part in parts {
        match &*part.kind {
            "text" | "refusal" | "video_url" => {}
            "image_url" => seen.images += 1,
            "input_audio" => seen.sounds += 1,
            "file" => seen.documents += 1,
            kind => {
                let message =
                    format!("Invalid value: '{kind}' as type of a part of `messages[{index}].content`.");
                return Err(Refusal::invalid(Some("messages"), message));
            }
        }
        texts.extend(part.text);
    }
    Ok(texts.join(" "))
}
