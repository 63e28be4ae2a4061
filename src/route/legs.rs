//! Which target is next: first a route's own, then its fallbacks by cause, then those that are out. Pure: failures are
//! told, health is read, time is given. Called by `upstream::dispatch`, once for each step of a call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::error::Kind;
use crate::health::CircuitState;
use crate::route::ask::Ask;
use crate::route::cause::{Cause, Fallback};
use crate::route::plan::{Plan, plan};
use crate::route::table::Route;
use crate::route::target::Target;

/// One target as a step of a call.
#[derive(Clone, Copy)]
pub struct Leg<'a> {
    pub target: &'a Arc<Target>,
    /// Whose defaults and system prompt go with the call.
    pub route: &'a Arc<Route>,
    /// The model that is asked of the route.
    pub model: &'a str,
    /// The target is out and tried because nothing else is left.
    pub panic: bool,
    /// It had no free place and comes back because nobody else is left.
    pub waits: bool,
    /// The key to prefer: the one whose account holds the conversation's prefix.
    pub key: Option<usize>,
}

impl<'a> Leg<'a> {
    /// The name the vendor is asked for.
    pub fn model_sent(&self) -> &'a str {
        self.target.model_for(self.model)
    }

    fn id(&self) -> (usize, &'a str) {
        (self.target.slot, self.model_sent())
    }
}

/// What is left to try of one call.
pub struct Legs<'a> {
    ask: &'a Ask,
    /// The route that is being walked; those it is a fallback of wait, the outermost first.
    frame: Option<Frame<'a>>,
    waiting: Vec<Frame<'a>>,
    /// Targets without a free place, tried again when all others in service are exhausted.
    full: VecDeque<Frame<'a>>,
    /// Targets that are out, tried when all else is exhausted.
    resorts: VecDeque<Frame<'a>>,
    /// Targets that failed, by upstream and model: however routes name each other, each is asked once. At most as many
    /// as a call has attempts.
    asked: Vec<(usize, &'a str)>,
    /// Routes that were begun, and for which model: whichever way one is reached again, it has nothing new to offer. At most
    /// as many as are configured.
    begun: Vec<(&'a Arc<Route>, &'a str)>,
}

/// A route on the way.
struct Frame<'a> {
    route: &'a Arc<Route>,
    model: &'a str,
    queue: VecDeque<Step<'a>>,
    panic: bool,
    waits: bool,
    /// The key that holds the conversation's prefix at a target, by the target's fingerprint.
    warm: Option<(u32, usize)>,
    /// A target met a rate limit, or all wait one out.
    rate_limited: bool,
    /// Causes whose fallbacks have been queued, or are not to be.
    taken: [bool; Cause::ALL.len()],
    /// The cause whose fallbacks are in the queue.
    moved: Option<Cause>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Target(&'a Arc<Target>),
    /// The same target with its next key.
    Again(&'a Arc<Target>),
    Route {
        route: &'a Arc<Route>,
        model: Option<&'a str>,
    },
}

impl<'a> From<&'a Fallback> for Step<'a> {
    fn from(fallback: &'a Fallback) -> Self {
        match fallback {
            Fallback::Target(target) => Step::Target(target),
            Fallback::Route { route, model } => {
                Step::Route { route, model: model.as_ref().map(|it| it.as_str()) }
            }
        }
    }
}

impl<'a> Frame<'a> {
    fn new(route: &'a Arc<Route>, model: &'a str, targets: impl Iterator<Item = &'a Arc<Target>>) -> Self {
        Self {
            route,
            model,
            queue: targets.map(Step::Target).collect(),
            panic: false,
            waits: false,
            warm: None,
            rate_limited: false,
            taken: [false; Cause::ALL.len()],
            moved: None,
        }
    }

