//! Log probabilities in the legacy shape: lists side by side, where chat has a list of objects.

use crate::api::fields::{Fields, elements};
use crate::api::ink::Ink;
use crate::dialect::json::Json;

/// Writes the field `logprobs`: null where nothing is known. `offset` is where the text begins in its answer, in
/// characters; it is moved behind it.
pub fn write(ink: &mut Vec<u8>, logprobs: Option<&Json>, offset: &mut usize) {
    ink.key("logprobs");
    let content = logprobs.and_then(|it| Fields::read(it.get())).and_then(|it| it.value("content"));
    let Some(tokens) = content.and_then(elements) else {
        ink.raw("null");
        return;
    };
    let tokens: Vec<Fields> = tokens.into_iter().filter_map(|it| Fields::read(it.get())).collect();
    ink.open(b'{');
    write_list(ink, "tokens", &tokens, |ink, it| {
        ink.raw(it.value("token").unwrap_or("\"\""));
    });
    write_list(ink, "token_logprobs", &tokens, |ink, it| {
        ink.raw(it.value("logprob").unwrap_or("null"));
    });
    write_list(ink, "top_logprobs", &tokens, write_top);
    write_list(ink, "text_offset", &tokens, |ink, it| {
        ink.number(*offset as u64);
        *offset += it.text("token").map_or(0, |it| it.chars().count());
    });
    ink.close(b'}');
}

fn write_list(
    ink: &mut Vec<u8>,
    name: &'static str,
    tokens: &[Fields],
    mut write: impl FnMut(&mut Vec<u8>, &Fields),
) {
    ink.key(name).open(b'[');
    tokens.iter().for_each(|it| write(ink, it));
    ink.close(b']');
}

/// The likeliest tokens, each with its probability.
fn write_top(ink: &mut Vec<u8>, token: &Fields) {
    ink.open(b'{');
    for top in token.value("top_logprobs").and_then(elements).unwrap_or_default() {
        let Some(top) = Fields::read(top.get()) else { continue };
        if let (Some(token), Some(logprob)) = (top.text("token"), top.value("logprob")) {
            ink.key_of(&token).raw(logprob);
        }
    }
    ink.close(b'}');
}
