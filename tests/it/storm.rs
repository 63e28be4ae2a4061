//! Vendors that fail for a while, all at once or by turns: how much they are asked in vain, and how they come back.

use std::time::Duration;

use crate::support::{Gate, Gateway, Reply, Vendor, over, within};

const DOWN: fn() -> Reply = || Reply::status(529, "overloaded");

/// So many calls of the route `smart`, a few at a time; how many got no answer.
async fn failed_of(gateway: &Gateway, calls: usize) -> usize {
    const AT_ONCE: usize = 8;
    let one = || async { usize::from(gateway.chat("smart").await.status != 200) };
    let mut failed = 0;
    for _ in 0..calls / AT_ONCE {
        let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
        let (e, f, g, h) = tokio::join!(one(), one(), one(), one());
        failed += a + b + c + d + e + f + g + h;
    }
    failed
}

/// F17: every call was tried at every vendor, and while all were out each call was a probe of its own.
#[tokio::test]
async fn a_storm_at_every_vendor_meets_no_more_than_budget_and_probes() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    for vendor in [&a, &b] {
        vendor.otherwise(DOWN());
    }
    let more = "circuit: { failures: 5, open_ms: 600000, open_ms_max: 600000 }\nfailover: { retry_share_percent: 20, retry_floor: 2 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    let begun = std::time::Instant::now();
    assert_eq!(failed_of(&gateway, 400).await, 400);
    let refilled = 1 + begun.elapsed().as_secs() as usize / 5;
    // What opens a circuit, what was under way when it did, and the floor. The circuits' time-out is not over yet.
    let most = 5 + 8 + 2 + refilled;
    for vendor in [&a, &b] {
        assert!(vendor.calls() <= most, "{} calls, at most {most}", vendor.calls());
    }
    assert!(gateway.metric("tollgate_retries_refused_total", &[]).await > 300.0);
    let answer = gateway.chat("smart").await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert!(answer.text().contains("retry budget is used up"), "{}", answer.text());
    let said = gateway.admin_post("/admin/explain", r#"{"model":"smart"}"#).await.text();
    assert!(said.contains("budget for them is used up"), "{said}");
}

/// Rate limits open no circuit, so that every call went on from one vendor that had told it to wait to the other.
#[tokio::test]
async fn vendors_that_all_told_to_wait_are_not_tried_one_after_the_other_by_every_call() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    for vendor in [&a, &b] {
        vendor.otherwise(Reply::status(429, "slow down").header("retry-after", "30"));
    }
    let more = "failover: { retry_share_percent: 20, retry_floor: 2 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    let begun = std::time::Instant::now();
    assert_eq!(failed_of(&gateway, 200).await, 200);
    let refilled = 1 + begun.elapsed().as_secs() as usize / 5;
    // What was under way when the second vendor said so, and the floor.
    let most = 8 + 2 + refilled;
    assert!(b.calls() <= most, "{} calls, at most {most}", b.calls());
    let answer = gateway.chat("smart").await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("30")));
}

/// Where nobody else is, every third call that succeeds is worth the two that do not: no budget stands in their way until
/// none succeeds any more.
#[tokio::test]
async fn a_lone_vendor_that_fails_in_part_is_asked_until_it_fails_altogether() {
    let well = || Reply::chat("from a");
    let a =
        Vendor::with([DOWN(), well(), DOWN(), DOWN(), DOWN(), DOWN(), well(), DOWN(), DOWN(), well()]).await;
    a.otherwise(DOWN());
    let more = "circuit: { failures: 2, open_ms: 600000, open_ms_max: 600000 }\nfailover: { retry_share_percent: 0, retry_floor: 0 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url())], more)).await;
    let mut served = 0;
    for _ in 0..10 {
        served += usize::from(gateway.chat("smart").await.status == 200);
    }
    assert_eq!((served, a.calls()), (3, 10));
    let refused = || gateway.metric("tollgate_retries_refused_total", &[]);
    assert_eq!(refused().await, 0.0);
    crate::support::until("a refusal", || async {
        gateway.chat("smart").await;
        refused().await > 0.0
    })
    .await;
}

