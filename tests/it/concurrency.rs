//! Caps on the calls that an upstream is sent at once: never more, and whoever finds no place goes on or is told soon.

use std::time::{Duration, Instant};

use crate::support::{Answer, Gate, Gateway, Reply, Vendor, delta, finish, role, until};

/// Upstream `a` with these caps, upstream `b` without, and the routes `alone` and `both`.
fn capped(a: &Vendor, b: &Vendor, caps: &str) -> String {
    format!(
        "upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{}\", keys: [k-0, k-1], concurrency: {caps} }}\n  b: {{ vendor: openai-compatible, base_url: \"{}\" }}\nroutes:\n  - {{ model: alone, targets: [a/m] }}\n  - {{ model: both, targets: [a/m, b/m] }}\n",
        a.url(),
        b.url()
    )
}

/// So many calls of the route `alone`, all at once.
async fn storm(gateway: &Gateway, calls: usize) -> Vec<Answer> {
    let mut answers = Vec::new();
    let calls: Vec<_> = (0..calls).map(|_| gateway.chat("alone")).collect();
    let mut calls: Vec<_> = calls.into_iter().map(Box::pin).collect();
    let all = std::future::poll_fn(|cx| {
        calls.retain_mut(|it| match it.as_mut().poll(cx) {
            std::task::Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            std::task::Poll::Pending => true,
        });
        if calls.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    crate::support::within("all answers", all).await;
    answers
}

/// Each of the five answers waits until the test has seen that no sixth request came.
#[tokio::test]
async fn of_twenty_calls_no_more_than_five_are_at_the_vendor_and_all_are_answered_soon() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    let gates: Vec<_> = (0..5).map(|_| Gate::new()).collect();
    for gate in &gates {
        a.expect(Reply::chat("from a").gate_first(gate));
    }
    a.otherwise(Reply::chat("from a"));
    let gateway = Gateway::start(&capped(&a, &b, "{ calls_max: 5, queue_max: 10, queue_ms: 10000 }")).await;
    let watching = async {
        for gate in &gates {
            gate.reached().await;
        }
        // Five are in, ten wait, and the other five were told at once.
        until("the queue", || async {
            let refused = gateway.metric("tollgate_requests_total", &[("status", "5xx")]).await;
            let waiting = gateway.metric("tollgate_upstream_waiting", &[("upstream", "a")]).await;
            let refused =
                refused + gateway.metric("tollgate_refused_total", &[("reason", "overloaded")]).await;
            (waiting, refused) == (10.0, 5.0)
        })
        .await;
        assert_eq!(a.calls(), 5);
        let said = gateway.admin_post("/admin/explain", r#"{"model":"alone"}"#).await.text();
        assert!(said.contains("every place at it is taken"), "{said}");
        gates.iter().for_each(Gate::open);
    };
    let (answers, ()) = tokio::join!(storm(&gateway, 20), watching);
    let served = answers.iter().filter(|it| it.status == 200).count();
    assert_eq!((served, a.calls()), (15, 15));
    for refused in answers.iter().filter(|it| it.status != 200) {
        assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("1")));
        assert_eq!(refused.error()["code"], "upstream_busy");
    }
    assert_eq!(gateway.metric("tollgate_upstream_waiting", &[("upstream", "a")]).await, 0.0);
}

#[tokio::test]
async fn who_finds_no_place_goes_to_the_next_target_at_once() {
    let (gate, b) = (Gate::new(), Vendor::start().await);
    let a = Vendor::with([Reply::chat("from a").gate_first(&gate), Reply::chat("from a")]).await;
    b.otherwise(Reply::chat("from b"));
    let gateway = Gateway::start(&capped(&a, &b, "{ calls_max: 1, queue_ms: 600000 }")).await;
    let others = async {
        gate.reached().await;
        for _ in 0..3 {
            assert_eq!(gateway.chat("both").await.served_by(), ("b", "1"));
        }
        gate.open();
    };
    let (first, ()) = tokio::join!(gateway.chat("both"), others);
    assert_eq!(first.served_by(), ("a", "1"));
    assert_eq!(gateway.chat("both").await.served_by(), ("a", "1"), "the place is free again");
}

