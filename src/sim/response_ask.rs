//! A request for OpenAI's Responses, read as OpenAI reads it.

use serde_json::Value;

use super::{
    call::Refusal,
    talk::{Ask, Choice, Form, Seen, Tool, seal},
};

const FIELDS: &[&str] = &[
    "model",
    "input",
    "instructions",
    "metadata",
    "stream",
    "stream_options",
    "max_output_tokens",
    "max_tool_calls",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "include",
    "store",
    "previous_response_id",
    "temperature",
    "top_p",
    "top_logprobs",
    "truncation",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
    "background",
    "conversation",
    "prompt",
    "context_management",
];
const ROLES: [&str; 4] = ["user", "assistant", "system", "developer"];
/// Fewest tokens of an answer that may be asked for.
const OUTPUT_MAX_LEAST: u64 = 16;
/// Begins the ids of calls that came after a thought, and so need it back.
pub(super) const THOUGHTFUL: &str = "fc_r";

/// What a thought is encrypted as: its text is nobody's business, but whose it is stands in there.
pub(super) fn encrypted(id: &str) -> String {
    format!("{}{id}", seal(&format!("responses:{id}")))
}

/// Whether this was encrypted here, for the item of that id; an item may come back without one.
fn is_genuine(content: &str, id: Option<&str>) -> bool {
    let own = content.find("rs_").map(|at| &content[at..]);
    own.is_some_and(|own| content == encrypted(own) && id.is_none_or(|it| it == own))
}

fn refused(param: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::invalid(Some(param), message)
}

pub(super) fn read(body: &Value) -> Result<Ask, Refusal> {
    let fields = body.as_object().ok_or_else(|| refused("input", "The request body is not an object."))?;
    if let Some(name) = fields.keys().find(|it| !FIELDS.contains(&it.as_str())) {
        return Err(Refusal::invalid(None, format!("Unknown parameter: '{name}'.")));
    }
    let limit = body["max_output_tokens"].as_u64();
    if let Some(limit) = limit.filter(|it| *it < OUTPUT_MAX_LEAST) {
        let message = format!(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {OUTPUT_MAX_LEAST}, but got {limit} instead."
        );
        return Err(refused("max_output_tokens", message));
    }
    let mut ask = Ask { limit: limit.map(|it| it as usize), ..Ask::default() };
    match &body["input"] {
        Value::String(text) => ask.echo = text.clone(),
        Value::Array(items) => hear(items, body, &mut ask)?,
        Value::Null => {}
        _ => return Err(refused("input", "Invalid type for 'input': expected one of a string or array.")),
    }
    read_tools(body, &mut ask)?;
    let format = &body["text"]["format"];
    ask.form = match format["type"].as_str() {
        Some("json_schema") if !format["name"].is_string() => {
            return Err(refused("text.format.name", "Missing required parameter: 'text.format.name'."));
        }
        Some("json_schema") => Form::Schema(format["schema"].clone()),
        Some("json_object") => Form::Object,
        Some("text") | None => Form::Prose,
        Some(_) => return Err(refused("text.format.type", "Invalid value of 'text.format.type'.")),
    };
    ask.thinks = body["reasoning"].is_object() && body["reasoning"]["effort"] != "none";
    Ok(ask)
}

fn read_tools(body: &Value, ask: &mut Ask) -> Result<(), Refusal> {
    for tool in body["tools"].as_array().into_iter().flatten() {
        if !tool["type"].is_string() {
            return Err(refused("tools", "Missing required parameter: 'tools[].type'."));
        }
        if tool["type"] != "function" {
            continue;
        }
        let Some(name) = tool["name"].as_str() else {
            return Err(refused("tools", "Missing required parameter: 'tools[].name'."));
        };
        ask.tools.push(Tool { name: name.to_owned(), schema: tool.get("parameters").cloned() });
    }
    ask.one_tool = body["parallel_tool_calls"] == false;
    let choice = &body["tool_choice"];
    ask.choice = match choice["name"].as_str() {
        Some(name) => Choice::Named(name.to_owned()),
        None if choice == "none" => Choice::Barred,
        None if choice.get("function").is_some() => {
            return Err(refused("tool_choice", "Missing required parameter: 'tool_choice.name'."));
        }
        None => Choice::Free,
    };
    Ok(())
}

/// What is known of the items read so far.
#[derive(Default)]
struct Heard<'a> {
    open: Vec<&'a str>,
    /// A thought whose call or message has not come yet.
    thought: Option<&'a str>,
    thought_before: bool,
}

