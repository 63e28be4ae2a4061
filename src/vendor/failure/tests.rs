//! Failures as vendors tell them, and what is read in them.

use super::*;
use crate::error::Retry;

fn read(status: u16, body: &str) -> Error {
    let upstream = UpstreamId::from("acme");
    Failure {
        upstream: &upstream,
        status: StatusCode::from_u16(status).unwrap(),
        headers: &HeaderMap::new(),
        body: &Bytes::copy_from_slice(body.as_bytes()),
        names_model: true,
    }
    .read()
}

fn check(status: u16, body: &str, kind: Kind, client_status: u16, message: &str, code: Option<&str>) {
    let error = read(status, body);
    assert_eq!(error.kind, kind, "{body}");
    assert_eq!(error.status.as_u16(), client_status, "{body}");
    assert_eq!(error.message, message, "{body}");
    assert_eq!(error.code.as_deref(), code, "{body}");
}

#[test]
fn all_error_shapes_are_read() {
    let openai =
        r#"{"error":{"message":"bad n","type":"invalid_request_error","param":"n","code":"too_big"}}"#;
    check(400, openai, Kind::BadRequest, 400, "bad n", Some("too_big"));
    assert_eq!(read(400, openai).body.as_deref(), Some(openai.as_bytes()));
    check(500, r#"{"error":"boom"}"#, Kind::VendorFailed, 500, "boom", Some("upstream_failed"));
    check(
        503,
        r#"{"code":50505,"message":"busy","data":null}"#,
        Kind::VendorFailed,
        503,
        "busy",
        Some("50505"),
    );
    check(
        429,
        r#"[{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}]"#,
        Kind::RateLimited,
        429,
        "slow down",
        Some("429"),
    );
    check(
        200,
        r#"{"base_resp":{"status_code":1002,"status_msg":"limit"}}"#,
        Kind::VendorFailed,
        502,
        "limit",
        Some("1002"),
    );
    check(
        422,
        r#"{"detail":[{"loc":["body"]}]}"#,
        Kind::BadRequest,
        422,
        "The upstream answered 422 without a message.",
        None,
    );
    check(
        502,
        "<html>",
        Kind::VendorFailed,
        502,
        "The upstream answered 502 without a message.",
        Some("upstream_failed"),
    );
}

#[test]
fn a_refused_key_is_never_the_clients_fault() {
    for status in [401, 402, 403] {
        let error = read(
            status,
            r#"{"error":{"message":"Incorrect API key provided: sk-abc","code":"invalid_api_key"}}"#,
        );
        assert_eq!((error.kind, error.status.as_u16()), (Kind::KeyRefused, 502));
        assert_eq!(error.code.as_deref(), Some("upstream_auth"));
        assert!(!error.message.contains("sk-abc") && error.body.is_none());
    }
    assert_eq!(
        read(429, r#"{"error":{"code":"insufficient_quota","message":"pay"}}"#).kind,
        Kind::KeyRefused
    );
}

#[test]
fn an_account_without_credit_is_the_gateways_key() {
    for body in [
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"This organization has been disabled."}}"#,
        r#"{"error":{"code":"Arrearage","type":"Arrearage","message":"Access denied, please make sure your account is in good standing."}}"#,
    ] {
        let error = read(400, body);
        assert_eq!((error.kind, error.retry), (Kind::KeyRefused, Retry::NextTarget), "{body}");
    }
}

