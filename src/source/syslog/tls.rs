//! What we show to those who connect over TLS, and what they must show to us (RFC 5425).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoClientAuth, ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, Error, InconsistentKeys, RootCertStore, ServerConfig,
};

use crate::engine::time::Timestamp;

/// What we show to those who connect, and what they must show to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSpec {
    /// The certificate and those between it and its authority, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
    /// If given, a client needs a certificate of one of these authorities.
    pub client_ca: Option<PathBuf>,
}

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    /// The certificate.
    Certificate,
    /// The key.
    Key,
    /// The authorities of clients.
    ClientCa,
}

/// What is wrong with a file of TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It cannot be read.
    #[error("cannot read {path}: {error}", path = .path.display())]
    Unreadable {
        /// Which one.
        file: TlsFile,
        /// Where it is.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is not what it should be.
    #[error("cannot use {path}: {reason}", path = .path.display())]
    Unusable {
        /// Which one.
        file: TlsFile,
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is another certificate's.
    #[error("the key {key} does not belong to the certificate {certificate}", key = .key.display(), certificate = .certificate.display())]
    Mismatch {
        /// The key.
        key: PathBuf,
        /// The certificate.
        certificate: PathBuf,
    },
    /// It is out of date, and those who connect may refuse it, or we them.
    #[error("the certificate in {path} {what}", path = .path.display())]
    OutOfDate {
        /// Which one.
        file: TlsFile,
        /// Where it is.
        path: PathBuf,
        /// `has expired`, or `does not hold yet`.
        what: &'static str,
    },
}

impl TlsError {
    /// Which file it is about.
    pub fn file(&self) -> TlsFile {
        match self {
            TlsError::Unreadable { file, .. }
            | TlsError::Unusable { file, .. }
            | TlsError::OutOfDate { file, .. } => *file,
            TlsError::Mismatch { .. } => TlsFile::Key,
        }
    }

    /// Whether nobody can be served with it.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, TlsError::OutOfDate { .. })
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            TlsError::Unreadable { error, .. } if error.kind() == io::ErrorKind::NotFound => {
                "put it there, or write the right path"
            }
            TlsError::Unreadable { .. } => "make it readable for the user that runs f2bd",
            TlsError::Unusable {
                file: TlsFile::Key, ..
            } => "it must be a private key without a password, in PEM",
            TlsError::Unusable { .. } => "it must be one or more certificates in PEM",
            TlsError::Mismatch { .. } => "name the key with which the certificate was made",
            TlsError::OutOfDate { .. } => "renew it and reload f2bd, or set the clock",
        }
    }
}

impl TlsSpec {
    /// What is wrong with the files at this moment.
    pub fn look(&self, now: Timestamp) -> Vec<TlsError> {
        let mut errors: Vec<_> = self
            .identity(&ring::default_provider())
            .err()
            .into_iter()
            .collect();
        let verifier = self.authorities().and_then(|all| self.verifier(&all));
        errors.extend(verifier.err());
        let certificate = Some((TlsFile::Certificate, &self.certificate));
        let client_ca = self
            .client_ca
            .as_ref()
            .map(|path| (TlsFile::ClientCa, path));
        for (file, path) in certificate.into_iter().chain(client_ca) {
            // One that cannot be read has been told.
            let first = certificates(file, path)
                .ok()
                .and_then(|all| all.into_iter().next());
            errors.extend(first.and_then(|first| out_of_date(file, path, &first, now)));
        }
        errors
    }

    fn identity(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let chain = certificates(TlsFile::Certificate, &self.certificate)?;
        let (file, path) = (TlsFile::Key, &self.key);
        let key = PrivateKeyDer::from_pem_slice(&read(file, path)?)
            .map_err(|_| unusable(file, path, "there is no private key in it"))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
                key: self.key.clone(),
                certificate: self.certificate.clone(),
            },
            Error::InvalidCertificate(_) => {
                unusable(TlsFile::Certificate, &self.certificate, error)
            }
            error => unusable(file, path, error),
        })
    }

    /// The authorities of those whom we let in; none if they need no certificate.
    fn authorities(&self) -> Result<Authorities, TlsError> {
        match &self.client_ca {
            Some(path) => certificates(TlsFile::ClientCa, path).map(Some),
            None => Ok(None),
        }
    }

    /// Whom we let in.
    fn verifier(&self, authorities: &Authorities) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let (Some(path), Some(authorities)) = (&self.client_ca, authorities) else {
            return Ok(Arc::new(NoClientAuth));
        };
        let unusable = |error: String| unusable(TlsFile::ClientCa, path, error);
        let mut store = RootCertStore::empty();
        for authority in authorities {
            let added = store.add(authority.clone());
            added.map_err(|error| unusable(error.to_string()))?;
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider);
        match verifier.build() {
            Ok(verifier) => Ok(verifier),
            Err(error) => Err(unusable(error.to_string())),
        }
    }
}

