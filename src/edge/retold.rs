//! Tells the answer of a call in its client's dialect, as it comes: below this everything speaks chat completions. An answer
//! that is in the client's dialect already passes untouched but for what the gateway itself says in it. The body below
//! keeps its record, its timers and its end; dropping this drops it, which hangs up on the vendor.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame};
use serde::Deserialize;
use serde_json::Value;

use crate::dialect::event::{Event, Told};
use crate::dialect::responses::Passed;
use crate::dialect::{ClientDialect, Decoder, Dialect, Encoder, ErrorSaid, NoAnswer, VendorDialect, chat};
use crate::edge::body::Body;
use crate::edge::options::LimitOptions;
use crate::error::{Error, Kind, Origin};
use crate::upstream::wording::Wording;
use crate::vendor::sse::{self, Splitter};
use crate::vendor::when::retry_after;

/// A stream in its client's dialect.
pub struct Retold {
    pub(in crate::edge) inner: Body,
    wording: Arc<Wording>,
    telling: Telling,
    /// What was forwarded of a vendor's own response.
    passed: Passed,
    over: bool,
}

/// From chat's chunks to the client's events.
struct Telling {
    framing: Splitter,
    decoder: Box<dyn Decoder>,
    encoder: Box<dyn Encoder>,
    told: Vec<Told>,
    /// The answer was told to be finished, and then to be over, or to have failed.
    finished: bool,
    over: bool,
    /// The client's SDK can read comments.
    comments: bool,
    out: Vec<u8>,
}

/// How a comment begins that the client asked for (`x-tollgate-usage`).
const ASKED_FOR: &[u8] = b": tollgate ";

/// How the gateway's own error event begins.
const ERROR_EVENT: &[u8] = b"data: {\"error\":";

/// The dialect that `wording` is in, where the gateway does not speak it by itself.
fn foreign(dialect: Dialect) -> Option<&'static dyn ClientDialect> {
    dialect.of_clients().filter(|_| dialect != Dialect::Chat)
}

/// `response` in the words of its client.
pub fn tell(
    response: Response<Body>,
    wording: Option<Arc<Wording>>,
    limits: &LimitOptions,
) -> Response<Body> {
    let Some((wording, dialect)) = wording.and_then(|it| Some((Arc::clone(&it), foreign(it.dialect)?)))
    else {
        return response;
    };
    if !response.status().is_success() {
        return error(response, Some(wording.dialect));
    }
    let kind = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if !kind.starts_with(b"text/event-stream") {
        return whole(response, &wording, dialect);
    }
    let telling = Telling {
        framing: Splitter::new(limits.event_bytes_max),
        decoder: chat::Chat.decoder(),
        encoder: dialect.encoder(&wording.frame),
        told: Vec::new(),
        finished: false,
        over: false,
        // Google's SDK for Python takes every line for data.
        comments: wording.dialect != Dialect::Gemini,
        out: Vec::new(),
    };
    response.map(|inner| {
        Body::Retold(Box::new(Retold { inner, wording, telling, passed: Passed::default(), over: false }))
    })
}

/// A whole answer, which is at hand; one that is not is too long to be translated.
fn whole(response: Response<Body>, wording: &Wording, dialect: &dyn ClientDialect) -> Response<Body> {
    if wording.is_forwarded() {
        return response;
    }
    let (mut head, mut body) = response.into_parts();
    let told = match &body {
        Body::Whole { bytes: Some(bytes), .. } => chat::Chat.read_answer(bytes),
        _ => Err(NoAnswer::Unreadable("it is longer than `limits.answer_bytes_max`")),
    };
    let words = match told {
        Ok(answer) => dialect.write_answer(&answer, &wording.frame),
        Err(why) => {
            let message = format!("The upstream's answer cannot be translated: {}.", why.why());
            let error = Error::new(Kind::VendorFailed, Origin::Gateway, message);
            head.status = error.status;
            dialect.write_error(&said(&error))
        }
    };
    match &mut body {
        Body::Whole { bytes, .. } => *bytes = Some(words.into()),
        other => *other = Body::plain(words),
    }
    Response::from_parts(head, body)
}

/// `response`, which tells an error, in `dialect`. One that is in it already, as its vendor wrote it, stays.
pub fn error(mut response: Response<Body>, dialect: Option<Dialect>) -> Response<Body> {
    let status = response.status().as_u16();
    let wait = retry_after(response.headers(), SystemTime::now());
    let (Some(dialect), Body::Whole { bytes: Some(bytes), .. }) =
        (dialect.filter(|it| *it != Dialect::Responses).and_then(foreign), response.body_mut())
    else {
        return response;
    };
    if let Some(mut said) = openai_error(bytes, status) {
        said.retry_after = wait;
        *bytes = dialect.write_error(&said).into();
    }
    response
}

