//! Who may call, what each may use, and what `/v1/models` tells them.

use http::Method;

use crate::support::client::{Answer, chat_body};
use crate::support::{Gateway, Steady, until};

/// SHA-256 of `hashed-key`.
const HASHED: &str = "a4ae87b73fa5645e6aee415a6f72be4dcbd99d057a7b40cb1b867c181d179260";

async fn gateway(vendor: &Steady) -> Gateway {
    let yaml = format!(
        "clients:\n\
         \x20 shop: {{ key: shop-key, keys: [shop-next], models: [smart, \"a-*\"] }}\n\
         \x20 desk: {{ key_file: desk.keys, models: [\"v/*\"], without_model: true }}\n\
         \x20 any: {{ key_sha256: [{HASHED}] }}\n\
         upstreams:\n  v: {{ vendor: openai-compatible, base_url: \"{}\", prefixes: [a-, b-], models: [a-one, b-one] }}\n\
         routes:\n  - {{ model: smart, targets: [v/a-one] }}\n  - {{ model: other, targets: [v/b-one] }}\n",
        vendor.url()
    );
    Gateway::start_among(&yaml, &[], &[("desk.keys", "\ndesk-key\ndesk-key-2\n")]).await
}

async fn get(gateway: &Gateway, path: &str, name: &str, value: &str) -> Answer {
    gateway.call(Method::GET, path, &[(name, value)], "").await
}

async fn chat(gateway: &Gateway, key: &str, model: &str, headers: &[(&str, &str)]) -> Answer {
    let key = format!("Bearer {key}");
    let headers =
        [&[("content-type", "application/json"), ("authorization", key.as_str())], headers].concat();
    gateway.call(Method::POST, "/v1/chat/completions", &headers, chat_body(model, false)).await
}

#[tokio::test]
async fn a_key_is_read_from_any_of_three_headers() {
    let vendor = Steady::start("served").await;
    let gateway = gateway(&vendor).await;
    for key in ["shop-key", "shop-next", "desk-key", "desk-key-2", "hashed-key"] {
        for (name, value) in [
            ("authorization", format!("Bearer {key}")),
            ("authorization", format!("bearer {key}")),
            ("api-key", key.to_owned()),
            ("x-api-key", key.to_owned()),
        ] {
            assert_eq!(get(&gateway, "/v1/models", name, &value).await.status, 200, "{name}: {value}");
        }
    }
    let line = gateway.call_line(0).await;
    assert_eq!(line["client"], "shop");
}

