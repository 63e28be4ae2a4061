//! How fast a target answers: decayed times to the first content and per output token. No I/O and no clock of its own.
//! A failure counts as slow, never as fast: a vendor that refuses at once must not win a race.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::START;

/// A sample weighs at least this much, however soon it follows the last one.
const WEIGHT_MIN: f64 = 0.125;

/// The older half of what is known is forgotten in about this time.
const DECAY: Duration = Duration::from_secs(30);

/// After so long without a sample a target is cold: what was known of it says little.
pub const COLD_AFTER: Duration = Duration::from_secs(120);

/// A failure counts as a first token that took at least this long,
const FAILED_MIN: Duration = Duration::from_secs(1);
/// and at least so many times what the target usually needs.
const FAILED_FACTOR: f64 = 3.0;

/// A target that failed before it ever wrote counts as one that takes this long for a token: with no time at all it would
/// be the quickest for long answers.
const FAILED_PER_TOKEN: Duration = Duration::from_millis(100);

/// An answer of so many tokens says half of what it can of the time that one takes: the shorter it is, the more it shows
/// of chance.
const TELLING_TOKENS: f64 = 100.0;

/// A first token usually takes as long as so many others.
const FIRST_AS_TOKENS: f64 = 40.0;

/// No sample counts for more: one hung call must not bench a target for an hour.
const SAMPLE_MAX: Duration = Duration::from_secs(120);

/// What one target showed of its speed. Written without a lock; of two samples that come at once one may be lost.
#[derive(Debug, Default)]
pub struct Pace {
    first_token: Ewma,
    per_token: Ewma,
}

/// What to expect of a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    pub first_token: Duration,
    /// Zero where no answer told.
    pub per_token: Duration,
}

impl Expected {
    /// Until an answer of so many tokens is whole.
    pub fn whole(&self, output_tokens: u64) -> Duration {
        let tokens = u32::try_from(output_tokens).unwrap_or(u32::MAX);
        self.first_token.saturating_add(self.per_token.saturating_mul(tokens))
    }
}

impl Pace {
    /// The first content of a stream came after `wait`.
    pub fn first_token(&self, wait: Duration, now: Instant) {
        self.first_token.note(wait, now);
    }

    /// `tokens` followed the first one in `time`.
    pub fn tokens(&self, tokens: u64, time: Duration, now: Instant) {
        if tokens > 0 {
            let weight = tokens as f64 / (tokens as f64 + TELLING_TOKENS);
            self.per_token.weigh(time.div_f64(tokens as f64), weight, now);
        }
    }

    /// An answer of `tokens` came in one piece after `time`: what the first token is not known to need, the others did.
    /// Where it is not known, it is taken for as long as `FIRST_AS_TOKENS` others.
    pub fn whole(&self, tokens: u64, time: Duration, now: Instant) {
        let share = FIRST_AS_TOKENS / (FIRST_AS_TOKENS + tokens.saturating_sub(1) as f64);
        let first = self.first_token.value(now).unwrap_or_else(|| time.mul_f64(share));
        self.first_token.note(first.min(time), now);
        self.tokens(tokens.saturating_sub(1), time.saturating_sub(first), now);
    }

    /// An attempt failed after `time`.
    pub fn failed(&self, time: Duration, now: Instant) {
        let usual = self.first_token.value(now).unwrap_or_default();
        self.first_token.note(time.max(FAILED_MIN).max(usual.mul_f64(FAILED_FACTOR)), now);
        if self.per_token.value(now).is_none() {
            self.per_token.note(FAILED_PER_TOKEN, now);
        }
    }

    /// What to expect now; `None` while the target is cold.
    pub fn expected(&self, now: Instant) -> Option<Expected> {
        let first_token = self.first_token.value(now)?;
        Some(Expected { first_token, per_token: self.per_token.value(now).unwrap_or_default() })
    }
}

/// A mean in which a sample's weight grows with the time since the one before: microseconds in the upper half, the
/// milliseconds of the last sample in the lower, 0 before the first.
#[derive(Debug, Default)]
struct Ewma(AtomicU64);

impl Ewma {
    fn note(&self, sample: Duration, now: Instant) {
        self.weigh(sample, 1.0, now);
    }

