//! What a scripted vendor answers: a head, and then steps that a test can hold up at any byte.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

/// Holds a vendor until the test opens it. One vendor waits at one gate, once.
#[derive(Clone, Default)]
pub struct Gate(Arc<GateState>);

#[derive(Default)]
struct GateState {
    opened: Notify,
    reached: Notify,
}

impl Gate {
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the vendor go on, now or when it arrives here.
    pub fn open(&self) {
        self.0.opened.notify_one();
    }

    /// Waits until the vendor has done all that comes before the gate.
    pub async fn reached(&self) {
        super::within("a vendor at its gate", self.0.reached.notified()).await;
    }

    pub(super) async fn pass(&self) {
        self.0.reached.notify_one();
        self.0.opened.notified().await;
    }
}

#[derive(Clone)]
pub(super) enum Step {
    Write(Bytes),
    Gate(Gate),
    /// Writes `piece` until this many bytes are written, and notes where the reader first stopped taking them.
    Flood {
        piece: Bytes,
        bytes: usize,
    },
    /// Writes `piece` so often, with this pause before each: a pace of the vendor's own.
    Every {
        piece: Bytes,
        pause: Duration,
        times: usize,
    },
    /// Closes the connection in good order.
    Close,
    /// Breaks the connection off (RST).
    Reset,
    /// Waits until the other side leaves.
    Stall,
}

/// One scripted answer.
#[derive(Clone)]
pub struct Reply {
    head: Option<Head>,
    pub(super) steps: Vec<Step>,
    /// Whether the request's body is read before the answer begins.
    pub(super) reads_body: bool,
}

#[derive(Clone)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl Reply {
    fn new(head: Option<Head>, steps: Vec<Step>) -> Self {
        Self { head, steps, reads_body: true }
    }

    /// A body of a known length.
    pub fn whole(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let headers = vec![
            ("content-type".into(), content_type.into()),
            ("content-length".into(), body.len().to_string()),
        ];
        Self::new(Some(Head { status, headers }), vec![Step::Write(body)])
    }

    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::whole(status, "application/json", body.into())
    }

    /// A chat completion that says `text`, with usage 7 + 2.
    pub fn chat(text: &str) -> Self {
        Self::json(200, completion(text))
    }

    /// An OpenAI error object.
    pub fn status(status: u16, message: &str) -> Self {
        let error = format!(
            r#"{{"error":{{"message":"{message}","type":"vendor_type","param":null,"code":"vendor_code"}}}}"#
        );
        Self::json(status, error)
    }

    /// The head of an event stream and these pieces, each in a chunk of its own. How it goes on or ends is said next.
    pub fn stream<T: Into<Bytes>>(pieces: impl IntoIterator<Item = T>) -> Self {
        Self::chunked(200, "text/event-stream", pieces)
    }

    /// The same for any content type.
    pub fn chunked<T: Into<Bytes>>(
        status: u16,
        content_type: &str,
        pieces: impl IntoIterator<Item = T>,
    ) -> Self {
        let headers = vec![
            ("content-type".into(), content_type.into()),
            ("transfer-encoding".into(), "chunked".into()),
        ];
        Self::new(Some(Head { status, headers }), Vec::new()).pieces(pieces)
    }

    /// Bytes as they are, head and framing included.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::new(None, vec![Step::Write(bytes.into())])
    }

    /// Takes the request and breaks off.
    pub fn reset_before_head() -> Self {
        Self::new(None, vec![Step::Reset])
    }

    /// Takes the request and says nothing, until the other side leaves.
    pub fn hang() -> Self {
        Self::new(None, vec![Step::Stall])
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head
            .as_mut()
            .expect("a raw reply has its headers in it")
            .headers
            .push((name.into(), value.into()));
        self
    }

    /// Answers without reading the request's body. The connection has to end afterwards.
    pub fn before_body(mut self) -> Self {
        self.reads_body = false;
        self
    }

    /// One more piece of a stream, in a chunk of its own.
    pub fn piece(self, piece: impl Into<Bytes>) -> Self {
        self.pieces([piece.into()])
    }

    pub fn pieces<T: Into<Bytes>>(mut self, pieces: impl IntoIterator<Item = T>) -> Self {
        self.steps.extend(pieces.into_iter().map(|it| Step::Write(chunk(&it.into()))));
        self
    }

    /// Bytes without a chunk's frame around them.
    pub fn unframed(mut self, bytes: impl Into<Bytes>) -> Self {
        self.steps.push(Step::Write(bytes.into()));
        self
    }

    /// Waits here for the test.
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.steps.push(Step::Gate(gate.clone()));
        self
    }

    /// The gate stands before the head.
    pub fn gate_first(mut self, gate: &Gate) -> Self {
        self.steps.insert(0, Step::Gate(gate.clone()));
        if let Some(head) = self.head.take() {
            self.steps.insert(1, Step::Write(head.bytes()));
        }
        self
    }

    /// Pushes `piece` again and again, in chunks, until at least `bytes` are out.
    pub fn flood(mut self, piece: &str, bytes: usize) -> Self {
        self.steps.push(Step::Flood { piece: chunk(piece.as_bytes()), bytes });
        self
    }

    /// Sends `piece` so often, with a pause before each.
    pub fn every(mut self, pause: Duration, times: usize, piece: &str) -> Self {
        self.steps.push(Step::Every { piece: chunk(piece.as_bytes()), pause, times });
        self
    }

    /// `[DONE]` and the end of the body.
    pub fn done(self) -> Self {
        self.piece(DONE).end()
    }

    /// The end of a chunked body.
    pub fn end(self) -> Self {
        self.unframed(&b"0\r\n\r\n"[..])
    }

    /// Closes the connection in the middle of the body.
    pub fn then_cut(mut self) -> Self {
        self.steps.push(Step::Close);
        self
    }

    pub fn then_reset(mut self) -> Self {
        self.steps.push(Step::Reset);
        self
    }

    /// Falls silent until the other side leaves.
    pub fn then_stall(mut self) -> Self {
        self.steps.push(Step::Stall);
        self
    }

    /// Only this many bytes of the announced body, then the end of the connection.
    pub fn cut_at(mut self, length: usize) -> Self {
        if let Some(Step::Write(body)) = self.steps.last_mut() {
            body.truncate(length);
        }
        self.then_cut()
    }

    pub(super) fn all_steps(mut self) -> Vec<Step> {
        if let Some(head) = self.head.take() {
            self.steps.insert(0, Step::Write(head.bytes()));
        }
        self.steps
    }
}

impl Head {
    fn bytes(&self) -> Bytes {
        let mut text = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into()
    }
}

fn chunk(piece: &[u8]) -> Bytes {
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat().into()
}

pub const DONE: &str = "data: [DONE]\n\n";

/// A chat completion that says `text`.
pub fn completion(text: &str) -> String {
    format!(
        r#"{{"id":"c-1","object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}}}"#
    )
}

/// The event with which vendors open a stream: a role, and no content yet.
pub fn role() -> String {
    event(
        r#"{"id":"s-1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    )
}

/// An event with content.
pub fn delta(text: &str) -> String {
    event(&format!(
        r#"{{"id":"s-1","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}"#
    ))
}

/// The event that says that the answer is complete.
pub fn finish() -> String {
    event(r#"{"id":"s-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#)
}

/// The event that `include_usage` asks for.
pub fn usage(input: u64, output: u64) -> String {
    event(&format!(
        r#"{{"id":"s-1","choices":[],"usage":{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{}}}}}"#,
        input + output
    ))
}

/// One event that carries `data`.
pub fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}
