//! Walks a plan until a target answers: the failover loop, under one deadline and a bounded number of attempts.
//! It does not decide where to go (that is `route`) nor what an answer looks like to the client (that is `edge`).

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use crate::dialect::Dialect;
use crate::dialect::loss::Losses;
use crate::error::{Error, Kind, Retry};
use crate::health::{RetryPass, RetryRules};
use crate::price::tokenizer::TokenCounts;
use crate::route::cause::Cause;
use crate::route::legs::{Leg, Legs};
use crate::route::plan::Plan;
use crate::route::target::Target;
use crate::telemetry::HedgeResult;
use crate::upstream::attempt::{AttemptOn, Failed};
use crate::upstream::backoff::Backoff;
use crate::upstream::call::Call;
use crate::upstream::commit::AnswerBody;
use crate::upstream::continuation::is_heard;
use crate::upstream::exhausted::{most_telling, no_place, refused_all};
use crate::upstream::finish::FinishGuard;
use crate::upstream::hedge::Hedging;
use crate::upstream::reading::Reading;
use crate::upstream::terms::Terms;
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
    /// The client's own dialect, where the answer is in it; None: in chat's, or in none.
    pub form: Option<Dialect>,
    /// What the target could not be told.
    pub losses: Losses,
}

/// Serves calls over the upstreams of one snapshot.
pub struct Dispatcher<'a> {
    pub upstreams: &'a [Arc<Upstream>],
    pub bounds: &'a DispatchBounds,
}

impl Dispatcher<'_> {
    /// Serves `call` by the first target of `plan`, or of its route's fallbacks, that answers.
    pub async fn run(&self, call: &Call, plan: &Plan, end: &mut FinishGuard) -> Result<Delivery, Error> {
        let mut legs = Legs::new(plan);
        if call.said.is_some() || plan.is_final {
            // The rest of an answer is for the targets that could have begun it.
            legs.end_fallbacks();
        }
        let mut search = Search {
            on: self,
            call,
            plan,
            deadline: Instant::now() + self.bounds.call,
            legs,
            attempts_left: self.bounds.attempts_max,
            asked_again: 0,
            left: None,
            worst: None,
            refused: None,
            busy: None,
            queued: Duration::ZERO,
        };
        while let Some(leg) = search.next().await {
            let Some(seat) = search.seat(&leg).await else { continue };
            let Some((terms, pass)) = search.admit(&leg) else { continue };
            search.leave_last(leg.target.slot);
            search.attempts_left -= 1;
            end.asks(leg.target, leg.model_sent());
            let runner = Runner::new(leg, pass);
            let result = match Hedging::of(call, &leg) {
                // On the heap: the calls that are not hedged, which are most, need no room for a second attempt.
                Some(hedging) => Box::pin(search.race(runner, (terms, seat), hedging, end)).await,
                None => {
                    let result = search.attempt(&leg, end).run(terms, seat).await;
                    search.settle(runner, result, end)
                }
            };
            let (leg, failed) = match result {
                Ok(delivery) => return Ok(delivery),
                Err(failed) => failed,
            };
            search.failed(leg, failed)?;
        }
        Err(search.exhausted())
    }
}

/// One call's way through its plan.
pub(super) struct Search<'a> {
    pub on: &'a Dispatcher<'a>,
    pub call: &'a Call,
    pub plan: &'a Plan,
    deadline: Instant,
    pub legs: Legs<'a>,
    pub attempts_left: usize,
    /// Retries of the same upstream so far.
    asked_again: u32,
    /// The last failure, not yet followed by another attempt.
    left: Option<(Leg<'a>, Failed)>,
    /// Of the failures before it, the most telling one.
    worst: Option<Error>,
    /// A target whose places were all taken, waited for in vain.
    busy: Option<&'a Target>,
    /// Time spent waiting for places so far.
    queued: Duration,
    /// A target that was not asked for want of a retry budget.
    refused: Option<&'a Target>,
}

/// An attempt under way.
pub(super) struct Runner<'a> {
    pub leg: Leg<'a>,
    pub begun: Instant,
    /// It was begun beside another, which was late.
    pub is_second: bool,
    /// Leave for it, where it is a retry.
    pub pass: Option<RetryPass<'a>>,
}

