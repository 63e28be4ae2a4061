//! Reads what a client sends: within its bounds, under its timer, no more of it than routing needs.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, timeout};

use crate::api::request;
use crate::edge::admission::no_body;
use crate::edge::form::{self, FormScan};
use crate::edge::options::LimitOptions;
use crate::error::{Error, Kind, Origin};
use crate::upstream::call::CallBody;
use crate::upstream::payload::{BodyError, Payload};
use crate::upstream::room::BodyRoom;

/// A body that was read, and the model it names.
pub struct Taken {
    pub body: CallBody,
    pub model: Option<String>,
    pub stream: bool,
    pub bytes: u64,
}

/// Reads a body whose JSON or form names a model.
pub async fn modelled(
    headers: &HeaderMap,
    body: Incoming,
    limits: &LimitOptions,
    room: BodyRoom,
) -> Result<Taken, Error> {
    let content_type = content_type(headers)?;
    match form::boundary(content_type)? {
        Some(boundary) => taken_form(&boundary, body, limits, room).await,
        None => {
            let body = whole(body, limits, room).await?;
            let scan = request::scan(&body, limits.json_depth_max)?;
            let model = scan.model.as_ref().map(|(name, _)| name.clone());
            let (stream, bytes) = (scan.stream, body.len() as u64);
            Ok(Taken { body: CallBody::Json { body, scan }, model, stream, bytes })
        }
    }
}

/// Reads the whole body of a call that the gateway answers itself; what it says is its reader's to judge.
pub async fn object(
    headers: &HeaderMap,
    body: Incoming,
    limits: &LimitOptions,
    room: BodyRoom,
) -> Result<Bytes, Error> {
    content_type(headers)?;
    let body = whole(body, limits, room).await?;
    request::check_depth(&body, limits.json_depth_max)?;
    Ok(body)
}

/// A body that streams through unread.
pub fn unread(headers: &HeaderMap, body: Incoming, limits: &LimitOptions) -> Result<CallBody, Error> {
    if body.is_end_stream() {
        return Ok(CallBody::Plain(Payload::held(Vec::new())));
    }
    content_type(headers)?;
    Ok(CallBody::Plain(Payload::streamed(Vec::new(), Box::pin(Paced::new(body, limits)))))
}

/// The one content type of a body that is not compressed. Compressed ones cannot be read here, and `content-encoding`
/// does not reach the vendor, which would take the bytes for the file itself.
fn content_type(headers: &HeaderMap) -> Result<&[u8], Error> {
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let mut codings = codings.flat_map(|it| it.as_bytes().split(|it| *it == b',')).map(<[u8]>::trim_ascii);
    if let Some(coding) = codings.find(|it| !it.is_empty() && !it.eq_ignore_ascii_case(b"identity")) {
        let coding = String::from_utf8_lossy(coding);
        return Err(Error::bad_request(format!(
            "Request bodies in `{coding}` are not read; send them uncompressed."
        ))
        .status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        .code("unsupported_encoding"));
    }
    let mut content_types = headers.get_all(header::CONTENT_TYPE).iter();
    let content_type = content_types.next().map_or(&b""[..], HeaderValue::as_bytes);
    match content_types.next() {
        None => Ok(content_type),
        Some(_) => {
            Err(Error::bad_request("The request has more than one `content-type`.")
                .code("invalid_content_type"))
        }
    }
}

/// Reads a body to its end.
pub async fn whole(mut body: Incoming, limits: &LimitOptions, mut room: BodyRoom) -> Result<Bytes, Error> {
    let announced = body.size_hint().lower();
    if announced > limits.body_bytes_max as u64 {
        linger(body);
        return Err(too_large(limits));
    }
    if let Err(why) = room.check(announced) {
        linger(body);
        return Err(no_body(why));
    }
    let mut gathered = Gathered::Nothing;
    while let Some(data) = next(&mut body, limits).await? {
        if let Err(error) = take(&mut room, gathered.len(), &data, limits) {
            linger(body);
            return Err(error);
        }
        gathered.push(data, announced as usize);
    }
    Ok(room.hold(gathered.finish()))
}

/// Whether `data` may follow the `held` bytes of its body.
fn take(room: &mut BodyRoom, held: usize, data: &Bytes, limits: &LimitOptions) -> Result<(), Error> {
    if held + data.len() > limits.body_bytes_max {
        return Err(too_large(limits));
    }
    room.take(data.len()).map_err(no_body)
}

/// How much of a refused body is still taken, and for how long, so that its client gets to read why: a connection that
/// is closed while bytes come in is reset, answer and all.
const LINGER_BYTES_MAX: usize = 64 << 20;
const LINGER: Duration = Duration::from_secs(2);

/// Lets go of a body whose call was refused.
pub fn linger(body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    let mut rest = Limited::new(body, LINGER_BYTES_MAX);
    tokio::spawn(timeout(LINGER, async move { while let Some(Ok(_)) = rest.frame().await {} }));
}

/// Frames of a body. One frame is kept as it is; a second one moves both into a buffer of the announced length.
enum Gathered {
    Nothing,
    One(Bytes),
    More(BytesMut),
}

impl Gathered {
    fn len(&self) -> usize {
        match self {
            Gathered::Nothing => 0,
            Gathered::One(frame) => frame.len(),
            Gathered::More(buffer) => buffer.len(),
        }
    }

