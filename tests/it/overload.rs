//! A gateway that is full or nearly so: refusals are quick and say when to come back, one greedy key does not keep the
//! others out, what flows goes on, and operators are answered.

use http::Method;

use crate::support::client::{Answer, Open, chat_body, open, request};
use crate::support::{Gate, Gateway, Reply, Steady, Vendor, delta, finish, until};

/// Calls of `held` get the answers of `vendor`, which holds them; calls of `free` are answered at once.
async fn gateway(limits: &str, clients: &str, vendor: &Vendor, free: &Steady) -> Gateway {
    Gateway::start(&config(limits, clients, vendor, free)).await
}

fn config(limits: &str, clients: &str, vendor: &Vendor, free: &Steady) -> String {
    let upstream =
        |name: &str, url: String| format!("  {name}: {{ vendor: openai-compatible, base_url: \"{url}\" }}\n");
    let upstreams = upstream("held", vendor.url()) + &upstream("free", free.url());
    format!("limits: {{ {limits} }}\nclients: {clients}\nupstreams:\n{upstreams}")
}

const TWO: &str = "{ greedy: { key: greedy-key }, modest: { key: modest-key } }";

async fn ask(gateway: &Gateway, key: &str, body: String) -> Open {
    let bearer = format!("Bearer {key}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    open(gateway.calls, request(gateway.calls, Method::POST, "/v1/chat/completions", &headers, body)).await
}

async fn chat(gateway: &Gateway, key: &str, model: &str) -> Answer {
    ask(gateway, key, chat_body(model, false)).await.rest().await
}

/// A stream that has begun and is held there until its gate opens.
async fn held(gateway: &Gateway, key: &str, vendor: &Vendor) -> (Open, Gate) {
    let gate = Gate::new();
    vendor.expect(Reply::stream([delta("begun")]).gate(&gate).piece(finish()).done());
    let mut stream = ask(gateway, key, chat_body("held/m", true)).await;
    stream.read_until("begun").await;
    (stream, gate)
}

fn check_refusal(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!((answer.header("retry-after"), answer.header("retry-after-ms")), (Some("1"), Some("1000")));
    let error = answer.error();
    let kind = if status == 429 { "rate_limit_error" } else { "server_error" };
    assert_eq!((error["type"].as_str(), error["code"].as_str()), (Some(kind), Some(code)), "{error}");
    assert!(error["message"].is_string() && error["param"].is_null(), "{error}");
}

#[tokio::test]
async fn a_greedy_key_is_refused_while_a_modest_ones_calls_are_all_served() {
    let (vendor, free) = (Vendor::start().await, Steady::start("served").await);
    let gateway = gateway("calls_max: 8", TWO, &vendor, &free).await;
    let mut streams = Vec::new();
    for _ in 0..6 {
        streams.push(held(&gateway, "greedy-key", &vendor).await);
    }
    // Ten times its share of four, less what it has.
    for _ in 6..40 {
        check_refusal(&chat(&gateway, "greedy-key", "free/m").await, 429, "over_fair_share");
        assert_eq!(chat(&gateway, "modest-key", "free/m").await.content(), "served");
    }
    assert_eq!(gateway.metric("tollgate_refused_total", &[("reason", "overloaded")]).await, 34.0);
    // What flowed meanwhile ends as it should, and the place is free again.
    for (stream, gate) in streams {
        gate.open();
        assert!(stream.rest().await.text().ends_with("data: [DONE]\n\n"));
    }
    until("room for the greedy key", async || chat(&gateway, "greedy-key", "free/m").await.status == 200)
        .await;
}

#[tokio::test]
async fn the_others_are_served_until_the_gateway_is_full() {
    let (vendor, free) = (Vendor::start().await, Steady::start("served").await);
    let gateway = gateway("calls_max: 8", TWO, &vendor, &free).await;
    let mut streams = Vec::new();
    for key in ["greedy-key"; 6].into_iter().chain(["modest-key"; 2]) {
        streams.push(held(&gateway, key, &vendor).await);
    }
    for key in ["modest-key", "greedy-key", "wrong-key"] {
        check_refusal(&chat(&gateway, key, "free/m").await, 503, "overloaded");
    }
    streams.into_iter().for_each(|(_, gate)| gate.open());
}

#[tokio::test]
async fn a_client_alone_may_fill_the_gateway_where_no_other_is_to_come() {
    let (vendor, free) = (Vendor::start().await, Steady::start("served").await);
    let gateway = gateway("calls_max: 4", "{ only: { key: only-key } }", &vendor, &free).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(held(&gateway, "only-key", &vendor).await);
    }
    check_refusal(&chat(&gateway, "only-key", "free/m").await, 503, "overloaded");
    streams.into_iter().for_each(|(_, gate)| gate.open());
}

#[tokio::test]
async fn a_client_has_its_own_bound_whichever_key_it_shows_and_keeps_it_over_a_reload() {
    let clients = "{ shop: { keys: [key-1, key-2], calls_max: 2 }, desk: { key: desk-key } }";
    let (vendor, free) = (Vendor::start().await, Steady::start("served").await);
    let gateway = gateway("calls_max: 100", clients, &vendor, &free).await;
    let first = held(&gateway, "key-1", &vendor).await;
    let second = held(&gateway, "key-2", &vendor).await;
    check_refusal(&chat(&gateway, "key-1", "free/m").await, 429, "too_many_calls");
    assert_eq!(chat(&gateway, "desk-key", "free/m").await.status, 200);
    gateway.write_config(&config("calls_max: 99", clients, &vendor, &free));
    gateway.event_line("config_reloaded").await;
    check_refusal(&chat(&gateway, "key-2", "free/m").await, 429, "too_many_calls");
    first.1.open();
    assert!(first.0.rest().await.whole);
    until("the client's place", async || chat(&gateway, "key-1", "free/m").await.status == 200).await;
    second.1.open();
}

