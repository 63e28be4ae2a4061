//! Why an upstream is out of service.

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

    /// The word that labels it in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Exclusion::Drained => "drained",
            Exclusion::KeysRefused => "keys_refused",
            Exclusion::KeysCooling => "keys_cooling",
            Exclusion::ProbeFailed => "probe_failed",
            Exclusion::CircuitOpen => "circuit_open",
            Exclusion::ModelMissing => "model_missing",
        }
    }

    /// Whether the target may be tried all the same when nothing else is left (panic mode).
    pub fn yields_in_panic(self) -> bool {
        !matches!(self, Exclusion::Drained | Exclusion::KeysRefused)
    }
}
