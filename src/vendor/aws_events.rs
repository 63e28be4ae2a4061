//! Cuts a stream of `application/vnd.amazon.eventstream` into its events (Smithy 2.0, "Amazon Event Stream"), and writes
//! such events for those who play the vendor. What an event means is its dialect's business.

use aws_smithy_eventstream::frame::{read_message_from, write_message_to};
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::{Bytes, BytesMut};

/// What a message has besides headers and payload, in bytes: two lengths and two checksums.
const FRAME_BYTES: usize = 16;

/// Content type of such streams.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// What an exception's name ends in; an error that is none gets it too, so that readers know both by it.
const EXCEPTION: &str = "Exception";

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsEvent {
    /// Its `:event-type`; of an exception the `:exception-type`, of an error the `:error-code`, both ending in
    /// `Exception`.
    pub name: String,
    /// JSON, mostly.
    pub payload: Bytes,
}

/// Nothing can be read behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A message is longer than the bound.
    TooLong,
    /// Lengths, headers or a checksum do not fit what came.
    Corrupt,
}

/// Finds whole events in frames.
pub struct Splitter {
    /// What came and was not taken: at most one frame and the beginning of a message, which `event_bytes_max` bounds.
    buffered: BytesMut,
    event_bytes_max: usize,
    broken: Option<Broken>,
}

impl Splitter {
    pub fn new(event_bytes_max: usize) -> Self {
        Self { buffered: BytesMut::new(), event_bytes_max, broken: None }
    }

    /// Takes the next frame. The events of the one before must have been taken.
    pub fn push(&mut self, frame: Bytes) {
        match self.buffered.is_empty() {
            true => self.buffered = frame.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..])),
            false => self.buffered.extend_from_slice(&frame),
        }
    }

    /// The next whole event; None until more has come.
    #[expect(clippy::should_implement_trait, reason = "an iterator's end is final, this one's is not")]
    pub fn next(&mut self) -> Result<Option<AwsEvent>, Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        self.read().inspect_err(|it| self.broken = Some(*it))
    }

    /// Whether a message has begun and not ended: a stream that stops here was cut.
    pub fn is_inside(&self) -> bool {
        !self.buffered.is_empty()
    }

    fn read(&mut self) -> Result<Option<AwsEvent>, Broken> {
        let Some(length) = self.buffered.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        match length {
            ..FRAME_BYTES => return Err(Broken::Corrupt),
            _ if length > self.event_bytes_max => return Err(Broken::TooLong),
            _ if length > self.buffered.len() => return Ok(None),
            _ => (),
        }
        let message =
            read_message_from(self.buffered.split_to(length).freeze()).map_err(|_| Broken::Corrupt)?;
        event(&message).map(Some)
    }
}

fn event(message: &Message) -> Result<AwsEvent, Broken> {
    let header = |name: &str| {
        let found = message.headers().iter().find(|it| it.name().as_str() == name)?;
        found.value().as_string().ok().map(|it| it.as_str())
    };
    let named = |name: &str| header(name).ok_or(Broken::Corrupt);
    let payload = message.payload().clone();
    match header(":message-type").unwrap_or("event") {
        "exception" => Ok(AwsEvent { name: as_exception(named(":exception-type")?), payload }),
        "error" => {
            let said = serde_json::json!({ "message": header(":error-message") });
            Ok(AwsEvent { name: as_exception(named(":error-code")?), payload: said.to_string().into() })
        }
        _ => Ok(AwsEvent { name: named(":event-type")?.to_owned(), payload }),
    }
}

fn as_exception(name: &str) -> String {
    if name.ends_with(EXCEPTION) { name.to_owned() } else { format!("{name}{EXCEPTION}") }
}

