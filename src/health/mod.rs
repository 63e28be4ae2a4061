//! What we believe about each upstream and key: counters, states, flips. No I/O and no clock of its own.

use std::sync::LazyLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use self::budget::RetryBudget;
pub use self::budget::{RetryPass, RetryRules};
pub use self::exclusion::Exclusion;
pub use self::keys::KeyState;
use self::keys::Keys;
use self::missing::MissingModels;
pub use self::options::CircuitOptions;
use crate::names::ModelName;

mod budget;
mod exclusion;
mod keys;
mod missing;
mod options;
pub mod output;
pub mod pace;
pub mod waits;
pub mod warmth;

/// What all upstreams count their milliseconds from: which of two failed first can be told.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Reads and counts without a lock: every call passes here.
pub struct UpstreamHealth {
    options: CircuitOptions,
    state: AtomicU8,
    /// Failures in a row.
    failures: AtomicU32,
    window_start_ms: AtomicU64,
    window_calls: AtomicU32,
    window_failures: AtomicU32,
    /// How often the circuit opened again before it had settled; doubles its time-out.
    reopenings: AtomicU32,
    /// When it last closed; 0: it never opened.
    closed_at_ms: AtomicU64,
    open_until_ms: AtomicU64,
    /// A call is on trial in the half-open circuit.
    on_trial: AtomicBool,
    last_failure_ms: AtomicU64,
    /// When a call last succeeded after others had failed; 0: never.
    answered_ms: AtomicU64,
    drained: AtomicBool,
    probe_failed: AtomicBool,
    keys: Keys,
    budget: RetryBudget,
    missing: MissingModels,
}

/// Wait after a 429 that names none, in milliseconds.
const RATE_LIMITED_MS: u64 = 1_000;

/// Least rest after a 429, in milliseconds: a wait of 0 must not send the same call to the same key again.
const RATE_LIMITED_MS_MIN: u64 = 100;

/// An upstream whose circuit is open and that answered a call so lately fails in part only, in milliseconds.
const IN_PART_MS: u64 = 2_000;

/// Whether live calls may reach an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    Closed,
    HalfOpen,
    Open,
}

/// What a live call's attempt says about the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Alive,
    Failed,
}

const CLOSED: u8 = 0;
const OPEN: u8 = 1;

impl UpstreamHealth {
    /// `keys` is at least one: an upstream without keys is tracked as one nameless key.
    pub fn new(options: CircuitOptions, keys: usize) -> Self {
        Self {
            options,
            state: AtomicU8::new(CLOSED),
            failures: AtomicU32::new(0),
            window_start_ms: AtomicU64::new(0),
            window_calls: AtomicU32::new(0),
            window_failures: AtomicU32::new(0),
            reopenings: AtomicU32::new(0),
            closed_at_ms: AtomicU64::new(0),
            open_until_ms: AtomicU64::new(0),
            on_trial: AtomicBool::new(false),
            last_failure_ms: AtomicU64::new(0),
            answered_ms: AtomicU64::new(0),
            drained: AtomicBool::new(false),
            probe_failed: AtomicBool::new(false),
            keys: Keys::new(keys.max(1)),
            budget: RetryBudget::default(),
            missing: MissingModels::default(),
        }
    }

    /// Why the upstream should not be asked for `model` now, if so.
    pub fn exclusion(&self, model: &str, now: Instant) -> Option<Exclusion> {
        let now_ms = self.ms(now);
        if self.drained.load(Relaxed) {
            return Some(Exclusion::Drained);
        }
        if let Some(keys) = self.keys.exclusion(now_ms) {
            return Some(keys);
        }
        if self.probe_failed.load(Relaxed) {
            return Some(Exclusion::ProbeFailed);
        }
        if self.circuit(now) != CircuitState::Closed && !self.trial_is_free(now_ms) {
            return Some(Exclusion::CircuitOpen);
        }
        self.missing.has(model, now_ms).then_some(Exclusion::ModelMissing)
    }

