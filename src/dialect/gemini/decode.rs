//! Reads a streamed answer: each event is a whole response with what is new. Google has no event for the end: the
//! stream is complete when each candidate has said why it ended.

use super::candidate::{self, Candidate, Response};
use super::citation::{Heard, Said};
use super::failure;
use crate::api::usage::Usage;
use crate::dialect::event::{Event, Told};
use crate::dialect::prompt::{Call, Part, Thought};
use crate::dialect::{Decoder, Dialect, Unreadable};

/// Candidates beyond this index are no answers to anything that can be asked.
const CHOICES_MAX: u32 = 128;

#[derive(Default)]
pub(super) struct Reader {
    has_begun: bool,
    choices: Vec<Choice>,
    usage: Option<Usage>,
    /// The vendor told an error; nothing behind it counts.
    has_failed: bool,
}

/// One of the answers so far.
#[derive(Default)]
struct Choice {
    index: u32,
    calls: u32,
    said: Said,
    /// Told before the end.
    sources: Heard,
    /// What was told last is a thought, which goes on with the next one.
    is_thinking: bool,
    has_content: bool,
    is_finished: bool,
}

impl Decoder for Reader {
    fn read(&mut self, _name: &str, data: &[u8], told: &mut Vec<Told>) -> Result<(), Unreadable> {
        let data = std::str::from_utf8(data).map_err(|_| Unreadable("not UTF-8"))?;
        if let Some(error) = failure::read(data) {
            self.has_failed = true;
            told.push(Event::Failed(error).told());
            return Ok(());
        }
        let response = candidate::read(data)?;
        // As in a whole answer: what is answered was not refused.
        let refused = response.blocked.clone().filter(|_| response.candidates.is_empty());
        self.begin(&response, told);
        let mut finishes = false;
        for candidate in response.candidates.into_iter().filter(|it| it.index < CHOICES_MAX) {
            finishes |= candidate.finish.is_some();
            let failure = self.choice(candidate.index).read(candidate, told);
            self.has_failed |= failure;
        }
        if let Some(native) = refused.filter(|_| !self.choice(0).is_finished) {
            finishes = true;
            self.choice(0).is_finished = true;
            told.push(Event::Finish(candidate::refused(native)).told());
        }
        self.usage = response.usage.or(self.usage);
        if finishes || (response.usage.is_some() && self.is_complete()) {
            let tier = response.tier.map(|it| Event::ServiceTier(it.as_str().to_owned()));
            told.extend(tier.into_iter().chain(self.usage.map(Event::Usage)).map(Event::told));
        }
        Ok(())
    }

    fn end(&mut self, told: &mut Vec<Told>) {
        if self.is_complete() && !self.has_failed {
            told.push(Event::End.told());
        }
    }
}

impl Reader {
    fn begin(&mut self, response: &Response<'_>, told: &mut Vec<Told>) {
        if !self.has_begun {
            self.has_begun = true;
            let (id, model) = (response.id.clone(), response.model.clone());
            told.push(Event::Begin { id, model, created: None }.told());
        }
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let at = match self.choices.iter().position(|it| it.index == index) {
            Some(at) => at,
            None => {
                self.choices.push(Choice { index, ..Choice::default() });
                self.choices.len() - 1
            }
        };
        &mut self.choices[at]
    }

    fn is_complete(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|it| it.is_finished)
    }
}

impl Choice {
    /// Whether it failed. Its end is told all the same, behind that, for whoever has Google's word for it.
    fn read(&mut self, mut candidate: Candidate<'_>, told: &mut Vec<Told>) -> bool {
        let choice = self.index;
        let mut events = Vec::with_capacity(candidate.parts.len() + 1);
        for part in std::mem::take(&mut candidate.parts) {
            self.has_content |= candidate::is_content(&part);
            self.part(part, &mut events);
        }
        let failure = candidate.failure(self.has_content).filter(|_| !self.is_finished);
        let has_failed = failure.is_some();
        events.extend(candidate.logprobs.map(Event::Logprobs));
        self.sources.hear(&candidate.fields);
        if self.is_finished || candidate.finish.is_some() {
            events.extend(self.sources.tell(&self.said).into_iter().map(Event::Citation));
        }
        events.extend(failure.map(Event::Failed));
        if let Some(native) = candidate.finish.filter(|_| !self.is_finished) {
            self.is_finished = true;
            events.push(Event::Finish(candidate::finish(&native, self.calls > 0)));
        }
        told.extend(events.into_iter().map(|event| Told { choice, event }));
        has_failed
    }

    fn part(&mut self, part: Part, events: &mut Vec<Event>) {
        match part {
            Part::Thought(thought) => return self.thought(thought, events),
            Part::Text { text, .. } if text.is_empty() => return,
            Part::Text { text, .. } => {
                self.said.push(&text);
                events.push(Event::Text(text));
            }
            Part::Call(call) => self.call(call, events),
            Part::Media(media) => events.push(Event::Media(media)),
            Part::Refusal(_) | Part::Result(_) | Part::Other(_) => {}
        }
        self.is_thinking = false;
    }

    fn thought(&mut self, thought: Thought, events: &mut Vec<Event>) {
        if !thought.text.is_empty() {
            let starts = !self.is_thinking;
            events.push(Event::Thought { text: thought.text, is_summary: false, starts, id: None });
            self.is_thinking = true;
        } else if self.is_thinking && thought.seal.as_ref().is_some_and(|it| it.dialect == Dialect::Gemini) {
            // Google's seal is of what comes next; a text that says nothing parts it from the thought before.
            events.push(Event::Text(String::new()));
        }
        if let Some(seal) = thought.seal {
            events.push(Event::Seal(seal));
            self.is_thinking = false;
        }
    }

    fn call(&mut self, call: Call, events: &mut Vec<Event>) {
        let number = self.calls;
        self.calls += 1;
        events.push(Event::CallBegins { call: number, id: call.id, name: call.name, is_custom: false });
        events.push(Event::CallGoesOn { call: number, arguments: call.arguments });
    }
}
