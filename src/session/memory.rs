//! What a gateway remembers of the sessions it used last: for calls that go on while their store is away.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::session::key::SessionKey;
use crate::session::record::{Append, Appended, Held, Meta, Window};
use crate::session::turn::Turn;

/// The epoch of a session that this gateway saw begin while nobody could tell it the store's. No store has it.
pub const EPOCH_UNKNOWN: u64 = 0;

/// What a session weighs besides its text, and a turn, in bytes: roughly.
const SESSION_BYTES: u64 = 512;
const TURN_BYTES: u64 = 384;

/// Sessions up to `bytes_max`; those used longest ago leave. Locked by calls that name a session, never across a wait.
pub struct Memory {
    bytes_max: u64,
    /// Of each session.
    window: Window,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    sessions: HashMap<SessionKey, Remembered>,
    /// By when they were used, oldest first.
    uses: BTreeMap<u64, SessionKey>,
    clock: u64,
    bytes: u64,
}

struct Remembered {
    held: Held,
    bytes: u64,
    used: u64,
    /// When the store's time for it began anew, as far as is known here.
    touched: Instant,
}

impl Remembered {
    /// Whether no store has it any more.
    fn is_over(&self) -> bool {
        let ttl_ms = self.held.meta.ttl_ms;
        ttl_ms > 0 && self.touched.elapsed() >= Duration::from_millis(ttl_ms)
    }
}

impl Memory {
    pub fn new(bytes_max: u64, window: Window) -> Self {
        Self { bytes_max, window, known: Arc::default() }
    }

    /// The same sessions under the bounds of another configuration.
    pub fn within(&self, bytes_max: u64, window: Window) -> Self {
        Self { bytes_max, window, known: Arc::clone(&self.known) }
    }

    /// The store said so. An older answer that comes late changes nothing.
    pub fn loaded(&self, key: &SessionKey, held: &Held) {
        let mut known = self.known();
        let is_known = known.used(key).is_some_and(|it| {
            it.meta.epoch == held.meta.epoch && it.meta.version > held.meta.version
                || it.meta == held.meta && it.turns.len() >= held.turns.len()
        });
        if is_known {
            known.touch(key);
        } else {
            known.put(key, self.bounded(held.clone()), self.bytes_max);
        }
    }

    /// A turn was written behind the others, by the store (`Some`) or the spool.
    pub fn appended(&self, key: &SessionKey, append: &Append, stored: Option<Appended>) {
        let stored = match stored {
            Some(Appended::Gone) => return self.forget(key),
            Some(Appended::Stored { number, version }) => Some((number, version)),
            None => None,
        };
        let mut known = self.known();
        let held = match known.take(key) {
            Some(held) => held,
            // What came before is not known: better nothing than a part.
            None if append.epoch.is_some() || stored.is_some_and(|it| it.0 > 0) => return,
            None => begun(key, append),
        };
        known.put(key, self.bounded(with_turn(held, append, stored)), self.bytes_max);
    }

    /// The session's description changed, not its turns.
    pub fn described(&self, key: &SessionKey, meta: &Meta) {
        let mut known = self.known();
        if let Some(mut held) = known.take(key) {
            held.meta = meta.clone();
            known.put(key, held, self.bytes_max);
        }
    }

    pub fn forget(&self, key: &SessionKey) {
        self.known().take(key);
    }

    pub fn remembered(&self, key: &SessionKey) -> Option<Held> {
        self.known().used(key).cloned()
    }

    /// Without the turns that no call would be given.
    fn bounded(&self, mut held: Held) -> Held {
        let (mut bytes, mut turns) = (0, 0);
        for turn in held.turns.iter().rev() {
            bytes += turn.messages.len() as u64;
            if turns > 0 && (turns >= self.window.turns_max || bytes > self.window.bytes_max) {
                break;
            }
            turns += 1;
        }
        let leave = held.turns.len() - turns as usize;
        held.turns.drain(..leave);
        held.from += leave as u64;
        held
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no panic while held")
    }
}

impl Known {
    /// A session, used now.
    fn used(&mut self, key: &SessionKey) -> Option<&Held> {
        if self.sessions.get(key)?.is_over() {
            self.take(key);
            return None;
        }
        let session = self.sessions.get_mut(key)?;
        self.clock += 1;
        let key = self.uses.remove(&session.used)?;
        session.used = self.clock;
        self.uses.insert(self.clock, key);
        Some(&session.held)
    }