    fn trial_is_free(&self, now_ms: u64) -> bool {
        now_ms >= self.open_until_ms.load(Relaxed) && !self.on_trial.load(Relaxed)
    }

    pub fn circuit(&self, now: Instant) -> CircuitState {
        match self.state.load(Relaxed) {
            CLOSED => CircuitState::Closed,
            _ if self.ms(now) >= self.open_until_ms.load(Relaxed) => CircuitState::HalfOpen,
            _ => CircuitState::Open,
        }
    }

    /// Takes the half-open circuit's one trial, if the circuit is not closed. `false`: another call is on trial,
    /// or the time-out has not passed; a caller in panic mode goes on all the same.
    pub fn begin_trial(&self, now: Instant) -> bool {
        self.state.load(Relaxed) != CLOSED
            && self.ms(now) >= self.open_until_ms.load(Relaxed)
            && !self.on_trial.swap(true, Relaxed)
    }

    /// Ends a trial that said nothing, such as one whose client hung up.
    pub fn abandon_trial(&self) {
        self.on_trial.store(false, Relaxed);
    }

    /// Counts what a call showed. Returns the flip it caused, if any. While the circuit is not closed it changes nothing:
    /// a call that began before the circuit opened says nothing new.
    pub fn note(&self, verdict: Verdict, now: Instant) -> Option<CircuitState> {
        let now_ms = self.ms(now);
        if verdict == Verdict::Failed {
            self.last_failure_ms.store(now_ms.max(1), Relaxed);
        }
        let is_closed = self.state.load(Relaxed) == CLOSED;
        // Nothing is written by the calls of an upstream that is well.
        if verdict == Verdict::Alive && (!is_closed || self.failures.load(Relaxed) != 0) {
            self.answered_ms.store(now_ms.max(1), Relaxed);
        }
        if !is_closed {
            return None;
        }
        self.roll_window(now_ms);
        self.window_calls.fetch_add(1, Relaxed);
        match verdict {
            Verdict::Alive => {
                if self.failures.load(Relaxed) != 0 {
                    self.failures.store(0, Relaxed);
                }
                None
            }
            Verdict::Failed => self.note_failed(now_ms),
        }
    }

    /// Counts what a call on trial, or of last resort, showed: it closes the circuit or opens it for longer.
    pub fn conclude(&self, verdict: Verdict, now: Instant) -> Option<CircuitState> {
        if self.state.load(Relaxed) == CLOSED {
            return self.note(verdict, now);
        }
        match verdict {
            Verdict::Alive => self.close(self.ms(now)),
            Verdict::Failed => {
                let now_ms = self.ms(now);
                self.last_failure_ms.store(now_ms.max(1), Relaxed);
                self.on_trial.swap(false, Relaxed).then(|| self.open(now_ms))
            }
        }
    }

    fn close(&self, now_ms: u64) -> Option<CircuitState> {
        self.closed_at_ms.store(now_ms.max(1), Relaxed);
        self.answered_ms.store(now_ms.max(1), Relaxed);
        self.state.store(CLOSED, Relaxed);
        self.failures.store(0, Relaxed);
        self.on_trial.store(false, Relaxed);
        self.window_calls.store(0, Relaxed);
        self.window_failures.store(0, Relaxed);
        Some(CircuitState::Closed)
    }

    fn note_failed(&self, now_ms: u64) -> Option<CircuitState> {
        let in_a_row = self.failures.fetch_add(1, Relaxed) + 1;
        let failed = self.window_failures.fetch_add(1, Relaxed) + 1;
        let calls = self.window_calls.load(Relaxed);
        let share = u64::from(failed) * 100 >= u64::from(self.options.failure_percent) * u64::from(calls);
        let opens = in_a_row >= self.options.failures || (calls >= self.options.calls_min && share);
        (opens && self.state.swap(OPEN, Relaxed) == CLOSED).then(|| {
            // One good answer right after closing does not make up for what was: an upstream that flaps rests longer.
            if self.has_settled(now_ms) {
                self.reopenings.store(0, Relaxed);
            }
            self.open(now_ms)
        })
    }

