//! What operators and orchestrators rely on: the admin port under pressure and from browsers, limits that follow a reload,
//! listings that tell a client only of what it may use.

use http::{Method, StatusCode};

use crate::support::{Gateway, Raw, Vendor, over, within};

#[tokio::test]
async fn silent_connections_do_not_keep_probes_out() {
    let gateway = Gateway::start("").await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(Raw::open(gateway.admin).await);
    }
    assert_eq!(gateway.admin_get("/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_explain_body_that_is_too_long_is_told_so() {
    let gateway = Gateway::start("").await;
    let answer = gateway.admin_post("/admin/explain", vec![b' '; (1 << 20) + 1]).await;
    assert_eq!(
        (answer.status, &answer.error()["code"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &"request_too_large".into())
    );
    let answer = gateway.admin_post("/admin/explain", r#"{"model": "sim/sim-small"}"#).await;
    assert_eq!(answer.status, StatusCode::OK);
}

async fn admin_status(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> u16 {
    gateway.admin(Method::GET, path, headers, "").await.status.as_u16()
}

#[tokio::test]
async fn the_admin_key_may_come_with_spaces_around_it() {
    let gateway = Gateway::start_with("admin_key: \"${KEY}\"", &[("KEY", " secret\n")]).await;
    for (header, expected) in
        [("Bearer secret", 200), ("bearer  secret", 200), ("Bearer other", 401), ("Bearer", 401)]
    {
        let headers = [("authorization", header)];
        assert_eq!(admin_status(&gateway, "/admin/config", &headers).await, expected, "{header}");
    }
    // Whoever shows the key is no page that only happens to run on this machine.
    let headers = [("authorization", "Bearer secret"), ("origin", "https://app.example")];
    assert_eq!(admin_status(&gateway, "/admin/config", &headers).await, 200);
}

#[tokio::test]
async fn without_a_key_web_pages_do_not_reach_the_admin_api() {
    let gateway = Gateway::start("").await;
    let drain = "/admin/upstreams/sim/drain";
    let answer = gateway.admin(Method::POST, drain, &[("origin", "https://evil.example")], "").await;
    assert_eq!(
        (answer.status, &answer.error()["code"]),
        (StatusCode::FORBIDDEN, &"origin_not_allowed".into())
    );
    assert_eq!(gateway.upstream("sim").await["drained"], false);
    assert_eq!(admin_status(&gateway, "/livez", &[("origin", "null")]).await, 200);
    let mut rebound = Raw::open(gateway.admin).await;
    rebound.write("GET /admin/config HTTP/1.1\r\nhost: evil.example:8081\r\n\r\n").await;
    rebound.read_until("host_not_allowed").await;
    assert!(rebound.text().starts_with("HTTP/1.1 403"), "{}", rebound.text());
    let mut local = Raw::open(gateway.admin).await;
    local.write("GET /admin/config HTTP/1.1\r\nhost: localhost:8081\r\n\r\n").await;
    local.read_until("HTTP/1.1 200").await;
}

async fn asking(gateway: &Gateway) -> Raw {
    let mut raw = gateway.raw().await;
    raw.write("GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    raw
}

/// Writes a configuration and waits until it is in force.
async fn reload(gateway: &Gateway, yaml: &str, generation: u64) {
    gateway.write_config(yaml);
    gateway.wait_for_log(|it| it["event"] == "config_reloaded" && it["generation"] == generation).await;
}

#[tokio::test]
async fn the_bound_on_connections_follows_a_reload() {
    let gateway = Gateway::start("limits: { connections_max: 1 }").await;
    let mut first = asking(&gateway).await;
    first.read_until("200 OK").await;
    let mut second = asking(&gateway).await;
    reload(&gateway, "limits: { connections_max: 2 }", 2).await;
    second.read_until("200 OK").await;
    reload(&gateway, "limits: { connections_max: 1 }", 3).await;
    let mut third = asking(&gateway).await;
    // Of the two that are open the one that stays is all there is room for.
    drop(first);
    let closed = async { while gateway.metric("tollgate_connections_open", &[]).await > 1.0 {} };
    within("the end of the first connection", closed).await;
    assert!(third.stream.try_read(&mut [0]).is_err(), "a third connection was served");
    drop(second);
    third.read_until("200 OK").await;
}

const TEAMS: &str = "\
clients:
  a: { key: key-a, models: [team-a, 'a-*'] }
  b: { key: key-b }
routes:
  - { model: team-a, targets: [sim/sim-small] }
  - { model: team-b, targets: [sim/sim-small] }
  - { model: a-one, targets: [sim/sim-small] }
  - { model: b-one, targets: [sim/sim-small] }
";

#[tokio::test]
async fn an_unknown_model_is_compared_with_what_the_client_may_use() {
    let gateway = Gateway::start(TEAMS).await;
    let ask = async |key: &str, model: &str| {
        let path = format!("/v1/models/{model}");
        let answer = gateway.call(Method::GET, &path, &[("x-api-key", key)], "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{model}");
        answer.error()["message"].as_str().unwrap().to_owned()
    };
    assert!(ask("key-b", "team-c").await.ends_with("Did you mean `team-a` or `team-b`?"));
    assert!(ask("key-a", "team-c").await.ends_with("Did you mean `team-a`?"));
    assert!(ask("key-a", "b-on").await.ends_with("Did you mean `a-one`?"));
    let body = r#"{"model": "a-onn", "messages": []}"#;
    let headers = [("x-api-key", "key-a"), ("content-type", "application/json")];
    let refused = gateway.call(Method::POST, "/v1/chat/completions", &headers, body).await;
    let message = refused.error()["message"].as_str().unwrap().to_owned();
    assert!(message.ends_with("Did you mean `a-one`?"), "{message}");
}

#[tokio::test]
async fn an_alias_with_the_name_of_a_listed_model_is_listed_once() {
    let vendor = Vendor::start().await;
    let yaml = format!(
        "upstreams:
  one: {{ vendor: openai-compatible, base_url: \"{}\", models: [big, small] }}
  sim: {{ off: true }}
routes:
  - {{ model: big, targets: [one/big] }}
  - {{ model: small, targets: [one/tiny] }}
",
        vendor.url()
    );
    let gateway = Gateway::start(&yaml).await;
    let listed = gateway.get("/v1/models").await.json();
    let ids: Vec<_> =
        listed["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    // The alias `small` is another model than the vendor's, which has its whole name.
    assert_eq!(ids, ["big", "small", "one/small"]);
    let answer = gateway.get("/v1/models/one/smal").await;
    assert_eq!(answer.json()["owned_by"], "one", "{}", answer.text());
    let message = gateway.get("/v1/models/smal").await.error()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("`small`"), "{message}");
}

/// Sockets of the process that accept connections.
#[cfg(target_os = "linux")]
fn listeners(gateway: &Gateway) -> usize {
    let folder = format!("/proc/{}", gateway.pid());
    let own: Vec<String> = std::fs::read_dir(format!("{folder}/fd"))
        .unwrap()
        .filter_map(|it| Some(std::fs::read_link(it.ok()?.path()).ok()?.to_string_lossy().into_owned()))
        .collect();
    let sockets = std::fs::read_to_string(format!("{folder}/net/tcp")).unwrap();
    let listening = sockets.lines().skip(1).map(|it| it.split_whitespace().collect::<Vec<_>>());
    // The fourth column is the state, the tenth the inode.
    listening.filter(|it| it[3] == "0A" && own.contains(&format!("socket:[{}]", it[9]))).count()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_simulated_vendor_listens_only_where_it_is_used() {
    let vendor = Vendor::start().await;
    let off = over(&[("one", &vendor.url())], "").replace("routes:", "  sim: { off: true }\nroutes:");
    let gateway = Gateway::start(&off).await;
    assert_eq!(listeners(&gateway), 2);
    reload(&gateway, "", 2).await;
    assert_eq!(listeners(&gateway), 3);
    assert_eq!(gateway.chat("sim/sim-small").await.status, StatusCode::OK);
}
