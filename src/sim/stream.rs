//! Bodies of answers. A stream composes each event when it is polled and waits on one timer: no task, no channel,
//! and at full speed no timer either.

use std::{
    collections::VecDeque,
    fmt::Write,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{call::Pace, reply::Pieces};

/// Events share buffers of this size, so that most of them cost no allocation.
const BUFFER_BYTES: usize = 4_096;
/// Between the last event and the break of a cut stream: what was sent must reach the client first.
const CUT_PAUSE: Duration = Duration::from_millis(5);

pub(super) enum SimBody {
    Whole(Bytes),
    Stream(Box<Stream>),
}

#[derive(Clone, Copy)]
pub(super) enum Cut {
    After(usize),
    Midway,
    /// The body ends as bodies do, but the stream has not come to its end.
    Silent(usize),
}

/// Ends a cut stream; the server then drops the connection (HTTP/1) or resets the stream (HTTP/2).
#[derive(Debug)]
pub(super) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("simulated cut")
    }
}

impl std::error::Error for Broken {}

/// A part of a stream.
pub(super) enum Segment {
    /// Sent at once.
    Event(Bytes),
    /// Sent when its token is due.
    Token(Bytes),
    /// One event per piece, each when due: `before`, the piece, `after`, and where events are numbered, the number
    /// as last member of the event's object.
    Pieces { before: Bytes, pieces: Pieces, after: Bytes, number: Option<usize> },
}

pub(super) struct Stream {
    segments: VecDeque<Segment>,
    buffer: BytesMut,
    timer: Option<Pin<Box<Sleep>>>,
    due: Instant,
    gap: Duration,
    paced: bool,
    events_left: Option<usize>,
    breaks: bool,
    /// What is sent last, where not everything is.
    last: Option<Bytes>,
    break_at: Option<Instant>,
}

impl Stream {
    pub fn new(segments: Vec<Segment>, pace: &Pace) -> Self {
        let events_left = pace.cut.map(|cut| match cut {
            Cut::After(events) | Cut::Silent(events) => events,
            Cut::Midway => segments.iter().map(Segment::events).sum::<usize>() / 2,
        });
        Self {
            segments: segments.into(),
            buffer: BytesMut::new(),
            timer: None,
            due: Instant::now() + pace.first,
            gap: pace.gap,
            paced: !(pace.first + pace.gap).is_zero(),
            events_left,
            breaks: !matches!(pace.cut, Some(Cut::Silent(_))),
            last: None,
            break_at: None,
        }
    }

    /// Ends with `last` instead of what would come after so many events.
    pub fn fail_after(&mut self, events: usize, last: Bytes) {
        (self.events_left, self.breaks, self.last) = (Some(events), false, Some(last));
    }

    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.due {
            return Poll::Ready(());
        }
        let due = self.due;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
    }

    /// Breaks off, by a pause first: bytes still queued in the server would be lost with the connection.
    fn poll_break(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.due = *self.break_at.get_or_insert_with(|| Instant::now() + CUT_PAUSE);
        self.poll_due(cx)
    }

    fn next_event(&mut self) -> Option<Bytes> {
        match self.segments.front_mut()? {
            Segment::Pieces { before, pieces, after, number } => {
                let piece = pieces.next_piece().unwrap_or_default();
                if self.buffer.capacity() < before.len() + piece.len() + after.len() {
                    self.buffer.reserve(BUFFER_BYTES.max(before.len() + piece.len() + after.len()));
                }
                self.buffer.extend_from_slice(before);
                self.buffer.extend_from_slice(piece.as_bytes());
                self.buffer.extend_from_slice(after);
                if let Some(number) = number {
                    write!(self.buffer, "{number}}}\n\n").expect("a BytesMut grows");
                    *number += 1;
                }
                if pieces.is_spent() {
                    self.segments.pop_front();
                }
                Some(self.buffer.split().freeze())
            }
            Segment::Event(_) | Segment::Token(_) => match self.segments.pop_front() {
                Some(Segment::Event(bytes) | Segment::Token(bytes)) => Some(bytes),
                _ => None,
            },
        }
    }
}

impl Segment {
    fn events(&self) -> usize {
        match self {
            Self::Pieces { pieces, .. } => pieces.count(),
            _ => 1,
        }
    }
}

impl Body for SimBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let stream = match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => return Poll::Ready(None),
            Self::Whole(bytes) => return Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(stream) => stream,
        };
        if stream.events_left == Some(0) && !stream.breaks {
            stream.segments.clear();
            return Poll::Ready(stream.last.take().map(|bytes| Ok(Frame::data(bytes))));
        }
        if stream.events_left == Some(0) {
            ready!(stream.poll_break(cx));
            return Poll::Ready(Some(Err(Broken)));
        }
        if stream.paced && !matches!(stream.segments.front(), Some(Segment::Event(_)) | None) {
            ready!(stream.poll_due(cx));
            stream.due += stream.gap;
        }
        if let Some(left) = &mut stream.events_left {
            *left -= 1;
        }
        Poll::Ready(stream.next_event().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream(stream) => stream.segments.is_empty() && stream.last.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
