//! Walks a plan until a target answers: the failover loop, under one deadline and a bounded number of attempts.
//! It does not decide where to go (that is `route`) nor what an answer looks like to the client (that is `edge`).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::error::{Error, Kind, Origin, Retry};
use crate::health::{CircuitState, Exclusion, KeyState, UpstreamHealth, Verdict};
use crate::route::plan::Plan;
use crate::route::table::Target;
use crate::telemetry::record::Attempt;
use crate::upstream::Upstream;
use crate::upstream::call::{self, Call, Encoded};
use crate::upstream::client::{Answer, SendFault};
use crate::upstream::commit::{self, AnswerBody, Hold, NO_CONTENT, error};
use crate::upstream::finish::FinishGuard;
use crate::upstream::opaque::Opaque;
use crate::upstream::patience::Patience;
use crate::upstream::relay::{Relay, RelayOptions};

/// A vendor's error body is read up to here, in bytes, and for this long.
const ERROR_BYTES_MAX: usize = 64 << 10;
const ERROR_TIME: Duration = Duration::from_secs(5);

/// Bounds of one call.
#[derive(Clone, Debug)]
pub struct DispatchBounds {
    pub attempts_max: usize,
    pub call: Duration,
    pub answer_bytes_max: usize,
    pub event_bytes_max: usize,
}

/// What a target answered.
pub struct Delivery {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: AnswerBody,
    pub upstream: Arc<Upstream>,
    /// The name the vendor was asked for.
    pub model: Arc<str>,
}

/// Serves calls over the upstreams of one snapshot.
pub struct Dispatcher<'a> {
    pub upstreams: &'a [Arc<Upstream>],
    pub bounds: &'a DispatchBounds,
}

/// A failed attempt and how far it got.
struct Failed {
    error: Error,
    status: Option<u16>,
    sent: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, status: None, sent: true }
    }
}

impl Dispatcher<'_> {
    /// Serves `call` by the first target of `plan` that answers.
    pub async fn run(&self, call: &Call, plan: &Plan, end: &mut FinishGuard) -> Result<Delivery, Error> {
        let deadline = Instant::now() + self.bounds.call;
        let mut worst: Option<Error> = None;
        let mut targets = plan.targets.iter().peekable();
        let mut next = targets.next();
        for left in (0..self.bounds.attempts_max).rev() {
            let Some(target) = next else { break };
            if worst.is_some() && !self.may_go_on(call, deadline) {
                break;
            }
            let upstream = &self.upstreams[target.slot];
            let more = left > 0 && targets.peek().is_some();
            end.serves(&target.metrics);
            let attempt = AttemptOn { call, plan, target, upstream, deadline, more, bounds: self.bounds };
            let error = match attempt.run(end).await {
                Ok(delivery) => {
                    upstream.metrics.attempt_ok();
                    return Ok(delivery);
                }
                Err(error) if error.retry == Retry::Never => return Err(error),
                Err(error) => error,
            };
            // A refusal of one key says nothing of the others: the same target is asked with the next.
            if !(is_about_the_key(error.kind) && upstream.health.has_usable_key(std::time::Instant::now())) {
                next = targets.next();
            }
            if left > 0 && next.is_some() {
                upstream.metrics.failed_over(error.kind);
            }
            worst = Some(most_telling(worst, error));
        }
        Err(exhausted(worst, plan))
    }

    fn may_go_on(&self, call: &Call, deadline: Instant) -> bool {
        call.body.is_whole() && Instant::now() < deadline
    }
}

/// One attempt's surroundings.
struct AttemptOn<'a> {
    call: &'a Call,
    plan: &'a Plan,
    target: &'a Target,
    upstream: &'a Arc<Upstream>,
    deadline: Instant,
    /// Another target is left to try.
    more: bool,
    bounds: &'a DispatchBounds,
}

/// A half-open circuit's one trial; given back if the attempt ends without a verdict, as when the client hangs up.
struct Trial<'a>(&'a UpstreamHealth);

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.0.abandon_trial();
    }
}

