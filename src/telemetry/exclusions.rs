//! How often plans left a target out, by why. A series exists from its first count on: most never happen.

use std::sync::OnceLock;

use prometheus::{IntCounter, IntCounterVec};

/// Every reason there is.
pub const REASONS: [&str; 11] = [
    "drained",
    "keys_refused",
    "keys_cooling",
    "probe_failed",
    "circuit_open",
    "model_missing",
    "context",
    "ability",
    "tag",
    "price",
    "latency",
];

/// The exclusions of one route's target.
pub struct Exclusions {
    family: IntCounterVec,
    route: String,
    upstream: String,
    counters: [OnceLock<IntCounter>; REASONS.len()],
}

impl Exclusions {
    pub(super) fn new(family: &IntCounterVec, route: &str, upstream: &str) -> Self {
        Self {
            family: family.clone(),
            route: route.to_owned(),
            upstream: upstream.to_owned(),
            counters: Default::default(),
        }
    }

    /// A call's plan left the target out for `reason`, one of [`REASONS`].
    pub fn count(&self, reason: &'static str) {
        let Some(place) = REASONS.iter().position(|it| *it == reason) else { return };
        let labels = [self.route.as_str(), self.upstream.as_str(), reason];
        self.counters[place].get_or_init(|| self.family.with_label_values(&labels)).inc();
    }

    pub(super) fn forget(&self) {
        for reason in REASONS {
            let _ = self.family.remove_label_values(&[&self.route, &self.upstream, reason]);
        }
    }
}
