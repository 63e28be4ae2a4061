//! A configuration that changes while calls are served: nothing is dropped, nothing is mixed, nothing bad gets in.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use serde_json::Value;

use crate::support::client::{chat_body, open, request};
use crate::support::{Gate, Gateway, Reply, Seen, Steady, Vendor, delta, finish, until};

/// One route `smart` to the upstream `v` at `url`, whose requests say which configuration they come from.
fn marked(mark: &str, url: &str) -> String {
    format!(
        "upstreams:\n  v: {{ vendor: openai-compatible, base_url: \"{url}\", headers: {{ x-mark: {mark} }} }}\n\
         routes:\n  - {{ model: smart, targets: [v/model-{mark}], defaults: {{ mark: {mark} }} }}\n"
    )
}

/// The marks of a request, which must agree.
fn marks(seen: &Seen) -> String {
    let body = seen.json();
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let model = text(&body["model"]).replace("model-", "");
    format!("{} {} {model}", seen.header("x-mark").unwrap_or_default(), text(&body["mark"]))
}

async fn marking() -> Steady {
    Steady::saying(marks).await
}

/// Waits until the configuration with that number serves.
async fn generation(gateway: &Gateway, number: u64) {
    gateway.wait_for_log(|it| it["event"] == "config_reloaded" && it["generation"] == number).await;
}

/// Puts a file in place as editors and deployments do: written beside, renamed over.
fn rename_over(gateway: &Gateway, name: &str, content: &str) {
    let folder = gateway.config_path();
    let folder = folder.parent().unwrap();
    gateway.write_file(&format!("{name}.new"), content);
    std::fs::rename(folder.join(format!("{name}.new")), folder.join(name)).unwrap();
}

#[tokio::test]
async fn a_file_edited_in_place_takes_effect_by_itself() {
    let vendor = marking().await;
    let gateway = Gateway::start(&marked("one", &vendor.url())).await;
    assert_eq!(gateway.chat("smart").await.content(), "one one one");
    for (number, mark) in [(2, "two"), (3, "three")] {
        gateway.write_config(&marked(mark, &vendor.url()));
        generation(&gateway, number).await;
        assert_eq!(gateway.chat("smart").await.content(), format!("{mark} {mark} {mark}"));
    }
    let shown = gateway.admin_get("/admin/config").await.json();
    assert_eq!(
        (shown["generation"].as_u64(), shown["last_faults"].as_array().map(Vec::len)),
        (Some(3), Some(0))
    );
    assert_eq!(gateway.metric("tollgate_config_generation", &[]).await, 3.0);
    assert_eq!(gateway.metric("tollgate_config_reloads_total", &[("result", "ok")]).await, 2.0);
}

#[tokio::test]
async fn a_file_renamed_over_the_old_one_takes_effect_again_and_again() {
    let vendor = marking().await;
    let gateway = Gateway::start(&marked("one", &vendor.url())).await;
    let template = std::fs::read_to_string(gateway.config_path()).unwrap();
    for (number, mark) in [(2, "two"), (3, "three")] {
        rename_over(&gateway, "gateway.yaml", &template.replace("one", mark));
        generation(&gateway, number).await;
        assert_eq!(gateway.chat("smart").await.content(), format!("{mark} {mark} {mark}"));
    }
}

