//! What vendors want otherwise than OpenAI has it, over real sockets: built in, and said by the operator.

use http::Method;
use serde_json::{Value, json};

use crate::support::talk::send;
use crate::support::{Gateway, Reply, Vendor};

/// An answer that calls a tool, as OpenAI words it.
fn call() -> Reply {
    let calls =
        json!([{"id": "call_abc", "type": "function", "function": {"name": "f", "arguments": "{ }"}}]);
    let message = json!({"role": "assistant", "content": null, "refusal": null, "annotations": [], "tool_calls": calls});
    let choice = json!({"index": 0, "message": message, "finish_reason": "tool_calls"});
    Reply::json(
        200,
        json!({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]}).to_string(),
    )
}

/// A gateway with a vendor of each kind behind it, the first one OpenAI, and what is said of each upstream besides.
async fn gateway(vendors: &[(&str, &Vendor)], more: &str) -> Gateway {
    let upstreams = vendors.iter().map(|(id, it)| {
        format!(
            "  {id}: {{ vendor: {id}, base_url: \"{}\", key: k, probe: {{ interval_ms: 0 }}{more} }}\n",
            it.url()
        )
    });
    let yaml = format!(
        "discover: false\nsessions: {{ store: memory }}\nupstreams:\n{}",
        upstreams.collect::<String>()
    );
    Gateway::start(&yaml).await
}

async fn ask(gateway: &Gateway, session: &str, body: Value) -> Value {
    let headers = [("x-session-id", session)];
    let answer =
        send(gateway, &headers[..usize::from(!session.is_empty())], body.to_string()).await.rest().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn a_turn_of_another_vendor_goes_on_at_vendors_that_are_particular() {
    let openai = Vendor::with((0..3).map(|_| call())).await;
    for (id, model) in
        [("deepseek", "deepseek-flash"), ("moonshot", "kimi-k2.6"), ("mistral", "mistral-large-4")]
    {
        let other = Vendor::with([Reply::chat("done")]).await;
        let gateway = gateway(&[("openai", &openai), (id, &other)], "").await;
        let user = json!([{"role": "user", "content": "go"}]);
        ask(&gateway, "s", json!({"model": "openai/gpt-4o", "messages": user})).await;
        let result = json!([{"role": "tool", "tool_call_id": "call_abc", "content": "7", "is_error": true}]);
        ask(&gateway, "s", json!({"model": format!("{id}/{model}"), "messages": result})).await;
        let sent = other.request(0).await.json();
        let (said, result) = (&sent["messages"][1], &sent["messages"][2]);
        assert_eq!(said["tool_calls"][0]["function"]["arguments"], "{ }", "{id}");
        assert_eq!(said["tool_calls"][0]["id"], result["tool_call_id"], "{id}");
        assert_eq!((&said["annotations"], &result["is_error"]), (&Value::Null, &Value::Null), "{id}");
        let id_length = result["tool_call_id"].as_str().map(str::len);
        match id {
            "mistral" => assert_eq!((id_length, &said["reasoning_content"]), (Some(9), &Value::Null)),
            _ => assert_eq!((id_length, &said["reasoning_content"]), (Some(8), &json!(" ")), "{id}"),
        }
    }
}

/// OpenAI refuses its chat models there.
#[tokio::test]
async fn a_legacy_completion_of_a_chat_model_is_asked_by_chat() {
    let openai = Vendor::with([Reply::chat("a"), Reply::chat("b")]).await;
    let gateway = gateway(&[("openai", &openai)], "").await;
    let ask = async |model: &str| {
        let body = json!({"model": model, "prompt": "say", "max_tokens": 9}).to_string();
        gateway.post("/v1/completions", body).await
    };
    let answer = ask("openai/gpt-4o").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["choices"][0]["text"]), (200, &json!("a")));
    let sent = openai.request(0).await;
    assert_eq!(sent.target, "/v1/chat/completions");
    assert_eq!(sent.json()["messages"], json!([{"role": "user", "content": "say"}]));
    ask("openai/gpt-3.5-turbo-instruct").await;
    assert_eq!(openai.request(1).await.target, "/v1/completions");
}

