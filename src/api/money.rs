//! Amounts of money: whole numbers, so that a million sums are as exact as one.

use std::fmt;

/// An amount in pico-dollars (1e-12 USD): at that size a price of 0.000001 USD per million tokens is still a whole
/// number per token. Up to 18 million USD; what goes beyond stays there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u64);

/// Digits behind the point of an amount in USD.
const DECIMALS: i64 = 12;

impl Money {
    pub const ZERO: Self = Self(0);

    pub const fn from_picos(picos: u64) -> Self {
        Self(picos)
    }

    pub const fn picos(self) -> u64 {
        self.0
    }

    /// The sum, or the largest amount there is.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Reads a decimal number of USD as JSON writes it (`0.00014`, `1.4e-4`), without a detour over binary fractions.
    /// Digits behind the twelfth are cut off. None: no such number, negative, or too large.
    pub fn from_usd_decimal(text: &str) -> Option<Self> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|it| it.is_ascii_digit()) {
            return None;
        }
        let first = i64::try_from(whole.len()).ok()? - 1 + DECIMALS + i64::from(exponent);
        let mut picos = 0_u64;
        for (power, digit) in (i64::MIN..=first).rev().zip(whole.bytes().chain(fraction.bytes())) {
            if power >= 0 && digit != b'0' {
                let unit = 10_u64.checked_pow(u32::try_from(power).ok()?)?;
                picos = picos.checked_add(unit.checked_mul(u64::from(digit - b'0'))?)?;
            }
        }
        Some(Self(picos))
    }
}

/// Plain decimal USD, without exponent and trailing zeros.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PICOS: u64 = 1_000_000_000_000;
        let (whole, fraction) = (self.0 / PICOS, self.0 % PICOS);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let fraction = format!("{fraction:012}");
        write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_number_is_read_to_the_last_digit() {
        let check =
            |text, picos| assert_eq!(Money::from_usd_decimal(text).map(Money::picos), picos, "{text}");
        check("0", Some(0));
        check("0.00014", Some(140_000_000));
        check("1.4e-4", Some(140_000_000));
        check("12E-7", Some(1_200_000));
        check("1e-12", Some(1));
        check("0.0000000000019", Some(1));
        check("0.0000000000009", Some(0));
        check("18446744.073709551615", Some(u64::MAX));
        check("18446744.073709551616", None);
        check("0e99999", Some(0));
        check("1e99999", None);
        check("1e-99999", Some(0));
        for bad in ["", "-1", ".5", "x", "1e", "1e5e5", "null", "NaN"] {
            check(bad, None);
        }
    }

    #[test]
    fn an_amount_prints_as_a_plain_decimal() {
        let check = |picos, text| assert_eq!(Money::from_picos(picos).to_string(), text);
        check(0, "0");
        check(123_450_000, "0.00012345");
        check(12_500_000_000_000, "12.5");
        check(1, "0.000000000001");
        check(3_000_000_000_000, "3");
        assert_eq!(Money::from_picos(u64::MAX).plus(Money::from_picos(1)).picos(), u64::MAX);
    }
}
