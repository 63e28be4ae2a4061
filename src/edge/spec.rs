//! Clients and the public port with every file read: what `config` hands to `edge`.

use crate::names::ClientName;

/// One caller, complete.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientSpec {
    pub name: ClientName,
    /// SHA-256 of each key; the keys themselves are not kept.
    pub key_digests: Vec<[u8; 32]>,
    /// Whose sessions are its own.
    pub tenant: String,
    /// Model names and `prefix*` patterns; `None`: all.
    pub models: Option<Vec<String>>,
    pub without_model: bool,
    /// Calls in flight; 0: as many as the gateway has room for.
    pub calls_max: usize,
}

/// PEM texts of the public port's certificate.
#[derive(Clone, PartialEq)]
pub struct TlsSpec {
    pub cert_pem: Vec<u8>,
    pub key_pem: Vec<u8>,
}

/// The private key never prints.
impl std::fmt::Debug for TlsSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsSpec(***)")
    }
}
