//! Streams, event by event.

use serde_json::{Value, json};

use super::super::Responses;
use super::super::written::ANSWER_BYTES_MAX;
use super::frame;
use crate::dialect::answer::{Answer, Choice, Finish, Reason};
use crate::dialect::event::{Event, Told};
use crate::dialect::json::Json;
use crate::dialect::prompt::{Call, Media, MediaKind, Part, Seal, Source, Thought};
use crate::dialect::{ClientDialect, Dialect, ErrorSaid, Frame, VendorDialect, write_all};

/// What a client hears; every event is named as it says it is, and numbered.
pub fn heard(events: &[Event], frame: &Frame) -> Vec<Value> {
    let told: Vec<Told> = events.iter().cloned().map(Event::told).collect();
    let mut out = Vec::new();
    write_all(&mut *Responses.encoder(frame), &told, &mut out);
    let text = String::from_utf8(out).unwrap();
    let events: Vec<Value> = text
        .split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once("\ndata: ").unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            data
        })
        .collect();
    assert!(events.iter().enumerate().all(|(at, it)| it["sequence_number"] == at));
    events
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().map(|it| it["type"].as_str().unwrap());
    kinds.map(|it| it.strip_prefix("response.").unwrap_or(it)).collect()
}

fn begin() -> Event {
    Event::Begin { id: Some("x".into()), model: Some("v".into()), created: Some(7) }
}

fn thought(text: &str, is_summary: bool, starts: bool, id: Option<&str>) -> Event {
    Event::Thought { text: text.into(), is_summary, starts, id: id.map(Into::into) }
}

fn called(call: u32, name: &str, is_custom: bool) -> Event {
    Event::CallBegins { call, id: format!("call_{call}"), name: name.into(), is_custom }
}

fn goes_on(call: u32, arguments: &str) -> Event {
    Event::CallGoesOn { call, arguments: arguments.into() }
}

