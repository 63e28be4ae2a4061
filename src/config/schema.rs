//! The shape of gateway.yaml, taken from the option structs: the JSON Schema for editors, and the check that finds
//! unknown keys, wrong types and values out of range all at once and with their places.

use std::sync::LazyLock;

use serde_json::{Map, Value as Json, json};

use super::GatewayOptions;
use super::fault::{Faults, hint};
use super::mend::{Mend, Mends};
use super::tree::{Node, Value};

static SCHEMA: LazyLock<Json> = LazyLock::new(|| schemars::schema_for!(GatewayOptions).to_value());

/// JSON Schema of gateway.yaml.
pub fn schema() -> String {
    let mut schema = SCHEMA.clone();
    allow_references(&mut schema);
    schema["title"] = json!("gateway.yaml");
    serde_json::to_string_pretty(&schema).expect("a JSON value can always be written")
}

/// Lets `"${VAR}"` stand where a number or boolean is due; strings take it anyway.
fn allow_references(schema: &mut Json) {
    match schema {
        Json::Array(items) => items.iter_mut().for_each(allow_references),
        Json::Object(fields) => {
            let is_plain = fields.get("type").is_some_and(is_number_or_boolean);
            if is_plain {
                let mut plain = Map::new();
                for name in ["type", "format", "minimum", "maximum"] {
                    plain.extend(fields.remove_entry(name));
                }
                let reference = json!({"type": "string", "pattern": r"^\$\{"});
                fields.insert("anyOf".into(), json!([plain, reference]));
            } else {
                fields.values_mut().for_each(allow_references);
            }
        }
        _ => {}
    }
}

fn is_number_or_boolean(kind: &Json) -> bool {
    ["integer", "number", "boolean"].iter().any(|it| admits(kind, it))
}

/// Whether a schema's `type`, one word or a list of them, admits `name`.
fn admits(kind: &Json, name: &str) -> bool {
    match kind {
        Json::Array(kinds) => kinds.iter().any(|it| it == name),
        kind => kind == name,
    }
}

/// Reports everything in the file that the options do not foresee, and says what to read on with instead.
pub(super) fn check(tree: &Node, faults: &mut Faults) -> Mends {
    let mut shape = Shape { faults, mends: Mends::new(), path: Vec::new() };
    if !matches!(tree.value, Value::Null) {
        shape.check(tree, &SCHEMA);
    }
    shape.mends
}

struct Shape<'a> {
    faults: &'a mut Faults,
    mends: Mends,
    path: Vec<String>,
}

