//! What holds for any request, answer and stream.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::Responses;
use super::frame;
use super::streams::heard;
use crate::api::usage::Usage;
use crate::dialect::answer::Reason;
use crate::dialect::event::{Event, Told};
use crate::dialect::loss::Losses;
use crate::dialect::prompt::Seal;
use crate::dialect::terms::Terms;
use crate::dialect::{Aside, ClientDialect, Dialect, VendorDialect};

/// One thing an answer says, with all the events of it.
fn said() -> impl Strategy<Value = Vec<Event>> {
    let text = "[a-z\"\\\\\né😀]{1,6}";
    let thought = |text: String, is_summary, starts, id: &str| Event::Thought {
        text,
        is_summary,
        starts,
        id: Some(id.into()),
    };
    let seal = |data: String| Event::Seal(Seal { dialect: Dialect::Responses, data, is_whole: true });
    prop_oneof![
        text.prop_map(|it| vec![Event::Text(it)]),
        text.prop_map(|it| vec![Event::Refusal(it)]),
        (text, text, any::<bool>(), "[a-z]{1,9}").prop_map(move |(one, two, is_summary, id)| {
            let id = format!("rs_{id}");
            vec![thought(one, is_summary, true, &id), thought(two, is_summary, false, &id), seal(id.clone())]
        }),
        ("[a-z]{1,5}", text, any::<bool>()).prop_map(|(id, text, is_custom)| {
            let arguments = if is_custom { text } else { json!({"a": text}).to_string() };
            let begins = Event::CallBegins { call: 0, id, name: "f".into(), is_custom };
            vec![begins, Event::CallGoesOn { call: 0, arguments }]
        }),
    ]
}

/// A whole stream.
fn streams() -> impl Strategy<Value = Vec<Event>> {
    let reasons = prop_oneof![Just(Reason::Length), Just(Reason::ContentFilter), Just(Reason::Stop)];
    (prop::collection::vec(said(), 0..8), reasons, 0..9_u64).prop_map(|(said, reason, tokens)| {
        let mut events = vec![Event::Begin { id: None, model: Some("v".into()), created: Some(7) }];
        let mut calls = 0;
        for (at, mut one) in said.into_iter().enumerate() {
            for event in &mut one {
                if let Event::Thought { id: Some(id), .. } = event {
                    id.push_str(&at.to_string());
                }
                if let Event::CallBegins { call, .. } | Event::CallGoesOn { call, .. } = event {
                    *call = calls;
                }
            }
            calls += u32::from(matches!(one[0], Event::CallBegins { .. }));
            events.extend(one);
        }
        let reason = if calls > 0 && reason == Reason::Stop { Reason::ToolCalls } else { reason };
        let usage = Usage { input: tokens + 2, cached_input: 1, output: 5, reasoning: 2, ..Usage::default() };
        let end = [
            Event::Finish(reason.into()),
            Event::ServiceTier("flex".into()),
            Event::Usage(usage),
            Event::End,
        ];
        events.extend(end);
        events
    })
}

/// Pieces put together, so that how they were cut does not matter. Each response has an id of its own.
fn joined(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let mut all: Vec<Event> = Vec::new();
    for event in events {
        match (all.last_mut(), event) {
            (Some(Event::Text(text)), Event::Text(more)) => text.push_str(&more),
            (Some(Event::Refusal(text)), Event::Refusal(more)) => text.push_str(&more),
            (Some(Event::Thought { text, .. }), Event::Thought { text: more, starts: false, .. }) => {
                text.push_str(&more)
            }
            (_, Event::Begin { model, created, .. }) => all.push(Event::Begin { id: None, model, created }),
            (_, event) => all.push(event),
        }
    }
    all
}

proptest! {
    #[test]
    fn what_is_told_comes_back_from_its_events(events in streams()) {
        let frame = frame(json!({"model": "m"}));
        let (mut decoder, mut back) = (Responses.decoder(), Vec::<Told>::new());
        for event in heard(&events, &frame) {
            decoder.read("", event.to_string().as_bytes(), &mut back).unwrap();
        }
        prop_assert_eq!(joined(back.into_iter().map(|it| it.event)), joined(events));
    }

    #[test]
    fn no_bytes_are_too_strange(body in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Responses.read_prompt(&body, &Aside::default());
        let _ = Responses.read_answer(&body);
        let _ = Responses.decoder().read("response.completed", &body, &mut Vec::new());
    }

    #[test]
    fn no_request_is_too_strange(input in anything(), tools in anything(), choice in anything(), text in anything()) {
        let body = json!({"model": "m", "input": [input], "tools": [tools], "tool_choice": choice, "text": text});
        if let Ok(prompt) = Responses.read_prompt(body.to_string().as_bytes(), &Aside::default()) {
            let written = Responses.write_prompt(&prompt, &Terms::default(), &mut Losses::default()).unwrap();
            prop_assert!(serde_json::from_slice::<Value>(&written).is_ok());
        }
        let frame = frame(body);
        prop_assert!(heard(&[Event::Text("a".into()), Event::End], &frame).len() > 2);
    }

    #[test]
    fn no_answer_is_too_strange(output in anything(), events in prop::collection::vec(anything(), 1..6)) {
        let _ = Responses.read_answer(json!({"output": [output]}).to_string().as_bytes());
        let (mut decoder, mut told) = (Responses.decoder(), Vec::new());
        for event in events {
            let _ = decoder.read("", event.to_string().as_bytes(), &mut told);
        }
        let events: Vec<Event> = told.into_iter().map(|it| it.event).collect();
        heard(&events, &frame(json!({})));
    }
}

const WORDS: &str = "message user assistant reasoning function_call custom_tool_call function_call_output input_text \
    input_image input_file input_audio refusal output_text custom function grammar allowed_tools json_schema \
    url_citation tollgate.anthropic.x response.output_item.done response.completed response.output_text.delta \
    response.function_call_arguments.delta response.reasoning_summary_text.delta error";

const NAMES: &str = "type role content summary encrypted_content id call_id name arguments input output text image_url \
    file_data input_audio annotations url_citation format grammar tools mode schema item output_index response delta \
    status usage error logprobs message";

fn one_of(words: &'static str) -> impl Strategy<Value = String> + Clone {
    prop::sample::select(words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
}

/// JSON made of the words that this dialect knows.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        one_of(WORDS).prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        "[a-z{\"]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let fields = prop::collection::vec((one_of(NAMES), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(Value::from),
            fields.prop_map(|it| it.into_iter().collect::<Value>()),
        ]
    })
}