impl AttemptOn<'_> {
    async fn run(&self, end: &mut FinishGuard) -> Result<Delivery, Error> {
        let health = &self.upstream.health;
        let begun = Instant::now();
        let _trial = health.begin_trial(begun.into_std()).then(|| Trial(health));
        match self.answer(begun, end).await {
            Ok(delivery) => {
                // A whole answer shows that the upstream is well; a stream has yet to, unless it is on trial.
                let whole = matches!(delivery.body, AnswerBody::Whole(_));
                let now = std::time::Instant::now();
                if whole || health.circuit(now) != CircuitState::Closed {
                    note_flip(self.upstream, health.note(Verdict::Alive, now));
                }
                Ok(delivery)
            }
            Err(failed) => {
                self.note(&failed, begun, end);
                Err(failed.error)
            }
        }
    }

    async fn answer(&self, begun: Instant, end: &mut FinishGuard) -> Result<Delivery, Failed> {
        let health = &self.upstream.health;
        let now = begun.into_std();
        let key = health.pick_key(now);
        let encoded = self.call.encode(&self.plan.route, self.target, self.upstream, &self.plan.model);
        let answer = self.send(key, &encoded, begun).await?;
        let (head, body) = answer.response.into_parts();
        if !head.status.is_success() && head.status != StatusCode::NOT_MODIFIED {
            let body = read_error_body(body).await;
            let error = commit::read_failure(self.upstream, head.status, &head.headers, &body);
            self.bench(key, &error);
            return Err(Failed { error, status: Some(head.status.as_u16()), sent: true });
        }
        let status = head.status;
        let until = begun + self.first_content();
        let admitted = self.admit(&head, body, answer.place, &encoded, until, end).await;
        let body = admitted.inspect_err(|it| self.bench(key, it)).map_err(|error| Failed {
            error,
            status: Some(status.as_u16()),
            sent: true,
        })?;
        Ok(Delivery {
            status: head.status,
            headers: head.headers,
            body,
            upstream: Arc::clone(self.upstream),
            model: self.target.model_for(&self.plan.model).into(),
        })
    }

    fn first_content(&self) -> Duration {
        Duration::from_millis(self.upstream.spec.timeouts.first_content_ms)
    }

    /// When an answer's head must be there, and what to tell if it is not.
    fn head_limit(&self, begun: Instant) -> (Instant, &'static str) {
        let first_byte = begun + Duration::from_millis(self.upstream.spec.timeouts.first_byte_ms);
        let mut limit = (self.deadline, "The call took longer than `timeouts.call_ms`.");
        if first_byte < limit.0 {
            limit = (first_byte, "The upstream did not answer in time (`timeouts.first_byte_ms`).");
        }
        let first_content = begun + self.first_content();
        if self.more && self.call.streams() && first_content < limit.0 {
            limit = (first_content, NO_CONTENT);
        }
        limit
    }

    async fn send(&self, key: usize, encoded: &Encoded, begun: Instant) -> Result<Answer, Failed> {
        let request = || call::request(self.call, self.upstream, key, &encoded.payload);
        let (until, too_late) = self.head_limit(begun);
        let again = || encoded.payload.is_whole().then(|| request().ok()).flatten();
        let sent = self.upstream.connections.send(request()?, again);
        let unsent = |error| Failed { error, status: None, sent: false };
        match tokio::time::timeout_at(until, sent).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(SendFault::Connect(fault))) => {
                tracing::debug!(event = "connect_failed", upstream = %self.upstream.spec.id, reason = %reason(&fault));
                Err(unsent(error(self.upstream, Kind::Connect, "The upstream could not be reached.")))
            }
            Ok(Err(SendFault::Broken(fault))) => {
                tracing::debug!(event = "connection_broken", upstream = %self.upstream.spec.id, reason = %reason(&fault));
                Err(self.client_fault(&fault).unwrap_or_else(|| {
                    error(self.upstream, Kind::Reset, "The upstream closed the connection without an answer.")
                }))?
            }
            Err(_) => Err(error(self.upstream, Kind::Timeout, too_late))?,
        }
    }

    /// A body that streams through can break on the client's side; that is nobody else's fault.
    fn client_fault(&self, fault: &(dyn std::error::Error + 'static)) -> Option<Error> {
        let mut source = Some(fault);
        while let Some(fault) = source {
            if let Some(error) = fault.downcast_ref::<Error>() {
                return Some(error.clone());
            }
            source = fault.source();
        }
        None
    }

    /// Takes a successful head's body as far as must be known before the client may see it.
    async fn admit(
        &self,
        head: &http::response::Parts,
        body: Incoming,
        place: Option<crate::upstream::client::LanePlace>,
        encoded: &Encoded,
        first_content: Instant,
        end: &mut FinishGuard,
    ) -> Result<AnswerBody, Error> {
        let idle = Duration::from_millis(self.upstream.spec.timeouts.idle_ms);
        let content_type = head.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let opaque = |body, place| {
            let patience = Patience::new(idle, self.deadline);
            AnswerBody::Opaque(Box::new(Opaque::new(self.upstream, Bytes::new(), body, patience, place)))
        };
        if head.headers.contains_key(header::CONTENT_ENCODING) {
            // Not asked for, so unreadable here; the client may know what to do with it.
            return Ok(opaque(body, place));
        }
        if content_type.starts_with(b"text/event-stream") {
            let options = RelayOptions {
                shape: self.call.shape,
                remove_usage_chunk: encoded.usage_injected,
                idle,
                deadline: self.deadline,
                event_bytes_max: self.bounds.event_bytes_max,
            };
            let mut relay = Box::new(Relay::new(options, Arc::clone(self.upstream), body, place));
            if self.more && self.call.body.is_whole() {
                commit::first_content(&mut relay, self.deadline.min(first_content), end).await?;
            } else {
                commit::first_sign(&mut relay, end).await?;
            }
            return Ok(AnswerBody::Events(relay));
        }
        if !self.call.answers_json {
            return Ok(opaque(body, place));
        }
        let hold = Hold { bytes_max: self.bounds.answer_bytes_max, until: self.deadline, idle };
        let answer = commit::whole_answer(self.upstream, head, body, place, hold).await?;
        if let AnswerBody::Whole(bytes) = &answer {
            end.record.usage = commit::usage_of(bytes);
        }
        Ok(answer)
    }

    /// Lets the key or the model rest that the vendor refused.
    fn bench(&self, key: usize, error: &Error) {
        let (health, now) = (&self.upstream.health, std::time::Instant::now());
        match error.kind {
            Kind::RateLimited => health.cool_key(key, error.retry_after, now),
            Kind::ModelMissing => {
                health.mark_missing(&self.target.model_for(&self.plan.model).into(), now);
            }
            Kind::KeyRefused => {
                if health.key_states(now).get(key) != Some(&KeyState::Refused) {
                    tracing::error!(event = "key_refused", upstream = %self.upstream.spec.id, key,
                        "the vendor refused this key or its account; the key is benched");
                }
                health.refuse_key(key, now);
            }
            _ => {}
        }
    }

    /// Records a failed attempt: health, metrics, the call's own list.
    fn note(&self, failed: &Failed, begun: Instant, end: &mut FinishGuard) {
        let kind = failed.error.kind;
        let upstream = self.upstream;
        if let Some(verdict) = verdict(kind) {
            note_flip(upstream, upstream.health.note(verdict, std::time::Instant::now()));
        }
        if failed.error.origin == Origin::Client {
            return;
        }
        upstream.metrics.attempt_failed(kind);
        if self.more && failed.sent && failed.error.retry == Retry::NextTarget {
            upstream.metrics.retried_after_send();
        }
        end.record.failed_attempts.push(Attempt {
            upstream: upstream.spec.id.clone(),
            error: kind,
            status: failed.status,
            elapsed: begun.elapsed(),
            sent: failed.sent,
        });
    }
}