/// An event as a vendor sends it: one whose name ends in `Exception` as an exception.
pub fn write(name: &str, payload: impl Into<Bytes>) -> Bytes {
    let (kind, named) = match name.ends_with(EXCEPTION) {
        true => ("exception", ":exception-type"),
        false => ("event", ":event-type"),
    };
    let header =
        |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
    let message = Message::new(payload)
        .add_header(header(named, name))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", kind));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).expect("names of events are short");
    bytes.into()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;

    use super::*;

    /// All events in these frames, and whether the stream was cut.
    fn split(frames: &[&[u8]], event_bytes_max: usize) -> Result<(Vec<AwsEvent>, bool), Broken> {
        let mut splitter = Splitter::new(event_bytes_max);
        let mut events = Vec::new();
        for frame in frames {
            splitter.push(Bytes::copy_from_slice(frame));
            while let Some(event) = splitter.next()? {
                events.push(event);
            }
        }
        Ok((events, splitter.is_inside()))
    }

    fn one(bytes: &[u8]) -> Result<AwsEvent, Broken> {
        split(&[bytes], 1 << 20).map(|(mut events, _)| events.remove(0))
    }

    /// As its bytes came from AWS.
    const EXCEPTION_SENT: &str = "AAAA3QAAAGfHkZB6DTptZXNzYWdlLXR5cGUHAAlleGNlcHRpb24POmV4Y2VwdGlvbi10eXBlBwAZbW9kZWxTdHJl\
        YW1FcnJvckV4Y2VwdGlvbg06Y29udGVudC10eXBlBwAQYXBwbGljYXRpb24vanNvbnsibWVzc2FnZSI6Ik1vZGVsIFN0cmVhbSBFcnJvciIsIm9y\
        aWdpbmFsU3RhdHVzQ29kZSI6NTAwLCJvcmlnaW5hbE1lc3NhZ2UiOiJUaGUgbW9kZWwgc3RyZWFtIGZhaWxlZC4ifVczQxM=";

    #[test]
    fn what_aws_sends_is_read() {
        let event = one(&BASE64_STANDARD.decode(EXCEPTION_SENT).unwrap()).unwrap();
        assert_eq!(event.name, "modelStreamErrorException");
        assert!(event.payload.starts_with(br#"{"message":"Model Stream Error""#));
    }

    #[test]
    fn events_exceptions_and_errors_are_known_by_their_names() {
        let written = one(&write("metadata", r#"{"usage":{}}"#)).unwrap();
        assert_eq!((written.name.as_str(), &written.payload[..]), ("metadata", &br#"{"usage":{}}"#[..]));
        assert_eq!(one(&write("throttlingException", "{}")).unwrap().name, "throttlingException");
        let header =
            |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
        let error = Message::new("")
            .add_header(header(":message-type", "error"))
            .add_header(header(":error-code", "InternalFailure"))
            .add_header(header(":error-message", "Broke \"down\"."));
        let mut bytes = Vec::new();
        write_message_to(&error, &mut bytes).unwrap();
        let event = one(&bytes).unwrap();
        assert_eq!(event.name, "InternalFailureException");
        assert_eq!(&event.payload[..], br#"{"message":"Broke \"down\"."}"#);
    }

    #[test]
    fn a_stream_that_is_broken_stays_so() {
        let good = write("metadata", "{}");
        let mut splitter = Splitter::new(1 << 10);
        let mut bad = good.to_vec();
        let last = bad.len() - 1;
        bad[last] ^= 1;
        splitter.push([&bad[..], &good[..]].concat().into());
        assert_eq!(splitter.next(), Err(Broken::Corrupt));
        assert_eq!(splitter.next(), Err(Broken::Corrupt));
        assert_eq!(split(&[&good], good.len() - 1), Err(Broken::TooLong));
        assert_eq!(split(&[&[0, 0, 0, 15]], 1 << 10), Err(Broken::Corrupt));
        let (events, cut) = split(&[&good, &good[..20]], 1 << 10).unwrap();
        assert_eq!((events.len(), cut), (1, true));
    }

    fn frames<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut places: Vec<usize> = cuts.iter().map(|it| it.index(stream.len() + 1)).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        places.windows(2).map(|it| &stream[it[0]..it[1]]).collect()
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(
            events in prop::collection::vec(("[a-zA-Z]{1,20}(Exception)?", "[ -~é]{0,40}"), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let stream: Vec<u8> = events.iter().flat_map(|(name, payload)| write(name, payload.clone())).collect();
            let (read, cut) = split(&frames(&stream, &cuts), 1 << 20).unwrap();
            let sent: Vec<AwsEvent> =
                events.into_iter().map(|(name, payload)| AwsEvent { name, payload: payload.into() }).collect();
            prop_assert_eq!(read, sent);
            prop_assert!(!cut);
        }

        #[test]
        fn no_bytes_make_it_panic(
            mut stream in prop::collection::vec(any::<u8>(), 0..200),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let _ = split(&[&stream], 1 << 10);
            stream.splice(0..0, write("contentBlockDelta", r#"{"delta":{"text":"a"}}"#));
            for (place, value) in flips {
                let place = place.index(stream.len());
                stream[place] = value;
            }
            let _ = split(&[&stream], 1 << 10);
        }

        /// Headers that lie, under checksums that do not.
        #[test]
        fn no_headers_make_it_panic(headers in prop::collection::vec(any::<u8>(), 0..60), says in 0_u32..80) {
            let mut bytes = Vec::new();
            bytes.extend_from_slice(&(headers.len() as u32 + 16).to_be_bytes());
            bytes.extend_from_slice(&says.to_be_bytes());
            bytes.extend_from_slice(&crc32(&bytes).to_be_bytes());
            bytes.extend_from_slice(&headers);
            bytes.extend_from_slice(&crc32(&bytes).to_be_bytes());
            let _ = split(&[&bytes], 1 << 10);
        }
    }

    /// IEEE's, bit by bit.
    fn crc32(bytes: &[u8]) -> u32 {
        let each = |crc: u32, byte: &u8| {
            (0..8)
                .fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
        };
        !bytes.iter().fold(!0, each)
    }
}
