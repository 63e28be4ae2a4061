//! What single events say, in full and in a skim.

use super::*;

fn check(shape: StreamShape, data: &str, words: &str) {
    let facts = shape.read(data.as_bytes());
    let mut said = Vec::new();
    for (word, is) in [
        ("content", facts.content),
        ("finished", facts.finished),
        ("done", facts.done),
        ("usage", facts.usage.is_some()),
        ("only", facts.usage_only),
        ("error", facts.error),
    ] {
        if is {
            said.push(word);
        }
    }
    assert_eq!(said.join(" "), words, "{data}");
    if facts.content || facts.done {
        let skimmed = shape.skim(data.as_bytes());
        assert_eq!(
            (skimmed.finished, skimmed.done, skimmed.usage, skimmed.error),
            (facts.finished, facts.done, facts.usage, facts.error),
            "skim of {data}"
        );
    }
}

#[test]
fn a_chunk_is_content_only_when_it_says_something() {
    let chunks = StreamShape::Chunks;
    check(chunks, "[DONE]", "finished done");
    check(chunks, r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#, "");
    check(chunks, r#"{"choices":[{"delta":{"role":"assistant","content":null}}],"usage":null}"#, "");
    check(chunks, r#"{"choices":[],"prompt_filter_results":[]}"#, "");
    check(chunks, r#"{"choices":[{"delta":{"content":"hi"}}]}"#, "content");
    check(
        chunks,
        r#"{"choices":[{"delta":{"content":"[DONE] \"usage\": {} \"error\":1"}}],"usage":null}"#,
        "content",
    );
    check(chunks, r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#, "content");
    check(chunks, r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#, "content");
    check(chunks, r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, "content finished");
    check(chunks, r#"{"choices":[{"text":"old"}]}"#, "content");
    check(chunks, r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#, "usage only");
    check(
        chunks,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#,
        "content finished usage",
    );
    check(
        chunks,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":{"prompt_tokens":1}}}"#,
        "content finished usage",
    );
    check(chunks, r#"{"error":{"message":"no"}}"#, "error");
    check(chunks, r#"{"error":null,"choices":[{"delta":{"content":"a"}}]}"#, "content");
    check(chunks, "not json", "content");
    let both = r#"{"error":{"code":502},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#;
    check(chunks, both, "content finished error");
}

#[test]
fn an_event_without_choices_that_says_why_is_an_error() {
    let chunks = StreamShape::Chunks;
    for error in [
        r#"{"code":50505,"message":"Model service overloaded","data":null}"#,
        r#"{"message":"no","type":"server_error","param":null,"code":"x"}"#,
        r#"{"detail":"no"}"#,
        r#"{"object":"error","message":"no","code":500}"#,
        r#"{"choices":null,"base_resp":{"status_code":1008,"status_msg":"no"}}"#,
        r#"{"choices":[{"delta":{"content":""},"finish_reason":"network_error"}]}"#,
    ] {
        let facts = chunks.read(error.as_bytes());
        assert!(facts.error && chunks.skim(error.as_bytes()).error, "{error}");
    }
    for none in [
        r#"{"code":0,"message":"Success"}"#,
        r#"{"choices":[],"x_groq":{"id":"r"},"base_resp":{"status_code":0,"status_msg":""}}"#,
        r#"{"type":"ping"}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"code":1,"message":"m"}"#,
    ] {
        assert!(!chunks.read(none.as_bytes()).error, "{none}");
    }
    let broken = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"insufficient_system_resource"}]}"#;
    assert!(chunks.skim(broken.as_bytes()).broken && !chunks.skim(broken.as_bytes()).error);
}

#[test]
fn the_text_of_an_event_is_measured_wherever_it_stands() {
    let measure = |shape: StreamShape, data: &str, bytes| {
        assert_eq!(shape.read(data.as_bytes()).text_bytes, bytes, "{data}");
    };
    let chunks = StreamShape::Chunks;
    measure(chunks, r#"{"choices":[{"delta":{"role":"assistant","content":"hello"}}]}"#, 5);
    measure(chunks, r#"{"choices":[{"delta":{"reasoning":"hm","reasoning_content":"hm"}}]}"#, 2);
    measure(chunks, r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, 0);
    measure(chunks, r#"{"choices":[{"text":"old"},{"text":"er"}]}"#, 5);
    let tool = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}}]}"#;
    measure(chunks, tool, 6);
    measure(StreamShape::Responses, r#"{"type":"response.output_text.delta","delta":"abc"}"#, 3);
    measure(StreamShape::Opaque, "12345", 5);
}

#[test]
fn of_other_events_the_usage_is_read() {
    let opaque = StreamShape::Opaque;
    let image = r#"{"type":"image_generation.completed","b64_json":"AA","usage":{"input_tokens":3,"output_tokens":4}}"#;
    check(opaque, image, "content usage");
    check(opaque, r#"{"type":"image_generation.partial_image","b64_json":"AA"}"#, "content");
    check(opaque, r#"{"text":"\"usage\":{}","usage":null}"#, "content");
    check(opaque, r#"{"usage":{"type":"duration","seconds":9}}"#, "content");
    check(opaque, "no JSON, \"usage\": 3", "content");
}

#[test]
fn responses_events_are_read_by_their_type() {
    let responses = StreamShape::Responses;
    check(responses, r#"{"type":"response.created","response":{"usage":null}}"#, "");
    check(responses, r#"{"type":"response.output_text.delta","delta":"a"}"#, "content");
    check(
        responses,
        r#"{"type":"response.completed","response":{"error":null,"usage":{"input_tokens":3,"output_tokens":4}}}"#,
        "content finished done usage",
    );
    check(responses, r#"{"type":"response.failed","response":{"error":{"code":"server_error"}}}"#, "error");
    check(responses, r#"{"type":"error","message":"no"}"#, "error");
    let incomplete = r#"{"type":"response.incomplete","response":{"usage":null}}"#;
    check(responses, incomplete, "content finished done");
}

#[test]
fn the_tier_is_read_with_the_usage() {
    let check = |shape: StreamShape, data: &str| {
        assert_eq!(shape.skim(data.as_bytes()).service_tier, Some(ServiceTier::Priority), "{data}");
    };
    let usage = r#""usage":{"prompt_tokens":1}"#;
    check(StreamShape::Chunks, &format!(r#"{{"choices":[],{usage},"service_tier":"priority"}}"#));
    check(StreamShape::Chunks, r#"{"choices":[],"usage":{"prompt_tokens":1,"service_tier":"priority"}}"#);
    let response = format!(r#""response":{{"service_tier":"priority",{usage}}}"#);
    check(StreamShape::Responses, &format!(r#"{{"type":"response.completed",{response}}}"#));
}
