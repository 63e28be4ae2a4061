//! Citations, which count within their own part here, and within all the text of an answer elsewhere.

use serde_json::{Value, json};

use super::super::Responses;
use super::super::content::annotation;
use super::frame;
use super::streams::heard;
use crate::dialect::VendorDialect;
use crate::dialect::answer::Reason;
use crate::dialect::cited::{Cited, Source};
use crate::dialect::event::Event;
use crate::dialect::json::Json;
use crate::dialect::prompt::Part;

fn cited(url: &'static str, place: Option<(u64, u64)>) -> Json {
    Cited::of(Source::Web { url: url.into(), title: "".into() }, place).write()
}

/// As the Responses API has it.
fn own(url: &str, start: u64, end: u64) -> Value {
    json!({"type": "url_citation", "url": url, "title": "", "start_index": start, "end_index": end})
}

fn text(text: &str, annotations: &[Value]) -> Value {
    json!({"type": "output_text", "text": text, "annotations": annotations})
}

#[test]
fn places_in_later_parts_are_counted_in_all_the_text() {
    let file = json!({"type": "container_file_citation", "file_id": "f", "start_index": 1, "end_index": 2});
    let output = json!([
        {"type": "message", "content": [text("Grüße. ", &[own("a", 0, 6)]), text("Hi", &[own("b", 0, 2)])]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "message", "content": [text("Du", &[own("c", 1, 2), own("d", 0, 0), file.clone()])]},
    ]);
    let mut moved_file = file;
    (moved_file["start_index"], moved_file["end_index"]) = (json!(10), json!(11));
    let expected = [("a", Some((0, 6))), ("b", Some((7, 9))), ("c", Some((10, 11))), ("d", None)];
    let expected: Vec<Value> =
        expected.into_iter().map(|(url, place)| json(&cited(url, place))).chain([moved_file]).collect();
    let answer = json!({"status": "completed", "output": output});
    let answer = Responses.read_answer(answer.to_string().as_bytes()).unwrap();
    let parts = answer.choices[0].parts.iter();
    let citations =
        parts.filter_map(|it| if let Part::Text { citations, .. } = it { Some(citations) } else { None });
    assert_eq!(citations.flatten().map(json).collect::<Vec<_>>(), expected);
    for in_pieces in [true, false] {
        assert_eq!(decoded(&output, in_pieces), expected, "in pieces: {in_pieces}");
    }
}

fn json(citation: &Json) -> Value {
    serde_json::from_str(citation.get()).unwrap()
}

/// What a stream of that output cites; `in_pieces`: not only at the ends of its items.
fn decoded(output: &Value, in_pieces: bool) -> Vec<Value> {
    let (mut decoder, mut told) = (Responses.decoder(), Vec::new());
    let mut read = |event: Value| decoder.read("", event.to_string().as_bytes(), &mut told).unwrap();
    for (item, at) in output.as_array().unwrap().iter().zip(0..) {
        for (part, index) in item["content"].as_array().into_iter().flatten().zip(0..).filter(|_| in_pieces) {
            let (head, tail) = part["text"].as_str().unwrap().split_at(1);
            for delta in [head, tail] {
                read(
                    json!({"type": "response.output_text.delta", "output_index": at, "content_index": index, "delta": delta}),
                );
            }
            for it in part["annotations"].as_array().unwrap() {
                read(
                    json!({"type": "response.output_text.annotation.added", "output_index": at, "content_index": index, "annotation": it}),
                );
            }
        }
        read(json!({"type": "response.output_item.done", "output_index": at, "item": item}));
    }
    told.iter()
        .filter_map(|it| if let Event::Citation(it) = &it.event { Some(json(it)) } else { None })
        .collect()
}

#[test]
fn a_citation_goes_to_the_text_it_is_of() {
    let said = |it: &str| Event::Text(it.into());
    let events = [
        Event::Citation(cited("early", None)),
        said("Grüße."),
        Event::Citation(cited("a", Some((0, 6)))),
        Event::CallBegins { call: 0, id: "c".into(), name: "f".into(), is_custom: false },
        Event::CallGoesOn { call: 0, arguments: "{}".into() },
        said(" Hi"),
        Event::Citation(cited("b", Some((7, 9)))),
        Event::Citation(cited("behind", Some((1, 2)))),
        Event::CallBegins { call: 1, id: "d".into(), name: "f".into(), is_custom: false },
        Event::CallGoesOn { call: 1, arguments: "{}".into() },
        Event::Citation(cited("late", None)),
        Event::Finish(Reason::ToolCalls.into()),
        Event::End,
    ];
    let heard = heard(&events, &frame(json!({"model": "m"})));
    let added = heard.iter().filter(|it| it["type"] == "response.output_text.annotation.added");
    let added: Vec<(u64, &Value)> =
        added.map(|it| (it["output_index"].as_u64().unwrap(), &it["annotation"])).collect();
    assert_eq!(added, [(0, &own("early", 0, 0)), (0, &own("a", 0, 6)), (2, &own("b", 1, 3))]);
    let output = &heard.last().unwrap()["response"]["output"];
    let kinds: Vec<&str> = output.as_array().unwrap().iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "function_call", "message", "function_call"]);
    let annotations = |at: usize| &output[at]["content"][0]["annotations"];
    assert_eq!(*annotations(0), json!([own("early", 0, 0), own("a", 0, 6), own("behind", 1, 2)]));
    assert_eq!(*annotations(2), json!([own("b", 1, 3), own("late", 0, 0)]));
}

#[test]
fn what_cites_without_saying_anything_makes_no_message() {
    let heard = heard(&[Event::Citation(cited("a", None)), Event::End], &frame(json!({"model": "m"})));
    assert_eq!(heard.last().unwrap()["response"]["output"], json!([]));
}

#[test]
fn citations_of_files_are_told_as_openai_tells_them() {
    let check = |citation: &str, expected: &str| {
        assert_eq!(annotation(&Json::parse(citation).unwrap(), 0).get(), expected, "{citation}");
    };
    check(
        r#"{"type":"file_citation","file_citation":{"file_id":"f","filename":"D","start_index":3,"end_index":9},"location":{"type":"char_location","document_index":2}}"#,
        r#"{"type":"file_citation","index":2,"file_id":"f","filename":"D"}"#,
    );
    check(
        r#"{"type":"file_citation","file_citation":{"filename":"D"}}"#,
        r#"{"type":"file_citation","index":0,"file_id":"","filename":"D"}"#,
    );
    let own = r#"{"type":"file_citation","file_id":"f","filename":"n","index":7}"#;
    check(own, own);
}
