//! What is known about one call, and the one line it leaves in the log. Filled in while the call runs, by whoever
//! learns something; written once at its end, however it ends.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method};
use serde::Serializer;
use serde::ser::{Serialize, SerializeMap};

use super::kinds::{Ended, EndpointKind};
use super::line::{self, Stamp};
use super::options::LogLevel;
use crate::api::money::Money;
use crate::api::usage::{ServiceTier, Usage};
use crate::error::Kind;
use crate::names::{ClientName, ModelName, RequestId, UpstreamId};

/// Bytes of a model name on a line: clients choose it, so it has a bound.
const MODEL_BYTES_MAX: usize = 256;

/// An attempt that failed without the client seeing any of it.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub upstream: UpstreamId,
    pub error: Kind,
    /// The vendor's status, where one arrived.
    pub status: Option<u16>,
    pub elapsed: Duration,
    /// Whether the vendor had the whole request, and so may send a bill for it.
    pub sent: bool,
    /// What the vendor is estimated to charge for it.
    pub cost: Option<Money>,
}

/// One call, as it is known so far.
#[derive(Clone, Debug)]
pub struct CallRecord {
    pub id: RequestId,
    pub started: Instant,
    pub endpoint: EndpointKind,
    pub method: Method,
    pub client: Option<ClientName>,
    /// The model as the client spelled it.
    pub model_asked: Option<ModelName>,
    /// The configured name of the route.
    pub route: Option<Arc<str>>,
    /// The upstream that answered, or was being asked at the end. None while each one tried is in `failed_attempts`.
    pub upstream: Option<UpstreamId>,
    /// The upstream whose answer broke off, and that `upstream` went on with.
    pub continued_from: Option<UpstreamId>,
    /// What became of the call's turn, where it belongs to a session.
    pub session: Option<&'static str>,
    /// The model as that upstream was asked for it.
    pub model_sent: Option<ModelName>,
    /// The vendor's own id of the call, for a question to its support.
    pub vendor_request_id: Option<HeaderValue>,
    pub stream: bool,
    /// The status the client got; 0 while it has none.
    pub status: u16,
    /// At most as many as a call may try, which failover bounds.
    pub failed_attempts: Vec<Attempt>,
    pub usage: Option<Usage>,
    /// What the answer cost; none where no price is known.
    pub cost: Option<Money>,
    /// What the attempt is estimated to cost whose answer had not begun when the call ended.
    pub left_cost: Option<Money>,
    /// The tier the vendor says it served the call in; it decides the price.
    pub service_tier: Option<ServiceTier>,
    /// From the start of the call to the first content.
    pub first_content: Option<Duration>,
    /// Events forwarded to the client.
    pub events: u64,
    /// Its content came slower than its route asks.
    pub slow: bool,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the response body.
    pub bytes_out: u64,
    pub error: Option<Kind>,
    /// Its answer is that of another call like it, which asked and has the usage.
    pub shared: bool,
    /// It mirrors a client's call, whose id it bears, and nobody gets its answer.
    pub shadow: bool,
    pub ended: Ended,
}

impl CallRecord {
    /// A call that starts now. If nobody ever says how it ended, its client was gone: only that ends a call silently.
    pub fn new(id: RequestId, endpoint: EndpointKind, method: Method) -> Self {
        Self {
            id,
            started: Instant::now(),
            endpoint,
            method,
            client: None,
            model_asked: None,
            route: None,
            upstream: None,
            continued_from: None,
            session: None,
            model_sent: None,
            vendor_request_id: None,
            stream: false,
            status: 0,
            failed_attempts: Vec::new(),
            usage: None,
            cost: None,
            left_cost: None,
            service_tier: None,
            first_content: None,
            events: 0,
            slow: false,
            bytes_in: 0,
            bytes_out: 0,
            error: None,
            shared: false,
            shadow: false,
            ended: Ended::ClientGone,
        }
    }

    /// How many upstreams were asked, the failed ones included.
    pub fn attempts(&self) -> usize {
        let answered = self.upstream.iter().filter(|_| !self.shared).chain(&self.continued_from).count();
        self.failed_attempts.len() + answered
    }

    /// What the attempts are estimated to have cost that the client saw nothing of; none where nothing.
    pub fn retry_cost(&self) -> Option<Money> {
        self.failed_attempts.iter().filter_map(|it| it.cost).chain(self.left_cost).reduce(Money::plus)
    }

    /// WARN where an answer was lost or was saved by another upstream; a client's own mistake is no concern of
    /// the operator.
    pub fn level(&self) -> LogLevel {
        let clients_fault =
            self.error.is_some_and(|it| it.is_about_the_request() || it == Kind::Unauthorized);
        match self.ended {
            _ if self.failed_attempts.iter().any(|it| !is_no_fault(it.error)) => LogLevel::Warn,
            _ if self.continued_from.is_some() => LogLevel::Warn,
            Ended::Complete | Ended::ClientGone => LogLevel::Info,
            Ended::Failed if clients_fault => LogLevel::Info,
            Ended::Failed | Ended::Cut | Ended::Drained => LogLevel::Warn,
        }
    }

