//! What a path asks for: its kind, how its answer is read, whether its body names a model. Pure.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;

use crate::dialect::{Aside, Dialect};
use crate::edge::{google, spelling};
use crate::error::Error;
use crate::telemetry::EndpointKind;
use crate::vendor::stream::StreamShape;

/// What Anthropic's SDKs say with every call.
pub const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// A path of the public port, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub kind: EndpointKind,
    pub body: BodyKind,
    /// How its event streams are read.
    pub shape: StreamShape,
    /// Whether its answer is JSON whenever it is no stream.
    pub answers_json: bool,
    /// The path below `/v1`, without a trailing slash.
    pub path: String,
    /// The dialect its client speaks; None: OpenAI's where there are no dialects of it.
    pub dialect: Option<Dialect>,
    /// What the path says of it.
    pub aside: Aside,
}

impl Endpoint {
    /// The same asked with these headers: what has no place of its own here is Anthropic's where Anthropic's version is named.
    pub fn asked_with(mut self, headers: &HeaderMap) -> Self {
        if self.kind == EndpointKind::Other && headers.contains_key(ANTHROPIC_VERSION) {
            self.dialect = Some(Dialect::Anthropic);
        }
        self
    }

    /// The only API that has this endpoint, where it asks no model to speak.
    pub fn only_in(&self) -> Option<Dialect> {
        self.dialect.filter(|_| self.kind == EndpointKind::Other)
    }

    /// Whether it asks a model to speak, or how much it would have to read, so that any target may be asked for it in words
    /// of its own.
    pub fn asks_a_model(&self) -> bool {
        let speaks = [
            EndpointKind::Chat,
            EndpointKind::Completions,
            EndpointKind::Responses,
            EndpointKind::Messages,
            EndpointKind::GenerateContent,
            EndpointKind::CountTokens,
        ];
        self.dialect.is_some() && speaks.contains(&self.kind)
    }
}

/// How the body of a call is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// JSON whose `model` decides the route.
    Model,
    /// JSON or a form whose `model` decides if it is there.
    MaybeModel,
    /// Never looked at.
    Unread,
}

const SERVED: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// 405, with the methods that the path takes.
pub fn not_allowed(message: String, allowed: &[Method]) -> Error {
    let allowed: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let mut error =
        Error::bad_request(message).status(StatusCode::METHOD_NOT_ALLOWED).code("method_not_allowed");
    if let Ok(allowed) = HeaderValue::from_str(&allowed.join(", ")) {
        error.headers.insert(header::ALLOW, allowed);
    }
    error
}

/// Reads a request target's path. The `/v1` in front may be missing.
pub fn endpoint(method: &Method, path: &str) -> Result<Endpoint, Error> {
    if !SERVED.contains(method) {
        return Err(not_allowed(format!("The gateway does not serve the method {method}."), &SERVED));
    }
    check_segments(path)?;
    if let Some(found) = google::endpoint(method, path) {
        return found;
    }
    let versioned = path.strip_prefix("/v1").filter(|it| it.is_empty() || it.starts_with('/'));
    let below = versioned.unwrap_or(path);
    let below = below.strip_suffix('/').unwrap_or(below);
    if below.is_empty() || (versioned.is_none() && !is_known(below)) {
        return Err(unknown(path));
    }
    let posted = *method == Method::POST;
    let read = matches!(*method, Method::GET | Method::HEAD);
    let (kind, body, answers_json) = match below {
        "/chat/completions" if posted => (EndpointKind::Chat, BodyKind::Model, true),
        "/completions" => (EndpointKind::Completions, BodyKind::Model, true),
        "/embeddings" => (EndpointKind::Embeddings, BodyKind::Model, true),
        "/rerank" => (EndpointKind::Rerank, BodyKind::Model, true),
        "/responses" if posted => (EndpointKind::Responses, BodyKind::Model, true),
        "/messages" => (EndpointKind::Messages, BodyKind::Model, true),
        "/messages/count_tokens" => (EndpointKind::CountTokens, BodyKind::Model, true),
        "/moderations" => (EndpointKind::Moderations, BodyKind::MaybeModel, true),
        "/models" if read => (EndpointKind::Models, BodyKind::Unread, true),
        _ if read && below.starts_with("/models/") => (EndpointKind::Models, BodyKind::Unread, true),
        _ if is_kept(below) && !(posted && below == "/chat/completions") => {
            (EndpointKind::Sessions, if read { BodyKind::Unread } else { BodyKind::MaybeModel }, false)
        }
        _ if below.starts_with("/images/") => (EndpointKind::Images, BodyKind::MaybeModel, true),
        _ if below.starts_with("/audio/") => (EndpointKind::Audio, BodyKind::MaybeModel, false),
        _ if below.starts_with("/responses/") => (EndpointKind::Responses, BodyKind::MaybeModel, true),
        _ if !read && !is_upload(below) => (EndpointKind::Other, BodyKind::MaybeModel, false),
        _ => (EndpointKind::Other, BodyKind::Unread, false),
    };
    // A model's name may hold anything, and what is asked of models is answered here.
    if kind != EndpointKind::Models {
        spelling::check(below)?;
    }
    let post_only = matches!(body, BodyKind::Model);
    if post_only && !posted {
        return Err(not_allowed(format!("`{path}` takes POST, not {method}."), &[Method::POST]));
    }
    let (shape, dialect) = (shape(kind), dialect(kind, below));
    Ok(Endpoint { kind, body, shape, answers_json, path: below.to_owned(), dialect, aside: Aside::default() })
}

