//! Keeps sessions in one file of the gateway's own (redb: ACID, survives `kill -9`), or in memory.
//!
//! What is acknowledged is on disk. The file is opened by the first operation and belongs to one process; while it cannot be
//! opened, the store is away, and an operation tries again after [`RETRY`]. A load writes nothing as a rule: only once a tenth
//! of a session's time to live went by does it make that begin anew, beside the call. So a session ends when its whole time went
//! by after its last turn or edit, and at least nine tenths of it after its last load.

mod form;
mod opened;
mod read;
mod tables;
#[cfg(test)]
mod tests;
mod write;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::session::embedded::opened::{Opened, Place};
use crate::session::embedded::tables::{Fault, Tag};
use crate::session::embedded::write::Edit;
use crate::session::key::{Kind, Owner, SessionKey, hex};
use crate::session::record::{Append, Appended, Change, Changed, Held, Meta, Page, Window};
use crate::session::store::StoreFault;
use crate::session::turn::Turn;

/// Between two attempts to open a file that failed.
pub const RETRY: Duration = Duration::from_secs(1);

/// Messages that are encoded where they are; larger ones go to a thread that may take its time, in bytes.
const ENCODED_HERE_BYTES_MAX: usize = 256 << 10;

/// The store. Dropping it waits for writes that were handed over.
pub struct Embedded {
    place: Place,
    opened: Arc<ArcSwapOption<Opened>>,
    /// Held by whoever opens.
    opening: Arc<Mutex<Opening>>,
}

/// Whether the file may be opened now.
enum Opening {
    Free,
    /// When there was one, and why it is not to be used.
    Tried(Instant, StoreFault),
    Closed,
}

