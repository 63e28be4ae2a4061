//! What is counted and logged is what happened: of the attempt that served, of the one that a client left, of the tries
//! that were made and not of those that could have been.

use std::time::Duration;

use serde_json::Value;

use crate::support::{
    DONE, Gateway, Refusing, Reply, Vendor, delta, event, finish, over, role, until, usage,
};

async fn sum(gateway: &Gateway, family: &str, upstream: &str) -> f64 {
    gateway.metric(&format!("tollgate_{family}"), &[("upstream", upstream)]).await
}

/// A vendor may state usage before it fails. The tokens were billed to the upstream that then served the call.
#[tokio::test]
async fn the_usage_and_events_of_a_failed_attempt_are_not_those_of_the_next() {
    for next in [Reply::stream([role(), delta("from b"), finish()]).done(), Reply::chat("from b")] {
        let counted = usage(1_000, 500);
        let a = Vendor::with([Reply::stream([role(), counted.clone(), counted]).then_cut()]).await;
        let b = Vendor::with([next]).await;
        let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
        let answer = gateway.stream("smart").await;
        assert_eq!(answer.served_by(), ("b", "2"));
        let line = gateway.call_line(0).await;
        // Of b's four events none is a's, and its tokens are estimated; a whole answer has none, and its own usage.
        let estimated = answer.text().ends_with(DONE);
        assert_eq!(line["events"], if estimated { 4 } else { 0 }, "{line}");
        assert_eq!(line["usage_estimated"], if estimated { true.into() } else { Value::Null }, "{line}");
        assert!(line["input_tokens"].as_u64().is_some_and(|it| it < 100), "{line}");
        assert_eq!(sum(&gateway, "tokens_total", "a").await, 0.0);
        assert_eq!(sum(&gateway, "estimated_usage_total", "b").await, if estimated { 1.0 } else { 0.0 });
    }
}