fn shape(kind: EndpointKind) -> StreamShape {
    match kind {
        EndpointKind::Chat | EndpointKind::Completions | EndpointKind::Messages => StreamShape::Chunks,
        EndpointKind::Responses => StreamShape::Responses,
        _ => StreamShape::Opaque,
    }
}

/// The dialect in which a client is told that a path is wrong; None: OpenAI's.
pub fn dialect_of(path: &str, headers: &HeaderMap) -> Option<Dialect> {
    if google::is_ours(path) {
        return Some(Dialect::Gemini);
    }
    (is_anthropics(path) || headers.contains_key(ANTHROPIC_VERSION)).then_some(Dialect::Anthropic)
}

/// Whether the path is one of Anthropic's.
pub fn is_anthropics(path: &str) -> bool {
    let below = path.strip_prefix("/v1").unwrap_or(path);
    below.strip_prefix("/messages").is_some_and(|it| it.is_empty() || it.starts_with('/'))
}

fn dialect(kind: EndpointKind, below: &str) -> Option<Dialect> {
    match kind {
        EndpointKind::Chat => Some(Dialect::Chat),
        EndpointKind::Completions => Some(Dialect::Completions),
        EndpointKind::Responses if below == "/responses" => Some(Dialect::Responses),
        EndpointKind::Messages | EndpointKind::CountTokens => Some(Dialect::Anthropic),
        // Its batches.
        EndpointKind::Other if below.starts_with("/messages/") => Some(Dialect::Anthropic),
        _ => None,
    }
}

/// What the OpenAI API has at its top level. Without `/v1` in front nothing else is forwarded: what strays here, such as
/// `/favicon.ico`, is no call for a vendor.
const FAMILIES: [&str; 26] = [
    "assistants",
    "audio",
    "batches",
    "chat",
    "completions",
    "containers",
    "conversations",
    "embeddings",
    "evals",
    "files",
    "fine_tuning",
    "images",
    "messages",
    "models",
    "moderations",
    "organization",
    "projects",
    "realtime",
    "rerank",
    "responses",
    "sessions",
    "skills",
    "threads",
    "uploads",
    "vector_stores",
    "videos",
];

fn is_known(below: &str) -> bool {
    let family = below.split('/').nth(1).unwrap_or_default();
    FAMILIES.contains(&family)
}

fn unknown(path: &str) -> Error {
    let shown: String = path.chars().take(64).collect();
    Error::bad_request(format!("`{shown}` is no path of the OpenAI API; those begin with /v1/."))
        .status(StatusCode::NOT_FOUND)
        .code("unknown_url")
}

/// What the gateway keeps itself, if its configuration says so. Of chat completions, those that are stored.
fn is_kept(below: &str) -> bool {
    let path: Vec<&str> = below.split('/').skip(1).take(2).collect();
    matches!(path.as_slice(), ["sessions" | "conversations", ..] | ["chat", "completions"])
}

/// Files and parts of uploads are large, and name no model.
fn is_upload(below: &str) -> bool {
    below == "/files" || below.starts_with("/uploads")
}

