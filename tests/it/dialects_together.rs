//! What the gateway adds to calls (sessions, system prompts, hedges, shadows, shared calls, continued streams), where
//! client and vendor speak different dialects.

use serde_json::{Value, json};

use crate::support::tongue::{Tongue, gateway, upstream};
use crate::support::{Gate, Gateway, Reply, Vendor, until};

use Tongue::*;

const MEMORY: &str = "sessions: { store: memory }\n";
const SESSION: [(&str, &str); 1] = [("x-session-id", "s-1")];

/// The route `smart` with `rule` over these two, `a` before `b`.
async fn ruled(a: (Tongue, &Vendor), b: (Tongue, &Vendor), rule: &str) -> Gateway {
    let (a, b) = (upstream(a.0, a.1), upstream(b.0, b.1));
    let yaml = format!(
        "upstreams:\n  a: {{ {a} }}\n  b: {{ {b} }}\nroutes:\n  - {{ model: smart, targets: [a/model-a, b/model-b], {rule} }}\n"
    );
    Gateway::start(&yaml).await
}

#[tokio::test]
async fn a_session_goes_on_in_another_dialect() {
    for vendor in [Chat, Anthropic, Gemini] {
        let a = Vendor::with(["one", "two", "three"].map(|it| vendor.whole(it))).await;
        let gateway = gateway(&[(vendor, &a)], "", MEMORY).await;
        for (client, text) in [(Anthropic, "first"), (Chat, "second"), (Gemini, "third")] {
            let answer = client.call_with(&gateway, &SESSION, &client.asks("smart", text, false)).await;
            assert_eq!(answer.status, 200, "{client:?} at {vendor:?}: {}", answer.text());
            assert_eq!(answer.header("x-session-id"), Some("s-1"), "{client:?} at {vendor:?}");
        }
        let sent = a.request(2).await.text().to_owned();
        let places: Vec<_> =
            ["first", "one", "second", "two", "third"].iter().map(|it| sent.find(it)).collect();
        assert!(places.is_sorted() && places.iter().all(Option::is_some), "{vendor:?}: {sent}");
    }
}

#[tokio::test]
async fn a_streamed_turn_is_remembered_whatever_it_was_told_in() {
    let a = Vendor::with([Anthropic.stream(&["on", "e"]), Anthropic.whole("two")]).await;
    let gateway = gateway(&[(Anthropic, &a)], "", MEMORY).await;
    let first = Anthropic.call_with(&gateway, &SESSION, &Anthropic.asks("smart", "first", true)).await;
    assert_eq!(Anthropic.streamed(&first), "one", "{}", first.text());
    assert!(Anthropic.is_complete(&first));
    Chat.call_with(&gateway, &SESSION, &Chat.asks("smart", "second", false)).await;
    let sent = a.request(1).await.json();
    assert_eq!(sent["messages"][1]["role"], "assistant", "{sent}");
    assert!(sent["messages"][1].to_string().contains("\"one\""), "{sent}");
}

/// What a route adds the gateway says in chat's words, so the call is put into them and back.
#[tokio::test]
async fn a_routes_system_prompt_and_defaults_reach_a_vendor_of_the_clients_own_dialect() {
    let (a, b) = (Vendor::with([Anthropic.whole("hi")]).await, Vendor::start().await);
    let rule = "system: \"Be brief.\", defaults: { temperature: 0.5 }";
    let gateway = ruled((Anthropic, &a), (Chat, &b), rule).await;
    let answer = Anthropic.call(&gateway, false).await;
    assert_eq!(Anthropic.said(&answer), "hi", "{}", answer.text());
    let sent = a.request(0).await.json();
    assert!(sent["system"].to_string().contains("Be brief."), "{sent}");
    assert_eq!((&sent["temperature"], &sent["max_tokens"]), (&json!(0.5), &json!(64)), "{sent}");
}

#[tokio::test]
async fn the_quicker_of_two_dialects_answers() {
    for client in [Chat, Anthropic, Gemini] {
        let (a, b) = (Vendor::with([Reply::hang()]).await, Vendor::with([Chat.stream(&["from b"])]).await);
        let gateway = ruled((Anthropic, &a), (Chat, &b), "hedge: { after_ms: 60 }").await;
        let answer = client.call(&gateway, true).await;
        assert_eq!(client.streamed(&answer), "from b", "{client:?}: {}", answer.text());
        a.client_gone(0).await;
    }
}

