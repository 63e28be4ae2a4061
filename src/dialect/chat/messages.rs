//! `messages` of a request.
//!
//! A tool's result is a message of its own in chat, and a part of a user's message elsewhere: what is written from one
//! message of several results is read as several messages.

use super::{content, said};
use crate::api::fields::Fields;
use crate::api::ink::Ink;
use crate::dialect::prompt::{Message, Part, Role, ToolResult};
use crate::dialect::read::{self, flag_of, raw_of, refused, text_of};
use crate::error::Error;

/// Reads the message that comes `at` that place, behind `before`.
pub fn read(at: usize, json: &str, before: &[Message]) -> Result<Message, Error> {
    let fields = read::object(&format!("messages[{at}]"), json)?;
    let role = fields.text("role").unwrap_or_default();
    let role = match role.as_ref() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" | "function" => return read_result(at, &fields, before),
        _ => {
            let param = format!("messages[{at}].role");
            return Err(refused(&param, "one of system, developer, user, assistant and tool"));
        }
    };
    let parts = match role {
        Role::Assistant => said::read(&fields, |call| format!("call_{at}_{call}")),
        _ => content::read(fields.value("content")),
    };
    Ok(Message { role, parts: parts.ok_or_else(|| bad_content(at))?, name: text_of(&fields, "name") })
}

fn bad_content(at: usize) -> Error {
    refused(&format!("messages[{at}].content"), "a string or a list of parts")
}

fn read_result(at: usize, fields: &Fields, before: &[Message]) -> Result<Message, Error> {
    let name = text_of(fields, "name");
    // The deprecated role `function` names the function that was called last.
    let call_id = text_of(fields, "tool_call_id").or_else(|| called_last(before, name.as_deref()?));
    let Some(call_id) = call_id else {
        return Err(refused(&format!("messages[{at}].tool_call_id"), "the id of the call that is answered"));
    };
    let result = ToolResult {
        call_id,
        name,
        parts: content::read(fields.value("content")).ok_or_else(|| bad_content(at))?,
        is_error: flag_of(fields, "is_error") == Some(true),
        cache: raw_of(fields, "cache_control"),
    };
    Ok(Message { role: Role::User, parts: vec![Part::Result(result)], name: None })
}

/// The id of the last call of that function.
fn called_last(before: &[Message], name: &str) -> Option<String> {
    let mut parts = before.iter().rev().flat_map(|it| it.parts.iter().rev());
    parts.find_map(|it| match it {
        Part::Call(call) if call.name == name => Some(call.id.clone()),
        _ => None,
    })
}

/// Writes a message, as several where it holds results: these come first, next to the calls they answer.
pub fn write(ink: &mut Vec<u8>, message: &Message) {
    let results =
        message.parts.iter().filter_map(|it| if let Part::Result(it) = it { Some(it) } else { None });
    let count = results.clone().count();
    results.for_each(|it| write_result(ink, it));
    if count > 0 && count == message.parts.len() {
        return;
    }
    let role = match message.role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    ink.open(b'{').text_field("role", role);
    ink.text_if("name", message.name.as_deref());
    match message.role {
        Role::Assistant => said::write(ink, &message.parts, false),
        _ => content::write(ink, message.parts.iter().filter(|it| content::is_content(it))),
    }
    ink.close(b'}');
}

fn write_result(ink: &mut Vec<u8>, result: &ToolResult) {
    ink.open(b'{').text_field("role", "tool").text_field("tool_call_id", &result.call_id);
    ink.text_if("name", result.name.as_deref());
    content::write(ink, result.parts.iter().filter(|it| content::is_content(it)));
    ink.flag_if("is_error", Some(true).filter(|_| result.is_error));
    ink.raw_if("cache_control", result.cache.as_ref());
    ink.close(b'}');
}
