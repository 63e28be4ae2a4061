//! The Responses API: one assistant message of prose, whole or as the documented sequence of events.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    call::{Answer, Call, Refusal},
    chat::streamed,
    reply::{Heard, Pieces, text},
    stream::Segment,
};

#[derive(Deserialize)]
struct Ask<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    instructions: Option<Value>,
    metadata: Option<Value>,
    stream: Option<bool>,
    max_output_tokens: Option<usize>,
}

pub(super) fn respond(call: &Call<'_>, body: &Bytes) -> Result<Answer, Refusal> {
    let ask: Ask = serde_json::from_slice(body)?;
    let pace = call.admit(&ask.model)?;
    let heard = match ask.input {
        Some(input) if input.get().starts_with('[') => {
            Heard::from_messages(&serde_json::from_str::<Vec<&RawValue>>(input.get())?)?.text
        }
        Some(input) => text(input)?,
        None => Cow::default(),
    };
    let limit = ask.max_output_tokens.unwrap_or(usize::MAX).max(1);
    let pieces = Pieces::prose(&heard, pace.tokens.min(limit));
    let wait = pace.whole(pieces.count());
    let message = Message {
        id: format!("msg_{}", call.id),
        status: if limit < pace.tokens { "incomplete" } else { "completed" },
        text: serde_json::from_str(&format!("\"{}\"", pieces.whole()))?,
    };
    let draft = draft(call, &ask);
    let input_tokens = ask.input.map_or(0, |it| it.get().len().div_ceil(4));
    let done = finished(draft.clone(), &message, input_tokens, pieces.count());
    if ask.stream == Some(true) {
        return Ok(streamed(message.segments(pieces, &draft, &done), &pace));
    }
    Ok(Answer::value(&done, wait))
}

/// The one output item of a response.
struct Message {
    id: String,
    status: &'static str,
    text: Value,
}

impl Message {
    fn segments(&self, pieces: Pieces, draft: &Value, done: &Value) -> Vec<Segment> {
        let opening = [
            json!({"type": "response.created", "response": draft}),
            json!({"type": "response.in_progress", "response": draft}),
            json!({"type": "response.output_item.added", "output_index": 0,
                "item": self.item("in_progress", json!([]))}),
            self.located("response.content_part.added", json!({"part": part(&json!(""))})),
        ];
        let text_done = json!({"text": self.text, "logprobs": []});
        let closing = [
            self.located("response.output_text.done", text_done),
            self.located("response.content_part.done", json!({"part": part(&self.text)})),
            json!({"type": "response.output_item.done", "output_index": 0, "item": done["output"][0]}),
            json!({"type": format!("response.{}", self.status), "response": done}),
        ];
        let first = opening.len();
        let last = first + pieces.count();
        let mut segments = Vec::with_capacity(first + 1 + closing.len());
        segments.extend(opening.into_iter().zip(0..).map(|(it, number)| event(number, it)));
        let id = &self.id;
        let before = format!(
            "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\
             \"item_id\":\"{id}\",\"output_index\":0,\"content_index\":0,\"logprobs\":[],\"delta\":\""
        );
        segments.push(Segment::Pieces {
            before: before.into(),
            pieces,
            after: Bytes::from_static(b"\",\"sequence_number\":"),
            number: Some(first),
        });
        segments.extend(closing.into_iter().zip(last..).map(|(it, number)| event(number, it)));
        segments
    }

    fn item(&self, status: &str, content: Value) -> Value {
        json!({"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content})
    }

    /// An event about the message's only part.
    fn located(&self, kind: &str, mut event: Value) -> Value {
        event["type"] = kind.into();
        event["item_id"] = self.id.as_str().into();
        event["output_index"] = 0.into();
        event["content_index"] = 0.into();
        event
    }
}

fn part(text: &Value) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn event(number: usize, mut event: Value) -> Segment {
    event["sequence_number"] = number.into();
    let kind = event["type"].as_str().unwrap_or_default();
    Segment::Event(format!("event: {kind}\ndata: {event}\n\n").into())
}

/// The response as it stands before its first word.
fn draft(call: &Call<'_>, ask: &Ask<'_>) -> Value {
    json!({
        "id": format!("resp_{}", call.id), "object": "response", "created_at": call.created,
        "status": "in_progress", "error": null, "incomplete_details": null,
        "instructions": ask.instructions, "max_output_tokens": ask.max_output_tokens, "model": ask.model,
        "output": [], "parallel_tool_calls": true, "previous_response_id": null, "store": false,
        "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
        "top_p": 1.0, "truncation": "disabled", "usage": null,
        "metadata": ask.metadata.clone().unwrap_or_else(|| json!({})),
    })
}

fn finished(mut draft: Value, message: &Message, input: usize, output: usize) -> Value {
    draft["status"] = message.status.into();
    if message.status == "incomplete" {
        draft["incomplete_details"] = json!({"reason": "max_output_tokens"});
    }
    draft["output"] = json!([message.item(message.status, json!([part(&message.text)]))]);
    draft["usage"] = json!({
        "input_tokens": input, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input + output,
    });
    draft
}
