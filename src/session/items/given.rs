//! Items as clients give them, checked and made whole.

use serde_json::{Map, Value, json};

/// What is wrong with something that a client gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misgiven {
    /// Where, as in `items[0].role`.
    pub param: String,
    pub message: String,
}

/// Items as they are kept: with a type, a status where OpenAI shows one, and content in parts. Their ids are the store's.
pub fn given(items: Vec<Value>) -> Result<Vec<Map<String, Value>>, Misgiven> {
    let each = items.into_iter().enumerate();
    each.map(|(at, it)| one(it).map_err(|fault| misgiven(at, fault))).collect()
}

fn misgiven(at: usize, (field, message): Fault) -> Misgiven {
    let dot = if field.is_empty() { "" } else { "." };
    Misgiven { param: format!("items[{at}]{dot}{field}"), message }
}

/// A field, and what is wrong with it.
type Fault = (String, String);

fn fault<T>(field: impl Into<String>, message: impl Into<String>) -> Result<T, Fault> {
    Err((field.into(), message.into()))
}

/// Items that are kept for those who read items, and the texts each cannot do without.
const OTHERS: [(&str, &[&str]); 17] = [
    ("apply_patch_call", &["call_id"]),
    ("apply_patch_call_output", &["call_id"]),
    ("code_interpreter_call", &[]),
    ("compaction", &["encrypted_content"]),
    ("computer_call", &["call_id"]),
    ("computer_call_output", &["call_id"]),
    ("file_search_call", &[]),
    ("image_generation_call", &[]),
    ("local_shell_call", &["call_id"]),
    ("local_shell_call_output", &[]),
    ("mcp_approval_request", &["server_label", "name", "arguments"]),
    ("mcp_approval_response", &["approval_request_id"]),
    ("mcp_call", &["server_label", "name", "arguments"]),
    ("mcp_list_tools", &["server_label"]),
    ("shell_call", &["call_id"]),
    ("shell_call_output", &["call_id"]),
    ("web_search_call", &[]),
];

/// What any item's status may be.
const STATUSES: [&str; 8] = [
    "in_progress",
    "completed",
    "incomplete",
    "failed",
    "calling",
    "generating",
    "interpreting",
    "searching",
];

/// Those of a message, of a call of a function and of its result.
const STATUSES_USUAL: usize = 3;

fn one(item: Value) -> Result<Map<String, Value>, Fault> {
    let Value::Object(mut item) = item else {
        return fault("", "An item is a JSON object, its texts without half characters.");
    };
    item.remove("id");
    if !item.contains_key("type") && item.contains_key("role") {
        item.insert("type".into(), "message".into());
    }
    let kind = item.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind.as_str() {
        "" => return fault("type", "An item has a `type`, such as `message`."),
        "item_reference" => {
            return fault("type", "Items are not kept by reference; send the item itself.");
        }
        "message" => message(&mut item)?,
        "function_call" => texts(&item, &["call_id", "name", "arguments"])?,
        "custom_tool_call" => texts(&item, &["call_id", "name", "input"])?,
        "function_call_output" | "custom_tool_call_output" => output(&item)?,
        "reasoning" => reasoning(&item)?,
        other => {
            let Some((_, needed)) = OTHERS.iter().find(|(it, _)| *it == other) else {
                return fault("type", "This is no type of an item that is known here.");
            };
            texts(&item, needed)?;
            status(&item, &STATUSES)?;
            return Ok(item);
        }
    }
    status(&item, &STATUSES[..STATUSES_USUAL])?;
    if kind != "reasoning" && item.get("status").is_none_or(Value::is_null) {
        item.insert("status".into(), "completed".into());
    }
    Ok(item)
}

fn status(item: &Map<String, Value>, known: &[&str]) -> Result<(), Fault> {
    match item.get("status") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(it)) if known.contains(&it.as_str()) => Ok(()),
        Some(_) => fault("status", format!("`status` is one of `{}`.", known.join("`, `"))),
    }
}

fn message(item: &mut Map<String, Value>) -> Result<(), Fault> {
    let role = item.get("role").and_then(Value::as_str).unwrap_or_default();
    let is_said = match role {
        "assistant" => true,
        "user" | "system" | "developer" => false,
        _ => return fault("role", "`role` is `user`, `assistant`, `system` or `developer`."),
    };
    let kind = if is_said { "output_text" } else { "input_text" };
    let mut parts = match item.remove("content") {
        Some(Value::String(words)) => vec![json!({"type": kind, "text": words})],
        Some(Value::Array(parts)) if !parts.is_empty() => parts,
        _ => return fault("content", "`content` is a text or a list of at least one part."),
    };
    checked(&parts, "content", if is_said { said } else { heard })?;
    parts.iter_mut().for_each(made_whole);
    item.insert("content".into(), parts.into());
    Ok(())
}

