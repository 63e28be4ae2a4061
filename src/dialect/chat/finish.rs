//! Why an answer ended, in the words of all who speak chat.

use crate::api::fields::Fields;
use crate::api::ink::Ink;
use crate::dialect::ErrorSaid;
use crate::dialect::answer::{Finish, Reason};
use crate::dialect::read::text_of;

/// Reads it from a choice; None where it has not ended. `called`: the answer has calls.
pub fn read(choice: &Fields, called: bool) -> Option<Finish> {
    let word = text_of(choice, "finish_reason").filter(|it| !it.is_empty())?;
    let reason = match reason(&word) {
        // With a tool that was chosen by name OpenAI says `stop`, and some others always do.
        Reason::Stop if called => Reason::ToolCalls,
        reason => reason,
    };
    let native = text_of(choice, "native_finish_reason").filter(|it| !it.is_empty());
    let is_own =
        !matches!(word.as_str(), "stop" | "length" | "tool_calls" | "content_filter" | "function_call");
    Some(Finish {
        reason,
        native: native.or(is_own.then_some(word)),
        stop_sequence: text_of(choice, "stop_reason").filter(|it| !it.is_empty()),
    })
}

/// What vendors say when they ran out of something, or lost what they had: DeepSeek, GLM, and Mistral and OpenRouter.
pub const FAILED: [&str; 3] = ["insufficient_system_resource", "network_error", "error"];

/// The failure that a choice ends with, where it does.
pub fn failure(choice: &Fields) -> Option<ErrorSaid> {
    let word = choice.text("finish_reason").filter(|it| FAILED.contains(&it.as_ref()))?;
    Some(ErrorSaid::of(502, format!("The upstream ended its answer with `{word}`.")))
}

fn reason(word: &str) -> Reason {
    match word.to_ascii_lowercase().as_str() {
        "length" | "max_tokens" | "max_output_tokens" | "model_length" | "model_context_window_exceeded" => {
            Reason::Length
        }
        // The answer is cut, and is not to pass for a whole one.
        word if FAILED.contains(&word) => Reason::Length,
        "tool_calls" | "function_call" | "tool_use" | "tool_call" => Reason::ToolCalls,
        "content_filter" | "sensitive" | "safety" | "refusal" | "recitation" | "prohibited_content" => {
            Reason::ContentFilter
        }
        _ => Reason::Stop,
    }
}

pub fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::Stop => "stop",
        Reason::Length => "length",
        Reason::ToolCalls => "tool_calls",
        Reason::ContentFilter => "content_filter",
    }
}

/// Writes the fields of a choice; null where it has not ended.
pub fn write(ink: &mut Vec<u8>, finish: Option<&Finish>) {
    let Some(finish) = finish else {
        ink.raw_field("finish_reason", "null");
        return;
    };
    ink.text_field("finish_reason", word(finish.reason));
    ink.text_if("native_finish_reason", finish.native.as_deref());
    ink.text_if("stop_reason", finish.stop_sequence.as_deref());
}
