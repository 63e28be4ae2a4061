//! Uploaded files, of which only the description is kept; and the little of multipart forms that this needs.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use memchr::memmem;
use serde_json::{Value, json};

use super::call::{Answer, Call, Refusal};

/// Descriptions kept; the oldest gives way.
const FILES_MAX: usize = 256;
/// Longest file name or purpose that is kept.
const NAME_BYTES_MAX: usize = 256;

/// The newest files, oldest first. The lock is held for a search through [`FILES_MAX`] entries at most.
#[derive(Default)]
pub(super) struct Shelf(Mutex<VecDeque<Value>>);

impl Shelf {
    pub fn add(&self, call: &Call<'_>, body: &Bytes) -> Result<Answer, Refusal> {
        let pace = call.admit("")?;
        let Some((head, content)) = form_field(body, "file") else {
            return Err(Refusal::invalid(Some("file"), "The form has no field `file`."));
        };
        let file = json!({
            "id": format!("file-{}", call.id), "object": "file", "bytes": content.len(),
            "created_at": call.created, "filename": name(file_name(head)),
            "purpose": name(form_field(body, "purpose").map_or(b"", |(_, value)| value)),
            "status": "processed",
        });
        let answer = Answer::value(&file, pace.first);
        let mut files = self.files();
        if files.len() == FILES_MAX {
            files.pop_front();
        }
        files.push_back(file);
        Ok(answer)
    }

    pub fn list(&self) -> Value {
        json!({"object": "list", "data": *self.files(), "has_more": false})
    }

    pub fn find(&self, id: &str) -> Result<Value, Refusal> {
        self.files().iter().find(|it| it["id"] == id).cloned().ok_or_else(|| missing(id))
    }

    pub fn remove(&self, id: &str) -> Result<Answer, Refusal> {
        let mut files = self.files();
        let at = files.iter().position(|it| it["id"] == id).ok_or_else(|| missing(id))?;
        files.remove(at);
        Ok(Answer::value(&json!({"id": id, "object": "file", "deleted": true}), Duration::ZERO))
    }

    fn files(&self) -> MutexGuard<'_, VecDeque<Value>> {
        // No code under this lock can leave the list half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Headers and content of a field of a multipart form (RFC 7578).
pub(super) fn form_field<'a>(body: &'a [u8], name: &str) -> Option<(&'a [u8], &'a [u8])> {
    let boundary = &body[..memmem::find(body, b"\r\n")?];
    let delimiter = [b"\r\n", boundary].concat();
    let wanted = format!(" name=\"{name}\"");
    let mut rest = body;
    loop {
        let head_end = memmem::find(rest, b"\r\n\r\n")?;
        let (head, content) = (&rest[..head_end], &rest[head_end + 4..]);
        let content_end = memmem::find(content, &delimiter)?;
        if memmem::find(head, wanted.as_bytes()).is_some() {
            return Some((head, &content[..content_end]));
        }
        rest = &content[content_end + delimiter.len()..];
    }
}

fn file_name(head: &[u8]) -> &[u8] {
    const MARK: &[u8] = b"filename=\"";
    let named = memmem::find(head, MARK).map_or(b"".as_slice(), |at| &head[at + MARK.len()..]);
    &named[..memchr::memchr(b'"', named).unwrap_or(0)]
}

fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(NAME_BYTES_MAX)]).into_owned()
}

fn missing(id: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("There is no file `{id}`."))
}
