//! One of the answers of a stream, as its chunks come in.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::calls::{Calls, Piece};
use super::details::Detail;
use super::{content, finish, media};
use crate::api::fields::{Fields, elements, inner};
use crate::api::surrogates::Pieces;
use crate::dialect::Unreadable;
use crate::dialect::event::{Event, Told};
use crate::dialect::json::Json;
use crate::dialect::prompt::{Media, MediaKind, Part, Seal, Source};
use crate::dialect::read::{object_of, raw_of, text_of};

/// Bytes of a recording that are put together before they are told: what is longer is told as several.
const RECORDING_BYTES_MAX: usize = 16 << 20;

/// The only format in which OpenAI streams recordings.
const RECORDING_TYPE: &str = "audio/pcm16";

#[derive(Default)]
pub struct ChoiceHeard {
    pub index: u32,
    pub finished: bool,
    text: Pieces,
    refusal: Pieces,
    thought: Pieces,
    /// Index and id of the thought that was told last.
    last: (Option<u64>, Option<String>),
    /// The last thing told is that thought.
    thinks: bool,
    calls: Calls,
    recording: Vec<u8>,
    /// What it says comes as `delta`; a `message` beside it repeats.
    has_deltas: bool,
}

impl ChoiceHeard {
    pub fn new(index: u32) -> Self {
        Self { index, ..Self::default() }
    }

    fn tell(&mut self, event: Event, told: &mut Vec<Told>) {
        self.thinks = matches!(event, Event::Thought { .. });
        told.push(Told { choice: self.index, event });
    }

    /// Tells what a chunk says of this answer, but not that it ended.
    pub fn read(&mut self, choice: &Fields, told: &mut Vec<Told>) -> Result<(), Unreadable> {
        let delta = object_of(choice, "delta").filter(|it| it.each().next().is_some());
        self.has_deltas |= delta.is_some();
        let said = match self.has_deltas {
            true => delta,
            false => object_of(choice, "message"),
        };
        if let Some(logprobs) = raw_of(choice, "logprobs").filter(|it| it.get().starts_with('{')) {
            self.tell(Event::Logprobs(logprobs), told);
        }
        match said {
            Some(said) => self.read_said(&said, told),
            None => Ok(()),
        }
    }

    fn read_said(&mut self, said: &Fields, told: &mut Vec<Told>) -> Result<(), Unreadable> {
        let calls = Piece::all(said);
        self.read_thoughts(said, &calls, told);
        self.read_content(said, told);
        if let Some(text) =
            said.value("refusal").and_then(|it| self.refusal.read(it)).filter(|it| !it.is_empty())
        {
            self.tell(Event::Refusal(text), told);
        }
        for image in said.value("images").and_then(elements).unwrap_or_default() {
            self.read_part(image.get(), told);
        }
        if let Some(audio) = said.value("audio") {
            self.read_recording(audio, told);
        }
        for citation in said.value("annotations").and_then(elements).unwrap_or_default() {
            self.tell(Event::Citation(Json::from(citation)), told);
        }
        for piece in calls {
            let (choice, thinks) = (self.index, &mut self.thinks);
            self.calls.read(piece, |event| {
                *thinks = false;
                told.push(Told { choice, event });
            })?;
        }
        Ok(())
    }

    fn read_thoughts(&mut self, said: &Fields, calls: &[Piece], told: &mut Vec<Told>) {
        let details = said.value("reasoning_details").map(Detail::all).unwrap_or_default();
        // Most repeat there what they say in one text.
        if !details.iter().any(Detail::is_readable)
            && let Some(json) = readable(said)
        {
            let text = self.thought.read(json).unwrap_or_default();
            self.tell_thought(text, false, !self.thinks, None, told);
        }
        let ids: HashSet<&str> = calls.iter().filter_map(|it| it.id.as_deref()).collect();
        for detail in details {
            let is_of_call = detail.id.as_deref().is_some_and(|it| ids.contains(it));
            match detail {
                Detail { seal: Some(seal), text: None, .. } if is_of_call => {
                    self.tell(Event::Seal(Seal { is_whole: false, ..seal }), told);
                }
                _ => self.read_detail(detail, told),
            }
        }
    }

    fn read_detail(&mut self, detail: Detail, told: &mut Vec<Told>) {
        let has_no_name = detail.index.is_none() && detail.id.is_none();
        let goes_on = detail.continues(self.last.0, self.last.1.as_deref()) || (has_no_name && self.thinks);
        if let Some(text) = detail.text {
            let text = self.thought.read(text).unwrap_or_default();
            self.tell_thought(text, detail.is_summary, !goes_on, detail.id.clone(), told);
            self.last = (detail.index, detail.id);
        }
        if let Some(seal) = detail.seal {
            self.tell(Event::Seal(seal), told);
        }
    }

