//! Chat completions in sessions: what the tests of them say and look at.

use http::Method;
use serde_json::Value;

use super::client::{Answer, Open, open, request};
use super::{Gateway, Reply, Vendor, over};

pub const MEMORY: &str = "sessions: { store: memory }\n";

/// A gateway over two vendors that answer so, `a` before `b`.
pub async fn pair(
    a: impl IntoIterator<Item = Reply>,
    b: impl IntoIterator<Item = Reply>,
    more: &str,
) -> (Vendor, Vendor, Gateway) {
    let (a, b) = (Vendor::with(a).await, Vendor::with(b).await);
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], more)).await;
    (a, b, gateway)
}

/// A gateway over a vendor that answers so.
pub async fn single(replies: impl IntoIterator<Item = Reply>, more: &str) -> (Vendor, Gateway) {
    let vendor = Vendor::with(replies).await;
    let gateway = Gateway::start(&over(&[("a", &vendor.url())], more)).await;
    (vendor, gateway)
}

pub async fn send(gateway: &Gateway, headers: &[(&str, &str)], body: impl Into<String>) -> Open {
    let all = [&[("content-type", "application/json")], headers].concat();
    open(gateway.calls, request(gateway.calls, Method::POST, "/v1/chat/completions", &all, body.into())).await
}

/// Says `text` in the session `id`.
pub async fn say(gateway: &Gateway, id: &str, text: &str) -> Answer {
    let answer = send(gateway, &[("x-session-id", id)], user(text, "")).await.rest().await;
    assert_eq!(answer.header("x-session-id"), Some(id), "{}", answer.text());
    answer
}

pub fn user(text: &str, more: &str) -> String {
    format!(r#"{{ "model":"smart","messages" : [ {{"role":"user", "content":"{text}"}} ]{more}}}"#)
}

/// Roles and texts of what a vendor was sent.
pub async fn sent(vendor: &Vendor, index: usize) -> Vec<String> {
    let messages = vendor.request(index).await.json()["messages"].clone();
    let text = |it: &Value| match &it["content"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    messages
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{}: {}", it["role"].as_str().unwrap(), text(it)))
        .collect()
}
