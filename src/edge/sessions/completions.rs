//! Chat completions that were asked to `store`: listed by when they were made, shown with the metadata they have now.

use std::time::Duration;

use http::Response;
use indexmap::IndexMap;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::edge::body::{self, Body};
use crate::edge::sessions::query::{PAGE_BYTES_MAX, bad_cursor};
use crate::edge::sessions::reply::{List, deleted, raw, shown};
use crate::edge::sessions::session::{after, annotated, cursor};
use crate::edge::sessions::{Ask, fault};
use crate::error::Error;
use crate::session::items::objects;
use crate::session::key::{Kind, SessionKey};
use crate::session::record::{Meta, Page};
use crate::session::store::StoreFault;

/// How far one call looks for those that fit its filters.
struct Reach {
    completions: usize,
    time: Duration,
}

const REACH: Reach = Reach { completions: 100_000, time: Duration::from_secs(10) };

/// Completions that are read at once.
const READ_AT_ONCE: usize = 50;

type Object = IndexMap<String, Box<RawValue>>;

/// The completion as it was answered, with its metadata.
fn told(meta: &Meta) -> Option<Object> {
    let mut object: Object = serde_json::from_str(meta.object.as_deref()?).ok()?;
    object.insert("metadata".into(), raw(&meta.metadata));
    Some(object)
}

fn corrupt() -> Error {
    fault::of_store(&StoreFault::Corrupt(String::new()))
}

