//! Items of the Responses API, as clients give them, as parts and messages. Each is read by itself; [`gathered`] puts
//! together what one assistant's turn was.

use serde_json::value::RawValue;

use super::content::{other, read_content, text_of};
use super::place::At;
use super::seal::untagged;
use super::shell;
use crate::api::fields::{Fields, elements};
use crate::dialect::prompt::{Call, Message, Part, Role, Seal, Thought, ToolResult};
use crate::error::Error;

/// What one item says.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A message of somebody else than the assistant.
    Message(Message),
    /// Words of the assistant: a message of its own, where it said words before.
    Words(Vec<Part>),
    /// Reasoning, a call, or something else that the assistant did.
    Did(Vec<Part>),
    /// What came of it.
    Gave(Part),
}

/// Reads the `input` of a request that is a list.
pub fn read_items(list: &[&RawValue]) -> Result<Vec<Message>, Error> {
    let items = list.iter().enumerate().map(|(index, it)| read_item(it.get(), At::of("input", index)));
    gathered(items)
}

/// Items that are kept, as the messages they say. What chat completions have no word for, and what cannot be read, is left
/// out.
pub fn messages_of<'a>(items: impl Iterator<Item = &'a str>) -> Vec<Message> {
    let read = items.enumerate().filter_map(|(index, it)| read_item(it, At::of("items", index)).ok());
    let has_word = |item: &Item| {
        !matches!(item, Item::Did(it) if matches!(it[..], [Part::Other(_)]))
            && !matches!(item, Item::Gave(Part::Other(_)))
    };
    gathered(read.filter(has_word).map(Ok)).unwrap_or_default()
}

/// Items as messages. What an assistant did in one turn is one message, for chat completions want the results of calls
/// directly behind the message that makes them.
pub fn gathered(items: impl Iterator<Item = Result<Item, Error>>) -> Result<Vec<Message>, Error> {
    let mut messages: Vec<Message> = Vec::with_capacity(items.size_hint().0);
    for item in items {
        let is_words = matches!(item, Ok(Item::Words(_)));
        match item? {
            Item::Message(message) => messages.push(message),
            Item::Gave(part) => messages.push(message(Role::User, vec![part])),
            Item::Words(parts) | Item::Did(parts) => match messages.last_mut() {
                Some(last) if last.role == Role::Assistant && goes_on(&last.parts, &parts, is_words) => {
                    last.parts.extend(parts);
                }
                _ => messages.push(message(Role::Assistant, parts)),
            },
        }
    }
    Ok(messages)
}

/// Whether an assistant's turn goes on with what it says or does next. Behind words without calls, further words and new
/// reasoning are a message of their own.
fn goes_on(said: &[Part], next: &[Part], is_words: bool) -> bool {
    let has_words = said.iter().any(|it| matches!(it, Part::Text { .. } | Part::Refusal(_)));
    let has_calls = said.iter().any(|it| matches!(it, Part::Call(_)));
    let begins = is_words || matches!(next.first(), Some(Part::Thought(_)));
    has_calls || !has_words || !begins
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None }
}

/// Reads one item.
pub fn read_item(json: &str, at: At) -> Result<Item, Error> {
    let fields = Fields::read(json).ok_or_else(|| at.wrong("", "an object"))?;
    let kind = fields.text("type");
    match kind.as_deref() {
        Some("message") => read_message(&fields, at),
        None if fields.value("role").is_some() => read_message(&fields, at),
        Some("function_call") => Ok(Item::Did(vec![read_call(&fields, at, false)?])),
        Some("custom_tool_call") => Ok(Item::Did(vec![read_call(&fields, at, true)?])),
        Some("local_shell_call") => {
            Ok(Item::Did(vec![shell::read_call(&fields).unwrap_or_else(|| other(json))]))
        }
        Some("local_shell_call_output") => {
            Ok(Item::Gave(shell::read_output(&fields, at).unwrap_or_else(|| other(json))))
        }
        Some("function_call_output" | "custom_tool_call_output") => Ok(Item::Gave(read_result(&fields, at)?)),
        Some("reasoning") => Ok(Item::Did(read_reasoning(&fields, untagged))),
        Some("item_reference") => Err(unresolved(&fields)),
        // The type may be left out of a reference only.
        None if fields.value("id").is_some() => Err(unresolved(&fields)),
        None => Err(at.wrong("type", "the type of an item, such as `message`")),
        Some(kind) => Ok(foreign(kind, json)),
    }
}

