//! Uploads that take as long as their client needs: no timer of the vendor's runs meanwhile, and nothing that goes wrong
//! on the client's side is held against the vendor.

use serde_json::Value;

use crate::support::{Clock, Gateway, Raw, Reply, Seen, Vendor, over, until};

/// The vendor's time, shorter than one tick of the clock; one failure would open the circuit.
const STRICT: &str = "timeouts: { first_byte_ms: 150 }\n\
                      circuit: { failures: 1, open_ms: 600000, open_ms_max: 600000 }\ndefault_upstream: a\n";
const TICK_MS: u64 = 450;

const FORM: &str = "content-type: multipart/form-data; boundary=b1\r\n";

/// A form of two parts, the model first.
fn form(model: &str) -> String {
    let part = |name: &str, value: &str| {
        format!("--b1\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    part("model", model) + &part("file", &"x".repeat(3_000)) + "--b1--\r\n"
}

async fn begin(gateway: &Gateway, path: &str, headers: &str) -> Raw {
    let mut raw = gateway.raw().await;
    raw.write(format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n")).await;
    raw
}

/// How many of its bytes the vendor has of the `index`th request.
fn has(index: usize, count: usize) -> impl FnMut(&[Seen]) -> bool {
    move |it| it.get(index).is_some_and(|it| it.body.len() >= count)
}

async fn check_unharmed(gateway: &Gateway) {
    assert_eq!(gateway.upstream("a").await["circuit"], "closed");
    let opened = gateway.log_lines().iter().any(|it| it["event"] == "circuit_open" && it["upstream"] == "a");
    assert!(!opened);
    for outcome in ["timeout", "reset", "cut"] {
        let failed = [("upstream", "a"), ("outcome", outcome)];
        assert_eq!(gateway.metric("tollgate_attempts_total", &failed).await, 0.0, "{outcome}");
    }
}

/// Sends `body` in two halves with a tick of the clock between them.
async fn check_slow_upload(path: &str, headers: &str, body: &str) {
    let (a, clock) = (Vendor::with([Reply::json(200, r#"{"id":"done"}"#)]).await, Clock::start().await);
    let gateway = Gateway::start(&clock.beside(&over(&[("a", &a.url())], STRICT), TICK_MS)).await;
    let headers = format!("{headers}content-length: {}\r\n", body.len());
    let mut upload = begin(&gateway, path, &headers).await;
    upload.write(&body[..1_000]).await;
    a.wait_until("the first half", has(0, 1_000)).await;
    clock.tick(&gateway).await;
    upload.write(&body[1_000..]).await;
    upload.read_until(r#"{"id":"done"}"#).await;
    assert!(upload.text().starts_with("HTTP/1.1 200 "), "{}", upload.text());
    assert!(a.request(0).await.text().ends_with(&body[1_000..]));
    check_unharmed(&gateway).await;
}

/// The vendor cannot answer what it has not got: a client on a slow line ran into the vendor's timer, got 504 for its
/// trouble and took the upstream out of service for everybody else.
#[tokio::test]
async fn a_slow_upload_does_not_run_into_the_vendors_timer() {
    check_slow_upload("/v1/audio/transcriptions", FORM, &form("smart")).await;
    check_slow_upload("/v1/files", "content-type: application/octet-stream\r\n", &"x".repeat(3_000)).await;
    check_slow_upload("/v1/uploads/u-1/parts", FORM, &form("left alone")).await;
}

/// Once the vendor has everything its time does run.
#[tokio::test]
async fn the_vendors_timer_runs_from_the_end_of_a_slow_upload() {
    let (a, clock) = (Vendor::with([Reply::hang()]).await, Clock::start().await);
    let gateway = Gateway::start(&clock.beside(&over(&[("a", &a.url())], STRICT), TICK_MS)).await;
    let mut upload = begin(&gateway, "/v1/files", "content-length: 8\r\n").await;
    upload.write("slow").await;
    a.wait_until("the first half", has(0, 4)).await;
    clock.tick(&gateway).await;
    upload.write("down").await;
    upload.read_until("`timeouts.first_byte_ms`").await;
    assert!(upload.text().starts_with("HTTP/1.1 504 "), "{}", upload.text());
    assert_eq!(gateway.upstream("a").await["circuit"], "open");
}

/// A body that breaks the rules halfway is its client's doing: the client is told so, and the vendor gets no verdict.
#[tokio::test]
async fn an_upload_that_its_client_breaks_is_not_held_against_the_vendor() {
    let a = Vendor::with([Reply::hang(), Reply::hang()]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], STRICT)).await;
    let mut upload = begin(&gateway, "/v1/files", "transfer-encoding: chunked\r\n").await;
    upload.write("4\r\nhalf\r\n").await;
    a.wait_until("the beginning", has(0, 4)).await;
    upload.write("no length\r\n").await;
    assert!(upload.rest().await.starts_with("HTTP/1.1 400 "), "{}", upload.text());
    a.client_gone(0).await;
    let line = gateway.call_line(0).await;
    assert_eq!((&line["error"], &line["failed"]), (&"bad_request".into(), &Value::Null), "{line}");
    // One that breaks off in the middle shows as little.
    let mut upload = begin(&gateway, "/v1/files", "content-length: 1000\r\n").await;
    upload.write("half").await;
    a.wait_until("the beginning", has(1, 4)).await;
    drop(upload);
    a.client_gone(1).await;
    gateway.call_line(1).await;
    check_unharmed(&gateway).await;
}

/// It shows nothing of a vendor on trial either: neither that it is back nor that it is still down.
#[tokio::test]
async fn a_trial_whose_client_breaks_its_upload_is_given_back() {
    let a = Vendor::with([Reply::status(503, "busy"), Reply::hang(), Reply::chat("back")]).await;
    let more = "circuit: { failures: 1, open_ms: 50, open_ms_max: 600000 }\ndefault_upstream: a\n";
    let gateway = Gateway::start(&over(&[("a", &a.url())], more)).await;
    gateway.chat("smart").await;
    until("a half-open circuit", async || gateway.upstream("a").await["circuit"] == "half_open").await;
    let mut upload = begin(&gateway, "/v1/files", "transfer-encoding: chunked\r\n").await;
    upload.write("4\r\nhalf\r\n").await;
    a.wait_until("the beginning", has(1, 4)).await;
    upload.write("no length\r\n").await;
    assert!(upload.rest().await.starts_with("HTTP/1.1 400 "), "{}", upload.text());
    assert_eq!(gateway.upstream("a").await["circuit"], "half_open");
    assert_eq!(gateway.chat("smart").await.content(), "back");
    gateway.event_line("circuit_closed").await;
    assert_eq!(gateway.log_lines().iter().filter(|it| it["event"] == "circuit_open").count(), 1);
}
