//! A streaming client that waits long is told so, and failover stays open all the while.

use crate::support::{DONE, Gate, Gateway, Reply, Vendor, client::chat_body, delta, finish, over, role};

const WAITING: &str = ": waiting\n\n";
const SOON: &str = "failover: { waiting_comment_ms: 100 }\n";

async fn pair(first: Reply, second: Option<Reply>) -> (Vendor, Vendor, Gateway) {
    let (a, b) = (Vendor::with([first]).await, Vendor::with(second).await);
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], SOON)).await;
    (a, b, gateway)
}

#[tokio::test]
async fn a_target_that_fails_while_the_client_waits_is_left_for_the_next() {
    let gate = Gate::new();
    let events = [role(), delta("from b"), finish()];
    let late = Reply::status(503, "busy").gate_first(&gate);
    let (_a, _b, gateway) = pair(late, Some(Reply::stream(events.clone()).done())).await;
    let mut stream = gateway.open_stream("smart").await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    assert!(stream.headers.contains_key("x-request-id"));
    stream.read_until(WAITING).await;
    gate.open();
    assert_eq!(stream.rest().await.text(), WAITING.to_owned() + &events.concat() + DONE);
    let line = gateway.call_line(0).await;
    assert_eq!((&line["ended"], &line["upstream"]), (&"complete".into(), &"b".into()), "{line}");
    assert_eq!((&line["status"], &line["attempts"]), (&200.into(), &2.into()), "{line}");
}

#[tokio::test]
async fn a_preamble_that_was_held_while_the_client_waited_is_dropped_with_its_target() {
    let gate = Gate::new();
    let events = [delta("from b"), finish()];
    let late = Reply::stream([role(), ": FROM-A\n\n".to_owned()]).gate(&gate).then_cut();
    let (_a, _b, gateway) = pair(late, Some(Reply::stream(events.clone()).done())).await;
    let mut stream = gateway.open_stream("smart").await;
    stream.read_until(WAITING).await;
    gate.open();
    assert_eq!(stream.rest().await.text(), WAITING.to_owned() + &events.concat() + DONE);
}

/// `200` is out; what is left is to say it in the stream, honestly, with the vendor's words and without `[DONE]`.
#[tokio::test]
async fn when_all_fail_while_the_client_waits_the_stream_says_so() {
    let gate = Gate::new();
    let late = Reply::status(503, "we are down").gate_first(&gate);
    let (_a, _b, gateway) = pair(late, Some(Reply::reset_before_head())).await;
    let mut stream = gateway.open_stream("smart").await;
    stream.read_until(WAITING).await;
    gate.open();
    let answer = stream.rest().await;
    let text = answer.text();
    let said = text.strip_prefix(WAITING).and_then(|it| it.strip_prefix("data: ")).unwrap();
    let said: serde_json::Value = serde_json::from_str(said).unwrap();
    assert_eq!(said["error"]["message"], "we are down");
    assert!(answer.whole);
    let line = gateway.call_line(0).await;
    assert_eq!((&line["ended"], &line["error"]), (&"failed".into(), &"vendor_failed".into()), "{line}");
    assert_eq!(line["status"], 200, "the status the client got: {line}");
    assert_eq!(line["attempts"], 2);
}

#[tokio::test]
async fn a_client_that_asked_for_no_stream_is_not_told_to_wait() {
    let gate = Gate::new();
    let (a, _b, gateway) = pair(Reply::chat("late").gate_first(&gate), None).await;
    // A stream beside it is told to wait, and by then the call without one would have been, too.
    a.expect(Reply::stream([delta("x"), finish()]).done());
    let chat = gateway.post("/v1/chat/completions", chat_body("smart", false));
    let beside = async {
        gate.reached().await;
        let other = Gate::new();
        a.expect(Reply::stream([delta("y"), finish()]).gate_first(&other).done());
        gateway.stream("smart").await;
        let mut stream = gateway.open_stream("smart").await;
        stream.read_until(WAITING).await;
        gate.open();
        other.open();
        stream.rest().await
    };
    let (answer, _) = tokio::join!(chat, beside);
    assert_eq!(answer.text(), crate::support::completion("late"));
}

/// A quick answer must keep its status and headers: 200 before anything is known is for long waits only.
#[tokio::test]
async fn an_answer_in_time_has_its_own_status_and_headers() {
    let (_a, _b, gateway) = pair(Reply::status(400, "n is too big"), None).await;
    let answer = gateway.stream("smart").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (400, Some("application/json")));
}
