//! Cohere's chat as the simulated vendor speaks it, and the lists of models of every vendor.

use super::*;

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {}});
    json!(
        ["weather", "clock"]
            .map(|it| json!({"type": "function", "function": {"name": it, "parameters": schema}}))
    )
}

#[tokio::test]
async fn a_chat_is_told_whole_and_in_events() {
    let vendor = Vendor::fast().await;
    let whole = vendor.post("/v2/chat", ask("m:think", json!({}))).await.json();
    let content = &whole["message"]["content"];
    assert_eq!((&whole["finish_reason"], &content[0]["type"]), (&json!("COMPLETE"), &json!("thinking")));
    let got = vendor.post("/v2/chat", streamed("m", json!({}))).await;
    let events: Vec<Value> = got.events().iter().map(|it| serde_json::from_str(it).unwrap()).collect();
    let said: String =
        events.iter().filter_map(|it| it["delta"]["message"]["content"]["text"].as_str()).collect();
    assert_eq!(content[1]["text"], said);
    assert_eq!(events.last().unwrap()["delta"]["finish_reason"], "COMPLETE");
    assert!(events.last().unwrap()["delta"]["usage"]["tokens"]["input_tokens"].is_u64());
}

#[tokio::test]
async fn tools_are_called_and_answered_and_the_rest_is_refused() {
    let vendor = Vendor::fast().await;
    let called = vendor.post("/v2/chat", ask("m", json!({"tools": tools()}))).await.json();
    let message = &called["message"];
    assert_eq!(
        (message["tool_calls"].as_array().unwrap().len(), &called["finish_reason"]),
        (2, &json!("TOOL_CALL"))
    );
    let mut turn = ask("m", json!({"tools": tools()}));
    let messages = turn["messages"].as_array_mut().unwrap();
    messages.push(message.clone());
    for call in message["tool_calls"].as_array().unwrap() {
        messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "12"}));
    }
    let taken = vendor.post("/v2/chat", turn).await.json();
    assert!(
        taken["message"]["content"][0]["text"].as_str().unwrap().starts_with("Seen: 2 tool results."),
        "{taken}"
    );
    for more in
        [json!({"top_p": 0.5}), json!({"messages": [{"role": "tool"}]}), json!({"tool_choice": "auto"})]
    {
        let got = vendor.post("/v2/chat", ask("m", more)).await;
        assert_eq!(got.status.as_u16(), 400);
        assert!(got.json()["message"].as_str().unwrap().starts_with("invalid request"), "{:?}", got.json());
    }
}

#[tokio::test]
async fn every_vendor_lists_its_models_in_its_own_form() {
    let vendor = Vendor::fast().await;
    for (path, place, id) in [
        ("/v1/models", "/data/0/id", "sim-small"),
        ("/anthropic/v1/models", "/data/0/display_name", "sim-small"),
        ("/v1beta/models", "/models/0/name", "models/sim-small"),
        ("/cohere/v1/models", "/models/0/name", "sim-small"),
        ("/foundation-models", "/modelSummaries/0/modelId", "sim-small"),
        ("/api/tags", "/models/0/model", "sim-small"),
        ("/openai/v1/models", "/data/0/id", "sim-small"),
    ] {
        assert_eq!(vendor.get(path).await.json().pointer(place), Some(&json!(id)), "{path}");
    }
    let anthropic = vendor.send_as("anthropic-version", Method::GET, "/v1/models", "").await;
    assert_eq!(anthropic.json()["has_more"], false);
}
