//! Reads a request for a completion. What chat has no words for is refused by name: an answer without it would be
//! another one than was asked for.

use crate::api::fields::elements;
use crate::api::surrogates;
use crate::dialect::Aside;
use crate::dialect::chat::prompt::{fields_of, read_field};
use crate::dialect::prompt::{Message, Part, Prompt, Role};
use crate::dialect::read::{self, count_of, flag_of};
use crate::error::Error;

pub fn read(body: &[u8], aside: &Aside) -> Result<Prompt, Error> {
    let fields = fields_of(body)?;
    let mut prompt =
        Prompt { model: aside.model.clone().unwrap_or_default(), stream: aside.stream, ..Prompt::default() };
    for (name, json) in fields.each().filter(|(_, json)| *json != "null") {
        match name {
            "prompt" => prompt.messages = vec![message(text_of(json)?)],
            "logprobs" => {
                prompt.logprobs = Some(true);
                prompt.top_logprobs = Some(read::count(name, json)?);
            }
            "suffix" if json == "\"\"" => {}
            "suffix" => return Err(unsaid(name, "text that stands behind the answer")),
            "echo" | "best_of" => {}
            "messages" => return Err(unsaid(name, "messages; send `prompt`, or call /v1/chat/completions")),
            _ => read_field(&mut prompt, name, json)?,
        }
    }
    if flag_of(&fields, "echo") == Some(true) {
        return Err(unsaid("echo", "a prompt that is repeated; leave it out"));
    }
    if count_of(&fields, "best_of").is_some_and(|it| it > prompt.n.unwrap_or(1)) {
        return Err(unsaid("best_of", "more answers than `n` to choose among; leave it out"));
    }
    if prompt.messages.is_empty() {
        return Err(refused("`prompt` is missing; send the text to complete.", "prompt"));
    }
    Ok(prompt)
}

fn message(text: String) -> Message {
    let parts = if text.is_empty() { Vec::new() } else { vec![Part::text(text)] };
    Message { role: Role::User, parts, name: None }
}

fn refused(message: &str, param: &str) -> Error {
    Error::bad_request(message).param(param)
}

fn unsaid(param: &str, what: &str) -> Error {
    let message = format!("`{param}`: the model is asked by chat, which has no words for {what}.");
    Error::bad_request(message).param(param).code("unsupported_parameter")
}

/// The one text that is to be completed.
fn text_of(json: &str) -> Result<String, Error> {
    if let Some(text) = surrogates::text(json) {
        return Ok(text.into_owned());
    }
    let list = elements(json).unwrap_or_default();
    let is_tokens = |it: &str| it.starts_with(|it: char| it == '[' || it.is_ascii_digit());
    match &list[..] {
        [first, ..] if is_tokens(first.get()) => Err(refused(
            "`prompt` is a list of tokens, which only their own model knows; send text.",
            "prompt",
        )),
        [one] => match surrogates::text(one.get()) {
            Some(text) => Ok(text.into_owned()),
            None => Err(refused("`prompt` must be a string or a list of one string.", "prompt")),
        },
        [] => Err(refused("`prompt` must be a string or a list of one string.", "prompt")),
        _ => Err(refused("`prompt` holds several texts; send one request for each.", "prompt")),
    }
}
