//! Prices as operators meet them: `tollgate prices`, what `tollgate check` notes, and reloads that bring new ones.

use serde_json::Value;

use crate::cli::Folder;
use crate::support::gateway::Gateway;
use crate::support::steady::Steady;

const PRICED: &str = "discover: false
upstreams:
  openai: { key: k }
  local: { vendor: openai-compatible, base_url: \"http://127.0.0.1:9/v1\", price: { input: 0, output: 0 } }
  bare: { vendor: openai-compatible, base_url: \"http://127.0.0.1:9/v1\", models: [listed] }
prices:
  rows:
    - { vendor: openai, model: gpt-5.4, from: 2020-01-01, input: 0.0375, output: 2, source: our contract }
    - { upstream: bare, model: known, currency: cny, input: 1, output: 2 }
routes:
  - { model: smart, targets: [openai/gpt-5.4-2026-03-05, openai/unheard-of, local/anything, bare/known, bare] }
  - { model: own, targets: [{ upstream: bare, model: other, price: { input: 3, output: 4 } }, sim/sim-small] }
  - { prefix: any-, targets: [bare] }
  - { model: aside, targets: [bare/known], canary: { target: bare/tried, percent: 1 }, shadow: { target: bare/mirrored }, on: { any: [bare/last, smart] } }
";

#[tokio::test]
async fn prices_lists_what_is_known_and_from_where() {
    let folder = Folder::with(&[("gateway.yaml", PRICED)]);
    let said = folder.run(&["prices"]).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let check = |owner: &str, model: &str, words: &[&str]| {
        let is_it = |it: &&str| it.starts_with(owner) && it.contains(&format!(" {model} "));
        let line = said.out.lines().find(is_it).unwrap_or_else(|| panic!("{owner} {model}: {}", said.out));
        assert!(words.iter().all(|it| line.contains(it)), "{line}");
    };
    check("of ", "model", &["input", "cached", "output", "since", "next change", "source"]);
    check("openai", "gpt-5.4", &["0.0375", "2020-01-01", "gateway.yaml, our contract"]);
    check("openai", "gpt-5", &["1.25", "0.125", "always", "genai-prices, 2026-08-21"]);
    check("deepseek", "deepseek-flash", &["peak", "api-docs.deepseek.com"]);
    check("upstream local", "*", &["0", "usd", "gateway.yaml"]);
    check("upstream bare", "known", &["cny"]);
    check("route own, bare", "other", &["3", "4"]);
}

#[tokio::test]
async fn prices_tells_everything_of_one_model() {
    let folder = Folder::with(&[("gateway.yaml", PRICED)]);
    let said = folder.run(&["prices", "openai/gpt-5.4"]).await;
    for text in [
        "since 2020-01-01: in force; gateway.yaml, our contract\n    usd input 0.0375, output 2  <- now",
        "since always: not now; genai-prices, 2026-08-21",
        "prompts of 272001 tokens and more: usd input 5, cached 0.5, output 22.5",
    ] {
        assert!(said.code == Some(0) && said.out.contains(text), "{text}: {}{}", said.out, said.err);
    }
    let said = folder.run(&["prices", "gpt-oss-120b", "--json"]).await;
    let told: Value = serde_json::from_str(&said.out).unwrap();
    let vendors: Vec<_> = told["prices"].as_array().unwrap().iter().map(|it| &it["of"]).collect();
    assert_eq!(vendors, ["groq", "cerebras", "fireworks"]);
    assert_eq!(told["prices"][0]["rows"][0]["rates"]["cached_input"], "0.075");
    assert_eq!(told["prices"][0]["rows"][0]["origin"], "catalogue");
    let said = folder.run(&["prices", "unheard-of"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(said.err.contains("`unheard-of`"), "{}", said.err);
}

#[tokio::test]
async fn check_notes_models_without_a_price() {
    let said = Folder::with(&[("gateway.yaml", PRICED)]).run(&["check"]).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let notes: Vec<&str> = said.out.lines().filter(|it| it.contains("note ")).collect();
    let expected =
        ["bare/last", "bare/listed", "bare/mirrored", "bare/smart", "bare/tried", "openai/unheard-of"];
    let expected = expected.map(|it| format!("  note    no price of {it} is known"));
    assert_eq!(notes, expected);
}

#[tokio::test]
async fn a_bad_price_changes_nothing_and_a_good_one_comes_without_a_restart() {
    let vendor = Steady::start("served").await;
    let yaml = format!(
        "upstreams:\n  v: {{ vendor: openai-compatible, base_url: \"{}\" }}\nprices:\n  rows:\n    - {{ upstream: v, model: m, input: 1, output: 2 }}\n",
        vendor.url()
    );
    let gateway = Gateway::start(&yaml).await;
    let good = std::fs::read_to_string(gateway.config_path()).unwrap();
    let line = good.lines().count();
    // In one go: half a file would be another configuration.
    let put = |text: &str| {
        gateway.write_file("next.yaml", text);
        std::fs::rename(gateway.config_path().with_file_name("next.yaml"), gateway.config_path()).unwrap();
    };
    for (bad, place, word) in [
        ("input: 1.0000001", format!("gateway.yaml:{line}:39: "), "price of `m`: `input`"),
        ("input: -1", format!("gateway.yaml:{line}:39: "), "`prices.rows.0.input`"),
        ("inputs: 1", format!("gateway.yaml:{line}:"), "`prices.rows.0`"),
        ("until: soon, input: 1", format!("gateway.yaml:{line}:39: "), "price of `m`: `soon`"),
    ] {
        put(&good.replace("input: 1", bad));
        let told = gateway
            .wait_for_log(|it| {
                it["event"] == "config_refused" && it["fault"].as_str().unwrap().contains(word)
            })
            .await;
        let fault = told["fault"].as_str().unwrap();
        assert!(fault.starts_with(&place), "{fault}");
        assert_eq!(gateway.chat("v/m").await.content(), "served");
    }
    assert_eq!(gateway.admin_get("/admin/config").await.json()["generation"], 1);
    put(&good.replace("input: 1", "input: 5"));
    gateway.event_line("config_reloaded").await;
    assert_eq!(gateway.admin_get("/admin/config").await.json()["generation"], 2);
}
