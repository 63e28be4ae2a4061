//! A stream that breaks off after content goes on at another target, as one stream, where its route wants that.

use serde_json::{Value, json};

use crate::support::{Answer, DONE, Gate, Gateway, Reply, Vendor, delta, event, finish, role, usage};

const CONTINUED: &str = ": continued\n\n";

/// Upstream `a`, and `b` of this vendor, or with this `vendor/model`; the route `smart` continues.
async fn pair(first: Reply, second: Option<Reply>, vendor: &str) -> (Vendor, Vendor, Gateway) {
    let (a, b) = (Vendor::with([first]).await, Vendor::with(second).await);
    let gateway = Gateway::start(&continuing(&a, &b, vendor, "")).await;
    (a, b, gateway)
}

fn continuing(a: &Vendor, b: &Vendor, vendor: &str, more: &str) -> String {
    let (a, b) = (a.url(), b.url());
    let (vendor, model) = vendor.split_once('/').unwrap_or((vendor, "model-b"));
    format!(
        "upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{a}\" }}\n  \
         b: {{ vendor: {vendor}, base_url: \"{b}\", key: k, prefixes: [] }}\n\
         routes:\n  - {{ model: smart, continue_cut_streams: true, targets: [a/model-a, b/{model}] }}\n{more}"
    )
}

/// What breaks off: a preamble and three pieces of text.
fn begun() -> [String; 4] {
    [role(), delta("Once upon"), delta(" a ti"), delta("me there ")]
}

/// A stream of another id, with a preamble of its own.
fn rest() -> Vec<String> {
    let pieces = [role(), delta("was a"), delta(" toll gate."), finish()];
    pieces.iter().map(|it| it.replace("s-1", "s-2")).collect()
}

/// The client's view of [`rest`]: without the preamble, under the first id.
fn grafted() -> String {
    [delta("was a"), delta(" toll gate."), finish()].concat()
}

