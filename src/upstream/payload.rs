//! What is sent to a vendor: pieces that are held and can be sent again, and perhaps a rest that streams through once.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::api::edit::joined;
use crate::error::Error;

/// Errors of a client's body, kept as they are: hyper wraps them.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The part of a client's body that streams through.
pub type ClientStream = Pin<Box<dyn Body<Data = Bytes, Error = BodyError> + Send>>;

/// Taken by the first attempt that has sent all before it.
type Rest = Arc<Mutex<Option<ClientStream>>>;

/// A request body as the dispatcher holds it between attempts. Every attempt sends the same pieces without copying them.
#[derive(Clone)]
pub struct Payload {
    pieces: Arc<[Bytes]>,
    rest: Option<Rest>,
    length: Option<u64>,
    /// Fires when the body of this attempt has gone out; only for one that streams through.
    sent: Option<CancellationToken>,
    /// What was wrong with the client's part of it. Over HTTP/2 hyper tells nobody.
    fault: Arc<OnceLock<Error>>,
}

impl Payload {
    pub fn held(pieces: Vec<Bytes>) -> Self {
        let length = total(&pieces);
        Self { pieces: pieces.into(), rest: None, length: Some(length), sent: None, fault: Arc::default() }
    }

    /// What is held of it, in one piece.
    pub fn joined(&self) -> Bytes {
        joined(&self.pieces)
    }

    /// `pieces`, then `rest` as it comes.
    pub fn streamed(pieces: Vec<Bytes>, rest: ClientStream) -> Self {
        let length = rest.size_hint().exact().map(|it| it + total(&pieces));
        let rest = Some(Arc::new(Mutex::new(Some(rest))));
        Self {
            pieces: pieces.into(),
            rest,
            length,
            sent: Some(CancellationToken::new()),
            fault: Arc::default(),
        }
    }

    /// The same for another attempt, with other pieces in front of the same rest.
    pub fn with_pieces(&self, pieces: Vec<Bytes>) -> Self {
        let length = self.length.map(|it| it - total(&self.pieces) + total(&pieces));
        Self { pieces: pieces.into(), length, ..self.again() }
    }

    /// The same for another attempt.
    pub fn again(&self) -> Self {
        Self { sent: self.sent.as_ref().map(|_| CancellationToken::new()), ..self.clone() }
    }

    /// What the client did wrong while its body was sent, if that is why it did not arrive.
    pub fn client_fault(&self) -> Option<&Error> {
        self.fault.get()
    }

    /// Whether there is nothing of it.
    pub fn is_empty(&self) -> bool {
        self.length == Some(0)
    }

    /// The part of it that is held.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// Whether a part of it comes from the client while it is sent.
    pub fn streams(&self) -> bool {
        self.rest.is_some()
    }

    /// Ready when the body has gone out. One that is held goes as fast as the network takes it; one that streams
    /// through comes at its client's pace.
    pub async fn went_out(&self) {
        if let Some(sent) = &self.sent {
            sent.cancelled().await;
        }
    }

    /// Whether an attempt could still send all of it.
    pub fn is_whole(&self) -> bool {
        self.rest.as_ref().is_none_or(|it| it.lock().expect("no holder of this lock panics").is_some())
    }

    /// A body for one attempt.
    pub fn outgoing(&self) -> Outgoing {
        Outgoing {
            pieces: Arc::clone(&self.pieces),
            next: 0,
            left: self.length,
            rest: self.rest.clone(),
            flowing: None,
            fault: Arc::clone(&self.fault),
            _sent: self.sent.clone().map(CancellationToken::drop_guard),
        }
    }
}

fn total(pieces: &[Bytes]) -> u64 {
    pieces.iter().map(|it| it.len() as u64).sum()
}

/// The body of one attempt.
pub struct Outgoing {
    pieces: Arc<[Bytes]>,
    next: usize,
    /// Bytes to come, where known.
    left: Option<u64>,
    rest: Option<Rest>,
    flowing: Option<ClientStream>,
    fault: Arc<OnceLock<Error>>,
    /// hyper drops a body as soon as it has gone out.
    _sent: Option<DropGuard>,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(piece) = self.pieces.get(self.next) {
            let piece = piece.clone();
            self.next += 1;
            self.left = self.left.map(|it| it - piece.len() as u64);
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if let Some(rest) = self.rest.take() {
            self.flowing = rest.lock().expect("no holder of this lock panics").take();
            if self.flowing.is_none() {
                return Poll::Ready(Some(Err("the request body was already sent".into())));
            }
        }
        let Some(flowing) = self.flowing.as_mut() else { return Poll::Ready(None) };
        let frame = std::task::ready!(flowing.as_mut().poll_frame(cx));
        if let Some(Err(fault)) = &frame
            && let Some(error) = fault.downcast_ref::<Error>()
        {
            // Only the first counts; a second one follows from it.
            let _ = self.fault.set(error.clone());
        }
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.left = self.left.map(|it| it.saturating_sub(data.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
