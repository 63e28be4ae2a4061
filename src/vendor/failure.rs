//! Reads a vendor's failure: whose fault, whether another target may help, when to come back, and what to tell the client.
//! Takes the six error shapes seen in the wild: nested object, nested string, flat object, numeric code, array-wrapped,
//! and an error inside a 200 (`error`, MiniMax `base_resp`).

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use memchr::memmem::Finder;
use serde_json::Value;

use crate::dialect::chat;
use crate::error::{Error, Kind, Origin};
use crate::names::UpstreamId;
use crate::vendor::cause;
use crate::vendor::limits::wait_for_exhausted;
use crate::vendor::when::{retry_after, retry_info};

/// What the vendor answered.
pub struct Failure<'a> {
    pub upstream: &'a UpstreamId,
    pub status: StatusCode,
    pub headers: &'a HeaderMap,
    pub body: &'a Bytes,
    /// Whether the call named a model.
    pub names_model: bool,
}

/// The fields that vendors' error objects share.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    pub message: Option<String>,
    pub error_type: Option<String>,
    pub code: Option<String>,
    /// What Azure's `innererror`, or one of Google's details, adds to the code.
    pub reason: Option<String>,
    param: Option<String>,
    /// Google's `RetryInfo`.
    wait: Option<Duration>,
    /// The body is already the OpenAI object, so that it can be passed on as it is.
    openai_shaped: bool,
}

impl Said {
    /// All words that name the cause by a code.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        [&self.code, &self.error_type, &self.reason].into_iter().filter_map(|it| it.as_deref())
    }
}

/// Longest code of a vendor's that is repeated to operators, in bytes.
const CODE_BYTES_MAX: usize = 64;

impl Failure<'_> {
    /// The vendor's codes for what happened, for the operator's log: words only, for its sentences may repeat a key.
    pub fn codes(&self) -> String {
        let is_plain = |it: &&str| {
            it.len() <= CODE_BYTES_MAX
                && it.bytes().all(|it| it.is_ascii_alphanumeric() || b"_.-".contains(&it))
        };
        self.said().codes().filter(is_plain).collect::<Vec<_>>().join(" ")
    }

    /// The failure as the call's error. The vendor's own words stay; keys and addresses are masked by the caller.
    pub fn read(&self) -> Error {
        let said = self.said();
        let kind = self.kind(&said);
        let status = self.client_status(kind, &said);
        let fallback = || format!("The upstream answered {} without a message.", self.status.as_u16());
        let message = match kind {
            // A vendor's words about a key are for the operator; the client's key was right.
            Kind::KeyRefused => {
                format!("The upstream `{}` refused the gateway's key or account.", self.upstream)
            }
            // These name accounts and roles.
            Kind::ModelMissing if self.status == StatusCode::FORBIDDEN && !said.openai_shaped => {
                format!("The upstream `{}` does not let the gateway's account use this model.", self.upstream)
            }
            _ => said.message.clone().unwrap_or_else(fallback),
        };
        let mut error = Error::new(kind, Origin::Upstream(self.upstream.clone()), message).status(status);
        error.retry_after = self.wait(kind, &said);
        if kind != Kind::KeyRefused {
            if let Some(error_type) = said.error_type {
                error.error_type = error_type;
            }
            if said.code.is_some() {
                error.code = said.code;
            }
            error.param = said.param;
            error.body = said.openai_shaped.then(|| self.body.clone());
        }
        error
    }

    /// The headers' word first; of a 429 without any, when the limit that is used up is full again.
    fn wait(&self, kind: Kind, said: &Said) -> Option<Duration> {
        let now = SystemTime::now();
        let reset = || (kind == Kind::RateLimited).then(|| wait_for_exhausted(self.headers, now)).flatten();
        retry_after(self.headers, now).or(said.wait).or_else(reset)
    }

    fn kind(&self, said: &Said) -> Kind {
        let code = said.code.as_deref().unwrap_or_default();
        let status = self.real_status(said);
        if let Some(kind) = cause::of_content(said, status) {
            return kind;
        }
        match status {
            400 | 403 | 404 if matches!(code, "model_not_found" | "20012") => self.missing(),
            200 | 400 if cause::is_about_the_key(said) => Kind::KeyRefused,
            // The account may use others.
            403 if cause::is_about_a_model(said) => self.missing(),
            401..=403 => Kind::KeyRefused,
            // 1113 is GLM's "in arrears".
            429 if matches!(code, "insufficient_quota" | "billing_hard_limit_reached" | "1113") => {
                Kind::KeyRefused
            }
            429 => Kind::RateLimited,
            404 => self.missing(),
            // 408 and 425 ask for another try; 424 is Bedrock's for a model that failed, 498 Groq's "no capacity".
            408 | 424 | 425 | 498 => Kind::VendorFailed,
            400..=499 => Kind::BadRequest,
            _ => Kind::VendorFailed,
        }
    }

    /// An error inside a 200 may name the status it would have had, as OpenRouter does, or a type that has one. AWS says
    /// 400 where others say 429.
    fn real_status(&self, said: &Said) -> u16 {
        let of_type = || cause::status_of_type(said);
        match said.code.as_deref().map(str::parse) {
            Some(Ok(named @ 400..=599)) if self.status.is_success() => named,
            _ if self.status.is_success() => of_type().unwrap_or(self.status.as_u16()),
            _ if self.is_aws(said) => of_type().unwrap_or(self.status.as_u16()),
            _ => self.status.as_u16(),
        }
    }

    fn is_aws(&self, said: &Said) -> bool {
        self.status == StatusCode::BAD_REQUEST
            && said.error_type.as_deref().is_some_and(|it| it.ends_with("Exception"))
    }

    /// What a 404 misses: a model, or, for a call that names none, the client's own thing.
    fn missing(&self) -> Kind {
        if self.names_model { Kind::ModelMissing } else { Kind::BadRequest }
    }

    /// The status the client sees: the vendor's, unless it would blame the client for the gateway's key,
    /// or is no failure at all: that of an error inside a 200 is the one it names.
    fn client_status(&self, kind: Kind, said: &Said) -> StatusCode {
        match kind {
            Kind::KeyRefused => StatusCode::BAD_GATEWAY,
            Kind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            _ if self.status == StatusCode::FAILED_DEPENDENCY => StatusCode::BAD_GATEWAY,
            _ if self.status.is_client_error() || self.status.is_server_error() => self.status,
            Kind::ContextLength | Kind::ContentFilter => StatusCode::BAD_REQUEST,
            _ => {
                let named = StatusCode::from_u16(self.real_status(said)).ok();
                let is_error = |it: &StatusCode| it.is_client_error() || it.is_server_error();
                named.filter(is_error).unwrap_or(StatusCode::BAD_GATEWAY)
            }
        }
    }

    fn said(&self) -> Said {
        let mut said = said(self.body);
        // Inside a 200 many an object is called an error; one without a type is told in OpenAI's words.
        said.openai_shaped &= !self.status.is_success() || said.error_type.is_some();
        said
    }
}

