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

/// An Anthropic client's call, with a history and a choice.
fn claude_code(name: &str, stream: bool) -> Value {
    json!({"model": "v/m", "max_tokens": 99, "stream": stream, "tools": [{"name": name, "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": name}, "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": name, "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "ok"}]}]})
}

/// Whether OpenAI takes this for the name of a tool.
fn is_openais(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|it| it.is_ascii_alphanumeric() || b"_-".contains(&it))
}

#[tokio::test]
async fn names_that_a_chat_vendor_refuses_are_others_there() {
    let name = "mcp__plugin_".repeat(8);
    let first = Vendor::with([calls(&[])]).await;
    ask(&gateway("openai-compatible", &first).await, "/v1/messages", &claude_code(&name, false)).await;
    let sent = first.request(0).await.json();
    let other = sent["tools"][0]["function"]["name"].as_str().unwrap().to_owned();
    assert!(is_openais(&other), "{sent}");
    assert_eq!(sent["tool_choice"]["function"]["name"], other, "{sent}");
    assert_eq!(sent["messages"][1]["tool_calls"][0]["function"]["name"], other, "{sent}");
    let vendor = Vendor::with([calls(&[(&other, "{}")]), streamed(&other, &["{", "}"])]).await;
    let gateway = gateway("openai-compatible", &vendor).await;
    let answer = ask(&gateway, "/v1/messages", &claude_code(&name, false)).await.json();
    assert_eq!(answer["content"][0]["name"], name, "{answer}");
    let answer = ask(&gateway, "/v1/messages", &claude_code(&name, true)).await;
    let begins = events(&answer).into_iter().find(|it| it["content_block"]["type"] == "tool_use").unwrap();
    assert_eq!(begins["content_block"]["name"], name, "{}", answer.text());
}

#[tokio::test]
async fn a_chat_client_has_its_names_at_a_chat_vendor_and_others_elsewhere() {
    let chat = Vendor::with([calls(&[("read.file:x", "{}")])]).await;
    let tools = json!([{"type": "function", "function": {"name": "read.file:x"}}]);
    let asks = json!({"model": "v/m", "tools": tools, "messages": [{"role": "user", "content": "go"}]});
    ask(&gateway("openai-compatible", &chat).await, "/v1/chat/completions", &asks).await;
    assert_eq!(chat.request(0).await.json()["tools"], tools);
    let body = |name: &str| {
        let call = json!({"type": "tool_use", "id": "t1", "name": name, "input": {}});
        let body = json!({"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [call],
            "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}});
        Reply::json(200, body.to_string())
    };
    let first = Vendor::with([body("x")]).await;
    ask(&gateway("anthropic", &first).await, "/v1/chat/completions", &asks).await;
    let sent = first.request(0).await.json()["tools"][0]["name"].as_str().unwrap().to_owned();
    assert!(is_openais(&sent) && sent.starts_with("read_file_x_"), "{sent}");
    let claude = Vendor::with([body(&sent)]).await;
    let answer = ask(&gateway("anthropic", &claude).await, "/v1/chat/completions", &asks).await.json();
    let call = &answer["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "read.file:x", "{answer}");
}

#[tokio::test]
async fn the_shell_of_codex_is_a_function_elsewhere_and_its_calls_are_its_own_again() {
    let action = json!({"type": "exec", "command": ["ls"], "env": {}});
    let body = |stream: bool| {
        json!({"model": "v/m", "stream": stream, "tools": [{"type": "local_shell"}], "input": [
            {"role": "user", "content": "go"},
            {"type": "local_shell_call", "call_id": "c9", "status": "completed", "action": action},
            {"type": "function_call_output", "call_id": "c9", "output": "a.txt"}]})
    };
    let arguments = r#"{"command":["cat","a.txt"],"timeout_ms":9}"#;
    let vendor = Vendor::with([
        calls(&[("local_shell", arguments)]),
        streamed("local_shell", &[&arguments[..7], &arguments[7..]]),
    ])
    .await;
    let gateway = gateway("openai-compatible", &vendor).await;
    let answer = ask(&gateway, "/v1/responses", &body(false)).await;
    assert_eq!(answer.header("x-tollgate-dropped"), None);
    let sent = vendor.request(0).await.json();
    assert_eq!(sent["tools"][0]["function"]["name"], "local_shell", "{sent}");
    let call = &sent["messages"][1]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], action.to_string(), "{sent}");
    assert_eq!((&call["id"], &sent["messages"][2]["tool_call_id"]), (&json!("c9"), &json!("c9")), "{sent}");
    let expected = json!({"type": "exec", "command": ["cat", "a.txt"], "env": {}, "timeout_ms": 9});
    let item = answer.json()["output"][0].clone();
    assert_eq!((&item["type"], &item["action"]), (&json!("local_shell_call"), &expected), "{item}");
    let answer = ask(&gateway, "/v1/responses", &body(true)).await;
    let done = events(&answer).into_iter().find(|it| it["type"] == "response.output_item.done").unwrap();
    assert_eq!(done["item"]["action"], expected, "{}", answer.text());
}

#[tokio::test]
async fn a_result_goes_with_the_call_that_cannot_be_told() {
    let body = json!({"model": "v/m", "input": [
        {"role": "user", "content": "go"},
        {"type": "computer_call", "id": "cu_1", "call_id": "c9", "action": {"type": "screenshot"}},
        {"type": "function_call_output", "call_id": "c9", "output": "seen"},
        {"role": "user", "content": "and now"}]});
    for kind in ["openai-compatible", "gemini"] {
        let answer = match kind {
            "gemini" => Reply::json(
                200,
                json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "a"}]}, "finishReason": "STOP"}]}).to_string(),
            ),
            _ => Reply::chat("a"),
        };
        let vendor = Vendor::with([answer]).await;
        let answer = ask(&gateway(kind, &vendor).await, "/v1/responses", &body).await;
        assert_eq!(answer.header("x-tollgate-dropped"), Some("messages[].content[computer_call]"), "{kind}");
        assert!(!vendor.request(0).await.text().contains("seen"), "{kind}");
    }
}
