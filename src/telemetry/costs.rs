//! Money in the metrics: counted in whole pico-dollars, shown in dollars.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::families::{counters, register};
use crate::api::money::Money;

/// Pico-dollars to the dollar.
const PICOS: f64 = 1e12;

/// Whose cost of the same calls is compared.
const COMPARED: [&str; 3] = ["served", "dearest", "default"];

/// Counters that hold pico-dollars; only what is shown is a fraction.
#[derive(Clone)]
pub struct MoneyCounters(IntCounterVec);

impl MoneyCounters {
    fn new(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Self {
        let opts = Opts::new(name, help).namespace("tollgate");
        let family = IntCounterVec::new(opts, labels).expect("names and labels are constants and valid");
        let money = Self(family);
        register(registry, money.clone());
        money
    }
}

impl Collector for MoneyCounters {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.0.collect();
        for metric in families.iter_mut().flat_map(|it| it.mut_metric().iter_mut()) {
            let mut counter = metric.get_counter().clone();
            counter.set_value(counter.get_value() / PICOS);
            metric.set_counter(counter);
        }
        families
    }
}

/// The families of costs, by route and upstream.
pub struct CostFamilies {
    cost: MoneyCounters,
    retry_cost: MoneyCounters,
    compared: MoneyCounters,
    unpriced: IntCounterVec,
    estimated: IntCounterVec,
}

impl CostFamilies {
    pub fn new(registry: &Registry) -> Self {
        let by_target = ["route", "upstream"];
        Self {
            cost: MoneyCounters::new(
                registry,
                "cost_usd_total",
                "What answers cost by the price book, in USD.",
                &by_target,
            ),
            retry_cost: MoneyCounters::new(
                registry,
                "retry_cost_usd_total",
                "Estimated cost of attempts whose answer no client saw, in USD.",
                &by_target,
            ),
            compared: MoneyCounters::new(
                registry,
                "compared_cost_usd_total",
                "What the same answers cost (served), would have cost at the route's dearest target, and at its first one \
                 (default), in USD.",
                &["route", "upstream", "at"],
            ),
            unpriced: counters(
                registry,
                "unpriced_calls_total",
                "Answers whose price is not known; they are in no sum of costs.",
                &by_target,
            ),
            estimated: counters(
                registry,
                "estimated_usage_total",
                "Answers whose tokens the vendor did not count and the gateway estimated.",
                &by_target,
            ),
        }
    }
}

/// The costs of one route at one upstream.
pub struct CostMetrics {
    cost: IntCounter,
    retry_cost: IntCounter,
    compared: [IntCounter; COMPARED.len()],
    unpriced: IntCounter,
    estimated: IntCounter,
}

/// What the same answer costs where it came from, and would have elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    pub served: Money,
    pub dearest: Money,
    /// At the target the route names first.
    pub default: Money,
}

impl CostMetrics {
    pub(super) fn new(families: &CostFamilies, route: &str, upstream: &str) -> Self {
        let labels = [route, upstream];
        Self {
            cost: families.cost.0.with_label_values(&labels),
            retry_cost: families.retry_cost.0.with_label_values(&labels),
            compared: COMPARED.map(|it| families.compared.0.with_label_values(&[route, upstream, it])),
            unpriced: families.unpriced.with_label_values(&labels),
            estimated: families.estimated.with_label_values(&labels),
        }
    }

    /// An answer was paid for; `None`: nobody knows how much.
    pub fn paid(&self, cost: Option<Money>, estimated: bool) {
        match cost {
            Some(cost) => self.cost.inc_by(cost.picos()),
            None => self.unpriced.inc(),
        }
        if estimated {
            self.estimated.inc();
        }
    }

    /// An attempt was probably paid for in vain.
    pub fn wasted(&self, cost: Money) {
        self.retry_cost.inc_by(cost.picos());
    }

    pub fn compared(&self, costs: Compared) {
        for (counter, cost) in self.compared.iter().zip([costs.served, costs.dearest, costs.default]) {
            counter.inc_by(cost.picos());
        }
    }

    pub(super) fn forget(families: &CostFamilies, route: &str, upstream: &str) {
        for family in [&families.cost.0, &families.retry_cost.0, &families.unpriced, &families.estimated] {
            let _ = family.remove_label_values(&[route, upstream]);
        }
        for at in COMPARED {
            let _ = families.compared.0.remove_label_values(&[route, upstream, at]);
        }
    }
}
