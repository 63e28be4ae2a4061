//! Anthropic's Messages as the simulated vendor speaks it.

use super::*;

fn ask(model: &str, more: Value) -> Value {
    let mut ask =
        json!({"model": model, "max_tokens": 4096, "messages": [{"role": "user", "content": "plum"}]});
    ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ask
}

fn tools() -> Value {
    let schema = json!({"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}});
    json!(["weather", "clock", "third"].map(|it| json!({"name": it, "input_schema": schema})))
}

impl Vendor {
    async fn messages(&self, body: Value) -> Got {
        self.send_as("anthropic-version", Method::POST, "/v1/messages", body.to_string()).await
    }
}

#[tokio::test]
async fn a_message_is_told_whole_and_in_events() {
    let vendor = Vendor::fast().await;
    let whole = vendor.messages(ask("m:cached:think", json!({"cache_control": {"type": "ephemeral"}}))).await;
    assert!(whole.headers.contains_key("request-id"));
    let whole = whole.json();
    assert_eq!(
        (&whole["stop_reason"], &whole["content"][0]["type"]),
        (&json!("end_turn"), &json!("thinking"))
    );
    let said = whole["content"][1]["text"].as_str().unwrap();
    assert!(said.contains("you said: plum"), "{said}");
    let usage = &whole["usage"];
    assert!(usage["cache_read_input_tokens"].as_u64() > usage["cache_creation_input_tokens"].as_u64());
    assert!(usage["cache_creation_input_tokens"].as_u64() > Some(0));

    let got = vendor.messages(ask("m:think", json!({"stream": true}))).await;
    let events: Vec<Value> = got.events().iter().map(|it| serde_json::from_str(it).unwrap()).collect();
    let of = |name: &str| events.iter().filter_map(|it| it["delta"][name].as_str()).collect::<String>();
    assert_eq!(
        (of("text").as_str(), of("signature")),
        (said, whole["content"][0]["signature"].as_str().unwrap().into())
    );
    assert_eq!(of("thinking"), whole["content"][0]["thinking"]);
    assert_eq!(events.last().unwrap()["type"], "message_stop");
    assert!(String::from_utf8(got.body).unwrap().starts_with("event: message_start\ndata: "));
}

#[tokio::test]
async fn tools_are_called_and_their_results_taken_with_the_thought_before_them() {
    let vendor = Vendor::fast().await;
    let thinking = json!({"tools": tools(), "thinking": {"type": "enabled", "budget_tokens": 1024}});
    let called = vendor.messages(ask("m", thinking.clone())).await.json();
    assert_eq!(
        (called["content"].as_array().unwrap().len(), &called["stop_reason"]),
        (3, &json!("tool_use"))
    );
    assert_eq!(called["content"][1]["input"], json!({"city": "text"}));

    let results = |blocks: &Value| {
        let uses = blocks.as_array().unwrap().iter().filter(|it| it["type"] == "tool_use");
        let result = |it: &Value| json!({"type": "tool_result", "tool_use_id": it["id"], "content": "12", "is_error": true});
        uses.map(result).collect::<Value>()
    };
    let turn = |blocks: &Value, results: Value| {
        let mut turn = ask("m", thinking.clone());
        turn["messages"].as_array_mut().unwrap().extend([
            json!({"role": "assistant", "content": blocks}),
            json!({"role": "user", "content": results}),
        ]);
        turn
    };
    let blocks = &called["content"];
    let taken = vendor.messages(turn(blocks, results(blocks))).await.json();
    let said = taken["content"][1]["text"].as_str().unwrap();
    assert!(said.starts_with("Seen: 2 tool results, 2 tool errors. Hello"), "{taken}");

    let mut forged = blocks.clone();
    forged[0]["thinking"] = json!("other");
    let bare: Value = blocks.as_array().unwrap()[1..].to_vec().into();
    let mut late = results(blocks);
    late.as_array_mut().unwrap().insert(0, json!({"type": "text", "text": "first"}));
    for (body, fault) in [
        (turn(&forged, results(blocks)), "Invalid `signature`"),
        (turn(&bare, results(blocks)), "Expected `thinking`"),
        (turn(blocks, late), "unexpected `tool_use_id`"),
        (turn(blocks, json!([{"type": "text", "text": "no"}])), "without `tool_result`"),
    ] {
        let got = vendor.messages(body).await;
        assert_eq!(got.status.as_u16(), 400);
        assert!(got.json()["error"]["message"].as_str().unwrap().contains(fault), "{:?}", got.json());
    }
}

#[tokio::test]
async fn what_anthropic_refuses_is_refused_in_its_form() {
    let vendor = Vendor::fast().await;
    let mut boundless = ask("m", json!({}));
    boundless.as_object_mut().unwrap().remove("max_tokens");
    let assistant = json!([{"role": "assistant", "content": "hi"}]);
    let system = json!([{"role": "system", "content": "hi"}]);
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]);
    for (body, fault) in [
        (boundless, "max_tokens: Field required"),
        (ask("m", json!({"seed": 1})), "seed: Extra inputs are not permitted"),
        (ask("m", json!({"messages": assistant})), "first message must use"),
        (ask("m", json!({"messages": system})), "first message must use"),
        (ask("m", json!({"messages": image})), "Input tag 'image_url' is unknown"),
        (ask("m", json!({"temperature": 1.5})), "temperature: range: 0..1"),
        (ask("m", json!({"tool_choice": {"type": "auto"}})), "while providing `tools`"),
        (ask("m:too-long", json!({})), "prompt is too long"),
    ] {
        let got = vendor.messages(body).await;
        let error = got.json();
        assert_eq!((got.status.as_u16(), &error["error"]["type"]), (400, &json!("invalid_request_error")));
        assert!(error["error"]["message"].as_str().unwrap().contains(fault), "{error}");
    }
    for (status, kind) in
        [(429, "rate_limit_error"), (529, "overloaded_error"), (401, "authentication_error")]
    {
        let got = vendor.messages(ask(&format!("m:fail-{status}"), json!({}))).await;
        assert_eq!((got.status.as_u16(), &got.json()["error"]["type"]), (status, &json!(kind)));
    }
    let headless = vendor.post("/v1/messages", ask("m", json!({}))).await.json();
    assert_eq!(headless["error"]["message"], "anthropic-version: header is required");
}

