//! Makes a private temporary folder, removed with all that is in it when it is dropped.

use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Result, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Names that are tried: runs that were killed leave theirs behind.
const TRIES: u32 = 10_000;

/// A folder that nobody but its owner can look into.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes a folder below the one for temporary files.
    ///
    /// # Errors
    /// When that folder cannot be written.
    pub(crate) fn new() -> Result<Self> {
        let parent = std::env::temp_dir();
        let mut taken = ErrorKind::AlreadyExists.into();
        for n in 0..TRIES {
            let path = parent.join(format!("rekopia-check-{}-{n}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Scratch(path)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => taken = e,
                Err(e) => return Err(e),
            }
        }
        Err(taken)
    }

    /// Returns the path of the folder.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes an empty folder in it.
    ///
    /// # Errors
    /// When there is no room.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(path)
    }

    /// Makes a file in it.
    ///
    /// # Errors
    /// When there is no room.
    pub(crate) fn file(&self, name: &str, contents: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(contents.as_bytes())?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_private_and_goes() {
        let (one, other) = (Scratch::new().unwrap(), Scratch::new().unwrap());
        assert_ne!(one.path(), other.path());
        let file = one.file("key", "text").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(one.path()), mode(&file)), (0o700, 0o600));
        assert_eq!(mode(&one.folder("data").unwrap()), 0o700);
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists() && other.path().exists());
    }
}
