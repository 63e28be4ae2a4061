//! Anthropic's Messages: answers whole and in events, and counts of tokens; the same below Vertex' paths.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::{
    anthropic_ask::{read, refused, signature},
    call::{Answer, Call, Refusal},
    place::Place,
    router::{ANTHROPIC_VERSION, unknown},
    stream::Segment,
    talk::{End, Reply, Said, Usage},
    voice::{HOLE, named, pieced},
};

/// Vertex wants it in the body.
const VERTEX_VERSION: &str = "vertex-2023-10-16";

pub(super) fn answer(
    call: &Call<'_>,
    place: &Place,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Answer, Refusal> {
    let asked: Value = serde_json::from_slice(body)?;
    let counts = place.rest == "messages/count_tokens";
    if place.rest != "messages" && !counts && place.model.is_none() {
        return Err(unknown(&place.rest));
    }
    let model = match &place.model {
        Some(_) if asked["anthropic_version"] != VERTEX_VERSION => {
            return Err(refused("anthropic_version: Field required"));
        }
        Some(_) if asked.get("model").is_some() => {
            return Err(refused("model: Extra inputs are not permitted"));
        }
        Some(model) => model,
        None if !headers.contains_key(ANTHROPIC_VERSION) => {
            return Err(refused("anthropic-version: header is required"));
        }
        None if asked.get("anthropic_version").is_some() => {
            return Err(refused("anthropic_version: Extra inputs are not permitted"));
        }
        None => asked["model"].as_str().ok_or_else(|| refused("model: Field required"))?,
    };
    let pace = call.admit(model)?;
    let mut ask = read(&asked, counts)?;
    ask.prompt_bytes = body.len();
    if counts {
        return Ok(Answer::value(&json!({"input_tokens": body.len().div_ceil(4)}), pace.first));
    }
    let reply = ask.reply(call, &pace);
    if asked["stream"] == true || place.verb == "streamRawPredict" {
        let segments = segments(call, model, &reply, pace.extra);
        return Ok(Answer::streamed(segments, &pace, || named("error", &late())));
    }
    let mut message = message(call, model, reply.usage);
    message["content"] = content(&reply)?;
    message["stop_reason"] = stop_reason(reply.end).into();
    if pace.extra {
        message["x_sim"] = json!({"note": [1.0, null]});
    }
    Ok(Answer::value(&message, pace.whole(reply.usage.output)))
}

fn late() -> Value {
    json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
}

fn message(call: &Call<'_>, model: &str, usage: Usage) -> Value {
    json!({"id": format!("msg_{}", call.id), "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": told(usage)})
}

/// Its input tokens are those that the cache had no part in.
fn told(usage: Usage) -> Value {
    let Usage { prompt, cached, kept, output, thought: _ } = usage;
    json!({"input_tokens": prompt - cached - kept, "cache_creation_input_tokens": kept,
        "cache_read_input_tokens": cached, "output_tokens": output, "service_tier": "standard",
        "cache_creation": {"ephemeral_5m_input_tokens": kept, "ephemeral_1h_input_tokens": 0}})
}

fn stop_reason(end: End) -> &'static str {
    match end {
        End::Stop => "end_turn",
        End::Length => "max_tokens",
        End::Calls => "tool_use",
        End::Refused => "refusal",
    }
}

fn content(reply: &Reply) -> Result<Value, Refusal> {
    let mut blocks = Vec::new();
    if let Some(thought) = &reply.thought {
        let thought = thought.text();
        blocks.push(json!({"type": "thinking", "signature": signature(&thought), "thinking": thought}));
    }
    match &reply.said {
        Said::Text(pieces) => blocks.push(json!({"type": "text", "text": pieces.text()})),
        Said::Calls(calls) => {
            for call in calls {
                let input: Value = serde_json::from_str(&call.arguments.text())?;
                blocks.push(
                    json!({"type": "tool_use", "id": tool_id(&call.id), "name": call.name, "input": input}),
                );
            }
        }
    }
    Ok(blocks.into())
}

fn tool_id(id: &str) -> String {
    id.replacen("call_", "toolu_", 1)
}

fn segments(call: &Call<'_>, model: &str, reply: &Reply, extra: bool) -> Vec<Segment> {
    let mut events = Events(Vec::new());
    let begun = Usage { output: 1, ..reply.usage };
    events.event(json!({"type": "message_start", "message": message(call, model, begun)}));
    events.event(json!({"type": "ping"}));
    if extra {
        events.event(json!({"type": "x_sim", "note": [1.0, null]}));
    }
    let mut index = 0;
    if let Some(thought) = &reply.thought {
        events.start(index, json!({"type": "thinking", "thinking": "", "signature": ""}));
        events.0.push(delta(index, json!({"type": "thinking_delta", "thinking": HOLE}), thought));
        let seal = json!({"type": "signature_delta", "signature": signature(&thought.text())});
        events.event(json!({"type": "content_block_delta", "index": index, "delta": seal}));
        events.stop(&mut index);
    }
    match &reply.said {
        Said::Text(pieces) => {
            events.start(index, json!({"type": "text", "text": ""}));
            events.0.push(delta(index, json!({"type": "text_delta", "text": HOLE}), pieces));
            events.stop(&mut index);
        }
        Said::Calls(calls) => {
            for call in calls {
                let block =
                    json!({"type": "tool_use", "id": tool_id(&call.id), "name": call.name, "input": {}});
                events.start(index, block);
                let empty = json!({"type": "input_json_delta", "partial_json": ""});
                events.event(json!({"type": "content_block_delta", "index": index, "delta": empty}));
                let piece = json!({"type": "input_json_delta", "partial_json": HOLE});
                events.0.push(delta(index, piece, &call.arguments));
                events.stop(&mut index);
            }
        }
    }
    events.event(json!({"type": "message_delta", "usage": told(reply.usage),
        "delta": {"stop_reason": stop_reason(reply.end), "stop_sequence": null}}));
    events.event(json!({"type": "message_stop"}));
    events.0
}

struct Events(Vec<Segment>);

impl Events {
    fn event(&mut self, event: Value) {
        self.0.push(Segment::Event(named(event["type"].as_str().unwrap_or_default(), &event)));
    }

    fn start(&mut self, index: usize, block: Value) {
        self.event(json!({"type": "content_block_start", "index": index, "content_block": block}));
    }

    fn stop(&mut self, index: &mut usize) {
        self.event(json!({"type": "content_block_stop", "index": *index}));
        *index += 1;
    }
}

fn delta(index: usize, delta: Value, pieces: &super::reply::Pieces) -> Segment {
    let data = json!({"type": "content_block_delta", "index": index, "delta": delta});
    pieced(Some("content_block_delta"), &data, pieces)
}
