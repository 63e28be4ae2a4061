//! Names for documents that have none: OpenAI refuses the data of a file without one.

use memchr::memmem;

use super::list::changed;
use crate::api::fields::{Fields, quoted};
use crate::dialect::sources::usual_name;

/// Whether a piece of a body may have a document.
pub(super) fn has_documents(piece: &[u8]) -> bool {
    memmem::find(piece, b"\"file_data\"").is_some()
}

/// The list of messages with names for all documents; None where they have them.
pub(super) fn named(messages: &str) -> Option<String> {
    changed(messages, |message| {
        let parts = changed(message.value("content")?, part)?;
        Some(message.with("content", Some(&parts)))
    })
}

fn part(part: &Fields<'_>) -> Option<String> {
    let file = Fields::read(part.value("file")?)?;
    let data = file.text("file_data").filter(|_| file.value("filename").is_none())?;
    let name = quoted(usual_name(data.starts_with("data:text/")));
    Some(part.with("file", Some(&file.with("filename", Some(&name)))))
}
