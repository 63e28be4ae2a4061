//! Writes `system` and `messages`, so that the API takes them.
//!
//! System messages are hoisted from wherever they stand. Neighbours of one role become one turn, in which results of
//! tools come before all else; texts without a letter, which the API refuses, are left out, and so is thinking that
//! others sealed. A first word is put before a conversation that the assistant begins. Citations in earlier answers are
//! left out: they point at results of searches that chat does not carry.

use super::sources;
use crate::api::ink::Ink;
use crate::dialect::ids::mended;
use crate::dialect::json::Json;
use crate::dialect::loss::{Losses, kind_of, name_of, name_of_made, name_of_media};
use crate::dialect::prompt::{Call, Part, Prompt, Role, Thought, ToolResult};
use crate::dialect::{Dialect, arguments, says_nothing};
use crate::error::Error;

/// What the user says where the assistant begins: the API wants the user's turn first, and not blank.
const FIRST_WORD: &str = ".";

/// Blocks of other types that the API takes in messages; and everything that ends in `_tool_result`.
const OWN_BLOCKS: [&str; 5] =
    ["server_tool_use", "search_result", "container_upload", "mcp_tool_use", "tool_reference"];

struct Turn<'a> {
    is_user: bool,
    parts: Vec<&'a Part>,
}

pub(super) fn write(out: &mut Vec<u8>, prompt: &Prompt, losses: &mut Losses) -> Result<(), Error> {
    let system = system(prompt, losses);
    let mut turns = turns(prompt, losses);
    if turns.is_empty() {
        // A conversation of system messages only: they are what there is to answer.
        if system.is_empty() {
            return Err(says_nothing());
        }
        turns.push(Turn { is_user: true, parts: system });
    } else {
        write_system(out, &system);
    }
    out.key("messages").open(b'[');
    if turns.first().is_some_and(|it| !it.is_user) {
        out.open(b'{').text_field("role", "user").text_field("content", FIRST_WORD).close(b'}');
    }
    let last = turns.len() - 1;
    for (at, turn) in turns.iter().enumerate() {
        write_turn(out, turn, at == last)?;
    }
    out.close(b']');
    Ok(())
}

fn is_system(role: Role) -> bool {
    matches!(role, Role::System | Role::Developer)
}

fn system<'a>(prompt: &'a Prompt, losses: &mut Losses) -> Vec<&'a Part> {
    let messages = prompt.messages.iter().filter(|it| is_system(it.role));
    let mut texts = Vec::new();
    for part in messages.flat_map(|it| &it.parts) {
        match part {
            Part::Text { text, .. } if is_blank(text) => {}
            Part::Text { .. } => texts.push(part),
            Part::Media(_) | Part::Other(_) => losses.add(name_of(part)),
            _ => {}
        }
    }
    texts
}

/// One string, or blocks where cache marks stand between them.
fn write_system(out: &mut Vec<u8>, parts: &[&Part]) {
    if parts.is_empty() {
        return;
    }
    let texts = parts.iter().filter_map(|it| match it {
        Part::Text { text, cache, .. } => Some((text.as_str(), cache.as_ref())),
        _ => None,
    });
    if texts.clone().any(|(_, cache)| cache.is_some()) {
        out.key("system").open(b'[');
        texts.for_each(|(text, cache)| write_text(out, text, cache));
        out.close(b']');
    } else {
        let texts: Vec<&str> = texts.map(|(text, _)| text).collect();
        out.text_field("system", &texts.join("\n\n"));
    }
}

fn turns<'a>(prompt: &'a Prompt, losses: &mut Losses) -> Vec<Turn<'a>> {
    let mut turns: Vec<Turn> = Vec::with_capacity(prompt.messages.len());
    for message in prompt.messages.iter().filter(|it| !is_system(it.role)) {
        let is_user = message.role == Role::User;
        for part in message.parts.iter().filter(|it| is_sayable(it, is_user, losses)) {
            match turns.last_mut().filter(|it| it.is_user == is_user) {
                Some(turn) => turn.parts.push(part),
                None => turns.push(Turn { is_user, parts: vec![part] }),
            }
        }
    }
    for turn in turns.iter_mut().filter(|it| it.is_user) {
        turn.parts.sort_by_key(|it| !matches!(it, Part::Result(_)));
    }
    turns
}