/// What OpenAI's error object says; None for those of Anthropic, which have a `type` beside it, and of Google, which have a
/// `status` in it. A number for a code is OpenRouter's and vLLM's too.
pub fn openai_error(body: &[u8], status: u16) -> Option<ErrorSaid> {
    #[derive(Deserialize)]
    struct Envelope {
        error: Value,
        #[serde(default)]
        r#type: Value,
    }
    let Envelope { error, r#type } = serde_json::from_slice(body).ok()?;
    if r#type == "error" || error.get("status").is_some_and(Value::is_string) {
        return None;
    }
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(ErrorSaid {
        status,
        message: text("message").or_else(|| error.as_str().map(str::to_owned)).unwrap_or_default(),
        error_type: text("type").unwrap_or_default(),
        code: text("code"),
        param: text("param"),
        retry_after: None,
    })
}

fn said(error: &Error) -> ErrorSaid {
    ErrorSaid {
        status: error.status.as_u16(),
        message: error.message.clone(),
        error_type: error.error_type.clone(),
        code: error.code.clone(),
        param: error.param.clone(),
        retry_after: error.retry_after,
    }
}

impl Retold {
    pub(in crate::edge) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        while !self.over {
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if self.passes(&data) => {
                        if self.wording.dialect == Dialect::Responses {
                            self.passed.note(&data);
                        }
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Ok(data) if self.breaks_off(&data) => {}
                    Ok(data) => self.telling.take(data),
                    Err(_) => {}
                },
                Some(Err(error)) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.over = true;
                    if !self.wording.is_forwarded() {
                        self.telling.finish();
                    }
                }
            }
            if !self.telling.out.is_empty() {
                let out = std::mem::take(&mut self.telling.out);
                return Poll::Ready(Some(Ok(Frame::data(out.into()))));
            }
        }
        Poll::Ready(None)
    }

    /// Whether these bytes are in the client's words already: all that is forwarded but for the gateway's own errors.
    fn passes(&self, data: &[u8]) -> bool {
        self.wording.is_forwarded() && !data.starts_with(ERROR_EVENT)
    }

    /// Tells the end of a vendor's own response that broke off, if this is it.
    fn breaks_off(&mut self, data: &[u8]) -> bool {
        if self.wording.dialect != Dialect::Responses || !self.wording.is_forwarded() {
            return false;
        }
        let error = sse::data(data).and_then(|it| openai_error(&it, StatusCode::BAD_GATEWAY.as_u16()));
        if let Some(error) = &error {
            self.passed.fail(error, &mut self.telling.out);
        }
        error.is_some()
    }

    pub(in crate::edge) fn is_over(&self) -> bool {
        self.over
    }
}

impl Telling {
    fn take(&mut self, data: Bytes) {
        self.framing.push(data);
        loop {
            let event = match self.framing.peek() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(_) => {
                    self.fail("An event of the answer is too long.");
                    break;
                }
            };
            match sse::data(event) {
                // Comments keep a silent connection open, and some say what no dialect does.
                None if (self.comments && event.starts_with(b":")) || event.starts_with(ASKED_FOR) => {
                    self.out.extend_from_slice(event)
                }
                None => {}
                Some(data) => {
                    // A chunk that says nothing readable says nothing.
                    let _ = self.decoder.read("", &data, &mut self.told);
                }
            }
            self.framing.accept();
            self.tell();
        }
        self.framing.take();
    }

    fn tell(&mut self) {
        for told in self.told.drain(..) {
            if self.over {
                break;
            }
            match &told.event {
                Event::Failed(said) => {
                    self.over = true;
                    self.encoder.fail(said, &mut self.out);
                    continue;
                }
                Event::Finish(_) => self.finished = true,
                Event::End => self.over = true,
                _ => {}
            }
            self.encoder.write(&told, &mut self.out);
        }
        self.told.clear();
    }

    fn fail(&mut self, message: &str) {
        let error = Error::new(Kind::VendorFailed, Origin::Gateway, message);
        if !std::mem::replace(&mut self.over, true) {
            self.encoder.fail(&said(&error), &mut self.out);
        }
    }

    /// The chunks have ended. Some vendors leave out the `[DONE]` of a finished answer.
    fn finish(&mut self) {
        self.decoder.end(&mut self.told);
        self.tell();
        match self.finished {
            true if !self.over => {
                self.told.push(Event::End.told());
                self.tell();
            }
            true => {}
            false => self.fail("The upstream's answer ended before it was complete."),
        }
    }
}
