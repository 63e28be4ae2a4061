//! Makes, lists, shows, describes, clears and deletes sessions.

use std::collections::BTreeMap;

use http::{Response, StatusCode};

use crate::edge::body::{self, Body};
use crate::edge::sessions::beginning::{Beginning, beginning};
use crate::edge::sessions::fields::{Fields, wrong};
use crate::edge::sessions::query::bad_cursor;
use crate::edge::sessions::reply::{List, deleted, shown};
use crate::edge::sessions::told::Told;
use crate::edge::sessions::{Ask, entries, fault};
use crate::error::Error;
use crate::session::clock::now_ms;
use crate::session::key::{ID_BYTES_MAX, Kind, SessionId, SessionKey};
use crate::session::record::{Change, Changed, Meta, Page};
use crate::session::turn::Turn;

/// Characters of a title, and the longest time to live, in seconds (ten years).
const TITLE_CHARACTERS_MAX: usize = 256;
const TTL_S_MAX: u64 = 315_360_000;

pub async fn create(ask: &Ask<'_>) -> Result<Response<Body>, Error> {
    let fields = Fields::read(&ask.body, &["id", "title", "metadata", "ttl_s", "messages"])?;
    let key = new_key(ask, &fields, "sess_")?;
    let now = now_ms();
    let Beginning { system, turns, title } = beginning(fields.list("messages")?.unwrap_or_default(), now)?;
    let given = fields.text("title", TITLE_CHARACTERS_MAX)?;
    let meta = Meta {
        title: given.or(title),
        metadata: fields.metadata()?.unwrap_or_default(),
        system,
        ..Meta::new(key, ttl_ms(ask, &fields)?, now)
    };
    let meta = made(ask, meta, &turns).await?;
    Ok(body::json(&Told::whole(&meta)))
}

/// The key of a session to be made: of the `id` in the body, or of the gateway's choice.
pub fn new_key(ask: &Ask<'_>, fields: &Fields, prefix: &str) -> Result<SessionKey, Error> {
    let id = match fields.text("id", ID_BYTES_MAX)? {
        None => SessionId::random(prefix),
        Some(text) => SessionId::parse(&text).ok_or_else(|| {
            wrong("id", &format!("1 to {ID_BYTES_MAX} of the letters, digits and `-_.:` of ASCII"))
        })?,
    };
    Ok(SessionKey::session(ask.owner, id))
}

fn ttl_ms(ask: &Ask<'_>, fields: &Fields) -> Result<u64, Error> {
    let ttl_s = fields.number("ttl_s", TTL_S_MAX)?.unwrap_or(ask.sessions.options().ttl_s);
    Ok(ttl_s * 1_000)
}

/// Stores a new session with these turns, and says what it is then.
pub async fn made(ask: &Ask<'_>, meta: Meta, turns: &[Turn]) -> Result<Meta, Error> {
    let options = ask.sessions.options();
    let bytes: u64 = turns.iter().map(|it| it.messages.len() as u64).sum();
    if turns.len() as u64 > options.stored_turns_max || bytes > options.stored_bytes_max {
        return Err(too_long());
    }
    let made = ask.sessions.create(&meta, turns).await;
    match made.map_err(|it| fault::of_store(&it))? {
        true => Ok(Meta { turns: turns.len() as u64, ..meta }),
        false => {
            let message = format!("There is a session `{}` already.", shown(meta.key.id.as_str()));
            Err(Error::bad_request(message).status(StatusCode::CONFLICT).param("id").code("session_exists"))
        }
    }
}

fn too_long() -> Error {
    let message = "A session cannot begin with more than it may hold \
                   (`sessions.stored_turns_max`, `sessions.stored_bytes_max`).";
    Error::bad_request(message).status(StatusCode::PAYLOAD_TOO_LARGE).code("session_too_large")
}

