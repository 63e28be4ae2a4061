//! `reasoning_details`: reasoning with what its vendor wants back, as OpenRouter has it.
//!
//! A detail is a text (`reasoning.text`), a summary (`reasoning.summary`) or what only its vendor can read
//! (`reasoning.encrypted`). `signature` seals a text; `data` stands instead of one, except where `id` is a call's: then
//! it seals the call. Details of one `index`, or without one of one `id`, are one thought. The index is also the place
//! of the thought among the parts of its message, counted from 0: text, refusal, each picture, each call.

use std::collections::HashSet;

use crate::api::fields::{Fields, elements};
use crate::api::ink::Ink;
use crate::api::surrogates;
use crate::dialect::Dialect;
use crate::dialect::prompt::{Part, Seal, Thought};
use crate::dialect::read::{count_of, text_of};

/// OpenRouter's word where nobody named the format.
const FORMAT_UNKNOWN: &str = "unknown";

/// One element of the list.
#[derive(Debug)]
pub struct Detail<'a> {
    /// A JSON string; None where there is none to read.
    pub text: Option<&'a str>,
    pub is_summary: bool,
    pub seal: Option<Seal>,
    pub id: Option<String>,
    pub index: Option<u64>,
}

/// What no other dialect can read was made by one that speaks chat; so was what has no format.
fn dialect_of(format: &str) -> Dialect {
    let named = Dialect::ALL.into_iter().find(|it| it.seals() == Some(format));
    named.unwrap_or(match format {
        it if it.contains("anthropic") => Dialect::Anthropic,
        it if it.contains("gemini") => Dialect::Gemini,
        it if it.contains("responses") => Dialect::Responses,
        _ => Dialect::Chat,
    })
}

impl<'a> Detail<'a> {
    fn read(json: &'a str) -> Option<Self> {
        let fields = Fields::read(json)?;
        let (signature, data) = (text_of(&fields, "signature"), text_of(&fields, "data"));
        let dialect = match fields.text("format").filter(|it| !it.is_empty()) {
            // Clients that join the pieces of a stream may keep the first one's fields, and lose the format that came with
            // the signature. It is Anthropic's models that sign what can be read.
            None if signature.is_some() && fields.value("text").is_some() => Dialect::Anthropic,
            format => dialect_of(&format.unwrap_or_default()),
        };
        let is_whole = signature.is_none() && dialect != Dialect::Gemini;
        let data = signature.or(data).filter(|it| !it.is_empty());
        let summary = fields.value("summary");
        Some(Self {
            text: summary.or_else(|| fields.value("text")).filter(|it| it.starts_with('"')),
            is_summary: summary.is_some(),
            seal: data.map(|data| Seal { dialect, data, is_whole }),
            id: text_of(&fields, "id").filter(|it| !it.is_empty()),
            index: count_of(&fields, "index"),
        })
    }

    /// The elements of the list, as far as they are understood.
    pub fn all(json: &'a str) -> Vec<Self> {
        elements(json).unwrap_or_default().into_iter().filter_map(|it| Self::read(it.get())).collect()
    }

    /// Whether it says something that can be read.
    pub fn is_readable(&self) -> bool {
        self.text.is_some_and(|it| it != "\"\"")
    }

    /// Whether it is of the thought with that index and id.
    pub fn continues(&self, index: Option<u64>, id: Option<&str>) -> bool {
        match (self.index, index) {
            (Some(own), Some(other)) => own == other,
            (None, None) => self.id.is_some() && self.id.as_deref() == id,
            _ => false,
        }
    }
}

/// A thought, and where it stands among the other parts.
struct Placed {
    thought: Thought,
    index: Option<u64>,
    /// Directly before this call.
    call: Option<String>,
}

