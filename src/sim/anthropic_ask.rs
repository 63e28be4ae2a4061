//! A request for Anthropic's Messages, read as Anthropic reads it: fields that it does not know, messages in an order
//! that it does not take and thoughts that it did not think are refused.

use serde_json::{Map, Value};

use super::{
    call::Refusal,
    talk::{Ask, Choice, Form, Seen, Tool, seal},
};

const FIELDS: &[&str] = &[
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "cache_control",
    "context_management",
    "mcp_servers",
];
/// Those that a count of tokens does not take.
const ANSWER_FIELDS: &[&str] = &[
    "max_tokens",
    "metadata",
    "stop_sequences",
    "stream",
    "temperature",
    "top_k",
    "top_p",
    "service_tier",
    "container",
    "inference_geo",
    "anthropic_version",
    "anthropic_beta",
];
const TOOL_FIELDS: &[&str] = &[
    "type",
    "name",
    "description",
    "input_schema",
    "cache_control",
    "strict",
    "input_examples",
    "defer_loading",
    "allowed_callers",
    "eager_input_streaming",
];
/// Kinds of blocks, who may say them, and their fields.
const BLOCKS: &[(&str, &str, &[&str])] = &[
    ("text", "both", &["text", "cache_control", "citations"]),
    ("image", "user", &["source", "cache_control"]),
    ("document", "user", &["source", "title", "context", "citations", "cache_control"]),
    ("search_result", "user", &["source", "title", "content", "citations", "cache_control"]),
    ("tool_result", "user", &["tool_use_id", "content", "is_error", "cache_control"]),
    ("tool_use", "assistant", &["id", "name", "input", "cache_control", "caller"]),
    ("thinking", "assistant", &["thinking", "signature"]),
    ("redacted_thinking", "assistant", &["data"]),
];
const CACHE_MARKS_MAX: usize = 4;
const BUDGET_MIN: u64 = 1_024;

pub(super) fn refused(message: impl Into<String>) -> Refusal {
    Refusal::invalid(None, message)
}

/// What a thought of Anthropic's is sealed with.
pub(super) fn signature(thought: &str) -> String {
    seal(&format!("anthropic:{thought}"))
}

/// Reads a request for an answer, or for a count of its tokens.
pub(super) fn read(body: &Value, counts: bool) -> Result<Ask, Refusal> {
    let fields = body.as_object().ok_or_else(|| refused("The request body is not an object."))?;
    let known =
        |it: &&String| FIELDS.contains(&it.as_str()) || (!counts && ANSWER_FIELDS.contains(&it.as_str()));
    if let Some(name) = fields.keys().find(|it| !known(it)) {
        return Err(refused(format!("{name}: Extra inputs are not permitted")));
    }
    let mut ask = Ask { keeps: body.get("cache_control").is_some(), ..Ask::default() };
    let mut marks = usize::from(ask.keeps);
    check_system(&body["system"], &mut marks)?;
    let thinks = thinks(body)?;
    hear(&body["messages"], &mut ask, &mut marks, thinks == Thinks::Enabled)?;
    read_tools(body, &mut ask, &mut marks)?;
    if !counts {
        let most = body["max_tokens"].as_u64().ok_or_else(|| refused("max_tokens: Field required"))?;
        ask.limit = Some(most as usize);
        check_sampling(body, thinks, most)?;
    }
    if marks > CACHE_MARKS_MAX {
        let message = format!(
            "A maximum of {CACHE_MARKS_MAX} blocks with cache_control may be provided. Found {marks}."
        );
        return Err(refused(message));
    }
    ask.keeps = marks > 0;
    ask.thinks = thinks != Thinks::No;
    let format = body["output_config"].get("format").or_else(|| body.get("output_format"));
    if let Some(format) = format.filter(|it| !it.is_null()) {
        let schema = format.get("schema").filter(|_| format["type"] == "json_schema");
        let schema =
            schema.ok_or_else(|| refused("output_config.format.type: Input should be 'json_schema'"))?;
        ask.form = Form::Schema(schema.clone());
    }
    Ok(ask)
}

#[derive(Clone, Copy, PartialEq)]
enum Thinks {
    No,
    Enabled,
    Adaptive,
}

fn thinks(body: &Value) -> Result<Thinks, Refusal> {
    let thinking = &body["thinking"];
    match thinking["type"].as_str() {
        None if thinking.is_null() => Ok(Thinks::No),
        Some("disabled") => Ok(Thinks::No),
        Some("adaptive") if thinking.get("budget_tokens").is_none() => Ok(Thinks::Adaptive),
        Some("enabled") if thinking["budget_tokens"].as_u64().is_some_and(|it| it >= BUDGET_MIN) => {
            Ok(Thinks::Enabled)
        }
        Some("enabled") => {
            Err(refused("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"))
        }
        _ => Err(refused("thinking: Input tag does not match any of: 'adaptive', 'disabled', 'enabled'")),
    }
}

