//! Where sessions are kept: the operations every store has, and what can go wrong with one.
//!
//! Every operation is whole or not at all, and those on one session happen one after another, whoever asks for them.
//! Stores take the time from themselves (Redis from its `TIME`), so that two gateways need no common clock.

use std::fmt;
#[cfg(test)]
use std::sync::Arc;

use crate::session::embedded::Embedded;
use crate::session::key::{Kind, Owner, SessionKey};
use crate::session::record::{Append, Appended, Change, Changed, Held, Meta, Page, Window};
use crate::session::redis::Redis;
#[cfg(test)]
use crate::session::scripted::Scripted;
use crate::session::turn::Turn;

/// Why a store did not do what it was asked. It did nothing then, or nobody knows ([`StoreFault::Lost`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// It cannot be reached or used now; the text is for the log and names no password.
    Away(String),
    /// It was asked and did not answer in time, or the connection broke: it may have done it.
    Lost(String),
    /// The session is on its way from one server to another; the store itself is well.
    Busy(String),
    /// It holds something that we did not write.
    Corrupt(String),
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreFault::Away(why)
            | StoreFault::Lost(why)
            | StoreFault::Busy(why)
            | StoreFault::Corrupt(why) => f.write_str(why),
        }
    }
}

/// A store.
pub enum Store {
    Embedded(Embedded),
    Redis(Box<Redis>),
    #[cfg(test)]
    Scripted(Arc<Scripted>),
}

/// Does the same for every store.
macro_rules! each {
    ($store:expr, $it:ident => $asked:expr) => {
        match $store {
            Store::Embedded($it) => $asked.await,
            Store::Redis($it) => $asked.await,
            #[cfg(test)]
            Store::Scripted($it) => $asked.await,
        }
    };
}

impl Store {
    /// Whether it is the gateway's own, and goes where the gateway goes.
    pub fn is_own(&self) -> bool {
        matches!(self, Store::Embedded(_))
    }

    /// A session and its last turns, as far as `window` goes; its time to live begins anew. One round trip.
    pub async fn load(&self, key: &SessionKey, window: Window) -> Result<Option<Held>, StoreFault> {
        each!(self, it => it.load(key, window))
    }

    /// Writes a turn behind all others, once however often it is asked; its time to live begins anew. One round trip.
    pub async fn append(&self, key: &SessionKey, append: &Append) -> Result<Appended, StoreFault> {
        each!(self, it => it.append(key, append))
    }

    /// Makes a record with these turns, numbered from `meta.first`, unless there is one; whether it was made.
    pub async fn create(
        &self,
        meta: &Meta,
        turns: &[Turn],
        compress_bytes_min: usize,
    ) -> Result<bool, StoreFault> {
        each!(self, it => it.create(meta, turns, compress_bytes_min))
    }

    /// A session without its turns. Its time to live goes on.
    pub async fn meta(&self, key: &SessionKey) -> Result<Option<Meta>, StoreFault> {
        each!(self, it => it.meta(key))
    }

    /// A session and at most `count` turns from the number `from` on. Its time to live goes on.
    pub async fn turns(&self, key: &SessionKey, from: u64, count: u64) -> Result<Option<Held>, StoreFault> {
        each!(self, it => it.turns(key, from, count))
    }

    /// Edits a session that is still at `version`, or (None) whatever it is at; its time to live begins anew.
    pub async fn change(
        &self,
        key: &SessionKey,
        version: Option<u64>,
        change: &Change,
    ) -> Result<Changed, StoreFault> {
        each!(self, it => it.change(key, version, change))
    }

    /// Deletes a session; whether there was one.
    pub async fn delete(&self, key: &SessionKey) -> Result<bool, StoreFault> {
        each!(self, it => it.delete(key))
    }

    /// A part of what an owner has of one kind. Records that ran out are not among them.
    pub async fn list(&self, owner: &Owner, kind: Kind, page: &Page) -> Result<Vec<Meta>, StoreFault> {
        each!(self, it => it.list(owner, kind, page))
    }

    /// Some of all records, whoever owns them, behind `cursor`, and where to go on; for moving a store. Each record
    /// that stays comes at least once.
    pub async fn scan(
        &self,
        cursor: Option<String>,
    ) -> Result<(Vec<SessionKey>, Option<String>), StoreFault> {
        each!(self, it => it.scan(cursor))
    }

    /// Whether it can be used now, for writing as well.
    pub async fn check(&self) -> Result<(), StoreFault> {
        each!(self, it => it.check())
    }
}
