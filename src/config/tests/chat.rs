//! The earlier chat service's interface: its options, and the variables it was configured by.

use super::{check, load};
use crate::edge::chat_api::spec::Sampling;

const ON: &str = "chat_api: true\n";

#[test]
fn the_earlier_services_variables_count_where_the_file_is_silent() {
    let variables = [
        ("REDIS_HOST", "cache.example"),
        ("REDIS_PORT", "6380"),
        ("REDIS_PASSWORD", "p@ss:w/d"),
        ("REDIS_DB", "3"),
        ("CONVERSATION_EXPIRE_TIME", "86400"),
        ("SESSION_EXPIRE_TIME", "172800"),
        ("MAX_HISTORY_MESSAGES", "21"),
        ("DEFAULT_AI_PROVIDER", "kimi"),
        ("DEEPSEEK_API_KEY", "d"),
        ("KIMI_API_KEY", "k"),
    ];
    let loaded = load(ON, &variables).unwrap();
    let sessions = &loaded.options.sessions;
    assert_eq!(sessions.store.reveal(), "redis://:p%40ss%3Aw%2Fd@cache.example:6380/3");
    assert_eq!((sessions.ttl_s, sessions.history_turns_max), (86_400, 10));
    assert_eq!(loaded.options.default_upstream, Some("moonshot".into()));

    let said = "default_upstream: deepseek\nsessions: {store: memory, ttl_s: 60, history_turns_max: 5}\n";
    let loaded = load(&format!("{ON}{said}"), &variables).unwrap();
    let sessions = &loaded.options.sessions;
    assert_eq!(sessions.store.reveal(), "memory");
    assert_eq!((sessions.ttl_s, sessions.history_turns_max), (60, 5));
    assert_eq!(loaded.options.default_upstream, Some("deepseek".into()));

    let off = load("", &variables).unwrap();
    assert_eq!(off.options.sessions, crate::session::options::SessionsOptions::default());
    assert_eq!((off.options.default_upstream, off.chat_api), (None, None));
}

#[test]
fn a_redis_is_only_there_where_its_host_is_said() {
    let check = |variables: &[(&str, &str)], store: &str| {
        let loaded = load(ON, variables).unwrap();
        assert_eq!(loaded.options.sessions.store.reveal(), store, "{variables:?}");
    };
    check(&[("REDIS_PORT", "6380")], "embedded");
    check(&[("REDIS_PORT", "tcp://10.0.0.1:6379")], "embedded");
    check(&[("REDIS_HOST", "r"), ("REDIS_PORT", "tcp://10.0.0.1:6379")], "redis://r:6379/0");
    check(&[("REDIS_HOST", "::1")], "redis://[::1]:6379/0");
    check(&[("REDIS_HOST", ""), ("REDIS_DB", "1")], "embedded");
}

#[test]
fn what_calls_ask_for_comes_from_the_vendors_variables_before_the_general_ones() {
    let variables = [
        ("MAX_TOKENS", "1000"),
        ("TEMPERATURE", "0.7"),
        ("QIANWEN_MAX_TOKENS", "50"),
        ("DOUBAO_TEMPERATURE", "0"),
    ];
    let spec = load(ON, &variables).unwrap().chat_api.unwrap();
    let check = |vendor: Option<&str>, max_tokens: u64, temperature: f64| {
        let expected = Sampling { max_tokens: Some(max_tokens), temperature: Some(temperature) };
        assert_eq!(spec.sampling(vendor), expected, "{vendor:?}");
    };
    check(None, 1_000, 0.7);
    check(Some("openai"), 1_000, 0.7);
    check(Some("qwen"), 50, 0.7);
    check(Some("ark"), 1_000, 0.0);
}

#[test]
fn what_cannot_be_meant_is_a_fault_with_its_place() {
    check(
        "chat_api: true\nchat_roles:\n  poet: {name: Poet}\n",
        &[],
        &["3:3: role `poet` needs a `system` prompt, or a route with one whose `model` is `poet`"],
    );
    check(
        "chat_api: true\nsessions: {store: off}\n",
        &[],
        &["2:19: `chat_api` needs sessions, which `store: off` switches off"],
    );
    check(
        "chat_api: true\nchat_roles: {a b: {system: x}}\n",
        &[],
        &["2:14: a name is 1 to 64 letters, digits, `-`, `_` or `.`"],
    );
    check(
        "chat_image_models: {depseek: x}\n",
        &[],
        &["1:30: no upstream is called `depseek`; did you mean `deepseek`?"],
    );
    let faults = [
        ("REDIS_PORT", "x", "REDIS_PORT must be a whole number, 1 to 65535"),
        ("REDIS_HOST", "a/b", "REDIS_HOST is no host name"),
        ("MAX_HISTORY_MESSAGES", "0", "MAX_HISTORY_MESSAGES must be a whole number, 1 to 20000"),
        ("OPENAI_TEMPERATURE", "hot", "OPENAI_TEMPERATURE must be a number, 0 to 2"),
    ];
    for (name, value, message) in faults {
        let faults = load(ON, &[("REDIS_HOST", "r"), (name, value)]).map(|_| ()).unwrap_err();
        assert_eq!(faults, [format!("environment: {message}")]);
        assert!(load("", &[(name, value)]).is_ok(), "{name} counts with `chat_api: true` only");
    }
}

#[test]
fn roles_without_the_interface_and_unknown_providers_are_warned_of() {
    let loaded = load("chat_roles: {poet: {system: x}}\n", &[]).unwrap();
    assert_eq!(loaded.warnings, ["`chat_roles` and `chat_image_models` do nothing without `chat_api: true`"]);
    let loaded = load(ON, &[("DEFAULT_AI_PROVIDER", "nobody")]).unwrap();
    assert_eq!(
        loaded.warnings,
        ["DEFAULT_AI_PROVIDER names no upstream in use; the first one is the default"]
    );
    let routed = "routes: [{model: poet, system: Sing., targets: [sim/a]}]\n";
    let spec = load(&format!("{ON}{routed}"), &[]).unwrap().chat_api.unwrap();
    assert_eq!(spec.role("poet").unwrap().system, "Sing.");
}
