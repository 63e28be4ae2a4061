//! Streams as vendors send them, and the messages OpenAI's libraries make of them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn heard(deltas: &[&str]) -> Heard {
    let mut heard = Heard::default();
    for delta in deltas {
        heard.event(
            format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{delta}}}],"usage":null}}"#).as_bytes(),
        );
    }
    heard
}

fn check(deltas: &[&str], message: &str) {
    let heard = heard(deltas);
    assert_eq!(heard.message(), message);
    assert!(heard.says_something() && heard.is_whole(), "{message}");
}

#[test]
fn texts_are_joined_in_the_order_first_heard() {
    check(
        &[
            r#"{"role":"assistant","content":"","refusal":null}"#,
            r#"{"content":"Caf"}"#,
            r#"{"content":"\u00e9 \"noir\"\n"}"#,
            "{}",
        ],
        r#"{"role":"assistant","content":"Caf\u00e9 \"noir\"\n"}"#,
    );
    check(
        &[
            r#"{"reasoning_content":"h"}"#,
            r#"{"reasoning_content":"m"}"#,
            r#"{"content":"a","role":"assistant"}"#,
        ],
        r#"{"role":"assistant","reasoning_content":"hm","content":"a"}"#,
    );
    check(
        &[r#"{"reasoning_content":"h","content":null}"#],
        r#"{"role":"assistant","content":"","reasoning_content":"h"}"#,
    );
    check(
        &[r#"{"refusal":"I "}"#, r#"{"refusal":"won't"}"#],
        r#"{"role":"assistant","content":null,"refusal":"I won't"}"#,
    );
    check(
        &[r#"{"content":"a","odd":"x","n":1,"b":true}"#, r#"{"odd":"y","n":2}"#],
        r#"{"role":"assistant","content":"a","odd":"xy","n":2,"b":true}"#,
    );
}

#[test]
fn calls_of_tools_are_joined_by_their_index() {
    check(
        &[
            r#"{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}},{"index":0,"function":{"arguments":"1}"}}]}"#,
        ],
        r#"{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]}"#,
    );
    check(
        &[r#"{"function_call":{"name":"f","arguments":""}}"#, r#"{"function_call":{"arguments":"{}"}}"#],
        r#"{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}"#,
    );
}

/// The ids, names and arguments of the calls heard.
fn calls(deltas: &[&str]) -> Vec<[String; 3]> {
    let message: Value = serde_json::from_str(&heard(deltas).message()).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let call =
        |it: &Value| [text(&it["id"]), text(&it["function"]["name"]), text(&it["function"]["arguments"])];
    message["tool_calls"].as_array().unwrap().iter().map(call).collect()
}

#[test]
fn calls_are_told_apart_where_vendors_number_them_badly() {
    let check = |deltas: &[&str], expected: &[[&str; 3]]| assert_eq!(calls(deltas), expected, "{deltas:?}");
    let [a, b] = [
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}]}"#,
    ];
    check(&[a, b], &[["a", "f", "{}"], ["b", "f", "{}"]]);
    let again = r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":" "}}]}"#;
    check(&[a, again, again], &[["a", "f", "{}  "]]);
    // A new id with every piece, but no new name.
    let made_up = r#"{"tool_calls":[{"index":0,"id":"z","function":{"name":null,"arguments":"!"}}]}"#;
    check(&[a, made_up], &[["a", "f", "{}!"]]);
    let [first, more, second] = [
        r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]}"#,
        r#"{"tool_calls":[{"function":{"arguments":"}"}}]}"#,
        r#"{"tool_calls":[{"id":"b","function":{"name":"g","arguments":"1"}}]}"#,
    ];
    check(&[first, more, second], &[["a", "f", "{}"], ["b", "g", "1"]]);
    check(&[second, second], &[["b", "g", "11"]]);
    let nameless = r#"{"tool_calls":[{"id":"","function":{"name":"g","arguments":"1"}}]}"#;
    check(&[nameless, nameless], &[["", "g", "1"], ["", "g", "1"]]);
    check(
        &[
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"get_"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"name":"x"}}]}"#,
        ],
        &[["a", "get_x", ""]],
    );
}

