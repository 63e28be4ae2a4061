//! What vendors say of their limits, in headers and bodies, decides which key and which upstream is asked next.

use serde_json::json;

use crate::support::{Gateway, Reply, Vendor, delta, finish, over, role, until};

fn two_keys(vendor: &Vendor) -> String {
    let url = vendor.url();
    format!("upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{url}\", keys: [k-0, k-1] }}\n")
}

fn keys_shown(vendor: &Vendor) -> Vec<String> {
    vendor.seen().iter().map(|it| it.header("authorization").unwrap_or("none").to_owned()).collect()
}

fn used_up(reset: &str) -> Reply {
    Reply::chat("ok")
        .header("x-ratelimit-limit-requests", "60")
        .header("x-ratelimit-remaining-requests", "0")
        .header("x-ratelimit-reset-requests", reset)
}

/// The key answered well and said that it was its last call: the next one with it would be a 429 for sure.
#[tokio::test]
async fn a_key_that_says_it_is_used_up_rests_until_its_reset_without_a_429() {
    let a = Vendor::with([used_up("400ms")]).await;
    a.otherwise(Reply::chat("ok"));
    let gateway = Gateway::start(&two_keys(&a)).await;
    for _ in 0..3 {
        assert_eq!(gateway.chat("a/m").await.status, 200);
    }
    assert_eq!(keys_shown(&a), ["Bearer k-0", "Bearer k-1", "Bearer k-1"]);
    until("the first key's return", || async {
        gateway.chat("a/m").await;
        keys_shown(&a)[1..].contains(&"Bearer k-0".to_owned())
    })
    .await;
    assert_eq!(gateway.metric("tollgate_attempts_total", &[("outcome", "rate_limited")]).await, 0.0);
}

#[tokio::test]
async fn a_streams_head_says_as_much() {
    let anthropic = Reply::stream([role(), delta("ok"), finish()])
        .done()
        .header("anthropic-ratelimit-requests-limit", "50")
        .header("anthropic-ratelimit-requests-remaining", "0")
        .header("anthropic-ratelimit-requests-reset", "2099-01-01T00:00:00Z");
    let a = Vendor::with([anthropic]).await;
    a.otherwise(Reply::chat("ok"));
    let gateway = Gateway::start(&two_keys(&a)).await;
    gateway.stream("a/m").await;
    assert_eq!(gateway.upstream("a").await["keys"], json!(["cooling", "usable"]));
}

/// The last key's word sends calls elsewhere; where there is no elsewhere, a hint is no reason to refuse.
#[tokio::test]
async fn an_upstream_that_is_used_up_is_passed_over_and_a_lone_one_is_not() {
    let a = Vendor::with([used_up("1h"), Reply::chat("from a")]).await;
    let b = Vendor::start().await;
    b.otherwise(Reply::chat("from b"));
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("a", "1"));
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "1"));
    assert_eq!(gateway.chat("a/model-a").await.served_by(), ("a", "1"));
}

/// A key of which little is left gets part of its turns: with a fiftieth left, about a fifth.
#[tokio::test]
async fn a_key_near_its_limit_is_used_less() {
    let scarce = Reply::chat("ok")
        .header("x-ratelimit-limit-tokens", "1000")
        .header("x-ratelimit-remaining-tokens", "20")
        .header("x-ratelimit-reset-tokens", "6m0s");
    let a = Vendor::with([scarce]).await;
    a.otherwise(Reply::chat("ok"));
    let gateway = Gateway::start(&two_keys(&a)).await;
    gateway.chat("a/m").await;
    // The answers behind it state nothing, so that what the first one stated holds.
    for _ in 0..300 {
        assert_eq!(gateway.chat("a/m").await.status, 200);
    }
    let used = keys_shown(&a)[1..].iter().filter(|it| *it == "Bearer k-0").count();
    // 150 turns, of which it takes a fifth: 30 expected, six standard deviations are 29.
    assert!((1..=60).contains(&used), "{used}");
}

/// Gemini names its wait in the body alone.
#[tokio::test]
async fn googles_retry_info_is_kept_and_told_to_the_client() {
    let said = r#"[{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.4s"}]}}]"#;
    let a = Vendor::start().await;
    a.otherwise(Reply::json(429, said));
    let gateway = Gateway::start(&two_keys(&a)).await;
    let answer = gateway.chat("a/m").await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("35")));
    assert_eq!(answer.header("retry-after-ms"), Some("34400"));
    assert_eq!(gateway.upstream("a").await["keys"], json!(["cooling", "cooling"]));
}

#[tokio::test]
async fn a_429_without_a_wait_waits_for_the_limit_that_is_used_up() {
    let limited = Reply::status(429, "slow down")
        .header("x-ratelimit-remaining-requests", "7")
        .header("x-ratelimit-reset-requests", "1h")
        .header("x-ratelimit-remaining-tokens", "0")
        .header("x-ratelimit-reset-tokens", "7.5s");
    let a = Vendor::with([limited]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    assert_eq!(gateway.chat("smart").await.header("retry-after"), Some("8"));
}

/// OpenAI names a wait of a second and a limit that is full again in minutes: the key may be used after the second.
#[tokio::test]
async fn a_429s_own_wait_counts_and_not_the_time_until_its_limit_is_full() {
    let limited = Reply::status(429, "slow down")
        .header("retry-after-ms", "150")
        .header("x-ratelimit-limit-tokens", "1000")
        .header("x-ratelimit-remaining-tokens", "0")
        .header("x-ratelimit-reset-tokens", "6m0s");
    let a = Vendor::with([limited]).await;
    a.otherwise(Reply::chat("from a"));
    let b = Vendor::start().await;
    b.otherwise(Reply::chat("from b"));
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"));
    until("the return of a", || async { gateway.chat("smart").await.served_by().0 == "a" }).await;
}

/// Neither is a fault of the vendor, nor would a retry help: the answer is the vendor's, and its code is there.
#[tokio::test]
async fn a_prompt_too_long_and_content_not_served_are_told_apart_and_passed_on() {
    for (said, outcome, code) in [
        (
            r#"{"error":{"message":"prompt is too long: 9 tokens > 8 maximum","type":"t"}}"#,
            "context_length",
            None,
        ),
        (
            r#"{"error":{"message":"no","type":"t","code":"content_policy_violation"}}"#,
            "content_filter",
            Some("content_policy_violation"),
        ),
    ] {
        let a = Vendor::with([Reply::json(400, said)]).await;
        let b = Vendor::start().await;
        let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
        let answer = gateway.chat("smart").await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (400, said));
        assert_eq!(answer.error()["code"].as_str(), code);
        assert_eq!(gateway.metric("tollgate_attempts_total", &[("outcome", outcome)]).await, 1.0);
        assert_eq!(gateway.call_line(0).await["level"], "INFO");
    }
}
