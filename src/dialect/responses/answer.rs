//! Reads whole answers of vendors.

use super::content::{citation, text_of};
use super::items::{read_call, read_reasoning};
use super::place::At;
use super::seal::own;
use super::shell;
use crate::api::fields::{Fields, elements};
use crate::api::usage::UsageBody;
use crate::dialect::answer::{Answer, Choice, Finish, Reason};
use crate::dialect::json::Json;
use crate::dialect::prompt::{Media, MediaKind, Part, Source};
use crate::dialect::{ErrorSaid, NoAnswer, Unreadable};

/// The type of pictures made, where none is stated.
const IMAGE_TYPE_USUAL: &str = "png";

pub fn read_answer(body: &[u8]) -> Result<Answer, NoAnswer> {
    let fields = Fields::of_bytes(body).ok_or(Unreadable("no JSON object"))?;
    if fields.text("status").as_deref() == Some("failed") {
        let error = fields.value("error").and_then(Fields::read).unwrap_or_default();
        return Err(NoAnswer::Failed(failure(&error)));
    }
    let output = fields.value("output").and_then(elements).ok_or(Unreadable("a response without output"))?;
    let mut choice = Choice::default();
    let (mut tokens, mut chars) = (Vec::new(), 0);
    for item in &output {
        if let Some(item) = Fields::read(item.get()) {
            choice.parts.extend(parts(&item, &mut tokens, &mut chars));
        }
    }
    let has_calls = choice.parts.iter().any(|it| matches!(it, Part::Call(_)));
    choice.finish = Some(finish(&fields, has_calls)?);
    choice.logprobs = logprobs(&tokens);
    Ok(Answer {
        id: fields.text("id").map(|it| it.into_owned()),
        model: fields.text("model").map(|it| it.into_owned()),
        created: created(&fields),
        choices: vec![choice],
        usage: fields.value("usage").and_then(|it| serde_json::from_str::<UsageBody>(it).ok()?.usage()),
        service_tier: fields.text("service_tier").map(|it| it.into_owned()),
    })
}

/// What an error of a response, or of a stream, says.
pub fn failure(error: &Fields) -> ErrorSaid {
    let own = |name: &str| error.text(name).map(|it| it.into_owned());
    let code = own("code");
    let kind = own("type").filter(|it| it != "error");
    let status = status(code.as_deref().or(kind.as_deref()).unwrap_or_default());
    let message = own("message").unwrap_or_else(|| "The vendor failed while it answered.".to_owned());
    let usual = ErrorSaid::of(status, message);
    let error_type = kind.unwrap_or_else(|| usual.error_type.clone());
    ErrorSaid { error_type, code, param: own("param"), ..usual }
}

/// The status that an error of this code has outside a stream.
fn status(code: &str) -> u16 {
    match code {
        "rate_limit_exceeded" | "rate_limit_error" | "insufficient_quota" | "too_many_requests" => 429,
        "invalid_request_error" | "context_length_exceeded" | "content_filter" => 400,
        "bio_policy" | "cyber_policy" | "data_residency_mismatch" => 400,
        // OpenAI's codes of what is wrong with a prompt and its pictures.
        it if it.starts_with("invalid_") || it.contains("image") => 400,
        _ => 500,
    }
}

/// Some servers state fractions of a second.
pub fn created(response: &Fields) -> Option<u64> {
    let seconds: f64 = response.value("created_at")?.parse().ok()?;
    (seconds >= 0.0).then_some(seconds as u64)
}

/// What an item of the output says. The work of a vendor's own tools has no words elsewhere: what came of it is in the
/// text. `chars`: characters of the text before.
pub fn parts<'a>(item: &Fields<'a>, tokens: &mut Vec<&'a str>, chars: &mut u64) -> Vec<Part> {
    let nowhere = At::of("output", 0);
    match item.text("type").as_deref() {
        Some("message") => message(item, tokens, chars),
        Some("reasoning") => read_reasoning(item, own),
        Some("function_call") => read_call(item, nowhere, false).into_iter().collect(),
        Some("custom_tool_call") => read_call(item, nowhere, true).into_iter().collect(),
        Some("local_shell_call") => shell::read_call(item).into_iter().collect(),
        Some("image_generation_call") => picture(item).map(Part::Media).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn message<'a>(item: &Fields<'a>, tokens: &mut Vec<&'a str>, chars: &mut u64) -> Vec<Part> {
    let mut parts = Vec::new();
    for part in item.value("content").and_then(elements).unwrap_or_default() {
        let Some(fields) = Fields::read(part.get()) else { continue };
        if let Some(refusal) = text_of(&fields, "refusal") {
            parts.push(Part::Refusal(refusal));
        } else if let Some(text) = text_of(&fields, "text") {
            let list = |name| fields.value(name).and_then(elements).unwrap_or_default();
            let citations = list("annotations").iter().filter_map(|it| citation(it.get(), *chars)).collect();
            *chars += text.chars().count() as u64;
            tokens.extend(list("logprobs").iter().map(|it| it.get()));
            parts.push(Part::Text { text, cache: None, citations });
        }
    }
    parts
}

/// A picture that was made.
pub fn picture(item: &Fields) -> Option<Media> {
    let base64 = item.text("result")?.into_owned();
    let format = item.text("output_format");
    let media_type = format!("image/{}", format.as_deref().unwrap_or(IMAGE_TYPE_USUAL));
    let source = Source::Data { media_type, base64 };
    Some(Media::of(MediaKind::Image, source))
}

/// Tokens' probabilities as chat's object; None without any.
pub fn logprobs(tokens: &[&str]) -> Option<Json> {
    let object = || format!(r#"{{"content":[{}],"refusal":null}}"#, tokens.join(","));
    (!tokens.is_empty()).then(object).and_then(|it| Json::parse(&it))
}

/// Why a response ended, by its status.
pub fn finish(response: &Fields, has_calls: bool) -> Result<Finish, Unreadable> {
    let status = response.text("status");
    match status.as_deref() {
        Some("failed") => Err(Unreadable("a response that failed")),
        Some("queued" | "in_progress") => Err(Unreadable("a response that is not complete")),
        Some("incomplete") => Ok(incomplete(response)),
        None | Some("completed") if has_calls => Ok(Reason::ToolCalls.into()),
        None | Some("completed") => Ok(Reason::Stop.into()),
        Some(other) => {
            Ok(Finish { reason: Reason::Stop, native: Some(other.to_owned()), stop_sequence: None })
        }
    }
}

fn incomplete(response: &Fields) -> Finish {
    let details = response.value("incomplete_details").and_then(Fields::read).unwrap_or_default();
    let cause = details.text("reason");
    match cause.as_deref() {
        Some("max_output_tokens") => Reason::Length.into(),
        Some("content_filter") => Reason::ContentFilter.into(),
        other => Finish {
            reason: Reason::Stop,
            native: Some(other.unwrap_or("incomplete").to_owned()),
            stop_sequence: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_that_failed_says_why() {
        let check = |error: &str, status: u16, message: &str| {
            let body = format!(r#"{{"object":"response","status":"failed","output":[],"error":{error}}}"#);
            let Err(NoAnswer::Failed(said)) = read_answer(body.as_bytes()) else { panic!("{body}") };
            assert_eq!((said.status, said.message.as_str()), (status, message), "{body}");
        };
        check(r#"{"code":"invalid_prompt","message":"no"}"#, 400, "no");
        check(r#"{"code":"rate_limit_exceeded","message":"later"}"#, 429, "later");
        check(r#"{"code":"server_error","message":"oh"}"#, 500, "oh");
        check("null", 500, "The vendor failed while it answered.");
    }
}
