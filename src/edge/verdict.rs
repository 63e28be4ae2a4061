//! Tells health how an answer went on after it had begun.

use crate::error::Error;
use crate::health::Verdict;
use crate::upstream::Upstream;
use crate::upstream::attempt::{note_flip, verdict};

/// Only the whole of a streamed answer shows that an upstream is well: one that cuts every stream is not.
pub(super) fn note_alive(upstream: &Upstream) {
    note_flip(upstream, upstream.health.note(Verdict::Alive, std::time::Instant::now()));
}

/// A failure after the answer had begun counts against its upstream all the same.
pub(super) fn note_failure(upstream: &Upstream, error: &Error) {
    if let Some(verdict) = verdict(error.kind) {
        note_flip(upstream, upstream.health.note(verdict, std::time::Instant::now()));
    }
}
