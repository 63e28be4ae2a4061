//! An upstream with every default filled in and every file read: what `config` hands to `upstream`.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

use crate::health::CircuitOptions;
use crate::names::{ModelName, Secret, UpstreamId};
use crate::upstream::options::{ProbeOptions, TimeoutOptions};
use crate::vendor::models::FactOptions;

/// One upstream, complete. Two equal specs share connections and health across a reload.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamSpec {
    pub id: UpstreamId,
    /// Catalogue id, or `openai-compatible`.
    pub vendor: String,
    /// Scheme, host, port and path, without a trailing slash; a bare host has the path `/`, as every [`Uri`] does.
    pub base_url: Uri,
    /// Keys used in turn; empty for an upstream that asks for none.
    pub keys: Vec<Secret>,
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
    /// Whether `stream_options` may be sent.
    pub stream_usage: bool,
    pub timeouts: TimeoutOptions,
    pub probe: ProbeOptions,
    /// Path of the probe below the base URL, such as `/models`; none: the vendor has no free call to ask.
    pub probe_path: Option<String>,
    pub circuit: CircuitOptions,
    pub concurrency: ConcurrencySpec,
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
