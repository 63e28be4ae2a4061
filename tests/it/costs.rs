//! What calls cost, to the last digit: on the log's line and in the metrics, for every vendor's way to count, with what
//! was spent in vain apart.

use serde_json::{Value, json};

use crate::support::tongue::{Tongue, gateway};
use crate::support::{Gateway, Reply, Vendor, delta, event, finish, over, role, until, usage};

/// Prices of the upstreams that `over` made, in its order.
pub fn with_prices(yaml: &str, prices: &[&str]) -> String {
    let mut yaml = yaml.to_owned();
    for (name, price) in ["a", "b", "c"].iter().zip(prices) {
        let start = format!("  {name}: {{ ");
        yaml = yaml.replacen(&start, &format!("{start}price: {{ {price} }}, "), 1);
    }
    yaml
}

/// One upstream, 2 dollars the million in and 10 out.
pub async fn alone(vendor: &Vendor) -> Gateway {
    Gateway::start(&with_prices(
        &over(&[("a", &vendor.url())], ""),
        &["input: 2, output: 10, cached_input: 0.5"],
    ))
    .await
}

pub async fn dollars(gateway: &Gateway, family: &str, upstream: &str) -> f64 {
    gateway.metric(&format!("tollgate_{family}"), &[("upstream", upstream)]).await
}

pub fn assert_cost(line: &Value, cost: &str) {
    assert_eq!(line["cost_usd"], cost, "{line}");
}

/// 7×2 + 2×10 millionths, whole and streamed.
#[tokio::test]
async fn the_line_and_the_metrics_tell_the_same_cost() {
    let streamed = Reply::stream([role(), delta("x"), finish(), usage(7, 2)]).done();
    let a = Vendor::with([Reply::chat("x"), streamed]).await;
    let gateway = alone(&a).await;
    gateway.chat("smart").await;
    gateway.stream("smart").await;
    for call in 0..2 {
        let line = gateway.call_line(call).await;
        assert_cost(&line, "0.000034");
        for absent in ["retry_cost_usd", "usage_estimated", "service_tier"] {
            assert_eq!(line[absent], Value::Null, "{absent}: {line}");
        }
    }
    let of_route = [("route", "smart"), ("upstream", "a")];
    assert_eq!(gateway.metric("tollgate_cost_usd_total", &of_route).await, 0.000_068);
    for family in ["retry_cost_usd_total", "unpriced_calls_total", "estimated_usage_total"] {
        assert_eq!(dollars(&gateway, family, "a").await, 0.0, "{family}");
    }
    let text = gateway.admin_get("/metrics").await.text();
    assert!(text.contains("tollgate_cost_usd_total{route=\"smart\",upstream=\"a\"} 0.000068\n"), "{text}");
}

/// A whole answer of `model` at `vendor`, with this in its body; what the line says of it.
async fn line_of(vendor: &str, model: &str, stated: &str) -> Value {
    let body = format!(
        r#"{{"id":"c","choices":[{{"index":0,"message":{{"role":"assistant","content":"x"}},"finish_reason":"stop"}}],{stated}}}"#
    );
    let a = Vendor::with([Reply::json(200, body.clone())]).await;
    let yaml = format!(
        "upstreams:\n  a: {{ vendor: {vendor}, dialects: [chat], key: k, base_url: \"{}\" }}\n",
        a.url()
    );
    let gateway = Gateway::start(&yaml).await;
    let answer = gateway.chat(&format!("a/{model}")).await;
    assert_eq!(answer.text(), body, "the bytes are the vendor's");
    gateway.call_line(0).await
}

