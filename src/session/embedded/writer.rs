//! The one thread that writes. It takes all that waits into one transaction, and answers when that is on disk: so many
//! calls at once cost one flush.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use redb::{Database, ReadableDatabase, ReadableTable};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::session::clock::now_ms;
use crate::session::embedded::tables::{EXPIRY, Fault, Tables};
use crate::session::embedded::write;
use crate::session::store::StoreFault;

/// Writes that wait at most; a caller that brings one more waits for room.
const WAITING_MAX: usize = 1_024;
/// Writes in one transaction at most.
const BATCH_MAX: usize = 256;
/// Between two looks at what ran out, while nobody writes.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// The same while there is more of it.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);
/// Writes between two sweeps, while they come without a pause.
const SWEEP_WRITES: usize = 1_000;
/// How long a drop waits for the writes before it.
const END_MAX: Duration = Duration::from_secs(5);

/// One write and whoever waits for it.
trait Job: Send {
    fn run(&mut self, tables: &mut Tables) -> Result<(), Fault>;
    /// Told once: that the transaction is on disk, or why not.
    fn tell(self: Box<Self>, ended: Result<(), StoreFault>);
}

struct Asked<F, T> {
    what: Option<F>,
    done: Option<Result<T, StoreFault>>,
    answer: oneshot::Sender<Result<T, StoreFault>>,
    _room: OwnedSemaphorePermit,
}

impl<F, T> Job for Asked<F, T>
where
    F: FnOnce(&mut Tables, u64) -> Result<T, Fault> + Send,
    T: Send,
{
    fn run(&mut self, tables: &mut Tables) -> Result<(), Fault> {
        let Some(what) = self.what.take() else { return Ok(()) };
        self.done = match what(tables, now_ms()) {
            Ok(done) => Some(Ok(done)),
            Err(Fault::Record(fault)) => Some(Err(fault)),
            Err(fault) => return Err(fault),
        };
        Ok(())
    }

    fn tell(self: Box<Self>, ended: Result<(), StoreFault>) {
        let Self { done, answer, .. } = *self;
        let not_run = || Err(StoreFault::Away("a write beside it failed; try again".into()));
        // Whoever asked may have left.
        let _ = answer.send(ended.and_then(|()| done.unwrap_or_else(not_run)));
    }
}

/// Hands writes to the thread, which ends with it.
pub struct Writer {
    jobs: Option<Sender<Box<dyn Job>>>,
    room: Arc<Semaphore>,
    ended: std::sync::Mutex<Receiver<()>>,
}

impl Writer {
    pub fn start(db: Arc<Database>) -> Result<Self, StoreFault> {
        let (jobs, waiting) = channel();
        let (end, ended) = channel();
        let run = move || {
            write_all(&db, &waiting);
            drop(db);
            // Nobody may be left to hear it.
            let _ = end.send(());
        };
        thread::Builder::new()
            .name("sessions".into())
            .spawn(run)
            .map_err(|it| StoreFault::Away(format!("cannot start the thread that writes sessions: {it}")))?;
        Ok(Self { jobs: Some(jobs), room: Arc::new(Semaphore::new(WAITING_MAX)), ended: ended.into() })
    }

    /// What `what` gives, once it is on disk. It happens even where its caller leaves.
    pub async fn write<F, T>(&self, what: F) -> Result<T, StoreFault>
    where
        F: FnOnce(&mut Tables, u64) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        let room = self.room.clone().acquire_owned().await.map_err(|_| closed())?;
        let answer = self.hand_over(room, what)?;
        // The thread ended over it: it may have done it.
        answer.await.unwrap_or_else(|_| Err(StoreFault::Lost(CLOSED.into())))
    }

    /// The same for what may as well not happen: where there is no room it does not.
    pub fn write_aside<F>(&self, what: F)
    where
        F: FnOnce(&mut Tables, u64) -> Result<(), Fault> + Send + 'static,
    {
        if let Ok(room) = self.room.clone().try_acquire_owned() {
            // Nobody waits for it.
            let _ = self.hand_over(room, what);
        }
    }

    fn hand_over<F, T>(
        &self,
        room: OwnedSemaphorePermit,
        what: F,
    ) -> Result<oneshot::Receiver<Result<T, StoreFault>>, StoreFault>
    where
        F: FnOnce(&mut Tables, u64) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Asked { what: Some(what), done: None, answer, _room: room };
        let sender = self.jobs.as_ref().ok_or_else(closed)?;
        sender.send(Box::new(job)).map_err(|_| closed())?;
        Ok(answered)
    }
}

const CLOSED: &str = "the file of sessions was closed after a fault; it is opened again";

fn closed() -> StoreFault {
    StoreFault::Away(CLOSED.into())
}

impl Drop for Writer {
    /// What was handed over is written; the file is free afterwards, unless the disk hangs.
    fn drop(&mut self) {
        self.jobs = None;
        if let Ok(ended) = self.ended.lock() {
            let _ = ended.recv_timeout(END_MAX);
        }
    }
}

/// Until nobody can bring more, or the file fails.
fn write_all(db: &Database, waiting: &Receiver<Box<dyn Job>>) {
    let (mut since_sweep, mut pause) = (SWEEP_WRITES, SWEEP_EVERY);
    loop {
        let mut jobs = match waiting.recv_timeout(pause) {
            Ok(first) => vec![first],
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) if !is_due(db) => continue,
            Err(RecvTimeoutError::Timeout) => Vec::new(),
        };
        jobs.extend(waiting.try_iter().take(BATCH_MAX - 1));
        let sweeps = jobs.is_empty() || since_sweep >= SWEEP_WRITES;
        since_sweep = if sweeps { 0 } else { since_sweep + jobs.len() };
        let ended = commit(db, &mut jobs, sweeps);
        let told = ended.as_ref().map(|_| ()).map_err(Clone::clone);
        jobs.into_iter().for_each(|it| it.tell(told.clone()));
        match ended {
            Ok(None) => {}
            Ok(Some(is_all)) => pause = if is_all { SWEEP_EVERY } else { SWEEP_PAUSE },
            Err(_) => break,
        }
    }
    // What waits behind a write that failed did not happen.
    waiting.try_iter().for_each(|it| it.tell(Err(closed())));
}

/// All of `jobs` in one transaction, and where it `sweeps`, a part of what ran out; then whether that was all.
fn commit(db: &Database, jobs: &mut [Box<dyn Job>], sweeps: bool) -> Result<Option<bool>, StoreFault> {
    let away = |it: Fault| match it {
        Fault::File(error) => StoreFault::Away(format!("cannot write the file of sessions: {error}")),
        Fault::Record(fault) => fault,
    };
    let txn = db.begin_write().map_err(|it| away(it.into()))?;
    let swept = {
        let mut tables = Tables::open(&txn).map_err(away)?;
        jobs.iter_mut().try_for_each(|it| it.run(&mut tables)).map_err(away)?;
        sweeps.then(|| write::sweep(&mut tables, now_ms())).transpose().map_err(away)?
    };
    txn.commit().map_err(|it| StoreFault::Lost(format!("cannot flush the file of sessions: {it}")))?;
    Ok(swept)
}

/// Whether something ran out. A file that cannot be read says so at the next write.
fn is_due(db: &Database) -> bool {
    let first = || -> Result<Option<u64>, Fault> {
        let expiry = db.begin_read()?.open_table(EXPIRY)?;
        Ok(expiry.first()?.map(|(key, _)| key.value().0))
    };
    first().ok().flatten().is_some_and(|at| at <= now_ms())
}
