//! Calls that only ask how many tokens they have: counted by a vendor where one can, and estimated wherever none does.

use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::tongue::{Tongue, gateway, upstream};
use crate::support::{Gateway, Refusing, Reply, Vendor};

use Tongue::*;

/// Asks in that dialect how long "Hello, you there" is.
async fn count(gateway: &Gateway, client: Tongue) -> Answer {
    let text = "Hello, you there";
    match client {
        Gemini => {
            let body = json!({"contents": [{"parts": [{"text": text}]}]});
            gateway.post("/v1beta/models/smart:countTokens", body.to_string()).await
        }
        _ => {
            let body = json!({"model": "smart", "messages": [{"role": "user", "content": text}]});
            gateway.post("/v1/messages/count_tokens", body.to_string()).await
        }
    }
}

/// The number, which is the gateway's estimate.
#[track_caller]
fn estimated(client: Tongue, answer: &Answer) -> u64 {
    let name = if client == Gemini { "totalTokens" } else { "input_tokens" };
    assert_eq!(answer.status, 200, "{client:?}: {}", answer.text());
    assert_eq!(answer.header("x-tollgate-tokens-estimated"), Some("1"), "{client:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{client:?}");
    let tokens = answer.json()[name].as_u64().unwrap_or_default();
    assert!(tokens > 0, "{client:?}: {}", answer.text());
    tokens
}

#[tokio::test]
async fn where_the_vendor_refuses_to_count_the_gateway_estimates() {
    for client in [Anthropic, Gemini] {
        for refusal in [
            client.refuses(503, "busy"),
            client.refuses(429, "slow down"),
            client.refuses(401, "who are you"),
            client.refuses(404, "no such path, nor model"),
            Reply::status(405, "method not allowed"),
        ] {
            let (a, b) = (Vendor::with([refusal]).await, Vendor::start().await);
            let gateway = gateway(&[(client, &a), (Chat, &b)], "", "").await;
            estimated(client, &count(&gateway, client).await);
            assert_eq!((a.calls(), b.calls()), (1, 0), "{client:?}");
            let line = gateway.call_line(0).await;
            assert_eq!((&line["status"], &line["ended"]), (&json!(200), &json!("complete")), "{line}");
            assert_eq!((&line["error"], &line["cost_usd"]), (&Value::Null, &Value::Null), "{line}");
        }
    }
}

#[tokio::test]
async fn where_nobody_can_be_asked_the_gateway_estimates() {
    let nobody = Refusing::start();
    let yaml = format!(
        "upstreams:\n  a: {{ vendor: anthropic, key: k, base_url: \"{}\" }}\nroutes:\n  - {{ model: smart, targets: [a/m] }}\n",
        nobody.url()
    );
    estimated(Anthropic, &count(&Gateway::start(&yaml).await, Anthropic).await);
}

#[tokio::test]
async fn what_is_wrong_with_the_request_itself_is_told() {
    for client in [Anthropic, Gemini] {
        let a = Vendor::with([client.refuses(400, "that is too hot")]).await;
        let gateway = gateway(&[(client, &a)], "", "").await;
        let answer = count(&gateway, client).await;
        assert_eq!((answer.status.as_u16(), client.refusal(&answer)), (400, "that is too hot".into()));
        assert_eq!(answer.header("x-tollgate-tokens-estimated"), None);
    }
}

/// Vendors without a path that counts say so in words about the path, or the model.
#[tokio::test]
async fn a_vendor_that_does_not_count_is_asked_to_speak_all_the_same() {
    let (a, b) =
        (Vendor::with([Anthropic.refuses(404, "unknown model or path")]).await, Vendor::start().await);
    let gateway = gateway(&[(Anthropic, &a), (Chat, &b)], "", "").await;
    estimated(Anthropic, &count(&gateway, Anthropic).await);
    a.expect(Anthropic.whole("Hello"));
    assert_eq!(Anthropic.call(&gateway, false).await.served_by(), ("a", "1"));
}

