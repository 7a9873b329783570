//! Two ends of TLS with certificates made for the occasion: who is taken, and which names are told.

use std::net::Ipv4Addr;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Certificates `hq` and `field` of authority `ours`, `clientless` of it for servers alone, `stranger` of authority
/// `theirs`, `alone` signed by itself and `wild` for all of `field.test`; both authorities are known by name.
struct Bench {
    tls: Tls,
    digests: BTreeMap<String, String>,
    _files: TempDir,
}

fn issuer(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn bench() -> Bench {
    let files = TempDir::new().unwrap();
    let (ours, theirs) = (issuer("ours"), issuer("theirs"));
    let (mut certificates, mut digests) = (BTreeMap::new(), BTreeMap::new());
    for (name, names, issuer, usage) in [
        ("hq", vec!["hq.test"], Some(&ours), None),
        ("field", vec!["field.test", "chat.field.test"], Some(&ours), None),
        ("clientless", vec!["field.test"], Some(&ours), Some(ExtendedKeyUsagePurpose::ServerAuth)),
        ("serverless", vec!["field.test"], Some(&ours), Some(ExtendedKeyUsagePurpose::ClientAuth)),
        ("stranger", vec!["field.test"], Some(&theirs), None),
        ("wild", vec!["*.field.test"], Some(&ours), None),
        ("alone", vec!["field.test"], None, None),
    ] {
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = usage.into_iter().collect();
        let key = KeyPair::generate().unwrap();
        let certificate = match issuer {
            Some(issuer) => params.signed_by(&key, issuer).unwrap(),
            None => params.self_signed(&key).unwrap(),
        };
        let (chain, private) = (files.path().join(format!("{name}.pem")), files.path().join(format!("{name}.key")));
        std::fs::write(&chain, certificate.pem()).unwrap();
        std::fs::write(&private, key.serialize_pem()).unwrap();
        certificates.insert(name.to_owned(), CertificateFiles { chain, key: private });
        let digest = Sha256::digest(certificate.der());
        digests
            .insert(name.to_owned(), digest.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":"));
    }
    let mut authorities = BTreeMap::new();
    for (name, issuer) in [("ours", &ours), ("theirs", &theirs)] {
        let file = files.path().join(format!("{name}.ca"));
        std::fs::write(&file, issuer.pem()).unwrap();
        authorities.insert(name.to_owned(), file);
    }
    Bench { tls: Tls::new(&certificates, &authorities).unwrap(), digests, _files: files }
}

fn secure(role: TlsRole, certificate: Option<&str>, trust: Trust) -> Secure {
    Secure {
        role,
        server_name: (role == TlsRole::Client).then(|| "field.test".to_owned()),
        alpn: vec!["xmpp-server".to_owned()],
        certificate: certificate.map(str::to_owned),
        trust,
    }
}

/// The names that the client and the server were told, or `None` where one of them refused.
async fn agree(tls: &Tls, client: Secure, server: Secure) -> Option<(Vec<String>, Vec<String>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let calls = async {
        let stream = TcpStream::connect(at).await.unwrap();
        let (told, mut stream) = tls.secure(&client, stream).await?;
        // With TLS 1.3 the client is done before the server has judged it: what the server says tells.
        let mut said = [0; 2];
        stream.read_exact(&mut said).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(told)
    };
    let answers = async {
        let (stream, _) = listener.accept().await.unwrap();
        let (told, mut stream) = tls.secure(&server, stream).await?;
        stream.write_all(b"ok").await.map_err(|error| error.to_string())?;
        Ok::<_, String>(told)
    };
    let (client, server) = tokio::join!(calls, answers);
    let (client, server) = (client.ok()?, server.ok()?);
    assert_eq!((client.alpn.as_deref(), server.alpn.as_deref()), (Some("xmpp-server"), Some("xmpp-server")));
    Some((client.peer_names, server.peer_names))
}

fn named(name: &str) -> Authority {
    Authority::Named(name.to_owned())
}

