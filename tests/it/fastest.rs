//! `policy: fastest` goes where answers come soonest, finds out by asking now and then, and is not fooled by refusals.

use std::time::Duration;

use serde_json::Value;

use crate::support::gateway::Gateway;
use crate::support::{Reply, Vendor, delta, finish, role, until, usage};

/// Longer than a busy machine takes for an immediate answer.
const SLOW: Duration = Duration::from_millis(200);

fn at_once() -> Reply {
    Reply::stream([role(), delta("x"), finish(), usage(7, 2)]).done()
}

fn after(wait: Duration) -> Reply {
    Reply::stream([role()]).every(wait, 1, &delta("x")).pieces([finish(), usage(7, 2)]).done()
}

/// Vendors `a` and `b` behind the route `smart`, which has `policy`. No failure opens a circuit.
async fn gateway(a: &Vendor, b: &Vendor, policy: &str) -> Gateway {
    Gateway::start(&format!(
        "upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{}\" }}\n  b: {{ vendor: openai-compatible, base_url: \"{}\" }}\ncircuit: {{ failures: 1000, calls_min: 1000000 }}\nroutes:\n  - {{ model: smart, {policy}, targets: [a/model-a, b/model-b] }}\n",
        a.url(),
        b.url()
    ))
    .await
}

async fn pair(a: Reply, b: Reply) -> (Vendor, Vendor) {
    let (first, second) = (Vendor::start().await, Vendor::start().await);
    first.otherwise(a);
    second.otherwise(b);
    (first, second)
}

