//! Citations, between Anthropic's locations and chat's annotations.
//!
//! A location is kept in its annotation as it was, in a field `location`: so it comes back unchanged, with the
//! `encrypted_index` that Anthropic wants of searches. Annotations of other vendors become locations where they name a
//! page of the web; of files Anthropic's locations must say more than others tell, and are not made up.

use std::borrow::Cow;

use crate::api::fields::Fields;
use crate::api::ink::Ink;
use crate::dialect::cited::{Cited, Source};
use crate::dialect::json::Json;

/// The annotation for a location, of the text between two positions, counted in characters of the whole message.
pub(super) fn annotation(location: &str, start: usize, end: usize) -> Option<Json> {
    let fields = Fields::read(location)?;
    let text = |name: &str| fields.text(name);
    let source = match text("url").or_else(|| text("source")) {
        Some(url) => Source::Web { url, title: text("title").unwrap_or_default() },
        None => Source::File { id: text("file_id"), name: text("document_title").unwrap_or_default() },
    };
    let place = Some((start as u64, end as u64));
    Some(Cited { location: Some(location.into()), ..Cited::of(source, place) }.write())
}

/// The location that an annotation is of; None where it cannot be said.
pub(super) fn location(annotation: &Json) -> Option<String> {
    let cited = Cited::read(annotation)?;
    let Source::Web { url, title } = cited.source else { return cited.location.map(Cow::into_owned) };
    if let Some(location) = cited.location {
        return Some(location.into_owned());
    }
    let mut out = String::with_capacity(128);
    out.of_type("web_search_result_location").text_field("cited_text", "").text_field("encrypted_index", "");
    out.text_or_null("title", Some(&*title).filter(|it| !it.is_empty())).text_field("url", &url);
    out.close(b'}');
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_come_back_unchanged() {
        let check = |at: &str, expected: &str| {
            let made = annotation(at, 3, 9).unwrap();
            assert_eq!(made.get(), expected);
            assert_eq!(location(&made).unwrap(), at);
        };
        let web = r#"{"type":"web_search_result_location","cited_text":"c","encrypted_index":"E==","title":null,"url":"https://a.b"}"#;
        let cited = r#"{"type":"url_citation","url_citation":{"url":"https://a.b","title":"","start_index":3,"end_index":9},"location":"#;
        check(web, &format!("{cited}{web}}}"));
        let chars = r#"{"type":"char_location","cited_text":"c","document_index":0,"document_title":"D","file_id":"f","start_char_index":0,"end_char_index":1}"#;
        let cited = r#"{"type":"file_citation","file_citation":{"file_id":"f","filename":"D","start_index":3,"end_index":9},"location":"#;
        check(chars, &format!("{cited}{chars}}}"));
        assert_eq!(annotation("[]", 0, 0), None);
    }

    #[test]
    fn pages_that_others_cite_become_locations() {
        let check = |annotation: &str, expected: Option<&str>| {
            assert_eq!(location(&Json::parse(annotation).unwrap()).as_deref(), expected, "{annotation}");
        };
        check(
            r#"{"type":"url_citation","url_citation":{"url":"https://a.b","title":"T","start_index":0,"end_index":4}}"#,
            Some(
                r#"{"type":"web_search_result_location","cited_text":"","encrypted_index":"","title":"T","url":"https://a.b"}"#,
            ),
        );
        check(r#"{"type":"file_citation","file_citation":{"filename":"F"}}"#, None);
        check("[]", None);
    }
}
