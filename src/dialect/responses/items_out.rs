//! Writes messages as the `input` of a request to a vendor.

use std::collections::HashSet;

use super::content::{write_input, write_output, write_said};
use super::shell;
use crate::api::ink::Ink;
use crate::dialect::Dialect;
use crate::dialect::loss::{Losses, kind_of, name_of, name_of_made};
use crate::dialect::prompt::{Call, Message, Part, Prompt, Role, Thought, ToolResult};

/// Writes the field `input`.
pub fn write_items(prompt: &Prompt, object: &mut Vec<u8>, losses: &mut Losses) {
    let (custom, has_shell) = (custom_calls(prompt), shell::is_among(&prompt.tools));
    let mut items = Items { list: object.key("input").open(b'['), custom, has_shell, losses };
    prompt.messages.iter().for_each(|it| items.message(it));
    items.list.close(b']');
}

/// The ids of calls whose results are of another type.
fn custom_calls(prompt: &Prompt) -> HashSet<&str> {
    let parts = prompt.messages.iter().flat_map(|it| &it.parts);
    parts
        .filter_map(|it| if let Part::Call(call) = it { Some(call) } else { None })
        .filter(|it| it.is_custom)
        .map(|it| it.id.as_str())
        .collect()
}

struct Items<'a> {
    list: &'a mut Vec<u8>,
    custom: HashSet<&'a str>,
    /// OpenAI's own shell is among the tools.
    has_shell: bool,
    losses: &'a mut Losses,
}

impl Items<'_> {
    fn message(&mut self, message: &Message) {
        let mut parts = message.parts.as_slice();
        while let Some(first) = parts.first() {
            let alike = parts.iter().take_while(|it| Self::kind(it) == Self::kind(first)).count();
            let (run, rest) = parts.split_at(alike);
            self.run(message.role, run);
            parts = rest;
        }
    }

    /// Parts of one kind go into one item, or at least are written alike.
    fn kind(part: &Part) -> Kind {
        match part {
            Part::Thought(_) => Kind::Thought,
            Part::Call(_) | Part::Result(_) => Kind::Call,
            Part::Other(json) if is_item(&kind_of(json)) => Kind::Call,
            _ => Kind::Content,
        }
    }

    fn run(&mut self, role: Role, run: &[Part]) {
        match run.first().map(Self::kind) {
            Some(Kind::Thought) => self.thoughts(run),
            Some(Kind::Call) => run.iter().for_each(|it| self.item(it)),
            Some(Kind::Content) => self.content(role, &run.iter().collect::<Vec<_>>()),
            None => {}
        }
    }

    fn content(&mut self, role: Role, parts: &[&Part]) {
        if role == Role::Assistant {
            return self.said(parts);
        }
        let item = self.list.of_type("message");
        item.text_field("role", role_name(role));
        let list = item.key("content").open(b'[');
        write_input(parts, list, self.losses);
        list.close(b']');
        item.close(b'}');
    }

    fn said(&mut self, parts: &[&Part]) {
        for part in parts {
            match part {
                Part::Media(media) => self.losses.add(name_of_made(media.kind)),
                Part::Other(_) => self.losses.add(name_of(part)),
                _ => {}
            }
        }
        let is_silent = |it: &&Part| match it {
            Part::Text { text, .. } | Part::Refusal(text) => text.is_empty(),
            _ => true,
        };
        if parts.iter().all(is_silent) {
            return;
        }
        let item = self.list.of_type("message");
        item.text_field("role", "assistant");
        let list = item.key("content").open(b'[');
        write_said(parts, list);
        list.close(b']');
        item.close(b'}');
    }

    fn item(&mut self, part: &Part) {
        match part {
            Part::Call(call) => self.call(call),
            Part::Result(result) => self.result(result),
            Part::Other(json) => _ = self.list.raw(json.get()),
            _ => {}
        }
    }

    fn call(&mut self, call: &Call) {
        if self.has_shell && !call.is_custom && call.name == shell::NAME {
            let item = self.list.of_type("local_shell_call");
            item.text_field("call_id", &call.id).text_field("status", "completed");
            shell::write_action(item, &call.arguments);
            item.close(b'}');
            return;
        }
        let item = self.list.of_type(if call.is_custom { "custom_tool_call" } else { "function_call" });
        item.text_field("call_id", &call.id);
        item.text_field("name", &call.name);
        item.text_field(if call.is_custom { "input" } else { "arguments" }, &call.arguments);
        item.close(b'}');
    }

    fn result(&mut self, result: &ToolResult) {
        self.losses.add_if(result.is_error, "messages[].is_error");
        let is_custom = self.custom.contains(result.call_id.as_str());
        let item =
            self.list.of_type(if is_custom { "custom_tool_call_output" } else { "function_call_output" });
        item.text_field("call_id", &result.call_id);
        write_output(item, &result.parts, self.losses);
        item.close(b'}');
    }

    /// Thoughts of one id are one item, as are those up to a seal where there are no ids. Those of other makers, and those
    /// that nobody could open again, are left out.
    fn thoughts(&mut self, run: &[Part]) {
        let thoughts: Vec<&Thought> =
            run.iter().filter_map(|it| if let Part::Thought(it) = it { Some(it) } else { None }).collect();
        for group in
            thoughts.chunk_by(|one, next| one.id == next.id && (one.id.is_some() || one.seal.is_none()))
        {
            let mut seals = group.iter().filter_map(|it| it.seal.as_ref());
            if let Some(seal) = seals.rfind(|it| it.dialect == Dialect::Responses) {
                self.reasoning(group, &seal.data);
            }
        }
    }

    fn reasoning(&mut self, thoughts: &[&Thought], sealed: &str) {
        let item = self.list.of_type("reasoning");
        item.text_if("id", thoughts.first().and_then(|it| it.id.as_deref()));
        let texts =
            |is_summary| thoughts.iter().filter(move |it| it.is_summary == is_summary && !it.text.is_empty());
        write_texts(item.key("summary").open(b'['), "summary_text", texts(true));
        if texts(false).next().is_some() {
            write_texts(item.key("content").open(b'['), "reasoning_text", texts(false));
        }
        item.text_field("encrypted_content", sealed);
        item.close(b'}');
    }
}

#[derive(PartialEq)]
enum Kind {
    Thought,
    /// What is an item of its own.
    Call,
    Content,
}

/// Whether an object of this type is an item of OpenAI's own tools.
fn is_item(kind: &str) -> bool {
    ["_call", "_call_output"].iter().any(|it| kind.ends_with(it))
        || kind.starts_with("mcp_")
        || matches!(kind, "compaction" | "compaction_trigger" | "additional_tools" | "tool_search_output")
        || matches!(kind, "program" | "program_output")
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

fn write_texts<'a>(list: &mut Vec<u8>, kind: &str, texts: impl Iterator<Item = &'a &'a Thought>) {
    for thought in texts {
        let part = list.of_type(kind);
        part.text_field("text", &thought.text);
        part.close(b'}');
    }
    list.close(b']');
}
