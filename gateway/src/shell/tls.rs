//! TLS on a pipe: certificates by name, authorities or pinned digests, both roles.
//!
//! Promises: the names of a certificate are told only if a pin or an authority vouches for it; a server asks for a
//! certificate unless the machine trusts anybody, and insists unless it only asks. The handshake's signatures are
//! checked in every case.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig};
use rustls::{SignatureScheme, sign::CertifiedKey};
use sha2::{Digest, Sha256};
use skywave_transports::io::{Authority, Secure, Secured, TlsRole, Trust};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::files::FileMistake;

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
    authorities: BTreeMap<String, Arc<RootCertStore>>,
    system: OnceLock<Arc<RootCertStore>>,
}

/// An error of a connection in words, without the address of a page that the library adds.
pub(super) fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once("https://") {
        Some((words, _page)) => words.trim_end_matches([':', ' ', '(']).to_owned(),
        None => text,
    }
}

impl Tls {
    /// No certificate, and no authority but the system's.
    pub fn without_files() -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Self { provider, certificates: BTreeMap::new(), authorities: BTreeMap::new(), system: OnceLock::new() }
    }

    /// Reads the certificates, and those of the authorities.
    ///
    /// # Errors
    /// All files that cannot be used.
    pub fn new(
        files: &BTreeMap<String, CertificateFiles>,
        authorities: &BTreeMap<String, PathBuf>,
    ) -> Result<Self, Vec<FileMistake>> {
        let mut mistakes = Vec::new();
        let mut tls = Self::without_files();
        for (name, files) in files {
            match certificate(&tls.provider, name, files) {
                Ok(key) => drop(tls.certificates.insert(name.clone(), Arc::new(key))),
                Err(found) => mistakes.extend(found),
            }
        }
        for (name, file) in authorities {
            match authority(name, file) {
                Ok(roots) => drop(tls.authorities.insert(name.clone(), Arc::new(roots))),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if mistakes.is_empty() { Ok(tls) } else { Err(mistakes) }
    }

    /// Agrees on TLS over a connection.
    pub(super) async fn secure(
        &self,
        secure: &Secure,
        stream: TcpStream,
    ) -> Result<(Secured, TlsStream<TcpStream>), String> {
        let judge = Arc::new(self.judge(&secure.trust).map_err(|error| error.to_string())?);
        let stream: TlsStream<TcpStream> = match secure.role {
            TlsRole::Client => {
                let config = self.client(secure, &judge).map_err(|error| error.to_string())?;
                let name = secure.server_name.clone().ok_or("TLS needs the server's name")?;
                let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
                TlsConnector::from(Arc::new(config)).connect(name, stream).await.map(TlsStream::from)
            }
            TlsRole::Server => {
                let config = self.server(secure, &judge).map_err(|error| error.to_string())?;
                TlsAcceptor::from(Arc::new(config)).accept(stream).await.map(TlsStream::from)
            }
        }
        .map_err(|error| words(&error))?;
        Ok((secured(&stream, judge.vouched.load(Ordering::Acquire)), stream))
    }

    fn client(&self, secure: &Secure, judge: &Arc<Judge>) -> Result<ClientConfig, Error> {
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&self.provider)).with_safe_default_protocol_versions()?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::<Judge>::clone(judge));
        let mut config = match &secure.certificate {
            Some(name) => builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(
                Arc::clone(self.certificate(name)?),
            ))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn(secure);
        Ok(config)
    }

    fn server(&self, secure: &Secure, judge: &Arc<Judge>) -> Result<ServerConfig, Error> {
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&self.provider)).with_safe_default_protocol_versions()?;
        let builder = match &secure.trust {
            Trust::Anybody => builder.with_no_client_auth(),
            Trust::Asked(_) | Trust::Authority(_) | Trust::Pins(_) => {
                builder.with_client_cert_verifier(Arc::<Judge>::clone(judge))
            }
        };
        let name = secure.certificate.as_deref().unwrap_or_default();
        let key = rustls::sign::SingleCertAndKey::from(Arc::clone(self.certificate(name)?));
        let mut config = builder.with_cert_resolver(Arc::new(key));
        config.alpn_protocols = alpn(secure);
        Ok(config)
    }

    fn judge(&self, trust: &Trust) -> Result<Judge, Error> {
        let (rule, insists) = match trust {
            Trust::Anybody => (Rule::Anybody, false),
            Trust::Asked(authority) => (Rule::Asked(self.authority(authority)?), false),
            Trust::Authority(authority) => (Rule::Authority(self.authority(authority)?), true),
            Trust::Pins(pins) => {
                (Rule::Pins(pins.iter().map(|pin| pin.replace(':', "").to_lowercase()).collect()), true)
            }
        };
        Ok(Judge { provider: Arc::clone(&self.provider), rule, insists, vouched: AtomicBool::new(false) })
    }

    fn certificate(&self, name: &str) -> Result<&Arc<CertifiedKey>, Error> {
        self.certificates.get(name).ok_or_else(|| Error::General(format!("no certificate is named {name:?}")))
    }

    fn authority(&self, authority: &Authority) -> Result<Arc<RootCertStore>, Error> {
        match authority {
            Authority::System => Ok(Arc::clone(self.system.get_or_init(|| {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                Arc::new(roots)
            }))),
            Authority::Named(name) => {
                let unknown = || Error::General(format!("no authority is named {name:?}"));
                self.authorities.get(name).map(Arc::clone).ok_or_else(unknown)
            }
        }
    }
}

