//! The file while it is open: made ready for this release, read beside the thread that writes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use redb::backends::InMemoryBackend;
use redb::{Database, ReadTransaction, ReadableDatabase, TableError};
use tokio::sync::Semaphore;

use crate::session::clock::now_ms;
use crate::session::embedded::tables::{ABOUT, Fault, Tables};
use crate::session::embedded::writer::Writer;
use crate::session::file;
use crate::session::store::StoreFault;

/// Memory for pages of the file, in bytes. The system keeps those that are used in its own cache as well.
const CACHE_BYTES: usize = 4 << 20;

/// Reads at once at most; others wait.
const READS_MAX: usize = 8;

/// What [`ABOUT`] calls the layout of the tables, and the one of this release. It reads no later one.
const LAYOUT: (&str, u64) = ("layout", 1);

/// Where a store is.
#[derive(Clone, Debug)]
pub enum Place {
    File(PathBuf),
    Memory,
}

/// An open store. The file is free once it is dropped.
pub struct Opened {
    // Dropped first: it waits for the thread, which has the database too.
    writer: Writer,
    db: Arc<Database>,
    reads: Arc<Semaphore>,
    is_broken: AtomicBool,
}

impl Opened {
    /// Blocks; after a crash for as long as it takes to read the whole file.
    pub fn open(place: &Place) -> Result<Self, StoreFault> {
        let db = match place {
            Place::File(path) => file::open(path, "sessions.file", CACHE_BYTES)?,
            Place::Memory => redb::Builder::new()
                .set_cache_size(CACHE_BYTES)
                .create_with_backend(InMemoryBackend::new())
                .map_err(|it| StoreFault::Away(it.to_string()))?,
        };
        make_ready(&db)?;
        let db = Arc::new(db);
        Ok(Self {
            writer: Writer::start(db.clone())?,
            db,
            reads: Arc::new(Semaphore::new(READS_MAX)),
            is_broken: AtomicBool::new(false),
        })
    }

    /// Whether the file failed: it must be opened anew to be used again.
    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Relaxed)
    }

    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Notes what an operation says of the file: after a fault of it, only opening it again shows what it holds.
    pub fn noting<T>(&self, result: Result<T, StoreFault>) -> Result<T, StoreFault> {
        if matches!(result, Err(StoreFault::Away(_) | StoreFault::Lost(_))) {
            self.is_broken.store(true, Relaxed);
        }
        result
    }

    /// What `what` reads, on a thread that may wait for the disk.
    pub async fn read<F, T>(self: &Arc<Self>, what: F) -> Result<T, StoreFault>
    where
        F: FnOnce(&ReadTransaction, u64) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        let away = |it: String| StoreFault::Away(format!("cannot read the file of sessions: {it}"));
        let room = self.reads.clone().acquire_owned().await.map_err(|it| away(it.to_string()))?;
        let own = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _room = room;
            let txn = own.db.begin_read().map_err(Fault::from)?;
            what(&txn, now_ms())
        });
        match reading.await.map_err(|it| away(it.to_string()))? {
            Ok(read) => Ok(read),
            Err(Fault::Record(fault)) => Err(fault),
            Err(Fault::File(error)) => Err(away(error.to_string())),
        }
    }
}

/// Makes the tables of a new file; refuses the file of a later release.
fn make_ready(db: &Database) -> Result<(), StoreFault> {
    let unusable = |it: Fault| match it {
        Fault::File(error) => StoreFault::Away(format!("cannot use the file of sessions: {error}")),
        Fault::Record(fault) => fault,
    };
    match layout(db).map_err(unusable)? {
        Some(layout) if layout == LAYOUT.1 => Ok(()),
        Some(layout) => {
            let (known, option) = (LAYOUT.1, "sessions.file");
            Err(StoreFault::Away(format!(
                "the file of sessions has layout {layout}, this release knows {known}; start the release that wrote it, \
                 or set {option} to another file"
            )))
        }
        None => make_tables(db).map_err(unusable),
    }
}

fn layout(db: &Database) -> Result<Option<u64>, Fault> {
    match db.begin_read()?.open_table(ABOUT) {
        Ok(about) => Ok(about.get(LAYOUT.0)?.map(|it| it.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn make_tables(db: &Database) -> Result<(), Fault> {
    let txn = db.begin_write()?;
    Tables::open(&txn)?.about.insert(LAYOUT.0, LAYOUT.1)?;
    Ok(txn.commit()?)
}
