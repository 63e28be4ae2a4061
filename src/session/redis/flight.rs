//! Makes a value once for all who wait for it, in a task of its own: those who leave do not end it.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::session::store::StoreFault;

type Landing<T> = watch::Receiver<Option<Result<T, StoreFault>>>;

/// What is under way, if anything. The lock is held for no longer than it takes to look.
pub(super) struct Flight<T>(Mutex<Option<Landing<T>>>);

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    pub fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Waits for what is under way, or begins it, unless `ready` has one already.
    pub async fn join<F>(
        &self,
        ready: impl FnOnce() -> Option<T>,
        begin: impl FnOnce() -> F,
    ) -> Result<T, StoreFault>
    where
        F: Future<Output = Result<T, StoreFault>> + Send + 'static,
    {
        let mut landing = {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match held.as_ref().filter(|it| it.borrow().is_none() && it.has_changed().is_ok()) {
                Some(landing) => landing.clone(),
                None => {
                    if let Some(value) = ready() {
                        return Ok(value);
                    }
                    let landing = Self::start(begin());
                    *held = Some(landing.clone());
                    landing
                }
            }
        };
        match landing.wait_for(Option::is_some).await {
            Ok(landed) => landed.clone().unwrap_or_else(|| Err(ended())),
            Err(_) => Err(ended()),
        }
    }

    fn start(work: impl Future<Output = Result<T, StoreFault>> + Send + 'static) -> Landing<T> {
        let (sender, landing) = watch::channel(None);
        tokio::spawn(async move {
            let landed = work.await;
            sender.send_replace(Some(landed));
        });
        landing
    }
}

fn ended() -> StoreFault {
    StoreFault::Away("redis: connecting was given up".into())
}
