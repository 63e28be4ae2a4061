//! Schemas as Google's clients may write them, a part of OpenAPI 3.0 in protobuf's JSON, as JSON schemas that every
//! other dialect reads: types in lower case, `nullable` as one more type, counts as numbers, names in camel case.

use super::names;
use crate::api::fields::{Fields, elements, object, quoted, text};
use crate::api::ink::Ink;
use crate::dialect::json::Json;

/// Schemas nested deeper than this are left as they are.
const DEPTH_MAX: usize = 64;

/// Names that one schema or a list or object of schemas stands behind, with Google's other spellings.
const LISTS: &[&str] = &["anyOf", "oneOf", "allOf", "prefixItems"];
/// Those of them of which one schema holds.
const CHOICES: &[&str] = &["anyOf", "oneOf"];
const MAPS: &[&str] = &["properties", "$defs", "defs", "definitions"];
const SINGLES: &[&str] = &["items", "additionalProperties"];

/// The schema of null.
const NULL: &str = r#"{"type":"null"}"#;

/// Counts that protobuf's JSON writes as text.
const COUNTS: &[&str] = &["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"];

/// None where `schema` is no JSON object.
pub(super) fn to_json_schema(schema: &str) -> Option<Json> {
    Json::parse(&converted(schema, 0)?)
}

fn converted(schema: &str, depth: usize) -> Option<String> {
    let fields = Fields::read(schema)?;
    if depth >= DEPTH_MAX {
        return Some(schema.to_owned());
    }
    let is_nullable = names::is_true(&fields, "nullable");
    let mut out = String::from("{");
    for (name, value) in fields.each() {
        field(name, value, is_nullable, depth + 1, &mut out);
    }
    out.close(b'}');
    Some(out)
}

fn field(name: &str, value: &str, is_nullable: bool, depth: usize, out: &mut String) {
    if name == "type" {
        type_field(value, is_nullable, out);
    } else if let Some(name) = names::known(name, LISTS) {
        let list = elements(value).unwrap_or_default();
        let mut schemas = list.iter().map(|it| or_as_it_is(it.get(), depth)).collect::<Vec<_>>();
        if is_nullable && CHOICES.contains(&name) && !schemas.iter().any(|it| it == NULL) {
            schemas.push(NULL.to_owned());
        }
        out.raw_field(name, &format!("[{}]", schemas.join(",")));
    } else if let Some(name) = names::known(name, MAPS) {
        let schemas = Fields::read(value).unwrap_or_default();
        let map = object(schemas.each().map(|(key, it)| (key, or_as_it_is(it, depth))));
        out.raw_field(if name == "defs" { "$defs" } else { name }, &map);
    } else if let Some(name) = names::known(name, SINGLES) {
        out.raw_field(name, &or_as_it_is(value, depth));
    } else if let Some(name) = names::known(name, COUNTS) {
        let count = names::number(value).map(|it| it.to_string());
        out.raw_field(name, count.as_deref().unwrap_or(value));
    } else {
        plain(name, value, is_nullable, out);
    }
}

/// `true`, `false` and what is no schema stay.
fn or_as_it_is(value: &str, depth: usize) -> String {
    converted(value, depth).unwrap_or_else(|| value.to_owned())
}

/// Google's types are names of an enumeration, in capitals.
fn type_field(value: &str, is_nullable: bool, out: &mut String) {
    let Some(stated) = text(value) else {
        out.raw_field("type", &value.to_ascii_lowercase());
        return;
    };
    if stated == "TYPE_UNSPECIFIED" {
        return;
    }
    let name = quoted(&stated.to_ascii_lowercase());
    match is_nullable && name != "\"null\"" {
        true => _ = out.raw_field("type", &format!("[{name},\"null\"]")),
        false => _ = out.raw_field("type", &name),
    }
}

/// What has no schemas in it. Hints that only Google reads are left out.
fn plain(name: &str, value: &str, is_nullable: bool, out: &mut String) {
    match name {
        "nullable" | "propertyOrdering" | "property_ordering" => {}
        // Google's mark of a text that is one of an enumeration.
        "format" if value == "\"enum\"" => {}
        "example" => _ = out.raw_field("examples", &format!("[{value}]")),
        "ref" | "$ref" if is_nullable => {
            let mut schema = String::from("{");
            plain(name, value, false, &mut schema);
            out.raw_field("anyOf", &format!("[{schema}}},{NULL}]"));
        }
        "ref" => _ = out.raw_field("$ref", &value.replace("#/defs/", "#/$defs/")),
        "enum" if is_nullable => {
            let values = elements(value).unwrap_or_default();
            let mut values: Vec<&str> = values.iter().map(|it| it.get()).filter(|it| *it != "null").collect();
            values.push("null");
            out.raw_field("enum", &format!("[{}]", values.join(",")));
        }
        _ => _ = out.member(name, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn googles_schemas_become_json_schemas() {
        let check = |schema: &str, json: &str| {
            assert_eq!(to_json_schema(schema).as_ref().map(Json::get), Some(json), "{schema}");
        };
        check(r#"{"type":"STRING","format":"date"}"#, r#"{"type":"string","format":"date"}"#);
        check(
            r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true},"n":{"type":"ARRAY","items":{"type":"INTEGER","minimum":1.50},"min_items":"2"}},"required":["type"],"propertyOrdering":["n"]}"#,
            r#"{"type":"object","properties":{"type":{"type":["string","null"]},"n":{"type":"array","items":{"type":"integer","minimum":1.50},"minItems":2}},"required":["type"]}"#,
        );
        check(
            r##"{"any_of":[{"type":"NUMBER"},{"ref":"#/defs/a"}],"defs":{"a":{"type":"BOOLEAN"}},"example":1}"##,
            r##"{"anyOf":[{"type":"number"},{"$ref":"#/$defs/a"}],"$defs":{"a":{"type":"boolean"}},"examples":[1]}"##,
        );
        check(
            r#"{"type":"STRING","format":"enum","enum":["a","b"],"nullable":true}"#,
            r#"{"type":["string","null"],"enum":["a","b",null]}"#,
        );
        check(
            r#"{"nullable":true,"anyOf":[{"type":"INTEGER"},{"type":"STRING"}]}"#,
            r#"{"anyOf":[{"type":"integer"},{"type":"string"},{"type":"null"}]}"#,
        );
        check(
            r#"{"any_of":[{"type":"NULL"},{"type":"STRING","nullable":true}],"nullable":true}"#,
            r#"{"anyOf":[{"type":"null"},{"type":["string","null"]}]}"#,
        );
        check(
            r##"{"nullable":true,"ref":"#/defs/a"}"##,
            r##"{"anyOf":[{"$ref":"#/$defs/a"},{"type":"null"}]}"##,
        );
        check(
            r#"{"type":"TYPE_UNSPECIFIED","additionalProperties":false}"#,
            r#"{"additionalProperties":false}"#,
        );
        assert_eq!(to_json_schema("[]"), None);
    }

    #[test]
    fn schemas_without_end_are_left_at_a_bound() {
        let deep = format!("{}{{\"type\":\"STRING\"}}{}", "{\"items\":".repeat(100), "}".repeat(100));
        let read = to_json_schema(&deep).unwrap();
        assert_eq!(read.get(), deep);
        let flat = format!("{}{{\"type\":\"STRING\"}}{}", "{\"items\":".repeat(60), "}".repeat(60));
        assert!(to_json_schema(&flat).unwrap().get().contains("\"string\""));
    }
}
