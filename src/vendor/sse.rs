//! Cuts a byte stream into server-sent events without changing a byte (WHATWG HTML, section 9.2 "Server-sent events").
//! Knows lines and fields; what an event means is the vendor's business. Called by all who read events,
//! in `upstream` and in `edge`.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};

/// An event grew beyond the bound before its blank line came.
#[derive(Debug, PartialEq)]
pub struct EventTooLong;

/// Finds whole events in frames. Events that were seen leave as one slice of the frame they came in;
/// only an event that spans frames is put together.
pub struct Splitter {
    frame: Bytes,
    /// The beginning of an event whose end has not come; bounded by `event_bytes_max`. In use while not empty.
    carry: BytesMut,
    /// End of the events that were accepted and not yet taken.
    accepted: usize,
    /// End of the event that was last peeked at.
    peeked: usize,
    /// Where the search for the next event's end goes on, and where its current line began.
    at: usize,
    line_start: usize,
    /// The last event ended in a bare CR: a line feed that comes next belongs to it.
    skip_lf: bool,
    event_bytes_max: usize,
}

impl Splitter {
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            frame: Bytes::new(),
            carry: BytesMut::new(),
            accepted: 0,
            peeked: 0,
            at: 0,
            line_start: 0,
            skip_lf: false,
            event_bytes_max,
        }
    }

    /// Takes the next frame. What was accepted of the one before must have been taken.
    pub fn push(&mut self, frame: Bytes) {
        debug_assert_eq!(self.accepted, 0, "accepted events are taken before the next frame");
        self.keep_rest();
        match self.carry.is_empty() {
            true => self.frame = frame,
            false => self.carry.extend_from_slice(&frame),
        }
    }

    /// The next whole event behind the accepted ones, its blank line included.
    pub fn peek(&mut self) -> Result<Option<&[u8]>, EventTooLong> {
        let buffered: &[u8] = if self.carry.is_empty() { &self.frame } else { &self.carry };
        if self.skip_lf && self.at == self.accepted && self.at < buffered.len() {
            self.skip_lf = false;
            if buffered[self.at] == b'\n' {
                self.at += 1;
                self.line_start = self.at;
            }
        }
        match event_end(buffered, &mut self.at, &mut self.line_start) {
            Some(end) => {
                self.peeked = end;
                (self.at, self.line_start) = (end, end);
                Ok(Some(&buffered[self.accepted..end]))
            }
            None if buffered.len() - self.accepted > self.event_bytes_max => Err(EventTooLong),
            None => Ok(None),
        }
    }

    /// The peeked event goes out with those before it.
    pub fn accept(&mut self) {
        self.skip_lf = self.ends_in_cr();
        self.accepted = self.peeked;
    }

    /// Accepts the peeked event; or, where it is to be `left_out`, drops it and returns those before it.
    pub fn take_before(&mut self, left_out: bool) -> Option<Bytes> {
        if !left_out {
            self.accept();
            return None;
        }
        let before = self.take();
        self.skip_lf = self.ends_in_cr();
        self.split(self.peeked);
        before
    }

    /// The accepted events, in one piece.
    pub fn take(&mut self) -> Option<Bytes> {
        let count = std::mem::take(&mut self.accepted);
        (count > 0).then(|| self.split(count))
    }

    /// What is left when the stream ends without a last blank line.
    pub fn rest(&mut self) -> Bytes {
        self.keep_rest();
        self.carry.split().freeze()
    }

    fn ends_in_cr(&self) -> bool {
        let buffered: &[u8] = if self.carry.is_empty() { &self.frame } else { &self.carry };
        buffered.get(self.peeked.wrapping_sub(1)) == Some(&b'\r')
    }

    fn split(&mut self, count: usize) -> Bytes {
        self.at -= count;
        self.line_start -= count;
        self.peeked -= count;
        match self.carry.is_empty() {
            true => self.frame.split_to(count),
            false => self.carry.split_to(count).freeze(),
        }
    }

    fn keep_rest(&mut self) {
        if self.frame.has_remaining() {
            let frame = std::mem::take(&mut self.frame);
            self.carry = frame.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        }
    }
}

/// The index behind the blank line that ends the first event, looking on from `at`.
/// A CR at the very end may be half of a CRLF: it ends an event at once, but a line only when more has come.
fn event_end(bytes: &[u8], at: &mut usize, line_start: &mut usize) -> Option<usize> {
    while let Some(found) = memchr::memchr2(b'\n', b'\r', bytes.get(*at..)?) {
        let i = *at + found;
        let width = match (bytes[i], bytes.get(i + 1)) {
            (b'\n', _) => 1,
            (_, Some(b'\n')) => 2,
            (_, Some(_)) => 1,
            (_, None) if i == *line_start => 1,
            (_, None) => {
                *at = i;
                return None;
            }
        };
        if i == *line_start {
            return Some(i + width);
        }
        *at = i + width;
        *line_start = *at;
    }
    *at = bytes.len();
    None
}

