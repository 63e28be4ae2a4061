//! An upstream with every default filled in and every file read: what `config` hands to `upstream`.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

use crate::dialect::Dialect;
use crate::health::CircuitOptions;
use crate::names::{ModelName, Secret, UpstreamId};
use crate::upstream::credential::spec::CredentialSpec;
use crate::upstream::options::{ProbeOptions, TimeoutOptions, Unsupported};
use crate::vendor::auth::AuthStyle;
use crate::vendor::models::FactOptions;
use crate::vendor::quirks::options::QuirkOptions;

/// One upstream, complete. Two equal specs share connections and health across a reload.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamSpec {
    pub id: UpstreamId,
    /// Catalogue id, or `openai-compatible`.
    pub vendor: String,
    /// Scheme, host, port and path, without a trailing slash; a bare host has the path `/`, as every [`Uri`] does.
    pub base_url: Uri,
    /// The dialects it speaks; a call in none of them is put into the first.
    pub forms: Vec<Form>,
    /// The path on its host below which everything is that asks no model to speak, such as embeddings; None: the path
    /// of `base_url`.
    pub rest: Option<String>,
    pub manners: Manners,
    /// Keys used in turn; empty for an upstream that asks for none.
    pub keys: Vec<Secret>,
    /// What a cloud gives out in the place of keys.
    pub credential: Option<CredentialSpec>,
    pub default_model: Option<ModelName>,
    pub prefixes: Vec<String>,
    /// Models shown when the vendor lists none.
    pub models: Vec<ModelName>,
    /// Headers added to every request, marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `a=b&c=d`, already escaped; added to every request.
    pub query: Option<Secret>,
    pub tls: UpstreamTls,
    pub proxy: ProxySpec,
    /// HTTP/2 connections; 0 is HTTP/1.1.
    pub http2: usize,
    pub prewarm: usize,
    pub tags: Vec<String>,
    /// What the operator says its models can do.
    pub facts: FactOptions,
    /// The operator's own, over those of the vendor.
    pub quirks: Vec<QuirkOptions>,
    pub unsupported: Unsupported,
    /// Whether `stream_options` may be sent.
    pub stream_usage: bool,
    pub timeouts: TimeoutOptions,
    pub probe: ProbeOptions,
    /// Path of the probe below the base URL, such as `/models`; none: the vendor has no free call to ask.
    pub probe_path: Option<String>,
    pub circuit: CircuitOptions,
    pub concurrency: ConcurrencySpec,
}

/// A dialect, and where it is spoken.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    pub dialect: Dialect,
    /// The path on the upstream's host; None: the path of `base_url`.
    pub base: Option<String>,
}

/// What its vendor wants of requests, besides their dialect: the catalogue's word.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manners {
    /// How it is shown who calls.
    pub auth: AuthStyle,
    /// Headers of requests whose client sent none of that name.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The path of calls that name a model, with `{model}` and `{call}` in it; None: the usual one.
    pub path: Option<String>,
    /// The same of streams, where those go elsewhere.
    pub stream_path: Option<String>,
    /// Text fields that bodies have besides; where there are any, they have no `model`.
    pub body: Vec<(String, String)>,
    /// Whether the models that the probe shows can be called.
    pub probe_lists: bool,
}

/// How many calls an upstream is sent at once; 0 is no cap.
#[derive(Clone, Debug, PartialEq)]
pub struct ConcurrencySpec {
    pub calls_max: u32,
    pub per_key_max: u32,
    pub models: Vec<(ModelName, u32)>,
    pub queue_max: u32,
    pub queue_ms: u64,
}

impl UpstreamSpec {
    /// Where it speaks `dialect`, if it does.
    pub fn form(&self, dialect: Dialect) -> Option<&Form> {
        self.forms.iter().find(|it| it.dialect == dialect)
    }

    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.timeouts.connect_ms)
    }
}

/// PEM texts for connections to an upstream.
#[derive(Clone, Default, PartialEq)]
pub struct UpstreamTls {
    pub extra_ca_pem: Option<Vec<u8>>,
    pub client_cert_pem: Option<Vec<u8>>,
    pub client_key_pem: Option<Vec<u8>>,
}

/// A private key is among the fields, so only their presence prints.
impl std::fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamTls")
            .field("extra_ca", &self.extra_ca_pem.is_some())
            .field("client_cert", &self.client_cert_pem.is_some())
            .finish()
    }
}

/// Which proxy connections go through. Proxy URLs may hold a password, hence [`Secret`].
#[derive(Clone, Debug, PartialEq)]
pub enum ProxySpec {
    Off,
    Url(Secret),
    /// As the environment says: `HTTP_PROXY`, `HTTPS_PROXY` (or `ALL_PROXY`), `NO_PROXY`.
    Environment {
        http: Option<Secret>,
        https: Option<Secret>,
        except: Option<String>,
    },
}
