//! What is wrong with a call or its answer, told in the words of its client, whatever they are.

use http::Method;
use serde_json::json;

use crate::support::tongue::{CLIENTS, Tongue, VENDORS, gateway};
use crate::support::{Gateway, Reply, Vendor};

use Tongue::*;

async fn one(tongue: Tongue, more: &str) -> (Vendor, Gateway) {
    let a = Vendor::start().await;
    let gateway = gateway(&[(tongue, &a)], "", more).await;
    (a, gateway)
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_by_its_field_and_tried_nowhere() {
    let (a, gateway) = one(Chat, "").await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    let bodies = [
        (Anthropic, json!({"model": "smart", "max_tokens": 9, "messages": "hi"}), "messages"),
        (Anthropic, json!({"model": "smart", "max_tokens": 9}), "messages"),
        (Gemini, json!({"contents": 7}), "contents"),
        (Responses, json!({"model": "smart", "input": 7}), "input"),
        (Completions, json!({"model": "smart", "prompt": {"a": 1}}), "prompt"),
    ];
    for (client, body, field) in bodies {
        let answer = client.call_with(&gateway, &[], &body).await;
        assert_eq!(answer.status, 400, "{client:?}: {}", answer.text());
        assert!(!client.refusal(&answer).is_empty());
        assert!(answer.text().contains(field), "{client:?}: {}", answer.text());
    }
    for client in CLIENTS {
        for body in ["{", "[]", "nothing", "{\"messages\":\u{1}}"] {
            let answer = gateway.post(&client.path("smart", false), body).await;
            assert_eq!(answer.status, 400, "{client:?}: {}", answer.text());
            client.refusal(&answer);
        }
    }
    let unnamed = json!({"max_tokens": 9, "messages": messages});
    let answer = Anthropic.call_with(&gateway, &[], &unnamed).await;
    assert_eq!((answer.status.as_u16(), Anthropic.refusal(&answer).contains("model")), (400, true));
    assert_eq!(a.calls(), 0);
}

#[tokio::test]
async fn a_body_nested_too_deep_is_refused() {
    let (a, gateway) = one(Anthropic, "").await;
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    for client in CLIENTS {
        let mut body = client.asks("smart", "hi", false);
        body["metadata"] = json!(0);
        let body = body.to_string().replace("\"metadata\":0", &format!("\"metadata\":{deep}"));
        let answer = gateway.post(&client.path("smart", false), body).await;
        assert_eq!(answer.status, 400, "{client:?}: {}", answer.text());
        client.refusal(&answer);
    }
    assert_eq!(a.calls(), 0);
}

#[tokio::test]
async fn strangers_and_unknown_models_are_refused_in_the_clients_words() {
    let (a, gateway) = one(Chat, "clients: { shop: { key: client-key } }\n").await;
    for client in CLIENTS {
        let stranger = client.call(&gateway, false).await;
        assert_eq!(stranger.status, 401, "{client:?}");
        assert!(client.refusal(&stranger).contains("key"), "{client:?}");
        let headers = [("content-type", "application/json"), ("x-api-key", "client-key")];
        let body = client.asks("none-such", "hi", false).to_string();
        let path = client.path("none-such", false);
        let unknown = gateway.call(Method::POST, &path, &headers, body).await;
        assert_eq!(unknown.status, 404, "{client:?}: {}", unknown.text());
        assert!(client.refusal(&unknown).contains("none-such"), "{client:?}");
    }
    assert_eq!(a.calls(), 0);
}

#[tokio::test]
async fn methods_and_paths_that_there_are_not_are_told_apart() {
    let cors = "cors: { origins: [\"https://page.example\"] }\n";
    let (a, gateway) = one(Chat, cors).await;
    for client in [Anthropic, Gemini] {
        let path = client.path("smart", false);
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            let answer = gateway.call(method.clone(), &path, &[], "").await;
            let expected =
                if client == Gemini && matches!(method, Method::GET | Method::HEAD) { 404 } else { 405 };
            assert_eq!(answer.status, expected, "{method} {path}");
            if method != Method::HEAD {
                client.refusal(&answer);
            }
        }
        let headers = [
            ("origin", "https://page.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "x-api-key,anthropic-version"),
        ];
        let asked = gateway.call(Method::OPTIONS, &path, &headers, "").await;
        assert_eq!(asked.status, 204);
        assert_eq!(asked.header("access-control-allow-headers"), Some("x-api-key,anthropic-version"));
        a.expect(Chat.whole("hi"));
        let page = [("origin", "https://page.example")];
        let answer = client.call_with(&gateway, &page, &client.asks("smart", "hi", false)).await;
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://page.example"));
    }
    let lost = gateway.post("/v1beta/nothing", "{}").await;
    assert_eq!(lost.status, 404);
    Gemini.refusal(&lost);
    let lost = gateway.post("/v1beta/models/smart:predict", "{}").await;
    assert_eq!(lost.status, 404);
    Gemini.refusal(&lost);
}

#[tokio::test]
async fn a_form_is_no_message() {
    let (a, gateway) = one(Chat, "").await;
    let form = "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nsmart\r\n--x--\r\n";
    let headers = [("content-type", "multipart/form-data; boundary=x")];
    for client in [Anthropic, Gemini] {
        let answer = gateway.call(Method::POST, &client.path("smart", false), &headers, form).await;
        assert!(answer.status.is_client_error(), "{client:?}: {} {}", answer.status, answer.text());
        client.refusal(&answer);
    }
    assert_eq!(a.calls(), 0);
}

/// An answer that must be read to be told cannot be longer than what is held; one in the client's own words can.
#[tokio::test]
async fn an_answer_too_long_to_hold_is_told_only_where_nobody_must_read_it() {
    let long = "x".repeat(5_000);
    for vendor in VENDORS {
        let (a, gateway) = one(vendor, "limits: { answer_bytes_max: 4096 }\n").await;
        for client in CLIENTS {
            a.expect(vendor.whole(&long));
            let answer = client.call(&gateway, false).await;
            if client == vendor {
                assert_eq!(client.said(&answer), long, "{client:?} at {vendor:?}");
                continue;
            }
            assert_eq!(answer.status, 502, "{client:?} at {vendor:?}");
            assert!(client.refusal(&answer).contains("answer_bytes_max"), "{client:?}: {}", answer.text());
        }
    }
}

/// Its vendor did nothing wrong, and the next one would be paid for an answer as long.
#[tokio::test]
async fn an_answer_too_long_to_hold_is_nobodys_failure() {
    let (a, b) = (Vendor::with([Gemini.whole(&"x".repeat(5_000))]).await, Vendor::start().await);
    let more = "limits: { answer_bytes_max: 4096 }\n";
    let gateway = gateway(&[(Gemini, &a), (Chat, &b)], ", circuit: { failures: 1 }", more).await;
    assert_eq!(Anthropic.call(&gateway, false).await.status, 502);
    assert_eq!((b.calls(), &gateway.upstream("a").await["circuit"]), (0, &json!("closed")));
}

#[tokio::test]
async fn an_answer_that_is_none_is_left_for_the_next_vendor() {
    for vendor in VENDORS {
        for odd in [Reply::json(200, "{}"), Reply::json(200, "[1]"), Reply::whole(200, "text/html", "<html>")]
        {
            let (a, b) = (Vendor::with([odd]).await, Vendor::with([Chat.whole("from b")]).await);
            let gateway = gateway(&[(vendor, &a), (Chat, &b)], "", "").await;
            let client = if vendor == Anthropic { Gemini } else { Anthropic };
            let answer = client.call(&gateway, false).await;
            assert_eq!(client.said(&answer), "from b", "{vendor:?}: {}", answer.text());
        }
    }
}

/// Google's SDKs read the wait in the body, and nowhere else.
#[tokio::test]
async fn googles_clients_are_told_when_to_come_back_as_google_does() {
    let (a, gateway) = one(Anthropic, "").await;
    a.otherwise(Anthropic.refuses(429, "slow down").header("retry-after", "7"));
    let answer = Gemini.call(&gateway, false).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("7")));
    let details = answer.json()["error"]["details"].clone();
    let info = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"});
    assert!(details.as_array().is_some_and(|it| it.contains(&info)), "{details}");
}

/// OpenRouter and vLLM have a number for a code, FastAPI has no error object at all.
#[tokio::test]
async fn errors_of_every_chat_vendor_are_told_in_the_clients_words() {
    for body in [json!({"error": {"message": "slow down", "code": 429}}), json!({"detail": "slow down"})] {
        let (a, gateway) = one(Chat, "").await;
        for client in [Anthropic, Gemini, Responses] {
            a.expect(Reply::json(429, body.to_string()));
            let answer = client.call(&gateway, false).await;
            assert_eq!(
                (answer.status.as_u16(), client.refusal(&answer).as_str()),
                (429, "slow down"),
                "{client:?}: {}",
                answer.text()
            );
        }
    }
}
