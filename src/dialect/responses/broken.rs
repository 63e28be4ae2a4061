//! A vendor's own stream that passes through, as far as its end needs it when it breaks off: then the gateway has the last
//! word, in the vendor's place. OpenAI tells an error and then the response that has it, numbered on.

use std::borrow::Cow;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::{Finder, FinderRev};

use super::making::{Making, code};
use crate::api::fields::Fields;
use crate::api::ink::Ink;
use crate::dialect::{ErrorSaid, Frame, sse};

static NUMBER: LazyLock<FinderRev<'static>> = LazyLock::new(|| FinderRev::new(b"\"sequence_number\":"));
static FAILED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"response.failed\""));
static CREATED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"response.created\""));

/// How often a stream's beginning is looked for, in what comes at once.
const LOOKS_MAX: u8 = 32;

/// Most bytes of a beginning that are kept: as much as an event of a vendor's may have by default. `response.created` repeats
/// the instructions and the tools of its request.
const BEGUN_BYTES_MAX: usize = 8 << 20;

/// What passed of a stream.
#[derive(Default)]
pub struct Passed {
    looks: u8,
    /// The pieces with `response.created`, or those of events that are not complete yet.
    begun: Vec<Bytes>,
    begun_bytes: usize,
    /// It came, or is looked for no more.
    has_begun: bool,
    last: Option<u64>,
}

impl Passed {
    /// Takes in the next piece. Events come whole, long ones in several pieces.
    pub fn note(&mut self, data: &Bytes) {
        self.last = number(data).or(self.last);
        if !self.has_begun {
            self.gather(data);
        }
    }

    fn gather(&mut self, data: &Bytes) {
        self.begun_bytes += data.len();
        self.begun.push(data.clone());
        let is_too_long = self.begun_bytes > BEGUN_BYTES_MAX;
        if !is_too_long && !self.ends_event() {
            return;
        }
        self.looks += 1;
        let came = !is_too_long && CREATED.find(&self.begun()).is_some();
        self.has_begun = came || is_too_long || self.looks == LOOKS_MAX;
        if !came {
            (self.begun, self.begun_bytes) = (Vec::new(), 0);
        }
    }

    /// Whether the last line that came is blank.
    fn ends_event(&self) -> bool {
        let mut backwards = self.begun.iter().rev().flat_map(|it| it.iter().rev());
        let mut line_end = || backwards.next().filter(|it| matches!(it, b'\n' | b'\r'));
        match (line_end(), line_end()) {
            (Some(b'\n'), Some(b'\r')) => line_end().is_some(),
            (last, before) => last.is_some() && before.is_some(),
        }
    }

    fn begun(&self) -> Cow<'_, [u8]> {
        match self.begun.as_slice() {
            [only] => Cow::from(only.as_ref()),
            pieces => Cow::from(pieces.concat()),
        }
    }

    /// Ends the stream as failed.
    pub fn fail(&self, error: &ErrorSaid, out: &mut Vec<u8>) {
        let next = self.last.map_or(0, |it| it + 1);
        tell(out, "error", next, |it| {
            it.text_field("code", code(error));
            it.text_field("message", &error.message);
            it.text_or_null("param", error.param.as_deref());
        });
        if let Some(response) = response_of(&self.begun(), "response.created") {
            let failed = with_error(&response, error);
            tell(out, "response.failed", next + 1, |it| _ = it.raw_field("response", &failed));
        }
    }
}

/// The end of a stream that the gateway itself told, as far as it was heard.
#[derive(Default)]
pub struct Ending {
    failed: Option<String>,
}

impl Ending {
    /// Takes in whole events as the client is sent them.
    pub fn hear(&mut self, data: &[u8]) {
        if FAILED.find(data).is_some() {
            self.failed = response_of(data, "response.failed").or(self.failed.take());
        }
    }

    /// The response that failed.
    pub fn failed(self) -> Option<String> {
        self.failed
    }

    /// Ends a stream of which nothing was told as failed.
    pub fn tell(frame: &Frame, error: &ErrorSaid, out: &mut Vec<u8>) {
        Making::new(frame, false).fail(error, out);
    }
}