#[tokio::test]
async fn each_vendor_is_told_to_think_in_its_own_spelling() {
    let (kimi, qwen) = (Vendor::with([Reply::chat("a")]).await, Vendor::with([Reply::chat("b")]).await);
    let gateway = gateway(&[("moonshot", &kimi), ("qwen", &qwen)], "").await;
    for model in ["moonshot/kimi-k2.6", "qwen/qwen3.7-plus"] {
        let messages = json!([{"role": "user", "content": "go"}]);
        ask(&gateway, "", json!({"model": model, "messages": messages, "reasoning_effort": "none"})).await;
    }
    let (kimi, qwen) = (kimi.request(0).await.json(), qwen.request(0).await.json());
    assert_eq!((&kimi["thinking"], &kimi["reasoning_effort"]), (&json!({"type": "disabled"}), &Value::Null));
    assert_eq!((&qwen["enable_thinking"], &qwen["reasoning_effort"]), (&json!(false), &Value::Null));
}

#[tokio::test]
async fn an_operator_overrides_a_quirk_without_a_build() {
    let vendor = Vendor::with([Reply::chat("a")]).await;
    let gateway =
        gateway(&[("mistral", &vendor)], ", quirks: [{ keep: [seed], set: { safe_prompt: true } }]").await;
    let messages = json!([{"role": "user", "content": "go"}]);
    ask(&gateway, "", json!({"model": "mistral/mistral-large-4", "messages": messages, "seed": 7})).await;
    let sent = vendor.request(0).await.json();
    assert_eq!(
        (&sent["seed"], &sent["random_seed"], &sent["safe_prompt"]),
        (&json!(7), &Value::Null, &json!(true))
    );
}

#[tokio::test]
async fn a_model_that_is_served_by_responses_alone_is_asked_there_by_clients_of_chat() {
    let text = json!({"type": "output_text", "text": "done", "annotations": []});
    let thought = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VhbA=="});
    let message = json!({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [text]});
    let answer = json!({
        "id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5.3-codex",
        "output": [thought, message], "usage": {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8},
    });
    let openai = Vendor::with([
        Reply::json(200, answer.to_string()),
        Reply::json(200, answer.to_string()),
        Reply::chat("chat"),
    ])
    .await;
    let gateway = gateway(&[("openai", &openai)], "").await;
    let messages = json!([{"role": "system", "content": "be brief"}, {"role": "user", "content": "go"}]);
    let body = json!({
        "model": "openai/gpt-5.3-codex", "messages": messages, "temperature": 0.2, "reasoning_effort": "minimal",
        "max_tokens": 9,
    });
    let answer = send(&gateway, &[], body.to_string()).await.rest().await;
    assert_eq!(answer.header("x-tollgate-dropped"), Some("temperature"), "{}", answer.text());
    let told = answer.json();
    assert_eq!(told["choices"][0]["message"]["content"], "done", "{told}");
    assert_eq!(told["choices"][0]["message"]["reasoning_details"][0]["data"], "c2VhbA==");
    let asked = openai.request(0).await;
    assert_eq!(asked.target, "/v1/responses");
    let sent = asked.json();
    assert_eq!((&sent["model"], &sent["max_output_tokens"]), (&json!("gpt-5.3-codex"), &json!(16)));
    assert_eq!((&sent["reasoning"]["effort"], &sent["temperature"]), (&json!("low"), &Value::Null));
    assert_eq!(sent["include"], json!(["reasoning.encrypted_content"]));
    let unasked = json!({"model": "openai/gpt-5.3-codex", "messages": messages});
    ask(&gateway, "", unasked).await;
    let sent = openai.request(1).await.json();
    assert_eq!(sent["include"], json!(["reasoning.encrypted_content"]), "it thinks unasked");
    ask(&gateway, "", json!({"model": "openai/gpt-5.5", "messages": messages})).await;
    assert_eq!(openai.request(2).await.target, "/v1/chat/completions");
}

/// What a model refuses by chat completions it refuses by /responses as well.
#[tokio::test]
async fn an_upstream_that_is_asked_by_responses_alone_is_sent_what_its_models_take() {
    let openai = Vendor::with((0..2).map(|_| crate::support::tongue::Tongue::Responses.whole("done"))).await;
    let gateway = gateway(&[("openai", &openai)], ", dialects: [responses]").await;
    let messages = json!([{"role": "user", "content": "go"}]);
    let chat = json!({"model": "openai/gpt-5", "temperature": 0.2, "messages": messages});
    let answer = send(&gateway, &[], chat.to_string()).await.rest().await;
    assert_eq!(answer.header("x-tollgate-dropped"), Some("temperature"), "{}", answer.text());
    assert_eq!(openai.request(0).await.json()["temperature"], Value::Null);
    let message =
        json!({"model": "openai/gpt-5", "max_tokens": 90, "temperature": 0.2, "messages": messages});
    let mut message = message;
    message["thinking"] = json!({"type": "enabled", "budget_tokens": 1024, "display": "summarized"});
    let answer = gateway.post("/v1/messages", message.to_string()).await;
    assert_eq!(answer.header("x-tollgate-dropped"), Some("temperature"), "{}", answer.text());
    let sent = openai.request(1).await.json();
    assert_eq!((&sent["max_output_tokens"], &sent["reasoning"]["summary"]), (&json!(90), &json!("auto")));
}

