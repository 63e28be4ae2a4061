//! What requests, answers and streams mean, by example; what holds for any of them is in [`any`].

mod any;
mod citations;
mod streams;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Responses;
use crate::dialect::answer::{Answer, Choice, Reason};
use crate::dialect::json::Json;
use crate::dialect::loss::Losses;
use crate::dialect::prompt::*;
use crate::dialect::terms::{Terms, Thinking};
use crate::dialect::{Aside, ClientDialect, Dialect, ErrorSaid, Frame, VendorDialect};

pub fn frame(asked: Value) -> Frame {
    let asked = Bytes::from(asked.to_string());
    Frame { id: "f00d".into(), created: 1_750_000_000, asked, aside: Aside::default() }
}

fn read(body: Value) -> Prompt {
    Responses.read_prompt(body.to_string().as_bytes(), &Aside::default()).unwrap()
}

fn items(input: Value) -> Vec<Message> {
    read(json!({"model": "m", "input": input})).messages
}

fn written(prompt: &Prompt, terms: &Terms) -> (Value, Vec<String>) {
    let mut losses = Losses::default();
    let body = Responses.write_prompt(prompt, terms, &mut losses).unwrap();
    let names = losses.names().iter().map(|it| it.to_string()).collect();
    (serde_json::from_slice(&body).unwrap(), names)
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None }
}

fn call(id: &str, arguments: &str, is_custom: bool) -> Part {
    Part::Call(Call { id: id.into(), name: "f".into(), arguments: arguments.into(), is_custom })
}

fn result(call_id: &str, parts: Vec<Part>) -> Part {
    Part::Result(ToolResult { call_id: call_id.into(), name: None, parts, is_error: false, cache: None })
}

fn thought(text: &str, is_summary: bool, seal: Option<(Dialect, &str)>, id: Option<&str>) -> Part {
    let seal = seal.map(|(dialect, data)| Seal {
        dialect,
        data: data.into(),
        is_whole: dialect == Dialect::Responses,
    });
    Part::Thought(Thought { text: text.into(), is_summary, seal, id: id.map(Into::into) })
}

#[test]
fn what_an_assistant_did_in_one_turn_is_one_message() {
    let read = items(json!([
        {"role": "user", "content": "a"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}], "encrypted_content": "e"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "b", "annotations": []}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{ }"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "f", "input": "x"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "2"}]},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "tollgate.anthropic.sig"},
        {"role": "assistant", "content": "c"},
        {"role": "assistant", "content": "d"},
        {"type": "function_call", "call_id": "c3", "name": "f", "arguments": ""},
    ]));
    let turn = vec![
        thought("s", true, Some((Dialect::Responses, "e")), Some("rs_1")),
        Part::text("b"),
        call("c1", "{ }", false),
        call("c2", "x", true),
    ];
    let next = vec![thought("", false, Some((Dialect::Anthropic, "sig")), Some("rs_2")), Part::text("c")];
    assert_eq!(
        read,
        [
            message(Role::User, vec![Part::text("a")]),
            message(Role::Assistant, turn),
            message(Role::User, vec![result("c1", vec![Part::text("1")])]),
            message(Role::User, vec![result("c2", vec![Part::text("2")])]),
            message(Role::Assistant, next),
            message(Role::Assistant, vec![Part::text("d"), call("c3", "", false)]),
        ]
    );
}