    fn tell_thought(
        &mut self,
        text: String,
        is_summary: bool,
        starts: bool,
        id: Option<String>,
        told: &mut Vec<Told>,
    ) {
        if starts || !text.is_empty() {
            self.tell(Event::Thought { text, is_summary, starts, id }, told);
        }
    }

    fn read_content(&mut self, said: &Fields, told: &mut Vec<Told>) {
        let Some(json) = said.value("content") else { return };
        if let Some(text) = self.text.read(json) {
            if !text.is_empty() {
                self.tell(Event::Text(text), told);
            }
            return;
        }
        for part in elements(json).unwrap_or_default() {
            self.read_part(part.get(), told);
        }
    }

    /// Tells a part of content in parts, as Mistral streams it.
    fn read_part(&mut self, json: &str, told: &mut Vec<Told>) {
        match content::read_part(json) {
            Some(Part::Text { text, citations, .. }) => {
                // As it was written: this piece may end inside a character.
                let piece = Fields::read(json).and_then(|it| self.text.read(it.value("text")?));
                let text = piece.unwrap_or(text);
                if !text.is_empty() {
                    self.tell(Event::Text(text), told);
                }
                citations.into_iter().for_each(|it| self.tell(Event::Citation(it), told));
            }
            Some(Part::Thought(thought)) => {
                self.tell_thought(thought.text, thought.is_summary, !self.thinks, thought.id, told);
                if let Some(seal) = thought.seal {
                    self.tell(Event::Seal(seal), told);
                }
            }
            Some(Part::Refusal(text)) => self.tell(Event::Refusal(text), told),
            Some(Part::Media(media)) => self.tell(Event::Media(media), told),
            // No other part is told of in streams.
            _ => {}
        }
    }

    /// A whole recording names its format; OpenAI's pieces do not.
    fn read_recording(&mut self, json: &str, told: &mut Vec<Told>) {
        let Some(fields) = Fields::read(json) else { return };
        if fields.value("format").is_some() {
            let media = media::read_audio(json).and_then(|(media, _)| media);
            media.into_iter().for_each(|it| self.tell(Event::Media(it), told));
            return;
        }
        if let Some(text) = text_of(&fields, "transcript").filter(|it| !it.is_empty()) {
            self.tell(Event::Text(text), told);
        }
        let piece = text_of(&fields, "data").and_then(|it| STANDARD.decode(it).ok());
        self.recording.extend(piece.unwrap_or_default());
        if self.recording.len() > RECORDING_BYTES_MAX {
            self.tell_recording(told);
        }
    }

    fn tell_recording(&mut self, told: &mut Vec<Told>) {
        if self.recording.is_empty() {
            return;
        }
        let base64 = STANDARD.encode(std::mem::take(&mut self.recording));
        let source = Source::Data { media_type: RECORDING_TYPE.to_owned(), base64 };
        let media = Media::of(MediaKind::Audio, source);
        self.tell(Event::Media(media), told);
    }

    /// Tells that the answer ended, where the chunk says so for the first time.
    pub fn finish(&mut self, choice: &Fields, told: &mut Vec<Told>) {
        let finish = finish::read(choice, !self.calls.is_empty());
        if let Some(finish) = finish.filter(|_| !self.finished) {
            self.end(told);
            self.finished = true;
            self.tell(Event::Finish(finish), told);
        }
    }

    /// Whether it cannot be all, for arguments of a call are cut.
    pub fn is_cut(&self) -> bool {
        !self.finished && self.calls.are_cut()
    }

    /// Tells what is held: no piece comes any more.
    pub fn end(&mut self, told: &mut Vec<Told>) {
        self.end_texts(told);
        let choice = self.index;
        self.calls.end(|event| told.push(Told { choice, event }));
        self.tell_recording(told);
    }

    /// Tells what stands for halves of characters whose other half never came.
    pub fn end_texts(&mut self, told: &mut Vec<Told>) {
        if let Some(text) = self.thought.end() {
            self.tell_thought(text, false, false, None, told);
        }
        if let Some(text) = self.text.end() {
            self.tell(Event::Text(text), told);
        }
        if let Some(text) = self.refusal.end() {
            self.tell(Event::Refusal(text), told);
        }
    }
}

/// The reasoning as one text, in JSON.
fn readable<'a>(said: &Fields<'a>) -> Option<&'a str> {
    let mut texts = ["reasoning_content", "reasoning"].into_iter().filter_map(|it| said.value(it));
    texts.find(|it| inner(it).is_some_and(|it| !it.is_empty()))
}
