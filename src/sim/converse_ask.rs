//! A request for Bedrock's Converse, read as Bedrock reads it.

use serde_json::{Map, Value};

use super::{
    call::Refusal,
    talk::{Ask, Choice, Form, Seen, Tool, seal},
};

const FIELDS: &[&str] = &[
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "additionalModelRequestFields",
    "promptVariables",
    "additionalModelResponseFieldPaths",
    "requestMetadata",
    "performanceConfig",
    "serviceTier",
    "outputConfig",
];
const INFERENCE: &[&str] = &["maxTokens", "temperature", "topP", "stopSequences"];
/// Blocks, of which a message has any and each is one of, and what stands in them.
const BLOCKS: &[(&str, &[&str])] = &[
    ("image", &["format", "source"]),
    ("document", &["format", "name", "source", "context", "citations"]),
    ("video", &["format", "source"]),
    ("audio", &["format", "source"]),
    ("toolUse", &["toolUseId", "name", "input", "type"]),
    ("toolResult", &["toolUseId", "content", "status", "type"]),
    ("reasoningContent", &["reasoningText", "redactedContent"]),
    ("cachePoint", &["type", "ttl"]),
    ("guardContent", &["text", "image"]),
    ("citationsContent", &["content", "citations"]),
];
const IMAGES: [&str; 4] = ["png", "jpeg", "gif", "webp"];
const DOCUMENTS: [&str; 9] = ["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"];
const ID_BYTES_MAX: usize = 64;

pub(super) fn signature(thought: &str) -> String {
    seal(&format!("converse:{thought}"))
}

fn refused(message: impl Into<String>) -> Refusal {
    Refusal::invalid(None, message)
}

fn known<'a>(at: &str, value: &'a Value, names: &[&str]) -> Result<&'a Map<String, Value>, Refusal> {
    let fields = value.as_object().ok_or_else(|| refused(format!("{at} is not an object.")))?;
    match fields.keys().find(|it| !names.contains(&it.as_str())) {
        Some(name) => {
            Err(refused(format!("The model returned the following errors: {at}.{name}: unknown member.")))
        }
        None => Ok(fields),
    }
}

pub(super) fn read(body: &Value) -> Result<Ask, Refusal> {
    known("request", body, FIELDS)?;
    let mut ask = Ask::default();
    for (index, block) in body["system"].as_array().into_iter().flatten().enumerate() {
        check_block(&format!("system.{index}"), block, &mut ask)?;
    }
    if !body["inferenceConfig"].is_null() {
        known("inferenceConfig", &body["inferenceConfig"], INFERENCE)?;
    }
    ask.limit = body["inferenceConfig"]["maxTokens"].as_u64().map(|it| it as usize);
    if body["inferenceConfig"]["temperature"].as_f64().is_some_and(|it| !(0.0..=1.0).contains(&it)) {
        return Err(refused("Value at 'inferenceConfig.temperature' must be less than or equal to 1.0."));
    }
    let thinking = body["additionalModelRequestFields"]["thinking"]["type"].as_str().unwrap_or("disabled");
    ask.thinks = thinking != "disabled";
    read_tools(&body["toolConfig"], &mut ask)?;
    hear(body, &mut ask, thinking == "enabled")?;
    let format = &body["outputConfig"]["textFormat"];
    if !format.is_null() {
        // The schema is a text that holds JSON.
        let schema =
            format["structure"]["jsonSchema"]["schema"].as_str().filter(|_| format["type"] == "json_schema");
        let schema =
            schema.ok_or_else(|| refused("outputConfig.textFormat needs a jsonSchema with its schema."))?;
        ask.form = Form::Schema(serde_json::from_str(schema)?);
    }
    Ok(ask)
}

