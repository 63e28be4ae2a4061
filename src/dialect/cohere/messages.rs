//! Messages as Cohere takes them: system, user, assistant and tool, each result a message of its own. Documents stand
//! beside the messages, where the model may cite them.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::api::ink::{Ink, LIST, OBJECT};
use crate::dialect::arguments::wrapped;
use crate::dialect::loss::{Losses, name_of, name_of_made};
use crate::dialect::prompt::{Call, Media, MediaKind, Message, Part, Prompt, Role, Source, ToolResult};
use crate::dialect::says_nothing;
use crate::dialect::sources::to_url;
use crate::error::Error;

/// What a message may hold as `content`.
enum Piece<'a> {
    Text(Cow<'a, str>),
    Picture(&'a Media),
}

pub fn write(prompt: &Prompt, body: &mut Vec<u8>, losses: &mut Losses) -> Result<(), Error> {
    body.key("messages");
    body.open(b'[');
    for message in &prompt.messages {
        match message.role {
            Role::System | Role::Developer => write_spoken("system", message, body, losses),
            Role::User => write_user(message, body, losses),
            Role::Assistant => write_assistant(message, body, losses),
        }
    }
    if body.ends_with(b"[") {
        return Err(says_nothing());
    }
    body.close(b']');
    Ok(())
}

/// The documents of all messages, before those that the client names itself (`documents`); whether there are any.
pub fn write_documents(prompt: &Prompt, body: &mut Vec<u8>) -> bool {
    let own = prompt.extra.iter().filter(|(name, _)| name == "documents");
    let parts = prompt.messages.iter().flat_map(|it| &it.parts);
    let mut has_any = false;
    body.filled("documents", LIST, |body| {
        for part in parts {
            let Part::Media(media) = part else { continue };
            let Some(text) = document(media) else { continue };
            body.open(b'{');
            body.filled("data", OBJECT, |body| {
                body.text_if("title", media.name.as_deref()).text_if("context", media.context.as_deref());
                body.text_field("text", &text);
            });
            body.close(b'}');
            has_any = true;
        }
        for list in own.filter_map(|(_, it)| crate::api::fields::elements(it.get())) {
            list.iter().for_each(|it| _ = body.raw(it.get()));
            has_any |= !list.is_empty();
        }
    });
    has_any
}

fn write_user(message: &Message, body: &mut Vec<u8>, losses: &mut Losses) {
    for part in &message.parts {
        if let Part::Result(result) = part {
            write_result(result, body, losses);
        }
    }
    write_spoken("user", message, body, losses);
}

/// A message of texts and, of users, pictures; nothing where it has none.
fn write_spoken(role: &str, message: &Message, body: &mut Vec<u8>, losses: &mut Losses) {
    let pieces: Vec<Piece> =
        message.parts.iter().filter_map(|it| piece(it, role == "user", losses)).collect();
    if pieces.is_empty() {
        return;
    }
    body.open(b'{');
    body.text_field("role", role);
    write_content(&pieces, body);
    body.close(b'}');
}

fn piece<'a>(part: &'a Part, takes_pictures: bool, losses: &mut Losses) -> Option<Piece<'a>> {
    match part {
        Part::Text { text, .. } | Part::Refusal(text) => {
            Some(Piece::Text(text.into())).filter(|_| !text.is_empty())
        }
        Part::Media(media) if media.kind == MediaKind::Image && takes_pictures && is_shown(media) => {
            Some(Piece::Picture(media))
        }
        // Stands among the documents.
        Part::Media(media) if document(media).is_some() => None,
        Part::Result(_) | Part::Call(_) | Part::Thought(_) => None,
        other => {
            losses.add(name_of(other));
            None
        }
    }
}

/// The same of an assistant, of whom pictures and recordings are what it made.
fn piece_made<'a>(part: &'a Part, losses: &mut Losses) -> Option<Piece<'a>> {
    match part {
        Part::Media(media) if document(media).is_none() => {
            losses.add(name_of_made(media.kind));
            None
        }
        other => piece(other, false, losses),
    }
}

