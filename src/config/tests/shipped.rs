//! The shipped gateway.yaml and the JSON Schema against the options themselves.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::{Folder, load};
use crate::config::tree::{self, Node, Value};
use crate::config::{GatewayOptions, schema};
use crate::session::options::SessionsOptions;
use crate::session::redis::options::RedisOptions;

const SHIPPED: &str = include_str!("../../../gateway.yaml");

/// gateway.yaml with its options switched on: `#` right before one, or before the indentation of one, is taken away;
/// `# ` and a word is prose.
fn uncommented() -> String {
    let lines = SHIPPED.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if !(rest.starts_with(' ') && rest[1..].starts_with(|it: char| it != ' ')) => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_file_says_what_no_file_says() {
    let loaded = load(SHIPPED, &[]).unwrap();
    assert_eq!(loaded.options, GatewayOptions::default());
    assert_eq!(loaded.warnings, Vec::<String>::new());
}

#[test]
fn the_shipped_examples_load() {
    let folder = Folder::new();
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    folder.write("cert.pem", &certificate.cert.pem());
    folder.write("ca.pem", &certificate.cert.pem());
    folder.write("key.pem", &certificate.signing_key.serialize_pem());
    folder.write("shop.keys", "from-file");
    folder.write("local.keys", "from-file");
    folder.write("gateway.yaml", &uncommented());
    let keys = ["OPENAI_API_KEY", "DEEPSEEK_API_KEY", "SHOP_KEY", "SHOP_KEY_NEXT"].map(|it| (it, it));
    let loaded = folder.load(&keys).unwrap();
    let defaults = GatewayOptions::default();
    let options = loaded.options;
    assert_eq!(loaded.upstreams.len(), 7);
    assert_eq!((options.failover, options.timeouts), (defaults.failover, defaults.timeouts));
    assert_eq!((options.circuit, options.probe), (defaults.circuit, defaults.probe));
    assert_eq!((options.limits, options.shutdown), (defaults.limits, defaults.shutdown));
    assert_eq!((options.log, options.sim), (defaults.log, defaults.sim));
    assert_eq!((options.auth, options.discover, options.usage), (defaults.auth, true, true));
    assert_eq!(options.token_counts, defaults.token_counts);
    // Nothing says by default where Redis is; how long it is waited for does.
    let (redis, default) = (options.sessions.redis, RedisOptions::default());
    assert_eq!((redis.connect_ms, redis.command_ms), (default.connect_ms, default.command_ms));
    assert_eq!(SessionsOptions { redis: default, ..options.sessions }, defaults.sessions);
    assert_eq!((options.listen, options.admin, options.workers), (defaults.listen, defaults.admin, 0));
}

/// Notes every `definition.option` that the tree shows.
fn documented(node: &Node, schema: &Json, name: &str, root: &Json, seen: &mut HashSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.trim_start_matches("#/$defs/");
        return documented(node, &root["$defs"][name], name, root, seen);
    }
    for branch in schema["anyOf"].as_array().into_iter().flatten() {
        documented(node, branch, name, root, seen);
    }
    match &node.value {
        Value::Map(entries) => {
            for (key, child) in entries {
                match &schema["properties"][key] {
                    Json::Null => documented(child, &schema["additionalProperties"], name, root, seen),
                    property => {
                        seen.insert(format!("{name}.{key}"));
                        documented(child, property, key, root, seen);
                    }
                }
            }
        }
        Value::List(items) => items.iter().for_each(|it| documented(it, &schema["items"], name, root, seen)),
        _ => {}
    }
}

#[test]
fn every_option_is_documented_in_gateway_yaml() {
    let schema: Json = serde_json::from_str(&schema()).unwrap();
    let tree: Node = tree::parse(&uncommented(), None).unwrap();
    let mut seen = HashSet::new();
    documented(&tree, &schema, "", &schema, &mut seen);
    let definitions = schema["$defs"].as_object().unwrap().iter().map(|(name, it)| (name.as_str(), it));
    for (name, definition) in definitions.chain([("", &schema)]) {
        for option in definition["properties"].as_object().into_iter().flat_map(|it| it.keys()) {
            assert!(seen.contains(&format!("{name}.{option}")), "{name}.{option} is not in gateway.yaml");
        }
    }
}

#[test]
fn every_number_has_a_range_and_every_option_a_description() {
    let schema: Json = serde_json::from_str(&schema()).unwrap();
    let definitions = schema["$defs"].as_object().unwrap().values();
    let properties = definitions.chain([&schema]).filter_map(|it| it["properties"].as_object()).flatten();
    for (name, property) in properties {
        assert!(property["description"].is_string(), "{name} has no description");
        for number in
            property["anyOf"].as_array().into_iter().flatten().filter(|it| it["minimum"].is_number())
        {
            // As fast as possible is a pace too: there is no fastest one.
            assert!(number["maximum"].is_number() || name == "tokens_per_s", "{name} has no upper bound");
        }
    }
}

#[test]
fn the_schema_lets_variables_stand_for_numbers() {
    let schema: Json = serde_json::from_str(&schema()).unwrap();
    let workers = &schema["properties"]["workers"]["anyOf"];
    assert_eq!(workers[0]["type"], "integer");
    assert_eq!(workers[0]["maximum"], 1024);
    assert_eq!(workers[1]["pattern"], r"^\$\{");
    assert_eq!(schema["additionalProperties"], false);
}
