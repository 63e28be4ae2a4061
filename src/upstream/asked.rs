//! How a call that asks a model to speak is worded for each target: as the client wrote it, where the target speaks its
//! dialect, else as a chat completion, and where the target does not speak that either, or not of this model, in the
//! target's own. What the gateway adds (system prompt, history, defaults) it adds to the client's chat completion, or to
//! the one its call became.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::api::edit::joined;
use crate::api::fields::Fields;
use crate::api::request::RequestScan;
use crate::dialect::loss::Losses;
use crate::dialect::prompt::Prompt;
use crate::dialect::terms::Terms;
use crate::dialect::{Aside, ClientDialect, Dialect, chat, gemini, orphans, responses};
use crate::error::{Error, Retry};
use crate::route::table::Route;
use crate::route::target::Target;
use crate::telemetry::EndpointKind;
use crate::upstream::Upstream;
use crate::upstream::body_edit::BodyEdit;
use crate::upstream::call::{Call, Encoded};
use crate::upstream::mending::Mends;
use crate::upstream::options::Unsupported;
use crate::upstream::payload::Payload;
use crate::upstream::spec::Form;
use crate::upstream::wording::{UNCOUNTED, Wording, chat_writer, mute};
use crate::vendor::prefill;
use crate::vendor::quirks::ModelQuirks;

/// One call at one target.
pub(super) struct Asked<'a> {
    pub call: &'a Call,
    pub wording: &'a Wording,
    pub body: &'a Bytes,
    pub scan: &'a RequestScan,
    pub route: &'a Route,
    pub target: &'a Target,
    pub upstream: &'a Upstream,
    /// The vendor's name for the model.
    pub name: &'a str,
    /// What is odd about the model there.
    pub quirks: Arc<ModelQuirks>,
}