/// Claude Code names its user by some 160 characters, more than OpenAI takes.
#[tokio::test]
async fn a_client_of_anthropics_dialect_gets_through_to_vendors_with_narrow_bounds() {
    let openai = Vendor::with([Reply::chat("a"), Reply::chat("b")]).await;
    let deepseek = Vendor::with([Reply::chat("c")]).await;
    let gateway = gateway(&[("openai", &openai), ("deepseek", &deepseek)], "").await;
    let user = format!("user_{}_account__session_{}", "a1".repeat(32), "0123-".repeat(12));
    for model in ["openai/gpt-4o", "openai/gpt-4o", "deepseek/deepseek-flash"] {
        let messages = json!([{"role": "user", "content": "go"}]);
        let body = json!({
            "model": model, "max_tokens": 9, "messages": messages, "metadata": {"user_id": user},
            "thinking": {"type": "adaptive"},
        });
        let headers = [("content-type", "application/json"), ("anthropic-version", "2023-06-01")];
        let answer = gateway.call(Method::POST, "/v1/messages", &headers, body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let (first, again) = (openai.request(0).await.json(), openai.request(1).await.json());
    assert_eq!((first["user"].as_str().map(str::len), &first["user"]), (Some(64), &again["user"]));
    let sent = deepseek.request(0).await.json();
    assert_eq!((&sent["max_tokens"], &sent["max_completion_tokens"]), (&json!(9), &Value::Null), "{sent}");
    assert_eq!(sent["thinking"], json!({"type": "enabled"}), "{sent}");
}

/// Codex speaks as a developer, and looks at pictures by a tool; a client of chat shows pictures where it likes.
#[tokio::test]
async fn developers_and_pictures_of_tools_get_through_to_vendors_that_know_neither() {
    let vendor = Vendor::with((0..2).map(|_| Reply::chat("done"))).await;
    let gateway = gateway(&[("vllm", &vendor)], "").await;
    let picture = "data:image/png;base64,AAAA";
    let input = json!([
        {"type": "message", "role": "developer", "content": "Be brief."},
        {"type": "function_call", "call_id": "c1", "name": "view_image", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_image", "image_url": picture}]},
    ]);
    let body = json!({"model": "vllm/m", "input": input, "store": false});
    assert_eq!(gateway.post("/v1/responses", body.to_string()).await.status, 200);
    let sent = vendor.request(0).await.json();
    let roles: Vec<_> = sent["messages"].as_array().unwrap().iter().map(|it| it["role"].clone()).collect();
    assert_eq!(roles, ["system", "assistant", "tool", "user"], "{sent}");
    assert_eq!(sent["messages"][3]["content"][0]["image_url"]["url"], picture, "{sent}");
    let shown = json!([{"type": "image_url", "image_url": {"url": picture}}]);
    let messages = json!([{"role": "tool", "tool_call_id": "c1", "content": shown}]);
    let body = json!({"model": "vllm/m", "messages": messages});
    ask(&gateway, "", body).await;
    assert_eq!(vendor.request(1).await.json()["messages"], messages);
}

#[tokio::test]
async fn metadata_of_an_answer_that_the_gateway_stores_do_not_reach_openai() {
    let openai = Vendor::with([Reply::chat("a")]).await;
    let gateway = gateway(&[("openai", &openai)], "").await;
    let messages = json!([{"role": "user", "content": "go"}]);
    let body = json!({"model": "openai/gpt-4o", "messages": messages, "store": true, "metadata": {"a": "b"}});
    ask(&gateway, "", body).await;
    let sent = openai.request(0).await.json();
    assert_eq!((&sent["store"], &sent["metadata"]), (&json!(false), &Value::Null), "{sent}");
}
