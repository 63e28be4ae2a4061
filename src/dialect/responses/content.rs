//! The parts of an item's content, read from clients and vendors and written for vendors.

use std::borrow::Cow;

use super::place::At;
use crate::api::fields::{Fields, elements, object, quoted};
use crate::api::ink::Ink;
use crate::api::surrogates;
use crate::dialect::cited;
use crate::dialect::json::Json;
use crate::dialect::loss::{Losses, kind_of, name_of, name_of_media};
use crate::dialect::prompt::{Media, MediaKind, Part, Source};
use crate::dialect::sources::{audio_format, audio_type, of_data_uri, of_url, to_url, usual_name};
use crate::error::Error;

/// The media type of a file whose data does not say it: OpenAI took nothing else at first.
const FILE_TYPE_USUAL: &str = "application/pdf";

/// What OpenAI's `prompt_cache_breakpoint` is as Anthropic's cache mark.
const CACHE_MARK: &str = r#"{"type":"ephemeral"}"#;

/// Reads a message's content or a tool's output: a text, or parts.
pub fn read_content(content: Option<&str>, at: At) -> Result<Vec<Part>, Error> {
    let wanted = "a string or a list of content parts";
    let content = content.ok_or_else(|| at.wrong("", wanted))?;
    if let Some(text) = surrogates::text(content) {
        return Ok(vec![Part::text(text)]);
    }
    let parts = elements(content).ok_or_else(|| at.wrong("", wanted))?;
    parts.iter().enumerate().map(|(index, it)| read_part(it.get(), at.part(index))).collect()
}

/// Reads one part. A kind that is not known is carried along.
pub fn read_part(json: &str, at: At) -> Result<Part, Error> {
    let fields = Fields::read(json).ok_or_else(|| at.wrong("", "an object with a `type`"))?;
    let kind = fields.text("type").ok_or_else(|| at.wrong("type", "a string"))?;
    match kind.as_ref() {
        "input_text" | "output_text" | "text" | "summary_text" => read_text(&fields, at),
        "refusal" => {
            let refusal = text_of(&fields, "refusal").ok_or_else(|| at.wrong("refusal", "a string"))?;
            Ok(Part::Refusal(refusal))
        }
        "input_image" => read_image(&fields, at),
        "input_file" => read_file(&fields, at),
        "input_audio" => read_audio(&fields, at),
        _ => Ok(other(json)),
    }
}

/// The text of a field. Of a text that was cut inside a character the rest is read.
pub fn text_of(fields: &Fields, name: &str) -> Option<String> {
    fields.value(name).and_then(surrogates::text).map(|it| it.into_owned())
}

/// A part that is carried along as it is.
pub fn other(json: &str) -> Part {
    Part::Other(Json::parse(json).unwrap_or_else(|| Json::text(json)))
}

fn read_text(fields: &Fields, at: At) -> Result<Part, Error> {
    let text = text_of(fields, "text").ok_or_else(|| at.wrong("text", "a string"))?;
    let citations = fields.value("annotations").and_then(elements).unwrap_or_default();
    let citations = citations.iter().filter_map(|it| citation(it.get(), 0)).collect();
    Ok(Part::Text { text, cache: cache_of(fields), citations })
}

fn cache_of(fields: &Fields) -> Option<Json> {
    fields.value("prompt_cache_breakpoint").and_then(|_| Json::parse(CACHE_MARK))
}

fn read_image(fields: &Fields, at: At) -> Result<Part, Error> {
    let url = fields.text("image_url").map(|it| of_url(it.into_owned(), None));
    let source = url.or_else(|| fields.text("file_id").map(|it| Source::File(it.into_owned())));
    let source = source.ok_or_else(|| at.wrong("image_url", "a URL, or `file_id` the id of a file"))?;
    Ok(Part::Media(media(MediaKind::Image, source, fields)))
}

