//! Frames the events that clients get: a name where the dialect has one, the data on one line.

/// Adds an event whose data `write` writes; `name` is empty where events have none.
pub fn event(out: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    if !name.is_empty() {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    let from = out.len();
    out.extend_from_slice(b"data: ");
    write(out);
    end(out, from);
}

/// Ends the event whose `data:` stands at `from`. What somebody else wrote as JSON may have line breaks, which stand
/// between values only: a space is as good there, and does not end the line.
pub fn end(out: &mut Vec<u8>, from: usize) {
    if let Some(at) = memchr::memchr2(b'\n', b'\r', &out[from..]) {
        out[from + at..].iter_mut().filter(|it| matches!(it, b'\n' | b'\r')).for_each(|it| *it = b' ');
    }
    out.extend_from_slice(b"\n\n");
}

/// The vendor lives.
pub const PING: &[u8] = b": ping\n\n";

/// The end of a stream, in OpenAI's older dialects.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_stands_on_one_line() {
        let mut out = b"a\n\n".to_vec();
        event(&mut out, "b", |it| it.extend_from_slice(b"{\r\n\"c\": 1\n}"));
        event(&mut out, "", |it| it.extend_from_slice(b"{}"));
        assert_eq!(out, b"a\n\nevent: b\ndata: {  \"c\": 1 }\n\ndata: {}\n\n");
    }
}
