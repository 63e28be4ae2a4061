//! The quirks of one model: whether they concern a request at all, and the request as the vendor takes it.

use std::sync::Arc;

use aho_corasick::AhoCorasick;
use bytes::Bytes;

use super::body::Body;
use super::functions::{Fitted, Fitting, has_customs, has_fine_names};
use super::options::{
    MessageOptions, NativeOptions, QuirkOptions, SpellingName, ThinkingName, ToolIdName, WhenOptions,
};
use super::reasoning::{self, SPELLINGS, TEMPLATE};
use super::rules::Rules;
use super::{documents, messages, roles, schema, tools};
use crate::api::edit::joined;
use crate::api::fields::Fields;
use crate::dialect::Dialect;
use crate::dialect::loss::Losses;
use crate::dialect::terms::{Efforts, Terms, Thinking};
use crate::dialect::tool_names::NameRule;
use crate::vendor::models::ModelFacts;

/// What one model wants otherwise.
#[derive(Debug, Default)]
pub struct ModelQuirks {
    quirks: Vec<Arc<QuirkOptions>>,
    /// Something is done to every request.
    concerns_all: bool,
    /// Names of which one stands in a request that is concerned, with the quote before it; looked for in one pass.
    names: Option<AhoCorasick>,
    /// Of each of these whether it is only looked for as the name of a field, and not as a value: `user` is a role too.
    are_fields: Vec<bool>,
    /// Messages of developers are sent as such.
    developers: bool,
    /// Results of tools may show something.
    tool_media: bool,
    /// Custom tools are sent as such.
    custom_tools: bool,
    /// What names of tools may be.
    pub tool_names: NameRule,
    /// Some calls are asked in another dialect than chat's.
    changes_dialect: bool,
    /// The model puts its thoughts into the content, as `<think>…</think>`.
    pub think_tags: bool,
    /// The model can be asked for legacy completions, where its vendor has them.
    pub completions: bool,
}

impl ModelQuirks {
    pub(super) fn new(quirks: Vec<Arc<QuirkOptions>>) -> Self {
        let mut names: Vec<(&str, bool)> = quirks.iter().flat_map(|it| names(it)).collect();
        names.sort_unstable();
        // A name that begins with another one is found with it. What is a value as well comes first.
        names.dedup_by(|name, shorter| name.0.starts_with(shorter.0));
        let are_fields = names.iter().map(|it| it.1).collect();
        let quoted: Vec<String> = names.iter().map(|it| format!("\"{}", it.0)).collect();
        let names = AhoCorasick::new(&quoted);
        Self {
            // Too many names for an automaton: then every request is read.
            concerns_all: names.is_err() || quirks.iter().any(|it| concerns_all(it)),
            names: names.ok().filter(|_| !quoted.is_empty()),
            are_fields,
            developers: quirks.iter().filter_map(|it| it.messages.developer).next_back().unwrap_or_default(),
            tool_media: quirks.iter().filter_map(|it| it.messages.tool_media).next_back().unwrap_or_default(),
            custom_tools: quirks.iter().filter_map(|it| it.tools.custom).next_back().unwrap_or_default(),
            tool_names: quirks.iter().filter_map(|it| it.tools.names.clone()).next_back().unwrap_or_default(),
            changes_dialect: quirks.iter().any(|it| it.native.dialect.is_some()),
            think_tags: quirks.iter().filter_map(|it| it.think_tags).next_back().unwrap_or_default(),
            completions: quirks.iter().filter_map(|it| it.native.completions).next_back().unwrap_or(true),
            quirks,
        }
    }

    /// It wants nothing otherwise.
    pub fn is_empty(&self) -> bool {
        self.quirks.is_empty()
    }

    /// A chat completion's body, in pieces, with its tools as the vendor takes them, and what was changed of them.
    /// `names`: those of the tools may be changed; what is in its client's own dialect keeps them.
    pub fn fit_tools(&self, body: Vec<Bytes>, names: bool, losses: &mut Losses) -> (Vec<Bytes>, Fitted) {
        let customs = !self.custom_tools && body.iter().any(|it| has_customs(it));
        let are_fine = !names || body.iter().all(|it| has_fine_names(it, &self.tool_names));
        let rule = Some(&self.tool_names).filter(|_| !are_fine);
        let mut fitting = Fitting { customs, rule, fitted: Fitted::default() };
        if !customs && rule.is_none() {
            return (body, fitting.fitted);
        }
        let body = self.edited(body, losses, |_, body, losses| fitting.fit(body, losses));
        (body, fitting.fitted)
    }

