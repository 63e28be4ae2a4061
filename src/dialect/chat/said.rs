//! What an assistant says in a message of chat: of a request's history, or of an answer.
//!
//! Chat has a place for each kind of part, so their order among each other is kept only as far as it can be: content,
//! pictures, calls; each thought stays before what it stood before.

use super::details::{self, placed};
use super::{content, media};
use crate::api::fields::{Fields, elements};
use crate::api::ink::Ink;
use crate::dialect::json::Json;
use crate::dialect::prompt::{Call, Media, MediaKind, Part, Source, Thought};
use crate::dialect::read::text_of;

/// Reads the message; None where its content is of a type that it cannot have.
pub fn read(fields: &Fields, id_unnamed: impl Fn(usize) -> String) -> Option<Vec<Part>> {
    let mut parts = content::read(fields.value("content"))?;
    parts.extend(text_of(fields, "refusal").filter(|it| !it.is_empty()).map(Part::Refusal));
    for image in fields.value("images").and_then(elements).unwrap_or_default() {
        parts.extend(content::read_part(image.get()));
    }
    if let Some((audio, transcript)) = fields.value("audio").and_then(media::read_audio) {
        parts.extend(transcript.filter(|it| !it.is_empty()).map(Part::text));
        parts.extend(audio.map(Part::Media));
    }
    cite(&mut parts, fields);
    parts.extend(read_calls(fields, id_unnamed).into_iter().map(Part::Call));
    let details = fields.value("reasoning_details").unwrap_or("[]");
    Some(placed(details, readable(fields), parts))
}

/// The reasoning as one text.
fn readable(fields: &Fields) -> Option<String> {
    ["reasoning_content", "reasoning"]
        .into_iter()
        .find_map(|it| text_of(fields, it).filter(|it| !it.is_empty()))
}

/// Annotations of the message belong to its last text.
fn cite(parts: &mut [Part], fields: &Fields) {
    let annotations = fields.value("annotations").and_then(elements).unwrap_or_default();
    let text = parts.iter_mut().rev().find_map(|it| match it {
        Part::Text { citations, .. } => Some(citations),
        _ => None,
    });
    if let Some(citations) = text {
        citations.extend(annotations.into_iter().map(Json::from));
    }
}

/// The calls, with an id for those that have none.
fn read_calls(fields: &Fields, id_unnamed: impl Fn(usize) -> String) -> Vec<Call> {
    let calls = fields.value("tool_calls").and_then(elements).unwrap_or_default();
    let mut calls: Vec<Call> = calls
        .into_iter()
        .enumerate()
        .filter_map(|(at, json)| {
            let fields = Fields::read(json.get())?;
            let id = text_of(&fields, "id").filter(|it| !it.is_empty()).unwrap_or_else(|| id_unnamed(at));
            let custom = fields.value("custom");
            let inner = Fields::read(custom.or_else(|| fields.value("function"))?)?;
            Some(read_call(id, &inner, custom.is_some()))
        })
        .collect();
    if let Some(call) = fields.value("function_call").and_then(Fields::read) {
        calls.push(read_call(id_unnamed(calls.len()), &call, false));
    }
    calls
}

fn read_call(id: String, fields: &Fields, is_custom: bool) -> Call {
    let arguments = fields.value(if is_custom { "input" } else { "arguments" });
    Call {
        id,
        name: text_of(fields, "name").unwrap_or_default(),
        arguments: arguments.map(arguments_text).unwrap_or_default(),
        is_custom,
    }
}

/// Arguments as text, also where somebody wrote them as JSON that is no text.
pub fn arguments_text(json: &str) -> String {
    crate::api::surrogates::text(json).map_or_else(|| json.to_owned(), |it| it.into_owned())
}

/// Writes the fields of the message behind its role. `is_answer`: its content is one text, as clients expect it.
pub fn write(ink: &mut Vec<u8>, parts: &[Part], is_answer: bool) {
    let parts = arranged(parts, is_answer);
    write_thoughts(ink, &parts, is_answer);
    let content: Vec<&Part> = parts.iter().copied().filter(|it| place(it, is_answer) == CONTENT).collect();
    match is_answer {
        true => content::write_joined(ink, &content),
        false => {
            content::write_of_assistant(ink, &content, parts.iter().any(|it| place(it, false) > CONTENT))
        }
    }
    write_made(ink, &parts, is_answer);
    let calls = parts.iter().filter_map(|it| if let Part::Call(call) = it { Some(call) } else { None });
    write_calls(ink, calls);
}

const CONTENT: u8 = 0;
const PICTURES: u8 = 1;
const RECORDING: u8 = 2;
const CALLS: u8 = 3;
/// Chat has no place for it.
const NOWHERE: u8 = 4;

