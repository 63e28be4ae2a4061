//! What the file, the environment and the catalogue add up to.

use super::{Folder, check, ids, load};
use crate::config::GatewayOptions;
use crate::upstream::spec::ProxySpec;

#[test]
fn a_base_url_may_have_any_path() {
    let check = |text: &str, url: &str| {
        let yaml = format!("upstreams: {{a: {{vendor: openai-compatible, base_url: '{text}'}}}}");
        let loaded = load(&yaml, &[]).unwrap();
        assert_eq!(loaded.upstreams[0].base_url, url);
    };
    check("http://h", "http://h/");
    check("https://h:1/", "https://h:1/");
    check("https://h/a/v1//", "https://h/a/v1");
    check("HTTP://[::1]:9/v1", "http://[::1]:9/v1");
}

#[test]
fn nothing_at_all_is_a_working_gateway() {
    let loaded = Folder::new().load(&[]).unwrap();
    assert_eq!(loaded.options, GatewayOptions::default());
    assert_eq!(ids(&loaded), ["sim"]);
    assert_eq!(loaded.upstreams[0].base_url, "http://127.0.0.1:0/v1");
    assert_eq!(loaded.upstreams[0].proxy, ProxySpec::Off);
    assert!(loaded.absent.iter().any(|it| it == &("deepseek".into(), "DEEPSEEK_API_KEY is not set".into())));
}

#[test]
fn vendors_whose_key_is_set_are_discovered_after_the_configured_ones() {
    let yaml = "upstreams: {mine: {vendor: deepseek}}";
    let variables = [
        ("KIMI_API_KEY", "k"),
        ("OPENAI_API_KEY", " sk-1 "),
        ("OPENAI_BASE_URL", "https://proxy.example/openai/"),
        ("OPENAI_MODEL", "gpt-4o"),
        ("DEEPSEEK_API_KEY", "d"),
        ("GROQ_API_KEY", ""),
        ("OLLAMA_BASE_URL", "http://127.0.0.1:11434/v1"),
    ];
    let loaded = load(yaml, &variables).unwrap();
    assert_eq!(ids(&loaded), ["mine", "openai", "moonshot", "ollama", "sim"]);
    let openai = &loaded.upstreams[1];
    assert_eq!(openai.base_url, "https://proxy.example/openai");
    assert_eq!(openai.keys[0].reveal(), "sk-1");
    assert_eq!(openai.default_model, Some("gpt-4o".into()));
    assert_eq!(ids(&load("discover: false", &variables).unwrap()), ["sim"]);
}

#[test]
fn an_upstream_without_its_key_is_off_and_says_why() {
    let check = |yaml: &str, reason: &str| {
        let loaded = load(yaml, &[("B", "b")]).unwrap();
        let (id, said) = loaded.off.first().unwrap_or_else(|| panic!("{yaml} is on"));
        assert_eq!((id.as_str(), said.as_str()), ("openai", reason), "{yaml}");
    };
    check("upstreams: {openai: {}}", "OPENAI_API_KEY is not set");
    check("upstreams: {openai: {key: \"${MY_KEY}\"}}", "MY_KEY is not set");
    check("upstreams: {openai: {key: $MY_KEY}}", "MY_KEY is not set");
    check("upstreams: {openai: {keys: [\"${A}\", \"${C}\", '${D:-}']}}", "A and C are not set");
    check("upstreams: {openai: {key: ''}}", "its key is empty");
    check("upstreams: {openai: {off: true, key: x}}", "`off: true`");
    check("upstreams: {openai: {key: \"${A}\", base_url: \"https://${HOST}/v1\"}}", "A is not set");
    check(
        "upstreams: {openai: {vendor: openai-compatible, base_url: 'http://h', key: \"${A}\"}}",
        "A is not set",
    );
}

#[test]
fn a_key_that_is_not_needed_may_be_empty() {
    let loaded = load("upstreams: {a: {vendor: vllm, key: '${K:-}'}, b: {vendor: ollama}}", &[]).unwrap();
    assert_eq!(ids(&loaded), ["a", "b", "sim"]);
    assert!(loaded.upstreams.iter().all(|it| it.keys.is_empty()));
    assert_eq!(loaded.upstreams[0].base_url, "http://localhost:8000/v1");
    assert_eq!(loaded.upstreams[0].probe_path.as_deref(), Some("/models"));
}

#[test]
fn the_admin_key_is_trimmed_like_every_key() {
    let admin_key = |yaml: &str| load(yaml, &[("K", " secret\n")]).unwrap().options.admin_key;
    assert_eq!(admin_key("admin_key: \"${K}\"").unwrap().reveal(), "secret");
    assert_eq!(admin_key("admin_key: ' '"), None);
}

