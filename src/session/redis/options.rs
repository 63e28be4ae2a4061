//! What an operator may say about Redis besides its URL.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::names::Secret;

/// What a Redis (6.2 or later, or Valkey) needs besides its URL. User, password, TLS and database are the URL's; without
/// `sentinel` and `cluster` so is the server.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedisOptions {
    /// Sentinels that know which server is the master. Default: none.
    pub sentinel: Option<SentinelOptions>,
    /// Some nodes of a Redis Cluster, each `host:port`, besides the URL's; the others are found. Default: none, no cluster.
    pub cluster: Vec<String>,
    /// PEM file of an authority to trust besides the system's; of `rediss://`, relative to the configuration's folder.
    pub ca_file: Option<String>,
    /// PEM file of our own certificate, where Redis asks for one; with `key_file`.
    pub cert_file: Option<String>,
    /// PEM file of the key of that certificate.
    pub key_file: Option<String>,
    /// Time to connect, handshakes and finding the master included, in milliseconds. Default 250; 10 to 60,000.
    #[schemars(range(min = 10, max = 60_000))]
    pub connect_ms: u64,
    /// Time in which something of an answer has to come, in milliseconds, besides one millisecond for each 64 KiB sent. A
    /// connection on which nothing came in this time is made anew. Default 100; 10 to 60,000.
    #[schemars(range(min = 10, max = 60_000))]
    pub command_ms: u64,
    /// What the files say, once they are read.
    #[serde(skip)]
    pub pems: RedisPems,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            sentinel: None,
            cluster: Vec::new(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            connect_ms: 250,
            command_ms: 100,
            pems: RedisPems::default(),
        }
    }
}

/// Sentinels, 6.2 or later. Reached by TLS if the URL says `rediss://`.
#[derive(Clone, Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SentinelOptions {
    /// Each `host:port`.
    pub nodes: Vec<String>,
    /// What they call the master. Default: the host of the URL, which then names no machine.
    pub master: Option<String>,
    /// The ACL user at the sentinels. Default: none.
    pub username: Option<String>,
    /// The password at the sentinels. Default: none; the URL's is for Redis alone.
    pub password: Option<Secret>,
}

/// Certificates and key in PEM form.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RedisPems {
    pub ca: Option<Vec<u8>>,
    pub cert: Option<Vec<u8>>,
    pub key: Option<Secret>,
}
