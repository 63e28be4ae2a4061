//! Asks a second target beside one whose answer is late, and keeps the answer that begins first. Both are futures of one
//! task: dropping the slower one hangs up on it, and a client that leaves drops both.

use std::pin::pin;
use std::time::Duration;

use crate::api::money::Money;
use crate::error::Kind;
use crate::health::{CircuitState, Verdict};
use crate::route::ask::Ask;
use crate::route::hedge::HedgeRule;
use crate::route::legs::Leg;
use crate::route::reckon::figures;
use crate::telemetry::HedgeResult;
use crate::telemetry::{Attempt, EndpointKind};
use crate::upstream::Seat;
use crate::upstream::attempt::{AttemptOn, Failed, note_flip};
use crate::upstream::call::{Call, CallBody};
use crate::upstream::dispatch::{Delivery, Runner, Search, now};
use crate::upstream::finish::FinishGuard;
use crate::upstream::terms::Terms;

/// Whether a call may be asked twice at once: it is held whole, its answer is text or numbers, it is not the rest of one that
/// broke off, and nothing of it stays at the vendor, such as a job in the background that hanging up does not end.
fn may_be_doubled(call: &Call) -> bool {
    let kinds = [
        EndpointKind::Chat,
        EndpointKind::Completions,
        EndpointKind::Responses,
        EndpointKind::Messages,
        EndpointKind::GenerateContent,
        EndpointKind::Embeddings,
    ];
    let leaves_nothing = call.said.is_none() && call.vendors_own.is_none();
    matches!(call.body, CallBody::Json { .. }) && kinds.contains(&call.kind) && leaves_nothing
}

/// When a route's rule asks a second target.
pub(super) struct Hedging<'a> {
    rule: &'a HedgeRule,
    wait: Duration,
}

impl<'a> Hedging<'a> {
    /// `None` where the first target of the two is waited for alone.
    pub fn of(call: &Call, leg: &Leg<'a>) -> Option<Self> {
        let rule = leg.route.hedge.as_ref().filter(|_| !leg.panic && may_be_doubled(call))?;
        rule.note_attempt(now());
        let wait = rule.wait(leg.target, call.streams())?;
        Some(Self { rule, wait })
    }

    /// The second target with a place there, once its price is paid; none where it has no free place, or no retries left in
    /// its budget: what fails is not hedged with.
    fn second(&self, search: &mut Search<'a>, first: &Leg<'a>) -> Option<(Runner<'a>, Seat)> {
        let (plan, rules, now) = (search.plan, search.on.bounds.retries, now());
        if search.attempts_left == 0 {
            return None;
        }
        let (mut pass, mut seat) = (None, None);
        let leg = search.legs.beside(first, now, |second| {
            seat = search.on.upstreams[second.target.slot].seat(second.model_sent(), second.key, now);
            pass = second.target.health.retry_pass(rules, now);
            seat.is_some() && pass.is_some() && self.rule.charge(cost_of_hedge(&plan.ask, first, second), now)
        })?;
        search.attempts_left -= 1;
        Some((Runner { is_second: true, ..Runner::new(leg, pass) }, seat?))
    }
}

/// The dearer of the two: which of them will have been for nothing is not known before.
fn cost_of_hedge(ask: &Ask, first: &Leg<'_>, second: &Leg<'_>) -> Option<Money> {
    let cost = |leg: &Leg<'_>| {
        let ask = Ask { model: leg.model.into(), ..ask.clone() };
        figures(leg.route, leg.target, &ask, now()).cost
    };
    Some(cost(first)?.max(cost(second)?))
}

impl<'a> Search<'a> {
    /// Asks the target of `one`, and a second one beside it when its answer is late. Of two that fail, the failure that
    /// decides about the call is given back; the record has both.
    pub(super) async fn race(
        &mut self,
        one: Runner<'a>,
        (terms, seat): (Terms<'a>, Seat),
        hedging: Hedging<'a>,
        end: &mut FinishGuard,
    ) -> Result<Delivery, (Leg<'a>, Failed)> {
        let attempt = self.attempt(&one.leg, end);
        let on_trial = matches!(terms, Terms::OnTrial(_));
        let mut first = pin!(attempt.run(terms, seat));
        let second = match tokio::time::timeout(hedging.wait, &mut first).await {
            Ok(result) => return self.settle(one, result, end),
            Err(_) => hedging.second(self, &one.leg),
        };
        let Some((two, seat)) = second else {
            let result = first.await;
            return self.settle(one, result, end);
        };
        let attempt = AttemptOn { more: true, ..self.attempt(&two.leg, end) };
        let mut second = pin!(attempt.run(Terms::Ordinary, seat));
        one.mark(end);
        end.asks(two.leg.target, two.leg.model_sent());
        let (result, ended, other) = tokio::select! {
            biased;
            result = &mut first => (result, one, two),
            result = &mut second => (result, two, one),
        };
        // The mark of the one that was late: now it is known which of the two is given up, if any.
        end.record.failed_attempts.pop();
        if result.is_ok() {
            self.give_up(&other, on_trial && !other.is_second, end);
            end.asks(ended.leg.target, ended.leg.model_sent());
        }
        let earlier = match self.settle(ended, result, end) {
            Ok(delivery) => return Ok(delivery),
            Err(earlier) => earlier,
        };
        if other.is_second {
            self.note_retry(earlier.0.target.slot, other.leg.target.slot, &earlier.1);
        }
        end.asks(other.leg.target, other.leg.model_sent());
        let result = if other.is_second { second.await } else { first.await };
        let last = match self.settle(other, result, end) {
            Ok(delivery) => return Ok(delivery),
            Err(last) => last,
        };
        Err(self.decisive(earlier, last))
    }

    /// The other one answered first. A trial that came too late is one that failed: were it only given up, a vendor that
    /// hangs would be tried again with every call.
    fn give_up(&self, loser: &Runner<'a>, on_trial: bool, end: &mut FinishGuard) {
        loser.mark(end);
        loser.lost(self.call.streams(), end);
        let (target, now) = (loser.leg.target, now());
        if on_trial && target.health.circuit(now) != CircuitState::Closed {
            note_flip(&self.on.upstreams[target.slot], target.health.conclude(Verdict::Failed, now));
        }
    }
}

impl Runner<'_> {
    /// Puts it into the record as given up, which it is unless the other one fails or is slower still.
    fn mark(&self, end: &mut FinishGuard) {
        let attempt = Attempt {
            upstream: self.leg.target.upstream.clone(),
            error: Kind::Hedged,
            status: None,
            elapsed: self.begun.elapsed(),
            sent: true,
            cost: end.wasted(&self.leg),
        };
        end.record.failed_attempts.push(attempt);
    }

    /// The other one answered first. What this one was waited for is a sample too: without it the target would seem ever
    /// faster.
    fn lost(&self, streams: bool, end: &FinishGuard) {
        let (target, waited, now) = (self.leg.target, self.begun.elapsed(), now());
        target.experience.waits.note(streams, waited, now);
        if streams {
            target.experience.pace.first_token(waited, now);
        }
        target.metrics.costs.wasted(end.wasted(&self.leg).unwrap_or_default());
        if self.is_second {
            target.metrics.hedged(HedgeResult::Lost);
        }
    }
}