/// The text of a document that is plain text.
fn document(media: &Media) -> Option<Cow<'_, str>> {
    match &media.source {
        Source::Text(text) => Some(Cow::Borrowed(text)),
        Source::Data { media_type, base64 }
            if media.kind == MediaKind::Document && media_type.starts_with("text/") =>
        {
            String::from_utf8(BASE64_STANDARD.decode(base64).ok()?).ok().map(Cow::Owned)
        }
        _ => None,
    }
}

/// Whether Cohere can see it.
fn is_shown(media: &Media) -> bool {
    matches!(media.source, Source::Data { .. } | Source::Url { .. })
}

/// One text is a string; more, and pictures, are a list.
fn write_content(pieces: &[Piece], body: &mut Vec<u8>) {
    if let [Piece::Text(text)] = pieces {
        body.text_field("content", text);
        return;
    }
    body.filled("content", LIST, |body| {
        for piece in pieces {
            body.open(b'{');
            match piece {
                Piece::Text(text) => {
                    body.text_field("type", "text");
                    body.text_field("text", text);
                }
                Piece::Picture(media) => {
                    body.text_field("type", "image_url");
                    body.filled("image_url", OBJECT, |body| {
                        body.text_if("url", to_url(&media.source));
                        media.detail.iter().for_each(|it| _ = body.text_field("detail", it));
                    });
                }
            }
            body.close(b'}');
        }
    });
}

fn write_assistant(message: &Message, body: &mut Vec<u8>, losses: &mut Losses) {
    let pieces: Vec<Piece> = message.parts.iter().filter_map(|it| piece_made(it, losses)).collect();
    let calls: Vec<&Call> =
        message.parts.iter().filter_map(|it| if let Part::Call(it) = it { Some(it) } else { None }).collect();
    if pieces.is_empty() && calls.is_empty() {
        return;
    }
    body.open(b'{');
    body.text_field("role", "assistant");
    if !pieces.is_empty() {
        write_content(&pieces, body);
    }
    // Reasoning before calls is what Cohere names their plan. It is nobody else's secret, so it needs no seal.
    let plan: String = message.parts.iter().filter_map(plan_of).collect();
    if !plan.is_empty() && !calls.is_empty() {
        body.text_field("tool_plan", &plan);
    }
    body.filled("tool_calls", LIST, |body| calls.into_iter().for_each(|it| write_call(it, body)));
    body.close(b'}');
}

/// Sealed reasoning is of another maker.
fn plan_of(part: &Part) -> Option<&str> {
    match part {
        Part::Thought(thought) if thought.seal.is_none() => Some(&thought.text),
        _ => None,
    }
}

fn write_call(call: &Call, body: &mut Vec<u8>) {
    body.open(b'{');
    body.text_field("id", &call.id);
    body.text_field("type", "function");
    body.filled("function", OBJECT, |body| {
        body.text_field("name", &call.name);
        match call.is_custom {
            true => _ = body.text_field("arguments", &wrapped(&call.arguments)),
            false if call.arguments.trim().is_empty() => _ = body.text_field("arguments", "{}"),
            false => _ = body.text_field("arguments", &call.arguments),
        }
    });
    body.close(b'}');
}

fn write_result(result: &ToolResult, body: &mut Vec<u8>, losses: &mut Losses) {
    losses.add_if(result.is_error, "messages[].is_error");
    let pieces: Vec<Piece> = result.parts.iter().filter_map(|it| piece_of_result(it, losses)).collect();
    body.open(b'{');
    body.text_field("role", "tool");
    body.text_field("tool_call_id", &result.call_id);
    match pieces.is_empty() {
        true => _ = body.text_field("content", ""),
        false => write_content(&pieces, body),
    }
    body.close(b'}');
}

fn piece_of_result<'a>(part: &'a Part, losses: &mut Losses) -> Option<Piece<'a>> {
    match part {
        Part::Media(media) => match document(media) {
            Some(text) => Some(Piece::Text(text)),
            None => piece(part, false, losses),
        },
        other => piece(other, false, losses),
    }
}
