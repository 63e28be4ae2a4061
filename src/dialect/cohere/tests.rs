//! What no fixture can show: an answer that failed, and that no bytes make a reader panic.

use proptest::prelude::*;

use super::*;
use crate::dialect::event::Event;

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

/// Names of events and of what may stand in them, put together at random.
fn json() -> impl Strategy<Value = String> {
    let names = prop::sample::select(NAMES_OF_FIELDS.split(' ').collect::<Vec<_>>());
    let types = prop::sample::select(TEXTS.split(' ').collect::<Vec<_>>());
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i32>().prop_map(|it| it.to_string()),
        Just("-1e400".to_owned()),
        types.prop_map(|it| format!("\"{it}\"")),
    ];
    leaf.prop_recursive(6, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|it| format!("[{}]", it.join(","))),
            prop::collection::vec((names.clone(), inner), 0..4).prop_map(|it| {
                let fields: Vec<String> =
                    it.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
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