impl Embedded {
    /// Sessions in the file at `path`, made when it is first needed, with mode 0600.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::at(Place::File(path.into()))
    }

    /// Sessions that live as long as this.
    pub fn memory() -> Self {
        Self::at(Place::Memory)
    }

    fn at(place: Place) -> Self {
        Self { place, opened: Arc::default(), opening: Arc::new(Mutex::new(Opening::Free)) }
    }

    /// Frees the file; to be called when calls have ended. What is asked afterwards finds the store away.
    pub async fn close(&self) {
        *self.opening.lock().await = Opening::Closed;
        let opened = self.opened.swap(None);
        // A panic there is a closed file as well.
        let _ = tokio::task::spawn_blocking(move || drop(opened)).await;
    }

    async fn opened(&self) -> Result<Arc<Opened>, StoreFault> {
        if let Some(opened) = self.opened.load_full().filter(|it| !it.is_broken()) {
            return Ok(opened);
        }
        let mut opening = self.opening.clone().lock_owned().await;
        if let Some(opened) = self.opened.load_full().filter(|it| !it.is_broken()) {
            return Ok(opened);
        }
        match &*opening {
            Opening::Closed => return Err(StoreFault::Away("the store of sessions is closed".into())),
            Opening::Tried(at, fault) if at.elapsed() < RETRY => return Err(fault.clone()),
            Opening::Free | Opening::Tried(..) => {}
        }
        let (place, now_open) = (self.place.clone(), self.opened.clone());
        // A task: what was begun for a caller that left is there for the next one.
        let attempt = tokio::spawn(async move {
            let broken = now_open.swap(None);
            let attempt = tokio::task::spawn_blocking(move || {
                drop(broken);
                Opened::open(&place).map(Arc::new)
            });
            let opened = attempt.await.unwrap_or_else(|_| Err(unreadable()));
            // One that fails as soon as it is open is not opened all the time either.
            let failed = StoreFault::Away("the file of sessions failed; it is opened again soon".into());
            *opening = Opening::Tried(Instant::now(), opened.as_ref().err().cloned().unwrap_or(failed));
            now_open.store(opened.as_ref().ok().cloned());
            opened
        });
        attempt.await.unwrap_or_else(|_| Err(unreadable()))
    }

    async fn read<F, T>(&self, what: F) -> Result<T, StoreFault>
    where
        F: FnOnce(&redb::ReadTransaction, u64) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        let opened = self.opened().await?;
        let read = opened.read(what).await;
        opened.noting(read)
    }

    async fn write<F, T>(&self, what: F) -> Result<T, StoreFault>
    where
        F: FnOnce(&mut tables::Tables, u64) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        let opened = self.opened().await?;
        let written = opened.writer().write(what).await;
        opened.noting(written)
    }

    pub async fn load(&self, key: &SessionKey, window: Window) -> Result<Option<Held>, StoreFault> {
        let (key, tag) = (key.clone(), key.tag());
        let loaded = self.read(move |txn, now| read::load(txn, &key, window, now)).await?;
        let Some((held, slides)) = loaded else { return Ok(None) };
        if slides && let Some(opened) = self.opened.load_full() {
            opened.writer().write_aside(move |tables, now| write::slide(tables, &tag, now));
        }
        Ok(Some(held))
    }

    pub async fn append(&self, key: &SessionKey, append: &Append) -> Result<Appended, StoreFault> {
        let stored = encode(&append.turn, append.compress_bytes_min).await?;
        let (key, append) = (key.clone(), append.clone());
        self.write(move |tables, now| write::append(tables, &key, &append, &stored, now)).await
    }

    pub async fn create(
        &self,
        meta: &Meta,
        turns: &[Turn],
        compress_bytes_min: usize,
    ) -> Result<bool, StoreFault> {
        let (meta, mut stored) = (meta.clone(), Vec::with_capacity(turns.len()));
        for turn in turns {
            stored.push((turn.id.clone(), encode(turn, compress_bytes_min).await?));
        }
        self.write(move |tables, now| write::create(tables, &meta, &stored, now)).await
    }

    pub async fn meta(&self, key: &SessionKey) -> Result<Option<Meta>, StoreFault> {
        let tag = key.tag();
        self.read(move |txn, now| Ok(read::living(txn, &tag, now)?.map(|it| it.meta))).await
    }

    pub async fn turns(&self, key: &SessionKey, from: u64, count: u64) -> Result<Option<Held>, StoreFault> {
        let key = key.clone();
        self.read(move |txn, now| read::turns(txn, &key, from, count, now)).await
    }

    pub async fn change(
        &self,
        key: &SessionKey,
        version: Option<u64>,
        change: &Change,
    ) -> Result<Changed, StoreFault> {
        let edit = match change {
            Change::Replace { number, turn, compress_bytes_min } => {
                Edit::Replace { number: *number, stored: encode(turn, *compress_bytes_min).await? }
            }
            other => Edit::Plain(Box::new(other.clone())),
        };
        let key = key.clone();
        self.write(move |tables, now| write::change(tables, &key, version, &edit, now)).await
    }

    pub async fn delete(&self, key: &SessionKey) -> Result<bool, StoreFault> {
        let key = key.clone();
        self.write(move |tables, now| write::delete(tables, &key, now)).await
    }

    pub async fn list(&self, owner: &Owner, kind: Kind, page: &Page) -> Result<Vec<Meta>, StoreFault> {
        let (owner, page) = (*owner, page.clone());
        self.read(move |txn, now| read::list(txn, &owner, kind, &page, now)).await
    }

    pub async fn scan(
        &self,
        cursor: Option<String>,
    ) -> Result<(Vec<SessionKey>, Option<String>), StoreFault> {
        let behind = cursor.as_deref().and_then(tag_of);
        let (keys, last) = self.read(move |txn, now| read::scan(txn, behind, now)).await?;
        Ok((keys, last.as_ref().map(hex)))
    }

    /// Writes and flushes, so it makes the file.
    pub async fn check(&self) -> Result<(), StoreFault> {
        let note = |tables: &mut tables::Tables, now| {
            tables.about.insert("checked_at", now)?;
            Ok(())
        };
        self.write(note).await
    }
}

/// What [`hex`] made of a tag.
fn tag_of(cursor: &str) -> Option<Tag> {
    u128::from_str_radix(cursor, 16).ok().map(u128::to_be_bytes)
}

fn unreadable() -> StoreFault {
    StoreFault::Away("the file of sessions cannot be read; move it away, and a new one is made".into())
}

async fn encode(turn: &Turn, compress_bytes_min: usize) -> Result<Vec<u8>, StoreFault> {
    if turn.messages.len() <= ENCODED_HERE_BYTES_MAX {
        return Ok(turn.encode(compress_bytes_min));
    }
    let turn = turn.clone();
    let encoding = tokio::task::spawn_blocking(move || turn.encode(compress_bytes_min));
    encoding.await.map_err(|it| StoreFault::Away(format!("a turn was not encoded: {it}")))
}
