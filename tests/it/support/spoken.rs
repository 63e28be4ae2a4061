//! The Responses API on the gateway's sessions: vendors of several dialects, and what the tests say and look at.

use http::Method;
use serde_json::{Value, json};

use super::client::{Answer, Open, open, request};
use super::keyed::Keyed;
use super::{Gateway, Reply, Vendor};

/// The entry of an upstream that speaks chat completions alone.
pub const CHAT: &str = "vendor: openai-compatible, dialects: [chat]";
/// One that speaks the Responses API alone.
pub const NATIVE: &str = "vendor: openai-compatible, dialects: [responses]";
/// One that speaks Anthropic's Messages.
pub const CLAUDE: &str = "vendor: anthropic, key: k";

/// A gateway over these upstreams, by name, entry and vendor, all of them tried by the route `smart` in this order.
pub async fn gateway(upstreams: &[(&str, &str, &Vendor)], more: &str) -> Gateway {
    Gateway::start(&yaml(upstreams, more)).await
}

pub fn yaml(upstreams: &[(&str, &str, &Vendor)], more: &str) -> String {
    let mut yaml = String::from("upstreams:\n");
    for (name, entry, vendor) in upstreams {
        yaml += &format!("  {name}: {{ {entry}, base_url: \"{}\" }}\n", vendor.url());
    }
    let targets: Vec<_> = upstreams.iter().map(|(name, ..)| format!("{name}/model-{name}")).collect();
    yaml + &format!("routes:\n  - {{ model: smart, targets: [{}] }}\n{more}", targets.join(", "))
}

/// The body of a call that says `input`, with more fields.
pub fn asks(input: impl Into<Value>, more: Value) -> Value {
    let mut body = json!({"model": "smart", "input": input.into()});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    body
}

/// The whole response to `input`.
pub async fn say(client: &Keyed<'_>, input: impl Into<Value>, more: Value) -> Value {
    client.post("/v1/responses", asks(input, more)).await
}

/// The same behind the response `previous`.
pub async fn follow(client: &Keyed<'_>, previous: &Value, input: impl Into<Value>) -> Value {
    say(client, input, json!({"previous_response_id": previous["id"]})).await
}

/// A streamed answer, just begun.
pub async fn stream(client: &Keyed<'_>, input: impl Into<Value>, more: Value) -> Open {
    let mut body = asks(input, more);
    body["stream"] = true.into();
    let headers = [("api-key", client.key), ("content-type", "application/json")];
    let to = client.gateway.calls;
    open(to, request(to, Method::POST, "/v1/responses", &headers, body.to_string())).await
}

/// The response that a stream ended with.
pub fn completed(answer: &Answer) -> Value {
    let text = answer.text();
    let last =
        text.lines().rev().find_map(|it| it.strip_prefix("data: ")).unwrap_or_else(|| panic!("{text}"));
    let event: Value = serde_json::from_str(last).unwrap();
    assert!(event["type"] == "response.completed" || event["type"] == "response.incomplete", "{text}");
    event["response"].clone()
}

/// The words of a response.
pub fn words(response: &Value) -> String {
    let items = response["output"].as_array().unwrap();
    let parts = items.iter().flat_map(|it| it["content"].as_array().cloned().unwrap_or_default());
    parts.filter_map(|it| it["text"].as_str().map(str::to_owned)).collect()
}

/// The path of a response.
pub fn path(response: &Value) -> String {
    format!("/v1/responses/{}", response["id"].as_str().unwrap())
}

/// A response in its vendor's own words, under this id.
pub fn object(id: &str, text: &str) -> Value {
    json!({"id": id, "object": "response", "created_at": 7, "status": "completed", "model": "model-n", "error": null,
        "incomplete_details": null, "metadata": {}, "x_own": [1.0],
        "output": [{"id": format!("msg_{id}"), "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": []}]}],
        "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}})
}

pub fn whole(id: &str, text: &str) -> Reply {
    Reply::json(200, object(id, text).to_string())
}

/// An event of a vendor's stream.
pub fn event(kind: &str, more: Value) -> String {
    let mut data = json!({"type": kind});
    data.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    format!("event: {kind}\ndata: {data}\n\n")
}

/// A whole answer of Anthropic's.
pub fn message(text: &str) -> Reply {
    let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 9, "output_tokens": 3}});
    Reply::json(200, body.to_string())
}
