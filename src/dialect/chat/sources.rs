//! Sources at the top of an answer, as vendors that search state them.

use std::collections::HashSet;

use crate::api::fields::{Fields, elements};
use crate::api::surrogates;
use crate::dialect::cited::{Cited, Source};
use crate::dialect::json::Json;
use crate::dialect::read::text_of;

/// Reads them (Perplexity's `search_results` and `citations`, xAI's `citations`), by their
/// addresses, as annotations.
pub fn read(fields: &Fields) -> Vec<(String, Json)> {
    let list = |name: &str| fields.value(name).and_then(elements).unwrap_or_default();
    let results = list("search_results").into_iter().filter_map(|it| {
        let result = Fields::read(it.get())?;
        Some((text_of(&result, "url")?, text_of(&result, "title").unwrap_or_default()))
    });
    let urls = list("citations").into_iter().filter_map(|it| match surrogates::text(it.get()) {
        Some(url) => Some((url.into_owned(), String::new())),
        None => Some((text_of(&Fields::read(it.get())?, "url")?, String::new())),
    });
    let all = results.chain(urls).map(|(url, title)| {
        let source = Source::Web { url: url.as_str().into(), title: title.into() };
        let citation = Cited::of(source, None).write();
        (url, citation)
    });
    let mut seen = HashSet::new();
    all.filter(|(url, _)| seen.insert(url.clone())).collect()
}
