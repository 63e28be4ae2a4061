//! Tools and the choice among them, both ways. Functions stand flat here, without chat's object around them.

use super::place::At;
use crate::api::fields::{Fields, elements, object, text};
use crate::api::ink::Ink;
use crate::dialect::functions::type_of;
use crate::dialect::json::Json;
use crate::dialect::loss::{Losses, kind_of, name_of_tool};
use crate::dialect::prompt::{Tool, ToolChoice};
use crate::dialect::read::refused;
use crate::error::Error;

/// Tools that OpenAI runs itself, or knows without a definition: these are passed on, other vendors' own ones are losses.
const HOSTED: [&str; 17] = [
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
    "file_search",
    "code_interpreter",
    "image_generation",
    "mcp",
    "computer",
    "computer_use",
    "computer_use_preview",
    "local_shell",
    "shell",
    "apply_patch",
    "tool_search",
    "namespace",
    "programmatic_tool_calling",
];

/// Reads a request's `tools`.
pub fn read_tools(json: &str) -> Result<Vec<Tool>, Error> {
    let list = elements(json).ok_or_else(|| refused("tools", "a list of tools"))?;
    list.iter().enumerate().map(|(index, it)| read_tool(it.get(), At::of("tools", index))).collect()
}

fn read_tool(json: &str, at: At) -> Result<Tool, Error> {
    let fields = Fields::read(json).ok_or_else(|| at.wrong("", "an object with a `type`"))?;
    let kind = fields.text("type").ok_or_else(|| at.wrong("type", "a string such as `function`"))?;
    let own = |name: &str| fields.text(name).map(|it| it.into_owned());
    let name = || own("name").ok_or_else(|| at.wrong("name", "a string"));
    match kind.as_ref() {
        "function" => Ok(Tool::Function {
            name: name()?,
            description: own("description"),
            parameters: fields.value("parameters").map(Json::part),
            strict: fields.value("strict").map(|it| it == "true"),
            cache: None,
        }),
        "custom" => Ok(Tool::Custom {
            name: name()?,
            description: own("description"),
            format: fields.value("format").map(chat_format),
        }),
        _ => Ok(Tool::Other(Json::parse(json).unwrap_or_else(|| Json::text(json)))),
    }
}

/// The format of a custom tool as chat has it: a grammar's fields in an object of their own.
fn chat_format(json: &str) -> Json {
    let nested =
        Fields::read(json).filter(|it| it.text("type").as_deref() == Some("grammar")).map(|fields| {
            let grammar = fields.with("type", None);
            format!(r#"{{"type":"grammar","grammar":{grammar}}}"#)
        });
    nested.as_deref().or(Some(json)).and_then(Json::parse).unwrap_or_else(|| Json::text(json))
}

/// The other way.
fn own_format(format: &Json) -> Json {
    let fields = Fields::read(format.get());
    let grammar = fields.as_ref().and_then(|it| Fields::read(it.value("grammar")?));
    let Some(grammar) = grammar else { return format.clone() };
    let own = object([("type", r#""grammar""#)].into_iter().chain(grammar.each()));
    Json::parse(&own).unwrap_or_else(|| format.clone())
}

/// Reads a request's `tool_choice`. A choice of one of OpenAI's own tools is refused: nobody else could follow it.
pub fn read_choice(json: &str) -> Result<ToolChoice, Error> {
    let wanted = "`auto`, `none`, `required`, or an object of type `function`, `custom` or `allowed_tools`";
    let fault = || refused("tool_choice", wanted);
    if let Some(word) = text(json) {
        return match word.as_ref() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(fault()),
        };
    }
    let fields = Fields::read(json).ok_or_else(fault)?;
    match fields.text("type").as_deref() {
        Some("function" | "custom") => {
            let name =
                fields.text("name").ok_or_else(|| refused("tool_choice.name", "the name of a tool"))?;
            Ok(ToolChoice::Named(name.into_owned()))
        }
        Some("allowed_tools") => {
            let tools = fields.value("tools").and_then(elements);
            let tools = tools.ok_or_else(|| refused("tool_choice.tools", "a list of tools"))?;
            let name = |it: &str| Fields::read(it)?.text("name").map(|it| it.into_owned());
            let names = tools.iter().filter_map(|it| name(it.get())).collect();
            let required = fields.text("mode").as_deref() == Some("required");
            Ok(ToolChoice::Among { names, required })
        }
        _ => Err(fault()),
    }
}

/// Writes the tools of a request.
pub fn write_tools(tools: &[Tool], list: &mut Vec<u8>, losses: &mut Losses) {
    for tool in tools {
        match tool {
            Tool::Function { name, description, parameters, strict, .. } => {
                let object = list.of_type("function");
                object.text_field("name", name);
                object.text_if("description", description.as_deref());
                object.raw_field("parameters", parameters.as_ref().map_or("null", Json::get));
                // Missing means true here, other than in chat completions.
                object.flag_field("strict", *strict == Some(true));
                object.close(b'}');
            }
            Tool::Custom { name, description, format } => {
                let object = list.of_type("custom");
                object.text_field("name", name);
                object.text_if("description", description.as_deref());
                object.raw_if("format", format.as_ref().map(own_format).as_ref().map(Json::get));
                object.close(b'}');
            }
            Tool::Other(json) if HOSTED.contains(&kind_of(json).as_str()) => _ = list.raw(json.get()),
            Tool::Other(json) => losses.add(name_of_tool(json)),
        }
    }
}

/// Writes the field `tool_choice`.
pub fn write_choice(choice: &ToolChoice, tools: &[Tool], object: &mut Vec<u8>) {
    match choice {
        ToolChoice::Auto => _ = object.text_field("tool_choice", "auto"),
        ToolChoice::None => _ = object.text_field("tool_choice", "none"),
        ToolChoice::Required => _ = object.text_field("tool_choice", "required"),
        ToolChoice::Named(name) => named(object.key("tool_choice").open(b'{'), type_of(name, tools), name),
        ToolChoice::Among { names, required } => {
            let choice = object.key("tool_choice").of_type("allowed_tools");
            choice.text_field("mode", if *required { "required" } else { "auto" });
            let list = choice.key("tools").open(b'[');
            names.iter().for_each(|it| named(list.open(b'{'), type_of(it, tools), it));
            list.close(b']');
            choice.close(b'}');
        }
    }
}

fn named(object: &mut Vec<u8>, kind: &str, name: &str) {
    object.text_field("type", kind);
    object.text_field("name", name);
    object.close(b'}');
}