    /// A chat completion's body, in pieces, with messages as chat's vendors know them. `is_foreign`: its client speaks another
    /// dialect, which has what chat has not.
    pub fn fit_messages(&self, body: Vec<Bytes>, is_foreign: bool) -> Vec<Bytes> {
        let is_in = |has: fn(&[u8]) -> bool| body.iter().any(|it| has(it));
        type Change = fn(&str) -> Option<String>;
        let changes: [(bool, Change); 3] = [
            (!self.developers && is_in(roles::has_developers), roles::as_system),
            (is_foreign && !self.tool_media && is_in(roles::has_media), roles::shown_by_the_user),
            (is_foreign && is_in(documents::has_documents), documents::named),
        ];
        if !changes.iter().any(|(is_needed, _)| *is_needed) {
            return body;
        }
        self.edited(body, &mut Losses::default(), |_, body, _| {
            for (_, change) in changes.iter().filter(|(is_needed, _)| *is_needed) {
                let changed = body.field("messages").and_then(|it| change(it.now()));
                changed.into_iter().for_each(|it| body.put("messages", it));
            }
        })
    }

    /// A chat completion's body, in pieces, as the vendor takes it: the very same pieces where nothing concerns it. What
    /// the client asked for and is not sent goes to `losses`. A body that is no JSON object is the vendor's to refuse.
    pub fn fit(&self, body: Vec<Bytes>, losses: &mut Losses) -> Vec<Bytes> {
        if !self.concerns(&body) {
            return body;
        }
        self.edited(body, losses, |rules, body, losses| {
            tools::fit(&rules.tools, body, losses);
            let schema = schema::wished(body);
            rules.fit_fields(body, losses);
            schema.into_iter().for_each(|it| schema::tell(it, body));
            let messages = body.field("messages");
            let messages = messages.and_then(|it| messages::fit(it.now(), &rules.messages, losses));
            if let Some(messages) = messages {
                body.put("messages", messages);
            }
        })
    }

    /// The same for one that is put into another dialect ([`ModelQuirks::dialect`]): what the model takes holds there too,
    /// but not how chat's messages and tools must look.
    pub fn fit_fields(&self, body: Vec<Bytes>, losses: &mut Losses) -> Vec<Bytes> {
        if !self.concerns(&body) {
            return body;
        }
        self.edited(body, losses, |rules, body, losses| rules.fit_fields(body, losses))
    }

    /// A look for names, without reading the JSON: pieces end between values.
    pub(super) fn concerns(&self, body: &[Bytes]) -> bool {
        let is_in = |names: &AhoCorasick, piece: &Bytes| {
            let mut found = names.find_iter(piece);
            found.any(|it| !self.are_fields[it.pattern()] || !is_value(&piece[it.end()..]))
        };
        let is_named = |names: &AhoCorasick| body.iter().any(|it| is_in(names, it));
        self.concerns_all || self.names.as_ref().is_some_and(is_named)
    }

    fn edited(
        &self,
        pieces: Vec<Bytes>,
        losses: &mut Losses,
        fit: impl for<'a> FnOnce(&Rules<'a>, &mut Body<'a>, &mut Losses),
    ) -> Vec<Bytes> {
        let whole = joined(&pieces);
        let text = str::from_utf8(&whole).ok();
        let fields = text.and_then(Fields::read);
        let body = text.zip(fields.as_ref()).and_then(|(text, fields)| Body::new(text, fields));
        let Some(mut body) = body else { return pieces };
        fit(&self.rules(&body), &mut body, losses);
        body.edited(&whole).unwrap_or(pieces)
    }

    fn rules<'a>(&'a self, body: &Body<'a>) -> Rules<'a> {
        let thinks = Rules::of(&self.quirks, body, None).reasoning.map(|it| reasoning::thinks(it, body));
        Rules::of(&self.quirks, body, Some(thinks.unwrap_or_default()))
    }

    /// The dialect that a chat completion of this body is put into instead of being asked in chat's; None for most.
    pub fn dialect(&self, body: &[u8]) -> Option<Dialect> {
        if !self.changes_dialect {
            return None;
        }
        let text = str::from_utf8(body).ok()?;
        let fields = Fields::read(text)?;
        self.rules(&Body::new(text, &fields)?).dialect
    }

