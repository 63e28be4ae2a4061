//! A gateway without client keys serves this machine, and nobody's web page: what a browser can be talked into sending
//! from here is refused before it costs anything.

use http::Method;

use crate::support::client::chat_body;
use crate::support::{Answer, Gateway, Steady};

/// Without clients, and with the setting that a file without any has.
async fn gateway(vendor: &Steady, more: &str) -> Gateway {
    let url = vendor.url();
    let yaml = format!("{more}upstreams:\n  v: {{ vendor: openai-compatible, base_url: \"{url}\" }}\n");
    Gateway::start(&yaml).await
}

async fn call(gateway: &Gateway, headers: &[(&str, &str)]) -> Answer {
    let headers = [&[("content-type", "application/json")], headers].concat();
    gateway.call(Method::POST, "/v1/chat/completions", &headers, chat_body("v/m", false)).await
}

/// A call whose Host is `host`.
async fn status_for_host(gateway: &Gateway, host: &str) -> u16 {
    let body = chat_body("v/m", false);
    let length = body.len();
    let mut raw = gateway.raw().await;
    raw.write(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    ))
    .await;
    raw.rest().await[9..12].parse().unwrap()
}

/// DNS rebinding: a page's own name is made to point here, and its calls carry that name.
#[tokio::test]
async fn a_foreign_host_is_refused() {
    let vendor = Steady::start("served").await;
    let gateway = gateway(&vendor, "auth: keys\n").await;
    for host in [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "0.0.0.0",
    ] {
        assert_eq!(status_for_host(&gateway, host).await, 403, "{host}");
    }
    assert!(vendor.seen().is_empty());
    assert_eq!(gateway.metric("tollgate_refused_total", &[("reason", "unauthorized")]).await, 6.0);
    for host in
        ["127.0.0.1", "127.0.0.1:9", "localhost", "LOCALHOST:1", "[::1]:8080", "app.localhost", "127.8.8.8"]
    {
        assert_eq!(status_for_host(&gateway, host).await, 200, "{host}");
    }
}

/// A page may send a simple request anywhere and need not read the answer to have spent the money.
#[tokio::test]
async fn a_foreign_origin_is_refused_and_a_permitted_one_is_not() {
    let vendor = Steady::start("served").await;
    let gateway = gateway(&vendor, "auth: keys\ncors: { origins: [\"https://app.example\"] }\n").await;
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example.evil",
        "null",
        "http://localhost:3000",
    ] {
        let answer = call(&gateway, &[("origin", origin)]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error()["code"].as_str()),
            (403, Some("origin_not_allowed"))
        );
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
    }
    assert!(vendor.seen().is_empty());
    let answer = call(&gateway, &[("origin", "https://app.example")]).await;
    assert_eq!((answer.status.as_u16(), answer.content().as_str()), (200, "served"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(call(&gateway, &[]).await.status, 200, "what is no page has no origin");
}

#[tokio::test]
async fn without_cors_every_origin_is_foreign() {
    let vendor = Steady::start("served").await;
    let gateway = gateway(&vendor, "auth: keys\n").await;
    assert_eq!(call(&gateway, &[("origin", "https://app.example")]).await.status, 403);
    assert_eq!(call(&gateway, &[("origin", "http://127.0.0.1")]).await.status, 403);
    assert!(vendor.seen().is_empty());
}

/// Who asks for keys needs no such guard, and who says `auth: off` has another in front.
#[tokio::test]
async fn with_keys_or_with_auth_off_any_host_is_served() {
    let vendor = Steady::start("served").await;
    let open = gateway(&vendor, "auth: off\n").await;
    assert_eq!(status_for_host(&open, "llm.example").await, 200);
    assert_eq!(call(&open, &[("origin", "https://app.example")]).await.status, 200);
    let keyed = gateway(&vendor, "clients: { shop: { key: shop-key } }\n").await;
    assert_eq!(status_for_host(&keyed, "llm.example").await, 401);
    assert_eq!(call(&keyed, &[("origin", "https://app.example"), ("api-key", "shop-key")]).await.status, 200);
}
