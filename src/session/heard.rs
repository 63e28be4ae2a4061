//! Puts an assistant's message together from what its client was sent: from the chunks of a stream, the way OpenAI's own
//! libraries do it, or from a whole answer. Knows chunks, not streams.

mod node;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::fields::{Fields, object};
use crate::api::ink::Ink;
use crate::api::surrogates;
use crate::dialect::chat::finish::FAILED;
use crate::price::estimate;
use crate::session::standard;
use node::Node;

/// Most that is put together of one streamed answer, in bytes: what comes behind is not heard.
pub const HEARD_BYTES_MAX: usize = 8 << 20;

/// Fields that say something to a reader; others are about them.
const SPEAKING: &[&str] = &[
    "content",
    "refusal",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "tool_calls",
    "function_call",
    "audio",
    "images",
];

/// The answer so far. Of several answers the first one.
#[derive(Debug, Default)]
pub struct Heard {
    message: Spoken,
    is_finished: bool,
    /// It said instead that it could not go on.
    broke_off: bool,
    /// Something was said that is not in the message.
    lost: bool,
    bytes: usize,
}

#[derive(Debug)]
enum Spoken {
    /// The fields of a stream's deltas, in the order first heard.
    Deltas(Vec<(String, Node)>),
    /// A message as its vendor wrote it.
    Whole(String),
}

impl Default for Spoken {
    fn default() -> Self {
        Self::Deltas(Vec::new())
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Fields<'a>>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    finish_reason: Option<&'a RawValue>,
}

impl<'a> Answer<'a> {
    fn first(self) -> Option<Choice<'a>> {
        self.choices?.into_iter().find(|it| it.index.unwrap_or_default() == 0)
    }
}

impl Heard {
    /// A whole answer, its message as it stands there. None: it has none. Its size is the caller's to bound.
    pub fn whole(answer: &[u8]) -> Option<Self> {
        let choice = serde_json::from_slice::<Answer>(answer).ok()?.first()?;
        let message = whole_message(choice.message?.get())?;
        Some(Self {
            is_finished: ends(choice.finish_reason),
            broke_off: breaks_off(choice.finish_reason),
            message: Spoken::Whole(message),
            ..Self::default()
        })
    }

    /// Takes in the data of one event. What is no chunk says nothing, but then something may be missing.
    pub fn event(&mut self, data: &[u8]) {
        if data.trim_ascii().is_empty() || data == b"[DONE]" {
            return;
        }
        let Ok(answer) = serde_json::from_slice::<Answer>(data) else {
            self.lost = true;
            return;
        };
        let Some(choice) = answer.first() else { return };
        self.is_finished |= ends(choice.finish_reason);
        self.broke_off |= breaks_off(choice.finish_reason);
        if let Some(delta) = &choice.delta {
            self.delta(delta);
        }
        // Some end with the whole message once more; where there were deltas, it repeats them.
        if let (false, Some(message)) = (self.says_something(), choice.message) {
            self.message = whole_message(message.get()).map(Spoken::Whole).unwrap_or_default();
        }
    }

    fn delta(&mut self, delta: &Fields) {
        let Spoken::Deltas(fields) = &mut self.message else { return };
        self.bytes += delta.each().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        self.lost |= self.bytes > HEARD_BYTES_MAX;
        if self.bytes <= HEARD_BYTES_MAX {
            self.lost |= !node::merge_fields(fields, delta);
        }
    }

    /// Whether there is anything worth keeping.
    pub fn says_something(&self) -> bool {
        match &self.message {
            Spoken::Deltas(fields) => {
                fields.iter().any(|(name, node)| SPEAKING.contains(&name.as_str()) && !node.is_empty())
            }
            Spoken::Whole(json) => Fields::read(json).is_some_and(|it| {
                let is_empty = |value: &str| matches!(value, "null" | "\"\"" | "[]" | "{}");
                it.each().any(|(name, value)| SPEAKING.contains(&name) && !is_empty(value))
            }),
        }
    }

    /// The vendor said that this is all.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// There is an answer to keep, if only an empty one that its vendor meant.
    pub fn is_answer(&self) -> bool {
        self.says_something() || self.is_finished || matches!(self.message, Spoken::Whole(_))
    }

    /// The vendor itself said that it could not go on.
    pub fn broke_off(&self) -> bool {
        self.broke_off
    }

    /// Everything that was said is in the message. Else the turn is an incomplete one.
    pub fn is_whole(&self) -> bool {
        !self.lost
    }

    /// It has fields that only its own vendor understands.
    pub fn is_private(&self) -> bool {
        standard::is_private(&self.message())
    }

    /// The message, a JSON object: its role first, the other fields in the order first heard.
    pub fn message(&self) -> String {
        let fields = match &self.message {
            Spoken::Whole(json) => return json.clone(),
            Spoken::Deltas(fields) => fields,
        };
        let mut message = String::from("{");
        let role = fields.iter().find(|(name, _)| name == "role").map(|(_, node)| node.json("role"));
        message.raw_field("role", role.as_deref().filter(|it| *it != "\"\"").unwrap_or("\"assistant\""));
        let has = |field: &str| fields.iter().any(|(name, _)| name == field);
        if !has("content") {
            // Vendors want the field; DeepSeek refuses null beside reasoning.
            message.raw_field("content", if has("reasoning_content") { "\"\"" } else { "null" });
        }
        for (name, node) in fields.iter().filter(|(name, _)| name != "role") {
            message.member(name, &node.json(name));
        }
        message.close(b'}');
        surrogates::mend(message)
    }
}

/// Estimated tokens of a turn's messages: JSON objects joined by commas.
pub fn tokens(messages: &[u8]) -> u64 {
    estimate::prompt_tokens(messages)
}

/// A message with a role; None: `json` is no object.
fn whole_message(json: &str) -> Option<String> {
    let fields = Fields::read(json)?;
    if fields.text("role").is_some_and(|it| !it.is_empty()) {
        return Some(json.to_owned());
    }
    let others = fields.each().filter(|(name, _)| *name != "role");
    Some(object([("role", "\"assistant\"")].into_iter().chain(others)))
}

fn ends(finish_reason: Option<&RawValue>) -> bool {
    said(finish_reason).is_some_and(|it| !it.is_empty() && !FAILED.contains(&it))
}

fn breaks_off(finish_reason: Option<&RawValue>) -> bool {
    said(finish_reason).is_some_and(|it| FAILED.contains(&it))
}

fn said(finish_reason: Option<&RawValue>) -> Option<&str> {
    finish_reason.and_then(|it| crate::api::fields::inner(it.get()))
}
