//! Models that one upstream's vendor said it does not know: they rest for a while, and the upstream does not.

use arc_swap::ArcSwap;

use crate::names::ModelName;

/// Models remembered as unknown to one upstream; the oldest goes first.
pub(super) const MISSING_MODELS_MAX: usize = 64;

/// Time a model stays marked as unknown, in milliseconds: vendors do add models.
pub(super) const MISSING_MODEL_MS: u64 = 60_000;

/// The models, and until when. Read without a lock: a client that keeps asking for a wrong name must not slow the others.
#[derive(Default)]
pub(super) struct MissingModels(ArcSwap<Vec<(ModelName, u64)>>);

impl MissingModels {
    pub fn mark(&self, model: &ModelName, now_ms: u64) {
        self.0.rcu(|known| {
            let others = known.iter().filter(|(name, until)| name != model && *until > now_ms);
            let mut models: Vec<_> = others.cloned().collect();
            if models.len() == MISSING_MODELS_MAX {
                models.remove(0);
            }
            models.push((model.clone(), now_ms + MISSING_MODEL_MS));
            models
        });
    }

    pub fn has(&self, model: &str, now_ms: u64) -> bool {
        self.0.load().iter().any(|(name, until)| name.as_str() == model && *until > now_ms)
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.0.load().len()
    }
}
