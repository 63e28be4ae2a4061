//! The paths of the earlier service. Without `chat_api: true` none of them is known.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::edge::chat_api::fields;
use crate::edge::endpoint;
use crate::error::Error;
use crate::session::key::SessionId;
use crate::telemetry::EndpointKind;

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum ChatPath {
    /// A message and its answer as events. `posted`: in a JSON object.
    Stream {
        posted: bool,
    },
    Start,
    History,
    Sessions,
    DeleteSession(SessionId),
    ClearHistory(SessionId),
    Roles,
    Providers,
    Upload,
    Generate,
    About,
}

impl ChatPath {
    /// How the call counts.
    pub fn kind(&self) -> EndpointKind {
        match self {
            ChatPath::Stream { .. } => EndpointKind::Chat,
            ChatPath::Generate => EndpointKind::Images,
            ChatPath::Roles | ChatPath::Providers | ChatPath::Upload | ChatPath::About => EndpointKind::Other,
            _ => EndpointKind::Sessions,
        }
    }
}

/// What only tells takes both. A `HEAD` of `/chat/stream` would cost a call nobody reads.
const READ: &[Method] = &[Method::GET, Method::HEAD];

/// None: the path is not one of these.
pub fn find(method: &Method, path: &str) -> Option<Result<ChatPath, Error>> {
    let path = path.trim_end_matches('/');
    let (known, methods): (ChatPath, &[Method]) = match path {
        "/chat/stream" => {
            (ChatPath::Stream { posted: *method == Method::POST }, &[Method::GET, Method::POST])
        }
        "/chat/start" => (ChatPath::Start, &[Method::POST]),
        "/chat/history" => (ChatPath::History, READ),
        "/chat/sessions" => (ChatPath::Sessions, READ),
        "/roles" => (ChatPath::Roles, READ),
        "/providers" => (ChatPath::Providers, READ),
        "/upload/image" => (ChatPath::Upload, &[Method::POST]),
        "/generate/image" => (ChatPath::Generate, &[Method::POST]),
        "/api" => (ChatPath::About, READ),
        _ => {
            let (make, id): (fn(SessionId) -> ChatPath, &str) = match path.strip_prefix("/chat/session/") {
                Some(id) => (ChatPath::DeleteSession, id),
                None => (ChatPath::ClearHistory, path.strip_prefix("/chat/history/")?),
            };
            match fields::session(&percent_decode_str(id).decode_utf8_lossy()) {
                Ok(id) => (make(id), &[Method::DELETE]),
                Err(error) => return Some(Err(error)),
            }
        }
    };
    Some(match methods.contains(method) {
        true => Ok(known),
        false => Err(not_allowed(method, path, methods)),
    })
}

fn not_allowed(method: &Method, path: &str, methods: &[Method]) -> Error {
    let allowed: Vec<&str> = methods.iter().map(Method::as_str).collect();
    endpoint::not_allowed(format!("`{path}` takes {}, not {method}.", allowed.join(" and ")), methods)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_services_paths_are_known_by_their_methods() {
        let id = || SessionId::parse("a-1").unwrap();
        for (method, path, expected) in [
            (Method::GET, "/chat/stream", Some(ChatPath::Stream { posted: false })),
            (Method::POST, "/chat/stream/", Some(ChatPath::Stream { posted: true })),
            (Method::DELETE, "/chat/session/a-1", Some(ChatPath::DeleteSession(id()))),
            (Method::DELETE, "/chat/history/a%2D1", Some(ChatPath::ClearHistory(id()))),
            (Method::GET, "/chat/history", Some(ChatPath::History)),
            (Method::HEAD, "/chat/history", Some(ChatPath::History)),
            (Method::HEAD, "/roles", Some(ChatPath::Roles)),
            (Method::GET, "/chat/completions", None),
            (Method::GET, "/v1/chat/history", None),
            (Method::GET, "/", None),
        ] {
            assert_eq!(find(&method, path).map(Result::unwrap), expected, "{method} {path}");
        }
    }

    #[test]
    fn other_methods_and_ids_are_refused() {
        for (method, path, status) in [
            (Method::GET, "/chat/start", 405),
            (Method::HEAD, "/chat/stream", 405),
            (Method::PUT, "/roles", 405),
            (Method::GET, "/chat/session/a", 405),
            (Method::DELETE, "/chat/session/a%20b", 422),
        ] {
            let error = find(&method, path).unwrap().unwrap_err();
            assert_eq!(error.status.as_u16(), status, "{method} {path}");
        }
    }
}
