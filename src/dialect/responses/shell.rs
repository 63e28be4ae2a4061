//! OpenAI's `local_shell`: a tool without a definition, whose calls are items of their own with an `action`. Elsewhere it
//! is a function of that name, and the action is its arguments.

use super::content::read_content;
use super::place::At;
use crate::api::fields::{Fields, elements, quoted, text};
use crate::api::ink::Ink;
use crate::dialect::json::Json;
use crate::dialect::loss::kind_of;
use crate::dialect::prompt::{Call, Part, Tool, ToolResult};

pub(super) const NAME: &str = "local_shell";

const DESCRIPTION: &str = "Runs a command on the user's own machine and gives what it prints.";

/// What OpenAI's `action` holds, but for its type, of which there is one.
const ACTION: &str = concat!(
    r#"{"type":"object","properties":{"#,
    r#""command":{"type":"array","items":{"type":"string"},"description":"The program and its arguments"},"#,
    r#""working_directory":{"type":"string"},"#,
    r#""env":{"type":"object","additionalProperties":{"type":"string"}},"#,
    r#""timeout_ms":{"type":"integer"}},"required":["command"]}"#,
);

fn is_shell(tool: &Tool) -> bool {
    matches!(tool, Tool::Other(json) if kind_of(json) == NAME)
}

/// Whether calls of that name are of OpenAI's tool, and not of a client's own.
pub(super) fn is_among(tools: &[Tool]) -> bool {
    let is_named =
        |it: &Tool| matches!(it, Tool::Function { name, .. } | Tool::Custom { name, .. } if name == NAME);
    tools.iter().any(is_shell) && !tools.iter().any(is_named)
}

/// Makes the tool a function, for those who do not have it.
pub fn as_function(tools: &mut [Tool]) {
    if !is_among(tools) {
        return;
    }
    for tool in tools.iter_mut().filter(|it| is_shell(it)).take(1) {
        *tool = Tool::Function {
            name: NAME.to_owned(),
            description: Some(DESCRIPTION.to_owned()),
            parameters: Json::parse(ACTION),
            strict: None,
            cache: None,
        };
    }
}

/// Reads a `local_shell_call`; None where it does not say what is run.
pub(super) fn read_call(fields: &Fields) -> Option<Part> {
    let action = fields.value("action").filter(|it| it.starts_with('{'))?;
    let (id, name, arguments) = (call_id(fields)?, NAME.to_owned(), action.to_owned());
    Some(Part::Call(Call { id, name, arguments, is_custom: false }))
}

/// Reads a `local_shell_call_output`.
pub(super) fn read_output(fields: &Fields, at: At) -> Option<Part> {
    let parts = read_content(fields.value("output"), at.field("output")).ok()?;
    Some(Part::Result(ToolResult {
        call_id: call_id(fields)?,
        name: None,
        parts,
        is_error: false,
        cache: None,
    }))
}

/// OpenAI's outputs name the call by `id`, those of others by `call_id`.
fn call_id(fields: &Fields) -> Option<String> {
    fields.text("call_id").or_else(|| fields.text("id")).map(|it| it.into_owned())
}

/// The action of a call with these arguments. A model that wrote a line of shell has it run by one; arguments that say
/// no command are an empty one, of which the client tells the model.
pub(super) fn write_action(object: &mut Vec<u8>, arguments: &str) {
    let fields = Fields::read(arguments).unwrap_or_default();
    let action = object.key("action").of_type("exec");
    action.key("command").open(b'[');
    let command = fields.value("command").unwrap_or("[]");
    let line = text(command).map(|it| quoted(&it));
    let words = elements(command).unwrap_or_default();
    let words = words.iter().map(|it| it.get()).filter(|it| it.starts_with('"'));
    let shell = ["\"bash\"", "\"-lc\""].into_iter().filter(|_| line.is_some());
    shell.chain(line.as_deref()).chain(words).for_each(|it| _ = action.raw(it));
    action.close(b']');
    action.raw_field("env", fields.value("env").filter(|it| it.starts_with('{')).unwrap_or("{}"));
    for name in ["timeout_ms", "user", "working_directory"] {
        action.raw_if(name, fields.value(name));
    }
    action.close(b'}');
}