fn read_file(fields: &Fields, at: At) -> Result<Part, Error> {
    let data = fields.text("file_data").map(|it| {
        let bare = || Source::Data { media_type: FILE_TYPE_USUAL.to_owned(), base64: it.to_string() };
        of_data_uri(&it).unwrap_or_else(bare)
    });
    let url = || fields.text("file_url").map(|it| Source::Url { url: it.into_owned(), media_type: None });
    let id = || fields.text("file_id").map(|it| Source::File(it.into_owned()));
    let source = data.or_else(url).or_else(id);
    let source =
        source.ok_or_else(|| at.wrong("file_data", "a data URI, or give `file_url` or `file_id`"))?;
    Ok(Part::Media(media(MediaKind::Document, source, fields)))
}

fn read_audio(fields: &Fields, at: At) -> Result<Part, Error> {
    let audio = fields.value("input_audio").and_then(Fields::read);
    let audio = audio.ok_or_else(|| at.wrong("input_audio", "an object with `data` and `format`"))?;
    let data = audio.text("data").ok_or_else(|| at.wrong("input_audio.data", "base64"))?;
    let format = audio.text("format").ok_or_else(|| at.wrong("input_audio.format", "`wav` or `mp3`"))?;
    let source = Source::Data { media_type: audio_type(&format), base64: data.into_owned() };
    Ok(Part::Media(media(MediaKind::Audio, source, fields)))
}

fn media(kind: MediaKind, source: Source, fields: &Fields) -> Media {
    let own = |name| fields.text(name).map(|it| it.into_owned());
    // Items always have a detail; `auto` says as much as none.
    let detail = own("detail").filter(|it| it != "auto");
    let (name, cache) = (own("filename"), cache_of(fields));
    Media { detail, name, cache, ..Media::of(kind, source) }
}

/// An annotation of the Responses API in the form of chat's: there a citation's fields have an object of their own. It
/// counts in the text of its part, which begins at `start` of what chat counts in.
pub fn citation(annotation: &str, start: u64) -> Option<Json> {
    let fields = Fields::read(annotation)?;
    let kind = fields.text("type")?;
    let others = moved(&fields, |it| it.saturating_add(start));
    if kind == "url_citation" && fields.value("url_citation").is_none() {
        return Json::parse(&format!(r#"{{"type":"url_citation","url_citation":{}}}"#, object(others)));
    }
    let kind = Cow::Owned(quoted(&kind));
    Json::parse(&object([("type", kind)].into_iter().chain(others)))
}

/// The other way. OpenAI's SDKs declare all fields of a page's as given.
pub fn annotation(citation: &Json, start: u64) -> Json {
    let Some(fields) = Fields::read(citation.get()) else { return citation.clone() };
    let inner = |name| fields.value(name).and_then(Fields::read);
    if let Some(file) = inner("file_citation") {
        return of_file(&file, inner("location").as_ref()).unwrap_or_else(|| citation.clone());
    }
    let nested = inner("url_citation");
    let own = nested.as_ref().unwrap_or(&fields);
    let kind = match nested {
        Some(_) => "url_citation".into(),
        None => fields.text("type").unwrap_or_default(),
    };
    let usual = [("start_index", "0"), ("end_index", "0"), ("url", "\"\""), ("title", "\"\"")].into_iter();
    let missing = usual.filter(|(name, _)| kind == "url_citation" && own.value(name).is_none());
    let others = moved(own, |it| it.saturating_sub(start));
    let others = others.filter(|(name, _)| own.value(name).is_some());
    let others = others.chain(missing.map(|(name, value)| (name, Cow::Borrowed(value))));
    let all = [("type", Cow::Owned(quoted(&kind)))].into_iter().chain(others);
    Json::parse(&object(all)).unwrap_or_else(|| citation.clone())
}

/// The fields of an annotation but for its type, with its place where `to` moves it.
fn moved<'a>(fields: &'a Fields, to: impl Fn(u64) -> u64) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
    let is_placed = cited::place(fields).is_some();
    fields.each().filter(|(name, _)| *name != "type").map(move |(name, value)| {
        let is_place = is_placed && matches!(name, "start_index" | "end_index");
        let place = value.parse().ok().filter(|_| is_place);
        (name, place.map_or(Cow::Borrowed(value), |it| Cow::Owned(to(it).to_string())))
    })
}