    fn take(&mut self, key: &SessionKey) -> Option<Held> {
        let session = self.sessions.remove(key)?;
        self.uses.remove(&session.used);
        self.bytes -= session.bytes;
        (!session.is_over()).then_some(session.held)
    }

    /// The store gave it time anew.
    fn touch(&mut self, key: &SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.touched = Instant::now();
        }
    }

    fn put(&mut self, key: &SessionKey, held: Held, bytes_max: u64) {
        self.take(key);
        let bytes = weight(&held);
        if bytes > bytes_max {
            return;
        }
        self.clock += 1;
        self.bytes += bytes;
        self.uses.insert(self.clock, key.clone());
        let touched = Instant::now();
        self.sessions.insert(key.clone(), Remembered { held, bytes, used: self.clock, touched });
        while self.bytes > bytes_max {
            let Some((_, oldest)) = self.uses.pop_first() else { return };
            if let Some(session) = self.sessions.remove(&oldest) {
                self.bytes -= session.bytes;
            }
        }
    }
}

fn weight(held: &Held) -> u64 {
    let meta = &held.meta;
    let notes: usize = meta.metadata.iter().map(|(name, note)| name.len() + note.len()).sum();
    let said = meta.system.len() + meta.title.as_ref().map_or(0, String::len) + notes;
    let turns: u64 = held.turns.iter().map(|it| it.messages.len() as u64 + TURN_BYTES).sum();
    SESSION_BYTES + said as u64 + turns
}

/// A session that begins with this turn.
fn begun(key: &SessionKey, append: &Append) -> Held {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let meta = Meta { epoch: EPOCH_UNKNOWN, ..Meta::new(key.clone(), append.ttl_ms, now_ms) };
    Held { meta, from: 0, turns: Vec::new() }
}