pub async fn list(ask: &Ask<'_>) -> Result<Response<Body>, Error> {
    let (limit, ascending) = (ask.query.limit()?, ask.query.ascending(false)?);
    let after = after(ask, Kind::Session).await?;
    let page = Page { after, limit: limit + 1, ascending };
    let found = ask.sessions.list(&ask.owner, Kind::Session, &page).await;
    let mut found = found.map_err(|it| fault::of_store(&it))?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|it| cursor(it.listed_at(), it.key.id.as_str()));
    let entries = found.iter().map(|it| Told::of(it).entry()).collect();
    Ok(List { next, ..List::new(entries, has_more) }.answer())
}

/// Stands between the time and the id of a cursor; no id has it.
const CURSOR_MARK: char = '~';

/// Leads to what is behind the record of this id, which stood at this time in its list.
pub fn cursor(listed_at: u64, id: &str) -> String {
    format!("{listed_at}{CURSOR_MARK}{id}")
}

/// Behind which record the list goes on: one that a cursor names, or the one of an id, where it
/// stands now or stood when it was deleted.
pub async fn after(ask: &Ask<'_>, kind: Kind) -> Result<Option<(u64, String)>, Error> {
    let Some(text) = ask.query.one("after") else { return Ok(None) };
    if let Some((at, id)) = text.split_once(CURSOR_MARK) {
        let at = at.parse().map_err(|_| bad_cursor())?;
        return Ok(Some((at, id.to_owned())));
    }
    let key = ask.key(kind, text).ok_or_else(bad_cursor)?;
    let listed_at = ask.sessions.listed_at(&key).await.map_err(|it| fault::of_store(&it))?;
    Ok(Some((listed_at.ok_or_else(bad_cursor)?, text.to_owned())))
}

pub async fn show(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    let meta = entries::meta(ask, &ask.session(id)?).await?;
    Ok(body::json(&Told::whole(&meta)))
}

pub async fn describe(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    let fields = Fields::read(&ask.body, &["title", "metadata", "ttl_s"])?;
    let title = fields.text("title", TITLE_CHARACTERS_MAX)?;
    let change = Change::Describe {
        title: fields.has("title").then(|| title.unwrap_or_default()),
        metadata: fields.metadata()?,
        ttl_ms: fields.has("ttl_s").then(|| ttl_ms(ask, &fields)).transpose()?,
    };
    let meta = changed(ask, &ask.session(id)?, &change).await?;
    Ok(body::json(&Told::whole(&meta)))
}

/// Replaces the metadata of a record: all that OpenAI's APIs can change of one.
pub async fn annotated(ask: &Ask<'_>, key: &SessionKey) -> Result<Meta, Error> {
    let metadata = Fields::read(&ask.body, &["metadata"])?.metadata()?;
    let metadata: BTreeMap<String, String> = metadata.ok_or_else(|| {
        Error::bad_request("`metadata` is missing.").param("metadata").code("missing_required_parameter")
    })?;
    changed(ask, key, &Change::Describe { title: None, metadata: Some(metadata), ttl_ms: None }).await
}

/// Makes a change that holds whatever else changes.
async fn changed(ask: &Ask<'_>, key: &SessionKey, change: &Change) -> Result<Meta, Error> {
    match ask.sessions.change(key, None, change).await.map_err(|it| fault::of_store(&it))? {
        Changed::Done(meta) => Ok(*meta),
        Changed::Stale | Changed::Missing => Err(fault::no_session(key.id.as_str())),
    }
}

pub async fn clear(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    Fields::read(&ask.body, &[])?;
    let change = Change::Clear { epoch: fastrand::u64(..) };
    let meta = changed(ask, &ask.session(id)?, &change).await?;
    Ok(body::json(&Told::whole(&meta)))
}

pub async fn delete(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    gone(ask, &ask.session(id)?).await?;
    Ok(deleted(id, "session.deleted"))
}

/// Deletes a session that there is.
pub async fn gone(ask: &Ask<'_>, key: &SessionKey) -> Result<(), Error> {
    let was_there = ask.sessions.delete_listed(key).await.map_err(|it| fault::of_store(&it))?;
    was_there.then_some(()).ok_or_else(|| fault::no_session(key.id.as_str()))
}