impl<'a> Runner<'a> {
    pub fn new(leg: Leg<'a>, pass: Option<RetryPass<'a>>) -> Self {
        Self { leg, begun: Instant::now(), is_second: false, pass }
    }

    fn note_wait(&self, delivery: &Delivery, streams: bool) {
        if self.leg.route.hedge.is_some() && delivery.reading.first_content.is_some() {
            self.leg.target.experience.waits.note(streams, self.begun.elapsed(), now());
        }
    }
}

impl<'a> Search<'a> {
    /// The next target to ask: by plan and fallbacks, or after a wait the last one again.
    async fn next(&mut self) -> Option<Leg<'a>> {
        let may_go_on = self.call.body.is_whole() && Instant::now() < self.deadline;
        if self.attempts_left == 0 || (self.left.is_some() && !may_go_on) {
            return None;
        }
        if let Some(leg) = self.legs.next(now()) {
            return Some(leg);
        }
        let (leg, wait) = self.again()?;
        self.asked_again += 1;
        // A client that leaves drops this with everything else.
        tokio::time::sleep(wait).await;
        Some(leg)
    }

    /// The last target and the wait after which it may be asked again, if it will be in service then.
    fn again(&self) -> Option<(Leg<'a>, Duration)> {
        let (leg, failed) = self.left.as_ref()?;
        let wait = self.on.bounds.backoff.wait(&failed.error, self.asked_again, fastrand::f64())?;
        let is_out = leg.target.health.exclusion(leg.model_sent(), now() + wait).is_some();
        let in_time = Instant::now() + wait < self.deadline;
        (in_time && (leg.panic || !is_out)).then_some((*leg, wait))
    }

    /// A place at the target of `leg`. Where none is free it is left for later, or waited for if nobody else is left.
    async fn seat(&mut self, leg: &Leg<'a>) -> Option<Seat> {
        let (upstream, model) = (&self.on.upstreams[leg.target.slot], leg.model_sent());
        if let Some(seat) = upstream.seat(model, leg.key, now()) {
            return Some(seat);
        }
        if !leg.waits && self.legs.is_more_than(leg) {
            self.legs.set_aside(leg);
            return None;
        }
        if !leg.panic && leg.target.health.exclusion(model, now()).is_some() {
            return None;
        }
        let (begun, waiting) = (Instant::now(), upstream.wait_for_seat(model, self.queued));
        let seat = tokio::time::timeout_at(self.deadline, waiting).await.ok().flatten();
        self.queued += begun.elapsed();
        self.busy = if seat.is_none() { Some(leg.target) } else { self.busy };
        seat
    }

    /// On what terms `leg` may be asked now, and leave where that is a retry or a last resort; none where it went out of
    /// service or its budget is used up.
    fn admit(&mut self, leg: &Leg<'a>) -> Option<(Terms<'a>, Option<RetryPass<'a>>)> {
        let (target, rules) = (leg.target, self.on.bounds.retries);
        let terms = Terms::of(leg, now())?;
        let pass = match terms {
            // There is no more than one of these at a time.
            Terms::OnTrial(_) => return Some((terms, None)),
            Terms::Ordinary | Terms::LastResort { in_part: true }
                if self.left.is_none() && self.call.said.is_none() =>
            {
                target.health.note_first_attempt(rules);
                return Some((terms, None));
            }
            Terms::Ordinary | Terms::LastResort { .. } => target.health.retry_pass(rules, now()),
        };
        if pass.is_none() {
            self.on.upstreams[target.slot].metrics.retry_refused();
            self.refused = Some(target);
        }
        Some((terms, Some(pass?)))
    }

    /// An attempt at `leg`, not yet begun.
    pub fn attempt(&self, leg: &Leg<'a>, end: &FinishGuard) -> AttemptOn<'a> {
        let upstream = &self.on.upstreams[leg.target.slot];
        let own_limit = Duration::from_millis(upstream.spec.timeouts.call_ms);
        AttemptOn {
            call: self.call,
            leg: *leg,
            upstream,
            call_started: end.record.started,
            deadline: self.deadline.min(Instant::now() + own_limit),
            more: self.attempts_left > 0 && self.legs.is_more_than(leg),
            refilters: self.attempts_left > 0 && self.legs.has_for(Cause::ContentFilter, leg),
            heard: is_heard(self.call, self.plan, leg.target),
            bounds: self.on.bounds,
        }
    }

    /// Books what came of an attempt.
    pub fn settle(
        &self,
        runner: Runner<'a>,
        result: Result<Delivery, Failed>,
        end: &mut FinishGuard,
    ) -> Result<Delivery, (Leg<'a>, Failed)> {
        let leg = runner.leg;
        if runner.is_second {
            leg.target.metrics.hedged(if result.is_ok() { HedgeResult::Won } else { HedgeResult::Failed });
        }
        match result {
            Ok(delivery) => {
                runner.note_wait(&delivery, self.call.streams());
                Ok(delivery)
            }
            Err(failed) => {
                end.refused_by(&failed, &leg, &self.on.upstreams[leg.target.slot]);
                if let Some(pass) =
                    runner.pass.filter(|_| failed.error.retry != Retry::Never && !failed.unsayable)
                {
                    pass.spend();
                }
                Err((leg, failed))
            }
        }
    }

    /// An attempt at `to` follows the failed one: that may cost twice, and it may be a failover.
    fn leave_last(&mut self, to: usize) {
        let Some((from, failed)) = self.left.take() else { return };
        self.note_retry(from.target.slot, to, &failed);
        self.worst = Some(most_telling(self.worst.take(), failed.error));
    }

    pub fn note_retry(&self, from: usize, to: usize, failed: &Failed) {
        let metrics = &self.on.upstreams[from].metrics;
        if failed.sent {
            metrics.retried_after_send();
        }
        if from != to {
            metrics.failed_over(failed.error.kind);
        }
    }

    /// `leg` failed. An error ends the call.
    fn failed(&mut self, leg: Leg<'a>, failed: Failed) -> Result<(), Error> {
        if ends_the_call(&failed) {
            return Err(failed.error);
        }
        self.learn(leg, failed.error.kind);
        if failed.unsayable {
            // Who was not asked took no attempt, and whoever is asked next is not asked again.
            self.attempts_left += 1;
            self.worst = Some(most_telling(self.worst.take(), failed.error));
        } else {
            self.left = Some((leg, failed));
        }
        Ok(())
    }

    fn learn(&mut self, leg: Leg<'a>, kind: Kind) {
        self.legs.failed(&leg, kind);
        // A refusal of one key says nothing of the others: when nobody else is left, the next key is tried.
        if is_about_the_key(kind) && leg.target.health.has_usable_key(now()) {
            self.legs.again(&leg);
        }
    }

    /// Of two attempts that ran side by side and failed, the one that decides about the call: the last, unless only the
    /// earlier one ends it. Of the other it is known then that it failed.
    pub fn decisive(&mut self, earlier: (Leg<'a>, Failed), last: (Leg<'a>, Failed)) -> (Leg<'a>, Failed) {
        let (decisive, other) = match ends_the_call(&earlier.1) {
            true => (earlier, last),
            false => (last, earlier),
        };
        self.learn(other.0, other.1.error.kind);
        self.worst = Some(most_telling(self.worst.take(), other.1.error));
        decisive
    }

    /// The answer when nothing was left to try.
    fn exhausted(self) -> Error {
        let told = match self.left {
            Some((_, last)) => Some(most_telling(self.worst, last.error)),
            None => self.worst,
        };
        let mut error = told.unwrap_or_else(|| self.busy.map_or_else(|| refused_all(self.plan), no_place));
        // A vendor's own words stay as they are.
        if let Some(target) = self.refused.filter(|_| error.body.is_none()) {
            let said = format!(" `{}` was not asked: its retry budget is used up.", target.upstream);
            error.message.push_str(&said);
        }
        if matches!(error.kind, Kind::KeyRefused | Kind::ModelMissing) {
            error.should_retry = error.should_retry.or(Some(false));
        }
        error
    }
}

pub(super) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// Whether nobody else is asked after this failure. Where the window or a filter is the trouble, the route may know better.
fn ends_the_call(failed: &Failed) -> bool {
    let has_remedy = matches!(failed.error.kind, Kind::ContextLength | Kind::ContentFilter);
    failed.error.retry == Retry::Never && !has_remedy
}

/// Refusals that another key of the same upstream may not meet.
pub fn is_about_the_key(kind: Kind) -> bool {
    matches!(kind, Kind::KeyRefused | Kind::RateLimited)
}