/// What the store has made of it by now, or will: as far as can be known.
fn with_turn(mut held: Held, append: &Append, stored: Option<(u64, u64)>) -> Held {
    let is_there = |it: &Turn| it.id == append.turn.id;
    if held.turns.iter().any(is_there) {
        return held;
    }
    let meta = &mut held.meta;
    let expected = held.from + held.turns.len() as u64;
    let (number, version) = stored.unwrap_or((expected, meta.version + 1));
    // Turns that another gateway wrote in between are missing; numbers count back from the last one.
    held.from = number.saturating_sub(held.turns.len() as u64);
    meta.version = version.max(meta.version);
    meta.turns = (number + 1).saturating_sub(meta.first);
    meta.updated_at = append.turn.at;
    if let Some(system) = &append.system {
        meta.system = system.clone();
    }
    meta.title = meta.title.take().or_else(|| append.title.clone());
    meta.upstream = append.turn.upstream.clone().or_else(|| meta.upstream.take());
    meta.model = append.turn.model.clone().or_else(|| meta.model.take());
    held.turns.push(append.turn.clone());
    held
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::session::key::{Owner, SessionId};

    fn key(id: &str) -> SessionKey {
        SessionKey::session(Owner::tenant("shop"), SessionId::parse(id).unwrap())
    }

    fn append(id: &str, epoch: Option<u64>, bytes: usize) -> Append {
        Append {
            turn: Turn { id: id.into(), at: 5, messages: "x".repeat(bytes).into(), ..Turn::default() },
            epoch,
            system: Some("{}".into()),
            title: Some("title".into()),
            ttl_ms: 0,
            bounds: Window { turns_max: 100, bytes_max: 1 << 20 },
            compress_bytes_min: 4_096,
        }
    }

    fn held(key: &SessionKey, epoch: u64, version: u64, ids: &[&str]) -> Held {
        let meta = Meta { epoch, version, turns: ids.len() as u64, ..Meta::new(key.clone(), 0, 1) };
        let turn = |id: &&str| append(id, None, 10).turn;
        Held { meta, from: 0, turns: ids.iter().map(turn).collect() }
    }

    fn memory(bytes_max: u64) -> Memory {
        Memory::new(bytes_max, Window { turns_max: 3, bytes_max: 1_000 })
    }

    #[track_caller]
    fn check(memory: &Memory, key: &SessionKey, ids: &[&str]) {
        let held = memory.remembered(key);
        let found: Vec<_> = held.iter().flat_map(|it| &it.turns).map(|it| it.id.as_str()).collect();
        assert_eq!(found, ids);
    }

    #[test]
    fn what_was_loaded_and_appended_is_remembered_once() {
        let (memory, key) = (memory(1 << 20), key("a"));
        check(&memory, &key, &[]);
        memory.loaded(&key, &held(&key, 7, 3, &["1", "2"]));
        memory.appended(&key, &append("3", Some(7), 10), Some(Appended::Stored { number: 2, version: 4 }));
        memory.appended(&key, &append("3", Some(7), 10), Some(Appended::Stored { number: 2, version: 4 }));
        check(&memory, &key, &["1", "2", "3"]);
        // an answer of before the last turn comes late
        memory.loaded(&key, &held(&key, 7, 3, &["1", "2"]));
        check(&memory, &key, &["1", "2", "3"]);
        memory.appended(&key, &append("4", Some(7), 10), None);
        check(&memory, &key, &["2", "3", "4"]);
        let now = memory.remembered(&key).unwrap();
        assert_eq!((now.from, now.meta.version, now.meta.turns, now.meta.epoch), (1, 5, 4, 7));
        assert_eq!((&*now.meta.system, now.meta.title.as_deref()), ("{}", Some("title")));
        memory.loaded(&key, &held(&key, 8, 1, &["9"]));
        check(&memory, &key, &["9"]);
        memory.appended(&key, &append("10", Some(8), 10), Some(Appended::Gone));
        check(&memory, &key, &[]);
    }

    #[test]
    fn a_session_is_known_from_its_beginning_or_not_at_all() {
        let (memory, key) = (memory(1 << 20), key("a"));
        memory.appended(&key, &append("5", Some(7), 10), None);
        memory.appended(&key, &append("5", None, 10), Some(Appended::Stored { number: 4, version: 5 }));
        check(&memory, &key, &[]);
        memory.appended(&key, &append("1", None, 10), None);
        memory.appended(&key, &append("2", Some(EPOCH_UNKNOWN), 10), None);
        check(&memory, &key, &["1", "2"]);
        assert_eq!(memory.remembered(&key).unwrap().meta.epoch, EPOCH_UNKNOWN);
        let described = Meta { title: None, ..held(&key, 7, 9, &[]).meta };
        memory.described(&key, &described);
        assert_eq!(memory.remembered(&key).unwrap().meta, described);
        check(&memory, &key, &["1", "2"]);
        memory.forget(&key);
        check(&memory, &key, &[]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_whose_time_is_over_is_not_remembered() {
        let (memory, key) = (memory(1 << 20), key("a"));
        let mut of_store = held(&key, 7, 2, &["1", "2"]);
        of_store.meta.ttl_ms = 1_000;
        memory.loaded(&key, &of_store);
        advance(Duration::from_millis(900)).await;
        check(&memory, &key, &["1", "2"]);
        // asking the store gives it time, remembering does not
        memory.loaded(&key, &of_store);
        advance(Duration::from_millis(900)).await;
        check(&memory, &key, &["1", "2"]);
        advance(Duration::from_millis(200)).await;
        check(&memory, &key, &[]);
        memory.loaded(&key, &of_store);
        advance(Duration::from_millis(1_000)).await;
        memory.appended(&key, &append("3", Some(7), 10), None);
        check(&memory, &key, &[]);
    }

    #[test]
    fn it_stays_within_its_bytes_and_keeps_what_was_used_last() {
        let memory = memory(3_000);
        for id in ["a", "b", "c"] {
            memory.appended(&key(id), &append("1", None, 10), None);
        }
        check(&memory, &key("a"), &["1"]);
        memory.appended(&key("d"), &append("1", None, 10), None);
        for (id, is_known) in [("a", true), ("b", false), ("c", true), ("d", true)] {
            assert_eq!(memory.remembered(&key(id)).is_some(), is_known, "{id}");
        }
        memory.appended(&key("e"), &append("1", None, 4_000), None);
        assert!(memory.remembered(&key("e")).is_none() && memory.remembered(&key("d")).is_some());
        let known = memory.known();
        assert_eq!(known.sessions.len(), known.uses.len());
        assert_eq!(known.bytes, known.sessions.values().map(|it| it.bytes).sum::<u64>());
    }
}
