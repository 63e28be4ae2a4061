//! Pictures, documents, recordings and films as parts of chat's content.
//!
//! Beside what OpenAI documents, an address may have a `media_type`, a picture a `file_id`, any part a `filename` and a
//! `cache_control`, and a document Anthropic's `citations` and `context`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::api::fields::Fields;
use crate::api::ink::Ink;
use crate::api::surrogates;
use crate::dialect::prompt::{Media, MediaKind, Source};
use crate::dialect::read::{flag_of, object_of, raw_of, text_of};
use crate::dialect::sources::{TYPE_UNKNOWN, audio_format, audio_type, of_url, to_url};

/// What Anthropic's clients say of a document that is to be cited.
const CITED: &str = r#"{"enabled":true}"#;

/// The part of that type; None where it is no media, or says nothing that is understood.
pub fn read(kind: &str, fields: &Fields) -> Option<Media> {
    let field = match kind {
        "image_url" | "video_url" | "input_audio" | "file" => kind,
        _ => return None,
    };
    let inner = object_of(fields, field);
    let value = |name: &str| inner.as_ref().and_then(|it| text_of(it, name));
    let (kind, source) = match kind {
        // Some clients write the address itself.
        "image_url" | "video_url" => {
            let is_image = kind == "image_url";
            let url =
                value("url").or_else(|| text_of(fields, field)).map(|it| of_url(it, value("media_type")));
            let kind = if is_image { MediaKind::Image } else { MediaKind::Video };
            (kind, url.or_else(|| value("file_id").map(Source::File))?)
        }
        "input_audio" => (MediaKind::Audio, audio(value)?),
        _ => file(value)?,
    };
    Some(Media {
        detail: value("detail").filter(|_| kind == MediaKind::Image),
        name: value("filename").or_else(|| text_of(fields, "filename")),
        cache: raw_of(fields, "cache_control"),
        cited: object_of(fields, "citations").is_some_and(|it| flag_of(&it, "enabled") == Some(true)),
        context: text_of(fields, "context"),
        kind,
        source,
    })
}

fn audio(value: impl Fn(&str) -> Option<String>) -> Option<Source> {
    let Some(data) = value("data") else {
        let url = value("url").map(|url| Source::Url { url, media_type: value("media_type") });
        return url.or_else(|| value("file_id").map(Source::File));
    };
    let format = value("format").unwrap_or_else(|| "wav".to_owned());
    let media_type = audio_type(&format);
    // Qwen takes addresses, and data URIs without a type, in its place.
    Some(match data.split_once(":") {
        Some(("http" | "https", _)) => Source::Url { url: data, media_type: Some(media_type) },
        Some(("data", rest)) => {
            let base64 = rest.split_once(',').map_or(rest, |(_, it)| it).to_owned();
            Source::Data { media_type, base64 }
        }
        _ => Source::Data { media_type, base64: data },
    })
}

fn file(value: impl Fn(&str) -> Option<String>) -> Option<(MediaKind, Source)> {
    let source = if let Some(data) = value("file_data") {
        match data.starts_with("data:") {
            true => of_url(data, None),
            false => {
                let is_pdf = value("filename").is_some_and(|it| it.to_ascii_lowercase().ends_with(".pdf"));
                let media_type = if is_pdf { "application/pdf" } else { TYPE_UNKNOWN };
                Source::Data { media_type: media_type.to_owned(), base64: data }
            }
        }
    } else if let Some(url) = value("file_url") {
        of_url(url, value("media_type"))
    } else {
        Source::File(value("file_id")?)
    };
    let kind = match &source {
        Source::Data { media_type, .. } if media_type.starts_with("image/") => MediaKind::Image,
        Source::Data { media_type, .. } if media_type.starts_with("audio/") => MediaKind::Audio,
        Source::Data { media_type, .. } if media_type.starts_with("video/") => MediaKind::Video,
        _ => MediaKind::Document,
    };
    Some((kind, plain_text(source)))
}

/// A document of plain text as its text.
fn plain_text(source: Source) -> Source {
    match &source {
        Source::Data { media_type, base64 } if media_type == "text/plain" => {
            let text = STANDARD.decode(base64).ok().and_then(|it| String::from_utf8(it).ok());
            text.map_or(source, Source::Text)
        }
        _ => source,
    }
}

/// Writes the media as a part.
pub fn write(ink: &mut Vec<u8>, media: &Media) {
    let kind = match media.kind {
        MediaKind::Image => "image_url",
        MediaKind::Video => "video_url",
        MediaKind::Audio => "input_audio",
        MediaKind::Document => "file",
    };
    ink.of_type(kind).key(kind).open(b'{');
    let is_file = media.kind == MediaKind::Document;
    if is_file {
        ink.text_if("filename", media.name.as_deref());
    }
    write_source(ink, media);
    if media.kind == MediaKind::Image {
        ink.text_if("detail", media.detail.as_deref());
    }
    ink.close(b'}');
    if !is_file {
        ink.text_if("filename", media.name.as_deref());
    }
    ink.raw_if("cache_control", media.cache.as_ref());
    if is_file {
        ink.raw_if("citations", media.cited.then_some(CITED)).text_if("context", media.context.as_deref());
    }
    ink.close(b'}');
}

fn write_source(ink: &mut Vec<u8>, media: &Media) {
    let (address, data) = match media.kind {
        MediaKind::Document => ("file_url", "file_data"),
        MediaKind::Audio => ("url", "data"),
        MediaKind::Image | MediaKind::Video => ("url", "url"),
    };
    match &media.source {
        Source::Data { media_type, base64 } if media.kind == MediaKind::Audio => {
            ink.text_field("data", base64).text_field("format", audio_format(media_type));
        }
        Source::Url { url, media_type } => {
            ink.key(address).text(url);
            ink.text_if("media_type", media_type.as_deref());
        }
        Source::File(id) => {
            ink.text_field("file_id", id);
        }
        held => {
            ink.text_if(data, to_url(held));
        }
    }
}

/// The recording that an assistant made: `audio` of its message. An old one is but an id.
pub fn read_audio(json: &str) -> Option<(Option<Media>, Option<String>)> {
    let fields = Fields::read(json)?;
    let data = audio(|name| fields.value(name).and_then(surrogates::text).map(Cow::into_owned));
    let source = data.or_else(|| text_of(&fields, "id").map(Source::File));
    let media = source.map(|it| Media::of(MediaKind::Audio, it));
    Some((media, text_of(&fields, "transcript")))
}

/// Writes the same.
pub fn write_audio(ink: &mut Vec<u8>, media: &Media) {
    ink.open(b'{');
    match &media.source {
        Source::File(id) => {
            ink.text_field("id", id);
        }
        _ => write_source(ink, media),
    }
    ink.close(b'}');
}
