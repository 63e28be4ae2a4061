//! The one error inside a call: what went wrong, whose fault it is, and whether another target may help.
//! `edge::rescue` alone turns it into an HTTP answer; `upstream::dispatch` alone reads `retry`.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::names::{ModelName, UpstreamId};

/// Who caused the failure; decides blame in metrics and health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Client,
    Gateway,
    Upstream(UpstreamId),
}

/// What may be tried after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Another target would answer the same, or the call has begun to reach the client.
    Never,
    /// Another target may answer.
    NextTarget,
}

/// Why an attempt or a call failed. A closed set: it labels metrics and log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request itself is wrong (400, 404, 405, 413, 415, 422 …).
    BadRequest,
    /// The prompt, or prompt and answer together, do not fit the model's window; a larger one may take them.
    ContextLength,
    /// The vendor does not serve the content of the request or of its answer; another one may.
    ContentFilter,
    /// The caller's key is missing or unknown, or may not use the model.
    Unauthorized,
    /// The gateway is full or stopping.
    Overloaded,
    /// No connection: refused, DNS, TLS, connect timer.
    Connect,
    /// The connection broke before the answer was usable.
    Reset,
    /// A timer ran out: first byte, first content, silence, or the whole call.
    Timeout,
    /// The vendor refused for now (429).
    RateLimited,
    /// The vendor refused the key (401, 403) or the purse (402).
    KeyRefused,
    /// The vendor does not know the model (its 404).
    ModelMissing,
    /// The vendor failed (5xx, an error inside a 200, not JSON where JSON was due).
    VendorFailed,
    /// The answer ended before it was complete.
    Cut,
    /// The store of sessions cannot be asked now.
    StoreAway,
    /// The gateway's own fault.
    Internal,
    /// Given up because another attempt of the same call was quicker. Of attempts in the record only: no call ends so, and
    /// no metric is labelled so.
    Hedged,
}

impl Kind {
    /// Those that label metrics.
    pub const ALL: [Kind; 15] = [
        Kind::BadRequest,
        Kind::ContextLength,
        Kind::ContentFilter,
        Kind::Unauthorized,
        Kind::Overloaded,
        Kind::Connect,
        Kind::Reset,
        Kind::Timeout,
        Kind::RateLimited,
        Kind::KeyRefused,
        Kind::ModelMissing,
        Kind::VendorFailed,
        Kind::Cut,
        Kind::StoreAway,
        Kind::Internal,
    ];

    /// The word used in metrics, log lines and `explain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::BadRequest => "bad_request",
            Kind::ContextLength => "context_length",
            Kind::ContentFilter => "content_filter",
            Kind::Unauthorized => "unauthorized",
            Kind::Overloaded => "overloaded",
            Kind::Connect => "connect",
            Kind::Reset => "reset",
            Kind::Timeout => "timeout",
            Kind::RateLimited => "rate_limited",
            Kind::KeyRefused => "key_refused",
            Kind::ModelMissing => "model_missing",
            Kind::VendorFailed => "vendor_failed",
            Kind::Cut => "cut",
            Kind::StoreAway => "store_away",
            Kind::Internal => "internal",
            Kind::Hedged => "hedged",
        }
    }

    /// Whether what the client sent is the cause, so that the same would fail again.
    pub fn is_about_the_request(self) -> bool {
        matches!(self, Kind::BadRequest | Kind::ContextLength | Kind::ContentFilter)
    }
}

/// A failure with all that its answer needs. One pointer wide: the path without failures pays nothing for it.
#[derive(Clone, Debug)]
pub struct Error(Box<Details>);

/// What is known of a failure. `message` is shown to clients: it names the thing and the limit, never an
/// address or a key.
#[derive(Clone, Debug)]
pub struct Details {
    pub kind: Kind,
    pub origin: Origin,
    pub retry: Retry,
    pub status: StatusCode,
    pub message: String,
    /// OpenAI `type`: `invalid_request_error`, `server_error` …
    pub error_type: String,
    pub param: Option<String>,
    pub code: Option<String>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
    /// The vendor's own error body, where it is OpenAI-shaped and can be passed on as it is.
    pub body: Option<Bytes>,
    /// The vendor's headers, of which the edge passes on what clients may see.
    pub headers: HeaderMap,
    /// The model the vendor was asked for.
    pub model: Option<ModelName>,
    /// `Some(false)` where the client's own retry cannot help either.
    pub should_retry: Option<bool>,
}

impl Error {
    /// With the type and code that go with its kind, in place of a vendor's own, which mean nothing in OpenAI's words.
    pub fn in_openais_words(&mut self) {
        let (_, error_type, code) = defaults(self.kind);
        self.error_type = error_type.into();
        self.code = code.map(Into::into);
        self.body = None;
    }

    /// A failure with the type, code and status that go with its kind; the setters below refine it.
    pub fn new(kind: Kind, origin: Origin, message: impl Into<String>) -> Self {
        let (status, error_type, code) = defaults(kind);
        let retry = match (&origin, kind) {
            (Origin::Upstream(_), kind) if kind.is_about_the_request() => Retry::Never,
            (Origin::Upstream(_), _) => Retry::NextTarget,
            _ => Retry::Never,
        };
        Self(Box::new(Details {
            kind,
            origin,
            retry,
            status,
            message: message.into(),
            error_type: error_type.into(),
            param: None,
            code: code.map(Into::into),
            retry_after: None,
            body: None,
            headers: HeaderMap::new(),
            model: None,
            should_retry: None,
        }))
    }

    /// The client's own fault: status 400, `invalid_request_error`.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, Origin::Client, message)
    }

    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }
}

/// Status, OpenAI type and code that a kind has when nothing more precise is known.
fn defaults(kind: Kind) -> (StatusCode, &'static str, Option<&'static str>) {
    match kind {
        Kind::BadRequest => (StatusCode::BAD_REQUEST, "invalid_request_error", None),
        Kind::ContextLength => {
            (StatusCode::BAD_REQUEST, "invalid_request_error", Some("context_length_exceeded"))
        }
        Kind::ContentFilter => (StatusCode::BAD_REQUEST, "invalid_request_error", Some("content_filter")),
        Kind::Unauthorized => (StatusCode::UNAUTHORIZED, "invalid_request_error", Some("invalid_api_key")),
        Kind::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "server_error", Some("overloaded")),
        Kind::Connect => (StatusCode::BAD_GATEWAY, "server_error", Some("upstream_unreachable")),
        Kind::Reset => (StatusCode::BAD_GATEWAY, "server_error", Some("upstream_reset")),
        Kind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "server_error", Some("upstream_timeout")),
        Kind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", Some("rate_limit_exceeded")),
        Kind::KeyRefused => (StatusCode::BAD_GATEWAY, "server_error", Some("upstream_auth")),
        Kind::ModelMissing => (StatusCode::NOT_FOUND, "invalid_request_error", Some("model_not_found")),
        Kind::VendorFailed => (StatusCode::BAD_GATEWAY, "server_error", Some("upstream_failed")),
        Kind::Cut => (StatusCode::BAD_GATEWAY, "server_error", Some("upstream_cut")),
        Kind::StoreAway => {
            (StatusCode::SERVICE_UNAVAILABLE, "server_error", Some("session_store_unavailable"))
        }
        Kind::Internal | Kind::Hedged => {
            (StatusCode::INTERNAL_SERVER_ERROR, "server_error", Some("internal_error"))
        }
    }
}

impl Deref for Error {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl DerefMut for Error {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.message)
    }
}

impl std::error::Error for Error {}
