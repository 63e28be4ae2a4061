//! A day of mixed traffic over four vendors, replayed under a virtual clock: the planner, the prices and the beliefs are the
//! real ones, only the vendors and the wire are simulated. Every pilot meets the same calls and the same luck.
//!
//! * [`traffic`]: who asks what when; [`vendors`]: what the four charge, how fast they are, when they fail.
//! * [`world`]: the state that calls leave behind at the vendors: limits used up, prompts cached.
//! * [`replay`]: the calls of the day one event after the other, with failover as the dispatcher does it.

mod dice;
mod replay;
mod route;
mod traffic;
mod vendors;
mod world;

use std::time::Duration;

use tollgate::api::money::Money;
use tollgate::route::options::PolicyName;

pub use replay::replay;
pub use traffic::{Span, Traffic};
pub use vendors::VENDORS;

/// Who decides where a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pilot {
    Policy(PolicyName),
    /// Sends each call where it really costs least, among the vendors that will serve it: it knows the length of the answer
    /// and every further turn of the conversation, and what those will cost there.
    CostOracle,
    /// Sends each call where its whole answer is soonest by the vendors' true speeds of the moment, among those that will
    /// serve it. What no one can know, the luck of the single call, it does not know either.
    TimeOracle,
}

/// What became of a day.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// All that was charged.
    pub cost: Money,
    /// Of that, for attempts whose answer nobody saw.
    pub in_vain: Money,
    /// Waits of the streamed calls for their first token, failed attempts included.
    pub first_tokens: Vec<Duration>,
    /// Waits of all calls for their whole answer.
    pub wholes: Vec<Duration>,
    /// Calls that ended with an error.
    pub failures: usize,
    /// Those of them that some vendor would have served at that moment.
    pub needless_failures: usize,
    /// Attempts that failed.
    pub failed_attempts: usize,
    /// Calls answered, by vendor.
    pub served: [usize; VENDORS.len()],
}

impl Outcome {
    /// Mean wait for a whole answer, in seconds.
    pub fn whole_mean(&self) -> f64 {
        let sum: f64 = self.wholes.iter().map(Duration::as_secs_f64).sum();
        sum / self.wholes.len() as f64
    }
}