    /// Whether the last opening is long enough ago to be forgotten.
    fn has_settled(&self, now_ms: u64) -> bool {
        let settling = match self.options.slow_start_ms {
            0 => self.options.window_ms,
            slow_start => slow_start,
        };
        let closed_at = self.closed_at_ms.load(Relaxed);
        closed_at == 0 || now_ms.saturating_sub(closed_at) >= settling
    }

    /// Opens for `open_ms`, doubled with each re-opening, plus up to a tenth so that gateways do not return in step.
    fn open(&self, now_ms: u64) -> CircuitState {
        let exponent = self.reopenings.fetch_add(1, Relaxed).min(20);
        let wait = (self.options.open_ms << exponent).min(self.options.open_ms_max);
        self.open_until_ms.store(now_ms + wait + fastrand::u64(0..=wait / 10), Relaxed);
        CircuitState::Open
    }

    fn roll_window(&self, now_ms: u64) {
        let start = self.window_start_ms.load(Relaxed);
        if now_ms.saturating_sub(start) >= self.options.window_ms
            && self.window_start_ms.compare_exchange(start, now_ms, Relaxed, Relaxed).is_ok()
        {
            self.window_calls.store(0, Relaxed);
            self.window_failures.store(0, Relaxed);
        }
    }

    /// How much of its calls the upstream should get where others can take the rest, 0 to 1: it grows after the circuit
    /// closed again, and shrinks as its keys come near the limits that their vendor states.
    pub fn share(&self, now: Instant) -> f32 {
        let now_ms = self.ms(now);
        self.slow_start(now_ms) * self.keys.headroom(now_ms)
    }

    fn slow_start(&self, now_ms: u64) -> f32 {
        let (closed_at, length) = (self.closed_at_ms.load(Relaxed), self.options.slow_start_ms);
        // A half-open circuit needs its trial.
        if closed_at == 0 || length == 0 || self.state.load(Relaxed) != CLOSED {
            return 1.0;
        }
        (now_ms.saturating_sub(closed_at) as f32 / length as f32).min(1.0)
    }

    /// A call's first attempt goes here.
    pub fn note_first_attempt(&self, rules: RetryRules) {
        self.budget.deposit(rules);
    }

