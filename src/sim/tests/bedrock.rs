//! Bedrock's Converse as the simulated vendor speaks it.

use super::*;

fn ask(more: Value) -> Value {
    let mut ask = json!({"messages": [{"role": "user", "content": [{"text": "plum"}]}]});
    ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ask
}

/// One that ends in what the assistant said.
fn ending(block: Value) -> Value {
    let mut asked = ask(json!({}));
    asked["messages"].as_array_mut().unwrap().push(json!({"role": "assistant", "content": [block]}));
    asked
}

fn tools() -> Value {
    let spec = |name: &str| {
        let schema =
            json!({"json": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}});
        json!({"toolSpec": {"name": name, "inputSchema": schema}})
    };
    json!({"tools": [spec("weather"), spec("clock")]})
}

/// Names and payloads of the framed messages.
fn frames(mut bytes: &[u8]) -> Vec<(String, Value)> {
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (total, head) = (word(bytes, 0), word(bytes, 4));
        // The first header is the name of the event or the exception.
        let at = 12 + 1 + usize::from(bytes[12]) + 1;
        let length = usize::from(u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap()));
        let name = String::from_utf8(bytes[at + 2..at + 2 + length].to_vec()).unwrap();
        frames.push((name, serde_json::from_slice(&bytes[12 + head..total - 4]).unwrap()));
        bytes = &bytes[total..];
    }
    frames
}

#[tokio::test]
async fn a_conversation_goes_on_whole_and_in_frames() {
    let vendor = Vendor::fast().await;
    let whole = vendor.post("/model/m%3Athink/converse", ask(json!({}))).await.json();
    let content = &whole["output"]["message"]["content"];
    assert!(content[0]["reasoningContent"]["reasoningText"]["signature"].is_string());
    let got = vendor.post("/model/m/converse-stream", ask(json!({}))).await;
    assert_eq!(got.headers["content-type"], "application/vnd.amazon.eventstream");
    let frames = frames(&got.body);
    let said: String = frames.iter().filter_map(|it| it.1["delta"]["text"].as_str()).collect();
    assert_eq!(content[1]["text"], said);
    let names: Vec<&str> = frames.iter().map(|it| it.0.as_str()).collect();
    assert_eq!((names[0], names[names.len() - 1]), ("messageStart", "metadata"));
    assert!(frames.last().unwrap().1["usage"]["inputTokens"].is_u64());
}

#[tokio::test]
async fn tools_are_used_and_their_results_taken() {
    let vendor = Vendor::fast().await;
    let more =
        json!({"toolConfig": tools(), "additionalModelRequestFields": {"thinking": {"type": "enabled"}}});
    let called = vendor.post("/model/m/converse", ask(more.clone())).await.json();
    let message = &called["output"]["message"];
    assert_eq!(
        (&called["stopReason"], &message["content"][2]["toolUse"]["input"]),
        (&json!("tool_use"), &json!({"a": 1}))
    );
    let turn = |message: &Value, count: usize| {
        let uses = message["content"].as_array().unwrap().iter().filter_map(|it| it.get("toolUse"));
        let result =
            |it: &Value| json!({"toolResult": {"toolUseId": it["toolUseId"], "content": [{"text": "12"}]}});
        let results: Vec<Value> = uses.take(count).map(result).collect();
        let mut turn = ask(more.clone());
        let messages = turn["messages"].as_array_mut().unwrap();
        messages.extend([message.clone(), json!({"role": "user", "content": results})]);
        turn
    };
    let taken = vendor.post("/model/m/converse", turn(message, 2)).await.json();
    let seen = taken["output"]["message"]["content"][1]["text"].as_str().unwrap();
    assert!(seen.starts_with("Seen: 2 tool results."), "{taken}");
    let (mut forged, mut bare) = (message.clone(), message.clone());
    forged["content"][0]["reasoningContent"]["reasoningText"]["text"] = json!("other");
    bare["content"].as_array_mut().unwrap().remove(0);
    for (body, fault) in [
        (turn(message, 1), "Expected toolResult blocks"),
        (turn(&forged, 2), "Invalid `signature`"),
        (turn(&bare, 2), "Expected `thinking`"),
        (ask(json!({"temperature": 1})), "unknown member"),
        (
            ask(json!({"messages": [{"role": "assistant", "content": [{"text": "a"}]}]})),
            "must start with a user",
        ),
        (ask(json!({"messages": [{"role": "user", "content": [{"text": " "}]}]})), "is blank"),
        (ending(json!({"image": {"format": "png", "source": {"bytes": "AAAA"}}})), "if the role is user"),
        (ending(json!({"text": "Sure: "})), "trailing whitespace"),
    ] {
        let got = vendor.post("/model/m/converse", body).await;
        assert_eq!(
            (got.status.as_u16(), &got.headers["x-amzn-errortype"]),
            (400, &"ValidationException".parse().unwrap())
        );
        assert!(got.json()["message"].as_str().unwrap().contains(fault), "{:?}", got.json());
    }
}

#[tokio::test]
async fn errors_have_amazons_types_and_come_within_streams_as_exceptions() {
    let vendor = Vendor::fast().await;
    let got = vendor.post("/model/m:fail-429/converse", ask(json!({}))).await;
    assert_eq!(got.headers["x-amzn-errortype"], "ThrottlingException");
    let got = vendor.post("/model/m:fail-late/converse-stream", ask(json!({}))).await;
    let frames = frames(&got.body);
    assert_eq!((frames.len(), frames[3].0.as_str()), (4, "modelStreamErrorException"));
}