/// A response that has just begun.
pub fn begun(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    Making::new(frame, true).write_response(&mut out, "in_progress", None);
    out
}

/// A response that failed before it said anything.
pub fn failed(frame: &Frame, error: &ErrorSaid) -> Vec<u8> {
    let mut out = Vec::new();
    Making::new(frame, true).write_response(&mut out, "failed", Some(error));
    out
}

fn tell(out: &mut Vec<u8>, kind: &str, number: u64, fill: impl FnOnce(&mut Vec<u8>)) {
    sse::event(out, kind, |it| {
        it.of_type(kind).number_field("sequence_number", number);
        fill(it);
        it.close(b'}');
    });
}

/// The number of the last event. Within strings no quote stands so.
fn number(data: &[u8]) -> Option<u64> {
    let value = data[NUMBER.rfind(data)? + NUMBER.needle().len()..].trim_ascii_start();
    let digits = value.iter().position(|it| !it.is_ascii_digit())?;
    str::from_utf8(&value[..digits]).ok()?.parse().ok()
}

/// The response of the event of this type among whole events.
fn response_of(piece: &[u8], kind: &str) -> Option<String> {
    let mut lines = piece.split(|it| *it == b'\n').filter_map(|it| it.strip_prefix(b"data:"));
    lines.find_map(|it| {
        let event = Fields::of_bytes(it).filter(|it| it.text("type").as_deref() == Some(kind))?;
        event.value("response").map(str::to_owned)
    })
}

fn with_error(response: &str, error: &ErrorSaid) -> String {
    let mut said = String::new();
    let object = said.open(b'{');
    object.text_field("code", code(error));
    object.text_field("message", &error.message);
    object.close(b'}');
    let with = |json: &str, name: &str, value: &str| {
        Fields::read(json).map_or_else(|| json.to_owned(), |it| it.with(name, Some(value)))
    };
    with(&with(response, "status", "\"failed\""), "error", &said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_broke_off_ends_as_failed() {
        let error = ErrorSaid { status: 502, message: "cut".into(), ..ErrorSaid::default() };
        let check = |pieces: &[&'static str], expected: &str| {
            let (mut passed, mut out) = (Passed::default(), Vec::new());
            pieces.iter().for_each(|it| passed.note(&Bytes::from_static(it.as_bytes())));
            passed.fail(&error, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        let told = |number: u64| {
            format!(
                "event: error\ndata: {{\"type\":\"error\",\"sequence_number\":{number},\"code\":\"server_error\",\"message\":\"cut\",\"param\":null}}\n\n"
            )
        };
        check(&[], &told(0));
        let created = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"status\":\"in_progress\",\"error\":null},\"sequence_number\":0}\n\n";
        let delta = "data: {\"type\":\"response.output_text.delta\",\"sequence_number\": 41,\"delta\":\"\\\"sequence_number\\\":7\"}\n\n";
        let failed = "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":43,\"response\":{\"id\":\"r\",\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"cut\"}}}\n\n";
        check(&[created, delta], &(told(42) + failed));
        check(&[delta, ": ping\n\n"], &told(42));
        // Long ones come in pieces; some vendors name the type last.
        let last = "data: {\"response\":{\"id\":\"r\",\"status\":\"in_progress\",\"error\":null},\"sequence_number\":0,\"type\":\"response.created\"}\r\n\r\n";
        for event in [created, last] {
            for at in 1..event.len() {
                check(&[": ping\n\n", &event[..at], &event[at..], delta], &(told(42) + failed));
            }
        }
    }

    #[test]
    fn a_beginning_is_kept_within_bounds() {
        let piece = Bytes::from(vec![b'x'; 64 << 10]);
        let mut passed = Passed::default();
        for _ in 0..=BEGUN_BYTES_MAX / piece.len() {
            passed.note(&piece);
            assert!(passed.begun_bytes <= BEGUN_BYTES_MAX);
        }
        assert!(passed.has_begun && passed.begun.is_empty());
        let mut passed = Passed::default();
        (0..LOOKS_MAX).for_each(|_| passed.note(&Bytes::from_static(b"data: {}\n\n")));
        assert!(passed.has_begun && passed.begun.is_empty());
    }
}
