//! Whether a second target may be asked beside a late one, and when: what an operator may say about it, and what it has
//! cost. Pure: time and prices arrive from outside. Called by `upstream::hedge`.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::money::Money;
use crate::route::target::Target;

/// When a call whose answer is late asks the next target as well. The answer that begins first is the client's, the other
/// one is hung up on.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HedgeOptions {
    /// Wait for the first content of a stream, or for a whole answer, in milliseconds; 1 to 3,600,000. Default: what 95 of
    /// 100 answers of that target needed less than; none before 20 are known.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub after_ms: Option<u64>,
    /// What the second attempts of this route may cost in an hour, in USD. Default 1; 0 to 10,000; 0 = there are none.
    /// Where a price is unknown they are at most one in 20 of the hour's attempts, but one.
    #[schemars(range(min = 0.0, max = 10_000.0))]
    pub usd_per_hour_max: f64,
}

impl Default for HedgeOptions {
    fn default() -> Self {
        Self { after_ms: None, usd_per_hour_max: 1.0 }
    }
}

/// Attempts of an hour for each hedge of unknown price.
const ATTEMPTS_PER_HEDGE: u64 = 20;

const PICOS_PER_DOLLAR: f64 = 1e12;

/// The hedging of one route.
pub struct HedgeRule {
    after: Option<Duration>,
    per_hour: Money,
    /// Kept across reloads, or each would allow the money once more.
    purse: Arc<Purse>,
}

impl HedgeRule {
    /// `None` where the operator allows no money. `before` is what the route had until now.
    pub fn new(options: &HedgeOptions, before: Option<&HedgeRule>) -> Option<Self> {
        let per_hour = Money::from_picos((options.usd_per_hour_max * PICOS_PER_DOLLAR).round() as u64);
        (per_hour > Money::ZERO).then(|| Self {
            after: options.after_ms.map(Duration::from_millis),
            per_hour,
            purse: before.map_or_else(|| Arc::new(Purse::new(Instant::now())), |it| Arc::clone(&it.purse)),
        })
    }

    /// How long an answer of `target` is waited for before another target is asked; `None` while that is not known.
    pub fn wait(&self, target: &Target, streams: bool) -> Option<Duration> {
        self.after.or_else(|| target.experience.waits.p95(streams))
    }

    /// An attempt that might be hedged begins.
    pub fn note_attempt(&self, now: Instant) {
        self.purse.roll(now);
        self.purse.attempts.fetch_add(1, Relaxed);
    }

    /// Charges what a hedge is expected to cost, `None` where that is unknown. `false`: it may not be.
    pub fn charge(&self, cost: Option<Money>, now: Instant) -> bool {
        self.purse.roll(now);
        match cost {
            Some(cost) => self.purse.pay(cost, self.per_hour),
            None => self.purse.count(),
        }
    }
}

/// What the hedges of one route have cost in the present hour. A sum that two cores begin anew at once may lose one hedge.
struct Purse {
    begun: Instant,
    /// Hours since then.
    hour: AtomicU64,
    spent_picos: AtomicU64,
    attempts: AtomicU64,
    /// Of unknown price.
    hedges: AtomicU64,
}

impl Purse {
    fn new(now: Instant) -> Self {
        let zero = || AtomicU64::new(0);
        Self { begun: now, hour: zero(), spent_picos: zero(), attempts: zero(), hedges: zero() }
    }

    fn roll(&self, now: Instant) {
        let hour = now.saturating_duration_since(self.begun).as_secs() / 3600;
        let before = self.hour.load(Relaxed);
        if hour > before && self.hour.compare_exchange(before, hour, Relaxed, Relaxed).is_ok() {
            for sum in [&self.spent_picos, &self.attempts, &self.hedges] {
                sum.store(0, Relaxed);
            }
        }
    }

    fn pay(&self, cost: Money, limit: Money) -> bool {
        let pay = |spent| {
            let spent = Money::from_picos(spent).plus(cost);
            (spent <= limit).then(|| spent.picos())
        };
        self.spent_picos.fetch_update(Relaxed, Relaxed, pay).is_ok()
    }

    fn count(&self) -> bool {
        let most = (self.attempts.load(Relaxed) / ATTEMPTS_PER_HEDGE).max(1);
        self.hedges.fetch_update(Relaxed, Relaxed, |it| (it < most).then_some(it + 1)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn rule(usd: f64) -> HedgeRule {
        HedgeRule::new(&HedgeOptions { usd_per_hour_max: usd, ..HedgeOptions::default() }, None).unwrap()
    }

    #[test]
    fn the_money_of_an_hour_is_spent_once_and_survives_a_reload() {
        let (rule, now) = (rule(0.5), Instant::now());
        let cents = |it: u64| Some(Money::from_picos(it * 10_000_000_000));
        assert!(rule.charge(cents(30), now));
        assert!(!rule.charge(cents(21), now));
        let reloaded = HedgeRule::new(&HedgeOptions::default(), Some(&rule)).unwrap();
        assert!(reloaded.charge(cents(70), now), "the new limit is a dollar");
        assert!(!rule.charge(cents(1), now));
        assert!(rule.charge(cents(50), now + HOUR));
        assert!(rule.charge(Some(Money::ZERO), now + HOUR), "what costs nothing is never too much");
    }

    #[test]
    fn hedges_of_unknown_price_are_one_and_then_one_in_twenty() {
        let (rule, now) = (rule(1.0), Instant::now());
        let mut allowed = Vec::new();
        for attempt in 1..=100 {
            rule.note_attempt(now);
            if rule.charge(None, now) {
                allowed.push(attempt);
            }
        }
        assert_eq!(allowed, [1, 40, 60, 80, 100]);
        assert!(rule.charge(None, now + HOUR) && !rule.charge(None, now + HOUR));
    }

    #[test]
    fn no_money_is_no_hedging() {
        let options = HedgeOptions { usd_per_hour_max: 0.0, after_ms: Some(5) };
        assert!(HedgeRule::new(&options, None).is_none());
    }
}
