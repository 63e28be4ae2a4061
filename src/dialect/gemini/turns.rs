//! Writes the conversation: `contents` of user and model by turns, each with parts. Results of tools come first in a
//! user's turn, as Gemini wants them directly behind the calls they answer.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{media as types, seal};
use crate::api::fields::{Fields, elements};
use crate::api::ink::Ink;
use crate::api::surrogates;
use crate::dialect::loss::{Losses, name_of, name_of_media};
use crate::dialect::prompt::{Call, Media, Message, Part, Prompt, Role, Source, Thought, ToolResult};
use crate::dialect::terms::{Terms, Thinking};
use crate::dialect::{Dialect, arguments};
use crate::error::Error;

/// Parts that only Google knows, passed as they came.
const OWN_PARTS: &[&str] = &["executableCode", "codeExecutionResult", "toolCall", "toolResponse"];

/// The conversation while it is written, a turn at a time.
pub(super) struct Turns<'a> {
    /// Names of tools by the ids of their calls.
    tools: HashMap<&'a str, &'a str>,
    /// The model refuses calls without a signature (Gemini 3 and later).
    wants_seals: bool,
    /// The model takes media within the results of tools (Gemini 3 and later).
    results_show: bool,
    /// Calls and results have ids; without, their order alone tells those of one name apart.
    call_ids: bool,
    is_models: bool,
    /// The places of calls so far by their ids; of calls of one id, the last one's.
    calls: HashMap<&'a str, usize>,
    calls_count: usize,
    /// With the places of their calls.
    results: Vec<(usize, String)>,
    parts: String,
    /// The signature that belongs to the part that comes next.
    pending: Option<&'a str>,
    /// A call of this turn is written: Gemini signs, and asks back, the first one only.
    has_call: bool,
}

impl<'a> Turns<'a> {
    pub fn new(prompt: &'a Prompt, terms: &Terms) -> Self {
        let is_new = matches!(terms.thinking, Thinking::Usual | Thinking::Effort);
        Self {
            tools: prompt.tools_by_call(),
            wants_seals: is_new,
            results_show: is_new,
            call_ids: terms.call_ids,
            is_models: false,
            calls: HashMap::new(),
            calls_count: 0,
            results: Vec::new(),
            parts: String::new(),
            pending: None,
            has_call: false,
        }
    }

    pub fn add(&mut self, message: &'a Message, losses: &mut Losses, out: &mut String) -> Result<(), Error> {
        // A message that says nothing does not part those around it: Google refuses empty contents and texts.
        if message.parts.iter().all(is_silent) {
            return Ok(());
        }
        let is_models = message.role == Role::Assistant;
        if is_models != self.is_models {
            self.end(out);
            self.is_models = is_models;
        }
        for (at, part) in message.parts.iter().enumerate() {
            match part {
                Part::Thought(it) => self.thought(it, message.parts.get(at + 1)),
                part => self.part(part, losses)?,
            }
        }
        Ok(())
    }

    /// Writes the turn so far.
    pub fn end(&mut self, out: &mut String) {
        self.loose_seal();
        let mut results = std::mem::take(&mut self.results);
        results.sort_by_key(|it| it.0);
        let parts = std::mem::take(&mut self.parts);
        self.has_call = false;
        if results.is_empty() && parts.is_empty() {
            return;
        }
        out.open(b'{');
        out.text_field("role", if self.is_models { "model" } else { "user" });
        out.key("parts").open(b'[');
        results.iter().for_each(|(_, it)| _ = out.raw(it));
        out.raw(&parts);
        out.close(b']');
        out.close(b'}');
    }

