//! Tests of the metrics as Prometheus reads them: every page is checked line by line.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use http::Method;

use super::kinds::{Ended, EndpointKind};
use super::log::LogHandle;
use super::metrics::Metrics;
use super::options::LogOptions;
use super::record::CallRecord;
use super::series::{CircuitState, KeyState};
use crate::api::usage::Usage;
use crate::error::Kind;
use crate::names::{RequestId, UpstreamId};

/// A page that has been checked: the values by series, spelled as on the page.
struct Page(HashMap<String, f64>);

impl Page {
    fn of(metrics: &Metrics) -> Self {
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(text.ends_with('\n'));
        let mut series = HashMap::new();
        let (mut helped, mut family, mut kind) = (HashSet::new(), "", "");
        let mut help = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                help = rest.split_once(' ').expect("help has a text").0;
                assert!(helped.insert(help), "{help} comes twice");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                (family, kind) = rest.split_once(' ').unwrap();
                assert_eq!(family, help, "TYPE follows the HELP of its family");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert_sample(name, family, kind);
                let value = value.parse().expect("a value is a number");
                assert!(series.insert(name.to_owned(), value).is_none(), "{name} comes twice");
            }
        }
        let page = Self(series);
        page.assert_buckets_rise();
        page
    }

    #[track_caller]
    fn check(&self, series: &str, expected: f64) {
        assert_eq!(self.0.get(series).copied(), Some(expected), "{series}");
    }

    /// A histogram's last bucket holds what its count says.
    fn assert_buckets_rise(&self) {
        for (series, value) in &self.0 {
            if let Some(labels) = series.split_once("_bucket{").filter(|_| series.contains("+Inf")) {
                let rest = labels.1.replace(",le=\"+Inf\"", "");
                assert_eq!(self.0[&format!("{}_count{{{rest}", labels.0)], *value, "{series}");
            }
        }
    }

    fn mentions(&self, text: &str) -> bool {
        self.0.keys().any(|series| series.contains(text))
    }
}

/// The sample belongs to the family announced above it, and its labels are well-formed.
fn assert_sample(series: &str, family: &str, kind: &str) {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let suffix = name.strip_prefix(family).expect("a sample stands below its family");
    match kind {
        "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{series}"),
        _ => assert_eq!(suffix, "", "{series}"),
    }
    assert!(kind != "counter" || name.ends_with("_total"), "{series}");
    let mut rest = labels;
    while rest != "}" {
        let (key, value) = rest.split_once("=\"").expect("a label has a quoted value");
        assert!(key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{series}");
        let end = end_of_value(value);
        rest = value[end + 1..].trim_start_matches(',');
    }
}

/// Where the closing quote is; only `\\`, `\"` and `\n` may be escaped.
fn end_of_value(value: &str) -> usize {
    let mut bytes = value.bytes().enumerate();
    while let Some((place, byte)) = bytes.next() {
        match byte {
            b'"' => return place,
            b'\\' => assert!(matches!(bytes.next(), Some((_, b'\\' | b'"' | b'n'))), "{value}"),
            _ => {}
        }
    }
    panic!("{value} has no end");
}

fn call(ended: Ended, status: u16) -> CallRecord {
    let mut record = CallRecord::new(RequestId::random(), EndpointKind::Chat, Method::POST);
    (record.ended, record.status) = (ended, status);
    record
}

