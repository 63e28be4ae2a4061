//! Bedrock's Converse, whole and in its binary event stream.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    call::{Answer, Call, Refusal},
    converse_ask::{read, signature},
    event_stream::{event, exception},
    place::Place,
    reply::Pieces,
    router::unknown,
    stream::Segment,
    talk::{End, Reply, Said, Usage},
};

/// Bedrock pads its events, so that their lengths say nothing.
const PADDING: &str = "abcdefgh";

pub(super) fn answer(call: &Call<'_>, place: &Place, body: &Bytes) -> Result<Answer, Refusal> {
    let streams = place.verb == "converse-stream";
    let Some(model) = place.model.as_ref().filter(|_| streams || place.verb == "converse") else {
        return Err(unknown(&place.rest));
    };
    let asked: Value = serde_json::from_slice(body)?;
    let pace = call.admit(model)?;
    let mut ask = read(&asked)?;
    ask.prompt_bytes = body.len();
    let reply = ask.reply(call, &pace);
    if streams {
        let late = || {
            exception("modelStreamErrorException", r#"{"message":"Simulated failure within the stream."}"#)
        };
        let answer = Answer::streamed(segments(reply, pace.extra), &pace, late);
        return Ok(Answer { content_type: "application/vnd.amazon.eventstream", ..answer });
    }
    let message = json!({"role": "assistant", "content": content(&reply)?});
    let mut answer = json!({"output": {"message": message}, "stopReason": stop_reason(reply.end),
        "usage": told(reply.usage), "metrics": {"latencyMs": 1}});
    if pace.extra {
        answer["xSim"] = json!({"note": [1.0, null]});
    }
    Ok(Answer::value(&answer, pace.whole(reply.usage.output)))
}

fn stop_reason(end: End) -> &'static str {
    match end {
        End::Stop => "end_turn",
        End::Length => "max_tokens",
        End::Calls => "tool_use",
        End::Refused => "content_filtered",
    }
}

/// Its input tokens are those that the cache had no part in.
fn told(usage: Usage) -> Value {
    let Usage { prompt, cached, kept, output, thought: _ } = usage;
    json!({"inputTokens": prompt - cached - kept, "outputTokens": output, "totalTokens": prompt + output,
        "cacheReadInputTokens": cached, "cacheWriteInputTokens": kept})
}

fn tool_id(id: &str) -> String {
    id.replacen("call_", "tooluse_", 1)
}

fn content(reply: &Reply) -> Result<Value, Refusal> {
    let mut blocks = Vec::new();
    if let Some(thought) = &reply.thought {
        let thought = thought.text();
        let text = json!({"signature": signature(&thought), "text": thought});
        blocks.push(json!({"reasoningContent": {"reasoningText": text}}));
    }
    match &reply.said {
        Said::Text(pieces) => blocks.push(json!({"text": pieces.text()})),
        Said::Calls(calls) => {
            for call in calls {
                let input: Value = serde_json::from_str(&call.arguments.text())?;
                let (id, name) = (tool_id(&call.id), &call.name);
                blocks.push(json!({"toolUse": {"toolUseId": id, "name": name, "input": input}}));
            }
        }
    }
    Ok(blocks.into())
}

fn segments(reply: Reply, extra: bool) -> Vec<Segment> {
    let mut events = Events { segments: Vec::new(), index: 0 };
    events.event("messageStart", json!({"role": "assistant"}));
    if extra {
        events.event("xSim", json!({"note": [1.0, null]}));
    }
    if let Some(thought) = reply.thought {
        let seal = json!({"reasoningContent": {"signature": signature(&thought.text())}});
        events.pieces(r#"{"reasoningContent":{"text":""#, thought, r#""}}"#);
        events.event("contentBlockDelta", json!({"contentBlockIndex": events.index, "delta": seal}));
        events.stop();
    }
    match reply.said {
        Said::Text(pieces) => {
            events.pieces(r#"{"text":""#, pieces, r#""}"#);
            events.stop();
        }
        Said::Calls(calls) => {
            for call in calls {
                let start = json!({"toolUse": {"toolUseId": tool_id(&call.id), "name": call.name}});
                events.event("contentBlockStart", json!({"contentBlockIndex": events.index, "start": start}));
                events.pieces(r#"{"toolUse":{"input":""#, call.arguments, r#""}}"#);
                events.stop();
            }
        }
    }
    events.event("messageStop", json!({"stopReason": stop_reason(reply.end)}));
    events.event("metadata", json!({"usage": told(reply.usage), "metrics": {"latencyMs": 1}}));
    events.segments
}

struct Events {
    segments: Vec<Segment>,
    /// Of the block at hand.
    index: usize,
}

impl Events {
    fn event(&mut self, name: &str, mut payload: Value) {
        payload["p"] = PADDING.into();
        self.segments.push(Segment::Event(event(name, &payload.to_string())));
    }

    fn stop(&mut self) {
        self.event("contentBlockStop", json!({"contentBlockIndex": self.index}));
        self.index += 1;
    }

    /// One event per piece, framed beforehand: a frame tells its length.
    fn pieces(&mut self, before: &str, mut pieces: Pieces, after: &str) {
        let index = self.index;
        while let Some(piece) = pieces.next_piece() {
            let payload =
                format!(r#"{{"contentBlockIndex":{index},"delta":{before}{piece}{after},"p":"{PADDING}"}}"#);
            self.segments.push(Segment::Token(event("contentBlockDelta", &payload)));
        }
    }
}
