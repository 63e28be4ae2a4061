//! What no fixture can show: an answer that failed, and that no bytes make a reader panic.

use proptest::prelude::*;

use super::*;
use crate::dialect::event::Event;
use crate::dialect::prompt::{Media, MediaKind, Message, Part, Role, Source};
use crate::dialect::tests::noise;

#[test]
fn what_an_assistant_made_is_lost_by_its_own_name() {
    let source = || Source::Data { media_type: "x/y".into(), base64: "QQ==".into() };
    for (kind, name) in [(MediaKind::Image, "messages[].images"), (MediaKind::Audio, "messages[].audio")] {
        let parts = vec![Part::text("So"), Part::Media(Media::of(kind, source()))];
        let messages = vec![Message { role: Role::Assistant, parts, name: None }];
        let (prompt, mut losses) = (Prompt { messages, ..Prompt::default() }, Losses::default());
        Cohere.write_prompt(&prompt, &Terms::default(), &mut losses).unwrap();
        assert_eq!(losses.names(), [name]);
    }
}

#[test]
fn an_answer_that_failed_is_none() {
    for reason in ["ERROR", "TIMEOUT"] {
        let body = format!(r#"{{"id":"i","message":{{"content":[]}},"finish_reason":"{reason}"}}"#);
        assert!(Cohere.read_answer(body.as_bytes()).is_err(), "{reason}");
    }
}

#[test]
fn calls_are_read_as_documented_and_as_listed() {
    let one = r#"{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}"#;
    for calls in [one.to_owned(), format!("[{one}]")] {
        let mut told = Vec::new();
        let event = format!(
            r#"{{"type":"tool-call-start","index":0,"delta":{{"message":{{"tool_calls":{calls}}}}}}}"#
        );
        Cohere.decoder().read("", event.as_bytes(), &mut told).unwrap();
        assert!(matches!(&told[0].event, Event::CallBegins { call: 0, id, .. } if id == "c"), "{calls}");
        assert!(
            matches!(&told[1].event, Event::CallGoesOn { call: 0, arguments } if arguments == "{}"),
            "{calls}"
        );
    }
}

#[test]
fn an_error_between_the_events_fails_the_stream() {
    let mut decoder = Cohere.decoder();
    let mut told = Vec::new();
    decoder.read("error", br#"{"message":"too many"}"#, &mut told).unwrap();
    decoder.read("", b"[DONE]", &mut told).unwrap();
    decoder.end(&mut told);
    assert!(
        matches!(&told[..], [it] if matches!(&it.event, Event::Failed(said) if said.message == "too many"))
    );
}

const NAMES_OF_FIELDS: &str = "type delta message content text thinking tool_plan tool_calls function arguments id name citations \
    sources document start end url usage tokens billed_units input_tokens finish_reason error logprobs";

const TEXTS: &str = "message-start content-start content-delta tool-plan-delta tool-call-start tool-call-delta \
    tool-call-end citation-start message-end COMPLETE ";

fn json() -> impl Strategy<Value = String> {
    let texts = TEXTS.split_whitespace().map(|it| format!("\"{it}\""));
    let literals = texts.chain(["-1e400".to_owned()]).collect();
    noise::json(NAMES_OF_FIELDS.split_whitespace().collect(), literals)
}

proptest! {
    #[test]
    fn no_json_makes_a_reader_panic(values in prop::collection::vec(json(), 1..6)) {
        const TYPES: [&str; 9] = ["message-start", "content-start", "content-delta", "tool-plan-delta",
            "tool-call-start", "tool-call-delta", "tool-call-end", "citation-start", "message-end"];
        let mut told = Vec::new();
        for json in &values {
            let _ = Cohere.read_answer(json.as_bytes());
            let whole = format!(r#"{{"message":{{"citations":[{json}]}},"usage":{json},"logprobs":[{json}]}}"#);
            let _ = Cohere.read_answer(whole.as_bytes());
            for kind in TYPES {
                let mut decoder = Cohere.decoder();
                let _ = decoder.read("", json.as_bytes(), &mut told);
                for field in ["content", "tool_calls", "citations"] {
                    let event = format!(
                        r#"{{"type":"{kind}","delta":{{"message":{{"{field}":{json}}},"usage":{json}}}}}"#
                    );
                    let _ = decoder.read("", event.as_bytes(), &mut told);
                }
                decoder.end(&mut told);
            }
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = Cohere.read_answer(&bytes);
        let _ = Cohere.decoder().read("", &bytes, &mut Vec::new());
    }
}
