//! Takes blobs: into a directory in Kopia's layout, or memory.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rekopia_format::BlobId;
use rekopia_format::sharding::Sharding;

use crate::storage::MemoryBlobs;

/// A place that takes blobs. Writing a name twice replaces the blob.
pub trait BlobSink: Send {
    /// Stores a blob whole.
    ///
    /// # Errors
    /// Those of the storage.
    fn put(&mut self, id: &BlobId, bytes: &[u8]) -> io::Result<()>;

    /// Removes a blob; a missing one is no error.
    ///
    /// # Errors
    /// Those of the storage.
    fn delete(&mut self, id: &BlobId) -> io::Result<()>;
}

/// A directory in Kopia's sharded layout (§1.3), which takes blobs.
#[derive(Debug)]
pub struct DirectorySink {
    root: PathBuf,
    sharding: Sharding,
}

impl DirectorySink {
    /// Creates the directory with the layout of today's repositories, `[1,3]`.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create(root: &Path) -> io::Result<Self> {
        Self::create_with(root, "{\"default\":[1,3],\"maxNonShardedLength\":20}\n")
    }

    /// Creates the directory with this `.shards` file.
    ///
    /// # Errors
    /// Those of the file system; a `.shards` file that does not parse.
    pub fn create_with(root: &Path, shards: &str) -> io::Result<Self> {
        let sharding =
            Sharding::parse(shards.as_bytes()).map_err(|e| io::Error::new(ErrorKind::InvalidInput, e))?;
        fs::create_dir_all(root)?;
        fs::write(root.join(".shards"), shards)?;
        Ok(DirectorySink { root: root.to_owned(), sharding })
    }
}

impl BlobSink for DirectorySink {
    fn put(&mut self, id: &BlobId, bytes: &[u8]) -> io::Result<()> {
        let path = self.root.join(self.sharding.path(id));
        let unfinished = path.with_extension("f.tmp.0011223344556677");
        match fs::write(&unfinished, bytes) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
                fs::write(&unfinished, bytes)?;
            }
            done => done?,
        }
        fs::rename(&unfinished, &path)
    }

    fn delete(&mut self, id: &BlobId) -> io::Result<()> {
        match fs::remove_file(self.root.join(self.sharding.path(id))) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

impl BlobSink for MemoryBlobs {
    fn put(&mut self, id: &BlobId, bytes: &[u8]) -> io::Result<()> {
        self.blobs.lock().unwrap().insert(id.to_string(), bytes.to_vec());
        Ok(())
    }

    fn delete(&mut self, id: &BlobId) -> io::Result<()> {
        self.blobs.lock().unwrap().remove(id.as_str());
        Ok(())
    }
}