#[tokio::test]
async fn a_refusal_comes_before_the_body_is_read() {
    let (vendor, free) = (Vendor::start().await, Steady::start("served").await);
    let clients = "{ shop: { key: key-1, calls_max: 1 }, desk: { key: desk-key } }";
    let gateway = gateway("calls_max: 2", clients, &vendor, &free).await;
    let first = held(&gateway, "key-1", &vendor).await;
    let second = held(&gateway, "desk-key", &vendor).await;
    for key in ["key-1", "desk-key"] {
        let mut raw = gateway.raw().await;
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n";
        raw.write(format!("{head}authorization: Bearer {key}\r\n\r\n")).await;
        raw.read_until("\"overloaded\"").await;
        assert!(raw.text().starts_with("HTTP/1.1 503 "), "{}", raw.text());
    }
    second.1.open();
    assert!(second.0.rest().await.whole);
    until("a place", async || chat(&gateway, "desk-key", "free/m").await.status == 200).await;
    let mut raw = gateway.raw().await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n";
    raw.write(format!("{head}authorization: Bearer key-1\r\n\r\n")).await;
    raw.read_until("\"too_many_calls\"").await;
    assert!(free.seen().iter().all(|it| it.body_complete));
    first.1.open();
}

#[tokio::test]
async fn a_refused_client_that_sends_its_body_all_the_same_may_call_again_on_its_connection() {
    let (vendor, free) = (Vendor::start().await, Steady::start("served").await);
    let gateway = gateway("calls_max: 1", "{ shop: { key: key-1 } }", &vendor, &free).await;
    let stream = held(&gateway, "key-1", &vendor).await;
    let mut raw = gateway.raw().await;
    let body = chat_body("free/m", false);
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer key-1\r\n";
    raw.write(format!("{head}content-length: {}\r\n\r\n", body.len())).await;
    raw.read_until("\"overloaded\"").await;
    raw.write(&body).await;
    stream.1.open();
    assert!(stream.0.rest().await.whole);
    until("the place", async || chat(&gateway, "key-1", "free/m").await.status == 200).await;
    raw.write(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
    raw.read_until("served").await;
}

/// A chat body of exactly so many bytes.
fn body_of(model: &str, length: usize) -> String {
    let empty = format!(r#"{{"model":"{model}","pad":""}}"#);
    format!(r#"{{"model":"{model}","pad":"{}"}}"#, "x".repeat(length - empty.len()))
}

#[tokio::test]
async fn bodies_are_held_up_to_a_bound_over_all_calls() {
    let (gate, free) = (Gate::new(), Steady::start("served").await);
    let vendor = Vendor::with([Reply::chat("late").gate_first(&gate)]).await;
    let limits = "body_bytes_max: 2048, held_bytes_max: 3000";
    let gateway = gateway(limits, "{ shop: { key: key-1 } }", &vendor, &free).await;
    let waiting = ask(&gateway, "key-1", body_of("held/m", 2000));
    let meanwhile = async {
        gate.reached().await;
        // Announced, and found too long as it comes.
        let refused = ask(&gateway, "key-1", body_of("free/m", 1001)).await.rest().await;
        check_refusal(&refused, 503, "overloaded");
        let mut raw = gateway.raw().await;
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer key-1\r\n";
        raw.write(format!("{head}transfer-encoding: chunked\r\n\r\n400\r\n{}\r\n", "x".repeat(1024))).await;
        raw.read_until("limits.held_bytes_max").await;
        assert_eq!(ask(&gateway, "key-1", body_of("free/m", 900)).await.rest().await.content(), "served");
        gate.open();
    };
    let (answer, ()) = tokio::join!(waiting, meanwhile);
    assert_eq!(answer.rest().await.content(), "late");
    let again = async || ask(&gateway, "key-1", body_of("free/m", 2048)).await.rest().await.status == 200;
    until("room for a body", again).await;
}

#[tokio::test]
async fn a_key_that_sends_long_bodies_leaves_room_for_those_of_others() {
    let (gate, free) = (Gate::new(), Steady::start("served").await);
    let vendor = Vendor::with([Reply::chat("late").gate_first(&gate)]).await;
    let gateway = gateway("body_bytes_max: 2500, held_bytes_max: 4000", TWO, &vendor, &free).await;
    let waiting = ask(&gateway, "greedy-key", body_of("held/m", 2500));
    let meanwhile = async {
        gate.reached().await;
        let refused = ask(&gateway, "greedy-key", body_of("free/m", 600)).await.rest().await;
        check_refusal(&refused, 429, "over_fair_share");
        let other = ask(&gateway, "modest-key", body_of("free/m", 1200)).await.rest().await;
        assert_eq!(other.content(), "served");
        gate.open();
    };
    let (answer, ()) = tokio::join!(waiting, meanwhile);
    assert_eq!(answer.rest().await.content(), "late");
}

#[tokio::test]
async fn operators_are_answered_by_a_gateway_that_is_full() {
    let (vendor, free) = (Vendor::start().await, Steady::start("served").await);
    let gateway = gateway("calls_max: 1", TWO, &vendor, &free).await;
    let (stream, gate) = held(&gateway, "greedy-key", &vendor).await;
    check_refusal(&chat(&gateway, "modest-key", "free/m").await, 503, "overloaded");
    for path in ["/livez", "/readyz", "/metrics", "/admin/upstreams"] {
        assert_eq!(gateway.admin_get(path).await.status, 200, "{path}");
    }
    gate.open();
    assert!(stream.rest().await.whole);
}
