//! A second target asked beside one whose answer is late (`hedge`): the quicker answer is the client's, the other is left.

use std::time::Duration;

use serde_json::Value;

use crate::support::client::chat_body;
use crate::support::{DONE, Gate, Gateway, Reply, Vendor, delta, finish, role, until};

const SOON: &str = "{ after_ms: 60 }";
const NEVER: &str = "{ after_ms: 600000 }";

/// Three times [`SOON`]: an answer that takes so long would have been hedged.
const LATE: Duration = Duration::from_millis(180);

/// The route `smart` over these vendors, named `a`, `b` …, with this rule. `more` is appended.
async fn hedged(vendors: &[&Vendor], hedge: &str, more: &str) -> Gateway {
    Gateway::start(&hedging(vendors, hedge, more)).await
}

fn hedging(vendors: &[&Vendor], hedge: &str, more: &str) -> String {
    let names = ["a", "b", "c"];
    let mut yaml = String::from("upstreams:\n");
    for (name, vendor) in names.iter().zip(vendors) {
        yaml += &format!("  {name}: {{ vendor: openai-compatible, base_url: \"{}\" }}\n", vendor.url());
    }
    let targets: Vec<_> = names[..vendors.len()].iter().map(|it| format!("{it}/m")).collect();
    yaml += &format!("routes:\n  - {{ model: smart, targets: [{}], hedge: {hedge} }}\n", targets.join(", "));
    yaml + more
}

async fn hedges(gateway: &Gateway, upstream: &str, result: &str) -> f64 {
    let labels = [("route", "smart"), ("upstream", upstream), ("result", result)];
    gateway.metric("tollgate_hedges_total", &labels).await
}

/// The attempts of a call that its client saw nothing of, in order.
fn unseen(line: &Value) -> Vec<String> {
    let failed = line["failed"].as_array().cloned().unwrap_or_default();
    let shown =
        |it: &Value| format!("{}:{}", it["upstream"].as_str().unwrap(), it["error"].as_str().unwrap());
    failed.iter().map(shown).collect()
}

fn events(text: &str) -> Vec<String> {
    vec![role(), delta(text), finish()]
}

/// A stream whose content takes [`LATE`].
fn late_stream(text: &str) -> Reply {
    Reply::stream([role()]).every(LATE, 1, &delta(text)).piece(finish()).done()
}

#[tokio::test]
async fn when_the_first_hangs_the_second_answers_and_the_first_is_hung_up_on() {
    let (a, b) = (Vendor::with([Reply::hang()]).await, Vendor::with([Reply::chat("from b")]).await);
    let gateway = hedged(&[&a, &b], SOON, "circuit: { failures: 1 }\n").await;
    let answer = gateway.chat("smart").await;
    assert_eq!((answer.content().as_str(), answer.served_by()), ("from b", ("b", "2")));
    a.client_gone(0).await;
    let line = gateway.call_line(0).await;
    assert_eq!((unseen(&line), &line["upstream"]), (vec!["a:hedged".to_owned()], &"b".into()), "{line}");
    assert_eq!((&line["failed"][0]["sent"], &line["level"]), (&true.into(), &"INFO".into()), "{line}");
    assert!(line["failed"][0]["ms"].as_f64().unwrap() >= 60.0, "{line}");
    assert_eq!(hedges(&gateway, "b", "won").await, 1.0);
    // It was late, not at fault.
    assert_eq!(gateway.upstream("a").await["circuit"], "closed");
    assert_eq!(gateway.metric("tollgate_attempts_total", &[("upstream", "a")]).await, 0.0);
    assert_eq!(gateway.metric("tollgate_failovers_total", &[]).await, 0.0);
}

/// A head, a role and comments are no content: the second is asked, and not a byte of the first is seen.
#[tokio::test]
async fn a_stream_without_content_is_late_and_leaves_no_byte_behind() {
    let a = Vendor::with([Reply::stream([role(), ": FROM-A\n\n".to_owned()]).then_stall()]).await;
    let b = Vendor::with([Reply::stream(events("from b")).done()]).await;
    let gateway = hedged(&[&a, &b], SOON, "").await;
    let answer = gateway.stream("smart").await;
    assert_eq!(answer.text(), events("from b").concat() + DONE);
    assert_eq!(answer.served_by(), ("b", "2"));
    a.client_gone(0).await;
}

