//! Three hours of the day that `cargo bench --bench routing` replays, an outage and an hour of errors among them: what the
//! policies promise is measured against oracles.

use tollgate::route::options::PolicyName;

#[path = "../../benches/routing/day/mod.rs"]
mod replayed;

use replayed::{Outcome, Pilot, Span, Traffic, VENDORS, replay};

const SPAN: Span = Span { from: 11, to: 14 };

fn outcomes<const N: usize>(pilots: [Pilot; N]) -> [Outcome; N] {
    let traffic = Traffic::of(SPAN, 11);
    assert!(traffic.calls.len() > 5_000, "{} calls are no traffic", traffic.calls.len());
    let outcomes = pilots.map(|it| replay(&traffic, it));
    for (pilot, outcome) in pilots.iter().zip(&outcomes) {
        let served: usize = outcome.served.iter().sum();
        assert_eq!(served + outcome.failures, traffic.calls.len(), "{pilot:?} lost calls");
        assert_eq!(outcome.needless_failures, 0, "{pilot:?}: a vendor was in service");
    }
    outcomes
}

#[test]
fn cheapest_comes_close_to_an_oracle_and_far_below_the_order_written() {
    let priority = Pilot::Policy(PolicyName::Priority);
    let [cheapest, oracle, priority] =
        outcomes([Pilot::Policy(PolicyName::Cheapest), Pilot::CostOracle, priority]);
    let cost = |it: &Outcome| it.cost.picos() as f64;
    let above = cost(&cheapest) / cost(&oracle);
    assert!(above <= 1.05, "{above} of what the oracle paid");
    assert!(cost(&cheapest) <= 0.8 * cost(&priority), "{} against {}", cheapest.cost, priority.cost);
    assert!(cheapest.in_vain < cheapest.cost);
}

#[test]
fn fastest_comes_close_to_an_oracle() {
    let [fastest, oracle] = outcomes([Pilot::Policy(PolicyName::Fastest), Pilot::TimeOracle]);
    let above = fastest.whole_mean() / oracle.whole_mean();
    assert!(above <= 1.10, "{above} of the time under the oracle");
    assert_eq!((oracle.failed_attempts, oracle.in_vain.picos()), (0, 0));
}

#[test]
fn the_other_policies_use_every_vendor_in_service_and_a_day_can_be_replayed() {
    let weighted = Pilot::Policy(PolicyName::Weighted);
    let [first, again, balanced] = outcomes([weighted, weighted, Pilot::Policy(PolicyName::Balanced)]);
    assert_eq!(first, again);
    let total: u32 = VENDORS.iter().map(|it| it.weight).sum();
    for (vendor, served) in VENDORS.iter().zip(first.served) {
        let due = first.wholes.len() as f64 * f64::from(vendor.weight) / f64::from(total);
        // Limits and outages move calls to the others.
        assert!(served as f64 > 0.5 * due, "{}: {served} of {due}", vendor.name);
    }
    assert!(balanced.cost < first.cost && balanced.whole_mean() < first.whole_mean());
}
