//! Reads a client's request. Where an answer is kept, and what it follows (`previous_response_id`, `conversation`), is
//! not its business: whoever keeps answers puts the items before it into `input`.

use super::items::read_items;
use super::tools::{read_choice, read_tools};
use crate::api::fields::{Fields, elements, text};
use crate::api::surrogates;
use crate::dialect::json::Json;
use crate::dialect::prompt::{Effort, Format, Message, Part, Prompt, Reasoning, Role};
use crate::dialect::read::{count, flag, number, refused, text as string};
use crate::error::Error;

/// Fields that mean nothing to a vendor: of the store, or hints that may be ignored.
const NOT_PASSED_ON: [&str; 8] = [
    "previous_response_id",
    "conversation",
    "store",
    "background",
    "prompt_cache_retention",
    "prompt_cache_options",
    "stream_options",
    "client_metadata",
];

pub fn read_prompt(body: &[u8]) -> Result<Prompt, Error> {
    let fields = Fields::of_bytes(body);
    let fields = fields.ok_or_else(|| Error::bad_request("The body must be a JSON object in UTF-8."))?;
    let mut prompt = Prompt::default();
    let mut messages = Vec::new();
    for (name, value) in fields.each().filter(|(_, value)| *value != "null") {
        match name {
            "input" => messages = read_input(value)?,
            name => read_field(&mut prompt, name, value)?,
        }
    }
    if fields.value("model").is_none() {
        return Err(refused("model", "the name of a model"));
    }
    if fields.value("input").is_none() {
        return Err(refused("input", "a string or a list of items"));
    }
    // The instructions came first, wherever they stand in the body.
    prompt.messages.extend(messages);
    if prompt.user.is_none() {
        prompt.user = fields.text("safety_identifier").map(|it| it.into_owned());
    }
    // Streams of this dialect always end with their usage.
    prompt.tells_usage = prompt.stream;
    Ok(prompt)
}

fn read_input(value: &str) -> Result<Vec<Message>, Error> {
    if let Some(words) = surrogates::text(value) {
        return Ok(vec![said(Role::User, &words)]);
    }
    let items = elements(value).ok_or_else(|| refused("input", "a string or a list of items"))?;
    if items.is_empty() {
        return Err(refused("input", "a string or a list of items that says something"));
    }
    read_items(&items)
}

fn said(role: Role, words: &str) -> Message {
    Message { role, parts: vec![Part::text(words)], name: None }
}

fn read_field(prompt: &mut Prompt, name: &str, value: &str) -> Result<(), Error> {
    match name {
        "model" => prompt.model = string(name, value)?.into_owned(),
        "stream" => prompt.stream = flag(name, value)?,
        "instructions" => prompt.messages.push(said(Role::System, &string(name, value)?)),
        "tools" => prompt.tools = read_tools(value)?,
        "tool_choice" => prompt.tool_choice = Some(read_choice(value)?),
        "parallel_tool_calls" => prompt.parallel_tools = Some(flag(name, value)?),
        "max_output_tokens" => prompt.output_max = Some(count(name, value)?),
        "temperature" => prompt.temperature = Some(number(name, value)?),
        "top_p" => prompt.top_p = Some(number(name, value)?),
        "text" => read_text(prompt, value)?,
        "reasoning" => prompt.reasoning = Some(read_reasoning(value)?),
        "top_logprobs" => {
            let most = count(name, value)?;
            prompt.top_logprobs = Some(most);
            // Chat completions tell none of them unless they are asked to.
            prompt.logprobs = prompt.logprobs.or((most > 0).then_some(true));
        }
        "include" => read_include(prompt, value),
        "user" => prompt.user = Some(string(name, value)?.into_owned()),
        "safety_identifier" => _ = string(name, value)?,
        "metadata" => prompt.metadata = Json::parse(value),
        "service_tier" => prompt.service_tier = Some(string(name, value)?.into_owned()),
        "prompt_cache_key" => prompt.cache_key = Some(string(name, value)?.into_owned()),
        "truncation" if text(value).as_deref() == Some("disabled") => {}
        name if NOT_PASSED_ON.contains(&name) => {}
        name => prompt.extra.extend(Json::parse(value).map(|it| (name.to_owned(), it))),
    }
    Ok(())
}

/// Of what may be included besides, only the probabilities are told by others too. Seals always are.
fn read_include(prompt: &mut Prompt, value: &str) {
    let wanted = elements(value).unwrap_or_default();
    if wanted.iter().any(|it| text(it.get()).as_deref() == Some("message.output_text.logprobs")) {
        prompt.logprobs = Some(true);
    }
}

fn read_text(prompt: &mut Prompt, value: &str) -> Result<(), Error> {
    let fields = Fields::read(value).ok_or_else(|| refused("text", "an object"))?;
    prompt.verbosity = fields.text("verbosity").map(|it| it.into_owned());
    prompt.format = fields.value("format").map(read_format).transpose()?;
    Ok(())
}

fn read_format(value: &str) -> Result<Format, Error> {
    let fields = Fields::read(value).ok_or_else(|| refused("text.format", "an object"))?;
    let own = |name: &str| fields.text(name).map(|it| it.into_owned());
    match fields.text("type").as_deref() {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::JsonObject),
        Some("json_schema") => {
            let schema = fields.value("schema").filter(|it| it.starts_with('{')).and_then(Json::parse);
            Ok(Format::Schema {
                name: own("name"),
                description: own("description"),
                schema: schema.ok_or_else(|| refused("text.format.schema", "a JSON schema"))?,
                strict: fields.value("strict").map(|it| it == "true"),
            })
        }
        _ => Err(refused("text.format.type", "`text`, `json_object` or `json_schema`")),
    }
}

fn read_reasoning(value: &str) -> Result<Reasoning, Error> {
    let fields = Fields::read(value).ok_or_else(|| refused("reasoning", "an object"))?;
    let summary = fields.text("summary").or_else(|| fields.text("generate_summary"));
    let mut reasoning = Reasoning { summary: summary.map(|it| it.into_owned()), ..Reasoning::default() };
    match fields.text("effort").as_deref() {
        None if fields.value("effort").is_none() => {}
        Some("none") => reasoning.on = Some(false),
        word => {
            let wanted = "`none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`";
            let effort = word.and_then(Effort::named).ok_or_else(|| refused("reasoning.effort", wanted))?;
            reasoning.effort = Some(effort);
        }
    }
    Ok(reasoning)
}