/// The second one holds its stream until content, too: a quick role must not win over an answer.
#[tokio::test]
async fn the_first_may_still_win_and_then_the_second_is_hung_up_on() {
    let gate = Gate::new();
    let a = Vendor::with([Reply::stream([role()]).gate(&gate).pieces(events("from a")).done()]).await;
    let b = Vendor::with([Reply::stream([role()]).then_stall()]).await;
    let gateway = hedged(&[&a, &b], SOON, "").await;
    let (answer, ()) = tokio::join!(gateway.stream("smart"), async {
        b.request(0).await;
        gate.open();
    });
    assert_eq!(answer.text(), role() + &events("from a").concat() + DONE);
    assert_eq!(answer.served_by(), ("a", "2"));
    b.client_gone(0).await;
    let line = gateway.call_line(0).await;
    assert_eq!((unseen(&line), &line["upstream"]), (vec!["b:hedged".to_owned()], &"a".into()), "{line}");
    assert_eq!(hedges(&gateway, "b", "lost").await, 1.0);
}

#[tokio::test]
async fn an_answer_in_time_is_asked_for_once() {
    let (a, b) = (Vendor::with([Reply::chat("from a")]).await, Vendor::start().await);
    a.expect(late_stream("from a"));
    let gateway = hedged(&[&a, &b], NEVER, "").await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("a", "1"));
    assert_eq!(gateway.stream("smart").await.served_by(), ("a", "1"));
}

#[tokio::test]
async fn a_failure_of_one_waits_for_the_other() {
    for first_fails in [true, false] {
        let (gate_a, gate_b) = (Gate::new(), Gate::new());
        let (reply_a, reply_b) = match first_fails {
            true => (Reply::status(503, "busy"), Reply::chat("from b")),
            false => (Reply::chat("from a"), Reply::status(503, "busy")),
        };
        let a = Vendor::with([reply_a.gate_first(&gate_a)]).await;
        let b = Vendor::with([reply_b.gate_first(&gate_b)]).await;
        let c = Vendor::start().await;
        let gateway = hedged(&[&a, &b, &c], SOON, "").await;
        let (failing, other) = if first_fails { ("a", "b") } else { ("b", "a") };
        let (answer, ()) = tokio::join!(gateway.chat("smart"), async {
            gate_b.reached().await;
            if first_fails {
                gate_a.open()
            } else {
                gate_b.open()
            }
            let labels = [("upstream", failing), ("outcome", "vendor_failed")];
            until("the failure", || async {
                gateway.metric("tollgate_attempts_total", &labels).await == 1.0
            })
            .await;
            if first_fails { gate_b.open() } else { gate_a.open() }
        });
        assert_eq!((answer.content(), answer.served_by()), (format!("from {other}"), (other, "2")));
        let line = gateway.call_line(0).await;
        assert_eq!(unseen(&line), [format!("{failing}:vendor_failed")], "{line}");
        let result = if first_fails { "won" } else { "failed" };
        assert_eq!(hedges(&gateway, "b", result).await, 1.0);
        let failovers = gateway.metric("tollgate_failovers_total", &[]).await;
        assert_eq!(failovers, f64::from(u8::from(first_fails)));
    }
}

#[tokio::test]
async fn when_both_fail_the_search_goes_on_within_its_bounds() {
    let gate = Gate::new();
    let a = Vendor::with([Reply::status(503, "busy").gate_first(&gate)]).await;
    let (b, c) =
        (Vendor::with([Reply::status(503, "busy")]).await, Vendor::with([Reply::chat("from c")]).await);
    let three = hedged(&[&a, &b, &c], SOON, "").await;
    let (answer, ()) = tokio::join!(three.chat("smart"), async {
        b.request(0).await;
        gate.open();
    });
    assert_eq!((answer.content().as_str(), answer.served_by()), ("from c", ("c", "3")));
    a.expect(late_stream("from a"));
    let one = hedged(&[&a, &b], SOON, "failover: { attempts_max: 1 }\n").await;
    assert_eq!(one.stream("smart").await.served_by(), ("a", "1"));
}

