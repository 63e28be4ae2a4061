//! Where a call goes on, by why its route's targets could not serve it (`on`).

use crate::support::{DONE, Gateway, Reply, Vendor, delta, event, finish, role};

/// Upstreams by name, and routes as YAML.
async fn gateway(vendors: &[(&str, &Vendor)], routes: &str) -> Gateway {
    let mut yaml = String::from("upstreams:\n");
    for (name, vendor) in vendors {
        yaml += &format!("  {name}: {{ vendor: openai-compatible, base_url: \"{}\" }}\n", vendor.url());
    }
    Gateway::start(&(yaml + routes)).await
}

fn refused(code: &str) -> Reply {
    Reply::json(400, format!(r#"{{"error":{{"message":"refused: {code}","type":"t","code":"{code}"}}}}"#))
}

fn too_long() -> Reply {
    refused("context_length_exceeded")
}

fn busy() -> Reply {
    Reply::status(503, "busy")
}

/// A 200 whose only choice moderation emptied.
fn emptied() -> Reply {
    Reply::json(
        200,
        r#"{"id":"e","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"content_filter"}],"usage":{"prompt_tokens":7,"completion_tokens":0}}"#,
    )
}

/// The upstreams that failed a call, and of what, in order.
async fn failed(gateway: &Gateway, call: usize) -> Vec<String> {
    let line = gateway.call_line(call).await;
    let failed = line["failed"].as_array().cloned().unwrap_or_default();
    failed
        .iter()
        .map(|it| format!("{}:{}", it["upstream"].as_str().unwrap(), it["error"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_prompt_that_is_too_long_moves_to_the_model_named_for_it_past_the_other_targets() {
    let (a, b) = (Vendor::with([too_long(), too_long()]).await, Vendor::start().await);
    let large = Vendor::with([Reply::chat("from large")]).await;
    let routes = "routes:\n  - { model: smart, targets: [a/m, b/m], on: { context_length: [large/long], any: [b/n] } }\n";
    let gateway = gateway(&[("a", &a), ("b", &b), ("large", &large)], routes).await;
    let answer = gateway.chat("smart").await;
    assert_eq!((answer.status.as_u16(), answer.content().as_str()), (200, "from large"));
    assert_eq!(answer.served_by(), ("large", "2"));
    assert_eq!(answer.header("x-tollgate-model"), Some("long"));
    assert_eq!(large.request(0).await.json()["model"], "long");
    assert_eq!(failed(&gateway, 0).await, ["a:context_length"]);
    let labels = [("upstream", "a"), ("reason", "context_length")];
    assert_eq!(gateway.metric("tollgate_failovers_total", &labels).await, 1.0);
    // The vendor did what it should: neither its health nor the log has anything to complain of.
    assert_eq!(gateway.call_line(0).await["level"], "INFO");
    large.expect(Reply::stream([role(), delta("x"), finish()]).done());
    assert_eq!(gateway.stream("smart").await.text(), [role(), delta("x"), finish()].concat() + DONE);
}

#[tokio::test]
async fn without_a_place_for_it_a_long_prompt_is_told_in_the_vendors_words() {
    let (a, b) = (Vendor::with([too_long()]).await, Vendor::start().await);
    let routes =
        "routes:\n  - { model: smart, targets: [a/m, b/m], on: { any: [b/n], rate_limit: [b/o] } }\n";
    let gateway = gateway(&[("a", &a), ("b", &b)], routes).await;
    let answer = gateway.chat("smart").await;
    assert_eq!((answer.status.as_u16(), answer.served_by()), (400, ("a", "1")));
    assert_eq!(
        answer.text(),
        r#"{"error":{"message":"refused: context_length_exceeded","type":"t","code":"context_length_exceeded"}}"#
    );
}

/// Of several places each is tried; when none helps the client hears why it had to leave the first.
#[tokio::test]
async fn the_places_for_a_cause_are_tried_in_order_and_the_cause_is_what_the_client_hears() {
    let a = Vendor::with([too_long()]).await;
    let (b, c) = (Vendor::with([too_long()]).await, Vendor::with([busy()]).await);
    let routes = "routes:\n  - { model: smart, targets: [a/m], on: { context_length: [b/m, c/m] } }\n";
    let gateway = gateway(&[("a", &a), ("b", &b), ("c", &c)], routes).await;
    let answer = gateway.chat("smart").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-tollgate-attempts")), (400, Some("3")));
    assert_eq!(answer.error()["code"], "context_length_exceeded");
    assert_eq!(failed(&gateway, 0).await, ["a:context_length", "b:context_length", "c:vendor_failed"]);
}

#[tokio::test]
async fn what_moderation_refused_moves_to_the_place_named_for_it() {
    for refusal in [refused("content_filter"), emptied()] {
        let (a, b) = (Vendor::with([refusal]).await, Vendor::start().await);
        let lenient = Vendor::with([Reply::chat("well")]).await;
        let routes =
            "routes:\n  - { model: smart, targets: [a/m, b/m], on: { content_filter: [lenient/m] } }\n";
        let gateway = gateway(&[("a", &a), ("b", &b), ("lenient", &lenient)], routes).await;
        let answer = gateway.chat("smart").await;
        assert_eq!((answer.content().as_str(), answer.served_by()), ("well", ("lenient", "2")));
        assert_eq!(failed(&gateway, 0).await, ["a:content_filter"]);
    }
}

/// An answer that says `content_filter` is an answer: it is taken for a failure only where there is somewhere else to go.
#[tokio::test]
async fn an_emptied_answer_is_passed_on_where_no_place_is_left_for_it() {
    let (a, b) = (Vendor::with([emptied()]).await, Vendor::start().await);
    let plain = "routes:\n  - { model: smart, targets: [a/m, b/m] }\n";
    let answer = gateway(&[("a", &a), ("b", &b)], plain).await.chat("smart").await;
    assert_eq!((answer.status.as_u16(), answer.served_by()), (200, ("a", "1")));
    let (a, b) = (Vendor::with([emptied()]).await, Vendor::with([emptied()]).await);
    let routes = "routes:\n  - { model: smart, targets: [a/m], on: { content_filter: [b/m] } }\n";
    let answer = gateway(&[("a", &a), ("b", &b)], routes).await.chat("smart").await;
    assert_eq!((answer.status.as_u16(), answer.served_by()), (200, ("b", "2")));
    assert_eq!(answer.json()["choices"][0]["finish_reason"], "content_filter");
}

const LIMITED: &str =
    "routes:\n  - { model: smart, targets: [a/m, b/m], on: { rate_limit: [c/m], any: [d/m] } }\n";

#[tokio::test]
async fn a_rate_limit_has_a_place_of_its_own_after_the_routes_targets_and_before_any() {
    let limited = || Reply::status(429, "slow down").header("retry-after", "60");
    let (a, b) = (Vendor::with([limited()]).await, Vendor::with([busy()]).await);
    let (c, d) = (Vendor::with([Reply::chat("from c"), Reply::chat("again")]).await, Vendor::start().await);
    let gateway = gateway(&[("a", &a), ("b", &b), ("c", &c), ("d", &d)], LIMITED).await;
    let answer = gateway.chat("smart").await;
    assert_eq!((answer.content().as_str(), answer.served_by()), ("from c", ("c", "3")));
    assert_eq!(failed(&gateway, 0).await, ["a:rate_limited", "b:vendor_failed"]);
    // Now nothing was a rate limit, though one target still waits it out.
    b.expect(busy());
    d.expect(Reply::chat("from d"));
    assert_eq!(gateway.chat("smart").await.served_by(), ("d", "2"));
    // And now all wait one out: nobody need be asked for that.
    b.expect(limited());
    let answer = gateway.chat("smart").await;
    assert_eq!((answer.content().as_str(), answer.served_by()), ("again", ("c", "2")));
    c.expect(Reply::chat("at once"));
    assert_eq!(gateway.chat("smart").await.served_by(), ("c", "1"));
}

#[tokio::test]
async fn any_comes_when_the_routes_own_targets_are_exhausted_and_is_bounded_by_the_attempts() {
    let (a, b) = (Vendor::with([busy(), busy()]).await, Vendor::with([busy(), busy()]).await);
    let d = Vendor::with([Reply::chat("from d")]).await;
    let c = Vendor::start().await;
    let vendors = [("a", &a), ("b", &b), ("c", &c), ("d", &d)];
    let gateway_of_three = gateway(&vendors, LIMITED).await;
    assert_eq!(gateway_of_three.chat("smart").await.served_by(), ("d", "3"));
    let two = format!("failover: {{ attempts_max: 2 }}\n{LIMITED}");
    let answer = gateway(&vendors, &two).await.chat("smart").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-tollgate-attempts")), (503, Some("2")));
}

#[tokio::test]
async fn a_clients_own_mistake_is_tried_nowhere_else() {
    let (a, b) = (Vendor::with([refused("invalid_value")]).await, Vendor::start().await);
    let everywhere = "{ context_length: [b/m], content_filter: [b/m], rate_limit: [b/m], any: [b/m] }";
    let routes = format!("routes:\n  - {{ model: smart, targets: [a/m], on: {everywhere} }}\n");
    let answer = gateway(&[("a", &a), ("b", &b)], &routes).await.chat("smart").await;
    assert_eq!((answer.status.as_u16(), answer.served_by()), (400, ("a", "1")));
}

/// A route is asked as if the client had named it: its own model names, defaults, system prompt and fallbacks hold.
#[tokio::test]
async fn another_route_serves_with_its_own_defaults_and_its_own_fallbacks() {
    let (a, b, c) = (Vendor::with([busy()]).await, Vendor::with([too_long()]).await, Vendor::start().await);
    c.expect(Reply::chat("from c"));
    let routes = "\
routes:
  - { model: smart, targets: [a/m], defaults: { temperature: 1 }, on: { any: [steady] } }
  - model: steady
    targets: [b]
    defaults: { top_p: 1 }
    system: Be steady.
    on: { context_length: [huge-] }
  - { prefix: huge-, targets: [c/big] }
";
    let gateway = gateway(&[("a", &a), ("b", &b), ("c", &c)], routes).await;
    let answer = gateway.chat("smart").await;
    assert_eq!((answer.content().as_str(), answer.served_by()), ("from c", ("c", "3")));
    assert_eq!(a.request(0).await.json()["temperature"], 1);
    let at_b = b.request(0).await.json();
    assert_eq!((&at_b["model"], &at_b["top_p"]), (&"steady".into(), &1.into()));
    assert_eq!((at_b.get("temperature"), &at_b["messages"][0]["content"]), (None, &"Be steady.".into()));
    let at_c = c.request(0).await.json();
    assert_eq!((&at_c["model"], at_c.get("top_p"), at_c.get("temperature")), (&"big".into(), None, None));
    let line = gateway.call_line(0).await;
    assert_eq!((&line["route"], &line["upstream_model"]), (&"smart".into(), &"big".into()), "{line}");
}

#[tokio::test]
async fn each_target_is_asked_once_however_routes_refer_to_each_other() {
    let (a, b) = (Vendor::with([busy()]).await, Vendor::with([busy()]).await);
    let c = Vendor::with([Reply::status(429, "slow down").header("retry-after", "60")]).await;
    let routes = "\
failover: { attempts_max: 20 }
routes:
  - { model: one, targets: [a/m, b/m, a/m], on: { any: [two, three, a/m, c/m], rate_limit: [three] } }
  - { model: two, targets: [b/m, a/m], on: { any: [three, b/m] } }
  - { model: three, targets: [a/m, c/m, b/m], on: { rate_limit: [a/m], any: [c/m] } }
";
    let gateway = gateway(&[("a", &a), ("b", &b), ("c", &c)], routes).await;
    let answer = gateway.chat("one").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-tollgate-attempts")), (429, Some("3")));
}

/// Trying what is known to be out is the last thing to do, not the first.
#[tokio::test]
async fn fallbacks_come_before_targets_that_are_out() {
    let (a, b) = (Vendor::with([busy()]).await, Vendor::with([Reply::chat("1"), Reply::chat("2")]).await);
    let routes = "\
circuit: { failures: 1, open_ms: 60000 }
routes:
  - { model: smart, targets: [a/m], on: { any: [b/m] } }
";
    let gateway = gateway(&[("a", &a), ("b", &b)], routes).await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"));
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "1"), "a's circuit is open");
    gateway.admin_post("/admin/upstreams/b/drain", "").await;
    a.expect(Reply::chat("well again"));
    assert_eq!(gateway.chat("smart").await.served_by(), ("a", "1"), "nothing else is left");
}

/// A stream is held until its first content as long as a fallback could still serve it.
#[tokio::test]
async fn a_stream_that_breaks_off_before_content_moves_to_a_fallback() {
    let a = Vendor::with([Reply::stream([role(), event(r#"{"choices":[]}"#)]).then_cut()]).await;
    let b = Vendor::with([Reply::stream([role(), delta("b"), finish()]).done()]).await;
    let routes = "routes:\n  - { model: smart, targets: [a/m], on: { any: [b/m] } }\n";
    let gateway = gateway(&[("a", &a), ("b", &b)], routes).await;
    assert_eq!(gateway.stream("smart").await.text(), [role(), delta("b"), finish()].concat() + DONE);
}

#[tokio::test]
async fn explain_lists_the_fallbacks_by_cause() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    let routes = "\
routes:
  - { model: smart, targets: [a/m], on: { context_length: [large], any: [b/m] } }
  - { model: large, targets: [b/x] }
";
    let gateway = gateway(&[("a", &a), ("b", &b)], routes).await;
    gateway.admin_post("/admin/upstreams/b/drain", "").await;
    let on = gateway.admin_post("/admin/explain", r#"{"model":"smart"}"#).await.json()["on"].clone();
    let expected = r#"{"any":[{"model":"m","reason":"drained by an operator","upstream":"b"}],"context_length":[{"route":"large"}]}"#;
    assert_eq!(on.to_string(), expected);
}
