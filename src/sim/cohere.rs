//! Cohere's `/v2/chat`, whole and streamed; reads its requests as Cohere does.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    call::{Answer, Call, Refusal},
    stream::Segment,
    talk::{Ask, Choice, End, Form, Reply, Said, Seen, Tool, Usage},
    voice::{HOLE, named, pieced},
};

const FIELDS: &[&str] = &[
    "model",
    "messages",
    "stream",
    "tools",
    "documents",
    "citation_options",
    "response_format",
    "safety_mode",
    "max_tokens",
    "stop_sequences",
    "temperature",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "k",
    "p",
    "logprobs",
    "tool_choice",
    "strict_tools",
    "thinking",
    "priority",
    "raw_prompting",
];

fn refused(message: impl Into<String>) -> Refusal {
    Refusal::invalid(None, message)
}

pub(super) fn chat(call: &Call<'_>, body: &Bytes) -> Result<Answer, Refusal> {
    let asked: Value = serde_json::from_slice(body)?;
    let model = asked["model"].as_str().ok_or_else(|| refused("invalid request: model is required."))?;
    let pace = call.admit(model)?;
    let mut ask = read(&asked)?;
    ask.prompt_bytes = body.len();
    let reply = ask.reply(call, &pace);
    if asked["stream"] == true {
        let late = || {
            let delta = json!({"finish_reason": "ERROR", "error": "Simulated failure within the stream."});
            named("message-end", &json!({"type": "message-end", "delta": delta}))
        };
        return Ok(Answer::streamed(segments(call, &reply, pace.extra), &pace, late));
    }
    let mut answer = json!({"id": call.id, "finish_reason": finish(reply.end), "message": message(&reply),
        "usage": told(reply.usage)});
    if pace.extra {
        answer["x_sim"] = json!({"note": [1.0, null]});
    }
    Ok(Answer::value(&answer, pace.whole(reply.usage.output)))
}

fn read(body: &Value) -> Result<Ask, Refusal> {
    let fields = body.as_object().ok_or_else(|| refused("invalid request: not an object."))?;
    if let Some(name) = fields.keys().find(|it| !FIELDS.contains(&it.as_str())) {
        return Err(refused(format!("invalid request: unknown field `{name}`.")));
    }
    let mut ask = Ask { limit: body["max_tokens"].as_u64().map(|it| it as usize), ..Ask::default() };
    let messages = body["messages"].as_array().filter(|it| !it.is_empty());
    let messages = messages.ok_or_else(|| refused("invalid request: messages must not be empty."))?;
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        hear(index, message, &mut open, &mut ask)?;
    }
    if !open.is_empty() {
        return Err(refused(
            "invalid request: cannot specify tool_calls without tool results for all of them.",
        ));
    }
    for tool in body["tools"].as_array().into_iter().flatten() {
        let name = tool["function"]["name"].as_str().filter(|_| tool["type"] == "function");
        let name =
            name.ok_or_else(|| refused("invalid request: all elements in tools must be functions."))?;
        if !tool["function"]["parameters"].is_object() {
            return Err(refused("invalid request: tools.function.parameters is required."));
        }
        ask.tools.push(Tool { name: name.to_owned(), schema: tool["function"].get("parameters").cloned() });
    }
    ask.choice = match body["tool_choice"].as_str() {
        Some("NONE") => Choice::Barred,
        Some("REQUIRED") => Choice::Free,
        None if body["tool_choice"].is_null() => Choice::Free,
        _ => return Err(refused("invalid request: tool_choice must be one of REQUIRED, NONE.")),
    };
    let format = &body["response_format"];
    ask.form = match (format["type"].as_str(), format.get("json_schema").or_else(|| format.get("schema"))) {
        (Some("json_object"), Some(schema)) => Form::Schema(schema.clone()),
        (Some("json_object"), None) => Form::Object,
        (Some("text") | None, _) => Form::Prose,
        _ => return Err(refused("invalid request: response_format.type must be text or json_object.")),
    };
    ask.thinks = body["thinking"]["type"] == "enabled";
    Ok(ask)
}