#[test]
fn a_fresh_page_is_valid_and_names_version_and_process() {
    let metrics = Metrics::new();
    let log = LogHandle::to(Box::new(std::io::sink()), false, &LogOptions::default());
    metrics.show_log(&log);
    log.dropped().inc();
    let page = Page::of(&metrics);
    page.check(concat!("tollgate_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0);
    page.check("tollgate_log_lines_dropped_total", 1.0);
    page.check("tollgate_refused_total{reason=\"overloaded\"}", 0.0);
    if cfg!(target_os = "linux") {
        assert!(page.mentions("process_resident_memory_bytes"));
    }
}

#[test]
fn a_call_shows_in_every_family_of_its_target() {
    let metrics = Metrics::new();
    let target = metrics.target("smart", "qwen");
    let mut record = call(Ended::Complete, 200);
    record.first_content = Some(Duration::from_millis(300));
    record.usage = Some(Usage {
        input: 9,
        cached_input: 5,
        cache_write: 2,
        output: 4,
        reasoning: 3,
        ..Usage::default()
    });
    target.observe(&record);
    let page = Page::of(&metrics);
    let of = |name: &str, more: &str| format!("tollgate_{name}{{{more}}}");
    page.check(
        &of("requests_total", "outcome=\"complete\",route=\"smart\",status=\"2xx\",upstream=\"qwen\""),
        1.0,
    );
    page.check(
        &of("requests_total", "outcome=\"cut\",route=\"smart\",status=\"2xx\",upstream=\"qwen\""),
        0.0,
    );
    let labels = "route=\"smart\",upstream=\"qwen\"";
    page.check(&of("request_duration_seconds_count", labels), 1.0);
    page.check(&of("time_to_first_token_seconds_bucket", &format!("{labels},le=\"0.35\"")), 1.0);
    page.check(&of("time_to_first_token_seconds_bucket", &format!("{labels},le=\"0.2\"")), 0.0);
    for (kind, count) in
        [("input", 9.0), ("cached_input", 5.0), ("cache_write", 2.0), ("output", 4.0), ("reasoning", 3.0)]
    {
        page.check(&of("tokens_total", &format!("kind=\"{kind}\",{labels}")), count);
    }
}

#[test]
fn the_gaps_of_a_stream_all_arrive_however_it_ends() {
    let metrics = Metrics::new();
    let target = metrics.target("smart", "qwen");
    let count = "tollgate_time_between_tokens_seconds_count{route=\"smart\",upstream=\"qwen\"}";
    let mut gaps = target.token_gaps();
    let start = Instant::now();
    for event in 0..=40 {
        gaps.content(start + Duration::from_millis(20) * event);
    }
    Page::of(&metrics).check(count, 32.0);
    drop(gaps);
    let page = Page::of(&metrics);
    page.check(count, 40.0);
    let of_20_ms =
        "tollgate_time_between_tokens_seconds_bucket{route=\"smart\",upstream=\"qwen\",le=\"0.02\"}";
    page.check(of_20_ms, 40.0);
}

#[test]
fn an_upstream_shows_attempts_circuit_keys_and_probes() {
    let metrics = Metrics::new();
    let qwen = metrics.upstream(&"qwen".into(), 2);
    qwen.attempt_ok();
    qwen.attempt_failed(Kind::RateLimited);
    qwen.failed_over(Kind::RateLimited);
    qwen.retried_after_send();
    qwen.retry_refused();
    qwen.circuit(CircuitState::Open);
    qwen.key_state(1, KeyState::Refused);
    qwen.key_state(9, KeyState::Refused);
    qwen.probed(false);
    let open = (qwen.connection_opened(), qwen.call_waits());
    let page = Page::of(&metrics);
    page.check("tollgate_attempts_total{outcome=\"ok\",upstream=\"qwen\"}", 1.0);
    page.check("tollgate_attempts_total{outcome=\"rate_limited\",upstream=\"qwen\"}", 1.0);
    page.check("tollgate_failovers_total{reason=\"rate_limited\",upstream=\"qwen\"}", 1.0);
    page.check("tollgate_retries_after_send_total{upstream=\"qwen\"}", 1.0);
    page.check("tollgate_retries_refused_total{upstream=\"qwen\"}", 1.0);
    page.check("tollgate_circuit_state{upstream=\"qwen\"}", 2.0);
    page.check("tollgate_key_state{key=\"0\",upstream=\"qwen\"}", 0.0);
    page.check("tollgate_key_state{key=\"1\",upstream=\"qwen\"}", 2.0);
    page.check("tollgate_probes_total{result=\"failed\",upstream=\"qwen\"}", 1.0);
    page.check("tollgate_upstream_connections{upstream=\"qwen\"}", 1.0);
    page.check("tollgate_upstream_waiting{upstream=\"qwen\"}", 1.0);
    drop(open);
    Page::of(&metrics).check("tollgate_upstream_connections{upstream=\"qwen\"}", 0.0);
    Page::of(&metrics).check("tollgate_upstream_waiting{upstream=\"qwen\"}", 0.0);
    assert!(!page.mentions("key=\"9\""));
}

#[test]
fn gauges_of_the_whole_process_rise_and_fall() {
    let metrics = Metrics::new();
    let (call, connection) = (metrics.call_started(), metrics.connection_opened());
    metrics.refused(Kind::Overloaded);
    metrics.config().loaded(1);
    metrics.config().reloaded(2);
    metrics.config().refused();
    let page = Page::of(&metrics);
    page.check("tollgate_calls_in_flight", 1.0);
    page.check("tollgate_connections_open", 1.0);
    page.check("tollgate_refused_total{reason=\"overloaded\"}", 1.0);
    page.check("tollgate_config_generation", 2.0);
    page.check("tollgate_config_last_reload_success", 0.0);
    page.check("tollgate_config_reloads_total{result=\"ok\"}", 1.0);
    page.check("tollgate_config_reloads_total{result=\"failed\"}", 1.0);
    assert!(page.0["tollgate_config_last_reload_timestamp_seconds"] > 1.7e9);
    drop((call, connection));
    Page::of(&metrics).check("tollgate_calls_in_flight", 0.0);
}

#[test]
fn a_reload_keeps_counts_and_a_removed_upstream_leaves_no_series() {
    let metrics = Metrics::new();
    let (qwen, other): (UpstreamId, UpstreamId) = ("qwen".into(), "other".into());
    let old = metrics.target("smart", "qwen");
    old.observe(&call(Ended::Complete, 200));
    metrics.target("fast", "qwen");
    metrics.target("smart", "other");
    metrics.upstream(&other, 1);
    metrics.upstream(&qwen, 3).attempt_ok();
    assert!(std::sync::Arc::ptr_eq(&old, &metrics.target("smart", "qwen")));
    metrics.upstream(&qwen, 1);
    let page = Page::of(&metrics);
    page.check("tollgate_attempts_total{outcome=\"ok\",upstream=\"qwen\"}", 1.0);
    assert!(page.mentions("key=\"0\",upstream=\"qwen\"") && !page.mentions("key=\"2\""));

    metrics.forget_upstream(&qwen);
    old.observe(&call(Ended::Complete, 200));
    old.observe(&call(Ended::Failed, 302));
    let page = Page::of(&metrics);
    assert!(!page.mentions("qwen"), "a call that ends late brings no series back");
    assert!(page.mentions("upstream=\"other\""));
    metrics.forget_target("smart", "other");
    assert!(!Page::of(&metrics).mentions("route=\"smart\""));
}

#[test]
fn an_uncommon_outcome_gets_its_series_when_it_happens() {
    let metrics = Metrics::new();
    let target = metrics.target("smart", "qwen");
    assert!(!Page::of(&metrics).mentions("3xx"));
    target.observe(&call(Ended::Failed, 302));
    let series =
        "tollgate_requests_total{outcome=\"failed\",route=\"smart\",status=\"3xx\",upstream=\"qwen\"}";
    Page::of(&metrics).check(series, 1.0);
}

#[test]
fn nothing_a_client_wrote_becomes_a_label() {
    let metrics = Metrics::new();
    let target = metrics.target("smart", "qwen");
    let mut record = call(Ended::Complete, 200);
    record.model_asked = Some("planted-model".into());
    record.model_sent = Some("planted-model".into());
    record.client = Some("planted-client".into());
    let before = Page::of(&metrics).0.len();
    target.observe(&record);
    let page = Page::of(&metrics);
    assert!(!page.mentions("planted"));
    assert_eq!(page.0.len(), before);
}

#[test]
fn a_configured_name_of_any_spelling_is_escaped() {
    let metrics = Metrics::new();
    metrics.target("a \"b\"\\\n{c}", "qwen");
    let page = Page::of(&metrics);
    assert!(page.mentions(r#"route="a \"b\"\\\n{c}""#));
}
