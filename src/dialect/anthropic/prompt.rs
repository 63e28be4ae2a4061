//! Reads what Anthropic's clients ask.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::block::{self, Blocks};
use super::{thinking, tools};
use crate::api::fields::{Fields, elements, text};
use crate::api::surrogates;
use crate::dialect::Dialect;
use crate::dialect::json::Json;
use crate::dialect::prompt::{Effort, Format, Message, Part, Prompt, Reasoning, Role, Thought};
use crate::dialect::read::{count, flag, number, refused};
use crate::error::Error;

pub(super) fn read(body: &[u8]) -> Result<Prompt, Error> {
    let fields = Fields::of_bytes(body);
    let fields = fields.ok_or_else(|| Error::bad_request("The body must be a JSON object."))?;
    let model = fields.text("model").ok_or_else(|| refused("model", "a string"))?;
    let mut prompt = Prompt { model: model.into_owned(), ..Prompt::default() };
    let messages = fields.value("messages").ok_or_else(|| refused("messages", "a list of messages"))?;
    if let Some(system) = fields.value("system") {
        let parts =
            block::content(system).ok_or_else(|| refused("system", "a string or a list of text blocks"))?;
        prompt.messages.push(message(Role::System, parts));
    }
    read_messages(messages, &mut prompt.messages)?;
    for (name, value) in fields.each().filter(|(_, value)| *value != "null") {
        read_field(name, value, &mut prompt)?;
    }
    prompt.tells_usage = prompt.stream;
    Ok(prompt)
}

fn read_field(name: &str, value: &str, prompt: &mut Prompt) -> Result<(), Error> {
    match name {
        "model" | "messages" | "system" => {}
        "max_tokens" => prompt.output_max = Some(count(name, value)?),
        "stream" => prompt.stream = flag(name, value)?,
        "temperature" => prompt.temperature = Some(number(name, value)?),
        "top_p" => prompt.top_p = Some(number(name, value)?),
        "top_k" => prompt.top_k = Some(number(name, value)?),
        "stop_sequences" => prompt.stop = strings(value).ok_or_else(|| refused(name, "a list of strings"))?,
        "tools" => prompt.tools = tools::read(value)?,
        "tool_choice" => tools::read_choice(value, prompt)?,
        "thinking" => {
            let reasoning = prompt.reasoning.get_or_insert_default();
            thinking::read(value, reasoning)
                .ok_or_else(|| refused(name, "{type: enabled, adaptive or disabled}"))?;
        }
        "output_config" => read_output(value, prompt)?,
        // The name that the format had before it moved into `output_config`.
        "output_format" => prompt.format = Some(format(value, "output_format")?),
        "metadata" => {
            let fields = Fields::read(value).ok_or_else(|| refused(name, "an object"))?;
            prompt.user = fields.text("user_id").map(String::from);
        }
        "service_tier" => {
            let tier = text(value).ok_or_else(|| refused(name, "auto or standard_only"))?;
            prompt.service_tier = Some(if tier == "standard_only" { "default".into() } else { tier.into() });
        }
        "cache_control" => prompt.cache = Json::parse(value),
        _ => prompt.extra.extend(Json::parse(value).map(|it| (name.to_owned(), it))),
    }
    Ok(())
}

fn strings(value: &str) -> Option<Vec<String>> {
    elements(value)?.iter().map(|it| text(it.get()).map(String::from)).collect()
}

fn read_output(value: &str, prompt: &mut Prompt) -> Result<(), Error> {
    let fields = Fields::read(value).ok_or_else(|| refused("output_config", "an object"))?;
    if let Some(effort) = fields.value("effort") {
        let effort = text(effort).and_then(|it| Effort::named(&it));
        let effort =
            effort.ok_or_else(|| refused("output_config.effort", "low, medium, high, xhigh or max"))?;
        prompt.reasoning.get_or_insert_with(Reasoning::default).effort = Some(effort);
    }
    if let Some(value) = fields.value("format") {
        prompt.format = Some(format(value, "output_config.format")?);
    }
    Ok(())
}

fn format(value: &str, field: &str) -> Result<Format, Error> {
    let fields = Fields::read(value).filter(|it| it.text("type").is_some_and(|it| it == "json_schema"));
    let schema = fields.and_then(|it| block::json(&it, "schema"));
    let schema = schema.ok_or_else(|| refused(field, "{type: json_schema, schema: an object}"))?;
    Ok(Format::Schema { name: None, description: None, schema, strict: None })
}

#[derive(Deserialize)]
struct MessageBody<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: &'a RawValue,
}

fn read_messages(json: &str, messages: &mut Vec<Message>) -> Result<(), Error> {
    // The parser's own words may repeat what the client said.
    let bodies: Vec<MessageBody> = serde_json::from_str(json)
        .map_err(|_| refused("messages", "a list of objects, each with a role and content"))?;
    for (at, body) in bodies.iter().enumerate() {
        let role = match body.role.as_ref() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            _ => return Err(refused(&format!("messages[{at}].role"), "user, assistant or system")),
        };
        read_content(body.content.get(), at, role, messages)?;
    }
    Ok(())
}

fn read_content(content: &str, at: usize, role: Role, messages: &mut Vec<Message>) -> Result<(), Error> {
    if let Some(text) = surrogates::text(content) {
        messages.push(message(role, vec![Part::text(text)]));
        return Ok(());
    }
    let field = || format!("messages[{at}].content");
    let blocks = elements(content).ok_or_else(|| refused(&field(), "a string or a list of blocks"))?;
    let mut reader = Blocks::default();
    let mut parts = Vec::with_capacity(blocks.len());
    for (place, block) in blocks.iter().enumerate() {
        let part = reader.read(block.get());
        match part.ok_or_else(|| refused(&format!("{}[{place}]", field()), "a whole content block"))? {
            // Each result is a message of its own, as in chat.
            result @ Part::Result(_) => {
                flush(role, &mut parts, messages);
                messages.push(message(role, vec![result]));
            }
            Part::Other(json) if let Some(system) = mid_system(&json) => {
                flush(role, &mut parts, messages);
                messages.push(message(Role::System, system));
            }
            part => push(part, &mut parts),
        }
    }
    // A message may be empty; its place between the others counts.
    if !parts.is_empty() || blocks.is_empty() {
        messages.push(message(role, parts));
    }
    Ok(())
}

/// A thought of another dialect's model came in two blocks: what may be read of it, and what stands for all of it.
fn push(part: Part, parts: &mut Vec<Part>) {
    if let Part::Thought(Thought { seal: Some(seal), id, .. }) = &part
        && seal.is_whole
        && seal.dialect != Dialect::Anthropic
        && let Some(Part::Thought(readable @ Thought { seal: None, .. })) = parts.last_mut()
    {
        readable.is_summary = true;
        readable.seal = Some(seal.clone());
        readable.id.clone_from(id);
    } else {
        parts.push(part);
    }
}

fn flush(role: Role, parts: &mut Vec<Part>, messages: &mut Vec<Message>) {
    if !parts.is_empty() {
        messages.push(message(role, std::mem::take(parts)));
    }
}

/// The texts of a `mid_conv_system` block: a system message that stands in a user's.
fn mid_system(json: &Json) -> Option<Vec<Part>> {
    let fields = Fields::read(json.get())?;
    fields.text("type").filter(|it| it == "mid_conv_system")?;
    block::content(fields.value("content")?)
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None }
}
