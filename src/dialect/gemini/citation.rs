//! Sources of an answer: Google's grounding and citations, and chat's `annotations`. Google counts places in bytes of
//! the text, chat in characters, so both directions need the text.

use std::borrow::Cow;

use super::names;
use crate::api::fields::{Fields, text};
use crate::api::ink::Ink;
use crate::dialect::cited::{Cited, Source};
use crate::dialect::json::Json;

/// Most bytes of text that are kept to count in; places behind them are not told.
const TEXT_MAX: usize = 256 * 1024;

/// Most sources that are kept of one answer.
pub(super) const SOURCES_MAX: usize = 256;

const GROUNDING: &str = "groundingMetadata";
const CITATIONS: &str = "citationMetadata";

/// What citations stand in; older models say `citationSources`.
const LISTS: &[&str] = &["citations", "citationSources"];

/// The text of an answer so far.
#[derive(Default)]
pub(super) struct Said {
    text: String,
    is_cut: bool,
}

impl Said {
    pub fn push(&mut self, text: &str) {
        if self.is_cut || self.text.len() + text.len() > TEXT_MAX {
            self.is_cut = true;
        } else {
            self.text.push_str(text);
        }
    }

    /// The character that a byte belongs to.
    fn chars(&self, byte: u64) -> Option<u64> {
        let byte = usize::try_from(byte).ok()?;
        let head = self.text.as_bytes().get(..byte)?;
        // Bytes that go on with a character begin with the bits 10.
        Some(head.iter().filter(|it| **it & 0xC0 != 0x80).count() as u64)
    }

    /// The byte that a character begins at.
    fn bytes(&self, char: u64) -> Option<usize> {
        let char = usize::try_from(char).ok()?;
        let ends = std::iter::once(self.text.len());
        self.text.char_indices().map(|(at, _)| at).chain(ends).nth(char)
    }
}

/// Most bytes of what a stream says of its sources that are kept; what is longer is not told.
const HEARD_MAX: usize = 1 << 20;

/// What a stream says of its sources: events tell them anew, with more, so that only the last of it counts.
#[derive(Default)]
pub(super) struct Heard {
    grounding: String,
    citations: String,
}

impl Heard {
    pub fn hear(&mut self, candidate: &Fields<'_>) {
        for (kept, metadata, lists) in [
            (&mut self.grounding, GROUNDING, ["groundingChunks"].as_slice()),
            (&mut self.citations, CITATIONS, LISTS),
        ] {
            let Some(json) = names::value(candidate, metadata).filter(|it| it.len() <= HEARD_MAX) else {
                continue;
            };
            let fields = Fields::read(json).unwrap_or_default();
            // An event may end what others said with nothing.
            if lists.iter().any(|it| !names::list(&fields, it).is_empty()) {
                json.clone_into(kept);
            }
        }
    }

    /// As chat's annotations; once.
    pub fn tell(&mut self, said: &Said) -> Vec<Json> {
        if self.grounding.is_empty() && self.citations.is_empty() {
            return Vec::new();
        }
        let mut candidate = String::from("{");
        for (name, kept) in [(GROUNDING, &mut self.grounding), (CITATIONS, &mut self.citations)] {
            if !kept.is_empty() {
                candidate.raw_field(name, &std::mem::take(kept));
            }
        }
        candidate.close(b'}');
        read(&Fields::read(&candidate).unwrap_or_default(), said)
    }
}

/// What a candidate says of its sources, as chat's annotations.
pub(super) fn read(candidate: &Fields<'_>, said: &Said) -> Vec<Json> {
    let mut found = Vec::new();
    if let Some(grounding) = names::object(candidate, GROUNDING) {
        grounded(&grounding, said, &mut found);
    }
    if let Some(metadata) = names::object(candidate, CITATIONS) {
        let citations = LISTS.iter().flat_map(|it| names::list(&metadata, it));
        for citation in citations.filter_map(Fields::read) {
            if let Some(uri) = names::value(&citation, "uri") {
                found.push(annotation(uri, names::value(&citation, "title"), &citation, said));
            }
        }
    }
    found.truncate(SOURCES_MAX);
    found.into_iter().flatten().collect()
}

/// A source for each place that rests on it; sources of no place in particular without one.
fn grounded(grounding: &Fields<'_>, said: &Said, found: &mut Vec<Option<Json>>) {
    let chunks = names::list(grounding, "groundingChunks");
    let chunks: Vec<_> = chunks.into_iter().map(|it| Fields::read(it).unwrap_or_default()).collect();
    let mut is_placed = vec![false; chunks.len()];
    for support in names::list(grounding, "groundingSupports").into_iter().filter_map(Fields::read) {
        let segment = names::object(&support, "segment").unwrap_or_default();
        for index in names::list(&support, "groundingChunkIndices") {
            let index = names::number(index).and_then(|it| usize::try_from(it).ok());
            let Some((chunk, placed)) = index.and_then(|it| Some((chunks.get(it)?, is_placed.get_mut(it)?)))
            else {
                continue;
            };
            *placed = true;
            if found.len() < SOURCES_MAX {
                found.push(source(chunk).and_then(|(uri, title)| annotation(uri, title, &segment, said)));
            }
        }
    }
    for (chunk, _) in chunks.iter().zip(is_placed).filter(|(_, is_placed)| !is_placed) {
        found.push(source(chunk).and_then(|(uri, title)| annotation(uri, title, &Fields::default(), said)));
    }
}

