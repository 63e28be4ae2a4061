//! OpenAI's Conversations API on the gateway's sessions: the same conversation as items, and as what vendors are sent.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Gateway, Keyed, Steady, over};

async fn gateway(vendor: &Steady) -> Gateway {
    Gateway::start(&over(&[("a", &vendor.url())], "sessions: { store: memory }\n")).await
}

fn client(gateway: &Gateway) -> Keyed<'_> {
    Keyed { gateway, key: "shown" }
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

/// The types of items, and of messages their first words.
fn shown(list: &Value) -> Vec<String> {
    let of = |it: &Value| it["content"][0]["text"].as_str().or(it["type"].as_str()).unwrap().to_owned();
    list["data"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn a_conversation_is_made_changed_and_deleted_as_openai_says() {
    let vendor = Steady::start("x").await;
    let gateway = gateway(&vendor).await;
    let client = client(&gateway);
    let made = client.post("/v1/conversations", json!({"metadata": {"k": "v"}, "items": [user("hi")]})).await;
    let id = made["id"].as_str().unwrap();
    assert!(id.starts_with("conv_"), "{id}");
    let expected =
        json!({"id": id, "object": "conversation", "created_at": made["created_at"], "metadata": {"k": "v"}});
    assert_eq!(made, expected);
    let path = format!("/v1/conversations/{id}");
    assert_eq!(client.get(&path).await, expected);
    assert_eq!(client.post(&path, json!({"metadata": {"l": "w"}})).await["metadata"], json!({"l": "w"}));
    let refused = client.refused(Method::POST, &path, json!({})).await;
    assert_eq!(refused, (400, "missing_required_parameter".into(), "metadata".into()));
    let deleted = json!({"id": id, "object": "conversation.deleted", "deleted": true});
    assert_eq!(client.delete(&path).await, deleted);
    assert_eq!(client.refused(Method::GET, &path, Value::Null).await.1, "session_not_found");
    assert_eq!(vendor.seen().len(), 0);
}

#[tokio::test]
async fn items_are_added_paged_shown_and_deleted() {
    let vendor = Steady::start("x").await;
    let gateway = gateway(&vendor).await;
    let client = client(&gateway);
    let id = client.post("/v1/conversations", Value::Null).await["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/conversations/{id}/items");
    let mut ids = Vec::new();
    for from in [0, 20, 40] {
        let items: Vec<Value> = (from..from + 20).map(|it| user(&format!("m{it}"))).collect();
        let added = client.post(&path, json!({"items": items})).await;
        assert_eq!((&added["object"], &added["has_more"]), (&json!("list"), &json!(false)));
        ids.extend(added["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()));
    }
    let first = client.get(&path).await;
    assert_eq!((first["data"].as_array().unwrap().len(), shown(&first)[0].as_str()), (20, "m59"));
    for limit in [1, 13, 100] {
        assert_eq!(client.ids(&format!("{path}?limit={limit}&order=asc")).await, ids);
    }
    let item = client.get(&format!("{path}/{}", ids[7])).await;
    let expected = json!({"id": ids[7], "type": "message", "role": "user", "status": "completed",
        "content": [{"type": "input_text", "text": "m7"}]});
    assert_eq!(item, expected);

    let left = client.delete(&format!("{path}/{}", ids[7])).await;
    assert_eq!((&left["id"], &left["object"]), (&json!(id), &json!("conversation")));
    for method in [Method::GET, Method::DELETE] {
        let refused = client.refused(method, &format!("{path}/{}", ids[7]), Value::Null).await;
        assert_eq!((refused.0, refused.1.as_str()), (404, "item_not_found"));
    }
    // One that is gone still says where to go on.
    let behind = client.get(&format!("{path}?order=asc&limit=2&after={}", ids[7])).await;
    assert_eq!(shown(&behind), ["m8", "m9"]);
    ids.remove(7);
    assert_eq!(client.ids(&format!("{path}?order=asc")).await, ids);
}

/// A conversation of every kind of item that is told to vendors, and one that is not.
fn sum() -> Value {
    let image = json!({"type": "input_image", "image_url": "data:image/png;base64,AA=="});
    json!([
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "2+2?"}, image]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "zzz"},
        {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{\"a\":2}"},
        {"type": "function_call_output", "call_id": "c1", "output": "4"},
        {"role": "assistant", "content": "four"},
    ])
}

#[tokio::test]
async fn items_go_before_a_calls_messages_and_its_turn_becomes_items() {
    let vendor = Steady::start("five").await;
    let gateway = gateway(&vendor).await;
    let client = client(&gateway);
    let made = client.post("/v1/conversations", json!({"items": sum()})).await;
    let id = made["id"].as_str().unwrap();
    client.chat(id, &json!({"model": "smart", "messages": [user("And one more?")]})).await;
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}});
    let function = json!({"name": "add", "arguments": "{\"a\":2}"});
    let call = json!({"id": "c1", "type": "function", "function": function});
    let expected = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "2+2?"}, image]},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "4"},
        {"role": "assistant", "content": "four"},
        user("And one more?"),
    ]);
    assert_eq!(vendor.only().json()["messages"], expected);

    let list = client.get(&format!("/v1/conversations/{id}/items?order=asc")).await;
    let kinds = ["Be brief.", "2+2?", "reasoning", "function_call", "function_call_output", "four"];
    assert_eq!(shown(&list), [&kinds[..], &["And one more?", "five"]].concat());
    assert_eq!(list["data"][2]["encrypted_content"], "zzz");
    assert_eq!(list["data"][1]["content"][1]["detail"], "auto");
    assert_eq!(client.get(&format!("/v1/sessions/{id}")).await["title"], "2+2?");
}

