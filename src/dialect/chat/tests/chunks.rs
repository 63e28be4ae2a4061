//! The chunks that vendors send, in their many ways.

use super::streams::decoded;
use crate::dialect::Dialect;
use crate::dialect::event::Event;

/// One line for each event, and no names where there is nothing to name.
fn told(chunks: &[&str]) -> String {
    let stream: String = chunks.iter().map(|it| format!("data: {it}\n\n")).collect();
    let lines = decoded(&stream).into_iter().filter_map(|it| {
        Some(match it.event {
            Event::Begin { .. } => return None,
            Event::Text(text) => format!("text {text}"),
            Event::Refusal(text) => format!("refusal {text}"),
            Event::Thought { text, starts: true, .. } => format!("thought {text}"),
            Event::Thought { text, .. } => format!("… {text}"),
            Event::Seal(seal) => format!("seal {} {} {}", seal.dialect.as_str(), seal.data, seal.is_whole),
            Event::CallBegins { call, id, name, .. } if id.len() == 29 => {
                format!("call {call} made up {name}")
            }
            Event::CallBegins { call, id, name, .. } => format!("call {call} {id} {name}"),
            Event::CallGoesOn { call, arguments } => format!("args {call} {arguments}"),
            Event::Finish(finish) => format!("finish {:?}", finish.reason),
            Event::Usage(usage) => format!("usage {} {}", usage.input, usage.output),
            Event::Failed(error) => format!("failed {} {} {}", error.status, error.error_type, error.message),
            Event::ServiceTier(tier) => format!("tier {tier}"),
            Event::Media(_) => "media".to_owned(),
            Event::Citation(_) => "citation".to_owned(),
            Event::Logprobs(_) => "logprobs".to_owned(),
            Event::End => "end".to_owned(),
            Event::Ping => "ping".to_owned(),
        })
    });
    lines.collect::<Vec<_>>().join("; ")
}

fn check(deltas: &[&str], expected: &str) {
    check_end(deltas, &format!("{expected}; end"));
}

