//! Whom do we believe who a server is?
//!
//! The authorities of this machine, or if a file of others is named, those and nobody else. Nothing here connects.

use std::io;
use std::path::{Path, PathBuf};

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// How large a file of authorities may be, in bytes: ten times all those of Mozilla.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Why nobody can be believed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The file cannot be read.
    #[error("cannot read the authorities in {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The file holds none.
    #[error("there is no certificate in {path}: it must hold those of the authorities, in PEM")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The machine has none.
    #[error(
        "this machine knows no authorities, so no server can be believed: install ca-certificates, or name a file"
    )]
    NoneKnown,
}

/// The certificates of those who are believed; those that are no such thing are left out.
///
/// # Errors
/// There are none.
pub fn authorities(own: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
    let Some(path) = own else {
        let mut known = rustls_native_certs::load_native_certs().certs;
        known.retain(can_be_believed);
        return if known.is_empty() {
            Err(AuthorityError::NoneKnown)
        } else {
            Ok(known)
        };
    };
    let read = |error| AuthorityError::Read {
        path: path.to_owned(),
        error,
    };
    let size = path.metadata().map_err(read)?.len();
    if size > LARGEST {
        return Err(read(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is too large",
        )));
    }
    let text = std::fs::read(path).map_err(read)?;
    let mut named: Vec<_> = CertificateDer::pem_slice_iter(&text).flatten().collect();
    named.retain(can_be_believed);
    if named.is_empty() {
        let path = path.to_owned();
        return Err(AuthorityError::NoCertificate { path });
    }
    Ok(named)
}

fn can_be_believed(certificate: &CertificateDer<'static>) -> bool {
    RootCertStore::empty().add(certificate.clone()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        let error = authorities(Some(Path::new("/etc/passwd"))).expect_err("no certificates");
        assert!(
            matches!(error, AuthorityError::NoCertificate { .. }),
            "{error}"
        );
        let error = authorities(Some(Path::new("/no/such/file"))).expect_err("no file");
        assert!(matches!(error, AuthorityError::Read { .. }), "{error}");
    }
}
