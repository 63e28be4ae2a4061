//! How the process stops: readiness first, then a drain, then a grace, then an honest cut. And how it stands the sudden
//! end of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use http::Method;
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::client::{open, request};
use crate::support::{Gate, Gateway, Reply, Sim, Steady, Vendor, delta, finish, until};

/// More time than any test takes.
const LONG: &str = "600000";

async fn gateway(vendor: &Vendor, drain_delay_ms: &str, grace_ms: &str) -> Gateway {
    Gateway::start(&format!(
        "shutdown: {{ drain_delay_ms: {drain_delay_ms}, grace_ms: {grace_ms} }}\n\
         upstreams:\n  v: {{ vendor: openai-compatible, base_url: \"{}\" }}\n",
        vendor.url()
    ))
    .await
}

/// A stream that says `begun`, and the rest only when the gate opens.
fn held_stream(gate: &Gate) -> Reply {
    Reply::stream([delta("begun")]).gate(gate).piece(delta("ended")).piece(finish()).done()
}

/// Waits until no connection is accepted any more.
async fn closed(gateway: &Gateway) {
    until("the port to close", async || TcpStream::connect(gateway.calls).await.is_err()).await;
}

#[tokio::test]
async fn readiness_ends_at_once_while_calls_are_still_taken() {
    let vendor = Vendor::with([Reply::chat("before"), Reply::chat("during")]).await;
    let mut gateway = gateway(&vendor, LONG, LONG).await;
    assert_eq!(gateway.admin_get("/readyz").await.status, 200);
    assert_eq!(gateway.chat("v/m").await.content(), "before");
    gateway.signal("TERM");
    until("readiness to end", async || gateway.admin_get("/readyz").await.status == 503).await;
    assert_eq!(gateway.admin_get("/readyz").await.text(), "stopping\n");
    assert_eq!(gateway.admin_get("/livez").await.status, 200);
    assert_eq!(gateway.chat("v/m").await.content(), "during");
    // Whoever will not wait says so a second time.
    gateway.signal("TERM");
    gateway.wait().await;
}

