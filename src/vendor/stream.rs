//! Reads what one event of a stream means to the gateway: content, the end, usage, an error.
//! Two readings: a full one while failover is open, and a skim that parses only what a byte search points at.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::fields::{Fields, elements};
use crate::api::usage::{ServiceTier, Usage, UsageBody, lenient_tier, lenient_usage};
use crate::dialect::chat;
use crate::vendor::filled::Filled;

/// Whose events these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamShape {
    /// Chat completions and legacy completions: chunks with `choices`, the end is `[DONE]`.
    Chunks,
    /// Responses: typed events, the end is `response.completed`, `.incomplete` or `.failed`.
    Responses,
    /// Anything else: every event is content, perhaps with usage in it; the end is the upstream's end.
    Opaque,
}

/// Bytes of text that make about one token, in most languages and vocabularies.
pub const TOKEN_BYTES: usize = 4;

/// What one event says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventFacts {
    /// A content, reasoning, refusal or tool-call delta, or a finish reason.
    pub content: bool,
    /// The vendor said that the answer is complete.
    pub finished: bool,
    /// The event is exactly `[DONE]`.
    pub done: bool,
    pub usage: Option<Usage>,
    /// The tier that serves the call, where this event says so; looked for only where it is read in full.
    pub service_tier: Option<ServiceTier>,
    /// Usage and nothing else (`"choices":[]`).
    pub usage_only: bool,
    /// The event is an error object, or ends the answer with one.
    pub error: bool,
    /// It says something, and ends the answer with an error all the same.
    pub broken: bool,
    /// Bytes of text it brings, for estimates; a skim does not look.
    pub text_bytes: usize,
}

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error\""));
static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"finish_reason\""));
static CHOICES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"choices\""));
static TYPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"type\""));

impl StreamShape {
    /// Reads an event in full.
    pub fn read(self, data: &[u8]) -> EventFacts {
        match self {
            _ if data == b"[DONE]" => EventFacts { done: true, finished: true, ..EventFacts::default() },
            StreamShape::Chunks => read_chunk(data),
            StreamShape::Responses => read_response_event(data),
            StreamShape::Opaque => EventFacts { usage: stated_usage(data), ..unread_content(data) },
        }
    }

    /// The same, for an event after the first content: parsed only when a byte search says that it may hold
    /// more than content. The quotes keep text inside strings out, for there they stand escaped.
    pub fn skim(self, data: &[u8]) -> EventFacts {
        let worth_reading = match self {
            StreamShape::Opaque => holds(&USAGE, data),
            StreamShape::Chunks => {
                let says_more = [&FINISH, &USAGE, &ERROR].iter().any(|it| holds(it, data));
                says_more || data == b"[DONE]" || !holds(&CHOICES, data)
            }
            StreamShape::Responses => holds(&USAGE, data) || holds(&ERROR, data) || is_decisive(data),
        };
        match worth_reading {
            true => self.read(data),
            false => EventFacts { content: true, ..EventFacts::default() },
        }
    }

    /// Whether an end without the vendor's word that it is complete means that the answer was cut.
    pub fn must_finish(self) -> bool {
        self != StreamShape::Opaque
    }
}

/// Whether an event of the Responses API may be one that ends the stream, by the first `type` in it.
fn is_decisive(data: &[u8]) -> bool {
    let Some(at) = TYPE.find(data) else { return true };
    let value = data[at + TYPE.needle().len()..].trim_ascii_start();
    let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii_start();
    [&b"\"error\""[..], b"\"response.completed\"", b"\"response.incomplete\"", b"\"response.failed\""]
        .iter()
        .any(|it| value.starts_with(it))
}

/// Whether the quoted name stands in `data` with a value other than null.
fn holds(name: &Finder<'_>, data: &[u8]) -> bool {
    name.find_iter(data).any(|at| {
        let behind = &data[at + name.needle().len()..];
        let mut value = behind.iter().filter(|it| !it.is_ascii_whitespace());
        value.next() == Some(&b':') && value.next() != Some(&b'n')
    })
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default, deserialize_with = "lenient_usage")]
    usage: Option<UsageBody>,
    #[serde(default, deserialize_with = "lenient_tier")]
    service_tier: Option<ServiceTier>,
    #[serde(default)]
    x_groq: Option<GroqPart>,
}

