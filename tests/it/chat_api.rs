//! The interface of the earlier chat service: its paths, its events, and what it did badly done well.

mod providers;

use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;

use http::Method;
use serde_json::{Value, json};

use crate::support::client::{open, request};
use crate::support::{
    Answer, Gate, Gateway, Refusing, Reply, Vendor, completion, delta, event, finish, over, role, until,
    usage,
};

const ON: &str = "chat_api: true\nsessions: { store: memory }\ndefault_model: smart\n";

const GIF: &str = "R0lGODlhAQABAAAAACw=";

async fn start(replies: impl IntoIterator<Item = Reply>, more: &str) -> (Vendor, Gateway) {
    let vendor = Vendor::with(replies).await;
    let gateway = Gateway::start(&over(&[("a", &vendor.url())], &format!("{ON}{more}"))).await;
    (vendor, gateway)
}

/// A stream that says `text`.
fn says(text: &str) -> Reply {
    Reply::stream([role(), delta(text), finish()]).done()
}

fn message(more: Value) -> String {
    let mut body = json!({"user_id": "ann", "session_id": "s-1", "message": "hi"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

async fn say(gateway: &Gateway, more: Value) -> Answer {
    gateway.post("/chat/stream", message(more)).await
}

/// The events of an answer, each as the JSON in it.
fn events(answer: &Answer) -> Vec<Value> {
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("text/event-stream")));
    let text = answer.text();
    let data = text.split_terminator("\n\n").filter(|it| !it.starts_with(':'));
    data.map(|it| serde_json::from_str(it.strip_prefix("data: ").unwrap()).unwrap()).collect()
}

fn content(text: &str) -> Value {
    json!({"type": "content", "content": text})
}

fn end() -> Value {
    json!({"type": "end", "session_id": "s-1"})
}

async fn messages(gateway: &Gateway) -> Vec<(String, String)> {
    let told = gateway.get("/chat/history?user_id=ann&session_id=s-1").await.json();
    let told = told["messages"].as_array().unwrap().clone();
    let text = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    told.iter().map(|it| (text(it, "role"), text(it, "content"))).collect()
}

async fn sent(vendor: &Vendor, index: usize) -> Value {
    vendor.request(index).await.json()["messages"].clone()
}

/// The sentence of an error stands where either kind of front-end looks for it.
fn told_twice(answer: &Answer) {
    let sentence = answer.error()["message"].clone();
    assert!(sentence.is_string() && answer.json()["detail"] == sentence, "{}", answer.text());
}

/// The times of what was said, in seconds.
async fn times(gateway: &Gateway) -> Vec<f64> {
    let told = gateway.get("/chat/history?user_id=ann&session_id=s-1").await.json();
    told["messages"].as_array().unwrap().iter().map(|it| it["timestamp"].as_f64().unwrap()).collect()
}

async fn delete(gateway: &Gateway, path: &str) -> Answer {
    gateway.call(Method::DELETE, path, &[], "").await
}

#[tokio::test]
async fn without_the_option_nothing_of_it_is_there() {
    let gateway = Gateway::start("sessions: { store: memory }\n").await;
    for path in ["/roles", "/providers", "/api", "/upload/image"] {
        assert_eq!(gateway.get(path).await.status.as_u16(), 404, "{path}");
    }
}

#[tokio::test]
async fn a_message_is_answered_in_the_old_events_and_remembered() {
    let reasoned = event(
        r#"{"choices":[{"index":0,"delta":{"reasoning_content":"hm","content":"Hel"},"finish_reason":null}]}"#,
    );
    let first = Reply::stream([role(), reasoned, usage(3, 4), delta("lo"), finish(), usage(3, 4)]).done();
    let (vendor, gateway) = start([first, says("two")], "").await;
    let answer = say(&gateway, json!({})).await;
    let expected = [json!({"type": "reasoning", "content": "hm"}), content("Hel"), content("lo"), end()];
    assert_eq!(events(&answer), expected);

    let query = "/chat/stream?user_id=ann&session_id=s-1&message=and+now%3F&role=teacher";
    assert_eq!(events(&gateway.get(query).await), [content("two"), end()]);
    let told = sent(&vendor, 1).await;
    let roles: Vec<_> = told.as_array().unwrap().iter().map(|it| it["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    assert!(told[0]["content"].as_str().unwrap().starts_with("You are a patient teacher."), "{told}");
    assert_eq!((&told[2]["content"], &told[3]["content"]), (&json!("Hello"), &json!("and now?")));
    let said = messages(&gateway).await;
    let said: Vec<_> = said.iter().map(|(role, text)| (role.as_str(), text.as_str())).collect();
    let expected = [("user", "hi"), ("assistant", "Hello"), ("user", "and now?"), ("assistant", "two")];
    assert_eq!(said, expected);
    assert_eq!(gateway.call_line(0).await["session"], "stored");
}

#[tokio::test]
async fn a_character_cut_in_two_is_told_as_the_history_keeps_it() {
    let chunk =
        |text: &str| event(&format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#));
    let cut = Reply::stream([role(), chunk(r"a\ud83d"), chunk(r"\ude00b"), finish()]).done();
    let (_vendor, gateway) = start([cut], "").await;
    assert_eq!(events(&say(&gateway, json!({})).await), [content("a"), content("😀b"), end()]);
    assert_eq!(messages(&gateway).await[1].1, "a😀b");
}

#[tokio::test]
async fn parameters_that_cannot_be_meant_are_refused_before_anybody_is_asked() {
    let (_vendor, gateway) = start([], "").await;
    let check = async |answer: Answer, status: u16, code: &str| {
        assert_eq!((answer.status.as_u16(), answer.error()["code"].as_str()), (status, Some(code)));
        told_twice(&answer);
    };
    check(gateway.get("/chat/stream?user_id=ann&message=hi").await, 422, "missing_parameter").await;
    check(gateway.get("/chat/history?session_id=s-1").await, 422, "missing_parameter").await;
    check(gateway.post("/chat/stream", "[]").await, 422, "invalid_parameter").await;
    check(say(&gateway, json!({"role": "pirate"})).await, 400, "unknown_role").await;
    check(say(&gateway, json!({"provider": "nobody"})).await, 400, "unknown_provider").await;
    check(say(&gateway, json!({"provider": "a"})).await, 400, "missing_model").await;
    check(say(&gateway, json!({"model": "unheard-of"})).await, 404, "model_not_found").await;
    check(say(&gateway, json!({"image_data": "aGk="})).await, 400, "invalid_image").await;
    check(gateway.get("/chat/start?user_id=ann").await, 405, "method_not_allowed").await;
}

#[tokio::test]
async fn what_fails_at_the_vendor_is_an_error_event_and_leaves_no_turn() {
    let cut = Reply::stream([role(), delta("half")]).then_cut();
    let (_vendor, gateway) = start([Reply::status(500, "down"), cut, says("whole")], "").await;
    let failed = say(&gateway, json!({})).await;
    let told = events(&failed);
    assert_eq!((told.len(), &told[0]["type"]), (1, &json!("error")), "{told:?}");
    assert!(!told[0]["content"].as_str().unwrap().is_empty());
    assert_eq!(gateway.get("/chat/history?user_id=ann&session_id=s-1").await.status.as_u16(), 404);

    let told = events(&say(&gateway, json!({})).await);
    assert_eq!((told.len(), &told[0], &told[1]["type"]), (2, &content("half"), &json!("error")), "{told:?}");
    assert_eq!(events(&say(&gateway, json!({})).await), [content("whole"), end()]);
}

#[tokio::test]
async fn a_vendor_that_does_not_stream_is_told_like_one_that_does() {
    let (_vendor, gateway) = start([Reply::json(200, completion("all at once"))], "").await;
    assert_eq!(events(&say(&gateway, json!({})).await), [content("all at once"), end()]);
    assert_eq!(messages(&gateway).await.len(), 2);
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_call_with_it() {
    let (vendor, gateway) = start([Reply::stream([role(), delta("on")]).then_stall()], "").await;
    let mut answer = gateway.open_post("/chat/stream", message(json!({}))).await;
    answer.read_until("\"on\"").await;
    drop(answer);
    vendor.client_gone(0).await;
    assert_eq!(gateway.call_line(0).await["ended"], "client_gone");
}

#[tokio::test]
async fn users_see_their_own_sessions_and_keys_bound_them() {
    let clients = "clients:\n  x: { key: kx }\n  y: { key: ky }\n";
    let (_vendor, gateway) = start([says("yes")], clients).await;
    let call = async |method: Method, path: &str, key: &str, body: String| {
        let key = format!("Bearer {key}");
        let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
        open(gateway.calls, request(gateway.calls, method, path, &headers, body)).await.rest().await
    };
    assert_eq!(gateway.get("/roles").await.status.as_u16(), 401);
    let answer = call(Method::POST, "/chat/stream", "kx", message(json!({}))).await;
    assert_eq!(events(&answer), [content("yes"), end()]);
    let path = |user: &str| format!("/chat/history?user_id={user}&session_id=s-1");
    for (key, user, status) in [("kx", "ann", 200), ("kx", "bob", 404), ("ky", "ann", 404)] {
        let answer = call(Method::GET, &path(user), key, String::new()).await;
        assert_eq!(answer.status.as_u16(), status, "{key} {user}");
    }
    let other = call(Method::DELETE, "/chat/session/s-1?user_id=ann", "ky", String::new()).await;
    assert_eq!(other.status.as_u16(), 404);
    let list = call(Method::GET, "/chat/sessions?user_id=ann", "ky", String::new()).await.json();
    assert_eq!(list["total"], 0);
}

#[tokio::test]
async fn a_chat_is_opened_listed_cleared_and_deleted() {
    let long = "long ".repeat(20);
    let (_vendor, gateway) = start([says(&long)], "").await;
    let opened = gateway.post("/chat/start?user_id=ann&role=programmer", "").await.json();
    let id = opened["session_id"].as_str().unwrap();
    let told = gateway.get(&format!("/chat/history?user_id=ann&session_id={id}")).await.json();
    assert_eq!((&told["total"], &told["messages"][0]["role"]), (&json!(1), &json!("assistant")));
    assert_eq!(told["messages"][0]["content"], opened["welcome_message"]);
    assert!(told["messages"][0]["timestamp"].is_f64());
    say(&gateway, json!({})).await;
    let list = gateway.get("/chat/sessions?user_id=ann").await.json();
    let listed = &list["sessions"];
    assert_eq!((&list["total"], &list["user_id"]), (&json!(2), &json!("ann")));
    assert_eq!((&listed[0]["session_id"], &listed[1]["session_id"]), (&json!("s-1"), &json!(id)));
    assert_eq!(listed[0]["last_message"], format!("{}...", &long[..50]));
    assert_eq!(listed[0]["last_time"].as_str().unwrap().len(), "2026-12-01 10:00:00".len());

    assert_eq!(delete(&gateway, "/chat/history/never?user_id=ann").await.status.as_u16(), 404);
    assert_eq!(delete(&gateway, "/chat/session/never?user_id=ann").await.status.as_u16(), 404);
    assert_eq!(gateway.get("/chat/sessions?user_id=ann").await.json()["total"], 2, "nothing was made");
    assert_eq!(delete(&gateway, "/chat/history/s-1?user_id=ann").await.json()["session_id"], "s-1");
    let cleared = gateway.get("/chat/history?user_id=ann&session_id=s-1").await.json();
    assert_eq!(cleared, json!({"session_id": "s-1", "messages": [], "total": 0}));
    assert_eq!(delete(&gateway, "/chat/session/s-1?user_id=ann").await.json()["session_id"], "s-1");
    assert_eq!(delete(&gateway, "/chat/session/s-1?user_id=ann").await.status.as_u16(), 404);
}

#[tokio::test]
async fn a_store_that_is_away_is_told_and_never_taken_for_an_empty_one() {
    let (vendor, gone) = (Vendor::start().await, Refusing::start());
    let port = gone.url().rsplit_once(':').unwrap().1.trim_end_matches("/v1").to_owned();
    let yaml = over(&[("a", &vendor.url())], "chat_api: true\ndefault_model: smart\n");
    let gateway = Gateway::start_with(&yaml, &[("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &port)]).await;
    let check = |answer: Answer| {
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));
        assert_eq!(answer.error()["code"], "session_store_unavailable");
    };
    check(gateway.get("/chat/history?user_id=ann&session_id=s-1").await);
    check(gateway.get("/chat/sessions?user_id=ann").await);
    check(gateway.post("/chat/start?user_id=ann", "").await);
    check(delete(&gateway, "/chat/session/s-1?user_id=ann").await);
    check(delete(&gateway, "/chat/history/s-1?user_id=ann").await);
    check(say(&gateway, json!({})).await);
    assert_eq!(vendor.calls(), 0);
}

#[tokio::test]
async fn a_picture_goes_to_the_vendor_and_comes_back_with_the_history() {
    let (vendor, gateway) = start([says("a dot")], "").await;
    say(&gateway, json!({"image_data": GIF, "image_type": "image/gif"})).await;
    let parts = sent(&vendor, 0).await[1]["content"].clone();
    let uri = format!("data:image/gif;base64,{GIF}");
    assert_eq!(parts[1]["image_url"]["url"], uri);
    let told = gateway.get("/chat/history?user_id=ann&session_id=s-1").await.json();
    let first = &told["messages"][0];
    assert_eq!((&first["content"], &first["image_data"]), (&json!("hi"), &json!(GIF)));
    assert_eq!(first["image_type"], "image/gif");
}

#[tokio::test]
async fn an_uploaded_picture_comes_back_as_base64() {
    let (_vendor, gateway) = start([], "").await;
    let form = |content: &[u8]| {
        let head = "--b1\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.gif\"\r\n\r\n";
        [head.as_bytes(), content, b"\r\n--b1--\r\n"].concat()
    };
    let upload = async |body: Vec<u8>| {
        let headers = [("content-type", "multipart/form-data; boundary=b1")];
        gateway.call(Method::POST, "/upload/image", &headers, body).await
    };
    let answer = upload(form(b"GIF89a\x01\0\x01\0\0\0\0,")).await.json();
    let data = json!({"filename": "a.gif", "content_type": "image/gif", "size": 14, "base64_data": GIF});
    assert_eq!((&answer["success"], &answer["data"]), (&json!(true), &data));
    let refused = upload(form(b"<svg/>")).await;
    assert_eq!(refused.status.as_u16(), 400);
    told_twice(&refused);
    let large = [&b"GIF89a"[..], &vec![0; 11 << 20]].concat();
    let refused = upload(form(&large)).await;
    assert_eq!((refused.status.as_u16(), refused.error()["code"].as_str()), (413, Some("image_too_large")));
}

#[tokio::test]
async fn a_picture_is_made_or_the_failure_is_told_as_one() {
    let image = r#"{"created":1,"data":[{"b64_json":"AA==","revised_prompt":"a red cat"}]}"#;
    let replies = [
        Reply::json(200, image),
        Reply::json(200, image),
        Reply::status(400, "no cats"),
        Reply::json(200, r#"{"data":[]}"#),
    ];
    let (vendor, gateway) = start(replies, "chat_image_models: { a: paint-1 }\n").await;
    let order =
        async |more: &str| gateway.post("/generate/image", format!(r#"{{"prompt":"a cat"{more}}}"#)).await;
    let made = order("").await.json();
    assert_eq!((&made["success"], &made["provider"]), (&json!(true), &json!("a")));
    let data = json!({"image_url": null, "image_b64": "AA==", "revised_prompt": "a red cat",
        "size": "1024x1024", "quality": "standard"});
    assert_eq!(made["data"], data);
    let asked = vendor.request(0).await;
    assert_eq!(
        (asked.target.as_str(), &asked.json()["model"]),
        ("/v1/images/generations", &json!("paint-1"))
    );

    order(&format!(r#","provider":"a","image_data":"{GIF}","image_type":"gif""#)).await;
    let edited = vendor.request(1).await;
    assert_eq!(edited.target, "/v1/images/edits");
    assert!(edited.header("content-type").unwrap().starts_with("multipart/form-data; boundary="));
    let form = String::from_utf8_lossy(&edited.body).into_owned();
    assert!(form.contains("name=\"model\"\r\n\r\npaint-1\r\n"), "{form}");

    let refused = order("").await;
    assert_eq!((refused.status.as_u16(), &refused.json()["success"]), (400, &json!(false)));
    told_twice(&refused);
    let empty = order("").await;
    told_twice(&empty);
    assert_eq!(empty.json()["message"], empty.error()["message"]);
    assert_eq!((empty.status.as_u16(), empty.error()["code"].as_str()), (502, Some("upstream_failed")));
    let unknown = order(r#","provider":"nobody""#).await;
    assert_eq!((unknown.status.as_u16(), &unknown.json()["success"]), (400, &json!(false)));
    assert_eq!(unknown.json()["message"], unknown.error()["message"]);
    assert_eq!(gateway.post("/generate/image", "{}").await.status.as_u16(), 422);
}

#[tokio::test]
async fn a_question_keeps_its_own_time() {
    let gate = Gate::new();
    let late = Reply::stream([role(), delta("yes")]).gate(&gate).pieces([finish()]).done();
    let (vendor, gateway) = start([late], "").await;
    let mut answer = gateway.open_post("/chat/stream", message(json!({}))).await;
    answer.read_until("yes").await;
    let between = now();
    // The clock shows milliseconds.
    until("a later time", async || {
        vendor.calls();
        tokio::task::yield_now().await;
        now() > between + 0.002
    })
    .await;
    gate.open();
    answer.rest().await;
    let [asked, answered] = times(&gateway).await[..] else { panic!("two messages") };
    assert!(asked <= between && between < answered, "{asked} {between} {answered}");
}

fn now() -> f64 {
    UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
}

#[tokio::test]
async fn all_sessions_are_listed() {
    let (_vendor, gateway) = start([], "").await;
    for _ in 0..203 {
        gateway.post("/chat/start?user_id=ann", "").await;
    }
    let list = gateway.get("/chat/sessions?user_id=ann").await.json();
    let ids: BTreeSet<_> =
        list["sessions"].as_array().unwrap().iter().map(|it| it["session_id"].as_str()).collect();
    assert_eq!((&list["total"], ids.len()), (&json!(203), 203));
}

#[tokio::test]
async fn a_head_is_a_get_without_its_body_and_what_is_not_taken_says_what_is() {
    let (_vendor, gateway) = start([], "").await;
    for path in ["/roles", "/providers", "/api", "/chat/sessions?user_id=ann"] {
        let head = gateway.call(Method::HEAD, path, &[], "").await;
        assert_eq!((head.status.as_u16(), head.text().len()), (200, 0), "{path}");
    }
    for (method, path, allowed) in
        [(Method::PUT, "/roles", "GET, HEAD"), (Method::DELETE, "/chat/stream", "GET, POST")]
    {
        let refused = gateway.call(method, path, &[], "").await;
        assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, Some(allowed)), "{path}");
    }
}

#[tokio::test]
async fn the_service_says_what_it_is() {
    let (_vendor, gateway) = start([], "").await;
    let about = gateway.get("/api").await.json();
    assert_eq!(about, json!({"message": "Tollgate", "version": env!("CARGO_PKG_VERSION")}));
}
