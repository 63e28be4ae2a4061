//! Where a chat goes, and what it asks for there: providers, roles, and the environment.

use http::Method;
use serde_json::json;

use super::{ON, message, say, says};
use crate::support::client::{open, request};
use crate::support::{Gateway, Vendor, over};

#[tokio::test]
async fn a_role_is_a_route_with_a_prompt_and_providers_are_upstreams() {
    let vendor = Vendor::with([says("one"), says("two"), says("three")]).await;
    let url = vendor.url();
    let yaml = format!(
        "{}upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{url}\", default_model: m-1, models: [m-0, m-1] }}\n\
         routes:\n  - {{ model: poet, system: Sing., targets: [a/m-2] }}\n",
        ON.replace("default_model: smart\n", "default_upstream: a\n")
    );
    let gateway = Gateway::start(&yaml).await;
    let roles = gateway.get("/roles").await.json();
    let keys: Vec<_> = roles["roles"].as_array().unwrap().iter().map(|it| it["key"].clone()).collect();
    assert_eq!(keys, ["assistant", "teacher", "programmer", "poet"]);
    let providers = gateway.get("/providers").await.json();
    let expected = json!({
        "providers": [{"id": "a", "name": "a", "models": ["m-1", "m-0"], "is_default": true}],
        "default_provider": "a",
        "all_models": {"a": ["m-1", "m-0"]},
    });
    assert_eq!(providers, expected);
    say(&gateway, json!({"role": "poet"})).await;
    say(&gateway, json!({"role": "poet", "provider": "a", "model": "m-0"})).await;
    say(&gateway, json!({})).await;
    for (index, model, system) in [(0, "m-2", "Sing."), (1, "m-0", "Sing."), (2, "m-1", "You are a helpful")]
    {
        let body = vendor.request(index).await.json();
        assert_eq!(body["model"], model);
        assert!(body["messages"][0]["content"].as_str().unwrap().starts_with(system), "{body}");
        assert_ne!(body["messages"][1]["role"], "system", "a prompt comes once");
    }
}

#[tokio::test]
async fn the_default_that_is_shown_is_the_one_that_is_used() {
    let vendor = Vendor::with([says("one"), says("two")]).await;
    let yaml = format!(
        "chat_api: true\nsessions: {{ store: memory }}\ndefault_model: smart\n\
         upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{}\", models: [m-0, m-1] }}\n  sim: {{ vendor: sim }}\n\
         routes:\n  - {{ model: smart, targets: [sim/sim-small, a/m-2] }}\n  - {{ model: big, targets: [a/m-9] }}\n\
         clients:\n  all: {{ key: k }}\n  some: {{ key: ks, models: [a/m-1] }}\n  routed: {{ key: kr, models: [smart] }}\n",
        vendor.url()
    );
    let gateway = Gateway::start(&yaml).await;
    let call = async |method: Method, path: &str, key: &str, body: String| {
        let key = format!("Bearer {key}");
        let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
        open(gateway.calls, request(gateway.calls, method, path, &headers, body)).await.rest().await
    };
    for (key, default, all) in [
        ("k", "sim", json!({"sim": ["sim-small", "sim-large"], "a": ["m-0", "m-1"]})),
        ("ks", "a", json!({"a": ["m-1"]})),
        ("kr", "sim", json!({"sim": ["smart"]})),
    ] {
        let told = call(Method::GET, "/providers", key, String::new()).await.json();
        assert_eq!((&told["default_provider"], &told["all_models"]), (&json!(default), &all), "{key}");
        let marked: Vec<_> =
            told["providers"].as_array().unwrap().iter().filter(|it| it["is_default"] == true).collect();
        assert_eq!((marked.len(), &marked[0]["id"]), (1, &json!(default)), "{key}");
        let model = &marked[0]["models"][0];
        for more in [json!({}), json!({"provider": default, "model": model})] {
            let answer = call(Method::POST, "/chat/stream", key, message(more)).await;
            assert_eq!(answer.header("x-tollgate-upstream"), Some(default), "{key}: {}", answer.text());
        }
    }
    assert_eq!(vendor.request(0).await.json()["model"], "m-1");
}

#[tokio::test]
async fn the_environment_counts_where_the_route_says_nothing() {
    let vendor = Vendor::with([says("one"), says("two")]).await;
    let yaml = over(&[("a", &vendor.url())], ON).replace(
        "{ model: smart,",
        "{ model: cool, defaults: { temperature: 0.1, max_tokens: 7 }, targets: [a/m] }\n  - { model: smart,",
    );
    let gateway = Gateway::start_with(&yaml, &[("TEMPERATURE", "0.9"), ("MAX_TOKENS", "99")]).await;
    say(&gateway, json!({"model": "cool"})).await;
    say(&gateway, json!({})).await;
    for (index, temperature, max_tokens) in [(0, 0.1, 7), (1, 0.9, 99)] {
        let body = vendor.request(index).await.json();
        assert_eq!((&body["temperature"], &body["max_tokens"]), (&json!(temperature), &json!(max_tokens)));
    }
}
