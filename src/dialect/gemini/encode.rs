//! Writes a streamed answer for Google's clients: each event is a whole response with what is new. Google tells calls
//! whole, so they wait until their arguments are complete; ends, sources and usage wait for the last event.

use super::citation::{self, SOURCES_MAX, Said};
use super::written::{self, Signature};
use super::{failure, logprobs};
use crate::api::ink::Ink;
use crate::api::usage::Usage;
use crate::dialect::answer::Finish;
use crate::dialect::event::{Event, Told};
use crate::dialect::json::Json;
use crate::dialect::prompt::{Call, Seal};
use crate::dialect::{Dialect, Encoder, ErrorSaid, Frame, sse};

/// Most answers, and calls of one answer, that are kept; no model makes so many.
const CHOICES_MAX: usize = 128;
const CALLS_MAX: usize = 256;

/// Most bytes of arguments that wait. A call with more is malformed.
const ARGUMENTS_MAX: usize = 16 << 20;

pub(super) struct Writer {
    model: String,
    id: String,
    choices: Vec<Choice>,
    usage: Option<Usage>,
    /// Bytes of arguments that wait.
    waiting: usize,
    is_over: bool,
}

/// One of the answers so far.
#[derive(Default)]
struct Choice {
    index: u32,
    calls: Vec<Waiting>,
    signature: Signature,
    /// Of the thought that is told.
    thought_id: Option<String>,
    /// A thought with text was told last: a seal is that thought's.
    is_thinking: bool,
    said: Said,
    annotations: Vec<Json>,
    finish: Option<Finish>,
    is_malformed: bool,
    is_refused: bool,
}

/// A call that waits for the rest of its arguments.
struct Waiting {
    number: u32,
    call: Call,
    signature: Signature,
    is_too_long: bool,
}

impl Encoder for Writer {
    fn write(&mut self, told: &Told, out: &mut Vec<u8>) {
        if self.is_over {
            return;
        }
        match &told.event {
            Event::Begin { id, model, .. } => {
                self.id = id.clone().unwrap_or_else(|| std::mem::take(&mut self.id));
                self.model = model.clone().unwrap_or_else(|| std::mem::take(&mut self.model));
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Ping | Event::ServiceTier(_) => {}
            Event::Failed(error) => self.fail(error, out),
            Event::End => self.end(out),
            event => self.choice_event(told.choice, event, out),
        }
    }

    fn fail(&mut self, error: &ErrorSaid, out: &mut Vec<u8>) {
        if !self.is_over {
            self.is_over = true;
            sse::event(out, "", |it| it.extend_from_slice(&failure::write(error)));
        }
    }
}

impl Writer {
    pub fn new(frame: &Frame) -> Self {
        Self {
            model: frame.aside.model.clone().unwrap_or_default(),
            id: frame.id.clone(),
            choices: Vec::new(),
            usage: None,
            waiting: 0,
            is_over: false,
        }
    }

    fn choice_event(&mut self, index: u32, event: &Event, out: &mut Vec<u8>) {
        let at = self.choices.iter().position(|it| it.index == index).unwrap_or(self.choices.len());
        if at == CHOICES_MAX {
            return;
        }
        if at == self.choices.len() {
            self.choices.push(Choice { index, ..Choice::default() });
        }
        let choice = &mut self.choices[at];
        let mut parts = String::new();
        match event {
            Event::CallGoesOn { call, arguments } => choice.call_goes_on(*call, arguments, &mut self.waiting),
            Event::Logprobs(it) => {
                let mut fields = String::new();
                logprobs::write(it, &mut fields);
                return self.event(index, fields, out);
            }
            event => choice.take(event, &mut parts),
        }
        if !parts.is_empty() {
            let mut fields = String::new();
            content(parts, &mut fields);
            self.event(index, fields, out);
        }
    }