/// The event's data: its `data` fields joined by line feeds; `None` for comments and other fields alone.
pub fn data(event: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut joined: Option<Cow<[u8]>> = None;
    for line in lines(event) {
        let Some(value) = data_of(line) else { continue };
        joined = Some(match joined {
            None => Cow::Borrowed(value),
            Some(before) => {
                let mut text = before.into_owned();
                text.push(b'\n');
                text.extend_from_slice(value);
                Cow::Owned(text)
            }
        });
    }
    joined
}

/// The event's name: its last `event` field; empty where it has none, or one that is no text.
pub fn name(event: &[u8]) -> &str {
    let names = lines(event).filter_map(|it| it.strip_prefix(b"event:"));
    let name = names.last().map(|it| it.strip_prefix(b" ").unwrap_or(it)).unwrap_or_default();
    str::from_utf8(name).unwrap_or_default()
}

fn data_of(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"data")?;
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// Lines without their ends; a byte order mark may open the stream.
fn lines(event: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = event.strip_prefix(b"\xef\xbb\xbf").unwrap_or(event);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        let crlf = rest[end..].starts_with(b"\r\n");
        rest = rest.get(end + 1 + usize::from(crlf)..).unwrap_or_default();
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(frames: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut splitter = Splitter::new(1 << 20);
        let (mut events, mut taken) = (Vec::new(), Vec::new());
        for frame in frames {
            splitter.push(Bytes::copy_from_slice(frame));
            while let Some(event) = splitter.peek().unwrap() {
                let event = event.to_vec();
                match events.len() % 3 {
                    0 => splitter.accept(),
                    _ => {
                        taken.extend(splitter.take_before(true));
                        taken.push(Bytes::from(event.clone()));
                    }
                }
                events.push(event);
            }
            taken.extend(splitter.take());
        }
        assert_eq!(taken.concat(), events.concat(), "what leaves is what was seen");
        (events, splitter.rest().to_vec())
    }

    fn datas(stream: &[u8]) -> Vec<Option<String>> {
        let (events, _) = split(&[stream]);
        events.iter().map(|it| data(it).map(|text| String::from_utf8(text.into_owned()).unwrap())).collect()
    }

    fn check(stream: &str, expected: &[Option<&str>]) {
        let expected: Vec<_> = expected.iter().map(|it| it.map(str::to_owned)).collect();
        assert_eq!(datas(stream.as_bytes()), expected, "{stream:?}");
    }

    #[test]
    fn the_whole_grammar_is_read() {
        check("data: a\n\ndata:b\n\n", &[Some("a"), Some("b")]);
        check("data: a\r\n\r\ndata: b\r\n\r\n", &[Some("a"), Some("b")]);
        check("data: a\r\rdata: b\r\r", &[Some("a"), Some("b")]);
        check("data: a\n\r\ndata: b\r\n\n", &[Some("a"), Some("b")]);
        check(": comment\n\n", &[None]);
        check("event: x\nid: 1\ndata: a\ndata: b\n\n", &[Some("a\nb")]);
        check("data\ndatab: no\ndata:  two spaces\n\n", &[Some("\n two spaces")]);
        check("\u{feff}data: bom\n\n", &[Some("bom")]);
        check("data: never ends\n", &[]);
    }

    #[test]
    fn an_events_name_is_read() {
        let check = |event: &str, expected: &str| assert_eq!(name(event.as_bytes()), expected, "{event:?}");
        check("event: message_stop\ndata: {}\n\n", "message_stop");
        check("event:x\r\n\r\n", "x");
        check("data: event: y\n\n", "");
        check("event: a\nevent: b\n\n", "b");
    }

    #[test]
    fn an_event_beyond_the_bound_is_refused() {
        let mut splitter = Splitter::new(8);
        splitter.push(Bytes::from_static(b"data: 123456789"));
        assert_eq!(splitter.peek(), Err(EventTooLong));
    }

    #[test]
    fn a_bare_cr_ends_an_event_at_once_and_its_line_feed_is_not_lost() {
        let (events, rest) = split(&[b"data: a\r\n\r", b"\ndata: b\r\n\r", b"\n"]);
        assert_eq!(events, [b"data: a\r\n\r".to_vec(), b"\ndata: b\r\n\r".to_vec()]);
        assert_eq!(rest, b"\n");
        assert_eq!(data(&events[1]).unwrap().as_ref(), b"b");
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events_and_bytes(
            parts in prop::collection::vec("(data: [a-zé\u{1f600}]{0,6}|: c|event: e|data)(\n|\r\n|\r)(\n|\r\n|\r)?", 1..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let stream = parts.concat().into_bytes();
            let mut places: Vec<usize> = cuts.iter().map(|it| it.index(stream.len() + 1)).collect();
            places.extend([0, stream.len()]);
            places.sort_unstable();
            let frames: Vec<&[u8]> = places.windows(2).map(|it| &stream[it[0]..it[1]]).collect();
            let (events, rest) = split(&frames);
            prop_assert_eq!([events.concat(), rest].concat(), stream.clone());
            let whole: Vec<_> = datas(&stream).into_iter().flatten().collect();
            let pieces: Vec<_> = events
                .iter()
                .filter_map(|it| data(it))
                .map(|it| String::from_utf8(it.into_owned()).unwrap())
                .collect();
            prop_assert_eq!(pieces, whole);
        }
    }
}
