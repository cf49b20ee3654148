//! What we show to those who connect over TLS, and what they must show to us (RFC 5425).

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::TlsSpec;
use super::address::OpenError;

/// Reads certificates and key. Whoever may connect at all is another question.
pub fn acceptor(spec: Option<&TlsSpec>) -> Result<TlsAcceptor, OpenError> {
    let spec = spec.ok_or(OpenError::NoTls)?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable(&spec.certificate))?;
    let builder = match &spec.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut authorities = RootCertStore::empty();
            for authority in certificates(path)? {
                authorities.add(authority).map_err(unusable(path))?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
                    .build()
                    .map_err(unusable(path))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&spec.key).map_err(unusable(&spec.key))?;
    let mut config = builder
        .with_single_cert(certificates(&spec.certificate)?, key)
        .map_err(unusable(&spec.certificate))?;
    // A log's sender never reads. With tickets unread its end would reset the connection, and with it what we have
    // not yet read.
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(unusable(path))?;
    if certificates.is_empty() {
        return Err(unusable(path)("no certificate is in it"));
    }
    Ok(certificates)
}

fn unusable<E: ToString>(path: &Path) -> impl Fn(E) -> OpenError {
    move |error| OpenError::Tls {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
