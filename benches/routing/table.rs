//! The worth of each pilot's decisions as a Markdown table.

use std::time::Duration;

use tollgate::route::options::PolicyName;

use crate::day::{Outcome, Pilot, VENDORS};

/// The rows, top down.
pub const PILOTS: [(&str, Pilot); 7] = [
    ("`priority`", Pilot::Policy(PolicyName::Priority)),
    ("`weighted`", Pilot::Policy(PolicyName::Weighted)),
    ("`cheapest`", Pilot::Policy(PolicyName::Cheapest)),
    ("oracle of cost", Pilot::CostOracle),
    ("`fastest`", Pilot::Policy(PolicyName::Fastest)),
    ("oracle of time", Pilot::TimeOracle),
    ("`balanced`", Pilot::Policy(PolicyName::Balanced)),
];

pub fn head() -> String {
    let vendors: String = VENDORS.iter().map(|it| format!(" {} |", it.name)).collect();
    let rule = "--:|".repeat(6 + VENDORS.len());
    format!(
        "| | USD (of it in vain) | first token p50 · p99 | whole answer p50 | mean | failed calls | failed attempts |{vendors}\n|---|{rule}\n"
    )
}

pub fn row(name: &str, outcome: &Outcome) -> String {
    let seconds = |it: Duration| it.as_secs_f64();
    let (first, whole) = (sorted(&outcome.first_tokens), sorted(&outcome.wholes));
    let all: usize = outcome.served.iter().sum();
    let shares: String =
        outcome.served.iter().map(|it| format!(" {} % |", (100 * it + all / 2) / all.max(1))).collect();
    format!(
        "| {name} | {:.2} ({:.2}) | {:.2} · {:.2} s | {:.2} s | {:.3} s | {} | {} |{shares}\n",
        outcome.cost.picos() as f64 / 1e12,
        outcome.in_vain.picos() as f64 / 1e12,
        seconds(percentile(&first, 50)),
        seconds(percentile(&first, 99)),
        seconds(percentile(&whole, 50)),
        outcome.whole_mean(),
        outcome.failures,
        outcome.failed_attempts,
    )
}

fn sorted(waits: &[Duration]) -> Vec<Duration> {
    let mut sorted = waits.to_vec();
    sorted.sort_unstable();
    sorted
}

/// Of a sorted list; zero where it is empty.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let place = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(place).copied().unwrap_or_default()
}
