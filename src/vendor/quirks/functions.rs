//! Custom tools as functions of one text, for vendors of chat completions that take functions only: in the tools of a
//! request, in the choice among them and in the calls of its history. What comes back `upstream::mending` makes calls of
//! custom tools again.

use std::borrow::Cow;

use super::body::Body;
use crate::api::fields::{Fields, elements, object, quoted};
use crate::api::surrogates;
use crate::dialect::arguments::wrapped;
use crate::dialect::functions::{TEXT_INPUT, is_grammar};
use crate::dialect::loss::Losses;

/// How a word begins that no body lacks which has something of a custom tool.
pub(super) const SIGN: &str = "\"custom";

/// Changes a body; the names of its custom tools.
pub(super) fn fit(body: &mut Body<'_>, losses: &mut Losses) -> Vec<String> {
    let mut names = Vec::new();
    let tools = body.value("tools").and_then(|it| changed(it, |it| tool(it, &mut names, losses)));
    let chosen = body.value("tool_choice").and_then(Fields::read).and_then(|it| choice(&it));
    let messages = body.value("messages").and_then(|it| changed(it, message));
    for (name, value) in [("tools", tools), ("tool_choice", chosen), ("messages", messages)] {
        value.into_iter().for_each(|it| body.put(name, it));
    }
    names
}

/// A list of objects of which some change; None where none does.
fn changed(list: &str, mut change: impl FnMut(&Fields<'_>) -> Option<String>) -> Option<String> {
    let mut is_changed = false;
    let mut written: Vec<Cow<'_, str>> = Vec::new();
    for item in elements(list)? {
        let new = Fields::read(item.get()).and_then(|it| change(&it));
        is_changed |= new.is_some();
        written.push(new.map_or(Cow::Borrowed(item.get()), Cow::Owned));
    }
    is_changed.then(|| format!("[{}]", written.join(",")))
}

/// The object of what is custom.
fn custom<'a>(fields: &Fields<'a>) -> Option<Fields<'a>> {
    fields.value("custom").and_then(Fields::read)
}

/// What was custom, with `function` in its place.
fn instead(fields: &Fields<'_>, function: &str) -> String {
    object(fields.each().map(|(name, value)| match name {
        "type" => (name, "\"function\""),
        "custom" => ("function", function),
        _ => (name, value),
    }))
}

fn tool(tool: &Fields<'_>, names: &mut Vec<String>, losses: &mut Losses) -> Option<String> {
    let custom = custom(tool)?;
    names.push(custom.text("name")?.into_owned());
    losses.add_if(custom.value("format").is_some_and(is_grammar), "tools[].custom.format");
    let kept = custom.each().filter(|(name, _)| matches!(*name, "name" | "description"));
    Some(instead(tool, &object(kept.chain([("parameters", TEXT_INPUT)]))))
}

/// A choice of one tool, or of several that are allowed.
fn choice(choice: &Fields<'_>) -> Option<String> {
    if let Some(name) = choice.value("custom") {
        return Some(instead(choice, name));
    }
    let allowed = choice.value("allowed_tools").and_then(Fields::read)?;
    let tools = allowed.value("tools").and_then(|it| changed(it, self::choice))?;
    Some(choice.with("allowed_tools", Some(&allowed.with("tools", Some(&tools)))))
}

fn message(message: &Fields<'_>) -> Option<String> {
    let calls = message.value("tool_calls").and_then(|it| changed(it, call))?;
    Some(message.with("tool_calls", Some(&calls)))
}

fn call(call: &Fields<'_>) -> Option<String> {
    let custom = custom(call)?;
    let input = custom.value("input").and_then(surrogates::text).unwrap_or_default();
    let (name, arguments) = (custom.value("name")?, quoted(&wrapped(&input)));
    Some(instead(call, &object([("name", name), ("arguments", &arguments)])))
}