fn alpn(secure: &Secure) -> Vec<Vec<u8>> {
    secure.alpn.iter().map(|name| name.as_bytes().to_vec()).collect()
}

fn certificate(
    provider: &CryptoProvider,
    name: &str,
    files: &CertificateFiles,
) -> Result<CertifiedKey, Vec<FileMistake>> {
    let (chain_key, key_key) = (["certificate", name, "chain_file"], ["certificate", name, "key_file"]);
    let chain = CertificateDer::pem_file_iter(&files.chain).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let private = PrivateKeyDer::from_pem_file(&files.key);
    match (chain, private) {
        (Ok(chain), Ok(private)) => CertifiedKey::from_der(chain, private, provider)
            .map_err(|error| vec![FileMistake::new(&chain_key, &files.chain, &error)]),
        (chain, private) => Err([
            chain.err().map(|error| unread(&chain_key, &files.chain, &error)),
            private.err().map(|error| unread(&key_key, &files.key, &error)),
        ]
        .into_iter()
        .flatten()
        .collect()),
    }
}

fn authority(name: &str, file: &Path) -> Result<RootCertStore, FileMistake> {
    let key = ["authority", name, "file"];
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unread(&key, file, &error))? {
        let certificate = certificate.map_err(|error| unread(&key, file, &error))?;
        roots.add(certificate).map_err(|error| FileMistake::new(&key, file, &error))?;
    }
    if roots.is_empty() { Err(FileMistake::new(&key, file, "holds no certificate")) } else { Ok(roots) }
}

fn unread(key: &[&str], file: &Path, error: &pem::Error) -> FileMistake {
    match error {
        pem::Error::Io(error) => FileMistake::unread(key, file, error),
        other => FileMistake::new(key, file, other),
    }
}

fn secured(stream: &TlsStream<TcpStream>, vouched: bool) -> Secured {
    let (_, session) = stream.get_ref();
    let first = session.peer_certificates().and_then(<[_]>::first).filter(|_| vouched);
    let peer_names = first
        .and_then(|certificate| webpki::EndEntityCert::try_from(certificate).ok())
        .map(|certificate| certificate.valid_dns_names().map(str::to_owned).collect())
        .unwrap_or_default();
    let alpn = session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
    Secured { peer_names, alpn }
}

/// What a certificate is judged by.
#[derive(Debug)]
enum Rule {
    /// Any is taken, none is vouched for.
    Anybody,
    /// Any is taken; the authority vouches or not.
    Asked(Arc<RootCertStore>),
    /// The authority has to vouch.
    Authority(Arc<RootCertStore>),
    /// SHA-256 digests, of which it must have one.
    Pins(Vec<String>),
}

/// Judges the certificate of one connection.
#[derive(Debug)]
struct Judge {
    provider: Arc<CryptoProvider>,
    rule: Rule,
    /// Whether a client must show a certificate.
    insists: bool,
    /// Whether the certificate that came is vouched for.
    vouched: AtomicBool,
}

impl Judge {
    /// Takes a certificate or refuses it. A name is checked where we know whom we called.
    fn takes(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: Option<&ServerName<'_>>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let vouched = match &self.rule {
            Rule::Anybody => return Ok(()),
            Rule::Asked(roots) => self.vouches(roots, certificate, chain, now).is_ok(),
            Rule::Authority(roots) => {
                self.vouches(roots, certificate, chain, now)?;
                if let Some(name) = name {
                    let parsed = rustls::server::ParsedCertificate::try_from(certificate)?;
                    rustls::client::verify_server_name(&parsed, name)?;
                }
                true
            }
            Rule::Pins(pins) => {
                let digest: String = Sha256::digest(certificate).iter().map(|octet| format!("{octet:02x}")).collect();
                if !pins.contains(&digest) {
                    return Err(Error::General(format!("the certificate with SHA-256 {digest} is not pinned")));
                }
                true
            }
        };
        self.vouched.store(vouched, Ordering::Release);
        Ok(())
    }

    /// Whether a chain leads to a root. Servers that call others show what they have: a certificate made out for
    /// servers alone is as good as one for clients.
    fn vouches(
        &self,
        roots: &RootCertStore,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let judged = |usage: webpki::KeyUsage| {
            let certificate = webpki::EndEntityCert::try_from(certificate)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            certificate.verify_for_usage(algorithms, &roots.roots, chain, now, usage, None, None).map(drop)
        };
        judged(webpki::KeyUsage::server_auth())
            .or_else(|_| judged(webpki::KeyUsage::client_auth()))
            .map_err(|error| Error::General(format!("no authority vouches for the certificate: {error}")))
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

type Signature = Result<HandshakeSignatureValid, Error>;

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.takes(end_entity, intermediates, Some(server_name), now).map(|()| ServerCertVerified::assertion())
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

impl ClientCertVerifier for Judge {
    /// None: what one authority vouches for another may have issued, and hints tell strangers whom we trust.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        self.insists
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.takes(end_entity, intermediates, None, now).map(|()| ClientCertVerified::assertion())
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

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
