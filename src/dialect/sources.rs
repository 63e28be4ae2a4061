//! Bytes as OpenAI's dialects hold them: data URIs, and recordings by the name of their format.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::prompt::Source;

/// Of bytes that nobody named a type of.
pub const TYPE_UNKNOWN: &str = "application/octet-stream";

/// What an address means: a data URI holds the bytes themselves.
pub fn of_url(url: String, media_type: Option<String>) -> Source {
    of_data_uri(&url).unwrap_or(Source::Url { url, media_type })
}

/// The bytes of a data URI; None where they are not in base64, or it is none.
pub fn of_data_uri(url: &str) -> Option<Source> {
    let (head, base64) = url.strip_prefix("data:")?.split_once(',')?;
    let named = head.strip_suffix(";base64")?.split(';').next();
    let media_type = named.filter(|it| !it.is_empty()).unwrap_or(TYPE_UNKNOWN);
    Some(Source::Data { media_type: media_type.to_owned(), base64: base64.to_owned() })
}

/// The other way; None of a file at a vendor, which has no address.
pub fn to_url(source: &Source) -> Option<Cow<'_, str>> {
    match source {
        Source::Data { media_type, base64 } => Some(data_uri(media_type, base64).into()),
        Source::Text(text) => Some(data_uri("text/plain", &STANDARD.encode(text)).into()),
        Source::Url { url, .. } => Some(url.into()),
        Source::File(_) => None,
    }
}

/// The name of a document that nobody named.
pub fn usual_name(is_text: bool) -> &'static str {
    if is_text { "document.txt" } else { "document.pdf" }
}

/// Base64 in the usual alphabet and with its padding, which is what all but Google take: its SDK for Python writes the
/// alphabet of URLs (RFC 4648, section 5).
pub fn usual_base64(base64: Cow<'_, str>) -> String {
    let mut usual = match base64.contains(['-', '_']) {
        true => base64.replace('-', "+").replace('_', "/"),
        false => base64.into_owned(),
    };
    usual.extend(std::iter::repeat_n('=', (4 - usual.len() % 4) % 4));
    usual
}

fn data_uri(media_type: &str, base64: &str) -> String {
    ["data:", media_type, ";base64,", base64].concat()
}

/// OpenAI's word for a type of recordings.
pub fn audio_format(media_type: &str) -> &str {
    let format = media_type.strip_prefix("audio/").unwrap_or(media_type);
    match format.strip_prefix("x-").unwrap_or(format) {
        "mpeg" => "mp3",
        "wave" => "wav",
        format => format,
    }
}

/// The other way; what is a media type already stays.
pub fn audio_type(format: &str) -> String {
    match format {
        "mp3" => "audio/mpeg".to_owned(),
        it if it.contains('/') => it.to_owned(),
        _ => format!("audio/{format}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_uris_hold_their_bytes() {
        let check = |url: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(media_type, base64)| Source::Data {
                media_type: media_type.into(),
                base64: base64.into(),
            });
            assert_eq!(of_data_uri(url), expected, "{url}");
        };
        check("data:image/png;base64,QUJD", Some(("image/png", "QUJD")));
        check("data:text/plain;charset=utf-8;base64,QUJD", Some(("text/plain", "QUJD")));
        check("data:;base64,QUJD", Some((TYPE_UNKNOWN, "QUJD")));
        for none in ["data:text/plain,ABC", "https://a/b;base64,c", "data:", ""] {
            check(none, None);
            let url = Source::Url { url: none.into(), media_type: None };
            assert_eq!(of_url(none.into(), None), url);
            assert_eq!(to_url(&url).as_deref(), Some(none));
        }
        let data = of_url("data:image/png;base64,QUJD".into(), None);
        assert_eq!(to_url(&data).as_deref(), Some("data:image/png;base64,QUJD"));
        assert_eq!(to_url(&Source::Text("ABC".into())).as_deref(), Some("data:text/plain;base64,QUJD"));
        assert_eq!(to_url(&Source::File("f".into())), None);
    }

    #[test]
    fn base64_is_put_into_the_usual_alphabet() {
        for (given, usual) in [("QUJD", "QUJD"), ("QUI", "QUI="), ("-_8=", "+/8="), ("-_8", "+/8="), ("", "")]
        {
            assert_eq!(usual_base64(given.into()), usual);
        }
    }

    #[test]
    fn formats_of_recordings_have_one_name_each() {
        for (format, media_type) in [("mp3", "audio/mpeg"), ("wav", "audio/wav"), ("pcm16", "audio/pcm16")] {
            assert_eq!((audio_format(media_type), audio_type(format).as_str()), (format, media_type));
        }
        assert_eq!((audio_format("audio/x-wav"), audio_format("audio/wave")), ("wav", "wav"));
        assert_eq!(audio_type("audio/ogg"), "audio/ogg");
    }
}
