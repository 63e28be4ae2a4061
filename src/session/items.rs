//! Turns as the items of OpenAI's Conversations API, and such items as chat messages. Pure.
//!
//! A turn holds chat messages, or items ([`Turn::items`]). One message may be several items: an assistant's is its reasoning,
//! its words and each of its tool calls. What is deleted leaves a gap (`{}` for an object, `null` for a tool call), so that
//! whatever stands behind it keeps its place, and with it its id. What was not deleted stays byte for byte what it was,
//! understood or not.

mod from_chat;
mod given;
#[cfg(test)]
mod tests;
mod to_chat;

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub use given::{Misgiven, given};

use crate::api::fields::Fields;
use crate::api::surrogates;
use crate::price::estimate::prompt_tokens;
use crate::session::standard::standard;
use crate::session::turn::Turn;

/// Where an item stands in its session. Ordered as the conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The number of its turn.
    pub turn: u64,
    /// Which object of the turn it comes from.
    pub object: usize,
    /// Which part of that object: its reasoning (0), its words (1) or, from 2 on, a tool call.
    pub part: usize,
}

/// What stands where an object was deleted.
const GAP: &str = "{}";

pub(super) const REASONING: usize = 0;
pub(super) const WORDS: usize = 1;
pub(super) const CALLS: usize = 2;

impl Place {
    /// Where the item of this id stands, if it is one of ours.
    pub fn parse(id: &str) -> Option<Self> {
        let (_, text) = id.rsplit_once('_')?;
        let hexadecimal = text.len() == 38 && text.bytes().all(|it| it.is_ascii_hexdigit());
        let number = |from: usize, to: usize| u64::from_str_radix(&text[from..to], 16).ok();
        let place = hexadecimal.then(|| (number(0, 10), number(10, 16), number(16, 22)))?;
        Some(Self { turn: place.0?, object: place.1? as usize, part: place.2? as usize })
    }

    /// Whether the item of this id stands here, or stood until it was deleted.
    pub fn is_of(self, id: &str, turn: &Turn) -> bool {
        let tail = |id: &str| id.rsplit_once('_').map(|it| it.1.to_owned());
        tail(id) == tail(&self.id("", &turn.id))
    }

    /// The id of the item here: it says where to look, and a digest of the turn tells it from what stood here before.
    fn id(self, prefix: &str, turn_id: &str) -> String {
        let place = format!("{:010x}{:06x}{:06x}", self.turn, self.object, self.part);
        let digest: [u8; 32] = Sha256::digest(format!("{turn_id}\n{place}")).into();
        let digest = digest[..8].iter().fold(0_u64, |sum, it| (sum << 8) | u64::from(*it));
        format!("{prefix}_{place}{digest:016x}")
    }
}

/// The letters before an id, by the type of its item.
fn prefix(kind: &str) -> &'static str {
    match kind {
        "message" => "msg",
        "function_call" => "fc",
        "function_call_output" => "fco",
        "custom_tool_call" => "ctc",
        "custom_tool_call_output" => "ctco",
        "reasoning" => "rs",
        _ => "item",
    }
}

/// The items of the turn of this number, each with where it stands and an id that stays its own.
pub fn of_turn(number: u64, turn: &Turn) -> Vec<(Place, Value)> {
    let mut items = Vec::new();
    let objects = objects(&turn.messages);
    for (object, raw) in objects.iter().enumerate() {
        let Some(message) = readable(raw.get()) else { continue };
        let parts = match turn.items && message.contains_key("type") {
            true => vec![(0, Value::Object(message))],
            false => from_chat::items(message),
        };
        for (part, mut item) in parts {
            let place = Place { turn: number, object, part };
            let kind = item["type"].as_str().unwrap_or_default();
            item["id"] = place.id(prefix(kind), &turn.id).into();
            items.push((place, item));
        }
    }
    if let Some((_, last)) = items.last_mut().filter(|_| !turn.state.is_complete())
        && last["role"] == "assistant"
    {
        last["status"] = "incomplete".into();
    }
    items
}

/// An object as it can be shown: half a character becomes the sign for an unknown one, and of what cannot be read at all
/// its text is shown. None: no object.
pub fn readable(json: &str) -> Option<Map<String, Value>> {
    if let Ok(object) = serde_json::from_str(json) {
        return Some(object);
    }
    let mended = surrogates::mend(json.to_owned());
    let fields = Fields::read(&mended)?;
    let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| text.into());
    Some(fields.each().map(|(name, text)| (name.to_owned(), value(text))).collect())
}

/// The turn's chat messages, joined by commas.
pub fn messages(turn: &Turn) -> Bytes {
    match (turn.items, turn.gaps) {
        (true, _) => to_chat::messages(&objects(&turn.messages)),
        (false, true) => to_chat::without_gaps(&objects(&turn.messages)),
        (false, false) => turn.messages.clone(),
    }
}

/// The turn without the item of this place.
pub fn without(turn: &Turn, place: Place) -> Option<Turn> {
    let mut objects = objects(&turn.messages);
    let object = objects.get_mut(place.object)?;
    let is_item = turn.items && Fields::read(object.get())?.value("type").is_some();
    let left = if is_item { GAP.to_owned() } else { from_chat::forget(object.get(), place.part)? };
    *object = RawValue::from_string(left).ok()?;
    let mut left = Turn { gaps: !turn.items, plain: false, messages: joined(&objects), ..turn.clone() };
    describe(&mut left);
    Some(left)
}

/// A turn of items as they are kept.
pub fn turn(id: String, at: u64, items: Vec<Map<String, Value>>) -> Turn {
    let objects: Vec<_> = items.iter().filter_map(|it| serde_json::value::to_raw_value(it).ok()).collect();
    let mut turn = Turn { id, at, items: true, messages: joined(&objects), ..Turn::default() };
    describe(&mut turn);
    turn
}

/// Says of a turn what its messages are: how many tokens, and what one must know to leave it out.
pub fn describe(turn: &mut Turn) {
    let chat = objects(&messages(turn));
    turn.private = chat.iter().any(|it| !matches!(standard(it.get()), Some(Cow::Borrowed(_))));
    let chat: Vec<_> = chat.iter().map(|it| Value::from(readable(it.get()).unwrap_or_default())).collect();
    turn.answers_tools = chat.first().is_some_and(|it| it["role"] == "tool" || it["role"] == "function");
    turn.instructs = chat.iter().any(|it| it["role"] == "system" || it["role"] == "developer");
    turn.images = chat.iter().any(has_image);
    turn.tokens = prompt_tokens(&turn.messages);
}

fn has_image(message: &Value) -> bool {
    message["content"].as_array().is_some_and(|parts| parts.iter().any(|it| it["type"] == "image_url"))
}

/// The objects of a list without its brackets; none where it is no list.
pub fn objects(joined: &[u8]) -> Vec<Box<RawValue>> {
    let list = [b"[", joined, b"]"].concat();
    serde_json::from_slice(&list).unwrap_or_default()
}

/// Objects as a turn holds them.
pub fn joined<T: AsRef<RawValue>>(objects: &[T]) -> Bytes {
    let texts: Vec<&str> = objects.iter().map(|it| it.as_ref().get()).collect();
    texts.join(",").into()
}
