//! What an operator may say about clients and the public port.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::names::{ClientName, Secret};

/// Whether callers must show a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// Keys are needed as soon as `clients` has one; without any the gateway listens on loopback only.
    #[default]
    Keys,
    /// Nobody shows a key, wherever the gateway listens.
    Off,
}

/// Callers by name.
pub type ClientsOptions = BTreeMap<ClientName, ClientOptions>;

/// One caller: how it proves itself and what it may use.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClientOptions {
    /// The key it shows as `Authorization: Bearer`, `api-key`, `x-api-key` or `x-goog-api-key`.
    pub key: Option<Secret>,
    /// Several keys, for rotation.
    pub keys: Vec<Secret>,
    /// A file whose lines are keys; read again when it changes.
    pub key_file: Option<String>,
    /// SHA-256 of the key in hexadecimal, instead of the key.
    pub key_sha256: Vec<String>,
    /// Whose sessions it has: clients of the same tenant share theirs. Default: its own name.
    pub tenant: Option<String>,
    /// Models it may use; a trailing `*` matches any ending. Default: all.
    pub models: Option<Vec<String>>,
    /// Whether it may make calls that name no model (files, batches …). Default: true, or false where `models` is set.
    pub without_model: Option<bool>,
    /// Its calls in flight, streams included. Default 0: no bound of its own, only `limits.calls_max` and its share of
    /// them; 0 to 1,000,000. Beyond: 429 with `retry-after`.
    #[schemars(range(max = 1_000_000))]
    pub calls_max: usize,
}

/// Certificate of the public port (TLS 1.2 and 1.3; HTTP/2 by ALPN).
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsOptions {
    /// PEM file of the certificate chain; read again when it changes.
    pub cert: String,
    /// PEM file of the private key; read again when it changes.
    pub key: String,
}

/// Answers to browsers (CORS); absent: none.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CorsOptions {
    /// Origins that may call; `*` is any.
    pub origins: Vec<String>,
}

/// Bounds on what clients may send, hold and ignore.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitOptions {
    /// Size of a request body that is read as a whole, and of what is held of a multipart body before its `model`
    /// field, in bytes. Default 33,554,432; 1,024 to 1,073,741,824. Beyond: 413.
    #[schemars(range(min = 1_024, max = 1_073_741_824))]
    pub body_bytes_max: usize,
    /// Size of all request headers, in bytes. Default 32,768; 8,192 to 262,144. Beyond: 431.
    #[schemars(range(min = 8_192, max = 262_144))]
    pub header_bytes_max: usize,
    /// Open client connections. Default 10,000; 1 to 1,000,000. Beyond: not accepted until one closes. Lowered by a
    /// reload, it comes true as connections close.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_max: usize,
    /// Calls in flight, streams included. Default 4,096; 1 to 1,000,000. Beyond: 503 with `retry-after`.
    /// Above three quarters of it, a client that has more than its fair share gets 429 with `retry-after`: `calls_max`
    /// divided among the clients with calls in flight and one more, as long as `clients` has one more.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub calls_max: usize,
    /// Bytes of request bodies held at once, over all calls. Default 1,073,741,824; 1,024 to 1,099,511,627,776, and not
    /// below `body_bytes_max`. Beyond: 503 with `retry-after`; shared among clients as `calls_max` is.
    #[schemars(range(min = 1_024, max = 1_099_511_627_776_u64))]
    pub held_bytes_max: u64,
    /// Time a client may take to send its headers, in milliseconds. Default 10,000; 100 to 3,600,000.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub header_read_ms: u64,
    /// Silence allowed while a client sends its body, in milliseconds. Default 60,000; 100 to 3,600,000. Beyond: 408.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub body_read_ms: u64,
    /// Time an idle client connection is kept, in milliseconds. Default 75,000; 100 to 3,600,000.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub keepalive_ms: u64,
    /// Time a client may refuse to take bytes, in milliseconds. Default 60,000; 100 to 3,600,000. Beyond: the connection
    /// is closed or, where the client takes nothing of one stream over HTTP/2, that stream ends.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub write_stall_ms: u64,
    /// Size of one event of a stream, in bytes. Default 8,388,608; 4,096 to 268,435,456.
    #[schemars(range(min = 4_096, max = 268_435_456))]
    pub event_bytes_max: usize,
    /// Size of an answer that is held whole before it is passed on, so that failover stays open, in bytes.
    /// Default 4,194,304; 4,096 to 268,435,456. A longer one is passed on as it comes, or is a 502 where it must be
    /// translated.
    #[schemars(range(min = 4_096, max = 268_435_456))]
    pub answer_bytes_max: usize,
    /// Nesting of a request's JSON. Default 128; 8 to 1,024.
    #[schemars(range(min = 8, max = 1_024))]
    pub json_depth_max: usize,
}

impl Default for LimitOptions {
    fn default() -> Self {
        Self {
            body_bytes_max: 32 << 20,
            header_bytes_max: 32 << 10,
            connections_max: 10_000,
            calls_max: 4_096,
            held_bytes_max: 1 << 30,
            header_read_ms: 10_000,
            body_read_ms: 60_000,
            keepalive_ms: 75_000,
            write_stall_ms: 60_000,
            event_bytes_max: 8 << 20,
            answer_bytes_max: 4 << 20,
            json_depth_max: 128,
        }
    }
}