#[test]
fn content_parts_are_read_and_written_alike() {
    let check = |part: Value, media: Option<(MediaKind, Source)>| {
        let read = items(json!([{"type": "message", "role": "user", "content": [part]}]));
        if let (Part::Media(read), Some((kind, source))) = (&read[0].parts[0], media) {
            assert_eq!((read.kind, &read.source), (kind, &source), "{part}");
        }
        let prompt = Prompt { messages: read, ..Prompt::default() };
        assert_eq!(written(&prompt, &Terms::default()).0["input"][0]["content"], json!([part]));
    };
    let data = |media_type: &str| Source::Data { media_type: media_type.into(), base64: "QQ==".into() };
    let url = || Source::Url { url: "https://a/b".into(), media_type: None };
    let image = |image: Value| json!({"type": "input_image", "image_url": image, "detail": "low"});
    check(json!({"type": "input_text", "text": "a"}), None);
    check(image("data:image/png;base64,QQ==".into()), Some((MediaKind::Image, data("image/png"))));
    check(image("https://a/b".into()), Some((MediaKind::Image, url())));
    check(json!({"type": "input_image", "file_id": "f"}), Some((MediaKind::Image, Source::File("f".into()))));
    let pdf =
        json!({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="});
    check(pdf, Some((MediaKind::Document, data("application/pdf"))));
    check(json!({"type": "input_file", "file_url": "https://a/b"}), Some((MediaKind::Document, url())));
    check(
        json!({"type": "input_file", "file_id": "f"}),
        Some((MediaKind::Document, Source::File("f".into()))),
    );
    let audio = json!({"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}});
    check(audio, Some((MediaKind::Audio, data("audio/mpeg"))));
    check(json!({"type": "input_later", "x": 1}), None);
    let bare = items(json!([{"role": "user", "content": [{"type": "input_file", "file_data": "QQ=="}]}]));
    let Part::Media(bare) = &bare[0].parts[0] else { panic!("{bare:?}") };
    assert_eq!(bare.source, data("application/pdf"));
    let marked =
        json!([{"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}]);
    let marked = items(json!([{"role": "user", "content": marked}]));
    assert!(matches!(&marked[0].parts[0], Part::Text { cache: Some(_), .. }));
}

#[test]
fn every_field_of_a_request_is_read() {
    let prompt = read(json!({
        "model": "m", "input": "a", "instructions": "i", "stream": true, "max_output_tokens": 90, "temperature": 0.5,
        "top_p": 1, "parallel_tool_calls": false, "top_logprobs": 2, "metadata": {"k": "v"}, "safety_identifier": "u",
        "prompt_cache_key": "p", "service_tier": "flex", "reasoning": {"effort": "high", "generate_summary": "auto"},
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}},
        "tools": [
            {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true},
            {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
            {"type": "web_search"},
        ],
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
        "previous_response_id": "resp_1", "conversation": "conv_1", "store": true, "background": false, "prompt": null,
        "truncation": "auto", "include": ["reasoning.encrypted_content"], "max_tool_calls": 3, "later": [1],
    }));
    assert_eq!(prompt.messages[0], message(Role::System, vec![Part::text("i")]));
    assert_eq!(prompt.messages[1], message(Role::User, vec![Part::text("a")]));
    let extra: Vec<_> = prompt.extra.iter().map(|(name, it)| (name.as_str(), it.get())).collect();
    assert_eq!(extra, [("later", "[1]"), ("max_tool_calls", "3"), ("truncation", "\"auto\"")]);
    assert!(prompt.stream && prompt.tells_usage);
    let (body, losses) = written(&prompt, &Terms { model: "v".into(), ..Terms::default() });
    assert_eq!(losses, ["later"]);
    let expected = json!({
        "model": "v",
        "input": [
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "i"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
        ],
        "tools": [
            {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true},
            {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
            {"type": "web_search"},
        ],
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
        "parallel_tool_calls": false, "max_output_tokens": 90, "temperature": 0.5, "truncation": "auto", "max_tool_calls": 3, "top_p": 1, "top_logprobs": 2,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true},
            "verbosity": "low"},
        "reasoning": {"effort": "high", "summary": "auto"},
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "user": "u", "metadata": {"k": "v"}, "service_tier": "flex", "prompt_cache_key": "p", "store": false, "stream": true,
    });
    assert_eq!(body, expected);
}

#[test]
fn what_cannot_be_understood_is_refused_by_name() {
    let refused = |body: &str, param: Option<&str>| {
        let error = Responses.read_prompt(body.as_bytes(), &Aside::default()).unwrap_err();
        assert_eq!((error.status.as_u16(), error.param.as_deref()), (400, param), "{body}");
    };
    refused("[]", None);
    refused("{", None);
    refused(r#"{"input":"a"}"#, Some("model"));
    refused(r#"{"model":"m"}"#, Some("input"));
    let field = |name: &str, value: Value, param: &str| {
        let mut body = json!({"model": "m", "input": "a"});
        body[name] = value;
        refused(&body.to_string(), Some(param));
    };
    field("model", json!(1), "model");
    field("input", json!(1), "input");
    field("stream", json!("yes"), "stream");
    field("max_output_tokens", json!(-1), "max_output_tokens");
    field("temperature", json!("1"), "temperature");
    field("tools", json!({}), "tools");
    field("tools", json!([1]), "tools[0]");
    field("tools", json!([{"type": "function"}]), "tools[0].name");
    field("tool_choice", json!("some"), "tool_choice");
    field("tool_choice", json!({"type": "file_search"}), "tool_choice");
    field("tool_choice", json!({"type": "function"}), "tool_choice.name");
    field("text", json!({"format": {"type": "xml"}}), "text.format.type");
    field("text", json!({"format": {"type": "json_schema", "name": "n"}}), "text.format.schema");
    field("reasoning", json!({"effort": "huge"}), "reasoning.effort");
    field("reasoning", json!({"effort": 3}), "reasoning.effort");
    let item = |item: Value, param: &str| field("input", json!([item]), param);
    item(json!(1), "input[0]");
    item(json!({}), "input[0].type");
    item(json!({"role": "me", "content": "a"}), "input[0].role");
    item(json!({"role": "user"}), "input[0].content");
    item(json!({"role": "user", "content": [{"type": "input_text"}]}), "input[0].content[0].text");
    item(json!({"role": "user", "content": [{"type": "input_image"}]}), "input[0].content[0].image_url");
    item(json!({"type": "function_call", "name": "f", "arguments": "{}"}), "input[0].call_id");
    item(json!({"type": "function_call_output", "call_id": "c"}), "input[0].output");
    item(json!({"type": "item_reference", "id": "msg_1"}), "input");
    item(json!({"id": "msg_1"}), "input");
}

#[test]
fn items_of_own_tools_are_carried_along() {
    let call = json!({"type": "web_search_call", "id": "ws_1", "status": "completed"});
    let output = json!({"type": "shell_call_output", "call_id": "x", "output": []});
    let messages = items(json!([call, output]));
    assert_eq!((messages[0].role, messages[1].role), (Role::Assistant, Role::User));
    let prompt = Prompt { messages, ..Prompt::default() };
    assert_eq!(written(&prompt, &Terms::default()), (expected(json!([call, output])), vec![]));
}

fn expected(input: Value) -> Value {
    json!({"model": "", "input": input, "store": false})
}

#[test]
fn reasoning_goes_back_to_its_own_maker_only() {
    let own = Some((Dialect::Responses, "e"));
    let turn = vec![
        thought("s1", true, None, Some("rs_1")),
        thought("s2", true, own, Some("rs_1")),
        thought("x", false, Some((Dialect::Anthropic, "sig")), None),
        thought("y", false, None, None),
        thought("z", false, own, None),
        Part::text("b"),
    ];
    let prompt = Prompt { messages: vec![message(Role::Assistant, turn)], ..Prompt::default() };
    let (body, losses) = written(&prompt, &Terms::default());
    let summary = |text: &str| json!({"type": "summary_text", "text": text});
    let texts: Vec<Value> =
        ["y", "z"].iter().map(|it| json!({"type": "reasoning_text", "text": it})).collect();
    let input = json!([
        {"type": "reasoning", "id": "rs_1", "summary": [summary("s1"), summary("s2")], "encrypted_content": "e"},
        {"type": "reasoning", "summary": [], "content": texts, "encrypted_content": "e"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "b", "annotations": []}]},
    ]);
    assert_eq!((&body["input"], losses), (&input, vec![]));
    assert_eq!(body["include"], json!(["reasoning.encrypted_content"]));
}

#[test]
fn what_has_no_words_is_lost_by_name() {
    let check = |fill: fn(&mut Prompt, &mut Terms), names: &[&str]| {
        let (mut prompt, mut terms) = (Prompt::default(), Terms::default());
        fill(&mut prompt, &mut terms);
        assert_eq!(written(&prompt, &terms).1, names);
    };
    check(|it, _| it.seed = Json::parse("1"), &["seed"]);
    check(|it, _| it.n = Some(1), &[]);
    check(|it, _| it.n = Some(2), &["n"]);
    check(|it, _| it.stop = vec!["x".into()], &["stop"]);
    check(
        |it, _| it.tools = vec![Tool::Other(json!({"type": "web_search_20250305"}).into())],
        &["tools[web_search_20250305]"],
    );
    check(|it, _| it.extra = vec![("store".into(), Json::text("")), ("x".into(), Json::text(""))], &["x"]);
    check(
        |it, terms| {
            it.temperature = Json::parse("0.5");
            it.top_p = Json::parse("1");
            terms.fixed_sampling = true;
        },
        &["temperature"],
    );
    check(
        |it, terms| {
            it.reasoning = Some(Reasoning { effort: Some(Effort::Low), ..Reasoning::default() });
            terms.thinking = Thinking::Never;
        },
        &["reasoning_effort"],
    );
    check(
        |it, terms| {
            let schema = json!({}).into();
            it.format = Some(Format::Schema { name: None, description: None, schema, strict: None });
            terms.json_schema = Some(false);
        },
        &["response_format"],
    );
    check(
        |it, _| {
            let failed =
                ToolResult { call_id: "c".into(), name: None, parts: vec![], is_error: true, cache: None };
            it.messages = vec![message(Role::User, vec![Part::Result(failed)])];
        },
        &["messages[].is_error"],
    );
}

#[test]
fn budgets_become_efforts() {
    let check = |reasoning: Reasoning, expected: Value| {
        let prompt = Prompt { reasoning: Some(reasoning), ..Prompt::default() };
        assert_eq!(written(&prompt, &Terms::default()).0["reasoning"], expected);
    };
    let budget = |budget| Reasoning { budget: Some(budget), ..Reasoning::default() };
    check(budget(1_024), json!({"effort": "low"}));
    check(budget(4_096), json!({"effort": "medium"}));
    check(budget(32_000), json!({"effort": "high"}));
    check(Reasoning { on: Some(false), ..budget(1) }, json!({"effort": "none"}));
    check(Reasoning { on: Some(true), ..Reasoning::default() }, Value::Null);
}

#[test]
fn a_response_repeats_its_request() {
    let asked = json!({"model": "m", "instructions": "i", "temperature": 0.1, "store": false, "conversation": "conv_1",
        "reasoning": {"effort": "low"}, "text": {"verbosity": "high"}, "metadata": {"a": "b"}, "previous_response_id": "resp_1"});
    let body: Value =
        serde_json::from_slice(&Responses.write_answer(&Answer::default(), &frame(asked))).unwrap();
    let expected = json!({"id": "resp_f00d", "object": "response", "created_at": 1_750_000_000, "status": "completed",
        "model": "m", "error": null, "incomplete_details": null, "output": [], "usage": null, "service_tier": "default",
        "background": false, "instructions": "i", "max_output_tokens": null, "max_tool_calls": null,
        "metadata": {"a": "b"}, "parallel_tool_calls": true, "previous_response_id": "resp_1", "prompt_cache_key": null,
        "prompt_cache_retention": null, "safety_identifier": null, "store": false, "temperature": 0.1,
        "tool_choice": "auto", "tools": [], "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "user": null,
        "reasoning": {"effort": "low", "summary": null}, "text": {"format": {"type": "text"}, "verbosity": "high"},
        "conversation": {"id": "conv_1"}});
    assert_eq!(body, expected);
}

#[test]
fn statuses_say_why_an_answer_ended() {
    let check = |response: Value, reason: Reason, native: Option<&str>| {
        let mut response = response;
        response["output"] = json!([]);
        let answer = Responses.read_answer(response.to_string().as_bytes()).unwrap();
        let finish = answer.choices[0].finish.clone().unwrap();
        assert_eq!((finish.reason, finish.native.as_deref()), (reason, native), "{response}");
    };
    let cut = |cause: &str| json!({"status": "incomplete", "incomplete_details": {"reason": cause}});
    check(json!({"status": "completed"}), Reason::Stop, None);
    check(json!({}), Reason::Stop, None);
    check(cut("max_output_tokens"), Reason::Length, None);
    check(cut("content_filter"), Reason::ContentFilter, None);
    check(cut("later"), Reason::Stop, Some("later"));
    check(json!({"status": "cancelled"}), Reason::Stop, Some("cancelled"));
    for body in [r#"{"status":"failed","output":[]}"#, r#"{"status":"queued","output":[]}"#, "{}", "[]", ""] {
        assert!(Responses.read_answer(body.as_bytes()).is_err(), "{body}");
    }
    let shown = |reason: Reason| {
        let choice =
            Choice { finish: Some(reason.into()), parts: vec![Part::text("a")], ..Choice::default() };
        let answer = Answer { choices: vec![choice], ..Answer::default() };
        let body: Value =
            serde_json::from_slice(&Responses.write_answer(&answer, &frame(json!({})))).unwrap();
        (
            body["status"].clone(),
            body["incomplete_details"]["reason"].clone(),
            body["output"][0]["status"].clone(),
        )
    };
    assert_eq!(shown(Reason::Length), (json!("incomplete"), json!("max_output_tokens"), json!("incomplete")));
    assert_eq!(
        shown(Reason::ContentFilter),
        (json!("incomplete"), json!("content_filter"), json!("incomplete"))
    );
    assert_eq!(shown(Reason::ToolCalls), (json!("completed"), Value::Null, json!("completed")));
}

#[test]
fn a_text_that_was_cut_inside_a_character_is_read() {
    let body = r#"{"model":"m","instructions":"a\ud83d","input":[{"role":"user","content":"b\udc00"}]}"#;
    let prompt = Responses.read_prompt(body.as_bytes(), &Aside::default()).unwrap();
    let texts = [&prompt.messages[0].parts[0], &prompt.messages[1].parts[0]];
    assert_eq!(texts, [&Part::text("a\u{fffd}"), &Part::text("b\u{fffd}")]);
}

#[test]
fn an_error_is_openais() {
    let error = ErrorSaid {
        status: 429,
        message: "m".into(),
        error_type: "t".into(),
        code: Some("c".into()),
        param: None,
        retry_after: None,
    };
    let body: Value = serde_json::from_slice(&Responses.write_error(&error)).unwrap();
    assert_eq!(body, json!({"error": {"message": "m", "type": "t", "param": null, "code": "c"}}));
}
