//! What a route, its operator and its callers ask of a target: tags, bounds, abilities, room. And the canary, which is
//! asked the same.

use serde_json::{Value, json};

use crate::support::{Answer, Gateway, Reply, Steady, Vendor, over};

/// Upstreams `a` and `b`, each with more options, behind the route `smart` with more of its own.
fn pair(a: (&str, &str), b: (&str, &str), targets: &str, route: &str) -> String {
    let upstream = |name: &str, (url, more): (&str, &str)| {
        format!("  {name}: {{ vendor: openai-compatible, base_url: \"{url}\", {more} }}\n")
    };
    let upstreams = upstream("a", a) + &upstream("b", b);
    format!("upstreams:\n{upstreams}routes:\n  - {{ model: smart, targets: [{targets}], {route} }}\n")
}

const BOTH: &str = "a/model-a, b/model-b";

/// A chat call of `smart` with more fields.
fn body(more: &Value) -> String {
    let mut body = json!({"model": "smart", "messages": [{"role": "user", "content": "hi"}]});
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    body.to_string()
}

async fn chat(gateway: &Gateway, more: &Value) -> Answer {
    gateway.post("/v1/chat/completions", body(more)).await
}

async fn tagged(gateway: &Gateway, tags: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("x-tollgate-tags", tags)];
    gateway.call(http::Method::POST, "/v1/chat/completions", &headers, body(&json!({}))).await
}

fn image() -> Value {
    let part = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}});
    json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "what?"}, part]}]})
}

/// The call is refused as one that no target fits, with all of these words.
fn assert_unfit(answer: &Answer, words: &[&str]) {
    let error = answer.error();
    assert_eq!(
        (answer.status.as_u16(), &error["code"]),
        (400, &json!("no_target_fits")),
        "{}",
        answer.text()
    );
    let said = error["message"].as_str().unwrap();
    assert!(words.iter().all(|it| said.contains(it)), "{said}");
}

#[tokio::test]
async fn a_route_and_its_callers_choose_by_tags() {
    let (a, b) = (Steady::start("a").await, Steady::start("b").await);
    let (a_url, b_url) = (a.url(), b.url());
    let targets = "{ upstream: a, model: m, tags: [fast] }, { upstream: b, model: m, tags: [safe] }";
    let yaml = |route: &str| pair((&a_url, "tags: [us]"), (&b_url, "tags: [eu]"), targets, route);
    let gateway = Gateway::start(&yaml("tags: []")).await;
    for (tags, upstream) in
        [("us", "a"), ("eu", "b"), ("safe", "b"), (" eu , safe", "b"), ("", "a"), ("fast,us", "a")]
    {
        assert_eq!(tagged(&gateway, tags).await.served_by(), (upstream, "1"), "{tags}");
    }
    let seen = b.seen();
    assert!(seen.iter().all(|it| it.header("x-tollgate-tags").is_none()), "no vendor's business");
    assert_unfit(
        &tagged(&gateway, "us, safe").await,
        &["a/m: it lacks the tag `safe`", "b/m: it lacks the tag `us`"],
    );
    let gateway = Gateway::start(&yaml("tags: [eu]")).await;
    assert_eq!(chat(&gateway, &json!({})).await.served_by(), ("b", "1"));
    // What the caller asks for comes on top.
    assert_unfit(
        &tagged(&gateway, "us").await,
        &["a/m: it lacks the tag `eu`", "b/m: it lacks the tag `us`"],
    );
}

#[tokio::test]
async fn tags_that_cannot_be_read_are_the_clients_mistake() {
    let a = Vendor::start().await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    let many = vec!["t"; 17].join(",");
    for tags in ["r\u{e9}gion", &many] {
        let answer = tagged(&gateway, tags).await;
        assert_eq!(answer.status, 400, "{tags}: {}", answer.text());
        let error = answer.error();
        assert_eq!((&error["param"], &error["code"]), (&json!("x-tollgate-tags"), &json!("invalid_tags")));
    }
    assert_unfit(&tagged(&gateway, "eu").await, &["a/model-a: it lacks the tag `eu`"]);
}

