//! A whole answer, in no dialect's words.

use super::json::Json;
use super::prompt::Part;
use crate::api::usage::Usage;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// As the vendor gave it.
    pub id: Option<String>,
    pub model: Option<String>,
    /// Unix time in seconds.
    pub created: Option<u64>,
    pub choices: Vec<Choice>,
    pub usage: Option<Usage>,
    /// As OpenAI names them.
    pub service_tier: Option<String>,
}

/// One of the answers that were asked for; mostly there is one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    pub index: u32,
    /// What the assistant said, in order: texts, refusals, thoughts, calls, media.
    pub parts: Vec<Part>,
    pub finish: Option<Finish>,
    /// Chat's `logprobs` object.
    pub logprobs: Option<Json>,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    pub reason: Reason,
    /// The vendor's own word, where it says more than the reason: chat's answers carry it as `native_finish_reason`.
    pub native: Option<String>,
    /// The stop sequence that was met, where it is told.
    pub stop_sequence: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Stop,
    /// `output_max`, or the window, is full.
    Length,
    ToolCalls,
    /// Moderation, or the model's own refusal.
    ContentFilter,
}

impl From<Reason> for Finish {
    fn from(reason: Reason) -> Self {
        Self { reason, native: None, stop_sequence: None }
    }
}
