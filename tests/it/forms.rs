//! Uploads: routed by the `model` inside them while they still come in, and passed on as they are.

use crate::support::{Gateway, Raw, Reply, Vendor, over};

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
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\n{framing}\r\n\r\n"
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
