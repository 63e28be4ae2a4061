//! What becomes of messages and items on the way to the other, and what stays when one is deleted.

use serde_json::json;

use super::*;
use crate::session::turn::TurnState;

fn chat(messages: &Value) -> Turn {
    let text = messages.to_string();
    let mut turn =
        Turn { id: "req_1".into(), messages: text[1..text.len() - 1].to_owned().into(), ..Turn::default() };
    describe(&mut turn);
    turn
}

fn of_items(items: Value) -> Turn {
    let Value::Array(items) = items else { panic!("{items}") };
    turn("turn_1".into(), 1, given(items).unwrap())
}

/// Items without what every one has.
fn shown(turn: &Turn) -> Value {
    let items = of_turn(3, turn).into_iter().map(|(_, mut item)| {
        let plain = item.as_object_mut().unwrap();
        assert!(plain.remove("id").unwrap().is_string());
        plain.remove("status");
        item
    });
    items.collect()
}

fn said(turn: &Turn) -> Value {
    serde_json::from_slice(&[b"[", &messages(turn)[..], b"]"].concat()).unwrap()
}

fn words(kind: &str, text: &str) -> Value {
    match kind {
        "output_text" => json!({"type": kind, "text": text, "annotations": [], "logprobs": []}),
        _ => json!({"type": kind, "text": text}),
    }
}

fn message(role: &str, content: Value) -> Value {
    json!({"type": "message", "role": role, "content": content})
}

fn call(id: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "add", "arguments": "{}"}})
}

/// The messages are these items, and the items these messages.
fn check_both(messages: Value, items: Value) {
    let turn = chat(&messages);
    assert_eq!(shown(&turn), items);
    assert_eq!(said(&of_items(items)), messages);
}

#[test]
fn messages_become_items_and_items_messages() {
    check_both(
        json!([{"role": "user", "content": "a"}]),
        json!([message("user", json!([words("input_text", "a")]))]),
    );
    check_both(
        json!([
            {"role": "developer", "content": "a", "name": "n"},
            {"role": "assistant", "content": [{"type": "text", "text": "b"}, {"type": "refusal", "refusal": "no"}]},
        ]),
        json!([
            {"type": "message", "role": "developer", "name": "n", "content": [words("input_text", "a")]},
            message("assistant", json!([words("output_text", "b"), {"type": "refusal", "refusal": "no"}])),
        ]),
    );
    check_both(
        json!([
            {"role": "user", "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "data:x"}},
                {"type": "image_url", "image_url": {"url": "data:y", "detail": "high"}},
                {"type": "file", "file": {"file_id": "f", "filename": "n"}},
                {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}},
            ]},
        ]),
        json!([message(
            "user",
            json!([
                words("input_text", "a"),
                {"type": "input_image", "image_url": "data:x", "detail": "auto", "file_id": null},
                {"type": "input_image", "image_url": "data:y", "detail": "high", "file_id": null},
                {"type": "input_file", "file_id": "f", "filename": "n"},
                {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}},
            ])
        )]),
    );
}

#[test]
fn calls_of_tools_and_their_results_become_items_and_those_the_same_messages() {
    check_both(
        json!([
            {"role": "assistant", "content": "b", "tool_calls": [call("c1"),
                {"id": "c2", "type": "custom", "custom": {"name": "n", "input": "i"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "4"},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "5"}, {"type": "text", "text": "6"}]},
        ]),
        json!([
            message("assistant", json!([words("output_text", "b")])),
            {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "n", "input": "i"},
            {"type": "function_call_output", "call_id": "c1", "output": "4"},
            {"type": "function_call_output", "call_id": "c2",
                "output": [words("input_text", "5"), words("input_text", "6")]},
        ]),
    );
}

#[test]
fn odd_messages_and_unknown_items_are_kept() {
    let odd = json!([
        {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [7, {"type": "custom", "custom": "x"}]},
        {"role": "assistant", "content": "", "audio": {"id": "a", "transcript": "t"}, "function_call": {"name": "f"}},
        {"role": "function", "name": "f", "content": null},
        {"role": "user", "content": [7, {"type": "image_url", "image_url": "u"}, {"type": "file", "file": 7}, {"type": "x"}]},
        {"no": "role"},
    ]);
    let kinds: Vec<String> =
        of_turn(0, &chat(&odd)).iter().map(|(_, it)| it["type"].as_str().unwrap().to_owned()).collect();
    let expected =
        ["reasoning", "custom_tool_call", "message", "function_call", "function_call_output", "message"];
    assert_eq!(kinds, expected);

    let items = json!([
        {"type": "reasoning", "summary": [], "encrypted_content": "x"},
        {"type": "mcp_call", "server_label": "l", "arguments": "{}", "name": "n", "deep": {"n": 1}},
        {"role": "user", "content": "a"},
    ]);
    let turn = of_items(items.clone());
    let kept = of_turn(0, &turn);
    for (at, (_, mut item)) in kept.into_iter().enumerate().take(2) {
        item.as_object_mut().unwrap().remove("id");
        assert_eq!(item, items[at]);
    }
    let sealed =
        json!({"type": "reasoning.encrypted", "data": "x", "format": "openai-responses-v1", "index": 0});
    let thought = json!({"role": "assistant", "content": "", "reasoning_details": [sealed]});
    assert_eq!(said(&turn), json!([thought, {"role": "user", "content": "a"}]));
}

