//! Whose an id is that a vendor made. Vendors know all callers by the gateway's one key, and would show each of them what
//! another was answered. So where callers are apart ([`crate::edge::auth::ClientTable::are_apart`]) an id passes only for the
//! caller for whom the gateway forwarded the answer that made it: by the response that it keeps, or by a claim
//! ([`crate::session::claim`]). Where they are not, what the gateway does not know passes.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;

use crate::edge::auth;
use crate::edge::gateway::Serving;
use crate::edge::headers::X_TOLLGATE_UPSTREAM;
use crate::edge::prepare::Asked;
use crate::edge::responses::before::before;
use crate::edge::responses::keeps;
use crate::edge::sessions::fault;
use crate::edge::sessions::reply::shown;
use crate::edge::spelling;
use crate::error::Error;
use crate::names::UpstreamId;
use crate::session::belonging::Belonging;
use crate::session::claim::{Claim, made_at};
use crate::session::key::Owner;
use crate::session::talk::Talk;
use crate::telemetry::EndpointKind;
use crate::upstream::call::CallBody;
use crate::upstream::finish::FinishGuard;

/// Where the vendor is that made an id, as far as that is known. Fails where the caller may not use it.
async fn made(
    serving: &Serving,
    owner: Owner,
    id: &str,
    missing: impl FnOnce() -> Error,
) -> Result<Option<UpstreamId>, Error> {
    let are_apart = serving.clients.are_apart();
    match made_at(&serving.sessions, owner, id).await {
        Ok(Some(at)) => Ok(at),
        Ok(None) if are_apart => Err(missing()),
        Err(fault) if are_apart => Err(fault::cannot_be_read(&fault)),
        Ok(None) | Err(_) => Ok(None),
    }
}

/// The same of what a request follows.
pub(super) async fn followed(
    serving: &Serving,
    owner: Owner,
    belonging: &Belonging,
) -> Result<Option<UpstreamId>, Error> {
    let mut at = None;
    if let Some(id) = &belonging.previous {
        at = made(serving, owner, id, || no_previous(id)).await?;
    }
    if let Some(id) = &belonging.conversation {
        at = made(serving, owner, id, || no_conversation(id)).await?.or(at);
    }
    Ok(at)
}

/// The same of a call that is no answer by itself, such as one that counts tokens or compacts what was said. What the
/// gateway alone keeps, no vendor could count or compact.
pub(in crate::edge) async fn checked(
    serving: &Serving,
    asked: &Asked<'_>,
    body: &CallBody,
) -> Result<(), Error> {
    let reads = matches!(asked.head.method, Method::GET | Method::HEAD | Method::DELETE);
    if asked.endpoint.kind != EndpointKind::Responses || reads {
        return Ok(());
    }
    let are_apart = serving.clients.are_apart();
    let belonging = match body {
        CallBody::Json { body, .. } => Belonging::read(body),
        CallBody::Plain(nothing) if nothing.is_empty() => return Ok(()),
        // Nobody could say what it follows.
        CallBody::Form { .. } | CallBody::Plain(_) => {
            Err(Error::bad_request("The request body must be JSON.").code("invalid_body"))
        }
    };
    let belonging = match belonging {
        Ok(belonging) => belonging,
        Err(error) if are_apart => return Err(error),
        Err(_) => return Ok(()),
    };
    let owner = auth::owner(asked.client, &asked.head.headers);
    if keeps(&serving.sessions, &asked.head.headers)
        && let Ok(before) = before(&serving.sessions, owner, &belonging).await
        && !before.is_known_to_vendors()
    {
        return Err(kept_here(&belonging));
    }
    match are_apart {
        true => followed(serving, owner, &belonging).await.map(|_| ()),
        false => Ok(()),
    }
}

fn kept_here(belonging: &Belonging) -> Error {
    let field = belonging.named().unwrap_or("previous_response_id");
    let message = format!(
        "What `{field}` names is kept by the gateway, and not by the vendor that would have to read it; send what was said in `input` instead."
    );
    Error::bad_request(message).param(field).code("unsupported_value")
}

/// Refuses a path that names what callers have of their own in another way than the gateway knows it: nobody could say whose
/// it is.
pub(in crate::edge) fn spelt(serving: &Serving, path: &str) -> Result<(), Error> {
    match serving.clients.are_apart() && spelling::hides_what_is_apart(path) {
        true => Err(misspelt()),
        false => Ok(()),
    }
}

/// Looks at the path of a call for what a vendor keeps: whether it may be asked, and where it is.
pub(super) async fn in_path(serving: &Serving, asked: &mut Asked<'_>) -> Result<(), Error> {
    let path = percent_decode_str(&asked.endpoint.path).decode_utf8_lossy().into_owned();
    let path: Vec<&str> = path.split('/').skip(1).collect();
    let posts = asked.head.method == Method::POST;
    let (id, missing): (_, fn(&str) -> Error) = match path.as_slice() {
        // Of no response by itself, such as `compact`; what it follows, its body says.
        ["responses", _] if posts => return Ok(()),
        ["responses", id, ..] => (*id, no_response),
        ["conversations", id, ..] => (*id, no_conversation),
        // A list of what all callers have.
        ["responses" | "conversations"] if !posts && serving.clients.are_apart() => return Err(no_list()),
        _ => return Ok(()),
    };
    let owner = auth::owner(asked.client, &asked.head.headers);
    let at = made(serving, owner, id, || missing(id)).await?;
    if let Some(upstream) = at.and_then(|it| HeaderValue::from_str(it.as_str()).ok()) {
        asked.head.headers.entry(X_TOLLGATE_UPSTREAM).or_insert(upstream);
    }
    Ok(())
}

/// Has what the vendor makes for this call remembered as its caller's, where somebody will ask whose it is.
pub(super) fn claimed(serving: &Serving, asked: &Asked<'_>, end: &FinishGuard, always: bool) -> Option<Talk> {
    let sessions = &serving.sessions;
    if sessions.is_off() || !(always || serving.clients.are_apart()) {
        return None;
    }
    let claim = Claim::new(auth::owner(asked.client, &asked.head.headers));
    Some(Talk::new(sessions, end.record.id.to_string(), Bytes::new()).claiming(claim))
}

/// The same of a conversation that a vendor begins.
pub(in crate::edge) fn conversation(serving: &Serving, asked: &Asked<'_>, end: &mut FinishGuard) {
    let endpoint = &asked.endpoint;
    let begins = asked.head.method == Method::POST && endpoint.path == "/conversations";
    if begins && endpoint.kind == EndpointKind::Other {
        end.talk = claimed(serving, asked, end, false).map(Box::new);
    }
}

fn no_previous(id: &str) -> Error {
    Error::bad_request(format!("No response is called `{}`.", shown(id)))
        .param("previous_response_id")
        .code("previous_response_not_found")
}

fn no_conversation(id: &str) -> Error {
    fault::missing("conversation_not_found", format!("No conversation is called `{}`.", shown(id)))
}

/// Nobody of this caller's is called so, and there is no vendor that may be asked.
pub(super) fn no_response(id: &str) -> Error {
    fault::missing("response_not_found", format!("No response is called `{}`.", shown(id)))
}

fn misspelt() -> Error {
    Error::bad_request(
        "Responses and conversations are asked for by `/v1/responses` and `/v1/conversations`, in small letters and with nothing before.",
    )
    .status(StatusCode::NOT_FOUND)
    .code("unknown_url")
}

fn no_list() -> Error {
    Error::bad_request("What a vendor keeps is not listed, for it is kept for several callers.")
        .status(StatusCode::NOT_FOUND)
        .code("unknown_url")
}
