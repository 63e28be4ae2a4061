//! Writes a request to a vendor of this dialect: all but its messages, which [`turns`] writes.

use super::thinking::Plan;
use super::{tools, turns};
use crate::api::ink::Ink;
use crate::dialect::functions::described;
use crate::dialect::json::Json;
use crate::dialect::loss::Losses;
use crate::dialect::prompt::{Format, Prompt};
use crate::dialect::terms::Terms;
use crate::error::Error;

/// Fields of the API that no other dialect shares; it refuses requests with any it does not know.
const OWN_FIELDS: [&str; 4] = ["container", "context_management", "mcp_servers", "inference_geo"];

/// What the API has no field for.
const UNSAID: [&str; 9] = [
    "n",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "verbosity",
    "messages[].name",
];

/// Lowest `top_p` that goes together with thinking.
const TOP_P_MIN: f64 = 0.95;

pub(super) fn write(prompt: &Prompt, terms: &Terms, losses: &mut Losses) -> Result<Vec<u8>, Error> {
    let plan = Plan::of(prompt, terms, losses);
    let mut body = Vec::with_capacity(4_096);
    let out = &mut body;
    out.open(b'{').text_field("model", &terms.model).number_field("max_tokens", plan.output_max);
    if prompt.stream {
        out.raw_field("stream", "true");
    }
    turns::write(out, prompt, losses)?;
    tools::write(out, prompt, terms, losses);
    plan.write(out);
    write_output(out, prompt, &plan, terms, losses);
    write_sampling(out, prompt, plan.thinks(), terms, losses);
    write_rest(out, prompt, losses);
    out.close(b'}');
    losses.add_asked(prompt, &UNSAID);
    Ok(body)
}

fn write_output(out: &mut Vec<u8>, prompt: &Prompt, plan: &Plan, terms: &Terms, losses: &mut Losses) {
    let schema = match &prompt.format {
        Some(Format::Schema { schema, description, .. }) if terms.json_schema != Some(false) => {
            Some(described(schema, description.as_deref()))
        }
        None | Some(Format::Text) => None,
        Some(_) => {
            losses.add("response_format");
            None
        }
    };
    let effort = plan.effort;
    if schema.is_none() && effort.is_none() {
        return;
    }
    out.key("output_config").open(b'{');
    if let Some(effort) = effort {
        out.text_field("effort", effort);
    }
    if let Some(schema) = schema {
        out.key("format").of_type("json_schema").raw_field("schema", &schema).close(b'}');
    }
    out.close(b'}');
}

/// A model that thinks, or whose sampling is fixed, takes none of its own; what says the usual is no loss then.
fn write_sampling(out: &mut Vec<u8>, prompt: &Prompt, thinks: bool, terms: &Terms, losses: &mut Losses) {
    let temperature = prompt.temperature.as_ref().filter(|it| it.as_f64().is_some());
    let top_p = prompt.top_p.as_ref().filter(|it| !is(it, 1.0));
    if thinks || terms.fixed_sampling {
        losses.add_if(temperature.is_some_and(|it| !is(it, 1.0)), "temperature");
        losses.add_if(prompt.top_k.is_some(), "top_k");
        match top_p.filter(|it| !terms.fixed_sampling && it.as_f64() >= Some(TOP_P_MIN)) {
            Some(top_p) => _ = out.raw_field("top_p", top_p.get()),
            None => losses.add_if(top_p.is_some(), "top_p"),
        }
        return;
    }
    if let Some(temperature) = temperature {
        let too_hot = temperature.as_f64() > Some(1.0);
        losses.add_if(too_hot, "temperature");
        out.raw_field("temperature", if too_hot { "1" } else { temperature.get() });
        // The API refuses the two together.
        losses.add_if(top_p.is_some(), "top_p");
    } else {
        out.raw_if("top_p", top_p);
    }
    out.raw_if("top_k", prompt.top_k.as_ref());
}

fn is(json: &Json, number: f64) -> bool {
    json.as_f64() == Some(number)
}

fn write_rest(out: &mut Vec<u8>, prompt: &Prompt, losses: &mut Losses) {
    let (stops, blank): (Vec<&String>, Vec<&String>) =
        prompt.stop.iter().partition(|it| !it.trim().is_empty());
    losses.add_if(!blank.is_empty(), "stop");
    if !stops.is_empty() {
        out.key("stop_sequences").open(b'[');
        stops.iter().for_each(|it| _ = out.text(it));
        out.close(b']');
    }
    if let Some(user) = &prompt.user {
        out.key("metadata").open(b'{').text_field("user_id", user).close(b'}');
    }
    match prompt.service_tier.as_deref() {
        Some("auto" | "priority") => _ = out.text_field("service_tier", "auto"),
        Some("default") => _ = out.text_field("service_tier", "standard_only"),
        other => losses.add_if(other.is_some(), "service_tier"),
    }
    out.raw_if("cache_control", prompt.cache.as_ref());
    for (name, value) in &prompt.extra {
        match OWN_FIELDS.contains(&name.as_str()) {
            true => _ = out.raw_field(name, value.get()),
            false => losses.add_field(name, value),
        }
    }
}
