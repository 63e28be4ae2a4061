//! `tools` and `tool_choice` of a request, and the deprecated `functions` and `function_call`.

use crate::api::fields::{Fields, elements};
use crate::api::ink::Ink;
use crate::dialect::functions::type_of;
use crate::dialect::prompt::{Prompt, Tool, ToolChoice};
use crate::dialect::read::{self, flag_of, object_of, raw, raw_of, refused, text_of};
use crate::error::Error;

/// Reads a field of the request; false where it is none of these.
pub fn read_field(prompt: &mut Prompt, name: &str, json: &str) -> Result<bool, Error> {
    match name {
        "tools" | "functions" => {
            for (at, tool) in read::list(name, json)?.into_iter().enumerate() {
                let param = format!("{name}[{at}]");
                let tool = read_tool(&param, tool.get(), name == "functions")?;
                prompt.tools.push(tool);
            }
        }
        "tool_choice" => prompt.tool_choice = Some(read_choice(json)?),
        "function_call" => prompt.tool_choice = Some(read_function_call(json)?),
        "parallel_tool_calls" => prompt.parallel_tools = Some(read::flag(name, json)?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn read_tool(param: &str, json: &str, is_bare: bool) -> Result<Tool, Error> {
    let fields = read::object(param, json)?;
    let cache = raw_of(&fields, "cache_control");
    let kind = fields.text("type").unwrap_or_default();
    let inner = match kind.as_ref() {
        _ if is_bare => Some(read::object(param, json)?),
        "function" => object_of(&fields, "function").or_else(|| Fields::read(json)),
        // Without a type and a name it is a tool of Google's own, such as `{"googleSearch": {}}`.
        "" => object_of(&fields, "function")
            .or_else(|| Fields::read(json).filter(|it| it.value("name").is_some())),
        "custom" => object_of(&fields, "custom"),
        _ => None,
    };
    let Some(inner) = inner else { return Ok(Tool::Other(raw(json))) };
    let name =
        text_of(&inner, "name").ok_or_else(|| refused(&format!("{param}.function.name"), "a string"))?;
    let description = text_of(&inner, "description");
    Ok(match kind.as_ref() {
        "custom" => Tool::Custom { name, description, format: raw_of(&inner, "format") },
        _ => {
            let (parameters, strict) = (raw_of(&inner, "parameters"), flag_of(&inner, "strict"));
            Tool::Function { name, description, parameters, strict, cache }
        }
    })
}

fn read_choice(json: &str) -> Result<ToolChoice, Error> {
    let bad = || {
        let wanted = "`auto`, `none`, `required`, or an object that names a function";
        refused("tool_choice", wanted)
    };
    let Some(fields) = Fields::read(json) else {
        return match read::text("tool_choice", json)?.as_ref() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            // Mistral's word is `any`.
            "required" | "any" => Ok(ToolChoice::Required),
            _ => Err(bad()),
        };
    };
    if let Some(allowed) = object_of(&fields, "allowed_tools") {
        let tools = allowed.value("tools").and_then(elements).ok_or_else(bad)?;
        let names = tools.iter().map(|it| named(&Fields::read(it.get())?)).collect::<Option<_>>();
        let required = allowed.text("mode").as_deref() == Some("required");
        return Ok(ToolChoice::Among { names: names.ok_or_else(bad)?, required });
    }
    named(&fields).map(ToolChoice::Named).ok_or_else(bad)
}

/// The name in `{"function":{"name"}}` and in the same for custom tools.
fn named(fields: &Fields) -> Option<String> {
    let inner = object_of(fields, "function").or_else(|| object_of(fields, "custom"));
    text_of(inner.as_ref().unwrap_or(fields), "name")
}

fn read_function_call(json: &str) -> Result<ToolChoice, Error> {
    match Fields::read(json).and_then(|it| text_of(&it, "name")) {
        Some(name) => Ok(ToolChoice::Named(name)),
        None => read_choice(json)
            .map_err(|_| refused("function_call", "`auto`, `none`, or an object with a name")),
    }
}

/// Writes the fields where there is something to say.
pub fn write(ink: &mut Vec<u8>, prompt: &Prompt) {
    if !prompt.tools.is_empty() {
        ink.key("tools").open(b'[');
        prompt.tools.iter().for_each(|it| write_tool(ink, it));
        ink.close(b']');
    }
    if let Some(choice) = &prompt.tool_choice {
        write_choice(ink.key("tool_choice"), choice, &prompt.tools);
    }
    ink.flag_if("parallel_tool_calls", prompt.parallel_tools);
}

fn write_tool(ink: &mut Vec<u8>, tool: &Tool) {
    match tool {
        Tool::Function { name, description, parameters, strict, cache } => {
            ink.of_type("function").key("function").open(b'{').text_field("name", name);
            ink.text_if("description", description.as_deref());
            ink.raw_if("parameters", parameters.as_ref());
            ink.flag_if("strict", *strict);
            ink.close(b'}').raw_if("cache_control", cache.as_ref());
            ink.close(b'}');
        }
        Tool::Custom { name, description, format } => {
            ink.of_type("custom").key("custom").open(b'{').text_field("name", name);
            ink.text_if("description", description.as_deref());
            ink.raw_if("format", format.as_ref());
            ink.close(b'}').close(b'}');
        }
        Tool::Other(json) => {
            ink.raw(json.get());
        }
    }
}

fn write_choice(ink: &mut Vec<u8>, choice: &ToolChoice, tools: &[Tool]) {
    match choice {
        ToolChoice::Auto => ink.text("auto"),
        ToolChoice::None => ink.text("none"),
        ToolChoice::Required => ink.text("required"),
        ToolChoice::Named(name) => write_named(ink, name, tools),
        ToolChoice::Among { names, required } => {
            let mode = if *required { "required" } else { "auto" };
            ink.of_type("allowed_tools").key("allowed_tools").open(b'{');
            ink.text_field("mode", mode).key("tools").open(b'[');
            for name in names {
                write_named(ink, name, tools);
            }
            ink.close(b']').close(b'}').close(b'}')
        }
    };
}

fn write_named<'a>(ink: &'a mut Vec<u8>, name: &str, tools: &[Tool]) -> &'a mut Vec<u8> {
    let kind = type_of(name, tools);
    ink.of_type(kind).key(kind).open(b'{').text_field("name", name).close(b'}').close(b'}')
}
