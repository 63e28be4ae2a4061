//! What we believe about the keys of one upstream: who rests, who was refused, who is near the limit its vendor states.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

use super::Exclusion;

/// Time a refused key is benched, in milliseconds: long enough not to annoy, short enough to notice a paid bill.
pub(super) const REFUSED_KEY_MS: u64 = 300_000;

/// Share of a limit below which a key is spared.
const SCARCE_SHARE: f32 = 0.1;

/// A key is used as much as any: thousandths.
const PLENTY: u32 = 1_000;

/// Time that a stated limit is believed in, in milliseconds, where nobody says when it is full again: the usual limits
/// are by the minute.
const UNDATED_MS: u64 = 60_000;

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    Usable,
    /// Told to wait by a 429, or by a limit that is used up.
    Cooling,
    /// Refused by a 401, 402 or 403.
    Refused,
}

/// The keys in the order of the configuration.
pub(super) struct Keys {
    keys: Vec<Key>,
    next: AtomicUsize,
}

struct Key {
    cooling_until_ms: AtomicU64,
    refused_until_ms: AtomicU64,
    /// How much of its turn it takes, in thousandths, until `scarce_until_ms`.
    use_share: AtomicU32,
    scarce_until_ms: AtomicU64,
}

impl Keys {
    pub fn new(count: usize) -> Self {
        let key = || Key {
            cooling_until_ms: AtomicU64::new(0),
            refused_until_ms: AtomicU64::new(0),
            use_share: AtomicU32::new(PLENTY),
            scarce_until_ms: AtomicU64::new(0),
        };
        Self { keys: (0..count).map(|_| key()).collect(), next: AtomicUsize::new(0) }
    }

    pub fn exclusion(&self, now_ms: u64) -> Option<Exclusion> {
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

    /// The next usable key in turn; one that is scarce gives up part of its turns. With none usable, the one that is free
    /// again first.
    pub fn pick(&self, now_ms: u64, random: impl Fn() -> u32) -> usize {
        let count = self.keys.len();
        if count == 1 {
            return 0;
        }
        let start = self.next.fetch_add(1, Relaxed);
        let turns = || (0..count).map(|offset| (start + offset) % count);
        let is_usable = |it: &usize| self.keys[*it].state(now_ms) == KeyState::Usable;
        let takes_its_turn = |it: &usize| {
            let share = self.keys[*it].use_share(now_ms);
            share == PLENTY || random() % PLENTY < share
        };
        turns()
            .find(|it| is_usable(it) && takes_its_turn(it))
            .or_else(|| turns().find(is_usable))
            .or_else(|| (0..count).min_by_key(|it| self.keys[*it].free_at()))
            .unwrap_or(0)
    }

    /// The key rests until then, unless it rests for longer already.
    pub fn cool(&self, key: usize, until_ms: u64) {
        self.keys[key].cooling_until_ms.fetch_max(until_ms, Relaxed);
    }

    pub fn refuse(&self, key: usize, now_ms: u64) {
        self.keys[key].refused_until_ms.store(now_ms + REFUSED_KEY_MS, Relaxed);
    }

    pub fn renew(&self, key: usize) {
        self.keys[key].refused_until_ms.store(0, Relaxed);
    }

    /// The vendor stated what is left of a limit. As long as there is plenty, this only reads.
    pub fn note_headroom(&self, key: usize, remaining_share: f32, reset_ms: Option<u64>, now_ms: u64) {
        let key = &self.keys[key];
        let share = ((remaining_share / SCARCE_SHARE).clamp(0.0, 1.0) * PLENTY as f32) as u32;
        if share < PLENTY {
            key.scarce_until_ms.store(now_ms + reset_ms.unwrap_or(UNDATED_MS), Relaxed);
        }
        if key.use_share.load(Relaxed) != share {
            key.use_share.store(share, Relaxed);
        }
    }

    /// How much of its calls the upstream's best key can take, 0 to 1. An upstream without a usable key is the plan's
    /// business, not this share's.
    pub fn headroom(&self, now_ms: u64) -> f32 {
        let usable = self.keys.iter().filter(|it| it.state(now_ms) == KeyState::Usable);
        usable.map(|it| it.use_share(now_ms)).max().map_or(1.0, |it| it as f32 / PLENTY as f32)
    }

    pub fn is_usable(&self, key: usize, now_ms: u64) -> bool {
        self.keys.get(key).is_some_and(|it| it.state(now_ms) == KeyState::Usable)
    }

    pub fn states(&self, now_ms: u64) -> Vec<KeyState> {
        self.keys.iter().map(|it| it.state(now_ms)).collect()
    }
}

impl Key {
    fn state(&self, now_ms: u64) -> KeyState {
        if self.refused_until_ms.load(Relaxed) > now_ms {
            KeyState::Refused
        } else if self.cooling_until_ms.load(Relaxed) > now_ms {
            KeyState::Cooling
        } else {
            KeyState::Usable
        }
    }

    fn use_share(&self, now_ms: u64) -> u32 {
        let share = self.use_share.load(Relaxed);
        if share < PLENTY && self.scarce_until_ms.load(Relaxed) <= now_ms { PLENTY } else { share }
    }

    fn free_at(&self) -> u64 {
        self.cooling_until_ms.load(Relaxed).max(self.refused_until_ms.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scarce_key_gives_up_its_turns_in_proportion() {
        let keys = Keys::new(2);
        // A twentieth is left: half of the tenth from which on it is spared.
        keys.note_headroom(0, 0.05, Some(1_000), 0);
        let picks = |random: u32| (0..4).map(|_| keys.pick(0, || random)).collect::<Vec<_>>();
        assert_eq!(picks(499), [0, 1, 0, 1]);
        assert_eq!(picks(500), [1, 1, 1, 1]);
        assert_eq!(keys.headroom(0), 1.0, "the other key has plenty");
        assert_eq!(
            (0..4).map(|_| keys.pick(1_000, || 999)).collect::<Vec<_>>(),
            [0, 1, 0, 1],
            "it is full again"
        );
    }

    #[test]
    fn the_best_key_that_is_usable_is_the_upstreams_headroom() {
        let keys = Keys::new(2);
        keys.note_headroom(0, 0.05, None, 0);
        keys.cool(1, 500);
        assert_eq!(keys.headroom(0), 0.5);
        assert_eq!(keys.headroom(500), 1.0);
        keys.note_headroom(1, 0.02, None, 0);
        assert_eq!(keys.headroom(500), 0.5);
        keys.note_headroom(0, 0.9, None, 0);
        assert_eq!(keys.headroom(500), 1.0);
        keys.cool(0, 900);
        keys.cool(1, 900);
        assert_eq!(keys.headroom(500), 1.0, "nothing usable is no share");
    }

    #[test]
    fn with_all_keys_scarce_one_is_used_all_the_same() {
        let keys = Keys::new(2);
        keys.note_headroom(0, 0.01, None, 0);
        keys.note_headroom(1, 0.01, None, 0);
        assert_eq!([keys.pick(0, || 999), keys.pick(0, || 999)], [0, 1]);
    }
}
