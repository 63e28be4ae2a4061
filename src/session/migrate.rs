//! Copies all records of one store into another. It can be repeated: what is there is not written again, and nothing that a
//! record of the target holds is ever taken away.
//!
//! A record of the same name at the target is the same one where their epochs agree. Then turns that the target lacks are
//! written behind its own, and the newer one's title, notes and time to live win. Where epochs or turns differ they are two
//! records, of which the target's stays and the other is refused. A record's time to live begins anew at the target.

use std::collections::BTreeMap;
use std::fmt;

use crate::session::key::SessionKey;
use crate::session::record::{Append, Appended, Change, Changed, Held, Meta, Window};
use crate::session::store::{Store, StoreFault};
use crate::session::turn::Turn;

/// Turns read at once.
const TURNS_READ: u64 = 100;

/// How often a record is read again that changes while it is read.
const TRIES_MAX: usize = 5;

/// What became of the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    pub copied: u64,
    /// The target lacked something of them.
    pub completed: u64,
    /// The target had all of them. A store may tell a record twice, which is there the second time.
    pub there: u64,
    /// Their names, and why.
    pub refused: Vec<String>,
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for refused in &self.refused {
            writeln!(f, "refused: {refused}")?;
        }
        let Self { copied, completed, there, refused } = self;
        write!(f, "copied {copied}, completed {completed}, there already {there}, refused {}", refused.len())
    }
}

/// What became of one.
enum Outcome {
    Copied,
    Completed,
    There,
    /// It ended meanwhile.
    Gone,
    Refused(&'static str),
}

/// Turns of at least `compress_bytes_min` bytes are compressed at the target. `done` is what became of the records so far,
/// also where a store fails.
pub async fn migrate(
    from: &Store,
    to: &Store,
    compress_bytes_min: usize,
    done: &mut Migrated,
) -> Result<(), StoreFault> {
    let mut cursor = None;
    loop {
        let (keys, next) = from.scan(cursor).await?;
        for key in &keys {
            match copy(from, to, key, compress_bytes_min).await? {
                Outcome::Copied => done.copied += 1,
                Outcome::Completed => done.completed += 1,
                Outcome::There => done.there += 1,
                Outcome::Gone => {}
                Outcome::Refused(why) => {
                    let (kind, owner) = (key.kind.as_str(), key.owner.to_hex());
                    done.refused.push(format!("{kind} {} of owner {owner}: {why}", key.id));
                }
            }
        }
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

const RESTLESS: Outcome =
    Outcome::Refused("it changes while it is read; stop what uses it, or repeat this later");

async fn copy(
    from: &Store,
    to: &Store,
    key: &SessionKey,
    compress_bytes_min: usize,
) -> Result<Outcome, StoreFault> {
    for _ in 0..TRIES_MAX {
        let source = match whole(from, key).await? {
            Whole::Read(source) => source,
            Whole::Gone => return Ok(Outcome::Gone),
            Whole::Restless => return Ok(RESTLESS),
        };
        if to.create(&source.meta, &source.turns, compress_bytes_min).await? {
            return Ok(Outcome::Copied);
        }
        match whole(to, key).await? {
            Whole::Read(target) => return complete(to, source, target, compress_bytes_min).await,
            Whole::Gone => {}
            Whole::Restless => return Ok(RESTLESS),
        }
    }
    Ok(RESTLESS)
}

enum Whole {
    Read(Box<Held>),
    Gone,
    Restless,
}

/// A record with all its turns, as they were at one moment.
async fn whole(store: &Store, key: &SessionKey) -> Result<Whole, StoreFault> {
    for _ in 0..TRIES_MAX {
        let Some(mut held) = store.turns(key, 0, TURNS_READ).await? else { return Ok(Whole::Gone) };
        let end = held.meta.first + held.meta.turns;
        loop {
            let next = held.from + held.turns.len() as u64;
            if next >= end {
                return Ok(Whole::Read(Box::new(held)));
            }
            match store.turns(key, next, TURNS_READ).await? {
                Some(more) if is_at(&held.meta, &more.meta) && !more.turns.is_empty() => {
                    held.turns.extend(more.turns);
                }
                _ => break,
            }
        }
    }
    Ok(Whole::Restless)
}

fn is_at(one: &Meta, other: &Meta) -> bool {
    (one.epoch, one.version) == (other.epoch, other.version)
}

/// Writes what `target` lacks of `source`.
async fn complete(
    to: &Store,
    source: Box<Held>,
    target: Box<Held>,
    compress_bytes_min: usize,
) -> Result<Outcome, StoreFault> {
    let missing = match missing(&source, &target) {
        Ok(missing) => missing,
        Err(why) => return Ok(Outcome::Refused(why)),
    };
    let source_end = source.from + source.turns.len() as u64;
    let key = &target.meta.key;
    let mut version = target.meta.version;
    for (number, turn) in (source_end - missing.len() as u64..).zip(missing) {
        let is_last = number + 1 == source_end;
        let append = Append {
            turn: turn.clone(),
            epoch: Some(target.meta.epoch),
            system: is_last.then(|| source.meta.system.clone()),
            title: None,
            ttl_ms: target.meta.ttl_ms,
            bounds: Window { turns_max: u64::MAX, bytes_max: u64::MAX },
            compress_bytes_min,
        };
        match to.append(key, &append).await? {
            Appended::Stored { number: at, version: now } if at == number => version = now,
            _ => return Ok(Outcome::Refused("it changed at the target meanwhile; repeat this")),
        }
    }
    let is_newer = source.meta.updated_at > target.meta.updated_at;
    let describes = is_newer && said(&source.meta) != said(&target.meta);
    if describes && !describe(to, &source.meta, version).await? {
        return Ok(Outcome::Refused("it changed at the target meanwhile; repeat this"));
    }
    Ok(if missing.is_empty() && !describes { Outcome::There } else { Outcome::Completed })
}

/// The turns of `source` that come behind those of `target`; or why the two are not one record.
fn missing<'a>(source: &'a Held, target: &Held) -> Result<&'a [Turn], &'static str> {
    if source.meta.epoch != target.meta.epoch {
        return Err("another of this name is at the target; delete one of them");
    }
    let target_end = target.from + target.turns.len() as u64;
    if source.from > target_end {
        return Err("turns between those of the target and its own are gone; delete it at the target");
    }
    let both = source.from.max(target.from)..target_end.min(source.from + source.turns.len() as u64);
    let is_same = |number: u64| {
        source.turns[(number - source.from) as usize] == target.turns[(number - target.from) as usize]
    };
    if !both.clone().all(is_same) {
        return Err("it went on differently at the target; delete one of them");
    }
    let known = (target_end - source.from).min(source.turns.len() as u64);
    Ok(&source.turns[known as usize..])
}

/// What a client may say of a record.
fn said(meta: &Meta) -> (&Option<String>, &BTreeMap<String, String>, u64) {
    (&meta.title, &meta.metadata, meta.ttl_ms)
}

async fn describe(to: &Store, source: &Meta, version: u64) -> Result<bool, StoreFault> {
    let change = Change::Describe {
        title: Some(source.title.clone().unwrap_or_default()),
        metadata: Some(source.metadata.clone()),
        ttl_ms: Some(source.ttl_ms),
    };
    Ok(matches!(to.change(&source.key, Some(version), &change).await?, Changed::Done(_)))
}
