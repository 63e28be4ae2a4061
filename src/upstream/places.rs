//! Places at an upstream whose vendor serves so many calls at once: per upstream, per key, per model. A place is taken
//! before an attempt and travels with its answer's body. Who finds none goes elsewhere, or waits in a short queue.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::names::ModelName;
use crate::upstream::spec::ConcurrencySpec;

/// Keys of which one call awaits a place at once; further ones get their turn from other calls.
const KEYS_AWAITED_MAX: usize = 16;

/// The places of one upstream. Without caps it holds nothing, and passing it costs nothing.
pub struct Places {
    calls: Option<Arc<Semaphore>>,
    /// In the order of the keys; empty without a cap.
    keys: Vec<Arc<Semaphore>>,
    models: Vec<(ModelName, Arc<Semaphore>)>,
    /// Calls in the queue, at most `queue_max`.
    waiting: AtomicU32,
    queue_max: u32,
    queue: Duration,
}

/// One call's place, given back when dropped.
pub struct HeldPlace {
    _permits: [Option<OwnedSemaphorePermit>; 3],
}

impl Places {
    /// `keys` is at least one, as in `health`.
    pub fn new(spec: &ConcurrencySpec, keys: usize) -> Self {
        let places = |count: u32| Arc::new(Semaphore::new(count as usize));
        let keys = if spec.per_key_max == 0 { 0 } else { keys.max(1) };
        let capped = spec.models.iter().filter(|(_, count)| *count > 0);
        Self {
            calls: (spec.calls_max > 0).then(|| places(spec.calls_max)),
            keys: (0..keys).map(|_| places(spec.per_key_max)).collect(),
            models: capped.map(|(name, count)| (name.clone(), places(*count))).collect(),
            waiting: AtomicU32::new(0),
            queue_max: spec.queue_max,
            queue: Duration::from_millis(spec.queue_ms),
        }
    }

    /// A place for a call of `model` with the key, if one is free now.
    pub fn enter(&self, key: usize, model: &str) -> Option<HeldPlace> {
        let mut permits = [None, None, None];
        for (permit, places) in permits.iter_mut().zip(self.needed(key, model)) {
            if let Some(places) = places {
                *permit = Some(Arc::clone(places).try_acquire_owned().ok()?);
            }
        }
        Some(HeldPlace { _permits: permits })
    }

    /// A place with one of `keys` as soon as one is free; `None` where the queue is full or the wait too long. `waited`:
    /// what the call has waited elsewhere, which is no longer left to wait here.
    pub async fn wait(&self, keys: &[usize], model: &str, waited: Duration) -> Option<(usize, HeldPlace)> {
        let _turn = Turn::take(&self.waiting, self.queue_max)?;
        let taking = async {
            let (key, by_key) = self.any_key(keys).await?;
            let mut permits = [by_key, None, None];
            for (permit, places) in permits.iter_mut().zip(self.needed(key, model)).skip(1) {
                if let Some(places) = places {
                    *permit = Some(Arc::clone(places).acquire_owned().await.ok()?);
                }
            }
            Some((key, HeldPlace { _permits: permits }))
        };
        tokio::time::timeout(self.queue.saturating_sub(waited), taking).await.ok().flatten()
    }

    /// The first of `keys` that has a place, and the place if keys have such.
    async fn any_key(&self, keys: &[usize]) -> Option<(usize, Option<OwnedSemaphorePermit>)> {
        if self.keys.is_empty() {
            return Some((*keys.first()?, None));
        }
        let places = keys.iter().take(KEYS_AWAITED_MAX).filter_map(|key| Some((*key, self.keys.get(*key)?)));
        let mut waits: Vec<_> =
            places.map(|(key, it)| (key, Box::pin(Arc::clone(it).acquire_owned()))).collect();
        poll_fn(|cx| {
            let taken = waits.iter_mut().find_map(|(key, wait)| match wait.as_mut().poll(cx) {
                Poll::Ready(permit) => Some((*key, permit.ok())),
                Poll::Pending => None,
            });
            taken.map_or(Poll::Pending, |it| Poll::Ready(Some(it)))
        })
        .await
    }

