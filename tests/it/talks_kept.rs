//! What is kept of a call in a session, however it ends, and what a session may take.

use http::Method;

use crate::support::talk::{MEMORY, pair, say, send, sent, single, user};
use crate::support::{DONE, Gate, Gateway, Reply, Vendor, completion, delta, finish, over, role, until};

#[tokio::test]
async fn of_a_failed_call_nothing_is_kept_and_of_a_broken_one_what_came() {
    let cut = Reply::stream([role(), delta("half a")]).then_cut();
    let replies = [Reply::status(400, "no"), cut, Reply::chat("whole")];
    let (vendor, gateway) = single(replies, MEMORY).await;
    assert_eq!(send(&gateway, &[("x-session-id", "s")], user("a", "")).await.rest().await.status, 400);
    let broken = send(&gateway, &[("x-session-id", "s")], user("b", r#","stream":true"#)).await.rest().await;
    assert!(broken.text().contains("\"error\""), "{}", broken.text());
    say(&gateway, "s", "c").await;
    assert_eq!(sent(&vendor, 1).await, ["user: b"]);
    assert_eq!(sent(&vendor, 2).await, ["user: b", "assistant: half a", "user: c"]);
}

#[tokio::test]
async fn a_client_that_hangs_up_finds_what_it_was_sent() {
    let gate = Gate::new();
    let slow = Reply::stream([role(), delta("so far")]).gate(&gate).piece(delta(" and no further")).done();
    let (vendor, gateway) = single([slow, Reply::chat("two")], MEMORY).await;
    let mut open = send(&gateway, &[("x-session-id", "s")], user("a", r#","stream":true"#)).await;
    open.read_until("so far").await;
    drop(open);
    let line = gateway.call_line(0).await;
    assert_eq!(line["ended"], "client_gone", "{line}");
    until("the turn is stored", || async {
        let shown = gateway.get("/v1/sessions/s").await;
        shown.status == 200
    })
    .await;
    say(&gateway, "s", "b").await;
    assert_eq!(sent(&vendor, 1).await, ["user: a", "assistant: so far", "user: b"]);
}

#[tokio::test]
async fn two_calls_at_once_are_both_remembered_each_in_one_piece() {
    let (first, second) = (Gate::new(), Gate::new());
    let held = |gate: &Gate, text: &str| Reply::json(200, completion(text)).gate_first(gate);
    let replies = [held(&first, "1"), held(&second, "2"), Reply::chat("3")];
    let (vendor, gateway) = single(replies, MEMORY).await;
    let slow = say(&gateway, "s", "a");
    let quick = async {
        vendor.request(0).await;
        let asked = say(&gateway, "s", "b");
        let opened = async {
            vendor.request(1).await;
            second.open();
        };
        let (answer, ()) = tokio::join!(asked, opened);
        first.open();
        answer
    };
    let _ = tokio::join!(slow, quick);
    say(&gateway, "s", "c").await;
    // In the order in which the answers ended.
    let all = ["user: b", "assistant: 2", "user: a", "assistant: 1", "user: c"];
    assert_eq!(sent(&vendor, 2).await, all);
}

#[tokio::test]
async fn a_stream_that_was_read_before_it_was_shown_is_remembered_whole() {
    // While another target is left, what comes before the first content is held: by then `[DONE]` may have been read.
    let rest = [delta("all of it"), finish(), DONE.to_owned()].concat();
    let gate = Gate::new();
    let quick = Reply::stream([role()]).gate(&gate).piece(rest.clone()).end();
    let (a, _b, gateway) = pair([quick, Reply::chat("two")], [], MEMORY).await;
    let streaming = send(&gateway, &[("x-session-id", "s")], user("a", r#","stream":true"#));
    let opened = async {
        a.request(0).await;
        gate.reached().await;
        gate.open();
    };
    let (open, ()) = tokio::join!(streaming, opened);
    assert_eq!(open.rest().await.text(), role() + &rest);
    say(&gateway, "s", "b").await;
    assert_eq!(sent(&a, 1).await, ["user: a", "assistant: all of it", "user: b"]);
}

#[tokio::test]
async fn an_answer_without_a_word_is_a_turn_and_one_that_broke_off_says_so() {
    let silent = completion("").replace("\"stop\"", "\"length\"");
    let broken = completion("half").replace("\"stop\"", "\"error\"");
    let replies = [Reply::json(200, silent), Reply::json(200, broken)];
    let (_vendor, gateway) = single(replies, MEMORY).await;
    for text in ["a", "b"] {
        assert_eq!(say(&gateway, "s", text).await.header("x-tollgate-session"), None);
    }
    let page = gateway.get("/v1/sessions/s/messages").await.json();
    let states: Vec<_> = page["data"].as_array().unwrap().iter().map(|it| it["state"].clone()).collect();
    assert_eq!(states, ["complete", "complete", "incomplete", "incomplete"]);
}

#[tokio::test]
async fn a_session_counts_among_what_is_held_and_is_bounded_as_it_is_unpacked() {
    let replies = ["1", "2", "3"].map(Reply::chat);
    let bounds = "sessions: { store: memory, history_bytes_max: 100000 }\n";
    let (vendor, gateway) = single(replies, bounds).await;
    // Packed this is next to nothing.
    let long = "a".repeat(60_000);
    for text in [&long, &long] {
        assert_eq!(say(&gateway, "s", text).await.status, 200);
    }
    let third = say(&gateway, "s", "b").await;
    assert_eq!(third.header("x-tollgate-session-trimmed"), Some("1"));
    assert_eq!(sent(&vendor, 2).await.len(), 3);
    let replies = ["1", "2"].map(Reply::chat);
    let bounds = "limits: { held_bytes_max: 100000, body_bytes_max: 80000 }\nsessions: { store: memory }\n";
    let (_vendor, gateway) = single(replies, bounds).await;
    for text in [&long, "b"] {
        assert_eq!(say(&gateway, "s", text).await.status, 200);
    }
    let crowded = send(&gateway, &[("x-session-id", "s")], user(&long, "")).await.rest().await;
    assert_eq!((crowded.status.as_u16(), crowded.error()["code"].clone()), (503, "overloaded".into()));
}

#[tokio::test]
async fn history_leaves_room_for_what_the_route_adds() {
    let vendor = Vendor::with(["1", "2"].map(Reply::chat)).await;
    let yaml = format!(
        "upstreams:\n  a: {{ vendor: openai-compatible, base_url: \"{}\", facts: {{ context: 2000 }} }}\n\
         routes:\n  - {{ model: smart, targets: [a/model-a], defaults: {{ max_tokens: 1000 }} }}\n{MEMORY}",
        vendor.url()
    );
    let gateway = Gateway::start(&yaml).await;
    let long = "word ".repeat(600);
    say(&gateway, "s", &long).await;
    let answer = say(&gateway, "s", &long).await;
    assert_eq!(answer.header("x-tollgate-session-trimmed"), Some("1"));
}

#[tokio::test]
async fn a_continuation_that_fails_is_remembered_as_far_as_it_came() {
    let cut = Reply::stream([role(), delta("half a")]).then_cut();
    let (a, b) = (Vendor::with([cut]).await, Vendor::with([Reply::status(503, "no")]).await);
    let yaml = over(&[("a", &a.url()), ("b", &b.url())], MEMORY);
    let gateway = Gateway::start(&yaml.replace("smart,", "smart, continue_cut_streams: true,")).await;
    let answer = send(&gateway, &[("x-session-id", "s")], user("a", r#","stream":true"#)).await.rest().await;
    assert!(answer.text().contains("\"error\""), "{}", answer.text());
    let page = gateway.get("/v1/sessions/s/messages").await.json();
    assert_eq!(page["data"][1]["message"]["content"], "half a");
    assert_eq!(page["data"][1]["state"], "incomplete");
}

#[tokio::test]
async fn a_form_cannot_be_part_of_a_session() {
    let (_vendor, gateway) = single([], MEMORY).await;
    let form = "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nsmart\r\n--b--\r\n";
    let headers = [("content-type", "multipart/form-data; boundary=b"), ("x-session-id", "s")];
    let answer = gateway.call(Method::POST, "/v1/chat/completions", &headers, form).await;
    assert_eq!((answer.status.as_u16(), answer.error()["code"].clone()), (400, "invalid_body".into()));
}