fn check_sampling(body: &Value, thinks: Thinks, most: u64) -> Result<(), Refusal> {
    let temperature = body["temperature"].as_f64();
    if temperature.is_some_and(|it| !(0.0..=1.0).contains(&it)) {
        return Err(refused("temperature: range: 0..1"));
    }
    let effort = &body["output_config"]["effort"];
    if !effort.is_null() && !["low", "medium", "high", "xhigh", "max"].iter().any(|it| effort == it) {
        return Err(refused(
            "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
        ));
    }
    if thinks == Thinks::Enabled && body["thinking"]["budget_tokens"].as_u64() >= Some(most) {
        return Err(refused("`max_tokens` must be greater than `thinking.budget_tokens`."));
    }
    if thinks != Thinks::No && temperature.is_some_and(|it| it != 1.0) {
        return Err(refused("`temperature` may only be set to 1 when thinking is enabled."));
    }
    if thinks != Thinks::No && matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool")) {
        return Err(refused("Thinking may not be enabled when tool_choice forces tool use."));
    }
    Ok(())
}

fn check_system(system: &Value, marks: &mut usize) -> Result<(), Refusal> {
    for (index, block) in system.as_array().into_iter().flatten().enumerate() {
        if block["type"] != "text" || block["text"].as_str().is_none_or(str::is_empty) {
            return Err(refused(format!("system.{index}: text content blocks must be non-empty")));
        }
        *marks += usize::from(block.get("cache_control").is_some());
    }
    match system {
        Value::Null | Value::String(_) | Value::Array(_) => Ok(()),
        _ => Err(refused("system: Input should be a valid string or list")),
    }
}

/// Messages in turns: a user's results answer the calls directly before them.
fn hear(messages: &Value, ask: &mut Ask, marks: &mut usize, must_think: bool) -> Result<(), Refusal> {
    let messages = messages.as_array().ok_or_else(|| refused("messages: Field required"))?;
    if messages.first().is_none_or(|it| it["role"] != "user") {
        return Err(refused(r#"messages: first message must use the "user" role"#));
    }
    let mut open: Vec<String> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages.{index}");
        check_fields(&at, message, &["role", "content"])?;
        let role = message["role"].as_str().filter(|it| matches!(*it, "user" | "assistant"));
        let role =
            role.ok_or_else(|| refused(format!("{at}.role: Input should be 'user' or 'assistant'")))?;
        let text = [serde_json::json!({"type": "text", "text": message["content"]})];
        let blocks = message["content"].as_array().map_or(text.as_slice(), Vec::as_slice);
        if role == "user" {
            answer_calls(&at, blocks, &mut open)?;
            hear_user(blocks, ask);
        } else if !open.is_empty() {
            return Err(unanswered(&at, &open));
        } else if must_think && index + 2 == messages.len() {
            begin_with_thought(&at, blocks, &messages[index + 1])?;
        }
        for (place, block) in blocks.iter().enumerate() {
            check_block(&format!("{at}.content.{place}"), role, block, marks)?;
            if block["type"] == "tool_use" {
                open.push(block["id"].as_str().unwrap_or_default().to_owned());
            }
        }
        ask.after_tools = blocks.iter().any(|it| it["type"] == "tool_result");
    }
    if open.is_empty() { Ok(()) } else { Err(unanswered(&format!("messages.{}", messages.len()), &open)) }
}

fn unanswered(at: &str, open: &[String]) -> Refusal {
    let ids = open.join(", ");
    refused(format!("{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {ids}."))
}

/// Results stand first, one for each call.
fn answer_calls(at: &str, blocks: &[Value], open: &mut Vec<String>) -> Result<(), Refusal> {
    let mut others = false;
    for (place, block) in blocks.iter().enumerate() {
        if block["type"] != "tool_result" {
            others = true;
            continue;
        }
        let id = block["tool_use_id"].as_str().unwrap_or_default();
        let Some(found) = open.iter().position(|it| it == id).filter(|_| !others) else {
            let message = format!(
                "{at}.content.{place}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each \
                 `tool_result` block must have a corresponding `tool_use` block in the previous message."
            );
            return Err(refused(message));
        };
        open.remove(found);
    }
    if open.is_empty() { Ok(()) } else { Err(unanswered(at, open)) }
}

fn begin_with_thought(at: &str, blocks: &[Value], next: &Value) -> Result<(), Refusal> {
    let is_loop =
        next["content"].as_array().is_some_and(|it| it.iter().any(|it| it["type"] == "tool_result"));
    let kind = blocks.first().map_or("nothing", |it| it["type"].as_str().unwrap_or_default());
    if !is_loop || matches!(kind, "thinking" | "redacted_thinking") {
        return Ok(());
    }
    Err(refused(format!(
        "{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{kind}`. When `thinking` is \
         enabled, a final `assistant` message must start with a thinking block."
    )))
}

fn hear_user(blocks: &[Value], ask: &mut Ask) {
    if !blocks.iter().any(|it| it["type"] == "tool_result") {
        ask.seen = Seen::default();
    }
    let mut texts = Vec::new();
    for block in blocks {
        see(block, &mut ask.seen);
        texts.extend(block["text"].as_str());
        if block["type"] == "tool_result" {
            ask.seen.results += 1;
            ask.seen.failed_results += usize::from(block["is_error"] == true);
            block["content"].as_array().into_iter().flatten().for_each(|it| see(it, &mut ask.seen));
        }
    }
    if !texts.is_empty() {
        ask.echo = texts.join(" ");
    }
}

fn see(block: &Value, seen: &mut Seen) {
    seen.images += usize::from(block["type"] == "image");
    seen.documents += usize::from(block["type"] == "document");
}

fn check_block(at: &str, role: &str, block: &Value, marks: &mut usize) -> Result<(), Refusal> {
    let kind = block["type"].as_str().unwrap_or_default();
    *marks += usize::from(block.get("cache_control").is_some());
    let Some((_, who, fields)) = BLOCKS.iter().find(|it| it.0 == kind) else {
        // What its own tools left behind comes back as it was.
        let own = kind.starts_with("server_tool_use")
            || kind.ends_with("_tool_result")
            || kind == "container_upload";
        return if own { Ok(()) } else { Err(refused(format!("{at}: Input tag '{kind}' is unknown"))) };
    };
    if *who != "both" && *who != role {
        return Err(refused(format!("{at}: `{kind}` blocks are not allowed in messages of the {role}")));
    }
    check_fields(at, block, &[&["type"], *fields].concat())?;
    let fault = match kind {
        "text" => block["text"]
            .as_str()
            .is_none_or(str::is_empty)
            .then_some("text content blocks must be non-empty"),
        "image" | "document" => source_fault(&block["source"]),
        "tool_use" if !block["input"].is_object() => Some("input: Input should be an object"),
        "tool_use" => bad_id(&block["id"]).then_some("id: String should match pattern '^[a-zA-Z0-9_-]+$'"),
        "thinking" if block["signature"] != signature(block["thinking"].as_str().unwrap_or_default()) => {
            Some("Invalid `signature` in `thinking` block")
        }
        _ => None,
    };
    fault.map_or(Ok(()), |it| Err(refused(format!("{at}: {it}"))))
}

fn bad_id(id: &Value) -> bool {
    let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-');
    id.as_str().is_none_or(|it| it.is_empty() || !it.bytes().all(plain))
}

fn source_fault(source: &Value) -> Option<&'static str> {
    let has = |name: &str| source[name].as_str().is_some_and(|it| !it.is_empty());
    match source["type"].as_str() {
        Some("base64") if has("data") && has("media_type") => {
            source["data"].as_str()?.starts_with("data:").then_some("source.base64: Invalid base64 data")
        }
        Some("text") if has("data") && source["media_type"] == "text/plain" => None,
        Some("url") if has("url") => None,
        Some("file") if has("file_id") => None,
        Some("content") => None,
        _ => Some("source: Input does not match any of the expected tags"),
    }
}

