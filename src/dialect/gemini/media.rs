//! Pictures, documents and recordings: what kind a media type is, and which type a URL's ending names.

use crate::dialect::prompt::MediaKind;

/// Endings of files and the media types that Gemini reads, by its documents on images, documents, audio and video.
const ENDINGS: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("bmp", "image/bmp"),
    ("svg", "image/svg+xml"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("xml", "text/xml"),
    ("rtf", "text/rtf"),
    ("json", "application/json"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mp3"),
    ("aiff", "audio/aiff"),
    ("aac", "audio/aac"),
    ("ogg", "audio/ogg"),
    ("flac", "audio/flac"),
    ("m4a", "audio/m4a"),
    ("mp4", "video/mp4"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpg"),
    ("mov", "video/mov"),
    ("avi", "video/avi"),
    ("webm", "video/webm"),
    ("wmv", "video/wmv"),
    ("flv", "video/x-flv"),
    ("3gp", "video/3gpp"),
];

/// The media type that the ending of a URL's path names.
pub(super) fn type_of(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    let (_, ending) = file.rsplit_once('.')?;
    ENDINGS.iter().find(|(it, _)| it.eq_ignore_ascii_case(ending)).map(|(_, media_type)| *media_type)
}

/// What is shown by a media type; without one, by the URL.
pub(super) fn kind_of(media_type: Option<&str>, url: &str) -> MediaKind {
    match media_type.or_else(|| type_of(url)).unwrap_or_default().split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ if is_youtube(url) => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

/// Gemini takes the address of a YouTube page for a video, without a type.
pub(super) fn is_youtube(url: &str) -> bool {
    let rest = url.strip_prefix("https://").unwrap_or_default();
    ["www.youtube.com/", "youtube.com/", "youtu.be/"].iter().any(|it| rest.starts_with(it))
}

/// Whether an id names a file that Google keeps: of its Files API or its Cloud Storage.
pub(super) fn is_of_google(id: &str) -> bool {
    id.starts_with("gs://") || id.starts_with("files/") || id.starts_with("https://generativelanguage.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_stands_in_the_url() {
        let check = |url: &str, media_type: Option<&str>, kind: MediaKind| {
            assert_eq!((type_of(url), kind_of(None, url)), (media_type, kind), "{url}");
        };
        check("https://a.example/b/cat.PNG?x=1.pdf#y", Some("image/png"), MediaKind::Image);
        check("gs://bucket/paper.pdf", Some("application/pdf"), MediaKind::Document);
        check("https://a.example/talk.mp3", Some("audio/mp3"), MediaKind::Audio);
        check("https://a.example/film.webm", Some("video/webm"), MediaKind::Video);
        check("https://www.youtube.com/watch?v=x", None, MediaKind::Video);
        check("https://a.example.png/x", None, MediaKind::Document);
        check("", None, MediaKind::Document);
        assert_eq!(kind_of(Some("image/x"), "https://a.example/talk.mp3"), MediaKind::Image);
    }
}
