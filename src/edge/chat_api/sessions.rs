//! The earlier service's questions about sessions, answered from the gateway's own.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::edge::chat_api::history::{Listed, messages};
use crate::edge::chat_api::message;
use crate::edge::chat_api::roles::Role;
use crate::edge::sessions::fault::cannot_be_read;
use crate::error::{Error, Kind, Origin};
use crate::price::estimate::text_tokens;
use crate::session::clock::now_ms;
use crate::session::key::{Kind as RecordKind, Owner, SessionId, SessionKey};
use crate::session::record::{Change, Changed, Meta, Page};
use crate::session::sessions::Sessions;
use crate::session::store::StoreFault;
use crate::session::turn::Turn;

/// Turns read at once, and the most that a history shows: the last ones.
const TURNS_AT_ONCE: u64 = 100;
const TURNS_MAX: u64 = 10_000;

/// Sessions that a list shows, the newest ones; how many of them are asked for at once, and how many are read at the same
/// time.
const SESSIONS_MAX: usize = 10_000;
const SESSIONS_AT_ONCE: usize = 200;
const READ_AT_ONCE: usize = 16;

/// `GET /chat/history`: all that was said, oldest first.
pub async fn history(sessions: &Sessions, owner: Owner, id: SessionId) -> Result<Value, Error> {
    let key = SessionKey::session(owner, id);
    let meta = sessions.meta(&key).await.map_err(away)?.ok_or_else(|| missing(&key.id))?;
    let end = meta.first + meta.turns;
    let mut from = meta.first.max(end.saturating_sub(TURNS_MAX));
    let mut told = Vec::new();
    while from < end {
        let held = sessions.turns(&key, from, TURNS_AT_ONCE).await.map_err(away)?;
        // What was deleted while it was read is told as far as it was.
        let Some(held) = held.filter(|it| !it.turns.is_empty()) else { break };
        told.extend(held.turns.iter().flat_map(messages));
        from = held.from + held.turns.len() as u64;
    }
    Ok(json!({ "session_id": key.id.as_str(), "total": told.len(), "messages": told }))
}

/// `GET /chat/sessions`: those of one user, newest first, at most [`SESSIONS_MAX`].
pub async fn list(sessions: &Arc<Sessions>, owner: Owner, user: &str) -> Result<Value, Error> {
    let mut listed: Vec<Listed> = Vec::new();
    let mut after = None;
    while listed.len() < SESSIONS_MAX {
        let page = Page { after, limit: SESSIONS_AT_ONCE, ascending: false };
        let metas = sessions.list(&owner, RecordKind::Session, &page).await.map_err(away)?;
        listed.extend(shown(sessions, &metas).await?);
        after = metas.last().map(|it| (it.listed_at(), it.key.id.to_string()));
        if metas.len() < SESSIONS_AT_ONCE {
            break;
        }
    }
    Ok(json!({ "user_id": user, "total": listed.len(), "sessions": listed }))
}

/// As the list shows them.
async fn shown(sessions: &Arc<Sessions>, metas: &[Meta]) -> Result<Vec<Listed>, Error> {
    let mut listed = Vec::with_capacity(metas.len());
    for some in metas.chunks(READ_AT_ONCE) {
        let mut reading = JoinSet::new();
        for (place, meta) in some.iter().cloned().enumerate() {
            let sessions = Arc::clone(sessions);
            reading.spawn(async move { last_turn(&sessions, &meta).await.map(|it| (place, meta, it)) });
        }
        let mut read = Vec::with_capacity(some.len());
        while let Some(done) = reading.join_next().await {
            read.push(done.map_err(|_| failed())?.map_err(away)?);
        }
        read.sort_by_key(|(place, ..)| *place);
        let shown = read
            .into_iter()
            .map(|(_, meta, last)| Listed::new(meta.key.id.to_string(), last.as_ref(), meta.updated_at));
        listed.extend(shown);
    }
    Ok(listed)
}

async fn last_turn(sessions: &Sessions, meta: &Meta) -> Result<Option<Turn>, StoreFault> {
    let Some(last) = (meta.first + meta.turns).checked_sub(1).filter(|_| meta.turns > 0) else {
        return Ok(None);
    };
    let held = sessions.turns(&meta.key, last, 1).await?;
    Ok(held.and_then(|mut it| it.turns.pop()))
}

/// `POST /chat/start`: a session that begins with the role's welcome.
pub async fn start(sessions: &Sessions, owner: Owner, role: &Role) -> Result<Value, Error> {
    let now = now_ms();
    let id = SessionId::random("chat_");
    let messages = message::assistant(&role.welcome);
    let ttl_ms = sessions.options().ttl_s * 1_000;
    let turn = Turn {
        id: "welcome".into(),
        at: now,
        tokens: text_tokens(role.welcome.as_bytes()),
        messages,
        ..Turn::default()
    };
    let meta = Meta::new(SessionKey::session(owner, id.clone()), ttl_ms, now);
    sessions.create(&meta, &[turn]).await.map_err(away)?;
    Ok(json!({
        "session_id": id.as_str(),
        "message": "The chat was opened.",
        "welcome_message": role.welcome,
    }))
}

/// `DELETE /chat/session/{id}`
pub async fn delete(sessions: &Sessions, owner: Owner, id: SessionId) -> Result<Value, Error> {
    let key = SessionKey::session(owner, id);
    match sessions.delete(&key).await.map_err(away)? {
        true => Ok(json!({ "message": "The chat was deleted.", "session_id": key.id.as_str() })),
        false => Err(missing(&key.id)),
    }
}

/// `DELETE /chat/history/{id}`: the session stays, empty.
pub async fn clear(sessions: &Sessions, owner: Owner, id: SessionId) -> Result<Value, Error> {
    let key = SessionKey::session(owner, id);
    let change = Change::Clear { epoch: fastrand::u64(..) };
    match sessions.change(&key, None, &change).await.map_err(away)? {
        Changed::Done(_) => {
            Ok(json!({ "message": "The history was cleared.", "session_id": key.id.as_str() }))
        }
        Changed::Stale | Changed::Missing => Err(missing(&key.id)),
    }
}

fn missing(id: &SessionId) -> Error {
    Error::bad_request(format!("No session of this user is called `{id}`."))
        .status(StatusCode::NOT_FOUND)
        .param("session_id")
        .code("session_not_found")
}

fn away(fault: StoreFault) -> Error {
    cannot_be_read(&fault)
}

fn failed() -> Error {
    Error::new(Kind::Internal, Origin::Gateway, "A session could not be read. This is a bug of the gateway.")
}
