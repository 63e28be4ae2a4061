//! Tools as functions, as vendors of dialects without custom tools are told them, and the JSON schemas that these are
//! stricter about than OpenAI.

use std::borrow::Cow;
use std::collections::HashSet;

use super::json::Json;
use super::loss::Losses;
use super::prompt::{Part, Prompt, Tool, ToolChoice};
use crate::api::fields::{Fields, quoted};

/// Of a tool that takes nothing, or of whose input nobody said anything.
pub const NO_INPUT: &str = r#"{"type":"object","properties":{}}"#;

/// Of a custom tool: its text ([`super::arguments`]).
pub const TEXT_INPUT: &str =
    r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;

/// A function, or a custom tool as one.
pub struct Function<'a> {
    pub name: &'a str,
    pub description: Option<&'a str>,
    parameters: Option<&'a Json>,
    is_custom: bool,
    /// Its schema is to be kept to.
    pub strict: bool,
    pub cache: Option<&'a Json>,
}

impl<'a> Function<'a> {
    /// None of a tool that a vendor runs itself. A grammar that a custom tool's input must keep to is lost.
    pub fn of(tool: &'a Tool, losses: &mut Losses) -> Option<Self> {
        match tool {
            Tool::Function { name, description, parameters, strict, cache } => Some(Self {
                name,
                description: description.as_deref(),
                parameters: parameters.as_ref(),
                is_custom: false,
                strict: *strict == Some(true),
                cache: cache.as_ref(),
            }),
            Tool::Custom { name, description, format } => {
                let is_lost = format.as_ref().is_some_and(|it| is_grammar(it.get()));
                losses.add_if(is_lost, "tools[].custom.format");
                let description = description.as_deref();
                Some(Self {
                    name,
                    description,
                    parameters: None,
                    is_custom: true,
                    strict: false,
                    cache: None,
                })
            }
            Tool::Other(_) => None,
        }
    }

    /// The schema of its input, which says that it is of an object: others than OpenAI want that.
    pub fn schema(&self) -> Cow<'a, str> {
        self.stated_schema().unwrap_or(NO_INPUT.into())
    }

    /// The same; None where nothing is said of its input.
    pub fn stated_schema(&self) -> Option<Cow<'a, str>> {
        if self.is_custom {
            return Some(TEXT_INPUT.into());
        }
        let parameters = self.parameters?;
        let fields = Fields::read(parameters.get())?;
        if fields.value("type").is_some() {
            return Some(parameters.get().into());
        }
        let says = fields.each().any(|(name, _)| !matches!(name, "$schema" | "description" | "title"));
        says.then(|| fields.with("type", Some(r#""object""#)).into())
    }
}

/// Whether the format of a custom tool says more than that its input is text.
pub fn is_grammar(format: &str) -> bool {
    Fields::read(format).is_some_and(|it| it.text("type").is_none_or(|it| it != "text"))
}

/// The tools that may be called by the choice that is made among several, for those who cannot be told of one but by not
/// being told of the others; None: all.
pub fn eligible(prompt: &Prompt) -> Option<HashSet<&str>> {
    match &prompt.tool_choice {
        Some(ToolChoice::Among { names, .. }) => Some(names.iter().map(String::as_str).collect()),
        _ => None,
    }
}

/// Names of the tools that were called before, each once: a request without tools may repeat their calls, and some want them defined.
pub fn called<'a>(prompt: &'a Prompt) -> Vec<&'a str> {
    let tools = prompt.tools_by_call();
    let named = |part: &'a Part| match part {
        Part::Call(it) => Some(it.name.as_str()),
        Part::Result(it) => it.name.as_deref().or_else(|| tools.get(it.call_id.as_str()).copied()),
        _ => None,
    };
    let mut seen = HashSet::new();
    let names = prompt.messages.iter().flat_map(|it| &it.parts).filter_map(named);
    names.filter(|it| seen.insert(*it)).collect()
}

/// Of what type a tool is that a choice names, in OpenAI's dialects.
pub fn type_of(name: &str, tools: &[Tool]) -> &'static str {
    let is_custom = tools.iter().any(|it| matches!(it, Tool::Custom { name: own, .. } if own == name));
    if is_custom { "custom" } else { "function" }
}

/// Whether some tool must be called.
pub fn forces_call(prompt: &Prompt) -> bool {
    let forced = matches!(
        prompt.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Among { required: true, .. })
    );
    forced && !prompt.tools.is_empty()
}

/// A schema for answers with what is said of it, for those who have no other place for that.
pub fn described<'a>(schema: &'a Json, description: Option<&str>) -> Cow<'a, str> {
    let undescribed = Fields::read(schema.get()).filter(|it| it.value("description").is_none());
    match undescribed.zip(description) {
        Some((fields, description)) => fields.with("description", Some(&quoted(description))).into(),
        None => schema.get().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_says_that_it_is_of_an_object() {
        let check = |parameters: Option<&str>, stated: Option<&str>| {
            let parameters = parameters.and_then(Json::parse);
            let (name, description, strict, cache) = ("f".to_owned(), None, None, None);
            let tool = Tool::Function { name, description, parameters, strict, cache };
            let function = Function::of(&tool, &mut Losses::default()).unwrap();
            assert_eq!(function.stated_schema().as_deref(), stated);
            assert_eq!(function.schema(), stated.unwrap_or(NO_INPUT));
        };
        check(None, None);
        check(Some("{}"), None);
        check(Some("7"), None);
        check(Some(r#"{"title":"t"}"#), None);
        check(Some(r#"{"properties":{}}"#), Some(r#"{"properties":{},"type":"object"}"#));
        for same in [r#"{"type":"object" }"#, r#"{"type":["object","null"]}"#] {
            check(Some(same), Some(same));
        }
    }

    #[test]
    fn a_custom_tool_is_a_function_of_one_text() {
        let check = |format: Option<&str>, lost: &[&str]| {
            let format = format.and_then(Json::parse);
            let tool = Tool::Custom { name: "c".into(), description: Some("d".into()), format };
            let mut losses = Losses::default();
            let function = Function::of(&tool, &mut losses).unwrap();
            assert_eq!((function.name, function.description), ("c", Some("d")));
            assert!(function.schema().contains(r#""required":["input"]"#));
            assert_eq!(losses.names(), lost);
        };
        check(None, &[]);
        check(Some(r#"{"type":"text"}"#), &[]);
        check(Some(r#"{"type":"grammar","grammar":{}}"#), &["tools[].custom.format"]);
        assert!(Function::of(&Tool::Other(Json::text("")), &mut Losses::default()).is_none());
    }

    #[test]
    fn a_schema_for_answers_keeps_what_is_said_of_it() {
        let check = |schema: &str, description: Option<&str>, expected: &str| {
            assert_eq!(described(&Json::parse(schema).unwrap(), description), expected);
        };
        check(r#"{"type":"object" }"#, None, r#"{"type":"object" }"#);
        check(r#"{"type":"object"}"#, Some("a \"b\""), r#"{"type":"object","description":"a \"b\""}"#);
        check(r#"{"description":"own"}"#, Some("other"), r#"{"description":"own"}"#);
    }
}
