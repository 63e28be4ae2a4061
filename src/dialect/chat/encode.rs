//! Writes the chunks of a streamed chat completion as OpenAI does: the role first, a delta each, the finish, the usage
//! in a chunk without choices, `[DONE]`.

use super::spoken::ChoiceSpoken;
use super::usage;
use crate::api::ink::Ink;
use crate::api::usage::Usage;
use crate::dialect::event::{Event, Told};
use crate::dialect::{Encoder, ErrorSaid, Frame, sse};

pub struct ChunkEncoder {
    frame: Frame,
    /// What every chunk begins with, up to its choices.
    head: Vec<u8>,
    /// The head without its service tier.
    untiered: usize,
    tier_unsaid: bool,
    /// Told last; written at the end.
    usage: Option<Usage>,
    choices: Vec<ChoiceSpoken>,
    ended: bool,
}

/// The vendor's id, or one in OpenAI's form.
pub fn id(told: Option<&str>, frame: &Frame) -> String {
    told.map_or_else(|| format!("chatcmpl-{}", frame.id), str::to_owned)
}

impl ChunkEncoder {
    pub fn new(frame: &Frame) -> Self {
        Self {
            frame: frame.clone(),
            head: Vec::new(),
            untiered: 0,
            tier_unsaid: false,
            usage: None,
            choices: Vec::new(),
            ended: false,
        }
    }

    fn begin(&mut self, told_id: Option<&str>, told_model: Option<&str>, created: Option<u64>) {
        self.head.clear();
        self.head.extend_from_slice(b"data: ");
        let ink = &mut self.head;
        ink.open(b'{').text_field("id", &id(told_id, &self.frame));
        ink.text_field("object", "chat.completion.chunk");
        ink.number_field("created", created.unwrap_or(self.frame.created));
        ink.text_field("model", &self.frame.model(told_model));
        self.untiered = self.head.len();
    }

    fn serve_in(&mut self, tier: &str) {
        self.head.truncate(self.untiered);
        self.head.text_field("service_tier", tier);
        self.tier_unsaid = true;
    }

    /// Writes what is told of a choice, as none, one or two chunks.
    fn speak(&mut self, choice: u32, event: &Event, out: &mut Vec<u8>) {
        let at = match self.choices.iter().position(|it| it.index == choice) {
            Some(at) => at,
            None => {
                self.choices.push(ChoiceSpoken::new(choice));
                self.choices.len() - 1
            }
        };
        let start = out.len();
        self.choices[at].write(event, &self.head, out);
        self.tier_unsaid &= out.len() == start;
    }

    /// Writes what was held back, and what is left to say of the whole.
    fn end(&mut self, out: &mut Vec<u8>) {
        self.choices.iter_mut().for_each(|it| it.let_go(&self.head, out));
        if self.usage.is_none() && !self.tier_unsaid {
            return;
        }
        let from = out.len();
        out.extend_from_slice(&self.head);
        out.key("choices").open(b'[').close(b']');
        if let Some(it) = &self.usage {
            usage::write(out.key("usage"), it);
        }
        out.close(b'}');
        sse::end(out, from);
    }
}

impl Encoder for ChunkEncoder {
    fn write(&mut self, told: &Told, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match &told.event {
            Event::Begin { id, model, created } => self.begin(id.as_deref(), model.as_deref(), *created),
            Event::Ping => return out.extend_from_slice(sse::PING),
            Event::Usage(it) => return self.usage = Some(*it),
            Event::Failed(error) => return self.fail(error, out),
            _ if self.head.is_empty() => self.begin(None, None, None),
            _ => {}
        }
        match &told.event {
            Event::ServiceTier(tier) => self.serve_in(tier),
            Event::End => {
                self.end(out);
                self.ended = true;
                out.extend_from_slice(sse::DONE);
            }
            event => self.speak(told.choice, event, out),
        }
    }

    fn fail(&mut self, error: &ErrorSaid, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if self.head.is_empty() && self.usage.is_some() {
            self.begin(None, None, None);
        }
        self.end(out);
        sse::event(out, "", |it| error.write(it));
    }
}
