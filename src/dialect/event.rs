//! What the events of a streamed answer say, in no dialect's words.

use super::ErrorSaid;
use super::answer::Finish;
use super::json::Json;
use super::prompt::{Media, Seal};
use crate::api::usage::Usage;

/// One thing that an event says, and of which answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Index of the choice; 0 where the event is about all of them.
    pub choice: u32,
    pub event: Event,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Comes first, once.
    Begin {
        id: Option<String>,
        model: Option<String>,
        created: Option<u64>,
    },
    Text(String),
    Refusal(String),
    /// A piece of reasoning. `starts`: of another thought than the piece before; its id, where it has one.
    Thought {
        text: String,
        is_summary: bool,
        starts: bool,
        id: Option<String>,
    },
    /// Seals the thought that was told last; without one, what comes next.
    Seal(Seal),
    /// A call begins. Calls are numbered from 0 in each answer.
    CallBegins {
        call: u32,
        id: String,
        name: String,
        is_custom: bool,
    },
    /// A piece of its arguments, byte for byte; pieces of two calls may alternate.
    CallGoesOn {
        call: u32,
        arguments: String,
    },
    /// Belongs to the text so far; in the form of chat's `annotations`.
    Citation(Json),
    /// Chat's `logprobs` object, for the text beside it.
    Logprobs(Json),
    /// A whole picture or recording.
    Media(Media),
    /// The answer is complete, or the model will say no more. Usage may follow.
    Finish(Finish),
    /// All tokens so far; a later one replaces an earlier one.
    Usage(Usage),
    /// The tier that serves, as OpenAI names them.
    ServiceTier(String),
    /// The vendor lives; nothing is said.
    Ping,
    /// The vendor failed within its stream.
    Failed(ErrorSaid),
    /// The stream is complete. Nothing comes behind it.
    End,
}

impl Event {
    /// As told of the first answer.
    pub fn told(self) -> Told {
        Told { choice: 0, event: self }
    }
}
