//! The vendor behind every contestant: answers chat calls with one fixed completion or a paced stream, on one thread,
//! with as little work as possible. Runs as a child process, so that its cost is nobody's.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::MissedTickBehavior;
use tollgate::dialect::Dialect;

use crate::child;
use crate::dialects;
use crate::wire::{Intake, Side, Summary};

const READ_BYTES: usize = 64 * 1024;

/// Headers that vendors send: some to be kept, some to be dropped by a careful gateway.
const HEADERS: &str = "date: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: vendor\r\nx-request-id: req_0123456789abcdef\r\n\
                       openai-processing-ms: 12\r\nx-ratelimit-remaining-requests: 9999\r\n";

/// Events that frame the content of a stream: role, finish reason and `[DONE]`. The usage event comes only when asked for.
pub const FRAMING_EVENTS: usize = 3;

const SENTENCE: &str = "All happy benchmarks are alike. ";

/// What the assistant says in a conversation.
pub fn brief_answer() -> String {
    SENTENCE.repeat(8)
}

/// Serves until the parent is gone.
pub fn serve() -> io::Result<()> {
    child::runtime()?.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        child::announce(listener.local_addr()?)?;
        let answers = Arc::new(Answers::new());
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            // a connection ends with its peer; there is nobody to tell
            tokio::spawn(converse(socket, Arc::clone(&answers)));
        }
    })
}

async fn converse(mut socket: TcpStream, answers: Arc<Answers>) -> io::Result<()> {
    let mut intake = Intake::new(Side::Request);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        intake.begin();
        loop {
            let read = socket.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            if intake.push(&buffer[..read])? {
                break;
            }
        }
        match Order::read(intake.summary()) {
            Order::Models => socket.write_all(&answers.models).await?,
            Order::Whole { is_brief } => {
                socket.write_all(if is_brief { &answers.brief } else { &answers.whole }).await?;
            }
            Order::Translated { dialect, stream: false } => {
                socket.write_all(&answers.of(dialect).whole).await?;
            }
            Order::Translated { dialect, stream: true } => answers.tell(&mut socket, dialect).await?,
            Order::Stream { events, between, usage } => {
                answers.stream(&mut socket, events, between, usage).await?;
            }
        }
    }
}

/// What a request asks for.
enum Order {
    Models,
    Whole {
        is_brief: bool,
    },
    Stream {
        events: usize,
        between: Duration,
        usage: bool,
    },
    /// In the measurement of translations.
    Translated {
        dialect: Dialect,
        stream: bool,
    },
}

