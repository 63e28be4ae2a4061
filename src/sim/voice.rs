//! How each vendor says that something went wrong: the body, its kind, and the headers around it. Pure.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{call::TOO_LONG, reply::Pieces, stream::Segment};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const AMAZON_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const AMAZON_ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const OVERLOADED: u16 = 529;

/// Whose API a path belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Voice {
    OpenAi,
    Anthropic,
    Gemini,
    Bedrock,
    Cohere,
    Ollama,
}

impl Voice {
    /// The body of an error.
    pub fn error(
        self,
        status: StatusCode,
        code: Option<&str>,
        param: Option<&str>,
        message: &str,
        id: &str,
    ) -> String {
        let message = if code == Some(TOO_LONG) { self.too_long().unwrap_or(message) } else { message };
        let body: Value = match self {
            Self::OpenAi => {
                let kind = openai(status);
                json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
            }
            Self::Anthropic => json!({"type": "error", "request_id": format!("req_{id}"),
                "error": {"type": anthropic(status), "message": message}}),
            Self::Gemini => json!({"error": google(status, message)}),
            Self::Bedrock => json!({"message": message}),
            Self::Cohere => json!({"id": id, "message": message}),
            Self::Ollama => json!({"error": message}),
        };
        body.to_string()
    }

    /// What surrounds an answer of this vendor.
    pub fn head(self, status: StatusCode, id: &str, headers: &mut HeaderMap) {
        let id = HeaderValue::try_from(format!("sim-{id}")).expect("an id is hexadecimal");
        match self {
            Self::Anthropic => headers.insert(ANTHROPIC_REQUEST_ID, id),
            Self::Bedrock => {
                if !status.is_success() {
                    headers.insert(AMAZON_ERROR_TYPE, HeaderValue::from_static(amazon(status)));
                }
                headers.insert(AMAZON_REQUEST_ID, id)
            }
            _ => headers.insert(REQUEST_ID, id),
        };
        // Google says it in the body.
        if status == StatusCode::TOO_MANY_REQUESTS && !matches!(self, Self::Gemini | Self::Bedrock) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
    }

    /// The sentence by which clients know that a prompt does not fit; none where it is OpenAI's.
    fn too_long(self) -> Option<&'static str> {
        match self {
            Self::Anthropic => Some("prompt is too long: 1001 tokens > 1000 maximum"),
            Self::Gemini => {
                Some("The input token count (1001) exceeds the maximum number of tokens allowed (1000).")
            }
            Self::Bedrock => Some("Input is too long for requested model."),
            Self::Cohere => {
                Some("too many tokens: total number of tokens cannot exceed 1000 - received 1001.")
            }
            Self::OpenAi | Self::Ollama => None,
        }
    }
}

fn openai(status: StatusCode) -> &'static str {
    match status {
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::UNAUTHORIZED => "authentication_error",
        _ if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    }
}

fn anthropic(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        OVERLOADED => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

fn amazon(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        500.. => "InternalServerException",
        _ => "ValidationException",
    }
}

fn google(status: StatusCode, message: &str) -> Value {
    let name = match status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    let mut error = json!({"code": status.as_u16(), "message": message, "status": name});
    if status == StatusCode::TOO_MANY_REQUESTS {
        error["details"] = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}]);
    }
    error
}

/// An event of a stream that has a name.
pub(super) fn named(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// An event of a stream that has none.
pub(super) fn unnamed(data: &Value) -> Bytes {
    format!("data: {data}\n\n").into()
}

/// Where in an event's data its piece belongs.
pub(super) const HOLE: &str = "\u{1}";

/// One event per piece: `data` with the piece where [`HOLE`] stands, as the text of a member.
pub(super) fn pieced(name: Option<&str>, data: &Value, pieces: &Pieces) -> Segment {
    let data = data.to_string();
    let (before, after) = data.split_once(r"\u0001").unwrap_or((&data, ""));
    let opening = name.map(|it| format!("event: {it}\n")).unwrap_or_default();
    Segment::Pieces {
        before: format!("{opening}data: {before}").into(),
        pieces: pieces.clone(),
        after: format!("{after}\n\n").into(),
        number: None,
    }
}
