//! Failover is an attempt like any other: what is out of service by then is not asked, and what is on trial is asked once.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::support::{Gate, Gateway, Reply, Vendor, delta, finish, until};

/// Upstreams `a`, `b` and `c` behind the route `smart`, in this order; one failure opens `b`, for `open_ms`.
async fn gateway(a: &Vendor, b: &Vendor, c: &Vendor, open_ms: u64) -> Gateway {
    let upstream = |id: &str, vendor: &Vendor, circuit: &str| {
        format!("  {id}: {{ vendor: openai-compatible, base_url: \"{}\", {circuit} }}\n", vendor.url())
    };
    let patient = "circuit: { failures: 1000 }";
    let touchy =
        format!("circuit: {{ failures: 1, open_ms: {open_ms}, open_ms_max: 600000, slow_start_ms: 0 }}");
    let yaml = [
        "upstreams:\n".to_owned(),
        upstream("a", a, patient),
        upstream("b", b, &touchy),
        upstream("c", c, patient),
        "routes:\n  - { model: smart, targets: [a, b, c] }\n".to_owned(),
    ];
    Gateway::start(&yaml.concat()).await
}

/// Many calls at once to `smart`; comes back when all of them are at `a`, each behind a gate of its own.
async fn at_the_gates(
    gateway: &Arc<Gateway>,
    a: &Vendor,
    fail: Reply,
    count: usize,
) -> (Vec<Gate>, JoinSet<String>) {
    let gates: Vec<Gate> = (0..count).map(|_| Gate::new()).collect();
    gates.iter().for_each(|it| a.expect(fail.clone().gate_first(it)));
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let gateway = Arc::clone(gateway);
        calls.spawn(async move { gateway.chat("smart").await.served_by().0.to_owned() });
    }
    for gate in &gates {
        gate.reached().await;
    }
    (gates, calls)
}

/// All of them were planned while `b` was free for one trial. When `a` failed they went on to `b` together, and the
/// vendor that had just come back met the whole crowd.
#[tokio::test]
async fn of_many_calls_that_leave_one_vendor_a_single_one_tries_the_half_open_next() {
    for fail in [Reply::status(503, "busy"), Reply::reset_before_head()] {
        let (a, b, c) =
            (Vendor::start().await, Vendor::with([Reply::status(503, "busy")]).await, Vendor::start().await);
        c.otherwise(Reply::chat("from c"));
        let gateway = Arc::new(gateway(&a, &b, &c, 50).await);
        gateway.chat("b/m").await;
        until("a half-open circuit", async || gateway.upstream("b").await["circuit"] == "half_open").await;
        let trial = Gate::new();
        b.expect(Reply::chat("from b").gate_first(&trial));
        let (gates, mut calls) = at_the_gates(&gateway, &a, fail, 12).await;
        gates.iter().for_each(Gate::open);
        for _ in 0..11 {
            assert_eq!(calls.join_next().await.unwrap().unwrap(), "c");
        }
        trial.open();
        assert_eq!(calls.join_next().await.unwrap().unwrap(), "b");
        assert_eq!(b.calls(), 2, "the failure and the trial");
        gateway.event_line("circuit_closed").await;
    }
}

/// The plan of a call is as old as its first attempt, which may have taken minutes.
#[tokio::test]
async fn a_target_that_went_out_of_service_meanwhile_is_skipped() {
    for out in ["circuit", "drained", "key", "model"] {
        let (a, b, c) = (Vendor::start().await, Vendor::start().await, Vendor::start().await);
        c.expect(Reply::chat("from c"));
        let gateway = Arc::new(gateway(&a, &b, &c, 600_000).await);
        let (gates, mut calls) = at_the_gates(&gateway, &a, Reply::status(503, "busy"), 1).await;
        let missing =
            r#"{"error":{"message":"unknown model","type":"t","param":null,"code":"model_not_found"}}"#;
        match out {
            "circuit" => b.expect(Reply::status(503, "busy")),
            "key" => b.expect(Reply::status(401, "bad key")),
            "model" => b.expect(Reply::json(404, missing)),
            _ => {
                gateway.admin_post("/admin/upstreams/b/drain", "").await;
            }
        }
        let asked = usize::from(out != "drained");
        if asked > 0 {
            gateway.chat("b/smart").await;
        }
        gates[0].open();
        assert_eq!(calls.join_next().await.unwrap().unwrap(), "c", "{out}");
        assert_eq!(b.calls(), asked, "{out}");
        let failed = gateway.wait_for_log(|it| it["event"] == "call" && it["upstream"] == "c").await;
        assert_eq!(failed["failed"].as_array().unwrap().len(), 1, "{out}: {failed}");
    }
}

/// A stream on trial decides by its first content; until then nobody else is let through.
#[tokio::test]
async fn a_stream_on_trial_decides_with_its_first_content() {
    let (a, c) = (Vendor::start().await, Vendor::start().await);
    a.otherwise(Reply::status(503, "busy"));
    c.otherwise(Reply::chat("from c"));
    let (content, end) = (Gate::new(), Gate::new());
    let trial = Reply::stream([": thinking\n\n"]).gate(&content).piece(delta("back")).gate(&end);
    let b =
        Vendor::with([Reply::status(503, "busy"), trial.piece(finish()).done(), Reply::chat("from b")]).await;
    let gateway = gateway(&a, &b, &c, 50).await;
    gateway.chat("b/m").await;
    until("a half-open circuit", async || gateway.upstream("b").await["circuit"] == "half_open").await;
    let meanwhile = async {
        content.reached().await;
        assert_eq!(gateway.chat("smart").await.served_by().0, "c");
        assert_eq!(gateway.upstream("b").await["circuit"], "half_open");
        content.open();
    };
    let (mut stream, ()) = tokio::join!(gateway.open_stream("smart"), meanwhile);
    stream.read_until("back").await;
    gateway.event_line("circuit_closed").await;
    assert_eq!(gateway.chat("smart").await.served_by().0, "b");
    end.open();
    assert!(stream.rest().await.text().ends_with("data: [DONE]\n\n"));
}
