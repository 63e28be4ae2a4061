//! How far estimates are off at one target: its tokenizer is not ours, and its vendor may add tokens of its own.

use std::sync::atomic::{AtomicU32, Ordering};

/// 1 as a ratio.
const ONE: u32 = 1 << 16;

/// Bounds of a ratio: beyond them something other than a tokenizer is at work, such as a search that the vendor adds.
const LEAST: u32 = ONE / 4;
const MOST: u32 = ONE * 4;

/// The newest call counts one part in this many.
const MEMORY: i64 = 16;

/// Of shorter prompts nothing is learnt: what a vendor adds to every call would pass for its tokenizer's way. In tokens.
const ESTIMATE_MIN: u64 = 64;

/// The running mean of real by estimated tokens, from 0.25 to 4, at first 1. Shared by all calls, without a lock.
#[derive(Debug)]
pub struct Calibration(AtomicU32);

impl Default for Calibration {
    fn default() -> Self {
        Self(AtomicU32::new(ONE))
    }
}

impl Calibration {
    /// The estimate as this target would count it, in tokens.
    pub fn correct(&self, estimate: u64) -> u64 {
        let ratio = u128::from(self.0.load(Ordering::Relaxed));
        let half = u128::from(ONE / 2);
        u64::try_from((u128::from(estimate) * ratio + half) / u128::from(ONE)).unwrap_or(u64::MAX)
    }

    /// A call of which `estimated` tokens were expected, uncorrected, had `actual` ones.
    pub fn learn(&self, estimated: u64, actual: u64) {
        if estimated < ESTIMATE_MIN || actual == 0 {
            return;
        }
        let ratio = u128::from(actual) * u128::from(ONE) / u128::from(estimated);
        let ratio = i64::from(u32::try_from(ratio).unwrap_or(MOST).clamp(LEAST, MOST));
        self.0.update(Ordering::Relaxed, Ordering::Relaxed, |mean| {
            let mean = i64::from(mean);
            u32::try_from(mean + (ratio - mean) / MEMORY).unwrap_or(ONE)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(calls: &[(u64, u64)], times: usize) -> u64 {
        let calibration = Calibration::default();
        for _ in 0..times {
            calls.iter().for_each(|(estimated, actual)| calibration.learn(*estimated, *actual));
        }
        calibration.correct(1_000)
    }

    #[test]
    fn estimates_come_to_be_what_is_counted() {
        assert_eq!(after(&[], 0), 1_000);
        assert_eq!(after(&[(1_000, 1_400)], 1), 1_025);
        assert!((1_395..=1_400).contains(&after(&[(1_000, 1_400)], 200)));
        assert!((700..=705).contains(&after(&[(1_000, 700)], 200)));
        assert!((980..=1_020).contains(&after(&[(100, 80), (100, 120)], 200)));
    }

    #[test]
    fn what_is_odd_moves_little_and_never_beyond_bounds() {
        assert_eq!(after(&[(10, 900), (0, 5), (500, 0)], 9), 1_000);
        assert!((3_990..=4_000).contains(&after(&[(64, u64::MAX)], 999)));
        assert!((250..=251).contains(&after(&[(u64::MAX, 1)], 999)));
        assert_eq!(Calibration::default().correct(u64::MAX), u64::MAX);
    }
}
