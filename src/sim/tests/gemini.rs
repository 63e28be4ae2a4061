//! Gemini's `generateContent` as the simulated vendor speaks it.

use super::*;

const PATH: &str = "/v1beta/models/m:generateContent";

fn ask(more: Value) -> Value {
    let mut ask = json!({"contents": [{"role": "user", "parts": [{"text": "plum"}]}]});
    ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ask
}

fn tools() -> Value {
    let schema = json!({"type": "OBJECT", "required": ["city"], "properties": {"city": {"type": "STRING"}}});
    let functions = ["weather", "clock"].map(|it| json!({"name": it, "parameters": schema}));
    json!([{"functionDeclarations": functions}])
}

#[tokio::test]
async fn content_is_generated_whole_and_streamed() {
    let vendor = Vendor::fast().await;
    let thinking = json!({"generationConfig": {"thinkingConfig": {"includeThoughts": true}}});
    let whole = vendor.post(PATH, ask(thinking.clone())).await.json();
    let parts = &whole["candidates"][0]["content"]["parts"];
    assert_eq!(
        (&parts[0]["thought"], &whole["candidates"][0]["finishReason"]),
        (&json!(true), &json!("STOP"))
    );
    let said = parts[1]["text"].as_str().unwrap();
    assert!(said.contains("you said: plum"), "{said}");
    assert!(whole["usageMetadata"]["thoughtsTokenCount"].as_u64() > Some(0));

    let path = "/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent";
    let got = vendor.post(&format!("{path}?alt=sse"), ask(thinking.clone())).await;
    let chunks: Vec<Value> = got.events().iter().map(|it| serde_json::from_str(it).unwrap()).collect();
    let streamed: String = chunks
        .iter()
        .map(|it| &it["candidates"][0]["content"]["parts"][0])
        .filter(|it| it["thought"] != true)
        .filter_map(|it| it["text"].as_str())
        .collect();
    assert_eq!(streamed, said);
    assert_eq!(chunks.last().unwrap()["candidates"][0]["finishReason"], "STOP");
    assert!(vendor.post(path, ask(thinking)).await.json().is_array());
    let refused = vendor.post("/v1beta/models/m:refuse:generateContent", ask(json!({}))).await.json();
    assert_eq!(
        (&refused["promptFeedback"]["blockReason"], refused.get("candidates")),
        (&json!("PROHIBITED_CONTENT"), None)
    );
}