/// The next target failed: then the first one is worth a wait.
#[tokio::test]
async fn a_full_upstream_is_waited_for_when_no_other_is_left() {
    let gate = Gate::new();
    let a = Vendor::with([Reply::chat("from a").gate_first(&gate), Reply::chat("from a")]).await;
    let b = Vendor::with([Reply::status(503, "down")]).await;
    let gateway = Gateway::start(&capped(&a, &b, "{ calls_max: 1, queue_ms: 600000 }")).await;
    let second = async {
        gate.reached().await;
        let opening = async {
            b.request(0).await;
            until("the wait", || async { gateway.metric("tollgate_upstream_waiting", &[]).await == 1.0 })
                .await;
            gate.open();
        };
        let (answer, ()) = tokio::join!(gateway.chat("both"), opening);
        assert_eq!(answer.served_by(), ("a", "2"), "{}", answer.text());
    };
    tokio::join!(async { assert_eq!(gateway.chat("both").await.status, 200) }, second);
}

/// Streaming is the load: a place is taken until the last byte, and given back when the client leaves.
#[tokio::test]
async fn a_stream_holds_its_place_until_its_end() {
    let (gate, b) = (Gate::new(), Vendor::start().await);
    let stream = Reply::stream([role(), delta("x")]).gate(&gate).piece(finish()).done();
    let a =
        Vendor::with([stream, Reply::stream([role(), delta("x")]).then_stall(), Reply::chat("from a")]).await;
    b.otherwise(Reply::chat("from b"));
    let gateway = Gateway::start(&capped(&a, &b, "{ calls_max: 1 }")).await;
    let other = async {
        gate.reached().await;
        assert_eq!(gateway.chat("both").await.served_by().0, "b");
        gate.open();
    };
    tokio::join!(gateway.stream("both"), other);
    tokio::select! {
        _ = gateway.stream("alone") => panic!("it stalls"),
        () = async {
            a.request(1).await;
            assert_eq!(gateway.chat("both").await.served_by().0, "b");
        } => {}
    }
    a.client_gone(1).await;
    assert_eq!(gateway.chat("alone").await.served_by(), ("a", "1"));
}

#[tokio::test]
async fn caps_by_key_and_by_model_hold_by_themselves() {
    for (caps, model) in [("{ per_key_max: 1 }", "a/m"), ("{ models: { m: 2 } }", "a/m")] {
        let (gates, b) = ([Gate::new(), Gate::new()], Vendor::start().await);
        let a = Vendor::with(gates.iter().map(|it| Reply::chat("from a").gate_first(it))).await;
        b.otherwise(Reply::chat("from b"));
        let gateway = Gateway::start(&capped(&a, &b, caps)).await;
        let third = async {
            for gate in &gates {
                gate.reached().await;
            }
            assert_eq!(gateway.chat("both").await.served_by().0, "b", "{caps}");
            gates.iter().for_each(Gate::open);
        };
        tokio::join!(gateway.chat(model), gateway.chat(model), third);
        let mut keys: Vec<_> =
            a.seen().iter().map(|it| it.header("authorization").unwrap().to_owned()).collect();
        keys.sort();
        assert_eq!(keys, ["Bearer k-0", "Bearer k-1"], "{caps}");
    }
}

#[tokio::test]
async fn a_wait_that_is_over_is_told_and_costs_no_attempt() {
    let (gate, b) = (Gate::new(), Vendor::start().await);
    let a = Vendor::with([Reply::chat("from a").gate_first(&gate)]).await;
    let gateway = Gateway::start(&capped(&a, &b, "{ calls_max: 1, queue_ms: 50 }")).await;
    let second = async {
        gate.reached().await;
        let begun = Instant::now();
        let answer = gateway.chat("alone").await;
        assert_eq!((answer.status.as_u16(), answer.served_by()), (503, ("-", "-")), "{}", answer.text());
        assert!(begun.elapsed() >= Duration::from_millis(50));
        gate.open();
    };
    tokio::join!(gateway.chat("alone"), second);
}