/// Tells operators that a circuit changed.
pub fn note_flip(upstream: &Upstream, flip: Option<CircuitState>) {
    match flip {
        Some(CircuitState::Open) => {
            tracing::warn!(event = "circuit_open", upstream = %upstream.spec.id);
        }
        Some(CircuitState::Closed) => {
            tracing::info!(event = "circuit_closed", upstream = %upstream.spec.id);
        }
        _ => {}
    }
}

/// What an attempt's failure says about the upstream's health; rate limits and refused keys are their keys' business,
/// and a client's mistake shows that the upstream is alive.
pub fn verdict(kind: Kind) -> Option<Verdict> {
    match kind {
        Kind::Connect | Kind::Reset | Kind::Timeout | Kind::VendorFailed | Kind::Cut => Some(Verdict::Failed),
        Kind::BadRequest | Kind::ModelMissing => Some(Verdict::Alive),
        _ => None,
    }
}

/// Refusals that another key of the same upstream may not meet.
fn is_about_the_key(kind: Kind) -> bool {
    matches!(kind, Kind::KeyRefused | Kind::RateLimited)
}

fn reason(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(fault) = source {
        text = format!("{text}: {fault}");
        source = fault.source();
    }
    text
}

async fn read_error_body(mut body: Incoming) -> Bytes {
    let mut read = BytesMut::new();
    let _ = tokio::time::timeout(ERROR_TIME, async {
        while let Some(Ok(frame)) = body.frame().await {
            if let Some(data) = frame.data_ref() {
                let room = ERROR_BYTES_MAX - read.len();
                read.extend_from_slice(&data[..data.len().min(room)]);
                if room <= data.len() {
                    break;
                }
            }
        }
    })
    .await;
    read.freeze()
}

/// Of two failures, the one that tells the client more: one it can act on, then the vendor's own words, then ours.
fn most_telling(before: Option<Error>, now: Error) -> Error {
    let rank = |error: &Error| match error.kind {
        Kind::RateLimited => 7,
        Kind::VendorFailed => 6,
        Kind::Timeout => 5,
        Kind::Cut => 4,
        Kind::Reset => 3,
        Kind::Connect => 2,
        Kind::ModelMissing => 1,
        _ => 0,
    };
    match before {
        Some(before) if rank(&before) >= rank(&now) => before,
        _ => now,
    }
}

/// The answer when nothing was left to try.
fn exhausted(worst: Option<Error>, plan: &Plan) -> Error {
    let mut error = worst.unwrap_or_else(|| refused_all(plan));
    if matches!(error.kind, Kind::KeyRefused | Kind::ModelMissing) {
        error.should_retry = Some(false);
    }
    error
}

/// No target could be tried at all.
fn refused_all(plan: &Plan) -> Error {
    let keys_refused = plan.excluded.iter().find(|(_, why)| *why == Exclusion::KeysRefused);
    match keys_refused {
        Some((target, _)) => Error::new(
            Kind::KeyRefused,
            Origin::Upstream(target.upstream.clone()),
            format!("The upstream `{}` refused the gateway's key or account.", target.upstream),
        ),
        None => Error::new(
            Kind::Overloaded,
            Origin::Gateway,
            format!("No upstream of `{}` is in service.", plan.route.label),
        )
        .retry_after(Some(Duration::from_secs(5))),
    }
}