#[tokio::test]
async fn a_key_that_is_wrong_or_missing_gets_401_and_reaches_nobody() {
    let vendor = Steady::start("served").await;
    let gateway = gateway(&vendor).await;
    for (name, value) in [
        ("accept", "*/*"),
        ("authorization", "Bearer wrong"),
        ("authorization", "Bearer "),
        ("authorization", "Bearer"),
        ("authorization", "Basic c2hvcC1rZXk="),
        ("authorization", "shop-key"),
        ("authorization", "Bearer shop-key, Bearer shop-key"),
        ("authorization", "Bearer SHOP-KEY"),
        ("authorization", "Bearer '; DROP TABLE clients; --"),
        ("api-key", "shop-ke"),
        ("x-api-key", "shop-key\u{e9}"),
        ("authorization", HASHED),
        ("cookie", "api-key=shop-key"),
    ] {
        let answer = get(&gateway, "/v1/files", name, value).await;
        let error = answer.error();
        let told = (answer.status.as_u16(), error["type"].as_str(), error["code"].as_str());
        assert_eq!(told, (401, Some("invalid_request_error"), Some("invalid_api_key")), "{name}: {value}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(get(&gateway, "/v1/files?api-key=shop-key", "accept", "*/*").await.status, 401);
    assert_eq!(gateway.metric("tollgate_refused_total", &[("reason", "unauthorized")]).await, 14.0);
    assert!(vendor.seen().is_empty());
}

/// A proxy in front may keep `Authorization` for itself: what is no key of ours there does not hide the one beside it.
#[tokio::test]
async fn a_key_counts_beside_credentials_that_are_somebody_elses() {
    let vendor = Steady::start("served").await;
    let gateway = gateway(&vendor).await;
    for (authorization, key, status) in [
        ("Basic dXNlcjp3b3Jk", "shop-key", 200),
        ("Bearer of-somebody-else", "shop-key", 200),
        ("Bearer ", "shop-key", 200),
        ("Basic dXNlcjp3b3Jk", "wrong", 401),
    ] {
        for name in ["api-key", "x-api-key"] {
            let headers = [("authorization", authorization), (name, key)];
            let answer = gateway.call(Method::GET, "/v1/models", &headers, "").await;
            assert_eq!(answer.status, status, "{authorization} beside {name}: {key}");
        }
    }
    assert_eq!(gateway.call_line(0).await["client"], "shop");
}

#[tokio::test]
async fn a_client_may_use_its_models_and_no_others_by_any_name() {
    let vendor = Steady::start("served").await;
    let gateway = gateway(&vendor).await;
    for (key, model, upstream, status) in [
        ("shop-key", "smart", None, 200),
        ("shop-key", "a-two", None, 200),
        ("shop-key", "b-one", None, 403),
        ("shop-key", "other", None, 403),
        ("shop-key", "v/a-one", None, 403),
        ("shop-key", "unknown", None, 403),
        ("shop-key", "a-two", Some("v"), 403),
        ("desk-key", "v/b-one", None, 200),
        ("desk-key", "b-one", Some("v"), 200),
        ("desk-key", "b-one", None, 403),
        ("hashed-key", "b-one", None, 200),
    ] {
        let headers: Vec<_> = upstream.iter().map(|it| ("x-tollgate-upstream", *it)).collect();
        let answer = chat(&gateway, key, model, &headers).await;
        assert_eq!(answer.status, status, "{key} {model} {upstream:?}");
        if status == 403 {
            assert_eq!(answer.error()["code"], "model_not_allowed");
        }
    }
    assert_eq!(vendor.seen().len(), 5);
}

#[tokio::test]
async fn a_client_with_models_makes_no_calls_without_one_unless_told_it_may() {
    let vendor = Steady::start("served").await;
    let gateway = gateway(&vendor).await;
    for (key, status) in [("shop-key", 403), ("desk-key", 200), ("hashed-key", 200)] {
        assert_eq!(get(&gateway, "/v1/files", "api-key", key).await.status, status, "{key}");
    }
    assert_eq!(vendor.seen().len(), 2);
}

#[tokio::test]
async fn the_clients_key_stays_at_the_gateway() {
    let vendor = Steady::start("served").await;
    let gateway = gateway(&vendor).await;
    let own = [
        ("api-key", "shop-key"),
        ("x-api-key", "shop-key"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "10.1.1.1"),
    ];
    assert_eq!(chat(&gateway, "shop-key", "smart", &own).await.status, 200);
    let seen = vendor.only();
    for name in ["authorization", "api-key", "x-api-key", "cookie", "x-forwarded-for", "forwarded", "via"] {
        assert_eq!(seen.header(name), None, "{seen:#?}");
    }
}

#[tokio::test]
async fn models_are_listed_and_found_by_every_spelling_of_their_names() {
    let vendor = Steady::start("served").await;
    let gateway = gateway(&vendor).await;
    let ids = async |key: &str| -> Vec<String> {
        let answer = get(&gateway, "/v1/models", "api-key", key).await.json();
        answer["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = ["other", "smart", "a-one", "b-one", "sim/sim-small", "sim/sim-large"];
    assert_eq!(ids("hashed-key").await, all);
    assert_eq!(ids("shop-key").await, ["smart", "a-one"]);
    let find = async |id: &str, key: &str| get(&gateway, &format!("/v1/models/{id}"), "api-key", key).await;
    let found = find("smart", "shop-key").await.json();
    assert_eq!((found["id"].as_str(), found["object"].as_str()), (Some("smart"), Some("model")));
    assert_eq!(found["owned_by"], "tollgate");
    assert_eq!(find("sim/sim-small", "hashed-key").await.json()["id"], "sim/sim-small");
    // A name that is routed is a model, though nobody listed it.
    assert_eq!(find("a-nine", "shop-key").await.json()["id"], "a-nine");
    for (id, key) in [("nine", "hashed-key"), ("b-one", "shop-key"), ("other", "shop-key")] {
        let answer = find(id, key).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error()["code"].as_str()),
            (404, Some("model_not_found")),
            "{id}"
        );
    }
    assert!(vendor.seen().is_empty());
}

#[tokio::test]
async fn a_models_name_may_be_percent_encoded_in_the_path() {
    let vendor = Steady::start("served").await;
    let gateway = gateway(&vendor).await;
    for id in ["sim%2Fsim-small", "sim%2fsim-small", "sim/sim%2Dsmall"] {
        let answer = get(&gateway, &format!("/v1/models/{id}"), "api-key", "hashed-key").await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["id"].as_str()),
            (200, Some("sim/sim-small")),
            "{id}"
        );
    }
}

#[tokio::test]
async fn what_upstreams_list_is_shown_without_asking_them() {
    let gateway = Gateway::start("probe: { interval_ms: 60000 }\n").await;
    let listed = async || gateway.get("/v1/models").await.text().contains("sim/sim-small");
    until("the listing", listed).await;
    let answer = gateway.chat("sim-smal").await;
    assert_eq!((answer.status.as_u16(), answer.error()["code"].as_str()), (404, Some("model_not_found")));
    assert_eq!(answer.error()["param"], "model");
    // What it suggests is a name that works.
    let message = answer.error()["message"].as_str().unwrap().to_owned();
    let suggested = message.split('`').find(|it| it.ends_with("sim-small")).expect("a near miss is named");
    assert_eq!(gateway.chat(suggested).await.status, 200, "{message}");
}

#[tokio::test]
async fn an_unknown_model_is_answered_with_the_names_it_may_have_meant() {
    let vendor = Steady::start("served").await;
    let gateway = gateway(&vendor).await;
    for (asked, meant) in
        [("smrt", "`smart`"), ("Smart", "`smart`"), ("othr", "`other`"), ("aone", "`a-one`")]
    {
        let error = chat(&gateway, "hashed-key", asked, &[]).await.error();
        assert_eq!(error["code"], "model_not_found");
        assert!(error["message"].as_str().unwrap().contains(meant), "{asked}: {error}");
    }
    let long = "x".repeat(10_000);
    let error = chat(&gateway, "hashed-key", &long, &[]).await.error();
    assert!(error["message"].as_str().unwrap().len() < 400, "{error}");
}