/// What one vendor calls malformed the other may take; when it does not, the client hears of its mistake.
#[tokio::test]
async fn a_refusal_waits_for_the_other_as_well_and_then_decides() {
    let gate = Gate::new();
    let a = Vendor::with([Reply::status(400, "n is too big").gate_first(&gate)]).await;
    let b = Vendor::with([Reply::status(503, "busy")]).await;
    let c = Vendor::start().await;
    let gateway = hedged(&[&a, &b, &c], SOON, "").await;
    let (answer, ()) = tokio::join!(gateway.chat("smart"), async {
        b.request(0).await;
        gate.open();
    });
    assert_eq!((answer.status.as_u16(), answer.error()["message"].as_str()), (400, Some("n is too big")));
}

#[tokio::test]
async fn a_client_that_leaves_ends_both() {
    let (a, b) = (Vendor::with([Reply::hang()]).await, Vendor::with([Reply::hang()]).await);
    let gateway = hedged(&[&a, &b], SOON, "").await;
    let mut raw = gateway.raw().await;
    let body = chat_body("smart", false);
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\n";
    raw.write(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
    b.request(0).await;
    drop(raw);
    a.client_gone(0).await;
    b.client_gone(0).await;
    let line = gateway.call_line(0).await;
    assert_eq!((&line["ended"], &line["attempts"]), (&"client_gone".into(), &2.into()), "{line}");
    assert_eq!(unseen(&line), ["a:hedged"]);
}

/// Without prices there is no sum to keep to: one hedge, and then one in twenty attempts of the hour.
#[tokio::test]
async fn hedges_of_unknown_price_are_a_small_share() {
    let (a, b) = (Vendor::with([Reply::hang()]).await, Vendor::with([Reply::chat("from b")]).await);
    let gateway = hedged(&[&a, &b], SOON, "").await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"));
    a.expect(late_stream("from a"));
    assert_eq!(gateway.stream("smart").await.served_by(), ("a", "1"), "the next one waits");
    for _ in 3..40 {
        a.expect(Reply::chat("quick"));
        gateway.chat("smart").await;
    }
    a.expect(Reply::hang());
    b.expect(Reply::chat("from b"));
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"), "the fortieth may again");
}

/// With prices the sum of an hour decides, however many calls there are: what is free is always hedged, what is dear never.
#[tokio::test]
async fn hedges_of_known_price_keep_to_the_money_of_an_hour() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    let with_price = |usd: &str| {
        let upstream = |name: &str, vendor: &Vendor| {
            let url = vendor.url();
            format!(
                "  {name}: {{ vendor: openai-compatible, base_url: \"{url}\", price: {{ input: {usd}, output: {usd} }} }}\n"
            )
        };
        let upstreams = upstream("a", &a) + &upstream("b", &b);
        let hedge = "hedge: { after_ms: 60, usd_per_hour_max: 0.5 }";
        format!("upstreams:\n{upstreams}routes:\n  - {{ model: smart, targets: [a/m, b/m], {hedge} }}\n")
    };
    let free = Gateway::start(&with_price("0")).await;
    for _ in 0..3 {
        a.expect(Reply::hang());
        b.expect(Reply::chat("from b"));
        assert_eq!(free.chat("smart").await.served_by(), ("b", "2"));
    }
    let dear = Gateway::start(&with_price("100000")).await;
    a.expect(late_stream("from a"));
    assert_eq!(dear.stream("smart").await.served_by(), ("a", "1"));
}

/// What the slower one may have cost is on the retry bill: the vendor had the prompt.
#[tokio::test]
async fn the_loser_is_on_the_retry_bill() {
    let (a, b) = (Vendor::with([Reply::hang()]).await, Vendor::with([Reply::chat("from b")]).await);
    let upstream = |name: &str, vendor: &Vendor| {
        let url = vendor.url();
        format!(
            "  {name}: {{ vendor: openai-compatible, base_url: \"{url}\", price: {{ input: 5, output: 5 }} }}\n"
        )
    };
    let upstreams = upstream("a", &a) + &upstream("b", &b);
    let route = format!("routes:\n  - {{ model: smart, targets: [a/m, b/m], hedge: {SOON} }}\n");
    let gateway = Gateway::start(&format!("upstreams:\n{upstreams}{route}")).await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"));
    let line = gateway.call_line(0).await;
    assert!(line["retry_cost_usd"].as_str().is_some_and(|it| it != "0"), "{line}");
    let labels = [("route", "smart"), ("upstream", "a")];
    assert!(gateway.metric("tollgate_retry_cost_usd_total", &labels).await > 0.0);
}

