//! A stream that comes more slowly than its route asks moves on while the client has seen none of it, and is noted later.

use std::time::Duration;

use crate::support::{DONE, Gate, Gateway, Refusing, Reply, Vendor, delta, finish, over, role};

/// Ten tokens in the first 200 ms.
const TEN_AT_ONCE: &str = "{ tokens_per_s_min: 50, window_ms: 200 }";
/// More than a slow vendor brings in a minute; nobody waits it out.
const TEN_IN_A_MINUTE: &str = "{ tokens_per_s_min: 1, window_ms: 10000 }";

fn asking(throughput: &str, upstreams: &[(&str, &str)]) -> String {
    over(upstreams, "").replace("model: smart,", &format!("model: smart, throughput: {throughput},"))
}

/// A token every 100 ms, for longer than any test takes.
fn trickle() -> Reply {
    Reply::stream([role(), delta("FROM-A")]).every(Duration::from_millis(100), 1_000, &delta("A"))
}

fn good() -> Vec<String> {
    vec![role(), delta("from b"), finish()]
}

async fn slow_streams(gateway: &Gateway, upstream: &str) -> f64 {
    gateway.metric("tollgate_slow_streams_total", &[("route", "smart"), ("upstream", upstream)]).await
}

#[tokio::test]
async fn a_stream_that_trickles_moves_on_and_leaves_no_byte_behind() {
    for slow in [trickle(), Reply::stream([role(), delta("FROM-A")]).then_stall()] {
        let (a, b) = (Vendor::with([slow]).await, Vendor::with([Reply::stream(good()).done()]).await);
        let yaml = asking(TEN_AT_ONCE, &[("a", &a.url()), ("b", &b.url())]);
        let gateway = Gateway::start(&yaml).await;
        let answer = gateway.stream("smart").await;
        assert_eq!(answer.text(), good().concat() + DONE);
        assert_eq!(answer.served_by(), ("b", "2"));
        let line = gateway.call_line(0).await;
        assert_eq!(line["failed"][0]["error"], "timeout", "{line}");
        assert_eq!(line["slow"], serde_json::Value::Null, "b was quick: {line}");
        assert_eq!(slow_streams(&gateway, "a").await, 0.0, "it did not go on");
        a.client_gone(0).await;
    }
}

#[tokio::test]
async fn who_hears_of_it_hears_the_name_of_the_option() {
    let (a, b) = (Vendor::with([trickle()]).await, Refusing::start());
    let gateway = Gateway::start(&asking(TEN_AT_ONCE, &[("a", &a.url()), ("b", &b.url())])).await;
    let answer = gateway.stream("smart").await;
    assert_eq!(answer.status, 504);
    let message = answer.error()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("`throughput.tokens_per_s_min`"), "{message}");
}

/// It is held for these few tokens only, however long the window is.
#[tokio::test]
async fn a_stream_is_shown_as_soon_as_it_brought_the_tokens_of_a_window() {
    let gate = Gate::new();
    let events = [role(), delta("one two three "), delta("four five six seven eight")];
    let reply = Reply::stream(events.clone()).gate(&gate).piece(finish()).done();
    let (a, b) = (Vendor::with([reply]).await, Vendor::start().await);
    let gateway = Gateway::start(&asking(TEN_IN_A_MINUTE, &[("a", &a.url()), ("b", &b.url())])).await;
    let mut stream = gateway.open_stream("smart").await;
    stream.read_until("seven").await;
    gate.open();
    assert_eq!(stream.rest().await.text(), events.concat() + &finish() + DONE);
}

#[tokio::test]
async fn a_short_answer_is_shown_when_it_is_finished() {
    let gate = Gate::new();
    let reply = Reply::stream([role(), delta("yes"), finish()]).gate(&gate).done();
    let (a, b) = (Vendor::with([reply]).await, Vendor::start().await);
    let gateway = Gateway::start(&asking(TEN_IN_A_MINUTE, &[("a", &a.url()), ("b", &b.url())])).await;
    let mut stream = gateway.open_stream("smart").await;
    stream.read_until("yes").await;
    gate.open();
    assert!(stream.rest().await.text().ends_with(DONE));
    let whole = Reply::stream([role(), delta("no")]).piece(finish()).end();
    a.expect(whole);
    assert_eq!(gateway.stream("smart").await.text(), role() + &delta("no") + &finish());
}

/// What breaks off while it is held has not been seen, so it can still come from elsewhere.
#[tokio::test]
async fn a_stream_that_is_cut_while_it_is_held_moves_on() {
    let a = Vendor::with([Reply::stream([role(), delta("FROM-A")]).then_cut()]).await;
    let b = Vendor::with([Reply::stream(good()).done()]).await;
    let gateway = Gateway::start(&asking(TEN_IN_A_MINUTE, &[("a", &a.url()), ("b", &b.url())])).await;
    assert_eq!(gateway.stream("smart").await.text(), good().concat() + DONE);
    assert_eq!(gateway.call_line(0).await["failed"][0]["error"], "cut");
}

/// A slow answer is better than none, and no reason to leave the upstream out.
#[tokio::test]
async fn the_last_target_is_served_however_slow_and_noted() {
    let beat = delta("a");
    let slow = Reply::stream([role(), beat.clone()]).every(Duration::from_millis(100), 4, &beat);
    let a = Vendor::with([slow.piece(finish()).done()]).await;
    let yaml = asking("{ tokens_per_s_min: 100, window_ms: 100 }", &[("a", &a.url())]);
    let gateway = Gateway::start(&yaml).await;
    let answer = gateway.stream("smart").await;
    assert_eq!(answer.text(), role() + &beat.repeat(5) + &finish() + DONE);
    let line = gateway.call_line(0).await;
    assert_eq!((&line["slow"], &line["ended"]), (&true.into(), &"complete".into()), "{line}");
    assert_eq!(line["level"], "INFO", "{line}");
    assert_eq!(slow_streams(&gateway, "a").await, 1.0, "once for the stream, not for each window");
    assert_eq!(gateway.metric("tollgate_attempts_total", &[("outcome", "timeout")]).await, 0.0);
}

#[tokio::test]
async fn a_stream_that_slows_down_after_it_was_shown_stays_and_is_noted() {
    let first = delta("a good beginning, and then nothing much for a long while");
    let slow = Reply::stream([role(), first.clone()]).every(Duration::from_millis(150), 3, &delta("a"));
    let (a, b) = (Vendor::with([slow.piece(finish()).done()]).await, Vendor::start().await);
    let gateway = Gateway::start(&asking(TEN_AT_ONCE, &[("a", &a.url()), ("b", &b.url())])).await;
    let answer = gateway.stream("smart").await;
    assert_eq!(answer.text(), role() + &first + &delta("a").repeat(3) + &finish() + DONE);
    assert_eq!(answer.served_by(), ("a", "1"));
    assert_eq!(gateway.call_line(0).await["slow"], true);
    assert_eq!(slow_streams(&gateway, "a").await, 1.0);
}

#[tokio::test]
async fn a_quick_stream_is_not_noted() {
    let events = [role(), delta("a quick answer of more than ten tokens of text"), finish()];
    let (a, b) = (Vendor::with([Reply::stream(events.clone()).done()]).await, Vendor::start().await);
    let gateway = Gateway::start(&asking(TEN_AT_ONCE, &[("a", &a.url()), ("b", &b.url())])).await;
    assert_eq!(gateway.stream("smart").await.text(), events.concat() + DONE);
    assert_eq!(gateway.call_line(0).await["slow"], serde_json::Value::Null);
    assert_eq!(slow_streams(&gateway, "a").await, 0.0);
}