fn key(ask: &Ask<'_>, id: &str) -> Result<SessionKey, Error> {
    ask.key(Kind::Completion, id).ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Error {
    let message = format!("No stored chat completion is called `{}`.", shown(id));
    fault::missing("completion_not_found", message)
}

/// Speaks of completions where a record of these was not found.
fn named(error: Error, id: &str) -> Error {
    if error.code.as_deref() == Some("session_not_found") { missing(id) } else { error }
}

pub async fn list(ask: &Ask<'_>) -> Result<Response<Body>, Error> {
    Ok(found_within(ask, REACH).await?.answer())
}

/// Where there is more than its reach a page may hold fewer than its limit: `next` says where to go on then. It is never
/// empty: clients would take that for the end.
async fn found_within(ask: &Ask<'_>, reach: Reach) -> Result<List, Error> {
    let until = Instant::now() + reach.time;
    let (limit, ascending) = (ask.query.limit()?, ask.query.ascending(true)?);
    let mut after = after(ask, Kind::Completion).await?;
    let (mut entries, mut bytes, mut seen) = (Vec::new(), 0, 0);
    while seen < reach.completions && Instant::now() < until {
        let page = Page { after: after.clone(), limit: READ_AT_ONCE, ascending };
        let found = ask.sessions.list(&ask.owner, Kind::Completion, &page).await;
        let found = found.map_err(|it| fault::of_store(&it))?;
        for meta in &found {
            if entries.len() == limit || bytes > PAGE_BYTES_MAX {
                return Ok(part(entries, after));
            }
            after = Some((meta.listed_at(), meta.key.id.to_string()));
            seen += 1;
            let Some(object) = told(meta).filter(|it| fits(ask, meta, it)) else { continue };
            let json = raw(&object);
            bytes += json.get().len();
            entries.push((meta.key.id.to_string(), json));
        }
        if found.len() < READ_AT_ONCE {
            return Ok(List::new(entries, false));
        }
    }
    match after {
        Some((at, id)) if entries.is_empty() => Err(too_far(seen, &cursor(at, &id))),
        after => Ok(part(entries, after)),
    }
}

/// A page that others follow.
fn part(entries: Vec<(String, Box<RawValue>)>, after: Option<(u64, String)>) -> List {
    let next = after.map(|(at, id)| cursor(at, &id));
    List { next, ..List::new(entries, true) }
}

fn too_far(seen: usize, next: &str) -> Error {
    Error::bad_request(format!("None of {seen} completions fits; go on behind them with `after={next}`."))
        .param("after")
        .code("search_too_long")
}

/// Whether it is of the model and has the metadata that were asked for.
fn fits(ask: &Ask<'_>, meta: &Meta, object: &Object) -> bool {
    let model = object.get("model").and_then(|it| serde_json::from_str::<String>(it.get()).ok());
    let names = [model.as_deref(), meta.model.as_deref()];
    let wanted = ask.query.one("model");
    let mut pairs = ask.query.metadata();
    (wanted.is_none() || names.contains(&wanted))
        && pairs.all(|(key, value)| meta.metadata.get(key).is_some_and(|it| it == value))
}

async fn found(ask: &Ask<'_>, id: &str) -> Result<Meta, Error> {
    let found = ask.sessions.meta(&key(ask, id)?).await.map_err(|it| fault::of_store(&it))?;
    found.ok_or_else(|| missing(id))
}

pub async fn show(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    let meta = found(ask, id).await?;
    told(&meta).map(|it| body::json(&it)).ok_or_else(corrupt)
}

pub async fn describe(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    let meta = annotated(ask, &key(ask, id)?).await.map_err(|it| named(it, id))?;
    told(&meta).map(|it| body::json(&it)).ok_or_else(corrupt)
}

pub async fn delete(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    let was_there = ask.sessions.delete_listed(&key(ask, id)?).await;
    match was_there.map_err(|it| fault::of_store(&it))? {
        true => Ok(deleted(id, "chat.completion.deleted")),
        false => Err(missing(id)),
    }
}

/// The messages that were sent, in the order they were, each with an id.
pub async fn messages(ask: &Ask<'_>, id: &str) -> Result<Response<Body>, Error> {
    let (limit, ascending) = (ask.query.limit()?, ask.query.ascending(true)?);
    let held = ask.sessions.turns(&key(ask, id)?, 0, 1).await;
    let held = held.map_err(|it| fault::of_store(&it))?.ok_or_else(|| missing(id))?;
    let messages = held.turns.first().map(|it| objects(&it.messages)).unwrap_or_default();
    let after = ask.query.one("after").map(|text| {
        let index = text.strip_prefix(id).and_then(|it| it.strip_prefix('-')?.parse::<usize>().ok());
        index.ok_or_else(bad_cursor)
    });
    let after = after.transpose()?;
    let mut indexes: Vec<usize> = (0..messages.len()).collect();
    if !ascending {
        indexes.reverse();
    }
    indexes.retain(|it| after.is_none_or(|after| if ascending { *it > after } else { *it < after }));
    let has_more = indexes.len() > limit;
    indexes.truncate(limit);
    let entry = |index: usize| message(format!("{id}-{index}"), &messages[index]);
    Ok(List::new(indexes.into_iter().map(entry).collect(), has_more).answer())
}

/// OpenAI shows content that came in parts apart from content that is a text.
fn message(id: String, message: &RawValue) -> (String, Box<RawValue>) {
    let mut object: Object = serde_json::from_str(message.get()).unwrap_or_default();
    let null = || raw(&());
    let content = object.shift_remove("content").unwrap_or_else(null);
    let in_parts = content.get().starts_with('[');
    let (content, parts) = if in_parts { (null(), content) } else { (content, null()) };
    object.extend([("content".into(), content), ("content_parts".into(), parts), ("id".into(), raw(&id))]);
    (id, raw(&object))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::edge::sessions::query::Query;
    use crate::session::key::{Owner, SessionId};
    use crate::session::options::SessionsOptions;
    use crate::session::sessions::Sessions;
    use crate::telemetry::Metrics;

    #[tokio::test]
    async fn a_search_that_finds_nothing_in_its_reach_says_where_to_go_on() {
        let options = SessionsOptions { store: "memory".into(), ..SessionsOptions::default() };
        let sessions = Sessions::new(&options, Path::new(""), Metrics::new().sessions(), false, None);
        let owner = Owner::tenant("shop");
        for at in 0..=READ_AT_ONCE as u64 {
            let id = SessionId::parse(&format!("c{at}")).unwrap();
            let key = SessionKey { kind: Kind::Completion, owner, id };
            let metadata = [("at".to_owned(), at.to_string())].into();
            let meta = Meta { metadata, object: Some("{}".into()), ..Meta::new(key, 0, at) };
            assert!(sessions.create(&meta, &[]).await.unwrap());
        }
        let search = async |query: &str, completions: usize| {
            let query = Query::read(query);
            let ask = Ask { sessions: &sessions, owner, query, body: bytes::Bytes::new() };
            let reach = Reach { completions, ..REACH };
            found_within(&ask, reach).await.map(|it| (it.last_id.unwrap_or_default(), it.has_more, it.next))
        };
        let last = Ok(("c50".to_owned(), false, None));
        assert_eq!(search("metadata[at]=50", 51).await.map_err(|it| it.message.clone()), last);
        let refused = search("metadata[at]=50", 50).await.unwrap_err();
        assert_eq!(refused.code.as_deref(), Some("search_too_long"));
        assert!(refused.message.contains("`after=49~c49`"), "{}", refused.message);
        assert_eq!(search("metadata[at]=50&after=49~c49", 50).await.ok(), last.ok());
        let found = search("metadata[at]=0", 50).await.ok();
        assert_eq!(found, Some(("c0".into(), true, Some("49~c49".into()))));
    }
}
