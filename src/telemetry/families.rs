//! The families whose series belong to targets and upstreams: names, help, labels and bounds, and how a family is made.
//! Labels are configured names and closed enums, never text of a client.

use super::costs::CostFamilies;
use super::streams::StreamFamilies;
use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Whole calls: embeddings take tens of milliseconds, chat seconds, reasoning minutes; the last bound is the default
/// limit of a call, 30 minutes. Bounds about double, so a quantile is off by a factor of two or three at worst.
const CALL_SECONDS: [f64; 16] =
    [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1_800.0];

/// First content: dense from 0.1 to 2.5 s, where interactive chat is won or lost; up to 120 s, the default limit
/// of the wait.
const FIRST_TOKEN_SECONDS: [f64; 16] =
    [0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 120.0];

/// Gaps between events: vendors stream 20 to 1,000 events a second (50 to 1 ms); 0.2 s reads as stutter, and
/// whole seconds are stalls, up to 120 s, the default limit of silence.
const GAP_SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 5.0, 20.0, 120.0];

/// What is measured by route and upstream.
pub struct TargetFamilies {
    pub requests: IntCounterVec,
    pub duration: HistogramVec,
    pub first_token: HistogramVec,
    pub between_tokens: HistogramVec,
    pub tokens: IntCounterVec,
    pub hedges: IntCounterVec,
    pub costs: CostFamilies,
    pub exclusions: IntCounterVec,
    pub streams: StreamFamilies,
}

impl TargetFamilies {
    pub fn new(registry: &Registry) -> Self {
        Self {
            requests: counters(
                registry,
                "requests_total",
                "Calls that asked an upstream, by the upstream asked last, class of status and how they ended.",
                &["route", "upstream", "status", "outcome"],
            ),
            duration: histograms(
                registry,
                "request_duration_seconds",
                "Time from a call's arrival to the last byte of its answer, in seconds, however it ended.",
                &["route", "upstream"],
                &CALL_SECONDS,
            ),
            first_token: histograms(
                registry,
                "time_to_first_token_seconds",
                "Time from a call's arrival to the first content of its answer, in seconds.",
                &["route", "upstream"],
                &FIRST_TOKEN_SECONDS,
            ),
            between_tokens: histograms(
                registry,
                "time_between_tokens_seconds",
                "Time between two events with content of one stream, in seconds.",
                &["route", "upstream"],
                &GAP_SECONDS,
            ),
            tokens: counters(
                registry,
                "tokens_total",
                "Tokens the vendor counted. input includes cached_input and cache_write, output includes reasoning.",
                &["route", "upstream", "kind"],
            ),
            hedges: counters(
                registry,
                "hedges_total",
                "Second attempts beside a late one, by who made them: won (the client got their answer), lost, or failed.",
                &["route", "upstream", "result"],
            ),
            costs: CostFamilies::new(registry),
            exclusions: exclusions(registry),
            streams: StreamFamilies::new(registry),
        }
    }
}

fn exclusions(registry: &Registry) -> IntCounterVec {
    let help = "Calls whose plan left the target out, by why.";
    counters(registry, "exclusions_total", help, &["route", "upstream", "reason"])
}

fn renewals(registry: &Registry) -> IntCounterVec {
    let help = "Renewals of the credentials that a cloud gives out for an upstream: ok or failed.";
    counters(registry, "credential_renewals_total", help, &["upstream", "result"])
}

/// What is measured by upstream.
pub struct UpstreamFamilies {
    pub attempts: IntCounterVec,
    pub failovers: IntCounterVec,
    pub retries_after_send: IntCounterVec,
    pub upstream_connections: IntGaugeVec,
    pub circuit_state: IntGaugeVec,
    pub key_state: IntGaugeVec,
    pub probes: IntCounterVec,
    pub spared: SparedFamilies,
    pub credentials: IntCounterVec,
}

impl UpstreamFamilies {
    pub fn new(registry: &Registry) -> Self {
        Self {
            attempts: counters(
                registry,
                "attempts_total",
                "Attempts to get an answer from an upstream: ok, or why they failed.",
                &["upstream", "outcome"],
            ),
            failovers: counters(
                registry,
                "failovers_total",
                "Calls that left an upstream for the next one, by why.",
                &["upstream", "reason"],
            ),
            retries_after_send: counters(
                registry,
                "retries_after_send_total",
                "Calls tried again although this upstream had the whole request and may charge for it.",
                &["upstream"],
            ),
            upstream_connections: gauges(
                registry,
                "upstream_connections",
                "Open connections to an upstream.",
                &["upstream"],
            ),
            circuit_state: gauges(
                registry,
                "circuit_state",
                "Circuit of an upstream: 0 closed, 1 half-open, 2 open, 3 drained by an operator.",
                &["upstream"],
            ),
            key_state: gauges(
                registry,
                "key_state",
                "Key of an upstream, by its place in the configuration: 0 usable, 1 cooling, 2 refused by the vendor.",
                &["upstream", "key"],
            ),
            probes: counters(
                registry,
                "probes_total",
                "Active health checks: ok or failed.",
                &["upstream", "result"],
            ),
            spared: SparedFamilies::new(registry),
            credentials: renewals(registry),
        }
    }
}

/// What an upstream is spared of, or has to wait for its turn.
pub struct SparedFamilies {
    pub retries_refused: IntCounterVec,
    pub waiting: IntGaugeVec,
}

impl SparedFamilies {
    fn new(registry: &Registry) -> Self {
        let refused =
            "Calls that were not passed on to this upstream, for it fails and its retry budget is used up.";
        let waiting = "Calls that wait for a place at an upstream that has as many as it may.";
        Self {
            retries_refused: counters(registry, "retries_refused_total", refused, &["upstream"]),
            waiting: gauges(registry, "upstream_waiting", waiting, &["upstream"]),
        }
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("tollgate")
}

pub fn register<C: Collector + 'static>(registry: &Registry, collector: C) {
    registry.register(Box::new(collector)).expect("each family is registered once");
}

pub fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let family =
        IntCounterVec::new(opts(name, help), labels).expect("names and labels are constants and valid");
    register(registry, family.clone());
    family
}

pub fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let family =
        IntGaugeVec::new(opts(name, help), labels).expect("names and labels are constants and valid");
    register(registry, family.clone());
    family
}

pub fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    let gauge = IntGauge::with_opts(opts(name, help)).expect("names are constants and valid");
    register(registry, gauge.clone());
    gauge
}

pub fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    bounds: &[f64],
) -> HistogramVec {
    let opts = HistogramOpts::new(name, help).namespace("tollgate").buckets(bounds.to_vec());
    let family = HistogramVec::new(opts, labels).expect("names, labels and bounds are constants and valid");
    register(registry, family.clone());
    family
}
