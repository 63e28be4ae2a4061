//! Clients of Anthropic's and Google's APIs at vendors that speak the same: bytes pass as they are, and the gateway reads
//! along.

use http::Method;
use serde_json::{Value, json};

use crate::support::tongue::{Tongue, gateway, named};
use crate::support::{Gateway, Reply, Sim, Vendor, event};

use Tongue::*;

async fn one(tongue: Tongue, reply: Reply) -> (Vendor, Gateway) {
    let a = Vendor::with([reply]).await;
    let gateway = gateway(&[(tongue, &a)], "", "").await;
    (a, gateway)
}

/// Spacing, order, escapes and numbers as no writer of ours would have them.
const ODD: &str = r#"{ "max_tokens":64 ,"novel":{"z":1.50,"a":"\u00e4"}, "messages" : [{"role":"user","content":"h\/i"}],"model":"smart" }"#;

#[tokio::test]
async fn a_message_passes_byte_for_byte_but_for_its_model() {
    let body = r#"{ "type":"message","id":"msg_1", "novel":[1.50],"content":[{"type":"text","text":"\u00e4"}],"usage":{"input_tokens":7,"output_tokens":2}}"#;
    let (a, gateway) = one(Anthropic, Reply::json(200, body).header("request-id", "req_v")).await;
    let headers = [
        ("content-type", "application/json"),
        ("anthropic-version", "2026-01-01"),
        ("anthropic-beta", "novel-1"),
        ("x-api-key", "client-key"),
    ];
    let answer = gateway.call(Method::POST, "/v1/messages?beta=true", &headers, ODD).await;
    assert_eq!(answer.text(), body);
    assert_eq!(answer.header("request-id"), Some("req_v"), "the vendor's own");
    let seen = a.request(0).await;
    assert_eq!(seen.text(), ODD.replace("smart", "model-a"));
    assert_eq!(seen.target, "/v1/messages?beta=true");
    let of = |name: &str| seen.header(name).unwrap_or_default().to_owned();
    assert_eq!((of("anthropic-version"), of("anthropic-beta")), ("2026-01-01".into(), "novel-1".into()));
    assert_eq!(of("x-api-key"), "vendor-key");
    assert_eq!(seen.header("authorization"), None);
}

#[tokio::test]
async fn a_stream_passes_byte_for_byte_and_its_usage_is_read() {
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "content": [], "usage":
        {"input_tokens": 10, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 100, "output_tokens": 1, "service_tier": "priority"}}});
    let pieces = [
        named(start),
        "event: novel\ndata: {\"type\": \"novel\"}\n\n".to_owned(),
        named(
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
        "event: ping\ndata: {\"type\": \"ping\"}\n\n".to_owned(),
        named(
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}),
        ),
        named(json!({"type": "content_block_stop", "index": 0})),
        named(
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 50}}),
        ),
        named(json!({"type": "message_stop"})),
    ];
    let a = Vendor::with([Reply::stream(pieces.clone()).end()]).await;
    let price = ", price: { input: 2, output: 10, cached_input: 0.5, cache_write: 3 }";
    let gateway = gateway(&[(Anthropic, &a)], price, "").await;
    let headers = [("x-tollgate-usage", "1")];
    let answer = Anthropic.call_with(&gateway, &headers, &Anthropic.asks("smart", "hi", true)).await;
    let text = answer.text();
    let comment = text.strip_prefix(&pieces.concat()).expect(&text);
    let told: Value = serde_json::from_str(comment.trim().strip_prefix(": tollgate ").unwrap()).unwrap();
    // 10×2 + 1,000×0.5 + 100×3 + 50×10 millionths.
    assert_eq!((&told["input_tokens"], &told["cost_usd"]), (&json!(1110), &json!("0.00132")), "{told}");
    let line = gateway.call_line(0).await;
    let counted = ["input_tokens", "cached_input_tokens", "output_tokens"].map(|it| line[it].clone());
    assert_eq!(counted, [json!(1110), json!(1000), json!(50)], "{line}");
    assert_eq!(line["service_tier"], "priority", "{line}");
    assert_eq!((&line["ended"], &line["cost_usd"]), (&json!("complete"), &json!("0.00132")), "{line}");
    let metrics = gateway.metrics().await;
    let tokens: Vec<_> = metrics.iter().filter(|it| it.0.starts_with("tollgate_tokens_total")).collect();
    assert!(tokens.iter().any(|it| *it.1 == 50.0), "{tokens:?}");
}

