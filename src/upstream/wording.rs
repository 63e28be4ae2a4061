//! A client's call that asks a model to speak: in its own words, and as a chat completion once somebody needs that. What
//! each target is told of it says `upstream::asked`.

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::api::edit::joined;
use crate::api::request::{self, RequestScan};
use crate::dialect::loss::{Losses, name_of, name_of_tool};
use crate::dialect::prompt::{Media, MediaKind, Message, Part, Prompt, Source, Tool};
use crate::dialect::terms::Terms;
use crate::dialect::{Dialect, Frame, VendorDialect, ids, orphans, responses, seal};
use crate::error::{Error, Kind, Origin};
use crate::route::table::Route;
use crate::telemetry::EndpointKind;
use crate::upstream::body_edit::BodyEdit;

/// How deep the JSON of a translated call may be: the client's own depth was bounded before, by 1,024 at most
/// (`limits.json_depth_max`), and translation adds a few.
const DEPTH_MAX: usize = 1_100;

/// Code of the refusal of a call that only counts, by a target that cannot.
pub const UNCOUNTED: &str = "tokens_not_counted";

/// The words of a client's call.
#[derive(Debug)]
pub struct Wording {
    pub dialect: Dialect,
    /// What is repeated in its answer.
    pub frame: Frame,
    /// It only asks how many tokens it has.
    pub counts: bool,
    /// The same as a chat completion, once somebody needed it.
    chat: OnceLock<Result<Chat, Error>>,
    /// That without what only the client's own dialect has, and what that is; None where there is nothing of it.
    bare: OnceLock<Result<Option<(Chat, Losses)>, Error>>,
    others_words: OnceLock<bool>,
    /// The answer comes in the client's own dialect.
    forwarded: AtomicBool,
}

/// A call as a chat completion.
#[derive(Clone, Debug)]
pub struct Chat {
    pub body: Bytes,
    pub scan: RequestScan,
}

impl Wording {
    pub fn new(dialect: Dialect, frame: Frame, counts: bool) -> Arc<Self> {
        Arc::new(Self {
            dialect,
            frame,
            counts,
            chat: OnceLock::new(),
            bare: OnceLock::new(),
            forwarded: AtomicBool::new(false),
            others_words: OnceLock::new(),
        })
    }

    /// Says, before its first byte goes out, whether the answer is in the client's dialect or in chat's.
    pub fn note_forwarded(&self, forwarded: bool) {
        self.forwarded.store(forwarded, Relaxed);
    }

    pub fn is_forwarded(&self) -> bool {
        self.forwarded.load(Relaxed)
    }

    /// Whether it brings back what another vendor than one of its own dialect said, and those would refuse: thoughts,
    /// sources, ids of calls.
    pub(super) fn holds_others_words(&self) -> bool {
        let has_strange_ids = || self.dialect == Dialect::Anthropic && ids::are_strange_in(&self.frame.asked);
        *self.others_words.get_or_init(|| seal::may_stand_in(&self.frame.asked) || has_strange_ids())
    }

    /// The same with what `route` adds to it, to be counted.
    pub fn chat_on(&self, route: &Route) -> Result<Bytes, Error> {
        let chat = self.chat()?;
        let mut edit = BodyEdit::new(&chat.body, &chat.scan);
        edit.instruct(route, EndpointKind::Chat);
        edit.fill_in(route, EndpointKind::Chat);
        Ok(joined(&edit.apply()))
    }

    /// A call that is none as a chat completion.
    pub fn chat(&self) -> Result<&Chat, Error> {
        let chat = self.chat.get_or_init(|| self.prompt().and_then(|it| written(&it)));
        chat.as_ref().map_err(Clone::clone)
    }

    /// The same for vendors of chat's, which are told nothing that only the client's own dialect knows; and what that is.
    pub(super) fn bare_chat(&self) -> Result<(&Chat, Option<&Losses>), Error> {
        match self.bare.get_or_init(|| self.bared()) {
            Ok(Some((chat, losses))) => Ok((chat, Some(losses))),
            Ok(None) => self.chat().map(|it| (it, None)),
            Err(error) => Err(error.clone()),
        }
    }

