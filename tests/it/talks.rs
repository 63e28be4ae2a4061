//! Chat completions in a session: the client sends what is new, the vendor gets all that was said.

use serde_json::{Value, json};

use crate::support::talk::{MEMORY, pair, say, send, sent, single, user};
use crate::support::{DONE, Gateway, Reply, Vendor, delta, event, finish, over, role};

#[tokio::test]
async fn a_call_carries_what_was_said_before_it() {
    let (vendor, gateway) = single(["one", "two", "three"].map(Reply::chat), MEMORY).await;
    let first = say(&gateway, "s-1", "a").await;
    assert_eq!(first.header("x-tollgate-session-turns"), Some("0"));
    say(&gateway, "s-1", "b").await;
    let third = say(&gateway, "s-1", "c").await;
    assert_eq!(third.header("x-tollgate-session-turns"), Some("2"));
    assert_eq!(third.header("x-tollgate-session-trimmed"), None);
    assert_eq!(sent(&vendor, 0).await, ["user: a"]);
    let all = ["user: a", "assistant: one", "user: b", "assistant: two", "user: c"];
    assert_eq!(sent(&vendor, 2).await, all);
    assert_eq!(gateway.call_line(2).await["session"], "stored");
}

#[tokio::test]
async fn history_goes_into_the_body_and_nothing_else_of_it_changes() {
    let (vendor, gateway) = single(["one", "two"].map(Reply::chat), MEMORY).await;
    let body = |n: &str| {
        format!(
            r#"{{"seed" : 12345678901234567890123,"messages" :[  {{"role":"user","content":"{n}", "x":1.0}}]  ,"model":"smart"}}"#
        )
    };
    for n in ["1", "2"] {
        assert_eq!(send(&gateway, &[("x-session-id", "s")], body(n)).await.rest().await.status, 200);
    }
    let history = r#"{"role":"user","content":"1", "x":1.0},{"role":"assistant","content":"one"},"#;
    let expected = body("2").replace("\"smart\"", "\"model-a\"").replace("[  ", &format!("[  {history}"));
    assert_eq!(String::from_utf8(vendor.request(1).await.body.to_vec()).unwrap(), expected);
}

