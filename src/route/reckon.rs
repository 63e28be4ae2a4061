//! Reckons what one call would cost and how long it would take at one target. Pure.

use std::time::Instant;

use crate::api::money::Money;
use crate::api::usage::Usage;
use crate::health::pace::Expected;
use crate::route::ask::Ask;
use crate::route::table::Route;
use crate::route::target::Target;

/// What is expected of one target for one call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    pub prompt_tokens: u64,
    /// Of the prompt, what the target should hold in its cache.
    pub cached_tokens: u64,
    pub output_tokens: u64,
    /// `None`: the price is not known.
    pub cost: Option<Money>,
    /// `None`: the target is cold.
    pub pace: Option<Expected>,
    /// Share of its calls that the target should get now, from 0 to 1: less while it recovers or nears a limit.
    pub share: f32,
}

/// Figures of `target` for `ask`.
pub fn figures(route: &Route, target: &Target, ask: &Ask, now: Instant) -> Figures {
    let model = target.model_for(&ask.model);
    let output_tokens = route.output.expected(ask.output_max);
    let prompt_tokens = target.experience.calibration.correct(ask.prompt_tokens);
    let cached_tokens = cached(route, target, ask, now).min(prompt_tokens);
    let usage = Usage {
        input: prompt_tokens,
        cached_input: cached_tokens,
        output: output_tokens,
        ..Usage::default()
    };
    Figures {
        prompt_tokens,
        cached_tokens,
        output_tokens,
        cost: target.price(model).and_then(|it| it.cost(&usage, ask.at, ask.tier)),
        pace: target.experience.pace.expected(now),
        share: target.health.share(now),
    }
}

/// Tokens of the prompt that `target` holds from an earlier turn of the conversation.
fn cached(route: &Route, target: &Target, ask: &Ask, now: Instant) -> u64 {
    let warm = ask.conversation.and_then(|it| route.warmth.of(it, now));
    match warm {
        Some(warm) if warm.target == target.fingerprint(&ask.model) => warm.tokens,
        _ => 0,
    }
}

impl Figures {
    /// Expected microseconds until the answer is whole; `None` while cold.
    pub fn whole_us(&self) -> Option<u64> {
        let whole = self.pace?.whole(self.output_tokens);
        Some(u64::try_from(whole.as_micros()).unwrap_or(u64::MAX))
    }
}