impl Shape<'_> {
    fn check(&mut self, node: &Node, schema: &Json) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.trim_start_matches("#/$defs/");
            return self.check(node, &SCHEMA["$defs"][name]);
        }
        if let Some(branches) = schema["anyOf"].as_array() {
            return self.check_branch(node, branches);
        }
        if let Some(words) = words(schema) {
            if !node.text().is_some_and(|it| words.contains(&it)) {
                self.fault(node, &format!("must be one of {}", words.join(", ")));
            }
            return;
        }
        let kind = &schema["type"];
        if kind.is_null() || (matches!(node.value, Value::Null) && admits(kind, "null")) {
            return;
        }
        match kind {
            it if admits(it, "object") => self.check_object(node, schema),
            it if admits(it, "array") => self.check_array(node, schema),
            it if admits(it, "integer") => self.check_number(node, schema, true),
            it if admits(it, "number") => self.check_number(node, schema, false),
            it if admits(it, "boolean") => {
                let is_boolean = match &node.value {
                    Value::Bool(_) => true,
                    Value::Text(text) => text == "true" || text == "false",
                    _ => false,
                };
                self.expect(is_boolean, node, "must be true or false");
            }
            _ => {
                let is_text = matches!(node.value, Value::Text(_) | Value::Number(_) | Value::Bool(_));
                self.expect(is_text, node, "must be text");
            }
        }
    }

    /// Of several shapes: the one for maps if it is a map, else the one for scalars.
    fn check_branch(&mut self, node: &Node, branches: &[Json]) {
        let is_map = matches!(node.value, Value::Map(_));
        if matches!(node.value, Value::Null) && branches.iter().any(|it| admits(&it["type"], "null")) {
            return;
        }
        let kinds = || branches.iter().filter(|it| !admits(&it["type"], "null"));
        let fits = kinds().find(|it| is_object(it) == is_map);
        if let Some(branch) = fits.or_else(|| kinds().next()) {
            self.check(node, branch);
        }
    }

    fn check_object(&mut self, node: &Node, schema: &Json) {
        let Value::Map(entries) = &node.value else {
            return self.fault(node, "must be a map; where it is empty, remove it or write {}");
        };
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        for (key, child) in entries {
            self.path.push(key.clone());
            match (properties.get(key), &schema["additionalProperties"]) {
                (Some(property), _) => self.check(child, property),
                (None, Json::Bool(false)) => {
                    let hint = hint(key, properties.keys().map(String::as_str));
                    self.mends.insert(child.at, Mend::Leave);
                    let message = format!("`{}` is no option{hint}", self.path.join("."));
                    self.faults.at(child.key.unwrap_or(child.at), message);
                }
                (None, others) => self.check(child, others),
            }
            self.path.pop();
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            self.expect(node.child(name).is_some(), node, &format!("needs `{name}`"));
        }
    }

    fn check_array(&mut self, node: &Node, schema: &Json) {
        let Value::List(items) = &node.value else {
            return self.fault(node, "must be a list");
        };
        for (index, item) in items.iter().enumerate() {
            self.path.push(index.to_string());
            self.check(item, &schema["items"]);
            self.path.pop();
        }
    }

    fn check_number(&mut self, node: &Node, schema: &Json, whole: bool) {
        let kind = if whole { "a whole number" } else { "a number" };
        let lowest = schema["minimum"].as_f64();
        let highest = schema["maximum"].as_f64();
        let is_number = node.number().is_some_and(|it| {
            it.is_finite()
                && (!whole || it.fract() == 0.0)
                && lowest.is_none_or(|lowest| it >= lowest)
                && highest.is_none_or(|highest| it <= highest)
        });
        let range = match (&schema["minimum"], &schema["maximum"]) {
            (Json::Number(lowest), Json::Number(highest)) => format!(", {lowest} to {highest}"),
            (Json::Number(lowest), _) => format!(", at least {lowest}"),
            _ => String::new(),
        };
        self.expect(is_number, node, &format!("must be {kind}{range}"));
        if let Some(number) = node.number().filter(|it| !is_number && it.is_finite()) {
            let number = number.max(lowest.unwrap_or(number)).min(highest.unwrap_or(f64::MAX));
            self.mends.insert(node.at, Mend::Number(if whole { number.trunc() } else { number }));
            // What a mended number is wrong with besides, the operator never wrote.
            self.faults.explain(node.at);
        }
    }

    fn expect(&mut self, holds: bool, node: &Node, message: &str) {
        if !holds {
            self.fault(node, message);
        }
    }

    fn fault(&mut self, node: &Node, message: &str) {
        let name =
            if self.path.is_empty() { "the file".into() } else { format!("`{}`", self.path.join(".")) };
        self.faults.at(node.place(), format!("{name} {message}"));
    }
}

/// Whether a schema, or the definition it points at, is of a map.
fn is_object(schema: &Json) -> bool {
    match schema["$ref"].as_str() {
        Some(name) => is_object(&SCHEMA["$defs"][name.trim_start_matches("#/$defs/")]),
        None => admits(&schema["type"], "object"),
    }
}

/// The words an enum is written with.
fn words(schema: &Json) -> Option<Vec<&str>> {
    if let Some(words) = schema["enum"].as_array() {
        return Some(words.iter().filter_map(Json::as_str).collect());
    }
    let variants = schema["oneOf"].as_array()?;
    Some(variants.iter().filter_map(|it| it["const"].as_str()).collect())
}
