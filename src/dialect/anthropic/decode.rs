//! Reads the events of a vendor's stream.
//!
//! Blocks of Anthropic's own tools (`server_tool_use`, `*_tool_result`) say nothing that a stream of another dialect
//! could carry; they are passed over. Seals and citations are told when their block ends.

use super::answer::{explanation, finish};
use super::{block, citation, errors, seal};
use crate::api::fields::Fields;
use crate::api::usage::UsageBody;
use crate::dialect::event::{Event, Told};
use crate::dialect::{Decoder, Unreadable};

/// Most blocks that are open at once. The API opens one at a time.
const OPEN_MAX: usize = 64;

/// Longest signature that is put together, in bytes.
const SIGNATURE_MAX: usize = 1 << 22;

/// Most citations that are kept of one block.
const CITATIONS_MAX: usize = 1_024;

#[derive(Default)]
pub(super) struct Reading {
    open: Vec<(u64, Block)>,
    /// Calls begun: they have a numbering of their own.
    calls: u32,
    /// Characters of text so far: annotations count in them.
    chars: usize,
    usage: UsageBody,
    is_finished: bool,
}

enum Block {
    Text {
        start: usize,
        citations: Vec<String>,
    },
    Thought {
        signature: String,
        is_told: bool,
    },
    /// `input`: what stood in the block's beginning.
    Call {
        call: u32,
        input: String,
        is_told: bool,
    },
    Other,
}

