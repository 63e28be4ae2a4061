//! The items of a response's output, as they are while it is being made and when it is done.

use super::content::annotation;
use super::shell;
use crate::api::ink::Ink;
use crate::dialect::json::Json;
use crate::dialect::whole::Whole;

/// One item of the output.
pub struct Item {
    pub id: String,
    pub status: Status,
    pub body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    InProgress,
    Completed,
    /// The answer ended within it.
    Incomplete,
}

pub enum Body {
    Message(Vec<Words>),
    Reasoning {
        summary: Vec<String>,
        content: Vec<String>,
        /// As the client gets it.
        sealed: Option<String>,
    },
    Call {
        call_id: String,
        name: String,
        arguments: String,
        kind: CallKind,
        /// Whether the arguments can go on.
        whole: Whole,
    },
    /// A picture in base64.
    Image(String),
}

/// A content part of a message.
#[derive(Default)]
pub struct Words {
    pub is_refusal: bool,
    pub text: String,
    /// In this dialect's form.
    pub annotations: Vec<Json>,
    pub logprobs: Vec<Json>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    Function,
    Custom,
    /// Of a custom tool that its vendor took for a function with one text: told when it is whole and unwrapped.
    Wrapped,
    /// Of OpenAI's own shell: told when it is whole.
    Shell,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
        }
    }
}

impl Body {
    /// The letters before the item's id.
    pub fn prefix(&self) -> &'static str {
        match self {
            Self::Message(_) => "msg",
            Self::Reasoning { .. } => "rs",
            Self::Call { kind: CallKind::Function, .. } => "fc",
            Self::Call { kind: CallKind::Shell, .. } => "lsh",
            Self::Call { .. } => "ctc",
            Self::Image(_) => "ig",
        }
    }
}

impl Item {
    pub fn write(&self, object: &mut Vec<u8>) {
        object.text_field("id", &self.id);
        match &self.body {
            Body::Message(words) => {
                object.text_field("type", "message");
                object.text_field("status", self.status.as_str());
                object.text_field("role", "assistant");
                let list = object.key("content").open(b'[');
                words.iter().for_each(|it| it.write(list.open(b'{')));
                list.close(b']');
            }
            Body::Reasoning { summary, content, sealed } => {
                object.text_field("type", "reasoning");
                write_texts(object.key("summary").open(b'['), "summary_text", summary);
                if !content.is_empty() {
                    write_texts(object.key("content").open(b'['), "reasoning_text", content);
                }
                object.text_if("encrypted_content", sealed.as_deref());
            }
            Body::Call { call_id, arguments, kind: CallKind::Shell, .. } => {
                object.text_field("type", "local_shell_call");
                object.text_field("status", self.status.as_str());
                object.text_field("call_id", call_id);
                shell::write_action(object, arguments);
            }
            Body::Call { call_id, name, arguments, kind, .. } => {
                let is_function = *kind == CallKind::Function;
                object.text_field("type", if is_function { "function_call" } else { "custom_tool_call" });
                object.text_field("status", self.status.as_str());
                object.text_field("call_id", call_id);
                object.text_field("name", name);
                let shown = if *kind == CallKind::Wrapped { "" } else { arguments };
                object.text_field(if is_function { "arguments" } else { "input" }, shown);
            }
            Body::Image(base64) => {
                object.text_field("type", "image_generation_call");
                object.text_field("status", self.status.as_str());
                object.text_or_null("result", (self.status == Status::Completed).then_some(base64));
            }
        }
        object.close(b'}');
    }
}

impl Words {
    pub fn write(&self, object: &mut Vec<u8>) {
        match self.is_refusal {
            true => {
                object.text_field("type", "refusal");
                object.text_field("refusal", &self.text);
            }
            false => {
                object.text_field("type", "output_text");
                object.text_field("text", &self.text);
                write_all(object.key("annotations").open(b'['), &self.annotations);
                write_all(object.key("logprobs").open(b'['), &self.logprobs);
            }
        }
        object.close(b'}');
    }

    /// Takes in a citation in chat's form, of all the text, of which this begins at `start`; gives its number.
    pub fn cite(&mut self, citation: &Json, start: u64) -> usize {
        self.annotations.push(annotation(citation, start));
        self.annotations.len() - 1
    }
}

pub fn write_all(list: &mut Vec<u8>, values: &[Json]) {
    values.iter().for_each(|it| _ = list.raw(it.get()));
    list.close(b']');
}

fn write_texts(list: &mut Vec<u8>, kind: &str, texts: &[String]) {
    texts.iter().for_each(|it| write_text_part(list.open(b'{'), kind, it));
    list.close(b']');
}

/// A part of reasoning.
pub fn write_text_part(object: &mut Vec<u8>, kind: &str, text: &str) {
    object.text_field("type", kind);
    object.text_field("text", text);
    object.close(b'}');
}
