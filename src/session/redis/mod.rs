//! Keeps sessions in Redis: standalone, behind Sentinel, or in a Cluster.
//!
//! What another program may read, `<tag>` being [`SessionKey::tag`] and `<owner>` [`Owner::to_hex`], both 32 hexadecimal
//! digits:
//!
//! | key | type | holds | time to live |
//! |---|---|---|---|
//! | `tollgate:{<tag>}:meta` | hash | the session's fields, below | the session's `ttl_ms`, anew with each load, turn and edit |
//! | `tollgate:{<tag>}:turns` | list | its turns as [`Turn::encode`] writes them, oldest first | as `meta` |
//! | `tollgate:{<tag>}:ids` | sorted set | ids of its last 1,000 turns by their numbers: what is written already | as `meta` |
//! | `tollgate:{<owner>}:sessions` | sorted set | ids of an owner's sessions by their last change, in milliseconds | twice the longest of its sessions' |
//! | `tollgate:{<owner>}:completions` | sorted set | ids of its stored completions by when they were made | as `sessions` |
//! | `tollgate:{check}:written` | string | nothing; shows that scripts run and may write | a minute |
//!
//! Fields of `meta`, numbers in decimal digits, times in Unix milliseconds; what is not said is not there: `kind` (`session` or
//! `completion`), `owner`, `id`, `title`, `metadata` (JSON object), `system` (JSON objects joined by commas), `ttl_ms` (0: never),
//! `created_at`, `updated_at`, `epoch`, `version`, `first` (number of the oldest turn), `turns`, `bytes`, `input_tokens`,
//! `output_tokens`, `cost` (pico-dollars), `upstream`, `model`, `object` (a completion's answer).
//!
//! All keys of a session share one slot, so each operation on it is one script that runs whole or not at all. The list of its
//! owner lies in another slot and is written beside it: a member whose session is gone is taken out when a list meets it, or by
//! the samples that writers take. A list outlives its sessions: it is kept for twice the longest time to live, and a session that
//! lives on loads alone renews it.
//!
//! A user needs `~tollgate:* +@read +@write +@scripting +@connection +time`, in a cluster `+cluster|slots` as well.
//!
//! While a slot of a cluster moves, its records are served where they are, whole; new ones are made where the slot goes. A record
//! of which a part is on its way, or that has no turns just then, is busy until the slot has moved: that is a fault of its own
//! ([`StoreFault::Busy`]), not of the store. If `meta` was evicted alone while its slot moves, what is left of it at the old server
//! stays there until its time to live ends.
//!
//! No key may be evicted (`maxmemory-policy noeviction`). Of a session that lost its turns loads and turns fail as corrupt, until
//! it is cleared or deleted; one that lost its `meta` is gone.
//!
//! Scripts come with their effects to replicas and need nothing newer than Redis 6.2. Whole numbers of 64 bits are added by
//! Redis; Lua, whose numbers are doubles, sees only what is far below 2^53.

mod cluster;
pub mod earlier;
mod flight;
mod form;
mod heard;
mod index;
mod link;
pub mod options;
mod plan;
mod request;
mod scan;
mod sentinel;
mod server;
mod tls;
mod topology;
mod verdict;

pub use plan::Misset;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use redis::Value;

use crate::api::money::Money;
use crate::names::Secret;
use crate::session::key::{Kind, Owner, SessionKey, hex};
use crate::session::record::{Append, Appended, Change, Changed, Held, Meta, Page, Window};
use crate::session::redis::form::{corrupt, counted};
use crate::session::redis::index::Noted;
use crate::session::redis::options::RedisOptions;
use crate::session::redis::plan::Plan;
use crate::session::redis::request::Request;
use crate::session::redis::topology::Topology;
use crate::session::store::StoreFault;
use crate::session::turn::Turn;

/// Of so many turns, records made and records deleted one looks through a sample of its owner's list.
const WRITES_PER_SAMPLE: u32 = 32;

/// The store. It connects when it is first asked, and again whenever it has to.
///
/// Each operation ends within `connect_ms` and `command_ms` together, lists and scans after as many of those as they have steps;
/// an answer that is coming may take longer, as long as whoever asks waits.
pub struct Redis {
    topology: Arc<Topology>,
    written: AtomicU32,
}

fn keys(key: &SessionKey) -> [String; 3] {
    let tag = hex(&key.tag());
    ["meta", "turns", "ids"].map(|part| format!("tollgate:{{{tag}}}:{part}"))
}

