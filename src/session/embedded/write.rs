//! What changes the file. Each function is one operation of the store within a write that others may share: it looks
//! before it changes anything, so that a record it cannot read leaves nothing half done.

use redb::ReadableTable;

use crate::session::embedded::tables::{Fault, IDS_KEPT, Record, Tables, Tag, record};
use crate::session::key::SessionKey;
use crate::session::record::{Append, Appended, Change, Changed, Meta, Window};

/// `stored`: what [`crate::session::turn::Turn::encode`] made of the turn.
pub fn append(
    tables: &mut Tables,
    key: &SessionKey,
    new: &Append,
    stored: &[u8],
    now: u64,
) -> Result<Appended, Fault> {
    let tag = key.tag();
    let held = record(&tables.records, &tag)?;
    let living = held.as_ref().filter(|it| !it.is_over(now)).map(|it| &it.meta);
    if new.epoch.is_some() && new.epoch != living.map(|it| it.epoch) {
        return Ok(Appended::Gone);
    }
    let listed_before = living.map(Meta::listed_at);
    let mut record = match held {
        Some(held) if listed_before.is_some() => match tables.number_of(&tag, &new.turn.id)? {
            Some(number) => return Ok(Appended::Stored { number, version: held.meta.version }),
            None => held,
        },
        gone => {
            gone.map_or(Ok(()), |it| tables.drop_record(&it))?;
            Record::new(Meta::new(key.clone(), new.ttl_ms, now), now)
        }
    };
    let number = record.meta.first + record.meta.turns;
    tables.turns.insert((&tag, number), stored)?;
    tables.put_id(&tag, number, &new.turn.id)?;
    count(&mut record.meta, new, stored.len() as u64, now);
    trim(tables, &tag, &mut record.meta, new.bounds)?;
    record.begin_anew(now);
    let version = record.meta.version;
    tables.put(record, listed_before)?;
    Ok(Appended::Stored { number, version })
}

/// What a new turn of `bytes` changes in its session.
fn count(meta: &mut Meta, new: &Append, bytes: u64, now: u64) {
    let turn = &new.turn;
    meta.turns += 1;
    meta.bytes += bytes;
    meta.version += 1;
    meta.updated_at = now;
    meta.input_tokens = meta.input_tokens.saturating_add(turn.input_tokens);
    meta.output_tokens = meta.output_tokens.saturating_add(turn.output_tokens);
    meta.cost = meta.cost.plus(turn.cost.unwrap_or_default());
    if turn.upstream.is_some() {
        meta.upstream.clone_from(&turn.upstream);
    }
    if turn.model.is_some() {
        meta.model.clone_from(&turn.model);
    }
    if let Some(system) = &new.system {
        meta.system = system.clone();
    }
    if meta.title.is_none() {
        meta.title = new.title.clone().filter(|it| !it.is_empty());
    }
}

/// Old turns leave until what is left is within `bounds`, or is the last turn.
fn trim(tables: &mut Tables, tag: &Tag, meta: &mut Meta, bounds: Window) -> Result<(), Fault> {
    while meta.turns > 1 && (meta.turns > bounds.turns_max || meta.bytes > bounds.bytes_max) {
        let left = tables.turns.remove((tag, meta.first))?.map_or(0, |it| it.value().len() as u64);
        meta.first += 1;
        meta.turns -= 1;
        meta.bytes = meta.bytes.saturating_sub(left);
    }
    Ok(())
}

/// `turns`: ids, and what [`crate::session::turn::Turn::encode`] made of each.
pub fn create(
    tables: &mut Tables,
    meta: &Meta,
    turns: &[(String, Vec<u8>)],
    now: u64,
) -> Result<bool, Fault> {
    let tag = meta.key.tag();
    match record(&tables.records, &tag)? {
        Some(held) if !held.is_over(now) => return Ok(false),
        Some(gone) => tables.drop_record(&gone)?,
        None => {}
    }
    let ids_from = turns.len().saturating_sub(IDS_KEPT as usize);
    for (at, (number, (id, stored))) in (meta.first..).zip(turns).enumerate() {
        tables.turns.insert((&tag, number), stored.as_slice())?;
        if at >= ids_from {
            tables.ids.insert((&tag, number), id.as_str())?;
        }
    }
    let bytes = turns.iter().map(|(_, it)| it.len() as u64).sum();
    let meta = Meta { turns: turns.len() as u64, bytes, ..meta.clone() };
    tables.put(Record::new(meta, now), None)?;
    Ok(true)
}

/// An edit, its turn encoded.
pub enum Edit {
    Plain(Box<Change>),
    Replace { number: u64, stored: Vec<u8> },
}