/// A reload that changes something else must not forget who is inside.
#[tokio::test]
async fn a_reload_keeps_the_places_that_are_taken() {
    let (gate, b) = (Gate::new(), Vendor::start().await);
    let a = Vendor::with([Reply::chat("from a").gate_first(&gate)]).await;
    b.otherwise(Reply::chat("from b"));
    let yaml = capped(&a, &b, "{ calls_max: 1 }");
    let gateway = Gateway::start(&yaml).await;
    let second = async {
        gate.reached().await;
        gateway.write_config(&(yaml.clone() + "usage: false\n"));
        gateway.signal("HUP");
        gateway.event_line("config_reloaded").await;
        assert_eq!(gateway.chat("both").await.served_by().0, "b");
        gate.open();
    };
    tokio::join!(gateway.chat("both"), second);
}

/// The only free place was with a key near its limit, which is used less. Calls were refused, and it stayed free.
#[tokio::test]
async fn a_key_near_its_limit_is_used_where_the_others_have_no_place() {
    let (gate, b) = (Gate::new(), Vendor::start().await);
    let scarce = Reply::chat("from a")
        .header("x-ratelimit-limit-tokens", "100000")
        .header("x-ratelimit-remaining-tokens", "1");
    let a = Vendor::with([Reply::chat("from a"), scarce, Reply::chat("from a").gate_first(&gate)]).await;
    a.otherwise(Reply::chat("from a"));
    let gateway = Gateway::start(&capped(&a, &b, "{ per_key_max: 1, queue_max: 0 }")).await;
    for _ in 0..2 {
        assert_eq!(gateway.chat("alone").await.status, 200);
    }
    let others = async {
        gate.reached().await;
        for _ in 0..6 {
            let answer = gateway.chat("alone").await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        gate.open();
    };
    tokio::join!(gateway.chat("alone"), others);
    let keys: Vec<_> = a.seen().iter().map(|it| it.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(keys[2], "Bearer k-0");
    assert!(keys[3..].iter().all(|it| it == "Bearer k-1"), "{keys:?}");
}

/// Each full target was waited for in turn, so that a refusal took as many waits as there were targets.
#[tokio::test]
async fn a_call_waits_no_longer_because_several_upstreams_are_full() {
    const QUEUE: Duration = Duration::from_millis(700);
    let (gates, mut yaml) = ([Gate::new(), Gate::new(), Gate::new()], "upstreams:\n".to_owned());
    let mut vendors = Vec::new();
    for (id, gate) in ["a", "b", "c"].into_iter().zip(&gates) {
        vendors.push(Vendor::with([Reply::chat("late").gate_first(gate)]).await);
        let (url, queue_ms) = (vendors[vendors.len() - 1].url(), QUEUE.as_millis());
        yaml += &format!(
            "  {id}: {{ vendor: openai-compatible, base_url: \"{url}\", concurrency: {{ calls_max: 1, queue_ms: {queue_ms} }} }}\n"
        );
    }
    yaml += "routes:\n  - { model: all, targets: [a/m, b/m, c/m] }\n";
    let gateway = Gateway::start(&yaml).await;
    let last = async {
        for gate in &gates {
            gate.reached().await;
        }
        let begun = Instant::now();
        let answer = gateway.chat("all").await;
        assert_eq!((answer.status.as_u16(), answer.served_by()), (503, ("-", "-")), "{}", answer.text());
        let waited = begun.elapsed();
        assert!((QUEUE..2 * QUEUE).contains(&waited), "{waited:?}");
        gates.iter().for_each(Gate::open);
    };
    tokio::join!(gateway.chat("all"), gateway.chat("all"), gateway.chat("all"), last);
}
