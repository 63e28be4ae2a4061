//! A JSON schema told in words, where a vendor takes none in `response_format` but answers in JSON: without the word it would
//! refuse the call, and without the schema nobody could read the answer.

use super::body::Body;
use crate::api::fields::{Fields, elements};
use crate::api::ink::Ink;

/// The schema that the client wants answers to keep to.
pub(super) fn wished<'a>(body: &Body<'a>) -> Option<&'a str> {
    let format = Fields::read(body.value("response_format")?)?;
    Fields::read(format.value("json_schema")?)?.value("schema")
}

/// Tells `schema` by a system message behind the others, if any JSON is what the vendor is asked for now.
pub(super) fn tell(schema: &str, body: &mut Body<'_>) {
    let is_asked_for =
        |it: &str| Fields::read(it).is_some_and(|it| it.text("type").as_deref() == Some("json_object"));
    if !body.field("response_format").is_some_and(|it| !it.is_gone && is_asked_for(it.now())) {
        return;
    }
    if let Some(messages) = body.field("messages").and_then(|it| with(schema, it.now())) {
        body.put("messages", messages);
    }
}

fn with(schema: &str, messages: &str) -> Option<String> {
    let list = elements(messages)?;
    let instructs = |json: &str| {
        let role = Fields::read(json).and_then(|it| it.text("role").map(|it| it.into_owned()));
        role.is_some_and(|it| it == "system" || it == "developer")
    };
    let place = list.iter().take_while(|it| instructs(it.get())).count();
    let mut written = String::new();
    written.open(b'[');
    list[..place].iter().for_each(|it| _ = written.raw(it.get()));
    let words = format!("Answer with nothing but JSON that keeps to this JSON schema: {schema}");
    written.open(b'{').text_field("role", "system").text_field("content", &words).close(b'}');
    list[place..].iter().for_each(|it| _ = written.raw(it.get()));
    written.close(b']');
    Some(written)
}