/// Lays a version out the way a kubelet does, and swaps `..data` to it.
fn swap(folder: &Path, version: &str, files: &[(&str, String)]) {
    use std::os::unix::fs::symlink;
    let real = folder.join(format!("..{version}"));
    std::fs::create_dir(&real).unwrap();
    for (name, content) in files {
        std::fs::write(real.join(name), content).unwrap();
    }
    symlink(format!("..{version}"), folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    for (name, _) in files {
        let link = folder.join(format!("{name}.link"));
        symlink(Path::new("..data").join(name), &link).unwrap();
        std::fs::rename(link, folder.join(name)).unwrap();
    }
}

#[tokio::test]
async fn a_config_map_swap_takes_effect_with_all_its_files_at_once() {
    let vendor = Steady::saying(|it| format!("{} {}", marks(it), it.header("authorization").unwrap())).await;
    let yaml = |mark: &str| marked(mark, &vendor.url()).replace("headers:", "key_file: key, headers:");
    let gateway = Gateway::start_among(&yaml("one"), &[], &[("key", "key-one")]).await;
    let template = std::fs::read_to_string(gateway.config_path()).unwrap();
    let folder = gateway.config_path();
    // From plain files to links is a change like any other; then come the swaps.
    for (number, mark) in [(2, "two"), (3, "three"), (4, "four")] {
        let files = [("gateway.yaml", template.replace("one", mark)), ("key", format!("key-{mark}"))];
        swap(folder.parent().unwrap(), mark, &files);
        generation(&gateway, number).await;
        assert_eq!(gateway.chat("smart").await.content(), format!("{mark} {mark} {mark} Bearer key-{mark}"));
    }
}

#[tokio::test]
async fn a_key_file_that_changes_is_read_again() {
    let vendor = Steady::saying(|it| it.header("authorization").unwrap_or("none").to_owned()).await;
    let yaml = format!(
        "clients: {{ shop: {{ key_file: shop.keys }} }}\n\
         upstreams:\n  v: {{ vendor: openai-compatible, base_url: \"{}\", key_file: v.keys }}\n",
        vendor.url()
    );
    let gateway =
        Gateway::start_among(&yaml, &[], &[("shop.keys", "old-client\n"), ("v.keys", "old\n")]).await;
    let chat = async |key: &str| {
        let headers = [("content-type", "application/json"), ("api-key", key)];
        let path = "/v1/chat/completions";
        open(
            gateway.calls,
            request(gateway.calls, http::Method::POST, path, &headers, chat_body("v/m", false)),
        )
        .await
        .rest()
        .await
    };
    assert_eq!(chat("old-client").await.content(), "Bearer old");
    gateway.write_file("v.keys", "new\n");
    generation(&gateway, 2).await;
    assert_eq!(chat("old-client").await.content(), "Bearer new");
    rename_over(&gateway, "shop.keys", "new-client\n");
    generation(&gateway, 3).await;
    assert_eq!(
        (chat("old-client").await.status.as_u16(), chat("new-client").await.status.as_u16()),
        (401, 200)
    );
}

#[tokio::test]
async fn sighup_reads_the_file_at_once_and_says_so_though_nothing_changed() {
    let vendor = marking().await;
    let gateway = Gateway::start(&marked("one", &vendor.url())).await;
    gateway.signal("HUP");
    gateway.event_line("config_unchanged").await;
    gateway.write_config(&marked("two", &vendor.url()));
    gateway.signal("HUP");
    generation(&gateway, 2).await;
    assert_eq!(gateway.chat("smart").await.content(), "two two two");
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_what_is_wrong_where() {
    let vendor = marking().await;
    let gateway = Gateway::start(&marked("one", &vendor.url())).await;
    let good = std::fs::read_to_string(gateway.config_path()).unwrap();
    let first = good.lines().count() + 1;
    for (bad, place, word) in [
        (format!("{good}limits: {{ calls_max: 0 }}\n"), format!("gateway.yaml:{first}:22: "), "calls_max"),
        (format!("{good}limitz: {{}}\n"), format!("gateway.yaml:{first}:1: "), "limitz"),
        (good.replace("v/model-one", "w/model-one"), "gateway.yaml:10:".to_owned(), "`w`"),
        (format!("{good}cors: {{ origins: [\n"), "gateway.yaml:".to_owned(), "unclosed"),
    ] {
        rename_over(&gateway, "gateway.yaml", &bad);
        let is_told =
            |it: &Value| it["event"] == "config_refused" && it["fault"].as_str().unwrap().contains(word);
        let told = gateway.wait_for_log(is_told).await;
        let fault = told["fault"].as_str().unwrap();
        assert!(fault.starts_with(&place), "{fault}");
        let shown = async || gateway.admin_get("/admin/config").await.json()["last_faults"][0] == fault;
        until("the fault at /admin/config", shown).await;
        let ready = gateway.admin_get("/readyz").await;
        assert!(ready.status == 200 && ready.text().contains(fault), "{}", ready.text());
        assert_eq!(gateway.chat("smart").await.content(), "one one one");
    }
    assert_eq!(gateway.admin_get("/admin/config").await.json()["generation"], 1);
    assert_eq!(gateway.metric("tollgate_config_reloads_total", &[("result", "failed")]).await, 4.0);
    assert_eq!(gateway.metric("tollgate_config_last_reload_success", &[]).await, 0.0);
    rename_over(&gateway, "gateway.yaml", &good.replace("one", "two"));
    generation(&gateway, 2).await;
    assert_eq!(gateway.chat("smart").await.content(), "two two two");
    assert_eq!(gateway.admin_get("/readyz").await.text(), "ready\n");
    assert_eq!(gateway.metric("tollgate_config_last_reload_success", &[]).await, 1.0);
}

#[tokio::test]
async fn a_bad_file_that_is_taken_back_leaves_no_alarm_behind() {
    let vendor = marking().await;
    let gateway = Gateway::start(&marked("one", &vendor.url())).await;
    let good = std::fs::read_to_string(gateway.config_path()).unwrap();
    rename_over(&gateway, "gateway.yaml", &format!("{good}limitz: {{}}\n"));
    gateway.event_line("config_refused").await;
    rename_over(&gateway, "gateway.yaml", &good);
    gateway.event_line("config_restored").await;
    assert_eq!(gateway.admin_get("/readyz").await.text(), "ready\n");
    assert_eq!(gateway.admin_get("/admin/config").await.json()["last_faults"].as_array().unwrap().len(), 0);
    assert_eq!(gateway.metric("tollgate_config_last_reload_success", &[]).await, 1.0);
}

#[tokio::test]
async fn a_reload_never_opens_a_port_that_others_reach() {
    let vendor = marking().await;
    let closed = format!(
        "listen: 0.0.0.0:0\nclients: {{ shop: {{ key: shop-key }} }}\n{}",
        marked("one", &vendor.url())
    );
    let gateway = Gateway::start(&closed).await;
    let unknown = async || {
        let mut raw = gateway.raw().await;
        let body = chat_body("smart", false);
        let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        raw.write(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await;
        raw.rest().await
    };
    assert!(unknown().await.starts_with("HTTP/1.1 401 "));
    // A file cut short, or an honest edit: the port stays as wide as it was bound, so it must stay closed.
    gateway.write_config(&format!("listen: 127.0.0.1:0\nauth: keys\n{}", marked("two", &vendor.url())));
    gateway.signal("HUP");
    gateway.wait_for_log(|it| it["event"] == "config_reloaded" || it["event"] == "config_refused").await;
    assert!(unknown().await.starts_with("HTTP/1.1 401 "));
    assert!(vendor.seen().is_empty());
}

/// Calls until `stop`, each on its own connection or all on one; counts what was served and fails on the first error.
async fn load(gateway: Arc<Gateway>, stop: Arc<AtomicBool>, served: Arc<AtomicUsize>) {
    while !stop.load(Relaxed) {
        let answer = gateway.chat("smart").await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let content = answer.content();
        let marks: Vec<&str> = content.split(' ').collect();
        let model = answer.header("x-tollgate-model").unwrap();
        assert!(
            marks.iter().all(|it| *it == marks[0] && model == format!("model-{it}")),
            "{content} {model}"
        );
        served.fetch_add(1, Relaxed);
    }
}

#[tokio::test]
async fn two_hundred_reloads_under_load_lose_and_mix_nothing() {
    let vendor = marking().await;
    let gateway =
        Arc::new(Gateway::start(&format!("log: {{ calls: false }}\n{}", marked("m1", &vendor.url()))).await);
    let template = std::fs::read_to_string(gateway.config_path()).unwrap();
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..4)
        .map(|_| tokio::spawn(load(Arc::clone(&gateway), Arc::clone(&stop), Arc::clone(&served))))
        .collect();
    for number in 2..=201 {
        rename_over(&gateway, "gateway.yaml", &template.replace("m1", &format!("m{number}")));
        gateway.signal("HUP");
        generation(&gateway, number).await;
    }
    stop.store(true, Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    assert!(served.load(Relaxed) >= 200, "{served:?} calls are no load");
    assert_eq!(gateway.metric("tollgate_config_reloads_total", &[("result", "failed")]).await, 0.0);
    assert_eq!(gateway.metric("tollgate_config_generation", &[]).await, 201.0);
    assert_eq!(gateway.chat("smart").await.content(), "m201 m201 m201");
}

#[tokio::test]
async fn a_stream_outlives_the_reload_that_removes_its_upstream() {
    let gate = Gate::new();
    let vendor = Vendor::with([Reply::stream([delta("before")])
        .gate(&gate)
        .piece(delta("after"))
        .piece(finish())
        .done()])
    .await;
    let other = Steady::start("other").await;
    let upstream =
        |id: &str, url: &str| format!("  {id}: {{ vendor: openai-compatible, base_url: \"{url}\" }}\n");
    let stays = format!("upstreams:\n{}", upstream("b", &other.url()));
    let gateway = Gateway::start(&format!("{stays}{}", upstream("a", &vendor.url()))).await;
    let mut stream = gateway.open_stream("a/m").await;
    stream.read_until("before").await;
    gateway.write_config(&stays);
    generation(&gateway, 2).await;
    assert_eq!(gateway.chat("a/m").await.error()["code"], "model_not_found");
    gate.open();
    let answer = stream.rest().await;
    assert!(answer.whole && answer.text().contains("after") && answer.text().contains("[DONE]"));
    let line = gateway.wait_for_log(|it| it["event"] == "call" && it["upstream"] == "a").await;
    assert_eq!(line["ended"], "complete");
    assert_eq!(gateway.chat("b/m").await.content(), "other");
    let left: Vec<_> = gateway
        .metrics()
        .await
        .into_keys()
        .filter(|it| it.contains("\"a\"") || it.contains("\"a/*\""))
        .collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[tokio::test]
async fn an_unchanged_upstream_keeps_its_connection_and_what_is_known_of_it() {
    let good = Vendor::with([Reply::chat("1"), Reply::chat("2")]).await;
    let bad = Vendor::with([Reply::status(500, "down")]).await;
    let (drained, changed) = (Steady::start("drained").await, Steady::start("changed").await);
    let yaml = |team: &str| {
        let upstream = |id: &str, url: &str, more: &str| {
            format!("  {id}: {{ vendor: openai-compatible, base_url: \"{url}\"{more} }}\n")
        };
        let circuit = ", circuit: { failures: 1, open_ms: 60000 }";
        ["upstreams:\n".to_owned(), upstream("good", &good.url(), ""), upstream("bad", &bad.url(), circuit)]
            .concat()
            + &upstream("drained", &drained.url(), "")
            + &upstream("changed", &changed.url(), &format!(", headers: {{ x-team: {team} }}"))
    };
    let gateway = Gateway::start(&yaml("red")).await;
    assert_eq!(gateway.chat("good/m").await.content(), "1");
    assert_eq!(gateway.chat("changed/m").await.content(), "changed");
    assert_eq!(gateway.chat("bad/m").await.status, 500);
    for id in ["drained", "changed"] {
        gateway.admin_post(&format!("/admin/upstreams/{id}/drain"), "").await;
    }
    gateway.write_config(&yaml("blue"));
    generation(&gateway, 2).await;
    assert_eq!(gateway.chat("good/m").await.content(), "2");
    assert_eq!(good.request(1).await.connection, 0);
    assert_eq!(gateway.upstream("bad").await["circuit"], "open");
    assert_eq!(gateway.upstream("drained").await["drained"], true);
    // What an operator drained stays drained, though its configuration changed.
    assert_eq!(gateway.upstream("changed").await["drained"], true);
}

#[tokio::test]
async fn what_a_reload_removes_disappears_from_the_metrics() {
    let (a, b) = (Steady::start("a").await, Steady::start("b").await);
    let upstream = |id: &str, url: &str| {
        format!(
            "  {id}: {{ vendor: openai-compatible, base_url: \"{url}\", keys: [k1, k2], default_model: m }}\n"
        )
    };
    let with_b = format!(
        "upstreams:\n{}{}routes:\n  - {{ model: smart, targets: [b/m, a/m] }}\n  - {{ prefix: x-, targets: [b] }}\n",
        upstream("a", &a.url()),
        upstream("b", &b.url())
    );
    let gateway = Gateway::start(&with_b).await;
    for model in ["a/m", "b/m", "b", "smart", "x-1"] {
        assert_eq!(gateway.chat(model).await.status, 200, "{model}");
    }
    let named = async |name: &str| -> Vec<String> {
        let name = format!("=\"{name}\"");
        gateway.metrics().await.into_keys().filter(|it| it.contains(&name)).collect()
    };
    assert!(
        !named("b").await.is_empty() && !named("smart").await.is_empty() && !named("x-").await.is_empty()
    );
    gateway.write_config(&format!(
        "upstreams:\n{}routes:\n  - {{ model: smart, targets: [a/m] }}\n",
        upstream("a", &a.url())
    ));
    generation(&gateway, 2).await;
    for gone in ["b", "b/*", "x-"] {
        assert_eq!(named(gone).await, Vec::<String>::new());
    }
    assert_eq!(gateway.chat("smart").await.content(), "a");
    assert_eq!(
        gateway.metric("tollgate_requests_total", &[("route", "smart"), ("upstream", "a")]).await,
        1.0
    );
    assert_eq!(gateway.metric("tollgate_requests_total", &[("route", "a/*")]).await, 1.0);
}

#[tokio::test]
async fn ports_wait_for_the_next_start_and_the_log_says_so() {
    let vendor = marking().await;
    let gateway = Gateway::start(&marked("one", &vendor.url())).await;
    let moved = std::fs::read_to_string(gateway.config_path()).unwrap().replace("one", "two");
    rename_over(&gateway, "gateway.yaml", &moved.replace("listen: 127.0.0.1:0", "listen: 127.0.0.2:0"));
    gateway.event_line("restart_needed").await;
    generation(&gateway, 2).await;
    assert_eq!(gateway.chat("smart").await.content(), "two two two");
}
