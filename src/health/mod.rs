//! What we believe about each upstream and key: counters, states, flips. No I/O and no clock of its own.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

pub use self::options::CircuitOptions;
use crate::names::ModelName;

mod options;
pub mod output;
pub mod pace;
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
    /// How often the circuit opened again without a success between; doubles its time-out.
    reopenings: AtomicU32,
    open_until_ms: AtomicU64,
    /// A call is on trial in the half-open circuit.
    on_trial: AtomicBool,
    last_failure_ms: AtomicU64,
    drained: AtomicBool,
    probe_failed: AtomicBool,
    keys: Vec<KeyHealth>,
    next_key: AtomicUsize,
    /// Models the vendor does not know. Bounded by [`MISSING_MODELS_MAX`]; looked at only while not empty.
    missing: Mutex<Vec<(ModelName, u64)>>,
    missing_count: AtomicUsize,
}

/// Models remembered as unknown to one upstream; the oldest goes first.
const MISSING_MODELS_MAX: usize = 64;

/// Time a model stays marked as unknown, in milliseconds: vendors do add models.
const MISSING_MODEL_MS: u64 = 60_000;

/// Time a refused key is benched, in milliseconds: long enough not to annoy, short enough to notice a paid bill.
const REFUSED_KEY_MS: u64 = 300_000;

/// Wait after a 429 that names none, in milliseconds.
const RATE_LIMITED_MS: u64 = 1_000;

/// Least rest after a 429, in milliseconds: a wait of 0 must not send the same call to the same key again.
const RATE_LIMITED_MS_MIN: u64 = 100;

#[derive(Default)]
struct KeyHealth {
    cooling_until_ms: AtomicU64,
    refused_until_ms: AtomicU64,
}

/// Whether live calls may reach an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    Closed,
    HalfOpen,
    Open,
}

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    Usable,
    /// Told to wait by a 429.
    Cooling,
    /// Refused by a 401, 402 or 403.
    Refused,
}

/// Why a target is not tried now; `None` everywhere means that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// An operator drained it.
    Drained,
    /// Every key was refused.
    KeysRefused,
    /// Every usable key waits out a 429.
    KeysCooling,
    /// Active checks fail.
    ProbeFailed,
    CircuitOpen,
    /// The vendor said that it does not know the model.
    ModelMissing,
}

