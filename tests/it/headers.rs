//! Which headers pass: lists of what may, both ways, so that nothing of the client's own reaches a vendor or back.

use crate::support::{Gateway, Reply, Vendor, over};

const BODY: &str = r#"{"model":"a/m"}"#;

fn keyed(vendor: &Vendor, more: &str) -> String {
    format!(
        "upstreams:\n  a:\n    vendor: openai-compatible\n    base_url: \"{}\"\n    key: vendor-key\n{more}",
        vendor.url()
    )
}

async fn send(gateway: &Gateway, headers: &[(&str, &str)]) {
    let answer = gateway.call(http::Method::POST, "/v1/chat/completions", headers, BODY).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Names in the order in which the vendor got them, in lower case.
fn names(vendor: &Vendor) -> Vec<String> {
    vendor.seen().last().unwrap().headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect()
}
const CLIENTS_OWN: &[(&str, &str)] = &[
    ("authorization", "Bearer client-key"),
    ("cookie", "session=planted"),
    ("x-api-key", "planted"),
    ("api-key", "planted"),
    ("proxy-authorization", "Basic planted"),
    ("forwarded", "for=planted"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-host", "planted"),
    ("x-real-ip", "10.0.0.1"),
    ("via", "1.1 planted"),
    ("origin", "https://planted.example"),
    ("openai-organization", "planted"),
    ("openai-project", "planted"),
    ("x-amzn-oidc-data", "planted"),
    ("x-stainless-lang", "planted"),
    ("te", "trailers"),
    ("accept-encoding", "gzip, br"),
    ("content-type", "application/json"),
    ("accept", "application/json"),
    ("user-agent", "sdk/1"),
    ("openai-beta", "assistants=v2"),
    ("idempotency-key", "i-1"),
    ("x-client-request-id", "c-1"),
];

#[tokio::test]
async fn nothing_of_the_clients_own_reaches_a_vendor() {
    let a = Vendor::with([Reply::chat("ok")]).await;
    let gateway = Gateway::start(&keyed(&a, "clients: { shop: { key: client-key } }\n")).await;
    send(&gateway, CLIENTS_OWN).await;
    let mut got = names(&a);
    got.sort_unstable();
    let expected = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "idempotency-key",
        "openai-beta",
        "user-agent",
        "x-client-request-id",
    ];
    assert_eq!(got, expected);
    let seen = a.request(0).await;
    assert_eq!(seen.header("authorization"), Some("Bearer vendor-key"));
    assert_eq!(seen.header("host"), Some(a.address.to_string().as_str()));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    assert_eq!(seen.header("openai-beta"), Some("assistants=v2"));
}

/// What `Connection` names is hop-by-hop and goes. A client must not be able to take away so what the gateway adds: the
/// vendor's key, or the operator's headers.
#[tokio::test]
async fn connection_cannot_take_away_what_the_gateway_adds() {
    let a = Vendor::with([Reply::chat("ok")]).await;
    let gateway = Gateway::start(&keyed(&a, "    headers: { x-team: blue, user-agent: gateway }\n")).await;
    send(
        &gateway,
        &[
            ("connection", "authorization, x-team, host, content-length, openai-beta"),
            ("connection", "user-agent"),
            ("authorization", "Bearer client"),
            ("openai-beta", "assistants=v2"),
            ("user-agent", "sdk/1"),
        ],
    )
    .await;
    let seen = a.request(0).await;
    assert_eq!(seen.header("authorization"), Some("Bearer vendor-key"));
    assert_eq!(seen.header("x-team"), Some("blue"));
    assert_eq!(seen.header("user-agent"), Some("gateway"));
    assert_eq!(seen.header("openai-beta"), None);
    assert_eq!(seen.header("connection"), None);
    assert_eq!(seen.json(), serde_json::json!({"model": "m"}));
}

/// The client's key is the gateway's business, also where the vendor needs none.
#[tokio::test]
async fn an_upstream_without_a_key_gets_none() {
    let a = Vendor::with([Reply::chat("ok")]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    send(&gateway, &[("authorization", "Bearer client"), ("x-api-key", "client")]).await;
    assert_eq!(
        (a.request(0).await.header("authorization"), a.request(0).await.header("x-api-key")),
        (None, None)
    );
}

#[tokio::test]
async fn the_operators_headers_win_over_the_clients_and_the_gateways() {
    let a = Vendor::with([Reply::chat("ok")]).await;
    let more = "    headers: { openai-beta: operator, authorization: \"Api-Key special\", x-empty: \"${NOT_SET:-}\" }\n";
    let gateway = Gateway::start(&keyed(&a, more)).await;
    send(&gateway, &[("openai-beta", "client"), ("openai-beta", "twice")]).await;
    let seen = a.request(0).await;
    let of = |name: &str| -> Vec<&str> {
        seen.headers.iter().filter(|it| it.0.eq_ignore_ascii_case(name)).map(|it| it.1.as_str()).collect()
    };
    assert_eq!(of("openai-beta"), ["operator"]);
    assert_eq!(of("authorization"), ["Api-Key special"]);
    assert_eq!(of("x-empty"), [""; 0]);
}

#[tokio::test]
async fn clients_see_the_vendors_limits_and_ids_and_nothing_private() {
    let reply = Reply::chat("ok")
        .header("x-request-id", "vendor-1")
        .header("x-ratelimit-remaining-requests", "9")
        .header("openai-processing-ms", "12")
        .header("retry-after", "3")
        .header("etag", "\"e\"")
        .header("set-cookie", "session=planted")
        .header("server", "planted")
        .header("openai-organization", "planted")
        .header("strict-transport-security", "max-age=1")
        .header("alt-svc", "h3=planted")
        .header("cf-ray", "planted")
        .header("access-control-allow-origin", "*")
        .header("connection", "keep-alive, x-ratelimit-limit")
        .header("keep-alive", "timeout=5")
        .header("x-tollgate-upstream", "planted");
    let a = Vendor::with([reply]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    let answer = gateway.chat("smart").await;
    let mut got: Vec<_> = answer.headers.keys().map(|it| it.as_str()).collect();
    got.sort_unstable();
    let expected = [
        "content-length",
        "content-type",
        "date",
        "etag",
        "openai-processing-ms",
        "retry-after",
        "x-ratelimit-remaining-requests",
        "x-request-id",
        "x-tollgate-attempts",
        "x-tollgate-model",
        "x-tollgate-request-id",
        "x-tollgate-upstream",
    ];
    assert_eq!(got, expected);
    assert_eq!(answer.header("x-request-id"), Some("vendor-1"));
    assert_eq!(answer.headers.get_all("x-tollgate-upstream").iter().collect::<Vec<_>>(), ["a"]);
    assert_eq!(answer.header("x-tollgate-model"), Some("model-a"));
    let line = gateway.call_line(0).await;
    assert_eq!(answer.header("x-tollgate-request-id"), line["request_id"].as_str());
}

#[tokio::test]
async fn an_answer_without_an_id_gets_the_gateways() {
    let a = Vendor::with([Reply::chat("ok")]).await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    for answer in [gateway.chat("smart").await, gateway.chat("nobody").await, gateway.get("/v1/models").await]
    {
        let id = answer.header("x-request-id").unwrap();
        assert!(id.starts_with("req_"), "{id}");
        assert_eq!(answer.header("x-tollgate-request-id"), Some(id));
    }
}

/// A vendor that compresses although it was asked not to: the client may be able to read it, the gateway is not.
#[tokio::test]
async fn a_compressed_answer_passes_with_its_coding_named() {
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let a = Vendor::with([
        Reply::whole(200, "application/json", gzip.to_vec()).header("content-encoding", "gzip"),
        Reply::chunked(200, "text/event-stream", [gzip.to_vec()]).header("content-encoding", "gzip").end(),
    ])
    .await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "")).await;
    for answer in [gateway.chat("smart").await, gateway.stream("smart").await] {
        assert_eq!((answer.header("content-encoding"), &answer.body[..]), (Some("gzip"), &gzip[..]));
    }
}

#[tokio::test]
async fn a_body_that_the_gateway_wrote_is_json_whatever_the_client_called_its_own() {
    let vendor = Vendor::start().await;
    vendor.otherwise(Reply::chat("ok"));
    let yaml = over(&[("a", &vendor.url())], "");
    let gateway = Gateway::start(&yaml).await;
    let body = r#"{"model":"a/m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    for (index, headers) in [&[("content-type", "text/plain")][..], &[]].into_iter().enumerate() {
        let answer = gateway.call(http::Method::POST, "/v1/messages", headers, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(vendor.request(index).await.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn the_log_has_the_id_by_which_each_vendor_knows_the_call() {
    let vendor = Vendor::start().await;
    let yaml = over(&[("a", &vendor.url())], "");
    let gateway = Gateway::start(&yaml).await;
    let names = ["x-request-id", "request-id", "x-amzn-requestid", "apim-request-id"];
    for (index, name) in names.into_iter().enumerate() {
        vendor.expect(Reply::chat("ok").header(name, "vendor-1"));
        assert_eq!(gateway.chat("a/m").await.status, 200);
        assert_eq!(gateway.call_line(index).await["vendor_request_id"], "vendor-1", "{name}");
    }
}
