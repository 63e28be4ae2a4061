//! Bounds on what clients may send, hold and ignore: beyond each there is a clear answer, or the connection ends.

use crate::support::client::{open, request};
use crate::support::{Gate, Gateway, Reply, Steady, Vendor, delta, finish, until, within};

const POST: &str = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n";

/// A gateway in front of a vendor that always answers, within `limits`.
async fn limited(limits: &str) -> (Gateway, Steady) {
    let vendor = Steady::start("served").await;
    (Gateway::start(&config(limits, &vendor.url())).await, vendor)
}

fn config(limits: &str, url: &str) -> String {
    format!(
        "default_upstream: v\nlimits: {{ {limits} }}\nupstreams:\n  v: {{ vendor: openai-compatible, base_url: \"{url}\" }}\n"
    )
}

/// A call of exactly so many bytes.
fn body_of(length: usize) -> String {
    let empty = r#"{"model":"v/m","pad":""}"#;
    format!(r#"{{"model":"v/m","pad":"{}"}}"#, "x".repeat(length - empty.len()))
}

/// The status and the error code of what came over a raw connection.
fn status_and_code(came: &str) -> (&str, String) {
    let status = came.strip_prefix("HTTP/1.1 ").and_then(|it| it.get(..3)).unwrap_or(came);
    let body = came.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    (status, json["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_limit_and_no_longer() {
    let (gateway, vendor) = limited("body_bytes_max: 2048").await;
    assert_eq!(gateway.post("/v1/chat/completions", body_of(2048)).await.status, 200);
    let answer = gateway.post("/v1/chat/completions", body_of(2049)).await;
    assert_eq!((answer.status.as_u16(), answer.error()["code"].as_str()), (413, Some("request_too_large")));
    assert!(answer.error()["message"].as_str().unwrap().contains("limits.body_bytes_max"));
    assert_eq!(vendor.seen().len(), 1);
    assert_eq!(gateway.metric("tollgate_refused_total", &[("reason", "bad_request")]).await, 1.0);
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_unread() {
    let (gateway, vendor) = limited("body_bytes_max: 2048").await;
    let mut raw = gateway.raw().await;
    raw.write(format!("{POST}Expect: 100-continue\r\nContent-Length: 100000000\r\n\r\n")).await;
    let came = raw.rest().await;
    assert_eq!(status_and_code(&came), ("413", "request_too_large".into()), "{came}");
    // A connection that will not be read on must not be reused.
    assert!(came.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{came}");
    assert!(vendor.seen().is_empty());
}

#[tokio::test]
async fn a_client_that_pushes_on_still_reads_why_it_was_refused() {
    let (gateway, vendor) = limited("body_bytes_max: 2048").await;
    let body = body_of(8 << 20);
    let mut raw = gateway.raw().await;
    raw.write(format!("{POST}Content-Length: {}\r\n\r\n{body}", body.len())).await;
    assert_eq!(status_and_code(&raw.rest().await), ("413", "request_too_large".into()));
    assert!(vendor.seen().is_empty());
}

#[tokio::test]
async fn a_chunked_body_is_measured_as_it_comes() {
    let (gateway, vendor) = limited("body_bytes_max: 2048").await;
    let mut raw = gateway.raw().await;
    raw.write(format!("{POST}Transfer-Encoding: chunked\r\n\r\n")).await;
    for _ in 0..3 {
        raw.write(format!("400\r\n{}\r\n", "x".repeat(1024))).await;
    }
    // Refused before its end, which never comes.
    let came = raw.rest().await;
    assert_eq!(status_and_code(&came), ("413", "request_too_large".into()), "{came}");
    assert!(vendor.seen().is_empty());
}

#[tokio::test]
async fn headers_within_the_limit_pass_and_longer_ones_get_431() {
    let (gateway, vendor) = limited("header_bytes_max: 8192").await;
    for (length, status) in [(6_000, 200), (12_000, 431), (60_000, 431), (200_000, 431)] {
        let mut raw = gateway.raw().await;
        let head = format!(
            "GET /v1/files HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-A: {}\r\n\r\n",
            "a".repeat(length)
        );
        let _ =
            within("a write", tokio::io::AsyncWriteExt::write_all(&mut raw.stream, head.as_bytes())).await;
        let came = raw.rest().await;
        assert_eq!(status_and_code(&came).0, status.to_string(), "{length} bytes of headers");
    }
    assert_eq!(vendor.seen().len(), 1);
}

#[tokio::test]
async fn more_header_lines_than_anyone_needs_get_431() {
    let (gateway, vendor) = limited("header_bytes_max: 8192").await;
    let mut raw = gateway.raw().await;
    raw.write(format!("GET /v1/files HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X-A: a\r\n".repeat(500))).await;
    assert_eq!(status_and_code(&raw.rest().await).0, "431");
    assert!(vendor.seen().is_empty());
}

#[tokio::test]
async fn a_head_that_does_not_end_gets_408() {
    let (gateway, _vendor) = limited("header_read_ms: 200").await;
    let mut raw = gateway.raw().await;
    raw.write("POST /v1/chat/completions HTTP/1.1\r\nHo").await;
    assert_eq!(status_and_code(&raw.rest().await), ("408", "timeout".into()));
}

#[tokio::test]
async fn the_head_of_a_later_request_has_the_same_time() {
    let (gateway, _vendor) = limited("header_read_ms: 200").await;
    let mut raw = gateway.raw().await;
    raw.write("GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    raw.read_until("\"data\"").await;
    raw.write("GET /v1/models HTTP/1.1\r\nHo").await;
    assert!(raw.rest().await.contains("HTTP/1.1 408 "), "{}", raw.text());
}

#[tokio::test]
async fn a_client_that_says_nothing_is_left_without_a_word() {
    let (gateway, _vendor) = limited("header_read_ms: 200, keepalive_ms: 200").await;
    assert_eq!(gateway.raw().await.rest().await, "");
    // The same between two requests.
    let mut raw = gateway.raw().await;
    raw.write("GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(raw.rest().await.matches("HTTP/1.1 ").count(), 1);
}

#[tokio::test]
async fn a_body_that_stops_coming_gets_408_whoever_reads_it() {
    let (gateway, vendor) = limited("body_read_ms: 200").await;
    for (head, body) in [
        (format!("{POST}Content-Length: 20\r\n"), "{"),
        (format!("{POST}Transfer-Encoding: chunked\r\n"), "1\r\n{\r\n"),
        ("POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n".to_owned(), "{"),
    ] {
        let mut raw = gateway.raw().await;
        raw.write(format!("{head}\r\n{body}")).await;
        let came = raw.rest().await;
        assert_eq!(status_and_code(&came), ("408", "request_timeout".into()), "{head}: {came}");
    }
    // It was the client who failed, not the upstream.
    assert_eq!(gateway.metric("tollgate_attempts_total", &[]).await, 0.0);
    assert_eq!(gateway.upstream("v").await["circuit"], "closed");
    assert!(vendor.seen().iter().all(|it| !it.body_complete));
}

#[tokio::test]
async fn beyond_calls_max_a_call_is_told_when_to_come_back() {
    let gate = Gate::new();
    let vendor =
        Vendor::with([Reply::stream([delta("a")]).gate(&gate).piece(finish()).done(), Reply::chat("after")])
            .await;
    let gateway = Gateway::start(&config("calls_max: 1", &vendor.url())).await;
    let mut stream = gateway.open_stream("v/m").await;
    stream.read_until("\"a\"").await;
    let refused = gateway.chat("v/m").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.error()["code"], "overloaded");
    assert_eq!(gateway.metric("tollgate_refused_total", &[("reason", "overloaded")]).await, 1.0);
    gate.open();
    assert!(stream.rest().await.text().contains("[DONE]"));
    until("the place to be free", async || gateway.metric("tollgate_calls_in_flight", &[]).await == 0.0)
        .await;
    assert_eq!(gateway.chat("v/m").await.content(), "after");
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place() {
    let vendor = Vendor::with([Reply::stream([delta("a")]).then_stall(), Reply::chat("after")]).await;
    let gateway = Gateway::start(&config("calls_max: 1", &vendor.url())).await;
    let mut stream = gateway.open_stream("v/m").await;
    stream.read_until("\"a\"").await;
    drop(stream);
    vendor.client_gone(0).await;
    until("the place to be free", async || gateway.metric("tollgate_calls_in_flight", &[]).await == 0.0)
        .await;
    assert_eq!(gateway.chat("v/m").await.content(), "after");
}

#[tokio::test]
async fn beyond_connections_max_a_client_waits_for_another_to_leave() {
    const GET: &str = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (gateway, _vendor) = limited("connections_max: 1").await;
    let mut first = gateway.raw().await;
    first.write(GET).await;
    first.read_until("\"data\"").await;
    let mut second = gateway.raw().await;
    second.write(GET).await;
    for served in 2..10 {
        first.write(GET).await;
        while first.text().matches("\"data\"").count() < served {
            within("an answer", tokio::io::AsyncReadExt::read_buf(&mut first.stream, &mut first.so_far))
                .await
                .unwrap();
        }
    }
    assert_eq!(gateway.metric("tollgate_connections_open", &[]).await, 1.0);
    let none = second.stream.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(none.kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    second.read_until("\"data\"").await;
}

#[tokio::test]
async fn a_client_that_takes_no_bytes_is_left_and_its_vendor_too() {
    let vendor =
        Vendor::with([Reply::stream([delta("a")]).flood(&delta(&"x".repeat(4_000)), 256 << 20)]).await;
    let gateway = Gateway::start(&config("write_stall_ms: 300", &vendor.url())).await;
    let mut stream = gateway.open_stream("v/m").await;
    stream.read_until("\"a\"").await;
    vendor.client_gone(0).await;
    assert_eq!(gateway.call_line(0).await["ended"], "client_gone");
    assert!(!stream.rest().await.whole);
}

#[tokio::test]
async fn a_stream_flows_though_the_next_request_waits_behind_it() {
    let gate = Gate::new();
    let vendor = Vendor::with([Reply::stream([delta("first")]).gate(&gate).piece(finish()).done()]).await;
    let gateway = Gateway::start(&config("", &vendor.url())).await;
    let mut raw = gateway.raw().await;
    let body = r#"{"model":"v/m","stream":true}"#;
    let next = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    raw.write(format!("{POST}Content-Length: {}\r\n\r\n{body}{next}", body.len())).await;
    // The vendor says no more until this has come.
    raw.read_until("first").await;
    gate.open();
    raw.read_until("[DONE]").await;
    raw.read_until("\"data\":[").await;
}

#[tokio::test]
async fn a_body_that_is_no_good_json_gets_400_and_the_reason() {
    let (gateway, vendor) = limited("json_depth_max: 16").await;
    let nested =
        |depth: usize| format!(r#"{{"model":"v/m","a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let cases = [
        (r#"{"model":"v/m"} x"#.to_owned(), "invalid_json", None),
        (r#"{"model":"v/m"}{"model":"v/n"}"#.to_owned(), "invalid_json", None),
        (r#"{"model":"v/m""#.to_owned(), "invalid_json", None),
        (r#"[{"model":"v/m"}]"#.to_owned(), "invalid_json", None),
        ("\"v/m\"".to_owned(), "invalid_json", None),
        (String::new(), "invalid_json", None),
        (nested(16), "", None),
        (r#"{"model":7}"#.to_owned(), "", Some("model")),
        (r#"{"model":["v/m"]}"#.to_owned(), "", Some("model")),
        (r#"{"model":"v/m","stream":"true"}"#.to_owned(), "", Some("stream")),
        (r#"{"model":"v/m","stream":1}"#.to_owned(), "", Some("stream")),
        (r#"{"model":"v/m","model":"v/n"}"#.to_owned(), "", Some("model")),
        (r#"{"model":"v/m","stream":true,"stream":false}"#.to_owned(), "", Some("stream")),
        (r#"{"messages":[]}"#.to_owned(), "missing_model", Some("model")),
        (r#"{"model":null}"#.to_owned(), "missing_model", Some("model")),
        (r#"{"messages":[{"model":"v/m"}]}"#.to_owned(), "missing_model", Some("model")),
    ];
    for (body, code, param) in cases {
        let answer = gateway.post("/v1/chat/completions", body.clone()).await;
        let error = answer.error();
        assert_eq!(
            (answer.status.as_u16(), error["type"].as_str()),
            (400, Some("invalid_request_error")),
            "{body}"
        );
        assert!(code.is_empty() || error["code"] == code, "{body}: {error}");
        assert!(param.is_none() || error["param"].as_str() == param, "{body}: {error}");
    }
    assert!(vendor.seen().is_empty());
    assert_eq!(gateway.post("/v1/chat/completions", nested(14)).await.status, 200);
}

#[tokio::test]
async fn a_compressed_body_that_must_be_read_gets_415() {
    let (gateway, vendor) = limited("").await;
    let call = async |path: &str, coding: &str| {
        let headers = [("content-type", "application/json"), ("content-encoding", coding)];
        let sent = request(gateway.calls, http::Method::POST, path, &headers, r#"{"model":"v/m"}"#);
        open(gateway.calls, sent).await.rest().await
    };
    for coding in ["gzip", "zstd", "br", "deflate, gzip"] {
        let answer = call("/v1/chat/completions", coding).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error()["code"].as_str()),
            (415, Some("unsupported_encoding"))
        );
    }
    assert!(vendor.seen().is_empty());
    for coding in ["identity", "Identity"] {
        assert_eq!(call("/v1/chat/completions", coding).await.status, 200, "{coding}");
    }
}
