//! Vendors that go away, hang, and come back: what clients see of it, and how often a vendor is asked that is known to be out.

use tokio::net::TcpSocket;

use crate::support::{Gateway, Reply, Steady, Vendor, over, until};

const DOWN: fn() -> Reply = || Reply::status(503, "down");

/// A port that refuses connections until somebody listens there.
fn closed_port() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/v1", socket.local_addr().unwrap());
    (socket, url)
}

async fn failed_of(gateway: &Gateway, calls: usize) -> usize {
    let mut failed = 0;
    for _ in 0..calls {
        failed += usize::from(gateway.chat("smart").await.status != 200);
    }
    failed
}

/// F02: quick and honest refusals meanwhile, and service again without anybody's help.
#[tokio::test]
async fn both_vendors_go_away_and_come_back() {
    let ((a, a_url), (b, b_url)) = (closed_port(), closed_port());
    let more = "circuit: { failures: 3, open_ms: 100, open_ms_max: 400, slow_start_ms: 0 }\n";
    let gateway = Gateway::start(&over(&[("a", &a_url), ("b", &b_url)], more)).await;
    let begun = std::time::Instant::now();
    for _ in 0..40 {
        let answer = gateway.chat("smart").await;
        assert!([502, 503].contains(&answer.status.as_u16()), "{}", answer.status);
        assert_eq!(answer.error()["type"], "server_error", "{}", answer.text());
    }
    assert!(begun.elapsed().as_secs() < 4, "{:?} for 40 refusals", begun.elapsed());
    let _vendors = (Steady::at("from a", a.listen(64).unwrap()), Steady::at("from b", b.listen(64).unwrap()));
    until("an answer", async || gateway.chat("smart").await.status == 200).await;
    for id in ["a", "b"] {
        until("a closed circuit", async || {
            gateway.chat("smart").await;
            gateway.chat(&format!("{id}/model-{id}")).await;
            gateway.upstream(id).await["circuit"] == "closed"
        })
        .await;
    }
    assert_eq!(failed_of(&gateway, 50).await, 0);
    assert_eq!(gateway.chat("smart").await.served_by(), ("a", "1"));
}

/// F03: each of the calls that find out waits once; the others do not, and none is left hanging there.
#[tokio::test]
async fn a_vendor_that_hangs_is_found_out_by_a_few_calls_and_left_alone() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    // A fourth call would be one that nobody scripted.
    (0..3).for_each(|_| a.expect(Reply::hang()));
    b.otherwise(Reply::chat("from b"));
    let more =
        "circuit: { failures: 3, open_ms: 600000, open_ms_max: 600000 }\ntimeouts: { first_byte_ms: 60 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    for call in 0..40 {
        let tried = if call < 3 { "2" } else { "1" };
        assert_eq!(gateway.chat("smart").await.served_by(), ("b", tried), "call {call}");
    }
    for call in 0..3 {
        a.client_gone(call).await;
    }
    until("no call in flight", async || gateway.metric("tollgate_calls_in_flight", &[]).await == 0.0).await;
}

/// F20, by calls instead of seconds: down and up and down again. Clients see nothing, and less is tried each time.
#[tokio::test]
async fn a_vendor_that_comes_and_goes_costs_no_call_and_few_attempts() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    b.otherwise(Reply::chat("from b"));
    let more = "circuit: { failures: 3, open_ms: 20, open_ms_max: 600000, slow_start_ms: 60000 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    for turn in 0..16 {
        a.otherwise(if turn % 2 == 0 { DOWN() } else { Reply::chat("from a") });
        assert_eq!(failed_of(&gateway, 40).await, 0, "turn {turn}");
    }
    let of_a = [("upstream", "a"), ("outcome", "vendor_failed")];
    let wasted = gateway.metric("tollgate_attempts_total", &of_a).await;
    assert!(wasted <= 24.0, "{wasted} of 640 calls went there in vain");
}

/// However attractive it is by its price or speed, and whatever it is out for.
#[tokio::test]
async fn no_attempt_goes_to_a_target_that_is_known_to_be_out() {
    let missing = r#"{"error":{"message":"unknown model","type":"t","param":null,"code":"model_not_found"}}"#;
    let outs = || {
        [
            DOWN(),
            Reply::reset_before_head(),
            Reply::status(429, "slow down").header("retry-after", "600"),
            Reply::status(401, "bad key"),
            Reply::status(402, "no money"),
            Reply::json(404, missing),
        ]
    };
    for policy in ["priority", "cheapest", "fastest, explore_percent: 50", "balanced, explore_percent: 50"] {
        for (case, out) in outs().into_iter().enumerate() {
            // One call, which finds it out, and no other.
            let (a, b) = (Vendor::with([out]).await, Vendor::start().await);
            b.otherwise(Reply::chat("from b"));
            let more = "circuit: { failures: 1, open_ms: 600000, open_ms_max: 600000 }\n";
            let yaml = over(&[("a", &a.url()), ("b", &b.url())], more)
                .replacen("a: { ", "a: { price: { input: 0, output: 0 }, ", 1)
                .replacen("b: { ", "b: { price: { input: 1, output: 1 }, ", 1)
                .replace("model: smart,", &format!("model: smart, policy: {policy},"));
            let gateway = Gateway::start(&yaml).await;
            until("the call that finds out", async || {
                assert_eq!(gateway.chat("smart").await.status, 200, "{policy}, {case}");
                a.calls() == 1
            })
            .await;
            for _ in 0..20 {
                assert_eq!(gateway.chat("smart").await.served_by(), ("b", "1"), "{policy}, {case}");
            }
        }
    }
}
