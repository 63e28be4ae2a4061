//! A request of chat, read and written. Fields that are not known go along as they are.

use super::{messages, reasoning, tools};
use crate::api::fields::{Fields, elements};
use crate::api::ink::Ink;
use crate::api::surrogates;
use crate::dialect::Aside;
use crate::dialect::json::Json;
use crate::dialect::prompt::{Format, Prompt};
use crate::dialect::read::{self, flag_of, number, object_of, raw, raw_of, refused, text_of};
use crate::error::Error;

pub fn read(body: &[u8], aside: &Aside) -> Result<Prompt, Error> {
    let fields = fields_of(body)?;
    let mut prompt =
        Prompt { model: aside.model.clone().unwrap_or_default(), stream: aside.stream, ..Prompt::default() };
    for (name, json) in fields.each().filter(|(_, json)| *json != "null") {
        read_field(&mut prompt, name, json)?;
    }
    Ok(prompt)
}

/// The fields of a body.
pub fn fields_of(body: &[u8]) -> Result<Fields<'_>, Error> {
    let fields = Fields::of_bytes(body);
    fields.ok_or_else(|| {
        Error::bad_request("The request body is not a valid JSON object.").code("invalid_json")
    })
}

/// Reads one field, which is not null; one that is not known goes along.
pub fn read_field(prompt: &mut Prompt, name: &str, json: &str) -> Result<(), Error> {
    let known = read_call(prompt, name, json)?
        || read_sampling(prompt, name, json)?
        || read_label(prompt, name, json)?
        || tools::read_field(prompt, name, json)?
        || reasoning::read_field(prompt, name, json)?;
    if !known {
        prompt.extra.push((name.to_owned(), raw(json)));
    }
    Ok(())
}

fn read_call(prompt: &mut Prompt, name: &str, json: &str) -> Result<bool, Error> {
    match name {
        "model" => prompt.model = read::text(name, json)?.into_owned(),
        "stream" => prompt.stream = read::flag(name, json)?,
        "stream_options" => {
            prompt.tells_usage = flag_of(&read::object(name, json)?, "include_usage") == Some(true);
        }
        "messages" => {
            for (at, message) in read::list(name, json)?.into_iter().enumerate() {
                let message = messages::read(at, message.get(), &prompt.messages)?;
                prompt.messages.push(message);
            }
        }
        "max_completion_tokens" => prompt.output_max = Some(read::count(name, json)?),
        "max_tokens" => {
            let deprecated = read::count(name, json)?;
            prompt.output_max.get_or_insert(deprecated);
        }
        "n" => prompt.n = Some(read::count(name, json)?),
        "stop" => prompt.stop = stop(json)?,
        "response_format" => match format(json)? {
            Some(format) => prompt.format = Some(format),
            None => prompt.extra.push((name.to_owned(), raw(json))),
        },
        _ => return Ok(false),
    }
    Ok(true)
}

fn stop(json: &str) -> Result<Vec<String>, Error> {
    let bad = || refused("stop", "a string or a list of strings");
    if let Some(text) = surrogates::text(json) {
        return Ok(vec![text.into_owned()]);
    }
    let texts = elements(json).ok_or_else(bad)?;
    texts.iter().map(|it| surrogates::text(it.get()).map(|it| it.into_owned()).ok_or_else(bad)).collect()
}

/// None for a format that only a vendor of chat knows.
fn format(json: &str) -> Result<Option<Format>, Error> {
    let fields = read::object("response_format", json)?;
    Ok(match text_of(&fields, "type").as_deref() {
        Some("text") => Some(Format::Text),
        Some("json_object") => Some(Format::JsonObject),
        Some("json_schema") => {
            let inner = object_of(&fields, "json_schema");
            let inner = inner.ok_or_else(|| refused("response_format.json_schema", "an object"))?;
            Some(Format::Schema {
                name: text_of(&inner, "name"),
                description: text_of(&inner, "description"),
                schema: raw_of(&inner, "schema").unwrap_or_else(|| raw("{}")),
                strict: flag_of(&inner, "strict"),
            })
        }
        _ => None,
    })
}