    /// Whether another key may find a place where one found none.
    pub fn is_by_key(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether a call of `model` would find no place now.
    pub fn is_full(&self, model: &str) -> bool {
        let is_taken = |it: &Arc<Semaphore>| it.available_permits() == 0;
        let keys_are = !self.keys.is_empty() && self.keys.iter().all(is_taken);
        keys_are || self.model(model).is_some_and(is_taken) || self.calls.as_ref().is_some_and(is_taken)
    }

    /// The narrowest first, so that nobody waits there with a place that others could use.
    fn needed(&self, key: usize, model: &str) -> [Option<&Arc<Semaphore>>; 3] {
        [self.keys.get(key), self.model(model), self.calls.as_ref()]
    }

    fn model(&self, name: &str) -> Option<&Arc<Semaphore>> {
        self.models.iter().find(|(it, _)| it.as_str() == name).map(|(_, places)| places)
    }
}

/// A place in the queue, given up when dropped: a client that leaves leaves the queue, too.
struct Turn<'a>(&'a AtomicU32);

impl<'a> Turn<'a> {
    fn take(waiting: &'a AtomicU32, most: u32) -> Option<Self> {
        let turn = Self(waiting);
        // Beyond the bound it is dropped, and counted out again.
        (waiting.fetch_add(1, Relaxed) < most).then_some(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places_of(calls_max: u32, per_key_max: u32, models: &[(&str, u32)]) -> Places {
        let models = models.iter().map(|(name, count)| ((*name).into(), *count)).collect();
        Places::new(&ConcurrencySpec { calls_max, per_key_max, models, queue_max: 1, queue_ms: 500 }, 2)
    }

    #[test]
    fn every_cap_holds_by_itself() {
        let check = |places: Places, calls: &[(usize, &str)], last_enters: bool| {
            let (last, before) = calls.split_last().unwrap();
            let held: Vec<_> = before.iter().map(|(key, model)| places.enter(*key, model).unwrap()).collect();
            assert_eq!(places.enter(last.0, last.1).is_some(), last_enters, "{calls:?}");
            drop(held);
            assert!(places.enter(last.0, last.1).is_some(), "{calls:?}");
        };
        check(places_of(0, 0, &[]), &[(0, "m"), (0, "m"), (0, "m")], true);
        check(places_of(2, 0, &[]), &[(0, "m"), (1, "n"), (0, "m")], false);
        check(places_of(0, 1, &[]), &[(0, "m"), (0, "m")], false);
        check(places_of(0, 1, &[]), &[(0, "m"), (1, "m")], true);
        check(places_of(0, 0, &[("m", 1)]), &[(0, "m"), (1, "m")], false);
        check(places_of(0, 0, &[("m", 1)]), &[(0, "m"), (1, "n")], true);
        check(places_of(0, 0, &[("m", 0)]), &[(0, "m"), (1, "m")], true);
    }

    /// A cap that was met first kept its place though a later one refused, until nobody could enter.
    #[test]
    fn who_is_refused_by_one_cap_holds_no_place_at_another() {
        let places = places_of(2, 0, &[("m", 1)]);
        let held = places.enter(0, "m");
        for _ in 0..5 {
            assert!(places.enter(0, "m").is_none());
        }
        assert!(places.is_full("m") && !places.is_full("n"));
        assert!(places.enter(0, "n").is_some());
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_short_and_its_wait_bounded() {
        let places = places_of(1, 0, &[]);
        let held = places.enter(0, "m").unwrap();
        let wait = || places.wait(&[0], "m", Duration::ZERO);
        let (first, second) = tokio::join!(wait(), wait());
        assert!(first.is_none() && second.is_none());
        let begun = tokio::time::Instant::now();
        let (first, second, ()) = tokio::join!(wait(), wait(), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(held);
        });
        assert!(first.is_some() && second.is_none(), "one waits, the other finds the queue full");
        assert_eq!(begun.elapsed().as_millis(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn the_key_that_is_free_first_is_taken_and_no_place_with_another() {
        let places = places_of(0, 1, &[]);
        let (_first, second) = (places.enter(0, "m").unwrap(), places.enter(1, "m").unwrap());
        let (taken, ()) = tokio::join!(places.wait(&[0, 1], "m", Duration::ZERO), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(second);
        });
        assert_eq!(taken.as_ref().map(|(key, _)| *key), Some(1));
        drop((taken, _first));
        assert!(places.enter(0, "m").is_some() && places.enter(1, "m").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_waited_elsewhere_is_not_waited_again() {
        let places = places_of(1, 0, &[]);
        let _held = places.enter(0, "m").unwrap();
        for (waited, left) in [(0, 500), (400, 100), (500, 0), (9_000, 0)] {
            let begun = tokio::time::Instant::now();
            assert!(places.wait(&[0], "m", Duration::from_millis(waited)).await.is_none());
            assert!((left..=left + 1).contains(&begun.elapsed().as_millis()), "{waited}");
        }
    }
}