/// An item that only OpenAI's own tools know.
fn foreign(kind: &str, json: &str) -> Item {
    let is_given = kind.ends_with("_output")
        || matches!(kind, "mcp_approval_response" | "additional_tools" | "compaction_trigger");
    match is_given {
        true => Item::Gave(other(json)),
        false => Item::Did(vec![other(json)]),
    }
}

fn unresolved(fields: &Fields) -> Error {
    let id = fields.text("id").unwrap_or_default();
    let message = format!("The item `{id}` cannot be resolved here; send the item itself in `input`.");
    Error::bad_request(message).param("input").code("unsupported_value")
}

fn read_message(fields: &Fields, at: At) -> Result<Item, Error> {
    let role = match fields.text("role").as_deref() {
        Some("system") => Role::System,
        Some("developer") => Role::Developer,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        _ => return Err(at.wrong("role", "`user`, `assistant`, `system` or `developer`")),
    };
    let parts = read_content(fields.value("content"), at.field("content"))?;
    let name = fields.text("name").map(|it| it.into_owned());
    Ok(match role {
        Role::Assistant => Item::Words(parts),
        role => Item::Message(Message { role, parts, name }),
    })
}

/// Reads `function_call` and `custom_tool_call`.
pub fn read_call(fields: &Fields, at: At, is_custom: bool) -> Result<Part, Error> {
    let own = |name: &str| {
        let text = text_of(fields, name);
        text.ok_or_else(|| at.wrong(name, "a string"))
    };
    let arguments = own(if is_custom { "input" } else { "arguments" })?;
    Ok(Part::Call(Call { id: own("call_id")?, name: own("name")?, arguments, is_custom }))
}

fn read_result(fields: &Fields, at: At) -> Result<Part, Error> {
    let call_id = fields.text("call_id").ok_or_else(|| at.wrong("call_id", "a string"))?;
    let parts = read_content(fields.value("output"), at.field("output"))?;
    let name = fields.text("name").map(|it| it.into_owned());
    Ok(Part::Result(ToolResult { call_id: call_id.into_owned(), name, parts, is_error: false, cache: None }))
}

/// Reads a `reasoning` item: each of its texts a thought of the same id, the last of them sealed. What is odd in it is
/// left out, as it is nothing a client wrote.
pub fn read_reasoning(fields: &Fields, seal: fn(&str) -> Seal) -> Vec<Part> {
    let id = fields.text("id").map(|it| it.into_owned());
    let thought = |text: String, is_summary| Thought { text, is_summary, seal: None, id: id.clone() };
    let mut thoughts: Vec<Thought> = Vec::new();
    for (name, is_summary) in [("summary", true), ("content", false)] {
        let texts = fields.value(name).and_then(elements).unwrap_or_default();
        let texts = texts.iter().filter_map(|it| text_of(&Fields::read(it.get())?, "text"));
        thoughts.extend(texts.map(|it| thought(it, is_summary)));
    }
    let sealed = fields.text("encrypted_content").map(|it| seal(&it));
    if thoughts.is_empty() && (sealed.is_some() || id.is_some()) {
        thoughts.push(thought(String::new(), false));
    }
    if let Some(last) = thoughts.last_mut() {
        last.seal = sealed;
    }
    thoughts.into_iter().map(Part::Thought).collect()
}