fn body(more: &str) -> String {
    format!(r#"{{"model":"smart","stream":true{more}, "messages":[ {{"role":"user","content":"Tell."}} ]}}"#)
}

async fn ask(gateway: &Gateway, more: &str) -> Answer {
    gateway.post("/v1/chat/completions", body(more)).await
}

async fn continuations(gateway: &Gateway, result: &str) -> f64 {
    let labels = [("route", "smart"), ("upstream", "a"), ("result", result)];
    gateway.metric("tollgate_continuations_total", &labels).await
}

/// The text a client puts together.
fn text_of(answer: &Answer) -> String {
    let text = answer.text();
    let events = text.lines().filter_map(|it| it.strip_prefix("data: ")).filter(|it| *it != "[DONE]");
    let chunks = events.map(|it| serde_json::from_str::<Value>(it).unwrap());
    chunks.filter_map(|it| it["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_stream_cut_after_content_goes_on_elsewhere_as_one() {
    let (_a, b, gateway) =
        pair(Reply::stream(begun()).then_cut(), Some(Reply::stream(rest()).done()), "openai-compatible")
            .await;
    let answer = ask(&gateway, "").await;
    assert_eq!(answer.text(), begun().concat() + CONTINUED + &grafted() + DONE);
    assert_eq!(text_of(&answer), "Once upon a time there was a toll gate.");
    let sent = b.request(0).await;
    assert_eq!((sent.target.as_str(), &sent.json()["model"]), ("/v1/chat/completions", &json!("model-b")));
    let messages = sent.json()["messages"].clone();
    assert_eq!(messages[0], json!({"role": "user", "content": "Tell."}));
    assert_eq!(messages[1], json!({"role": "assistant", "content": "Once upon a time there "}));
    assert_eq!((&messages[2]["role"], messages.as_array().unwrap().len()), (&json!("user"), 3));
    let line = gateway.call_line(0).await;
    assert_eq!((&line["ended"], &line["error"]), (&"complete".into(), &Value::Null), "{line}");
    assert_eq!((&line["continued_from"], &line["upstream"]), (&"a".into(), &"b".into()), "{line}");
    assert_eq!((&line["attempts"], &line["level"]), (&2.into(), &"WARN".into()), "{line}");
    assert_eq!(
        (continuations(&gateway, "continued").await, continuations(&gateway, "failed").await),
        (1.0, 0.0)
    );
}

/// However it breaks off: broken, silent, ended too soon, or with an error of the vendor's in it.
#[tokio::test]
async fn every_fault_of_the_vendor_is_one_to_go_on_from() {
    let fault = event(r#"{"error":{"message":"overloaded","code":503}}"#);
    let half = "data: {\"choices\":[{\"delta\":{\"content\":\"lost".to_owned();
    for first in [
        Reply::stream(begun()).then_reset(),
        Reply::stream(begun()).end(),
        Reply::stream(begun()).piece(fault).end(),
        Reply::stream(begun()).piece(half).then_cut(),
        Reply::stream(begun()).then_stall(),
    ] {
        let (a, b) = (Vendor::with([first]).await, Vendor::with([Reply::stream(rest()).done()]).await);
        let timers = "timeouts: { idle_ms: 300 }\n";
        let gateway = Gateway::start(&continuing(&a, &b, "openai-compatible", timers)).await;
        assert_eq!(ask(&gateway, "").await.text(), begun().concat() + CONTINUED + &grafted() + DONE);
    }
}

/// The first target failed, as far as its health is concerned.
#[tokio::test]
async fn a_target_that_is_continued_for_is_not_thought_well_of() {
    let (a, b) = (Vendor::with([Reply::stream(begun()).then_cut()]).await, Vendor::start().await);
    b.otherwise(Reply::stream(rest()).done());
    let circuit = "circuit: { failures: 1, open_ms: 600000, open_ms_max: 600000 }\n";
    let gateway = Gateway::start(&continuing(&a, &b, "openai-compatible", circuit)).await;
    ask(&gateway, "").await;
    assert_eq!(ask(&gateway, "").await.served_by(), ("b", "1"));
}

async fn check_form(vendor: &str, path: &str, begun: Vec<String>, expected: Value) {
    let (_a, b, gateway) =
        pair(Reply::stream(begun).then_cut(), Some(Reply::stream(rest()).done()), vendor).await;
    let answer = ask(&gateway, "").await;
    assert!(answer.text().ends_with(&(grafted() + DONE)), "{vendor}: {}", answer.text());
    let sent = b.request(0).await;
    assert_eq!(sent.target, path, "{vendor}");
    assert_eq!(sent.json()["messages"][1], expected, "{vendor}");
    let written = r#""messages":[ {"role":"user","content":"Tell."} ,{"#;
    assert!(sent.text().contains(written), "the client's own bytes stay: {}", sent.text());
}

#[tokio::test]
async fn each_vendor_gets_what_was_said_in_its_own_form() {
    let said = "Once upon a time there ";
    let thought = event(r#"{"id":"s-1","choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}"#);
    let chat = "/v1/chat/completions";
    let expected = json!({"role": "assistant", "content": said, "prefix": true});
    check_form("deepseek/deepseek-chat", "/beta/chat/completions", begun().to_vec(), expected.clone()).await;
    check_form("mistral/mistral-small-2603", chat, begun().to_vec(), expected).await;
    let expected = json!({"role": "assistant", "content": said, "partial": true});
    check_form("moonshot/kimi-k3", chat, begun().to_vec(), expected).await;
    let thinking = [vec![thought.clone()], begun().to_vec()].concat();
    let expected = json!({"role": "assistant", "content": said, "reasoning_content": "hm", "prefix": true});
    check_form("deepseek/deepseek-chat", "/beta/chat/completions", thinking, expected).await;
    let expected = json!({"role": "assistant", "content": "", "reasoning_content": "hm", "prefix": true});
    check_form("deepseek/deepseek-chat", "/beta/chat/completions", vec![role(), thought], expected).await;
}

/// Reasoning is no part of the answer: whoever cannot take it up thinks anew.
#[tokio::test]
async fn an_answer_of_which_only_reasoning_was_seen_begins_anew() {
    let thought = event(r#"{"id":"s-1","choices":[{"index":0,"delta":{"reasoning":"hm"}}]}"#);
    let first = Reply::stream([role(), thought.clone()]).then_cut();
    let (_a, b, gateway) = pair(first, Some(Reply::stream(rest()).done()), "openai-compatible").await;
    let answer = ask(&gateway, r#","max_tokens":9"#).await;
    assert_eq!(answer.text(), role() + &thought + CONTINUED + &grafted() + DONE);
    let sent = b.request(0).await.json();
    assert_eq!((sent["messages"].as_array().unwrap().len(), &sent["max_tokens"]), (1, &json!(9)));
}

/// Mistral says again what it is told to go on with.
#[tokio::test]
async fn what_the_vendor_repeats_does_not_reach_the_client() {
    let repeated = [role(), delta("Once upon a time"), delta(" there"), delta(" was"), finish()];
    let (_a, _b, gateway) = pair(
        Reply::stream(begun()).then_cut(),
        Some(Reply::stream(repeated).done()),
        "mistral/mistral-small-2603",
    )
    .await;
    assert_eq!(text_of(&ask(&gateway, "").await), "Once upon a time there was");
}

#[tokio::test]
async fn the_bound_of_the_answer_is_lowered_by_what_was_said() {
    for (asked, expected) in [(100, 95), (3, 1)] {
        let (_a, b, gateway) =
            pair(Reply::stream(begun()).then_cut(), Some(Reply::stream(rest()).done()), "openai-compatible")
                .await;
        ask(&gateway, &format!(r#","max_completion_tokens":{asked}"#)).await;
        assert_eq!(b.request(0).await.json()["max_completion_tokens"], expected);
    }
}

/// Vendors that state usage all along have stated it before the cut; the client is told one sum, and so is the operator.
#[tokio::test]
async fn usage_is_the_sum_of_both() {
    let running = event(
        r#"{"id":"s-1","choices":[{"index":0,"delta":{"content":"me there "}}],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}"#,
    );
    let first = || Reply::stream([role(), delta("Once upon a ti"), running.clone()]).then_cut();
    let second = || Reply::stream(rest()).piece(usage(9, 4)).done();
    let (a, b, gateway) = pair(first(), Some(second()), "openai-compatible").await;
    let answer = ask(&gateway, r#","stream_options":{"include_usage":true}"#).await;
    let text = answer.text();
    let (before, last) = text.strip_suffix(DONE).unwrap().trim_end().rsplit_once("data: ").unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    let sum = json!({"prompt_tokens": 14, "completion_tokens": 7, "total_tokens": 21});
    assert_eq!((&last["id"], &last["usage"]), (&json!("s-1"), &sum), "{text}");
    assert!(before.ends_with(&grafted()), "{text}");
    check_books(&gateway, 0).await;
    assert_eq!(gateway.metric("tollgate_tokens_total", &[("upstream", "a"), ("kind", "input")]).await, 5.0);
    assert_eq!(gateway.metric("tollgate_tokens_total", &[("upstream", "b"), ("kind", "output")]).await, 4.0);
    a.expect(first());
    b.expect(second());
    let answer = ask(&gateway, "").await;
    assert!(answer.text().ends_with(&(grafted() + DONE)), "nobody asked: {}", answer.text());
    check_books(&gateway, 1).await;
}

/// Each part is paid for at its own target's price.
#[tokio::test]
async fn the_cost_is_the_sum_of_both() {
    let text = r#"{"id":"s-1","choices":[{"index":0,"delta":{"content":"Once"}}],"usage":{"prompt_tokens":5,"completion_tokens":3}}"#;
    let a = Vendor::with([Reply::stream([role(), event(text)]).then_cut()]).await;
    let b = Vendor::with([Reply::stream(rest()).piece(usage(9, 4)).done()]).await;
    let target = |it: &str, price: u32| {
        format!("{{ upstream: {it}, model: model-{it}, price: {{ input: {price}, output: {price} }} }}")
    };
    let yaml = continuing(&a, &b, "openai-compatible", "")
        .replace("a/model-a", &target("a", 1))
        .replace("b/model-b", &target("b", 2));
    let gateway = Gateway::start(&yaml).await;
    ask(&gateway, "").await;
    let line = gateway.call_line(0).await;
    assert_eq!(line["cost_usd"], "0.000034", "8 tokens at 1 and 13 at 2 USD a million: {line}");
    for (upstream, cost) in [("a", 0.000_008), ("b", 0.000_026)] {
        let paid = gateway.metric("tollgate_cost_usd_total", &[("upstream", upstream)]).await;
        assert!((paid - cost).abs() < 1e-9, "{upstream}: {paid}");
    }
}

async fn check_books(gateway: &Gateway, call: usize) {
    let line = gateway.call_line(call).await;
    assert_eq!((&line["input_tokens"], &line["output_tokens"]), (&14.into(), &7.into()), "{line}");
}

/// The stream of `first` ends with the error of its cut; nobody else is asked.
async fn check_ends(first: Reply, more: &str, body: &str, why: &str) {
    let (a, b) = (Vendor::with([first]).await, Vendor::start().await);
    let gateway = Gateway::start(&continuing(&a, &b, "openai-compatible", more)).await;
    let answer = gateway.post("/v1/chat/completions", body.to_owned()).await;
    check_error(&answer, why);
    let line = gateway.call_line(0).await;
    assert_eq!((&line["ended"], &line["upstream"]), (&"cut".into(), &"a".into()), "{why}: {line}");
    assert_eq!(line["continued_from"], Value::Null, "{why}: {line}");
    assert_eq!(continuations(&gateway, "failed").await, 0.0, "{why}");
}

fn check_error(answer: &Answer, why: &str) {
    let text = answer.text();
    let last = text.trim_end().rsplit_once("data: ").unwrap().1;
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["error"]["code"], "upstream_cut", "{why}: {text}");
    assert!(answer.whole && !text.contains("[DONE]"), "{why}: {text}");
}

#[tokio::test]
async fn what_has_no_middle_ends_with_an_error_as_ever() {
    let cut = |said: String| Reply::stream([role(), delta("a"), said]).then_cut();
    let choice = |it: &str| event(&format!(r#"{{"id":"s-1","choices":[{{"index":0,{it}}}]}}"#));
    let tool = r#""delta":{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{\"a"}}]}"#;
    check_ends(cut(choice(tool)), "", &body(""), "half a tool call").await;
    let refusal = choice(r#""delta":{"refusal":"I can"}"#);
    check_ends(cut(refusal), "", &body(""), "half a refusal").await;
    let second = choice(r#""delta":{"content":"b"}"#).replace("\"index\":0", "\"index\":1");
    check_ends(cut(second), "", &body(""), "a second choice").await;
    let plain = || cut(delta("b"));
    check_ends(plain(), "", &body(r#","n":2"#), "two choices asked for").await;
    check_ends(plain(), "", &body(r#","logprobs":true"#), "logprobs asked for").await;
    let object = r#","response_format":{"type":"json_object"}"#;
    check_ends(plain(), "", &body(object), "structured output").await;
    let begun = body("").replace(r#""role":"user""#, r#""role":"assistant""#);
    check_ends(plain(), "", &begun, "an answer that the client began").await;
    check_ends(plain(), "failover: { attempts_max: 1 }\n", &body(""), "no attempt left").await;
}

#[tokio::test]
async fn a_route_that_does_not_ask_for_it_tells_the_cut() {
    let (a, b) = (Vendor::with([Reply::stream(begun()).then_cut()]).await, Vendor::start().await);
    let yaml = continuing(&a, &b, "openai-compatible", "").replace("continue_cut_streams: true, ", "");
    let gateway = Gateway::start(&yaml).await;
    let answer = ask(&gateway, "").await;
    check_error(&answer, "not asked for");
    assert!(!answer.text().contains(CONTINUED));
}

#[tokio::test]
async fn a_second_cut_is_told() {
    let second = Reply::stream([role(), delta("was a").replace("s-1", "s-2")]).then_cut();
    let (_a, _b, gateway) = pair(Reply::stream(begun()).then_cut(), Some(second), "openai-compatible").await;
    let answer = ask(&gateway, "").await;
    check_error(&answer, "cut twice");
    assert!(answer.text().starts_with(&(begun().concat() + CONTINUED + &delta("was a"))));
    let line = gateway.call_line(0).await;
    assert_eq!((&line["ended"], &line["upstream"]), (&"cut".into(), &"b".into()), "{line}");
    assert_eq!(line["continued_from"], "a");
}

#[tokio::test]
async fn where_nobody_goes_on_the_first_cut_is_told() {
    for second in [Reply::status(503, "busy"), Reply::status(400, "no"), Reply::chat("no stream")] {
        let first = Reply::stream(begun()).then_cut();
        let (_a, _b, gateway) = pair(first, Some(second), "openai-compatible").await;
        let answer = ask(&gateway, "").await;
        check_error(&answer, "nobody goes on");
        assert!(answer.text().starts_with(&(begun().concat() + CONTINUED)));
        let line = gateway.call_line(0).await;
        assert_eq!((&line["upstream"], &line["upstream_model"]), (&"a".into(), &"model-a".into()), "{line}");
        assert_eq!((&line["ended"], &line["error"]), (&"cut".into(), &"cut".into()), "{line}");
        assert_eq!(continuations(&gateway, "failed").await, 1.0);
        let cut = [("upstream", "a"), ("outcome", "cut")];
        assert_eq!(gateway.metric("tollgate_requests_total", &cut).await, 1.0);
    }
}

/// What is refused may be our part of the request, so a refusal decides for one target only.
#[tokio::test]
async fn a_target_that_takes_no_beginning_is_left_for_the_next() {
    let (a, b) = (Vendor::with([Reply::stream(begun()).then_cut()]).await, Vendor::start().await);
    b.expect(Reply::status(400, "the last message must be the user's"));
    let c = Vendor::with([Reply::stream(rest()).done()]).await;
    let third = format!("{{ vendor: openai-compatible, base_url: \"{}\" }}", c.url());
    let yaml = continuing(&a, &b, "mistral", "")
        .replace("routes:", &format!("  c: {third}\nroutes:"))
        .replace("b/model-b", "b/model-b, c/model-c");
    let gateway = Gateway::start(&yaml).await;
    let answer = ask(&gateway, "").await;
    assert_eq!(answer.text(), begun().concat() + CONTINUED + &grafted() + DONE);
    let line = gateway.call_line(0).await;
    assert_eq!((&line["upstream"], &line["attempts"]), (&"c".into(), &3.into()), "{line}");
    assert_eq!(line["failed"][0]["upstream"], "b", "{line}");
}

#[tokio::test]
async fn the_client_hears_at_once_that_somebody_else_is_asked() {
    let gate = Gate::new();
    let second = Reply::stream(rest()).done().gate_first(&gate);
    let (_a, _b, gateway) = pair(Reply::stream(begun()).then_cut(), Some(second), "openai-compatible").await;
    let mut stream = gateway.open_post("/v1/chat/completions", body("")).await;
    stream.read_until(CONTINUED).await;
    gate.open();
    assert_eq!(stream.rest().await.text(), begun().concat() + CONTINUED + &grafted() + DONE);
}

/// A client that was told to wait may yet be told of a cut, and of what becomes of it.
#[tokio::test]
async fn a_stream_that_began_with_a_wait_is_continued_too() {
    let gate = Gate::new();
    let first = Reply::stream(begun()).then_cut().gate_first(&gate);
    let (a, b) = (Vendor::with([first]).await, Vendor::with([Reply::stream(rest()).done()]).await);
    let soon = "failover: { waiting_comment_ms: 100 }\n";
    let gateway = Gateway::start(&continuing(&a, &b, "openai-compatible", soon)).await;
    let mut stream = gateway.open_post("/v1/chat/completions", body("")).await;
    stream.read_until(": waiting\n\n").await;
    gate.open();
    let text = stream.rest().await.text();
    assert!(text.ends_with(&(begun().concat() + CONTINUED + &grafted() + DONE)), "{text}");
}

/// Who leaves while another target is asked is not waited for, and the call is still one call.
#[tokio::test]
async fn a_client_that_leaves_meanwhile_ends_the_search() {
    let (_a, b, gateway) =
        pair(Reply::stream(begun()).then_cut(), Some(Reply::hang()), "openai-compatible").await;
    let mut stream = gateway.open_post("/v1/chat/completions", body("")).await;
    stream.read_until(CONTINUED).await;
    b.request(0).await;
    drop(stream);
    b.client_gone(0).await;
    let line = gateway.call_line(0).await;
    assert_eq!((&line["ended"], &line["upstream"]), (&"client_gone".into(), &"a".into()), "{line}");
}

/// To be asked for the rest of an answer is a retry as any other: a vendor that fails is not stormed by it.
#[tokio::test]
async fn a_failing_target_without_a_budget_is_not_asked_to_go_on() {
    let (a, b) = (Vendor::with([Reply::stream(begun()).then_cut()]).await, Vendor::start().await);
    let budget = "failover: { retry_share_percent: 0, retry_floor: 0 }\n";
    let gateway = Gateway::start(&continuing(&a, &b, "openai-compatible", budget)).await;
    b.expect(Reply::status(503, "busy"));
    assert_eq!(gateway.chat("b/model-b").await.status, 503);
    check_error(&ask(&gateway, "").await, "no budget");
    assert_eq!(b.calls(), 1);
}
