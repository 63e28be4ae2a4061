//! Access tokens of Microsoft Entra: client credentials with a secret or a federated token (RFC 7523), and the managed
//! identity of a machine of Azure.

use std::time::SystemTime;

use http::Method;

use crate::upstream::credential::Fresh;
use crate::upstream::credential::exchange::{Exchange, below, escaped, token_in};
use crate::upstream::credential::spec::EntraSource;
use crate::upstream::credential::token::granted;

/// What Azure's models take.
const SCOPE: &str = "https://cognitiveservices.azure.com/.default";

/// The same as the metadata service names it.
const RESOURCE: &str = "https://cognitiveservices.azure.com";

const METADATA_PATH: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01";

pub(super) async fn fetch(source: &EntraSource, exchange: &Exchange<'_>) -> Result<Fresh, String> {
    let now = SystemTime::now();
    let answer = match source {
        EntraSource::Secret { token_url, client_id, secret } => {
            let fields = [
                ("grant_type", "client_credentials"),
                ("client_id", client_id),
                ("client_secret", secret.reveal()),
                ("scope", SCOPE),
            ];
            exchange.post_form(token_url, &fields).await?
        }
        EntraSource::Federated { token_url, client_id, token_file } => {
            let token = token_in(token_file).await?;
            let fields = [
                ("grant_type", "client_credentials"),
                ("client_id", client_id),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", token.reveal()),
                ("scope", SCOPE),
            ];
            exchange.post_form(token_url, &fields).await?
        }
        EntraSource::Managed { base, client_id } => {
            let mut path = format!("{METADATA_PATH}&resource={}", escaped(RESOURCE));
            if let Some(client_id) = client_id {
                path += &format!("&client_id={}", escaped(client_id));
            }
            exchange.local(Method::GET, below(base, &path)?, &[("metadata", "true")]).await?
        }
    };
    granted(&answer, now)
}
