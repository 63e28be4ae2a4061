//! Calls that are not about a model's answer: files that are not there, paths that nobody serves, endpoints that came
//! later than this gateway.

use http::Method;

use crate::support::{Gateway, Reply, Vendor, over};

/// A file that is not there is the client's to know. It was taken for a model that the vendor does not know, and the next
/// upstream, which has other files still, was asked for it.
#[tokio::test]
async fn a_file_that_the_vendor_does_not_have_is_a_404_and_nothing_more() {
    let said = r#"{"error":{"message":"No such File object: file-1","type":"invalid_request_error","param":"id","code":null}}"#;
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    let more = "default_upstream: a\ncircuit: { failures: 1, open_ms: 600000, open_ms_max: 600000 }\n";
    let yaml = over(&[("a", &a.url()), ("b", &b.url())], more).replacen(" }", ", keys: [key-0000] }", 1);
    let gateway = Gateway::start(&yaml).await;
    for (method, path) in [
        (Method::GET, "/v1/files/file-1"),
        (Method::GET, "/v1/files/file-1/content"),
        (Method::DELETE, "/v1/files/file-1"),
        (Method::POST, "/v1/batches/batch-1/cancel"),
    ] {
        a.expect(Reply::json(404, said));
        let answer = gateway.call(method, path, &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (404, said), "{path}");
        assert_eq!((answer.served_by(), answer.header("x-should-retry")), (("a", "1"), None), "{path}");
        a.expect(Reply::json(200, r#"{"id":"file-2"}"#));
        assert_eq!(gateway.get("/v1/files/file-2").await.status, 200);
    }
    let shown = gateway.upstream("a").await;
    assert_eq!((&shown["circuit"], &shown["keys"][0]), (&"closed".into(), &"usable".into()), "{shown}");
    a.expect(Reply::chat("from a"));
    assert_eq!(gateway.chat("smart").await.served_by(), ("a", "1"));
}

/// It names a model like any call of its family, but went to the default upstream, under the name of the route.
#[tokio::test]
async fn a_compaction_is_routed_by_its_model() {
    let (a, b) = (
        Vendor::with([Reply::json(200, r#"{"object":"response.compaction"}"#)]).await,
        Vendor::start().await,
    );
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "default_upstream: b\n")).await;
    let body = r#"{"model":"smart","input":[]}"#;
    let answer = gateway.post("/v1/responses/compact", body).await;
    assert_eq!((answer.status.as_u16(), answer.served_by()), (200, ("a", "1")));
    let seen = a.request(0).await;
    assert_eq!(
        (seen.target.as_str(), seen.text()),
        ("/v1/responses/compact", r#"{"model":"model-a","input":[]}"#)
    );
    // Without one it goes where calls without a model go.
    b.expect(Reply::json(200, r#"{"object":"response"}"#));
    assert_eq!(gateway.post("/v1/responses/r-1/cancel", "").await.served_by().0, "b");
    assert_eq!(b.request(0).await.target, "/v1/responses/r-1/cancel");
}

/// A browser that is pointed at the gateway asks for icons. No vendor is paid to say that it has none, and none learns
/// the gateway's key with such a request.
#[tokio::test]
async fn what_is_no_path_of_the_api_is_404_and_reaches_no_vendor() {
    let a = Vendor::start().await;
    let gateway = Gateway::start(&over(&[("a", &a.url())], "default_upstream: a\n")).await;
    for path in [
        "/",
        "/favicon.ico",
        "/robots.txt",
        "/v1",
        "/v1/",
        "/v1x/models",
        "/.env",
        "/metrics",
        "/admin/upstreams",
        "//",
        "/index.html?a=/v1/",
    ] {
        let answer = gateway.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error()["code"].as_str()),
            (404, Some("unknown_url")),
            "{path}"
        );
    }
    assert_eq!(gateway.post("/", r#"{"model":"smart"}"#).await.status, 404);
    assert_eq!(a.calls(), 0);
    assert_eq!(gateway.metric("tollgate_attempts_total", &[]).await, 0.0);
    // With /v1 in front anything may be an endpoint that is newer than the gateway.
    a.expect(Reply::json(200, "{}"));
    assert_eq!(gateway.get("/v1/brand-new").await.status, 200);
}