#[test]
fn an_empty_text_beside_something_else_is_not_shown() {
    let check = |message: Value, items: Value| assert_eq!(shown(&chat(&json!([message]))), items);
    let called = json!({"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}"});
    check(json!({"role": "assistant", "content": "", "tool_calls": [call("c1")]}), json!([called]));
    let refusal = json!([{"type": "refusal", "refusal": "no"}]);
    check(
        json!({"role": "assistant", "content": "", "refusal": "no"}),
        json!([message("assistant", refusal)]),
    );
    let spoken = json!({"role": "assistant", "content": "", "audio": {"id": "a", "transcript": "t"}});
    check(spoken, json!([message("assistant", json!([words("output_text", "t")]))]));
}

#[test]
fn what_a_turn_holds_is_noted() {
    let flags = |turn: &Turn| (turn.answers_tools, turn.instructs, turn.images, turn.private);
    let image = json!([{"type": "input_image", "image_url": "u"}]);
    let turn = of_items(json!([
        {"type": "function_call_output", "call_id": "c", "output": "1"},
        {"role": "system", "content": "s"},
        {"role": "user", "content": image},
    ]));
    assert_eq!(flags(&turn), (true, true, true, false));
    assert!(turn.tokens > 0 && turn.items);
    assert_eq!(flags(&chat(&json!([{"role": "user", "content": "a"}]))), (false, false, false, false));
    let thought = json!([{"role": "assistant", "content": "a", "reasoning_content": "b"}]);
    assert_eq!(flags(&chat(&thought)), (false, false, false, true));
}

#[test]
fn ids_say_where_to_look_and_outlive_the_deletion_of_others() {
    let turn = chat(&json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning": "r", "tool_calls": [call("c1"), call("c2")]},
        {"role": "tool", "tool_call_id": "c1", "content": "4"},
    ]));
    let all = of_turn(7, &turn);
    let ids: Vec<String> = all.iter().map(|(_, it)| it["id"].as_str().unwrap().to_owned()).collect();
    for ((place, _), id) in all.iter().zip(&ids) {
        assert_eq!(Place::parse(id), Some(*place), "{id}");
    }
    let mut sorted = all.iter().map(|(place, _)| *place).collect::<Vec<_>>();
    sorted.sort();
    assert!(sorted.iter().zip(&all).all(|(it, (place, _))| it == place));
    let mut left = turn.clone();
    for (deleted, (place, _)) in all.iter().enumerate() {
        left = without(&left, *place).unwrap();
        let now: Vec<_> =
            of_turn(7, &left).iter().map(|(_, it)| it["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(now, ids[deleted + 1..]);
    }
    assert!(messages(&left).is_empty());
    assert_ne!(of_turn(7, &Turn { id: "req_2".into(), ..turn })[0].1["id"], ids[0]);
}

#[test]
fn what_is_left_of_a_message_is_still_one() {
    let turn = chat(&json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "tool_calls": [call("c1"), call("c2")]},
    ]));
    let check = |kind: &str, left: Value| {
        let (place, _) = of_turn(0, &turn).into_iter().find(|(_, it)| it["type"] == kind).unwrap();
        assert_eq!(said(&without(&turn, place).unwrap()), left, "{kind}");
    };
    let asked = json!({"role": "user", "content": "a"});
    check("function_call", json!([asked, {"role": "assistant", "content": "b", "tool_calls": [call("c2")]}]));
    check("message", json!([{"role": "assistant", "content": "b", "tool_calls": [call("c1"), call("c2")]}]));
    let words = Place { turn: 0, object: 1, part: WORDS };
    let silent = json!({"role": "assistant", "content": null, "tool_calls": [call("c1"), call("c2")]});
    assert_eq!(said(&without(&turn, words).unwrap()), json!([asked, silent]));
    assert_eq!(without(&turn, Place { turn: 0, object: 9, part: 0 }), None);
}

