//! What goes on behind the calls: trials of a store that is away, and writing into it what waits in the spool.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::session::guard::Guard;
use crate::session::record::Appended;
use crate::session::spool::{Keeper as SpoolKeeper, Spool, Taken};
use crate::session::store::StoreFault;
use crate::telemetry::sessions::TurnResult;

/// Turns written to the store between two writes to disk. A session that is waited for is kept no longer than this takes.
const BATCH_TURNS_MAX: usize = 32;
/// Turns that fail before the store gets a rest.
const FAILURES_MAX: usize = 3;
/// How often a spool is looked after that cannot be opened, or that another configuration empties.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The task of one `Sessions`.
pub struct Keeper {
    guard: Arc<Guard>,
    spool: Option<Arc<SpoolKeeper>>,
    /// Sessions whose turns could not be written since all that wait were last gone through: the others go on.
    passed_over: HashSet<u128>,
}

/// How far a batch came.
#[derive(Default)]
struct Batch {
    done: Vec<u64>,
    aside: Vec<u64>,
    faults: Vec<StoreFault>,
}

impl Keeper {
    pub fn new(guard: Arc<Guard>, spool: Option<Arc<SpoolKeeper>>) -> Self {
        Self { guard, spool, passed_over: HashSet::new() }
    }

    /// Never ends by itself.
    pub async fn run(mut self) {
        loop {
            if self.guard.circuits.is_open() {
                self.rest_and_try().await;
                continue;
            }
            match self.spool.clone() {
                Some(keeper) if keeper.must_be_looked_after() => {
                    let _ = timeout(LOOK_AGAIN, self.guard.wake.notified()).await;
                    self.look_again(&keeper).await;
                }
                Some(keeper) if !keeper.spool.is_quiet() => self.empty(&keeper.spool).await,
                _ if self.guard.circuits.refuses_turns() => self.rest_and_try().await,
                _ => self.guard.wake.notified().await,
            }
        }
    }

    async fn rest_and_try(&self) {
        sleep(self.guard.pause()).await;
        self.guard.try_again().await;
    }

    async fn look_again(&self, keeper: &SpoolKeeper) {
        if (keeper.spool.is_unusable() || keeper.is_last())
            && let Err(why) = keeper.spool.read_in().await
        {
            self.guard.circuits.outage.spool_fails(&why);
        }
        // What nobody's waiting turns try, a trial does.
        if self.guard.circuits.refuses_turns() {
            self.guard.try_again().await;
        }
    }

    /// Writes the next turns to the store; after some failures, and when all were gone through in vain, it rests.
    async fn empty(&mut self, spool: &Arc<Spool>) {
        let written = match spool.next(BATCH_TURNS_MAX, self.passed_over.clone()).await {
            Ok(turns) if turns.is_empty() => {
                self.passed_over.clear();
                Ok(spool.is_quiet())
            }
            Ok(turns) => self.write(spool, turns).await,
            Err(why) => Err(why),
        };
        match written {
            Ok(true) => {}
            Ok(false) if self.guard.circuits.is_open() => {}
            Ok(false) => sleep(self.guard.pause()).await,
            Err(why) => {
                self.guard.circuits.outage.spool_fails(&why);
                sleep(self.guard.pause()).await;
            }
        }
    }

    /// Whether the store needs no rest.
    async fn write(&mut self, spool: &Arc<Spool>, turns: Vec<Taken>) -> Result<bool, String> {
        let batch = self.drained(turns).await;
        for _ in &batch.aside {
            self.guard.metrics.turn(TurnResult::Lost);
        }
        if !(batch.done.is_empty() && batch.aside.is_empty()) {
            spool.settle(batch.done, batch.aside).await?;
        }
        match batch.faults.first() {
            Some(fault) => self.guard.circuits.outage.turns_wait(fault, spool.waiting().0),
            None if spool.is_quiet() => self.guard.circuits.outage.ended(),
            None => {}
        }
        Ok(batch.faults.len() < FAILURES_MAX)
    }

    async fn drained(&mut self, turns: Vec<Taken>) -> Batch {
        let mut batch = Batch::default();
        for Taken { number, tag, turn } in turns {
            if self.passed_over.contains(&tag) {
                continue;
            }
            let Some((key, append)) = turn else {
                self.guard.circuits.outage.lost("a turn that waited cannot be read and was set aside");
                batch.aside.push(number);
                continue;
            };
            let result = match self.guard.write_waiting(&key, &append).await {
                Ok(Appended::Stored { .. }) => TurnResult::Drained,
                Ok(Appended::Gone) => TurnResult::Gone,
                Err(StoreFault::Corrupt(why)) => {
                    let why = format!("a turn that waited was set aside: {why}");
                    self.guard.circuits.outage.lost(&why);
                    batch.aside.push(number);
                    continue;
                }
                // The turn was acknowledged: it waits as long as it takes.
                Err(fault) => {
                    self.passed_over.insert(tag);
                    batch.faults.push(fault);
                    if batch.faults.len() >= FAILURES_MAX || self.guard.circuits.is_open() {
                        break;
                    }
                    continue;
                }
            };
            self.guard.metrics.turn(result);
            batch.done.push(number);
        }
        batch
    }
}
