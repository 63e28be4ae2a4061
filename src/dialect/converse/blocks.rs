//! Messages as Converse takes them: system texts apart; users and assistants in turn, a user first; blocks with one field
//! each.

use std::borrow::Cow;

use super::limits::Names;
use super::maker::Maker;
use super::media::Block;
use crate::api::fields::Fields;
use crate::api::ink::{Ink, LIST, OBJECT};
use crate::dialect::ids::mended;
use crate::dialect::json::Json;
use crate::dialect::loss::{Losses, name_of, name_of_made};
use crate::dialect::prompt::{
    Call, Media, MediaKind, Message, Part, Prompt, Role, Seal, Thought, ToolResult,
};
use crate::dialect::{Dialect, arguments};
use crate::error::Error;

/// Stands where Converse wants a text and there is none: before an assistant's first message and beside a document
/// ("ContentBlock": a document needs a text in the same message). Blank texts are refused.
const FILLER: &str = ".";

/// Messages of one side that follow each other, without what cannot be said.
struct Turn<'a> {
    role: Role,
    parts: Vec<&'a Part>,
}

/// Writes messages and system texts.
pub struct Writer<'a> {
    pub body: &'a mut Vec<u8>,
    pub losses: &'a mut Losses,
    pub maker: Maker,
    names: Names,
}

impl<'a> Writer<'a> {
    pub fn new(body: &'a mut Vec<u8>, losses: &'a mut Losses, maker: Maker) -> Self {
        Self { body, losses, maker, names: Names::default() }
    }

    /// System and developer messages, wherever they stand: not every model knows those inside a conversation.
    pub fn system(&mut self, prompt: &Prompt) {
        let is_system = |it: &&Message| matches!(it.role, Role::System | Role::Developer);
        let maker = self.maker;
        self.body.filled("system", LIST, |body| {
            for part in prompt.messages.iter().filter(is_system).flat_map(|it| &it.parts) {
                match part {
                    Part::Text { text, .. } if is_blank(text) => (),
                    Part::Text { text, cache, .. } => {
                        write_text(text, body);
                        write_cache(cache.as_ref(), maker, body);
                    }
                    other => self.losses.add(name_of(other)),
                }
            }
        });
    }

    pub fn messages(&mut self, prompt: &Prompt) -> Result<(), Error> {
        let turns = self.turns(prompt);
        self.body.key("messages");
        self.body.open(b'[');
        if turns.first().is_none_or(|it| it.role == Role::Assistant) {
            let filler = Part::text(FILLER);
            self.turn(&Turn { role: Role::User, parts: vec![&filler] }, None, false)?;
        }
        for (i, turn) in turns.iter().enumerate() {
            // A mark of the whole request caches as far as it goes.
            let is_last = i + 1 == turns.len();
            self.turn(turn, prompt.cache.as_ref().filter(|_| is_last), is_last)?;
        }
        self.body.close(b']');
        Ok(())
    }

