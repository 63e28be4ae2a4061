//! What an operator may say about credentials that a cloud gives out.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::names::Secret;

/// AWS credentials of an upstream with `auth: aws`. What is not said comes from AWS's own variables.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AwsOptions {
    /// Where they come from. Default `chain`.
    pub credentials: AwsChoice,
    /// Access key; needs `secret_access_key`. Default: AWS_ACCESS_KEY_ID.
    pub access_key_id: Option<Secret>,
    /// Its secret. Default: AWS_SECRET_ACCESS_KEY.
    pub secret_access_key: Option<Secret>,
    /// Token of an access key that is temporary. Default: AWS_SESSION_TOKEN.
    pub session_token: Option<Secret>,
    /// Role that a web identity takes on. Default: AWS_ROLE_ARN.
    pub role_arn: Option<String>,
    /// Name that AWS's records show for it. Default: AWS_ROLE_SESSION_NAME, else `tollgate`.
    pub role_session_name: Option<String>,
    /// File of the web identity's token, read at each refresh. Default: AWS_WEB_IDENTITY_TOKEN_FILE.
    pub web_identity_token_file: Option<String>,
    /// Where web identities are exchanged. Default: `https://sts.{region}.amazonaws.com`.
    pub sts_url: Option<String>,
    /// Where a container asks. Default: AWS_CONTAINER_CREDENTIALS_FULL_URI, or AWS_CONTAINER_CREDENTIALS_RELATIVE_URI at
    /// 169.254.170.2.
    pub container_url: Option<String>,
    /// File of the token that is shown there, read at each refresh. Default: AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, or
    /// the token in AWS_CONTAINER_AUTHORIZATION_TOKEN.
    pub container_token_file: Option<String>,
    /// Where an EC2 instance asks. Default: `http://169.254.169.254`.
    pub metadata_url: Option<String>,
}

/// A source of AWS credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AwsChoice {
    /// The first of environment, web identity and container that is there. Never instance metadata.
    #[default]
    Chain,
    /// An access key, written or in the environment.
    Environment,
    /// A role by a token in a file, as Kubernetes has it (IRSA).
    WebIdentity,
    /// The agent of ECS or EKS.
    Container,
    /// The metadata service of EC2, version 2.
    Instance,
}

/// Google Cloud credentials of an upstream with `auth: google`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GoogleOptions {
    /// Where they come from. Default `file`.
    pub credentials: GoogleChoice,
    /// JSON file of a service account, an authorized user or a federated workload (`external_account`). Default:
    /// GOOGLE_APPLICATION_CREDENTIALS.
    pub credentials_file: Option<String>,
    /// Where tokens are exchanged. Default: as the file says, if that is a host of googleapis.com.
    pub token_url: Option<String>,
    /// Where a federated workload takes on a service account. Default: as the file says, if that is a host of
    /// googleapis.com.
    pub impersonation_url: Option<String>,
    /// Where a machine of Google asks. Default: `http://metadata.google.internal`.
    pub metadata_url: Option<String>,
}

/// A source of Google Cloud credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GoogleChoice {
    /// A file.
    #[default]
    File,
    /// The metadata server of a machine of Google.
    Metadata,
}

/// Microsoft Entra credentials of an upstream with `auth: entra`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EntraOptions {
    /// Where they come from. Default `chain`.
    pub credentials: EntraChoice,
    /// Tenant. Default: AZURE_TENANT_ID.
    pub tenant: Option<String>,
    /// Application, or the managed identity that is meant. Default: AZURE_CLIENT_ID.
    pub client_id: Option<String>,
    /// Secret of the application. Default: AZURE_CLIENT_SECRET.
    pub client_secret: Option<Secret>,
    /// File of a federated token, read at each refresh. Default: AZURE_FEDERATED_TOKEN_FILE.
    pub federated_token_file: Option<String>,
    /// Where tokens are given out, without the tenant. Default: AZURE_AUTHORITY_HOST, else
    /// `https://login.microsoftonline.com`.
    pub authority_url: Option<String>,
    /// Where a machine of Azure asks. Default: `http://169.254.169.254`.
    pub metadata_url: Option<String>,
}

/// A source of Entra credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntraChoice {
    /// The secret, or else the federated token. Never the managed identity.
    #[default]
    Chain,
    /// An application's secret.
    Secret,
    /// A federated token in a file, as Kubernetes has it (workload identity).
    Federated,
    /// The managed identity of a machine of Azure.
    ManagedIdentity,
}
