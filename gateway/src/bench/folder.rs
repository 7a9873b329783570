//! A folder of a bench's own, removed when the bench ends. All queues of one bench lie in it: on the same disk.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::BenchFault;

/// Where benches put their folders unless told otherwise: on a disk, other than `/tmp` may be.
pub const PLACE: &str = "/var/tmp";

/// See the module.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one below `place`, readable for all: Postfix changes to a user of its own.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(place: &Path) -> Result<Self, BenchFault> {
        let path = place.join(format!("skywave-bench-{}", std::process::id()));
        let failed = |error: std::io::Error| BenchFault::local(&path.display().to_string(), error);
        std::fs::create_dir_all(&path).map_err(failed)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).map_err(failed)?;
        Ok(Self(path))
    }

    /// A folder inside.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn sub(&self, name: &str) -> Result<PathBuf, BenchFault> {
        let path = self.0.join(name);
        match std::fs::create_dir_all(&path) {
            Ok(()) => Ok(path),
            Err(error) => Err(BenchFault::local(&path.display().to_string(), error)),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
