//! The command as a person or a pipeline runs it: what it prints, where, and its exit codes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::client::{open, request};
use crate::support::gateway::binary;
use crate::support::{Sim, within};

/// A folder with files of its own, in which commands run; it goes away with its test.
pub struct Folder(PathBuf);

/// What a command said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Folder {
    pub fn with(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("cli-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        for (name, content) in files {
            std::fs::write(path.join(name), content).unwrap();
        }
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub async fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, &[]).await
    }

    async fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(&self.0)
            .env_clear()
            .envs(environment.iter().copied())
            .kill_on_drop(true);
        let output = within("the end of a command", command.output()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const GOOD: &str = "discover: false
clients: { shop: { key: shop-key } }
upstreams:
  a: { vendor: openai-compatible, base_url: \"http://127.0.0.1:9/v1\", prefixes: [a-] }
  b: { vendor: openai-compatible, base_url: \"http://127.0.0.1:9/v1\" }
  dark: { vendor: openai, key: \"${DARK_KEY}\" }
routes:
  - { model: smart, targets: [a/one, b/two, dark/three] }
";

#[tokio::test]
async fn check_passes_a_good_file_and_says_what_it_means() {
    let folder = Folder::with(&[("gateway.yaml", GOOD), ("other.yaml", "discover: false\n")]);
    let said = folder.run(&["check"]).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    for text in [
        "gateway.yaml: no faults",
        "a, b, sim",
        "dark: DARK_KEY is not set",
        "routes  1",
        "clients 1",
        "warning",
    ] {
        assert!(said.out.contains(text), "{text}: {}", said.out);
    }
    let said = folder.run_with(&["check"], &[("DARK_KEY", "dark")]).await;
    assert!(said.out.contains("a, b, dark, sim"), "{}", said.out);
    for said in [
        folder.run(&["check", "--config", "other.yaml"]).await,
        folder.run(&["--config", "other.yaml", "check"]).await,
        folder.run_with(&["check"], &[("TOLLGATE_CONFIG", "other.yaml")]).await,
    ] {
        assert!(
            said.code == Some(0) && said.out.starts_with("other.yaml: no faults"),
            "{}{}",
            said.out,
            said.err
        );
    }
    let said = Folder::with(&[]).run(&["check"]).await;
    assert!(said.code == Some(0) && said.out.contains("the environment alone"), "{}{}", said.out, said.err);
}

/// The file has these faults, in this order and no others; `check` and `serve` say the same.
async fn check(yaml: &str, expected: &[&str]) {
    let folder = Folder::with(&[("gateway.yaml", yaml)]);
    for command in ["check", "serve"] {
        let said = folder.run(&[command, "--config", "gateway.yaml"]).await;
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{command} {yaml}: {}", said.err);
        let lines: Vec<&str> = said.err.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{yaml}: {lines:#?}");
        for (line, start) in lines.iter().zip(expected) {
            let fault = line.strip_prefix("gateway.yaml:").unwrap_or(line);
            assert!(fault.starts_with(start), "{yaml}: {start} against {lines:#?}");
        }
    }
}

#[tokio::test]
async fn check_names_every_fault_with_its_place() {
    check(
        "limits:\n  calls_max: 0\n  body_max: 5\n",
        &["2:14: `limits.calls_max`", "3:3: `limits.body_max`"],
    )
    .await;
    check("listen: 1\nadmin: x\n", &["1:9: `listen`", "2:8: `admin`"]).await;
    check(
        "upstreams:\n  a: { vendor: openai-compatible }\n  b: { vendor: opnai, key: x }\nroutes:\n  - { model: m, targets: [c] }\n  - { prefix: x-, targets: [] }\n",
        &["2:3: ", "3:16: ", "5:27: ", "6:"],
    )
    .await;
    check("listen: 0.0.0.0:8080\n", &["1:9: `listen` reaches beyond this machine"]).await;
    check("clients:\n  a: { key: same }\n  b: { key: same }\n", &["3:"]).await;
    check("tls: { cert: none.pem, key: none.pem }\n", &["1:14: `none.pem` cannot be read", "1:29: "]).await;
    check("a: [1\nb: }\n", &["2:"]).await;
    check("listen: ${NOT_SET}\n", &["1:9: NOT_SET is not set"]).await;
}

#[tokio::test]
async fn check_names_the_faults_of_both_kinds_together() {
    let yaml =
        "limitz: {}\nupstreams:\n  b: { vendor: opnai, key: x }\nroutes:\n  - { model: m, targets: [c] }\n";
    check(yaml, &["1:1: `limitz`", "3:16: ", "5:27: "]).await;
}

#[tokio::test]
async fn check_refuses_what_is_no_configuration() {
    let folder = Folder::with(&[("binary.yaml", "a\0b")]);
    for (file, text) in
        [("none.yaml", "none.yaml: cannot be read"), (".", ""), ("binary.yaml", "binary.yaml:")]
    {
        let said = folder.run(&["check", "--config", file]).await;
        assert!(
            said.code == Some(1) && said.out.is_empty() && said.err.contains(text),
            "{file}: {}",
            said.err
        );
        assert!(!said.err.contains("panicked"), "{}", said.err);
    }
    let folder = Folder::with(&[(".env", "OPENAI_API_KEY=k\nthis is no pair\n")]);
    let said = folder.run(&["check"]).await;
    assert!(said.code == Some(1) && said.err.contains(".env:2:1: "), "{}", said.err);
}

#[tokio::test]
async fn explain_prints_the_plan_for_a_model_or_a_body() {
    let body = r#"{"messages":[{"content":"{\"model\":\"b\"}"}],"model":"a-nine"}"#;
    let folder =
        Folder::with(&[("gateway.yaml", GOOD), ("body.json", body), ("none.json", "{}"), ("bad.json", "{")]);
    let said = folder.run(&["explain", "--model", "smart"]).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let plan: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((plan["model"].as_str(), plan["route"].as_str()), (Some("smart"), Some("smart")));
    let upstreams: Vec<_> = plan["candidates"].as_array().unwrap().iter().map(|it| &it["upstream"]).collect();
    assert_eq!(upstreams, ["a", "b"]);
    let said = folder.run(&["explain", "--body", "body.json"]).await;
    let plan: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (plan["model"].as_str(), plan["candidates"][0]["model"].as_str()),
        (Some("a-nine"), Some("a-nine"))
    );
    for (arguments, code, text) in [
        (&["explain", "--model", "smrt"][..], 1, "`smart`"),
        (&["explain", "--body", "none.json"], 1, "none.json"),
        (&["explain", "--body", "bad.json"], 1, "bad.json"),
        (&["explain", "--body", "absent.json"], 1, "absent.json"),
        (&["explain"], 2, "--model"),
    ] {
        let said = folder.run(arguments).await;
        assert_eq!((said.code, said.out.as_str()), (Some(code), ""), "{arguments:?}");
        assert!(said.err.contains(text), "{arguments:?}: {}", said.err);
    }
}

#[tokio::test]
async fn explain_names_targets_that_are_off_and_why() {
    let folder = Folder::with(&[("gateway.yaml", GOOD)]);
    let plan: Value = serde_json::from_str(&folder.run(&["explain", "--model", "smart"]).await.out).unwrap();
    let excluded = plan["excluded"].as_array().unwrap();
    let dark = excluded.iter().find(|it| it["upstream"] == "dark").unwrap_or_else(|| panic!("{plan:#}"));
    assert!(dark["reason"].as_str().unwrap().contains("DARK_KEY"), "{dark}");
}

/// The keys of the shipped file at its outermost level, switched on or not.
fn shipped_keys() -> Vec<String> {
    let text = include_str!("../../gateway.yaml");
    let keys = text.lines().filter_map(|line| {
        let (key, _) = line.strip_prefix('#').unwrap_or(line).split_once(':')?;
        let is_key = !key.is_empty() && key.chars().all(|it| it.is_ascii_lowercase() || it == '_');
        is_key.then(|| key.to_owned())
    });
    keys.collect()
}

#[tokio::test]
async fn the_schema_is_json_and_knows_the_shipped_files_options() {
    let said = Folder::with(&[]).run(&["schema"]).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let schema: Value = serde_json::from_str(&said.out).unwrap();
    assert!(schema["$schema"].as_str().unwrap().starts_with("https://json-schema.org/"));
    assert_eq!((&schema["title"], &schema["additionalProperties"]), (&json!("gateway.yaml"), &json!(false)));
    let mut known: Vec<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut shipped = shipped_keys();
    known.sort_unstable();
    shipped.sort_unstable();
    assert_eq!(known, shipped);
    // Every reference leads somewhere.
    for name in said.out.split("#/$defs/").skip(1).map(|it| it.split('"').next().unwrap()) {
        assert!(schema["$defs"][name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn the_shipped_file_has_no_fault() {
    let folder = Folder::with(&[("gateway.yaml", include_str!("../../gateway.yaml"))]);
    let said = folder.run(&["check"]).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn sim_serves_alone_and_fails_as_it_is_told() {
    let sim = Sim::start(&["--tokens", "3", "--first-token-ms", "0", "--tokens-per-s", "0"]).await;
    let failing = Sim::start(&["--fail-share", "1", "--fail-status", "429"]).await;
    let ask = async |sim: &Sim| {
        let to = sim.url().trim_start_matches("http://").trim_end_matches("/v1").parse().unwrap();
        let body = r#"{"model":"any","messages":[{"role":"user","content":"hi"}]}"#;
        let headers = [("content-type", "application/json")];
        open(to, request(to, http::Method::POST, "/v1/chat/completions", &headers, body)).await.rest().await
    };
    let answer = ask(&sim).await;
    assert_eq!((answer.status.as_u16(), answer.content().split(' ').count()), (200, 3));
    assert_eq!(ask(&failing).await.status, 429);
    let folder = Folder::with(&[]);
    for arguments in
        [&["sim", "--tokens", "0"][..], &["sim", "--fail-share", "2"], &["sim", "--fail-status", "200"]]
    {
        let said = folder.run(arguments).await;
        assert!(said.code == Some(1) && !said.err.is_empty(), "{arguments:?}: {}", said.err);
    }
    assert_eq!(folder.run(&["sim", "--listen", "nowhere"]).await.code, Some(2));
}

#[tokio::test]
async fn help_and_version_go_to_standard_output() {
    let folder = Folder::with(&[]);
    for (arguments, text) in [(["--help"], "explain"), (["--version"], env!("CARGO_PKG_VERSION"))] {
        let said = folder.run(&arguments).await;
        assert!(
            said.code == Some(0) && said.err.is_empty() && said.out.contains(text),
            "{}{}",
            said.out,
            said.err
        );
    }
    let said = folder.run(&["serv"]).await;
    assert!(said.code == Some(2) && said.out.is_empty() && said.err.contains("serve"), "{}", said.err);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_and_nothing_hangs() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = taken.local_addr().unwrap().to_string();
    for (listen, admin) in [(at.as_str(), "127.0.0.1:0"), ("127.0.0.1:0", &at)] {
        let folder = Folder::with(&[(
            "gateway.yaml",
            &format!("listen: {listen}\nadmin: {admin}\ndiscover: false\n"),
        )]);
        let said = folder.run(&[]).await;
        assert!(said.code == Some(1) && said.err.contains(&format!("cannot listen on {at}")), "{}", said.err);
    }
}
