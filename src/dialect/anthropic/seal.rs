//! Seals in Anthropic's fields. Its own are carried as they are; those of other dialects come to Anthropic's clients
//! with a tag that names their dialect, and are known by it when they come back.

use std::borrow::Cow;

use crate::dialect::Dialect;
use crate::dialect::prompt::Seal;
use crate::dialect::seal::{is_plain, tagged, untagged};

/// As a client gets it, in `signature` or the `data` of `redacted_thinking`.
pub(super) fn told(seal: &Seal) -> Cow<'_, str> {
    match is_plain(seal, Dialect::Anthropic) {
        true => Cow::Borrowed(&seal.data),
        false => Cow::Owned(tagged(seal.dialect, &seal.data)),
    }
}

/// Whose it is, and what was in it. An unknown tag is none.
pub(super) fn read(text: &str, is_whole: bool) -> Seal {
    let (dialect, data) = untagged(text).unwrap_or((Dialect::Anthropic, text));
    Seal { dialect, data: data.into(), is_whole }
}
