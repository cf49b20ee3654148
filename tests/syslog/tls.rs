//! Messages over TLS.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use f2bd::source::syslog::TlsSpec;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;

/// An authority with the certificates that it has given, in a directory.
pub struct Authority {
    home: tempfile::TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let named = |common_name: &str, hosts: Vec<String>| {
            let mut params = CertificateParams::new(hosts).unwrap();
            // By the same name an authority and its certificates are taken for one.
            params.distinguished_name = DistinguishedName::new();
            params
                .distinguished_name
                .push(DnType::CommonName, common_name);
            params
        };
        let mut params = named("authority", Vec::new());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(home.path().join("ca.crt"), authority.pem()).unwrap();
        for (name, host) in [("server", "f2bd.example"), ("client", "client.example")] {
            let key = KeyPair::generate().unwrap();
            // The name for rsyslog, the address for syslog-ng, which asks for what it connects to.
            let params = named(host, vec![host.to_owned(), "127.0.0.1".to_owned()]);
            let certificate = params.signed_by(&key, &authority).unwrap();
            fs::write(home.path().join(format!("{name}.crt")), certificate.pem()).unwrap();
            fs::write(home.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Authority { home }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Lets everybody read the certificates and keys.
    pub fn open_to_everybody(&self) {
        fs::set_permissions(self.home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What our listener shows; clients need a certificate too.
    pub fn spec(&self) -> TlsSpec {
        TlsSpec {
            certificate: self.path("server.crt"),
            key: self.path("server.key"),
            client_ca: Some(self.path("ca.crt")),
        }
    }

    /// Shakes hands with our listener, with a certificate of `client` if there is one.
    pub fn connect(
        &self,
        address: SocketAddr,
        client: Option<&Authority>,
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let mut authorities = RootCertStore::empty();
        let own = CertificateDer::from_pem_file(self.path("ca.crt")).unwrap();
        authorities.add(own).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(authorities);
        let config = match client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let certificate = CertificateDer::from_pem_file(client.path("client.crt")).unwrap();
                let key = PrivateKeyDer::from_pem_file(client.path("client.key")).unwrap();
                builder
                    .with_client_auth_cert(vec![certificate], key)
                    .unwrap()
            }
        };
        let name = ServerName::try_from("f2bd.example").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        StreamOwned::new(connection, connect(address))
    }
}

fn listening(address: SocketAddr, tls: TlsSpec) -> Listening {
    let mut spec = spec(&[&format!("tls://{address}")]);
    spec.tls = Some(tls);
    Listening::start(spec)
}

#[test]
fn messages_come_over_tls() {
    let address = free("127.0.0.1");
    let authority = Authority::new();
    let mut listening = listening(
        address,
        TlsSpec {
            client_ca: None,
            ..authority.spec()
        },
    );
    let mut stream = authority.connect(address, None);
    stream.write_all(b"7 <13>one7 <13>two").unwrap();
    assert_eq!(listening.messages(2), ["one", "two"]);
    stream.write_all(b"9 <13>three").unwrap();
    assert_eq!(listening.one().host, "127.0.0.1");
    let long = "x".repeat(100_000);
    let sender = std::thread::spawn(move || {
        let text = format!("{} <13>{long}8 <13>last", long.len() + 4);
        stream.write_all(text.as_bytes()).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    });
    let records = listening.records(2);
    assert_eq!(records[1].message(), "last");
    sender.join().unwrap();
    assert_eq!(listening.losses.malformed, 0);
    listening.end();
}

#[test]
fn clients_need_a_certificate_of_the_authority() {
    let address = free("127.0.0.1");
    let (authority, other) = (Authority::new(), Authority::new());
    let mut listening = listening(address, authority.spec());
    for (client, count) in [(None, 1), (Some(&other), 2)] {
        let mut stream = authority.connect(address, client);
        // With TLS 1.3 the client learns of the refusal only when it reads.
        let _ = stream.write_all(b"10 <13>forged");
        assert!(stream.read(&mut [0]).is_err());
        listening.must_lose(refused(count));
    }
    let mut stream = authority.connect(address, Some(&authority));
    stream.write_all(b"9 <13>known").unwrap();
    assert_eq!(listening.one().message(), "known");
    listening.end();
}

#[test]
fn half_a_handshake_ends_soon_and_hinders_nobody() {
    let address = free("127.0.0.1");
    let authority = Authority::new();
    let mut listening = listening(address, authority.spec());
    let mut silent = connect(address);
    let mut slow = connect(address);
    // The head of a handshake, which announces more.
    slow.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252]).unwrap();
    let mut foreign = connect(address);
    foreign.write_all(b"<13>no TLS at all\n").unwrap();
    listening.must_lose(refused(1));
    let mut stream = authority.connect(address, Some(&authority));
    stream.write_all(b"9 <13>first").unwrap();
    assert_eq!(listening.one().message(), "first");
    listening.must_lose(refused(3));
    for stream in [&mut silent, &mut slow] {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let end = crate::support::wait::uninterrupted(|| stream.read(&mut [0; 64]));
        assert!(matches!(end, Ok(0)), "{end:?}");
    }
    stream.write_all(b"10 <13>second").unwrap();
    assert_eq!(listening.one().message(), "second");
    listening.end();
}

#[test]
fn files_that_cannot_be_used_are_told_and_tried_again() {
    let address = free("127.0.0.1");
    let authority = Authority::new();
    let key = fs::read(authority.path("server.key")).unwrap();
    fs::remove_file(authority.path("server.key")).unwrap();
    let mut listening = listening(address, authority.spec());
    let Trouble::Unreadable { reason, .. } = listening.trouble() else {
        panic!("no trouble");
    };
    assert!(reason.contains("server.key"), "{reason}");
    fs::write(authority.path("server.key"), key).unwrap();
    assert!(matches!(listening.trouble(), Trouble::Recovered { .. }));
    let mut stream = authority.connect(address, Some(&authority));
    stream.write_all(b"9 <13>known").unwrap();
    assert_eq!(listening.one().message(), "known");
    listening.end();
}
