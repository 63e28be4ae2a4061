//! Finds the keys of an upstream, or the reason why it has none.

use http::HeaderValue;

use crate::names::Secret;
use crate::upstream::options::UpstreamOptions;
use crate::vendor::catalogue::CatalogueEntry;

use super::files::key_lines;
use super::load::{Draft, not_set};
use super::tree::Node;

/// Whether an upstream can be called.
pub(super) enum Keys {
    On(Vec<Secret>),
    Off(String),
}

/// The keys of an upstream: those written, or else the one in its vendor's variable.
pub(super) fn keys(draft: &mut Draft, id: &str, own: &UpstreamOptions, vendor: &CatalogueEntry) -> Keys {
    let is_written = own.key.is_some() || !own.keys.is_empty() || own.key_file.is_some();
    let (keys, reason) = if is_written { written(draft, id, own) } else { from_environment(draft, vendor) };
    match (keys.is_empty(), reason) {
        (false, _) => Keys::On(keys),
        // A variable that should hold the key is missed even where the vendor would do without.
        (true, Some(reason)) => Keys::Off(reason),
        (true, None) if vendor.key_required => Keys::Off("its key is empty".into()),
        (true, None) => Keys::On(keys),
    }
}

fn from_environment(draft: &mut Draft, vendor: &CatalogueEntry) -> (Vec<Secret>, Option<String>) {
    let value = |name: String| draft.environment.value(&name).map(|it| (name.clone(), it));
    let Some((name, key)) = vendor.key_variables().find_map(value) else {
        let preferred = vendor.key_variables().next().filter(|_| vendor.key_required);
        return (Vec::new(), preferred.map(|it| not_set(&[it])));
    };
    let key = Secret::from(key);
    if !is_sendable(&key) {
        draft.faults.elsewhere("environment", 0, format!("{name} {UNSENDABLE}"));
    }
    (vec![key], None)
}

const UNSENDABLE: &str = "holds characters that no header may";

fn written(draft: &mut Draft, id: &str, own: &UpstreamOptions) -> (Vec<Secret>, Option<String>) {
    let mut keys: Vec<Secret> = Vec::new();
    let mut missing: Vec<String> = Vec::new();
    let indices: Vec<String> = (0..own.keys.len()).map(|it| it.to_string()).collect();
    let listed =
        own.keys.iter().zip(&indices).map(|(key, index)| (vec!["keys", index.as_str()], key.as_ref()));
    let single = own.key.iter().map(|key| (vec!["key"], Some(key)));
    for (option, key) in single.chain(listed) {
        let key = Secret::from(key.map_or("", |it| it.reveal().trim()));
        if key.reveal().is_empty() {
            let path = [&["upstreams", id], option.as_slice()].concat();
            let raw = draft.raw.find(&path).and_then(Node::text).unwrap_or_default();
            missing.extend(draft.environment.unset(raw));
        } else if !is_sendable(&key) {
            draft.upstream_fault(id, &option, &format!("the key {UNSENDABLE}"));
        } else if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let mut reason = (!missing.is_empty()).then(|| not_set(&missing));
    if let Some(name) = &own.key_file {
        match in_file(draft, id, name) {
            Some(more) if more.is_empty() => {
                reason = reason.or_else(|| Some(format!("`{name}` holds no key")))
            }
            more => keys.extend(more.unwrap_or_default()),
        }
    }
    (keys, reason)
}

/// The keys in a file; none after a fault.
fn in_file(draft: &mut Draft, id: &str, name: &str) -> Option<Vec<Secret>> {
    let contents = draft.read(&["upstreams", id, "key_file"], name)?;
    let lines = match key_lines(&contents) {
        Ok(lines) => lines,
        Err(message) => {
            draft.upstream_fault(id, &["key_file"], &format!("`{name}` {message}"));
            return None;
        }
    };
    let keys: Vec<Secret> = lines.into_iter().map(Secret::from).collect();
    if !keys.iter().all(is_sendable) {
        draft.upstream_fault(id, &["key_file"], &format!("a key in `{name}` {UNSENDABLE}"));
    }
    Some(keys)
}

fn is_sendable(key: &Secret) -> bool {
    HeaderValue::from_str(key.reveal()).is_ok()
}
