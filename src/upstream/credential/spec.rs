//! Where an upstream's credentials come from, complete: what `config` hands to `upstream`.

use std::path::PathBuf;

use http::Uri;

use crate::names::Secret;

/// Credentials of a cloud.
#[derive(Clone, Debug, PartialEq)]
pub enum CredentialSpec {
    Aws { region: String, source: AwsSource },
    Google(GoogleSource),
    Entra(EntraSource),
}

impl CredentialSpec {
    /// The word for the source in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Aws { source, .. } => match source {
                AwsSource::Fixed(_) => "aws access key",
                AwsSource::WebIdentity { .. } => "aws web identity",
                AwsSource::Container { .. } => "aws container",
                AwsSource::Instance { .. } => "aws instance",
            },
            Self::Google(source) => match source {
                GoogleSource::ServiceAccount { .. } => "google service account",
                GoogleSource::AuthorizedUser { .. } => "google authorized user",
                GoogleSource::External { .. } => "google external account",
                GoogleSource::Metadata { .. } => "google metadata server",
            },
            Self::Entra(source) => match source {
                EntraSource::Secret { .. } => "entra client secret",
                EntraSource::Federated { .. } => "entra federated token",
                EntraSource::Managed { .. } => "entra managed identity",
            },
        }
    }
}

/// An access key of AWS, as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct AwsKeys {
    pub id: Secret,
    pub secret: Secret,
    pub session: Option<Secret>,
}

/// A source of access keys.
#[derive(Clone, Debug, PartialEq)]
pub enum AwsSource {
    /// Does not expire as far as we know.
    Fixed(AwsKeys),
    WebIdentity {
        role_arn: String,
        session_name: String,
        token_file: PathBuf,
        sts: Uri,
    },
    Container {
        url: Uri,
        token: Option<Held>,
    },
    /// `base`: scheme and host of the metadata service.
    Instance {
        base: Uri,
    },
}

/// A token that somebody else renews.
#[derive(Clone, Debug, PartialEq)]
pub enum Held {
    Text(Secret),
    /// Read at each refresh.
    File(PathBuf),
}

/// A source of Google's tokens.
#[derive(Clone, Debug, PartialEq)]
pub enum GoogleSource {
    ServiceAccount { email: String, key_pem: Secret, key_id: Option<String>, token_url: Uri },
    AuthorizedUser { client_id: String, client_secret: Secret, refresh_token: Secret, token_url: Uri },
    External(Box<External>),
    Metadata { base: Uri },
}

/// A workload of another cloud, known to Google by a token of that cloud (RFC 8693).
#[derive(Clone, Debug, PartialEq)]
pub struct External {
    pub audience: String,
    pub subject_token_type: String,
    pub subject: Subject,
    /// Field of the subject token, where it comes in JSON.
    pub subject_field: Option<String>,
    pub token_url: Uri,
    /// The service account that it takes on: the URL of its `generateAccessToken`.
    pub impersonation_url: Option<Uri>,
}

/// Where the token of the other cloud comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    File(PathBuf),
    Url { url: Uri, headers: Vec<(String, Secret)> },
}

/// A source of Entra's tokens.
#[derive(Clone, Debug, PartialEq)]
pub enum EntraSource {
    Secret { token_url: Uri, client_id: String, secret: Secret },
    Federated { token_url: Uri, client_id: String, token_file: PathBuf },
    Managed { base: Uri, client_id: Option<String> },
}