/// A bit of everything, and something behind the end.
fn everything() -> Vec<Event> {
    vec![
        begin(),
        thought("a", true, true, Some("rs_1")),
        thought("b", true, true, Some("rs_1")),
        Event::Seal(Seal { dialect: Dialect::Responses, data: "e".into(), is_whole: true }),
        Event::Text("c".into()),
        Event::Text("d".into()),
        Event::Citation(Json::parse(r#"{"type":"url_citation","url_citation":{"url":"u"}}"#).unwrap()),
        Event::Refusal("no".into()),
        called(0, "f", false),
        goes_on(0, "{}"),
        called(1, "f", false),
        goes_on(1, "{\"a\""),
        goes_on(1, ":1}"),
        Event::Finish(Reason::ToolCalls.into()),
        Event::End,
        Event::Text("too late".into()),
    ]
}

#[test]
fn events_come_in_openais_order() {
    let heard = heard(&everything(), &frame(json!({"model": "m"})));
    let expected = "created in_progress output_item.added \
        reasoning_summary_part.added reasoning_summary_text.delta reasoning_summary_text.done reasoning_summary_part.done \
        reasoning_summary_part.added reasoning_summary_text.delta reasoning_summary_text.done reasoning_summary_part.done \
        output_item.done output_item.added content_part.added output_text.delta output_text.delta \
        output_text.annotation.added output_text.done content_part.done content_part.added \
        refusal.delta refusal.done content_part.done output_item.done \
        output_item.added function_call_arguments.delta function_call_arguments.done output_item.done \
        output_item.added function_call_arguments.delta function_call_arguments.delta \
        function_call_arguments.done output_item.done completed";
    assert_eq!(kinds(&heard), expected.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn items_are_told_as_the_response_has_them() {
    let heard = heard(&everything(), &frame(json!({"model": "m"})));
    let response = &heard.last().unwrap()["response"];
    let annotation =
        json!({"type": "url_citation", "url": "u", "start_index": 0, "end_index": 0, "title": ""});
    let text = json!({"type": "output_text", "text": "cd", "annotations": [annotation], "logprobs": []});
    let call = |id: &str, arguments: &str, at: usize| {
        json!({"id": format!("fc_f00d{at}"), "type": "function_call", "status": "completed", "call_id": id,
            "name": "f", "arguments": arguments})
    };
    let output = json!([
        {"id": "rs_1", "type": "reasoning", "encrypted_content": "e",
            "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]},
        {"id": "msg_f00d1", "type": "message", "status": "completed", "role": "assistant",
            "content": [text, {"type": "refusal", "refusal": "no"}]},
        call("call_0", "{}", 2),
        call("call_1", "{\"a\":1}", 3),
    ]);
    assert_eq!(response["output"], output);
    let [id, model, created] = ["id", "model", "created_at"].map(|it| response[it].clone());
    assert_eq!((id, model, created), (json!("resp_f00d"), json!("v"), json!(7)));
    for done in heard.iter().filter(|it| it["type"] == "response.output_item.done") {
        assert_eq!(done["item"], output[done["output_index"].as_u64().unwrap() as usize]);
    }
}

/// The same, whole and in pieces, cut short within its last call.
fn cut_short() -> (Answer, Vec<Event>) {
    let seal = |dialect| Seal { dialect, data: "s".into(), is_whole: false };
    let citation = Json::parse(r#"{"type":"file_citation","file_id":"f"}"#).unwrap();
    let picture = Source::Data { media_type: "image/png".into(), base64: "QQ==".into() };
    let picture = Media::of(MediaKind::Image, picture);
    let logprobs = Json::parse(r#"{"content":[{"token":"c","logprob":-1,"top_logprobs":[]}]}"#).unwrap();
    let call = |id: &str, name: &str, arguments: &str| {
        let (id, name, arguments) = (id.into(), name.into(), arguments.into());
        Part::Call(Call { id, name, arguments, is_custom: false })
    };
    let parts = vec![
        Part::Thought(Thought {
            text: "t".into(),
            seal: Some(seal(Dialect::Anthropic)),
            ..Thought::default()
        }),
        Part::Text { text: "c".into(), cache: None, citations: vec![citation.clone()] },
        Part::Media(picture.clone()),
        Part::Thought(Thought { seal: Some(seal(Dialect::Gemini)), ..Thought::default() }),
        call("call_0", "g", "{\"input\":\"x\"}"),
        call("call_1", "f", "{\"a"),
    ];
    let events = vec![
        begin(),
        thought("t", false, true, None),
        Event::Seal(seal(Dialect::Anthropic)),
        Event::Logprobs(logprobs.clone()),
        Event::Text("c".into()),
        Event::Citation(citation),
        Event::Media(picture),
        Event::Seal(seal(Dialect::Gemini)),
        called(0, "g", false),
        goes_on(0, "{\"input\""),
        goes_on(0, ":\"x\"}"),
        called(1, "f", false),
        goes_on(1, "{\"a"),
        Event::Ping,
        Event::Finish(Reason::Length.into()),
        Event::End,
    ];
    let choice = Choice { index: 0, parts, finish: Some(Reason::Length.into()), logprobs: Some(logprobs) };
    let answer =
        Answer { model: Some("v".into()), created: Some(7), choices: vec![choice], ..Answer::default() };
    (answer, events)
}

#[test]
fn a_stream_ends_with_what_the_whole_answer_is() {
    let (answer, events) = cut_short();
    let asked = json!({"model": "m", "tools": [{"type": "custom", "name": "g"}], "instructions": "a\nb"});
    let frame = frame(asked);
    let heard = heard(&events, &frame);
    let whole: Value = serde_json::from_slice(&Responses.write_answer(&answer, &frame)).unwrap();
    assert_eq!(heard.last().unwrap()["type"], "response.incomplete");
    assert_eq!(heard.last().unwrap()["response"], whole);
    let output = &whole["output"];
    assert_eq!(output[0]["encrypted_content"], "tollgate.anthropic.s");
    assert_eq!((&output[4]["type"], &output[4]["input"]), (&json!("custom_tool_call"), &json!("x")));
    assert_eq!((&output[5]["status"], &output[5]["arguments"]), (&json!("incomplete"), &json!("{\"a")));
    let custom = heard.iter().filter(|it| it["type"] == "response.custom_tool_call_input.delta");
    assert_eq!(custom.map(|it| it["delta"].as_str().unwrap()).collect::<Vec<_>>(), ["x"]);
}

#[test]
fn pieces_of_two_calls_may_alternate() {
    let events = [
        begin(),
        called(0, "f", false),
        called(1, "f", true),
        goes_on(1, "a"),
        goes_on(0, "{"),
        goes_on(1, "b"),
        goes_on(0, "}"),
        Event::End,
    ];
    let heard = heard(&events, &frame(json!({})));
    let output = &heard.last().unwrap()["response"]["output"];
    assert_eq!((&output[0]["arguments"], &output[1]["input"]), (&json!("{}"), &json!("ab")));
}

#[test]
fn a_stream_that_fails_says_so_and_ends() {
    let error = ErrorSaid {
        status: 503,
        message: "m".into(),
        error_type: "server_error".into(),
        ..ErrorSaid::default()
    };
    let heard =
        heard(&[begin(), Event::Text("a".into()), Event::Failed(error), Event::End], &frame(json!({})));
    let [.., said, failed] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!(
        said,
        &json!({"type": "error", "sequence_number": 5, "code": "server_error", "message": "m", "param": null})
    );
    assert_eq!(
        (&failed["type"], &failed["response"]["status"]),
        (&json!("response.failed"), &json!("failed"))
    );
    assert_eq!(failed["response"]["error"], json!({"code": "server_error", "message": "m"}));
    assert_eq!(failed["response"]["output"][0]["status"], "incomplete");
}

/// What a vendor's events say.
fn told(events: &[Value]) -> Vec<Event> {
    let (mut decoder, mut told) = (Responses.decoder(), Vec::new());
    events.iter().for_each(|it| decoder.read("", it.to_string().as_bytes(), &mut told).unwrap());
    decoder.end(&mut told);
    told.into_iter().map(|it| it.event).collect()
}

#[test]
fn what_was_not_told_in_pieces_is_told_at_an_items_end() {
    let done = |index: u64, item: Value| json!({"type": "response.output_item.done", "output_index": index, "item": item});
    let events = [
        json!({"type": "response.created", "response": {"id": "resp_1", "model": "v", "created_at": 7.5}}),
        done(0, json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e"})),
        done(1, json!({"type": "message", "content": [{"type": "output_text", "text": "a"}]})),
        json!({"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "{"}),
        done(2, json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"})),
        json!({"type": "response.later"}),
        json!({"type": "response.completed", "response": {"status": "completed", "service_tier": "flex"}}),
        json!({"type": "response.output_text.delta", "delta": "too late"}),
    ];
    let expected = [
        Event::Begin { id: Some("resp_1".into()), model: Some("v".into()), created: Some(7) },
        thought("", false, true, Some("rs_1")),
        Event::Seal(Seal { dialect: Dialect::Responses, data: "e".into(), is_whole: true }),
        Event::Text("a".into()),
        Event::CallBegins { call: 0, id: "c".into(), name: "f".into(), is_custom: false },
        goes_on(0, "{}"),
        Event::Finish(Reason::ToolCalls.into()),
        Event::ServiceTier("flex".into()),
        Event::End,
    ];
    assert_eq!(told(&events), expected);
}

#[test]
fn failures_of_vendors_are_told_with_their_status() {
    let check = |event: Value, status: u16, error_type: &str, code: Option<&str>| {
        let told = told(std::slice::from_ref(&event));
        let [Event::Failed(error)] = told.as_slice() else { panic!("{event}: {told:?}") };
        assert_eq!(
            (error.status, error.error_type.as_str(), error.code.as_deref()),
            (status, error_type, code),
            "{event}"
        );
        assert_eq!(error.message, "m");
    };
    let failed = |code: &str| json!({"type": "response.failed", "response": {"error": {"code": code, "message": "m"}}});
    check(failed("rate_limit_exceeded"), 429, "rate_limit_error", Some("rate_limit_exceeded"));
    check(failed("server_error"), 500, "server_error", Some("server_error"));
    check(failed("invalid_image_url"), 400, "invalid_request_error", Some("invalid_image_url"));
    check(json!({"type": "error", "code": null, "message": "m"}), 500, "server_error", None);
    let nested = json!({"type": "invalid_request_error", "message": "m"});
    check(json!({"type": "error", "error": nested}), 400, "invalid_request_error", None);
    check(json!({"error": nested}), 400, "invalid_request_error", None);
}

#[test]
fn an_unknown_end_is_a_stop_with_its_own_word() {
    let events = [
        json!({"type": "response.incomplete", "response": {"status": "incomplete", "incomplete_details": {"reason": "tired"}}}),
    ];
    let finish = Finish { reason: Reason::Stop, native: Some("tired".into()), stop_sequence: None };
    assert!(told(&events).contains(&Event::Finish(finish)));
}

#[test]
fn pictures_and_seals_count_as_answer() {
    let much = "x".repeat(ANSWER_BYTES_MAX / 2 + 1);
    let source = Source::Data { media_type: "image/png".into(), base64: much.clone() };
    let seal = Seal { dialect: Dialect::Gemini, data: much, is_whole: true };
    for event in [Event::Media(Media::of(MediaKind::Image, source)), Event::Seal(seal)] {
        let (mut encoder, mut out) = (Responses.encoder(&frame(json!({}))), Vec::new());
        for _ in 0..2 {
            out.clear();
            encoder.write(&event.clone().told(), &mut out);
        }
        let begin = String::from_utf8_lossy(&out[..200]);
        assert!(begin.contains(r#""code":"answer_too_long""#), "{begin}");
    }
}

/// Each item that begins asks of the open call whether it is whole, and of its id whether it is taken.
#[test]
fn a_long_call_and_many_items_are_read_once() {
    let (mut encoder, mut out) = (Responses.encoder(&frame(json!({}))), Vec::new());
    let goes_on = |it: &str| Event::CallGoesOn { call: 0, arguments: it.into() };
    let begins = Event::CallBegins { call: 0, id: "c".into(), name: "f".into(), is_custom: false };
    let thought = |it: u32| {
        let id = Some(format!("rs_{it}"));
        Event::Thought { text: "Hm".into(), is_summary: true, starts: true, id }
    };
    let long = format!("{{\"a\":\"{}", "x".repeat(4 << 20));
    let all = [begins, goes_on(&long)].into_iter().chain((0..10_000).map(thought));
    for event in all.chain([goes_on("\"}"), Event::Text("So.".into())]) {
        out.clear();
        encoder.write(&event.told(), &mut out);
    }
    assert!(memchr::memmem::find(&out, b"response.function_call_arguments.done").is_some());
}
