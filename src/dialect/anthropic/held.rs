//! Calls that begin while another one is not whole: the API tells one block after the other, so their pieces wait.

use std::collections::VecDeque;

/// Most bytes of arguments that wait; beyond it the call before is taken for whole.
const HELD_MAX: usize = 1 << 22;

/// A call that waits, and its arguments so far.
#[derive(Debug, Default, PartialEq)]
pub(super) struct HeldCall {
    pub call: u32,
    pub id: String,
    pub name: String,
    pub is_custom: bool,
    pub arguments: String,
}

#[derive(Debug, Default)]
pub(super) struct Held {
    calls: VecDeque<HeldCall>,
    bytes: usize,
}

impl Held {
    pub fn is_full(&self) -> bool {
        self.bytes > HELD_MAX
    }

    pub fn push(&mut self, call: HeldCall) {
        self.bytes += call.id.len() + call.name.len();
        self.calls.push_back(call);
    }

    /// Adds to a call that waits; any other is written already.
    pub fn go_on(&mut self, call: u32, arguments: &str) {
        if let Some(held) = self.calls.iter_mut().find(|it| it.call == call) {
            self.bytes += arguments.len();
            held.arguments.push_str(arguments);
        }
    }

    pub fn next(&mut self) -> Option<HeldCall> {
        let next = self.calls.pop_front()?;
        self.bytes -= next.arguments.len() + next.id.len() + next.name.len();
        Some(next)
    }
}

/// Follows JSON as it comes in pieces, to know when a value is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Whole {
    depth: u32,
    begun: bool,
    in_string: bool,
    escaped: bool,
}

impl Whole {
    pub fn push(&mut self, piece: &str) {
        for byte in piece.bytes() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            self.begun |= !byte.is_ascii_whitespace();
        }
    }

    pub fn is_whole(&self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_whole_when_its_last_bracket_closes() {
        let check = |pieces: &[&str], whole: bool| {
            let mut json = Whole::default();
            pieces.iter().for_each(|it| json.push(it));
            assert_eq!(json.is_whole(), whole, "{pieces:?}");
        };
        check(&[], false);
        check(&[" "], false);
        check(&["{", "}"], true);
        check(&["{\"a\":\"}", "\\", "\"}\""], false);
        check(&["{\"a\":\"}", "\\", "\"}\"}"], true);
        check(&["{\"a\":[{}"], false);
        check(&["{\"a\":[{}]}"], true);
        check(&["]"], true);
    }
}
