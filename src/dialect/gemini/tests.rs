//! What the golden fixtures do not show: paths, refusals, bounds, and that any input is borne.

use bytes::Bytes;
use proptest::prelude::*;

use super::Gemini;
use crate::api::usage::Usage;
use crate::dialect::answer::{Answer, Choice, Finish, Reason};
use crate::dialect::event::{Event, Told};
use crate::dialect::json::Json;
use crate::dialect::loss::Losses;
use crate::dialect::prompt::{Call, Message, Part, Prompt, Role, Seal, ToolResult};
use crate::dialect::terms::Terms;
use crate::dialect::tests::noise;
use crate::dialect::{Aside, ClientDialect, Dialect, Frame, NoAnswer, VendorDialect, write_all};

fn aside() -> Aside {
    Aside { model: Some("models/m".to_owned()), stream: true }
}

fn frame() -> Frame {
    Frame { id: "0".repeat(32), created: 1, asked: Bytes::new(), aside: aside() }
}

/// The payloads of what an encoder wrote.
fn events(sse: &[u8]) -> Vec<String> {
    let text = String::from_utf8(sse.to_vec()).unwrap();
    text.split("\n\n").filter_map(|it| it.strip_prefix("data: ")).map(str::to_owned).collect()
}

fn encoded(told: &[Event]) -> Vec<String> {
    let told: Vec<Told> = told.iter().cloned().map(Event::told).collect();
    let mut out = Vec::new();
    write_all(&mut *Gemini.encoder(&frame()), &told, &mut out);
    events(&out)
}

fn decoded(events: &[String]) -> Vec<Event> {
    let (mut decoder, mut told) = (Gemini.decoder(), Vec::new());
    events.iter().for_each(|it| decoder.read("", it.as_bytes(), &mut told).unwrap());
    decoder.end(&mut told);
    told.into_iter().map(|it| it.event).collect()
}

#[test]
fn paths_name_the_model_once_and_escape_it() {
    let check = |model: &str, stream: bool, path: &str| assert_eq!(Gemini.path(model, stream), path);
    check("gemini-3.5-flash", false, "/models/gemini-3.5-flash:generateContent");
    check("models/gemini-3.5-flash", true, "/models/gemini-3.5-flash:streamGenerateContent?alt=sse");
    check("publishers/google/models/g", false, "/models/g:generateContent");
    check("a/../b?c:d é", false, "/models/a%2F..%2Fb%3Fc%3Ad%20%C3%A9:generateContent");
}

