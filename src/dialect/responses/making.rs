//! A response while it is made: takes what the answer says, event by event, and tells it as OpenAI's events. A whole answer
//! goes through the same, untold, so that what a stream ends with is what the whole would have been.
//!
//! | what is said | items |
//! |---|---|
//! | text, refusal | content parts of one message, until something else is said |
//! | a thought | `reasoning`: summaries are `summary`, reasoning itself is `content` of type `reasoning_text`, a seal is `encrypted_content`; thoughts of the same id are one item |
//! | a call | `function_call` or `custom_tool_call`; open until its arguments are whole and something else comes |
//! | a picture | `image_generation_call` |
//!
//! Recordings, and answers other than the first, have no words here.

use std::collections::HashSet;

use super::echo::Echo;
use super::output::{Body, Item, Status, Words};
use crate::api::ink::Ink;
use crate::api::usage::Usage;
use crate::dialect::answer::{Finish, Reason};
use crate::dialect::event::Event;
use crate::dialect::json::Json;
use crate::dialect::prompt::{Media, MediaKind, Source};
use crate::dialect::{ErrorSaid, Frame, sse};

pub struct Making {
    pub(super) echo: Echo,
    /// The id without its prefix, of which all others are made.
    id: String,
    created: u64,
    model: Option<String>,
    pub(super) items: Vec<Item>,
    /// Those of the items.
    ids: HashSet<String>,
    /// The message or the reasoning that is being said.
    pub(super) open: Option<usize>,
    /// A text of the open reasoning that is being told: whether it is a summary.
    pub(super) thought: Option<bool>,
    /// Calls that go on: the number of each in the answer, and its item.
    pub(super) calls: Vec<(u32, usize)>,
    /// Probabilities of the text that comes next.
    pub(super) logprobs: Vec<Json>,
    /// The parts of messages that are text, in order.
    pub(super) texts: Vec<TextPart>,
    /// Characters of text so far.
    pub(super) chars: u64,
    /// Citations of text that is still to come.
    pub(super) uncited: Vec<Json>,
    finish: Option<Finish>,
    usage: Option<Usage>,
    tier: Option<String>,
    pub(super) teller: Teller,
    begun: bool,
    pub(super) ended: bool,
}

/// Where a text is: its item, its number in there, and how many characters of text there are before it.
#[derive(Clone, Copy)]
pub struct TextPart {
    pub item: usize,
    pub part: usize,
    pub start: u64,
}

/// Frames events, or, for a whole answer, does not.
pub struct Teller {
    next: u64,
    is_silent: bool,
}

impl Teller {
    pub fn tell(&mut self, out: &mut Vec<u8>, kind: &str, fill: impl FnOnce(&mut Vec<u8>)) {
        if self.is_silent {
            return;
        }
        sse::event(out, kind, |it| {
            it.of_type(kind).number_field("sequence_number", self.next);
            fill(it);
            it.close(b'}');
        });
        self.next += 1;
    }
}

impl Making {
    pub fn new(frame: &Frame, is_silent: bool) -> Self {
        Self {
            echo: Echo::of(&frame.asked),
            id: frame.id.clone(),
            created: frame.created,
            model: None,
            items: Vec::new(),
            ids: HashSet::new(),
            open: None,
            thought: None,
            calls: Vec::new(),
            logprobs: Vec::new(),
            texts: Vec::new(),
            chars: 0,
            uncited: Vec::new(),
            finish: None,
            usage: None,
            tier: None,
            teller: Teller { next: 0, is_silent },
            begun: false,
            ended: false,
        }
    }

    pub fn hear(&mut self, event: &Event, out: &mut Vec<u8>) {
        if let Event::Begin { model, created, .. } = event
            && !self.begun
        {
            self.model.clone_from(model);
            self.created = created.unwrap_or(self.created);
        }
        if !matches!(event, Event::Ping) {
            self.begin(out);
        }
        match event {
            Event::Text(text) => self.say(text, false, out),
            Event::Refusal(text) => self.say(text, true, out),
            Event::Thought { text, is_summary, starts, id } => {
                self.think(text, *is_summary, *starts, id.as_deref(), out);
            }
            Event::Seal(seal) => self.seal(seal, out),
            Event::CallBegins { call, id, name, is_custom } => self.call(*call, id, name, *is_custom, out),
            Event::CallGoesOn { call, arguments } => self.go_on(*call, arguments, out),
            Event::Citation(citation) => self.cite(citation, out),
            Event::Logprobs(logprobs) => self.weigh(logprobs),
            Event::Media(media) => self.picture(media, out),
            Event::Finish(finish) => self.finish = Some(finish.clone()),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::ServiceTier(tier) => self.tier = Some(tier.clone()),
            Event::End => self.end(out),
            Event::Begin { .. } | Event::Ping | Event::Failed(_) => {}
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        for kind in ["response.created", "response.in_progress"] {
            self.tell_response(kind, "in_progress", None, out);
        }
    }

    fn tell_response(&mut self, kind: &str, status: &str, error: Option<&ErrorSaid>, out: &mut Vec<u8>) {
        // Put together outside the teller, which is part of what is written.
        if self.teller.is_silent {
            return;
        }
        let mut response = Vec::with_capacity(self.echo.fields.len() + 512);
        self.write_response(&mut response, status, error);
        self.teller.tell(out, kind, |it| it.key("response").extend_from_slice(&response));
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let last = self.items.len().checked_sub(1);
        let cut = last.filter(|_| self.is_cut());
        self.close_open(cut, out);
        self.close_calls(true, cut, out);
        let status = self.status();
        self.tell_response(&format!("response.{status}"), status, None, out);
    }

    fn is_cut(&self) -> bool {
        self.finish.as_ref().is_some_and(|it| matches!(it.reason, Reason::Length | Reason::ContentFilter))
    }

    /// What a response that ended is.
    pub fn status(&self) -> &'static str {
        if self.is_cut() { "incomplete" } else { "completed" }
    }

