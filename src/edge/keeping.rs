//! The moment between the end of an answer and its client's learning of it, in which its session is written: whoever saw an
//! answer end finds it in the next call. Bounded by what [`crate::session::sessions::Sessions::append`] may take.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::session::kept::{Kept, LOST, STORED};
use crate::upstream::relay::Relay;

/// An answer whose end is held back.
pub(super) struct Keeping {
    /// Writes the turn; None where there is nothing to write.
    pub task: Option<JoinHandle<Kept>>,
    /// What it came from; None of one that nobody went on with.
    pub relay: Option<Box<Relay>>,
    /// The last events, for the client.
    pub last: Option<Bytes>,
    /// Why the answer broke off.
    pub error: Option<Error>,
}

impl Keeping {
    /// What became of the turn, as the call's record names it.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<&'static str>> {
        let Some(task) = &mut self.task else { return Poll::Ready(None) };
        let kept = ready!(Pin::new(task).poll(cx));
        // A task that panicked wrote nothing.
        Poll::Ready(Some(kept.map_or(LOST, |it| it.as_str())))
    }
}

/// The last events, behind a comment where their turn is not in the store: the head of a stream is long gone.
pub(super) fn told_before(kept: Option<&'static str>, last: Option<Bytes>) -> Option<Bytes> {
    match (kept, last) {
        (Some(word), Some(last)) if word != STORED => {
            Some([format!(": session {word}\n\n").as_bytes(), &last].concat().into())
        }
        (_, last) => last,
    }
}
