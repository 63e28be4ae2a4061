//! TLS towards Redis: who is trusted, and what we show.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::session::redis::options::RedisPems;
use crate::trust::{certificates, verifier};

/// What a file is called in faults, which stand where its option is.
const FILE: &str = "the file";

/// Which of the files is to blame.
pub(super) enum Part {
    Authority,
    Own,
}

pub(super) fn client_config(pems: &RedisPems) -> Result<ClientConfig, (Part, String)> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let extra = pems.ca.as_deref().map_or(Ok(Vec::new()), |it| certificates(it, FILE));
    let verifier = extra.and_then(|it| verifier(it, Arc::clone(&provider)));
    let verifier = verifier.map_err(|it| (Part::Authority, it))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|it| (Part::Authority, it.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let (Some(cert), Some(key)) = (&pems.cert, &pems.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let own = |message| (Part::Own, message);
    let chain = certificates(cert, FILE).map_err(own)?;
    let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes())
        .map_err(|it| own(format!("the key is not PEM: {it}")))?;
    builder.with_client_auth_cert(chain, key).map_err(|it| own(format!("certificate and key: {it}")))
}