#[tokio::test]
async fn a_stream_that_ends_within_the_grace_is_not_cut() {
    let gate = Gate::new();
    let vendor = Vendor::with([held_stream(&gate)]).await;
    let mut gateway = gateway(&vendor, "0", LONG).await;
    let mut stream = gateway.open_stream("v/m").await;
    stream.read_until("begun").await;
    gateway.signal("TERM");
    closed(&gateway).await;
    gate.open();
    let answer = stream.rest().await;
    assert!(answer.whole && answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    assert_eq!(gateway.wait().await.code(), Some(0));
    gateway.event_line("stopped").await;
    assert_eq!(gateway.call_line(0).await["ended"], "complete");
}

#[tokio::test]
async fn an_answer_that_has_not_begun_may_still_come_within_the_grace() {
    let gate = Gate::new();
    let vendor = Vendor::with([Reply::chat("late").gate_first(&gate)]).await;
    let mut gateway = gateway(&vendor, "0", LONG).await;
    let (answer, ()) = tokio::join!(gateway.chat("v/m"), async {
        gate.reached().await;
        gateway.signal("INT");
        closed(&gateway).await;
        gate.open();
    });
    assert_eq!(answer.content(), "late");
    assert_eq!(gateway.wait().await.code(), Some(0));
}

#[tokio::test]
async fn a_stream_beyond_the_grace_is_told_the_truth_and_recorded_so() {
    let vendor = Vendor::with([Reply::stream([delta("begun")]).then_stall()]).await;
    let mut gateway = gateway(&vendor, "0", "300").await;
    let mut stream = gateway.open_stream("v/m").await;
    stream.read_until("begun").await;
    gateway.signal("TERM");
    let answer = stream.rest().await;
    let text = answer.text();
    let last = text.trim_end().rsplit("\n\n").next().unwrap().strip_prefix("data: ").expect("an event");
    let event: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(event["error"]["code"], "gateway_stopping", "{text}");
    assert!(answer.whole && !text.contains("[DONE]"), "{text}");
    assert_eq!(gateway.wait().await.code(), Some(0));
    assert_eq!(gateway.event_line("grace_over").await["calls"], 1);
    let line = gateway.call_line(0).await;
    assert_eq!((line["ended"].as_str(), line["level"].as_str()), (Some("drained"), Some("WARN")));
    vendor.client_gone(0).await;
}

/// What several calls read is cut once, in the words of their dialect.
#[tokio::test]
async fn a_shared_stream_beyond_the_grace_is_told_so_in_its_dialect() {
    let vendor = Vendor::with([Reply::stream([delta("begun")]).then_stall()]).await;
    let mut gateway = Gateway::start(&format!(
        "shutdown: {{ drain_delay_ms: 0, grace_ms: 300 }}\n\
         upstreams:\n  v: {{ vendor: openai-compatible, base_url: \"{}\" }}\n\
         routes:\n  - {{ model: same, targets: [v/m], single_flight: true }}\n",
        vendor.url()
    ))
    .await;
    let body = json!({"model": "same", "max_tokens": 9, "temperature": 0, "stream": true,
        "messages": [{"role": "user", "content": "hi"}]});
    let mut streams = Vec::new();
    for _ in 0..8 {
        let headers = [("content-type", "application/json")];
        let asked = request(gateway.calls, Method::POST, "/v1/messages", &headers, body.to_string());
        let mut stream = open(gateway.calls, asked).await;
        stream.read_until("begun").await;
        streams.push(stream);
    }
    gateway.signal("TERM");
    for stream in streams {
        let answer = stream.rest().await;
        let text = answer.text();
        let last = text.trim_end().rsplit("\n\n").next().unwrap();
        assert!(answer.whole && last.starts_with("event: error\ndata: {\"type\":\"error\""), "{text}");
        assert!(text.matches("gateway is stopping").count() == 1, "{text}");
    }
    assert_eq!(gateway.wait().await.code(), Some(0));
    assert_eq!(vendor.calls(), 1);
    for index in 0..8 {
        assert_eq!(gateway.call_line(index).await["ended"], "drained");
    }
}

#[tokio::test]
async fn a_call_that_waits_beyond_the_grace_gets_503_and_may_be_sent_again() {
    let vendor = Vendor::with([Reply::hang()]).await;
    let mut gateway = gateway(&vendor, "0", "300").await;
    let (answer, ()) = tokio::join!(gateway.chat("v/m"), async {
        vendor.request(0).await;
        gateway.signal("TERM");
    });
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.error()["code"], "gateway_stopping");
    assert_eq!(gateway.wait().await.code(), Some(0));
    vendor.client_gone(0).await;
}

#[tokio::test]
async fn connections_that_serve_nothing_do_not_hold_up_the_end() {
    let grace = format!("shutdown: {{ drain_delay_ms: 0, grace_ms: {LONG} }}");
    let mut gateway = Gateway::start(&format!("{grace}\nlimits: {{ header_read_ms: 200 }}\n")).await;
    let mut silent = gateway.raw().await;
    let mut half = gateway.raw().await;
    half.write("GET /v1/models HT").await;
    let mut idle = gateway.raw().await;
    idle.write("GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    idle.read_until("\"data\"").await;
    gateway.signal("TERM");
    assert_eq!(gateway.wait().await.code(), Some(0));
    for raw in [&mut silent, &mut half, &mut idle] {
        raw.rest().await;
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let vendor = Vendor::with([Reply::stream([delta("begun")]).then_stall()]).await;
        let mut gateway = gateway(&vendor, "0", LONG).await;
        let mut stream = gateway.open_stream("v/m").await;
        stream.read_until("begun").await;
        gateway.signal(first);
        gateway.event_line("stopping").await;
        gateway.signal(second);
        gateway.wait().await;
        gateway.event_line("stopped_at_once").await;
        let answer = stream.rest().await;
        assert!(!answer.text().contains("[DONE]"));
    }
}

