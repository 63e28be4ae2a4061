//! Reads a client's request. Fields go by either spelling that Google takes. Google's settings that no dialect shares
//! (`safetySettings`, `cachedContent`, and those of `generationConfig`) are carried along under Google's names.

use super::history::History;
use super::{names, settings};
use crate::api::fields::Fields;
use crate::api::surrogates;
use crate::dialect::Aside;
use crate::dialect::prompt::{Message, Part, Prompt, Role};
use crate::error::Error;

/// Fields that are read here; every other one is carried along.
const READ: &[&str] =
    &["contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model", "serviceTier"];

pub(super) fn prompt(body: &[u8], aside: &Aside) -> Result<Prompt, Error> {
    let body = Fields::of_bytes(body);
    let body = body.ok_or_else(|| Error::bad_request("The body must be a JSON object in UTF-8"))?;
    let mut prompt = Prompt {
        model: model(&body, aside)?,
        stream: aside.stream,
        tells_usage: aside.stream,
        service_tier: tier(&body),
        ..Prompt::default()
    };
    prompt.messages.extend(system(&body)?);
    prompt.messages.extend(contents(&body)?);
    settings::tools(&body, &mut prompt)?;
    settings::tool_choice(&body, &mut prompt)?;
    settings::generation(&body, &mut prompt)?;
    for (name, value) in body.each().filter(|(name, _)| names::known(name, READ).is_none()) {
        settings::carry(name, super::asking::TOP_FIELDS, value, &mut prompt);
    }
    Ok(prompt)
}

/// A 400 that names its field.
pub(super) fn wrong(param: &str, message: &str) -> Error {
    Error::bad_request(format!("`{param}` {message}")).param(param)
}

/// The path's model counts; Google writes it with its collection in front.
fn model(body: &Fields<'_>, aside: &Aside) -> Result<String, Error> {
    let stated = aside.model.clone().or_else(|| names::text(body, "model").map(|it| it.into_owned()));
    let name = stated.unwrap_or_default();
    match name.strip_prefix("models/").unwrap_or(&name) {
        "" => Err(wrong("model", "is missing; name it in the path: /models/{model}:generateContent")),
        name => Ok(name.to_owned()),
    }
}

pub(super) fn tier(body: &Fields<'_>) -> Option<String> {
    let tier = names::text(body, "serviceTier")?.to_ascii_lowercase();
    match tier.as_str() {
        "standard" => Some("default".to_owned()),
        "flex" | "priority" => Some(tier),
        _ => None,
    }
}

/// A content, or, more leniently than Google, a text.
fn system(body: &Fields<'_>) -> Result<Option<Message>, Error> {
    let param = "systemInstruction";
    let Some(json) = names::value(body, param) else { return Ok(None) };
    if let Some(text) = surrogates::text(json) {
        return Ok(Some(message(Role::System, vec![Part::text(text)])));
    }
    let content = Fields::read(json);
    let content = content.ok_or_else(|| wrong(param, "must be a content: an object with `parts`"))?;
    let parts = History::default().parts(&content, param)?;
    Ok((!parts.is_empty()).then(|| message(Role::System, parts)))
}

fn contents(body: &Fields<'_>) -> Result<Vec<Message>, Error> {
    let json = names::value(body, "contents").unwrap_or_default();
    let list = match Fields::read(json) {
        Some(one) => vec![one],
        None => settings::objects(
            json,
            "contents",
            "must be a list of contents, each an object with `role` and `parts`",
        )?,
    };
    if list.is_empty() {
        return Err(wrong("contents", "is empty; send at least one content"));
    }
    let mut history = History::default();
    let mut messages = Vec::with_capacity(list.len());
    for content in &list {
        let role = match names::text(content, "role").as_deref() {
            None | Some("user" | "function" | "") => Role::User,
            Some("model") => Role::Assistant,
            Some("system") => Role::System,
            Some(_) => return Err(wrong("contents[].role", "must be `user` or `model`")),
        };
        let parts = history.parts(content, "contents[].parts")?;
        if !parts.is_empty() {
            messages.push(message(role, parts));
        }
    }
    Ok(messages)
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None }
}
