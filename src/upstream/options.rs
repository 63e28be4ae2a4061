//! What an operator may say about an upstream: where it is, which keys, which timers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::dialect::Dialect;
use crate::health::CircuitOptions;
use crate::names::{ModelName, Secret};
use crate::price::options::PriceOptions;
use crate::upstream::credential::options::{AwsOptions, EntraOptions, GoogleOptions};
use crate::vendor::auth::AuthStyle;
use crate::vendor::models::FactOptions;
use crate::vendor::quirks::options::QuirkOptions;

/// One configured endpoint of a vendor. What is not said comes from the vendor's catalogue entry.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamOptions {
    /// Catalogue id of the vendor, or `openai-compatible` for any other. Default: the upstream's own name.
    pub vendor: Option<String>,
    /// Where the API lives, path included; `/chat/completions` is appended. Default: the vendor's `…_BASE_URL`
    /// variable, else the catalogue's.
    pub base_url: Option<String>,
    /// The dialects it speaks below `base_url`, the preferred one first: `chat`, `completions`, `responses`, `anthropic`,
    /// `gemini`, `converse`, `cohere`. A call in one of them is forwarded as it is, any other is put into the first.
    /// Default: the catalogue's.
    pub dialects: Vec<Dialect>,
    /// How it is shown who calls. Default: the catalogue's, else `bearer`.
    pub auth: Option<AuthStyle>,
    /// Region of AWS. Default: AWS_REGION, AWS_DEFAULT_REGION.
    pub region: Option<String>,
    /// Project of Google Cloud. Default: GOOGLE_VERTEX_PROJECT, GOOGLE_CLOUD_PROJECT.
    pub project: Option<String>,
    /// Location of Google Cloud. Default: GOOGLE_VERTEX_LOCATION, GOOGLE_CLOUD_LOCATION, else `global`.
    pub location: Option<String>,
    /// Resource of Azure. Default: AZURE_RESOURCE_NAME.
    pub resource: Option<String>,
    /// Version of Azure's older interface. Default: AZURE_API_VERSION, else 2024-10-21.
    pub api_version: Option<String>,
    /// Credentials of AWS, for `auth: aws`. Default: AWS's own variables.
    pub aws: Option<AwsOptions>,
    /// Credentials of Google Cloud, for `auth: google`. Default: GOOGLE_APPLICATION_CREDENTIALS.
    pub google: Option<GoogleOptions>,
    /// Credentials of Microsoft Entra, for `auth: entra`. Default: Azure's own variables.
    pub entra: Option<EntraOptions>,
    /// The key, shown as `auth` says. Default: the vendor's environment variable.
    pub key: Option<Secret>,
    /// Several keys, used in turn; empty ones are left out.
    pub keys: Vec<Option<Secret>>,
    /// A file whose lines are keys; read again when it changes.
    pub key_file: Option<String>,
    /// Model that the bare upstream name stands for. Default: the vendor's `…_MODEL` variable.
    pub default_model: Option<ModelName>,
    /// Model prefixes routed here. Default: the catalogue's.
    pub prefixes: Option<Vec<String>>,
    /// Models shown by `/v1/models` when the vendor lists none.
    pub models: Vec<ModelName>,
    /// Headers added to every request; they win over the gateway's own. Empty ones are left out.
    pub headers: BTreeMap<String, Secret>,
    /// Query parameters added to every request. Empty ones are left out.
    pub query: BTreeMap<String, Secret>,
    /// PEM file of certificate authorities trusted besides the system's.
    pub ca_file: Option<String>,
    /// PEM file of the client certificate shown to the upstream; needs `client_key`.
    pub client_cert: Option<String>,
    /// PEM file of the client certificate's private key.
    pub client_key: Option<String>,
    /// `http://` URL of a proxy, which may hold a password, or `off`. Default: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, but none for loopback.
    pub proxy: Option<Secret>,
    /// HTTP/2 connections to spread calls over. Default 0: HTTP/1.1. 0 to 64.
    #[schemars(range(max = 64))]
    pub http2: usize,
    /// Connections opened before the first call. Default 0. 0 to 64.
    #[schemars(range(max = 64))]
    pub prewarm: usize,
    /// What routes and callers may ask for by name, such as a region; every target here has them.
    pub tags: Vec<String>,
    /// What its models can do, where the catalogue does not know or is wrong.
    pub facts: Option<FactOptions>,
    /// Where its models differ from OpenAI's chat completions, besides what is built in of the vendor. Default: none.
    pub quirks: Vec<QuirkOptions>,
    /// What becomes of a call that asks for something its vendor has no words for. Default drop.
    pub unsupported: Unsupported,
    /// Not used, though configured. Default false.
    pub off: bool,
    /// Whether `stream_options` may be sent. Default: the catalogue's, else true.
    pub stream_usage: Option<bool>,
    /// Timers of this upstream, where they differ from the general ones.
    pub timeouts: Option<TimeoutOptions>,
    /// Active health checks, where they differ from the general ones.
    pub probe: Option<ProbeOptions>,
    /// Circuit, where it differs from the general one.
    pub circuit: Option<CircuitOptions>,
    /// What all its models cost. Default: what is known of each.
    pub price: Option<PriceOptions>,
    /// How many calls it is sent at once.
    pub concurrency: ConcurrencyOptions,
}

/// What becomes of a call that asks for something its vendor has no words for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unsupported {
    /// That is left out, and the rest is sent.
    #[default]
    Drop,
    /// The call is refused here.
    Error,
}

