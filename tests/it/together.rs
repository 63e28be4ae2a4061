//! What helps one call and what helps another may help the same one: hedging, continuation, shared answers and caps at once.

use crate::support::{DONE, Gate, Gateway, Open, Reply, Vendor, delta, finish, role, until};

const HELP: &str = "hedge: { after_ms: 60 }, single_flight: true, continue_cut_streams: true";

/// Vendors `a`, `b` and `c`, each with a single place, behind the route `smart` with all of [`HELP`].
async fn gateway(vendors: [&Vendor; 3], more: &str) -> Gateway {
    let mut yaml = String::from("upstreams:\n");
    for (name, vendor) in ["a", "b", "c"].iter().zip(vendors) {
        let place = "concurrency: { calls_max: 1, queue_max: 4, queue_ms: 60000 }";
        let url = vendor.url();
        yaml += &format!("  {name}: {{ vendor: openai-compatible, base_url: \"{url}\", {place} }}\n");
    }
    Gateway::start(&format!(
        "{yaml}routes:\n  - {{ model: smart, {HELP}, targets: [a/m, b/m, c/m] }}\n{more}"
    ))
    .await
}

async fn open(gateway: &Gateway) -> Open {
    let body =
        r#"{"model":"smart","temperature":0,"stream":true,"messages":[{"role":"user","content":"Tell."}]}"#;
    gateway.open_post("/v1/chat/completions", body).await
}

async fn nothing_is_held(gateway: &Gateway) {
    until("no call in flight", async || gateway.metric("tollgate_calls_in_flight", &[]).await == 0.0).await;
}

/// The first hangs, the second wins and breaks off, the third goes on; somebody else reads along from the middle on, and
/// the one that asked leaves.
#[tokio::test]
async fn a_shared_answer_is_hedged_and_continued_and_gives_every_place_back() {
    let (middle, end) = (Gate::new(), Gate::new());
    let a = Vendor::with([Reply::hang()]).await;
    let begun = [role(), delta("Once")];
    let b = Vendor::with([Reply::stream(begun.clone()).gate(&middle).piece(delta(" upon")).then_cut()]).await;
    let c = Vendor::with([Reply::stream([role(), delta(" a time")]).gate(&end).piece(finish()).done()]).await;
    let gateway = gateway([&a, &b, &c], "failover: { waiting_comment_ms: 0 }\n").await;
    let mut leader = open(&gateway).await;
    leader.read_until("Once").await;
    let mut follower = open(&gateway).await;
    follower.read_until("Once").await;
    middle.open();
    follower.read_until(": continued\n\n").await;
    end.reached().await;
    // The places of the two that were left are free again.
    a.expect(Reply::chat("from a"));
    b.expect(Reply::chat("from b"));
    assert_eq!(gateway.chat("a/m").await.content(), "from a");
    assert_eq!(gateway.chat("b/m").await.content(), "from b");
    drop(leader);
    end.open();
    let answer = follower.rest().await;
    let expected =
        begun.concat() + &delta(" upon") + ": continued\n\n" + &delta(" a time") + &finish() + DONE;
    assert_eq!(answer.text(), expected);
    nothing_is_held(&gateway).await;
    c.expect(Reply::chat("from c"));
    assert_eq!(gateway.chat("c/m").await.content(), "from c");
    let line = gateway.wait_for_log(|it| it["continued_from"] == "b").await;
    assert_eq!(
        (&line["upstream"], &line["attempts"], &line["ended"]),
        (&"c".into(), &3.into(), &"complete".into())
    );
    assert_eq!(line["failed"][0]["error"], "hedged", "{line}");
}

/// Whoever leaves while its call waits, twice over, leaves nothing behind.
#[tokio::test]
async fn a_client_that_leaves_a_wait_leaves_no_place_taken() {
    let (a, b, c) = (Vendor::start().await, Vendor::start().await, Vendor::start().await);
    for vendor in [&a, &b, &c] {
        vendor.otherwise(Reply::hang());
    }
    let soon = "failover: { waiting_comment_ms: 100 }\n";
    let gateway = gateway([&a, &b, &c], soon).await;
    let mut first = open(&gateway).await;
    first.read_until(": waiting").await;
    b.request(0).await;
    drop(first);
    nothing_is_held(&gateway).await;
    for (name, vendor) in [("a", &a), ("b", &b), ("c", &c)] {
        vendor.otherwise(Reply::chat("well"));
        assert_eq!(gateway.chat(&format!("{name}/m")).await.content(), "well");
    }
    assert_eq!(gateway.metric("tollgate_upstream_waiting", &[]).await, 0.0);
}
