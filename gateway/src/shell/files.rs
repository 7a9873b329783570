//! The files that a configuration names: all read at the start, and by `skywave check` as well; every mistake at once.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::config::ShellConfig;
use super::tls::Tls;
use crate::node::config::SiteConfig;

/// A file that the configuration names cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileMistake {
    /// The key that names it, part by part.
    pub key: Vec<String>,
    /// The file, and what is wrong with it.
    pub reason: String,
    /// This user may not read it; another may.
    pub forbidden: bool,
}

impl FileMistake {
    /// What is wrong with the file at a key.
    pub(super) fn new(key: &[&str], file: &Path, why: &(impl fmt::Display + ?Sized)) -> Self {
        let key = key.iter().map(|part| (*part).to_owned()).collect();
        Self { key, reason: format!("{}: {why}", file.display()), forbidden: false }
    }

    /// Why the file at a key could not be read.
    pub(super) fn unread(key: &[&str], file: &Path, why: &std::io::Error) -> Self {
        Self { forbidden: why.kind() == std::io::ErrorKind::PermissionDenied, ..Self::new(key, file, why) }
    }
}

impl fmt::Display for FileMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key.join("."), self.reason)
    }
}

/// What the files say; secrets are in the site's configuration already.
pub(super) struct Files {
    pub(super) tls: Tls,
    pub(super) passwords: Arc<str>,
}

/// Reads them, and puts secrets that lie in files of their own where the node expects them.
pub(super) fn read(site: &mut SiteConfig, shell: &ShellConfig) -> Result<Files, Vec<FileMistake>> {
    let mut mistakes = read_secrets(site);
    let passwords = read_passwords(shell).map_err(|mistake| mistakes.push(mistake));
    let tls = Tls::new(&shell.certificates, &shell.authorities).map_err(|found| mistakes.extend(found));
    match (tls, passwords) {
        (Ok(tls), Ok(passwords)) if mistakes.is_empty() => Ok(Files { tls, passwords }),
        _ => Err(mistakes),
    }
}

/// All files that a site could not be started with.
pub fn mistakes(site: &SiteConfig, shell: &ShellConfig) -> Vec<FileMistake> {
    read(&mut site.clone(), shell).err().unwrap_or_default()
}

/// The users and the hashes of their passwords.
pub(super) fn read_passwords(shell: &ShellConfig) -> Result<Arc<str>, FileMistake> {
    let Some(path) = &shell.passwords else { return Ok(Arc::from("")) };
    let text = std::fs::read_to_string(path);
    text.map(Arc::from).map_err(|error| FileMistake::unread(&["password_file"], path, &error))
}

fn read_secrets(site: &mut SiteConfig) -> Vec<FileMistake> {
    let mut mistakes = Vec::new();
    let Some(chat) = &mut site.chat else { return mistakes };
    for component in &mut chat.door.components {
        if let Some(path) = chat.secret_files.get(&component.name) {
            let key = ["chat", "component", &component.name, "secret_file"];
            match read_secret(&key, path) {
                Ok(secret) => component.secret = secret,
                Err(mistake) => mistakes.push(mistake),
            }
        }
    }
    if let Some(path) = &chat.dialback_secret_file {
        match read_secret(&["chat", "dialback_secret_file"], path) {
            Ok(secret) => chat.door.dialback_secret = secret,
            Err(mistake) => mistakes.push(mistake),
        }
    }
    mistakes
}

fn read_secret(key: &[&str], path: &Path) -> Result<String, FileMistake> {
    let text = std::fs::read_to_string(path).map_err(|error| FileMistake::unread(key, path, &error))?;
    match text.trim() {
        "" => Err(FileMistake::new(key, path, "holds no secret")),
        secret => Ok(secret.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::tls::CertificateFiles;
    use crate::world::plan::Plan;

    #[test]
    fn all_files_that_cannot_be_used_are_told_with_their_keys() {
        let folder = tempfile::tempdir().unwrap();
        let none = folder.path().join("none");
        let site = Plan::new(&["hq"]).site(0);
        let shell = ShellConfig::new(folder.path().join("spool"));
        assert_eq!(mistakes(&site, &shell), []);
        let files = CertificateFiles { chain: none.clone(), key: none.clone() };
        let shell = ShellConfig {
            passwords: Some(none.clone()),
            certificates: [("relay".to_owned(), files)].into(),
            authorities: [("domain".to_owned(), none)].into(),
            ..shell
        };
        let keys: Vec<String> = mistakes(&site, &shell).iter().map(|mistake| mistake.key.join(".")).collect();
        let all =
            ["password_file", "certificate.relay.chain_file", "certificate.relay.key_file", "authority.domain.file"];
        assert_eq!(keys, all);
    }
}
