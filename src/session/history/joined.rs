//! Joins messages by commas, without copying them as a rule: what stands together in a text stays one piece.

use std::ops::Range;

use bytes::Bytes;

/// Most pieces handed on as they are: a copy costs less than writing many small ones.
const PIECES_MAX: usize = 16;

/// Pieces while they are joined.
#[derive(Default)]
pub(super) struct Joined {
    pieces: Vec<Bytes>,
    /// A part of the text that is not among the pieces yet: perhaps it goes on.
    run: Range<usize>,
}

impl Joined {
    /// Adds a part of `text`, which has one comma behind every part that is not empty.
    pub(super) fn slice(&mut self, text: &Bytes, place: Range<usize>) {
        match (place.is_empty(), self.run.is_empty()) {
            (true, _) => {}
            (false, false) if place.start == self.run.end + 1 => self.run.end = place.end,
            (false, _) => {
                self.flush(text);
                self.run = place;
            }
        }
    }

    /// Adds messages that do not stand in the text.
    pub(super) fn piece(&mut self, text: &Bytes, messages: Bytes) {
        if !messages.is_empty() {
            self.flush(text);
            self.push(messages);
        }
    }

    pub(super) fn end(mut self, text: &Bytes) -> Vec<Bytes> {
        self.flush(text);
        match self.pieces.len() {
            ..=PIECES_MAX => self.pieces,
            _ => vec![self.pieces.concat().into()],
        }
    }

    fn flush(&mut self, text: &Bytes) {
        let run = std::mem::take(&mut self.run);
        if !run.is_empty() {
            self.push(text.slice(run));
        }
    }

    fn push(&mut self, piece: Bytes) {
        if !self.pieces.is_empty() {
            self.pieces.push(Bytes::from_static(b","));
        }
        self.pieces.push(piece);
    }
}
