//! Whatever a session holds, what a vendor gets is a conversation it takes.

use proptest::prelude::*;

use super::*;

/// One message of a turn, by a number.
fn message(kind: u8, id: &str) -> String {
    match kind {
        0 | 1 => user(id),
        2 => says(id),
        3 => calls(&[id]),
        4 => calls(&[id, "x"]),
        5 => result(id),
        6 => r#"{"role":"assistant","content":null,"reasoning_content":"hm"}"#.into(),
        7 => format!(r#"{{"role":"developer","content":"{id}"}}"#),
        8 => calls(&[id]).replace("null", "\"Hm.\""),
        _ => calls(&[id]).replace("{}\"", "{\"") + "",
    }
}

fn any_turn() -> impl Strategy<Value = Turn> {
    let messages = prop::collection::vec((0_u8..10, "[abx]"), 0..4);
    (messages, 0_u8..3, any::<bool>(), prop::option::of("[vw]")).prop_map(
        |(messages, state, private, vendor)| {
            let messages: Vec<_> = messages.iter().map(|(kind, id)| message(*kind, id)).collect();
            let state = [TurnState::Complete, TurnState::Incomplete, TurnState::Left][usize::from(state)];
            let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
            Turn { state, private, vendor, ..turn(&messages) }
        },
    )
}

/// What no vendor takes; `new` are the results that follow.
fn faults(messages: &[Value], new: &[String]) -> Option<String> {
    let mut open: Vec<String> = Vec::new();
    for message in messages {
        let role = message["role"].as_str().unwrap_or_default();
        match role {
            "tool" => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                let Some(at) = open.iter().position(|it| it == id) else {
                    return Some(format!("no call {id}"));
                };
                open.remove(at);
            }
            _ if !open.is_empty() => return Some(format!("no result of {open:?}")),
            "assistant" => {
                let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
                open = calls.iter().map(|it| it["id"].as_str().unwrap_or_default().to_owned()).collect();
                let is_silent = message["content"].as_str().is_none_or(str::is_empty);
                if is_silent && open.is_empty() {
                    return Some(format!("empty {message}"));
                }
            }
            _ => {}
        }
    }
    let missing: Vec<_> = open.iter().filter(|it| !new.contains(it)).collect();
    (!missing.is_empty()).then(|| format!("no result of {missing:?}"))
}

proptest! {
    #[test]
    fn turns_that_nobody_reads_are_told_as_if_somebody_had(
        turns in prop::collection::vec(any_turn(), 0..9),
        new in prop::collection::vec("[abx]", 0..3),
        max in prop::option::of(0_u64..90),
    ) {
        let new: Vec<String> = new;
        let unread = |turn: &Turn| Turn { plain: is_plain(&turn.messages), ..turn.clone() };
        let unread = History::new(&held(turns.iter().map(unread).collect()), &new);
        let read = History::new(&held(turns), &new);
        for vendor in ["v", "w"] {
            prop_assert_eq!(text(&unread.fitted(vendor, true, max)), text(&read.fitted(vendor, true, max)));
        }
        prop_assert_eq!(format!("{unread:?}"), format!("{read:?}"));
    }

    #[test]
    fn a_vendor_takes_it(
        turns in prop::collection::vec(any_turn(), 0..9),
        new in prop::collection::vec("[abx]", 0..3),
        max in prop::option::of(0_u64..90),
        with_system: bool,
    ) {
        let new: Vec<String> = new;
        let count = turns.len();
        let instructions: Vec<String> = turns
            .iter()
            .flat_map(|it| fields::joined(str::from_utf8(&it.messages).unwrap()).unwrap())
            .filter(|it| it.contains("developer"))
            .map(str::to_owned)
            .collect();
        let history = History::new(&held(turns), &new);
        for vendor in ["v", "w", "y"] {
            let fitted = history.fitted(vendor, with_system, max);
            let text = text(&fitted);
            let messages: Vec<Value> = serde_json::from_str(&format!("[{text}]")).unwrap();
            prop_assert_eq!(faults(&messages, &new), None, "{}", text);
            prop_assert_eq!(text.starts_with(SYSTEM), with_system);
            prop_assert_eq!(fitted.turns + fitted.trimmed, count);
            prop_assert!(fitted.pieces.iter().all(|it| !it.is_empty()));
            let fits = max.is_none_or(|it| fitted.tokens <= it);
            prop_assert!(fits || fitted.turns == 0 || !new.is_empty(), "{} of {:?}", fitted.tokens, max);
            prop_assert!(max.is_some() || fitted.turns == history.turns());
            // A try that was given up goes with what it was told.
            for it in instructions.iter().filter(|_| history.left_out == 0) {
                prop_assert!(text.contains(it), "{} lacks {}", text, it);
            }
        }
        prop_assert_eq!(history.fitted("v", true, None).tokens <= history.tokens(true), true);
    }
}
