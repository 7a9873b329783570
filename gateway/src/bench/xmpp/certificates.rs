//! A certification authority of a bench's own, made by `openssl`: what a closed network has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::BenchFault;
use super::super::process;

/// How long the certificates hold: longer than any bench, shorter than anybody could mistake them for real ones.
const DAYS: &str = "7";

/// The authority.
#[derive(Clone, Debug)]
pub struct Authority {
    folder: PathBuf,
}

/// What one server shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Its certificate in PEM.
    pub chain: PathBuf,
    /// Its key in PEM.
    pub key: PathBuf,
    /// Whose certificates it trusts, in PEM.
    pub roots: PathBuf,
}

impl Authority {
    /// Makes the authority's key and certificate in `folder`.
    ///
    /// # Errors
    /// When `openssl` is missing or fails.
    pub fn new(folder: &Path) -> Result<Self, BenchFault> {
        let authority = Self { folder: folder.to_path_buf() };
        let (key, certificate) = (authority.path("roots.key"), authority.path("roots.pem"));
        openssl(
            &["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", DAYS, "-subj", "/CN=Private root"],
            &[("-keyout", &key), ("-out", &certificate)],
        )?;
        Ok(authority)
    }

    /// A certificate for all these domains, for servers and for servers as clients.
    ///
    /// # Errors
    /// When `openssl` fails or the folder cannot be written.
    pub fn issue(&self, domains: &[&str]) -> Result<Identity, BenchFault> {
        let name = domains.first().copied().unwrap_or("nobody");
        let file = |ending: &str| self.path(&format!("{name}.{ending}"));
        let (key, request, chain, more) = (file("key"), file("csr"), file("pem"), file("ext"));
        let subject = format!("/CN={name}");
        openssl(
            &["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", &subject],
            &[("-keyout", &key), ("-out", &request)],
        )?;
        let names: Vec<String> = domains.iter().map(|domain| format!("DNS:{domain}")).collect();
        let extensions = format!(
            "subjectAltName={}\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n",
            names.join(",")
        );
        fs::write(&more, extensions).map_err(|error| BenchFault::local("a certificate's extensions", error))?;
        openssl(
            &["x509", "-req", "-days", DAYS, "-CAcreateserial"],
            &[
                ("-in", &request),
                ("-CA", &self.path("roots.pem")),
                ("-CAkey", &self.path("roots.key")),
                ("-extfile", &more),
                ("-out", &chain),
            ],
        )?;
        Ok(Identity { chain, key, roots: self.path("roots.pem") })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Identity {
    /// The SHA-256 digest of its certificate, in hex with colons.
    ///
    /// # Errors
    /// When `openssl` fails.
    pub fn digest(&self) -> Result<String, BenchFault> {
        let mut command = Command::new("openssl");
        command.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&self.chain);
        let said = process::run(&mut command)?;
        Ok(said.trim().rsplit('=').next().unwrap_or_default().to_owned())
    }
}

fn openssl(words: &[&str], files: &[(&str, &Path)]) -> Result<(), BenchFault> {
    let mut command = Command::new("openssl");
    command.args(words);
    for (option, file) in files {
        command.arg(option).arg(file);
    }
    process::run(&mut command).map(drop)
}