/// The annotation of a file, all of whose fields OpenAI's clients expect. Where `location` is Anthropic's, it has the
/// number of the document.
fn of_file(file: &Fields, location: Option<&Fields>) -> Option<Json> {
    let number = |it: &Fields, name| it.value(name).and_then(|it| it.parse::<u64>().ok());
    let index = number(file, "index").or_else(|| number(location?, "document_index"));
    let text = |name| file.text(name).unwrap_or_default();
    let mut out = String::with_capacity(128);
    out.of_type("file_citation").number_field("index", index.unwrap_or_default());
    out.text_field("file_id", &text("file_id")).text_field("filename", &text("filename")).close(b'}');
    Json::parse(&out)
}

/// Writes what a user, a system or a tool says as parts; what has no words here is a loss.
pub fn write_input(parts: &[&Part], list: &mut Vec<u8>, losses: &mut Losses) {
    for part in parts {
        match part {
            Part::Text { text, .. } => write_words(list, "input_text", "text", text),
            Part::Refusal(text) => write_words(list, "input_text", "text", text),
            Part::Media(media) => write_media(media, list, losses),
            Part::Other(json) if kind_of(json).starts_with("input_") => _ = list.raw(json.get()),
            Part::Other(_) => losses.add(name_of(part)),
            // Others are no content: they are items of their own, or were never said by this side.
            Part::Thought(_) | Part::Call(_) | Part::Result(_) => {}
        }
    }
}

/// Writes what an assistant said.
pub fn write_said(parts: &[&Part], list: &mut Vec<u8>) {
    for part in parts {
        match part {
            Part::Text { text, citations, .. } => {
                let object = list.of_type("output_text");
                object.text_field("text", text);
                let annotations = object.key("annotations").open(b'[');
                citations.iter().for_each(|it| _ = annotations.raw(annotation(it, 0).get()));
                annotations.close(b']');
                object.close(b'}');
            }
            Part::Refusal(text) => write_words(list, "refusal", "refusal", text),
            _ => {}
        }
    }
}

fn write_words(list: &mut Vec<u8>, kind: &str, field: &str, text: &str) {
    let object = list.of_type(kind);
    object.text_field(field, text);
    object.close(b'}');
}

fn write_media(media: &Media, list: &mut Vec<u8>, losses: &mut Losses) {
    losses.add_citing(media);
    match media.kind {
        MediaKind::Image => {
            let object = list.of_type("input_image");
            match &media.source {
                Source::File(id) => _ = object.text_field("file_id", id),
                source => _ = object.text_if("image_url", to_url(source)),
            }
            object.text_if("detail", media.detail.as_deref());
            object.close(b'}');
        }
        MediaKind::Document => write_file(media, list),
        MediaKind::Audio => write_audio(media, list, losses),
        MediaKind::Video => losses.add(name_of_media(media.kind)),
    }
}

fn write_file(media: &Media, list: &mut Vec<u8>) {
    let object = list.of_type("input_file");
    let text = matches!(media.source, Source::Text(_));
    let is_data = text || matches!(media.source, Source::Data { .. });
    // OpenAI refuses data without a name.
    let usual = is_data.then(|| usual_name(text));
    object.text_if("filename", media.name.as_deref().or(usual));
    match &media.source {
        Source::File(id) => _ = object.text_field("file_id", id),
        Source::Url { url, .. } => _ = object.text_field("file_url", url),
        source => _ = object.text_if("file_data", to_url(source)),
    }
    object.close(b'}');
}

fn write_audio(media: &Media, list: &mut Vec<u8>, losses: &mut Losses) {
    let Source::Data { media_type, base64 } = &media.source else {
        return losses.add(name_of_media(media.kind));
    };
    let object = list.of_type("input_audio");
    let audio = object.key("input_audio").open(b'{');
    audio.text_field("data", base64);
    audio.text_field("format", audio_format(media_type));
    audio.close(b'}');
    object.close(b'}');
}

/// Writes a part of an object that holds nothing but parts of `write_input`: a text alone as a string.
pub fn write_output(object: &mut Vec<u8>, parts: &[Part], losses: &mut Losses) {
    match parts {
        [] => _ = object.text_field("output", ""),
        [Part::Text { text, .. }] => _ = object.text_field("output", text),
        parts => {
            let parts: Vec<&Part> = parts.iter().collect();
            let list = object.key("output").open(b'[');
            write_input(&parts, list, losses);
            list.close(b']');
        }
    }
}