/// Where in a message a part goes.
fn place(part: &Part, is_answer: bool) -> u8 {
    match part {
        Part::Media(Media { kind: MediaKind::Image, .. }) => PICTURES,
        Part::Media(Media { kind: MediaKind::Audio, source: Source::File(_), .. }) => RECORDING,
        Part::Media(Media { kind: MediaKind::Audio, source: Source::Data { .. }, .. }) if is_answer => {
            RECORDING
        }
        Part::Media(_) if is_answer => PICTURES,
        Part::Call(_) => CALLS,
        Part::Result(_) => NOWHERE,
        Part::Other(_) if is_answer => NOWHERE,
        _ => CONTENT,
    }
}

/// The parts in the order of their places; thoughts stay before what they stood before.
fn arranged(parts: &[Part], is_answer: bool) -> Vec<&Part> {
    let mut groups: Vec<(u8, &[Part])> = Vec::new();
    let mut rest = parts;
    while let Some(at) = rest.iter().position(|it| !matches!(it, Part::Thought(_))) {
        groups.push((place(&rest[at], is_answer), &rest[..=at]));
        rest = &rest[at + 1..];
    }
    groups.push((NOWHERE, rest));
    groups.sort_by_key(|(place, _)| *place);
    let parts = groups.into_iter().flat_map(|(_, group)| group);
    parts.filter(|it| matches!(it, Part::Thought(_)) || place(it, is_answer) != NOWHERE).collect()
}

/// Writes `reasoning_content`, and `reasoning_details` where it does not say all.
fn write_thoughts(ink: &mut Vec<u8>, parts: &[&Part], is_answer: bool) {
    let thoughts = || parts.iter().filter_map(|it| if let Part::Thought(it) = it { Some(it) } else { None });
    let readable: String = thoughts().map(|it| it.text.as_str()).collect();
    if !readable.is_empty() {
        ink.text_field("reasoning_content", &readable);
    }
    if !thoughts().any(|it| it.seal.is_some() || it.is_summary || it.id.is_some()) {
        return;
    }
    ink.key("reasoning_details").open(b'[');
    let mut index = 0;
    let (mut text_counted, mut refusal_counted) = (false, false);
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Thought(thought) => write_thought(ink, thought, parts.get(at + 1), index),
            // All texts of an answer are one, and stand where the first one is.
            Part::Text { .. } if is_answer && std::mem::replace(&mut text_counted, true) => continue,
            Part::Refusal(_) if is_answer && std::mem::replace(&mut refusal_counted, true) => continue,
            _ => {}
        }
        index += 1;
    }
    ink.close(b']');
}

fn write_thought(ink: &mut Vec<u8>, thought: &Thought, next: Option<&&Part>, index: u64) {
    let is_bare = thought.text.is_empty() && thought.id.is_none() && !thought.is_summary;
    match (&thought.seal, next) {
        (Some(seal), Some(Part::Call(call))) if is_bare && !seal.is_whole => {
            details::write_encrypted(ink, seal, Some(&call.id), index);
        }
        (seal, _) => {
            let is_told = !thought.text.is_empty() || thought.is_summary || seal.is_none();
            let text = is_told.then_some((thought.text.as_str(), thought.is_summary));
            details::write(ink, text, seal.as_ref(), thought.id.as_deref(), index);
        }
    }
}

fn write_made(ink: &mut Vec<u8>, parts: &[&Part], is_answer: bool) {
    let media = |at: u8| {
        parts.iter().filter(move |it| place(it, is_answer) == at).filter_map(|it| match it {
            Part::Media(media) => Some(media),
            _ => None,
        })
    };
    // There is a place for one recording only.
    let mut pictures = media(PICTURES).chain(media(RECORDING).skip(1)).peekable();
    if pictures.peek().is_some() {
        ink.key("images").open(b'[');
        pictures.for_each(|it| media::write(ink, it));
        ink.close(b']');
    }
    if let Some(recording) = media(RECORDING).next() {
        media::write_audio(ink.key("audio"), recording);
    }
}

fn write_calls<'a>(ink: &mut Vec<u8>, calls: impl Iterator<Item = &'a Call>) {
    let mut calls = calls.peekable();
    if calls.peek().is_none() {
        return;
    }
    ink.key("tool_calls").open(b'[');
    for call in calls {
        let (kind, arguments) = if call.is_custom { ("custom", "input") } else { ("function", "arguments") };
        ink.open(b'{').text_field("id", &call.id).text_field("type", kind);
        ink.key(kind).open(b'{').text_field("name", &call.name);
        ink.key(arguments).text(&call.arguments).close(b'}').close(b'}');
    }
    ink.close(b']');
}

/// The annotations of texts that become one.
pub fn write_annotations<'a>(ink: &mut Vec<u8>, citations: impl Iterator<Item = &'a Json>) {
    ink.list_if("annotations", citations);
}
