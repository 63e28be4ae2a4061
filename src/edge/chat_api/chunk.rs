//! Reads what a chunk of a stream, or a whole answer, says: the texts of its first choice, or that it failed. What is not
//! understood of it says nothing, and hides nothing else.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::surrogates::Pieces;

/// Something that is said.
#[derive(Debug, PartialEq)]
pub enum Said {
    Reasoning(String),
    Content(String),
    /// What the vendor says of it, if it does.
    Failed(Option<String>),
}

/// The texts of an answer so far: a chunk may end inside a character.
#[derive(Default)]
pub struct Texts {
    reasoning: Pieces,
    content: Pieces,
    refusal: Pieces,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    message: Option<Delta<'a>>,
}

/// A part of a message, or all of it.
#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
}

/// A part of content in parts: text, or a thought, which is a list of texts.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
}

impl Texts {
    pub fn read(&mut self, data: &[u8]) -> Vec<Said> {
        let Ok(chunk) = serde_json::from_slice::<Chunk>(data) else { return Vec::new() };
        if let Some(error) = chunk.error {
            return vec![Said::Failed(message(error))];
        }
        let first = chunk.choices.into_iter().flatten().find(|it| it.index == 0);
        let Some(delta) = first.and_then(|it| it.delta.or(it.message)) else { return Vec::new() };
        let mut said = Vec::new();
        let reasoning = text(&mut self.reasoning, delta.reasoning_content);
        let reasoning = reasoning.or_else(|| text(&mut self.reasoning, delta.reasoning));
        said.extend(reasoning.map(Said::Reasoning));
        match text(&mut self.content, delta.content) {
            Some(content) => said.push(Said::Content(content)),
            None => parts(delta.content).iter().for_each(|it| self.part(it, &mut said)),
        }
        said.extend(text(&mut self.refusal, delta.refusal).map(Said::Content));
        said
    }

    fn part(&mut self, part: &Part<'_>, said: &mut Vec<Said>) {
        said.extend(text(&mut self.content, part.text).map(Said::Content));
        for thought in parts(part.thinking) {
            said.extend(text(&mut self.reasoning, thought.text).map(Said::Reasoning));
        }
    }

    /// What stands for halves of characters whose other half never came: of the reasoning and of the content.
    pub fn rest(&mut self) -> (String, String) {
        let content = [self.content.end(), self.refusal.end()].into_iter().flatten().collect();
        (self.reasoning.end().unwrap_or_default(), content)
    }
}

fn text(pieces: &mut Pieces, json: Option<&RawValue>) -> Option<String> {
    pieces.read(json?.get())
}

/// The elements of a list that are objects.
fn parts<'a>(json: Option<&'a RawValue>) -> Vec<Part<'a>> {
    let list = json.and_then(|it| serde_json::from_str::<Vec<&'a RawValue>>(it.get()).ok());
    let parts = list.into_iter().flatten();
    parts.filter_map(|it| serde_json::from_str(it.get()).ok()).collect()
}

fn message(error: &RawValue) -> Option<String> {
    let error: Value = serde_json::from_str(error.get()).ok()?;
    error["message"].as_str().or(error.as_str()).map(str::to_owned)
}
