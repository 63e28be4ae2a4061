//! What an answer that is still coming comes from: events, unread bytes, or comments while the search for an answer goes on;
//! and what is done with each end it may have. Behind the lock of [`crate::edge::flow::Flow`].

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::api::error_body::error_event;
use crate::dialect::loss::Losses;
use crate::edge::connection::CallPlace;
use crate::edge::continuation::{CONTINUED, Succession};
use crate::edge::keeping::{Keeping, told_before};
use crate::edge::shared::{Outcome, Reader};
use crate::edge::verdict::{note_alive, note_failure};
use crate::error::{Error, Kind, Origin};
use crate::health::Verdict;
use crate::session::turn::TurnState;
use crate::telemetry::Ended;
use crate::upstream::attempt::verdict;
use crate::upstream::commit::{AnswerBody, note_tail};
use crate::upstream::dispatch::Delivery;
use crate::upstream::finish::FinishGuard;
use crate::upstream::opaque::Opaque;
use crate::upstream::relay::Relay;

/// Between two `: waiting` comments. Below the usual 60 s after which load balancers end a silent connection.
const WAITING_BEAT: Duration = Duration::from_secs(10);
const WAITING: Bytes = Bytes::from_static(b": waiting\n\n");

/// What a call's future gives once the client was told to wait.
pub type LateAnswer = Pin<Box<dyn Future<Output = (Result<Delivery, Error>, Box<FinishGuard>)> + Send>>;

/// What a flowing body holds.
pub(super) struct Flowing {
    pub source: Source,
    pub end: Option<Box<FinishGuard>>,
    /// What happens when events break off.
    pub succession: Succession,
    /// The end of a stopping process's grace; none for what is cut elsewhere.
    cut: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// The task that `cut` will wake: asking again costs a lock that all streams share.
    cut_seen_by: Option<Waker>,
    pub place: Option<CallPlace>,
    /// What is left of a large piece.
    pub rest: Option<Bytes>,
}

pub(super) enum Source {
    Events(Box<Relay>),
    Opaque(Box<Opaque>),
    /// The answer to another call like this one.
    Shared(Reader),
    Waiting {
        late: LateAnswer,
        beat: Pin<Box<Sleep>>,
    },
    /// The answer has ended, and its client learns so when its session has the turn.
    Keeping(Box<Keeping>),
    Over,
    GivenUp,
}

impl Source {
    /// The first comment after `silence`.
    pub(super) fn waiting(late: LateAnswer, silence: Duration) -> Self {
        Source::Waiting { late, beat: Box::pin(tokio::time::sleep(silence)) }
    }
}

pub(super) type Step = Poll<Option<Result<Frame<Bytes>, Error>>>;

/// Bytes handed to hyper at once: it asks for more when these are on their way, which shows that the client takes them.
const PIECE_BYTES_MAX: usize = 64 << 10;

impl Drop for Flowing {
    /// A client that leaves a stream with content in it, as one that presses "stop" does, leaves a vendor that is well.
    fn drop(&mut self) {
        if let Source::Events(relay) = &self.source
            && relay.has_content()
        {
            note_alive(relay.upstream());
        }
    }
}

