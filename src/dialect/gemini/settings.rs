//! Reads what a client's request says besides its conversation: tools, their choice, and `generationConfig`.

use super::reading::wrong;
use super::{generation, names, schema, thinking};
use crate::api::fields::{self, Fields};
use crate::dialect::json::Json;
use crate::dialect::prompt::{Format, Prompt, Tool, ToolChoice};
use crate::dialect::read;
use crate::error::Error;

pub(super) fn tools(body: &Fields<'_>, prompt: &mut Prompt) -> Result<(), Error> {
    let json = names::value(body, "tools").unwrap_or("[]");
    for tool in objects(json, "tools", "must be a list of tools, each an object")? {
        for (name, value) in tool.each().filter(|(_, value)| *value != "null") {
            if names::is(name, "functionDeclarations") {
                let param = "tools[].functionDeclarations";
                for declared in objects(value, param, "must be a list of objects")? {
                    prompt.tools.push(function(&declared, param)?);
                }
            } else {
                prompt.tools.extend(Json::parse(&fields::object([(name, value)])).map(Tool::Other));
            }
        }
    }
    Ok(())
}

fn function(declared: &Fields<'_>, param: &str) -> Result<Tool, Error> {
    let name = names::text(declared, "name");
    let name = name.ok_or_else(|| wrong(&format!("{param}[].name"), "is missing; name the function"))?;
    let parameters = match names::value(declared, "parametersJsonSchema") {
        Some(schema) => Some(Json::part(schema)),
        None => names::value(declared, "parameters").and_then(schema::to_json_schema),
    };
    Ok(Tool::Function {
        name: name.into_owned(),
        description: names::text(declared, "description").map(|it| it.into_owned()),
        parameters,
        strict: None,
        cache: None,
    })
}

pub(super) fn tool_choice(body: &Fields<'_>, prompt: &mut Prompt) -> Result<(), Error> {
    let config = names::object(body, "toolConfig").and_then(|it| names::object(&it, "functionCallingConfig"));
    let Some(config) = config else { return Ok(()) };
    let mode = names::text(&config, "mode").unwrap_or_default().to_ascii_uppercase();
    let listed = names::list(&config, "allowedFunctionNames").into_iter().filter_map(fields::text);
    let mut names: Vec<String> = listed.map(|it| it.into_owned()).collect();
    prompt.tool_choice = match mode.as_str() {
        "" | "MODE_UNSPECIFIED" => None,
        "AUTO" => Some(ToolChoice::Auto),
        "NONE" => Some(ToolChoice::None),
        "ANY" if names.is_empty() => Some(ToolChoice::Required),
        "ANY" if names.len() == 1 => names.pop().map(ToolChoice::Named),
        "ANY" => Some(ToolChoice::Among { names, required: true }),
        "VALIDATED" if names.is_empty() => Some(ToolChoice::Auto),
        "VALIDATED" => Some(ToolChoice::Among { names, required: false }),
        _ => {
            let param = "toolConfig.functionCallingConfig.mode";
            return Err(wrong(param, "must be one of AUTO, ANY, NONE, VALIDATED"));
        }
    };
    Ok(())
}

pub(super) fn generation(body: &Fields<'_>, prompt: &mut Prompt) -> Result<(), Error> {
    let Some(json) = names::value(body, "generationConfig") else { return Ok(()) };
    let config = Fields::read(json).ok_or_else(|| wrong("generationConfig", "must be an object"))?;
    for (name, value) in config.each().filter(|(_, value)| *value != "null") {
        set(name, value, prompt)?;
    }
    prompt.format = format(&config);
    Ok(())
}

/// Fields of `generationConfig` that are read here.
const READ: &[&str] = &[
    "temperature",
    "topP",
    "topK",
    "frequencyPenalty",
    "presencePenalty",
    "seed",
    "maxOutputTokens",
    "candidateCount",
    "stopSequences",
    "responseLogprobs",
    "logprobs",
    "thinkingConfig",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "_responseJsonSchema",
];

fn set(name: &str, value: &str, prompt: &mut Prompt) -> Result<(), Error> {
    let param = || format!("generationConfig.{name}");
    let json = || read::number(&param(), value).map(Some);
    let whole = || names::number(value).map_or_else(|| read::count(&param(), value), Ok).map(Some);
    match names::known(name, READ) {
        Some("temperature") => prompt.temperature = json()?,
        Some("topP") => prompt.top_p = json()?,
        Some("topK") => prompt.top_k = json()?,
        Some("frequencyPenalty") => prompt.frequency_penalty = json()?,
        Some("presencePenalty") => prompt.presence_penalty = json()?,
        Some("seed") => prompt.seed = json()?,
        Some("maxOutputTokens") => prompt.output_max = whole()?,
        Some("candidateCount") => prompt.n = whole()?.filter(|it| *it != 1),
        Some("logprobs") => prompt.top_logprobs = whole()?,
        Some("responseLogprobs") => prompt.logprobs = (value == "true").then_some(true),
        Some("stopSequences") => {
            let texts = fields::elements(value).unwrap_or_default();
            prompt.stop =
                texts.iter().filter_map(|it| fields::text(it.get())).map(|it| it.into_owned()).collect();
        }
        Some("thinkingConfig") => {
            prompt.reasoning = Fields::read(value).and_then(|it| thinking::read(&it));
        }
        Some(_) => {}
        None => carry(name, generation::OWN_FIELDS, value, prompt),
    }
    Ok(())
}

fn format(config: &Fields<'_>) -> Option<Format> {
    let schema = names::value(config, "responseJsonSchema")
        .or_else(|| names::value(config, "_responseJsonSchema"))
        .and_then(Json::parse)
        .or_else(|| names::value(config, "responseSchema").and_then(schema::to_json_schema));
    match schema {
        Some(schema) => Some(Format::Schema { name: None, description: None, schema, strict: None }),
        None => {
            (names::text(config, "responseMimeType")? == "application/json").then_some(Format::JsonObject)
        }
    }
}

/// Carries a field that no dialect shares along, by Google's name where it is one of `own`.
pub(super) fn carry(name: &str, own: &[&'static str], value: &str, prompt: &mut Prompt) {
    let name = names::known(name, own).unwrap_or(name);
    prompt.extra.extend(Json::parse(value).map(|it| (name.to_owned(), it)));
}

/// The objects of a list.
pub(super) fn objects<'a>(json: &'a str, param: &str, message: &str) -> Result<Vec<Fields<'a>>, Error> {
    let list = fields::elements(json).unwrap_or_default();
    let objects: Vec<Fields<'a>> = list.iter().filter_map(|it| Fields::read(it.get())).collect();
    match objects.len() == list.len() && json.starts_with('[') {
        true => Ok(objects),
        false => Err(wrong(param, message)),
    }
}