fn read_tools(config: &Value, ask: &mut Ask) -> Result<(), Refusal> {
    if config.is_null() {
        return Ok(());
    }
    known("toolConfig", config, &["tools", "toolChoice"])?;
    for (index, tool) in config["tools"].as_array().into_iter().flatten().enumerate() {
        let at = format!("toolConfig.tools.{index}");
        known(&at, tool, &["toolSpec", "cachePoint", "systemTool"])?;
        ask.keeps |= tool.get("cachePoint").is_some();
        let Some(spec) = tool.get("toolSpec") else { continue };
        known(&at, spec, &["name", "description", "inputSchema", "strict"])?;
        if bad_id(&spec["name"]) || spec.get("description").is_some_and(|it| it == "") {
            return Err(refused(format!(
                "{at}: name must match [a-zA-Z0-9_-]+; description must not be empty."
            )));
        }
        let schema = &spec["inputSchema"]["json"];
        if schema["type"] != "object" {
            return Err(refused(format!(
                "The value at {at}.toolSpec.inputSchema.json.type must be one of: object."
            )));
        }
        let name = spec["name"].as_str().unwrap_or_default().to_owned();
        ask.tools.push(Tool { name, schema: Some(schema.clone()) });
    }
    if ask.tools.is_empty() {
        return Err(refused("toolConfig.tools must not be empty."));
    }
    let choice = &config["toolChoice"];
    if !choice.is_null() {
        let named = known("toolConfig.toolChoice", choice, &["auto", "any", "tool"])?;
        if named.len() != 1 {
            return Err(refused("toolConfig.toolChoice must have exactly one member."));
        }
    }
    if let Some(name) = choice["tool"]["name"].as_str() {
        ask.choice = Choice::Named(name.to_owned());
    }
    Ok(())
}

fn hear(body: &Value, ask: &mut Ask, must_think: bool) -> Result<(), Refusal> {
    let messages = body["messages"].as_array().filter(|it| !it.is_empty());
    let messages = messages.ok_or_else(|| refused("messages must not be empty."))?;
    let mut open: Vec<String> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages.{index}");
        known(&at, message, &["role", "content"])?;
        let role = if index % 2 == 0 { "user" } else { "assistant" };
        if message["role"] != role {
            return Err(refused(
                "A conversation must start with a user message and alternate between user and assistant roles.",
            ));
        }
        let blocks = message["content"].as_array().filter(|it| !it.is_empty());
        let blocks = blocks.ok_or_else(|| refused(format!("The content field at {at} is empty.")))?;
        let uses = ids(blocks, "toolUse");
        answer_uses(&at, blocks, &mut open, ask)?;
        if ask.tools.is_empty() && (ask.after_tools || !uses.is_empty()) {
            return Err(refused(
                "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
            ));
        }
        let unthought = !uses.is_empty() && blocks[0].get("reasoningContent").is_none();
        if must_think && unthought && index + 2 == messages.len() {
            return Err(refused(format!(
                "{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`."
            )));
        }
        if role == "assistant" {
            check_assistants(blocks, index + 1 == messages.len())?;
        } else {
            let texts: Vec<&str> = blocks.iter().filter_map(|it| it["text"].as_str()).collect();
            ask.echo = if texts.is_empty() { std::mem::take(&mut ask.echo) } else { texts.join(" ") };
            ask.seen = if ask.after_tools { std::mem::take(&mut ask.seen) } else { Seen::default() };
        }
        for (place, block) in blocks.iter().enumerate() {
            check_block(&format!("{at}.content.{place}"), block, ask)?;
        }
        open = uses;
    }
    if open.is_empty() {
        Ok(())
    } else {
        Err(refused("The last message has toolUse blocks without results."))
    }
}

/// What only a user may say, and how an unfinished answer may not end.
fn check_assistants(blocks: &[Value], is_last: bool) -> Result<(), Refusal> {
    if blocks.iter().any(|it| it.get("image").or(it.get("document")).is_some()) {
        return Err(refused("You can only include images and documents if the role is user."));
    }
    let end = blocks.last().and_then(|it| it["text"].as_str()).filter(|_| is_last);
    match end.is_some_and(|it| it.ends_with(char::is_whitespace)) {
        true => Err(refused("final assistant content cannot end with trailing whitespace")),
        false => Ok(()),
    }
}