    /// Appends the line as one JSON object, without a line end.
    pub fn write_json(&self, out: &mut String) {
        let mut bytes = std::mem::take(out).into_bytes();
        self.serialize(&mut serde_json::Serializer::new(&mut bytes))
            .expect("text and finite numbers always serialise into memory");
        *out = String::from_utf8(bytes).expect("JSON is UTF-8");
    }

    /// Appends the line for people, without a line end.
    pub fn write_text(&self, out: &mut String) {
        self.write_text_in(out, false);
    }

    pub(super) fn write_text_in(&self, out: &mut String, colour: bool) {
        line::write_head(out, self.level(), colour);
        write!(out, " {} {} {} {}", self.event(), self.method, self.endpoint.as_str(), self.ended.as_str())
            .and_then(|()| if self.status == 0 { Ok(()) } else { write!(out, " {}", self.status) })
            .and_then(|()| write!(out, " {:.1}ms", millis(self.started.elapsed())))
            .expect("writing into a String cannot fail");
        let words = [
            ("request_id", Some(self.id.as_str())),
            ("error", self.error.map(Kind::as_str)),
            ("client", self.client.as_ref().map(ClientName::as_str)),
            ("model", shown(&self.model_asked)),
            ("route", self.route.as_deref()),
            ("upstream", self.upstream.as_ref().map(UpstreamId::as_str)),
            ("upstream_model", shown(&self.model_sent)),
            ("continued_from", self.continued_from.as_ref().map(UpstreamId::as_str)),
            ("session", self.session),
        ];
        for (key, value) in words {
            if let Some(value) = value {
                line::write_pair(out, key, value);
            }
        }
        if self.shared {
            line::write_pair(out, "shared", "true");
        }
        for attempt in &self.failed_attempts {
            line::write_pair(out, "failed", &format!("{}:{}", attempt.upstream, attempt.error.as_str()));
        }
        let usage = self.usage.map(|it| format!(" tokens={}+{}", it.input, it.output));
        out.push_str(&usage.unwrap_or_default());
    }

    fn event(&self) -> &'static str {
        if self.shadow { "shadow" } else { "call" }
    }

    fn write_who<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("ts", Stamp::now().as_str())?;
        map.serialize_entry("level", self.level().as_str())?;
        map.serialize_entry("event", self.event())?;
        map.serialize_entry("request_id", self.id.as_str())?;
        map.serialize_entry("method", self.method.as_str())?;
        map.serialize_entry("endpoint", self.endpoint.as_str())?;
        known(map, "client", self.client.as_ref().map(ClientName::as_str))?;
        known(map, "model", shown(&self.model_asked))?;
        known(map, "route", self.route.as_deref())?;
        known(map, "upstream", self.upstream.as_ref().map(UpstreamId::as_str))?;
        known(map, "upstream_model", shown(&self.model_sent))?;
        known(map, "continued_from", self.continued_from.as_ref().map(UpstreamId::as_str))?;
        known(map, "session", self.session)?;
        let vendor_id = self.vendor_request_id.as_ref().and_then(|it| it.to_str().ok());
        known(map, "vendor_request_id", vendor_id.map(|it| line::cut(it, MODEL_BYTES_MAX)))?;
        map.serialize_entry("stream", &self.stream)
    }

    fn write_outcome<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        known(map, "status", (self.status != 0).then_some(self.status))?;
        map.serialize_entry("ended", self.ended.as_str())?;
        known(map, "error", self.error.map(Kind::as_str))?;
        known(map, "shared", self.shared.then_some(true))?;
        map.serialize_entry("attempts", &self.attempts())?;
        known(map, "failed", (!self.failed_attempts.is_empty()).then_some(&self.failed_attempts))?;
        if let Some(usage) = self.usage {
            map.serialize_entry("input_tokens", &usage.input)?;
            map.serialize_entry("cached_input_tokens", &usage.cached_input)?;
            map.serialize_entry("output_tokens", &usage.output)?;
            map.serialize_entry("reasoning_tokens", &usage.reasoning)?;
            known(map, "usage_estimated", usage.estimated.then_some(true))?;
        }
        known(map, "service_tier", self.service_tier.map(ServiceTier::as_str))?;
        known(map, "cost_usd", self.cost.map(|it| it.to_string()))?;
        known(map, "retry_cost_usd", self.retry_cost().map(|it| it.to_string()))?;
        known(map, "first_content_ms", self.first_content.map(millis))?;
        map.serialize_entry("duration_ms", &millis(self.started.elapsed()))?;
        map.serialize_entry("events", &self.events)?;
        known(map, "slow", self.slow.then_some(true))?;
        map.serialize_entry("bytes_in", &self.bytes_in)?;
        map.serialize_entry("bytes_out", &self.bytes_out)
    }
}

impl Serialize for CallRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write_who(&mut map)?;
        self.write_outcome(&mut map)?;
        map.end()
    }
}

