//! A JSON value that grows by pieces. Texts stay escaped as they came: one behind the other they are a text again, and
//! neither reading nor writing them costs anything.

use crate::api::fields::{self, Fields};

/// Values nested deeper than this are kept as they come, and not put together.
const DEPTH_MAX: usize = 16;

/// Most fields of one object; further ones are left out.
const FIELDS_MAX: usize = 256;

/// Elements of a list that are looked at, from its end, for the one that a piece belongs to.
const LOOKED_AT_MAX: usize = 256;

#[derive(Debug)]
pub(super) enum Node {
    /// What stands between the quotes.
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
    /// Numbers, true and false, and what is too deep.
    Other(String),
}

/// Adds the fields of a piece; false where not all of them had room.
pub(super) fn merge_fields(fields: &mut Vec<(String, Node)>, piece: &Fields) -> bool {
    merge_object(fields, piece, 0)
}

fn merge_object(fields: &mut Vec<(String, Node)>, piece: &Fields, depth: usize) -> bool {
    let mut whole = true;
    for (name, value) in piece.each().filter(|(_, value)| *value != "null") {
        whole &= match fields.iter().position(|(it, _)| it == name) {
            Some(at) => fields[at].1.merge(name, value, depth + 1),
            None if fields.len() < FIELDS_MAX => {
                let mut node = Node::empty(value);
                let whole = node.merge(name, value, depth + 1);
                fields.push((name.to_owned(), node));
                whole
            }
            None => false,
        };
    }
    whole
}

impl Node {
    /// A value of the kind of `json` that says nothing yet.
    fn empty(json: &str) -> Self {
        match json.as_bytes().first() {
            Some(b'"') => Self::Text(String::new()),
            Some(b'[') => Self::List(Vec::new()),
            Some(b'{') => Self::Object(Vec::new()),
            _ => Self::Other(json.to_owned()),
        }
    }

    fn of(name: &str, json: &str, depth: usize) -> Self {
        let mut node = Self::empty(json);
        node.merge(name, json, depth);
        node
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::List(nodes) => nodes.is_empty(),
            Self::Object(fields) => fields.is_empty(),
            Self::Other(_) => false,
        }
    }

    /// Adds a piece of the field `name`; false where a part of it had no room.
    fn merge(&mut self, name: &str, json: &str, depth: usize) -> bool {
        if depth > DEPTH_MAX {
            *self = Self::Other(json.to_owned());
            return true;
        }
        match (&mut *self, fields::inner(json), json.as_bytes().first()) {
            (Self::Text(text), Some(piece), _) => merge_text(text, name, piece),
            (Self::List(nodes), Some(_), _) if name == "content" => {
                let part = format!(r#"{{"type":"text","text":{json}}}"#);
                return merge_element(nodes, name, &part, depth);
            }
            (Self::Text(_), _, Some(b'[')) if name == "content" => {
                self.become_parts();
                return self.merge(name, json, depth);
            }
            (Self::List(nodes), _, Some(b'[')) => {
                let mut whole = true;
                for piece in fields::elements(json).unwrap_or_default() {
                    whole &= merge_element(nodes, name, piece.get(), depth);
                }
                return whole;
            }
            (Self::Object(fields), _, Some(b'{')) => {
                return Fields::read(json).is_some_and(|it| merge_object(fields, &it, depth));
            }
            (Self::Other(old), _, _) if Self::empty(json).is_other() => *old = json.to_owned(),
            // Another kind of value than before: the last one counts.
            _ => *self = Self::of(name, json, depth),
        }
        true
    }

    fn is_other(&self) -> bool {
        matches!(self, Self::Other(_))
    }

    /// Content that began as a text and goes on in parts.
    fn become_parts(&mut self) {
        let text = std::mem::replace(self, Self::List(Vec::new()));
        if let (Self::List(nodes), false) = (&mut *self, text.is_empty()) {
            let kind = Self::Text("text".into());
            nodes.push(Self::Object(vec![("type".into(), kind), ("text".into(), text)]));
        }
    }

    fn field(&self, name: &str) -> Option<&str> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find(|(it, _)| it == name).and_then(|(_, node)| match node {
            Self::Text(text) | Self::Other(text) => Some(text.as_str()).filter(|it| !it.is_empty()),
            _ => None,
        })
    }

    /// As JSON text, as the value of the field `name`.
    pub(super) fn json(&self, name: &str) -> String {
        match self {
            Self::Text(text) => format!("\"{text}\""),
            Self::Other(json) => json.clone(),
            Self::List(nodes) => {
                let nodes: Vec<_> = nodes.iter().map(|it| it.json(name)).collect();
                format!("[{}]", nodes.join(","))
            }
            Self::Object(fields) => {
                // The place of a call among the others is a stream's own word.
                let kept = fields.iter().filter(|(field, _)| name != "tool_calls" || field != "index");
                fields::object(kept.map(|(field, node)| (field, node.json(field))))
            }
        }
    }
}

