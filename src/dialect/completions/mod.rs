//! OpenAI's legacy completions, for clients only: a text goes in as one user message, and the answer's text comes out.

mod ask;
mod encode;
mod logprobs;
#[cfg(test)]
mod tests;

use super::answer::Answer;
use super::prompt::{Part, Prompt};
use super::{Aside, ClientDialect, Encoder, ErrorSaid, Frame};
use crate::api::ink::Ink;
use crate::dialect::chat::Chat;
use crate::dialect::chat::usage;
use crate::error::Error;

pub struct Completions;

impl ClientDialect for Completions {
    fn read_prompt(&self, body: &[u8], aside: &Aside) -> Result<Prompt, Error> {
        ask::read(body, aside)
    }

    fn write_answer(&self, answer: &Answer, frame: &Frame) -> Vec<u8> {
        write_answer(answer, frame)
    }

    fn encoder(&self, frame: &Frame) -> Box<dyn Encoder> {
        Box::new(encode::TextEncoder::new(frame))
    }

    fn write_error(&self, error: &ErrorSaid) -> Vec<u8> {
        Chat.write_error(error)
    }
}

/// What stands before the choices, in answers and chunks alike.
fn write_head(ink: &mut Vec<u8>, told: (Option<&str>, Option<&str>, Option<u64>), frame: &Frame) {
    let (id, named, created) = told;
    let id = id.map_or_else(|| format!("cmpl-{}", frame.id), str::to_owned);
    ink.open(b'{').text_field("id", &id).text_field("object", "text_completion");
    ink.number_field("created", created.unwrap_or(frame.created));
    ink.text_field("model", &frame.model(named));
}

fn write_answer(answer: &Answer, frame: &Frame) -> Vec<u8> {
    let mut body = Vec::with_capacity(1024);
    let ink = &mut body;
    write_head(ink, (answer.id.as_deref(), answer.model.as_deref(), answer.created), frame);
    ink.key("choices").open(b'[');
    for choice in &answer.choices {
        let text: String = choice.parts.iter().filter_map(said).collect();
        ink.open(b'{').text_field("text", &text).number_field("index", choice.index.into());
        logprobs::write(ink, choice.logprobs.as_ref(), &mut 0);
        encode::write_finish(ink, choice.finish.as_ref());
        ink.close(b'}');
    }
    ink.close(b']');
    if let Some(it) = &answer.usage {
        usage::write(ink.key("usage"), it);
    }
    ink.close(b'}');
    body
}

/// What a part adds to the text; this dialect has no place for anything else.
fn said(part: &Part) -> Option<&str> {
    match part {
        Part::Text { text, .. } | Part::Refusal(text) => Some(text),
        _ => None,
    }
}
