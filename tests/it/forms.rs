//! Uploads: routed by the `model` inside them while they still come in, and passed on as they are.

use crate::support::{Answer, Gateway, Raw, Reply, Seen, Vendor, over};

const BOUNDARY: &str = "--------------------------x42";

fn model_part(model: &str) -> String {
    format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n")
}

/// A file that has everything in it that could be taken for the form's own.
fn file_part(size: usize) -> Vec<u8> {
    let mut part = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; filename=\"model\"; name=\"file\"\r\nContent-Type: audio/wav\r\n\r\n\
         --x42\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nnot-it\r\n"
    )
    .into_bytes();
    part.extend((0..=255_u8).cycle().take(size));
    part.extend_from_slice(b"\r\n");
    part
}

fn end() -> String {
    format!("--{BOUNDARY}--\r\n")
}

fn form(model: &str, model_first: bool, size: usize) -> Vec<u8> {
    let parts = match model_first {
        true => [model_part(model).into_bytes(), file_part(size)],
        false => [file_part(size), model_part(model).into_bytes()],
    };
    [parts.concat(), end().into_bytes()].concat()
}

fn content_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

async fn gateway(vendor: &Vendor, more: &str) -> Gateway {
    Gateway::start(&over(&[("a", &vendor.url())], more)).await
}

async fn upload(gateway: &Gateway, body: Vec<u8>) -> u16 {
    let content_type = content_type();
    let headers = [("content-type", content_type.as_str())];
    let answer = gateway.call(http::Method::POST, "/v1/audio/transcriptions", &headers, body).await;
    answer.status.as_u16()
}

