//! Access tokens of Google Cloud: service accounts (RFC 7523), authorized users, federated workloads (RFC 8693) and the
//! metadata server.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Uri};
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;

use crate::upstream::credential::Fresh;
use crate::upstream::credential::Shown;
use crate::upstream::credential::exchange::{Exchange, below, token_in};
use crate::upstream::credential::spec::{External, GoogleSource, Subject};
use crate::upstream::credential::token::{granted, impersonated};

/// What every service of Google Cloud takes.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Life of an assertion, in seconds: the longest that Google takes.
const ASSERTION_S: u64 = 3_600;

const METADATA_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

pub(super) async fn fetch(source: &GoogleSource, exchange: &Exchange<'_>) -> Result<Fresh, String> {
    let now = SystemTime::now();
    let answer = match source {
        GoogleSource::ServiceAccount { email, key_pem, key_id, token_url } => {
            let claims = claims(email, token_url, now);
            let assertion = assertion(key_pem.reveal(), key_id.as_deref(), &claims)?;
            let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
            exchange.post_form(token_url, &[("grant_type", grant), ("assertion", &assertion)]).await?
        }
        GoogleSource::AuthorizedUser { client_id, client_secret, refresh_token, token_url } => {
            let fields = [
                ("grant_type", "refresh_token"),
                ("client_id", client_id),
                ("client_secret", client_secret.reveal()),
                ("refresh_token", refresh_token.reveal()),
            ];
            exchange.post_form(token_url, &fields).await?
        }
        GoogleSource::External(external) => return federated(external, exchange, now).await,
        GoogleSource::Metadata { base } => {
            let url = below(base, METADATA_PATH)?;
            exchange.local(Method::GET, url, &[("metadata-flavor", "Google")]).await?
        }
    };
    granted(&answer, now)
}

fn claims(email: &str, token_url: &Uri, now: SystemTime) -> String {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let audience = token_url.to_string();
    json!({ "iss": email, "scope": SCOPE, "aud": audience, "iat": now, "exp": now + ASSERTION_S }).to_string()
}

/// A JWT signed with RS256 (RFC 7515). The signature is made by the library that TLS uses.
fn assertion(key_pem: &str, key_id: Option<&str>, claims: &str) -> Result<String, String> {
    const UNUSABLE: &str = "the service account's key cannot be used";
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| UNUSABLE)?;
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(|_| UNUSABLE)?;
    let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or(UNUSABLE)?;
    let mut header = json!({ "alg": "RS256", "typ": "JWT" });
    if let Some(key_id) = key_id {
        header["kid"] = key_id.into();
    }
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
    let signature = signer.sign(signed.as_bytes()).map_err(|_| UNUSABLE)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

async fn federated(external: &External, exchange: &Exchange<'_>, now: SystemTime) -> Result<Fresh, String> {
    let subject = subject(external, exchange).await?;
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("audience", &external.audience),
        ("scope", SCOPE),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token", &subject),
        ("subject_token_type", &external.subject_token_type),
    ];
    let own = granted(&exchange.post_form(&external.token_url, &fields).await?, now)?;
    let (Some(url), Shown::Token { text, .. }) = (&external.impersonation_url, &own.shown) else {
        return Ok(own);
    };
    let body = json!({ "scope": [SCOPE], "lifetime": "3600s" }).to_string();
    impersonated(&exchange.post_json(url, text.reveal(), body).await?)
}

/// The token of the other cloud.
async fn subject(external: &External, exchange: &Exchange<'_>) -> Result<String, String> {
    let text = match &external.subject {
        Subject::File(path) => token_in(path).await?.reveal().to_owned(),
        Subject::Url { url, headers } => {
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
            // In clear only a service of this machine is asked.
            let answer = match url.scheme_str() {
                Some("https") => exchange.get(url.clone(), &headers).await?,
                _ => exchange.local(Method::GET, url.clone(), &headers).await?,
            };
            String::from_utf8_lossy(&answer).trim().to_owned()
        }
    };
    let Some(field) = &external.subject_field else { return Ok(text) };
    let token = serde_json::from_str::<serde_json::Value>(&text).ok();
    let token = token.as_ref().and_then(|it| it[field].as_str());
    token.map(Into::into).ok_or_else(|| "the subject token has no such field".to_owned())
}