#[tokio::test]
async fn an_error_passes_as_its_vendor_wrote_it() {
    let body =
        r#"{ "type":"error","error":{"type":"invalid_request_error","message":"no"},"request_id":"req_1"}"#;
    let (_a, gateway) = one(Anthropic, Reply::json(400, body)).await;
    let answer = Anthropic.call(&gateway, false).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (400, body));
    let body = r#"{ "error":{"code":400,"message":"no","status":"INVALID_ARGUMENT","details":[]}}"#;
    let (_a, gateway) = one(Gemini, Reply::json(400, body)).await;
    let answer = Gemini.call(&gateway, false).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (400, body));
}

#[tokio::test]
async fn content_is_generated_byte_for_byte_and_the_callers_key_stays_here() {
    let body = r#"{ "contents":[{"parts":[{"text":"h\/i"}]}],"novel":1.50 }"#;
    let told = r#"{ "candidates":[{"content":{"parts":[{"text":"\u00e4"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2}}"#;
    let stream = [event(&told.replace(r#","finishReason":"STOP""#, "")), event(told)];
    let a = Vendor::with([Reply::json(200, told), Reply::stream(stream.clone()).end()]).await;
    let clients = "clients: { shop: { key: client-key } }\n";
    let gateway = gateway(&[(Gemini, &a)], "", clients).await;
    let path = "/v1beta/models/smart:generateContent?key=client-key";
    let whole = gateway.post(path, body).await;
    assert_eq!((whole.status.as_u16(), whole.text().as_str()), (200, told));
    let path = "/v1beta/models/smart:streamGenerateContent?alt=sse&key=client-key";
    assert_eq!(gateway.post(path, body).await.text(), stream.concat());
    for (index, (verb, query)) in
        [("generateContent", ""), ("streamGenerateContent", "?alt=sse")].iter().enumerate()
    {
        let seen = a.request(index).await;
        assert_eq!(
            (seen.text(), seen.target.clone()),
            (body, format!("/v1beta/models/model-a:{verb}{query}"))
        );
        assert_eq!(seen.header("x-goog-api-key"), Some("vendor-key"));
        let line = gateway.call_line(index).await;
        assert_eq!((&line["input_tokens"], &line["ended"]), (&json!(7), &json!("complete")), "{line}");
    }
    let wrong = gateway.post("/v1beta/models/smart:generateContent?key=other", body).await;
    assert_eq!(wrong.status, 401);
    assert_eq!(Gemini.refusal(&wrong), "The API key is not known to this gateway.");
    gateway.call_line(2).await;
    let log: Vec<String> = gateway.log_lines().iter().map(Value::to_string).collect();
    assert!(!log.concat().contains("client-key") && !gateway.stderr().contains("client-key"), "{log:?}");
}

#[tokio::test]
async fn tokens_are_counted_by_who_can_and_else_estimated() {
    let ask = json!({"model": "smart", "messages": [{"role": "user", "content": "Hello, you there"}]});
    let google = json!({"contents": [{"parts": [{"text": "Hello, you there"}]}]});
    let (anthropic_path, google_path) = ("/v1/messages/count_tokens", "/v1beta/models/smart:countTokens");
    let (a, gateway) = one(Anthropic, Reply::json(200, r#"{"input_tokens": 14}"#)).await;
    assert_eq!(gateway.post(anthropic_path, ask.to_string()).await.text(), r#"{"input_tokens": 14}"#);
    assert_eq!(a.request(0).await.target, "/v1/messages/count_tokens");
    let estimated = gateway.post(google_path, google.to_string()).await;
    assert!(estimated.json()["totalTokens"].as_u64().is_some_and(|it| it > 0), "{}", estimated.text());
    let (a, gateway) = one(Gemini, Reply::json(200, r#"{"totalTokens": 5}"#)).await;
    assert_eq!(gateway.post(google_path, google.to_string()).await.text(), r#"{"totalTokens": 5}"#);
    assert_eq!(a.request(0).await.target, "/v1beta/models/model-a:countTokens");
    let estimated = gateway.post(anthropic_path, ask.to_string()).await;
    assert!(estimated.json()["input_tokens"].as_u64().is_some_and(|it| it > 0), "{}", estimated.text());
}

#[tokio::test]
async fn models_are_listed_in_the_callers_words() {
    let a = Vendor::start().await;
    let gateway = gateway(&[(Chat, &a)], "", "").await;
    let openai = gateway.get("/v1/models").await.json();
    assert_eq!((&openai["object"], &openai["data"][0]["id"]), (&json!("list"), &json!("smart")));
    let headers = [("anthropic-version", "2023-06-01")];
    let anthropic = gateway.call(Method::GET, "/v1/models", &headers, "").await.json();
    assert_eq!((&anthropic["data"][0]["type"], &anthropic["has_more"]), (&json!("model"), &json!(false)));
    let google = gateway.get("/v1beta/models?key=k").await.json();
    assert_eq!(google["models"][0]["name"], "models/smart");
    let one = gateway.get("/v1beta/models/smart").await.json();
    assert_eq!(one["name"], "models/smart");
    let missing = gateway.get("/v1beta/models/none").await;
    assert_eq!(missing.status, 404);
    Gemini.refusal(&missing);
}

#[tokio::test]
async fn limits_and_waits_are_told_in_the_clients_words() {
    let limits = Chat
        .whole("hi")
        .header("x-ratelimit-limit-requests", "100")
        .header("x-ratelimit-remaining-requests", "99");
    let (_a, gateway) = one(Chat, limits).await;
    let answer = Anthropic.call(&gateway, false).await;
    assert_eq!(answer.header("anthropic-ratelimit-requests-remaining"), Some("99"), "{:?}", answer.headers);
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), None);
    assert!(answer.header("request-id").is_some());
    let limits = Anthropic.whole("hi").header("anthropic-ratelimit-tokens-remaining", "5");
    let (_a, gateway) = one(Anthropic, limits).await;
    let answer = Chat.call(&gateway, false).await;
    assert_eq!(answer.header("x-ratelimit-remaining-tokens"), Some("5"), "{:?}", answer.headers);
    let retry = json!({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details":
        [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]}});
    let (_a, gateway) = one(Gemini, Reply::json(429, retry.to_string())).await;
    let answer = Anthropic.call(&gateway, false).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("7")), "{}", answer.text());
    assert_eq!(answer.error()["type"], "rate_limit_error");
    assert_eq!(Anthropic.refusal(&answer), "slow down");
}

/// What a cache gave and took, in every vendor's way to count.
#[tokio::test]
async fn caches_are_counted_and_priced_whoever_keeps_them() {
    let answers = [
        (
            Chat,
            json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1100, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 1000}}}),
            1100,
        ),
        (
            Anthropic,
            json!({"type": "message", "id": "m", "content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn",
            "usage": {"input_tokens": 100, "cache_read_input_tokens": 1000, "output_tokens": 50}}),
            1100,
        ),
        (
            Gemini,
            json!({"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}], "usageMetadata":
            {"promptTokenCount": 1100, "cachedContentTokenCount": 1000, "candidatesTokenCount": 20, "thoughtsTokenCount": 30}}),
            1100,
        ),
        (
            Converse,
            json!({"output": {"message": {"role": "assistant", "content": [{"text": "x"}]}}, "stopReason": "end_turn",
            "usage": {"inputTokens": 100, "cacheReadInputTokens": 1000, "outputTokens": 50, "totalTokens": 1150}}),
            1100,
        ),
    ];
    for (vendor, body, input) in answers {
        let a = Vendor::start().await;
        let price = ", price: { input: 2, output: 10, cached_input: 0.5, cache_write: 3 }";
        let gateway = gateway(&[(vendor, &a)], price, "").await;
        for (index, client) in [Chat, Anthropic, Gemini].into_iter().enumerate() {
            a.expect(Reply::json(200, body.to_string()));
            let answer = client.call(&gateway, false).await;
            // 100×2 + 1,000×0.5 + 50×10 millionths.
            assert_eq!(answer.header("x-tollgate-cost-usd"), Some("0.0012"), "{client:?} at {vendor:?}");
            let line = gateway.call_line(index).await;
            let counted = ["input_tokens", "cached_input_tokens", "output_tokens"].map(|it| line[it].clone());
            assert_eq!(counted, [json!(input), json!(1000), json!(50)], "{client:?} at {vendor:?}: {line}");
            let told = answer.json();
            let cached = match client {
                Chat => &told["usage"]["prompt_tokens_details"]["cached_tokens"],
                Anthropic => &told["usage"]["cache_read_input_tokens"],
                _ => &told["usageMetadata"]["cachedContentTokenCount"],
            };
            assert_eq!(cached, 1000, "{client:?} at {vendor:?}: {told}");
        }
    }
}

