//! Whose certificates are trusted where the gateway connects by TLS: to vendors and to Redis.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

/// Trusts the system's authorities and those of `extra`. An image without a certificate store trusts the latter alone.
pub fn verifier(
    extra: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
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
                .map_err(|it| format!("ca_file: {it}"))
        }
    }
}

/// The certificates of a PEM file, of which `name` tells in the fault.
pub fn certificates(pem: &[u8], name: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(list) if !list.is_empty() => Ok(list),
        Ok(_) => Err(format!("{name} holds no certificate")),
        Err(fault) => Err(format!("{name} is not PEM: {fault}")),
    }
}
