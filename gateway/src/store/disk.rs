//! What a store asks of the folder that holds its large bodies; tests put a disk of their own below it.
//!
//! Paths are relative to the spool, parts joined by `/`. Promises: an octet is durable after [`Disk::sync`] of its file,
//! a name after [`Disk::sync_folder`] of its folder, and neither before. Refuses to read through symbolic links.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Permission bits of files: the owner alone.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// What stands under a name in a folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A plain file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link or anything else.
    Other,
}

/// A folder on a disk.
pub trait Disk: Send + Sync {
    /// Adds octets to the end of a file, which is made when absent.
    ///
    /// # Errors
    /// What the operating system says; so for the others.
    fn append(&self, path: &str, octets: &[u8]) -> io::Result<()>;
    /// Makes the content of a file durable.
    ///
    /// # Errors
    /// The content is then unknown.
    fn sync(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a folder durable; the spool itself is `""`.
    ///
    /// # Errors
    /// Of the system.
    fn sync_folder(&self, path: &str) -> io::Result<()>;
    /// Renames, replacing what stands there.
    ///
    /// # Errors
    /// Of the system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; an absent one is no error.
    ///
    /// # Errors
    /// Of the system.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Reads at most `octets` octets from `offset`; fewer at the end only.
    ///
    /// # Errors
    /// `NotFound`; `InvalidData` when it is not a plain file; others of the system.
    fn read(&self, path: &str, offset: u64, octets: usize) -> io::Result<Vec<u8>>;
    /// The names in a folder with their kinds, in order.
    ///
    /// # Errors
    /// Of the system.
    fn list(&self, path: &str) -> io::Result<Vec<(String, Kind)>>;
    /// What stands under a name, if anything.
    ///
    /// # Errors
    /// Of the system.
    fn kind(&self, path: &str) -> io::Result<Option<Kind>>;
    /// Makes a folder; one that exists is no error.
    ///
    /// # Errors
    /// Of the system.
    fn make_folder(&self, path: &str) -> io::Result<()>;
}

/// A folder of this machine.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    // Held from the first octet to the sync: an error of writing back is told to those who have the file open.
    open: Mutex<BTreeMap<String, File>>,
}

impl Folder {
    /// The folder `root`, made when absent.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(root: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(root)?;
        Ok(Self { root: root.to_path_buf(), open: Mutex::default() })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<String, File>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for Folder {
    fn append(&self, path: &str, octets: &[u8]) -> io::Result<()> {
        let mut open = self.open();
        if !open.contains_key(path) {
            let file = OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(self.root.join(path))?;
            open.insert(path.to_owned(), file);
        }
        let Some(file) = open.get_mut(path) else { return Err(ErrorKind::NotFound.into()) };
        file.write_all(octets)
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        let file = self.open().remove(path);
        match file {
            Some(file) => file.sync_data(),
            None => File::open(self.root.join(path))?.sync_data(),
        }
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        File::open(self.root.join(path))?.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.open().remove(path);
        match std::fs::remove_file(self.root.join(path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn read(&self, path: &str, offset: u64, octets: usize) -> io::Result<Vec<u8>> {
        if self.kind(path)? != Some(Kind::File) {
            let absent = self.kind(path)?.is_none();
            return Err(if absent { ErrorKind::NotFound } else { ErrorKind::InvalidData }.into());
        }
        let mut file = File::open(self.root.join(path))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut read = Vec::with_capacity(octets);
        file.take(octets as u64).read_to_end(&mut read)?;
        Ok(read)
    }

    fn list(&self, path: &str) -> io::Result<Vec<(String, Kind)>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.root.join(path))? {
            let entry = entry?;
            names.push((entry.file_name().to_string_lossy().into_owned(), kind_of(entry.file_type()?)));
        }
        names.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }

    fn kind(&self, path: &str) -> io::Result<Option<Kind>> {
        match std::fs::symlink_metadata(self.root.join(path)) {
            Ok(found) => Ok(Some(kind_of(found.file_type()))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn make_folder(&self, path: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(self.root.join(path))
    }
}

fn kind_of(found: std::fs::FileType) -> Kind {
    if found.is_file() {
        Kind::File
    } else if found.is_dir() {
        Kind::Folder
    } else {
        Kind::Other
    }
}
