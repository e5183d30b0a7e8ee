//! Stores trees on disk as directories in the repository.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{DirectoryWriter, Entry, EntryKind, Error, Metadata, ObjectWriter, RepositoryWriter, Result};

impl RepositoryWriter {
    /// Stores a directory, file or symbolic link with all below it, and returns its entry, the root of a snapshot.
    /// Devices, sockets and FIFOs are left out, as Kopia does.
    ///
    /// # Errors
    /// [`Error::Source`] for what cannot be read; [`Error::Unknown`] when `path` itself is left out.
    pub fn put_tree(&mut self, path: &Path) -> Result<Entry<'static>> {
        let name = path.file_name().map_or(b"/".to_vec(), |n| n.as_bytes().to_vec());
        let meta = fs::symlink_metadata(path).map_err(failed(path))?;
        self.put_path(path, name, &meta)?.ok_or_else(|| Error::Unknown(format!("file at {}", path.display())))
    }

    fn put_path(
        &mut self,
        path: &Path,
        name: Vec<u8>,
        meta: &fs::Metadata,
    ) -> Result<Option<Entry<'static>>> {
        let metadata = Metadata {
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
        };
        if meta.is_dir() {
            self.put_directory(path, name, metadata).map(Some)
        } else if meta.is_symlink() {
            let target = fs::read_link(path).map_err(failed(path))?;
            self.put_symlink(name, metadata, target.as_os_str().as_bytes()).map(Some)
        } else if meta.is_file() {
            self.put_file_at(path, name, metadata).map(Some)
        } else {
            Ok(None)
        }
    }

    fn put_directory(&mut self, path: &Path, name: Vec<u8>, metadata: Metadata) -> Result<Entry<'static>> {
        let mut children = Vec::new();
        for child in fs::read_dir(path).map_err(failed(path))? {
            let child = child.map_err(failed(path))?;
            let meta = child.metadata().map_err(failed(&child.path()))?;
            children.push((!meta.is_dir(), child.file_name().as_bytes().to_vec(), child.path(), meta));
        }
        children.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let mut directory = DirectoryWriter::new(self);
        for (_, name, path, meta) in children {
            if let Some(entry) = self.put_path(&path, name, &meta)? {
                directory.add(self, &entry)?;
            }
        }
        directory.finish(self, name, metadata)
    }

    fn put_file_at(&mut self, path: &Path, name: Vec<u8>, metadata: Metadata) -> Result<Entry<'static>> {
        let mut file = File::open(path).map_err(failed(path))?;
        let mut object = ObjectWriter::new(self, 0);
        let (mut size, mut buffer) = (0, vec![0; 256 << 10]);
        loop {
            match file.read(&mut buffer).map_err(failed(path))? {
                0 => break,
                n => {
                    object.write(self, &buffer[..n])?;
                    size += n as u64;
                }
            }
        }
        let object = Some(object.finish(self)?);
        Ok(Entry { name: Cow::Owned(name), kind: EntryKind::File(size), metadata, object })
    }
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Source { path: path.clone(), source }
}