/// In 10 tokens of answer at 100 dollars the million are 0.001 dollars.
#[tokio::test]
async fn a_target_that_would_cost_too_much_is_left_out_of_this_call() {
    let (a, b) = (Steady::start("a").await, Steady::start("b").await);
    let (dear, cheap) = ("price: { input: 0, output: 100 }", "price: { input: 0, output: 1 }");
    let yaml = pair((&a.url(), dear), (&b.url(), cheap), BOTH, "max_price: 0.001");
    let gateway = Gateway::start(&yaml).await;
    let at_most = |tokens: u64| json!({"max_tokens": tokens});
    let explained = gateway.admin_post("/admin/explain", body(&at_most(11))).await.json();
    let reason = explained["excluded"][0]["reason"].as_str().unwrap();
    assert_eq!(reason, "the call is expected to cost 0.0011 USD, more than `max_price` 0.001");
    assert_eq!(chat(&gateway, &at_most(11)).await.served_by(), ("b", "1"));
    assert_eq!(chat(&gateway, &at_most(10)).await.served_by(), ("a", "1"));
    // The bound is no hint: with nobody below it the call is refused, and with one target alone as well.
    let [a, b] = [Vendor::start().await, Vendor::start().await];
    let gateway = Gateway::start(&pair((&a.url(), dear), (&b.url(), dear), BOTH, "max_price: 0.001")).await;
    assert_unfit(&chat(&gateway, &at_most(11)).await, &["a/model-a: the call is expected", "b/model-b: "]);
    let gateway = Gateway::start(&pair((&a.url(), dear), (&b.url(), dear), "a/m", "max_price: 0.001")).await;
    assert_unfit(&chat(&gateway, &at_most(11)).await, &["0.0011 USD"]);
    // What is not known excludes nothing.
    let unknown = Steady::start("a").await;
    let gateway = Gateway::start(&pair((&unknown.url(), ""), (&b.url(), ""), BOTH, "max_price: 0.001")).await;
    assert_eq!(chat(&gateway, &at_most(11)).await.served_by(), ("a", "1"));
}

/// What a call needs, and the fact that denies it.
fn needs() -> [(&'static str, Value, &'static str); 5] {
    let schema = json!({"type": "json_schema", "json_schema": {"name": "s", "schema": {}}});
    [
        ("vision", image(), "images"),
        ("tools", json!({"tools": [{"type": "function", "function": {"name": "f"}}]}), "tools"),
        ("json_schema", json!({"response_format": schema}), "JSON schema"),
        ("reasoning", json!({"reasoning_effort": "low"}), "reasoning effort"),
        ("reasoning", json!({"thinking": {"type": "enabled"}}), "reasoning effort"),
    ]
}

#[tokio::test]
async fn a_call_passes_over_targets_that_cannot_do_what_it_needs() {
    for (fact, call, what) in needs() {
        let (a, b) = (Steady::start("a").await, Steady::start("b").await);
        let not = format!("facts: {{ {fact}: false }}");
        let gateway = Gateway::start(&pair((&a.url(), &not), (&b.url(), ""), BOTH, "tags: []")).await;
        assert_eq!(chat(&gateway, &call).await.served_by(), ("b", "1"), "{fact}");
        assert_eq!(chat(&gateway, &json!({})).await.served_by(), ("a", "1"), "{fact}");
        // Nobody can: no call is made, and the client is told why.
        let (a, b) = (Vendor::start().await, Vendor::start().await);
        let gateway = Gateway::start(&pair((&a.url(), &not), (&b.url(), &not), BOTH, "tags: []")).await;
        let answer = chat(&gateway, &call).await;
        let takes_none = format!("the model takes no {what}");
        assert_unfit(&answer, &[&format!("a/model-a: {takes_none}"), &format!("b/model-b: {takes_none}")]);
        assert_eq!(answer.header("x-tollgate-attempts").unwrap_or("0"), "0");
        // A sole target is asked whatever is said of it: its vendor knows better.
        a.expect(Reply::chat("can"));
        let gateway = Gateway::start(&pair((&a.url(), &not), (&b.url(), &not), "a/m", "tags: []")).await;
        assert_eq!(chat(&gateway, &call).await.content(), "can", "{fact}");
    }
}

#[tokio::test]
async fn what_the_catalogue_says_of_a_model_counts_until_the_operator_denies_it() {
    let image = image();
    for (facts, upstream) in [("", "b"), ("facts: { vision: true }", "a")] {
        let (a, b) = (Steady::start("a").await, Steady::start("b").await);
        let yaml = format!(
            "upstreams:\n  a: {{ vendor: openai, key: k, base_url: \"{}\", {facts} }}\n  b: {{ vendor: openai, key: k, base_url: \"{}\" }}\nroutes:\n  - {{ model: smart, targets: [a/o3-mini, b/o4-mini] }}\n",
            a.url(),
            b.url()
        );
        let gateway = Gateway::start(&yaml).await;
        assert_eq!(chat(&gateway, &image).await.served_by(), (upstream, "1"), "{facts}");
        assert_eq!(chat(&gateway, &json!({})).await.served_by(), ("a", "1"), "{facts}");
    }
}

/// What the target says comes over what its upstream says, fact by fact.
#[tokio::test]
async fn a_targets_facts_are_laid_over_its_upstreams() {
    let (a, b) = (Steady::start("a").await, Steady::start("b").await);
    let targets = "{ upstream: a, model: m, facts: { vision: true } }, b/m";
    let facts = "facts: { vision: false, tools: false }";
    let gateway = Gateway::start(&pair((&a.url(), facts), (&b.url(), ""), targets, "tags: []")).await;
    assert_eq!(chat(&gateway, &image()).await.served_by(), ("a", "1"));
    assert_eq!(chat(&gateway, &needs()[1].1).await.served_by(), ("b", "1"));
}

