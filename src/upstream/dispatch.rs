//! Walks a plan until a target answers: the failover loop, under one deadline and a bounded number of attempts.
//! It does not decide where to go (that is `route`) nor what an answer looks like to the client (that is `edge`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use crate::error::{Error, Kind, Origin, Retry};
use crate::health::Exclusion as Unwell;
use crate::route::plan::{Exclusion, Plan};
use crate::upstream::Upstream;
use crate::upstream::attempt::{AttemptOn, Failed, Terms};
use crate::upstream::call::Call;
use crate::upstream::commit::AnswerBody;
use crate::upstream::finish::FinishGuard;
use crate::upstream::reading::Reading;

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
    /// What was read of the answer so far.
    pub reading: Reading,
}

/// Serves calls over the upstreams of one snapshot.
pub struct Dispatcher<'a> {
    pub upstreams: &'a [Arc<Upstream>],
    pub bounds: &'a DispatchBounds,
}

impl Dispatcher<'_> {
    /// Serves `call` by the first target of `plan` that answers.
    pub async fn run(&self, call: &Call, plan: &Plan, end: &mut FinishGuard) -> Result<Delivery, Error> {
        let call_deadline = Instant::now() + self.bounds.call;
        let mut queue: VecDeque<_> = plan.targets.iter().collect();
        let mut worst: Option<Error> = None;
        let mut left: Option<(usize, Failed)> = None;
        let mut attempts_left = self.bounds.attempts_max;
        while let Some(target) = queue.pop_front().filter(|_| attempts_left > 0) {
            if left.is_some() && !self.may_go_on(call, call_deadline) {
                break;
            }
            let Some(terms) = Terms::of(target, plan.model(), plan.panic, std::time::Instant::now()) else {
                continue;
            };
            if let Some((slot, failed)) = left.take() {
                self.note_retry(slot, target.slot, failed, &mut worst);
            }
            attempts_left -= 1;
            let upstream = &self.upstreams[target.slot];
            let own_limit = Duration::from_millis(upstream.spec.timeouts.call_ms);
            let deadline = call_deadline.min(Instant::now() + own_limit);
            let more = attempts_left > 0 && !queue.is_empty();
            let call_started = end.record.started;
            let bounds = self.bounds;
            let attempt = AttemptOn { call, plan, target, upstream, call_started, deadline, more, bounds };
            end.asks(target, target.model_for(plan.model()));
            let failed = match attempt.run(terms).await {
                Ok(delivery) => return Ok(delivery),
                Err(failed) => failed,
            };
            end.refused_by(&failed, upstream);
            if failed.error.retry == Retry::Never {
                return Err(failed.error);
            }
            // A refusal of one key says nothing of the others: when nobody else is left, the next key is tried.
            let now = std::time::Instant::now();
            if is_about_the_key(failed.error.kind) && upstream.health.has_usable_key(now) {
                queue.push_back(target);
            }
            left = Some((target.slot, failed));
        }
        let last = left.map(|(_, failed)| failed.error);
        Err(exhausted(last.map(|it| most_telling(worst, it)), plan))
    }

    /// Another attempt follows a failed one: it may cost twice, and it may be a failover.
    fn note_retry(&self, from: usize, to: usize, failed: Failed, worst: &mut Option<Error>) {
        let metrics = &self.upstreams[from].metrics;
        if failed.sent {
            metrics.retried_after_send();
        }
        if from != to {
            metrics.failed_over(failed.error.kind);
        }
        *worst = Some(most_telling(worst.take(), failed.error));
    }

    fn may_go_on(&self, call: &Call, deadline: Instant) -> bool {
        call.body.is_whole() && Instant::now() < deadline
    }
}

/// Refusals that another key of the same upstream may not meet.
pub fn is_about_the_key(kind: Kind) -> bool {
    matches!(kind, Kind::KeyRefused | Kind::RateLimited)
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
    let keys_refused = plan.excluded.iter().find(|(_, why)| *why == Exclusion::Unwell(Unwell::KeysRefused));
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
