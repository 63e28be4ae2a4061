//! What a form says of itself: the boundary in its content type, and the headers of its parts. Strict, since what two
//! readers could understand differently must not pass.

use memchr::memchr;

use crate::error::Error;

/// RFC 2046, section 5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;

/// The delimiter of a `multipart/form-data` content type; `None` for what is no form.
pub fn boundary(content_type: &[u8]) -> Result<Option<String>, Error> {
    let refused = |why: &str| {
        Err(Error::bad_request(format!("The `content-type` of the form {why}.")).code("invalid_content_type"))
    };
    let (kind, rest) = content_type.split_at(memchr(b';', content_type).unwrap_or(content_type.len()));
    let kind = kind.trim_ascii().to_ascii_lowercase();
    if !kind.starts_with(b"multipart/") {
        return Ok(None);
    }
    if kind != b"multipart/form-data" {
        return refused("is not `multipart/form-data`");
    }
    let Some(parameters) = parameters(rest) else { return refused("cannot be parsed") };
    // `boundary*=` is an encoded spelling of the same (RFC 2231), which some readers prefer.
    let mut named = parameters.iter().filter(|(name, _)| name == "boundary" || name.starts_with("boundary*"));
    let (Some((name, value)), None) = (named.next(), named.next()) else {
        return refused("must name one boundary");
    };
    let allowed = |it: &u8| is_token(*it) || b"/:=?(), ".contains(it);
    if name != "boundary"
        || !(1..=BOUNDARY_BYTES_MAX).contains(&value.len())
        || value.ends_with(b" ")
        || !value.iter().all(allowed)
    {
        return refused("names a boundary that RFC 2046 does not allow");
    }
    Ok(Some(format!("--{}", String::from_utf8_lossy(value))))
}

/// Refuses a form for what is wrong in it.
pub fn malformed(why: &str) -> Error {
    Error::bad_request(format!("The form cannot be read: {why}.")).code("invalid_form")
}

/// Whether a part's headers, up to and including their empty line, say that its content is the model's name.
pub fn is_model(headers: &[u8]) -> Result<bool, Error> {
    let mut parsed = [httparse::EMPTY_HEADER; 32];
    let Ok(httparse::Status::Complete((_, parsed))) = httparse::parse_headers(headers, &mut parsed) else {
        return Err(malformed("a part's headers are not lines of headers"));
    };
    let all = |name: &'static str| parsed.iter().filter(move |it| it.name.eq_ignore_ascii_case(name));
    let mut dispositions = all("content-disposition");
    let Some(disposition) = dispositions.next() else { return Ok(false) };
    let value = disposition.value;
    let (kind, rest) = value.split_at(memchr(b';', value).unwrap_or(value.len()));
    let is_single = dispositions.next().is_none() && kind.trim_ascii().iter().all(|it| is_token(*it));
    let found = parameters(rest).filter(|_| is_single);
    let Some(found) = found else {
        return Err(malformed("a part has no single readable `content-disposition`"));
    };
    let mut names = found.iter().filter(|(it, _)| it == "name" || it.starts_with("name*"));
    let mut files = found.iter().filter(|(it, _)| it == "filename");
    let (name, file) = (names.next(), files.next());
    if names.next().is_some() || files.next().is_some() || name.is_some_and(|(it, _)| it != "name") {
        return Err(malformed("a part has more than one name"));
    }
    let Some((_, name)) = name else { return Ok(false) };
    let plain: Vec<u8> = name.iter().copied().filter(|it| *it != b'\\').collect();
    let is_file = file.is_some_and(|(_, it)| !it.is_empty());
    if is_file || !plain.trim_ascii().eq_ignore_ascii_case(b"model") {
        return Ok(false);
    }
    let as_it_is = |it: &[u8]| {
        [&b"7bit"[..], b"8bit", b"binary"].iter().any(|known| it.trim_ascii().eq_ignore_ascii_case(known))
    };
    let is_clear = *name == b"model"
        && !found.iter().any(|(it, _)| it.starts_with("filename"))
        && all("content-transfer-encoding").all(|it| as_it_is(it.value));
    match is_clear {
        true => Ok(true),
        false => Err(malformed("a part is a field `model` to some readers only").param("model")),
    }
}

/// The name of a part and that of its file, by its headers up to and including their empty line; None where it has none
/// that can be read.
pub fn names(headers: &[u8]) -> Option<(String, Option<String>)> {
    let mut parsed = [httparse::EMPTY_HEADER; 32];
    let Ok(httparse::Status::Complete((_, parsed))) = httparse::parse_headers(headers, &mut parsed) else {
        return None;
    };
    let value = parsed.iter().find(|it| it.name.eq_ignore_ascii_case("content-disposition"))?.value;
    let found = parameters(&value[memchr(b';', value)?..])?;
    let text = |wanted: &str| {
        let value = found.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
        value.map(|it| String::from_utf8_lossy(it).into_owned())
    };
    Some((text("name")?, text("filename")))
}

