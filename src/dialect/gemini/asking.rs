//! Writes a request. Losses: `logit_bias`, `verbosity`, `parallel_tool_calls: false`, stop sequences beyond the fifth,
//! names of participants, custom tools and tools that other vendors run, files kept at other vendors, URLs whose media
//! type nobody can tell, pictures' `detail`, sampling that the model refuses, reasoning where it cannot, and fields
//! that are no dialect's. A wish for no reasoning becomes the lowest level where a model thinks by levels: these
//! cannot be told not to think. What a tool may be (`strict`) is kept to for all tools as soon as one wants it.

use super::generation;
use super::toolbox;
use super::turns::{self, Turns};
use crate::api::ink::Ink;
use crate::dialect::loss::{HINTS, Losses};
use crate::dialect::prompt::{Message, Part, Prompt, Role};
use crate::dialect::terms::Terms;
use crate::error::Error;

/// Fields beside the conversation that only Google knows, carried as they came.
pub(super) const TOP_FIELDS: &[&str] = &["safetySettings", "cachedContent", "labels"];

pub(super) fn body(prompt: &Prompt, terms: &Terms, losses: &mut Losses) -> Result<Vec<u8>, Error> {
    let mut out = String::new();
    out.open(b'{');
    let is_all_system = prompt.messages.iter().all(is_systems);
    if !is_all_system {
        system(prompt, losses, &mut out);
    }
    contents(prompt, terms, is_all_system, losses, &mut out)?;
    toolbox::write(prompt, losses, &mut out);
    generation::write(prompt, terms, losses, &mut out);
    extra(prompt, losses, &mut out);
    if let Some(tier @ ("flex" | "priority")) = prompt.service_tier.as_deref() {
        out.text_field("serviceTier", tier);
    }
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
            Part::Text { text, .. } | Part::Refusal(text) => {
                parts.open(b'{');
                parts.text_field("text", text);
                parts.close(b'}');
            }
            Part::Media(it) => turns::media(it, None, losses, &mut parts),
            _ => losses.add("messages[].content"),
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
        losses.add_if(message.name.is_some(), "messages[].name");
        turns.add(message, losses, out)?;
    }
    turns.end(out);
    out.close(b']');
    Ok(())
}

fn extra(prompt: &Prompt, losses: &mut Losses, out: &mut String) {
    for (name, value) in &prompt.extra {
        if let Some(known) = super::names::known(name, TOP_FIELDS) {
            out.raw_field(known, value.get());
        } else if !generation::takes(name) && !HINTS.contains(&name.as_str()) {
            losses.add(name.clone());
        }
    }
    let details = prompt.messages.iter().flat_map(|it| &it.parts).any(|it| match it {
        Part::Media(media) => matches!(media.detail.as_deref(), Some("low" | "high")),
        _ => false,
    });
    losses.add_if(details, "messages[].content[].image_url.detail");
}
