//! The response body: everything the gateway can send, each carrying the guard that closes its call's record.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use serde::Serialize;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::edge::chat_api::told::Told;
use crate::edge::connection::CallPlace;
use crate::edge::continuation::Succession;
use crate::edge::flow::{Flow, Watch};
use crate::edge::flowing::{LateAnswer, Source};
use crate::edge::listed::Listed;
use crate::edge::retold::Retold;
use crate::edge::shared::Reader;
use crate::edge::verdict::note_alive;
use crate::error::{Error, Kind};
use crate::telemetry::Ended;
use crate::upstream::commit::AnswerBody;
use crate::upstream::finish::FinishGuard;

/// A response body.
pub enum Body {
    /// At hand; the guard is closed when hyper takes it.
    Whole { bytes: Option<Bytes>, end: Option<Box<FinishGuard>>, place: Option<CallPlace> },
    /// Still coming.
    Flowing(Arc<Flow>),
    /// Another one, told in the events of the earlier chat service.
    Told(Box<Told>),
    /// Another one, told in its client's dialect.
    Retold(Box<Retold>),
    /// Either, of which the events are told as one array.
    Listed(Box<Listed>),
}

impl Body {
    /// Without a record to close: probes, admin.
    pub fn plain(bytes: impl Into<Bytes>) -> Self {
        Body::Whole { bytes: Some(bytes.into()).filter(|it| !it.is_empty()), end: None, place: None }
    }

    /// The whole answer of a call. `ended` is how the call ends once the client has taken it.
    pub fn whole(bytes: Bytes, mut end: Box<FinishGuard>, ended: Ended) -> Self {
        end.record.bytes_out = bytes.len() as u64;
        // The record closes when hyper takes the bytes, or now where there is nothing to take.
        end.record.ended = ended;
        if bytes.is_empty() || end.record.method == http::Method::HEAD {
            end.close(ended);
        }
        Body::Whole { bytes: Some(bytes).filter(|it| !it.is_empty()), end: Some(end), place: None }
    }

    /// The answer of an upstream.
    pub fn answer(body: AnswerBody, end: Box<FinishGuard>, watch: &Watch<'_>) -> Self {
        match body {
            AnswerBody::Whole(bytes) => Body::whole(bytes, end, Ended::Complete),
            AnswerBody::Events(relay) => Body::flowing(Source::Events(relay), end, watch),
            AnswerBody::Opaque(opaque) => {
                if opaque.is_over() || end.record.method == http::Method::HEAD {
                    note_alive(opaque.upstream());
                    return Body::whole(Bytes::new(), end, Ended::Complete);
                }
                Body::flowing(Source::Opaque(opaque), end, watch)
            }
        }
    }

    /// Comments until `late` is decided, then its answer, all under the `200` that was sent.
    pub fn waiting(late: LateAnswer, cut: WaitForCancellationFutureOwned, watch: &Watch<'_>) -> Self {
        Body::Flowing(Flow::start(Source::waiting(late, Duration::ZERO), None, Some(cut), watch))
    }

    /// Whether and how the stream goes on elsewhere when it breaks off.
    pub(super) fn succeed(&mut self, succession: Succession) {
        if let Body::Flowing(flow) = self {
            flow.succeed(succession);
        }
    }

    /// Another call's answer; `end` is none for the call that asked, whose record goes with the asking. At the end of a
    /// stopping process's grace that call is cut, and says so in its client's words: this only passes them on.
    pub fn shared(reader: Reader, end: Option<Box<FinishGuard>>, watch: &Watch<'_>) -> Self {
        Body::Flowing(Flow::start(Source::Shared(reader), end, None, watch))
    }

    /// How the call ended, as far as its record says.
    pub fn ended(&self) -> (Ended, Option<Kind>) {
        match self {
            Body::Whole { end, .. } => {
                end.as_ref().map_or((Ended::Complete, None), |it| (it.record.ended, it.record.error))
            }
            Body::Flowing(flow) => flow.ended(),
            Body::Told(told) => told.inner.ended(),
            Body::Retold(retold) => retold.inner.ended(),
            Body::Listed(listed) => listed.inner.ended(),
        }
    }

    /// Keeps the connection's count of calls until the body has ended.
    pub fn occupy(&mut self, call: CallPlace) {
        match self {
            Body::Whole { place, .. } => *place = Some(call),
            Body::Flowing(flow) => flow.occupy(call),
            Body::Told(told) => told.inner.occupy(call),
            Body::Retold(retold) => retold.inner.occupy(call),
            Body::Listed(listed) => listed.inner.occupy(call),
        }
    }

    fn flowing(source: Source, end: Box<FinishGuard>, watch: &Watch<'_>) -> Self {
        let cut = end.cut().clone().cancelled_owned();
        Body::Flowing(Flow::start(source, Some(end), Some(cut), watch))
    }
}

/// The answer 200 with this JSON.
pub fn json(value: &impl Serialize) -> Response<Body> {
    in_json(serde_json::to_vec(value).expect("text and numbers always serialise"))
}

/// The same of JSON that is written already.
pub fn in_json(body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::plain(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Body::Flowing(flow) => flow.poll(cx),
            Body::Told(told) => told.poll(cx),
            Body::Retold(retold) => retold.poll(cx),
            Body::Listed(listed) => listed.poll(cx),
            Body::Whole { bytes, end, place } => {
                // hyper has all of it: from here on the connection's own timers watch the client.
                *place = None;
                if let Some(mut end) = end.take() {
                    let ended = end.record.ended;
                    end.close(ended);
                }
                Poll::Ready(bytes.take().map(|it| Ok(Frame::data(it))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole { bytes, .. } => bytes.is_none(),
            Body::Flowing(flow) => flow.is_over(),
            Body::Told(told) => told.is_over(),
            Body::Retold(retold) => retold.is_over(),
            Body::Listed(listed) => listed.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole { bytes, .. } => SizeHint::with_exact(bytes.as_ref().map_or(0, |it| it.len() as u64)),
            Body::Flowing(flow) => flow.size_hint(),
            Body::Told(_) | Body::Retold(_) | Body::Listed(_) => SizeHint::default(),
        }
    }
}
