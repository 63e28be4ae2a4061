//! All metric families, in a registry of their own. Labels are configured names and closed enums, never text of a client.
//! The admin port renders them; snapshots ask for handles ([`TargetMetrics`], [`UpstreamMetrics`]) when they are built.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Registry, TextEncoder};

use super::families::{TargetFamilies, UpstreamFamilies, counters, gauge, gauges, register};
use super::log::LogHandle;
use super::series::{InFlight, SharedCalls, TargetMetrics, UpstreamMetrics};
use super::sessions::SessionMetrics;
use crate::error::Kind;
use crate::names::UpstreamId;

/// Content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What has been handed out and not yet forgotten.
#[derive(Default)]
struct Known {
    /// By route, then upstream.
    targets: HashMap<(String, String), Arc<TargetMetrics>>,
    upstreams: HashMap<UpstreamId, Arc<UpstreamMetrics>>,
}

/// Everything that is measured.
pub struct Metrics {
    registry: Registry,
    target_families: TargetFamilies,
    upstream_families: UpstreamFamilies,
    /// Held while a configuration is loaded, never by a call.
    known: Mutex<Known>,
    calls_in_flight: IntGauge,
    connections_open: IntGauge,
    refused: [IntCounter; Kind::ALL.len()],
    shared_calls: IntCounterVec,
    sessions: Arc<SessionMetrics>,
    config: ConfigSeries,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let registry = Registry::new();
        let help = "Calls refused before any upstream was asked, by why.";
        let refused = counters(&registry, "refused_total", help, &["reason"]);
        let help = "Calls that read the answer of another one like them (`single_flight`) and asked nobody.";
        let shared_calls = counters(&registry, "shared_calls_total", help, &["route"]);
        let build = gauges(&registry, "build_info", "The version that runs; always 1.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        register(&registry, ProcessCollector::for_self());
        let under_way = "Calls between arrival and the last byte of their answer.";
        Self {
            target_families: TargetFamilies::new(&registry),
            upstream_families: UpstreamFamilies::new(&registry),
            known: Mutex::default(),
            calls_in_flight: gauge(&registry, "calls_in_flight", under_way),
            connections_open: gauge(&registry, "connections_open", "Open connections of clients."),
            refused: Kind::ALL.map(|kind| refused.with_label_values(&[kind.as_str()])),
            shared_calls,
            sessions: Arc::new(SessionMetrics::new(&registry)),
            config: ConfigSeries::new(&registry),
            registry,
        }
    }

    /// Shows the lines a log has lost. Once: a process has one log.
    pub fn show_log(&self, log: &LogHandle) {
        register(&self.registry, log.dropped().clone());
    }

    /// The handles of a route and an upstream: the same ones as long as they are not forgotten.
    pub fn target(&self, route: &str, upstream: &str) -> Arc<TargetMetrics> {
        let mut known = self.known();
        let target = known
            .targets
            .entry((route.to_owned(), upstream.to_owned()))
            .or_insert_with(|| Arc::new(TargetMetrics::new(&self.target_families, route, upstream)));
        Arc::clone(target)
    }

    /// The handles of an upstream: the same ones as long as it is not forgotten and has as many keys as before.
    pub fn upstream(&self, id: &UpstreamId, keys: usize) -> Arc<UpstreamMetrics> {
        let mut known = self.known();
        if let Some(upstream) = known.upstreams.get(id) {
            if upstream.keys() == keys {
                return Arc::clone(upstream);
            }
            upstream.forget_keys(&self.upstream_families, id.as_str(), keys);
        }
        let upstream = Arc::new(UpstreamMetrics::new(&self.upstream_families, id.as_str(), keys));
        known.upstreams.insert(id.clone(), Arc::clone(&upstream));
        upstream
    }

    /// The calls of a route that share another's answer.
    pub fn shared_calls(&self, route: &str) -> SharedCalls {
        SharedCalls(self.shared_calls.with_label_values(&[route]))
    }

    /// The sessions of this gateway.
    pub fn sessions(&self) -> &Arc<SessionMetrics> {
        &self.sessions
    }

    /// Drops the series that belong to a route alone, after it has left the configuration.
    pub fn forget_route(&self, route: &str) {
        // most routes have none
        let _ = self.shared_calls.remove_label_values(&[route]);
    }

    /// Drops the series of a target that has left the configuration. Calls still under way count on unseen.
    pub fn forget_target(&self, route: &str, upstream: &str) {
        if let Some(target) = self.known().targets.remove(&(route.to_owned(), upstream.to_owned())) {
            target.forget(&self.target_families);
        }
    }

    /// Drops the series of an upstream that has left the configuration, and of every target on it.
    pub fn forget_upstream(&self, id: &UpstreamId) {
        let mut known = self.known();
        if let Some(upstream) = known.upstreams.remove(id) {
            upstream.forget(&self.upstream_families, id.as_str());
        }
        known.targets.retain(|(_, upstream), target| {
            let stays = upstream != id.as_str();
            if !stays {
                target.forget(&self.target_families);
            }
            stays
        });
    }

    /// Counts a call as under way until the guard is dropped.
    pub fn call_started(&self) -> InFlight {
        InFlight::new(&self.calls_in_flight)
    }

    /// Calls under way now.
    pub fn calls_in_flight(&self) -> i64 {
        self.calls_in_flight.get()
    }

    /// Counts a client's connection as open until the guard is dropped.
    pub fn connection_opened(&self) -> InFlight {
        InFlight::new(&self.connections_open)
    }

    /// A call ended without asking any upstream.
    pub fn refused(&self, kind: Kind) {
        self.refused[kind as usize].inc();
    }

    /// What happens to the configuration.
    pub fn config(&self) -> &ConfigSeries {
        &self.config
    }

    /// Everything, in the text format of Prometheus, version 0.0.4.
    pub fn render(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(64 * 1_024);
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut page)
            .expect("gathered families are not empty, and memory takes every write");
        page
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no panic while held")
    }
}

/// What is measured of the configuration: operators alarm on a reload that failed.
pub struct ConfigSeries {
    reloads_ok: IntCounter,
    reloads_failed: IntCounter,
    generation: IntGauge,
    last_success: IntGauge,
    last_seconds: IntGauge,
}

impl ConfigSeries {
    fn new(registry: &Registry) -> Self {
        let reloads = "Reloads of the configuration: ok, or failed with the old one kept.";
        let reloads = counters(registry, "config_reloads_total", reloads, &["result"]);
        let generation = "Number of the configuration in force, counted since the start.";
        let success =
            "Whether the last load of the configuration succeeded: 1, or 0 while an older one is kept.";
        let seconds = "When the configuration in force was loaded, in seconds since 1970-01-01 UTC.";
        Self {
            reloads_ok: reloads.with_label_values(&["ok"]),
            reloads_failed: reloads.with_label_values(&["failed"]),
            generation: gauge(registry, "config_generation", generation),
            last_success: gauge(registry, "config_last_reload_success", success),
            last_seconds: gauge(registry, "config_last_reload_timestamp_seconds", seconds),
        }
    }

    /// The configuration the process started with is in force.
    pub fn loaded(&self, generation: u64) {
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.last_success.set(1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_seconds.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    }

    /// A reloaded configuration is in force.
    pub fn reloaded(&self, generation: u64) {
        self.reloads_ok.inc();
        self.loaded(generation);
    }

    /// A reload found faults; the old configuration stays.
    pub fn refused(&self) {
        self.reloads_failed.inc();
        self.last_success.set(0);
    }
}
