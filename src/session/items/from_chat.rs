//! One chat message as items, and without one of them.

use serde_json::{Map, Value, json};

use super::{CALLS, GAP, REASONING, WORDS, readable};
use crate::api::fields::{self, Fields};
use crate::api::ink::Ink;

/// The items of a message, each with the part of the message it is. None of what was deleted.
pub fn items(mut message: Map<String, Value>) -> Vec<(usize, Value)> {
    let role = message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
    match role.as_str() {
        "" => Vec::new(),
        "assistant" => of_assistant(&mut message),
        "tool" | "function" => vec![(WORDS, of_tool(&mut message))],
        _ => {
            let content = parts(message.remove("content"), "input_text");
            let mut item =
                json!({"type": "message", "role": role, "status": "completed", "content": content});
            if let Some(name) = message.remove("name") {
                item["name"] = name;
            }
            vec![(WORDS, item)]
        }
    }
}

fn of_assistant(message: &mut Map<String, Value>) -> Vec<(usize, Value)> {
    let mut items = Vec::new();
    let thought = ["reasoning_content", "reasoning"].into_iter().find_map(|it| text(message, it));
    if let Some(thought) = thought {
        let content = json!([{"type": "reasoning_text", "text": thought}]);
        let item = json!({"type": "reasoning", "summary": [], "content": content, "status": "completed"});
        items.push((REASONING, item));
    }
    // Many vendors write an empty text where they say something else.
    let mut content = parts(message.remove("content").filter(|it| it != ""), "output_text");
    if content.is_empty() {
        let spoken = message.get("audio").and_then(|it| it["transcript"].as_str());
        content.extend(spoken.map(|it| part("output_text", it.into())));
    }
    content.extend(text(message, "refusal").map(|it| json!({"type": "refusal", "refusal": it})));
    if !content.is_empty() {
        let item = json!({"type": "message", "role": "assistant", "status": "completed", "content": content});
        items.push((WORDS, item));
    }
    if let Some(Value::Array(calls)) = message.remove("tool_calls") {
        let calls = calls.into_iter().enumerate().filter(|(_, it)| it.is_object());
        items.extend(calls.map(|(at, it)| (CALLS + at, call(it))));
    }
    if let Some(function @ Value::Object(_)) = message.remove("function_call") {
        items.push((CALLS, call(json!({"id": "", "function": function}))));
    }
    items
}

fn call(mut call: Value) -> Value {
    let id = taken(&mut call, "id");
    if call["type"] == "custom" {
        let mut custom = taken(&mut call, "custom");
        let (name, input) = (taken(&mut custom, "name"), taken(&mut custom, "input"));
        return json!({"type": "custom_tool_call", "call_id": id, "name": name, "input": input,
            "status": "completed"});
    }
    let mut function = taken(&mut call, "function");
    let (name, arguments) = (taken(&mut function, "name"), taken(&mut function, "arguments"));
    json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments, "status": "completed"})
}

fn of_tool(message: &mut Map<String, Value>) -> Value {
    let output = match message.remove("content") {
        Some(list @ Value::Array(_)) => parts(Some(list), "input_text").into(),
        Some(text @ Value::String(_)) => text,
        _ => "".into(),
    };
    let id = message.remove("tool_call_id").unwrap_or_else(|| "".into());
    let mut item =
        json!({"type": "function_call_output", "call_id": id, "output": output, "status": "completed"});
    if let Some(name) = message.remove("name") {
        item["name"] = name;
    }
    item
}

/// The parts of a message's content; its text is of type `text`.
fn parts(content: Option<Value>, text: &str) -> Vec<Value> {
    match content {
        Some(Value::String(words)) => vec![part(text, words.into())],
        Some(Value::Array(parts)) => parts.into_iter().map(|it| converted(it, text)).collect(),
        _ => Vec::new(),
    }
}

fn part(kind: &str, text: Value) -> Value {
    match kind {
        "output_text" => json!({"type": kind, "text": text, "annotations": [], "logprobs": []}),
        _ => json!({"type": kind, "text": text}),
    }
}

fn converted(mut given: Value, text: &str) -> Value {
    match given["type"].as_str() {
        Some("text") => part(text, taken(&mut given, "text")),
        Some("image_url") => {
            let mut image = taken(&mut given, "image_url");
            let detail = image.get("detail").cloned().unwrap_or_else(|| "auto".into());
            // Some clients write the address alone.
            let url = if image.is_string() { image } else { taken(&mut image, "url") };
            json!({"type": "input_image", "image_url": url, "detail": detail, "file_id": null})
        }
        Some("file") if given["file"].is_object() => {
            let mut file = taken(&mut given, "file");
            file["type"] = "input_file".into();
            file
        }
        _ => given,
    }
}

/// A field's value; null where there is none, or no object.
fn taken(object: &mut Value, field: &str) -> Value {
    object.get_mut(field).map(Value::take).unwrap_or_default()
}

fn text(message: &Map<String, Value>, name: &str) -> Option<String> {
    message.get(name).and_then(Value::as_str).filter(|it| !it.is_empty()).map(str::to_owned)
}

/// The message with a gap where the part stood; nothing but a gap where it was the last. What stays is as it was written.
pub fn forget(json: &str, part: usize) -> Option<String> {
    let fields = Fields::read(json)?;
    if fields.text("role").as_deref() != Some("assistant") {
        return Some(GAP.to_owned());
    }
    let mut left = String::from("{");
    for (name, value) in fields.each() {
        match (part, name) {
            (REASONING, _) if name.starts_with("reasoning") => {}
            (WORDS, "refusal" | "audio" | "annotations") | (CALLS, "function_call") => {}
            (WORDS, "content") => _ = left.raw_field(name, "null"),
            (CALLS.., "tool_calls") => _ = left.raw_field(name, &without_call(value, part - CALLS)),
            _ => _ = left.member(name, value),
        }
    }
    left.close(b'}');
    let says_more = readable(&left).is_some_and(|it| !items(it).is_empty());
    Some(if says_more { left } else { GAP.to_owned() })
}

/// A list of calls with a gap in it.
fn without_call(calls: &str, gone: usize) -> String {
    let Some(mut list) = fields::elements(calls) else { return calls.to_owned() };
    if let Some(call) = list.get_mut(gone) {
        *call = serde_json::value::RawValue::NULL;
    }
    let list: Vec<&str> = list.into_iter().map(|it| it.get()).collect();
    format!("[{}]", list.join(","))
}
