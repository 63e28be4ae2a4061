//! What the gateway learns from failures: who is left out, who is tried again and when, and who is asked when all are out.

use crate::support::{Gate, Gateway, Reply, Vendor, delta, finish, over, role};

const DOWN: fn() -> Reply = || Reply::status(503, "busy");

/// Calls until upstream `name` is asked again; `asked` is how many requests it has seen. Bounded: only a failure gets there.
async fn call_until_asked(gateway: &Gateway, vendor: &Vendor, asked: usize) {
    for _ in 0..20_000 {
        gateway.chat("smart").await;
        if vendor.calls() > asked {
            return;
        }
    }
    panic!("the vendor was not tried again");
}

#[tokio::test]
async fn failures_in_a_row_open_the_circuit_and_a_success_between_starts_the_count_again() {
    let a = Vendor::with([DOWN(), DOWN(), Reply::chat("from a"), DOWN(), DOWN(), DOWN()]).await;
    let b = Vendor::start().await;
    b.otherwise(Reply::chat("from b"));
    let more = "circuit: { failures: 3, open_ms: 600000, open_ms_max: 600000 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    let mut served = Vec::new();
    for _ in 0..8 {
        served.push(gateway.chat("smart").await.served_by().0.to_owned());
    }
    assert_eq!(served, ["b", "b", "a", "b", "b", "b", "b", "b"]);
    assert_eq!(gateway.event_line("circuit_open").await["upstream"], "a");
    assert_eq!(gateway.upstream("a").await["circuit"], "open");
    assert_eq!(gateway.metric("tollgate_circuit_state", &[("upstream", "a")]).await, 2.0);
    assert_eq!(a.calls(), 6, "an open circuit is not asked");
}

/// An upstream that answers 200 and then breaks off every stream is as down as one that refuses. Its head must not count
/// as a success that starts the count of failures again.
#[tokio::test]
async fn streams_that_break_off_after_content_open_the_circuit_as_well() {
    let a = Vendor::start().await;
    a.otherwise(Reply::stream([role(), delta("par")]).then_cut());
    let b = Vendor::start().await;
    b.otherwise(Reply::stream([role(), delta("whole"), finish()]).done());
    let more = "circuit: { failures: 3, open_ms: 600000, open_ms_max: 600000 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    for _ in 0..3 {
        assert!(gateway.stream("smart").await.text().contains("upstream_cut"));
    }
    let answer = gateway.stream("smart").await;
    assert_eq!(answer.served_by(), ("b", "1"), "{}", answer.text());
}

/// F07 of a lone upstream: a head and then nothing, again and again. It has to be seen as down.
#[tokio::test]
async fn an_upstream_without_an_alternative_is_seen_to_fail_as_well() {
    let a = Vendor::start().await;
    a.otherwise(Reply::stream([role()]).then_cut());
    let more = "circuit: { failures: 3, open_ms: 600000, open_ms_max: 600000 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url())], more)).await;
    for _ in 0..3 {
        gateway.stream("smart").await;
    }
    assert_eq!(gateway.upstream("a").await["circuit"], "open");
}

/// A vendor that comes back must not be met by everyone at once.
#[tokio::test]
async fn a_half_open_circuit_lets_exactly_one_call_through() {
    let (a, gate) = (Vendor::with([DOWN()]).await, Gate::new());
    let b = Vendor::start().await;
    b.otherwise(Reply::chat("from b"));
    let more = "circuit: { failures: 1, open_ms: 200, open_ms_max: 600000 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"));
    a.expect(Reply::chat("from a").gate_first(&gate));
    let others = async {
        gate.reached().await;
        for _ in 0..20 {
            assert_eq!(gateway.chat("smart").await.served_by(), ("b", "1"), "one is on trial, no other goes");
        }
        gate.open();
    };
    tokio::join!(call_until_asked(&gateway, &a, 1), others);
    assert_eq!(a.calls(), 2);
    gateway.event_line("circuit_closed").await;
}

#[tokio::test]
async fn a_trial_that_succeeds_closes_the_circuit_and_one_that_fails_opens_it_for_longer() {
    let a = Vendor::with([DOWN(), DOWN(), Reply::chat("from a"), Reply::chat("from a")]).await;
    let b = Vendor::start().await;
    b.otherwise(Reply::chat("from b"));
    let more = "circuit: { failures: 1, open_ms: 100, open_ms_max: 600000, slow_start_ms: 0 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    gateway.chat("smart").await;
    call_until_asked(&gateway, &a, 1).await;
    call_until_asked(&gateway, &a, 2).await;
    gateway.event_line("circuit_closed").await;
    let opened = gateway.log_lines().iter().filter(|it| it["event"] == "circuit_open").count();
    assert_eq!(opened, 2);
    assert_eq!(gateway.chat("smart").await.served_by(), ("a", "1"));
}

/// A client that hangs up during the trial has shown nothing; the next call must be let through in its place.
#[tokio::test]
async fn a_trial_whose_client_leaves_is_given_back() {
    let a = Vendor::with([DOWN(), Reply::hang(), Reply::chat("from a")]).await;
    let b = Vendor::start().await;
    b.otherwise(Reply::chat("from b"));
    let more = "circuit: { failures: 1, open_ms: 100, open_ms_max: 600000 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    gateway.chat("smart").await;
    tokio::select! {
        () = call_until_asked(&gateway, &a, 9) => {}
        _ = a.request(1) => {}
    }
    a.client_gone(1).await;
    call_until_asked(&gateway, &a, 2).await;
    gateway.event_line("circuit_closed").await;
}

#[tokio::test]
async fn when_all_circuits_are_open_the_one_that_failed_longest_ago_is_tried_first() {
    let (a, b) = (Vendor::with([Reply::hang()]).await, Vendor::with([DOWN()]).await);
    let more =
        "circuit: { failures: 1, open_ms: 600000, open_ms_max: 600000 }\ntimeouts: { first_byte_ms: 50 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    // The timer that ends the second call puts its failure well behind the first.
    assert_eq!(gateway.chat("b/model-b").await.status, 503);
    assert_eq!(gateway.chat("a/model-a").await.status, 504);
    for id in ["a", "b"] {
        assert_eq!(gateway.upstream(id).await["circuit"], "open");
    }
    b.expect(Reply::chat("from b"));
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "1"));
    gateway.event_line("circuit_closed").await;
}

#[tokio::test]
async fn a_drained_upstream_gets_no_call_until_it_is_enabled_again() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    a.otherwise(Reply::chat("from a"));
    b.otherwise(Reply::chat("from b"));
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("a", "1"));
    let answer = gateway.admin_post("/admin/upstreams/a/drain", "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["drained"]), (200, &true.into()));
    assert_eq!(gateway.event_line("upstream_drained").await["upstream"], "a");
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "1"));
    assert_eq!(gateway.metric("tollgate_circuit_state", &[("upstream", "a")]).await, 3.0);
    // Even when nothing else is left: an operator's no is a no.
    gateway.admin_post("/admin/upstreams/b/drain", "").await;
    let answer = gateway.chat("smart").await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    gateway.admin_post("/admin/upstreams/a/enable", "").await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("a", "1"));
    assert_eq!(gateway.admin_post("/admin/upstreams/nobody/drain", "").await.status, 404);
}
