//! One turn of a conversation: what a client sent and what it was answered, and how a store writes that down.
//!
//! Every store writes the same bytes: one line of JSON (the head, [`Turn`] without its messages), a line feed, and the
//! messages, which are JSON objects joined by commas; where the head says `"z":"lz4"` they are one LZ4 frame.

use std::io::{Read, Write};

use bytes::Bytes;
use lz4_flex::frame::{FrameDecoder, FrameEncoder};
use serde::{Deserialize, Serialize};

use crate::api::money::Money;
use crate::session::response::StoredResponse;

/// How an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    /// The vendor said all it had to say.
    #[default]
    Complete,
    /// The vendor, or the gateway's stop, cut it off.
    Incomplete,
    /// The client hung up; what it was sent is kept.
    Left,
}

impl TurnState {
    pub fn is_complete(&self) -> bool {
        *self == Self::Complete
    }
}

/// One turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Turn {
    /// The call's request id, or one of its own: a turn is stored once, however often it is written.
    pub id: String,
    /// Unix time of its end, in milliseconds.
    pub at: u64,
    /// Unix time of the question, in milliseconds, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<u64>,
    #[serde(skip_serializing_if = "TurnState::is_complete")]
    pub state: TurnState,
    /// The session's version its answer was made from: a later one in between was not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saw: Option<u64>,
    /// Who answered: the upstream's name, its vendor, and the model it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the call used, its history included.
    #[serde(skip_serializing_if = "is_zero")]
    pub input_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub output_tokens: u64,
    /// In pico-dollars.
    #[serde(skip_serializing_if = "Option::is_none", with = "picos")]
    pub cost: Option<Money>,
    /// Estimated tokens of its messages.
    pub tokens: u64,
    /// It begins with the result of a tool that an earlier turn called: the two are kept or dropped together.
    #[serde(skip_serializing_if = "is_false")]
    pub answers_tools: bool,
    /// It holds system or developer messages, which outlive it.
    #[serde(skip_serializing_if = "is_false")]
    pub instructs: bool,
    /// It holds pictures.
    #[serde(skip_serializing_if = "is_false")]
    pub images: bool,
    /// Its answer has fields that only its own vendor understands, such as reasoning.
    #[serde(skip_serializing_if = "is_false")]
    pub private: bool,
    /// Its messages go to a vendor as they are, whatever stands before and behind them
    /// ([`crate::session::history::is_plain`]): nobody needs to read them for that.
    #[serde(skip_serializing_if = "is_false")]
    pub plain: bool,
    /// It holds items of the Conversations API; chat messages among them have no `type`.
    #[serde(skip_serializing_if = "is_false")]
    pub items: bool,
    /// Something of its chat messages was deleted; a gap stands in its place.
    #[serde(skip_serializing_if = "is_false")]
    pub gaps: bool,
    /// Of an answer of the Responses API: what it was, and what it followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Box<StoredResponse>>,
    /// JSON objects joined by commas.
    #[serde(skip)]
    pub messages: Bytes,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

mod picos {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::api::money::Money;

    pub fn serialize<S: Serializer>(money: &Option<Money>, serializer: S) -> Result<S::Ok, S::Error> {
        money.map(Money::picos).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Money>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Money::from_picos))
    }
}

/// How the messages behind a head are packed. Read beside the turn itself, where its head begins with [`PACKED`]: flattening
/// one into the other costs more.
#[derive(Deserialize)]
struct Packing<'a> {
    #[serde(default, borrow)]
    z: Option<&'a str>,
    /// Bytes of the messages once they are unpacked.
    #[serde(default)]
    len: u64,
}

/// What the head of a turn with packed messages begins with.
const PACKED: &[u8] = br#"{"z":"#;

/// Bytes a stored turn may unpack to: what says more was not written by us.
const UNPACKED_BYTES_MAX: u64 = 256 << 20;