#[tokio::test]
async fn a_stream_is_remembered_when_its_end_is_seen() {
    let pieces = [role(), delta("Hel"), delta("lo")];
    let stream = || Reply::stream(pieces.clone()).piece(finish() + DONE).end();
    let (vendor, gateway) = single([stream(), Reply::chat("two")], MEMORY).await;
    let streamed = send(&gateway, &[("x-session-id", "s")], user("a", r#","stream":true"#)).await;
    assert_eq!(streamed.headers["x-session-id"], "s");
    let answer = streamed.rest().await;
    assert_eq!(answer.text(), pieces.concat() + &finish() + DONE);
    say(&gateway, "s", "b").await;
    assert_eq!(sent(&vendor, 1).await, ["user: a", "assistant: Hello", "user: b"]);
}

#[tokio::test]
async fn the_end_of_a_stream_waits_for_its_turn_to_be_stored() {
    // All comes at once: whoever reads `[DONE]` may ask the next question, and must be understood.
    let whole = [role(), delta("one"), finish(), DONE.into()].concat();
    let replies = (0..20).map(|_| Reply::stream([whole.clone()]).end());
    let (vendor, gateway) = single(replies, "").await;
    for turn in 0..20 {
        let mut open = send(&gateway, &[("x-session-id", "s")], user("a", r#","stream":true"#)).await;
        open.read_until("[DONE]").await;
        drop(open);
        assert_eq!(sent(&vendor, turn).await.len(), 2 * turn + 1);
    }
}

#[tokio::test]
async fn system_messages_are_the_sessions_until_others_come() {
    let (vendor, gateway) = single(["1", "2", "3"].map(Reply::chat), MEMORY).await;
    let with = |system: &str, text: &str| {
        let system = format!(r#"{{"role":"system","content":"{system}"}},"#);
        user(text, "").replace("[ {", &format!("[ {system} {{"))
    };
    for body in [with("Be kind.", "a"), user("b", ""), with("Be terse.", "c")] {
        send(&gateway, &[("x-session-id", "s")], body).await.rest().await;
    }
    assert_eq!(sent(&vendor, 1).await, ["system: Be kind.", "user: a", "assistant: 1", "user: b"]);
    let third = sent(&vendor, 2).await;
    assert_eq!(third[..2], ["system: Be terse.", "user: a"]);
    assert_eq!(third.len(), 6);
}

#[tokio::test]
async fn tools_survive_a_change_of_vendor_and_private_thoughts_do_not() {
    let call = json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}});
    let stream = [
        json!({"role": "assistant", "content": null, "reasoning_content": "hm"}),
        json!({"tool_calls": [call]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"at\":"}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": " 1}"}}]}),
    ]
    .map(|it| event(&json!({"id": "s-1", "choices": [{"index": 0, "delta": it}]}).to_string()));
    let (a, b, gateway) = pair(
        [Reply::stream(stream).piece(finish()).done(), Reply::status(500, "down")],
        [Reply::chat("There it is.")],
        MEMORY,
    )
    .await;
    send(&gateway, &[("x-session-id", "s")], user("where", r#","stream":true"#)).await.rest().await;
    let result =
        r#"{"model":"smart","messages":[{"role":"tool","tool_call_id":"call_1","content":"north"}]}"#;
    let answer = send(&gateway, &[("x-session-id", "s")], result).await.rest().await;
    assert_eq!(answer.served_by(), ("b", "2"));
    let messages = |it: Value| it["messages"].as_array().unwrap().clone();
    let (own, other) = (messages(a.request(1).await.json()), messages(b.request(0).await.json()));
    assert_eq!((&own[1]["reasoning_content"], &other[1]["reasoning_content"]), (&json!("hm"), &Value::Null));
    let function = json!({"name": "look", "arguments": "{\"at\": 1}"});
    let called = json!([{"id": "call_1", "type": "function", "function": function}]);
    for messages in [&own, &other] {
        assert_eq!(messages[1]["tool_calls"][0]["function"], function);
        assert_eq!(messages[2], json!({"role": "tool", "tool_call_id": "call_1", "content": "north"}));
    }
    assert_eq!(other[1]["tool_calls"], called);
}

#[tokio::test]
async fn history_shrinks_to_the_window_of_the_target() {
    let vendor = Vendor::with(["1", "2", "3"].map(Reply::chat)).await;
    let yaml = format!(
        "upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{}\", facts: {{ context: 1400 }} }}\n\
         routes:\n  - {{ model: smart, targets: [a/model-a] }}\n{MEMORY}",
        vendor.url()
    );
    let gateway = Gateway::start(&yaml).await;
    let long = "word ".repeat(500);
    for _ in 0..2 {
        assert_eq!(say(&gateway, "s", &long).await.status, 200);
    }
    let answer = say(&gateway, "s", &long).await;
    assert_eq!(answer.header("x-tollgate-session-turns"), Some("1"));
    assert_eq!(answer.header("x-tollgate-session-trimmed"), Some("1"));
    assert_eq!(sent(&vendor, 2).await.len(), 3);
}

#[tokio::test]
async fn a_target_with_a_small_window_gets_a_short_history_when_the_large_one_is_down() {
    let (a, b) = (
        Vendor::with([Reply::chat("1"), Reply::chat("2"), Reply::status(500, "down")]).await,
        Vendor::with([Reply::chat("3")]).await,
    );
    let yaml = format!(
        "upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{}\", facts: {{ context: 100000 }} }}\n  \
         b: {{ vendor: openai-compatible, base_url: \"{}\", facts: {{ context: 1000 }} }}\n\
         routes:\n  - {{ model: smart, targets: [b/model-b, a/model-a] }}\n{MEMORY}",
        a.url(),
        b.url()
    );
    let gateway = Gateway::start(&yaml).await;
    let long = "word ".repeat(500);
    say(&gateway, "s", &"word ".repeat(5_000)).await;
    say(&gateway, "s", &long).await;
    let answer = say(&gateway, "s", "go on").await;
    assert_eq!((answer.served_by(), answer.header("x-tollgate-session-trimmed")), (("b", "2"), Some("1")));
    assert_eq!((sent(&a, 2).await.len(), sent(&b, 0).await.len()), (5, 3));
}

#[tokio::test]
async fn sessions_of_another_key_are_not_there() {
    let clients =
        "clients:\n  shop: { key: k-shop }\n  desk: { key: k-desk, tenant: shop }\n  bank: { key: k-bank }\n";
    let (vendor, gateway) = single(["1", "2", "3"].map(Reply::chat), &format!("{clients}{MEMORY}")).await;
    for (key, messages) in [("k-shop", 1), ("k-desk", 3), ("k-bank", 1)] {
        let bearer = format!("Bearer {key}");
        let headers = [("x-session-id", "s"), ("authorization", bearer.as_str())];
        let answer = send(&gateway, &headers, user("a", "")).await.rest().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let index = vendor.calls() - 1;
        assert_eq!(sent(&vendor, index).await.len(), messages, "{key}");
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_crash_of_the_gateway() {
    let vendor = Vendor::with(["1", "2", "3"].map(Reply::chat)).await;
    let mut gateway = Gateway::start(&over(&[("a", &vendor.url())], "")).await;
    for (turn, text) in ["a", "b", "c"].into_iter().enumerate() {
        say(&gateway, "s", text).await;
        assert_eq!(sent(&vendor, turn).await.len(), 2 * turn + 1);
        gateway = gateway.crash_and_restart().await;
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_is_refused_with_the_reason() {
    let (_vendor, gateway) = single([], MEMORY).await;
    let check = async |gateway: &Gateway, id: &str, body: String, code: &str, param: &str| {
        let answer = send(gateway, &[("x-session-id", id)], body).await.rest().await;
        assert_eq!(answer.error()["code"].as_str().unwrap_or(""), code, "{}", answer.text());
        assert_eq!(answer.error()["param"].as_str().unwrap_or(""), param, "{}", answer.text());
    };
    check(&gateway, "no spaces", user("a", ""), "invalid_session_id", "x-session-id").await;
    check(&gateway, &"x".repeat(129), user("a", ""), "invalid_session_id", "x-session-id").await;
    check(&gateway, "s", r#"{"model":"smart","messages":[]}"#.into(), "", "messages").await;
    check(&gateway, "s", r#"{"model":"smart"}"#.into(), "", "messages").await;
    let off = Gateway::start("sessions: { store: off }").await;
    check(&off, "s", user("a", "").replace("smart", "sim/x"), "sessions_off", "").await;
}

#[tokio::test]
async fn words_of_affinity_keep_calls_together_without_history() {
    let (a, b) = (Vendor::start().await, Vendor::start().await);
    for vendor in [&a, &b] {
        vendor.otherwise(Reply::chat("hi"));
    }
    let yaml =
        over(&[("a", &a.url()), ("b", &b.url())], MEMORY).replace("smart,", "smart, policy: weighted,");
    let (one, two) = (Gateway::start(&yaml).await, Gateway::start(&yaml).await);
    let mut places = std::collections::BTreeSet::new();
    for words in ["u-1", "u-2", "u-3", "u-4", "u-5", "u-6", "u-7", "u-8"] {
        let ask = async |gateway: &Gateway| {
            let answer = send(gateway, &[("x-session-affinity", words)], user("a", "")).await.rest().await;
            answer.served_by().0.to_owned()
        };
        let place = ask(&one).await;
        assert_eq!(ask(&two).await, place, "every gateway draws alike");
        places.insert(place);
    }
    assert_eq!(places.len(), 2, "both targets have their share");
    assert_eq!(sent(if a.calls() > 0 { &a } else { &b }, 0).await, ["user: a"]);
}

#[tokio::test]
async fn the_routes_system_prompt_comes_first_however_the_body_is_written() {
    let vendor = Vendor::with(["1", "2", "3"].map(Reply::chat)).await;
    let yaml = over(&[("a", &vendor.url())], MEMORY).replace("smart,", "smart, system: Be brief.,");
    let gateway = Gateway::start(&yaml).await;
    for text in ["a", "b"] {
        let compact = format!(r#"{{"model":"smart","messages":[{{"role":"user","content":"{text}"}}]}}"#);
        send(&gateway, &[("x-session-id", "s")], compact).await.rest().await;
    }
    assert_eq!(sent(&vendor, 1).await, ["system: Be brief.", "user: a", "assistant: 1", "user: b"]);
    say(&gateway, "s", "c").await;
    assert_eq!(sent(&vendor, 2).await[..2], ["system: Be brief.", "user: a"]);
}
