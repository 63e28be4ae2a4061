//! OpenAI's `/responses`, of clients and of vendors.
//!
//! What answers are kept, and what follows which (`store`, `previous_response_id`, `conversation`, `background`), is no
//! matter of the wire: here each request stands for itself, with all its items.
//!
//! Losses as a vendor's dialect: `stop`, `seed`, `n`, `logit_bias`, penalties, `top_k`, names of participants, marks of
//! failed tool results, what is said of citing documents, videos, pictures and recordings that an assistant made, and
//! other vendors' own tools.
//! As a client's dialect: recordings, and answers other than the first.

mod answer;
mod broken;
mod content;
mod decoder;
mod echo;
pub(crate) mod items;
mod items_out;
mod making;
mod output;
mod place;
mod prompt;
mod request;
mod saying;
mod seal;
mod shell;
#[cfg(test)]
mod tests;
mod tools;
mod written;

pub use broken::{Ending, Passed, begun, failed};
pub use items::messages_of;
pub use shell::as_function as shell_as_function;
pub use written::Gathered;

use super::answer::Answer;
use super::loss::Losses;
use super::prompt::Prompt;
use super::terms::Terms;
use super::{Aside, ClientDialect, Decoder, Encoder, ErrorSaid, Frame, NoAnswer, VendorDialect};
use crate::error::Error;

pub struct Responses;

impl ClientDialect for Responses {
    fn read_prompt(&self, body: &[u8], _: &Aside) -> Result<Prompt, Error> {
        request::read_prompt(body)
    }

    fn write_answer(&self, answer: &Answer, frame: &Frame) -> Vec<u8> {
        written::write_answer(answer, frame)
    }

    fn encoder(&self, frame: &Frame) -> Box<dyn Encoder> {
        Box::new(written::Streamed::new(frame))
    }

    fn write_error(&self, error: &ErrorSaid) -> Vec<u8> {
        let mut out = Vec::new();
        error.write(&mut out);
        out
    }
}

impl VendorDialect for Responses {
    fn path(&self, _: &str, _: bool) -> String {
        "/responses".to_owned()
    }

    fn write_prompt(&self, prompt: &Prompt, terms: &Terms, losses: &mut Losses) -> Result<Vec<u8>, Error> {
        Ok(prompt::write_prompt(prompt, terms, losses))
    }

    fn read_answer(&self, body: &[u8]) -> Result<Answer, NoAnswer> {
        answer::read_answer(body)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(decoder::Heard::default())
    }
}