impl Turn {
    /// What stores write. Messages of at least `compress_bytes_min` bytes are compressed where that makes them shorter.
    pub fn encode(&self, compress_bytes_min: usize) -> Vec<u8> {
        let packed = (self.messages.len() >= compress_bytes_min).then(|| pack(&self.messages)).flatten();
        let head = serde_json::to_vec(self).expect("text and numbers always serialise into memory");
        let body = packed.as_deref().unwrap_or(&self.messages);
        let mut bytes = Vec::with_capacity(head.len() + body.len() + 40);
        match packed {
            Some(_) => {
                bytes.extend_from_slice(format!(r#"{{"z":"lz4","len":{},"#, self.messages.len()).as_bytes());
                bytes.extend_from_slice(&head[1..]);
            }
            None => bytes.extend_from_slice(&head),
        }
        bytes.push(b'\n');
        bytes.extend_from_slice(body);
        bytes
    }

    /// What [`Self::encode`] wrote; None: something else.
    pub fn decode(stored: &Bytes) -> Option<Self> {
        let line = memchr::memchr(b'\n', stored)?;
        let head = &stored[..line];
        let turn: Self = serde_json::from_slice(head).ok()?;
        let body = stored.slice(line + 1..);
        let messages = match head.starts_with(PACKED) {
            true => unpacked(serde_json::from_slice(head).ok()?, body)?,
            false => body,
        };
        Some(Self { messages, ..turn })
    }
}

/// Bytes of a stored turn's messages once they are unpacked, as its head says.
pub fn unpacked_bytes(stored: &[u8]) -> u64 {
    let Some(line) = memchr::memchr(b'\n', stored) else { return 0 };
    let packing = serde_json::from_slice::<Packing>(&stored[..line]).ok();
    let packed = packing.filter(|it| it.z.is_some()).map(|it| it.len);
    packed.unwrap_or((stored.len() - line) as u64)
}

fn unpacked(packing: Packing, body: Bytes) -> Option<Bytes> {
    match packing.z {
        None => Some(body),
        Some("lz4") if packing.len <= UNPACKED_BYTES_MAX => unpack(&body, packing.len as usize),
        Some(_) => None,
    }
}

/// None where that is no gain.
fn pack(messages: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = FrameEncoder::new(Vec::with_capacity(messages.len() / 2));
    encoder.write_all(messages).ok()?;
    encoder.finish().ok().filter(|it| it.len() < messages.len())
}

fn unpack(frame: &[u8], len: usize) -> Option<Bytes> {
    let mut messages = Vec::with_capacity(len);
    FrameDecoder::new(frame).take(len as u64 + 1).read_to_end(&mut messages).ok()?;
    (messages.len() == len).then(|| messages.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(messages: String) -> Turn {
        Turn {
            id: "req_1".into(),
            at: 1,
            state: TurnState::Left,
            cost: Some(Money::from_picos(5)),
            tokens: 7,
            answers_tools: true,
            messages: messages.into(),
            ..Turn::default()
        }
    }

    #[test]
    fn a_turn_is_read_as_it_was_written() {
        let long = format!(r#"{{"role":"user","content":"{}"}}"#, "hm\\n".repeat(5_000));
        for (messages, min) in
            [(String::new(), 0), ("{}\n,{}".into(), 100), (long.clone(), 100_000), (long, 100)]
        {
            let turn = turn(messages);
            let stored = Bytes::from(turn.encode(min));
            assert_eq!(Turn::decode(&stored), Some(turn));
        }
    }

    #[test]
    fn long_messages_take_less_room_and_say_so() {
        let turn = turn("abc".repeat(10_000));
        let stored = turn.encode(4_096);
        assert!(stored.len() < 2_000, "{}", stored.len());
        assert!(stored.starts_with(br#"{"z":"lz4","len":30000,"id":"req_1","at":1,"state":"left""#));
    }

    #[test]
    fn what_is_no_turn_is_none() {
        for stored in ["", "{}", "no\n{}", "{\"z\":\"gone\"}\n", "{\"z\":\"lz4\",\"len\":9}\nxx"] {
            assert_eq!(Turn::decode(&Bytes::from_static(stored.as_bytes())), None, "{stored}");
        }
        assert!(Turn::decode(&Bytes::from_static(b"{}\n{}")).is_some());
    }
}
