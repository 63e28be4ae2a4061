//! Errors that come in the clothes of an answer: inside a 200, beside an empty choice, as a last event without its end.

use serde_json::json;

use crate::support::{DONE, Gateway, Reply, Vendor, delta, event, finish, over, role};

const KEY: &str = "sk-planted-0042";

/// OpenRouter's way to say that a stream failed: the error stands beside a choice that says nothing.
const BESIDE_EMPTY: &str = r#"{"id":"s-1","error":{"code":502,"message":"provider gone"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#;

/// The same without any choice.
const BESIDE_NONE: &str = r#"{"id":"s-1","error":{"code":502,"message":"provider gone"},"choices":[]}"#;

fn stream_of(text: &str) -> String {
    [role(), delta(text), finish()].concat()
}

/// Upstreams `a`, with a key, and `b` behind `smart`; one failure opens `a`.
fn keyed(a: &Vendor, b: &Vendor) -> String {
    let yaml = over(&[("a", &a.url()), ("b", &b.url())], "");
    yaml.replacen(
        " }",
        &format!(", key: {KEY}, circuit: {{ failures: 1, open_ms: 600000, open_ms_max: 600000 }} }}"),
        1,
    )
}

/// The events and the one error event behind them, which is returned; nothing follows it.
fn last_words(text: &str, events: &str) -> serde_json::Value {
    let rest = text.strip_prefix(events).unwrap_or_else(|| panic!("{text:?} does not begin with {events:?}"));
    let said = rest.strip_prefix("data: ").and_then(|it| it.strip_suffix("\n\n"));
    let said = said.filter(|it| !it.contains('\n')).unwrap_or_else(|| panic!("{rest:?} is not one event"));
    serde_json::from_str::<serde_json::Value>(said).unwrap()["error"].clone()
}

/// `finish_reason: "error"` was taken for the end of a complete answer, and `choices: []` for the harmless chunk with
/// which Azure begins: the client got an empty answer although another target was left.
#[tokio::test]
async fn an_error_beside_an_empty_choice_is_an_error_before_content() {
    for said in [BESIDE_EMPTY, BESIDE_NONE] {
        for preamble in [String::new(), role()] {
            let a = Vendor::with([Reply::stream([preamble + &event(said)]).done()]).await;
            let b = Vendor::with([Reply::stream([stream_of("from b")]).done()]).await;
            let gateway = Gateway::start(&keyed(&a, &b)).await;
            let answer = gateway.stream("smart").await;
            assert_eq!(
                (answer.text(), answer.served_by()),
                (stream_of("from b") + DONE, ("b", "2")),
                "{said}"
            );
            assert_eq!(gateway.call_line(0).await["failed"][0]["error"], "vendor_failed");
            assert_eq!(gateway.upstream("a").await["circuit"], "open");
        }
    }
    let a = Vendor::with([Reply::json(200, BESIDE_NONE)]).await;
    let b = Vendor::with([Reply::chat("from b")]).await;
    let gateway = Gateway::start(&keyed(&a, &b)).await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"));
}

#[tokio::test]
async fn an_error_beside_an_empty_choice_is_an_error_behind_content() {
    for said in [BESIDE_EMPTY, BESIDE_NONE] {
        let a = Vendor::with([Reply::stream([delta("par"), event(said)]).done()]).await;
        let b = Vendor::start().await;
        let gateway = Gateway::start(&keyed(&a, &b)).await;
        let error = last_words(&gateway.stream("smart").await.text(), &delta("par"));
        assert_eq!(error["message"], "provider gone");
        let line = gateway.call_line(0).await;
        assert_eq!((&line["ended"], &line["error"]), (&"cut".into(), &"vendor_failed".into()), "{line}");
    }
}

/// What an error inside a 200 calls itself counts as if it had been the status: a limit rests the key, and the vendor
/// is not down.
#[tokio::test]
async fn a_rate_limit_inside_a_200_rests_the_key_and_opens_no_circuit() {
    let said = r#"{"error":{"code":429,"message":"slow down"},"choices":[]}"#;
    for stream in [false, true] {
        let first = if stream { Reply::stream([event(said)]).done() } else { Reply::json(200, said) };
        let a = Vendor::with([first.header("retry-after", "60")]).await;
        let b = Vendor::start().await;
        b.otherwise(if stream { Reply::stream([stream_of("from b")]).done() } else { Reply::chat("from b") });
        let gateway = Gateway::start(&keyed(&a, &b)).await;
        let call = async || if stream { gateway.stream("smart").await } else { gateway.chat("smart").await };
        assert_eq!(call().await.served_by(), ("b", "2"));
        let shown = gateway.upstream("a").await;
        assert_eq!((&shown["circuit"], &shown["keys"]), (&"closed".into(), &json!(["cooling"])), "{shown}");
        assert_eq!(gateway.call_line(0).await["failed"][0]["error"], "rate_limited");
        assert_eq!(call().await.served_by(), ("b", "1"), "the key rests");
    }
}