    fn push(&mut self, data: Bytes, announced: usize) {
        *self = match std::mem::replace(self, Gathered::Nothing) {
            Gathered::Nothing => Gathered::One(data),
            Gathered::One(first) => {
                let mut buffer = BytesMut::with_capacity(announced.max(first.len() + data.len()));
                buffer.extend_from_slice(&first);
                buffer.extend_from_slice(&data);
                Gathered::More(buffer)
            }
            Gathered::More(mut buffer) => {
                buffer.extend_from_slice(&data);
                Gathered::More(buffer)
            }
        };
    }

    fn finish(self) -> Bytes {
        match self {
            Gathered::Nothing => Bytes::new(),
            Gathered::One(frame) => frame,
            Gathered::More(buffer) => buffer.freeze(),
        }
    }
}

/// Holds a form up to its `model` field; the rest streams through, watched. A model that comes last is bounded by
/// `limits.body_bytes_max`, one that comes first lets a file of any size pass.
async fn taken_form(
    boundary: &str,
    mut body: Incoming,
    limits: &LimitOptions,
    room: BodyRoom,
) -> Result<Taken, Error> {
    let announced = body.size_hint().exact();
    let (head, scan) = match form_head(boundary, &mut body, limits, room).await {
        Ok(read) => read,
        Err(error) => {
            linger(body);
            return Err(error);
        }
    };
    let bytes = announced.unwrap_or(head.len() as u64);
    let place = scan.model();
    let rest = match body.is_end_stream() || !scan.is_decided() {
        true => {
            scan.finish()?;
            Payload::held(vec![head.clone()])
        }
        false => {
            let body = Watched { body: Paced::new(body, limits), scan };
            Payload::streamed(vec![head.clone()], Box::pin(body))
        }
    };
    let Some(place) = place else {
        return Ok(Taken { body: CallBody::Plain(rest), model: None, stream: false, bytes });
    };
    let model = model_name(&head[place.clone()])?;
    Ok(Taken { body: CallBody::Form { head, model: place, rest }, model: Some(model), stream: false, bytes })
}

/// Reads a form until its model, or its lack of one, is known.
async fn form_head(
    boundary: &str,
    body: &mut Incoming,
    limits: &LimitOptions,
    mut room: BodyRoom,
) -> Result<(Bytes, FormScan), Error> {
    let mut head = BytesMut::new();
    let mut scan = FormScan::new(boundary);
    while !scan.is_decided() {
        let Some(data) = next(body, limits).await? else { break };
        take(&mut room, head.len(), &data, limits)?;
        scan.feed(&data)?;
        head.extend_from_slice(&data);
    }
    Ok((room.hold(head.freeze()), scan))
}

/// Exact, since the vendor gets the bytes and the allow-list judges the text.
fn model_name(value: &[u8]) -> Result<String, Error> {
    let name = std::str::from_utf8(value).ok().filter(|it| !it.contains(char::is_control));
    name.map(str::to_owned).ok_or_else(|| {
        Error::bad_request("The form's `model` is not a line of UTF-8 text.")
            .param("model")
            .code("invalid_model")
    })
}

async fn next(body: &mut Incoming, limits: &LimitOptions) -> Result<Option<Bytes>, Error> {
    loop {
        let patience = Duration::from_millis(limits.body_read_ms);
        match timeout(patience, body.frame()).await {
            Err(_) => return Err(too_slow()),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(broken()),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn too_large(limits: &LimitOptions) -> Error {
    Error::bad_request(format!(
        "The request body is larger than the {} bytes this gateway takes (`limits.body_bytes_max`).",
        limits.body_bytes_max
    ))
    .status(StatusCode::PAYLOAD_TOO_LARGE)
    .code("request_too_large")
}

fn too_slow() -> Error {
    Error::new(
        Kind::BadRequest,
        Origin::Client,
        "The request body stopped coming in (`limits.body_read_ms`).",
    )
    .status(StatusCode::REQUEST_TIMEOUT)
    .code("request_timeout")
}

fn broken() -> Error {
    Error::bad_request("The request body broke off or is not framed as HTTP says.").code("invalid_body")
}

/// A client's body under its timer, on its way through.
struct Paced {
    body: Incoming,
    patience: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Paced {
    fn new(body: Incoming, limits: &LimitOptions) -> Self {
        let patience = Duration::from_millis(limits.body_read_ms);
        Self { body, patience, timer: Box::pin(tokio::time::sleep(patience)) }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let patience = self.patience;
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.timer.as_mut().reset(Instant::now() + patience);
                Poll::Ready(frame.map(|it| it.map_err(|_| BodyError::from(broken()))))
            }
            Poll::Pending => self.timer.as_mut().poll(cx).map(|()| Some(Err(BodyError::from(too_slow())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The rest of a form whose model is known. A second one must not get past: its frame becomes the error that ends the
/// request, so that the vendor is left with a body that broke off, and the client learns why.
struct Watched<B> {
    body: B,
    scan: FormScan,
}

impl<B: Body<Data = Bytes, Error = BodyError>> Watched<B> {
    /// A body of a known length is complete with its last frame: what is wrong must be found before that leaves.
    fn check(&mut self, frame: Option<&Frame<Bytes>>) -> Result<(), Error> {
        if let Some(data) = frame.and_then(Frame::data_ref) {
            self.scan.feed(data)?;
        }
        match frame.is_none() || self.body.is_end_stream() {
            true => self.scan.finish(),
            false => Ok(()),
        }
    }
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?;
        self.check(frame.as_ref())?;
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
