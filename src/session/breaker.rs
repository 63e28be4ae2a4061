//! When a store is left alone: after failures in a row, until a trial succeeds. One atomic on the path of a call.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// Counts failures in a row; open from `failures_max` of them on. What was asked before it opened and ends after changes
/// nothing: only [`Breaker::close`] closes it.
pub struct Breaker {
    failures_max: u32,
    failures: AtomicU32,
}

impl Breaker {
    /// `failures_max`: at least 1.
    pub fn new(failures_max: u32) -> Self {
        Self { failures_max: failures_max.max(1), failures: AtomicU32::new(0) }
    }

    pub fn is_open(&self) -> bool {
        self.failures.load(Relaxed) >= self.failures_max
    }

    /// The store answered.
    pub fn succeeded(&self) {
        let failures = self.failures.load(Relaxed);
        if failures != 0 && failures < self.failures_max {
            // where another call fails meanwhile, its failure stands
            let _ = self.failures.compare_exchange(failures, 0, Relaxed, Relaxed);
        }
    }

    /// The store failed. True for the one failure that opens it.
    pub fn failed(&self) -> bool {
        let next = |it: u32| (it < self.failures_max).then(|| it + 1);
        let before = self.failures.fetch_update(Relaxed, Relaxed, next);
        before.is_ok_and(|it| it + 1 == self.failures_max)
    }

    /// A trial succeeded. Whether it was open.
    pub fn close(&self) -> bool {
        self.failures.swap(0, Relaxed) >= self.failures_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_once_after_failures_in_a_row_and_closes_by_a_trial() {
        // f: failure, F: the failure that opens, s: success, t: trial that succeeds; whether it is open at the end
        let check = |failures_max: u32, story: &str, is_open: bool| {
            let breaker = Breaker::new(failures_max);
            for event in story.chars() {
                match event {
                    'f' => assert!(!breaker.failed(), "{story}"),
                    'F' => assert!(breaker.failed(), "{story}"),
                    's' => breaker.succeeded(),
                    _ => assert_eq!(breaker.is_open(), breaker.close(), "{story}"),
                }
            }
            assert_eq!(breaker.is_open(), is_open, "{failures_max} {story}");
        };
        check(3, "", false);
        check(3, "ff", false);
        check(3, "ffF", true);
        check(3, "ffsff", false);
        check(3, "ffsffF", true);
        check(3, "ffFffff", true);
        check(3, "ffFs", true);
        check(3, "ffFt", false);
        check(3, "ffFtffF", true);
        check(1, "F", true);
        check(0, "F", true);
    }
}
