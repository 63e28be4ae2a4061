//! Reads streamed answers of vendors. What an event is, its `type` says: not all servers name their events.

use super::answer::{created, failure, finish, logprobs, parts, picture};
use super::content::{citation, text_of};
use super::seal::own;
use super::shell;
use crate::api::fields::{Fields, elements};
use crate::api::usage::UsageBody;
use crate::dialect::event::{Event, Told};
use crate::dialect::{Decoder, Unreadable, prompt};

/// Items of one answer that are kept track of; a vendor that makes more is broken.
const ITEMS_MAX: usize = 4_096;

#[derive(Default)]
pub struct Heard {
    begun: bool,
    ended: bool,
    items: Vec<Item>,
    calls: u32,
    /// The next piece of reasoning is of another thought.
    starts: bool,
    /// Characters of text so far.
    chars: u64,
    part: Part,
}

/// The part of a message that is being told.
#[derive(Default)]
struct Part {
    /// Its item's number, and its own in there.
    at: Option<(u64, u64)>,
    /// Characters of text before it: annotations count in their own part.
    start: u64,
}

/// An item of which something was told.
struct Item {
    /// Its `output_index`, or a number that no vendor gives.
    index: u64,
    /// The number of its call, if it is one.
    call: Option<u32>,
    /// Something of it was told in pieces, so its end tells nothing new.
    said: bool,
}

impl Decoder for Heard {
    fn read(&mut self, name: &str, data: &[u8], told: &mut Vec<Told>) -> Result<(), Unreadable> {
        if self.ended || data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let fields = Fields::of_bytes(data).ok_or(Unreadable("an event that is no JSON object"))?;
        let kind = fields.text("type");
        self.event(kind.as_deref().unwrap_or(name), &fields, told)
    }

    fn end(&mut self, _: &mut Vec<Told>) {}
}

