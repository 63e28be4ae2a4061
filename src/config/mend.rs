//! Reads a file on in which options are unknown or numbers out of range, without the ones and with the nearest that are
//! not: so the faults behind them are told in the same go. What comes of it is never served, for the file has faults.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::fault::Position;
use super::tree::{self, Node, Value};

/// What to do about the values that stand at certain places.
pub(super) type Mends = BTreeMap<Position, Mend>;

/// One repair.
#[derive(Clone, Copy)]
pub(super) enum Mend {
    /// Read this number instead.
    Number(f64),
    /// Read on as if the option were not there.
    Leave,
}

/// The options of a mended file; none where more is wrong with its shape.
pub(super) fn parse<T: DeserializeOwned>(tree: &Node, mends: &Mends) -> Option<T> {
    // JSON is YAML too, and so read as leniently as the file itself.
    (!mends.is_empty()).then(|| tree::parse(&mended(tree, mends).to_string(), None).ok())?
}

fn mended(node: &Node, mends: &Mends) -> Json {
    if let Some(Mend::Number(number)) = mends.get(&node.at) {
        return written(*number);
    }
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(it) => json!(it),
        Value::Number(it) => written(*it),
        Value::Text(it) => json!(it),
        Value::List(items) => items.iter().map(|it| mended(it, mends)).collect(),
        Value::Map(entries) => {
            let known = entries.iter().filter(|(_, it)| !matches!(mends.get(&it.at), Some(Mend::Leave)));
            Json::Object(known.map(|(key, it)| (key.clone(), mended(it, mends))).collect())
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
