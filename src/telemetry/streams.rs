//! What happens to streams after they have begun, in the metrics: too slow a pace, and a cut that another target made good.

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::families::counters;

const CONTINUATION_RESULTS: [&str; 2] = ["continued", "failed"];

/// The families of streams, by route and upstream.
pub struct StreamFamilies {
    slow: IntCounterVec,
    continuations: IntCounterVec,
}

impl StreamFamilies {
    pub fn new(registry: &Registry) -> Self {
        Self {
            slow: counters(
                registry,
                "slow_streams_total",
                "Streams that went on although they were slower than their route's `throughput` asks.",
                &["route", "upstream"],
            ),
            continuations: counters(
                registry,
                "continuations_total",
                "Streams of this upstream that broke off after content: continued by another one, or failed to be.",
                &["route", "upstream", "result"],
            ),
        }
    }
}

/// The streams of one route from one upstream.
pub struct StreamMetrics {
    slow: IntCounter,
    continuations: [IntCounter; CONTINUATION_RESULTS.len()],
}

impl StreamMetrics {
    pub(super) fn new(families: &StreamFamilies, route: &str, upstream: &str) -> Self {
        Self {
            slow: families.slow.with_label_values(&[route, upstream]),
            continuations: CONTINUATION_RESULTS
                .map(|result| families.continuations.with_label_values(&[route, upstream, result])),
        }
    }

    /// One was too slow, and went on. Once for each stream.
    pub fn slow(&self) {
        self.slow.inc();
    }

    /// One broke off after content, and another target was asked to go on with it.
    pub fn broke_off(&self, continued: bool) {
        self.continuations[usize::from(!continued)].inc();
    }

    pub(super) fn forget(families: &StreamFamilies, route: &str, upstream: &str) {
        let _ = families.slow.remove_label_values(&[route, upstream]);
        for result in CONTINUATION_RESULTS {
            let _ = families.continuations.remove_label_values(&[route, upstream, result]);
        }
    }
}