impl Heard {
    fn event(&mut self, kind: &str, fields: &Fields, told: &mut Vec<Told>) -> Result<(), Unreadable> {
        let mut tell = |event: Event| told.push(event.told());
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => self.begin(fields, &mut tell),
            "response.output_item.added" => self.item(fields, false, &mut tell)?,
            "response.output_item.done" => self.item(fields, true, &mut tell)?,
            "response.output_text.delta" => self.text(fields, &mut tell)?,
            "response.refusal.delta" => {
                self.item_of(fields)?.said = true;
                tell(Event::Refusal(delta(fields)));
            }
            "response.reasoning_summary_part.added" | "response.reasoning_summary_part.done" => {
                self.starts = true
            }
            "response.reasoning_summary_text.delta" => self.thought(fields, true, &mut tell)?,
            "response.reasoning_text.delta" => self.thought(fields, false, &mut tell)?,
            "response.reasoning_text.done" => self.starts = true,
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.arguments(fields, &mut tell)?;
            }
            "response.output_text.annotation.added" => {
                let start = self.part_start(fields);
                let citation = fields.value("annotation").and_then(|it| citation(it, start));
                citation.into_iter().for_each(|it| tell(Event::Citation(it)));
            }
            "response.completed" | "response.incomplete" | "response.cancelled" => {
                self.complete(fields, &mut tell)?
            }
            "response.failed" | "error" => self.fail(fields, &mut tell),
            // Some servers state an error without saying that it is one.
            _ if fields.value("error").is_some() => self.fail(fields, &mut tell),
            "keepalive" | "ping" => tell(Event::Ping),
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, fields: &Fields, tell: &mut impl FnMut(Event)) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let response = fields.value("response").and_then(Fields::read).unwrap_or_default();
        let own = |name: &str| response.text(name).map(|it| it.into_owned());
        tell(Event::Begin { id: own("id"), model: own("model"), created: created(&response) });
    }

    /// The item that an event is about.
    fn item_of(&mut self, fields: &Fields) -> Result<&mut Item, Unreadable> {
        let index = fields.value("output_index").and_then(|it| it.parse().ok()).unwrap_or(u64::MAX);
        let found = self.items.iter().rposition(|it| it.index == index);
        let at = match found {
            Some(at) => at,
            None if self.items.len() < ITEMS_MAX => {
                self.items.push(Item { index, call: None, said: false });
                self.items.len() - 1
            }
            None => return Err(Unreadable("more items than an answer may have")),
        };
        Ok(&mut self.items[at])
    }

    fn text(&mut self, fields: &Fields, tell: &mut impl FnMut(Event)) -> Result<(), Unreadable> {
        self.item_of(fields)?.said = true;
        let tokens = fields.value("logprobs").and_then(elements).unwrap_or_default();
        let tokens: Vec<&str> = tokens.iter().map(|it| it.get()).collect();
        logprobs(&tokens).into_iter().for_each(|it| tell(Event::Logprobs(it)));
        self.part_start(fields);
        let text = delta(fields);
        self.chars += text.chars().count() as u64;
        tell(Event::Text(text));
        Ok(())
    }

    /// Where the part begins that an event is about.
    fn part_start(&mut self, fields: &Fields) -> u64 {
        let number = |name| fields.value(name).and_then(|it| it.parse().ok()).unwrap_or(u64::MAX);
        let at = Some((number("output_index"), number("content_index")));
        if self.part.at != at {
            self.part = Part { at, start: self.chars };
        }
        self.part.start
    }

    fn thought(
        &mut self,
        fields: &Fields,
        is_summary: bool,
        tell: &mut impl FnMut(Event),
    ) -> Result<(), Unreadable> {
        let item = self.item_of(fields)?;
        let is_new = !std::mem::replace(&mut item.said, true);
        let starts = std::mem::take(&mut self.starts) || is_new;
        let id = fields.text("item_id").map(|it| it.into_owned());
        tell(Event::Thought { text: delta(fields), is_summary, starts, id });
        Ok(())
    }

    fn arguments(&mut self, fields: &Fields, tell: &mut impl FnMut(Event)) -> Result<(), Unreadable> {
        let item = self.item_of(fields)?;
        // Of a call whose beginning was not told, its end tells all.
        if let Some(call) = item.call {
            item.said = true;
            tell(Event::CallGoesOn { call, arguments: delta(fields) });
        }
        Ok(())
    }

    /// An item begins or ends. What was not told of it in pieces is told at its end.
    fn item(
        &mut self,
        fields: &Fields,
        is_done: bool,
        tell: &mut impl FnMut(Event),
    ) -> Result<(), Unreadable> {
        let Some(item) = fields.value("item").and_then(Fields::read) else { return Ok(()) };
        match item.text("type").as_deref() {
            Some("function_call" | "custom_tool_call") => self.call(fields, &item, is_done, tell),
            Some("local_shell_call") if is_done => {
                self.shell(&item, tell);
                Ok(())
            }
            Some("reasoning") if is_done => self.reasoning(fields, &item, tell),
            Some("message") if is_done && !self.item_of(fields)?.said => {
                tell_message(&item, &mut self.chars, tell);
                Ok(())
            }
            Some("image_generation_call") if is_done => {
                picture(&item).into_iter().for_each(|it| tell(Event::Media(it)));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn call(
        &mut self,
        fields: &Fields,
        item: &Fields,
        is_done: bool,
        tell: &mut impl FnMut(Event),
    ) -> Result<(), Unreadable> {
        let next = self.calls;
        let state = self.item_of(fields)?;
        let is_custom = item.text("type").as_deref() == Some("custom_tool_call");
        let own = |name: &str| text_of(item, name).unwrap_or_default();
        let call = *state.call.get_or_insert(next);
        if call == next {
            tell(Event::CallBegins { call, id: own("call_id"), name: own("name"), is_custom });
        }
        let arguments = own(if is_custom { "input" } else { "arguments" });
        if is_done && !state.said && !arguments.is_empty() {
            state.said = true;
            tell(Event::CallGoesOn { call, arguments });
        }
        self.calls = self.calls.max(call + 1);
        Ok(())
    }

    /// Its action is told whole.
    fn shell(&mut self, item: &Fields, tell: &mut impl FnMut(Event)) {
        if let Some(prompt::Part::Call(it)) = shell::read_call(item) {
            let call = self.calls;
            tell(Event::CallBegins { call, id: it.id, name: it.name, is_custom: false });
            tell(Event::CallGoesOn { call, arguments: it.arguments });
            self.calls += 1;
        }
    }

    fn reasoning(
        &mut self,
        fields: &Fields,
        item: &Fields,
        tell: &mut impl FnMut(Event),
    ) -> Result<(), Unreadable> {
        self.starts = true;
        if self.item_of(fields)?.said {
            let seal = item.text("encrypted_content").map(|it| own(&it));
            seal.into_iter().for_each(|it| tell(Event::Seal(it)));
            return Ok(());
        }
        for part in parts(item, &mut Vec::new(), &mut 0) {
            let prompt::Part::Thought(it) = part else { continue };
            // Reasoning of which nothing at all is shown is not worth a word.
            if it.text.is_empty() && it.seal.is_none() {
                continue;
            }
            tell(Event::Thought { text: it.text, is_summary: it.is_summary, starts: true, id: it.id });
            it.seal.into_iter().for_each(|it| tell(Event::Seal(it)));
        }
        Ok(())
    }

    fn complete(&mut self, fields: &Fields, tell: &mut impl FnMut(Event)) -> Result<(), Unreadable> {
        self.begin(fields, tell);
        let response = fields.value("response").and_then(Fields::read);
        let response = response.ok_or(Unreadable("an end without its response"))?;
        let finish = finish(&response, self.calls > 0)?;
        tell(Event::Finish(finish));
        response.text("service_tier").into_iter().for_each(|it| tell(Event::ServiceTier(it.into_owned())));
        let usage =
            response.value("usage").and_then(|it| serde_json::from_str::<UsageBody>(it).ok()?.usage());
        usage.into_iter().for_each(|it| tell(Event::Usage(it)));
        self.ended = true;
        tell(Event::End);
        Ok(())
    }

    /// The error stands in the event, in its `error`, or in that of its response.
    fn fail(&mut self, fields: &Fields, tell: &mut impl FnMut(Event)) {
        self.ended = true;
        let response = fields.value("response").and_then(Fields::read).unwrap_or_default();
        let inner = fields.value("error").or_else(|| response.value("error")).and_then(Fields::read);
        let error = inner.as_ref().unwrap_or(fields);
        tell(Event::Failed(failure(error)));
    }
}

fn delta(fields: &Fields) -> String {
    text_of(fields, "delta").unwrap_or_default()
}

fn tell_message(item: &Fields, chars: &mut u64, tell: &mut impl FnMut(Event)) {
    let mut tokens = Vec::new();
    let parts = parts(item, &mut tokens, chars);
    logprobs(&tokens).into_iter().for_each(|it| tell(Event::Logprobs(it)));
    for part in parts {
        match part {
            prompt::Part::Text { text, citations, .. } => {
                tell(Event::Text(text));
                citations.into_iter().for_each(|it| tell(Event::Citation(it)));
            }
            prompt::Part::Refusal(text) => tell(Event::Refusal(text)),
            _ => {}
        }
    }
}
