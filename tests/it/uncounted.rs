//! What answers cost whose vendor counted nothing, counted nothing but zeros, or counted them before.

use serde_json::{Value, json};

use crate::costs::{alone, assert_cost, dollars, with_prices};
use crate::support::{Gateway, Reply, Vendor, completion, delta, event, finish, over, role, usage};

/// Servers that count nothing and say so with zeros are not free.
#[tokio::test]
async fn usage_of_nothing_but_zeros_is_estimated_as_well() {
    let zeros = r#""prompt_tokens":0,"completion_tokens":0,"total_tokens":0"#;
    let body = completion("a few words of an answer")
        .replace(r#""prompt_tokens":7,"completion_tokens":2,"total_tokens":9"#, zeros);
    assert!(body.contains(zeros), "{body}");
    let streamed = Reply::stream([role(), delta("a few words"), finish(), usage(0, 0)]).done();
    let a = Vendor::with([Reply::json(200, body), streamed]).await;
    let gateway = alone(&a).await;
    gateway.chat("smart").await;
    gateway.stream("smart").await;
    for call in 0..2 {
        let line = gateway.call_line(call).await;
        assert_eq!(line["usage_estimated"], true, "{line}");
        assert!(line["cost_usd"].as_str().is_some_and(|it| it != "0"), "{line}");
    }
}

/// Their answer is numbers; what they cost is their input, also of an answer too long to be read.
#[tokio::test]
async fn embeddings_without_usage_cost_what_was_read() {
    let short = r#"{"data":[{"embedding":[0.1]}]}"#;
    let long = format!(r#"{{"data":[{{"embedding":[{}]}}]}}"#, ["0.1"; 2_000].join(","));
    let a = Vendor::with([Reply::json(200, short), Reply::json(200, long)]).await;
    let yaml = with_prices(
        &over(&[("a", &a.url())], "limits: { answer_bytes_max: 4096 }\n"),
        &["input: 2, output: 10"],
    );
    let gateway = Gateway::start(&yaml).await;
    for call in 0..2 {
        gateway.post("/v1/embeddings", r#"{"model":"smart","input":"a few words to embed"}"#).await;
        let line = gateway.call_line(call).await;
        let cost: f64 = line["cost_usd"].as_str().unwrap().parse().unwrap();
        let input = line["input_tokens"].as_u64().unwrap();
        assert!((cost - (input * 2) as f64 / 1e6).abs() < 1e-12 && cost > 0.0, "{line}");
        assert_eq!((&line["usage_estimated"], &line["output_tokens"]), (&json!(true), &json!(0)), "{line}");
    }
}

/// 50×2 + 4,000×10 for the first; nobody knows what the second cost, least of all by the length of a picture.
#[tokio::test]
async fn a_streamed_picture_costs_what_its_last_event_says() {
    let picture = format!(r#""type":"image_generation.completed","b64_json":"{}""#, "A".repeat(9_000));
    let counted = event(&format!(r#"{{{picture},"usage":{{"input_tokens":50,"output_tokens":4000}}}}"#));
    let preview = event(r#"{"type":"image_generation.partial_image","b64_json":"AAAA"}"#);
    let uncounted = event(&format!("{{{picture}}}"));
    let first = Reply::stream([preview.clone(), counted]).end();
    let a = Vendor::with([first, Reply::stream([preview, uncounted]).end()]).await;
    let gateway = alone(&a).await;
    let ask = r#"{"model":"smart","prompt":"a cat on a mat","stream":true}"#;
    gateway.post("/v1/images/generations", ask).await;
    assert_cost(&gateway.call_line(0).await, "0.0401");
    gateway.post("/v1/images/generations", ask).await;
    let line = gateway.call_line(1).await;
    assert_eq!((&line["cost_usd"], &line["output_tokens"]), (&Value::Null, &Value::Null), "{line}");
    assert_eq!(dollars(&gateway, "unpriced_calls_total", "a").await, 1.0);
}

/// Whoever waits for a response in the background asks for it again and again.
#[tokio::test]
async fn an_answer_that_is_read_again_is_not_paid_again() {
    let body =
        r#"{"id":"resp_1","status":"completed","output":[],"usage":{"input_tokens":9,"output_tokens":9}}"#;
    let a = Vendor::start().await;
    a.otherwise(Reply::json(200, body));
    let gateway = alone(&a).await;
    let answer = gateway.get("/v1/responses/resp_1").await;
    assert_eq!(answer.header("x-tollgate-cost-usd"), None);
    let line = gateway.call_line(0).await;
    assert_eq!((&line["cost_usd"], &line["input_tokens"]), (&Value::Null, &Value::Null), "{line}");
    for family in ["cost_usd_total", "unpriced_calls_total"] {
        assert_eq!(dollars(&gateway, family, "a").await, 0.0, "{family}");
    }
}