/// The calls that blocks of a kind are about.
fn ids(blocks: &[Value], kind: &str) -> Vec<String> {
    let ids = blocks.iter().filter_map(|it| it.get(kind)?["toolUseId"].as_str());
    ids.map(str::to_owned).collect()
}

/// One result for each call directly before.
fn answer_uses(at: &str, blocks: &[Value], open: &mut [String], ask: &mut Ask) -> Result<(), Refusal> {
    let mut results = ids(blocks, "toolResult");
    ask.after_tools = !results.is_empty();
    results.sort();
    open.sort();
    if results == open {
        return Ok(());
    }
    let ids = open.join(", ");
    Err(refused(format!("Expected toolResult blocks at {at}.content for the following Ids: {ids}")))
}

/// A block is a union: one member, known, and what stands in it is known.
fn check_block(at: &str, block: &Value, ask: &mut Ask) -> Result<(), Refusal> {
    let (Some((kind, value)), 1) =
        (block.as_object().and_then(|it| it.iter().next()), block.as_object().map_or(0, Map::len))
    else {
        return Err(refused(format!("The ContentBlock object at {at} must set one of its members.")));
    };
    if kind == "text" {
        let is_blank = value.as_str().is_none_or(|it| it.trim().is_empty());
        let message = format!("The text field in the ContentBlock object at {at} is blank.");
        return if is_blank { Err(refused(message)) } else { Ok(()) };
    }
    let Some((_, names)) = BLOCKS.iter().find(|it| it.0 == kind) else {
        return Err(refused(format!("{at}: unknown member `{kind}`.")));
    };
    known(at, value, names)?;
    let format = |known: &[&str]| !value["format"].as_str().is_some_and(|it| known.contains(&it));
    let fault = match kind.as_str() {
        "image" if format(&IMAGES) => Some("format"),
        "document" if format(&DOCUMENTS) => Some("format"),
        "document" if bad_name(&value["name"]) => Some("name"),
        "image" | "document" if !value["source"].is_object() => Some("source"),
        "toolUse" if bad_id(&value["toolUseId"]) || bad_id(&value["name"]) => Some("toolUseId or name"),
        "toolUse" if !value["input"].is_object() => Some("input"),
        "toolResult" => result_fault(at, value, ask)?,
        "reasoningContent" => {
            let text = &value["reasoningText"];
            let thought = text["text"].as_str().unwrap_or_default();
            (!text.is_null() && text["signature"] != signature(thought))
                .then_some("signature: Invalid `signature`")
        }
        _ => None,
    };
    ask.seen.images += usize::from(kind == "image");
    ask.seen.documents += usize::from(kind == "document");
    ask.seen.sounds += usize::from(kind == "audio");
    ask.keeps |= kind == "cachePoint";
    fault.map_or(Ok(()), |it| Err(refused(format!("{at}.{kind}: invalid value of {it}."))))
}

fn result_fault(at: &str, result: &Value, ask: &mut Ask) -> Result<Option<&'static str>, Refusal> {
    ask.seen.results += 1;
    ask.seen.failed_results += usize::from(result["status"] == "error");
    let Some(content) = result["content"].as_array() else { return Ok(Some("content")) };
    for block in content {
        match block.get("json") {
            Some(json) if !json.is_object() => return Ok(Some("json")),
            Some(_) => {}
            None => check_block(at, block, ask)?,
        }
    }
    let status = result.get("status").is_some_and(|it| it != "success" && it != "error");
    Ok(status.then_some("status"))
}

fn bad_id(id: &Value) -> bool {
    let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-');
    id.as_str().is_none_or(|it| it.is_empty() || it.len() > ID_BYTES_MAX || !it.bytes().all(plain))
}

/// Names of documents: letters, digits, single spaces, hyphens and brackets.
fn bad_name(name: &Value) -> bool {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b" -()[]".contains(&it);
    name.as_str().is_none_or(|it| it.is_empty() || it.contains("  ") || !it.bytes().all(plain))
}