    /// What the model wants of a dialect of its vendor's own.
    pub fn terms(&self, model: &str, facts: &ModelFacts) -> Terms {
        let budget = self.native(|it| it.budget).unwrap_or_default();
        Terms {
            model: model.to_owned(),
            output_max: facts.output,
            thinking: match self.native(|it| it.thinking) {
                None | Some(ThinkingName::Usual) => Thinking::Usual,
                Some(ThinkingName::Effort) => Thinking::Effort,
                Some(ThinkingName::Budget) => Thinking::Budget,
                Some(ThinkingName::Never) => Thinking::Never,
            },
            thinks_unasked: self.thinks_unasked(),
            efforts: self.native(|it| it.efforts.as_ref()).map(Efforts::named).unwrap_or_default(),
            budget_min: budget.min,
            budget_max: budget.max,
            fixed_sampling: self.native(|it| it.fixed_sampling).unwrap_or_default(),
            json_schema: facts.json_schema,
            call_ids: self.native(|it| it.call_ids).unwrap_or(true),
            service_tiers: self.native(|it| it.service_tiers).unwrap_or(true),
        }
    }

    /// What the last entry that says anything of it says.
    fn native<'a, T>(&'a self, of: impl Fn(&'a NativeOptions) -> Option<T>) -> Option<T> {
        self.quirks.iter().filter_map(|it| of(&it.native)).next_back()
    }
}

impl ModelQuirks {
    /// By what holds for all of its calls; a model of which nobody says how it is told to think is not known to.
    fn thinks_unasked(&self) -> bool {
        let always = self.quirks.iter().filter(|it| it.when == WhenOptions::default());
        let rule = always.filter_map(|it| it.reasoning.as_ref()).next_back();
        rule.is_some_and(|it| it.by_default && it.spelling != SpellingName::None)
    }
}

/// Whether the text before this, which ends here, is no name of a field: no colon follows.
fn is_value(rest: &[u8]) -> bool {
    let Some(rest) = rest.strip_prefix(b"\"") else { return false };
    rest.trim_ascii_start().first().is_some_and(|it| *it != b':')
}

/// Whether a quirk does something to requests without a name to look for.
fn concerns_all(quirk: &QuirkOptions) -> bool {
    let is_any = quirk.when.has.is_empty() && quirk.when.is.is_empty();
    let messages = &quirk.messages;
    let orders = [messages.user_needed, messages.system_first, messages.alternate].contains(&Some(true));
    let adds = !quirk.set.is_empty() || !quirk.default.is_empty();
    let pins = quirk.reasoning.as_ref().is_some_and(|it| it.pin.is_some());
    is_any && (orders || adds || pins)
}

/// The names by which a quirk's requests are known, and whether they are of fields alone.
fn names(quirk: &QuirkOptions) -> impl Iterator<Item = (&str, bool)> {
    let fields = fields(quirk).map(|it| (it, true));
    fields.chain(others(quirk).map(|it| (it, false)))
}

fn fields(quirk: &QuirkOptions) -> impl Iterator<Item = &str> {
    let renamed = quirk.rename.keys().chain(quirk.map.keys()).chain(quirk.respell.keys());
    let bounded = quirk.clamp.keys().chain(quirk.texts.keys()).chain(quirk.lists.keys());
    let dropped = quirk.drop.iter().chain(&quirk.drop_quietly);
    // A condition is as good a sign as what it leads to.
    let asked = quirk.when.has.iter().chain(quirk.when.is.keys());
    renamed.chain(bounded).chain(dropped).chain(asked).map(String::as_str)
}

fn others(quirk: &QuirkOptions) -> impl Iterator<Item = &str> {
    let spelt = quirk.reasoning.iter().flat_map(|_| SPELLINGS.into_iter().chain([TEMPLATE]));
    let tools = &quirk.tools;
    let of_tools = tools.drop.iter().flatten().map(String::as_str);
    let has_kinds = tools.kinds.is_some() || tools.named_alone.is_some();
    spelt.chain(of_tools).chain(has_kinds.then_some("tools")).chain(names_of_messages(&quirk.messages))
}

fn names_of_messages<'a>(messages: &'a MessageOptions) -> impl Iterator<Item = &'a str> {
    let kept = messages.extensions.as_deref();
    let extensions = kept.into_iter().flat_map(messages::others).map(|it| -> &'a str { it });
    let fields = messages.drop.iter().flatten().chain(messages.rename.iter().flat_map(|it| it.keys()));
    let with_calls = messages.echo_reasoning == Some(true)
        || messages.thought_signatures == Some(true)
        || messages.tools_answered == Some(true)
        || messages.tool_ids == Some(ToolIdName::NineAlphanumerics);
    let signs = [
        with_calls.then_some("tool_call"),
        (messages.text_content == Some(true)).then_some("text"),
        (messages.last_assistant_prefix == Some(true)).then_some("assistant"),
    ];
    extensions.chain(fields.map(String::as_str)).chain(signs.into_iter().flatten())
}
