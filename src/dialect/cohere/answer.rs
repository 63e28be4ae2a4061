//! Reads whole answers.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::said;
use crate::dialect::Unreadable;
use crate::dialect::answer::{Answer, Choice};
use crate::dialect::prompt::{Call, Part, Thought};

#[derive(Deserialize)]
struct Whole<'a> {
    id: Option<String>,
    #[serde(borrow)]
    message: Message<'a>,
    #[serde(default)]
    finish_reason: String,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    logprobs: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    content: Option<Vec<Content>>,
    tool_plan: Option<String>,
    tool_calls: Option<Vec<ToolCall>>,
    #[serde(borrow)]
    citations: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Content {
    text: Option<String>,
    thinking: Option<String>,
}

/// Also in streams, where the arguments may come later.
#[derive(Deserialize)]
pub struct ToolCall {
    pub id: String,
    pub function: Function,
}

#[derive(Deserialize)]
pub struct Function {
    #[serde(default)]
    pub name: String,
    pub arguments: Option<String>,
}

pub fn read(body: &[u8]) -> Result<Answer, Unreadable> {
    let whole: Whole = serde_json::from_slice(body).map_err(|_| Unreadable("no answer of Cohere"))?;
    let finish = said::finish(&whole.finish_reason).ok_or(Unreadable("the answer failed midway"))?;
    let logprobs = whole.logprobs.unwrap_or_default();
    let choice = Choice {
        index: 0,
        parts: parts(whole.message),
        finish: Some(finish),
        logprobs: said::logprobs(logprobs.iter().map(|it| it.get())),
    };
    Ok(Answer {
        id: whole.id,
        choices: vec![choice],
        usage: whole.usage.and_then(|it| said::usage(it.get())),
        ..Answer::default()
    })
}

fn parts(message: Message) -> Vec<Part> {
    let thought = |text: String| Part::Thought(Thought { text, ..Thought::default() });
    let mut parts = Vec::new();
    for content in message.content.unwrap_or_default() {
        parts.extend(content.thinking.filter(|it| !it.is_empty()).map(thought));
        parts.extend(content.text.filter(|it| !it.is_empty()).map(Part::text));
    }
    parts.extend(message.tool_plan.filter(|it| !it.is_empty()).map(thought));
    let cited = message.citations.unwrap_or_default();
    let cited: Vec<_> = cited.iter().flat_map(|it| said::annotations(it.get())).collect();
    if let Some(Part::Text { citations, .. }) = parts.iter_mut().rfind(|it| matches!(it, Part::Text { .. })) {
        *citations = cited;
    }
    for call in message.tool_calls.unwrap_or_default() {
        let arguments = call.function.arguments.unwrap_or_default();
        parts.push(Part::Call(Call {
            id: call.id,
            name: call.function.name,
            arguments: whole_arguments(arguments),
            is_custom: false,
        }));
    }
    parts
}

/// For a tool that takes nothing Cohere may write nothing, or `null`.
fn whole_arguments(arguments: String) -> String {
    match arguments.trim() {
        "" | "null" => "{}".into(),
        _ => arguments,
    }
}