/// Calls that an upstream is sent at once, streams until their end included. Beyond them a call goes to the next target;
/// without one it waits in a short queue.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConcurrencyOptions {
    /// Calls at once. Default: the catalogue's, else 0 = no cap; at most 1,000,000.
    #[schemars(range(max = 1_000_000))]
    pub calls_max: Option<u32>,
    /// Calls at once with each key. Default 0 = no cap; at most 1,000,000.
    #[schemars(range(max = 1_000_000))]
    pub per_key_max: u32,
    /// Calls at once by the vendor's name of the model; 0 = no cap. Default: the catalogue's, else none.
    pub models: Option<BTreeMap<ModelName, u32>>,
    /// Calls that may wait for a place when no other target is left. Default 16; 0 to 10,000.
    #[schemars(range(max = 10_000))]
    pub queue_max: u32,
    /// Longest wait for a place, in milliseconds. Default 500; 1 to 600,000.
    #[schemars(range(min = 1, max = 600_000))]
    pub queue_ms: u64,
}

impl Default for ConcurrencyOptions {
    fn default() -> Self {
        Self { calls_max: None, per_key_max: 0, models: None, queue_max: 16, queue_ms: 500 }
    }
}

/// Timers of one attempt and of the whole call, in milliseconds.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutOptions {
    /// Name look-up, TCP, proxy and TLS together, in milliseconds. Default 3,000; 1 to 600,000.
    #[schemars(range(min = 1, max = 600_000))]
    pub connect_ms: u64,
    /// From the request sent to the first byte of the answer, in milliseconds. Default 300,000; 1 to 3,600,000.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub first_byte_ms: u64,
    /// From the request sent to the first content of a stream, while another target is left to try, in milliseconds.
    /// Default 120,000; 1 to 3,600,000. The last target is waited for until `call_ms`, if it sends comments meanwhile.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub first_content_ms: u64,
    /// Silence allowed inside an answer, in milliseconds. Default 120,000; 1 to 3,600,000. Comments from the vendor count as life.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub idle_ms: u64,
    /// The whole call, all attempts together, in milliseconds; set at an upstream, one attempt there.
    /// Default 1,800,000; 1 to 86,400,000.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub call_ms: u64,
}

impl Default for TimeoutOptions {
    fn default() -> Self {
        Self {
            connect_ms: 3_000,
            first_byte_ms: 300_000,
            first_content_ms: 120_000,
            idle_ms: 120_000,
            call_ms: 1_800_000,
        }
    }
}

/// Active health checks: a call that costs no tokens (`GET /models`, or what the catalogue names).
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProbeOptions {
    /// Time between two checks, in milliseconds, ± 20 %. Default 60,000; 0 = off, else 100 to 86,400,000. With checks off
    /// the vendor's models are not listed either.
    #[schemars(range(max = 86_400_000))]
    pub interval_ms: u64,
    /// Time a check may take, in milliseconds. Default 5,000; 1 to 600,000.
    #[schemars(range(min = 1, max = 600_000))]
    pub timeout_ms: u64,
    /// Failed checks in a row that take the upstream out. Default 3; 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub down_after: u32,
    /// Passed checks in a row that bring it back. Default 1; 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub up_after: u32,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self { interval_ms: 60_000, timeout_ms: 5_000, down_after: 3, up_after: 1 }
    }
}

/// How far one call may go in search of an answer.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FailoverOptions {
    /// Attempts of one call, the first included. Default 3; 1 to 20.
    #[schemars(range(min = 1, max = 20))]
    pub attempts_max: usize,
    /// Wait for the first content after which a streaming client is answered `200` and `: waiting` comments,
    /// while failover stays open, in milliseconds. Default 30,000; 0 = never, else 100 to 3,600,000.
    #[schemars(range(max = 3_600_000))]
    pub waiting_comment_ms: u64,
    /// Retries that a failing upstream may be sent, in per cent of the first attempts sent to it. One whose calls succeed
    /// may take over any number. Default 20; 0 to 100.
    #[schemars(range(max = 100))]
    pub retry_share_percent: u32,
    /// Retries, and attempts while every target is out, that a failing upstream may be sent besides, refilled over ten
    /// seconds. Default 10; 0 to 10,000.
    #[schemars(range(max = 10_000))]
    pub retry_floor: u32,
    /// How often the last target is tried again after a failure that may pass, when no other is left. Default 0, for SDKs
    /// do so themselves and theirs would multiply with these; 0 to 5.
    #[schemars(range(max = 5))]
    pub same_upstream_retries: u32,
    /// Longest wait before the first of those, in milliseconds, doubled with each further one; the wait is drawn at random
    /// up to it, on top of what the vendor asks for. Default 250; 1 to 60,000.
    #[schemars(range(min = 1, max = 60_000))]
    pub backoff_ms: u64,
    /// Longest wait of all, in milliseconds; a vendor that asks for more is not waited for. Default 8,000; 1 to 600,000.
    #[schemars(range(min = 1, max = 600_000))]
    pub backoff_ms_max: u64,
}

impl Default for FailoverOptions {
    fn default() -> Self {
        Self {
            attempts_max: 3,
            waiting_comment_ms: 30_000,
            retry_share_percent: 20,
            retry_floor: 10,
            same_upstream_retries: 0,
            backoff_ms: 250,
            backoff_ms_max: 8_000,
        }
    }
}
