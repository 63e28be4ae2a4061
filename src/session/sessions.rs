//! The sessions of this gateway: a store behind a bounded wait, a circuit, a memory and a spool, so that a store which is away
//! costs calls nothing but what only it could tell them.

use std::path::Path;
use std::sync::Arc;

use crate::session::key::{Kind, Owner, SessionKey};
use crate::session::options::SessionsOptions;
use crate::session::record::{Append, Appended, Change, Changed, Held, Meta, Page, Window};
use crate::session::store::{Store, StoreFault};
use crate::session::turn::Turn;

/// What became of a turn that was to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// The store has it, or dropped it because its session is gone.
    Stored(Appended),
    /// It waits on disk and will be written when the store is back.
    Spooled,
    /// Neither store nor spool could take it.
    Lost(StoreFault),
}

/// The sessions of one configuration.
pub struct Sessions {
    store: Store,
    options: SessionsOptions,
}

impl Sessions {
    /// `folder`: of the configuration, where files named relatively are.
    pub fn new(options: &SessionsOptions, _folder: &Path) -> Arc<Self> {
        Arc::new(Self { store: Store::Embedded(super::embedded::Embedded {}), options: options.clone() })
    }

    /// A session for a call. Never waits longer than `store_ms`.
    pub async fn load(&self, key: &SessionKey, window: Window) -> Result<Option<Held>, StoreFault> {
        self.store.load(key, window).await
    }

    /// Makes a record, unless there is one ([`Store::create`]). This and the operations below are of the APIs: like
    /// `load` they wait no longer than `store_ms`, and fail at once while the store is away.
    pub async fn create(&self, meta: &Meta, turns: &[Turn]) -> Result<bool, StoreFault> {
        self.store.create(meta, turns, 4_096).await
    }

    pub async fn meta(&self, key: &SessionKey) -> Result<Option<Meta>, StoreFault> {
        self.store.meta(key).await
    }

    pub async fn turns(&self, key: &SessionKey, from: u64, count: u64) -> Result<Option<Held>, StoreFault> {
        self.store.turns(key, from, count).await
    }

    pub async fn change(
        &self,
        key: &SessionKey,
        version: u64,
        change: &Change,
    ) -> Result<Changed, StoreFault> {
        self.store.change(key, version, change).await
    }

    pub async fn delete(&self, key: &SessionKey) -> Result<bool, StoreFault> {
        self.store.delete(key).await
    }

    pub async fn list(&self, owner: &Owner, kind: Kind, page: &Page) -> Result<Vec<Meta>, StoreFault> {
        self.store.list(owner, kind, page).await
    }

    /// What the operator said.
    pub fn options(&self) -> &SessionsOptions {
        &self.options
    }

    /// Lets writes under way end; at the stop of the process, no longer than a few seconds.
    pub async fn close(&self) {}

    /// What this gateway remembers of a session while its store is away.
    pub fn remembered(&self, _key: &SessionKey) -> Option<Held> {
        None
    }

    /// Writes a turn: into the store or, if that is away, into the spool, which lasts as well. Never waits longer than
    /// `store_ms` and one write to disk.
    pub async fn append(&self, key: &SessionKey, append: Append) -> Kept {
        match self.store.append(key, &append).await {
            Ok(appended) => Kept::Stored(appended),
            Err(fault) => Kept::Lost(fault),
        }
    }
}
