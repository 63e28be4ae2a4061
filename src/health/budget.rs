//! How many retries an upstream may be sent: a share of its first attempts, and a floor that refills with time. It bounds
//! what a failing upstream is asked in vain; one that answers gets its tokens back and is never limited by it.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU64};

/// One retry, in thousandths.
const TOKEN: i64 = 1_000;

/// Tokens saved up above the floor, in thousandths: a quiet day must not pay for a storm.
const SAVED_MAX: i64 = 100 * TOKEN;

/// Time in which an empty floor is full again, in milliseconds.
const REFILL_MS: i64 = 10_000;

/// What operators allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryRules {
    /// Part of a token that each first attempt at an upstream brings, in per cent.
    pub share_percent: u32,
    /// Tokens that are there without any first attempt, refilled over ten seconds.
    pub floor: u32,
}

/// The tokens of one upstream. Written only by retries and, until enough is saved, by first attempts.
#[derive(Default)]
pub struct RetryBudget {
    /// Above the floor or, when negative, how much of it is spent; in thousandths of a token.
    balance: AtomicI64,
    refilled_ms: AtomicU64,
}

impl RetryBudget {
    /// A first attempt goes to the upstream.
    pub fn deposit(&self, rules: RetryRules) {
        self.add(i64::from(rules.share_percent) * TOKEN / 100);
    }

    /// Takes one token; `false` where none is left.
    pub fn withdraw(&self, rules: RetryRules, now_ms: u64) -> bool {
        self.refill(rules, now_ms);
        let floor = i64::from(rules.floor) * TOKEN;
        let taken = |it: i64| (floor + it >= TOKEN).then_some(it - TOKEN);
        self.balance.fetch_update(Relaxed, Relaxed, taken).is_ok()
    }

    /// Gives one token back.
    pub fn give_back(&self) {
        self.add(TOKEN);
    }

    /// Whether a retry would be refused.
    pub fn is_empty(&self, rules: RetryRules, now_ms: u64) -> bool {
        self.refill(rules, now_ms);
        i64::from(rules.floor) * TOKEN + self.balance.load(Relaxed) < TOKEN
    }

    fn add(&self, amount: i64) {
        if self.balance.load(Relaxed) < SAVED_MAX {
            self.balance.fetch_add(amount, Relaxed);
        }
    }

    fn refill(&self, rules: RetryRules, now_ms: u64) {
        let before = self.refilled_ms.load(Relaxed);
        let elapsed = i64::try_from(now_ms.saturating_sub(before)).unwrap_or(REFILL_MS).min(REFILL_MS);
        let gain = i64::from(rules.floor) * TOKEN * elapsed / REFILL_MS;
        let is_due = gain > 0 && self.refilled_ms.compare_exchange(before, now_ms, Relaxed, Relaxed).is_ok();
        if is_due {
            let refilled = |it: i64| (it < 0).then_some((it + gain).min(0));
            let _ = self.balance.fetch_update(Relaxed, Relaxed, refilled);
        }
    }
}

/// Leave for one retry. Unless the retry failed, its token goes back: what a client broke off shows nothing either.
pub struct RetryPass<'a> {
    token_of: Option<&'a RetryBudget>,
}

impl<'a> RetryPass<'a> {
    pub(super) fn free() -> Self {
        Self { token_of: None }
    }

    pub(super) fn paid(budget: &'a RetryBudget) -> Self {
        Self { token_of: Some(budget) }
    }

    /// The retry failed; its token is spent.
    pub fn spend(mut self) {
        self.token_of = None;
    }
}

impl Drop for RetryPass<'_> {
    fn drop(&mut self) {
        if let Some(budget) = self.token_of {
            budget.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: RetryRules = RetryRules { share_percent: 20, floor: 2 };

    fn granted(budget: &RetryBudget, now_ms: u64) -> usize {
        (0..1_000).filter(|_| budget.withdraw(RULES, now_ms)).count()
    }

    #[test]
    fn the_floor_is_there_from_the_start_and_refills_with_time() {
        let budget = RetryBudget::default();
        assert_eq!(granted(&budget, 50), 2);
        assert!(budget.is_empty(RULES, 50));
        assert_eq!(granted(&budget, 5_050), 1);
        assert_eq!(granted(&budget, 60_000), 2, "it never holds more than itself");
        assert_eq!(granted(&budget, 60_000), 0);
    }

    #[test]
    fn first_attempts_bring_their_share_up_to_a_bound() {
        let budget = RetryBudget::default();
        for _ in 0..10 {
            budget.deposit(RULES);
        }
        assert_eq!(granted(&budget, 0), 4);
        for _ in 0..1_000_000 {
            budget.deposit(RULES);
        }
        assert_eq!(granted(&budget, 0), 102);
    }

    #[test]
    fn a_retry_that_did_not_fail_gives_its_token_back() {
        let budget = RetryBudget::default();
        for _ in 0..100 {
            assert!(budget.withdraw(RULES, 0));
            drop(RetryPass::paid(&budget));
        }
        for granted in [true, true, false] {
            assert_eq!(budget.withdraw(RULES, 0), granted);
            if granted {
                RetryPass::paid(&budget).spend();
            }
        }
    }

    #[test]
    fn nothing_allowed_is_nothing_granted() {
        let none = RetryRules { share_percent: 0, floor: 0 };
        let budget = RetryBudget::default();
        budget.deposit(none);
        assert!(!budget.withdraw(none, 1_000_000));
    }
}
