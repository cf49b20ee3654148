//! An authority of our own, and the server that it answers for.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Files of an authority and of a server that is called `localhost`.
pub struct Certified {
    directory: TempDir,
}

impl Certified {
    pub fn new() -> Certified {
        let directory = TempDir::new().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("authority.pem", &authority.pem());
        write("server.pem", &server.pem());
        write("key.pem", &key.serialize_pem());
        Certified { directory }
    }

    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    pub fn server(&self) -> PathBuf {
        self.directory.path().join("server.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// What a server needs for TLS.
    pub fn config(&self) -> Arc<ServerConfig> {
        let chain = CertificateDer::pem_file_iter(self.server()).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.key()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap();
        Arc::new(config)
    }
}