/// With the time-out over, one call finds out for all.
#[tokio::test]
async fn a_storm_that_lasts_meets_one_probe_a_time_out() {
    let a = Vendor::start().await;
    a.otherwise(DOWN());
    let b = Vendor::start().await;
    b.otherwise(Reply::chat("from b"));
    let more = "circuit: { failures: 5, open_ms: 200, open_ms_max: 600000 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    let begun = std::time::Instant::now();
    assert_eq!(failed_of(&gateway, 800).await, 0);
    // Time-outs of 200, 400, 800 ms … fit into the time that has passed.
    let time_outs = (begun.elapsed().as_millis() as usize / 200 + 1).ilog2() as usize + 1;
    assert!(a.calls() <= 5 + 8 + time_outs, "{} calls and {time_outs} time-outs", a.calls());
}

/// F18: the other vendor answers for the one that fails every other call.
#[tokio::test]
async fn a_vendor_that_fails_half_its_calls_costs_clients_nothing() {
    let a = Vendor::start().await;
    for turn in 0..400 {
        a.expect(if turn % 2 == 0 { Reply::chat("from a") } else { Reply::status(500, "no") });
    }
    a.otherwise(Reply::status(500, "no"));
    let b = Vendor::start().await;
    b.otherwise(Reply::chat("from b"));
    let more = "circuit: { open_ms: 50 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    let failed = failed_of(&gateway, 2_000).await;
    assert!(failed <= 2, "{failed} of 2,000");
    let asked = a.calls();
    assert!(asked < 1_000, "its share falls: {asked} of 2,000");
    // What the test did not need of the script.
    while a.calls() < 400 {
        gateway.chat("a/model-a").await;
    }
}

/// A healthy vendor takes over whatever comes, also all at once: a budget must not stand in its way.
#[tokio::test]
async fn a_healthy_vendor_takes_over_more_calls_at_once_than_any_budget() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    a.otherwise(DOWN());
    let gate = Gate::new();
    b.expect(Reply::chat("from b").gate_first(&gate));
    b.otherwise(Reply::chat("from b"));
    let more = "circuit: { failures: 1000, calls_min: 1000 }\nfailover: { retry_share_percent: 0, retry_floor: 0 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    let slow = async { assert_eq!(gateway.chat("smart").await.status, 200) };
    let others = async {
        gate.reached().await;
        assert_eq!(failed_of(&gateway, 80).await, 0);
        gate.open();
    };
    tokio::join!(slow, others);
    assert_eq!(gateway.metric("tollgate_retries_refused_total", &[]).await, 0.0);
}

#[tokio::test]
async fn a_failure_that_passes_is_tried_again_at_the_same_vendor_where_that_is_wished() {
    let again = "failover: { same_upstream_retries: 2, backoff_ms: 1 }\n";
    for failure in
        [DOWN(), Reply::reset_before_head(), Reply::status(429, "slow").header("retry-after-ms", "120")]
    {
        let a = Vendor::with([failure.clone(), Reply::chat("from a")]).await;
        let gateway = Gateway::start(&over(&[("a", &a.url())], again)).await;
        let answer = gateway.chat("smart").await;
        assert_eq!((answer.status.as_u16(), answer.served_by()), (200, ("a", "2")), "{}", answer.text());
        let a = Vendor::with([failure]).await;
        let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
        assert_ne!(gateway.chat("smart").await.status, 200, "and not where it is not");
    }
    let a = Vendor::with([DOWN(), DOWN(), DOWN()]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], again)).await;
    assert_eq!(gateway.chat("smart").await.status, 529);
}

