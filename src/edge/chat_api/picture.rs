//! Pictures as the earlier service sent them: base64 in a field of JSON. What is none is refused before it costs a call.

use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, engine::general_purpose::STANDARD};
use http::StatusCode;

use crate::error::Error;

/// Size of one picture, in bytes.
pub const PICTURE_BYTES_MAX: usize = 10 << 20;

/// Takes base64 with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A picture of a kind that vendors take.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Its media type, by its first bytes.
    pub kind: &'static str,
    pub bytes: Vec<u8>,
}

impl Picture {
    /// From bytes, whatever they are said to be.
    pub fn new(bytes: Vec<u8>) -> Result<Self, Error> {
        if bytes.len() > PICTURE_BYTES_MAX {
            return Err(too_large());
        }
        let kind = kind(&bytes).ok_or_else(no_picture)?;
        Ok(Self { kind, bytes })
    }

    /// From base64, perhaps as a data URI.
    pub fn from_base64(text: &str) -> Result<Self, Error> {
        let text = match text.split_once(";base64,") {
            Some((head, data)) if head.starts_with("data:") => data,
            _ => text,
        };
        let text = text.trim();
        if text.len() / 4 * 3 > PICTURE_BYTES_MAX + 3 {
            return Err(too_large());
        }
        let bytes = LENIENT.decode(text).map_err(|_| {
            Error::bad_request("`image_data` is not base64.").param("image_data").code("invalid_image")
        })?;
        Self::new(bytes)
    }

    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.bytes)
    }

    pub fn to_data_uri(&self) -> String {
        format!("data:{};base64,{}", self.kind, self.to_base64())
    }
}

/// What a data URI holds: media type and base64.
pub fn parts(uri: &str) -> Option<(&str, &str)> {
    uri.strip_prefix("data:")?.split_once(";base64,")
}

fn kind(bytes: &[u8]) -> Option<&'static str> {
    let begins = |sign: &[u8]| bytes.starts_with(sign);
    match bytes {
        _ if begins(b"\x89PNG\r\n\x1a\n") => Some("image/png"),
        _ if begins(b"\xff\xd8\xff") => Some("image/jpeg"),
        _ if begins(b"GIF87a") || begins(b"GIF89a") => Some("image/gif"),
        _ if begins(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => Some("image/webp"),
        // The length of a bitmap's second header, so that no text that begins with BM is one.
        _ if begins(b"BM") && matches!(bytes.get(14..18), Some([12 | 40 | 56 | 108 | 124, 0, 0, 0])) => {
            Some("image/bmp")
        }
        _ => None,
    }
}

fn no_picture() -> Error {
    Error::bad_request("This is no picture; PNG, JPEG, GIF, WebP and BMP are taken.").code("invalid_image")
}

pub fn too_large() -> Error {
    Error::bad_request(format!("A picture may have at most {PICTURE_BYTES_MAX} bytes."))
        .status(StatusCode::PAYLOAD_TOO_LARGE)
        .code("image_too_large")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_known_by_its_first_bytes() {
        let check = |bytes: &[u8], expected: Option<&str>| assert_eq!(kind(bytes), expected, "{bytes:?}");
        check(b"\x89PNG\r\n\x1a\n....", Some("image/png"));
        check(b"\xff\xd8\xff\xe0", Some("image/jpeg"));
        check(b"GIF89a", Some("image/gif"));
        check(b"RIFF\x10\0\0\0WEBPVP8 ", Some("image/webp"));
        check(b"BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0", Some("image/bmp"));
        for bytes in [&b""[..], b"<svg", b"BM is text, and no bitmap", b"RIFF\x10\0\0\0WAVE", b"%PDF-1.7"] {
            check(bytes, None);
        }
    }

    #[test]
    fn base64_comes_with_and_without_a_uri_around_it_and_padding() {
        for text in ["R0lGODlhAQ==", "R0lGODlhAQ", "data:image/png;base64,R0lGODlhAQ==", " R0lGODlhAQ==\n"] {
            let picture = Picture::from_base64(text).unwrap();
            assert_eq!(picture.to_data_uri(), "data:image/gif;base64,R0lGODlhAQ==", "{text}");
        }
        assert_eq!(parts("data:image/gif;base64,R0"), Some(("image/gif", "R0")));
        assert_eq!(parts("https://h/a.png"), None);
    }

    #[test]
    fn what_is_no_picture_or_too_large_is_refused() {
        let check = |text: &str, status: u16| {
            assert_eq!(Picture::from_base64(text).unwrap_err().status.as_u16(), status);
        };
        check("not base64!", 400);
        check("aGVsbG8=", 400);
        check("", 400);
        check(&"A".repeat(PICTURE_BYTES_MAX / 3 * 4 + 16), 413);
    }
}
