//! The Responses API: thoughts, a message or calls, whole or as the documented sequence of events.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    call::{Answer, Call, Refusal},
    reply::Pieces,
    response_ask::{THOUGHTFUL, encrypted, read},
    stream::Segment,
    talk::{End, Reply, Said, ToolCall, Usage},
    voice::{HOLE, named, pieced},
};

pub(super) fn respond(call: &Call<'_>, body: &Bytes) -> Result<Answer, Refusal> {
    let asked: Value = serde_json::from_slice(body)?;
    let Some(model) = asked["model"].as_str() else {
        return Err(Refusal::invalid(Some("model"), "Missing required parameter: 'model'."));
    };
    let pace = call.admit(model)?;
    let mut ask = read(&asked)?;
    ask.prompt_bytes = asked["input"].to_string().len();
    let reply = ask.reply(call, &pace);
    let draft = draft(call, &asked);
    let mut output = Output { call, asked: &asked, reply: &reply, items: Vec::new() };
    output.fill();
    let mut done = output.finished(draft.clone());
    if pace.extra {
        done["x_sim"] = json!({"note": [1.0, null]});
    }
    if asked["stream"] == true {
        let segments = output.segments(&draft, &done, pace.extra);
        let late = || {
            named(
                "error",
                &json!({"type": "error", "code": "server_error", "param": null, "sequence_number": 3,
                "message": "Simulated failure within the stream."}),
            )
        };
        return Ok(Answer::streamed(segments, &pace, late));
    }
    Ok(Answer::value(&done, pace.whole(reply.usage.output)))
}

/// The items of a response.
struct Output<'a> {
    call: &'a Call<'a>,
    asked: &'a Value,
    reply: &'a Reply,
    items: Vec<Value>,
}

impl Output<'_> {
    fn status(&self) -> &'static str {
        if self.reply.end == End::Length { "incomplete" } else { "completed" }
    }

    fn fill(&mut self) {
        if let Some(thought) = &self.reply.thought {
            let id = format!("rs_{}", self.call.id);
            let summary = match self.asked["reasoning"]["summary"].as_str() {
                Some(_) => json!([{"type": "summary_text", "text": thought.text()}]),
                None => json!([]),
            };
            let mut item = json!({"id": id, "type": "reasoning", "summary": summary});
            let include = self.asked["include"].as_array();
            if include.is_some_and(|it| it.iter().any(|it| it == "reasoning.encrypted_content")) {
                item["encrypted_content"] = encrypted(&id).into();
            }
            self.items.push(item);
        }
        match &self.reply.said {
            Said::Text(pieces) => {
                let part = self.part(&pieces.text());
                self.items.push(self.message(self.status(), json!([part])));
            }
            Said::Calls(calls) => {
                let thinks = self.reply.thought.is_some();
                self.items.extend(
                    calls.iter().map(|it| function_call(it, thinks, "completed", &it.arguments.text())),
                );
            }
        }
    }

    fn message(&self, status: &str, content: Value) -> Value {
        let id = format!("msg_{}", self.call.id);
        json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content})
    }

    fn part(&self, text: &str) -> Value {
        match self.reply.end {
            End::Refused => json!({"type": "refusal", "refusal": text}),
            _ => json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []}),
        }
    }

    fn finished(&self, mut draft: Value) -> Value {
        draft["status"] = self.status().into();
        if self.reply.end == End::Length {
            draft["incomplete_details"] = json!({"reason": "max_output_tokens"});
        }
        draft["output"] = self.items.clone().into();
        let Usage { prompt, cached, kept: _, output, thought } = self.reply.usage;
        draft["usage"] = json!({
            "input_tokens": prompt, "input_tokens_details": {"cached_tokens": cached},
            "output_tokens": output, "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": prompt + output,
        });
        draft
    }

    fn segments(&self, draft: &Value, done: &Value, extra: bool) -> Vec<Segment> {
        let mut events = Events { segments: Vec::new(), number: 0 };
        events.event(json!({"type": "response.created", "response": draft}));
        events.event(json!({"type": "response.in_progress", "response": draft}));
        if extra {
            events.event(json!({"type": "response.x_sim", "note": [1.0, null]}));
        }
        let calls = match &self.reply.said {
            Said::Calls(calls) => calls.as_slice(),
            Said::Text(_) => &[],
        };
        let mut calls = calls.iter();
        for (index, item) in self.items.iter().enumerate() {
            match item["type"].as_str() {
                Some("reasoning") => self.think(&mut events, index, item),
                Some("message") => self.say(&mut events, index, item),
                _ => calls.by_ref().take(1).for_each(|it| self.make(&mut events, index, item, it)),
            }
            events.event(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
        }
        events.event(json!({"type": format!("response.{}", self.status()), "response": done}));
        events.segments
    }

    fn think(&self, events: &mut Events, index: usize, item: &Value) {
        let mut begun = item.clone();
        begun["summary"] = json!([]);
        events.added(index, begun);
        let Some(thought) = self.reply.thought.as_ref().filter(|_| item["summary"] != json!([])) else {
            return;
        };
        let at = |kind: &str, more: Value| {
            let mut event = json!({"type": format!("response.reasoning_summary_{kind}"), "item_id": item["id"],
                "output_index": index, "summary_index": 0});
            add(&mut event, more);
            event
        };
        let part = |text: &str| json!({"part": {"type": "summary_text", "text": text}});
        events.event(at("part.added", part("")));
        events.pieces(at("text.delta", json!({"delta": HOLE})), thought);
        events.event(at("text.done", json!({"text": thought.text()})));
        events.event(at("part.done", part(&thought.text())));
    }

    fn say(&self, events: &mut Events, index: usize, item: &Value) {
        events.added(index, self.message("in_progress", json!([])));
        let Said::Text(pieces) = &self.reply.said else { return };
        let at = |kind: &str, more: Value| {
            let mut event = json!({"type": format!("response.{kind}"), "item_id": item["id"], "output_index": index,
                "content_index": 0});
            add(&mut event, more);
            event
        };
        events.event(at("content_part.added", json!({"part": self.part("")})));
        let text = pieces.text();
        let (kind, said) = match self.reply.end {
            End::Refused => ("refusal", json!({"refusal": text})),
            _ => ("output_text", json!({"text": text, "logprobs": []})),
        };
        let mut piece = json!({"delta": HOLE});
        if kind == "output_text" {
            piece["logprobs"] = json!([]);
        }
        events.pieces(at(&format!("{kind}.delta"), piece), pieces);
        events.event(at(&format!("{kind}.done"), said));
        events.event(at("content_part.done", json!({"part": self.part(&text)})));
    }

    fn make(&self, events: &mut Events, index: usize, item: &Value, call: &ToolCall) {
        events.added(index, function_call(call, self.reply.thought.is_some(), "in_progress", ""));
        let at = |kind: &str, more: Value| {
            let mut event = json!({"type": format!("response.function_call_arguments.{kind}"),
                "item_id": item["id"], "output_index": index});
            add(&mut event, more);
            event
        };
        events.pieces(at("delta", json!({"delta": HOLE})), &call.arguments);
        events.event(at("done", json!({"arguments": call.arguments.text(), "name": call.name})));
    }
}