fn output(item: &Map<String, Value>) -> Result<(), Fault> {
    texts(item, &["call_id"])?;
    match item.get("output") {
        Some(Value::String(_)) => Ok(()),
        Some(Value::Array(parts)) => checked(parts, "output", heard),
        _ => fault("output", "`output` is a text or a list of parts."),
    }
}

fn reasoning(item: &Map<String, Value>) -> Result<(), Fault> {
    let Some(Value::Array(summary)) = item.get("summary") else {
        return fault("summary", "`summary` is a list of parts, which may be empty.");
    };
    checked(summary, "summary", |it| part_text(it, "summary_text"))?;
    match item.get("content") {
        None | Some(Value::Null) => {}
        Some(Value::Array(parts)) => checked(parts, "content", |it| part_text(it, "reasoning_text"))?,
        Some(_) => return fault("content", "`content` is a list of parts."),
    }
    match item.get("encrypted_content") {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(_) => fault("encrypted_content", "`encrypted_content` is a text."),
    }
}

/// The field of a part that is wrong, and what it must be.
type PartFault = (&'static str, &'static str);

fn checked(
    parts: &[Value],
    list: &str,
    check: impl Fn(&Value) -> Result<(), PartFault>,
) -> Result<(), Fault> {
    for (at, part) in parts.iter().enumerate() {
        if !part["type"].is_string() {
            return fault(
                format!("{list}[{at}]"),
                format!("Each part of `{list}` is an object with a `type`."),
            );
        }
        check(part).or_else(|(field, wanted)| {
            fault(format!("{list}[{at}].{field}"), format!("`{field}` of this part must be {wanted}."))
        })?;
    }
    Ok(())
}

/// A part of what an assistant said.
fn said(part: &Value) -> Result<(), PartFault> {
    match part["type"].as_str() {
        Some("output_text") => text(part, "text"),
        Some("refusal") => text(part, "refusal"),
        _ => Err(("type", "`output_text` or `refusal`")),
    }
}

/// A part of what an assistant is told.
fn heard(part: &Value) -> Result<(), PartFault> {
    let has_one_of = |names: &[&str]| names.iter().any(|it| part[*it].is_string());
    match part["type"].as_str() {
        Some("input_text" | "text") => text(part, "text"),
        Some("input_image" | "computer_screenshot") => match &part["detail"] {
            _ if !has_one_of(&["image_url", "file_id"]) => {
                Err(("image_url", "a text, unless `file_id` is one"))
            }
            Value::Null => Ok(()),
            detail if ["auto", "low", "high", "original"].iter().any(|it| detail == it) => Ok(()),
            _ => Err(("detail", "`auto`, `low` or `high`")),
        },
        Some("input_file") if has_one_of(&["file_id", "file_data", "file_url"]) => Ok(()),
        Some("input_file") => Err(("file_id", "a text, unless `file_data` or `file_url` is one")),
        Some("input_audio") if part["input_audio"]["data"].is_string() => Ok(()),
        Some("input_audio") => Err(("input_audio", "an object with `data` and `format`")),
        _ => Err(("type", "`input_text`, `input_image`, `input_file` or `input_audio`")),
    }
}

fn part_text(part: &Value, kind: &str) -> Result<(), PartFault> {
    match part["type"] == kind {
        true => text(part, "text"),
        false => Err(("type", "the one of its list: `summary_text` or `reasoning_text`")),
    }
}

fn text(part: &Value, field: &'static str) -> Result<(), PartFault> {
    if part[field].is_string() { Ok(()) } else { Err((field, "a text")) }
}

/// Adds what OpenAI shows of a part where its client left it out.
fn made_whole(part: &mut Value) {
    let missing = match part["type"].as_str() {
        Some("output_text") => json!({"annotations": [], "logprobs": []}),
        Some("input_image") => json!({"detail": "auto", "file_id": null}),
        _ => return,
    };
    if let (Value::Object(part), Value::Object(missing)) = (part, missing) {
        for (name, value) in missing {
            part.entry(name).or_insert(value);
        }
    }
}

fn texts(item: &Map<String, Value>, names: &[&str]) -> Result<(), Fault> {
    match names.iter().find(|it| !item.get(**it).is_some_and(Value::is_string)) {
        None => Ok(()),
        Some(name) => fault(*name, format!("`{name}` is a text that this item needs.")),
    }
}
