//! Reads gateway.yaml and the environment: the only module that does. Gathers every module's options.

mod access;
mod chat;
mod check;
mod clients;
mod cloud;
mod cloud_google;
mod env;
mod extras;
mod fallback;
mod fault;
mod files;
mod keys;
mod load;
mod mend;
mod places;
mod prices;
mod quirks;
mod resolve;
mod schema;
mod sessions;
mod tree;
mod watch;

#[cfg(test)]
mod tests;

pub use fault::ConfigFault;
pub use load::{Loaded, load};
pub use schema::schema;
pub use watch::Watch;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::edge::chat_api::options::{ChatImageModels, ChatRolesOptions};
use crate::edge::options::{AuthMode, ClientsOptions, CorsOptions, LimitOptions, TlsOptions};
use crate::health::CircuitOptions;
use crate::names::{ModelName, Secret, UpstreamId};
use crate::price::options::PricesOptions;
use crate::price::tokenizer::TokenCounts;
use crate::route::options::RouteOptions;
use crate::session::options::SessionsOptions;
use crate::sim::SimOptions;
use crate::telemetry::options::LogOptions;
use crate::upstream::options::{FailoverOptions, ProbeOptions, TimeoutOptions, UpstreamOptions};

/// Everything gateway.yaml may say.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayOptions {
    /// Address for calls. Default 127.0.0.1:8080. Wider than loopback needs `clients` or `auth: off`.
    pub listen: String,
    /// Address for probes, metrics and the admin API. Default 127.0.0.1:8081.
    pub admin: String,
    /// Key for `/admin/*`, shown as `Authorization: Bearer`. Without it `/admin/*` answers on loopback only, under a name
    /// of loopback, and to no web page.
    pub admin_key: Option<Secret>,
    /// Certificate of the public port. Default: none, cleartext.
    pub tls: Option<TlsOptions>,
    /// Whether callers must show a key. Default `keys`.
    pub auth: AuthMode,
    /// Callers by name. Default: none.
    pub clients: ClientsOptions,
    /// Answers to browsers. Default: none.
    pub cors: Option<CorsOptions>,
    /// Whether every catalogue vendor whose key is in the environment becomes an upstream. Default true.
    pub discover: bool,
    /// Upstream of calls that name no model. Default: the first configured one.
    pub default_upstream: Option<UpstreamId>,
    /// Model of calls whose body names none. Default: none, they are refused.
    pub default_model: Option<ModelName>,
    /// Endpoints of vendors by name; where several serve a prefix, the first one comes first.
    pub upstreams: IndexMap<UpstreamId, UpstreamOptions>,
    /// Which model names go where, besides `upstream/model` and the upstreams' prefixes.
    pub routes: Vec<RouteOptions>,
    /// What models cost, over and beside the built-in prices.
    pub prices: PricesOptions,
    /// How far one call may go in search of an answer.
    pub failover: FailoverOptions,
    /// Timers, unless an upstream has its own.
    pub timeouts: TimeoutOptions,
    /// Circuits, unless an upstream has its own.
    pub circuit: CircuitOptions,
    /// Active health checks, unless an upstream has its own.
    pub probe: ProbeOptions,
    /// Conversations that the gateway keeps.
    pub sessions: SessionsOptions,
    /// Whether the interface of the earlier chat service is served beside the OpenAI API: `/chat/stream`, `/chat/history`,
    /// `/roles`, `/providers` and the others. Default false.
    pub chat_api: bool,
    /// Roles that its chats may ask for, besides routes with a `system` prompt. Default: `assistant`, `teacher` and
    /// `programmer`.
    pub chat_roles: ChatRolesOptions,
    /// Models of its `/generate/image`, by upstream. Default: what the vendor takes where none is named.
    pub chat_image_models: ChatImageModels,
    /// Bounds on what clients may send, hold and ignore.
    pub limits: LimitOptions,
    /// How the process stops.
    pub shutdown: ShutdownOptions,
    /// The log on standard output.
    pub log: LogOptions,
    /// Whether usage is asked of vendors where the client did not, and taken out of the stream again. Default true.
    pub usage: bool,
    /// How the text of a whole answer is counted whose vendor states no usage. Default `estimate`; `tokenizer` needs a
    /// build with that feature. Prompts and streams are always estimated.
    pub token_counts: TokenCounts,
    /// The built-in simulated vendor, upstream `sim`.
    pub sim: SimOptions,
    /// Runtime threads. Default 0: one per core. 0 to 1,024. Read at start only.
    #[schemars(range(max = 1_024))]
    pub workers: usize,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            admin: "127.0.0.1:8081".into(),
            admin_key: None,
            tls: None,
            auth: AuthMode::default(),
            clients: ClientsOptions::new(),
            cors: None,
            discover: true,
            default_upstream: None,
            default_model: None,
            upstreams: IndexMap::new(),
            routes: Vec::new(),
            prices: PricesOptions::default(),
            failover: FailoverOptions::default(),
            timeouts: TimeoutOptions::default(),
            circuit: CircuitOptions::default(),
            probe: ProbeOptions::default(),
            sessions: SessionsOptions::default(),
            chat_api: false,
            chat_roles: ChatRolesOptions::new(),
            chat_image_models: ChatImageModels::new(),
            limits: LimitOptions::default(),
            shutdown: ShutdownOptions::default(),
            log: LogOptions::default(),
            usage: true,
            token_counts: TokenCounts::default(),
            sim: SimOptions::default(),
            workers: 0,
        }
    }
}

/// How the process stops after SIGTERM.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownOptions {
    /// Time calls are still accepted while readiness says no, in milliseconds. Default 5,000; 0 to 3,600,000.
    #[schemars(range(max = 3_600_000))]
    pub drain_delay_ms: u64,
    /// Time open calls may take to end after that, in milliseconds. Default 300,000; 0 to 86,400,000.
    #[schemars(range(max = 86_400_000))]
    pub grace_ms: u64,
}

impl Default for ShutdownOptions {
    fn default() -> Self {
        Self { drain_delay_ms: 5_000, grace_ms: 300_000 }
    }
}
