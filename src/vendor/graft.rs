//! Fits the stream that goes on with an answer onto the one that broke off, so that a client meets one stream: under the
//! first one's id, without a second preamble, without a repetition of what was said, with one usage. Pure.
//! Called by `edge::flow` for every piece of a continued stream.

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::api::edit::Edits;
use crate::vendor::said::Said;
use crate::vendor::sse::{self, Splitter};
use crate::vendor::stream::StreamShape;

/// From this length on, in bytes, a repetition of all that was said is no coincidence, whatever the vendor.
const REPETITION_BYTES_MIN: usize = 32;

/// What the second stream is fitted to.
pub struct Graft {
    id: Option<String>,
    usage: Option<Map<String, Value>>,
    repetition: Option<Repetition>,
}

/// The beginning of the second stream, as long as it may be a repetition of what was said.
struct Repetition {
    said: String,
    /// Bytes of it that were repeated so far, and held back.
    heard: usize,
    /// The data of the last event that was held back: what the others said goes out in it if need be.
    last: Vec<u8>,
    /// It is one however short it is.
    expected: bool,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

impl Chunk<'_> {
    fn content(&self) -> Option<&RawValue> {
        self.choices.as_ref()?.first()?.delta.as_ref()?.content
    }

    fn text(&self) -> Option<String> {
        let text: String = serde_json::from_str(self.content()?.get()).ok()?;
        Some(text).filter(|it| !it.is_empty())
    }
}

/// What becomes of an event's content.
enum Content {
    AsItIs,
    Text(String),
    HeldBack,
}

impl Graft {
    pub fn new(said: &Said) -> Self {
        let usage = said.usage.as_ref().and_then(|it| serde_json::from_str(it).ok());
        let repetition =
            Repetition { said: said.content.clone(), heard: 0, last: Vec::new(), expected: false };
        let repetition = Some(repetition).filter(|it| !it.said.is_empty());
        Self { id: said.id.clone(), usage, repetition }
    }

    /// The vendor repeats what it is told to go on with.
    pub fn expect_repetition(&mut self, expected: bool) {
        self.repetition.take_if(|it| !expected && it.said.len() < REPETITION_BYTES_MIN);
        if let Some(repetition) = &mut self.repetition {
            repetition.expected = expected;
        }
    }

    /// Whole events as the client should get them; perhaps none.
    pub fn fit(&mut self, events: Bytes) -> Bytes {
        let mut splitter = Splitter::new(usize::MAX);
        splitter.push(events);
        let mut fitted = BytesMut::new();
        while let Ok(Some(event)) = splitter.peek() {
            match sse::data(event) {
                Some(data) => self.fit_event(&data, event, &mut fitted),
                None => fitted.extend_from_slice(event),
            }
            splitter.accept();
        }
        fitted.freeze()
    }

    fn fit_event(&mut self, data: &[u8], event: &[u8], fitted: &mut BytesMut) {
        let facts = StreamShape::Chunks.read(data);
        if !(facts.content || facts.finished || facts.error || facts.usage.is_some()) {
            return;
        }
        let is_end = facts.finished || facts.usage_only;
        // Some state their usage with every event, and not only at the end.
        let must_pass = is_end || facts.usage.is_some();
        let chunk = serde_json::from_slice::<Chunk>(data).ok();
        let text = chunk.as_ref().and_then(Chunk::text);
        let content = self.without_repetition(text, (is_end, must_pass), data, fitted);
        let Some(chunk) = chunk else { return fitted.extend_from_slice(event) };
        if matches!(content, Content::HeldBack) {
            return;
        }
        let text = match content {
            Content::Text(text) => Some(text),
            _ => None,
        };
        self.write(data, &chunk, text, fitted);
    }

    /// Writes an event of the second stream as one of the first, perhaps with another `text`.
    fn write(&self, data: &[u8], chunk: &Chunk<'_>, text: Option<String>, fitted: &mut BytesMut) {
        let mut edits = Edits::default();
        if let (Some(text), Some(place)) = (text, chunk.content()) {
            edits.replace(place_of(data, place), Value::from(text).to_string());
        }
        if let (Some(id), Some(place)) = (&self.id, chunk.id) {
            edits.replace(place_of(data, place), id.clone());
        }
        if let (Some(before), Some(place)) = (&self.usage, chunk.usage)
            && let Ok(Value::Object(own)) = serde_json::from_str(place.get())
        {
            edits.replace(place_of(data, place), Value::Object(sum(before, own)).to_string());
        }
        write_event(&edits.apply(&Bytes::copy_from_slice(data)).concat(), fitted);
    }

    /// Decides on the content of the next event, `text`, and lets out what was held back for no repetition.
    fn without_repetition(
        &mut self,
        text: Option<String>,
        (is_end, must_pass): (bool, bool),
        data: &[u8],
        fitted: &mut BytesMut,
    ) -> Content {
        let Some(mut repetition) = self.repetition.take() else { return Content::AsItIs };
        let Some(text) = text else {
            // The end is no place to hold anything back.
            match is_end {
                true => self.let_out(repetition, fitted),
                false => self.repetition = Some(repetition),
            }
            return Content::AsItIs;
        };
        let rest = &repetition.said[repetition.heard..];
        if let Some(new) = text.strip_prefix(rest) {
            return match new.is_empty() && !must_pass {
                true => Content::HeldBack,
                false => Content::Text(new.to_owned()),
            };
        }
        if rest.starts_with(&text) && !is_end {
            repetition.heard += text.len();
            repetition.last = data.to_vec();
            self.repetition = Some(repetition);
            return if must_pass { Content::Text(String::new()) } else { Content::HeldBack };
        }
        self.let_out(repetition, fitted);
        Content::AsItIs
    }

    fn let_out(&self, repetition: Repetition, fitted: &mut BytesMut) {
        // Mistral moves space at the end of a prefix to the next event, or leaves it out.
        let is_all = repetition.heard >= repetition.said.trim_end().len();
        if repetition.heard == 0 || (is_all && repetition.expected) {
            return;
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk>(&repetition.last) else { return };
        let heard = repetition.said[..repetition.heard].to_owned();
        self.write(&repetition.last, &chunk, Some(heard), fitted);
    }
}

/// Where a raw value stands in the data it was read from.
fn place_of(data: &[u8], value: &RawValue) -> std::ops::Range<usize> {
    let start = value.get().as_ptr() as usize - data.as_ptr() as usize;
    start..start + value.get().len()
}

/// Data of several lines has a field for each.
fn write_event(data: &[u8], events: &mut BytesMut) {
    for line in data.split(|it| *it == b'\n') {
        events.extend_from_slice(b"data: ");
        events.extend_from_slice(line);
        events.extend_from_slice(b"\n");
    }
    events.extend_from_slice(b"\n");
}

/// Both usages in one. Only whole numbers are counts, and so are added; what else there is, is the second one's.
fn sum(before: &Map<String, Value>, mut own: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in &mut own {
        match (before.get(name), value) {
            (Some(Value::Object(before)), Value::Object(own)) => *own = sum(before, std::mem::take(own)),
            (Some(before), value) => {
                if let (Some(before), Some(own)) = (before.as_u64(), value.as_u64()) {
                    *value = Value::from(before.saturating_add(own));
                }
            }
            (None, _) => {}
        }
    }
    for (name, value) in before {
        own.entry(name).or_insert_with(|| value.clone());
    }
    own
}

#[cfg(test)]
mod tests;
