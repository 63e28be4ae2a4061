//! Orders a route's targets for one call and says why each stands where it does. Pure: health is read, time is given.
//! Called by `edge` once per call and by `explain`. It does not retry: that is `upstream::dispatch`.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::health;
use crate::names::UpstreamId;
use crate::route::ask::Ask;
use crate::route::fit::{Misfit, misfit};
use crate::route::policy;
use crate::route::reckon::{Figures, figures};
use crate::route::table::Route;
use crate::route::target::Target;

/// The targets of one call in the order they are tried.
pub struct Plan {
    pub route: Arc<Route>,
    pub ask: Ask,
    pub targets: Vec<Arc<Target>>,
    /// Nothing healthy was left: the targets are out, least recently failed first.
    pub panic: bool,
    /// Nobody else could serve the call: the route's fallbacks are not asked either.
    pub is_final: bool,
    /// Targets left out, and why.
    pub excluded: Vec<(Arc<Target>, Exclusion)>,
    /// The key that holds the conversation's prefix at a target, by the target's fingerprint.
    pub warm_key: Option<(u32, usize)>,
}

/// Why a target is left out of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Exclusion {
    /// It could serve the call, but not now.
    Unwell(health::Exclusion),
    /// It cannot serve this call.
    Unfit(Misfit),
}

impl Exclusion {
    /// The word that labels it in metrics, one of [`crate::telemetry::EXCLUSIONS`].
    pub fn label(&self) -> &'static str {
        match self {
            Exclusion::Unwell(why) => why.label(),
            Exclusion::Unfit(why) => why.label(),
        }
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exclusion::Unwell(why) => f.write_str(why.as_str()),
            Exclusion::Unfit(why) => why.fmt(f),
        }
    }
}

/// A target and what is expected of it for this call.
pub struct Candidate<'a> {
    pub target: &'a Arc<Target>,
    pub figures: Figures,
}

/// Plans `ask` over `route`.
pub fn plan(route: &Arc<Route>, ask: Ask, now: Instant) -> Plan {
    plan_with(route, ask, now, &fastrand::f64)
}

/// The same with dice of the caller's.
pub fn plan_with(route: &Arc<Route>, ask: Ask, now: Instant, dice: &impl Fn() -> f64) -> Plan {
    let mut sifted = sift(route, &ask, now);
    let panic = sifted.candidates.is_empty() && sifted.doubtful.is_empty();
    let mut candidates = sifted.candidates;
    let warm = ask.conversation.and_then(|it| route.warmth.of(it, now));
    if panic {
        candidates = last_resorts(&sifted.unwell);
    } else if candidates.is_empty() {
        sifted.doubtful.sort_by_key(|(_, why)| why.doubt());
        candidates = sifted.doubtful.into_iter().map(|(it, _)| it).collect();
    } else {
        match ask.conversation.filter(|_| ask.sticks) {
            Some(conversation) => policy::stick(route, &mut candidates, conversation, &ask.model),
            None => {
                policy::order(route, &mut candidates, dice);
                if let Some(warm) = warm {
                    policy::stay(route, &mut candidates, warm, &ask.model);
                }
            }
        }
        policy::spare(&mut candidates, dice);
        candidates.extend(too_small_untrimmed(sifted.doubtful, &ask));
    }
    let targets = candidates.iter().map(|it| Arc::clone(it.target)).collect();
    let unwell = sifted.unwell.iter().map(|(it, why)| (Arc::clone(it.target), Exclusion::Unwell(*why)));
    let excluded = sifted.excluded.into_iter().chain(unwell).collect();
    let warm_key = warm.map(|it| (it.target, it.key));
    let mut plan =
        Plan { route: Arc::clone(route), ask, targets, panic, is_final: false, excluded, warm_key };
    plan.try_canary(now, dice);
    plan
}

/// Those whose window holds the call once the history of its session is shortened: they come behind those that hold all.
fn too_small_untrimmed<'a>(doubtful: Vec<(Candidate<'a>, Misfit)>, ask: &Ask) -> Vec<Candidate<'a>> {
    let holds_shortened = |why: &Misfit| match why {
        Misfit::Context { needs, holds } => needs.saturating_sub(ask.history_tokens) <= *holds,
        _ => false,
    };
    let mut small = doubtful;
    small.retain(|(_, why)| ask.history_tokens > 0 && holds_shortened(why));
    small.sort_by_key(|(_, why)| why.doubt());
    small.into_iter().map(|(it, _)| it).collect()
}

/// A route's targets by whether they may serve one call.
struct Sifted<'a> {
    candidates: Vec<Candidate<'a>>,
    /// Fit in every way but one, which is an estimate.
    doubtful: Vec<(Candidate<'a>, Misfit)>,
    unwell: Vec<(Candidate<'a>, health::Exclusion)>,
    excluded: Vec<(Arc<Target>, Exclusion)>,
}

fn sift<'a>(route: &'a Route, ask: &Ask, now: Instant) -> Sifted<'a> {
    let mut sifted = Sifted {
        candidates: Vec::with_capacity(route.targets.len()),
        doubtful: Vec::new(),
        unwell: Vec::new(),
        excluded: Vec::new(),
    };
    let reckons = route.reckons();
    for target in &route.targets {
        // A call that can go to one place only is not reckoned.
        let figures = if reckons { figures(route, target, ask, now) } else { Figures::UNRECKONED };
        let candidate = Candidate { target, figures };
        let misfit = misfit(route, target, ask, &candidate.figures);
        let unwell = target.health.exclusion(target.model_for(&ask.model), now);
        match (misfit, unwell) {
            (None, None) => sifted.candidates.push(candidate),
            (None, Some(why)) => sifted.unwell.push((candidate, why)),
            (Some(misfit), Some(why)) if misfit.doubt().is_some() => sifted.unwell.push((candidate, why)),
            (Some(why), unwell) => {
                sifted.excluded.push((Arc::clone(target), Exclusion::Unfit(why.clone())));
                if why.doubt().is_some() && unwell.is_none() {
                    sifted.doubtful.push((candidate, why));
                }
            }
        }
    }
    sifted
}

