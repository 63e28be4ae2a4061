//! `policy: cheapest` goes where this very call is expected to cost least, and `explain` shows the sum.

use std::time::{SystemTime, UNIX_EPOCH};

use http::Method;
use serde_json::{Value, json};

use crate::cli::Folder;
use crate::support::gateway::Gateway;
use crate::support::{Reply, Vendor, completion, until};

/// Upstreams `a`, `b` … with these prices, if any, behind the route `smart`; a target serves `model-a` at `a`.
fn priced(vendors: &[(&Vendor, &str)]) -> String {
    let (mut upstreams, mut targets) = (String::new(), Vec::new());
    for ((vendor, price), name) in vendors.iter().zip(["a", "b", "c", "d"]) {
        upstreams += &format!("  {name}: {{ vendor: openai-compatible, base_url: \"{}\" }}\n", vendor.url());
        let price = if price.is_empty() { String::new() } else { format!(", price: {{ {price} }}") };
        targets.push(format!("{{ upstream: {name}, model: model-{name}{price} }}"));
    }
    format!(
        "upstreams:\n{upstreams}routes:\n  - {{ model: smart, policy: cheapest, targets: [{}] }}\n",
        targets.join(", ")
    )
}

/// A vendor whose every answer is counted as so many tokens.
async fn vendor(input: u64, output: u64) -> Vendor {
    let vendor = Vendor::start().await;
    let counted = format!(
        "\"prompt_tokens\":{input},\"completion_tokens\":{output},\"total_tokens\":{}",
        input + output
    );
    let usual = "\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9";
    vendor.otherwise(Reply::json(200, completion("ok").replace(usual, &counted)));
    vendor
}

/// A call of so many words, an answer of at most `max` tokens, and what else the client says.
fn body(words: usize, max: u64, more: &Value) -> String {
    let text = "word ".repeat(words);
    let mut body =
        json!({"model": "smart", "max_tokens": max, "messages": [{"role": "user", "content": text}]});
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    body.to_string()
}

async fn served(gateway: &Gateway, body: String) -> String {
    let answer = gateway.post("/v1/chat/completions", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.served_by().0.to_owned()
}

async fn explained(gateway: &Gateway, body: String) -> Value {
    let said = gateway.admin_post("/admin/explain", body).await;
    assert_eq!(said.status, 200, "{}", said.text());
    said.json()
}

/// What is said of one upstream's target.
fn candidate<'a>(said: &'a Value, upstream: &str) -> &'a Value {
    let candidates = said["candidates"].as_array().unwrap();
    candidates.iter().find(|it| it["upstream"] == upstream).unwrap_or_else(|| panic!("{upstream}: {said:#}"))
}

/// Neither is the cheaper one by its list: what is asked decides.
#[tokio::test]
async fn the_shape_of_the_call_decides_between_opposite_prices() {
    let (reads, writes) = (vendor(4_000, 300).await, vendor(10, 300).await);
    let yaml = priced(&[(&reads, "input: 1, output: 20"), (&writes, "input: 10, output: 2")]);
    let gateway = Gateway::start(&yaml).await;
    for _ in 0..3 {
        assert_eq!(served(&gateway, body(1, 4_000, &json!({}))).await, "b", "much to write");
        assert_eq!(served(&gateway, body(4_000, 5, &json!({}))).await, "a", "much to read");
    }
    // Without a bound, answers are expected to be as long as the last ones were.
    assert_eq!(served(&gateway, body(1, 100_000, &json!({}))).await, "b");
    let figures = &explained(&gateway, body(1, 100_000, &json!({}))).await["candidates"][0]["figures"];
    assert_eq!(figures["output_tokens"], 300);
}

