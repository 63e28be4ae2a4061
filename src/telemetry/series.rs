//! Handles on series, resolved when a configuration is loaded, so that a call pays for additions and not for lookups.
//! [`TargetMetrics`] belongs to a route and an upstream, [`UpstreamMetrics`] to an upstream. Snapshots hold them;
//! `Metrics` makes them and takes their series away again.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use prometheus::local::LocalHistogram;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::costs::CostMetrics;
use super::families::{TargetFamilies, UpstreamFamilies};
use super::kinds::{EXCLUSIONS, Ended, HedgeResult};
use super::rare::{RareCounts, RenewalCounts};
use super::record::CallRecord;
use super::streams::StreamMetrics;
use crate::api::usage::Usage;
use crate::error::Kind;

/// Events whose gaps a stream keeps to itself before it adds them to the shared histogram.
const GAPS_HELD: u32 = 32;

const KINDS: usize = Kind::ALL.len();
const ENDS: usize = Ended::ALL.len();

/// Classes of status as labels; the last one stands for a call that ended before it had a status.
const CLASSES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "none"];

fn class(status: u16) -> usize {
    match status {
        200..=299 => 0,
        300..=399 => 1,
        400..=499 => 2,
        500..=599 => 3,
        _ => 4,
    }
}

/// The outcomes that happen every day. They exist, at zero, from the start: a rate sees the very first failure.
/// The other combinations get a series when they happen.
const COMMON: [(usize, Ended); 8] = [
    (0, Ended::Complete),
    (0, Ended::Cut),
    (0, Ended::ClientGone),
    (0, Ended::Drained),
    (2, Ended::Complete),
    (2, Ended::Failed),
    (3, Ended::Failed),
    (4, Ended::ClientGone),
];

const TOKEN_KINDS: [&str; 5] = ["input", "cached_input", "cache_write", "output", "reasoning"];

/// What is measured of calls by one route to one upstream.
pub struct TargetMetrics {
    route: String,
    upstream: String,
    outcomes: [[Option<IntCounter>; ENDS]; CLASSES.len()],
    /// Makes the series of an uncommon outcome; None once this target has left the configuration, so that a call
    /// that ends late brings no series back.
    uncommon: Mutex<Option<IntCounterVec>>,
    duration: Histogram,
    first_token: Histogram,
    between_tokens: Histogram,
    tokens: [IntCounter; TOKEN_KINDS.len()],
    pub costs: CostMetrics,
    exclusions: RareCounts,
    hedges: RareCounts,
    pub streams: StreamMetrics,
}

impl TargetMetrics {
    pub(super) fn new(families: &TargetFamilies, route: &str, upstream: &str) -> Self {
        let labels = [route, upstream];
        let mut outcomes: [[Option<IntCounter>; ENDS]; CLASSES.len()] = Default::default();
        for (class, ended) in COMMON {
            let counter =
                families.requests.with_label_values(&[route, upstream, CLASSES[class], ended.as_str()]);
            outcomes[class][ended as usize] = Some(counter);
        }
        Self {
            route: route.into(),
            upstream: upstream.into(),
            outcomes,
            uncommon: Mutex::new(Some(families.requests.clone())),
            duration: families.duration.with_label_values(&labels),
            first_token: families.first_token.with_label_values(&labels),
            between_tokens: families.between_tokens.with_label_values(&labels),
            tokens: TOKEN_KINDS.map(|kind| families.tokens.with_label_values(&[route, upstream, kind])),
            costs: CostMetrics::new(&families.costs, route, upstream),
            exclusions: RareCounts::new(&families.exclusions, route, upstream, &EXCLUSIONS),
            hedges: RareCounts::new(&families.hedges, route, upstream, &HedgeResult::WORDS),
            streams: StreamMetrics::new(&families.streams, route, upstream),
        }
    }

    /// Counts a call that ended. Once per call that asked an upstream; for refused ones there is `Metrics::refused`.
    pub fn observe(&self, record: &CallRecord) {
        self.ended(class(record.status), record.ended);
        self.duration.observe(record.started.elapsed().as_secs_f64());
        if let Some(wait) = record.first_content {
            self.first_token.observe(wait.as_secs_f64());
        }
        if let Some(usage) = &record.usage {
            self.used(usage);
        }
    }

