//! How a session is written into a hash, and read from one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use redis::Value;

use crate::api::money::Money;
use crate::session::key::{Kind, Owner, SessionId, SessionKey};
use crate::session::record::{Held, Meta, Window};
use crate::session::store::StoreFault;
use crate::session::turn::{Turn, unpacked_bytes};

/// The largest number Redis counts to.
const COUNT_MAX: u64 = i64::MAX as u64;

/// The largest number of a turn that a script is asked for: doubles hold it exactly, and no session comes near.
pub(super) const NUMBER_MAX: u64 = 1 << 52;

/// As far as Redis counts; larger ones stay there.
pub(super) fn counted(number: u64) -> u64 {
    number.min(COUNT_MAX)
}

/// What a client notes of a session, as JSON; nothing where there is nothing.
pub(super) fn metadata_text(metadata: &BTreeMap<String, String>) -> String {
    match metadata.is_empty() {
        true => String::new(),
        false => serde_json::to_string(metadata).expect("a map of text always serialises into memory"),
    }
}

/// All fields with their values. Those that hold nothing are left out.
pub(super) fn fields(meta: &Meta) -> Vec<(&'static str, String)> {
    let text = |it: &Option<String>| it.clone().unwrap_or_default();
    let all = [
        ("kind", meta.key.kind.as_str().to_owned()),
        ("owner", meta.key.owner.to_hex()),
        ("id", meta.key.id.to_string()),
        ("title", text(&meta.title)),
        ("metadata", metadata_text(&meta.metadata)),
        ("system", meta.system.to_string()),
        ("ttl_ms", meta.ttl_ms.to_string()),
        ("created_at", meta.created_at.to_string()),
        ("updated_at", meta.updated_at.to_string()),
        ("epoch", meta.epoch.to_string()),
        ("version", meta.version.to_string()),
        ("first", meta.first.to_string()),
        ("turns", meta.turns.to_string()),
        ("bytes", meta.bytes.to_string()),
        ("input_tokens", counted(meta.input_tokens).to_string()),
        ("output_tokens", counted(meta.output_tokens).to_string()),
        ("cost", counted(meta.cost.picos()).to_string()),
        ("upstream", text(&meta.upstream)),
        ("model", text(&meta.model)),
        ("object", meta.object.as_deref().unwrap_or_default().to_owned()),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

pub(super) fn corrupt(what: &str) -> StoreFault {
    StoreFault::Corrupt(format!("redis: {what} is not what this gateway writes"))
}

/// A hash as it comes: from a script as a list, else as a map. None: there is no such key.
pub(super) fn meta(value: Value) -> Result<Option<Meta>, StoreFault> {
    let pairs: Vec<(Value, Value)> = match value {
        Value::Map(pairs) => pairs,
        Value::Array(items) => {
            let mut items = items.into_iter();
            std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
        }
        Value::Nil => return Ok(None),
        _ => return Err(corrupt("a session")),
    };
    let mut fields = Fields(HashMap::with_capacity(pairs.len()));
    for (name, value) in pairs {
        fields.0.insert(text(name)?, text(value)?);
    }
    if fields.0.is_empty() { Ok(None) } else { fields.into_meta().map(Some) }
}

fn text(value: Value) -> Result<String, StoreFault> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).map_err(|_| corrupt("a session")),
        Value::SimpleString(text) => Ok(text),
        Value::Int(number) => Ok(number.to_string()),
        Value::Okay => Ok("OK".into()),
        _ => Err(corrupt("a session")),
    }
}

struct Fields(HashMap<String, String>);

