//! Writes a request to a vendor that serves a model on `/responses`. Nothing is kept there (`store: false`): what its model
//! wants back of its reasoning travels sealed.

use super::items_out::write_items;
use super::tools::{write_choice, write_tools};
use crate::api::ink::Ink;
use crate::dialect::Dialect;
use crate::dialect::json::Json;
use crate::dialect::loss::{Losses, is_harmless};
use crate::dialect::prompt::{Effort, Format, Part, Prompt, Reasoning};
use crate::dialect::terms::{Terms, Thinking};

/// The name of a schema that has none: one must be stated.
const SCHEMA_NAME_USUAL: &str = "response";

/// Fewest tokens of an answer that OpenAI and Azure take here; chat completions take fewer, as who tries a model out asks
/// for.
const OUTPUT_MAX_LEAST: u64 = 16;

/// Chat's fields that mean the same here though no dialect shares them.
const PASSED_ON: [&str; 6] = [
    "safety_identifier",
    "prompt_cache_retention",
    "prompt_cache_options",
    "moderation",
    "max_tool_calls",
    "truncation",
];

/// What has no words here at all.
const UNSAID: [&str; 8] =
    ["top_k", "frequency_penalty", "presence_penalty", "stop", "seed", "n", "logit_bias", "messages[].name"];

pub fn write_prompt(prompt: &Prompt, terms: &Terms, losses: &mut Losses) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 10);
    let object = out.open(b'{');
    object.text_field("model", &terms.model);
    write_items(prompt, object, losses);
    write_all_tools(prompt, object, losses);
    object.number_if("max_output_tokens", prompt.output_max.map(|it| it.max(OUTPUT_MAX_LEAST)));
    write_sampling(prompt, terms, object, losses);
    write_text(prompt, terms, object, losses);
    write_reasoning(prompt, terms, object, losses);
    object.text_if("user", prompt.user.as_deref());
    object.raw_if("metadata", prompt.metadata.as_ref().map(Json::get));
    object.text_if("service_tier", prompt.service_tier.as_deref());
    object.text_if("prompt_cache_key", prompt.cache_key.as_deref());
    object.flag_field("store", false);
    if prompt.stream {
        object.flag_field("stream", true);
    }
    write_extra(prompt, object, losses);
    object.close(b'}');
    losses.add_asked(prompt, &UNSAID);
    out
}

fn write_all_tools(prompt: &Prompt, object: &mut Vec<u8>, losses: &mut Losses) {
    if !prompt.tools.is_empty() {
        let list = object.key("tools").open(b'[');
        write_tools(&prompt.tools, list, losses);
        list.close(b']');
    }
    if let Some(choice) = &prompt.tool_choice {
        write_choice(choice, &prompt.tools, object);
    }
    if let Some(parallel) = prompt.parallel_tools {
        object.flag_field("parallel_tool_calls", parallel);
    }
}

fn write_sampling(prompt: &Prompt, terms: &Terms, object: &mut Vec<u8>, losses: &mut Losses) {
    for (name, value) in [("temperature", &prompt.temperature), ("top_p", &prompt.top_p)] {
        match value {
            Some(value) if terms.fixed_sampling => losses.add_if(!is_harmless(name, value.get()), name),
            value => _ = object.raw_if(name, value.as_ref().map(Json::get)),
        }
    }
    if let Some(most) = prompt.top_logprobs.filter(|_| prompt.logprobs == Some(true)) {
        object.number_field("top_logprobs", most);
    }
}

fn write_text(prompt: &Prompt, terms: &Terms, object: &mut Vec<u8>, losses: &mut Losses) {
    if prompt.format.is_none() && prompt.verbosity.is_none() {
        return;
    }
    let text = object.key("text").open(b'{');
    match &prompt.format {
        Some(Format::Text) => kind(text, "text"),
        Some(Format::JsonObject) => kind(text, "json_object"),
        Some(Format::Schema { .. }) if terms.json_schema == Some(false) => {
            losses.add("response_format");
            kind(text, "json_object");
        }
        Some(Format::Schema { name, description, schema, strict }) => {
            let format = text.key("format").of_type("json_schema");
            format.text_field("name", name.as_deref().unwrap_or(SCHEMA_NAME_USUAL));
            format.text_if("description", description.as_deref());
            format.raw_field("schema", schema.get());
            strict.iter().for_each(|it| _ = format.flag_field("strict", *it));
            format.close(b'}');
        }
        None => {}
    }
    text.text_if("verbosity", prompt.verbosity.as_deref());
    text.close(b'}');
}

fn kind(text: &mut Vec<u8>, kind: &str) {
    let format = text.key("format").of_type(kind);
    format.close(b'}');
}

fn write_reasoning(prompt: &Prompt, terms: &Terms, object: &mut Vec<u8>, losses: &mut Losses) {
    let never = terms.thinking == Thinking::Never;
    losses.add_if(
        never && prompt.reasoning.as_ref().is_some_and(|it| it.on != Some(false)),
        "reasoning_effort",
    );
    let wish = prompt.reasoning.as_ref().filter(|_| !never);
    if let Some(wish) = wish {
        let summary = wish.summary.as_deref().filter(|it| *it != "none");
        let effort = effort(wish);
        if effort.is_some() || summary.is_some() {
            let reasoning = object.key("reasoning").open(b'{');
            reasoning.text_if("effort", effort);
            reasoning.text_if("summary", summary);
            reasoning.close(b'}');
        }
    }
    let thinks = wish.map_or(terms.thinks_unasked, |it| it.on != Some(false));
    let thinks = thinks || (!never && has_seals(prompt));
    let included = [
        (thinks, "\"reasoning.encrypted_content\""),
        (prompt.logprobs == Some(true), "\"message.output_text.logprobs\""),
    ];
    if included.iter().any(|it| it.0) {
        let list = object.key("include").open(b'[');
        included.iter().filter(|it| it.0).for_each(|it| _ = list.raw(it.1));
        list.close(b']');
    }
}

/// A budget has no words here: it becomes the effort that fits it.
fn effort(wish: &Reasoning) -> Option<&'static str> {
    if wish.on == Some(false) {
        return Some("none");
    }
    wish.effort.or_else(|| wish.budget.map(Effort::of_budget)).map(Effort::as_str)
}

fn has_seals(prompt: &Prompt) -> bool {
    let seal = |it: &Part| matches!(it, Part::Thought(it) if it.seal.as_ref().is_some_and(|it| it.dialect == Dialect::Responses));
    prompt.messages.iter().any(|it| it.parts.iter().any(seal))
}

fn write_extra(prompt: &Prompt, object: &mut Vec<u8>, losses: &mut Losses) {
    for (name, value) in &prompt.extra {
        match name.as_str() {
            it if PASSED_ON.contains(&it) => _ = object.raw_field(it, value.get()),
            it => losses.add_field(it, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_have_as_many_tokens_as_openai_wants() {
        for (asked, told) in [(0, 16), (1, 16), (16, 16), (17, 17)] {
            let prompt = Prompt { output_max: Some(asked), ..Prompt::default() };
            let body = write_prompt(&prompt, &Terms::default(), &mut Losses::default());
            let told = format!(r#""max_output_tokens":{told},"#);
            assert!(String::from_utf8(body).unwrap().contains(&told), "{asked}");
        }
    }
}
