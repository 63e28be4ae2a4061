//! Orders a route's targets for one call and says why each stands where it does. Pure: health is read, time is given.
//! Called by `edge` once per call and by `explain`. It does not retry: that is `upstream::dispatch`.

use std::sync::Arc;
use std::time::Instant;

use crate::health::Exclusion;
use crate::route::options::PolicyName;
use crate::route::table::{Route, Target};

/// The targets of one call in the order they are tried.
pub struct Plan {
    pub route: Arc<Route>,
    /// The model the client asked of the route.
    pub model: String,
    pub targets: Vec<Arc<Target>>,
    /// Nothing healthy was left: the targets are out, least recently failed first.
    pub panic: bool,
    /// Targets left out, and why.
    pub excluded: Vec<(Arc<Target>, Exclusion)>,
}

/// Plans a call of `model` over `route`.
pub fn plan(route: &Arc<Route>, model: &str, now: Instant) -> Plan {
    let mut targets = Vec::with_capacity(route.targets.len());
    let mut excluded = Vec::new();
    for target in &route.targets {
        match target.health.exclusion(target.model_for(model), now) {
            None => targets.push(Arc::clone(target)),
            Some(why) => excluded.push((Arc::clone(target), why)),
        }
    }
    let panic = targets.is_empty();
    if panic {
        targets = last_resorts(&excluded);
    } else if route.policy == PolicyName::Weighted {
        shuffle_by_weight(&mut targets, fastrand::f64);
    }
    Plan { route: Arc::clone(route), model: model.to_owned(), targets, panic, excluded }
}

impl Target {
    /// The name the vendor is asked for when the client asked for `model`.
    pub fn model_for<'a>(&'a self, model: &'a str) -> &'a str {
        self.model.as_ref().map_or(model, |it| it.as_str())
    }
}

/// When all are out, trying beats refusing, except where an operator or a vendor's accounting said no.
fn last_resorts(excluded: &[(Arc<Target>, Exclusion)]) -> Vec<Arc<Target>> {
    let mut targets: Vec<_> = excluded
        .iter()
        .filter(|(_, why)| why.yields_in_panic())
        .map(|(target, _)| Arc::clone(target))
        .collect();
    targets.sort_by_key(|it| it.health.last_failure_ms());
    targets
}

/// Weighted order without replacement (Efraimidis and Spirakis 2006: sort by `u^(1/w)`, here by `-ln(u)/w`).
/// Weight 0 comes last, in the order written.
fn shuffle_by_weight(targets: &mut [Arc<Target>], random: impl Fn() -> f64) {
    targets.sort_by_cached_key(|it| match it.weight {
        0 => u64::MAX,
        weight => (-(random().max(f64::MIN_POSITIVE)).ln() / f64::from(weight) * 1e12) as u64,
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::health::{CircuitOptions, UpstreamHealth, Verdict};
    use crate::names::UpstreamId;
    use crate::telemetry::metrics::Metrics;

    fn route(policy: PolicyName, weights: &[u32]) -> Arc<Route> {
        let metrics = Metrics::new();
        let target = |(slot, weight): (usize, &u32)| {
            let upstream = UpstreamId::from(slot.to_string());
            let options = CircuitOptions { failures: 1, ..CircuitOptions::default() };
            Arc::new(Target {
                metrics: metrics.target("r", upstream.as_str()),
                upstream,
                slot,
                model: None,
                weight: *weight,
                health: Arc::new(UpstreamHealth::new(options, 1)),
            })
        };
        let targets = weights.iter().enumerate().map(target).collect();
        Arc::new(Route {
            label: "r".into(),
            policy,
            targets,
            defaults: Vec::new(),
            off: Vec::new(),
            system: None,
            single_flight: None,
            shadow: None,
        })
    }

    fn order(plan: &Plan) -> Vec<usize> {
        plan.targets.iter().map(|it| it.slot).collect()
    }

    #[test]
    fn priority_is_the_order_written_without_those_that_are_out() {
        let route = route(PolicyName::Priority, &[1, 1, 1]);
        let now = Instant::now();
        route.targets[0].health.set_drained(true);
        let plan = plan(&route, "m", now);
        assert_eq!(order(&plan), [1, 2]);
        assert_eq!(plan.excluded[0].1, Exclusion::Drained);
    }

    #[test]
    fn when_all_are_out_the_least_recently_failed_is_tried_but_never_a_drained_one() {
        let route = route(PolicyName::Priority, &[1, 1, 1]);
        let now = Instant::now();
        route.targets[0].health.note(Verdict::Failed, now + Duration::from_millis(900));
        route.targets[1].health.note(Verdict::Failed, now + Duration::from_millis(500));
        route.targets[2].health.set_drained(true);
        let plan = plan(&route, "m", now + Duration::from_millis(950));
        assert!(plan.panic);
        assert_eq!(order(&plan), [1, 0]);
    }

    #[test]
    fn weights_are_shares_and_zero_is_a_last_resort() {
        let route = route(PolicyName::Weighted, &[3, 1, 0]);
        let mut first = [0; 3];
        for _ in 0..4_000 {
            let plan = plan(&route, "m", Instant::now());
            first[plan.targets[0].slot] += 1;
            assert_eq!(plan.targets[2].slot, 2);
        }
        // 3,000 expected; six standard deviations are 164.
        assert!((2_836..=3_164).contains(&first[0]), "{first:?}");
    }
}
