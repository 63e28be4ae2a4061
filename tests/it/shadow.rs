//! Calls mirrored to a target that is being tried: the client's call knows nothing of it, whatever the shadow does.

use crate::support::{Gate, Gateway, Reply, Steady, Vendor, delta, finish, role, until, usage};

/// A route `smart` to `model-a` at `a`, mirrored to `model-b` at `b`.
async fn gateway(a: &str, b: &str, percent: u32, more: &str) -> Gateway {
    Gateway::start(&yaml(a, b, percent, more)).await
}

fn yaml(a: &str, b: &str, percent: u32, more: &str) -> String {
    let upstream = |name: &str, url: &str| {
        format!(
            "  {name}: {{ vendor: openai-compatible, base_url: \"{url}\", circuit: {{ failures: 1 }} }}\n"
        )
    };
    let shadow = format!("{{ target: b/model-b, percent: {percent} }}");
    let route = format!("  - {{ model: smart, targets: [a/model-a], shadow: {shadow} }}\n");
    let upstreams = upstream("a", a) + &upstream("b", b);
    format!("upstreams:\n{upstreams}routes:\n{route}{more}")
}

#[tokio::test]
async fn a_mirrored_call_is_read_counted_and_thrown_away() {
    let (real, shadow) = (Steady::start("real").await, Vendor::with([Reply::chat("shadow")]).await);
    let gateway = gateway(&real.url(), &shadow.url(), 100, "").await;
    let answer = gateway.chat("smart").await;
    assert_eq!((answer.content().as_str(), answer.served_by()), ("real", ("a", "1")));
    let mirrored = shadow.request(0).await;
    assert_eq!(
        (mirrored.json()["model"].as_str(), mirrored.json()["messages"][0]["content"].as_str()),
        (Some("model-b"), Some("hi"))
    );
    let line = gateway.event_line("shadow").await;
    assert_eq!((line["upstream"].as_str(), line["upstream_model"].as_str()), (Some("b"), Some("model-b")));
    assert_eq!((line["ended"].as_str(), line["input_tokens"].as_u64()), (Some("complete"), Some(7)));
    assert_eq!(line["request_id"].as_str(), answer.header("x-tollgate-request-id"));
    let of_shadow = [("route", "smart (shadow)"), ("upstream", "b")];
    assert_eq!(gateway.metric("tollgate_requests_total", &of_shadow).await, 1.0);
    assert_eq!(gateway.metric("tollgate_requests_total", &[("route", "smart")]).await, 1.0);
    assert_eq!(gateway.call_line(0).await["upstream"], "a");
}

#[tokio::test]
async fn a_mirrored_stream_is_read_to_its_end() {
    let gate = Gate::new();
    let reply = Reply::stream([role(), delta("x")]).gate(&gate).pieces([finish(), usage(7, 2)]).done();
    let (real, shadow) = (Steady::start("real").await, Vendor::with([reply]).await);
    let gateway = gateway(&real.url(), &shadow.url(), 100, "").await;
    // The client has its answer while the shadow is still at it.
    assert_eq!(gateway.stream("smart").await.content(), "real");
    gate.reached().await;
    gate.open();
    let line = gateway.event_line("shadow").await;
    assert_eq!((line["ended"].as_str(), line["output_tokens"].as_u64()), (Some("complete"), Some(2)));
}

#[tokio::test]
async fn a_shadow_that_fails_or_hangs_harms_no_call_and_is_tried_once() {
    let (real, shadow) = (Steady::start("real").await, Vendor::with([Reply::hang()]).await);
    let gateway = gateway(&real.url(), &shadow.url(), 100, "").await;
    assert_eq!(gateway.chat("smart").await.content(), "real");
    shadow.request(0).await;
    shadow.expect(Reply::status(503, "no"));
    assert_eq!(gateway.chat("smart").await.content(), "real");
    let line = gateway.event_line("shadow").await;
    assert_eq!((line["ended"].as_str(), line["error"].as_str()), (Some("failed"), Some("vendor_failed")));
    // Its circuit is open now, so that it gets no further call; nobody was refused for its sake.
    assert_eq!(gateway.upstream("b").await["circuit"], "open");
    assert_eq!(gateway.chat("smart").await.content(), "real");
    assert_eq!((shadow.calls(), gateway.metric("tollgate_refused_total", &[]).await), (2, 0.0));
    // The one that hangs is nobody's call.
    until("no call in flight", async || gateway.metric("tollgate_calls_in_flight", &[]).await == 0.0).await;
}