#[tokio::test]
async fn a_price_of_zero_comes_first_and_an_unknown_one_last() {
    let [unknown, dear, free] = [vendor(7, 2).await, vendor(7, 2).await, vendor(7, 2).await];
    let yaml = priced(&[(&unknown, ""), (&dear, "input: 900, output: 900"), (&free, "input: 0, output: 0")]);
    let gateway = Gateway::start(&yaml).await;
    let said = explained(&gateway, body(1, 10, &json!({}))).await;
    let costs: Vec<_> =
        said["candidates"].as_array().unwrap().iter().map(|it| &it["figures"]["cost_usd"]).collect();
    assert_eq!((costs[0], costs[2]), (&json!("0"), &Value::Null), "{said:#}");
    assert_eq!(candidate(&said, "a")["reason"], "in service; its price is not known");
    for upstream in ["c", "b", "a"] {
        for _ in 0..5 {
            assert_eq!(served(&gateway, body(1, 10, &json!({}))).await, upstream);
        }
        gateway.admin_post(&format!("/admin/upstreams/{upstream}/drain"), "").await;
    }
}

#[tokio::test]
async fn equal_prices_share_the_calls() {
    let (a, b) = (vendor(7, 2).await, vendor(7, 2).await);
    let gateway = Gateway::start(&priced(&[(&a, "input: 1, output: 2"), (&b, "input: 1, output: 2")])).await;
    for _ in 0..200 {
        served(&gateway, body(1, 10, &json!({}))).await;
    }
    assert_eq!(a.calls() + b.calls(), 200);
    // 100 expected; six standard deviations are 42.
    assert!((58..=142).contains(&a.calls()), "{} of 200", a.calls());
}

#[tokio::test]
async fn a_reload_with_another_price_moves_the_calls() {
    let (a, b) = (vendor(7, 2).await, vendor(7, 2).await);
    let yaml = |price: &str| priced(&[(&a, price), (&b, "input: 3, output: 3")]);
    let gateway = Gateway::start(&yaml("input: 2, output: 2")).await;
    assert_eq!(served(&gateway, body(1, 10, &json!({}))).await, "a");
    let pid = gateway.pid();
    gateway.write_config(&yaml("input: 4, output: 4"));
    gateway.event_line("config_reloaded").await;
    until("the new price", async || served(&gateway, body(1, 10, &json!({}))).await == "b").await;
    assert_eq!(served(&gateway, body(1, 10, &json!({}))).await, "b");
    assert_eq!(gateway.pid(), pid);
    assert_eq!(gateway.metric("tollgate_cost_usd_total", &[("upstream", "a")]).await, 0.000_018);
}

/// The peak makes the vendor that is cheaper otherwise the dearer one. The hours are all day, for tests run at any.
#[tokio::test]
async fn a_peak_counts_on_its_days_and_hours_alone() {
    const DAYS: [&str; 7] = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];
    let (a, b) = (vendor(7, 2).await, vendor(7, 2).await);
    let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let on = |offset: u64| DAYS[((day + offset) % 7) as usize];
    // Tomorrow as well, for a test that runs at midnight.
    let (now, later) = (format!("{}, {}", on(0), on(1)), format!("{}, {}", on(3), on(4)));
    for (days, cheaper) in [(&now, "b"), (&later, "a")] {
        let peak = format!("when: [{{ utc: [\"00:00-24:00\"], days: [{days}], input: 20, output: 20 }}]");
        let yaml = priced(&[(&a, &format!("input: 1, output: 1, {peak}")), (&b, "input: 2, output: 2")]);
        let gateway = Gateway::start(&yaml).await;
        assert_eq!(served(&gateway, body(1, 10, &json!({}))).await, cheaper, "{days}");
    }
    // Where the day is right and the hour is not: the half of the day that is not now, nor begins while this runs.
    let hour = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 3_600 % 24;
    let (from, to) =
        if (6..18).contains(&hour) { ("20:00-24:00", "00:00-04:00") } else { ("08:00-10:00", "10:00-16:00") };
    let peak = format!("when: [{{ utc: [\"{from}\", \"{to}\"], input: 20, output: 20 }}]");
    let yaml = priced(&[(&a, &format!("input: 1, output: 1, {peak}")), (&b, "input: 2, output: 2")]);
    assert_eq!(served(&Gateway::start(&yaml).await, body(1, 10, &json!({}))).await, "a");
}

