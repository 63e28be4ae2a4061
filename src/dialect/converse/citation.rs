//! Citations ("Citation", "CitationLocation"), as chat's annotations.
//!
//! A page of the web is OpenAI's `url_citation`, a document `file_citation`. Where in its source the cited words stand has
//! no field there; it goes along as `location`, in the words of Anthropic, whose models they are that cite.

use std::borrow::Cow;

use crate::api::fields::{Fields, elements};
use crate::api::ink::Ink;
use crate::dialect::cited::{Cited, Source};
use crate::dialect::json::Json;

/// The annotation for the text between two positions, counted in characters of the whole message.
pub fn annotation(citation: &str, start: u64, end: u64) -> Option<Json> {
    let fields = Fields::read(citation)?;
    let location = fields.value("location").and_then(Fields::read).unwrap_or_default();
    let (kind, place) =
        location.each().next().and_then(|(kind, it)| Some((kind, Fields::read(it)?))).unwrap_or_default();
    let title = fields.text("title").unwrap_or_default();
    let source = match place.text("url").filter(|_| kind == "web") {
        Some(url) => Source::Web { url, title },
        None => Source::File { id: None, name: title },
    };
    let mut written = Vec::new();
    written.open(b'{');
    write_location(kind, &place, &fields, &mut written);
    written.close(b'}');
    let location = String::from_utf8(written).ok().filter(|it| it != "{}").map(Cow::Owned);
    Some(Cited { location, ..Cited::of(source, Some((start, end))) }.write())
}

fn write_location(kind: &str, place: &Fields, citation: &Fields, body: &mut Vec<u8>) {
    let (named, index, [start, end]) = match kind {
        "documentPage" => ("page_location", "document_index", ["start_page_number", "end_page_number"]),
        "documentChar" => ("char_location", "document_index", ["start_char_index", "end_char_index"]),
        "documentChunk" => {
            ("content_block_location", "document_index", ["start_block_index", "end_block_index"])
        }
        "searchResultLocation" => {
            ("search_result_location", "search_result_index", ["start_block_index", "end_block_index"])
        }
        _ => return,
    };
    let number = |name: &str| place.value(name).and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
    let is_document = index == "document_index";
    body.text_field("type", named);
    body.text_field("cited_text", &cited_text(citation));
    body.number_field(index, number(if is_document { "documentIndex" } else { "searchResultIndex" }));
    let title = citation.text("title").unwrap_or_default();
    body.text_field(if is_document { "document_title" } else { "title" }, &title);
    citation.text("source").iter().filter(|_| !is_document).for_each(|it| _ = body.text_field("source", it));
    body.number_field(start, number("start"));
    body.number_field(end, number("end"));
}

fn cited_text(citation: &Fields) -> String {
    let content = citation.value("sourceContent").and_then(elements).unwrap_or_default();
    content.iter().filter_map(|it| Some(Fields::read(it.get())?.text("text")?.into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_become_annotations() {
        let check = |citation: &str, expected: &str| {
            assert_eq!(annotation(citation, 3, 9).unwrap().get(), expected);
        };
        check(
            r#"{"title":"T","location":{"web":{"url":"https://a.example","domain":"a.example"}}}"#,
            r#"{"type":"url_citation","url_citation":{"url":"https://a.example","title":"T","start_index":3,"end_index":9}}"#,
        );
        check(
            r#"{"title":"D","sourceContent":[{"text":"a"},{"text":"b"}],"location":{"documentPage":{"documentIndex":1,"start":2,"end":3}}}"#,
            r#"{"type":"file_citation","file_citation":{"filename":"D","start_index":3,"end_index":9},"location":{"type":"page_location","cited_text":"ab","document_index":1,"document_title":"D","start_page_number":2,"end_page_number":3}}"#,
        );
        check(
            "{}",
            r#"{"type":"file_citation","file_citation":{"filename":"","start_index":3,"end_index":9}}"#,
        );
        assert_eq!(annotation("[]", 0, 0), None);
    }
}
