//! Keys and prompts: planted wherever one can be, looked for wherever one must not be.

use std::collections::BTreeMap;

use http::Method;

use crate::support::client::{open, request};
use crate::support::{Gateway, Refusing, Reply, Vendor, delta, until};

/// What must not be seen, by where it is planted.
const PLANTED: [(&str, &str); 12] = [
    ("upstream key", "sk-planted-upstream-0001"),
    ("second key", "sk-planted-upstream-0002"),
    ("key file", "sk-planted-keyfile-0003"),
    ("dotenv", "sk-planted-dotenv-0004"),
    ("header", "planted-header-0005"),
    ("query", "planted-query-0006"),
    ("client key", "planted-client-0007"),
    ("wrong key", "planted-wrong-0008"),
    ("admin key", "planted-admin-0009"),
    ("prompt", "planted-prompt-0010"),
    ("answer", "planted-answer-0011"),
    ("proxy", "planted-proxy-0012"),
];

fn planted(what: &str) -> &'static str {
    PLANTED.iter().find(|(name, _)| *name == what).expect("it is planted").1
}

/// Everything that a gateway with planted secrets has let out, by where.
struct Outlets(BTreeMap<String, String>);

impl Outlets {
    async fn of(gateway: &Gateway) -> Self {
        let mut all = BTreeMap::new();
        let admin = format!("Bearer {}", planted("admin key"));
        for path in ["/readyz", "/metrics", "/admin/config", "/admin/upstreams", "/admin/none"] {
            let answer = gateway.admin(Method::GET, path, &[("authorization", &admin)], "").await;
            all.insert(path.to_owned(), format!("{:?} {}", answer.headers, answer.text()));
            all.insert(format!("{path} without a key"), gateway.admin_get(path).await.text());
        }
        let body = r#"{"model":"a/m"}"#;
        let answer = gateway.admin(Method::POST, "/admin/explain", &[("authorization", &admin)], body).await;
        all.insert("explain".to_owned(), answer.text());
        all.insert(
            "log".to_owned(),
            gateway.log_lines().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        );
        all.insert("stderr".to_owned(), gateway.stderr());
        Self(all)
    }

    fn hold_none_of(&self, planted: impl IntoIterator<Item = &'static str>) {
        for secret in planted {
            for (outlet, text) in &self.0 {
                assert!(!text.contains(secret), "{secret} is in {outlet}: {text}");
            }
        }
    }
}

/// A gateway that knows all the secrets; `a` is scripted, `nobody` refuses, `far` is behind a proxy that is not there.
async fn gateway(a: &Vendor, nobody: &Refusing) -> Gateway {
    let upstream = |id: &str, url: &str, more: &str| {
        format!("  {id}: {{ vendor: openai-compatible, base_url: \"{url}\"{more} }}\n")
    };
    let of_a = format!(
        ", keys: [\"${{FIRST}}\", \"${{SECOND}}\"], headers: {{ x-team: \"Token {}\" }}, query: {{ api-version: v1, sig: {} }}",
        planted("header"),
        planted("query")
    );
    let far = format!(", proxy: \"http://user:{}@{}\"", planted("proxy"), nobody.address);
    let yaml = [
        format!("log: {{ level: debug }}\nadmin_key: {}\n", planted("admin key")),
        format!(
            "circuit: {{ failures: 1000 }}\nclients: {{ shop: {{ key: {} }} }}\nupstreams:\n",
            planted("client key")
        ),
        upstream("a", &a.url(), &of_a),
        upstream("nobody", &nobody.url(), ", key_file: nobody.keys"),
        upstream("dotted", &nobody.url(), ", key: \"${DOTTED}\""),
        upstream("far", "http://vendor.example/v1", &far),
    ];
    let files = [("nobody.keys", planted("key file")), (".env", &format!("DOTTED={}\n", planted("dotenv")))];
    let environment = [("FIRST", planted("upstream key")), ("SECOND", planted("second key"))];
    Gateway::start_among(&yaml.concat(), &environment, &files).await
}

/// A call with a prompt in it. What the client hears, headers included.
async fn told(gateway: &Gateway, key: &str, model: &str, stream: bool) -> String {
    let body = format!(
        r#"{{"model":"{model}","stream":{stream},"messages":[{{"role":"user","content":"{}"}}]}}"#,
        planted("prompt")
    );
    let key = format!("Bearer {key}");
    let headers = [("content-type", "application/json"), ("authorization", key.as_str())];
    let sent = request(gateway.calls, Method::POST, "/v1/chat/completions", &headers, body);
    let answer = open(gateway.calls, sent).await.rest().await;
    format!("{:?} {}", answer.headers, answer.text())
}

/// The words of a vendor that repeats whatever it was sent.
fn blurted() -> String {
    let keys = ["upstream key", "second key", "header", "query"].map(planted).join(" and ");
    format!("cannot take {keys}")
}

