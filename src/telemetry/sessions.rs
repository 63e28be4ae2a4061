//! The sessions of this gateway in the metrics: whether their store answers, how quickly, and what becomes of turns.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge, Registry};

use super::families::{counters, gauge, histograms};

/// A store on the same machine answers in tenths of a millisecond, one in the next rack in a few; the last bounds are
/// those of calls that wait for what does not come.
const STORE_SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// What a store is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOperation {
    Load,
    Append,
    Other,
}

/// Why a store did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFailure {
    /// It could not be reached, or would not.
    Away,
    /// The connection broke on the way: nobody knows.
    Lost,
    /// It holds something that we did not write.
    Corrupt,
    /// It did not answer in time.
    Timeout,
    /// It was not asked: it failed too often of late.
    Open,
}

/// What became of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnResult {
    /// The store took it at once.
    Stored,
    /// It was written to the spool.
    Spooled,
    /// The store took it from the spool.
    Drained,
    /// Its session was gone.
    Gone,
    /// Neither store nor spool took it, or it was set aside.
    Lost,
}

const OPERATIONS: [&str; 3] = ["load", "append", "other"];
const FAILURES: [&str; 5] = ["away", "lost", "corrupt", "timeout", "open"];
const RESULTS: [&str; 5] = ["stored", "spooled", "drained", "gone", "lost"];

/// Everything that is measured of sessions. One for the process, whatever the configuration.
pub struct SessionMetrics {
    up: IntGauge,
    /// Stores that are left alone now; after a reload there may be two for a while.
    away: AtomicUsize,
    seconds: [Histogram; OPERATIONS.len()],
    failures: [IntCounter; FAILURES.len()],
    turns: [IntCounter; RESULTS.len()],
    waiting_turns: IntGauge,
    waiting_bytes: IntGauge,
}

impl SessionMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let up = "Whether the session store may be asked: 1, or 0 while it is left alone after failures.";
        let seconds = "Time a question to the session store took, in seconds, however it ended.";
        let seconds = histograms(registry, "session_store_seconds", seconds, &["operation"], &STORE_SECONDS);
        let failures = "Questions that the session store did not answer, or was not asked, by why.";
        let failures = counters(registry, "session_store_failures_total", failures, &["reason"]);
        let turns =
            "Turns of sessions, by what became of them; a spooled one is drained, gone or lost later.";
        let turns = counters(registry, "session_turns_total", turns, &["result"]);
        let up = gauge(registry, "session_store_up", up);
        up.set(1);
        Self {
            up,
            away: AtomicUsize::new(0),
            seconds: OPERATIONS.map(|it| seconds.with_label_values(&[it])),
            failures: FAILURES.map(|it| failures.with_label_values(&[it])),
            turns: RESULTS.map(|it| turns.with_label_values(&[it])),
            waiting_turns: gauge(registry, "session_spool_turns", "Turns that wait on disk for the store."),
            waiting_bytes: gauge(registry, "session_spool_bytes", "Bytes of turns that wait on disk."),
        }
    }

    /// A store was asked, and took this long.
    pub fn asked(&self, operation: StoreOperation, took: Duration) {
        self.seconds[operation as usize].observe(took.as_secs_f64());
    }

    pub fn failed(&self, why: StoreFailure) {
        self.failures[why as usize].inc();
    }

    pub fn turn(&self, result: TurnResult) {
        self.turns[result as usize].inc();
    }

    /// A store is left alone from now on. Each time is followed by one [`Self::back`].
    pub fn away(&self) {
        self.away.fetch_add(1, Relaxed);
        self.up.set(0);
    }

    /// A store is asked again, or nobody needs it any more.
    pub fn back(&self) {
        if self.away.fetch_sub(1, Relaxed) == 1 {
            self.up.set(1);
        }
    }

    /// What waits in the spool now.
    pub fn waiting(&self, turns: usize, bytes: u64) {
        self.waiting_turns.set(i64::try_from(turns).unwrap_or(i64::MAX));
        self.waiting_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
