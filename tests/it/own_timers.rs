//! Timers of one upstream: they bound its attempts, and nobody else's.

use std::time::Duration;

use crate::support::{DONE, Gateway, Reply, Vendor, delta, finish};

/// `a` with `call_ms` of its own in front of `b`, which has the usual half an hour.
async fn gateway(a: &Vendor, b: &Vendor, call_ms: u64) -> Gateway {
    let upstream = |id: &str, vendor: &Vendor, more: &str| {
        format!("  {id}: {{ vendor: openai-compatible, base_url: \"{}\"{more} }}\n", vendor.url())
    };
    let own = format!(", timeouts: {{ call_ms: {call_ms} }}");
    let yaml = upstream("a", a, &own) + &upstream("b", b, "");
    Gateway::start(&format!("upstreams:\n{yaml}routes:\n  - {{ model: smart, targets: [a, b] }}\n")).await
}

/// It was read and then forgotten: only the general one counted.
#[tokio::test]
async fn the_call_timer_of_an_upstream_bounds_its_attempt() {
    let half = || Reply::chunked(200, "application/json", ["{\"choices\":["]);
    let alive = half().every(Duration::from_millis(20), 10_000, " ");
    for reply in [Reply::hang(), half().then_stall(), alive] {
        let a = Vendor::with([reply]).await;
        let b = Vendor::with([Reply::chat("from b")]).await;
        let gateway = gateway(&a, &b, 200).await;
        let answer = gateway.chat("smart").await;
        assert_eq!((answer.content().as_str(), answer.served_by()), ("from b", ("b", "2")));
        let failed = gateway.call_line(0).await["failed"][0].clone();
        assert_eq!((&failed["upstream"], &failed["error"]), (&"a".into(), &"timeout".into()), "{failed}");
        a.client_gone(0).await;
    }
}

#[tokio::test]
async fn alone_it_is_named_to_the_client() {
    let (a, b) = (Vendor::with([Reply::hang()]).await, Vendor::start().await);
    let gateway = gateway(&a, &b, 200).await;
    let answer = gateway.chat("a/m").await;
    assert_eq!((answer.status.as_u16(), answer.error()["code"].as_str()), (504, Some("upstream_timeout")));
    assert!(answer.text().contains("`timeouts.call_ms`"), "{}", answer.text());
}

/// A stream that has begun is bounded as well, however lively; the one of another upstream is not.
#[tokio::test]
async fn it_bounds_a_stream_that_has_begun() {
    let lively = |times| Reply::stream([delta("par")]).every(Duration::from_millis(20), times, ": alive\n\n");
    let (a, b) = (Vendor::with([lively(10_000)]).await, Vendor::start().await);
    let gateway = gateway(&a, &b, 300).await;
    let text = gateway.stream("smart").await.text();
    assert!(text.contains("`timeouts.call_ms`") && !text.contains(DONE), "{text}");
    a.client_gone(0).await;
    b.expect(lively(30).piece(finish()).done());
    let text = gateway.stream("b/m").await.text();
    assert!(text.ends_with(&(finish() + DONE)), "{text}");
}

/// Time that the first upstream took is not taken from the second: its own timer begins with its own attempt.
#[tokio::test]
async fn it_begins_with_the_attempt_and_not_with_the_call() {
    let (a, b) = (Vendor::with([Reply::hang()]).await, Vendor::with([Reply::chat("unused")]).await);
    let own = |vendor: &Vendor, ms: u64| {
        format!(
            "{{ vendor: openai-compatible, base_url: \"{}\", timeouts: {{ call_ms: {ms} }} }}",
            vendor.url()
        )
    };
    let yaml = format!(
        "upstreams:\n  a: {}\n  b: {}\nroutes:\n  - {{ model: smart, targets: [a, b] }}\n",
        own(&a, 600),
        own(&b, 500)
    );
    let gateway = Gateway::start(&yaml).await;
    assert_eq!(gateway.chat("smart").await.served_by(), ("b", "2"));
}