/// Address and title of a source, as JSON.
fn source<'a>(chunk: &Fields<'a>) -> Option<(&'a str, Option<&'a str>)> {
    let kinds = ["web", "retrievedContext", "maps", "image"];
    let found = kinds.iter().find_map(|it| names::object(chunk, it))?;
    let uri = names::value(&found, "uri").or_else(|| names::value(&found, "sourceUri"))?;
    Some((uri, names::value(&found, "title")))
}

fn annotation(uri: &str, title: Option<&str>, place: &Fields<'_>, said: &Said) -> Option<Json> {
    let at = |name| names::value(place, name).and_then(names::number);
    let end = at("endIndex").and_then(|it| said.chars(it));
    // Google leaves a zero out.
    let start = || said.chars(at("startIndex").unwrap_or(0)).unwrap_or(0);
    let source = Source::Web { url: text(uri)?, title: title.and_then(text).unwrap_or_default() };
    Some(Cited::of(source, end.map(|end| (start(), end))).write())
}

/// Writes annotations as Google's `groundingMetadata` of a candidate.
pub(super) fn write(annotations: &[Json], said: &Said, out: &mut String) {
    let (mut chunks, mut places) = (Vec::<(Cow<str>, Cow<str>)>::new(), Vec::new());
    for cited in annotations.iter().take(SOURCES_MAX).filter_map(Cited::read) {
        let Source::Web { url, title } = cited.source else { continue };
        let chunk = (url, title);
        let index = chunks.iter().position(|it| *it == chunk).unwrap_or(chunks.len());
        if index == chunks.len() {
            chunks.push(chunk);
        }
        let place = cited.place.and_then(|(start, end)| Some((said.bytes(start)?, said.bytes(end)?)));
        places.extend(place.map(|(start, end)| (start, end, index)));
    }
    if chunks.is_empty() {
        return;
    }
    out.key("groundingMetadata").open(b'{');
    out.key("groundingChunks").open(b'[');
    for (url, title) in chunks {
        out.open(b'{');
        out.key("web").open(b'{');
        out.text_field("uri", &url);
        out.text_if("title", Some(title).filter(|it| !it.is_empty()));
        out.close(b'}');
        out.close(b'}');
    }
    out.close(b']');
    supports(&places, said, out);
    out.close(b'}');
}

fn supports(places: &[(usize, usize, usize)], said: &Said, out: &mut String) {
    if places.is_empty() {
        return;
    }
    out.key("groundingSupports").open(b'[');
    for (start, end, index) in places {
        out.open(b'{');
        out.key("segment").open(b'{');
        out.number_field("startIndex", *start as u64);
        out.number_field("endIndex", *end as u64);
        out.text_if("text", said.text.get(*start..*end));
        out.close(b'}');
        out.raw_field("groundingChunkIndices", &format!("[{index}]"));
        out.close(b'}');
    }
    out.close(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        let mut said = Said::default();
        said.push(text);
        said
    }

    #[test]
    fn places_are_counted_in_characters_and_bytes() {
        let said = said("Grüße, Welt");
        let candidate = r#"{"groundingMetadata":{"groundingChunks":[{"web":{"uri":"https://a.example","title":"A"}},{"web":{"uri":"https://b.example"}}],"groundingSupports":[{"segment":{"endIndex":7,"text":"Grüße"},"groundingChunkIndices":[0,9]}]}}"#;
        let read = read(&Fields::read(candidate).unwrap(), &said);
        let texts: Vec<_> = read.iter().map(Json::get).collect();
        let first = r#"{"type":"url_citation","url_citation":{"url":"https://a.example","title":"A","start_index":0,"end_index":5}}"#;
        let second = r#"{"type":"url_citation","url_citation":{"url":"https://b.example","title":"","start_index":0,"end_index":0}}"#;
        assert_eq!(texts, [first, second]);
        let mut out = String::new();
        write(&read, &said, &mut out);
        let chunks = r#""groundingChunks":[{"web":{"uri":"https://a.example","title":"A"}},{"web":{"uri":"https://b.example"}}]"#;
        let place = r#"{"segment":{"startIndex":0,"endIndex":7,"text":"Grüße"},"groundingChunkIndices":[0]}"#;
        assert_eq!(out, format!(r#""groundingMetadata":{{{chunks},"groundingSupports":[{place}]}}"#));
    }

    #[test]
    fn both_names_of_citations_are_read() {
        let citation = r#"{"startIndex":1,"endIndex":2,"uri":"https://a.example","license":"mit"}"#;
        let expected = r#"{"type":"url_citation","url_citation":{"url":"https://a.example","title":"","start_index":1,"end_index":2}}"#;
        for name in ["citations", "citationSources"] {
            let json = format!(r#"{{"citationMetadata":{{"{name}":[{citation}]}}}}"#);
            let found = read(&Fields::read(&json).unwrap(), &said("abc"));
            assert_eq!(found.iter().map(Json::get).collect::<Vec<_>>(), [expected]);
        }
    }

    #[test]
    fn text_is_kept_up_to_a_bound() {
        let mut said = said(&"a".repeat(TEXT_MAX));
        said.push("b");
        assert_eq!((said.chars(2), said.chars(TEXT_MAX as u64 + 1)), (Some(2), None));
    }
}