    /// Ends the stream as failed. OpenAI tells both an error and the response that has it.
    pub fn fail(&mut self, error: &ErrorSaid, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        // OpenAI's SDK takes nothing before the response was created.
        self.begin(out);
        self.items.iter_mut().filter(|it| it.status == Status::InProgress).for_each(|it| {
            it.status = Status::Incomplete;
        });
        self.teller.tell(out, "error", |it| {
            it.text_field("code", code(error));
            it.text_field("message", &error.message);
            it.text_or_null("param", error.param.as_deref());
        });
        self.tell_response("response.failed", "failed", Some(error), out);
    }

    pub fn write_response(&self, out: &mut Vec<u8>, status: &str, error: Option<&ErrorSaid>) {
        let object = out.open(b'{');
        object.text_field("id", &format!("resp_{}", self.id));
        object.text_field("object", "response");
        object.number_field("created_at", self.created);
        object.text_field("status", status);
        object.text_field("model", self.model.as_deref().unwrap_or(&self.echo.model));
        match error {
            Some(error) => {
                let object = object.key("error").open(b'{');
                object.text_field("code", code(error));
                object.text_field("message", &error.message);
                object.close(b'}');
            }
            None => _ = object.raw_field("error", "null"),
        }
        self.write_cause(status, object);
        let output = object.key("output").open(b'[');
        self.items.iter().for_each(|it| it.write(output.open(b'{')));
        output.close(b']');
        self.write_usage(object);
        object.text_field("service_tier", self.tier.as_deref().unwrap_or(&self.echo.service_tier));
        object.raw(&self.echo.fields);
        object.close(b'}');
    }

    fn write_cause(&self, status: &str, object: &mut Vec<u8>) {
        if status != "incomplete" {
            object.raw_field("incomplete_details", "null");
            return;
        }
        let is_length = self.finish.as_ref().is_some_and(|it| it.reason == Reason::Length);
        let details = object.key("incomplete_details").open(b'{');
        details.text_field("reason", if is_length { "max_output_tokens" } else { "content_filter" });
        details.close(b'}');
    }

    fn write_usage(&self, object: &mut Vec<u8>) {
        let Some(usage) = self.usage else {
            object.raw_field("usage", "null");
            return;
        };
        let counts = object.key("usage").open(b'{');
        counts.number_field("input_tokens", usage.input);
        let details = counts.key("input_tokens_details").open(b'{');
        details.number_field("cached_tokens", usage.cached_input);
        details.number_field("cache_write_tokens", usage.cache_write);
        details.close(b'}');
        counts.number_field("output_tokens", usage.output);
        let details = counts.key("output_tokens_details").open(b'{');
        details.number_field("reasoning_tokens", usage.reasoning);
        details.close(b'}');
        counts.number_field("total_tokens", usage.input.saturating_add(usage.output));
        counts.close(b'}');
    }

    /// Adds an item and tells of it; its place in the output. Ids of the vendor's own stay.
    pub(super) fn add(&mut self, body: Body, id: Option<&str>, out: &mut Vec<u8>) -> usize {
        let index = self.items.len();
        let made = || format!("{}_{}{index}", body.prefix(), self.id);
        let own = id.filter(|id| !self.ids.contains(*id));
        let id = own.map_or_else(made, str::to_owned);
        self.ids.insert(id.clone());
        self.items.push(Item { id, status: Status::InProgress, body });
        self.tell_item("response.output_item.added", index, out);
        index
    }

    pub(super) fn tell_item(&mut self, kind: &str, index: usize, out: &mut Vec<u8>) {
        let item = &self.items[index];
        self.teller.tell(out, kind, |it| {
            it.number_field("output_index", index as u64);
            item.write(it.key("item").open(b'{'));
        });
    }

    /// An event about one item.
    pub(super) fn tell_of(
        &mut self,
        index: usize,
        kind: &str,
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut Vec<u8>, &Body),
    ) {
        let item = &self.items[index];
        self.teller.tell(out, kind, |it| {
            it.text_field("item_id", &item.id);
            it.number_field("output_index", index as u64);
            fill(it, &item.body);
        });
    }

    fn picture(&mut self, media: &Media, out: &mut Vec<u8>) {
        let Media { kind: MediaKind::Image, source: Source::Data { base64, .. }, .. } = media else { return };
        self.close_open(None, out);
        self.close_calls(false, None, out);
        let index = self.add(Body::Image(base64.clone()), None, out);
        self.items[index].status = Status::Completed;
        self.tell_of(index, "response.image_generation_call.completed", out, |_, _| {});
        self.tell_item("response.output_item.done", index, out);
    }

    /// The message's part that takes words of this kind, if the last one does.
    pub(super) fn last_words(&mut self, index: usize) -> Option<&mut Words> {
        match &mut self.items[index].body {
            Body::Message(words) => words.last_mut(),
            _ => None,
        }
    }
}

/// OpenAI's name for why a response failed: of its closed set, what fits.
pub(super) fn code(error: &ErrorSaid) -> &str {
    match (&error.code, error.status) {
        (Some(code), _) => code,
        (None, 429) => "rate_limit_exceeded",
        (None, 400..=499) => "invalid_prompt",
        (None, _) => "server_error",
    }
}
