//! The admin port: what it tells, to whom, and what an operator may do there.

use std::collections::{BTreeMap, HashSet};

use http::Method;

use crate::support::client::Answer;
use crate::support::{Gateway, Refusing, Reply, Steady, Vendor};

fn upstream(id: &str, url: &str, more: &str) -> String {
    format!("  {id}: {{ vendor: openai-compatible, base_url: \"{url}\"{more} }}\n")
}

async fn pair(a: &Steady, b: &Steady) -> Gateway {
    let upstreams = upstream("a", &a.url(), ", keys: [k1, k2]") + &upstream("b", &b.url(), "");
    Gateway::start(&format!("upstreams:\n{upstreams}routes:\n  - {{ model: smart, targets: [a/m, b/m] }}\n"))
        .await
}

async fn explain(gateway: &Gateway, model: &str) -> Answer {
    gateway.admin_post("/admin/explain", format!(r#"{{"model":"{model}"}}"#)).await
}

#[tokio::test]
async fn the_admin_port_knows_its_paths_and_no_others() {
    let gateway = Gateway::start("").await;
    for (path, content) in [("/livez", "ok\n"), ("/readyz", "ready\n"), ("/readyz/", "ready\n")] {
        let answer = gateway.admin_get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, content), "{path}");
        let head = gateway.admin(Method::HEAD, path, &[], "").await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
    }
    for path in ["/", "/v1/models", "/v1/chat/completions", "/admin", "/admin/keys", "/metrics/x", "/livezz"]
    {
        assert_eq!(gateway.admin_get(path).await.status, 404, "{path}");
    }
    for path in ["/livez", "/admin/config", "/admin/upstreams/sim", "/admin/upstreams/none/drain"] {
        assert_eq!(gateway.admin_post(path, "").await.status, 404, "{path}");
    }
    // And calls are served beside none of it.
    for path in ["/livez", "/readyz", "/metrics", "/admin/config", "/admin/upstreams"] {
        let answer = gateway.get(path).await;
        assert!(!answer.text().contains("tollgate_") && !answer.text().contains("generation"), "{path}");
    }
}

