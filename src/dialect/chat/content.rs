//! `content` of messages: a text, or a list of typed parts.

use super::{media, said};
use crate::api::fields::{Fields, elements};
use crate::api::ink::Ink;
use crate::api::surrogates;
use crate::dialect::Dialect;
use crate::dialect::json::Json;
use crate::dialect::prompt::{Part, Seal, Thought};
use crate::dialect::read::{raw, raw_of, text_of};

/// Reads content; an empty text is none. None where it is neither text nor list.
pub fn read(json: Option<&str>) -> Option<Vec<Part>> {
    let Some(json) = json else { return Some(Vec::new()) };
    if let Some(text) = surrogates::text(json) {
        return Some(if text.is_empty() { Vec::new() } else { vec![Part::text(text)] });
    }
    Some(elements(json)?.into_iter().filter_map(|it| read_part(it.get())).collect())
}

/// Reads one part; None where it is null.
pub fn read_part(json: &str) -> Option<Part> {
    let Some(fields) = Fields::read(json) else {
        return match surrogates::text(json) {
            Some(text) => Some(Part::text(text)),
            None if json == "null" => None,
            None => Some(Part::Other(raw(json))),
        };
    };
    let kind = fields.text("type").unwrap_or_default();
    let part = match kind.as_ref() {
        "text" | "input_text" | "output_text" => text_of(&fields, "text").map(|text| Part::Text {
            text,
            cache: raw_of(&fields, "cache_control"),
            citations: citations(&fields),
        }),
        "refusal" => text_of(&fields, "refusal").map(Part::Refusal),
        "thinking" => thought(&fields),
        _ => media::read(&kind, &fields).map(Part::Media),
    };
    Some(part.unwrap_or_else(|| Part::Other(raw(json))))
}

fn citations(fields: &Fields) -> Vec<Json> {
    let annotations = fields.value("annotations").and_then(elements).unwrap_or_default();
    annotations.into_iter().map(Json::from).collect()
}

/// Mistral's reasoning, a list of texts; others write one text and sign it.
fn thought(fields: &Fields) -> Option<Part> {
    let json = fields.value("thinking")?;
    let text = match surrogates::text(json) {
        Some(text) => text.into_owned(),
        None => elements(json)?.iter().filter_map(|it| text_of(&Fields::read(it.get())?, "text")).collect(),
    };
    let seal = text_of(fields, "signature").filter(|it| !it.is_empty());
    let seal = seal.map(|data| Seal { dialect: Dialect::Anthropic, data, is_whole: false });
    Some(Part::Thought(Thought { text, seal, ..Thought::default() }))
}

/// Writes the field `content`: a text where that says all, else a list.
pub fn write<'a>(ink: &mut Vec<u8>, parts: impl Iterator<Item = &'a Part> + Clone) {
    ink.key("content");
    let mut rest = parts.clone();
    match (rest.next(), rest.next()) {
        (None, _) => {
            ink.text("");
        }
        (Some(Part::Text { text, cache: None, citations }), None) if citations.is_empty() => {
            ink.text(text);
        }
        _ => {
            ink.open(b'[');
            parts.for_each(|it| write_part(ink, it));
            ink.close(b']');
        }
    }
}

/// The same for an assistant, whose message may do without, and has places of its own for a lone refusal and for what a
/// lone text cites.
pub fn write_of_assistant(ink: &mut Vec<u8>, parts: &[&Part], says_more: bool) {
    let parts: Vec<&Part> = parts.iter().copied().filter(|it| !matches!(it, Part::Thought(_))).collect();
    match parts[..] {
        [] if says_more => {
            ink.raw_field("content", "null");
        }
        [Part::Refusal(refusal)] => {
            ink.raw_field("content", "null").text_field("refusal", refusal);
        }
        [Part::Text { text, cache: None, citations }] => {
            ink.text_field("content", text);
            said::write_annotations(ink, citations.iter());
        }
        _ => write(ink, parts.into_iter()),
    }
}

/// The same for an answer: one text, one refusal, one list of what was cited.
pub fn write_joined(ink: &mut Vec<u8>, parts: &[&Part]) {
    let texts = || {
        parts
            .iter()
            .filter_map(|it| if let Part::Text { text, .. } = it { Some(text.as_str()) } else { None })
    };
    let refusals =
        parts.iter().filter_map(|it| if let Part::Refusal(it) = it { Some(it.as_str()) } else { None });
    ink.key("content");
    match texts().next() {
        Some(_) => ink.text(&texts().collect::<String>()),
        None => ink.raw("null"),
    };
    let refusal: String = refusals.collect();
    ink.text_if("refusal", Some(refusal.as_str()).filter(|it| !it.is_empty()));
    let citations = parts
        .iter()
        .filter_map(|it| if let Part::Text { citations, .. } = it { Some(citations) } else { None });
    said::write_annotations(ink, citations.flatten());
}

fn write_part(ink: &mut Vec<u8>, part: &Part) {
    match part {
        Part::Text { text, cache, citations } => {
            ink.of_type("text").text_field("text", text);
            said::write_annotations(ink, citations.iter());
            ink.raw_if("cache_control", cache.as_ref());
            ink.close(b'}');
        }
        Part::Media(it) => media::write(ink, it),
        Part::Refusal(text) => {
            ink.of_type("refusal").text_field("refusal", text).close(b'}');
        }
        Part::Other(json) => {
            ink.raw(json.get());
        }
        // These have places of their own in a message.
        Part::Thought(_) | Part::Call(_) | Part::Result(_) => {}
    }
}

/// Whether the part stands in `content` when no assistant says it.
pub fn is_content(part: &Part) -> bool {
    !matches!(part, Part::Thought(_) | Part::Call(_) | Part::Result(_))
}
