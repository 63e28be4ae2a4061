//! Reads a file on in which numbers are out of range, with the nearest ones that are not: so the faults behind them are told
//! in the same go. What comes of it is never served, for the file has faults.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::fault::Position;
use super::tree::{self, Node, Value};

/// Numbers to put in place of those that stand there.
pub(super) type Mends = BTreeMap<Position, f64>;

/// The options of a mended file; none where more is wrong with its shape than numbers.
pub(super) fn parse<T: DeserializeOwned>(tree: &Node, mends: &Mends) -> Option<T> {
    // JSON is YAML too, and so read as leniently as the file itself.
    (!mends.is_empty()).then(|| tree::parse(&mended(tree, mends).to_string(), None).ok())?
}

fn mended(node: &Node, mends: &Mends) -> Json {
    if let Some(number) = mends.get(&node.at) {
        return written(*number);
    }
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(it) => json!(it),
        Value::Number(it) => written(*it),
        Value::Text(it) => json!(it),
        Value::List(items) => items.iter().map(|it| mended(it, mends)).collect(),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|(key, it)| (key.clone(), mended(it, mends))).collect())
        }
    }
}

/// A whole number without a fraction: options that count do not take `1.0`.
fn written(number: f64) -> Json {
    match number.fract() == 0.0 && number.abs() < 1e15 {
        true => json!(number as i64),
        false => json!(number),
    }
}