#[test]
fn requests_that_mean_nothing_are_refused_by_field() {
    let check = |body: &str, param: Option<&str>| {
        let error = Gemini.read_prompt(body.as_bytes(), &aside()).unwrap_err();
        assert_eq!((error.status.as_u16(), error.param.as_deref()), (400, param), "{body}");
    };
    check("[]", None);
    check("{}", Some("contents"));
    check(r#"{"contents":[]}"#, Some("contents"));
    check(r#"{"contents":"hi"}"#, Some("contents"));
    check(r#"{"contents":[{"role":"assistant","parts":[]}]}"#, Some("contents[].role"));
    check(r#"{"contents":[{"parts":"hi"}]}"#, Some("contents[].parts"));
    check(r#"{"contents":[{"parts":[{"functionCall":{}}]}]}"#, Some("contents[].parts[].functionCall.name"));
    check(
        r#"{"contents":[{"parts":[{"functionResponse":{}}]}]}"#,
        Some("contents[].parts[].functionResponse.name"),
    );
    let rest = |it: &str| format!(r#"{{"contents":{{"parts":{{"text":"x"}}}},{it}}}"#);
    check(&rest(r#""tools":1"#), Some("tools"));
    check(&rest(r#""tools":[{"functionDeclarations":[{}]}]"#), Some("tools[].functionDeclarations[].name"));
    check(&rest(r#""systemInstruction":1"#), Some("systemInstruction"));
    check(&rest(r#""generationConfig":[]"#), Some("generationConfig"));
    check(&rest(r#""generationConfig":{"temperature":"hot"}"#), Some("generationConfig.temperature"));
    check(&rest(r#""generationConfig":{"maxOutputTokens":-1}"#), Some("generationConfig.maxOutputTokens"));
    let mode = r#""toolConfig":{"functionCallingConfig":{"mode":"SOME"}}"#;
    check(&rest(mode), Some("toolConfig.functionCallingConfig.mode"));
    let error = Gemini.read_prompt(rest(r#""x":1"#).as_bytes(), &Aside::default()).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("model"));
}

#[test]
fn what_no_request_can_be_made_of_is_refused() {
    let check = |part: Part, param: &str| {
        let role = if matches!(part, Part::Call(_)) { Role::Assistant } else { Role::User };
        let messages = vec![Message { role, parts: vec![part], name: None }];
        let prompt = Prompt { messages, ..Prompt::default() };
        let error = Gemini.write_prompt(&prompt, &Terms::default(), &mut Losses::default()).unwrap_err();
        assert_eq!((error.status.as_u16(), error.param.as_deref()), (400, Some(param)));
    };
    for arguments in ["{\"a\":", "[1]", "1"] {
        let call = Call { id: "c".into(), name: "f".into(), arguments: arguments.into(), is_custom: false };
        check(Part::Call(call), "messages[].tool_calls[].function.arguments");
    }
    let result =
        ToolResult { call_id: "c".into(), name: None, parts: Vec::new(), is_error: false, cache: None };
    check(Part::Result(result), "messages[].tool_call_id");
}

#[test]
fn a_prompt_of_the_system_alone_is_asked_as_the_users() {
    let messages = vec![Message { role: Role::System, parts: vec![Part::text("Hi")], name: None }];
    let prompt = Prompt { messages, ..Prompt::default() };
    let body = Gemini.write_prompt(&prompt, &Terms::default(), &mut Losses::default()).unwrap();
    assert_eq!(String::from_utf8(body).unwrap(), r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}"#);
}

#[test]
fn an_error_or_nothing_at_all_is_no_answer() {
    for body in ["{}", "[]", "", "\u{0}", r#"{"error":{"code":500}}"#, r#"{"candidates":[]}"#] {
        assert!(Gemini.read_answer(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn an_end_that_leaves_out_what_was_to_come_is_a_failure() {
    let check = |candidate: &str, expected: Option<&str>| {
        let body = format!(r#"{{"candidates":[{candidate}]}}"#);
        let whole = match Gemini.read_answer(body.as_bytes()) {
            Err(NoAnswer::Failed(said)) => Some(said.message),
            other => other.err().map(|it| panic!("{it:?}")),
        };
        assert_eq!(whole.as_deref(), expected, "{body}");
        let told = decoded(&[body]);
        let failed = told.iter().find_map(|it| match it {
            Event::Failed(said) => Some(said.message.as_str()),
            _ => None,
        });
        assert_eq!(failed, expected, "{told:?}");
        assert_eq!(told.last() == Some(&Event::End), expected.is_none(), "{told:?}");
    };
    let text = r#""content":{"parts":[{"text":"a"}]}"#;
    let thought = r#""content":{"parts":[{"text":"a","thought":true}]}"#;
    for native in [
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    ] {
        check(&format!(r#"{{{text},"finishReason":"{native}","finishMessage":"why"}}"#), Some("why"));
    }
    for native in ["OTHER", "NO_IMAGE", "SOMETHING_NEW"] {
        check(&format!(r#"{{{text},"finishReason":"{native}"}}"#), None);
        let why = format!("The model ended its answer with {native}.");
        check(&format!(r#"{{"finishReason":"{native}"}}"#), Some(&why));
        check(&format!(r#"{{{thought},"finishReason":"{native}"}}"#), Some(&why));
    }
    for native in ["STOP", "MAX_TOKENS", "SAFETY", "IMAGE_SAFETY"] {
        check(&format!(r#"{{"finishReason":"{native}"}}"#), None);
    }
}

#[test]
fn a_stream_ends_where_every_candidate_has() {
    let check = |events: &[&str], ends: bool| {
        let events: Vec<String> = events.iter().map(|it| format!(r#"{{"candidates":[{it}]}}"#)).collect();
        assert_eq!(decoded(&events).last() == Some(&Event::End), ends, "{events:?}");
    };
    check(&[r#"{"finishReason":"STOP"}"#], true);
    check(&[r#"{"finishReason":"STOP"},{"index":1}"#], false);
    check(&[r#"{"finishReason":"STOP"},{"index":1}"#, r#"{"index":1,"finishReason":"STOP"}"#], true);
    check(&[r#"{"index":500,"finishReason":"STOP"}"#], false);
    check(&[""], false);
    let failed = decoded(&[
        r#"{"candidates":[{"finishReason":"STOP"}]}"#.to_owned(),
        r#"{"error":{"code":500,"message":"x"}}"#.to_owned(),
    ]);
    assert!(matches!(failed.last(), Some(Event::Failed(error)) if error.status == 500));
}

#[test]
fn calls_that_are_no_objects_are_told_as_malformed() {
    let begins = Event::CallBegins { call: 0, id: "c".into(), name: "f".into(), is_custom: false };
    let goes_on = Event::CallGoesOn { call: 0, arguments: "{\"a".into() };
    let told = encoded(&[begins, goes_on, Event::Finish(Reason::ToolCalls.into()), Event::End]);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains(r#""finishReason":"MALFORMED_FUNCTION_CALL""#), "{told:?}");
    assert!(!told[0].contains("functionCall\""), "{told:?}");
}

#[test]
fn a_call_that_the_bound_of_the_answer_cut_says_so() {
    let begins = Event::CallBegins { call: 0, id: "c".into(), name: "f".into(), is_custom: false };
    let goes_on = Event::CallGoesOn { call: 0, arguments: "{\"a".into() };
    let told = encoded(&[begins, goes_on, Event::Finish(Reason::Length.into()), Event::End]);
    assert!(told[0].contains(r#""finishReason":"MAX_TOKENS""#), "{told:?}");
    let call = Call { id: "c".into(), name: "f".into(), arguments: "{\"a".into(), is_custom: false };
    let finish = Some(Reason::Length.into());
    let choice = Choice { parts: vec![Part::Call(call)], finish, ..Choice::default() };
    let answer = Answer { choices: vec![choice], ..Answer::default() };
    let told = String::from_utf8(Gemini.write_answer(&answer, &Frame::default())).unwrap();
    assert!(told.contains(r#""finishReason":"MAX_TOKENS""#) && !told.contains("functionCall"), "{told}");
}

/// Vertex's streamed arguments end so; there is no call in it.
#[test]
fn a_call_that_says_nothing_is_none() {
    let end = r#"{"candidates":[{"content":{"parts":[{"functionCall":{}}]},"finishReason":"STOP"}]}"#;
    assert_eq!(decoded(&[end.to_owned()])[1..], [Event::Finish(Reason::Stop.into()), Event::End]);
}

#[test]
fn sources_told_again_are_told_once_before_the_end() {
    let metadata =
        |uri: &str| format!(r#""groundingMetadata":{{"groundingChunks":[{{"web":{{"uri":"{uri}"}}}}]}}"#);
    let event = |it: String| format!(r#"{{"candidates":[{{{it}}}]}}"#);
    let told = decoded(&[
        event(format!(r#""content":{{"parts":[{{"text":"a"}}]}},{}"#, metadata("https://a.example"))),
        event(metadata("https://b.example")),
        event(r#""finishReason":"STOP","groundingMetadata":{}"#.to_owned()),
        r#"{"promptFeedback":{"blockReason":"OTHER"}}"#.to_owned(),
    ]);
    let source = r#"{"type":"url_citation","url_citation":{"url":"https://b.example","title":"","start_index":0,"end_index":0}}"#;
    let rest = [
        Event::Text("a".into()),
        Event::Citation(Json::parse(source).unwrap()),
        Event::Finish(Reason::Stop.into()),
        Event::End,
    ];
    assert_eq!(told[1..], rest);
}

#[test]
fn nothing_is_written_behind_the_end() {
    let told = encoded(&[Event::End, Event::Text("x".into()), Event::End]);
    assert_eq!(told.len(), 1);
}

#[test]
fn googles_seals_stay_with_the_call_they_belong_to() {
    let seal = Seal { dialect: Dialect::Gemini, data: "EpwB".into(), is_whole: false };
    let thought = Event::Thought { text: "Hm".into(), is_summary: false, starts: true, id: None };
    let begins = Event::CallBegins { call: 0, id: "c".into(), name: "f".into(), is_custom: false };
    let finish = Event::Finish(Reason::ToolCalls.into());
    let told = encoded(&[thought, Event::Seal(seal.clone()), begins, finish, Event::End]);
    assert!(told[1].contains(r#""args":{}},"thoughtSignature":"EpwB"}"#), "{told:?}");
    let events = decoded(&told);
    let at = events.iter().position(|it| *it == Event::Seal(seal.clone())).unwrap();
    assert!(matches!(events[at + 1], Event::CallBegins { .. }), "{events:?}");
}

/// What a stream says, without what this dialect does not: which pieces it came in, where thoughts begin, their ids
/// and whether they are summaries; calls come last.
fn gist(events: &[Event]) -> Vec<String> {
    let mut gist: Vec<(char, String)> = Vec::new();
    let mut calls: Vec<String> = Vec::new();
    let mut add =
        |kind: char, text: &str| match gist.last_mut().filter(|it| it.0 == kind && "tr".contains(kind)) {
            Some((_, before)) => before.push_str(text),
            None if text.is_empty() => {}
            None => gist.push((kind, text.to_owned())),
        };
    for event in events {
        match event {
            Event::Text(text) | Event::Refusal(text) => add('t', text),
            Event::Thought { text, .. } => add('r', text),
            Event::Seal(seal) => add('s', &format!("{seal:?}")),
            Event::CallBegins { id, name, .. } => calls.push(format!("{id} {name} ")),
            Event::CallGoesOn { call, arguments } => calls[*call as usize].push_str(arguments),
            other => add('o', &format!("{other:?}")),
        }
    }
    calls.into_iter().chain(gist.into_iter().map(|(kind, text)| format!("{kind} {text}"))).collect()
}

/// A thing said, in one or several events.
fn said() -> impl Strategy<Value = Vec<Event>> {
    let text = "[a-zéß\"\\\\\n ]{1,12}";
    let seal =
        (prop_oneof![Just(Dialect::Anthropic), Just(Dialect::Responses)], "[a-z.]{1,8}", any::<bool>())
            .prop_map(|(dialect, data, is_whole)| Event::Seal(Seal { dialect, data, is_whole }));
    let thought = text.prop_map(|text| Event::Thought { text, is_summary: false, starts: true, id: None });
    prop_oneof![
        text.prop_map(|it| vec![Event::Text(it)]),
        (thought, seal).prop_map(|(thought, seal)| vec![thought, seal]),
    ]
}

fn stream() -> impl Strategy<Value = Vec<Event>> {
    let calls = prop::collection::vec(("[a-z_]{1,8}", "[a-z\"\\\\]{0,9}"), 0..4);
    (prop::collection::vec(said(), 0..8), calls, 0..4_u8).prop_map(|(said, calls, reason)| {
        let mut events = vec![Event::Begin { id: Some("r".into()), model: Some("m".into()), created: None }];
        events.extend(said.into_iter().flatten());
        let has_calls = !calls.is_empty();
        for (number, (name, value)) in (0..).zip(calls) {
            let id = format!("call_{number}");
            events.push(Event::CallBegins { call: number, id, name, is_custom: false });
            let arguments = serde_json::json!({ "a": value }).to_string();
            let (head, tail) = arguments.split_at(3);
            let pieces = [head, tail].map(|it| Event::CallGoesOn { call: number, arguments: it.into() });
            events.extend(pieces);
        }
        let reason = match reason {
            0 => Reason::Length,
            _ if has_calls => Reason::ToolCalls,
            _ => Reason::Stop,
        };
        events.push(Event::Finish(Finish::from(reason)));
        events.push(Event::Usage(Usage { input: 9, output: 5, reasoning: 2, ..Usage::default() }));
        events.push(Event::End);
        events
    })
}

/// Fields that are read.
const NAMES: &[&str] = &[
    "contents",
    "parts",
    "text",
    "thought",
    "thoughtSignature",
    "functionCall",
    "functionResponse",
    "name",
    "args",
    "response",
    "inlineData",
    "fileUri",
    "mimeType",
    "data",
    "role",
    "candidates",
    "content",
    "finishReason",
    "index",
    "groundingMetadata",
    "groundingChunks",
    "groundingSupports",
    "groundingChunkIndices",
    "segment",
    "endIndex",
    "web",
    "uri",
    "logprobsResult",
    "chosenCandidates",
    "logProbability",
    "tools",
    "functionDeclarations",
    "parameters",
    "type",
    "items",
    "nullable",
    "generationConfig",
    "thinkingConfig",
    "responseSchema",
    "usageMetadata",
];

fn json() -> impl Strategy<Value = String> {
    noise::json(NAMES.to_vec(), Vec::new())
}

/// Puts `body` through all that reads, and what was read through all that writes.
fn bear(body: &[u8]) {
    if let Ok(prompt) = Gemini.read_prompt(body, &aside())
        && let Ok(written) = Gemini.write_prompt(&prompt, &Terms::default(), &mut Losses::default())
    {
        assert!(serde_json::from_slice::<serde_json::Value>(&written).is_ok());
    }
    if let Ok(answer) = Gemini.read_answer(body) {
        let written = Gemini.write_answer(&answer, &frame());
        assert!(serde_json::from_slice::<serde_json::Value>(&written).is_ok());
    }
    let (mut decoder, mut told) = (Gemini.decoder(), Vec::new());
    let _ = decoder.read("", body, &mut told);
    decoder.end(&mut told);
    let mut out = Vec::new();
    write_all(&mut *Gemini.encoder(&frame()), &told, &mut out);
    for event in events(&out) {
        assert!(serde_json::from_str::<serde_json::Value>(&event).is_ok(), "{event}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_borne(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        bear(&bytes);
    }

    #[test]
    fn any_json_is_borne(json in json()) {
        bear(json.as_bytes());
        for name in ["contents", "candidates", "generationConfig", "tools"] {
            let contents = if name == "contents" { "" } else { r#""contents":{"parts":{"text":"x"}},"# };
            bear(format!(r#"{{{contents}"{name}":[{json}]}}"#).as_bytes());
            bear(format!(r#"{{{contents}"{name}":[{{"content":{json},"parts":[{json}]}}]}}"#).as_bytes());
        }
    }

    #[test]
    fn streams_come_back_as_they_were_told(told in stream()) {
        prop_assert_eq!(gist(&decoded(&encoded(&told))), gist(&told));
    }
}