/// Groq puts the usage of a stream here.
#[derive(Deserialize)]
struct GroqPart {
    #[serde(default, deserialize_with = "lenient_usage")]
    usage: Option<UsageBody>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Choice {
    delta: Option<Delta>,
    message: Option<Delta>,
    text: Filled,
    finish_reason: Filled,
    #[serde(deserialize_with = "lenient_usage")]
    usage: Option<UsageBody>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Delta {
    content: Filled,
    reasoning_content: Filled,
    reasoning: Filled,
    reasoning_details: Filled,
    refusal: Filled,
    tool_calls: Filled,
    function_call: Filled,
    audio: Filled,
}

impl Delta {
    /// Bytes of text in it; 0 where it says nothing.
    fn text_bytes(&self) -> usize {
        // The two spellings of reasoning, and its details, repeat one text.
        let reasoning = self.reasoning_content.0.max(self.reasoning.0).max(self.reasoning_details.0);
        let others = [&self.content, &self.refusal, &self.tool_calls, &self.function_call, &self.audio];
        others.iter().fold(reasoning, |sum, it| sum + it.0)
    }
}

/// Not an event we know, so perhaps content: passing it on is right, holding it back is not.
fn unread_content(data: &[u8]) -> EventFacts {
    EventFacts { content: true, text_bytes: data.len(), ..EventFacts::default() }
}

/// The usage beside whatever else an event holds, as the last one of images and transcripts has it.
fn stated_usage(data: &[u8]) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(default, deserialize_with = "lenient_usage")]
        usage: Option<UsageBody>,
    }
    let event = holds(&USAGE, data).then(|| serde_json::from_slice::<Event>(data).ok())??;
    event.usage?.usage()
}

fn read_chunk(data: &[u8]) -> EventFacts {
    let Ok(chunk) = serde_json::from_slice::<Chunk>(data) else {
        return unread_content(data);
    };
    let choices = chunk.choices.unwrap_or_default();
    let finished = choices.iter().any(|it| it.finish_reason.0 > 0);
    let deltas = choices.iter().flat_map(|it| it.delta.iter().chain(&it.message));
    let text_bytes = choices.iter().map(|it| it.text.0).chain(deltas.map(Delta::text_bytes)).sum();
    let says_something = text_bytes > 0;
    let content = finished || says_something;
    let fails = finished && fails_at_the_end(data);
    let is_bare = choices.is_empty() && chunk.usage.is_none();
    let usage = chunk
        .usage
        .or_else(|| choices.iter().find_map(|it| it.usage))
        .or_else(|| chunk.x_groq.and_then(|it| it.usage));
    EventFacts {
        content,
        finished,
        done: false,
        usage_only: choices.is_empty() && chunk.usage.is_some(),
        usage: usage.and_then(|it| it.usage()),
        service_tier: chunk.service_tier.or_else(|| usage?.service_tier()),
        error: !says_something
            && (fails
                || chunk.error.is_some_and(|it| is_error_value(it.get()))
                || (is_bare && chat::tells_error(data))),
        broken: says_something && fails,
        text_bytes,
    }
}

/// Whether a choice ends for a failure of the vendor's. Read of events that end one only.
fn fails_at_the_end(data: &[u8]) -> bool {
    let choices = Fields::of_bytes(data).and_then(|it| elements(it.value("choices")?));
    let mut choices = choices.unwrap_or_default().into_iter().filter_map(|it| Fields::read(it.get()));
    choices.any(|it| chat::finish::failure(&it).is_some())
}

/// `"error": null`, `{}` and `""` are no errors.
fn is_error_value(json: &str) -> bool {
    !matches!(json, "null" | "{}" | "\"\"" | "false")
}

#[derive(Deserialize)]
struct ResponseEvent<'a> {
    #[serde(borrow, default)]
    r#type: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    response: Option<ResponsePart>,
    #[serde(default)]
    delta: Filled,
}

#[derive(Deserialize)]
struct ResponsePart {
    #[serde(default, deserialize_with = "lenient_usage")]
    usage: Option<UsageBody>,
    #[serde(default, deserialize_with = "lenient_tier")]
    service_tier: Option<ServiceTier>,
}

fn read_response_event(data: &[u8]) -> EventFacts {
    let Ok(event) = serde_json::from_slice::<ResponseEvent>(data) else {
        return unread_content(data);
    };
    let kind = event.r#type.as_deref().unwrap_or_default();
    let finished = matches!(kind, "response.completed" | "response.incomplete");
    let preamble = matches!(kind, "response.created" | "response.in_progress" | "response.queued");
    let error = matches!(kind, "error" | "response.failed");
    EventFacts {
        content: !preamble && !error,
        finished,
        // Nothing comes behind it.
        done: finished,
        usage: event.response.as_ref().and_then(|it| it.usage?.usage()),
        service_tier: event.response.and_then(|it| it.service_tier),
        usage_only: false,
        error,
        broken: false,
        text_bytes: event.delta.0,
    }
}

#[cfg(test)]
mod tests;