    fn turns<'b>(&mut self, prompt: &'b Prompt) -> Vec<Turn<'b>> {
        let mut turns: Vec<Turn> = Vec::new();
        for message in &prompt.messages {
            let role = match message.role {
                Role::System | Role::Developer => continue,
                role => role,
            };
            let parts: Vec<&Part> = message.parts.iter().filter(|it| self.says(it, role)).collect();
            match turns.last_mut() {
                _ if parts.is_empty() => (),
                Some(last) if last.role == role => last.parts.extend(parts),
                _ => turns.push(Turn { role, parts }),
            }
        }
        turns
    }

    /// Whether a part becomes a block. What is lost by that is named. Pictures and documents are the user's alone ("Message").
    fn says(&mut self, part: &Part, role: Role) -> bool {
        match part {
            Part::Text { text, .. } | Part::Refusal(text) => !is_blank(text),
            Part::Thought(thought) => self.seal_of(thought).is_some(),
            Part::Call(_) | Part::Result(_) => true,
            Part::Media(media) if role == Role::Assistant => {
                self.losses.add(name_of_made(media.kind));
                false
            }
            Part::Media(media) if Block::of(media).is_some() => true,
            Part::Media(_) | Part::Other(_) => {
                self.losses.add(name_of(part));
                false
            }
        }
    }

    /// The seal that lets a thought be sent back. Readable reasoning alone may be of another maker, and is refused. What
    /// is sealed as a whole does not say who made it: Anthropic's models alone do so (Bedrock user guide, "Extended
    /// thinking").
    fn seal_of<'b>(&self, thought: &'b Thought) -> Option<&'b Seal> {
        thought.seal.as_ref().filter(|it| match it.dialect {
            Dialect::Converse => self.maker.is_perhaps_anthropic(),
            Dialect::Anthropic => self.maker.is_perhaps_anthropic() && !it.is_whole,
            _ => false,
        })
    }

    fn turn(&mut self, turn: &Turn, mark: Option<&Json>, is_last: bool) -> Result<(), Error> {
        let is_user = turn.role == Role::User;
        self.body.open(b'{');
        self.body.text_field("role", if is_user { "user" } else { "assistant" });
        self.body.key("content");
        self.body.open(b'[');
        // Results of tools come before what the user adds.
        let (mut parts, rest): (Vec<&Part>, Vec<_>) =
            turn.parts.iter().partition(|it| is_user && matches!(it, Part::Result(_)));
        parts.extend(rest);
        for (i, part) in parts.iter().enumerate() {
            match part {
                // Claude refuses an unfinished answer that ends in spaces.
                Part::Text { text, .. } | Part::Refusal(text)
                    if is_last && !is_user && i + 1 == parts.len() =>
                {
                    write_text(text.trim_end(), self.body);
                }
                part => self.part(part)?,
            }
            write_cache(self.mark(part, cache_of(part)), self.maker, self.body);
        }
        let is_document =
            |it: &&Part| matches!(it, Part::Media(it) if Block::of(it).is_some_and(|it| it.is_document()));
        let is_text = |it: &&Part| matches!(it, Part::Text { .. });
        if turn.parts.iter().any(is_document) && !turn.parts.iter().any(is_text) {
            write_text(FILLER, self.body);
        }
        let last = parts.last().filter(|it| cache_of(it).is_none());
        write_cache(last.and_then(|it| self.mark(it, mark)), self.maker, self.body);
        self.body.close(b']');
        self.body.close(b'}');
        Ok(())
    }

    fn part(&mut self, part: &Part) -> Result<(), Error> {
        match part {
            Part::Text { text, .. } | Part::Refusal(text) => write_text(text, self.body),
            Part::Media(media) => self.media(media),
            Part::Thought(thought) => self.thought(thought),
            Part::Call(call) => self.call(call)?,
            Part::Result(result) => self.result(result),
            Part::Other(_) => (),
        }
        Ok(())
    }

    /// The mark that may stand behind a part.
    fn mark<'b>(&self, part: &Part, mark: Option<&'b Json>) -> Option<&'b Json> {
        mark.filter(|_| !matches!(part, Part::Result(_)) || self.maker.caches_tools())
    }

    fn media(&mut self, media: &Media) {
        let Some(block) = Block::of(media) else { return };
        // Others than Anthropic's models do not cite.
        let cites = block.is_document() && self.maker.is_perhaps_anthropic();
        self.losses.add_detail(media);
        if !cites {
            self.losses.add_citing(media);
        }
        block.write(media, cites, &mut self.names, self.body);
    }

    fn thought(&mut self, thought: &Thought) {
        let Some(seal) = thought.seal.as_ref() else { return };
        self.body.open(b'{');
        self.body.filled("reasoningContent", OBJECT, |body| match seal.is_whole {
            true => _ = body.text_field("redactedContent", &seal.data),
            false => body.filled("reasoningText", OBJECT, |body| {
                body.text_field("text", &thought.text);
                body.text_field("signature", &seal.data);
            }),
        });
        self.body.close(b'}');
    }

    fn call(&mut self, call: &Call) -> Result<(), Error> {
        let input = input(call)?;
        self.body.open(b'{');
        self.body.filled("toolUse", OBJECT, |body| {
            body.text_field("toolUseId", &mended(&call.id));
            body.text_field("name", &call.name);
            body.raw_field("input", &input);
        });
        self.body.close(b'}');
        Ok(())
    }

    fn result(&mut self, result: &ToolResult) {
        self.body.open(b'{');
        self.body.key("toolResult");
        self.body.open(b'{');
        self.body.text_field("toolUseId", &mended(&result.call_id));
        self.body.key("content");
        self.body.open(b'[');
        for part in &result.parts {
            match part {
                Part::Text { text, .. } if is_blank(text) => (),
                Part::Text { text, .. } => write_text(text, self.body),
                Part::Media(media) if media.kind != MediaKind::Audio && Block::of(media).is_some() => {
                    self.media(media);
                }
                other => self.losses.add(name_of(other)),
            }
        }
        self.body.close(b']');
        if result.is_error {
            self.body.text_field("status", "error");
        }
        self.body.close(b'}');
        self.body.close(b'}');
    }
}

/// The arguments of a call as the object they must be.
fn input(call: &Call) -> Result<Cow<'_, str>, Error> {
    arguments::object(call).ok_or_else(|| {
        Error::bad_request(format!(
            "The arguments of the call of `{}` are no JSON object; send them as the model wrote them.",
            call.name
        ))
        .param("messages[].tool_calls[].function.arguments")
    })
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn write_text(text: &str, body: &mut Vec<u8>) {
    body.open(b'{');
    body.text_field("text", text);
    body.close(b'}');
}

/// A cache point behind what a mark of Anthropic's stood on.
pub fn write_cache(mark: Option<&Json>, maker: Maker, body: &mut Vec<u8>) {
    let Some(mark) = mark.filter(|_| maker.caches()) else { return };
    let ttl = Fields::read(mark.get()).and_then(|it| it.text("ttl"));
    body.raw(match ttl.as_deref() {
        Some("1h") if maker.caches_tools() => r#"{"cachePoint":{"type":"default","ttl":"1h"}}"#,
        _ => r#"{"cachePoint":{"type":"default"}}"#,
    });
}

fn cache_of(part: &Part) -> Option<&Json> {
    match part {
        Part::Text { cache, .. } => cache.as_ref(),
        Part::Media(media) => media.cache.as_ref(),
        Part::Result(result) => result.cache.as_ref(),
        _ => None,
    }
}
