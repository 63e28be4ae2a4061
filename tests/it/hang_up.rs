//! A client that leaves takes its call with it: in every phase the vendor is hung up on, which stops the bill.

use std::time::{Duration, Instant};

use crate::support::{Gateway, Open, Reply, Vendor, delta, over, role};

/// The promise: within a second.
const PROMISE: Duration = Duration::from_secs(1);

async fn check_gone(vendor: &Vendor, gateway: &Gateway, left: Instant) {
    vendor.client_gone(0).await;
    assert!(left.elapsed() < PROMISE, "it took {:?}", left.elapsed());
    let line = gateway.call_line(0).await;
    assert_eq!(line["ended"], "client_gone", "{line}");
    // A client's leaving says nothing about the vendor.
    assert_eq!(line.get("failed"), None, "{line}");
    assert_eq!(gateway.metric("tollgate_attempts_total", &[("outcome", "reset")]).await, 0.0);
    assert_eq!(gateway.metric("tollgate_calls_in_flight", &[]).await, 0.0);
}

/// A client that leaves while it waits for the head of its answer.
async fn check_waiting(reply: Reply, stream: bool, wanted: fn(&Vendor) -> bool) {
    let (a, b) = (Vendor::with([reply]).await, Vendor::start().await);
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    tokio::select! {
        _ = gateway.open_post("/v1/chat/completions", crate::support::client::chat_body("smart", stream)) => {
            panic!("an answer came")
        }
        _ = a.wait_until("the request", |_| wanted(&a)) => {}
    }
    check_gone(&a, &gateway, Instant::now()).await;
}

fn asked(vendor: &Vendor) -> bool {
    vendor.seen().first().is_some_and(|it| it.body_complete)
}

#[tokio::test]
async fn before_the_head() {
    check_waiting(Reply::hang(), false, asked).await;
    check_waiting(Reply::hang(), true, asked).await;
}

#[tokio::test]
async fn before_the_first_content() {
    check_waiting(Reply::stream([role()]).then_stall(), true, asked).await;
    check_waiting(Reply::stream([": thinking\n\n"]).then_stall(), true, asked).await;
}

#[tokio::test]
async fn in_the_middle_of_a_json_answer() {
    check_waiting(Reply::chunked(200, "application/json", ["{\"choices\":"]).then_stall(), false, asked)
        .await;
}

/// `stream` was read up to its first content.
async fn check_streaming(gateway: &Gateway, vendor: &Vendor, mut stream: Open) {
    stream.read_until("par").await;
    let left = Instant::now();
    drop(stream);
    check_gone(vendor, gateway, left).await;
}

#[tokio::test]
async fn in_the_middle_of_a_silent_stream() {
    let (a, b) = (Vendor::with([Reply::stream([delta("par")]).then_stall()]).await, Vendor::start().await);
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    let stream = gateway.open_stream("smart").await;
    check_streaming(&gateway, &a, stream).await;
}

#[tokio::test]
async fn in_the_middle_of_a_lively_stream() {
    let lively = Reply::stream([delta("par")]).every(Duration::from_millis(5), 100_000, &delta("more"));
    let a = Vendor::with([lively]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    let stream = gateway.open_stream("smart").await;
    check_streaming(&gateway, &a, stream).await;
}

/// A client that had stopped reading before it left: the gateway was waiting for it to take bytes, not for the vendor.
#[tokio::test]
async fn while_it_holds_the_stream_up() {
    let flood = Reply::stream([delta("par")]).flood(&delta(&"x".repeat(16_000)), 96 << 20);
    let a = Vendor::with([flood]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    let mut stream = gateway.open_stream("smart").await;
    stream.read_until("par").await;
    a.wait_until("the vendor's standstill", |it| it[0].stopped_at.is_some()).await;
    let left = Instant::now();
    drop(stream);
    check_gone(&a, &gateway, left).await;
}

#[tokio::test]
async fn while_comments_tell_it_to_wait() {
    let (a, b) = (Vendor::with([Reply::hang()]).await, Vendor::start().await);
    let more = "failover: { waiting_comment_ms: 100 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    let mut stream = gateway.open_stream("smart").await;
    stream.read_until(": waiting\n\n").await;
    let left = Instant::now();
    drop(stream);
    check_gone(&a, &gateway, left).await;
}

/// While its own body is still on the way to the vendor.
#[tokio::test]
async fn in_the_middle_of_an_upload() {
    let a = Vendor::with([Reply::hang()]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "default_upstream: a\n")).await;
    let mut upload = gateway.raw().await;
    upload.write("POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nthe beginning").await;
    a.wait_until("the beginning", |it| it.first().is_some_and(|it| it.body == b"the beginning")).await;
    let left = Instant::now();
    drop(upload);
    a.client_gone(0).await;
    assert!(left.elapsed() < PROMISE, "it took {:?}", left.elapsed());
    gateway.call_line(0).await;
}
