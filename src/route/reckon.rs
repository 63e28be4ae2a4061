//! Reckons what one call would cost and how long it would take at one target. Pure.

use std::time::{Duration, Instant};

use crate::api::money::Money;
use crate::api::usage::Usage;
use crate::health::pace::Expected;
use crate::health::warmth::Warm;
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
    /// What the conversation's next turn should cost here, where one is to be expected: its prompt is cached then.
    pub next_turn: Option<Money>,
    /// `None`: the target is cold.
    pub pace: Option<Expected>,
    /// Share of its calls that the target should get now, from 0 to 1: less while it recovers or nears a limit.
    pub share: f32,
}

/// Figures of `target` for `ask`.
pub fn figures(route: &Route, target: &Target, ask: &Ask, now: Instant) -> Figures {
    let model = target.model_for(&ask.model);
    let output_tokens = route.output.expected(ask.output_kind(), ask.output_max);
    let prompt_tokens = target.experience.calibration.correct(ask.prompt_tokens);
    let warm = ask.conversation.and_then(|it| route.warmth.of(it, now));
    let holds = warm.is_some_and(|it| it.target == target.fingerprint(&ask.model));
    let cached_tokens = warm.filter(|_| holds).map_or(0, |it| it.tokens).min(prompt_tokens);
    let price = target.price(model);
    let cost = |input, cached_input| {
        let usage = Usage { input, cached_input, output: output_tokens, ..Usage::default() };
        price.as_ref()?.cost(&usage, ask.at, ask.tier)
    };
    let goes_on = match warm {
        Some(warm) => is_further_turn(&warm, prompt_tokens),
        None => ask.conversation.is_some() && route.warmth.mostly_goes_on(),
    };
    let next_prompt = prompt_tokens.saturating_add(output_tokens);
    Figures {
        prompt_tokens,
        cached_tokens,
        output_tokens,
        cost: cost(prompt_tokens, cached_tokens),
        next_turn: if goes_on { cost(next_prompt, next_prompt) } else { None },
        pace: target.experience.pace.expected(now),
        share: target.health.share(now),
    }
}

/// Whether a call looks like a further turn of its conversation, for then another one is likely: its prompt holds what was
/// said before, and not something shorter under the same name. An estimate may fall short by an eighth.
fn is_further_turn(warm: &Warm, prompt_tokens: u64) -> bool {
    prompt_tokens.saturating_add(prompt_tokens / 8) >= warm.tokens
}

impl Figures {
    /// Nothing is expected.
    pub const UNRECKONED: Self = Self {
        prompt_tokens: 0,
        cached_tokens: 0,
        output_tokens: 0,
        cost: None,
        next_turn: None,
        pace: None,
        share: 1.0,
    };

    /// What decides about price: the cost of this turn and of the next, so that a conversation moves to where it is
    /// cached cheaply although the move itself costs more.
    pub fn outlay(&self) -> Option<Money> {
        self.cost.map(|it| it.plus(self.next_turn.unwrap_or_default()))
    }

    /// Expected microseconds until the answer is whole, at `token` for each token where no answer told; `None` while cold.
    pub fn whole_us(&self, token: Duration) -> Option<u64> {
        let pace = self.pace?;
        let per_token = if pace.per_token.is_zero() { token } else { pace.per_token };
        let whole = Expected { per_token, ..pace }.whole(self.output_tokens);
        Some(u64::try_from(whole.as_micros()).unwrap_or(u64::MAX))
    }
}
