//! Tools and which of them may be called: `toolConfig`.

use std::collections::HashSet;

use super::blocks::write_cache;
use super::maker::Maker;
use crate::api::ink::{Ink, LIST, OBJECT};
use crate::dialect::functions::{Function, NO_INPUT, called, eligible};
use crate::dialect::loss::{Losses, name_of_tool};
use crate::dialect::prompt::{Prompt, Tool, ToolChoice};
use crate::dialect::terms::Terms;

pub fn write(prompt: &Prompt, terms: &Terms, maker: Maker, body: &mut Vec<u8>, losses: &mut Losses) {
    let called = called(prompt);
    let forbidden = prompt.tool_choice == Some(ToolChoice::None);
    // Converse cannot forbid tools; without them none is called. But calls of before cannot be told without tools.
    losses.add_if(forbidden && !called.is_empty() && !prompt.tools.is_empty(), "tool_choice");
    if forbidden && called.is_empty() {
        return;
    }
    let eligible = eligible(prompt);
    body.filled("toolConfig", OBJECT, |body| {
        let mut count = 0;
        body.filled("tools", LIST, |body| {
            for tool in &prompt.tools {
                count += usize::from(write_tool(tool, eligible.as_ref(), terms, maker, body, losses));
            }
            let unknown = called.iter().filter(|_| count == 0);
            unknown.for_each(|it| write_spec(it, None, NO_INPUT, false, body));
        });
        if let Some(choice) = choice(prompt).filter(|_| count > 0 && !is_single(prompt, maker)) {
            write_choice(choice, body);
        }
    });
}

fn write_tool(
    tool: &Tool,
    eligible: Option<&HashSet<&str>>,
    terms: &Terms,
    maker: Maker,
    body: &mut Vec<u8>,
    losses: &mut Losses,
) -> bool {
    let function = match tool {
        Tool::Other(json) => {
            losses.add(name_of_tool(json));
            None
        }
        tool => Function::of(tool, losses).filter(|it| eligible.is_none_or(|names| names.contains(it.name))),
    };
    let Some(function) = function else { return false };
    let keeps = terms.json_schema != Some(false);
    losses.add_if(function.strict && !keeps, "tools[].function.strict");
    let strict = function.strict && keeps;
    write_spec(function.name, function.description, &function.schema(), strict, body);
    write_cache(function.cache.filter(|_| maker.caches_tools()), maker, body);
    true
}

fn write_spec(name: &str, description: Option<&str>, schema: &str, strict: bool, body: &mut Vec<u8>) {
    body.open(b'{');
    body.filled("toolSpec", OBJECT, |body| {
        body.text_field("name", name);
        // An empty one is refused.
        description
            .filter(|it| !it.trim().is_empty())
            .into_iter()
            .for_each(|it| _ = body.text_field("description", it));
        body.filled("inputSchema", OBJECT, |body| {
            body.raw_field("json", schema);
        });
        if strict {
            body.raw_field("strict", "true");
        }
    });
    body.close(b'}');
}

/// One of the three that Converse knows.
#[derive(Clone, Copy)]
enum Choice<'a> {
    Auto,
    Any,
    Tool(&'a str),
}

fn choice(prompt: &Prompt) -> Option<Choice<'_>> {
    match prompt.tool_choice.as_ref()? {
        ToolChoice::Auto | ToolChoice::Among { required: false, .. } => Some(Choice::Auto),
        ToolChoice::None => None,
        ToolChoice::Required | ToolChoice::Among { required: true, .. } => Some(Choice::Any),
        ToolChoice::Named(name) => Some(Choice::Tool(name)),
    }
}

fn write_choice(choice: Choice, body: &mut Vec<u8>) {
    match choice {
        Choice::Auto => _ = body.raw_field("toolChoice", r#"{"auto":{}}"#),
        Choice::Any => _ = body.raw_field("toolChoice", r#"{"any":{}}"#),
        Choice::Tool(name) => body.filled("toolChoice", OBJECT, |body| {
            body.filled("tool", OBJECT, |body| _ = body.text_field("name", name));
        }),
    }
}

/// Whether the choice is told in Anthropic's words, which alone can forbid parallel calls. Not both: Bedrock refuses
/// `tool_choice` beside `toolConfig.toolChoice`.
fn is_single(prompt: &Prompt, maker: Maker) -> bool {
    let has_tools = prompt.tools.iter().any(|it| !matches!(it, Tool::Other(_)));
    let forbidden = prompt.tool_choice == Some(ToolChoice::None);
    prompt.parallel_tools == Some(false) && maker == Maker::Anthropic && has_tools && !forbidden
}

/// Anthropic's `tool_choice`, where one call at a time is wanted.
pub fn write_single(prompt: &Prompt, maker: Maker, body: &mut Vec<u8>, losses: &mut Losses) {
    if !is_single(prompt, maker) {
        let wanted = prompt.parallel_tools == Some(false) && !prompt.tools.is_empty();
        losses.add_if(wanted && prompt.tool_choice != Some(ToolChoice::None), "parallel_tool_calls");
        return;
    }
    body.filled("tool_choice", OBJECT, |body| {
        match choice(prompt).unwrap_or(Choice::Auto) {
            Choice::Auto => _ = body.text_field("type", "auto"),
            Choice::Any => _ = body.text_field("type", "any"),
            Choice::Tool(name) => {
                body.text_field("type", "tool");
                body.text_field("name", name);
            }
        }
        body.raw_field("disable_parallel_tool_use", "true");
    });
}
