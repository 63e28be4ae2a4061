//! The fields of a request that its response repeats, with OpenAI's defaults where the client said nothing.

use super::shell;
use super::tools::read_tools;
use crate::api::fields::{Fields, text};
use crate::api::ink::Ink;

/// Repeated as they were written, with what stands where they are missing.
const REPEATED: [(&str, &str); 18] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("safety_identifier", "null"),
    ("store", "true"),
    ("temperature", "1.0"),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
    ("prompt_cache_retention", "null"),
];

/// What a client's request gives to the response.
pub struct Echo {
    /// Fields joined by commas.
    pub fields: String,
    pub model: String,
    pub service_tier: String,
    /// Names of tools that take text.
    pub custom: Vec<String>,
    /// OpenAI's own shell is among the tools.
    pub has_shell: bool,
}

impl Echo {
    /// Of a request that cannot be read, all is as if it had said nothing.
    pub fn of(asked: &[u8]) -> Self {
        let fields = Fields::of_bytes(asked).unwrap_or_default();
        let own = |name: &str| fields.text(name).map(|it| it.into_owned());
        Self {
            fields: repeated(&fields),
            model: own("model").unwrap_or_default(),
            service_tier: own("service_tier").unwrap_or_else(|| "default".to_owned()),
            custom: custom_names(&fields),
            has_shell: fields
                .value("tools")
                .and_then(|it| read_tools(it).ok())
                .is_some_and(|it| shell::is_among(&it)),
        }
    }

    pub fn is_custom(&self, name: &str) -> bool {
        self.custom.iter().any(|it| it == name)
    }
}

fn repeated(fields: &Fields) -> String {
    let object = &mut String::new();
    for (name, usual) in REPEATED {
        object.raw_field(name, fields.value(name).unwrap_or(usual));
    }
    write_reasoning(fields, object);
    write_text(fields, object);
    if let Some(conversation) = fields.value("conversation") {
        match text(conversation) {
            Some(id) => {
                let named = object.key("conversation").open(b'{');
                named.text_field("id", &id);
                named.close(b'}');
            }
            None => _ = object.raw_field("conversation", conversation),
        }
    }
    object.raw_if("prompt", fields.value("prompt"));
    std::mem::take(object)
}

/// Both fields are always shown.
fn write_reasoning(fields: &Fields, object: &mut String) {
    let own = fields.value("reasoning").and_then(Fields::read).unwrap_or_default();
    let reasoning = object.key("reasoning").open(b'{');
    reasoning.raw_field("effort", own.value("effort").unwrap_or("null"));
    reasoning.raw_field(
        "summary",
        own.value("summary").or_else(|| own.value("generate_summary")).unwrap_or("null"),
    );
    reasoning.close(b'}');
}

fn write_text(fields: &Fields, object: &mut String) {
    let own = fields.value("text").and_then(Fields::read).unwrap_or_default();
    let text = object.key("text").open(b'{');
    text.raw_field("format", own.value("format").unwrap_or(r#"{"type":"text"}"#));
    text.raw_if("verbosity", own.value("verbosity"));
    text.close(b'}');
}

fn custom_names(fields: &Fields) -> Vec<String> {
    let tools = fields.value("tools").and_then(crate::api::fields::elements).unwrap_or_default();
    let custom = tools.iter().filter_map(|it| Fields::read(it.get()));
    custom
        .filter(|it| it.text("type").as_deref() == Some("custom"))
        .filter_map(|it| it.text("name").map(|it| it.into_owned()))
        .collect()
}
