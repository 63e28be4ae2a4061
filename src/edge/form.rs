//! Finds the `model` field of a form that is still coming in (RFC 7578), so that a file can be routed without being held.
//! Byte-exact: nothing is parsed beyond the part headers, and what was read goes out as it came.

use std::ops::Range;

use memchr::memmem;

/// What is known of the form so far.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// The model's name stands here.
    Model(Range<usize>),
    /// The form has ended without one.
    NoModel,
    /// More is needed.
    NotYet,
}

/// The delimiter of a `multipart/form-data` content type.
pub fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|it| {
        let (name, value) = it.trim().split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then(|| value.trim_matches('"'))
    })?;
    // RFC 2046, section 5.1.1: 1 to 70 characters.
    (1..=70).contains(&value.len()).then(|| format!("--{value}"))
}

/// Walks a form part by part; remembers where it stopped, so that a growing body is searched once.
pub struct FormScan {
    delimiter: Vec<u8>,
    /// Where the next delimiter is looked for.
    at: usize,
}

impl FormScan {
    pub fn new(boundary: &str) -> Self {
        Self { delimiter: boundary.as_bytes().to_vec(), at: 0 }
    }

    /// Looks on in `form`, which holds all that has come so far.
    pub fn look(&mut self, form: &[u8]) -> Found {
        while let Some(place) = memmem::find(&form[self.at..], &self.delimiter) {
            let delimiter = self.at + place;
            let headers = delimiter + self.delimiter.len();
            if form[headers..].starts_with(b"--") {
                return Found::NoModel;
            }
            let Some(length) = memmem::find(&form[headers..], b"\r\n\r\n") else {
                self.at = delimiter;
                return Found::NotYet;
            };
            let content = headers + length + 4;
            if !names_model(&form[headers..content]) {
                self.at = content;
                continue;
            }
            let end = [b"\r\n", &self.delimiter[..]].concat();
            let Some(length) = memmem::find(&form[content..], &end) else {
                self.at = delimiter;
                return Found::NotYet;
            };
            return Found::Model(content..content + length);
        }
        // The delimiter may have come in half.
        self.at = self.at.max(form.len().saturating_sub(self.delimiter.len()));
        Found::NotYet
    }
}

/// Whether a part's headers say `Content-Disposition: form-data; name="model"`.
fn names_model(headers: &[u8]) -> bool {
    let Some(headers) = headers.strip_prefix(b"\r\n") else { return false };
    let mut parsed = [httparse::EMPTY_HEADER; 16];
    let Ok(httparse::Status::Complete((_, parsed))) = httparse::parse_headers(headers, &mut parsed) else {
        return false;
    };
    parsed.iter().filter(|it| it.name.eq_ignore_ascii_case("content-disposition")).any(|it| {
        let value = String::from_utf8_lossy(it.value);
        let is_file = value.to_ascii_lowercase().contains("filename");
        !is_file
            && value.split(';').any(|part| {
                part.trim().split_once('=').is_some_and(|(name, value)| {
                    name.trim().eq_ignore_ascii_case("name") && value.trim().trim_matches('"') == "model"
                })
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "--xY\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\nContent-Type: audio/wav\r\n\r\nRIFF--xname=\"model\"\r\n\r\nnot-it\r\n--xY\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--xY--\r\n";

    #[test]
    fn the_model_is_found_wherever_it_stands_and_however_the_bytes_come() {
        for step in [1, 2, 7, FORM.len()] {
            let mut scan = FormScan::new(&boundary("multipart/form-data; boundary=xY").unwrap());
            let found = (step..=FORM.len() + step)
                .step_by(step)
                .map(|end| scan.look(&FORM.as_bytes()[..end.min(FORM.len())]))
                .find(|it| *it != Found::NotYet);
            let Some(Found::Model(place)) = found else { panic!("step {step}: {found:?}") };
            assert_eq!(&FORM[place], "whisper-1");
        }
    }

    #[test]
    fn a_form_without_a_model_ends_so() {
        let form = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nmodel\r\n--b--\r\n";
        assert_eq!(FormScan::new("--b").look(form.as_bytes()), Found::NoModel);
    }

    #[test]
    fn only_forms_have_a_boundary() {
        assert_eq!(boundary("multipart/form-data; charset=x; Boundary=\"a b\"").as_deref(), Some("--a b"));
        assert_eq!(boundary("application/json"), None);
        assert_eq!(boundary("multipart/mixed; boundary=a"), None);
        assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "a".repeat(71))), None);
    }
}