    /// Leave to send a retry here, or `None` where the upstream fails and its budget is used up. One that does not fail
    /// may take over any number of calls.
    pub fn retry_pass(&self, rules: RetryRules, now: Instant) -> Option<RetryPass<'_>> {
        let now_ms = self.ms(now);
        if self.budget.withdraw(rules, now_ms) {
            return Some(RetryPass::paid(&self.budget));
        }
        (!self.is_failing(rules, now_ms)).then(RetryPass::free)
    }

    /// Whether some calls still succeed here, though too many fail for the circuit to be closed.
    pub fn answers_in_part(&self, now: Instant) -> bool {
        let answered = self.answered_ms.load(Relaxed);
        answered != 0 && self.ms(now).saturating_sub(answered) < IN_PART_MS
    }

    /// Whether a retry would be refused now.
    pub fn refuses_retries(&self, rules: RetryRules, now: Instant) -> bool {
        let now_ms = self.ms(now);
        self.budget.is_empty(rules, now_ms) && self.is_failing(rules, now_ms)
    }

    /// Whether more of its present calls fail than retries may make up for, or its vendor told every key to wait.
    fn is_failing(&self, rules: RetryRules, now_ms: u64) -> bool {
        if self.state.load(Relaxed) != CLOSED || self.keys.exclusion(now_ms).is_some() {
            return true;
        }
        let is_over = now_ms.saturating_sub(self.window_start_ms.load(Relaxed)) >= self.options.window_ms;
        let (calls, failed) = (self.window_calls.load(Relaxed), self.window_failures.load(Relaxed));
        !is_over && u64::from(failed) * 100 > u64::from(rules.share_percent) * u64::from(calls)
    }

    /// The next usable key in turn; one near its limit gives up part of its turns. With none usable, the one that is free
    /// again first.
    pub fn pick_key(&self, now: Instant) -> usize {
        self.keys.pick(self.ms(now), || fastrand::u32(..))
    }

    /// A 429: the key rests for the vendor's `wait`, capped by `open_ms_max`.
    pub fn cool_key(&self, key: usize, wait: Option<Duration>, now: Instant) {
        let wait_ms = (rate_limited_wait(wait).as_millis() as u64).min(self.options.open_ms_max);
        self.keys.cool(key, self.ms(now) + wait_ms);
    }

    /// A 401, 402 or 403: the key is benched.
    pub fn refuse_key(&self, key: usize, now: Instant) {
        self.keys.refuse(key, self.ms(now));
    }

    /// What is shown in the place of that key is another now: a refusal says nothing of it.
    pub fn renew_key(&self, key: usize) {
        self.keys.renew(key);
    }

    /// An answer stated what is left of the key's tightest limit, 0 to 1. With nothing left the key rests until `reset`,
    /// capped by `open_ms_max`, as if it had been told to.
    pub fn note_headroom(&self, key: usize, remaining_share: f32, reset: Option<Duration>, now: Instant) {
        let now_ms = self.ms(now);
        let reset_ms = reset.map(|it| (it.as_millis() as u64).min(self.options.open_ms_max));
        if remaining_share <= 0.0 {
            self.keys.cool(key, now_ms + reset_ms.unwrap_or(RATE_LIMITED_MS.min(self.options.open_ms_max)));
        } else {
            self.keys.note_headroom(key, remaining_share, reset_ms, now_ms);
        }
    }

    /// Whether that key may be used now.
    pub fn may_use_key(&self, key: usize, now: Instant) -> bool {
        self.keys.is_usable(key, self.ms(now))
    }

    pub fn has_usable_key(&self, now: Instant) -> bool {
        self.keys.exclusion(self.ms(now)).is_none()
    }

    pub fn key_states(&self, now: Instant) -> Vec<KeyState> {
        self.keys.states(self.ms(now))
    }

    /// The vendor's 404 for its own model: the model rests, the upstream does not.
    pub fn mark_missing(&self, model: &ModelName, now: Instant) {
        self.missing.mark(model, self.ms(now));
    }

    /// For panic mode: the smaller, the longer ago the last failure.
    pub fn last_failure_ms(&self) -> u64 {
        self.last_failure_ms.load(Relaxed)
    }

    pub fn set_drained(&self, drained: bool) {
        self.drained.store(drained, Relaxed);
    }

    pub fn is_drained(&self) -> bool {
        self.drained.load(Relaxed)
    }

    /// The active checks' word. Returns whether it changed.
    pub fn set_probe_failed(&self, failed: bool) -> bool {
        self.probe_failed.swap(failed, Relaxed) != failed
    }

    pub fn is_probe_failed(&self) -> bool {
        self.probe_failed.load(Relaxed)
    }

    fn ms(&self, now: Instant) -> u64 {
        now.saturating_duration_since(*START).as_millis() as u64
    }
}

/// How long a 429 lets its key rest: the vendor's `wait`, within reason, or the usual one.
pub fn rate_limited_wait(wait: Option<Duration>) -> Duration {
    let ms = wait.map_or(RATE_LIMITED_MS, |it| (it.as_millis() as u64).max(RATE_LIMITED_MS_MIN));
    Duration::from_millis(ms)
}

#[cfg(test)]
mod tests;