/// Certificates of authorities.
type Authorities = Option<Vec<CertificateDer<'static>>>;

/// What the files of TLS said.
pub struct Tls {
    /// Shakes hands.
    pub acceptor: TlsAcceptor,
    /// Who must have signed a sender's certificate, if it needs one.
    pub authorities: Authorities,
}

impl Tls {
    /// Reads the files. Whoever may connect at all is another question.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(spec: &TlsSpec) -> Result<Tls, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let identity = spec.identity(&provider)?;
        let authorities = spec.authorities()?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(TlsFile::Certificate, &spec.certificate, error))?
            .with_client_cert_verifier(spec.verifier(&authorities)?)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        // A log's sender never reads. With tickets unread its end would reset the connection, and with it what we
        // have not yet read.
        config.send_tls13_tickets = 0;
        Ok(Tls {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            authorities,
        })
    }
}

/// Why a handshake came to nothing, in no words of the stranger's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It needs one.
    #[error("it showed no certificate")]
    NoCertificate,
    /// Whoever signed it is not among our authorities.
    #[error("it showed a certificate that client_ca has not signed")]
    NotSigned,
    /// It was valid, or will be.
    #[error("it showed a certificate that is out of date")]
    OutOfDate,
    /// The certificate is of no use for another reason.
    #[error("it showed a certificate that cannot be used")]
    Unusable,
    /// It does not know our authority, or another name, or our certificate is out of date.
    #[error("it does not accept our certificate")]
    Ours,
    /// It speaks a TLS that we do not.
    #[error("it knows no version or cipher of TLS that is safe")]
    Incompatible,
    /// Something else.
    #[error("it does not speak TLS")]
    Foreign,
    /// It went, for a reason that it may not have said, or was silent.
    #[error("it did not finish")]
    Unfinished,
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        use CertificateError::{
            Expired, ExpiredContext, NotValidYet, NotValidYetContext, UnknownIssuer,
        };
        let error = error.get_ref();
        match error.and_then(|error| error.downcast_ref::<Error>()) {
            None => Failure::Unfinished,
            Some(Error::NoCertificatesPresented) => Failure::NoCertificate,
            // By the wrong key of an authority that has our authority's name.
            Some(Error::InvalidCertificate(UnknownIssuer | CertificateError::BadSignature)) => {
                Failure::NotSigned
            }
            Some(Error::InvalidCertificate(
                Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
            )) => Failure::OutOfDate,
            Some(Error::InvalidCertificate(_)) => Failure::Unusable,
            Some(Error::AlertReceived(
                AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                // The signature of another authority of the same name.
                | AlertDescription::DecryptError,
            )) => Failure::Ours,
            Some(Error::AlertReceived(_)) => Failure::Unfinished,
            Some(Error::PeerIncompatible(_)) => Failure::Incompatible,
            Some(_) => Failure::Foreign,
        }
    }
}

fn read(file: TlsFile, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Unreadable {
        file,
        path: path.to_owned(),
        error,
    })
}

fn certificates(file: TlsFile, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(file, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(unusable(file, path, "there is no certificate in it")),
    }
}

fn unusable(file: TlsFile, path: &Path, reason: impl ToString) -> TlsError {
    TlsError::Unusable {
        file,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// Whether a certificate holds at this moment. Who has signed it does not matter here.
fn out_of_date(
    file: TlsFile,
    path: &Path,
    certificate: &CertificateDer<'_>,
    now: Timestamp,
) -> Option<TlsError> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let now = u64::try_from(now.as_micros()).ok()?;
    let now = UnixTime::since_unix_epoch(Duration::from_micros(now));
    let algorithms = ring::default_provider().signature_verification_algorithms;
    let nobody = RootCertStore::empty();
    // Its dates are looked at first of all.
    let error =
        verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], now, algorithms.all)
            .err()?;
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let what = match error {
        Error::InvalidCertificate(Expired | ExpiredContext { .. }) => "has expired",
        Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => "does not hold yet",
        _ => return None,
    };
    Some(TlsError::OutOfDate {
        file,
        path: path.to_owned(),
        what,
    })
}
