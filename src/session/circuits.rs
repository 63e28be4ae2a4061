//! The breakers of one store. Reads and writes fail apart: a store that is full answers every question and takes no turn.
//!
//! They belong to the store, not to a configuration: a reload that keeps the store finds it as it was.

use std::sync::Arc;

use crate::session::breaker::Breaker;
use crate::session::outage::Outage;
use crate::session::store::StoreFault;
use crate::telemetry::SessionMetrics;
use crate::telemetry::sessions::StoreOperation;

/// Whether a store may be asked, and what its operator is told of that.
pub struct Circuits {
    pub failures_max: u32,
    pub outage: Outage,
    metrics: Arc<SessionMetrics>,
    reads: Breaker,
    /// Of turns alone: what else is written is asked for by somebody who waits for the answer.
    writes: Breaker,
}

impl Circuits {
    /// `name`: of the store, without its password. `failures_max`: of each kind, in a row.
    pub fn new(name: String, failures_max: u32, metrics: &Arc<SessionMetrics>) -> Self {
        Self {
            failures_max,
            outage: Outage::new(name),
            metrics: Arc::clone(metrics),
            reads: Breaker::new(failures_max),
            writes: Breaker::new(failures_max),
        }
    }

    /// Whether the store is left alone altogether.
    pub fn is_open(&self) -> bool {
        self.reads.is_open()
    }

    /// Whether it is not given turns, but by whoever writes what waits.
    pub fn refuses_turns(&self) -> bool {
        self.reads.is_open() || self.writes.is_open()
    }

    pub fn refuses(&self, operation: StoreOperation) -> bool {
        if operation == StoreOperation::Append { self.refuses_turns() } else { self.is_open() }
    }

    pub fn succeeded(&self, operation: StoreOperation) {
        self.of(operation).succeeded();
    }

    /// True for a failure that opens one.
    pub fn failed(&self, operation: StoreOperation, fault: &StoreFault) -> bool {
        let opens = self.of(operation).failed();
        if opens {
            self.metrics.away();
            self.outage.began(fault);
        }
        opens
    }

    /// A turn that waited was written: others may be.
    pub fn takes_turns(&self) {
        if self.closed(&self.writes) && !self.is_open() {
            self.outage.ended();
        }
    }

    /// A trial succeeded.
    pub fn close(&self) {
        let closed = [&self.reads, &self.writes].map(|it| self.closed(it));
        if closed.contains(&true) {
            self.outage.ended();
        }
    }

    fn closed(&self, breaker: &Breaker) -> bool {
        let was_open = breaker.close();
        if was_open {
            self.metrics.back();
        }
        was_open
    }

    fn of(&self, operation: StoreOperation) -> &Breaker {
        if operation == StoreOperation::Append { &self.writes } else { &self.reads }
    }
}

impl Drop for Circuits {
    fn drop(&mut self) {
        for breaker in [&self.reads, &self.writes] {
            self.closed(breaker);
        }
    }
}