#[test]
fn an_answer_that_was_cut_is_incomplete() {
    let turn = chat(&json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]));
    let turn = Turn { state: TurnState::Incomplete, ..turn };
    let status: Vec<Value> = of_turn(0, &turn).iter().map(|(_, it)| it["status"].clone()).collect();
    assert_eq!(status, ["completed", "incomplete"]);
}

#[test]
fn items_that_are_none_are_refused_by_name() {
    let check = |item: Value, param: &str| {
        let fault = given(vec![json!({"role": "user", "content": "a"}), item.clone()]).unwrap_err();
        assert_eq!(fault.param, param, "{item}");
    };
    check(json!(7), "items[1]");
    check(json!({}), "items[1].type");
    check(json!({"type": "item_reference", "id": "x"}), "items[1].type");
    check(json!({"role": "me", "content": "a"}), "items[1].role");
    check(json!({"role": "user"}), "items[1].content");
    check(json!({"role": "user", "content": []}), "items[1].content");
    check(json!({"role": "user", "content": [7]}), "items[1].content[0]");
    let part = |role: &str, part: Value, param: &str| {
        let item = json!({"role": role, "content": [{"type": "refusal", "refusal": "no"}, part]});
        let item = if role == "assistant" { item } else { json!({"role": role, "content": [part]}) };
        let at = usize::from(role == "assistant");
        check(item, &format!("items[1].content[{at}].{param}"));
    };
    part("user", json!({"type": "input_text", "text": 5}), "text");
    part("user", json!({"type": "input_text"}), "text");
    part("user", json!({"type": "output_text", "text": "a"}), "type");
    part("user", json!({"type": "banana"}), "type");
    part("user", json!({"type": "input_image"}), "image_url");
    part("user", json!({"type": "input_image", "image_url": "u", "detail": "best"}), "detail");
    part("user", json!({"type": "input_file", "filename": "n"}), "file_id");
    part("user", json!({"type": "input_audio"}), "input_audio");
    part("assistant", json!({"type": "input_text", "text": "a"}), "type");
    check(json!({"role": "user", "content": "a", "status": "banana"}), "items[1].status");
    check(json!({"type": "banana"}), "items[1].type");
    check(json!({"type": "reasoning"}), "items[1].summary");
    check(
        json!({"type": "reasoning", "summary": [{"type": "text", "text": "a"}]}),
        "items[1].summary[0].type",
    );
    check(json!({"type": "mcp_call", "name": "n", "arguments": "{}"}), "items[1].server_label");
    check(json!({"type": "web_search_call", "status": "banana"}), "items[1].status");
    check(json!({"type": "function_call", "name": "n", "arguments": "{}"}), "items[1].call_id");
    check(json!({"type": "function_call_output", "call_id": "c"}), "items[1].output");
    for id in [
        "",
        "msg_",
        "msg_12",
        &format!("msg_+{}", "0".repeat(37)),
        &format!("msg_{}", "g".repeat(38)),
        &format!("msg_{}", "ä".repeat(19)),
    ] {
        assert_eq!(Place::parse(id), None, "{id}");
    }
}

#[test]
fn what_is_not_understood_is_sent_as_it_was_when_something_else_is_deleted() {
    let written = concat!(
        r#"{"type":"text","role":"user","content":"a"},{ "role":"user","content":"first \ud83d" },"#,
        r#"{"type":"message","role":"assistant","content":"b\udc00","big":1e999,"tool_calls":[{"id":"c\ud83d"},{"id":"d"}]},"#,
        r#"{"role":"user","content":"c"}"#,
    );
    let turn = Turn { id: "req_1".into(), messages: written.into(), ..Turn::default() };
    let items = of_turn(0, &turn);
    let shown: Vec<_> = items.iter().filter_map(|(_, it)| it["content"][0]["text"].as_str()).collect();
    assert_eq!(shown, ["a", "first \u{fffd}", "b\u{fffd}", "c"]);
    let left = without(&turn, items[5].0).unwrap();
    let expected = written.strip_suffix(r#",{"role":"user","content":"c"}"#).unwrap();
    assert_eq!(messages(&left), expected);
    let left = without(&left, items[4].0).unwrap();
    assert_eq!(messages(&left), expected.replace(r#",{"id":"d"}"#, ""));
    assert_eq!(of_turn(0, &left), items[..4]);
    let left = without(&left, items[0].0).unwrap();
    assert!(messages(&left).starts_with(br#"{ "role":"user","content":"first \ud83d" },{"type":"message""#));
}
