//! Items as the chat messages that say the same to a vendor. What chat completions have no word for is left out: it is kept
//! for those who read items.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::GAP;
use crate::api::fields::{self, Fields};
use crate::api::ink::Ink;
use crate::dialect::{chat, responses};

/// The messages of a turn's chat messages, joined by commas: each stays byte for byte, unless something of it was deleted.
pub fn without_gaps(objects: &[Box<RawValue>]) -> Bytes {
    let left: Vec<String> = objects.iter().filter_map(|it| without_gap(it)).collect();
    left.join(",").into()
}

/// None: all of it is a gap.
fn without_gap(raw: &RawValue) -> Option<String> {
    let json = raw.get();
    if json == GAP {
        return None;
    }
    let fields = Fields::read(json);
    let calls = fields.as_ref().and_then(|it| fields::elements(it.value("tool_calls")?));
    let Some((fields, calls)) = fields.zip(calls).filter(|(_, calls)| calls.iter().any(is_null)) else {
        return Some(json.to_owned());
    };
    let left: Vec<&str> = calls.into_iter().filter(|it| !is_null(it)).map(RawValue::get).collect();
    let list = (!left.is_empty()).then(|| format!("[{}]", left.join(",")));
    Some(fields.with("tool_calls", list.as_deref()))
}

fn is_null(value: &&RawValue) -> bool {
    value.get() == "null"
}

/// The messages of a turn's objects, joined by commas.
pub fn messages(objects: &[Box<RawValue>]) -> Bytes {
    let left: Vec<&RawValue> = objects.iter().map(Box::as_ref).filter(|it| it.get() != GAP).collect();
    let mut written = Vec::new();
    for alike in left.chunk_by(|a, b| is_item(a) == is_item(b)) {
        match is_item(alike[0]) {
            true => {
                let said = responses::messages_of(alike.iter().map(|it| it.get()));
                chat::write_messages(&mut written, &said);
            }
            false => alike.iter().filter_map(|it| without_gap(it)).for_each(|it| {
                written.raw(&it);
            }),
        }
    }
    written.into()
}

fn is_item(raw: &RawValue) -> bool {
    Fields::read(raw.get()).is_some_and(|it| it.value("type").is_some())
}
