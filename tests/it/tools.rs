//! Tools as each vendor takes them, and their calls as each client has them: whole, streamed and in the history.

use serde_json::{Value, json};

use crate::support::{Answer, Gateway, Reply, Vendor};

/// A gateway before one vendor of that kind.
async fn gateway(kind: &str, vendor: &Vendor) -> Gateway {
    let url = vendor.url();
    Gateway::start(&format!(
        "discover: false\nupstreams:\n  v: {{ vendor: {kind}, base_url: \"{url}\", key: k, probe: {{ interval_ms: 0 }} }}\n"
    ))
    .await
}

/// A whole answer of a chat vendor that calls these functions.
fn calls(calls: &[(&str, &str)]) -> Reply {
    let calls = calls.iter().enumerate().map(|(at, (name, arguments))| {
        json!({"id": format!("c{at}"), "type": "function", "function": {"name": name, "arguments": arguments}})
    });
    let message = json!({"role": "assistant", "content": null, "tool_calls": calls.collect::<Vec<_>>()});
    let choice = json!({"index": 0, "message": message, "finish_reason": "tool_calls"});
    Reply::json(
        200,
        json!({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]}).to_string(),
    )
}

/// The same as a stream whose arguments come in pieces.
fn streamed(name: &str, pieces: &[&str]) -> Reply {
    let event = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        format!("data: {}\n\n", json!({"id": "x", "object": "chat.completion.chunk", "choices": [choice]}))
    };
    let function = json!({"name": name, "arguments": ""});
    let begin = json!({"role": "assistant", "tool_calls": [{"index": 0, "id": "c0", "type": "function", "function": function}]});
    let mut stream = vec![event(begin, Value::Null)];
    for piece in pieces {
        let delta = json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]});
        stream.push(event(delta, Value::Null));
    }
    stream.push(event(json!({}), json!("tool_calls")));
    stream.push("data: [DONE]\n\n".to_owned());
    Reply::stream(stream)
}

async fn ask(gateway: &Gateway, path: &str, body: &Value) -> Answer {
    let answer = gateway.post(path, body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// The events of a stream.
fn events(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    let data = text.lines().filter_map(|it| it.strip_prefix("data: "));
    data.filter_map(|it| serde_json::from_str(it).ok()).collect()
}

/// What Codex asks, and how it goes on.
fn codex(stream: bool) -> Value {
    json!({"model": "v/m", "stream": stream, "store": false, "tools": [{"type": "custom", "name": "apply_patch"}],
        "tool_choice": {"type": "custom", "name": "apply_patch"}, "input": [
            {"role": "user", "content": "go"},
            {"type": "custom_tool_call", "call_id": "c9", "name": "apply_patch", "input": "*** Begin\n"},
            {"type": "custom_tool_call_output", "call_id": "c9", "output": "done"}]})
}

const PATCH: &str = r#"{"input":"*** Begin\n*** \"End\""}"#;

#[tokio::test]
async fn a_custom_tool_is_a_function_at_chat_vendors() {
    for kind in ["openai-compatible", "deepseek", "moonshot"] {
        let vendor = Vendor::with([calls(&[("apply_patch", PATCH)]), calls(&[("apply_patch", PATCH)])]).await;
        let gateway = gateway(kind, &vendor).await;
        let answer = ask(&gateway, "/v1/responses", &codex(false)).await;
        assert_eq!(answer.header("x-tollgate-dropped"), None, "{kind}");
        let item = answer.json()["output"][0].clone();
        assert_eq!(
            (&item["type"], &item["input"]),
            (&json!("custom_tool_call"), &json!("*** Begin\n*** \"End\"")),
            "{kind}: {item}"
        );
        let sent = vendor.request(0).await.json();
        assert_eq!(sent["tools"][0]["function"]["name"], "apply_patch", "{kind}: {sent}");
        let call = &sent["messages"][1]["tool_calls"][0];
        assert_eq!(call["function"]["arguments"], r#"{"input":"*** Begin\n"}"#, "{kind}: {sent}");
        assert!(!sent.to_string().contains("\"custom\""), "{kind}: {sent}");
        let tools = json!([{"type": "custom", "custom": {"name": "apply_patch"}}]);
        let asks = json!({"model": "v/m", "tools": tools, "messages": [{"role": "user", "content": "go"}]});
        let answer = ask(&gateway, "/v1/chat/completions", &asks).await.json();
        let expected = json!([{"id": "c0", "type": "custom", "custom": {"name": "apply_patch", "input": "*** Begin\n*** \"End\""}}]);
        assert_eq!(answer["choices"][0]["message"]["tool_calls"], expected, "{kind}: {answer}");
    }
}

#[tokio::test]
async fn a_custom_tool_at_a_chat_vendor_is_called_in_a_stream_as_the_client_has_it() {
    let stream = || streamed("apply_patch", &[&PATCH[..9], &PATCH[9..]]);
    let vendor = Vendor::with([stream(), stream()]).await;
    let gateway = gateway("openai-compatible", &vendor).await;
    let answer = ask(&gateway, "/v1/responses", &codex(true)).await;
    let done = events(&answer).into_iter().find(|it| it["type"] == "response.custom_tool_call_input.done");
    assert_eq!(done.unwrap()["input"], "*** Begin\n*** \"End\"", "{}", answer.text());
    let tools = json!([{"type": "custom", "custom": {"name": "apply_patch"}}]);
    let asks = json!({"model": "v/m", "stream": true, "tools": tools, "messages": [{"role": "user", "content": "go"}]});
    let answer = ask(&gateway, "/v1/chat/completions", &asks).await;
    let pieces: String = events(&answer)
        .iter()
        .filter_map(|it| {
            it["choices"][0]["delta"]["tool_calls"][0]["custom"]["input"].as_str().map(str::to_owned)
        })
        .collect();
    assert_eq!(pieces, "*** Begin\n*** \"End\"", "{}", answer.text());
}