/// What stands before a turn's messages, in bytes; a longer head only means that one turn less may come.
const HEAD_BYTES: u64 = 1 << 10;

impl Redis {
    /// Connects to nothing yet: what is wrong here is wrong with the configuration.
    pub fn new(url: &Secret, options: &RedisOptions) -> Result<Self, Misset> {
        Ok(Self { topology: Topology::new(Plan::read(url, options)?), written: AtomicU32::new(0) })
    }

    pub async fn load(&self, key: &SessionKey, window: Window) -> Result<Option<Held>, StoreFault> {
        let request = Request::script(&request::LOAD).keys(keys(key)).repeatable();
        // The script sees turns as they are stored; how much of them goes with the window is seen when they are unpacked.
        let heads = window.turns_max.saturating_mul(HEAD_BYTES);
        let stored_max = window.bytes_max.saturating_add(heads);
        let request = request.number(counted(window.turns_max)).number(counted(stored_max));
        let Some((held, now)) = form::loaded(self.topology.ask(&request).await?, window)? else {
            return Ok(None);
        };
        let meta = &held.meta;
        if meta.ttl_ms > 0 && (now * 1_000).saturating_sub(meta.listed_at()) > meta.ttl_ms / 2 {
            index::renew_aside(&self.topology, key, meta.ttl_ms, meta.listed_at());
        }
        Ok(Some(held))
    }

    pub async fn append(&self, key: &SessionKey, append: &Append) -> Result<Appended, StoreFault> {
        let request = append_request(key, append);
        let note = index::note(key, Noted::Now, append.ttl_ms);
        let (answer, noted) = tokio::join!(self.topology.ask(&request), self.topology.ask(&note));
        let Value::Array(parts) = answer? else { return Err(corrupt("the answer to a turn")) };
        noted.map_err(half_done)?;
        self.wrote(key);
        match parts.as_slice() {
            [Value::BulkString(_)] => Ok(Appended::Gone),
            [_, Value::Int(number), Value::Int(version), Value::BulkString(ttl)] => {
                let ttl = std::str::from_utf8(ttl).ok().and_then(|it| it.parse().ok());
                match ttl {
                    Some(ttl) if ttl == append.ttl_ms => {}
                    Some(ttl) => index::renew_aside(&self.topology, key, ttl, 0),
                    None => return Err(corrupt("the time to live of a session")),
                }
                Ok(Appended::Stored { number: number.unsigned_abs(), version: version.unsigned_abs() })
            }
            _ => Err(corrupt("the answer to a turn")),
        }
    }

    pub async fn create(
        &self,
        meta: &Meta,
        turns: &[Turn],
        compress_bytes_min: usize,
    ) -> Result<bool, StoreFault> {
        let stored: Vec<Vec<u8>> = turns.iter().map(|it| it.encode(compress_bytes_min)).collect();
        let bytes = stored.iter().map(|it| it.len() as u64).sum();
        let fields = form::fields(&Meta { turns: turns.len() as u64, bytes, ..meta.clone() });
        let mut request = Request::script(&request::CREATE).keys(keys(&meta.key)).number(meta.ttl_ms);
        request = request.number(fields.len() as u64);
        for (name, value) in fields {
            request = request.arg(name).arg(value);
        }
        request = request.number(meta.first);
        for (turn, stored) in turns.iter().zip(stored) {
            request = request.arg(turn.id.as_str()).arg(stored);
        }
        let note = index::note(&meta.key, Noted::At(meta.listed_at()), meta.ttl_ms);
        let (made, noted) = tokio::join!(self.topology.ask(&request), self.topology.ask(&note));
        let made = made?;
        noted.map_err(half_done)?;
        self.wrote(&meta.key);
        Ok(made == Value::Int(1))
    }

    pub async fn meta(&self, key: &SessionKey) -> Result<Option<Meta>, StoreFault> {
        let [meta, ..] = keys(key);
        form::meta(self.topology.ask(&Request::command("HGETALL").keys([meta]).repeatable()).await?)
    }

    pub async fn turns(&self, key: &SessionKey, from: u64, count: u64) -> Result<Option<Held>, StoreFault> {
        let [meta, turns, _] = keys(key);
        let request = Request::script(&request::TURNS).keys([meta, turns]).repeatable();
        let request = request.number(from.min(form::NUMBER_MAX)).number(count.min(form::NUMBER_MAX));
        form::part(self.topology.ask(&request).await?)
    }

