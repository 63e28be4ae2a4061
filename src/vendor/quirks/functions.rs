//! Tools of chat completions as vendors take them: custom tools as functions of one text, where the vendor takes functions
//! only, and names that it does not take as others. In the tools of a request, in the choice among them and in the calls
//! of its history. In what comes back `upstream::mending` makes them the client's again.

use std::borrow::Cow;

use memchr::{memchr, memmem};

use super::body::Body;
use super::list::changed;
use crate::api::fields::{Fields, object, quoted, text};
use crate::api::surrogates;
use crate::dialect::arguments::wrapped;
use crate::dialect::functions::{TEXT_INPUT, is_grammar};
use crate::dialect::loss::Losses;
use crate::dialect::tool_names::{NameRule, Renamed};

/// What was changed, by which the answer is to be read.
#[derive(Debug, Default, PartialEq)]
pub struct Fitted {
    /// Names of the client's custom tools that went as functions.
    pub customs: Vec<String>,
    pub names: Renamed,
}

/// Whether a piece of a body has something of a custom tool. It may only look so.
pub(super) fn has_customs(piece: &[u8]) -> bool {
    memmem::find(piece, b"\"custom").is_some()
}

/// Whether all names in a piece of a body are fine. What is none of a tool may only look so.
pub(super) fn has_fine_names(piece: &[u8], rule: &NameRule) -> bool {
    const NAME: &[u8] = b"\"name\"";
    memmem::find_iter(piece, NAME).all(|at| {
        let value =
            piece[at + NAME.len()..].trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        let Some(text) = value.and_then(|it| it.strip_prefix(b"\"")) else { return true };
        memchr(b'"', text).is_some_and(|end| rule.takes(&text[..end]))
    })
}

/// Changes one body.
pub(super) struct Fitting<'a> {
    /// Custom tools become functions.
    pub customs: bool,
    /// What names must be; None: they stay.
    pub rule: Option<&'a NameRule>,
    pub fitted: Fitted,
}

impl Fitting<'_> {
    pub fn fit(&mut self, body: &mut Body<'_>, losses: &mut Losses) {
        let tools = body.value("tools").and_then(|it| changed(it, |it| self.tool(it, losses)));
        let choice = body.value("tool_choice").and_then(Fields::read).and_then(|it| self.choice(&it));
        let messages = body.value("messages").and_then(|it| changed(it, |it| self.message(it)));
        for (name, value) in [("tools", tools), ("tool_choice", choice), ("messages", messages)] {
            value.into_iter().for_each(|it| body.put(name, it));
        }
    }

    /// The object of what is custom, and is not to be.
    fn custom<'a>(&self, fields: &Fields<'a>) -> Option<Fields<'a>> {
        fields.value("custom").filter(|_| self.customs).and_then(Fields::read)
    }

    /// Another name; None where it stays.
    fn renamed(&mut self, name: &str) -> Option<String> {
        Some(quoted(&self.fitted.names.sent(&text(name)?, self.rule?)?))
    }

    /// What is of a function, with another name for it.
    fn function(&mut self, fields: &Fields<'_>) -> Option<String> {
        let kind = if fields.value("custom").is_some() { "custom" } else { "function" };
        let inner = fields.value(kind).and_then(Fields::read)?;
        let name = self.renamed(inner.value("name")?)?;
        Some(fields.with(kind, Some(&inner.with("name", Some(&name)))))
    }

    fn tool(&mut self, tool: &Fields<'_>, losses: &mut Losses) -> Option<String> {
        let Some(custom) = self.custom(tool) else { return self.function(tool) };
        let name = custom.value("name")?;
        self.fitted.customs.push(text(name)?.into_owned());
        losses.add_if(custom.value("format").is_some_and(is_grammar), "tools[].custom.format");
        let name = self.renamed(name).map_or(Cow::Borrowed(name), Cow::Owned);
        let said = custom.value("description").map(|it| ("description", it));
        let function = [("name", &*name)].into_iter().chain(said).chain([("parameters", TEXT_INPUT)]);
        Some(instead(tool, &object(function)))
    }

    /// A choice of one tool, or of several that are allowed.
    fn choice(&mut self, choice: &Fields<'_>) -> Option<String> {
        if let Some(custom) = self.custom(choice) {
            let name = self.renamed(custom.value("name")?);
            return Some(instead(choice, &custom.with("name", name.as_deref().or(custom.value("name")))));
        }
        let Some(allowed) = choice.value("allowed_tools").and_then(Fields::read) else {
            return self.function(choice);
        };
        let tools = allowed.value("tools").and_then(|it| changed(it, |it| self.choice(it)))?;
        Some(choice.with("allowed_tools", Some(&allowed.with("tools", Some(&tools)))))
    }

    fn message(&mut self, message: &Fields<'_>) -> Option<String> {
        if message.text("role").as_deref() == Some("tool") {
            let name = self.renamed(message.value("name")?)?;
            return Some(message.with("name", Some(&name)));
        }
        let calls = message.value("tool_calls").and_then(|it| changed(it, |it| self.call(it)))?;
        Some(message.with("tool_calls", Some(&calls)))
    }

    fn call(&mut self, call: &Fields<'_>) -> Option<String> {
        let Some(custom) = self.custom(call) else { return self.function(call) };
        let input = custom.value("input").and_then(surrogates::text).unwrap_or_default();
        let name = custom.value("name")?;
        let name = self.renamed(name).map_or(Cow::Borrowed(name), Cow::Owned);
        Some(instead(call, &object([("name", &*name), ("arguments", &quoted(&wrapped(&input)))])))
    }
}

/// What was custom, with `function` in its place.
fn instead(fields: &Fields<'_>, function: &str) -> String {
    object(fields.each().map(|(name, value)| match name {
        "type" => (name, "\"function\""),
        "custom" => ("function", function),
        _ => (name, value),
    }))
}
