//! Whole answers: `chat.completion`.

use super::encode::id;
use super::{finish, said, sources, usage};
use crate::api::fields::{Fields, elements};
use crate::api::ink::Ink;
use crate::dialect::answer::{Answer, Choice};
use crate::dialect::json::Json;
use crate::dialect::prompt::{Call, Part};
use crate::dialect::read::{count_of, object_of, raw_of, text_of};
use crate::dialect::{Frame, Unreadable};

pub fn read(body: &[u8]) -> Result<Answer, Unreadable> {
    let fields = Fields::of_bytes(body);
    let fields = fields.ok_or(Unreadable("the answer is no JSON object"))?;
    let list = fields.value("choices").and_then(elements).ok_or(Unreadable("the answer has no choices"))?;
    let list: Vec<Fields> = list.into_iter().filter_map(|it| Fields::read(it.get())).collect();
    let choices = list.iter().enumerate().map(|(at, it)| read_choice(at, it)).collect::<Option<Vec<_>>>();
    let mut choices = choices.ok_or(Unreadable("the answer's content is neither a text nor a list"))?;
    let sources: Vec<Json> = sources::read(&fields).into_iter().map(|(_, it)| it).collect();
    choices.iter_mut().for_each(|it| cite(&mut it.parts, &sources));
    let text = |name: &str| text_of(&fields, name).filter(|it| !it.is_empty());
    Ok(Answer {
        id: text("id"),
        model: text("model"),
        created: count_of(&fields, "created").filter(|it| *it > 0),
        usage: usage::read(&fields, &list),
        service_tier: text("service_tier"),
        choices,
    })
}

fn read_choice(at: usize, fields: &Fields) -> Option<Choice> {
    let message = object_of(fields, "message").or_else(|| object_of(fields, "delta")).unwrap_or_default();
    let parts = said::read(&message, |_| Call::new_id())?;
    let called = parts.iter().any(|it| matches!(it, Part::Call(_)));
    Some(Choice {
        index: count_of(fields, "index").and_then(|it| u32::try_from(it).ok()).unwrap_or(at as u32),
        finish: finish::read(fields, called),
        logprobs: raw_of(fields, "logprobs").filter(|it| it.get().starts_with('{')),
        parts,
    })
}

/// Sources at the top of the answer belong to its last text.
fn cite(parts: &mut [Part], sources: &[Json]) {
    let text = parts.iter_mut().rev().find_map(|it| match it {
        Part::Text { citations, .. } => Some(citations),
        _ => None,
    });
    text.into_iter().for_each(|it| it.extend_from_slice(sources));
}

pub fn write(answer: &Answer, frame: &Frame) -> Vec<u8> {
    let mut body = Vec::with_capacity(1024);
    let ink = &mut body;
    ink.open(b'{').text_field("id", &id(answer.id.as_deref(), frame));
    ink.text_field("object", "chat.completion");
    ink.number_field("created", answer.created.unwrap_or(frame.created));
    ink.text_field("model", &frame.model(answer.model.as_deref()));
    ink.key("choices").open(b'[');
    for choice in &answer.choices {
        ink.open(b'{').number_field("index", choice.index.into());
        ink.key("message").open(b'{').text_field("role", "assistant");
        said::write(ink, &choice.parts, true);
        ink.close(b'}').raw_if("logprobs", choice.logprobs.as_ref());
        finish::write(ink, choice.finish.as_ref());
        ink.close(b'}');
    }
    ink.close(b']');
    if let Some(it) = &answer.usage {
        usage::write(ink.key("usage"), it);
    }
    ink.text_if("service_tier", answer.service_tier.as_deref());
    ink.close(b'}');
    body
}
