//! What an answer's text rests on, in the form of chat's annotations: `url_citation` and, for what has no address,
//! `file_citation`.
//!
//! OpenAI's SDKs declare all fields of a `url_citation` as given: a title that nobody told is empty, and a source of no
//! place in particular stands from 0 to 0.

use std::borrow::Cow;

use super::json::Json;
use crate::api::fields::Fields;
use crate::api::ink::Ink;

/// One source of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Cited<'a> {
    pub source: Source<'a>,
    /// The first character that rests on it and the one behind the last, counted in all the text of an answer.
    pub place: Option<(u64, u64)>,
    /// The words that rest on it.
    pub quote: Option<Cow<'a, str>>,
    /// Where in the source they come from: an object of Anthropic's, which comes back to it unchanged.
    pub location: Option<Cow<'a, str>>,
}

/// What is cited. A title, or a file's name, may be empty.
#[derive(Clone, Debug, PartialEq)]
pub enum Source<'a> {
    Web { url: Cow<'a, str>, title: Cow<'a, str> },
    File { id: Option<Cow<'a, str>>, name: Cow<'a, str> },
}

impl<'a> Cited<'a> {
    pub fn of(source: Source<'a>, place: Option<(u64, u64)>) -> Self {
        Self { source, place, quote: None, location: None }
    }

    /// None of an annotation that names neither a page nor a file.
    pub fn read(annotation: &'a Json) -> Option<Self> {
        let outer = Fields::read(annotation.get())?;
        let location = outer.value("location").filter(|it| it.starts_with('{')).map(Cow::Borrowed);
        let kind = outer.text("type");
        let named = ["url_citation", "file_citation"].into_iter().find_map(|it| outer.value(it));
        // Some have no object of their own for it.
        let cited = named.and_then(Fields::read).unwrap_or(outer);
        let text = |name: &str| cited.text(name);
        let source = match text("url") {
            Some(url) => Source::Web { url, title: text("title").unwrap_or_default() },
            None if kind.as_deref() == Some("file_citation") => {
                Source::File { id: text("file_id"), name: text("filename").unwrap_or_default() }
            }
            None => return None,
        };
        Some(Self { source, place: place(&cited), quote: text("quote"), location })
    }

    pub fn write(&self) -> Json {
        let mut out = String::with_capacity(160);
        let place = match &self.source {
            Source::Web { url, title } => {
                out.of_type("url_citation").key("url_citation").open(b'{');
                out.text_field("url", url).text_field("title", title);
                Some(self.place.unwrap_or_default())
            }
            Source::File { id, name } => {
                out.of_type("file_citation").key("file_citation").open(b'{');
                out.text_if("file_id", id.as_deref()).text_field("filename", name);
                self.place
            }
        };
        if let Some((start, end)) = place {
            out.number_field("start_index", start).number_field("end_index", end);
        }
        out.text_if("quote", self.quote.as_deref()).close(b'}');
        out.raw_if("location", self.location.as_deref()).close(b'}');
        Json::part(&out)
    }
}

/// The place that an object states; None also of one from 0 to 0.
pub fn place(cited: &Fields) -> Option<(u64, u64)> {
    let index = |name| cited.value(name)?.parse().ok();
    Some((index("start_index")?, index("end_index")?)).filter(|it| *it != (0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let check = |cited: Cited, expected: &str| {
            let written = cited.write();
            assert_eq!(written.get(), expected);
            assert_eq!(Cited::read(&written), Some(cited));
        };
        let page = |title: &'static str| Source::Web { url: "https://a.b".into(), title: title.into() };
        check(
            Cited::of(page(""), None),
            r#"{"type":"url_citation","url_citation":{"url":"https://a.b","title":"","start_index":0,"end_index":0}}"#,
        );
        check(
            Cited { location: Some(r#"{"type":"l"}"#.into()), ..Cited::of(page("T"), Some((3, 9))) },
            r#"{"type":"url_citation","url_citation":{"url":"https://a.b","title":"T","start_index":3,"end_index":9},"location":{"type":"l"}}"#,
        );
        let file = |id: Option<&'static str>| Source::File { id: id.map(Into::into), name: "D".into() };
        check(
            Cited { quote: Some("q".into()), ..Cited::of(file(Some("f")), Some((0, 1))) },
            r#"{"type":"file_citation","file_citation":{"file_id":"f","filename":"D","start_index":0,"end_index":1,"quote":"q"}}"#,
        );
        check(Cited::of(file(None), None), r#"{"type":"file_citation","file_citation":{"filename":"D"}}"#);
    }

    #[test]
    fn annotations_of_others_are_read_as_far_as_they_name_a_source() {
        let read = |json: &str| {
            let json = Json::parse(json).unwrap();
            Cited::read(&json).map(|it| it.write().get().to_owned())
        };
        let page =
            r#"{"type":"url_citation","url_citation":{"url":"u","title":"","start_index":1,"end_index":2}}"#;
        assert_eq!(
            read(r#"{"type":"url_citation","url":"u","start_index":1,"end_index":2}"#).as_deref(),
            Some(page)
        );
        for other in [r#"{"type":"file_path","file_id":"f"}"#, r#"{"type":"url_citation"}"#, "7", "[]"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