fn hear<'a>(index: usize, message: &'a Value, open: &mut Vec<&'a str>, ask: &mut Ask) -> Result<(), Refusal> {
    let role = message["role"].as_str().unwrap_or_default();
    let parts = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |kind: &str| parts.iter().filter(move |it| it["type"] == kind).count();
    if !open.is_empty() && role != "tool" {
        return Err(refused(format!("invalid request: message at index {index} must be a tool message.")));
    }
    match role {
        "system" | "developer" => {}
        "user" => {
            let texts: Vec<&str> = parts.iter().filter_map(|it| it["text"].as_str()).collect();
            ask.echo = message["content"].as_str().map_or_else(|| texts.join(" "), str::to_owned);
            ask.seen = Seen { images: of("image_url"), documents: of("document"), ..Seen::default() };
        }
        "assistant" => {
            let calls = message["tool_calls"].as_array().into_iter().flatten();
            open.extend(calls.filter_map(|it| it["id"].as_str()));
        }
        "tool" => {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let Some(at) = open.iter().position(|it| *it == id) else {
                return Err(refused(format!("invalid request: tool call id not found: {id}.")));
            };
            open.remove(at);
            ask.seen.results += 1;
        }
        _ => return Err(refused(format!("invalid request: invalid role `{role}` at messages[{index}]."))),
    }
    let kinds = ["text", "image_url", "document", "thinking"];
    if parts.iter().any(|it| !it["type"].as_str().is_some_and(|it| kinds.contains(&it))) {
        return Err(refused(format!("invalid request: unknown type of content in messages[{index}].")));
    }
    ask.after_tools = role == "tool";
    Ok(())
}

fn finish(end: End) -> &'static str {
    match end {
        End::Stop => "COMPLETE",
        End::Length => "MAX_TOKENS",
        End::Calls => "TOOL_CALL",
        End::Refused => "ERROR_TOXIC",
    }
}

fn told(usage: Usage) -> Value {
    let Usage { prompt, cached, kept: _, output, thought: _ } = usage;
    json!({"billed_units": {"input_tokens": prompt, "output_tokens": output},
        "tokens": {"input_tokens": prompt, "output_tokens": output}, "cached_tokens": cached})
}

fn message(reply: &Reply) -> Value {
    let mut content = Vec::new();
    if let Some(thought) = &reply.thought {
        content.push(json!({"type": "thinking", "thinking": thought.text()}));
    }
    match &reply.said {
        Said::Text(pieces) => {
            content.push(json!({"type": "text", "text": pieces.text()}));
            json!({"role": "assistant", "content": content})
        }
        Said::Calls(calls) => {
            let calls: Vec<Value> = calls
                .iter()
                .map(|it| {
                    let function = json!({"name": it.name, "arguments": it.arguments.text()});
                    json!({"id": it.id, "type": "function", "function": function})
                })
                .collect();
            let mut message =
                json!({"role": "assistant", "tool_plan": "I will call tools.", "tool_calls": calls});
            if !content.is_empty() {
                message["content"] = content.into();
            }
            message
        }
    }
}

fn segments(call: &Call<'_>, reply: &Reply, extra: bool) -> Vec<Segment> {
    let mut segments = vec![Segment::Event(named(
        "message-start",
        &json!({"type": "message-start", "id": call.id,
            "delta": {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}}),
    ))];
    if extra {
        segments.push(Segment::Event(named("x-sim", &json!({"type": "x-sim", "note": [1.0, null]}))));
    }
    let mut index = 0;
    if let Some(thought) = &reply.thought {
        content(&mut segments, index, "thinking", thought);
        index += 1;
    }
    match &reply.said {
        Said::Text(pieces) => content(&mut segments, index, "text", pieces),
        Said::Calls(calls) => {
            let plan =
                json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will call tools."}}});
            segments.push(Segment::Token(named("tool-plan-delta", &plan)));
            for (index, call) in calls.iter().enumerate() {
                let event = |kind: &str, calls: Value| json!({"type": kind, "index": index, "delta": {"message": {"tool_calls": calls}}});
                let function = json!({"name": call.name, "arguments": ""});
                let begun = event(
                    "tool-call-start",
                    json!({"id": call.id, "type": "function", "function": function}),
                );
                segments.push(Segment::Token(named("tool-call-start", &begun)));
                let piece = event("tool-call-delta", json!({"function": {"arguments": HOLE}}));
                segments.push(pieced(Some("tool-call-delta"), &piece, &call.arguments));
                let ended = json!({"type": "tool-call-end", "index": index});
                segments.push(Segment::Event(named("tool-call-end", &ended)));
            }
        }
    }
    let delta = json!({"finish_reason": finish(reply.end), "usage": told(reply.usage)});
    segments.push(Segment::Event(named("message-end", &json!({"type": "message-end", "delta": delta}))));
    segments
}

fn content(segments: &mut Vec<Segment>, index: usize, kind: &str, pieces: &super::reply::Pieces) {
    let event = |name: &str, content: Value| json!({"type": name, "index": index, "delta": {"message": {"content": content}}});
    let mut begun = json!({"type": kind});
    begun[kind] = "".into();
    let mut piece = json!({});
    piece[kind] = HOLE.into();
    segments.push(Segment::Event(named("content-start", &event("content-start", begun))));
    segments.push(pieced(Some("content-delta"), &event("content-delta", piece), pieces));
    segments.push(Segment::Event(named("content-end", &json!({"type": "content-end", "index": index}))));
}