/// `a` is the dearer one, but for what it has in its cache; not by so much that it pays to move there for the next turn.
#[tokio::test]
async fn a_conversation_stays_where_its_prefix_is_cached_while_that_is_cheaper() {
    let (a, b) = (vendor(2_000, 10).await, vendor(2_000, 10).await);
    let yaml = priced(&[(&a, "input: 10, output: 10, cached_input: 7"), (&b, "input: 8, output: 8")]);
    let gateway = Gateway::start(&yaml).await;
    let turn = |words: usize, of: &str| body(words, 10, &json!({"prompt_cache_key": of}));
    gateway.admin_post("/admin/upstreams/b/drain", "").await;
    assert_eq!(served(&gateway, turn(1_500, "one")).await, "a");
    gateway.admin_post("/admin/upstreams/b/enable", "").await;
    gateway.call_line(0).await;
    for _ in 0..3 {
        assert_eq!(served(&gateway, turn(1_600, "one")).await, "a");
        assert_eq!(served(&gateway, turn(1_600, "two")).await, "b");
        assert_eq!(served(&gateway, body(1_600, 10, &json!({}))).await, "b");
    }
    let said = explained(&gateway, turn(1_600, "one")).await;
    let (figures, other) = (&candidate(&said, "a")["figures"], &candidate(&said, "b")["figures"]);
    let (prompt, cached) =
        (figures["prompt_tokens"].as_u64().unwrap(), figures["cached_tokens"].as_u64().unwrap());
    // The vendor counted 2,010 tokens of prompt and answer; of a shorter prompt no more than all is cached.
    assert_eq!(cached, prompt.min(2_010), "{said:#}");
    assert_eq!(other["cached_tokens"], 0);
    assert_eq!(figures["cost_usd"], usd((prompt - cached) * 10 + cached * 7 + 10 * 10));
    // Shorter than what was said under that name, it is no further turn of it; a longer one is.
    assert_eq!(figures["next_turn_usd"], Value::Null);
    let said = explained(&gateway, turn(2_500, "one")).await;
    let figures = &candidate(&said, "a")["figures"];
    let next = figures["prompt_tokens"].as_u64().unwrap() + 10;
    assert_eq!(figures["next_turn_usd"], usd(next * 7 + 10 * 10));
    // Each counts a prompt in its own way, which its answers have shown.
    assert_eq!(other["cost_usd"], usd(other["prompt_tokens"].as_u64().unwrap() * 8 + 10 * 8));
    // A prompt that is new for the most part is worth no more than its cached part.
    assert_eq!(served(&gateway, turn(40_000, "one")).await, "b");
}

/// Two clients may call their conversations the same: neither one is led by where the other's went.
#[tokio::test]
async fn a_conversation_is_one_clients_own() {
    let (a, b) = (vendor(2_000, 10).await, vendor(2_000, 10).await);
    let yaml = priced(&[(&a, "input: 10, output: 10, cached_input: 1"), (&b, "input: 8, output: 8")]);
    let gateway =
        Gateway::start(&format!("clients: {{ one: {{ key: k-1 }}, two: {{ key: k-2 }} }}\n{yaml}")).await;
    let turn = body(1_500, 10, &json!({"prompt_cache_key": "ours"}));
    let ask = async |key: &str| {
        let headers = [("content-type", "application/json"), ("api-key", key)];
        let answer = gateway.call(Method::POST, "/v1/chat/completions", &headers, turn.clone()).await;
        answer.served_by().0.to_owned()
    };
    gateway.admin_post("/admin/upstreams/b/drain", "").await;
    assert_eq!(ask("k-1").await, "a");
    gateway.admin_post("/admin/upstreams/b/enable", "").await;
    gateway.call_line(0).await;
    assert_eq!((ask("k-2").await, ask("k-1").await), ("b".to_owned(), "a".to_owned()));
    gateway.call_line(2).await;
    for (client, holder) in [("one", "a"), ("two", "b")] {
        let headers = [("x-tollgate-client", client)];
        let said = gateway.admin(Method::POST, "/admin/explain", &headers, turn.clone()).await.json();
        for name in ["a", "b"] {
            let cached = candidate(&said, name)["figures"]["cached_tokens"].as_u64().unwrap();
            assert_eq!(cached > 0, name == holder, "{client}: {said:#}");
        }
    }
}

