//! Client-side TLS: who is trusted, and what we show. Built once per upstream when a configuration is read.

use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::trust::{certificates, verifier};
use crate::upstream::spec::{UpstreamSpec, UpstreamTls};

/// The TLS configuration of an upstream, or why there is none. `None` for a cleartext base URL.
pub fn client_config(spec: &UpstreamSpec) -> Result<Option<Arc<ClientConfig>>, String> {
    if spec.base_url.scheme_str() != Some("https") {
        return Ok(None);
    }
    let alpn: &[&[u8]] = if spec.http2 > 0 { &[b"h2"] } else { &[b"http/1.1"] };
    if spec.tls == UpstreamTls::default() && spec.http2 == 0 {
        return plain_config().map(Some);
    }
    build(&spec.tls, alpn).map(|it| Some(Arc::new(it)))
}

/// Upstreams without certificates of their own share one configuration: reading the system's authorities costs
/// milliseconds and memory, and the session tickets in it save handshakes.
fn plain_config() -> Result<Arc<ClientConfig>, String> {
    static SHARED: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = SHARED.get() {
        return Ok(Arc::clone(config));
    }
    let config = Arc::new(build(&UpstreamTls::default(), &[b"http/1.1"])?);
    Ok(Arc::clone(SHARED.get_or_init(|| config)))
}

fn build(tls: &UpstreamTls, alpn: &[&[u8]]) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let extra = tls.extra_ca_pem.as_ref().map_or(Ok(Vec::new()), |it| certificates(it, "ca_file"))?;
    let verifier = verifier(extra, Arc::clone(&provider))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|it| it.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match (&tls.client_cert_pem, &tls.client_key_pem) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert, "client_cert")?;
            let key =
                PrivateKeyDer::from_pem_slice(key).map_err(|it| format!("client_key is not PEM: {it}"))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|it| format!("client_cert and client_key: {it}"))?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|it| it.to_vec()).collect();
    Ok(config)
}
