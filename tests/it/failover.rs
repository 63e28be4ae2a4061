//! Which failures move a call on to the next target, and what the client sees of them: nothing.

use crate::support::{DONE, Gateway, Refusing, Reply, Vendor, delta, event, finish, over, role};

/// Timers that end a test's wait and no test's work.
const SHORT: &str = "timeouts: { first_byte_ms: 300, first_content_ms: 300, idle_ms: 20000 }\n";

fn stream_of(text: &str) -> Vec<String> {
    vec![role(), delta(text), finish()]
}

/// A call whose first target answers `reply` is served by the second, and counted under `reason`.
async fn check_chat(reply: Reply, reason: &str, more: &str) {
    let a = Vendor::with([reply]).await;
    let b = Vendor::with([Reply::chat("from b")]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    let answer = gateway.chat("smart").await;
    assert_eq!((answer.status.as_u16(), answer.content().as_str()), (200, "from b"), "{reason}");
    assert_eq!(answer.served_by(), ("b", "2"));
    assert_eq!(answer.header("x-tollgate-model"), Some("model-b"));
    check_books(&gateway, reason).await;
}

/// The same for a stream, of which the client gets the second target's bytes and no others.
async fn check_stream(reply: Reply, reason: &str, more: &str) {
    let a = Vendor::with([reply]).await;
    let b = Vendor::with([Reply::stream(stream_of("from b")).done()]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    let answer = gateway.stream("smart").await;
    assert_eq!(answer.text(), stream_of("from b").concat() + DONE, "{reason}");
    assert_eq!(answer.served_by(), ("b", "2"));
    check_books(&gateway, reason).await;
}

async fn check_books(gateway: &Gateway, reason: &str) {
    let line = gateway.call_line(0).await;
    assert_eq!((&line["ended"], &line["upstream"]), (&"complete".into(), &"b".into()), "{line}");
    assert_eq!(line["failed"][0]["upstream"], "a", "{line}");
    assert_eq!(line["failed"][0]["error"], reason, "{line}");
    let counted = gateway.metric("tollgate_failovers_total", &[("upstream", "a"), ("reason", reason)]).await;
    assert_eq!(counted, 1.0, "{reason}");
    let ok = gateway.metric("tollgate_attempts_total", &[("upstream", "b"), ("outcome", "ok")]).await;
    assert_eq!(ok, 1.0);
}

#[tokio::test]
async fn a_status_that_is_not_the_clients_fault_moves_on() {
    for status in [408, 500, 502, 503, 504, 529] {
        check_chat(Reply::status(status, "busy"), "vendor_failed", "").await;
    }
    check_chat(Reply::status(429, "slow down"), "rate_limited", "").await;
    check_stream(Reply::status(503, "busy"), "vendor_failed", "").await;
}

#[tokio::test]
async fn a_refused_connection_moves_on_and_may_cost_nothing() {
    let (a, b) = (Refusing::start(), Vendor::with([Reply::chat("from b")]).await);
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"));
    check_books(&gateway, "connect").await;
    assert_eq!(gateway.metric("tollgate_retries_after_send_total", &[("upstream", "a")]).await, 0.0);
    assert_eq!(gateway.call_line(0).await["failed"][0]["sent"], false);
}

/// The connect timer covers TLS: a port that takes the connection and then says nothing is no upstream.
#[tokio::test]
async fn a_handshake_that_never_ends_runs_into_the_connect_timer() {
    let (a, b) = (Vendor::start().await, Vendor::with([Reply::chat("from b")]).await);
    let secure = a.url().replace("http:", "https:");
    let timers = "timeouts: { connect_ms: 300 }\n";
    let gateway = Gateway::start(&over(&[("a", &secure), ("b", &b.url())], timers)).await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"));
    check_books(&gateway, "connect").await;
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_head_moves_on_and_is_counted_as_perhaps_billed() {
    check_chat(Reply::reset_before_head(), "reset", "").await;
    check_chat(Reply::raw("").then_cut(), "reset", "").await;
    check_chat(Reply::raw("HTTP/1.1 200 OK\r\ncontent-").then_cut(), "reset", "").await;
    check_chat(Reply::raw("220 mail.example ESMTP\r\n\r\n").then_cut(), "reset", "").await;
    let a = Vendor::with([Reply::reset_before_head()]).await;
    let b = Vendor::with([Reply::chat("from b")]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    gateway.chat("smart").await;
    assert_eq!(gateway.metric("tollgate_retries_after_send_total", &[("upstream", "a")]).await, 1.0);
}

/// OpenRouter and MiniMax say 200 and mean no.
#[tokio::test]
async fn an_error_inside_a_200_moves_on() {
    let said = r#"{"error":{"message":"overloaded","code":503}}"#;
    check_chat(Reply::json(200, said), "vendor_failed", "").await;
    let said = r#"{"base_resp":{"status_code":1002,"status_msg":"limit"},"choices":null}"#;
    check_chat(Reply::json(200, said), "vendor_failed", "").await;
    let said = event(r#"{"error":{"message":"overloaded","code":503}}"#);
    check_stream(Reply::stream([said.clone()]).done(), "vendor_failed", "").await;
    check_stream(Reply::stream([role(), said]).done(), "vendor_failed", "").await;
}

/// A proxy in front of the vendor that is out of order tends to say so in HTML, and with 200.
#[tokio::test]
async fn html_where_json_is_due_moves_on() {
    let page = "<!doctype html><title>Maintenance</title>";
    check_chat(Reply::whole(200, "text/html; charset=utf-8", page), "vendor_failed", "").await;
    check_chat(Reply::whole(200, "application/json", page), "vendor_failed", "").await;
    check_chat(Reply::whole(200, "application/json", ""), "vendor_failed", "").await;
    check_stream(Reply::whole(200, "text/html", page), "vendor_failed", "").await;
}

/// HTML was gathered to its end, however long it was: a page that never ends filled the memory and held the call.
#[tokio::test]
async fn html_is_not_read_beyond_the_bound_of_an_answer() {
    let page = Reply::chunked(200, "text/html", ["<p>".repeat(4_000)]).then_stall();
    check_chat(page, "vendor_failed", "limits: { answer_bytes_max: 4096 }\n").await;
}

#[tokio::test]
async fn a_json_answer_that_breaks_off_moves_on() {
    check_chat(Reply::chat("from a").cut_at(40), "cut", "").await;
    check_chat(Reply::chunked(200, "application/json", ["{\"choices\":["]).then_cut(), "cut", "").await;
    check_chat(Reply::chunked(200, "application/json", ["{\"choices\":["]).then_reset(), "cut", "").await;
}

#[tokio::test]
async fn a_json_answer_that_falls_silent_moves_on() {
    let reply = Reply::chunked(200, "application/json", ["{\"choices\":["]).then_stall();
    check_chat(reply, "timeout", "timeouts: { idle_ms: 300 }\n").await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_before_its_first_content_moves_on_and_leaves_no_byte_behind() {
    let empty = event(r#"{"id":"FROM-A","choices":[],"prompt_filter_results":[]}"#);
    let comment = ": FROM-A is thinking\n\n".to_owned();
    for preamble in [vec![], vec![role()], vec![empty.clone()], vec![comment.clone(), role(), empty, comment]]
    {
        check_stream(Reply::stream(preamble.clone()).then_cut(), "cut", "").await;
        check_stream(Reply::stream(preamble.clone()).then_reset(), "cut", "").await;
        // In good order, but with nothing said.
        check_stream(Reply::stream(preamble).end(), "cut", "").await;
    }
    let half = r#"data: {"choices":[{"delta":{"content":"FROM-"#;
    check_stream(Reply::stream([role(), half.to_owned()]).then_cut(), "cut", "").await;
}

#[tokio::test]
async fn a_vendor_that_never_answers_runs_into_the_first_byte_timer() {
    check_chat(Reply::hang(), "timeout", SHORT).await;
    check_stream(Reply::hang(), "timeout", SHORT).await;
}

#[tokio::test]
async fn a_stream_without_content_runs_into_the_first_content_timer() {
    check_stream(Reply::stream([role()]).then_stall(), "timeout", SHORT).await;
    check_stream(Reply::stream([": thinking\n\n"]).then_stall(), "timeout", SHORT).await;
}

/// `first_content_ms` is promised from the request on, but was counted from the head on: a vendor that held its head
/// back was waited for `first_byte_ms`, five minutes.
#[tokio::test]
async fn the_first_content_timer_of_a_stream_runs_from_the_request_on() {
    check_stream(Reply::hang(), "timeout", "timeouts: { first_content_ms: 300 }\n").await;
}

/// What a vendor was too slow to say must not be waited for any longer, nor paid for.
#[tokio::test]
async fn a_target_that_was_given_up_is_hung_up_on() {
    let a = Vendor::with([Reply::stream([role()]).then_stall()]).await;
    let b = Vendor::with([Reply::stream(stream_of("from b")).done()]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], SHORT)).await;
    assert_eq!(gateway.stream("smart").await.served_by(), ("b", "2"));
    a.client_gone(0).await;
}

#[tokio::test]
async fn reasoning_refusals_tool_calls_and_a_finish_reason_are_content() {
    let deltas = [
        r#"{"reasoning_content":"hm"}"#,
        r#"{"reasoning":"hm"}"#,
        r#"{"refusal":"no"}"#,
        r#"{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":""}}]}"#,
        r#"{},"finish_reason":"content_filter""#,
    ];
    for said in deltas {
        let first = event(&format!(r#"{{"choices":[{{"index":0,"delta":{said}}}]}}"#));
        let a = Vendor::with([Reply::stream([role(), first.clone()]).then_stall()]).await;
        let b = Vendor::start().await;
        let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], SHORT)).await;
        let mut stream = gateway.open_stream("smart").await;
        stream.read_until(&first).await;
        assert_eq!(String::from_utf8_lossy(&stream.so_far), role() + &first);
    }
}

#[tokio::test]
async fn the_clients_own_mistake_is_told_as_the_vendor_told_it_and_not_tried_elsewhere() {
    for status in [400, 409, 413, 415, 422] {
        let said = format!(
            "{{ \"error\" : {{\"message\":\"n is too big\", \"type\":\"t\", \"param\":\"n\", \"code\":\"c{status}\"}}, \"x\":1}}"
        );
        let (a, b) = (Vendor::with([Reply::json(status, said.clone())]).await, Vendor::start().await);
        let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
        let answer = gateway.chat("smart").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (status, said));
        assert_eq!(gateway.metric("tollgate_failovers_total", &[]).await, 0.0);
        assert_eq!(gateway.call_line(0).await["ended"], "failed");
    }
}

/// A prompt's size must not decide whether it survives: it is held once and sent again.
#[tokio::test]
async fn a_prompt_of_20_megabytes_fails_over_like_a_small_one() {
    let prompt = "all work and no play ".repeat(1_000_000);
    let body = format!(r#"{{"model":"smart","messages":[{{"role":"user","content":"{prompt}"}}]}}"#);
    let early = Reply::status(503, "busy").before_body();
    for reply in [Reply::reset_before_head(), Reply::reset_before_head().before_body(), early] {
        let a = Vendor::with([reply]).await;
        let b = Vendor::with([Reply::chat("from b")]).await;
        let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
        let answer = gateway.post("/v1/chat/completions", body.clone()).await;
        assert_eq!(answer.content(), "from b");
        let sent = b.request(0).await;
        assert!(sent.body == body.replacen("smart", "model-b", 1).as_bytes(), "the prompt arrived changed");
    }
}

/// Two targets that are one upstream and one model are asked once each all the same, and no more than `attempts_max`.
#[tokio::test]
async fn targets_are_tried_once_each_and_only_so_many() {
    let down = || Reply::status(503, "busy");
    let (a, b) = (Vendor::with([down()]).await, Vendor::with([down()]).await);
    let (c, d) = (Vendor::with([down()]).await, Vendor::start().await);
    let urls = [a.url(), b.url(), c.url(), d.url()];
    let upstreams: Vec<_> = ["a", "b", "c", "d"].into_iter().zip(urls.iter().map(String::as_str)).collect();
    let gateway = Gateway::start(&over(&upstreams, "")).await;
    let answer = gateway.chat("smart").await;
    assert_eq!(answer.header("x-tollgate-attempts"), Some("3"), "the default of attempts_max");
    a.expect(down());
    let one = Gateway::start(&over(&upstreams, "failover: { attempts_max: 1 }\n")).await;
    assert_eq!(one.chat("smart").await.header("x-tollgate-attempts"), Some("1"));
    let two = Vendor::with([down()]).await;
    let gateway = Gateway::start(&over(&[("a", &two.url())], "failover: { attempts_max: 9 }\n")).await;
    assert_eq!(gateway.chat("smart").await.status, 503);
}

/// One deadline over all attempts: the second target is not begun when the first one used all the time.
#[tokio::test]
async fn one_deadline_covers_all_attempts() {
    let (a, b) = (Vendor::with([Reply::hang()]).await, Vendor::start().await);
    let gateway =
        Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "timeouts: { call_ms: 300 }\n")).await;
    let answer = gateway.chat("smart").await;
    assert_eq!(answer.status, 504);
    let message = answer.error()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("`timeouts.call_ms`"), "it names the limit that was met: {message}");
    a.client_gone(0).await;
}
