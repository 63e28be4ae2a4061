//! Changes a few values of a JSON body in place, leaving every other byte as the client wrote it.

use std::ops::Range;

use bytes::Bytes;

/// Up to this size the edited body is copied into one piece, in bytes: one write is cheaper than several.
const COPY_BYTES_MAX: usize = 64 << 10;

/// Replacements to make in one body, applied together.
#[derive(Debug, Default)]
pub struct Edits(Vec<(Range<usize>, Bytes)>);

impl Edits {
    pub fn replace(&mut self, place: Range<usize>, text: impl Into<Bytes>) {
        self.0.push((place, text.into()));
    }

    pub fn insert(&mut self, at: usize, text: impl Into<Bytes>) {
        self.replace(at..at, text);
    }

    /// The edited body in pieces: slices of the original between the new texts, never a copy of a large body.
    /// Edits at the same place keep the order in which they were made.
    pub fn apply(mut self, body: &Bytes) -> Vec<Bytes> {
        if self.0.is_empty() {
            return vec![body.clone()];
        }
        self.0.sort_by_key(|(place, _)| place.start);
        let mut pieces = Vec::with_capacity(2 * self.0.len() + 1);
        let mut at = 0;
        for (place, text) in self.0 {
            pieces.push(body.slice(at..place.start));
            pieces.push(text);
            at = place.end;
        }
        pieces.push(body.slice(at..));
        pieces.retain(|it| !it.is_empty());
        joined_if_small(pieces)
    }
}

fn joined_if_small(pieces: Vec<Bytes>) -> Vec<Bytes> {
    let total: usize = pieces.iter().map(Bytes::len).sum();
    match total > COPY_BYTES_MAX {
        true => pieces,
        false => vec![joined(&pieces)],
    }
}

/// Pieces in one; what is one already is not copied.
pub fn joined(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [whole] => whole.clone(),
        pieces => pieces.concat().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_places_change() {
        let body = Bytes::from_static(br#"{ "model" : "a", "n":12345678901234567890123 }"#);
        let mut edits = Edits::default();
        edits.replace(12..15, "\"vendor-a\"");
        edits.insert(1, "\"x\":1,");
        edits.insert(1, "\"y\":2,");
        let edited = edits.apply(&body).concat();
        assert_eq!(
            String::from_utf8(edited).unwrap(),
            r#"{"x":1,"y":2, "model" : "vendor-a", "n":12345678901234567890123 }"#
        );
    }

    #[test]
    fn a_large_body_is_shared_not_copied() {
        let body = Bytes::from(vec![b'x'; 1 << 20]);
        let mut edits = Edits::default();
        edits.replace(10..20, "new");
        let pieces = edits.apply(&body);
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[2].as_ptr(), body[20..].as_ptr());
    }
}
