//! The one sum: what usage costs at a price. Whole numbers throughout; one rounding, at the end, half up.

use super::Price;
use super::rates::{Denomination, Rates, Row};
use crate::api::money::Money;
use crate::api::usage::{ServiceTier, Usage};

/// What a call costs; `None` where that is unknown, which is not 0. What the vendor itself stated wins.
pub fn cost(price: Option<&Price>, usage: &Usage, at: u64, tier: ServiceTier) -> Option<Money> {
    usage.stated_cost.or_else(|| Some(price?.row(at)?.cost(usage, at, tier)))
}

impl Price {
    /// What a call costs that the vendor serves at `at`, in seconds since 1970. `None`: no row is in force then.
    pub fn cost(&self, usage: &Usage, at: u64, tier: ServiceTier) -> Option<Money> {
        cost(Some(self), usage, at, tier)
    }
}

impl Row {
    /// What usage costs by this row. Service tiers multiply what tokens cost, not the fee of a request.
    fn cost(&self, usage: &Usage, at: u64, tier: ServiceTier) -> Money {
        let rates = self.rates_for(at, usage.input);
        let (tokens, fee) = (tokens(rates, usage), u128::from(rates.per_request));
        let multiplier = self.multipliers[place(tier)];
        let picos = match (multiplier, self.money) {
            // The usual case takes no division.
            (1_000, Denomination::Dollars) => tokens.saturating_add(fee),
            (multiplier, money) => {
                let thousandths = (tokens * u128::from(multiplier)).saturating_add(fee * 1_000);
                converted(thousandths, money)
            }
        };
        Money::from_picos(u64::try_from(picos).unwrap_or(u64::MAX))
    }
}

/// Thousandths of a pico of that money in whole pico-dollars.
fn converted(thousandths: u128, money: Denomination) -> u128 {
    match money {
        Denomination::Dollars => divided(thousandths, 1_000),
        // Where the product is too great to hold, so is the quotient for the result.
        Denomination::Yuan { per_dollar } => {
            divided(thousandths.saturating_mul(1_000_000), 1_000 * u128::from(per_dollar.max(1)))
        }
    }
}

/// Rounded to the nearest, half up.
fn divided(dividend: u128, divisor: u128) -> u128 {
    dividend.saturating_add(divisor / 2) / divisor
}

/// Picos of the tokens, each in one part only. A vendor that counts a part greater than its whole is taken at the whole.
/// At most 2⁶⁴ tokens on each side at 10¹² picos: 10³² and no overflow.
fn tokens(rates: &Rates, usage: &Usage) -> u128 {
    let mut input = usage.input;
    let mut output = usage.output;
    let cached = take(&mut input, usage.cached_input);
    let cache_write = take(&mut input, usage.cache_write);
    let hour = usage.cache_write_1h.min(cache_write);
    let audio_input = take(&mut input, usage.audio_input);
    let reasoning = take(&mut output, usage.reasoning);
    let audio_output = take(&mut output, usage.audio_output);
    let parts = [
        (input, rates.input),
        (cached, rates.cached_input),
        (cache_write - hour, rates.cache_write),
        (hour, rates.cache_write_1h),
        (audio_input, rates.audio_input),
        (output, rates.output),
        (reasoning, rates.reasoning),
        (audio_output, rates.audio_output),
    ];
    parts.iter().map(|(tokens, rate)| u128::from(*tokens) * u128::from(*rate)).sum()
}

/// Takes a part out of what is left of a whole.
fn take(left: &mut u64, part: u64) -> u64 {
    let taken = part.min(*left);
    *left -= taken;
    taken
}

/// Where a tier's multiple stands. Capacity that was paid for beforehand is reckoned as if it were not.
fn place(tier: ServiceTier) -> usize {
    match tier {
        ServiceTier::Default | ServiceTier::Scale => 0,
        ServiceTier::Batch => 1,
        ServiceTier::Flex => 2,
        ServiceTier::Priority => 3,
    }
}
