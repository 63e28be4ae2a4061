//! One answer that several calls read, each at its own pace and from the first byte on. Filled by the flight that asked the
//! upstream ([`crate::edge::single_flight`]); up to `bytes_max` it is kept whole, so that others may join. A longer one
//! takes nobody on any more and goes at the pace of its slowest reader, with no more than `bytes_max` between the two; a
//! reader that stopped is ended by [`crate::edge::stall`], as always.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::SizeHint;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Origin};
use crate::telemetry::Ended;
use crate::upstream::finish::FinishGuard;
use crate::upstream::room::Place;

/// An answer as far as it has come.
pub struct SharedAnswer {
    state: Mutex<State>,
    bytes_max: usize,
    /// Fires when the last reader has left.
    pub abandoned: CancellationToken,
}

/// The beginning of an answer.
#[derive(Clone)]
pub struct SharedHead {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: SharedBody,
}

#[derive(Clone)]
pub enum SharedBody {
    Whole(Bytes),
    Flowing(SizeHint),
}

/// How the shared call ended.
#[derive(Clone, Copy)]
pub struct Outcome {
    pub ended: Ended,
    pub error: Option<Kind>,
}

#[derive(Default)]
struct State {
    head: Option<SharedHead>,
    /// The record of the call that asked, where its answer is whole: it closes when that call's client has the answer.
    lead: Option<Box<FinishGuard>>,
    pieces: VecDeque<Bytes>,
    /// Bytes in `pieces`.
    held: usize,
    /// Pieces let go of in front of `pieces`.
    gone: usize,
    /// Too long to be kept whole: nobody may join.
    long: bool,
    end: Option<Result<Outcome, Error>>,
    /// Who reads. Bounded by the calls in flight.
    readers: Vec<Option<Progress>>,
    /// The flight, waiting for the slowest reader.
    flight: Option<Waker>,
}

#[derive(Default)]
struct Progress {
    /// The piece it reads next, counted from the first of the answer.
    next: usize,
    waker: Option<Waker>,
}

impl SharedAnswer {
    /// An empty answer and its first reader.
    pub fn new(bytes_max: usize) -> (Arc<Self>, Reader) {
        let state = State { readers: vec![Some(Progress::default())], ..State::default() };
        let shared =
            Arc::new(Self { state: Mutex::new(state), bytes_max, abandoned: CancellationToken::new() });
        let first = Reader::new(&shared, 0);
        (shared, first)
    }

    /// One more reader, unless the answer is over, too long, or left by all.
    pub fn join(self: &Arc<Self>) -> Option<Reader> {
        let mut state = self.state();
        if state.long || state.end.is_some() || self.abandoned.is_cancelled() {
            return None;
        }
        let free = state.readers.iter().position(Option::is_none);
        let slot = free.unwrap_or_else(|| {
            state.readers.push(None);
            state.readers.len() - 1
        });
        state.readers[slot] = Some(Progress::default());
        Some(Reader::new(self, slot))
    }

    /// The answer begins, and pieces of it will follow.
    pub fn begin(&self, status: StatusCode, headers: HeaderMap, size: SizeHint) {
        let mut state = self.state();
        state.head = Some(SharedHead { status, headers, body: SharedBody::Flowing(size) });
        state.wake_readers();
    }

    /// The answer, all of it.
    pub fn whole(
        &self,
        status: StatusCode,
        headers: HeaderMap,
        bytes: Bytes,
        lead: Option<Box<FinishGuard>>,
    ) {
        let mut state = self.state();
        let (ended, error) =
            lead.as_ref().map_or((Ended::Complete, None), |it| (it.record.ended, it.record.error));
        state.head = Some(SharedHead { status, headers, body: SharedBody::Whole(bytes) });
        state.lead = lead;
        state.end = Some(Ok(Outcome { ended, error }));
        state.wake_readers();
    }

    /// Appends a piece; where the answer is long, once its readers have made room for it.
    pub async fn push(&self, piece: Bytes) {
        poll_fn(|cx| self.poll_room(cx, piece.len())).await;
        let mut state = self.state();
        state.held += piece.len();
        state.pieces.push_back(piece);
        state.wake_readers();
    }