/// A vendor's number would leave out what the route puts in.
#[tokio::test]
async fn what_the_route_adds_is_estimated_with_the_rest() {
    for client in [Anthropic, Gemini] {
        let a = Vendor::start().await;
        let mut found = Vec::new();
        for adds in [
            "system: You are a patient teacher of arithmetic and of all its history.",
            "defaults: { temperature: 0.3 }",
        ] {
            let yaml = format!(
                "upstreams:\n  a: {{ {} }}\nroutes:\n  - {{ model: smart, targets: [a/m], {adds} }}\n",
                upstream(client, &a).trim_end()
            );
            found.push(estimated(client, &count(&Gateway::start(&yaml).await, client).await));
        }
        assert!(found[0] >= found[1] + 8, "{client:?}: {found:?}");
        assert_eq!(a.calls(), 0, "{client:?}");
    }
}

/// Vertex' path for Claude knows nothing but to speak: asked to count, it would answer, and charge.
#[tokio::test]
async fn a_path_that_only_speaks_is_not_asked_to_count() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    b.otherwise(Anthropic.whole("Hello"));
    let yaml = |order: &str| {
        format!(
            "upstreams:\n  a: {{ {} }}\n  b: {{ vendor: vertex-anthropic, auth: bearer, key: k, base_url: \"http://{}/v1\" }}\nroutes:\n  - {{ model: smart, targets: [{order}] }}\n",
            upstream(Anthropic, &a),
            b.address
        )
    };
    a.expect(Anthropic.refuses(503, "busy"));
    estimated(Anthropic, &count(&Gateway::start(&yaml("a/m, b/m")).await, Anthropic).await);
    a.expect(Reply::json(200, r#"{"input_tokens":14}"#));
    let counted = count(&Gateway::start(&yaml("b/m, a/m")).await, Anthropic).await;
    assert_eq!((counted.text().as_str(), counted.served_by().0), (r#"{"input_tokens":14}"#, "a"));
    assert_eq!((a.calls(), b.calls()), (2, 0));
}

/// A vendor of the client's dialect would refuse to read them.
#[tokio::test]
async fn a_prompt_with_thoughts_of_another_maker_is_estimated() {
    let a = Vendor::start().await;
    let gateway = gateway(&[(Anthropic, &a)], "", "").await;
    let thought = json!({"type": "thinking", "thinking": "Hm.", "signature": "tollgate.gemini.c2ln"});
    let body = json!({"model": "smart", "messages": [{"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "Hi"}]}, {"role": "user", "content": "And?"}]});
    let answer = gateway.post("/v1/messages/count_tokens", body.to_string()).await;
    estimated(Anthropic, &answer);
    assert_eq!(a.calls(), 0);
}

/// A target that does not count is not asked, and takes no attempt from those who do.
#[tokio::test]
async fn who_cannot_count_takes_no_attempt() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    b.expect(Reply::json(200, json!({"input_tokens": 4}).to_string()));
    let gateway = gateway(&[(Chat, &a), (Anthropic, &b)], "", "failover: { attempts_max: 1 }\n").await;
    let answer = count(&gateway, Anthropic).await;
    assert_eq!(
        (answer.text().as_str(), answer.header("x-tollgate-tokens-estimated")),
        (r#"{"input_tokens":4}"#, None)
    );
}

/// How soon a count comes says nothing of how soon an answer would, and it is free.
#[tokio::test]
async fn a_count_is_no_answer_of_its_target() {
    let a = Vendor::with([Reply::json(200, json!({"input_tokens": 4}).to_string())]).await;
    a.expect(Anthropic.refuses(503, "busy"));
    let gateway = gateway(&[(Anthropic, &a)], "", "").await;
    assert_eq!(count(&gateway, Anthropic).await.header("x-tollgate-tokens-estimated"), None);
    estimated(Anthropic, &count(&gateway, Anthropic).await);
    let of = async |family: &str| gateway.metric(family, &[("upstream", "a")]).await;
    assert_eq!(of("tollgate_requests_total").await, 1.0, "the second one was answered by nobody");
    assert_eq!(of("tollgate_time_to_first_token_seconds_count").await, 0.0);
    assert_eq!(of("tollgate_unpriced_calls_total").await, 0.0);
}
