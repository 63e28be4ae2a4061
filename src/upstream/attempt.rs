//! One attempt at one target: encode, send, read what came back as far as must be known, tell health and metrics.
//! Called by `upstream::dispatch`, which decides what a failure leads to.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use tokio::time::Instant;

use crate::error::{Error, Kind, Origin, Retry};
use crate::health::{CircuitState, KeyState, Verdict};
use crate::route::legs::Leg;
use crate::telemetry::Attempt;
use crate::upstream::call::{self, Call, Encoded};
use crate::upstream::client::{Answer, LanePlace, SendFault};
use crate::upstream::commit::{self, AnswerBody, NO_CONTENT, error};
use crate::upstream::credential::{Credential, Proof};
use crate::upstream::dispatch::{Delivery, DispatchBounds};
use crate::upstream::payload::Payload;
use crate::upstream::reading::Reading;
use crate::upstream::terms::Terms;
use crate::upstream::{Seat, Upstream};
use crate::vendor::limits::Headroom;

/// A failed attempt and how far it got.
pub struct Failed {
    pub error: Error,
    /// The vendor's status, where one arrived.
    status: Option<u16>,
    /// Whether the vendor had, or may have had, the whole request.
    pub sent: bool,
    /// Nobody was asked: the target cannot be told what the call says.
    pub unsayable: bool,
    elapsed: Duration,
}

impl Failed {
    fn new(error: Error, status: Option<u16>, sent: bool) -> Self {
        Self { error, status, sent, unsayable: false, elapsed: Duration::ZERO }
    }

    /// Whether the vendor began to answer, or had the request and never said no: it may charge for either.
    pub fn may_be_billed(&self) -> bool {
        self.sent && self.status.is_none_or(|it| it < 300)
    }

    /// As the call's record lists it.
    pub fn attempt(&self, upstream: &Upstream) -> Attempt {
        Attempt {
            upstream: upstream.spec.id.clone(),
            error: self.error.kind,
            status: self.status,
            elapsed: self.elapsed,
            sent: self.sent,
            cost: None,
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::new(error, None, true)
    }
}

/// What one attempt shows its upstream.
struct Shown {
    key: usize,
    /// What stands in the place of keys, where a cloud gives it out.
    proof: Proof,
}

/// One attempt's surroundings.
pub struct AttemptOn<'a> {
    pub call: &'a Call,
    pub leg: Leg<'a>,
    pub upstream: &'a Arc<Upstream>,
    /// When the call began.
    pub call_started: std::time::Instant,
    pub deadline: Instant,
    /// Another target is left to try.
    pub more: bool,
    /// An answer that moderation emptied is a failure: there is somewhere else to take the call.
    pub refilters: bool,
    /// What it says is remembered, for another target to go on with.
    pub heard: bool,
    pub bounds: &'a DispatchBounds,
}