impl Fields {
    fn into_meta(mut self) -> Result<Meta, StoreFault> {
        let key = self.key().ok_or_else(|| corrupt("the name of a session"))?;
        let metadata = match self.0.remove("metadata") {
            Some(json) => serde_json::from_str(&json).map_err(|_| corrupt("the metadata of a session"))?,
            None => BTreeMap::new(),
        };
        Ok(Meta {
            key,
            title: self.0.remove("title"),
            metadata,
            system: self.0.remove("system").unwrap_or_default().into(),
            ttl_ms: self.number("ttl_ms")?,
            created_at: self.number("created_at")?,
            updated_at: self.number("updated_at")?,
            epoch: self.number("epoch")?,
            version: self.number("version")?,
            first: self.number("first")?,
            turns: self.number("turns")?,
            bytes: self.number("bytes")?,
            input_tokens: self.number("input_tokens")?,
            output_tokens: self.number("output_tokens")?,
            cost: Money::from_picos(self.number("cost")?),
            upstream: self.0.remove("upstream"),
            model: self.0.remove("model"),
            object: self.0.remove("object").map(Arc::from),
        })
    }

    fn key(&self) -> Option<SessionKey> {
        let field = |name: &str| self.0.get(name).map(String::as_str);
        key(field("kind")?, field("owner")?, field("id")?)
    }

    fn number(&self, name: &str) -> Result<u64, StoreFault> {
        let number = self.0.get(name).and_then(|it| it.parse().ok());
        number.ok_or_else(|| corrupt(&format!("`{name}` of a session")))
    }
}

pub(super) fn key(kind: &str, owner: &str, id: &str) -> Option<SessionKey> {
    Some(SessionKey {
        kind: Kind::from_word(kind)?,
        owner: Owner::from_hex(owner)?,
        id: SessionId::parse(id)?,
    })
}

/// The turns of a list, in its order.
fn turns(value: Value) -> Result<Vec<Turn>, StoreFault> {
    let Value::Array(items) = value else { return Err(corrupt("a list of turns")) };
    let decode = |item| match item {
        Value::BulkString(bytes) => Turn::decode(&Bytes::from(bytes)),
        _ => None,
    };
    items.into_iter().map(|item| decode(item).ok_or_else(|| corrupt("a turn"))).collect()
}

/// What `load.lua` tells: the session, its last turns, newest first, and the server's time in seconds.
/// `window`: what was asked for; the script counts bytes as they are stored.
pub(super) fn loaded(value: Value, window: Window) -> Result<Option<(Held, u64)>, StoreFault> {
    let Value::Array(parts) = value else { return Ok(None) };
    let Ok([held, list, now]) = <[Value; 3]>::try_from(parts) else { return Err(corrupt("a session")) };
    let Some(meta) = meta(held)? else { return Ok(None) };
    let mut turns = turns(within(list, window.bytes_max))?;
    turns.reverse();
    if window.turns_max > 0 && turns.is_empty() && meta.turns > 0 {
        return Err(StoreFault::Corrupt("redis: the turns of a session are gone".into()));
    }
    let from = (meta.first + meta.turns).saturating_sub(turns.len() as u64);
    let now = text(now)?.parse().map_err(|_| corrupt("the time"))?;
    Ok(Some((Held { meta, from, turns }, now)))
}

/// The first of a list of turns that unpack to no more than `bytes_max`.
fn within(list: Value, bytes_max: u64) -> Value {
    let Value::Array(mut items) = list else { return list };
    let mut bytes = 0;
    let fits = |item: &Value| {
        bytes += if let Value::BulkString(stored) = item { unpacked_bytes(stored) } else { 0 };
        bytes <= bytes_max
    };
    let count = items.iter().map(fits).take_while(|it| *it).count();
    items.truncate(count.max(1));
    Value::Array(items)
}

/// What `turns.lua` tells: the session, turns, oldest first, and the number of the first.
pub(super) fn part(value: Value) -> Result<Option<Held>, StoreFault> {
    let Value::Array(parts) = value else { return Ok(None) };
    let Ok([held, list, Value::Int(from)]) = <[Value; 3]>::try_from(parts) else {
        return Err(corrupt("a session"));
    };
    let Some(meta) = meta(held)? else { return Ok(None) };
    Ok(Some(Held { meta, from: from.unsigned_abs(), turns: turns(list)? }))
}