/// Caches belong to accounts, and so to keys.
#[tokio::test]
async fn a_conversation_keeps_its_key() {
    let a = vendor(500, 10).await;
    let yaml = format!(
        "upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{}\", keys: [k-0, k-1] }}\nroutes:\n  - {{ model: smart, policy: cheapest, targets: [a/m] }}\n",
        a.url()
    );
    let gateway = Gateway::start(&yaml).await;
    for of in ["one", "two", "two", "one", "one", "two", "one"] {
        served(&gateway, body(1, 10, &json!({"prompt_cache_key": of}))).await;
        gateway.call_line(a.calls() - 1).await;
    }
    let keys: Vec<_> = a.seen().iter().map(|it| it.header("authorization").unwrap().to_owned()).collect();
    let (one, two) = ("Bearer k-0", "Bearer k-1");
    assert_eq!(keys, [one, two, two, one, one, two, one]);
}

/// Dollars of so many millionths.
fn usd(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// By hand, in millionths of a dollar: so many tokens at so many dollars the million.
#[tokio::test]
async fn explain_shows_the_sums_and_whom_it_leaves_out() {
    let (a, b) = (vendor(7, 2).await, vendor(7, 2).await);
    let yaml = priced(&[
        (&a, "input: 0, output: 2.5, per_request: 0.01"),
        (&b, "input: 3, output: 15, service_tiers: { flex: 0.5 }"),
    ]);
    let narrow = yaml.replace("model: model-b,", "model: model-b, tags: [eu], facts: { context: 200 },");
    let gateway = Gateway::start(&narrow).await;
    let said = explained(&gateway, body(1, 100, &json!({"service_tier": "flex"}))).await;
    let prompt = said["asks"]["prompt_tokens"].as_u64().unwrap();
    assert!((4..60).contains(&prompt), "{said:#}");
    assert_eq!(candidate(&said, "a")["figures"]["cost_usd"], "0.01025");
    let expected = (prompt * 3 + 100 * 15).div_ceil(2);
    let rounded = candidate(&said, "b")["figures"]["cost_usd"].as_str().unwrap().to_owned();
    assert!([usd(expected), format!("{}5", usd(expected - 1))].contains(&rounded), "{said:#}");
    assert_eq!(
        (&said["candidates"][0]["upstream"], &said["asks"]["service_tier"]),
        (&json!("b"), &json!("flex"))
    );
    let said = explained(&gateway, body(1, 1_000, &json!({}))).await;
    assert_eq!(said["candidates"].as_array().unwrap().len(), 1, "{said:#}");
    let excluded = &said["excluded"][0];
    assert_eq!((excluded["upstream"].as_str(), excluded["model"].as_str()), (Some("b"), Some("model-b")));
    assert!(excluded["reason"].as_str().unwrap().contains("its window of 200 tokens"), "{said:#}");
    // The command says the same of the same file.
    let asked = body(1, 100, &json!({}));
    let folder =
        Folder::with(&[("gateway.yaml", &format!("discover: false\n{narrow}")), ("body.json", &asked)]);
    let said = folder.run(&["explain", "--body", "body.json"]).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(told["candidates"], explained(&gateway, asked).await["candidates"]);
    assert_eq!(
        candidate(&told, "b")["figures"]["cost_usd"],
        usd(told["asks"]["prompt_tokens"].as_u64().unwrap() * 3 + 1_500)
    );
    assert_eq!((a.calls(), b.calls()), (0, 0), "nothing was sent");
}