fn hear(items: &[Value], body: &Value, ask: &mut Ask) -> Result<(), Refusal> {
    // What is not in this request cannot be checked.
    let goes_on = body["previous_response_id"].is_string() || !body["conversation"].is_null();
    let mut heard = Heard::default();
    for (index, item) in items.iter().enumerate() {
        let kind = item["type"].as_str().unwrap_or("message");
        ask.after_tools = kind.ends_with("_call_output");
        match kind {
            "message" => hear_message(index, item, ask, &mut heard)?,
            "reasoning" => hear_thought(item, body, &mut heard)?,
            "function_call" | "custom_tool_call" => hear_call(index, item, &mut heard)?,
            "function_call_output" | "custom_tool_call_output" => {
                let id = item["call_id"].as_str().unwrap_or_default();
                match heard.open.iter().position(|it| *it == id) {
                    Some(at) => drop(heard.open.remove(at)),
                    None if goes_on => {}
                    None => {
                        let message =
                            format!("No tool call found for function call output with call_id {id}.");
                        return Err(refused("input", message));
                    }
                }
                parts(index, &item["output"], "input_", &mut ask.seen)?;
                ask.seen.results += 1;
            }
            "item_reference" | "compaction" => {}
            kind if kind.ends_with("_call") || kind.starts_with("mcp_") => {}
            kind => {
                return Err(refused("input", format!("Invalid value: '{kind}' at 'input[{index}].type'.")));
            }
        }
    }
    match (heard.open.first(), heard.thought) {
        (Some(id), _) => Err(refused("input", format!("No tool output found for function call {id}."))),
        (_, Some(id)) => Err(without_item(id)),
        _ => Ok(()),
    }
}

fn without_item(id: &str) -> Refusal {
    let message =
        format!("Item '{id}' of type 'reasoning' was provided without its required following item.");
    refused("input", message)
}

fn hear_message<'a>(
    index: usize,
    item: &'a Value,
    ask: &mut Ask,
    heard: &mut Heard<'a>,
) -> Result<(), Refusal> {
    let role = item["role"].as_str().unwrap_or_default();
    if !ROLES.contains(&role) {
        return Err(refused("input", format!("Invalid value: '{role}' at 'input[{index}].role'.")));
    }
    let own = if role == "assistant" { "output_" } else { "input_" };
    let mut seen = Seen::default();
    let text = parts(index, &item["content"], own, &mut seen)?;
    if role == "user" {
        (ask.echo, ask.seen, heard.thought_before) = (text, seen, false);
    } else if role == "assistant" {
        heard.thought = None;
    }
    Ok(())
}

fn hear_thought<'a>(item: &'a Value, body: &Value, heard: &mut Heard<'a>) -> Result<(), Refusal> {
    if let Some(id) = heard.thought {
        return Err(without_item(id));
    }
    let id = item["id"].as_str().unwrap_or_default();
    match item["encrypted_content"].as_str() {
        Some(given) if !is_genuine(given, item["id"].as_str()) => {
            let message = "The encrypted content could not be verified. Reason: Encrypted content could not be \
                           decrypted or parsed.";
            return Err(refused("input", message));
        }
        None if body["store"] == false => {
            let message = format!(
                "Item with id '{id}' not found. Items are not persisted when `store` is set to false."
            );
            return Err(refused("input", message));
        }
        _ => {}
    }
    (heard.thought, heard.thought_before) = (Some(id), true);
    Ok(())
}

fn hear_call<'a>(index: usize, item: &'a Value, heard: &mut Heard<'a>) -> Result<(), Refusal> {
    let field = if item["type"] == "function_call" { "arguments" } else { "input" };
    let Some(id) = item["call_id"].as_str().filter(|_| item["name"].is_string() && item[field].is_string())
    else {
        return Err(refused(
            "input",
            format!("Missing required parameter: 'input[{index}].call_id', name or {field}."),
        ));
    };
    let own = item["id"].as_str().unwrap_or_default();
    if own.starts_with(THOUGHTFUL) && !heard.thought_before {
        let message = format!(
            "Item '{own}' of type 'function_call' was provided without its required 'reasoning' item."
        );
        return Err(refused("input", message));
    }
    heard.thought = None;
    heard.open.push(id);
    Ok(())
}

/// The text of a string or of parts; the others are counted. `own` begins the names of the parts that may stand here.
fn parts(index: usize, content: &Value, own: &str, seen: &mut Seen) -> Result<String, Refusal> {
    let mut texts = Vec::new();
    for part in content.as_array().into_iter().flatten() {
        let kind = part["type"].as_str().unwrap_or_default();
        if !kind.starts_with(own) && kind != "refusal" {
            return Err(refused("input", format!("Invalid value: '{kind}' at 'input[{index}].content'.")));
        }
        if kind == "input_image" && !part["image_url"].is_string() && !part["file_id"].is_string() {
            return Err(refused(
                "input",
                format!("Invalid type for 'input[{index}].content[].image_url': expected a string."),
            ));
        }
        seen.images += usize::from(kind == "input_image");
        seen.documents += usize::from(kind == "input_file");
        seen.sounds += usize::from(kind == "input_audio");
        texts.extend(part["text"].as_str());
    }
    Ok(content.as_str().map_or_else(|| texts.join(" "), str::to_owned))
}
