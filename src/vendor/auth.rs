//! How vendors want to be shown who calls. What is shown comes from `upstream`.

use http::{HeaderName, header};
use schemars::JsonSchema;
use serde::Deserialize;

/// The proof that goes with each request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuthStyle {
    /// A key, as `Authorization: Bearer`.
    #[default]
    Bearer,
    /// A key, as `x-api-key`: Anthropic.
    XApiKey,
    /// A key, as `api-key`: Azure.
    ApiKey,
    /// A key, as `x-goog-api-key`: Gemini.
    XGoogApiKey,
    /// A signature by AWS's access keys (SigV4); or a Bedrock API key, as `Authorization: Bearer`.
    Aws,
    /// A token of Google Cloud, as `Authorization: Bearer`.
    Google,
    /// A token of Microsoft Entra, as `Authorization: Bearer`.
    Entra,
    /// Nothing.
    None,
}

impl AuthStyle {
    /// The header of a key and what stands before it; `None` where no key is shown.
    pub fn key_header(self) -> Option<(HeaderName, &'static str)> {
        match self {
            Self::Bearer | Self::Aws => Some((header::AUTHORIZATION, "Bearer ")),
            Self::XApiKey => Some((HeaderName::from_static("x-api-key"), "")),
            Self::ApiKey => Some((HeaderName::from_static("api-key"), "")),
            Self::XGoogApiKey => Some((HeaderName::from_static("x-goog-api-key"), "")),
            Self::Google | Self::Entra | Self::None => None,
        }
    }

    /// The section of an upstream that says where its credentials come from.
    pub fn section(self) -> Option<&'static str> {
        match self {
            Self::Aws => Some("aws"),
            Self::Google => Some("google"),
            Self::Entra => Some("entra"),
            _ => None,
        }
    }
}