/// The API refuses texts of spaces only.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Whether the API takes a part; if not, it is named where it says something.
fn is_sayable(part: &Part, is_user: bool, losses: &mut Losses) -> bool {
    match part {
        Part::Text { text, .. } | Part::Refusal(text) => !is_blank(text),
        Part::Thought(thought) => thought.seal.as_ref().is_some_and(|it| it.dialect == Dialect::Anthropic),
        Part::Call(_) => true,
        Part::Result(result) => {
            result.parts.iter().for_each(|it| _ = is_sayable(it, true, losses));
            true
        }
        Part::Media(media) if !is_user => {
            losses.add(name_of_made(media.kind));
            false
        }
        Part::Media(media) => {
            let is_taken = sources::is_taken(media);
            losses.add_if(!is_taken, name_of_media(media.kind));
            if is_taken {
                losses.add_detail(media);
            }
            is_taken
        }
        Part::Other(json) => {
            let kind = kind_of(json);
            let is_own = OWN_BLOCKS.contains(&kind.as_str()) || kind.ends_with("_tool_result");
            if !is_own {
                losses.add(name_of(part));
            }
            is_own
        }
    }
}

fn write_turn(out: &mut Vec<u8>, turn: &Turn, is_last: bool) -> Result<(), Error> {
    out.open(b'{').text_field("role", if turn.is_user { "user" } else { "assistant" }).key("content");
    // The API refuses an unfinished answer that ends in spaces.
    let last = if is_last && !turn.is_user { turn.parts.last().copied() } else { None };
    match turn.parts.as_slice() {
        [Part::Text { text, cache: None, .. }] => {
            _ = out.text(if last.is_some() { text.trim_end() } else { text });
        }
        parts => {
            out.open(b'[');
            for part in parts {
                match (last, part) {
                    (Some(last), Part::Text { text, cache, .. }) if std::ptr::eq(last, *part) => {
                        write_text(out, text.trim_end(), cache.as_ref());
                    }
                    _ => write_part(out, part)?,
                }
            }
            out.close(b']');
        }
    }
    out.close(b'}');
    Ok(())
}

fn write_part(out: &mut Vec<u8>, part: &Part) -> Result<(), Error> {
    match part {
        Part::Text { text, cache, .. } => write_text(out, text, cache.as_ref()),
        Part::Refusal(text) => write_text(out, text, None),
        Part::Media(media) => sources::write(out, media)?,
        Part::Thought(thought) => write_thought(out, thought),
        Part::Call(call) => write_call(out, call)?,
        Part::Result(result) => write_result(out, result)?,
        Part::Other(json) => _ = out.raw(json.get()),
    }
    Ok(())
}

fn write_text(out: &mut Vec<u8>, text: &str, cache: Option<&Json>) {
    out.of_type("text").text_field("text", text).raw_if("cache_control", cache).close(b'}');
}

fn write_thought(out: &mut Vec<u8>, thought: &Thought) {
    let Some(seal) = &thought.seal else { return };
    match seal.is_whole {
        true => out.of_type("redacted_thinking").text_field("data", &seal.data),
        false => {
            out.of_type("thinking").text_field("thinking", &thought.text).text_field("signature", &seal.data)
        }
    };
    out.close(b'}');
}

fn write_call(out: &mut Vec<u8>, call: &Call) -> Result<(), Error> {
    out.of_type("tool_use").text_field("id", &mended(&call.id)).text_field("name", &call.name).key("input");
    let message = "messages holds a tool call whose arguments are not a JSON object. Send them as the model wrote them.";
    let input = arguments::object(call);
    let input = input.ok_or_else(|| Error::bad_request(message).param("messages"))?;
    out.raw(&input).close(b'}');
    Ok(())
}

fn write_result(out: &mut Vec<u8>, result: &ToolResult) -> Result<(), Error> {
    out.of_type("tool_result").text_field("tool_use_id", &mended(&result.call_id));
    // What is lost of it has been named.
    let parts = result.parts.iter().filter(|it| is_sayable(it, true, &mut Losses::default()));
    let parts: Vec<&Part> = parts.collect();
    match parts.as_slice() {
        [] => {}
        [Part::Text { text, cache: None, .. }] => _ = out.text_field("content", text),
        parts => {
            out.key("content").open(b'[');
            for part in parts {
                write_part(out, part)?;
            }
            out.close(b']');
        }
    }
    if result.is_error {
        out.raw_field("is_error", "true");
    }
    out.raw_if("cache_control", result.cache.as_ref()).close(b'}');
    Ok(())
}