#[tokio::test]
async fn no_secret_gets_out_whatever_happens_to_a_call() {
    let (a, nobody) = (Vendor::start().await, Refusing::start());
    let gateway = gateway(&a, &nobody).await;
    let client = planted("client key");
    a.expect(Reply::chat(planted("answer")));
    assert!(told(&gateway, client, "a/m", false).await.contains(planted("answer")));
    a.expect(Reply::stream([delta(planted("answer"))]).then_cut());
    told(&gateway, client, "a/m", true).await;
    a.expect(Reply::json(500, format!("{{\"prompt\":\"{}\"}}", planted("prompt"))));
    let mut heard = vec![told(&gateway, client, "a/m", false).await];
    a.expect(Reply::whole(502, "text/html", format!("<p>{}</p>", planted("prompt"))));
    heard.push(told(&gateway, client, "a/m", false).await);
    for model in ["nobody/m", "dotted/m", "far/m", "unknown"] {
        heard.push(told(&gateway, client, model, false).await);
    }
    heard.push(told(&gateway, planted("wrong key"), "a/m", false).await);
    let mut raw = gateway.raw().await;
    raw.write(format!("GET /v1/files HTTP/1.1\r\nHost: {}@a\r\n\r\n", planted("wrong key"))).await;
    raw.read_until("invalid_host").await;
    heard.push(raw.text());
    let all = PLANTED.iter().map(|(_, secret)| *secret);
    for text in &heard {
        assert!(all.clone().all(|it| !text.contains(it)), "{text}");
    }
    Outlets::of(&gateway).await.hold_none_of(all);
    // They were in use all the time.
    let seen = a.request(0).await;
    assert!(seen.header("authorization").is_some_and(|it| it.contains("sk-planted-upstream")));
    assert!(seen.target.contains(planted("query")) && seen.header("x-team").is_some());
}

#[tokio::test]
async fn a_vendor_that_repeats_our_key_is_not_repeated() {
    for reply in [
        Reply::status(400, &blurted()),
        Reply::status(500, &blurted()),
        Reply::json(400, format!(r#"{{"error":"{}"}}"#, blurted())),
        Reply::json(422, format!(r#"{{"detail":"{}"}}"#, blurted())),
        Reply::json(200, format!(r#"{{"error":{{"message":"{}"}}}}"#, blurted())),
        Reply::stream([format!("data: {{\"error\":{{\"message\":\"{}\"}}}}\n\n", blurted())]).end(),
        Reply::stream([delta("x"), format!("data: {{\"error\":{{\"message\":\"{}\"}}}}\n\n", blurted())])
            .end(),
    ] {
        heard_without_keys([reply]).await;
    }
    // A limit is one key's, so the other is tried.
    heard_without_keys([Reply::status(429, &blurted()), Reply::status(429, &blurted())]).await;
}

/// A client that calls a vendor which answers so hears the words of the vendor, but none of our keys.
async fn heard_without_keys(replies: impl IntoIterator<Item = Reply>) {
    let (a, nobody) = (Vendor::with(replies).await, Refusing::start());
    let gateway = gateway(&a, &nobody).await;
    let heard = told(&gateway, planted("client key"), "a/m", true).await;
    for what in ["upstream key", "second key"] {
        assert!(!heard.contains(planted(what)), "{what}: {heard}");
    }
    assert!(heard.contains("cannot take *** and ***"), "the rest of its words stay: {heard}");
    Outlets::of(&gateway).await.hold_none_of(["upstream key", "second key", "header", "query"].map(planted));
}

#[tokio::test]
async fn a_vendor_that_repeats_our_headers_and_query_is_not_repeated() {
    let (a, nobody) = (Vendor::with([Reply::status(400, &blurted())]).await, Refusing::start());
    let gateway = gateway(&a, &nobody).await;
    let heard = told(&gateway, planted("client key"), "a/m", false).await;
    for what in ["header", "query"] {
        assert!(!heard.contains(planted(what)), "{what}: {heard}");
    }
}

#[tokio::test]
async fn a_key_in_any_field_of_a_vendors_error_is_not_repeated() {
    let key = planted("upstream key");
    for field in ["type", "param", "code"] {
        let error = format!(r#"{{"error":{{"message":"no","{field}":"{key}"}}}}"#);
        let (a, nobody) = (Vendor::with([Reply::json(400, error)]).await, Refusing::start());
        let gateway = gateway(&a, &nobody).await;
        let heard = told(&gateway, planted("client key"), "a/m", false).await;
        assert!(!heard.contains(key), "{field}: {heard}");
    }
}

#[tokio::test]
async fn an_error_does_not_betray_where_the_upstream_is() {
    let a = Vendor::start().await;
    let address = a.address.to_string();
    a.expect(Reply::status(503, &format!("no healthy upstream at {address}")));
    let nobody = Refusing::start();
    let gateway = gateway(&a, &nobody).await;
    for (model, port) in [("a/m", a.address.port()), ("nobody/m", nobody.address.port())] {
        let heard = told(&gateway, planted("client key"), model, false).await;
        assert!(!heard.contains(&port.to_string()), "{heard}");
    }
}

#[tokio::test]
async fn a_faulty_file_is_reported_without_the_values_in_it() {
    let (a, nobody) = (Vendor::start().await, Refusing::start());
    let gateway = gateway(&a, &nobody).await;
    let good = std::fs::read_to_string(gateway.config_path()).unwrap();
    let refused = async || gateway.metric("tollgate_config_reloads_total", &[("result", "failed")]).await;
    let shop = "{ key: planted-client-0007 }";
    for (bad, count) in [
        (good.replace(shop, "{ kez: planted-client-0007 }"), 1.0),
        (good.replace(shop, "planted-client-0007"), 2.0),
        (good.replace(shop, "{ key_sha256: [planted-client-0007] }"), 3.0),
        (good.replace(shop, "{ key: planted-client-0007, models: planted-client-0007 }"), 4.0),
        (good.replace("admin_key: planted-admin-0009", "admin_key: [planted-admin-0009"), 5.0),
        (good.replace("admin_key: planted-admin-0009", "admin_key: { a: planted-admin-0009 }"), 6.0),
    ] {
        gateway.write_file("gateway.yaml", &bad);
        gateway.signal("HUP");
        until("a refusal", async || refused().await == count).await;
        Outlets::of(&gateway).await.hold_none_of(["client key", "admin key"].map(planted));
    }
}
