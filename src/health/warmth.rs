//! Which target and key hold a conversation's prompt cache: a fixed table of hints, written without a lock. A hint that
//! is lost or wrong costs a cache miss at the vendor, nothing else.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use super::START;

/// Conversations remembered; each takes 24 bytes. Beyond them the ones that share a place push each other out.
const PLACES: usize = 16_384;

/// Vendors keep a prefix for five minutes or more after its last use.
pub const WARM_FOR: Duration = Duration::from_secs(300);

/// The prompt caches we believe in, by a hash of what names the conversation.
pub struct Warmth {
    places: Vec<Place>,
    /// Share of the calls that were further turns of their conversation, of [`ALL`].
    further: AtomicU32,
}

#[derive(Default)]
struct Place {
    conversation: AtomicU64,
    /// Target in the upper half, then tokens of the prefix.
    held: AtomicU64,
    /// Key in the upper half, then seconds since the process began.
    seen: AtomicU64,
}

/// A prefix that a target holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warm {
    /// [`fingerprint`] of the target.
    pub target: u32,
    /// Index of the key that was used: vendors keep caches per account.
    pub key: usize,
    /// Tokens of the prefix.
    pub tokens: u64,
}

impl Default for Warmth {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| Place::default()).collect(), further: AtomicU32::new(0) }
    }
}

impl Warmth {
    /// `conversation` was served; its whole text is now cached where `warm` says.
    pub fn note(&self, conversation: u64, warm: Warm, now: Instant) {
        let before = self.of(conversation, now);
        self.count(before.is_some_and(|it| it.tokens <= warm.tokens));
        let place = self.place(conversation);
        let tokens = warm.tokens.min(u64::from(u32::MAX));
        place.conversation.store(conversation, Relaxed);
        place.held.store((u64::from(warm.target) << 32) | tokens, Relaxed);
        place.seen.store(((warm.key as u64) << 32) | seconds(now), Relaxed);
    }

    /// Whether a conversation that begins may be expected to go on, by what others did.
    pub fn mostly_goes_on(&self) -> bool {
        self.further.load(Relaxed) > ALL / 3 * 2
    }

    fn count(&self, is_further: bool) {
        let before = self.further.load(Relaxed);
        let after = if is_further { before + (ALL - before) / MEMORY } else { before - before / MEMORY };
        if after != before {
            self.further.store(after, Relaxed);
        }
    }

    /// Where `conversation` is cached, if it still is.
    pub fn of(&self, conversation: u64, now: Instant) -> Option<Warm> {
        let place = self.place(conversation);
        let (held, seen) = (place.held.load(Relaxed), place.seen.load(Relaxed));
        let fresh = seconds(now).saturating_sub(seen & HALF) <= WARM_FOR.as_secs();
        (place.conversation.load(Relaxed) == conversation && fresh).then_some(Warm {
            target: (held >> 32) as u32,
            key: (seen >> 32) as usize,
            tokens: held & HALF,
        })
    }

    fn place(&self, conversation: u64) -> &Place {
        &self.places[conversation as usize % PLACES]
    }
}

/// The whole of what [`Warmth`] keeps a share of.
const ALL: u32 = 1 << 20;

/// A call moves that share by this part of the difference.
const MEMORY: u32 = 64;

const HALF: u64 = u32::MAX as u64;

/// Seconds since the process began, never 0.
fn seconds(now: Instant) -> u64 {
    (now.saturating_duration_since(*START).as_secs() + 1) & HALF
}

/// What names an upstream and its model across reloads.
pub fn fingerprint(upstream: &str, model: &str) -> u32 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (upstream, model).hash(&mut hasher);
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_found_where_it_was_last_until_its_cache_is_gone() {
        let (warmth, now) = (Warmth::default(), *START + Duration::from_secs(1));
        let warm = |target, key| Warm { target, key, tokens: 5_000 };
        warmth.note(7, warm(1, 0), now);
        warmth.note(7, warm(u32::MAX, 3), now);
        assert_eq!(warmth.of(7, now + WARM_FOR), Some(warm(u32::MAX, 3)));
        assert_eq!(warmth.of(7, now + WARM_FOR + Duration::from_secs(1)), None);
        assert_eq!(warmth.of(8, now), None);
        warmth.note(7 + PLACES as u64, warm(2, 0), now);
        assert_eq!(warmth.of(7, now), None);
    }

    #[test]
    fn whether_conversations_go_on_is_learnt_from_those_that_did() {
        let (warmth, now) = (Warmth::default(), *START + Duration::from_secs(1));
        let turn = |conversation, tokens| warmth.note(conversation, Warm { target: 1, key: 0, tokens }, now);
        assert!(!warmth.mostly_goes_on());
        let talks = |from: u64, turns: u64| {
            for conversation in from..from + 100 {
                (1..=turns).for_each(|it| turn(conversation, it * 1_000));
            }
        };
        talks(0, 5);
        assert!(warmth.mostly_goes_on());
        talks(1_000, 2);
        assert!(!warmth.mostly_goes_on());
        talks(2_000, 5);
        // The same name for ever other, shorter prompts is no conversation.
        (0..200).for_each(|it| turn(9_999, 1_000 - it));
        assert!(!warmth.mostly_goes_on());
    }
}