impl Asked<'_> {
    pub fn encode(&self) -> Result<Encoded, Error> {
        let encoded = self.in_its_words()?;
        match encoded.losses.names().first() {
            Some(field) if self.upstream.spec.unsupported == Unsupported::Error => {
                Err(self.unsayable(field.clone()))
            }
            _ => Ok(encoded),
        }
    }

    /// The operator has this target refuse what it cannot be told; another one may understand.
    fn unsayable(&self, field: Cow<'static, str>) -> Error {
        let message = format!(
            "The upstream `{}` cannot be told `{field}`; leave it out, or ask another model.",
            self.upstream.spec.id
        );
        let mut error = Error::bad_request(message).param(field).code("unsupported_parameter");
        error.retry = Retry::NextTarget;
        error
    }

    fn in_its_words(&self) -> Result<Encoded, Error> {
        let client = self.wording.dialect;
        match self.upstream.spec.form(client).filter(|_| self.may_forward()) {
            Some(_) if self.wording.counts && self.upstream.spec.manners.path.is_some() => {
                Err(self.uncounted())
            }
            Some(form) => self.forwarded(form),
            None if self.wording.counts => Err(self.uncounted()),
            None if self.call.vendors_own.is_some() => Err(self.unknown()),
            None if self.says_all() => self.retold(),
            None if client == Dialect::Chat => self.worded(self.body, self.scan),
            None => self.worded_as_chat(),
        }
    }

    /// Whether the client's words are all that the target is told, and it speaks no chat: then they need not become a chat
    /// completion on their way.
    fn says_all(&self) -> bool {
        let Self { call, route, scan, upstream, .. } = self;
        let adds = call.past.is_some() || call.said.is_some() || scan.store.is_some();
        let fills_in = route.system.is_some() || !route.defaults.is_empty();
        let fits = upstream.spec.forms.first().is_some_and(|it| self.fits_fields(it));
        !adds && !fills_in && !fits && upstream.spec.form(Dialect::Chat).is_none()
    }

    /// Whether the quirks of chat's fields hold where a call is asked by `form` instead: OpenAI's models take the same by
    /// both of its interfaces.
    fn fits_fields(&self, form: &Form) -> bool {
        form.dialect == Dialect::Responses && !self.quirks.is_empty()
    }

    /// The client's words in the first dialect of the target.
    fn retold(&self) -> Result<Encoded, Error> {
        let prompt = self.wording.prompt()?;
        let injected = prompt.stream && !prompt.tells_usage && self.is_chats();
        let form = self.upstream.spec.forms.first().ok_or_else(|| mute(Dialect::Chat))?;
        self.translated(prompt, injected, form)
    }

    /// Whether the client is told the usage of a stream only where it asked for it.
    fn is_chats(&self) -> bool {
        matches!(self.wording.dialect, Dialect::Chat | Dialect::Completions)
    }

    /// As a chat completion. Of what only the client's own dialect knows, vendors of chat's are told nothing.
    fn worded_as_chat(&self) -> Result<Encoded, Error> {
        if self.upstream.spec.form(Dialect::Chat).is_none() {
            let chat = self.wording.chat()?;
            return self.worded(&chat.body, &chat.scan);
        }
        // History goes into it at the same place: messages stand before all else.
        let (chat, losses) = self.wording.bare_chat()?;
        let mut encoded = self.worded(&chat.body, &chat.scan)?;
        losses.into_iter().for_each(|it| encoded.losses.join(it));
        Ok(encoded)
    }

    /// Only those who speak the dialect count in it.
    fn uncounted(&self) -> Error {
        let message = format!("The upstream `{}` counts no tokens.", self.upstream.spec.id);
        Error::bad_request(message).code(UNCOUNTED).retry(Retry::NextTarget)
    }

    /// The call names what this target cannot know.
    fn unknown(&self) -> Error {
        let field = self.call.vendors_own.unwrap_or_default();
        let why = match field {
            "background" => {
                "The gateway keeps no responses here, so an answer in the background is its vendor's to give"
            }
            "conversation" => "`conversation` names none that the gateway keeps",
            _ => "`previous_response_id` names no response that the gateway keeps",
        };
        let upstream = &self.upstream.spec.id;
        let message = format!("{why}: the upstream `{upstream}` does not speak the Responses API.");
        let mut error = Error::bad_request(message).param(field);
        if field == "previous_response_id" {
            error = error.code("previous_response_not_found");
        }
        error.retry = Retry::NextTarget;
        error
    }

    /// Whether the client's own bytes can go out. What the gateway adds it can say in OpenAI's dialects only, history in
    /// chat's only, and thoughts of another maker would be refused.
    fn may_forward(&self) -> bool {
        if self.wording.dialect == Dialect::Chat {
            return self.other_form(self.body).is_none();
        }
        if self.wording.dialect == Dialect::Completions && !self.completes() {
            return false;
        }
        let is_openais = matches!(self.wording.dialect, Dialect::Completions | Dialect::Responses);
        if self.wording.holds_others_words() || self.call.is_retold {
            return false;
        }
        let is_alone =
            self.call.past.as_ref().is_none_or(|it| it.kept_at.as_ref() == Some(&self.upstream.spec.id));
        is_alone && (is_openais || (self.route.system.is_none() && self.route.defaults.is_empty()))
    }

    /// Whether legacy completions go out as such: the model serves them, or there is no chat to ask by.
    fn completes(&self) -> bool {
        let spec = &self.upstream.spec;
        self.quirks.completions || spec.form(Dialect::Chat).is_none()
    }

    /// In the client's dialect.
    fn forwarded(&self, form: &Form) -> Result<Encoded, Error> {
        let kind = match form.dialect {
            Dialect::Chat => return Ok(self.chat(self.body, self.scan, Some(form))),
            Dialect::Responses => EndpointKind::Responses,
            Dialect::Completions => EndpointKind::Completions,
            _ => EndpointKind::Other,
        };
        let mut edit = BodyEdit::new(self.body, self.scan);
        let (mut injected, mut losses, mut fitted) = (false, Losses::default(), None);
        if form.dialect == Dialect::Gemini {
            fitted = gemini::fitted(self.body, &self.terms(), &mut losses);
        } else {
            edit.instruct(self.route, kind);
            edit.model(self.name);
            edit.fill_in(self.route, kind);
            let asks = self.call.wants_usage && self.upstream.spec.stream_usage && self.scan.stream;
            injected = asks && form.dialect == Dialect::Completions && edit.ask_for_usage();
        }
        let path = match (form.dialect, form.dialect.of_vendors()) {
            // The model is a part of it.
            (Dialect::Gemini, Some(vendor)) => {
                let path = vendor.path(self.name, self.scan.stream);
                Some(if self.wording.counts {
                    path.replace(":generateContent", ":countTokens")
                } else {
                    path
                })
            }
            _ => None,
        };
        Ok(Encoded {
            base: form.base.clone(),
            path,
            usage_injected: injected,
            form: Some(form.dialect),
            is_own: true,
            losses,
            ..Encoded::new(Payload::held(fitted.map_or_else(|| edit.apply(), |it| vec![it.into()])))
        })
    }

    /// Where a chat completion must be asked instead, if this model is not served by them.
    fn other_form(&self, body: &[u8]) -> Option<&Form> {
        self.quirks.dialect(body).and_then(|it| self.upstream.spec.form(it))
    }

    /// As a chat completion, or in the dialect that this call must be in, or the first of a target that speaks no chat.
    fn worded(&self, body: &Bytes, scan: &RequestScan) -> Result<Encoded, Error> {
        let other = self.other_form(body);
        match self.upstream.spec.form(Dialect::Chat).filter(|_| other.is_none()) {
            Some(form) => {
                Ok(Encoded { path: Some(chat_writer().path("", false)), ..self.chat(body, scan, Some(form)) })
            }
            None => {
                let chat = self.chat(body, scan, None);
                let (mut losses, mut body) = (Losses::default(), chat.payload.joined());
                let form = other.or(self.upstream.spec.forms.first()).ok_or_else(|| mute(Dialect::Chat))?;
                let mut summary = None;
                if self.fits_fields(form) {
                    summary = summary_wished(&body);
                    body = joined(&self.quirks.fit_fields(vec![body], &mut losses));
                }
                let mut prompt = chat::Chat.read_prompt(&body, &Aside::default())?;
                if let Some(summary) = summary {
                    prompt.reasoning.get_or_insert_default().summary = Some(summary);
                }
                let mut encoded = self.translated(prompt, chat.usage_injected, form)?;
                encoded.losses.join(&losses);
                Ok(encoded)
            }
        }
    }

    /// The chat completion with what the gateway adds to it. `form`: where it is spoken; None: it is translated further.
    fn chat(&self, body: &Bytes, scan: &RequestScan, form: Option<&Form>) -> Encoded {
        let Self { call, route, target, upstream, name, .. } = self;
        let mut edit = BodyEdit::new(body, scan);
        edit.instruct(route, EndpointKind::Chat);
        if let Some(past) = &call.past {
            edit.go_back(past, &past.fitted(target, name));
        }
        let mut base = form.and_then(|it| it.base.clone());
        if let Some(said) = &call.said {
            let prefill = target.facts(name).prefill;
            edit.go_on(said, prefill);
            let usual = base.as_deref().unwrap_or(&upstream.base_path);
            base = Some(prefill::base_path(prefill, usual).into_owned());
        }
        edit.keep_store();
        edit.model(name);
        edit.fill_in(route, EndpointKind::Chat);
        let is_chats = self.is_chats();
        let asks = match form {
            // Other clients are always told, and so is everybody by targets of other dialects.
            Some(_) => upstream.spec.stream_usage && (call.wants_usage || !is_chats),
            None => true,
        };
        let injected = asks && scan.stream && edit.ask_for_usage();
        let (mut losses, mut mends) = (Losses::default(), Mends::default());
        let mut pieces = edit.apply();
        if form.is_some() {
            let fitted;
            (pieces, fitted) = self.quirks.fit_tools(pieces, !is_chats, &mut losses);
            (mends.customs, mends.names) = (fitted.customs, fitted.names);
            pieces = self.quirks.fit_messages(pieces, !is_chats);
            pieces = self.quirks.fit(pieces, &mut losses);
            mends.think_tags = self.quirks.think_tags;
        }
        Encoded {
            base,
            usage_injected: injected && is_chats,
            form: Some(Dialect::Chat),
            is_own: self.wording.dialect == Dialect::Chat && mends.is_empty(),
            losses,
            mends,
            ..Encoded::new(Payload::held(pieces))
        }
    }

    fn terms(&self) -> Terms {
        self.quirks.terms(self.name, &self.target.facts(self.name))
    }

    /// In the dialect of `form`.
    fn translated(&self, mut prompt: Prompt, usage_injected: bool, form: &Form) -> Result<Encoded, Error> {
        let vendor = form.dialect.of_vendors().ok_or_else(|| mute(form.dialect))?;
        let mut losses = Losses::default();
        if form.dialect != Dialect::Responses {
            orphans::leave_out(&mut prompt);
            responses::shell_as_function(&mut prompt.tools);
        }
        let mends = Mends::of(&mut prompt, &self.quirks.tool_names);
        let body = vendor.write_prompt(&prompt, &self.terms(), &mut losses)?;
        Ok(Encoded {
            payload: Payload::held(vec![body.into()]),
            base: form.base.clone(),
            path: Some(vendor.path(self.name, prompt.stream)),
            usage_injected,
            form: Some(form.dialect),
            // Sessions remember what they are told in chat's words.
            is_own: form.dialect == self.wording.dialect
                && self.call.past.is_none()
                && mends.names.is_empty(),
            losses,
            mends,
        })
    }
}

/// The summary of thoughts that a chat completion's `reasoning` asks for. Chat vendors have no word for it, and their quirks
/// take it out.
fn summary_wished(body: &[u8]) -> Option<String> {
    let fields = Fields::of_bytes(body)?;
    let reasoning = Fields::read(fields.value("reasoning")?)?;
    reasoning.text("summary").map(|it| it.into_owned())
}
