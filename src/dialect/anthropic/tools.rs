//! Tools and the choice among them.

use std::collections::HashSet;

use super::block;
use crate::api::fields::{Fields, elements};
use crate::api::ink::Ink;
use crate::dialect::functions::{Function, NO_INPUT, called, eligible};
use crate::dialect::json::Json;
use crate::dialect::loss::{Losses, kind_of, name_of_tool};
use crate::dialect::prompt::{Prompt, Tool, ToolChoice};
use crate::dialect::read::refused;
use crate::dialect::terms::Terms;
use crate::error::Error;

/// Writes `tools` and `tool_choice`.
pub(super) fn write(out: &mut Vec<u8>, prompt: &Prompt, terms: &Terms, losses: &mut Losses) {
    let tools: Vec<&Tool> = prompt.tools.iter().filter(|it| is_sayable(it, losses)).collect();
    let eligible = eligible(prompt);
    let tools: Vec<&Tool> = tools.into_iter().filter(|it| is_chosen(it, eligible.as_ref())).collect();
    if tools.is_empty() {
        return write_called(out, prompt);
    }
    out.key("tools").open(b'[');
    for tool in tools {
        write_tool(out, tool, terms, losses);
    }
    out.close(b']');
    write_choice(out, prompt);
}

/// Whether the API takes it. One that a vendor runs is Anthropic's by its dated type, such as `web_search_20250305`.
fn is_sayable(tool: &Tool, losses: &mut Losses) -> bool {
    let Tool::Other(json) = tool else { return true };
    let kind = kind_of(json);
    let is_dated = kind.rsplit_once('_').is_some_and(|(_, date)| {
        date.len() == 8 && date.starts_with("20") && date.bytes().all(|it| it.is_ascii_digit())
    });
    let is_known = is_dated || kind == "mcp_toolset";
    if !is_known {
        losses.add(name_of_tool(json));
    }
    is_known
}

/// The API knows no choice among several: the others are not shown.
fn is_chosen(tool: &Tool, eligible: Option<&HashSet<&str>>) -> bool {
    match (tool, eligible) {
        (Tool::Function { name, .. } | Tool::Custom { name, .. }, Some(names)) => {
            names.contains(name.as_str())
        }
        (Tool::Other(_), Some(_)) => false,
        (_, None) => true,
    }
}

fn write_tool(out: &mut Vec<u8>, tool: &Tool, terms: &Terms, losses: &mut Losses) {
    if let Tool::Other(json) = tool {
        out.raw(json.get());
    }
    let Some(function) = Function::of(tool, losses) else { return };
    out.open(b'{').text_field("name", function.name).text_if("description", function.description);
    out.raw_field("input_schema", &function.schema());
    match terms.json_schema {
        Some(false) => losses.add_if(function.strict, "tools[].function.strict"),
        _ => _ = out.flag_if("strict", function.strict.then_some(true)),
    }
    out.raw_if("cache_control", function.cache).close(b'}');
}

/// Tools that nobody may call any more: the API wants those defined that were.
fn write_called(out: &mut Vec<u8>, prompt: &Prompt) {
    let names = called(prompt);
    if names.is_empty() {
        return;
    }
    out.key("tools").open(b'[');
    for name in names {
        out.open(b'{').text_field("name", name).raw_field("input_schema", NO_INPUT).close(b'}');
    }
    out.close(b']').key("tool_choice").of_type("none").close(b'}');
}

fn write_choice(out: &mut Vec<u8>, prompt: &Prompt) {
    let one_at_a_time = prompt.parallel_tools == Some(false);
    let (kind, name) = match &prompt.tool_choice {
        None if !one_at_a_time => return,
        None | Some(ToolChoice::Auto | ToolChoice::Among { required: false, .. }) => ("auto", None),
        Some(ToolChoice::None) => ("none", None),
        Some(ToolChoice::Required | ToolChoice::Among { required: true, .. }) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(name)),
    };
    out.key("tool_choice").of_type(kind);
    if let Some(name) = name {
        out.text_field("name", name);
    }
    if one_at_a_time && kind != "none" {
        out.raw_field("disable_parallel_tool_use", "true");
    }
    out.close(b'}');
}

/// Reads a client's `tools`.
pub(super) fn read(json: &str) -> Result<Vec<Tool>, Error> {
    let tools = elements(json).ok_or_else(|| refused("tools", "a list of tools"))?;
    let read = |(at, it): (usize, &&serde_json::value::RawValue)| {
        read_tool(it.get()).ok_or_else(|| refused(&format!("tools[{at}]"), "an object with a name"))
    };
    tools.iter().enumerate().map(read).collect()
}

fn read_tool(json: &str) -> Option<Tool> {
    let fields = Fields::read(json)?;
    if fields.text("type").is_some_and(|it| it != "custom") {
        return Json::parse(json).map(Tool::Other);
    }
    Some(Tool::Function {
        name: fields.text("name")?.into_owned(),
        description: fields.text("description").map(String::from),
        parameters: block::json(&fields, "input_schema"),
        strict: fields.value("strict").map(|it| it == "true"),
        cache: block::json(&fields, "cache_control"),
    })
}

/// Reads a client's `tool_choice`, which says too whether calls may be parallel.
pub(super) fn read_choice(json: &str, prompt: &mut Prompt) -> Result<(), Error> {
    let fields = Fields::read(json);
    let choice = fields.as_ref().and_then(|it| match it.text("type")?.as_ref() {
        "auto" => Some(ToolChoice::Auto),
        "any" => Some(ToolChoice::Required),
        "none" => Some(ToolChoice::None),
        "tool" => it.text("name").map(|it| ToolChoice::Named(it.into_owned())),
        _ => None,
    });
    let wanted = "{type: auto, any or none} or {type: tool, name}";
    prompt.tool_choice = Some(choice.ok_or_else(|| refused("tool_choice", wanted))?);
    let disabled = fields.and_then(|it| it.value("disable_parallel_tool_use").map(|it| it == "true"));
    prompt.parallel_tools = disabled.map(|it| !it);
    Ok(())
}