/// The parameters behind a header's value (RFC 9110, section 5.6.6), names in lower case, quoted values as they stand
/// between the quotes. `None`: not all of it can be read, or not by everybody alike.
fn parameters(mut rest: &[u8]) -> Option<Vec<(String, &[u8])>> {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(found);
        }
        rest = rest.strip_prefix(b";")?.trim_ascii_start();
        if rest.is_empty() || rest.starts_with(b";") {
            continue;
        }
        let (name, after) = rest.split_at(rest.iter().take_while(|it| is_token(**it)).count());
        let after = after.strip_prefix(b"=").filter(|_| !name.is_empty())?;
        let value = match after.strip_prefix(b"\"") {
            Some(quoted) => &quoted[..quoted_length(quoted)?],
            None => {
                let is_bare = |it: &&u8| is_token(**it) || b"/:=?".contains(it);
                &after[..after.iter().take_while(is_bare).count()]
            }
        };
        rest = &after[value.len() + if after.starts_with(b"\"") { 2 } else { 0 }..];
        found.push((String::from_utf8_lossy(name).to_ascii_lowercase(), value));
    }
}

/// Bytes up to the closing quote.
fn quoted_length(quoted: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let end = quoted.iter().position(|it| {
        let closes = *it == b'"' && !escaped;
        escaped = *it == b'\\' && !escaped;
        closes
    })?;
    // A reader that splits at semicolons, or knows no escapes, would find other parameters in there.
    let has = |it: u8| memchr(it, &quoted[..end]).is_some();
    (!(has(b';') && (has(b'=') || has(b'\\')))).then_some(end)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forms_have_a_boundary() {
        let of = |it: &str| boundary(it.as_bytes());
        for (content_type, delimiter) in [
            ("multipart/form-data; charset=x; Boundary=\"a b\"", Some("--a b")),
            ("Multipart/Form-Data;boundary=----=_Part_1.2:3?/;", Some("------=_Part_1.2:3?/")),
            ("multipart/form-data; boundary=*****", Some("--*****")),
            ("application/json", None),
            ("", None),
        ] {
            assert_eq!(of(content_type).unwrap().as_deref(), delimiter, "{content_type}");
        }
        assert_eq!(
            of(&format!("multipart/form-data; boundary={}", "a".repeat(70))).unwrap().unwrap().len(),
            72
        );
    }

    #[test]
    fn a_content_type_that_two_readers_could_read_differently_is_refused() {
        for rest in [
            "",
            "; charset=x",
            "; boundary=",
            "; boundary=\"\"",
            "; boundary=\"a",
            "; boundary=\"a \"",
            "; boundary=\"a\\b\"",
            "; boundary=\"a;b=c\"",
            "; boundary = a",
            "; boundary=a b",
            "; boundary=a, multipart/form-data; boundary=b",
            "; boundary=a; boundary=b",
            "; boundary=a; BOUNDARY=\"a\"",
            "; boundary=a; boundary*=utf-8''b",
            "; boundary*0=a",
            "; x=\"; boundary=b\"; boundary=a",
            "; boundary=\u{e4}",
        ] {
            let error = boundary(format!("multipart/form-data{rest}").as_bytes()).expect_err(rest);
            assert_eq!((error.status.as_u16(), error.code.as_deref()), (400, Some("invalid_content_type")));
        }
        assert!(boundary(b"multipart/mixed; boundary=a").is_err());
        assert!(boundary(format!("multipart/form-data; boundary={}", "a".repeat(71)).as_bytes()).is_err());
    }

    #[track_caller]
    fn check(disposition: &str, expected: Option<bool>) {
        let headers = format!("Content-Type: text/plain\r\ncontent-disposition: {disposition}\r\n\r\n");
        assert_eq!(is_model(headers.as_bytes()).ok(), expected, "{disposition}");
    }

    #[test]
    fn a_part_is_the_model_or_is_not() {
        for disposition in
            ["form-data; name=\"model\"", "form-data;NAME=model ;", "form-data; x=\"a;b\"; name=model"]
        {
            check(disposition, Some(true));
        }
        for disposition in [
            "form-data",
            "form-data; name=\"models\"",
            "form-data; name=\"file\"; filename=\"model\"",
            "form-data; name=\"model\"; filename=\"a.wav\"",
            "form-data; filename=\"C:\\a\\b.wav\"; name=\"Model\"",
            "form-data; name=\"file\"; filename=\"\u{e4}; b.wav\"; filename*=utf-8''%C3%A4.wav",
            "form-data; name=\"a\\\"b\"",
        ] {
            check(disposition, Some(false));
        }
    }

    #[test]
    fn a_part_that_only_some_readers_take_for_the_model_is_refused() {
        for disposition in [
            "form-data; name=\"Model\"",
            "form-data; name=\" model\"",
            "form-data; name=\"mod\\el\"",
            "form-data; name=\"model",
            "form-data; name=x; name=model",
            "form-data; name=x; name*=utf-8''model",
            "form-data; name*0=mo; name*1=del",
            "form-data; name=\"model\"; filename=\"\"",
            "form-data; name=\"model\"; filename*=utf-8''a",
            "form-data; name=\"a\"; filename=\"x\\\"; name=model; y=\\\"z\"",
            "form-data; name=\"a\"; filename=\"x; name=model\"",
            "form-data, name=model",
            "form-data; name=\"model\"\r\nContent-Disposition: form-data; name=\"x\"",
            "form-data; name=\"model\"\r\nContent-Transfer-Encoding: base64",
            "form-data;\r\n name=\"model\"",
            "form-data; name=\"x\"\r\nContent-Disposition : form-data; name=\"model\"",
            "form-data; name=\"x\"\rContent-Disposition: form-data; name=\"model\"",
        ] {
            check(disposition, None);
        }
        check("form-data; name=\"model\"\r\nContent-Transfer-Encoding: 8Bit", Some(true));
    }
}
