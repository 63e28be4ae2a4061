//! A store for tests that fails as it is told to, and a folder that goes away with its test.

use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use crate::session::key::{Kind, Owner, SessionKey, random_text};
use crate::session::record::{Append, Appended, Change, Changed, Held, Meta, Page, Window};
use crate::session::store::StoreFault;
use crate::session::turn::Turn;

/// A folder that goes away with its test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tollgate-sessions-{}", random_text()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.0.join(name), content).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.0.join(from), self.0.join(to)).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What it does with what it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Well,
    /// Refuses everything.
    Away,
    /// Does it and says nothing, for ever.
    Silent,
    /// Does it, and the connection breaks.
    Broken,
    /// Refuses turns alone; trials succeed.
    Full,
    /// Moves what it has to another place; trials succeed.
    Busy,
}

#[derive(Default)]
pub struct Scripted {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    mood: Mood,
    sessions: HashMap<String, Held>,
    /// Sessions whose turns are all gone, and those that hold something else.
    gone: Vec<String>,
    corrupt: Vec<String>,
    /// Sessions on a shard that is away.
    cut_off: Vec<String>,
    asked: BTreeMap<&'static str, usize>,
}

impl Scripted {
    pub fn is_now(&self, mood: Mood) {
        self.state().mood = mood;
    }

    pub fn drops(&self, id: &str) {
        self.state().gone.push(id.into());
    }

    pub fn chokes_on(&self, id: &str) {
        self.state().corrupt.push(id.into());
    }

    /// Of these sessions it refuses turns, and of no others.
    pub fn cuts_off(&self, ids: &[&str]) {
        self.state().cut_off = ids.iter().map(|it| (*it).to_owned()).collect();
    }

    /// The ids of a session's turns, in order.
    pub fn turns_of(&self, id: &str) -> Vec<String> {
        let state = self.state();
        state.sessions.get(id).iter().flat_map(|it| &it.turns).map(|it| it.id.clone()).collect()
    }

    /// How often an operation was asked for.
    pub fn asked(&self, operation: &str) -> usize {
        self.state().asked.get(operation).copied().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn answer<T>(
        &self,
        operation: &'static str,
        act: impl FnOnce(&mut State) -> T,
    ) -> Result<T, StoreFault> {
        let (mood, done) = {
            let mut state = self.state();
            *state.asked.entry(operation).or_default() += 1;
            let refuses = state.mood == Mood::Away || state.mood == Mood::Full && operation == "append";
            if refuses {
                return Err(StoreFault::Away("refused".into()));
            }
            if state.mood == Mood::Busy && operation != "check" {
                return Err(StoreFault::Busy("on its way".into()));
            }
            (state.mood, act(&mut state))
        };
        match mood {
            Mood::Silent => pending().await,
            Mood::Broken => Err(StoreFault::Lost("broken".into())),
            _ => Ok(done),
        }
    }

    pub async fn load(&self, key: &SessionKey, _: Window) -> Result<Option<Held>, StoreFault> {
        self.answer("load", |state| state.sessions.get(key.id.as_str()).cloned()).await
    }

    pub async fn append(&self, key: &SessionKey, append: &Append) -> Result<Appended, StoreFault> {
        let id = key.id.as_str();
        if self.state().corrupt.iter().any(|it| it == id) {
            return Err(StoreFault::Corrupt("something else".into()));
        }
        if self.state().cut_off.iter().any(|it| it == id) {
            return Err(StoreFault::Away("its shard is away".into()));
        }
        self.answer("append", |state| {
            if state.gone.iter().any(|it| it == id) {
                return Appended::Gone;
            }
            let new = || Held { meta: Meta::new(key.clone(), 0, 1), from: 0, turns: Vec::new() };
            let held = state.sessions.entry(id.to_owned()).or_insert_with(new);
            if append.epoch.is_some_and(|it| it != held.meta.epoch) {
                return Appended::Gone;
            }
            if held.turns.iter().all(|it| it.id != append.turn.id) {
                held.turns.push(append.turn.clone());
                held.meta.version += 1;
                held.meta.turns += 1;
            }
            let number = held.turns.iter().position(|it| it.id == append.turn.id).unwrap_or_default();
            Appended::Stored { number: number as u64, version: held.meta.version }
        })
        .await
    }

    pub async fn create(&self, meta: &Meta, turns: &[Turn], _: usize) -> Result<bool, StoreFault> {
        let held = Held { meta: meta.clone(), from: 0, turns: turns.to_vec() };
        self.answer("create", |it| it.sessions.insert(meta.key.id.to_string(), held).is_none()).await
    }

    pub async fn meta(&self, key: &SessionKey) -> Result<Option<Meta>, StoreFault> {
        self.answer("meta", |it| it.sessions.get(key.id.as_str()).map(|it| it.meta.clone())).await
    }

    pub async fn turns(&self, key: &SessionKey, _: u64, _: u64) -> Result<Option<Held>, StoreFault> {
        self.answer("turns", |it| it.sessions.get(key.id.as_str()).cloned()).await
    }

    pub async fn change(
        &self,
        key: &SessionKey,
        _: Option<u64>,
        change: &Change,
    ) -> Result<Changed, StoreFault> {
        self.answer("change", |state| {
            let Some(held) = state.sessions.get_mut(key.id.as_str()) else { return Changed::Missing };
            held.meta.version += 1;
            match change {
                Change::Describe { title, .. } => held.meta.title.clone_from(title),
                Change::Clear { .. } => held.turns.clear(),
                Change::Replace { .. } => {}
            }
            Changed::Done(Box::new(held.meta.clone()))
        })
        .await
    }

    pub async fn delete(&self, key: &SessionKey) -> Result<bool, StoreFault> {
        self.answer("delete", |it| it.sessions.remove(key.id.as_str()).is_some()).await
    }

    pub async fn list(&self, _: &Owner, _: Kind, _: &Page) -> Result<Vec<Meta>, StoreFault> {
        self.answer("list", |it| it.sessions.values().map(|it| it.meta.clone()).collect()).await
    }

    pub async fn scan(&self, _: Option<String>) -> Result<(Vec<SessionKey>, Option<String>), StoreFault> {
        self.answer("scan", |it| (it.sessions.values().map(|it| it.meta.key.clone()).collect(), None)).await
    }

    pub async fn check(&self) -> Result<(), StoreFault> {
        self.answer("check", |_| ()).await
    }
}
