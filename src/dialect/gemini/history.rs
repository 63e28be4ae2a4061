//! Reads the parts of a client's contents. Calls and their results may have no ids: results are matched to calls by
//! name and order, and the ids made for that are the same in each request, so that vendors find their caches again.

use std::collections::{HashMap, VecDeque};

use super::reading::wrong;
use super::{media, names, seal, settings};
use crate::api::fields::{self, Fields};
use crate::api::surrogates;
use crate::dialect::json::Json;
use crate::dialect::prompt::{Call, Media, MediaKind, Part, Source, Thought, ToolResult};
use crate::dialect::sources::{TYPE_UNKNOWN, usual_base64};
use crate::error::Error;

/// The calls of the conversation so far.
#[derive(Default)]
pub(super) struct History {
    /// Those that no result has answered yet, in order; None where one has.
    open: Vec<Option<String>>,
    /// Their places, in order, by name and by id; those of answered ones may be among them.
    by_name: HashMap<String, VecDeque<usize>>,
    by_id: HashMap<String, VecDeque<usize>>,
    /// How many ids were made.
    made: u64,
    /// Of an answer: its ids must differ from those of all other answers.
    is_answer: bool,
}

impl History {
    /// Reads the parts of an answer, which are of the same form.
    pub fn of_answer() -> Self {
        Self { is_answer: true, ..Self::default() }
    }

    /// The parts of one content.
    pub fn parts(&mut self, content: &Fields<'_>, param: &str) -> Result<Vec<Part>, Error> {
        let json = names::value(content, "parts").unwrap_or("[]");
        let list = match Fields::read(json) {
            Some(one) => vec![one],
            None => settings::objects(json, param, "must be a list of parts, each an object")?,
        };
        let mut parts = Vec::with_capacity(list.len());
        for part in &list {
            self.part(part, param, &mut parts)?;
        }
        Ok(parts)
    }

    fn part(&mut self, part: &Fields<'_>, param: &str, parts: &mut Vec<Part>) -> Result<(), Error> {
        let signature = names::text(part, "thoughtSignature").filter(|it| !it.is_empty());
        let text = names::text(part, "text");
        if names::is_true(part, "thought") {
            thought(text.as_deref(), signature.as_deref(), parts);
            return Ok(());
        }
        if let Some(signature) = signature.filter(|it| it != seal::STAND_IN) {
            let (seal, id) = seal::brought(&signature, true);
            parts.push(Part::Thought(Thought { seal: Some(seal), id, ..Thought::default() }));
        }
        if let Some(text) = text {
            // A text of nothing but a signature says nothing itself.
            if !text.is_empty() || names::value(part, "thoughtSignature").is_none() {
                parts.push(Part::text(text));
            }
        } else if let Some(call) = names::object(part, "functionCall") {
            // Streamed arguments end with a call that says nothing.
            if !self.is_answer || call.each().next().is_some() {
                parts.push(Part::Call(self.call(&call, param)?));
            }
        } else if let Some(result) = names::object(part, "functionResponse") {
            parts.push(Part::Result(self.result(&result, param)?));
        } else if let Some(media) = media_of(part) {
            parts.push(Part::Media(media));
        } else {
            parts.extend(own(part));
        }
        Ok(())
    }

    fn call(&mut self, call: &Fields<'_>, param: &str) -> Result<Call, Error> {
        let name = names::text(call, "name");
        let name = name
            .ok_or_else(|| wrong(&format!("{param}[].functionCall.name"), "is missing; name the function"))?;
        let stated = names::text(call, "id").filter(|it| !it.is_empty());
        let id = stated.map_or_else(|| self.made_id(), |it| it.into_owned());
        self.by_name.entry(name.clone().into_owned()).or_default().push_back(self.open.len());
        self.by_id.entry(id.clone()).or_default().push_back(self.open.len());
        self.open.push(Some(id.clone()));
        let arguments = names::value(call, "args").unwrap_or("{}").to_owned();
        Ok(Call { id, name: name.into_owned(), arguments, is_custom: false })
    }

