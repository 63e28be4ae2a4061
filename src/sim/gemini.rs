//! Gemini's `generateContent`, whole and streamed, below AI Studio's paths and Vertex'.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    call::{Answer, Call, Pace, Refusal},
    gemini_ask::{read, signature},
    place::Place,
    router::unknown,
    stream::Segment,
    talk::{End, Reply, Said, Usage},
    voice::{HOLE, pieced, unnamed},
};

pub(super) fn answer(call: &Call<'_>, place: &Place, query: &str, body: &Bytes) -> Result<Answer, Refusal> {
    let Some(model) = &place.model else { return Err(unknown(&place.rest)) };
    let asked: Value = serde_json::from_slice(body)?;
    let pace = call.admit(model)?;
    let tokens = body.len().div_ceil(4);
    if place.verb == "countTokens" {
        return Ok(Answer::value(&json!({"totalTokens": tokens}), pace.first));
    }
    let (mut ask, shows) = read(&asked, place.is_vertex)?;
    ask.prompt_bytes = body.len();
    let sheet = Sheet { call, model, pace: &pace, shows: shows || pace.thinks };
    let reply = ask.reply(call, &pace);
    if place.verb == "generateContent" {
        return Ok(Answer::value(&sheet.whole(&reply)?, pace.whole(reply.usage.output)));
    }
    let late =
        || json!({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}});
    if query.split('&').any(|it| it == "alt=sse") {
        return Ok(Answer::streamed(sheet.segments(&reply)?, &pace, || unnamed(&late())));
    }
    // Without that, a stream is one list, which nobody needs to get piece by piece.
    Ok(Answer::value(&json!([sheet.whole(&reply)?]), Duration::ZERO))
}

/// What surrounds the candidates.
struct Sheet<'a> {
    call: &'a Call<'a>,
    model: &'a str,
    pace: &'a Pace,
    shows: bool,
}

impl Sheet<'_> {
    fn chunk(&self, parts: Value) -> Value {
        let mut chunk = json!({"modelVersion": self.model, "responseId": self.call.id,
            "candidates": [{"index": 0, "content": {"role": "model", "parts": parts}}]});
        if self.pace.extra {
            chunk["xSim"] = json!({"note": [1.0, null]});
        }
        chunk
    }

    fn last(&self, mut chunk: Value, reply: &Reply) -> Value {
        if reply.end == End::Refused {
            chunk.as_object_mut().and_then(|it| it.remove("candidates"));
            chunk["promptFeedback"] = json!({"blockReason": "PROHIBITED_CONTENT"});
        } else {
            let reason = if reply.end == End::Length { "MAX_TOKENS" } else { "STOP" };
            chunk["candidates"][0]["finishReason"] = reason.into();
        }
        chunk["usageMetadata"] = told(reply.usage);
        chunk
    }

    fn thought(&self, text: &str) -> Value {
        json!({"text": text, "thought": true})
    }

    fn whole(&self, reply: &Reply) -> Result<Value, Refusal> {
        let mut parts = Vec::new();
        if let Some(thought) = reply.thought.as_ref().filter(|_| self.shows) {
            parts.push(self.thought(&thought.text()));
        }
        match &reply.said {
            Said::Text(pieces) => parts.push(json!({"text": pieces.text()})),
            Said::Calls(_) => parts.extend(calls(reply)?),
        }
        if let (Some(_), Said::Text(_), Some(part)) = (&reply.thought, &reply.said, parts.last_mut()) {
            part["thoughtSignature"] = signature(None).into();
        }
        Ok(self.last(self.chunk(parts.into()), reply))
    }

    fn segments(&self, reply: &Reply) -> Result<Vec<Segment>, Refusal> {
        let mut segments = Vec::new();
        if let Some(thought) = reply.thought.as_ref().filter(|_| self.shows) {
            segments.push(pieced(None, &self.chunk(json!([self.thought(HOLE)])), thought));
        }
        let mut rest = json!([{"text": ""}]);
        match &reply.said {
            _ if reply.end == End::Refused => {}
            Said::Text(pieces) => {
                segments.push(pieced(None, &self.chunk(json!([{"text": HOLE}])), pieces));
                if reply.thought.is_some() {
                    rest[0]["thoughtSignature"] = signature(None).into();
                }
            }
            Said::Calls(_) => {
                for call in calls(reply)? {
                    segments.push(Segment::Token(unnamed(&self.chunk(json!([call])))));
                }
            }
        }
        segments.push(Segment::Event(unnamed(&self.last(self.chunk(rest), reply))));
        Ok(segments)
    }
}

/// Calls come whole. Of those after a thought, the first is signed.
fn calls(reply: &Reply) -> Result<Vec<Value>, Refusal> {
    let Said::Calls(calls) = &reply.said else { return Ok(Vec::new()) };
    let mut parts = Vec::with_capacity(calls.len());
    for (index, call) in calls.iter().enumerate() {
        let args: Value = serde_json::from_str(&call.arguments.text())?;
        let mut part = json!({"functionCall": {"name": call.name, "args": args}});
        if reply.thought.is_some() && index == 0 {
            part["thoughtSignature"] = signature(Some(&call.name)).into();
        }
        parts.push(part);
    }
    Ok(parts)
}

/// Thoughts are counted beside what was said, what the cache held within the prompt.
fn told(usage: Usage) -> Value {
    let Usage { prompt, cached, kept, output, thought } = usage;
    let mut told = json!({"promptTokenCount": prompt, "candidatesTokenCount": output - thought,
        "totalTokenCount": prompt + output});
    if cached + kept > 0 {
        told["cachedContentTokenCount"] = (cached + kept).into();
    }
    if thought > 0 {
        told["thoughtsTokenCount"] = thought.into();
    }
    told
}