    /// An event with what is new in one answer.
    fn event(&self, index: u32, fields: String, out: &mut Vec<u8>) {
        let mut event = String::new();
        event.open(b'{');
        event.key("candidates").open(b'[');
        event.open(b'{');
        event.raw(&fields);
        event.number_field("index", index.into());
        event.close(b'}');
        event.close(b']');
        written::envelope(None, &self.model, &self.id, &mut event);
        event.close(b'}');
        sse::event(out, "", |it| _ = it.raw(&event));
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.is_over = true;
        let mut event = String::new();
        event.open(b'{');
        event.key("candidates").open(b'[');
        for choice in &mut self.choices {
            event.open(b'{');
            choice.end(&mut event);
            event.close(b'}');
        }
        event.close(b']');
        written::envelope(self.usage.as_ref(), &self.model, &self.id, &mut event);
        event.close(b'}');
        sse::event(out, "", |it| _ = it.raw(&event));
    }
}

impl Choice {
    /// Takes an event; what can be told at once goes to `parts`.
    fn take(&mut self, event: &Event, parts: &mut String) {
        match event {
            Event::Text(text) if text.is_empty() => {}
            Event::Text(text) => {
                self.said.push(text);
                written::text(text, &mut self.signature, parts);
            }
            Event::Refusal(text) => {
                self.is_refused = true;
                written::text(text, &mut self.signature, parts);
            }
            Event::Thought { text, id, starts, .. } => {
                self.thought_id = id.clone().or(self.thought_id.take().filter(|_| !starts));
                self.is_thinking = !text.is_empty();
                if self.is_thinking {
                    written::loose(&mut self.signature, parts);
                    written::thought(Some(text), None, parts);
                }
                return;
            }
            Event::Seal(seal) => self.seal(seal, parts),
            Event::CallBegins { call, id, name, is_custom } => self.call_begins(*call, id, name, *is_custom),
            Event::Citation(it) if self.annotations.len() < SOURCES_MAX => self.annotations.push(it.clone()),
            Event::Media(it) => written::media(it, &mut self.signature, parts),
            Event::Finish(it) => {
                self.finish = Some(it.clone());
                self.tell_calls(parts);
                written::loose(&mut self.signature, parts);
            }
            _ => return,
        }
        self.is_thinking = false;
    }

    /// Google's own seals go with the part that comes next, which Google signs and not the thought before it.
    fn seal(&mut self, seal: &Seal, parts: &mut String) {
        let id = self.thought_id.take();
        if self.is_thinking && !seal.is_whole && seal.dialect != Dialect::Gemini {
            written::thought(Some(""), Some((seal, id.as_deref())), parts);
        } else {
            written::lone_seal(seal, id.as_deref(), &mut self.signature, parts);
        }
    }

    fn call_begins(&mut self, number: u32, id: &str, name: &str, is_custom: bool) {
        if self.calls.len() == CALLS_MAX {
            self.is_malformed = true;
            return;
        }
        let (id, name) = (id.to_owned(), name.to_owned());
        self.calls.push(Waiting {
            number,
            call: Call { id, name, arguments: String::new(), is_custom },
            signature: self.signature.take(),
            is_too_long: false,
        });
    }

    fn call_goes_on(&mut self, number: u32, arguments: &str, waiting: &mut usize) {
        let Some(of) = self.calls.iter_mut().rev().find(|it| it.number == number) else { return };
        *waiting += arguments.len();
        of.is_too_long |= *waiting > ARGUMENTS_MAX;
        if !of.is_too_long {
            of.call.arguments.push_str(arguments);
        }
    }

    fn tell_calls(&mut self, parts: &mut String) {
        for mut it in std::mem::take(&mut self.calls) {
            let is_told = !it.is_too_long && written::call(&it.call, &mut it.signature, parts);
            self.is_malformed |= !is_told;
        }
    }

    /// What stands in the last event.
    fn end(&mut self, out: &mut String) {
        let mut parts = String::new();
        self.tell_calls(&mut parts);
        content(parts, out);
        match &self.finish {
            Some(finish) => {
                let word = written::finish(finish, self.is_refused, self.is_malformed);
                out.text_field("finishReason", word);
            }
            None if self.is_malformed => _ = out.text_field("finishReason", written::MALFORMED),
            None => _ = out.text_field("finishReason", "STOP"),
        }
        out.number_field("index", self.index.into());
        citation::write(&self.annotations, &self.said, out);
    }
}

/// The field `content` with these parts.
fn content(parts: String, out: &mut String) {
    out.key("content").open(b'{');
    out.key("parts").open(b'[');
    out.raw(&parts);
    out.close(b']');
    out.text_field("role", "model");
    out.close(b'}');
}