#[tokio::test]
async fn probes_do_not_depend_on_vendors() {
    let nobody = Refusing::start();
    let probed = ", probe: { interval_ms: 100, down_after: 1 }, circuit: { failures: 1 }";
    let gateway = Gateway::start(&format!(
        "upstreams:\n{}  sim: {{ off: true }}\n",
        upstream("v", &nobody.url(), probed)
    ))
    .await;
    gateway.event_line("probe_down").await;
    assert_eq!(gateway.chat("v/m").await.status, 502);
    assert_eq!(gateway.upstream("v").await["probe"], "failed");
    assert!(gateway.metric("tollgate_probes_total", &[("upstream", "v"), ("result", "failed")]).await >= 1.0);
    for path in ["/livez", "/readyz"] {
        assert_eq!(gateway.admin_get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn upstreams_show_their_state_and_why_others_are_off() {
    let limited = Reply::status(429, "slow").header("retry-after", "60");
    let bad = Vendor::with([Reply::status(401, "no"), limited, Reply::chat("served")]).await;
    let more = ", keys: [k1, k2, k3], models: [m]";
    let yaml = format!(
        "upstreams:\n{}  dark: {{ vendor: openai, key: \"${{DARK_KEY}}\" }}\n  quiet: {{ vendor: openai, key: x, off: true }}\n",
        upstream("v", &bad.url(), more)
    );
    let gateway = Gateway::start(&yaml).await;
    assert_eq!(gateway.upstream("v").await["keys"], serde_json::json!(["usable", "usable", "usable"]));
    assert_eq!(gateway.chat("v/m").await.content(), "served");
    let shown = gateway.upstream("v").await;
    assert_eq!((shown["circuit"].as_str(), shown["drained"].as_bool()), (Some("closed"), Some(false)));
    let mut keys: Vec<&str> =
        shown["keys"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["cooling", "refused", "usable"]);
    let all = gateway.admin_get("/admin/upstreams").await.json();
    let why =
        |id: &str| all["off"].as_array().unwrap().iter().find(|it| it["id"] == id).unwrap()["reason"].clone();
    assert_eq!((why("dark"), why("quiet")), ("DARK_KEY is not set".into(), "`off: true`".into()));
    let states = gateway.metrics().await;
    let states: Vec<f64> =
        states.into_iter().filter(|it| it.0.starts_with("tollgate_key_state{")).map(|it| it.1).collect();
    assert_eq!(states.iter().sum::<f64>(), 3.0, "one key cools, one is refused: {states:?}");
}

#[tokio::test]
async fn a_drained_upstream_gets_no_calls_until_it_is_enabled() {
    let (a, b) = (Steady::start("a").await, Steady::start("b").await);
    let gateway = pair(&a, &b).await;
    assert_eq!(gateway.chat("smart").await.content(), "a");
    let answer = gateway.admin_post("/admin/upstreams/a/drain", "").await.json();
    assert_eq!((answer["id"].as_str(), answer["drained"].as_bool()), (Some("a"), Some(true)));
    gateway.event_line("upstream_drained").await;
    assert_eq!(gateway.chat("smart").await.content(), "b");
    // There is no other for this one, and a drain is an order.
    let refused = gateway.chat("a/m").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after").is_some()), (503, true));
    assert_eq!(gateway.metric("tollgate_circuit_state", &[("upstream", "a")]).await, 3.0);
    let plan = explain(&gateway, "smart").await.json();
    assert_eq!(
        (plan["candidates"][0]["upstream"].as_str(), plan["excluded"][0]["upstream"].as_str()),
        (Some("b"), Some("a"))
    );
    assert!(plan["excluded"][0]["reason"].as_str().unwrap().contains("drain"), "{plan:#}");
    assert_eq!(gateway.admin_post("/admin/upstreams/a/enable", "").await.json()["drained"], false);
    assert_eq!(gateway.chat("smart").await.content(), "a");
    assert_eq!(a.seen().len(), 2);
}

#[tokio::test]
async fn explain_says_where_a_call_would_go_and_sends_nothing() {
    let (a, b) = (Steady::start("a").await, Steady::start("b").await);
    let gateway = pair(&a, &b).await;
    let plan = explain(&gateway, "smart").await.json();
    assert_eq!((plan["route"].as_str(), plan["policy"].as_str()), (Some("smart"), Some("priority")));
    let places: Vec<_> = plan["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["place"], &it["upstream"], &it["model"]))
        .collect();
    assert_eq!(
        format!("{places:?}"),
        r#"[(Number(1), String("a"), String("m")), (Number(2), String("b"), String("m"))]"#
    );
    assert!(plan["candidates"][0]["reason"].as_str().is_some_and(|it| !it.is_empty()));
    let whole = r#"{"model":"b/x","messages":[{"role":"user","content":"hi"}],"stream":true}"#;
    let plan = gateway.admin_post("/admin/explain", whole).await.json();
    assert_eq!(
        (plan["candidates"][0]["upstream"].as_str(), plan["candidates"][0]["model"].as_str()),
        (Some("b"), Some("x"))
    );
    let unknown = explain(&gateway, "smrt").await;
    assert_eq!((unknown.status.as_u16(), unknown.error()["code"].as_str()), (404, Some("model_not_found")));
    for body in ["", "{}", "[]", "{\"model\":1}"] {
        assert_eq!(gateway.admin_post("/admin/explain", body).await.status, 400, "{body}");
    }
    assert!(a.seen().is_empty() && b.seen().is_empty());
}

#[tokio::test]
async fn beyond_loopback_admin_needs_its_key_and_probes_do_not() {
    let without = Gateway::start("admin: 0.0.0.0:0\n").await;
    let with =
        Gateway::start_with("admin: 0.0.0.0:0\nadmin_key: \"${ADMIN}\"\n", &[("ADMIN", "admin-key")]).await;
    for path in ["/admin/upstreams", "/admin/config"] {
        let refused = without.admin_get(path).await;
        assert_eq!(
            (refused.status.as_u16(), refused.error()["code"].as_str()),
            (403, Some("admin_key_not_set"))
        );
        for (key, status) in
            [("Bearer admin-key", 200), ("Bearer admin-kez", 401), ("Bearer ", 401), ("admin-key", 401)]
        {
            assert_eq!(
                with.admin(Method::GET, path, &[("authorization", key)], "").await.status,
                status,
                "{key}"
            );
        }
        assert_eq!(with.admin_get(path).await.status, 401);
    }
    for path in ["/admin/upstreams/sim/drain", "/admin/explain"] {
        assert_eq!(without.admin_post(path, r#"{"model":"sim/x"}"#).await.status, 403, "{path}");
        assert_eq!(with.admin_post(path, r#"{"model":"sim/x"}"#).await.status, 401, "{path}");
    }
    for gateway in [&without, &with] {
        for path in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(gateway.admin_get(path).await.status, 200, "{path}");
        }
        assert_eq!(gateway.chat("sim/m:tokens-1").await.status, 200, "the drain was refused");
    }
}

#[tokio::test]
async fn an_admin_key_is_asked_for_on_loopback_too() {
    let gateway = Gateway::start("admin_key: admin-key\n").await;
    assert_eq!(gateway.admin_get("/admin/config").await.status, 401);
    let key = [("authorization", "Bearer admin-key")];
    assert_eq!(gateway.admin(Method::GET, "/admin/config", &key, "").await.json()["generation"], 1);
}

/// A page of /metrics, read as strictly as Prometheus reads it (text format 0.0.4).
#[derive(Default)]
struct Page {
    types: BTreeMap<String, String>,
    helped: HashSet<String>,
    samples: BTreeMap<String, f64>,
}

impl Page {
    fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends as well");
        let mut page = Self::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("help is not empty");
                assert!(!help.is_empty() && page.helped.insert(name.to_owned()), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(page.types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            } else {
                page.sample(line);
            }
        }
        page
    }

    fn sample(&mut self, line: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let name = series.split('{').next().unwrap();
        assert!(name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_'), "{line}");
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|it| name.strip_suffix(it));
        let family =
            family.filter(|it| self.types.get(*it).is_some_and(|it| it == "histogram")).unwrap_or(name);
        let kind = self.types.get(family).unwrap_or_else(|| panic!("no type: {line}"));
        assert!(kind != "counter" || (name.ends_with("_total") && value >= 0.0), "{line}");
        assert!(self.samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
    }

    /// Buckets do not fall, and the last one holds all.
    fn check_histograms(&self) {
        let mut last: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (series, value) in &self.samples {
            let Some((name, labels)) = series.split_once("_bucket{") else { continue };
            let (labels, bound) = labels.trim_end_matches('}').rsplit_once("le=\"").expect("le comes last");
            let bound = bound.trim_end_matches('"').replace("+Inf", "inf").parse().unwrap();
            last.entry(format!("{name}_count{{{}}}", labels.trim_end_matches(',')))
                .or_default()
                .push((bound, *value));
        }
        assert!(!last.is_empty());
        for (count, mut buckets) in last {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.windows(2).all(|it| it[0].1 <= it[1].1), "{count}: {buckets:?}");
            let (bound, all) = *buckets.last().unwrap();
            assert_eq!((bound, Some(&all)), (f64::INFINITY, self.samples.get(&count)), "{count}");
        }
    }
}

#[tokio::test]
async fn metrics_are_what_prometheus_reads() {
    let (a, b) = (Steady::start("a").await, Steady::start("b").await);
    let gateway = pair(&a, &b).await;
    for model in ["smart", "a/m", "b/m", "unknown", "sim/m:tokens-3"] {
        gateway.chat(model).await;
        gateway.stream(model).await;
    }
    let answer = gateway.admin_get("/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let page = Page::read(&answer.text());
    page.check_histograms();
    for (family, kind) in [
        ("tollgate_requests_total", "counter"),
        ("tollgate_request_duration_seconds", "histogram"),
        ("tollgate_time_to_first_token_seconds", "histogram"),
        ("tollgate_tokens_total", "counter"),
        ("tollgate_attempts_total", "counter"),
        ("tollgate_calls_in_flight", "gauge"),
        ("tollgate_circuit_state", "gauge"),
        ("tollgate_key_state", "gauge"),
        ("tollgate_upstream_connections", "gauge"),
        ("tollgate_config_reloads_total", "counter"),
        ("tollgate_build_info", "gauge"),
        ("process_resident_memory_bytes", "gauge"),
    ] {
        assert_eq!(page.types.get(family).map(String::as_str), Some(kind), "{family}");
        assert!(page.helped.contains(family), "{family}");
    }
}

#[tokio::test]
async fn what_clients_send_makes_no_series() {
    let (a, b) = (Steady::start("a").await, Steady::start("b").await);
    let gateway = pair(&a, &b).await;
    let series = async || gateway.metrics().await.len();
    gateway.chat("a/m").await;
    gateway.chat("unknown").await;
    let before = series().await;
    for number in 0..50 {
        gateway.chat(&format!("a/planted-{number}")).await;
        gateway.chat(&format!("planted-{number}")).await;
        gateway.get(&format!("/v1/planted-{number}")).await;
    }
    // Only the route of calls that name no model is new.
    let text = gateway.admin_get("/metrics").await.text();
    assert!(!text.contains("planted"), "{text}");
    let (after, once) = (series().await, before + 60);
    assert!(after < once, "{before} series became {after}");
}
