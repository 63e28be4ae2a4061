//! A talk as coding agents have it.

use tollgate::dialect::json::Json;
use tollgate::dialect::prompt::{Call, Message, Part, Prompt, Role, Tool, ToolResult};

pub const MODEL: &str = "some-model";
pub const TOOLS: usize = 30;
/// How often the assistant called two or three tools at once.
const ROUNDS: usize = 24;
/// Calls in the whole talk.
pub const CALLS: usize = ROUNDS * ARGUMENTS.len() / 2;
const SYSTEM_BYTES: usize = 24_000;
const RESULT_BYTES: usize = 1_200;

/// What must not be changed by a byte: escapes, characters beyond ASCII and beyond the plane, numbers by their
/// spelling, JSON in texts in JSON, white space, the order of members.
pub const ARGUMENTS: [&str; 6] = [
    r#"{"path":"src/\u00e9\u4e2d.rs","text":"line\n\"quoted\"\ttab \u2028 \ud83d\ude00 😀 é \/ \\"}"#,
    r#"{ "z" : 1.0, "a":1e5,  "big":12345678901234567890123, "neg":-0.0, "exp":1E+2 }"#,
    r#"{"json":"{\"a\":[1.0,{\"b\":\"\\\\\\\"\"}]}","deep":{"z":{"y":{"x":[[[null]]]}}}}"#,
    "{\"patch\":\"--- a\\n+++ b\\n@@ -1 +1 @@\\n-\\u003c\\n+\\u003e\",\n\t\"all\": true}",
    r#"{"command":"sed -i 's/\\(a\\)\"/\\\\1/g' \"$F\" && echo '\u0000\u001f\u007f'","id":1e-7}"#,
    "{}",
];

pub fn talk() -> Prompt {
    let mut messages = vec![
        message(Role::System, vec![Part::text(filled("You are careful. ", SYSTEM_BYTES))]),
        message(Role::User, vec![Part::text("Mend the \"tests\", <please> & thanks: 😀")]),
    ];
    let mut number = 0;
    for _ in 0..ROUNDS {
        let calls: Vec<usize> = (number..number + ARGUMENTS.len() / 2).collect();
        number += calls.len();
        let called = calls.iter().map(|it| Part::Call(call(*it)));
        let said = Part::text("I look at it.");
        messages.push(message(Role::Assistant, std::iter::once(said).chain(called).collect()));
        messages.extend(calls.iter().map(|it| message(Role::User, vec![Part::Result(result(*it))])));
    }
    Prompt {
        model: MODEL.into(),
        messages,
        tools: (0..TOOLS).map(tool).collect(),
        output_max: Some(4_096),
        ..Prompt::default()
    }
}

pub fn call(number: usize) -> Call {
    Call {
        id: format!("call_{number:04}"),
        name: format!("tool_{:02}", number % TOOLS),
        arguments: ARGUMENTS[number % ARGUMENTS.len()].into(),
        is_custom: false,
    }
}

fn result(number: usize) -> ToolResult {
    ToolResult {
        call_id: format!("call_{number:04}"),
        name: None,
        parts: vec![Part::text(filled(&format!("result {number}; "), RESULT_BYTES))],
        is_error: number % 7 == 3,
        cache: None,
    }
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None }
}

fn tool(number: usize) -> Tool {
    let schema = r#"{"type":"object","properties":{"path":{"type":"string","description":"a \"path\""}},"required":["path"]}"#;
    Tool::Function {
        name: format!("tool_{number:02}"),
        description: Some(filled("Does something to a file. ", 300)),
        parameters: Json::parse(schema),
        strict: None,
        cache: None,
    }
}

fn filled(text: &str, bytes: usize) -> String {
    text.repeat(bytes.div_ceil(text.len()))
}