fn merge_text(text: &mut String, name: &str, piece: &str) {
    match name {
        // Said once; some repeat it with every piece, and some make up another one each time.
        "id" | "type" | "role" | "format" if !text.is_empty() => {}
        "name" if text == piece => {}
        _ => text.push_str(piece),
    }
}

/// Adds an element to the list `name`: to the one it is a piece of, or behind all others.
fn merge_element(nodes: &mut Vec<Node>, name: &str, json: &str, depth: usize) -> bool {
    let piece = Fields::read(json).map(Piece);
    let found = piece.and_then(|it| it.place(nodes, name));
    match found.and_then(|it| nodes.get_mut(it)) {
        Some(node) => node.merge(name, json, depth + 1),
        None => {
            nodes.push(Node::of(name, json, depth + 1));
            true
        }
    }
}

/// An element of a list, perhaps of one that is there already.
struct Piece<'a>(Fields<'a>);

impl Piece<'_> {
    /// Where the element stands that this is a piece of.
    fn place(&self, nodes: &[Node], name: &str) -> Option<usize> {
        let from = nodes.len().saturating_sub(LOOKED_AT_MAX);
        let mut places = (from..nodes.len()).rev();
        let index = self.0.value("index");
        match name {
            "tool_calls" => match index {
                Some(_) => places
                    .find(|at| nodes[*at].field("index") == index)
                    .filter(|at| self.is_of_call(&nodes[*at])),
                None => self.place_without_index(nodes),
            },
            _ if index.is_some() => places.find(|at| self.is_of(&nodes[*at])),
            "content" | "thinking" => places.next().filter(|at| self.goes_on(&nodes[*at])),
            _ => None,
        }
    }

    /// Gemini numbers all calls 0; another id and another function are another call. An id alone is not: some make up a
    /// new one for each piece.
    fn is_of_call(&self, call: &Node) -> bool {
        let names_function = self.0.value("function").and_then(Fields::read).and_then(|it| it.text("name"));
        self.agrees(call, "id") || names_function.is_none_or(|it| it.is_empty())
    }

    fn place_without_index(&self, nodes: &[Node]) -> Option<usize> {
        let id = self.said("id");
        let function = self.0.value("function").and_then(Fields::read).and_then(|it| it.text("name"));
        match (id, function) {
            (Some(id), _) => nodes.iter().rposition(|it| it.field("id") == Some(id)),
            (None, Some(name)) if !name.is_empty() => None,
            _ => nodes.len().checked_sub(1),
        }
    }

    fn is_of(&self, node: &Node) -> bool {
        node.field("index") == self.0.value("index") && self.agrees(node, "type") && self.agrees(node, "id")
    }

    /// A part of a text that has no number goes on with the last part, if that is one of its kind.
    fn goes_on(&self, last: &Node) -> bool {
        let kind = self.said("type");
        matches!(kind, Some("text" | "thinking")) && last.field("type") == kind
    }

    /// Both say the same in a field, or one of them nothing.
    fn agrees(&self, node: &Node, name: &str) -> bool {
        match (self.said(name), node.field(name)) {
            (Some(piece), Some(whole)) => piece == whole,
            _ => true,
        }
    }

    fn said(&self, name: &str) -> Option<&str> {
        self.0.value(name).and_then(fields::inner).filter(|it| !it.is_empty())
    }
}
