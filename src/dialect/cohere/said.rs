//! What whole answers and streams of Cohere say alike: finish reasons, usage, citations and logprobs.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::api::fields::Fields;
use crate::api::usage::Usage;
use crate::dialect::answer::{Finish, Reason};
use crate::dialect::cited::{self, Cited};
use crate::dialect::json::Json;

/// More tokens than this in one count are a mistake and not believed.
const TOKENS_MAX: f64 = (1_u64 << 40) as f64;

/// Why it ended; None where it failed instead.
pub fn finish(native: &str) -> Option<Finish> {
    let reason = match native {
        "COMPLETE" => return Some(Reason::Stop.into()),
        "MAX_TOKENS" => return Some(Reason::Length.into()),
        "TOOL_CALL" => return Some(Reason::ToolCalls.into()),
        "ERROR" | "TIMEOUT" => return None,
        "ERROR_TOXIC" => Reason::ContentFilter,
        "ERROR_LIMIT" => Reason::Length,
        _ => Reason::Stop,
    };
    let native = (!native.is_empty()).then(|| native.to_owned());
    Some(Finish { reason, native, stop_sequence: None })
}

/// Tokens that are paid for; where those are not told, all there were. Cohere adds words of its own to a prompt, which
/// `tokens` counts and nobody pays.
pub fn usage(json: &str) -> Option<Usage> {
    let fields = Fields::read(json)?;
    let counted = |name: &str| {
        let counts = fields.value(name).and_then(Fields::read)?;
        let usage = Usage {
            input: tokens(&counts, "input_tokens"),
            output: tokens(&counts, "output_tokens"),
            ..Usage::default()
        };
        usage.says_something().then_some(usage)
    };
    let mut usage = counted("billed_units").or_else(|| counted("tokens"))?;
    usage.cached_input = tokens(&fields, "cached_tokens").min(usage.input);
    Some(usage)
}

/// Cohere writes whole numbers as fractions.
fn tokens(fields: &Fields, name: &str) -> u64 {
    let count = fields.value(name).and_then(|it| it.parse::<f64>().ok());
    count.filter(|it| (0.0..=TOKENS_MAX).contains(it)).unwrap_or(0.0) as u64
}

#[derive(Deserialize)]
struct Citation<'a> {
    start: Option<u64>,
    end: Option<u64>,
    #[serde(default)]
    text: String,
    #[serde(borrow, default)]
    sources: Vec<Source<'a>>,
    r#type: Option<String>,
}

#[derive(Deserialize)]
struct Source<'a> {
    id: Option<String>,
    #[serde(borrow)]
    document: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_output: Option<&'a RawValue>,
}

/// A citation in the form of chat's annotations, one for each of its sources: OpenAI's `url_citation` where the source
/// has a URL, else `file_citation`. Those of plans and thoughts are left out: chat has none there.
pub fn annotations(json: &str) -> Vec<Json> {
    let Ok(citation) = serde_json::from_str::<Citation>(json) else { return Vec::new() };
    if citation.r#type.as_deref().is_some_and(|it| it != "TEXT_CONTENT") {
        return Vec::new();
    }
    citation.sources.iter().map(|it| annotation(&citation, it)).collect()
}

fn annotation(citation: &Citation, source: &Source) -> Json {
    let of_source =
        source.document.or(source.tool_output).and_then(|it| Fields::read(it.get())).unwrap_or_default();
    let text = |name: &str| of_source.text(name);
    let title = text("title").unwrap_or_default();
    let place = citation.start.zip(citation.end);
    let Some(url) = text("url") else {
        let source = cited::Source::File { id: source.id.as_deref().map(Cow::Borrowed), name: title };
        let quote = Some(citation.text.as_str()).filter(|it| !it.is_empty()).map(Cow::Borrowed);
        return Cited { quote, ..Cited::of(source, place) }.write();
    };
    Cited::of(cited::Source::Web { url, title }, place).write()
}

#[derive(Deserialize)]
struct LogprobItem {
    #[serde(default)]
    text: String,
    #[serde(default)]
    logprobs: Vec<f64>,
}

/// `logprobs` in chat's form. Cohere tells the text of several tokens at once: it is one token here, as likely as all of
/// them together.
pub fn logprobs<'a>(items: impl IntoIterator<Item = &'a str>) -> Option<Json> {
    let read = items.into_iter().filter_map(|it| serde_json::from_str::<LogprobItem>(it).ok());
    let content: Vec<serde_json::Value> = read
        .map(|it| {
            let sum: f64 = it.logprobs.iter().sum();
            json!({"token": it.text, "logprob": sum, "bytes": it.text.as_bytes(), "top_logprobs": []})
        })
        .collect();
    (!content.is_empty()).then(|| json!({"content": content, "refusal": null}).into())
}
