//! Reads one HTTP/1.1 message from pieces of any size. Used by the load generator and by the vendor in place of an HTTP
//! library, because what these two cost decides whether one core can keep a gateway busy on another.
//!
//! Knows only what appears in this benchmark: `content-length` and chunked bodies, no pipelining, no interim answers.

use std::io;

/// Bytes at the start of a body that are kept for the vendor, which finds its orders there.
const OPENING_BYTES_MAX: usize = 512;

/// A head larger than this is a fault of the contestant.
const HEAD_BYTES_MAX: usize = 16 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Request,
    Response,
}

enum Stage {
    Head,
    Fixed { left: usize },
    ChunkSize,
    Chunk { left: usize },
    ChunkEnd,
    Trailer,
    Done,
}

/// What is worth knowing about a message that has been read.
#[derive(Default)]
pub struct Summary {
    /// Status of a response; 0 for a request.
    pub status: u16,
    /// Whether a request is a POST.
    pub is_post: bool,
    /// Empty lines in a response body: the number of its SSE events.
    pub events: usize,
    /// What a request asks for.
    pub path: String,
    /// The first bytes of the body.
    pub opening: Vec<u8>,
}

pub struct Intake {
    side: Side,
    stage: Stage,
    summary: Summary,
    /// The head, then each framing line of a chunked body: never both at once.
    line: Vec<u8>,
    ended_in_newline: bool,
}

impl Intake {
    pub fn new(side: Side) -> Self {
        Self {
            side,
            stage: Stage::Head,
            summary: Summary::default(),
            line: Vec::new(),
            ended_in_newline: false,
        }
    }

    /// Forgets the last message, keeps its buffers.
    pub fn begin(&mut self) {
        let mut opening = std::mem::take(&mut self.summary.opening);
        opening.clear();
        self.summary = Summary { opening, ..Summary::default() };
        self.stage = Stage::Head;
        self.line.clear();
        self.ended_in_newline = false;
    }

    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Takes the next bytes; true once the message is complete.
    pub fn push(&mut self, mut bytes: &[u8]) -> io::Result<bool> {
        while !bytes.is_empty() {
            let used = self.step(bytes)?;
            bytes = &bytes[used..];
        }
        Ok(matches!(self.stage, Stage::Done))
    }

    fn step(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stage {
            Stage::Head => self.take_head(bytes),
            Stage::Fixed { left } => {
                let used = self.take_body(bytes, left);
                self.stage = if used == left { Stage::Done } else { Stage::Fixed { left: left - used } };
                Ok(used)
            }
            Stage::Chunk { left } => {
                let used = self.take_body(bytes, left);
                self.stage = if used == left { Stage::ChunkEnd } else { Stage::Chunk { left: left - used } };
                Ok(used)
            }
            Stage::ChunkSize | Stage::ChunkEnd | Stage::Trailer => self.take_line(bytes),
            Stage::Done => Err(fault("bytes after the end of a message")),
        }
    }

    fn take_head(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = self.line.len();
        self.line.extend_from_slice(&bytes[..bytes.len().min(HEAD_BYTES_MAX)]);
        let Some(end) = memchr::memmem::find(&self.line, b"\r\n\r\n").map(|at| at + 4) else {
            if self.line.len() > HEAD_BYTES_MAX {
                return Err(fault("a head without an end"));
            }
            return Ok(self.line.len() - before);
        };
        self.line.truncate(end);
        self.stage = self.read_head()?;
        self.line.clear();
        Ok(end - before)
    }

    fn read_head(&mut self) -> io::Result<Stage> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let broken = |error: httparse::Error| fault(&format!("an unreadable head: {error}"));
        let headers = match self.side {
            Side::Request => {
                let mut head = httparse::Request::new(&mut headers);
                head.parse(&self.line).map_err(broken)?;
                self.summary.is_post = head.method == Some("POST");
                head.path.unwrap_or_default().clone_into(&mut self.summary.path);
                head.headers
            }
            Side::Response => {
                let mut head = httparse::Response::new(&mut headers);
                head.parse(&self.line).map_err(broken)?;
                self.summary.status = head.code.unwrap_or(0);
                head.headers
            }
        };
        framing(self.side, headers)
    }

    fn take_body(&mut self, bytes: &[u8], left: usize) -> usize {
        let part = &bytes[..bytes.len().min(left)];
        let room = OPENING_BYTES_MAX - self.summary.opening.len();
        self.summary.opening.extend_from_slice(&part[..part.len().min(room)]);
        if self.side == Side::Response {
            self.count_events(part);
        }
        part.len()
    }

    fn count_events(&mut self, part: &[u8]) {
        for at in memchr::memchr_iter(b'\n', part) {
            let follows_newline = if at == 0 { self.ended_in_newline } else { part[at - 1] == b'\n' };
            self.summary.events += usize::from(follows_newline);
        }
        self.ended_in_newline = part.last() == Some(&b'\n');
    }

    fn take_line(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.line.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        self.line.extend_from_slice(&bytes[..end]);
        let text = str::from_utf8(&self.line).map_err(|_| fault("a chunk line that is no text"))?.trim_end();
        self.stage = match self.stage {
            Stage::ChunkSize => {
                let digits = text.split(';').next().unwrap_or(text).trim();
                match usize::from_str_radix(digits, 16).map_err(|_| fault("an unreadable chunk size"))? {
                    0 => Stage::Trailer,
                    left => Stage::Chunk { left },
                }
            }
            Stage::Trailer if text.is_empty() => Stage::Done,
            Stage::Trailer => Stage::Trailer,
            _ => Stage::ChunkSize,
        };
        self.line.clear();
        Ok(end + 1)
    }
}

fn framing(side: Side, headers: &[httparse::Header<'_>]) -> io::Result<Stage> {
    let value = |name: &str| headers.iter().find(|it| it.name.eq_ignore_ascii_case(name)).map(|it| it.value);
    if value("transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case(b"chunked")) {
        return Ok(Stage::ChunkSize);
    }
    match (value("content-length"), side) {
        (Some(digits), _) => {
            let length = str::from_utf8(digits).ok().and_then(|it| it.trim().parse().ok());
            match length.ok_or_else(|| fault("an unreadable content-length"))? {
                0 => Ok(Stage::Done),
                left => Ok(Stage::Fixed { left }),
            }
        }
        (None, Side::Request) => Ok(Stage::Done),
        (None, Side::Response) => Err(fault("an answer without a length")),
    }
}

fn fault(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