#[tokio::test]
async fn no_money_and_no_second_target_in_service_is_no_hedge() {
    let (a, b) = (Vendor::with([late_stream("1")]).await, Vendor::start().await);
    let gateway = hedged(&[&a, &b], "{ after_ms: 60, usd_per_hour_max: 0 }", "").await;
    assert_eq!(gateway.stream("smart").await.served_by(), ("a", "1"));
    a.expect(late_stream("2"));
    let gateway = hedged(&[&a, &b], SOON, "").await;
    gateway.admin_post("/admin/upstreams/b/drain", "").await;
    assert_eq!(gateway.stream("smart").await.served_by(), ("a", "1"));
}

/// Only what is text or numbers is asked for twice: nobody wants two pictures painted, nor two jobs done by a vendor that
/// does not end them when it is hung up on.
#[tokio::test]
async fn what_is_more_than_text_is_not_hedged() {
    for (path, body) in [
        ("/v1/images/generations", r#"{"model":"smart","prompt":"a toll"}"#),
        ("/v1/responses", r#"{"model":"smart","input":"hi","background":true}"#),
    ] {
        let gate = Gate::new();
        let late = Reply::json(200, r#"{"id":"resp_a","data":[]}"#).gate_first(&gate);
        let (a, b) = (Vendor::with([late]).await, Vendor::start().await);
        let yaml = hedging(&[&a, &b], SOON, "sessions: { store: \"off\" }\n");
        let yaml = yaml.replace("compatible,", "compatible, dialects: [chat, responses],");
        let gateway = Gateway::start(&yaml).await;
        let (answer, ()) = tokio::join!(gateway.post(path, body), async {
            gate.reached().await;
            // A chat beside it is hedged, and by then this would have been, too.
            a.expect(Reply::hang());
            b.expect(Reply::chat("from b"));
            assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"));
            gate.open();
        });
        assert_eq!(answer.served_by(), ("a", "1"), "{path}");
    }
}

/// Late is what is late for that target: nothing is known of it before twenty answers.
#[tokio::test]
async fn without_a_set_time_the_targets_own_answers_say_what_is_late() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    let gateway = hedged(&[&a, &b], "{}", "").await;
    let explained = || async {
        gateway.admin_post("/admin/explain", r#"{"model":"smart"}"#).await.json()["hedge"].clone()
    };
    for _ in 0..20 {
        assert_eq!(explained().await["whole_after_ms"], Value::Null);
        a.expect(Reply::chat("quick"));
        assert_eq!(gateway.chat("smart").await.served_by(), ("a", "1"));
    }
    let known = explained().await;
    assert!(known["whole_after_ms"].as_f64().is_some_and(|it| it > 0.0 && it < 10_000.0), "{known}");
    assert_eq!(known["stream_after_ms"], Value::Null, "whole answers say nothing of streams");
    a.expect(Reply::hang());
    b.expect(Reply::chat("from b"));
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"));
}

/// Its trial was given up instead, so that a vendor that hangs was tried again with every call.
#[tokio::test]
async fn a_trial_that_comes_too_late_is_one_that_failed() {
    let (a, b) = (Vendor::with([Reply::status(503, "busy"), Reply::hang()]).await, Vendor::start().await);
    b.otherwise(Reply::chat("from b"));
    let gateway = hedged(&[&a, &b], SOON, "circuit: { failures: 1, open_ms: 2000 }\n").await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"));
    let circuit = async || gateway.upstream("a").await["circuit"].clone();
    until("a half-open circuit", async || circuit().await == "half_open").await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"));
    a.client_gone(1).await;
    assert_eq!(circuit().await, "open");
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "1"));
}
