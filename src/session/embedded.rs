//! Keeps sessions in one file of the gateway's own (redb: ACID, survives `kill -9`).

use crate::session::key::{Kind, Owner, SessionKey};
use crate::session::record::{Append, Appended, Change, Changed, Held, Meta, Page, Window};
use crate::session::store::StoreFault;
use crate::session::turn::Turn;

/// The store.
pub struct Embedded {}

fn away() -> StoreFault {
    StoreFault::Away("not there yet".into())
}

impl Embedded {
    pub async fn load(&self, _key: &SessionKey, _window: Window) -> Result<Option<Held>, StoreFault> {
        Err(away())
    }
    pub async fn append(&self, _key: &SessionKey, _append: &Append) -> Result<Appended, StoreFault> {
        Err(away())
    }
    pub async fn create(&self, _meta: &Meta, _turns: &[Turn], _min: usize) -> Result<bool, StoreFault> {
        Err(away())
    }
    pub async fn meta(&self, _key: &SessionKey) -> Result<Option<Meta>, StoreFault> {
        Err(away())
    }
    pub async fn turns(
        &self,
        _key: &SessionKey,
        _from: u64,
        _count: u64,
    ) -> Result<Option<Held>, StoreFault> {
        Err(away())
    }
    pub async fn change(
        &self,
        _key: &SessionKey,
        _version: u64,
        _change: &Change,
    ) -> Result<Changed, StoreFault> {
        Err(away())
    }
    pub async fn delete(&self, _key: &SessionKey) -> Result<bool, StoreFault> {
        Err(away())
    }
    pub async fn list(&self, _owner: &Owner, _kind: Kind, _page: &Page) -> Result<Vec<Meta>, StoreFault> {
        Err(away())
    }
    pub async fn scan(
        &self,
        _cursor: Option<String>,
    ) -> Result<(Vec<SessionKey>, Option<String>), StoreFault> {
        Err(away())
    }
    pub async fn check(&self) -> Result<(), StoreFault> {
        Err(away())
    }
}
