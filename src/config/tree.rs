//! gateway.yaml as a tree that remembers where everything stands; the typed options do not, and faults need it.

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, PropertySyntax, Spanned};

use super::fault::Position;

/// One value of the file. It may be a key, so it does not print.
#[derive(Default)]
pub(super) struct Node {
    /// Where its key stands; none in a list.
    pub key: Option<Position>,
    pub at: Position,
    pub value: Value,
}

#[derive(Default)]
pub(super) enum Value {
    #[default]
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Reads YAML into `T`. With variables, `${NAME}` is replaced in values; without, it stays as written.
/// Quotes do not hide a reference: an unquoted one cannot stand inside `{…}`, so operators quote them.
pub(super) fn parse<T: DeserializeOwned>(
    text: &str,
    variables: Option<&HashMap<String, String>>,
) -> Result<T, (Position, String)> {
    let options = serde_saphyr::options! {
        // Without variables, `Braced` leaves everything as written; the other would put nothing in place of it.
        property_syntax: if variables.is_some() { PropertySyntax::DockerCompose } else { PropertySyntax::Braced },
        // A snippet would show the lines around the fault, keys among them.
        with_snippet: false,
        // `off` is a word here (`auth: off`, `proxy: off`).
        strict_booleans: true,
    };
    let options = match variables {
        Some(variables) => options.with_properties(variables.clone()),
        None => options,
    };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| (error.location().map(place).unwrap_or_default(), describe(&error)))
}

fn describe(error: &serde_saphyr::Error) -> String {
    match error {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => format!("`{key}` is given twice"),
        // What stands there may be a key with a dollar sign in it.
        serde_saphyr::Error::InvalidPropertyName { .. } => {
            "this `${` begins no reference: write `${NAME}`, or `$$` for a dollar sign".into()
        }
        other => {
            let mut message = other.to_string();
            // The place is told apart from the message.
            message.truncate(message.rfind(" at line ").unwrap_or(message.len()));
            message
        }
    }
}

fn place(location: Location) -> Position {
    let narrow = |it: u64| u32::try_from(it).unwrap_or(u32::MAX);
    Position { line: narrow(location.line()), column: narrow(location.column()) }
}

impl Node {
    /// The node at a path of keys and list indices.
    pub fn find(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, step| node.child(step))
    }

    pub fn child(&self, step: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key == step).map(|(_, node)| node),
            Value::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        }
    }

    pub fn has(&self, path: &[&str]) -> bool {
        self.find(path).is_some()
    }

    /// Where a fault about `path` is shown: at the value, or at the key of the nearest thing around what is missing.
    pub fn position(&self, path: &[&str]) -> Position {
        let mut node = self;
        for step in path {
            match node.child(step) {
                Some(child) => node = child,
                None => return node.key.unwrap_or(node.at),
            }
        }
        node.place()
    }

    /// Where a fault about this node is shown: a scalar itself, the key of anything else.
    pub fn place(&self) -> Position {
        match (&self.value, self.key) {
            (Value::Null | Value::List(_) | Value::Map(_), Some(key)) => key,
            _ => self.at,
        }
    }

    /// A scalar as text; `None` for anything else.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number, or text that reads as one (a quoted or substituted value).
    pub fn number(&self) -> Option<f64> {
        match &self.value {
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Calls `visit` with every scalar text below and the path to it.
    pub fn texts<'a>(
        &'a self,
        path: &mut Vec<&'a str>,
        visit: &mut dyn FnMut(&[&'a str], &'a Node, &'a str),
    ) {
        match &self.value {
            Value::Text(text) => visit(path, self, text),
            Value::List(items) => items.iter().for_each(|it| it.texts(path, visit)),
            Value::Map(entries) => {
                for (key, node) in entries {
                    path.push(key);
                    node.texts(path, visit);
                    path.pop();
                }
            }
            _ => {}
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { key: None, at: place(spanned.referenced), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(Value::Bool(it))
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(Value::Number(it as f64))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(Value::Number(it as f64))
    }

    fn visit_f64<E>(self, it: f64) -> Result<Value, E> {
        Ok(Value::Number(it))
    }

    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(Value::Text(it.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let mut node: Node = map.next_value()?;
            node.key = Some(place(key.referenced));
            entries.push((key.value, node));
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &[&str], line: u32, column: u32) {
        let text = "a:\n  b: {c: 1, d: [x, yy]}\n  e:\n  - f: 2\n";
        let tree: Node = parse(text, None).unwrap();
        assert_eq!(tree.position(path), Position { line, column }, "{path:?}");
    }

    #[test]
    fn every_value_knows_its_place() {
        check(&["a", "b", "c"], 2, 10);
        check(&["a", "b", "d", "1"], 2, 20);
        check(&["a", "e", "0", "f"], 4, 8);
    }

    #[test]
    fn what_is_missing_is_shown_at_the_key_around_it() {
        check(&["a", "b", "z"], 2, 3);
        check(&["a", "z"], 1, 1);
        check(&["z"], 1, 1);
    }

    #[test]
    fn references_are_replaced_in_quotes_but_not_in_keys() {
        let variables = HashMap::from([("X".to_owned(), "5".to_owned())]);
        let tree: Node = parse("\"${X}\": \"${X}\"\nb: '$$X ${Y:-z}'", Some(&variables)).unwrap();
        assert_eq!(tree.find(&["${X}"]).and_then(Node::text), Some("5"));
        assert_eq!(tree.find(&["b"]).and_then(Node::text), Some("$X z"));
    }

    #[test]
    fn a_syntax_fault_has_a_place_and_no_snippet() {
        let (position, message) = parse::<Node>("a: 1\nkey: sk-planted\nb: [", None).err().unwrap();
        assert_eq!(position.line, 3);
        assert!(!message.contains("planted") && !message.contains("line"), "{message}");
    }
}