#[tokio::test]
async fn so_many_mirrored_calls_are_under_way_and_no_more() {
    let (real, shadow) = (Steady::start("real").await, Vendor::start().await);
    shadow.otherwise(Reply::hang());
    let gateway = gateway(&real.url(), &shadow.url(), 100, "").await;
    for _ in 0..80 {
        assert_eq!(gateway.chat("smart").await.content(), "real");
    }
    let full = shadow.wait_until("64 mirrored calls", |it| it.len() >= 64).await;
    assert_eq!(full.len(), 64);
}

#[tokio::test]
async fn no_share_means_no_mirrored_call_and_a_stop_waits_for_none() {
    let (real, shadow) = (Steady::start("real").await, Vendor::start().await);
    let without = gateway(&real.url(), &shadow.url(), 0, "").await;
    for _ in 0..20 {
        assert_eq!(without.chat("smart").await.content(), "real");
    }
    assert_eq!(shadow.calls(), 0);
    shadow.expect(Reply::hang());
    let mut gateway = gateway(&real.url(), &shadow.url(), 100, "").await;
    assert_eq!(gateway.chat("smart").await.content(), "real");
    shadow.request(0).await;
    gateway.signal("TERM");
    assert!(gateway.wait().await.success());
    shadow.client_gone(0).await;
}

/// Two clients' jobs would be paid for, and nobody would know of the second.
#[tokio::test]
async fn what_may_leave_something_behind_is_not_mirrored() {
    let (real, shadow) = (Steady::start("real").await, Vendor::with([Reply::chat("shadow")]).await);
    let yaml = yaml(&real.url(), &shadow.url(), 100, "sessions: { store: \"off\" }\n");
    let gateway =
        Gateway::start(&yaml.replace("compatible,", "compatible, dialects: [chat, responses],")).await;
    let job = r#"{"model":"smart","training_file":"file-1"}"#;
    assert!(gateway.post("/v1/fine_tuning/jobs", job).await.status.is_success());
    let background = r#"{"model":"smart","input":"hi","background":true}"#;
    assert!(gateway.post("/v1/responses", background).await.status.is_success());
    assert_eq!(gateway.chat("smart").await.content(), "real");
    assert_eq!(shadow.request(0).await.target, "/v1/chat/completions");
}

/// It took the last place in the queue, and a client was refused for it.
#[tokio::test]
async fn a_mirrored_call_does_not_queue_before_clients() {
    let gate = Gate::new();
    let (real, shadow) = (Steady::start("real").await, Vendor::start().await);
    shadow.expect(Reply::chat("first").gate_first(&gate));
    shadow.expect(Reply::chat("second"));
    let url = shadow.url();
    let capped =
        format!("base_url: \"{url}\", concurrency: {{ calls_max: 1, queue_max: 1, queue_ms: 60000 }},");
    let yaml = yaml(&real.url(), &url, 100, "").replace(&format!("base_url: \"{url}\","), &capped);
    let gateway = Gateway::start(&yaml).await;
    let waiting = async || gateway.metric("tollgate_upstream_waiting", &[("upstream", "b")]).await == 1.0;
    let (first, second, ()) = tokio::join!(
        gateway.chat("b/m"),
        async {
            gate.reached().await;
            assert_eq!(gateway.chat("smart").await.content(), "real");
            gateway.chat("b/m").await
        },
        async {
            until("a client in the queue", waiting).await;
            gate.open();
        }
    );
    assert_eq!((first.content().as_str(), second.content().as_str()), ("first", "second"));
}
