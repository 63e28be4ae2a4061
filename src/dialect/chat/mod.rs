//! Chat completions, the form in which the gateway itself works: OpenAI's, with what is needed so that nothing another
//! dialect says is lost on its way through.
//!
//! Beside OpenAI's fields there are, read and written:
//! - in any part, tool and tool message `cache_control`, as OpenRouter and Qwen have it, and for the whole request;
//! - of tool messages `is_error` and `name`;
//! - of assistants `reasoning_content` (DeepSeek), `reasoning_details` (OpenRouter; `details`), `images`;
//! - `video_url`, `file.file_url` and what `media` says;
//! - of requests `top_k` and `reasoning` (`reasoning`);
//! - of answers `native_finish_reason` (OpenRouter) and `stop_reason`, the stop sequence that was met (vLLM).
//!
//! What vendors of chat write in other ways is read, and written in this one.

mod answer;
mod calls;
mod choice;
mod content;
mod decode;
mod details;
pub(super) mod encode;
pub(super) mod failed;
pub mod finish;
mod media;
mod messages;
pub(super) mod prompt;
mod reasoning;
mod said;
mod sources;
mod spoken;
#[cfg(test)]
mod tests;
mod tools;
pub(super) mod usage;

use super::answer::Answer;
use super::loss::Losses;
use super::prompt::{Message, Prompt};
use super::terms::Terms;
use super::{Aside, ClientDialect, Decoder, Encoder, ErrorSaid, Frame, NoAnswer, VendorDialect};
use crate::api::fields::Fields;
use crate::error::Error;

pub struct Chat;

/// Appends messages to a list of such, each as a JSON object.
pub fn write_messages(list: &mut Vec<u8>, messages: &[Message]) {
    messages.iter().for_each(|it| messages::write(list, it));
}

/// Whether a chunk, or what came in place of an answer, is an error: OpenAI's object, or what vendors have instead.
pub fn tells_error(json: &[u8]) -> bool {
    Fields::of_bytes(json).is_some_and(|it| failed::read("", &it).is_some())
}

impl ClientDialect for Chat {
    fn read_prompt(&self, body: &[u8], aside: &Aside) -> Result<Prompt, Error> {
        prompt::read(body, aside)
    }

    fn write_answer(&self, answer: &Answer, frame: &Frame) -> Vec<u8> {
        answer::write(answer, frame)
    }

    fn encoder(&self, frame: &Frame) -> Box<dyn Encoder> {
        Box::new(encode::ChunkEncoder::new(frame))
    }

    fn write_error(&self, error: &ErrorSaid) -> Vec<u8> {
        let mut body = Vec::new();
        error.write(&mut body);
        body
    }
}

impl VendorDialect for Chat {
    fn path(&self, _: &str, _: bool) -> String {
        "/chat/completions".to_owned()
    }

    /// Nothing is lost: what the vendor does not know is the business of its quirks.
    fn write_prompt(&self, prompt: &Prompt, terms: &Terms, _: &mut Losses) -> Result<Vec<u8>, Error> {
        Ok(prompt::write(prompt, &terms.model))
    }

    fn read_answer(&self, body: &[u8]) -> Result<Answer, NoAnswer> {
        Ok(answer::read(body)?)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<decode::ChunkDecoder>::default()
    }
}
