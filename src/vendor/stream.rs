//! Reads what one event of a stream means to the gateway: content, the end, usage, an error.
//! Two readings: a full one while failover is open, and a skim that parses only what a byte search points at.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::usage::{ServiceTier, Usage, UsageBody, lenient_tier, lenient_usage};
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
    /// The event is an error object.
    pub error: bool,
    /// Bytes of text it brings, for estimates; a skim does not look.
    pub text_bytes: usize,
}

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error\""));
static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"finish_reason\""));
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
                data == b"[DONE]" || holds(&FINISH, data) || holds(&USAGE, data) || holds(&ERROR, data)
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
        error: !says_something && chunk.error.is_some_and(|it| is_error_value(it.get())),
        text_bytes,
    }
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
        text_bytes: event.delta.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shape: StreamShape, data: &str, words: &str) {
        let facts = shape.read(data.as_bytes());
        let mut said = Vec::new();
        for (word, is) in [
            ("content", facts.content),
            ("finished", facts.finished),
            ("done", facts.done),
            ("usage", facts.usage.is_some()),
            ("only", facts.usage_only),
            ("error", facts.error),
        ] {
            if is {
                said.push(word);
            }
        }
        assert_eq!(said.join(" "), words, "{data}");
        if facts.content || facts.done {
            let skimmed = shape.skim(data.as_bytes());
            assert_eq!(
                (skimmed.finished, skimmed.done, skimmed.usage, skimmed.error),
                (facts.finished, facts.done, facts.usage, facts.error),
                "skim of {data}"
            );
        }
    }

    #[test]
    fn a_chunk_is_content_only_when_it_says_something() {
        let chunks = StreamShape::Chunks;
        check(chunks, "[DONE]", "finished done");
        check(
            chunks,
            r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
            "",
        );
        check(chunks, r#"{"choices":[{"delta":{"role":"assistant","content":null}}],"usage":null}"#, "");
        check(chunks, r#"{"choices":[],"prompt_filter_results":[]}"#, "");
        check(chunks, r#"{"choices":[{"delta":{"content":"hi"}}]}"#, "content");
        check(
            chunks,
            r#"{"choices":[{"delta":{"content":"[DONE] \"usage\": {} \"error\":1"}}],"usage":null}"#,
            "content",
        );
        check(chunks, r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#, "content");
        check(chunks, r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#, "content");
        check(chunks, r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, "content finished");
        check(chunks, r#"{"choices":[{"text":"old"}]}"#, "content");
        check(chunks, r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#, "usage only");
        check(
            chunks,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#,
            "content finished usage",
        );
        check(
            chunks,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":{"prompt_tokens":1}}}"#,
            "content finished usage",
        );
        check(chunks, r#"{"error":{"message":"no"}}"#, "error");
        check(chunks, r#"{"error":null,"choices":[{"delta":{"content":"a"}}]}"#, "content");
        check(chunks, "not json", "content");
        let both = r#"{"error":{"code":502},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#;
        check(chunks, both, "content finished error");
    }

    #[test]
    fn the_text_of_an_event_is_measured_wherever_it_stands() {
        let measure = |shape: StreamShape, data: &str, bytes| {
            assert_eq!(shape.read(data.as_bytes()).text_bytes, bytes, "{data}");
        };
        let chunks = StreamShape::Chunks;
        measure(chunks, r#"{"choices":[{"delta":{"role":"assistant","content":"hello"}}]}"#, 5);
        measure(chunks, r#"{"choices":[{"delta":{"reasoning":"hm","reasoning_content":"hm"}}]}"#, 2);
        measure(chunks, r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, 0);
        measure(chunks, r#"{"choices":[{"text":"old"},{"text":"er"}]}"#, 5);
        let tool =
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}}]}"#;
        measure(chunks, tool, 6);
        measure(StreamShape::Responses, r#"{"type":"response.output_text.delta","delta":"abc"}"#, 3);
        measure(StreamShape::Opaque, "12345", 5);
    }

    #[test]
    fn of_other_events_the_usage_is_read() {
        let opaque = StreamShape::Opaque;
        let image = r#"{"type":"image_generation.completed","b64_json":"AA","usage":{"input_tokens":3,"output_tokens":4}}"#;
        check(opaque, image, "content usage");
        check(opaque, r#"{"type":"image_generation.partial_image","b64_json":"AA"}"#, "content");
        check(opaque, r#"{"text":"\"usage\":{}","usage":null}"#, "content");
        check(opaque, r#"{"usage":{"type":"duration","seconds":9}}"#, "content");
        check(opaque, "no JSON, \"usage\": 3", "content");
    }

    #[test]
    fn responses_events_are_read_by_their_type() {
        let responses = StreamShape::Responses;
        check(responses, r#"{"type":"response.created","response":{"usage":null}}"#, "");
        check(responses, r#"{"type":"response.output_text.delta","delta":"a"}"#, "content");
        check(
            responses,
            r#"{"type":"response.completed","response":{"error":null,"usage":{"input_tokens":3,"output_tokens":4}}}"#,
            "content finished done usage",
        );
        check(
            responses,
            r#"{"type":"response.failed","response":{"error":{"code":"server_error"}}}"#,
            "error",
        );
        check(responses, r#"{"type":"error","message":"no"}"#, "error");
        let incomplete = r#"{"type":"response.incomplete","response":{"usage":null}}"#;
        check(responses, incomplete, "content finished done");
    }

    #[test]
    fn the_tier_is_read_with_the_usage() {
        let check = |shape: StreamShape, data: &str| {
            assert_eq!(shape.skim(data.as_bytes()).service_tier, Some(ServiceTier::Priority), "{data}");
        };
        let usage = r#""usage":{"prompt_tokens":1}"#;
        check(StreamShape::Chunks, &format!(r#"{{"choices":[],{usage},"service_tier":"priority"}}"#));
        check(StreamShape::Chunks, r#"{"choices":[],"usage":{"prompt_tokens":1,"service_tier":"priority"}}"#);
        let response = format!(r#""response":{{"service_tier":"priority",{usage}}}"#);
        check(StreamShape::Responses, &format!(r#"{{"type":"response.completed",{response}}}"#));
    }
}
