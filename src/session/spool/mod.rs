//! Where turns wait that a store could not take: on disk, in order, each until the store has it.
//!
//! A file has one spool in the process, however many configurations name it: a reload makes the next one before the last is
//! gone. Turns that arrive together are written together.

mod beside;
pub mod entry;
mod file;
pub mod files;
mod index;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};

use self::file::{Place, SpoolFile};
use self::files::{Files, Use};
use self::index::{Index, Reading};
use crate::session::key::SessionKey;
use crate::session::record::Append;
use crate::telemetry::SessionMetrics;

/// A write to disk that takes longer counts as failed, although it may end well after all.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);
/// How often, and how far apart, a file is tried that waited for this process: another may be letting go of it.
const OPEN_TRIES: u32 = 10;
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// The spools of this process, by file.
static SPOOLS: Mutex<BTreeMap<PathBuf, Weak<Spool>>> = Mutex::new(BTreeMap::new());

/// The turns that wait in one file.
pub struct Spool {
    path: PathBuf,
    metrics: Arc<SessionMetrics>,
    index: Mutex<Index>,
    /// [`Index::is_quiet`], for those who only pass.
    quiet: AtomicBool,
    queue: Mutex<Queue>,
    /// Locked by threads that may block, for one transaction.
    file: Mutex<Files>,
    /// Another process had turns wait beside these when that was looked for last.
    others_wait: AtomicBool,
    /// A turn waits no longer, or the file was looked into.
    changed: Notify,
    /// Those who may empty it; the last one does.
    keepers: Mutex<BTreeMap<u64, Arc<Notify>>>,
}

/// Turns on their way to the file.
#[derive(Default)]
struct Queue {
    coming: Vec<Coming>,
    /// Of those and of those being written.
    bytes: u64,
    /// Somebody writes them.
    is_tended: bool,
}

struct Coming {
    tag: u128,
    turn: Vec<u8>,
    written: oneshot::Sender<Result<(), String>>,
}

/// A turn that was taken out to be written to the store.
pub struct Taken {
    pub number: u64,
    /// Of its session.
    pub tag: u128,
    /// None: it cannot be read.
    pub turn: Option<(SessionKey, Append)>,
}

/// Messages that are encoded where they are; larger ones go to a thread that may take its time, in bytes.
const ENCODED_HERE_BYTES_MAX: usize = 256 << 10;

async fn encoded(key: &SessionKey, append: &Append) -> Result<Vec<u8>, String> {
    if append.turn.messages.len() <= ENCODED_HERE_BYTES_MAX {
        return Ok(entry::encode(key, append));
    }
    let (key, append) = (key.clone(), append.clone());
    spawn_blocking(move || entry::encode(&key, &append)).await.map_err(|it| it.to_string())
}

fn tag_of(key: &SessionKey) -> u128 {
    u128::from_be_bytes(key.tag())
}

impl Spool {
    /// The spool of a file. Nothing is made or opened yet.
    pub fn at(path: &Path, metrics: &Arc<SessionMetrics>) -> Arc<Self> {
        let mut spools = SPOOLS.lock().expect("no panic while held");
        if let Some(spool) = spools.get(path).and_then(Weak::upgrade) {
            return spool;
        }
        spools.retain(|_, it| it.strong_count() > 0);
        let reading = if beside::any_exists(path) { Reading::Unread } else { Reading::Read };
        let spool = Arc::new(Self {
            path: path.to_owned(),
            metrics: Arc::clone(metrics),
            index: Mutex::new(Index::new(reading)),
            quiet: AtomicBool::new(reading == Reading::Read),
            queue: Mutex::default(),
            file: Mutex::default(),
            others_wait: AtomicBool::new(false),
            changed: Notify::new(),
            keepers: Mutex::default(),
        });
        spools.insert(path.to_owned(), Arc::downgrade(&spool));
        spool
    }

    /// Whether nothing waits.
    pub fn is_quiet(&self) -> bool {
        self.quiet.load(Acquire)
    }

