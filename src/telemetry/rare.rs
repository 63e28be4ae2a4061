//! Counters of what most configurations never see: a series exists from its first count on.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use prometheus::{IntCounter, IntCounterVec};

/// The series of one route and upstream, by a third label from a closed set of words.
pub struct RareCounts {
    family: IntCounterVec,
    route: String,
    upstream: String,
    words: &'static [&'static str],
    counters: Vec<OnceLock<IntCounter>>,
    /// Its target has left the configuration: a call that ends late brings no series back.
    gone: AtomicBool,
}

impl RareCounts {
    pub(super) fn new(
        family: &IntCounterVec,
        route: &str,
        upstream: &str,
        words: &'static [&'static str],
    ) -> Self {
        Self {
            family: family.clone(),
            route: route.to_owned(),
            upstream: upstream.to_owned(),
            words,
            counters: words.iter().map(|_| OnceLock::new()).collect(),
            gone: AtomicBool::new(false),
        }
    }

    /// Counts `word`, if it is one of the set.
    pub fn count(&self, word: &str) {
        let Some(place) = self.words.iter().position(|it| *it == word) else { return };
        if !self.gone.load(Relaxed) {
            let labels = [self.route.as_str(), self.upstream.as_str(), self.words[place]];
            self.counters[place].get_or_init(|| self.family.with_label_values(&labels)).inc();
        }
    }

    pub(super) fn forget(&self) {
        self.gone.store(true, Relaxed);
        for word in self.words {
            let _ = self.family.remove_label_values(&[self.route.as_str(), &self.upstream, word]);
        }
    }
}

/// Renewals of an upstream's credentials. Most upstreams have keys, and none of these series.
pub struct RenewalCounts {
    family: IntCounterVec,
    upstream: String,
    gone: AtomicBool,
}

impl RenewalCounts {
    pub(super) fn new(family: &IntCounterVec, upstream: &str) -> Self {
        Self { family: family.clone(), upstream: upstream.to_owned(), gone: AtomicBool::new(false) }
    }

    /// Counts one; the other result stands beside it at zero, so that a rate sees the first failure.
    pub fn count(&self, ok: bool) {
        if !self.gone.load(Relaxed) {
            let of = |result| self.family.with_label_values(&[self.upstream.as_str(), result]);
            let (renewed, failed) = (of("ok"), of("failed"));
            if ok { renewed.inc() } else { failed.inc() }
        }
    }

    pub(super) fn forget(&self) {
        self.gone.store(true, Relaxed);
        for result in ["ok", "failed"] {
            let _ = self.family.remove_label_values(&[self.upstream.as_str(), result]);
        }
    }
}
