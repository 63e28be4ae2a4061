//! Credentials that end: renewed ahead, kept while a renewal fails, never waited for by a call but the first; and never
//! told to anybody. Lives are a few seconds of real time; what happens next is said by what the desk was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Method;
use serde_json::json;
use tollgate::price::calendar;

use crate::support::desk::{Desk, field};
use crate::support::script::completion;
use crate::support::sigv4::verify;
use crate::support::{Gate, Gateway, Refusing, Reply, Vendor, until, within};

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn granted(token: &str, life_s: u64) -> (u16, String) {
    (200, json!({ "access_token": token, "expires_in": life_s }).to_string())
}

/// Upstream `a` shows tokens of an authorized user, given out at `tokens`; `b` asks for nothing. `smart` tries both.
fn yaml(a: &str, b: &str, tokens: &str) -> String {
    format!(
        "upstreams:
  a: {{ vendor: openai-compatible, base_url: \"{a}\", auth: google, google: {{ credentials_file: u.json, token_url: \"{tokens}\" }} }}
  b: {{ vendor: openai-compatible, base_url: \"{b}\" }}
routes:
  - {{ model: smart, targets: [a/m, b/m] }}
"
    )
}

const USER: (&str, &str) = (
    "u.json",
    r#"{"type":"authorized_user","client_id":"planted-client-1","client_secret":"planted-secret-2","refresh_token":"planted-refresh-3"}"#,
);

/// A vendor that serves who shows a token of the desk that has not ended: `t-<number>-<end>`.
async fn strict() -> Desk {
    Desk::start(|_, seen| {
        let token = seen.header("authorization").and_then(|it| it.strip_prefix("Bearer t-"));
        let end = token.and_then(|it| it.rsplit_once('-')?.1.parse::<u128>().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        match end.is_some_and(|it| now < it) {
            true => (200, completion("ok")),
            false => (401, r#"{"error":{"message":"the token has ended","type":"x"}}"#.into()),
        }
    })
    .await
}

#[tokio::test]
async fn tokens_are_renewed_ahead_of_their_end_and_no_call_meets_an_old_one() {
    let a = strict().await;
    let desk = Desk::start(|count, _| {
        let life = Duration::from_secs(3);
        let end = (SystemTime::now() + life).duration_since(UNIX_EPOCH).unwrap().as_millis();
        granted(&format!("t-{count}-{end}"), 3)
    })
    .await;
    let nobody = Refusing::start();
    let gateway =
        Gateway::start_among(&yaml(&a.url("/v1"), &nobody.url(), &desk.url("/t")), &[], &[USER]).await;
    let mut calls = 0;
    while desk.calls() < 3 {
        let answer = gateway.chat("a/m").await;
        assert_eq!(answer.status, 200, "call {calls}: {}", answer.text());
        calls += 1;
    }
    let shown: std::collections::BTreeSet<_> =
        a.seen().iter().map(|it| it.header("authorization").unwrap().to_owned()).collect();
    assert!(shown.len() >= 2, "calls saw the tokens change: {shown:?}");
    let renewed = [("upstream", "a"), ("result", "ok")];
    assert!(gateway.metric("tollgate_credential_renewals_total", &renewed).await >= 2.0);
    assert_eq!(gateway.upstream("a").await["circuit"], "closed");
}

#[tokio::test]
async fn access_keys_rotate_under_load_and_the_identity_is_read_anew_each_time() {
    let secret = |id: &str| id.strip_prefix("ASIA").map(|end| format!("secret-{end}"));
    let a = Desk::start(move |_, seen| {
        let signed = verify(seen, secret);
        let lives = |id: &str| {
            id[4..]
                .split('x')
                .next_back()
                .and_then(|it| it.parse::<u64>().ok())
                .is_some_and(|it| now_s() < it)
        };
        match signed {
            Ok(it) if lives(&it.key_id) => (200, completion("ok")),
            Ok(_) => (403, r#"{"message":"The security token included in the request is expired"}"#.into()),
            Err(why) => (403, json!({ "message": why }).to_string()),
        }
    })
    .await;
    let sts = Desk::start(|count, _| {
        let end = now_s() + 4;
        let (id, expires) = (format!("{count}x{end}"), calendar::describe(end));
        (200, format!("<Credentials><AccessKeyId>ASIA{id}</AccessKeyId><SecretAccessKey>secret-{id}</SecretAccessKey><SessionToken>s</SessionToken><Expiration>{expires}</Expiration></Credentials>"))
    })
    .await;
    let yaml = format!(
        "upstreams:\n  a: {{ vendor: bedrock-openai, base_url: \"{}\", region: r, aws: {{ role_arn: x, web_identity_token_file: jwt, sts_url: \"{}\" }} }}\n",
        a.url("/v1"),
        sts.url("/")
    );
    let gateway = Gateway::start_among(&yaml, &[], &[("jwt", "first")]).await;
    sts.asked(1).await;
    gateway.write_file("jwt", "second");
    let caller = async {
        while sts.calls() < 3 {
            let answer = gateway.chat("a/m").await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    };
    within("two rotations", caller).await;
    let shown: Vec<_> = sts.seen().iter().map(|it| field(it, "WebIdentityToken")).collect();
    assert_eq!(shown[..3], ["first", "second", "second"]);
}

#[tokio::test]
async fn the_first_call_waits_for_the_first_token_and_no_later_one_does() {
    let (a, gate) = (Vendor::with([Reply::chat("ok"), Reply::chat("ok")]).await, Gate::new());
    let token = json!({ "access_token": "t-1", "expires_in": 3600 }).to_string();
    let tokens = Vendor::with([Reply::json(200, token).gate_first(&gate)]).await;
    let nobody = Refusing::start();
    let gateway = Gateway::start_among(&yaml(&a.url(), &nobody.url(), &tokens.url()), &[], &[USER]).await;
    gate.reached().await;
    let mut call = Box::pin(gateway.chat("a/m"));
    // The call is under way, and nothing of it can have come to the vendor.
    let asked = until("the call", async || gateway.metric("tollgate_calls_in_flight", &[]).await == 1.0);
    tokio::select! {
        answer = &mut call => panic!("answered without a token: {}", answer.text()),
        () = asked => {}
    }
    assert_eq!(a.calls(), 0);
    gate.open();
    assert_eq!(call.await.status, 200);
    assert_eq!(a.request(0).await.header("authorization"), Some("Bearer t-1"));
    assert_eq!(gateway.chat("a/m").await.status, 200);
    assert_eq!(tokens.calls(), 1, "calls fetch nothing");
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_old_token_until_its_end_and_then_calls_go_elsewhere() {
    let a = strict().await;
    let b = Vendor::start().await;
    b.otherwise(Reply::chat("from b"));
    let mends = Arc::new(AtomicBool::new(false));
    let mended = Arc::clone(&mends);
    let desk = Desk::start(move |count, _| {
        if count > 0 && !mended.load(Relaxed) {
            return (
                503,
                r#"{"error":"temporarily_unavailable","error_description":"planted-words-4"}"#.into(),
            );
        }
        let life_s = if count == 0 { 4 } else { 3_600 };
        let end =
            (SystemTime::now() + Duration::from_secs(life_s)).duration_since(UNIX_EPOCH).unwrap().as_millis();
        granted(&format!("t-{count}-{end}"), life_s)
    })
    .await;
    let gateway = Gateway::start_among(&yaml(&a.url("/v1"), &b.url(), &desk.url("/t")), &[], &[USER]).await;
    // It fails, and the old one still serves.
    assert_eq!(gateway.chat("smart").await.served_by(), ("a", "1"));
    desk.asked(2).await;
    let failed = gateway.event_line("credentials_failed").await;
    assert_eq!((&failed["level"], &failed["upstream"]), (&"WARN".into(), &"a".into()));
    assert!(failed.to_string().contains("temporarily_unavailable"), "{failed}");
    within("the end of the token", async { while gateway.chat("smart").await.served_by().0 == "a" {} }).await;
    let answer = gateway.chat("a/m").await;
    assert_eq!((answer.status.as_u16(), &answer.error()["code"]), (502, &"upstream_auth".into()));
    assert!(answer.text().contains("`credentials_failed`"), "{}", answer.text());
    assert_eq!(answer.header("x-should-retry"), Some("true"));
    // Nothing was sent with an old token, and the upstream itself is well.
    assert!(a.seen().iter().all(|it| it.header("authorization").is_some()));
    assert_eq!(gateway.upstream("a").await["circuit"], "closed");
    desk.asked(4).await;
    mends.store(true, Relaxed);
    within("a renewal", async { while gateway.chat("smart").await.served_by().0 != "a" {} }).await;
    let warned = gateway.log_lines().iter().filter(|it| it["event"] == "credentials_failed").count();
    assert_eq!(warned, 1, "said once, not at every try");
    let failures = [("upstream", "a"), ("result", "failed")];
    assert!(gateway.metric("tollgate_credential_renewals_total", &failures).await >= 3.0);
    let all = gateway.log_lines().iter().map(ToString::to_string).collect::<String>();
    assert!(!all.contains("planted"), "{all}");
}

#[tokio::test]
async fn an_upstream_whose_credentials_never_come_is_passed_over_at_once() {
    let (a, b) = (Refusing::start(), Vendor::with([Reply::chat("from b")]).await);
    let desk = Desk::start(|_, _| (400, r#"{"error":"invalid_grant"}"#.into())).await;
    let gateway = Gateway::start_among(&yaml(&a.url(), &b.url(), &desk.url("/t")), &[], &[USER]).await;
    gateway.event_line("credentials_failed").await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"));
    assert_eq!(gateway.metric("tollgate_attempts_total", &[("outcome", "key_refused")]).await, 1.0);
}

/// A token may be taken back before its time.
#[tokio::test]
async fn a_token_that_the_upstream_refuses_is_renewed_before_its_time() {
    let a = Desk::start(|_, seen| match seen.header("authorization") {
        Some("Bearer t-0") => (401, r#"{"error":{"message":"revoked"}}"#.into()),
        _ => (200, completion("ok")),
    })
    .await;
    let nobody = Refusing::start();
    let desk = Desk::start(|count, _| granted(&format!("t-{count}"), 3_600)).await;
    let gateway =
        Gateway::start_among(&yaml(&a.url("/v1"), &nobody.url(), &desk.url("/t")), &[], &[USER]).await;
    assert_eq!(gateway.chat("a/m").await.status, 502);
    desk.asked(2).await;
    within("a new token in use", async { while gateway.chat("a/m").await.status != 200 {} }).await;
    assert_eq!(desk.calls(), 2);
}

/// Calls that showed the old token may be refused long after there is a new one.
#[tokio::test]
async fn a_late_refusal_of_an_old_token_does_not_bench_the_new_one() {
    let (slow, revoked) = (Gate::new(), r#"{"error":{"message":"revoked"}}"#);
    let a = Vendor::with([Reply::json(401, revoked).gate_first(&slow), Reply::json(401, revoked)]).await;
    a.otherwise(Reply::chat("ok"));
    let nobody = Refusing::start();
    let desk = Desk::start(|count, _| granted(&format!("t-{count}"), 3_600)).await;
    let gateway = Gateway::start_among(&yaml(&a.url(), &nobody.url(), &desk.url("/t")), &[], &[USER]).await;
    let late = async {
        slow.reached().await;
        assert_eq!(gateway.chat("a/m").await.status, 502);
        within("a new token in use", async { while gateway.chat("a/m").await.status != 200 {} }).await;
        slow.open();
    };
    let (refused_late, ()) = tokio::join!(gateway.chat("a/m"), late);
    // It is asked once more with the new one, as any call that another key may serve.
    assert_eq!((refused_late.status.as_u16(), refused_late.served_by()), (200, ("a", "2")));
    assert_eq!(gateway.chat("a/m").await.status, 200);
    assert_eq!(desk.calls(), 2, "the new one is not renewed for it");
}

/// A check that cannot be made says nothing.
#[tokio::test]
async fn an_upstream_without_a_token_is_not_taken_for_dead() {
    let a = strict().await;
    let mends = Arc::new(AtomicBool::new(false));
    let mended = Arc::clone(&mends);
    let desk = Desk::start(move |_, _| match mended.load(Relaxed) {
        true => granted(&format!("t-0-{}", u64::MAX), 3_600),
        false => (503, r#"{"error":"temporarily_unavailable"}"#.into()),
    })
    .await;
    let nobody = Refusing::start();
    let probes = "probe: { interval_ms: 100, down_after: 1, up_after: 100 }\n";
    let file = yaml(&a.url("/v1"), &nobody.url(), &desk.url("/t")) + probes;
    let gateway = Gateway::start_among(&file, &[], &[USER]).await;
    // Time for several checks: the pauses between these are longer.
    desk.asked(4).await;
    mends.store(true, Relaxed);
    within("a check with a token", a.asked(1)).await;
    assert_eq!(gateway.chat("a/m").await.status, 200);
    let down =
        gateway.log_lines().into_iter().find(|it| it["event"] == "probe_down" && it["upstream"] == "a");
    assert_eq!(down, None);
}

/// What comes in its turn may be accepted, where the first that was asked for was not.
#[tokio::test]
async fn an_upstream_that_refused_its_credentials_is_back_with_the_next_ones() {
    let a = Desk::start(|_, seen| match seen.header("authorization") {
        Some("Bearer t-0" | "Bearer t-1") => (403, r#"{"error":{"message":"no such role yet"}}"#.into()),
        _ => (200, completion("ok")),
    })
    .await;
    let nobody = Refusing::start();
    let desk = Desk::start(|count, _| granted(&format!("t-{count}"), 3)).await;
    let gateway =
        Gateway::start_among(&yaml(&a.url("/v1"), &nobody.url(), &desk.url("/t")), &[], &[USER]).await;
    within("both refusals", async { while a.calls() < 2 && gateway.chat("a/m").await.status != 200 {} })
        .await;
    within("service", async { while gateway.chat("a/m").await.status != 200 {} }).await;
    let refused = a.seen().iter().filter(|it| it.header("authorization") < Some("Bearer t-2")).count();
    assert_eq!(refused, 2, "between them it rested");
}

#[tokio::test]
async fn no_credential_is_told_to_anybody() {
    let words = "no: t-planted-token-5, planted-secret-2, planted-refresh-3";
    let a = Vendor::with([Reply::status(400, words), Reply::chat("ok")]).await;
    let nobody = Refusing::start();
    let desk = Desk::start(|_, _| granted("t-planted-token-5", 3_600)).await;
    let file = yaml(&a.url(), &nobody.url(), &desk.url("/t")) + "log: { level: debug }\n";
    let gateway = Gateway::start_among(&file, &[], &[USER]).await;
    let refused = gateway.chat("a/m").await;
    assert!(
        refused.text().contains("no: ***") && !refused.text().contains("t-planted"),
        "{}",
        refused.text()
    );
    assert_eq!(gateway.chat("a/m").await.status, 200);
    let mut outlets = vec![gateway.stderr()];
    for path in ["/metrics", "/admin/config", "/admin/upstreams"] {
        outlets.push(gateway.admin(Method::GET, path, &[], "").await.text());
    }
    outlets.extend(gateway.log_lines().iter().map(ToString::to_string));
    for text in outlets {
        assert!(!text.contains("planted"), "{text}");
    }
}
