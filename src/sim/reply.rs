//! What the simulated vendor says: prose that echoes its listener, and JSON that fits a schema. Pure.

use serde_json::{Map, Value, json};

const GREETING: &str = "Hello from the simulated vendor, where all is well; you said:";
/// An echoed word is cut here: a prompt may be one word of megabytes.
const WORD_BYTES_MAX: usize = 256;
/// JSON is streamed in pieces of so many characters.
const PIECE_CHARS: usize = 8;
/// Depth to which a schema is filled; recursive ones end here.
const SCHEMA_DEPTH_MAX: usize = 8;
/// Between pieces. JSON escapes this character, so it cannot occur inside one.
const SEPARATOR: char = '\u{1f}';

/// A text ready for JSON strings (escaped), divided into the pieces it is streamed in.
#[derive(Clone, Default)]
pub(super) struct Pieces {
    escaped: String,
    count: usize,
    at: usize,
}

impl Pieces {
    /// So many words: what was seen, then the greeting and the echo, over and over.
    pub fn prose(seen: &str, echo: &str, words: usize) -> Self {
        let mut pieces = Self { escaped: String::with_capacity(words * 8), count: 0, at: 0 };
        for word in prose(seen, echo, words) {
            let lead = if pieces.count == 0 { "" } else { " " };
            pieces.push(lead, word);
        }
        pieces
    }

    /// Pieces of a text, at most so many, and whether they are all of it.
    pub fn of(text: &str, limit: usize) -> (Self, bool) {
        let mut pieces = Self::default();
        let mut rest = text;
        while !rest.is_empty() && pieces.count < limit {
            let end = rest.char_indices().nth(PIECE_CHARS).map_or(rest.len(), |(at, _)| at);
            let (piece, remainder) = rest.split_at(end);
            pieces.push("", piece);
            rest = remainder;
        }
        (pieces, rest.is_empty())
    }

    fn push(&mut self, lead: &str, piece: &str) {
        if self.count > 0 {
            self.escaped.push(SEPARATOR);
        }
        self.count += 1;
        self.escaped.push_str(lead);
        if piece.bytes().all(|it| it >= b' ' && it != b'"' && it != b'\\') {
            self.escaped.push_str(piece);
        } else {
            let quoted = Value::from(piece).to_string();
            self.escaped.push_str(&quoted[1..quoted.len() - 1]);
        }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// The whole text, not escaped.
    pub fn text(&self) -> String {
        serde_json::from_str(&format!("\"{}\"", self.whole())).unwrap_or_default()
    }

    /// The whole text, escaped.
    pub fn whole(&self) -> String {
        self.escaped.replace(SEPARATOR, "")
    }

    pub fn next_piece(&mut self) -> Option<&str> {
        let rest = self.escaped.get(self.at..)?;
        let length = memchr::memchr(SEPARATOR as u8, rest.as_bytes()).unwrap_or(rest.len());
        self.at += length + 1;
        rest.get(..length)
    }

    pub fn is_spent(&self) -> bool {
        self.at > self.escaped.len()
    }
}

pub(super) fn prose<'a>(seen: &'a str, echo: &'a str, words: usize) -> impl Iterator<Item = &'a str> {
    let echoed = echo.split_whitespace().map(|word| &word[..word.floor_char_boundary(WORD_BYTES_MAX)]);
    seen.split_whitespace().chain(GREETING.split(' ').chain(echoed).cycle()).take(words)
}

/// A value that fits a JSON Schema; `all` fills optional properties too.
pub(super) fn fill(schema: &Value, all: bool) -> Value {
    filled(schema, schema, all, 0)
}

fn filled(schema: &Value, root: &Value, all: bool, depth: usize) -> Value {
    if depth > SCHEMA_DEPTH_MAX {
        return Value::Null;
    }
    let deeper = |part: &Value| filled(part, root, all, depth + 1);
    if let Some(target) = schema["$ref"].as_str() {
        return target.strip_prefix('#').and_then(|at| root.pointer(at)).map_or(Value::Null, deeper);
    }
    if let Some(fixed) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return fixed.clone();
    }
    if let Some(choices) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        return choices.iter().find(|it| it["type"] != "null").map_or(Value::Null, deeper);
    }
    let types = schema["type"].as_array();
    let kind = types.and_then(|it| it.iter().find(|it| *it != "null")).unwrap_or(&schema["type"]);
    // Google spells them in capitals.
    let kind = kind.as_str().map(str::to_ascii_lowercase);
    match kind.as_deref() {
        Some("string") => json!("text"),
        Some("integer") => json!(1),
        Some("number") => json!(1.5),
        Some("boolean") => json!(true),
        // Lists end early, because a schema that contains itself mostly does so through a list.
        Some("array") if depth < SCHEMA_DEPTH_MAX / 2 => json!([deeper(&schema["items"])]),
        Some("array") => json!([]),
        _ => match schema["properties"].as_object() {
            Some(properties) => {
                let required = |name: &str| {
                    schema["required"].as_array().is_some_and(|it| it.iter().any(|it| it == name))
                };
                let kept = properties.iter().filter(|(name, _)| all || required(name));
                Value::Object(kept.map(|(name, part)| (name.clone(), deeper(part))).collect())
            }
            None if kind.as_deref() == Some("object") => Value::Object(Map::new()),
            None => Value::Null,
        },
    }
}
