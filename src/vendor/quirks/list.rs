//! Lists of which some elements change.

use std::borrow::Cow;

use crate::api::fields::{Fields, elements};

/// A list of objects of which some change; None where none does.
pub(super) fn changed(list: &str, mut change: impl FnMut(&Fields<'_>) -> Option<String>) -> Option<String> {
    let mut is_changed = false;
    let mut written: Vec<Cow<'_, str>> = Vec::new();
    for item in elements(list)? {
        let new = Fields::read(item.get()).and_then(|it| change(&it));
        is_changed |= new.is_some();
        written.push(new.map_or(Cow::Borrowed(item.get()), Cow::Owned));
    }
    is_changed.then(|| format!("[{}]", written.join(",")))
}