/// A path that walks upwards could leave the upstream's base path, however its dots and slashes are written.
fn check_segments(path: &str) -> Result<(), Error> {
    let plain = percent_decode_str(path).decode_utf8_lossy();
    let walks = plain.split(['/', '\\']).any(|it| it == "." || it == "..");
    match walks {
        true => {
            Err(Error::bad_request("The request path must not hold `.` or `..` segments.")
                .code("invalid_path"))
        }
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, path: &str, kind: EndpointKind, body: BodyKind, below: &str) {
        let it = endpoint(&method, path).unwrap();
        assert_eq!((it.kind, it.body, it.path.as_str()), (kind, body, below), "{method} {path}");
    }

    #[test]
    fn paths_are_known_with_and_without_v1_and_a_trailing_slash() {
        for path in ["/v1/chat/completions", "/chat/completions", "/v1/chat/completions/"] {
            check(Method::POST, path, EndpointKind::Chat, BodyKind::Model, "/chat/completions");
        }
        for (method, path, body) in [
            (Method::GET, "/chat/completions", BodyKind::Unread),
            (Method::GET, "/chat/completions/c-1/messages", BodyKind::Unread),
            (Method::POST, "/chat/completions/c-1", BodyKind::MaybeModel),
            (Method::DELETE, "/conversations/c-1/items/i-1", BodyKind::MaybeModel),
            (Method::GET, "/sessions", BodyKind::Unread),
            (Method::POST, "/sessions/s-1/fork", BodyKind::MaybeModel),
        ] {
            check(method.clone(), path, EndpointKind::Sessions, body, path);
            check(method, &format!("/v1{path}/"), EndpointKind::Sessions, body, path);
        }
        check(Method::GET, "/v1/sessionsx", EndpointKind::Other, BodyKind::Unread, "/sessionsx");
        check(Method::GET, "/v1/models/gpt-4o", EndpointKind::Models, BodyKind::Unread, "/models/gpt-4o");
        check(
            Method::POST,
            "/v1/audio/transcriptions",
            EndpointKind::Audio,
            BodyKind::MaybeModel,
            "/audio/transcriptions",
        );
        check(Method::POST, "/v1/files", EndpointKind::Other, BodyKind::Unread, "/files");
        check(
            Method::POST,
            "/v1/fine_tuning/jobs",
            EndpointKind::Other,
            BodyKind::MaybeModel,
            "/fine_tuning/jobs",
        );
        check(Method::GET, "/v1/files/f-1", EndpointKind::Other, BodyKind::Unread, "/files/f-1");
        check(Method::GET, "/files/f-1", EndpointKind::Other, BodyKind::Unread, "/files/f-1");
        check(Method::GET, "/v1/brand-new", EndpointKind::Other, BodyKind::Unread, "/brand-new");
        check(
            Method::POST,
            "/v1/responses/compact",
            EndpointKind::Responses,
            BodyKind::MaybeModel,
            "/responses/compact",
        );
    }

    #[test]
    fn anthropics_paths_are_told_apart() {
        for (path, expected) in [
            ("/v1/messages", true),
            ("/messages/", true),
            ("/v1/messages/batches", true),
            ("/v1/messagesx", false),
            ("/v1x/messages", false),
        ] {
            assert_eq!(is_anthropics(path), expected, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        for (method, path, status) in [
            (Method::CONNECT, "/", 405),
            (Method::TRACE, "/v1/models", 405),
            (Method::GET, "/v1/embeddings", 405),
            (Method::GET, "/", 404),
            (Method::GET, "/v1", 404),
            (Method::GET, "/v1x", 404),
            (Method::GET, "/favicon.ico", 404),
            (Method::GET, "/v1/files/../../admin", 400),
            (Method::GET, "/v1/files/%2e%2E/x", 400),
            (Method::GET, "/v1/files/a%2f..%2fb", 400),
            (Method::GET, "/v1//responses/resp_1", 400),
            (Method::GET, "/v1/responses/resp_1//", 400),
            (Method::POST, "/v1//responses", 400),
            (Method::GET, "/v1/%72esponses/resp_1", 400),
            (Method::GET, "/v1/v1/responses/resp_1", 400),
            (Method::GET, "/v1/files;a=1/f", 400),
        ] {
            let error = endpoint(&method, path).unwrap_err();
            assert_eq!(error.status.as_u16(), status, "{method} {path}");
        }
    }
}