    fn result(&mut self, result: &Fields<'_>, param: &str) -> Result<ToolResult, Error> {
        let name = names::text(result, "name").map(|it| it.into_owned());
        let stated = names::text(result, "id").filter(|it| !it.is_empty());
        if name.is_none() && stated.is_none() {
            return Err(wrong(
                &format!("{param}[].functionResponse.name"),
                "is missing; name the function that answered",
            ));
        }
        let places = match (&stated, &name) {
            (Some(id), _) => self.by_id.get_mut(id.as_ref()),
            (None, Some(name)) => self.by_name.get_mut(name),
            (None, None) => None,
        };
        let answered = places.and_then(|it| first_open(it, &mut self.open));
        let call_id = match (stated, answered) {
            (Some(stated), _) => stated.into_owned(),
            (None, Some(id)) => id,
            (None, None) => self.made_id(),
        };
        let (mut parts, is_error) = output(names::value(result, "response"));
        for part in names::list(result, "parts").into_iter().filter_map(Fields::read) {
            parts.extend(media_of(&part).map(Part::Media));
        }
        Ok(ToolResult { call_id, name, parts, is_error, cache: None })
    }

    fn made_id(&mut self) -> String {
        if self.is_answer {
            return Call::new_id();
        }
        self.made += 1;
        format!("call_{:024}", self.made)
    }
}

/// The id of the first of `places` that no result has answered; it is answered now.
fn first_open(places: &mut VecDeque<usize>, open: &mut [Option<String>]) -> Option<String> {
    std::iter::from_fn(|| places.pop_front()).find_map(|it| open.get_mut(it)?.take())
}

/// A thought; pieces of one, as streams tell it, are put together until a seal closes it.
fn thought(text: Option<&str>, signature: Option<&str>, parts: &mut Vec<Part>) {
    if let (Some(text), Some(Part::Thought(before))) = (text, parts.last_mut())
        && before.seal.is_none()
    {
        before.text.push_str(text);
        if let Some((seal, id)) = signature.map(|it| seal::brought(it, false)) {
            (before.seal, before.id) = (Some(seal), id);
        }
        return;
    }
    let sealed = signature.map(|it| seal::brought(it, text.is_none()));
    let (seal, id) = sealed.map_or((None, None), |(seal, id)| (Some(seal), id));
    if seal.is_some() || text.is_some_and(|it| !it.is_empty()) {
        let text = text.unwrap_or_default().to_owned();
        parts.push(Part::Thought(Thought { text, seal, id, ..Thought::default() }));
    }
}

/// What a function gave: by Google's rule `output` or `error` where it has just that, else the whole object.
fn output(response: Option<&str>) -> (Vec<Part>, bool) {
    let Some(json) = response else { return (Vec::new(), false) };
    let fields = Fields::read(json).unwrap_or_default();
    let mut each = fields.each();
    let (only, is_error) = match (each.next(), each.next()) {
        (Some(("output", value)), None) => (value, false),
        (Some(("error", value)), None) => (value, true),
        _ => (json, false),
    };
    let text = surrogates::text(only).map_or_else(|| only.to_owned(), |it| it.into_owned());
    (vec![Part::text(text)], is_error)
}

/// `inlineData` or `fileData`.
pub(super) fn media_of(part: &Fields<'_>) -> Option<Media> {
    let (data, is_inline) = match names::object(part, "inlineData") {
        Some(data) => (data, true),
        None => (names::object(part, "fileData")?, false),
    };
    let media_type = names::text(&data, "mimeType").map(|it| it.into_owned());
    let name = names::text(&data, "displayName").map(|it| it.into_owned());
    let (kind, source) = if is_inline {
        let base64 = usual_base64(names::text(&data, "data")?);
        let media_type = media_type.unwrap_or_else(|| TYPE_UNKNOWN.to_owned());
        (media::kind_of(Some(&media_type), ""), Source::Data { media_type, base64 })
    } else {
        let url = names::text(&data, "fileUri")?.into_owned();
        match url.starts_with("files/") {
            true => (media::kind_of(media_type.as_deref(), &url), Source::File(url)),
            false => (media::kind_of(media_type.as_deref(), &url), Source::Url { url, media_type }),
        }
    };
    let name = name.filter(|_| kind == MediaKind::Document);
    Some(Media { name, ..Media::of(kind, source) })
}

/// A part that only Google knows, as it was written; none where it is empty but for a signature.
fn own(part: &Fields<'_>) -> Option<Part> {
    let says = part.each().any(|(name, _)| names::known(name, &["thought", "thoughtSignature"]).is_none());
    says.then(|| Json::parse(&fields::object(part.each())).map(Part::Other)).flatten()
}