/// The tier that served decides the price, and need not be the one that was asked for. Thinking that only the total
/// tells of was billed as output.
#[tokio::test]
async fn the_line_tells_what_was_billed_and_at_which_tier() {
    let counted =
        r#""usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":12},"service_tier":"flex"}"#;
    let whole = format!(r#"{{"choices":[{{"message":{{"content":"hi"}},"finish_reason":"stop"}}],{counted}"#);
    let last = event(&format!(r#"{{"choices":[],{counted}"#));
    let streamed = Reply::stream([role(), delta("hi"), finish(), last]).done();
    let a = Vendor::with([Reply::json(200, whole), streamed]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    gateway.chat("smart").await;
    gateway.stream("smart").await;
    for call in 0..2 {
        let line = gateway.call_line(call).await;
        assert_eq!(line["service_tier"], "flex", "{line}");
        assert_eq!((&line["output_tokens"], &line["reasoning_tokens"]), (&5.into(), &3.into()), "{line}");
    }
}

/// A client that leaves while a vendor is asked leaves a line that says which: the operator wants to know who was slow.
#[tokio::test]
async fn the_line_of_a_client_that_left_names_whom_it_waited_for() {
    let (a, b) = (Vendor::with([Reply::hang()]).await, Vendor::start().await);
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    tokio::select! {
        _ = gateway.chat("smart") => panic!("an answer came"),
        _ = a.request(0) => {}
    }
    let line = gateway.call_line(0).await;
    assert_eq!((&line["ended"], &line["upstream"]), (&"client_gone".into(), &"a".into()), "{line}");
    assert_eq!((&line["attempts"], &line["upstream_model"]), (&1.into(), &"model-a".into()), "{line}");
    assert_eq!(line["failed"], Value::Null);
    for family in ["failovers_total", "retries_after_send_total"] {
        assert_eq!(sum(&gateway, family, "a").await, 0.0, "{family}");
    }
    let gone = [("upstream", "a"), ("status", "none"), ("outcome", "client_gone")];
    assert_eq!(gateway.metric("tollgate_requests_total", &gone).await, 1.0);
}

#[tokio::test]
async fn the_line_of_a_client_that_left_the_second_attempt_names_both() {
    let (a, b) = (Vendor::with([Reply::status(503, "busy")]).await, Vendor::with([Reply::hang()]).await);
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    tokio::select! {
        _ = gateway.chat("smart") => panic!("an answer came"),
        _ = b.request(0) => {}
    }
    let line = gateway.call_line(0).await;
    assert_eq!((&line["upstream"], &line["attempts"]), (&"b".into(), &2.into()), "{line}");
    assert_eq!(line["failed"][0]["upstream"], "a", "{line}");
    for family in ["failovers_total", "retries_after_send_total"] {
        assert_eq!(sum(&gateway, family, "a").await, 1.0, "{family}");
        assert_eq!(sum(&gateway, family, "b").await, 0.0, "{family}");
    }
}

/// The last failure of a call leads nowhere: it was counted as a failover, and a call that was never sent again as one
/// that may be billed twice.
#[tokio::test]
async fn only_failures_that_led_to_another_attempt_are_failovers() {
    let busy = || Reply::status(503, "busy");
    let (a, b) = (Vendor::with([busy(), busy(), busy()]).await, Vendor::with([busy()]).await);
    let attempts = "failover: { attempts_max: 2 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], attempts)).await;
    let families = async |upstream| {
        let failovers = sum(&gateway, "failovers_total", upstream).await;
        (failovers, sum(&gateway, "retries_after_send_total", upstream).await)
    };
    // Alone, it has nobody to be left for.
    assert_eq!(gateway.chat("a/m").await.status, 503);
    assert_eq!(families("a").await, (0.0, 0.0));
    // Left for `b`, which is left for nobody.
    assert_eq!(gateway.chat("smart").await.status, 503);
    assert_eq!((families("a").await, families("b").await), ((1.0, 1.0), (0.0, 0.0)));
    // `b` is out of service by now: no attempt follows although a target does.
    gateway.admin_post("/admin/upstreams/b/drain", "").await;
    assert_eq!(gateway.chat("smart").await.status, 503);
    assert_eq!(families("a").await, (1.0, 1.0));
}

/// Nothing was sent, so nothing can be billed twice.
#[tokio::test]
async fn a_failure_to_connect_is_a_failover_and_no_retry_after_send() {
    let (a, b) = (Refusing::start(), Vendor::with([Reply::hang()]).await);
    let timers = "timeouts: { first_byte_ms: 100 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], timers)).await;
    assert_eq!(gateway.chat("smart").await.status, 504);
    assert_eq!(sum(&gateway, "failovers_total", "a").await, 1.0);
    assert_eq!(sum(&gateway, "retries_after_send_total", "a").await, 0.0);
    assert_eq!(sum(&gateway, "failovers_total", "b").await, 0.0);
}

/// The time between tokens is the pace at which text appears. Comments that keep the connection alive made a vendor that
/// stalls look brisk, and `[DONE]`, which comes at once, made every vendor look brisker.
#[tokio::test]
async fn the_time_between_tokens_is_that_between_events_with_content() {
    let alive = ": keep-alive\n\n".to_owned();
    let contents = [delta("one"), alive.clone(), delta("two"), alive.clone(), alive.clone(), finish()];
    let ends = [usage(7, 2), alive.clone(), DONE.to_owned(), alive.clone()];
    let pieces = [vec![alive.clone(), role()], contents.to_vec(), ends.to_vec()].concat();
    for reply in [Reply::stream(pieces.clone()), Reply::stream([pieces.concat()])] {
        let a = Vendor::with([reply.end()]).await;
        let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
        assert_eq!(gateway.stream("smart").await.status, 200);
        gateway.call_line(0).await;
        let gaps = async || sum(&gateway, "time_between_tokens_seconds_count", "a").await;
        until("the gaps of the stream", async || gaps().await > 0.0).await;
        assert_eq!(gaps().await, 2.0, "three events have content");
    }
}

/// The gap spans the comments in it.
#[tokio::test]
async fn a_stall_with_comments_in_it_is_one_long_gap() {
    let alive = Reply::stream([delta("one")]).every(Duration::from_millis(20), 10, ": keep-alive\n\n");
    let a = Vendor::with([alive.piece(delta("two")).done()]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    gateway.stream("smart").await;
    let gaps = async || sum(&gateway, "time_between_tokens_seconds_count", "a").await;
    until("the gap", async || gaps().await > 0.0).await;
    let seconds = sum(&gateway, "time_between_tokens_seconds_sum", "a").await;
    assert!(gaps().await == 1.0 && seconds >= 0.2, "{seconds} s");
}