/// Each with the price of the built-in catalogue.
#[tokio::test]
async fn every_vendors_way_to_count_is_priced_as_it_means_it() {
    // xAI: reasoning beside the completion. 200×2 + 100×0.5 + (100+700)×6.
    let line = line_of("xai", "grok-4.7", r#""usage":{"prompt_tokens":300,"completion_tokens":100,"total_tokens":1100,"prompt_tokens_details":{"cached_tokens":100},"completion_tokens_details":{"reasoning_tokens":700}}"#).await;
    assert_cost(&line, "0.00525");
    assert_eq!((&line["output_tokens"], &line["reasoning_tokens"]), (&json!(800), &json!(700)));
    // Anthropic: what the cache took and gave beside the input. 100×4 + 2,000×0.20 + 300×5 + 200×8 + 400×20.
    let line = line_of("anthropic", "claude-opus-5-5", r#""usage":{"input_tokens":100,"output_tokens":400,"cache_read_input_tokens":2000,"cache_creation_input_tokens":500,"cache_creation":{"ephemeral_5m_input_tokens":300,"ephemeral_1h_input_tokens":200}}"#).await;
    assert_cost(&line, "0.0119");
    assert_eq!((&line["input_tokens"], &line["cached_input_tokens"]), (&json!(2_600), &json!(2_000)));
    // OpenAI: all inside. 982×0.15 + 1,024×0.075 + 300×0.6.
    let line = line_of("openai", "gpt-4o-mini", r#""usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1024}}"#).await;
    assert_cost(&line, "0.0004041");
}

/// DeepSeek: hits and misses instead of details, and another price at the peak, whenever this runs.
/// 3,000×0.15 + 6,000×0.003 + 4,000×0.60, or twice that.
#[tokio::test]
async fn deepseeks_hits_and_misses_are_priced_by_the_hour() {
    let counted = r#""usage":{"prompt_tokens":9000,"completion_tokens":4000,"total_tokens":13000,"prompt_cache_hit_tokens":6000,"prompt_cache_miss_tokens":3000}"#;
    let line = line_of("deepseek", "deepseek-flash", counted).await;
    assert!(["0.002868", "0.005736"].contains(&line["cost_usd"].as_str().unwrap()), "{line}");
    assert_eq!((&line["input_tokens"], &line["cached_input_tokens"]), (&json!(9_000), &json!(6_000)));
}

/// What the vendor itself charged is not reckoned again, be its price known or not.
#[tokio::test]
async fn a_cost_that_the_vendor_states_wins() {
    let counted = r#""usage":{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20,"cost":0.0123}"#;
    for (vendor, model) in [("openrouter", "unheard-of"), ("openai", "gpt-4o-mini")] {
        assert_cost(&line_of(vendor, model, counted).await, "0.0123");
    }
    let streamed = event(r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":10,"cost":0.5}}"#);
    let a = Vendor::with([Reply::stream([role(), delta("x"), finish(), streamed]).done()]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    gateway.stream("smart").await;
    assert_cost(&gateway.call_line(0).await, "0.5");
    assert_eq!(dollars(&gateway, "cost_usd_total", "a").await, 0.5);
    assert_eq!(dollars(&gateway, "unpriced_calls_total", "a").await, 0.0);
}

/// The other endpoints count in their own words. 60×2 + 40×0.5 + 10×10.
#[tokio::test]
async fn responses_and_embeddings_are_paid_for_like_chat() {
    let counted = r#""usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":40},"output_tokens":10,"total_tokens":110}"#;
    let item = r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"x"}]}"#;
    let whole =
        format!(r#"{{"id":"r","object":"response","status":"completed","output":[{item}],{counted}}}"#);
    let said = |kind: &str, more: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\",{more}}}\n\n");
    let streamed = [
        said("response.created", r#""response":{"id":"r","status":"in_progress"}"#),
        said("response.output_text.delta", r#""delta":"x""#),
        said("response.completed", &format!(r#""response":{whole}"#)),
    ];
    let list = r#"{"object":"list","data":[],"usage":{"prompt_tokens":120,"total_tokens":120}}"#;
    let replies = [Reply::json(200, whole.clone()), Reply::stream(streamed).end(), Reply::json(200, list)];
    let a = Vendor::with(replies).await;
    let gateway = alone(&a).await;
    let asked = |stream: bool| format!(r#"{{"model":"smart","input":"hi","stream":{stream}}}"#);
    gateway.post("/v1/responses", asked(false)).await;
    gateway.post("/v1/responses", asked(true)).await;
    gateway.post("/v1/embeddings", asked(false)).await;
    for call in 0..3 {
        assert_cost(&gateway.call_line(call).await, "0.00024");
    }
}

/// Long lists of embeddings are passed on as they come; their usage stands at the end, in one piece or in two.
#[tokio::test]
async fn an_answer_too_long_to_hold_is_paid_for_as_well() {
    let numbers = vec!["0.25"; 20_000].join(",");
    let head = format!(r#"{{"object":"list","data":[{{"embedding":[{numbers}]}}],"model":"m","usa"#);
    let rest = r#"ge":{"prompt_tokens":500,"total_tokens":500}}"#;
    let whole = Reply::json(200, head.clone() + rest);
    let pieces = Reply::chunked(200, "application/json", [head.clone(), rest.to_owned()]).end();
    let a = Vendor::with([whole, pieces]).await;
    let yaml = with_prices(
        &over(&[("a", &a.url())], "limits: { answer_bytes_max: 4096 }\n"),
        &["input: 2, output: 10"],
    );
    let gateway = Gateway::start(&yaml).await;
    for call in 0..2 {
        let answer = gateway.post("/v1/embeddings", r#"{"model":"smart","input":["hi"]}"#).await;
        assert_eq!(answer.text(), head.clone() + rest);
        let line = gateway.call_line(call).await;
        assert_eq!(line["input_tokens"], 500, "{line}");
        assert_cost(&line, "0.001");
    }
}

/// The tier that served, be it another than the one asked for: half of 7×2 + 2×10.
#[tokio::test]
async fn the_tier_that_served_decides() {
    let tiers = "input: 2, output: 10, service_tiers: { flex: 0.5, priority: 2 }";
    let asked = r#"{"model":"smart","service_tier":"priority","messages":[{"role":"user","content":"hi"}]}"#;
    for (stated, cost, tier) in
        [(r#","service_tier":"flex"}"#, "0.000017", json!("flex")), ("}", "0.000068", Value::Null)]
    {
        let body = crate::support::completion("x");
        let a = Vendor::with([Reply::json(200, body.strip_suffix('}').unwrap().to_owned() + stated)]).await;
        let gateway = Gateway::start(&with_prices(&over(&[("a", &a.url())], ""), &[tiers])).await;
        gateway.post("/v1/chat/completions", asked).await;
        let line = gateway.call_line(0).await;
        assert_cost(&line, cost);
        assert_eq!(line["service_tier"], tier);
    }
}

#[tokio::test]
async fn a_call_without_a_known_price_is_counted_apart_and_costs_no_zero() {
    let a = Vendor::with([Reply::chat("x")]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    gateway.chat("smart").await;
    assert_eq!(gateway.call_line(0).await["cost_usd"], Value::Null);
    assert_eq!(dollars(&gateway, "unpriced_calls_total", "a").await, 1.0);
    assert_eq!(dollars(&gateway, "cost_usd_total", "a").await, 0.0);
}

/// Our estimate is the operator's: the client gets what the vendor said, and nothing more.
#[tokio::test]
async fn usage_that_the_vendor_leaves_out_is_estimated_and_never_passed_off_as_its() {
    let body = r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"a few words of an answer"},"finish_reason":"stop"}]}"#;
    let events = [role(), delta("a few"), delta(" words"), delta(" of it"), finish()];
    let a = Vendor::with([Reply::json(200, body), Reply::stream(events.clone()).done()]).await;
    let gateway = alone(&a).await;
    assert_eq!(gateway.chat("smart").await.text(), body);
    assert_eq!(gateway.stream("smart").await.text(), events.concat() + crate::support::DONE);
    let mut sum = 0.0;
    for call in 0..2 {
        let line = gateway.call_line(call).await;
        assert_eq!(line["usage_estimated"], true, "{line}");
        let [input, output] = ["input_tokens", "output_tokens"].map(|it| line[it].as_u64().unwrap());
        assert!((4..60).contains(&input) && (2..20).contains(&output), "{line}");
        let cost: f64 = line["cost_usd"].as_str().unwrap().parse().unwrap();
        assert!((cost - (input * 2 + output * 10) as f64 / 1e6).abs() < 1e-12, "{line}");
        sum += cost;
    }
    assert_eq!(dollars(&gateway, "estimated_usage_total", "a").await, 2.0);
    assert!((dollars(&gateway, "cost_usd_total", "a").await - sum).abs() < 1e-12);
}

/// The vendor wrote until then, and sends its bill.
#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_stream_is_paid_for() {
    let a = Vendor::with([Reply::stream([role(), delta("one"), delta("two")]).then_stall()]).await;
    let gateway = alone(&a).await;
    let mut stream = gateway.open_stream("smart").await;
    stream.read_until("two").await;
    drop(stream);
    let line = gateway.call_line(0).await;
    assert_eq!((&line["ended"], &line["usage_estimated"]), (&json!("client_gone"), &json!(true)), "{line}");
    let [input, output] = ["input_tokens", "output_tokens"].map(|it| line[it].as_u64().unwrap());
    assert!(output >= 2, "{line}");
    let cost: f64 = line["cost_usd"].as_str().unwrap().parse().unwrap();
    assert!((cost - (input * 2 + output * 10) as f64 / 1e6).abs() < 1e-12, "{line}");
    assert_eq!(dollars(&gateway, "cost_usd_total", "a").await, cost);
}

/// The vendor has the prompt by then, and may have written all of the answer.
#[tokio::test]
async fn a_client_that_leaves_before_its_answer_leaves_a_retry_bill() {
    let a = Vendor::with([Reply::hang()]).await;
    let gateway = alone(&a).await;
    tokio::select! {
        _ = gateway.chat("smart") => panic!("an answer came"),
        () = until("the request", async || a.seen().first().is_some_and(|it| it.body_complete)) => {}
    }
    let line = gateway.call_line(0).await;
    assert_eq!((&line["ended"], &line["cost_usd"]), (&json!("client_gone"), &Value::Null), "{line}");
    let spent = dollars(&gateway, "retry_cost_usd_total", "a").await;
    assert!(spent > 0.0 && line["retry_cost_usd"].as_str().unwrap().parse() == Ok(spent), "{line}");
}

/// A stream that breaks off after content is the answer, and is paid for as far as it went.
#[tokio::test]
async fn a_stream_that_breaks_off_costs_what_came_of_it() {
    let a = Vendor::with([Reply::stream([role(), delta("one"), delta("two")]).then_cut()]).await;
    let gateway = alone(&a).await;
    gateway.stream("smart").await;
    let line = gateway.call_line(0).await;
    assert_eq!((&line["ended"], &line["usage_estimated"]), (&json!("cut"), &json!(true)), "{line}");
    assert_eq!(line["retry_cost_usd"], Value::Null);
    let cost: f64 = line["cost_usd"].as_str().unwrap().parse().unwrap();
    assert!(cost > 0.0 && dollars(&gateway, "cost_usd_total", "a").await == cost, "{line}");
}

/// The operator pays for the mirrored call, and nobody takes its cost for the client's.
#[tokio::test]
async fn a_shadow_costs_apart() {
    let (a, b) = (Vendor::with([Reply::chat("x")]).await, Vendor::with([Reply::chat("x")]).await);
    let yaml = with_prices(
        &over(&[("a", &a.url()), ("b", &b.url())], ""),
        &["input: 1, output: 1", "input: 2, output: 10"],
    );
    let own = "targets: [a/model-a], shadow: { target: b/model-b, percent: 100 }";
    let gateway = Gateway::start(&yaml.replace("targets: [a/model-a, b/model-b]", own)).await;
    gateway.chat("smart").await;
    assert_cost(&gateway.call_line(0).await, "0.000009");
    assert_cost(&gateway.event_line("shadow").await, "0.000034");
    let of_shadow = [("route", "smart (shadow)"), ("upstream", "b")];
    until("the shadow's cost", async || gateway.metric("tollgate_cost_usd_total", &of_shadow).await > 0.0)
        .await;
    assert_eq!(gateway.metric("tollgate_cost_usd_total", &of_shadow).await, 0.000_034);
}

/// What was perhaps billed for nothing: the prompt of an attempt that began to answer, or had the request and never
/// said no. A refusal costs nothing.
#[tokio::test]
async fn the_retry_bill_counts_what_was_spent_in_vain() {
    for (lost, is_billed) in [
        (Reply::stream([role()]).then_cut(), true),
        (Reply::reset_before_head(), true),
        (Reply::status(503, "busy"), false),
        (Reply::status(429, "slow down"), false),
    ] {
        let (a, b) = (Vendor::with([lost]).await, Vendor::start().await);
        b.expect(Reply::stream([role(), delta("x"), finish(), usage(7, 2)]).done());
        let yaml = over(&[("a", &a.url()), ("b", &b.url())], "");
        let gateway =
            Gateway::start(&with_prices(&yaml, &["input: 3, output: 9", "input: 2, output: 10"])).await;
        assert_eq!(gateway.stream("smart").await.served_by(), ("b", "2"));
        let line = gateway.call_line(0).await;
        assert_cost(&line, "0.000034");
        let spent = dollars(&gateway, "retry_cost_usd_total", "a").await;
        if is_billed {
            let prompt = (spent * 1e6 / 3.0).round();
            assert!((4.0..60.0).contains(&prompt) && (spent - prompt * 3.0 / 1e6).abs() < 1e-12, "{spent}");
            assert_eq!(line["retry_cost_usd"].as_str().unwrap().parse::<f64>().unwrap(), spent);
        } else {
            assert_eq!((&line["retry_cost_usd"], spent), (&Value::Null, 0.0), "{line}");
        }
        assert_eq!(dollars(&gateway, "retry_cost_usd_total", "b").await, 0.0);
        // What failed is no answer, and in no sum of answers.
        assert_eq!(dollars(&gateway, "cost_usd_total", "a").await, 0.0);
    }
}

/// 7 and 2 tokens at each: 7×3 + 2×9 where the route goes first, 7×2 + 2×10 where it was served, 7×5 + 2×20 at worst.
#[tokio::test]
async fn what_was_saved_shows_against_the_dearest_and_the_first_target() {
    let (a, b, c) = (Vendor::start().await, Vendor::with([Reply::chat("x")]).await, Vendor::start().await);
    let yaml = over(&[("a", &a.url()), ("b", &b.url()), ("c", &c.url())], "")
        .replace("smart,", "smart, policy: cheapest,");
    let prices = ["input: 3, output: 900", "input: 2, output: 10", "input: 5, output: 2000"];
    let gateway = Gateway::start(&with_prices(&yaml, &prices)).await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "1"));
    gateway.call_line(0).await;
    until("the comparison", async || dollars(&gateway, "compared_cost_usd_total", "b").await > 0.0).await;
    for (at, expected) in [("served", 0.000_034), ("default", 0.001_821), ("dearest", 0.004_035)] {
        let labels = [("route", "smart"), ("upstream", "b"), ("at", at)];
        assert_eq!(gateway.metric("tollgate_compared_cost_usd_total", &labels).await, expected, "{at}");
    }
}

/// The series of a canary live as long as the canary, whatever else a reload takes away.
#[tokio::test]
async fn the_costs_of_a_canary_survive_a_reload() {
    let (a, b) = (Vendor::start().await, Vendor::with([Reply::chat("x"), Reply::chat("x")]).await);
    let both = with_prices(
        &over(&[("a", &a.url()), ("b", &b.url())], ""),
        &["input: 1, output: 1", "input: 2, output: 10"],
    );
    let both = both.replace("targets: [a/model-a, b/model-b]", "targets: [b/model-b, a/model-a]");
    let gateway = Gateway::start(&both).await;
    gateway.chat("smart").await;
    gateway.write_config(&both.replace(
        "targets: [b/model-b, a/model-a]",
        "canary: { target: b/model-b, percent: 100 }, targets: [a/model-a]",
    ));
    gateway.event_line("config_reloaded").await;
    gateway.chat("smart").await;
    gateway.call_line(1).await;
    assert_eq!(dollars(&gateway, "cost_usd_total", "b").await, 0.000_068);
}

/// Anthropic tells the tokens of an answer where it ends, and one where it begins.
#[tokio::test]
async fn a_forwarded_stream_that_breaks_off_costs_what_was_heard() {
    let a = Vendor::with([Tongue::Anthropic.begun(&["one", "two", "three", "four"]).then_cut()]).await;
    let gateway = gateway(&[(Tongue::Anthropic, &a)], "", "").await;
    let asked = Tongue::Anthropic.asks("smart", "hi", true);
    Tongue::Anthropic.call_with(&gateway, &[], &asked).await;
    let line = gateway.call_line(0).await;
    let told = (&line["input_tokens"], &line["output_tokens"], &line["usage_estimated"]);
    assert_eq!(told, (&json!(7), &json!(5), &json!(true)), "{line}");
}