    fn leg(&self, target: &'a Arc<Target>) -> Leg<'a> {
        let holds = |(holder, _): &(u32, usize)| *holder == target.fingerprint(self.model);
        let key = self.warm.filter(holds).map(|(_, key)| key);
        Leg { target, route: self.route, model: self.model, panic: self.panic, waits: self.waits, key }
    }

    /// Of `leg` alone, as what is left when its route has been walked.
    fn alone(leg: &Leg<'a>, step: Step<'a>) -> Self {
        let mut alone = Frame { panic: leg.panic, ..Frame::new(leg.route, leg.model, [].iter()) };
        alone.end_late();
        alone.queue.push_back(step);
        alone
    }

    /// Whether the fallbacks of `cause` are still to come.
    fn has(&self, cause: Cause) -> bool {
        !self.taken[cause as usize] && !self.route.on.of(cause).is_empty()
    }

    fn take(&mut self, cause: Cause) {
        self.taken[cause as usize] = true;
        self.moved = Some(cause);
        self.queue.clear();
        self.queue.extend(self.route.on.of(cause).iter().map(Step::from));
    }

    /// The cause of which fallbacks follow when the queue is empty.
    fn late(&self) -> Option<Cause> {
        if self.rate_limited && self.has(Cause::RateLimit) {
            return Some(Cause::RateLimit);
        }
        self.has(Cause::Any).then_some(Cause::Any)
    }

    /// The others of the queue would refuse the call as well, but for those with a context window beyond `window`.
    fn skip(&mut self, window: Option<u64>) {
        let model = self.model;
        let is_larger = |target: &Target| {
            let known = target.context(target.model_for(model));
            matches!((window, known), (Some(window), Some(known)) if known > window)
        };
        self.queue.retain(|step| matches!(step, Step::Target(it) | Step::Again(it) if is_larger(it)));
        self.end_late();
    }

    /// What the call asks is the trouble, not who was asked: these two help no more.
    fn end_late(&mut self) {
        self.taken[Cause::RateLimit as usize] = true;
        self.taken[Cause::Any as usize] = true;
    }
}

impl<'a> Legs<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        let mut legs = Self {
            ask: &plan.ask,
            frame: None,
            waiting: Vec::new(),
            full: VecDeque::new(),
            resorts: VecDeque::new(),
            asked: Vec::new(),
            begun: Vec::new(),
        };
        legs.enter(plan, &plan.route, &plan.ask.model, plan.targets.iter());
        legs
    }

    /// Begins with a route. Its fallbacks, if any, come before targets that are out.
    fn enter(
        &mut self,
        plan: &Plan,
        route: &'a Arc<Route>,
        model: &'a str,
        targets: impl Iterator<Item = &'a Arc<Target>>,
    ) {
        let mut frame = Frame { warm: plan.warm_key, ..Frame::new(route, model, targets) };
        // Why ask what cannot hold the prompt, where there is a place for prompts that are too long. By an estimate, though.
        if frame.has(Cause::ContextLength) && plan.is_too_small() {
            let own = std::mem::take(&mut frame.queue);
            frame.take(Cause::ContextLength);
            frame.queue.extend(own);
            frame.end_late();
        }
        if plan.panic {
            let mut out =
                Frame { queue: std::mem::take(&mut frame.queue), ..Frame::new(route, model, [].iter()) };
            out.panic = true;
            out.end_late();
            self.resorts.push_back(out);
            frame.rate_limited = plan.is_cooling();
        }
        self.begun.push((route, model));
        self.waiting.extend(self.frame.replace(frame));
    }

    fn has_begun(&self, route: &Arc<Route>, model: &str) -> bool {
        self.begun.iter().any(|(it, of)| Arc::ptr_eq(it, route) && *of == model)
    }

    fn enter_fallback(&mut self, route: &'a Arc<Route>, model: &'a str, now: Instant) {
        let ask = Ask { model: model.into(), ..self.ask.clone() };
        let planned = plan(route, ask, now);
        let all = || route.targets.iter().chain(route.canary.iter().map(|it| &it.target));
        let own = |it: &Arc<Target>| all().find(|own| Arc::ptr_eq(own, it));
        let targets: Vec<_> = planned.targets.iter().filter_map(own).collect();
        self.enter(&planned, route, model, targets.into_iter());
    }

    /// Only what is planned already is left.
    pub fn end_fallbacks(&mut self) {
        self.frame.iter_mut().for_each(|it| it.taken = [true; Cause::ALL.len()]);
    }

    /// The next target, in service or not: that may have changed since it was planned, and is for the caller to see.
    pub fn next(&mut self, now: Instant) -> Option<Leg<'a>> {
        loop {
            let Some(frame) = &mut self.frame else {
                self.frame = Some(self.full.pop_front().or_else(|| self.resorts.pop_front())?);
                continue;
            };
            match frame.queue.pop_front() {
                Some(Step::Again(target)) => return Some(frame.leg(target)),
                Some(Step::Target(target)) => {
                    let leg = frame.leg(target);
                    if !self.asked.contains(&leg.id()) {
                        return Some(leg);
                    }
                }
                Some(Step::Route { route, model }) => {
                    let model = model.unwrap_or(frame.model);
                    if !self.has_begun(route, model) {
                        self.enter_fallback(route, model, now);
                    }
                }
                None => match frame.late() {
                    Some(cause) => frame.take(cause),
                    None => self.frame = self.waiting.pop(),
                },
            }
        }
    }

    /// A target in service that may be asked beside `leg`, taken out of what is left if `agree` says so.
    pub fn beside(
        &mut self,
        leg: &Leg<'a>,
        now: Instant,
        agree: impl FnOnce(&Leg<'a>) -> bool,
    ) -> Option<Leg<'a>> {
        let frame = self.frame.as_mut()?;
        let candidate = |step: &Step<'a>| match step {
            Step::Target(target) => Some(frame.leg(target)),
            _ => None,
        };
        let is_free = |it: &Leg<'a>| {
            let health = &it.target.health;
            it.id() != leg.id()
                && !it.panic
                && !self.asked.contains(&it.id())
                && health.exclusion(it.model_sent(), now).is_none()
                && health.circuit(now) == CircuitState::Closed
        };
        let found = frame.queue.iter().position(|step| candidate(step).is_some_and(|it| is_free(&it)))?;
        let second = candidate(&frame.queue[found]).filter(agree)?;
        frame.queue.remove(found);
        Some(second)
    }

    /// Whether anything would be left to try if `leg` failed of no cause in particular.
    pub fn is_more_than(&self, leg: &Leg<'a>) -> bool {
        let frames = || self.frame.iter().chain(&self.waiting).chain(&self.full).chain(&self.resorts);
        frames().any(|it| self.has_steps(it, leg) || it.late().is_some())
    }

    fn has_steps(&self, frame: &Frame<'a>, leg: &Leg<'a>) -> bool {
        frame.queue.iter().any(|step| match step {
            Step::Target(target) => {
                let id = frame.leg(target).id();
                id != leg.id() && !self.asked.contains(&id)
            }
            Step::Route { route, model } => !self.has_begun(route, model.unwrap_or(frame.model)),
            Step::Again(_) => true,
        })
    }

    /// Whether a refusal of `leg` for what the call asks would lead anywhere.
    pub fn has_for(&self, cause: Cause, leg: &Leg<'a>) -> bool {
        let mut frames = self.frame.iter().chain(self.waiting.iter().rev());
        frames.any(|it| it.has(cause) || (it.moved == Some(cause) && self.has_steps(it, leg)))
    }

    /// The target of `leg` failed. Whether the call may go on is the caller's to say: it knows how the failure may be retried.
    pub fn failed(&mut self, leg: &Leg<'a>, kind: Kind) {
        self.asked.push(leg.id());
        match kind {
            Kind::RateLimited => self.frame.iter_mut().for_each(|it| it.rate_limited = true),
            Kind::ContextLength => {
                self.refused(Cause::ContextLength, leg.target.context(leg.model_sent()));
            }
            Kind::ContentFilter => self.refused(Cause::ContentFilter, None),
            _ => {}
        }
    }

    /// A refusal for what the call asks holds for all routes it is on the way of, up to the one that has a place for it.
    fn refused(&mut self, cause: Cause, window: Option<u64>) {
        for frame in self.frame.iter_mut().chain(self.waiting.iter_mut().rev()) {
            if frame.moved == Some(cause) {
                return;
            }
            if frame.has(cause) {
                frame.take(cause);
                return frame.end_late();
            }
            frame.skip(window);
        }
        self.full.iter_mut().chain(&mut self.resorts).for_each(|it| it.skip(window));
    }

    /// The target of `leg` has another key: it is tried once more, after the others.
    pub fn again(&mut self, leg: &Leg<'a>) {
        let step = Step::Again(leg.target);
        match &mut self.frame {
            Some(frame) => frame.queue.push_back(step),
            None => self.frame = Some(Frame::alone(leg, step)),
        }
    }

    /// The target of `leg` has no free place: it comes back when the others in service are exhausted.
    pub fn set_aside(&mut self, leg: &Leg<'a>) {
        let frame = Frame::alone(leg, Step::Target(leg.target));
        self.full.push_back(Frame { waits: true, ..frame });
    }
}
