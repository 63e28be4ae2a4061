//! The four vendors: what they charge, how fast they are at which hour, what they bear, and when they fail.

use super::traffic::HOUR_MS;

/// Everything about a vendor that does not depend on what was sent there.
pub struct Vendor {
    pub name: &'static str,
    /// As an operator would write it.
    pub price: &'static str,
    /// Share under `policy: weighted`.
    pub weight: u32,
    /// Thousandths that its tokenizer makes of a usual token.
    tokenizer: u64,
    /// Mean wait for the first token of a short prompt, in milliseconds, and its spread as of a logarithm.
    first_ms: f64,
    pub first_sigma: f64,
    /// Mean time for a further token, in microseconds.
    token_us: f64,
    pub token_sigma: f64,
    /// Time to read a token of the prompt that is not cached, in microseconds.
    pub prompt_us: f64,
    /// The hour at which it is slowest, and how much slower it is then.
    busiest_hour: f64,
    slowdown: f64,
    /// Calls a minute, in a bucket that holds a quarter of them.
    pub calls_per_minute: f64,
    /// When it cannot be reached, in milliseconds since midnight.
    pub outage: Option<(u64, u64)>,
    /// When a part of its answers breaks, and how large a part.
    pub errors: Option<(u64, u64, f64)>,
    /// Milliseconds for which it keeps a prompt.
    pub cache_ms: u64,
}

/// In the order in which the route names them.
pub const VENDORS: [Vendor; 4] = [
    // The best known one: quick until the afternoon, and dear.
    Vendor {
        name: "anchor",
        price: "{input: 1.25, cached_input: 0.625, output: 5}",
        weight: 4,
        tokenizer: 1_000,
        first_ms: 350.0,
        first_sigma: 0.4,
        token_us: 8_000.0,
        token_sigma: 0.15,
        prompt_us: 20.0,
        busiest_hour: 17.0,
        slowdown: 1.2,
        calls_per_minute: 120.0,
        outage: None,
        errors: None,
        cache_ms: 600_000,
    },
    // Twice the price at its peak hours, as DeepSeek has them; unreachable for twenty minutes.
    Vendor {
        name: "tides",
        price: r#"{input: 0.26, cached_input: 0.13, output: 0.9, when: [
            {utc: ["01:00-04:00", "06:00-10:00"], input: 0.52, cached_input: 0.26, output: 1.8}]}"#,
        weight: 2,
        tokenizer: 1_030,
        first_ms: 800.0,
        first_sigma: 0.5,
        token_us: 22_000.0,
        token_sigma: 0.2,
        prompt_us: 40.0,
        busiest_hour: 8.0,
        slowdown: 0.8,
        calls_per_minute: 50.0,
        outage: Some((12 * HOUR_MS, 12 * HOUR_MS + HOUR_MS / 3)),
        errors: None,
        cache_ms: 600_000,
    },
    // Long prompts cost four times as much.
    Vendor {
        name: "ladder",
        price: "{input: 0.2, output: 1.4, when: [{tokens_above: 32000, input: 0.8, output: 2.8}]}",
        weight: 2,
        tokenizer: 1_040,
        first_ms: 550.0,
        first_sigma: 0.4,
        token_us: 14_000.0,
        token_sigma: 0.2,
        prompt_us: 30.0,
        busiest_hour: 21.0,
        slowdown: 0.6,
        calls_per_minute: 80.0,
        outage: None,
        errors: None,
        cache_ms: 600_000,
    },
    // Hardly anything for what it has cached; an hour of errors.
    Vendor {
        name: "keeper",
        price: "{input: 0.35, cached_input: 0.03, output: 0.9}",
        weight: 2,
        tokenizer: 960,
        first_ms: 450.0,
        first_sigma: 0.5,
        token_us: 10_500.0,
        token_sigma: 0.2,
        prompt_us: 25.0,
        busiest_hour: 4.0,
        slowdown: 0.5,
        calls_per_minute: 60.0,
        outage: None,
        errors: Some((13 * HOUR_MS, 14 * HOUR_MS, 0.3)),
        cache_ms: 420_000,
    },
];

impl Vendor {
    /// How much slower than at its best it is at that moment.
    fn drift(&self, at_ms: u64) -> f64 {
        let angle = std::f64::consts::TAU * (at_ms as f64 / HOUR_MS as f64 - self.busiest_hour) / 24.0;
        1.0 + self.slowdown * angle.cos().max(0.0).powi(2)
    }

    /// Mean milliseconds to the first token, with so many tokens of the prompt to read.
    pub fn first_ms(&self, at_ms: u64, unread_tokens: u64) -> f64 {
        self.drift(at_ms) * (self.first_ms + unread_tokens as f64 * self.prompt_us / 1_000.0)
    }

    /// Mean milliseconds to each further token.
    pub fn token_ms(&self, at_ms: u64) -> f64 {
        self.drift(at_ms) * self.token_us / 1_000.0
    }

    /// What it counts where a usual tokenizer counts so many tokens.
    pub fn counted(&self, tokens: u64) -> u64 {
        tokens * self.tokenizer / 1_000
    }

    pub fn is_out(&self, at_ms: u64) -> bool {
        self.outage.is_some_and(|(from, to)| (from..to).contains(&at_ms))
    }

    /// Share of its answers that break at that moment.
    pub fn error_share(&self, at_ms: u64) -> f64 {
        match self.errors {
            Some((from, to, share)) if (from..to).contains(&at_ms) => share,
            _ => ERROR_SHARE,
        }
    }
}

/// Share of answers that break at any vendor, on any day.
const ERROR_SHARE: f64 = 0.002;
