//! What a client is told of its call's cost: a header on whole answers, a last comment on streams where it asked for one.

use http::Method;

use crate::support::client::chat_body;
use crate::support::{Gateway, Reply, Vendor, delta, finish, over, role, usage};

/// Two dollars per million tokens in, ten out; nothing is known of `free-for-all`.
const PRICES: &str = "prices: { rows: [{ upstream: a, model: model-a, input: 2, output: 10 }] }\n";

fn counted() -> Reply {
    Reply::stream([role(), delta("hi"), finish(), usage(1_000, 50)]).done()
}

#[tokio::test]
async fn a_whole_answer_says_what_it_cost() {
    let a = Vendor::with([Reply::chat("hi")]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], PRICES)).await;
    // The scripted answer counts 7 tokens in and 2 out.
    let answer = gateway.chat("smart").await;
    assert_eq!(answer.header("x-tollgate-cost-usd"), Some("0.000034"));
    assert_eq!(answer.header("x-tollgate-cost-estimated"), None);
    a.expect(Reply::json(200, r#"{"choices":[{"message":{"role":"assistant","content":"hi"}}]}"#));
    let uncounted = gateway.chat("smart").await;
    assert!(uncounted.header("x-tollgate-cost-usd").is_some());
    assert_eq!(uncounted.header("x-tollgate-cost-estimated"), Some("1"));
    a.expect(Reply::chat("hi"));
    let unpriced = gateway.chat("a/other").await;
    assert_eq!(unpriced.header("x-tollgate-cost-usd"), None);
}

#[tokio::test]
async fn a_stream_ends_with_its_cost_where_the_client_asks() {
    let a = Vendor::with([counted(), counted(), Reply::stream([role(), delta("hi"), finish()]).done()]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], PRICES)).await;
    let plain = gateway.stream("smart").await;
    assert!(plain.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(plain.header("x-tollgate-cost-usd"), None);
    let ask = async || {
        let headers = [("content-type", "application/json"), ("x-tollgate-usage", "1")];
        let body = chat_body("smart", true);
        gateway.call(Method::POST, "/v1/chat/completions", &headers, body).await.text()
    };
    let told = ask().await;
    let (stream, comment) = told.rsplit_once("data: [DONE]\n\n").unwrap();
    assert!(!stream.contains("\"usage\":{"), "the usage chunk was the gateway's own wish: {stream}");
    let comment = comment.strip_prefix(": tollgate ").unwrap();
    let comment: serde_json::Value = serde_json::from_str(comment.trim_end()).unwrap();
    assert_eq!(comment["cost_usd"], "0.0025");
    assert_eq!((&comment["input_tokens"], &comment["output_tokens"]), (&1_000.into(), &50.into()));
    assert_eq!((&comment["estimated"], &comment["upstream"]), (&false.into(), &"a".into()));
    assert!(ask().await.contains("\"estimated\":true"));
    assert!(a.request(1).await.header("x-tollgate-usage").is_none(), "the wish is for the gateway alone");
}

#[tokio::test]
async fn what_left_a_target_out_is_counted() {
    let (a, b) = (Vendor::start().await, Vendor::with([Reply::chat("hi")]).await);
    let more =
        "routes:\n  - { model: eu, targets: [a/m, { upstream: b, model: m, tags: [eu] }], tags: [eu] }\n";
    let yaml = over(&[("a", &a.url()), ("b", &b.url())], "");
    let yaml = format!("{}{more}", yaml.split("routes:").next().unwrap());
    let gateway = Gateway::start(&yaml).await;
    assert_eq!(gateway.chat("eu").await.served_by().0, "b");
    let labels = [("route", "eu"), ("upstream", "a"), ("reason", "tag")];
    assert_eq!(gateway.metric("tollgate_exclusions_total", &labels).await, 1.0);
}
