//! On what terms a target is asked: as usual, as the one trial of a half-open circuit, or because nothing else is left.

use std::time::Instant;

use crate::health::{CircuitState, UpstreamHealth};
use crate::route::legs::Leg;

/// On what terms an upstream is asked.
pub enum Terms<'a> {
    Ordinary,
    /// It holds the half-open circuit's one trial.
    OnTrial(Trial<'a>),
    /// Everything is out: its answer decides without a trial.
    LastResort {
        /// Some calls succeed there: for a client's first attempt it is better than nothing.
        in_part: bool,
    },
}

impl<'a> Terms<'a> {
    /// The terms on which `leg` may be asked now; none where it went out of service since the plan was made.
    pub fn of(leg: &Leg<'a>, now: Instant) -> Option<Self> {
        let health = &leg.target.health;
        if !leg.panic && health.exclusion(leg.model_sent(), now).is_some() {
            return None;
        }
        if health.circuit(now) == CircuitState::Closed {
            return Some(Terms::Ordinary);
        }
        match health.begin_trial(now) {
            true => Some(Terms::OnTrial(Trial(health))),
            false => leg.panic.then(|| Terms::LastResort { in_part: health.answers_in_part(now) }),
        }
    }
}

/// A half-open circuit's one trial; given back if the attempt ends without a verdict, as when the client hangs up.
pub struct Trial<'a>(&'a UpstreamHealth);

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.0.abandon_trial();
    }
}