impl Order {
    fn read(request: &Summary) -> Self {
        let text = request.opening.as_slice();
        if !request.is_post {
            return Self::Models;
        }
        let names =
            |model: &str| request.path.contains(model) || memmem::find(text, model.as_bytes()).is_some();
        for (model, stream) in [(dialects::WHOLE, false), (dialects::STREAM, true)] {
            if names(model) {
                return Self::Translated { dialect: dialects::of_path(&request.path), stream };
            }
        }
        if memmem::find(text, br#""stream":true"#).is_none() {
            return Self::Whole { is_brief: memmem::find(text, br#""bench_brief":true"#).is_some() };
        }
        Self::Stream {
            events: number_after(text, br#""bench_events":"#),
            between: Duration::from_micros(number_after(text, br#""bench_between_us":"#) as u64),
            usage: memmem::find(text, br#""include_usage":true"#).is_some(),
        }
    }
}

fn number_after(text: &[u8], name: &[u8]) -> usize {
    let start = memmem::find(text, name).map_or(text.len(), |at| at + name.len());
    let digits = text[start..].iter().take_while(|it| it.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

/// Every answer, ready to be written.
struct Answers {
    models: Vec<u8>,
    whole: Vec<u8>,
    brief: Vec<u8>,
    stream_head: Vec<u8>,
    role: Vec<u8>,
    content: Vec<u8>,
    finish: Vec<u8>,
    usage: Vec<u8>,
    done: Vec<u8>,
    /// In the order of [`dialects::UPSTREAMS`].
    in_dialects: Vec<Worded>,
}

/// Answers in one dialect: a whole one, and a streamed one's head and events.
struct Worded {
    whole: Vec<u8>,
    head: Vec<u8>,
    events: Vec<Vec<u8>>,
}

impl Worded {
    fn new(dialect: Dialect) -> Self {
        let events = dialects::stream(dialect).into_iter().map(|it| chunk(&it));
        Self {
            whole: json(&dialects::whole(dialect, &SENTENCE.repeat(20))),
            head: stream_head(dialects::stream_type(dialect)),
            events: events.chain([b"0\r\n\r\n".to_vec()]).collect(),
        }
    }
}

fn stream_head(media_type: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{HEADERS}content-type: {media_type}\r\ntransfer-encoding: chunked\r\n\r\n")
        .into_bytes()
}

impl Answers {
    fn new() -> Self {
        let usage = r#""usage":{"prompt_tokens":250,"completion_tokens":180,"total_tokens":430}"#;
        let whole = |text: &str| {
            format!(
                r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1767225600,"model":"gpt-bench","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],{usage},"service_tier":"default","system_fingerprint":"fp_bench"}}"#
            )
        };
        let none = r#""usage":null"#;
        let mut done = chunk(b"data: [DONE]\n\n");
        done.extend_from_slice(b"0\r\n\r\n");
        Self {
            models: json(
                br#"{"object":"list","data":[{"id":"gpt-bench","object":"model","owned_by":"bench"}]}"#,
            ),
            whole: json(whole(&SENTENCE.repeat(20)).as_bytes()),
            brief: json(whole(&brief_answer()).as_bytes()),
            stream_head: stream_head("text/event-stream; charset=utf-8"),
            role: event(&choice(r#"{"role":"assistant","content":""}"#, "null"), none),
            content: event(&choice(r#"{"content":" token"}"#, "null"), none),
            finish: event(&choice("{}", r#""stop""#), none),
            usage: event("", usage),
            done,
            in_dialects: dialects::UPSTREAMS.map(Worded::new).into(),
        }
    }

    fn of(&self, dialect: Dialect) -> &Worded {
        let place = dialects::UPSTREAMS.iter().position(|it| *it == dialect).unwrap_or_default();
        &self.in_dialects[place]
    }

    /// A stream in one of the dialects.
    async fn tell(&self, socket: &mut TcpStream, dialect: Dialect) -> io::Result<()> {
        let Worded { head, events, .. } = self.of(dialect);
        let mut tick = tokio::time::interval(dialects::BETWEEN);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        socket.write_all(head).await?;
        for event in events {
            tick.tick().await;
            socket.write_all(event).await?;
        }
        Ok(())
    }

    /// One write per event and a pause after it, so that each event reaches the gateway as a read of its own.
    async fn stream(
        &self,
        socket: &mut TcpStream,
        events: usize,
        between: Duration,
        usage: bool,
    ) -> io::Result<()> {
        let mut tick = tokio::time::interval(between.max(Duration::from_millis(1)));
        // a late event must not make the next one early: two in one read would cost the gateway less
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        socket.write_all(&self.stream_head).await?;
        let content = std::iter::repeat_n(&self.content, events);
        let ending = [Some(&self.finish), usage.then_some(&self.usage), Some(&self.done)];
        for event in std::iter::once(&self.role).chain(content).chain(ending.into_iter().flatten()) {
            tick.tick().await;
            socket.write_all(event).await?;
        }
        Ok(())
    }
}

fn json(body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\n{HEADERS}content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn choice(delta: &str, finish_reason: &str) -> String {
    format!(r#"{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish_reason}}}"#)
}

fn event(choices: &str, usage: &str) -> Vec<u8> {
    let event = format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\
         \"model\":\"gpt-bench\",\"choices\":[{choices}],{usage}}}\n\n"
    );
    chunk(event.as_bytes())
}

fn chunk(data: &[u8]) -> Vec<u8> {
    let size = format!("{:x}\r\n", data.len());
    [size.as_bytes(), data, b"\r\n"].concat()
}