#[tokio::test]
async fn what_was_deleted_of_a_turn_is_sent_to_nobody() {
    let vendor = Steady::start("five").await;
    let gateway = gateway(&vendor).await;
    let client = client(&gateway);
    client.chat("s", &json!({"model": "smart", "messages": [user("a")]})).await;
    let path = "/v1/conversations/s/items";
    let ids = client.ids(path).await;
    client.delete(&format!("{path}/{}", ids[1])).await;
    client.chat("s", &json!({"model": "smart", "messages": [user("b")]})).await;
    let sent = vendor.seen()[1].json();
    let texts: Vec<&Value> = sent["messages"].as_array().unwrap().iter().map(|it| &it["content"]).collect();
    assert_eq!(texts, ["five", "b"]);
}

#[tokio::test]
async fn many_deletions_at_once_all_come_true() {
    let vendor = Steady::start("x").await;
    let gateway = gateway(&vendor).await;
    let client = client(&gateway);
    let items: Vec<Value> = (0..6).map(|it| user(&format!("m{it}"))).collect();
    let made = client.post("/v1/conversations", json!({"items": items})).await;
    let path = format!("/v1/conversations/{}/items", made["id"].as_str().unwrap());
    let ids = client.ids(&format!("{path}?order=asc")).await;
    let paths: Vec<String> = ids[..5].iter().map(|it| format!("{path}/{it}")).collect();
    let delete = |at: usize| client.delete(&paths[at]);
    tokio::join!(delete(0), delete(1), delete(2), delete(3), delete(4));
    assert_eq!(shown(&client.get(&path).await), ["m5"]);
}

#[tokio::test]
async fn what_is_no_item_is_refused_and_nothing_is_added() {
    let vendor = Steady::start("x").await;
    let gateway = gateway(&vendor).await;
    let client = client(&gateway);
    let id = client.post("/v1/conversations", Value::Null).await["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/conversations/{id}/items");
    let many: Vec<Value> = (0..21).map(|_| user("x")).collect();
    for (items, param) in [
        (json!(many), "items"),
        (json!([]), "items"),
        (json!("x"), "items"),
        (json!([user("x"), {"type": "message", "role": "user"}]), "items[1].content"),
        (json!([{"content": "x"}]), "items[0].type"),
    ] {
        for path in [path.as_str(), "/v1/conversations"] {
            if path == "/v1/conversations" && items == json!([]) {
                continue;
            }
            let refused = client.refused(Method::POST, path, json!({"items": items})).await;
            assert_eq!(refused, (400, "invalid_value".into(), param.into()), "{path} {items}");
        }
    }
    assert_eq!(client.get(&path).await["data"], json!([]));
    for after in ["x", "msg_00", "sess_1"] {
        let refused = client.refused(Method::GET, &format!("{path}?after={after}"), Value::Null).await;
        assert_eq!(refused.1, "invalid_cursor");
    }
    let refused =
        client.refused(Method::POST, "/v1/conversations/conv_x/items", json!({"items": [user("x")]})).await;
    assert_eq!((refused.0, refused.1.as_str()), (404, "session_not_found"));
    let refused = client.refused(Method::PATCH, &path, Value::Null).await;
    assert_eq!((refused.0, refused.1.as_str()), (405, "method_not_allowed"));
}

#[tokio::test]
async fn what_is_sent_when_one_item_is_deleted_lacks_nothing_else() {
    let vendor = Steady::start("five").await;
    let gateway = gateway(&vendor).await;
    let client = client(&gateway);
    let odd = r#"{"type":"text","role":"user","content":"a"},{"role":"user","content":"half \ud83d"},{"role":"user","content":"b"}"#;
    let headers = [("api-key", "shown"), ("content-type", "application/json"), ("x-session-id", "s")];
    let call = |messages: &str| format!(r#"{{"model":"smart","messages":[{messages}]}}"#);
    gateway.call(Method::POST, "/v1/chat/completions", &headers, call(odd)).await;
    let path = "/v1/conversations/s/items";
    let items = client.get(&format!("{path}?order=asc")).await;
    assert_eq!(shown(&items), ["a", "half \u{fffd}", "b", "five"]);
    client.delete(&format!("{path}/{}", items["data"][2]["id"].as_str().unwrap())).await;
    gateway
        .call(Method::POST, "/v1/chat/completions", &headers, call(r#"{"role":"user","content":"c"}"#))
        .await;
    let sent = String::from_utf8(vendor.seen()[1].body.to_vec()).unwrap();
    let kept = odd.strip_suffix(r#",{"role":"user","content":"b"}"#).unwrap();
    assert!(sent.contains(kept), "{sent}");
    assert_eq!(
        shown(&client.get(&format!("{path}?order=asc")).await),
        ["a", "half \u{fffd}", "five", "c", "five"]
    );
}