#[tokio::test]
async fn a_form_is_routed_by_its_model_wherever_that_stands() {
    let a = Vendor::start().await;
    let gateway = gateway(&a, "").await;
    for first in [true, false] {
        for size in [0, 1_000, 3_000_000] {
            a.expect(Reply::json(200, r#"{"text":"hi"}"#));
            assert_eq!(upload(&gateway, form("smart", first, size)).await, 200);
            let seen = a.seen().last().unwrap().clone();
            assert!(seen.body == form("model-a", first, size), "{size} bytes, model first: {first}");
            assert_eq!(seen.header("content-type"), Some(content_type().as_str()));
            assert_eq!(seen.header("content-length"), Some(seen.body.len().to_string().as_str()));
        }
    }
}

#[tokio::test]
async fn a_model_that_needs_no_other_name_leaves_the_form_as_it_is() {
    let a = Vendor::with([Reply::json(200, "{}")]).await;
    let gateway = gateway(&a, "  - { model: whisper-1, targets: [a] }\n").await;
    assert_eq!(upload(&gateway, form("whisper-1", false, 10)).await, 200);
    assert!(a.request(0).await.body == form("whisper-1", false, 10));
}

async fn begin(gateway: &Gateway, framing: &str, path: &str) -> Raw {
    let mut raw = gateway.raw().await;
    let content_type = content_type();
    raw.write(format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\n{framing}\r\n\r\n"
    ))
    .await;
    raw
}

/// An hour of speech must not wait in memory: its first part is with the vendor before the client has sent the rest.
#[tokio::test]
async fn a_form_streams_through_while_the_client_still_sends() {
    let a = Vendor::with([Reply::json(200, r#"{"text":"hi"}"#)]).await;
    let gateway = gateway(&a, "").await;
    let (body, sent) = (form("smart", true, 50_000), form("model-a", true, 50_000));
    let mut raw =
        begin(&gateway, &format!("content-length: {}", body.len()), "/v1/audio/transcriptions").await;
    raw.write(&body[..20_000]).await;
    let have =
        |count: usize| move |it: &[crate::support::Seen]| it.first().is_some_and(|it| it.body.len() == count);
    let renamed = sent.len() - body.len();
    let seen = a.wait_until("the first part", have(20_000 + renamed)).await;
    assert!(seen[0].body == sent[..20_000 + renamed]);
    assert!(!seen[0].body_complete);
    raw.write(&body[20_000..]).await;
    raw.read_until(r#"{"text":"hi"}"#).await;
    assert!(a.request(0).await.body == sent);
}

/// Without a length of its own it has none on the way to the vendor either.
#[tokio::test]
async fn a_chunked_form_stays_chunked() {
    let a = Vendor::with([Reply::json(200, r#"{"text":"hi"}"#)]).await;
    let gateway = gateway(&a, "").await;
    let body = form("smart", false, 5_000);
    let mut raw = begin(&gateway, "transfer-encoding: chunked", "/v1/audio/transcriptions").await;
    for piece in body.chunks(613) {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        raw.write(chunk).await;
    }
    raw.write("0\r\n\r\n").await;
    raw.read_until(r#"{"text":"hi"}"#).await;
    assert!(a.request(0).await.body == form("model-a", false, 5_000));
}

/// As long as nothing of the rest was sent, another target can still take the call; afterwards the bytes are gone.
#[tokio::test]
async fn a_form_fails_over_while_it_is_still_whole() {
    let refusing = crate::support::Refusing::start();
    let b = Vendor::with([Reply::json(200, r#"{"text":"from b"}"#)]).await;
    let gateway = Gateway::start(&over(&[("a", &refusing.url()), ("b", &b.url())], "")).await;
    let body = form("smart", true, 300_000);
    assert_eq!(upload(&gateway, body.clone()).await, 200);
    assert!(b.request(0).await.body == form("model-b", true, 300_000));
    let a = Vendor::with([Reply::status(503, "busy")]).await;
    let b = Vendor::start().await;
    let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], "")).await;
    assert_eq!(upload(&gateway, body).await, 503);
}

/// Bytes that do not name a model stream through as well, to the upstream of such calls.
#[tokio::test]
async fn a_file_without_a_model_streams_to_the_default_upstream() {
    let a = Vendor::with([Reply::json(200, r#"{"id":"file-1"}"#)]).await;
    let gateway = gateway(&a, "default_upstream: a\n").await;
    let body = [file_part(100_000), end().into_bytes()].concat();
    let mut raw = begin(&gateway, &format!("content-length: {}", body.len()), "/v1/files").await;
    raw.write(&body[..60_000]).await;
    a.wait_until("the first part", |it| it.first().is_some_and(|it| it.body.len() == 60_000)).await;
    raw.write(&body[60_000..]).await;
    raw.read_until("file-1").await;
    let seen = a.request(0).await;
    assert!(seen.body == body);
    assert_eq!(seen.target, "/v1/files");
}

/// A client that asks first (`curl` above 1 MB) must be told to go on.
#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it() {
    let a = Vendor::with([Reply::json(200, r#"{"text":"hi"}"#)]).await;
    let gateway = gateway(&a, "").await;
    let body = form("smart", true, 100);
    let framing = format!("content-length: {}\r\nexpect: 100-continue", body.len());
    let mut raw = begin(&gateway, &framing, "/v1/audio/transcriptions").await;
    raw.read_until("HTTP/1.1 100 Continue\r\n\r\n").await;
    raw.write(&body).await;
    raw.read_until(r#"{"text":"hi"}"#).await;
    assert_eq!(a.request(0).await.header("expect"), None);
}

/// A client that may use `smart` alone, and files.
const SHOP: &str =
    "default_upstream: a\nclients: { shop: { key: shop-key, models: [smart], without_model: true } }\n";

const KEY: (&str, &str) = ("authorization", "Bearer shop-key");

async fn shop_upload(gateway: &Gateway, path: &str, content_type: &str, body: &[u8]) -> Answer {
    let headers = [KEY, ("content-type", content_type)];
    gateway.call(http::Method::POST, path, &headers, body.to_vec()).await
}

/// The vendor reads the last of two fields, takes any line end for a delimiter's, and the second of two boundaries.
#[tokio::test]
async fn an_allow_listed_client_reaches_no_other_model_through_a_form() {
    let a = Vendor::start().await;
    let gateway = gateway(&a, SHOP).await;
    let (smart, other, file, end) = (model_part("smart"), model_part("other"), file_part(100), end());
    let whole = |parts: &[&[u8]]| [parts.concat(), end.clone().into_bytes()].concat();
    let (smart, other) = (smart.as_bytes(), other.as_bytes());
    let bare = String::from_utf8_lossy(other).replace("\r\n", "\n");
    let (renamed, empty) = (["Model", "mod\\el"], "name=\"model\"; filename=\"\"");
    let variants =
        renamed.map(|it| String::from_utf8_lossy(other).replace("\"model\"", &format!("\"{it}\"")));
    let nameless = String::from_utf8_lossy(other).replace("name=\"model\"", empty);
    for (body, code) in [
        (whole(&[smart, other]), "duplicate_field"),
        (whole(&[smart, &file, other]), "duplicate_field"),
        (whole(&[smart, smart]), "duplicate_field"),
        (whole(&[smart, &file, bare.as_bytes()]), "invalid_form"),
        (whole(&[smart, variants[0].as_bytes()]), "invalid_form"),
        (whole(&[smart, variants[1].as_bytes()]), "invalid_form"),
        (whole(&[smart, nameless.as_bytes()]), "invalid_form"),
        ([&whole(&[smart])[..], other].concat(), "invalid_form"),
        ([&file[..], smart].concat(), "invalid_form"),
        (whole(&[model_part(&"m".repeat(257)).as_bytes()]), "model_too_long"),
    ] {
        let answer = shop_upload(&gateway, "/v1/audio/transcriptions", &content_type(), &body).await;
        let (error, text) = (answer.error(), String::from_utf8_lossy(&body).into_owned());
        assert_eq!((answer.status.as_u16(), error["code"].as_str()), (400, Some(code)), "{text}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    let answer = shop_upload(&gateway, "/v1/images/edits", &content_type(), &whole(&[&file, other])).await;
    assert_eq!(answer.status, 403);
    for content_type in [
        format!("multipart/form-data; boundary=B; boundary={BOUNDARY}"),
        format!("multipart/form-data; boundary={BOUNDARY}; boundary=C"),
        format!("multipart/form-data; boundary={BOUNDARY}; boundary*=utf-8''C"),
        "multipart/form-data".to_owned(),
    ] {
        let answer = shop_upload(&gateway, "/v1/audio/speech", &content_type, &whole(&[smart])).await;
        assert_eq!((answer.status.as_u16(), &answer.error()["code"]), (400, &"invalid_content_type".into()));
    }
    let headers = [KEY, ("content-type", "application/json"), ("content-type", &content_type())];
    for path in ["/v1/audio/speech", "/v1/files"] {
        let answer = gateway.call(http::Method::POST, path, &headers, whole(&[other])).await;
        assert_eq!(answer.status, 400, "{path}");
    }
    assert_eq!(a.calls(), 0);
}

/// Nothing in a file is the form's own, and none of its bytes is changed.
#[tokio::test]
async fn a_delimiter_inside_a_file_is_a_part_of_the_file() {
    let a = Vendor::start().await;
    let gateway = gateway(&a, SHOP).await;
    let inside =
        [&b"--"[..], model_part("smart").as_bytes(), b"- --", BOUNDARY.as_bytes(), b"--\r\n"].concat();
    let headers =
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n");
    let file = [headers.as_bytes(), b"RIFF", &inside, b"\r\n"].concat();
    let body = |model: &str| [&file, model_part(model).as_bytes(), end().as_bytes()].concat();
    a.expect(Reply::json(200, "{}"));
    let answer = shop_upload(&gateway, "/v1/images/edits", &content_type(), &body("smart")).await;
    assert_eq!(answer.status, 200);
    assert!(a.request(0).await.body == body("model-a"));
    let answer = shop_upload(&gateway, "/v1/images/edits", &content_type(), &body("other")).await;
    assert_eq!(answer.status, 403);
}

/// The vendor already has the beginning when the second model comes: it must be left without the end, and neither
/// its health nor another target is to suffer for it.
#[tokio::test]
async fn a_second_model_on_its_way_ends_the_call() {
    let b = Vendor::start().await;
    let begun = [model_part("smart").into_bytes(), file_part(50_000)].concat();
    let body = [&begun, model_part("other").as_bytes(), end().as_bytes()].concat();
    let known = |it: usize| begun.len() + it + "model-a".len() - "smart".len();
    // Cut inside the delimiter and inside the field's name.
    for (cut, chunked) in [(9, false), (70, false), (9, true)] {
        let a = Vendor::with([Reply::json(200, "{}")]).await;
        let gateway = Gateway::start(&over(&[("a", &a.url()), ("b", &b.url())], SHOP)).await;
        let framing = match chunked {
            true => "transfer-encoding: chunked".to_owned(),
            false => format!("content-length: {}", body.len()),
        };
        let framing = format!("{framing}\r\n{}: {}", KEY.0, KEY.1);
        let mut raw = begin(&gateway, &framing, "/v1/audio/transcriptions").await;
        let (first, rest) = body.split_at(begun.len() + cut);
        let framed = |it: &[u8]| match chunked {
            true => [format!("{:x}\r\n", it.len()).as_bytes(), it, b"\r\n"].concat(),
            false => it.to_vec(),
        };
        raw.write(framed(first)).await;
        let have = |it: &[Seen]| it.first().is_some_and(|it| it.body.len() == known(cut));
        a.wait_until("the beginning", have).await;
        raw.write(framed(rest)).await;
        raw.read_until(r#""param":"model","code":"duplicate_field""#).await;
        assert!(raw.text().starts_with("HTTP/1.1 400"), "{}", raw.text());
        a.client_gone(0).await;
        assert_eq!((a.seen()[0].body.len(), a.seen()[0].body_complete), (known(cut), false));
        let line = gateway.call_line(0).await;
        assert_eq!((&line["status"], &line["error"]), (&400.into(), &"bad_request".into()), "{line}");
        assert_eq!(gateway.metric("tollgate_attempts_total", &[("outcome", "reset")]).await, 0.0);
    }
    assert_eq!(b.calls(), 0);
}

/// Quadratic work would take minutes here; a name without an end is not waited for at all.
#[tokio::test]
async fn small_chunks_do_not_add_up_to_work() {
    let a = Vendor::with([Reply::json(200, r#"{"text":"hi"}"#)]).await;
    let gateway = gateway(&a, "").await;
    let chunked = |body: &[u8]| {
        let chunks =
            body.chunks(64).map(|it| [format!("{:x}\r\n", it.len()).as_bytes(), it, b"\r\n"].concat());
        chunks.collect::<Vec<_>>().concat()
    };
    let body = form("smart", false, 12_000_000);
    let mut raw = begin(&gateway, "transfer-encoding: chunked", "/v1/audio/transcriptions").await;
    raw.write(chunked(&body)).await;
    raw.write("0\r\n\r\n").await;
    raw.read_until(r#"{"text":"hi"}"#).await;
    assert!(a.request(0).await.body == form("model-a", false, 12_000_000));
    let mut raw = begin(&gateway, "transfer-encoding: chunked", "/v1/audio/transcriptions").await;
    raw.write(chunked(model_part(&"m".repeat(1_000)).as_bytes())).await;
    raw.read_until("model_too_long").await;
}

/// `content-encoding` does not reach the vendor, which would keep the compressed bytes for the file.
#[tokio::test]
async fn a_compressed_body_is_refused_even_where_it_is_not_read() {
    let a = Vendor::start().await;
    let gateway = gateway(&a, "default_upstream: a\n").await;
    let post = async |path: &str, codings: &[&str]| {
        let headers: Vec<_> = codings.iter().map(|it| ("content-encoding", *it)).collect();
        gateway.call(http::Method::POST, path, &headers, "bytes").await
    };
    for path in ["/v1/files", "/v1/uploads/u/parts", "/v1/chat/completions"] {
        for codings in [&["gzip"][..], &["identity", "br"], &["identity, GZIP"]] {
            let answer = post(path, codings).await;
            let code = answer.error()["code"].clone();
            assert_eq!((answer.status.as_u16(), code), (415, "unsupported_encoding".into()), "{codings:?}");
        }
    }
    a.expect(Reply::json(200, "{}"));
    assert_eq!(post("/v1/files", &["Identity"]).await.status, 200);
    assert_eq!(a.request(0).await.text(), "bytes");
}
