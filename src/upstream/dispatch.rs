//! Walks a plan until a target answers: the failover loop, under one deadline and a bounded number of attempts.
//! It does not decide where to go (that is `route`) nor what an answer looks like to the client (that is `edge`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use crate::error::{Error, Kind, Origin, Retry};
use crate::health::{Exclusion as Unwell, RetryPass, RetryRules};
use crate::price::tokenizer::TokenCounts;
use crate::route::plan::{Exclusion, Plan};
use crate::route::target::Target;
use crate::upstream::attempt::{AttemptOn, Failed, Terms};
use crate::upstream::backoff::Backoff;
use crate::upstream::call::Call;
use crate::upstream::commit::AnswerBody;
use crate::upstream::finish::FinishGuard;
use crate::upstream::reading::Reading;
use crate::upstream::{Seat, Upstream};

/// Bounds of one call.
#[derive(Clone, Debug)]
pub struct DispatchBounds {
    pub attempts_max: usize,
    pub call: Duration,
    pub answer_bytes_max: usize,
    pub event_bytes_max: usize,
    pub retries: RetryRules,
    pub backoff: Backoff,
    /// How the text of an answer is counted that its vendor did not count.
    pub token_counts: TokenCounts,
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
        let mut search = Search {
            on: self,
            call,
            plan,
            deadline: Instant::now() + self.bounds.call,
            queue: plan.targets.iter().collect(),
            full: VecDeque::new(),
            busy: None,
            attempts_left: self.bounds.attempts_max,
            asked_again: 0,
            left: None,
            worst: None,
            refused: None,
        };
        while let Some(target) = search.next().await {
            let Some(seat) = search.seat(target).await else { continue };
            let Some((terms, pass)) = search.admit(target) else { continue };
            search.leave_last(target.slot);
            search.attempts_left -= 1;
            let upstream = &self.upstreams[target.slot];
            let own_limit = Duration::from_millis(upstream.spec.timeouts.call_ms);
            let deadline = search.deadline.min(Instant::now() + own_limit);
            let more = search.attempts_left > 0 && !search.is_at_its_end();
            let call_started = end.record.started;
            let bounds = self.bounds;
            let attempt = AttemptOn { call, plan, target, upstream, call_started, deadline, more, bounds };
            end.asks(target, target.model_for(plan.model()));
            let failed = match attempt.run(terms, seat).await {
                Ok(delivery) => return Ok(delivery),
                Err(failed) => failed,
            };
            end.refused_by(&failed, upstream);
            if failed.error.retry == Retry::Never {
                return Err(failed.error);
            }
            search.failed(target, failed, pass);
        }
        Err(search.exhausted())
    }
}

/// One call's way through its plan.
struct Search<'a> {
    on: &'a Dispatcher<'a>,
    call: &'a Call,
    plan: &'a Plan,
    deadline: Instant,
    queue: VecDeque<&'a Arc<Target>>,
    /// Targets without a free place. Waited for when no other is left.
    full: VecDeque<&'a Arc<Target>>,
    /// A target that was waited for in vain.
    busy: Option<&'a Target>,
    attempts_left: usize,
    /// Retries of the same upstream so far.
    asked_again: u32,
    /// The last failure, not yet followed by another attempt.
    left: Option<(&'a Arc<Target>, Failed)>,
    /// Of the failures before it, the most telling one.
    worst: Option<Error>,
    /// A target that was not asked for want of a retry budget.
    refused: Option<&'a Target>,
}

impl<'a> Search<'a> {
    fn is_at_its_end(&self) -> bool {
        self.queue.is_empty() && self.full.is_empty()
    }