    /// Whether turns of this session wait, or may: a turn that comes now goes behind them.
    pub fn holds(&self, key: &SessionKey) -> bool {
        !self.is_quiet() && self.index().holds(tag_of(key))
    }

    /// Whether turns of another process may come to wait for this one.
    pub fn others_wait(&self) -> bool {
        self.others_wait.load(Acquire)
    }

    /// Turns that wait, and their bytes.
    pub fn waiting(&self) -> (usize, u64) {
        let index = self.index();
        (index.turns(), index.bytes())
    }

    /// Whether the file could not be opened.
    pub fn is_unusable(&self) -> bool {
        self.index().reading == Reading::Unusable
    }

    /// Writes a turn behind all others; it is on disk when this returns. Fails where more than `bytes_max` would wait, or
    /// the disk does.
    pub async fn put(
        self: &Arc<Self>,
        key: &SessionKey,
        append: &Append,
        bytes_max: u64,
    ) -> Result<(), String> {
        let turn = encoded(key, append).await?;
        let (written, outcome) = oneshot::channel();
        let must_write = {
            let waiting = self.waiting().1;
            let mut queue = self.queue();
            if waiting + queue.bytes + turn.len() as u64 > bytes_max {
                return Err("the spool is full (`sessions.spool_bytes_max`)".into());
            }
            queue.bytes += turn.len() as u64;
            queue.coming.push(Coming { tag: tag_of(key), turn, written });
            !std::mem::replace(&mut queue.is_tended, true)
        };
        if must_write {
            let spool = Arc::clone(self);
            spawn_blocking(move || spool.write_all());
        }
        match timeout(WRITE_TIME_MAX, outcome).await {
            Ok(Ok(written)) => written,
            Ok(Err(_)) => Err("the spool's writer failed".into()),
            Err(_) => Err("the spool's disk does not answer".into()),
        }
    }

    /// Writes what comes until nothing does.
    fn write_all(&self) {
        let _tending = Tending(self);
        loop {
            let coming = {
                let mut queue = self.queue();
                queue.is_tended = !queue.coming.is_empty();
                std::mem::take(&mut queue.coming)
            };
            if coming.is_empty() {
                return;
            }
            let bytes: u64 = coming.iter().map(|it| it.turn.len() as u64).sum();
            let (turns, waiting): (Vec<_>, Vec<_>) =
                coming.into_iter().map(|it| ((it.tag, it.turn), it.written)).unzip();
            let outcome = self.write(turns);
            self.queue().bytes -= bytes;
            for written in waiting {
                // whoever waited may have left
                let _ = written.send(outcome.clone());
            }
        }
    }

    fn write(&self, turns: Vec<(u128, Vec<u8>)>) -> Result<(), String> {
        let mut torn = Vec::new();
        let written = self.with_file(Use::Write, |file| self.write_to(file, turns, &mut torn));
        if written.is_err() {
            self.files().torn.append(&mut torn);
            // What of them is on disk is found and removed before anything else is done.
            self.update(|it| it.reading = Reading::Unusable);
            self.wake_keeper();
        }
        written.map(|_| ())
    }

    fn write_to(
        &self,
        file: &SpoolFile,
        turns: Vec<(u128, Vec<u8>)>,
        torn: &mut Vec<u64>,
    ) -> Result<(), String> {
        let numbered: Vec<_> = {
            let mut index = self.index();
            let number = |(tag, turn): (u128, Vec<u8>)| {
                let place = Place { number: index.number(), tag, bytes: turn.len() as u64 };
                (place, turn)
            };
            turns.into_iter().map(number).collect()
        };
        torn.extend(numbered.iter().map(|(place, _)| place.number));
        file.write(&numbered)?;
        self.update(|index| numbered.iter().for_each(|(place, _)| index.add(*place)));
        Ok(())
    }

    /// Looks into the file, if that is still to be done.
    pub async fn read_in(self: &Arc<Self>) -> Result<(), String> {
        self.blocking(|_, _| Ok(())).await.map(|_| ())
    }

