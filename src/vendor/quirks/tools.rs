//! The tools of a request as a vendor takes them.

use super::body::Body;
use super::options::ToolOptions;
use crate::api::fields::{Fields, elements, object};
use crate::dialect::loss::{Losses, name_of_tools};

/// Changes `tools`, by what `tool_choice` says of them.
pub(super) fn fit(rules: &ToolOptions, body: &mut Body<'_>, losses: &mut Losses) {
    let Some(tools) = body.value("tools").and_then(elements) else { return };
    let named = rules.named_alone.unwrap_or_default().then(|| named(body.value("tool_choice"))).flatten();
    let mut is_changed = false;
    let mut kept = Vec::with_capacity(tools.len());
    for tool in tools {
        let Some(fields) = Fields::read(tool.get()) else { return };
        let kind = fields.text("type").unwrap_or_default();
        if rules.kinds.as_ref().is_some_and(|it| !it.iter().any(|it| *it == kind)) {
            losses.add(name_of_tools(&kind));
            is_changed = true;
            continue;
        }
        let function = fields.value("function").and_then(Fields::read);
        if named.is_some() && function.as_ref().and_then(|it| it.text("name")).as_deref() != named.as_deref()
        {
            is_changed = true;
            continue;
        }
        let plain = plain(&fields, function.as_ref(), rules.drop.as_deref().unwrap_or_default(), losses);
        is_changed |= plain.is_some();
        kept.push(plain.unwrap_or_else(|| tool.get().to_owned()));
    }
    match is_changed {
        true if kept.is_empty() => {
            ["tools", "tool_choice", "parallel_tool_calls"].iter().for_each(|it| body.remove(it))
        }
        true => body.put("tools", format!("[{}]", kept.join(","))),
        false => {}
    }
}

/// The function that must be called.
fn named(choice: Option<&str>) -> Option<String> {
    let choice = Fields::read(choice?)?;
    Some(Fields::read(choice.value("function")?)?.text("name")?.into_owned())
}

/// The tool without the fields of those names; None where it has none.
fn plain(
    tool: &Fields<'_>,
    function: Option<&Fields<'_>>,
    names: &[String],
    losses: &mut Losses,
) -> Option<String> {
    let is_dropped = |it: &(&str, &str)| names.iter().any(|name| name == it.0);
    let mut fields = tool.each().chain(function.into_iter().flat_map(|it| it.each()));
    if !fields.any(|it| is_dropped(&it)) {
        return None;
    }
    let mut written = Vec::new();
    for field in tool.each().filter(|it| !is_dropped(it)) {
        let value = match (field.0, function) {
            ("function", Some(function)) => {
                // A schema that need not be kept to is a loss; a hint for a cache is none.
                let is_strict =
                    names.iter().any(|it| it == "strict") && function.value("strict") == Some("true");
                losses.add_if(is_strict, "tools[].function.strict");
                let kept = function.each().filter(|it| !is_dropped(it));
                object(kept.map(|(name, value)| (name, value.to_owned())))
            }
            (_, _) => field.1.to_owned(),
        };
        written.push((field.0, value));
    }
    Some(object(written))
}