/// Whether a body that is no answer holds a sentence about why, as those of Cohere and AWS do at the top.
pub fn says_why(body: &[u8]) -> bool {
    said(body).message.is_some()
}

fn said(body: &[u8]) -> Said {
    let Ok(json) = serde_json::from_slice::<Value>(body) else { return Said::default() };
    let whole = match &json {
        Value::Array(items) => items.first().unwrap_or(&Value::Null),
        other => other,
    };
    let nested = whole.get("error").or_else(|| whole.get("base_resp"));
    // A failed Responses event carries its error one level down.
    let nested = nested.filter(|it| !it.is_null()).or_else(|| whole.pointer("/response/error"));
    match nested {
        Some(Value::String(text)) => {
            Said { message: Some(text.clone()), code: word(whole, &["code"]), ..Said::default() }
        }
        Some(object) => Said {
            openai_shaped: whole
                .get("error")
                .is_some_and(|it| it.get("message").is_some_and(Value::is_string))
                && json.is_object(),
            ..fields(object)
        },
        None => {
            let said = fields(whole);
            Said { message: said.message.or_else(|| end_of(whole)), ..said }
        }
    }
}

/// The word with which a vendor ended an answer that it could not give.
fn end_of(answer: &Value) -> Option<String> {
    let word = answer.pointer("/choices/0/finish_reason")?.as_str()?;
    Some(format!("The upstream ended its answer with `{word}`."))
}

fn fields(object: &Value) -> Said {
    Said {
        message: word(object, &["message", "msg", "status_msg", "detail"]),
        error_type: word(object, &["type", "status", "__type"]),
        code: word(object, &["code", "status_code"]),
        reason: object
            .pointer("/innererror/code")
            .or_else(|| object.pointer("/details/0/reason"))
            .and_then(text),
        param: word(object, &["param"]),
        wait: retry_info(object),
        openai_shaped: false,
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// The first of the named fields that holds text or a number.
fn word(object: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match object.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error\""));
static BASE_RESP: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"base_resp\""));

/// Whether a 200's JSON body is a failure in disguise: an `error` that says something, or MiniMax's status.
pub fn is_error_in_success(body: &[u8]) -> bool {
    let suspicious = ERROR.find(body).is_some() || BASE_RESP.find(body).is_some();
    if !suspicious {
        return false;
    }
    let Ok(json) = serde_json::from_slice::<Value>(body) else { return false };
    let error = json.get("error").is_some_and(|it| match it {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    });
    // A Responses object has an `error` field of its own, which is the client's to read.
    let answered = ["choices", "output", "data"]
        .iter()
        .any(|name| json.get(name).and_then(Value::as_array).is_some_and(|it| !it.is_empty()))
        || json.get("object").is_some_and(|it| it == "response");
    let status = json.pointer("/base_resp/status_code").and_then(Value::as_i64).unwrap_or(0);
    (error && !answered) || status != 0
}

/// Where an answer of a model's stands, in each dialect; one of them is soon found.
static ANSWERS: LazyLock<[Finder<'static>; 4]> = LazyLock::new(|| {
    [&b"\"choices\""[..], b"\"content\"", b"\"candidates\"", b"\"output\""].map(Finder::new)
});

/// Whether a 200 that should be a model's answer is an error by itself, as SiliconFlow's and Cerebras' are.
pub fn is_bare_error(body: &[u8]) -> bool {
    ANSWERS.iter().all(|it| it.find(body).is_none()) && chat::tells_error(body)
}

#[cfg(test)]
mod tests;
