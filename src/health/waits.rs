//! How long targets make calls wait for content: a decayed histogram of each, whose upper end says when an answer is late.
//! No I/O and no clock of its own. Unlike [`super::pace`], which says what to expect, this says what is out of the usual.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::START;

/// Buckets for each doubling of the time: neighbours are 19 % apart.
const STEPS: usize = 4;

/// From 1 ms up to 131 s, beyond which the last bucket takes all.
const BUCKETS: usize = 17 * STEPS;

/// What is known fades by half with so many new samples,
const SAMPLES_HALVED: u32 = 256;
/// and after so long, so that a quiet target's bad day is not remembered for weeks.
const HALVED_AFTER: Duration = Duration::from_secs(3600);

/// Fewer samples have no upper end worth the name.
pub const SAMPLES_MIN: u32 = 20;

/// The waits of one target. Streams are apart from whole answers, which take as long as their last token.
#[derive(Default)]
pub struct Waits {
    streamed: Histogram,
    whole: Histogram,
}

impl Waits {
    /// Content came after `wait`, or had not come by then.
    pub fn note(&self, streams: bool, wait: Duration, now: Instant) {
        self.of(streams).note(wait, now);
    }

    /// Of a hundred answers 95 began sooner; `None` while too few are known.
    pub fn p95(&self, streams: bool) -> Option<Duration> {
        self.of(streams).p95()
    }

    fn of(&self, streams: bool) -> &Histogram {
        if streams { &self.streamed } else { &self.whole }
    }
}

/// Written without a lock; a sample that comes while the buckets are halved may be lost.
struct Histogram {
    buckets: [AtomicU32; BUCKETS],
    since_halved: AtomicU32,
    /// Seconds since the process began.
    halved_at: AtomicU32,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = std::array::from_fn(|_| AtomicU32::new(0));
        Self { buckets, since_halved: AtomicU32::new(0), halved_at: AtomicU32::new(0) }
    }
}

impl Histogram {
    fn note(&self, wait: Duration, now: Instant) {
        self.buckets[bucket(wait)].fetch_add(1, Relaxed);
        let samples = self.since_halved.fetch_add(1, Relaxed) + 1;
        let second = now.saturating_duration_since(*START).as_secs() as u32;
        let before = self.halved_at.load(Relaxed);
        let is_old = u64::from(second.saturating_sub(before)) >= HALVED_AFTER.as_secs();
        // Of those who find it old, one halves.
        let is_mine = is_old && self.halved_at.compare_exchange(before, second, Relaxed, Relaxed).is_ok();
        if is_mine || samples == SAMPLES_HALVED {
            self.halved_at.store(second, Relaxed);
            self.since_halved.store(0, Relaxed);
            for bucket in &self.buckets {
                let _ = bucket.fetch_update(Relaxed, Relaxed, |it| Some(it / 2));
            }
        }
    }

    fn p95(&self) -> Option<Duration> {
        let counts: [u32; BUCKETS] = std::array::from_fn(|it| self.buckets[it].load(Relaxed));
        let samples: u32 = counts.iter().sum();
        if samples < SAMPLES_MIN {
            return None;
        }
        let mut above = samples / 20;
        for (place, count) in counts.iter().enumerate().rev() {
            if *count > above {
                return Some(upper_bound(place));
            }
            above -= count;
        }
        None
    }
}

fn bucket(wait: Duration) -> usize {
    let doublings = (wait.as_secs_f64() * 1e3).max(1.0).log2();
    ((doublings * STEPS as f64) as usize).min(BUCKETS - 1)
}

fn upper_bound(bucket: usize) -> Duration {
    Duration::from_secs_f64(((bucket + 1) as f64 / STEPS as f64).exp2() / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn now() -> Instant {
        *START + Duration::from_secs(10)
    }

    #[test]
    fn the_upper_end_is_told_once_enough_is_known() {
        let check = |fast: usize, slow: usize, expected: Option<u64>| {
            let waits = Waits::default();
            (0..fast).for_each(|_| waits.note(true, 100 * MS, now()));
            (0..slow).for_each(|_| waits.note(true, 5_000 * MS, now()));
            let told = waits.p95(true).map(|it| it.as_millis() as u64);
            // A bucket is 19 % wide, and its upper end is told.
            let is_near = |told: u64, due: u64| told >= due && told < due * 12 / 10;
            assert!(
                told.zip(expected).is_some_and(|(a, b)| is_near(a, b)) || told == expected,
                "{fast} {slow} {told:?}"
            );
            assert_eq!(waits.p95(false), None, "streams say nothing of whole answers");
        };
        check(19, 0, None);
        check(20, 0, Some(100));
        check(19, 1, Some(100));
        check(18, 2, Some(5_000));
        check(95, 5, Some(100));
        check(94, 6, Some(5_000));
    }

    #[test]
    fn every_wait_has_a_bucket() {
        for (wait, lower, upper) in [(0, 0, 2), (1, 1, 2), (999, 900, 1_200), (500_000, 100_000, 140_000)] {
            let bound = upper_bound(bucket(MS * wait)).as_millis();
            assert!((lower..=upper).contains(&bound), "{wait}: {bound}");
        }
    }

    #[test]
    fn what_was_fades_with_new_samples_and_with_time() {
        let waits = Waits::default();
        (0..100).for_each(|_| waits.note(true, 5_000 * MS, now()));
        (0..1_500).for_each(|_| waits.note(true, 100 * MS, now()));
        assert!(waits.p95(true).unwrap() < 200 * MS);
        let quiet = Waits::default();
        (0..30).for_each(|_| quiet.note(true, 100 * MS, now()));
        quiet.note(true, 100 * MS, now() + HALVED_AFTER);
        assert_eq!(quiet.p95(true), None);
    }
}