    pub async fn change(
        &self,
        key: &SessionKey,
        version: Option<u64>,
        change: &Change,
    ) -> Result<Changed, StoreFault> {
        let meta = match self.topology.ask(&change_request(key, version, change)).await? {
            Value::Nil => return Ok(Changed::Missing),
            Value::BulkString(_) => return Ok(Changed::Stale),
            fields => form::meta(fields)?.ok_or_else(|| corrupt("a session"))?,
        };
        // What is done is done: where this fails, the list knows a moment before.
        let note = index::note(key, Noted::At(meta.listed_at()), meta.ttl_ms);
        let _ = self.topology.ask(&note).await;
        Ok(Changed::Done(Box::new(meta)))
    }

    pub async fn delete(&self, key: &SessionKey) -> Result<bool, StoreFault> {
        let request = Request::script(&request::DELETE).keys(keys(key));
        let note = index::strike(key);
        let (gone, struck) = tokio::join!(self.topology.ask(&request), self.topology.ask(&note));
        let gone = gone?;
        struck.map_err(half_done)?;
        self.wrote(key);
        Ok(matches!(gone, Value::Int(count) if count > 0))
    }

    /// What is never listed has its list looked through by those who write.
    fn wrote(&self, key: &SessionKey) {
        if self.written.fetch_add(1, Ordering::Relaxed) % WRITES_PER_SAMPLE == WRITES_PER_SAMPLE - 1 {
            index::sample_aside(&self.topology, key);
        }
    }

    pub async fn list(&self, owner: &Owner, kind: Kind, page: &Page) -> Result<Vec<Meta>, StoreFault> {
        index::list(&self.topology, owner, kind, page).await
    }

    pub async fn scan(
        &self,
        cursor: Option<String>,
    ) -> Result<(Vec<SessionKey>, Option<String>), StoreFault> {
        scan::scan(&self.topology, cursor).await
    }

    pub async fn check(&self) -> Result<(), StoreFault> {
        let request = Request::script(&request::CHECK).keys(["tollgate:{check}:written".into()]).repeatable();
        self.topology.ask(&request.number(60_000)).await.map(|_| ())
    }
}

/// Of the two parts of a change the record's was done.
fn half_done(fault: StoreFault) -> StoreFault {
    StoreFault::Lost(fault.to_string())
}

fn append_request(key: &SessionKey, append: &Append) -> Request {
    let turn = &append.turn;
    let text = |it: &Option<String>| it.clone().unwrap_or_default();
    Request::script(&request::APPEND)
        .keys(keys(key))
        .repeatable()
        .arg(turn.encode(append.compress_bytes_min))
        .arg(turn.id.as_str())
        .arg(append.epoch.map(|it| it.to_string()).unwrap_or_default())
        .number(fastrand::u64(..))
        .number(append.system.is_some().into())
        .arg(append.system.as_deref().unwrap_or_default())
        .arg(text(&append.title))
        .number(append.ttl_ms)
        .number(append.bounds.turns_max)
        .number(append.bounds.bytes_max)
        .number(counted(turn.input_tokens))
        .number(counted(turn.output_tokens))
        .number(counted(turn.cost.unwrap_or(Money::ZERO).picos()))
        .arg(text(&turn.upstream))
        .arg(text(&turn.model))
        .arg(key.kind.as_str())
        .arg(key.owner.to_hex())
        .arg(key.id.as_str())
}

fn change_request(key: &SessionKey, version: Option<u64>, change: &Change) -> Request {
    let request = Request::script(&request::CHANGE)
        .keys(keys(key))
        .arg(version.map(|it| it.to_string()).unwrap_or_default());
    match change {
        Change::Clear { epoch } => request.arg("clear").number(*epoch),
        Change::Replace { number, turn, compress_bytes_min } => request
            .arg("replace")
            .number((*number).min(form::NUMBER_MAX))
            .arg(turn.id.as_str())
            .arg(turn.encode(*compress_bytes_min)),
        Change::Describe { title, metadata, ttl_ms } => request
            .arg("describe")
            .number(title.is_some().into())
            .arg(title.as_deref().unwrap_or_default())
            .number(metadata.is_some().into())
            .arg(metadata.as_ref().map(form::metadata_text).unwrap_or_default())
            .number(ttl_ms.is_some().into())
            .arg(ttl_ms.map(|it| it.to_string()).unwrap_or_default()),
    }
}