pub fn change(
    tables: &mut Tables,
    key: &SessionKey,
    version: Option<u64>,
    edit: &Edit,
    now: u64,
) -> Result<Changed, Fault> {
    let tag = key.tag();
    let Some(mut record) = tables.living(&tag, now)? else { return Ok(Changed::Missing) };
    if version.is_some_and(|it| it != record.meta.version) {
        return Ok(Changed::Stale);
    }
    let listed_before = record.meta.listed_at();
    let is_there = match edit {
        Edit::Replace { number, stored } => replace(tables, &tag, &mut record.meta, *number, stored)?,
        Edit::Plain(change) => {
            if let Change::Clear { .. } = **change {
                tables.drop_turns(&tag, usize::MAX)?;
            }
            edit_meta(&mut record.meta, change);
            true
        }
    };
    if !is_there {
        return Ok(Changed::Stale);
    }
    record.meta.version += 1;
    record.meta.updated_at = now;
    record.begin_anew(now);
    let meta = record.meta.clone();
    tables.put(record, Some(listed_before))?;
    Ok(Changed::Done(Box::new(meta)))
}

/// Whether the turn `number` was there to be replaced.
fn replace(
    tables: &mut Tables,
    tag: &Tag,
    meta: &mut Meta,
    number: u64,
    stored: &[u8],
) -> Result<bool, Fault> {
    if !(meta.first..meta.first + meta.turns).contains(&number) {
        return Ok(false);
    }
    let before = tables.turns.insert((tag, number), stored)?.map_or(0, |it| it.value().len() as u64);
    meta.bytes = meta.bytes.saturating_sub(before) + stored.len() as u64;
    Ok(true)
}

fn edit_meta(meta: &mut Meta, change: &Change) {
    match change {
        Change::Describe { title, metadata, ttl_ms } => {
            if let Some(title) = title {
                meta.title = Some(title.clone()).filter(|it| !it.is_empty());
            }
            if let Some(metadata) = metadata {
                meta.metadata.clone_from(metadata);
            }
            meta.ttl_ms = ttl_ms.unwrap_or(meta.ttl_ms);
        }
        // Numbers go on: so a turn that is written again is still known by its id.
        Change::Clear { epoch } => {
            meta.epoch = *epoch;
            meta.system = "".into();
            meta.first += meta.turns;
            (meta.turns, meta.bytes) = (0, 0);
        }
        Change::Replace { .. } => {}
    }
}

pub fn delete(tables: &mut Tables, key: &SessionKey, now: u64) -> Result<bool, Fault> {
    let Some(record) = record(&tables.records, &key.tag())? else { return Ok(false) };
    tables.drop_record(&record)?;
    Ok(!record.is_over(now))
}

/// Notes that a session was used.
pub fn slide(tables: &mut Tables, tag: &Tag, now: u64) -> Result<(), Fault> {
    if let Some(mut record) = tables.living(tag, now)?.filter(|it| it.is_worth_sliding(now)) {
        let listed = record.meta.listed_at();
        record.begin_anew(now);
        tables.put(record, Some(listed))?;
    }
    Ok(())
}

/// Rows that one sweep takes away at most, about.
const SWEEP_ROWS_MAX: usize = 2_000;

/// Takes away what ran out, in small steps; whether all of it is gone.
pub fn sweep(tables: &mut Tables, now: u64) -> Result<bool, Fault> {
    let mut rows = 0;
    while rows < SWEEP_ROWS_MAX {
        let due = tables.expiry.first()?.map(|(key, _)| (key.value().0, *key.value().1));
        let Some((at, tag)) = due.filter(|(at, _)| *at <= now) else { return Ok(true) };
        rows += 1 + sweep_one(tables, at, &tag, SWEEP_ROWS_MAX - rows, now)?;
    }
    Ok(false)
}

/// One record that the sweep met; how many of its rows went.
fn sweep_one(tables: &mut Tables, at: u64, tag: &Tag, rows_max: usize, now: u64) -> Result<usize, Fault> {
    let mut held = match record(&tables.records, tag) {
        Ok(Some(held)) => held,
        // What nobody can read must not stop the sweep.
        Ok(None) | Err(Fault::Record(_)) => {
            tables.expiry.remove((at, tag))?;
            return Ok(0);
        }
        Err(fault) => return Err(fault),
    };
    if !held.is_over(now) {
        let listed = held.meta.listed_at();
        let ends_at = held.ends_at;
        tables.index_at(tag, &mut held, ends_at)?;
        tables.put(held, Some(listed))?;
        return Ok(0);
    }
    let rows = tables.drop_rows(tag, rows_max)?;
    if rows < rows_max {
        tables.drop_record(&held)?;
    }
    Ok(rows)
}
