//! What goes before a call's messages: the session's system prompt and as many of its turns as a target takes, in the
//! form that target takes them.
//!
//! Turns leave from the front, in groups: the results of tools are never without the turn that called them, so a group
//! begins at a turn that brings no such results. The last group may leave as well, if it alone is too much; but not
//! while the new messages answer its calls, for then they would mean nothing. System and developer messages said in the
//! middle of a conversation outlive their turns: they stand behind the system prompt.
//!
//! A group whose beginning was not read is left out as if it had been trimmed, under the same exception.

mod joined;
mod order;
mod pairing;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use memchr::memmem;

use crate::api::fields::{self, Fields};
use crate::api::wants;
use crate::session::heard;
use crate::session::items;
use crate::session::record::Held;
use crate::session::standard;
use crate::session::turn::Turn;
use joined::Joined;
use pairing::Paired;

/// The conversation so far. Built once per call, fitted to each target it is tried at.
#[derive(Debug)]
pub struct History {
    /// The system prompt, its comma, and the turns, each with its comma.
    text: Bytes,
    system: Range<usize>,
    system_tokens: u64,
    turns: Vec<Part>,
    /// Turns before this one are out of every target's reach.
    from: usize,
    /// The new messages answer calls of the last group.
    is_answered: bool,
    /// Turns of the session that were not read, or given up.
    left_out: usize,
    images: bool,
}

/// One turn in the text.
#[derive(Debug)]
struct Part {
    /// Where its messages stand, without the comma behind them. May be empty.
    place: Range<usize>,
    tokens: u64,
    begins_group: bool,
    /// System and developer messages in it, and their tokens.
    lasting: Vec<Bytes>,
    lasting_tokens: u64,
    /// It has fields that not everybody understands.
    private: Option<Private>,
}

#[derive(Debug)]
struct Private {
    /// Who wrote them.
    vendor: Option<String>,
    /// What even that vendor gets otherwise than it stands in the text.
    own: Option<Bytes>,
    /// The messages for other vendors and their tokens, once somebody wanted them.
    standard: OnceLock<(Bytes, u64)>,
}

/// History as one target takes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fitted {
    /// JSON objects joined by commas, in pieces that follow each other without anything between them. Ends without a
    /// comma; no pieces: nothing.
    pub pieces: Vec<Bytes>,
    /// Turns in it.
    pub turns: usize,
    /// Turns of the session that are not in it, those that were not read included.
    pub trimmed: usize,
    /// Estimated tokens of it.
    pub tokens: u64,
}

impl History {
    /// `answered`: the calls whose results the new messages begin with (`Incoming::answered`).
    pub fn new(held: &Held, answered: &[String]) -> Self {
        let read: Vec<Bytes> = held.turns.iter().map(items::messages).collect();
        let paired = pairing::paired(&held.turns, &read, answered);
        let mut history = Self::of_system(&held.meta.system);
        let bytes: usize = paired.turns.iter().map(|it| it.text.len() + 1).sum();
        let mut text = BytesMut::with_capacity(history.text.len() + bytes);
        text.extend_from_slice(&history.text);
        for it in &paired.turns {
            let turn = &held.turns[it.number];
            let start = text.len();
            text.extend_from_slice(it.text.as_bytes());
            let place = start..text.len();
            if !place.is_empty() {
                text.extend_from_slice(b",");
            }
            history.turns.push(Part::new(turn, it, place));
            history.images |= turn.images;
        }
        history.is_answered = paired.is_answered;
        history.from =
            history.turns.iter().position(|it| it.begins_group).unwrap_or(match paired.is_answered {
                true => 0,
                false => history.turns.len(),
            });
        let unread = usize::try_from(held.from.saturating_sub(held.meta.first)).unwrap_or(usize::MAX);
        history.left_out = unread.saturating_add(held.turns.len() - history.turns.len());
        history.text = text.freeze();
        history
    }

    fn of_system(system: &str) -> Self {
        let system = system.trim_ascii();
        let comma = if system.is_empty() { "" } else { "," };
        Self {
            text: format!("{system}{comma}").into(),
            system: 0..system.len(),
            system_tokens: heard::tokens(system.as_bytes()),
            turns: Vec::new(),
            from: 0,
            is_answered: false,
            left_out: 0,
            images: wants::has_images(system.as_bytes()),
        }
    }

    /// Estimated tokens of all of it; `with_system`: the system prompt included.
    pub fn tokens(&self, with_system: bool) -> u64 {
        let lasting: u64 = self.turns[..self.from].iter().map(|it| it.lasting_tokens).sum();
        let system = if with_system { self.system_tokens } else { 0 };
        system + lasting + self.turns[self.from..].iter().map(|it| it.tokens).sum::<u64>()
    }

    /// Turns that a target gets if it has room.
    pub fn turns(&self) -> usize {
        self.turns.len() - self.from
    }

    /// Bytes of its text in memory.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Has its text held by whoever counts what is held.
    pub fn held(self, hold: impl FnOnce(Bytes) -> Bytes) -> Self {
        Self { text: hold(self.text), ..self }
    }

    pub fn has_images(&self) -> bool {
        self.images
    }