    /// At most `turns_max` turns to write next, in order, without taking them off the disk; none of sessions `passed_over`.
    pub async fn next(
        self: &Arc<Self>,
        turns_max: usize,
        passed_over: HashSet<u128>,
    ) -> Result<Vec<Taken>, String> {
        self.blocking(move |spool, file| {
            let places = spool.index().batch(turns_max, &passed_over);
            let taken = |Place { number, tag, .. }: Place| {
                let turn = file.read(number)?.as_ref().and_then(entry::decode);
                Ok(Taken { number, tag, turn })
            };
            places.into_iter().map(taken).collect()
        })
        .await
        .map(Option::unwrap_or_default)
    }

    /// These wait no longer: the store has `done`, or will never take them; `aside` cannot be written.
    pub async fn settle(self: &Arc<Self>, done: Vec<u64>, aside: Vec<u64>) -> Result<(), String> {
        self.blocking(move |spool, file| {
            file.settle(&done, &aside)?;
            spool.update(|index| done.iter().chain(&aside).for_each(|it| index.remove(*it)));
            Ok(())
        })
        .await
        .map(|_| ())
    }

    /// Waits until no turn of this session waits, no longer than `until`; it comes before others. Whether that is so.
    pub async fn is_empty_of(&self, key: &SessionKey, until: Instant) -> bool {
        let tag = tag_of(key);
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut index = self.index();
                if !index.holds(tag) {
                    return true;
                }
                index.want(tag);
            }
            if timeout_at(until, changed).await.is_err() {
                return false;
            }
        }
    }

    /// Whoever comes last empties it from now on. `wake`: what it waits for.
    pub fn keeper(self: &Arc<Self>, wake: Arc<Notify>) -> Keeper {
        let mut keepers = self.keepers.lock().expect("no panic while held");
        let number = keepers.last_key_value().map_or(0, |it| it.0 + 1);
        keepers.insert(number, wake);
        Keeper { spool: Arc::clone(self), number }
    }

    /// Wakes whoever empties it, of whichever configuration.
    pub fn wake_keeper(&self) {
        if let Some((_, wake)) = self.keepers.lock().expect("no panic while held").last_key_value() {
            wake.notify_one();
        }
    }

    /// Does something with the file, off the runtime, to its end even where nobody waits for it any more.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Self, &SpoolFile) -> Result<T, String> + Send + 'static,
    ) -> Result<Option<T>, String> {
        let spool = Arc::clone(self);
        let done = spawn_blocking(move || spool.with_file(Use::Empty, |file| act(&spool, file)));
        done.await.unwrap_or_else(|_| Err("the spool's file could not be used".into()))
    }

    fn update(&self, change: impl FnOnce(&mut Index)) {
        {
            let mut index = self.index();
            change(&mut index);
            self.quiet.store(index.is_quiet(), Release);
            self.metrics.waiting(index.turns(), index.bytes());
        }
        self.changed.notify_waiters();
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().expect("no panic while held")
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no panic while held")
    }
}

/// One who writes; should it fail in the midst, those who wait are told and the next turn has another one.
struct Tending<'a>(&'a Spool);

impl Drop for Tending<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0.queue() = Queue::default();
        }
    }
}

/// One who may empty a spool.
pub struct Keeper {
    pub spool: Arc<Spool>,
    number: u64,
}

impl Keeper {
    /// Whether it is the one who does.
    pub fn is_last(&self) -> bool {
        self.spool
            .keepers
            .lock()
            .expect("no panic while held")
            .last_key_value()
            .is_some_and(|it| *it.0 == self.number)
    }

    /// Whether what waits can come to be this one's to empty without anybody saying so.
    pub fn must_be_looked_after(&self) -> bool {
        let spool = &self.spool;
        spool.is_unusable() || !self.is_last() || spool.is_quiet() && spool.others_wait()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.spool.keepers.lock().expect("no panic while held").remove(&self.number);
        self.spool.wake_keeper();
    }
}
