//! How chat says whether and how much a model is to think: OpenAI's `reasoning_effort`, OpenRouter's `reasoning`, and
//! what other vendors of chat have instead. All are read; the first is written, or the second where it says more.

use crate::api::ink::Ink;
use crate::dialect::prompt::{Effort, Prompt, Reasoning};
use crate::dialect::read::{self, flag_of, refused, text_of};
use crate::error::Error;

/// Reads a field of the request; false where it is none of these.
pub fn read_field(prompt: &mut Prompt, name: &str, json: &str) -> Result<bool, Error> {
    if !matches!(name, "reasoning_effort" | "reasoning" | "thinking" | "enable_thinking" | "thinking_budget")
    {
        return Ok(false);
    }
    let mut reasoning = prompt.reasoning.take().unwrap_or_default();
    match name {
        "reasoning_effort" => read_effort(&mut reasoning, name, &read::text(name, json)?)?,
        "reasoning" => read_object(&mut reasoning, json)?,
        "thinking" => {
            let fields = read::object(name, json)?;
            reasoning.on = match text_of(&fields, "type").as_deref() {
                Some("disabled") => Some(false),
                Some("enabled" | "adaptive") => Some(true),
                _ => reasoning.on,
            };
            reasoning.budget = budget(&fields, "budget_tokens", "thinking")?.or(reasoning.budget);
        }
        "enable_thinking" => reasoning.on = Some(read::flag(name, json)?),
        _ => reasoning.budget = Some(read::count(name, json)?),
    }
    prompt.reasoning = Some(reasoning);
    Ok(true)
}

fn budget(fields: &crate::api::fields::Fields, name: &str, within: &str) -> Result<Option<u64>, Error> {
    fields.value(name).map(|it| read::count(&format!("{within}.{name}"), it)).transpose()
}

fn read_object(reasoning: &mut Reasoning, json: &str) -> Result<(), Error> {
    let fields = read::object("reasoning", json)?;
    if let Some(effort) = text_of(&fields, "effort") {
        read_effort(reasoning, "reasoning.effort", &effort)?;
    }
    reasoning.budget = budget(&fields, "max_tokens", "reasoning")?.or(reasoning.budget);
    reasoning.on = flag_of(&fields, "enabled").or(reasoning.on);
    let hidden = flag_of(&fields, "exclude").filter(|it| *it).map(|_| NOT_SHOWN.to_owned());
    reasoning.summary = text_of(&fields, "summary").or(hidden).or(reasoning.summary.take());
    Ok(())
}

/// The summary that is none.
const NOT_SHOWN: &str = "none";

fn read_effort(reasoning: &mut Reasoning, param: &str, name: &str) -> Result<(), Error> {
    match name {
        "none" => reasoning.on = Some(false),
        // Groq's word, and that of some clients, for saying nothing.
        "default" | "auto" => {}
        _ => {
            let wanted = || refused(param, "one of none, minimal, low, medium, high, xhigh and max");
            reasoning.effort = Some(Effort::named(name).ok_or_else(wanted)?);
        }
    }
    Ok(())
}

pub fn write(ink: &mut Vec<u8>, reasoning: &Reasoning) {
    match reasoning {
        Reasoning { on: None, effort: None, budget: None, summary: None } => {}
        Reasoning { on: None, effort: Some(effort), budget: None, summary: None } => {
            ink.text_field("reasoning_effort", effort.as_str());
        }
        Reasoning { on: Some(false), effort: None, budget: None, summary: None } => {
            ink.text_field("reasoning_effort", "none");
        }
        Reasoning { on, effort, budget, summary } => {
            ink.key("reasoning").open(b'{');
            ink.flag_if("enabled", *on);
            ink.text_if("effort", effort.map(Effort::as_str));
            ink.number_if("max_tokens", *budget);
            match summary.as_deref() {
                Some(NOT_SHOWN) => ink.flag_if("exclude", Some(true)),
                summary => ink.text_if("summary", summary),
            };
            ink.close(b'}');
        }
    }
}