#[tokio::test]
async fn what_will_not_pass_in_time_is_answered_at_once() {
    let again = "failover: { same_upstream_retries: 5, backoff_ms: 1, backoff_ms_max: 5000 }\n";
    for (failure, status) in [
        (Reply::status(429, "slow down").header("retry-after", "6"), 429),
        (Reply::status(503, "down").header("retry-after", "6"), 503),
        (Reply::status(400, "wrong"), 400),
    ] {
        let a = Vendor::with([failure]).await;
        let gateway = Gateway::start(&over(&[("a", &a.url())], again)).await;
        assert_eq!(gateway.chat("smart").await.status, status);
    }
    // The vendor's wait is within bounds, and behind the call's own end.
    let a = Vendor::with([Reply::status(503, "down").header("retry-after", "4")]).await;
    let brief = format!("{again}timeouts: {{ call_ms: 3000 }}\n");
    let gateway = Gateway::start(&over(&[("a", &a.url())], &brief)).await;
    let begun = std::time::Instant::now();
    let answer = gateway.chat("smart").await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("4")));
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_wait_for_another_try() {
    let a = Vendor::with([Reply::status(503, "down").header("retry-after", "5")]).await;
    let again = "failover: { same_upstream_retries: 1 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url())], again)).await;
    let leaving = async {
        a.request(0).await;
        // The answer came and the wait began as soon as the failure was counted.
        crate::support::until("the failure", || async {
            gateway.metric("tollgate_attempts_total", &[("outcome", "vendor_failed")]).await == 1.0
        })
        .await;
    };
    tokio::select! {
        _ = gateway.chat("smart") => panic!("nobody answers"),
        () = leaving => {}
    }
    let line = within("the end", gateway.call_line(0)).await;
    assert_eq!(line["ended"], "client_gone", "{line}");
}

/// F20: the pauses of a vendor that comes and goes grow, and clients notice nothing of it.
#[tokio::test]
async fn a_vendor_that_flaps_is_asked_less_and_less() {
    let a = Vendor::start().await;
    // Well for one call, and then down for the three that open the circuit again.
    for _ in 0..3 {
        for reply in [DOWN(), DOWN(), DOWN(), Reply::chat("from a")] {
            a.expect(reply);
        }
    }
    a.otherwise(DOWN());
    let b = Vendor::start().await;
    b.otherwise(Reply::chat("from b"));
    let more = "circuit: { failures: 3, open_ms: 20, open_ms_max: 600000, slow_start_ms: 60000 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    let mut pauses = Vec::new();
    for round in 1..=3 {
        // Down: asked by the target's own name, for the plan spares it during its slow start.
        while a.calls() < 4 * round - 1 {
            gateway.chat("a/model-a").await;
        }
        let opened = std::time::Instant::now();
        while a.calls() < 4 * round {
            assert_eq!(gateway.chat("smart").await.status, 200);
        }
        pauses.push(opened.elapsed());
    }
    assert!(pauses[1] >= Duration::from_millis(38) && pauses[2] >= Duration::from_millis(78), "{pauses:?}");
}

/// F19: a vendor that came back was met by all calls at once, and fell over again. Its share of the calls grows instead.
#[tokio::test]
async fn a_vendor_that_recovers_gets_a_share_that_grows() {
    let a = Vendor::with([DOWN()]).await;
    a.otherwise(Reply::chat("from a"));
    let b = Vendor::start().await;
    b.otherwise(Reply::chat("from b"));
    let more = "circuit: { failures: 1, open_ms: 20, open_ms_max: 600000, slow_start_ms: 1200 }\n";
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    while a.calls() < 2 {
        assert_eq!(gateway.chat("smart").await.status, 200);
    }
    let closed = std::time::Instant::now();
    // Calls by quarters of the slow start, and how many of them a served. How many there are is the machine's affair.
    let mut quarters = [(0_u32, 0_u32); 4];
    loop {
        let quarter = closed.elapsed().as_millis() as usize / 300;
        if quarter >= quarters.len() {
            break;
        }
        let answer = gateway.chat("smart").await;
        assert_eq!(answer.status, 200, "no burst of errors");
        quarters[quarter].0 += 1;
        quarters[quarter].1 += u32::from(answer.served_by().0 == "a");
    }
    // Expected are an eighth and seven eighths.
    let share = |(all, own): (u32, u32)| f64::from(own) / f64::from(all.max(1));
    let (first, last) = (share(quarters[0]), share(quarters[3]));
    assert!(first < 0.4 && last > 0.6, "{quarters:?}");
    for _ in 0..10 {
        assert_eq!(gateway.chat("smart").await.served_by(), ("a", "1"), "the full share");
    }
}
