//! Kept responses when things end: the gateway, its store, the client's patience. Who was told that a response is complete
//! finds it.

use http::Method;
use serde_json::{Value, json};

use crate::responses_kept::client;
use crate::support::spoken::{CHAT, asks, completed, follow, gateway, path, say, stream, words, yaml};
use crate::support::talk::{MEMORY, sent};
use crate::support::{Gate, Gateway, Keyed, RedisServer, Reply, Vendor, delta, finish, role, until};

fn hello() -> Reply {
    Reply::stream([role(), delta("Hel"), delta("lo."), finish()])
}

#[tokio::test]
async fn a_response_that_was_told_to_be_complete_outlives_a_crash() {
    let gate = Gate::new();
    let vendor = Vendor::with([hello().piece(crate::support::DONE).gate(&gate).end()]).await;
    let mut gateway = gateway(&[("c", CHAT, &vendor)], "").await;
    let mut answer = stream(&client(&gateway), "hi", json!({})).await;
    answer.read_until("event: response.completed").await;
    answer.read_until("\n\n").await;
    let said = String::from_utf8(answer.so_far.clone()).unwrap();
    gateway = gateway.crash_and_restart().await;
    let id = said.split("\"id\":\"resp_").nth(1).unwrap().split('"').next().unwrap();
    let client = client(&gateway);
    let kept = client.get(&format!("/v1/responses/resp_{id}")).await;
    assert_eq!(words(&kept), "Hello.");
    vendor.expect(Reply::chat("b"));
    follow(&client, &kept, "2").await;
    assert_eq!(sent(&vendor, 1).await, ["user: hi", "assistant: Hello.", "user: 2"]);
}

async fn over(redis: &RedisServer, vendor: &Vendor) -> Gateway {
    let sessions = format!(
        "sessions: {{ store: \"{}\", store_ms: 10000, store_failures_max: 2, store_trial_ms: 50 }}\n",
        redis.url()
    );
    Gateway::start(&yaml(&[("c", CHAT, vendor)], &sessions)).await
}

#[tokio::test]
async fn a_response_is_followed_at_another_gateway() {
    let (redis, vendor) =
        (RedisServer::start().await, Vendor::with([hello().done(), Reply::chat("b")]).await);
    let (one, other) = (over(&redis, &vendor).await, over(&redis, &vendor).await);
    let first = completed(&stream(&client(&one), "1", json!({})).await.rest().await);
    drop(one);
    let client = client(&other);
    assert_eq!(client.get(&path(&first)).await, first);
    follow(&client, &first, "2").await;
    assert_eq!(sent(&vendor, 1).await, ["user: 1", "assistant: Hello.", "user: 2"]);
}

/// The last event waits for the store, be it frozen.
#[tokio::test]
async fn the_end_of_a_stream_waits_for_the_store() {
    let (redis, gate) = (RedisServer::start().await, Gate::new());
    let vendor = Vendor::with([hello().gate(&gate).done()]).await;
    let gateway = over(&redis, &vendor).await;
    let client = client(&gateway);
    let mut answer = stream(&client, "hi", json!({})).await;
    answer.read_until("lo.").await;
    redis.signal("STOP");
    gate.open();
    // Time enough for the end of the answer to come as far as it may.
    let other = Keyed { gateway: &gateway, key: "other" };
    vendor.expect(Reply::chat("x"));
    assert_eq!(words(&say(&other, "hi", json!({"store": false})).await), "x");
    gateway.crash_and_restart().await;
    let answer = answer.rest().await;
    assert!(!answer.text().contains("response.completed"), "{}", answer.text());
    redis.signal("CONT");
}

#[tokio::test]
async fn without_its_store_a_line_is_refused_and_a_new_call_is_served_and_told() {
    let (mut redis, vendor) = (RedisServer::start().await, Vendor::with([Reply::chat("a")]).await);
    let gateway = over(&redis, &vendor).await;
    let client = client(&gateway);
    let first = say(&client, "1", json!({})).await;
    redis.kill().await;
    for more in [json!({"previous_response_id": first["id"]}), json!({"conversation": "conv_1"})] {
        let refused = client.refused(Method::POST, "/v1/responses", asks("2", more)).await;
        assert_eq!((refused.0, refused.1.as_str()), (503, "session_store_unavailable"));
    }
    assert_eq!(client.refused(Method::GET, &path(&first), Value::Null).await.0, 503);
    assert_eq!(vendor.calls(), 1, "nobody was asked");
    vendor.expect(Reply::chat("b"));
    let answer = client.ask(Method::POST, "/v1/responses", &asks("3", json!({}))).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-tollgate-session")), (200, Some("spooled")));
    vendor.expect(hello().done());
    let streamed = stream(&client, "4", json!({})).await.rest().await;
    assert!(streamed.text().contains(": session spooled\n"), "{}", streamed.text());
    redis.start_again().await;
    gateway.event_line("session_store_back").await;
    for response in [answer.json(), completed(&streamed)] {
        let shown = async || client.ask(Method::GET, &path(&response), &Value::Null).await.status == 200;
        until("the spool is emptied", shown).await;
        assert_eq!(client.get(&path(&response)).await, response);
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_end_keeps_nothing() {
    let gate = Gate::new();
    let vendor =
        Vendor::with([Reply::stream([role(), delta("Hel")]).gate(&gate).piece(finish()).done()]).await;
    let gateway = gateway(&[("c", CHAT, &vendor)], MEMORY).await;
    let client = client(&gateway);
    let mut answer = stream(&client, "hi", json!({})).await;
    answer.read_until("Hel").await;
    let said = String::from_utf8(answer.so_far.clone()).unwrap();
    drop(answer);
    gateway.call_line(0).await;
    gate.open();
    let id = said.split("\"id\":\"resp_").nth(1).unwrap().split('"').next().unwrap();
    let refused = client.refused(Method::GET, &format!("/v1/responses/resp_{id}"), Value::Null).await;
    assert_eq!(refused.1, "response_not_found");
}