impl Plan {
    /// The model the client asked of the route.
    pub fn model(&self) -> &str {
        &self.ask.model
    }

    /// Whoever knows what the call goes on from comes first: it needs not be told.
    pub fn prefer(&mut self, upstream: &UpstreamId) {
        self.targets.sort_by_key(|it| it.upstream != *upstream);
    }

    /// Leaves the targets at this upstream, which alone knows what the call names, in service or not. Where there are none,
    /// as the route was changed since, all stay.
    pub fn keep_to(&mut self, upstream: &UpstreamId) {
        let is_there = |it: &Arc<Target>| it.upstream == *upstream;
        if self.targets.iter().any(is_there) {
            self.targets.retain(is_there);
            self.is_final = true;
            return;
        }
        let out = self.excluded.iter().filter_map(|(it, why)| match why {
            Exclusion::Unwell(why) if is_there(it) => Some((it, why)),
            _ => None,
        });
        if out.clone().next().is_some() {
            let left = out.filter(|(_, why)| why.yields_in_panic()).map(|(it, _)| Arc::clone(it));
            self.targets = left.collect();
            (self.panic, self.is_final) = (true, true);
        }
    }

    /// Counts the targets that were left out.
    pub fn count_exclusions(&self) {
        for (target, why) in &self.excluded {
            target.metrics.excluded(why.label());
        }
    }

    /// Whether no target could serve the call even if all were in service.
    pub fn fits_nowhere(&self) -> bool {
        !self.excluded.is_empty() && self.excluded.iter().all(|(_, why)| matches!(why, Exclusion::Unfit(_)))
    }

    /// Whether every target is one whose window is estimated too small.
    pub fn is_too_small(&self) -> bool {
        let is_small = |target| {
            let is_it = |(it, why): &(Arc<Target>, Exclusion)| {
                Arc::ptr_eq(it, target) && matches!(why, Exclusion::Unfit(Misfit::Context { .. }))
            };
            self.excluded.iter().any(is_it)
        };
        !self.targets.is_empty() && self.targets.iter().all(is_small)
    }

    /// Whether every target that could serve the call waits out a rate limit.
    pub fn is_cooling(&self) -> bool {
        let unwell = || self.excluded.iter().filter(|(_, why)| matches!(why, Exclusion::Unwell(_)));
        let is_cooling = |why: &Exclusion| *why == Exclusion::Unwell(health::Exclusion::KeysCooling);
        self.panic && unwell().next().is_some() && unwell().all(|(_, why)| is_cooling(why))
    }

    /// A share of the calls goes to the canary first, unless it cannot serve them; a conversation stays on its side.
    fn try_canary(&mut self, now: Instant, dice: &impl Fn() -> f64) {
        let Some(canary) = &self.route.canary else { return };
        let drawn = match self.ask.conversation {
            Some(conversation) => conversation % 100,
            None => (dice() * 100.0) as u64,
        };
        let target = &canary.target;
        let in_service = target.health.exclusion(target.model_for(&self.ask.model), now).is_none();
        let fits = || {
            let figures = figures(&self.route, target, &self.ask, now);
            misfit(&self.route, target, &self.ask, &figures).is_none()
        };
        if drawn < u64::from(canary.percent) && in_service && fits() {
            let target = Arc::clone(target);
            // One of the route's own may be on trial as well; it is asked once.
            self.targets.retain(|it| it.upstream != target.upstream || it.model != target.model);
            self.targets.insert(0, target);
        }
    }

    /// What is left to try behind `target`; none where nothing is.
    pub fn behind(&self, target: &Arc<Target>) -> Option<Self> {
        let place = self.targets.iter().position(|it| Arc::ptr_eq(it, target))?;
        let left = Self {
            route: Arc::clone(&self.route),
            ask: self.ask.clone(),
            targets: self.targets[place + 1..].to_vec(),
            panic: self.panic,
            is_final: self.is_final,
            excluded: Vec::new(),
            warm_key: self.warm_key,
        };
        (!left.targets.is_empty()).then_some(left)
    }
}

/// When all are out, trying beats refusing, except where an operator or a vendor's accounting said no.
fn last_resorts<'a>(unwell: &[(Candidate<'a>, health::Exclusion)]) -> Vec<Candidate<'a>> {
    let mut candidates: Vec<_> = unwell
        .iter()
        .filter(|(_, why)| why.yields_in_panic())
        .map(|(it, _)| Candidate { target: it.target, figures: it.figures })
        .collect();
    policy::last_failed_first(&mut candidates);
    candidates
}
