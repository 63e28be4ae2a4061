//! What vendors were seen to say, and the cause it names.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::error::{Error, Kind, Retry};
use crate::names::UpstreamId;
use crate::vendor::failure::Failure;

fn read(status: u16, body: &str) -> Error {
    Failure {
        upstream: &UpstreamId::from("acme"),
        status: StatusCode::from_u16(status).unwrap(),
        headers: &HeaderMap::new(),
        body: &Bytes::copy_from_slice(body.as_bytes()),
        names_model: true,
    }
    .read()
}

fn check(kind: Kind, rows: &[(u16, &str)]) {
    for (status, body) in rows {
        assert_eq!(read(*status, body).kind, kind, "{status} {body}");
    }
}

const TOO_LONG: &[(u16, &str)] = &[
    (
        400,
        r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
    ),
    (
        400,
        r#"{"error":{"message":"Invalid 'messages[0].content': string too long.","code":"string_above_max_length"}}"#,
    ),
    (
        400,
        r#"{"error":{"message":"Input tokens exceed the configured limit of 272000 tokens.","type":"invalid_request_error"}}"#,
    ),
    (
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 214850 tokens > 200000 maximum"}}"#,
    ),
    (
        400,
        r#"[{"error":{"code":400,"message":"The input token count (2800010) exceeds the maximum number of tokens allowed (1048575).","status":"INVALID_ARGUMENT"}}]"#,
    ),
    (
        400,
        r#"{"error":{"code":"invalid_parameter_error","message":"<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 204800]"}}"#,
    ),
    (400, r#"{"error":{"code":"1261","message":"Prompt 超长"}}"#),
    (
        400,
        r#"{"error":{"message":"Your request exceeded model token limit : 131072","type":"invalid_request_error"}}"#,
    ),
    (400, r#"{"error":{"message":"Input token length too long","type":"invalid_request_error"}}"#),
    (
        400,
        r#"{"object":"error","message":"Prompt contains 40000 tokens, too large for model with 32768 maximum context length","type":"invalid_request_error"}"#,
    ),
    (
        400,
        r#"{"error":{"code":"tokens_too_long","message":"Prompt tokens too long","type":"invalid_request_error"}}"#,
    ),
    (
        400,
        r#"{"error":{"code":"InvalidParameter","message":"Total tokens of image and text exceed max message tokens."}}"#,
    ),
    (
        400,
        r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error"}}"#,
    ),
    (
        400,
        r#"{"error":{"code":"validation_error","message":"prompt tokens (400007) exceed model maximum (278528)"}}"#,
    ),
    (
        400,
        r#"{"code":"Client specified an invalid argument","error":"This model's maximum prompt length is 131072 but the request contains 200000 tokens."}"#,
    ),
    (400, r#"{"message":"Input is too long for requested model.","__type":"ValidationException"}"#),
    (
        413,
        r#"{"error":{"message":"Please reduce the length of the messages or completion.","type":"invalid_request_error"}}"#,
    ),
    (422, r#"{"error":"The input (9000 tokens) is longer than the model's context length (8192 tokens)."}"#),
    (200, r#"{"error":{"code":"context_length_exceeded","message":"too long"}}"#),
    (500, r#"{"error":{"code":"context_length_exceeded","message":"too long"}}"#),
];

#[test]
fn a_prompt_that_does_not_fit_is_known_in_every_vendors_words() {
    check(Kind::ContextLength, TOO_LONG);
}

const NOT_SERVED: &[(u16, &str)] = &[
    (
        400,
        r#"{"error":{"message":"The response was filtered","code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
    ),
    (400, r#"{"error":{"message":"no","code":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#),
    (400, r#"{"error":{"message":"Your request was rejected","code":"content_policy_violation"}}"#),
    (
        400,
        r#"{"error":{"code":"data_inspection_failed","message":"Input data may contain inappropriate content."}}"#,
    ),
    (400, r#"{"code":"DataInspectionFailed","message":"no"}"#),
    (400, r#"{"error":{"code":"1301","message":"系统检测到输入或生成内容可能包含不安全或敏感内容"}}"#),
    (400, r#"{"error":{"code":"InputTextSensitiveContentDetected","message":"no"}}"#),
    (
        400,
        r#"{"error":{"type":"content_filter","message":"The request was rejected because it was considered high risk"}}"#,
    ),
    (
        400,
        r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error","code":"invalid_request_error"}}"#,
    ),
    (
        403,
        r#"{"error":{"code":403,"message":"The chosen model requires moderation and your input was flagged"}}"#,
    ),
    (403, r#"{"code":"forbidden","error":"Content violates usage guidelines."}"#),
    (
        451,
        r#"{"error":{"type":"censorship_blocked","message":"The content you provided or machine outputted is blocked."}}"#,
    ),
    (200, r#"{"base_resp":{"status_code":1027,"status_msg":"output new_sensitive"}}"#),
];

#[test]
fn content_that_is_not_served_is_known_in_every_vendors_words() {
    check(Kind::ContentFilter, NOT_SERVED);
}

#[test]
fn words_about_something_else_are_not_taken_for_either() {
    check(
        Kind::RateLimited,
        &[
            (
                429,
                r#"{"error":{"message":"Request too large for gpt-4o on tokens per min (TPM)","code":"rate_limit_exceeded"}}"#,
            ),
            (429, r#"{"message":"Too many tokens, please wait before trying again."}"#),
        ],
    );
    check(
        Kind::BadRequest,
        &[
            (
                400,
                r#"{"error":{"message":"max_tokens is too large: 100000. This model supports at most 16384 completion tokens","param":"max_tokens"}}"#,
            ),
            (
                413,
                r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#,
            ),
        ],
    );
    check(Kind::VendorFailed, &[(500, r#"{"error":{"message":"context window manager crashed"}}"#)]);
    check(Kind::KeyRefused, &[(401, r#"{"error":{"message":"content policy"}}"#)]);
}

#[test]
fn a_key_that_is_refused_with_400_is_our_keys_business() {
    let google = r#"[{"error":{"code":400,"message":"Wrong.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}]"#;
    check(
        Kind::KeyRefused,
        &[
            (400, google),
            (
                400,
                r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}"#,
            ),
            (
                400,
                r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***kl."}"#,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}"#,
            ),
            (429, r#"{"error":{"code":"1113","message":"您的账户已欠费"}}"#),
        ],
    );
    assert_eq!(read(400, google).status, 502);
}

#[test]
fn a_type_speaks_where_the_status_does_not() {
    let of_type = |status: u16, word: &str| {
        read(status, &format!(r#"{{"error":{{"type":"{word}","message":"m"}}}}"#)).kind
    };
    for (status, word, kind) in [
        (200, "overloaded_error", Kind::VendorFailed),
        (200, "rate_limit_error", Kind::RateLimited),
        (200, "authentication_error", Kind::KeyRefused),
        (200, "billing_error", Kind::KeyRefused),
        (200, "too_many_requests_error", Kind::RateLimited),
        (200, "not_found_error", Kind::ModelMissing),
        (200, "RESOURCE_EXHAUSTED", Kind::RateLimited),
        (200, "UNAVAILABLE", Kind::VendorFailed),
        (200, "whatever", Kind::VendorFailed),
        (400, "ThrottlingException", Kind::RateLimited),
        (400, "com.amazon.coral.service#ThrottlingException", Kind::RateLimited),
        (400, "AccessDeniedException", Kind::KeyRefused),
        (400, "ModelTimeoutException", Kind::VendorFailed),
        (400, "ValidationException", Kind::BadRequest),
        // A status that is there has the last word.
        (400, "rate_limit_error", Kind::BadRequest),
        (529, "overloaded_error", Kind::VendorFailed),
    ] {
        assert_eq!(of_type(status, word), kind, "{status} {word}");
    }
}

#[test]
fn what_the_vendor_said_reaches_the_client_and_a_code_is_never_missing() {
    let said = r#"{"error":{"message":"prompt is too long","type":"vendor_type"}}"#;
    let error = read(400, said);
    assert_eq!((error.status.as_u16(), error.retry), (400, Retry::Never));
    assert_eq!(
        (error.error_type.as_str(), error.code.as_deref()),
        ("vendor_type", Some("context_length_exceeded"))
    );
    assert_eq!(error.body.as_deref(), Some(said.as_bytes()));
    let error = read(200, r#"{"base_resp":{"status_code":1026,"status_msg":"m"}}"#);
    assert_eq!((error.status.as_u16(), error.code.as_deref()), (400, Some("1026")));
    let error = read(451, "");
    assert_eq!((error.status.as_u16(), error.code.as_deref()), (451, Some("content_filter")));
}

#[test]
fn googles_wait_is_found_behind_the_headers() {
    let said = r#"[{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.4s"}]}}]"#;
    let wait = |header: Option<&str>| {
        let mut headers = HeaderMap::new();
        headers.extend(header.map(|it| (http::header::RETRY_AFTER, it.parse().unwrap())));
        let failure = Failure {
            upstream: &UpstreamId::from("acme"),
            status: StatusCode::TOO_MANY_REQUESTS,
            headers: &headers,
            body: &Bytes::from_static(said.as_bytes()),
            names_model: true,
        };
        failure.read().retry_after.map(|it| it.as_millis())
    };
    assert_eq!(wait(None), Some(34_400));
    assert_eq!(wait(Some("2")), Some(2_000));
    assert_eq!(wait(Some("soon")), Some(34_400));
}
