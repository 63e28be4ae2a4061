//! What reads the file: each function sees it as one commit left it.

use bytes::Bytes;
use redb::ReadTransaction;

use crate::session::embedded::tables::{
    Fault, OWNED, RECORDS, Record, TURNS, Tag, corrupt, kind_number, record,
};
use crate::session::key::{Kind, Owner, SessionId, SessionKey};
use crate::session::record::{Held, Meta, Page, Window};
use crate::session::turn::{Turn, unpacked_bytes};

/// Records that one step of a scan passes at most.
const SCAN_RECORDS_MAX: usize = 200;

/// The record of `tag`, unless it is over.
pub fn living(txn: &ReadTransaction, tag: &Tag, now: u64) -> Result<Option<Record>, Fault> {
    Ok(record(&txn.open_table(RECORDS)?, tag)?.filter(|it| !it.is_over(now)))
}

/// A session, its last turns, and whether its use is to be written down.
pub fn load(
    txn: &ReadTransaction,
    key: &SessionKey,
    window: Window,
    now: u64,
) -> Result<Option<(Held, bool)>, Fault> {
    let tag = key.tag();
    let Some(record) = living(txn, &tag, now)? else { return Ok(None) };
    let slides = record.is_worth_sliding(now);
    let meta = record.meta;
    let table = txn.open_table(TURNS)?;
    let (mut turns, mut bytes) = (Vec::new(), 0);
    for row in table.range((&tag, meta.first)..(&tag, meta.first + meta.turns))?.rev() {
        let (_, value) = row?;
        bytes += unpacked_bytes(value.value());
        let is_within = turns.is_empty() || bytes <= window.bytes_max;
        if !is_within || turns.len() as u64 >= window.turns_max {
            break;
        }
        turns.push(decode(value.value())?);
    }
    turns.reverse();
    let from = meta.first + meta.turns - turns.len() as u64;
    Ok(Some((Held { meta, from, turns }, slides)))
}

fn decode(stored: &[u8]) -> Result<Turn, Fault> {
    Turn::decode(&Bytes::copy_from_slice(stored)).ok_or_else(|| Fault::Record(corrupt("a turn")))
}

pub fn turns(
    txn: &ReadTransaction,
    key: &SessionKey,
    from: u64,
    count: u64,
    now: u64,
) -> Result<Option<Held>, Fault> {
    let tag = key.tag();
    let Some(Record { meta, .. }) = living(txn, &tag, now)? else { return Ok(None) };
    let end = meta.first + meta.turns;
    let from = from.clamp(meta.first, end);
    let table = txn.open_table(TURNS)?;
    let mut turns = Vec::new();
    for row in table.range((&tag, from)..(&tag, end.min(from.saturating_add(count))))? {
        turns.push(decode(row?.1.value())?);
    }
    Ok(Some(Held { meta, from, turns }))
}

pub fn list(
    txn: &ReadTransaction,
    owner: &Owner,
    kind: Kind,
    page: &Page,
    now: u64,
) -> Result<Vec<Meta>, Fault> {
    let (records, owned) = (txn.open_table(RECORDS)?, txn.open_table(OWNED)?);
    let (owner_bytes, number) = (owner.as_bytes(), kind_number(kind));
    let first = (owner_bytes, number, 0, "");
    let end = (owner_bytes, number + 1, 0, "");
    let behind = page.after.as_ref().map(|(at, id)| (owner_bytes, number, *at, id.as_str()));
    let range = match (behind, page.ascending) {
        (Some(behind), true) => owned.range(behind..end)?,
        (Some(behind), false) => owned.range(first..behind)?,
        (None, _) => owned.range(first..end)?,
    };
    let rows: Box<dyn Iterator<Item = _>> =
        if page.ascending { Box::new(range) } else { Box::new(range.rev()) };
    let mut found = Vec::new();
    for row in rows {
        if found.len() >= page.limit {
            break;
        }
        let (row, _) = row?;
        let (_, _, at, id) = row.value();
        if behind.is_some_and(|it| (it.2, it.3) == (at, id)) {
            continue;
        }
        let Some(id) = SessionId::parse(id) else { continue };
        let tag = SessionKey { kind, owner: *owner, id }.tag();
        found.extend(record(&records, &tag)?.filter(|it| !it.is_over(now)).map(|it| it.meta));
    }
    Ok(found)
}

/// Keys of the records behind the tag `behind`, and where to go on.
pub fn scan(
    txn: &ReadTransaction,
    behind: Option<Tag>,
    now: u64,
) -> Result<(Vec<SessionKey>, Option<Tag>), Fault> {
    let records = txn.open_table(RECORDS)?;
    let (mut keys, mut passed, mut last) = (Vec::new(), 0, None);
    for row in records.range::<&Tag>(&behind.unwrap_or_default()..)? {
        let (tag, _) = row?;
        let tag = *tag.value();
        if Some(tag) == behind {
            continue;
        }
        if passed == SCAN_RECORDS_MAX {
            return Ok((keys, last));
        }
        passed += 1;
        last = Some(tag);
        keys.extend(record(&records, &tag)?.filter(|it| !it.is_over(now)).map(|it| it.meta.key));
    }
    Ok((keys, None))
}