#[tokio::test]
async fn streams_fail_late_or_end_early_and_unknown_events_come_where_asked() {
    let vendor = Vendor::fast().await;
    let got = vendor.messages(ask("m:fail-late", json!({"stream": true}))).await;
    assert!(got.whole && got.events().len() == 4 && got.events()[3].contains("overloaded_error"));
    let got = vendor.messages(ask("m:unended", json!({"stream": true}))).await;
    assert!(got.whole && got.events().len() == 3);
    let got = vendor.messages(ask("m:extra", json!({"stream": true}))).await;
    assert!(got.events().iter().any(|it| it.contains("x_sim")));
    let counted = ask("m", json!({}));
    let got = vendor
        .send_as("anthropic-version", Method::POST, "/v1/messages/count_tokens", counted.to_string())
        .await;
    assert_eq!(got.status.as_u16(), 400, "a count takes no max_tokens");
}

#[tokio::test]
async fn vertex_has_the_model_in_its_path_and_the_version_in_the_body() {
    let vendor = Vendor::fast().await;
    let mut body = ask("m", json!({"anthropic_version": "vertex-2023-10-16"}));
    let path = "/v1/projects/p/locations/l/publishers/anthropic/models/m:rawPredict";
    assert_eq!(vendor.post(path, body.clone()).await.status.as_u16(), 400);
    body.as_object_mut().unwrap().remove("model");
    let got = vendor.post(path, body).await;
    assert_eq!((got.status.as_u16(), &got.json()["model"]), (200, &json!("m")));
}

#[tokio::test]
async fn pictures_are_counted_and_schemas_filled() {
    let vendor = Vendor::fast().await;
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
    let content = json!([image, image, {"type": "text", "text": "what?"}]);
    let got =
        vendor.messages(ask("m", json!({"messages": [{"role": "user", "content": content}]}))).await.json();
    assert!(got["content"][0]["text"].as_str().unwrap().starts_with("Seen: 2 images."), "{got}");
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let format = json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}});
    let got = vendor.messages(ask("m", format)).await.json();
    assert_eq!(got["content"][0]["text"], r#"{"a":1}"#);
}
