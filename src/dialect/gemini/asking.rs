//! Writes a request. Losses: `logit_bias`, `verbosity`, `parallel_tool_calls: false`, stop sequences beyond the fifth,
//! names of participants, grammars of custom tools, tools that other vendors run, files kept at other vendors, URLs
//! whose media type nobody can tell, pictures' `detail`, what is said of citing documents, tiers that Google has not,
//! sampling that the model refuses, reasoning where it cannot, and fields that are no dialect's. A wish for no reasoning
//! becomes the lowest level where a model thinks by levels: these cannot be told not to think. What a tool may be
//! (`strict`) is kept to for all tools as soon as one wants it.

use super::generation;
use super::toolbox;
use super::turns::{self, Turns};
use crate::api::ink::Ink;
use crate::dialect::loss::{Losses, name_of};
use crate::dialect::prompt::{Message, Part, Prompt, Role};
use crate::dialect::says_nothing;
use crate::dialect::terms::Terms;
use crate::error::Error;

/// Fields beside the conversation that only Google knows, carried as they came.
pub(super) const TOP_FIELDS: &[&str] = &["safetySettings", "cachedContent", "labels"];

pub(super) fn body(prompt: &Prompt, terms: &Terms, losses: &mut Losses) -> Result<Vec<u8>, Error> {
    let mut out = String::new();
    out.open(b'{');
    let is_all_system =
        prompt.messages.iter().all(|it| is_systems(it) || it.parts.iter().all(turns::is_silent));
    if !is_all_system {
        system(prompt, losses, &mut out);
    }
    contents(prompt, terms, is_all_system, losses, &mut out)?;
    toolbox::write(prompt, losses, &mut out);
    generation::write(prompt, terms, losses, &mut out);
    extra(prompt, losses, &mut out);
    match prompt.service_tier.as_deref() {
        Some(tier @ ("flex" | "priority")) if terms.service_tiers => _ = out.text_field("serviceTier", tier),
        _ => losses.add_asked(prompt, &["service_tier"]),
    }
    losses.add_asked(prompt, &["logit_bias", "verbosity", "messages[].name"]);
    out.close(b'}');
    Ok(out.into_bytes())
}

fn is_systems(message: &Message) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

/// All of the system's messages, wherever they stand: Gemini knows but one instruction.
fn system(prompt: &Prompt, losses: &mut Losses, out: &mut String) {
    let mut parts = String::new();
    for part in prompt.messages.iter().filter(|it| is_systems(it)).flat_map(|it| &it.parts) {
        match part {
            Part::Text { text, .. } | Part::Refusal(text) if text.is_empty() => {}
            Part::Text { text, .. } | Part::Refusal(text) => {
                parts.open(b'{');
                parts.text_field("text", text);
                parts.close(b'}');
            }
            Part::Media(it) => turns::media(it, None, losses, &mut parts),
            part => losses.add(name_of(part)),
        }
    }
    if !parts.is_empty() {
        out.key("systemInstruction").open(b'{');
        out.raw_field("parts", &format!("[{}]", parts));
        out.close(b'}');
    }
}

/// Neighbours of one role are one content. A prompt of nothing but the system's is asked as the user's, for without
/// contents Gemini answers nothing.
fn contents(
    prompt: &Prompt,
    terms: &Terms,
    is_all_system: bool,
    losses: &mut Losses,
    out: &mut String,
) -> Result<(), Error> {
    let mut turns = Turns::new(prompt, terms);
    out.key("contents").open(b'[');
    for message in prompt.messages.iter().filter(|it| is_all_system || !is_systems(it)) {
        turns.add(message, losses, out)?;
    }
    turns.end(out);
    if out.ends_with('[') {
        return Err(says_nothing());
    }
    out.close(b']');
    Ok(())
}

fn extra(prompt: &Prompt, losses: &mut Losses, out: &mut String) {
    for (name, value) in &prompt.extra {
        if let Some(known) = super::names::known(name, TOP_FIELDS) {
            out.raw_field(known, value.get());
        } else if !generation::takes(name) {
            losses.add_field(name, value);
        }
    }
}
