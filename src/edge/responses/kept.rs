//! What is asked of a response that is kept: itself, its end, what its client said. What is asked of one that the gateway does
//! not keep goes on to the vendor.

use http::{HeaderValue, Method, Response};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::dialect::Dialect;
use crate::edge::auth;
use crate::edge::body::{self, Body};
use crate::edge::gateway::Serving;
use crate::edge::headers::X_TOLLGATE_UPSTREAM;
use crate::edge::prepare::Asked;
use crate::edge::responses::keeps;
use crate::edge::sessions::fault;
use crate::edge::sessions::query::{Query, bad_cursor};
use crate::edge::sessions::reply::{List, deleted, raw, shown as shown_id};
use crate::error::Error;
use crate::session::items;
use crate::session::key::SessionKey;
use crate::session::record::Window;
use crate::session::response::{self, StoredResponse};
use crate::session::sessions::Sessions;
use crate::session::turn::Turn;

/// Answers `/responses/{id}` and what is below it; None: it is the vendor's to answer.
pub async fn answer(serving: &Serving, asked: &mut Asked<'_>) -> Result<Option<Response<Body>>, Error> {
    let (sessions, headers) = (&serving.sessions, &asked.head.headers);
    let path = percent_decode_str(&asked.endpoint.path).decode_utf8_lossy().into_owned();
    let path: Vec<&str> = path.split('/').skip(2).collect();
    let Some(key) =
        response::key(auth::owner(asked.client, headers), path.first().copied().unwrap_or_default())
    else {
        return Ok(None);
    };
    if !keeps(sessions, headers) {
        return Ok(None);
    }
    let reads = matches!(asked.head.method, Method::GET | Method::HEAD);
    let known = reads
        || matches!((&asked.head.method, &path[1..]), (&Method::DELETE, []) | (&Method::POST, ["cancel"]));
    if !known {
        return Ok(None);
    }
    let Some((turn, stored)) = found(sessions, &key).await? else {
        return if is_passed_on(serving, &key) { Ok(None) } else { Err(unknown(&key)) };
    };
    match (&asked.head.method, &path[1..]) {
        (_, []) if reads => shown(&stored).map(Some),
        (_, ["input_items"]) if reads => input_items(asked, &turn).map(Some),
        (&Method::DELETE, []) => {
            if let Some(client) = asked.client.filter(|_| stored.at_vendor) {
                // Else the vendor would keep what its client was told is gone.
                client.check(None)?;
            }
            sessions.delete(&key).await.map_err(|it| fault::of_store(&it))?;
            Ok(passed_on(asked, &turn, &stored, || deleted(key.id.as_str(), "response")))
        }
        (&Method::POST, ["cancel"]) if !stored.at_vendor => Err(Error::bad_request(
            "Only a response that runs in the background can be cancelled, and this one has ended.",
        )
        .code("response_not_cancellable")),
        _ => Ok(passed_on(asked, &turn, &stored, || Response::new(Body::plain("")))),
    }
}

async fn found(sessions: &Sessions, key: &SessionKey) -> Result<Option<(Turn, StoredResponse)>, Error> {
    let window = Window { turns_max: 1, bytes_max: sessions.options().history_bytes_max };
    let held = sessions.load(key, window).await.map_err(|it| fault::cannot_be_read(&it))?;
    let turn = held.and_then(|it| it.turns.into_iter().next());
    Ok(turn.and_then(|mut turn| {
        let stored = *turn.response.take()?;
        Some((turn, stored))
    }))
}

fn shown(stored: &StoredResponse) -> Result<Response<Body>, Error> {
    let object: &RawValue = serde_json::from_str(&stored.object)
        .map_err(|_| fault::of_store(&crate::session::store::StoreFault::Corrupt(String::new())))?;
    Ok(body::json(&object))
}

/// Whether the upstream of calls that name no model could know a response: one whose id the gateway made, only if it speaks
/// of responses itself.
fn is_passed_on(serving: &Serving, key: &SessionKey) -> bool {
    if !response::is_own(key.id.as_str()) {
        return true;
    }
    let upstream = serving.snapshot.rules.default_upstream.as_ref();
    let upstream = upstream.and_then(|it| serving.snapshot.upstream(it.as_str()));
    upstream.is_some_and(|it| it.spec.form(Dialect::Responses).is_some())
}

/// Nobody of this caller's is called so, and there is no vendor to ask.
fn unknown(key: &SessionKey) -> Error {
    let id = shown_id(key.id.as_str());
    fault::missing("response_not_found", format!("No response is called `{id}`."))
}

/// None where the vendor keeps it as well and is to be asked too, else what the gateway says.
fn passed_on(
    asked: &mut Asked<'_>,
    turn: &Turn,
    stored: &StoredResponse,
    own: impl FnOnce() -> Response<Body>,
) -> Option<Response<Body>> {
    let upstream = turn.upstream.as_deref().filter(|_| stored.at_vendor);
    match upstream.and_then(|it| HeaderValue::from_str(it).ok()) {
        Some(upstream) => {
            asked.head.headers.insert(X_TOLLGATE_UPSTREAM, upstream);
            None
        }
        None => Some(own()),
    }
}

/// What the client said in this call, the newest first unless it wants otherwise.
fn input_items(asked: &Asked<'_>, turn: &Turn) -> Result<Response<Body>, Error> {
    let query = Query::read(asked.head.uri.query().unwrap_or_default());
    let (limit, ascending) = (query.limit()?, query.ascending(false)?);
    let items = items::of_turn(0, turn);
    // The last message is the answer.
    let answer = items.last().map(|(place, _)| place.object);
    let inputs = items.into_iter().filter(|(place, _)| Some(place.object) != answer);
    let mut entries: Vec<(String, Box<RawValue>)> = inputs.map(|(_, it)| (id(&it), raw(&it))).collect();
    if !ascending {
        entries.reverse();
    }
    if let Some(after) = query.one("after") {
        let at = entries.iter().position(|(id, _)| id == after).ok_or_else(bad_cursor)?;
        entries.drain(..=at);
    }
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    Ok(List::new(entries, has_more).answer())
}

fn id(item: &Value) -> String {
    item["id"].as_str().unwrap_or_default().to_owned()
}