    /// For a target of `vendor`: no more than `tokens_max` estimated tokens where that can be, the system prompt (where
    /// the call brings none of its own: `with_system`) and what outlives its turns included.
    pub fn fitted(&self, vendor: &str, with_system: bool, tokens_max: Option<u64>) -> Fitted {
        let system_tokens = if with_system { self.system_tokens } else { 0 };
        let costs: Vec<u64> = self.turns.iter().map(|it| it.tokens_for(&self.text, vendor)).collect();
        let (first, tokens) = self.trimmed_to(&costs, system_tokens, tokens_max.unwrap_or(u64::MAX));
        let mut joined = Joined::default();
        if with_system {
            joined.slice(&self.text, self.system.clone());
        }
        outliving(&self.turns[..first]).for_each(|it| joined.piece(&self.text, it.clone()));
        for turn in &self.turns[first..] {
            match turn.other_form(&self.text, vendor) {
                Some(messages) => joined.piece(&self.text, messages.clone()),
                None => joined.slice(&self.text, turn.place.clone()),
            }
        }
        let turns = self.turns.len() - first;
        let trimmed = self.left_out.saturating_add(first);
        Fitted { pieces: joined.end(&self.text), turns, trimmed, tokens }
    }

    /// The first turn that stays, and the tokens of it all then.
    fn trimmed_to(&self, costs: &[u64], system_tokens: u64, tokens_max: u64) -> (usize, u64) {
        let lasting: u64 = self.turns[..self.from].iter().map(|it| it.lasting_tokens).sum();
        let mut tokens = system_tokens + lasting + costs[self.from..].iter().sum::<u64>();
        let mut first = self.from;
        while tokens > tokens_max && first < self.turns.len() {
            let behind = self.turns[first + 1..].iter().position(|it| it.begins_group);
            if behind.is_none() && self.is_answered {
                break;
            }
            let next = behind.map_or(self.turns.len(), |it| first + 1 + it);
            for (turn, cost) in self.turns[first..next].iter().zip(&costs[first..next]) {
                tokens = tokens - cost + turn.lasting_tokens;
            }
            first = next;
        }
        (first, tokens)
    }
}

impl Part {
    fn new(turn: &Turn, paired: &Paired, place: Range<usize>) -> Self {
        let lasting = if turn.instructs { lasting(&paired.text) } else { Vec::new() };
        let is_known =
            turn.tokens > 0 && !turn.items && !turn.gaps && matches!(paired.text, Cow::Borrowed(_));
        let has_sound = || memmem::find(paired.text.as_bytes(), b"\"audio\"").is_some();
        Self {
            place,
            tokens: if is_known { turn.tokens } else { heard::tokens(paired.text.as_bytes()) },
            begins_group: paired.begins_group,
            lasting_tokens: lasting.iter().map(|it| heard::tokens(it)).sum(),
            lasting,
            private: turn.private.then(|| Private {
                vendor: turn.vendor.clone(),
                own: has_sound().then(|| each_message(&paired.text, standard::own)).flatten(),
                standard: OnceLock::new(),
            }),
        }
    }
    /// The messages for `vendor`, where they differ from those in `text`.
    fn other_form(&self, text: &Bytes, vendor: &str) -> Option<&Bytes> {
        let private = self.private.as_ref()?;
        match private.vendor.as_deref() == Some(vendor) {
            true => private.own.as_ref(),
            false => Some(&self.standard(private, text).0),
        }
    }

    fn tokens_for(&self, text: &Bytes, vendor: &str) -> u64 {
        match &self.private {
            Some(private) if private.vendor.as_deref() != Some(vendor) => self.standard(private, text).1,
            _ => self.tokens,
        }
    }

    fn standard<'a>(&self, private: &'a Private, text: &Bytes) -> &'a (Bytes, u64) {
        private.standard.get_or_init(|| {
            let stored = text.slice(self.place.clone());
            let messages = str::from_utf8(&stored).ok().and_then(|it| each_message(it, standard::standard));
            let messages = messages.unwrap_or(stored);
            let tokens = heard::tokens(&messages).min(self.tokens);
            (messages, tokens)
        })
    }
}

/// Whether a turn of these messages may be stored as [`Turn::plain`].
pub fn is_plain(messages: &Bytes) -> bool {
    pairing::is_plain(messages)
}

/// Messages with each of them changed; None where none changes.
fn each_message<'a>(messages: &'a str, change: impl Fn(&'a str) -> Option<Cow<'a, str>>) -> Option<Bytes> {
    let messages = fields::joined(messages)?;
    let changed: Vec<_> = messages.iter().filter_map(|it| change(it)).collect();
    let is_same = changed.len() == messages.len() && changed.iter().all(|it| matches!(it, Cow::Borrowed(_)));
    (!is_same).then(|| changed.join(",").into())
}

/// The system and developer messages among these.
fn lasting(messages: &str) -> Vec<Bytes> {
    let instructs = |it: &&str| {
        Fields::read(it)
            .and_then(|it| it.text("role"))
            .is_some_and(|it| matches!(it.as_ref(), "system" | "developer"))
    };
    let messages = fields::joined(messages).unwrap_or_default();
    messages.into_iter().filter(instructs).map(|it| Bytes::copy_from_slice(it.as_bytes())).collect()
}

/// What outlives these turns, in order; what was said more than once, where it was said last.
fn outliving(turns: &[Part]) -> impl Iterator<Item = &Bytes> {
    let all: Vec<&Bytes> = turns.iter().flat_map(|it| &it.lasting).collect();
    let last: HashMap<&Bytes, usize> = all.iter().enumerate().map(|(at, it)| (*it, at)).collect();
    all.into_iter().enumerate().filter(move |(at, it)| last[it] == *at).map(|(_, it)| it)
}