    /// Counts what a stream that was continued elsewhere had brought.
    pub fn continued_elsewhere(&self, first_content: Option<Duration>, usage: Option<&Usage>) {
        if let Some(wait) = first_content {
            self.first_token.observe(wait.as_secs_f64());
        }
        if let Some(usage) = usage {
            self.used(usage);
        }
    }

    /// Starts to measure the pace of one stream.
    pub fn token_gaps(&self) -> TokenGaps {
        TokenGaps { gaps: self.between_tokens.local(), last: None, held: 0 }
    }

    /// A call's plan left the target out for `reason`, one of [`EXCLUSIONS`].
    pub fn excluded(&self, reason: &'static str) {
        self.exclusions.count(reason);
    }

    /// A second attempt, made here beside a late one, ended.
    pub fn hedged(&self, result: HedgeResult) {
        self.hedges.count(result.as_str());
    }

    fn ended(&self, class: usize, ended: Ended) {
        if let Some(counter) = &self.outcomes[class][ended as usize] {
            counter.inc();
        } else if let Some(requests) = &*self.uncommon.lock().expect("no panic while held") {
            let labels = [&self.route, &self.upstream, CLASSES[class], ended.as_str()];
            requests.with_label_values(&labels).inc();
        }
    }

    fn used(&self, usage: &Usage) {
        let counts = [usage.input, usage.cached_input, usage.cache_write, usage.output, usage.reasoning];
        for (counter, count) in self.tokens.iter().zip(counts) {
            if count > 0 {
                counter.inc_by(count);
            }
        }
    }

    /// Takes its series away. Live handles may go on counting; nobody will see it.
    pub(super) fn forget(&self, families: &TargetFamilies) {
        self.uncommon.lock().expect("no panic while held").take();
        let (route, upstream) = (self.route.as_str(), self.upstream.as_str());
        // an outcome that never happened has no series to remove
        for class in CLASSES {
            for ended in Ended::ALL {
                let _ = families.requests.remove_label_values(&[route, upstream, class, ended.as_str()]);
            }
        }
        for family in [&families.duration, &families.first_token, &families.between_tokens] {
            let _ = family.remove_label_values(&[route, upstream]);
        }
        StreamMetrics::forget(&families.streams, route, upstream);
        for kind in TOKEN_KINDS {
            let _ = families.tokens.remove_label_values(&[route, upstream, kind]);
        }
        CostMetrics::forget(&families.costs, route, upstream);
        self.exclusions.forget();
        self.hedges.forget();
    }
}

/// The pace of one stream. An event costs an addition in the call's own memory; the shared histogram, which all cores
/// write, is touched every 32 events and when this is dropped.
pub struct TokenGaps {
    gaps: LocalHistogram,
    last: Option<Instant>,
    held: u32,
}

impl TokenGaps {
    /// An event with content came at `now`.
    pub fn content(&mut self, now: Instant) {
        let Some(last) = self.last.replace(now) else { return };
        self.gaps.observe(now.saturating_duration_since(last).as_secs_f64());
        self.held += 1;
        if self.held == GAPS_HELD {
            self.gaps.flush();
            self.held = 0;
        }
    }
}

/// Counts calls of one route that shared another's answer.
pub struct SharedCalls(pub(super) IntCounter);

impl SharedCalls {
    pub fn count(&self) {
        self.0.inc();
    }
}

/// Whether an upstream's circuit lets calls through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    Closed = 0,
    HalfOpen = 1,
    Open = 2,
    /// An operator took the upstream out.
    Drained = 3,
}

/// Whether one key of an upstream may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    Usable = 0,
    Cooling = 1,
    Refused = 2,
}

const PROBE_RESULTS: [&str; 2] = ["ok", "failed"];

/// What is measured of one upstream, whatever route led there.
pub struct UpstreamMetrics {
    attempts_ok: IntCounter,
    attempts_failed: [IntCounter; KINDS],
    failovers: [IntCounter; KINDS],
    retries_after_send: IntCounter,
    retries_refused: IntCounter,
    waiting: IntGauge,
    connections: IntGauge,
    circuit: IntGauge,
    probes: [IntCounter; PROBE_RESULTS.len()],
    renewals: RenewalCounts,
    keys: Vec<IntGauge>,
}