impl Decoder for Reading {
    fn read(&mut self, name: &str, data: &[u8], told: &mut Vec<Told>) -> Result<(), Unreadable> {
        let fields = Fields::of_bytes(data);
        let fields = fields.ok_or(Unreadable("an event of the stream is not a JSON object"))?;
        let mut tell = |event: Event| told.push(event.told());
        match fields.text("type").as_deref().unwrap_or(name) {
            "message_start" => self.message_start(&fields, &mut tell)?,
            "content_block_start" => self.block_start(&fields, &mut tell)?,
            "content_block_delta" => self.block_delta(&fields, &mut tell)?,
            "content_block_stop" => self.block_stop(index(&fields)?, &mut tell),
            "message_delta" => self.message_delta(&fields, &mut tell),
            "message_stop" => tell(Event::End),
            "ping" => tell(Event::Ping),
            "error" => {
                let error = fields.value("error").and_then(Fields::read).unwrap_or_default();
                let text = |name: &str| error.text(name).unwrap_or_default();
                tell(Event::Failed(errors::said(&text("type"), &text("message"))));
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<Told>) {
        // `message_stop` ends the stream; without it the stream broke off.
    }
}

fn index(fields: &Fields) -> Result<u64, Unreadable> {
    fields.value("index").and_then(|it| it.parse().ok()).ok_or(Unreadable("a block's event has no index"))
}

impl Reading {
    fn message_start(&mut self, fields: &Fields, tell: &mut impl FnMut(Event)) -> Result<(), Unreadable> {
        let message = fields.value("message").and_then(Fields::read);
        let message = message.ok_or(Unreadable("message_start holds no message"))?;
        let own = |name: &str| message.text(name).map(String::from);
        tell(Event::Begin { id: own("id"), model: own("model"), created: None });
        self.count(&message, tell);
        Ok(())
    }

    /// Counts are cumulative, and what an event does not repeat still holds.
    fn count(&mut self, fields: &Fields, tell: &mut impl FnMut(Event)) {
        let Some(usage) = fields.value("usage") else { return };
        let tier_before = self.usage.service_tier();
        self.usage.update(usage);
        if let Some(tier) = self.usage.service_tier().filter(|it| tier_before != Some(*it)) {
            tell(Event::ServiceTier(tier.as_str().into()));
        }
        if let Some(usage) = self.usage.usage().filter(|it| it.says_something()) {
            tell(Event::Usage(usage));
        }
    }

    fn block_start(&mut self, fields: &Fields, tell: &mut impl FnMut(Event)) -> Result<(), Unreadable> {
        let index = index(fields)?;
        let block = fields.value("content_block").and_then(Fields::read);
        let block = block.ok_or(Unreadable("content_block_start holds no block"))?;
        let own = |name: &str| block.text(name).unwrap_or_default();
        let opened = match own("type").as_ref() {
            "text" => Block::Text { start: self.chars, citations: Vec::new() },
            "thinking" => Block::Thought { signature: own("signature").into_owned(), is_told: false },
            "tool_use" => self.call(&block, tell),
            "redacted_thinking" => {
                tell(Event::Seal(seal::read(&own("data"), true)));
                Block::Other
            }
            _ => Block::Other,
        };
        if self.open.len() >= OPEN_MAX {
            return Err(Unreadable("too many blocks are open at once"));
        }
        self.open.retain(|(it, _)| *it != index);
        self.open.push((index, opened));
        // Some servers of this dialect say the beginning already here.
        self.delta(index, "text_delta", &block, tell)?;
        self.delta(index, "thinking_delta", &block, tell)
    }

    fn call(&mut self, block: &Fields, tell: &mut impl FnMut(Event)) -> Block {
        let call = self.calls;
        self.calls += 1;
        let own = |name: &str| block.text(name).unwrap_or_default().into_owned();
        tell(Event::CallBegins { call, id: own("id"), name: own("name"), is_custom: false });
        let input = block.value("input").unwrap_or("{}").to_owned();
        Block::Call { call, input, is_told: false }
    }

    fn block_delta(&mut self, fields: &Fields, tell: &mut impl FnMut(Event)) -> Result<(), Unreadable> {
        let delta = fields.value("delta").and_then(Fields::read);
        let delta = delta.ok_or(Unreadable("content_block_delta holds no delta"))?;
        let kind = delta.text("type").unwrap_or_default();
        self.delta(index(fields)?, &kind, &delta, tell)
    }

    fn delta(
        &mut self,
        index: u64,
        kind: &str,
        delta: &Fields,
        tell: &mut impl FnMut(Event),
    ) -> Result<(), Unreadable> {
        let text = |name: &str| block::text_of(delta, name).filter(|it| !it.is_empty());
        let Some((_, block)) = self.open.iter_mut().find(|(it, _)| *it == index) else { return Ok(()) };
        match (block, kind) {
            (Block::Text { .. }, "text_delta") => {
                if let Some(text) = text("text") {
                    self.chars += text.chars().count();
                    tell(Event::Text(text.into_owned()));
                }
            }
            (Block::Text { citations, .. }, "citations_delta") => {
                let location = delta.value("citation").filter(|_| citations.len() < CITATIONS_MAX);
                citations.extend(location.map(String::from));
            }
            (Block::Thought { is_told, .. }, "thinking_delta") => {
                if let Some(text) = text("thinking") {
                    tell(thought(text.into_owned(), !*is_told));
                    *is_told = true;
                }
            }
            (Block::Thought { signature, .. }, "signature_delta") => {
                signature.push_str(&text("signature").unwrap_or_default());
                if signature.len() > SIGNATURE_MAX {
                    return Err(Unreadable("a signature is too long"));
                }
            }
            (Block::Call { call, is_told, .. }, "input_json_delta") => {
                if let Some(arguments) = text("partial_json") {
                    tell(Event::CallGoesOn { call: *call, arguments: arguments.into_owned() });
                    *is_told = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn block_stop(&mut self, index: u64, tell: &mut impl FnMut(Event)) {
        let Some(at) = self.open.iter().position(|(it, _)| *it == index) else { return };
        match self.open.swap_remove(at).1 {
            Block::Text { start, citations } => {
                let annotations =
                    citations.iter().filter_map(|it| citation::annotation(it, start, self.chars));
                annotations.for_each(|it| tell(Event::Citation(it)));
            }
            Block::Thought { signature, is_told } if !signature.is_empty() => {
                if !is_told {
                    tell(thought(String::new(), true));
                }
                tell(Event::Seal(seal::read(&signature, false)));
            }
            // Without a delta the beginning was all: mostly an empty object.
            Block::Call { call, input, is_told: false } => {
                tell(Event::CallGoesOn { call, arguments: input });
            }
            _ => {}
        }
    }

    /// May come more than once; the first that says why counts.
    fn message_delta(&mut self, fields: &Fields, tell: &mut impl FnMut(Event)) {
        let delta = fields.value("delta").and_then(Fields::read).unwrap_or_default();
        if let Some(finish) = finish(&delta).filter(|_| !self.is_finished) {
            self.is_finished = true;
            if let Some(text) = explanation(&delta) {
                tell(Event::Refusal(text));
            }
            tell(Event::Finish(finish));
        }
        self.count(fields, tell);
    }
}

fn thought(text: String, starts: bool) -> Event {
    Event::Thought { text, is_summary: false, starts, id: None }
}