/// A conversation that went to another vendor in between brings its thoughts, which the API refuses: it was sent them.
#[tokio::test]
async fn thoughts_of_another_maker_do_not_go_to_a_vendor_of_the_clients_dialect() {
    for signature in ["tollgate.gemini.c2ln", ""] {
        let (a, gateway) = one(Anthropic, Anthropic.whole("ok")).await;
        let thought = json!({"type": "thinking", "thinking": "hm", "signature": signature});
        let said = json!({"role": "assistant", "content": [thought, {"type": "text", "text": "so"}]});
        let user = json!({"role": "user", "content": "Hi"});
        let body = json!({"model": "smart", "max_tokens": 64, "messages": [user, said, user]});
        let answer = gateway.post("/v1/messages", body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = a.request(0).await;
        let sent = seen.text();
        assert!(sent.contains("\"so\"") && !sent.contains("thinking"), "{sent}");
    }
}

/// So does it ids of calls as others make them, and sources that are not of its own searches.
#[tokio::test]
async fn calls_and_sources_of_another_maker_go_to_a_vendor_of_the_clients_dialect_as_it_takes_them() {
    for (id, sent_id, encrypted_index, is_forwarded) in [
        ("toolu_1", "toolu_1", "E==", true),
        ("functions.f:0", "functions_f_0_", "E==", false),
        ("toolu_1", "toolu_1", "", false),
    ] {
        let (a, gateway) = one(Anthropic, Anthropic.whole("ok")).await;
        let source = json!({"type": "web_search_result_location", "cited_text": "", "title": "T",
            "encrypted_index": encrypted_index, "url": "https://a.example"});
        let text = json!({"type": "text", "text": "so", "citations": [source]});
        let call = json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
        let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id}]});
        let said = json!({"role": "assistant", "content": [text, call]});
        let body = json!({"model": "smart", "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}, said, result]});
        let answer = gateway.post("/v1/messages", body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = a.request(0).await;
        let sent = seen.json();
        let [said, result] = [1, 2].map(|at| &sent["messages"][at]["content"]);
        let (called, answered) = (said[1]["id"].as_str().unwrap(), &result[0]["tool_use_id"]);
        assert!(called.starts_with(sent_id) && answered == called, "{sent}");
        assert_eq!(said[0]["citations"].is_null(), !is_forwarded, "{sent}");
    }
}

/// OpenAI refuses what it does not know.
#[tokio::test]
async fn what_only_the_clients_dialect_has_is_named_and_not_sent_to_vendors_of_chat() {
    let (a, gateway) = one(Chat, Chat.whole("ok")).await;
    let tools =
        json!([{"type": "bash_20250124", "name": "bash"}, {"name": "f", "input_schema": {"type": "object"}}]);
    let mut body =
        json!({"model": "smart", "max_tokens": 64, "context_management": {"edits": []}, "tools": tools});
    body["messages"] = json!([{"role": "user", "content": "Hi"}]);
    // Names are the client's own, and go into a header.
    body["odd,\r\nx-odd: 1"] = json!(1);
    let answer = gateway.post("/v1/messages", body.to_string()).await;
    assert_eq!(answer.header("x-tollgate-dropped"), Some("context_management,odd,tools[bash_20250124]"));
    let seen = a.request(0).await;
    let sent = seen.text();
    assert!(
        sent.contains("\"f\"") && !sent.contains("bash") && !sent.contains("context_management"),
        "{sent}"
    );
}

/// Some end without the blank line behind their last event, which is still theirs to say.
#[tokio::test]
async fn the_last_event_is_read_without_its_blank_line() {
    let body = Gemini.asks("smart", "hi", true).to_string();
    let path = Gemini.path("smart", true);
    let last = event(
        r#"{"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2}}"#,
    );
    let pieces = [Gemini.piece("a"), last.trim_end().to_owned().into()];
    let (_a, gateway) = one(Gemini, Reply::stream(pieces).end()).await;
    let answer = gateway.post(&path, body.clone()).await;
    assert_eq!(Gemini.streamed(&answer), "ab");
    assert!(answer.whole && Gemini.failure(&answer).is_none(), "{}", answer.text());
    let line = gateway.call_line(0).await;
    let counted = ["input_tokens", "output_tokens", "ended"].map(|it| line[it].clone());
    assert_eq!(counted, [json!(7), json!(2), json!("complete")], "{line}");
    // Nor does a failure need one.
    let failing = String::from_utf8(Anthropic.failing("it broke").to_vec()).unwrap();
    let begun =
        Anthropic.opening().into_iter().chain([Anthropic.piece("a"), failing.trim_end().to_owned().into()]);
    let (_a, gateway) = one(Anthropic, Reply::stream(begun).end()).await;
    let answer =
        gateway.post(&Anthropic.path("smart", true), Anthropic.asks("smart", "hi", true).to_string()).await;
    assert_eq!(Anthropic.failure(&answer).as_deref(), Some("it broke"), "{}", answer.text());
    let line = gateway.call_line(0).await;
    assert_eq!((&line["ended"], &line["error"]), (&json!("cut"), &json!("vendor_failed")), "{line}");
}

#[tokio::test]
async fn vertex_gets_the_second_step_of_a_tool_loop_without_ids() {
    let sim = Sim::start(&["--first-token-ms", "0", "--tokens-per-s", "0"]).await;
    let host = sim.url().trim_end_matches("/v1");
    let base = format!("{host}/v1/projects/p/locations/l/publishers/google");
    let gateway = Gateway::start(&format!(
        "upstreams:\n  a: {{ vendor: vertex, auth: bearer, key: k, base_url: \"{base}\" }}\n"
    ))
    .await;
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "12"});
    let chat = json!({"model": "a/m", "service_tier": "flex", "messages": [
        {"role": "user", "content": "plum"}, {"role": "assistant", "tool_calls": [call("c1"), call("c2")]},
        result("c2"), result("c1")]});
    let call = |id: &str| json!({"functionCall": {"id": id, "name": "f"}});
    let result = |id: &str| json!({"functionResponse": {"id": id, "name": "f", "response": {"n": 12}}});
    let google = json!({"serviceTier": "flex", "contents": [{"parts": [{"text": "plum"}]},
        {"role": "model", "parts": [call("c1"), call("c2")]}, {"parts": [result("c2"), result("c1")]}]});
    for (tongue, body) in [(Chat, chat), (Gemini, google)] {
        let answer = gateway.post(&tongue.path("a/m", false), body.to_string()).await;
        assert_eq!(answer.status, 200, "{tongue:?}: {}", answer.text());
        assert!(tongue.said(&answer).starts_with("Seen: 2 tool results."), "{tongue:?}: {}", answer.text());
        assert_eq!(answer.header("x-tollgate-dropped"), Some("service_tier"), "{tongue:?}");
    }
}
