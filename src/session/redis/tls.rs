//! TLS towards Redis: who is trusted, and what we show.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::session::redis::options::RedisPems;

/// Which of the files is to blame.
pub(super) enum Part {
    Authority,
    Own,
}

pub(super) fn client_config(pems: &RedisPems) -> Result<ClientConfig, (Part, String)> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = verifier(pems, Arc::clone(&provider)).map_err(|it| (Part::Authority, it))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|it| (Part::Authority, it.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let (Some(cert), Some(key)) = (&pems.cert, &pems.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let own = |message| (Part::Own, message);
    let chain = certificates(cert).map_err(own)?;
    let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes())
        .map_err(|it| own(format!("the key is not PEM: {it}")))?;
    builder.with_client_auth_cert(chain, key).map_err(|it| own(format!("certificate and key: {it}")))
}

/// The system's authorities and the operator's. An image without a certificate store trusts the operator's alone.
fn verifier(pems: &RedisPems, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let extra = pems.ca.as_deref().map_or(Ok(Vec::new()), certificates)?;
    match Verifier::new_with_extra_roots(extra.clone(), Arc::clone(&provider)) {
        Ok(verifier) => Ok(Arc::new(verifier)),
        Err(fault) if extra.is_empty() => {
            Err(format!("no certificate authorities on this system ({fault}); set ca_file"))
        }
        Err(_) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(extra);
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map(|it| it as Arc<dyn ServerCertVerifier>)
                .map_err(|it| it.to_string())
        }
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(list) if !list.is_empty() => Ok(list),
        Ok(_) => Err("the file holds no certificate".into()),
        Err(fault) => Err(format!("the file is not PEM: {fault}")),
    }
}
