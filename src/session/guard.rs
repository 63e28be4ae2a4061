//! A store behind a bounded wait and a breaker: no question takes longer than it may, and one that fails again and again is
//! asked no more until a trial succeeds.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::session::circuits::Circuits;
use crate::session::key::SessionKey;
use crate::session::options::SessionsOptions;
use crate::session::record::{Append, Appended};
use crate::session::store::{Store, StoreFault};
use crate::telemetry::SessionMetrics;
use crate::telemetry::sessions::{StoreFailure, StoreOperation};

/// What an operation gets that is not even tried.
const LEFT_ALONE: &str = "the session store failed and is left alone until it answers again";

/// Time for an operation of the gateway's own store, instead of `store_ms`: a disk that is busy is not away, and nobody is
/// better served by a refusal.
const OWN_STORE_TIME: Duration = Duration::from_secs(5);

/// A guarded store.
pub struct Guard {
    pub store: Arc<Store>,
    pub metrics: Arc<SessionMetrics>,
    /// Somebody saw something to do behind the calls.
    pub wake: Arc<Notify>,
    pub circuits: Arc<Circuits>,
    wait: Duration,
    trial: Duration,
}

impl Guard {
    /// `circuits`: of this store.
    pub fn new(
        store: Arc<Store>,
        circuits: Arc<Circuits>,
        options: &SessionsOptions,
        metrics: &Arc<SessionMetrics>,
    ) -> Self {
        let is_own = store.is_own();
        Self {
            store,
            metrics: Arc::clone(metrics),
            wake: Arc::default(),
            circuits,
            wait: if is_own { OWN_STORE_TIME } else { Duration::from_millis(options.store_ms) },
            trial: Duration::from_millis(options.store_trial_ms),
        }
    }

    /// When an operation that begins now has to be over.
    pub fn until(&self) -> Instant {
        Instant::now() + self.wait
    }

    /// The same for one that nobody waits for: it may take as long as is between two trials, so that a store which is slow
    /// to take a connection is not away for ever.
    pub fn until_in_background(&self) -> Instant {
        Instant::now() + self.wait.max(self.trial)
    }

    /// Time before the next trial: gateways that lost their store together do not all come back to it at once.
    pub fn pause(&self) -> Duration {
        self.trial.mul_f64(0.8 + 0.4 * fastrand::f64())
    }

    /// Puts a question to the store, unless it is left alone.
    pub async fn ask<T>(
        &self,
        operation: StoreOperation,
        until: Instant,
        answer: impl Future<Output = Result<T, StoreFault>>,
    ) -> Result<T, StoreFault> {
        if self.circuits.refuses(operation) {
            self.metrics.failed(StoreFailure::Open);
            self.circuits.outage.refused();
            // Whoever made the trials may have gone with its configuration.
            self.wake.notify_one();
            return Err(StoreFault::Away(LEFT_ALONE.into()));
        }
        let outcome = self.answered(operation, until, answer).await;
        match &outcome {
            // What is corrupt or busy is one session, not the store.
            Ok(_) | Err(StoreFault::Corrupt(_) | StoreFault::Busy(_)) => self.circuits.succeeded(operation),
            Err(fault) if self.circuits.failed(operation, fault) => self.wake.notify_one(),
            Err(_) => {}
        }
        outcome
    }

    /// Writes a turn that waited. That it can be written is the trial of a store that takes no turns.
    pub async fn write_waiting(&self, key: &SessionKey, append: &Append) -> Result<Appended, StoreFault> {
        let answer = Box::pin(self.store.append(key, append));
        let outcome = self.answered(StoreOperation::Append, self.until_in_background(), answer).await;
        match &outcome {
            Ok(_) => self.circuits.takes_turns(),
            Err(StoreFault::Corrupt(_) | StoreFault::Busy(_)) => {}
            Err(fault) => {
                self.circuits.failed(StoreOperation::Append, fault);
            }
        }
        outcome
    }

    /// Whether a store that is left alone can be used again; it is asked again from then on.
    pub async fn try_again(&self) -> bool {
        let answer = self.works().await;
        match answer {
            Ok(()) => {
                self.circuits.close();
                true
            }
            Err(fault) => {
                self.circuits.outage.goes_on(&fault);
                false
            }
        }
    }

    /// Whether the store itself works, whatever became of one operation.
    pub async fn works(&self) -> Result<(), StoreFault> {
        self.answered(StoreOperation::Other, self.until_in_background(), Box::pin(self.store.check())).await
    }

    async fn answered<T>(
        &self,
        operation: StoreOperation,
        until: Instant,
        answer: impl Future<Output = Result<T, StoreFault>>,
    ) -> Result<T, StoreFault> {
        let begun = Instant::now();
        let outcome = timeout_at(until, answer).await;
        self.metrics.asked(operation, begun.elapsed());
        let (why, fault) = match outcome {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(fault)) => (failure(&fault), fault),
            Err(_) => {
                (StoreFailure::Timeout, StoreFault::Lost("the session store did not answer in time".into()))
            }
        };
        self.metrics.failed(why);
        Err(fault)
    }
}

fn failure(fault: &StoreFault) -> StoreFailure {
    match fault {
        StoreFault::Away(_) | StoreFault::Busy(_) => StoreFailure::Away,
        StoreFault::Lost(_) => StoreFailure::Lost,
        StoreFault::Corrupt(_) => StoreFailure::Corrupt,
    }
}
