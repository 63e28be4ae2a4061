//! Chat completions in sessions whose Redis is away: refused at once or served from memory, as the route says; others notice
//! nothing.

use http::Method;
use serde_json::Value;

use crate::support::{Answer, Gateway, RedisServer, Reply, Vendor, until};

async fn say(gateway: &Gateway, model: &str, session: Option<&str>, text: &str, stream: bool) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(session.map(|it| ("x-session-id", it)));
    let body = format!(
        r#"{{"model":"{model}","stream":{stream},"messages":[{{"role":"user","content":"{text}"}}]}}"#
    );
    gateway.call(Method::POST, "/v1/chat/completions", &headers, body).await
}

/// Routes `strict` and `loose` over a vendor that says yes.
async fn gateway(vendor: &Vendor, redis: &RedisServer) -> Gateway {
    vendor.otherwise(Reply::chat("yes"));
    Gateway::start(&format!(
        "upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{}\" }}\n\
         routes:\n  - {{ model: strict, targets: [a/m] }}\n  \
         - {{ model: loose, targets: [a/m], when_store_down: continue }}\n\
         sessions: {{ store: \"{}\", store_failures_max: 2, store_trial_ms: 50 }}\n",
        vendor.url(),
        redis.url()
    ))
    .await
}

async fn texts(vendor: &Vendor) -> Vec<String> {
    let sent = vendor.request(vendor.calls() - 1).await.json()["messages"].clone();
    sent.as_array().unwrap().iter().map(|it| it["content"].as_str().unwrap().to_owned()).collect()
}

async fn is_away(gateway: &Gateway) -> Value {
    gateway.admin_get("/admin/sessions").await.json()["away"].clone()
}

#[tokio::test]
async fn a_call_that_names_a_session_is_refused_and_no_other() {
    let (vendor, mut redis) = (Vendor::start().await, RedisServer::start().await);
    let gateway = gateway(&vendor, &redis).await;
    assert_eq!(say(&gateway, "strict", Some("s"), "a", false).await.status, 200);
    redis.kill().await;
    for stream in [false, true, false] {
        let refused = say(&gateway, "strict", Some("s"), "b", stream).await;
        assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("1")));
        assert_eq!(refused.error()["code"], "session_store_unavailable");
    }
    assert_eq!(vendor.calls(), 1, "nobody was asked");
    assert_eq!(say(&gateway, "strict", None, "c", false).await.status, 200);
    assert_eq!(gateway.admin_get("/readyz").await.text(), "ready\n");
    assert_eq!(is_away(&gateway).await, true);
    assert_eq!(gateway.metric("tollgate_session_store_up", &[]).await, 0.0);
    gateway.event_line("session_store_away").await;
    redis.start_again().await;
    gateway.event_line("session_store_back").await;
    assert_eq!(say(&gateway, "strict", Some("s"), "d", false).await.status, 200);
}

#[tokio::test]
async fn a_route_may_go_on_with_what_is_remembered_and_nothing_of_it_is_lost() {
    let (vendor, redis) = (Vendor::start().await, RedisServer::start().await);
    let gateway = gateway(&vendor, &redis).await;
    say(&gateway, "loose", Some("s"), "a", false).await;
    redis.signal("STOP");
    for text in ["b", "c"] {
        let answer = say(&gateway, "loose", Some("s"), text, false).await;
        let told = answer.headers.get_all("x-tollgate-session").iter().map(|it| it.to_str().unwrap());
        let told: Vec<_> = told.collect();
        assert_eq!((answer.status.as_u16(), told), (200, vec!["remembered", "spooled"]));
    }
    assert_eq!(texts(&vendor).await, ["a", "yes", "b", "yes", "c"]);
    let streamed = vendor_streams(&vendor, &gateway).await;
    assert_eq!(streamed.header("x-tollgate-session"), Some("remembered"));
    assert!(streamed.text().contains(": session spooled\n\ndata: "), "{}", streamed.text());
    let shown = gateway.admin_get("/admin/sessions").await.json();
    assert_eq!((&shown["waiting_turns"], &shown["store"]), (&3.into(), &redis.url().into()), "{shown}");
    redis.signal("CONT");
    until("an empty spool", || async {
        gateway.admin_get("/admin/sessions").await.json()["waiting_turns"] == 0
    })
    .await;
    until("the store", || async { say(&gateway, "strict", Some("s"), "e", false).await.status == 200 }).await;
    assert_eq!(texts(&vendor).await, ["a", "yes", "b", "yes", "c", "yes", "d", "no", "e"]);
}

async fn vendor_streams(vendor: &Vendor, gateway: &Gateway) -> Answer {
    let piece = r#"data: {"id":"s","choices":[{"index":0,"delta":{"content":"no"},"finish_reason":"stop"}]}"#;
    vendor.expect(Reply::stream([format!("{piece}\n\n")]).done());
    say(gateway, "loose", Some("s"), "d", true).await
}