/// With nobody else to ask, the client is told of the limit as if the vendor had said it with a status.
#[tokio::test]
async fn a_rate_limit_inside_a_200_is_told_as_429() {
    let said = r#"{"error":{"code":429,"message":"slow down"}}"#;
    let a = Vendor::with([Reply::json(200, said), Reply::stream([event(said)]).done()]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    for answer in [gateway.chat("smart").await, gateway.stream("smart").await] {
        assert_eq!((answer.status.as_u16(), answer.error()["message"].as_str()), (429, Some("slow down")));
    }
}

/// An event that the end of the stream left without its blank line went out as it was: with the vendor's words about our
/// key, and then with a second error event behind it.
#[tokio::test]
async fn a_last_error_without_its_blank_line_is_read_and_not_passed_on() {
    let said = format!(r#"data: {{"error":{{"message":"key {KEY} is over its limit","code":"x"}}}}"#);
    for end in ["", "\n", "\r\n"] {
        let last = format!("{said}{end}");
        let after = Reply::stream([delta("par"), last.clone()]).end();
        let (a, b) = (Vendor::with([after]).await, Vendor::start().await);
        let gateway = Gateway::start(&keyed(&a, &b)).await;
        let answer = gateway.stream("smart").await;
        assert!(answer.whole && !answer.text().contains(KEY), "{}", answer.text());
        let error = last_words(&answer.text(), &delta("par"));
        assert_eq!(error["message"], "key *** is over its limit");
        assert_eq!(gateway.call_line(0).await["error"], "vendor_failed");
        // Before any content there is still another target.
        let a = Vendor::with([Reply::stream([role(), last]).end()]).await;
        let b = Vendor::with([Reply::stream([stream_of("from b")]).done()]).await;
        let gateway = Gateway::start(&keyed(&a, &b)).await;
        assert_eq!(gateway.stream("smart").await.text(), stream_of("from b") + DONE);
    }
}

/// Errors without an `error` in them: SiliconFlow's, Cerebras', FastAPI's, vLLM's, MiniMax'; and ends for a failure.
const BARE: [&str; 7] = [
    r#"{"code":50505,"message":"it said why","data":null}"#,
    r#"{"message":"it said why","type":"server_error","param":null,"code":"x"}"#,
    r#"{"detail":"it said why"}"#,
    r#"{"object":"error","message":"it said why","type":"x","param":null,"code":500}"#,
    r#"{"id":"m","choices":null,"base_resp":{"status_code":1008,"status_msg":"it said why"}}"#,
    r#"{"id":"g","choices":[{"index":0,"delta":{"content":""},"finish_reason":"network_error"}]}"#,
    r#"{"id":"d","choices":[{"index":0,"delta":{},"finish_reason":"insufficient_system_resource"}]}"#,
];

#[tokio::test]
async fn a_bare_error_moves_on_before_content_and_is_told_behind_it() {
    for said in BARE {
        let begun = Reply::stream([delta("par"), event(said)]).done();
        let a = Vendor::with([Reply::stream([role(), event(said)]).done(), begun]).await;
        let b = Vendor::with([Reply::stream([stream_of("from b")]).done()]).await;
        let yaml = over(&[("a", &a.url()), ("b", &b.url())], "");
        let gateway = Gateway::start(&yaml).await;
        assert_eq!(gateway.stream("smart").await.text(), stream_of("from b") + DONE, "{said}");
        let error = last_words(&gateway.stream("smart").await.text(), &delta("par"));
        let why = error["message"].as_str().unwrap();
        assert!(why == "it said why" || why.starts_with("The upstream ended its answer with"), "{error}");
        let line = gateway.call_line(1).await;
        assert_eq!((&line["ended"], &line["error"]), (&"cut".into(), &"vendor_failed".into()), "{line}");
    }
}

#[tokio::test]
async fn a_whole_bare_error_moves_on() {
    for said in BARE {
        let a = Vendor::with([Reply::json(200, said.replace("delta", "message"))]).await;
        let b = Vendor::with([Reply::chat("from b")]).await;
        let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
        assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"), "{said}");
    }
}

/// What stands beside the failed end is content, and passes as it came.
#[tokio::test]
async fn content_beside_a_failed_end_passes_as_it_came() {
    let last =
        event(r#"{"choices":[{"index":0,"delta":{"content":"tial"},"finish_reason":"network_error"}]}"#);
    let a = Vendor::with([Reply::stream([delta("par"), last.clone()]).done()]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    last_words(&gateway.stream("smart").await.text(), &(delta("par") + &last));
    assert_eq!(gateway.call_line(0).await["ended"], "cut");
}
