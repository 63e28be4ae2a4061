//! Custom tools at vendors that take functions only.

use bytes::Bytes;

use super::super::Quirks;
use super::super::options::QuirkOptions;
use super::{check, stays};
use crate::dialect::loss::Losses;

const CUSTOM: &str =
    r#"{"type":"custom","custom":{"name":"patch","description":"d","format":{"type":"text"}}}"#;
const FUNCTION: &str = r#"{"type":"function","function":{"name":"patch","description":"d","parameters":{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}}}"#;
const OTHER: &str = r#"{"type":"function","function":{"name":"f","parameters":{"custom":1}}}"#;

fn body(tool: &str, choice: &str, call: &str) -> String {
    let user = r#"{"role":"user","content":"the \"custom\" of"}"#;
    let said = format!(
        r#"{{"role":"assistant","content":null,"tool_calls":[{call},{{"id":"b","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}}"#
    );
    format!(
        r#"{{"tools":[{tool},{OTHER}],"tool_choice":{choice},"messages":[{user},{said},{{"role":"tool","tool_call_id":"a","content":"ok"}}]}}"#
    )
}

#[test]
fn vendors_without_custom_tools_are_told_functions() {
    let custom = body(
        CUSTOM,
        r#"{"type":"custom","custom":{"name":"patch"}}"#,
        r#"{"id":"a","type":"custom","custom":{"name":"patch","input":"l\"s\n"}}"#,
    );
    let function = body(
        FUNCTION,
        r#"{"type":"function","function":{"name":"patch"}}"#,
        r#"{"id":"a","type":"function","function":{"name":"patch","arguments":"{\"input\":\"l\\\"s\\n\"}"}}"#,
    );
    for target in ["openai-compatible/m", "vllm/m", "fireworks/m", "qwen/qwen3-max", "openrouter/m", "/m"] {
        check(target, &custom, &function, "");
    }
    stays("openai/gpt-4o", &custom);
    let among = |it: &str| {
        let one = format!(r#"{{"type":"{it}","{it}":{{"name":"patch"}}}}"#);
        format!(r#"{{"type":"allowed_tools","allowed_tools":{{"mode":"auto","tools":[{one}]}}}}"#)
    };
    let call = r#"{"id":"a","type":"function","function":{"name":"f","arguments":""}}"#;
    check("vllm/m", &body(CUSTOM, &among("custom"), call), &body(FUNCTION, &among("function"), call), "");
    // What reads the choice of a tool is told of a function too.
    let chosen = format!(
        r#"{{"tools":[{CUSTOM},{OTHER}],"tool_choice":{{"type":"custom","custom":{{"name":"patch"}}}}}}"#
    );
    check(
        "zai/glm-5.3",
        &chosen,
        &format!(r#"{{"tools":[{FUNCTION}],"tool_choice":"auto"}}"#),
        "tool_choice",
    );
}

#[test]
fn a_grammar_is_lost() {
    let tool = |it: &str| format!(r#"{{"tools":[{it}]}}"#);
    let grammar = CUSTOM.replace(r#"{"type":"text"}"#, r#"{"type":"grammar","grammar":{}}"#);
    check("deepseek/deepseek-flash", &tool(&grammar), &tool(FUNCTION), "tools[].custom.format");
}

#[test]
fn an_operator_says_who_takes_custom_tools() {
    let custom = |it: bool| QuirkOptions {
        tools: super::super::options::ToolOptions { custom: Some(it), ..Default::default() },
        ..Default::default()
    };
    let check = |vendor: &str, takes: bool, expected: &[&str]| {
        let pieces = vec![Bytes::from(format!(r#"{{"tools":[{CUSTOM}]}}"#))];
        let quirks = Quirks::of(vendor, &[custom(takes)]).for_model("m");
        let (fitted, told) = quirks.fit_tools(pieces.clone(), false, &mut Losses::default());
        assert_eq!(
            (told.customs, fitted == pieces),
            (expected.iter().map(|it| (*it).to_owned()).collect(), takes)
        );
    };
    check("vllm", true, &[]);
    check("openai", false, &["patch"]);
}
