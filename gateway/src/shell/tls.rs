//! TLS on a pipe: certificates by name, roots of the system or pinned digests, both roles.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig};
use rustls::{SignatureScheme, sign::CertifiedKey};
use sha2::{Digest, Sha256};
use skywave_transports::io::{Secure, Secured, TlsRole, Trust};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// Where a certificate and its key lie, both PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The chain, the own certificate first.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Certificates and roots of a site.
pub struct Tls {
    provider: Arc<CryptoProvider>,
    certificates: BTreeMap<String, Arc<CertifiedKey>>,
    roots: OnceLock<Arc<RootCertStore>>,
}

impl Tls {
    /// Reads the certificates.
    ///
    /// # Errors
    /// All mistakes, in words with the file.
    pub fn new(files: &BTreeMap<String, CertificateFiles>) -> Result<Self, Vec<String>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (mut certificates, mut mistakes) = (BTreeMap::new(), Vec::new());
        for (name, files) in files {
            match certificate(&provider, &files.chain, &files.key) {
                Ok(key) => drop(certificates.insert(name.clone(), Arc::new(key))),
                Err(why) => mistakes.push(format!("certificate {name}: {why}")),
            }
        }
        let tls = Self { provider, certificates, roots: OnceLock::new() };
        if mistakes.is_empty() { Ok(tls) } else { Err(mistakes) }
    }

    /// Agrees on TLS over a connection.
    pub(super) async fn secure(
        &self,
        secure: &Secure,
        stream: TcpStream,
    ) -> Result<(Secured, TlsStream<TcpStream>), String> {
        let stream: TlsStream<TcpStream> = match secure.role {
            TlsRole::Client => {
                let config = self.client(secure).map_err(|error| error.to_string())?;
                let name = secure.server_name.clone().ok_or("TLS needs the server's name")?;
                let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
                TlsConnector::from(Arc::new(config)).connect(name, stream).await.map(TlsStream::from)
            }
            TlsRole::Server => {
                let config = self.server(secure).map_err(|error| error.to_string())?;
                TlsAcceptor::from(Arc::new(config)).accept(stream).await.map(TlsStream::from)
            }
        }
        .map_err(|error| error.to_string())?;
        Ok((secured(&stream), stream))
    }

    fn client(&self, secure: &Secure) -> Result<ClientConfig, Error> {
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&self.provider)).with_safe_default_protocol_versions()?;
        let builder = match &secure.trust {
            Trust::Roots => builder.with_root_certificates(self.roots()),
            Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(self.pinned(None)),
            Trust::Pins(pins) => builder.dangerous().with_custom_certificate_verifier(self.pinned(Some(pins))),
        };
        let mut config = match &secure.certificate {
            Some(name) => builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(
                Arc::clone(self.certificate(name)?),
            ))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn(secure);
        Ok(config)
    }

    fn server(&self, secure: &Secure) -> Result<ServerConfig, Error> {
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&self.provider)).with_safe_default_protocol_versions()?;
        let builder = match &secure.trust {
            Trust::Anybody => builder.with_no_client_auth(),
            Trust::Roots => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(self.roots(), Arc::clone(&self.provider)).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| Error::General(error.to_string()))?)
            }
            Trust::Pins(pins) => builder.with_client_cert_verifier(self.pinned(Some(pins))),
        };
        let name = secure.certificate.as_deref().unwrap_or_default();
        let key = rustls::sign::SingleCertAndKey::from(Arc::clone(self.certificate(name)?));
        let mut config = builder.with_cert_resolver(Arc::new(key));
        config.alpn_protocols = alpn(secure);
        Ok(config)
    }

    fn certificate(&self, name: &str) -> Result<&Arc<CertifiedKey>, Error> {
        self.certificates.get(name).ok_or_else(|| Error::General(format!("no certificate is named {name:?}")))
    }

    fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(self.roots.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            Arc::new(roots)
        }))
    }

    fn pinned(&self, pins: Option<&[String]>) -> Arc<Pinned> {
        Arc::new(Pinned {
            provider: Arc::clone(&self.provider),
            pins: pins.map(|pins| pins.iter().map(|pin| pin.replace(':', "").to_lowercase()).collect()),
        })
    }
}

fn alpn(secure: &Secure) -> Vec<Vec<u8>> {
    secure.alpn.iter().map(|name| name.as_bytes().to_vec()).collect()
}

fn certificate(provider: &CryptoProvider, chain: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let at = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let certificates = CertificateDer::pem_file_iter(chain)
        .map_err(|error| at(chain, &error))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| at(chain, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| at(key, &error))?;
    CertifiedKey::from_der(certificates, private, provider).map_err(|error| at(chain, &error))
}

fn secured(stream: &TlsStream<TcpStream>) -> Secured {
    let (_, session) = stream.get_ref();
    let first = session.peer_certificates().and_then(<[_]>::first);
    let peer_names = first
        .and_then(|certificate| webpki::EndEntityCert::try_from(certificate).ok())
        .map(|certificate| certificate.valid_dns_names().map(str::to_owned).collect())
        .unwrap_or_default();
    let alpn = session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
    Secured { peer_names, alpn }
}

/// Takes the certificates with these digests, or any; the handshake's signatures are checked in both cases.
#[derive(Debug)]
struct Pinned {
    provider: Arc<CryptoProvider>,
    pins: Option<Vec<String>>,
}

impl Pinned {
    fn takes(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let digest: String = Sha256::digest(certificate).iter().map(|octet| format!("{octet:02x}")).collect();
        match &self.pins {
            Some(pins) if !pins.contains(&digest) => {
                Err(Error::General(format!("the certificate with SHA-256 {digest} is not pinned")))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

type Signature = Result<HandshakeSignatureValid, Error>;

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.takes(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, m: &[u8], c: &CertificateDer<'_>, s: &DigitallySignedStruct) -> Signature {
        verify_tls12_signature(m, c, s, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(&self, m: &[u8], c: &CertificateDer<'_>, s: &DigitallySignedStruct) -> Signature {
        verify_tls13_signature(m, c, s, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.takes(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, m: &[u8], c: &CertificateDer<'_>, s: &DigitallySignedStruct) -> Signature {
        verify_tls12_signature(m, c, s, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(&self, m: &[u8], c: &CertificateDer<'_>, s: &DigitallySignedStruct) -> Signature {
        verify_tls13_signature(m, c, s, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
