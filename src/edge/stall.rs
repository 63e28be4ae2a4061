//! Ends answers whose client takes nothing. On HTTP/1 a client that stops shows on the socket (`edge::connection`); on
//! HTTP/2 it can shut one stream's window, and hyper then asks that stream's body for nothing, so that no timer inside it
//! is looked at. One task looks at all flowing answers from outside: an answer costs a registration, a frame two stores
//! and locks that nobody else wants.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::edge::flow::Flow;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Whether hyper took what one answer last offered.
pub struct Offer {
    begun: Instant,
    /// When bytes were handed over and nothing was asked for since, in milliseconds; 0 while the answer itself waits.
    offered_ms: AtomicU64,
}

impl Default for Offer {
    fn default() -> Self {
        Self { begun: Instant::now(), offered_ms: AtomicU64::new(0) }
    }
}

impl Offer {
    /// hyper asked: what was offered before has been taken.
    pub fn asked(&self) {
        self.offered_ms.store(0, Relaxed);
    }

    /// Bytes were handed over.
    pub fn offered(&self) {
        self.offered_ms.store(self.now_ms().max(1), Relaxed);
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    pub fn is_stalled(&self, patience: Duration) -> bool {
        let offered = self.offered_ms.load(Relaxed);
        offered > 0 && Duration::from_millis(self.now_ms().saturating_sub(offered)) > patience
    }
}

struct Watched {
    answer: Weak<Flow>,
    patience: Duration,
}

/// The flowing answers of a gateway. Bounded by the calls in flight.
#[derive(Clone, Default)]
pub struct Stalls(Arc<Mutex<Vec<Watched>>>);

impl Stalls {
    /// Watches an answer until it is dropped; `patience` is how long its client may take nothing.
    pub fn watch(&self, answer: &Arc<Flow>, patience: Duration) {
        let watched = Watched { answer: Arc::downgrade(answer), patience };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(watched);
    }

    /// Looks again and again, for as long as it is polled.
    pub async fn run(self) {
        loop {
            tokio::time::sleep(LOOK).await;
            for answer in self.stalled() {
                answer.0.give_up(answer.1);
            }
        }
    }

    fn stalled(&self) -> Vec<(Arc<Flow>, Duration)> {
        let mut stalled = Vec::new();
        // Let go of behind the lock: the last holder of an answer runs its end.
        let mut seen = Vec::new();
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|it| match it.answer.upgrade() {
            Some(answer) if answer.offer.is_stalled(it.patience) => {
                stalled.push((answer, it.patience));
                true
            }
            Some(answer) => {
                seen.push(answer);
                true
            }
            None => false,
        });
        drop(watched);
        stalled
    }
}