impl Exclusion {
    pub fn as_str(self) -> &'static str {
        match self {
            Exclusion::Drained => "drained by an operator",
            Exclusion::KeysRefused => "every key was refused",
            Exclusion::KeysCooling => "every key waits out a rate limit",
            Exclusion::ProbeFailed => "active checks fail",
            Exclusion::CircuitOpen => "circuit open after failures",
            Exclusion::ModelMissing => "the vendor does not know the model",
        }
    }

    /// Whether the target may be tried all the same when nothing else is left (panic mode).
    pub fn yields_in_panic(self) -> bool {
        !matches!(self, Exclusion::Drained | Exclusion::KeysRefused)
    }
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
            open_until_ms: AtomicU64::new(0),
            on_trial: AtomicBool::new(false),
            last_failure_ms: AtomicU64::new(0),
            drained: AtomicBool::new(false),
            probe_failed: AtomicBool::new(false),
            keys: (0..keys.max(1)).map(|_| KeyHealth::default()).collect(),
            next_key: AtomicUsize::new(0),
            missing: Mutex::new(Vec::new()),
            missing_count: AtomicUsize::new(0),
        }
    }

    /// Why the upstream should not be asked for `model` now, if so.
    pub fn exclusion(&self, model: &str, now: Instant) -> Option<Exclusion> {
        let now_ms = self.ms(now);
        if self.drained.load(Relaxed) {
            return Some(Exclusion::Drained);
        }
        if let Some(keys) = self.keys_exclusion(now_ms) {
            return Some(keys);
        }
        if self.probe_failed.load(Relaxed) {
            return Some(Exclusion::ProbeFailed);
        }
        if self.circuit(now) != CircuitState::Closed && !self.trial_is_free(now_ms) {
            return Some(Exclusion::CircuitOpen);
        }
        self.misses(model, now_ms).then_some(Exclusion::ModelMissing)
    }

    fn keys_exclusion(&self, now_ms: u64) -> Option<Exclusion> {
        let mut all_refused = true;
        for key in &self.keys {
            match key.state(now_ms) {
                KeyState::Usable => return None,
                KeyState::Cooling => all_refused = false,
                KeyState::Refused => {}
            }
        }
        Some(if all_refused { Exclusion::KeysRefused } else { Exclusion::KeysCooling })
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
        if self.state.load(Relaxed) != CLOSED {
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
            Verdict::Alive => self.close(),
            Verdict::Failed => {
                let now_ms = self.ms(now);
                self.last_failure_ms.store(now_ms.max(1), Relaxed);
                self.on_trial.swap(false, Relaxed).then(|| self.open(now_ms))
            }
        }
    }

    fn close(&self) -> Option<CircuitState> {
        self.state.store(CLOSED, Relaxed);
        self.failures.store(0, Relaxed);
        self.reopenings.store(0, Relaxed);
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
        (opens && self.state.swap(OPEN, Relaxed) == CLOSED).then(|| self.open(now_ms))
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

    /// The next usable key in turn. With none usable, the one that is free again first, unless `None` is all there is.
    pub fn pick_key(&self, now: Instant) -> usize {
        let now_ms = self.ms(now);
        let count = self.keys.len();
        if count == 1 {
            return 0;
        }
        let start = self.next_key.fetch_add(1, Relaxed);
        let turn = |offset: usize| (start + offset) % count;
        (0..count)
            .map(turn)
            .find(|it| self.keys[*it].state(now_ms) == KeyState::Usable)
            .or_else(|| (0..count).min_by_key(|it| self.keys[*it].free_at()))
            .unwrap_or(0)
    }

    /// A 429: the key rests for the vendor's `wait`, capped by `open_ms_max`.
    pub fn cool_key(&self, key: usize, wait: Option<Duration>, now: Instant) {
        let wait_ms = wait.map_or(RATE_LIMITED_MS, |it| (it.as_millis() as u64).max(RATE_LIMITED_MS_MIN));
        let wait_ms = wait_ms.min(self.options.open_ms_max);
        self.keys[key].cooling_until_ms.fetch_max(self.ms(now) + wait_ms, Relaxed);
    }

    /// A 401, 402 or 403: the key is benched.
    pub fn refuse_key(&self, key: usize, now: Instant) {
        self.keys[key].refused_until_ms.store(self.ms(now) + REFUSED_KEY_MS, Relaxed);
    }

    /// stub
    pub fn share(&self, _: Instant) -> f32 {
        1.0
    }

    /// Whether that key may be used now.
    pub fn may_use_key(&self, key: usize, now: Instant) -> bool {
        self.keys.get(key).is_some_and(|it| it.state(self.ms(now)) == KeyState::Usable)
    }

    pub fn has_usable_key(&self, now: Instant) -> bool {
        self.keys_exclusion(self.ms(now)).is_none()
    }

    pub fn key_states(&self, now: Instant) -> Vec<KeyState> {
        let now_ms = self.ms(now);
        self.keys.iter().map(|it| it.state(now_ms)).collect()
    }

    /// The vendor's 404 for its own model: the model rests, the upstream does not.
    pub fn mark_missing(&self, model: &ModelName, now: Instant) {
        let until = self.ms(now) + MISSING_MODEL_MS;
        let mut missing = self.missing.lock().expect("no holder of this lock panics");
        missing.retain(|(name, _)| name != model);
        if missing.len() == MISSING_MODELS_MAX {
            missing.remove(0);
        }
        missing.push((model.clone(), until));
        self.missing_count.store(missing.len(), Relaxed);
    }

    fn misses(&self, model: &str, now_ms: u64) -> bool {
        if self.missing_count.load(Relaxed) == 0 {
            return false;
        }
        let mut missing = self.missing.lock().expect("no holder of this lock panics");
        missing.retain(|(_, until)| *until > now_ms);
        self.missing_count.store(missing.len(), Relaxed);
        missing.iter().any(|(name, _)| name.as_str() == model)
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

impl KeyHealth {
    fn state(&self, now_ms: u64) -> KeyState {
        if self.refused_until_ms.load(Relaxed) > now_ms {
            KeyState::Refused
        } else if self.cooling_until_ms.load(Relaxed) > now_ms {
            KeyState::Cooling
        } else {
            KeyState::Usable
        }
    }

    fn free_at(&self) -> u64 {
        self.cooling_until_ms.load(Relaxed).max(self.refused_until_ms.load(Relaxed))
    }
}

#[cfg(test)]
mod tests;
