//! Signs requests to Bedrock: AWS Signature Version 4, over the bytes that are sent.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as sign_http};
use aws_sigv4::sign::v4;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use sha2::{Digest, Sha256};

use crate::upstream::credential::spec::AwsKeys;
use crate::upstream::payload::{Outgoing, Payload};

/// The name of Bedrock in signatures.
const SERVICE: &str = "bedrock";

/// Adds the signature's headers to `request`, whose body is `payload`.
pub(super) fn sign(
    keys: &AwsKeys,
    region: &str,
    now: SystemTime,
    request: &mut Request<Outgoing>,
    payload: &Payload,
) -> Result<(), &'static str> {
    if payload.streams() {
        return Err("its body streams through, and a signature is over all of it");
    }
    let session = keys.session.as_ref().map(|it| it.reveal().to_owned());
    let identity = Credentials::new(keys.id.reveal(), keys.secret.reveal(), session, None, "tollgate").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| "its region or key is missing")?;
    let uri = request.uri().to_string();
    let body = SignableBody::Precomputed(digest(payload));
    let signable = SignableRequest::new(request.method().as_str(), &uri, signed(request.headers()), body)
        .map_err(|_| "its headers are no text")?;
    let (instructions, _) =
        sign_http(signable, &params.into()).map_err(|_| "its address cannot be signed")?.into_parts();
    for (name, value) in instructions.headers() {
        let name = HeaderName::try_from(name).map_err(|_| "its signature makes no header")?;
        let mut value = HeaderValue::try_from(value).map_err(|_| "its signature makes no header")?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    Ok(())
}

/// The headers that the signature is over besides the host and its own: no proxy has a reason to change them.
fn signed(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let is_signed = |name: &HeaderName| *name == header::CONTENT_TYPE || name.as_str().starts_with("x-amz");
    let named = headers.iter().filter(move |(name, _)| is_signed(name));
    named.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
}

fn digest(payload: &Payload) -> String {
    let mut digest = Sha256::new();
    payload.pieces().iter().for_each(|it| digest.update(it));
    digest.finalize().iter().map(|it| format!("{it:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn signed(payload: &Payload) -> Result<HeaderMap, &'static str> {
        let mut request = Request::new(payload.outgoing());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = http::Uri::from_static("https://h.example/model/a%3A0/converse");
        let keys = AwsKeys { id: "AKIA1".into(), secret: "secret".into(), session: Some("planted".into()) };
        let now = UNIX_EPOCH + Duration::from_secs(1_796_119_200);
        sign(&keys, "us-east-1", now, &mut request, payload)?;
        Ok(request.headers().clone())
    }

    #[test]
    fn a_signature_depends_on_every_byte_and_prints_nothing() {
        let bodies = [vec!["{}".into()], vec!["{".into(), "}".into()], vec!["{ }".into()]];
        let headers = bodies.map(|it| signed(&Payload::held(it)).unwrap());
        let authorizations = headers.each_ref().map(|it| it[header::AUTHORIZATION].clone());
        assert_eq!(authorizations[0], authorizations[1], "pieces are one body");
        assert_ne!(authorizations[0], authorizations[2]);
        assert!(
            authorizations[0].to_str().unwrap().contains("AKIA1/20261201/us-east-1/bedrock/aws4_request")
        );
        assert_eq!(headers[0]["x-amz-date"], "20261201T100000Z");
        let printed = format!("{:?}", headers[0]);
        assert!(!printed.contains("AKIA1") && !printed.contains("planted"), "{printed}");
    }

    #[test]
    fn a_body_that_streams_through_is_not_signed() {
        let rest = Box::pin(http_body_util::Full::<bytes::Bytes>::default());
        let rest = http_body_util::BodyExt::map_err(rest, |never| match never {});
        assert!(signed(&Payload::streamed(Vec::new(), Box::pin(rest))).is_err());
    }
}