fn check_fields(at: &str, value: &Value, known: &[&str]) -> Result<(), Refusal> {
    let fields: &Map<String, Value> =
        value.as_object().ok_or_else(|| refused(format!("{at}: not an object")))?;
    match fields.keys().find(|it| !known.contains(&it.as_str())) {
        Some(name) => Err(refused(format!("{at}.{name}: Extra inputs are not permitted"))),
        None => Ok(()),
    }
}

fn read_tools(body: &Value, ask: &mut Ask, marks: &mut usize) -> Result<(), Refusal> {
    for (index, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        *marks += usize::from(tool.get("cache_control").is_some());
        if tool.get("type").is_some_and(|it| it != "custom") {
            continue;
        }
        let at = format!("tools.{index}.custom");
        check_fields(&at, tool, TOOL_FIELDS)?;
        if bad_id(&tool["name"]) {
            return Err(refused(format!(
                "{at}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            )));
        }
        if tool["input_schema"]["type"] != "object" {
            return Err(refused(format!("{at}.input_schema.type: Input should be 'object'")));
        }
        let name = tool["name"].as_str().unwrap_or_default().to_owned();
        ask.tools.push(Tool { name, schema: tool.get("input_schema").cloned() });
    }
    let choice = &body["tool_choice"];
    ask.one_tool = choice["disable_parallel_tool_use"] == true;
    ask.choice = match choice["type"].as_str() {
        Some("tool") => Choice::Named(choice["name"].as_str().unwrap_or_default().to_owned()),
        Some("none") => Choice::Barred,
        Some("auto" | "any") => Choice::Free,
        None if choice.is_null() => Choice::Free,
        _ => {
            return Err(refused(
                "tool_choice: Input tag does not match any of: 'any', 'auto', 'none', 'tool'",
            ));
        }
    };
    if !choice.is_null() && ask.tools.is_empty() && body.get("tools").is_none() {
        return Err(refused("tool_choice: may only be specified while providing `tools`."));
    }
    Ok(())
}