#[test]
fn what_vendors_add_is_kept_as_they_want_it_back() {
    check(
        &[
            r#"{"reasoning":"h","reasoning_details":[{"type":"reasoning.text","text":"h","format":"v1","index":0}]}"#,
            r#"{"reasoning":"m","reasoning_details":[{"type":"reasoning.text","text":"m","format":"v1","index":0}]}"#,
            r#"{"reasoning_details":[{"type":"reasoning.text","signature":"s","index":0},{"type":"reasoning.encrypted","data":"AA","id":"r","index":0}]}"#,
            r#"{"content":"a"}"#,
        ],
        r#"{"role":"assistant","reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","format":"v1","index":0,"signature":"s"},{"type":"reasoning.encrypted","data":"AA","id":"r","index":0}],"content":"a"}"#,
    );
    check(
        &[
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}]}"#,
        ],
        r#"{"role":"assistant","content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}]}"#,
    );
    check(
        &[
            r#"{"audio":{"id":"u","transcript":"Hi"}}"#,
            r#"{"audio":{"id":"u","transcript":" you","data":"AA"}}"#,
            r#"{"audio":{"data":"BB","expires_at":5}}"#,
        ],
        r#"{"role":"assistant","content":null,"audio":{"id":"u","transcript":"Hi you","data":"AABB","expires_at":5}}"#,
    );
    check(
        &[
            r#"{"content":"a","annotations":[{"type":"url","n":1}]}"#,
            r#"{"annotations":[{"type":"url","n":2}]}"#,
        ],
        r#"{"role":"assistant","content":"a","annotations":[{"type":"url","n":1},{"type":"url","n":2}]}"#,
    );
}

#[test]
fn content_in_parts_stays_in_parts() {
    check(
        &[
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"h"}]}]}"#,
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"m"}],"closed":true}]}"#,
            r#"{"content":"Hi"}"#,
            r#"{"content":[{"type":"text","text":" you"},{"type":"reference","ids":[1]},{"type":"reference","ids":[2]}]}"#,
        ],
        r#"{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}],"closed":true},{"type":"text","text":"Hi you"},{"type":"reference","ids":[1]},{"type":"reference","ids":[2]}]}"#,
    );
    check(
        &[r#"{"content":""}"#, r#"{"content":"a"}"#, r#"{"content":[{"type":"text","text":"b"}]}"#],
        r#"{"role":"assistant","content":[{"type":"text","text":"ab"}]}"#,
    );
}