impl Serialize for Attempt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("upstream", self.upstream.as_str())?;
        map.serialize_entry("error", self.error.as_str())?;
        known(&mut map, "status", self.status)?;
        map.serialize_entry("ms", &millis(self.elapsed))?;
        map.serialize_entry("sent", &self.sent)?;
        map.end()
    }
}

/// Whether the end of an attempt says nothing against who was asked.
fn is_no_fault(kind: Kind) -> bool {
    kind.is_about_the_request() || kind == Kind::Hedged
}

/// An entry, if there is anything to say.
fn known<M: SerializeMap, T: Serialize>(map: &mut M, key: &str, value: Option<T>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, &value))
}

fn shown(model: &Option<ModelName>) -> Option<&str> {
    model.as_ref().map(|it| line::cut(it.as_str(), MODEL_BYTES_MAX))
}

/// Milliseconds down to the microsecond: the gateway's own share of a call is far below one millisecond.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn record() -> CallRecord {
        CallRecord::new(RequestId::random(), EndpointKind::Chat, Method::POST)
    }

    fn json(record: &CallRecord) -> Value {
        let mut line = String::new();
        record.write_json(&mut line);
        assert!(!line.contains('\n'), "{line}");
        serde_json::from_str(&line).unwrap()
    }

    fn failed(upstream: &str, error: Kind) -> Attempt {
        let elapsed = Duration::from_micros(1_500);
        Attempt { upstream: upstream.into(), error, status: Some(503), elapsed, sent: true, cost: None }
    }

    #[test]
    fn a_full_line_says_everything() {
        let mut call = record();
        call.client = Some("shop".into());
        call.model_asked = Some("smart".into());
        call.route = Some("smart".into());
        call.upstream = Some("qwen".into());
        call.model_sent = Some("qwen-plus".into());
        call.stream = true;
        call.status = 200;
        call.failed_attempts.push(failed("deepseek", Kind::VendorFailed));
        call.usage = Some(Usage { input: 9, cached_input: 5, output: 4, reasoning: 1, ..Usage::default() });
        call.first_content = Some(Duration::from_micros(20_250));
        call.ended = Ended::Complete;
        let line = json(&call);
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["event"], "call");
        assert_eq!(line["attempts"], 2);
        assert_eq!(line["failed"][0]["upstream"], "deepseek");
        assert_eq!(line["failed"][0]["ms"], 1.5);
        assert_eq!(line["upstream_model"], "qwen-plus");
        assert_eq!(line["first_content_ms"], 20.25);
        assert_eq!(line["cached_input_tokens"], 5);
        assert_eq!(line["ts"].as_str().map(str::len), Some(24));
    }

    #[test]
    fn what_is_unknown_is_left_out() {
        let line = json(&record());
        let keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = "attempts bytes_in bytes_out duration_ms ended endpoint event events level method \
                        request_id stream ts";
        assert_eq!(keys, expected.split(' ').collect::<Vec<_>>());
    }

    #[test]
    fn only_the_operators_concerns_are_warnings() {
        let check = |ended, error, attempts: &[Kind], expected| {
            let mut call = record();
            (call.ended, call.error) = (ended, error);
            call.failed_attempts = attempts.iter().map(|kind| failed("one", *kind)).collect();
            assert_eq!(call.level(), expected, "{ended:?} {error:?} {attempts:?}");
        };
        check(Ended::Complete, None, &[], LogLevel::Info);
        check(Ended::ClientGone, None, &[], LogLevel::Info);
        check(Ended::Failed, Some(Kind::Unauthorized), &[], LogLevel::Info);
        check(Ended::Failed, Some(Kind::Overloaded), &[], LogLevel::Warn);
        check(Ended::Cut, Some(Kind::Cut), &[], LogLevel::Warn);
        check(Ended::Drained, None, &[], LogLevel::Warn);
        check(Ended::Complete, None, &[Kind::Reset], LogLevel::Warn);
    }

    #[test]
    fn the_line_for_people_names_the_call_in_order() {
        let mut call = record();
        (call.ended, call.status, call.upstream) = (Ended::Complete, 200, Some("openai".into()));
        let mut line = String::new();
        call.write_text(&mut line);
        assert!(line[12..].starts_with(" INFO call POST chat complete 200 "), "{line}");
        assert!(line.ends_with("upstream=openai"), "{line}");
    }

    proptest! {
        #[test]
        fn any_model_name_makes_a_valid_line(model in any::<String>(), sent in "\\PC{0,400}") {
            let mut call = record();
            call.model_asked = Some(model.as_str().into());
            call.model_sent = Some(sent.as_str().into());
            let line = json(&call);
            prop_assert_eq!(line["model"].as_str().unwrap(), line::cut(&model, MODEL_BYTES_MAX));
            prop_assert_eq!(line["upstream_model"].as_str().unwrap(), line::cut(&sent, MODEL_BYTES_MAX));
            let mut text = String::new();
            call.write_text(&mut text);
            prop_assert!(!text.contains(char::is_control));
        }
    }
}
