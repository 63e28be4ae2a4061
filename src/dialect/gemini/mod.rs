//! Google's `generateContent`, as AI Studio and Vertex speak it, and as Google's SDKs ask it of the gateway. The shapes
//! are those of Google's API reference and of its Python SDK's types.
//!
//! Words for a request that Gemini has not: `asking` names them as losses. What an answer loses towards a client of
//! this dialect: ids of thoughts, whether a thought is a summary, service tiers, `bytes` of log probabilities and what
//! an annotation says besides its source and place. What it loses from a vendor: safety ratings, Google's suggestions
//! for searching on, and the code that its own tools ran.

mod answer;
mod asking;
mod candidate;
mod citation;
mod decode;
mod encode;
mod failure;
mod fitting;
mod generation;
mod history;
mod listing;
mod logprobs;
mod media;
mod names;
mod reading;
mod schema;
mod seal;
mod settings;
#[cfg(test)]
mod tests;
mod thinking;
mod toolbox;
mod turns;
mod written;

pub use fitting::fitted;
pub use listing::{write_count, write_model, write_models};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::answer::Answer;
use super::loss::Losses;
use super::prompt::Prompt;
use super::terms::Terms;
use super::{Aside, ClientDialect, Decoder, Encoder, ErrorSaid, Frame, NoAnswer, VendorDialect};
use crate::error::Error;

/// What stands in a path segment as it is (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub struct Gemini;

impl ClientDialect for Gemini {
    fn read_prompt(&self, body: &[u8], aside: &Aside) -> Result<Prompt, Error> {
        reading::prompt(body, aside)
    }

    fn write_answer(&self, answer: &Answer, frame: &Frame) -> Vec<u8> {
        answer::write(answer, frame)
    }

    fn encoder(&self, frame: &Frame) -> Box<dyn Encoder> {
        Box::new(encode::Writer::new(frame))
    }

    fn write_error(&self, error: &ErrorSaid) -> Vec<u8> {
        failure::write(error)
    }
}

impl VendorDialect for Gemini {
    /// Below a base that ends before `/models`: AI Studio's `…/v1beta`, Vertex's `…/publishers/google`.
    fn path(&self, model: &str, stream: bool) -> String {
        let name = model.strip_prefix("publishers/google/").unwrap_or(model);
        let name = name.strip_prefix("models/").unwrap_or(name);
        let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
        format!("/models/{}:{method}", utf8_percent_encode(name, SEGMENT))
    }

    fn write_prompt(&self, prompt: &Prompt, terms: &Terms, losses: &mut Losses) -> Result<Vec<u8>, Error> {
        asking::body(prompt, terms, losses)
    }

    fn read_answer(&self, body: &[u8]) -> Result<Answer, NoAnswer> {
        answer::read(body)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(decode::Reader::default())
    }
}