impl Flowing {
    pub fn new(
        source: Source,
        end: Option<Box<FinishGuard>>,
        cut: Option<WaitForCancellationFutureOwned>,
    ) -> Self {
        Self {
            source,
            end,
            succession: Succession::None,
            cut: cut.map(Box::pin),
            cut_seen_by: None,
            place: None,
            rest: None,
        }
    }

    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Step {
        let mut bytes = match self.rest.take() {
            Some(rest) => rest,
            None => match ready!(self.poll(cx)).transpose()?.map(Frame::into_data) {
                None => return Poll::Ready(None),
                Some(Ok(bytes)) => bytes,
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
            },
        };
        if bytes.len() > PIECE_BYTES_MAX {
            self.rest = Some(bytes.split_off(PIECE_BYTES_MAX));
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Step {
        loop {
            let polled = match &mut self.source {
                Source::Over => return Poll::Ready(None),
                Source::GivenUp => return Poll::Ready(Some(Err(given_up()))),
                Source::Events(_) => match self.poll_relay(cx) {
                    Poll::Ready(Some(Ok(frame))) if frame.data_ref().is_some_and(Bytes::is_empty) => continue,
                    polled => polled,
                },
                Source::Opaque(_) => self.poll_opaque(cx),
                Source::Shared(_) => self.poll_shared(cx),
                Source::Keeping(_) => match ready!(self.poll_keeping(cx)) {
                    Some(frame) => Poll::Ready(Some(frame)),
                    None => continue,
                },
                Source::Waiting { .. } => match self.poll_waiting(cx) {
                    Some(step) => step,
                    None => continue,
                },
            };
            return match polled {
                Poll::Pending if self.is_cut(cx) => self.drain(),
                polled => polled,
            };
        }
    }

    fn poll_relay(&mut self, cx: &mut Context<'_>) -> Step {
        let (Source::Events(relay), Some(end)) = (&mut self.source, &mut self.end) else {
            return Poll::Ready(None);
        };
        let Some(reading) = end.reading() else { return Poll::Ready(None) };
        match ready!(relay.poll_events(cx, reading)) {
            Some(Ok(events)) => {
                let events = self.succession.fit(events);
                end.hear(&events);
                if relay.is_done() && end.talk.is_some() {
                    return self.keep(TurnState::Complete, Some(events), None, cx);
                }
                end.record.bytes_out += events.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(events))))
            }
            Some(Err(error)) => {
                note_failure(relay.upstream(), &error);
                if verdict(error.kind) == Some(Verdict::Failed) {
                    reading.cut(std::time::Instant::now());
                }
                if let Some(late) = self.succession.seek(relay, &error, &mut self.end) {
                    self.source = Source::waiting(late, WAITING_BEAT);
                    return Poll::Ready(Some(Ok(Frame::data(CONTINUED))));
                }
                match self.end.as_ref().is_some_and(|it| it.talk.is_some()) {
                    true => self.keep(TurnState::Incomplete, None, Some(error), cx),
                    false => Poll::Ready(self.last_words(&error, Ended::Cut)),
                }
            }
            None if end.talk.is_some() => self.keep(TurnState::Complete, None, None, cx),
            None => {
                note_alive(relay.upstream());
                let comment = end.usage_comment();
                end.record.bytes_out += comment.as_ref().map_or(0, |it| it.len() as u64);
                end.close(Ended::Complete);
                if let Source::Events(relay) = std::mem::replace(&mut self.source, Source::Over) {
                    relay.release();
                }
                Poll::Ready(comment.map(|it| Ok(Frame::data(it))))
            }
        }
    }

    /// Holds back the last of the answer, or what went wrong with it, until its session has the turn.
    fn keep(
        &mut self,
        state: TurnState,
        last: Option<Bytes>,
        error: Option<Error>,
        cx: &mut Context<'_>,
    ) -> Step {
        let task = self.end.as_mut().and_then(|it| it.keep(state));
        if let Source::Events(relay) = std::mem::replace(&mut self.source, Source::Over) {
            self.source = Source::Keeping(Box::new(Keeping { task, relay: Some(relay), last, error }));
        }
        self.poll(cx)
    }

    /// `None`: the turn is written, ask the answer on.
    fn poll_keeping(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Source::Keeping(keeping) = &mut self.source else { return Poll::Ready(None) };
        let kept = ready!(keeping.poll(cx));
        let Source::Keeping(keeping) = std::mem::replace(&mut self.source, Source::Over) else {
            return Poll::Ready(None);
        };
        let Keeping { relay, last, error, .. } = *keeping;
        let last = told_before(kept, last);
        if let Some(end) = &mut self.end {
            end.record.session = kept;
            end.record.bytes_out += last.as_ref().map_or(0, |it| it.len() as u64);
        }
        if let Some(error) = error {
            return Poll::Ready(self.last_words(&error, Ended::Cut));
        }
        self.source = relay.map_or(Source::Over, Source::Events);
        Poll::Ready(last.map(|it| Ok(Frame::data(it))))
    }

    fn poll_opaque(&mut self, cx: &mut Context<'_>) -> Step {
        let (Source::Opaque(opaque), Some(end)) = (&mut self.source, &mut self.end) else {
            return Poll::Ready(None);
        };
        let frame = ready!(opaque.poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                end.record.bytes_out += frame.data_ref().map_or(0, |it| it.len() as u64);
                if opaque.is_over() {
                    self.complete_opaque();
                }
            }
            Some(Err(error)) => {
                note_failure(opaque.upstream(), error);
                end.record.error = Some(error.kind);
                end.close(Ended::Cut);
                // No in-band word fits into a file: the connection breaks off as the upstream's did.
                self.source = Source::Over;
            }
            None => self.complete_opaque(),
        }
        Poll::Ready(frame)
    }

    fn complete_opaque(&mut self) {
        if let (Source::Opaque(opaque), Some(end)) = (&self.source, &mut self.end) {
            note_alive(opaque.upstream());
            if let Some(reading) = end.reading() {
                note_tail(opaque.tail(), reading);
            }
            end.close(Ended::Complete);
            self.source = Source::Over;
        }
    }

    fn poll_shared(&mut self, cx: &mut Context<'_>) -> Step {
        let Source::Shared(reader) = &mut self.source else { return Poll::Ready(None) };
        let piece = ready!(reader.poll_piece(cx)).transpose();
        let ended = match &piece {
            Ok(Some(bytes)) => {
                if let Some(end) = &mut self.end {
                    end.record.bytes_out += bytes.len() as u64;
                }
                return Poll::Ready(piece.transpose().map(|it| it.map(Frame::data)));
            }
            Ok(None) => reader.outcome(),
            Err(error) => Outcome { ended: Ended::Cut, error: Some(error.kind) },
        };
        if let Some(end) = &mut self.end {
            end.record.error = ended.error;
            end.close(ended.ended);
        }
        self.source = Source::Over;
        Poll::Ready(piece.transpose().map(|it| it.map(Frame::data)))
    }

    /// `None`: the wait is over, ask the new source.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Option<Step> {
        let Source::Waiting { late, beat } = &mut self.source else { return None };
        let polled = late.as_mut().poll(cx).map(|(result, mut end)| {
            end.record.status = StatusCode::OK.as_u16();
            (result, end)
        });
        match polled {
            Poll::Ready((
                Ok(Delivery { body: AnswerBody::Events(relay), model, reading, losses, .. }),
                mut end,
            )) => {
                self.succession.found(&model, reading, &mut end);
                self.end = Some(end);
                self.source = Source::Events(relay);
                // The head is long gone.
                dropped(&losses).map(|it| Poll::Ready(Some(Ok(Frame::data(it)))))
            }
            Poll::Ready((result, mut end)) => {
                let (error, ended) = self.succession.lost(result.err(), &mut end);
                let task = end.keep(TurnState::Incomplete).filter(|_| ended == Ended::Cut);
                self.end = Some(end);
                match task {
                    Some(task) => {
                        let ending =
                            Keeping { task: Some(task), relay: None, last: None, error: Some(error) };
                        self.source = Source::Keeping(Box::new(ending));
                        None
                    }
                    None => Some(Poll::Ready(self.last_words(&error, ended))),
                }
            }
            Poll::Pending => Some(beat.as_mut().poll(cx).map(|()| {
                beat.as_mut().reset(Instant::now() + WAITING_BEAT);
                Some(Ok(Frame::data(WAITING)))
            })),
        }
    }

    fn is_cut(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(cut) = &mut self.cut else { return false };
        if self.cut_seen_by.as_ref().is_some_and(|it| it.will_wake(cx.waker())) {
            return self.end.as_ref().is_some_and(|it| it.cut().is_cancelled());
        }
        self.cut_seen_by = Some(cx.waker().clone());
        cut.as_mut().poll(cx).is_ready()
    }

    /// The grace is over: the truth, and the end.
    fn drain(&mut self) -> Step {
        let error =
            Error::new(Kind::Cut, Origin::Gateway, "The gateway is stopping; send the request again.")
                .code("gateway_stopping");
        match std::mem::replace(&mut self.source, Source::Over) {
            Source::Opaque(_) => Poll::Ready(Some(Err(error))),
            _ => Poll::Ready(self.last_words(&error, Ended::Drained)),
        }
    }

    /// One `error` event, then the end, without `[DONE]`: a cut is never dressed up as success.
    fn last_words(&mut self, error: &Error, ended: Ended) -> Option<Result<Frame<Bytes>, Error>> {
        self.source = Source::Over;
        let event = Bytes::from(error_event(error));
        if let Some(end) = &mut self.end {
            end.record.error = Some(error.kind);
            end.record.bytes_out += event.len() as u64;
            end.close(ended);
        }
        Some(Ok(Frame::data(event)))
    }
}

/// What of the request the target could not be told, as a comment.
fn dropped(losses: &Losses) -> Option<Bytes> {
    let names = losses.names();
    let line = |it: &str| !it.contains(char::is_control);
    let told = (!names.is_empty()).then(|| names.join(",")).filter(|it| line(it));
    told.map(|it| format!(": dropped {it}\n\n").into())
}

fn given_up() -> Error {
    Error::new(
        Kind::Timeout,
        Origin::Client,
        "The client took nothing of its answer (`limits.write_stall_ms`).",
    )
}