    /// The next target to ask: the plan's, then those without a free place, then after a wait the last one again.
    async fn next(&mut self) -> Option<&'a Arc<Target>> {
        let may_go_on = self.call.body.is_whole() && Instant::now() < self.deadline;
        if self.attempts_left == 0 || (self.left.is_some() && !may_go_on) {
            return None;
        }
        if let Some(target) = self.queue.front().or(self.full.front()) {
            return Some(target);
        }
        let (target, wait) = self.again()?;
        self.asked_again += 1;
        // A client that leaves drops this with everything else.
        tokio::time::sleep(wait).await;
        Some(target)
    }

    /// The last target and the wait after which it may be asked again, if it will be in service then.
    fn again(&self) -> Option<(&'a Arc<Target>, Duration)> {
        let (target, failed) = self.left.as_ref()?;
        let wait = self.on.bounds.backoff.wait(&failed.error, self.asked_again, fastrand::f64())?;
        let then = std::time::Instant::now() + wait;
        let is_out = target.health.exclusion(target.model_for(self.plan.model()), then).is_some();
        let in_time = Instant::now() + wait < self.deadline;
        (in_time && (self.plan.panic || !is_out)).then_some((target, wait))
    }

    /// A place at `target`. Where none is free it is left for later, or waited for if nobody else is left.
    async fn seat(&mut self, target: &'a Arc<Target>) -> Option<Seat> {
        let (upstream, model) = (&self.on.upstreams[target.slot], target.model_for(self.plan.model()));
        let wished = self.plan.preferred_key(target);
        // It came from the one or, when that was empty, from the other; a retry came from neither.
        let waits = self.queue.pop_front().is_none() && self.full.pop_front().is_some();
        if let Some(seat) = upstream.seat(model, wished, std::time::Instant::now()) {
            return Some(seat);
        }
        if !waits && !self.is_at_its_end() {
            self.full.push_back(target);
            return None;
        }
        let is_out = || target.health.exclusion(model, std::time::Instant::now()).is_some();
        if !self.plan.panic && is_out() {
            return None;
        }
        let seat = tokio::time::timeout_at(self.deadline, upstream.wait_for_seat(model)).await.ok().flatten();
        if seat.is_none() {
            self.busy = Some(target);
        }
        seat
    }

    /// On what terms `target` may be asked now, and leave where that is a retry or a last resort; none where it went out of
    /// service or its budget is used up.
    fn admit(&mut self, target: &'a Target) -> Option<(Terms<'a>, Option<RetryPass<'a>>)> {
        let (rules, now) = (self.on.bounds.retries, std::time::Instant::now());
        let terms = Terms::of(target, self.plan.model(), self.plan.panic, now)?;
        let pass = match terms {
            // There is no more than one of these at a time.
            Terms::OnTrial(_) => return Some((terms, None)),
            Terms::Ordinary if self.left.is_none() => {
                target.health.note_first_attempt(rules);
                return Some((terms, None));
            }
            Terms::Ordinary | Terms::LastResort => target.health.retry_pass(rules, now),
        };
        if pass.is_none() {
            self.on.upstreams[target.slot].metrics.retry_refused();
            self.refused = Some(target);
        }
        Some((terms, Some(pass?)))
    }

    /// An attempt at `to` follows the failed one: that may cost twice, and it may be a failover.
    fn leave_last(&mut self, to: usize) {
        let Some((from, failed)) = self.left.take() else { return };
        let metrics = &self.on.upstreams[from.slot].metrics;
        if failed.sent {
            metrics.retried_after_send();
        }
        if from.slot != to {
            metrics.failed_over(failed.error.kind);
        }
        self.worst = Some(most_telling(self.worst.take(), failed.error));
    }

    fn failed(&mut self, target: &'a Arc<Target>, failed: Failed, pass: Option<RetryPass<'_>>) {
        if let Some(pass) = pass {
            pass.spend();
        }
        // A refusal of one key says nothing of the others: when nobody else is left, the next key is tried.
        let now = std::time::Instant::now();
        if is_about_the_key(failed.error.kind) && target.health.has_usable_key(now) {
            self.queue.push_back(target);
        }
        self.left = Some((target, failed));
    }

    /// The answer when nothing was left to try.
    fn exhausted(self) -> Error {
        let last = self.left.map(|(_, failed)| failed.error);
        let mut error = match last {
            Some(last) => most_telling(self.worst, last),
            None => self.busy.map_or_else(|| refused_all(self.plan), no_place),
        };
        // A vendor's own words stay as they are.
        if let Some(target) = self.refused.filter(|_| error.body.is_none()) {
            let said = format!(" `{}` was not asked: its retry budget is used up.", target.upstream);
            error.message.push_str(&said);
        }
        if matches!(error.kind, Kind::KeyRefused | Kind::ModelMissing) {
            error.should_retry = Some(false);
        }
        error
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

/// Wait named to a client whose call found no place anywhere.
const NO_PLACE_WAIT: Duration = Duration::from_secs(1);

/// Every place was taken, and stayed so.
fn no_place(target: &Target) -> Error {
    let message =
        format!("Every place at `{}` is taken (`concurrency`); try again shortly.", target.upstream);
    Error::new(Kind::Overloaded, Origin::Gateway, message)
        .code("upstream_busy")
        .retry_after(Some(NO_PLACE_WAIT))
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
        None if plan.fits_nowhere() => unfit(plan),
        None => Error::new(
            Kind::Overloaded,
            Origin::Gateway,
            format!("No upstream of `{}` is in service.", plan.route.label),
        )
        .retry_after(Some(Duration::from_secs(5))),
    }
}

/// Every target lacks what the call needs: the client can ask for less, or for another model.
fn unfit(plan: &Plan) -> Error {
    let why = |(target, why): &(Arc<Target>, Exclusion)| {
        format!("{}/{}: {why}", target.upstream, target.model_for(plan.model()))
    };
    let why: Vec<String> = plan.excluded.iter().map(why).collect();
    let message = format!("No target of `{}` can serve this call. {}.", plan.route.label, why.join("; "));
    Error::new(Kind::BadRequest, Origin::Gateway, message).code("no_target_fits")
}