    /// Notes a sample that counts for a part of one.
    fn weigh(&self, sample: Duration, part: f64, now: Instant) {
        let now_ms = stamp(now);
        let sample = sample.min(SAMPLE_MAX).as_micros() as f64;
        let before = self.0.load(Relaxed);
        let mean = match before {
            0 => sample,
            _ => {
                let (mean, noted_ms) = unpack(before);
                let age = f64::from(now_ms.saturating_sub(noted_ms)) / DECAY.as_millis() as f64;
                let weight = (1.0 - (-age).exp()).max(WEIGHT_MIN * part);
                mean + (sample - mean) * weight
            }
        };
        let packed = ((mean as u64) << 32) | u64::from(now_ms);
        self.0.store(packed, Relaxed);
    }

    fn value(&self, now: Instant) -> Option<Duration> {
        let packed = self.0.load(Relaxed);
        let (mean, noted_ms) = unpack(packed);
        let fresh = u128::from(stamp(now).saturating_sub(noted_ms)) <= COLD_AFTER.as_millis();
        (packed != 0 && fresh).then(|| Duration::from_micros(mean as u64))
    }
}

fn unpack(packed: u64) -> (f64, u32) {
    ((packed >> 32) as f64, packed as u32)
}

/// Milliseconds since the process began, never 0; they suffice for 49 days and then start anew, which makes targets
/// cold once.
fn stamp(now: Instant) -> u32 {
    (now.saturating_duration_since(*START).as_millis() as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn first_ms(pace: &Pace, now: Instant) -> Option<u128> {
        pace.expected(now).map(|it| it.first_token.as_millis())
    }

    #[test]
    fn a_target_is_cold_until_it_answers_and_again_when_it_was_long_idle() {
        let (pace, now) = (Pace::default(), *START + Duration::from_secs(10));
        assert_eq!(first_ms(&pace, now), None);
        pace.first_token(200 * MS, now);
        assert_eq!(first_ms(&pace, now + COLD_AFTER), Some(200));
        assert_eq!(first_ms(&pace, now + COLD_AFTER + MS), None);
    }

    #[test]
    fn old_samples_fade_and_one_sample_does_not_decide() {
        let (pace, now) = (Pace::default(), *START + Duration::from_secs(10));
        pace.first_token(100 * MS, now);
        pace.first_token(900 * MS, now + MS);
        assert_eq!(first_ms(&pace, now + MS), Some(200));
        pace.first_token(500 * MS, now + Duration::from_secs(100));
        let faded = first_ms(&pace, now + Duration::from_secs(100)).unwrap();
        assert!((480..=500).contains(&faded), "{faded}");
    }

    #[test]
    fn a_quick_failure_is_slow() {
        let (pace, now) = (Pace::default(), *START + Duration::from_secs(10));
        pace.failed(MS, now);
        assert_eq!(first_ms(&pace, now), Some(1_000));
        let known = Pace::default();
        known.first_token(800 * MS, now);
        known.failed(MS, now);
        assert_eq!(first_ms(&known, now), Some(1_000));
        // Nor is it quick for a long answer, of which it never wrote a token; one that did keeps its pace.
        assert!(pace.expected(now).unwrap().whole(400) > 40_000 * MS);
        known.tokens(100, 1_000 * MS, now);
        known.failed(MS, now);
        assert!(known.expected(now).unwrap().per_token < 100 * MS);
    }

    #[test]
    fn the_time_of_a_whole_answer_grows_with_its_tokens() {
        let (pace, now) = (Pace::default(), *START + Duration::from_secs(10));
        pace.first_token(300 * MS, now);
        pace.tokens(100, 2_000 * MS, now);
        assert_eq!(pace.expected(now).unwrap().whole(50), 1_300 * MS);
        let whole = Pace::default();
        whole.first_token(300 * MS, now);
        whole.whole(101, 1_300 * MS, now);
        assert_eq!(whole.expected(now).unwrap().whole(10), 400 * MS);
    }

    #[test]
    fn an_answer_in_one_piece_from_a_cold_target_tells_of_both_times() {
        let (pace, now) = (Pace::default(), *START + Duration::from_secs(10));
        pace.whole(61, 1_000 * MS, now);
        let expected = pace.expected(now).unwrap();
        assert_eq!((expected.first_token, expected.per_token), (400 * MS, 10 * MS));
    }

    #[test]
    fn a_short_answer_says_less_of_the_pace_than_a_long_one() {
        let after = |tokens: u64| {
            let (pace, now) = (Pace::default(), *START + Duration::from_secs(10));
            pace.first_token(100 * MS, now);
            pace.tokens(1_000, 10_000 * MS, now);
            pace.tokens(tokens, Duration::from_millis(tokens * 50), now);
            pace.expected(now).unwrap().per_token
        };
        assert!(after(10) < 11 * MS, "{:?}", after(10));
        assert!(after(900) > 14 * MS, "{:?}", after(900));
    }
}
