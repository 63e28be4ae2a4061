//! Items as the chat messages that say the same to a vendor. What chat completions have no word for is left out: it is kept
//! for those who read items.

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{GAP, readable};
use crate::api::fields::{self, Fields};

/// The messages of a turn's chat messages, joined by commas: each stays byte for byte, unless something of it was deleted.
pub fn without_gaps(objects: &[Box<RawValue>]) -> Bytes {
    let left: Vec<String> = objects.iter().filter_map(|it| without_gap(it)).collect();
    left.join(",").into()
}

/// None: all of it is a gap.
fn without_gap(raw: &RawValue) -> Option<String> {
    let json = raw.get();
    if json == GAP {
        return None;
    }
    let fields = Fields::read(json);
    let calls = fields.as_ref().and_then(|it| fields::elements(it.value("tool_calls")?));
    let Some((fields, calls)) = fields.zip(calls).filter(|(_, calls)| calls.iter().any(is_null)) else {
        return Some(json.to_owned());
    };
    let left: Vec<&str> = calls.into_iter().filter(|it| !is_null(it)).map(RawValue::get).collect();
    let list = (!left.is_empty()).then(|| format!("[{}]", left.join(",")));
    Some(fields.with("tool_calls", list.as_deref()))
}

fn is_null(value: &&RawValue) -> bool {
    value.get() == "null"
}

/// The messages of a turn's objects, joined by commas.
pub fn messages(objects: &[Box<RawValue>]) -> Bytes {
    let mut chat = Chat::default();
    for raw in objects {
        match readable(raw.get()) {
            Some(object) if object.contains_key("type") => chat.item(object.into()),
            _ => {
                chat.settle();
                chat.written.extend(without_gap(raw));
            }
        }
    }
    chat.settle();
    chat.written.join(",").into()
}

/// Messages so far, and the assistant's that is not whole yet: its words and its calls are items of their own.
#[derive(Default)]
struct Chat {
    written: Vec<String>,
    words: Option<Value>,
    calls: Vec<Value>,
}

impl Chat {
    fn write(&mut self, message: Value) {
        self.written.push(message.to_string());
    }

    fn item(&mut self, mut item: Value) {
        match item["type"].as_str().unwrap_or_default() {
            "message" if item["role"] == "assistant" => {
                self.settle();
                self.words = Some(said(item["content"].take()));
            }
            "message" => {
                self.settle();
                let mut message = json!({"role": item["role"], "content": content(item["content"].take())});
                if let Some(name) = item.get("name") {
                    message["name"] = name.clone();
                }
                self.write(message);
            }
            "function_call" => self.calls.push(json!({"id": item["call_id"], "type": "function",
                "function": {"name": item["name"], "arguments": item["arguments"]}})),
            "custom_tool_call" => self.calls.push(json!({"id": item["call_id"], "type": "custom",
                "custom": {"name": item["name"], "input": item["input"]}})),
            "function_call_output" | "custom_tool_call_output" => {
                self.settle();
                let content = content(item["output"].take());
                self.write(json!({"role": "tool", "tool_call_id": item["call_id"], "content": content}));
            }
            _ => {}
        }
    }

    /// Ends the assistant's message.
    fn settle(&mut self) {
        let (words, calls) = (self.words.take(), std::mem::take(&mut self.calls));
        if words.is_none() && calls.is_empty() {
            return;
        }
        let mut message = words.unwrap_or_else(|| json!({"role": "assistant", "content": null}));
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        self.write(message);
    }
}

/// An assistant's words: vendors want them as one text.
fn said(content: Value) -> Value {
    let join = |name: &str| {
        let texts = content.as_array().into_iter().flatten().filter_map(|it| it[name].as_str());
        texts.map(str::to_owned).reduce(|all, it| all + &it)
    };
    let words = content.as_str().map(str::to_owned).or_else(|| join("text"));
    let mut message = json!({"role": "assistant", "content": words});
    if let Some(refusal) = join("refusal") {
        message["refusal"] = refusal.into();
    }
    message
}

/// Text where it is nothing but one, else the parts.
fn content(given: Value) -> Value {
    match given {
        Value::Array(parts) => match parts.as_slice() {
            [only] if only["text"].is_string() => only["text"].clone(),
            _ => parts.into_iter().map(converted).collect(),
        },
        text => text,
    }
}

fn converted(mut part: Value) -> Value {
    match part["type"].as_str() {
        Some("input_text" | "output_text" | "text" | "summary_text") => {
            json!({"type": "text", "text": part["text"].take()})
        }
        Some("input_image" | "computer_screenshot") if part["image_url"].is_string() => {
            let mut image = json!({"url": part["image_url"].take()});
            if let Some(detail) = part["detail"].as_str().filter(|it| *it != "auto") {
                image["detail"] = detail.into();
            }
            json!({"type": "image_url", "image_url": image})
        }
        Some("input_image" | "input_file") => {
            let names = ["file_id", "file_data", "file_url", "filename"];
            let known = |name: &&str| part[*name].is_string();
            let file: Map<String, Value> =
                names.iter().filter(|it| known(it)).map(|it| ((*it).to_owned(), part[*it].clone())).collect();
            json!({"type": "file", "file": file})
        }
        _ => part,
    }
}
