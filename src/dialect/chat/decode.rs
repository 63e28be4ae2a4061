//! Reads the chunks of a streamed chat completion, whoever sends them.

use super::choice::ChoiceHeard;
use super::{failed, finish, sources, usage};
use crate::api::fields::{Fields, elements};
use crate::dialect::event::{Event, Told};
use crate::dialect::read::{count_of, text_of};
use crate::dialect::{Decoder, ErrorSaid, Unreadable};

/// Most answers of one stream.
const CHOICES_MAX: usize = 1024;

/// Sources at the top of an answer that are told; further ones are left out.
const SOURCES_MAX: usize = 256;

const CUT: &str = "The upstream's answer ended before it was complete.";

#[derive(Default)]
pub struct ChunkDecoder {
    begun: bool,
    ended: bool,
    tier: Option<String>,
    choices: Vec<ChoiceHeard>,
    /// Addresses that were told as sources.
    sources: Vec<String>,
}

impl Decoder for ChunkDecoder {
    fn read(&mut self, name: &str, data: &[u8], told: &mut Vec<Told>) -> Result<(), Unreadable> {
        if self.ended {
            return Ok(());
        }
        if data == b"[DONE]" {
            self.end_choices(told);
            self.ended = true;
            // Some leave out how an answer ends, but the last words of a call none may.
            told.push(match self.choices.iter().any(ChoiceHeard::is_cut) {
                true => Event::Failed(ErrorSaid::of(502, CUT)).told(),
                false => Event::End.told(),
            });
            return Ok(());
        }
        let fields = Fields::of_bytes(data);
        self.read_chunk(name, &fields.ok_or(Unreadable("a chunk is no JSON object"))?, told)
    }

    fn end(&mut self, told: &mut Vec<Told>) {
        let is_complete = !self.choices.is_empty() && self.choices.iter().all(|it| it.finished);
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        match is_complete {
            true => {
                self.end_choices(told);
                told.push(Event::End.told());
            }
            false => self.choices.iter_mut().for_each(|it| it.end_texts(told)),
        }
    }
}

impl ChunkDecoder {
    fn read_chunk(&mut self, name: &str, fields: &Fields, told: &mut Vec<Told>) -> Result<(), Unreadable> {
        let choices = fields.value("choices").and_then(elements).unwrap_or_default();
        let choices: Vec<Fields> = choices.into_iter().filter_map(|it| Fields::read(it.get())).collect();
        self.begin(fields, !choices.is_empty(), told);
        let tier =
            text_of(fields, "service_tier").filter(|it| !it.is_empty() && self.tier.as_ref() != Some(it));
        if let Some(tier) = tier {
            self.tier = Some(tier.clone());
            told.push(Event::ServiceTier(tier).told());
        }
        for choice in &choices {
            self.heard(choice)?.read(choice, told)?;
        }
        let failed = failed::read(name, fields).or_else(|| choices.iter().find_map(finish::failure));
        if let Some(error) = failed {
            self.ended = true;
            told.push(Event::Failed(error).told());
            return Ok(());
        }
        // Perplexity repeats them in every chunk, xAI has them in the last one.
        if choices.iter().any(|it| it.value("finish_reason").is_some()) {
            self.tell_sources(fields, told);
        }
        for choice in &choices {
            self.heard(choice)?.finish(choice, told);
        }
        told.extend(usage::read(fields, &choices).map(|it| Event::Usage(it).told()));
        Ok(())
    }

    /// Azure's first chunk has neither id nor choices.
    fn begin(&mut self, fields: &Fields, has_choices: bool, told: &mut Vec<Told>) {
        let text = |name: &str| text_of(fields, name).filter(|it| !it.is_empty());
        let id = text("id").filter(|_| fields.value("error").is_none() || has_choices);
        if self.begun || (id.is_none() && !has_choices) {
            return;
        }
        self.begun = true;
        let created = count_of(fields, "created").filter(|it| *it > 0);
        told.push(Event::Begin { id, model: text("model"), created }.told());
    }

    fn heard(&mut self, choice: &Fields) -> Result<&mut ChoiceHeard, Unreadable> {
        let index = count_of(choice, "index").and_then(|it| u32::try_from(it).ok()).unwrap_or(0);
        let at = match self.choices.iter().position(|it| it.index == index) {
            Some(at) => at,
            None if self.choices.len() < CHOICES_MAX => {
                self.choices.push(ChoiceHeard::new(index));
                self.choices.len() - 1
            }
            None => return Err(Unreadable("it has more choices than an answer can have")),
        };
        Ok(&mut self.choices[at])
    }

    fn end_choices(&mut self, told: &mut Vec<Told>) {
        self.choices.iter_mut().for_each(|it| it.end(told));
    }

    fn tell_sources(&mut self, fields: &Fields, told: &mut Vec<Told>) {
        for (url, citation) in sources::read(fields) {
            if self.sources.len() < SOURCES_MAX && !self.sources.contains(&url) {
                self.sources.push(url);
                told.push(Event::Citation(citation).told());
            }
        }
    }
}
