//! Takes a picture out of a form and gives it back as base64, for the front-end to send with a message. Nothing is kept.

use memchr::memmem;
use serde_json::{Value, json};

use crate::edge::chat_api::picture::{PICTURE_BYTES_MAX, Picture};
use crate::edge::form;
use crate::error::Error;

/// Bytes of a form around its picture.
const FORM_BYTES_MAX: usize = 64 << 10;

/// Bytes of a form with a picture.
pub const UPLOAD_BYTES_MAX: usize = PICTURE_BYTES_MAX + FORM_BYTES_MAX;

/// Longest name of a file that is given back, in characters.
const NAME_CHARACTERS_MAX: usize = 255;

/// The answer to a whole form with a part named `file`.
pub fn answer(content_type: &[u8], form: &[u8]) -> Result<Value, Error> {
    let delimiter = form::boundary(content_type)?.ok_or_else(no_file)?;
    let (filename, content) = file(form, &delimiter)?.ok_or_else(no_file)?;
    let picture = Picture::new(content.to_vec()).map_err(|it| it.param("file"))?;
    let name: String = filename.chars().take(NAME_CHARACTERS_MAX).collect();
    Ok(json!({
        "success": true,
        "message": "The picture was read.",
        "data": {
            "filename": name,
            "content_type": picture.kind,
            "size": picture.bytes.len(),
            "base64_data": picture.to_base64(),
        }
    }))
}

fn no_file() -> Error {
    Error::bad_request("Send the picture as `file` in a form (`multipart/form-data`).")
        .param("file")
        .code("missing_file")
}

/// The name and the content of the part `file`. `delimiter` as [`form::boundary`] gives it.
fn file<'a>(form: &'a [u8], delimiter: &str) -> Result<Option<(String, &'a [u8])>, Error> {
    let broken = || form::malformed("it ends before its last delimiter");
    // Of every part but the first the line end before it belongs to the delimiter.
    let (first, next) = (delimiter.as_bytes(), format!("\r\n{delimiter}"));
    let mut rest = match form.strip_prefix(first) {
        Some(rest) => rest,
        None => behind(form, next.as_bytes()).ok_or_else(broken)?,
    };
    while !rest.starts_with(b"--") {
        let part = behind(rest, b"\r\n").ok_or_else(broken)?;
        let head = memmem::find(part, b"\r\n\r\n").ok_or_else(broken)? + 4;
        let end = memmem::find(&part[head..], next.as_bytes()).ok_or_else(broken)? + head;
        if let Some((name, filename)) = form::names(&part[..head])
            && name == "file"
        {
            return Ok(Some((filename.unwrap_or_default(), &part[head..end])));
        }
        rest = &part[end + next.len()..];
    }
    Ok(None)
}

fn behind<'a>(text: &'a [u8], sign: &[u8]) -> Option<&'a [u8]> {
    memmem::find(text, sign).map(|at| &text[at + sign.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &[u8] = b"multipart/form-data; boundary=xY";

    fn form(parts: &[(&str, &str)]) -> Vec<u8> {
        let part = |(head, content): &(&str, &str)| {
            format!("--xY\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
        };
        let parts: String = parts.iter().map(part).collect();
        format!("{parts}--xY--\r\n").into_bytes()
    }

    #[test]
    fn a_picture_comes_back_as_base64() {
        let picture = "name=\"file\"; filename=\"a b.gif\"\r\nContent-Type: text/html";
        for parts in [vec![(picture, "GIF89a\r\n--x")], vec![("name=\"x\"", "1"), (picture, "GIF89a\r\n--x")]]
        {
            let answer = answer(KIND, &form(&parts)).unwrap();
            let data = &answer["data"];
            assert_eq!((&answer["success"], &data["filename"]), (&json!(true), &json!("a b.gif")));
            assert_eq!((&data["content_type"], &data["size"]), (&json!("image/gif"), &json!(11)));
            assert_eq!(data["base64_data"], "R0lGODlhDQotLXg=");
        }
    }

    #[test]
    fn what_holds_no_picture_is_refused() {
        let check = |kind: &[u8], form: &[u8], code: &str| {
            let error = answer(kind, form).unwrap_err();
            assert_eq!((error.status.as_u16(), error.code.as_deref()), (400, Some(code)));
        };
        check(KIND, &form(&[("name=\"file\"; filename=\"a.png\"", "<svg/>")]), "invalid_image");
        check(KIND, &form(&[("name=\"other\"", "GIF89a")]), "missing_file");
        check(KIND, &form(&[]), "missing_file");
        check(b"application/json", b"{}", "missing_file");
        for text in ["", "--xY", "--xY\r\nno headers", "--xY\r\nA: b\r\n\r\nGIF89a"] {
            check(KIND, text.as_bytes(), "invalid_form");
        }
        let large = "GIF89a".to_owned() + &"x".repeat(PICTURE_BYTES_MAX);
        let error = answer(KIND, &form(&[("name=\"file\"", &large)])).unwrap_err();
        assert_eq!((error.status.as_u16(), error.param.as_deref()), (413, Some("file")));
    }
}
