//! The paths, methods and headers a client may use, and where its calls go by them.

use bytes::Bytes;
use http::{Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::support::client::Answer;
use crate::support::{Gateway, Seen, Steady, within};

/// Two upstreams that answer with their names; `b` serves calls that name no model.
struct Pair {
    gateway: Gateway,
    a: Steady,
    b: Steady,
}

impl Pair {
    async fn start(more: &str) -> Self {
        let (a, b) = (Steady::start("from a").await, Steady::start("from b").await);
        let yaml = format!(
            "default_upstream: b\n{more}\nupstreams:\n\
             \x20 a: {{ vendor: openai-compatible, base_url: \"{}\", prefixes: [a-], models: [a-one, a-two] }}\n\
             \x20 b: {{ vendor: openai-compatible, base_url: \"{}/deep\", prefixes: [b-] }}\n",
            a.url(),
            b.url()
        );
        Self { gateway: Gateway::start(&yaml).await, a, b }
    }

    async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.gateway.call(method, path, headers, body.to_owned()).await
    }

    /// Where a call went: the upstream and the request it got.
    async fn went(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> (&str, Seen) {
        let before = (self.a.seen().len(), self.b.seen().len());
        let answer = self.call(method, path, headers, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {:?}", answer.body);
        let (a, b) = (self.a.seen(), self.b.seen());
        match (a.len() - before.0, b.len() - before.1) {
            (1, 0) => ("a", a.last().unwrap().clone()),
            (0, 1) => ("b", b.last().unwrap().clone()),
            odd => panic!("{path} went to {odd:?}"),
        }
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_path_is_the_same_with_and_without_v1_and_a_slash_behind() {
    let pair = Pair::start("").await;
    for path in ["/v1/chat/completions", "/chat/completions", "/v1/chat/completions/", "/chat/completions/"] {
        let (to, seen) = pair.went(Method::POST, path, &[JSON], r#"{"model":"a-one"}"#).await;
        assert_eq!((to, seen.target.as_str()), ("a", "/v1/chat/completions"), "{path}");
    }
    for path in ["/v1/models", "/models", "/v1/models/", "/models/"] {
        assert_eq!(pair.gateway.get(path).await.json()["object"], "list", "{path}");
    }
    for path in ["/v1/models/a-one", "/models/a-one", "/v1/models/a-one/"] {
        assert_eq!(pair.gateway.get(path).await.json()["id"], "a-one", "{path}");
    }
}

#[tokio::test]
async fn a_call_without_a_model_goes_to_the_default_upstream_with_method_and_query() {
    let pair = Pair::start("").await;
    for (method, path, target) in [
        (Method::GET, "/v1/files?limit=2&after=f%2F1&q=", "/v1/deep/files?limit=2&after=f%2F1&q="),
        (Method::GET, "/batches", "/v1/deep/batches"),
        (Method::DELETE, "/v1/files/f-1", "/v1/deep/files/f-1"),
        (Method::DELETE, "/v1/models/ft:gpt-4o:acme::1", "/v1/deep/models/ft:gpt-4o:acme::1"),
        (Method::POST, "/v1/vector_stores/v-1/search?x=1", "/v1/deep/vector_stores/v-1/search?x=1"),
        (Method::PUT, "/v1/things/1", "/v1/deep/things/1"),
        (Method::PATCH, "/v1/things/1", "/v1/deep/things/1"),
        (Method::GET, "/v1/evals?limit=1", "/v1/deep/evals?limit=1"),
        (Method::POST, "/v1/responses/r-1/cancel", "/v1/deep/responses/r-1/cancel"),
    ] {
        let (to, seen) = pair.went(method.clone(), path, &[], "").await;
        assert_eq!((to, seen.method.as_str(), seen.target.as_str()), ("b", method.as_str(), target));
    }
}

#[tokio::test]
async fn a_forwarded_answer_that_arrived_in_full_is_recorded_as_complete() {
    let pair = Pair::start("").await;
    for (index, (method, path)) in
        [(Method::GET, "/v1/files"), (Method::DELETE, "/v1/files/f-1")].into_iter().enumerate()
    {
        assert!(pair.call(method, path, &[], "").await.whole);
        let line = pair.gateway.call_line(index).await;
        assert_eq!(
            (line["status"].as_u64(), line["ended"].as_str()),
            (Some(200), Some("complete")),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_model_in_the_body_decides_wherever_one_may_stand() {
    let pair = Pair::start("default_model: b-default").await;
    for path in ["/v1/moderations", "/v1/images/generations", "/v1/audio/speech", "/v1/fine_tuning/jobs"] {
        for kind in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
            let (to, seen) =
                pair.went(Method::POST, path, &[("content-type", kind)], r#"{"model":"a-one"}"#).await;
            assert_eq!((to, seen.text()), ("a", r#"{"model":"a-one"}"#), "{path} {kind}");
        }
        let (to, _) = pair.went(Method::POST, path, &[JSON], "{}").await;
        assert_eq!(to, "b", "{path}");
    }
    let (to, seen) = pair.went(Method::POST, "/v1/chat/completions", &[JSON], "{}").await;
    assert_eq!((to, seen.json()["model"].as_str()), ("b", Some("b-default")));
}

#[tokio::test]
async fn x_tollgate_upstream_names_the_upstream() {
    let pair = Pair::start("").await;
    let (to, seen) = pair.went(Method::GET, "/v1/files", &[("x-tollgate-upstream", "a")], "").await;
    assert_eq!((to, seen.target.as_str(), seen.header("x-tollgate-upstream")), ("a", "/v1/files", None));
    let headers = [JSON, ("x-tollgate-upstream", "a")];
    let (to, seen) = pair.went(Method::POST, "/v1/chat/completions", &headers, r#"{"model":"b-one"}"#).await;
    assert_eq!((to, seen.json()["model"].as_str()), ("a", Some("b-one")));
    let answer = pair.call(Method::GET, "/v1/files", &[("x-tollgate-upstream", "c")], "").await;
    assert_eq!((answer.status.as_u16(), answer.error()["code"].as_str()), (404, Some("upstream_not_found")));
}

#[tokio::test]
async fn answers_say_who_served_them() {
    let pair = Pair::start("").await;
    let answer = pair.gateway.chat("a/some-model").await;
    let own = answer.header("x-tollgate-request-id").expect("an id of the gateway's own").to_owned();
    assert!(own.starts_with("req_") && answer.header("x-request-id").is_some());
    assert_eq!(answer.header("x-tollgate-upstream"), Some("a"));
    assert_eq!(answer.header("x-tollgate-model"), Some("some-model"));
    assert_eq!(answer.header("x-tollgate-attempts"), Some("1"));
    assert_eq!(pair.gateway.call_line(0).await["request_id"], own.as_str());
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let pair = Pair::start("").await;
    let get = pair.gateway.get("/v1/models").await;
    let head = pair.call(Method::HEAD, "/v1/models", &[], "").await;
    assert_eq!((head.status, head.header("content-length")), (get.status, get.header("content-length")));
    assert!(head.body.is_empty());
    let (to, seen) = pair.went(Method::HEAD, "/v1/files", &[], "").await;
    assert_eq!((to, seen.method.as_str()), ("b", "HEAD"));
}

#[tokio::test]
async fn options_names_the_methods_and_permits_no_page_by_default() {
    let pair = Pair::start("").await;
    let asked = [("origin", "https://app.example"), ("access-control-request-method", "POST")];
    let answer = pair.call(Method::OPTIONS, "/v1/chat/completions", &asked, "").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(answer.header("allow").unwrap().contains("POST"));
    let get = pair.call(Method::GET, "/v1/models", &asked[..1], "").await;
    for answer in [answer, get] {
        assert!(
            answer.headers.keys().all(|it| !it.as_str().starts_with("access-control-")),
            "{:?}",
            answer.headers
        );
    }
}

#[tokio::test]
async fn permitted_pages_may_read_answers_and_errors_alike() {
    let pair =
        Pair::start("cors: { origins: [\"https://app.example\"] }\nclients: { web: { key: web-key } }").await;
    let app = ("origin", "https://app.example");
    let asked =
        [app, ("access-control-request-method", "POST"), ("access-control-request-headers", "authorization")];
    let answer = pair.call(Method::OPTIONS, "/v1/chat/completions", &asked, "").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization"));
    assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
    for (key, status) in [("Bearer web-key", 200), ("Bearer wrong", 401)] {
        let answer = pair.call(Method::GET, "/v1/models", &[app, ("authorization", key)], "").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
        assert!(answer.header("vary").unwrap().to_ascii_lowercase().contains("origin"));
    }
    let other = [("origin", "https://evil.example"), ("authorization", "Bearer web-key")];
    let answer = pair.call(Method::GET, "/v1/models", &other, "").await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (200, None));
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_or_the_final_answer() {
    let pair = Pair::start("clients: { shop: { key: shop-key } }").await;
    let head = |key: &str, length: usize| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
             Connection: close\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let body = r#"{"model":"a-one"}"#;
    let mut raw = pair.gateway.raw().await;
    raw.write(head("shop-key", body.len())).await;
    raw.read_until("HTTP/1.1 100 Continue\r\n\r\n").await;
    raw.write(body).await;
    assert!(raw.rest().await.contains("HTTP/1.1 200 OK"));
    let mut raw = pair.gateway.raw().await;
    raw.write(head("wrong", body.len())).await;
    assert!(raw.rest().await.starts_with("HTTP/1.1 401 "), "{}", raw.text());
}

#[tokio::test]
async fn http_2_without_an_upgrade_serves_many_calls_on_one_connection() {
    let pair = Pair::start("").await;
    let tcp = TcpStream::connect(pair.gateway.calls).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await;
    let (sender, driver) = handshake.unwrap();
    let driver = tokio::spawn(driver);
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..50 {
        let (mut sender, model) = (sender.clone(), if number % 2 == 0 { "a-one" } else { "b-one" });
        let request = Request::post(format!("http://{}/v1/chat/completions", pair.gateway.calls))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(format!(r#"{{"model":"{model}"}}"#))));
        calls.spawn(async move {
            let response = sender.send_request(request.unwrap()).await.unwrap();
            assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(String::from_utf8_lossy(&body).contains(&format!("from {}", &model[..1])));
        });
    }
    let served = within("fifty answers", calls.join_all()).await;
    assert_eq!((served.len(), pair.a.seen().len(), pair.b.seen().len()), (50, 25, 25));
    assert_eq!(pair.gateway.metric("tollgate_connections_open", &[]).await, 1.0);
    driver.abort();
}