fn function_call(call: &ToolCall, thinks: bool, status: &str, arguments: &str) -> Value {
    let begin = if thinks { THOUGHTFUL } else { "fc_" };
    json!({"id": call.id.replacen("call_", begin, 1), "type": "function_call", "status": status,
        "call_id": call.id, "name": call.name, "arguments": arguments})
}

fn add(event: &mut Value, more: Value) {
    if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
        event.extend(more);
    }
}

/// Events, numbered.
struct Events {
    segments: Vec<Segment>,
    number: usize,
}

impl Events {
    fn event(&mut self, mut event: Value) {
        event["sequence_number"] = self.number.into();
        self.number += 1;
        self.segments.push(Segment::Event(named(event["type"].as_str().unwrap_or_default(), &event)));
    }

    fn added(&mut self, index: usize, item: Value) {
        self.event(json!({"type": "response.output_item.added", "output_index": index, "item": item}));
    }

    fn pieces(&mut self, event: Value, pieces: &Pieces) {
        let segment = pieced(event["type"].as_str(), &event, pieces);
        let Segment::Pieces { before, pieces, after, .. } = segment else { return };
        // The number becomes the last member of each event.
        let mut open = after.strip_suffix(b"}\n\n").unwrap_or(&after).to_vec();
        open.extend_from_slice(b",\"sequence_number\":");
        let number = Some(self.number);
        self.number += pieces.count();
        self.segments.push(Segment::Pieces { before, pieces, after: open.into(), number });
    }
}

/// The response as it stands before its first word.
fn draft(call: &Call<'_>, asked: &Value) -> Value {
    let said =
        |name: &str, usual: Value| asked.get(name).filter(|it| !it.is_null()).cloned().unwrap_or(usual);
    json!({
        "id": format!("resp_{}", call.id), "object": "response", "created_at": call.created,
        "status": "in_progress", "error": null, "incomplete_details": null,
        "instructions": asked["instructions"], "max_output_tokens": asked["max_output_tokens"],
        "model": asked["model"], "output": [], "parallel_tool_calls": said("parallel_tool_calls", json!(true)),
        "previous_response_id": asked["previous_response_id"], "store": false,
        "temperature": said("temperature", json!(1.0)),
        "text": said("text", json!({"format": {"type": "text"}})), "tool_choice": said("tool_choice", json!("auto")),
        "tools": said("tools", json!([])), "top_p": said("top_p", json!(1.0)), "truncation": "disabled",
        "usage": null, "metadata": said("metadata", json!({})),
    })
}
