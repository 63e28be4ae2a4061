//! Who asks what when: short chats, long documents, tool calls and conversations, more of them by day than by night.

use std::collections::HashMap;

use fastrand::Rng;

use super::dice::{around_median, gap};

/// Milliseconds of an hour.
pub const HOUR_MS: u64 = 3_600_000;

/// A part of the day, in hours.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub from: u64,
    pub to: u64,
}

/// All calls of a day, in the order in which they come.
pub struct Traffic {
    pub calls: Vec<Call>,
    pub seed: u64,
}

/// One call as it really is; the planner is told less.
#[derive(Clone, Debug)]
pub struct Call {
    /// Milliseconds since midnight.
    pub at_ms: u64,
    pub prompt_tokens: u64,
    /// What the gateway takes the prompt for.
    pub prompt_estimate: u64,
    /// What the answer has, whoever gives it.
    pub output_tokens: u64,
    /// The client's bound on it.
    pub output_max: Option<u64>,
    pub conversation: Option<u64>,
    /// The call that goes on with the conversation.
    pub next_turn: Option<usize>,
    pub tools: bool,
    pub streams: bool,
    /// The luck of this call at each vendor is drawn from here.
    pub seed: u64,
}

/// Mean starts of a call or conversation an hour.
const STARTS_PER_HOUR: f64 = 2_200.0;

/// Deviation of the gateway's estimate of a prompt, as of a logarithm.
const ESTIMATE_SIGMA: f64 = 0.08;

/// Most tokens that an answer has.
const OUTPUT_TOKENS_MAX: u64 = 8_192;

impl Traffic {
    /// The traffic of a part of the day: the same for the same seed.
    pub fn of(span: Span, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let (mut calls, mut now_ms) = (Vec::new(), (span.from * HOUR_MS) as f64);
        let end_ms = (span.to * HOUR_MS) as f64;
        loop {
            let starts_per_ms = STARTS_PER_HOUR * daytime(now_ms) / HOUR_MS as f64;
            now_ms += gap(&mut rng) / starts_per_ms;
            if now_ms >= end_ms {
                break;
            }
            start(&mut calls, now_ms as u64, &mut rng);
        }
        calls.retain(|it| it.at_ms < end_ms as u64);
        calls.sort_by_key(|it| it.at_ms);
        link_turns(&mut calls);
        Self { calls, seed }
    }
}

/// Tells each turn of a conversation which call is the next.
fn link_turns(calls: &mut [Call]) {
    let mut later = HashMap::new();
    for index in (0..calls.len()).rev() {
        if let Some(conversation) = calls[index].conversation {
            calls[index].next_turn = later.insert(conversation, index);
        }
    }
}

/// How busy it is: half as much as on average before dawn, half as much again in the afternoon.
fn daytime(at_ms: f64) -> f64 {
    let hour = at_ms / HOUR_MS as f64;
    1.0 + 0.5 * (std::f64::consts::TAU * (hour - 15.0) / 24.0).cos()
}

fn start(calls: &mut Vec<Call>, at_ms: u64, rng: &mut Rng) {
    match rng.u32(..100) {
        0..60 => {
            let bound = [None, None, None, Some(256), Some(512), Some(1_024)][rng.usize(..6)];
            let it = Shape { prompt: (350.0, 0.8), output: (180.0, 0.9), output_max: bound };
            calls.push(it.call(at_ms, rng));
        }
        60..68 => {
            let it = Shape { prompt: (25_000.0, 0.8), output: (400.0, 0.7), output_max: None };
            calls.push(it.call(at_ms, rng));
        }
        68..94 => {
            let it = Shape { prompt: (3_000.0, 0.5), output: (60.0, 0.6), output_max: None };
            calls.push(Call { tools: true, streams: false, ..it.call(at_ms, rng) });
        }
        _ => converse(calls, at_ms, rng),
    }
}

/// Turns of which each holds all before it; three to twelve of them.
fn converse(calls: &mut Vec<Call>, mut at_ms: u64, rng: &mut Rng) {
    let conversation = Some(rng.u64(1..));
    let mut prompt = 600 + rng.u64(..3_000);
    for _ in 0..rng.u32(3..=12) {
        prompt += 20 + (60.0 * around_median(rng, 0.8)) as u64;
        let it = Shape { prompt: (prompt as f64, 0.0), output: (250.0, 0.8), output_max: None };
        let call = Call { conversation, ..it.call(at_ms, rng) };
        prompt += call.output_tokens;
        // The answer is written and read before the next question is.
        at_ms += call.output_tokens * 40 + (30_000.0 * around_median(rng, 0.7)) as u64;
        calls.push(call);
    }
}

/// Medians and spreads of a kind of call.
struct Shape {
    prompt: (f64, f64),
    output: (f64, f64),
    output_max: Option<u64>,
}

impl Shape {
    fn call(&self, at_ms: u64, rng: &mut Rng) -> Call {
        let draw = |(median, sigma): (f64, f64), rng: &mut Rng| (median * around_median(rng, sigma)) as u64;
        let prompt_tokens = draw(self.prompt, rng).clamp(10, 180_000);
        let bound = self.output_max.unwrap_or(OUTPUT_TOKENS_MAX);
        Call {
            at_ms,
            prompt_tokens,
            prompt_estimate: draw((prompt_tokens as f64, ESTIMATE_SIGMA), rng).max(1),
            output_tokens: draw(self.output, rng).clamp(5, bound),
            output_max: self.output_max,
            conversation: None,
            next_turn: None,
            tools: false,
            streams: true,
            seed: rng.u64(..),
        }
    }
}