#[tokio::test]
async fn a_hangup_while_stopping_is_no_second_signal() {
    let gate = Gate::new();
    let vendor = Vendor::with([held_stream(&gate)]).await;
    let mut gateway = gateway(&vendor, "0", LONG).await;
    let mut stream = gateway.open_stream("v/m").await;
    stream.read_until("begun").await;
    gateway.signal("TERM");
    gateway.event_line("stopping").await;
    gateway.signal("HUP");
    gate.open();
    assert!(stream.rest().await.text().contains("[DONE]"));
    assert_eq!(gateway.wait().await.code(), Some(0));
}

#[tokio::test]
async fn a_signal_right_after_the_start_is_heard() {
    for _ in 0..10 {
        let mut gateway = Gateway::start("").await;
        gateway.signal("HUP");
        gateway.event_line("config_unchanged").await;
        gateway.signal("TERM");
        assert_eq!(gateway.wait().await.code(), Some(0));
    }
}

/// Calls until `stop`, and fails on the first answer that is none.
async fn load(gateway: Arc<Gateway>, stop: Arc<AtomicBool>, served: Arc<AtomicUsize>, stream: bool) {
    while !stop.load(Relaxed) {
        let answer = match stream {
            true => gateway.stream("both").await,
            false => gateway.chat("both").await,
        };
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        // A stream that had begun when its upstream died is cut, honestly; everything else is whole.
        let text = answer.text();
        assert!(
            answer.whole && (text.contains("\"finish_reason\":\"stop\"") || text.contains("upstream_cut")),
            "{text}"
        );
        served.fetch_add(1, Relaxed);
    }
}

#[tokio::test]
async fn the_sudden_death_of_one_of_two_upstreams_loses_no_request() {
    let quick = ["--first-token-ms", "5", "--tokens-per-s", "0", "--tokens", "8"];
    let (mut dies, lives) = (Sim::start(&quick).await, Sim::start(&quick).await);
    let gateway = Gateway::start(&format!(
        "log: {{ calls: false }}\nupstreams:\n\
         \x20 dies: {{ vendor: openai-compatible, base_url: \"{}\" }}\n\
         \x20 lives: {{ vendor: openai-compatible, base_url: \"{}\" }}\n\
         routes:\n  - {{ model: both, policy: weighted, targets: [dies/m, lives/m] }}\n",
        dies.url(),
        lives.url()
    ))
    .await;
    let gateway = Arc::new(gateway);
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let start = |number: usize| {
        tokio::spawn(load(Arc::clone(&gateway), Arc::clone(&stop), Arc::clone(&served), number % 2 == 1))
    };
    let workers: Vec<_> = (0..8).map(start).collect();
    let asked =
        async |upstream: &str| gateway.metric("tollgate_requests_total", &[("upstream", upstream)]).await;
    until("both to be at work", async || asked("dies").await >= 20.0 && asked("lives").await >= 20.0).await;
    dies.kill().await;
    let before = asked("lives").await;
    until("many calls without it", async || asked("lives").await >= before + 200.0).await;
    stop.store(true, Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(gateway.upstream("dies").await["circuit"], "open");
    assert!(gateway.metric("tollgate_failovers_total", &[("upstream", "dies")]).await >= 1.0);
    assert_eq!(gateway.upstream("lives").await["circuit"], "closed");
}

#[tokio::test]
async fn an_upstream_that_comes_back_is_used_again_by_itself() {
    // Bound, so that nobody else gets the port, and not listening yet.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gateway = Gateway::start(&format!(
        "circuit: {{ failures: 1, open_ms: 1 }}\n\
         upstreams:\n  v: {{ vendor: openai-compatible, base_url: \"http://{}/v1\" }}\n",
        socket.local_addr().unwrap()
    ))
    .await;
    let answer = gateway.chat("v/m").await;
    assert_eq!(
        (answer.status.as_u16(), answer.error()["code"].as_str()),
        (502, Some("upstream_unreachable"))
    );
    let _back = Steady::at("back", socket.listen(16).unwrap());
    until("an answer", async || gateway.chat("v/m").await.status == 200).await;
    assert_eq!(gateway.upstream("v").await["circuit"], "closed");
}
