//! Writes the tools and which of them may be called. Schemas go as they are, in `parametersJsonSchema`: Google reads
//! JSON schemas there, `$ref` and lists of types included, and passes over what it does not know.

use crate::api::fields::Fields;
use crate::api::ink::Ink;
use crate::dialect::json::Json;
use crate::dialect::loss::Losses;
use crate::dialect::prompt::{Prompt, Tool, ToolChoice};

pub(super) fn write(prompt: &Prompt, losses: &mut Losses, out: &mut String) {
    losses.add_if(prompt.parallel_tools == Some(false), "parallel_tool_calls");
    let (mut functions, mut others) = (String::new(), String::new());
    for tool in &prompt.tools {
        match tool {
            Tool::Function { name, description, parameters, .. } => {
                function(name, description.as_deref(), parameters.as_ref(), &mut functions);
            }
            Tool::Custom { .. } => losses.add("tools[custom]"),
            Tool::Other(json) => other(json.get(), losses, &mut others),
        }
    }
    let has_functions = !functions.is_empty();
    if has_functions || !others.is_empty() {
        out.key("tools").open(b'[');
        if has_functions {
            out.open(b'{');
            out.raw_field("functionDeclarations", &format!("[{}]", functions));
            out.close(b'}');
        }
        out.raw(&others);
        out.close(b']');
    }
    if has_functions {
        choice(prompt, out);
    }
}

fn function(name: &str, description: Option<&str>, parameters: Option<&Json>, out: &mut String) {
    out.open(b'{');
    out.text_field("name", name);
    out.text_if("description", description);
    if let Some(schema) = parameters.and_then(|it| object_schema(it.get())) {
        out.raw_field("parametersJsonSchema", &schema);
    }
    out.close(b'}');
}

/// The schema, which Google wants to say that it is of an object; none where it says nothing: a function without
/// parameters is declared without a schema.
fn object_schema(schema: &str) -> Option<String> {
    let fields = Fields::read(schema)?;
    if fields.value("type").is_some() {
        return Some(schema.to_owned());
    }
    let says = fields.each().any(|(name, _)| !matches!(name, "$schema" | "description" | "title"));
    says.then(|| fields.with("type", Some("\"object\"")))
}

/// A tool that the vendor runs. Google's own have no `type` but a field of their name; others are lost.
fn other(json: &str, losses: &mut Losses, out: &mut String) {
    let kind = Fields::read(json).map(|it| it.text("type").map(|it| it.into_owned()));
    match kind {
        Some(None) => _ = out.raw(json),
        Some(Some(kind)) => losses.add(format!("tools[{kind}]")),
        None => losses.add("tools"),
    }
}

fn choice(prompt: &Prompt, out: &mut String) {
    let is_strict = |it: &Tool| matches!(it, Tool::Function { strict: Some(true), .. });
    let loosely = if prompt.tools.iter().any(is_strict) { "VALIDATED" } else { "AUTO" };
    let (mode, names): (_, &[String]) = match &prompt.tool_choice {
        None if loosely == "AUTO" => return,
        None | Some(ToolChoice::Auto) => (loosely, &[]),
        Some(ToolChoice::None) => ("NONE", &[]),
        Some(ToolChoice::Required) => ("ANY", &[]),
        Some(ToolChoice::Named(name)) => ("ANY", std::slice::from_ref(name)),
        Some(ToolChoice::Among { names, required: true }) => ("ANY", names),
        // Google takes names with ANY and VALIDATED only.
        Some(ToolChoice::Among { names, required: false }) => ("VALIDATED", names),
    };
    out.key("toolConfig").open(b'{');
    out.key("functionCallingConfig").open(b'{');
    out.text_field("mode", mode);
    if !names.is_empty() {
        out.texts("allowedFunctionNames", names.iter());
    }
    out.close(b'}');
    out.close(b'}');
}
