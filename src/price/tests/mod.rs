//! Prices from outside: the built-in book and an operator's over it, in sums worked out by hand.

mod book;
mod edges;
mod vendors;

use super::PriceBook;
use super::calendar::moment;
use crate::api::usage::{ServiceTier, Usage};

/// A Saturday, and so no peak anywhere.
const NOON: &str = "2026-11-21T12:00:00Z";

fn usage(input: u64, output: u64) -> Usage {
    Usage { input, output, ..Usage::default() }
}

/// Checks what a call costs by the built-in book, in picos.
fn cost(vendor: &str, model: &str, usage: Usage, at: &str, tier: ServiceTier, picos: u64) {
    let price = PriceBook::built_in().price(vendor, model).unwrap_or_else(|| panic!("{vendor}/{model}"));
    let cost = price.cost(&usage, moment(at).unwrap(), tier).map(|it| it.picos());
    assert_eq!(cost, Some(picos), "{vendor}/{model} {usage:?} at {at}");
}
