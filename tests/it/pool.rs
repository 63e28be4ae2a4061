//! Connections that are kept: reused, and replaced without a word when they died in the pool.

use crate::support::{Clock, Gate, Gateway, Reply, Sim, Vendor, delta, finish, over, role, until};

/// `resent`: connections that were replaced; the vendor may have seen those requests twice, and the operator sees that.
async fn check_no_failure(gateway: &Gateway, calls: f64, resent: f64) {
    let attempts = gateway.metric("tollgate_attempts_total", &[("upstream", "a")]).await;
    let fine = gateway.metric("tollgate_attempts_total", &[("upstream", "a"), ("outcome", "ok")]).await;
    assert_eq!((attempts, fine), (calls, calls));
    assert_eq!(gateway.metric("tollgate_failovers_total", &[]).await, 0.0);
    assert_eq!(gateway.metric("tollgate_retries_after_send_total", &[]).await, resent);
}

#[tokio::test]
async fn connections_are_kept_between_calls_and_behind_streams() {
    let a = Vendor::start().await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    for _ in 0..10 {
        a.expect(Reply::chat("ok"));
        a.expect(Reply::stream([role(), delta("ok"), finish()]).done());
        assert_eq!(gateway.chat("smart").await.status, 200);
        assert_eq!(gateway.stream("smart").await.status, 200);
    }
    // A call that comes before the last one's connection is back may open another.
    let connections = a.seen().iter().map(|it| it.connection).max().unwrap() + 1;
    assert!(connections < 10, "{connections} connections for 20 calls");
}

/// A vendor closes a kept connection just when the next request is on its way. That is no failure of the vendor, and
/// the call must not spend one of its attempts on it.
#[tokio::test]
async fn a_connection_that_died_in_the_pool_is_replaced_without_costing_an_attempt() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    a.answers_once_per_connection();
    a.otherwise(Reply::chat("from a"));
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    let mut calls = 0;
    while calls < 2 || !a.seen().iter().any(|it| it.dropped) {
        assert_eq!(gateway.chat("smart").await.served_by(), ("a", "1"));
        calls += 1;
        assert!(calls < 200, "no connection was ever used again");
    }
    let dropped = a.seen().iter().filter(|it| it.dropped).count();
    check_no_failure(&gateway, f64::from(calls), dropped as f64).await;
    let prompts = a.seen().into_iter().map(|it| it.target).collect::<Vec<_>>();
    assert!(prompts.iter().all(|it| it == "/v1/chat/completions"), "{prompts:?}");
}

#[tokio::test]
async fn a_connection_that_the_vendor_closed_while_idle_is_not_used() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    a.otherwise(Reply::chat("from a").then_cut());
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    for _ in 0..20 {
        assert_eq!(gateway.chat("smart").await.served_by(), ("a", "1"));
        // The end of the connection comes behind the answer, and the next call could be quicker.
        let open = async || gateway.metric("tollgate_upstream_connections", &[("upstream", "a")]).await;
        until("the end of the connection", async || open().await == 0.0).await;
    }
    check_no_failure(&gateway, 20.0, 0.0).await;
}

/// A stale connection fails at once. One that fails after a while had a vendor at work behind it, who read the request and
/// may send a bill: it is not asked the same again behind the caller's back.
#[tokio::test]
async fn a_kept_connection_that_breaks_late_is_a_failure_and_not_replaced() {
    let (a, b, clock) = (Vendor::start().await, Vendor::start().await, Clock::start().await);
    b.otherwise(Reply::chat("from b"));
    let patient = "circuit: { failures: 1000 }\n";
    let yaml = clock.beside(&over(&[("a", &a.url()), ("b", &b.url())], patient), 600);
    let gateway = Gateway::start(&yaml).await;
    for _ in 0..100 {
        a.expect(Reply::chat("from a"));
        assert_eq!(gateway.chat("smart").await.served_by(), ("a", "1"));
        let gate = Gate::new();
        a.expect(Reply::reset_before_head().gate_first(&gate));
        let (asked, resent) = (a.calls() + 1, retries(&gateway).await);
        let late = async {
            gate.reached().await;
            let seen = a.request(asked - 1).await;
            let reused = seen.connection == a.seen()[asked - 2].connection;
            if reused {
                clock.tick(&gateway).await;
            }
            gate.open();
            reused
        };
        let (answer, reused) = tokio::join!(gateway.chat("smart"), late);
        assert_eq!(answer.served_by(), ("b", "2"));
        assert_eq!(a.calls(), asked, "a was asked again");
        assert_eq!(retries(&gateway).await, resent + 1.0, "b was");
        if reused {
            return;
        }
    }
    panic!("no connection was ever used again");
}

async fn retries(gateway: &Gateway) -> f64 {
    gateway.metric("tollgate_retries_after_send_total", &[("upstream", "a")]).await
}

/// On a fresh connection the vendor itself broke off, perhaps after billing: the next target is asked, not the same again.
#[tokio::test]
async fn a_fresh_connection_that_breaks_is_a_failure_and_not_replaced() {
    let a = Vendor::with([Reply::reset_before_head()]).await;
    let b = Vendor::with([Reply::chat("from b")]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"));
    assert_eq!(a.calls(), 1);
}

#[tokio::test]
async fn the_open_connections_of_an_upstream_are_counted() {
    let a = Vendor::with([Reply::chat("ok")]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    gateway.chat("smart").await;
    assert_eq!(gateway.metric("tollgate_upstream_connections", &[("upstream", "a")]).await, 1.0);
}

/// HTTP/2 towards a vendor puts many calls on one connection, and those beyond the vendor's limit would wait unseen: calls
/// are spread over as many connections as the operator says.
#[tokio::test]
async fn calls_over_http2_are_spread_over_the_connections_that_are_wanted() {
    let sim = Sim::start(&["--first-token-ms", "60000"]).await;
    let yaml = format!(
        "upstreams:\n  two: {{ vendor: openai-compatible, base_url: \"{}\", http2: 2 }}\n",
        sim.url()
    );
    let gateway = Gateway::start(&yaml).await;
    let mut open = Vec::new();
    for _ in 0..8 {
        let mut stream = gateway.open_stream("two/sim-small").await;
        stream.read_until("\"role\":\"assistant\"").await;
        open.push(stream);
    }
    assert_eq!(gateway.metric("tollgate_upstream_connections", &[("upstream", "two")]).await, 2.0);
    assert_eq!(gateway.metric("tollgate_calls_in_flight", &[]).await, 8.0);
}
