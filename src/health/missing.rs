//! Models that one upstream's vendor said it does not know: they rest for a while, and the upstream does not.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crate::names::ModelName;

/// Models remembered as unknown to one upstream; the oldest goes first.
pub(super) const MISSING_MODELS_MAX: usize = 64;

/// Time a model stays marked as unknown, in milliseconds: vendors do add models.
pub(super) const MISSING_MODEL_MS: u64 = 60_000;

/// The models, and until when. The lock is taken only while there are any.
#[derive(Default)]
pub(super) struct MissingModels {
    models: Mutex<Vec<(ModelName, u64)>>,
    count: AtomicUsize,
}

impl MissingModels {
    pub fn mark(&self, model: &ModelName, now_ms: u64) {
        let mut models = self.models.lock().expect("no holder of this lock panics");
        models.retain(|(name, _)| name != model);
        if models.len() == MISSING_MODELS_MAX {
            models.remove(0);
        }
        models.push((model.clone(), now_ms + MISSING_MODEL_MS));
        self.count.store(models.len(), Relaxed);
    }

    pub fn has(&self, model: &str, now_ms: u64) -> bool {
        if self.count() == 0 {
            return false;
        }
        let mut models = self.models.lock().expect("no holder of this lock panics");
        models.retain(|(_, until)| *until > now_ms);
        self.count.store(models.len(), Relaxed);
        models.iter().any(|(name, _)| name.as_str() == model)
    }

    pub fn count(&self) -> usize {
        self.count.load(Relaxed)
    }
}
