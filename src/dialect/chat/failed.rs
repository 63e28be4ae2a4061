//! Errors as vendors of chat tell them: OpenAI's object, and what they have instead of it.

use crate::api::fields::Fields;
use crate::dialect::ErrorSaid;
use crate::dialect::read::{object_of, text_of};

/// The status of an error within an answer whose vendor names none.
const STATUS_UNKNOWN: u16 = 502;

/// The error that an event tells, of the kind that `name` says; None where it tells none.
pub fn read(name: &str, fields: &Fields) -> Option<ErrorSaid> {
    if let Some(json) = fields.value("error").filter(|it| !matches!(*it, "{}" | "\"\"" | "false")) {
        return Some(match Fields::read(json) {
            Some(error) => of_object(&error, fields),
            None => of_text(crate::api::surrogates::text(json).unwrap_or(json.into()).into_owned()),
        });
    }
    if let Some(told) = object_of(fields, "base_resp") {
        // MiniMax.
        let code = told.value("status_code").filter(|it| *it != "0")?;
        let message = text_of(&told, "status_msg").unwrap_or_default();
        return Some(ErrorSaid { code: Some(code.to_owned()), ..of_text(message) });
    }
    is_flat(name, fields).then(|| of_object(fields, fields))
}

/// Whether the event itself is the error: SiliconFlow's `code` and `message`, Cerebras' and vLLM's, FastAPI's `detail`.
/// Not where it says anything of an answer, or that all is well, as Spark's `code` 0 does.
fn is_flat(name: &str, fields: &Fields) -> bool {
    let has = |name: &&str| fields.value(name).is_some();
    if ANSWERED.iter().any(has) || matches!(fields.value("code"), Some("0" | "\"0\"" | "200" | "\"200\"")) {
        return false;
    }
    let says = |name: &&str| fields.value(name).is_some_and(|it| it.len() > 2 && it.starts_with('"'));
    let is_named = fields.text("object").as_deref() == Some("error") || name == "error";
    is_named || ["message", "msg"].iter().any(says) || ["detail", "code"].iter().any(has)
}

/// Fields of an answer, in any dialect.
const ANSWERED: [&str; 7] =
    ["choices", "usage", "x_groq", "prompt_filter_results", "output", "content", "candidates"];

fn of_text(message: String) -> ErrorSaid {
    ErrorSaid::of(STATUS_UNKNOWN, message)
}

fn of_object(error: &Fields, event: &Fields) -> ErrorSaid {
    let code = error.value("code").map(|it| text_of(error, "code").unwrap_or_else(|| it.to_owned()));
    let kind = text_of(error, "type").or_else(|| text_of(error, "status"));
    let stated = ["status", "status_code", "code"].into_iter().find_map(|name| {
        let text = error.value(name).or_else(|| event.value(name))?.trim_matches('"');
        text.parse().ok().filter(|it| (400..600).contains(it))
    });
    let error_type = kind.filter(|it| !it.is_empty()).unwrap_or_else(|| "server_error".to_owned());
    let status = stated.unwrap_or_else(|| status_of(&error_type, code.as_deref().unwrap_or_default()));
    let message =
        ["message", "msg", "detail"].into_iter().find_map(|it| text_of(error, it)).unwrap_or_default();
    ErrorSaid { status, message, error_type, code, param: text_of(error, "param"), retry_after: None }
}

/// The status that goes with a type or code.
fn status_of(error_type: &str, code: &str) -> u16 {
    let says = |word: &str| error_type.contains(word) || code.contains(word);
    match () {
        () if says("rate_limit") || says("quota") => 429,
        () if says("authentication") || says("invalid_api_key") => 401,
        () if says("permission") => 403,
        () if says("not_found") => 404,
        () if says("invalid_request") || says("context_length") || says("content_filter") => 400,
        () if says("overloaded") => 503,
        () => STATUS_UNKNOWN,
    }
}