/// The first token's time by upstream, as `explain` tells it.
async fn paces(gateway: &Gateway) -> [Option<u64>; 2] {
    let said = gateway.admin_post("/admin/explain", r#"{"model":"smart"}"#).await.json();
    ["a", "b"].map(|id| {
        let candidates = said["candidates"].as_array().unwrap();
        candidates
            .iter()
            .find(|it| it["upstream"] == id)
            .and_then(|it| it["figures"]["first_token_ms"].as_u64())
    })
}

/// Calls until the speed of both is known.
async fn warm_up(gateway: &Gateway) {
    until("both speeds", async || {
        gateway.stream("smart").await;
        paces(gateway).await.iter().all(Option::is_some)
    })
    .await;
}

async fn served(gateway: &Gateway) -> Option<String> {
    let answer = gateway.stream("smart").await;
    answer.status.is_success().then(|| answer.served_by().0.to_owned())
}

#[tokio::test]
async fn calls_go_to_the_faster_vendor_and_follow_it_when_that_changes() {
    let (a, b) = pair(after(SLOW), at_once()).await;
    let gateway = gateway(&a, &b, "policy: fastest, explore_percent: 50").await;
    warm_up(&gateway).await;
    let asked = a.calls();
    for _ in 0..20 {
        assert_eq!(served(&gateway).await.as_deref(), Some("b"));
    }
    assert_eq!(a.calls(), asked);
    let [slow, fast] = paces(&gateway).await;
    assert!(slow >= Some(200) && fast < Some(200), "{slow:?} {fast:?}");
    b.otherwise(after(SLOW * 4));
    for _ in 0..5 {
        served(&gateway).await;
    }
    assert_eq!(served(&gateway).await.as_deref(), Some("a"));
}

/// A vendor that answers each call with 400 stays unknown: that says nothing of its speed, and is not tried elsewhere.
/// It did count as a failure, so that one client's malformed calls moved everyone's.
#[tokio::test]
async fn a_target_of_unknown_speed_gets_the_share_that_is_set_and_no_more() {
    for (percent, least, most) in [(0, 0, 0), (20, 12, 75)] {
        let (a, b) = pair(at_once(), Reply::status(400, "no")).await;
        let gateway = gateway(&a, &b, &format!("policy: fastest, explore_percent: {percent}")).await;
        until("a known speed", async || served(&gateway).await.is_some()).await;
        let before = b.calls();
        for _ in 0..200 {
            served(&gateway).await;
        }
        // Of 200 calls 40 are expected at 20 %; six standard deviations are 34.
        let explored = b.calls() - before;
        assert!((least..=most).contains(&explored), "{explored} of 200 at {percent} %");
        assert!(matches!(paces(&gateway).await, [Some(_), None]));
    }
}

/// What it would need for long answers is not known; by its refusals alone it would be the quickest for those.
#[tokio::test]
async fn a_vendor_that_refuses_at_once_does_not_win() {
    for refusal in [Reply::status(500, "no"), Reply::reset_before_head()] {
        // Of 400 tokens, as answers are expected to be before one is known, this takes more than four seconds.
        let paced = Reply::stream([role()]).every(Duration::from_millis(12), 6, &delta("x"));
        let (a, b) = pair(refusal, paced.piece(finish()).done()).await;
        let gateway = gateway(&a, &b, "policy: fastest, explore_percent: 50").await;
        warm_up(&gateway).await;
        let asked = a.calls();
        for _ in 0..5 {
            assert_eq!(served(&gateway).await.as_deref(), Some("b"));
        }
        assert_eq!(a.calls(), asked);
    }
}

/// A quick beginning is nothing that a client could use.
#[tokio::test]
async fn a_vendor_that_breaks_off_does_not_win() {
    let (a, b) = pair(Reply::stream([role(), delta("x")]).then_cut(), after(SLOW)).await;
    let gateway = gateway(&a, &b, "policy: fastest, explore_percent: 50").await;
    warm_up(&gateway).await;
    let asked = a.calls();
    for _ in 0..15 {
        served(&gateway).await;
    }
    assert!(a.calls() - asked < 8, "{}", a.calls() - asked);
}

/// Price and speed by their weights: the same two vendors, one cheap and slow, the other dear and quick.
#[tokio::test]
async fn balanced_weighs_price_against_speed() {
    for (weights, winner) in [("price: 1, latency: 0", "a"), ("price: 0, latency: 1", "b")] {
        let (a, b) = pair(after(SLOW), at_once()).await;
        let policy = format!("policy: balanced, explore_percent: 50, balance: {{ {weights} }}");
        let yaml = format!(
            "upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{}\", price: {{ input: 1, output: 1 }} }}\n  b: {{ vendor: openai-compatible, base_url: \"{}\", price: {{ input: 3, output: 3 }} }}\nroutes:\n  - {{ model: smart, {policy}, targets: [a/model-a, b/model-b] }}\n",
            a.url(),
            b.url()
        );
        let gateway = Gateway::start(&yaml).await;
        warm_up(&gateway).await;
        for _ in 0..5 {
            assert_eq!(served(&gateway).await.as_deref(), Some(winner), "{weights}");
        }
    }
}

#[tokio::test]
async fn a_target_known_to_begin_too_late_is_left_out() {
    let (a, b) = pair(after(SLOW * 2), at_once()).await;
    let gateway = gateway(&a, &b, "max_first_token_ms: 300").await;
    // Nobody knows yet, and the order written holds.
    assert_eq!(served(&gateway).await.as_deref(), Some("a"));
    gateway.call_line(0).await;
    for _ in 0..3 {
        assert_eq!(served(&gateway).await.as_deref(), Some("b"));
    }
    let said = gateway.admin_post("/admin/explain", r#"{"model":"smart"}"#).await.json();
    let reason = said["excluded"][0]["reason"].as_str().unwrap_or_default();
    assert!(
        said["excluded"][0]["upstream"] == "a" && reason.contains("`max_first_token_ms` 300"),
        "{said:#}"
    );
    assert_ne!(said["candidates"], Value::Null);
}

/// Late is better than never: the bound chooses between targets, and refuses no call that none of them can keep.
#[tokio::test]
async fn when_all_begin_too_late_the_quickest_of_them_serve() {
    let (a, b) = pair(after(SLOW * 2), after(SLOW)).await;
    let gateway = gateway(&a, &b, "max_first_token_ms: 50").await;
    for (call, upstream) in ["a", "b", "b", "b"].into_iter().enumerate() {
        assert_eq!(served(&gateway).await.as_deref(), Some(upstream), "call {call}");
        gateway.call_line(call).await;
    }
}
