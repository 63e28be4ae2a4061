//! Where records stood in their lists until they were deleted: who deletes what a page shows goes on behind one that is gone.
//! Of this gateway's own deletions only, and the newest of them; the `next` of a page holds whatever becomes of its records.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::session::key::SessionKey;

/// Deletions that are remembered, less than 100 bytes each.
const GONE_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Gone(Mutex<Known>);

#[derive(Default)]
struct Known {
    places: HashMap<[u8; 16], u64>,
    oldest_first: VecDeque<[u8; 16]>,
}

impl Gone {
    /// `listed_at`: the last time by which it was listed.
    pub(super) fn note(&self, key: &SessionKey, listed_at: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tag = key.tag();
        if known.places.insert(tag, listed_at).is_none() {
            known.oldest_first.push_back(tag);
        }
        if known.oldest_first.len() > GONE_MAX
            && let Some(oldest) = known.oldest_first.pop_front()
        {
            known.places.remove(&oldest);
        }
    }

    pub(super) fn listed_at(&self, key: &SessionKey) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).places.get(&key.tag()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::key::{Owner, SessionId};

    #[test]
    fn the_newest_deletions_are_remembered() {
        let gone = Gone::default();
        let key = |it: usize| {
            let id = SessionId::parse(&it.to_string()).unwrap();
            SessionKey::session(Owner::tenant("a"), id)
        };
        for at in 0..=GONE_MAX {
            gone.note(&key(at), at as u64);
        }
        gone.note(&key(1), 7);
        assert_eq!((gone.listed_at(&key(0)), gone.listed_at(&key(1))), (None, Some(7)));
        assert_eq!(gone.listed_at(&key(GONE_MAX)), Some(GONE_MAX as u64));
    }
}