fn read_sampling(prompt: &mut Prompt, name: &str, json: &str) -> Result<bool, Error> {
    match name {
        "temperature" => prompt.temperature = Some(number(name, json)?),
        "top_p" => prompt.top_p = Some(number(name, json)?),
        "top_k" => prompt.top_k = Some(number(name, json)?),
        "frequency_penalty" => prompt.frequency_penalty = Some(number(name, json)?),
        "presence_penalty" => prompt.presence_penalty = Some(number(name, json)?),
        // Mistral's name.
        "seed" | "random_seed" => prompt.seed = Some(number(name, json)?),
        "logprobs" => prompt.logprobs = Some(read::flag(name, json)?),
        "top_logprobs" => prompt.top_logprobs = Some(read::count(name, json)?),
        "logit_bias" => prompt.logit_bias = Some(object(name, json)?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn object(name: &str, json: &str) -> Result<Json, Error> {
    read::object(name, json).map(|_| raw(json))
}

fn read_label(prompt: &mut Prompt, name: &str, json: &str) -> Result<bool, Error> {
    let field = match name {
        "verbosity" => &mut prompt.verbosity,
        "user" => &mut prompt.user,
        "service_tier" => &mut prompt.service_tier,
        "prompt_cache_key" => &mut prompt.cache_key,
        "metadata" => {
            prompt.metadata = Some(object(name, json)?);
            return Ok(true);
        }
        "cache_control" => {
            prompt.cache = Some(object(name, json)?);
            return Ok(true);
        }
        _ => return Ok(false),
    };
    *field = Some(read::text(name, json)?.into_owned());
    Ok(true)
}

/// Writes the request to `model`.
pub fn write(prompt: &Prompt, model: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(1024);
    let ink = &mut body;
    ink.open(b'{').text_field("model", model).key("messages").open(b'[');
    prompt.messages.iter().for_each(|it| messages::write(ink, it));
    ink.close(b']');
    tools::write(ink, prompt);
    write_sampling(ink, prompt);
    write_format(ink, prompt.format.as_ref());
    if let Some(it) = &prompt.reasoning {
        reasoning::write(ink, it);
    }
    write_labels(ink, prompt);
    for (name, json) in &prompt.extra {
        ink.key_of(name).raw(json.get());
    }
    if prompt.stream {
        ink.flag_field("stream", true);
    }
    if prompt.tells_usage {
        ink.key("stream_options").open(b'{').flag_field("include_usage", true).close(b'}');
    }
    ink.close(b'}');
    body
}

fn write_sampling(ink: &mut Vec<u8>, prompt: &Prompt) {
    ink.number_if("max_completion_tokens", prompt.output_max);
    ink.raw_if("temperature", prompt.temperature.as_ref());
    ink.raw_if("top_p", prompt.top_p.as_ref());
    ink.raw_if("top_k", prompt.top_k.as_ref());
    ink.raw_if("frequency_penalty", prompt.frequency_penalty.as_ref());
    ink.raw_if("presence_penalty", prompt.presence_penalty.as_ref());
    if !prompt.stop.is_empty() {
        ink.key("stop").open(b'[');
        prompt.stop.iter().for_each(|it| {
            ink.text(it);
        });
        ink.close(b']');
    }
    ink.raw_if("seed", prompt.seed.as_ref());
    ink.number_if("n", prompt.n);
    ink.flag_if("logprobs", prompt.logprobs);
    ink.number_if("top_logprobs", prompt.top_logprobs);
    ink.raw_if("logit_bias", prompt.logit_bias.as_ref());
}

fn write_format(ink: &mut Vec<u8>, format: Option<&Format>) {
    let Some(format) = format else { return };
    ink.key("response_format").open(b'{').key("type");
    match format {
        Format::Text => {
            ink.text("text");
        }
        Format::JsonObject => {
            ink.text("json_object");
        }
        Format::Schema { name, description, schema, strict } => {
            ink.text("json_schema").key("json_schema").open(b'{');
            // Vendors of chat want a name.
            ink.text_field("name", name.as_deref().unwrap_or(NAME_UNKNOWN));
            ink.text_if("description", description.as_deref());
            ink.raw_field("schema", schema.get());
            ink.flag_if("strict", *strict);
            ink.close(b'}');
        }
    }
    ink.close(b'}');
}

/// Of a schema that nobody named.
const NAME_UNKNOWN: &str = "answer";

fn write_labels(ink: &mut Vec<u8>, prompt: &Prompt) {
    ink.text_if("verbosity", prompt.verbosity.as_deref());
    ink.text_if("user", prompt.user.as_deref());
    ink.raw_if("metadata", prompt.metadata.as_ref());
    ink.text_if("service_tier", prompt.service_tier.as_deref());
    ink.text_if("prompt_cache_key", prompt.cache_key.as_deref());
    ink.raw_if("cache_control", prompt.cache.as_ref());
}