#[tokio::test]
async fn a_call_is_mirrored_to_a_vendor_of_another_dialect() {
    for (client, shadow) in [(Anthropic, Gemini), (Chat, Anthropic), (Gemini, Chat)] {
        let (a, b) =
            (Vendor::with([Anthropic.whole("real")]).await, Vendor::with([shadow.whole("shadow")]).await);
        let (of_a, of_b) = (upstream(Anthropic, &a), upstream(shadow, &b));
        let yaml = format!(
            "upstreams:\n  a: {{ {of_a} }}\n  b: {{ {of_b} }}\nroutes:\n  \
             - {{ model: smart, targets: [a/model-a], shadow: {{ target: b/model-b, percent: 100 }} }}\n"
        );
        let gateway = Gateway::start(&yaml).await;
        let answer = client.call(&gateway, false).await;
        assert_eq!(client.said(&answer), "real", "{client:?}: {}", answer.text());
        let line = gateway.event_line("shadow").await;
        assert_eq!((&line["ended"], &line["input_tokens"]), (&json!("complete"), &json!(7)), "{line}");
    }
}

#[tokio::test]
async fn identical_calls_share_a_translated_answer() {
    for client in [Chat, Anthropic] {
        let gate = Gate::new();
        let reply =
            Gemini.begun(&["shar"]).gate(&gate).piece(Gemini.piece("ed")).pieces(Gemini.closing()).end();
        let (a, b) = (Vendor::with([reply]).await, Vendor::start().await);
        let gateway = ruled((Gemini, &a), (Chat, &b), "single_flight: true").await;
        let mut body = client.asks("smart", "hi", true);
        body["temperature"] = json!(0);
        let ask = || client.call_with(&gateway, &[], &body);
        let open = async {
            let joined = async || gateway.metric("tollgate_shared_calls_total", &[]).await == 1.0;
            until("a call to join", joined).await;
            gate.open();
        };
        let (one, two, ()) = tokio::join!(ask(), ask(), open);
        for answer in [one, two] {
            assert_eq!(client.streamed(&answer), "shared", "{client:?}: {}", answer.text());
            assert!(client.is_complete(&answer));
        }
    }
}

#[tokio::test]
async fn a_cut_stream_goes_on_at_a_vendor_of_another_dialect() {
    for (from, to) in [(Anthropic, Chat), (Chat, Gemini), (Gemini, Anthropic)] {
        let (a, b) = (Vendor::with([from.begun(&["Once upon "]).then_cut()]).await, Vendor::start().await);
        b.expect(to.stream(&["a time."]));
        let gateway = ruled((from, &a), (to, &b), "continue_cut_streams: true").await;
        let answer = Chat.call(&gateway, true).await;
        assert_eq!(Chat.streamed(&answer), "Once upon a time.", "{from:?} to {to:?}: {}", answer.text());
        assert!(Chat.is_complete(&answer), "{from:?} to {to:?}: {}", answer.text());
        assert!(b.request(0).await.text().contains("Once upon"), "{from:?} to {to:?}");
    }
    // What passes as it is is not read closely enough to be continued, and ends honestly.
    let (a, b) = (Vendor::with([Anthropic.begun(&["Once"]).then_cut()]).await, Vendor::start().await);
    let gateway = ruled((Anthropic, &a), (Chat, &b), "continue_cut_streams: true").await;
    let answer = Anthropic.call(&gateway, true).await;
    assert!(!Anthropic.is_complete(&answer) && Anthropic.failure(&answer).is_some(), "{}", answer.text());
}

#[tokio::test]
async fn a_stream_ends_with_its_usage_where_its_client_asks_in_any_dialect() {
    for client in [Anthropic, Gemini, Responses] {
        let a = Vendor::with([Cohere.stream(&["Hi"])]).await;
        let gateway = gateway(&[(Cohere, &a)], ", price: { input: 2, output: 10 }", "").await;
        let headers = [("content-type", "application/json"), ("x-tollgate-usage", "1")];
        let body = client.asks("smart", "hi", true).to_string();
        let answer = gateway.call(http::Method::POST, &client.path("smart", true), &headers, body).await;
        let text = answer.text();
        let comment = text.lines().find_map(|it| it.strip_prefix(": tollgate ")).expect(&text);
        let told: Value = serde_json::from_str(comment).unwrap();
        assert_eq!((&told["input_tokens"], &told["cost_usd"]), (&json!(7), &json!("0.000034")), "{client:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_hangs_up_on_the_vendor() {
    for (client, vendor) in [(Anthropic, Chat), (Anthropic, Anthropic), (Gemini, Converse), (Chat, Gemini)] {
        let a = Vendor::with([vendor.begun(&["Hel"]).then_stall()]).await;
        let gateway = gateway(&[(vendor, &a)], "", "").await;
        let body = client.asks("smart", "hi", true).to_string();
        let mut stream = gateway.open_post(&client.path("smart", true), body).await;
        stream.read_until("Hel").await;
        drop(stream);
        a.client_gone(0).await;
        let line = gateway.call_line(0).await;
        assert_eq!(line["ended"], "client_gone", "{client:?} at {vendor:?}: {line}");
    }
}
