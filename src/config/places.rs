//! Fills the placeholders of the catalogue's addresses: with the upstream's options, or the environment, or a default.

use crate::upstream::options::UpstreamOptions;
use crate::vendor::catalogue::CatalogueEntry;

use super::env::Environment;
use super::load::Draft;

/// Longest text that goes into an address.
const PLACE_BYTES_MAX: usize = 128;

/// Placeholders that are filled for each call.
const OF_CALLS: [&str; 2] = ["model", "call"];

/// A location without a host of its own.
const GLOBAL: &str = "global";

/// `text` of the catalogue with its placeholders filled; a fault for each that cannot be.
pub(super) fn filled(
    draft: &mut Draft,
    id: &str,
    own: &UpstreamOptions,
    vendor: &CatalogueEntry,
    text: &str,
) -> Option<String> {
    let mut filled = text.to_owned();
    let mut is_whole = true;
    for name in names(text) {
        let place = name.trim_end_matches('-');
        match place_of(draft, id, own, vendor, place) {
            Some(value) if name.ends_with('-') => {
                let value = if value == GLOBAL { String::new() } else { format!("{value}-") };
                filled = filled.replace(&format!("{{{name}}}"), &value);
            }
            Some(value) => filled = filled.replace(&format!("{{{name}}}"), &value),
            None => is_whole = false,
        }
    }
    is_whole.then_some(filled)
}

/// The text for one placeholder, or a fault.
pub(super) fn place_of(
    draft: &mut Draft,
    id: &str,
    own: &UpstreamOptions,
    vendor: &CatalogueEntry,
    name: &str,
) -> Option<String> {
    let Some(value) = known(&draft.environment, own, vendor, name) else {
        let variables = variables(vendor, name).join(" or ");
        let message = match variables.as_str() {
            "" => format!("needs a `{name}`"),
            variables => format!("needs a `{name}`, or {variables} in the environment"),
        };
        draft.upstream_fault(id, &[name], &message);
        return None;
    };
    let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.' | ':');
    if value.len() > PLACE_BYTES_MAX || !value.chars().all(is_plain) {
        let message = format!("`{name}` is 1 to {PLACE_BYTES_MAX} letters, digits, `-`, `_`, `.` or `:`");
        draft.upstream_fault(id, &[name], &message);
        return None;
    }
    Some(value)
}

/// The first variable that discovery misses to fill all placeholders of the vendor's address.
pub(super) fn missing(environment: &Environment, vendor: &CatalogueEntry) -> Option<String> {
    let own = UpstreamOptions::default();
    let all = names(vendor.base_url.as_deref().unwrap_or_default());
    let mut empty = all
        .iter()
        .map(|it| it.trim_end_matches('-'))
        .filter(|name| known(environment, &own, vendor, name).is_none());
    empty.next().map(|name| variables(vendor, name).first().cloned().unwrap_or_else(|| name.to_owned()))
}

fn known(
    environment: &Environment,
    own: &UpstreamOptions,
    vendor: &CatalogueEntry,
    name: &str,
) -> Option<String> {
    let written = match name {
        "region" => &own.region,
        "project" => &own.project,
        "location" => &own.location,
        "resource" => &own.resource,
        "api_version" => &own.api_version,
        _ => &None,
    };
    let written = written.as_deref().map(str::trim).filter(|it| !it.is_empty());
    let variables = variables(vendor, name);
    let set = || variables.iter().find_map(|it| environment.value(it));
    let default = || vendor.places.get(name).and_then(|it| it.default.as_deref());
    written.or_else(set).or_else(default).map(Into::into)
}

/// The variables that may fill a placeholder; AWS's region is the same for vendors that the catalogue does not know.
fn variables(vendor: &CatalogueEntry, name: &str) -> Vec<String> {
    match vendor.places.get(name) {
        Some(place) => place.env.clone(),
        None if name == "region" => vec!["AWS_REGION".into(), "AWS_DEFAULT_REGION".into()],
        None => Vec::new(),
    }
}

/// The names in `{name}`, each once.
fn names(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for piece in text.split('{').skip(1) {
        let name = piece.split('}').next().unwrap_or_default();
        if !OF_CALLS.contains(&name) && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