#[test]
fn a_text_that_repeats_itself_is_what_the_client_was_sent() {
    let said = "The quick brown fox jumps over the lazy dog";
    let delta = |text: &str| json!({"content": text}).to_string();
    check(&[&delta(said), &delta(said)], &format!(r#"{{"role":"assistant","content":"{said}{said}"}}"#));
}

#[test]
fn the_first_answer_is_heard_until_its_vendor_says_it_is_all() {
    let mut heard = Heard::default();
    let silent = [
        "",
        " ",
        "[DONE]",
        r#"{"choices":[]}"#,
        r#"{"choices":null}"#,
        r#"{"error":{"message":"no"}}"#,
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"other"},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"network_error"}]}"#,
        r#"{"choices":[{"delta":null,"finish_reason":null}]}"#,
    ];
    for data in silent {
        heard.event(data.as_bytes());
        assert!(!heard.says_something() && !heard.is_finished() && heard.is_whole(), "{data}");
    }
    heard.event(br#"{"choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"}}]}"#);
    heard.event(br#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#);
    assert!(heard.is_finished());
    assert_eq!(heard.message(), r#"{"role":"assistant","content":"a"}"#);
    heard.event(br#"{"choices":[{"message":{"role":"assistant","content":"once more"}}]}"#);
    assert_eq!(heard.message(), r#"{"role":"assistant","content":"a"}"#);
    heard.event(b"no JSON");
    assert!(!heard.is_whole());
    let mut at_once = Heard::default();
    at_once.event(br#"{"choices":[{"message":{"content":"all","x":1},"finish_reason":"stop"}]}"#);
    assert_eq!(at_once.message(), r#"{"role":"assistant","content":"all","x":1}"#);
}

#[test]
fn a_whole_answer_is_kept_as_it_is() {
    let whole = |message: &str| {
        let answer = format!(r#"{{"choices":[{{"index":0,"message": {message} ,"finish_reason":"stop"}}]}}"#);
        Heard::whole(answer.as_bytes())
    };
    let check = |message: &str, says: bool| {
        let heard = whole(message).unwrap();
        assert_eq!((heard.message().as_str(), heard.says_something()), (message, says));
        assert!(heard.is_finished() && heard.is_whole());
    };
    check(r#"{"role" : "assistant", "content":"a", "z":1.50}"#, true);
    check(r#"{"content":null,"role":"assistant","tool_calls":[{}]}"#, true);
    check(r#"{"role":"assistant","content":null,"refusal":null,"annotations":[]}"#, false);
    check(r#"{"role":"assistant","content":""}"#, false);
    assert_eq!(whole(r#"{"content":"a"}"#).unwrap().message(), r#"{"role":"assistant","content":"a"}"#);
    assert!(whole("null").is_none() && whole("\"a\"").is_none());
    for none in ["", "{}", r#"{"choices":[]}"#, r#"{"choices":[{"index":0}]}"#, r#"{"error":{}}"#] {
        assert!(Heard::whole(none.as_bytes()).is_none(), "{none}");
    }
}

#[test]
fn fields_of_one_vendor_are_noticed() {
    let check = |delta: &str, private| assert_eq!(heard(&[delta]).is_private(), private, "{delta}");
    check(r#"{"content":"a"}"#, false);
    check(r#"{"content":"a","refusal":"b"}"#, false);
    check(
        r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}"#,
        false,
    );
    check(r#"{"content":"a","reasoning_content":"b"}"#, true);
    check(r#"{"content":[{"type":"text","text":"a"}]}"#, true);
    check(r#"{"tool_calls":[{"index":0,"id":"a","extra_content":{}}]}"#, true);
}

#[test]
fn what_is_too_much_is_not_heard() {
    let mut heard = heard(&[r#"{"content":"a"}"#]);
    let long = json!({"choices": [{"delta": {"content": "x".repeat(HEARD_BYTES_MAX / 2)}}]}).to_string();
    heard.event(long.as_bytes());
    assert!(heard.is_whole());
    heard.event(long.as_bytes());
    assert!(!heard.is_whole() && heard.says_something());
    assert!(heard.message().len() < HEARD_BYTES_MAX);
    let deep = format!(r#"{{"content":"a","x":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    let message = self::heard(&[&deep, &deep]).message();
    assert!(message.len() < 3 * deep.len(), "{}", message.len());
    let wide: Vec<_> = (0..1_000).map(|it| format!(r#""f{it}":1"#)).collect();
    assert!(!self::heard(&[&format!("{{{}}}", wide.join(","))]).is_whole());
}

#[test]
fn a_character_that_was_cut_is_no_reason_to_lose_the_rest() {
    let check = |deltas: &[&str], content: &str| {
        let message: Value = serde_json::from_str(&heard(deltas).message()).unwrap();
        assert_eq!(message["content"], content, "{deltas:?}");
    };
    check(&[r#"{"content":"a\ud83d"}"#, r#"{"content":"\ude00b"}"#], "a😀b");
    check(&[r#"{"content":"a\ud83d"}"#], "a\u{fffd}");
    check(&[r#"{"content":"\ude00a\ud83d\ud83d\ude00"}"#], "\u{fffd}a\u{fffd}😀");
    check(&[r#"{"content":"\\ud83d"}"#], "\\ud83d");
    check(&[r#"{"content":"\ud83dx\ude00"}"#], "\u{fffd}x\u{fffd}");
}

proptest! {
    #[test]
    fn any_cut_of_a_text_gives_the_text(text in "\\PC{0,40}", cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let chars: Vec<char> = text.chars().collect();
        let mut places: Vec<usize> = cuts.iter().map(|it| it.index(chars.len() + 1)).collect();
        places.extend([0, chars.len()]);
        places.sort_unstable();
        let mut heard = Heard::default();
        for cut in places.windows(2) {
            let piece: String = chars[cut[0]..cut[1]].iter().collect();
            let call = json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": &piece}}]);
            let delta = json!({"content": &piece, "tool_calls": call});
            heard.event(json!({"choices": [{"index": 0, "delta": delta}]}).to_string().as_bytes());
        }
        let message: Value = serde_json::from_str(&heard.message()).unwrap();
        prop_assert_eq!(message["content"].as_str().unwrap(), &text);
        prop_assert_eq!(message["tool_calls"][0]["function"]["arguments"].as_str().unwrap(), &text);
        prop_assert_eq!(heard.says_something(), true);
    }

    #[test]
    fn nothing_a_vendor_says_does_harm(deltas in prop::collection::vec("[{}\\[\\]\",:a-c0-1u\\\\ ]{0,30}|\\{\"(content|tool_calls|a)\":(1|null|\"x\"|\\[\\]|\\[1,\\{\"index\":0\\}\\]|\\{\"a\":\"\\\\\\\\ud83d\"\\})\\}", 0..8)) {
        let mut heard = Heard::default();
        for delta in &deltas {
            heard.event(format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#).as_bytes());
        }
        prop_assert!(serde_json::from_str::<Value>(&heard.message()).unwrap().is_object());
        let _ = heard.is_private();
    }
}