    fn part(&mut self, part: &'a Part, losses: &mut Losses) -> Result<(), Error> {
        match part {
            Part::Text { .. } | Part::Refusal(_) if is_silent(part) => {}
            Part::Text { text, .. } | Part::Refusal(text) => self.text(text),
            Part::Media(it) => media(it, self.pending.take(), losses, &mut self.parts),
            Part::Thought(thought) => self.thought(thought, None),
            Part::Call(call) => self.call(call)?,
            Part::Result(result) => self.result(result, losses)?,
            Part::Other(json) => self.other(part, json.get(), losses),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.parts.open(b'{');
        self.parts.text_field("text", text);
        self.parts.text_if("thoughtSignature", self.pending.take());
        self.parts.close(b'}');
    }

    /// Google's own seals go back; what may be read of reasoning, only where it is sealed: Gemini reads nothing in
    /// other thoughts. Google signs calls, not the thoughts before them: clients whose dialect has seals in thoughts only
    /// bring such a signature back in one.
    fn thought(&mut self, thought: &'a Thought, next: Option<&Part>) {
        let Some(seal) = thought.seal.as_ref().filter(|it| it.dialect == Dialect::Gemini) else { return };
        self.loose_seal();
        let signs_next = thought.text.is_empty() || matches!(next, Some(Part::Call(_)));
        if !thought.text.is_empty() {
            self.parts.open(b'{');
            self.parts.text_field("text", &thought.text);
            self.parts.raw_field("thought", "true");
            self.parts.text_if("thoughtSignature", (!signs_next).then_some(seal.data.as_str()));
            self.parts.close(b'}');
        }
        if signs_next {
            self.pending = Some(&seal.data);
        }
    }

    /// A signature that nothing follows stands in a part of its own, as Gemini itself ends a stream with one.
    fn loose_seal(&mut self) {
        if self.pending.is_some() {
            self.text("");
        }
    }

    fn call(&mut self, call: &'a Call) -> Result<(), Error> {
        self.calls.insert(&call.id, self.calls_count);
        self.calls_count += 1;
        let stand_in = (self.wants_seals && !self.has_call).then_some(seal::STAND_IN);
        self.has_call = true;
        self.parts.open(b'{');
        self.parts.key("functionCall").open(b'{');
        self.parts.text_if("id", self.call_ids.then_some(&call.id));
        self.parts.text_field("name", &call.name);
        self.parts.raw_field("args", &arguments_of(call)?);
        self.parts.close(b'}');
        self.parts.text_if("thoughtSignature", self.pending.take().or(stand_in));
        self.parts.close(b'}');
        Ok(())
    }

    fn result(&mut self, result: &'a ToolResult, losses: &mut Losses) -> Result<(), Error> {
        let name = result.name.as_deref().or_else(|| self.tools.get(result.call_id.as_str()).copied());
        let Some(name) = name else {
            return Err(Error::bad_request(format!(
                "`{}` is the id of no tool call in this conversation; send the assistant's message with the call before its result",
                result.call_id
            ))
            .param("messages[].tool_call_id"));
        };
        let (mut shown, mut beside) = (String::new(), String::new());
        for part in &result.parts {
            match part {
                Part::Media(it) if self.results_show => media(it, None, losses, &mut shown),
                Part::Media(it) => media(it, None, losses, &mut beside),
                Part::Text { .. } => {}
                part => losses.add(name_of(part)),
            }
        }
        let mut written = String::new();
        written.open(b'{').key("functionResponse").open(b'{');
        written.text_if("id", self.call_ids.then_some(&result.call_id));
        written.text_field("name", name).raw_field("response", &response(result));
        if !shown.is_empty() {
            written.raw_field("parts", &format!("[{shown}]"));
        }
        written.close(b'}').close(b'}');
        let place = self.calls.get(result.call_id.as_str()).copied();
        self.results.push((place.unwrap_or(usize::MAX), written));
        self.parts.raw(&beside);
        Ok(())
    }

    fn other(&mut self, part: &Part, json: &str, losses: &mut Losses) {
        let fields = Fields::read(json).unwrap_or_default();
        match fields.each().any(|(name, _)| super::names::known(name, OWN_PARTS).is_some()) {
            true => _ = self.parts.raw(json),
            false => losses.add(name_of(part)),
        }
    }
}

/// Whether it is a text of nothing.
pub(super) fn is_silent(part: &Part) -> bool {
    matches!(part, Part::Text { text, .. } | Part::Refusal(text) if text.is_empty())
}

/// Arguments as the object that Gemini takes.
fn arguments_of(call: &Call) -> Result<Cow<'_, str>, Error> {
    arguments::object(call).ok_or_else(|| {
        Error::bad_request(format!(
            "The arguments of tool call `{}` must be a JSON object; send them as the model gave them",
            call.id
        ))
        .param("messages[].tool_calls[].function.arguments")
    })
}

/// What a tool gave, as the object that Gemini takes: an object as it is, anything else as its `output`, an error as
/// its `error`.
fn response(result: &ToolResult) -> String {
    let texts = result.parts.iter().filter_map(|it| match it {
        Part::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    let text = texts.collect::<Vec<_>>().join("\n");
    let object = arguments::mended(&text);
    let name = if result.is_error { "error" } else { "output" };
    let mut written = String::new();
    match object {
        Some(object) if !result.is_error => return object.into_owned(),
        Some(object) => _ = written.open(b'{').raw_field(name, &object),
        None if elements(&text).is_some() => {
            written.open(b'{').raw_field(name, &surrogates::mended(&text));
        }
        None => _ = written.open(b'{').text_field(name, &text),
    }
    written.close(b'}');
    written
}

/// A picture, document or recording as a part; a signature where it has one.
pub(super) fn media(media: &Media, signature: Option<&str>, losses: &mut Losses, out: &mut String) {
    let Some((field, first, second)) = placed(media, losses) else { return };
    losses.add_detail(media);
    losses.add_citing(media);
    out.open(b'{');
    out.key(field).open(b'{');
    for (name, value) in [first, second] {
        out.text_if(name, value.as_deref());
    }
    out.close(b'}');
    out.text_if("thoughtSignature", signature);
    out.close(b'}');
}

type Field<'a> = (&'static str, Option<Cow<'a, str>>);

/// The field that holds it, and that field's own two.
fn placed<'a>(media: &'a Media, losses: &mut Losses) -> Option<(&'static str, Field<'a>, Field<'a>)> {
    let inline = |media_type: &'a str, data: Cow<'a, str>| {
        ("inlineData", ("mimeType", Some(media_type.into())), ("data", Some(data)))
    };
    let linked = |media_type: Option<&'a str>, uri: &'a str| {
        ("fileData", ("mimeType", media_type.map(Into::into)), ("fileUri", Some(uri.into())))
    };
    match &media.source {
        Source::Data { media_type, base64 } => Some(inline(media_type, base64.into())),
        Source::Text(text) => Some(inline("text/plain", BASE64_STANDARD.encode(text).into())),
        Source::Url { url, media_type } => match media_type.as_deref().or_else(|| types::type_of(url)) {
            None if !types::is_youtube(url) && !types::is_of_google(url) => {
                losses.add(name_of_media(media.kind));
                None
            }
            media_type => Some(linked(media_type, url)),
        },
        Source::File(id) if types::is_of_google(id) => Some(linked(types::type_of(id), id)),
        Source::File(_) => {
            losses.add("messages[].content[file_id]");
            None
        }
    }
}