/// The parts of an assistant's message: the thoughts of `details` among the `others`. `readable` is the reasoning as one
/// text, which counts where no detail has one.
pub fn placed(details: &str, readable: Option<String>, others: Vec<Part>) -> Vec<Part> {
    let mut thoughts = thoughts(Detail::all(details), &others);
    let is_silent = thoughts.iter().all(|it| it.thought.text.is_empty());
    if let Some(text) = readable.filter(|it| is_silent && !it.is_empty()) {
        let signed =
            |it: &&mut Placed| it.thought.seal.as_ref().is_some_and(|it| !it.is_whole) && it.call.is_none();
        match thoughts.iter_mut().find(signed) {
            Some(it) => it.thought.text = text,
            None => {
                let thought = Thought { text, ..Thought::default() };
                thoughts.insert(0, Placed { thought, index: None, call: None });
            }
        }
    }
    let mut parts = Vec::with_capacity(thoughts.len() + others.len());
    let mut others = others.into_iter().peekable();
    for it in thoughts {
        while others.peek().is_some_and(|other| stands_before(other, parts.len(), &it)) {
            parts.extend(others.next());
        }
        parts.push(Part::Thought(it.thought));
    }
    parts.extend(others);
    parts
}

/// Whether a part stands before a thought, `before` others being there already.
fn stands_before(part: &Part, before: usize, placed: &Placed) -> bool {
    match (&placed.call, part) {
        (Some(id), Part::Call(call)) => call.id != *id,
        (Some(_), _) => true,
        (None, _) => placed.index.is_some_and(|it| (before as u64) < it),
    }
}

fn thoughts(details: Vec<Detail>, others: &[Part]) -> Vec<Placed> {
    let calls: HashSet<&str> = others
        .iter()
        .filter_map(|it| if let Part::Call(call) = it { Some(call.id.as_str()) } else { None })
        .collect();
    let mut placed: Vec<Placed> = Vec::with_capacity(details.len());
    for detail in details {
        let text = detail.text.and_then(surrogates::text).unwrap_or_default();
        if text.is_empty()
            && let Some(id) = detail.id.clone().filter(|it| calls.contains(it.as_str()))
        {
            let seal = detail.seal.map(|it| Seal { is_whole: false, ..it });
            let thought = Thought { seal, ..Thought::default() };
            placed.push(Placed { thought, index: None, call: Some(id) });
            continue;
        }
        let last = placed.last_mut().filter(|it| it.call.is_none());
        match last.filter(|it| detail.continues(it.index, it.thought.id.as_deref())) {
            Some(Placed { thought, .. }) => {
                thought.text.push_str(&text);
                thought.is_summary |= detail.is_summary;
                thought.seal = detail.seal.or(thought.seal.take());
                thought.id = thought.id.take().or(detail.id);
            }
            None => {
                let (is_summary, seal, id) = (detail.is_summary, detail.seal, detail.id);
                let thought = Thought { text: text.into_owned(), is_summary, seal, id };
                placed.push(Placed { thought, index: detail.index, call: None });
            }
        }
    }
    placed
}

/// Writes what is told of a thought, as one or two elements of the list. None for `text`: nothing new to read.
pub fn write(
    ink: &mut Vec<u8>,
    text: Option<(&str, bool)>,
    seal: Option<&Seal>,
    id: Option<&str>,
    index: u64,
) {
    let signs = seal.is_some_and(|it| !it.is_whole);
    if text.is_some() || signs {
        let (text, is_summary) = text.map_or((None, false), |(text, is_summary)| (Some(text), is_summary));
        let (kind, field) = match is_summary {
            true => ("reasoning.summary", "summary"),
            false => ("reasoning.text", "text"),
        };
        ink.of_type(kind);
        ink.text_if(field, text);
        if let Some(seal) = seal.filter(|_| signs) {
            ink.text_field("signature", &seal.data);
            ink.text_field("format", seal.dialect.seals().unwrap_or(FORMAT_UNKNOWN));
        }
        ink.text_if("id", id);
        ink.number_field("index", index).close(b'}');
    }
    if let Some(seal) = seal.filter(|_| !signs) {
        write_encrypted(ink, seal, id, index);
    }
}

/// Writes a seal that no text goes with: it stands for itself, or belongs to the call whose id is given.
pub fn write_encrypted(ink: &mut Vec<u8>, seal: &Seal, id: Option<&str>, index: u64) {
    ink.of_type("reasoning.encrypted").text_field("data", &seal.data);
    ink.text_if("id", id);
    write_format(ink, seal);
    ink.number_field("index", index).close(b'}');
}

fn write_format(ink: &mut Vec<u8>, seal: &Seal) {
    ink.text_if("format", seal.dialect.seals());
}
