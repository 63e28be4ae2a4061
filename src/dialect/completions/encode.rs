//! Writes the chunks of a streamed completion.

use super::{logprobs, write_head};
use crate::api::ink::Ink;
use crate::api::usage::Usage;
use crate::dialect::answer::{Finish, Reason};
use crate::dialect::chat::{finish, usage};
use crate::dialect::event::{Event, Told};
use crate::dialect::json::Json;
use crate::dialect::{Encoder, ErrorSaid, Frame, sse};

pub struct TextEncoder {
    frame: Frame,
    /// What every chunk begins with, up to its choices.
    head: Vec<u8>,
    /// Told last; written at the end.
    usage: Option<Usage>,
    choices: Vec<TextSpoken>,
    ended: bool,
}

/// One of the answers.
#[derive(Default)]
struct TextSpoken {
    index: u32,
    /// Characters so far that log probabilities are known of.
    offset: usize,
    /// They go with the text beside them.
    logprobs: Option<Json>,
}

impl TextEncoder {
    pub fn new(frame: &Frame) -> Self {
        let (head, choices) = (Vec::new(), Vec::new());
        Self { frame: frame.clone(), head, usage: None, choices, ended: false }
    }

    fn begin(&mut self, told: (Option<&str>, Option<&str>, Option<u64>)) {
        self.head.clear();
        self.head.extend_from_slice(b"data: ");
        write_head(&mut self.head, told, &self.frame);
    }

    fn spoken(&mut self, index: u32) -> &mut TextSpoken {
        let at = self.choices.iter().position(|it| it.index == index).unwrap_or_else(|| {
            self.choices.push(TextSpoken { index, ..TextSpoken::default() });
            self.choices.len() - 1
        });
        &mut self.choices[at]
    }

    fn write_text(&mut self, index: u32, text: &str, finish: Option<&Finish>, out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(&self.head);
        let spoken = self.spoken(index);
        out.key("choices").open(b'[').open(b'{').text_field("text", text);
        out.number_field("index", index.into());
        logprobs::write(out, spoken.logprobs.take().as_ref(), &mut spoken.offset);
        write_finish(out, finish);
        out.close(b'}').close(b']').close(b'}');
        sse::end(out, from);
    }

    /// Writes what is left to say of the whole.
    fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(it) = self.usage.take() {
            let from = out.len();
            out.extend_from_slice(&self.head);
            out.key("choices").open(b'[').close(b']');
            usage::write(out.key("usage"), &it);
            out.close(b'}');
            sse::end(out, from);
        }
    }
}

impl Encoder for TextEncoder {
    fn write(&mut self, told: &Told, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match &told.event {
            Event::Begin { id, model, created } => {
                return self.begin((id.as_deref(), model.as_deref(), *created));
            }
            _ if self.head.is_empty() => self.begin((None, None, None)),
            _ => {}
        }
        match &told.event {
            Event::Text(text) | Event::Refusal(text) => self.write_text(told.choice, text, None, out),
            Event::Finish(finish) => self.write_text(told.choice, "", Some(finish), out),
            Event::Logprobs(json) => self.spoken(told.choice).logprobs = Some(json.clone()),
            Event::Usage(it) => self.usage = Some(*it),
            Event::Ping => out.extend_from_slice(sse::PING),
            Event::Failed(error) => self.fail(error, out),
            Event::End => {
                self.end(out);
                self.ended = true;
                out.extend_from_slice(sse::DONE);
            }
            // A text is all that this dialect has a place for.
            _ => {}
        }
    }

    fn fail(&mut self, error: &ErrorSaid, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if self.head.is_empty() {
            self.begin((None, None, None));
        }
        self.end(out);
        sse::event(out, "", |it| error.write(it));
    }
}

/// Why the text ended; there are no calls in it.
pub fn write_finish(ink: &mut Vec<u8>, finish: Option<&Finish>) {
    ink.key("finish_reason");
    match finish.map(|it| it.reason) {
        None => ink.raw("null"),
        Some(Reason::ToolCalls) => ink.text(finish::word(Reason::Stop)),
        Some(reason) => ink.text(finish::word(reason)),
    };
}
