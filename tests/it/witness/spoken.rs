//! What a vendor said, put together from a whole answer or from the events of a stream.

use bytes::Bytes;
use tollgate::dialect::Dialect;
use tollgate::dialect::answer::{Answer, Reason};
use tollgate::dialect::event::{Event, Told};
use tollgate::dialect::prompt::Part;
use tollgate::vendor::sse::{Splitter, data};

use super::vendor;

const EVENT_BYTES_MAX: usize = 1 << 20;
/// Of an event stream's message: before the headers, and behind the payload.
const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;

#[derive(Debug, Default, PartialEq)]
pub struct Said {
    pub text: String,
    pub thought: String,
    /// Names and arguments.
    pub calls: Vec<(String, String)>,
    pub seals: Vec<String>,
    pub reason: Option<Reason>,
}

impl Said {
    pub fn of(answer: &Answer) -> Self {
        let mut said = Self::default();
        for part in answer.choices.iter().flat_map(|it| &it.parts) {
            match part {
                Part::Text { text, .. } | Part::Refusal(text) => said.text += text,
                Part::Thought(thought) => {
                    said.thought += &thought.text;
                    said.seals.extend(thought.seal.iter().map(|it| it.data.clone()));
                }
                Part::Call(call) => said.calls.push((call.name.clone(), call.arguments.clone())),
                _ => {}
            }
        }
        said.reason = answer.choices.first().and_then(|it| it.finish.as_ref()).map(|it| it.reason);
        said
    }

    fn told(told: Vec<Told>) -> Self {
        let mut said = Self::default();
        for it in told {
            match it.event {
                Event::Text(text) | Event::Refusal(text) => said.text += &text,
                Event::Thought { text, .. } => said.thought += &text,
                Event::Seal(seal) => said.seals.push(seal.data),
                Event::CallBegins { name, .. } => said.calls.push((name, String::new())),
                Event::CallGoesOn { call, arguments } => said.calls[call as usize].1 += &arguments,
                Event::Finish(finish) => said.reason = Some(finish.reason),
                Event::Failed(error) => panic!("{error:?}"),
                _ => {}
            }
        }
        said
    }
}

/// What a stream says, which must come to its end.
pub fn streamed(dialect: Dialect, bytes: &Bytes) -> Said {
    let events = if dialect == Dialect::Converse { frames(bytes) } else { events(bytes) };
    let mut decoder = vendor(dialect).decoder();
    let mut told = Vec::new();
    for (name, data) in &events {
        let read = decoder.read(name, data, &mut told);
        read.unwrap_or_else(|it| panic!("{}: {it:?} in {}", dialect.as_str(), String::from_utf8_lossy(data)));
    }
    decoder.end(&mut told);
    let ends = told.iter().filter(|it| it.event == Event::End).count();
    assert_eq!(ends, 1, "{}: ends once", dialect.as_str());
    Said::told(told)
}

fn events(bytes: &Bytes) -> Vec<(String, Vec<u8>)> {
    let mut splitter = Splitter::new(EVENT_BYTES_MAX);
    splitter.push(bytes.clone());
    let mut events = Vec::new();
    while let Ok(Some(event)) = splitter.peek() {
        let text = String::from_utf8_lossy(event);
        let name = text.lines().find_map(|it| it.strip_prefix("event: ")).unwrap_or_default();
        events.extend(data(event).map(|it| (name.to_owned(), it.into_owned())));
        splitter.accept();
    }
    events
}

/// Names and payloads of Amazon's framed events; the name is their first header.
fn frames(mut bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (total, head) = (word(bytes, 0), word(bytes, 4));
        let at = PRELUDE_BYTES + 1 + usize::from(bytes[PRELUDE_BYTES]) + 1;
        let length = usize::from(u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap()));
        let name = String::from_utf8(bytes[at + 2..at + 2 + length].to_vec()).unwrap();
        frames.push((name, bytes[PRELUDE_BYTES + head..total - CHECKSUM_BYTES].to_vec()));
        bytes = &bytes[total..];
    }
    frames
}
