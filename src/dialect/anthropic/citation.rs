//! Citations, between Anthropic's locations and chat's annotations.
//!
//! A location is kept in its annotation as it was, in a field `location`: so it comes back unchanged, with the
//! `encrypted_index` that Anthropic wants of searches. Annotations of other vendors become locations where they name a
//! page of the web; of files Anthropic's locations must say more than others tell, and are not made up.

use crate::api::fields::Fields;
use crate::api::ink::Ink;
use crate::dialect::json::Json;

/// The annotation for a location, of the text between two positions, counted in characters of the whole message.
pub(super) fn annotation(location: &str, start: usize, end: usize) -> Option<Json> {
    let fields = Fields::read(location)?;
    let mut out = String::with_capacity(location.len() + 128);
    let url = fields.text("url").or_else(|| fields.text("source"));
    match &url {
        Some(url) => {
            out.of_type("url_citation").key("url_citation").open(b'{').text_field("url", url);
            out.text_field("title", &fields.text("title").unwrap_or_default());
        }
        None => {
            out.of_type("file_citation").key("file_citation").open(b'{');
            if let Some(id) = fields.value("file_id") {
                out.raw_field("file_id", id);
            }
            out.text_field("filename", &fields.text("document_title").unwrap_or_default());
        }
    }
    out.number_field("start_index", start as u64).number_field("end_index", end as u64).close(b'}');
    out.raw_field("location", location).close(b'}');
    Json::parse(&out)
}

/// The location that an annotation is of; None where it cannot be said.
pub(super) fn location(annotation: &Json) -> Option<String> {
    let fields = Fields::read(annotation.get())?;
    if let Some(location) = fields.value("location").filter(|it| Fields::read(it).is_some()) {
        return Some(location.to_owned());
    }
    let cited = Fields::read(fields.value("url_citation")?)?;
    let mut out = String::with_capacity(128);
    out.of_type("web_search_result_location").text_field("cited_text", "").text_field("encrypted_index", "");
    out.text_or_null("title", cited.text("title").as_deref()).text_field("url", &cited.text("url")?);
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