impl UpstreamMetrics {
    pub(super) fn new(families: &UpstreamFamilies, id: &str, keys: usize) -> Self {
        let of_kind =
            |family: &IntCounterVec| Kind::ALL.map(|kind| family.with_label_values(&[id, kind.as_str()]));
        Self {
            attempts_ok: families.attempts.with_label_values(&[id, "ok"]),
            attempts_failed: of_kind(&families.attempts),
            failovers: of_kind(&families.failovers),
            retries_after_send: families.retries_after_send.with_label_values(&[id]),
            retries_refused: families.spared.retries_refused.with_label_values(&[id]),
            waiting: families.spared.waiting.with_label_values(&[id]),
            connections: families.upstream_connections.with_label_values(&[id]),
            circuit: families.circuit_state.with_label_values(&[id]),
            probes: PROBE_RESULTS.map(|result| families.probes.with_label_values(&[id, result])),
            renewals: RenewalCounts::new(&families.credentials, id),
            keys: (0..keys)
                .map(|key| families.key_state.with_label_values(&[id, &key.to_string()]))
                .collect(),
        }
    }

    /// An attempt whose answer went to the client.
    pub fn attempt_ok(&self) {
        self.attempts_ok.inc();
    }

    pub fn attempt_failed(&self, kind: Kind) {
        self.attempts_failed[kind as usize].inc();
    }

    /// A call left this upstream for another one.
    pub fn failed_over(&self, reason: Kind) {
        self.failovers[reason as usize].inc();
    }

    /// A call was tried again although this upstream had the whole request, and may send a bill for both.
    pub fn retried_after_send(&self) {
        self.retries_after_send.inc();
    }

    /// A call was not passed on to this upstream: its retry budget is used up.
    pub fn retry_refused(&self) {
        self.retries_refused.inc();
    }

    /// Counts a call as waiting for a place until the guard is dropped.
    pub fn call_waits(&self) -> InFlight {
        InFlight::new(&self.waiting)
    }

    /// Counts a connection as open until the guard is dropped.
    pub fn connection_opened(&self) -> InFlight {
        InFlight::new(&self.connections)
    }

    pub fn circuit(&self, state: CircuitState) {
        self.circuit.set(state as i64);
    }

    pub fn probed(&self, ok: bool) {
        self.probes[usize::from(!ok)].inc();
    }

    /// The credentials of this upstream were renewed, or could not be.
    pub fn credential_renewed(&self, ok: bool) {
        self.renewals.count(ok);
    }

    /// The gauge of one key, by its place in the configuration; set it to a [`KeyState`].
    pub fn key(&self, index: usize) -> Option<&IntGauge> {
        self.keys.get(index)
    }

    pub fn key_state(&self, index: usize, state: KeyState) {
        if let Some(gauge) = self.key(index) {
            gauge.set(state as i64);
        }
    }

    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Takes the series of all keys from `first` on away.
    pub(super) fn forget_keys(&self, families: &UpstreamFamilies, id: &str, first: usize) {
        for key in first..self.keys.len() {
            let _ = families.key_state.remove_label_values(&[id, &key.to_string()]);
        }
    }

    /// Takes its series away. Live handles may go on counting; nobody will see it.
    pub(super) fn forget(&self, families: &UpstreamFamilies, id: &str) {
        let _ = families.attempts.remove_label_values(&[id, "ok"]);
        for kind in Kind::ALL {
            let _ = families.attempts.remove_label_values(&[id, kind.as_str()]);
            let _ = families.failovers.remove_label_values(&[id, kind.as_str()]);
        }
        for family in [&families.retries_after_send, &families.spared.retries_refused] {
            let _ = family.remove_label_values(&[id]);
        }
        for family in [&families.upstream_connections, &families.circuit_state, &families.spared.waiting] {
            let _ = family.remove_label_values(&[id]);
        }
        for result in PROBE_RESULTS {
            let _ = families.probes.remove_label_values(&[id, result]);
        }
        self.renewals.forget();
        self.forget_keys(families, id, 0);
    }
}

/// One more of what a gauge counts, until dropped.
#[must_use = "dropping it ends the count at once"]
pub struct InFlight(IntGauge);

impl InFlight {
    pub(super) fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_ends_index_their_own_place() {
        assert!(Kind::ALL.iter().enumerate().all(|(place, kind)| *kind as usize == place));
        assert!(Ended::ALL.iter().enumerate().all(|(place, ended)| *ended as usize == place));
    }

    #[test]
    fn every_status_has_a_class() {
        let check = |status, expected| assert_eq!(CLASSES[class(status)], expected, "{status}");
        check(200, "2xx");
        check(304, "3xx");
        check(499, "4xx");
        check(529, "5xx");
        check(0, "none");
        check(999, "none");
    }
}