    fn bared(&self) -> Result<Option<(Chat, Losses)>, Error> {
        let mut prompt = self.prompt()?;
        let is_own = |it: &Tool| matches!(it, Tool::Other(_));
        let mut losses = Losses::default();
        // Parts of its own a chat client knows to be its vendor's.
        if self.dialect != Dialect::Chat {
            orphans::leave_out(&mut prompt);
            prompt.messages.retain_mut(|it| bare_message(it, self.dialect, &mut losses));
        }
        let has_own = !losses.is_empty() || !prompt.extra.is_empty() || prompt.tools.iter().any(is_own);
        if !has_own || self.dialect == Dialect::Completions {
            self.chat.get_or_init(|| written(&prompt));
            return Ok(None);
        }
        prompt.extra.drain(..).for_each(|(name, value)| losses.add_field(&name, &value));
        responses::shell_as_function(&mut prompt.tools);
        prompt.tools.retain(|it| match it {
            Tool::Other(json) => {
                losses.add(name_of_tool(json));
                false
            }
            _ => true,
        });
        Ok(Some((written(&prompt)?, losses)))
    }

    /// What the client asks.
    pub(super) fn prompt(&self) -> Result<Prompt, Error> {
        let reader = self.dialect.of_clients().ok_or_else(|| mute(self.dialect))?;
        reader.read_prompt(&self.frame.asked, &self.frame.aside)
    }
}

/// Leaves the parts out of `message` that only the client's own dialect knows; false where there were no others.
fn bare_message(message: &mut Message, dialect: Dialect, losses: &mut Losses) -> bool {
    let before = message.parts.len();
    bare_parts(&mut message.parts, dialect, losses);
    before == 0 || !message.parts.is_empty()
}

fn bare_parts(parts: &mut Vec<Part>, dialect: Dialect, losses: &mut Losses) {
    parts.retain_mut(|it| {
        if let Part::Result(result) = it {
            bare_parts(&mut result.parts, dialect, losses);
        }
        let own = own(it, dialect);
        let is_own = own.is_some();
        own.into_iter().for_each(|it| losses.add(it));
        !is_own
    });
}

/// What a part is called that means nothing to vendors of chat. Files are kept at the vendor of their dialect: OpenAI's chat
/// takes its own documents by their ids, but no pictures.
fn own(part: &Part, dialect: Dialect) -> Option<Cow<'static, str>> {
    match part {
        Part::Media(Media { source: Source::File(_), kind, .. }) => {
            let is_known = dialect == Dialect::Responses && *kind == MediaKind::Document;
            (!is_known).then_some("messages[].content[file_id]".into())
        }
        Part::Other(_) => Some(name_of(part)),
        _ => None,
    }
}

fn written(prompt: &Prompt) -> Result<Chat, Error> {
    let terms = Terms { model: prompt.model.clone(), ..Terms::default() };
    let body = chat_writer().write_prompt(prompt, &terms, &mut Losses::default())?;
    let scan = request::scan(&body, DEPTH_MAX)?;
    Ok(Chat { body: body.into(), scan })
}

pub(super) fn chat_writer() -> &'static dyn VendorDialect {
    &crate::dialect::chat::Chat
}

/// A dialect that clients or vendors cannot speak; no configuration leads here.
pub(super) fn mute(dialect: Dialect) -> Error {
    let message = format!("The gateway has no words for `{}` here.", dialect.as_str());
    Error::new(Kind::Internal, Origin::Gateway, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fields::Fields;

    #[test]
    fn files_kept_elsewhere_are_not_told_to_vendors_of_chat() {
        let check = |dialect: Dialect, asked: &str, chat: &str, losses: &str| {
            let frame = Frame { asked: Bytes::copy_from_slice(asked.as_bytes()), ..Frame::default() };
            let wording = Wording::new(dialect, frame, false);
            let (bare, lost) = wording.bare_chat().unwrap();
            let messages = Fields::of_bytes(&bare.body).and_then(|it| it.value("messages"));
            assert_eq!(messages, Some(chat), "{asked}");
            assert_eq!(lost.map(|it| it.names().join(" ")).unwrap_or_default(), losses, "{asked}");
        };
        let anthropic = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[
            {"type":"text","text":"q"},{"type":"image","source":{"type":"file","file_id":"file_a"}},
            {"type":"document","source":{"type":"file","file_id":"file_b"}}]}]}"#;
        let told = r#"[{"role":"user","content":"q"}]"#;
        check(Dialect::Anthropic, anthropic, told, "messages[].content[file_id]");
        let responses = r#"{"model":"m","input":[{"role":"user","content":[
            {"type":"input_file","file_id":"file-a"},{"type":"input_image","file_id":"file-b"}]}]}"#;
        let told = r#"[{"role":"user","content":[{"type":"file","file":{"file_id":"file-a"}}]}]"#;
        check(Dialect::Responses, responses, told, "messages[].content[file_id]");
    }
}
