//! The vendors as calls leave them: limits used up, prompts cached. It knows what an attempt would come to before it is made.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tollgate::api::money::Money;
use tollgate::api::usage::{ServiceTier, Usage};
use tollgate::price::Price;

use super::dice::around_mean;
use super::route::UNIX_MIDNIGHT;
use super::traffic::{Call, Traffic};
use super::vendors::{VENDORS, Vendor};

/// What comes of one attempt.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// A 429, with the wait it names.
    RateLimited {
        retry_after: Duration,
    },
    /// Nobody answers.
    Unreachable,
    /// A 503.
    Refused,
    /// Broken off before the first token; the prompt is charged.
    Cut {
        cost: Money,
    },
    Served(Served),
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    pub first_ms: u64,
    pub whole_ms: u64,
    /// What the vendor's speed of the moment would have it take, in milliseconds: the luck of the call left out.
    pub whole_ms_mean: f64,
    /// What the vendor counts.
    pub usage: Usage,
    pub cost: Money,
}

/// Time in which a 429 comes, in milliseconds.
pub const RATE_LIMITED_MS: u64 = 60;

/// Time in which a connection is refused.
pub const UNREACHABLE_MS: u64 = 150;

/// Time in which a 503 comes, and in which an answer breaks off.
pub const FAILED_MS: u64 = 900;

/// Vendors cache prompts from this length on, in tokens, and in blocks.
const CACHED_TOKENS_MIN: u64 = 1_024;
const CACHED_BLOCK: u64 = 128;

/// Share of its calls a minute that a vendor takes at once.
const BURST: f64 = 0.25;

/// The state of all vendors.
pub struct World {
    prices: Vec<Arc<Price>>,
    buckets: Vec<Bucket>,
    /// By vendor and conversation: tokens, and when they were last used.
    cached: HashMap<(usize, u64), (u64, u64)>,
}

struct Bucket {
    calls: f64,
    filled_ms: u64,
}

impl World {
    pub fn new(prices: Vec<Arc<Price>>) -> Self {
        let full = |it: &Vendor| Bucket { calls: it.calls_per_minute * BURST, filled_ms: 0 };
        Self { prices, buckets: VENDORS.iter().map(full).collect(), cached: HashMap::new() }
    }

    /// What an attempt at a vendor would come to now.
    pub fn peek(&self, slot: usize, call: &Call, now_ms: u64) -> Answer {
        let vendor = &VENDORS[slot];
        // The luck of a call at a vendor is the same whoever sends it there, and whenever.
        let mut luck = Rng::with_seed(call.seed ^ (slot as u64 + 1));
        let (breaks, is_cut) = (luck.f64() < vendor.error_share(now_ms), luck.bool());
        if vendor.is_out(now_ms) {
            return Answer::Unreachable;
        }
        let calls = self.calls_left(slot, now_ms);
        if calls < 1.0 {
            let wait_s = ((1.0 - calls) * 60.0 / vendor.calls_per_minute).ceil();
            return Answer::RateLimited { retry_after: Duration::from_secs_f64(wait_s) };
        }
        if breaks {
            let cost = self.cost(slot, &self.usage(slot, call, now_ms, 0), now_ms);
            return if is_cut { Answer::Cut { cost } } else { Answer::Refused };
        }
        Answer::Served(self.served(slot, call, now_ms, &mut luck))
    }

    fn served(&self, slot: usize, call: &Call, now_ms: u64, luck: &mut Rng) -> Served {
        let vendor = &VENDORS[slot];
        let usage = self.usage(slot, call, now_ms, call.output_tokens);
        let first = vendor.first_ms(now_ms, usage.input - usage.cached_input);
        let rest = vendor.token_ms(now_ms) * (call.output_tokens - 1) as f64;
        let first_ms = first * around_mean(luck, vendor.first_sigma);
        let rest_ms = rest * around_mean(luck, vendor.token_sigma);
        Served {
            first_ms: first_ms as u64,
            whole_ms: first_ms as u64 + rest_ms as u64,
            whole_ms_mean: first + rest,
            usage,
            cost: self.cost(slot, &usage, now_ms),
        }
    }

    /// The vendor is asked: its limit is used, and if it answers, it holds the conversation from here on.
    pub fn ask(&mut self, slot: usize, call: &Call, now_ms: u64) -> Answer {
        let answer = self.peek(slot, call, now_ms);
        if !matches!(answer, Answer::Unreachable | Answer::RateLimited { .. }) {
            let calls = self.calls_left(slot, now_ms) - 1.0;
            self.buckets[slot] = Bucket { calls, filled_ms: now_ms };
        }
        if let (Answer::Served(_), Some(conversation)) = (answer, call.conversation) {
            let tokens = VENDORS[slot].counted(call.prompt_tokens) + call.output_tokens;
            self.cached.insert((slot, conversation), (tokens, now_ms));
        }
        answer
    }

    fn calls_left(&self, slot: usize, now_ms: u64) -> f64 {
        let (bucket, rate) = (&self.buckets[slot], VENDORS[slot].calls_per_minute);
        let refilled = rate * now_ms.saturating_sub(bucket.filled_ms) as f64 / 60_000.0;
        (bucket.calls + refilled).min(rate * BURST)
    }

    fn usage(&self, slot: usize, call: &Call, now_ms: u64, output: u64) -> Usage {
        let input = VENDORS[slot].counted(call.prompt_tokens);
        let held = call.conversation.and_then(|it| self.cached.get(&(slot, it)));
        let fresh = held.filter(|(_, used_ms)| now_ms.saturating_sub(*used_ms) <= VENDORS[slot].cache_ms);
        let cached_input = fresh.map_or(0, |(tokens, _)| cached(*tokens, input));
        Usage { input, cached_input, output, ..Usage::default() }
    }

    /// What the conversation's further turns will cost at that vendor when this one goes there and they all follow.
    pub fn later(&self, slot: usize, traffic: &Traffic, call: &Call) -> Money {
        let (mut sum, mut before) = (Money::ZERO, call);
        while let Some(turn) = before.next_turn.map(|it| &traffic.calls[it]) {
            let vendor = &VENDORS[slot];
            let input = vendor.counted(turn.prompt_tokens);
            let held = vendor.counted(before.prompt_tokens) + before.output_tokens;
            let is_fresh = turn.at_ms - before.at_ms <= vendor.cache_ms;
            let cached_input = if is_fresh { cached(held, input) } else { 0 };
            let usage = Usage { input, cached_input, output: turn.output_tokens, ..Usage::default() };
            sum = sum.plus(self.cost(slot, &usage, turn.at_ms));
            before = turn;
        }
        sum
    }

    fn cost(&self, slot: usize, usage: &Usage, now_ms: u64) -> Money {
        let at = UNIX_MIDNIGHT + now_ms / 1_000;
        self.prices[slot].cost(usage, at, ServiceTier::Default).expect("the four prices hold on every day")
    }
}

/// Of a prompt that begins with so many tokens that the vendor holds, what it charges as cached.
fn cached(held: u64, prompt: u64) -> u64 {
    let tokens = held.min(prompt);
    if tokens < CACHED_TOKENS_MIN { 0 } else { tokens / CACHED_BLOCK * CACHED_BLOCK }
}
