//! Decides whether a stream that broke off may go on at another target, and with which call. What the client was told
//! stays; what comes must fit behind it. So: plain text of one chat completion, once a call.

use std::sync::Arc;

use serde::Deserialize;

use crate::route::plan::Plan;
use crate::route::table::Route;
use crate::route::target::Target;
use crate::telemetry::EndpointKind;
use crate::upstream::call::{Call, CallBody};
use crate::vendor::said::Said;

/// Whether the call's stream may go on at a target behind the one that begins it. A stream that goes on with another is not
/// itself continued.
pub fn may_follow(call: &Call, plan: &Plan) -> bool {
    plan.route.continues
        && plan.targets.len() > 1
        && call.kind == EndpointKind::Chat
        && call.said.is_none()
        && call.streams()
}

/// Whether what `target` says is to be remembered: not where nobody is left to go on with it.
pub fn is_heard(call: &Call, plan: &Plan, target: &Arc<Target>) -> bool {
    may_follow(call, plan) && plan.targets.last().is_some_and(|it| !Arc::ptr_eq(it, target))
}

/// What of a request decides.
#[derive(Deserialize)]
struct Asked {
    messages: Vec<Message>,
    #[serde(default)]
    n: Option<u64>,
    #[serde(default)]
    logprobs: Option<bool>,
    #[serde(default)]
    response_format: Option<Format>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
}

#[derive(Deserialize)]
struct Format {
    r#type: String,
}

impl Asked {
    /// Structured output is not continued: a vendor that guarantees a whole object begins a new one. Nor is an answer that
    /// the client itself began.
    fn is_plain(&self) -> bool {
        self.n.is_none_or(|it| it == 1)
            && self.logprobs != Some(true)
            && self.response_format.as_ref().is_none_or(|it| it.r#type == "text")
            && self.messages.last().is_some_and(|it| it.role != "assistant")
    }
}

/// The call that asks for the rest behind `said`; none where nobody can give it.
pub fn rest_of(call: &Call, route: &Route, said: Box<Said>) -> Option<Call> {
    let CallBody::Json { body, .. } = &call.body else { return None };
    let asked: Asked = serde_json::from_slice(body).ok()?;
    let is_plain = asked.is_plain() && !route.defaults.iter().any(|(name, _)| name == "response_format");
    if !is_plain {
        return None;
    }
    Some(Call { said: Some(said), ..call.again()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(more: &str, role: &str, plain: bool) {
        let body = format!(r#"{{"messages":[{{"role":"{role}","content":[1]}}]{more}}}"#);
        let asked: Result<Asked, _> = serde_json::from_str(&body);
        assert_eq!(asked.is_ok_and(|it| it.is_plain()), plain, "{body}");
    }

    #[test]
    fn only_plain_text_of_one_choice_is_continued() {
        check("", "user", true);
        check("", "tool", true);
        check(r#","n":1,"logprobs":false,"response_format":{"type":"text"}"#, "user", true);
        check(r#","n":null,"logprobs":null,"response_format":null"#, "user", true);
        check(r#","n":2"#, "user", false);
        check(r#","logprobs":true"#, "user", false);
        check(r#","response_format":{"type":"json_object"}"#, "user", false);
        check(r#","response_format":{"type":"json_schema","json_schema":{}}"#, "user", false);
        check("", "assistant", false);
    }
}