/// Bedrock's status for a model that failed.
#[test]
fn a_failed_model_is_no_mistake_of_the_client() {
    let error = read(424, r#"{"message":"The model failed.","originalStatusCode":500}"#);
    assert_eq!((error.kind, error.retry), (Kind::VendorFailed, Retry::NextTarget));
    assert_eq!((error.status.as_u16(), error.error_type.as_str()), (502, "server_error"));
}

#[test]
fn a_403_that_is_not_about_the_key_benches_no_key() {
    let check = |body: &str, kind: Kind| assert_eq!(read(403, body).kind, kind, "{body}");
    check(r#"{"error":{"code":"model_not_found","message":"no access to the model"}}"#, Kind::ModelMissing);
    check(r#"{"error":{"code":"content_policy_violation","message":"no"}}"#, Kind::ContentFilter);
    check(r#"{"error":{"code":"forbidden","message":"no"}}"#, Kind::KeyRefused);
    let bedrocks = r#"{"message":"You don't have access to the model with the specified model ID."}"#;
    check(bedrocks, Kind::ModelMissing);
    let roles = r#"{"message":"User: arn:aws:sts::123456789012:assumed-role/x/y is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:eu-west-1::foundation-model/m because no identity-based policy allows it"}"#;
    check(roles, Kind::ModelMissing);
    assert!(!read(403, roles).message.contains("123456789012"));
    let googles = r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/p/locations/l/publishers/google/models/m' (or it may not exist)."}}"#;
    check(googles, Kind::ModelMissing);
}

#[test]
fn a_403_about_the_account_of_a_cloud_benches_it() {
    for body in [
        r#"{"message":"The security token included in the request is expired"}"#,
        r#"{"message":"Signature expired: 20261123T000000Z is now earlier than 20261123T001000Z"}"#,
        r#"{"message":"User: arn:aws:iam::1:user/x is not authorized to perform: bedrock:CallWithBearerToken"}"#,
        r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"Vertex AI API has not been used in project 1 before or it is disabled.","details":[{"reason":"SERVICE_DISABLED"}]}}"#,
        r#"{"error":{"code":"AccessDenied","message":"Access denied due to Virtual Network/Firewall rules."}}"#,
    ] {
        assert_eq!(read(403, body).kind, Kind::KeyRefused, "{body}");
    }
}

#[test]
fn operators_are_told_codes_and_no_sentences() {
    let check = |body: &'static str, expected: &str| {
        let (upstream, headers) = (UpstreamId::from("acme"), HeaderMap::new());
        let status = StatusCode::FORBIDDEN;
        let body = Bytes::from(body);
        let failure =
            Failure { upstream: &upstream, status, headers: &headers, body: &body, names_model: true };
        assert_eq!(failure.codes(), expected);
    };
    check(
        r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"sk-abc","details":[{"reason":"SERVICE_DISABLED"}]}}"#,
        "403 PERMISSION_DENIED SERVICE_DISABLED",
    );
    check(r#"{"__type":"ExpiredTokenException","message":"sk-abc"}"#, "ExpiredTokenException");
    check(r#"{"error":{"code":"sk abc","type":"invalid_request_error"}}"#, "invalid_request_error");
    check("<html>", "");
}

#[test]
fn an_error_inside_a_200_may_name_its_status() {
    let check = |code: &str, kind: Kind, status: u16| {
        let error = read(200, &format!(r#"{{"error":{{"code":{code},"message":"m"}}}}"#));
        assert_eq!((error.kind, error.status.as_u16()), (kind, status), "{code}");
        assert_eq!(error.body, None, "it is no error of OpenAI's");
    };
    check("429", Kind::RateLimited, 429);
    check("402", Kind::KeyRefused, 502);
    check("404", Kind::ModelMissing, 404);
    check("422", Kind::BadRequest, 422);
    check("503", Kind::VendorFailed, 503);
    check("7", Kind::VendorFailed, 502);
    check("\"1302\"", Kind::RateLimited, 429);
    check("\"1113\"", Kind::KeyRefused, 502);
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#;
    assert_eq!(read(200, overloaded).status.as_u16(), 529);
    assert_eq!(read(200, overloaded).body.as_deref(), Some(overloaded.as_bytes()));
}

#[test]
fn only_the_clients_own_mistakes_end_the_search() {
    for status in [400, 405, 409, 413, 415, 422, 451] {
        assert_eq!(read(status, "").retry, Retry::Never, "{status}");
    }
    for status in [401, 402, 403, 404, 408, 425, 429, 498, 500, 502, 503, 504, 529, 302] {
        assert_eq!(read(status, "").retry, Retry::NextTarget, "{status}");
    }
}

#[test]
fn an_error_that_stands_bare_in_a_200_is_told_from_an_answer() {
    let check = |body: &str, is: bool| assert_eq!(is_bare_error(body.as_bytes()), is, "{body}");
    check(r#"{"code":50505,"message":"busy","data":null}"#, true);
    check(r#"{"message":"busy","type":"server_error","param":null,"code":null}"#, true);
    check(r#"{"detail":"Not Found"}"#, true);
    check(r#"{"object":"error","message":"busy","code":500}"#, true);
    check(r#"{"choices":[],"message":"m"}"#, false);
    check(r#"{"message":{"role":"assistant","content":"hi"}}"#, false);
    check(r#"{"input_tokens":3}"#, false);
    check(r#"{"totalTokens":3}"#, false);
}

#[test]
fn an_error_inside_a_200_is_found_and_content_is_not_taken_for_one() {
    for (body, is) in [
        (r#"{"error":{"message":"no"}}"#, true),
        (r#"{"error":"no"}"#, true),
        (r#"{"base_resp":{"status_code":1004}}"#, true),
        (r#"{"base_resp":{"status_code":0},"choices":[]}"#, false),
        (r#"{"error":null,"choices":[]}"#, false),
        (r#"{"choices":[{"message":{"content":"\"error\": 1"}}]}"#, false),
        (r#"{"object":"response","error":{"code":"x"},"output":[]}"#, false),
        (r#"{"error":{"message":"no"},"choices":[]}"#, true),
    ] {
        assert_eq!(is_error_in_success(body.as_bytes()), is, "{body}");
    }
}
