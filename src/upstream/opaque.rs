//! An answer that is passed on as it comes, unread but under its timers: files, audio, and JSON too long to hold, of which
//! the end is kept for the usage in it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::error::{Error, Kind};
use crate::upstream::Upstream;
use crate::upstream::client::LanePlace;
use crate::upstream::commit::error;
use crate::upstream::patience::Patience;

/// The end of a JSON answer that is kept, in bytes.
const TAIL_BYTES: usize = 4 << 10;

/// An unread answer.
pub struct Opaque {
    upstream: Arc<Upstream>,
    /// What was read while failover was open.
    begun: Option<Bytes>,
    rest: Incoming,
    patience: Patience,
    /// The last bytes so far; none where they tell nothing.
    tail: Option<Vec<u8>>,
    _place: Option<LanePlace>,
}

impl Opaque {
    pub fn new(
        upstream: &Arc<Upstream>,
        begun: Bytes,
        rest: Incoming,
        patience: Patience,
        place: Option<LanePlace>,
    ) -> Self {
        let begun = Some(begun).filter(|it| !it.is_empty());
        Self { upstream: Arc::clone(upstream), begun, rest, patience, tail: None, _place: place }
    }

    /// A JSON answer, whose end will be asked for.
    pub fn with_tail(mut self) -> Self {
        self.tail = Some(Vec::with_capacity(2 * TAIL_BYTES));
        self
    }

    /// The last bytes of a JSON answer so far.
    pub fn tail(&self) -> &[u8] {
        self.tail.as_deref().unwrap_or_default()
    }

    fn keep(&mut self, data: &[u8]) {
        let Some(tail) = &mut self.tail else { return };
        tail.extend_from_slice(&data[data.len().saturating_sub(TAIL_BYTES)..]);
        tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
    }

    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(begun) = self.begun.take() {
            self.keep(&begun);
            return Poll::Ready(Some(Ok(Frame::data(begun))));
        }
        match Pin::new(&mut self.rest).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.patience.note_life();
                if let Some(Ok(frame)) = &frame {
                    self.keep(frame.data_ref().map_or(&[], |it| it));
                }
                let cut = |_| error(&self.upstream, Kind::Cut, "The upstream's answer was cut off.");
                Poll::Ready(frame.map(|it| it.map_err(cut)))
            }
            Poll::Pending => {
                let message = ready!(self.patience.poll(cx));
                Poll::Ready(Some(Err(error(&self.upstream, Kind::Timeout, message))))
            }
        }
    }

    /// Nothing more will come. hyper asks no further once it has all of a known length.
    pub fn is_over(&self) -> bool {
        self.begun.is_none() && self.rest.is_end_stream()
    }

    pub fn size_hint(&self) -> SizeHint {
        let begun = self.begun.as_ref().map_or(0, |it| it.len() as u64);
        self.rest.size_hint().exact().map_or_else(SizeHint::default, |it| SizeHint::with_exact(it + begun))
    }
}
