//! Identical calls in flight share one upstream call, where a route says so: what is shared and what never is, and who may
//! leave without harm to the others.

use std::collections::HashSet;

use http::Method;
use tokio::task::JoinHandle;

use crate::support::client::{Answer, Open, open, request};
use crate::support::{Gate, Gateway, Reply, Vendor, delta, finish, role, until, usage, within};

const CLIENTS: &str = "clients: { one: { keys: [key-1, key-1b] }, two: { key: key-2 } }\n";

/// A route `same` that shares, one that does so because of its own temperature, and one that does not.
async fn gateway(vendor: &Vendor, more: &str) -> Gateway {
    let url = vendor.url();
    let yaml = format!(
        "upstreams:\n  v: {{ vendor: openai-compatible, base_url: \"{url}\" }}\n\
         routes:\n\
         \x20 - {{ model: same, targets: [v/m], single_flight: true }}\n\
         \x20 - {{ model: cool, targets: [v/m], single_flight: true, defaults: {{ temperature: 0 }} }}\n\
         \x20 - {{ model: apart, targets: [v/m] }}\n{CLIENTS}{more}"
    );
    Gateway::start(&yaml).await
}

fn body(model: &str, stream: bool) -> String {
    format!(r#"{{"model":"{model}","temperature":0,"messages":[],"stream":{stream}}}"#)
}

const CHAT: &str = "/v1/chat/completions";

async fn ask(gateway: &Gateway, key: &str, path: &str, body: String) -> Open {
    asking(gateway, key, path, body, &[]).await.unwrap()
}

/// A call under way.
fn asking(
    gateway: &Gateway,
    key: &str,
    path: &str,
    body: String,
    headers: &[(&str, &str)],
) -> JoinHandle<Open> {
    let bearer = format!("Bearer {key}");
    let headers =
        [&[("content-type", "application/json"), ("authorization", bearer.as_str())], headers].concat();
    let (to, request) = (gateway.calls, request(gateway.calls, Method::POST, path, &headers, body));
    tokio::spawn(open(to, request))
}

async fn answer(call: JoinHandle<Open>) -> Answer {
    within("an answer", call).await.unwrap().rest().await
}

async fn shared(gateway: &Gateway, calls: usize) {
    let count = async || gateway.metric("tollgate_shared_calls_total", &[]).await;
    until("calls to join", async || count().await == calls as f64).await;
}

#[tokio::test]
async fn fifty_identical_calls_are_one_for_the_vendor() {
    let gate = Gate::new();
    let vendor =
        Vendor::with([Reply::chat("one").header("x-request-id", "vendor-1").gate_first(&gate)]).await;
    let gateway = gateway(&vendor, "").await;
    let calls: Vec<_> = (0..50).map(|_| asking(&gateway, "key-1", CHAT, body("same", false), &[])).collect();
    shared(&gateway, 49).await;
    gate.open();
    let (mut ids, mut leaders) = (HashSet::new(), 0);
    for call in calls {
        let answer = answer(call).await;
        assert_eq!((answer.status.as_u16(), answer.content().as_str()), (200, "one"));
        let lengths = (answer.header("content-length").is_some(), answer.header("transfer-encoding"));
        assert_eq!(lengths, (true, None));
        ids.insert(answer.header("x-tollgate-request-id").unwrap().to_owned());
        match answer.header("x-tollgate-shared") {
            None => {
                leaders += 1;
                assert_eq!(answer.header("x-request-id"), Some("vendor-1"));
                assert_eq!(answer.served_by(), ("v", "1"));
            }
            Some(said) => {
                assert_eq!((said, answer.served_by()), ("1", ("v", "-")));
                assert_eq!(answer.header("x-request-id"), answer.header("x-tollgate-request-id"));
            }
        }
    }
    assert_eq!((ids.len(), leaders, vendor.calls()), (50, 1, 1));
    check_lines(&gateway, 50).await;
    assert_eq!(gateway.metric("tollgate_shared_calls_total", &[("route", "same")]).await, 49.0);
    assert_eq!(gateway.metric("tollgate_requests_total", &[]).await, 1.0);
    assert_eq!(gateway.metric("tollgate_tokens_total", &[("kind", "input")]).await, 7.0);
}

/// Each call has a line; one has the usage.
async fn check_lines(gateway: &Gateway, calls: usize) {
    let mut with_usage = 0;
    for index in 0..calls {
        let line = gateway.call_line(index).await;
        assert_eq!((line["ended"].as_str(), line["status"].as_u64()), (Some("complete"), Some(200)));
        assert_eq!((line["upstream"].as_str(), line["route"].as_str()), (Some("v"), Some("same")));
        let leads = line["shared"].is_null();
        assert_eq!(line["attempts"], u64::from(leads));
        assert_eq!(line["input_tokens"].is_u64(), leads);
        with_usage += usize::from(leads);
    }
    assert_eq!(with_usage, 1);
}

#[tokio::test]
async fn streams_are_shared_from_the_first_byte_whenever_one_joins() {
    let (first, second) = (Gate::new(), Gate::new());
    let reply = Reply::stream([role(), delta("a")]).gate(&first).piece(delta("b")).gate(&second);
    let vendor = Vendor::with([reply.pieces([finish(), usage(7, 2)]).done()]).await;
    let gateway = gateway(&vendor, "").await;
    let mut calls = vec![ask(&gateway, "key-1", CHAT, body("same", true)).await];
    calls[0].read_until("\"a\"").await;
    calls.push(ask(&gateway, "key-1b", CHAT, body("same", true)).await);
    first.open();
    calls[1].read_until("\"b\"").await;
    calls.push(ask(&gateway, "key-1", CHAT, body("same", true)).await);
    calls[2].read_until("\"b\"").await;
    second.open();
    let mut texts = Vec::new();
    for call in calls {
        let answer = call.rest().await;
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        texts.push(answer.text());
    }
    assert_eq!(texts[0], [role(), delta("a"), delta("b"), finish()].concat() + "data: [DONE]\n\n");
    assert!(texts.iter().all(|it| *it == texts[0]), "{texts:?}");
    check_lines(&gateway, 3).await;
    assert_eq!(gateway.metric("tollgate_tokens_total", &[("kind", "output")]).await, 2.0);
}

#[tokio::test]
async fn who_asked_may_leave_and_the_others_get_their_answer() {
    for stream in [false, true] {
        let gate = Gate::new();
        let reply = match stream {
            false => Reply::chat("all").gate_first(&gate),
            true => Reply::stream([delta("begun")]).gate(&gate).pieces([delta("all"), finish()]).done(),
        };
        let vendor = Vendor::with([reply]).await;
        let gateway = gateway(&vendor, "").await;
        let leader = asking(&gateway, "key-1", CHAT, body("same", stream), &[]);
        gate.reached().await;
        let follower = asking(&gateway, "key-1", CHAT, body("same", stream), &[]);
        shared(&gateway, 1).await;
        leader.abort();
        drop(leader.await);
        // What is left is the connection of the other.
        until("the leader's leaving", async || gateway.metric("tollgate_connections_open", &[]).await == 1.0)
            .await;
        gate.open();
        let answer = answer(follower).await;
        assert!(answer.whole && answer.text().contains("\"all\""), "{}", answer.text());
        assert_eq!(answer.header("x-tollgate-shared"), Some("1"));
        assert!(vendor.seen().iter().all(|it| !it.client_gone));
    }
}

#[tokio::test]
async fn when_all_have_left_the_vendor_is_left_too() {
    let vendor = Vendor::with([Reply::stream([delta("a")]).then_stall(), Reply::chat("anew")]).await;
    let gateway = gateway(&vendor, "").await;
    let mut calls = Vec::new();
    for _ in 0..3 {
        let mut call = ask(&gateway, "key-1", CHAT, body("same", true)).await;
        call.read_until("\"a\"").await;
        calls.push(call);
    }
    drop(calls);
    vendor.client_gone(0).await;
    for index in 0..3 {
        assert_eq!(gateway.call_line(index).await["ended"], "client_gone");
    }
    let answer = ask(&gateway, "key-1", CHAT, body("same", true)).await.rest().await;
    assert_eq!((answer.content().as_str(), answer.header("x-tollgate-shared")), ("anew", None));
}

/// Whether two calls are one for the vendor. Each is held until both are there.
async fn are_one(first: (&str, &str, String), second: (&str, &str, String), headers: [&str; 2]) -> bool {
    let (gate, other) = (Gate::new(), Gate::new());
    let vendor = Vendor::with([Reply::chat("x").gate_first(&gate)]).await;
    vendor.otherwise(Reply::chat("y").gate_first(&other));
    let gateway = gateway(&vendor, "").await;
    let header = |value| [("openai-beta", value), ("user-agent", value)];
    let first = asking(&gateway, first.0, first.1, first.2, &header(headers[0])[..]);
    gate.reached().await;
    let second = asking(&gateway, second.0, second.1, second.2, &header(headers[1])[..]);
    let joined = tokio::select! {
        () = shared(&gateway, 1) => true,
        () = other.reached() => false,
    };
    gate.open();
    other.open();
    let (first, second) = (answer(first).await, answer(second).await);
    assert_eq!(first.text() == second.text(), joined);
    assert_eq!(vendor.calls(), if joined { 1 } else { 2 });
    joined
}

#[tokio::test]
async fn only_what_is_the_same_in_every_respect_is_shared() {
    let same = || body("same", false);
    let call = |key, body: String| (key, CHAT, body);
    let plain = ["b", "b"];
    assert!(are_one(call("key-1", same()), call("key-1b", same()), plain).await, "two keys of one client");
    assert!(!are_one(call("key-1", same()), call("key-2", same()), plain).await, "two clients");
    assert!(!are_one(call("key-1", same()), call("key-1", same() + " "), plain).await, "two bodies");
    assert!(!are_one(call("key-1", same()), call("key-1", same()), ["b", "c"]).await, "two betas");
    let apart = || body("apart", false);
    assert!(!are_one(call("key-1", apart()), call("key-1", apart()), plain).await, "no such route");
    let query = ("key-1", "/v1/chat/completions?a=b", same());
    assert!(!are_one(call("key-1", same()), query, plain).await, "two paths");
}

#[tokio::test]
async fn only_what_is_meant_to_come_out_the_same_is_shared() {
    let with = |model: &str, temperature: &str| format!(r#"{{"model":"{model}"{temperature},"input":"a"}}"#);
    for (path, model, temperature, expected) in [
        (CHAT, "same", r#","temperature":0.0"#, true),
        (CHAT, "same", r#","temperature":1"#, false),
        (CHAT, "same", r#","temperature":null"#, false),
        (CHAT, "same", "", false),
        (CHAT, "cool", "", true),
        (CHAT, "cool", r#","temperature":0.7"#, false),
        ("/v1/completions", "same", r#","temperature":0"#, true),
        ("/v1/embeddings", "same", "", true),
        ("/v1/responses", "same", r#","temperature":0"#, false),
    ] {
        let call = || ("key-1", path, with(model, temperature));
        let joined = are_one(call(), call(), ["b", "b"]).await;
        assert_eq!(joined, expected, "{path} {model} {temperature}");
    }
}

#[tokio::test]
async fn a_failure_is_shared_as_well() {
    let gate = Gate::new();
    let refusal = Reply::status(429, "slow down").header("retry-after", "7").gate_first(&gate);
    let vendor = Vendor::with([refusal]).await;
    let gateway = gateway(&vendor, "").await;
    let calls = [0, 1, 2].map(|_| asking(&gateway, "key-1", CHAT, body("same", false), &[]));
    shared(&gateway, 2).await;
    gate.open();
    let mut bodies = HashSet::new();
    for call in calls {
        let answer = answer(call).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("7")));
        bodies.insert(answer.text());
    }
    assert_eq!((bodies.len(), vendor.calls()), (1, 1));
    for index in 0..3 {
        let line = gateway.call_line(index).await;
        assert_eq!((line["ended"].as_str(), line["error"].as_str()), (Some("failed"), Some("rate_limited")));
        assert_eq!(line["status"], 429);
    }
}

#[tokio::test]
async fn a_cut_is_told_to_all_who_read() {
    let gate = Gate::new();
    let vendor = Vendor::with([Reply::stream([delta("a")]).gate(&gate).then_cut()]).await;
    let gateway = gateway(&vendor, "").await;
    let calls = [0, 1].map(|_| asking(&gateway, "key-1", CHAT, body("same", true), &[]));
    shared(&gateway, 1).await;
    gate.open();
    for call in calls {
        let text = answer(call).await.text();
        assert!(text.contains("upstream_cut") && !text.contains("[DONE]"), "{text}");
    }
    for index in 0..2 {
        assert_eq!(gateway.call_line(index).await["ended"], "cut");
    }
}

#[tokio::test]
async fn an_answer_too_long_to_keep_takes_nobody_on_any_more() {
    let gate = Gate::new();
    let long = delta(&"x".repeat(5_000));
    let vendor = Vendor::with([
        Reply::stream([delta("a")]).piece(long.clone()).gate(&gate).piece(finish()).done(),
        Reply::chat("of its own"),
    ])
    .await;
    let gateway = gateway(&vendor, "limits: { answer_bytes_max: 4096 }\n").await;
    let mut first = ask(&gateway, "key-1", CHAT, body("same", true)).await;
    first.read_until(&long).await;
    let second = ask(&gateway, "key-1", CHAT, body("same", true)).await.rest().await;
    assert_eq!((second.content().as_str(), second.header("x-tollgate-shared")), ("of its own", None));
    gate.open();
    assert_eq!(first.rest().await.text(), delta("a") + &long + &finish() + "data: [DONE]\n\n");
}

#[tokio::test]
async fn a_reader_that_stops_holds_the_others_up_until_it_is_ended() {
    let gate = Gate::new();
    let flood = Reply::stream([delta("a")]).gate(&gate).flood(&delta(&"x".repeat(16_000)), 48 << 20);
    let vendor = Vendor::with([flood.piece(finish()).done()]).await;
    let gateway = gateway(&vendor, "limits: { answer_bytes_max: 65536, write_stall_ms: 300 }\n").await;
    let mut stopped = ask(&gateway, "key-1", CHAT, body("same", true)).await;
    stopped.read_until("\"a\"").await;
    let other = ask(&gateway, "key-1", CHAT, body("same", true)).await;
    gate.open();
    let answer = other.rest().await;
    assert!(answer.whole && answer.body.ends_with(b"data: [DONE]\n\n"), "{} bytes", answer.body.len());
    assert!(answer.body.len() > 47 << 20);
    assert!(!stopped.rest().await.whole);
}

#[tokio::test]
async fn nothing_is_kept_once_a_call_is_over() {
    let vendor = Vendor::with([Reply::chat("first"), Reply::chat("second")]).await;
    let gateway = gateway(&vendor, "").await;
    for said in ["first", "second"] {
        let answer = ask(&gateway, "key-1", CHAT, body("same", false)).await.rest().await;
        assert_eq!((answer.content().as_str(), answer.header("x-tollgate-shared")), (said, None));
    }
}
