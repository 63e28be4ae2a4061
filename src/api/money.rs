//! Money as whole numbers: no sum of prices is ever rounded on its way.

use std::fmt;

/// Pico-dollars (1e-12 USD): a price of 0.000001 USD per million tokens is still a whole number per token.
/// At most 18,446,744 USD; sums beyond stay there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u64);

const PICOS_PER_DOLLAR: u64 = 1_000_000_000_000;

impl Money {
    pub const ZERO: Self = Self(0);

    pub const fn from_picos(picos: u64) -> Self {
        Self(picos)
    }

    pub const fn picos(self) -> u64 {
        self.0
    }

    /// The sum, or the greatest amount there is.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Dollars in plain decimals without exponent or trailing zeros: `0.00012345`, `0`, `12.5`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, picos) = (self.0 / PICOS_PER_DOLLAR, self.0 % PICOS_PER_DOLLAR);
        if picos == 0 {
            return write!(f, "{dollars}");
        }
        let decimals = format!("{picos:012}");
        write!(f, "{dollars}.{}", decimals.trim_end_matches('0'))
    }
}

/// Decimals that [`millionths`] takes: with them an amount per million tokens is a whole number of picos per token.
const DECIMALS: usize = 6;

/// A decimal text such as `0.0375` in millionths, exactly. In USD per million tokens that is pico-dollars per token.
/// At most a million, with at most six decimals; the error is worded to follow the name of what is wrong.
pub fn millionths(text: &str) -> Result<u64, &'static str> {
    const SHAPE: &str = "must be a plain decimal number, such as 0.0375";
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    if !is_digits(whole) || !is_digits(decimals) {
        return Err(SHAPE);
    }
    let decimals = decimals.trim_end_matches('0');
    if decimals.len() > DECIMALS {
        return Err("must not have more than six decimals");
    }
    let fraction: u64 = format!("{decimals:0<DECIMALS$}").parse().map_err(|_| SHAPE)?;
    // More digits than a u64 holds are too much as well.
    let whole: u64 = whole.parse().unwrap_or(u64::MAX);
    let amount = whole.saturating_mul(1_000_000).saturating_add(fraction);
    if amount > MILLIONTHS_MAX { Err("must be at most 1000000") } else { Ok(amount) }
}

const MILLIONTHS_MAX: u64 = 1_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_print_as_plain_decimals() {
        let check = |picos: u64, text: &str| assert_eq!(Money::from_picos(picos).to_string(), text);
        check(0, "0");
        check(1, "0.000000000001");
        check(123_450_000, "0.00012345");
        check(12_500_000_000_000, "12.5");
        check(3_000_000_000_000, "3");
        check(u64::MAX, "18446744.073709551615");
    }

    #[test]
    fn sums_stay_at_the_greatest_amount() {
        let most = Money::from_picos(u64::MAX);
        assert_eq!(Money::from_picos(2).plus(Money::from_picos(3)).picos(), 5);
        assert_eq!(most.plus(Money::from_picos(1)), most);
    }

    #[test]
    fn decimals_are_read_exactly() {
        let check = |text: &str, expected| assert_eq!(millionths(text).ok(), expected, "{text}");
        check("0.0375", Some(37_500));
        check("0", Some(0));
        check("10", Some(10_000_000));
        check("1.50162", Some(1_501_620));
        check("0.000001", Some(1));
        check("0.1000000000", Some(100_000));
        check("1000000", Some(1_000_000_000_000));
        for text in ["0.0000001", "1000000.000001", "99999999999999999999999", "-1", "+1", "1e3", "1.", ".5"]
        {
            check(text, None);
        }
        for text in ["", ".", "1.2.3", "1,5", " 1", "NaN", "0x1", "1_000"] {
            check(text, None);
        }
    }
}