impl AttemptOn<'_> {
    /// Asks the target. What came of it is known to health and metrics when this returns.
    pub async fn run(&self, terms: Terms<'_>, seat: Seat) -> Result<Delivery, Failed> {
        let begun = Instant::now();
        match self.answer(begun, seat).await {
            Ok(delivery) => {
                // A whole answer shows that the upstream is well; a stream has yet to, unless it decides on the circuit.
                let whole = matches!(delivery.body, AnswerBody::Whole(_));
                if whole || !matches!(terms, Terms::Ordinary) {
                    self.note_verdict(&terms, Verdict::Alive);
                }
                self.upstream.metrics.attempt_ok();
                Ok(delivery)
            }
            Err(mut failed) => {
                failed.error.model = Some(self.leg.model_sent().into());
                failed.elapsed = begun.elapsed();
                if self.call.said.is_some() {
                    // A request that we wrote in part may be refused for our part of it.
                    failed.error.retry = Retry::NextTarget;
                }
                self.note(&failed.error, &terms, failed.elapsed);
                Err(failed)
            }
        }
    }

    fn note_verdict(&self, terms: &Terms<'_>, verdict: Verdict) {
        let (health, now) = (&self.upstream.health, std::time::Instant::now());
        let flip = match terms {
            Terms::Ordinary => health.note(verdict, now),
            Terms::OnTrial(_) | Terms::LastResort { .. } => health.conclude(verdict, now),
        };
        note_flip(self.upstream, flip);
    }

    async fn answer(&self, begun: Instant, seat: Seat) -> Result<Delivery, Failed> {
        let health = &self.upstream.health;
        let now = begun.into_std();
        let encoded = self.call.encode(self.leg.route, self.leg.target, self.upstream, self.leg.model);
        let encoded =
            encoded.map_err(|error| Failed { unsayable: true, ..Failed::new(error, None, false) })?;
        let shown = self.shown(seat.key).await;
        let answer = self.send(shown.key, &encoded, begun).await?;
        if answer.resent {
            self.upstream.metrics.retried_after_send();
        }
        let (mut head, body) = answer.response.into_parts();
        // A 429 says itself how long its key should rest, which may be less than until its limit is full.
        if head.status != StatusCode::TOO_MANY_REQUESTS
            && let Some(stated) = Headroom::read(&head.headers, SystemTime::now())
        {
            health.note_headroom(shown.key, stated.remaining_share, stated.reset, std::time::Instant::now());
        }
        if !head.status.is_success() && head.status != StatusCode::NOT_MODIFIED {
            let body = commit::read_error_body(body).await;
            let names_model = self.call.names_model();
            let (error, codes) =
                commit::read_failure(self.upstream, head.status, &head.headers, &body, names_model);
            self.bench(&shown, &error, &codes);
            let error = self.reworded(error, &encoded);
            return Err(Failed::new(error, Some(head.status.as_u16()), true));
        }
        let status = head.status;
        let place = LanePlace::within(seat.place, answer.place);
        let until = begun + self.first_content();
        let model: Arc<str> = self.leg.model_sent().into();
        let mut reading = Reading::new(self.leg.target, Arc::clone(&model), seat.key, self.call_started, now);
        let admitted = self.admit(&head, body, Some(place), &encoded, until, &mut reading).await;
        let body = admitted
            .inspect_err(|it| self.bench(&shown, it, ""))
            .map_err(|error| Failed::new(error, Some(status.as_u16()), true))?;
        self.retitle(&mut head.headers, &body, &encoded);
        Ok(Delivery {
            status: head.status,
            headers: head.headers,
            body,
            upstream: Arc::clone(self.upstream),
            model,
            reading,
            form: encoded.form.filter(|_| encoded.is_own),
            losses: encoded.losses,
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

    /// Ready, with what to tell, when the head should have been there. A body that streams through comes at its client's
    /// pace, which has a timer of its own: the upstream's time begins when all of it has gone out.
    async fn head_overdue(&self, payload: &Payload, begun: Instant) -> &'static str {
        let sent = tokio::time::timeout_at(self.deadline, payload.went_out()).await;
        let begun = if payload.streams() && sent.is_ok() { Instant::now() } else { begun };
        let (until, too_late) = self.head_limit(begun);
        tokio::time::sleep_until(until).await;
        too_late
    }

    /// What is shown with that key, once there is anything.
    async fn shown(&self, key: usize) -> Shown {
        let Some(credential) = &self.upstream.credential else {
            return Shown { key, proof: Proof::default() };
        };
        let _ = tokio::time::timeout_at(self.deadline, credential.first()).await;
        Shown { key, proof: credential.proof() }
    }

    async fn send(&self, key: usize, encoded: &Encoded, begun: Instant) -> Result<Answer, Failed> {
        let request = || call::request(self.call, self.upstream, key, encoded);
        let again = || encoded.payload.is_whole().then(|| request().ok()).flatten();
        let unsent = |error| Failed::new(error, None, false);
        let sent = self.upstream.connections.send(request().map_err(unsent)?, again);
        let sent = tokio::select! {
            biased;
            sent = sent => Ok(sent),
            too_late = self.head_overdue(&encoded.payload, begun) => Err(too_late),
        };
        match sent {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(SendFault::Connect(fault))) => {
                tracing::debug!(event = "connect_failed", upstream = %self.upstream.spec.id, reason = %reason(&fault));
                Err(unsent(error(self.upstream, Kind::Connect, "The upstream could not be reached.")))
            }
            Ok(Err(SendFault::Broken(fault))) => {
                tracing::debug!(event = "connection_broken", upstream = %self.upstream.spec.id, reason = %reason(&fault));
                Err(encoded.payload.client_fault().cloned().unwrap_or_else(|| {
                    error(self.upstream, Kind::Reset, "The upstream closed the connection without an answer.")
                }))?
            }
            Err(too_late) => Err(encoded
                .payload
                .client_fault()
                .cloned()
                .unwrap_or_else(|| error(self.upstream, Kind::Timeout, too_late)))?,
        }
    }

    /// Lets the key or the model rest that the vendor refused, in `codes` of its own.
    fn bench(&self, shown: &Shown, error: &Error, codes: &str) {
        let (health, now, key) = (&self.upstream.health, std::time::Instant::now(), shown.key);
        let credential = self.upstream.credential.as_ref();
        match error.kind {
            Kind::RateLimited => health.cool_key(key, error.retry_after, now),
            // A 404 may also mean that the vendor has no such endpoint, as many have none that counts.
            Kind::ModelMissing if is_about_the_model(error) && !self.call.counts() => {
                health.mark_missing(&self.leg.model_sent().into(), now);
            }
            // What was shown has been renewed since, and may be well.
            Kind::KeyRefused if credential.is_some_and(|it| !it.is_held(&shown.proof)) => {}
            Kind::KeyRefused => {
                if health.key_states(now).get(key) != Some(&KeyState::Refused) {
                    tracing::error!(event = "key_refused", upstream = %self.upstream.spec.id, key, codes,
                        "the vendor refused this key or its account; the key is benched");
                }
                health.refuse_key(key, now);
                credential.into_iter().for_each(Credential::refused);
            }
            _ => {}
        }
    }

    /// Tells health and metrics of a failed attempt.
    fn note(&self, error: &Error, terms: &Terms<'_>, elapsed: Duration) {
        if !matches!(error.origin, Origin::Upstream(_)) {
            return;
        }
        let verdict = verdict(error.kind);
        if let Some(verdict) = verdict {
            self.note_verdict(terms, verdict);
        }
        // A call that the vendor rightly refused says nothing of its speed.
        if verdict == Some(Verdict::Failed) {
            self.leg.target.experience.pace.failed(elapsed, std::time::Instant::now());
        }
        self.upstream.metrics.attempt_failed(error.kind);
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
        Kind::BadRequest | Kind::ContextLength | Kind::ContentFilter | Kind::ModelMissing => {
            Some(Verdict::Alive)
        }
        _ => None,
    }
}

fn is_about_the_model(error: &Error) -> bool {
    let code = error.code.as_deref().unwrap_or_default();
    matches!(code, "model_not_found" | "20012") && error.body.is_some()
        || error.message.to_ascii_lowercase().contains("model")
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