fn check_end(deltas: &[&str], expected: &str) {
    let chunks: Vec<String> =
        deltas.iter().map(|it| format!(r#"{{"choices":[{{"delta":{it}}}]}}"#)).collect();
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).chain(["[DONE]"]).collect();
    assert_eq!(told(&chunks), expected, "{deltas:?}");
}

#[test]
fn calls_are_put_together_however_they_are_numbered() {
    let plain = [
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}"#,
        r#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"","function":{"name":"","arguments":"}"}}]}"#,
    ];
    check(&plain, "call 0 a f; args 0 {; call 1 b g; args 1 {}; args 0 }");
    let whole = r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","function":{"name":"f","arguments":"1"}}]}"#;
    check(&[whole], "call 0 a f; args 0 {}; call 1 b f; args 1 1");
    check(&[&whole.replace(r#""id""#, r#""index":0,"id""#)], "call 0 a f; args 0 {}; call 1 b f; args 1 1");
    let unnamed = r#"{"tool_calls":[{"function":{"name":"f","arguments":{"a": 1}}}]}"#;
    check(&[unnamed], r#"call 0 made up f; args 0 {"a": 1}"#);
    let late = [
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{"}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"}"}}]}"#,
    ];
    check(&late, "call 0 a f; args 0 {}");
    check_end(
        &[late[0]],
        "call 0 a ; args 0 {; failed 502 server_error The upstream's answer ended before it was complete.",
    );
    let deprecated =
        [r#"{"function_call":{"name":"f","arguments":""}}"#, r#"{"function_call":{"arguments":"{}"}}"#];
    check(&deprecated, "call 0 made up f; args 0 {}");
}

#[test]
fn whole_calls_of_one_index_stay_apart() {
    let call = |id: &str, name: &str, arguments: &str| {
        format!(
            r#"{{"tool_calls":[{{"index":0,{id}"function":{{"name":"{name}","arguments":{arguments}}}}}]}}"#
        )
    };
    let one = r#""{\"a\":\"1}\"}""#;
    for id in ["", r#""id":"","#, r#""id":null,"#] {
        let both = [call(id, "f", one), call(id, "f", one)];
        let both = [both[0].as_str(), both[1].as_str()];
        let expected = r#"call 0 made up f; args 0 {"a":"1}"}; call 1 made up f; args 1 {"a":"1}"}"#;
        check(&both, expected);
        let other = call(id, "g", r#""{}""#);
        check(&[both[0], &other], r#"call 0 made up f; args 0 {"a":"1}"}; call 1 made up g; args 1 {}"#);
        // A name that is repeated beside each piece.
        let pieces = [call(id, "f", r#""{\"a\":""#), call(id, "f", r#""{}""#), call(id, "f", r#""}""#)];
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        check(&pieces, r#"call 0 made up f; args 0 {"a":; args 0 {}; args 0 }"#);
    }
}

#[test]
fn reasoning_is_found_wherever_it_stands() {
    check(&[r#"{"reasoning_content":"a"}"#, r#"{"reasoning_content":"b","content":""}"#], "thought a; … b");
    check(&[r#"{"reasoning":"a","reasoning_content":"a"}"#, r#"{"content":"b"}"#], "thought a; text b");
    let details = r#"{"reasoning":"a","reasoning_details":[{"type":"reasoning.text","text":"a","index":0}]}"#;
    let signed = r#"{"reasoning_details":[{"type":"reasoning.text","signature":"s","format":"anthropic-claude-v1","index":0}]}"#;
    check(&[details, details, signed], "thought a; … a; seal anthropic s false");
    let merged = r#"{"reasoning_details":[{"type":"reasoning.text","text":"aa","signature":"s","index":0}]}"#;
    check(&[merged], "thought aa; seal anthropic s false");
    let mistral = r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}]},{"type":"text","text":"b"}]}"#;
    check(&[mistral], "thought a; text b");
    let whole = r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"d","id":"rs","format":"openai-responses-v1"}]}"#;
    check(&[whole], "seal responses d true");
    let of_call = r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"d","id":"c","format":"google-gemini-v1"}],"tool_calls":[{"index":0,"id":"c","function":{"name":"f"}}]}"#;
    check(&[of_call], "seal gemini d false; call 0 c f");
    assert_eq!(Dialect::Gemini.as_str(), "gemini");
}

#[test]
fn a_character_in_two_chunks_is_one() {
    check(&[r#"{"content":"a\ud83d"}"#, r#"{"content":"\ude00b"}"#], "text a; text 😀b");
    check(&[r#"{"reasoning_content":"\ud83d"}"#, r#"{"reasoning_content":"\ude00"}"#], "thought ; … 😀");
    check(&[r#"{"content":"\ud83d"}"#], "text \u{fffd}");
    let call = r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"\ud83d"}}]}"#;
    let rest = r#"{"tool_calls":[{"index":0,"function":{"arguments":"\ude00"}}]}"#;
    check(&[call, rest], "call 0 a f; args 0 😀");
}

#[test]
fn chunks_of_all_vendors_are_understood() {
    let check = |chunks: &[&str], expected: &str| assert_eq!(told(chunks), expected, "{chunks:?}");
    let azure = r#"{"id":"","model":"","choices":[],"prompt_filter_results":[]}"#;
    let text = r#"{"id":"i","choices":[{"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":null}]}"#;
    check(&[azure, text], "text a");
    let stop = r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    check(&[text, stop], "text a; finish Stop; usage 1 2; end");
    check(&[text, stop, "[DONE]", text], "text a; finish Stop; usage 1 2; end");
    let groq = r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":{"prompt_tokens":1}}}"#;
    check(&[groq], "finish Stop; usage 1 0; end");
    let kimi = r#"{"choices":[{"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":1}}]}"#;
    check(&[kimi], "finish Stop; usage 1 0; end");
    let message = r#"{"choices":[{"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]}"#;
    check(&[message], "text a; finish Stop; end");
    let perplexity = r#"{"choices":[{"delta":{"content":"a"},"message":{"content":"a"}}],"citations":["u"]}"#;
    check(&[perplexity, stop], "text a; finish Stop; usage 1 2; end");
    let last = r#"{"choices":[{"delta":{"content":""},"message":{"content":"a"},"finish_reason":"stop"}],"citations":["u"]}"#;
    check(&[perplexity, last], "text a; citation; finish Stop; end");
    check(&[r#"{"choices":[],"service_tier":"flex","x":{}}"#, text], "tier flex; text a");
    let audio = r#"{"choices":[{"delta":{"audio":{"transcript":"a","data":"AAAA"}}}]}"#;
    check(&[audio, audio, stop], "text a; text a; media; finish Stop; usage 1 2; end");
}

#[test]
fn errors_in_streams_are_told_in_one_form() {
    let check = |chunk: &str, expected: &str| assert_eq!(told(&[chunk, "[DONE]"]), expected, "{chunk}");
    check(r#"{"error":{"message":"m","type":"t","code":null}}"#, "failed 502 t m");
    check(r#"{"error":"m"}"#, "failed 502 server_error m");
    check(
        r#"{"error":{"code":503,"message":"m"},"choices":[{"delta":{"content":"a"},"finish_reason":"error"}]}"#,
        "text a; failed 503 server_error m",
    );
    check(r#"{"error":{"message":"m","type":"rate_limit_error"}}"#, "failed 429 rate_limit_error m");
    check(r#"{"object":"error","message":"m","type":"t","code":400}"#, "failed 400 t m");
    check(r#"{"base_resp":{"status_code":1002,"status_msg":"m"}}"#, "failed 502 server_error m");
    check(r#"{"error":null,"choices":[{"delta":{"content":"a"}}]}"#, "text a; end");
}