#[test]
fn dotenv_is_read_beneath_the_environment() {
    let folder = Folder::new();
    folder.write(".env", "OPENAI_API_KEY=\"from-file\"\nGROQ_API_KEY=g # why\nXAI_API_KEY=\n");
    folder.write("gateway.yaml", "upstreams: {deepseek: {key: \"x${GROQ_API_KEY}\"}}");
    let key_of = |variables: &[(&str, &str)], id: &str| {
        let loaded = folder.load(variables).unwrap();
        let upstream = loaded.upstreams.iter().find(|it| it.id.as_str() == id).unwrap();
        upstream.keys[0].reveal().to_owned()
    };
    assert_eq!(key_of(&[], "openai"), "from-file");
    assert_eq!(key_of(&[("OPENAI_API_KEY", "real")], "openai"), "real");
    assert_eq!(key_of(&[("OPENAI_API_KEY", "")], "openai"), "from-file");
    assert_eq!(key_of(&[], "deepseek"), "xg");
    folder.write(".env", "A=1\nsk-planted\n");
    assert_eq!(folder.load(&[]).map(|_| ()), Err(vec![".env:2:1: this is not NAME=value".to_owned()]));
}

#[test]
fn a_target_that_is_off_is_a_warning_while_another_is_on() {
    let yaml = "upstreams: {openai: {}}\nroutes: [{model: m, targets: [openai/a, groq, sim]}]";
    let expected = [
        "route `m`: target `openai` is off (OPENAI_API_KEY is not set)",
        "route `m`: target `groq` is off (GROQ_API_KEY is not set)",
    ];
    assert_eq!(load(yaml, &[]).unwrap().warnings, expected);
    let fault = "1:21: route `m` has no target in use: `groq` is off (GROQ_API_KEY is not set)";
    check("routes: [{model: m, targets: [groq]}]", &[], &[fault]);
}

#[test]
fn an_upstream_overrides_single_timers() {
    let yaml = "\
timeouts: {idle_ms: 7, connect_ms: 8}
circuit: {failures: 9}
upstreams: {openai: {key: k, timeouts: {connect_ms: '6'}}, groq: {key: k}}";
    let loaded = load(yaml, &[]).unwrap();
    let timers = |index: usize| {
        let it = &loaded.upstreams[index];
        (it.timeouts.connect_ms, it.timeouts.idle_ms, it.timeouts.call_ms, it.circuit.failures)
    };
    assert_eq!(timers(0), (6, 7, 1_800_000, 9));
    assert_eq!(timers(1), (8, 7, 1_800_000, 9));
}

#[test]
fn an_upstream_is_completed_from_all_sides() {
    let yaml = "\
upstreams:
  glm: {vendor: zhipu, key: k, models: [m], query: {a b: 'c&d', e: ''}, headers: {X-A: v, x-b: ''}}";
    let loaded = load(yaml, &[("HTTPS_PROXY", "http://proxy:3128")]).unwrap();
    let upstream = &loaded.upstreams[0];
    assert_eq!((upstream.vendor.as_str(), upstream.stream_usage), ("zhipu", false));
    assert_eq!(upstream.query.as_ref().unwrap().reveal(), "a%20b=c%26d");
    assert_eq!(upstream.headers.len(), 1);
    assert!(upstream.headers[0].1.is_sensitive() && upstream.headers[0].0 == "x-a");
    assert_eq!(upstream.models, ["m".into()]);
    assert!(upstream.prefixes.contains(&"glm-".to_owned()));
    assert!(matches!(&upstream.proxy, ProxySpec::Environment { https: Some(_), .. }));
}

#[test]
fn the_calls_at_once_that_a_vendor_states_hold_unless_an_operator_says_otherwise() {
    let check = |own: &str, calls_max: u32, models: usize| {
        let yaml = format!("upstreams: {{a: {{vendor: {own}}}}}");
        let concurrency = load(&yaml, &[]).unwrap().upstreams[0].concurrency.clone();
        assert_eq!((concurrency.calls_max, concurrency.models.len()), (calls_max, models), "{own}");
    };
    check("hunyuan, key: k", 5, 0);
    check("hunyuan, key: k, concurrency: {queue_ms: 9}", 5, 0);
    check("hunyuan, key: k, concurrency: {calls_max: 0}", 0, 0);
    check("deepseek, key: k", 0, 3);
    check("deepseek, key: k, concurrency: {calls_max: 7, models: {}}", 7, 0);
    check("openai, key: k", 0, 0);
}