/// Each row: what the server shows and whom it trusts, what the client shows and whom it trusts; the names told.
#[tokio::test]
async fn certificates_are_judged_and_names_told_where_somebody_vouches() {
    let bench = bench();
    let pins = |names: &[&str]| Trust::Pins(names.iter().map(|name| bench.digests[*name].clone()).collect());
    let (ours, theirs) = (|| Trust::Authority(named("ours")), || Trust::Authority(named("theirs")));
    let asked = || Trust::Asked(named("ours"));
    let (field, hq): (&[&str], &[&str]) = (&["field.test", "chat.field.test"], &["hq.test"]);
    let none: &[&str] = &[];
    let rows = [
        // Mutual, by an authority.
        ("field", ours(), Some("hq"), ours(), Some((field, hq))),
        ("field", ours(), Some("stranger"), ours(), None),
        ("field", ours(), None, ours(), None),
        ("stranger", ours(), Some("hq"), ours(), None),
        ("field", theirs(), Some("hq"), ours(), None),
        ("hq", ours(), Some("hq"), ours(), None),
        ("clientless", ours(), Some("clientless"), ours(), Some((&["field.test"], &["field.test"]))),
        ("serverless", ours(), Some("serverless"), ours(), Some((&["field.test"], &["field.test"]))),
        // Pins, whoever issued them.
        ("alone", pins(&["hq"]), Some("hq"), pins(&["stranger", "alone"]), Some((&["field.test"], hq))),
        ("alone", pins(&["field"]), Some("hq"), pins(&["alone"]), None),
        ("alone", pins(&["hq"]), Some("hq"), pins(&["field"]), None),
        ("alone", pins(&["hq"]), None, pins(&["alone"]), None),
        // Asked: dialback may decide instead.
        ("field", asked(), Some("hq"), asked(), Some((field, hq))),
        ("field", asked(), None, asked(), Some((field, none))),
        ("alone", asked(), Some("stranger"), asked(), Some((none, none))),
        ("field", asked(), Some("wild"), asked(), Some((field, &["*.field.test"]))),
        // Nobody is asked, and nothing is told.
        ("field", Trust::Anybody, Some("hq"), Trust::Anybody, Some((none, none))),
        ("field", Trust::Anybody, None, ours(), Some((field, none))),
    ];
    for (shows, server_trusts, client_shows, client_trusts, expected) in rows {
        let client = secure(TlsRole::Client, client_shows, client_trusts.clone());
        let server = secure(TlsRole::Server, Some(shows), server_trusts.clone());
        let told = agree(&bench.tls, client, server).await;
        let words = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let expected = expected.map(|(client, server)| (words(client), words(server)));
        assert_eq!(told, expected, "{shows} {server_trusts:?}; {client_shows:?} {client_trusts:?}");
    }
}

#[tokio::test]
async fn what_is_not_configured_cannot_be_used() {
    let bench = bench();
    let good = || secure(TlsRole::Server, Some("field"), Trust::Anybody);
    for (client, server) in [
        (secure(TlsRole::Client, None, Trust::Authority(named("nobody"))), good()),
        (secure(TlsRole::Client, Some("nobody"), Trust::Anybody), good()),
        (secure(TlsRole::Client, None, Trust::Anybody), secure(TlsRole::Server, None, Trust::Anybody)),
        (Secure { server_name: None, ..secure(TlsRole::Client, None, Trust::Anybody) }, good()),
    ] {
        assert_eq!(agree(&bench.tls, client, server).await, None);
    }
}

#[test]
fn files_that_cannot_be_used_are_all_told() {
    let files = TempDir::new().unwrap();
    let (empty, none) = (files.path().join("empty.pem"), files.path().join("none.pem"));
    std::fs::write(&empty, "").unwrap();
    let certificates = BTreeMap::from([("a".to_owned(), CertificateFiles { chain: none.clone(), key: none.clone() })]);
    let authorities = BTreeMap::from([("b".to_owned(), empty), ("c".to_owned(), none)]);
    let mistakes = Tls::new(&certificates, &authorities).err().unwrap();
    let keys: Vec<String> = mistakes.iter().map(|mistake| mistake.key.join(".")).collect();
    assert_eq!(keys, ["certificate.a.chain_file", "certificate.a.key_file", "authority.b.file", "authority.c.file"]);
}
