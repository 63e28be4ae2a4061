//! Reads a session's turns in steps: a page of what is in them, or all of them, both within bounds.

use serde_json::value::RawValue;

use crate::edge::sessions::query::{PAGE_BYTES_MAX, bad_cursor};
use crate::edge::sessions::reply::List;
use crate::edge::sessions::{Ask, fault};
use crate::error::Error;
use crate::session::key::SessionKey;
use crate::session::record::{Held, Meta};
use crate::session::turn::Turn;

/// Turns that are read from the store at once.
const TURNS_AT_ONCE: u64 = 16;

/// Something within a turn: where it stands there, its id, and what is shown of it.
pub struct Entry {
    pub place: (u64, u64),
    pub id: String,
    pub json: Box<RawValue>,
}

/// A page that a client asked for. `place`: where the entry of an id stands.
pub struct Span {
    limit: usize,
    ascending: bool,
    after: Option<(u64, u64)>,
}

impl Span {
    pub fn read(
        ask: &Ask<'_>,
        ascending: bool,
        place: impl Fn(&str) -> Option<(u64, u64)>,
    ) -> Result<Self, Error> {
        let after = ask.query.one("after").map(|it| place(it).ok_or_else(bad_cursor)).transpose()?;
        Ok(Self { limit: ask.query.limit()?, ascending: ask.query.ascending(ascending)?, after })
    }

    fn covers(&self, place: (u64, u64)) -> bool {
        self.after.is_none_or(|after| if self.ascending { place > after } else { place < after })
    }

    /// The numbers of the turns that may have a part in it.
    fn turns(&self, meta: &Meta) -> (u64, u64) {
        let (first, end) = (meta.first, meta.first + meta.turns);
        match self.after {
            None => (first, end),
            Some((turn, _)) if self.ascending => (first.max(turn), end),
            Some((turn, _)) => (first, end.min(turn.saturating_add(1))),
        }
    }
}

/// A page of a session's entries; `of` says which a turn has, in their order.
pub async fn page(
    ask: &Ask<'_>,
    key: &SessionKey,
    span: &Span,
    of: impl Fn(u64, &Turn) -> Vec<Entry>,
) -> Result<List, Error> {
    let (mut from, mut end) = span.turns(&meta(ask, key).await?);
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while from < end {
        let count = TURNS_AT_ONCE.min(end - from);
        let start = if span.ascending { from } else { end - count };
        let held = turns(ask, key, start, count).await?;
        let numbered = (held.from..start + count).zip(&held.turns);
        let mut found: Vec<Entry> = numbered.flat_map(|(number, turn)| of(number, turn)).collect();
        found.retain(|it| span.covers(it.place));
        if !span.ascending {
            found.reverse();
        }
        for entry in found {
            if entries.len() == span.limit || bytes > PAGE_BYTES_MAX {
                return Ok(List::new(entries, true));
            }
            bytes += entry.json.get().len();
            entries.push((entry.id, entry.json));
        }
        match span.ascending {
            true => from += count,
            false => end = start,
        }
    }
    Ok(List::new(entries, false))
}

/// All turns of a session, which must have no more than `bytes_max` bytes of messages.
pub async fn all(ask: &Ask<'_>, key: &SessionKey, bytes_max: usize) -> Result<Option<Held>, Error> {
    let meta = meta(ask, key).await?;
    let (mut all, mut bytes, end) = (Vec::new(), 0, meta.first + meta.turns);
    let mut from = meta.first;
    while from < end {
        let count = TURNS_AT_ONCE.min(end - from);
        let held = turns(ask, key, from, count).await?;
        // Cleared, or its oldest turns left: half of it would be of another time.
        if held.meta.epoch != meta.epoch || held.from != from || held.turns.len() as u64 != count {
            return Err(fault::busy());
        }
        bytes += held.turns.iter().map(|it| it.messages.len()).sum::<usize>();
        if bytes > bytes_max {
            return Ok(None);
        }
        all.extend(held.turns);
        from += count;
    }
    Ok(Some(Held { from: meta.first, turns: all, meta }))
}

/// What is known of a session that there is.
pub async fn meta(ask: &Ask<'_>, key: &SessionKey) -> Result<Meta, Error> {
    let found = ask.sessions.meta(key).await.map_err(|it| fault::of_store(&it))?;
    found.ok_or_else(|| fault::no_session(key.id.as_str()))
}

/// Some turns of a session that there is.
pub async fn turns(ask: &Ask<'_>, key: &SessionKey, from: u64, count: u64) -> Result<Held, Error> {
    let found = ask.sessions.turns(key, from, count).await;
    found.map_err(|it| fault::of_store(&it))?.ok_or_else(|| fault::no_session(key.id.as_str()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::edge::sessions::query::Query;
    use crate::session::items::describe;
    use crate::session::key::{Owner, SessionId};
    use crate::session::options::SessionsOptions;
    use crate::session::sessions::Sessions;
    use crate::telemetry::Metrics;

    #[tokio::test]
    async fn all_turns_are_read_if_they_are_not_too_much() {
        let options = SessionsOptions { store: "memory".into(), ..SessionsOptions::default() };
        let sessions = Sessions::new(&options, Path::new(""), Metrics::new().sessions(), false, None);
        let owner = Owner::tenant("shop");
        let key = SessionKey::session(owner, SessionId::parse("s").unwrap());
        let turn = |at: u64| {
            let mut turn =
                Turn { id: at.to_string(), messages: r#"{"role":"user"}"#.into(), ..Turn::default() };
            describe(&mut turn);
            turn
        };
        let turns: Vec<Turn> = (0..2 * TURNS_AT_ONCE + 1).map(turn).collect();
        assert!(sessions.create(&Meta::new(key.clone(), 0, 1), &turns).await.unwrap());
        let ask = Ask { sessions: &sessions, owner, query: Query::read(""), body: bytes::Bytes::new() };
        let bytes: usize = turns.iter().map(|it| it.messages.len()).sum();
        assert_eq!(all(&ask, &key, bytes).await.ok().flatten().unwrap().turns, turns);
        assert_eq!(all(&ask, &key, bytes - 1).await.ok().flatten(), None);
    }
}