#[tokio::test]
async fn a_call_goes_where_prompt_and_answer_fit() {
    let (a, b) = (Steady::start("a").await, Steady::start("b").await);
    let narrow = |context: u64| format!("facts: {{ context: {context} }}");
    let yaml = pair((&a.url(), &narrow(1_000)), (&b.url(), &narrow(100_000)), BOTH, "tags: []");
    let gateway = Gateway::start(&yaml).await;
    let long = json!({"messages": [{"role": "user", "content": "word ".repeat(2_000)}], "max_tokens": 5});
    assert_eq!(chat(&gateway, &json!({"max_tokens": 5})).await.served_by(), ("a", "1"));
    assert_eq!(chat(&gateway, &long).await.served_by(), ("b", "1"));
    let said = gateway.admin_post("/admin/explain", body(&long)).await.json();
    assert!(
        said["excluded"][0]["reason"].as_str().unwrap().contains("its window of 1000 tokens"),
        "{said:#}"
    );
    // An estimate is no ground for a refusal: where it fits nowhere, the roomiest is asked first.
    let yaml = pair((&a.url(), &narrow(10)), (&b.url(), &narrow(100)), BOTH, "tags: []");
    let gateway = Gateway::start(&yaml).await;
    assert_eq!(chat(&gateway, &long).await.served_by(), ("b", "1"));
}

fn canary(a: &str, b: (&str, &str), percent: u32, target: &str) -> String {
    let canary = format!("canary: {{ target: {target}, percent: {percent} }}");
    pair((a, ""), b, "a/model-a", &canary)
}

#[tokio::test]
async fn the_canary_gets_its_share() {
    for (percent, least, most) in [(0, 0, 0), (100, 100, 100), (30, 5, 58)] {
        let (a, b) = (Steady::start("a").await, Steady::start("b").await);
        let gateway = Gateway::start(&canary(&a.url(), (&b.url(), ""), percent, "b/model-b")).await;
        for _ in 0..100 {
            assert_eq!(gateway.chat("smart").await.status, 200);
        }
        let got = b.seen().len();
        assert!((least..=most).contains(&got), "{got} of 100 at {percent} %");
        assert_eq!(a.seen().len() + got, 100);
        assert!(b.seen().iter().all(|it| it.json()["model"] == "model-b"));
    }
}

/// A conversation does not change sides from turn to turn.
#[tokio::test]
async fn a_conversation_stays_on_its_side_of_the_canary() {
    let (a, b) = (Steady::start("a").await, Steady::start("b").await);
    let gateway = Gateway::start(&canary(&a.url(), (&b.url(), ""), 50, "b/model-b")).await;
    let mut sides = Vec::new();
    for conversation in 0..40 {
        let call = json!({"prompt_cache_key": format!("c-{conversation}")});
        let side = chat(&gateway, &call).await.content();
        for _ in 0..3 {
            assert_eq!(chat(&gateway, &call).await.content(), side);
        }
        sides.push(side);
    }
    assert!(sides.contains(&"a".to_owned()) && sides.contains(&"b".to_owned()), "{sides:?}");
}

#[tokio::test]
async fn a_canary_that_fails_leaves_the_call_to_the_routes_own_targets() {
    let (a, b) = (Steady::start("a").await, Vendor::with([Reply::status(500, "no")]).await);
    let gateway =
        Gateway::start(&canary(&a.url(), (&b.url(), "circuit: { failures: 1 }"), 100, "b/model-b")).await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("a", "2"));
    // It is out now, and gets no further call.
    assert_eq!(gateway.chat("smart").await.served_by(), ("a", "1"));
}

/// Being on trial is no leave to see what a caller wants kept elsewhere, nor to be asked for what it cannot do.
#[tokio::test]
async fn a_canary_that_does_not_fit_the_call_is_not_asked() {
    let (a, b) = (Steady::start("a").await, Vendor::start().await);
    let yaml = canary(&a.url(), (&b.url(), "facts: { vision: false }"), 100, "b/model-b");
    let yaml = yaml.replace("targets: [a/model-a]", "targets: [{ upstream: a, model: m, tags: [eu] }]");
    let gateway = Gateway::start(&yaml).await;
    assert_eq!(tagged(&gateway, "eu").await.served_by(), ("a", "1"));
    assert_eq!(chat(&gateway, &image()).await.served_by(), ("a", "1"));
    b.expect(Reply::chat("from b"));
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "1"));
}

/// No target is asked twice for one call.
#[tokio::test]
async fn a_canary_that_is_a_target_as_well_is_tried_once() {
    let (a, b) = (Steady::start("a").await, Vendor::with([Reply::status(500, "no")]).await);
    let yaml = canary(&a.url(), (&b.url(), ""), 100, "b/model-b")
        .replace("targets: [a/model-a]", "targets: [b/model-b, a/model-a]");
    let gateway = Gateway::start(&yaml).await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("a", "2"));
}
