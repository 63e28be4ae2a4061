//! Usage in chat's shape, as `api::usage` reads it.

use crate::api::fields::Fields;
use crate::api::ink::Ink;
use crate::api::usage::{Usage, UsageBody};

/// Reads usage from wherever vendors put it: the top, a choice, or Groq's own field.
pub fn read(fields: &Fields, choices: &[Fields]) -> Option<Usage> {
    let in_choices = choices.iter().find_map(|it| it.value("usage"));
    let groq = || fields.value("x_groq").and_then(Fields::read)?.value("usage");
    let json = fields.value("usage").or(in_choices).or_else(groq)?;
    serde_json::from_str::<UsageBody>(json).ok()?.usage()
}

/// Writes the object. Details are written where they say something.
pub fn write(ink: &mut Vec<u8>, usage: &Usage) {
    ink.open(b'{').number_field("prompt_tokens", usage.input);
    ink.number_field("completion_tokens", usage.output);
    ink.number_field("total_tokens", usage.input.saturating_add(usage.output));
    let input = [
        ("cached_tokens", usage.cached_input),
        ("cache_write_tokens", usage.cache_write),
        ("audio_tokens", usage.audio_input),
    ];
    write_details(ink, "prompt_tokens_details", &input);
    let output = [("reasoning_tokens", usage.reasoning), ("audio_tokens", usage.audio_output)];
    write_details(ink, "completion_tokens_details", &output);
    if usage.cache_write_1h > 0 {
        let short = usage.cache_write.saturating_sub(usage.cache_write_1h);
        let times =
            [("ephemeral_5m_input_tokens", short), ("ephemeral_1h_input_tokens", usage.cache_write_1h)];
        write_details(ink, "cache_creation", &times);
    }
    if let Some(cost) = usage.stated_cost {
        ink.raw_field("cost", &cost.to_string());
    }
    ink.close(b'}');
}

fn write_details(ink: &mut Vec<u8>, name: &'static str, counts: &[(&'static str, u64)]) {
    if counts.iter().all(|(_, count)| *count == 0) {
        return;
    }
    ink.key(name).open(b'{');
    for (name, count) in counts.iter().filter(|(_, count)| *count > 0) {
        ink.number_field(name, *count);
    }
    ink.close(b'}');
}