#[tokio::test]
async fn calls_come_back_signed_and_with_as_many_responses() {
    let vendor = Vendor::fast().await;
    let more = json!({"tools": tools(), "generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}});
    let called = vendor.post(PATH, ask(more.clone())).await.json();
    let model = &called["candidates"][0]["content"];
    assert_eq!(model["parts"][1]["functionCall"], json!({"name": "clock", "args": {"city": "text"}}));
    let turn = |model: &Value, names: &[&str]| {
        let responses: Vec<Value> = names
            .iter()
            .map(|it| json!({"functionResponse": {"name": it, "response": {"result": "12"}}}))
            .collect();
        let mut turn = ask(more.clone());
        let contents = turn["contents"].as_array_mut().unwrap();
        contents.extend([model.clone(), json!({"role": "user", "parts": responses})]);
        turn
    };
    let taken = vendor.post(PATH, turn(model, &["weather", "clock"])).await.json();
    let said = taken["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap();
    assert!(said.starts_with("Seen: 2 tool results. Hello"), "{taken}");

    let (mut unsigned, mut forged, mut skipping) = (model.clone(), model.clone(), model.clone());
    unsigned["parts"][0].as_object_mut().unwrap().remove("thoughtSignature");
    forged["parts"][0]["thoughtSignature"] = json!("AAAA");
    skipping["parts"][0]["thoughtSignature"] = json!("skip_thought_signature_validator");
    assert_eq!(vendor.post(PATH, turn(&skipping, &["weather", "clock"])).await.status.as_u16(), 200);
    for (body, fault) in [
        (turn(&unsigned, &["weather", "clock"]), "missing a thought_signature"),
        (turn(&forged, &["weather", "clock"]), "signature is not valid"),
        (turn(model, &["weather"]), "number of function response parts"),
    ] {
        let got = vendor.post(PATH, body).await;
        assert_eq!((got.status.as_u16(), &got.json()["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
        assert!(got.json()["error"]["message"].as_str().unwrap().contains(fault), "{:?}", got.json());
    }
}

#[tokio::test]
async fn unknown_names_and_foreign_schemas_are_refused() {
    let vendor = Vendor::fast().await;
    let schema =
        |schema: Value| json!({"tools": [{"function_declarations": [{"name": "f", "parameters": schema}]}]});
    for (more, fault) in [
        (json!({"messages": []}), "Unknown name \"messages\""),
        (json!({"generationConfig": {"max_tokens": 1}}), "Unknown name \"max_tokens\""),
        (json!({"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]}), "valid role"),
        (
            json!({"contents": [{"role": "user", "parts": [{"text": "a", "kind": 1}]}]}),
            "Unknown name \"kind\"",
        ),
        (json!({"contents": [{"role": "user", "parts": []}]}), "must not be empty"),
        (
            schema(json!({"type": "object", "additionalProperties": false})),
            "Unknown name \"additionalProperties\"",
        ),
        (schema(json!({"type": ["string", "null"]})), "Proto field is not repeating"),
    ] {
        let got = vendor.post(PATH, ask(more)).await;
        assert_eq!(got.status.as_u16(), 400);
        assert!(got.json()["error"]["message"].as_str().unwrap().contains(fault), "{:?}", got.json());
    }
    let snake =
        json!({"system_instruction": {"parts": [{"text": "be brief"}]}, "generation_config": {"top_k": 3}});
    assert_eq!(vendor.post(PATH, ask(snake)).await.status.as_u16(), 200);
    let limited = vendor.post("/v1beta/models/m:fail-429:generateContent", ask(json!({}))).await;
    assert_eq!(limited.json()["error"]["details"][0]["retryDelay"], "1s");
    assert!(!limited.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn vertex_has_neither_ids_of_calls_nor_ai_studios_tiers() {
    let vendor = Vendor::fast().await;
    let vertex = "/v1/projects/p/locations/l/publishers/google/models/m:generateContent";
    let call = json!({"functionCall": {"id": "a", "name": "f"}});
    let response = json!({"functionResponse": {"id": "a", "name": "f", "response": {}}});
    for (more, fault) in [
        (
            json!({"contents": [{"parts": [call]}]}),
            "Unknown name \"id\" at 'contents[0].parts[0].function_call'",
        ),
        (
            json!({"contents": [{"parts": [response]}]}),
            "Unknown name \"id\" at 'contents[0].parts[0].function_response'",
        ),
        (json!({"serviceTier": "flex"}), "Invalid value at 'service_tier'"),
    ] {
        let got = vendor.post(vertex, ask(more)).await;
        assert_eq!(got.status.as_u16(), 400);
        assert!(got.json()["error"]["message"].as_str().unwrap().contains(fault), "{:?}", got.json());
    }
    assert_eq!(vendor.post(PATH, ask(json!({"serviceTier": "flex"}))).await.status.as_u16(), 200);
}

#[tokio::test]
async fn schemas_are_filled_and_pictures_counted() {
    let vendor = Vendor::fast().await;
    let schema = json!({"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}});
    let config = json!({"responseMimeType": "application/json", "responseSchema": schema});
    let got = vendor.post(PATH, ask(json!({"generationConfig": config}))).await.json();
    assert_eq!(got["candidates"][0]["content"]["parts"][0]["text"], r#"{"a":1}"#);
    let image = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}});
    let got = vendor.post(PATH, json!({"contents": [{"parts": [image]}]})).await.json();
    let said = got["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap();
    assert!(said.starts_with("Seen: 1 images."), "{said}");
}