    fn poll_room(&self, cx: &mut Context<'_>, bytes: usize) -> Poll<()> {
        let mut state = self.state();
        state.long |= state.held + bytes > self.bytes_max;
        if state.long {
            state.let_go();
            if state.held > 0 && state.held + bytes > self.bytes_max {
                state.flight = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Nothing more will come. Only the first end counts.
    pub fn finish(&self, end: Result<Outcome, Error>) {
        let mut state = self.state();
        state.end.get_or_insert(end);
        state.wake_readers();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake_readers(&mut self) {
        let readers = self.readers.iter_mut().flatten();
        readers.filter_map(|it| it.waker.take()).for_each(Waker::wake);
    }

    /// Drops what every reader has read.
    fn let_go(&mut self) {
        let slowest = self.readers.iter().flatten().map(|it| it.next).min();
        let slowest = slowest.unwrap_or(self.gone + self.pieces.len());
        while self.gone < slowest {
            let Some(piece) = self.pieces.pop_front() else { break };
            self.held -= piece.len();
            self.gone += 1;
        }
    }

    /// Lets a flight go on that waits for its readers.
    fn make_room(&mut self) {
        if self.long {
            self.let_go();
            if let Some(flight) = self.flight.take() {
                flight.wake();
            }
        }
    }
}

/// One call's view of a shared answer. Dropping it leaves the answer.
pub struct Reader {
    shared: Arc<SharedAnswer>,
    slot: usize,
    /// The call's place among those in flight, where no record of its own holds it.
    place: Option<Place>,
    /// What the head said of the body.
    size: SizeHint,
}

impl Reader {
    fn new(shared: &Arc<SharedAnswer>, slot: usize) -> Self {
        let shared = Arc::clone(shared);
        Self { shared, slot, place: None, size: SizeHint::default() }
    }

    /// Waits for the answer to begin.
    pub async fn head(&mut self) -> Result<SharedHead, Error> {
        let head = self.next_head().await?;
        if let SharedBody::Flowing(size) = &head.body {
            self.size = *size;
        }
        Ok(head)
    }

    async fn next_head(&self) -> Result<SharedHead, Error> {
        poll_fn(|cx| {
            let mut state = self.shared.state();
            match (&state.head, &state.end) {
                (Some(head), _) => return Poll::Ready(Ok(head.clone())),
                (None, Some(Err(error))) => return Poll::Ready(Err(error.clone())),
                (None, Some(Ok(_))) => return Poll::Ready(Err(lost())),
                (None, None) => {}
            }
            state.wait(self.slot, cx);
            Poll::Pending
        })
        .await
    }

    /// The next piece; `None` at the end.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let mut state = self.shared.state();
        let state = &mut *state;
        let Some(progress) = &mut state.readers[self.slot] else { return Poll::Ready(None) };
        if let Some(piece) = state.pieces.get(progress.next - state.gone).cloned() {
            progress.next += 1;
            state.make_room();
            return Poll::Ready(Some(Ok(piece)));
        }
        match &state.end {
            Some(Ok(_)) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error.clone()))),
            None => {
                state.wait(self.slot, cx);
                Poll::Pending
            }
        }
    }

    /// How the shared call ended; cut, if nobody said.
    pub fn outcome(&self) -> Outcome {
        let cut = Outcome { ended: Ended::Cut, error: Some(Kind::Cut) };
        self.shared.state().end.as_ref().and_then(|it| it.as_ref().ok()).copied().unwrap_or(cut)
    }

    /// The record of the call that asked, once its whole answer is there.
    pub fn take_lead(&self) -> Option<Box<FinishGuard>> {
        self.shared.state().lead.take()
    }

    /// The length of the body, as its head said.
    pub fn size_hint(&self) -> SizeHint {
        self.size
    }

    pub fn keep(&mut self, place: Option<Place>) {
        self.place = place;
    }
}

impl State {
    fn wait(&mut self, slot: usize, cx: &Context<'_>) {
        if let Some(progress) = &mut self.readers[slot] {
            progress.waker = Some(cx.waker().clone());
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.readers[self.slot] = None;
        state.make_room();
        if state.readers.iter().all(Option::is_none) {
            // Under the lock, so that nobody joins what is being left.
            self.shared.abandoned.cancel();
        }
    }
}

/// What is told where a flight ended without a word.
pub fn lost() -> Error {
    Error::new(Kind::Internal, Origin::Gateway, "The gateway lost the call that this one shared.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reader: &mut Reader) -> Option<String> {
        let mut cx = Context::from_waker(Waker::noop());
        match reader.poll_piece(&mut cx) {
            Poll::Ready(Some(Ok(piece))) => Some(String::from_utf8(piece.to_vec()).unwrap()),
            Poll::Ready(_) => Some("-".to_owned()),
            Poll::Pending => None,
        }
    }

    /// Whether there was room for it at once.
    fn push(shared: &SharedAnswer, text: &'static str) -> bool {
        let mut pushing = Box::pin(shared.push(Bytes::from_static(text.as_bytes())));
        pushing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn whoever_joins_late_reads_from_the_first_byte() {
        let (shared, mut first) = SharedAnswer::new(8);
        assert!(push(&shared, "abcd"));
        assert_eq!((read(&mut first), read(&mut first)), (Some("abcd".into()), None));
        let mut second = shared.join().unwrap();
        assert!(push(&shared, "efgh"));
        shared.finish(Ok(Outcome { ended: Ended::Complete, error: None }));
        assert!(shared.join().is_none());
        let rest = [read(&mut second), read(&mut second), read(&mut second), read(&mut first)];
        assert_eq!(rest.map(Option::unwrap), ["abcd", "efgh", "-", "efgh"]);
    }

    #[test]
    fn a_long_answer_goes_at_the_pace_of_its_slowest_reader() {
        let (shared, mut fast) = SharedAnswer::new(8);
        let mut slow = shared.join().unwrap();
        assert!(push(&shared, "abcd") && push(&shared, "efgh"));
        while read(&mut fast).is_some() {}
        assert!(!push(&shared, "ijkl"));
        assert!(shared.join().is_none());
        assert_eq!(read(&mut slow).unwrap(), "abcd");
        assert!(push(&shared, "ijkl"));
        assert!(!push(&shared, "mnop"));
        // One that leaves holds nobody up.
        drop(slow);
        assert!(push(&shared, "mnop"));
        assert_eq!([read(&mut fast), read(&mut fast)].map(Option::unwrap), ["ijkl", "mnop"]);
        assert!(shared.state().held <= 8);
    }

    #[test]
    fn a_piece_longer_than_the_bound_passes_alone() {
        let (shared, mut only) = SharedAnswer::new(2);
        assert!(push(&shared, "abcd"));
        assert!(!push(&shared, "e"));
        assert_eq!(read(&mut only).unwrap(), "abcd");
        assert!(push(&shared, "e"));
    }

    #[test]
    fn the_last_to_leave_ends_it() {
        let (shared, first) = SharedAnswer::new(8);
        let second = shared.join().unwrap();
        drop(first);
        assert!(!shared.abandoned.is_cancelled());
        let third = shared.join().unwrap();
        drop((second, third));
        assert!(shared.abandoned.is_cancelled() && shared.join().is_none());
    }
}
